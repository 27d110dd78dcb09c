//! Whether the storage still answers. A browser may lose an operation without a word, or hold it
//! back for good. A host to which that happens has the lock, hears everyone, and can confirm
//! nothing, so it must not wait for ever.

use crate::time::{Instant, Now};

/// A storage that owes an answer and gives none for as long does not answer any more. An fsync
/// behind a full write-back cache takes seconds.
pub const STORAGE_SILENCE_MS: u64 = 10_000;

#[derive(Debug, Default)]
pub struct Overdue {
    /// How many answers the storage owes.
    owed: u32,
    /// Since when it owes one and has given none.
    since: Option<Instant>,
    looked_at: Instant,
}

impl Overdue {
    pub fn asked(&mut self, now: Now) {
        self.owed += 1;
        self.since.get_or_insert(now.mono);
    }

    pub fn answered(&mut self, now: Now) {
        self.owed = self.owed.saturating_sub(1);
        self.since = (self.owed > 0).then_some(now.mono);
    }

    /// Nothing is owed any more, whatever was.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Whether the storage does not answer any more. A pause of this realm is not its fault: the
    /// answer may have come meanwhile and wait in line.
    pub fn is_overdue(&mut self, now: Now, pause_ms_max: u64) -> bool {
        let paused = now.mono.ms_since(self.looked_at) > pause_ms_max;
        self.looked_at = now.mono;
        match &mut self.since {
            Some(since) if paused => *since = now.mono,
            Some(since) => return since.after_ms(STORAGE_SILENCE_MS) <= now.mono,
            None => {}
        }
        false
    }

    /// When to look again, often enough to tell a pause from waiting.
    pub fn look_at(&self, now: Now, pause_ms_max: u64) -> Option<Instant> {
        self.since.map(|_| now.mono.after_ms(pause_ms_max / 2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::UnixMillis;

    const PAUSE_MS_MAX: u64 = 2000;

    fn at(ms: u64) -> Now {
        Now { mono: Instant(0).after_ms(ms), unix: UnixMillis(0) }
    }

    /// Looks once a second; returns when the storage is first found overdue.
    fn overdue_at(overdue: &mut Overdue, from_s: u64, to_s: u64) -> Option<u64> {
        (from_s..=to_s).find(|second| overdue.is_overdue(at(second * 1000), PAUSE_MS_MAX))
    }

    #[test]
    fn a_storage_that_owes_nothing_may_be_silent() {
        let mut overdue = Overdue::default();
        assert_eq!(overdue_at(&mut overdue, 0, 30), None);
        overdue.asked(at(30_000));
        overdue.answered(at(30_000));
        assert_eq!(overdue.look_at(at(30_000), PAUSE_MS_MAX), None);
        assert_eq!(overdue_at(&mut overdue, 31, 60), None);
    }

    #[test]
    fn any_answer_begins_the_count_anew() {
        let mut overdue = Overdue::default();
        overdue.asked(at(0));
        overdue.asked(at(0));
        assert_eq!(overdue_at(&mut overdue, 0, 9), None);
        overdue.answered(at(9000));
        assert_eq!(overdue_at(&mut overdue, 10, 18), None);
        assert_eq!(overdue_at(&mut overdue, 19, 30), Some(19));
    }

    #[test]
    fn time_in_which_the_realm_did_not_run_does_not_count() {
        let mut overdue = Overdue::default();
        overdue.asked(at(0));
        assert_eq!(overdue_at(&mut overdue, 0, 5), None);
        assert_eq!(overdue_at(&mut overdue, 60, 69), None);
        assert!(overdue.is_overdue(at(70_000), PAUSE_MS_MAX));
    }
}
