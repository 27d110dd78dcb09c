//! The durable state: what replaying the log gives. Every change of it is a record, made through
//! `State::apply`, live as in replay, so that the two can't differ.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;

use crate::broker::deaths::Deaths;
use crate::broker::dedupe::Dedupe;
use crate::broker::expiries::Expiries;
use crate::broker::groups::Mark;
use crate::broker::moving::Stand;
use crate::broker::operate::Pause;
use crate::broker::policies::Policies;
use crate::broker::prepared::PreparedMessages;
use crate::broker::queue::{Beside, Entry, Lease, Queue};
use crate::broker::redrive::Redriving;
use crate::broker::schedules::Schedules;
use crate::broker::senders::Senders;
use crate::broker::tracks::Tracks;
use crate::error::Code;
use crate::id::{ClientId, LaneId, LeaseNumber, MessageNumber, QueueId, RequestId, Sequence, Term};
use crate::limits::Limits;
use crate::log::record::StoredMessage;
use crate::log::record::TrackEnd;
use crate::log::{Place, Record};
use crate::options::QueueOptions;
use crate::sorted::{Line, Map};
use crate::wire::frame::Duplicate;

/// Settled leases remembered per client; more can't be outstanding than a client may prefetch.
pub(super) const SETTLED_LATELY_MAX: usize = 4096;

/// Numbering of one client's sends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lane {
    pub client: ClientId,
    /// The only user who may come as that client, if it came by a grant.
    pub user: Option<Box<str>>,
    pub position: Sequence,
    /// Sends that were refused, until the client has seen it.
    pub refused: Map<Sequence, Code>,
    /// Items that repeated a message, in order, until the client has seen it.
    pub duplicates: VecDeque<(Sequence, Duplicate)>,
}

/// Who leads a role.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Leader {
    pub term: Term,
    pub client: ClientId,
}

/// The next number of each kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Counters {
    pub queue: QueueId,
    pub lane: LaneId,
    pub message: MessageNumber,
    pub lease: LeaseNumber,
    pub term: Term,
}

/// What became of a message's place in the log, for the log's count of what is live.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Liveness {
    Same,
    Retain(Entry),
    Release(Entry),
    ReleaseAll(Vec<Entry>),
    /// It is at the second place now.
    Move(Entry, Place),
}

#[derive(Debug)]
pub struct State {
    pub queues: Map<QueueId, Queue>,
    pub queue_names: Map<String, QueueId>,
    pub lanes: Line<LaneId, Lane>,
    pub senders: Senders,
    pub leases: Line<LeaseNumber, Lease>,
    pub deaths: Deaths,
    pub expiries: Expiries,
    pub dedupe: Dedupe,
    pub beside: Beside,
    pub redrives: Map<(ClientId, RequestId), Redriving>,
    pub schedules: Schedules,
    pub prepared: PreparedMessages,
    pub policies: Policies,
    pub settled_lately: Map<ClientId, VecDeque<LeaseNumber>>,
    pub leaders: Map<String, Leader>,
    pub tracks: Tracks,
    pub next: Counters,
    pub(super) queue_messages_max: u32,
    /// Where ended leases pointed, to accept late settlements when that rule is switched off.
    #[cfg(feature = "sim")]
    pub ended: Line<LeaseNumber, (QueueId, MessageNumber)>,
}

impl State {
    pub fn new(limits: &Limits) -> Self {
        Self {
            queues: Map::new(),
            queue_names: Map::new(),
            lanes: Line::new(),
            senders: Senders::new(limits.senders_max),
            leases: Line::new(),
            deaths: Deaths::new(limits.deaths_max),
            expiries: Expiries::default(),
            dedupe: Dedupe::new(limits.dedupe_ids_max),
            beside: Beside::default(),
            redrives: Map::new(),
            schedules: Schedules::default(),
            prepared: PreparedMessages::new(limits.decisions_max),
            policies: Policies::new(),
            settled_lately: Map::new(),
            leaders: Map::new(),
            tracks: Tracks::default(),
            next: Counters {
                queue: QueueId(1),
                lane: LaneId(1),
                message: MessageNumber(1),
                lease: LeaseNumber(1),
                term: Term(1),
            },
            queue_messages_max: limits.queue_messages_max,
            #[cfg(feature = "sim")]
            ended: Line::new(),
        }
    }

    /// Whether a log may hold this: one that had come so far would run out of numbers soon.
    pub fn has_numbers_left(&self) -> bool {
        self.next.are_possible()
    }

    /// The records of a whole checkpoint: replaying them gives the same again, but for refusals and
    /// duplicates.
    #[cfg(feature = "sim")]
    pub fn checkpoint_records(&self) -> alloc::vec::Vec<u8> {
        super::checkpoint::records(self)
    }

    /// The queue of that name.
    pub fn queue_named(&self, name: &str) -> Option<QueueId> {
        self.queue_names.get(name).copied()
    }

    /// Makes the change that `record` tells. A record that fits nothing changes nothing.
    pub fn apply(&mut self, place: Place, record: &Record<'_>) -> Liveness {
        match record {
            Record::Message(message) => return self.apply_message(place, message),
            Record::Leased { .. } => self.apply_leased(record),
            Record::Ended { lease, end, by_holder } => {
                return self.apply_ended(*lease, end, *by_holder);
            }
            Record::Extended { lease, lease_ms } => {
                if let Some(lease) = self.leases.get_mut(lease) {
                    lease.lease_ms = *lease_ms;
                }
            }
            Record::Declared { queue, name, options, owner } => {
                self.declare(*queue, name, options, *owner);
            }
            Record::LaneOpened { .. } | Record::LaneVoid { .. } | Record::LaneClosed { .. } => {
                self.apply_lane(record);
            }
            Record::TermBegan { .. } | Record::TermEnded { .. } => self.apply_term(record),
            Record::Removed { queue, number, removal } => {
                return self.apply_removed(*queue, *number, removal);
            }
            Record::Deleted { queue } => return self.apply_deleted(*queue),
            Record::Paused { queue, paused, until } => {
                if let Some(queue) = self.queues.get_mut(queue) {
                    queue.paused = Some(Pause { until: *until }).filter(|_| *paused);
                }
            }
            Record::Traced { queue, traced } => {
                if let Some(queue) = self.queues.get_mut(queue) {
                    queue.traced = *traced;
                }
            }
            Record::Policy(_) | Record::PolicyRemoved { .. } => self.apply_policy(record),
            Record::Purged { queue, through } => return self.apply_purged(*queue, *through),
            Record::Redrive { .. } | Record::Redriven { .. } | Record::RedriveForgotten { .. } => {
                return self.apply_redrive(record);
            }
            Record::Scheduled { .. } | Record::ScheduleDue { .. } | Record::Unscheduled { .. } => {
                self.apply_schedule(record)
            }
            Record::Prepared { .. }
            | Record::PreparedKept { .. }
            | Record::Checked { .. }
            | Record::Decided { .. } => return self.apply_preparation(place, record),
            Record::Kept { .. } => return self.apply_kept(record),
            Record::Piece { .. } => self.beside.pieces.begin_reading(),
            Record::Moved { from, queue, lease, message } => {
                let stand = Stand { queue: *queue, number: message.number, lease: *lease };
                return self.relocate(stand, *from, place);
            }
            Record::Counters { queue, lane, message, lease, term } => {
                let (queue, lane, message) = (*queue, *lane, *message);
                self.next = Counters { queue, lane, message, lease: *lease, term: *term };
                self.beside.pieces.end_reading();
            }
            Record::SettledLately { client, leases } => {
                self.settled_lately.insert(*client, leases.iter().copied().collect());
            }
            Record::Totals { .. } => self.apply_totals(record),
            Record::Duplicate { .. } | Record::IdsForgotten { .. } | Record::IdKept { .. } => {
                self.apply_ids(record);
            }
            Record::TrackForgotten { number } => self.tracks.drop_track(*number),
            Record::Tracked { number, queue, id, delivered, end } => {
                self.tracks.insert(*number, *queue, (*id).to_owned(), *delivered, end.as_ref());
            }
        }
        Liveness::Same
    }

    fn declare(
        &mut self,
        id: QueueId,
        name: &str,
        options: &QueueOptions,
        owner: Option<ClientId>,
    ) {
        if let Some(queue) = self.queues.get_mut(&id) {
            queue.declared = options.clone();
            queue.owner = owner;
            return self.follow_policy(id);
        }
        let mut queue = Queue::new(name.to_owned(), options.clone(), self.queue_messages_max);
        queue.owner = owner;
        self.queues.insert(id, queue);
        self.queue_names.insert(name.to_owned(), id);
        self.next.queue = self.next.queue.max(id.next());
        self.follow_policy(id);
    }

    fn apply_purged(&mut self, id: QueueId, through: MessageNumber) -> Liveness {
        let Some(queue) = self.queues.get_mut(&id) else { return Liveness::Same };
        let before = queue.waiting();
        let taken = queue.take_through(through, &mut self.beside);
        queue.totals.discarded_total += before - queue.waiting();
        self.release_all(taken, "purged")
    }

    fn apply_deleted(&mut self, id: QueueId) -> Liveness {
        let Some(mut queue) = self.queues.remove(&id) else { return Liveness::Same };
        self.queue_names.remove(&queue.name);
        self.dedupe.drop_queue(id);
        self.schedules.drop_queue(id);
        let mut taken = self.prepared.drop_queue(id);
        taken.extend(queue.take_through(MessageNumber(u64::MAX), &mut self.beside));
        for lease in queue.leases() {
            let lease = self.leases.remove(&lease);
            taken.extend(lease.map(|lease| (lease.number, lease.entry)));
        }
        self.release_all(taken, "deleted")
    }

    fn release_all(&mut self, taken: Vec<(MessageNumber, Entry)>, reason: &str) -> Liveness {
        for (number, _) in &taken {
            self.forget_message(*number);
            self.tracks.end(*number, &TrackEnd::Failed { code: Code::Discarded, reason });
        }
        Liveness::ReleaseAll(taken.into_iter().map(|(_, entry)| entry).collect())
    }

    fn apply_term(&mut self, record: &Record<'_>) {
        match record {
            Record::TermBegan { role, term, client } => {
                self.leaders.insert((*role).to_owned(), Leader { term: *term, client: *client });
                self.next.term = self.next.term.max(term.next());
            }
            Record::TermEnded { role } => drop(self.leaders.remove(*role)),
            _ => {}
        }
    }

    fn apply_message(&mut self, place: Place, message: &StoredMessage<'_>) -> Liveness {
        self.move_lane(message.lane, message.sequence);
        self.next.message = self.next.message.max(message.number.next());
        let Some(queue) = self.queues.get_mut(&message.queue) else { return Liveness::Same };
        let attempts = message.past.map_or(0, |past| past.attempts);
        let entry = Entry { attempts, ..Entry::of(place, message) };
        if let Some(deaths) = message.past.and_then(|past| past.deaths) {
            self.deaths.keep(message.number, deaths);
        }
        self.beside.marks.keep(message.number, Mark::of(message));
        queue.put(message.number, entry, message.due_at, &mut self.beside);
        self.expiries.begin(message.number, message.queue, message.expires_at);
        queue.totals.sent_total += 1;
        let window_ms = queue.options.dedupe_ms;
        self.tracks.store(message);
        self.dedupe.store(message, window_ms);
        Liveness::Retain(entry)
    }

    fn apply_leased(&mut self, record: &Record<'_>) {
        let Record::Leased { lease, queue: id, number, client, lease_ms, attempt, consumer } =
            record
        else {
            return;
        };
        self.next.lease = self.next.lease.max(lease.next());
        let Some(queue) = self.queues.get_mut(id) else { return };
        let Some(entry) = queue.take(*number, &mut self.beside) else { return };
        queue.hold(*lease, *number, entry, &self.beside.marks);
        self.expiries.hold(*number);
        if *attempt > 1 {
            queue.totals.redelivered_total += 1;
        }
        let leased = Lease {
            queue: *id,
            number: *number,
            client: *client,
            consumer: *consumer,
            lease_ms: *lease_ms,
            attempt: *attempt,
            entry,
        };
        self.leases.insert(*lease, leased);
        self.tracks.deliver(*number);
    }

    fn apply_kept(&mut self, record: &Record<'_>) -> Liveness {
        let Record::Kept {
            queue,
            number,
            place,
            body_bytes,
            attempts,
            due_at,
            deaths,
            properties_bytes,
            expires_at,
            key,
            priority,
        } = record
        else {
            return Liveness::Same;
        };
        let id = *queue;
        let Some(queue) = self.queues.get_mut(&id) else { return Liveness::Same };
        self.expiries.begin(*number, id, *expires_at);
        let properties_bytes = properties_bytes.unwrap_or(0);
        let (place, body_bytes, attempts) = (*place, *body_bytes, *attempts);
        let entry = Entry { place, body_bytes, properties_bytes, attempts };
        self.beside.marks.keep(*number, Mark::new(*key, *priority));
        queue.put(*number, entry, *due_at, &mut self.beside);
        if let Some(history) = deaths {
            self.deaths.keep(*number, history);
        }
        Liveness::Retain(entry)
    }

    fn apply_totals(&mut self, record: &Record<'_>) {
        let Record::Totals { queue, sent, acked, redelivered, dead_lettered, discarded } = record
        else {
            return;
        };
        if let Some(queue) = self.queues.get_mut(queue) {
            queue.totals.sent_total = *sent;
            queue.totals.acked_total = *acked;
            queue.totals.redelivered_total = *redelivered;
            queue.totals.dead_lettered_total = *dead_lettered;
            queue.totals.discarded_total = *discarded;
        }
    }
}
