//! What happens next, in virtual time.

use alloc::collections::BTreeMap;

/// Virtual time in microseconds since the run began.
pub type Micros = u64;

pub const MILLI: Micros = 1000;
pub const SECOND: Micros = 1000 * MILLI;

/// Things to come, by time; those of the same time in the order they were added.
#[derive(Debug)]
pub struct Schedule<T> {
    entries: BTreeMap<(Micros, u64), T>,
    added: u64,
    now: Micros,
}

impl<T> Schedule<T> {
    #[must_use]
    pub const fn new() -> Self {
        Self { entries: BTreeMap::new(), added: 0, now: 0 }
    }

    #[must_use]
    pub const fn now(&self) -> Micros {
        self.now
    }

    /// Adds an entry; one in the past comes now.
    pub fn at(&mut self, time: Micros, entry: T) {
        self.added += 1;
        self.entries.insert((time.max(self.now), self.added), entry);
    }

    pub fn after(&mut self, delay: Micros, entry: T) {
        self.at(self.now + delay, entry);
    }

    /// The next entry; the clock moves to its time.
    pub fn pop(&mut self) -> Option<T> {
        let ((time, _), entry) = self.entries.pop_first()?;
        self.now = time;
        Some(entry)
    }
}

impl<T> Default for Schedule<T> {
    fn default() -> Self {
        Self::new()
    }
}
