//! Sends: what enters the log.

use alloc::string::ToString;

use crate::broker::Broker;
use crate::broker::gate::Gated;
use crate::cbor;
use crate::error::{Code, Refused};
use crate::id::{ClientId, ConnId, LaneId, QueueId, Sequence};
use crate::log::Record;
use crate::log::record::StoredMessage;
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

impl Broker {
    pub(super) fn on_send(&mut self, now: Now, conn: ConnId, client: ClientId, send: Sending<'_>) {
        let Some(session) = self.sessions.get_mut(&client) else { return };
        session.blocked.retain(|_, first| *first > send.refusals_seen);
        let lane_id = session.lane;
        let Some(position) = self.lane_position(lane_id) else {
            return self.refuse_without_lane(conn, send.sequence);
        };
        self.forget_refusals(lane_id, send.refusals_seen.next());
        if send.sequence <= position && self.rules.lane_dedupe() {
            if let Some(code) = self.refusal_of(lane_id, send.sequence) {
                let (sequence, reason) = (send.sequence, "refused before");
                self.gated(conn, &Frame::SendRefused { sequence, code, reason });
            }
            return self.hold(conn, Gated::Sent(send.sequence));
        }
        if send.sequence != position.next() && self.rules.order_per_producer() {
            return self.hang_up(now, conn, Code::Protocol);
        }
        self.record_voids(lane_id);
        match self.admit(client, &send) {
            Ok(queue) => self.store(now, lane_id, queue, &send),
            Err(refused) => self.refuse_send(conn, client, lane_id, &send, refused),
        }
        self.hold(conn, Gated::Sent(send.sequence));
    }

    /// Whether the send may be stored, and in which queue.
    fn admit(&mut self, client: ClientId, send: &Sending<'_>) -> Result<QueueId, Refused> {
        let blocked =
            self.sessions.get(&client).is_some_and(|s| s.blocked.contains_key(send.queue));
        if blocked {
            return Err(Refused::new(Code::Full, "behind-refused"));
        }
        if self.is_full() {
            return Err(Refused::new(Code::Storage, "quota"));
        }
        if send.durability.is_some_and(|wanted| wanted > self.storage.durability_max) {
            return Err(Refused::new(Code::Unsupported, "durability"));
        }
        if send.items.is_empty() {
            return Err(Refused::new(Code::Invalid, "items"));
        }
        self.admit_items(send.items)?;
        // Anyone may send to an exclusive queue, as to a temporary one of JMS.
        let queue = match self.state.queue_named(send.queue) {
            Some(queue) => queue,
            None => self.declare(client, send.queue, &QueueOptions::default())?,
        };
        self.admit_room(queue, send.items).inspect_err(|refused| {
            self.advise_full(queue, refused.reason);
        })?;
        self.has_room_again(queue);
        Ok(queue)
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
            if item.past.is_some_and(|past| !self.is_possible(&past)) {
                return Err(Refused::new(Code::Invalid, "past"));
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

    fn store(&mut self, now: Now, lane: LaneId, queue: QueueId, send: &Sending<'_>) {
        let declared = self.state.queues.get(&queue).and_then(|queue| queue.options.durability);
        if send.durability.or(declared) == Some(Durability::Strict) {
            self.log.require_strict();
        }
        for (index, item) in (0..).zip(send.items) {
            let due_at = item.delay_ms.filter(|delay_ms| *delay_ms > 0);
            let due_at = due_at.map(|delay_ms| UnixMillis(now.unix.0.saturating_add(delay_ms)));
            let number = self.next_message();
            self.commit(&Record::Message(StoredMessage {
                queue,
                number,
                lane,
                sequence: send.sequence,
                index,
                stored_at: item.past.map_or(now.unix, |past| past.stored_at),
                due_at,
                body: item.body,
                properties: item.properties,
                tracked: item.track.filter(|track| *track),
                past: item.past,
            }));
            self.trace_sent(queue, number);
        }
        self.make_room(queue);
        self.dirty_queues.insert(queue);
        self.watch_delayed(queue);
    }

    /// Uses the number up and blocks the lane's later sends to this queue, so that order holds
    /// when the client tries again.
    fn refuse_send(
        &mut self,
        conn: ConnId,
        client: ClientId,
        lane: LaneId,
        send: &Sending<'_>,
        refused: Refused,
    ) {
        if self.is_out_of_room() {
            // The void can't be stored. The client's floor carries it over to the next node.
            self.unrecorded.refuse(lane, send.sequence, refused.code);
        } else {
            let refused = Some(refused.code);
            self.commit(&Record::LaneVoid { lane, position: send.sequence, refused });
        }
        if let Some(session) = self.sessions.get_mut(&client) {
            session.blocked.get_or_insert_with(send.queue.to_string(), || send.sequence);
        }
        let (sequence, code, reason) = (send.sequence, refused.code, refused.reason);
        self.gated(conn, &Frame::SendRefused { sequence, code, reason });
    }

    /// A client that got no lane, because the storage was full, can't send.
    fn refuse_without_lane(&mut self, conn: ConnId, sequence: Sequence) {
        let refused = Frame::SendRefused { sequence, code: Code::Storage, reason: "quota" };
        self.links.push(conn, &refused);
        self.links.push(conn, &Frame::Sent { position: sequence });
    }
}
