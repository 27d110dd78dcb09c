//! Sessions: what the broker knows of one client while it lives, whatever its link does.

use alloc::string::String;
use alloc::vec::Vec;

use crate::broker::Broker;
use crate::broker::gate::Gated;
use crate::broker::io::Event;
use crate::error::Code;
use crate::id::{
    CandidateId, ClientId, ConnId, ConsumerId, LaneId, LeaseNumber, LinkNonce, MethodId, QueueId,
    Sequence, ServiceId, SubscriptionId,
};
use crate::marks::{Mark, mark};
use crate::options::ConsumeOptions;
use crate::sorted::{Map, Set};
use crate::time::{Instant, Now};
use crate::wire::frame::{Hello, Welcome};
use crate::wire::{AUDIENCES, Frame, VERSION, VERSION_MIN};

/// One consumer of a session, with what it has in flight.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Consumer {
    pub queue: QueueId,
    pub options: ConsumeOptions,
    pub in_flight: u32,
    pub in_flight_bytes: u64,
    /// It was told to be slow, and has settled nothing since.
    pub slow: bool,
    /// It was too slow: nothing comes until it says again what it asks for.
    pub detached: bool,
}

impl Consumer {
    /// Whether it takes deliveries at all.
    pub fn is_ready(&self) -> bool {
        !self.detached && self.options.paused != Some(true)
    }

    /// Whether one more delivery of this size may go. One always may, or a body over the byte
    /// credit would never arrive.
    pub fn has_credit(&self, body_bytes: u32) -> bool {
        if !self.is_ready() {
            return false;
        }
        if self.in_flight == 0 {
            return true;
        }
        let bytes = self.in_flight_bytes + u64::from(body_bytes);
        let ConsumeOptions { prefetch, prefetch_bytes, .. } = self.options;
        self.in_flight < prefetch && bytes <= u64::from(prefetch_bytes)
    }
}

/// What the broker knows of one client.
#[derive(Debug, Default)]
pub struct Session {
    pub conn: Option<ConnId>,
    /// Whose it is, if its connections have grants.
    pub user: Option<String>,
    /// Zero while the storage is full: then there is no numbering to send under.
    pub lane: LaneId,
    /// The lanes it had before. They stay until it sends on this one.
    pub lanes_left: Vec<LaneId>,
    pub peer: Vec<u8>,
    /// When the link was lost; the session is given up after `limits.park_ms`.
    pub detached_at: Option<Instant>,
    /// How many items it should have under way, if it wants to know.
    pub ingest_items: Option<u32>,
    /// The page of the client is out of view.
    pub hidden: bool,
    /// A lease ran out, and nothing was heard of the client since.
    pub silent: bool,
    pub consumers: Map<ConsumerId, Consumer>,
    pub groups: Set<SubscriptionId>,
    pub services: Map<ServiceId, String>,
    pub candidates: Map<CandidateId, String>,
    /// Methods interned on this link.
    pub methods: Map<MethodId, (String, String)>,
    /// Queues whose sends are refused until the client has seen the first refusal.
    pub blocked: Map<String, Sequence>,
}

/// How a session ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Leaving {
    /// It said goodbye: nothing failed. The lane is kept if it means to come back.
    Goodbye { park: bool },
    /// Its context ended, or its page was made anew, without a word.
    Died,
}

impl Broker {
    pub(super) fn on_hello(&mut self, now: Now, conn: ConnId, client: ClientId, hello: &Hello<'_>) {
        let version = hello.version_max.min(VERSION);
        if version < hello.version_min.max(VERSION_MIN) {
            return self.hang_up(now, conn, Code::UpgradeRequired);
        }
        if hello.peer.len() > self.limits.headers_bytes_max as usize {
            return self.hang_up(now, conn, Code::TooLarge);
        }
        if self.is_of_another_user(conn, client) {
            return self.hang_up(now, conn, Code::ContractMismatch);
        }
        let peer = self.sessions.get(&client).map(|session| &*session.peer);
        let (known, is_same_peer) = (peer.is_some(), peer == Some(hello.peer));
        if !known && self.sessions.len() >= self.limits.sessions_max as usize {
            return self.hang_up(now, conn, Code::Full);
        }
        self.attach(conn, client, hello, known);
        let audience = self.join_audience(conn, hello.features & AUDIENCES != 0);
        let Some((lane, resumed, kept)) = self.resume_lane(now, client, hello) else {
            return self.hang_up(now, conn, Code::Full);
        };
        if let Some(kept) = kept {
            let count = hello.confirmed.0.saturating_sub(kept.0);
            self.events.push_back(Event::SendsLost { conn, client, count });
        }
        if hello.fresh {
            self.end_leases_of(now, client, Leaving::Died);
            self.fail_calls_served_by(now, client);
            self.give_up_calls_of(client);
            self.answers.forget_giving_up(client);
            self.end_redrives_of(client);
        }
        self.end_terms_not_held(client, &hello.terms);
        if let Some(reached) = hello.published {
            self.resume_publisher(now, client, reached);
        }
        let held = self.leases_of(client);
        let stale = hello.leases.iter().filter(|lease| !held.contains(lease)).copied().collect();
        // What is recorded: refusals without a record are said again when their sends come again.
        let position = self.state.lanes.get(&lane).map_or(Sequence(0), |lane| lane.position);
        let welcome = Frame::Welcome(Welcome {
            version,
            features: 0,
            log: self.log.id(),
            lane,
            position,
            resumed,
            rolled_back: kept.is_some(),
            kept,
            newest: self.live.newest(),
            stale,
            storage: self.storage,
            body_bytes_max: self.limits.body_bytes_max,
            host: Some(self.host),
            grant: self.grant_report(now, conn),
            audience,
        });
        self.gated(conn, &welcome);
        for lease in held.into_iter().filter(|lease| !hello.leases.contains(lease)) {
            mark(Mark::LeaseFoundByHello);
            self.hold(conn, Gated::Deliver(lease));
        }
        self.hear(client);
        self.resume_calls_served_by(client, &hello.serving);
        self.peer_lists.came(client, is_same_peer);
    }

    /// Whose the session of the client is, if it has one: a user's, or nobody's.
    #[must_use]
    pub fn user_of_session(&self, client: ClientId) -> Option<Option<&str>> {
        self.sessions.get(&client).map(|session| session.user.as_deref())
    }

    /// Whether the client belongs to another user than the connection. The first Hello of a client
    /// binds it to the user of its grant, or to none. That is remembered as long as its session
    /// lives, and in the log as long as its lane does and after that as long as it is remembered as
    /// the sender of what it left behind. A client of which nothing is left but a lease that it
    /// got without a lane, while the storage was full, is forgotten with its session.
    fn is_of_another_user(&self, conn: ConnId, client: ClientId) -> bool {
        let user = self.links.user_of(conn);
        if self.sessions.get(&client).is_some_and(|session| session.user.as_deref() != user) {
            return true;
        }
        let gone = self.state.senders.iter();
        let mut lanes = self.state.lanes.iter().chain(gone).map(|(_, lane)| lane);
        lanes.any(|lane| lane.client == client && lane.user.as_deref() != user)
    }

    /// Makes `conn` the client's only link and clears what is declared anew on each link.
    fn attach(&mut self, conn: ConnId, client: ClientId, hello: &Hello<'_>, known: bool) {
        let old = self.sessions.get(&client).and_then(|session| session.conn);
        if let Some(old) = old.filter(|old| *old != conn) {
            self.close_conn(old, Code::Closed);
        }
        self.clear_declared(client);
        let user = self.links.user_of(conn).map(String::from);
        let session = self.sessions.get_or_default(client);
        session.user = user;
        session.conn = Some(conn);
        session.detached_at = None;
        session.peer = hello.peer.to_vec();
        session.methods.clear();
        session.hidden = false;
        session.ingest_items = None;
        if !known {
            self.events.push_back(Event::Watch { client });
        }
    }

    /// Something came from the client: it does not stand still.
    pub(super) fn hear(&mut self, client: ClientId) {
        let Some(session) = self.sessions.get_mut(&client) else { return };
        if core::mem::take(&mut session.silent) {
            self.elect_active_around(client);
        }
    }

    /// The leases a client holds, ascending.
    pub(super) fn leases_of(&self, client: ClientId) -> Set<LeaseNumber> {
        let held = self.state.leases.iter().filter(|(_, lease)| lease.client == client);
        held.map(|(number, _)| *number).collect()
    }

    /// The link is lost; the session waits for another.
    pub(super) fn detach(&mut self, now: Now, conn: ConnId) {
        self.gate.drop_conn(conn);
        self.stalled.remove(&conn);
        self.drop_trackers_of(conn);
        self.leave_audience(conn);
        let Some(client) = self.links.remove(conn).and_then(|link| link.client) else { return };
        let Some(session) = self.sessions.get_mut(&client) else { return };
        if session.conn == Some(conn) {
            session.conn = None;
            session.detached_at = Some(now.mono);
            self.housekeeping.stir();
            self.elect_active_around(client);
        }
    }

    /// The session ends: leases, calls, roles and groups of the client are given to others.
    pub(super) fn end_session(&mut self, now: Now, client: ClientId, leaving: Leaving) {
        self.housekeeping.stir();
        self.end_leases_of(now, client, leaving);
        self.clear_declared(client);
        self.fail_calls_served_by(now, client);
        self.forget_calls_of(now, client);
        self.end_terms_of(client);
        self.live.answered(client);
        self.present_resumed(client);
        self.events.push_back(Event::Unwatch { client });
        let Some(session) = self.sessions.remove(&client) else { return };
        self.answers.forget_giving_up(client);
        if leaving == (Leaving::Goodbye { park: false }) {
            self.unrecorded.drop_lane(session.lane);
            if self.state.lanes.contains_key(&session.lane) {
                self.close_lane(session.lane);
            }
        } else {
            self.lane_rests(now, session.lane);
        }
        if let Some(conn) = session.conn {
            self.close_conn(conn, Code::Closed);
        }
        self.peer_lists.changed();
    }

    /// Ends sessions that have had no link for `limits.park_ms`.
    pub(super) fn end_parked_sessions(&mut self, now: Now) {
        let park_ms = self.limits.park_ms;
        let parked: Vec<ClientId> = self
            .sessions
            .iter()
            .filter(|(_, session)| {
                session.detached_at.is_some_and(|at| at.after_ms(park_ms) <= now.mono)
            })
            .map(|(client, _)| *client)
            .collect();
        for client in parked {
            self.end_session(now, client, Leaving::Died);
            self.answers.give_up(client);
        }
    }

    /// Forgets what the client declares again on each link.
    fn clear_declared(&mut self, client: ClientId) {
        self.watches.drop_client(client);
        self.questions.drop_client(client);
        let Some(session) = self.sessions.get_mut(&client) else { return };
        let consumers = core::mem::take(&mut session.consumers);
        let groups = core::mem::take(&mut session.groups);
        let services = core::mem::take(&mut session.services);
        let candidates = core::mem::take(&mut session.candidates);
        for (consumer, declared) in consumers {
            self.remove_consumer(client, consumer, declared.queue);
        }
        for subscription in groups {
            self.live.leave(client, subscription);
        }
        for (service, name) in services {
            self.services.remove(&name, client, service);
        }
        for (candidate, role) in candidates {
            self.roles.remove(&role, client, candidate);
        }
    }

    pub(super) fn set_link(&mut self, conn: ConnId, client: ClientId, nonce: LinkNonce) {
        if let Some(link) = self.links.get_mut(conn) {
            link.client = Some(client);
            link.nonce = nonce;
        }
    }
}
