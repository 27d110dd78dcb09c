//! `cargo xtask sim`.

use std::process::{Command, ExitCode};
use std::thread::available_parallelism;

use anyhow::{Context, Result};

use crate::cli::SimOptions;
use crate::workspace::cargo;

/// Runs the simulator and passes its exit code on. Its last line is `N passed, N failed`, unless it
/// replays one seed.
pub fn sim(options: &SimOptions) -> Result<ExitCode> {
    let mut command = Command::new(cargo());
    command.args(["run", "--quiet", "--locked", "--profile", "sim", "--package", "tabmq"]);
    command.args(["--features", "sim", "--bin", "tabmq-sim", "--"]);
    command.args(arguments(options));
    let status = command.status().context("cannot start cargo")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn arguments(options: &SimOptions) -> Vec<String> {
    let mut arguments = Vec::new();
    let mut push = |name: &str, value: String| arguments.extend([name.to_owned(), value]);
    match options.seed {
        Some(seed) => push("--seed", seed.to_string()),
        None => push("--seeds", options.seeds.to_string()),
    }
    if let Some(from) = options.from {
        push("--from", from.to_string());
    }
    if let Some(world) = &options.world {
        push("--world", world.clone());
    }
    if let Some(rule) = &options.without {
        push("--without", rule.clone());
    }
    let jobs = options.jobs.or_else(|| available_parallelism().ok().map(Into::into));
    if let Some(jobs) = jobs {
        push("--jobs", jobs.to_string());
    }
    if let Some(steps) = options.steps {
        push("--steps", steps.to_string());
    }
    if let Some(tabs) = options.tabs {
        push("--tabs", tabs.to_string());
    }
    if let Some(inputs) = options.inputs {
        push("--inputs", inputs.to_string());
    }
    for chance in &options.fault {
        push("--fault", chance.clone());
    }
    for kind in &options.no_fault {
        push("--no-fault", kind.clone());
    }
    if options.shrink {
        arguments.push("--shrink".to_owned());
    }
    if options.rules_off {
        arguments.push("--rules-off".to_owned());
    }
    arguments
}
