//! How many items of a producer may be under way: the node tells those who asked. The number
//! doubles while what is sent is stored at once, and halves when it has to wait.

use crate::broker::Broker;
use crate::id::{ClientId, ConnId};
use crate::time::Instant;
use crate::wire::Frame;

/// Where each producer begins, and below what none is brought.
const ITEMS_FIRST: u32 = 256;
const ITEMS_MIN: u32 = 16;
/// A send that was stored within so long may have been one of many, and one that took longer than
/// the other was one of too many.
const PROMPT_MS: u64 = 50;
const LATE_MS: u64 = 250;

impl Broker {
    /// The client wants to know, or does not any more.
    pub(super) fn on_ingest(&mut self, conn: ConnId, client: ClientId, on: bool) {
        let items = ITEMS_FIRST.min(self.limits.ingest_items_max);
        let Some(session) = self.sessions.get_mut(&client) else { return };
        session.ingest_items = Some(items).filter(|_| on);
        if on {
            self.links.push(conn, &Frame::Window { items });
        }
    }

    /// A send that came at `since` is stored now.
    pub(super) fn measure(&mut self, conn: ConnId, since: Instant) {
        let client = self.links.get_mut(conn).and_then(|link| link.client).unwrap_or_default();
        let Some(session) = self.sessions.get_mut(&client) else { return };
        let Some(before) = session.ingest_items else { return };
        let items = match self.now.mono.ms_since(since) {
            0..=PROMPT_MS => before.saturating_mul(2).min(self.limits.ingest_items_max),
            waited_ms if waited_ms > LATE_MS => (before / 2).max(ITEMS_MIN.min(before)),
            _ => before,
        };
        if items != before {
            session.ingest_items = Some(items);
            self.links.push(conn, &Frame::Window { items });
        }
    }
}
