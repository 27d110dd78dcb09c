//! Queues as they are declared: made, compared with what is there, changed.

use alloc::borrow::ToOwned;
use alloc::vec::Vec;

use crate::broker::Broker;
use crate::broker::groups::PRIORITIES_MAX;
use crate::broker::queue::Queue;
use crate::error::{Code, Refused};
use crate::id::{ClientId, ConnId, MessageNumber, QueueId, RequestId};
use crate::log::Record;
use crate::options::{DeadLetter, Order, QueueOptions};
use crate::topic::Name;
use crate::wire::Frame;
use crate::wire::envelope::encode_frame;
use crate::wire::frame::QueueCounts;

impl Broker {
    pub(super) fn on_declare(
        &mut self,
        conn: ConnId,
        client: ClientId,
        request: RequestId,
        name: &str,
        options: &QueueOptions,
    ) {
        match self.declare(client, name, options) {
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

    pub(super) fn answer_state(&mut self, conn: ConnId, request: RequestId, id: QueueId) {
        let Some(queue) = self.state.queues.get(&id) else { return };
        let (state, policy) = (self.counts_of(id, queue), queue.policy.as_deref());
        let mut encoded = Vec::new();
        encode_frame(&Frame::QueueState { request, state, policy }, &mut encoded);
        self.gated_encoded(conn, encoded);
    }

    pub(super) fn counts_of(&self, id: QueueId, queue: &Queue) -> QueueCounts {
        let consumers = self.consumers.get(&id).map_or(0, |consumers| consumers.len());
        QueueCounts {
            consumers: u32::try_from(consumers).unwrap_or(u32::MAX),
            paused: queue.paused.is_some_and(|pause| pause.holds(self.now)),
            id,
            newest: MessageNumber(self.state.next.message.0 - 1),
            ..queue.counts()
        }
    }

    pub(super) fn answer_refused(&mut self, conn: ConnId, request: RequestId, refused: Refused) {
        let (code, reason) = (refused.code, refused.reason);
        self.gated(conn, &Frame::RequestRefused { request, code, reason });
    }

    /// The queue of that name, made or changed as `options` say.
    pub(super) fn declare(
        &mut self,
        client: ClientId,
        name: &str,
        options: &QueueOptions,
    ) -> Result<QueueId, Refused> {
        Name::parse(name, &self.limits)?;
        if let Some(DeadLetter::Queue(dead)) = &options.dead_letter {
            Name::parse(dead, &self.limits)?;
        }
        self.check_tunables(options)?;
        if options.expired.as_deref() == Some(name) {
            return Err(Refused::new(Code::Invalid, "expired"));
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
            check_order(options)?;
            let owner = Some(client).filter(|_| options.exclusive == Some(true));
            self.commit(&Record::Declared { queue, name, options: options.clone(), owner });
            return Ok(queue);
        };
        let Some(existing) = self.state.queues.get(&id) else { return Err(Code::Internal.into()) };
        if existing.owner.is_some_and(|owner| owner != client) {
            return Err(Refused::new(Code::NotAuthorized, "exclusive"));
        }
        let merged = merge(&existing.declared, options)?;
        check_order(&merged)?;
        if merged != existing.declared {
            let owner = Some(client).filter(|_| merged.exclusive == Some(true));
            self.commit(&Record::Declared { queue: id, name, options: merged, owner });
            self.follow_options(id);
        }
        Ok(id)
    }

    /// Whether these options have a meaning, whatever queue they are for.
    pub(super) fn check_tunables(&self, options: &QueueOptions) -> Result<(), Refused> {
        options.check_expiry(&self.limits)?;
        options.check_rate()?;
        if options.slow.is_some_and(|slow| slow.after_ms == 0) {
            return Err(Refused::new(Code::Invalid, "slow"));
        }
        let waits_max = self.limits.backoff_waits_max;
        if options.backoff.as_ref().is_some_and(|backoff| !backoff.is_valid(waits_max)) {
            return Err(Refused::new(Code::Invalid, "backoff"));
        }
        if options.messages_per_key_max == Some(0) {
            return Err(Refused::new(Code::Invalid, "messages_per_key_max"));
        }
        let priorities_max = self.limits.priorities_max.min(PRIORITIES_MAX);
        if options.priorities.is_some_and(|count| count == 0 || count > priorities_max) {
            return Err(Refused::new(Code::Invalid, "priorities"));
        }
        Ok(())
    }

    /// Does at once what the options of a queue say that changed.
    pub(super) fn follow_options(&mut self, id: QueueId) {
        self.make_room(id);
        self.follow_rate(id);
        self.watch_slow_leases(id);
        self.gather(id);
        self.elect_active(id, None);
        self.dirty_queues.insert(id);
    }

    /// The dead-letter queue of `queue`, made on first use; `None` if it declares none.
    pub(super) fn dead_letter_queue(&mut self, queue: QueueId) -> Option<QueueId> {
        let declared = self.state.queues.get(&queue)?;
        let name = declared.dead_letters()?;
        Some(self.grave(&name))
    }

    /// The queue of that name, for messages that other queues let go, made on first use.
    pub(super) fn grave(&mut self, name: &str) -> QueueId {
        if let Some(dead) = self.state.queue_named(name) {
            return dead;
        }
        // Made without the bounds of `declare`: a message must not be lost to a limit. What fails
        // here stays here.
        let dead = self.state.next.queue;
        let options = QueueOptions {
            deliveries_max: Some(u32::MAX),
            dead_letter: Some(DeadLetter::Queue(name.to_owned())),
            ..QueueOptions::default()
        };
        self.commit(&Record::Declared { queue: dead, name, options, owner: None });
        dead
    }
}

/// What a failure does to a key means nothing where keys mean nothing.
fn check_order(options: &QueueOptions) -> Result<(), Refused> {
    if options.on_failure.is_some() && options.order != Some(Order::Key) {
        return Err(Refused::new(Code::Invalid, "on_failure"));
    }
    // A last value is one message of a key, and its key takes turns.
    if options.last_value == Some(true) && options.messages_per_key_max.is_some() {
        return Err(Refused::new(Code::Invalid, "messages_per_key_max"));
    }
    if options.last_value == Some(true) && options.order == Some(Order::Fifo) {
        return Err(Refused::new(Code::Invalid, "order"));
    }
    Ok(())
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
    if declared.exclusive.is_some() && declared.exclusive != existing.exclusive {
        return Err(Refused::new(Code::DuplicateDeclare, "exclusive"));
    }
    if declared.order.is_some() && declared.order != existing.order {
        return Err(Refused::new(Code::DuplicateDeclare, "order"));
    }
    if declared.last_value.is_some() && declared.last_value != existing.last_value {
        return Err(Refused::new(Code::DuplicateDeclare, "last_value"));
    }
    if declared.version.unwrap_or(0) < existing.version.unwrap_or(0) {
        return Ok(existing.clone());
    }
    let merged = declared.or_tunables(existing);
    Ok(QueueOptions {
        durability: existing.durability,
        dead_letter: existing.dead_letter.clone(),
        single_active: existing.single_active,
        exclusive: existing.exclusive,
        order: existing.order,
        last_value: existing.last_value,
        version: declared.version.or(existing.version),
        ..merged
    })
}
