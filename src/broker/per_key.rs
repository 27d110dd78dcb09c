//! What a queue keeps of each key: so many messages, or the last value alone. A message that came
//! takes the place at the end that is its own; what it replaces leaves by a record of the same
//! batch, so nobody sees both or neither. What a consumer holds is never replaced: it is finished,
//! and given back it is the older one, which goes. One that is prepared has its room, and replaces
//! others when it is sent. Messages without a key are not counted.

use alloc::vec::Vec;

use crate::broker::Broker;
use crate::broker::groups::{KeyHash, KeyMap, Mark, Marks, hash_of, key_of};
use crate::broker::overflow::{Load, Turned};
use crate::broker::queue::{Entry, Queue};
use crate::broker::state::State;
use crate::error::{Code, Refused};
use crate::id::{LeaseNumber, MessageNumber, QueueId};
use crate::options::{Overflow, QueueOptions};
use crate::sorted::{LineSet, Map};
use crate::time::UnixMillis;
use crate::wire::frame::Item;

/// Why a message is discarded in whose place a newer one of its key stands.
pub const REPLACED: &str = "replaced";
/// Why a send is refused whose key has no room.
const PER_KEY: &str = "messages_per_key_max";

/// What is kept of each key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Bound {
    messages_max: u64,
    last_value: bool,
}

impl Bound {
    fn of(options: &QueueOptions) -> Option<Self> {
        if options.last_value == Some(true) {
            return Some(Self { messages_max: 1, last_value: true });
        }
        let messages_max = options.messages_per_key_max?;
        Some(Self { messages_max, last_value: false })
    }
}

/// The messages of one key.
#[derive(Debug, Default)]
struct Crowd {
    ready: LineSet<MessageNumber>,
    delayed: LineSet<(UnixMillis, MessageNumber)>,
    /// Leased or prepared.
    held: u64,
}

impl Crowd {
    fn waiting(&self) -> u64 {
        (self.ready.len() + self.delayed.len()) as u64
    }

    fn messages(&self) -> u64 {
        self.waiting() + self.held
    }

    fn numbers(&self) -> impl Iterator<Item = MessageNumber> + '_ {
        let delayed = self.delayed.iter().map(|(_, number)| *number);
        self.ready.iter().copied().chain(delayed)
    }

    /// Who makes room: the first that is ready, or if none is, the one that comes due first; of
    /// values the oldest.
    fn first_to_leave(&self, last_value: bool) -> Option<MessageNumber> {
        if last_value {
            return self.numbers().min();
        }
        let due = || self.delayed.first().map(|(_, number)| *number);
        self.ready.first().copied().or_else(due)
    }
}

/// The keys of one queue that bounds them.
#[derive(Debug)]
pub struct PerKey {
    bound: Bound,
    crowds: KeyMap<Crowd>,
    /// Keys of which more wait than are kept.
    over: LineSet<KeyHash>,
}

impl PerKey {
    fn new(bound: Bound) -> Self {
        Self { bound, crowds: KeyMap::new(), over: LineSet::new() }
    }

    pub fn put(&mut self, number: MessageNumber, due_at: Option<UnixMillis>, marks: &Marks) {
        self.change(marks.of(number), |crowd| match due_at {
            Some(due_at) => drop(crowd.delayed.insert((due_at, number))),
            None => drop(crowd.ready.insert(number)),
        });
    }

    pub fn take(&mut self, number: MessageNumber, due_at: Option<UnixMillis>, marks: &Marks) {
        self.change(marks.of(number), |crowd| match due_at {
            Some(due_at) => drop(crowd.delayed.remove(&(due_at, number))),
            None => drop(crowd.ready.remove(&number)),
        });
    }

    pub fn hold(&mut self, mark: Mark) {
        self.change(mark, |crowd| crowd.held += 1);
    }

    pub fn let_go(&mut self, mark: Mark) {
        self.change(mark, |crowd| crowd.held = crowd.held.saturating_sub(1));
    }

    fn change(&mut self, mark: Mark, change: impl FnOnce(&mut Crowd)) {
        let Some(key) = mark.key() else { return };
        let crowd = self.crowds.get_or_default(key);
        change(crowd);
        if crowd.waiting() > self.bound.messages_max {
            self.over.insert(key);
        } else {
            self.over.remove(&key);
        }
        if crowd.messages() == 0 {
            self.crowds.remove(key);
        }
    }

    fn messages_of(&self, key: KeyHash) -> u64 {
        self.crowds.get(key).map_or(0, Crowd::messages)
    }
}

impl Queue {
    /// The message that has to leave for others of its key, and whether for a newer value.
    pub(super) fn next_of_key_to_leave(&self) -> Option<(MessageNumber, bool)> {
        let per_key = self.per_key.as_ref()?;
        let Bound { last_value, .. } = per_key.bound;
        if self.settings.overflow == Overflow::Reject && !last_value {
            return None;
        }
        let crowd = per_key.crowds.get(*per_key.over.first()?)?;
        Some((crowd.first_to_leave(last_value)?, last_value))
    }

    /// Whether one more message of the key is within what is kept of it, whoever would have to
    /// leave for it.
    pub(super) fn has_room_for_key(&self, key: Option<KeyHash>) -> bool {
        let room =
            |(per_key, key): (&PerKey, _)| per_key.messages_of(key) < per_key.bound.messages_max;
        self.per_key.as_ref().zip(key).is_none_or(room)
    }

    /// The key of one of these items for which there is no room, once what `freed` tells of it has
    /// left.
    fn crowded_key<'a>(
        &self,
        items: &[Item<'a>],
        freed: impl Fn(KeyHash) -> u64,
    ) -> Option<&'a str> {
        let per_key = self.per_key.as_ref()?;
        let Bound { messages_max, last_value } = per_key.bound;
        if self.settings.overflow != Overflow::Reject || last_value {
            return None;
        }
        let mut counts = Map::<KeyHash, u64>::new();
        items.iter().filter_map(|item| key_of(item.properties)).find(|key| {
            let hash = hash_of(key);
            let count = counts.get_or_default(hash);
            *count += 1;
            per_key.messages_of(hash) + *count > messages_max.saturating_add(freed(hash))
        })
    }

    /// What leaves when these items come, for each stands in the place of an earlier value.
    fn replaced_by(&self, items: &[Item<'_>]) -> Load {
        let mut load = Load::default();
        let Some(per_key) = self.per_key.as_ref().filter(|per_key| per_key.bound.last_value) else {
            return load;
        };
        let mut newest = Map::<KeyHash, u64>::new();
        for item in items.iter().filter(|item| item.prepare.is_none()) {
            let Some(hash) = key_of(item.properties).map(hash_of) else { continue };
            let known = newest.insert(hash, item.body.len() as u64);
            let stored = per_key.crowds.get(hash).filter(|_| known.is_none());
            let entries = stored.into_iter().flat_map(Crowd::numbers);
            let entries = entries.filter_map(|number| self.entry(number));
            for bytes in entries.map(|entry| u64::from(entry.body_bytes)).chain(known) {
                load.messages += 1;
                load.bytes += bytes;
            }
        }
        load
    }
}

impl State {
    /// Counts the messages of a queue anew if its options want it.
    pub(super) fn count_keys(&mut self, id: QueueId) {
        let Some(queue) = self.queues.get_mut(&id) else { return };
        let bound = Bound::of(&queue.options);
        if bound == queue.per_key.as_ref().map(|per_key| per_key.bound) {
            return;
        }
        let mut per_key = bound.map(PerKey::new);
        if let Some(per_key) = &mut per_key {
            for (number, _) in queue.ready() {
                per_key.put(number, None, &self.beside.marks);
            }
            for (due_at, number, _) in queue.delayed() {
                per_key.put(number, Some(due_at), &self.beside.marks);
            }
            for lease in queue.leases().filter_map(|lease| self.leases.get(&lease)) {
                per_key.hold(self.beside.marks.of(lease.number));
            }
            let prepared = self.prepared.iter().filter(|(_, prepared)| prepared.queue == id);
            for (_, prepared) in prepared {
                per_key.hold(prepared.mark);
            }
        }
        queue.per_key = per_key;
    }

    /// Whether a message that is elsewhere may be put into the queue and nothing leaves for it.
    pub(super) fn has_room_for(&self, id: QueueId, number: MessageNumber, entry: Entry) -> bool {
        let key = self.beside.marks.of(number).key();
        let fits = |queue: &Queue| queue.has_room_for(entry) && queue.has_room_for_key(key);
        self.queues.get(&id).is_some_and(fits)
    }
}

impl Broker {
    /// What leaves the queue when these items come, or the key for which there is no room. Some of
    /// its messages may be acknowledged together with that.
    pub(super) fn admit_keys<'a>(
        &self,
        id: QueueId,
        items: &[Item<'a>],
        acked: &[LeaseNumber],
    ) -> Result<Load, Turned<'a>> {
        let Some(queue) = self.state.queues.get(&id) else { return Ok(Load::default()) };
        if !self.rules.few_per_key() {
            return Ok(Load::default());
        }
        let own = acked.iter().filter_map(|lease| self.state.leases.get(lease));
        let own: Vec<MessageNumber> =
            own.filter(|lease| lease.queue == id).map(|lease| lease.number).collect();
        let freed = |key| {
            let same =
                |number: &&MessageNumber| self.state.beside.marks.of(**number).key() == Some(key);
            own.iter().filter(same).count() as u64
        };
        match queue.crowded_key(items, freed) {
            Some(key) => Err(Turned { refused: Refused::new(Code::Full, PER_KEY), key: Some(key) }),
            None => Ok(queue.replaced_by(items)),
        }
    }
}
