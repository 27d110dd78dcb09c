//! Which chunks are in memory. Bodies beyond the budget live in storage alone and come back
//! through read effects. The chunk that became resident first goes first: a queue is read in the
//! order it was written, so a chunk that was read back is used soon.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use crate::id::ChunkNumber;

/// What is known of one stored chunk.
#[derive(Debug)]
struct Chunk {
    length: u32,
    /// Live messages in it.
    live: u32,
    bytes: Option<Vec<u8>>,
}

#[derive(Debug)]
pub struct Residency {
    chunks: BTreeMap<ChunkNumber, Chunk>,
    /// In the order they became resident; may name chunks that are no more.
    order: VecDeque<ChunkNumber>,
    resident_bytes: usize,
    resident_bytes_max: usize,
}

impl Residency {
    pub const fn new(resident_bytes_max: usize) -> Self {
        Self {
            chunks: BTreeMap::new(),
            order: VecDeque::new(),
            resident_bytes: 0,
            resident_bytes_max,
        }
    }

    /// A chunk whose bytes are in storage alone.
    pub fn add_stored(&mut self, number: ChunkNumber, length: u32) {
        self.chunks.insert(number, Chunk { length, live: 0, bytes: None });
    }

    /// A chunk with its bytes, stored or about to be.
    pub fn add(&mut self, number: ChunkNumber, bytes: Vec<u8>) {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let live = self.chunks.get(&number).map_or(0, |chunk| chunk.live);
        self.chunks.insert(number, Chunk { length, live, bytes: None });
        self.set_bytes(number, bytes);
    }

    pub fn set_bytes(&mut self, number: ChunkNumber, bytes: Vec<u8>) {
        let Some(chunk) = self.chunks.get_mut(&number) else { return };
        if chunk.bytes.is_none() {
            self.resident_bytes += bytes.len();
            self.order.push_back(number);
            chunk.bytes = Some(bytes);
        }
    }

    pub fn bytes(&self, number: ChunkNumber) -> Option<&[u8]> {
        self.chunks.get(&number)?.bytes.as_deref()
    }

    pub fn contains(&self, number: ChunkNumber) -> bool {
        self.chunks.contains_key(&number)
    }

    pub fn retain(&mut self, number: ChunkNumber) {
        let chunk = self.chunks.entry(number).or_insert(Chunk { length: 0, live: 0, bytes: None });
        chunk.live += 1;
    }

    pub fn release(&mut self, number: ChunkNumber, durable: ChunkNumber) {
        let Some(chunk) = self.chunks.get_mut(&number) else { return };
        chunk.live = chunk.live.saturating_sub(1);
        if chunk.live == 0 && number <= durable {
            self.drop_bytes(number);
        }
    }

    fn drop_bytes(&mut self, number: ChunkNumber) {
        let Some(chunk) = self.chunks.get_mut(&number) else { return };
        if let Some(bytes) = chunk.bytes.take() {
            self.resident_bytes -= bytes.len();
        }
    }

    /// Drops bytes of stored chunks until the budget holds, the one just used last.
    pub fn evict(&mut self, durable: ChunkNumber) {
        let mut kept = VecDeque::new();
        while self.resident_bytes > self.resident_bytes_max && self.order.len() > 1 {
            let Some(number) = self.order.pop_front() else { break };
            let Some(chunk) = self.chunks.get_mut(&number) else { continue };
            if number > durable {
                kept.push_back(number);
            } else if let Some(bytes) = chunk.bytes.take() {
                self.resident_bytes -= bytes.len();
            }
        }
        while let Some(number) = kept.pop_back() {
            self.order.push_front(number);
        }
    }

    /// Takes out the chunks without live messages up to `through`.
    pub fn take_dead(&mut self, through: ChunkNumber) -> Vec<ChunkNumber> {
        let covered = self.chunks.range(..=through);
        let dead: Vec<ChunkNumber> =
            covered.filter(|(_, chunk)| chunk.live == 0).map(|(number, _)| *number).collect();
        for number in &dead {
            self.drop_bytes(*number);
            self.chunks.remove(number);
        }
        dead
    }

    /// Chunks up to `through` and their lengths.
    pub fn up_to(&self, through: ChunkNumber) -> impl Iterator<Item = (ChunkNumber, u32)> + '_ {
        self.chunks.range(..=through).map(|(number, chunk)| (*number, chunk.length))
    }

    pub const fn resident_bytes(&self) -> usize {
        self.resident_bytes
    }
}
