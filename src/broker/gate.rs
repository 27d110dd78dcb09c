//! What waits for the log. Nothing that reveals a write leaves before the write is stored; the
//! gate holds it back, so no other part has to think of it.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::broker::Broker;
use crate::id::{ChunkNumber, ConnId, LeaseNumber, Sequence};
use crate::sorted::Map;
use crate::time::Instant;
use crate::wire::Frame;
use crate::wire::envelope::encode_frame;

/// Something that may leave once its chunk is stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Gated {
    /// An encoded frame.
    Frame(Vec<u8>),
    /// The delivery of a lease, encoded when it leaves.
    Deliver(LeaseNumber),
    /// The lane of this connection is used up so far; the first of these sends came then.
    Sent(Sequence, Instant),
}

#[derive(Debug, Default)]
pub struct Gate {
    waiting: VecDeque<(ChunkNumber, ConnId, Gated)>,
    /// Positions to confirm; only the newest of each chunk counts.
    sent: Map<ConnId, VecDeque<(ChunkNumber, Sequence, Instant)>>,
}

impl Gate {
    pub fn hold(&mut self, chunk: ChunkNumber, conn: ConnId, gated: Gated) {
        let Gated::Sent(position, since) = gated else {
            self.waiting.push_back((chunk, conn, gated));
            return;
        };
        let positions = self.sent.get_or_default(conn);
        match positions.back_mut() {
            Some(last) if last.0 == chunk => last.1 = last.1.max(position),
            _ => positions.push_back((chunk, position, since)),
        }
    }

    /// Forgets what waits for a connection that is gone.
    pub fn drop_conn(&mut self, conn: ConnId) {
        self.waiting.retain(|(_, waiting, _)| *waiting != conn);
        self.sent.remove(&conn);
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.sent.is_empty()
    }

    /// What may leave now that everything up to `durable` is stored: frames in order, then the
    /// confirmations, so that a refusal comes before the position that covers it.
    pub fn release(&mut self, durable: ChunkNumber) -> Vec<(ConnId, Gated)> {
        let mut released = Vec::new();
        while self.waiting.front().is_some_and(|(chunk, ..)| *chunk <= durable) {
            if let Some((_, conn, gated)) = self.waiting.pop_front() {
                released.push((conn, gated));
            }
        }
        self.sent.retain(|conn, positions| {
            let mut newest = None;
            while positions.front().is_some_and(|(chunk, ..)| *chunk <= durable) {
                newest = positions.pop_front();
            }
            if let Some((_, position, since)) = newest {
                released.push((*conn, Gated::Sent(position, since)));
            }
            !positions.is_empty()
        });
        released
    }
}

impl Broker {
    /// Sends a frame once everything that was appended so far is stored.
    pub(super) fn gated(&mut self, conn: ConnId, frame: &Frame<'_>) {
        if self.may_leave() && self.gate.is_empty() {
            self.links.push(conn, frame);
            return;
        }
        let mut bytes = Vec::new();
        encode_frame(frame, &mut bytes);
        self.hold(conn, Gated::Frame(bytes));
    }

    /// The same for a frame that was encoded because it borrows from here.
    pub(super) fn gated_encoded(&mut self, conn: ConnId, bytes: Vec<u8>) {
        if self.may_leave() && self.gate.is_empty() {
            self.links.push_encoded(conn, &bytes);
        } else {
            self.hold(conn, Gated::Frame(bytes));
        }
    }

    pub(super) fn hold(&mut self, conn: ConnId, gated: Gated) {
        self.gate.hold(self.log.appended(), conn, gated);
    }

    pub(super) fn may_leave(&self) -> bool {
        self.log.appended() <= self.log.durable() || !self.rules.confirm_after_store()
    }

    pub(super) fn release_gate(&mut self) {
        let durable =
            if self.rules.confirm_after_store() { self.log.durable() } else { self.log.appended() };
        for (conn, gated) in self.gate.release(durable) {
            match gated {
                Gated::Frame(bytes) => self.links.push_encoded(conn, &bytes),
                Gated::Deliver(lease) => self.transmit_delivery(conn, lease),
                Gated::Sent(position, since) => {
                    self.links.push(conn, &Frame::Sent { position });
                    self.measure(conn, since);
                }
            }
        }
    }
}
