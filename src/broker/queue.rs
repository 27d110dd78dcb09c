//! A queue: an index over the log. Messages are kept in the order of their numbers, so one that
//! is given back stands where it stood.

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use crate::broker::groups::{Change, Groups, Mark, Marks};
use crate::broker::index::Index;
use crate::broker::operate::Pause;
use crate::broker::per_key::PerKey;
use crate::broker::pieces::Pieces;
use crate::id::{ClientId, ConsumerId, LeaseNumber, MessageNumber, QueueId};
use crate::log::Place;
use crate::log::record::StoredMessage;
use crate::options::{Backoff, DeadLetter, OnFailure, Order, Overflow, QueueOptions};
use crate::rng::Rng;
use crate::sorted::{Line, LineSet};
use crate::time::UnixMillis;
use crate::wire::frame::QueueCounts;

/// Where a live message is and what became of it so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    pub place: Place,
    pub body_bytes: u32,
    pub properties_bytes: u32,
    /// Failed deliveries.
    pub attempts: u32,
}

impl Entry {
    /// Of a message that was never delivered.
    pub fn of(place: Place, message: &StoredMessage<'_>) -> Self {
        let bytes_of = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let body_bytes = bytes_of(message.body);
        let properties_bytes = message.properties.map_or(0, bytes_of);
        Self { place, body_bytes, properties_bytes, attempts: 0 }
    }

    /// Of its body and properties.
    pub const fn message_bytes(&self) -> u32 {
        self.body_bytes.saturating_add(self.properties_bytes)
    }
}

/// What stands beside the queues, by the numbers of messages, and changes with them.
#[derive(Debug, Default)]
pub struct Beside {
    pub marks: Marks,
    pub pieces: Pieces,
}

/// A delivery that is out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lease {
    pub queue: QueueId,
    pub number: MessageNumber,
    pub client: ClientId,
    pub consumer: ConsumerId,
    pub lease_ms: u64,
    pub attempt: u32,
    pub entry: Entry,
}

/// Options with every default filled in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    pub lease_ms: u64,
    pub deliveries_max: u32,
    pub backoff: Backoff,
    pub messages_max: u64,
    pub bytes_max: u64,
    pub overflow: Overflow,
}

const LEASE_MS_DEFAULT: u64 = 30_000;
const DELIVERIES_MAX_DEFAULT: u32 = 5;
const BACKOFF_DEFAULT: Backoff = Backoff {
    first_ms: 1000,
    factor_percent: 200,
    wait_ms_max: 300_000,
    jitter_percent: 20,
    step_ms: None,
    ladder_ms: None,
};

impl Settings {
    pub fn new(options: &QueueOptions, messages_max: u32) -> Self {
        let skips =
            options.order == Some(Order::Key) && options.on_failure == Some(OnFailure::Skip);
        let deliveries_max = options.deliveries_max.unwrap_or(DELIVERIES_MAX_DEFAULT).max(1);
        Self {
            lease_ms: options.lease_ms.unwrap_or(LEASE_MS_DEFAULT).max(1),
            deliveries_max: if skips { 1 } else { deliveries_max },
            backoff: options.backoff.clone().unwrap_or(BACKOFF_DEFAULT),
            messages_max: options.messages_max.unwrap_or(u64::from(messages_max)),
            bytes_max: options.bytes_max.unwrap_or(u64::MAX),
            overflow: options.overflow.unwrap_or(Overflow::Reject),
        }
    }

    /// The wait before the attempt after `attempts` failures, changed at random by the jitter.
    pub fn backoff_ms(&self, attempts: u32, rng: &mut Rng) -> u64 {
        let (least_ms, most_ms) = self.backoff.range_ms(attempts);
        if least_ms == most_ms {
            least_ms
        } else {
            least_ms + rng.below((most_ms - least_ms).saturating_add(1))
        }
    }
}

/// One queue.
#[derive(Debug)]
pub struct Queue {
    pub name: String,
    pub declared: QueueOptions,
    /// The name of the policy that gives what was not declared.
    pub policy: Option<String>,
    /// What was declared, and what the policy gives.
    pub options: QueueOptions,
    pub settings: Settings,
    /// The only client that may take from it.
    pub owner: Option<ClientId>,
    pub paused: Option<Pause>,
    /// What happens to its messages is told.
    pub traced: bool,
    /// There if it orders by key or priority.
    pub(super) groups: Option<Groups>,
    /// There if it bounds what it keeps of each key.
    pub(super) per_key: Option<PerKey>,
    ready: Index,
    delayed: Line<MessageNumber, (UnixMillis, Entry)>,
    due: LineSet<(UnixMillis, MessageNumber)>,
    /// Bodies of ready and delayed messages.
    waiting_bytes: u64,
    leased: LineSet<LeaseNumber>,
    leased_bytes: u64,
    /// Messages that nobody decided about yet, and their bodies.
    prepared: u64,
    prepared_bytes: u64,
    /// Totals since the log began; the momentary numbers in it are not kept up.
    pub totals: QueueCounts,
}

impl Queue {
    pub fn new(name: String, options: QueueOptions, messages_max: u32) -> Self {
        let settings = Settings::new(&options, messages_max);
        Self {
            name,
            declared: options.clone(),
            policy: None,
            options,
            settings,
            owner: None,
            paused: None,
            traced: false,
            groups: None,
            per_key: None,
            ready: Index::new(),
            delayed: Line::new(),
            due: LineSet::new(),
            waiting_bytes: 0,
            leased: LineSet::new(),
            leased_bytes: 0,
            prepared: 0,
            prepared_bytes: 0,
            totals: QueueCounts::default(),
        }
    }

    /// The name of its dead-letter queue; `None` if it discards.
    pub fn dead_letters(&self) -> Option<String> {
        match &self.options.dead_letter {
            Some(DeadLetter::Discard) => None,
            Some(DeadLetter::Queue(name)) => Some(name.clone()),
            None => {
                let mut name = self.name.clone();
                name.push_str(".dead");
                Some(name)
            }
        }
    }

    /// Ready, delayed, leased and prepared messages.
    pub fn messages(&self) -> u64 {
        self.waiting() + self.leased.len() as u64 + self.prepared
    }

    /// Prepared messages, and their bodies.
    pub const fn prepared(&self) -> (u64, u64) {
        (self.prepared, self.prepared_bytes)
    }

    /// Counts a message that is prepared.
    pub fn prepare(&mut self, entry: &Entry, mark: Mark) {
        self.prepared += 1;
        self.prepared_bytes += u64::from(entry.body_bytes);
        if let Some(per_key) = &mut self.per_key {
            per_key.hold(mark);
        }
    }

    /// Counts it no more.
    pub fn unprepare(&mut self, entry: &Entry, mark: Mark) {
        self.prepared -= 1;
        self.prepared_bytes -= u64::from(entry.body_bytes);
        if let Some(per_key) = &mut self.per_key {
            per_key.let_go(mark);
        }
    }

    /// Ready and delayed messages.
    pub fn waiting(&self) -> u64 {
        (self.ready.len() + self.delayed.len()) as u64
    }

    /// Bodies of ready and delayed messages.
    pub const fn waiting_bytes(&self) -> u64 {
        self.waiting_bytes
    }

    /// Bodies of ready, delayed, leased and prepared messages.
    pub const fn bytes(&self) -> u64 {
        self.waiting_bytes + self.leased_bytes + self.prepared_bytes
    }

    pub fn put(
        &mut self,
        number: MessageNumber,
        entry: Entry,
        due_at: Option<UnixMillis>,
        beside: &mut Beside,
    ) {
        beside.pieces.change(number);
        self.waiting_bytes += u64::from(entry.body_bytes);
        if let Some(per_key) = &mut self.per_key {
            per_key.put(number, due_at, &beside.marks);
        }
        let Some(due_at) = due_at else {
            self.change_group(number, Change::Ready, &beside.marks);
            self.ready.insert(number, entry);
            return;
        };
        if let Some(groups) = &mut self.groups {
            groups.change_delayed(number, entry.attempts, Change::Lock, &beside.marks);
        }
        self.due.insert((due_at, number));
        self.delayed.insert(number, (due_at, entry));
    }

    /// The message that stands first.
    pub fn first_ready(&self) -> Option<(MessageNumber, Entry)> {
        self.ready.first()
    }

    /// The message that makes room: the first, or if none is ready, the one that comes due first.
    pub fn oldest_waiting(&self) -> Option<MessageNumber> {
        let first = self.ready.first().map(|(number, _)| number);
        first.or_else(|| self.due.first().map(|(_, number)| *number))
    }

    /// Takes a message that is ready or delayed. Replay needs it: time has no say there.
    pub fn take(&mut self, number: MessageNumber, beside: &mut Beside) -> Option<Entry> {
        let entry = match self.ready.remove(number) {
            Some(entry) => {
                if let Some(per_key) = &mut self.per_key {
                    per_key.take(number, None, &beside.marks);
                }
                self.change_group(number, Change::Gone, &beside.marks);
                entry
            }
            None => self.take_delayed(number, &beside.marks)?,
        };
        beside.pieces.change(number);
        self.waiting_bytes -= u64::from(entry.body_bytes);
        Some(entry)
    }

    /// Notes that a message which was taken is leased.
    pub fn hold(&mut self, lease: LeaseNumber, number: MessageNumber, entry: Entry, marks: &Marks) {
        if let Some(per_key) = &mut self.per_key {
            per_key.hold(marks.of(number));
        }
        self.change_group(number, Change::Lock, marks);
        self.leased.insert(lease);
        self.leased_bytes += u64::from(entry.body_bytes);
    }

    /// Notes that its lease ended.
    pub fn let_go(&mut self, number: LeaseNumber, lease: &Lease, marks: &Marks) {
        if self.leased.remove(&number) {
            if let Some(per_key) = &mut self.per_key {
                per_key.let_go(marks.of(lease.number));
            }
            self.change_group(lease.number, Change::Unlock, marks);
            self.leased_bytes -= u64::from(lease.entry.body_bytes);
        }
    }

    fn take_delayed(&mut self, number: MessageNumber, marks: &Marks) -> Option<Entry> {
        let (due_at, entry) = self.delayed.remove(&number)?;
        self.due.remove(&(due_at, number));
        if let Some(per_key) = &mut self.per_key {
            per_key.take(number, Some(due_at), marks);
        }
        if let Some(groups) = &mut self.groups {
            groups.change_delayed(number, entry.attempts, Change::Unlock, marks);
        }
        Some(entry)
    }

    /// Changes the entry of a message that is ready or delayed.
    pub fn set_entry(&mut self, number: MessageNumber, entry: Entry, beside: &mut Beside) {
        beside.pieces.change(number);
        match self.delayed.get_mut(&number) {
            Some((_, delayed)) => *delayed = entry,
            None => self.ready.insert(number, entry),
        }
    }

    /// Makes every message ready whose time has come.
    pub fn wake(&mut self, unix: UnixMillis, beside: &mut Beside) {
        while let Some((_, number)) = self.due.first().copied().filter(|(due, _)| *due <= unix) {
            if let Some(entry) = self.take_delayed(number, &beside.marks) {
                beside.pieces.change(number);
                if let Some(per_key) = &mut self.per_key {
                    per_key.put(number, None, &beside.marks);
                }
                self.change_group(number, Change::Ready, &beside.marks);
                self.ready.insert(number, entry);
            }
        }
    }

    /// A message that is ready or delayed.
    pub fn entry(&self, number: MessageNumber) -> Option<Entry> {
        let delayed = self.delayed.get(&number).map(|(_, entry)| *entry);
        delayed.or_else(|| self.ready.get(number))
    }

    /// When a message comes due, if it is delayed.
    pub fn due_of(&self, number: MessageNumber) -> Option<UnixMillis> {
        self.delayed.get(&number).map(|(due_at, _)| *due_at)
    }

    /// When the next delayed message comes due.
    pub fn due_at(&self) -> Option<UnixMillis> {
        self.due.first().map(|(due_at, _)| *due_at)
    }

    /// Ready messages behind a number.
    pub fn ready_after(
        &self,
        number: MessageNumber,
    ) -> impl Iterator<Item = (MessageNumber, Entry)> + '_ {
        self.ready.from(MessageNumber(number.0.saturating_add(1)))
    }

    /// Delayed messages behind a number.
    pub fn delayed_after(
        &self,
        number: MessageNumber,
    ) -> impl Iterator<Item = (UnixMillis, MessageNumber, Entry)> + '_ {
        let behind = self.delayed.range(MessageNumber(number.0.saturating_add(1))..);
        behind.map(|(number, (due_at, entry))| (*due_at, *number, *entry))
    }

    /// Leases of its messages.
    pub fn leases(&self) -> impl Iterator<Item = LeaseNumber> + '_ {
        self.leased.iter().copied()
    }

    /// Takes every ready and delayed message up to a number.
    pub fn take_through(
        &mut self,
        through: MessageNumber,
        beside: &mut Beside,
    ) -> Vec<(MessageNumber, Entry)> {
        let ready = self.ready.iter().map(|(number, _)| number);
        let ready = ready.take_while(|number| *number <= through);
        let delayed = self.delayed.range(..=through).map(|(number, _)| *number);
        let numbers: Vec<MessageNumber> = ready.chain(delayed).collect();
        let taken = |number| self.take(number, beside).map(|entry| (number, entry));
        numbers.into_iter().filter_map(taken).collect()
    }

    /// How long it may stay unused, if it is not kept for ever.
    pub fn idle_ms_max(&self, park_ms: u64) -> Option<u64> {
        self.options.idle_ms_max.or(self.owner.map(|_| park_ms))
    }

    pub fn ready(&self) -> impl Iterator<Item = (MessageNumber, Entry)> + '_ {
        self.ready.iter()
    }

    pub fn delayed(&self) -> impl Iterator<Item = (UnixMillis, MessageNumber, Entry)> + '_ {
        self.delayed.iter().map(|(number, (due_at, entry))| (*due_at, *number, *entry))
    }

    /// The waiting messages of a range of numbers, and when each comes due if it is delayed. Ready
    /// ones first.
    pub fn waiting_in(
        &self,
        numbers: Range<MessageNumber>,
    ) -> impl Iterator<Item = (MessageNumber, Entry, Option<UnixMillis>)> + '_ {
        let end = numbers.end;
        let ready = self.ready.from(numbers.start).map(|(number, entry)| (number, entry, None));
        let delayed = self.delayed.range(numbers);
        let delayed = delayed.map(|(number, (due_at, entry))| (*number, *entry, Some(*due_at)));
        ready.take_while(move |(number, ..)| *number < end).chain(delayed)
    }

    /// What can be counted here.
    pub fn counts(&self) -> QueueCounts {
        QueueCounts {
            ready: self.ready.len() as u64,
            delayed: self.delayed.len() as u64,
            leased: self.leased.len() as u64,
            prepared: Some(self.prepared).filter(|count| *count > 0),
            ..self.totals
        }
    }
}
