//! What one message costs the broker: stored, leased, settled, over a store in memory.

use std::collections::BTreeMap;

use divan::counter::ItemsCount;

use tabmq::broker::io::{Input, Output};
use tabmq::id::{ClientId, ConnId, ConsumerId, Epoch, LaneId, LeaseNumber, LinkNonce, Sequence};
use tabmq::limits::Limits;
use tabmq::log::MemoryStore;
use tabmq::node::{Node, NodeConfig};
use tabmq::options::ConsumeOptions;
use tabmq::options::Durability;
use tabmq::rules::Rules;
use tabmq::store::{Key, StorageAction};
use tabmq::time::{Instant, Now, UnixMillis};
use tabmq::wire::frame::{Hello, Item, Settlement, StorageReport};
use tabmq::wire::{Envelope, Frame, Message, MessageWriter};

fn main() {
    divan::main();
}

const MESSAGES: u64 = 10_000;
/// Messages in one transport message, as a busy tab would batch them.
const BATCH: u64 = 100;
const NOW: Now = Now { mono: Instant(1), unix: UnixMillis(1_700_000_000_000) };

struct Bench {
    node: Node,
    store: MemoryStore,
    /// The lengths of what is stored.
    stored: BTreeMap<Key, usize>,
    conn: ConnId,
    position: u64,
    sequence: u64,
    leases: Vec<LeaseNumber>,
}

impl Bench {
    fn new() -> Self {
        let storage =
            StorageReport { persistent: false, fenced: false, durability_max: Durability::Memory };
        let limits = Limits::default();
        let config = NodeConfig { limits, rules: Rules::ON, storage, heard: Epoch::default() };
        let node = Node::new(config, [1; 32], NOW);
        let (store, stored, conn) = (MemoryStore::default(), BTreeMap::new(), ConnId(0));
        let (position, sequence, leases) = (0, 0, Vec::new());
        let mut bench = Self { node, store, stored, conn, position, sequence, leases };
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

    fn send_all(&mut self, queue: &str, messages: u64, body: &[u8]) {
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
                }],
            };
            let batch = BATCH.min(messages - sent);
            let frames: Vec<_> = (1..=batch).map(send).collect();
            self.sequence += batch;
            self.say(&frames);
        }
    }

    fn settle_all(&mut self) {
        let (consumer, queue) = (ConsumerId(1), "work");
        let options = ConsumeOptions::new(u32::try_from(BATCH).unwrap(), 1 << 20);
        self.say(&[Frame::Consume { consumer, queue, options }]);
        while !self.leases.is_empty() {
            let settle =
                |lease| Frame::Settle { lease, settlement: Settlement::Ack { value: None } };
            let frames: Vec<_> = self.leases.drain(..).map(settle).collect();
            self.say(&frames);
        }
    }

    fn drain(&mut self) {
        loop {
            match self.node.poll_output() {
                Output::Storage { op, action } => {
                    if let StorageAction::Commit { puts, deletes, .. } = &action {
                        self.stored.extend(puts.iter().map(|(key, bytes)| (*key, bytes.len())));
                        self.stored.retain(|key, _| !deletes.contains(key));
                    }
                    let result = self.store.perform(&action);
                    self.node.handle_input(NOW, Input::Stored { op, result });
                }
                Output::Transmit { bytes, .. } => {
                    let message = Message::parse(&bytes).unwrap();
                    self.leases.extend(message.frames().filter_map(|frame| match frame {
                        Ok(Frame::Deliver(delivery)) => Some(delivery.lease),
                        _ => None,
                    }));
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

#[divan::bench]
fn send_100_bytes(bencher: divan::Bencher<'_, '_>) {
    bencher
        .counter(ItemsCount::new(MESSAGES))
        .with_inputs(Bench::new)
        .bench_local_values(|mut bench| bench.send_all("work", MESSAGES, &[7; 100]));
}

#[divan::bench]
fn deliver_and_settle_100_bytes(bencher: divan::Bencher<'_, '_>) {
    bencher
        .counter(ItemsCount::new(MESSAGES))
        .with_inputs(|| {
            let mut bench = Bench::new();
            bench.send_all("work", MESSAGES, &[7; 100]);
            bench
        })
        .bench_local_values(|mut bench| bench.settle_all());
}

/// A million messages come and go, and one stays. What they leave behind is no more than before.
#[divan::bench(sample_count = 1)]
fn a_million_come_and_go(bencher: divan::Bencher<'_, '_>) {
    const ROUNDS: u64 = 1_000_000 / MESSAGES;
    const STORED_BYTES_MAX: usize = 4 << 20;
    let stays = |mut bench: Bench| {
        bench.send_all("old", 1, b"stays");
        bench
    };
    bencher
        .counter(ItemsCount::new(ROUNDS * MESSAGES))
        .with_inputs(|| stays(Bench::new()))
        .bench_local_values(|mut bench| {
            for _ in 0..ROUNDS {
                bench.send_all("work", MESSAGES, &[7; 100]);
                bench.settle_all();
            }
            let stored: usize = bench.stored.values().sum();
            assert!(stored <= STORED_BYTES_MAX, "{stored} bytes are stored");
        });
}
