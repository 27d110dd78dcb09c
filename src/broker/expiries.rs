//! Messages that outlive their time: when each expires, and what becomes of it then.
//!
//! The time is set when a message is stored and stays the same however often it is given back,
//! delayed or moved by hand. A message that somebody holds does not expire; one that comes back
//! late goes at once. In a dead-letter queue a message has no time any more, or it would be gone
//! before anybody looked.

use crate::broker::Broker;
use crate::broker::state::State;
use crate::cbor::Write;
use crate::error::{Code, Refused};
use crate::id::{MessageNumber, QueueId};
use crate::limits::Limits;
use crate::log::{Record, Removal};
use crate::options::QueueOptions;
use crate::sorted::{Line, LineSet};
use crate::time::{Now, UnixMillis};
use crate::topic::Name;
use crate::wire::frame::{Item, Reason};

#[derive(Clone, Copy, Debug)]
struct Expiry {
    at: UnixMillis,
    /// Where it waits, or was last leased from.
    queue: QueueId,
}

/// Of all messages that expire; empty while none does.
#[derive(Debug, Default)]
pub struct Expiries {
    expiries: Line<MessageNumber, Expiry>,
    /// Those that nobody holds.
    waiting: LineSet<(UnixMillis, MessageNumber)>,
}

impl Expiries {
    /// A message that stands in a queue and may expire.
    pub fn begin(&mut self, number: MessageNumber, queue: QueueId, at: Option<UnixMillis>) {
        let Some(at) = at else { return };
        self.expiries.insert(number, Expiry { at, queue });
        self.waiting.insert((at, number));
    }

    /// It stands in this queue now.
    pub fn put(&mut self, number: MessageNumber, queue: QueueId) {
        if let Some(expiry) = self.expiries.get_mut(&number) {
            expiry.queue = queue;
            self.waiting.insert((expiry.at, number));
        }
    }

    /// Somebody holds it now.
    pub fn hold(&mut self, number: MessageNumber) {
        if let Some(at) = self.of(number) {
            self.waiting.remove(&(at, number));
        }
    }

    /// It has left, or does not expire any more.
    pub fn remove(&mut self, number: MessageNumber) {
        self.hold(number);
        self.expiries.remove(&number);
    }

    pub fn of(&self, number: MessageNumber) -> Option<UnixMillis> {
        self.expiries.get(&number).map(|expiry| expiry.at)
    }

    /// When the next one expires that nobody holds.
    pub fn next_at(&self) -> Option<UnixMillis> {
        self.waiting.first().map(|(at, _)| *at)
    }

    /// The first one whose time is over.
    fn due(&self, unix: UnixMillis) -> Option<(QueueId, MessageNumber)> {
        let (_, number) = self.waiting.first().filter(|(at, _)| *at <= unix)?;
        self.expiries.get(number).map(|expiry| (expiry.queue, *number))
    }
}

impl QueueOptions {
    /// Whether what they say of messages that expire can be followed.
    pub(super) fn check_expiry(&self, limits: &Limits) -> Result<(), Refused> {
        if self.ttl_ms == Some(0) {
            return Err(Refused::new(Code::Invalid, "ttl"));
        }
        match &self.expired {
            Some(expired) => Name::parse(expired, limits).map(drop),
            None => Ok(()),
        }
    }
}

impl State {
    /// When an item that the queue takes in now expires: the shorter time counts.
    pub(super) fn expiry_of(
        &self,
        queue: QueueId,
        item: &Item<'_>,
        now: Now,
    ) -> Option<UnixMillis> {
        let declared = self.queues.get(&queue).and_then(|queue| queue.options.ttl_ms);
        let ttl_ms = [item.ttl_ms, declared].into_iter().flatten().min()?;
        Some(UnixMillis(now.unix.0.saturating_add(ttl_ms)))
    }
}

impl Broker {
    /// Lets go what has outlived its time.
    pub(super) fn expire_messages(&mut self, now: Now) {
        while let Some((queue, number)) = self.state.expiries.due(now.unix) {
            self.log.begin_batch();
            self.expire(queue, number, now.unix);
            self.log.end_batch();
        }
    }

    fn expire(&mut self, queue: QueueId, number: MessageNumber, at: UnixMillis) {
        let into = self.queue_of_expired(queue);
        let removal = match into {
            Some(into) => Removal::DeadLettered { into, reason: Reason::Expired, at },
            None => Removal::Expired { at },
        };
        self.commit(&Record::Removed { queue, number, removal });
        // Others of its key may have waited for it.
        self.dirty_queues.insert(queue);
        if self.live.has_listeners() {
            let name = into.and_then(|into| self.state.queues.get(&into));
            let name = name.map(|queue| queue.name.clone());
            let id = self.state.tracks.get(number).map(|track| track.id.clone());
            let parts: [(&str, &dyn Write); 3] =
                [("number", &number.0), ("id", &id), ("into", &name)];
            self.advise("expired", queue, &parts);
        }
        if let Some(into) = into {
            self.make_room(into);
            self.dirty_queues.insert(into);
        }
    }

    /// Where the queue wants what expires in it, made on first use. One that names itself, as a
    /// policy may have it, has nowhere to put it.
    fn queue_of_expired(&mut self, queue: QueueId) -> Option<QueueId> {
        let name = self.state.queues.get(&queue)?.options.expired.clone()?;
        Some(self.grave(&name)).filter(|into| *into != queue)
    }
}
