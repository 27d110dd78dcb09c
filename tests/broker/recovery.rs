use tabmq::broker::io::{Event, Input};
use tabmq::error::Code;
use tabmq::id::{ConsumerId, Epoch, LaneId, LeaseNumber, LogId, Sequence};
use tabmq::limits::Limits;
use tabmq::log::MemoryStore;
use tabmq::options::ConsumeOptions;
use tabmq::store::{Key, StorageFault};
use tabmq::wire::Frame;
use tabmq::wire::frame::Settlement;

use crate::harness::{Bench, Peer, client};

/// A broker made anew because the storage was full writes nothing for so long.
const FULL_PAUSE_MS: u64 = 250;
/// And it refuses for so long what would need room.
const FULL_MS: u64 = 10_000;

fn leased(bench: &mut Bench, worker: &mut Peer) -> Vec<(LeaseNumber, Vec<u8>)> {
    let (consumer, queue) = (ConsumerId(1), "work");
    bench
        .say(worker, &[Frame::Consume { consumer, queue, options: ConsumeOptions::new(10, 1000) }]);
    delivered(bench, worker)
}

fn delivered(bench: &mut Bench, worker: &Peer) -> Vec<(LeaseNumber, Vec<u8>)> {
    let frames = bench.frames(worker).into_iter();
    let delivery = |frame| match frame {
        Frame::Deliver(delivery) => Some((delivery.lease, delivery.body.to_vec())),
        _ => None,
    };
    frames.filter_map(delivery).collect()
}

#[test]
fn a_new_node_has_the_queue_the_lane_and_the_lease() {
    let mut bench = Bench::new();
    let (mut producer, mut worker) = (bench.join(1), bench.join(2));
    bench.send(&mut producer, "work", b"a");
    bench.send(&mut producer, "work", b"b");
    let held = leased(&mut bench, &mut worker);
    let (lane, log, epoch) = (producer.lane, producer.log, bench.node.epoch());
    bench.restart();
    assert!(bench.node.epoch() > epoch);
    bench.input(Input::Present { clients: &[client(1), client(2)] });
    let (_, welcome) = bench.hello(1, |hello| {
        hello.lane = lane;
        hello.log = log;
    });
    assert_eq!((welcome.resumed, welcome.position), (true, Sequence(2)));
    let (mut worker, welcome) = bench.hello(2, |hello| hello.leases = vec![held[0].0]);
    assert_eq!(welcome.stale, []);
    assert_eq!(delivered(&mut bench, &worker), [held[1].clone()], "the other is told again");
    let lease = held[0].0;
    bench.say(&mut worker, &[Frame::Settle { lease, settlement: Settlement::Ack { value: None } }]);
    assert!(bench.frames(&worker).contains(&Frame::Settled { lease, refused: None }));
}

#[test]
fn leases_of_a_client_that_is_not_there_are_given_to_others_at_once() {
    let mut bench = Bench::new();
    let (mut producer, mut worker) = (bench.join(1), bench.join(2));
    bench.send(&mut producer, "work", b"a");
    leased(&mut bench, &mut worker);
    bench.restart();
    bench.input(Input::Present { clients: &[client(1)] });
    let mut other = bench.join(3);
    assert_eq!(leased(&mut bench, &mut other).len(), 1);
}

#[test]
fn a_client_that_is_there_keeps_its_leases_though_that_is_said_late() {
    let mut bench = Bench::new();
    let (mut producer, mut worker) = (bench.join(1), bench.join(2));
    bench.send(&mut producer, "work", b"a");
    let lease = leased(&mut bench, &mut worker)[0].0;
    bench.restart();
    bench.pass_ms(bench.limits.settle_ms);
    bench.input(Input::Present { clients: &[client(1), client(2)] });
    let (_, welcome) = bench.hello(2, |hello| hello.leases = vec![lease]);
    assert_eq!(welcome.stale, []);
}

#[test]
fn what_was_not_stored_was_not_confirmed_and_is_not_there() {
    let mut bench = Bench::new();
    let mut producer = bench.join(1);
    bench.hold_storage = true;
    bench.send(&mut producer, "work", b"a");
    bench.hold_storage = false;
    bench.restart();
    assert!(bench.node.broker().unwrap().state().queues.is_empty());
}

#[test]
fn what_a_loss_of_power_took_is_told_to_who_comes_back_nodes_later() {
    let mut bench = Bench::new();
    let mut first = bench.join(1);
    // The first number of a block is flushed, and all that came before it.
    bench.send(&mut first, "work", b"kept");
    let mut producer = bench.join(2);
    bench.send(&mut producer, "work", b"lost");
    assert_eq!(bench.frames(&producer), [Frame::Sent { position: Sequence(1) }]);
    bench.lose_power();
    let queue = bench.node.broker().unwrap().state().queues.values().next().unwrap();
    assert_eq!(queue.messages(), 1);
    bench.join(3);
    bench.restart();
    let (_, welcome) = bench.hello(2, |hello| {
        hello.lane = producer.lane;
        hello.log = producer.log;
        hello.confirmed = Sequence(1);
        hello.floor = Sequence(2);
    });
    assert!(welcome.rolled_back && !welcome.resumed);
    assert!(welcome.lane > producer.lane);
}

#[test]
fn an_old_node_is_over_when_its_commit_meets_a_higher_fence() {
    let mut bench = Bench::new();
    let mut producer = bench.join(1);
    bench.take_events();
    *bench.store.fence_mut() = Some(Epoch { counter: 99, incarnation: 1 });
    bench.send(&mut producer, "work", b"a");
    let told = bench.frames(&producer);
    assert_eq!(told, [Frame::Hangup { code: Code::Unavailable }], "nothing is confirmed");
    let over = Event::Over { code: Code::Unavailable, reason: "fenced" };
    assert!(bench.take_events().contains(&over));
}

#[test]
fn a_node_that_slept_looks_at_the_fence_before_it_does_anything() {
    let mut bench = Bench::new();
    let mut producer = bench.join(1);
    bench.take_events();
    *bench.store.fence_mut() = Some(Epoch { counter: 99, incarnation: 1 });
    bench.now.mono = bench.now.mono.after_ms(bench.limits.pause_ms_max + 1);
    bench.say(&mut producer, &[Frame::Ping { nonce: 1 }]);
    assert_eq!(bench.frames(&producer), [], "it does not even answer");
    assert!(matches!(bench.take_events()[..], [Event::Over { reason: "fenced", .. }]));
}

#[test]
fn a_node_that_slept_and_is_still_the_one_goes_on() {
    let mut bench = Bench::new();
    let mut producer = bench.join(1);
    bench.now.mono = bench.now.mono.after_ms(bench.limits.pause_ms_max + 1);
    bench.say(&mut producer, &[Frame::Ping { nonce: 1 }]);
    assert_eq!(bench.frames(&producer), [Frame::Pong { nonce: 1 }]);
}

#[test]
fn an_aborted_commit_is_tried_again() {
    let mut bench = Bench::new();
    let mut producer = bench.join(1);
    bench.hold_storage = true;
    bench.send(&mut producer, "work", b"a");
    let (op, _) = bench.held.pop_front().unwrap();
    bench.input(Input::Stored { op, result: Err(StorageFault::Aborted) });
    bench.release_storage();
    assert_eq!(bench.frames(&producer), [Frame::Sent { position: Sequence(1) }]);
}

#[test]
fn a_full_disk_refuses_sends_and_keeps_what_was_confirmed() {
    let mut bench = Bench::new();
    let mut producer = bench.join(1);
    bench.send(&mut producer, "work", b"kept");
    let (lane, log) = (producer.lane, producer.log);
    bench.fault = Some(StorageFault::Quota);
    bench.send(&mut producer, "work", b"too much");
    let (mut producer, welcome) = bench.hello(1, |hello| {
        hello.lane = lane;
        hello.log = log;
        hello.confirmed = Sequence(1);
        hello.floor = Sequence(2);
    });
    assert_eq!((welcome.resumed, welcome.position), (true, Sequence(1)));
    bench.send(&mut producer, "work", b"too much");
    let refused =
        Frame::SendRefused { sequence: Sequence(2), code: Code::Storage, reason: "quota" };
    assert!(bench.frames(&producer).contains(&refused));
    bench.fault = None;
    let mut worker = bench.join(2);
    leased(&mut bench, &mut worker);
    bench.pass_ms(FULL_PAUSE_MS);
    assert_eq!(delivered(&mut bench, &worker)[0].1, b"kept");
    let (sequence, refusals_seen, durability) = (Sequence(3), Sequence(2), None);
    let (queue, items) = ("work", vec![crate::harness::item(b"fits")]);
    bench.say(&mut producer, &[Frame::Send { sequence, queue, refusals_seen, durability, items }]);
    assert!(bench.frames(&producer).contains(&Frame::Sent { position: Sequence(3) }));
}

/// A node whose storage has just been found full, and the numbering of its client 1.
fn full() -> (Bench, LaneId, Option<LogId>) {
    let mut bench = Bench::new();
    let mut producer = bench.join(1);
    bench.send(&mut producer, "work", b"kept");
    bench.fault = Some(StorageFault::Quota);
    bench.send(&mut producer, "work", b"too much");
    bench.take_events();
    (bench, producer.lane, producer.log)
}

#[test]
fn a_client_whose_sends_were_refused_is_welcome_though_nothing_can_be_stored() {
    let (mut bench, lane, log) = full();
    let (mut producer, welcome) = bench.hello(1, |hello| {
        hello.lane = lane;
        hello.log = log;
        hello.confirmed = Sequence(1);
        // Two sends were refused by a node that knows of it no more.
        hello.floor = Sequence(4);
    });
    assert_eq!((welcome.resumed, welcome.position), (true, Sequence(1)));
    bench.take_events();
    producer.next = Sequence(4);
    bench.send(&mut producer, "work", b"too much");
    let refused =
        Frame::SendRefused { sequence: Sequence(4), code: Code::Storage, reason: "quota" };
    assert!(bench.frames(&producer).contains(&refused));
    assert_eq!(bench.take_events(), []);
}

#[test]
fn a_node_whose_storage_is_full_pauses_before_it_writes_again() {
    let (mut bench, ..) = full();
    let mut worker = bench.join(2);
    leased(&mut bench, &mut worker);
    bench.take_events();
    bench.pass_ms(FULL_PAUSE_MS - 1);
    assert_eq!(bench.take_events(), []);
    bench.pass_ms(1);
    assert!(bench.take_events().contains(&Event::StorageFull { full: true }));
}

#[test]
fn room_that_others_made_is_found_though_nothing_but_sends_would_be_written() {
    let (mut bench, lane, log) = full();
    let mut producer = bench.dial(1, |hello| {
        hello.lane = lane;
        hello.log = log;
        hello.confirmed = Sequence(1);
        hello.floor = Sequence(2);
    });
    let (late, welcome) = bench.hello(2, |_| {});
    assert_eq!(welcome.lane, LaneId(0));
    bench.fault = None;
    producer.next = Sequence(2);
    bench.pass_ms(FULL_MS - 1);
    bench.send(&mut producer, "work", b"too soon");
    let refused =
        Frame::SendRefused { sequence: Sequence(2), code: Code::Storage, reason: "quota" };
    assert!(bench.frames(&producer).contains(&refused));
    bench.pass_ms(1000);
    let hangup = Frame::Hangup { code: Code::Unavailable };
    assert!(bench.frames(&late).contains(&hangup), "who came meanwhile may ask for a lane");
    let (sequence, refusals_seen, durability) = (Sequence(3), Sequence(2), None);
    let (queue, items) = ("work", vec![crate::harness::item(b"fits")]);
    bench.say(&mut producer, &[Frame::Send { sequence, queue, refusals_seen, durability, items }]);
    assert!(bench.frames(&producer).contains(&Frame::Sent { position: Sequence(3) }));
    assert_ne!(bench.join(2).lane, LaneId(0));
}

#[test]
fn a_missing_chunk_stops_recovery_by_name() {
    let mut bench = Bench::new();
    let mut producer = bench.join(1);
    for _ in 0..3 {
        bench.send(&mut producer, "work", b"a");
    }
    let chunks = chunks(&mut bench.store);
    let middle = chunks[chunks.len() - 2];
    bench.store.values_mut().remove(&middle);
    bench.take_events();
    bench.restart();
    let over = Event::Over { code: Code::Storage, reason: "missing chunk" };
    assert_eq!(bench.take_events(), [over]);
}

#[test]
fn a_torn_last_chunk_is_cut_at_every_byte_and_a_flipped_bit_before_it_is_corruption() {
    let mut bench = Bench::new();
    let mut producer = bench.join(1);
    bench.send(&mut producer, "work", b"a");
    bench.send(&mut producer, "work", b"b");
    let store = bench.store.clone();
    let keys = chunks(&mut bench.store);
    let (before, last) = (keys[keys.len() - 2], keys[keys.len() - 1]);
    let length = store.clone().values_mut().get(&last).unwrap().len();
    for cut in 0..length {
        let mut torn = store.clone();
        torn.values_mut().get_mut(&last).unwrap().truncate(cut);
        let bench = restarted(torn);
        let state = bench.node.broker().unwrap().state();
        assert_eq!(state.queues.values().next().unwrap().messages(), 1, "cut at {cut}");
    }
    for bit in 0..store.clone().values_mut().get(&before).unwrap().len() * 8 {
        let mut flipped = store.clone();
        flipped.values_mut().get_mut(&before).unwrap()[bit / 8] ^= 1 << (bit % 8);
        let bench = restarted(flipped);
        let over = Event::Over { code: Code::Storage, reason: "corruption" };
        assert_eq!(bench.events, [over], "bit {bit}");
    }
}

fn restarted(store: MemoryStore) -> Bench {
    let mut bench = Bench::cold(store, Limits::default());
    bench.settle();
    bench
}

fn chunks(store: &mut MemoryStore) -> Vec<Key> {
    store.values_mut().keys().filter(|key| matches!(key, Key::Chunk(_))).copied().collect()
}

/// Limits under which everything about the log happens often.
fn small() -> Limits {
    Limits {
        chunk_bytes_max: 512,
        page_bytes_max: 256,
        resident_bytes_max: 600,
        checkpoint_bytes_min: 2048,
        log_reserve_bytes: 0,
        ..Limits::default()
    }
}

#[test]
fn checkpoints_delete_dead_chunks_and_recovery_gives_the_same_state() {
    let mut bench = Bench::with(small());
    let (mut producer, mut worker) = (bench.join(1), bench.join(2));
    bench.send(&mut producer, "old", b"stays");
    for round in 0..200_u32 {
        bench.send(&mut producer, "work", &round.to_le_bytes());
        for (lease, _) in leased(&mut bench, &mut worker) {
            bench.say(
                &mut worker,
                &[Frame::Settle { lease, settlement: Settlement::Ack { value: None } }],
            );
        }
    }
    let stored: usize = bench.store.values_mut().values().map(Vec::len).sum();
    assert!(stored < 16_384, "{stored} bytes are kept for one message");
    let before = bench.node.broker().unwrap().digest();
    bench.restart();
    assert_eq!(bench.node.broker().unwrap().digest(), before);
    let mut worker = bench.join(3);
    let (consumer, queue) = (ConsumerId(1), "old");
    bench.say(
        &mut worker,
        &[Frame::Consume { consumer, queue, options: ConsumeOptions::new(1, 9) }],
    );
    assert_eq!(delivered(&mut bench, &worker)[0].1, b"stays");
}

#[test]
fn bodies_over_the_memory_budget_come_back_in_order() {
    let mut bench = Bench::with(small());
    let (mut producer, mut worker) = (bench.join(1), bench.join(2));
    let bodies: Vec<Vec<u8>> = (0..50_u8).map(|n| vec![n; 100]).collect();
    for body in &bodies {
        bench.send(&mut producer, "work", body);
    }
    let (consumer, queue) = (ConsumerId(1), "work");
    bench.say(
        &mut worker,
        &[Frame::Consume { consumer, queue, options: ConsumeOptions::new(3, 999) }],
    );
    let mut got = Vec::new();
    while got.len() < bodies.len() {
        let batch = delivered(&mut bench, &worker);
        assert!(!batch.is_empty(), "deliveries stopped after {}", got.len());
        for (lease, body) in batch {
            got.push(body);
            bench.say(
                &mut worker,
                &[Frame::Settle { lease, settlement: Settlement::Ack { value: None } }],
            );
        }
    }
    assert_eq!(got, bodies);
}
