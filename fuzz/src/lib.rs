//! Functions over arbitrary bytes. Each says what it holds, and panics if it does not.
//!
//! `fuzz-inputs` runs them over the committed corpus and over inputs that are made from it, on a
//! stable compiler; `cargo xtask fuzz` gives them to libFuzzer. `docs/fuzzing.md` tells more.

mod broker;
mod bytes;
mod checkpoint;
pub mod corpus;
mod cron;
mod filters;
mod frames;
mod host;
mod log;
pub mod mutate;
mod recovered;

pub use broker::broker;
pub use checkpoint::checkpoint_loading;
pub use cron::cron;
pub use filters::filters;
pub use frames::frames;
pub use log::log_scanning;

/// One target. It gives whether the bytes were something, which tells how deep inputs go.
#[derive(Clone, Copy)]
pub struct Target {
    /// Also the name of its folder in `corpus/` and of its file in `fuzz_targets/`.
    pub name: &'static str,
    pub run: fn(&[u8]) -> bool,
}

pub const TARGETS: &[Target] = &[
    Target { name: "frames", run: frames },
    Target { name: "filters", run: filters },
    Target { name: "cron", run: cron },
    Target { name: "log_scanning", run: log_scanning },
    Target { name: "checkpoint_loading", run: checkpoint_loading },
    Target { name: "broker", run: broker },
];
