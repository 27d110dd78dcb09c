//! The limits of a queue: whether a send fits, and who leaves when it does not.

use crate::broker::Broker;
use crate::error::{Code, Refused};
use crate::id::{MessageNumber, QueueId};
use crate::log::{Record, Removal};
use crate::options::Overflow;
use crate::wire::frame::Item;

/// The reason on a dead letter that left a full queue.
const OVERFLOW: &str = "overflow";

impl Broker {
    /// Whether the items fit, where a queue refuses what does not.
    pub(super) fn admit_room(&self, id: QueueId, items: &[Item<'_>]) -> Result<(), Refused> {
        let Some(queue) = self.state.queues.get(&id) else { return Err(Code::Internal.into()) };
        let bytes: u64 = items.iter().map(|item| item.body.len() as u64).sum();
        let settings = &queue.settings;
        if settings.overflow != Overflow::Reject {
            return Ok(());
        }
        if queue.messages() + items.len() as u64 > settings.messages_max {
            return Err(Refused::new(Code::Full, "messages_max"));
        }
        if queue.bytes() + bytes > settings.bytes_max {
            return Err(Refused::new(Code::Full, "bytes_max"));
        }
        Ok(())
    }

    /// Lets the oldest messages go until the rest is within the limits, where a queue says so.
    pub(super) fn make_room(&mut self, queue: QueueId) {
        while let Some(number) = self.next_to_leave(queue) {
            self.leave_full_queue(queue, number);
        }
    }

    fn next_to_leave(&self, queue: QueueId) -> Option<MessageNumber> {
        let queue = self.state.queues.get(&queue)?;
        let settings = &queue.settings;
        let over =
            queue.waiting() > settings.messages_max || queue.waiting_bytes() > settings.bytes_max;
        if settings.overflow == Overflow::Reject || !over {
            return None;
        }
        queue.oldest_waiting()
    }

    fn leave_full_queue(&mut self, queue: QueueId, number: MessageNumber) {
        let keeps = self
            .state
            .queues
            .get(&queue)
            .is_some_and(|queue| queue.settings.overflow == Overflow::DeadLetter);
        // A queue that is its own dead-letter queue has nowhere to put what does not fit.
        let into = self.dead_letter_queue(queue).filter(|into| keeps && *into != queue);
        let removal = match into {
            Some(into) => Removal::DeadLettered { into, reason: OVERFLOW },
            None => Removal::Discarded { reason: OVERFLOW },
        };
        self.commit(&Record::Removed { queue, number, removal });
        if let Some(into) = into {
            self.dirty_queues.insert(into);
        }
    }
}
