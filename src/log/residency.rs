//! Which chunks are in memory. Bodies beyond the budget live in storage alone and come back
//! through read effects. A chunk that was used since it was last considered gets a second chance;
//! of the others the one that became resident first goes first. That is close to least recently
//! used, and looking at a chunk changes no order.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::cell::Cell;

use crate::id::ChunkNumber;
use crate::log::need::{Garbage, Need};
use crate::sorted::{Line, Set};

/// What is known of one stored chunk.
#[derive(Debug, Default)]
struct Chunk {
    need: Need,
    resident: Option<Resident>,
}

#[derive(Debug)]
struct Resident {
    bytes: Vec<u8>,
    /// Tells the entry in `order` that stands for this stay in memory from older ones.
    stay: u64,
    used: Cell<bool>,
}

#[derive(Debug)]
pub struct Residency {
    chunks: Line<ChunkNumber, Chunk>,
    garbage: Garbage,
    /// Stays in memory in the order they will be considered. May name stays that are over.
    order: VecDeque<(ChunkNumber, u64)>,
    next_stay: u64,
    resident_chunks: usize,
    resident_bytes: usize,
    resident_bytes_max: usize,
}

impl Residency {
    pub fn new(resident_bytes_max: usize) -> Self {
        Self {
            chunks: Line::new(),
            garbage: Garbage::default(),
            order: VecDeque::new(),
            next_stay: 0,
            resident_chunks: 0,
            resident_bytes: 0,
            resident_bytes_max,
        }
    }

    /// A chunk whose bytes are in storage alone.
    pub fn add_stored(&mut self, number: ChunkNumber, length: u32) {
        self.change(number, &mut |need| need.length = length);
    }

    /// Changes what is needed of a chunk, known or new.
    fn change(&mut self, number: ChunkNumber, change: &mut dyn FnMut(&mut Need)) {
        let chunk = self.chunks.get_or_insert_with(number, Chunk::default);
        let before = chunk.need;
        change(&mut chunk.need);
        self.garbage.recount(before, chunk.need);
    }

    /// A chunk with its bytes, stored or about to be.
    pub fn add(&mut self, number: ChunkNumber, bytes: Vec<u8>) {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.change(number, &mut |need| need.length = length);
        self.set_bytes(number, bytes);
    }

    /// The bytes of a known chunk, read back.
    pub fn set_bytes(&mut self, number: ChunkNumber, bytes: Vec<u8>) {
        let Some(chunk) = self.chunks.get_mut(&number) else { return };
        if chunk.resident.is_none() {
            self.resident_bytes += bytes.len();
            self.resident_chunks += 1;
            self.next_stay += 1;
            let stay = self.next_stay;
            self.order.push_back((number, stay));
            chunk.resident = Some(Resident { bytes, stay, used: Cell::new(true) });
        }
    }

    /// The bytes of a chunk, if they are in memory. Counts as a use.
    pub fn bytes(&self, number: ChunkNumber) -> Option<&[u8]> {
        let resident = self.chunks.get(&number)?.resident.as_ref()?;
        resident.used.set(true);
        Some(&resident.bytes)
    }

    pub fn contains(&self, number: ChunkNumber) -> bool {
        self.chunks.contains_key(&number)
    }

    /// Counts a live message. The chunk may still fill.
    pub fn retain(&mut self, number: ChunkNumber, message_bytes: u32) {
        self.change(number, &mut |need| need.retain(message_bytes));
    }

    /// Counts a live message less. Nobody asks for the bytes of a chunk without one.
    pub fn release(&mut self, number: ChunkNumber, message_bytes: u32, durable: ChunkNumber) {
        if !self.contains(number) {
            return;
        }
        self.change(number, &mut |need| need.release(message_bytes));
        let dead = self.chunks.get(&number).is_some_and(|chunk| chunk.need.is_dead());
        if dead && number <= durable {
            self.drop_bytes(number);
        }
    }

    fn drop_bytes(&mut self, number: ChunkNumber) {
        let Some(chunk) = self.chunks.get_mut(&number) else { return };
        if let Some(resident) = chunk.resident.take() {
            self.resident_bytes -= resident.bytes.len();
            self.resident_chunks -= 1;
        }
        // Without this, `order` would grow for as long as the budget is never reached.
        if self.order.len() > 2 * self.resident_chunks + 16 {
            let chunks = &self.chunks;
            self.order.retain(|(number, stay)| stay_of(chunks, *number) == Some(*stay));
        }
    }

    /// Drops bytes of chunks up to `durable` until the budget holds. The chunk that became
    /// resident last stays, whatever its length.
    pub fn evict(&mut self, durable: ChunkNumber) {
        // Twice around takes every second chance away.
        let mut considered_max = 2 * self.order.len();
        while self.resident_bytes > self.resident_bytes_max && considered_max > 0 {
            considered_max -= 1;
            let Some((number, stay)) = self.order.pop_front() else { return };
            if stay_of(&self.chunks, number) != Some(stay) {
                continue;
            }
            let used = self.chunks.get(&number).and_then(|chunk| chunk.resident.as_ref());
            let used = used.is_some_and(|resident| resident.used.take());
            if used || number > durable || stay == self.next_stay {
                self.order.push_back((number, stay));
            } else {
                self.drop_bytes(number);
            }
        }
    }

    /// Takes out the chunks without live messages up to `through`.
    pub fn take_dead(&mut self, through: ChunkNumber) -> Vec<ChunkNumber> {
        let covered = self.chunks.range(..=through);
        let dead = covered.filter(|(_, chunk)| chunk.need.is_dead());
        let dead: Vec<ChunkNumber> = dead.map(|(number, _)| *number).collect();
        for number in &dead {
            self.drop_bytes(*number);
            self.change(*number, &mut |need| *need = Need::default());
            self.chunks.remove(number);
        }
        dead
    }

    /// What the store would get back.
    pub const fn garbage(&self) -> Garbage {
        self.garbage
    }

    /// Sparse chunks up to `through`, the oldest first, until what is live in them comes to so
    /// much.
    pub fn sparse(&self, through: ChunkNumber, live_bytes: u32) -> Set<ChunkNumber> {
        let (mut sparse, mut bytes) = (Set::new(), 0);
        for (number, chunk) in self.chunks.range(..=through) {
            if chunk.need.is_sparse() && bytes < live_bytes {
                bytes += chunk.need.bytes;
                sparse.insert(*number);
            }
        }
        sparse
    }

    /// Chunks up to `through` and their lengths.
    pub fn up_to(&self, through: ChunkNumber) -> impl Iterator<Item = (ChunkNumber, u32)> + '_ {
        self.chunks.range(..=through).map(|(number, chunk)| (*number, chunk.need.length))
    }

    pub const fn resident_bytes(&self) -> usize {
        self.resident_bytes
    }
}

fn stay_of(chunks: &Line<ChunkNumber, Chunk>, number: ChunkNumber) -> Option<u64> {
    Some(chunks.get(&number)?.resident.as_ref()?.stay)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DURABLE: ChunkNumber = ChunkNumber(u64::MAX);

    /// Chunks 1, 2 and so on, each with one live message.
    fn residency(resident_bytes_max: usize, lengths: &[usize]) -> Residency {
        let mut residency = Residency::new(resident_bytes_max);
        for (number, length) in (1..).map(ChunkNumber).zip(lengths) {
            residency.retain(number, 0);
            residency.add(number, alloc::vec![0; *length]);
        }
        residency
    }

    fn resident(residency: &Residency) -> Vec<u64> {
        let resident = residency.chunks.iter().filter(|(_, chunk)| chunk.resident.is_some());
        resident.map(|(number, _)| number.0).collect()
    }

    #[test]
    fn the_first_goes_first_but_what_is_used_stays() {
        let mut residency = residency(30, &[10; 5]);
        residency.evict(DURABLE);
        assert_eq!(resident(&residency), [3, 4, 5]);
        assert!(residency.bytes(ChunkNumber(3)).is_some());
        residency.set_bytes(ChunkNumber(1), alloc::vec![0; 10]);
        residency.evict(DURABLE);
        assert_eq!(resident(&residency), [1, 3, 5]);
        assert_eq!(residency.resident_bytes(), 30);
    }

    #[test]
    fn what_is_not_stored_stays_and_so_does_the_last() {
        let mut residency = residency(0, &[10; 4]);
        residency.evict(ChunkNumber(2));
        assert_eq!(resident(&residency), [3, 4]);
        residency.evict(ChunkNumber(4));
        assert_eq!(resident(&residency), [4]);
    }

    #[test]
    fn memory_stays_flat_while_chunks_come_and_go() {
        let mut residency = Residency::new(1 << 20);
        residency.retain(ChunkNumber(1), 0);
        residency.add(ChunkNumber(1), alloc::vec![0; 10]);
        for number in (2..10_000).map(ChunkNumber) {
            residency.retain(number, 0);
            residency.add(number, alloc::vec![0; 10]);
            residency.release(number, 0, DURABLE);
            residency.take_dead(number);
        }
        assert_eq!((residency.resident_bytes(), residency.chunks.len()), (10, 1));
        assert!(residency.order.len() < 32, "{} entries", residency.order.len());
    }

    #[test]
    fn a_second_stay_is_not_ended_by_the_order_of_the_first() {
        let mut residency = residency(20, &[10, 10]);
        residency.release(ChunkNumber(1), 0, DURABLE);
        residency.retain(ChunkNumber(1), 0);
        residency.set_bytes(ChunkNumber(1), alloc::vec![0; 10]);
        residency.retain(ChunkNumber(3), 0);
        residency.add(ChunkNumber(3), alloc::vec![0; 10]);
        residency.evict(DURABLE);
        assert_eq!(resident(&residency), [1, 3]);
    }
}
