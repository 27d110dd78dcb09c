//! The ways between parties, and what goes wrong on them.
//!
//! The fault model. A way leads from one party to another, directly or as a message to everyone;
//! on each way messages keep their order. Tabs use channels, some use sockets.
//! - On a channel a message may be **dropped** or **duplicated**. Channels of browsers do neither,
//!   but a page that is thrown into the cache or starts to listen late loses messages all the same,
//!   and the positions in the envelopes have to notice it.
//! - On any way messages may be **delayed**: one direction stalls, and what follows waits behind.
//!   Other ways go on, so messages of one sender that took different ways are **reordered**.
//! - A receiver may **miss** a message to everyone that others get.
//! - A process may be **partitioned** from all others for a while, its node with it.
//! - A socket may be **cut**: what is under way is lost, both ends learn of it, and the client may
//!   dial again later. A socket neither drops nor duplicates.
//!
//! Bytes are never changed: browsers and TLS see to that.

use alloc::collections::BTreeMap;

use crate::sim::dice::{Dice, Ratio};
use crate::sim::fact::{NodeId, ProcessId};
use crate::sim::fault::{Fault, FaultCounts};
use crate::sim::schedule::{MILLI, Micros};

/// One end of a way, and the process it lives in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Party {
    Client(ProcessId),
    Node(NodeId),
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    Channel,
    Socket,
    Everyone,
}

/// From whom to whom, and how.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Way {
    pub from: Party,
    pub to: Party,
    pub kind: Kind,
}

/// How this run's network behaves.
#[derive(Clone, Copy, Debug)]
pub struct NetworkPlan {
    pub latency_max: Micros,
    pub dropped: Ratio,
    pub duplicated: Ratio,
    pub broadcast_lost: Ratio,
    pub delayed: Ratio,
    pub delay_max: Micros,
}

#[derive(Debug)]
pub struct Network {
    plan: NetworkPlan,
    dice: Dice,
    /// When the last message of each way arrives.
    busy_until: BTreeMap<Way, Micros>,
    partitioned_until: BTreeMap<ProcessId, Micros>,
}

impl Network {
    #[must_use]
    pub const fn new(plan: NetworkPlan, dice: Dice) -> Self {
        Self { plan, dice, busy_until: BTreeMap::new(), partitioned_until: BTreeMap::new() }
    }

    /// From now on nothing goes wrong that has not yet.
    pub fn heal(&mut self) {
        let latency_max = self.plan.latency_max.min(MILLI);
        let (never, delay_max) = (Ratio::NEVER, 0);
        self.plan = NetworkPlan {
            latency_max,
            dropped: never,
            duplicated: never,
            broadcast_lost: never,
            delayed: never,
            delay_max,
        };
        self.partitioned_until.clear();
    }

    pub fn partition(&mut self, process: ProcessId, until: Micros) {
        self.partitioned_until.insert(process, until);
    }

    #[must_use]
    pub fn is_partitioned(&self, now: Micros, process: ProcessId) -> bool {
        self.partitioned_until.get(&process).is_some_and(|until| now < *until)
    }

    /// Forgets the ways of a party that is gone.
    pub fn drop_party(&mut self, party: Party) {
        self.busy_until.retain(|way, _| way.from != party && way.to != party);
    }

    /// When a message sent now arrives: never, once or twice. `homes` are the processes of both
    /// ends.
    pub fn arrivals(
        &mut self,
        now: Micros,
        way: Way,
        homes: (ProcessId, ProcessId),
        faults: &mut FaultCounts,
    ) -> [Option<Micros>; 2] {
        let apart = |home| self.is_partitioned(now, home);
        if homes.0 != homes.1 && (apart(homes.0) || apart(homes.1)) {
            return [None, None];
        }
        match way.kind {
            Kind::Channel
                if self.dice.chance(self.plan.dropped) && faults.occurs(Fault::MessageDropped) =>
            {
                return [None, None];
            }
            Kind::Everyone
                if self.dice.chance(self.plan.broadcast_lost)
                    && faults.occurs(Fault::BroadcastLost) =>
            {
                return [None, None];
            }
            _ => {}
        }
        let first = self.arrival(now, way, faults);
        let twice = way.kind == Kind::Channel
            && self.dice.chance(self.plan.duplicated)
            && faults.occurs(Fault::MessageDuplicated);
        [Some(first), twice.then(|| self.arrival(now, way, faults))]
    }

    fn arrival(&mut self, now: Micros, way: Way, faults: &mut FaultCounts) -> Micros {
        let mut at = now + self.dice.between(10, self.plan.latency_max);
        if self.dice.chance(self.plan.delayed) && faults.occurs(Fault::LinkDelayed) {
            at += self.dice.between(MILLI, self.plan.delay_max);
        }
        let busy_until = self.busy_until.get(&way).copied().unwrap_or(0);
        let at = at.max(busy_until);
        self.busy_until.insert(way, at);
        let overtakes = [Kind::Channel, Kind::Socket, Kind::Everyone].into_iter().any(|kind| {
            kind != way.kind && self.busy_until.get(&Way { kind, ..way }).is_some_and(|t| *t > at)
        });
        if overtakes {
            faults.add(Fault::LinksReordered);
        }
        at
    }
}
