//! Redrives: dead letters go back to where they died, one record each, and what is asked for twice
//! is done once. Moves from any queue to another and discards of messages that are picked are done
//! in the same way. A long one takes many turns, and one with a rate many timers; how far it is
//! stands in the log, so another node goes on with it.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::broker::Broker;
use crate::broker::queue::{Entry, Queue};
use crate::broker::rate::Bucket;
use crate::broker::state::{Liveness, State};
use crate::cbor;
use crate::error::{Code, Refused};
use crate::id::{ChunkNumber, ClientId, ConnId, MessageNumber, QueueId, RequestId};
use crate::log::{Record, Removal};
use crate::marks::{Mark, mark};
use crate::time::{Instant, Now, UnixMillis};
use crate::wire::Frame;
use crate::wire::frame::{Death, History, Identity, Redrive, Task};

/// Why a message is discarded that somebody picked.
const REMOVED: &str = "removed";
/// Why one is discarded that its sender wants back.
const CANCELLED: &str = "cancelled";
/// Messages that one redrive looks at in one turn.
const TURN_MESSAGES: u32 = 512;
/// One that is behind its rate, for its timers were late, may make up for so much.
const LATE_US_MAX: u64 = 1_000_000;

/// A redrive is named by its client and that one's number for it.
pub type Key = (ClientId, RequestId);

/// What the log knows of a redrive.
#[derive(Debug)]
pub struct Redriving {
    /// An encoded `Redrive`; empty if it is over.
    pub order: Box<[u8]>,
    pub moved: u64,
    /// The last message it moved.
    pub reached: MessageNumber,
}

/// What a broker knows of one that is under way.
#[derive(Clone, Copy, Debug)]
struct Pace {
    key: Key,
    /// The last message it looked at.
    seen: MessageNumber,
    bucket: Bucket,
    /// It needs a message of this chunk.
    awaits: Option<ChunkNumber>,
    /// It only takes away, so it goes on though the disk is full.
    discards: bool,
}

impl Pace {
    fn next_at(&self) -> Instant {
        self.bucket.next_at(LATE_US_MAX)
    }
}

/// There are few.
#[derive(Debug, Default)]
pub struct Redrives {
    under_way: Vec<Pace>,
}

impl Redrives {
    /// Goes on with those that are not over.
    pub fn new(state: &State, now: Now) -> Self {
        let mut redrives = Self::default();
        for (key, redriving) in state.redrives.iter() {
            if let Ok(redrive) = cbor::decode::<Redrive<'_>>(&redriving.order) {
                mark(Mark::RedriveTakenOver);
                redrives.begin(*key, &redrive, redriving.reached, now);
            }
        }
        redrives
    }

    fn begin(&mut self, key: Key, redrive: &Redrive<'_>, seen: MessageNumber, now: Now) {
        let discards = redrive.task.is_some_and(Task::takes_away);
        let bucket = Bucket::empty(now.mono, LATE_US_MAX);
        self.under_way.push(Pace { key, seen, bucket, awaits: None, discards });
    }

    fn end(&mut self, key: Key) {
        self.under_way.retain(|pace| pace.key != key);
    }

    /// When one has something to do.
    pub fn wake_at(&self, full: bool) -> Option<Instant> {
        let awake = self.under_way.iter().filter(|pace| pace.awaits.is_none());
        awake.filter(|pace| pace.discards || !full).map(Pace::next_at).min()
    }

    pub fn chunk_loaded(&mut self, chunk: ChunkNumber) {
        for pace in &mut self.under_way {
            pace.awaits = pace.awaits.filter(|awaited| *awaited != chunk);
        }
    }
}

/// What comes of looking at one dead letter.
enum Judged {
    /// To another queue, or away.
    Leaves {
        into: Option<QueueId>,
    },
    Stays,
    Awaits(ChunkNumber),
}

impl State {
    pub(super) fn apply_redrive(&mut self, record: &Record<'_>) -> Liveness {
        match record {
            Record::Redrive { client, request, order, moved, reached } => {
                let order = (*order).into();
                let redriving = Redriving { order, moved: *moved, reached: *reached };
                self.redrives.insert((*client, *request), redriving);
            }
            Record::RedriveForgotten { client, request } => {
                self.redrives.remove(&(*client, *request));
            }
            Record::Redriven { client, request, queue, number, into, due_at, cancelled } => {
                if let Some(redriving) = self.redrives.get_mut(&(*client, *request)) {
                    redriving.moved += 1;
                    redriving.reached = *number;
                }
                return match into {
                    Some(into) => self.apply_redriven(*queue, *number, *into, *due_at),
                    None => {
                        let reason = reason_of(*cancelled);
                        self.apply_removed(*queue, *number, &Removal::Discarded { reason })
                    }
                };
            }
            _ => {}
        }
        Liveness::Same
    }

    fn apply_redriven(
        &mut self,
        from: QueueId,
        number: MessageNumber,
        into: QueueId,
        due_at: Option<UnixMillis>,
    ) -> Liveness {
        let queue = self.queues.get_mut(&from);
        let entry = queue.and_then(|queue| queue.take(number, &mut self.beside));
        let Some(entry) = entry else { return Liveness::Same };
        let Some(target) = self.queues.get_mut(&into) else {
            self.forget_message(number);
            return Liveness::Release(entry);
        };
        target.totals.sent_total += 1;
        target.put(number, Entry { attempts: 0, ..entry }, due_at, &mut self.beside);
        self.expiries.put(number, into);
        self.deaths.move_back(number);
        Liveness::Same
    }

    pub(super) fn has_redrives_of(&self, client: ClientId) -> bool {
        self.redrives.keys().any(|(owner, _)| *owner == client)
    }

    pub(super) fn forget_redrives_of(&mut self, client: ClientId) {
        self.redrives.retain(|(owner, _), _| *owner != client);
    }

    /// The queue whose dead letters are meant. `None`: there is none yet.
    fn source_of(&self, redrive: &Redrive<'_>) -> Result<Option<QueueId>, Refused> {
        if let Some(name) = redrive.queue {
            return self.queue_named(name).map(Some).ok_or(Code::NotFound.into());
        }
        let name = redrive.filter.as_ref().and_then(|filter| filter.queue).unwrap_or_default();
        let queue = self.queue_named(name).and_then(|id| self.queues.get(&id));
        let queue = queue.ok_or(Refused::from(Code::NotFound))?;
        let dead = queue.dead_letters().ok_or(Refused::new(Code::Invalid, "dead_letter"))?;
        Ok(self.queue_named(&dead))
    }
}

impl Broker {
    pub(super) fn on_redrive(
        &mut self,
        now: Now,
        conn: ConnId,
        client: ClientId,
        request: RequestId,
        redrive: &Redrive<'_>,
    ) {
        let key = (client, request);
        let known = self.state.redrives.get(&key);
        if let Some(redriving) = known {
            // It came twice. One that is under way is answered when it is over.
            if redriving.order.is_empty() {
                let count = redriving.moved;
                self.gated(conn, &Frame::Counted { request, count });
            }
            return;
        }
        match self.judge_redrive(client, redrive) {
            Ok(()) => {
                let mut order = Vec::new();
                cbor::encode(redrive, &mut order);
                let (moved, reached) = (0, MessageNumber(0));
                self.commit(&Record::Redrive { client, request, order: &order, moved, reached });
                self.redrives.begin(key, redrive, reached, now);
            }
            Err(refused) => self.answer_refused(conn, request, refused),
        }
    }

    fn judge_redrive(&self, client: ClientId, redrive: &Redrive<'_>) -> Result<(), Refused> {
        redrive.check(&self.limits)?;
        let named = redrive.queue.or(redrive.filter.as_ref().and_then(|filter| filter.queue));
        self.own_queue(client, named.unwrap_or_default())?;
        let source = self.state.source_of(redrive)?.and_then(|id| self.state.queues.get(&id));
        if let Some(source) = source {
            self.own_queue(client, &source.name)?;
        }
        if redrive.into.is_some_and(|into| self.state.queue_named(into).is_none()) {
            return Err(Refused::new(Code::NotFound, "into"));
        }
        let own = self.state.redrives.keys().filter(|(owner, _)| *owner == client);
        if own.count() >= self.limits.redrives_max as usize {
            return Err(Refused::new(Code::Full, "redrives_max"));
        }
        if self.is_full() && !redrive.task.is_some_and(Task::takes_away) {
            return Err(Refused::new(Code::Storage, "quota"));
        }
        Ok(())
    }

    pub(super) fn on_end_redrive(&mut self, client: ClientId, request: RequestId) {
        self.redrives.end((client, request));
        if self.state.redrives.contains_key(&(client, request)) {
            self.commit(&Record::RedriveForgotten { client, request });
        }
    }

    /// The client has lost its memory: nobody waits for its redrives.
    pub(super) fn end_redrives_of(&mut self, client: ClientId) {
        let own = self.state.redrives.keys().filter(|(owner, _)| *owner == client);
        for (_, request) in own.copied().collect::<Vec<_>>() {
            self.on_end_redrive(client, request);
        }
    }

    /// When a redrive has something to do. On a full disk nothing is moved.
    pub(super) fn redrive_at(&self) -> Option<Instant> {
        self.redrives.wake_at(self.is_full()).filter(|_| !self.draining)
    }

    /// Goes on with those whose time has come.
    pub(super) fn advance_redrives(&mut self, now: Now) {
        let full = self.is_full();
        let due = |pace: &&Pace| {
            pace.next_at() <= now.mono && pace.awaits.is_none() && (pace.discards || !full)
        };
        let due: Vec<Pace> = self.redrives.under_way.iter().filter(due).copied().collect();
        if due.is_empty() {
            return;
        }
        self.log.begin_batch();
        for mut pace in due {
            self.redrives.end(pace.key);
            if self.advance_redrive(now, &mut pace) {
                self.redrives.under_way.push(pace);
            }
        }
        self.log.end_batch();
    }

    /// Goes on with one; false if it is over.
    fn advance_redrive(&mut self, now: Now, pace: &mut Pace) -> bool {
        let Some(redriving) = self.state.redrives.get(&pace.key) else { return false };
        let (order, mut moved) = (redriving.order.clone(), redriving.moved);
        let redrive: Redrive<'_> = cbor::decode(&order).unwrap_or_default();
        let source = self.state.source_of(&redrive).ok().flatten();
        for _ in 0..TURN_MESSAGES {
            if pace.next_at() > now.mono {
                return true;
            }
            let next = source.and_then(|source| self.next_letter(&redrive, source, pace.seen));
            let next = next.filter(|_| redrive.messages_max.is_none_or(|max| moved < max));
            let (Some(queue), Some((number, entry))) = (source, next) else {
                self.finish_redrive(pace.key, &redrive, moved);
                return false;
            };
            match self.judge_letter(&redrive, queue, number, entry) {
                Judged::Awaits(chunk) => {
                    pace.awaits = Some(chunk);
                    self.log.load(chunk);
                    return true;
                }
                Judged::Stays => {}
                Judged::Leaves { into } => {
                    moved += 1;
                    let every_us = redrive.every_us.unwrap_or(0);
                    pace.bucket.take(now.mono, every_us);
                    self.take_letter(pace.key, &redrive, queue, number, into);
                }
            }
            pace.seen = number;
        }
        true
    }

    fn take_letter(
        &mut self,
        key: Key,
        redrive: &Redrive<'_>,
        queue: QueueId,
        number: MessageNumber,
        into: Option<QueueId>,
    ) {
        let source = self.state.queues.get(&queue);
        let due_at = source.and_then(|queue| queue.due_of(number));
        let due_at = due_at.filter(|_| redrive.task == Some(Task::Move));
        let cancelled = (redrive.task == Some(Task::Cancel)).then_some(true);
        let (client, request) = key;
        self.commit(&Record::Redriven { client, request, queue, number, into, due_at, cancelled });
        // Others of its key may have waited for it.
        self.dirty_queues.insert(queue);
        match into {
            Some(into) => {
                self.dirty_queues.insert(into);
                self.watch_delayed(into);
            }
            None => self.advise_discarded(queue, number, reason_of(cancelled)),
        }
    }

    /// The next message behind `seen` that nobody holds and that may be meant.
    fn next_letter(
        &self,
        redrive: &Redrive<'_>,
        source: QueueId,
        seen: MessageNumber,
    ) -> Option<(MessageNumber, Entry)> {
        let seen = match &redrive.filter {
            Some(filter) => MessageNumber(filter.next_number(seen)?.0 - 1),
            None => seen,
        };
        let queue = self.state.queues.get(&source)?;
        if let Some(number) = self.tracked_letter(redrive, source) {
            let entry = queue.entry(number).filter(|_| number > seen)?;
            return Some((number, entry));
        }
        let delayed = queue.delayed_after(seen).map(|(_, number, entry)| (number, entry)).next();
        let ready = queue.ready_after(seen).next();
        [ready, delayed].into_iter().flatten().min_by_key(|(number, _)| *number)
    }

    /// The message that its sender wants back, if it is tracked: no other need be looked at.
    fn tracked_letter(&self, redrive: &Redrive<'_>, source: QueueId) -> Option<MessageNumber> {
        let ids = redrive.filter.as_ref()?.ids.as_deref()?;
        match ids {
            [id] if redrive.task == Some(Task::Cancel) => self.state.tracks.find(source, id),
            _ => None,
        }
    }

    fn judge_letter(
        &self,
        redrive: &Redrive<'_>,
        source: QueueId,
        number: MessageNumber,
        entry: Entry,
    ) -> Judged {
        let history = self.state.deaths.history(number);
        let death = self.arrival(source, &history);
        if death.is_none() && redrive.task.is_none() {
            return Judged::Stays;
        }
        let filter = redrive.filter.as_ref();
        if filter.is_some_and(|filter| !filter.fits_death(number, death)) {
            return Judged::Stays;
        }
        if let Some(filter) = filter.filter(|filter| filter.looks_into_messages()) {
            let Some(message) = self.log.message(entry.place) else {
                return Judged::Awaits(entry.place.chunk);
            };
            let (lane, sequence, index) = (message.lane, message.sequence, message.index);
            let properties = message.properties;
            if !filter.fits_message(&Identity { lane, sequence, index, properties }) {
                return Judged::Stays;
            }
        }
        if redrive.task.is_some_and(Task::takes_away) {
            return Judged::Leaves { into: None };
        }
        let into = redrive.into.or(death.map(|death| death.queue));
        let into = into.and_then(|into| self.state.queue_named(into));
        let target = into.filter(|into| *into != source).and_then(|into| {
            Some(into).filter(|into| self.state.has_room_for(*into, number, entry))
        });
        target.map_or(Judged::Stays, |into| Judged::Leaves { into: Some(into) })
    }

    /// The death by which a dead letter came to the queue. It may have died there again since.
    fn arrival<'a>(&self, queue: QueueId, history: &'a History<'_>) -> Option<&'a Death<'a>> {
        let name = self.state.queues.get(&queue).map(|queue| &queue.name)?;
        let mut recent = history.deaths.iter().take(history.recent as usize);
        recent.find(|death| death.queue != name)
    }

    fn finish_redrive(&mut self, key: Key, redrive: &Redrive<'_>, count: u64) {
        let Some(redriving) = self.state.redrives.get(&key) else { return };
        let (client, request) = key;
        let (order, moved, reached) = (&[][..], count, redriving.reached);
        self.commit(&Record::Redrive { client, request, order, moved, reached });
        let source = self.state.source_of(redrive).ok().flatten();
        if let Some(source) = source
            && !redrive.task.is_some_and(Task::takes_away)
        {
            let what = if redrive.task.is_none() { "redriven" } else { "moved" };
            self.advise(what, source, &[("moved", &count), ("into", &redrive.into)]);
        }
        if let Some(conn) = self.sessions.get(&client).and_then(|session| session.conn) {
            self.gated(conn, &Frame::Counted { request, count });
        }
    }
}

fn reason_of(cancelled: Option<bool>) -> &'static str {
    if cancelled == Some(true) { CANCELLED } else { REMOVED }
}

impl Queue {
    /// Whether one more message is within the limits, whoever would have to leave for it.
    pub(super) fn has_room_for(&self, entry: Entry) -> bool {
        let bytes = self.bytes() + u64::from(entry.body_bytes);
        self.messages() < self.settings.messages_max && bytes <= self.settings.bytes_max
    }
}
