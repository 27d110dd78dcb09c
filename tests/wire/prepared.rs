//! Frames of prepared messages.

use tabmq::error::Code;
use tabmq::id::{CheckerId, LaneId, MessageNumber, RequestId, Sequence};
use tabmq::time::UnixMillis;
use tabmq::wire::Frame;
use tabmq::wire::frame::{Item, Prepare, QueueMessage, QueuePlace};

use crate::frames::Dice;
use crate::golden::{FIVE, Golden};
use crate::operate::queue_message;

pub fn goldens() -> Vec<Golden> {
    let (checker, queue) = (CheckerId(2), "jobs");
    let item = Item {
        body: FIVE,
        properties: None,
        delay_ms: None,
        track: None,
        past: None,
        ttl_ms: None,
        priority: None,
        prepare: Some(Prepare { check_after_ms: Some(5000) }),
    };
    let asked = QueueMessage {
        number: MessageNumber(9),
        place: QueuePlace::Prepared,
        attempts: 1,
        lane: LaneId(3),
        sequence: Sequence(4),
        index: 0,
        stored_at: UnixMillis(1_790_000_000_000),
        due_at: None,
        body_bytes: 1,
        body: FIVE,
        properties: None,
        dead_reason: None,
        deaths: None,
        expires_at: None,
        sender: None,
        priority: None,
    };
    let send = Frame::Send {
        sequence: Sequence(4),
        queue,
        refusals_seen: Sequence(0),
        durability: None,
        items: vec![item],
    };
    let decide = |commit| Frame::Decide {
        request: RequestId(1),
        queue,
        id: "3-4-0",
        commit,
        durability: None,
    };
    let check = |message, refused| Frame::Check { checker, message, refused };
    vec![
        ("send-prepared", "5, which waits for a decision", send),
        ("decide-commit", "it is sent", decide(true)),
        ("decide-rollback", "it is gone", decide(false)),
        ("checker", "may be asked", Frame::Checker { checker, queue: Some(queue) }),
        ("checker-ends", "no more", Frame::Checker { checker, queue: None }),
        ("check", "5 is asked about for the first time", check(Some(asked), None)),
        ("check-taken", "may be asked from now on", check(None, None)),
        ("check-refused", "has too many", check(None, Some(Code::Full))),
    ]
}

pub fn prepared_frame<'a>(dice: &mut Dice<'a>, tag: u64) -> Option<Frame<'a>> {
    let checker = CheckerId(dice.short());
    Some(match tag {
        82 => Frame::Decide {
            request: RequestId(dice.short()),
            queue: dice.text(),
            id: dice.text(),
            commit: dice.flag(),
            durability: dice.maybe(Dice::durability),
        },
        83 => Frame::Checker { checker, queue: dice.maybe(Dice::text) },
        84 => Frame::Check {
            checker,
            message: dice.maybe(queue_message),
            refused: dice.maybe(Dice::code),
        },
        _ => return None,
    })
}
