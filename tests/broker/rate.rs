//! Queues that are served so many times in a while.

use tabmq::error::Code;
use tabmq::id::RequestId;
use tabmq::options::{QueueOptions, Rate};
use tabmq::wire::Frame;
use tabmq::wire::frame::Settlement;

use crate::harness::{Bench, Peer};
use crate::overflow::{declare, deliveries, take};

fn rated(limit: u32, per_ms: u64, burst: Option<u32>) -> QueueOptions {
    QueueOptions { rate: Some(Rate { limit, per_ms, burst }), ..QueueOptions::default() }
}

fn begun(options: QueueOptions, sends: usize) -> (Bench, Peer) {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    declare(&mut bench, &mut peer, "paced", options);
    for _ in 0..sends {
        bench.send(&mut peer, "paced", b"1");
    }
    (bench, peer)
}

/// How many come in each of so many whiles.
fn served(bench: &mut Bench, peer: &Peer, whiles: usize, while_ms: u64) -> Vec<usize> {
    let mut counts = Vec::new();
    for _ in 0..whiles {
        bench.pass_ms(while_ms);
        counts.push(deliveries(bench, peer).len());
    }
    counts
}

#[test]
fn a_burst_comes_at_once_and_the_rest_at_an_even_pace() {
    let (mut bench, mut peer) = begun(rated(4, 1000, None), 12);
    assert_eq!(take(&mut bench, &mut peer, "paced", 99).len(), 4);
    assert_eq!(served(&mut bench, &peer, 4, 250), [1, 1, 1, 1]);
    assert_eq!(served(&mut bench, &peer, 2, 1000), [4, 0]);
    // What was not used is saved up to the burst.
    for _ in 0..9 {
        bench.send(&mut peer, "paced", b"2");
    }
    assert_eq!(deliveries(&mut bench, &peer).len(), 4);
    assert_eq!(served(&mut bench, &peer, 3, 250), [1, 1, 1]);
}

#[test]
fn a_burst_of_one_spreads_them() {
    let (mut bench, mut peer) = begun(rated(3, 1000, Some(1)), 4);
    assert_eq!(take(&mut bench, &mut peer, "paced", 99).len(), 1);
    assert_eq!(served(&mut bench, &peer, 2, 333), [0, 1], "a third is rounded up");
    assert_eq!(served(&mut bench, &peer, 1, 334), [1]);
}

#[test]
fn what_comes_again_counts() {
    let (mut bench, mut peer) = begun(rated(1, 1000, None), 1);
    let came = take(&mut bench, &mut peer, "paced", 99);
    let (lease, settlement) = (came[0].lease, Settlement::Release);
    bench.say(&mut peer, &[Frame::Settle { lease, settlement }]);
    assert_eq!(deliveries(&mut bench, &peer).len(), 0);
    assert_eq!(served(&mut bench, &peer, 1, 1000), [1]);
}

#[test]
fn another_host_begins_without_a_burst() {
    let (mut bench, mut peer) = begun(rated(4, 1000, None), 20);
    assert_eq!(take(&mut bench, &mut peer, "paced", 99).len(), 4);
    for number in 2..5 {
        bench.restart();
        let mut peer = bench.join(number);
        // Who held messages may come back, for so long nobody is given them.
        assert_eq!(take(&mut bench, &mut peer, "paced", 99).len(), 0, "host {number}");
    }
    bench.restart();
    let mut peer = bench.join(9);
    assert_eq!(take(&mut bench, &mut peer, "paced", 99).len(), 0);
    assert_eq!(served(&mut bench, &peer, 1, 250), [1]);
}

#[test]
fn a_rate_changes_in_place() {
    let (mut bench, mut peer) = begun(rated(1, 3_600_000, None), 9);
    assert_eq!(take(&mut bench, &mut peer, "paced", 99).len(), 1);
    let declare_again = |bench: &mut Bench, peer: &mut Peer, options| {
        bench.say(peer, &[Frame::Declare { request: RequestId(5), queue: "paced", options }]);
        deliveries(bench, peer).len()
    };
    assert_eq!(declare_again(&mut bench, &mut peer, rated(1, 1000, None)), 0);
    assert_eq!(served(&mut bench, &peer, 2, 1000), [1, 1], "nobody waits for an hour");
    assert_eq!(declare_again(&mut bench, &mut peer, rated(4, 1000, None)), 0);
    assert_eq!(served(&mut bench, &peer, 2, 250), [1, 1]);
}

#[test]
fn a_queue_that_is_not_served_for_its_rate_alone_wakes_the_node_once() {
    let (mut bench, mut peer) = begun(rated(1, 60_000, None), 2);
    take(&mut bench, &mut peer, "paced", 99);
    let mut wakes = 0;
    let end = bench.now.mono.after_ms(60_000);
    while let Some(at) = bench.settle().filter(|at| *at < end) {
        let ms = at.0.saturating_sub(bench.now.mono.0).div_ceil(1000).max(1);
        bench.pass_ms(ms);
        wakes += 1;
    }
    // Housekeeping looks once a second, and beside it a lease ends and a ping is answered late.
    assert!(wakes < 70, "{wakes}");
}

#[test]
fn a_rate_of_nothing_is_refused() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    for options in [rated(0, 1000, None), rated(1, 0, None), rated(1, 1000, Some(0))] {
        bench.frames(&peer);
        let (request, code, reason) = (RequestId(1), Code::Invalid, "rate");
        bench.say(&mut peer, &[Frame::Declare { request, queue: "paced", options }]);
        assert_eq!(bench.frames(&peer), [Frame::RequestRefused { request, code, reason }]);
    }
}
