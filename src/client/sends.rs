//! Declarations, inspections and sends: transmitted in the order they were asked for, kept until
//! they are answered, transmitted again on the next link.
//!
//! A send gets its number in the lane when it is first transmitted. So one that has a number may
//! be stored, and one that has none is not.

use alloc::borrow::ToOwned;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::client::Client;
use crate::client::io::Event;
use crate::client::keeping::Kept;
use crate::client::outbox::{Entry, Outgoing, Told, What};
use crate::client::requests::Kind;
use crate::error::{Code, Refused};
use crate::id::{RequestId, Sequence};
use crate::options::{Durability, QueueOptions};
use crate::topic::Name;
use crate::wire::Frame;
use crate::wire::encoded::encode_items;
use crate::wire::envelope::encode_frame;
use crate::wire::frame::{Duplicate, Item, QueueCounts, Welcome};

/// What a Send frame has beside its items, at most, and a queue's name.
const SEND_HEAD_BYTES: usize = 512;
/// Why it is not known whether what was sent took place.
pub(super) const LANE_LOST: &str = "lane_lost";

impl Client {
    pub(super) fn begin_declare(
        &mut self,
        queue: &str,
        options: QueueOptions,
    ) -> Result<RequestId, Refused> {
        Name::parse(queue, &self.limits)?;
        self.ask(|request| Frame::Declare { request, queue, options })
    }

    pub(super) fn begin_inspect(&mut self, queue: &str) -> Result<RequestId, Refused> {
        Name::parse(queue, &self.limits)?;
        self.ask(|request| Frame::Inspect { request, queue })
    }

    pub(super) fn ask<'a>(
        &mut self,
        frame: impl FnOnce(RequestId) -> Frame<'a>,
    ) -> Result<RequestId, Refused> {
        let request = self.requests.begin(Kind::Question, 0, &self.limits)?;
        let mut encoded = Vec::new();
        encode_frame(&frame(request), &mut encoded);
        self.outbox.entries.insert(request, Entry::Question(encoded));
        self.pump();
        Ok(request)
    }

    pub(super) fn begin_send(
        &mut self,
        queue: &str,
        items: &[Item<'_>],
        durability: Option<Durability>,
    ) -> Result<RequestId, Refused> {
        self.check_items(queue, items)?;
        let items = encode_items(items);
        self.put_out(What::Send { queue: queue.to_owned(), items }, durability)
    }

    /// Whether the items may be sent to a queue of that name.
    pub(super) fn check_items(&self, queue: &str, items: &[Item<'_>]) -> Result<(), Refused> {
        Name::parse(queue, &self.limits)?;
        if items.is_empty() {
            return Err(Refused::new(Code::Invalid, "items"));
        }
        if items.len() > self.limits.batch_items_max as usize {
            return Err(Refused::new(Code::TooLarge, "batch_items_max"));
        }
        items.iter().try_for_each(|item| self.check_body(item.body, item.properties))
    }

    /// Transmits it when its turn comes, under the next number of the lane.
    pub(super) fn put_out(
        &mut self,
        what: What,
        durability: Option<Durability>,
    ) -> Result<RequestId, Refused> {
        let request = self.begin_put_out(&what)?;
        let send = Outgoing {
            refusals_seen: self.outbox.refusals_seen,
            ..Outgoing::new(what, durability, self.now.mono)
        };
        self.outbox.entries.insert(request, Entry::Send(send));
        self.pump();
        Ok(request)
    }

    pub(super) fn begin_put_out(&mut self, what: &What) -> Result<RequestId, Refused> {
        let bytes = what.bytes();
        if bytes + SEND_HEAD_BYTES > self.limits.link_bytes_max as usize {
            return Err(Refused::new(Code::TooLarge, "link_bytes_max"));
        }
        self.requests.begin(Kind::Message, bytes, &self.limits)
    }

    pub(super) fn check_body(&self, body: &[u8], properties: Option<&[u8]>) -> Result<(), Refused> {
        if body.len() > self.body_bytes_max() {
            return Err(Refused::new(Code::TooLarge, "body_bytes_max"));
        }
        if properties.map_or(0, <[u8]>::len) > self.limits.headers_bytes_max as usize {
            return Err(Refused::new(Code::TooLarge, "headers_bytes_max"));
        }
        Ok(())
    }

    pub(super) fn pump(&mut self) {
        let window_bytes_max = self.limits.window_bytes_max as usize;
        let window = Some(window_bytes_max).filter(|_| !self.is_held());
        let Some(writer) = self.link.writer() else { return };
        let waits = self.outbox.pump(writer, window, self.rules);
        let number = |first| self.outbox.number_kept(first, window_bytes_max);
        for request in waits.map(number).unwrap_or_default() {
            self.tell_keep(request);
        }
    }

    /// Goes on with the lane the node gave, and transmits again what has no answer.
    pub(super) fn resume_sends(&mut self, welcome: &Welcome) {
        self.outbox.rewind(self.rules.resend_after_resume());
        if welcome.resumed {
            self.outbox.last = self.outbox.last.max(welcome.position);
            self.outbox.forget_answers_after(welcome.position);
        } else {
            let confirmed = self.outbox.confirmed;
            if welcome.rolled_back {
                let position = welcome.kept.unwrap_or_default();
                self.events.push_back(Event::RolledBack { confirmed, position });
            }
            self.change_lane(welcome.lane, welcome.position);
        }
        self.pump();
    }

    pub(super) fn end_without_lane(&mut self, request: RequestId, mut send: Outgoing) {
        if let Some(refused) = send.told.refused.take() {
            self.end_kept(request, &send, Some(refused.clone()), false);
            return self.refuse_request(request, refused);
        }
        let lost = Refused::new(Code::Unavailable, LANE_LOST);
        self.end_kept(request, &send, Some((lost.code, lost.reason.to_string())), true);
        self.commit_refused(request, lost.code);
        self.fail(request, lost, true);
    }

    /// The client is over: everything that was asked for in order ends, and whether it may have
    /// happened all the same. What nobody waits for stays with whoever wrote it down.
    pub(super) fn drain_sends(&mut self, code: Code) -> Vec<(RequestId, bool)> {
        let mut ended = Vec::new();
        for (request, transmitted, entry) in self.outbox.drain() {
            let mut maybe_executed = transmitted;
            if let Entry::Send(send) = &entry {
                maybe_executed |= send.kept != Kept::No;
                if self.requests.is_wanted(request) {
                    self.end_kept(request, send, Some((code, String::new())), true);
                }
            }
            ended.push((request, maybe_executed));
        }
        ended
    }

    /// Answers every send up to `position` that is out on this link. False if the node confirms
    /// what was never sent.
    pub(super) fn on_sent(&mut self, position: Sequence) -> bool {
        if position > self.outbox.last {
            return false;
        }
        let lane = self.outbox.lane;
        while let Some((sequence, request, mut send)) = self.outbox.take_confirmed(position) {
            let Told { refused, duplicates } = core::mem::take(&mut send.told);
            self.confirmed_after(send.put_at);
            self.end_kept(request, &send, refused.clone(), false);
            match refused {
                // A full disk has no record of it, so it can't be told from a send that was lost.
                Some(refused) => self.refuse_request(request, refused),
                None => {
                    self.outbox.confirmed = self.outbox.confirmed.max(sequence);
                    self.commit_stored(request);
                    self.answer(request, Event::Sent { request, lane, sequence, duplicates });
                }
            }
        }
        self.pump();
        true
    }

    fn refuse_request(&mut self, request: RequestId, (code, reason): (Code, String)) {
        self.commit_refused(request, code);
        self.answer(request, Event::Failed { request, code, reason, maybe_executed: false });
    }

    pub(super) fn on_send_refused(&mut self, sequence: Sequence, code: Code, reason: &str) -> bool {
        if let Some(told) = self.outbox.told(sequence) {
            told.refused = Some((code, reason.to_string()));
        }
        sequence <= self.outbox.last
    }

    /// False if the node speaks of what was never sent.
    pub(super) fn on_duplicates(&mut self, sequence: Sequence, items: Vec<Duplicate>) -> bool {
        if let Some(told) = self.outbox.told(sequence) {
            told.duplicates = items;
        }
        sequence <= self.outbox.last
    }

    pub(super) fn on_queue_state(
        &mut self,
        request: RequestId,
        state: QueueCounts,
        policy: Option<&str>,
    ) {
        if self.take_question(request) {
            let policy = policy.map(String::from);
            self.answer(request, Event::QueueState { request, state, policy });
        }
    }

    pub(super) fn on_request_refused(&mut self, request: RequestId, code: Code, reason: &str) {
        if self.refuse_receipt(request, code, reason) {
            return;
        }
        if self.take_question(request) {
            self.redrive_answered(request);
            let reason = reason.to_string();
            let event = Event::Failed { request, code, reason, maybe_executed: false };
            self.answer(request, event);
        }
    }

    pub(super) fn take_question(&mut self, request: RequestId) -> bool {
        let asked = matches!(self.outbox.entries.get(&request), Some(Entry::Question(_)));
        asked && self.outbox.take(request).is_some()
    }
}
