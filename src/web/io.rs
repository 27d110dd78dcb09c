//! What goes into a realm and what comes out.

use alloc::string::String;
use alloc::vec::Vec;

use crate::broker::Grant;
use crate::client::io::{Event, Keepsake};
use crate::cron::Offset;
use crate::error::Code;
use crate::id::{ClientId, Epoch, OpId};
use crate::options::HostKind;
use crate::store::{StorageAction, StorageResult};
use crate::time::UnixMillis;
use crate::web::hosting::Tenure;
use crate::web::sockets::SocketId;
use crate::web::worker::WorkerNews;
use crate::wire::frame::StorageReport;

/// What happened to a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PageFact {
    Shown,
    Hidden,
    /// Nothing runs from here on until `Thawed`, which may never come.
    Frozen,
    Thawed,
    /// The page goes. If it is cached it may come back as it is, with `Restored`.
    Left {
        cached: bool,
    },
    Restored,
}

/// One fact for the realm. A tenure names the attempt to host that an answer belongs to; an answer
/// for an earlier one changes nothing.
#[derive(Debug)]
pub enum Fact {
    /// Time passed, or a verb was called.
    Tick,
    /// On the channel of this realm's client.
    AtClient(Vec<u8>),
    /// On the channel of the node or on one it shares with a client; only while hosting.
    AtNode(Vec<u8>),
    AtAll(Vec<u8>),
    Page(PageFact),
    /// The client's lock is held: again, after the page was restored.
    Claimed,
    LockGranted,
    LockLost,
    /// This context may not host.
    LockRefused,
    StorageOpened {
        tenure: Tenure,
        report: StorageReport,
    },
    StorageFailed {
        tenure: Tenure,
        code: Code,
        reason: &'static str,
    },
    StorageBlocked,
    /// The connection to the storage broke, and somebody may have changed what is stored.
    ConnectionLost {
        tenure: Tenure,
    },
    Stored {
        tenure: Tenure,
        op: OpId,
        result: StorageResult,
    },
    Present {
        tenure: Tenure,
        clients: Vec<ClientId>,
    },
    /// The offsets of a time zone; none if it is not known.
    Zone {
        tenure: Tenure,
        zone: String,
        offsets: Vec<Offset>,
        until: UnixMillis,
    },
    Gone {
        client: ClientId,
    },
    /// The socket to the hub is open; only while relaying, as the next two.
    SocketOpened,
    /// It is closed, or could not be opened; the hub may have told why.
    SocketClosed {
        code: Option<Code>,
    },
    /// On the socket to the hub.
    FromHub(Vec<u8>),
    /// The answer to `ProbeHub`.
    HubAlive,
    /// The socket to the hub keeps more than `socket_buffered_bytes_max` of what was sent on it.
    SocketFull,
    /// It keeps less than half of that.
    SocketDrained,
    /// The next socket to the hub brings another token.
    TokenOffered,
    /// What a socket of this hub may do, before anything comes on it.
    SocketGranted {
        socket: SocketId,
        grant: Grant,
    },
    /// A socket that an earlier node of this hub had, and whose grant was told.
    SocketAdopted {
        socket: SocketId,
    },
    /// A transport message on a socket of this hub.
    AtSocket {
        socket: SocketId,
        bytes: Vec<u8>,
    },
    /// A socket of this hub is gone.
    SocketGone {
        socket: SocketId,
    },
    VisiblePeer(bool),
    /// Drop the node with no farewell, as a crash would.
    KillNode,
    /// About the worker that hosts for this page.
    Worker(WorkerNews),
}

/// One thing for the driver to do, in order.
#[derive(Debug)]
pub enum Effect {
    /// Post on the channel of the node.
    ToNode(Vec<u8>),
    /// Post on the channel of this realm's client, which the node has opened by now.
    ToNodeDirectly(Vec<u8>),
    /// Post on the channel of another client.
    ToClient(ClientId, Vec<u8>),
    ToAll(Vec<u8>),
    /// Send on the socket to the hub, or open one instead.
    ToHub(Vec<u8>),
    /// Send on these sockets of this hub.
    ToSockets {
        sockets: Vec<SocketId>,
        bytes: Vec<u8>,
    },
    /// What was sent on it before arrives. Nothing more is told of it.
    CloseSocket {
        socket: SocketId,
        code: Code,
    },
    /// Ask on the socket to the hub whether anything is at its other end. Answer: `HubAlive`.
    ProbeHub,
    /// See whether the socket to the hub has drained. Answer, once it has: `SocketDrained`.
    LookAtSocket,
    /// Who comes in on this socket of this hub asks for another grant. Answered by
    /// `SocketGranted`, or the socket is closed.
    Renew {
        socket: SocketId,
        token: String,
    },
    /// The client on this socket of this hub had more sends confirmed than are stored.
    SendsLost {
        socket: SocketId,
        client: ClientId,
        count: u64,
    },
    /// The socket to the hub leads nowhere: the next message opens another.
    DropSocket,
    /// The hub at this door is not the one that is meant: try the next, if there are several.
    NextDoor,
    /// Ask for the node's lock, as the last in line or by force. An earlier request is taken back.
    RequestLock {
        steal: bool,
    },
    /// Give the lock back, or take the request back.
    ReleaseLock,
    /// Hold the lock that tells that this realm is visible.
    HoldVisible(bool),
    LookForVisiblePeer,
    /// Open the storage and listen as the node.
    BeginHosting(Tenure),
    /// Close the storage and all that `BeginHosting` and what followed opened.
    EndHosting,
    Perform {
        tenure: Tenure,
        op: OpId,
        action: StorageAction,
    },
    /// Listen on the channel shared with this client.
    OpenClient(ClientId),
    CloseClient(ClientId),
    /// Wait for the client's lock and tell `Gone`.
    Watch(ClientId),
    Unwatch(ClientId),
    ListPresent(Tenure),
    /// Tell the offsets of a time zone. Answer: `Zone`.
    AskZone {
        tenure: Tenure,
        zone: String,
        from: UnixMillis,
        until: UnixMillis,
    },
    /// Leave this for the next page of this tab.
    Keep(Keepsake),
    /// Close channels and give every lock back: the page goes into the cache.
    Suspend,
    /// Undo `Suspend`. Answer: `Claimed`.
    Resume,
    Tell(Notice),
}

/// What the user must know.
#[derive(PartialEq, Eq, Debug)]
pub enum Notice {
    Client(Event),
    /// Comes before the client's `Ready`.
    Host(HostNews),
    /// The storage is full (`true`) or has room again.
    StorageFull(bool),
    /// Another connection keeps the storage from being opened.
    StorageBlocked,
    /// The worker of this page has to take the lock, by force.
    WorkerMustHost,
    /// This worker lost the lock and stands in the line again.
    WaitsAgain,
    /// The identity is this realm's, and what is written down of its sends comes before it dials.
    Claimed,
    /// The hub can't be reached for now. It is dialed again.
    Unreachable,
    /// This realm can't host; the bus may have another host. Or the hub refuses this client, with
    /// the reason "hub".
    Error {
        code: Code,
        reason: &'static str,
    },
}

/// The node that a realm follows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HostNews {
    pub epoch: Epoch,
    /// This realm hosts it.
    pub here: bool,
    pub kind: HostKind,
    pub storage: StorageReport,
}
