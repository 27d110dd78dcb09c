//! What a hub passes on of live messages: to each socket what somebody there listens to.

use alloc::vec::Vec;

use crate::broker::Broker;
use crate::broker::audiences::Fate;
use crate::broker::live::Placed;
use crate::error::{Code, Refused};
use crate::id::{AudienceId, ClientId, ConnId, SocketId, SubscriptionId};
use crate::limits::SOCKET_SHARES_MAX;
use crate::marks::{Mark, mark};
use crate::time::Now;
use crate::topic::{Filter, Topic};
use crate::wire::envelope::{encode_envelope, encode_frame};
use crate::wire::frame::{Live, Newest, Reached};
use crate::wire::{Envelope, Frame};

/// Publishers in one frame to everyone, which is never cut.
const NEWEST_MAX: usize = 1000;

impl Broker {
    /// The link is one of those of its socket from now on. Gives what they are called, if its
    /// client can say what it listens to.
    pub(super) fn join_audience(&mut self, conn: ConnId, can_listen: bool) -> Option<AudienceId> {
        let socket = self.links.socket_of(conn)?;
        let id = self.begin_audience(socket);
        self.audiences.join(socket, conn, can_listen, id);
        self.tell_audience(socket, id, conn);
        can_listen.then_some(id)
    }

    /// The link is over, or about to be.
    pub(super) fn leave_audience(&mut self, conn: ConnId) {
        let Some(socket) = self.links.socket_of(conn).filter(|_| !self.over) else { return };
        if !self.audiences.has(socket, conn) {
            return;
        }
        let id = self.begin_audience(socket);
        self.audiences.leave(socket, conn, id);
        self.tell_audience(socket, id, conn);
    }

    /// What was skipped so far was skipped by the audience as it was.
    fn begin_audience(&mut self, socket: SocketId) -> AudienceId {
        let told = self.audiences.take_skipped(socket);
        self.tell_socket(socket, &told);
        AudienceId(self.rng.next_u64())
    }

    fn tell_audience(&mut self, socket: SocketId, audience: AudienceId, changed: ConnId) {
        for conn in self.audiences.who_knows(socket) {
            if conn != changed {
                self.links.push(conn, &Frame::Audience { audience });
            }
        }
    }

    pub(super) fn audience_resumed(&mut self, conn: ConnId) {
        if let Some(socket) = self.links.socket_of(conn) {
            self.audiences.resumed(socket, conn);
        }
    }

    pub(super) fn on_listen(
        &mut self,
        now: Now,
        conn: ConnId,
        subscription: SubscriptionId,
        filter: &str,
    ) {
        let socket = self.links.socket_of(conn);
        let listening =
            socket.and_then(|socket| Some((socket, self.audiences.filters(socket, conn)?)));
        let Some((socket, (own, all))) = listening else {
            return self.hang_up(now, conn, Code::Protocol);
        };
        let max = self.limits.handles_max as usize;
        let is_full = own >= max || all >= max.saturating_mul(SOCKET_SHARES_MAX as usize);
        let full = || Refused::new(Code::Full, "handles_max");
        let room = if is_full { Err(full()) } else { Ok(()) };
        let refused = match room.and_then(|()| Filter::parse(filter, &self.limits)) {
            Ok(filter) => {
                if self.audiences.listen(socket, conn, subscription, filter) {
                    // Nobody counted for it what was said before.
                    for newest in self.live.newest().chunks(NEWEST_MAX) {
                        let newest = newest.to_vec();
                        self.links.push(conn, &Frame::NewestNumbers { newest });
                    }
                }
                None
            }
            Err(refused) => Some(refused.code),
        };
        self.links.push(conn, &Frame::GroupJoined { subscription, refused });
    }

    /// What a client listened to when the node fell asleep.
    pub(super) fn recall_filter(
        &mut self,
        client: ClientId,
        subscription: SubscriptionId,
        filter: &str,
    ) {
        let conn = self.sessions.get(&client).and_then(|session| session.conn);
        let socket = conn.and_then(|conn| self.links.socket_of(conn));
        if let (Some(conn), Some(socket)) = (conn, socket)
            && let Ok(filter) = Filter::parse(filter, &self.limits)
        {
            self.audiences.listen(socket, conn, subscription, filter);
        }
    }

    pub(super) fn end_listening(&mut self, conn: ConnId, subscription: SubscriptionId) {
        if let Some(socket) = self.links.socket_of(conn) {
            self.audiences.end_listening(socket, conn, subscription);
        }
    }

    /// Whether the link hears messages of the topic, as far as it has said.
    pub(super) fn listens(&self, conn: ConnId, topic: &str) -> bool {
        let Some(socket) = self.links.socket_of(conn) else { return true };
        let topic = Topic::parse(topic, &self.limits);
        topic.is_ok_and(|topic| self.audiences.hears(socket, conn, &topic))
    }

    /// A publisher says how far it was heard by an earlier node.
    pub(super) fn resume_publisher(&mut self, now: Now, client: ClientId, reached: Reached) {
        if self.live.resume(now.mono, client, reached, &self.limits) {
            for socket in self.audiences.sockets() {
                self.audiences.is_due(socket, client);
            }
        }
    }

    /// Passes on what its publisher said to everyone on its own socket. `intact` is all of it as it
    /// came.
    pub(super) fn pass_on(
        &mut self,
        envelope: &Envelope,
        heard: &[(Live<'_>, Placed)],
        intact: Option<&[u8]>,
    ) {
        if heard.is_empty() || self.audiences.is_empty() {
            return;
        }
        // What follows each other on one topic has one fate on each socket.
        let is_alike = |(one, _): &(Live<'_>, _), (next, _): &(Live<'_>, _)| {
            one.topic == next.topic && one.is_veiled() == next.is_veiled()
        };
        let runs: Vec<_> =
            heard.chunk_by(is_alike).map(|run| (run, self.sockets_for(&run[0].0))).collect();
        let mut whole_for = Vec::new();
        for socket in self.others(envelope.client) {
            let fate = |(run, listeners): &(&[(Live<'_>, _)], Vec<SocketId>)| {
                self.fate(socket, &run[0].0, listeners)
            };
            let fates: Vec<_> = runs.iter().map(fate).collect();
            let is_whole = fates.iter().all(|fate| *fate == Fate::Sent);
            let told =
                is_whole.then(|| self.audiences.take_skipped_of(socket, envelope.client)).flatten();
            if is_whole && told.is_none() {
                whole_for.push(socket);
                continue;
            }
            let mut frames: Vec<_> = told.into_iter().collect();
            for ((run, _), fate) in runs.iter().zip(fates) {
                for (live, placed) in *run {
                    self.put(socket, live, *placed, fate, &mut frames);
                }
            }
            self.send_to([socket].into(), envelope, &frames);
        }
        if whole_for.is_empty() {
            return;
        }
        if let Some(bytes) = intact {
            return self.broadcasts.push_back((Some(whole_for), bytes.to_vec()));
        }
        let whole: Vec<_> = heard.iter().map(|(live, _)| Frame::Publish(*live)).collect();
        self.send_to(whole_for, envelope, &whole);
    }

    /// What goes out on a socket of one message that was heard.
    fn put<'a>(
        &mut self,
        socket: SocketId,
        live: &Live<'a>,
        placed: Placed,
        fate: Fate,
        out: &mut Vec<Frame<'a>>,
    ) {
        let is_new = placed == Placed::Next;
        match fate {
            Fate::Ignored => {}
            // What the node has not taken so far comes again, and not by this way.
            Fate::Skipped if !is_new => {}
            Fate::Skipped => out.extend(self.audiences.skip(socket, live)),
            Fate::Sent | Fate::Veiled => {
                out.extend(self.audiences.take_skipped_of(socket, live.publisher));
                let is_shown = fate == Fate::Sent;
                if !is_shown {
                    mark(Mark::Veiled);
                }
                out.push(Frame::Publish(if is_shown { *live } else { live.veiled() }));
            }
        }
    }

    /// The node got this from its publisher alone. Who listens to it has to ask.
    pub(super) fn pass_by(&mut self, live: &Live<'_>) {
        let listeners = self.sockets_for(live);
        for socket in self.others(live.publisher) {
            match self.fate(socket, live, &listeners) {
                Fate::Ignored => {}
                Fate::Skipped => {
                    let told = self.audiences.skip(socket, live);
                    self.tell_socket(socket, &told);
                }
                Fate::Sent | Fate::Veiled => self.audiences.is_due(socket, live.publisher),
            }
        }
    }

    /// Repeats the newest numbers a little after traffic, so that a lost tail is noticed.
    pub(super) fn repeat_newest(&mut self, now: Now) {
        if let Some(newest) = self.live.take_repeats(now.mono) {
            self.tell_newest(&newest);
            self.broadcast(&Frame::NewestNumbers { newest });
        }
    }

    /// Tells each socket the newest numbers that somebody there may have missed.
    fn tell_newest(&mut self, newest: &[Newest]) {
        for socket in self.audiences.sockets() {
            let some = self.audiences.take_newest(socket, newest);
            for newest in some.as_deref().unwrap_or(newest).chunks(NEWEST_MAX) {
                let skipped = newest
                    .iter()
                    .filter_map(|n| self.audiences.take_skipped_of(socket, n.publisher));
                let mut frames: Vec<_> = skipped.collect();
                frames.push(Frame::NewestNumbers { newest: newest.to_vec() });
                self.tell_socket(socket, &frames);
            }
        }
    }

    /// The sockets where somebody has a filter for the message, ascending.
    fn sockets_for(&self, live: &Live<'_>) -> Vec<SocketId> {
        let topic = Topic::parse(live.topic, &self.limits).ok().filter(|_| !live.is_veiled());
        let listeners = topic.map(|topic| self.audiences.listeners(&topic)).unwrap_or_default();
        listeners.into_iter().map(|(socket, _)| socket).collect()
    }

    /// All sockets but that of the client.
    fn others(&self, client: ClientId) -> Vec<SocketId> {
        let conn = self.sessions.get(&client).and_then(|session| session.conn);
        let own = conn.and_then(|conn| self.links.socket_of(conn));
        let mut sockets = self.audiences.sockets();
        sockets.retain(|socket| Some(*socket) != own);
        sockets
    }

    fn fate(&self, socket: SocketId, live: &Live<'_>, listeners: &[SocketId]) -> Fate {
        let member = self.audiences.any_member(socket);
        let may_hear = member.is_some_and(|conn| self.may_hear(conn, live.topic));
        let is_matched = listeners.binary_search(&socket).is_ok();
        self.audiences.fate(socket, may_hear && !live.is_veiled(), is_matched)
    }

    /// What the node itself says to everyone on a socket.
    fn tell_socket(&mut self, socket: SocketId, frames: &[Frame<'_>]) {
        let envelope = Envelope { epoch: self.log.epoch(), ..Envelope::default() };
        self.send_to([socket].into(), &envelope, frames);
    }

    fn send_to(&mut self, sockets: Vec<SocketId>, envelope: &Envelope, frames: &[Frame<'_>]) {
        if sockets.is_empty() || frames.is_empty() {
            return;
        }
        let mut bytes = encode_envelope(envelope);
        for frame in frames {
            encode_frame(frame, &mut bytes);
        }
        self.broadcasts.push_back((Some(sockets), bytes));
    }
}
