//! Who is here, told to everyone who is.

use alloc::vec::Vec;

use crate::broker::Broker;
use crate::wire::Frame;
use crate::wire::envelope::encode_frame;
use crate::wire::frame::PeerEntry;

impl Broker {
    /// Tells every client on an open link of the last change, once however many there were. Who has
    /// no Welcome yet hears of it right after: the list is no write, but it comes second.
    pub(super) fn tell_peers(&mut self) {
        if core::mem::take(&mut self.peers_changed) {
            self.peers_due = self.sessions.keys().copied().collect();
        }
        if self.peers_due.is_empty() {
            return;
        }
        let mut told = Vec::new();
        let waiting = core::mem::take(&mut self.peers_due);
        for client in waiting {
            match self.sessions.get(&client).and_then(|session| session.conn) {
                Some(conn) if self.links.is_welcomed(conn) => told.push(conn),
                Some(_) => drop(self.peers_due.insert(client)),
                None => {}
            }
        }
        if told.is_empty() {
            return;
        }
        let peers = self.sessions.iter();
        let peers =
            peers.map(|(client, session)| PeerEntry { client: *client, peer: &session.peer });
        let mut bytes = Vec::new();
        encode_frame(&Frame::Peers { peers: peers.collect() }, &mut bytes);
        for conn in told {
            self.links.push_result(conn, &bytes);
        }
    }
}
