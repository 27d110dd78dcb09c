//! What goes into a broker and what comes out. The host performs outputs; it decides nothing.

use alloc::string::String;
use alloc::vec::Vec;

use crate::broker::grants::Grant;
use crate::broker::hibernation::Woken;
use crate::cron::Offsets;
use crate::error::Code;
use crate::id::{ClientId, ConnId, Epoch, LogId, OpId, SocketId};
use crate::store::{StorageAction, StorageResult};
use crate::time::{Instant, UnixMillis};

/// One fact for the broker.
#[derive(Debug)]
pub enum Input<'a> {
    /// Time passed and nothing else. A spurious one does nothing.
    Tick,
    /// One whole transport message arrived on a connection. Borrowed for this call only.
    Received { conn: ConnId, bytes: &'a [u8] },
    /// One transport message to everyone was heard. Not tied to a connection: of one that has a
    /// grant of a user comes what `Broker::publishable` gave. A node whose connections are on
    /// sockets passes it on to those of others.
    Heard { bytes: &'a [u8] },
    /// What the connection may do from now on. Its session, subscriptions, consumers and leases go
    /// on, but for what is not granted any more. A grant of another user ends it with
    /// `NOT_AUTHORIZED`.
    Renewed { conn: ConnId, grant: Grant },
    /// The connection is gone, or is given up by its host.
    Disconnected { conn: ConnId },
    /// The client's context has ended for good: its lock fell free.
    Gone { client: ClientId },
    /// The clients whose locks are held, listed by the host after recovery. Those among them that
    /// have a stored lease or lane are waited for before absence counts.
    Present { clients: &'a [ClientId] },
    /// `op` finished.
    Stored { op: OpId, result: StorageResult },
    /// The offsets that `Output::Zone` asked for, the first from `from` on; none if the host knows
    /// no such zone.
    Zone { zone: &'a str, offsets: Offsets<'a> },
    /// Hand over: store what is pending, take nothing new, then emit `Event::Drained`.
    Drain,
}

/// One thing for the host to do.
#[must_use]
#[derive(Debug)]
pub enum Output {
    /// Send one transport message on a connection.
    Transmit {
        conn: ConnId,
        bytes: Vec<u8>,
    },
    /// Send one transport message to everyone.
    Broadcast {
        bytes: Vec<u8>,
    },
    /// Send one transport message to everyone on each of these sockets.
    Multicast {
        sockets: Vec<SocketId>,
        bytes: Vec<u8>,
    },
    /// Perform `action` and report its result under `op`.
    Storage {
        op: OpId,
        action: StorageAction,
    },
    /// Tell the offsets of a time zone in this while, the first of them as from `from` on, by
    /// `Input::Zone`.
    Zone {
        zone: String,
        from: UnixMillis,
        until: UnixMillis,
    },
    /// Close the connection. A `Hangup` frame was transmitted before.
    Hangup {
        conn: ConnId,
        code: Code,
    },
    Event(Event),
    /// Nothing left until the next input or `wake_at`, whichever is first. Never in the past.
    Idle {
        wake_at: Option<Instant>,
    },
}

/// Something the host must know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// The log is recovered and the node serves. The host answers with `Input::Present`.
    Ready { epoch: Epoch, log: LogId },
    /// A session of this client began: watch its lock and report `Input::Gone`.
    Watch { client: ClientId },
    /// The client of the connection asks for another grant, by this token. Answered by
    /// `Input::Renewed`, if at all.
    Renewal { conn: ConnId, token: String },
    /// The client of the connection had so many more sends confirmed than are stored: the storage
    /// was put back to an earlier state. It says so itself, and is told the same.
    SendsLost { conn: ConnId, client: ClientId, count: u64 },
    /// The session ended: stop watching.
    Unwatch { client: ClientId },
    /// Before `Ready`: the node goes on in the place of one that fell asleep, on these links.
    Woken { links: Vec<Woken> },
    /// Another node holds the fence, or the log is sealed. Drop this node.
    Over { code: Code, reason: &'static str },
    /// The storage refused for lack of room; sends are refused until a write succeeds again.
    StorageFull { full: bool },
    /// Everything is stored after `Input::Drain`; the node may be dropped.
    Drained,
}
