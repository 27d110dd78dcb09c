//! `cargo xtask demo`.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::cli::{Browser, DemoOptions};
use crate::{browsers, build, process, tools};

const HEADLESS: &str = "tests/browsers/demo.mjs";
const VITE: &str = "node_modules/vite/bin/vite.js";

/// Exit code when a child was ended by a signal.
const EXIT_SIGNAL: u8 = 1;

/// Builds everything, then serves the playground until it is interrupted, or does the main job with
/// no screen and passes its exit code on.
pub fn demo(options: &DemoOptions) -> Result<ExitCode> {
    build::build()?;
    if options.headless { run_headless(options.browser) } else { serve(options.port) }
}

/// Vite serves the built files with the right types, takes the next port if this one is in use, and
/// prints the URL.
fn serve(port: u16) -> Result<ExitCode> {
    let mut server = Command::new("node");
    server.args([VITE, "preview", "www", "--host", "127.0.0.1", "--port", &port.to_string()]);
    process::run(&mut server)?;
    Ok(ExitCode::SUCCESS)
}

fn run_headless(browser: Browser) -> Result<ExitCode> {
    browsers::install(&[browser])?;
    if let Some(sentence) = browsers::describe_missing(browser) {
        return Err(tools::missing(sentence));
    }
    let status = Command::new("node")
        .args([HEADLESS, "--browser", browser.name()])
        .status()
        .context("cannot start node")?;
    let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(EXIT_SIGNAL);
    Ok(ExitCode::from(code))
}
