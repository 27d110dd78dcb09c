//! Room that is kept for a full disk. A placeholder lies among the chunks, under the number that
//! no chunk has. When a commit finds no room, the placeholder is deleted and the commit tried again
//! with the same bytes. From then on the log is full: nothing is to be taken in that needs room,
//! while what makes room may use it. Full it is until the placeholder is stored again.
//!
//! The core knows no quota, and what a browser tells of it is an estimate. What is stored is there.

use alloc::vec::Vec;

use xxhash_rust::xxh64::xxh64;

use crate::id::ChunkNumber;
use crate::marks::{Mark, mark};
use crate::store::Key;

/// Where the placeholder is. A list of the stored chunks tells whether it is there.
pub const KEY: Key = Key::Chunk(ChunkNumber(0));

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Standing {
    Held,
    /// A commit needs its room.
    Leaving,
    Absent {
        full: bool,
        /// There may be room for it.
        wanted: bool,
    },
}

#[derive(Debug)]
pub struct Reserve {
    bytes: usize,
    standing: Standing,
}

impl Reserve {
    /// A reserve of so many bytes, none if it is zero. `full`: a commit has just found no room.
    pub const fn new(bytes: usize, held: bool, full: bool) -> Self {
        let absent = Standing::Absent { full: full && bytes > 0, wanted: false };
        Self { bytes, standing: if held { Standing::Held } else { absent } }
    }

    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Nothing is to be taken in that needs room.
    pub const fn is_full(&self) -> bool {
        matches!(self.standing, Standing::Leaving | Standing::Absent { full: true, .. })
    }

    /// Its deletion is the next thing to do.
    pub const fn leaves(&self) -> bool {
        matches!(self.standing, Standing::Leaving)
    }

    /// It is to be stored.
    pub const fn is_wanted(&self) -> bool {
        matches!(self.standing, Standing::Absent { wanted: true, .. })
    }

    /// There may be room for it.
    pub const fn want(&mut self) {
        if let Standing::Absent { wanted, .. } = &mut self.standing {
            *wanted = self.bytes > 0;
        }
    }

    /// A commit found no room. False if there is none to give.
    pub fn make_way(&mut self) -> bool {
        let held = self.standing == Standing::Held;
        if held {
            mark(Mark::ReserveUsed);
            self.standing = Standing::Leaving;
        }
        held
    }

    /// It is stored.
    pub fn keep(&mut self) {
        if self.is_full() {
            mark(Mark::ReserveBack);
        }
        self.standing = Standing::Held;
    }

    /// It is deleted, or there was no room for it.
    pub const fn give_up(&mut self) {
        self.standing = Standing::Absent { full: true, wanted: false };
    }

    /// It could not be stored for now.
    pub const fn put_off(&mut self) {
        if let Standing::Absent { wanted, .. } = &mut self.standing {
            *wanted = false;
        }
    }

    /// Its bytes: such that no store can make them smaller.
    pub fn filler(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.bytes + 8);
        while bytes.len() < self.bytes {
            let word = xxh64(&(bytes.len() as u64).to_le_bytes(), 0);
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.truncate(self.bytes);
        bytes
    }
}
