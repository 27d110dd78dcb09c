//! What the model says of queues that order by key: `order-per-key`.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;

use crate::cbor;
use crate::id::{MessageNumber, QueueId};
use crate::log::record::StoredMessage;
use crate::options::{OnFailure, Order};
use crate::sim::check::{Violation, violated};
use crate::sim::model::{Message, Model, Whereabouts};
use crate::wire::frame::Properties;

const ORDER: &str = "order-per-key";

/// The key under which a message was stored.
pub fn key_of(stored: &StoredMessage<'_>) -> Option<String> {
    let properties: Properties<'_> = cbor::decode(stored.properties?).ok()?;
    properties.key.map(ToOwned::to_owned)
}

impl Model {
    /// Whether the queue orders by key.
    pub(super) fn orders_by_key(&self, queue: QueueId) -> bool {
        self.queues.get(&queue).is_some_and(|queue| queue.options.order == Some(Order::Key))
    }

    /// No other message with the key of one that is leased is out, and none waits before it: one
    /// that was sent with a delay may, and where failures do not block, one that failed.
    pub(super) fn key_in_order(
        &self,
        number: MessageNumber,
        queue: QueueId,
    ) -> Result<(), Violation> {
        let key = self.messages.get(&number).and_then(|message| message.key.as_ref());
        let Some(key) = key else { return Ok(()) };
        let options = self.queues.get(&queue).map(|queue| queue.options.on_failure);
        let blocks = matches!(options, Some(None | Some(OnFailure::BlockKey)));
        let is_before = |other: MessageNumber, message: &Message| match message.whereabouts {
            Whereabouts::Leased(_) => true,
            Whereabouts::Waiting { due_at } => {
                other < number && (due_at.is_none() || (blocks && message.attempts > 0))
            }
            Whereabouts::Acked | Whereabouts::Discarded => false,
        };
        let other = self.messages.iter().find(|(other, message)| {
            **other != number
                && message.queue == queue
                && message.key.as_ref() == Some(key)
                && is_before(**other, message)
        });
        match other {
            Some((other, _)) => violated(
                ORDER,
                format!("message {} of {key} is served, {} is before it", number.0, other.0),
            ),
            None => Ok(()),
        }
    }
}
