//! What the checkers see: everything that happens in a run, in order.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::client::io::Event;
use crate::id::{
    CallId, CandidateId, CheckerId, ClientId, ConsumerId, Epoch, LaneId, LeaseNumber,
    MessageNumber, PublishNumber, RequestId, ServiceId, SubscriptionId, WatchId,
};
use crate::log::{Place, Record};
use crate::options::{Durability, QueueOptions};
use crate::sim::hub::scope::Scope;
use crate::sim::model::Model;
use crate::sim::outbox;
use crate::sim::schedule::Micros;
use crate::wire::frame::{CallKey, Frame};

/// One process of a tab. Never used again; a reload is another process with the same client.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct ProcessId(pub u32);

/// One node. Never used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct NodeId(pub u32);

/// What tells one message, publish or call of a run from all others. It is the head of its body.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Tag {
    pub process: ProcessId,
    /// Increasing in the order the process asked.
    pub serial: u32,
}

impl Tag {
    const BYTES: usize = 8;

    /// The next one of a process that has given out as many as `serial` says.
    pub(super) const fn next(process: ProcessId, serial: &mut u32) -> Self {
        *serial += 1;
        Self { process, serial: *serial }
    }

    /// A body that names this tag, at least as long as the tag itself.
    #[must_use]
    pub fn body(self, bytes: usize) -> Vec<u8> {
        let mut body = Vec::with_capacity(bytes.max(Self::BYTES));
        body.extend_from_slice(&self.process.0.to_be_bytes());
        body.extend_from_slice(&self.serial.to_be_bytes());
        while body.len() < bytes {
            body.push(self.filler(body.len()));
        }
        body
    }

    /// The tag of a body, if every byte of it is as `body` made it.
    #[must_use]
    pub fn of(body: &[u8]) -> Option<Self> {
        let process = ProcessId(u32::from_be_bytes(body.get(..4)?.try_into().ok()?));
        let serial = u32::from_be_bytes(body.get(4..8)?.try_into().ok()?);
        let tag = Self { process, serial };
        let whole =
            body.iter().enumerate().skip(Self::BYTES).all(|(i, byte)| *byte == tag.filler(i));
        whole.then_some(tag)
    }

    /// The tag of a message in a queue. Those of a schedule have one body and tags of their own.
    #[must_use]
    pub fn of_message(body: &[u8], lane: LaneId, number: MessageNumber) -> Option<Self> {
        let tag = Self::of(body)?;
        let serial = u32::try_from(number.0).unwrap_or(u32::MAX);
        Some(if lane == LaneId(0) { Self { process: ProcessId(u32::MAX), serial } } else { tag })
    }

    const fn filler(self, index: usize) -> u8 {
        (self.serial as u8).wrapping_mul(31).wrapping_add(index as u8)
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.process.0, self.serial)
    }
}

/// What the user of a process does with a delivery.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Act {
    Ack,
    Retry,
    Reject,
    Release,
    Extend,
}

/// A verb that the user of a process called, and that the client took.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ask {
    Send {
        request: RequestId,
        queue: String,
        tags: Vec<Tag>,
        /// Their ids; empty if they have none.
        ids: Vec<String>,
        durability: Option<Durability>,
    },
    /// Stores a message that waits for a decision.
    Prepare {
        request: RequestId,
        tag: Tag,
    },
    Decide {
        request: RequestId,
        queue: String,
        id: String,
        commit: bool,
    },
    /// May be asked about prepared messages.
    Check {
        checker: CheckerId,
    },
    EndCheck {
        checker: CheckerId,
    },
    Declare {
        request: RequestId,
        queue: String,
        options: Box<QueueOptions>,
    },
    Inspect {
        request: RequestId,
        queue: String,
    },
    /// Pauses, empties, deletes or looks into a queue.
    Operate {
        request: RequestId,
        queue: String,
    },
    /// Asks what becomes of a message.
    Track {
        request: RequestId,
        tag: Tag,
    },
    Redrive {
        request: RequestId,
    },
    CancelRedrive {
        request: RequestId,
    },
    Watch {
        watch: WatchId,
        queue: String,
    },
    Unwatch {
        watch: WatchId,
    },
    Settle {
        request: RequestId,
        lease: LeaseNumber,
        act: Act,
    },
    /// Gives on what it made of a delivery, and is done with it.
    Commit {
        request: RequestId,
        lease: LeaseNumber,
        tags: Vec<Tag>,
    },
    Flush {
        request: RequestId,
    },
    Publish {
        request: RequestId,
        topic: String,
        tag: Tag,
    },
    Subscribe {
        subscription: SubscriptionId,
        filter: String,
        group: Option<String>,
    },
    Unsubscribe {
        subscription: SubscriptionId,
    },
    Consume {
        consumer: ConsumerId,
        queue: String,
    },
    CancelConsumer {
        consumer: ConsumerId,
    },
    Serve {
        service: ServiceId,
        name: String,
    },
    Unserve {
        service: ServiceId,
    },
    Call {
        call: CallId,
        tag: Tag,
        timeout_ms: u64,
    },
    CancelCall {
        call: CallId,
    },
    Reply {
        key: CallKey,
    },
    Lead {
        candidate: CandidateId,
        role: String,
    },
    Resign {
        candidate: CandidateId,
    },
    Close,
}

/// One thing that happened.
#[derive(Clone, Copy, Debug)]
pub enum Fact<'a> {
    Began {
        process: ProcessId,
        client: ClientId,
    },
    Ended {
        process: ProcessId,
    },
    /// A send of this process is written down.
    WrittenDown {
        process: ProcessId,
        request: RequestId,
        place: outbox::Place,
    },
    /// The client says that what is written down there failed.
    GivenUp {
        place: outbox::Place,
    },
    /// What was written down there is over.
    Erased {
        place: outbox::Place,
    },
    /// Went into the cache of the browser, and may come back: then it thaws.
    Parked {
        process: ProcessId,
    },
    Froze {
        process: ProcessId,
    },
    Thawed {
        process: ProcessId,
    },
    /// Out of view: its timers come late.
    Hidden {
        process: ProcessId,
    },
    Shown {
        process: ProcessId,
    },
    /// Nothing reaches the process or leaves it until then.
    Partitioned {
        process: ProcessId,
        until: Micros,
    },
    /// From now on this is what the user of the device of this process may do at the hub.
    Granted {
        process: ProcessId,
        device: usize,
        scope: &'a Scope,
    },
    Asked {
        process: ProcessId,
        ask: &'a Ask,
    },
    Told {
        process: ProcessId,
        event: &'a Event,
    },
    /// A live publish leaves its publisher; the same one may leave again.
    Posted {
        process: ProcessId,
        number: PublishNumber,
        tag: Tag,
    },
    /// A chunk of this node was stored; the model has it already.
    Stored {
        node: NodeId,
        epoch: Epoch,
        records: &'a [(Place, Record<'a>)],
    },
    /// A write was accepted, of a chunk or of something else: that which makes room, if it has no
    /// records.
    Accepted {
        node: NodeId,
        epoch: Epoch,
        records: bool,
    },
    /// Commits that were not flushed are gone.
    TailLost {
        before: &'a Model,
        after: &'a Model,
    },
    /// A frame for one client leaves a node.
    Left {
        node: NodeId,
        client: ClientId,
        frame: &'a Frame<'a>,
    },
    Serves {
        node: NodeId,
        epoch: Epoch,
    },
    NodeEnded {
        node: NodeId,
    },
    /// No fault occurs from here on.
    Healed,
}
