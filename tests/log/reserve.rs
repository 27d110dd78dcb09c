//! What a log does when its store has no room.

use tabmq::id::{ChunkNumber, Epoch};
use tabmq::limits::Limits;
use tabmq::log::{LogConfig, LogEvent, RESERVE, Recovery};
use tabmq::rules::Rules;
use tabmq::store::{StorageAction, StorageFault};

use crate::harness::{Bench, LIMITS, identity, recover_with};

const RESERVE_BYTES: usize = 1001;

fn limits() -> Limits {
    Limits { log_reserve_bytes: 1001, ..LIMITS }
}

/// A log with a reserve that is stored.
fn with_reserve() -> Bench {
    let mut bench = Bench::new();
    let recovery =
        Recovery::new(LogConfig::new(&limits(), Rules::ON), identity(2), Epoch::default());
    bench.log = recover_with(&mut bench.store, recovery).expect("the log is sound").0;
    bench.send(10);
    bench.drain();
    bench
}

fn reserve(bench: &mut Bench) -> Option<usize> {
    bench.store.values_mut().get(&RESERVE).map(Vec::len)
}

fn deletes_reserve(action: &StorageAction) -> bool {
    matches!(action, StorageAction::Commit { deletes, .. } if deletes[..] == [RESERVE])
}

#[test]
fn the_reserve_is_stored_after_the_first_chunk_and_takes_the_room_it_says() {
    let mut bench = with_reserve();
    assert_eq!(reserve(&mut bench), Some(RESERVE_BYTES));
    let bytes = bench.store.values_mut().get(&RESERVE).unwrap().clone();
    let mut counts = [0; 256];
    for byte in bytes {
        counts[usize::from(byte)] += 1;
    }
    assert!(counts.iter().all(|count| *count < 20), "no byte is common");
    assert!(!bench.log.is_full());
    bench.send(10);
    assert_eq!(bench.drain(), [LogEvent::Durable(ChunkNumber(2))], "it is stored once");
}

#[test]
fn a_commit_without_room_takes_that_of_the_reserve() {
    let mut bench = with_reserve();
    bench.send(20);
    bench.ask();
    let refused = bench.asked[0].1.clone();
    assert_eq!(bench.answer(Err(StorageFault::Quota)), LogEvent::Nothing);
    assert!(bench.log.is_full());
    bench.ask();
    assert!(deletes_reserve(&bench.asked[0].1));
    assert_eq!(bench.perform(), Some(LogEvent::Full));
    assert_eq!(reserve(&mut bench), None);
    bench.ask();
    assert_eq!(bench.asked[0].1, refused, "the same bytes");
    assert_eq!(bench.perform(), Some(LogEvent::Durable(ChunkNumber(2))));
    bench.send(10);
    assert_eq!(bench.drain(), [LogEvent::Durable(ChunkNumber(3))], "it stays full for now");
    assert!(bench.log.is_full());
    bench.log.seek_room();
    assert_eq!(bench.answer(Err(StorageFault::Quota)), LogEvent::Nothing);
    assert!(bench.log.is_full());
    bench.log.seek_room();
    assert_eq!(bench.drain(), [LogEvent::Room]);
    assert_eq!((reserve(&mut bench), bench.log.is_full()), (Some(RESERVE_BYTES), false));
}

#[test]
fn the_commit_that_waits_is_not_lost_when_the_reserve_goes_slowly() {
    let mut bench = with_reserve();
    let number = bench.send(20);
    assert_eq!(bench.answer(Err(StorageFault::Quota)), LogEvent::Nothing);
    for _ in 0..2 {
        bench.ask();
        assert!(deletes_reserve(&bench.asked[0].1));
        assert_eq!(bench.answer(Err(StorageFault::Aborted)), LogEvent::Nothing);
    }
    assert_eq!(bench.drain(), [LogEvent::Full, LogEvent::Durable(ChunkNumber(2))]);
    bench.restart().unwrap();
    assert_eq!(bench.live.last_key_value().unwrap().0.0, number);
}

#[test]
fn a_reserve_that_does_not_go_or_does_not_suffice_ends_the_log() {
    for fault in [StorageFault::Quota, StorageFault::Lost, StorageFault::Fenced] {
        let mut bench = with_reserve();
        bench.send(20);
        bench.answer(Err(StorageFault::Quota));
        assert_eq!(bench.answer(Err(fault)), LogEvent::Failed(fault));
    }
    let mut bench = with_reserve();
    bench.send(20);
    bench.answer(Err(StorageFault::Quota));
    for _ in 0..2 {
        assert_eq!(bench.answer(Err(StorageFault::Aborted)), LogEvent::Nothing);
    }
    let aborted = StorageFault::Aborted;
    assert_eq!(bench.answer(Err(aborted)), LogEvent::Failed(aborted), "often enough");
    let mut bench = with_reserve();
    bench.send(20);
    bench.answer(Err(StorageFault::Quota));
    bench.ask();
    assert_eq!(bench.perform(), Some(LogEvent::Full));
    let quota = StorageFault::Quota;
    assert_eq!(bench.answer(Err(quota)), LogEvent::Failed(quota));
}

#[test]
fn a_full_log_writes_a_checkpoint_for_less() {
    let mut bench = with_reserve();
    let number = bench.send(700);
    bench.drain();
    bench.end(number);
    bench.drain();
    assert!(!bench.log.checkpoint_due());
    bench.send(20);
    bench.answer(Err(StorageFault::Quota));
    bench.drain();
    assert!(bench.log.is_full() && bench.log.checkpoint_due());
    bench.checkpoint();
    let events = bench.drain();
    assert_eq!(events.last(), Some(&LogEvent::Room), "the reserve is stored after a checkpoint");
}
