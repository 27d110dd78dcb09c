//! Sends that stay without an answer are given to the host to write down: what was accepted must
//! not die with its tab. Whoever finds them later takes them up under their numbers, so each is
//! stored once, whatever the node had of them.
//!
//! What was written down without a number is transmitted only once its number is written as well:
//! else whoever takes it up could not tell what the node has.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use crate::cbor::{self, structure, variants};
use crate::client::Client;
use crate::client::io::Event;
use crate::client::link::Link;
use crate::client::outbox::{Entry, Outbox, Outgoing, What};
use crate::error::{Code, Refused};
use crate::id::{LaneId, LogId, RequestId, Sequence};
use crate::options::Durability;
use crate::time::{Instant, Now};
use crate::wire::frame::Item;

const TAKEN_OVER: &str = "taken over";

/// A send is not taken for a late one before this many times the usual wait for an answer.
const USUAL_WAITS: u64 = 4;
/// A node that is slow with everyone makes no send wait longer than this.
const WAIT_MS_MAX: u64 = 1000;
/// The host is told of no more at a time, unless the page may never run again: each time is a copy.
const TOLD_BYTES_MAX: usize = 1 << 20;
/// How much one answer changes what is usual.
const SMOOTHING: u64 = 8;

structure! {
    /// A send as it is written down.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct KeptSend<'a> {
        /// Its number, and the lane of which log it counts in. Without one no node has it.
        pub sequence: Option<Sequence>,
        pub lane: LaneId,
        pub log: Option<LogId>,
        pub durability: Option<Durability>,
        pub what: KeptWhat<'a>,
    }
}

variants! {
    /// What is to be stored. The parts are encoded lists, as they stand in frames.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub enum KeptWhat<'a> {
        1 => Send { queue: &'a str, items: &'a [u8] },
        2 => Commit { writes: &'a [u8], acks: &'a [u8] },
        3 => Schedule { queue: &'a str, scheduling: &'a [u8] },
    }
}

/// How far a send is written down.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kept {
    No,
    /// Without a number. So many writes of it are under way.
    Unnumbered {
        writes: u32,
    },
    /// Its number is being written.
    Numbering {
        writes: u32,
    },
    /// With its number, or it was transmitted before it was written down.
    Numbered,
}

impl Kept {
    /// A number that may be lost would be given to another send.
    pub const fn may_transmit(self) -> bool {
        matches!(self, Self::No | Self::Numbered)
    }
}

/// When sends are written down.
#[derive(Debug, Default)]
pub(super) struct Keeping {
    on: bool,
    /// Something was written down. It may be there still, even if the page was told that it is
    /// over: it may die before that is written.
    pub any: bool,
    /// The first send that is not written down.
    next: RequestId,
    /// When it will be.
    pub due_at: Option<Instant>,
    /// How long sends wait for their answer, smoothed.
    usual_us: u64,
    /// What the host was told to write down and has not taken yet.
    told_bytes: usize,
}

impl Keeping {
    fn wait_ms(&self, at_least_ms: u64) -> u64 {
        let usual_ms = self.usual_us.saturating_mul(USUAL_WAITS) / 1000;
        at_least_ms.max(usual_ms.min(WAIT_MS_MAX))
    }
}

impl Outbox {
    /// Numbers the sends from `first` on that are written down without a number, as many as one
    /// window takes, and gives them.
    pub fn number_kept(&mut self, first: RequestId, window_bytes_max: usize) -> Vec<RequestId> {
        let mut numbered = Vec::new();
        let mut bytes = 0;
        let mut from = first;
        while let Some((request, entry)) = self.entries.next_mut(&from) {
            let request = *request;
            from = RequestId(request.0 + 1);
            let Entry::Send(send) = entry else { break };
            let Kept::Unnumbered { writes } = send.kept else { break };
            bytes += send.what.bytes();
            if !numbered.is_empty() && bytes > window_bytes_max {
                break;
            }
            send.kept = Kept::Numbering { writes: writes + 1 };
            self.last = self.last.next();
            send.sequence = Some(self.last);
            self.numbered.push_back((self.last, request));
            numbered.push(request);
        }
        numbered
    }

    /// Nothing is written down of what is to be sent, or all of it is gone.
    pub fn keeps_any(&self) -> bool {
        let is_kept = |entry: &Entry| matches!(entry, Entry::Send(send) if send.kept != Kept::No);
        self.entries.values().any(is_kept)
    }
}

/// The verbs of a host that writes sends down.
impl Client {
    /// From now on `Keep` tells each send that has no answer after `limits.outbox_after_ms`, or
    /// when the page goes out of view. The host writes it down and says `kept`.
    pub fn keep_sends(&mut self, now: Now) {
        self.begin(now);
        self.keeping.on = true;
        self.settle_forward();
    }

    /// What one `Keep` told of this send is written down.
    pub fn kept(&mut self, now: Now, request: RequestId) {
        self.begin(now);
        if let Some(Entry::Send(send)) = self.outbox.entries.get_mut(&request) {
            send.kept = match send.kept {
                Kept::Unnumbered { writes } => {
                    Kept::Unnumbered { writes: writes.saturating_sub(1) }
                }
                Kept::Numbering { writes } if writes > 1 => Kept::Numbering { writes: writes - 1 },
                Kept::Numbering { .. } => Kept::Numbered,
                other => other,
            };
        }
        self.pump();
        self.settle_forward();
    }

    /// Takes up what `Keep` told once, here or in a client that is gone. Nobody waits for it: only
    /// `LetGo` follows. With `anew` it is a new send, written down without a number. Else it goes
    /// on under its number; those of one client are taken up in the order in which they were
    /// told, before anything else is asked, by a client of the same identity. Those of one lane go
    /// on, the latest one of the log; the others end in doubt.
    ///
    /// # Errors
    /// As for every verb; `INVALID` if the bytes are not a kept send.
    pub fn take_up(&mut self, now: Now, send: &[u8], anew: bool) -> Result<RequestId, Refused> {
        self.start_verb(now)?;
        let kept: KeptSend<'_> =
            cbor::decode(send).map_err(|_| Refused::new(Code::Invalid, "send"))?;
        let what = What::from(kept.what);
        let request = self.begin_put_out(&what)?;
        self.silence_request(request);
        let sequence = kept.sequence.filter(|_| !anew);
        let mut outgoing = Outgoing::new(what, kept.durability, self.now.mono);
        outgoing.kept = Kept::Unnumbered { writes: 0 };
        outgoing.orphan = true;
        if let Some(sequence) = sequence {
            if !self.goes_on(&kept, sequence) {
                let lost = (Code::Unavailable, "lane_lost".into());
                self.end_kept(request, &outgoing, Some(lost), true);
                self.drop_request(request);
                return Ok(request);
            }
            outgoing.sequence = Some(sequence);
            outgoing.kept = Kept::Numbered;
            self.outbox.numbered.push_back((sequence, request));
            if matches!(self.link, Link::Dialing(_)) {
                // What its Hello says of its numbers has changed.
                self.link = Link::dialing(self.now.mono);
            }
        }
        self.keeping.any = true;
        self.outbox.entries.insert(request, Entry::Send(outgoing));
        self.pump();
        self.settle_forward();
        Ok(request)
    }

    /// Whether the number comes after those of what was taken up. Numbers between were answered:
    /// what has none is written down from the front on, and stays until it has.
    fn goes_on(&mut self, kept: &KeptSend<'_>, sequence: Sequence) -> bool {
        let same_log = self.log == kept.log;
        // The client had a later lane, so the sends of an earlier one were in doubt by then.
        if same_log && kept.lane < self.outbox.lane {
            return false;
        }
        if same_log && kept.lane > self.outbox.lane {
            self.change_lane(kept.lane, Sequence(0));
        }
        let outbox = &mut self.outbox;
        if outbox.numbered.is_empty() {
            self.log = kept.log;
            outbox.lane = kept.lane;
            outbox.last = sequence;
            return true;
        }
        if !same_log || sequence <= outbox.last {
            return false;
        }
        if sequence > outbox.last.next() {
            outbox.confirmed = outbox.confirmed.max(Sequence(sequence.0 - 1));
        }
        outbox.last = sequence;
        true
    }

    /// Gives up a send that no node can have: its caller gets `DISCARDED`.
    ///
    /// # Errors
    /// `NOT_FOUND` if it has an answer, `INVALID` if a node may have it.
    pub fn discard_send(&mut self, now: Now, request: RequestId) -> Result<(), Refused> {
        self.begin(now);
        match self.outbox.entries.get(&request) {
            Some(Entry::Send(send)) if send.sequence.is_none() => {}
            Some(Entry::Send(_)) => return Err(Refused::new(Code::Invalid, "under way")),
            _ => return Err(Code::NotFound.into()),
        }
        self.drop_send(request, "discarded");
        self.settle_forward();
        Ok(())
    }

    /// Another client went on with what this one had written down: all sends end in doubt, and
    /// what comes has another lane. It ended the session as well, so a settlement that is refused
    /// now may have taken place.
    pub fn give_up_sends(&mut self, now: Now) {
        self.begin(now);
        self.outbox.lane = LaneId(0);
        self.outbox.last = Sequence(0);
        for (request, send) in self.outbox.take_sends() {
            self.commit_refused(request, Code::Unavailable);
            if send.orphan {
                self.drop_request(request);
            } else {
                self.fail(request, Refused::new(Code::Unavailable, TAKEN_OVER), true);
            }
        }
        self.doubt_settlements();
        self.settle_forward();
    }

    /// Some send is written down.
    #[must_use]
    pub fn keeps_any(&self) -> bool {
        self.outbox.keeps_any()
    }
}

impl Client {
    /// Has the sends written down that wait for so long that they may stay without an answer.
    pub(super) fn keep_due(&mut self) {
        let wait_ms = self.keeping.wait_ms(self.limits.outbox_after_ms);
        let now = self.now.mono;
        let later = |send: &Outgoing| Some(send.put_at.after_ms(wait_ms)).filter(|at| *at > now);
        self.keep_until(later, TOLD_BYTES_MAX);
    }

    /// The page may never run again: all that has no answer is written down.
    pub(super) fn keep_all(&mut self) {
        self.keep_until(|_| None, usize::MAX);
    }

    /// Those at the front are first. `later` tells when a send is to be written down, if not now.
    fn keep_until(&mut self, later: impl Fn(&Outgoing) -> Option<Instant>, told_bytes_max: usize) {
        self.keeping.due_at = None;
        if !self.keeping.on {
            return;
        }
        while let Some((request, entry)) = self.outbox.entries.next_mut(&self.keeping.next) {
            let request = *request;
            if let Entry::Send(send) = entry
                && send.kept == Kept::No
            {
                let full = self.keeping.told_bytes > told_bytes_max;
                self.keeping.due_at = later(send).or_else(|| full.then_some(self.now.mono));
                if self.keeping.due_at.is_some() {
                    return;
                }
                send.kept = match send.sequence {
                    Some(_) => Kept::Numbered,
                    None => Kept::Unnumbered { writes: 1 },
                };
                self.tell_keep(request);
            }
            self.keeping.next = RequestId(request.0 + 1);
        }
    }

    pub(super) fn tell_keep(&mut self, request: RequestId) {
        let Some(Entry::Send(send)) = self.outbox.entries.get(&request) else { return };
        let (log, lane) = match send.sequence {
            Some(_) => (self.log, self.outbox.lane),
            None => (None, LaneId(0)),
        };
        let (sequence, durability) = (send.sequence, send.durability);
        let kept = KeptSend { sequence, lane, log, durability, what: KeptWhat::from(&send.what) };
        let mut bytes = Vec::new();
        cbor::encode(&kept, &mut bytes);
        self.keeping.any = true;
        self.keeping.told_bytes += bytes.len();
        self.events.push_back(Event::Keep { request, send: bytes });
    }

    /// The host takes an event.
    pub(super) fn taken(&mut self, event: &Event) {
        if let Event::Keep { send, .. } = event {
            self.keeping.told_bytes -= send.len();
        }
    }

    /// A send is over. Who wrote it down must know, whether somebody waits for it or not.
    pub(super) fn end_kept(
        &mut self,
        request: RequestId,
        send: &Outgoing,
        failed: Option<(Code, String)>,
        in_doubt: bool,
    ) {
        if send.kept != Kept::No {
            let heard = self.requests.is_wanted(request);
            self.events.push_back(Event::LetGo { request, failed, in_doubt, heard });
        }
    }

    /// What is usual changes with each answer.
    pub(super) fn confirmed_after(&mut self, put_at: Instant) {
        let waited_us = self.now.mono.0.saturating_sub(put_at.0);
        let usual_us = &mut self.keeping.usual_us;
        *usual_us = usual_us.saturating_sub(*usual_us / SMOOTHING) + waited_us / SMOOTHING;
    }
}

impl<'a> From<&'a What> for KeptWhat<'a> {
    fn from(what: &'a What) -> Self {
        match what {
            What::Send { queue, items } => Self::Send { queue, items },
            What::Commit { writes, acks } => Self::Commit { writes, acks },
            What::Schedule { queue, scheduling } => Self::Schedule { queue, scheduling },
        }
    }
}

impl From<KeptWhat<'_>> for What {
    fn from(what: KeptWhat<'_>) -> Self {
        match what {
            KeptWhat::Send { queue, items } => {
                // Without items it is refused, and its number used up all the same.
                let damaged = cbor::decode::<Vec<Item<'_>>>(items).is_err();
                let items = if damaged { cbor::EMPTY_LIST } else { items };
                Self::Send { queue: queue.to_owned(), items: items.to_vec() }
            }
            KeptWhat::Commit { writes, acks } => {
                Self::Commit { writes: writes.to_vec(), acks: acks.to_vec() }
            }
            KeptWhat::Schedule { queue, scheduling } => {
                Self::Schedule { queue: queue.to_owned(), scheduling: scheduling.to_vec() }
            }
        }
    }
}
