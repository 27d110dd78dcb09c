//! Frames of schedules.

use tabmq::id::{MessageNumber, RequestId, Sequence};
use tabmq::time::UnixMillis;
use tabmq::wire::Frame;
use tabmq::wire::frame::{Firing, Item, ScheduleEntry, Scheduling, When};

use crate::frames::Dice;
use crate::golden::{FIVE, Golden};

const AT: UnixMillis = UnixMillis(1_764_000_000_000);

pub fn goldens() -> Vec<Golden> {
    let (request, number) = (RequestId(1), MessageNumber(9));
    let (properties, delay_ms, track) = (None, None, None);
    let item = Item {
        body: FIVE,
        properties,
        delay_ms,
        track,
        past: None,
        ttl_ms: None,
        priority: None,
        prepare: None,
    };
    let when = When::Cron { cron: "30 2 * * *", zone: Some("Europe/Berlin") };
    let schedule = |when| Frame::Schedule {
        sequence: Sequence(4),
        queue: "jobs",
        refusals_seen: Sequence(0),
        durability: None,
        scheduling: Scheduling { key: "nightly", when, item, latest: None },
    };
    let last = Some(Firing { due_at: AT, at: UnixMillis(AT.0 + 3), count: 2 });
    let nothing = Item { body: b"", ..item };
    let every = When::Every { every_ms: 5000 };
    let sampling = Scheduling { key: "thin", when: every, item: nothing, latest: Some("price.eu") };
    let entry =
        ScheduleEntry { key: "nightly", number, when, due_at: Some(AT), last, latest: None };
    let samples =
        ScheduleEntry { key: "thin", when: every, last: None, latest: sampling.latest, ..entry };
    vec![
        ("schedule-cron", "5 each night in Berlin", schedule(when)),
        ("schedule-every", "5 each minute", schedule(When::Every { every_ms: 60_000 })),
        ("schedule-at", "5 once", schedule(When::At { at: AT })),
        (
            "schedule-latest",
            "the newest value of a topic, every five seconds",
            Frame::Schedule {
                sequence: Sequence(5),
                queue: "jobs",
                refusals_seen: Sequence(0),
                durability: None,
                scheduling: sampling,
            },
        ),
        ("unschedule", "it ends", Frame::Unschedule { request, queue: "jobs", number }),
        (
            "list-schedules",
            "those behind a key",
            Frame::ListSchedules { request, queue: "jobs", after: Some("daily") },
        ),
        (
            "schedule-list",
            "one schedule, which was due twice",
            Frame::ScheduleList { request, schedules: vec![entry], more: false },
        ),
        (
            "schedule-list-latest",
            "one schedule, which samples a topic",
            Frame::ScheduleList { request, schedules: vec![samples], more: false },
        ),
    ]
}

fn when<'a>(dice: &mut Dice<'a>) -> When<'a> {
    if dice.flag() {
        When::Cron { cron: dice.text(), zone: dice.maybe(Dice::text) }
    } else if dice.flag() {
        When::Every { every_ms: dice.number() }
    } else {
        When::At { at: UnixMillis(dice.number()) }
    }
}

fn entry<'a>(dice: &mut Dice<'a>) -> ScheduleEntry<'a> {
    let unix = |dice: &mut Dice<'a>| UnixMillis(dice.number());
    let firing =
        |dice: &mut Dice<'a>| Firing { due_at: unix(dice), at: unix(dice), count: dice.number() };
    ScheduleEntry {
        key: dice.text(),
        number: MessageNumber(dice.number()),
        when: when(dice),
        due_at: dice.maybe(unix),
        last: dice.maybe(firing),
        latest: dice.maybe(Dice::text),
    }
}

pub fn schedule_frame<'a>(dice: &mut Dice<'a>, tag: u64) -> Option<Frame<'a>> {
    let request = RequestId(dice.short());
    Some(match tag {
        78 => Frame::Schedule {
            sequence: Sequence(dice.number()),
            queue: dice.text(),
            refusals_seen: Sequence(dice.number()),
            durability: dice.maybe(Dice::durability),
            scheduling: Scheduling {
                key: dice.text(),
                when: when(dice),
                item: dice.item(),
                latest: dice.maybe(Dice::text),
            },
        },
        79 => {
            let number = MessageNumber(dice.number());
            Frame::Unschedule { request, queue: dice.text(), number }
        }
        80 => Frame::ListSchedules { request, queue: dice.text(), after: dice.maybe(Dice::text) },
        81 => Frame::ScheduleList { request, schedules: dice.list(entry), more: dice.flag() },
        _ => return None,
    })
}
