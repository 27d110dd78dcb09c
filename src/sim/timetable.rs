//! Schedules in the simulation: the part of a user that orders them, a zone whose clocks change all
//! the time, and what the model knows of them.
//!
//! `due-is-fired-once`: a message of no lane is stored by one schedule, no earlier than that is
//! due, and with it when it is due next; that is the next of its times, and none is left out.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::cbor;
use crate::client::Client;
use crate::client::io::Event;
use crate::cron::Offset;
use crate::id::{MessageNumber, QueueId, RequestId};
use crate::log::Record;
use crate::log::record::StoredMessage;
use crate::sim::check::{Violation, violated};
use crate::sim::dice::{Dice, Ratio};
use crate::sim::expiry::ttl_ms_of;
use crate::sim::fact::{Ask, Tag};
use crate::sim::model::{Model, RECORDS};
use crate::sim::queues::{OWN_QUEUES, priority};
use crate::sim::user::TOPICS;
use crate::time::{Now, UnixMillis};
use crate::wire::frame::{Item, ScheduleEntry, Scheduling, When};

const ONCE: &str = "due-is-fired-once";

/// The zone that the hosts of the simulation know.
const ZONE: &str = "Sim/Toggling";
/// Its clocks go forward and back by half a minute, in turn.
const CHANGE_EVERY_S: u64 = 307;
const CHANGE_BY_S: i32 = 30;

/// Times of the simulation and what they mean: every so many seconds, at this one of them.
const CRONS: [(&str, i64, i64); 3] =
    [("*/20 * * * * *", 20, 0), ("7 * * * * *", 60, 7), ("5,15,25,35,45,55 * * * * *", 10, 5)];

/// Nothing that is published or scheduled is longer.
const BODY_BYTES_MAX: u64 = 10_000;

/// What a host tells of a zone.
#[must_use]
pub fn offsets(zone: &str, from: UnixMillis, until: UnixMillis) -> Vec<Offset> {
    if zone != ZONE {
        return Vec::new();
    }
    let mut found = Vec::from([Offset { from, ahead_s: ahead_s(from.0 / 1000) }]);
    let mut at_s = (from.0 / 1000 / CHANGE_EVERY_S + 1) * CHANGE_EVERY_S;
    while at_s * 1000 < until.0 {
        found.push(Offset { from: UnixMillis(at_s * 1000), ahead_s: ahead_s(at_s) });
        at_s += CHANGE_EVERY_S;
    }
    found
}

const fn ahead_s(at_s: u64) -> i32 {
    if (at_s / CHANGE_EVERY_S).is_multiple_of(2) { 0 } else { CHANGE_BY_S }
}

const fn local_s(at_s: u64, zone: Option<&str>) -> i64 {
    match zone {
        Some(_) => at_s as i64 + ahead_s(at_s) as i64,
        None => at_s as i64,
    }
}

/// The part of a user that orders, lists and ends schedules.
#[derive(Debug, Default)]
pub struct Planner {
    /// Lists that were asked for, and their queues.
    lists: Vec<(RequestId, &'static str)>,
    seen: Vec<(&'static str, MessageNumber)>,
}

impl Planner {
    pub fn work(
        &mut self,
        dice: &mut Dice,
        client: &mut Client,
        now: Now,
        tag: Tag,
    ) -> Option<Ask> {
        let mut queue = *dice.choose(&OWN_QUEUES);
        let request = match dice.weighted(&[4, 3, 2]) {
            0 => {
                let zone = *dice.choose(&[None, Some(ZONE), Some(ZONE), Some("Sim/Nowhere")]);
                let when = match dice.index(3) {
                    0 => When::Every { every_ms: dice.between(1000, 20_000) },
                    1 => When::At { at: UnixMillis(now.unix.0 + dice.between(0, 20_000)) },
                    _ => When::Cron { cron: dice.choose(&CRONS).0, zone },
                };
                let samples = !matches!(when, When::At { .. }) && dice.chance(Ratio::one_in(3));
                let latest = samples.then(|| *dice.choose(&TOPICS));
                let (body, key) = (tag.body(20), *dice.choose(&["one", "two"]));
                let item = Item {
                    body: if samples { b"" } else { &body },
                    properties: None,
                    delay_ms: None,
                    track: None,
                    past: None,
                    ttl_ms: ttl_ms_of(tag).filter(|_| !samples),
                    priority: priority(queue, tag),
                    prepare: None,
                };
                let scheduling = Scheduling { key, when, item, latest };
                let request = client.schedule(now, queue, &scheduling, None).ok()?;
                let (queue, tags, ids) = (queue.to_owned(), Vec::new(), Vec::new());
                return Some(Ask::Send { request, queue, tags, ids, durability: None });
            }
            1 => {
                let after = dice.chance(Ratio::one_in(4)).then_some("one");
                let request = client.list_schedules(now, queue, after).ok()?;
                self.lists.push((request, queue));
                request
            }
            _ => {
                let number;
                (queue, number) = self.seen.pop()?;
                client.unschedule(now, queue, number).ok()?
            }
        };
        Some(Ask::Operate { request, queue: queue.to_owned() })
    }

    pub fn hear(&mut self, event: &Event) {
        let Event::Listed { request, page, .. } = event else { return };
        let place = self.lists.iter().position(|(asked, _)| asked == request);
        let Some((_, queue)) = place.map(|place| self.lists.swap_remove(place)) else { return };
        let entries: Vec<ScheduleEntry<'_>> = cbor::decode(page).unwrap_or_default();
        self.seen.extend(entries.iter().map(|entry| (queue, entry.number)));
    }
}

/// What the model knows of a schedule.
#[derive(Clone, Debug)]
pub struct Scheduled {
    queue: QueueId,
    key: String,
    tag: Option<Tag>,
    due_at: Option<UnixMillis>,
    times: Times,
    /// It sends what was published, if something was.
    samples: bool,
}

#[derive(Clone, Copy, Debug)]
enum Times {
    Once,
    Every(u64),
    Cron { period_s: i64, phase_s: i64, zone: Option<&'static str> },
}

impl Times {
    fn of(when: When<'_>) -> Option<Self> {
        Some(match when {
            When::At { .. } => Self::Once,
            When::Every { every_ms } => Self::Every(every_ms),
            When::Cron { cron, zone } => {
                let (_, period_s, phase_s) = *CRONS.iter().find(|(text, ..)| *text == cron)?;
                Self::Cron { period_s, phase_s, zone: zone.map(|_| ZONE) }
            }
        })
    }
}

/// The message of a schedule, until the record comes that tells which.
#[derive(Clone, Copy, Debug)]
pub struct Fired {
    queue: QueueId,
    tag: Option<Tag>,
    at: UnixMillis,
    expires_at: Option<UnixMillis>,
}

impl Model {
    pub(super) fn store_fired(&mut self, stored: &StoredMessage<'_>) -> Result<(), Violation> {
        let (tag, queue, at) = (Tag::of(stored.body), stored.queue, stored.stored_at);
        let expires_at = stored.expires_at;
        match self.fired.replace(Fired { queue, tag, at, expires_at }) {
            Some(_) => violated(ONCE, format!("no schedule stored what came before {stored:?}")),
            None => Ok(()),
        }
    }

    pub(super) fn schedule(&mut self, record: &Record<'_>) -> Result<(), Violation> {
        match record {
            Record::Scheduled { queue, number, lane, sequence, scheduling, due_at, .. } => {
                let lane = self.open_lane(*lane)?;
                if *sequence != lane.position.next() {
                    return violated(RECORDS, format!("schedule {} is out of order", number.0));
                }
                lane.position = *sequence;
                let (queue, key) = (*queue, scheduling.key.to_owned());
                self.schedules.retain(|_, known| (known.queue, &known.key) != (queue, &key));
                let tag = Tag::of(scheduling.item.body);
                let Some(times) = Times::of(scheduling.when) else {
                    return violated(RECORDS, format!("schedule {} changed", number.0));
                };
                let samples = scheduling.latest.is_some();
                let scheduled = Scheduled { queue, key, tag, due_at: *due_at, times, samples };
                self.schedules.insert(*number, scheduled);
                Ok(())
            }
            Record::ScheduleDue { number, due_at, fired_at } => {
                self.fire(*number, *due_at, *fired_at)
            }
            Record::Unscheduled { number } => {
                if self.fired.is_some() {
                    self.fire(*number, None, None)?;
                }
                match self.schedules.remove(number) {
                    Some(_) => Ok(()),
                    None => violated(RECORDS, format!("schedule {} is not there", number.0)),
                }
            }
            _ => Ok(()),
        }
    }

    /// A schedule that was due at `at` already, and whose queue has room for whatever it sends.
    pub fn overdue(&self, at: UnixMillis) -> Option<(MessageNumber, UnixMillis)> {
        let waits = |queue| self.undecided().any(|message| message.queue == queue);
        let room = |queue| self.has_room(queue, BODY_BYTES_MAX) && !waits(queue);
        let due = self.schedules.iter().filter(|(_, schedule)| room(schedule.queue));
        let mut due = due.filter_map(|(number, schedule)| Some((*number, schedule.due_at?)));
        due.find(|(_, due_at)| *due_at <= at)
    }

    fn fire(
        &mut self,
        number: MessageNumber,
        next: Option<UnixMillis>,
        fired_at: Option<UnixMillis>,
    ) -> Result<(), Violation> {
        let fired = self.fired.take();
        let due_at = self.schedules.get_mut(&number).map(|schedule| &mut schedule.due_at);
        let was_due = due_at.and_then(|due_at| core::mem::replace(due_at, next));
        let Some(schedule) = self.schedules.get(&number) else {
            return violated(RECORDS, format!("schedule {} is not there", number.0));
        };
        if was_due.is_none() && fired_at.is_none() && fired.is_none() {
            // It was looked up.
            return Ok(());
        }
        let Some(at) = fired.map(|fired| fired.at).or(fired_at.filter(|_| schedule.samples)) else {
            let what = format!("schedule {} moves on and stores nothing", number.0);
            return violated(ONCE, what);
        };
        let own = fired.is_none_or(|fired| self.is_of(schedule, fired));
        let due = was_due.is_some_and(|due_at| due_at <= at);
        let once = matches!(schedule.times, Times::Once) == fired_at.is_none();
        if !own || !due || !once || fired_at.is_some_and(|fired_at| fired_at != at) {
            return violated(ONCE, format!("schedule {} is fired: {fired:?}", number.0));
        }
        if is_next(schedule.times, was_due.unwrap_or_default(), at, next) {
            self.fired_total += 1;
            return Ok(());
        }
        violated(ONCE, format!("schedule {} was due {was_due:?}, next {next:?}", number.0))
    }
}

impl Model {
    /// Whether a message is one of a schedule. What it samples is judged by `sampled-is-published`.
    fn is_of(&self, schedule: &Scheduled, fired: Fired) -> bool {
        let own = schedule.samples || fired.tag == schedule.tag;
        let ttl_ms = fired.tag.filter(|_| !schedule.samples).and_then(ttl_ms_of);
        let expires_at = self.expiry_of(fired.queue, ttl_ms, fired.at);
        own && fired.queue == schedule.queue && fired.expires_at == expires_at
    }
}

/// Whether `next` is when the schedule is due the next time after `at`.
fn is_next(times: Times, was_due: UnixMillis, at: UnixMillis, next: Option<UnixMillis>) -> bool {
    match (times, next) {
        (Times::Once, None) => true,
        (Times::Every(every_ms), Some(next)) => {
            next > at && next.0 - every_ms <= at.0 && (next.0 - was_due.0).is_multiple_of(every_ms)
        }
        (Times::Cron { period_s, phase_s, zone }, Some(next)) => {
            let at_s = at.0 / 1000;
            // What a clock has shown so far, and what it shows in each second from here on.
            let past = (at_s - 2 * CHANGE_EVERY_S..=at_s).map(|second| local_s(second, zone));
            let mut shown = past.max().unwrap_or_default();
            let found = (at_s + 1..at_s + 4 * 3600).find(|second| {
                let before = shown;
                shown = shown.max(local_s(*second, zone));
                (before + 1..=shown).any(|local| local.rem_euclid(period_s) == phase_s)
            });
            found.map(|second| UnixMillis(second * 1000)) == Some(next)
        }
        _ => false,
    }
}
