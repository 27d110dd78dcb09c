//! Many producers that come and go. Their number must not show in the memory of a node, and none
//! of their messages is stored twice or lost. A binary of its own: it counts what the process
//! allocates.

#[allow(dead_code, reason = "the tests of the broker use the rest")]
#[path = "../broker/harness.rs"]
mod harness;

use peak_alloc::PeakAlloc;

use tabmq::broker::io::Input;
use tabmq::id::{ClientId, ConsumerId, Sequence};
use tabmq::limits::Limits;
use tabmq::options::ConsumeOptions;
use tabmq::wire::frame::Settlement;
use tabmq::wire::{Frame, Message};

use crate::harness::{Bench, Peer, item};

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

const PRODUCERS: u32 = 100_000;

/// Small, so that it is reached long before the end.
const LANES_MAX: u32 = 500;

/// Shows each frame that the peer was told since it last looked.
fn hear(bench: &mut Bench, peer: &Peer, mut frame: impl FnMut(&Frame<'_>)) {
    for bytes in bench.take_messages(peer) {
        let message = Message::parse(&bytes).expect("the node writes transport messages");
        for told in message.frames() {
            frame(&told.expect("the node writes frames"));
        }
    }
}

/// One producer sends a message twice, as if the first confirmation had been lost, and leaves.
fn come_and_go(bench: &mut Bench, number: u32) {
    let mut id = [0; 16];
    id[..4].copy_from_slice(&number.to_be_bytes());
    let mut producer = bench.dial_as(ClientId(id), |hello| hello.fresh = true);
    let body = number.to_be_bytes();
    for _ in 0..2 {
        let (sequence, refusals_seen, durability) = (Sequence(1), Sequence(0), None);
        let (queue, items) = ("work", vec![item(&body)]);
        let send = Frame::Send { sequence, queue, refusals_seen, durability, items };
        bench.say(&mut producer, &[send]);
    }
    let mut confirmed = 0;
    hear(bench, &producer, |frame| {
        confirmed += u32::from(*frame == Frame::Sent { position: Sequence(1) });
    });
    assert_eq!(confirmed, 2);
    if number.is_multiple_of(3) {
        bench.say(&mut producer, &[Frame::Goodbye { park: false }]);
    } else {
        // Closed without a word, so its lane stays behind.
        bench.input(Input::Gone { client: ClientId(id) });
    }
}

/// Settles what was delivered, and counts it.
fn work_off(bench: &mut Bench, worker: &mut Peer, seen: &mut [u8]) {
    loop {
        let mut leases = Vec::new();
        hear(bench, worker, |frame| {
            if let Frame::Deliver(delivery) = frame {
                let number = u32::from_be_bytes(delivery.body.try_into().expect("a number"));
                seen[number as usize] += 1;
                leases.push(delivery.lease);
            }
        });
        if leases.is_empty() {
            return;
        }
        for lease in leases {
            bench.say(
                worker,
                &[Frame::Settle { lease, settlement: Settlement::Ack { value: None } }],
            );
        }
    }
}

#[test]
fn memory_stays_flat_over_a_hundred_thousand_producers() {
    let limits = Limits {
        lanes_max: LANES_MAX,
        checkpoint_bytes_min: 64 << 10,
        resident_bytes_max: 256 << 10,
        chunk_bytes_max: 16 << 10,
        ..Limits::default()
    };
    let mut bench = Bench::with(limits);
    bench.pass_ms(bench.limits.settle_ms);
    let mut worker = bench.join(2);
    let (consumer, queue) = (ConsumerId(1), "work");
    let options = ConsumeOptions::new(64, 1 << 20);
    bench.say(&mut worker, &[Frame::Consume { consumer, queue, options }]);
    let mut seen = vec![0_u8; PRODUCERS as usize];
    let mut early = None;
    for number in 0..PRODUCERS {
        come_and_go(&mut bench, number);
        work_off(&mut bench, &mut worker, &mut seen);
        bench.forget_all();
        if number == PRODUCERS / 10 {
            early = Some(ALLOCATED.current_usage());
        }
    }
    let late = ALLOCATED.current_usage();
    assert!(seen.iter().all(|times| *times == 1), "each message is worked off once");
    let state = bench.node.broker().expect("a node that serves").state();
    assert!(state.lanes.len() <= LANES_MAX as usize);
    let early = early.expect("taken on the way");
    assert!(late < early + early / 10, "{early} bytes after a tenth, {late} at the end");
}
