//! What this tab publishes live: posted to everyone at once, kept until the node has heard it.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::cbor;
use crate::client::Client;
use crate::client::io::Event;
use crate::client::requests::Kind;
use crate::error::{Code, Refused};
use crate::id::{ClientId, LinkNonce, NUMBERS_END, PublishNumber, RequestId};
use crate::time::{Instant, UnixMillis};
use crate::topic::Topic;
use crate::wire::envelope::{decode_frame, encode_frame};
use crate::wire::frame::{Live, Newest, Reached};
use crate::wire::{Envelope, Frame};

/// A run starts at the wall clock in milliseconds times two to this power: above every number of
/// an earlier run, and below 2^53 until the year 2039.
const RUN_SHIFT: u32 = 12;

/// The wait for the node's confirmation doubles this often.
const DOUBLINGS_MAX: u32 = 4;

/// What a frame has beside topic, body and properties: heads, an id and two numbers.
const FRAME_BYTES_MAX: usize = 50;

/// A publish the node has not confirmed to have heard.
#[derive(Debug)]
struct Unheard {
    number: PublishNumber,
    request: RequestId,
    frame: Vec<u8>,
}

#[derive(Debug)]
pub(super) struct Publishing {
    /// The first number of this run, and the next one.
    first: PublishNumber,
    next: PublishNumber,
    unheard: VecDeque<Unheard>,
    /// When the oldest of them is posted again, and how often that was.
    repeat_at: Option<Instant>,
    repeats: u32,
    /// Up to here some may not have left the device: each confirmation brings the next of them.
    behind: Option<PublishNumber>,
    /// Frames on their way to everyone, behind one envelope.
    filling: Vec<u8>,
    full: VecDeque<Vec<u8>>,
}

impl Publishing {
    /// `used` is the last number of the page before a reload: the wall clock may have gone back
    /// since that page began, and below it everyone would take what is new for repeats.
    pub fn new(now: UnixMillis, used: PublishNumber) -> Self {
        let by_clock = PublishNumber((now.0.min(u64::MAX >> (RUN_SHIFT + 1)) << RUN_SHIFT) + 1);
        let used = Some(used).filter(|used| used.0 < NUMBERS_END).unwrap_or_default();
        let first = by_clock.max(after(used));
        Self {
            first,
            next: first,
            unheard: VecDeque::new(),
            repeat_at: None,
            repeats: 0,
            behind: None,
            filling: Vec::new(),
            full: VecDeque::new(),
        }
    }

    pub fn take_broadcast(&mut self) -> Option<Vec<u8>> {
        if self.full.is_empty() && !self.filling.is_empty() {
            return Some(core::mem::take(&mut self.filling));
        }
        self.full.pop_front()
    }

    pub fn has_full(&self) -> bool {
        !self.full.is_empty()
    }

    /// The last number that was given out.
    pub const fn last(&self) -> PublishNumber {
        PublishNumber(self.next.0 - 1)
    }

    const fn index_of(&self, number: PublishNumber) -> u64 {
        number.0.saturating_sub(self.first.0)
    }

    /// How far some node has heard this run, with no hole before it.
    pub fn reached(&self) -> Option<Reached> {
        let unheard = self.unheard.front().map_or(self.next, |publish| publish.number);
        let number = PublishNumber(unheard.0 - 1);
        (unheard > self.first).then(|| Reached { number, index: self.index_of(number) })
    }

    pub const fn repeat_at(&self) -> Option<Instant> {
        self.repeat_at
    }

    /// Everything without an answer.
    pub fn drain(&mut self) -> Vec<(RequestId, bool)> {
        self.repeat_at = None;
        self.unheard.drain(..).map(|unheard| (unheard.request, true)).collect()
    }

    /// Waits for the node's confirmation from now on, if there is anything to confirm.
    fn await_confirmation(&mut self, now: Instant, wait_ms: u64) {
        let wait_ms = wait_ms.saturating_mul(1 << self.repeats.min(DOUBLINGS_MAX));
        self.repeat_at = (!self.unheard.is_empty()).then(|| now.after_ms(wait_ms));
    }

    /// Adds an encoded frame to what goes to everyone. Frames to everyone are never cut: a
    /// receiver could not put the parts of many senders together.
    fn post(&mut self, head: Envelope, frame: &[u8], message_bytes_max: usize) {
        if self.filling.len() + frame.len() > message_bytes_max {
            self.end_message();
        }
        if self.filling.is_empty() {
            cbor::encode(&head, &mut self.filling);
        }
        self.filling.extend_from_slice(frame);
        // Full as soon as another one like this finds no room.
        if self.filling.len() + frame.len() > message_bytes_max {
            self.end_message();
        }
    }

    fn end_message(&mut self) {
        if !self.filling.is_empty() {
            self.full.push_back(core::mem::take(&mut self.filling));
        }
    }
}

impl Client {
    pub(super) fn begin_publish(
        &mut self,
        topic: &str,
        body: &[u8],
        properties: Option<&[u8]>,
    ) -> Result<RequestId, Refused> {
        if Topic::parse(topic, &self.limits)?.is_system() {
            return Err(Refused::new(Code::Invalid, "topic"));
        }
        self.check_body(body, properties)?;
        let number = self.publishing.next;
        let index = self.publishing.index_of(number);
        let live = Live { publisher: self.id, number, index, topic, body, properties };
        let bytes = FRAME_BYTES_MAX + topic.len() + body.len() + properties.map_or(0, <[u8]>::len);
        let mut frame = Vec::with_capacity(bytes);
        encode_frame(&Frame::Publish(live), &mut frame);
        let request = self.requests.begin(Kind::Message, frame.len(), &self.limits)?;
        self.publishing.next = after(number);
        if !self.is_parked() {
            let (head, message_bytes_max) = self.post_parts();
            self.publishing.post(head, &frame, message_bytes_max);
        }
        self.publishing.unheard.push_back(Unheard { number, request, frame });
        if self.publishing.repeat_at.is_none() {
            self.await_published();
        }
        self.deliver_live(&live);
        Ok(request)
    }

    fn post_parts(&self) -> (Envelope, usize) {
        let (epoch, client) = (self.followed, self.id);
        let head = Envelope { epoch, client, link: LinkNonce(0), position: 0 };
        (head, self.limits.fragment_bytes_max as usize)
    }

    /// A confirmation that stays out for two repeats of the node's newest numbers is missed.
    fn await_published(&mut self) {
        let wait_ms = self.limits.newest_repeat_ms.max(1).saturating_mul(2);
        self.publishing.await_confirmation(self.now.mono, wait_ms);
    }

    /// The node missed messages of this client: it gets what is left of them on the link, where
    /// their order can't be broken again, so that it takes none before those it missed.
    pub(super) fn say_again(&mut self, first: PublishNumber, last: PublishNumber) {
        let publisher = self.id;
        let Some(writer) = self.link.writer() else { return };
        let missed = |publish: &&Unheard| (first..=last).contains(&publish.number);
        for publish in self.publishing.unheard.iter().filter(missed) {
            writer.push_encoded(&publish.frame);
        }
        let messages = Vec::new();
        writer.push(&Frame::Repaired { publisher, first, last, messages });
    }

    /// Posts a range again to everyone.
    fn post_again(&mut self, first: PublishNumber, last: PublishNumber) {
        let (head, message_bytes_max) = self.post_parts();
        let unheard = core::mem::take(&mut self.publishing.unheard);
        for publish in &unheard {
            if (first..=last).contains(&publish.number) {
                self.publishing.post(head, &publish.frame, message_bytes_max);
            }
        }
        self.publishing.unheard = unheard;
    }

    /// Posts the oldest again if the node has said nothing of them for long. Not all: a node that
    /// is behind must not be given more to do.
    pub(super) fn post_again_if_due(&mut self) {
        let due = self.publishing.repeat_at.is_some_and(|at| at <= self.now.mono);
        if due && self.link.is_open() {
            self.post_oldest_again();
        }
    }

    /// The way to the node has room again, and what was posted while it had none did not get there.
    pub(super) fn catch_up(&mut self) {
        if self.link.is_open() && !self.publishing.unheard.is_empty() {
            self.publishing.repeats = 0;
            self.publishing.behind = Some(self.publishing.last());
            self.post_oldest_again();
        }
    }

    fn post_oldest_again(&mut self) {
        let bytes_max = self.limits.fragment_bytes_max as usize;
        let mut bytes = 0;
        let fits = |publish: &&Unheard| {
            bytes += publish.frame.len();
            bytes == publish.frame.len() || bytes <= bytes_max
        };
        let oldest = self.publishing.unheard.iter().take_while(fits).last();
        if let Some(last) = oldest.map(|publish| publish.number) {
            self.post_again(PublishNumber(0), last);
        }
        self.publishing.repeats = self.publishing.repeats.saturating_add(1);
        self.await_published();
    }

    /// The node has heard every publish up to `number`.
    pub(super) fn on_published(&mut self, number: PublishNumber) {
        let unheard = &mut self.publishing.unheard;
        let mut heard = Vec::new();
        while unheard.front().is_some_and(|publish| publish.number <= number) {
            heard.extend(unheard.pop_front().map(|publish| publish.request));
        }
        if heard.is_empty() {
            return;
        }
        self.publishing.repeats = 0;
        self.await_published();
        self.publishing.behind = self.publishing.behind.filter(|last| *last > number);
        if self.publishing.behind.is_some() {
            self.post_oldest_again();
        }
        for request in heard {
            self.answer(request, Event::Published { request });
        }
    }

    /// Posts everything again that the node of the new link has not confirmed.
    pub(super) fn resume_publishing(&mut self, newest: &[Newest], first_link: bool) {
        if first_link {
            self.renumber_run(newest);
        }
        self.refuse_too_long();
        self.post_again(PublishNumber(0), PublishNumber(u64::MAX));
        self.publishing.repeats = 0;
        self.await_published();
    }

    /// The node takes less than this client knew of when it was asked to publish. What is too long
    /// would be posted for ever, and at a hub end the socket each time.
    fn refuse_too_long(&mut self) {
        let bytes_max = self.body_bytes_max();
        let is_too_long = |publish: &Unheard| {
            publish.frame.len() > bytes_max
                && matches!(decode_frame(&publish.frame),
                    Ok(Frame::Publish(live)) if live.body.len() > bytes_max)
        };
        let unheard = core::mem::take(&mut self.publishing.unheard);
        for publish in unheard {
            if is_too_long(&publish) {
                let refused = Refused::new(Code::TooLarge, "body_bytes_max");
                self.fail(publish.request, refused, true);
            } else {
                self.publishing.unheard.push_back(publish);
            }
        }
    }

    /// Publishes under a new identity what was not polled yet.
    pub(super) fn publish_as(&mut self, publisher: ClientId) {
        self.publishing.filling.clear();
        self.publishing.full.clear();
        for publish in &mut self.publishing.unheard {
            let Ok(Frame::Publish(live)) = decode_frame(&publish.frame) else { continue };
            let mut frame = Vec::new();
            encode_frame(&Frame::Publish(Live { publisher, ..live }), &mut frame);
            publish.frame = frame;
        }
        self.post_again(PublishNumber(0), PublishNumber(u64::MAX));
    }

    /// If the page before left an old keepsake and the wall clock went back, this run starts behind
    /// the numbers of the last one, and everyone would take its messages for repeats.
    fn renumber_run(&mut self, newest: &[Newest]) {
        let used = newest.iter().find(|newest| newest.publisher == self.id);
        let Some(used) = used.filter(|used| used.number >= self.publishing.next) else { return };
        let mut next = after(used.number);
        let first = next;
        for publish in &mut self.publishing.unheard {
            let Ok(Frame::Publish(live)) = decode_frame(&publish.frame) else { continue };
            let mut frame = Vec::new();
            let live = Live { number: next, index: next.0 - first.0, ..live };
            encode_frame(&Frame::Publish(live), &mut frame);
            *publish = Unheard { number: next, request: publish.request, frame };
            next = after(next);
        }
        self.publishing.first = first;
        self.publishing.next = next;
    }
}

const fn after(number: PublishNumber) -> PublishNumber {
    PublishNumber(number.0.saturating_add(1))
}
