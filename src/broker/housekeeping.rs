//! What nobody waits for to the second: lanes, sessions and queues that nobody uses any more.
//! While something happens it is looked after once a second; then only when the time of something
//! has come, so that a host with nothing to do may sleep.

use crate::broker::Broker;
use crate::id::LaneId;
use crate::time::{Instant, Now};

const HOUSEKEEPING_MS: u64 = 1000;

#[derive(Debug)]
pub struct Housekeeping {
    at: Instant,
    /// Something happened since, so there may be more to do than what has a known time.
    stirred: bool,
}

impl Housekeeping {
    pub fn new(now: Now) -> Self {
        Self { at: now.mono.after_ms(HOUSEKEEPING_MS), stirred: true }
    }

    /// Something happened that it may have to look at.
    pub const fn stir(&mut self) {
        self.stirred = true;
    }
}

impl Broker {
    pub(super) fn keep_house(&mut self, now: Now) {
        if self.housekeeping.at > now.mono {
            return;
        }
        self.housekeeping = Housekeeping { stirred: false, ..Housekeeping::new(now) };
        self.retire_lanes(now);
        self.end_parked_sessions(now);
        self.hang_up_without_lane(now);
        self.delete_idle_queues(now);
        self.forget_ids(now);
        self.advise_consumers();
    }

    /// When to look next, if anybody is there for whom it is done.
    pub(super) fn house_at(&self) -> Option<Instant> {
        if self.sessions.is_empty() {
            return None;
        }
        if self.housekeeping.stirred || self.settling.is_some() {
            return Some(self.housekeeping.at);
        }
        // A node without ticks would take its own idleness for a pause.
        let beat_ms = (self.limits.pause_ms_max / 2).saturating_sub(HOUSEKEEPING_MS);
        let beat = Some(self.housekeeping.at.after_ms(beat_ms)).filter(|_| self.storage.fenced);
        let due = [self.idle_lanes.first(), self.parked_end_at(), self.idle_queue_end_at(), beat];
        // Ids are remembered for too long at no harm: their windows are judged one by one.
        let due = due.into_iter().flatten().min().map(|at| at.max(self.housekeeping.at));
        let without_lane = self.sessions.values().any(|session| session.lane == LaneId(0));
        if without_lane { Some(self.housekeeping.at) } else { due }
    }

    fn parked_end_at(&self) -> Option<Instant> {
        let detached = self.sessions.values().filter_map(|session| session.detached_at);
        detached.min().map(|at| at.after_ms(self.limits.park_ms))
    }

    fn idle_queue_end_at(&self) -> Option<Instant> {
        let unused = self
            .idle_queues
            .iter()
            .filter_map(|(id, since)| Some(since.after_ms(self.idle_ms_max(*id)?)));
        unused.min()
    }
}
