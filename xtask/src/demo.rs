//! `cargo xtask demo`.

use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::cli::DemoOptions;
use crate::{browsers, build, process};

const HEADLESS: &str = "tests/browsers/demo.mjs";
const VITE: &str = "node_modules/vite/bin/vite.js";

/// Builds everything, then serves the playground until it is interrupted, or does the main job with
/// no screen and passes its exit code on.
pub fn demo(options: &DemoOptions) -> Result<ExitCode> {
    build::build()?;
    if !options.headless {
        return serve(options.port);
    }
    let minutes = options.minutes.map(|minutes| minutes.to_string());
    let arguments: Vec<&str> = minutes.iter().flat_map(|minutes| ["--minutes", minutes]).collect();
    browsers::run_script(HEADLESS, options.browser, &arguments)
}

/// Vite serves the built files with the right types, takes the next port if this one is in use, and
/// prints the URL.
fn serve(port: u16) -> Result<ExitCode> {
    let mut server = Command::new("node");
    server.args([VITE, "preview", "www", "--host", "127.0.0.1", "--port", &port.to_string()]);
    process::run(&mut server)?;
    Ok(ExitCode::SUCCESS)
}
