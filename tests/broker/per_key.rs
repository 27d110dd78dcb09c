//! What a queue keeps of each key: the last value, or so many messages.

use tabmq::cbor;
use tabmq::error::Code;
use tabmq::id::{ConsumerId, RequestId, Sequence};
use tabmq::options::{DeadLetter, Order, Overflow, QueueOptions};
use tabmq::wire::Frame;
use tabmq::wire::frame::{
    Acked, Delivery, Item, Policy, Properties, QueueCounts, Redrive, Settlement, Staged, Task,
    Tracking,
};

use crate::harness::{Bench, Peer, item};
use crate::overflow::{bodies, counts, declare, deliveries, ring, take};

const ACK: Settlement<'static> = Settlement::Ack { value: None };

fn properties(key: Option<&str>) -> Vec<u8> {
    let mut bytes = Vec::new();
    cbor::encode(&Properties { key, ..Properties::default() }, &mut bytes);
    bytes
}

fn last_value() -> QueueOptions {
    QueueOptions { last_value: Some(true), ..QueueOptions::default() }
}

fn few(messages: u64, overflow: Overflow) -> QueueOptions {
    let messages_per_key_max = Some(messages);
    QueueOptions { messages_per_key_max, overflow: Some(overflow), ..QueueOptions::default() }
}

/// Sends one batch. The first letter of a body is its key; those that begin with `-` have none.
fn send(bench: &mut Bench, peer: &mut Peer, queue: &str, bodies: &[&str]) -> Sequence {
    send_with(bench, peer, queue, bodies, |item| item)
}

fn send_with(
    bench: &mut Bench,
    peer: &mut Peer,
    queue: &str,
    bodies: &[&str],
    change: impl Fn(Item<'static>) -> Item<'static>,
) -> Sequence {
    let leak = |bytes: Vec<u8>| -> &'static [u8] { bytes.leak() };
    let made = bodies.iter().map(|body| {
        let properties = leak(properties(body.get(..1).filter(|key| *key != "-")));
        let body = leak(body.as_bytes().to_vec());
        change(Item { properties: Some(properties), ..item(body) })
    });
    let (sequence, items) = (peer.next, made.collect());
    peer.next = sequence.next();
    let (refusals_seen, durability) = (Sequence(u64::from(u32::MAX)), None);
    bench.frames(peer);
    bench.say(peer, &[Frame::Send { sequence, queue, refusals_seen, durability, items }]);
    sequence
}

/// Why the last send was refused.
fn refusal(bench: &mut Bench, peer: &Peer) -> Option<(Code, &'static str)> {
    bench.frames(peer).into_iter().find_map(|frame| match frame {
        Frame::SendRefused { code, reason, .. } => Some((code, reason)),
        _ => None,
    })
}

fn settle(bench: &mut Bench, peer: &mut Peer, delivery: &Delivery<'_>, settlement: Settlement<'_>) {
    bench.say(peer, &[Frame::Settle { lease: delivery.lease, settlement }]);
}

fn digest(bench: &Bench) -> u64 {
    bench.node.broker().expect("a node that serves").digest()
}

fn load(state: &QueueCounts) -> (u64, u64, u64) {
    (state.ready, state.leased, state.discarded_total)
}

#[test]
fn the_newest_of_a_key_stands_at_the_end_and_keyless_messages_stay() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    declare(&mut bench, &mut peer, "state", last_value());
    for body in ["a1", "-1", "b1", "-2", "a2"] {
        send(&mut bench, &mut peer, "state", &[body]);
    }
    assert_eq!(load(&counts(&mut bench, &mut peer, "state")), (4, 0, 1));
    bench.restart();
    let mut peer = bench.join(2);
    assert_eq!(load(&counts(&mut bench, &mut peer, "state")), (4, 0, 1));
    let came = take(&mut bench, &mut peer, "state", 9);
    assert_eq!(bodies(&came), [b"-1", b"b1", b"-2", b"a2"]);
}

#[test]
fn within_a_batch_the_last_of_a_key_counts() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    declare(&mut bench, &mut peer, "state", last_value());
    send(&mut bench, &mut peer, "state", &["a1", "b1", "a2", "a3"]);
    assert_eq!(bodies(&take(&mut bench, &mut peer, "state", 9)), [b"b1", b"a3"]);
}

#[test]
fn what_is_held_is_finished_and_the_newest_waits_for_it() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    declare(&mut bench, &mut peer, "state", last_value());
    send(&mut bench, &mut peer, "state", &["a1"]);
    let held = take(&mut bench, &mut peer, "state", 9);
    assert_eq!(bodies(&held), [b"a1"]);
    for body in ["a2", "a3", "b1"] {
        send(&mut bench, &mut peer, "state", &[body]);
    }
    let came = deliveries(&mut bench, &peer);
    assert_eq!(bodies(&came), [b"b1"]);
    assert_eq!(load(&counts(&mut bench, &mut peer, "state")), (1, 2, 1));
    settle(&mut bench, &mut peer, &held[0], ACK);
    assert_eq!(bodies(&deliveries(&mut bench, &peer)), [b"a3"]);
}

#[test]
fn a_value_that_comes_back_is_gone_if_a_newer_one_waits() {
    for settlement in [
        Settlement::Release,
        Settlement::Retry { after_ms: Some(0), reason: None },
        Settlement::Retry { after_ms: Some(60_000), reason: None },
    ] {
        let mut bench = Bench::new();
        let mut peer = bench.join(1);
        declare(&mut bench, &mut peer, "state", last_value());
        send(&mut bench, &mut peer, "state", &["a1"]);
        let held = take(&mut bench, &mut peer, "state", 9);
        send(&mut bench, &mut peer, "state", &["a2"]);
        settle(&mut bench, &mut peer, &held[0], settlement);
        assert_eq!(bodies(&deliveries(&mut bench, &peer)), [b"a2"], "{settlement:?}");
        assert_eq!(load(&counts(&mut bench, &mut peer, "state")), (0, 1, 1));
    }
}

#[test]
fn a_newer_value_replaces_one_that_waits_for_its_time_or_its_next_attempt() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    declare(&mut bench, &mut peer, "state", last_value());
    send_with(&mut bench, &mut peer, "state", &["a1"], |item| Item {
        delay_ms: Some(5000),
        ..item
    });
    send(&mut bench, &mut peer, "state", &["a2"]);
    let held = take(&mut bench, &mut peer, "state", 9);
    assert_eq!(bodies(&held), [b"a2"]);
    let later = Settlement::Retry { after_ms: Some(60_000), reason: None };
    settle(&mut bench, &mut peer, &held[0], later);
    // A delay counts from the send: the older value is gone at once.
    send_with(&mut bench, &mut peer, "state", &["a3"], |item| Item {
        delay_ms: Some(5000),
        ..item
    });
    let state = counts(&mut bench, &mut peer, "state");
    assert_eq!((state.delayed, state.discarded_total), (1, 2));
    bench.pass_ms(5000);
    assert_eq!(bodies(&deliveries(&mut bench, &peer)), [b"a3"]);
}

#[test]
fn who_tracks_a_value_hears_that_it_was_replaced() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    declare(&mut bench, &mut peer, "state", last_value());
    let track = |item| Item { track: Some(true), ..item };
    let sequence = send_with(&mut bench, &mut peer, "state", &["a1"], track);
    send(&mut bench, &mut peer, "state", &["a2"]);
    let (request, processed) = (RequestId(7), true);
    let id = format!("{}-{}-0", peer.lane.0, sequence.0);
    bench.frames(&peer);
    bench.say(&mut peer, &[Frame::Track { request, queue: "state", id: &id, processed }]);
    let outcome = Tracking::Failed { code: Code::Discarded, reason: "replaced" };
    assert_eq!(bench.frames(&peer), [Frame::Tracked { request, outcome }]);
}

#[test]
fn a_full_queue_takes_a_value_for_which_another_leaves() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    let (messages_max, bytes_max) = (Some(2), Some(5));
    let options = QueueOptions { messages_max, bytes_max, ..last_value() };
    declare(&mut bench, &mut peer, "state", options);
    send(&mut bench, &mut peer, "state", &["a1", "b1"]);
    send(&mut bench, &mut peer, "state", &["c1"]);
    assert_eq!(refusal(&mut bench, &peer), Some((Code::Full, "messages_max")));
    send(&mut bench, &mut peer, "state", &["a2", "a3"]);
    assert_eq!(refusal(&mut bench, &peer), None);
    send(&mut bench, &mut peer, "state", &["a234"]);
    assert_eq!(refusal(&mut bench, &peer), Some((Code::Full, "bytes_max")));
    send(&mut bench, &mut peer, "state", &["a23"]);
    assert_eq!(refusal(&mut bench, &peer), None);
    assert_eq!(bodies(&take(&mut bench, &mut peer, "state", 9)), [&b"b1"[..], b"a23"]);
}

#[test]
fn a_key_that_has_no_room_is_named_and_the_whole_send_refused() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    declare(&mut bench, &mut peer, "few", few(2, Overflow::Reject));
    send(&mut bench, &mut peer, "few", &["a1", "a2", "-1", "-2", "-3"]);
    let held = take(&mut bench, &mut peer, "few", 1);
    assert_eq!(bodies(&held), [b"a1"], "what is held counts");
    let before = digest(&bench);
    send(&mut bench, &mut peer, "few", &["b1", "b2", "a3"]);
    let full = Some((Code::Full, "messages_per_key_max:a"));
    assert_eq!(refusal(&mut bench, &peer), full);
    assert_ne!(digest(&bench), before, "the number is used up");
    assert_eq!(counts(&mut bench, &mut peer, "few").sent_total, 5);
    send(&mut bench, &mut peer, "few", &["b1", "b2", "b3"]);
    assert_eq!(refusal(&mut bench, &peer), Some((Code::Full, "messages_per_key_max:b")));
    send(&mut bench, &mut peer, "few", &["b1", "b2", "c1"]);
    assert_eq!(refusal(&mut bench, &peer), None);
    // An acknowledgement of the same transaction makes room.
    let mark = properties(Some("a"));
    let items = vec![Item { properties: Some(&mark), ..item(b"a3") }];
    let (writes, sequence) = (vec![Staged { queue: "few", items }], peer.next);
    peer.next = sequence.next();
    let acks = vec![Acked { lease: held[0].lease, value: None }];
    let (refusals_seen, durability) = (Sequence(99), None);
    let commit = Frame::Commit { sequence, refusals_seen, durability, writes, acks };
    bench.say(&mut peer, &[commit]);
    assert_eq!(refusal(&mut bench, &peer), None);
    send(&mut bench, &mut peer, "few", &["a4"]);
    assert_eq!(refusal(&mut bench, &peer), full);
}

#[test]
fn the_oldest_of_a_key_makes_room_or_becomes_a_dead_letter() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    declare(&mut bench, &mut peer, "few", few(2, Overflow::DropOldest));
    for body in ["b1", "a1", "a2", "a3", "-1", "a4"] {
        send(&mut bench, &mut peer, "few", &[body]);
    }
    assert_eq!(load(&counts(&mut bench, &mut peer, "few")), (4, 0, 2));
    assert_eq!(bodies(&take(&mut bench, &mut peer, "few", 9)), [b"b1", b"a3", b"-1", b"a4"]);

    declare(&mut bench, &mut peer, "spills", few(1, Overflow::DeadLetter));
    send(&mut bench, &mut peer, "spills", &["a1", "a2", "b1"]);
    bench.restart();
    let mut peer = bench.join(2);
    send(&mut bench, &mut peer, "spills", &["b2"]);
    let dead = take(&mut bench, &mut peer, "spills.dead", 9);
    assert_eq!(bodies(&dead), [b"a1", b"b1"]);
    assert_eq!(dead[0].dead_reason, Some("overflow"));
    assert_eq!(bodies(&take(&mut bench, &mut peer, "spills", 8)), [b"a2", b"b2"]);
}

#[test]
fn a_bound_that_comes_or_changes_holds_at_once_as_far_as_the_policy_lets_go() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    send(&mut bench, &mut peer, "few", &["a1", "a2", "a3", "b1"]);
    declare(&mut bench, &mut peer, "few", few(2, Overflow::Reject));
    assert_eq!(counts(&mut bench, &mut peer, "few").ready, 4, "nothing leaves");
    send(&mut bench, &mut peer, "few", &["a4"]);
    assert!(refusal(&mut bench, &peer).is_some());
    declare(&mut bench, &mut peer, "few", few(2, Overflow::DropOldest));
    assert_eq!(counts(&mut bench, &mut peer, "few").ready, 3);
    let options = few(1, Overflow::DropOldest);
    let policy = Policy { name: "tight", pattern: "few", priority: 0, options };
    let frame = Frame::SetPolicy { request: RequestId(2), name: "tight", policy: Some(policy) };
    bench.say(&mut peer, &[frame]);
    assert_eq!(counts(&mut bench, &mut peer, "few").ready, 3, "what is declared goes before");
    declare(&mut bench, &mut peer, "few", few(1, Overflow::DropOldest));
    assert_eq!(bodies(&take(&mut bench, &mut peer, "few", 9)), [b"a3", b"b1"]);
}

#[test]
fn a_redrive_never_pushes_a_newer_one_of_the_key_out() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    declare(&mut bench, &mut peer, "state", last_value());
    send(&mut bench, &mut peer, "state", &["a1", "b1"]);
    for delivery in take(&mut bench, &mut peer, "state", 9) {
        settle(&mut bench, &mut peer, &delivery, Settlement::Reject { reason: None });
    }
    bench.say(&mut peer, &[Frame::CancelConsumer { consumer: ConsumerId(9) }]);
    send(&mut bench, &mut peer, "state", &["a2"]);
    let redrive = Redrive {
        queue: Some("state.dead"),
        into: Some("state"),
        task: Some(Task::Move),
        ..Redrive::default()
    };
    bench.frames(&peer);
    bench.say(&mut peer, &[Frame::Redrive { request: RequestId(3), redrive }]);
    let counted = Frame::Counted { request: RequestId(3), count: 1 };
    assert!(bench.frames(&peer).contains(&counted));
    assert_eq!(counts(&mut bench, &mut peer, "state.dead").ready, 1);
    assert_eq!(bodies(&take(&mut bench, &mut peer, "state", 9)), [b"b1", b"a2"]);
}

#[test]
fn what_can_not_be_followed_is_refused_where_it_is_declared() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    let both = QueueOptions { messages_per_key_max: Some(2), ..last_value() };
    let fifo = QueueOptions { order: Some(Order::Fifo), ..last_value() };
    for (options, reason) in [
        (few(0, Overflow::Reject), "messages_per_key_max"),
        (both, "messages_per_key_max"),
        (fifo, "order"),
    ] {
        let before = digest(&bench);
        bench.frames(&peer);
        let request = RequestId(1);
        bench.say(&mut peer, &[Frame::Declare { request, queue: "few", options }]);
        let refused = Frame::RequestRefused { request, code: Code::Invalid, reason };
        assert_eq!(bench.frames(&peer), [refused]);
        assert_eq!(digest(&bench), before);
    }
    declare(&mut bench, &mut peer, "state", last_value());
    let (request, code, reason) = (RequestId(1), Code::DuplicateDeclare, "last_value");
    let options = QueueOptions { last_value: Some(false), ..QueueOptions::default() };
    bench.frames(&peer);
    bench.say(&mut peer, &[Frame::Declare { request, queue: "state", options }]);
    assert_eq!(bench.frames(&peer), [Frame::RequestRefused { request, code, reason }]);
}

#[test]
fn both_bounds_of_a_ring_hold() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    let dead_letter = Some(DeadLetter::Discard);
    let options = QueueOptions { messages_per_key_max: Some(2), dead_letter, ..ring(3) };
    declare(&mut bench, &mut peer, "ring", options);
    send(&mut bench, &mut peer, "ring", &["a1", "b1", "a2", "c1", "a3", "-1"]);
    assert_eq!(bodies(&take(&mut bench, &mut peer, "ring", 9)), [b"c1", b"a3", b"-1"]);
}
