//! The order of live messages of each publisher: what is next, what waits behind a hole, and what
//! is lost.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use crate::id::{ClientId, PublishNumber};
use crate::limits::Limits;
use crate::sorted::{Line, Map};
use crate::wire::frame::Live;

/// A live message that waits behind a hole.
#[derive(Debug)]
pub(super) struct Held {
    pub topic: String,
    pub body: Vec<u8>,
    pub properties: Option<Vec<u8>>,
}

impl Held {
    fn new(live: &Live<'_>) -> Self {
        Self {
            topic: live.topic.to_owned(),
            body: live.body.to_owned(),
            properties: live.properties.map(ToOwned::to_owned),
        }
    }

    fn bytes(&self) -> usize {
        self.topic.len() + self.body.len() + self.properties.as_ref().map_or(0, Vec::len)
    }
}

/// What comes next of one publisher.
#[derive(Debug)]
pub(super) enum Passed {
    Message {
        number: PublishNumber,
        held: Held,
    },
    Gap {
        first: PublishNumber,
        last: PublishNumber,
    },
    /// Nobody here listened to what was next.
    Skipped,
}

/// Where a publisher is followed from that was not known.
#[derive(Clone, Copy, Debug)]
pub(super) enum Start {
    At(PublishNumber),
    /// The first of its run, for nothing of it may be missed.
    First {
        at_most: PublishNumber,
    },
}

/// Where a message stands among those of its publisher.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    Seen,
    Next,
    Ahead,
}

#[derive(Debug, Default)]
struct Publisher {
    next: PublishNumber,
    /// The highest number it is known to have used.
    newest: PublishNumber,
    held: Line<PublishNumber, Held>,
    /// Up to here, what is not held is lost.
    lost_through: PublishNumber,
    /// Up to here, what is not held is of no interest.
    skipped_through: PublishNumber,
    /// A new run began while the one before has a hole: the last number of that one, and the first
    /// of the new one, which comes right after it.
    jump: Option<(PublishNumber, PublishNumber)>,
    /// Turn in which it was last heard.
    heard: u64,
}

impl Publisher {
    /// Counts everything up to `number` as seen. Gives what was held: messages and bytes.
    fn skip_through(&mut self, number: PublishNumber) -> (usize, usize) {
        let last_held = self.held.keys().next_back().copied().unwrap_or_default();
        let skipped = (self.held.len(), self.held.values().map(Held::bytes).sum());
        self.held.clear();
        let last = number.max(last_held).max(self.newest);
        self.newest = last;
        self.next = self.next.max(after(last));
        self.jump = None;
        skipped
    }

    /// The last number of the run that `next` is of, as far as it is known.
    fn run_end(&self) -> PublishNumber {
        self.jump.map_or(self.newest, |(last, _)| last)
    }

    /// The first range that is missing.
    fn hole(&self) -> Option<(PublishNumber, PublishNumber)> {
        let end = self.run_end();
        let held = self.held.keys().next().filter(|held| **held <= end);
        let last = held.map_or(end, |held| before(*held));
        (self.next <= last).then_some((self.next, last))
    }

    /// Nothing is missing, held or passed over from `next` on.
    fn is_quiet(&self) -> bool {
        let last = self.newest.max(self.lost_through).max(self.skipped_through);
        last < self.next && self.held.is_empty() && self.jump.is_none()
    }

    /// All up to `number` has been delivered or told as lost.
    fn pass(&mut self, number: PublishNumber) {
        self.newest = self.newest.max(number);
        self.next = after(number);
        if let Some((_, first)) = self.jump.take_if(|(last, _)| *last <= number) {
            self.next = first;
        }
    }

    /// A new run starts at `first`, above all of this one.
    fn jump_to(&mut self, first: PublishNumber) {
        let held = self.held.range(..first).next_back().map(|(last, _)| *last);
        let newest = Some(self.newest).filter(|newest| *newest < first);
        match held.max(newest).filter(|last| *last >= self.next) {
            Some(last) => self.jump = Some((last, first)),
            None => self.next = first,
        }
    }
}

/// All publishers that are remembered.
#[derive(Debug, Default)]
pub(super) struct Publishers {
    known: Map<ClientId, Publisher>,
    /// The end of the range the node was asked for on this link.
    asked: Map<ClientId, PublishNumber>,
    held_messages: usize,
    held_bytes: usize,
    turn: u64,
    /// The highest number that was seen of those that were forgotten: an unknown one may be one of
    /// them.
    forgotten_through: PublishNumber,
}

impl Publishers {
    /// Gives up the holes of two runs if a third one starts at `first`.
    pub fn end_runs(&mut self, id: ClientId, first: PublishNumber) {
        let Some(publisher) = self.known.get_mut(&id) else { return };
        if publisher.jump.is_some_and(|(_, begun)| begun < first) {
            let lost = before(first).min(publisher.newest);
            publisher.lost_through = publisher.lost_through.max(lost);
        }
    }

    /// Begins to remember a publisher, or its new run. One that is not known is followed from `at`
    /// on, or from the start of its run if nothing of it may be missed.
    pub fn begin_run(&mut self, id: ClientId, first: PublishNumber, start: Start, limits: &Limits) {
        self.turn += 1;
        if !self.known.contains_key(&id) {
            let seen = self.forgotten_through;
            let next = match start {
                Start::At(at) => at,
                Start::First { .. } if first > seen => first,
                // It may be one that was forgotten: what it said up to there may have been seen.
                Start::First { at_most } => after(seen).min(at_most),
            };
            self.remember(id, Publisher { next, ..Publisher::default() }, limits);
        }
        let Some(publisher) = self.known.get_mut(&id) else { return };
        publisher.heard = self.turn;
        if first > publisher.next && publisher.jump.is_none() {
            publisher.jump_to(first);
        }
    }

    /// Looks up a message of a publisher that is known.
    pub fn place(&self, live: &Live<'_>) -> Place {
        let Some(publisher) = self.known.get(&live.publisher) else { return Place::Seen };
        if live.number < publisher.next || publisher.held.contains_key(&live.number) {
            Place::Seen
        } else if live.number == publisher.next {
            Place::Next
        } else {
            Place::Ahead
        }
    }

    /// Takes a message that is just the next of its run, of a publisher of whom nothing is missing
    /// or held: as nearly all are. False for any other.
    pub fn step_quietly(&mut self, live: &Live<'_>) -> bool {
        let Some(publisher) = self.known.get_mut(&live.publisher) else { return false };
        let is_next = live.number == publisher.next && live.first() <= publisher.next;
        if !is_next || !publisher.is_quiet() {
            return false;
        }
        self.turn += 1;
        publisher.heard = self.turn;
        publisher.pass(live.number);
        true
    }

    fn remember(&mut self, id: ClientId, publisher: Publisher, limits: &Limits) {
        if self.known.len() >= limits.publishers_max as usize {
            // What is missing of one that is forgotten is never told.
            let loss = |known: &Publisher| (known.hole().is_some(), known.heard);
            let oldest = self.known.iter().min_by_key(|(_, publisher)| loss(publisher));
            if let Some(oldest) = oldest.map(|(id, _)| *id) {
                self.skip(oldest, PublishNumber(0));
                self.asked.remove(&oldest);
                let seen = self.known.remove(&oldest).map(|forgotten| before(forgotten.next));
                self.forgotten_through = self.forgotten_through.max(seen.unwrap_or_default());
            }
        }
        self.known.insert(id, publisher);
    }

    /// The message that was next has been delivered.
    pub fn step(&mut self, id: ClientId) {
        if let Some(publisher) = self.known.get_mut(&id) {
            publisher.pass(publisher.next);
        }
    }

    /// Keeps a message that is not next. Over a bound the hole before it is given up.
    pub fn hold(&mut self, live: &Live<'_>, limits: &Limits) {
        let Some(publisher) = self.known.get_mut(&live.publisher) else { return };
        let held = Held::new(live);
        self.held_messages += 1;
        self.held_bytes += held.bytes();
        publisher.held.insert(live.number, held);
        publisher.newest = publisher.newest.max(live.number);
        if let Some((last, _)) = publisher.jump.as_mut().filter(|jump| live.number < jump.1) {
            *last = live.number.max(*last);
        }
        if self.held_messages > limits.gap_messages_max as usize
            || self.held_bytes > limits.repair_bytes_max as usize
        {
            publisher.lost_through = publisher.lost_through.max(live.number);
        }
    }

    /// Nobody listens: counts everything up to `number` as seen.
    pub fn skip(&mut self, id: ClientId, number: PublishNumber) {
        let Some(publisher) = self.known.get_mut(&id) else { return };
        let (messages, bytes) = publisher.skip_through(number);
        self.asked.remove(&id);
        self.held_messages -= messages;
        self.held_bytes -= bytes;
    }

    pub fn skip_all(&mut self) {
        let known: Vec<ClientId> = self.known.keys().copied().collect();
        for id in known {
            self.skip(id, PublishNumber(0));
        }
    }

    /// Nobody here listened to what is from `first` to `last`. Behind a hole that is not believed:
    /// who asks for what is missing is told of it once more.
    pub fn skip_range(&mut self, id: ClientId, first: PublishNumber, last: PublishNumber) {
        let Some(publisher) = self.known.get_mut(&id) else { return };
        if first <= publisher.next {
            publisher.newest = publisher.newest.max(last);
            publisher.skipped_through = publisher.skipped_through.max(last);
        }
    }

    /// The node knows `number` as the newest of a publisher that is known.
    pub fn learn_newest(&mut self, id: ClientId, number: PublishNumber) {
        if let Some(publisher) = self.known.get_mut(&id) {
            publisher.newest = publisher.newest.max(number);
        }
    }

    /// The answer of the node: what is left of a range. One that was not asked for is ignored.
    pub fn repair(
        &mut self,
        id: ClientId,
        last: PublishNumber,
        messages: &[Live<'_>],
        valid: impl Fn(&Live<'_>) -> bool,
    ) {
        let Some(publisher) = self.known.get_mut(&id) else { return };
        if self.asked.get(&id) != Some(&last) {
            return;
        }
        self.asked.remove(&id);
        let fits = |live: &&Live<'_>| {
            live.publisher == id && live.number >= publisher.next && live.number <= last
        };
        for live in messages.iter().filter(fits).filter(|live| valid(live)) {
            let held = Held::new(live);
            let bytes = held.bytes();
            if publisher.held.insert(live.number, held).is_none() {
                self.held_messages += 1;
                self.held_bytes += bytes;
            }
        }
        publisher.lost_through = publisher.lost_through.max(last);
    }

    /// The next message or gap of a publisher, if it is there.
    pub fn take_next(&mut self, id: ClientId) -> Option<Passed> {
        let publisher = self.known.get_mut(&id)?;
        let first = publisher.next;
        if let Some(held) = publisher.held.remove(&first) {
            self.held_messages -= 1;
            self.held_bytes -= held.bytes();
            publisher.pass(first);
            return Some(Passed::Message { number: first, held });
        }
        let is_skipped = first <= publisher.skipped_through;
        if first > publisher.lost_through && !is_skipped {
            return None;
        }
        let next_held = publisher.held.keys().next().map(|held| before(*held));
        let run_end = publisher.jump.map(|(last, _)| last);
        let ends = [next_held, run_end].into_iter().flatten();
        let passed = if is_skipped { publisher.skipped_through } else { publisher.lost_through };
        let last = ends.fold(passed, Ord::min);
        publisher.pass(last);
        Some(if is_skipped { Passed::Skipped } else { Passed::Gap { first, last } })
    }

    /// The range to ask the node for now.
    pub fn ask(&mut self, id: ClientId) -> Option<(PublishNumber, PublishNumber)> {
        let (first, last) = self.known.get(&id)?.hole()?;
        if self.asked.get(&id).is_some_and(|asked| *asked >= first) {
            return None;
        }
        self.asked.insert(id, last);
        Some((first, last))
    }

    /// What was asked on the link that is over has no answer.
    pub fn forget_link(&mut self) {
        self.asked.clear();
    }

    pub fn ids(&self) -> Vec<ClientId> {
        self.known.keys().copied().collect()
    }

    pub fn is_waiting(&self) -> bool {
        !self.asked.is_empty()
    }
}

pub(super) const fn after(number: PublishNumber) -> PublishNumber {
    PublishNumber(number.0.saturating_add(1))
}

const fn before(number: PublishNumber) -> PublishNumber {
    PublishNumber(number.0.saturating_sub(1))
}
