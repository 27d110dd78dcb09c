//! Order per key: which ready messages of a queue may be delivered. A key is locked while one of
//! its messages is leased, or failed and waits for its next attempt; other keys are not. Each
//! change costs as much however many messages of a locked key wait.

use xxhash_rust::xxh64::xxh64;

use crate::broker::queue::Queue;
use crate::broker::state::State;
use crate::cbor;
use crate::id::{MessageNumber, QueueId};
use crate::log::record::StoredMessage;
use crate::options::{OnFailure, Order, QueueOptions};
use crate::sorted::{Line, LineSet, Map};
use crate::wire::frame::Properties;

/// A hash of a key. Keys with the same one share a lock, which keeps the order of both.
pub type KeyHash = u64;

/// The keys of all live messages that have one. They are kept as the messages travel.
#[derive(Debug)]
pub struct Keys(Line<MessageNumber, KeyHash>);

impl Keys {
    pub const fn new(keys: Line<MessageNumber, KeyHash>) -> Self {
        Self(keys)
    }

    pub fn of(&self, number: MessageNumber) -> Option<KeyHash> {
        self.0.get(&number).copied()
    }

    pub fn keep(&mut self, number: MessageNumber, key: Option<KeyHash>) {
        if let Some(key) = key {
            self.0.insert(number, key);
        }
    }

    /// The message has left for good.
    pub fn remove(&mut self, number: MessageNumber) {
        self.0.remove(&number);
    }
}

/// The key that the sender gave.
pub fn key_of(message: &StoredMessage<'_>) -> Option<KeyHash> {
    let properties: Properties<'_> = cbor::decode(message.properties?).ok()?;
    properties.key.map(|key| xxh64(key.as_bytes(), 0))
}

/// What befalls a key.
#[derive(Clone, Copy, Debug)]
pub enum Change {
    /// A message of it is ready.
    Ready(MessageNumber),
    /// It is not ready any more.
    Gone(MessageNumber),
    Lock,
    Unlock,
}

#[derive(Debug, Default)]
struct Group {
    ready: LineSet<MessageNumber>,
    /// Messages that lock the key.
    locks: u32,
}

impl Group {
    /// The message that may be delivered.
    fn head(&self) -> Option<MessageNumber> {
        self.ready.first().copied().filter(|_| self.locks == 0)
    }
}

/// Of one queue.
#[derive(Debug)]
pub struct Groups {
    /// Whether a message that failed and waits locks its key.
    blocks: bool,
    /// Ready messages that may be delivered: those without a key, and the first of each key that is
    /// not locked.
    heads: LineSet<MessageNumber>,
    groups: Map<KeyHash, Group>,
}

impl Groups {
    fn new(blocks: bool) -> Self {
        Self { blocks, heads: LineSet::new(), groups: Map::new() }
    }

    /// The first message that may be delivered.
    pub fn first(&self) -> Option<MessageNumber> {
        self.heads.first().copied()
    }

    pub fn change(&mut self, key: Option<KeyHash>, change: Change) {
        let Some(key) = key else {
            match change {
                Change::Ready(number) => drop(self.heads.insert(number)),
                Change::Gone(number) => drop(self.heads.remove(&number)),
                Change::Lock | Change::Unlock => {}
            }
            return;
        };
        let group = self.groups.get_or_default(key);
        let before = group.head();
        match change {
            Change::Ready(number) => drop(group.ready.insert(number)),
            Change::Gone(number) => drop(group.ready.remove(&number)),
            Change::Lock => group.locks += 1,
            Change::Unlock => group.locks = group.locks.saturating_sub(1),
        }
        let after = group.head();
        if group.locks == 0 && group.ready.is_empty() {
            self.groups.remove(&key);
        }
        if before != after {
            before.map(|number| self.heads.remove(&number));
            self.heads.extend(after);
        }
    }

    /// A message begins or ends to wait for its time. It concerns others only if it failed before:
    /// one that was sent with a delay has its place in the order when it is due.
    pub fn change_delayed(&mut self, key: Option<KeyHash>, attempts: u32, change: Change) {
        if self.blocks && attempts > 0 {
            self.change(key, change);
        }
    }
}

/// Whether a queue has groups, and whether a failed message blocks its own.
fn wanted(options: &QueueOptions) -> Option<bool> {
    let blocks = matches!(options.on_failure, None | Some(OnFailure::BlockKey));
    (options.order == Some(Order::Key)).then_some(blocks)
}

impl Queue {
    /// The message that is to be delivered next.
    pub fn first_deliverable(&self) -> Option<MessageNumber> {
        match &self.groups {
            Some(groups) => groups.first(),
            None => self.first_ready().map(|(number, _)| number),
        }
    }

    pub(super) fn change_group(&mut self, key: Option<KeyHash>, change: Change) {
        if let Some(groups) = &mut self.groups {
            groups.change(key, change);
        }
    }
}

impl State {
    /// Groups the messages of a queue anew if its options want it.
    pub(super) fn regroup(&mut self, id: QueueId) {
        let Some(queue) = self.queues.get_mut(&id) else { return };
        let wanted = wanted(&queue.options);
        if wanted == queue.groups.as_ref().map(|groups| groups.blocks) {
            return;
        }
        let mut groups = wanted.map(Groups::new);
        if let Some(groups) = &mut groups {
            for (number, _) in queue.ready() {
                groups.change(self.keys.of(number), Change::Ready(number));
            }
            for (_, number, entry) in queue.delayed() {
                groups.change_delayed(self.keys.of(number), entry.attempts, Change::Lock);
            }
            for lease in queue.leases().filter_map(|lease| self.leases.get(&lease)) {
                groups.change(self.keys.of(lease.number), Change::Lock);
            }
        }
        queue.groups = groups;
    }

    /// What stands beside the messages and is of no use when one has left for good.
    pub(super) fn forget_message(&mut self, number: MessageNumber) {
        self.deaths.remove(number);
        self.keys.remove(number);
        self.expiries.remove(number);
    }
}
