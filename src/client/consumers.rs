//! Consumers of one tab, the leases they hold, and what was decided about each.

use alloc::borrow::ToOwned;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;

use crate::client::Client;
use crate::client::io::{Event, Handle};
use crate::client::requests::Kind;
use crate::client::sends::LANE_LOST;
use crate::error::{Code, Refused};
use crate::id::{ConsumerId, LeaseNumber, RequestId};
use crate::options::ConsumeOptions;
use crate::sorted::{Line, Map};
use crate::topic::Name;
use crate::wire::Frame;
use crate::wire::envelope::encode_frame;
use crate::wire::frame::{Delivery, Settlement};

#[derive(Debug)]
struct Consumer {
    queue: String,
    options: ConsumeOptions,
    /// The node told that it is not served.
    inactive: bool,
}

/// A settlement without an answer.
#[derive(Debug)]
struct Settling {
    request: RequestId,
    frame: Vec<u8>,
    /// The lease lives on.
    extends: bool,
    transmitted: bool,
    /// If it is refused, an earlier transmission of it may have taken place.
    doubtful: bool,
}

/// A lease that this client holds.
#[derive(Debug, Default)]
struct Held {
    /// In the order in which the node gets and answers them.
    settling: VecDeque<Settling>,
    /// A transaction without an answer acknowledges it.
    commits: bool,
}

impl Held {
    /// The user has decided: no more settlement can follow.
    fn is_decided(&self) -> bool {
        self.commits || self.settling.back().is_some_and(|settling| !settling.extends)
    }
}

#[derive(Debug, Default)]
pub(super) struct Consumers {
    consumers: Map<ConsumerId, Consumer>,
    last: u32,
    held: Line<LeaseNumber, Held>,
}

impl Consumers {
    pub fn is_empty(&self) -> bool {
        self.consumers.is_empty()
    }

    pub fn leases(&self) -> Vec<LeaseNumber> {
        self.held.keys().copied().collect()
    }

    /// A lease that the user has not decided about.
    pub fn holds(&self, lease: LeaseNumber) -> bool {
        self.held.get(&lease).is_some_and(|held| !held.is_decided())
    }

    /// Leases that the user has not decided about.
    pub fn undecided(&self) -> Vec<LeaseNumber> {
        let undecided = self.held.iter().filter(|(_, held)| !held.is_decided());
        undecided.map(|(lease, _)| *lease).collect()
    }

    /// A transaction decides about the leases, or does so no more.
    pub fn set_committing(&mut self, leases: &[LeaseNumber], commits: bool) {
        for lease in leases {
            if let Some(held) = self.held.get_mut(lease) {
                held.commits = commits;
            }
        }
    }

    /// A transaction acknowledged the lease. Gives what was asked for it and has no answer.
    pub fn acknowledge(&mut self, lease: LeaseNumber) -> Vec<RequestId> {
        let held = self.held.remove(&lease).unwrap_or_default();
        held.settling.into_iter().map(|settling| settling.request).collect()
    }

    /// Every settlement without an answer, and whether it may have happened.
    pub fn drain(&mut self) -> Vec<(RequestId, bool)> {
        let held = core::mem::take(&mut self.held);
        let settling = held.into_iter().map(|(_, value)| value).flat_map(|held| held.settling);
        settling.map(|settling| (settling.request, settling.transmitted)).collect()
    }
}

impl Client {
    pub(super) fn begin_consume(
        &mut self,
        queue: &str,
        options: ConsumeOptions,
    ) -> Result<ConsumerId, Refused> {
        Name::parse(queue, &self.limits)?;
        self.check_handles(self.consumers.consumers.len())?;
        if options.prefetch == 0 {
            return Err(Refused::new(Code::Invalid, "prefetch"));
        }
        self.consumers.last = self.consumers.last.saturating_add(1);
        let consumer = ConsumerId(self.consumers.last);
        self.push(&Frame::Consume { consumer, queue, options });
        let queue = queue.to_owned();
        let opened = Consumer { queue, options, inactive: false };
        self.consumers.consumers.insert(consumer, opened);
        self.awaited.insert(Handle::Consumer(consumer));
        Ok(consumer)
    }

    pub(super) fn begin_change_consumer(
        &mut self,
        consumer: ConsumerId,
        options: ConsumeOptions,
    ) -> Result<(), Refused> {
        if options.prefetch == 0 {
            return Err(Refused::new(Code::Invalid, "prefetch"));
        }
        let known = self.consumers.consumers.get_mut(&consumer);
        let known = known.ok_or(Refused::new(Code::NotFound, "consumer"))?;
        known.options = options;
        if let Some(writer) = self.link.writer() {
            writer.push(&Frame::Consume { consumer, queue: &known.queue, options });
        }
        Ok(())
    }

    /// The page came into view, or went out of it.
    pub(super) fn change_visible(&mut self, visible: bool) {
        if core::mem::replace(&mut self.hidden, !visible) == visible {
            self.push(&Frame::Visible { visible });
        }
        if !visible {
            self.keep_all();
        }
    }

    /// Deliveries that are out stay with the client until it settles them.
    pub(super) fn end_consumer(&mut self, consumer: ConsumerId) {
        self.awaited.remove(&Handle::Consumer(consumer));
        if self.consumers.consumers.remove(&consumer).is_some() {
            self.push(&Frame::CancelConsumer { consumer });
        }
    }

    pub(super) fn declare_consumers(&mut self) {
        let Some(writer) = self.link.writer() else { return };
        if self.hidden {
            writer.push(&Frame::Visible { visible: false });
        }
        for (id, Consumer { queue, options, .. }) in self.consumers.consumers.iter() {
            writer.push(&Frame::Consume { consumer: *id, queue, options: *options });
        }
    }

    pub(super) fn on_consumer_active(&mut self, id: ConsumerId, active: bool) {
        if let Some(consumer) = self.consumers.consumers.get_mut(&id) {
            consumer.inactive = !active;
            self.events.push_back(Event::ConsumerActive { consumer: id, active });
        }
    }

    /// The user is done with what was taken from it: it takes deliveries again. To a consumer that
    /// is not active for another reason this changes nothing.
    fn resume_detached(&mut self) {
        let Some(writer) = self.link.writer() else { return };
        self.consumers.consumers.for_each_mut(|id, consumer| {
            if core::mem::take(&mut consumer.inactive) {
                let (queue, options) = (&*consumer.queue, consumer.options);
                writer.push(&Frame::Consume { consumer: *id, queue, options });
            }
        });
    }

    pub(super) fn on_consuming(
        &mut self,
        consumer: ConsumerId,
        refused: Option<Code>,
        single_active: bool,
    ) {
        let handle = Handle::Consumer(consumer);
        match refused {
            None => self.confirm(handle, Event::Consuming { consumer, single_active }),
            Some(code) => {
                let known = self.consumers.consumers.remove(&consumer).is_some();
                self.refuse(handle, known, code);
            }
        }
    }

    /// A delivery. False if the node gives more than a client can hold.
    pub(super) fn on_deliver(&mut self, delivery: &Delivery<'_>) -> bool {
        let lease = delivery.lease;
        if self.consumers.held.contains_key(&lease) {
            return true;
        }
        if !self.consumers.consumers.contains_key(&delivery.consumer) {
            // The consumer ended while this was under way: nobody here will settle it.
            self.push(&Frame::Settle { lease, settlement: Settlement::Release });
            return true;
        }
        if self.consumers.held.len() >= self.limits.requests_max as usize {
            return false;
        }
        self.consumers.held.insert(lease, Held::default());
        self.events.push_back(Event::Delivery {
            consumer: delivery.consumer,
            lease,
            attempt: delivery.attempt,
            number: delivery.number,
            lane: delivery.lane,
            sequence: delivery.sequence,
            index: delivery.index,
            stored_at: delivery.stored_at,
            lease_ms: delivery.lease_ms,
            body: delivery.body.to_owned(),
            properties: delivery.properties.map(ToOwned::to_owned),
            dead_reason: delivery.dead_reason.map(ToOwned::to_owned),
            body_bytes: delivery.body_bytes,
            tracked: delivery.tracked == Some(true),
            deaths: delivery.deaths.map(ToOwned::to_owned),
            sender: delivery.sender,
            priority: delivery.priority.unwrap_or(0),
        });
        true
    }

    pub(super) fn begin_settle(
        &mut self,
        lease: LeaseNumber,
        settlement: Settlement<'_>,
    ) -> Result<RequestId, Refused> {
        if let Settlement::Retry { reason, .. } | Settlement::Reject { reason } = settlement
            && reason.map_or(0, str::len) > self.limits.headers_bytes_max as usize
        {
            return Err(Refused::new(Code::TooLarge, "reason"));
        }
        if let Settlement::Ack { value: Some(value) } = settlement {
            self.check_body(value, None)?;
        }
        let extends = matches!(settlement, Settlement::Extend { .. });
        let mut frame = Vec::new();
        encode_frame(&Frame::Settle { lease, settlement }, &mut frame);
        let request = self.requests.begin(Kind::Settlement, frame.len(), &self.limits)?;
        let held = self.consumers.held.get_mut(&lease).filter(|held| !held.is_decided());
        let Some(held) = held else {
            self.fail(request, Code::StaleLease.into(), false);
            self.resume_detached();
            return Ok(request);
        };
        let writer = self.link.writer();
        let transmitted = writer.is_some();
        if let Some(writer) = writer {
            writer.push_encoded(&frame);
        }
        held.settling.push_back(Settling { request, frame, extends, transmitted, doubtful: false });
        Ok(request)
    }

    pub(super) fn resend_settlements(&mut self) {
        let Some(writer) = self.link.writer() else { return };
        self.consumers.held.for_each_mut(|_, held| {
            for settling in &mut held.settling {
                writer.push_encoded(&settling.frame);
                settling.transmitted = true;
            }
        });
    }

    pub(super) fn on_settled(&mut self, lease: LeaseNumber, refused: Option<Code>) {
        let Some(held) = self.consumers.held.get_mut(&lease) else { return };
        let Some(settled) = held.settling.pop_front() else {
            // Not an answer: the lease ran out.
            return self.lose_lease(lease);
        };
        let request = settled.request;
        if !settled.extends {
            self.consumers.held.remove(&lease);
        }
        let Some(code) = refused else {
            return self.answer(request, Event::Settled { request });
        };
        self.refuse_settling(request, code, settled.doubtful);
        self.lose_lease(lease);
    }

    fn refuse_settling(&mut self, request: RequestId, code: Code, doubtful: bool) {
        let in_doubt = doubtful && code == Code::StaleLease;
        let doubt = || Refused::new(Code::Unavailable, LANE_LOST);
        let refused = if in_doubt { doubt() } else { code.into() };
        self.fail(request, refused, in_doubt);
    }

    /// The lease is dead: what is still to be settled under it can't be.
    pub(super) fn lose_lease(&mut self, lease: LeaseNumber) {
        let Some(lost) = self.consumers.held.remove(&lease) else { return };
        let decided = lost.is_decided();
        for settling in lost.settling {
            self.refuse_settling(settling.request, Code::StaleLease, settling.doubtful);
        }
        if !decided {
            self.events.push_back(Event::LeaseLost { lease });
        }
    }

    /// Leases that the node does not know. One that was decided is judged by the answer to its
    /// settlement, which may be stored already.
    pub(super) fn drop_stale(&mut self, stale: &[LeaseNumber]) {
        for lease in stale {
            if self.consumers.held.get(lease).is_some_and(|held| !held.is_decided()) {
                self.lose_lease(*lease);
            }
        }
    }

    /// The node gives these leases back: the client leaves for a while.
    pub(super) fn drop_undecided_leases(&mut self) {
        for lease in self.consumers.undecided() {
            self.lose_lease(lease);
        }
    }

    /// The session did not go on: that a lease is over may be the doing of a settlement.
    pub(super) fn doubt_settlements(&mut self) {
        self.consumers.held.for_each_mut(|_, held| {
            for settling in &mut held.settling {
                settling.doubtful |= settling.transmitted;
            }
        });
    }

    /// Lease numbers of another log mean nothing.
    pub(super) fn drop_all_leases(&mut self) {
        for (lease, held) in core::mem::take(&mut self.consumers.held) {
            let decided = held.is_decided();
            for settling in held.settling {
                let refused = Refused::new(Code::Unavailable, "log_lost");
                self.fail(settling.request, refused, settling.transmitted);
            }
            if !decided {
                self.events.push_back(Event::LeaseLost { lease });
            }
        }
    }
}
