//! What goes into a client and what comes out.

use alloc::string::String;
use alloc::vec::Vec;

use crate::cbor::structure;
use crate::error::Code;
use crate::id::{
    CallId, CandidateId, CheckerId, ClientId, ConsumerId, Epoch, LaneId, LeaseNumber, LinkNonce,
    LogId, MessageNumber, PublishNumber, RequestId, Sequence, ServiceId, SubscriptionId, Term,
    WatchId,
};
use crate::options::HostKind;
use crate::time::{Instant, UnixMillis};
use crate::wire::frame::{CallKey, Duplicate, QueueCounts, QueueStats, StorageReport};

/// One fact for the client.
#[derive(Debug)]
pub enum Input<'a> {
    /// Time passed and nothing else. A spurious one does nothing.
    Tick,
    /// One transport message for this client arrived. Borrowed for this call only.
    Received { bytes: &'a [u8] },
    /// One transport message to everyone arrived.
    Heard { bytes: &'a [u8] },
    /// The way to the node is gone (a socket closed). Never given on a channel, which has no end.
    Disconnected,
    /// A node may be reached now, or may have changed: dial again at once, or ask the node of the
    /// open link for a sign of life.
    Reachable,
}

/// One thing for the host to do.
#[must_use]
#[derive(Debug)]
pub enum Output {
    /// Send one transport message to the node.
    Transmit {
        bytes: Vec<u8>,
    },
    /// Send one transport message to everyone, the node included.
    Broadcast {
        bytes: Vec<u8>,
    },
    Event(Event),
    /// Nothing left until the next input or `wake_at`, whichever is first. Never in the past.
    Idle {
        wake_at: Option<Instant>,
    },
}

/// What a client tells its user. Handles are those the verbs returned.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// A link to a node is open. `resumed` is false at the first and when state was lost.
    Ready {
        epoch: Epoch,
        log: LogId,
        lane: LaneId,
        resumed: bool,
        storage: StorageReport,
        host: HostKind,
    },
    /// There is no link; work waits.
    Lost,
    /// The log lost sends it had confirmed, those after `position`. Numbering starts anew.
    RolledBack { confirmed: Sequence, position: Sequence },
    /// The log that this client knew is gone, and what waited in it; there is a new one. So many
    /// of its sends had been confirmed on its lane.
    Cleared { confirmed: Sequence },
    /// This client belongs to that log and user from now on, or to none: see `bind`.
    Bound { log: Option<LogId>, user: Option<String> },
    /// The hub has a grant for it that ends after so long, or never.
    Granted { ends_in_ms: Option<u64> },
    /// The hub has this client for another user's, or this client meant another. Nothing was sent.
    AnotherUser,
    /// The node of this epoch has another log than the one that this client belongs to. It is left,
    /// and nothing was sent.
    ForeignLog { epoch: Epoch, bound: LogId, found: LogId },
    /// The node gives no sign of life though work waits: the host may take its lock. The epoch is
    /// the highest that was heard of, zero if none was.
    NodeSilent { epoch: Epoch },
    /// All peers, this one included.
    Peers { peers: Vec<Peer> },

    /// The node heard the publish.
    Published { request: RequestId },
    /// A live message for a subscription.
    Live {
        subscription: SubscriptionId,
        publisher: ClientId,
        number: PublishNumber,
        topic: String,
        body: Vec<u8>,
        properties: Option<Vec<u8>>,
    },
    /// Messages of `publisher` from `first` to `last` are lost to this subscription. In order,
    /// between messages.
    Gap {
        subscription: SubscriptionId,
        publisher: ClientId,
        first: PublishNumber,
        last: PublishNumber,
    },
    /// The subscription takes effect.
    Subscribed { subscription: SubscriptionId },

    /// Answers `declare` and `inspect`. The policy is the one that some of its options come from.
    QueueState { request: RequestId, state: QueueCounts, policy: Option<String> },
    /// Answers `purge` and `delete_queue`: how many messages went. After a resume it may count
    /// fewer, because they went before. Answers `decide` with the number of the message that the
    /// committed one repeats, or 0.
    Counted { request: RequestId, count: u64 },
    /// Answers `browse`, `list_queues`, `list_services` and `list_policies`: an encoded list of
    /// `QueueMessage`, `QueueEntry`, `ServiceEntry` or `Policy`, and whether there may be more.
    Listed { request: RequestId, page: Vec<u8>, more: bool },
    /// Answers `track`. A message that was not processed answers with `Failed` and what became of
    /// it: `DEAD_LETTERED`, `DISCARDED` or `EXPIRED`, and the reason.
    Tracked { request: RequestId, outcome: TrackOutcome },
    /// How far the handler of a tracked message is, as it tells.
    Progress { request: RequestId, value: Vec<u8> },
    /// The counts of a watched queue; none if it does not exist.
    QueueStats { watch: WatchId, at: UnixMillis, stats: Option<QueueStats> },
    /// Decide about the message, an encoded `QueueMessage`, or leave it for the next time. Without
    /// one the checker takes effect.
    Check { checker: CheckerId, message: Option<Vec<u8>> },
    /// The queue is gone. A send makes another of that name, with the default options.
    QueueDeleted { queue: String },
    /// The items are stored. Item `i` has the id (lane, sequence, i), but for duplicates: their
    /// queue has stored a message of that id before, and they are not stored.
    Sent { request: RequestId, lane: LaneId, sequence: Sequence, duplicates: Vec<Duplicate> },
    /// Write this send down, an encoded `KeptSend`, in place of what was told of it before, and say
    /// `kept`: it has no answer yet, and must not die with this client.
    Keep { request: RequestId, send: Vec<u8> },
    /// What `Keep` told of has its answer: it is stored, or failed. `in_doubt` if a node may have
    /// it all the same; `heard` if somebody waits for the answer, which follows.
    LetGo { request: RequestId, failed: Option<(Code, String)>, in_doubt: bool, heard: bool },
    /// The node would like so many items of this client to be under way, from now on.
    Window { items: u32 },
    /// A request failed. `maybe_executed` tells whether it may have happened all the same.
    Failed { request: RequestId, code: Code, reason: String, maybe_executed: bool },
    /// The consumer takes effect. If its queue serves one consumer at a time, `ConsumerActive`
    /// tells whether it is this one.
    Consuming { consumer: ConsumerId, single_active: bool },
    /// A message under a lease.
    Delivery {
        consumer: ConsumerId,
        lease: LeaseNumber,
        attempt: u32,
        number: MessageNumber,
        lane: LaneId,
        sequence: Sequence,
        index: u32,
        stored_at: UnixMillis,
        lease_ms: u64,
        body: Vec<u8>,
        properties: Option<Vec<u8>>,
        dead_reason: Option<String>,
        /// How long the body is, for a consumer that takes headers only.
        body_bytes: Option<u32>,
        /// Its producer wants to know what the handler returns.
        tracked: bool,
        /// An encoded `History`.
        deaths: Option<Vec<u8>>,
        /// Who sent it, as the node knows it.
        sender: Option<ClientId>,
        priority: u32,
    },
    /// Whether this consumer is the one that its queue serves. Said for queues with a single active
    /// consumer alone.
    ConsumerActive { consumer: ConsumerId, active: bool },
    /// The settlement is stored.
    Settled { request: RequestId },
    /// The lease was found dead before it was settled: stop working on the message.
    LeaseLost { lease: LeaseNumber },

    /// The service takes effect.
    Serving { service: ServiceId },
    /// Run a method and answer with `reply`.
    Dispatch {
        key: CallKey,
        service: ServiceId,
        method: String,
        deadline: Instant,
        arguments: Vec<u8>,
        /// Where the caller says that it belongs in a trace.
        traceparent: Option<String>,
    },
    /// The caller waits no more.
    DispatchCancelled { key: CallKey },
    /// The call is over.
    CallEnded { call: CallId, outcome: CallOutcome },

    /// This client leads from now on.
    Leading { candidate: CandidateId, term: Term },
    /// It leads no more, though it did not resign.
    Deposed { candidate: CandidateId },

    /// A subscription, consumer, service or candidate was refused or ended by the node.
    HandleRefused { handle: Handle, code: Code },
    /// All that was asked for before this `flush` is answered.
    Flushed { request: RequestId },
    /// Nothing comes after this.
    Closed { code: Code },
}

/// Something of a client that lives on until it is closed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Handle {
    Subscription(SubscriptionId),
    Consumer(ConsumerId),
    Service(ServiceId),
    Candidate(CandidateId),
    Watch(WatchId),
    Checker(CheckerId),
}

/// What became of a tracked message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TrackOutcome {
    /// A consumer got it.
    Delivered,
    /// It was acknowledged with this value.
    Processed { value: Option<Vec<u8>> },
}

/// How a call is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CallOptions<'a> {
    /// It ends at the latest after so long.
    pub timeout_ms: u64,
    /// Where it belongs in a trace (<https://www.w3.org/TR/trace-context>). It reaches the server
    /// as it is; what it says is not looked at. At most `limits.headers_bytes_max` bytes.
    pub traceparent: Option<&'a str>,
}

/// The end of a call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CallOutcome {
    Value(Vec<u8>),
    Threw(Vec<u8>),
    Failed { code: Code, maybe_executed: bool },
}

/// One peer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Peer {
    pub client: ClientId,
    /// Name and tags, as that peer gave them.
    pub info: Vec<u8>,
}

structure! {
    /// What a client may carry over a reload: enough to resume its session, nothing else.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Keepsake {
        pub client: ClientId,
        pub log: Option<LogId>,
        pub lane: LaneId,
        /// Every send up to here is used up. A reload gives up what was outstanding.
        pub position: Sequence,
        /// The last call. A server may still run it, so its number is not given to another.
        pub call: CallId,
        /// The last live message. What a new page publishes is numbered above it.
        pub published: Option<PublishNumber>,
        /// Sends may be written down, and are taken up before the next page dials.
        pub keeps: Option<bool>,
    }
}

impl Keepsake {
    /// Of a client of which nothing is known.
    #[must_use]
    pub fn of(client: ClientId) -> Self {
        let (lane, position, call) = (LaneId(0), Sequence(0), CallId(0));
        Self { client, log: None, lane, position, call, published: None, keeps: None }
    }
}

/// The link a host routes by: a message whose link is another is not for this client instance.
pub type Link = LinkNonce;
