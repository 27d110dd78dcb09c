//! The ids of messages as the stored records tell them: what each queue has to remember.

use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::cbor;
use crate::id::{LaneId, MessageNumber, QueueId, Sequence};
use crate::log::record::StoredMessage;
use crate::sim::check::{Violation, violated};
use crate::sim::model::{DUPLICATE, Model, RECORDS};
use crate::time::UnixMillis;
use crate::wire::frame::Properties;

/// A queue of any run remembers at least so many.
pub const IDS_MIN: u32 = 6;

/// One id of a queue.
#[derive(Clone, Debug)]
pub struct Remembered {
    id: String,
    /// How many were stored before it.
    serial: usize,
    stored_at: UnixMillis,
}

/// The ids that each queue has to remember, the last one stored last.
pub type Ids = BTreeMap<QueueId, Vec<Remembered>>;

impl Model {
    fn window_ms(&self, queue: QueueId) -> u64 {
        self.queues.get(&queue).and_then(|queue| queue.options.dedupe_ms).unwrap_or(0)
    }

    /// A stored message has an id: none that its queue remembers may be stored again.
    pub(super) fn identify(&mut self, stored: &StoredMessage<'_>) -> Result<(), Violation> {
        let properties: Option<Properties<'_>> =
            stored.properties.and_then(|bytes| cbor::decode(bytes).ok());
        let id = properties.and_then(|properties| properties.id);
        let id = id.filter(|_| stored.past.is_none());
        self.remember_id(stored.queue, stored.number, id, stored.stored_at)
    }

    /// The queue remembers the id of a message from now on, if it has one.
    pub(super) fn remember_id(
        &mut self,
        queue: QueueId,
        number: MessageNumber,
        id: Option<&str>,
        stored_at: UnixMillis,
    ) -> Result<(), Violation> {
        let window_ms = self.window_ms(queue);
        let Some(id) = id.filter(|_| window_ms > 0) else { return Ok(()) };
        // Whatever else was stored with an id since, it may have pushed this one out.
        let serial = self.identified.len();
        let ids = self.ids.entry(queue).or_default();
        if let Some(place) = ids.iter().position(|known| known.id == id) {
            let known = ids.remove(place);
            let later = serial - known.serial;
            let age_ms = stored_at.0.saturating_sub(known.stored_at.0);
            if age_ms < window_ms && later <= IDS_MIN as usize {
                let what = format!("id {id} is stored again after {age_ms} ms");
                return violated(DUPLICATE, what);
            }
        }
        ids.push(Remembered { id: id.to_owned(), serial, stored_at });
        self.identified.insert(number, id.to_owned());
        Ok(())
    }

    /// An item of a send repeats a message.
    pub(super) fn repeat(
        &mut self,
        item: (LaneId, Sequence, u32),
        number: MessageNumber,
    ) -> Result<(), Violation> {
        self.move_lane(item)?;
        if self.id_of(number).is_none() && !self.halves.contains_key(&number) {
            let what = format!("message {} is repeated and has no id", number.0);
            return violated(RECORDS, what);
        }
        Ok(())
    }

    /// The queue may forget, from its first id on, what it holds no longer. Which of them it holds
    /// because an earlier one is not over yet is its own affair.
    pub(super) fn forget_ids(&mut self, queue: QueueId, at: UnixMillis) {
        let window_ms = self.window_ms(queue);
        if let Some(ids) = self.ids.get_mut(&queue) {
            ids.retain(|known| at.0.saturating_sub(known.stored_at.0) < window_ms);
        }
    }

    /// The id by which a queue may have remembered a message.
    #[must_use]
    pub fn id_of(&self, number: MessageNumber) -> Option<&str> {
        self.identified.get(&number).map(|id| &**id)
    }
}

/// Properties with an id alone.
#[must_use]
pub fn with_id(id: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    cbor::encode(&Properties { id: Some(id), ..Properties::default() }, &mut bytes);
    bytes
}
