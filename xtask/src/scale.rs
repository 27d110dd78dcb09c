//! `cargo xtask bench --check scale`: what must not get worse when a queue is long.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::workspace::cargo;
use crate::{process, tools};

const SHORT: u64 = 1_000;
const LONG: u64 = 1_000_000;
/// Instructions at the long queue to those at the short one.
const INSTRUCTIONS_RATIO_MAX: f64 = 1.5;
/// Beside a body of 100 bytes.
const MESSAGE_BYTES_MAX: f64 = 64.0;
const RECOVERY_MS_MAX: f64 = 1000.0;
/// The function of benches/scale.rs whose instructions count.
const COUNTED: &str = "*send_deliver_and_settle*";
const COUNTS: &str = "target/scale.callgrind";

/// Measures, prints a line for each aim, and fails if one is missed.
pub fn check() -> Result<ExitCode> {
    if which::which("valgrind").is_err() {
        return Err(tools::missing(
            "valgrind is missing: install it, instructions are counted with it.",
        ));
    }
    let bench = build()?;
    let ratio = instructions(&bench, LONG)? / instructions(&bench, SHORT)?;
    let memory = measure(&bench, "memory")?;
    let recovery = measure(&bench, "recovery")?;
    let aims = [
        aim("instructions at 1000000 queued to those at 1000", ratio, INSTRUCTIONS_RATIO_MAX),
        aim("bytes beside a 100-byte body", memory, MESSAGE_BYTES_MAX),
        aim("ms to recover 1000000 records", recovery, RECOVERY_MS_MAX),
    ];
    let failed = aims.iter().filter(|met| !**met).count();
    println!("{} passed, {failed} failed", aims.len() - failed);
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn aim(what: &str, measured: f64, most: f64) -> bool {
    let met = measured <= most;
    let word = if met { "ok    " } else { "failed" };
    println!("{word} {what}: {measured:.2}, at most {most}");
    met
}

/// Builds the benchmark and gives its executable.
fn build() -> Result<PathBuf> {
    let mut command = Command::new(cargo());
    command.args(["bench", "--locked", "--package", "tabmq", "--bench", "scale", "--no-run"]);
    command.args(["--message-format", "json"]);
    let messages = process::output(&mut command)?;
    let executable = |line| serde_json::from_str::<Value>(line).ok()?.get("executable").cloned();
    let found =
        messages.lines().filter_map(executable).find_map(|path| path.as_str().map(PathBuf::from));
    found.context("cargo named no executable of the benchmark")
}

fn measure(bench: &Path, part: &str) -> Result<f64> {
    eprintln!("measuring {part}");
    let printed = process::output(Command::new(bench).arg(part).arg(LONG.to_string()))?;
    printed.trim().parse().with_context(|| format!("{part} printed {printed:?}"))
}

fn instructions(bench: &Path, messages: u64) -> Result<f64> {
    eprintln!("counting instructions at {messages} messages; takes minutes for many");
    let counts = Path::new(COUNTS);
    let mut command = Command::new("valgrind");
    command.args(["--quiet", "--tool=callgrind", "--collect-atstart=no"]);
    command.arg(format!("--toggle-collect={COUNTED}"));
    command.arg(format!("--callgrind-out-file={}", counts.display()));
    command.arg(bench).arg("pass").arg(messages.to_string());
    process::run(&mut command)?;
    let text = std::fs::read_to_string(counts)?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
    total.context("callgrind counted nothing")?.trim().parse().context("callgrind's total")
}
