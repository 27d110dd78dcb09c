//! The reference model: what the stored records say, told as plainly as possible and kept for the
//! whole run. It shares no code with the broker, and judges each record as it comes.

use alloc::borrow::ToOwned;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::id::{
    ClientId, ConsumerId, LaneId, LeaseNumber, MessageNumber, QueueId, RequestId, Sequence, Term,
};
use crate::log::record::StoredMessage;
use crate::log::{LeaseEnd, Place, Record};
use crate::options::{DeadLetter, QueueOptions};
use crate::sim::check::{Violation, violated};
use crate::sim::deaths::{Death, Redriving};
use crate::sim::expiry::EXPIRY;
use crate::sim::fact::{ProcessId, Tag};
use crate::sim::ids::Ids;
use crate::sim::keys::key_of;
use crate::sim::prepared::Halves;
use crate::sim::timetable::{Fired, Scheduled};
use crate::time::UnixMillis;
use crate::wire::frame::Reason;

/// Where a message is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Whereabouts {
    Waiting {
        due_at: Option<UnixMillis>,
    },
    Leased(LeaseNumber),
    /// It left by a recorded act.
    Acked,
    Discarded,
}

#[derive(Clone, Debug)]
pub struct Message {
    pub tag: Tag,
    pub queue: QueueId,
    pub lane: LaneId,
    pub sequence: Sequence,
    pub index: u32,
    pub body_bytes: u64,
    pub key: Option<String>,
    pub priority: u32,
    /// Failed deliveries, since it came to its queue.
    pub attempts: u32,
    pub whereabouts: Whereabouts,
    /// It was asked to wait, or was leased before, so others may be served before it.
    pub out_of_line: bool,
    /// It left the queue it was sent to for another.
    pub moved: bool,
    /// Where its record is.
    pub place: Place,
    pub deaths: Vec<Death>,
    /// So many of them came before it was last moved back.
    pub deaths_before: usize,
    pub expires_at: Option<UnixMillis>,
    /// It was discarded for it outlived its time.
    pub expired: bool,
}

impl Message {
    /// Puts the message into the dead-letter queue that its queue wants.
    pub(super) fn bury(
        &mut self,
        into: QueueId,
        target: Option<String>,
        wanted: Option<String>,
        death: Death,
    ) -> Result<(), Violation> {
        if target != wanted || wanted.is_none() {
            return violated(KEPT, format!("{} died into the wrong queue", self.tag));
        }
        self.deaths.push(death);
        self.expires_at = None;
        self.queue = into;
        self.moved = true;
        self.attempts = 0;
        Ok(())
    }
}

/// How a lease ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    Acked,
    Released,
    Failed,
    DeadLettered,
    Discarded,
}

#[derive(Clone, Debug)]
pub struct Lease {
    pub tag: Tag,
    pub number: MessageNumber,
    pub client: ClientId,
    pub consumer: ConsumerId,
    pub lease_ms: u64,
    pub attempt: u32,
    pub extensions: u32,
    /// How it ended, and whether its holder ended it.
    pub end: Option<(End, bool)>,
    /// When its message expires.
    pub expires_at: Option<UnixMillis>,
}

#[derive(Clone, Debug)]
pub struct Lane {
    pub client: ClientId,
    pub position: Sequence,
    pub open: bool,
}

#[derive(Clone, Debug)]
pub struct Queue {
    pub name: String,
    pub declared: QueueOptions,
    /// With what its policy gives.
    pub options: QueueOptions,
    pub paused_for_ever: bool,
}

impl Queue {
    /// The name of its dead-letter queue.
    pub(super) fn dead_letters(&self) -> Option<String> {
        match &self.options.dead_letter {
            Some(DeadLetter::Queue(name)) => Some(name.clone()),
            Some(DeadLetter::Discard) => None,
            None => Some(format!("{}.dead", self.name)),
        }
    }
}

#[derive(Clone, Debug, Default)]
pub struct Model {
    pub queues: BTreeMap<QueueId, Queue>,
    pub messages: BTreeMap<MessageNumber, Message>,
    pub(super) numbers_living: BTreeSet<MessageNumber>,
    pub(super) numbers_open: BTreeSet<MessageNumber>,
    pub leases: BTreeMap<LeaseNumber, Lease>,
    pub lanes: BTreeMap<LaneId, Lane>,
    pub leaders: BTreeMap<String, (Term, ClientId)>,
    pub redrives: BTreeMap<(ClientId, RequestId), Redriving>,
    pub(super) policies: BTreeMap<String, (String, u32, QueueOptions)>,
    /// Every term that began, with its role and its leader.
    pub terms: BTreeMap<Term, (String, ClientId)>,
    pub by_tag: BTreeMap<Tag, MessageNumber>,
    /// Every message that was ever prepared.
    pub halves: Halves,
    pub(super) schedules: BTreeMap<MessageNumber, Scheduled>,
    pub(super) fired: Option<Fired>,
    /// How often a schedule was fired.
    pub fired_total: u64,
    /// The newest serial that each process stored in each queue.
    serials: BTreeMap<(ProcessId, QueueId), u32>,
    pub(super) ids: Ids,
    /// The id of each message that was stored with one in a queue that remembers ids.
    pub(super) identified: BTreeMap<MessageNumber, String>,
    /// The last item of any send, stored or not.
    last_item: (LaneId, Sequence, u32),
}

pub(super) const ORDER: &str = "order-per-producer";
pub(super) const DUPLICATE: &str = "no-duplicate";
const ONE_LEASE: &str = "one-live-lease";
pub(super) const KEPT: &str = "confirmed-is-kept";
const ONE_LEADER: &str = "one-leader-per-term";
const PAUSED: &str = "paused-serves-nobody";
pub(super) const RECORDS: &str = "records-make-sense";

impl Model {
    /// Makes the change that `record` tells.
    ///
    /// # Errors
    /// The rule that the record breaks.
    pub fn apply(&mut self, place: Place, record: &Record<'_>) -> Result<(), Violation> {
        match record {
            Record::Message(message) => self.store(place, message),
            Record::Moved { .. } => self.relocate(place, record),
            Record::Leased { .. } => self.lease(record),
            Record::Ended { lease, end, by_holder } => self.end(*lease, end, *by_holder),
            Record::Extended { lease, lease_ms } => self.extend(*lease, *lease_ms),
            Record::Declared { queue, name, options, owner: _ } => {
                self.declare(*queue, name, options)
            }
            Record::LaneOpened { .. } | Record::LaneVoid { .. } | Record::LaneClosed { .. } => {
                self.lane(record)
            }
            Record::TermBegan { role, term, client } => self.begin_term(role, *term, *client),
            Record::TermEnded { role } => match self.leaders.remove(*role) {
                Some(_) => Ok(()),
                None => violated(RECORDS, format!("role {role} has no leader to end")),
            },
            Record::Removed { queue, number, removal } => self.remove(*queue, *number, removal),
            Record::Deleted { queue } => self.delete(*queue),
            Record::Paused { queue, paused, until } => {
                let Some(queue) = self.queues.get_mut(queue) else {
                    return violated(RECORDS, format!("queue {} is not there to pause", queue.0));
                };
                queue.paused_for_ever = *paused && until.is_none();
                Ok(())
            }
            Record::Purged { queue, through } => self.purge(*queue, *through),
            Record::Duplicate { lane, sequence, index, number } => {
                self.repeat((*lane, *sequence, *index), *number)
            }
            Record::IdsForgotten { queue, at } => {
                self.forget_ids(*queue, *at);
                Ok(())
            }
            Record::TrackForgotten { .. } | Record::Traced { .. } => Ok(()),
            Record::Policy(_) | Record::PolicyRemoved { .. } => self.policy(record),
            Record::Redrive { .. } | Record::Redriven { .. } | Record::RedriveForgotten { .. } => {
                self.redrive(record)
            }
            Record::Scheduled { .. } | Record::ScheduleDue { .. } | Record::Unscheduled { .. } => {
                self.schedule(record)
            }
            Record::Prepared { .. }
            | Record::Checked { .. }
            | Record::Decided { .. }
            | Record::PreparedKept { .. } => self.preparation(place, record),
            Record::Piece { .. }
            | Record::Kept { .. }
            | Record::IdKept { .. }
            | Record::Tracked { .. }
            | Record::Counters { .. }
            | Record::SettledLately { .. }
            | Record::Totals { .. } => {
                violated(RECORDS, "a record of checkpoints lies in a chunk".to_owned())
            }
        }
    }

    fn lane(&mut self, record: &Record<'_>) -> Result<(), Violation> {
        match record {
            Record::LaneOpened { lane, client, position, .. } => {
                if self.lanes.last_key_value().is_some_and(|(newest, _)| newest >= lane) {
                    return violated(RECORDS, format!("lane {} was issued before", lane.0));
                }
                self.lanes.insert(*lane, Lane { client: *client, position: *position, open: true });
                Ok(())
            }
            Record::LaneVoid { lane, position, .. } => {
                let lane = self.open_lane(*lane)?;
                lane.position = lane.position.max(*position);
                Ok(())
            }
            Record::LaneClosed { lane } => {
                let closed = self.open_lane(*lane)?;
                closed.open = false;
                let client = closed.client;
                self.forget_redrives_of(client);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    pub(super) fn open_lane(&mut self, lane: LaneId) -> Result<&mut Lane, Violation> {
        match self.lanes.get_mut(&lane).filter(|lane| lane.open) {
            Some(lane) => Ok(lane),
            None => violated(RECORDS, format!("lane {} is not open", lane.0)),
        }
    }

    fn store(&mut self, place: Place, stored: &StoredMessage<'_>) -> Result<(), Violation> {
        let Some(tag) = Tag::of_message(stored.body, stored.lane, stored.number) else {
            return violated(KEPT, format!("message {} has a changed body", stored.number.0));
        };
        if let Some(number) = self.by_tag.get(&tag) {
            let what = format!("send {tag} is stored as {} and {}", number.0, stored.number.0);
            return violated(DUPLICATE, what);
        }
        if !self.is_new(stored.number) {
            let what = format!("message number {} was issued before", stored.number.0);
            return violated(RECORDS, what);
        }
        if !self.queues.contains_key(&stored.queue) {
            return violated(RECORDS, format!("queue {} is not declared", stored.queue.0));
        }
        // A schedule says how long its messages live, not each of them.
        if stored.lane != LaneId(0) && !self.is_to_expire(tag, stored) {
            return violated(EXPIRY, format!("{tag} is to expire at {:?}", stored.expires_at));
        }
        match stored.lane {
            LaneId(0) => self.store_fired(stored)?,
            _ => self.move_lane((stored.lane, stored.sequence, stored.index))?,
        }
        self.identify(stored)?;
        let newest = self.serials.entry((tag.process, stored.queue)).or_default();
        if *newest >= tag.serial {
            return violated(ORDER, format!("{tag} is stored after serial {newest}"));
        }
        *newest = tag.serial;
        self.by_tag.insert(tag, stored.number);
        let message = Message {
            tag,
            queue: stored.queue,
            lane: stored.lane,
            sequence: stored.sequence,
            index: stored.index,
            body_bytes: stored.body.len() as u64,
            key: key_of(stored),
            priority: stored.priority.unwrap_or(0),
            attempts: stored.past.map_or(0, |past| past.attempts),
            whereabouts: Whereabouts::Waiting { due_at: stored.due_at },
            out_of_line: stored.due_at.is_some(),
            moved: false,
            place,
            deaths: Vec::new(),
            deaths_before: 0,
            expires_at: stored.expires_at,
            expired: false,
        };
        self.messages.insert(stored.number, message);
        self.numbers_living.insert(stored.number);
        Ok(())
    }

    /// The next item of a lane: of the last send, or of the one behind it.
    pub(super) fn move_lane(&mut self, item: (LaneId, Sequence, u32)) -> Result<(), Violation> {
        let (number, sequence, index) = item;
        let (last_lane, last_sequence, last_index) = self.last_item;
        let same_send = (last_lane, last_sequence, last_index + 1) == item;
        let lane = self.open_lane(number)?;
        let expected = if index == 0 { lane.position.next() } else { lane.position };
        if sequence != expected || (index > 0 && !same_send) {
            let what = format!(
                "lane {} at {} stores {}, item {index}",
                number.0, lane.position.0, sequence.0
            );
            return violated(ORDER, what);
        }
        lane.position = sequence;
        self.last_item = item;
        Ok(())
    }

    fn lease(&mut self, record: &Record<'_>) -> Result<(), Violation> {
        let Record::Leased { lease, queue, number, client, lease_ms, attempt, consumer } = record
        else {
            return Ok(());
        };
        if self.leases.last_key_value().is_some_and(|(newest, _)| newest >= lease) {
            return violated(ONE_LEASE, format!("lease {} was issued before", lease.0));
        }
        if self.orders_by_key(*queue) {
            self.key_in_order(*number, *queue)?;
        } else {
            self.first_in_line(*number, *queue)?;
        }
        if self.queues.get(queue).is_some_and(|queue| queue.paused_for_ever) {
            return violated(PAUSED, format!("queue {} is paused and serves", queue.0));
        }
        self.is_active(*queue, (*client, *consumer))?;
        let Some(message) = self.messages.get_mut(number) else {
            return violated(RECORDS, format!("lease {} is for no message", lease.0));
        };
        let Whereabouts::Waiting { .. } = message.whereabouts else {
            let what =
                format!("message {} is {:?} and leased again", number.0, message.whereabouts);
            return violated(ONE_LEASE, what);
        };
        if message.queue != *queue || message.attempts + 1 != *attempt {
            let what = format!("lease {} miscounts attempts or mistakes the queue", lease.0);
            return violated(RECORDS, what);
        }
        message.whereabouts = Whereabouts::Leased(*lease);
        message.out_of_line = true;
        let leased = Lease {
            tag: message.tag,
            number: *number,
            client: *client,
            consumer: *consumer,
            lease_ms: *lease_ms,
            attempt: *attempt,
            extensions: 0,
            end: None,
            expires_at: message.expires_at,
        };
        self.leases.insert(*lease, leased);
        Ok(())
    }

    fn live_lease(&mut self, number: LeaseNumber) -> Result<&mut Lease, Violation> {
        match self.leases.get_mut(&number).filter(|lease| lease.end.is_none()) {
            Some(lease) => Ok(lease),
            None => violated(ONE_LEASE, format!("lease {} ends but is not live", number.0)),
        }
    }

    fn extend(&mut self, number: LeaseNumber, lease_ms: u64) -> Result<(), Violation> {
        let lease = self.live_lease(number)?;
        lease.lease_ms = lease_ms;
        lease.extensions += 1;
        Ok(())
    }

    fn end(
        &mut self,
        number: LeaseNumber,
        end: &LeaseEnd<'_>,
        by_holder: bool,
    ) -> Result<(), Violation> {
        let lease = self.live_lease(number)?;
        let (message, attempt) = (lease.number, lease.attempt);
        let waiting = |due_at| Whereabouts::Waiting { due_at };
        let (how, whereabouts) = match end {
            LeaseEnd::Acked { .. } => (End::Acked, Whereabouts::Acked),
            LeaseEnd::Released => (End::Released, waiting(None)),
            LeaseEnd::Failed { due_at } => (End::Failed, waiting(*due_at)),
            LeaseEnd::DeadLettered { .. } => (End::DeadLettered, waiting(None)),
            LeaseEnd::Discarded { .. } => (End::Discarded, Whereabouts::Discarded),
        };
        lease.end = Some((how, by_holder));
        let Some(message) = self.messages.get_mut(&message) else {
            return violated(RECORDS, format!("lease {} is for no message", number.0));
        };
        message.whereabouts = whereabouts;
        if how == End::Failed {
            message.attempts = attempt;
        }
        let queue = self.queues.get(&message.queue);
        let wanted = queue.and_then(Queue::dead_letters);
        match end {
            LeaseEnd::DeadLettered { into, reason, note, at } => {
                if reason.is_automatic() || (reason == &Reason::LeaseLost) == by_holder {
                    return violated(RECORDS, format!("{} can't die of {reason:?}", message.tag));
                }
                let target = self.queues.get(into).map(|queue| queue.name.clone());
                let queue = queue.map(|queue| queue.name.clone()).unwrap_or_default();
                let note = note.map(ToOwned::to_owned);
                let death = Death { queue, reason: *reason, attempts: attempt, at: *at, note };
                message.bury(*into, target, wanted, death)
            }
            LeaseEnd::Discarded { .. } if wanted.is_some() => {
                violated(KEPT, format!("{} is discarded though its queue keeps it", message.tag))
            }
            _ => Ok(()),
        }
    }

    fn declare(
        &mut self,
        id: QueueId,
        name: &str,
        options: &QueueOptions,
    ) -> Result<(), Violation> {
        let namesake = self.queues.iter().find(|(_, queue)| queue.name == name);
        if namesake.is_some_and(|(other, _)| *other != id) {
            return violated(RECORDS, format!("two queues are named {name}"));
        }
        let paused_for_ever = self.queues.get(&id).is_some_and(|queue| queue.paused_for_ever);
        let (name, declared, options) = (name.to_owned(), options.clone(), options.clone());
        self.queues.insert(id, Queue { name, declared, options, paused_for_ever });
        self.follow_policies();
        Ok(())
    }

    fn begin_term(&mut self, role: &str, term: Term, client: ClientId) -> Result<(), Violation> {
        if let Some((earlier, _)) = self.leaders.get(role) {
            let what = format!("role {role} has term {} and gets {}", earlier.0, term.0);
            return violated(ONE_LEADER, what);
        }
        if self.terms.last_key_value().is_some_and(|(newest, _)| *newest >= term) {
            return violated(ONE_LEADER, format!("term {} was issued before", term.0));
        }
        self.leaders.insert(role.to_owned(), (term, client));
        self.terms.insert(term, (role.to_owned(), client));
        Ok(())
    }
}
