//! Golden frames that concern deaths and what is done about them.

use tabmq::cbor::encode;
use tabmq::id::{ConsumerId, LaneId, LeaseNumber, MessageNumber, RequestId, Sequence};
use tabmq::options::{Backoff, QueueOptions};
use tabmq::time::UnixMillis;
use tabmq::wire::Frame;
use tabmq::wire::frame::{Death, Delivery, Filter, History, Reason, Redrive, Task};

use crate::frames::Dice;
use crate::golden::{FIVE, Golden};

pub fn goldens() -> Vec<Golden> {
    let request = RequestId(1);
    let all = Redrive { queue: Some("jobs.dead"), ..Redrive::default() };
    vec![
        (
            "declare-ladder",
            "waits of 1 s, 10 s and then 1 min each time",
            Frame::Declare { request, queue: "jobs", options: ladder() },
        ),
        (
            "deliver-dead",
            "a dead letter, rejected as busy after it was moved back from overflow",
            Frame::Deliver(dead_letter()),
        ),
        ("redrive", "all go back to where they died", Frame::Redrive { request, redrive: all }),
        (
            "redrive-some",
            "at most 50 that fit, ten a second, into another queue",
            Frame::Redrive { request, redrive: some() },
        ),
        (
            "redrive-discard",
            "one message goes away",
            Frame::Redrive { request, redrive: discard() },
        ),
        ("end-redrive", "its count is known, or nobody waits", Frame::EndRedrive { request }),
    ]
}

fn some() -> Redrive<'static> {
    let filter = Filter {
        reason: Some(Reason::DeliveriesMax),
        queue: Some("jobs"),
        numbers: None,
        ids: Some(vec!["3-41-0", "order-7"]),
        headers: Some(&[0xa1, 0x61, b'a', 1]),
    };
    Redrive {
        queue: None,
        into: Some("jobs.again"),
        filter: Some(filter),
        every_us: Some(100_000),
        messages_max: Some(50),
        task: None,
    }
}

fn discard() -> Redrive<'static> {
    let filter = Filter { numbers: Some(vec![MessageNumber(12)]), ..Filter::default() };
    Redrive {
        queue: Some("jobs"),
        filter: Some(filter),
        task: Some(Task::Discard),
        ..Redrive::default()
    }
}

fn ladder() -> QueueOptions {
    let backoff = Backoff {
        first_ms: 0,
        factor_percent: 100,
        wait_ms_max: 60_000,
        jitter_percent: 0,
        step_ms: None,
        ladder_ms: Some(vec![1000, 10_000, 60_000]),
    };
    QueueOptions { backoff: Some(backoff), ..QueueOptions::default() }
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
        sender: None,
        priority: Some(1),
    }
}

/// A frame of any kind that belongs here.
pub fn failure_frame<'a>(dice: &mut Dice<'a>, tag: u64) -> Frame<'a> {
    let request = RequestId(dice.short());
    match tag {
        63 => Frame::Redrive { request, redrive: redrive(dice) },
        _ => Frame::EndRedrive { request },
    }
}

fn redrive<'a>(dice: &mut Dice<'a>) -> Redrive<'a> {
    Redrive {
        queue: dice.maybe(Dice::text),
        into: dice.maybe(Dice::text),
        filter: dice.maybe(|dice| Filter {
            reason: dice.flag().then_some(Reason::LeaseLost),
            queue: dice.maybe(Dice::text),
            numbers: dice.maybe(|dice| dice.list(|dice| MessageNumber(dice.number()))),
            ids: dice.maybe(|dice| dice.list(Dice::text)),
            headers: dice.maybe(Dice::bytes),
        }),
        every_us: dice.maybe(Dice::number),
        messages_max: dice.maybe(Dice::number),
        task: dice.maybe(|dice| if dice.flag() { Task::Move } else { Task::Cancel }),
    }
}
