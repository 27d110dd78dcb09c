//! The manifest: which log this is, and what its checkpoint consists of. Its last eight bytes are
//! the checksum of those before them, in every format there will be.

use alloc::vec::Vec;

use xxhash_rust::xxh64::xxh64;

use crate::cbor::{self, structure};
use crate::id::{ChunkNumber, LogId};
use crate::log::FORMAT;
use crate::log::chunk::Unusable;

structure! {
    /// Names the log, its format, and what belongs to its checkpoint.
    #[derive(Clone, PartialEq, Eq, Debug)]
    pub struct Manifest {
        /// First, so that a build of any age can tell it.
        pub format: u16,
        pub log: LogId,
        /// The checkpoint covers every chunk up to here; chunks after it are the tail.
        pub through: ChunkNumber,
        /// Checksum of the chunk `through`, which the first tail chunk names as the one before it.
        /// In a log without a checkpoint it is made from the log's id, so that chunks of another
        /// log are not taken for its own.
        pub hash: u64,
        /// Covered chunks with live messages.
        pub chunks: Vec<LiveChunk>,
        pub pages: Vec<Page>,
        pub next_page: u64,
    }
}

structure! {
    /// A covered chunk with live messages, and its length.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct LiveChunk {
        pub number: ChunkNumber,
        pub bytes: u32,
    }
}

structure! {
    /// A page of the checkpoint and its checksum.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Page {
        pub number: u64,
        pub checksum: u64,
        pub bytes: u32,
    }
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

    /// The length of the checkpoint: its pages, and about that of the manifest.
    pub fn bytes(&self) -> usize {
        let pages = self.pages.iter().map(|page| page.bytes as usize);
        pages.sum::<usize>() + self.chunks.len() * size_of::<LiveChunk>()
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        cbor::encode(self, &mut bytes);
        let checksum = xxh64(&bytes, 0);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        bytes
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, Unusable> {
        let (bytes, checksum) = bytes.split_last_chunk().ok_or(Unusable::Damaged)?;
        if xxh64(bytes, 0) != u64::from_le_bytes(*checksum) {
            return Err(Unusable::Damaged);
        }
        let format = cbor::first_uint(bytes).map_err(|_| Unusable::Damaged)?;
        if format > u64::from(FORMAT) {
            return Err(Unusable::NewerFormat);
        }
        cbor::decode(bytes).map_err(|_| Unusable::Damaged)
    }
}
