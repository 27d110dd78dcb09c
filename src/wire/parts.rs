//! What frames are made of.

use alloc::vec::Vec;

use crate::cbor::{Read, Reader, Write, structure, variants, write_uint};
use crate::error::Code;
use crate::id::{
    AudienceId, CallId, ClientId, ConsumerId, LaneId, LeaseNumber, LogId, MessageNumber,
    PublishNumber, QueueId, Sequence, Term,
};
use crate::time::UnixMillis;

structure! {
    /// One message as its producer gave it. The node does not look into either part.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Item<'a> {
        pub body: &'a [u8],
        /// An encoded `Properties`, or nothing.
        pub properties: Option<&'a [u8]>,
        /// Not delivered before this much time after the node stored it.
        pub delay_ms: Option<u64>,
        /// The producer wants to know what becomes of it: see `Track`.
        pub track: Option<bool>,
        /// It was in a queue before, of this log or of another.
        pub past: Option<Past<'a>>,
        /// It expires this much time after the node stored it, delayed or not. Not 0.
        pub ttl_ms: Option<u64>,
        /// Below the `priorities` of the queue. A higher one is delivered first; default 0.
        pub priority: Option<u32>,
        /// It is stored and hidden until its sender decides about it. Not in a transaction or a
        /// schedule, and not with a past.
        pub prepare: Option<Prepare>,
    }
}

structure! {
    /// How a message is prepared.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct Prepare {
        /// It is asked about if nobody decided for so long. Not 0. Default: the limit
        /// `prepared_check_after_ms`.
        pub check_after_ms: Option<u64>,
    }
}

structure! {
    /// What a message brings along from a queue that it was in before.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Past<'a> {
        /// Failed deliveries.
        pub attempts: u32,
        pub stored_at: UnixMillis,
        /// An encoded `History`, if it died before.
        pub deaths: Option<&'a [u8]>,
    }
}

structure! {
    /// What a transaction stores in one queue.
    #[derive(Clone, PartialEq, Eq, Debug)]
    pub struct Staged<'a> {
        pub queue: &'a str,
        pub items: Vec<Item<'a>>,
    }
}

structure! {
    /// A delivery that a transaction acknowledges.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Acked<'a> {
        pub lease: LeaseNumber,
        /// As in `Settlement::Ack`.
        pub value: Option<&'a [u8]>,
    }
}

structure! {
    /// What a producer may say about a message beside its body.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct Properties<'a> {
        /// The sender's own id, in place of lane and sequence.
        pub id: Option<&'a str>,
        /// A CBOR map from text to text, number or boolean.
        pub headers: Option<&'a [u8]>,
        pub key: Option<&'a str>,
        pub reply_to: Option<&'a str>,
        pub correlation_id: Option<&'a str>,
        pub traceparent: Option<&'a str>,
    }
}

structure! {
    /// An item of a send whose id its queue had got before, with the message `number`.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Duplicate {
        pub index: u32,
        pub number: MessageNumber,
    }
}

structure! {
    /// First frame of a link, from the client.
    #[derive(Clone, PartialEq, Eq, Debug)]
    pub struct Hello<'a> {
        pub version_min: u16,
        pub version_max: u16,
        /// Feature bits the client understands.
        pub features: u64,
        /// The log the client last met; `None` at its first Hello.
        pub log: Option<LogId>,
        /// The lane to go on with, or zero.
        pub lane: LaneId,
        /// Every send up to here was confirmed to the client.
        pub confirmed: Sequence,
        /// The lowest send that is still without an answer, or the next one to be given. All below
        /// were confirmed or refused, so the node may count them as used up.
        pub floor: Sequence,
        /// Set if the client lost its memory: it holds no lease, runs no call and waits for none.
        pub fresh: bool,
        /// Name and tags for `peers`; opaque to the node.
        pub peer: &'a [u8],
        /// Leases the client holds. The node delivers again those it does not name.
        pub leases: Vec<LeaseNumber>,
        /// Calls the client is serving or has served without an acknowledged reply.
        pub serving: Vec<CallKey>,
        /// Terms the client holds. The node ends every other term of this client.
        pub terms: Vec<Term>,
        /// The newest live message of this client that a node has heard, with all before it. A new
        /// node knows no numbers; it goes on from here.
        pub published: Option<Reached>,
    }
}

structure! {
    /// A call, the same for every node: its caller and the caller's number.
    #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
    pub struct CallKey {
        pub caller: ClientId,
        pub call: CallId,
    }
}

structure! {
    /// The node's answer to Hello. All earlier links of the client are over.
    #[derive(Clone, PartialEq, Eq, Debug)]
    pub struct Welcome {
        pub version: u16,
        pub features: u64,
        pub log: LogId,
        /// The client's lane: the one it named, or a new one that is stored.
        pub lane: LaneId,
        /// The last send of the lane that was used up.
        pub position: Sequence,
        /// The lane the client named goes on. If not, sends of that lane without an answer are in
        /// doubt: they may or may not be stored.
        pub resumed: bool,
        /// The log has lost sends that were confirmed to this client.
        pub rolled_back: bool,
        /// The newest number of each publisher, so that a gap at the start shows.
        pub newest: Vec<Newest>,
        /// Leases the client named that are not alive.
        pub stale: Vec<LeaseNumber>,
        /// What the node's storage promises; see `StorageReport`.
        pub storage: StorageReport,
        /// Bounds of the node that a client keeps to.
        pub body_bytes_max: u32,
        /// Where the node runs; `None` if it is too old to tell.
        pub host: Option<crate::options::HostKind>,
        /// If it is `rolled_back`: the last send of the lane the client named that is not lost.
        pub kept: Option<Sequence>,
        /// What a hub grants to the socket, if it grants.
        pub grant: Option<GrantReport>,
        /// Who hears what comes on the socket of this link, if the client knows of audiences: it
        /// says `Listen`, and hears everything until `Resumed`.
        pub audience: Option<AudienceId>,
    }
}

structure! {
    /// What a client is told of the grant that it has.
    #[derive(Clone, PartialEq, Eq, Debug)]
    pub struct GrantReport {
        pub user: alloc::string::String,
        /// Time left, from when this was said. It is for ever without.
        pub ends_in_ms: Option<u64>,
    }
}

structure! {
    /// What the node's storage promises.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct StorageReport {
        /// Bytes outlive the process.
        pub persistent: bool,
        /// The epoch is compared inside each write.
        pub fenced: bool,
        /// The strongest level a send may ask for.
        pub durability_max: crate::options::Durability,
    }
}

structure! {
    /// The newest live publish of one publisher.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Newest {
        pub publisher: ClientId,
        pub number: PublishNumber,
        /// How many messages of the same run came before this number.
        pub index: u64,
    }
}

impl Newest {
    /// The first number of the run.
    #[must_use]
    pub const fn first(&self) -> PublishNumber {
        PublishNumber(self.number.0.saturating_sub(self.index))
    }
}

structure! {
    /// A place in a run of live messages.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Reached {
        pub number: PublishNumber,
        /// How many messages of the same run came before this number.
        pub index: u64,
    }
}

structure! {
    /// A live message, as its publisher posts it and as the node repeats it.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Live<'a> {
        pub publisher: ClientId,
        pub number: PublishNumber,
        /// How many messages of the same run came before. A reloaded page keeps its name and starts
        /// a new run; what lies between two runs is no gap. Always told, so that who hears of a
        /// publisher for the first time knows how much of it was missed.
        pub index: u64,
        pub topic: &'a str,
        pub body: &'a [u8],
        pub properties: Option<&'a [u8]>,
    }
}

impl Live<'_> {
    /// The first number of the run.
    #[must_use]
    pub const fn first(&self) -> PublishNumber {
        PublishNumber(self.number.0.saturating_sub(self.index))
    }

    /// Its place among those of its publisher, and nothing of what it says. No filter that clients
    /// match themselves stands for the topic.
    #[must_use]
    pub const fn veiled(&self) -> Self {
        Self { topic: VEIL, body: &[], properties: None, ..*self }
    }

    #[must_use]
    pub fn is_veiled(&self) -> bool {
        self.topic == VEIL && self.body.is_empty() && self.properties.is_none()
    }
}

/// The topic of a live message that its reader may not see.
const VEIL: &str = "$tabmq";

variants! {
    /// What a consumer does with one delivery.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub enum Settlement<'a> {
        /// Processed. `value`: what the handler returned, if the delivery says that its producer
        /// wants it.
        1 => Ack {
            value: Option<&'a [u8]>,
        },
        /// Failed: deliver again, after `after_ms` or the queue's backoff. Counts as an attempt.
        2 => Retry {
            after_ms: Option<u64>,
            reason: Option<&'a str>,
        },
        /// To the dead-letter queue, with the reason.
        3 => Reject {
            reason: Option<&'a str>,
        },
        /// Given back in its place. Not a failure, not counted.
        4 => Release,
        /// The lease starts again, for `lease_ms` or the queue's length.
        5 => Extend {
            lease_ms: Option<u64>,
        },
    }
}

variants! {
    /// What became of a tracked message.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub enum Tracking<'a> {
        /// A consumer got it.
        1 => Delivered,
        /// It was acknowledged, with what its handler returned.
        2 => Processed {
            value: Option<&'a [u8]>,
        },
        /// It was dead-lettered, expired or discarded.
        3 => Failed {
            code: Code,
            reason: &'a str,
        },
    }
}

variants! {
    /// The end of a call, as the caller sees it.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub enum Outcome<'a> {
        /// The method returned.
        1 => Value(&'a [u8]),
        /// The method threw; the body is an encoded error.
        2 => Threw(&'a [u8]),
        /// tabmq ended the call.
        3 => Failed {
            code: Code,
            maybe_executed: bool,
        },
    }
}

structure! {
    /// One message under one lease.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Delivery<'a> {
        pub consumer: ConsumerId,
        pub lease: LeaseNumber,
        /// 1 for the first delivery.
        pub attempt: u32,
        pub number: MessageNumber,
        /// Lane and sequence of the send, and the item's index in it: the message's id unless
        /// `properties` has one.
        pub lane: LaneId,
        pub sequence: Sequence,
        pub index: u32,
        pub stored_at: UnixMillis,
        pub lease_ms: u64,
        pub body: &'a [u8],
        pub properties: Option<&'a [u8]>,
        /// Why the message is in a dead-letter queue.
        pub dead_reason: Option<&'a str>,
        /// How long the body is, if it stays at the node.
        pub body_bytes: Option<u32>,
        /// Its producer wants what the handler returns.
        pub tracked: Option<bool>,
        /// An encoded `History`, if the message died before.
        pub deaths: Option<&'a [u8]>,
        /// Who sent it, as the node knows it; absent if the sender left so long ago that it is
        /// forgotten.
        pub sender: Option<ClientId>,
        /// As it was sent, if it is not 0.
        pub priority: Option<u32>,
    }
}

structure! {
    /// Which page of a queue to look at.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Browse {
        /// Messages with a higher number, in order.
        pub after: MessageNumber,
        /// At most so many, and at most `batch_items_max`.
        pub messages_max: u32,
        /// Those that wait for a time as well.
        pub delayed: bool,
        /// Those that are delivered and not settled as well.
        pub leased: bool,
        /// Without bodies.
        pub headers_only: bool,
    }
}

/// What becomes of a message of a queue next.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum QueuePlace {
    Ready,
    Delayed,
    Leased,
    /// It is hidden until somebody decides. Only who is asked about it sees it.
    Prepared,
}

/// A place is its number, without an array around it.
impl Read<'_> for QueuePlace {
    fn read(reader: &mut Reader<'_>) -> Self {
        match reader.uint(3) {
            0 => Self::Ready,
            1 => Self::Delayed,
            2 => Self::Leased,
            _ => Self::Prepared,
        }
    }
}

impl Write for QueuePlace {
    fn write(&self, out: &mut Vec<u8>) {
        write_uint(out, *self as u64);
    }
}

structure! {
    /// One message as a browser sees it.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct QueueMessage<'a> {
        pub number: MessageNumber,
        pub place: QueuePlace,
        /// Failed deliveries.
        pub attempts: u32,
        pub lane: LaneId,
        pub sequence: Sequence,
        pub index: u32,
        pub stored_at: UnixMillis,
        pub due_at: Option<UnixMillis>,
        pub body_bytes: u32,
        pub body: &'a [u8],
        pub properties: Option<&'a [u8]>,
        pub dead_reason: Option<&'a str>,
        /// An encoded `History`, if the message died before.
        pub deaths: Option<&'a [u8]>,
        /// When it expires, if it does.
        pub expires_at: Option<UnixMillis>,
        /// Who sent it, as in a delivery.
        pub sender: Option<ClientId>,
        /// As it was sent, if it is not 0.
        pub priority: Option<u32>,
    }
}

structure! {
    /// One peer as the others see it.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct PeerEntry<'a> {
        pub client: ClientId,
        pub peer: &'a [u8],
    }
}

structure! {
    /// The state of a queue in numbers.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct QueueCounts {
        /// Could be delivered now.
        pub ready: u64,
        /// Waits for a time.
        pub delayed: u64,
        /// Is delivered and not settled.
        pub leased: u64,
        pub consumers: u32,
        /// Since the log began: stored, acknowledged, delivered again, dead-lettered, discarded.
        pub sent_total: u64,
        pub acked_total: u64,
        pub redelivered_total: u64,
        pub dead_lettered_total: u64,
        pub discarded_total: u64,
        /// Nothing is delivered.
        pub paused: bool,
        /// Tells this queue from one that had its name before.
        pub id: QueueId,
        /// The newest message of the log.
        pub newest: MessageNumber,
        /// Hidden until somebody decides about it. They take up room as others do. Absent if there
        /// is none.
        pub prepared: Option<u64>,
    }
}
