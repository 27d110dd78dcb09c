//! Golden frames that concern deaths and what is done about them.

use tabmq::cbor::encode;
use tabmq::id::{ConsumerId, LaneId, LeaseNumber, MessageNumber, Sequence};
use tabmq::time::UnixMillis;
use tabmq::wire::Frame;
use tabmq::wire::frame::{Death, Delivery, History, Reason};

use crate::golden::{FIVE, Golden};

pub fn goldens() -> Vec<Golden> {
    vec![(
        "deliver-dead",
        "a dead letter, rejected as busy after it was moved back from overflow",
        Frame::Deliver(dead_letter()),
    )]
}

fn dead_letter() -> Delivery<'static> {
    let overflow = Death {
        queue: "jobs",
        reason: Reason::Overflow,
        count: 2,
        attempts: 0,
        first_at: UnixMillis(1_764_000_000_000),
        last_at: UnixMillis(1_764_000_003_000),
        note: None,
    };
    let rejected = Death {
        reason: Reason::Rejected,
        count: 1,
        attempts: 3,
        first_at: UnixMillis(1_764_000_007_000),
        last_at: UnixMillis(1_764_000_007_000),
        note: Some("busy"),
        ..overflow
    };
    let mut history = Vec::new();
    encode(&History { recent: 1, deaths: vec![rejected, overflow] }, &mut history);
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
        dead_reason: Some("busy"),
        body_bytes: None,
        tracked: None,
        deaths: Some(history.leak()),
    }
}
