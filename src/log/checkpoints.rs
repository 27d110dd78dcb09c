//! When a checkpoint is due, what it consists of, and which chunks are worth rewriting under it.

use alloc::vec::Vec;
use core::ops::Range;

use crate::id::{ChunkNumber, MessageNumber};
use crate::log::journal::{Log, Sealed};
use crate::log::manifest::LiveChunk;
use crate::log::need::record_bytes;
use crate::log::pieces::Run;
use crate::log::{FORMAT, Place, Record};
use crate::sorted::Set;
use crate::store::Key;

/// Nothing is moved for less, whatever the limits say. A chunk with a few short messages is always
/// sparse, for what a chunk costs by itself, and moving them makes another like it: for fewer than
/// two such chunks the log would move the same messages for ever.
const SPARSE_BYTES_MIN: usize = 1 << 10;

impl Log {
    /// Whether enough has changed since the last checkpoint to be worth another, or enough chunks
    /// wait to be deleted by it.
    pub fn checkpoint_due(&self) -> bool {
        let garbage = self.chunks.garbage();
        let grown = self.growth.max(self.released).max(garbage.dead_bytes);
        let some = self.room_sought && garbage.dead_bytes + garbage.sparse_bytes > 0;
        !self.checkpoint_under_way && !self.failed && (some || grown >= self.worth())
    }

    /// What a checkpoint is worth. On a full disk room is worth more than work.
    fn worth(&self) -> usize {
        let worth = self.config.checkpoint_bytes_min.max(2 * self.checkpoint_bytes);
        if self.reserve.is_full() { worth.min(self.reserve.bytes() / 4) } else { worth }
    }

    /// The disk is full: nothing is to be taken in that needs room.
    pub const fn is_full(&self) -> bool {
        self.reserve.is_full()
    }

    /// Gives back what it can and looks whether there is room again, which others may have made.
    pub const fn seek_room(&mut self) {
        self.room_sought = true;
        self.reserve.want();
    }

    /// A checkpoint is not stored yet.
    pub const fn checkpoint_under_way(&self) -> bool {
        self.checkpoint_under_way
    }

    /// Counts a live message less. A chunk without one is deleted by the next checkpoint.
    pub fn release(&mut self, place: Place, message_bytes: u32) {
        self.chunks.release(place.chunk, message_bytes, self.durable);
        self.released += record_bytes(message_bytes) as usize;
    }

    /// Counts a live message at another place.
    pub fn relocate(&mut self, from: Place, to: Place, message_bytes: u32) {
        self.chunks.retain(to.chunk, message_bytes);
        self.chunks.release(from.chunk, message_bytes, self.durable);
        self.moved = true;
        if !self.config.rules.delete_by_checkpoint() {
            self.deletes.push(Key::Chunk(from.chunk));
        }
    }

    /// Whether the chunk is stored, as far as the manifest and the tail say.
    pub fn has_chunk(&self, chunk: ChunkNumber) -> bool {
        self.chunks.contains(chunk)
    }

    /// Chunks under the last checkpoint whose live messages are worth moving, so few that moving
    /// them writes less than the checkpoint before it. None while there is little to win.
    pub fn sparse_chunks(&self) -> Set<ChunkNumber> {
        let part = (self.worth() / 4).max(SPARSE_BYTES_MIN);
        if self.chunks.garbage().sparse_bytes < part {
            return Set::new();
        }
        self.chunks.sparse(self.manifest.through, u32::try_from(part).unwrap_or(u32::MAX))
    }

    /// A record of a checkpoint of everything appended so far. The whole state comes in such
    /// records, but for what is in pieces, before anything else is appended.
    pub fn checkpoint_record(&mut self, record: &Record<'_>) {
        self.pages.add(record);
    }

    /// Begins the pieces of the checkpoint. Those that are given have to be written, for something
    /// changed in these ranges, which are in order.
    pub fn begin_pieces(&mut self, changed: &[Range<MessageNumber>]) -> Vec<Run> {
        self.pages.begin_pieces(changed)
    }

    /// The messages of a run follow, by their numbers.
    pub fn begin_run(&mut self, first: MessageNumber) {
        self.pages.begin_run(first);
    }

    pub fn piece_record(&mut self, number: MessageNumber, record: &Record<'_>) {
        self.pages.add_to_piece(number, record);
    }

    /// Ends the checkpoint: its pages, the manifest and the deletes it allows go into one commit
    /// with the chunk that fills now.
    pub fn finish_checkpoint(&mut self) {
        self.seal();
        let number = self.last;
        self.manifest.format = FORMAT;
        let changed = self.pages.finish(&mut self.manifest);
        let (mut puts, mut deletes) = (changed.puts, changed.deletes);
        deletes.extend(self.chunks.take_dead(number).into_iter().map(Key::Chunk));
        let chunks = self.chunks.up_to(number).map(|(number, bytes)| LiveChunk { number, bytes });
        self.manifest.chunks = chunks.collect();
        self.manifest.through = number;
        self.manifest.hash = self.last_hash;
        puts.push((Key::Manifest, self.manifest.encode()));
        self.checkpoint_bytes = self.manifest.bytes();
        (self.growth, self.released, self.room_sought) = (0, 0, false);
        self.checkpoint_under_way = true;
        // What was stored strictly and moved must be stored strictly before its old place goes.
        let strict = core::mem::take(&mut self.moved);
        self.sealed.push_back(Sealed { number, strict, puts, deletes });
    }
}
