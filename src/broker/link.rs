//! Connections: the order of transport messages on each, and the frames that wait to leave.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::broker::deadline::Deadlines;
use crate::broker::grants::{Grant, Granted};
use crate::broker::hibernation::LinkKept;
use crate::id::{ClientId, ConnId, Epoch, LinkNonce, SocketId};
use crate::limits::Limits;
use crate::sorted::{Map, Set};
use crate::time::UnixMillis;
use crate::wire::envelope::encode_frame;
use crate::wire::{Envelope, Frame, MessageWriter, Reassembly};

/// One connection as the broker sees it.
#[derive(Debug)]
pub struct Link {
    /// Known from the Hello on.
    pub client: Option<ClientId>,
    pub nonce: LinkNonce,
    /// What its host lets it do.
    grant: Grant,
    /// The socket of a hub on which it is.
    socket: Option<SocketId>,
    /// Position of the last transport message that came.
    pub received: u64,
    sent: u64,
    writer: MessageWriter,
    /// Frames that came up before the Welcome, which is always first; `None` once it has passed.
    before_welcome: Option<Vec<Vec<u8>>>,
    pub reassembly: Reassembly,
}

impl Link {
    fn welcomed(&mut self) {
        for frame in self.before_welcome.take().unwrap_or_default() {
            self.writer.push_encoded(&frame);
        }
    }
}

/// Ended links that are remembered. A copy of a transport message comes soon after it, or never.
const ENDED_LINKS_MAX: usize = 1024;

/// All connections of one broker.
#[derive(Debug)]
pub struct Links {
    links: Map<ConnId, Link>,
    /// Connections with frames that wait to leave.
    ready: Set<ConnId>,
    /// Links that ended lately, the oldest first.
    ended: VecDeque<LinkNonce>,
    /// Connections that may not do everything; a device has none.
    granted: usize,
    grant_ends: Deadlines<ConnId, UnixMillis>,
    next: ConnId,
    epoch: Epoch,
    message_bytes_max: usize,
    frame_bytes_max: usize,
}

impl Links {
    pub fn new(epoch: Epoch, limits: &Limits) -> Self {
        Self {
            links: Map::new(),
            ready: Set::new(),
            ended: VecDeque::new(),
            granted: 0,
            grant_ends: Deadlines::new(),
            next: ConnId(1),
            epoch,
            message_bytes_max: limits.fragment_bytes_max as usize,
            frame_bytes_max: limits.link_bytes_max as usize,
        }
    }

    /// Takes numbers from here on, so that none is used twice by one host.
    pub fn start_at(&mut self, conn: ConnId) {
        self.next = conn;
    }

    pub fn accept(&mut self, socket: Option<SocketId>, grant: Grant) -> ConnId {
        let conn = self.next;
        self.next = conn.next();
        self.granted += usize::from(grant.granted().is_some());
        self.watch_grant(conn, &grant);
        let link = Link {
            client: None,
            nonce: LinkNonce(0),
            grant,
            socket,
            received: 0,
            sent: 0,
            writer: MessageWriter::new(self.message_bytes_max),
            before_welcome: Some(Vec::new()),
            reassembly: Reassembly::new(self.frame_bytes_max),
        };
        self.links.insert(conn, link);
        conn
    }

    /// The number of the next connection.
    pub const fn next(&self) -> ConnId {
        self.next
    }

    /// No frame of any link is under way, in part or as a whole.
    pub fn rest(&self) -> bool {
        self.ready.is_empty()
            && self.links.values().all(|link| {
                let opened = link.client.is_some() && link.before_welcome.is_none();
                opened && link.reassembly.is_idle()
            })
    }

    /// The links on sockets, as far as another of this node has to know them.
    pub fn on_sockets(&self) -> Vec<LinkKept> {
        let kept = self.links.iter().filter_map(|(conn, link)| {
            let (socket, client) = (link.socket?, link.client?);
            let Link { nonce, received, sent, .. } = *link;
            Some(LinkKept { conn: *conn, socket, client, nonce, received, sent })
        });
        kept.collect()
    }

    /// A link that another of this node had, as a connection of its own.
    pub fn recall(&mut self, kept: &LinkKept, grant: Grant) -> ConnId {
        let conn = self.accept(Some(kept.socket), grant);
        if let Some(link) = self.links.get_mut(&conn) {
            (link.client, link.nonce) = (Some(kept.client), kept.nonce);
            (link.received, link.sent) = (kept.received, kept.sent);
            link.before_welcome = None;
        }
        conn
    }

    /// Puts another grant of the same user in place of the one that the connection has.
    ///
    /// # Errors
    /// The grant, if it is for another user.
    pub fn renew(&mut self, conn: ConnId, grant: Grant) -> Result<(), Grant> {
        let Some(link) = self.links.get_mut(&conn) else { return Ok(()) };
        if link.grant.user() != grant.user() {
            return Err(grant);
        }
        link.grant = grant.clone();
        self.watch_grant(conn, &grant);
        Ok(())
    }

    fn watch_grant(&mut self, conn: ConnId, grant: &Grant) {
        match grant.expires_at() {
            Some(at) => self.grant_ends.set(conn, at),
            None => self.grant_ends.remove(conn),
        }
    }

    /// When the grant of the connection ends.
    pub fn grant_ends_at(&self, conn: ConnId) -> Option<UnixMillis> {
        self.links.get(&conn).and_then(|link| link.grant.expires_at())
    }

    /// When the next grant ends.
    pub fn grants_end_at(&self) -> Option<UnixMillis> {
        self.grant_ends.first()
    }

    /// Takes a connection whose grant is over.
    pub fn take_expired(&mut self, now: UnixMillis) -> Option<ConnId> {
        self.grant_ends.pop_due(now)
    }

    /// What the connection is bounded to; `None` if it may do everything.
    pub fn granted(&self, conn: ConnId) -> Option<&Granted> {
        if self.granted == 0 {
            return None;
        }
        self.links.get(&conn).and_then(|link| link.grant.granted())
    }

    pub fn is_here(&self, conn: ConnId) -> bool {
        self.links.contains_key(&conn)
    }

    /// Whose connection it is. Nobody's: one of this device.
    pub fn user_of(&self, conn: ConnId) -> Option<&str> {
        self.links.get(&conn).and_then(|link| link.grant.user())
    }

    pub fn socket_of(&self, conn: ConnId) -> Option<SocketId> {
        self.links.get(&conn).and_then(|link| link.socket)
    }

    /// The client of a connection that is here.
    pub fn client_of(&self, conn: ConnId) -> Option<ClientId> {
        self.links.get(&conn).and_then(|link| link.client)
    }

    pub fn get_mut(&mut self, conn: ConnId) -> Option<&mut Link> {
        self.links.get_mut(&conn)
    }

    pub fn remove(&mut self, conn: ConnId) -> Option<Link> {
        let ended = self.links.remove(&conn)?;
        self.granted -= usize::from(ended.grant.granted().is_some());
        self.grant_ends.remove(conn);
        if ended.client.is_some() {
            self.ended.push_back(ended.nonce);
            if self.ended.len() > ENDED_LINKS_MAX {
                self.ended.pop_front();
            }
        }
        Some(ended)
    }

    /// Whether a link of that nonce was here and ended.
    pub fn has_ended(&self, nonce: LinkNonce) -> bool {
        self.ended.contains(&nonce)
    }

    pub fn all(&self) -> Vec<ConnId> {
        self.links.keys().copied().collect()
    }

    /// Queues a frame. A connection that is gone takes nothing.
    pub fn push(&mut self, conn: ConnId, frame: &Frame<'_>) {
        let Some(link) = self.links.get_mut(&conn) else { return };
        self.ready.insert(conn);
        match (&mut link.before_welcome, frame) {
            (Some(_), Frame::Welcome(_)) => {
                link.writer.push(frame);
                link.welcomed();
            }
            (Some(waiting), frame) if !matches!(frame, Frame::Hangup { .. }) => {
                let mut bytes = Vec::new();
                encode_frame(frame, &mut bytes);
                waiting.push(bytes);
            }
            _ => link.writer.push(frame),
        }
    }

    /// Queues a frame that is encoded already. On a new connection that is the Welcome: nothing
    /// else is held back for it before.
    pub fn push_encoded(&mut self, conn: ConnId, frame: &[u8]) {
        if let Some(link) = self.links.get_mut(&conn) {
            link.writer.push_encoded(frame);
            link.welcomed();
            self.ready.insert(conn);
        }
    }

    /// Queues an encoded frame of a link that may not have its Welcome yet.
    pub fn push_result(&mut self, conn: ConnId, frame: &[u8]) {
        let Some(link) = self.links.get_mut(&conn) else { return };
        self.ready.insert(conn);
        match &mut link.before_welcome {
            Some(waiting) => waiting.push(frame.to_vec()),
            None => link.writer.push_encoded(frame),
        }
    }

    pub fn is_welcomed(&self, conn: ConnId) -> bool {
        self.links.get(&conn).is_some_and(|link| link.before_welcome.is_none())
    }

    /// Bytes that wait on a connection.
    pub fn waiting_bytes(&self, conn: ConnId) -> usize {
        self.links.get(&conn).map_or(0, |link| link.writer.bytes())
    }

    /// The next transport message of one connection.
    pub fn take_message_of(&mut self, conn: ConnId) -> Option<Vec<u8>> {
        let link = self.links.get_mut(&conn)?;
        let (client, nonce, epoch) = (link.client?, link.nonce, self.epoch);
        let sent = &mut link.sent;
        link.writer.take_message(|| {
            *sent += 1;
            Envelope { epoch, client, link: nonce, position: *sent }
        })
    }

    /// The next transport message of any connection.
    pub fn take_message(&mut self) -> Option<(ConnId, Vec<u8>)> {
        while let Some(conn) = self.ready.first().copied() {
            if let Some(bytes) = self.take_message_of(conn) {
                return Some((conn, bytes));
            }
            self.ready.remove(&conn);
        }
        None
    }
}
