//! Who is here, told to everyone who is. Each list names everyone, so telling a change costs the
//! square of their number: changes are gathered, and no turn tells more than so many bytes.

use alloc::vec::Vec;

use crate::broker::Broker;
use crate::cbor::EMPTY_MAP;
use crate::id::ClientId;
use crate::sorted::Set;
use crate::time::{Instant, Now};
use crate::wire::Frame;
use crate::wire::envelope::encode_frame;
use crate::wire::frame::PeerEntry;

/// Changes that come sooner after the last list are told together.
const GATHER_MS: u64 = 50;
/// What the lists of one turn may take. One may always go.
const TURN_BYTES_MAX: usize = 1 << 20;

#[derive(Debug, Default)]
pub(super) struct PeerLists {
    changed: bool,
    /// No list of a change leaves before.
    next_at: Instant,
    /// Who has not been told of the last change.
    due: Set<ClientId>,
    /// Some of them could be told, and were left for the next turn.
    behind: bool,
}

impl PeerLists {
    pub const fn changed(&mut self) {
        self.changed = true;
    }

    /// The client has a new link, and has to be told. If it is what it was, nobody else has to.
    pub fn came(&mut self, client: ClientId, is_same_peer: bool) {
        self.changed |= !is_same_peer;
        if is_same_peer {
            self.due.insert(client);
        }
    }

    /// Everyone was told.
    pub fn rests(&self) -> bool {
        self.due.is_empty() && !self.changed
    }

    pub fn wake_at(&self) -> Option<Instant> {
        match (self.behind, self.changed) {
            (true, _) => Some(Instant::default()),
            (false, true) => Some(self.next_at),
            (false, false) => None,
        }
    }
}

impl Broker {
    /// Tells every client on an open link of the last change, once however many there were. Who has
    /// no Welcome yet hears of it right after: the list is no write, but it comes second.
    pub(super) fn tell_peers(&mut self, now: Now) {
        let lists = &mut self.peer_lists;
        if lists.changed && !lists.behind && lists.next_at <= now.mono {
            lists.changed = false;
            lists.next_at = now.mono.after_ms(GATHER_MS);
            lists.due = self.sessions.keys().copied().collect();
        }
        lists.behind = false;
        if lists.due.is_empty() {
            return;
        }
        let mut told = Vec::new();
        let waiting = core::mem::take(&mut lists.due);
        for client in waiting {
            match self.sessions.get(&client).and_then(|session| session.conn) {
                Some(conn) if self.links.is_welcomed(conn) => told.push((client, conn)),
                Some(_) => drop(self.peer_lists.due.insert(client)),
                None => {}
            }
        }
        if told.is_empty() {
            return;
        }
        let list = self.encode_peers();
        let now_told = told.len().min((TURN_BYTES_MAX / list.len()).max(1));
        for (_, conn) in &told[..now_told] {
            self.links.push_result(*conn, &list);
        }
        for (client, _) in &told[now_told..] {
            self.peer_lists.due.insert(*client);
            self.peer_lists.behind = true;
        }
    }

    /// What they say of themselves is left out where all of it would be too long for a link.
    fn encode_peers(&self) -> Vec<u8> {
        let mut room = self.limits.link_bytes_max as usize / 8;
        let mut peers = Vec::new();
        for (client, session) in self.sessions.iter() {
            let left = room.checked_sub(session.peer.len());
            room = left.unwrap_or(room);
            let peer = if left.is_some() { session.peer.as_slice() } else { EMPTY_MAP };
            peers.push(PeerEntry { client: *client, peer });
        }
        let mut bytes = Vec::new();
        encode_frame(&Frame::Peers { peers }, &mut bytes);
        bytes
    }
}
