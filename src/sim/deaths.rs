//! Deaths and redrives in the reference model, told as plainly as possible. Shares no code with the
//! broker.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::cbor;
use crate::id::{ClientId, MessageNumber, QueueId};
use crate::log::{Record, Removal};
use crate::options::Overflow;
use crate::sim::check::{Violation, violated};
use crate::sim::model::{KEPT, Message, Model, RECORDS, Whereabouts};
use crate::sim::per_key::REPLACED;
use crate::time::UnixMillis;
use crate::wire::frame::{self, History, Reason, Redrive, Task};

/// One death of one message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Death {
    /// The name of the queue it died in.
    pub queue: String,
    pub reason: Reason,
    pub attempts: u32,
    pub at: UnixMillis,
    pub note: Option<String>,
}

/// A redrive that the log knows of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Redriving {
    /// An encoded `Redrive`.
    order: Vec<u8>,
    pub moved: u64,
    pub over: bool,
    reached: MessageNumber,
}

/// Whether the message has been pushed out of `target`, and since then, and since it was moved
/// back, only out of other queues.
fn is_circle(message: &Message, target: &str) -> bool {
    let recent = &message.deaths[message.deaths_before..];
    let mut pushed = recent.iter().rev().take_while(|death| death.reason.is_automatic());
    pushed.any(|death| death.queue == target)
}

/// What the message brings along.
#[must_use]
pub fn history(message: &Message) -> History<'_> {
    let deaths = &message.deaths;
    let mut entries: Vec<frame::Death<'_>> = Vec::new();
    let mut recent = 0;
    for (place, death) in deaths.iter().enumerate().rev() {
        let kind = |other: &&Death| (&other.queue, other.reason) == (&death.queue, death.reason);
        let seen = entries.iter().any(|e| (e.queue, e.reason) == (&*death.queue, death.reason));
        if seen {
            continue;
        }
        recent += u32::from(place >= message.deaths_before);
        let same: Vec<&Death> = deaths.iter().filter(kind).collect();
        entries.push(frame::Death {
            queue: &death.queue,
            reason: death.reason,
            count: u32::try_from(same.len()).unwrap_or(u32::MAX),
            attempts: same.iter().map(|death| death.attempts).sum(),
            first_at: same[0].at,
            last_at: death.at,
            note: death.note.as_deref(),
        });
    }
    History { recent, deaths: entries }
}

impl Model {
    /// Only a full queue lets a message go that nobody holds, and only as it declares.
    pub(super) fn remove(
        &mut self,
        id: QueueId,
        number: MessageNumber,
        removal: &Removal<'_>,
    ) -> Result<(), Violation> {
        if let Removal::Expired { .. } | Removal::DeadLettered { reason: Reason::Expired, .. } =
            removal
        {
            return self.expire(id, number, removal);
        }
        if let Removal::Discarded { reason: REPLACED } = removal {
            return self.replace(id, number);
        }
        let too_many_of_key = self.leaves_its_key(id, number);
        let waiting = self.living().filter(|(_, message)| message.queue == id && message.waits());
        let (count, bytes, oldest) =
            waiting.fold((0, 0, None), |(count, bytes, oldest), (n, m)| {
                let ready = m.whereabouts == Whereabouts::Waiting { due_at: None };
                (count + 1, bytes + m.body_bytes, oldest.or_else(|| ready.then_some(n)))
            });
        let Some((queue, message)) = self.queues.get(&id).zip(self.messages.get_mut(&number))
        else {
            return violated(RECORDS, format!("message {} leaves no queue", number.0));
        };
        let options = &queue.options;
        let over = options.messages_max.is_some_and(|max| count > max)
            || options.bytes_max.is_some_and(|max| bytes > max);
        let declared =
            matches!(options.overflow, Some(Overflow::DropOldest | Overflow::DeadLetter));
        let over = over && oldest.is_none_or(|first| first >= number);
        if !(over || too_many_of_key) || !declared || message.queue != id {
            return violated(KEPT, format!("{} leaves a queue that has room for it", message.tag));
        }
        let wanted = queue.dead_letters().filter(|name| *name != queue.name);
        let wanted = wanted.filter(|_| options.overflow == Some(Overflow::DeadLetter));
        let circle = wanted.as_ref().is_some_and(|name| is_circle(message, name));
        match removal {
            Removal::DeadLettered { reason, .. } if *reason != Reason::Overflow || circle => {
                violated(KEPT, format!("{} dies of {reason:?} in a circle", message.tag))
            }
            Removal::DeadLettered { into, reason, at } => {
                let target = self.queues.get(into).map(|queue| queue.name.clone());
                message.whereabouts = Whereabouts::Waiting { due_at: None };
                message.out_of_line = true;
                let (queue, attempts) = (queue.name.clone(), message.attempts);
                let death = Death { queue, reason: *reason, attempts, at: *at, note: None };
                message.bury(*into, target, wanted, death)
            }
            _ if wanted.is_some() && !circle => {
                violated(KEPT, format!("{} is discarded though its queue keeps it", message.tag))
            }
            _ => {
                message.whereabouts = Whereabouts::Discarded;
                Ok(())
            }
        }
    }

    /// What a record says of a redrive.
    pub(super) fn redrive(&mut self, record: &Record<'_>) -> Result<(), Violation> {
        match record {
            Record::Redrive { client, request, order, moved, reached } => {
                let over = order.is_empty();
                let known = self.redrives.get_mut(&(*client, *request));
                let (counted, last) = known
                    .as_ref()
                    .map_or_else(Default::default, |known| (known.moved, known.reached));
                if known.is_some() != over || counted != *moved || last != *reached {
                    let what = format!("redrive {} is said to have moved {moved}", request.0);
                    return violated(RECORDS, what);
                }
                match known {
                    Some(known) => known.over = true,
                    None => {
                        let order = order.to_vec();
                        let begun = Redriving { order, moved: 0, over, reached: *reached };
                        self.redrives.insert((*client, *request), begun);
                    }
                }
                Ok(())
            }
            Record::RedriveForgotten { client, request } => {
                match self.redrives.remove(&(*client, *request)) {
                    Some(_) => Ok(()),
                    None => violated(RECORDS, format!("redrive {} is not known", request.0)),
                }
            }
            Record::Redriven { .. } => self.move_back(record),
            _ => Ok(()),
        }
    }

    /// A message that was meant goes where it should, as far as there is room.
    fn move_back(&mut self, record: &Record<'_>) -> Result<(), Violation> {
        let Record::Redriven { client, request, queue: from, number, into, due_at, .. } = record
        else {
            return Ok(());
        };
        let room = |message: &Message| {
            let fits = |into| self.has_room(into, message.body_bytes);
            into.as_ref().is_none_or(|into| fits(*into) && self.has_room_of_key(*into, message))
        };
        let room = self.messages.get(number).is_some_and(room);
        let source = self.queues.get(from).map(|queue| &queue.name);
        let target = into.as_ref().and_then(|into| self.queues.get(into)).map(|queue| &*queue.name);
        let (Some(redriving), Some(message), Some(source)) = (
            self.redrives.get_mut(&(*client, *request)).filter(|redriving| !redriving.over),
            self.messages.get_mut(number),
            source,
        ) else {
            return violated(RECORDS, format!("message {} is moved by nobody", number.0));
        };
        let redrive: Redrive<'_> = cbor::decode(&redriving.order).unwrap_or_default();
        let due_before = match message.whereabouts {
            Whereabouts::Waiting { due_at } => Some(due_at),
            _ => None,
        };
        let kept = due_before.flatten().filter(|_| redrive.task == Some(Task::Move));
        let waits = due_before.is_some() && (*due_at == kept || due_at.is_none());
        let fits = is_meant(&redrive, message, source, target);
        let order = *number > redriving.reached
            && redrive.messages_max.is_none_or(|max| redriving.moved < max);
        if message.queue != *from || !waits || !fits || !room || !order {
            let what = format!("{waits} {fits} {room} {order}");
            return violated(KEPT, format!("{} is moved back unasked: {what}", message.tag));
        }
        redriving.moved += 1;
        redriving.reached = *number;
        let Some(into) = into else {
            message.whereabouts = Whereabouts::Discarded;
            return Ok(());
        };
        message.queue = *into;
        message.attempts = 0;
        message.whereabouts = Whereabouts::Waiting { due_at: *due_at };
        message.out_of_line = true;
        message.deaths_before = message.deaths.len();
        Ok(())
    }

    /// Whether one more message of that length is within the limits of the queue.
    pub(super) fn has_room(&self, queue: QueueId, bytes_more: u64) -> bool {
        let here = self.living().filter(|(_, message)| message.queue == queue);
        let (count, bytes) =
            here.fold((0, 0), |(count, bytes), (_, m)| (count + 1, bytes + m.body_bytes));
        self.queues.get(&queue).is_some_and(|target| {
            target.options.messages_max.is_none_or(|max| count < max)
                && target.options.bytes_max.is_none_or(|max| bytes + bytes_more <= max)
        })
    }

    /// The client has left, unless it goes on with another lane.
    pub(super) fn forget_redrives_of(&mut self, client: ClientId) {
        if !self.lanes.values().any(|lane| lane.open && lane.client == client) {
            self.redrives.retain(|(owner, _), _| *owner != client);
        }
    }
}

/// Whether an order means the message, which is in the queue `source`, to go to `target`.
fn is_meant(redrive: &Redrive<'_>, message: &Message, source: &str, target: Option<&str>) -> bool {
    let recent = &message.deaths[message.deaths_before..];
    let arrival = recent.iter().rev().find(|death| death.queue != source);
    let filter = redrive.filter.clone().unwrap_or_default();
    let id = format!("{}-{}-{}", message.lane.0, message.sequence.0, message.index);
    let wanted = match redrive.task {
        Some(Task::Discard | Task::Cancel) => None,
        Some(Task::Move) => redrive.into,
        None => redrive.into.or(arrival.map(|death| &*death.queue)),
    };
    wanted == target
        && (arrival.is_some() || redrive.task.is_some())
        && filter.reason.is_none_or(|reason| arrival.is_some_and(|death| death.reason == reason))
        && filter.queue.is_none_or(|queue| arrival.is_some_and(|death| death.queue == queue))
        && filter.ids.is_none_or(|ids| ids.contains(&&*id))
}
