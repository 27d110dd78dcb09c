//! What the model says of the order in which a queue serves its messages: `order-per-key`,
//! `higher-first`, and in plain queues `order-per-producer`. And to whom: `one-active-consumer`.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use core::cmp::Ordering;

use crate::cbor;
use crate::id::{ClientId, ConsumerId, MessageNumber, QueueId};
use crate::log::record::StoredMessage;
use crate::options::{OnFailure, Order, QueueOptions};
use crate::sim::check::{Violation, violated};
use crate::sim::model::{Message, Model, ORDER, Whereabouts};
use crate::wire::frame::Properties;

const PER_KEY: &str = "order-per-key";
const ONE_ACTIVE: &str = "one-active-consumer";
const HIGHER: &str = "higher-first";

/// The key under which a message was stored.
pub fn key_of(stored: &StoredMessage<'_>) -> Option<String> {
    let properties: Properties<'_> = cbor::decode(stored.properties?).ok()?;
    properties.key.map(ToOwned::to_owned)
}

impl Model {
    /// Whether the queue orders by key.
    pub(super) fn orders_by_key(&self, queue: QueueId) -> bool {
        let by_key = |options: &QueueOptions| {
            options.order == Some(Order::Key) || options.last_value == Some(true)
        };
        self.queues.get(&queue).is_some_and(|queue| by_key(&queue.options))
    }

    /// A queue with a single active consumer serves another only when nothing of the first is out.
    pub(super) fn is_active(
        &self,
        queue: QueueId,
        consumer: (ClientId, ConsumerId),
    ) -> Result<(), Violation> {
        let declared = self.queues.get(&queue).map(|queue| queue.options.single_active);
        if declared != Some(Some(true)) {
            return Ok(());
        }
        let mut here = self.living().filter(|(_, message)| message.queue == queue);
        let other = here.find_map(|(_, message)| match message.whereabouts {
            Whereabouts::Leased(number) => {
                let lease = self.leases.get(&number)?;
                ((lease.client, lease.consumer) != consumer).then_some(number)
            }
            _ => None,
        });
        match other {
            Some(other) => violated(
                ONE_ACTIVE,
                format!("queue {} serves two consumers: lease {} is out", queue.0, other.0),
            ),
            None => Ok(()),
        }
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
        let other = self.living().find(|(other, message)| {
            *other != number
                && message.queue == queue
                && message.key.as_ref() == Some(key)
                && is_before(*other, message)
        });
        match other {
            Some((other, _)) => violated(
                PER_KEY,
                format!("message {} of {key} is served, {} is before it", number.0, other.0),
            ),
            None => Ok(()),
        }
    }

    /// A message that never left its line is served after those of higher priorities, and with its
    /// equals in the order of numbers.
    pub(super) fn first_in_line(
        &self,
        number: MessageNumber,
        queue: QueueId,
    ) -> Result<(), Violation> {
        let Some(served) = self.messages.get(&number).filter(|message| !message.out_of_line) else {
            return Ok(());
        };
        let options = self.queues.get(&queue).map(|queue| queue.options.priorities);
        let highest = options.flatten().unwrap_or(1) - 1;
        let rank = |message: &Message| message.priority.min(highest);
        let waits =
            |message: &Message| message.queue == queue && !message.out_of_line && message.waits();
        for (other, message) in self.living().filter(|(_, message)| waits(message)) {
            let rule = match rank(message).cmp(&rank(served)) {
                Ordering::Greater => HIGHER,
                Ordering::Equal if other < number => ORDER,
                _ => continue,
            };
            return violated(rule, format!("message {} is served before {}", number.0, other.0));
        }
        Ok(())
    }
}
