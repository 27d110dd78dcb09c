//! `cargo xtask fuzz`.

use std::fs;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use crate::cli::FuzzOptions;
use crate::{process, tools};

const TARGETS: &str = "fuzz/fuzz_targets";
/// What libFuzzer finds on its way is kept here from run to run, beside the committed corpus.
const FOUND: &str = "target/fuzz-corpus";

/// Gives each target to libFuzzer for so many minutes. The last line is `N passed, N failed`.
pub fn fuzz(options: &FuzzOptions) -> Result<ExitCode> {
    let targets = targets(options.target.as_deref())?;
    require_nightly()?;
    let (mut passed, mut failed) = (0, 0);
    for target in &targets {
        match run(target, options.minutes)? {
            true => passed += 1,
            false => failed += 1,
        }
    }
    println!("{passed} passed, {failed} failed");
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn targets(wanted: Option<&str>) -> Result<Vec<String>> {
    let mut targets = Vec::new();
    for entry in fs::read_dir(TARGETS).context(TARGETS)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        targets.extend(name.strip_suffix(".rs").map(str::to_owned));
    }
    targets.sort();
    targets.retain(|target| wanted.is_none_or(|wanted| wanted == target));
    if targets.is_empty() {
        bail!("there is no target {:?} in {TARGETS}", wanted.unwrap_or_default());
    }
    Ok(targets)
}

fn require_nightly() -> Result<()> {
    let works = |arguments: &[&str]| {
        let output = Command::new("rustup").args(arguments).output();
        output.is_ok_and(|output| output.status.success())
    };
    let needed = "cargo xtask fuzz needs a nightly compiler and cargo-fuzz";
    if !works(&["run", "nightly", "rustc", "--version"]) {
        return Err(tools::missing(format!("{needed}: rustup toolchain install nightly.")));
    }
    if !works(&["run", "nightly", "cargo", "fuzz", "--version"]) {
        return Err(tools::missing(format!("{needed}: cargo install --locked cargo-fuzz.")));
    }
    Ok(())
}

fn run(target: &str, minutes: u32) -> Result<bool> {
    let found = format!("{FOUND}/{target}");
    let corpus = format!("fuzz/corpus/{target}");
    fs::create_dir_all(&found)?;
    let mut command = Command::new("rustup");
    command.args(["run", "nightly", "cargo", "fuzz", "run", "--features", "libfuzzer"]);
    // The core is safe Rust, so no sanitizer is needed, and without one it runs twice as fast.
    command.args(["--sanitizer", "none", target, &found, &corpus, "--"]);
    command.arg(format!("-max_total_time={}", u64::from(minutes) * 60));
    command.args(["-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1"]);
    let status = command.status();
    let status = status.with_context(|| format!("cannot start {}", process::describe(&command)))?;
    Ok(status.success())
}
