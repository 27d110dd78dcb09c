//! A stored log: a manifest, the pages of its checkpoint and its chunks, in sections. Checksums are
//! made for them, so that what is inside is looked at.
//!
//! Holds: nothing panics; recovery fails with a code or gives a state whose checkpoint gives the
//! same state, and a node that goes on from there.

use tabmq::id::{ChunkNumber, LogId};
use tabmq::log::{Head, LiveChunk, Manifest, MemoryStore, Page, sealed};
use tabmq::store::Key;
use xxhash_rust::xxh64::xxh64;

use crate::bytes::{Script, write_long_bytes};
use crate::host::START;
use crate::recovered::holds;

/// Length of the head of a chunk.
const HEAD_BYTES: usize = 56;
/// Sections of a script that are read.
const SECTIONS_MAX: usize = 64;

/// What a section is.
const PAGE: u8 = 0;
const COVERED: u8 = 1;
const TAIL: u8 = 2;
const RAW: u8 = 3;

/// The bytes as the sections of a stored log.
pub fn checkpoint_loading(data: &[u8]) -> bool {
    holds(store_of(data), START)
}

/// A store with what the sections say.
fn store_of(data: &[u8]) -> MemoryStore {
    let mut script = Script::new(data);
    let mut manifest = Manifest::new(LogId([1; 16]));
    manifest.through = ChunkNumber(u64::from(script.number()));
    let mut store = MemoryStore::default();
    let mut last = (manifest.through, manifest.hash);
    for _ in 0..SECTIONS_MAX {
        if script.is_over() {
            break;
        }
        let (kind, number) = (script.byte() % 4, script.number());
        let bytes = script.long_bytes();
        if kind == PAGE {
            let number = manifest.next_page;
            manifest.next_page += 1;
            let (checksum, length) = (xxh64(bytes, 0), bytes.len() as u32);
            manifest.pages.push(Page { number, checksum, bytes: length });
            store.values_mut().insert(Key::Page(number), bytes.to_vec());
            continue;
        }
        let covered = kind == COVERED;
        let number =
            if covered { ChunkNumber(u64::from(number)) } else { ChunkNumber(last.0.0 + 1) };
        let previous = if covered { 0 } else { last.1 };
        let (mut chunk, checksum) = sealed(Head { number, epoch_counter: 0, previous }, bytes);
        match kind {
            COVERED => manifest.chunks.push(LiveChunk { number, bytes: chunk.len() as u32 }),
            TAIL => last = (number, checksum),
            _ => chunk = bytes.to_vec(),
        }
        store.values_mut().insert(Key::Chunk(number), chunk);
        if kind == RAW {
            break;
        }
    }
    store.values_mut().insert(Key::Manifest, manifest.encode());
    store
}

/// The sections of a store; nothing if it has no log.
#[must_use]
pub fn sections_of(mut store: MemoryStore) -> Option<Vec<u8>> {
    let values = store.values_mut();
    let manifest = Manifest::decode(values.get(&Key::Manifest)?).ok()?;
    let mut data = (manifest.through.0 as u16).to_le_bytes().to_vec();
    let mut add = |kind: u8, number: u64, bytes: &[u8]| {
        data.push(kind);
        data.extend_from_slice(&(number as u16).to_le_bytes());
        write_long_bytes(&mut data, bytes);
    };
    for page in &manifest.pages {
        add(PAGE, 0, values.get(&Key::Page(page.number))?);
    }
    for chunk in &manifest.chunks {
        let bytes = values.get(&Key::Chunk(chunk.number))?;
        add(COVERED, chunk.number.0, bytes.get(HEAD_BYTES..)?);
    }
    for (key, bytes) in values.iter() {
        if let Key::Chunk(number) = key
            && *number > manifest.through
        {
            add(TAIL, 0, bytes.get(HEAD_BYTES..)?);
        }
    }
    Some(data)
}
