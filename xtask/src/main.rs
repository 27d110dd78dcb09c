//! `cargo xtask`: everything this repository does besides being compiled.

mod bench;
mod browsers;
mod build;
mod chaos;
mod cli;
mod demo;
mod failure;
mod fuzz;
mod generated;
mod npm;
mod peers;
mod process;
mod scale;
mod sim;
mod size;
mod stamp;
mod test;
mod tidy;
mod tools;
mod wasm;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use cli::{Cli, Verb};

fn main() -> ExitCode {
    let cli = Cli::parse();
    run(cli.verb).unwrap_or_else(|error| failure::report(&error))
}

fn run(verb: Verb) -> Result<ExitCode> {
    workspace::enter_root()?;
    match verb {
        Verb::Build => build::build().map(|()| ExitCode::SUCCESS),
        Verb::Demo(options) => demo::demo(&options),
        Verb::Bench(options) => bench::bench(&options),
        Verb::Chaos(options) => chaos::chaos(&options),
        Verb::Sim(options) => sim::sim(&options),
        Verb::Fuzz(options) => fuzz::fuzz(&options),
        Verb::Size(options) => size::size(&options),
        Verb::Test(options) => test::test(&options),
        Verb::Tidy(options) => tidy::tidy(&options),
    }
}
