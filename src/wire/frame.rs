//! The closed list of frames. Unknown trailing fields are skipped; an unknown tag is a protocol
//! error unless the peer's features say otherwise. Texts and byte strings borrow from the message.
//!
//! Every request is idempotent: a client sends what has no answer again after each resume, and
//! the node answers it as if it had come once.

use alloc::vec::Vec;

use crate::cbor::variants;
use crate::error::Code;
use crate::id::{
    AudienceId, CallId, CandidateId, CheckerId, ClientId, ConsumerId, LeaseNumber, LogId,
    MessageNumber, MethodId, PublishNumber, QueueId, RequestId, Sequence, ServiceId,
    SubscriptionId, Term, WatchId,
};
use crate::options::{ConsumeOptions, Durability, QueueOptions};
use crate::time::UnixMillis;
pub use crate::wire::admin::{Policy, QueueEntry, QueueStats, ServerEntry, ServiceEntry};
pub use crate::wire::death::{Death, History, Reason};
pub use crate::wire::parts::*;
pub use crate::wire::redrive::{Filter, Identity, Redrive, Task};
pub use crate::wire::schedule::{Firing, ScheduleEntry, Scheduling, When};

variants! {
    /// Everything that travels. The letter behind each says who sends it: C client, N node.
    #[derive(Clone, PartialEq, Eq, Debug)]
    #[allow(clippy::large_enum_variant)]
    pub enum Frame<'a> {
        /// C. Opens a link.
        1 => Hello(Hello<'a>),
        /// N. Accepts it.
        2 => Welcome(Welcome),
        /// Both. The link is over, and why. Nothing follows it.
        3 => Hangup { code: Code },
        /// Both. Answer with `Pong`.
        4 => Ping { nonce: u32 },
        5 => Pong { nonce: u32 },
        /// C. The client leaves. Its leases are released uncounted, its calls end. With `park` the
        /// lane is kept for a later Hello; without it the lane is closed once nothing is
        /// outstanding.
        6 => Goodbye { park: bool },
        /// N, to everyone. This node is up and takes Hellos. The envelope has the epoch.
        7 => Announce { log: LogId },
        /// Both. A part of a frame that is longer than one transport message. Parts of one frame
        /// follow each other on a link.
        8 => Fragment {
            last: bool,
            bytes: &'a [u8],
        },

        /// C. Asks the hub for another grant in place of that of the socket.
        85 => Renew { token: &'a str },
        /// N. The grant of the socket was replaced, and ends after so long, or never.
        86 => Granted { ends_in_ms: Option<u64> },

        /// C, to everyone. Tabs deliver it at once.
        9 => Publish(Live<'a>),
        /// N. The node has heard every live publish of this client up to `number`.
        10 => Published { number: PublishNumber },
        /// C. Joins a group: each matching message goes to one member. With an empty name it is
        /// alone in its group, which a filter that begins with `$tabmq` alone may be.
        24 => JoinGroup {
            subscription: SubscriptionId,
            filter: &'a str,
            group: &'a str,
        },
        /// N. Answers `JoinGroup` and `Listen`; a code says why not.
        25 => GroupJoined {
            subscription: SubscriptionId,
            refused: Option<Code>,
        },
        /// C. Ends what `JoinGroup` or `Listen` began.
        26 => LeaveGroup { subscription: SubscriptionId },
        /// N. A live message for one member of a group.
        11 => GroupMessage {
            subscription: SubscriptionId,
            live: Live<'a>,
        },
        /// C. On a link of an audience: live messages that match are to come on its socket.
        89 => Listen {
            subscription: SubscriptionId,
            filter: &'a str,
        },
        /// N. The links of the socket are others now, this one is still among them, and they are
        /// called so from here on.
        90 => Audience { audience: AudienceId },
        /// N, to everyone on a socket. Nobody in this audience listened to the live messages from
        /// `first` to `last`, of one run, when they were heard: they do not come, and are no gap.
        91 => Skipped {
            audience: AudienceId,
            first: PublishNumber,
            last: Newest,
        },
        /// N, to everyone, a little after traffic. A receiver that has seen less has a gap. On a
        /// link, before the answer to its first `Listen`: what came until then was not for it.
        27 => NewestNumbers {
            newest: Vec<Newest>,
        },
        /// C: asks for the live messages of `publisher` from `first` to `last`, both included.
        /// N: the node missed these; their publisher says what it still has of them on this link,
        /// as `Publish` frames, and then `Repaired`. On a link nothing of them is lost again.
        28 => Repair {
            publisher: ClientId,
            first: PublishNumber,
            last: PublishNumber,
        },
        /// N. What is left of the range, ascending; what is not in `messages` is lost.
        /// C, after its `Publish` frames and without messages: that was all it has of the range.
        29 => Repaired {
            publisher: ClientId,
            first: PublishNumber,
            last: PublishNumber,
            messages: Vec<Live<'a>>,
        },

        /// C. Creates the queue or compares it with the one that exists.
        30 => Declare {
            request: RequestId,
            queue: &'a str,
            options: QueueOptions,
        },
        /// C. Asks for the state of a queue.
        31 => Inspect {
            request: RequestId,
            queue: &'a str,
        },
        /// N. Answers `Declare` and `Inspect`.
        32 => QueueState {
            request: RequestId,
            state: QueueCounts,
            /// The policy that some of its options come from.
            policy: Option<&'a str>,
        },
        /// N. Answers any request that was refused.
        33 => RequestRefused {
            request: RequestId,
            code: Code,
            reason: &'a str,
        },
        /// C. Stores all items or none, as one record batch with one number of the lane.
        12 => Send {
            sequence: Sequence,
            queue: &'a str,
            /// Refusals up to here are known to the client and given up.
            refusals_seen: Sequence,
            durability: Option<Durability>,
            items: Vec<Item<'a>>,
        },
        /// C. Stores all items and acknowledges all deliveries, or does nothing: as one record
        /// batch with one number of the lane, as a `Send` has. Items are counted through over all
        /// queues. Refused with `STALE_LEASE` if one of the leases is over.
        74 => Commit {
            sequence: Sequence,
            refusals_seen: Sequence,
            durability: Option<Durability>,
            writes: Vec<Staged<'a>>,
            acks: Vec<Acked<'a>>,
        },
        /// N. Every send of the lane up to here is used up: stored, or refused as told before.
        13 => Sent { position: Sequence },
        /// N. This send was refused; its number is used up. Comes before the `Sent` that covers it.
        34 => SendRefused {
            sequence: Sequence,
            code: Code,
            reason: &'a str,
        },
        /// N. Items not stored, for the queue remembers their ids. Comes before the `Sent`.
        75 => Duplicates {
            sequence: Sequence,
            items: Vec<Duplicate>,
        },
        /// C. Wants to be told how many items to have under way, or no more. Said on each link.
        76 => Ingest { on: bool },
        /// N. So many, from now on. Nothing happens to those above.
        77 => Window { items: u32 },
        /// C. Starts or changes a consumer. The node keeps at most this much in flight to it.
        35 => Consume {
            consumer: ConsumerId,
            queue: &'a str,
            options: ConsumeOptions,
        },
        /// N. Answers `Consume`; a code says why not.
        36 => Consuming {
            consumer: ConsumerId,
            refused: Option<Code>,
            /// The queue serves one consumer at a time; `ConsumerActive` says whom.
            single_active: Option<bool>,
        },
        /// C. Ends the consumer. Deliveries that are out stay leased until settled.
        37 => CancelConsumer { consumer: ConsumerId },
        /// N. Whether this consumer is the one that a queue with a single active consumer serves.
        /// Said after `Consuming` and whenever it changes.
        51 => ConsumerActive {
            consumer: ConsumerId,
            active: bool,
        },
        /// C. The page of the client is in view, or not. Said after a resume if it is not.
        50 => Visible { visible: bool },
        /// C. Stops or starts delivery from a queue. Answered by `QueueState`.
        52 => Pause {
            request: RequestId,
            queue: &'a str,
            paused: bool,
            /// It starts again by itself after so long.
            for_ms: Option<u64>,
        },
        /// C. Empties a queue of what is neither delivered nor newer than `through`, a number from
        /// its `QueueState`: asked again after a resume, it takes nothing that came since.
        53 => Purge {
            request: RequestId,
            queue: &'a str,
            through: MessageNumber,
        },
        /// C. Deletes the queue that had this id in its `QueueState`, with all its messages.
        54 => DeleteQueue {
            request: RequestId,
            queue: &'a str,
            id: QueueId,
            /// Refused with `INVALID` if it has consumers.
            if_unused: bool,
            /// Refused with `INVALID` if it has messages.
            if_empty: bool,
        },
        /// C. Asks for a page of a queue. Nothing is taken.
        55 => Browse {
            request: RequestId,
            queue: &'a str,
            browse: Browse,
        },
        /// N. The page. `more`: there may be more behind it.
        56 => Browsed {
            request: RequestId,
            messages: Vec<QueueMessage<'a>>,
            more: bool,
        },
        /// N. Answers `Purge` and `DeleteQueue`: how many messages went.
        57 => Counted {
            request: RequestId,
            count: u64,
        },
        /// N, to every client. The queue is gone; its consumers are told by `Consuming` with
        /// `NOT_FOUND`.
        58 => QueueDeleted { queue: &'a str },
        /// C. Moves dead letters back. Answered by `Counted` with how many, once all are moved.
        63 => Redrive {
            request: RequestId,
            redrive: Redrive<'a>,
        },
        /// C. The client waits for this redrive no more: it stops if it is under way, and is
        /// forgotten.
        64 => EndRedrive { request: RequestId },
        /// C. Asks for a page of the queues, in the order of their names.
        65 => ListQueues {
            request: RequestId,
            /// Names behind this one.
            after: Option<&'a str>,
            /// Only names that fit this filter of topics.
            filter: Option<&'a str>,
        },
        /// N. The page. `more`: there may be more behind it.
        66 => QueueList {
            request: RequestId,
            queues: Vec<QueueEntry<'a>>,
            more: bool,
        },
        /// C. Asks for a page of the services that somebody serves or waits for, in the order of
        /// their names, behind `after`.
        87 => ListServices { request: RequestId, after: Option<&'a str> },
        /// N. The page. `more`: there may be more behind it.
        88 => ServiceList { request: RequestId, services: Vec<ServiceEntry<'a>>, more: bool },
        /// C. Wants to see the counts of a queue as they change, whether it exists or not.
        67 => WatchQueue {
            watch: WatchId,
            queue: &'a str,
        },
        /// C.
        68 => UnwatchQueue { watch: WatchId },
        /// N. The counts as they are now. Without any there is no such queue; a code says that the
        /// watch is refused.
        69 => QueueStats {
            watch: WatchId,
            at: UnixMillis,
            stats: Option<QueueStats>,
            refused: Option<Code>,
        },
        /// C. Sets the policy of that name, or removes it. Answered by `Counted` with the number of
        /// queues that it applies to now.
        70 => SetPolicy {
            request: RequestId,
            name: &'a str,
            policy: Option<Policy<'a>>,
        },
        /// C. Asks for all policies.
        71 => ListPolicies { request: RequestId },
        /// N. All of them, in the order of their names.
        72 => PolicyList {
            request: RequestId,
            policies: Vec<Policy<'a>>,
        },
        /// C. What happens to messages of the queue is told to those who listen, or no more.
        /// Answered by `QueueState`.
        73 => Trace {
            request: RequestId,
            queue: &'a str,
            traced: bool,
        },
        /// C. Has the node store a message at times. Numbered, answered and refused as a `Send`.
        78 => Schedule {
            sequence: Sequence,
            queue: &'a str,
            /// As in `Send`.
            refusals_seen: Sequence,
            durability: Option<Durability>,
            scheduling: Scheduling<'a>,
        },
        /// C. Ends the schedule that had this number in a list. Answered by `Counted`.
        79 => Unschedule {
            request: RequestId,
            queue: &'a str,
            number: MessageNumber,
        },
        /// C. Asks for a page of the schedules of a queue, behind a key.
        80 => ListSchedules {
            request: RequestId,
            queue: &'a str,
            after: Option<&'a str>,
        },
        /// N. The page, in the order of the keys. `more`: there are more behind it.
        81 => ScheduleList {
            request: RequestId,
            schedules: Vec<ScheduleEntry<'a>>,
            more: bool,
        },
        /// C. Sends the prepared message of this id, or drops it. `Counted` answers with the number
        /// of the message that it repeats, or 0; asked again, what was decided first does.
        82 => Decide {
            request: RequestId,
            queue: &'a str,
            id: &'a str,
            commit: bool,
            durability: Option<Durability>,
        },
        /// C. May be asked about prepared messages of the queue; without one, no more.
        83 => Checker {
            checker: CheckerId,
            queue: Option<&'a str>,
        },
        /// N. Answers `Checker`. With a message it asks for a `Decide`, the `attempts`th time.
        84 => Check {
            checker: CheckerId,
            message: Option<QueueMessage<'a>>,
            refused: Option<Code>,
        },
        /// N. One message under one lease. The lease is stored.
        14 => Deliver(Delivery<'a>),
        /// C.
        15 => Settle {
            lease: LeaseNumber,
            settlement: Settlement<'a>,
        },
        /// N. The settlement is stored, or was refused with `StaleLease`. Said with `StaleLease`
        /// also without a settlement, when the lease has ended.
        16 => Settled {
            lease: LeaseNumber,
            refused: Option<Code>,
        },

        /// C. Asks what becomes of a tracked message: its first delivery, or its end.
        59 => Track {
            request: RequestId,
            queue: &'a str,
            id: &'a str,
            processed: bool,
        },
        /// N. Answers `Track`, once it is known. It is stored.
        60 => Tracked {
            request: RequestId,
            outcome: Tracking<'a>,
        },
        /// C. How far the handler of a delivery is. Not stored; for whoever waits at that moment.
        61 => Progress {
            lease: LeaseNumber,
            value: &'a [u8],
        },
        /// N. The same, to whoever waits for the end of that message.
        62 => Progressed {
            request: RequestId,
            value: &'a [u8],
        },

        /// C. Offers a service. `concurrency` calls at most are under way at a time.
        38 => Serve {
            service: ServiceId,
            name: &'a str,
            concurrency: u32,
        },
        /// N. Answers `Serve`; a code says why not.
        39 => Serving {
            service: ServiceId,
            refused: Option<Code>,
        },
        /// C. Takes no more calls. Those under way go on.
        40 => Unserve { service: ServiceId },
        /// C. Gives a method a number on this link, so that a call is short.
        22 => Method {
            method: MethodId,
            service: &'a str,
            name: &'a str,
        },
        /// C.
        17 => Call {
            call: CallId,
            method: MethodId,
            /// Time left.
            timeout_ms: u64,
            arguments: &'a [u8],
            /// Set when the call was sent before, on an earlier link: the epoch counter of the node
            /// it went to first. Another node can't know whether it was dispatched then.
            first_epoch: Option<u64>,
            /// Where the call belongs in a trace. The node hands it on as it came.
            traceparent: Option<&'a str>,
        },
        /// N. A call for this server.
        18 => Dispatch {
            key: CallKey,
            service: ServiceId,
            method: &'a str,
            timeout_ms: u64,
            arguments: &'a [u8],
            traceparent: Option<&'a str>,
        },
        /// C. The server's answer, sent again until `ReplyTaken`.
        19 => Reply {
            key: CallKey,
            outcome: Outcome<'a>,
        },
        /// N. The node has the reply, or nobody waits for it any more.
        20 => ReplyTaken { key: CallKey },
        /// N. The caller's answer.
        21 => CallResult {
            call: CallId,
            outcome: Outcome<'a>,
        },
        /// C. The caller waits no more.
        23 => CancelCall {
            call: CallId,
        },
        /// N. The caller waits no more; the server may stop.
        41 => CancelDispatch {
            key: CallKey,
        },

        /// C. Stands for a role. Repeated after a resume with the term it holds, if any.
        42 => Stand {
            candidate: CandidateId,
            role: &'a str,
            holds: Option<Term>,
        },
        /// N. The candidate leads from now on, or may go on leading. The term is stored.
        43 => Lead {
            candidate: CandidateId,
            term: Term,
        },
        /// N. The claim was refused: another leads, or a code says why it stands no more.
        44 => Depose {
            candidate: CandidateId,
            refused: Option<Code>,
        },
        /// C. Leads no more and does not stand.
        45 => Resign {
            candidate: CandidateId,
        },

        /// C. New name and tags of this client.
        46 => PeerInfo {
            peer: &'a [u8],
        },
        /// C. After each Welcome: everything that lives on or has no answer was said again. Until
        /// then a node that settles waits for this client.
        48 => Resumed,
        /// C. Every call below is answered or given up, so the node may forget its result.
        49 => CallsDone {
            below: CallId,
        },
        /// N. All peers, whenever one comes, goes or changes.
        47 => Peers {
            peers: Vec<PeerEntry<'a>>,
        },
    }
}
