//! What is stored is not what was written.

use tabmq::broker::State;
use tabmq::id::{
    ChunkNumber, ClientId, Epoch, LaneId, LeaseNumber, MessageNumber, QueueId, Sequence, Term,
};
use tabmq::limits::Limits;
use tabmq::log::{
    LogConfig, LogEvent, Manifest, MemoryStore, Place, Record, Recovery, RecoveryFault,
};
use tabmq::options::QueueOptions;
use tabmq::rules::Rules;
use tabmq::store::Key;
use xxhash_rust::xxh64::xxh64;

use crate::harness::{Bench, LIMITS, identity, recover, recover_with};

/// Five chunks with one message each, and a checkpoint after the second if asked for.
fn stored(checkpoint: bool) -> Bench {
    let mut bench = Bench::new();
    for number in 1..=5 {
        bench.send(50);
        bench.drain();
        if checkpoint && number == 2 {
            bench.checkpoint();
            bench.drain();
        }
    }
    bench
}

fn chunk(number: u64) -> Key {
    Key::Chunk(ChunkNumber(number))
}

/// The fault over a copy of the store that `damage` has changed.
fn fault(bench: &Bench, damage: impl FnOnce(&mut MemoryStore)) -> Option<RecoveryFault> {
    let mut store = bench.store.clone();
    damage(&mut store);
    recover(&mut store, 2).err()
}

fn flip(store: &mut MemoryStore, key: Key, bit: usize) {
    store.values_mut().get_mut(&key).unwrap()[bit / 8] ^= 1 << (bit % 8);
}

#[test]
fn a_torn_last_chunk_is_cut_wherever_it_tore() {
    let bench = stored(true);
    let whole = bench.store.clone().values_mut().get(&chunk(5)).unwrap().clone();
    for length in 0..whole.len() {
        let mut store = bench.store.clone();
        store.values_mut().insert(chunk(5), whole[..length].to_vec());
        let mut torn = Bench::over(store);
        assert_eq!(torn.live.len(), 4, "torn at {length}");
        assert_eq!(torn.log.durable(), ChunkNumber(4));
        // The number is used again, for something else.
        torn.send(20);
        torn.drain();
        let live = torn.live.clone();
        torn.restart().unwrap();
        assert_eq!(torn.live, live);
        torn.check_bodies();
    }
}

#[test]
fn a_torn_chunk_that_is_not_the_last_is_corruption() {
    let bench = stored(true);
    for number in 3..5 {
        let torn = |store: &mut MemoryStore| {
            store.values_mut().get_mut(&chunk(number)).unwrap().pop();
        };
        assert_eq!(fault(&bench, torn), Some(RecoveryFault::Corrupt(ChunkNumber(number))));
    }
}

#[test]
fn a_wrong_bit_in_the_tail_is_corruption() {
    let bench = stored(true);
    let bits = bench.store.clone().values_mut().get(&chunk(4)).unwrap().len() * 8;
    for bit in 0..bits {
        let damaged = fault(&bench, |store| flip(store, chunk(4), bit));
        assert_eq!(damaged, Some(RecoveryFault::Corrupt(ChunkNumber(4))), "bit {bit}");
    }
}

#[test]
fn a_wrong_bit_in_the_manifest_or_in_a_page_is_corruption() {
    let bench = stored(true);
    for key in [Key::Manifest, Key::Page(1)] {
        let bits = bench.store.clone().values_mut().get(&key).unwrap().len() * 8;
        for bit in 0..bits {
            let damaged = fault(&bench, |store| flip(store, key, bit));
            assert_eq!(damaged, Some(RecoveryFault::Corrupt(ChunkNumber(0))), "{key:?} bit {bit}");
        }
    }
    let gone = fault(&bench, |store| drop(store.values_mut().remove(&Key::Page(1))));
    assert_eq!(gone, Some(RecoveryFault::Corrupt(ChunkNumber(0))));
}

#[test]
fn a_missing_chunk_is_named() {
    let bench = stored(true);
    for number in 1..5 {
        let gone = fault(&bench, |store| drop(store.values_mut().remove(&chunk(number))));
        assert_eq!(gone, Some(RecoveryFault::Missing(ChunkNumber(number))));
    }
    let gone = fault(&bench, |store| drop(store.values_mut().remove(&chunk(5))));
    assert_eq!(gone, None, "nothing tells of the last one");
    let bench = stored(false);
    let gone = fault(&bench, |store| drop(store.values_mut().remove(&chunk(1))));
    assert_eq!(gone, Some(RecoveryFault::Missing(ChunkNumber(1))));
}

#[test]
fn chunks_in_another_order_are_corruption() {
    let bench = stored(false);
    let swapped = fault(&bench, |store| {
        let (two, three) = (
            store.values_mut().get(&chunk(2)).unwrap().clone(),
            store.values_mut().get(&chunk(3)).unwrap().clone(),
        );
        store.values_mut().insert(chunk(2), three);
        store.values_mut().insert(chunk(3), two);
    });
    assert_eq!(swapped, Some(RecoveryFault::Corrupt(ChunkNumber(2))));
}

#[test]
fn chunks_of_another_log_are_corruption() {
    let bench = stored(false);
    let without = fault(&bench, |store| drop(store.values_mut().remove(&Key::Manifest)));
    assert_eq!(without, Some(RecoveryFault::Corrupt(ChunkNumber(1))));
    let mut other = MemoryStore::default();
    drop(recover(&mut other, 77).unwrap());
    let manifest = other.values_mut().get(&Key::Manifest).unwrap().clone();
    let foreign = fault(&bench, |store| drop(store.values_mut().insert(Key::Manifest, manifest)));
    assert_eq!(foreign, Some(RecoveryFault::Corrupt(ChunkNumber(1))));
}

/// Writes the checksum of a chunk anew, as if it had been written like this.
fn sealed(store: &mut MemoryStore, number: u64, change: impl FnOnce(&mut [u8])) {
    let bytes = store.values_mut().get_mut(&chunk(number)).unwrap();
    change(bytes);
    let checksum = xxh64(&bytes[48..], xxh64(&bytes[..40], 0));
    bytes[40..48].copy_from_slice(&checksum.to_le_bytes());
}

#[test]
fn a_chunk_of_a_lower_epoch_is_not_taken() {
    let mut bench = stored(false);
    bench.restart().unwrap();
    bench.send(10);
    bench.drain();
    for (epoch, taken) in [(2_u64, true), (1, true), (0, false)] {
        let damaged = fault(&bench, |store| {
            sealed(store, 6, |bytes| bytes[16..24].copy_from_slice(&epoch.to_le_bytes()));
        });
        let expected = (!taken).then_some(RecoveryFault::Corrupt(ChunkNumber(6)));
        assert_eq!(damaged, expected, "epoch {epoch} after epoch 1");
    }
}

/// Raises the format in the manifest and writes its checksum anew.
fn newer_manifest(store: &mut MemoryStore) {
    let bytes = store.values_mut().get_mut(&Key::Manifest).unwrap();
    assert_eq!(bytes[1], 2, "the format is the first field");
    bytes[1] = 3;
    let end = bytes.len() - 8;
    let checksum = xxh64(&bytes[..end], 0);
    bytes[end..].copy_from_slice(&checksum.to_le_bytes());
}

#[test]
fn a_newer_log_is_left_as_it_is() {
    let bench = stored(true);
    let mut store = bench.store.clone();
    newer_manifest(&mut store);
    let mut before = store.clone();
    assert_eq!(recover(&mut store, 2).err(), Some(RecoveryFault::UpgradeRequired));
    assert_eq!(store.values_mut(), before.values_mut());
    assert_eq!(store.fence_mut(), before.fence_mut());
}

#[test]
fn a_newer_chunk_asks_for_an_upgrade() {
    let bench = stored(true);
    for number in [4, 5] {
        let newer = fault(&bench, |store| sealed(store, number, |bytes| bytes[4] = 3));
        assert_eq!(newer, Some(RecoveryFault::UpgradeRequired));
    }
}

#[test]
fn garbage_in_every_place_is_refused() {
    let bench = stored(true);
    for key in [Key::Manifest, chunk(3), Key::Page(1)] {
        for garbage in [&b""[..], &[0; 7], &[0xff; 48], &[0x9f; 200]] {
            let damaged =
                fault(&bench, |store| drop(store.values_mut().insert(key, garbage.into())));
            assert!(matches!(damaged, Some(RecoveryFault::Corrupt(_))), "{key:?}: {damaged:?}");
        }
    }
}

/// Recovers with one rule off.
fn without(rule: &str, store: &mut MemoryStore) -> Result<usize, RecoveryFault> {
    let config = LogConfig::new(&LIMITS, Rules::without(rule).unwrap());
    let recovery = Recovery::new(config, identity(2), Epoch::default());
    recover_with(store, recovery).map(|(_, live)| live.len())
}

#[test]
fn with_its_rule_off_a_torn_chunk_is_taken_as_far_as_it_goes() {
    let mut bench = Bench::new();
    bench.log.begin_batch();
    bench.send(50);
    bench.send(50);
    bench.log.end_batch();
    bench.drain();
    bench.store.values_mut().get_mut(&chunk(1)).unwrap().pop();
    assert_eq!(without("torn_tail_cut", &mut bench.store.clone()), Ok(1), "half of a batch");
    assert_eq!(recover(&mut bench.store, 2).unwrap().1.len(), 0);
}

#[test]
fn with_its_rule_off_a_missing_chunk_is_not_missed() {
    let mut bench = stored(true);
    bench.store.values_mut().remove(&chunk(4));
    assert_eq!(without("missing_chunk_detection", &mut bench.store.clone()), Ok(4));
    bench.store.values_mut().remove(&chunk(1));
    assert_eq!(without("missing_chunk_detection", &mut bench.store), Ok(4));
}

/// A message that moved out of chunk 1, under a checkpoint, into the newest chunk.
fn moved() -> (Bench, ChunkNumber) {
    let mut bench = Bench::new();
    let numbers = [bench.send(60), bench.send(2000)];
    bench.drain();
    bench.end(numbers[1]);
    bench.checkpoint();
    bench.drain();
    // The first round reads what the second moves.
    for _ in 0..2 {
        bench.rewrite();
        bench.drain();
    }
    let to = bench.live[&MessageNumber(numbers[0])].chunk;
    assert!(to > ChunkNumber(1));
    (bench, to)
}

#[test]
fn until_the_next_checkpoint_both_places_of_a_moved_message_are_needed() {
    let (mut bench, to) = moved();
    let gone = fault(&bench, |store| drop(store.values_mut().remove(&chunk(1))));
    assert_eq!(gone, Some(RecoveryFault::Missing(ChunkNumber(1))));
    let whole = bench.store.clone().values_mut().get(&Key::Chunk(to)).unwrap().clone();
    for length in 0..whole.len() {
        let mut store = bench.store.clone();
        store.values_mut().insert(Key::Chunk(to), whole[..length].to_vec());
        let mut torn = Bench::over(store);
        assert_eq!(torn.live[&MessageNumber(1)].chunk, ChunkNumber(1), "torn at {length}");
        torn.check_bodies();
    }
    bench.send(10);
    bench.drain();
    let gone = fault(&bench, |store| drop(store.values_mut().remove(&Key::Chunk(to))));
    assert_eq!(gone, Some(RecoveryFault::Missing(to)));
}

#[test]
fn after_the_next_checkpoint_only_the_new_place_is() {
    let (mut bench, to) = moved();
    bench.checkpoint();
    bench.drain();
    assert!(!bench.store.values_mut().contains_key(&chunk(1)));
    assert_eq!(fault(&bench, |_| {}), None);
    let gone = fault(&bench, |store| drop(store.values_mut().remove(&Key::Chunk(to))));
    assert_eq!(gone, Some(RecoveryFault::Missing(to)));
}

#[test]
fn a_place_without_a_message_is_corruption_and_is_read_once() {
    let mut bench = stored(false);
    let place = Place { offset: 1, chunk: ChunkNumber(3) };
    assert!(bench.log.message(place).is_none());
    bench.log.load(place.chunk);
    let events = bench.drain();
    assert!(events.contains(&LogEvent::Unreadable(ChunkNumber(3))), "{events:?}");
}

#[test]
fn a_manifest_that_covers_what_comes_after_it_is_corruption() {
    let bench = stored(true);
    let broken = |change: fn(&mut Manifest)| {
        fault(&bench, |store| {
            let bytes = store.values_mut().get_mut(&Key::Manifest).unwrap();
            let mut manifest = Manifest::decode(bytes).unwrap();
            change(&mut manifest);
            *bytes = manifest.encode();
        })
    };
    let corrupt = Some(RecoveryFault::Corrupt(ChunkNumber(0)));
    assert_eq!(broken(|_| {}), None);
    assert_eq!(broken(|manifest| manifest.chunks.reverse()), corrupt);
    assert_eq!(broken(|manifest| manifest.chunks[1].number.0 += 2), corrupt);
    assert_eq!(broken(|manifest| manifest.through.0 = u64::MAX), corrupt);
    assert_eq!(broken(|manifest| manifest.next_page = u64::MAX), corrupt);
}

#[test]
fn a_record_of_the_last_number_leaves_a_log_without_numbers() {
    let limits = Limits::DEFAULTS;
    let (queue, lane) = (QueueId(1), LaneId(1));
    let left = |record: Record<'_>| {
        let mut state = State::new(&limits);
        state.apply(Place::default(), &record);
        state.has_numbers_left()
    };
    let declared = |queue| {
        left(Record::Declared { queue, name: "q", options: QueueOptions::default(), owner: None })
    };
    let counters = |queue, lane, message| {
        let (lease, term) = (LeaseNumber(1), Term(1));
        left(Record::Counters { queue, lane, message: MessageNumber(message), lease, term })
    };
    assert!(declared(QueueId(7)) && counters(queue, lane, 7));
    assert!(!declared(QueueId(u32::MAX)));
    assert!(!counters(queue, LaneId(u64::MAX), 7));
    assert!(!counters(queue, lane, u64::MAX));
    let (client, position, user) = (ClientId([1; 16]), Sequence(0), None);
    assert!(!left(Record::LaneOpened { lane: LaneId(u64::MAX), client, position, user }));
}
