//! What one message costs the broker: stored, leased, settled, over a store in memory.

use divan::counter::ItemsCount;

use tabmq::broker::io::{Input, Output};
use tabmq::id::{ClientId, ConnId, ConsumerId, Epoch, LaneId, LeaseNumber, LinkNonce, Sequence};
use tabmq::limits::Limits;
use tabmq::log::MemoryStore;
use tabmq::node::{Node, NodeConfig};
use tabmq::options::ConsumeOptions;
use tabmq::options::Durability;
use tabmq::rules::Rules;
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
    conn: ConnId,
    position: u64,
    leases: Vec<LeaseNumber>,
}

impl Bench {
    fn new() -> Self {
        let storage =
            StorageReport { persistent: false, fenced: false, durability_max: Durability::Memory };
        let limits = Limits::default();
        let config = NodeConfig { limits, rules: Rules::ON, storage, heard: Epoch::default() };
        let mut node = Node::new(config, [1; 32], NOW);
        let mut store = MemoryStore::default();
        drain(&mut node, &mut store, &mut Vec::new());
        let conn = node.accept(NOW);
        let mut bench = Self { node, store, conn, position: 0, leases: Vec::new() };
        bench.say(&[Frame::Hello(hello())]);
        bench
    }

    fn say(&mut self, frames: &[Frame<'_>]) {
        let mut writer = MessageWriter::new(1 << 20);
        for frame in frames {
            writer.push(frame);
        }
        let (client, link, epoch) = (ClientId([1; 16]), LinkNonce(1), Epoch::default());
        while let Some(bytes) = writer.take_message(|| {
            self.position += 1;
            Envelope { epoch, client, link, position: self.position }
        }) {
            self.node.handle_input(NOW, Input::Received { conn: self.conn, bytes: &bytes });
            drain(&mut self.node, &mut self.store, &mut self.leases);
        }
    }

    fn send_all(&mut self, body: &[u8]) {
        for batch in 0..MESSAGES / BATCH {
            let send = |index| Frame::Send {
                sequence: Sequence(batch * BATCH + index + 1),
                queue: "work",
                refusals_seen: Sequence(0),
                durability: None,
                items: vec![Item { body, properties: None, delay_ms: None, track: None }],
            };
            self.say(&(0..BATCH).map(send).collect::<Vec<_>>());
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

fn drain(node: &mut Node, store: &mut MemoryStore, leases: &mut Vec<LeaseNumber>) {
    loop {
        match node.poll_output() {
            Output::Storage { op, action } => {
                let result = store.perform(&action);
                node.handle_input(NOW, Input::Stored { op, result });
            }
            Output::Transmit { bytes, .. } => {
                let message = Message::parse(&bytes).unwrap();
                leases.extend(message.frames().filter_map(|frame| match frame {
                    Ok(Frame::Deliver(delivery)) => Some(delivery.lease),
                    _ => None,
                }));
            }
            Output::Idle { .. } => return,
            _ => {}
        }
    }
}

#[divan::bench]
fn send_100_bytes(bencher: divan::Bencher<'_, '_>) {
    bencher
        .counter(ItemsCount::new(MESSAGES))
        .with_inputs(Bench::new)
        .bench_local_values(|mut bench| bench.send_all(&[7; 100]));
}

#[divan::bench]
fn deliver_and_settle_100_bytes(bencher: divan::Bencher<'_, '_>) {
    bencher
        .counter(ItemsCount::new(MESSAGES))
        .with_inputs(|| {
            let mut bench = Bench::new();
            bench.send_all(&[7; 100]);
            bench
        })
        .bench_local_values(|mut bench| bench.settle_all());
}
