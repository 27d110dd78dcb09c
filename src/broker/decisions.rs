//! Decisions about prepared messages: by whoever asks for one, by a client that is asked about one
//! for which nobody decided, and in the end by the node, which tells so.
//!
//! Times between two questions are running time, as those of leases are: after a start each message
//! has its whole time again. The age of a message is by the wall clock; one that grew too old while
//! no node ran has the time until its first question left, so that who was away can still decide.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use crate::broker::Broker;
use crate::broker::deadline::Deadlines;
use crate::broker::dedupe;
use crate::cbor::Write;
use crate::error::{Code, Refused};
use crate::id::{CheckerId, ChunkNumber, ClientId, ConnId, MessageNumber, QueueId, RequestId};
use crate::log::Record;
use crate::log::record::{Decision, StoredMessage};
use crate::marks::{Mark, mark};
use crate::options::{Durability, Overflow};
use crate::sorted::{Map, Set};
use crate::time::{Instant, Now};
use crate::topic::Name;
use crate::wire::Frame;
use crate::wire::envelope::encode_frame;
use crate::wire::frame::{Item, Prepare, QueueMessage, QueuePlace};

/// A `Decide` frame, taken apart.
#[derive(Clone, Copy, Debug)]
struct Deciding<'a> {
    queue: &'a str,
    id: &'a str,
    commit: bool,
    durability: Option<Durability>,
}

/// Who may be asked about prepared messages, and when that is due.
#[derive(Debug, Default)]
pub struct Questions {
    pub(super) checkers: Map<(ClientId, CheckerId), String>,
    pub(super) due: Deadlines<MessageNumber, Instant>,
    /// Those that were due when nobody could be asked.
    pub(super) unasked: Set<MessageNumber>,
    /// Those that were due and have to be read first.
    pub(super) unread: Map<ChunkNumber, Set<MessageNumber>>,
}

impl Questions {
    pub fn wake_at(&self) -> Option<Instant> {
        self.due.first()
    }

    /// The queues about which a client may be asked.
    pub fn of_client(&self, client: ClientId) -> Vec<(CheckerId, String)> {
        let own = self.checkers.iter().filter(|((checker, _), _)| *checker == client);
        own.map(|((_, id), queue)| (*id, queue.clone())).collect()
    }

    pub fn drop_checker(&mut self, client: ClientId, checker: CheckerId) {
        self.checkers.remove(&(client, checker));
    }

    /// The client is not to be asked any more, or says anew about what.
    pub fn drop_client(&mut self, client: ClientId) {
        self.checkers.retain(|(checker, _), _| *checker != client);
    }

    fn drop_message(&mut self, number: MessageNumber) {
        self.due.remove(number);
        self.unasked.remove(&number);
    }

    /// A chunk was read back.
    pub fn chunk_loaded(&mut self, now: Instant, chunk: ChunkNumber) {
        for number in self.unread.remove(&chunk).unwrap_or_default() {
            self.due.set(number, now);
        }
    }
}

impl Broker {
    /// Goes on with what an earlier node had.
    pub(super) fn resume_questions(&mut self, now: Now) {
        for (number, prepared) in self.state.prepared.iter() {
            let wait_ms = prepared.check_after_ms.unwrap_or(self.limits.prepared_check_after_ms);
            self.questions.due.set(number, now.mono.after_ms(wait_ms));
        }
    }

    /// Whether a queue that refuses nothing for lack of room has room for what is to be prepared:
    /// what nobody decided about can't make room.
    pub(super) fn admit_prepared(&self, id: QueueId, items: &[Item<'_>]) -> Result<(), Refused> {
        let Some(queue) = self.state.queues.get(&id) else { return Ok(()) };
        let settings = &queue.settings;
        if settings.overflow == Overflow::Reject {
            return Ok(());
        }
        let (mut messages, mut bytes) = queue.prepared();
        let before = messages;
        for item in items.iter().filter(|item| item.prepare.is_some()) {
            messages += 1;
            bytes += item.body.len() as u64;
        }
        if messages > before && messages > settings.messages_max {
            return Err(Refused::new(Code::Full, "messages_max"));
        }
        if messages > before && bytes > settings.bytes_max {
            return Err(Refused::new(Code::Full, "bytes_max"));
        }
        Ok(())
    }

    /// The prepared message that has the id of this one.
    pub(super) fn prepared_before(&self, queue: QueueId, item: &Item<'_>) -> Option<MessageNumber> {
        self.state.prepared.find(queue, dedupe::id_of(item.properties)?)
    }

    pub(super) fn prepare(&mut self, now: Now, message: StoredMessage<'_>, prepare: Prepare) {
        let (number, check_after_ms) = (message.number, prepare.check_after_ms);
        self.commit(&Record::Prepared { message, check_after_ms });
        self.await_decision(now, number);
    }

    /// Sets when the message is asked about next, or is too old.
    fn await_decision(&mut self, now: Now, number: MessageNumber) {
        let Some(prepared) = self.state.prepared.get(number) else { return };
        let check_after_ms = prepared.check_after_ms.unwrap_or(self.limits.prepared_check_after_ms);
        let age_ms = now.unix.0.saturating_sub(prepared.prepared_at.0);
        let left_ms = self.limits.prepared_age_ms_max.saturating_sub(age_ms);
        self.questions.due.set(number, now.mono.after_ms(check_after_ms.min(left_ms).max(1)));
    }

    pub(super) fn on_decision_frame(
        &mut self,
        now: Now,
        conn: ConnId,
        client: ClientId,
        frame: &Frame<'_>,
    ) {
        match *frame {
            Frame::Decide { request, queue, id, commit, durability } => {
                self.on_decide(now, conn, request, Deciding { queue, id, commit, durability });
            }
            Frame::Checker { checker, queue } => self.on_checker(now, conn, client, checker, queue),
            _ => {}
        }
    }

    fn on_decide(&mut self, now: Now, conn: ConnId, request: RequestId, deciding: Deciding<'_>) {
        match self.judge(now, deciding) {
            Ok(repeated) => self.gated(conn, &Frame::Counted { request, count: repeated.0 }),
            Err(refused) => self.answer_refused(conn, request, refused),
        }
    }

    fn judge(&mut self, now: Now, deciding: Deciding<'_>) -> Result<MessageNumber, Refused> {
        let Deciding { queue, id, commit, durability } = deciding;
        let queue = self.state.queue_named(queue).ok_or(Refused::from(Code::NotFound))?;
        let Some(number) = self.state.prepared.find(queue, id) else {
            let decided = self.state.prepared.decision(queue, id);
            return decided.ok_or(Refused::from(Code::NotFound))?.answer(commit);
        };
        if self.is_out_of_room() {
            return Err(Refused::new(Code::Storage, "quota"));
        }
        if durability.is_some_and(|wanted| wanted > self.storage.durability_max) {
            return Err(Refused::new(Code::Unsupported, "durability"));
        }
        let declared = self.state.queues.get(&queue).and_then(|queue| queue.options.durability);
        if durability.or(declared) == Some(Durability::Strict) {
            self.log.require_strict();
        }
        let prepared = self.state.prepared.get(number);
        let decision = match prepared.and_then(|prepared| self.original_of(now, prepared)) {
            _ if !commit => Decision::RolledBack,
            Some(original) => Decision::Repeated { original },
            None => Decision::Committed { number: self.next_message() },
        };
        self.decide(now, queue, number, decision);
        decision.answer(commit)
    }

    fn decide(&mut self, now: Now, queue: QueueId, number: MessageNumber, decision: Decision) {
        self.questions.drop_message(number);
        self.commit(&Record::Decided { queue, number, id: None, decision, at: now.unix });
        if let Decision::Committed { number } = decision {
            self.trace_sent(queue, number);
            self.make_room(queue);
            self.dirty_queues.insert(queue);
            self.watch_delayed(queue);
        }
    }

    /// The client may be asked about the queue, or no more.
    fn on_checker(
        &mut self,
        now: Now,
        conn: ConnId,
        client: ClientId,
        checker: CheckerId,
        queue: Option<&str>,
    ) {
        let Some(name) = queue else {
            return self.questions.drop_checker(client, checker);
        };
        let refused = self.judge_checker(client, checker, name).err().map(|refused| refused.code);
        if refused.is_none() {
            self.questions.checkers.insert((client, checker), name.to_owned());
            self.ask_the_unasked(now, name);
        }
        self.gated(conn, &Frame::Check { checker, message: None, refused });
    }

    fn judge_checker(
        &self,
        client: ClientId,
        checker: CheckerId,
        name: &str,
    ) -> Result<(), Refused> {
        Name::parse(name, &self.limits)?;
        let all = self.questions.checkers.keys();
        let own = all.filter(|(owner, id)| *owner == client && *id != checker);
        if own.count() >= self.limits.handles_max as usize {
            return Err(Refused::new(Code::Full, "handles_max"));
        }
        Ok(())
    }

    /// Somebody came who can be asked about the queue.
    fn ask_the_unasked(&mut self, now: Now, name: &str) {
        let Some(queue) = self.state.queue_named(name) else { return };
        let prepared = &self.state.prepared;
        let of_queue = |number: &MessageNumber| {
            prepared.get(*number).is_some_and(|prepared| prepared.queue == queue)
        };
        for number in self.questions.unasked.iter().copied().filter(of_queue) {
            self.questions.due.set(number, now.mono);
        }
    }

    /// Asks about what nobody decided about, and rolls back what that did not help.
    pub(super) fn ask_questions(&mut self, now: Now) {
        if self.settling.is_some() {
            return;
        }
        while let Some(number) = self.questions.due.pop_due(now.mono) {
            if self.is_out_of_room() {
                self.await_decision(now, number);
                continue;
            }
            self.log.begin_batch();
            self.ask_question(now, number);
            self.log.end_batch();
        }
    }

    fn ask_question(&mut self, now: Now, number: MessageNumber) {
        let Some(prepared) = self.state.prepared.get(number) else {
            // It went with its queue.
            return self.questions.drop_message(number);
        };
        let (queue, place) = (prepared.queue, prepared.entry.place);
        if now.unix.0.saturating_sub(prepared.prepared_at.0) >= self.limits.prepared_age_ms_max {
            return self.give_up(now, queue, number, Decision::TooOld);
        }
        if prepared.checks >= self.limits.prepared_checks_max {
            return self.give_up(now, queue, number, Decision::Unanswered);
        }
        let Some((conn, checker)) = self.somebody(queue, number, prepared.checks) else {
            mark(Mark::NobodyToAsk);
            self.questions.unasked.insert(number);
            return self.await_decision(now, number);
        };
        let mut encoded = Vec::new();
        let Some(message) = self.question(number) else {
            self.log.load(place.chunk);
            self.questions.unread.get_or_default(place.chunk).insert(number);
            return;
        };
        let message = Some(message);
        encode_frame(&Frame::Check { checker, message, refused: None }, &mut encoded);
        self.commit(&Record::Checked { number });
        self.gated_encoded(conn, encoded);
        self.questions.unasked.remove(&number);
        self.await_decision(now, number);
    }

    /// One of those who may be asked: another one each time.
    fn somebody(
        &self,
        queue: QueueId,
        number: MessageNumber,
        checks: u32,
    ) -> Option<(ConnId, CheckerId)> {
        let name = &self.state.queues.get(&queue)?.name;
        let checkers = self.questions.checkers.iter().filter(|(_, checked)| *checked == name);
        let reachable = checkers.filter_map(|((client, checker), _)| {
            let conn = self.sessions.get(client)?.conn?;
            let waiting_bytes = self.links.waiting_bytes(conn);
            (waiting_bytes < self.limits.link_bytes_max as usize).then_some((conn, *checker))
        });
        let reachable: Vec<(ConnId, CheckerId)> = reachable.collect();
        let turn = number.0.wrapping_add(u64::from(checks));
        let place = usize::try_from(turn.checked_rem(reachable.len() as u64)?).ok()?;
        reachable.get(place).copied()
    }

    /// The message that is asked about, unless it has to be read first.
    fn question(&self, number: MessageNumber) -> Option<QueueMessage<'_>> {
        let prepared = self.state.prepared.get(number)?;
        let message = self.log.message(prepared.entry.place)?;
        Some(QueueMessage {
            number,
            place: QueuePlace::Prepared,
            attempts: prepared.checks.saturating_add(1),
            lane: message.lane,
            sequence: message.sequence,
            index: message.index,
            stored_at: message.stored_at,
            due_at: prepared.due_at,
            body_bytes: prepared.entry.body_bytes,
            body: message.body,
            properties: message.properties,
            dead_reason: None,
            deaths: None,
            expires_at: prepared.expires_at,
            sender: self.state.sender(message.lane),
            priority: message.priority,
        })
    }

    /// Rolls a message back that nobody decided about, and tells so.
    fn give_up(&mut self, now: Now, queue: QueueId, number: MessageNumber, decision: Decision) {
        let id = self.state.prepared.get(number).map(|prepared| prepared.id.clone());
        mark(match decision {
            Decision::Unanswered => Mark::Unanswered,
            _ => Mark::TooOld,
        });
        self.decide(now, queue, number, decision);
        let reason = decision.rollback();
        let parts: [(&str, &dyn Write); 3] =
            [("number", &number.0), ("id", &id), ("reason", &reason)];
        self.advise("rolled-back", queue, &parts);
    }
}
