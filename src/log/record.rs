//! The closed list of records. A checkpoint is made of the same records as the log, plus those
//! marked "checkpoint": replaying its pages and then the tail rebuilds the broker.

use alloc::vec::Vec;

use crate::cbor::{structure, variants};
use crate::error::Code;
use crate::id::{
    ChunkNumber, ClientId, ConsumerId, LaneId, LeaseNumber, MessageNumber, QueueId, RequestId,
    Sequence, Term,
};
use crate::options::QueueOptions;
use crate::time::UnixMillis;
use crate::wire::frame::{Firing, Past, Policy, Reason, Scheduling};

structure! {
    /// Where a record starts: the chunk and the byte inside it.
    #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
    pub struct Place {
        pub chunk: ChunkNumber,
        pub offset: u32,
    }
}

variants! {
    /// How a lease ended.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub enum LeaseEnd<'a> {
        /// Processed: the message leaves the queue. The value is there if its producer wants it.
        1 => Acked {
            value: Option<&'a [u8]>,
        },
        /// Back to its place, not counted as an attempt.
        2 => Released,
        /// Counted; ready again at `due_at`, at once if absent.
        3 => Failed {
            due_at: Option<UnixMillis>,
        },
        /// Counted and moved to the queue `into`, in the same record. The wall clock read `at`.
        4 => DeadLettered {
            into: QueueId,
            reason: Reason,
            /// What the consumer said.
            note: Option<&'a str>,
            at: UnixMillis,
        },
        /// Counted and gone: the queue declares no dead-letter queue.
        5 => Discarded {
            reason: &'a str,
        },
    }
}

variants! {
    /// How a message that nobody held left its queue.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub enum Removal<'a> {
        /// Gone, by the rule that the reason names.
        1 => Discarded {
            reason: &'a str,
        },
        /// Moved to the queue `into`, in the same record. The wall clock read `at`.
        2 => DeadLettered {
            into: QueueId,
            reason: Reason,
            at: UnixMillis,
        },
        /// Gone, for it outlived its time to live. The wall clock read `at`.
        3 => Expired {
            at: UnixMillis,
        },
    }
}

variants! {
    /// What became of a prepared message.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub enum Decision {
        /// It is sent, under this number.
        1 => Committed {
            number: MessageNumber,
        },
        /// It was to be sent, and its queue remembers its id from this message. It is gone.
        2 => Repeated {
            original: MessageNumber,
        },
        /// It is gone, as was asked for.
        3 => RolledBack,
        /// It is gone: whoever was asked about it gave no answer, time after time.
        4 => Unanswered,
        /// It is gone: nobody decided for too long.
        5 => TooOld,
    }
}

variants! {
    /// What became of a message, for its producer.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub enum TrackEnd<'a> {
        /// Its handler returned this.
        1 => Processed {
            value: Option<&'a [u8]>,
        },
        /// It was dead-lettered, discarded or expired.
        2 => Failed {
            code: Code,
            reason: &'a str,
        },
    }
}

variants! {
    /// One entry of the log.
    #[derive(Clone, PartialEq, Eq, Debug)]
    pub enum Record<'a> {
        /// A stored message and its body. Moves its lane to `sequence`.
        1 => Message(StoredMessage<'a>),
        /// A delivery began.
        2 => Leased {
            lease: LeaseNumber,
            queue: QueueId,
            number: MessageNumber,
            client: ClientId,
            lease_ms: u64,
            attempt: u32,
            consumer: ConsumerId,
        },
        /// It ended.
        3 => Ended {
            lease: LeaseNumber,
            end: LeaseEnd<'a>,
            /// The holder ended it: the same settlement, sent again, is confirmed again. Otherwise
            /// it expired or its holder died, and a late settlement is refused.
            by_holder: bool,
        },
        /// The lease starts again with this length.
        4 => Extended {
            lease: LeaseNumber,
            lease_ms: u64,
        },
        /// A queue exists with these options from here on; on a known id, its options changed.
        5 => Declared {
            queue: QueueId,
            name: &'a str,
            options: QueueOptions,
            /// The only client that may take from it.
            owner: Option<ClientId>,
        },
        /// A lane was issued to a client, or (checkpoint) stands at `position`.
        6 => LaneOpened {
            lane: LaneId,
            client: ClientId,
            position: Sequence,
            /// The only user who may come as that client, if it came by a grant.
            user: Option<&'a str>,
        },
        /// Numbers up to `position` are used up without a message: given up, or, with a code, the
        /// send `position` was refused, and is refused again if it comes again.
        7 => LaneVoid {
            lane: LaneId,
            position: Sequence,
            refused: Option<Code>,
        },
        /// The lane was let go. Its number is not issued again.
        8 => LaneClosed {
            lane: LaneId,
        },
        /// A client leads a role from here on, under a term that no earlier one reached.
        9 => TermBegan {
            role: &'a str,
            term: Term,
            client: ClientId,
        },
        /// Nobody leads the role.
        10 => TermEnded {
            role: &'a str,
        },
        /// A message that was ready or delayed left its queue without a delivery.
        11 => Removed {
            queue: QueueId,
            number: MessageNumber,
            removal: Removal<'a>,
        },
        /// The queue is gone, and with it its messages and their leases.
        12 => Deleted {
            queue: QueueId,
        },
        /// Nothing is delivered from the queue, until the time if one is given; or it is again.
        13 => Paused {
            queue: QueueId,
            paused: bool,
            until: Option<UnixMillis>,
        },
        /// Every ready and delayed message of the queue up to this number is gone.
        14 => Purged {
            queue: QueueId,
            through: MessageNumber,
        },
        /// A live message is here from now on and not at `from` any more. `queue` is the one it
        /// stands in, which is not the one it was sent to if it is a dead letter; `lease` the one
        /// it is out under.
        24 => Moved {
            from: Place,
            queue: QueueId,
            lease: Option<LeaseNumber>,
            message: StoredMessage<'a>,
        },
        /// What became of a tracked message is no longer kept.
        25 => TrackForgotten {
            number: MessageNumber,
        },
        /// An item of a send was not stored: its queue remembers its id from the message `number`.
        /// Moves its lane to `sequence`.
        35 => Duplicate {
            lane: LaneId,
            sequence: Sequence,
            index: u32,
            number: MessageNumber,
        },
        /// The first ids of the queue are forgotten, as long as their window is over at that time.
        36 => IdsForgotten {
            queue: QueueId,
            at: UnixMillis,
        },
        /// Checkpoint: the id of a message that its queue remembers.
        37 => IdKept {
            queue: QueueId,
            number: MessageNumber,
            id: &'a str,
            stored_at: UnixMillis,
        },
        /// Checkpoint: a tracked message, in the queue or ended.
        26 => Tracked {
            number: MessageNumber,
            queue: QueueId,
            id: &'a str,
            delivered: bool,
            end: Option<TrackEnd<'a>>,
        },
        /// A redrive took a message out of `queue`: it is in `into` now, or gone if that is absent.
        15 => Redriven {
            client: ClientId,
            request: RequestId,
            queue: QueueId,
            number: MessageNumber,
            into: Option<QueueId>,
            /// When it comes due there.
            due_at: Option<UnixMillis>,
            /// It is gone for its sender wanted that.
            cancelled: Option<bool>,
        },
        /// A policy is there, or changed. It concerns every queue whose name fits its pattern.
        38 => Policy(Policy<'a>),
        /// The policy is gone.
        39 => PolicyRemoved {
            name: &'a str,
        },
        /// What happens to messages of the queue is told from now on, or no more.
        40 => Traced {
            queue: QueueId,
            traced: bool,
        },
        /// A schedule is there from here on, in the place of an earlier one of its key. Moves its
        /// lane to `sequence`.
        27 => Scheduled {
            queue: QueueId,
            number: MessageNumber,
            lane: LaneId,
            sequence: Sequence,
            scheduling: Scheduling<'a>,
            /// When it is due. Absent until the host has told of its zone.
            due_at: Option<UnixMillis>,
            last: Option<Firing>,
        },
        /// When the schedule is due next. With `fired_at` it was due just now, and its message
        /// stands before this; one that samples a topic may have none.
        28 => ScheduleDue {
            number: MessageNumber,
            due_at: Option<UnixMillis>,
            fired_at: Option<UnixMillis>,
        },
        /// The schedule is gone.
        29 => Unscheduled {
            number: MessageNumber,
        },
        /// A message is stored, and stands in no line until somebody decides about it. Moves its
        /// lane to `sequence`.
        42 => Prepared {
            message: StoredMessage<'a>,
            check_after_ms: Option<u64>,
        },
        /// Somebody decided about it, when the wall clock read `at`.
        43 => Decided {
            queue: QueueId,
            number: MessageNumber,
            /// Checkpoint: what it was known by.
            id: Option<&'a str>,
            decision: Decision,
            at: UnixMillis,
        },
        /// Somebody is asked about it.
        44 => Checked {
            number: MessageNumber,
        },
        /// A redrive began, or is over, or (checkpoint) has got this far.
        16 => Redrive {
            client: ClientId,
            request: RequestId,
            /// An encoded `Redrive`; empty if it is over.
            order: &'a [u8],
            moved: u64,
            /// The last message it moved.
            reached: MessageNumber,
        },
        /// Its client waits for the redrive no more.
        17 => RedriveForgotten {
            client: ClientId,
            request: RequestId,
        },
        /// Checkpoint: the page holds the waiting messages from this number on, up to the first
        /// one of the next such page.
        18 => Piece {
            first: MessageNumber,
        },
        /// Checkpoint: a live message at `place`.
        20 => Kept {
            queue: QueueId,
            number: MessageNumber,
            place: Place,
            body_bytes: u32,
            attempts: u32,
            due_at: Option<UnixMillis>,
            /// An encoded `History`.
            deaths: Option<&'a [u8]>,
            /// Absent if it has none.
            properties_bytes: Option<u32>,
            /// When it expires, if it does.
            expires_at: Option<UnixMillis>,
            /// A hash of its key, if it has one.
            key: Option<u64>,
            /// Absent if it is the lowest.
            priority: Option<u32>,
        },
        /// Checkpoint: a prepared message at `place`.
        45 => PreparedKept {
            queue: QueueId,
            number: MessageNumber,
            id: &'a str,
            own_id: bool,
            place: Place,
            body_bytes: u32,
            properties_bytes: u32,
            prepared_at: UnixMillis,
            tracked: bool,
            checks: u32,
            check_after_ms: Option<u64>,
            due_at: Option<UnixMillis>,
            expires_at: Option<UnixMillis>,
            key: Option<u64>,
            priority: Option<u32>,
        },
        /// Checkpoint: the next number of each kind.
        21 => Counters {
            queue: QueueId,
            lane: LaneId,
            message: MessageNumber,
            lease: LeaseNumber,
            term: Term,
        },
        /// Checkpoint: leases that this client settled lately, so that a settlement it sends again
        /// is recognized.
        23 => SettledLately {
            client: ClientId,
            leases: Vec<LeaseNumber>,
        },
        /// Checkpoint: totals of a queue since the log began, in the order of `QueueCounts`.
        22 => Totals {
            queue: QueueId,
            sent: u64,
            acked: u64,
            redelivered: u64,
            dead_lettered: u64,
            discarded: u64,
        },
    }
}

impl<'a> Record<'a> {
    /// The message that is stored here.
    #[must_use]
    pub const fn stored(&self) -> Option<StoredMessage<'a>> {
        match self {
            Self::Message(message)
            | Self::Moved { message, .. }
            | Self::Prepared { message, .. } => Some(*message),
            _ => None,
        }
    }
}

structure! {
    /// A message as the log keeps it.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct StoredMessage<'a> {
        pub queue: QueueId,
        pub number: MessageNumber,
        pub lane: LaneId,
        pub sequence: Sequence,
        /// Position among the items of its send.
        pub index: u32,
        pub stored_at: UnixMillis,
        pub due_at: Option<UnixMillis>,
        pub body: &'a [u8],
        pub properties: Option<&'a [u8]>,
        /// Its producer wants to know what becomes of it.
        pub tracked: Option<bool>,
        /// What it brought along from where it was before.
        pub past: Option<Past<'a>>,
        /// When it expires, if it does.
        pub expires_at: Option<UnixMillis>,
        pub priority: Option<u32>,
    }
}
