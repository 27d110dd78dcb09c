//! The command line.

use std::num::NonZeroU32;

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
    /// Give the fuzz targets to libFuzzer, with a nightly compiler and cargo-fuzz
    Fuzz(FuzzOptions),
    /// Have tabs of a browser die, stop, come back and lose their storage under load, and check
    Chaos(ChaosOptions),
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
    #[arg(long, value_enum, group = "between")]
    pub browser: Option<Browser>,
    /// Print JSON instead of the table, of a browser or a hub
    #[arg(long, requires = "between")]
    pub json: bool,
    /// Instead: how long nobody delivers when the host of three tabs was killed, so many times each
    /// with 0, 1000 and 10 000 messages stored, beside a bare lock
    #[arg(long, value_name = "KILLS", requires = "browser", conflicts_with = "filters")]
    pub recovery: Option<u32>,
    /// Over files in Node.js, beside the raw disk
    #[arg(long, conflicts_with_all = ["browser", "filters"])]
    pub files: bool,
    /// A hub in Node.js, beside nats-server over WebSocket and a bare echo
    #[arg(long, group = "between", conflicts_with = "files")]
    pub hub: bool,
    /// Measure what must hold, and fail if it does not: `scale` for long queues, needs valgrind
    #[arg(long, value_enum, conflicts_with_all = ["browser", "files", "hub", "filters"])]
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
    /// Only the world with the node on a device, or with a hub: `device` or `hub`
    #[arg(long, value_name = "WORLD", value_parser = ["device", "hub"])]
    pub world: Option<String>,
    /// Replay without this safety rule
    #[arg(long, value_name = "RULE", requires = "seed")]
    pub without: Option<String>,
    /// Seeds at a time; as many as there are processors unless given
    #[arg(long, value_name = "J")]
    pub jobs: Option<usize>,
    /// Look for the least of this seed that fails as the whole of it does
    #[arg(long, requires = "seed", conflicts_with_all = ["steps", "tabs", "no_fault"])]
    pub shrink: bool,
    /// Replay with no fault after so many steps
    #[arg(long, value_name = "N", requires = "seed")]
    pub steps: Option<u64>,
    /// Replay with so many tabs at most
    #[arg(long, value_name = "N", requires = "seed")]
    pub tabs: Option<u64>,
    /// Replay without this kind of fault; may be given again
    #[arg(long, value_name = "KIND", requires = "seed")]
    pub no_fault: Vec<String>,
    /// Go on with faults for so many inputs
    #[arg(long, value_name = "N", conflicts_with = "shrink")]
    pub inputs: Option<u64>,
    /// How often a kind of fault occurs, in thousandths, as in `node-died=20`; may be given again
    #[arg(long, value_name = "KIND=PER_MILLE", conflicts_with = "shrink")]
    pub fault: Vec<String>,
    /// Also switch each safety rule off and demand that a checker notices
    #[arg(long, conflicts_with = "seed")]
    pub rules_off: bool,
}

#[derive(Args)]
pub struct FuzzOptions {
    /// Minutes for each target
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub minutes: u32,
    /// Only this target; they are the files of fuzz/fuzz_targets
    pub target: Option<String>,
}

#[derive(Args)]
pub struct ChaosOptions {
    /// Number of events
    #[arg(long, value_name = "N", default_value = "30")]
    pub events: NonZeroU32,
    /// Browser to run in
    #[arg(long, value_enum, default_value_t = Browser::Chromium)]
    pub browser: Browser,
    /// Repeat the events of this seed; by default another one each time
    #[arg(long)]
    pub seed: Option<u32>,
    /// Where tabs ask for the node to run, by comma: auto, tab, worker, shared-worker (all of them)
    #[arg(long, value_name = "HOSTS")]
    pub host: Option<String>,
    /// Kill the process of a hub so many times under load instead, in Node.js alone
    #[arg(long, value_name = "KILLS", conflicts_with_all = ["events", "browser", "seed", "host"])]
    pub hub: Option<NonZeroU32>,
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
