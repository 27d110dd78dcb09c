//! Schedules: taken, listed, ended, and fired when they are due. To fire is one batch of the log:
//! the message, and when its schedule is due next. So a time is used once, whichever node comes
//! to it, and of times that were missed one is made up for.
//!
//! What is due next in a zone has to be asked of the host, for a broker knows no zones. A schedule
//! waits meanwhile.

use alloc::borrow::ToOwned;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;

use crate::broker::Broker;
use crate::broker::deadline::Deadlines;
use crate::broker::gate::Gated;
use crate::broker::overflow::Load;
use crate::broker::sampling::Samples;
use crate::broker::schedules::Schedule;
use crate::broker::sends::Storing;
use crate::broker::state::State;
use crate::cbor;
use crate::cron::{Cron, Next, Offsets, UTC};
use crate::error::{Code, Refused};
use crate::id::{ClientId, ConnId, LaneId, MessageNumber, QueueId, RequestId, Sequence};
use crate::limits::Limits;
use crate::log::Record;
use crate::marks::{Mark, mark};
use crate::options::{Durability, QueueOptions};
use crate::sorted::Map;
use crate::time::{Instant, Now, UnixMillis};
use crate::topic::Topic;
use crate::wire::Frame;
use crate::wire::envelope::encode_frame;
use crate::wire::frame::{Item, ScheduleEntry, Scheduling, When};

/// Offsets are asked for from so long before a time until so long behind it. No zone is as far from
/// UTC, and none changes its clocks twice within that.
const AROUND_MS: u64 = 36 * 3600 * 1000;
/// One for whose message there is no room tries again after so long.
const HELD_MS: u64 = 1000;
/// Schedules on one page.
const PAGE_SCHEDULES: usize = 100;

/// A `Schedule` frame, taken apart.
#[derive(Clone, Copy, Debug)]
pub struct Ordering<'a> {
    pub sequence: Sequence,
    pub refusals_seen: Sequence,
    pub queue: &'a str,
    pub durability: Option<Durability>,
    pub scheduling: &'a Scheduling<'a>,
}

/// A time that is looked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Search {
    after: UnixMillis,
    /// What `Next::Local` gave.
    local: Option<i64>,
    /// The schedule is due now, and is fired once this is found.
    fires: bool,
}

/// What is asked of the host.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ZoneQuestion {
    pub zone: String,
    pub from: UnixMillis,
    pub until: UnixMillis,
}

/// What a broker knows of schedules beside what is stored.
#[derive(Debug, Default)]
pub struct Timetable {
    due: Deadlines<MessageNumber, UnixMillis>,
    /// Due, and there was no room.
    held: Deadlines<MessageNumber, Instant>,
    searches: Map<MessageNumber, (ZoneQuestion, Search)>,
    questions: VecDeque<ZoneQuestion>,
    pub samples: Samples,
}

impl Timetable {
    pub fn due_at(&self) -> Option<UnixMillis> {
        self.due.first()
    }

    pub fn held_until(&self) -> Option<Instant> {
        self.held.first()
    }

    pub fn take_question(&mut self) -> Option<ZoneQuestion> {
        self.questions.pop_front()
    }

    /// Sets or forgets when a schedule is due.
    fn set(&mut self, number: MessageNumber, due_at: Option<UnixMillis>) {
        self.held.remove(number);
        self.searches.remove(&number);
        match due_at {
            Some(due_at) => self.due.set(number, due_at),
            None => self.due.remove(number),
        }
    }
}

impl State {
    fn check_schedule(&self, limits: &Limits, order: &Scheduling<'_>) -> Result<(), Refused> {
        let name = 1..=limits.name_bytes_max as usize;
        let invalid = |reason| Err(Refused::new(Code::Invalid, reason));
        if !name.contains(&order.key.len()) {
            return invalid("key");
        }
        match order.when {
            When::Every { every_ms } if every_ms < limits.schedule_every_ms_min => {
                return invalid("every");
            }
            When::Cron { cron, .. } if !name.contains(&cron.len()) => return invalid("cron"),
            When::Cron { zone: Some(zone), .. } if !name.contains(&zone.len()) => {
                return invalid("zone");
            }
            When::Cron { cron, .. } => drop(Cron::parse(cron)?),
            _ => {}
        }
        let item = &order.item;
        if order.latest.is_some_and(|topic| !can_sample(topic, order, limits)) {
            return invalid("latest");
        }
        let other = item.past.is_some() || item.prepare.is_some();
        if item.delay_ms.is_some() || item.track == Some(true) || other {
            return invalid("item");
        }
        Ok(())
    }

    fn admit_schedule(
        &self,
        limits: &Limits,
        queue: Option<QueueId>,
        order: &Scheduling<'_>,
    ) -> Result<(), Refused> {
        let known = queue.and_then(|queue| self.schedules.named(queue, order.key));
        if known.is_none() && self.schedules.len() >= limits.schedules_max as usize {
            return Err(Refused::new(Code::Full, "schedules_max"));
        }
        let body = order.item.body.len() + order.item.properties.map_or(0, <[u8]>::len);
        if self.schedules.bytes() + body > limits.schedules_bytes_max as usize {
            return Err(Refused::new(Code::Full, "schedules_bytes_max"));
        }
        Ok(())
    }
}

impl Broker {
    /// Goes on with what an earlier node had.
    pub(super) fn resume_schedules(&mut self, now: Now) {
        let schedules = self.state.schedules.iter();
        let all: Vec<_> = schedules.map(|(number, s)| (number, s.due_at)).collect();
        for (number, due_at) in all {
            self.timetable.set(number, due_at);
            if due_at.is_some_and(|due_at| due_at <= now.unix) {
                mark(Mark::DueAfterStart);
            }
            if due_at.is_none() {
                self.look_after(now, number);
            }
            self.begin_sampling(number, None);
        }
    }

    pub(super) fn on_schedule(
        &mut self,
        now: Now,
        conn: ConnId,
        client: ClientId,
        order: Ordering<'_>,
    ) {
        let turn = self.take_turn(now, conn, client, order.sequence, order.refusals_seen);
        let Some(lane) = turn else { return };
        match self.admit_order(client, &order) {
            Ok(queue) => self.store_schedule(now, lane, queue, &order),
            Err(refused) => self.refuse_number(conn, lane, order.sequence, refused.into()),
        }
        self.hold(conn, Gated::Sent(order.sequence, now.mono));
    }

    fn admit_order(&mut self, client: ClientId, order: &Ordering<'_>) -> Result<QueueId, Refused> {
        let items = core::slice::from_ref(&order.scheduling.item);
        self.admit_to(client, order.queue, order.durability, items)?;
        self.state.check_schedule(&self.limits, order.scheduling)?;
        let queue = self.state.queue_named(order.queue);
        self.state.admit_schedule(&self.limits, queue, order.scheduling)?;
        match queue {
            Some(queue) => Ok(queue),
            None => self.declare(client, order.queue, &QueueOptions::default()),
        }
    }

    fn store_schedule(&mut self, now: Now, lane: LaneId, queue: QueueId, order: &Ordering<'_>) {
        let declared = self.state.queues.get(&queue).and_then(|queue| queue.options.durability);
        if order.durability.or(declared) == Some(Durability::Strict) {
            self.log.require_strict();
        }
        let (sequence, scheduling) = (order.sequence, *order.scheduling);
        let known = self.state.schedules.named(queue, scheduling.key);
        let known = known.and_then(|(number, known)| Some((number, known, known.order()?)));
        let (mut due_at, mut last) = (first_due(scheduling.when, now.unix), None);
        if let Some((number, known, before)) = known {
            if before == scheduling {
                // A page may say at each load what is so already.
                let (position, refused) = (sequence, None);
                return self.commit(&Record::LaneVoid { lane, position, refused });
            }
            if before.when == scheduling.when {
                (due_at, last) = (known.due_at, known.last);
            }
            self.timetable.set(number, None);
        }
        let earlier = known.map(|(number, ..)| number);
        let number = self.next_message();
        let stored = Record::Scheduled { queue, number, lane, sequence, scheduling, due_at, last };
        self.commit(&stored);
        self.begin_sampling(number, earlier);
        self.timetable.set(number, due_at);
        if due_at.is_none() {
            self.look_after(now, number);
        }
    }

    pub(super) fn on_unschedule(
        &mut self,
        conn: ConnId,
        request: RequestId,
        queue: &str,
        number: MessageNumber,
    ) {
        let Some(queue) = self.state.queue_named(queue) else {
            return self.answer_refused(conn, request, Code::NotFound.into());
        };
        let there = self.state.schedules.get(number).is_some_and(|known| known.queue == queue);
        if there {
            self.commit(&Record::Unscheduled { number });
            self.timetable.set(number, None);
            self.end_sampling();
        }
        self.gated(conn, &Frame::Counted { request, count: u64::from(there) });
    }

    pub(super) fn on_list_schedules(
        &mut self,
        conn: ConnId,
        request: RequestId,
        queue: &str,
        after: Option<&str>,
    ) {
        let Some(queue) = self.state.queue_named(queue) else {
            return self.answer_refused(conn, request, Code::NotFound.into());
        };
        let found = self.state.schedules.of_queue(queue, after).filter_map(|(number, known)| {
            let Scheduling { key, when, latest, .. } = known.order()?;
            let Schedule { due_at, last, .. } = *known;
            Some(ScheduleEntry { key, number, when, due_at, last, latest })
        });
        let mut schedules: Vec<_> = found.take(PAGE_SCHEDULES + 1).collect();
        let more = schedules.len() > PAGE_SCHEDULES;
        schedules.truncate(PAGE_SCHEDULES);
        let mut page = Vec::new();
        encode_frame(&Frame::ScheduleList { request, schedules, more }, &mut page);
        self.gated_encoded(conn, page);
    }

    /// Fires what is due.
    pub(super) fn run_schedules(&mut self, now: Now) {
        while let Some(number) = self.timetable.held.pop_due(now.mono) {
            self.come_due(now, number);
        }
        while let Some(number) = self.timetable.due.pop_due(now.unix) {
            if !self.rules.due_is_fired() {
                continue;
            }
            self.come_due(now, number);
        }
    }

    fn come_due(&mut self, now: Now, number: MessageNumber) {
        let Some(schedule) = self.state.schedules.get(number) else { return self.end_sampling() };
        let Some(order) = schedule.order() else { return };
        if !self.has_room_for(number, schedule.queue, &order) {
            return self.timetable.held.set(number, now.mono.after_ms(HELD_MS));
        }
        match order.when {
            When::Every { every_ms } => {
                // The times stay those of the first one.
                let due_at = schedule.due_at.unwrap_or(now.unix);
                let late_ms = now.unix.0.saturating_sub(due_at.0);
                let next = late_ms - late_ms % every_ms.max(1) + every_ms;
                self.fire(now, number, Some(UnixMillis(due_at.0.saturating_add(next))));
            }
            When::At { .. } => self.fire(now, number, None),
            When::Cron { .. } => {
                let search = Search { after: now.unix, local: None, fires: true };
                self.search(now, number, search, None);
            }
        }
    }

    /// Whether what the schedule has to send now fits into its queue.
    fn has_room_for(&self, number: MessageNumber, queue: QueueId, order: &Scheduling<'_>) -> bool {
        let body = match order.latest {
            None => Some(order.item.body),
            Some(_) => self.timetable.samples.newest(number).map(|value| &*value.body),
        };
        let room = body.is_none_or(|body| {
            let load = Load { messages: 1, bytes: body.len() as u64 };
            self.admit_room(queue, load, Load::default()).is_ok()
        });
        room && !self.is_full()
    }

    /// Looks for when a schedule is due, which nobody knows.
    fn look_after(&mut self, now: Now, number: MessageNumber) {
        self.search(now, number, Search { after: now.unix, local: None, fires: false }, None);
    }

    /// Goes on looking, with the offsets that the host gave.
    fn search(
        &mut self,
        now: Now,
        number: MessageNumber,
        search: Search,
        offsets: Option<Offsets<'_>>,
    ) {
        let order = self.state.schedules.get(number).and_then(|schedule| schedule.order());
        let Some(When::Cron { cron, zone }) = order.map(|order| order.when) else { return };
        let Ok(cron) = Cron::parse(cron) else { return };
        let offsets = offsets.or(Some(UTC).filter(|_| zone.is_none()));
        let found = offsets.map(|offsets| cron.next(search.after, search.local, offsets));
        let next = match (found, zone) {
            (Some(Next::At(next)), _) => Some(next),
            (None, Some(zone)) => return self.ask_zone(number, zone.to_owned(), search),
            (Some(Next::Local(local)), Some(zone)) if search.local.is_none() => {
                let search = Search { local: Some(local), ..search };
                return self.ask_zone(number, zone.to_owned(), search);
            }
            _ => None,
        };
        if search.fires {
            let late = next.is_some_and(|next| next <= now.unix);
            if late || now.unix < search.after {
                // The clock moved while the host was asked.
                return self.come_due(now, number);
            }
            self.fire(now, number, next);
        } else if next.is_some() {
            self.commit(&Record::ScheduleDue { number, due_at: next, fired_at: None });
            self.timetable.set(number, next);
        }
    }

    fn ask_zone(&mut self, number: MessageNumber, zone: String, search: Search) {
        let local = search.local.map(|local| local.unsigned_abs().saturating_mul(1000));
        let around = local.unwrap_or(search.after.0);
        let from = UnixMillis(around.saturating_sub(AROUND_MS));
        let until = UnixMillis(around.saturating_add(AROUND_MS));
        let question = ZoneQuestion { zone, from, until };
        self.timetable.searches.insert(number, (question.clone(), search));
        self.timetable.questions.push_back(question);
    }

    /// The host tells the offsets of a zone; none if it does not know it.
    pub(super) fn on_zone(&mut self, now: Now, zone: &str, offsets: Offsets<'_>) {
        let from = offsets.list.first().map(|offset| offset.from);
        let asked = self.timetable.searches.iter().filter(|(_, (question, _))| {
            question.zone == zone && from.is_none_or(|from| question.from == from)
        });
        let asked: Vec<_> = asked.map(|(number, (_, search))| (*number, *search)).collect();
        for (number, search) in asked {
            self.timetable.searches.remove(&number);
            match offsets.list.is_empty() {
                false => self.search(now, number, search, Some(offsets)),
                true if search.fires => self.fire(now, number, None),
                true => {}
            }
        }
    }

    /// Stores the message of a schedule, if it has one, and when it is due next, in one batch. One
    /// that was to be fired once is gone then; one of an unknown zone waits for a node that knows
    /// it.
    fn fire(&mut self, now: Now, number: MessageNumber, next: Option<UnixMillis>) {
        let Some(schedule) = self.state.schedules.get(number) else { return };
        if let Some(due_at) = schedule.due_at.filter(|due_at| *due_at > now.unix) {
            // The clock went back while it waited for room, or for the host.
            return self.timetable.set(number, Some(due_at));
        }
        let (queue, mut encoded) = (schedule.queue, Vec::new());
        let Some(order) = schedule.order() else { return };
        cbor::encode(&order, &mut encoded);
        let Ok(order) = cbor::decode::<Scheduling<'_>>(&encoded) else { return };
        if !self.has_room_for(number, queue, &order) {
            // It was filled while the host was asked.
            return self.timetable.held.set(number, now.mono.after_ms(HELD_MS));
        }
        let value = self.timetable.samples.take(number);
        let sampled = value.as_ref().map(|value| Item {
            body: &value.body,
            properties: value.properties.as_deref(),
            ..order.item
        });
        let item = if order.latest.is_some() { sampled } else { Some(order.item) };
        self.log.begin_batch();
        if let Some(item) = item {
            // No client sent it: it has no lane, and its own number for a sequence.
            let sequence = Sequence(self.next_message().0);
            let storing = Storing { lane: LaneId(0), sequence, first: 0 };
            self.store(now, storing, queue, None, &[item]);
        }
        if matches!(order.when, When::At { .. }) {
            self.commit(&Record::Unscheduled { number });
        } else if self.rules.next_time_with_message() {
            let fired_at = Some(now.unix);
            self.commit(&Record::ScheduleDue { number, due_at: next, fired_at });
        }
        self.log.end_batch();
        if let Some(value) = value.filter(|_| !self.rules.sampled_once()) {
            self.timetable.samples.put(number, value);
        }
        self.timetable.set(number, next);
    }
}

/// Whether the value of a topic can take the place of what the schedule has to send.
fn can_sample(topic: &str, order: &Scheduling<'_>, limits: &Limits) -> bool {
    let Ok(topic) = Topic::parse(topic, limits) else { return false };
    let empty = order.item.body.is_empty() && order.item.properties.is_none();
    empty && !topic.is_system() && !matches!(order.when, When::At { .. })
}

/// When a new schedule is due; `None` where that has to be looked for in a zone.
fn first_due(when: When<'_>, now: UnixMillis) -> Option<UnixMillis> {
    match when {
        When::At { at } => Some(at),
        When::Every { every_ms } => Some(UnixMillis(now.0.saturating_add(every_ms))),
        When::Cron { cron, zone: None } => match Cron::parse(cron).ok()?.next(now, None, UTC) {
            Next::At(next) => Some(next),
            _ => None,
        },
        When::Cron { zone: Some(_), .. } => None,
    }
}
