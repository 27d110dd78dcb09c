//! Message ids that a queue remembers for a while, so that a producer which sends the same thing
//! again, from another tab or after a reload, stores it once. What became of the first message does
//! not matter. Within one lane numbers do the same without a window of time.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;

use crate::broker::Broker;
use crate::broker::prepared::Prepared;
use crate::broker::state::State;
use crate::cbor;
use crate::error::{Code, Refused};
use crate::id::{ConnId, LaneId, MessageNumber, QueueId, Sequence};
use crate::log::Record;
use crate::log::record::StoredMessage;
use crate::sorted::{Map, Set};
use crate::time::{Now, UnixMillis};
use crate::wire::Frame;
use crate::wire::frame::{Duplicate, Item, Properties};

/// Duplicates of one lane that are told again if the client asks again.
const DUPLICATES_MAX: usize = 10_000;

/// The first message of an id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Original {
    number: MessageNumber,
    stored_at: UnixMillis,
}

impl Original {
    /// Whether its window is open at that time. A clock that goes back does not close it.
    fn holds(&self, at: UnixMillis, window_ms: u64) -> bool {
        at.0.saturating_sub(self.stored_at.0) < window_ms
    }
}

/// The ids of one queue.
#[derive(Debug, Default)]
struct Ids {
    originals: Map<String, Original>,
    /// In the order in which they were stored. May name some that a later message took over.
    order: VecDeque<(MessageNumber, String)>,
}

impl Ids {
    fn insert(&mut self, id: &str, original: Original, ids_max: usize) {
        self.originals.insert(id.into(), original);
        self.order.push_back((original.number, id.into()));
        while self.originals.len() > ids_max {
            self.forget_first();
        }
    }

    fn first(&self) -> Option<Original> {
        let (number, id) = self.order.front()?;
        self.originals.get(id).copied().filter(|original| original.number == *number)
    }

    fn forget_first(&mut self) {
        let first = self.first();
        if let Some((_, id)) = self.order.pop_front()
            && first.is_some()
        {
            self.originals.remove(&id);
        }
    }

    /// Whether the first one is of no use any more.
    fn is_over(&self, at: UnixMillis, window_ms: u64) -> bool {
        !self.order.is_empty() && self.first().is_none_or(|first| !first.holds(at, window_ms))
    }
}

/// The ids of all queues: a part of the durable state.
#[derive(Debug)]
pub struct Dedupe {
    queues: Map<QueueId, Ids>,
    ids_max: usize,
}

impl Dedupe {
    pub fn new(ids_max: u32) -> Self {
        Self { queues: Map::new(), ids_max: ids_max as usize }
    }

    /// Remembers a message that was stored, if its queue has a window and it has an id. What was
    /// imported stands outside of this: its time is that of another log. So does what a schedule
    /// sends: each of its times is meant.
    pub fn store(&mut self, message: &StoredMessage<'_>, window_ms: Option<u64>) {
        let outside = message.past.is_some() || message.lane == LaneId(0);
        if window_ms.is_none_or(|window_ms| window_ms == 0) || outside {
            return;
        }
        if let Some(id) = id_of(message.properties) {
            self.insert(message.queue, message.number, id, message.stored_at);
        }
    }

    pub fn insert(
        &mut self,
        queue: QueueId,
        number: MessageNumber,
        id: &str,
        stored_at: UnixMillis,
    ) {
        let ids_max = self.ids_max;
        let ids = self.queues.get_or_default(queue);
        ids.insert(id, Original { number, stored_at }, ids_max);
    }

    /// Forgets the first ids of the queue, as long as their window is over at that time.
    fn let_go(&mut self, queue: QueueId, at: UnixMillis, window_ms: u64) {
        let Some(ids) = self.queues.get_mut(&queue) else { return };
        while ids.is_over(at, window_ms) {
            ids.forget_first();
        }
        if ids.order.is_empty() {
            self.drop_queue(queue);
        }
    }

    pub fn drop_queue(&mut self, queue: QueueId) {
        self.queues.remove(&queue);
    }

    /// Every id that is remembered, in order.
    pub fn iter(&self) -> impl Iterator<Item = (QueueId, MessageNumber, &str, UnixMillis)> {
        self.queues.iter().flat_map(|(queue, ids)| {
            ids.order.iter().filter_map(|(number, id)| {
                let original = ids.originals.get(id).filter(|first| first.number == *number)?;
                Some((*queue, *number, &**id, original.stored_at))
            })
        })
    }

    /// Queues whose first id is to be forgotten.
    fn over(&self, state: &State, at: UnixMillis) -> Vec<QueueId> {
        let is_over = |queue: &QueueId, ids: &Ids| ids.is_over(at, state.window_ms(*queue));
        let over = self.queues.iter().filter(|(queue, ids)| is_over(queue, ids));
        over.map(|(queue, _)| *queue).collect()
    }
}

impl State {
    /// How long the queue remembers ids; zero if it does not.
    pub(super) fn window_ms(&self, queue: QueueId) -> u64 {
        self.queues.get(&queue).and_then(|queue| queue.options.dedupe_ms).unwrap_or(0)
    }

    /// The message that this one repeats, if it has an id that its queue remembers.
    fn original(&self, now: Now, queue: QueueId, item: &Item<'_>) -> Option<MessageNumber> {
        let id = id_of(item.properties).filter(|_| item.past.is_none())?;
        self.original_of_id(now, queue, id)
    }

    fn original_of_id(&self, now: Now, queue: QueueId, id: &str) -> Option<MessageNumber> {
        let original = self.dedupe.queues.get(&queue)?.originals.get(id)?;
        original.holds(now.unix, self.window_ms(queue)).then_some(original.number)
    }

    pub(super) fn apply_ids(&mut self, record: &Record<'_>) {
        match record {
            Record::Duplicate { lane, sequence, index, number } => {
                self.move_lane(*lane, *sequence);
                let Some(lane) = self.lanes.get_mut(lane) else { return };
                let duplicate = Duplicate { index: *index, number: *number };
                lane.duplicates.push_back((*sequence, duplicate));
                if lane.duplicates.len() > DUPLICATES_MAX {
                    lane.duplicates.pop_front();
                }
            }
            Record::IdsForgotten { queue, at } => {
                self.dedupe.let_go(*queue, *at, self.window_ms(*queue));
            }
            Record::IdKept { queue, number, id, stored_at } => {
                self.dedupe.insert(*queue, *number, id, *stored_at);
            }
            _ => {}
        }
    }
}

impl Broker {
    /// The items that would be stored.
    pub(super) fn fresh_items<'a>(
        &self,
        now: Now,
        queue: QueueId,
        items: &[Item<'a>],
    ) -> Result<Vec<Item<'a>>, Refused> {
        if self.state.window_ms(queue) == 0 && items.iter().all(|item| item.prepare.is_none()) {
            return Ok(items.to_vec());
        }
        let mut seen = Set::new();
        let mut fresh = Vec::new();
        for item in items {
            if item.prepare.is_some() {
                fresh.extend(self.is_unprepared(queue, item)?.then_some(*item));
                continue;
            }
            let id = id_of(item.properties).filter(|_| item.past.is_none());
            if id.is_some_and(|id| id.len() > self.limits.name_bytes_max as usize) {
                return Err(Refused::new(Code::TooLarge, "id"));
            }
            let repeats = id.is_some_and(|id| !seen.insert(id));
            if !repeats && self.original(now, queue, item).is_none() {
                fresh.push(*item);
            }
        }
        Ok(fresh)
    }

    /// Whether a message that is to be prepared is not prepared yet.
    fn is_unprepared(&self, queue: QueueId, item: &Item<'_>) -> Result<bool, Refused> {
        let Some(id) = id_of(item.properties) else { return Ok(true) };
        if id.len() > self.limits.name_bytes_max as usize {
            return Err(Refused::new(Code::TooLarge, "id"));
        }
        Ok(self.state.prepared.find(queue, id).is_none())
    }

    /// The message whose id a prepared one has that is to be sent now.
    pub(super) fn original_of(&self, now: Now, prepared: &Prepared) -> Option<MessageNumber> {
        let original = self.state.original_of_id(now, prepared.queue, &prepared.id);
        original.filter(|_| prepared.own_id && self.rules.id_dedupe())
    }

    /// The message that this one repeats.
    pub(super) fn original(
        &self,
        now: Now,
        queue: QueueId,
        item: &Item<'_>,
    ) -> Option<MessageNumber> {
        self.state.original(now, queue, item).filter(|_| self.rules.id_dedupe())
    }

    /// Says which items of a send were not stored, for they repeat an earlier message.
    pub(super) fn tell_duplicates(&mut self, conn: ConnId, lane: LaneId, sequence: Sequence) {
        let Some(lane) = self.state.lanes.get(&lane) else { return };
        let of_send = lane.duplicates.iter().filter(|(of, _)| *of == sequence);
        let items: Vec<Duplicate> = of_send.map(|(_, duplicate)| *duplicate).collect();
        if !items.is_empty() {
            self.gated(conn, &Frame::Duplicates { sequence, items });
        }
    }

    /// Forgets ids whose window is over. On a full disk they stay: that is no harm.
    pub(super) fn forget_ids(&mut self, now: Now) {
        if self.is_full() {
            return;
        }
        for queue in self.state.dedupe.over(&self.state, now.unix) {
            self.commit(&Record::IdsForgotten { queue, at: now.unix });
        }
    }
}

/// The id that its producer gave it.
pub(super) fn id_of(properties: Option<&[u8]>) -> Option<&str> {
    cbor::decode::<Properties<'_>>(properties?).ok()?.id
}
