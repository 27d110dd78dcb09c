//! Golden frames that concern queues as a whole.

use tabmq::error::Code;
use tabmq::id::{LaneId, LeaseNumber, MessageNumber, QueueId, RequestId, Sequence};
use tabmq::time::UnixMillis;
use tabmq::wire::Frame;
use tabmq::wire::frame::{Browse, QueueMessage, QueuePlace, Tracking};

use crate::frames::Dice;
use crate::golden::{FIVE, Golden};

pub fn goldens() -> Vec<Golden> {
    let request = RequestId(1);
    let browse = Browse {
        after: MessageNumber(0),
        messages_max: 50,
        delayed: true,
        leased: false,
        headers_only: false,
    };
    let delayed = QueueMessage {
        number: MessageNumber(9),
        place: QueuePlace::Delayed,
        attempts: 1,
        lane: LaneId(3),
        sequence: Sequence(4),
        index: 0,
        stored_at: UnixMillis(1_790_000_000_000),
        due_at: Some(UnixMillis(1_790_000_060_000)),
        body_bytes: 1,
        body: FIVE,
        properties: None,
        dead_reason: None,
        deaths: None,
        expires_at: Some(UnixMillis(1_790_000_090_000)),
        sender: None,
        priority: Some(3),
    };
    let (queue, id) = ("jobs", QueueId(2));
    let messages = vec![delayed];
    let outcome = Tracking::Processed { value: Some(FIVE) };
    let failed = Tracking::Failed { code: Code::DeadLettered, reason: "rejected" };
    vec![
        (
            "pause",
            "for a second",
            Frame::Pause { request, queue, paused: true, for_ms: Some(1000) },
        ),
        ("purge", "up to 12", Frame::Purge { request, queue, through: MessageNumber(12) }),
        (
            "delete-queue",
            "if it has no messages",
            Frame::DeleteQueue { request, queue, id, if_unused: false, if_empty: true },
        ),
        ("browse", "the first page", Frame::Browse { request, queue, browse }),
        ("browsed", "one delayed message", Frame::Browsed { request, messages, more: false }),
        ("counted", "3 went", Frame::Counted { request, count: 3 }),
        ("track", "the end", Frame::Track { request, queue, id: "3-4-0", processed: true }),
        ("tracked", "processed with 5", Frame::Tracked { request, outcome }),
        ("tracked-failed", "", Frame::Tracked { request, outcome: failed }),
        ("progress", "", Frame::Progress { lease: LeaseNumber(7), value: FIVE }),
        ("progressed", "", Frame::Progressed { request, value: FIVE }),
        ("queue-deleted", "", Frame::QueueDeleted { queue }),
    ]
}

pub fn browse(dice: &mut Dice<'_>) -> Browse {
    Browse {
        after: MessageNumber(dice.number()),
        messages_max: dice.short(),
        delayed: dice.flag(),
        leased: dice.flag(),
        headers_only: dice.flag(),
    }
}

pub fn queue_message<'a>(dice: &mut Dice<'a>) -> QueueMessage<'a> {
    QueueMessage {
        number: MessageNumber(dice.number()),
        place: if dice.flag() { QueuePlace::Ready } else { QueuePlace::Leased },
        attempts: dice.short(),
        lane: LaneId(dice.number()),
        sequence: Sequence(dice.number()),
        index: dice.short(),
        stored_at: UnixMillis(dice.number()),
        due_at: dice.maybe(|dice| UnixMillis(dice.number())),
        body_bytes: dice.short(),
        body: dice.bytes(),
        properties: dice.maybe(Dice::bytes),
        dead_reason: dice.maybe(Dice::text),
        deaths: dice.maybe(Dice::bytes),
        expires_at: dice.maybe(|dice| UnixMillis(dice.number())),
        sender: dice.maybe(Dice::client),
        priority: dice.maybe(Dice::short),
    }
}
