//! Prepared messages as they are stored: in the log and in no line, until somebody decides. And
//! what was decided lately, so that whoever decides again hears how it went.

use alloc::borrow::ToOwned;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;

use crate::broker::groups::Mark;
use crate::broker::moving::Stand;
use crate::broker::queue::Entry;
use crate::broker::state::{Liveness, State};
use crate::broker::tracks::id_of;
use crate::cbor;
use crate::error::{Code, Refused};
use crate::id::{MessageNumber, QueueId};
use crate::log::record::{Decision, StoredMessage};
use crate::log::{Place, Record};
use crate::sorted::{Line, Map};
use crate::time::UnixMillis;
use crate::wire::frame::Properties;

/// Decisions that a later one of the same id took over are swept once there are so many of them
/// beside the others.
const SWEEP: usize = 64;

/// A message that nobody decided about yet. Its number is not the one that it gets when it is sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Prepared {
    pub queue: QueueId,
    pub id: String,
    /// The id is its sender's own, so its queue may remember it.
    pub own_id: bool,
    pub entry: Entry,
    pub due_at: Option<UnixMillis>,
    pub expires_at: Option<UnixMillis>,
    pub mark: Mark,
    pub tracked: bool,
    pub prepared_at: UnixMillis,
    pub check_after_ms: Option<u64>,
    /// How often somebody was asked about it.
    pub checks: u32,
}

impl Decision {
    /// Why it can't be committed any more.
    pub const fn rollback(self) -> Option<&'static str> {
        match self {
            Self::Committed { .. } | Self::Repeated { .. } => None,
            Self::RolledBack => Some("rollback"),
            Self::Unanswered => Some("unanswered"),
            Self::TooOld => Some("age"),
        }
    }

    /// The answer to whoever wants this again, or the other thing: the message that it repeats, or
    /// zero.
    pub const fn answer(self, commit: bool) -> Result<MessageNumber, Refused> {
        match (self, self.rollback()) {
            (Self::Repeated { original }, _) if commit => Ok(original),
            (_, Some(reason)) if commit => Err(Refused::new(Code::Discarded, reason)),
            (_, None) if !commit => Err(Refused::new(Code::NotFound, "committed")),
            _ => Ok(MessageNumber(0)),
        }
    }
}

type Key = (QueueId, String);

/// All prepared messages of a log: a part of the durable state.
#[derive(Debug)]
pub struct PreparedMessages {
    by_number: Line<MessageNumber, Prepared>,
    by_id: Map<Key, MessageNumber>,
    /// By what the message was prepared as.
    decisions: Map<Key, (MessageNumber, Decision)>,
    /// In their order. May name some that a later one of the same id took over.
    order: VecDeque<(MessageNumber, Key)>,
    decisions_max: usize,
}

impl PreparedMessages {
    pub fn new(decisions_max: u32) -> Self {
        Self {
            by_number: Line::new(),
            by_id: Map::new(),
            decisions: Map::new(),
            order: VecDeque::new(),
            decisions_max: decisions_max as usize,
        }
    }

    pub fn get(&self, number: MessageNumber) -> Option<&Prepared> {
        self.by_number.get(&number)
    }

    pub fn find(&self, queue: QueueId, id: &str) -> Option<MessageNumber> {
        self.by_id.get(&(queue, id.to_owned())).copied()
    }

    pub fn decision(&self, queue: QueueId, id: &str) -> Option<Decision> {
        self.decisions.get(&(queue, id.to_owned())).map(|(_, decision)| *decision)
    }

    pub fn iter(&self) -> impl Iterator<Item = (MessageNumber, &Prepared)> {
        self.by_number.iter().map(|(number, prepared)| (*number, prepared))
    }

    /// Every decision that is remembered, in order.
    pub fn decisions(&self) -> impl Iterator<Item = (MessageNumber, &Key, Decision)> {
        self.order.iter().filter_map(|(number, key)| {
            let (_, decision) = self.decisions.get(key).filter(|(of, _)| of == number)?;
            Some((*number, key, *decision))
        })
    }

    pub fn entry(&self, stand: Stand) -> Option<Entry> {
        let prepared = self.by_number.get(&stand.number)?;
        (prepared.queue == stand.queue).then_some(prepared.entry)
    }

    pub fn entry_mut(&mut self, stand: Stand) -> Option<&mut Entry> {
        let prepared = self.by_number.get_mut(&stand.number)?;
        (prepared.queue == stand.queue).then_some(&mut prepared.entry)
    }

    fn insert(&mut self, number: MessageNumber, prepared: Prepared) {
        self.by_id.insert((prepared.queue, prepared.id.clone()), number);
        self.by_number.insert(number, prepared);
    }

    fn remove(&mut self, number: MessageNumber) -> Option<Prepared> {
        let prepared = self.by_number.remove(&number)?;
        self.by_id.remove(&(prepared.queue, prepared.id.clone()));
        Some(prepared)
    }

    fn remember(&mut self, number: MessageNumber, key: Key, decision: Decision) {
        self.decisions.insert(key.clone(), (number, decision));
        self.order.push_back((number, key));
        while self.decisions.len() > self.decisions_max {
            let Some((number, key)) = self.order.pop_front() else { return };
            if self.is_newest(number, &key) {
                self.decisions.remove(&key);
            }
        }
        if self.order.len() > 2 * self.decisions.len() + SWEEP {
            self.sweep();
        }
    }

    fn is_newest(&self, number: MessageNumber, key: &Key) -> bool {
        self.decisions.get(key).is_some_and(|(newest, _)| *newest == number)
    }

    fn sweep(&mut self) {
        let decisions = &self.decisions;
        self.order.retain(|(number, key)| decisions.get(key).is_some_and(|(of, _)| of == number));
    }

    /// The queue is gone. Gives the messages that were prepared for it.
    pub fn drop_queue(&mut self, queue: QueueId) -> Vec<(MessageNumber, Entry)> {
        self.decisions.retain(|(of, _), _| *of != queue);
        self.sweep();
        let of_queue = self.by_number.iter().filter(|(_, prepared)| prepared.queue == queue);
        let numbers: Vec<MessageNumber> = of_queue.map(|(number, _)| *number).collect();
        let removed = |number| Some((number, self.remove(number)?.entry));
        numbers.into_iter().filter_map(removed).collect()
    }
}

impl State {
    pub(super) fn apply_preparation(&mut self, place: Place, record: &Record<'_>) -> Liveness {
        match record {
            Record::Prepared { message, check_after_ms } => {
                self.apply_prepared(place, message, *check_after_ms)
            }
            Record::PreparedKept { .. } => self.apply_prepared_kept(record),
            Record::Checked { number } => {
                if let Some(prepared) = self.prepared.by_number.get_mut(number) {
                    prepared.checks = prepared.checks.saturating_add(1);
                }
                Liveness::Same
            }
            Record::Decided { queue, number, id, decision, at } => match id {
                // Of a checkpoint.
                Some(id) => {
                    self.prepared.remember(*number, (*queue, (*id).to_owned()), *decision);
                    Liveness::Same
                }
                None => self.apply_decided(*number, *decision, *at),
            },
            _ => Liveness::Same,
        }
    }

    fn apply_prepared(
        &mut self,
        place: Place,
        message: &StoredMessage<'_>,
        check_after_ms: Option<u64>,
    ) -> Liveness {
        self.move_lane(message.lane, message.sequence);
        let properties = message.properties.and_then(|bytes| cbor::decode(bytes).ok());
        let own_id = properties.is_some_and(|properties: Properties<'_>| properties.id.is_some());
        let prepared = Prepared {
            queue: message.queue,
            id: id_of(message),
            own_id,
            entry: Entry::of(place, message),
            due_at: message.due_at,
            expires_at: message.expires_at,
            mark: Mark::of(message),
            tracked: message.tracked == Some(true),
            prepared_at: message.stored_at,
            check_after_ms,
            checks: 0,
        };
        self.keep_prepared(message.number, prepared)
    }

    fn apply_prepared_kept(&mut self, record: &Record<'_>) -> Liveness {
        let Record::PreparedKept {
            queue,
            number,
            id,
            own_id,
            place,
            body_bytes,
            properties_bytes,
            prepared_at,
            tracked,
            checks,
            check_after_ms,
            due_at,
            expires_at,
            key,
            priority,
        } = *record
        else {
            return Liveness::Same;
        };
        let prepared = Prepared {
            queue,
            id: id.to_owned(),
            own_id,
            entry: Entry { place, body_bytes, properties_bytes, attempts: 0 },
            due_at,
            expires_at,
            mark: Mark::new(key, priority),
            tracked,
            prepared_at,
            check_after_ms,
            checks,
        };
        self.keep_prepared(number, prepared)
    }

    fn keep_prepared(&mut self, number: MessageNumber, prepared: Prepared) -> Liveness {
        self.next.message = self.next.message.max(number.next());
        let Some(queue) = self.queues.get_mut(&prepared.queue) else { return Liveness::Same };
        let entry = prepared.entry;
        queue.prepare(&entry, prepared.mark);
        self.prepared.insert(number, prepared);
        Liveness::Retain(entry)
    }

    fn apply_decided(
        &mut self,
        number: MessageNumber,
        decision: Decision,
        at: UnixMillis,
    ) -> Liveness {
        let Some(prepared) = self.prepared.remove(number) else { return Liveness::Same };
        let Prepared { queue: id, entry, .. } = prepared;
        self.prepared.remember(number, (id, prepared.id.clone()), decision);
        let Some(queue) = self.queues.get_mut(&id) else { return Liveness::Same };
        queue.unprepare(&entry, prepared.mark);
        let Decision::Committed { number } = decision else { return Liveness::Release(entry) };
        self.next.message = self.next.message.max(number.next());
        self.beside.marks.keep(number, prepared.mark);
        queue.put(number, entry, prepared.due_at, &mut self.beside);
        queue.totals.sent_total += 1;
        self.expiries.begin(number, id, prepared.expires_at);
        if prepared.own_id && queue.options.dedupe_ms.is_some_and(|window_ms| window_ms > 0) {
            self.dedupe.insert(id, number, &prepared.id, at);
        }
        if prepared.tracked {
            self.tracks.insert(number, id, prepared.id, false, None);
        }
        Liveness::Same
    }
}
