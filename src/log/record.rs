//! The closed list of records. A checkpoint is made of the same records as the log, plus those
//! marked "checkpoint": replaying its pages and then the tail rebuilds the broker.

use alloc::vec::Vec;

use minicbor::{Decode, Encode};

use crate::error::Code;
use crate::id::{
    ChunkNumber, ClientId, ConsumerId, LaneId, LeaseNumber, MessageNumber, QueueId, Sequence, Term,
};
use crate::options::QueueOptions;
use crate::time::UnixMillis;

/// Where a record starts: the chunk and the byte inside it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Encode, Decode)]
#[cbor(array)]
pub struct Place {
    #[n(0)]
    pub chunk: ChunkNumber,
    #[n(1)]
    pub offset: u32,
}

/// How a lease ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(flat)]
pub enum LeaseEnd<'a> {
    /// Processed: the message leaves the queue.
    #[n(1)]
    Acked,
    /// Back to its place, not counted as an attempt.
    #[n(2)]
    Released,
    /// Counted; ready again at `due_at`, at once if absent.
    #[n(3)]
    Failed {
        #[n(0)]
        due_at: Option<UnixMillis>,
    },
    /// Counted and moved to the queue `into`, in the same record.
    #[n(4)]
    DeadLettered {
        #[n(0)]
        into: QueueId,
        #[b(1)]
        reason: &'a str,
    },
    /// Counted and gone: the queue declares no dead-letter queue.
    #[n(5)]
    Discarded {
        #[b(0)]
        reason: &'a str,
    },
}

/// One entry of the log.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(flat)]
pub enum Record<'a> {
    /// A stored message and its body. Moves its lane to `sequence`.
    #[n(1)]
    Message(#[b(0)] StoredMessage<'a>),
    /// A delivery began.
    #[n(2)]
    Leased {
        #[n(0)]
        lease: LeaseNumber,
        #[n(1)]
        queue: QueueId,
        #[n(2)]
        number: MessageNumber,
        #[n(3)]
        client: ClientId,
        #[n(4)]
        lease_ms: u64,
        #[n(5)]
        attempt: u32,
        #[n(6)]
        consumer: ConsumerId,
    },
    /// It ended.
    #[n(3)]
    Ended {
        #[n(0)]
        lease: LeaseNumber,
        #[cbor(b(1), with = "crate::cbor::variant")]
        end: LeaseEnd<'a>,
        /// The holder ended it: the same settlement, sent again, is confirmed again. Otherwise
        /// it expired or its holder died, and a late settlement is refused.
        #[n(2)]
        by_holder: bool,
    },
    /// The lease starts again with this length.
    #[n(4)]
    Extended {
        #[n(0)]
        lease: LeaseNumber,
        #[n(1)]
        lease_ms: u64,
    },
    /// A queue exists with these options from here on; on a known id, its options changed.
    #[n(5)]
    Declared {
        #[n(0)]
        queue: QueueId,
        #[b(1)]
        name: &'a str,
        #[n(2)]
        options: QueueOptions,
    },
    /// A lane was issued to a client, or (checkpoint) stands at `position`.
    #[n(6)]
    LaneOpened {
        #[n(0)]
        lane: LaneId,
        #[n(1)]
        client: ClientId,
        #[n(2)]
        position: Sequence,
        #[n(3)]
        used_at: UnixMillis,
    },
    /// Numbers up to `position` are used up without a message: given up, or, with a code, the
    /// send `position` was refused, and is refused again if it comes again.
    #[n(7)]
    LaneVoid {
        #[n(0)]
        lane: LaneId,
        #[n(1)]
        position: Sequence,
        #[n(2)]
        refused: Option<Code>,
    },
    /// The lane was let go. Its number is not issued again.
    #[n(8)]
    LaneClosed {
        #[n(0)]
        lane: LaneId,
    },
    /// A client leads a role from here on, under a term that no earlier one reached.
    #[n(9)]
    TermBegan {
        #[b(0)]
        role: &'a str,
        #[n(1)]
        term: Term,
        #[n(2)]
        client: ClientId,
    },
    /// Nobody leads the role.
    #[n(10)]
    TermEnded {
        #[b(0)]
        role: &'a str,
    },
    /// Checkpoint: a live message whose body is at `place`.
    #[n(20)]
    Kept {
        #[n(0)]
        queue: QueueId,
        #[n(1)]
        number: MessageNumber,
        #[n(2)]
        place: Place,
        #[n(3)]
        body_bytes: u32,
        #[n(4)]
        attempts: u32,
        #[n(5)]
        due_at: Option<UnixMillis>,
        #[b(6)]
        dead_reason: Option<&'a str>,
    },
    /// Checkpoint: the next number of each kind.
    #[n(21)]
    Counters {
        #[n(0)]
        queue: QueueId,
        #[n(1)]
        lane: LaneId,
        #[n(2)]
        message: MessageNumber,
        #[n(3)]
        lease: LeaseNumber,
        #[n(4)]
        term: Term,
    },
    /// Checkpoint: leases that this client settled lately, so that a settlement it sends again is
    /// recognized.
    #[n(23)]
    SettledLately {
        #[n(0)]
        client: ClientId,
        #[n(1)]
        leases: Vec<LeaseNumber>,
    },
    /// Checkpoint: totals of a queue since the log began, in the order of `QueueCounts`.
    #[n(22)]
    Totals {
        #[n(0)]
        queue: QueueId,
        #[n(1)]
        sent: u64,
        #[n(2)]
        acked: u64,
        #[n(3)]
        redelivered: u64,
        #[n(4)]
        dead_lettered: u64,
        #[n(5)]
        discarded: u64,
    },
}

/// A message as the log keeps it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(array)]
pub struct StoredMessage<'a> {
    #[n(0)]
    pub queue: QueueId,
    #[n(1)]
    pub number: MessageNumber,
    #[n(2)]
    pub lane: LaneId,
    #[n(3)]
    pub sequence: Sequence,
    /// Position among the items of its send.
    #[n(4)]
    pub index: u32,
    #[n(5)]
    pub stored_at: UnixMillis,
    #[n(6)]
    pub due_at: Option<UnixMillis>,
    #[cbor(b(7), with = "minicbor::bytes")]
    pub body: &'a [u8],
    #[cbor(b(8), with = "minicbor::bytes")]
    pub properties: Option<&'a [u8]>,
}
