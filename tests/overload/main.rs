//! Producers that send ten times what consumers take. A queue stays within its limits, and so does
//! the memory of its node; and what became of each message is known. A binary of its own: it counts
//! what the process allocates.

#[allow(dead_code, reason = "the tests of the broker use the rest")]
#[path = "../broker/harness.rs"]
mod harness;

use minicbor::Decoder;
use minicbor::data::Type;
use peak_alloc::PeakAlloc;

use tabmq::error::Code;
use tabmq::id::{ConsumerId, RequestId, Sequence, SubscriptionId};
use tabmq::limits::Limits;
use tabmq::options::{ConsumeOptions, Overflow, QueueOptions};
use tabmq::wire::frame::{Delivery, Settlement};
use tabmq::wire::{Frame, Message};

use crate::harness::{Bench, Peer, item};

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

const SENDS: u32 = 20_000;
const MESSAGES_MAX: u64 = 200;
const BODY_BYTES: usize = 500;
const BYTES_MAX: u64 = 100_000;
/// Messages sent for each that is taken.
const TIMES: u32 = 10;

/// What became of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    Refused,
    Processed,
    Dropped,
    Dead,
    Left,
}

struct Books {
    fates: Vec<Option<Fate>>,
    /// The message of each number, in their order: a stored message has the next number.
    stored: Vec<u32>,
}

impl Books {
    fn end(&mut self, id: u32, fate: Fate) {
        let known = self.fates[id as usize].replace(fate);
        assert_eq!(known, None, "{id} ends twice, last as {fate:?}");
    }

    fn count(&self, fate: Fate) -> u64 {
        self.fates.iter().filter(|known| **known == Some(fate)).count() as u64
    }
}

fn id_of(delivery: &Delivery<'_>) -> u32 {
    u32::from_be_bytes(delivery.body[..4].try_into().expect("a body begins with its id"))
}

/// The number that an advisory tells of.
fn number_of(advisory: &[u8]) -> Option<u64> {
    let mut decoder = Decoder::new(advisory);
    for _ in 0..decoder.map().ok()?? {
        let key = decoder.str().ok()?;
        match decoder.datatype().ok()? {
            Type::String => drop(decoder.str().ok()?),
            _ if key == "number" => return decoder.u64().ok(),
            _ => drop(decoder.u64().ok()?),
        }
    }
    None
}

fn hear(bench: &mut Bench, peer: &Peer, mut frame: impl FnMut(&Frame<'_>)) {
    for bytes in bench.take_messages(peer) {
        let message = Message::parse(&bytes).expect("the node writes transport messages");
        for told in message.frames() {
            frame(&told.expect("the node writes frames"));
        }
    }
}

struct Overload {
    bench: Bench,
    producer: Peer,
    worker: Peer,
    gravedigger: Peer,
    listener: Peer,
    refusals_seen: Sequence,
    books: Books,
}

impl Overload {
    fn new(options: QueueOptions) -> Self {
        let limits = Limits {
            checkpoint_bytes_min: 64 << 10,
            resident_bytes_max: 256 << 10,
            chunk_bytes_max: 16 << 10,
            advisories_max: u32::MAX,
            ..Limits::default()
        };
        let mut bench = Bench::with(limits);
        bench.pass_ms(bench.limits.settle_ms);
        let mut producer = bench.join(1);
        let request = RequestId(1);
        bench.say(&mut producer, &[Frame::Declare { request, queue: "jobs", options }]);
        let mut gravedigger = bench.join(3);
        let (consumer, options) = (ConsumerId(1), ConsumeOptions::new(64, 1 << 20));
        let consume = Frame::Consume { consumer, queue: "jobs.dead", options };
        bench.say(&mut gravedigger, &[consume]);
        let mut listener = bench.join(4);
        let (subscription, filter) = (SubscriptionId(1), "$tabmq.queue.discarded.#");
        bench.say(&mut listener, &[Frame::JoinGroup { subscription, filter, group: "" }]);
        let worker = bench.join(2);
        let books = Books { fates: vec![None; SENDS as usize], stored: Vec::new() };
        let refusals_seen = Sequence(0);
        Self { bench, producer, worker, gravedigger, listener, refusals_seen, books }
    }

    fn send(&mut self, id: u32) {
        let mut body = vec![7; BODY_BYTES];
        body[..4].copy_from_slice(&id.to_be_bytes());
        let (sequence, refusals_seen) = (self.producer.next, self.refusals_seen);
        self.producer.next = sequence.next();
        let (queue, durability, items) = ("jobs", None, vec![item(&body)]);
        let send = Frame::Send { sequence, queue, refusals_seen, durability, items };
        self.bench.say(&mut self.producer, &[send]);
        let mut refused = false;
        hear(&mut self.bench, &self.producer, |frame| {
            if let Frame::SendRefused { sequence: of, code, .. } = frame {
                assert_eq!((*of, *code), (sequence, Code::Full));
                refused = true;
            }
        });
        if refused {
            self.refusals_seen = sequence;
            self.books.end(id, Fate::Refused);
        } else {
            self.books.stored.push(id);
        }
    }

    /// The worker takes one message and is done with it.
    fn take(&mut self) {
        let (consumer, options) = (ConsumerId(1), ConsumeOptions::new(1, 1 << 20));
        let consume = Frame::Consume { consumer, queue: "jobs", options };
        self.bench.say(&mut self.worker, &[consume]);
        let mut taken = Vec::new();
        hear(&mut self.bench, &self.worker, |frame| {
            if let Frame::Deliver(delivery) = frame {
                taken.push((delivery.lease, id_of(delivery)));
            }
        });
        assert_eq!(taken.len(), 1);
        self.bench.say(&mut self.worker, &[Frame::CancelConsumer { consumer }]);
        self.settle(&taken, Fate::Processed);
    }

    fn settle(&mut self, taken: &[(tabmq::id::LeaseNumber, u32)], fate: Fate) {
        let peer = if fate == Fate::Dead { &mut self.gravedigger } else { &mut self.worker };
        for (lease, id) in taken {
            let (lease, settlement) = (*lease, Settlement::Ack { value: None });
            self.bench.say(peer, &[Frame::Settle { lease, settlement }]);
            self.books.end(*id, fate);
        }
    }

    /// Dead letters are taken as they come, so that they do not count for memory.
    fn bury(&mut self) {
        loop {
            let mut dead = Vec::new();
            hear(&mut self.bench, &self.gravedigger, |frame| {
                if let Frame::Deliver(delivery) = frame {
                    assert_eq!(delivery.dead_reason, Some("overflow"));
                    dead.push((delivery.lease, id_of(delivery)));
                }
            });
            if dead.is_empty() {
                return;
            }
            self.settle(&dead, Fate::Dead);
        }
    }

    fn hear_of_dropped(&mut self) {
        let mut numbers = Vec::new();
        hear(&mut self.bench, &self.listener, |frame| {
            if let Frame::GroupMessage { live, .. } = frame {
                numbers.push(number_of(live.body).expect("an advisory names its message"));
            }
        });
        for number in numbers {
            let place = usize::try_from(number - 1).expect("a number of this test");
            let id = self.books.stored[place];
            self.books.end(id, Fate::Dropped);
        }
    }

    /// The queue is within its limits, whatever was asked of it.
    fn check_limits(&self, options: &QueueOptions) {
        let state = self.bench.node.broker().expect("a node that serves").state();
        let queue = state.queue_named("jobs").and_then(|id| state.queues.get(&id));
        let queue = queue.expect("it was declared");
        assert!(queue.messages() <= options.messages_max.unwrap_or(u64::MAX));
        assert!(queue.bytes() <= options.bytes_max.unwrap_or(u64::MAX));
    }
}

fn overload(options: &QueueOptions) {
    let mut run = Overload::new(options.clone());
    let mut early = None;
    for id in 0..SENDS {
        run.send(id);
        run.check_limits(options);
        if id % TIMES == TIMES - 1 {
            run.take();
            run.bury();
            run.hear_of_dropped();
            run.check_limits(options);
            run.bench.forget_all();
        }
        // The log grows and shrinks between checkpoints, so it is the peaks that are compared.
        if id == SENDS / 5 {
            ALLOCATED.reset_peak_usage();
        } else if id == SENDS * 3 / 5 {
            early = Some(ALLOCATED.peak_usage());
            ALLOCATED.reset_peak_usage();
        }
    }
    let late = ALLOCATED.peak_usage();
    let early = early.expect("taken on the way");
    // The list of numbers that this test keeps is in it: four bytes a message, and room to grow.
    let books = SENDS as usize * 8;
    assert!(late < early + early / 10 + books, "at most {early} bytes before, {late} at the end");

    let broker = run.bench.node.broker().expect("a node that serves");
    let state = broker.state();
    let queue = state.queue_named("jobs").and_then(|id| state.queues.get(&id));
    let counts = queue.expect("it was declared").counts();
    for number in queue.expect("it was declared").ready().map(|(number, _)| number) {
        let place = usize::try_from(number.0 - 1).expect("a number of this test");
        run.books.end(run.books.stored[place], Fate::Left);
    }
    assert!(run.books.fates.iter().all(Option::is_some), "every message ends one way");
    let told = [Fate::Processed, Fate::Dropped, Fate::Dead, Fate::Left, Fate::Refused];
    let told = told.map(|fate| run.books.count(fate));
    let refused = u64::from(SENDS) - counts.sent_total;
    let known = [
        counts.acked_total,
        counts.discarded_total,
        counts.dead_lettered_total,
        counts.ready,
        refused,
    ];
    assert_eq!(told, known);
    assert_eq!(counts.acked_total, u64::from(SENDS / TIMES));
    let shed = match options.overflow {
        Some(Overflow::DropOldest) => told[1],
        Some(Overflow::DeadLetter) => told[2],
        _ => told[4],
    };
    assert_eq!(shed, u64::from(SENDS) - counts.acked_total - counts.ready);
}

/// One after the other: memory is counted for the whole process.
#[test]
fn ten_times_overload_stays_within_limits_and_accounts_for_every_message() {
    for overflow in [Overflow::Reject, Overflow::DropOldest, Overflow::DeadLetter] {
        let overflow = Some(overflow);
        let (messages_max, bytes_max) = (Some(MESSAGES_MAX), Some(BYTES_MAX));
        overload(&QueueOptions { messages_max, overflow, ..QueueOptions::default() });
        overload(&QueueOptions { bytes_max, overflow, ..QueueOptions::default() });
    }
}
