//! The bytes of one chunk: a fixed head with a checksum over everything else, then records one
//! after another. Each head names the checksum of the chunk before it, and the time at which the
//! first message of the chunk was stored: those of its messages count from there.

use alloc::vec::Vec;

use xxhash_rust::xxh64::xxh64;

use crate::cbor::{self, Malformed};
use crate::id::ChunkNumber;
use crate::log::record::StoredMessage;
use crate::log::{FORMAT, Place, Record};
use crate::time::UnixMillis;

/// Length of the head, and the offset of the first record.
pub const HEAD_BYTES: usize = 56;
/// The same in the first format, where times are whole.
const HEAD_BYTES_1: usize = 48;
/// Where format, checksum and time stand. The first two stay where they are in every format there
/// will be, and the checksum counts what is before and behind it, so that a build of any age can
/// tell a newer chunk from a damaged one.
const FORMAT_AT: usize = 4;
const CHECKSUM_AT: usize = 40;
const TIME_AT: usize = CHECKSUM_AT + 8;

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

/// Completes the head before the records in `bytes` and returns the chunk's checksum.
pub fn seal(bytes: &mut [u8], head: Head) -> u64 {
    debug_assert!(bytes.len() >= HEAD_BYTES, "a chunk has room for its head");
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    bytes[0..4].copy_from_slice(b"tmqc");
    bytes[6..8].copy_from_slice(&[0; 2]);
    bytes[8..16].copy_from_slice(&head.number.0.to_le_bytes());
    bytes[16..24].copy_from_slice(&head.epoch_counter.to_le_bytes());
    bytes[24..32].copy_from_slice(&head.previous.to_le_bytes());
    bytes[32..36].copy_from_slice(&length.to_le_bytes());
    bytes[36..40].copy_from_slice(&[0; 4]);
    let checksum = checksum(bytes);
    bytes[CHECKSUM_AT..TIME_AT].copy_from_slice(&checksum.to_le_bytes());
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
    if bytes.len() < begin(bytes).0 {
        return Err(damaged);
    }
    let (number, epoch_counter) = (ChunkNumber(word(8)?), word(16)?);
    Ok((Head { number, epoch_counter, previous: word(24)? }, stored))
}

fn checksum(bytes: &[u8]) -> u64 {
    let head = xxh64(&bytes[..CHECKSUM_AT], 0);
    xxh64(&bytes[TIME_AT..], head)
}

/// Where the records of a chunk begin, and the time from which theirs count.
fn begin(bytes: &[u8]) -> (usize, u64) {
    let format = bytes.get(FORMAT_AT..FORMAT_AT + 2).and_then(|word| word.try_into().ok());
    if format.map(u16::from_le_bytes) == Some(1) {
        return (HEAD_BYTES_1, 0);
    }
    let time = bytes.get(TIME_AT..HEAD_BYTES).and_then(|word| word.try_into().ok());
    (HEAD_BYTES, time.map_or(0, u64::from_le_bytes))
}

/// Adds to the time of the message in a record. Times wrap around, for one may lie before that of
/// the chunk.
const fn later(record: &mut Record<'_>, by_ms: u64) {
    if let Record::Message(message) | Record::Moved { message, .. } = record {
        message.stored_at = UnixMillis(message.stored_at.0.wrapping_add(by_ms));
    }
}

/// Reads the first record in a part of a chunk whose times count from `time`.
fn read(rest: &[u8], time: u64) -> Result<(Record<'_>, usize), Malformed> {
    let (mut record, length) = cbor::decode_first(rest)?;
    later(&mut record, time);
    Ok((record, length))
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
    let (mut offset, time) = begin(bytes);
    while offset < bytes.len() {
        let (record, length) = read(&bytes[offset..], time).map_err(|_| damaged)?;
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
    let (mut at, time) = begin(bytes);
    let mut records = Vec::new();
    while at < bytes.len() {
        let (record, length) = read(&bytes[at..], time).ok()?;
        records.push((Place { chunk: head.number, offset: u32::try_from(at).ok()? }, record));
        at += length;
    }
    Some(records)
}

/// An intact chunk with these encoded records, and its checksum, for tests that make logs of their
/// own.
#[cfg(feature = "sim")]
pub fn sealed(head: Head, records: &[u8]) -> (Vec<u8>, u64) {
    let mut bytes = Filling::new().bytes;
    bytes.extend_from_slice(records);
    let checksum = seal(&mut bytes, head);
    (bytes, checksum)
}

/// The record at an offset of an intact chunk, or of one that fills.
pub fn record_at(bytes: &[u8], offset: u32) -> Option<Record<'_>> {
    let rest = bytes.get(usize::try_from(offset).ok()?..)?;
    Some(read(rest, begin(bytes).1).ok()?.0)
}

/// A chunk that fills.
#[derive(Debug)]
pub struct Filling {
    pub bytes: Vec<u8>,
    pub strict: bool,
    /// The time from which its messages count: that of the first.
    time: Option<u64>,
}

impl Filling {
    pub fn new() -> Self {
        let mut bytes = alloc::vec![0; HEAD_BYTES];
        bytes[FORMAT_AT..FORMAT_AT + 2].copy_from_slice(&FORMAT.to_le_bytes());
        Self { bytes, strict: false, time: None }
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.len() == HEAD_BYTES
    }

    /// Appends a record and returns its offset.
    pub fn append(&mut self, record: &Record<'_>) -> u32 {
        let offset = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        match record {
            Record::Message(message) => {
                let message = self.counted(message);
                cbor::encode(&Record::Message(message), &mut self.bytes);
            }
            Record::Moved { from, queue, lease, message } => {
                let (from, queue, lease) = (*from, *queue, *lease);
                let message = self.counted(message);
                cbor::encode(&Record::Moved { from, queue, lease, message }, &mut self.bytes);
            }
            _ => cbor::encode(record, &mut self.bytes),
        }
        offset
    }

    /// The message with its time as it stands in this chunk.
    fn counted<'a>(&mut self, message: &StoredMessage<'a>) -> StoredMessage<'a> {
        let time = *self.time.get_or_insert(message.stored_at.0);
        self.bytes[TIME_AT..HEAD_BYTES].copy_from_slice(&time.to_le_bytes());
        let stored_at = UnixMillis(message.stored_at.0.wrapping_sub(time));
        StoredMessage { stored_at, ..*message }
    }
}
