//! The wall clock of the simulation, which jumps, and what it ever read.

use alloc::vec::Vec;

use crate::sim::schedule::{MILLI, Micros};
use crate::time::UnixMillis;

const START_MS: u64 = 1_700_000_000_000;

#[derive(Debug, Default)]
pub struct Walls {
    /// Since when it has been off by how much. Right before the first.
    offsets_ms: Vec<(Micros, i64)>,
}

impl Walls {
    #[must_use]
    pub fn read(&self, now: Micros) -> UnixMillis {
        read(now, self.offsets_ms.last().map_or(0, |(_, offset_ms)| *offset_ms))
    }

    pub fn jump(&mut self, now: Micros, by_ms: i64) {
        let before = self.offsets_ms.last().map_or(0, |(_, offset_ms)| *offset_ms);
        self.offsets_ms.push((now, before + by_ms));
    }

    /// The lowest that it has read since then.
    #[must_use]
    pub fn lowest(&self, since: Micros) -> UnixMillis {
        let first = [(0, 0)];
        let begun = self.offsets_ms.iter().filter(|(begun, _)| *begun <= since);
        let (_, offset_ms) = first.iter().chain(begun).next_back().unwrap_or(&(0, 0));
        let later = self.offsets_ms.iter().filter(|(begun, _)| *begun > since);
        let later = later.map(|(begun, offset_ms)| read(*begun, *offset_ms)).min();
        let then = read(since, *offset_ms);
        later.map_or(then, |later| later.min(then))
    }
}

fn read(now: Micros, offset_ms: i64) -> UnixMillis {
    let since_start_ms = i64::try_from(now / MILLI).unwrap_or(i64::MAX);
    UnixMillis(START_MS.saturating_add_signed(since_start_ms + offset_ms))
}
