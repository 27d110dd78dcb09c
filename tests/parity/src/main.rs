//! Prints `SEED INPUTS HASH` for the seeds from 1 to the number that is given.

use std::env;

fn main() {
    let count = env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(1);
    for seed in 1..=count {
        let (inputs, hash) = parity::run_case(seed);
        println!("{seed} {inputs} {hash:016x}");
    }
}
