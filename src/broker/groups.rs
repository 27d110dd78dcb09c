//! Order by key and by priority: which ready messages of a queue may be delivered, and which of
//! them first. A key is locked while one of its messages is leased, or failed and waits for its
//! next attempt; other keys are not. Each change costs as much however many messages of a locked
//! key wait.

use alloc::vec::Vec;

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

/// Maps over which the keys of a queue are spread.
const PARTS: u64 = 64;

/// The key that its sender gave a message.
pub fn key_of(properties: Option<&[u8]>) -> Option<&str> {
    cbor::decode::<Properties<'_>>(properties?).ok()?.key
}

pub fn hash_of(key: &str) -> KeyHash {
    // As long as a mark has room for it. Zero is no key.
    (xxh64(key.as_bytes(), 0) >> 8).max(1)
}

/// Something for each key. Keys have no order, and a change in the middle of one long map costs
/// more than one in many short ones.
#[derive(Debug)]
pub struct KeyMap<V>(Vec<Map<KeyHash, V>>);

impl<V: Default> KeyMap<V> {
    pub fn new() -> Self {
        Self((0..PARTS).map(|_| Map::new()).collect())
    }

    pub fn get(&self, key: KeyHash) -> Option<&V> {
        self.0.get((key % PARTS) as usize)?.get(&key)
    }

    pub fn get_or_default(&mut self, key: KeyHash) -> &mut V {
        self.0[(key % PARTS) as usize].get_or_default(key)
    }

    pub fn remove(&mut self, key: KeyHash) {
        self.0[(key % PARTS) as usize].remove(&key);
    }
}

/// As many fit into a mark.
pub const PRIORITIES_MAX: u32 = 256;

/// What the turn of a message depends on, in one word, for there may be many: its priority in the
/// lowest byte, and above it a hash of its key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Mark(u64);

impl Mark {
    pub fn new(key: Option<KeyHash>, priority: Option<u32>) -> Self {
        let priority = u8::try_from(priority.unwrap_or(0)).unwrap_or(u8::MAX);
        Self(key.unwrap_or(0) << 8 | u64::from(priority))
    }

    /// As the sender gave it.
    pub fn of(message: &StoredMessage<'_>) -> Self {
        let key = key_of(message.properties).map(hash_of);
        Self::new(key, message.priority)
    }

    pub fn key(self) -> Option<KeyHash> {
        Some(self.0 >> 8).filter(|key| *key > 0)
    }

    /// Absent if it is the lowest.
    pub fn priority(self) -> Option<u32> {
        Some((self.0 & 0xff) as u32).filter(|priority| *priority > 0)
    }
}

/// The marks of all live messages that have a key or a priority. They are kept as the messages
/// travel.
#[derive(Debug, Default)]
pub struct Marks(Line<MessageNumber, Mark>);

impl Marks {
    pub fn of(&self, number: MessageNumber) -> Mark {
        self.0.get(&number).copied().unwrap_or_default()
    }

    pub fn keep(&mut self, number: MessageNumber, mark: Mark) {
        if mark != Mark::default() {
            self.0.insert(number, mark);
        }
    }

    /// The message has left for good.
    pub fn remove(&mut self, number: MessageNumber) {
        self.0.remove(&number);
    }
}

/// What befalls a message, and with it its key.
#[derive(Clone, Copy, Debug)]
pub enum Change {
    /// It is ready.
    Ready,
    /// It is not ready any more.
    Gone,
    /// It locks its key.
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

/// How the messages of a queue take turns, where it is not by their numbers alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Plan {
    by_key: bool,
    /// Whether a message that failed and waits locks its key.
    blocks: bool,
    priorities: u32,
}

impl Plan {
    fn of(options: &QueueOptions) -> Option<Self> {
        // Two values of one key that are out at a time could end in the wrong order.
        let by_key = options.order == Some(Order::Key) || options.last_value == Some(true);
        let blocks = matches!(options.on_failure, None | Some(OnFailure::BlockKey));
        // A log that we did not write may name any number.
        let priorities = options.priorities.unwrap_or(1).min(PRIORITIES_MAX);
        (by_key || priorities > 1).then_some(Self { by_key, blocks, priorities })
    }
}

/// Of one queue.
#[derive(Debug)]
pub struct Groups {
    plan: Plan,
    /// Ready messages that may be delivered: those without a key, and the first of each key that is
    /// not locked. A line for each priority, the highest first.
    heads: Vec<LineSet<MessageNumber>>,
    groups: KeyMap<Group>,
}

impl Groups {
    fn new(plan: Plan) -> Self {
        let heads = (0..plan.priorities.max(1)).map(|_| LineSet::new()).collect();
        Self { plan, heads, groups: KeyMap::new() }
    }

    pub const fn is_by_key(&self) -> bool {
        self.plan.by_key
    }

    /// The first message that may be delivered.
    pub fn first(&self) -> Option<MessageNumber> {
        self.heads.iter().find_map(LineSet::first).copied()
    }

    /// The line of a priority. One that is too high for the queue, which had more of them or is not
    /// where the message was sent to, counts as the highest.
    fn line(&mut self, mark: Mark) -> Option<&mut LineSet<MessageNumber>> {
        let highest = self.heads.len().saturating_sub(1);
        let priority = mark.priority().unwrap_or(0) as usize;
        self.heads.get_mut(highest.saturating_sub(priority))
    }

    pub fn change(&mut self, number: MessageNumber, change: Change, marks: &Marks) {
        let key = marks.of(number).key().filter(|_| self.plan.by_key);
        let (before, after) = match key {
            Some(key) => self.change_group(key, number, change),
            None => match change {
                Change::Ready => (None, Some(number)),
                Change::Gone => (Some(number), None),
                Change::Lock | Change::Unlock => (None, None),
            },
        };
        if before == after {
            return;
        }
        if let Some(line) = before.and_then(|before| self.line(marks.of(before))) {
            before.map(|before| line.remove(&before));
        }
        if let Some(line) = after.and_then(|after| self.line(marks.of(after))) {
            line.extend(after);
        }
    }

    /// Gives the heads of the group before and after.
    fn change_group(
        &mut self,
        key: KeyHash,
        number: MessageNumber,
        change: Change,
    ) -> (Option<MessageNumber>, Option<MessageNumber>) {
        let group = self.groups.get_or_default(key);
        let before = group.head();
        match change {
            Change::Ready => drop(group.ready.insert(number)),
            Change::Gone => drop(group.ready.remove(&number)),
            Change::Lock => group.locks += 1,
            Change::Unlock => group.locks = group.locks.saturating_sub(1),
        }
        let after = group.head();
        if group.locks == 0 && group.ready.is_empty() {
            self.groups.remove(key);
        }
        (before, after)
    }

    /// A message begins or ends to wait for its time. It concerns others only if it failed before:
    /// one that was sent with a delay has its place in the order when it is due.
    pub fn change_delayed(
        &mut self,
        number: MessageNumber,
        attempts: u32,
        change: Change,
        marks: &Marks,
    ) {
        if self.plan.blocks && attempts > 0 {
            self.change(number, change, marks);
        }
    }
}

impl Queue {
    /// The message that is to be delivered next.
    pub fn first_deliverable(&self) -> Option<MessageNumber> {
        match &self.groups {
            Some(groups) => groups.first(),
            None => self.first_ready().map(|(number, _)| number),
        }
    }

    pub(super) fn change_group(&mut self, number: MessageNumber, change: Change, marks: &Marks) {
        if let Some(groups) = &mut self.groups {
            groups.change(number, change, marks);
        }
    }
}

impl State {
    /// Groups the messages of a queue anew if its options want it.
    pub(super) fn regroup(&mut self, id: QueueId) {
        let Some(queue) = self.queues.get_mut(&id) else { return };
        let plan = Plan::of(&queue.options);
        if plan == queue.groups.as_ref().map(|groups| groups.plan) {
            return;
        }
        let mut groups = plan.map(Groups::new);
        if let Some(groups) = &mut groups {
            for (number, _) in queue.ready() {
                groups.change(number, Change::Ready, &self.beside.marks);
            }
            for (_, number, entry) in queue.delayed() {
                groups.change_delayed(number, entry.attempts, Change::Lock, &self.beside.marks);
            }
            for lease in queue.leases().filter_map(|lease| self.leases.get(&lease)) {
                groups.change(lease.number, Change::Lock, &self.beside.marks);
            }
        }
        queue.groups = groups;
    }

    /// What stands beside the messages and is of no use when one has left for good.
    pub(super) fn forget_message(&mut self, number: MessageNumber) {
        self.deaths.remove(number);
        self.beside.marks.remove(number);
        self.expiries.remove(number);
    }
}
