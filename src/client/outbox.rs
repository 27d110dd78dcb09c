//! What waits for the node in the order in which it was asked for: sends with their numbers, and
//! questions between them. What is out on the link and has no answer is a window; what is above it
//! waits here, once, whatever the way to the node is like.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;

use crate::cbor;
use crate::client::keeping::Kept;
use crate::error::Code;
use crate::id::{LaneId, RequestId, Sequence};
use crate::marks::{Mark, mark};
use crate::options::Durability;
use crate::rules::Rules;
use crate::sorted::Line;
use crate::time::Instant;
use crate::wire::encoded::EncodedSend;
use crate::wire::frame::Duplicate;
use crate::wire::{Frame, MessageWriter};

/// What a frame has beside a queue's name and what is stored, about.
const FRAME_HEAD_BYTES: usize = 24;

/// A send without an answer.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub what: What,
    pub durability: Option<Durability>,
    /// The refusals that the user could know of when it asked for this send.
    pub refusals_seen: Sequence,
    pub sequence: Option<Sequence>,
    pub told: Told,
    pub put_at: Instant,
    pub kept: Kept,
    /// Nobody waits for it: it was taken up.
    pub orphan: bool,
    /// A later one of the same subject supersedes it.
    pub subject: Option<String>,
}

impl Outgoing {
    pub fn new(what: What, durability: Option<Durability>, put_at: Instant) -> Self {
        Self {
            what,
            durability,
            refusals_seen: Sequence(0),
            sequence: None,
            told: Told::default(),
            put_at,
            kept: Kept::No,
            orphan: false,
            subject: None,
        }
    }
}

/// What the node said of a send before the `Sent` that covers it. The user hears of it then: sends
/// end in their order, whatever comes of each.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub refused: Option<(Code, String)>,
    pub duplicates: Vec<Duplicate>,
}

/// What is stored, encoded as it stands in its frame.
#[derive(Debug)]
pub(super) enum What {
    Send { queue: String, items: Vec<u8> },
    Commit { writes: Vec<u8>, acks: Vec<u8> },
    Schedule { queue: String, scheduling: Vec<u8> },
}

impl What {
    pub fn bytes(&self) -> usize {
        match self {
            Self::Send { items, .. } => items.len(),
            Self::Commit { writes, acks } => writes.len() + acks.len(),
            Self::Schedule { scheduling, .. } => scheduling.len(),
        }
    }

    /// What it takes of the window: short sends are mostly heads.
    fn window_bytes(&self) -> usize {
        let queue = match self {
            Self::Send { queue, .. } | Self::Schedule { queue, .. } => queue.len(),
            Self::Commit { .. } => 0,
        };
        FRAME_HEAD_BYTES + queue + self.bytes()
    }
}

#[derive(Debug)]
pub(super) enum Entry {
    /// An encoded question about a queue, or something to do to it.
    Question(Vec<u8>),
    Send(Outgoing),
}

/// What goes to the node in the order of the user.
#[derive(Debug)]
pub(super) struct Outbox {
    pub entries: Line<RequestId, Entry>,
    /// The first that was not transmitted on this link, and on any link.
    link_next: RequestId,
    pub never_next: RequestId,
    /// Sends with a number, in its order.
    pub numbered: VecDeque<(Sequence, RequestId)>,
    /// Bytes of sends that were transmitted on this link and have no answer.
    window_bytes: usize,
    pub lane: LaneId,
    /// The last number given.
    pub last: Sequence,
    /// Every send up to here was confirmed to this client.
    pub confirmed: Sequence,
    pub refusals_seen: Sequence,
}

impl Outbox {
    pub fn new(lane: LaneId, last: Sequence) -> Self {
        Self {
            entries: Line::new(),
            link_next: RequestId(0),
            never_next: RequestId(0),
            numbered: VecDeque::new(),
            window_bytes: 0,
            lane,
            last,
            confirmed: Sequence(0),
            refusals_seen: Sequence(0),
        }
    }

    /// The lowest number without an answer, or the next to be given.
    pub fn floor(&self) -> Sequence {
        self.numbered.front().map_or(self.last.next(), |(sequence, _)| *sequence)
    }

    /// Goes on with the lane from the first entry. Without `again` from the first that was never
    /// transmitted.
    pub fn rewind(&mut self, again: bool) {
        if again && !self.numbered.is_empty() {
            mark(Mark::Resent);
        }
        self.link_next = if again { RequestId(0) } else { self.never_next };
        self.window_bytes = 0;
    }

    /// Starts on another lane. Gives the sends whose fate on the old one is not known.
    pub fn change_lane(&mut self, lane: LaneId, position: Sequence) -> Vec<RequestId> {
        let in_doubt = self.numbered.drain(..).map(|(_, request)| request).collect();
        self.lane = lane;
        self.last = position;
        self.confirmed = Sequence(0);
        self.refusals_seen = Sequence(0);
        self.entries.for_each_mut(|_, entry| {
            if let Entry::Send(send) = entry {
                send.refusals_seen = Sequence(0);
            }
        });
        in_doubt
    }

    /// Transmits what was not yet on this link, while what has no answer stays below
    /// `window_bytes_max`; without one up to the first send. Stops at a send whose number has to be
    /// written down first, and gives it.
    pub fn pump(
        &mut self,
        writer: &mut MessageWriter,
        window_bytes_max: Option<usize>,
        rules: Rules,
    ) -> Option<RequestId> {
        let waits = |send: &Outgoing| rules.number_before_transmit() && !send.kept.may_transmit();
        while let Some((request, entry)) = self.entries.next_mut(&self.link_next) {
            match entry {
                Entry::Question(frame) => writer.push_encoded(frame),
                Entry::Send(send) if window_bytes_max.is_some() && waits(send) => {
                    return Some(*request);
                }
                Entry::Send(send) => {
                    let bytes = self.window_bytes + send.what.window_bytes();
                    let Some(bytes_max) = window_bytes_max else { break };
                    if self.window_bytes > 0 && bytes > bytes_max {
                        break;
                    }
                    self.window_bytes = bytes;
                    let sequence = *send.sequence.get_or_insert_with(|| {
                        self.last = self.last.next();
                        self.numbered.push_back((self.last, *request));
                        self.last
                    });
                    write_send(writer, send, sequence);
                }
            }
            self.link_next = RequestId(request.0 + 1);
            self.never_next = self.never_next.max(self.link_next);
        }
        None
    }

    pub fn take(&mut self, request: RequestId) -> Option<Entry> {
        let entry = self.entries.remove(&request)?;
        if let Entry::Send(send) = &entry
            && request < self.link_next
        {
            self.window_bytes = self.window_bytes.saturating_sub(send.what.window_bytes());
        }
        Some(entry)
    }

    /// The first numbered send, if it was transmitted on this link and is at or below `position`.
    pub fn take_confirmed(
        &mut self,
        position: Sequence,
    ) -> Option<(Sequence, RequestId, Outgoing)> {
        let (sequence, request) = *self.numbered.front()?;
        if sequence > position || request >= self.link_next {
            return None;
        }
        self.numbered.pop_front();
        let Some(Entry::Send(send)) = self.take(request) else { return None };
        let Told { refused, duplicates } = &send.told;
        if refused.is_some() || !duplicates.is_empty() {
            self.refusals_seen = self.refusals_seen.max(sequence);
        }
        Some((sequence, request, send))
    }

    /// What goes out again is decided anew: an earlier node may have refused what it had no room
    /// to write down as refused.
    pub fn forget_answers_after(&mut self, position: Sequence) {
        for (sequence, _) in self.numbered.clone().iter().filter(|(at, _)| *at > position) {
            self.told(*sequence).map(core::mem::take);
        }
    }

    /// Every send without an answer; nothing is left of the lane.
    pub fn take_sends(&mut self) -> Vec<(RequestId, Outgoing)> {
        let requests: Vec<RequestId> = self.entries.keys().copied().collect();
        self.numbered.clear();
        self.change_lane(LaneId(0), Sequence(0));
        let mut sends = Vec::new();
        for request in requests {
            if matches!(self.entries.get(&request), Some(Entry::Send(_)))
                && let Some(Entry::Send(send)) = self.take(request)
            {
                sends.push((request, send));
            }
        }
        sends
    }

    /// What was said of the send with this number.
    pub fn told(&mut self, sequence: Sequence) -> Option<&mut Told> {
        let place =
            self.numbered.binary_search_by_key(&sequence, |(sequence, _)| *sequence).ok()?;
        let (_, request) = *self.numbered.get(place)?;
        match self.entries.get_mut(&request)? {
            Entry::Send(send) => Some(&mut send.told),
            Entry::Question(_) => None,
        }
    }

    /// Everything without an answer, and whether it may have happened.
    pub fn drain(&mut self) -> Vec<(RequestId, bool, Entry)> {
        self.numbered.clear();
        let never_next = self.never_next;
        let entries = core::mem::take(&mut self.entries);
        entries.into_iter().map(|(request, entry)| (request, request < never_next, entry)).collect()
    }
}

fn write_send(writer: &mut MessageWriter, send: &Outgoing, sequence: Sequence) {
    // All was encoded by this client.
    let Outgoing { refusals_seen, durability, .. } = *send;
    match &send.what {
        What::Send { queue, items } => {
            writer.push(&EncodedSend { sequence, queue, refusals_seen, durability, items });
        }
        What::Commit { writes, acks } => {
            let writes = cbor::decode(writes).unwrap_or_default();
            let acks = cbor::decode(acks).unwrap_or_default();
            writer.push(&Frame::Commit { sequence, refusals_seen, durability, writes, acks });
        }
        What::Schedule { queue, scheduling } => {
            let Ok(scheduling) = cbor::decode(scheduling) else { return };
            let frame = Frame::Schedule { sequence, queue, refusals_seen, durability, scheduling };
            writer.push(&frame);
        }
    }
}
