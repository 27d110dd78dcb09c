//! The command line.

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Builds, checks and shows tabmq.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(Subcommand)]
pub enum Verb {
    /// Build the wasm module, its glue, the npm package and the generated documents
    Build,
    /// Build everything and serve the playground, or do the main job with no screen
    Demo(DemoOptions),
    /// Run every test there is, real browsers included
    Test(TestOptions),
    /// Check the rules of the repository that no compiler checks
    Tidy(TidyOptions),
    /// Run the native benchmarks, or those between two tabs of a browser
    Bench(BenchOptions),
    /// Run the simulator over many seeds, or replay one
    Sim(SimOptions),
    /// Measure what an application ships, against xtask/size-ratchet.txt
    Size(SizeOptions),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "lower")]
pub enum Browser {
    Chromium,
    Firefox,
    Webkit,
}

impl Browser {
    pub fn name(self) -> &'static str {
        match self {
            Self::Chromium => "chromium",
            Self::Firefox => "firefox",
            Self::Webkit => "webkit",
        }
    }
}

#[derive(Args)]
pub struct DemoOptions {
    /// Port on 127.0.0.1; the next free one is taken if it is in use
    #[arg(long, default_value_t = 4173)]
    pub port: u16,
    /// Do the main job in a browser with no screen and print the account of it
    #[arg(long)]
    pub headless: bool,
    /// Browser of the headless run
    #[arg(long, value_enum, default_value_t = Browser::Chromium, requires = "headless")]
    pub browser: Browser,
    /// Repeat the mix of the main job for so many minutes instead of doing it once
    #[arg(long, value_name = "N", requires = "headless")]
    pub minutes: Option<u32>,
}

#[derive(Args)]
pub struct TestOptions {
    /// Run only this step; may be given again
    #[arg(long, value_name = "STEP", conflicts_with = "repeat")]
    pub only: Vec<String>,
    /// List the steps and stop
    #[arg(long)]
    pub list: bool,
    /// Leave this browser out; may be given again
    #[arg(long, value_enum, value_name = "BROWSER")]
    pub without: Vec<Browser>,
    /// Run one browser test COUNT times in every browser
    #[arg(long, num_args = 2, value_names = ["COUNT", "NAME"])]
    pub repeat: Option<Vec<String>>,
}

#[derive(Args)]
pub struct TidyOptions {
    /// Lower the budgets in xtask/ratchet.txt to what the tree needs; none is raised
    #[arg(long)]
    pub tighten: bool,
}

#[derive(Args)]
pub struct BenchOptions {
    /// Run only benchmarks whose names contain one of these
    #[arg(value_name = "FILTER")]
    pub filters: Vec<String>,
    /// Between two tabs of this browser, each beside its raw peer; docs/benchmarks.md explains
    #[arg(long, value_enum)]
    pub browser: Option<Browser>,
    /// Print JSON instead of the table
    #[arg(long, requires = "browser")]
    pub json: bool,
    /// Measure what must hold, and fail if it does not: `scale` for long queues, needs valgrind
    #[arg(long, value_enum, conflicts_with_all = ["browser", "filters"])]
    pub check: Option<Check>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Check {
    Scale,
}

#[derive(Args)]
pub struct SimOptions {
    /// Number of seeds
    #[arg(long, default_value_t = 200, conflicts_with = "seed")]
    pub seeds: u64,
    /// First seed
    #[arg(long, conflicts_with = "seed")]
    pub from: Option<u64>,
    /// Replay this seed alone and print everything that happens
    #[arg(long)]
    pub seed: Option<u64>,
    /// Replay without this safety rule
    #[arg(long, value_name = "RULE", requires = "seed")]
    pub without: Option<String>,
    /// Also switch each safety rule off and demand that a checker notices
    #[arg(long, conflicts_with = "seed")]
    pub rules_off: bool,
}

#[derive(Args)]
pub struct SizeOptions {
    /// Print JSON instead of the table
    #[arg(long)]
    pub json: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
