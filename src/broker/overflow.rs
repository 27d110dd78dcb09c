//! The limits of a queue: whether a send fits, and who leaves when it does not.

use alloc::string::String;
use alloc::vec::Vec;

use crate::broker::Broker;
use crate::broker::advisories::Died;
use crate::broker::per_key::REPLACED;
use crate::error::{Code, Refused};
use crate::id::{MessageNumber, QueueId};
use crate::log::{Record, Removal};
use crate::marks::{Mark, mark};
use crate::options::Overflow;
use crate::wire::frame::Reason;

/// Why a message is discarded that would go through the same queues for ever.
const CIRCLE: &str = "circle";

/// Messages, and their bodies in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Load {
    pub messages: u64,
    pub bytes: u64,
}

impl Load {
    pub const fn plus(self, other: Self) -> Self {
        Self { messages: self.messages + other.messages, bytes: self.bytes + other.bytes }
    }
}

/// Why a send is refused, and the key for which there is no room if that is why.
#[derive(Clone, Copy, Debug)]
pub struct Turned<'a> {
    pub refused: Refused,
    pub key: Option<&'a str>,
}

impl Turned<'_> {
    /// What its client is told: the reason, and behind a colon the key.
    pub fn reason(&self) -> String {
        let mut reason = String::from(self.refused.reason);
        if let Some(key) = self.key {
            reason.push(':');
            reason.push_str(key);
        }
        reason
    }
}

impl From<Refused> for Turned<'_> {
    fn from(refused: Refused) -> Self {
        Self { refused, key: None }
    }
}

impl From<Code> for Turned<'_> {
    fn from(code: Code) -> Self {
        Refused::from(code).into()
    }
}

/// Who leaves, and why.
#[derive(Clone, Copy, Debug)]
struct Leaver {
    number: MessageNumber,
    replaced: bool,
}

impl Broker {
    /// Whether so much more fits once `freed` has left, where a queue refuses what does not.
    pub(super) fn admit_room(&self, id: QueueId, load: Load, freed: Load) -> Result<(), Refused> {
        let Some(queue) = self.state.queues.get(&id) else { return Err(Code::Internal.into()) };
        let Load { messages, bytes } = load;
        let settings = &queue.settings;
        if settings.overflow != Overflow::Reject {
            return Ok(());
        }
        if queue.messages() + messages > settings.messages_max.saturating_add(freed.messages) {
            return Err(Refused::new(Code::Full, "messages_max"));
        }
        if queue.bytes() + bytes > settings.bytes_max.saturating_add(freed.bytes) {
            return Err(Refused::new(Code::Full, "bytes_max"));
        }
        Ok(())
    }

    /// Lets the oldest messages go until the rest is within the limits, where a queue says so, and
    /// so on in the queues to which they go. Every message goes through few of them: see
    /// `History::is_circle`.
    pub(super) fn make_room(&mut self, queue: QueueId) {
        let mut over = Vec::from([queue]);
        while let Some(queue) = over.last().copied() {
            match self.next_to_leave(queue) {
                None => drop(over.pop()),
                Some(leaver) => over.extend(self.leave_full_queue(queue, leaver)),
            }
        }
    }

    fn next_to_leave(&self, queue: QueueId) -> Option<Leaver> {
        let queue = self.state.queues.get(&queue)?;
        let of_key = queue.next_of_key_to_leave().filter(|_| self.rules.few_per_key());
        if let Some((number, replaced)) = of_key {
            return Some(Leaver { number, replaced });
        }
        let settings = &queue.settings;
        let over =
            queue.waiting() > settings.messages_max || queue.waiting_bytes() > settings.bytes_max;
        if settings.overflow == Overflow::Reject || !over {
            return None;
        }
        queue.oldest_waiting().map(|number| Leaver { number, replaced: false })
    }

    /// Gives the queue to which the message went.
    fn leave_full_queue(&mut self, queue: QueueId, leaver: Leaver) -> Option<QueueId> {
        let Leaver { number, replaced } = leaver;
        let grave = if replaced { Err(REPLACED) } else { self.grave_of_overflow(queue, number) };
        let removal = match grave {
            Ok(into) => Removal::DeadLettered { into, reason: Reason::Overflow, at: self.now.unix },
            Err(reason) => Removal::Discarded { reason },
        };
        self.commit(&Record::Removed { queue, number, removal });
        // Others of its key may have waited for it.
        self.dirty_queues.insert(queue);
        match grave {
            Ok(into) => {
                self.advise_dead(
                    queue,
                    into,
                    Died { number, reason: Reason::Overflow, note: None },
                );
                self.dirty_queues.insert(into);
            }
            Err(reason) => self.advise_discarded(queue, number, reason),
        }
        grave.ok()
    }

    /// Where a message goes that leaves a full queue, or why it is discarded.
    fn grave_of_overflow(
        &mut self,
        queue: QueueId,
        number: MessageNumber,
    ) -> Result<QueueId, &'static str> {
        let overflow = Reason::Overflow.text();
        let full = self.state.queues.get(&queue).ok_or(overflow)?;
        if full.settings.overflow != Overflow::DeadLetter {
            return Err(overflow);
        }
        // A queue that is its own dead-letter queue has nowhere to put what does not fit.
        let into = self.dead_letter_queue(queue).filter(|into| *into != queue).ok_or(overflow)?;
        let target = self.state.queues.get(&into).map_or("", |queue| &queue.name);
        if self.state.deaths.is_circle(number, target) {
            mark(Mark::CircleCut);
            return Err(CIRCLE);
        }
        Ok(into)
    }
}
