//! The command line.

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Builds, checks and shows tabmq.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(Subcommand)]
pub enum Verb {
    /// Build the wasm module, its glue, the npm package and the generated documents
    Build,
    /// Run every test there is, real browsers included
    Test(TestOptions),
    /// Check the rules of the repository that no compiler checks
    Tidy(TidyOptions),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "lower")]
pub enum Browser {
    Chromium,
    Firefox,
    Webkit,
}

impl Browser {
    pub fn name(self) -> &'static str {
        match self {
            Self::Chromium => "chromium",
            Self::Firefox => "firefox",
            Self::Webkit => "webkit",
        }
    }
}

#[derive(Args)]
pub struct TestOptions {
    /// Run only this step; may be given again
    #[arg(long, value_name = "STEP", conflicts_with = "repeat")]
    pub only: Vec<String>,
    /// List the steps and stop
    #[arg(long)]
    pub list: bool,
    /// Leave this browser out; may be given again
    #[arg(long, value_enum, value_name = "BROWSER")]
    pub without: Vec<Browser>,
    /// Run one browser test COUNT times in every browser
    # [arg(long, num_args = 2, value_names = ["COUNT", "NAME"])]
    pub repeat: Option<Vec<String>>,
}

#[derive(Args)]
pub struct TidyOptions {
    /// Lower the budgets in xtask/ratchet.txt to what the tree needs; none is raised
    #[arg(long)]
    pub tighten: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
