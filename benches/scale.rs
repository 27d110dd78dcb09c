//! What does not get worse when a queue is long. `cargo xtask bench --check scale` runs each part
//! in a process of its own and judges what it prints.

mod broker;

use std::hint::black_box;
use std::time::Instant;

use broker::{BATCH, Bench};
use peak_alloc::PeakAlloc;
use tabmq::limits::Limits;
use tabmq::log::MemoryStore;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const BODY: [u8; 100] = [7; 100];
const QUEUE: &str = "work";
/// Messages that are sent, delivered and settled beside those that wait.
const PASSED: u64 = 10_000;
const REPEATS: usize = 5;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["pass", messages, ..] => pass(messages.parse().expect("a number of messages")),
        ["memory", messages, ..] => memory(messages.parse().expect("a number of messages")),
        ["recovery", messages, ..] => recovery(messages.parse().expect("a number of messages")),
        _ => println!("run by `cargo xtask bench --check scale`"),
    }
}

/// A node with so many messages in its queue, all of them in memory.
fn filled(messages: u64) -> Bench {
    let mut bench = Bench::new(Limits { resident_bytes_max: u32::MAX, ..Limits::default() });
    bench.send_all(QUEUE, messages, &BODY);
    bench
}

/// Whoever counts instructions counts those of `send_deliver_and_settle`.
fn pass(messages: u64) {
    let mut bench = filled(messages);
    bench.consume(QUEUE);
    for _ in 0..PASSED / BATCH {
        send_deliver_and_settle(&mut bench);
    }
    let kept = messages.saturating_sub(BATCH);
    assert_eq!(bench.ready(QUEUE), kept, "the queue is not as long as before");
}

#[inline(never)]
fn send_deliver_and_settle(bench: &mut Bench) {
    black_box(&mut *bench).send_all(QUEUE, BATCH, &BODY);
    assert!(bench.settle(), "nothing was delivered");
}

/// Ends the node, and gives what it left.
fn end(bench: Bench) -> MemoryStore {
    bench.store
}

/// Prints the bytes that each message takes in the node, without its body.
fn memory(messages: u64) {
    let bench = filled(messages);
    let with_node = ALLOCATOR.current_usage();
    let store = end(bench);
    let node_bytes = with_node - ALLOCATOR.current_usage();
    black_box(store);
    println!("{:.1}", node_bytes as f64 / messages as f64 - BODY.len() as f64);
}

/// Prints the milliseconds in which a node reads back so many records, the median of some.
fn recovery(records: u64) {
    let mut store = end(filled(records));
    let mut taken = Vec::new();
    for _ in 0..REPEATS {
        let begun = Instant::now();
        let mut bench = Bench::open(Limits::default(), store);
        taken.push(begun.elapsed().as_secs_f64() * 1000.0);
        assert_eq!(bench.ready(QUEUE), records, "records were lost");
        store = end(bench);
    }
    taken.sort_by(f64::total_cmp);
    println!("{:.0}", taken[REPEATS / 2]);
}
