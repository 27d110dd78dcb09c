//! Requests of the user that wait for an answer: their numbers, their bounds, and `flush`.

use alloc::collections::VecDeque;

use crate::client::Client;
use crate::client::io::Event;
use crate::error::{Code, Refused};
use crate::id::RequestId;
use crate::limits::Limits;
use crate::sorted::Line;

/// What is asked for. Each kind has a bound of its own in number: whoever fills one can do the
/// others all the same, or what is full would never be emptied.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// Sends and live messages.
    Message,
    /// All else that waits for its turn behind what was asked for before.
    Question,
    Settlement,
}

/// One request without an answer.
#[derive(Clone, Copy, Debug)]
struct Pending {
    /// The user still wants to hear of it.
    wanted: bool,
    bytes: usize,
    kind: Kind,
}

/// The requests without an answer, and the memory they hold.
#[derive(Debug, Default)]
pub(super) struct Requests {
    last: u32,
    pending: Line<RequestId, Pending>,
    flushes: VecDeque<RequestId>,
    bytes: usize,
    /// How many there are of each kind.
    messages: usize,
    questions: usize,
    settlements: usize,
    /// Settlements, and replies to calls, have memory of their own, as much as all else.
    settlement_bytes: usize,
}

impl Requests {
    /// A number for a new request that holds `bytes` of memory until it is answered.
    pub fn begin(
        &mut self,
        kind: Kind,
        bytes: usize,
        limits: &Limits,
    ) -> Result<RequestId, Refused> {
        self.check_count(kind, limits)?;
        match kind {
            Kind::Settlement => self.reserve_reply(bytes, limits)?,
            Kind::Message | Kind::Question => self.reserve(bytes, limits)?,
        }
        *self.count(kind) += 1;
        let request = self.issue();
        self.pending.insert(request, Pending { wanted: true, bytes, kind });
        Ok(request)
    }

    const fn count(&mut self, kind: Kind) -> &mut usize {
        match kind {
            Kind::Message => &mut self.messages,
            Kind::Question => &mut self.questions,
            Kind::Settlement => &mut self.settlements,
        }
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

    fn check_count(&mut self, kind: Kind, limits: &Limits) -> Result<(), Refused> {
        let flushes = if kind == Kind::Question { self.flushes.len() } else { 0 };
        let count = *self.count(kind) + flushes;
        if count >= limits.requests_max as usize || self.last >= u32::MAX - 1 {
            return Err(Refused::new(Code::Full, "requests_max"));
        }
        Ok(())
    }

    /// Forgets an answered request; true if the user wants to hear of it.
    fn finish(&mut self, request: RequestId) -> bool {
        let Some(pending) = self.pending.remove(&request) else { return false };
        *self.count(pending.kind) -= 1;
        match pending.kind {
            Kind::Settlement => self.release_reply(pending.bytes),
            Kind::Message | Kind::Question => self.release(pending.bytes),
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
        self.requests.check_count(Kind::Question, &self.limits)?;
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
