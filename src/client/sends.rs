//! Declarations, inspections and sends: transmitted in the order they were asked for, kept until
//! they are answered, transmitted again on the next link.
//!
//! A send gets its number in the lane when it is first transmitted. So one that has a number may
//! be stored, and one that has none is not.

use alloc::borrow::ToOwned;
use alloc::collections::VecDeque;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::cbor;
use crate::client::Client;
use crate::client::io::Event;
use crate::client::keeping::Kept;
use crate::error::{Code, Refused};
use crate::id::{LaneId, RequestId, Sequence};
use crate::marks::{Mark, mark};
use crate::options::{Durability, QueueOptions};
use crate::rules::Rules;
use crate::sorted::Line;
use crate::time::Instant;
use crate::topic::Name;
use crate::wire::encoded::{EncodedSend, encode_items};
use crate::wire::envelope::encode_frame;
use crate::wire::frame::{Duplicate, Item, QueueCounts, Welcome};
use crate::wire::{Frame, MessageWriter};

/// What a Send frame has beside its items, at most, and a queue's name.
const SEND_HEAD_BYTES: usize = 512;
/// Why it is not known whether what was sent took place.
pub(super) const LANE_LOST: &str = "lane_lost";

/// A send without an answer.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub what: What,
    pub durability: Option<Durability>,
    /// The refusals that the user could know of when it asked for this send.
    refusals_seen: Sequence,
    pub sequence: Option<Sequence>,
    told: Told,
    pub put_at: Instant,
    pub kept: Kept,
    /// Nobody waits for it: it was taken up.
    pub orphan: bool,
    /// A later one of the same subject supersedes it.
    pub subject: Option<String>,
}

impl Outgoing {
    pub fn new(what: What, durability: Option<Durability>, put_at: Instant) -> Self {
        Self {
            what,
            durability,
            refusals_seen: Sequence(0),
            sequence: None,
            told: Told::default(),
            put_at,
            kept: Kept::No,
            orphan: false,
            subject: None,
        }
    }
}

/// What the node said of a send before the `Sent` that covers it. The user hears of it then: sends
/// end in their order, whatever comes of each.
#[derive(Debug, Default)]
struct Told {
    refused: Option<(Code, String)>,
    duplicates: Vec<Duplicate>,
}

/// What is stored, encoded as it stands in its frame.
#[derive(Debug)]
pub(super) enum What {
    Send { queue: String, items: Vec<u8> },
    Commit { writes: Vec<u8>, acks: Vec<u8> },
    Schedule { queue: String, scheduling: Vec<u8> },
}

impl What {
    pub fn bytes(&self) -> usize {
        match self {
            Self::Send { items, .. } => items.len(),
            Self::Commit { writes, acks } => writes.len() + acks.len(),
            Self::Schedule { scheduling, .. } => scheduling.len(),
        }
    }
}

#[derive(Debug)]
pub(super) enum Entry {
    /// An encoded question about a queue, or something to do to it.
    Question(Vec<u8>),
    Send(Outgoing),
}

/// What goes to the node in the order of the user.
#[derive(Debug)]
pub(super) struct Outbox {
    pub entries: Line<RequestId, Entry>,
    /// The first that was not transmitted on this link, and on any link.
    link_next: RequestId,
    pub never_next: RequestId,
    /// Sends with a number, in its order.
    pub numbered: VecDeque<(Sequence, RequestId)>,
    /// Bytes of sends that were transmitted on this link and have no answer.
    window_bytes: usize,
    pub lane: LaneId,
    /// The last number given.
    pub last: Sequence,
    /// Every send up to here was confirmed to this client.
    pub confirmed: Sequence,
    refusals_seen: Sequence,
}

impl Outbox {
    pub fn new(lane: LaneId, last: Sequence) -> Self {
        Self {
            entries: Line::new(),
            link_next: RequestId(0),
            never_next: RequestId(0),
            numbered: VecDeque::new(),
            window_bytes: 0,
            lane,
            last,
            confirmed: Sequence(0),
            refusals_seen: Sequence(0),
        }
    }

    /// The lowest number without an answer, or the next to be given.
    pub fn floor(&self) -> Sequence {
        self.numbered.front().map_or(self.last.next(), |(sequence, _)| *sequence)
    }

    /// Goes on with the lane from the first entry. Without `again` from the first that was never
    /// transmitted.
    fn rewind(&mut self, again: bool) {
        if again && !self.numbered.is_empty() {
            mark(Mark::Resent);
        }
        self.link_next = if again { RequestId(0) } else { self.never_next };
        self.window_bytes = 0;
    }

    /// Starts on another lane. Gives the sends whose fate on the old one is not known.
    pub fn change_lane(&mut self, lane: LaneId, position: Sequence) -> Vec<RequestId> {
        let in_doubt = self.numbered.drain(..).map(|(_, request)| request).collect();
        self.lane = lane;
        self.last = position;
        self.confirmed = Sequence(0);
        self.refusals_seen = Sequence(0);
        self.entries.for_each_mut(|_, entry| {
            if let Entry::Send(send) = entry {
                send.refusals_seen = Sequence(0);
            }
        });
        in_doubt
    }

    /// Transmits what was not yet on this link, while unanswered bodies stay below
    /// `window_bytes_max`. Stops at a send whose number has to be written down first, and gives it.
    fn pump(
        &mut self,
        writer: &mut MessageWriter,
        window_bytes_max: usize,
        rules: Rules,
    ) -> Option<RequestId> {
        let waits = |send: &Outgoing| rules.number_before_transmit() && !send.kept.may_transmit();
        while let Some((request, entry)) = self.entries.next_mut(&self.link_next) {
            match entry {
                Entry::Question(frame) => writer.push_encoded(frame),
                Entry::Send(send) if waits(send) => return Some(*request),
                Entry::Send(send) => {
                    let bytes = self.window_bytes + send.what.bytes();
                    if self.window_bytes > 0 && bytes > window_bytes_max {
                        break;
                    }
                    self.window_bytes = bytes;
                    let sequence = *send.sequence.get_or_insert_with(|| {
                        self.last = self.last.next();
                        self.numbered.push_back((self.last, *request));
                        self.last
                    });
                    write_send(writer, send, sequence);
                }
            }
            self.link_next = RequestId(request.0 + 1);
            self.never_next = self.never_next.max(self.link_next);
        }
        None
    }

    pub fn take(&mut self, request: RequestId) -> Option<Entry> {
        let entry = self.entries.remove(&request)?;
        if let Entry::Send(send) = &entry
            && request < self.link_next
        {
            self.window_bytes = self.window_bytes.saturating_sub(send.what.bytes());
        }
        Some(entry)
    }

    /// The first numbered send, if it was transmitted on this link and is at or below `position`.
    fn take_confirmed(&mut self, position: Sequence) -> Option<(Sequence, RequestId, Outgoing)> {
        let (sequence, request) = *self.numbered.front()?;
        if sequence > position || request >= self.link_next {
            return None;
        }
        self.numbered.pop_front();
        let Some(Entry::Send(send)) = self.take(request) else { return None };
        let Told { refused, duplicates } = &send.told;
        if refused.is_some() || !duplicates.is_empty() {
            self.refusals_seen = self.refusals_seen.max(sequence);
        }
        Some((sequence, request, send))
    }

    /// What goes out again is decided anew: an earlier node may have refused what it had no room
    /// to write down as refused.
    fn forget_answers_after(&mut self, position: Sequence) {
        for (sequence, _) in self.numbered.clone().iter().filter(|(at, _)| *at > position) {
            self.told(*sequence).map(core::mem::take);
        }
    }

    /// Every send without an answer; nothing is left of the lane.
    pub fn take_sends(&mut self) -> Vec<(RequestId, Outgoing)> {
        let requests: Vec<RequestId> = self.entries.keys().copied().collect();
        self.numbered.clear();
        self.change_lane(LaneId(0), Sequence(0));
        let mut sends = Vec::new();
        for request in requests {
            if matches!(self.entries.get(&request), Some(Entry::Send(_)))
                && let Some(Entry::Send(send)) = self.take(request)
            {
                sends.push((request, send));
            }
        }
        sends
    }

    /// What was said of the send with this number.
    fn told(&mut self, sequence: Sequence) -> Option<&mut Told> {
        let place =
            self.numbered.binary_search_by_key(&sequence, |(sequence, _)| *sequence).ok()?;
        let (_, request) = *self.numbered.get(place)?;
        match self.entries.get_mut(&request)? {
            Entry::Send(send) => Some(&mut send.told),
            Entry::Question(_) => None,
        }
    }

    /// Everything without an answer, and whether it may have happened.
    fn drain(&mut self) -> Vec<(RequestId, bool, Entry)> {
        self.numbered.clear();
        let never_next = self.never_next;
        let entries = core::mem::take(&mut self.entries);
        entries.into_iter().map(|(request, entry)| (request, request < never_next, entry)).collect()
    }
}

fn write_send(writer: &mut MessageWriter, send: &Outgoing, sequence: Sequence) {
    // All was encoded by this client.
    let Outgoing { refusals_seen, durability, .. } = *send;
    match &send.what {
        What::Send { queue, items } => {
            writer.push(&EncodedSend { sequence, queue, refusals_seen, durability, items });
        }
        What::Commit { writes, acks } => {
            let writes = cbor::decode(writes).unwrap_or_default();
            let acks = cbor::decode(acks).unwrap_or_default();
            writer.push(&Frame::Commit { sequence, refusals_seen, durability, writes, acks });
        }
        What::Schedule { queue, scheduling } => {
            let Ok(scheduling) = cbor::decode(scheduling) else { return };
            let frame = Frame::Schedule { sequence, queue, refusals_seen, durability, scheduling };
            writer.push(&frame);
        }
    }
}

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
        let request = self.requests.begin(0, &self.limits)?;
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
        self.requests.begin(bytes, &self.limits)
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
        let Some(writer) = self.link.writer() else { return };
        let waits = self.outbox.pump(writer, self.limits.link_bytes_max as usize, self.rules);
        for request in waits.map(|first| self.outbox.number_kept(first)).unwrap_or_default() {
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
