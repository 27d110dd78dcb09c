//! The bytes of one chunk: a fixed head with a checksum over everything else, then records one
//! after another. Each head names the checksum of the chunk before it.

use alloc::vec::Vec;

use xxhash_rust::xxh64::xxh64;

use crate::cbor;
use crate::id::ChunkNumber;
use crate::log::{FORMAT, Place, Record};

/// Length of the head, and the offset of the first record.
pub const HEAD_BYTES: usize = 48;
const CHECKSUM_AT: usize = 40;

/// The head of a chunk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    pub number: ChunkNumber,
    /// Counter of the epoch that wrote it.
    pub epoch_counter: u64,
    /// Checksum of the chunk before this one.
    pub previous: u64,
}

/// Why stored bytes can't be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unusable {
    /// They are not what was written.
    Damaged,
    /// A newer build wrote them.
    NewerFormat,
}

/// Puts the head before the records in `bytes`, which starts with room for it, and returns the
/// chunk's checksum.
pub fn seal(bytes: &mut [u8], head: Head) -> u64 {
    debug_assert!(bytes.len() >= HEAD_BYTES, "a chunk has room for its head");
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    bytes[0..4].copy_from_slice(b"tmqc");
    bytes[4..6].copy_from_slice(&FORMAT.to_le_bytes());
    bytes[6..8].copy_from_slice(&[0; 2]);
    bytes[8..16].copy_from_slice(&head.number.0.to_le_bytes());
    bytes[16..24].copy_from_slice(&head.epoch_counter.to_le_bytes());
    bytes[24..32].copy_from_slice(&head.previous.to_le_bytes());
    bytes[32..36].copy_from_slice(&length.to_le_bytes());
    bytes[36..40].copy_from_slice(&[0; 4]);
    let checksum = checksum(bytes);
    bytes[CHECKSUM_AT..HEAD_BYTES].copy_from_slice(&checksum.to_le_bytes());
    checksum
}

/// Checks the bytes of a chunk and gives its head and checksum.
///
/// # Errors
/// `Damaged` if a byte is not as it was written, then `NewerFormat`.
pub fn open(bytes: &[u8]) -> Result<(Head, u64), Unusable> {
    let damaged = Unusable::Damaged;
    let word = |at: usize| -> Result<u64, Unusable> {
        let part = bytes.get(at..at + 8).ok_or(damaged)?;
        Ok(u64::from_le_bytes(part.try_into().map_err(|_| damaged)?))
    };
    if bytes.get(0..4) != Some(b"tmqc") {
        return Err(damaged);
    }
    let length = usize::try_from(word(32)? & 0xffff_ffff).map_err(|_| damaged)?;
    let stored = word(CHECKSUM_AT)?;
    if length != bytes.len() || checksum(bytes) != stored {
        return Err(damaged);
    }
    if word(0)? >> 32 & 0xffff > u64::from(FORMAT) {
        return Err(Unusable::NewerFormat);
    }
    let (number, epoch_counter) = (ChunkNumber(word(8)?), word(16)?);
    Ok((Head { number, epoch_counter, previous: word(24)? }, stored))
}

fn checksum(bytes: &[u8]) -> u64 {
    let head = xxh64(&bytes[..CHECKSUM_AT], 0);
    xxh64(&bytes[HEAD_BYTES..], head)
}

/// Gives each record of an intact chunk, in order.
///
/// # Errors
/// `Damaged` at the first one that can't be read; those before it were given.
pub fn for_each_record(
    chunk: ChunkNumber,
    bytes: &[u8],
    run: &mut dyn FnMut(Place, &Record<'_>),
) -> Result<(), Unusable> {
    let damaged = Unusable::Damaged;
    let mut offset = HEAD_BYTES;
    while offset < bytes.len() {
        let (record, length) = cbor::decode_first(&bytes[offset..]).map_err(|_| damaged)?;
        let place = Place { chunk, offset: u32::try_from(offset).map_err(|_| damaged)? };
        run(place, &record);
        offset += length;
    }
    Ok(())
}

/// All records of an intact chunk and where they are, in order, for the simulator's model.
#[cfg(feature = "sim")]
pub fn records_of(bytes: &[u8]) -> Option<Vec<(Place, Record<'_>)>> {
    let (head, _) = open(bytes).ok()?;
    let (mut records, mut at) = (Vec::new(), HEAD_BYTES);
    while at < bytes.len() {
        let (record, length) = cbor::decode_first(&bytes[at..]).ok()?;
        records.push((Place { chunk: head.number, offset: u32::try_from(at).ok()? }, record));
        at += length;
    }
    Some(records)
}

/// The record at an offset of an intact chunk.
pub fn record_at(bytes: &[u8], offset: u32) -> Option<Record<'_>> {
    let rest = bytes.get(usize::try_from(offset).ok()?..)?;
    Some(cbor::decode_first(rest).ok()?.0)
}

/// A chunk that fills.
#[derive(Debug)]
pub struct Filling {
    pub bytes: Vec<u8>,
    pub strict: bool,
}

impl Filling {
    pub fn new() -> Self {
        Self { bytes: alloc::vec![0; HEAD_BYTES], strict: false }
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.len() == HEAD_BYTES
    }

    /// Appends a record and returns its offset.
    pub fn append(&mut self, record: &Record<'_>) -> u32 {
        let offset = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        cbor::encode(record, &mut self.bytes);
        offset
    }
}
