//! The ends of a client: parked with its page, or closed.

use crate::client::Client;
use crate::client::io::Event;
use crate::client::link::Link;
use crate::error::{Code, Refused};
use crate::id::RequestId;
use crate::sorted::Set;
use crate::time::Now;
use crate::wire::Frame;

impl Client {
    /// No node will be reached any more: what has no answer fails with this code.
    pub fn end(&mut self, now: Now, code: Code) {
        self.begin(now);
        self.finish(code);
    }

    pub(super) fn is_parked(&self) -> bool {
        matches!(self.link, Link::Parked)
    }

    pub(super) fn begin_close(&mut self, drain: bool) {
        if matches!(self.link, Link::Closed) {
            return;
        }
        if drain {
            let deadline = self.now.mono.after_ms(self.limits.verb_timeout_ms);
            self.closing.get_or_insert(deadline);
        } else {
            self.finish(Code::Closed);
        }
    }

    /// Ends a draining client once everything is answered or its time is over.
    pub(super) fn finish_if_drained(&mut self) {
        let Some(deadline) = self.closing else { return };
        let drained =
            self.requests.is_empty() && self.calls.is_empty() && !self.services.is_waiting();
        if drained || deadline <= self.now.mono {
            self.finish(Code::Closed);
        }
    }

    /// The client is over. What has no answer fails.
    pub(super) fn finish(&mut self, code: Code) {
        if matches!(self.link, Link::Closed) {
            return;
        }
        self.say_last(&Frame::Goodbye { park: false });
        self.link = Link::Closed;
        self.closing = None;
        while let Some(request) = self.requests.take_flush() {
            let refused = Refused::from(code);
            let event = Event::Failed {
                request,
                code: refused.code,
                reason: refused.reason.into(),
                maybe_executed: false,
            };
            self.events.push_back(event);
        }
        let undecided = self.consumers.undecided();
        let mut pending: Set<(RequestId, bool)> = self.drain_sends(code).into_iter().collect();
        pending.extend(self.publishing.drain());
        pending.extend(self.consumers.drain());
        for (request, maybe_executed) in pending {
            self.fail(request, code.into(), maybe_executed);
        }
        self.events.extend(undecided.into_iter().map(|lease| Event::LeaseLost { lease }));
        self.fail_receipts(code);
        self.end_calls(code, true);
        self.cancel_dispatches();
        self.depose_all();
        self.awaited.clear();
        self.events.push_back(Event::Closed { code });
    }

    pub(super) fn begin_park(&mut self) {
        if matches!(self.link, Link::Parked | Link::Closed) {
            return;
        }
        self.say_last(&Frame::Goodbye { park: true });
        if self.link.is_open() {
            self.events.push_back(Event::Lost);
        }
        self.link = Link::Parked;
        self.keep_all();
        self.forget_link();
        self.drop_undecided_leases();
        self.end_calls(Code::Unavailable, false);
        self.give_up_dispatches();
        self.depose_all();
    }

    pub(super) fn end_park(&mut self) {
        if self.is_parked() {
            self.link = Link::dialing(self.now.mono);
        }
    }
}
