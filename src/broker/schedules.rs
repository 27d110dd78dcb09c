//! Schedules as they are stored: what is due in which queue and when, and when it was last.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Bound;

use crate::broker::state::State;
use crate::cbor;
use crate::id::{MessageNumber, QueueId};
use crate::log::Record;
use crate::sorted::{Line, Map};
use crate::time::UnixMillis;
use crate::wire::frame::{Firing, Scheduling};

#[derive(Debug)]
pub struct Schedule {
    pub queue: QueueId,
    /// An encoded `Scheduling`.
    order: Box<[u8]>,
    pub due_at: Option<UnixMillis>,
    pub last: Option<Firing>,
}

impl Schedule {
    /// What was ordered. The bytes were encoded here.
    pub fn order(&self) -> Option<Scheduling<'_>> {
        cbor::decode(&self.order).ok()
    }
}

/// Each has the number of a message, which no message has.
#[derive(Debug, Default)]
pub struct Schedules {
    by_number: Line<MessageNumber, Schedule>,
    by_key: Map<(QueueId, String), MessageNumber>,
    bytes: usize,
}

impl Schedules {
    pub fn get(&self, number: MessageNumber) -> Option<&Schedule> {
        self.by_number.get(&number)
    }

    pub fn named(&self, queue: QueueId, key: &str) -> Option<(MessageNumber, &Schedule)> {
        let number = *self.by_key.get(&(queue, key.to_owned()))?;
        Some((number, self.by_number.get(&number)?))
    }

    pub fn iter(&self) -> impl Iterator<Item = (MessageNumber, &Schedule)> {
        self.by_number.iter().map(|(number, schedule)| (*number, schedule))
    }

    pub fn len(&self) -> usize {
        self.by_number.len()
    }

    /// Of all that is stored.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Those of a queue behind a key, in the order of their keys.
    pub fn of_queue(
        &self,
        queue: QueueId,
        after: Option<&str>,
    ) -> impl Iterator<Item = (MessageNumber, &Schedule)> {
        let start = match after {
            Some(after) => Bound::Excluded((queue, after.to_owned())),
            None => Bound::Included((queue, String::new())),
        };
        let end = Bound::Excluded((QueueId(queue.0.saturating_add(1)), String::new()));
        let numbers = self.by_key.range((start, end)).map(|(_, number)| *number);
        numbers.filter_map(|number| Some((number, self.by_number.get(&number)?)))
    }

    fn put(&mut self, number: MessageNumber, schedule: Schedule) {
        let key = schedule.order().map(|order| order.key.to_owned()).unwrap_or_default();
        let earlier = self.by_key.insert((schedule.queue, key), number);
        if let Some(earlier) = earlier.and_then(|earlier| self.by_number.remove(&earlier)) {
            self.bytes -= earlier.order.len();
        }
        self.bytes += schedule.order.len();
        self.by_number.insert(number, schedule);
    }

    fn remove(&mut self, number: MessageNumber) {
        if let Some(schedule) = self.by_number.remove(&number) {
            self.bytes -= schedule.order.len();
            self.by_key.retain(|_, known| *known != number);
        }
    }

    /// The queue is gone.
    pub fn drop_queue(&mut self, queue: QueueId) {
        let of_queue = self.of_queue(queue, None).map(|(number, _)| number);
        for number in of_queue.collect::<Vec<_>>() {
            self.remove(number);
        }
    }
}

impl State {
    pub(super) fn apply_schedule(&mut self, record: &Record<'_>) {
        match record {
            Record::Scheduled { queue, number, lane, sequence, scheduling, due_at, last } => {
                self.move_lane(*lane, *sequence);
                self.next.message = self.next.message.max(number.next());
                let mut order = Vec::new();
                cbor::encode(scheduling, &mut order);
                let (queue, order) = (*queue, order.into());
                let schedule = Schedule { queue, order, due_at: *due_at, last: *last };
                self.schedules.put(*number, schedule);
            }
            Record::ScheduleDue { number, due_at, fired_at } => {
                let Some(schedule) = self.schedules.by_number.get_mut(number) else { return };
                let was_due = core::mem::replace(&mut schedule.due_at, *due_at);
                if let (Some(due_at), Some(at)) = (was_due, *fired_at) {
                    let count = schedule.last.map_or(0, |last| last.count) + 1;
                    schedule.last = Some(Firing { due_at, at, count });
                }
            }
            Record::Unscheduled { number } => self.schedules.remove(*number),
            _ => {}
        }
    }
}
