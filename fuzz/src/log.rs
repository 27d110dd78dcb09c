//! The tail of a log: the bytes as they are, and as the records of a chunk whose checksum is right.
//!
//! Holds: nothing panics; recovery fails with a code or gives a state whose checkpoint gives the
//! same state, and a node that goes on from there. It goes on from all records that are read, but
//! for those whose numbers are near their end.

use tabmq::broker::State;
use tabmq::id::{ChunkNumber, LogId};
use tabmq::log::{Head, Manifest, MemoryStore, Place, Record, records_of, sealed};
use tabmq::store::Key;

use crate::host::{End, Host, LIMITS, START};
use crate::recovered::holds;

/// The bytes as the only chunk of a log.
pub fn log_scanning(data: &[u8]) -> bool {
    let manifest = Manifest::new(LogId([1; 16]));
    let store = |chunk: Vec<u8>| {
        let mut store = MemoryStore::default();
        store.values_mut().insert(Key::Manifest, manifest.encode());
        store.values_mut().insert(Key::Chunk(ChunkNumber(1)), chunk);
        store
    };
    // Damage in the last chunk is a torn write.
    let torn = Host::new(store(data.to_vec()), START).start() == End::Serving;
    assert!(torn || records_of(data).is_some(), "what looks torn is cut");
    let head = Head { number: ChunkNumber(1), epoch_counter: 0, previous: manifest.hash };
    let (chunk, _) = sealed(head, data);
    let state = records_of(&chunk).map(|records| replayed(&records));
    let goes_on = state.as_ref().is_some_and(State::has_numbers_left);
    assert_eq!(holds(store(chunk), START), goes_on, "a chunk whose records are read is recovered");
    state.is_some() && !data.is_empty()
}

fn replayed(records: &[(Place, Record<'_>)]) -> State {
    let mut state = State::new(&LIMITS);
    for (place, record) in records {
        state.apply(*place, record);
    }
    state
}
