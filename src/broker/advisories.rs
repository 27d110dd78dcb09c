//! Advisories: what happens to queues, told as live messages on topics of the system. They go on
//! the links of those who listen and to nobody else; while nobody does, one costs a comparison.
//!
//! An advisory is a hint. It may be missed when a link or a node ends; what it tells of is in the
//! log and in the counts.

use alloc::string::String;
use alloc::vec::Vec;

use crate::broker::Broker;
use crate::cbor::{self, Write};
use crate::id::{ClientId, MessageNumber, PublishNumber, QueueId};
use crate::sorted::Set;
use crate::time::Instant;
use crate::topic::Topic;
use crate::wire::Frame;
use crate::wire::envelope::encode_frame;
use crate::wire::frame::{Live, Reason};

/// The publisher of advisories, whichever node it is.
const PUBLISHER: ClientId = ClientId([0; 16]);

/// A node numbers them from the wall clock on, as a client does its publishes.
const RUN_SHIFT: u32 = 12;

/// They are counted anew after so long.
const BOUND_MS: u64 = 1000;

#[derive(Debug, Default)]
pub struct Advisories {
    /// The first number of this node, and the last.
    first: PublishNumber,
    last: PublishNumber,
    counted_since: Instant,
    counted: u32,
    /// Those that were left out for the bound, and not told of.
    missed: u64,
    /// How many consumers each queue had when that was told last, in the order of queues; `None`
    /// while nobody listens.
    consumers: Option<Vec<(QueueId, u64)>>,
    /// Queues whose last send was refused because they are full.
    full: Set<QueueId>,
}

impl Advisories {
    /// Whether one more is within the bound.
    fn may_tell(&mut self, now: Instant, advisories_max: u32) -> bool {
        if self.counted_since.after_ms(BOUND_MS) <= now {
            self.counted_since = now;
            self.counted = 0;
        }
        let may = self.counted < advisories_max;
        self.counted += u32::from(may);
        self.missed += u64::from(!may);
        may
    }
}

/// A message that has just died.
#[derive(Clone, Copy, Debug)]
pub struct Died<'a> {
    pub number: MessageNumber,
    pub reason: Reason,
    pub note: Option<&'a str>,
}

impl Broker {
    pub(super) fn advise_dead(&mut self, queue: QueueId, into: QueueId, died: Died<'_>) {
        if !self.live.has_listeners() {
            return;
        }
        let grave = self.state.queues.get(&into).map(|queue| queue.name.clone());
        let (number, reason) = (died.number.0, died.reason.text());
        let parts: [(&str, &dyn Write); 4] =
            [("number", &number), ("into", &grave), ("reason", &reason), ("note", &died.note)];
        self.advise("dead-lettered", queue, &parts);
    }

    pub(super) fn advise_discarded(&mut self, queue: QueueId, number: MessageNumber, reason: &str) {
        self.advise("discarded", queue, &[("number", &number.0), ("reason", &reason)]);
    }

    /// Tells those who listen what happened to a queue.
    pub(super) fn advise(&mut self, what: &str, queue: QueueId, parts: &[(&str, &dyn Write)]) {
        if self.live.has_listeners()
            && let Some(name) = self.state.queues.get(&queue).map(|queue| queue.name.clone())
        {
            self.advise_of(what, &name, parts);
        }
    }

    /// As `advise`, for a queue that may be gone.
    pub(super) fn advise_of(&mut self, what: &str, name: &str, parts: &[(&str, &dyn Write)]) {
        self.advise_under("$tabmq.queue.", what, name, parts);
    }

    /// As `advise_of`, on a topic that begins with `root`.
    pub(super) fn advise_under(
        &mut self,
        root: &str,
        what: &str,
        name: &str,
        parts: &[(&str, &dyn Write)],
    ) {
        if !self.live.has_listeners() {
            return;
        }
        let mut named = String::from(root);
        named.push_str(what);
        let unnamed = named.len();
        named.push('.');
        named.push_str(name);
        // A name may be no words; then the body alone has it.
        let unnamed = Topic::parse(named.get(..unnamed).unwrap_or_default(), &self.limits);
        let topic = Topic::parse(&named, &self.limits).or(unnamed);
        let Ok(topic) = topic else { return };
        let members = self.group_members(&topic);
        let advisories_max = self.limits.advisories_max;
        if members.is_empty() || !self.live.advisories.may_tell(self.now.mono, advisories_max) {
            return;
        }
        let missed = Some(core::mem::take(&mut self.live.advisories.missed)).filter(|n| *n > 0);
        let at = self.now.unix;
        let head: [(&str, &dyn Write); 3] = [("queue", &name), ("at", &at), ("missed", &missed)];
        let mut body = Vec::new();
        cbor::write_map(&mut body, &head, parts);
        let (number, index) = self.next_advisory();
        let (publisher, topic, body) = (PUBLISHER, topic.as_str(), &*body);
        let live = Live { publisher, number, index, topic, body, properties: None };
        for (conn, subscription) in members {
            let mut encoded = Vec::new();
            encode_frame(&Frame::GroupMessage { subscription, live }, &mut encoded);
            self.gated_encoded(conn, encoded);
        }
    }

    fn next_advisory(&mut self) -> (PublishNumber, u64) {
        let advisories = &mut self.live.advisories;
        if advisories.first == PublishNumber(0) {
            let by_clock = self.now.unix.0.min(u64::MAX >> (RUN_SHIFT + 1)) << RUN_SHIFT;
            advisories.first = PublishNumber(by_clock + 1);
            advisories.last = PublishNumber(by_clock);
        }
        advisories.last.0 += 1;
        (advisories.last, advisories.last.0 - advisories.first.0)
    }

    /// A send was refused for lack of room, the first since one was taken.
    pub(super) fn advise_full(&mut self, queue: QueueId, limit: &str) {
        if self.live.advisories.full.insert(queue) {
            self.advise("full", queue, &[("limit", &limit)]);
        }
    }

    pub(super) fn has_room_again(&mut self, queue: QueueId) {
        self.live.advisories.full.remove(&queue);
    }

    /// Tells where consumers came or went since the last look. A client that resumes declares its
    /// consumers anew, which is over in less time than there is between two looks.
    pub(super) fn advise_consumers(&mut self) {
        if self.settling.is_some() {
            return;
        }
        if !self.live.has_listeners() {
            self.live.advisories.consumers = None;
            return;
        }
        let counts = self.consumers.iter().map(|(queue, all)| (*queue, all.len() as u64));
        let counts: Vec<(QueueId, u64)> = counts.collect();
        let Some(before) = self.live.advisories.consumers.replace(counts.clone()) else { return };
        for (queue, is) in &counts {
            self.advise_count(*queue, count_of(&before, *queue).unwrap_or(0), *is);
        }
        for (queue, was) in before {
            if count_of(&counts, queue).is_none() {
                self.advise_count(queue, was, 0);
            }
        }
    }

    fn advise_count(&mut self, queue: QueueId, was: u64, is: u64) {
        let parts: [(&str, &dyn Write); 2] = [("consumers", &is), ("before", &was)];
        if is > was {
            self.advise("consumer-started", queue, &parts);
        } else if is < was {
            self.advise("consumer-stopped", queue, &parts);
        }
        if is == 0 && was > 0 {
            self.advise("no-consumers", queue, &parts);
        }
    }
}

fn count_of(counts: &[(QueueId, u64)], queue: QueueId) -> Option<u64> {
    let place = counts.binary_search_by_key(&queue, |(queue, _)| *queue).ok()?;
    counts.get(place).map(|(_, count)| *count)
}
