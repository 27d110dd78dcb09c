//! What the model says of messages that expire.

use alloc::format;

use crate::id::{MessageNumber, QueueId};
use crate::log::Removal;
use crate::log::record::StoredMessage;
use crate::sim::check::{Violation, violated};
use crate::sim::deaths::Death;
use crate::sim::fact::Tag;
use crate::sim::model::{KEPT, Model, Whereabouts};
use crate::time::UnixMillis;
use crate::wire::frame::Reason;

/// Nothing expires before its time, and only what has one.
pub const EXPIRY: &str = "expires-in-time";

/// How long the message with this tag is to live, if its sender says so.
#[must_use]
pub fn ttl_ms_of(tag: Tag) -> Option<u64> {
    let varied = u64::from(tag.serial / 6 % 7);
    tag.serial.is_multiple_of(6).then_some(20 + 700 * varied)
}

impl Model {
    /// Whether a message is stored with the time that its sender and its queue say.
    pub(super) fn is_to_expire(&self, tag: Tag, stored: &StoredMessage<'_>) -> bool {
        let expires_at = self.expiry_of(stored.queue, ttl_ms_of(tag), stored.stored_at);
        // With a past, it was stored at another time than now.
        let same = stored.expires_at == expires_at;
        same || (stored.past.is_some() && stored.expires_at.is_some() == expires_at.is_some())
    }

    /// When a message expires whose sender says so much.
    pub(super) fn expiry_of(
        &self,
        queue: QueueId,
        ttl_ms: Option<u64>,
        stored_at: UnixMillis,
    ) -> Option<UnixMillis> {
        let declared = self.queues.get(&queue).and_then(|queue| queue.options.ttl_ms);
        let ttl_ms = [ttl_ms, declared].into_iter().flatten().min();
        ttl_ms.map(|ttl_ms| UnixMillis(stored_at.0 + ttl_ms))
    }

    /// A message leaves for it outlived its time.
    pub(super) fn expire(
        &mut self,
        id: QueueId,
        number: MessageNumber,
        removal: &Removal<'_>,
    ) -> Result<(), Violation> {
        let Some((queue, message)) = self.queues.get(&id).zip(self.messages.get_mut(&number))
        else {
            return violated(EXPIRY, format!("message {} leaves no queue", number.0));
        };
        let (Removal::DeadLettered { at, .. } | Removal::Expired { at }) = removal else {
            return Ok(());
        };
        let waits = matches!(message.whereabouts, Whereabouts::Waiting { .. });
        if message.queue != id || !waits || message.expires_at.is_none_or(|due| due > *at) {
            let what = format!("{} expires at {}: {message:?}", message.tag, at.0);
            return violated(EXPIRY, what);
        }
        let wanted = queue.options.expired.clone();
        match removal {
            Removal::DeadLettered { into, .. } => {
                let target = self.queues.get(into).map(|queue| queue.name.clone());
                message.whereabouts = Whereabouts::Waiting { due_at: None };
                message.out_of_line = true;
                let (queue, attempts) = (queue.name.clone(), message.attempts);
                let death = Death { queue, reason: Reason::Expired, attempts, at: *at, note: None };
                message.bury(*into, target, wanted, death)
            }
            _ if wanted.is_some() => {
                violated(KEPT, format!("{} is discarded though its queue keeps it", message.tag))
            }
            _ => {
                message.whereabouts = Whereabouts::Discarded;
                message.expired = true;
                Ok(())
            }
        }
    }
}
