//! `cargo xtask test`.

mod counts;
mod failures;
mod group;
mod leftovers;
mod plan;
mod report;
mod steps;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::cli::TestOptions;
use crate::failure::MissingTool;
use crate::workspace::cargo;
use crate::{browsers, npm, process, tools};
use counts::Counts;
use group::{Ending, Notice, Notices};
use leftovers::Baseline;
use plan::Plan;
use report::{Account, Report};
use steps::{Needs, Step};

/// A run that takes longer is stopped.
const RUN_TIME_MAX: Duration = Duration::from_secs(75 * 60);

const LOG_DIR: &str = "target/test-logs";

/// What all steps of a run share.
struct Run {
    /// Marks the processes of this run.
    id: String,
    deadline: Instant,
    notices: Notices,
}

/// Runs the chosen steps and prints the account; the last line is always `N passed, N failed`.
pub fn test(options: &TestOptions) -> Result<ExitCode> {
    let plan = Plan::new(options)?;
    if options.list {
        for step in plan.steps {
            println!("{}", step.name);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let account = match run(&plan) {
        Ok(account) => account,
        Err(error) if error.is::<MissingTool>() => return Err(error),
        Err(error) => {
            println!("error: {error:#}");
            Account::broken()
        }
    };
    account.print(RUN_TIME_MAX, plan.not_run());
    Ok(account.exit_code())
}

fn run(plan: &Plan) -> Result<Account> {
    prepare(&plan.steps)?;
    fs::create_dir_all(LOG_DIR)?;
    let run = Run {
        id: std::process::id().to_string(),
        deadline: Instant::now() + RUN_TIME_MAX,
        notices: listen_for_signals()?,
    };
    let baseline = Baseline::take();
    let began = Instant::now();
    let mut account = Account::default();
    for steps in plan.batches() {
        if let Some(ending) = run_steps(steps, plan, &run, &mut account)? {
            account.stopped = Some(ending);
            break;
        }
    }
    account.seconds = began.elapsed().as_secs_f64();
    for profile in baseline.remove_profiles() {
        println!("left behind: {}", profile.display());
        account.total.failed += 1;
    }
    Ok(account)
}

/// Provides what the steps need. A browser that cannot be had is left to its step, which then
/// fails.
fn prepare(steps: &[&Step]) -> Result<()> {
    // All crates, also those of other targets: the steps themselves are offline.
    process::run(Command::new(cargo()).args(["fetch", "--locked", "--quiet"]))?;
    let needs = steps.iter().map(|step| step.needs).max().unwrap_or(Needs::Rust);
    if needs >= Needs::Wasm {
        tools::require_wasm_target()?;
    }
    if needs >= Needs::Npm {
        npm::install()?;
    }
    let wanted: Vec<_> = steps.iter().filter_map(|step| step.browser).collect();
    if let Err(error) = browsers::install(&wanted) {
        println!("error: {error:#}");
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

/// Runs steps beside each other. Gives how they ended if they were stopped.
fn run_steps(
    steps: &[&Step],
    plan: &Plan,
    run: &Run,
    account: &mut Account,
) -> Result<Option<Ending>> {
    let mut startable = Vec::new();
    let mut commands = Vec::new();
    for step in steps {
        println!("{} ...", step.name);
        if let Some(missing) = step.browser.and_then(browsers::describe_missing) {
            println!("{missing}");
            account.add(Report::failed(step.name));
            continue;
        }
        let mut command = step.command()?;
        command.env(leftovers::MARKER, &run.id);
        if step.is_repeatable() {
            command.args(&plan.browser_arguments);
        }
        commands.push((command, log_of(step)));
        startable.push(step);
    }
    let started = Instant::now();
    let endings = group::run(commands, run.deadline, &run.notices)?;
    let mut reports = Vec::new();
    for (step, (ending, ended)) in startable.iter().zip(&endings) {
        let seconds = ended.duration_since(started).as_secs_f64();
        reports.push(read_report(step, *ending, seconds)?);
    }
    for process in leftovers::end_processes(&run.id, leftovers::GRACE) {
        println!("left behind: process {} {}", process.pid, process.command);
        if let Some(report) = reports.last_mut() {
            report.counts.failed += 1;
        }
    }
    reports.into_iter().for_each(|report| account.add(report));
    let stopped = endings.iter().map(|(ending, _)| *ending);
    Ok(stopped.into_iter().find(|ending| !matches!(ending, Ending::Exited { .. })))
}

fn log_of(step: &Step) -> PathBuf {
    PathBuf::from(LOG_DIR).join(step.name).with_extension("log")
}

/// What a step that ended reports; what failed in it is printed.
fn read_report(step: &Step, ending: Ending, seconds: f64) -> Result<Report> {
    let log = log_of(step);
    let text = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
    let success = ending == Ending::Exited { success: true };
    let counts = Counts::of_step(step.counting, &text, success);
    let mut failures = Vec::new();
    if counts.failed > 0 {
        report::print_excerpt(&text);
        println!("{} failed; the whole log is in {}", step.name, log.display());
        failures = failures::of_log(&text);
    }
    Ok(Report { name: step.name, seconds, counts, failures })
}
