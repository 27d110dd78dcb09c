//! Producers that wait for what becomes of their messages.

use alloc::vec::Vec;

use crate::broker::Broker;
use crate::broker::tracks::{End, Track};
use crate::error::{Code, Refused};
use crate::id::{ClientId, ConnId, LeaseNumber, MessageNumber, RequestId};
use crate::log::Record;
use crate::sorted::Map;
use crate::time::Now;
use crate::wire::Frame;
use crate::wire::envelope::encode_frame;
use crate::wire::frame::Tracking;

/// Those who wait.
#[derive(Debug, Default)]
pub struct Trackers {
    pub(super) waiting: Map<MessageNumber, Vec<Tracker>>,
    count: usize,
}

impl Trackers {
    pub(super) fn add(&mut self, number: MessageNumber, tracker: Tracker) {
        self.waiting.get_or_default(number).push(tracker);
        self.count += 1;
    }

    fn take(&mut self, number: MessageNumber) -> Vec<Tracker> {
        let taken = self.waiting.remove(&number).unwrap_or_default();
        self.count -= taken.len();
        taken
    }

    fn of(&self, number: MessageNumber) -> &[Tracker] {
        self.waiting.get(&number).map_or(&[], |waiting| waiting)
    }

    fn drop_conn(&mut self, conn: ConnId) {
        let count = &mut self.count;
        self.waiting.retain(|_, waiting| {
            let before = waiting.len();
            waiting.retain(|tracker| tracker.conn != conn);
            *count -= before - waiting.len();
            !waiting.is_empty()
        });
    }
}

/// Somebody who waits.
#[derive(Clone, Copy, Debug)]
pub struct Tracker {
    pub(super) conn: ConnId,
    pub(super) request: RequestId,
    /// For the end; otherwise for the first delivery.
    pub(super) processed: bool,
}

impl Broker {
    pub(super) fn on_track(
        &mut self,
        conn: ConnId,
        request: RequestId,
        queue: &str,
        id: &str,
        processed: bool,
    ) {
        let queue = self.state.queue_named(queue);
        let Some(number) = queue.and_then(|queue| self.state.tracks.find(queue, id)) else {
            return self.answer_refused(conn, request, Code::NotFound.into());
        };
        let tracker = Tracker { conn, request, processed };
        if self.answer_tracker(number, tracker) {
            return;
        }
        if self.trackers.count >= self.limits.trackers_max as usize {
            return self.answer_refused(conn, request, Refused::new(Code::Full, "trackers_max"));
        }
        self.trackers.add(number, tracker);
    }

    /// A handler tells how far it is. Nobody keeps that.
    pub(super) fn on_progress(&mut self, client: ClientId, lease: LeaseNumber, value: &[u8]) {
        let Some(lease) = self.state.leases.get(&lease).filter(|lease| lease.client == client)
        else {
            return;
        };
        for Tracker { conn, request, processed } in self.trackers.of(lease.number) {
            let (conn, request) = (*conn, *request);
            // What a slow reader has no room for it is not told.
            if *processed && self.links.waiting_bytes(conn) < self.limits.link_bytes_max as usize {
                self.links.push(conn, &Frame::Progressed { request, value });
            }
        }
    }

    /// Answers those for whom something happened.
    pub(super) fn answer_trackers(&mut self, now: Now) {
        for number in self.state.tracks.take_changed() {
            for tracker in self.trackers.take(number) {
                if !self.answer_tracker(number, tracker) {
                    self.trackers.add(number, tracker);
                }
            }
            if self.state.tracks.get(number).is_some_and(|track| track.end.is_some()) {
                self.keep_result(now, number);
            }
        }
        self.forget_results(now);
    }

    /// Whether there was an answer.
    fn answer_tracker(&mut self, number: MessageNumber, tracker: Tracker) -> bool {
        let Tracker { conn, request, processed } = tracker;
        let Some(track) = self.state.tracks.get(number) else {
            self.answer_refused(conn, request, Code::NotFound.into());
            return true;
        };
        let Some(outcome) = outcome_of(track, processed) else { return false };
        let mut encoded = Vec::new();
        encode_frame(&Frame::Tracked { request, outcome }, &mut encoded);
        self.gated_encoded(conn, encoded);
        true
    }

    fn keep_result(&mut self, now: Now, number: MessageNumber) {
        let track = self.state.tracks.get(number);
        let queue = track.and_then(|track| self.state.queues.get(&track.queue));
        let declared = queue.and_then(|queue| queue.options.result_keep_ms);
        let keep_ms = declared.unwrap_or(self.limits.result_keep_ms);
        self.result_ends.set(number, now.mono.after_ms(keep_ms));
    }

    /// Results of an earlier node are kept as long again: nobody could ask for them meanwhile.
    pub(super) fn keep_all_results(&mut self, now: Now) {
        self.state.tracks.take_changed();
        for number in self.state.tracks.ended().collect::<Vec<_>>() {
            self.keep_result(now, number);
        }
    }

    fn forget_results(&mut self, now: Now) {
        while let Some(number) = self.result_ends.pop_due(now.mono) {
            self.forget_result(number);
        }
        let (results_max, bytes_max) = (self.limits.results_max, self.limits.results_bytes_max);
        while let Some(number) = self.state.tracks.surplus(results_max, bytes_max) {
            self.result_ends.remove(number);
            self.forget_result(number);
        }
    }

    fn forget_result(&mut self, number: MessageNumber) {
        if self.state.tracks.get(number).is_some() {
            self.commit(&Record::TrackForgotten { number });
        }
    }

    /// The link is over: its client asks again on the next.
    pub(super) fn drop_trackers_of(&mut self, conn: ConnId) {
        self.trackers.drop_conn(conn);
    }
}

fn outcome_of(track: &Track, processed: bool) -> Option<Tracking<'_>> {
    match &track.end {
        _ if !processed && track.delivered => Some(Tracking::Delivered),
        Some(End::Processed(value)) => Some(Tracking::Processed { value: value.as_deref() }),
        Some(End::Failed { code, reason }) => Some(Tracking::Failed { code: *code, reason }),
        None => None,
    }
}
