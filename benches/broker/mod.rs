//! A node with one client, over a store in memory, for benchmarks.

use std::collections::BTreeMap;

use tabmq::broker::io::{Input, Output};
use tabmq::id::{
    ClientId, ConnId, ConsumerId, Epoch, LaneId, LeaseNumber, LinkNonce, RequestId, Sequence,
};
use tabmq::limits::Limits;
use tabmq::log::MemoryStore;
use tabmq::node::{Node, NodeConfig};
use tabmq::options::{ConsumeOptions, Durability, HostKind};
use tabmq::rules::Rules;
use tabmq::store::{Key, StorageAction};
use tabmq::time::{Instant, Now, UnixMillis};
use tabmq::wire::frame::{Hello, Item, Settlement, StorageReport};
use tabmq::wire::{Envelope, Frame, Message, MessageWriter};

/// Messages in one transport message, as a busy tab would batch them.
pub const BATCH: u64 = 100;
const NOW: Now = Now { mono: Instant(1), unix: UnixMillis(1_700_000_000_000) };

#[derive(Debug)]
pub struct Bench {
    node: Node,
    pub store: MemoryStore,
    /// The lengths of what is stored.
    pub stored: BTreeMap<Key, usize>,
    conn: ConnId,
    position: u64,
    sequence: u64,
    leases: Vec<LeaseNumber>,
    ready: u64,
}

impl Bench {
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self::open(limits, MemoryStore::default())
    }

    /// Reads back what another node left.
    #[must_use]
    pub fn open(limits: Limits, store: MemoryStore) -> Self {
        let storage =
            StorageReport { persistent: false, fenced: false, durability_max: Durability::Memory };
        let host = HostKind::Inline;
        let config = NodeConfig {
            limits,
            rules: Rules::ON,
            storage,
            host,
            tears: true,
            heard: Epoch::default(),
            sleeps: None,
        };
        let node = Node::new(config, [1; 32], NOW);
        let (stored, conn) = (BTreeMap::new(), ConnId(0));
        let (position, sequence, leases, ready) = (0, 0, Vec::new(), 0);
        let mut bench = Self { node, store, stored, conn, position, sequence, leases, ready };
        bench.drain();
        bench.conn = bench.node.accept(NOW);
        bench.say(&[Frame::Hello(hello())]);
        bench
    }

    fn say(&mut self, frames: &[Frame<'_>]) {
        let mut writer = MessageWriter::new(1 << 20);
        for frame in frames {
            writer.push(frame);
        }
        let (client, link) = (ClientId([1; 16]), LinkNonce(1));
        let epoch = self.node.epoch().unwrap_or_default();
        while let Some(bytes) = writer.take_message(|| {
            self.position += 1;
            Envelope { epoch, client, link, position: self.position }
        }) {
            self.node.handle_input(NOW, Input::Received { conn: self.conn, bytes: &bytes });
            self.drain();
        }
    }

    pub fn send_all(&mut self, queue: &str, messages: u64, body: &[u8]) {
        for sent in (0..messages).step_by(BATCH as usize) {
            let send = |index| Frame::Send {
                sequence: Sequence(self.sequence + index),
                queue,
                refusals_seen: Sequence(0),
                durability: None,
                items: vec![Item {
                    body,
                    properties: None,
                    delay_ms: None,
                    track: None,
                    past: None,
                    ttl_ms: None,
                    priority: None,
                    prepare: None,
                }],
            };
            let batch = BATCH.min(messages - sent);
            let frames: Vec<_> = (1..=batch).map(send).collect();
            self.sequence += batch;
            self.say(&frames);
        }
    }

    /// Takes as many deliveries at a time as one transport message can settle.
    pub fn consume(&mut self, queue: &str) {
        let options = ConsumeOptions::new(u32::try_from(BATCH).unwrap(), 1 << 20);
        self.say(&[Frame::Consume { consumer: ConsumerId(1), queue, options }]);
    }

    /// Acknowledges what was delivered; the next deliveries come. False if there was nothing.
    pub fn settle(&mut self) -> bool {
        let settle = |lease| Frame::Settle { lease, settlement: Settlement::Ack { value: None } };
        let frames: Vec<_> = self.leases.drain(..).map(settle).collect();
        self.say(&frames);
        !frames.is_empty()
    }

    /// Messages that are ready.
    pub fn ready(&mut self, queue: &str) -> u64 {
        self.say(&[Frame::Inspect { request: RequestId(1), queue }]);
        self.ready
    }

    fn drain(&mut self) {
        loop {
            match self.node.poll_output() {
                Output::Storage { op, action } => {
                    if let StorageAction::Commit { puts, deletes, .. } = &action {
                        self.stored.extend(puts.iter().map(|(key, bytes)| (*key, bytes.len())));
                        for key in deletes {
                            self.stored.remove(key);
                        }
                    }
                    let result = self.store.perform(&action);
                    self.node.handle_input(NOW, Input::Stored { op, result });
                }
                Output::Transmit { bytes, .. } => {
                    let message = Message::parse(&bytes).unwrap();
                    for frame in message.frames().flatten() {
                        match frame {
                            Frame::Deliver(delivery) => self.leases.push(delivery.lease),
                            Frame::QueueState { state, .. } => self.ready = state.ready,
                            _ => {}
                        }
                    }
                }
                Output::Idle { .. } => return,
                _ => {}
            }
        }
    }
}

fn hello() -> Hello<'static> {
    Hello {
        version_min: 1,
        version_max: 1,
        features: 0,
        log: None,
        lane: LaneId(0),
        confirmed: Sequence(0),
        floor: Sequence(1),
        fresh: true,
        peer: b"",
        leases: Vec::new(),
        serving: Vec::new(),
        terms: Vec::new(),
        published: None,
    }
}
