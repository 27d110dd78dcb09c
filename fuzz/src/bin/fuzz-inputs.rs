//! Runs every target over the committed corpus and over inputs that are made from it.
//!
//! `fuzz-inputs [--inputs N] [--seed S] [--seconds T] [TARGET]`: N inputs of each target, 100 000
//! if nothing is said, or as many as take T seconds. `fuzz-inputs --file PATH TARGET` runs one
//! input. The last line is `N passed, N failed`, counted in targets.

use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{env, fs, io};

use fuzz::mutate::Inputs;
use fuzz::{TARGETS, Target, corpus};

const INPUTS: u64 = 100_000;
/// Where an input is put that breaks a target.
const FAILURES: &str = "target/fuzz-failures";

#[derive(Debug)]
struct Options {
    inputs: u64,
    seed: u64,
    lasts: Option<Duration>,
    file: Option<PathBuf>,
    target: Option<String>,
}

fn main() -> io::Result<ExitCode> {
    let options = parse(env::args().skip(1));
    let chosen = |target: &&Target| options.target.as_ref().is_none_or(|name| name == target.name);
    let targets: Vec<&Target> = TARGETS.iter().filter(chosen).collect();
    assert!(!targets.is_empty(), "there is no target {:?}", options.target);
    if let Some(file) = &options.file {
        let input = fs::read(file)?;
        for target in targets {
            println!("{}: {}", target.name, (target.run)(&input));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let (mut passed, mut failed) = (0, 0);
    for target in targets {
        match run(target, &options)? {
            true => passed += 1,
            false => failed += 1,
        }
    }
    println!("{passed} passed, {failed} failed");
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Options {
    let mut options = Options { inputs: INPUTS, seed: 1, lasts: None, file: None, target: None };
    while let Some(name) = arguments.next() {
        let mut value = || arguments.next().unwrap_or_default();
        let number = |text: String| {
            text.parse().unwrap_or_else(|_| panic!("{name} needs a number, not {text:?}"))
        };
        match name.as_str() {
            "--inputs" => options.inputs = number(value()),
            "--seed" => options.seed = number(value()),
            "--seconds" => options.lasts = Some(Duration::from_secs(number(value()))),
            "--file" => options.file = Some(value().into()),
            _ => options.target = Some(name),
        }
    }
    options
}

/// Runs one target. False after an input that breaks it, which is kept.
fn run(target: &Target, options: &Options) -> io::Result<bool> {
    let started = Instant::now();
    let entries: Vec<Vec<u8>> = corpus::read(target.name)?.into_values().collect();
    let mut inputs = Inputs::new(&entries, options.seed);
    let (mut made, mut read) = (0_u64, 0_u64);
    for entry in &entries {
        if !holds(target, entry)?.0 {
            return Ok(false);
        }
    }
    let goes_on = |made: u64| match options.lasts {
        Some(lasts) => started.elapsed() < lasts,
        None => made < options.inputs,
    };
    while goes_on(made) {
        let (holds, was_read) = holds(target, &inputs.next_input())?;
        if !holds {
            return Ok(false);
        }
        made += 1;
        read += u64::from(was_read);
    }
    let seconds = started.elapsed().as_secs_f64();
    let Target { name, .. } = target;
    println!("{name}: {} of the corpus, {made} made, {read} read, {seconds:.1} s", entries.len());
    Ok(true)
}

/// Whether the target holds for the input, and whether it read it.
fn holds(target: &Target, input: &[u8]) -> io::Result<(bool, bool)> {
    let run = target.run;
    if let Ok(read) = catch_unwind(|| run(input)) {
        return Ok((true, read));
    }
    fs::create_dir_all(FAILURES)?;
    let path = Path::new(FAILURES).join(target.name);
    fs::write(&path, input)?;
    println!("{} breaks; run it again with", target.name);
    println!("    fuzz-inputs --file {} {}", path.display(), target.name);
    Ok((false, false))
}
