//! Who reaches the node of a realm, and whom it reaches: one link for each client, on its channel.

use alloc::vec::Vec;

use crate::broker::io::Input;
use crate::error::Code;
use crate::id::{ClientId, ConnId, LinkNonce};
use crate::time::{Instant, Now};
use crate::web::io::Effect;
use crate::web::realm::Realm;
use crate::web::trace::Way;
use crate::wire::Message;

impl Realm {
    /// A transport message for the node, from this realm's client or from a channel.
    pub(super) fn at_node(&mut self, now: Now, bytes: &[u8]) {
        let Ok(message) = Message::parse(bytes) else { return };
        let envelope = message.envelope;
        if envelope.client != self.config.client {
            self.trace.record(now, Way::NodeGot, bytes);
        }
        if self.hosting.is_relaying() {
            return self.relay_up(envelope.client, bytes.to_vec());
        }
        let known = self.hosting.links.conn(envelope.client, envelope.link);
        let conn = match known {
            Some(conn) => conn,
            // The rest of a link that an earlier node had: its client says Hello again.
            None if envelope.position != 1 => return,
            None => match self.accept(now, envelope.client, envelope.link) {
                Some(conn) => conn,
                None => return,
            },
        };
        self.node_input(now, Input::Received { conn, bytes });
    }

    fn accept(&mut self, now: Now, client: ClientId, link: LinkNonce) -> Option<ConnId> {
        if self.came_back(client) {
            self.effects.push(Effect::Watch(client));
        }
        let full = self.hosting.links.count() >= self.config.limits.sessions_max as usize;
        if full && !self.hosting.links.has_client(client) {
            // The node would refuse it as well, but it must not cost a channel first.
            self.refuse_on_socket(client, link);
            return None;
        }
        let grant = self.sockets.grant_of(client);
        let socket = self.sockets.of(client);
        let running = self.hosting.running()?;
        let conn = running.node.accept_granted(now, socket, grant);
        let before = self.hosting.links.insert(client, link, conn);
        match before {
            Some(before) => self.node_input(now, Input::Disconnected { conn: before }),
            None if self.is_on_channel(client) => self.effects.push(Effect::OpenClient(client)),
            None => {}
        }
        Some(conn)
    }

    /// Whether a client that begins a link was about to be let go: as a page is that is made anew.
    pub(super) fn came_back(&mut self, client: ClientId) -> bool {
        let before = self.hosting.departing.len();
        self.hosting.departing.retain(|(_, departing)| *departing != client);
        self.hosting.departing.len() < before
    }

    pub(super) fn transmit_of_node(&mut self, now: Now, conn: ConnId, bytes: Vec<u8>) {
        match self.hosting.links.client(conn) {
            Some(client) if client == self.config.client => self.at_own_client(now, &bytes),
            Some(client) => {
                self.trace.record(now, Way::NodeSent, &bytes);
                self.effects.push(match self.sockets.of(client) {
                    Some(socket) => Effect::ToSockets { sockets: [socket].into(), bytes },
                    None => Effect::ToClient(client, bytes),
                });
            }
            None => {}
        }
    }

    /// A client whose time for last words is over is gone. One at a time: what the node says of
    /// each is taken out before the next.
    pub(super) fn let_go(&mut self, now: Now) -> bool {
        let due = |(until, _): &(Instant, ClientId)| *until <= now.mono;
        let Some(at) = self.hosting.departing.iter().position(due) else { return false };
        let (_, client) = self.hosting.departing.remove(at);
        if self.hosting.is_relaying() {
            self.relay_gone(client);
            return true;
        }
        self.close_client(now, client);
        self.node_input(now, Input::Gone { client });
        true
    }

    pub(super) fn close_client(&mut self, now: Now, client: ClientId) {
        if self.hosting.links.remove_client(client) {
            self.end_way_to(now, client, Code::Closed);
        }
    }

    /// Closes the channel of a client whose link is over. A socket is not its alone.
    pub(super) fn end_way_to(&mut self, now: Now, client: ClientId, code: Code) {
        if !self.leave_socket(now, client, code) {
            self.effects.push(Effect::CloseClient(client));
        }
    }

    fn is_on_channel(&self, client: ClientId) -> bool {
        client != self.config.client && self.sockets.of(client).is_none()
    }
}
