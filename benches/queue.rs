//! What one message costs the broker: stored, leased, settled, over a store in memory.

mod broker;

use divan::counter::ItemsCount;

use broker::Bench;
use tabmq::limits::Limits;

fn main() {
    divan::main();
}

const MESSAGES: u64 = 10_000;

fn settle_all(bench: &mut Bench) {
    bench.consume("work");
    while bench.settle() {}
}

fn empty() -> Bench {
    Bench::new(Limits::default())
}

#[divan::bench]
fn send_100_bytes(bencher: divan::Bencher<'_, '_>) {
    bencher
        .counter(ItemsCount::new(MESSAGES))
        .with_inputs(empty)
        .bench_local_values(|mut bench| bench.send_all("work", MESSAGES, &[7; 100]));
}

#[divan::bench]
fn deliver_and_settle_100_bytes(bencher: divan::Bencher<'_, '_>) {
    bencher
        .counter(ItemsCount::new(MESSAGES))
        .with_inputs(|| {
            let mut bench = empty();
            bench.send_all("work", MESSAGES, &[7; 100]);
            bench
        })
        .bench_local_values(|mut bench| settle_all(&mut bench));
}

/// A million messages come and go, and one stays. What they leave behind is no more than before.
#[divan::bench(sample_count = 1)]
fn a_million_come_and_go(bencher: divan::Bencher<'_, '_>) {
    const ROUNDS: u64 = 1_000_000 / MESSAGES;
    const STORED_BYTES_MAX: usize = 4 << 20;
    let stays = |mut bench: Bench| {
        bench.send_all("old", 1, b"stays");
        bench
    };
    bencher
        .counter(ItemsCount::new(ROUNDS * MESSAGES))
        .with_inputs(|| stays(empty()))
        .bench_local_values(|mut bench| {
            for _ in 0..ROUNDS {
                bench.send_all("work", MESSAGES, &[7; 100]);
                settle_all(&mut bench);
            }
            assert_eq!(bench.ready("old"), 1);
            let stored: usize = bench.stored.values().sum();
            assert!(stored <= STORED_BYTES_MAX, "{stored} bytes are stored");
        });
}
