//! The link to a node: dialing, the order of transport messages, and its end.

use alloc::vec::Vec;

use crate::client::Client;
use crate::client::io::Event;
use crate::error::Code;
use crate::id::{AudienceId, ClientId, Epoch, LinkNonce};
use crate::limits::Limits;
use crate::time::Instant;
use crate::wire::envelope::decode_frame;
use crate::wire::{Envelope, Frame, Message, MessageWriter, Reassembly};

/// The retry wait doubles this often, so that a slow node is answered at last: it follows only the
/// newest Hello.
const DOUBLINGS_MAX: u32 = 4;

/// A node that announced itself answers one of so many Hellos, or its epoch is not believed.
const CLAIM_TRIES: u32 = 3;

/// One numbering of transport messages, both ways.
#[derive(Debug)]
pub(super) struct Channel {
    nonce: LinkNonce,
    sent: u64,
    received: u64,
    pub writer: MessageWriter,
    reassembly: Reassembly,
}

impl Channel {
    pub fn new(nonce: LinkNonce, limits: &Limits) -> Self {
        Self {
            nonce,
            sent: 0,
            received: 0,
            writer: MessageWriter::new(limits.fragment_bytes_max as usize),
            reassembly: Reassembly::new(limits.link_bytes_max as usize),
        }
    }

    fn take_message(&mut self, epoch: Epoch, client: ClientId) -> Option<Vec<u8>> {
        let position = self.sent + 1;
        let link = self.nonce;
        let message = self.writer.take_message(|| Envelope { epoch, client, link, position })?;
        self.sent = position;
        Some(message)
    }
}

/// A Hello is out, or will be at `hello_at`.
#[derive(Debug)]
pub(super) struct Dialing {
    pub channel: Option<Channel>,
    pub hello_at: Instant,
    tries: u32,
}

/// A node said Welcome.
#[derive(Debug)]
pub(super) struct Open {
    pub channel: Channel,
    pub epoch: Epoch,
    pub since: Instant,
    pub body_bytes_max: u32,
    /// Who hears what comes on the socket: a hub asks what this client listens to.
    pub audience: Option<AudienceId>,
}

#[derive(Debug)]
#[allow(clippy::large_enum_variant)]
pub(super) enum Link {
    Dialing(Dialing),
    Open(Open),
    /// The page sleeps. Nothing is sent until `unpark`.
    Parked,
    Closed,
}

impl Link {
    pub const fn dialing(hello_at: Instant) -> Self {
        Self::Dialing(Dialing { channel: None, hello_at, tries: 0 })
    }

    const fn channel(&mut self) -> Option<&mut Channel> {
        match self {
            Self::Dialing(dialing) => dialing.channel.as_mut(),
            Self::Open(open) => Some(&mut open.channel),
            Self::Parked | Self::Closed => None,
        }
    }

    /// Where frames go while the link is open.
    pub const fn writer(&mut self) -> Option<&mut MessageWriter> {
        match self {
            Self::Open(open) => Some(&mut open.channel.writer),
            _ => None,
        }
    }

    pub const fn audience(&self) -> Option<AudienceId> {
        match self {
            Self::Open(open) => open.audience,
            _ => None,
        }
    }

    pub const fn is_open(&self) -> bool {
        matches!(self, Self::Open(_))
    }
}

impl Client {
    /// Sends a frame if the link is open. What must not be lost is kept elsewhere.
    pub(super) fn push(&mut self, frame: &Frame<'_>) {
        if let Some(writer) = self.link.writer() {
            writer.push(frame);
        }
    }

    pub(super) fn take_link_message(&mut self) -> Option<Vec<u8>> {
        if let Some(message) = self.last_words.pop_front() {
            return Some(message);
        }
        let (epoch, client) = (self.followed, self.id);
        self.link.channel()?.take_message(epoch, client)
    }

    /// Says Hello on a new link when its time has come.
    pub(super) fn dial_if_due(&mut self) {
        let now = self.now.mono;
        let Link::Dialing(Dialing { hello_at, tries, .. }) = &self.link else { return };
        let (due, tries) = (*hello_at <= now, *tries);
        if !due {
            return;
        }
        if tries == CLAIM_TRIES {
            self.doubt_claim();
        }
        let mut channel = Channel::new(LinkNonce(self.rng.next_u64().max(1)), &self.limits);
        channel.writer.push(&Frame::Hello(self.hello()));
        self.peer_changed = false;
        let wait_ms = self.retry_wait_ms(tries);
        self.link = Link::Dialing(Dialing {
            channel: Some(channel),
            hello_at: now.after_ms(wait_ms),
            tries: tries.saturating_add(1),
        });
    }

    /// The wait after this many tries, changed by up to a quarter so that tabs do not fall in step.
    fn retry_wait_ms(&mut self, tries: u32) -> u64 {
        let base_ms =
            self.limits.hello_retry_ms.clamp(1, u64::MAX >> 8) << tries.min(DOUBLINGS_MAX);
        base_ms - base_ms / 4 + self.rng.below(base_ms / 2 + 1)
    }

    /// Dials at once if there is no link.
    pub(super) fn dial_now(&mut self) {
        if matches!(self.link, Link::Dialing(_)) {
            self.link = Link::dialing(self.now.mono);
        }
    }

    /// The link is over and the client dials again, after a wait if `tries` is not zero.
    pub(super) fn lose_link(&mut self, tries: u32) {
        match self.link {
            Link::Open(_) => self.events.push_back(Event::Lost),
            Link::Dialing(_) => {}
            Link::Parked | Link::Closed => return,
        }
        let wait_ms = if tries == 0 { 0 } else { self.retry_wait_ms(tries - 1) };
        let hello_at = self.now.mono.after_ms(wait_ms);
        self.link = Link::Dialing(Dialing { channel: None, hello_at, tries });
        self.forget_link();
    }

    /// Ends the link with a frame for the node.
    pub(super) fn say_last(&mut self, frame: &Frame<'_>) {
        let (epoch, client) = (self.followed, self.id);
        let Link::Open(open) = &mut self.link else { return };
        open.channel.writer.push(frame);
        while let Some(message) = open.channel.take_message(epoch, client) {
            self.last_words.push_back(message);
        }
    }

    /// The Welcome of this node is not taken: it may forget the client.
    pub(super) fn decline(&mut self, epoch: Epoch) {
        let Some(mut channel) = self.take_dialed() else { return };
        channel.writer.push(&Frame::Goodbye { park: false });
        while let Some(message) = channel.take_message(epoch, self.id) {
            self.last_words.push_back(message);
        }
        self.lose_faulty_link();
    }

    /// The node broke the protocol.
    pub(super) fn hang_up(&mut self, code: Code) {
        self.say_last(&Frame::Hangup { code });
        self.lose_faulty_link();
    }

    /// Two sides that do not understand each other must not dial without a pause.
    fn lose_faulty_link(&mut self) {
        if let Link::Open(open) = &self.link {
            let long_ms = self.limits.hello_retry_ms.saturating_mul(1 << (DOUBLINGS_MAX + 1));
            if self.now.mono.ms_since(open.since) > long_ms {
                self.faults = 0;
            }
        }
        self.faults = self.faults.saturating_add(1);
        self.lose_link(self.faults);
    }

    pub(super) fn on_received(&mut self, bytes: &[u8]) {
        let Ok(message) = Message::parse(bytes) else {
            self.bad_messages += 1;
            return;
        };
        let head = message.envelope;
        let opened = match &self.link {
            Link::Open(open) => Some(open.epoch),
            _ => None,
        };
        let (id, highest) = (self.id, self.highest);
        let Some(channel) = self.link.channel() else { return };
        let nonce = channel.nonce;
        if head.client != id || head.link != nonce || head.epoch < highest {
            return;
        }
        if head.position != channel.received + 1 || opened.is_some_and(|epoch| epoch != head.epoch)
        {
            return self.lose_link(0);
        }
        channel.received = head.position;
        self.silence.heard(self.now.mono);
        for frame in message.frames() {
            let Ok(frame) = frame else { return self.hang_up(Code::Protocol) };
            self.on_link_frame(head.epoch, frame);
            if self.link.channel().is_none_or(|channel| channel.nonce != nonce) {
                return;
            }
        }
    }

    /// A frame of a link, which may be a part of a longer one.
    fn on_link_frame(&mut self, epoch: Epoch, frame: Frame<'_>) {
        let Some(channel) = self.link.channel() else { return };
        let Frame::Fragment { last, bytes } = frame else {
            if !channel.reassembly.is_idle() {
                return self.hang_up(Code::Protocol);
            }
            return self.on_whole_frame(epoch, frame);
        };
        match channel.reassembly.push(last, bytes) {
            Ok(None) => {}
            Ok(Some(whole)) => match decode_frame(&whole) {
                Ok(Frame::Fragment { .. }) | Err(_) => self.hang_up(Code::Protocol),
                Ok(frame) => self.on_whole_frame(epoch, frame),
            },
            Err(_) => self.hang_up(Code::TooLarge),
        }
    }

    fn on_whole_frame(&mut self, epoch: Epoch, frame: Frame<'_>) {
        match frame {
            Frame::Hangup { code: Code::UpgradeRequired } => self.finish(Code::UpgradeRequired),
            Frame::Hangup {
                code: code @ (Code::Protocol | Code::TooLarge | Code::Full | Code::NotAuthorized),
            } => {
                self.refusal = Some(code);
                self.lose_faulty_link();
            }
            Frame::Hangup { code: Code::ContractMismatch } => {
                self.be_another();
                self.lose_faulty_link();
            }
            Frame::Hangup { .. } => self.lose_link(0),
            Frame::Welcome(welcome) if !self.link.is_open() => self.on_welcome(epoch, &welcome),
            frame if self.link.is_open() => {
                if !self.on_frame(frame) {
                    self.hang_up(Code::Protocol);
                }
            }
            _ => self.hang_up(Code::Protocol),
        }
    }

    /// The channel of the Hello that was answered.
    pub(super) fn take_dialed(&mut self) -> Option<Channel> {
        match &mut self.link {
            Link::Dialing(dialing) => dialing.channel.take(),
            _ => None,
        }
    }

    /// Whoever claimed a higher epoch than that of the last Welcome does not answer. Only the store
    /// decides who is the node, and a node asks it before it answers: so whoever does may be
    /// followed, though its epoch is lower than what somebody said.
    fn doubt_claim(&mut self) {
        if self.highest > self.followed {
            self.disproved = Some(self.highest);
            self.highest = self.followed;
        }
    }

    /// A node speaks to everyone under this epoch. False if it is an old one.
    pub(super) fn hear_epoch(&mut self, epoch: Epoch) -> bool {
        if epoch < self.highest || self.disproved == Some(epoch) {
            return false;
        }
        self.highest = epoch;
        self.silence.heard(self.now.mono);
        if matches!(&self.link, Link::Open(open) if open.epoch < epoch) {
            self.lose_link(0);
        }
        true
    }
}
