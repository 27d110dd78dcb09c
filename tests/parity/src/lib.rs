//! Seeds of the simulator as cases that run natively and in wasm. Everything the clients, the nodes
//! and the disk of a run put out goes into one hash, so that two builds that agree on it agree on
//! every byte.

use tabmq::rules::Rules;
use tabmq::sim::run::run_seed;

/// What one seed gives: inputs handled, and the hash of all outputs. A seed that breaks a promise
/// gives no inputs.
#[must_use]
pub fn run_case(seed: u64) -> (u64, u64) {
    let report = run_seed(seed, Rules::ON, false);
    let inputs = if report.violation.is_none() { report.totals.inputs } else { 0 };
    (inputs, report.hash)
}

/// The interface of the wasm module: plain numbers, so that it needs no glue.
#[cfg(target_arch = "wasm32")]
mod exports {
    use core::cell::Cell;

    use super::run_case;

    std::thread_local! {
        static LAST_HASH: Cell<u64> = const { Cell::new(0) };
    }

    /// Runs a case. Gives the inputs it handled.
    #[unsafe(no_mangle)]
    extern "C" fn run_one_case(seed: u64) -> u64 {
        let (inputs, hash) = run_case(seed);
        LAST_HASH.set(hash);
        inputs
    }

    /// The hash of the outputs of the case that ran last.
    #[unsafe(no_mangle)]
    extern "C" fn last_hash() -> u64 {
        LAST_HASH.get()
    }
}
