//! Runs the simulator: `cargo xtask sim` calls it.
//!
//! Options, checked by the caller: `--seeds N`, `--from SEED`, `--jobs J`, `--rules-off`, or
//! `--seed S` to replay one seed and print everything that happens.

use std::env;
use std::io::{IsTerminal, stderr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use tabmq::rules::Rules;
use tabmq::sim::check::Violation;
use tabmq::sim::run::{self, SEEDS, SeedReport, Totals};

#[derive(Debug)]
struct Options {
    seeds: u64,
    from: u64,
    jobs: u64,
    seed: Option<u64>,
    rules_off: bool,
    without: Option<String>,
}

fn main() -> ExitCode {
    let options = parse(env::args().skip(1));
    if let Some(seed) = options.seed {
        return replay(seed, &options);
    }
    let (mut passed, mut failed) = run_seeds(&options);
    if options.rules_off {
        let (caught, missed) = switch_rules_off(&options);
        passed += caught;
        failed += missed;
    }
    println!("{passed} passed, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Options {
    let mut options =
        Options { seeds: SEEDS, from: 1, jobs: 2, seed: None, rules_off: false, without: None };
    while let Some(name) = arguments.next() {
        let mut number = || {
            let value = arguments.next().unwrap_or_default();
            value.parse().unwrap_or_else(|_| panic!("{name} needs a number, not {value:?}"))
        };
        match name.as_str() {
            "--seeds" => options.seeds = number(),
            "--from" => options.from = number(),
            "--jobs" => options.jobs = number(),
            "--seed" => options.seed = Some(number()),
            "--rules-off" => options.rules_off = true,
            "--without" => options.without = arguments.next(),
            _ => panic!("there is no option {name}"),
        }
    }
    options
}

/// One seed, with everything that happens.
fn replay(seed: u64, options: &Options) -> ExitCode {
    let rules = match &options.without {
        Some(name) => Rules::without(name).unwrap_or_else(|| panic!("there is no rule {name}")),
        None => Rules::ON,
    };
    let report = run::run_seed(seed, rules, true);
    for line in &report.trace {
        println!("{line}");
    }
    print_totals(&report.totals);
    println!("seed {seed}, hash {:016x}", report.hash);
    match report.violation {
        Some(violation) => {
            println!("{}: {}", violation.checker, violation.what);
            ExitCode::FAILURE
        }
        None => ExitCode::SUCCESS,
    }
}

/// Runs `work` for each of `count` numbers on several threads; results come in any order.
fn spread<T: Send>(jobs: u64, count: u64, work: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let next = AtomicU64::new(0);
    let results = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, count.max(1)) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return;
                    }
                    let result = work(number);
                    let mut results = results.lock().expect("no work panics under the lock");
                    results.push(result);
                    show_progress(results.len() as u64, count);
                }
            });
        }
    });
    results.into_inner().expect("no work panics under the lock")
}

/// How far it is, in place, for somebody who watches.
fn show_progress(done: u64, count: u64) {
    if stderr().is_terminal() {
        eprint!("\r{done} of {count}{}", if done == count { "\n" } else { "" });
    }
}

/// Runs the seeds and prints what they met. Gives how many checks passed and failed.
fn run_seeds(options: &Options) -> (u64, u64) {
    let started = Instant::now();
    let reports = spread(options.jobs, options.seeds, |number| {
        guarded(options.from + number, Rules::ON, run::run_seed_twice)
    });
    let seconds = started.elapsed().as_secs_f64();
    let mut totals = Totals::ZERO;
    let mut failures = 0;
    for report in &reports {
        totals.add_all(&report.totals);
        if let Some(violation) = &report.violation {
            failures += 1;
            print_failure(report.seed, violation, None);
        }
    }
    print_totals(&totals);
    let speed = options.seeds as f64 / seconds;
    println!("{} seeds, each twice, {speed:.1} seeds per second", options.seeds);
    let mut passed = options.seeds - failures;
    if options.seeds >= SEEDS {
        let rare = run::rare_faults(&totals);
        for (fault, count) in &rare {
            println!("fault {} occurred {count} times, too rarely", fault.text());
        }
        passed += u64::from(rare.is_empty());
        failures += rare.len() as u64;
    }
    (passed, failures)
}

/// A panic is a failure of its seed like any other.
fn guarded(seed: u64, rules: Rules, run: fn(u64, Rules) -> SeedReport) -> SeedReport {
    catch_unwind(AssertUnwindSafe(|| run(seed, rules))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("");
        let violation = Violation { checker: "no-panic", what: text.to_string() };
        let (totals, trace) = (Totals::ZERO, Vec::new());
        SeedReport { seed, violation: Some(violation), hash: 0, totals, trace }
    })
}

/// Switches each rule off and looks for the first seed that notices.
fn switch_rules_off(options: &Options) -> (u64, u64) {
    let outcomes = spread(options.jobs, Rules::NAMES.len() as u64, |number| {
        let name = Rules::NAMES[usize::try_from(number).unwrap_or(0)];
        let rules = Rules::without(name).expect("the name is from the list");
        let once = |seed, rules| run::run_seed(seed, rules, false);
        let caught = (0..SEEDS)
            .map(|seed| guarded(options.from + seed, rules, once))
            .find(|report| report.violation.is_some());
        (name, caught)
    });
    let mut missed = 0;
    for (name, caught) in outcomes {
        match caught.and_then(|report| Some((report.seed, report.violation?))) {
            Some((seed, violation)) => {
                println!("without {name}: {} notices at seed {seed}", violation.checker);
                print_failure(seed, &violation, Some(name));
            }
            None => {
                missed += 1;
                println!("without {name}: nobody notices in {SEEDS} seeds");
            }
        }
    }
    (Rules::NAMES.len() as u64 - missed, missed)
}

fn print_failure(seed: u64, violation: &Violation, without: Option<&str>) {
    let without = without.map(|name| format!(" --without {name}")).unwrap_or_default();
    println!("  seed {seed}: {}: {}", violation.checker, violation.what);
    println!("    replay: cargo xtask sim --seed {seed}{without}");
}

fn print_totals(totals: &Totals) {
    for fault in tabmq::sim::fault::Fault::ALL {
        println!("{:>10} {}", totals.faults.of(*fault), fault.text());
    }
    for (name, sum) in totals.named() {
        println!("{sum:>10} {name}");
    }
}
