//! What a broker knows beside its log, written down for a host that sleeps with its sockets open:
//! all of its memory goes, and nobody on those sockets is to notice. What clients have declared is
//! kept as the frames that declare it. Nothing is kept while something is under way that another
//! broker could not go on with, such as half a frame or a chunk that is being read; then whoever
//! wakes the host meets another node, as after a death.

mod keep;
mod wake;

use alloc::vec::Vec;

use crate::cbor::{structure, variants};
use crate::id::{
    AudienceId, CallId, ClientId, ConnId, ConsumerId, LaneId, LeaseNumber, LinkNonce,
    MessageNumber, PublishNumber, QueueId, RequestId, ServiceId, SocketId,
};
use crate::time::UnixMillis;
use crate::wire::frame::{CallKey, Live, Newest};

structure! {
    /// All of it.
    #[derive(Debug)]
    pub struct Memory<'a> {
        pub slept_at: UnixMillis,
        pub sessions: Vec<SessionKept<'a>>,
        pub links: Vec<LinkKept>,
        pub audiences: Vec<Member>,
        /// In the order in which they came, of each kind.
        pub declared: Vec<Declared<'a>>,
        pub served: Vec<Served>,
        pub trackers: Vec<TrackerKept>,
        pub newest: Vec<Newest>,
        pub messages: Vec<Live<'a>>,
        pub untold: Vec<UntoldKept>,
        pub calls: Vec<CallKept<'a>>,
        pub results: Vec<ResultKept<'a>>,
        pub given_up: Vec<GivenUp>,
        pub times: Vec<Time>,
        /// Prepared messages about which nobody could be asked.
        pub unasked: Vec<MessageNumber>,
    }
}

structure! {
    #[derive(Debug)]
    pub struct SessionKept<'a> {
        pub client: ClientId,
        pub user: Option<&'a str>,
        pub lane: LaneId,
        pub lanes_left: Vec<LaneId>,
        pub peer: &'a [u8],
        /// Of one without a link: how long it is still waited for.
        pub waited_for_ms: Option<u64>,
        pub ingest_items: Option<u32>,
        pub hidden: bool,
        pub silent: bool,
    }
}

structure! {
    #[derive(Clone, Copy, Debug)]
    pub struct LinkKept {
        /// As the broker called it that fell asleep; the next one takes another number.
        pub conn: ConnId,
        pub socket: SocketId,
        pub client: ClientId,
        pub nonce: LinkNonce,
        pub received: u64,
        pub sent: u64,
    }
}

structure! {
    /// One link of the audience of its socket.
    #[derive(Debug)]
    pub struct Member {
        pub conn: ConnId,
        pub socket: SocketId,
        pub audience: AudienceId,
        pub can_listen: bool,
    }
}

structure! {
    /// A frame of a client that holds as long as its link does.
    #[derive(Debug)]
    pub struct Declared<'a> {
        pub client: ClientId,
        pub frame: &'a [u8],
    }
}

structure! {
    /// What a queue is served by beside its consumers.
    #[derive(Debug)]
    pub struct Served {
        pub queue: QueueId,
        pub gathered: bool,
        /// The single active consumer.
        pub client: Option<ClientId>,
        pub consumer: Option<ConsumerId>,
    }
}

structure! {
    /// Who waits for what becomes of a message.
    #[derive(Debug)]
    pub struct TrackerKept {
        pub number: MessageNumber,
        pub conn: ConnId,
        pub request: RequestId,
        pub processed: bool,
    }
}

structure! {
    /// What an audience did not hear of a publisher, and was not told.
    #[derive(Debug)]
    pub struct UntoldKept {
        pub socket: SocketId,
        pub publisher: ClientId,
        pub is_due: bool,
        pub first: Option<PublishNumber>,
        pub last: Option<Newest>,
    }
}

structure! {
    #[derive(Debug)]
    pub struct CallKept<'a> {
        pub key: CallKey,
        pub service: &'a str,
        pub method: &'a str,
        pub arguments: &'a [u8],
        pub traceparent: Option<&'a str>,
        pub left_ms: u64,
        /// Who has it; nobody yet.
        pub server: Option<ClientId>,
        pub service_id: ServiceId,
    }
}

structure! {
    /// A result that its caller has not said to have.
    #[derive(Debug)]
    pub struct ResultKept<'a> {
        pub key: CallKey,
        pub result: &'a [u8],
    }
}

structure! {
    /// A client that was given up though it may live.
    #[derive(Debug)]
    pub struct GivenUp {
        pub client: ClientId,
        pub first: Option<CallId>,
    }
}

structure! {
    /// Something that is to happen.
    #[derive(Debug)]
    pub struct Time {
        pub of: Timed,
        pub left_ms: u64,
    }
}

variants! {
    /// What there is a time for that is in no record.
    #[derive(Clone, Copy, Debug)]
    pub enum Timed {
        /// The end of a lease.
        1 => Lease(LeaseNumber),
        /// A look at whether its holder is slow.
        2 => Look(LeaseNumber),
        /// The end of a lane that nobody uses.
        3 => Lane(LaneId),
        /// The end of a result that nobody asked for.
        4 => Outcome(MessageNumber),
        /// The next question about a prepared message.
        5 => Question(MessageNumber),
        /// Consumers are served though not enough have come.
        6 => Gathering(QueueId),
        /// The end of a queue that nobody uses.
        7 => IdleQueue(QueueId),
    }
}

/// A link of a broker that was woken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Woken {
    pub conn: ConnId,
    pub socket: SocketId,
    pub client: ClientId,
    pub nonce: LinkNonce,
}
