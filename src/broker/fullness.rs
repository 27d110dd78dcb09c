//! A full disk. Where the log has a reserve, that is given up: what was being written is written,
//! sends are refused, and what makes room goes on until the reserve is back. Where there is none
//! left either, the broker is made anew and refuses for a while.

use crate::broker::Broker;
use crate::broker::io::Event;
use crate::time::{Instant, Now};

/// A broker made anew because the storage was full writes nothing for so long. What failed comes
/// again as soon as its clients are back, and on a disk that takes nothing at all the node would do
/// nothing but replay its log.
const FULL_PAUSE_MS: u64 = 250;
/// For so long it refuses what would need room, unless a write succeeds sooner. Then one is tried:
/// room may have been made by others, and where nobody has anything to settle no other write comes.
/// As often the log looks whether there is room for its reserve.
const FULL_MS: u64 = 10_000;

#[derive(Clone, Copy, Debug)]
pub struct Fullness {
    /// When the storage was found full and the broker made anew, until a write succeeds.
    since: Option<Instant>,
    /// When the log last looked for room.
    sought: Instant,
}

impl Fullness {
    pub fn new(storage_full: bool, now: Instant) -> Self {
        Self { since: storage_full.then_some(now), sought: now }
    }
}

impl Broker {
    /// Nothing is taken in that needs much room.
    pub(super) fn is_full(&self) -> bool {
        self.log.is_full() || self.is_out_of_room()
    }

    /// There may be no room for the shortest record.
    /// The storage was full, and has not taken anything since.
    pub(super) fn was_full(&self) -> bool {
        self.fullness.since.is_some()
    }

    pub(super) fn is_out_of_room(&self) -> bool {
        self.fullness.since.is_some_and(|since| since.after_ms(FULL_MS) > self.now.mono)
    }

    /// Nothing is written until then.
    pub(super) fn paused_until(&self) -> Option<Instant> {
        let until = self.fullness.since?.after_ms(FULL_PAUSE_MS);
        Some(until).filter(|until| *until > self.now.mono)
    }

    /// When the log looks for room again.
    pub(super) fn room_sought_at(&self) -> Option<Instant> {
        self.log.is_full().then(|| self.fullness.sought.after_ms(FULL_MS))
    }

    pub(super) fn seek_room(&mut self, now: Now) {
        if self.room_sought_at().is_some_and(|at| at <= now.mono) {
            self.fullness.sought = now.mono;
            self.log.seek_room();
        }
    }

    /// Something was written.
    pub(super) fn written(&mut self) {
        if self.fullness.since.take().is_some() && !self.log.is_full() {
            self.events.push_back(Event::StorageFull { full: false });
        }
    }

    /// The log has given its reserve up.
    pub(super) fn filled_up(&mut self) {
        self.fullness.sought = self.now.mono;
        self.events.push_back(Event::StorageFull { full: true });
    }

    /// It has a reserve again.
    pub(super) fn has_room(&mut self) {
        self.fullness.since = None;
        self.events.push_back(Event::StorageFull { full: false });
    }
}
