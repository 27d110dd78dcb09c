//! Full queues.

use tabmq::error::Code;
use tabmq::id::{ConsumerId, RequestId, Sequence};
use tabmq::options::{ConsumeOptions, DeadLetter, Overflow, QueueOptions};
use tabmq::wire::Frame;
use tabmq::wire::frame::{Delivery, QueueCounts, Settlement};

use crate::harness::{Bench, Peer, item};

pub fn declare(bench: &mut Bench, peer: &mut Peer, queue: &str, options: QueueOptions) {
    bench.frames(peer);
    bench.say(peer, &[Frame::Declare { request: RequestId(1), queue, options }]);
    assert!(matches!(bench.frames(peer).last(), Some(Frame::QueueState { .. })));
}

pub fn take(
    bench: &mut Bench,
    peer: &mut Peer,
    queue: &str,
    prefetch: u32,
) -> Vec<Delivery<'static>> {
    bench.frames(peer);
    let (consumer, options) = (ConsumerId(prefetch), ConsumeOptions::new(prefetch, 1 << 20));
    bench.say(peer, &[Frame::Consume { consumer, queue, options }]);
    deliveries(bench, peer)
}

pub fn deliveries(bench: &mut Bench, peer: &Peer) -> Vec<Delivery<'static>> {
    let delivery = |frame| if let Frame::Deliver(delivery) = frame { Some(delivery) } else { None };
    bench.frames(peer).into_iter().filter_map(delivery).collect()
}

pub fn bodies(deliveries: &[Delivery<'static>]) -> Vec<&'static [u8]> {
    deliveries.iter().map(|delivery| delivery.body).collect()
}

pub fn counts(bench: &mut Bench, peer: &mut Peer, queue: &str) -> QueueCounts {
    bench.frames(peer);
    bench.say(peer, &[Frame::Inspect { request: RequestId(99), queue }]);
    match bench.frames(peer).pop() {
        Some(Frame::QueueState { state, .. }) => state,
        other => panic!("not the state of a queue: {other:?}"),
    }
}

pub fn ring(messages_max: u64) -> QueueOptions {
    QueueOptions {
        messages_max: Some(messages_max),
        overflow: Some(Overflow::DropOldest),
        ..QueueOptions::default()
    }
}

#[test]
fn a_ring_keeps_the_newest_and_counts_what_it_drops() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    declare(&mut bench, &mut peer, "ring", ring(3));
    for body in [b"1", b"2", b"3", b"4", b"5"] {
        bench.send(&mut peer, "ring", body);
    }
    let state = counts(&mut bench, &mut peer, "ring");
    assert_eq!((state.ready, state.sent_total, state.discarded_total), (3, 5, 2));
    bench.restart();
    let mut peer = bench.join(2);
    let state = counts(&mut bench, &mut peer, "ring");
    assert_eq!((state.ready, state.sent_total, state.discarded_total), (3, 5, 2));
    assert_eq!(bodies(&take(&mut bench, &mut peer, "ring", 9)), [b"3", b"4", b"5"]);
}

#[test]
fn what_is_leased_does_not_count_in_a_ring_and_the_newest_win_when_it_comes_back() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    declare(&mut bench, &mut peer, "ring", ring(2));
    bench.send(&mut peer, "ring", b"1");
    let held = take(&mut bench, &mut peer, "ring", 1);
    assert_eq!(bodies(&held), [b"1"]);
    for body in [b"2", b"3"] {
        bench.send(&mut peer, "ring", body);
    }
    let state = counts(&mut bench, &mut peer, "ring");
    assert_eq!((state.ready, state.leased, state.discarded_total), (2, 1, 0));
    bench.say(&mut peer, &[Frame::CancelConsumer { consumer: ConsumerId(1) }]);
    let (lease, settlement) = (held[0].lease, Settlement::Release);
    bench.say(&mut peer, &[Frame::Settle { lease, settlement }]);
    let state = counts(&mut bench, &mut peer, "ring");
    assert_eq!((state.ready, state.leased, state.discarded_total), (2, 0, 1));
    assert_eq!(bodies(&take(&mut bench, &mut peer, "ring", 9)), [b"2", b"3"]);
}

#[test]
fn a_batch_that_is_longer_than_its_ring_leaves_the_end_of_itself() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    declare(&mut bench, &mut peer, "ring", ring(2));
    let items = [b"1", b"2", b"3", b"4"].map(|body| item(body)).into();
    let (refusals_seen, sequence) = (Sequence(0), Sequence(1));
    let send = Frame::Send { sequence, queue: "ring", refusals_seen, durability: None, items };
    bench.say(&mut peer, &[send]);
    assert_eq!(bodies(&take(&mut bench, &mut peer, "ring", 9)), [b"3", b"4"]);
}

#[test]
fn bytes_have_their_own_limit() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    let bytes_max = Some(10);
    let options = QueueOptions { bytes_max, ..QueueOptions::default() };
    declare(&mut bench, &mut peer, "small", options);
    bench.send(&mut peer, "small", b"123456");
    assert_eq!(take(&mut bench, &mut peer, "small", 1).len(), 1, "a leased message counts");
    bench.send(&mut peer, "small", b"12345");
    let (sequence, code, reason) = (Sequence(2), Code::Full, "bytes_max");
    let refused = Frame::SendRefused { sequence, code, reason };
    assert!(bench.frames(&peer).contains(&refused));

    let options = QueueOptions { bytes_max, overflow: Some(Overflow::DropOldest), ..ring(99) };
    declare(&mut bench, &mut peer, "ring", options);
    for body in [&b"1234"[..], b"5", b"678901"] {
        bench.send(&mut peer, "ring", body);
    }
    assert_eq!(bodies(&take(&mut bench, &mut peer, "ring", 9)), [&b"5"[..], b"678901"]);
}

#[test]
fn what_a_full_queue_sheds_can_be_kept_as_dead_letters() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    let overflow = Some(Overflow::DeadLetter);
    declare(&mut bench, &mut peer, "spills", QueueOptions { overflow, ..ring(1) });
    bench.send(&mut peer, "spills", b"1");
    bench.send(&mut peer, "spills", b"2");
    assert_eq!(counts(&mut bench, &mut peer, "spills").dead_lettered_total, 1);
    bench.restart();
    let mut peer = bench.join(2);
    let dead = take(&mut bench, &mut peer, "spills.dead", 9);
    assert_eq!((bodies(&dead), dead[0].dead_reason), (vec![&b"1"[..]], Some("overflow")));
    assert_eq!(dead[0].attempt, 1);

    let dead_letter = Some(DeadLetter::Discard);
    declare(&mut bench, &mut peer, "sheds", QueueOptions { overflow, dead_letter, ..ring(1) });
    bench.send(&mut peer, "sheds", b"1");
    bench.send(&mut peer, "sheds", b"2");
    assert_eq!(counts(&mut bench, &mut peer, "sheds").discarded_total, 1);
}

#[test]
fn a_queue_that_is_its_own_dead_letter_queue_lets_go_of_what_does_not_fit() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    let dead_letter = Some(DeadLetter::Queue("own".into()));
    let overflow = Some(Overflow::DeadLetter);
    declare(&mut bench, &mut peer, "own", QueueOptions { overflow, dead_letter, ..ring(1) });
    bench.send(&mut peer, "own", b"1");
    bench.send(&mut peer, "own", b"2");
    let state = counts(&mut bench, &mut peer, "own");
    assert_eq!((state.ready, state.discarded_total), (1, 1));
}

#[test]
fn a_limit_that_is_lowered_holds_at_once() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    declare(&mut bench, &mut peer, "ring", ring(9));
    for body in [b"1", b"2", b"3"] {
        bench.send(&mut peer, "ring", body);
    }
    declare(&mut bench, &mut peer, "ring", ring(1));
    assert_eq!(bodies(&take(&mut bench, &mut peer, "ring", 9)), [b"3"]);
}
