//! `cargo xtask chaos`.

use std::num::NonZeroU32;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::cli::ChaosOptions;
use crate::{browsers, build};

const SCRIPT: &str = "tests/browsers/chaos.mjs";
const HUB_SCRIPT: &str = "pkg/test/hub_faults.test.mjs";

/// Builds everything, makes the events happen in a browser, and passes the exit code of the checker
/// on. The last line is one JSON object, the one before it `N passed, N failed`.
pub fn chaos(options: &ChaosOptions) -> Result<ExitCode> {
    build::build()?;
    if let Some(kills) = options.hub {
        return kill_hubs(kills);
    }
    let arguments = arguments(options);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    browsers::run_script(SCRIPT, options.browser, &arguments)
}

/// Consumers in the test keep account of what they were given, whichever hub they got it from.
fn kill_hubs(kills: NonZeroU32) -> Result<ExitCode> {
    let mut node = Command::new("node");
    node.args(["--test-name-pattern=is killed", HUB_SCRIPT]);
    let status = node.env("TABMQ_HUB_KILLS", kills.to_string()).status();
    let status = status.context("cannot start node")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn arguments(options: &ChaosOptions) -> Vec<String> {
    let mut arguments = vec!["--events".to_owned(), options.events.to_string()];
    if let Some(seed) = options.seed {
        arguments.extend(["--seed".to_owned(), seed.to_string()]);
    }
    if let Some(host) = &options.host {
        arguments.extend(["--host".to_owned(), host.clone()]);
    }
    arguments
}
