//! `cargo xtask bench`.

use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::cli::{BenchOptions, Browser, Check};
use crate::workspace::cargo;
use crate::{browsers, build, peers, process, scale};

const BROWSER: &str = "tests/browsers/bench.mjs";
const RECOVERY: &str = "tests/browsers/recovery.mjs";
const FILES: &str = "benches/files.mjs";
const HUB: &str = "benches/hub/run.mjs";

/// Runs the benchmarks of the crate and prints their times, or those of a browser, files or a hub.
pub fn bench(options: &BenchOptions) -> Result<ExitCode> {
    if options.files {
        build::build()?;
        process::run(Command::new("node").arg(FILES))?;
        return Ok(ExitCode::SUCCESS);
    }
    if options.hub {
        return at_hub(options);
    }
    match (options.check, options.browser) {
        (Some(Check::Scale), _) => scale::check(),
        (None, Some(browser)) => in_browser(browser, options),
        (None, None) => native(options),
    }
}

fn at_hub(options: &BenchOptions) -> Result<ExitCode> {
    build::build()?;
    peers::install()?;
    let mut command = Command::new("node");
    command.arg(HUB).args(options.json.then_some("--json")).args(&options.filters);
    process::run(&mut command)?;
    Ok(ExitCode::SUCCESS)
}

fn in_browser(browser: Browser, options: &BenchOptions) -> Result<ExitCode> {
    build::build()?;
    let mut arguments: Vec<&str> = options.filters.iter().map(String::as_str).collect();
    if options.json {
        arguments.push("--json");
    }
    let Some(kills) = options.recovery else {
        return browsers::run_script(BROWSER, browser, &arguments);
    };
    let kills = kills.to_string();
    arguments.extend(["--kills", &kills]);
    browsers::run_script(RECOVERY, browser, &arguments)
}

fn native(options: &BenchOptions) -> Result<ExitCode> {
    let mut command = Command::new(cargo());
    command.args(["bench", "--locked", "--package", "tabmq", "--bench", "*", "--"]);
    command.args(&options.filters);
    process::run(&mut command)?;
    Ok(ExitCode::SUCCESS)
}
