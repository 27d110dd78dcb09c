//! The broker: sessions, destinations and their log. It performs no I/O.
//!
//! All control flow is here: an input is handled, then what became possible is done (leases,
//! dispatches, confirmations), then outputs are polled until `Idle`. The rules are in the parts.

mod advisories;
mod answers;
mod audiences;
mod browse;
mod calls;
mod checkpoint;
mod commits;
mod consumers;
mod deadline;
mod deaths;
mod decisions;
mod declare;
mod dedupe;
mod delayed;
mod deliver;
mod endings;
mod expiries;
mod flow;
mod frames;
mod fullness;
mod gate;
mod grants;
mod groups;
pub mod hibernation;
mod housekeeping;
mod index;
pub mod io;
mod lanes;
mod link;
mod listing;
mod live;
mod moving;
mod needs;
mod numbers;
mod operate;
mod outputs;
mod overflow;
mod passing;
mod peers;
mod per_key;
mod pieces;
mod policies;
mod prepared;
mod queue;
mod rate;
mod redrive;
mod refusals;
mod renewals;
mod results;
mod roles;
mod sampling;
mod schedules;
mod senders;
mod sends;
mod services;
mod session;
mod settling;
mod slow;
mod state;
mod timetable;
mod tracing;
mod tracks;
mod unrecorded;
mod veils;
mod volatile;
mod watches;

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::broker::answers::Answers;
use crate::broker::audiences::Audiences;
use crate::broker::browse::Browsing;
use crate::broker::calls::PendingCall;
use crate::broker::consumers::Consumers;
use crate::broker::deadline::Deadlines;
use crate::broker::decisions::Questions;
use crate::broker::fullness::Fullness;
use crate::broker::gate::Gate;
pub use crate::broker::grants::{Grant, Granting};
use crate::broker::housekeeping::Housekeeping;
use crate::broker::io::{Event, Input};
use crate::broker::link::Links;
use crate::broker::live::LiveHub;
use crate::broker::moving::Moves;
use crate::broker::peers::PeerLists;
use crate::broker::rate::Rates;
use crate::broker::redrive::Redrives;
use crate::broker::results::Trackers;
use crate::broker::roles::Roles;
use crate::broker::services::Services;
use crate::broker::session::{Leaving, Session};
use crate::broker::settling::Settling;
use crate::broker::state::Counters;
pub use crate::broker::state::State;
use crate::broker::timetable::Timetable;
use crate::broker::unrecorded::Unrecorded;
pub use crate::broker::volatile::Volatile;
use crate::broker::watches::Watches;
use crate::error::Code;
use crate::id::{
    ChunkNumber, ClientId, ConnId, Epoch, LaneId, LeaseNumber, LogId, MessageNumber, PublishNumber,
    QueueId, SocketId,
};
use crate::limits::Limits;
use crate::log::{Log, LogEvent, Record};
use crate::options::HostKind;
use crate::rng::Rng;
use crate::rules::Rules;
use crate::sorted::{Line, Map, Set};
use crate::store::StorageFault;
use crate::time::{Instant, Now, UnixMillis};
use crate::wire::frame::{CallKey, StorageReport};

/// What a broker is made with.
#[derive(Clone, Debug)]
pub struct BrokerConfig {
    pub limits: Limits,
    pub rules: Rules,
    pub storage: StorageReport,
    pub host: HostKind,
    /// The storage had no room when this log was last written.
    pub storage_full: bool,
}

#[derive(Debug)]
pub struct Broker {
    limits: Limits,
    rules: Rules,
    storage: StorageReport,
    host: HostKind,
    fullness: Fullness,
    rng: Rng,
    now: Now,
    log: Log,
    state: State,
    /// Numbers below these are not issued, though the state does not know them.
    floors: Counters,
    unrecorded: Unrecorded,
    /// Lanes that no session uses, and until when they are kept.
    idle_lanes: Deadlines<LaneId, Instant>,
    links: Links,
    sessions: Map<ClientId, Session>,
    gate: Gate,
    consumers: Map<QueueId, Consumers>,
    dirty_queues: Set<QueueId>,
    /// When queues are served for which not enough consumers came.
    gatherings: Deadlines<QueueId, Instant>,
    /// Queues whose first message is in a chunk that is being read back.
    awaiting_chunk: Map<ChunkNumber, Set<QueueId>>,
    /// Pages of browsers that wait for a chunk.
    browsing: Map<ChunkNumber, Vec<Browsing>>,
    /// When the pause of each queue is over.
    pauses: Deadlines<QueueId, UnixMillis>,
    /// Since when the queues are unused that are not kept then.
    idle_queues: Map<QueueId, Instant>,
    /// Deliveries in order, the first of which waits for its body.
    stalled: Map<ConnId, VecDeque<LeaseNumber>>,
    lease_times: slow::LeaseTimes,
    /// When the next delayed message of each queue comes due.
    delayed: Deadlines<QueueId, UnixMillis>,
    /// Who waits for what becomes of each message.
    trackers: Trackers,
    /// When what became of each message is forgotten.
    result_ends: Deadlines<MessageNumber, Instant>,
    redrives: Redrives,
    rates: Rates,
    timetable: Timetable,
    questions: Questions,
    watches: Watches,
    live: LiveHub,
    audiences: Audiences,
    published: Map<ConnId, PublishNumber>,
    services: Services,
    calls: Line<CallKey, PendingCall>,
    call_ends: Deadlines<CallKey, Instant>,
    /// While settling: calls that a server says it has, whose callers have not resumed.
    claimed: Map<CallKey, ClientId>,
    answers: Answers,
    moves: Moves,
    roles: Roles,
    settling: Option<Settling>,
    peer_lists: PeerLists,
    housekeeping: Housekeeping,
    draining: bool,
    over: bool,
    events: VecDeque<Event>,
    /// Messages to everyone, or to everyone on these sockets.
    broadcasts: VecDeque<(Option<Vec<SocketId>>, Vec<u8>)>,
    hangups: VecDeque<(ConnId, Code, Option<Vec<u8>>)>,
}

impl Broker {
    /// A broker over a recovered log. `state` is what replaying the log gave, `volatile` what a
    /// broker of the same epoch left. Connections are numbered from `first_conn` on.
    pub fn new(
        config: BrokerConfig,
        rng: Rng,
        now: Now,
        log: Log,
        state: State,
        volatile: Volatile,
        first_conn: ConnId,
    ) -> Self {
        let mut links = Links::new(log.epoch(), &config.limits);
        links.start_at(first_conn);
        let mut broker = Self {
            rules: config.rules,
            storage: config.storage,
            host: config.host,
            fullness: Fullness::new(config.storage_full, now.mono),
            rng,
            now,
            links,
            sessions: Map::new(),
            gate: Gate::default(),
            consumers: Map::new(),
            dirty_queues: state.queues.keys().copied().collect(),
            gatherings: Deadlines::new(),
            awaiting_chunk: Map::new(),
            browsing: Map::new(),
            pauses: Deadlines::new(),
            idle_queues: Map::new(),
            stalled: Map::new(),
            lease_times: slow::LeaseTimes::default(),
            delayed: Deadlines::new(),
            trackers: Trackers::default(),
            result_ends: Deadlines::new(),
            redrives: Redrives::new(&state, now),
            rates: Rates::new(&state, now),
            timetable: Timetable::default(),
            questions: Questions::default(),
            watches: Watches::default(),
            live: LiveHub::new(),
            audiences: Audiences::default(),
            published: Map::new(),
            services: volatile.services,
            calls: volatile.calls,
            call_ends: volatile.call_ends,
            claimed: Map::new(),
            answers: volatile.answers,
            moves: Moves::default(),
            roles: Roles::default(),
            settling: Some(Settling::new(now.mono.after_ms(config.limits.settle_ms))),
            peer_lists: PeerLists::default(),
            housekeeping: Housekeeping::new(now),
            draining: false,
            over: false,
            events: VecDeque::new(),
            broadcasts: VecDeque::new(),
            hangups: VecDeque::new(),
            limits: config.limits,
            floors: numbers::floors(state.next),
            unrecorded: Unrecorded::default(),
            idle_lanes: Deadlines::new(),
            log,
            state,
        };
        broker.begin(now);
        broker
    }

    /// Goes on with what the log has, and says who is there.
    fn begin(&mut self, now: Now) {
        self.renew_leases(now);
        self.rest_all_lanes(now);
        self.keep_all_results(now);
        self.watch_all_times(now);
        let (epoch, log) = (self.log.epoch(), self.log.id());
        self.broadcasts.push_back((None, self.announcement()));
        self.events.push_back(Event::Ready { epoch, log });
    }

    /// The epoch under which this broker writes.
    pub fn epoch(&self) -> Epoch {
        self.log.epoch()
    }

    /// How the next connection will be called.
    pub fn next_conn(&self) -> ConnId {
        self.links.next()
    }

    /// The log over which it works.
    pub fn log_id(&self) -> LogId {
        self.log.id()
    }

    /// Everything up to this chunk is stored.
    pub fn stored_through(&self) -> ChunkNumber {
        self.log.durable()
    }

    /// The durable state, for checkers and reports.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// A hash of everything durable: refused input leaves it as it was.
    #[cfg(feature = "sim")]
    pub fn digest(&self) -> u64 {
        checkpoint::digest(&self.state)
    }

    /// How many clients it knows, parked ones included.
    pub fn session_count(&self) -> usize {
        self.sessions.len()
    }

    /// A new connection that may do everything; its first frame must be a Hello.
    pub fn accept(&mut self) -> ConnId {
        self.accept_granted(None, Grant::ALL)
    }

    /// A new connection that may do what is granted, on a socket of a hub that it may share with
    /// others.
    pub fn accept_granted(&mut self, socket: Option<SocketId>, grant: Grant) -> ConnId {
        self.links.accept(socket, grant)
    }

    pub fn handle_input(&mut self, now: Now, input: Input<'_>) {
        self.now = now;
        if !matches!(input, Input::Renewed { .. }) {
            self.end_grants(now);
        }
        if let Input::Disconnected { conn } = input {
            // The host knows it no more, so the last word has no way to go.
            self.hangups.retain(|(ended, ..)| *ended != conn);
        }
        if self.over {
            return;
        }
        self.expire_messages(now);
        if !matches!(input, Input::Tick) {
            self.housekeeping.stir();
        }
        match input {
            Input::Tick => {}
            Input::Received { conn, bytes } => self.on_received(now, conn, bytes),
            Input::Heard { bytes } => self.on_heard(now, bytes),
            Input::Renewed { conn, grant } => self.on_renewed(now, conn, grant),
            Input::Disconnected { conn } => self.detach(now, conn),
            Input::Gone { client } => {
                self.log.begin_batch();
                self.end_session(now, client, Leaving::Died);
                self.log.end_batch();
            }
            Input::Present { clients } => self.on_present(now, clients),
            Input::Stored { op, result } => {
                let event = self.log.handle_stored(op, result);
                self.on_log_event(event);
            }
            Input::Zone { zone, offsets } => self.on_zone(now, zone, offsets),
            Input::Drain => self.draining = true,
        }
        self.watches.touch();
        self.settle_forward(now);
    }

    /// Does what the input, or the time that passed, made possible.
    fn settle_forward(&mut self, now: Now) {
        self.expire_leases(now);
        self.expire_calls(now);
        self.repeat_newest(now);
        self.answer_repairs(now);
        self.keep_house(now);
        self.settle_down(now);
        self.wake_delayed(now);
        self.wake_rated(now);
        // What came back in this turn.
        self.expire_messages(now);
        self.end_gatherings(now);
        self.end_pauses(now);
        if !self.draining {
            self.run_schedules(now);
            self.ask_questions(now);
            self.advance_redrives(now);
            self.deliver(now);
            self.dispatch_calls();
        }
        self.answer_trackers(now);
        self.tell_watchers(now);
        self.confirm_published();
        self.seek_room(now);
        self.keep_log_small();
        self.release_gate();
        self.tell_peers(now);
        self.finish_drain();
    }

    fn on_log_event(&mut self, event: LogEvent) {
        match event {
            LogEvent::Nothing => {}
            LogEvent::Durable(_) => self.written(),
            LogEvent::Full => self.filled_up(),
            LogEvent::Room => self.has_room(),
            LogEvent::Loaded(chunk) => self.chunk_loaded(chunk),
            LogEvent::Unreadable(_) => self.fail(Code::Storage, "corruption"),
            LogEvent::Failed(StorageFault::Fenced) => self.fail(Code::Unavailable, "fenced"),
            LogEvent::Failed(StorageFault::Quota) => self.fail(Code::Storage, "quota"),
            LogEvent::Failed(StorageFault::Aborted | StorageFault::Lost) => {
                self.fail(Code::Storage, "lost");
            }
        }
    }

    /// This broker is over: its memory may be ahead of the log, so nothing more leaves it.
    pub fn fail(&mut self, code: Code, reason: &'static str) {
        self.over = true;
        self.broadcasts.clear();
        for conn in self.links.all() {
            self.hang_up(self.now, conn, Code::Unavailable);
        }
        self.events.push_back(Event::Over { code, reason });
    }

    /// Appends a record and makes its change.
    fn commit(&mut self, record: &Record<'_>) {
        let place = self.log.append(record);
        self.flush_new_numbers(record);
        moving::apply(&mut self.state, &mut self.log, place, record);
    }
}
