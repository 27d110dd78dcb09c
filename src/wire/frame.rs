//! The closed list of frames. Unknown trailing fields are skipped; an unknown tag is a protocol
//! error unless the peer's features say otherwise. Numbers and byte strings borrow from the
//! transport message.
//!
//! Every request is idempotent: a client sends what has no answer again after each resume, and
//! the node answers it as if it had come once.

use alloc::vec::Vec;

use minicbor::{Decode, Encode};

use crate::error::Code;
use crate::id::{
    CallId, CandidateId, ClientId, ConsumerId, LeaseNumber, LogId, MethodId, PublishNumber,
    RequestId, Sequence, ServiceId, SubscriptionId, Term,
};
use crate::options::QueueOptions;
pub use crate::wire::parts::{
    CallKey, Delivery, Hello, Item, Live, Newest, Outcome, PeerEntry, Properties, QueueCounts,
    Settlement, StorageReport, Welcome,
};

/// Everything that travels. The letter behind each says who sends it: C client, N node.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(flat)]
#[allow(clippy::large_enum_variant)]
pub enum Frame<'a> {
    /// C. Opens a link.
    #[n(1)]
    Hello(#[b(0)] Hello<'a>),
    /// N. Accepts it.
    #[n(2)]
    Welcome(#[n(0)] Welcome),
    /// Both. The link is over, and why. Nothing follows it.
    #[n(3)]
    Hangup {
        #[n(0)]
        code: Code,
    },
    /// Both. Answer with `Pong`.
    #[n(4)]
    Ping {
        #[n(0)]
        nonce: u32,
    },
    #[n(5)]
    Pong {
        #[n(0)]
        nonce: u32,
    },
    /// C. The client leaves. Its leases are released uncounted, its calls end. With `park` the
    /// lane is kept for a later Hello; without it the lane is closed once nothing is outstanding.
    #[n(6)]
    Goodbye {
        #[n(0)]
        park: bool,
    },
    /// N, to everyone. This node is up and takes Hellos. The envelope has the epoch.
    #[n(7)]
    Announce {
        #[n(0)]
        log: LogId,
    },
    /// Both. A part of a frame that is longer than one transport message. Parts of one frame
    /// follow each other on a link.
    #[n(8)]
    Fragment {
        #[n(0)]
        last: bool,
        #[cbor(b(1), with = "minicbor::bytes")]
        bytes: &'a [u8],
    },

    /// C, to everyone. Tabs deliver it at once.
    #[n(9)]
    Publish(#[b(0)] Live<'a>),
    /// N. The node has heard every live publish of this client up to `number`.
    #[n(10)]
    Published {
        #[n(0)]
        number: PublishNumber,
    },
    /// C. Joins a group: each matching message goes to one member.
    #[n(24)]
    JoinGroup {
        #[n(0)]
        subscription: SubscriptionId,
        #[b(1)]
        filter: &'a str,
        #[b(2)]
        group: &'a str,
    },
    /// N. Answers `JoinGroup`; a code says why not.
    #[n(25)]
    GroupJoined {
        #[n(0)]
        subscription: SubscriptionId,
        #[n(1)]
        refused: Option<Code>,
    },
    /// C.
    #[n(26)]
    LeaveGroup {
        #[n(0)]
        subscription: SubscriptionId,
    },
    /// N. A live message for one member of a group.
    #[n(11)]
    GroupMessage {
        #[n(0)]
        subscription: SubscriptionId,
        #[b(1)]
        live: Live<'a>,
    },
    /// N, to everyone, a little after traffic. A receiver that has seen less has a gap.
    #[n(27)]
    NewestNumbers {
        #[n(0)]
        newest: Vec<Newest>,
    },
    /// C: asks for the live messages of `publisher` from `first` to `last`, both included.
    /// N: the node missed these; the publisher posts them again with the same numbers.
    #[n(28)]
    Repair {
        #[n(0)]
        publisher: ClientId,
        #[n(1)]
        first: PublishNumber,
        #[n(2)]
        last: PublishNumber,
    },
    /// N. What is left of the range, ascending; what is not in `messages` is lost.
    #[n(29)]
    Repaired {
        #[n(0)]
        publisher: ClientId,
        #[n(1)]
        first: PublishNumber,
        #[n(2)]
        last: PublishNumber,
        #[b(3)]
        messages: Vec<Live<'a>>,
    },

    /// C. Creates the queue or compares it with the one that exists.
    #[n(30)]
    Declare {
        #[n(0)]
        request: RequestId,
        #[b(1)]
        queue: &'a str,
        #[n(2)]
        options: QueueOptions,
    },
    /// C. Asks for the state of a queue.
    #[n(31)]
    Inspect {
        #[n(0)]
        request: RequestId,
        #[b(1)]
        queue: &'a str,
    },
    /// N. Answers `Declare` and `Inspect`.
    #[n(32)]
    QueueState {
        #[n(0)]
        request: RequestId,
        #[n(1)]
        state: QueueCounts,
    },
    /// N. Answers any request that was refused.
    #[n(33)]
    RequestRefused {
        #[n(0)]
        request: RequestId,
        #[n(1)]
        code: Code,
        #[b(2)]
        reason: &'a str,
    },
    /// C. Stores all items or none, as one record batch with one number of the lane.
    #[n(12)]
    Send {
        #[n(0)]
        sequence: Sequence,
        #[b(1)]
        queue: &'a str,
        /// Refusals up to here are known to the client and given up.
        #[n(2)]
        refusals_seen: Sequence,
        #[cbor(n(3), with = "crate::cbor::variant", has_nil)]
        durability: Option<crate::options::Durability>,
        #[b(4)]
        items: Vec<Item<'a>>,
    },
    /// N. Every send of the lane up to `position` is used up: stored, or refused as told before.
    #[n(13)]
    Sent {
        #[n(0)]
        position: Sequence,
    },
    /// N. This send was refused; its number is used up. Comes before the `Sent` that covers it.
    #[n(34)]
    SendRefused {
        #[n(0)]
        sequence: Sequence,
        #[n(1)]
        code: Code,
        #[b(2)]
        reason: &'a str,
    },
    /// C. Starts or changes a consumer. The node keeps at most this much in flight to it.
    #[n(35)]
    Consume {
        #[n(0)]
        consumer: ConsumerId,
        #[b(1)]
        queue: &'a str,
        /// Deliveries without a settlement.
        #[n(2)]
        prefetch: u32,
        /// Their bodies; one delivery may always go.
        #[n(3)]
        prefetch_bytes: u32,
    },
    /// N. Answers `Consume`; a code says why not.
    #[n(36)]
    Consuming {
        #[n(0)]
        consumer: ConsumerId,
        #[n(1)]
        refused: Option<Code>,
    },
    /// C. Ends the consumer. Deliveries that are out stay leased until settled.
    #[n(37)]
    CancelConsumer {
        #[n(0)]
        consumer: ConsumerId,
    },
    /// N. One message under one lease. The lease is stored.
    #[n(14)]
    Deliver(#[b(0)] Delivery<'a>),
    /// C.
    #[n(15)]
    Settle {
        #[n(0)]
        lease: LeaseNumber,
        #[cbor(b(1), with = "crate::cbor::variant")]
        settlement: Settlement<'a>,
    },
    /// N. The settlement is stored, or was refused with `StaleLease`.
    #[n(16)]
    Settled {
        #[n(0)]
        lease: LeaseNumber,
        #[n(1)]
        refused: Option<Code>,
    },

    /// C. Offers a service. `concurrency` calls at most are under way at a time.
    #[n(38)]
    Serve {
        #[n(0)]
        service: ServiceId,
        #[b(1)]
        name: &'a str,
        #[n(2)]
        concurrency: u32,
    },
    /// N. Answers `Serve`; a code says why not.
    #[n(39)]
    Serving {
        #[n(0)]
        service: ServiceId,
        #[n(1)]
        refused: Option<Code>,
    },
    /// C. Takes no more calls. Those under way go on.
    #[n(40)]
    Unserve {
        #[n(0)]
        service: ServiceId,
    },
    /// C. Gives a method a number on this link, so that a call is short.
    #[n(22)]
    Method {
        #[n(0)]
        method: MethodId,
        #[b(1)]
        service: &'a str,
        #[b(2)]
        name: &'a str,
    },
    /// C.
    #[n(17)]
    Call {
        #[n(0)]
        call: CallId,
        #[n(1)]
        method: MethodId,
        /// Time left.
        #[n(2)]
        timeout_ms: u64,
        #[cbor(b(3), with = "minicbor::bytes")]
        arguments: &'a [u8],
        /// Set when the call was sent before, on an earlier link: the epoch counter of the node it
        /// went to first. Another node can't know whether it was dispatched then.
        #[n(4)]
        first_epoch: Option<u64>,
    },
    /// N. A call for this server.
    #[n(18)]
    Dispatch {
        #[n(0)]
        key: CallKey,
        #[n(1)]
        service: ServiceId,
        #[b(2)]
        method: &'a str,
        #[n(3)]
        timeout_ms: u64,
        #[cbor(b(4), with = "minicbor::bytes")]
        arguments: &'a [u8],
    },
    /// C. The server's answer, sent again until `ReplyTaken`.
    #[n(19)]
    Reply {
        #[n(0)]
        key: CallKey,
        #[cbor(b(1), with = "crate::cbor::variant")]
        outcome: Outcome<'a>,
    },
    /// N. The node has the reply, or nobody waits for it any more.
    #[n(20)]
    ReplyTaken {
        #[n(0)]
        key: CallKey,
    },
    /// N. The caller's answer.
    #[n(21)]
    CallResult {
        #[n(0)]
        call: CallId,
        #[cbor(b(1), with = "crate::cbor::variant")]
        outcome: Outcome<'a>,
    },
    /// C. The caller waits no more.
    #[n(23)]
    CancelCall {
        #[n(0)]
        call: CallId,
    },
    /// N. The caller waits no more; the server may stop.
    #[n(41)]
    CancelDispatch {
        #[n(0)]
        key: CallKey,
    },

    /// C. Stands for a role. Repeated after a resume with the term it holds, if any.
    #[n(42)]
    Stand {
        #[n(0)]
        candidate: CandidateId,
        #[b(1)]
        role: &'a str,
        #[n(2)]
        holds: Option<Term>,
    },
    /// N. The candidate leads from now on, or may go on leading. The term is stored.
    #[n(43)]
    Lead {
        #[n(0)]
        candidate: CandidateId,
        #[n(1)]
        term: Term,
    },
    /// N. The candidate's claim was refused: the role went to another.
    #[n(44)]
    Depose {
        #[n(0)]
        candidate: CandidateId,
    },
    /// C. Leads no more and does not stand.
    #[n(45)]
    Resign {
        #[n(0)]
        candidate: CandidateId,
    },

    /// C. New name and tags of this client.
    #[n(46)]
    PeerInfo {
        #[cbor(b(0), with = "minicbor::bytes")]
        peer: &'a [u8],
    },
    /// C. After each Welcome: everything that lives on or has no answer was said again. Until then
    /// a node that settles waits for this client.
    #[n(48)]
    Resumed,
    /// C. Every call below is answered or given up, so the node may forget its result.
    #[n(49)]
    CallsDone {
        #[n(0)]
        below: CallId,
    },
    /// N. All peers, whenever one comes, goes or changes.
    #[n(47)]
    Peers {
        #[b(0)]
        peers: Vec<PeerEntry<'a>>,
    },
}
