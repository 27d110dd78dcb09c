//! What the model says of queues that bound what they keep of each key.

use alloc::format;

use crate::id::{MessageNumber, QueueId};
use crate::options::{Overflow, QueueOptions};
use crate::sim::check::{Violation, violated};
use crate::sim::model::{KEPT, Message, Model, Whereabouts};

/// Why a message is discarded for a newer one of its key.
pub const REPLACED: &str = "replaced";

/// How many messages of a key the options keep, and whether those that are held count.
#[must_use]
pub fn bound_of(options: &QueueOptions) -> Option<(u64, bool)> {
    if options.last_value == Some(true) {
        return Some((1, false));
    }
    let held_count = matches!(options.overflow, None | Some(Overflow::Reject));
    options.messages_per_key_max.map(|max| (max, held_count))
}

impl Model {
    /// Messages of the queue with that key which wait, in the order of their numbers.
    fn waiting_of_key<'a>(
        &'a self,
        queue: QueueId,
        key: &'a str,
    ) -> impl Iterator<Item = (MessageNumber, &'a Message)> {
        let own = move |(_, message): &(MessageNumber, &'a Message)| {
            let same = message.queue == queue && message.key.as_deref() == Some(key);
            same && message.waits()
        };
        self.living().filter(own)
    }

    /// A newer value waits in its place.
    pub(super) fn replace(&mut self, id: QueueId, number: MessageNumber) -> Result<(), Violation> {
        let options = self.queues.get(&id).map(|queue| &queue.options);
        let declared = options.is_some_and(|options| options.last_value == Some(true));
        let message = self.messages.get(&number).filter(|message| message.waits());
        let key = message.filter(|message| message.queue == id).and_then(|m| m.key.as_deref());
        let newer =
            key.is_some_and(|key| self.waiting_of_key(id, key).any(|(other, _)| other > number));
        if !declared || !newer {
            return violated(KEPT, format!("message {} is replaced by nothing", number.0));
        }
        if let Some(message) = self.messages.get_mut(&number) {
            message.whereabouts = Whereabouts::Discarded;
        }
        Ok(())
    }

    /// Whether it is the first that has to leave because of the others of its key.
    pub(super) fn leaves_its_key(&self, id: QueueId, number: MessageNumber) -> bool {
        let options = self.queues.get(&id).map(|queue| &queue.options);
        let Some(max) = options.and_then(|options| options.messages_per_key_max) else {
            return false;
        };
        let key = self.messages.get(&number).and_then(|message| message.key.as_deref());
        let Some(key) = key else { return false };
        let ready =
            |message: &Message| message.whereabouts == Whereabouts::Waiting { due_at: None };
        let first = self.waiting_of_key(id, key).find(|(_, message)| ready(message));
        let count = self.waiting_of_key(id, key).count() as u64;
        count > max && first.is_none_or(|(first, _)| first >= number)
    }

    /// How many messages of its key the queue has that wait, and that are held.
    pub(super) fn of_key(&self, queue: QueueId, key: &str) -> (u64, u64) {
        let held = self.living().filter(|(_, message)| {
            message.queue == queue
                && message.key.as_deref() == Some(key)
                && matches!(message.whereabouts, Whereabouts::Leased(_))
        });
        (self.waiting_of_key(queue, key).count() as u64, held.count() as u64)
    }

    /// Whether one more message of its key is within what the queue keeps of one.
    pub(super) fn has_room_of_key(&self, queue: QueueId, message: &Message) -> bool {
        let bound = self.queues.get(&queue).and_then(|queue| bound_of(&queue.options));
        let Some(((max, _), key)) = bound.zip(message.key.as_deref()) else { return true };
        let (waiting, held) = self.of_key(queue, key);
        waiting + held < max
    }
}
