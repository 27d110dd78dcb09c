//! Prepared messages: stored, and sent or dropped once somebody decides so.

use tabmq::cbor;
use tabmq::error::Code;
use tabmq::id::{MessageNumber, RequestId, Sequence};
use tabmq::limits::Limits;
use tabmq::options::{Order, Overflow, QueueOptions};
use tabmq::wire::Frame;
use tabmq::wire::frame::{
    Browse, Duplicate, Item, Past, Prepare, Properties, Scheduling, Settlement, Staged, Tracking,
    When,
};

use crate::harness::{Bench, Peer, item};
use crate::overflow::{bodies, counts, declare, deliveries, take};

pub fn digest(bench: &Bench) -> u64 {
    bench.node.broker().expect("a node that serves").digest()
}

fn properties(id: Option<&str>, key: Option<&str>) -> &'static [u8] {
    let mut bytes = Vec::new();
    cbor::encode(&Properties { id, key, ..Properties::default() }, &mut bytes);
    bytes.leak()
}

pub fn half(body: &[u8]) -> Item<'_> {
    Item { prepare: Some(Prepare::default()), ..item(body) }
}

fn named<'a>(body: &'a [u8], id: &str) -> Item<'a> {
    Item { properties: Some(properties(Some(id), None)), ..half(body) }
}

/// Sends one item with the next number of the lane; gives what was said, and the id that the
/// message has if it has none of its own.
fn send(bench: &mut Bench, peer: &mut Peer, item: Item<'_>) -> (Vec<Frame<'static>>, String) {
    bench.frames(peer);
    let (sequence, refusals_seen, durability) = (peer.next, Sequence(0), None);
    peer.next = sequence.next();
    let items = vec![item];
    bench.say(peer, &[Frame::Send { sequence, queue: "q", refusals_seen, durability, items }]);
    (bench.frames(peer), format!("{}-{}-0", peer.lane.0, sequence.0))
}

pub fn prepare(bench: &mut Bench, peer: &mut Peer, item: Item<'_>) -> String {
    let (answers, id) = send(bench, peer, item);
    assert!(answers.iter().all(|frame| !matches!(frame, Frame::SendRefused { .. })), "{answers:?}");
    id
}

fn refusal(bench: &mut Bench, peer: &mut Peer, item: Item<'_>) -> Option<(Code, &'static str)> {
    let (answers, _) = send(bench, peer, item);
    answers.iter().find_map(|frame| match frame {
        Frame::SendRefused { code, reason, .. } => Some((*code, *reason)),
        _ => None,
    })
}

/// The message that it repeats, or zero; or why not.
pub fn decide(
    bench: &mut Bench,
    peer: &mut Peer,
    id: &str,
    commit: bool,
) -> Result<u64, (Code, &'static str)> {
    bench.frames(peer);
    let request = RequestId(50);
    bench.say(peer, &[Frame::Decide { request, queue: "q", id, commit, durability: None }]);
    let answer = |frame| match frame {
        Frame::Counted { request: RequestId(50), count } => Some(Ok(count)),
        Frame::RequestRefused { request: RequestId(50), code, reason } => Some(Err((code, reason))),
        _ => None,
    };
    bench.frames(peer).into_iter().find_map(answer).expect("an answer")
}

/// A node that has settled: before, it waits for who may come back.
pub fn open() -> (Bench, Peer) {
    let mut bench = Bench::new();
    bench.pass_ms(2000);
    let peer = bench.join(1);
    (bench, peer)
}

#[test]
fn nobody_gets_a_message_before_it_is_committed_and_then_it_is_the_newest() {
    let (mut bench, mut peer) = open();
    let id = prepare(&mut bench, &mut peer, half(b"half"));
    bench.send(&mut peer, "q", b"whole");
    let before = counts(&mut bench, &mut peer, "q");
    assert_eq!((before.ready, before.prepared, before.sent_total), (1, Some(1), 1));
    let (after, messages_max) = (MessageNumber(0), 10);
    let browse = Browse { after, messages_max, delayed: true, leased: true, headers_only: false };
    bench.say(&mut peer, &[Frame::Browse { request: RequestId(7), queue: "q", browse }]);
    let Some(Frame::Browsed { messages, .. }) = bench.frames(&peer).pop() else { panic!("a page") };
    assert_eq!(messages.iter().map(|message| message.body).collect::<Vec<_>>(), [b"whole"]);
    assert_eq!(bodies(&take(&mut bench, &mut peer, "q", 9)), [b"whole"]);
    bench.pass_ms(1000);
    assert_eq!(deliveries(&mut bench, &peer), []);
    bench.send(&mut peer, "q", b"later");
    assert_eq!(decide(&mut bench, &mut peer, &id, true), Ok(0));
    let now = counts(&mut bench, &mut peer, "q");
    assert_eq!((now.leased, now.prepared, now.sent_total), (3, None, 3));
}

#[test]
fn a_committed_message_stands_behind_what_was_sent_before_its_commit() {
    let (mut bench, mut peer) = open();
    let id = prepare(&mut bench, &mut peer, half(b"half"));
    bench.send(&mut peer, "q", b"before");
    decide(&mut bench, &mut peer, &id, true).unwrap();
    bench.send(&mut peer, "q", b"after");
    let taken = take(&mut bench, &mut peer, "q", 9);
    assert_eq!(bodies(&taken), [&b"before"[..], b"half", b"after"]);
    assert!(taken.is_sorted_by_key(|delivery| delivery.number));
    let half = taken[1];
    assert_eq!((half.lane, half.sequence, half.index), (peer.lane, Sequence(1), 0));
}

#[test]
fn a_message_that_is_rolled_back_is_gone() {
    let (mut bench, mut peer) = open();
    let id = prepare(&mut bench, &mut peer, half(b"half"));
    assert_eq!(decide(&mut bench, &mut peer, &id, false), Ok(0));
    assert_eq!(take(&mut bench, &mut peer, "q", 9), []);
    let counts = counts(&mut bench, &mut peer, "q");
    assert_eq!((counts.prepared, counts.sent_total, counts.discarded_total), (None, 0, 0));
}

#[test]
fn a_decision_is_made_once_and_told_again_by_whoever_asks_over_nodes_and_checkpoints() {
    let mut bench = Bench::with(Limits { checkpoint_bytes_min: 1, ..Limits::default() });
    let mut peer = bench.join(1);
    let sent = prepare(&mut bench, &mut peer, half(b"sent"));
    let gone = prepare(&mut bench, &mut peer, half(b"gone"));
    let open = prepare(&mut bench, &mut peer, half(b"open"));
    for _ in 0..2 {
        assert_eq!(decide(&mut bench, &mut peer, &sent, true), Ok(0));
        assert_eq!(decide(&mut bench, &mut peer, &gone, false), Ok(0));
    }
    for body in 0..100_u8 {
        bench.send(&mut peer, "other", &[body]);
    }
    let before = digest(&bench);
    bench.restart();
    assert_eq!(digest(&bench), before);
    let mut other = bench.join(2);
    assert_eq!(decide(&mut bench, &mut other, &sent, true), Ok(0));
    let committed = Err((Code::NotFound, "committed"));
    assert_eq!(decide(&mut bench, &mut other, &sent, false), committed);
    assert_eq!(decide(&mut bench, &mut other, &gone, false), Ok(0));
    assert_eq!(decide(&mut bench, &mut other, &gone, true), Err((Code::Discarded, "rollback")));
    assert_eq!(decide(&mut bench, &mut other, "never", true), Err((Code::NotFound, "")));
    assert_eq!(decide(&mut bench, &mut other, &open, true), Ok(0));
    assert_eq!(bodies(&take(&mut bench, &mut other, "q", 9)), [b"sent", b"open"]);
}

#[test]
fn decisions_that_are_too_many_are_forgotten_from_the_oldest_on() {
    let mut bench = Bench::with(Limits { decisions_max: 2, ..Limits::default() });
    let mut peer = bench.join(1);
    let ids = [b"a", b"b", b"c"].map(|body| prepare(&mut bench, &mut peer, half(body)));
    for id in &ids {
        decide(&mut bench, &mut peer, id, false).unwrap();
    }
    assert_eq!(decide(&mut bench, &mut peer, &ids[0], false), Err((Code::NotFound, "")));
    assert_eq!(decide(&mut bench, &mut peer, &ids[1], false), Ok(0));
    // One id that is decided about often keeps its place to itself.
    for _ in 0..300 {
        prepare(&mut bench, &mut peer, named(b"x", "x"));
        decide(&mut bench, &mut peer, "x", false).unwrap();
    }
    let before = digest(&bench);
    bench.restart();
    assert_eq!(digest(&bench), before);
    let mut peer = bench.join(2);
    assert_eq!(decide(&mut bench, &mut peer, &ids[2], false), Ok(0));
}

#[test]
fn delay_and_time_to_live_run_from_the_start() {
    let (mut bench, mut peer) = open();
    let late = Item { delay_ms: Some(1000), ..half(b"late") };
    let late = prepare(&mut bench, &mut peer, late);
    let brief = Item { ttl_ms: Some(1000), ..named(b"brief", "brief") };
    prepare(&mut bench, &mut peer, Item { track: Some(true), ..brief });
    bench.pass_ms(400);
    decide(&mut bench, &mut peer, &late, true).unwrap();
    assert_eq!(counts(&mut bench, &mut peer, "q").delayed, 1);
    assert_eq!(take(&mut bench, &mut peer, "q", 9), []);
    bench.pass_ms(600);
    assert_eq!(bodies(&deliveries(&mut bench, &peer)), [b"late"]);
    bench.pass_ms(600);
    decide(&mut bench, &mut peer, "brief", true).unwrap();
    assert_eq!(deliveries(&mut bench, &peer), []);
    assert_eq!(counts(&mut bench, &mut peer, "q").discarded_total, 1);
    let track = Frame::Track { request: RequestId(8), queue: "q", id: "brief", processed: true };
    bench.say(&mut peer, &[track]);
    let outcome = Tracking::Failed { code: Code::Expired, reason: "expired" };
    assert_eq!(bench.frames(&peer), [Frame::Tracked { request: RequestId(8), outcome }]);
}

#[test]
fn what_becomes_of_a_committed_message_is_told() {
    let (mut bench, mut peer) = open();
    let id = prepare(&mut bench, &mut peer, Item { track: Some(true), ..half(b"job") });
    let request = RequestId(8);
    let track = Frame::Track { request, queue: "q", id: &id, processed: true };
    bench.say(&mut peer, std::slice::from_ref(&track));
    let unknown = Frame::RequestRefused { request, code: Code::NotFound, reason: "" };
    assert_eq!(bench.frames(&peer), [unknown]);
    decide(&mut bench, &mut peer, &id, true).unwrap();
    bench.say(&mut peer, std::slice::from_ref(&track));
    let taken = take(&mut bench, &mut peer, "q", 1);
    assert_eq!(taken[0].tracked, Some(true));
    let settlement = Settlement::Ack { value: Some(b"\x05") };
    bench.say(&mut peer, &[Frame::Settle { lease: taken[0].lease, settlement }]);
    let outcome = Tracking::Processed { value: Some(b"\x05") };
    assert!(bench.frames(&peer).contains(&Frame::Tracked { request, outcome }));
}

#[test]
fn a_prepared_message_takes_up_room_so_its_commit_is_never_refused() {
    let (mut bench, mut peer) = open();
    let small = QueueOptions { messages_max: Some(2), ..QueueOptions::default() };
    declare(&mut bench, &mut peer, "q", small);
    let id = prepare(&mut bench, &mut peer, half(b"half"));
    assert_eq!(refusal(&mut bench, &mut peer, item(b"a")), None);
    let full = Some((Code::Full, "messages_max"));
    assert_eq!(refusal(&mut bench, &mut peer, item(b"b")), full);
    decide(&mut bench, &mut peer, &id, true).unwrap();
    assert_eq!(counts(&mut bench, &mut peer, "q").ready, 2);
}

#[test]
fn a_ring_takes_so_many_prepared_messages_and_makes_room_at_the_commit() {
    let (mut bench, mut peer) = open();
    let ring = QueueOptions {
        messages_max: Some(2),
        bytes_max: Some(100),
        overflow: Some(Overflow::DropOldest),
        ..QueueOptions::default()
    };
    declare(&mut bench, &mut peer, "q", ring);
    for body in [b"a", b"b"] {
        bench.send(&mut peer, "q", body);
    }
    assert_eq!(refusal(&mut bench, &mut peer, half(&[0; 101])), Some((Code::Full, "bytes_max")));
    let mut peer = bench.join(2);
    let ids = [b"c", b"d"].map(|body| prepare(&mut bench, &mut peer, half(body)));
    let full = Some((Code::Full, "messages_max"));
    assert_eq!(refusal(&mut bench, &mut peer, half(b"e")), full);
    assert_eq!(counts(&mut bench, &mut peer, "q").ready, 2);
    decide(&mut bench, &mut peer, &ids[0], true).unwrap();
    assert_eq!(bodies(&take(&mut bench, &mut peer, "q", 9)), [b"b", b"c"]);
}

#[test]
fn an_id_is_remembered_from_the_commit_on() {
    let (mut bench, mut peer) = open();
    let once = QueueOptions { dedupe_ms: Some(1000), ..QueueOptions::default() };
    declare(&mut bench, &mut peer, "q", once);
    let duplicate = |frames: &[Frame<'static>]| {
        frames.iter().find_map(|frame| match frame {
            Frame::Duplicates { items, .. } => Some(items.clone()),
            _ => None,
        })
    };
    // One that is prepared already is that one.
    prepare(&mut bench, &mut peer, named(b"a", "a"));
    let (again, _) = send(&mut bench, &mut peer, named(b"a", "a"));
    let first = Duplicate { index: 0, number: MessageNumber(1) };
    assert_eq!(duplicate(&again), Some(vec![first]));
    assert_eq!(counts(&mut bench, &mut peer, "q").prepared, Some(1));
    // An id that was rolled back is free.
    decide(&mut bench, &mut peer, "a", false).unwrap();
    let (again, _) = send(&mut bench, &mut peer, named(b"a2", "a"));
    assert_eq!(duplicate(&again), None);
    bench.pass_ms(900);
    decide(&mut bench, &mut peer, "a", true).unwrap();
    // From here on it is remembered.
    bench.pass_ms(900);
    let plain = Item { prepare: None, ..named(b"a3", "a") };
    let (again, _) = send(&mut bench, &mut peer, plain);
    let number = duplicate(&again).unwrap()[0].number;
    // A message of that id may be prepared, and repeats it if it is committed in that time.
    prepare(&mut bench, &mut peer, named(b"a4", "a"));
    assert_eq!(decide(&mut bench, &mut peer, "a", true), Ok(number.0));
    assert_eq!(decide(&mut bench, &mut peer, "a", true), Ok(number.0));
    bench.pass_ms(200);
    prepare(&mut bench, &mut peer, named(b"a5", "a"));
    assert_eq!(decide(&mut bench, &mut peer, "a", true), Ok(0));
    assert_eq!(bodies(&take(&mut bench, &mut peer, "q", 9)), [b"a2", b"a5"]);
}

#[test]
fn key_and_priority_are_kept_over_a_restart() {
    let mut bench = Bench::with(Limits { checkpoint_bytes_min: 1, ..Limits::default() });
    let mut peer = bench.join(1);
    let order = Some(Order::Key);
    let keyed = QueueOptions { order, priorities: Some(3), ..QueueOptions::default() };
    declare(&mut bench, &mut peer, "q", keyed);
    let red = Some(properties(None, Some("red")));
    let with = |body, priority| Item { properties: red, priority, ..half(body) };
    let ids = [with(b"a", None), with(b"b", Some(2))].map(|i| prepare(&mut bench, &mut peer, i));
    let high = Item { priority: Some(1), ..half(b"high") };
    let high = prepare(&mut bench, &mut peer, high);
    for body in 0..100_u8 {
        bench.send(&mut peer, "other", &[body]);
    }
    bench.restart();
    let mut peer = bench.join(2);
    for id in ids.iter().chain([&high]) {
        decide(&mut bench, &mut peer, id, true).unwrap();
    }
    // The key has the priority of its first message, and is locked while that is out.
    assert_eq!(bodies(&take(&mut bench, &mut peer, "q", 9)), [&b"high"[..], b"a"]);
}

#[test]
fn purge_leaves_prepared_messages_and_delete_takes_them() {
    let (mut bench, mut peer) = open();
    let id = prepare(&mut bench, &mut peer, half(b"half"));
    bench.send(&mut peer, "q", b"whole");
    let request = RequestId(7);
    let through = MessageNumber(100);
    bench.say(&mut peer, &[Frame::Purge { request, queue: "q", through }]);
    assert!(bench.frames(&peer).contains(&Frame::Counted { request, count: 1 }));
    let state = counts(&mut bench, &mut peer, "q");
    assert_eq!(state.prepared, Some(1));
    let delete = |if_empty| {
        let (queue, id, if_unused) = ("q", state.id, false);
        Frame::DeleteQueue { request, queue, id, if_unused, if_empty }
    };
    bench.say(&mut peer, &[delete(true)]);
    let refused = Frame::RequestRefused { request, code: Code::Invalid, reason: "if_empty" };
    assert_eq!(bench.frames(&peer), [refused]);
    bench.say(&mut peer, &[delete(false)]);
    assert!(bench.frames(&peer).contains(&Frame::Counted { request, count: 1 }));
    assert_eq!(decide(&mut bench, &mut peer, &id, true), Err((Code::NotFound, "")));
    bench.send(&mut peer, "q", b"anew");
    assert_eq!(decide(&mut bench, &mut peer, &id, true), Err((Code::NotFound, "")));
    let before = digest(&bench);
    bench.restart();
    assert_eq!(digest(&bench), before);
    bench.pass_ms(5 * 3600 * 1000);
}

#[test]
fn a_prepared_message_moves_in_the_log_and_is_delivered_from_there() {
    let mut bench = Bench::with(Limits { checkpoint_bytes_min: 512, ..Limits::default() });
    let mut peer = bench.join(1);
    // One chunk has both of them and much beside them.
    bench.hold_storage = true;
    let kept = prepare(&mut bench, &mut peer, half(&[8; 50]));
    prepare(&mut bench, &mut peer, named(&[7; 50], "early"));
    for round in 0..8_u8 {
        bench.send(&mut peer, "other", &[round; 1000]);
    }
    bench.release_storage();
    decide(&mut bench, &mut peer, "early", true).unwrap();
    let places = |bench: &Bench| {
        let state = bench.node.broker().unwrap().state();
        let q = state.queue_named("q").unwrap();
        let own = state.live().filter(|(stand, _)| stand.queue == q);
        own.map(|(_, entry)| entry.place).collect::<Vec<_>>()
    };
    let before = places(&bench);
    for delivery in take(&mut bench, &mut peer, "other", 9) {
        let settlement = Settlement::Ack { value: None };
        bench.say(&mut peer, &[Frame::Settle { lease: delivery.lease, settlement }]);
    }
    for round in 0..40_u8 {
        bench.send(&mut peer, "more", &[round; 100]);
    }
    let after = places(&bench);
    assert_eq!(after.len(), 2);
    assert!(before.iter().all(|place| !after.contains(place)), "{before:?} {after:?}");
    let stored = digest(&bench);
    bench.restart();
    assert_eq!(digest(&bench), stored);
    let mut peer = bench.join(2);
    decide(&mut bench, &mut peer, &kept, true).unwrap();
    assert_eq!(bodies(&take(&mut bench, &mut peer, "q", 9)), [[7; 50], [8; 50]]);
}

#[test]
fn what_can_not_be_prepared_is_refused_and_changes_nothing() {
    let (mut bench, mut peer) = open();
    bench.send(&mut peer, "q", b"a");
    let before = counts(&mut bench, &mut peer, "q");
    let past = Some(Past { attempts: 0, stored_at: bench.now.unix, deaths: None });
    let soon = Some(Prepare { check_after_ms: Some(0) });
    let long = "x".repeat(256);
    let body = b"x";
    let cases = [
        (Item { past, ..half(body) }, (Code::Invalid, "past")),
        (Item { prepare: soon, ..half(body) }, (Code::Invalid, "check_after")),
        (named(body, &long), (Code::TooLarge, "id")),
        (Item { priority: Some(1), ..half(body) }, (Code::Invalid, "priority")),
    ];
    for (number, (item, refused)) in (3..).zip(cases) {
        // A client of its own: after a refusal the next would be refused for that.
        let mut peer = bench.join(number);
        assert_eq!(refusal(&mut bench, &mut peer, item), Some(refused));
    }
    let sequence = peer.next;
    peer.next = sequence.next();
    let (refusals_seen, durability) = (Sequence(0), None);
    let writes = vec![Staged { queue: "q", items: vec![half(body)] }];
    let commit = Frame::Commit { sequence, refusals_seen, durability, writes, acks: vec![] };
    bench.say(&mut peer, &[commit]);
    let (code, reason) = (Code::Invalid, "prepare");
    assert!(bench.frames(&peer).contains(&Frame::SendRefused { sequence, code, reason }));
    let sequence = peer.next;
    let when = When::Every { every_ms: 1000 };
    let scheduling = Scheduling { key: "k", when, item: half(body), latest: None };
    let schedule = Frame::Schedule { sequence, queue: "q", refusals_seen, durability, scheduling };
    bench.say(&mut peer, &[schedule]);
    let reason = "item";
    assert!(bench.frames(&peer).contains(&Frame::SendRefused { sequence, code, reason }));
    assert_eq!(counts(&mut bench, &mut peer, "q"), before);
}
