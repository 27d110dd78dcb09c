//! Services and calls. A call is dispatched at most once: what can't be known after a node died
//! is asked of the servers while the new node settles, and else answered with "maybe executed".

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use crate::broker::Broker;
use crate::broker::services::{Server, Service};
use crate::error::{Code, Refused};
use crate::id::{CallId, ClientId, ConnId, MethodId, ServiceId};
use crate::marks::{Mark, mark};
use crate::sorted::Set;
use crate::time::{Instant, Now};
use crate::topic::Name;
use crate::wire::Frame;
use crate::wire::envelope::encode_frame;
use crate::wire::frame::{CallKey, Outcome};

/// Where a call is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    /// Waits for a server with room, or for a server at all while the node settles.
    Queued,
    /// May have been dispatched by an earlier node; waits for its server to say so.
    InDoubt,
    /// This client has it.
    Dispatched(ClientId),
}

#[derive(Debug)]
pub struct PendingCall {
    pub(super) service: String,
    pub(super) method: String,
    pub(super) arguments: Vec<u8>,
    pub(super) traceparent: Option<String>,
    pub(super) deadline: Instant,
    pub(super) stage: Stage,
    pub(super) service_id: ServiceId,
}

/// A `Call` frame, taken apart.
#[derive(Clone, Copy, Debug)]
pub struct Calling<'a> {
    pub call: CallId,
    pub method: MethodId,
    pub timeout_ms: u64,
    pub arguments: &'a [u8],
    pub first_epoch: Option<u64>,
    pub traceparent: Option<&'a str>,
}

impl Broker {
    pub(super) fn on_serve(
        &mut self,
        conn: ConnId,
        client: ClientId,
        service: ServiceId,
        name: &str,
        concurrency: u32,
    ) {
        let refused = self.serve(client, service, name, concurrency).err();
        let refused = refused.map(|refused| refused.code);
        self.links.push(conn, &Frame::Serving { service, refused });
    }

    pub(super) fn serve(
        &mut self,
        client: ClientId,
        service: ServiceId,
        name: &str,
        concurrency: u32,
    ) -> Result<(), Refused> {
        Name::parse(name, &self.limits)?;
        let Some(session) = self.sessions.get_mut(&client) else { return Err(Code::Closed.into()) };
        if session.services.contains_key(&service) {
            return Ok(());
        }
        if session.services.len() >= self.limits.handles_max as usize {
            return Err(Refused::new(Code::Full, "handles_max"));
        }
        session.services.insert(service, name.to_owned());
        let here =
            |call: &&PendingCall| call.stage == Stage::Dispatched(client) && call.service == name;
        let running = u32::try_from(self.calls.values().filter(here).count()).unwrap_or(u32::MAX);
        let concurrency = concurrency.max(1);
        let server = Server { client, service, concurrency, running, chosen: 0 };
        self.services.services.get_or_default(name.to_owned()).servers.push(server);
        self.services.touch(name);
        Ok(())
    }

    pub(super) fn on_unserve(&mut self, client: ClientId, service: ServiceId) {
        let Some(session) = self.sessions.get_mut(&client) else { return };
        if let Some(name) = session.services.remove(&service) {
            self.services.remove(&name, client, service);
        }
    }

    pub(super) fn on_method(&mut self, client: ClientId, id: MethodId, service: &str, name: &str) {
        let methods_max = self.limits.handles_max as usize;
        let Some(session) = self.sessions.get_mut(&client) else { return };
        if session.methods.len() < methods_max {
            session.methods.insert(id, (service.to_owned(), name.to_owned()));
        }
    }

    pub(super) fn on_call(&mut self, now: Now, conn: ConnId, client: ClientId, call: Calling<'_>) {
        let key = CallKey { caller: client, call: call.call };
        if self.calls.contains_key(&key) {
            return;
        }
        // What is said for the first time has no answer: an earlier page gave its number away.
        if call.first_epoch.is_none() {
            self.answers.drop_one(key);
            self.answers.said_first(key);
        }
        if let Some(result) = self.answers.get(&key) {
            mark(Mark::AnswerKept);
            return self.links.push_result(conn, result);
        }
        let methods = self.sessions.get(&client).map(|session| &session.methods);
        let Some((service, method)) = methods.and_then(|m| m.get(&call.method)).cloned() else {
            return self.hang_up(now, conn, Code::Protocol);
        };
        // One that was transmitted before may have run at an earlier node.
        let maybe_executed = call.first_epoch.is_some();
        if self.has_no_room_for_calls() {
            return self.fail_call_frame(conn, call.call, Code::Full, maybe_executed);
        }
        let trace_bytes = call.traceparent.map_or(0, str::len);
        if call.arguments.len() > self.limits.body_bytes_max as usize
            || trace_bytes > self.limits.headers_bytes_max as usize
        {
            return self.fail_call_frame(conn, call.call, Code::TooLarge, maybe_executed);
        }
        if call.first_epoch.is_some() && self.answers.was_given_up(&key) {
            return self.fail_call_frame(conn, call.call, Code::PeerLost, true);
        }
        let elsewhere = call.first_epoch.is_some_and(|first| first != self.log.epoch().counter);
        if elsewhere && self.settling.is_none() && !self.claimed.contains_key(&key) {
            return self.fail_call_frame(conn, call.call, Code::PeerLost, true);
        }
        let claimed = self.claimed.remove(&key);
        let stage = match claimed.filter(|server| self.may_claim(*server, Some(&service))) {
            Some(server) => Stage::Dispatched(server),
            None if elsewhere => Stage::InDoubt,
            None => Stage::Queued,
        };
        match stage {
            Stage::Queued => self.services.queue(&service, key),
            Stage::Dispatched(server) => self.services.count(&service, server, true),
            Stage::InDoubt => {}
        }
        let deadline = now.mono.after_ms(call.timeout_ms);
        let pending = PendingCall {
            service,
            method,
            arguments: call.arguments.to_vec(),
            traceparent: call.traceparent.map(ToOwned::to_owned),
            deadline,
            stage,
            service_id: ServiceId(0),
        };
        self.calls.insert(key, pending);
        self.call_ends.set(key, deadline);
    }

    /// Whether the node has the call, or its answer.
    pub(super) fn knows_call(&self, caller: ClientId, call: CallId) -> bool {
        let key = CallKey { caller, call };
        self.calls.contains_key(&key) || self.answers.get(&key).is_some()
    }

    /// No answer is forgotten to make room for another: its call would run again if it came again.
    fn has_no_room_for_calls(&self) -> bool {
        let to_answer = self.calls.len() + self.answers.len();
        self.calls.len() >= self.limits.calls_max as usize
            || to_answer >= self.limits.replies_max as usize
    }

    fn fail_call_frame(&mut self, conn: ConnId, call: CallId, code: Code, maybe_executed: bool) {
        let outcome = Outcome::Failed { code, maybe_executed };
        self.links.push(conn, &Frame::CallResult { call, outcome });
    }

    /// Gives queued calls to servers with room. A call of a service that nobody serves fails at
    /// once, unless the node settles and its server may still come back.
    pub(super) fn dispatch_calls(&mut self) {
        while let Some(name) = self.services.dirty.pop_first() {
            while self.dispatch_next(&name) {}
            let idle = |service: &Service| service.servers.is_empty() && service.queued.is_empty();
            if self.services.services.get(&name).is_some_and(idle) {
                self.services.services.remove(&name);
            }
        }
    }

    /// Dispatches or fails the first queued call of a service; false if it has to wait.
    fn dispatch_next(&mut self, name: &str) -> bool {
        let Some(service) = self.services.services.get_mut(name) else { return false };
        let Some(key) = service.queued.front().copied() else { return false };
        let alive = self.calls.get(&key).is_some_and(|call| call.stage == Stage::Queued);
        let unserved = service.servers.is_empty();
        if alive && unserved && self.settling.is_some() {
            return false;
        }
        let chosen = if alive && !unserved { self.choose_server(name) } else { None };
        if alive && !unserved && chosen.is_none() {
            return false;
        }
        if let Some(service) = self.services.services.get_mut(name) {
            service.queued.pop_front();
        }
        if let (Some(server), Some(call)) = (chosen, self.calls.get_mut(&key)) {
            call.stage = Stage::Dispatched(server.client);
            call.service_id = server.service;
            self.transmit_dispatch(key);
        } else if alive {
            let outcome = Outcome::Failed { code: Code::Unavailable, maybe_executed: false };
            self.finish_call(key, outcome);
        }
        true
    }

    /// The least busy attached server with room; among equals the one chosen longest ago.
    fn choose_server(&mut self, name: &str) -> Option<Server> {
        let sessions = &self.sessions;
        let attached =
            |client: &ClientId| sessions.get(client).is_some_and(|session| session.conn.is_some());
        let service = self.services.services.get_mut(name)?;
        let best = service
            .servers
            .iter_mut()
            .filter(|server| attached(&server.client) && server.running < server.concurrency)
            .min_by_key(|server| (server.running, server.chosen))?;
        self.services.turn += 1;
        best.chosen = self.services.turn;
        best.running += 1;
        Some(*best)
    }

    fn transmit_dispatch(&mut self, key: CallKey) {
        let Some(call) = self.calls.get(&key) else { return };
        let Stage::Dispatched(server) = call.stage else { return };
        let Some(conn) = self.sessions.get(&server).and_then(|session| session.conn) else {
            return;
        };
        let timeout_ms = call.deadline.ms_since(self.now.mono);
        let (service, method, arguments) = (call.service_id, &*call.method, &*call.arguments);
        let traceparent = call.traceparent.as_deref();
        let frame = Frame::Dispatch { key, service, method, timeout_ms, arguments, traceparent };
        self.links.push(conn, &frame);
    }

    pub(super) fn on_reply(
        &mut self,
        conn: ConnId,
        server: ClientId,
        key: CallKey,
        outcome: Outcome<'_>,
    ) {
        let has_it = |call: &PendingCall| match call.stage {
            Stage::Dispatched(client) => client == server,
            Stage::InDoubt => self.may_claim(server, Some(&call.service)),
            Stage::Queued => false,
        };
        if self.calls.get(&key).is_some_and(has_it) {
            self.finish_call(key, outcome);
        } else if self.settling.is_some()
            && !self.calls.contains_key(&key)
            && self.may_claim(server, None)
        {
            // The caller has not resumed yet; its answer waits for it.
            self.answer(key, outcome);
        }
        self.claimed.remove(&key);
        self.links.push(conn, &Frame::ReplyTaken { key });
    }

    /// Answers the caller and forgets the call.
    fn finish_call(&mut self, key: CallKey, outcome: Outcome<'_>) {
        let Some(call) = self.calls.remove(&key) else { return };
        self.call_ends.remove(key);
        if let Stage::Dispatched(server) = call.stage {
            self.services.count(&call.service, server, false);
        }
        self.answer(key, outcome);
    }

    /// Tells the caller and keeps the result until the caller says that it has it.
    fn answer(&mut self, key: CallKey, outcome: Outcome<'_>) {
        let mut result = Vec::new();
        encode_frame(&Frame::CallResult { call: key.call, outcome }, &mut result);
        let answered = self.answers.get(&key).is_some();
        let conn = self.sessions.get(&key.caller).and_then(|session| session.conn);
        if let Some(conn) = conn.filter(|_| !answered) {
            self.links.push_result(conn, &result);
        }
        self.answers.keep(key, result, self.limits.request_bytes_max as usize);
    }

    pub(super) fn on_calls_done(&mut self, caller: ClientId, below: CallId) {
        self.answers.forget_below(caller, below);
    }

    pub(super) fn on_cancel_call(&mut self, caller: ClientId, call: CallId) {
        self.cancel_call(CallKey { caller, call });
    }

    fn cancel_call(&mut self, key: CallKey) {
        let Some(call) = self.calls.remove(&key) else { return };
        self.call_ends.remove(key);
        let Stage::Dispatched(server) = call.stage else {
            return self.services.touch(&call.service);
        };
        self.services.count(&call.service, server, false);
        if let Some(conn) = self.sessions.get(&server).and_then(|session| session.conn) {
            self.links.push(conn, &Frame::CancelDispatch { key });
        }
    }

    /// Ends calls whose time is over. The server is told to stop.
    pub(super) fn expire_calls(&mut self, now: Now) {
        while let Some(key) = self.call_ends.pop_due(now.mono) {
            let executed = self.calls.get(&key).is_some_and(|call| call.stage != Stage::Queued);
            let outcome = Outcome::Failed { code: Code::Timeout, maybe_executed: executed };
            self.answer(key, outcome);
            self.cancel_call(key);
        }
    }

    /// The server lost its memory or is gone: what it had may have run.
    pub(super) fn fail_calls_served_by(&mut self, _now: Now, server: ClientId) {
        self.claimed.retain(|_, claiming| *claiming != server);
        for key in self.calls_at(server) {
            mark(Mark::CallPeerLost);
            let outcome = Outcome::Failed { code: Code::PeerLost, maybe_executed: true };
            self.finish_call(key, outcome);
        }
    }

    fn calls_at(&self, server: ClientId) -> Vec<CallKey> {
        let at = |call: &PendingCall| call.stage == Stage::Dispatched(server);
        self.calls.iter().filter(|(_, call)| at(call)).map(|(key, _)| *key).collect()
    }

    fn calls_of(&self, caller: ClientId) -> Vec<CallKey> {
        self.calls.keys().filter(|key| key.caller == caller).copied().collect()
    }

    /// The caller is gone: nobody waits for its calls.
    pub(super) fn forget_calls_of(&mut self, _now: Now, caller: ClientId) {
        for key in self.calls_of(caller) {
            self.cancel_call(key);
        }
        self.on_calls_done(caller, CallId(u32::MAX));
    }

    /// A page of the caller says its first Hello. It may be an earlier one, whose Hello was late,
    /// and then the page that lives says its calls again. So that none runs twice, their end and
    /// all answers are kept, until a page says that it has them.
    pub(super) fn give_up_calls_of(&mut self, caller: ClientId) {
        for key in self.calls_of(caller) {
            let executed = self.calls.get(&key).is_some_and(|call| call.stage != Stage::Queued);
            self.cancel_call(key);
            let outcome = Outcome::Failed { code: Code::PeerLost, maybe_executed: executed };
            self.answer(key, outcome);
        }
    }

    /// A server resumed and named the calls it has: those it does not know never reached it and
    /// are sent again; those an earlier node gave it are its own from now on. A late Hello of an
    /// earlier page may have claimed what this page never had.
    pub(super) fn resume_calls_served_by(&mut self, server: ClientId, serving: &[CallKey]) {
        for key in serving {
            let service = self.calls.get(key).map(|call| &*call.service);
            if !self.may_claim(server, service) {
                continue;
            }
            match self.calls.get_mut(key) {
                Some(call) if call.stage == Stage::InDoubt => {
                    call.stage = Stage::Dispatched(server);
                    self.services.count(&call.service, server, true);
                }
                Some(_) => {}
                None => {
                    let room = self.claimed.len() < self.limits.calls_max as usize;
                    if self.settling.is_some() && room {
                        mark(Mark::CallClaimed);
                        self.claimed.insert(*key, server);
                    }
                }
            }
        }
        for key in self.calls_at(server).into_iter().filter(|key| !serving.contains(key)) {
            if self.calls.get(&key).is_some_and(|call| call.service_id == ServiceId(0)) {
                // Claimed, not given by this node: the page that had it is gone.
                let outcome = Outcome::Failed { code: Code::PeerLost, maybe_executed: true };
                self.finish_call(key, outcome);
            } else {
                self.transmit_dispatch(key);
            }
        }
    }

    /// Calls and answers whose caller or server is neither here nor `awaited`. Those of a client
    /// that lives and was slow to resume are kept: it may ask again, and must not be served twice.
    pub(super) fn forget_calls_of_absent(&mut self, now: Now, awaited: &Set<ClientId>) {
        let mut absent: Set<ClientId> = self.answers.callers().collect();
        for (key, call) in self.calls.iter() {
            absent.insert(key.caller);
            if let Stage::Dispatched(server) = call.stage {
                absent.insert(server);
            }
        }
        absent.retain(|client| !self.sessions.contains_key(client) && !awaited.contains(client));
        for client in absent {
            self.fail_calls_served_by(now, client);
            self.forget_calls_of(now, client);
        }
    }

    /// Every server that could come back has: calls that none of them claimed may have run.
    pub(super) fn fail_calls_in_doubt(&mut self) {
        let in_doubt: Vec<CallKey> = self
            .calls
            .iter()
            .filter(|(_, call)| call.stage == Stage::InDoubt)
            .map(|(key, _)| *key)
            .collect();
        for key in in_doubt {
            mark(Mark::CallInDoubt);
            self.finish_call(key, Outcome::Failed { code: Code::PeerLost, maybe_executed: true });
        }
        self.services.touch_all();
    }
}
