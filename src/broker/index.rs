//! The ready messages of a queue in the order of their numbers. They lie in blocks of a bounded
//! length, so a change in the middle shifts few others, and however many there are, the spare room
//! is that of about one block.

use alloc::collections::VecDeque;

use crate::broker::queue::Entry;
use crate::id::{ChunkNumber, MessageNumber};
use crate::log::Place;

/// Messages in a block.
const BLOCK_MESSAGES: usize = 256;
/// A block gives back room that it does not use, but is not made smaller than this.
const BLOCK_MESSAGES_KEPT: usize = 64;

/// A message and its entry, without padding: a million messages pay for each byte of it.
#[derive(Clone, Copy, Debug)]
struct Slot {
    number: MessageNumber,
    chunk: ChunkNumber,
    offset: u32,
    body_bytes: u32,
    properties_bytes: u32,
    attempts: u32,
}

const _: () = assert!(size_of::<Slot>() == 32);

impl Slot {
    const fn new(number: MessageNumber, entry: Entry) -> Self {
        let Entry { place, body_bytes, properties_bytes, attempts } = entry;
        let Place { chunk, offset } = place;
        Self { number, chunk, offset, body_bytes, properties_bytes, attempts }
    }

    const fn entry(&self) -> Entry {
        let Self { chunk, offset, body_bytes, properties_bytes, attempts, .. } = *self;
        Entry { place: Place { chunk, offset }, body_bytes, properties_bytes, attempts }
    }
}

type Block = VecDeque<Slot>;

/// Entries by number.
#[derive(Debug, Default)]
pub struct Index {
    /// In order. Only one that is alone may be empty.
    blocks: VecDeque<Block>,
    len: usize,
}

impl Index {
    pub const fn new() -> Self {
        Self { blocks: VecDeque::new(), len: 0 }
    }

    pub const fn len(&self) -> usize {
        self.len
    }

    /// The block in which a number is or belongs.
    fn block_of(&self, number: MessageNumber) -> usize {
        let starts = |block: &Block| block.front().is_some_and(|slot| slot.number <= number);
        // What comes in order belongs last and goes first.
        if self.blocks.back().is_some_and(starts) {
            return self.blocks.len() - 1;
        }
        if !self.blocks.get(1).is_some_and(starts) {
            return 0;
        }
        self.blocks.partition_point(starts).saturating_sub(1)
    }

    /// The block of a number and its place there: where it is, or where it belongs.
    fn place(&self, number: MessageNumber) -> (usize, Result<usize, usize>) {
        let at = self.block_of(number);
        let Some(block) = self.blocks.get(at) else { return (at, Err(0)) };
        match (block.front(), block.back()) {
            (Some(first), _) if first.number == number => (at, Ok(0)),
            (_, Some(last)) if last.number < number => (at, Err(block.len())),
            _ => (at, block.binary_search_by_key(&number, |slot| slot.number)),
        }
    }

    pub fn get(&self, number: MessageNumber) -> Option<Entry> {
        let (at, found) = self.place(number);
        Some(self.blocks.get(at)?.get(found.ok()?)?.entry())
    }

    /// Sets the entry of a message.
    pub fn insert(&mut self, number: MessageNumber, entry: Entry) {
        let slot = Slot::new(number, entry);
        let (mut at, found) = self.place(number);
        let last = at + 1 >= self.blocks.len();
        let Some(block) = self.blocks.get_mut(at) else {
            self.blocks.push_back(Block::from([slot]));
            self.len = 1;
            return;
        };
        let mut place = match found {
            Ok(place) => {
                block[place] = slot;
                return;
            }
            Err(place) => place,
        };
        self.len += 1;
        if block.len() >= BLOCK_MESSAGES {
            let behind = place == block.len();
            // What comes in order fills each block.
            let half = if last && behind { place } else { block.len() / 2 };
            let mut next = Block::with_capacity(BLOCK_MESSAGES);
            next.extend(block.drain(half..));
            self.blocks.insert(at + 1, next);
            if place > half || behind {
                at += 1;
                place -= half;
            }
        }
        self.blocks[at].insert(place, slot);
    }

    pub fn remove(&mut self, number: MessageNumber) -> Option<Entry> {
        let (at, found) = self.place(number);
        let removed = self.blocks.get_mut(at)?.remove(found.ok()?)?;
        self.len -= 1;
        self.tidy(at);
        Some(removed.entry())
    }

    /// Gives back the room of a block that has lost many.
    fn tidy(&mut self, at: usize) {
        let alone = self.blocks.len() == 1;
        let Some(block) = self.blocks.get_mut(at) else { return };
        let len = block.len();
        if len > block.capacity() / 4 {
            return;
        }
        if len == 0 && !alone {
            self.blocks.remove(at);
            return;
        }
        if block.capacity() > BLOCK_MESSAGES_KEPT {
            block.shrink_to((2 * len).max(BLOCK_MESSAGES_KEPT));
        }
        for next in [at + 1, at] {
            let Some(before) = next.checked_sub(1) else { continue };
            let fits = |block: &Block| block.len() + len <= BLOCK_MESSAGES / 2;
            let other = if next == at { before } else { next };
            if self.blocks.get(other).is_some_and(fits) {
                let joined = self.blocks.remove(next);
                self.blocks[before].extend(joined.into_iter().flatten());
                return;
            }
        }
    }

    pub fn first(&self) -> Option<(MessageNumber, Entry)> {
        let slot = self.blocks.front()?.front()?;
        Some((slot.number, slot.entry()))
    }

    /// The entries from a number on.
    pub fn from(&self, number: MessageNumber) -> impl Iterator<Item = (MessageNumber, Entry)> + '_ {
        let (at, found) = self.place(number);
        let place = found.unwrap_or_else(|place| place);
        let blocks = self.blocks.range(at.min(self.blocks.len())..);
        blocks.flatten().skip(place).map(|slot| (slot.number, slot.entry()))
    }

    pub fn iter(&self) -> impl Iterator<Item = (MessageNumber, Entry)> + '_ {
        self.blocks.iter().flatten().map(|slot| (slot.number, slot.entry()))
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn entry(word: u32) -> Entry {
        let place = Place { chunk: ChunkNumber(u64::from(word) << 20), offset: word };
        Entry { place, body_bytes: word ^ 1, properties_bytes: word ^ 2, attempts: word ^ 3 }
    }

    fn slots(index: &Index) -> usize {
        index.blocks.iter().map(Block::capacity).sum()
    }

    fn check(index: &Index, told: &BTreeMap<u64, u32>) {
        let told = told.iter().map(|(number, word)| (MessageNumber(*number), entry(*word)));
        assert!(index.iter().eq(told.clone()));
        assert_eq!((index.len(), index.first()), (told.len(), told.clone().next()));
        assert!(index.blocks.iter().all(|block| block.len() <= BLOCK_MESSAGES));
        assert!(index.blocks.len() < 2 || index.blocks.iter().all(|block| !block.is_empty()));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Runs of numbers that come or go, forwards, backwards or with steps.
        #[test]
        fn it_is_a_sorted_map(
            runs in prop::collection::vec((any::<bool>(), 0..3000u64, 0..700u64, 1..4u64), 1..12),
            backwards: bool,
        ) {
            let (mut index, mut told) = (Index::new(), BTreeMap::new());
            for (round, (comes, first, count, step)) in (0u32..).zip(runs) {
                for at in 0..count {
                    let at = if backwards { count - at } else { at };
                    let number = first + at * step;
                    if comes {
                        index.insert(MessageNumber(number), entry(round));
                        told.insert(number, round);
                    } else {
                        let removed = index.remove(MessageNumber(number));
                        prop_assert_eq!(removed, told.remove(&number).map(entry));
                    }
                }
                check(&index, &told);
                for from in [0, first, first + count, u64::MAX] {
                    let behind = index.from(MessageNumber(from)).map(|(number, _)| number.0);
                    prop_assert!(behind.eq(told.range(from..).map(|(number, _)| *number)));
                    let got = index.get(MessageNumber(from));
                    prop_assert_eq!(got, told.get(&from).copied().map(entry));
                }
            }
        }
    }

    #[test]
    fn there_is_little_spare_room_however_many_there_are() {
        let mut index = Index::new();
        for number in 0..100_000 {
            index.insert(MessageNumber(number), entry(0));
            assert!(slots(&index) <= index.len() + BLOCK_MESSAGES, "{number}");
        }
        // One in fifty stays, wherever it stands.
        for number in (0..100_000).filter(|number| number % 50 > 0) {
            index.remove(MessageNumber(number));
        }
        assert!(slots(&index) <= 5 * index.len(), "{} for {}", slots(&index), index.len());
    }
}
