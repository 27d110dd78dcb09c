//! Declarations and sends: what enters the log.

use alloc::string::{String, ToString};

use crate::broker::Broker;
use crate::broker::gate::Gated;
use crate::error::{Code, Refused};
use crate::id::{ClientId, ConnId, LaneId, QueueId, RequestId, Sequence};
use crate::log::Record;
use crate::log::record::StoredMessage;
use crate::options::{DeadLetter, Durability, QueueOptions};
use crate::time::{Now, UnixMillis};
use crate::topic::Name;
use crate::wire::Frame;
use crate::wire::frame::Item;

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
    pub(super) fn on_declare(
        &mut self,
        conn: ConnId,
        request: RequestId,
        name: &str,
        options: &QueueOptions,
    ) {
        match self.declare(name, options) {
            Ok(queue) => self.answer_state(conn, request, queue),
            Err(refused) => self.answer_refused(conn, request, refused),
        }
    }

    pub(super) fn on_inspect(&mut self, conn: ConnId, request: RequestId, name: &str) {
        match self.state.queue_named(name) {
            Some(queue) => self.answer_state(conn, request, queue),
            None => self.answer_refused(conn, request, Code::NotFound.into()),
        }
    }

    fn answer_state(&mut self, conn: ConnId, request: RequestId, queue: QueueId) {
        let consumers = self.consumers.get(&queue).map_or(0, |consumers| consumers.len());
        let Some(queue) = self.state.queues.get(&queue) else { return };
        let state = queue.counts(u32::try_from(consumers).unwrap_or(u32::MAX));
        self.gated(conn, &Frame::QueueState { request, state });
    }

    fn answer_refused(&mut self, conn: ConnId, request: RequestId, refused: Refused) {
        let (code, reason) = (refused.code, refused.reason);
        self.gated(conn, &Frame::RequestRefused { request, code, reason });
    }

    /// The queue of that name, made or changed as `options` say.
    pub(super) fn declare(
        &mut self,
        name: &str,
        options: &QueueOptions,
    ) -> Result<QueueId, Refused> {
        Name::parse(name, &self.limits)?;
        if let Some(DeadLetter::Queue(dead)) = &options.dead_letter {
            Name::parse(dead, &self.limits)?;
        }
        if options.durability.is_some_and(|wanted| wanted > self.storage.durability_max) {
            return Err(Refused::new(Code::Unsupported, "durability"));
        }
        let Some(id) = self.state.queue_named(name) else {
            if self.is_full() {
                return Err(Refused::new(Code::Storage, "quota"));
            }
            if self.state.queues.len() >= self.limits.queues_max as usize {
                return Err(Refused::new(Code::Full, "queues_max"));
            }
            let queue = self.state.next.queue;
            self.commit(&Record::Declared { queue, name, options: options.clone() });
            return Ok(queue);
        };
        let Some(existing) = self.state.queues.get(&id) else { return Err(Code::Internal.into()) };
        let merged = merge(&existing.options, options)?;
        if merged != existing.options {
            self.commit(&Record::Declared { queue: id, name, options: merged });
            self.make_room(id);
            self.gather(id);
            self.elect_active(id, None);
            self.dirty_queues.insert(id);
        }
        Ok(id)
    }

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
        let queue = self.declare(send.queue, &QueueOptions::default())?;
        self.admit_room(queue, send.items)?;
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
        }
        Ok(())
    }

    fn store(&mut self, now: Now, lane: LaneId, queue: QueueId, send: &Sending<'_>) {
        let declared = self.state.queues.get(&queue).and_then(|queue| queue.options.durability);
        if send.durability.or(declared) == Some(Durability::Strict) {
            self.log.require_strict();
        }
        for (index, item) in (0..).zip(send.items) {
            let due_at = item.delay_ms.filter(|delay_ms| *delay_ms > 0);
            let due_at = due_at.map(|delay_ms| UnixMillis(now.unix.0.saturating_add(delay_ms)));
            self.commit(&Record::Message(StoredMessage {
                queue,
                number: self.next_message(),
                lane,
                sequence: send.sequence,
                index,
                stored_at: now.unix,
                due_at,
                body: item.body,
                properties: item.properties,
            }));
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
        if self.is_full() {
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

    /// The dead-letter queue of `queue`, made on first use; `None` if it declares none.
    pub(super) fn dead_letter_queue(&mut self, queue: QueueId) -> Option<QueueId> {
        let declared = self.state.queues.get(&queue)?;
        let name: String = match &declared.options.dead_letter {
            Some(DeadLetter::Discard) => return None,
            Some(DeadLetter::Queue(name)) => name.clone(),
            None => {
                let mut name = declared.name.clone();
                name.push_str(".dead");
                name
            }
        };
        if let Some(dead) = self.state.queue_named(&name) {
            return Some(dead);
        }
        // Made without the bounds of `declare`: a message must not be lost to a limit. What fails
        // here stays here.
        let dead = self.state.next.queue;
        let options = QueueOptions {
            deliveries_max: Some(u32::MAX),
            dead_letter: Some(DeadLetter::Queue(name.clone())),
            ..QueueOptions::default()
        };
        self.commit(&Record::Declared { queue: dead, name: &name, options });
        Some(dead)
    }
}

/// The options of a queue after a declaration, or why it is refused. Only what the declaration
/// gives is compared; tunables follow it unless the queue has a higher version.
fn merge(existing: &QueueOptions, declared: &QueueOptions) -> Result<QueueOptions, Refused> {
    if *existing == QueueOptions::default() {
        // Made by a send or a consumer that came first: nobody has declared it yet.
        return Ok(declared.clone());
    }
    if declared.durability.is_some() && declared.durability != existing.durability {
        return Err(Refused::new(Code::DuplicateDeclare, "durability"));
    }
    if declared.dead_letter.is_some() && declared.dead_letter != existing.dead_letter {
        return Err(Refused::new(Code::DuplicateDeclare, "dead_letter"));
    }
    if declared.single_active.is_some() && declared.single_active != existing.single_active {
        return Err(Refused::new(Code::DuplicateDeclare, "single_active"));
    }
    if declared.version.unwrap_or(0) < existing.version.unwrap_or(0) {
        return Ok(existing.clone());
    }
    let declared = declared.clone();
    Ok(QueueOptions {
        durability: existing.durability,
        dead_letter: existing.dead_letter.clone(),
        lease_ms: declared.lease_ms.or(existing.lease_ms),
        deliveries_max: declared.deliveries_max.or(existing.deliveries_max),
        backoff: declared.backoff.or_else(|| existing.backoff.clone()),
        messages_max: declared.messages_max.or(existing.messages_max),
        version: declared.version.or(existing.version),
        bytes_max: declared.bytes_max.or(existing.bytes_max),
        overflow: declared.overflow.or(existing.overflow),
        single_active: existing.single_active,
        consumers_min: declared.consumers_min.or(existing.consumers_min),
        consumers_wait_ms: declared.consumers_wait_ms.or(existing.consumers_wait_ms),
    })
}
