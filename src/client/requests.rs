//! Requests of the user that wait for an answer: their numbers, their bounds, and `flush`.

use alloc::collections::VecDeque;

use crate::client::Client;
use crate::client::io::Event;
use crate::error::{Code, Refused};
use crate::id::RequestId;
use crate::limits::Limits;
use crate::sorted::Line;

/// One request without an answer.
#[derive(Clone, Copy, Debug)]
struct Pending {
    /// The user still wants to hear of it.
    wanted: bool,
    bytes: usize,
    settles: bool,
}

/// The requests without an answer, and the memory they hold.
#[derive(Debug, Default)]
pub(super) struct Requests {
    last: u32,
    pending: Line<RequestId, Pending>,
    flushes: VecDeque<RequestId>,
    bytes: usize,
    /// Settlements, and replies to calls, have bounds of their own, as high as those of all else: a
    /// client whose sends are at theirs has to be able to settle, or nothing would ever move.
    settlements: usize,
    settlement_bytes: usize,
}

impl Requests {
    /// A number for a new request that holds `bytes` of memory until it is answered.
    pub fn begin(&mut self, bytes: usize, limits: &Limits) -> Result<RequestId, Refused> {
        self.check_count(limits)?;
        self.reserve(bytes, limits)?;
        let request = self.issue();
        self.pending.insert(request, Pending { wanted: true, bytes, settles: false });
        Ok(request)
    }

    /// As `begin`, for a settlement.
    pub fn begin_settlement(
        &mut self,
        bytes: usize,
        limits: &Limits,
    ) -> Result<RequestId, Refused> {
        if self.settlements >= limits.requests_max as usize || self.last >= u32::MAX - 1 {
            return Err(Refused::new(Code::Full, "requests_max"));
        }
        self.reserve_reply(bytes, limits)?;
        self.settlements += 1;
        let request = self.issue();
        self.pending.insert(request, Pending { wanted: true, bytes, settles: true });
        Ok(request)
    }

    /// A number for a request that is answered at once.
    pub fn issue(&mut self) -> RequestId {
        self.last = self.last.saturating_add(1);
        RequestId(self.last)
    }

    /// Counts memory that other parts hold under the same bound.
    pub fn reserve(&mut self, bytes: usize, limits: &Limits) -> Result<(), Refused> {
        if self.bytes.saturating_add(bytes) > limits.request_bytes_max as usize {
            return Err(Refused::new(Code::Full, "request_bytes_max"));
        }
        self.bytes += bytes;
        Ok(())
    }

    /// Counts the memory of a reply under the bound of settlements.
    pub fn reserve_reply(&mut self, bytes: usize, limits: &Limits) -> Result<(), Refused> {
        if self.settlement_bytes.saturating_add(bytes) > limits.request_bytes_max as usize {
            return Err(Refused::new(Code::Full, "request_bytes_max"));
        }
        self.settlement_bytes += bytes;
        Ok(())
    }

    pub const fn reserve_reply_anyway(&mut self, bytes: usize) {
        self.settlement_bytes = self.settlement_bytes.saturating_add(bytes);
    }

    pub const fn release_reply(&mut self, bytes: usize) {
        self.settlement_bytes = self.settlement_bytes.saturating_sub(bytes);
    }

    pub fn release(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    fn check_count(&self, limits: &Limits) -> Result<(), Refused> {
        let count = self.pending.len() - self.settlements + self.flushes.len();
        if count >= limits.requests_max as usize || self.last >= u32::MAX - 1 {
            return Err(Refused::new(Code::Full, "requests_max"));
        }
        Ok(())
    }

    /// Forgets an answered request; true if the user wants to hear of it.
    fn finish(&mut self, request: RequestId) -> bool {
        let Some(pending) = self.pending.remove(&request) else { return false };
        if pending.settles {
            self.settlements -= 1;
            self.release_reply(pending.bytes);
        } else {
            self.release(pending.bytes);
        }
        pending.wanted
    }

    /// A flush that has nothing left to wait for.
    fn take_flushed(&mut self) -> Option<RequestId> {
        let flush = *self.flushes.front()?;
        let oldest = self.pending.keys().next();
        if oldest.is_some_and(|oldest| *oldest < flush) {
            return None;
        }
        self.flushes.pop_front()
    }

    pub fn take_flush(&mut self) -> Option<RequestId> {
        self.flushes.pop_front()
    }

    /// The user still waits for the answer.
    pub fn is_wanted(&self, request: RequestId) -> bool {
        self.pending.get(&request).is_some_and(|pending| pending.wanted)
    }

    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }
}

impl Client {
    /// Ends a request with its answer.
    pub(super) fn answer(&mut self, request: RequestId, event: Event) {
        if self.requests.finish(request) {
            self.events.push_back(event);
        }
        while let Some(request) = self.requests.take_flushed() {
            self.events.push_back(Event::Flushed { request });
        }
    }

    pub(super) fn fail(&mut self, request: RequestId, refused: Refused, maybe_executed: bool) {
        let Refused { code, reason } = refused;
        let event = Event::Failed { request, code, reason: reason.into(), maybe_executed };
        self.answer(request, event);
    }

    /// Ends a request without a word.
    pub(super) fn drop_request(&mut self, request: RequestId) {
        self.silence_request(request);
        self.answer(request, Event::Settled { request });
    }

    pub(super) fn begin_flush(&mut self) -> Result<RequestId, Refused> {
        self.requests.check_count(&self.limits)?;
        let flush = self.requests.issue();
        self.requests.flushes.push_back(flush);
        while let Some(request) = self.requests.take_flushed() {
            self.events.push_back(Event::Flushed { request });
        }
        Ok(flush)
    }

    pub(super) fn silence_request(&mut self, request: RequestId) {
        if let Some(pending) = self.requests.pending.get_mut(&request) {
            pending.wanted = false;
        }
        self.receipts.drop_question(request);
        self.requests.flushes.retain(|flush| *flush != request);
    }
}
