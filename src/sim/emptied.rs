//! What the model makes of queues that are emptied or deleted.

use alloc::format;

use crate::id::{MessageNumber, QueueId};
use crate::sim::check::{Violation, violated};
use crate::sim::model::{End, Model, RECORDS, Whereabouts};
use crate::sim::prepared::Fate;

impl Model {
    pub(super) fn delete(&mut self, id: QueueId) -> Result<(), Violation> {
        if self.queues.remove(&id).is_none() {
            return violated(RECORDS, format!("queue {} is not there to delete", id.0));
        }
        self.ids.remove(&id);
        let halves = self.halves.values_mut().filter(|half| half.message.queue == id);
        for half in halves.filter(|half| half.fate == Fate::Open) {
            half.fate = Fate::Gone;
        }
        for message in self.messages.values_mut().filter(|message| message.queue == id) {
            if let Whereabouts::Leased(lease) = message.whereabouts
                && let Some(lease) = self.leases.get_mut(&lease)
            {
                lease.end = Some((End::Discarded, false));
            }
            if message.whereabouts != Whereabouts::Acked {
                message.whereabouts = Whereabouts::Discarded;
            }
        }
        Ok(())
    }

    pub(super) fn purge(&mut self, id: QueueId, through: MessageNumber) -> Result<(), Violation> {
        if !self.queues.contains_key(&id) {
            return violated(RECORDS, format!("queue {} is not there to purge", id.0));
        }
        for (_, message) in self.messages.range_mut(..=through) {
            let waiting = matches!(message.whereabouts, Whereabouts::Waiting { .. });
            if message.queue == id && waiting {
                message.whereabouts = Whereabouts::Discarded;
            }
        }
        Ok(())
    }
}
