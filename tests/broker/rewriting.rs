//! What the store holds after much has come and gone, and what a crash on the way leaves.

use tabmq::broker::io::Input;
use tabmq::id::{ConsumerId, Epoch, LeaseNumber, LogId, Sequence};
use tabmq::limits::Limits;
use tabmq::log::{LogConfig, MemoryStore, NewIdentity, Record, Recovery, records_of};
use tabmq::options::ConsumeOptions;
use tabmq::rules::Rules;
use tabmq::sim::damage::recovers;
use tabmq::sim::fact::{ProcessId, Tag};
use tabmq::sim::model::{self, Model, Whereabouts};
use tabmq::store::{Key, StorageAction};
use tabmq::wire::frame::{Item, Settlement};
use tabmq::wire::{Frame, Message};

use crate::harness::{Bench, Peer, client, item, stored_bytes};

/// Leases and bodies of what the peer got since it last looked.
fn take(bench: &mut Bench, peer: &Peer) -> Vec<(LeaseNumber, Vec<u8>)> {
    let mut taken = Vec::new();
    for bytes in bench.take_messages(peer) {
        let message = Message::parse(&bytes).expect("the node writes transport messages");
        for frame in message.frames() {
            if let Frame::Deliver(delivery) = frame.expect("the node writes frames") {
                taken.push((delivery.lease, delivery.body.to_vec()));
            }
        }
    }
    taken
}

fn consume(bench: &mut Bench, peer: &mut Peer, queue: &str, prefetch: u32) {
    let (consumer, options) = (ConsumerId(1), ConsumeOptions::new(prefetch, u32::MAX));
    bench.say(peer, &[Frame::Consume { consumer, queue, options }]);
}

fn settle(bench: &mut Bench, peer: &mut Peer, leases: &[LeaseNumber], how: Settlement<'static>) {
    let settle = |lease: &LeaseNumber| Frame::Settle { lease: *lease, settlement: how };
    bench.say(peer, &leases.iter().map(settle).collect::<Vec<_>>());
}

fn send_batch(bench: &mut Bench, peer: &mut Peer, queue: &str, bodies: &[Vec<u8>]) {
    let sequence = peer.next;
    peer.next = sequence.next();
    let items = bodies.iter().map(|body| item(body)).collect();
    let (refusals_seen, durability) = (Sequence(0), None);
    bench.say(peer, &[Frame::Send { sequence, queue, refusals_seen, durability, items }]);
}

/// What is before the pieces of the index, a short piece, and what is after them.
const PAGES_MAX: usize = 3;

/// How many pages and chunks a recovery reads.
fn read_by_recovery(store: &MemoryStore, limits: &Limits) -> (usize, usize) {
    let mut store = store.clone();
    let identity = NewIdentity { log: LogId([9; 16]), incarnation: 9 };
    let config = LogConfig::new(limits, Rules::ON);
    let mut recovery = Recovery::new(config, identity, Epoch::default());
    let (mut pages, mut chunks) = (0, 0);
    while let Some((op, action)) = recovery.poll_storage() {
        if let StorageAction::Read { keys } = &action {
            pages += keys.iter().filter(|key| matches!(key, Key::Page(_))).count();
            chunks += keys.iter().filter(|key| matches!(key, Key::Chunk(_))).count();
        }
        let result = store.perform(&action);
        recovery.handle_stored(op, result, &mut |_, _| {}).expect("the log is sound");
    }
    (pages, chunks)
}

/// A million takes a quarter of a minute where nothing is optimized, and is in `benches/queue.rs`.
/// What is stored does not grow after the first checkpoints.
#[test]
fn many_messages_leave_little_behind_one_that_stays() {
    const MESSAGES: u32 = 200_000;
    const BATCH: u32 = 1000;
    let mut bench = Bench::new();
    let (mut producer, mut worker) = (bench.join(1), bench.join(2));
    bench.send(&mut producer, "old", b"stays");
    consume(&mut bench, &mut worker, "work", BATCH);
    let mut most = 0;
    for batch in 0..MESSAGES / BATCH {
        let numbers = batch * BATCH..(batch + 1) * BATCH;
        let bodies: Vec<Vec<u8>> = numbers.map(|number| number.to_le_bytes().to_vec()).collect();
        send_batch(&mut bench, &mut producer, "work", &bodies);
        let taken = take(&mut bench, &worker);
        assert!(taken.iter().map(|(_, body)| body).eq(&bodies));
        let leases: Vec<LeaseNumber> = taken.into_iter().map(|(lease, _)| lease).collect();
        settle(&mut bench, &mut worker, &leases, Settlement::Ack { value: None });
        bench.forget_all();
        if batch % 16 == 0 {
            most = most.max(stored_bytes(&mut bench.store));
        }
    }
    let stored = stored_bytes(&mut bench.store);
    assert!(stored <= 4 << 20 && most <= 4 << 20, "{stored} bytes stored, {most} at most");
    let (pages, chunks) = read_by_recovery(&bench.store, &bench.limits);
    // A batch that waited at the last checkpoint is enough for a piece that is not short.
    assert!(pages <= PAGES_MAX + 1 && chunks <= 64, "{pages} pages and {chunks} chunks to read");
    bench.restart();
    let mut late = bench.join(3);
    consume(&mut bench, &mut late, "old", 1);
    assert_eq!(take(&mut bench, &late)[0].1, b"stays");
}

#[test]
fn messages_that_come_and_go_one_by_one_leave_few_chunks_to_read() {
    let mut bench = Bench::new();
    let (mut producer, mut worker) = (bench.join(1), bench.join(2));
    bench.send(&mut producer, "old", b"stays");
    consume(&mut bench, &mut worker, "work", 1);
    for number in 0..5000_u32 {
        bench.send(&mut producer, "work", &number.to_le_bytes());
        let taken = take(&mut bench, &worker);
        settle(&mut bench, &mut worker, &[taken[0].0], Settlement::Ack { value: None });
        bench.forget_all();
        if number % 10 == 0 {
            let (pages, chunks) = read_by_recovery(&bench.store, &bench.limits);
            assert!(
                pages <= PAGES_MAX && chunks <= 64,
                "{pages} pages and {chunks} chunks to read"
            );
        }
    }
    let stored = stored_bytes(&mut bench.store) - bench.limits.log_reserve_bytes as usize;
    assert!(stored <= 64 << 10, "{stored} bytes stored");
}

#[test]
fn old_messages_scattered_one_to_a_chunk_are_gathered() {
    const CHUNKS: u32 = 300;
    const BODY_BYTES: usize = 1000;
    let mut bench = Bench::new();
    let (mut producer, mut worker) = (bench.join(1), bench.join(2));
    consume(&mut bench, &mut worker, "work", 1000);
    let mut kept = Vec::new();
    for number in 0..CHUNKS {
        let bodies: Vec<Vec<u8>> = (0..100_u8)
            .map(|index| {
                let mut body = vec![index; BODY_BYTES];
                body[..4].copy_from_slice(&number.to_le_bytes());
                body
            })
            .collect();
        send_batch(&mut bench, &mut producer, "work", &bodies);
        let mut leases: Vec<LeaseNumber> =
            take(&mut bench, &worker).into_iter().map(|(lease, _)| lease).collect();
        kept.push(leases.remove(number as usize % 100));
        settle(&mut bench, &mut worker, &leases, Settlement::Ack { value: None });
        bench.forget_all();
    }
    let state = bench.node.broker().unwrap().state();
    assert_eq!(state.leases.len(), CHUNKS as usize);
    let chunks = chunks(&mut bench.store);
    let stored = stored_bytes(&mut bench.store);
    assert!(chunks.len() < 100 && stored < 4 << 20, "{} chunks, {stored} bytes", chunks.len());
    bench.restart();
    bench.input(Input::Present { clients: &[client(2)] });
    let (mut worker, welcome) = bench.hello(2, |hello| hello.leases = kept.clone());
    assert_eq!(welcome.stale, [], "a lease outlives the move of its message");
    settle(&mut bench, &mut worker, &kept, Settlement::Release);
    consume(&mut bench, &mut worker, "work", 1000);
    let taken = take(&mut bench, &worker);
    let numbers = taken.iter().map(|(_, body)| u32::from_le_bytes(body[..4].try_into().unwrap()));
    assert!(numbers.eq(0..CHUNKS), "all are there, in order");
    assert!(taken.iter().all(|(_, body)| body.len() == BODY_BYTES));
}

fn chunks(store: &mut MemoryStore) -> Vec<Key> {
    store.values_mut().keys().filter(|key| matches!(key, Key::Chunk(_))).copied().collect()
}

/// Limits under which a few dozen messages bring checkpoints, moves and deletes.
fn small() -> Limits {
    Limits {
        chunk_bytes_max: 512,
        page_bytes_max: 256,
        resident_bytes_max: 600,
        checkpoint_bytes_min: 2048,
        log_reserve_bytes: 1000,
        ..Limits::default()
    }
}

/// One of those that do not expire, by the rule of the model.
fn tag(serial: u32) -> Tag {
    Tag { process: ProcessId(1), serial: serial * 6 + 1 }
}

/// Eighty messages come. Most go as they come, some later, some are there at the end: in their
/// queue, delayed, dead, or out under a lease. Gives every storage effect in order.
fn work() -> Vec<StorageAction> {
    let mut bench = Bench::cold(MemoryStore::default(), small());
    bench.performed = Some(Vec::new());
    bench.settle();
    let (mut producer, mut worker) = (bench.join(1), bench.join(2));
    consume(&mut bench, &mut worker, "work", 20);
    let mut held = Vec::new();
    for serial in 1..=80 {
        let queue = if serial % 7 == 0 { "old" } else { "work" };
        let body = tag(serial).body(20 + serial as usize);
        let (sequence, refusals_seen, durability) = (producer.next, Sequence(0), None);
        producer.next = sequence.next();
        let delay_ms = (serial % 11 == 0).then_some(1 << 40);
        let items = vec![Item { delay_ms, ..item(&body) }];
        let send = Frame::Send { sequence, queue, refusals_seen, durability, items };
        bench.say(&mut producer, &[send]);
        for (lease, _) in take(&mut bench, &worker) {
            match serial % 9 {
                0 => held.push(lease),
                1 => settle(&mut bench, &mut worker, &[lease], Settlement::Reject { reason: None }),
                _ => settle(&mut bench, &mut worker, &[lease], Settlement::Ack { value: None }),
            }
        }
        if serial == 50 {
            settle(&mut bench, &mut worker, &held.split_off(held.len() / 2), Settlement::Release);
        }
    }
    bench.performed.take().unwrap()
}

/// Whether a commit holds a checkpoint, a move or a delete.
fn rewrites(action: &StorageAction) -> bool {
    let StorageAction::Commit { puts, deletes, .. } = action else { return false };
    let moves = |bytes: &[u8]| {
        let mut records = records_of(bytes).into_iter().flatten();
        records.any(|(_, record)| matches!(record, Record::Moved { .. }))
    };
    !deletes.is_empty() || puts.iter().any(|(key, b)| *key == Key::Manifest || moves(b))
}

/// What a medium without transactions may have of a commit that never ended: some of its chunks
/// and pages, the last one perhaps in part; with all of them the manifest; with that some of the
/// deletes.
fn parts_of(action: &StorageAction) -> Vec<StorageAction> {
    let StorageAction::Commit { expect, claim, sync, puts, deletes } = action else {
        return Vec::new();
    };
    let (manifest, values): (Vec<_>, Vec<_>) =
        puts.iter().cloned().partition(|(key, _)| *key == Key::Manifest);
    let part = |puts, deletes| {
        let (expect, claim, sync) = (*expect, *claim, *sync);
        StorageAction::Commit { expect, claim, sync, puts, deletes }
    };
    let mut parts = Vec::new();
    for whole in 0..values.len() {
        parts.push(part(values[..whole].to_vec(), Vec::new()));
        let mut torn = values[..=whole].to_vec();
        let bytes = &mut torn[whole].1;
        bytes.truncate(bytes.len() / 2);
        parts.push(part(torn, Vec::new()));
    }
    parts.push(part(values.clone(), Vec::new()));
    for deleted in 0..deletes.len() {
        let puts = values.iter().chain(&manifest).cloned().collect();
        parts.push(part(puts, deletes[..deleted].to_vec()));
    }
    parts
}

/// Tells the model what a commit stored, but for a chunk that is there in part.
fn tell(model: &mut Model, action: &StorageAction) {
    let StorageAction::Commit { puts, .. } = action else { return };
    for (_, bytes) in puts.iter().filter(|(key, _)| matches!(key, Key::Chunk(_))) {
        for (place, record) in records_of(bytes).into_iter().flatten() {
            model.apply(place, &record).expect("a record makes sense");
        }
    }
}

/// A node over that store has what the model says, and hands all of it out, once.
fn comes_back(store: &MemoryStore, model: &Model) {
    recovers(store, model, &small(), Rules::ON).expect("the log is sound");
    let mut bench = Bench::cold(store.clone(), small());
    bench.settle();
    bench.now.unix.0 += 1 << 41;
    bench.input(Input::Present { clients: &[] });
    let mut worker = bench.join(9);
    for (consumer, queue) in [(1, "work"), (2, "old"), (3, "work.dead")] {
        let consumer = ConsumerId(consumer);
        let options = ConsumeOptions::new(5, u32::MAX);
        bench.say(&mut worker, &[Frame::Consume { consumer, queue, options }]);
    }
    let mut got = Vec::new();
    loop {
        let taken = take(&mut bench, &worker);
        if taken.is_empty() {
            break;
        }
        for (lease, body) in taken {
            got.push(Tag::of(&body).expect("a body is as it was sent"));
            settle(&mut bench, &mut worker, &[lease], Settlement::Ack { value: None });
        }
    }
    got.sort();
    let lives = |message: &&model::Message| {
        !matches!(message.whereabouts, Whereabouts::Acked | Whereabouts::Discarded)
    };
    let mut live: Vec<Tag> = model.messages.values().filter(lives).map(|m| m.tag).collect();
    live.sort();
    assert_eq!(got, live);
}

#[test]
fn a_crash_at_any_effect_of_checkpoint_move_and_delete_loses_and_doubles_nothing() {
    let (mut store, mut model) = (MemoryStore::default(), Model::default());
    let (mut checkpoints, mut deletes, mut moves, mut moved_leases) = (0, 0, 0, 0);
    for action in work() {
        for part in if rewrites(&action) { parts_of(&action) } else { Vec::new() } {
            let (mut store, mut model) = (store.clone(), model.clone());
            store.perform(&part).expect("a commit is accepted as it was");
            tell(&mut model, &part);
            comes_back(&store, &model);
        }
        store.perform(&action).expect("an action is performed as it was");
        tell(&mut model, &action);
        comes_back(&store, &model);
        if let StorageAction::Commit { puts, deletes: deleted, .. } = &action {
            checkpoints += usize::from(puts.iter().any(|(key, _)| *key == Key::Manifest));
            deletes += deleted.iter().filter(|key| matches!(key, Key::Chunk(_))).count();
            for (_, record) in puts.iter().filter_map(|(_, bytes)| records_of(bytes)).flatten() {
                if let Record::Moved { lease, .. } = record {
                    moves += 1;
                    moved_leases += usize::from(lease.is_some());
                }
            }
        }
    }
    assert!(
        checkpoints > 10 && deletes > 100 && moves > 20 && moved_leases > 5,
        "{checkpoints} checkpoints, {deletes} deletes, {moves} moves, {moved_leases} under a lease"
    );
}

#[test]
fn a_small_bound_does_not_make_one_checkpoint_after_another() {
    let limits = Limits { checkpoint_bytes_min: 512, ..Limits::default() };
    let mut bench = Bench::with(limits);
    let mut peer = bench.join(1);
    for body in [b"a", b"b"] {
        bench.send(&mut peer, "jobs", body);
    }
    let options = tabmq::options::ConsumeOptions::new(2, 1 << 20);
    let consumer = tabmq::id::ConsumerId(1);
    bench.say(&mut peer, &[Frame::Consume { consumer, queue: "jobs", options }]);
    for _ in 0..20 {
        bench.send(&mut peer, "other", &[7; 200]);
    }
}
