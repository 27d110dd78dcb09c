//! Queues with priorities: which message comes first, and what a priority outlives.

use tabmq::cbor;
use tabmq::error::Code;
use tabmq::id::{RequestId, Sequence};
use tabmq::limits::Limits;
use tabmq::options::{Backoff, Order, Overflow, QueueOptions};
use tabmq::wire::Frame;
use tabmq::wire::frame::{Delivery, Item, Policy, Properties, Redrive, Settlement, Staged};

use crate::harness::{Bench, Peer, item};
use crate::overflow::{bodies, counts, declare, deliveries, take};

const REQUEST: RequestId = RequestId(5);
const ACK: Settlement<'static> = Settlement::Ack { value: None };
const RETRY: Settlement<'static> = Settlement::Retry { after_ms: None, reason: None };
const REJECT: Settlement<'static> = Settlement::Reject { reason: None };

fn ranked(priorities: u32) -> QueueOptions {
    let backoff = Backoff {
        first_ms: 1000,
        factor_percent: 100,
        wait_ms_max: 1000,
        jitter_percent: 0,
        step_ms: None,
        ladder_ms: None,
    };
    QueueOptions {
        priorities: Some(priorities),
        backoff: Some(backoff),
        lease_ms: Some(3000),
        ..QueueOptions::default()
    }
}

/// The last digit of a body is its priority.
fn items<'a>(bodies: &[&'a str]) -> Vec<Item<'a>> {
    let of = |body: &&'a str| {
        let priority = body.get(1..).and_then(|digits| digits.parse().ok());
        Item { priority, ..item(body.as_bytes()) }
    };
    bodies.iter().map(of).collect()
}

fn send_items(bench: &mut Bench, peer: &mut Peer, queue: &str, items: Vec<Item<'_>>) {
    let sequence = peer.next;
    peer.next = sequence.next();
    let (refusals_seen, durability) = (Sequence(0), None);
    bench.say(peer, &[Frame::Send { sequence, queue, refusals_seen, durability, items }]);
}

fn send(bench: &mut Bench, peer: &mut Peer, bodies: &[&str]) {
    send_items(bench, peer, "work", items(bodies));
}

/// Settles a delivery and gives what came then.
fn settle(
    bench: &mut Bench,
    peer: &mut Peer,
    delivery: &Delivery<'static>,
    settlement: Settlement<'_>,
) -> Vec<Delivery<'static>> {
    bench.frames(peer);
    bench.say(peer, &[Frame::Settle { lease: delivery.lease, settlement }]);
    deliveries(bench, peer)
}

/// Takes messages one at a time until none comes.
fn drain(bench: &mut Bench, peer: &mut Peer, queue: &str) -> Vec<&'static [u8]> {
    let mut all = Vec::new();
    let mut next = take(bench, peer, queue, 1);
    while let Some(delivery) = next.first().copied() {
        all.push(delivery.body);
        next = settle(bench, peer, &delivery, ACK);
    }
    all
}

fn begun(priorities: u32, sent: &[&str]) -> (Bench, Peer) {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    declare(&mut bench, &mut peer, "work", ranked(priorities));
    if !sent.is_empty() {
        send(&mut bench, &mut peer, sent);
    }
    (bench, peer)
}

#[test]
fn higher_ones_come_first_and_equals_in_order() {
    let (mut bench, mut peer) = begun(3, &["a0", "b2", "c1", "d", "e2"]);
    let first = take(&mut bench, &mut peer, "work", 1);
    assert_eq!((bodies(&first), first[0].priority), (vec![&b"b2"[..]], Some(2)));
    send(&mut bench, &mut peer, &["f2", "g1"]);
    let mut all = Vec::new();
    let mut next = settle(&mut bench, &mut peer, &first[0], ACK);
    while let Some(delivery) = next.first().copied() {
        all.push(delivery.body);
        next = settle(&mut bench, &mut peer, &delivery, ACK);
    }
    assert_eq!(all, [b"e2", b"f2", b"c1", b"g1", b"a0", &b"d"[..]]);
}

#[test]
fn what_comes_back_has_its_priority_and_its_place() {
    let (mut bench, mut peer) = begun(2, &["a1", "b1", "c0", "d1"]);
    let first = take(&mut bench, &mut peer, "work", 1);
    let again = settle(&mut bench, &mut peer, &first[0], Settlement::Release);
    assert_eq!(bodies(&again), [b"a1"]);
    let next = settle(&mut bench, &mut peer, &again[0], RETRY);
    assert_eq!(bodies(&next), [b"b1"]);
    bench.pass_ms(1001);
    let next = settle(&mut bench, &mut peer, &next[0], ACK);
    assert_eq!((bodies(&next), next[0].attempt), (vec![&b"a1"[..]], 2));
    bench.pass_ms(3001);
    let mut other = bench.join(2);
    assert_eq!(drain(&mut bench, &mut other, "work"), [b"a1", b"d1", b"c0"]);
}

#[test]
fn a_delayed_message_has_its_priority_when_it_is_due() {
    let (mut bench, mut peer) = begun(2, &["a0", "b0"]);
    let late = items(&["c1"]).into_iter().map(|item| Item { delay_ms: Some(500), ..item });
    send_items(&mut bench, &mut peer, "work", late.collect());
    let first = take(&mut bench, &mut peer, "work", 1);
    assert_eq!(bodies(&first), [b"a0"]);
    bench.pass_ms(501);
    let next = settle(&mut bench, &mut peer, &first[0], ACK);
    assert_eq!(bodies(&next), [b"c1"]);
}

#[test]
fn priorities_survive_checkpoint_death_and_dead_letters() {
    for checkpoint_bytes_min in [0, 1 << 20] {
        let mut bench = Bench::with(Limits { checkpoint_bytes_min, ..Limits::default() });
        let mut peer = bench.join(1);
        declare(&mut bench, &mut peer, "work", ranked(3));
        send(&mut bench, &mut peer, &["a0", "b1", "c2", "d0"]);
        let first = take(&mut bench, &mut peer, "work", 1);
        let next = settle(&mut bench, &mut peer, &first[0], REJECT);
        assert_eq!(bodies(&next), [b"b1"]);
        let held = settle(&mut bench, &mut peer, &next[0], REJECT);
        assert_eq!(bodies(&held), [b"a0"]);
        bench.pass_ms(10);
        bench.restart();
        let mut other = bench.join(2);
        let redrive = Redrive { queue: Some("work.dead"), ..Redrive::default() };
        bench.say(&mut other, &[Frame::Redrive { request: REQUEST, redrive }]);
        bench.pass_ms(10);
        bench.restart();
        let mut third = bench.join(3);
        bench.pass_ms(3001);
        let all = drain(&mut bench, &mut third, "work");
        assert_eq!(all, [b"c2", b"b1", b"a0", b"d0"]);
    }
}

#[test]
fn in_a_queue_with_fewer_they_count_as_the_highest_and_are_kept() {
    let (mut bench, mut peer) = begun(4, &["a3", "b1", "c0"]);
    declare(&mut bench, &mut peer, "few", ranked(2));
    send_items(&mut bench, &mut peer, "few", items(&["d0", "e1"]));
    for (queue, into) in [("work", "few"), ("few", "work")] {
        let redrive = Redrive { queue: Some(queue), into: Some(into), ..Redrive::default() };
        let redrive = Redrive { task: Some(tabmq::wire::frame::Task::Move), ..redrive };
        bench.say(&mut peer, &[Frame::Redrive { request: REQUEST, redrive }]);
        bench.say(&mut peer, &[Frame::EndRedrive { request: REQUEST }]);
        if queue == "work" {
            assert_eq!(counts(&mut bench, &mut peer, "few").ready, 5);
            let first = take(&mut bench, &mut peer, "few", 2);
            assert_eq!(bodies(&first), [b"a3", b"b1"]);
            for delivery in &first {
                bench.say(&mut peer, &[Frame::CancelConsumer { consumer: delivery.consumer }]);
            }
            for delivery in first {
                settle(&mut bench, &mut peer, &delivery, Settlement::Release);
            }
        }
    }
    let all = drain(&mut bench, &mut peer, "work");
    assert_eq!(all, [b"a3", b"b1", b"e1", b"c0", b"d0"]);
}

#[test]
fn what_waits_takes_its_place_anew_when_the_priorities_change() {
    let (mut bench, mut peer) = begun(3, &["a0", "b1", "c2", "d1"]);
    declare(&mut bench, &mut peer, "work", ranked(2));
    let first = take(&mut bench, &mut peer, "work", 1);
    assert_eq!(bodies(&first), [b"b1"]);
    declare(&mut bench, &mut peer, "work", ranked(3));
    let next = settle(&mut bench, &mut peer, &first[0], ACK);
    assert_eq!(bodies(&next), [b"c2"]);
    declare(&mut bench, &mut peer, "work", ranked(1));
    let next = settle(&mut bench, &mut peer, &next[0], ACK);
    assert_eq!(bodies(&next), [b"a0"]);
}

fn properties(key: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    cbor::encode(&Properties { key: Some(key), ..Properties::default() }, &mut bytes);
    bytes
}

#[test]
fn a_key_keeps_its_order_and_has_the_priority_of_its_first_message() {
    for checkpoint_bytes_min in [0, 1 << 20] {
        let mut bench = Bench::with(Limits { checkpoint_bytes_min, ..Limits::default() });
        let mut peer = bench.join(1);
        let options = QueueOptions { order: Some(Order::Key), ..ranked(3) };
        declare(&mut bench, &mut peer, "work", options);
        let all = ["x0", "a1", "a0", "a2", "b0", "b2", "-1"];
        let keys: Vec<Vec<u8>> = all.iter().map(|body| properties(&body[..1])).collect();
        let sent = items(&all).into_iter().zip(&keys);
        let sent = sent.map(|(item, key)| Item { properties: Some(key), ..item }).collect();
        send_items(&mut bench, &mut peer, "work", sent);
        bench.restart();
        let mut other = bench.join(2);
        let all = drain(&mut bench, &mut other, "work");
        assert_eq!(all, [b"a1", b"-1", b"x0", b"a0", b"a2", b"b0", b"b2"]);
    }
}

#[test]
fn a_full_ring_drops_the_oldest_whatever_its_priority() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    let overflow = Some(Overflow::DropOldest);
    let options = QueueOptions { messages_max: Some(2), overflow, ..ranked(2) };
    declare(&mut bench, &mut peer, "work", options);
    send(&mut bench, &mut peer, &["a1", "b0", "c1"]);
    assert_eq!(drain(&mut bench, &mut peer, "work"), [b"c1", b"b0"]);
}

fn digest(bench: &Bench) -> u64 {
    bench.node.broker().expect("a node that serves").digest()
}

/// Says it and gives the refusal; nothing but the lane's number may change.
fn refusal(bench: &mut Bench, peer: &mut Peer, frame: &Frame<'_>) -> Option<(Code, &'static str)> {
    bench.frames(peer);
    bench.say(peer, core::slice::from_ref(frame));
    bench.frames(peer).into_iter().find_map(|frame| match frame {
        Frame::RequestRefused { code, reason, .. } | Frame::SendRefused { code, reason, .. } => {
            Some((code, reason))
        }
        _ => None,
    })
}

#[test]
fn a_priority_that_the_queue_does_not_have_is_refused() {
    let invalid = Some((Code::Invalid, "priority"));
    for (queue, body) in [("work", "a3"), ("work", "a256"), ("plain", "a1"), ("new", "a1")] {
        for commit in [false, true] {
            let (mut bench, mut peer) = begun(3, &[]);
            bench.send(&mut peer, "plain", b"1");
            let (sequence, refusals_seen, durability) = (peer.next, Sequence(0), None);
            let items = items(&["b", body]);
            let frame = match commit {
                false => Frame::Send { sequence, queue, refusals_seen, durability, items },
                true => {
                    let (writes, acks) = (vec![Staged { queue, items }], vec![]);
                    Frame::Commit { sequence, refusals_seen, durability, writes, acks }
                }
            };
            assert_eq!(refusal(&mut bench, &mut peer, &frame), invalid);
            assert_eq!(counts(&mut bench, &mut peer, "work").ready, 0);
            assert_eq!(counts(&mut bench, &mut peer, "plain").ready, 1);
            let inspect = Frame::Inspect { request: REQUEST, queue: "new" };
            assert_eq!(refusal(&mut bench, &mut peer, &inspect), Some((Code::NotFound, "")));
        }
    }
}

#[test]
fn priorities_out_of_bounds_are_refused_where_they_are_declared() {
    let invalid = Some((Code::Invalid, "priorities"));
    let (mut bench, mut peer) = begun(3, &["a2"]);
    let before = digest(&bench);
    for priorities in [0, 33, u32::MAX] {
        let options = ranked(priorities);
        for queue in ["work", "new"] {
            let declare = Frame::Declare { request: REQUEST, queue, options: options.clone() };
            assert_eq!(refusal(&mut bench, &mut peer, &declare), invalid);
        }
        let policy = Some(Policy { name: "p", pattern: "#", priority: 0, options });
        let set = Frame::SetPolicy { request: REQUEST, name: "p", policy };
        assert_eq!(refusal(&mut bench, &mut peer, &set), invalid);
    }
    assert_eq!(digest(&bench), before);
    declare(&mut bench, &mut peer, "work", ranked(32));
}

#[test]
fn a_policy_gives_priorities_also_to_a_queue_that_a_send_makes() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    let options = QueueOptions { priorities: Some(2), ..QueueOptions::default() };
    let policy = Some(Policy { name: "p", pattern: "work", priority: 0, options });
    bench.say(&mut peer, &[Frame::SetPolicy { request: REQUEST, name: "p", policy }]);
    send(&mut bench, &mut peer, &["a0", "b1", "c1"]);
    let first = take(&mut bench, &mut peer, "work", 1);
    assert_eq!(bodies(&first), [b"b1"]);
    bench.say(&mut peer, &[Frame::SetPolicy { request: REQUEST, name: "p", policy: None }]);
    let next = settle(&mut bench, &mut peer, &first[0], ACK);
    assert_eq!(bodies(&next), [b"a0"]);
}
