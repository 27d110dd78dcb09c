//! Prerequisites. Each verb provides what it needs by itself, only when it is missing, so that a
//! second run asks nothing of the network.

use std::process::Command;

use anyhow::{Context, Result};

use crate::failure::MissingTool;
use crate::process;
use crate::workspace::WASM_TARGET;

const NODE_MIN: (u32, u32) = (20, 19);

/// Adds the wasm target to the pinned toolchain if it is not there.
pub fn require_wasm_target() -> Result<()> {
    if which::which("rustup").is_err() {
        return Err(missing("rustup is missing: install it from https://rustup.rs."));
    }
    let installed =
        process::output(Command::new("rustup").args(["target", "list", "--installed"]))?;
    if installed.lines().any(|target| target == WASM_TARGET) {
        return Ok(());
    }
    eprintln!("adding the Rust target {WASM_TARGET}");
    process::run(Command::new("rustup").args(["target", "add", WASM_TARGET]))
}

/// Makes sure that Node is new enough and that npm is there.
pub fn require_node() -> Result<()> {
    let (major, minor) = NODE_MIN;
    let wanted = format!("install Node.js {major}.{minor} or newer from https://nodejs.org");
    if which::which("node").is_err() {
        return Err(missing(format!("node is missing: {wanted}.")));
    }
    let version = process::output(Command::new("node").arg("--version"))?;
    let version = version.trim();
    let found = parse_version(version)
        .with_context(|| format!("node --version printed {version:?}, which is not a version"))?;
    if found < NODE_MIN {
        return Err(missing(format!("node {version} is too old: {wanted}.")));
    }
    if which::which("npm").is_err() {
        return Err(missing(
            "npm is missing: install it, it comes with Node.js from https://nodejs.org.",
        ));
    }
    Ok(())
}

/// The one sentence and exit code 3.
pub fn missing(sentence: impl Into<String>) -> anyhow::Error {
    anyhow::Error::new(MissingTool(sentence.into()))
}

/// Major and minor of `v20.19.4`.
fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.trim_start_matches('v').split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(parse_version("v20.19.4"), Some((20, 19)));
        assert!(parse_version("v20.9.0").unwrap() < NODE_MIN);
        assert!(parse_version("v22.1.0").unwrap() > NODE_MIN);
        assert_eq!(parse_version("unknown"), None);
    }
}
