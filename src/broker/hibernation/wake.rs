//! Going on from what a broker wrote down. Nothing is said to anybody: who is here knows it all.

use alloc::borrow::ToOwned;
use alloc::vec::Vec;

use crate::broker::Broker;
use crate::broker::calls::{PendingCall, Stage};
use crate::broker::grants::Grant;
use crate::broker::hibernation::{CallKept, Memory, SessionKept, Time, Timed, Woken};
use crate::broker::io::Event;
use crate::broker::results::Tracker;
use crate::broker::session::Session;
use crate::broker::watches::Watch;
use crate::cbor;
use crate::id::{ClientId, ConnId, SocketId};
use crate::marks::{Mark, mark};
use crate::sorted::Map;
use crate::time::{Instant, Now};
use crate::wire::Frame;
use crate::wire::envelope::decode_frame;

impl Broker {
    /// Goes on in the place of a broker that fell asleep over this log, on those of `sockets` that
    /// it had; each may do what is granted here. Only right after `new`. A memory that can't be
    /// read is as good as none: false, and nothing is changed.
    pub fn wake(&mut self, now: Now, memory: &[u8], sockets: &Map<SocketId, Grant>) -> bool {
        let Ok(memory) = cbor::decode::<Memory<'_>>(memory) else { return false };
        mark(Mark::Woken);
        let slept_ms = now.unix.0.saturating_sub(memory.slept_at.0);
        self.settling = None;
        for kept in &memory.sessions {
            self.recall_session(now, kept, slept_ms);
        }
        let conns = self.recall_links(now, &memory, sockets);
        for declared in &memory.declared {
            if let Ok(frame) = decode_frame(declared.frame) {
                self.recall_frame(declared.client, frame);
            }
        }
        for tracker in &memory.trackers {
            if let Some(conn) = conns.get(&tracker.conn).copied() {
                let (request, processed) = (tracker.request, tracker.processed);
                self.trackers.add(tracker.number, Tracker { conn, request, processed });
            }
        }
        self.live.recall(&memory.newest, &memory.messages, &self.limits);
        for untold in &memory.untold {
            let skipped = untold.first.zip(untold.last);
            self.audiences.recall(untold.socket, untold.publisher, skipped, untold.is_due);
        }
        for call in &memory.calls {
            self.recall_call(now, call, slept_ms);
        }
        for kept in &memory.results {
            let bytes_max = self.limits.request_bytes_max as usize;
            self.answers.keep(kept.key, kept.result.to_vec(), bytes_max);
        }
        for given_up in &memory.given_up {
            self.answers.recall_giving_up(given_up.client, given_up.first);
        }
        self.recall_times(now, &memory.times, slept_ms);
        for number in &memory.unasked {
            self.questions.unasked.insert(*number);
        }
        self.recall_served(&memory);
        true
    }

    fn recall_session(&mut self, now: Now, kept: &SessionKept<'_>, slept_ms: u64) {
        let until = after_sleep(now, kept.waited_for_ms.unwrap_or(self.limits.park_ms), slept_ms);
        let session = Session {
            user: kept.user.map(ToOwned::to_owned),
            lane: kept.lane,
            lanes_left: kept.lanes_left.clone(),
            peer: kept.peer.to_vec(),
            detached_at: Some(before_ms(until, self.limits.park_ms)),
            ingest_items: kept.ingest_items,
            hidden: kept.hidden,
            silent: kept.silent,
            ..Session::default()
        };
        self.idle_lanes.remove(kept.lane);
        self.sessions.insert(kept.client, session);
    }

    /// Gives the connections of this broker by those of the one before. Sockets that are gone
    /// leave their clients without a link.
    fn recall_links(
        &mut self,
        now: Now,
        memory: &Memory<'_>,
        sockets: &Map<SocketId, Grant>,
    ) -> Map<ConnId, ConnId> {
        let mut conns = Map::new();
        let mut links = Vec::new();
        for kept in &memory.links {
            let Some(session) = self.sessions.get_mut(&kept.client) else { continue };
            let Some(grant) = sockets.get(&kept.socket) else {
                session.detached_at = Some(now.mono);
                continue;
            };
            let conn = self.links.recall(kept, grant.clone());
            (session.conn, session.detached_at) = (Some(conn), None);
            conns.insert(kept.conn, conn);
            let (socket, client, nonce) = (kept.socket, kept.client, kept.nonce);
            links.push(Woken { conn, socket, client, nonce });
        }
        for member in &memory.audiences {
            if let Some(conn) = conns.get(&member.conn).copied() {
                self.audiences.join(member.socket, conn, member.can_listen, member.audience);
                self.audiences.resumed(member.socket, conn);
            }
        }
        self.events.push_front(Event::Woken { links });
        conns
    }

    /// What a client has declared. It was let in before, and is not answered again.
    fn recall_frame(&mut self, client: ClientId, frame: Frame<'_>) {
        match frame {
            Frame::Method { method, service, name } => {
                self.on_method(client, method, service, name)
            }
            Frame::Consume { consumer, queue, options } => {
                let _ = self.start_consumer(client, consumer, queue, options);
            }
            Frame::JoinGroup { subscription, filter, group } => {
                let _ = self.join_group(client, subscription, filter, group);
            }
            Frame::Listen { subscription, filter } => {
                self.recall_filter(client, subscription, filter);
            }
            Frame::Serve { service, name, concurrency } => {
                let _ = self.serve(client, service, name, concurrency);
            }
            Frame::Stand { candidate, role, holds } => {
                self.recall_candidate(client, candidate, role, holds.is_some());
            }
            Frame::WatchQueue { watch, queue } => {
                let told = Some(self.stats_of(queue));
                let watched = Watch { queue: queue.to_owned(), told };
                self.watches.all.insert((client, watch), watched);
            }
            Frame::Checker { checker, queue: Some(queue) } => {
                self.questions.checkers.insert((client, checker), queue.to_owned());
            }
            _ => {}
        }
    }

    fn recall_call(&mut self, now: Now, kept: &CallKept<'_>, slept_ms: u64) {
        let (key, service) = (kept.key, kept.service);
        let stage = match kept.server {
            Some(server) => {
                self.services.count(service, server, true);
                Stage::Dispatched(server)
            }
            None => {
                self.services.queue(service, key);
                Stage::Queued
            }
        };
        let deadline = after_sleep(now, kept.left_ms, slept_ms);
        let call = PendingCall {
            service: service.to_owned(),
            method: kept.method.to_owned(),
            arguments: kept.arguments.to_vec(),
            traceparent: kept.traceparent.map(ToOwned::to_owned),
            deadline,
            stage,
            service_id: kept.service_id,
        };
        self.calls.insert(key, call);
        self.call_ends.set(key, deadline);
    }

    fn recall_times(&mut self, now: Now, times: &[Time], slept_ms: u64) {
        for Time { of, left_ms } in times {
            let at = after_sleep(now, *left_ms, slept_ms);
            match *of {
                Timed::Lease(lease) => self.lease_times.ends.set(lease, at),
                Timed::Look(lease) => self.lease_times.looks.set(lease, at),
                Timed::Lane(lane) => self.idle_lanes.set(lane, at),
                Timed::Outcome(number) => self.result_ends.set(number, at),
                Timed::Question(number) => self.questions.due.set(number, at),
                Timed::Gathering(queue) => {
                    if let Some(consumers) = self.consumers.get_mut(&queue) {
                        consumers.serve_at = Some(at);
                        self.gatherings.set(queue, at);
                    }
                }
                Timed::IdleQueue(queue) => {
                    if let Some(idle_ms_max) = self.idle_ms_max(queue) {
                        self.idle_queues.insert(queue, before_ms(at, idle_ms_max));
                    }
                }
            }
        }
    }

    fn recall_served(&mut self, memory: &Memory<'_>) {
        for served in &memory.served {
            if let Some(consumers) = self.consumers.get_mut(&served.queue) {
                consumers.gathered |= served.gathered;
            }
            if let Some(active) = served.client.zip(served.consumer) {
                self.activate(served.queue, Some(active));
            }
        }
        self.elect_all_active();
    }
}

/// What was to happen in `left_ms` when the host fell asleep, which was so long ago by the wall
/// clock: no other runs while it sleeps, and its alarm goes by that one too.
fn after_sleep(now: Now, left_ms: u64, slept_ms: u64) -> Instant {
    now.mono.after_ms(left_ms.saturating_sub(slept_ms))
}

const fn before_ms(at: Instant, ms: u64) -> Instant {
    Instant(at.0.saturating_sub(ms.saturating_mul(1000)))
}
