//! Golden frames that concern what producers are told.

use tabmq::id::{ClientId, ConsumerId, LaneId, LeaseNumber, MessageNumber, RequestId, Sequence};
use tabmq::options::QueueOptions;
use tabmq::time::UnixMillis;
use tabmq::wire::Frame;
use tabmq::wire::frame::{Delivery, Duplicate};

use crate::frames::Dice;
use crate::golden::{FIVE, Golden};

pub fn goldens() -> Vec<Golden> {
    let options = QueueOptions { dedupe_ms: Some(120_000), ..QueueOptions::default() };
    let items = vec![Duplicate { index: 0, number: MessageNumber(900) }];
    vec![
        (
            "declare-dedupe",
            "ids are remembered for 2 min",
            Frame::Declare { request: RequestId(1), queue: "jobs", options },
        ),
        (
            "duplicates",
            "the first item of send 41 repeats message 900",
            Frame::Duplicates { sequence: Sequence(41), items },
        ),
        ("ingest", "the client wants to know", Frame::Ingest { on: true }),
        ("window", "256 items may be under way", Frame::Window { items: 256 }),
        ("deliver-from", "with its sender", Frame::Deliver(delivery())),
    ]
}

fn delivery() -> Delivery<'static> {
    Delivery {
        consumer: ConsumerId(4),
        lease: LeaseNumber(300),
        attempt: 1,
        number: MessageNumber(1000),
        lane: LaneId(3),
        sequence: Sequence(41),
        index: 1,
        stored_at: UnixMillis(1_764_000_000_000),
        lease_ms: 30_000,
        body: FIVE,
        properties: None,
        dead_reason: None,
        body_bytes: None,
        tracked: None,
        deaths: None,
        sender: Some(ClientId([0x11; 16])),
        priority: None,
    }
}

/// A frame of any kind that belongs here.
pub fn publishing_frame<'a>(dice: &mut Dice<'a>, tag: u64) -> Frame<'a> {
    match tag {
        75 => Frame::Duplicates {
            sequence: Sequence(dice.number()),
            items: dice.list(|dice| Duplicate {
                index: dice.short(),
                number: MessageNumber(dice.number()),
            }),
        },
        76 => Frame::Ingest { on: dice.flag() },
        _ => Frame::Window { items: dice.short() },
    }
}
