//! A running log: group commit, retries, residency, checkpoints.

use tabmq::id::{ChunkNumber, Epoch, MessageNumber};
use tabmq::limits::Limits;
use tabmq::log::{LogConfig, LogEvent, Place, Recovery};
use tabmq::rules::Rules;
use tabmq::store::{Key, StorageAction, StorageFault, Stored, Sync};

use crate::harness::{Bench, LIMITS, identity, recover, recover_with};

fn chunks_put(action: &StorageAction) -> Vec<u64> {
    let StorageAction::Commit { puts, .. } = action else { return Vec::new() };
    let chunk = |key: &Key| if let Key::Chunk(number) = key { Some(number.0) } else { None };
    puts.iter().filter_map(|(key, _)| chunk(key)).collect()
}

#[test]
fn a_chunk_fills_while_the_one_before_it_is_written() {
    let mut bench = Bench::new();
    assert_eq!(bench.log.appended(), ChunkNumber(0));
    bench.send(10);
    assert_eq!((bench.log.appended(), bench.log.durable()), (ChunkNumber(1), ChunkNumber(0)));
    bench.ask();
    bench.send(10);
    bench.send(10);
    assert_eq!(bench.log.appended(), ChunkNumber(2));
    bench.ask();
    assert_eq!(bench.asked.len(), 1, "one commit at a time");
    assert_eq!(bench.perform(), Some(LogEvent::Durable(ChunkNumber(1))));
    bench.ask();
    assert_eq!(chunks_put(&bench.asked[0].1), [2]);
    assert_eq!(bench.perform(), Some(LogEvent::Durable(ChunkNumber(2))));
    assert_eq!(bench.log.durable(), bench.log.appended());
    bench.ask();
    assert!(bench.asked.is_empty(), "nothing is left to write");
}

#[test]
fn full_chunks_and_the_one_that_fills_share_a_commit() {
    let mut bench = Bench::new();
    for _ in 0..12 {
        bench.send(100);
    }
    bench.ask();
    assert_eq!(chunks_put(&bench.asked[0].1), [1, 2, 3, 4, 5, 6]);
    assert_eq!(bench.drain(), [LogEvent::Durable(ChunkNumber(6))]);
}

#[test]
fn a_batch_is_one_chunk_and_no_commit_starts_inside_it() {
    let mut bench = Bench::new();
    bench.send(10);
    bench.log.begin_batch();
    bench.log.begin_batch();
    for _ in 0..10 {
        bench.send(100);
    }
    bench.log.end_batch();
    assert_eq!(bench.log.poll_storage(), None);
    bench.log.end_batch();
    assert!(bench.live.values().all(|place| place.chunk == ChunkNumber(1)));
    bench.send(1);
    assert_eq!(bench.log.appended(), ChunkNumber(2));
}

#[test]
fn a_record_longer_than_a_chunk_comes_back() {
    let mut bench = Bench::new();
    bench.send(10);
    bench.send(5000);
    bench.send(10);
    bench.drain();
    let live = bench.live.clone();
    bench.restart().unwrap();
    assert_eq!(bench.live, live);
    bench.check_bodies();
}

#[test]
fn only_chunks_that_must_are_written_strictly() {
    let sync_of = |bench: &mut Bench| {
        bench.ask();
        let (_, action) = bench.asked.front().expect("a commit");
        let StorageAction::Commit { sync, .. } = action else { panic!("a commit") };
        let sync = *sync;
        bench.drain();
        sync
    };
    let mut bench = Bench::new();
    bench.send(10);
    assert_eq!(sync_of(&mut bench), Sync::Relaxed);
    bench.send(10);
    bench.log.require_strict();
    for _ in 0..5 {
        bench.send(100);
    }
    assert_eq!(sync_of(&mut bench), Sync::Strict);
    bench.send(10);
    assert_eq!(sync_of(&mut bench), Sync::Relaxed);
}

#[test]
fn an_aborted_commit_is_tried_again_with_the_same_bytes() {
    let mut bench = Bench::new();
    bench.send(10);
    let (op, action) = bench.log.poll_storage().unwrap();
    assert_eq!(bench.log.handle_stored(op, Err(StorageFault::Aborted)), LogEvent::Nothing);
    bench.send(10);
    let (again, same) = bench.log.poll_storage().unwrap();
    assert!(again > op);
    assert_eq!(same, action);
    bench.asked.push_back((again, same));
    assert_eq!(bench.perform(), Some(LogEvent::Durable(ChunkNumber(1))));
}

#[test]
fn a_log_whose_commit_fails_writes_nothing_more() {
    use StorageFault::{Aborted, Fenced, Lost, Quota};
    for (faults, last) in [
        (&[Aborted, Aborted, Aborted][..], Aborted),
        (&[], Quota),
        (&[], Fenced),
        (&[Aborted], Lost),
    ] {
        let mut bench = Bench::new();
        bench.send(10);
        for fault in faults {
            assert_eq!(bench.answer(Err(*fault)), LogEvent::Nothing);
        }
        assert_eq!(bench.answer(Err(last)), LogEvent::Failed(last));
        bench.send(10);
        bench.ask();
        assert!(bench.asked.is_empty(), "{last:?}");
        assert_eq!(bench.log.durable(), ChunkNumber(0));
    }
}

#[test]
fn evicted_bodies_come_back_through_reads() {
    let mut bench = Bench::new();
    for _ in 0..100 {
        bench.send(100);
        bench.drain();
    }
    assert!(bench.log.resident_bytes() <= LIMITS.resident_bytes_max as usize);
    let first = bench.live[&MessageNumber(1)];
    assert!(bench.log.message(first).is_none());
    bench.log.load(first.chunk);
    bench.log.load(first.chunk);
    assert_eq!(bench.drain(), [LogEvent::Loaded(first.chunk)], "asked twice, read once");
    assert_eq!(bench.log.message(first).unwrap().number, MessageNumber(1));
    bench.check_bodies();
    assert!(bench.log.resident_bytes() <= LIMITS.resident_bytes_max as usize);
}

#[test]
fn only_some_chunks_are_read_at_a_time() {
    let mut bench = Bench::new();
    for _ in 0..100 {
        bench.send(200);
        bench.drain();
    }
    for chunk in (1..=50).map(ChunkNumber) {
        bench.log.load(chunk);
    }
    bench.ask();
    let at_once = bench.asked.len();
    assert!((1..=8).contains(&at_once), "{at_once} reads");
    assert_eq!(bench.drain().len(), 50);
}

/// A log whose first chunks are in storage alone.
fn spilled() -> Bench {
    let mut bench = Bench::new();
    for _ in 0..40 {
        bench.send(200);
        bench.drain();
    }
    bench
}

#[test]
fn a_chunk_that_is_not_what_was_written_is_unreadable() {
    const CHUNK: ChunkNumber = ChunkNumber(1);
    let flip = |bench: &mut Bench| {
        bench.store.values_mut().get_mut(&Key::Chunk(CHUNK)).unwrap()[60] ^= 1;
    };
    let lose = |bench: &mut Bench| {
        bench.store.values_mut().remove(&Key::Chunk(CHUNK));
    };
    let mistake = |bench: &mut Bench| {
        let other = bench.store.values_mut().get(&Key::Chunk(ChunkNumber(4))).unwrap().clone();
        bench.store.values_mut().insert(Key::Chunk(CHUNK), other);
    };
    for damage in [flip as fn(&mut Bench), lose, mistake] {
        let mut bench = spilled();
        damage(&mut bench);
        bench.log.load(CHUNK);
        assert_eq!(bench.drain(), [LogEvent::Nothing, LogEvent::Unreadable(CHUNK)]);
        bench.send(10);
        assert_eq!(bench.drain(), [], "nothing more is written");
    }
}

#[test]
fn a_node_that_was_replaced_finds_no_damage_in_what_its_successor_deleted() {
    let mut bench = spilled();
    recover(&mut bench.store, 2).unwrap();
    bench.store.values_mut().remove(&Key::Chunk(ChunkNumber(1)));
    bench.log.load(ChunkNumber(1));
    bench.ask();
    assert_eq!(bench.perform(), Some(LogEvent::Nothing));
    assert_eq!(bench.answer(Err(StorageFault::Aborted)), LogEvent::Nothing);
    assert_eq!(bench.drain(), [LogEvent::Failed(StorageFault::Fenced)]);
}

#[test]
fn a_chunk_of_a_later_epoch_is_not_the_one_that_was_written() {
    let mut later = Bench::new();
    later.restart().unwrap();
    later.send(200);
    later.drain();
    let chunk = Key::Chunk(ChunkNumber(1));
    let bytes = later.store.values_mut().remove(&chunk).unwrap();
    let mut bench = spilled();
    bench.store.values_mut().insert(chunk, bytes);
    bench.log.load(ChunkNumber(1));
    assert_eq!(bench.drain(), [LogEvent::Nothing, LogEvent::Unreadable(ChunkNumber(1))]);
}

#[test]
fn an_aborted_read_is_tried_again() {
    let mut bench = Bench::new();
    for _ in 0..40 {
        bench.send(200);
        bench.drain();
    }
    bench.log.load(ChunkNumber(1));
    assert_eq!(bench.answer(Err(StorageFault::Aborted)), LogEvent::Nothing);
    assert_eq!(bench.drain(), [LogEvent::Loaded(ChunkNumber(1))]);
    bench.log.load(ChunkNumber(2));
    assert_eq!(bench.answer(Err(StorageFault::Lost)), LogEvent::Failed(StorageFault::Lost));
}

#[test]
fn a_read_that_comes_after_its_chunk_is_gone_brings_nothing_and_is_told() {
    let mut bench = Bench::new();
    let number = bench.send(200);
    bench.drain();
    for _ in 0..40 {
        bench.send(200);
        bench.drain();
    }
    bench.log.load(ChunkNumber(1));
    let (op, action) = bench.log.poll_storage().unwrap();
    let result = bench.store.perform(&action);
    bench.end(number);
    bench.checkpoint();
    bench.drain();
    let resident_bytes = bench.log.resident_bytes();
    assert_eq!(bench.log.handle_stored(op, result), LogEvent::Loaded(ChunkNumber(1)));
    assert_eq!(bench.log.resident_bytes(), resident_bytes);
}

#[test]
fn a_checkpoint_deletes_the_chunks_that_nothing_needs() {
    let mut bench = Bench::new();
    let kept = bench.send(200);
    bench.drain();
    for _ in 0..30 {
        let number = bench.send(200);
        bench.drain();
        bench.end(number);
    }
    assert!(bench.log.checkpoint_due());
    bench.checkpoint();
    assert!(!bench.log.checkpoint_due(), "one is under way");
    bench.drain();
    let stored: Vec<Key> = bench.store.values_mut().keys().copied().collect();
    assert_eq!(stored, [Key::Manifest, Key::Chunk(ChunkNumber(1)), Key::Page(1)]);
    bench.restart().unwrap();
    assert_eq!(bench.live.keys().copied().collect::<Vec<_>>(), [MessageNumber(kept)]);
    bench.check_bodies();
}

#[test]
fn chunks_that_a_dead_node_did_not_delete_are_deleted_by_the_next() {
    let mut bench = Bench::new();
    for _ in 0..5 {
        let number = bench.send(200);
        bench.drain();
        bench.end(number);
    }
    let before = bench.store.clone();
    bench.checkpoint();
    bench.drain();
    // A medium without transactions: the manifest was written, the deletes were not.
    for (key, bytes) in before.clone().values_mut().iter() {
        bench.store.values_mut().get_or_insert_with(*key, || bytes.clone());
    }
    bench.restart().unwrap();
    assert!(bench.live.is_empty());
    bench.send(10);
    bench.drain();
    let chunk = |key: &&Key| matches!(key, Key::Chunk(_));
    let chunks: Vec<Key> = bench.store.values_mut().keys().filter(chunk).copied().collect();
    assert_eq!(chunks, [Key::Chunk(ChunkNumber(7))]);
}

#[test]
fn the_store_and_the_memory_stay_small_while_messages_come_and_go() {
    let mut bench = Bench::new();
    let mut written = 0;
    for round in 0..5000 {
        let number = bench.send(100);
        if round % 3 == 0 {
            bench.drain();
        }
        bench.end(number);
        if bench.log.checkpoint_due() {
            bench.checkpoint();
        }
        bench.ask();
        for (_, action) in &bench.asked {
            if let StorageAction::Commit { puts, .. } = action {
                written += puts.iter().map(|put| put.1.len()).sum::<usize>();
            }
        }
        bench.drain();
        let stored: usize = bench.store.values_mut().values().map(Vec::len).sum();
        assert!(stored < 8000, "{stored} bytes stored in round {round}");
    }
    assert!(bench.log.resident_bytes() < 2000);
    assert!(written > 5000 * 100 && written < 5000 * 500, "{written} bytes written");
}

#[test]
fn many_short_chunks_are_read_in_few_rounds() {
    let mut bench = Bench::new();
    for _ in 0..5000 {
        bench.send(10);
        bench.drain();
    }
    let limits = Limits { resident_bytes_max: 1 << 30, ..LIMITS };
    let config = LogConfig::new(&limits, Rules::ON);
    let mut recovery = Recovery::new(config, identity(2), Epoch::default());
    let (mut reads, mut records) = (0, 0);
    while let Some((op, action)) = recovery.poll_storage() {
        reads += usize::from(matches!(action, StorageAction::Read { .. }));
        let result = bench.store.perform(&action);
        recovery.handle_stored(op, result, &mut |_, _| records += 1).unwrap();
    }
    assert_eq!(records, 5000);
    assert!(reads < 16, "{reads} reads");
    let log = recovery.finish();
    let place = Place { chunk: ChunkNumber(1), offset: 56 };
    assert!(log.message(place).is_some(), "what was read stays in memory");
}

#[test]
fn operations_of_the_log_go_on_where_those_of_its_recovery_ended() {
    let mut bench = Bench::new();
    let recovery = Recovery::new(crate::harness::config(), identity(2), Epoch::default());
    let (mut log, _) = recover_with(&mut bench.store, recovery).unwrap();
    log.append(&crate::harness::message(1, b""));
    let (op, _) = log.poll_storage().unwrap();
    assert_eq!(op.0, 5, "after open, claim, open and list");
    assert_eq!(log.handle_stored(op, Ok(Stored::Committed)), LogEvent::Durable(ChunkNumber(1)));
    assert!(recover(&mut bench.store, 3).is_ok());
}

#[test]
fn a_sparse_chunk_goes_once_its_messages_are_elsewhere() {
    let mut bench = Bench::new();
    let mut kept = Vec::new();
    for _ in 0..20 {
        let numbers = [bench.send(60), bench.send(600), bench.send(600)];
        bench.drain();
        bench.end(numbers[1]);
        bench.end(numbers[2]);
        kept.push(MessageNumber(numbers[0]));
    }
    assert!(bench.log.sparse_chunks().is_empty(), "nothing is under a checkpoint yet");
    bench.checkpoint();
    bench.drain();
    let before = bench.live.clone();
    while !bench.log.sparse_chunks().is_empty() {
        bench.rewrite();
        bench.drain();
    }
    for number in &kept {
        assert_ne!(bench.live[number], before[number]);
        assert!(bench.store.values_mut().contains_key(&Key::Chunk(before[number].chunk)));
    }
    bench.checkpoint();
    bench.drain();
    for number in &kept {
        assert!(!bench.store.values_mut().contains_key(&Key::Chunk(before[number].chunk)));
    }
    bench.restart().unwrap();
    assert!(bench.live.keys().eq(&kept));
    bench.check_bodies();
}

#[test]
fn a_checkpoint_after_moves_is_written_strictly() {
    let sync_of = |bench: &mut Bench| {
        bench.checkpoint();
        bench.ask();
        let Some((_, StorageAction::Commit { sync, .. })) = bench.asked.back() else {
            panic!("a commit")
        };
        let sync = *sync;
        bench.drain();
        sync
    };
    let mut bench = Bench::new();
    let numbers = [bench.send(60), bench.send(2000)];
    bench.drain();
    bench.end(numbers[1]);
    assert_eq!(sync_of(&mut bench), Sync::Relaxed);
    // The first round reads what the second moves.
    for _ in 0..2 {
        bench.rewrite();
        bench.drain();
    }
    assert_eq!(sync_of(&mut bench), Sync::Strict);
    bench.send(10);
    assert_eq!(sync_of(&mut bench), Sync::Relaxed);
}

#[test]
fn pages_that_did_not_change_are_not_written_again() {
    let mut bench = Bench::new();
    for _ in 0..500 {
        bench.send(10);
    }
    bench.checkpoint();
    bench.drain();
    let number = bench.send(10);
    bench.checkpoint();
    bench.ask();
    let page = |key: &&Key| matches!(key, Key::Page(_));
    let mut written = 0;
    for (_, action) in &bench.asked {
        if let StorageAction::Commit { puts, deletes, .. } = action {
            written += puts.iter().filter(|(key, _)| page(&key)).count();
            assert!(deletes.iter().filter(page).count() <= written);
        }
    }
    assert!((1..=2).contains(&written), "{written} pages");
    bench.drain();
    bench.restart().unwrap();
    assert_eq!(bench.live.len(), 501);
    assert!(bench.live.contains_key(&MessageNumber(number)));
}
