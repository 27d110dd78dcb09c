//! What frames are made of.

use alloc::vec::Vec;

use minicbor::{Decode, Encode};

use crate::error::Code;
use crate::id::{
    CallId, ClientId, ConsumerId, LaneId, LeaseNumber, LogId, MessageNumber, PublishNumber,
    Sequence, Term,
};
use crate::time::UnixMillis;

/// One message as its producer gave it. The node does not look into either part.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(array)]
pub struct Item<'a> {
    #[cbor(b(0), with = "minicbor::bytes")]
    pub body: &'a [u8],
    /// An encoded `Properties`, or nothing.
    #[cbor(b(1), with = "minicbor::bytes")]
    pub properties: Option<&'a [u8]>,
    /// Not delivered before this much time after the node stored it.
    #[n(2)]
    pub delay_ms: Option<u64>,
}

/// What a producer may say about a message beside its body.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Encode, Decode)]
#[cbor(array)]
pub struct Properties<'a> {
    /// The sender's own id, in place of lane and sequence.
    #[b(0)]
    pub id: Option<&'a str>,
    /// A CBOR map from text to text, number or boolean.
    #[cbor(b(1), with = "minicbor::bytes")]
    pub headers: Option<&'a [u8]>,
    #[b(2)]
    pub key: Option<&'a str>,
    #[b(3)]
    pub reply_to: Option<&'a str>,
    #[b(4)]
    pub correlation_id: Option<&'a str>,
    #[b(5)]
    pub traceparent: Option<&'a str>,
}

/// First frame of a link, from the client.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(array)]
pub struct Hello<'a> {
    #[n(0)]
    pub version_min: u16,
    #[n(1)]
    pub version_max: u16,
    /// Feature bits the client understands.
    #[n(2)]
    pub features: u64,
    /// The log the client last met; `None` at its first Hello.
    #[n(3)]
    pub log: Option<LogId>,
    /// The lane to go on with, or zero.
    #[n(4)]
    pub lane: LaneId,
    /// Every send up to here was confirmed to the client.
    #[n(5)]
    pub confirmed: Sequence,
    /// The lowest send that is still without an answer, or the next one to be given. All below
    /// were confirmed or refused, so the node may count them as used up.
    #[n(6)]
    pub floor: Sequence,
    /// Set if the client lost its memory: it holds no lease, runs no call and waits for none.
    #[n(7)]
    pub fresh: bool,
    /// Name and tags for `peers`; opaque to the node.
    #[cbor(b(8), with = "minicbor::bytes")]
    pub peer: &'a [u8],
    /// Leases the client holds. The node delivers again those it does not name.
    #[n(9)]
    pub leases: Vec<LeaseNumber>,
    /// Calls the client is serving or has served without an acknowledged reply.
    #[n(10)]
    pub serving: Vec<CallKey>,
    /// Terms the client holds. The node ends every other term of this client.
    #[n(11)]
    pub terms: Vec<Term>,
}

/// A call, the same for every node: its caller and the caller's number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Encode, Decode)]
#[cbor(array)]
pub struct CallKey {
    #[n(0)]
    pub caller: ClientId,
    #[n(1)]
    pub call: CallId,
}

/// The node's answer to Hello. All earlier links of the client are over.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(array)]
pub struct Welcome {
    #[n(0)]
    pub version: u16,
    #[n(1)]
    pub features: u64,
    #[n(2)]
    pub log: LogId,
    /// The client's lane: the one it named, or a new one that is stored.
    #[n(3)]
    pub lane: LaneId,
    /// The last send of the lane that was used up.
    #[n(4)]
    pub position: Sequence,
    /// The lane the client named goes on. If not, sends of that lane without an answer are in
    /// doubt: they may or may not be stored.
    #[n(5)]
    pub resumed: bool,
    /// The log has lost sends that were confirmed to this client.
    #[n(6)]
    pub rolled_back: bool,
    /// The newest number of each publisher, so that a gap at the start shows.
    #[n(7)]
    pub newest: Vec<Newest>,
    /// Leases the client named that are not alive.
    #[n(8)]
    pub stale: Vec<LeaseNumber>,
    /// What the node's storage promises; see `StorageReport`.
    #[n(9)]
    pub storage: StorageReport,
    /// Bounds of the node that a client keeps to.
    #[n(10)]
    pub body_bytes_max: u32,
}

/// What the node's storage promises.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(array)]
pub struct StorageReport {
    /// Bytes outlive the process.
    #[n(0)]
    pub persistent: bool,
    /// The epoch is compared inside each write.
    #[n(1)]
    pub fenced: bool,
    /// The strongest level a send may ask for.
    #[n(2)]
    pub durability_max: crate::options::Durability,
}

/// The newest live publish of one publisher.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(array)]
pub struct Newest {
    #[n(0)]
    pub publisher: ClientId,
    #[n(1)]
    pub number: PublishNumber,
}

/// A live message, as its publisher posts it and as the node repeats it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(array)]
pub struct Live<'a> {
    #[n(0)]
    pub publisher: ClientId,
    #[n(1)]
    pub number: PublishNumber,
    #[b(2)]
    pub topic: &'a str,
    #[cbor(b(3), with = "minicbor::bytes")]
    pub body: &'a [u8],
    #[cbor(b(4), with = "minicbor::bytes")]
    pub properties: Option<&'a [u8]>,
    /// The first number of this run of the publisher, set until a node has heard one of it. A
    /// reloaded page keeps its name and starts a new run; what lies between two runs is no gap.
    #[n(5)]
    pub first: Option<PublishNumber>,
}

/// What a consumer does with one delivery.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(flat)]
pub enum Settlement<'a> {
    /// Processed. `value` is for later: what the handler returned.
    #[n(1)]
    Ack,
    /// Failed: deliver again, after `after_ms` or the queue's backoff. Counts as an attempt.
    #[n(2)]
    Retry {
        #[n(0)]
        after_ms: Option<u64>,
        #[b(1)]
        reason: Option<&'a str>,
    },
    /// To the dead-letter queue, with the reason.
    #[n(3)]
    Reject {
        #[b(0)]
        reason: Option<&'a str>,
    },
    /// Given back in its place. Not a failure, not counted.
    #[n(4)]
    Release,
    /// The lease starts again, for `lease_ms` or the queue's length.
    #[n(5)]
    Extend {
        #[n(0)]
        lease_ms: Option<u64>,
    },
}

/// The end of a call, as the caller sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(flat)]
pub enum Outcome<'a> {
    /// The method returned.
    #[n(1)]
    Value(#[cbor(b(0), with = "minicbor::bytes")] &'a [u8]),
    /// The method threw; the body is an encoded error.
    #[n(2)]
    Threw(#[cbor(b(0), with = "minicbor::bytes")] &'a [u8]),
    /// tabmq ended the call.
    #[n(3)]
    Failed {
        #[n(0)]
        code: Code,
        #[n(1)]
        maybe_executed: bool,
    },
}

/// One message under one lease.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(array)]
pub struct Delivery<'a> {
    #[n(0)]
    pub consumer: ConsumerId,
    #[n(1)]
    pub lease: LeaseNumber,
    /// 1 for the first delivery.
    #[n(2)]
    pub attempt: u32,
    #[n(3)]
    pub number: MessageNumber,
    /// Lane and sequence of the send, and the item's index in it: the message's id unless
    /// `properties` has one.
    #[n(4)]
    pub lane: LaneId,
    #[n(5)]
    pub sequence: Sequence,
    #[n(6)]
    pub index: u32,
    #[n(7)]
    pub stored_at: UnixMillis,
    #[n(8)]
    pub lease_ms: u64,
    #[cbor(b(9), with = "minicbor::bytes")]
    pub body: &'a [u8],
    #[cbor(b(10), with = "minicbor::bytes")]
    pub properties: Option<&'a [u8]>,
    /// Why the message is in a dead-letter queue.
    #[b(11)]
    pub dead_reason: Option<&'a str>,
}

/// One peer as the others see it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(array)]
pub struct PeerEntry<'a> {
    #[n(0)]
    pub client: ClientId,
    #[cbor(b(1), with = "minicbor::bytes")]
    pub peer: &'a [u8],
}

/// The state of a queue in numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Encode, Decode)]
#[cbor(array)]
pub struct QueueCounts {
    /// Could be delivered now.
    #[n(0)]
    pub ready: u64,
    /// Waits for a time.
    #[n(1)]
    pub delayed: u64,
    /// Is delivered and not settled.
    #[n(2)]
    pub leased: u64,
    #[n(3)]
    pub consumers: u32,
    /// Since the log began: stored, acknowledged, delivered again, dead-lettered, discarded.
    #[n(4)]
    pub sent_total: u64,
    #[n(5)]
    pub acked_total: u64,
    #[n(6)]
    pub redelivered_total: u64,
    #[n(7)]
    pub dead_lettered_total: u64,
    #[n(8)]
    pub discarded_total: u64,
}
