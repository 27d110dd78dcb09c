//! What ends a verb early, and with which exit code.

use std::fmt;
use std::process::ExitCode;

/// Exit code when the machine lacks a tool the verb cannot provide by itself.
const EXIT_MISSING_TOOL: u8 = 3;

/// A tool the machine lacks. The text is one sentence that says what to install.
#[derive(Debug)]
pub struct MissingTool(pub String);

impl fmt::Display for MissingTool {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for MissingTool {}

/// Prints the error and picks the exit code: 3 for a missing tool, 1 for everything else.
pub fn report(error: &anyhow::Error) -> ExitCode {
    if let Some(missing) = error.downcast_ref::<MissingTool>() {
        eprintln!("{missing}");
        return ExitCode::from(EXIT_MISSING_TOOL);
    }
    eprintln!("error: {error:#}");
    ExitCode::FAILURE
}
