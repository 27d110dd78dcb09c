//! The manifest: which log this is, and what its checkpoint consists of. Its last eight bytes are
//! the checksum of those before them, in every format there will be.

use alloc::vec::Vec;

use minicbor::{Decode, Encode};
use xxhash_rust::xxh64::xxh64;

use crate::id::{ChunkNumber, LogId};
use crate::log::FORMAT;
use crate::log::chunk::Unusable;

/// Names the log, its format, and what belongs to its checkpoint.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(array)]
pub struct Manifest {
    /// First, so that a build of any age can tell it.
    #[n(0)]
    pub format: u16,
    #[n(1)]
    pub log: LogId,
    /// The checkpoint covers every chunk up to here; chunks after it are the tail.
    #[n(2)]
    pub through: ChunkNumber,
    /// Checksum of the chunk `through`, which the first tail chunk names as the one before it. In
    /// a log without a checkpoint it is made from the log's id, so that chunks of another log are
    /// not taken for its own.
    #[n(3)]
    pub hash: u64,
    /// Covered chunks with live messages.
    #[n(4)]
    pub chunks: Vec<LiveChunk>,
    #[n(5)]
    pub pages: Vec<Page>,
    #[n(6)]
    pub next_page: u64,
}

/// A covered chunk with live messages, and its length.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(array)]
pub struct LiveChunk {
    #[n(0)]
    pub number: ChunkNumber,
    #[n(1)]
    pub bytes: u32,
}

/// A page of the checkpoint and its checksum.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(array)]
pub struct Page {
    #[n(0)]
    pub number: u64,
    #[n(1)]
    pub checksum: u64,
    #[n(2)]
    pub bytes: u32,
}

impl Manifest {
    /// The manifest of a log without a chunk.
    pub fn new(log: LogId) -> Self {
        Self {
            format: FORMAT,
            log,
            through: ChunkNumber(0),
            hash: xxh64(&log.0, 0),
            chunks: Vec::new(),
            pages: Vec::new(),
            next_page: 1,
        }
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        // Writing to a Vec can't fail.
        let _ = minicbor::encode(self, &mut bytes);
        let checksum = xxh64(&bytes, 0);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        bytes
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, Unusable> {
        let (bytes, checksum) = bytes.split_last_chunk().ok_or(Unusable::Damaged)?;
        if xxh64(bytes, 0) != u64::from_le_bytes(*checksum) {
            return Err(Unusable::Damaged);
        }
        let mut decoder = minicbor::Decoder::new(bytes);
        let format = decoder.array().and_then(|_| decoder.u16()).map_err(|_| Unusable::Damaged)?;
        if format > FORMAT {
            return Err(Unusable::NewerFormat);
        }
        minicbor::decode(bytes).map_err(|_| Unusable::Damaged)
    }
}
