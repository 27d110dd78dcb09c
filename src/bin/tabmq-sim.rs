//! Runs the simulator: `cargo xtask sim` calls it.
//!
//! Options, checked by the caller: `--seeds N`, `--from SEED`, `--jobs J`, `--rules-off`, or
//! `--seed S` to replay one seed and print everything that happens. A replay may go without a rule
//! (`--without RULE`) and with less in it (`--steps N`, `--tabs N`, `--no-fault KIND`); `--shrink`
//! looks for the least that still fails. `--inputs N` and `--fault KIND=PER_MILLE` change what the
//! seed would plan.

use std::env;
use std::io::{IsTerminal, stderr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use tabmq::marks::Mark;
use tabmq::rules::Rules;
use tabmq::sim::change::Change;
use tabmq::sim::check::Violation;
use tabmq::sim::cut::{self, Cut};
use tabmq::sim::fault::Fault;
use tabmq::sim::run::{self, Place, Run, SEEDS, SeedReport, Totals, Watch};

#[derive(Debug)]
struct Options {
    seeds: u64,
    from: u64,
    jobs: u64,
    seed: Option<u64>,
    /// All of them, unless one is asked for.
    world: Option<Place>,
    rules_off: bool,
    without: Option<String>,
    cut: Cut,
    change: Change,
    shrink: bool,
}

fn main() -> ExitCode {
    let options = parse(env::args().skip(1));
    match options.seed {
        Some(seed) if options.shrink => return shrink(seed, &options),
        Some(seed) => return replay(seed, &options),
        None => {}
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
    let mut options = Options {
        seeds: SEEDS,
        from: 1,
        jobs: 2,
        seed: None,
        world: None,
        rules_off: false,
        without: None,
        cut: Cut::default(),
        change: Change::default(),
        shrink: false,
    };
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
            "--world" => {
                let text = arguments.next().unwrap_or_default();
                let place = Place::named(&text);
                options.world = Some(place.unwrap_or_else(|| panic!("no world {text:?}")));
            }
            "--rules-off" => options.rules_off = true,
            "--without" => options.without = arguments.next(),
            "--shrink" => options.shrink = true,
            "--steps" => options.cut.steps_max = Some(number()),
            "--tabs" => options.cut.tabs_max = usize::try_from(number()).ok(),
            "--no-fault" => {
                let kind = arguments.next().unwrap_or_default();
                let fault = Fault::named(&kind);
                options.cut.faults.push(fault.unwrap_or_else(|| panic!("no fault {kind:?}")));
            }
            "--inputs" => options.change.inputs_min = Some(number()),
            "--fault" => {
                let text = arguments.next().unwrap_or_default();
                let chance = chance_of(&text);
                let chance = chance.unwrap_or_else(|| panic!("no KIND=PER_MILLE: {text:?}"));
                options.change.chances.push(chance);
            }
            _ => panic!("there is no option {name}"),
        }
    }
    options
}

fn chance_of(text: &str) -> Option<(Fault, u32)> {
    let (kind, per_mille) = text.split_once('=')?;
    let (fault, per_mille) = (Fault::named(kind)?, per_mille.parse().ok()?);
    let fits = !fault.follows() && per_mille <= fault.per().per_mille_max();
    fits.then_some((fault, per_mille))
}

fn rules_of(options: &Options) -> Rules {
    match &options.without {
        Some(name) => Rules::without(name).unwrap_or_else(|| panic!("there is no rule {name}")),
        None => Rules::ON,
    }
}

/// The least of a seed that fails as the whole of it does.
fn shrink(seed: u64, options: &Options) -> ExitCode {
    let (place, rules) = (options.world.unwrap_or_default(), rules_of(options));
    let whole = Run { place, rules, ..Run::of(seed) };
    let Some(shrunk) = cut::shrink(&whole, |run| guarded(run, run::run)) else {
        println!("seed {seed} does not fail");
        return ExitCode::SUCCESS;
    };
    let report = shrunk.report;
    let without = options.without.as_deref().map(|name| format!(" --without {name}"));
    let without = without.unwrap_or_default();
    if let Some(violation) = &report.violation {
        println!("{}: {}", violation.checker, violation.what);
    }
    println!("{} steps, {} tabs", report.steps, report.tabs);
    let options = format!("{}{without}{}", place.option(), shrunk.cut.options());
    println!("replay: cargo xtask sim --seed {seed}{options}");
    ExitCode::FAILURE
}

/// One seed, with everything that happens.
fn replay(seed: u64, options: &Options) -> ExitCode {
    let (rules, watch) = (rules_of(options), Watch::Everything);
    let Options { cut, change, .. } = options;
    let (place, cut, change) = (options.world.unwrap_or_default(), cut.clone(), change.clone());
    let report = run::run(&Run { seed, place, rules, watch, cut, change });
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
    let worlds = options.world.map_or_else(|| Place::ALL.to_vec(), |place| vec![place]);
    let runs = options.seeds * worlds.len() as u64;
    let reports = spread(options.jobs, runs, |number| {
        let change = options.change.clone();
        let place = worlds[usize::try_from(number / options.seeds).unwrap_or(0)];
        let seed = options.from + number % options.seeds;
        guarded(&Run { place, change, ..Run::of(seed) }, run::run_twice)
    });
    let mut totals = Totals::ZERO;
    let mut failures = 0;
    for report in &reports {
        totals.add_all(&report.totals);
        if let Some(violation) = &report.violation {
            failures += 1;
            let changes = format!("{}{}", report.place.option(), options.change.options());
            print_failure(report.seed, violation, &changes);
        }
    }
    print_totals(&totals);
    let tenths = u128::from(runs) * 10_000 / started.elapsed().as_millis().max(1);
    let speed = format!("{}.{} seeds per second", tenths / 10, tenths % 10);
    let names: Vec<&str> = worlds.iter().map(|place| place.text()).collect();
    println!("{} seeds of {}, each twice, {speed}", options.seeds, names.join(" and "));
    let mut passed = runs - failures;
    if options.seeds >= SEEDS && options.world.is_none() && options.change == Change::default() {
        let missing = missing(&totals);
        passed += u64::from(missing == 0);
        failures += missing;
    }
    (passed, failures)
}

/// Names what a whole run has to meet and did not.
fn missing(totals: &Totals) -> u64 {
    let rare = run::rare_faults(totals);
    for (fault, count) in &rare {
        println!("fault {} occurred {count} times, too rarely", fault.text());
    }
    let missed = run::marks_missed(totals);
    for mark in &missed {
        println!("mark {} was never reached", mark.text());
    }
    (rare.len() + missed.len()) as u64
}

/// A panic is a failure of its seed like any other.
fn guarded(run: &Run, how: fn(&Run) -> SeedReport) -> SeedReport {
    catch_unwind(AssertUnwindSafe(|| how(run))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("");
        let violation = Violation { checker: "no-panic", what: text.to_string() };
        let (totals, trace) = (Totals::ZERO, Vec::new());
        let (seed, place, violation) = (run.seed, run.place, Some(violation));
        SeedReport {
            seed,
            place,
            violation,
            hash: 0,
            steps: 0,
            tabs: 0,
            virtual_ms: 0,
            totals,
            trace,
        }
    })
}

/// What clients do of themselves is a rule of both worlds.
const OF_BOTH_WORLDS: &[&str] = &["resend_after_resume"];

/// Each rule and a world that has to notice that it is off.
fn rules_to_switch_off(options: &Options) -> Vec<(&'static str, Place)> {
    let place = |name: &str| if Rules::is_of_hubs(name) { Place::Hub } else { Place::Device };
    let own = Rules::NAMES.iter().map(|name| (*name, place(name)));
    let further = OF_BOTH_WORLDS.iter().map(|name| (*name, Place::Hub));
    let all = own.chain(further);
    all.filter(|(_, place)| options.world.is_none_or(|world| world == *place)).collect()
}

/// Switches each rule off and looks for the first seed that notices.
fn switch_rules_off(options: &Options) -> (u64, u64) {
    let switched = rules_to_switch_off(options);
    let outcomes = spread(options.jobs, switched.len() as u64, |number| {
        let (name, place) = switched[usize::try_from(number).unwrap_or(0)];
        let rules = Rules::without(name).expect("the name is from the list");
        let caught = (0..SEEDS)
            .map(|seed| guarded(&Run { place, rules, ..Run::of(options.from + seed) }, run::run))
            .find(|report| report.violation.is_some());
        (name, place, caught)
    });
    let mut missed = 0;
    for (name, place, caught) in outcomes {
        let rule = format!("without {name} ({} world)", place.text());
        match caught.and_then(|report| Some((report.seed, report.violation?))) {
            Some((seed, violation)) => {
                println!("{rule}: {} notices at seed {seed}", violation.checker);
                print_failure(seed, &violation, &format!("{} --without {name}", place.option()));
            }
            None => {
                missed += 1;
                println!("{rule}: nobody notices in {SEEDS} seeds");
            }
        }
    }
    (switched.len() as u64 - missed, missed)
}

fn print_failure(seed: u64, violation: &Violation, changes: &str) {
    println!("  seed {seed}: {}: {}", violation.checker, violation.what);
    println!("    replay: cargo xtask sim --seed {seed}{changes}");
}

fn print_totals(totals: &Totals) {
    println!("faults:");
    for fault in Fault::ALL {
        println!("{:>10} {}", totals.faults.of(*fault), fault.text());
    }
    println!("rare paths:");
    for (mark, count) in Mark::ALL.iter().zip(totals.marks) {
        println!("{count:>10} {}", mark.text());
    }
    println!("checked:");
    for (name, sum) in totals.named() {
        println!("{sum:>10} {name}");
    }
}
