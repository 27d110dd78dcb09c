//! `cargo xtask test`.

mod counts;
mod group;
mod leftovers;
mod steps;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::cli::TestOptions;
use crate::tools;
use counts::Counts;
use group::{Ending, Notice, Notices};
use leftovers::Baseline;
use steps::{Needs, STEPS, Step};

/// A run that takes longer is stopped.
const RUN_TIME_MAX: Duration = Duration::from_secs(75 * 60);

const LOG_DIR: &str = "target/test-logs";

/// Lines of the log shown for a step that failed.
const LOG_TAIL_LINES: usize = 60;

const EXIT_INTERRUPTED: u8 = 130;

/// A finished step.
struct Report {
    name: &'static str,
    seconds: f64,
    counts: Counts,
}

/// Runs the selected steps and prints the account; the last line is always `N passed, N failed`.
pub fn test(options: &TestOptions) -> Result<ExitCode> {
    let steps = select(&options.only)?;
    if options.list {
        for step in steps {
            println!("{}", step.name);
        }
        return Ok(ExitCode::SUCCESS);
    }
    prepare(&steps)?;
    fs::create_dir_all(LOG_DIR)?;
    let notices = listen_for_signals()?;
    let deadline = Instant::now() + RUN_TIME_MAX;
    let baseline = Baseline::take();
    let run = format!("{}", std::process::id());

    let mut reports = Vec::new();
    let mut last = Ending::Exited { success: true };
    for step in steps {
        let (report, ending) = run_step(step, &run, deadline, &notices)?;
        reports.push(report);
        last = ending;
        if !matches!(ending, Ending::Exited { .. }) {
            break;
        }
    }
    let mut total = Counts::default();
    for report in &reports {
        total += report.counts;
    }
    for profile in baseline.remove_profiles() {
        println!("left behind: {}", profile.display());
        total.failed += 1;
    }
    Ok(conclude(&reports, total, last))
}

/// The steps that were asked for, in the order of the table; all of them if none was named.
fn select(only: &[String]) -> Result<Vec<&'static Step>> {
    if let Some(unknown) = only.iter().find(|name| STEPS.iter().all(|step| step.name != **name)) {
        bail!("there is no step {unknown:?}; cargo xtask test --list names them");
    }
    let chosen = |step: &&Step| only.is_empty() || only.iter().any(|name| name == step.name);
    Ok(STEPS.iter().filter(chosen).collect())
}

fn prepare(steps: &[&Step]) -> Result<()> {
    if steps.iter().any(|step| step.needs == Needs::Wasm) {
        tools::require_wasm_target()?;
        tools::require_node()?;
    }
    Ok(())
}

fn listen_for_signals() -> Result<Notices> {
    let (sender, receiver) = mpsc::channel();
    let interrupts = sender.clone();
    ctrlc::set_handler(move || drop(interrupts.send(Notice::Interrupted)))
        .context("cannot listen for signals")?;
    Ok(Notices { sender, receiver })
}

fn run_step(
    step: &Step,
    run: &str,
    deadline: Instant,
    notices: &Notices,
) -> Result<(Report, Ending)> {
    println!("{} ...", step.name);
    let log = PathBuf::from(LOG_DIR).join(step.name).with_extension("log");
    let mut command = step.command()?;
    command.env(leftovers::MARKER, run);
    let started = Instant::now();
    let ending = group::run(command, &log, deadline, notices)?;
    let seconds = started.elapsed().as_secs_f64();
    let text = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
    let exited = matches!(ending, Ending::Exited { .. });
    let success = ending == Ending::Exited { success: true };
    let mut counts = Counts::of_step(step.counting, &text, success);
    if counts.failed > 0 {
        print_tail(&text);
        println!("{} failed; the whole log is in {}", step.name, log.display());
    }
    for process in leftovers::end_processes(run, exited) {
        if exited {
            println!("left behind: process {} {}", process.pid, process.command);
            counts.failed += 1;
        }
    }
    println!(
        "{:<14} {seconds:7.1} s {:6} passed, {} failed",
        step.name, counts.passed, counts.failed
    );
    Ok((Report { name: step.name, seconds, counts }, ending))
}

fn print_tail(log: &str) {
    let lines: Vec<&str> = log.lines().collect();
    for line in &lines[lines.len().saturating_sub(LOG_TAIL_LINES)..] {
        println!("    {line}");
    }
}

/// Prints the table and the totals and picks the exit code.
fn conclude(reports: &[Report], total: Counts, last: Ending) -> ExitCode {
    let slowest = reports.iter().max_by(|a, b| a.seconds.total_cmp(&b.seconds));
    println!();
    for report in reports {
        println!("{:<14} {:7.1} s", report.name, report.seconds);
    }
    match (last, slowest) {
        (Ending::OutOfTime, Some(slowest)) => println!(
            "stopped after {} minutes; the slowest step was {} with {:.0} s",
            RUN_TIME_MAX.as_secs() / 60,
            slowest.name,
            slowest.seconds
        ),
        (Ending::Interrupted, _) => println!("interrupted"),
        _ => {}
    }
    println!("{} passed, {} failed", total.passed, total.failed);
    match last {
        Ending::Interrupted => ExitCode::from(EXIT_INTERRUPTED),
        _ if total.failed > 0 => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    }
}
