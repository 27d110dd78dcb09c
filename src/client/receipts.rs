//! What became of messages: questions that may wait for long. `flush` and `close` do not wait for
//! them, and they are asked again on each link.

use alloc::borrow::ToOwned;
use alloc::string::ToString;
use alloc::vec::Vec;

use crate::client::Client;
use crate::client::io::{Event, TrackOutcome};
use crate::error::{Code, Refused};
use crate::id::{LeaseNumber, RequestId};
use crate::sorted::Line;
use crate::time::Now;
use crate::topic::Name;
use crate::wire::Frame;
use crate::wire::envelope::encode_frame;
use crate::wire::frame::Tracking;

/// Questions without an answer, as they stand in their frames.
#[derive(Debug, Default)]
pub(super) struct Receipts {
    waiting: Line<RequestId, Vec<u8>>,
}

impl Receipts {
    pub fn drop_question(&mut self, request: RequestId) {
        self.waiting.remove(&request);
    }
}

impl Client {
    /// Asks for the first delivery of a tracked message, or with `processed` for its end. `Tracked`
    /// follows, or `Failed` with `NOT_FOUND` if it is not tracked or forgotten. `Progress` may come
    /// before it.
    ///
    /// # Errors
    /// As for every verb.
    pub fn track(
        &mut self,
        now: Now,
        queue: &str,
        id: &str,
        processed: bool,
    ) -> Result<RequestId, Refused> {
        self.start_verb(now)?;
        let request = self.begin_track(queue, id, processed);
        self.settle_forward();
        request
    }

    fn begin_track(
        &mut self,
        queue: &str,
        id: &str,
        processed: bool,
    ) -> Result<RequestId, Refused> {
        Name::parse(queue, &self.limits)?;
        if id.len() > self.limits.headers_bytes_max as usize {
            return Err(Refused::new(Code::TooLarge, "id"));
        }
        if self.receipts.waiting.len() >= self.limits.requests_max as usize {
            return Err(Refused::new(Code::Full, "requests_max"));
        }
        let request = self.requests.issue();
        let mut frame = Vec::new();
        encode_frame(&Frame::Track { request, queue, id, processed }, &mut frame);
        if let Some(writer) = self.link.writer() {
            writer.push_encoded(&frame);
        }
        self.receipts.waiting.insert(request, frame);
        Ok(request)
    }

    /// Tells the producer of a tracked message how far its handler is. Nobody keeps it: it is lost
    /// if there is no link, and nothing tells so.
    ///
    /// # Errors
    /// As for every verb, and `STALE_LEASE` if the lease is lost or settled.
    pub fn progress(&mut self, now: Now, lease: LeaseNumber, value: &[u8]) -> Result<(), Refused> {
        self.start_verb(now)?;
        let told = self.tell_progress(lease, value);
        self.settle_forward();
        told
    }

    fn tell_progress(&mut self, lease: LeaseNumber, value: &[u8]) -> Result<(), Refused> {
        self.check_body(value, None)?;
        if !self.consumers.holds(lease) {
            return Err(Code::StaleLease.into());
        }
        self.push(&Frame::Progress { lease, value });
        Ok(())
    }

    /// Asks again what has no answer.
    pub(super) fn ask_receipts_again(&mut self) {
        let Some(writer) = self.link.writer() else { return };
        for (_, frame) in self.receipts.waiting.iter() {
            writer.push_encoded(frame);
        }
    }

    pub(super) fn on_tracked(&mut self, request: RequestId, outcome: &Tracking<'_>) {
        if self.receipts.waiting.remove(&request).is_none() {
            return;
        }
        let outcome = match outcome {
            Tracking::Delivered => TrackOutcome::Delivered,
            Tracking::Processed { value } => {
                TrackOutcome::Processed { value: value.map(ToOwned::to_owned) }
            }
            Tracking::Failed { code, reason } => {
                let (code, reason) = (*code, reason.to_string());
                let maybe_executed = false;
                let event = Event::Failed { request, code, reason, maybe_executed };
                return self.events.push_back(event);
            }
        };
        self.events.push_back(Event::Tracked { request, outcome });
    }

    pub(super) fn on_progressed(&mut self, request: RequestId, value: &[u8]) {
        if self.receipts.waiting.contains_key(&request) {
            self.events.push_back(Event::Progress { request, value: value.to_owned() });
        }
    }

    /// The node refused the question; true if it was one of these.
    pub(super) fn refuse_receipt(&mut self, request: RequestId, code: Code, reason: &str) -> bool {
        let known = self.receipts.waiting.remove(&request).is_some();
        if known {
            let reason = reason.to_string();
            let event = Event::Failed { request, code, reason, maybe_executed: false };
            self.events.push_back(event);
        }
        known
    }

    pub(super) fn fail_receipts(&mut self, code: Code) {
        for (request, _) in core::mem::take(&mut self.receipts.waiting) {
            let Refused { code, reason } = Refused::from(code);
            let reason = reason.into();
            let event = Event::Failed { request, code, reason, maybe_executed: false };
            self.events.push_back(event);
        }
    }
}
