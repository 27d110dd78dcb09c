//! Who watches the counts of queues. They are told at most so often, and only of what changed:
//! while nobody watches, or nothing comes in, there is nothing to do.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use crate::broker::Broker;
use crate::error::{Code, Refused};
use crate::id::{ClientId, ConnId, MessageNumber, WatchId};
use crate::sorted::Map;
use crate::time::{Instant, Now};
use crate::topic::Name;
use crate::wire::Frame;
use crate::wire::frame::{QueueCounts, QueueStats};

/// The least time from one look at the watched queues to the next.
const LOOK_MS: u64 = 250;

/// A queue that a client watches, and what it was told last.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) queue: String,
    /// `None`: nothing yet. The inner one: there is no such queue.
    pub(super) told: Option<Option<QueueStats>>,
}

#[derive(Debug, Default)]
pub struct Watches {
    pub(super) all: Map<(ClientId, WatchId), Watch>,
    /// When the next look is allowed.
    look_at: Instant,
    /// Something may have changed since the last one.
    touched: bool,
}

impl Watches {
    /// Something comes in.
    pub fn touch(&mut self) {
        self.touched = true;
    }

    pub fn wake_at(&self) -> Option<Instant> {
        Some(self.look_at).filter(|_| self.touched && !self.all.is_empty())
    }

    /// The queues that a client watches.
    pub fn of_client(&self, client: ClientId) -> Vec<(WatchId, String)> {
        let own = self.all.iter().filter(|((watcher, _), _)| *watcher == client);
        own.map(|((_, id), watch)| (*id, watch.queue.clone())).collect()
    }

    /// The client watches nothing more, or says anew what it watches.
    pub fn drop_client(&mut self, client: ClientId) {
        if !self.all.is_empty() {
            self.all.retain(|(watcher, _), _| *watcher != client);
        }
    }
}

impl Broker {
    pub(super) fn on_watch(&mut self, conn: ConnId, client: ClientId, watch: WatchId, name: &str) {
        if let Err(refused) = self.judge_watch(client, watch, name) {
            let (at, refused) = (self.now.unix, Some(refused.code));
            return self.gated(conn, &Frame::QueueStats { watch, at, stats: None, refused });
        }
        let watched = Watch { queue: name.to_owned(), told: None };
        self.watches.all.insert((client, watch), watched);
        // Whoever is new need not wait.
        self.watches.look_at = self.now.mono;
        self.watches.touched = true;
    }

    fn judge_watch(&self, client: ClientId, watch: WatchId, name: &str) -> Result<(), Refused> {
        Name::parse(name, &self.limits)?;
        let own =
            self.watches.all.keys().filter(|(watcher, id)| *watcher == client && *id != watch);
        if own.count() >= self.limits.handles_max as usize {
            return Err(Refused::new(Code::Full, "handles_max"));
        }
        Ok(())
    }

    pub(super) fn on_unwatch(&mut self, client: ClientId, watch: WatchId) {
        self.watches.all.remove(&(client, watch));
    }

    /// Tells those who watch what changed since they were told last.
    pub(super) fn tell_watchers(&mut self, now: Now) {
        if self.watches.wake_at().is_none_or(|look_at| look_at > now.mono) {
            return;
        }
        self.watches.look_at = now.mono.after_ms(LOOK_MS);
        self.watches.touched = false;
        let mut changes = Vec::new();
        for ((client, id), watch) in self.watches.all.iter() {
            let conn = self.sessions.get(client).and_then(|session| session.conn);
            let Some(conn) = conn else { continue };
            let stats = self.stats_of(&watch.queue);
            if watch.told == Some(stats) {
                continue;
            }
            // A slow reader is told once it has read.
            if self.links.waiting_bytes(conn) >= self.limits.link_bytes_max as usize {
                self.watches.touched = true;
                continue;
            }
            changes.push((*client, *id, conn, stats));
        }
        for (client, watch, conn, stats) in changes {
            if let Some(watched) = self.watches.all.get_mut(&(client, watch)) {
                watched.told = Some(stats);
            }
            let at = now.unix;
            self.gated(conn, &Frame::QueueStats { watch, at, stats, refused: None });
        }
    }

    pub(super) fn stats_of(&self, name: &str) -> Option<QueueStats> {
        let id = self.state.queue_named(name)?;
        let queue = self.state.queues.get(&id)?;
        let newest = MessageNumber(0);
        let first = queue.first_ready().and_then(|(_, entry)| self.log.message(entry.place));
        Some(QueueStats {
            state: QueueCounts { newest, ..self.counts_of(id, queue) },
            bytes: queue.bytes(),
            oldest_at: first.map(|message| message.stored_at),
        })
    }
}
