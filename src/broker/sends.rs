//! Sends: what enters the log.

use alloc::string::ToString;

use crate::broker::Broker;
use crate::broker::gate::Gated;
use crate::broker::overflow::{Load, Turned};
use crate::cbor;
use crate::error::{Code, Refused};
use crate::id::{ClientId, ConnId, LaneId, QueueId, Sequence};
use crate::log::Record;
use crate::log::record::StoredMessage;
use crate::marks::{Mark, mark};
use crate::options::{Durability, QueueOptions};
use crate::time::{Now, UnixMillis};
use crate::wire::Frame;
use crate::wire::frame::{History, Item, Past};

/// A `Send` frame, taken apart.
#[derive(Clone, Copy, Debug)]
pub struct Sending<'a> {
    pub sequence: Sequence,
    pub queue: &'a str,
    pub refusals_seen: Sequence,
    pub durability: Option<Durability>,
    pub items: &'a [Item<'a>],
}

/// Under which ids items are stored.
#[derive(Clone, Copy, Debug)]
pub struct Storing {
    pub lane: LaneId,
    pub sequence: Sequence,
    /// The index of the first of them.
    pub first: u32,
}

impl Broker {
    pub(super) fn on_send(&mut self, now: Now, conn: ConnId, client: ClientId, send: Sending<'_>) {
        let turn = self.take_turn(now, conn, client, send.sequence, send.refusals_seen);
        let Some(lane) = turn else { return };
        match self.admit(now, client, &send) {
            Ok(queue) => {
                let storing = Storing { lane, sequence: send.sequence, first: 0 };
                self.store(now, storing, queue, send.durability, send.items);
                self.tell_duplicates(conn, lane, send.sequence);
            }
            Err(turned) => {
                // Later sends to this queue are refused, so that order holds when the client tries
                // again.
                if let Some(session) = self.sessions.get_mut(&client) {
                    session.blocked.get_or_insert_with(send.queue.to_string(), || send.sequence);
                }
                self.refuse_number(conn, lane, send.sequence, turned);
            }
        }
        self.hold(conn, Gated::Sent(send.sequence, now.mono));
    }

    /// Whether a number of the lane comes as the next one; gives the lane then. A number that was
    /// used up before is answered as it was then.
    pub(super) fn take_turn(
        &mut self,
        now: Now,
        conn: ConnId,
        client: ClientId,
        sequence: Sequence,
        refusals_seen: Sequence,
    ) -> Option<LaneId> {
        let session = self.sessions.get_mut(&client)?;
        session.blocked.retain(|_, first| *first > refusals_seen);
        let lane = session.lane;
        let Some(position) = self.lane_position(lane) else {
            self.refuse_without_lane(conn, sequence);
            return None;
        };
        self.forget_refusals(lane, refusals_seen.next());
        if sequence <= position && self.rules.lane_dedupe() {
            mark(Mark::LaneDeduped);
            if let Some(code) = self.refusal_of(lane, sequence) {
                let reason = "refused before";
                self.gated(conn, &Frame::SendRefused { sequence, code, reason });
            }
            self.tell_duplicates(conn, lane, sequence);
            self.hold(conn, Gated::Sent(sequence, now.mono));
            return None;
        }
        if sequence != position.next() && self.rules.order_per_producer() {
            self.hang_up(now, conn, Code::Protocol);
            return None;
        }
        self.leave_lanes(client);
        self.record_voids(lane);
        Some(lane)
    }

    /// Whether the send may be stored, and in which queue.
    fn admit<'a>(
        &mut self,
        now: Now,
        client: ClientId,
        send: &Sending<'a>,
    ) -> Result<QueueId, Turned<'a>> {
        self.admit_to(client, send.queue, send.durability, send.items)?;
        // Anyone may send to an exclusive queue, as to a temporary one of JMS.
        let queue = match self.state.queue_named(send.queue) {
            Some(queue) => queue,
            None => self.declare(client, send.queue, &QueueOptions::default())?,
        };
        let fresh = self.fresh_items(now, queue, send.items)?;
        let bytes = fresh.iter().map(|item| item.body.len() as u64).sum();
        let load = Load { messages: fresh.len() as u64, bytes };
        let replaced = self.admit_keys(queue, &fresh, &[]).inspect_err(|turned| {
            self.advise_full(queue, turned.refused.reason);
        })?;
        self.admit_load(queue, load, replaced)?;
        self.admit_prepared(queue, &fresh)?;
        Ok(queue)
    }

    /// Whether these items may go to the queue, as far as its room has no say.
    pub(super) fn admit_to(
        &self,
        client: ClientId,
        queue: &str,
        durability: Option<Durability>,
        items: &[Item<'_>],
    ) -> Result<(), Refused> {
        if self.sessions.get(&client).is_some_and(|s| s.blocked.contains_key(queue)) {
            mark(Mark::SendBlocked);
            return Err(Refused::new(Code::Full, "behind-refused"));
        }
        if self.is_full() {
            return Err(Refused::new(Code::Storage, "quota"));
        }
        if durability.is_some_and(|wanted| wanted > self.storage.durability_max) {
            return Err(Refused::new(Code::Unsupported, "durability"));
        }
        if items.is_empty() {
            return Err(Refused::new(Code::Invalid, "items"));
        }
        let priority = items.iter().filter_map(|item| item.priority).max();
        if priority
            .is_some_and(|priority| priority > 0 && priority >= self.state.priorities_of(queue))
        {
            return Err(Refused::new(Code::Invalid, "priority"));
        }
        self.admit_items(items)
    }

    /// Whether the queue has room, and who listens is told when that changes.
    pub(super) fn admit_load(
        &mut self,
        queue: QueueId,
        load: Load,
        freed: Load,
    ) -> Result<(), Refused> {
        self.admit_room(queue, load, freed).inspect_err(|refused| {
            self.advise_full(queue, refused.reason);
        })?;
        self.has_room_again(queue);
        Ok(())
    }

    fn admit_items(&self, items: &[Item<'_>]) -> Result<(), Refused> {
        if items.len() > self.limits.batch_items_max as usize {
            return Err(Refused::new(Code::TooLarge, "batch_items_max"));
        }
        for item in items {
            if item.body.len() > self.limits.body_bytes_max as usize {
                return Err(Refused::new(Code::TooLarge, "body_bytes_max"));
            }
            let properties = item.properties.map_or(0, <[u8]>::len);
            if properties > self.limits.headers_bytes_max as usize {
                return Err(Refused::new(Code::TooLarge, "headers_bytes_max"));
            }
            if item.ttl_ms == Some(0) {
                return Err(Refused::new(Code::Invalid, "ttl"));
            }
            if item.past.is_some_and(|past| item.prepare.is_some() || !self.is_possible(&past)) {
                return Err(Refused::new(Code::Invalid, "past"));
            }
            if item.prepare.is_some_and(|prepare| prepare.check_after_ms == Some(0)) {
                return Err(Refused::new(Code::Invalid, "check_after"));
            }
        }
        Ok(())
    }

    /// Whether a message can have been through this. Its history is kept as it comes.
    fn is_possible(&self, past: &Past<'_>) -> bool {
        let Some(deaths) = past.deaths else { return true };
        cbor::decode::<History<'_>>(deaths).is_ok_and(|history| {
            let count = history.deaths.len();
            count <= self.limits.deaths_max as usize && history.recent as usize <= count
        })
    }

    pub(super) fn store(
        &mut self,
        now: Now,
        storing: Storing,
        queue: QueueId,
        durability: Option<Durability>,
        items: &[Item<'_>],
    ) {
        let Storing { lane, sequence, first } = storing;
        let declared = self.state.queues.get(&queue).and_then(|queue| queue.options.durability);
        if durability.or(declared) == Some(Durability::Strict) {
            self.log.require_strict();
        }
        for (index, item) in (first..).zip(items) {
            let prepare = item.prepare.filter(|_| self.rules.prepared_hidden());
            let repeated = match prepare {
                Some(_) => self.prepared_before(queue, item),
                None => self.original(now, queue, item),
            };
            if let Some(number) = repeated {
                mark(Mark::IdRepeated);
                self.commit(&Record::Duplicate { lane, sequence, index, number });
                continue;
            }
            let due_at = item.delay_ms.filter(|delay_ms| *delay_ms > 0);
            let due_at = due_at.map(|delay_ms| UnixMillis(now.unix.0.saturating_add(delay_ms)));
            let number = self.next_message();
            let message = StoredMessage {
                queue,
                number,
                lane,
                sequence,
                index,
                stored_at: item.past.map_or(now.unix, |past| past.stored_at),
                due_at,
                body: item.body,
                properties: item.properties,
                tracked: item.track.filter(|track| *track),
                past: item.past,
                expires_at: self.state.expiry_of(queue, item, now),
                priority: item.priority.filter(|priority| *priority > 0),
            };
            match prepare {
                Some(prepare) => self.prepare(now, message, prepare),
                None => {
                    self.commit(&Record::Message(message));
                    self.trace_sent(queue, number);
                }
            }
        }
        self.make_room(queue);
        self.dirty_queues.insert(queue);
        self.watch_delayed(queue);
    }

    /// Uses the number up.
    pub(super) fn refuse_number(
        &mut self,
        conn: ConnId,
        lane: LaneId,
        sequence: Sequence,
        turned: Turned<'_>,
    ) {
        let refused = turned.refused;
        if self.is_out_of_room() {
            // The void can't be stored. The client's floor carries it over to the next node.
            mark(Mark::RefusalUnrecorded);
            self.unrecorded.refuse(lane, sequence, refused.code);
        } else {
            let refused = Some(refused.code);
            self.commit(&Record::LaneVoid { lane, position: sequence, refused });
        }
        let (code, reason) = (refused.code, &*turned.reason());
        self.gated(conn, &Frame::SendRefused { sequence, code, reason });
    }

    /// A client that got no lane, because the storage was full, can't send.
    fn refuse_without_lane(&mut self, conn: ConnId, sequence: Sequence) {
        let refused = Frame::SendRefused { sequence, code: Code::Storage, reason: "quota" };
        self.links.push(conn, &refused);
        self.links.push(conn, &Frame::Sent { position: sequence });
    }
}
