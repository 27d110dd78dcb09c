//! Writing the memory of a broker down.

use alloc::vec::Vec;

use crate::broker::Broker;
use crate::broker::calls::Stage;
use crate::broker::hibernation::{
    CallKept, Declared, GivenUp, Member, Memory, ResultKept, Served, SessionKept, Time, Timed,
    TrackerKept, UntoldKept,
};
use crate::broker::session::Session;
use crate::cbor;
use crate::id::ClientId;
use crate::time::{Instant, Now};
use crate::wire::Frame;
use crate::wire::envelope::encode_frame;

/// Of one whose memory is longer, clients say everything again.
const MEMORY_BYTES_MAX: usize = 8 << 20;

impl Broker {
    /// What another broker over the same log needs to go on in this one's place, under the same
    /// epoch and on the same sockets. `None` while that is not possible, or something is to happen
    /// within `sleep_ms_min`.
    #[must_use]
    pub fn memory(&mut self, now: Now, sleep_ms_min: u64) -> Option<Vec<u8>> {
        self.now = now;
        if !self.rests(sleep_ms_min) {
            return None;
        }
        let mut frames = Vec::new();
        self.declare_all(&mut |client, frame| {
            let mut bytes = Vec::new();
            encode_frame(&frame, &mut bytes);
            frames.push((client, bytes));
        });
        let declared = frames.iter().map(|(client, frame)| Declared { client: *client, frame });
        let links = self.links.on_sockets();
        let members = links.iter().filter_map(|link| {
            let (audience, can_listen) = self.audiences.of_link(link.socket, link.conn)?;
            Some(Member { conn: link.conn, socket: link.socket, audience, can_listen })
        });
        let given_up = self.answers.given_up.iter();
        let memory = Memory {
            slept_at: self.now.unix,
            sessions: self.sessions.iter().map(|(id, s)| self.session_kept(*id, s)).collect(),
            audiences: members.collect(),
            declared: declared.collect(),
            served: self.served_kept(),
            trackers: self.trackers_kept(),
            newest: self.live.newest_in_turn(),
            messages: self.live.last_messages(),
            untold: self.untold_kept(),
            calls: self.calls_kept(),
            results: self
                .answers
                .in_turn()
                .map(|(key, result)| ResultKept { key, result })
                .collect(),
            given_up: given_up.map(|(id, first)| GivenUp { client: *id, first: *first }).collect(),
            times: self.times_kept(),
            unasked: self.questions.unasked.iter().copied().collect(),
            links,
        };
        if memory.audiences.len() < memory.links.len() {
            return None;
        }
        let mut bytes = Vec::new();
        cbor::encode(&memory, &mut bytes);
        (bytes.len() <= MEMORY_BYTES_MAX).then_some(bytes)
    }

    /// Nothing is under way, and nothing is to happen soon.
    fn rests(&self, sleep_ms_min: u64) -> bool {
        let serves = !self.over && !self.draining && self.settling.is_none() && !self.was_full();
        let said = self.events.is_empty() && self.broadcasts.is_empty() && self.hangups.is_empty();
        let told = self.gate.is_empty()
            && self.published.is_empty()
            && self.peer_lists.rests()
            && self.watches.wake_at().is_none();
        let read = self.browsing.is_empty()
            && self.awaiting_chunk.is_empty()
            && self.stalled.is_empty()
            && self.questions.unread.is_empty()
            && self.moves.rests();
        let soon = self.now.mono.after_ms(sleep_ms_min);
        let waits = self.wake_at().is_none_or(|at| at >= soon);
        let at_ease = |session: &Session| {
            let detached = session.consumers.values().any(|consumer| consumer.detached);
            session.blocked.is_empty() && !detached
        };
        (serves && said && told && read && waits)
            && self.log.rests()
            && self.unrecorded.is_empty()
            && self.live.rests()
            && self.links.rest()
            && self.sessions.values().all(at_ease)
    }

    fn session_kept<'a>(&self, client: ClientId, session: &'a Session) -> SessionKept<'a> {
        let park_ms = self.limits.park_ms;
        let on_socket = session.conn.is_some_and(|conn| self.links.socket_of(conn).is_some());
        let waited_for_ms = match session.detached_at {
            Some(at) => Some(self.left_ms(at.after_ms(park_ms))),
            // The client of the host itself sleeps with it.
            None => Some(park_ms).filter(|_| !on_socket),
        };
        SessionKept {
            client,
            user: session.user.as_deref(),
            lane: session.lane,
            lanes_left: session.lanes_left.clone(),
            peer: &session.peer,
            waited_for_ms,
            ingest_items: session.ingest_items,
            hidden: session.hidden,
            silent: session.silent,
        }
    }

    /// Whether the client is that of the host itself, which declares all it has once it is awake.
    fn sleeps_too(&self, client: ClientId) -> bool {
        let conn = self.sessions.get(&client).and_then(|session| session.conn);
        conn.is_some_and(|conn| self.links.socket_of(conn).is_none())
    }

    fn declare_all(&self, declare: &mut dyn FnMut(ClientId, Frame<'_>)) {
        let mut declare = |client: ClientId, frame: Frame<'_>| {
            if !self.sleeps_too(client) {
                declare(client, frame);
            }
        };
        for (client, session) in self.sessions.iter() {
            for (method, (service, name)) in session.methods.iter() {
                declare(*client, Frame::Method { method: *method, service, name });
            }
        }
        self.declare_consumers(&mut declare);
        for (client, subscription, filter, group) in self.live.members() {
            declare(client, Frame::JoinGroup { subscription, filter, group });
        }
        for link in self.links.on_sockets() {
            for (subscription, filter) in self.audiences.filters_of(link.socket, link.conn) {
                let filter = filter.as_str();
                declare(link.client, Frame::Listen { subscription, filter });
            }
        }
        for (name, service) in self.services.services.iter() {
            for server in &service.servers {
                let (service, concurrency) = (server.service, server.concurrency);
                declare(server.client, Frame::Serve { service, name, concurrency });
            }
        }
        for (role, candidates) in self.roles.candidates.iter() {
            for (client, candidate) in candidates {
                let leads = self.roles.leading.get(role) == Some(&(*client, *candidate));
                let holds = self.state.leaders.get(role).map(|l| l.term).filter(|_| leads);
                declare(*client, Frame::Stand { candidate: *candidate, role, holds });
            }
        }
        for ((client, watch), watched) in self.watches.all.iter() {
            declare(*client, Frame::WatchQueue { watch: *watch, queue: &watched.queue });
        }
        for ((client, checker), queue) in self.questions.checkers.iter() {
            declare(*client, Frame::Checker { checker: *checker, queue: Some(queue) });
        }
    }

    fn declare_consumers(&self, declare: &mut dyn FnMut(ClientId, Frame<'_>)) {
        for (queue, consumers) in self.consumers.iter() {
            let Some(queue) = self.state.queues.get(queue) else { continue };
            for (_, (client, consumer)) in &consumers.members {
                let session = self.sessions.get(client);
                let known = session.and_then(|session| session.consumers.get(consumer));
                if let Some(options) = known.map(|known| known.options) {
                    let (consumer, queue) = (*consumer, &*queue.name);
                    declare(*client, Frame::Consume { consumer, queue, options });
                }
            }
        }
    }

    fn served_kept(&self) -> Vec<Served> {
        let served = self.consumers.iter().map(|(queue, consumers)| {
            let (client, consumer) = consumers.active.unzip();
            Served { queue: *queue, gathered: consumers.gathered, client, consumer }
        });
        served.collect()
    }

    fn trackers_kept(&self) -> Vec<TrackerKept> {
        let waiting = self.trackers.waiting.iter();
        let trackers = waiting.flat_map(|(number, trackers)| {
            trackers.iter().map(|tracker| {
                let (conn, request, processed) = (tracker.conn, tracker.request, tracker.processed);
                TrackerKept { number: *number, conn, request, processed }
            })
        });
        trackers.collect()
    }

    fn untold_kept(&self) -> Vec<UntoldKept> {
        let untold = self.audiences.untold().map(|(socket, publisher, skipped, is_due)| {
            let (first, last) = skipped.unzip();
            UntoldKept { socket, publisher, is_due, first, last }
        });
        untold.collect()
    }

    /// Those that wait for a server in their order, and before them those that have one.
    fn calls_kept(&self) -> Vec<CallKept<'_>> {
        let dispatched = self.calls.iter().filter(|(_, call)| call.stage != Stage::Queued);
        let queued = self.services.services.values().flat_map(|service| service.queued.iter());
        let keys = dispatched.map(|(key, _)| key).chain(queued);
        let calls = keys.filter_map(|key| {
            let call = self.calls.get(key)?;
            let server = match call.stage {
                Stage::Dispatched(server) => Some(server),
                Stage::Queued | Stage::InDoubt => None,
            };
            Some(CallKept {
                key: *key,
                service: &call.service,
                method: &call.method,
                arguments: &call.arguments,
                traceparent: call.traceparent.as_deref(),
                left_ms: self.left_ms(call.deadline),
                server,
                service_id: call.service_id,
            })
        });
        calls.collect()
    }

    fn times_kept(&self) -> Vec<Time> {
        let mut times = Vec::new();
        let mut keep = |of: Timed, at: Instant| times.push(Time { of, left_ms: self.left_ms(at) });
        self.lease_times.ends.iter().for_each(|(lease, at)| keep(Timed::Lease(lease), at));
        self.lease_times.looks.iter().for_each(|(lease, at)| keep(Timed::Look(lease), at));
        self.idle_lanes.iter().for_each(|(lane, at)| keep(Timed::Lane(lane), at));
        self.result_ends.iter().for_each(|(number, at)| keep(Timed::Outcome(number), at));
        self.questions.due.iter().for_each(|(number, at)| keep(Timed::Question(number), at));
        self.gatherings.iter().for_each(|(queue, at)| keep(Timed::Gathering(queue), at));
        for (queue, since) in self.idle_queues.iter() {
            if let Some(idle_ms_max) = self.idle_ms_max(*queue) {
                keep(Timed::IdleQueue(*queue), since.after_ms(idle_ms_max));
            }
        }
        times
    }

    fn left_ms(&self, at: Instant) -> u64 {
        at.ms_since(self.now.mono)
    }
}
