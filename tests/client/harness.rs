//! One client, and a node made by hand that speaks frames to it.

use tabmq::client::io::{Event, Input, Output};
use tabmq::client::{Client, ClientConfig};
use tabmq::id::{CallId, ClientId, Epoch, LaneId, LinkNonce, LogId, Sequence};
use tabmq::limits::Limits;
use tabmq::options::Durability;
use tabmq::rules::Rules;
use tabmq::time::{Instant, Now, UnixMillis};
use tabmq::wire::envelope::decode_frame;
use tabmq::wire::frame::{Hello, Item, Live, StorageReport, Welcome};
use tabmq::wire::{Envelope, Frame, Message, MessageWriter, Reassembly};

pub const ME: ClientId = ClientId([1; 16]);
pub const OTHER: ClientId = ClientId([2; 16]);
pub const LOG: LogId = LogId([9; 16]);
pub const LANE: LaneId = LaneId(7);

/// The client, and what it said so far.
pub struct Tab {
    pub client: Client,
    pub now: Now,
    /// The epoch of the node by hand.
    pub epoch: Epoch,
    pub wake_at: Option<Instant>,
    link: LinkNonce,
    /// Positions of the last transport message of the client and of the node.
    received: u64,
    pub sent: u64,
    reassembly: Reassembly,
    frames: Vec<Frame<'static>>,
    broadcasts: Vec<Frame<'static>>,
    events: Vec<Event>,
    pub messages: usize,
    /// How often it said that it has said everything again, and which calls are done.
    pub resumed: usize,
    pub calls_done: CallId,
}

pub fn item(body: &[u8]) -> Item<'_> {
    Item {
        body,
        properties: None,
        delay_ms: None,
        track: None,
        past: None,
        ttl_ms: None,
        priority: None,
        prepare: None,
    }
}

pub fn epoch(counter: u64) -> Epoch {
    Epoch { counter, incarnation: counter }
}

pub fn config() -> ClientConfig {
    ClientConfig {
        client: ME,
        keepsake: None,
        peer: b"me".to_vec(),
        limits: Limits::default(),
        rules: Rules::ON,
    }
}

/// What a node says that has just met this client.
pub fn first_welcome() -> Welcome {
    Welcome {
        version: 1,
        features: 0,
        log: LOG,
        lane: LANE,
        position: Sequence(0),
        resumed: false,
        rolled_back: false,
        newest: Vec::new(),
        stale: Vec::new(),
        storage: StorageReport {
            persistent: true,
            fenced: true,
            durability_max: Durability::Strict,
        },
        body_bytes_max: 1 << 20,
        host: None,
        kept: None,
        grant: None,
        audience: None,
    }
}

/// What a node says to a client that goes on with its lane.
pub fn resumed_at(position: u64) -> Welcome {
    Welcome { position: Sequence(position), resumed: true, ..first_welcome() }
}

impl Tab {
    /// A client that has said Hello.
    pub fn dialing(config: ClientConfig) -> Self {
        let now = Now { mono: Instant(1_000_000), unix: UnixMillis(1_700_000_000_000) };
        let mut tab = Self {
            client: Client::new(config, [3; 32], now),
            now,
            epoch: epoch(1),
            wake_at: None,
            link: LinkNonce(0),
            received: 0,
            sent: 0,
            reassembly: Reassembly::new(8 << 20),
            frames: Vec::new(),
            broadcasts: Vec::new(),
            events: Vec::new(),
            messages: 0,
            resumed: 0,
            calls_done: CallId(0),
        };
        tab.settle();
        tab
    }

    /// A client that has a link.
    pub fn open() -> Self {
        Self::open_with(config())
    }

    pub fn open_with(config: ClientConfig) -> Self {
        let mut tab = Self::dialing(config);
        tab.welcome(first_welcome());
        tab.forget();
        tab
    }

    /// Takes outputs until the client is idle.
    pub fn settle(&mut self) {
        loop {
            match self.client.poll_output() {
                Output::Transmit { bytes } => self.on_transmit(bytes),
                Output::Broadcast { bytes } => {
                    let message = leak(bytes);
                    assert_eq!(message.envelope.position, 0);
                    assert_eq!(message.envelope.link, LinkNonce(0));
                    self.broadcasts.extend(message.frames().map(|frame| frame.expect("a frame")));
                }
                Output::Event(event) => self.events.push(event),
                Output::Idle { wake_at } => {
                    assert!(wake_at.is_none_or(|at| at >= self.now.mono), "never in the past");
                    self.wake_at = wake_at;
                    return;
                }
            }
        }
    }

    fn on_transmit(&mut self, bytes: Vec<u8>) {
        self.messages += 1;
        let message = leak(bytes);
        let head = message.envelope;
        assert_eq!(head.client, self.client.id());
        for frame in message.frames() {
            let frame = frame.expect("a client writes frames");
            let frame = match frame {
                Frame::Fragment { last, bytes } => {
                    match self.reassembly.push(last, bytes).expect("within the bound") {
                        Some(whole) => decode_frame(whole.leak()).expect("a whole frame"),
                        None => continue,
                    }
                }
                frame => frame,
            };
            if matches!(frame, Frame::Hello(_)) {
                assert_ne!(head.link, self.link, "each Hello has a link of its own");
                self.link = head.link;
                self.received = head.position - 1;
                self.sent = 0;
            }
            match frame {
                Frame::Resumed => self.resumed += 1,
                Frame::CallsDone { below } => self.calls_done = below,
                frame => self.frames.push(frame),
            }
        }
        if head.link == self.link {
            assert_eq!(head.position, self.received + 1, "no hole");
            self.received = head.position;
        }
    }

    pub fn input(&mut self, input: Input<'_>) {
        self.client.handle_input(self.now, input);
        self.settle();
    }

    /// Runs a verb and takes its outputs.
    pub fn ask<R>(&mut self, verb: impl FnOnce(&mut Client, Now) -> R) -> R {
        let result = verb(&mut self.client, self.now);
        self.settle();
        result
    }

    /// The node says this on the newest link, in one transport message.
    pub fn node(&mut self, frames: &[Frame<'_>]) {
        self.sent += 1;
        let head = Envelope { epoch: self.epoch, client: ME, link: self.link, position: self.sent };
        self.node_with(head, frames);
    }

    pub fn node_with(&mut self, head: Envelope, frames: &[Frame<'_>]) {
        let bytes = message(head, frames);
        self.input(Input::Received { bytes: &bytes });
    }

    pub fn head(&self) -> Envelope {
        Envelope { epoch: self.epoch, client: ME, link: self.link, position: self.sent + 1 }
    }

    pub fn welcome(&mut self, welcome: Welcome) {
        self.node(&[Frame::Welcome(welcome)]);
    }

    /// A node speaks to everyone.
    pub fn hear_node(&mut self, epoch: Epoch, frame: Frame<'_>) {
        let client = ClientId::default();
        let head = Envelope { epoch, client, link: LinkNonce(0), position: 0 };
        let bytes = message(head, &[frame]);
        self.input(Input::Heard { bytes: &bytes });
    }

    /// Another client speaks to everyone.
    pub fn hear(&mut self, live: Live<'_>) {
        let head =
            Envelope { epoch: self.epoch, client: live.publisher, link: LinkNonce(0), position: 0 };
        let bytes = message(head, &[Frame::Publish(live)]);
        self.input(Input::Heard { bytes: &bytes });
    }

    /// The link is lost and the client has dialed again: gives its Hello.
    pub fn lose_link(&mut self) -> Hello<'static> {
        self.node(&[Frame::Hangup { code: tabmq::error::Code::Unavailable }]);
        self.hello()
    }

    /// The next frame, which is a Hello.
    pub fn hello(&mut self) -> Hello<'static> {
        let hello = self.frames.iter().position(|frame| matches!(frame, Frame::Hello(_)));
        match hello.map(|at| self.frames.remove(at)) {
            Some(Frame::Hello(hello)) => hello,
            _ => panic!("no Hello among {:?}", self.frames),
        }
    }

    /// What the client said to the node since the last look.
    pub fn frames(&mut self) -> Vec<Frame<'static>> {
        std::mem::take(&mut self.frames)
    }

    /// What it said to everyone.
    pub fn broadcasts(&mut self) -> Vec<Frame<'static>> {
        std::mem::take(&mut self.broadcasts)
    }

    pub fn events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    pub fn forget(&mut self) {
        self.frames.clear();
        self.broadcasts.clear();
        self.events.clear();
    }

    /// Lets time pass, waking the client when it asks for it.
    pub fn pass_ms(&mut self, ms: u64) {
        let end = self.now.mono.after_ms(ms);
        while let Some(wake_at) = self.wake_at.filter(|at| *at <= end) {
            self.advance_to(wake_at.max(Instant(self.now.mono.0 + 1)));
            self.input(Input::Tick);
        }
        self.advance_to(end);
        self.input(Input::Tick);
    }

    /// Lets time pass in which the client does not run.
    pub fn freeze_ms(&mut self, ms: u64) {
        self.advance_to(self.now.mono.after_ms(ms));
    }

    fn advance_to(&mut self, at: Instant) {
        self.now.unix.0 += at.ms_since(self.now.mono);
        self.now.mono = at;
    }
}

pub fn message(head: Envelope, frames: &[Frame<'_>]) -> Vec<u8> {
    let mut writer = MessageWriter::new(16 << 20);
    for frame in frames {
        writer.push(frame);
    }
    writer.take_message(|| head).expect("frames to send")
}

fn leak(bytes: Vec<u8>) -> Message<'static> {
    Message::parse(bytes.leak()).expect("a client writes transport messages")
}
