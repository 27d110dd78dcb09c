//! The sockets of a hub: which clients speak on which. A socket is that of a device, or of one
//! process. A client has one: the newest, for the one before may be dead without anybody knowing.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use crate::broker::Grant;
use crate::broker::hibernation::Woken;
use crate::broker::io::Input;
use crate::error::Code;
pub use crate::id::SocketId;
use crate::id::{ClientId, ConnId, LinkNonce};
use crate::limits::RENEW_EVERY_MS;
use crate::marks::{Mark, mark};
use crate::node::Sleeps;
use crate::sorted::{Map, Set};
use crate::time::{Instant, Now};
use crate::web::io::Effect;
use crate::web::realm::{NodeAt, Realm};
use crate::web::trace::Way;
use crate::wire::envelope::{encode_envelope, encode_frame};
use crate::wire::{Envelope, Frame, Message};

#[derive(Debug, Default)]
pub struct Sockets {
    clients: Map<SocketId, Set<ClientId>>,
    by_client: Map<ClientId, SocketId>,
    /// Clients that are said to be gone, while the socket they spoke on seems to be open.
    departed: Set<ClientId>,
    /// What sockets may do, where that is not everything.
    grants: Map<SocketId, Grant>,
    /// When sockets asked for another grant last, and whether they wait for it.
    renewals: Map<SocketId, (Instant, bool)>,
    /// Sockets of a node before this one, whose clients may have to hear of this one.
    adopted: Set<SocketId>,
    /// The host grants: a socket without one may do nothing, whatever became of its grant.
    is_guarded: bool,
}

impl Sockets {
    /// How many clients have a socket.
    pub fn count(&self) -> usize {
        self.clients.values().map(Set::len).sum::<usize>().max(self.by_client.len())
    }

    pub fn of(&self, client: ClientId) -> Option<SocketId> {
        self.by_client.get(&client).copied()
    }

    /// What the client may do on its socket.
    pub fn grant_of(&self, client: ClientId) -> Grant {
        let granted = self.of(client).and_then(|socket| self.grants.get(&socket));
        granted.cloned().unwrap_or(Grant::ALL)
    }

    /// The sockets that an earlier node had, and what they may do.
    pub fn adopted(&self) -> Map<SocketId, Grant> {
        let granted = |socket: &SocketId| match self.grants.get(socket) {
            None if self.is_guarded => None,
            grant => Some((*socket, grant.cloned().unwrap_or(Grant::ALL))),
        };
        let mut all = Map::new();
        all.extend(self.adopted.iter().filter_map(granted));
        all
    }

    fn user_of(&self, socket: SocketId) -> Option<&str> {
        self.grants.get(&socket).and_then(Grant::user)
    }

    /// The client speaks on this socket from now on, and on no other.
    fn bind(&mut self, socket: SocketId, client: ClientId) {
        self.unbind(client);
        self.by_client.insert(client, socket);
        self.clients.get_or_default(socket).insert(client);
    }

    fn unbind(&mut self, client: ClientId) -> bool {
        let Some(socket) = self.by_client.remove(&client) else { return false };
        self.departed.remove(&client);
        if let Some(clients) = self.clients.get_mut(&socket) {
            clients.remove(&client);
            if clients.is_empty() {
                self.clients.remove(&socket);
            }
        }
        true
    }

    /// The clients that spoke on the socket, which is no more.
    fn remove(&mut self, socket: SocketId) -> Set<ClientId> {
        self.grants.remove(&socket);
        self.renewals.remove(&socket);
        self.adopted.remove(&socket);
        let clients = self.clients.remove(&socket).unwrap_or_default();
        for client in clients.iter() {
            self.by_client.remove(client);
        }
        clients
    }
}

impl Realm {
    /// What a socket of this hub may do from now on; before its first message, and whenever that
    /// changes.
    pub(super) fn socket_granted(&mut self, now: Now, socket: SocketId, grant: Grant) {
        let clients = self.sockets.clients.get(&socket).cloned().unwrap_or_default();
        for client in clients {
            if let Some(conn) = self.hosting.links.conn_of(client) {
                self.node_input(now, Input::Renewed { conn, grant: grant.clone() });
            }
        }
        self.sockets.grants.insert(socket, grant);
        self.sockets.is_guarded = true;
        if let Some((_, waits)) = self.sockets.renewals.get_mut(&socket) {
            *waits = false;
        }
    }

    /// A client asks for another grant of its socket. One after the other, and not too often: what
    /// asks meanwhile hears of the grant as all clients of the socket do.
    pub(super) fn renew_socket(&mut self, now: Now, conn: ConnId, token: String) {
        let client = self.hosting.links.client(conn);
        let Some(socket) = client.and_then(|client| self.sockets.of(client)) else { return };
        let too_soon =
            |(at, waits): &(Instant, bool)| *waits || now.mono.ms_since(*at) < RENEW_EVERY_MS;
        if !self.sockets.renewals.get(&socket).is_some_and(too_soon) {
            self.sockets.renewals.insert(socket, (now.mono, true));
            self.effects.push(Effect::Renew { socket, token });
        }
    }

    /// Clients of this realm and its channels are told themselves, and nobody else is to know.
    pub(super) fn sends_lost(&mut self, client: ClientId, count: u64) {
        if let Some(socket) = self.sockets.of(client) {
            self.effects.push(Effect::SendsLost { socket, client, count });
        }
    }

    /// Those who speak on the socket follow a node that is no more. They hear of this one, if it is
    /// another to them.
    pub(super) fn socket_adopted(&mut self, now: Now, socket: SocketId) {
        self.sockets.adopted.insert(socket);
        self.announce_to_adopted(now);
    }

    /// How the process of this hub sleeps, if it does.
    pub(super) fn sleeps(&self) -> Option<Sleeps> {
        self.config.naps.map(|naps| Sleeps { naps, sockets: self.sockets.adopted() })
    }

    /// Once there is a node here.
    pub(super) fn announce_to_adopted(&mut self, now: Now) {
        let Some(broker) = self.hosting.broker() else { return };
        let sockets: Vec<SocketId> = self.sockets.adopted.iter().copied().collect();
        if sockets.is_empty() {
            return;
        }
        let bytes = broker.announcement();
        self.sockets.adopted.clear();
        self.trace.record(now, Way::AllSent, &bytes);
        self.effects.push(Effect::ToSockets { sockets, bytes });
    }

    /// The node goes on in the place of one that fell asleep, and nobody is to notice.
    pub(super) fn sockets_woken(&mut self, links: &[Woken]) {
        self.sockets.adopted.clear();
        for Woken { conn, socket, client, nonce } in links {
            self.sockets.bind(*socket, *client);
            self.hosting.links.insert(*client, *nonce, *conn);
        }
    }

    /// A transport message on a socket of this hub.
    pub(super) fn at_socket(&mut self, now: Now, socket: SocketId, bytes: &[u8]) {
        if self.sockets.is_guarded && !self.sockets.grants.contains_key(&socket) {
            return self.close_socket(now, socket, Code::NotAuthorized);
        }
        let Ok(message) = Message::parse(bytes) else {
            return self.close_socket(now, socket, Code::Protocol);
        };
        let Envelope { client, link, position, .. } = message.envelope;
        if client == self.config.client {
            return self.close_socket(now, socket, Code::Protocol);
        }
        let is_here = self.sockets.of(client) == Some(socket);
        if link == LinkNonce(0) && message.is_empty() {
            return self.client_gone(now, socket, client);
        }
        if link == LinkNonce(0) {
            // Of one that has gone on elsewhere it means nothing.
            if is_here {
                self.pass_on(now, socket, bytes, message);
            }
            return;
        }
        if !is_here && position == 1 {
            // Whoever claims to be another's client must not even end its link.
            let user = self.sockets.user_of(socket);
            if self.user_of_session(client).is_some_and(|of| of != user) {
                return self.hang_up_on(socket, client, link, Code::ContractMismatch);
            }
            if self.sockets.of(client).is_some() {
                mark(Mark::SocketChanged);
            }
            self.sockets.bind(socket, client);
        }
        self.sockets.departed.remove(&client);
        if is_here || position == 1 {
            self.at_node(now, bytes);
        } else {
            mark(Mark::LateWordIgnored);
        }
        if !self.hosting.links.has_client(client) {
            // It was not let in. One socket must not name clients without end.
            self.sockets.unbind(client);
        }
    }

    /// There is no room for a client. Its socket stays: others may speak on it.
    pub(super) fn refuse_on_socket(&mut self, client: ClientId, link: LinkNonce) {
        if let Some(socket) = self.sockets.of(client) {
            self.hang_up_on(socket, client, link, Code::Full);
        }
    }

    /// Refuses a link that did not begin.
    fn hang_up_on(&mut self, socket: SocketId, client: ClientId, link: LinkNonce, code: Code) {
        let Some(epoch) = self.hosting.epoch() else { return };
        let mut bytes = encode_envelope(&Envelope { epoch, client, link, position: 1 });
        encode_frame(&Frame::Hangup { code }, &mut bytes);
        self.effects.push(Effect::ToSockets { sockets: [socket].into(), bytes });
    }

    /// A device knows which of those that shared its socket are gone: it says so in a message to
    /// everyone without a frame. One that speaks on another socket may have died with it, and that
    /// end is on its way; or it is another's.
    fn client_gone(&mut self, now: Now, socket: SocketId, client: ClientId) {
        if self.user_of_session(client) != Some(self.sockets.user_of(socket)) {
            return;
        }
        if self.sockets.of(client).is_some_and(|of| of != socket) {
            mark(Mark::GoneElsewhere);
            self.sockets.departed.insert(client);
            return;
        }
        self.sockets.unbind(client);
        self.close_client(now, client);
        self.node_input(now, Input::Gone { client });
    }

    /// On a channel of a device everyone says what they like, and is judged by each that hears it;
    /// a hub passes on nothing but what its sender published.
    fn pass_on(&mut self, now: Now, socket: SocketId, bytes: &[u8], message: Message<'_>) {
        let client = message.envelope.client;
        let published = |frame| matches!(frame, Ok(Frame::Publish(l)) if l.publisher == client);
        if !message.frames().all(published) {
            return self.close_socket(now, socket, Code::Protocol);
        }
        let conn = self.hosting.links.conn_of(client);
        let may = conn.and_then(|conn| self.hosting.broker()?.publishable(conn, bytes));
        let Some(bytes) = may.map(Cow::into_owned) else { return };
        self.trace.record(now, Way::AllGot, &bytes);
        self.client_hears(now, &bytes);
        // The node passes it on to the other sockets.
        self.node_input(now, Input::Heard { bytes: &bytes });
    }

    /// A message of this realm to everyone goes to the channel of a device. A hub has none, and its
    /// node knows what goes out on which socket.
    pub(super) fn send_to_everyone(&mut self, bytes: Vec<u8>) {
        if self.config.node_at == NodeAt::Here {
            return;
        }
        if self.hosting.is_relaying() && self.reaches_hub(&bytes) {
            self.effects.push(Effect::ToHub(bytes.clone()));
        }
        self.effects.push(Effect::ToAll(bytes));
    }

    /// The socket is gone, with whatever was not sent on it.
    pub(super) fn socket_gone(&mut self, now: Now, socket: SocketId) {
        for client in self.sockets.remove(socket) {
            if self.sockets.departed.remove(&client) {
                self.close_client(now, client);
                self.node_input(now, Input::Gone { client });
                continue;
            }
            let conn = self.hosting.links.conn_of(client);
            self.hosting.links.remove_client(client);
            if let Some(conn) = conn {
                self.node_input(now, Input::Disconnected { conn });
            }
        }
    }

    /// The client speaks on no socket any more. False if it spoke on none. A socket without a grant
    /// is closed: the same holds for all that speak on it.
    pub(super) fn leave_socket(&mut self, now: Now, client: ClientId, code: Code) -> bool {
        let socket = self.sockets.of(client);
        if let Some(socket) = socket.filter(|_| code == Code::NotAuthorized) {
            self.close_socket(now, socket, code);
        }
        self.sockets.unbind(client);
        socket.is_some()
    }

    /// No node is here any more: whoever comes again may find the next one.
    pub(super) fn close_sockets(&mut self) {
        let granted = self.sockets.grants.keys().chain(self.sockets.adopted.iter()).copied();
        let all: Set<SocketId> = self.sockets.clients.keys().copied().chain(granted).collect();
        for socket in all {
            self.effects.push(Effect::CloseSocket { socket, code: Code::Unavailable });
        }
        let is_guarded = self.sockets.is_guarded;
        self.sockets = Sockets { is_guarded, ..Sockets::default() };
    }

    fn user_of_session(&self, client: ClientId) -> Option<Option<&str>> {
        self.hosting.broker().and_then(|broker| broker.user_of_session(client))
    }

    fn close_socket(&mut self, now: Now, socket: SocketId, code: Code) {
        self.socket_gone(now, socket);
        self.effects.push(Effect::CloseSocket { socket, code });
    }
}
