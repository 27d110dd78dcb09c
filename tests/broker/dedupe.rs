//! Message ids that a queue remembers.

use tabmq::cbor;
use tabmq::error::Code;
use tabmq::id::{ConsumerId, MessageNumber, QueueId, RequestId, Sequence};
use tabmq::limits::Limits;
use tabmq::options::{ConsumeOptions, Durability, QueueOptions};
use tabmq::time::UnixMillis;
use tabmq::wire::Frame;
use tabmq::wire::frame::{Duplicate, Item, Past, Properties, QueueCounts, Settlement, Staged};

use crate::harness::{Bench, Peer, item};

fn with_id(id: &str) -> &'static [u8] {
    let mut bytes = Vec::new();
    cbor::encode(&Properties { id: Some(id), ..Properties::default() }, &mut bytes);
    bytes.leak()
}

fn declare(bench: &mut Bench, peer: &mut Peer, options: QueueOptions) {
    bench.say(peer, &[Frame::Declare { request: RequestId(1), queue: "q", options }]);
}

/// One client, and a queue that remembers ids for a second.
fn open(limits: Limits) -> (Bench, Peer) {
    let mut bench = Bench::with(limits);
    let mut peer = bench.join(1);
    declare(&mut bench, &mut peer, window(1000));
    bench.frames(&peer);
    (bench, peer)
}

fn window(ms: u64) -> QueueOptions {
    QueueOptions { dedupe_ms: Some(ms), ..QueueOptions::default() }
}

/// Sends items with these ids, and gives what was said of them.
fn send(bench: &mut Bench, peer: &mut Peer, ids: &[&str]) -> Vec<Frame<'static>> {
    bench.frames(peer);
    let sequence = peer.next;
    peer.next = sequence.next();
    say(bench, peer, sequence, ids);
    bench.frames(peer)
}

fn say(bench: &mut Bench, peer: &mut Peer, sequence: Sequence, ids: &[&str]) {
    let items = ids.iter().map(|id| Item { properties: Some(with_id(id)), ..item(b"job") });
    let (refusals_seen, durability, items) = (Sequence(0), None, items.collect());
    bench.say(peer, &[Frame::Send { sequence, queue: "q", refusals_seen, durability, items }]);
}

fn stored(sequence: u64) -> Vec<Frame<'static>> {
    vec![Frame::Sent { position: Sequence(sequence) }]
}

/// The answer to a send some of whose items repeat these messages.
fn repeats(sequence: u64, items: &[(u32, u64)]) -> Vec<Frame<'static>> {
    let duplicate =
        |(index, number): &(u32, u64)| Duplicate { index: *index, number: MessageNumber(*number) };
    let sequence = Sequence(sequence);
    let items = items.iter().map(duplicate).collect();
    vec![Frame::Duplicates { sequence, items }, Frame::Sent { position: sequence }]
}

fn counts(bench: &mut Bench, peer: &mut Peer) -> QueueCounts {
    bench.frames(peer);
    bench.say(peer, &[Frame::Inspect { request: RequestId(9), queue: "q" }]);
    match bench.frames(peer).pop() {
        Some(Frame::QueueState { state, .. }) => state,
        other => panic!("not the state of a queue: {other:?}"),
    }
}

#[test]
fn an_id_is_stored_once_in_its_window() {
    let (mut bench, mut peer) = open(Limits::default());
    assert_eq!(send(&mut bench, &mut peer, &["a"]), stored(1));
    assert_eq!(send(&mut bench, &mut peer, &["b"]), stored(2));
    bench.pass_ms(999);
    assert_eq!(send(&mut bench, &mut peer, &["a"]), repeats(3, &[(0, 1)]));
    let mut other = bench.join(2);
    assert_eq!(send(&mut bench, &mut other, &["b"]), repeats(1, &[(0, 2)]));
    assert_eq!(counts(&mut bench, &mut peer).sent_total, 2);
    bench.pass_ms(1);
    assert_eq!(send(&mut bench, &mut peer, &["a"]), stored(4));
    assert_eq!(send(&mut bench, &mut peer, &["a"]), repeats(5, &[(0, 3)]), "a window of its own");
}

#[test]
fn messages_without_an_id_and_other_queues_repeat_nothing() {
    let (mut bench, mut peer) = open(Limits::default());
    send(&mut bench, &mut peer, &["a"]);
    bench.send(&mut peer, "q", b"job");
    bench.send(&mut peer, "q", b"job");
    assert_eq!(counts(&mut bench, &mut peer).ready, 3);
    let items = vec![Item { properties: Some(with_id("a")), ..item(b"job") }; 2];
    let (sequence, refusals_seen, durability) = (peer.next, Sequence(0), None);
    let queue = "other";
    bench.say(&mut peer, &[Frame::Send { sequence, queue, refusals_seen, durability, items }]);
    assert_eq!(bench.frames(&peer), stored(sequence.0));
}

#[test]
fn what_became_of_the_first_message_does_not_matter() {
    let (mut bench, mut peer) = open(Limits::default());
    send(&mut bench, &mut peer, &["acked", "rejected"]);
    let mut worker = bench.join(2);
    let options = ConsumeOptions::new(2, 1000);
    bench.say(&mut worker, &[Frame::Consume { consumer: ConsumerId(1), queue: "q", options }]);
    for frame in bench.frames(&worker) {
        if let Frame::Deliver(delivery) = frame {
            let settlement = match delivery.index {
                0 => Settlement::Ack { value: None },
                _ => Settlement::Reject { reason: None },
            };
            bench.say(&mut worker, &[Frame::Settle { lease: delivery.lease, settlement }]);
        }
    }
    bench.say(&mut worker, &[Frame::CancelConsumer { consumer: ConsumerId(1) }]);
    send(&mut bench, &mut peer, &["purged"]);
    let (request, queue, through) = (RequestId(2), "q", MessageNumber(3));
    bench.say(&mut peer, &[Frame::Purge { request, queue, through }]);
    let ids = ["acked", "rejected", "purged"];
    assert_eq!(send(&mut bench, &mut peer, &ids), repeats(3, &[(0, 1), (1, 2), (2, 3)]));
    assert_eq!(counts(&mut bench, &mut peer).ready, 0);
}

#[test]
fn a_deleted_queue_remembers_nothing() {
    let (mut bench, mut peer) = open(Limits::default());
    send(&mut bench, &mut peer, &["a"]);
    let (request, queue, id) = (RequestId(2), "q", QueueId(1));
    let delete = Frame::DeleteQueue { request, queue, id, if_unused: false, if_empty: false };
    bench.say(&mut peer, &[delete]);
    declare(&mut bench, &mut peer, window(1000));
    assert_eq!(send(&mut bench, &mut peer, &["a"]), stored(2));
}

#[test]
fn of_a_batch_the_others_are_stored_all_or_none() {
    let (mut bench, mut peer) = open(Limits::default());
    let bound = QueueOptions { messages_max: Some(3), ..window(1000) };
    declare(&mut bench, &mut peer, bound);
    send(&mut bench, &mut peer, &["a"]);
    let answer = send(&mut bench, &mut peer, &["b", "a", "b", "c"]);
    assert_eq!(answer, repeats(2, &[(1, 1), (2, 2)]), "the repeats need no room");
    let answer = send(&mut bench, &mut peer, &["a", "d"]);
    let refused =
        Frame::SendRefused { sequence: Sequence(3), code: Code::Full, reason: "messages_max" };
    assert_eq!(answer, [&[refused][..], &stored(3)].concat());
    assert_eq!(counts(&mut bench, &mut peer).ready, 3);
}

#[test]
fn a_send_that_comes_again_is_answered_as_before() {
    for dies in [false, true] {
        let (mut bench, mut peer) = open(Limits { checkpoint_bytes_min: 1, ..Limits::default() });
        send(&mut bench, &mut peer, &["a"]);
        let answer = send(&mut bench, &mut peer, &["a", "b"]);
        assert_eq!(answer, repeats(2, &[(0, 1)]));
        // The window is over, but not what was said.
        bench.pass_ms(5000);
        if dies {
            bench.restart();
            bench.restart();
        }
        let (lane, log) = (peer.lane, peer.log);
        let (mut again, welcome) = bench.hello(1, |hello| {
            (hello.lane, hello.log) = (lane, log);
            hello.floor = Sequence(2);
        });
        assert_eq!((welcome.resumed, welcome.position), (true, Sequence(2)));
        bench.frames(&again);
        say(&mut bench, &mut again, Sequence(2), &["a", "b"]);
        assert_eq!(bench.frames(&again), repeats(2, &[(0, 1)]));
        assert_eq!(counts(&mut bench, &mut again).sent_total, 2);
        // Once the client knows, nobody does.
        let (sequence, refusals_seen) = (Sequence(3), Sequence(2));
        let (queue, durability, items) = ("q", None, vec![item(b"c")]);
        let next = Frame::Send { sequence, queue, refusals_seen, durability, items };
        bench.say(&mut again, &[next]);
        bench.frames(&again);
        say(&mut bench, &mut again, Sequence(2), &["a", "b"]);
        assert_eq!(bench.frames(&again), stored(2));
    }
}

#[test]
fn a_transaction_stores_what_is_new_and_counts_through_all_its_writes() {
    let (mut bench, mut peer) = open(Limits::default());
    declare(&mut bench, &mut peer, QueueOptions { messages_max: Some(2), ..window(1000) });
    send(&mut bench, &mut peer, &["a"]);
    let named = |id| Item { properties: Some(with_id(id)), ..item(b"job") };
    let writes = vec![
        Staged { queue: "other", items: vec![named("a")] },
        Staged { queue: "q", items: vec![named("a")] },
        Staged { queue: "q", items: vec![named("b"), named("b")] },
    ];
    let (sequence, refusals_seen, durability) = (peer.next, Sequence(0), None);
    peer.next = sequence.next();
    let commit = Frame::Commit { sequence, refusals_seen, durability, writes, acks: Vec::new() };
    bench.say(&mut peer, &[commit]);
    assert_eq!(bench.frames(&peer), repeats(2, &[(1, 1), (3, 3)]));
    assert_eq!(counts(&mut bench, &mut peer).ready, 2);
}

#[test]
fn an_imported_message_stands_outside_of_the_window() {
    let (mut bench, mut peer) = open(Limits::default());
    let past = Past { attempts: 0, stored_at: UnixMillis(u64::MAX), deaths: None };
    let imported = Item { properties: Some(with_id("a")), past: Some(past), ..item(b"job") };
    let (sequence, refusals_seen, durability) = (peer.next, Sequence(0), None);
    peer.next = sequence.next();
    let (queue, items) = ("q", vec![imported; 2]);
    bench.say(&mut peer, &[Frame::Send { sequence, queue, refusals_seen, durability, items }]);
    assert_eq!(bench.frames(&peer), stored(1));
    assert_eq!(send(&mut bench, &mut peer, &["a"]), stored(2));
    assert_eq!(counts(&mut bench, &mut peer).ready, 3);
}

#[test]
fn ids_outlive_the_node_and_its_checkpoints() {
    let (mut bench, mut peer) = open(Limits { checkpoint_bytes_min: 1, ..Limits::default() });
    send(&mut bench, &mut peer, &["a", "b"]);
    for _ in 0..3 {
        bench.pass_ms(100);
        let digest = bench.node.broker().expect("it serves").digest();
        bench.restart();
        assert_eq!(bench.node.broker().expect("it serves").digest(), digest);
        let mut peer = bench.join(2);
        let answer = send(&mut bench, &mut peer, &["b", "a"]);
        assert!(matches!(&answer[0], Frame::Duplicates { items, .. } if items.len() == 2));
        bench.say(&mut peer, &[Frame::Goodbye { park: false }]);
    }
}

#[test]
fn the_oldest_ids_leave_at_the_limit() {
    let (mut bench, mut peer) = open(Limits { dedupe_ids_max: 2, ..Limits::default() });
    send(&mut bench, &mut peer, &["a", "b", "c"]);
    assert_eq!(send(&mut bench, &mut peer, &["b", "c"]), repeats(2, &[(0, 2), (1, 3)]));
    assert_eq!(send(&mut bench, &mut peer, &["a"]), stored(3));
    assert_eq!(send(&mut bench, &mut peer, &["b"]), stored(4), "it left for a");
}

#[test]
fn nothing_is_kept_of_ids_whose_window_is_over_or_of_queues_without_one() {
    let (mut bench, mut peer) = open(Limits::default());
    let before = bench.node.broker().expect("it serves").state().dedupe.iter().count();
    send(&mut bench, &mut peer, &["a"]);
    let ids = |bench: &Bench| bench.node.broker().expect("it serves").state().dedupe.iter().count();
    assert_eq!((before, ids(&bench)), (0, 1));
    bench.pass_ms(2001);
    assert_eq!(ids(&bench), 0);
    declare(&mut bench, &mut peer, window(0));
    send(&mut bench, &mut peer, &["a"]);
    assert_eq!(ids(&bench), 0);
}

#[test]
fn a_clock_that_goes_back_does_not_open_the_window() {
    let (mut bench, mut peer) = open(Limits::default());
    send(&mut bench, &mut peer, &["a"]);
    bench.now.unix.0 -= 60_000;
    assert_eq!(send(&mut bench, &mut peer, &["a"]), repeats(2, &[(0, 1)]));
}

#[test]
fn an_id_that_is_too_long_is_refused_and_changes_nothing() {
    let (mut bench, mut peer) = open(Limits { name_bytes_max: 8, ..Limits::default() });
    let answer = send(&mut bench, &mut peer, &["a", "123456789"]);
    let refused = Frame::SendRefused { sequence: Sequence(1), code: Code::TooLarge, reason: "id" };
    assert_eq!(answer, [&[refused][..], &stored(1)].concat());
    assert_eq!(counts(&mut bench, &mut peer).sent_total, 0);
}

#[test]
fn a_strict_duplicate_waits_until_the_first_message_is_flushed() {
    let (mut bench, mut peer) = open(Limits::default());
    send(&mut bench, &mut peer, &["a"]);
    let (sequence, refusals_seen) = (peer.next, Sequence(0));
    let items = vec![Item { properties: Some(with_id("a")), ..item(b"job") }];
    let (queue, durability) = ("q", Some(Durability::Strict));
    bench.say(&mut peer, &[Frame::Send { sequence, queue, refusals_seen, durability, items }]);
    assert_eq!(bench.frames(&peer), repeats(2, &[(0, 1)]));
    bench.lose_power();
    let mut peer = bench.join(2);
    assert_eq!(counts(&mut bench, &mut peer).ready, 1);
}

/// The window is told to who asks, and follows how long it takes to store.
#[test]
fn a_producer_is_told_how_much_may_be_under_way() {
    let (mut bench, mut peer) = open(Limits { ingest_items_max: 600, ..Limits::default() });
    send(&mut bench, &mut peer, &["a"]);
    bench.say(&mut peer, &[Frame::Ingest { on: true }]);
    assert_eq!(bench.frames(&peer), [Frame::Window { items: 256 }]);
    for items in [512, 600] {
        let answer = send(&mut bench, &mut peer, &[&items.to_string()]);
        assert_eq!(answer[1], Frame::Window { items });
    }
    assert_eq!(send(&mut bench, &mut peer, &["c"]), stored(4), "it is at the limit");
    bench.hold_storage = true;
    send(&mut bench, &mut peer, &["d"]);
    bench.pass_ms(251);
    bench.release_storage();
    let told = [&stored(5)[..], &[Frame::Window { items: 300 }]].concat();
    assert_eq!(bench.frames(&peer), told);
    bench.say(&mut peer, &[Frame::Ingest { on: false }]);
    assert_eq!(send(&mut bench, &mut peer, &["e"]), stored(6));
}
