//! `cargo xtask bench`.

use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::cli::BenchOptions;
use crate::process;
use crate::workspace::cargo;

/// Runs the benchmarks of the crate and prints their times.
pub fn bench(options: &BenchOptions) -> Result<ExitCode> {
    let mut command = Command::new(cargo());
    command.args(["bench", "--locked", "--package", "tabmq", "--bench", "*", "--"]);
    command.args(&options.filters);
    process::run(&mut command)?;
    Ok(ExitCode::SUCCESS)
}
