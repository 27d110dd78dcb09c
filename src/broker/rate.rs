//! How often something may happen. A queue may be served so many times in a while: a bucket of
//! tokens, kept as the one time from which on the next delivery may come.
//!
//! Running clocks tell nothing of another node, so what was left in a bucket is not stored. A node
//! begins with empty ones: whatever the last node served, the next delivery was to come after one
//! interval at most. So a change of host adds no burst, and costs at most one interval.

use crate::broker::Broker;
use crate::broker::deadline::Deadlines;
use crate::broker::state::State;
use crate::error::{Code, Refused};
use crate::id::QueueId;
use crate::options::{QueueOptions, Rate};
use crate::sorted::Map;
use crate::time::{Instant, Now};

/// A bucket of tokens, as the time at which it is full if nothing more comes. It starts at no time
/// before the clock did, so it is never below zero.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    full_at: Instant,
}

impl Bucket {
    /// One without a token, but for the one that is there at `next_at`. Filling it takes `late_us`.
    pub const fn empty(next_at: Instant, late_us: u64) -> Self {
        Self { full_at: Instant(next_at.0.saturating_add(late_us)) }
    }

    /// When there is a token.
    pub const fn next_at(self, late_us: u64) -> Instant {
        Instant(self.full_at.0.saturating_sub(late_us))
    }

    /// Takes one. A full bucket holds what comes in `late_us`, and the one that is taken.
    pub fn take(&mut self, now: Instant, every_us: u64) {
        self.full_at = Instant(self.full_at.max(now).0.saturating_add(every_us));
    }
}

impl Rate {
    /// Between two tokens. Rounded up, so that no more come than the rate says.
    fn every_us(&self) -> u64 {
        self.per_ms.saturating_mul(1000).div_ceil(u64::from(self.limit.max(1))).max(1)
    }

    /// A bucket that is full has so much saved, beside the one that may come now.
    fn late_us(&self) -> u64 {
        let burst = u64::from(self.burst.unwrap_or(self.limit).max(1));
        self.every_us().saturating_mul(burst - 1)
    }

    /// What a bucket is at the least: the next token is one interval away.
    fn empty(&self, now: Instant) -> Bucket {
        let next_at = Instant(now.0.saturating_add(self.every_us()));
        Bucket::empty(next_at, self.late_us())
    }
}

/// Of the queues that have a rate.
#[derive(Debug)]
pub struct Rates {
    /// One that is not here is full.
    buckets: Map<QueueId, Bucket>,
    /// Queues that would be served but for their rate.
    waiting: Deadlines<QueueId, Instant>,
}

impl Rates {
    pub fn new(state: &State, now: Now) -> Self {
        let mut buckets = Map::new();
        for (id, queue) in state.queues.iter() {
            if let Some(rate) = &queue.options.rate {
                buckets.insert(*id, rate.empty(now.mono));
            }
        }
        Self { buckets, waiting: Deadlines::new() }
    }

    pub fn wake_at(&self) -> Option<Instant> {
        self.waiting.first()
    }

    pub fn remove(&mut self, queue: QueueId) {
        self.buckets.remove(&queue);
        self.waiting.remove(queue);
    }
}

impl QueueOptions {
    /// Whether what they say of rates can be followed.
    pub(super) fn check_rate(&self) -> Result<(), Refused> {
        let Some(Rate { limit, per_ms, burst }) = self.rate else { return Ok(()) };
        if limit == 0 || per_ms == 0 || burst == Some(0) {
            return Err(Refused::new(Code::Invalid, "rate"));
        }
        Ok(())
    }
}

impl Broker {
    fn rate_of(&self, queue: QueueId) -> Option<Rate> {
        let rate = self.state.queues.get(&queue).and_then(|queue| queue.options.rate);
        rate.filter(|_| self.rules.rate_limit())
    }

    /// Whether the queue may be served now. If not, it is looked at again when it may.
    pub(super) fn rate_allows(&mut self, now: Now, queue: QueueId) -> bool {
        let Some(rate) = self.rate_of(queue) else { return true };
        let bucket = self.rates.buckets.get(&queue);
        match bucket.map(|bucket| bucket.next_at(rate.late_us())).filter(|at| *at > now.mono) {
            Some(at) => {
                self.rates.waiting.set(queue, at);
                false
            }
            None => true,
        }
    }

    /// The queue was served once.
    pub(super) fn count_for_rate(&mut self, now: Now, queue: QueueId) {
        let Some(rate) = self.rate_of(queue) else { return };
        let full = || Bucket { full_at: now.mono };
        self.rates.buckets.get_or_insert_with(queue, full).take(now.mono, rate.every_us());
    }

    /// Serves queues again whose rate allows it.
    pub(super) fn wake_rated(&mut self, now: Now) {
        while let Some(queue) = self.rates.waiting.pop_due(now.mono) {
            self.dirty_queues.insert(queue);
        }
    }

    /// The rate may be another one now: nobody waits longer than its interval.
    pub(super) fn follow_rate(&mut self, queue: QueueId) {
        self.rates.waiting.remove(queue);
        match self.rate_of(queue) {
            None => self.rates.remove(queue),
            Some(rate) => {
                let latest = rate.empty(self.now.mono).full_at;
                if let Some(bucket) = self.rates.buckets.get_mut(&queue) {
                    bucket.full_at = latest.min(bucket.full_at);
                }
            }
        }
    }
}
