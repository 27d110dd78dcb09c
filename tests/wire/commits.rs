//! Frames of transactions.

use tabmq::id::{LeaseNumber, Sequence};
use tabmq::options::Durability;
use tabmq::wire::Frame;
use tabmq::wire::frame::{Acked, Item, Staged};

use crate::frames::Dice;
use crate::golden::{FIVE, Golden};

pub fn goldens() -> Vec<Golden> {
    let item = Item {
        body: FIVE,
        properties: None,
        delay_ms: None,
        track: None,
        past: None,
        ttl_ms: None,
        priority: None,
        prepare: None,
    };
    let acked = Acked { lease: LeaseNumber(7), value: Some(FIVE) };
    vec![
        (
            "commit",
            "two messages, and a delivery that is done with 5",
            Frame::Commit {
                sequence: Sequence(4),
                refusals_seen: Sequence(0),
                durability: None,
                writes: vec![
                    Staged { queue: "jobs", items: vec![item] },
                    Staged { queue: "log", items: vec![item] },
                ],
                acks: vec![acked],
            },
        ),
        (
            "commit-acks",
            "a delivery is done, and nothing is written",
            Frame::Commit {
                sequence: Sequence(5),
                refusals_seen: Sequence(3),
                durability: Some(Durability::Strict),
                writes: vec![],
                acks: vec![Acked { value: None, ..acked }],
            },
        ),
    ]
}

pub fn commit_frame<'a>(dice: &mut Dice<'a>) -> Frame<'a> {
    let staged = |dice: &mut Dice<'a>| Staged { queue: dice.text(), items: dice.list(Dice::item) };
    let acked = |dice: &mut Dice<'a>| {
        let lease = LeaseNumber(dice.number());
        Acked { lease, value: dice.maybe(Dice::bytes) }
    };
    Frame::Commit {
        sequence: Sequence(dice.number()),
        refusals_seen: Sequence(dice.number()),
        durability: dice.maybe(Dice::durability),
        writes: dice.list(staged),
        acks: dice.list(acked),
    }
}
