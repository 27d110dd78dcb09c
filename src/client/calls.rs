//! Calls of one tab, from the caller's side.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use crate::client::Client;
use crate::client::io::{CallOptions, CallOutcome, Event};
use crate::error::{Code, Refused};
use crate::id::{CallId, MethodId};
use crate::limits::Limits;
use crate::sorted::{Line, LineSet, Map};
use crate::time::Instant;
use crate::topic::Name;
use crate::wire::Frame;
use crate::wire::frame::Outcome;

/// After a pause, results may be waiting behind the input that ended it: calls that are late
/// only because this client slept get this much time.
const AFTER_PAUSE_MS: u64 = 100;

/// The node is told of this many finished calls at a time, and before each new call.
const DONE_STEP: u32 = 32;

// Clients that call no more leave less than a step of answers each with the node, which has to have
// room for the calls of others.
const _: () = assert!(Limits::DEFAULTS.sessions_max * DONE_STEP < Limits::DEFAULTS.replies_max);

#[derive(Debug)]
struct Call {
    service: String,
    method: String,
    arguments: Vec<u8>,
    traceparent: Option<String>,
    deadline: Instant,
    /// Counter of the epoch it was first transmitted to.
    first_epoch: Option<u64>,
}

#[derive(Debug, Default)]
pub(super) struct Calls {
    calls: Line<CallId, Call>,
    last: u32,
    /// The first that was not transmitted on this link.
    link_next: CallId,
    deadlines: LineSet<(Instant, CallId)>,
    /// Methods that have a number on this link.
    methods: Map<(String, String), MethodId>,
    /// Calls that were given up after they were transmitted, until their deadline: the node of the
    /// next link is told again.
    cancelled: Map<CallId, Instant>,
    /// What the node was last told with `CallsDone`.
    told_below: CallId,
    /// Deadlines are not looked at before this.
    patient_until: Instant,
}

impl Calls {
    /// Numbers go on after `last`.
    pub fn after(last: CallId) -> Self {
        Self { last: last.0, ..Self::default() }
    }

    pub const fn last(&self) -> CallId {
        CallId(self.last)
    }

    pub fn forget_link(&mut self) {
        self.methods.clear();
    }

    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// Every call below this is answered or given up.
    fn done_below(&self) -> CallId {
        self.calls.keys().next().copied().unwrap_or(CallId(self.last.saturating_add(1)))
    }

    /// The client slept since `before`. Where timers are always late every one of them ends a
    /// pause: what was given time at the last one gets no more.
    pub fn woke(&mut self, before: Instant, now: Instant) {
        if self.patient_until <= before {
            self.patient_until = now.after_ms(AFTER_PAUSE_MS);
        }
    }

    pub fn wake_at(&self) -> Option<Instant> {
        let (deadline, _) = self.deadlines.first()?;
        Some((*deadline).max(self.patient_until))
    }

    fn take(&mut self, id: CallId) -> Option<Call> {
        let call = self.calls.remove(&id)?;
        self.deadlines.remove(&(call.deadline, id));
        Some(call)
    }
}

impl Client {
    pub(super) fn begin_call(
        &mut self,
        service: &str,
        method: &str,
        arguments: &[u8],
        options: CallOptions<'_>,
    ) -> Result<CallId, Refused> {
        let CallOptions { timeout_ms, traceparent } = options;
        Name::parse(service, &self.limits)?;
        Name::parse(method, &self.limits)?;
        self.check_body(arguments, traceparent.map(str::as_bytes))?;
        if self.calls.calls.len() >= self.limits.requests_max as usize
            || self.calls.last >= u32::MAX - 1
        {
            return Err(Refused::new(Code::Full, "requests_max"));
        }
        self.requests.reserve(arguments.len(), &self.limits)?;
        self.calls.last += 1;
        let id = CallId(self.calls.last);
        let deadline = self.now.mono.after_ms(timeout_ms);
        let call = Call {
            service: service.to_owned(),
            method: method.to_owned(),
            arguments: arguments.to_owned(),
            traceparent: traceparent.map(ToOwned::to_owned),
            deadline,
            first_epoch: None,
        };
        self.calls.calls.insert(id, call);
        self.calls.deadlines.insert((deadline, id));
        self.transmit_calls();
        Ok(id)
    }

    /// Transmits the calls that were not yet on this link, in their order, if there is a way.
    pub(super) fn transmit_calls(&mut self) {
        if !self.link.is_open() || self.is_held() {
            return;
        }
        while let Some((id, _)) = self.calls.calls.next_mut(&self.calls.link_next) {
            let id = *id;
            self.calls.link_next = CallId(id.0 + 1);
            self.transmit_call(id);
        }
    }

    /// Transmits a call if the link is open.
    fn transmit_call(&mut self, id: CallId) {
        let counter = match &self.link {
            super::link::Link::Open(open) => open.epoch.counter,
            _ => return,
        };
        let Some(method) = self.intern_method(id) else {
            return self.end_call(id, failed(Code::Full, false));
        };
        if self.calls.done_below() > self.calls.told_below {
            self.tell_calls_done();
        }
        let now = self.now.mono;
        let Some(call) = self.calls.calls.get_mut(&id) else { return };
        let first_epoch = call.first_epoch;
        call.first_epoch = first_epoch.or(Some(counter));
        let Some(writer) = self.link.writer() else { return };
        writer.push(&Frame::Call {
            call: id,
            method,
            timeout_ms: call.deadline.ms_since(now),
            arguments: &call.arguments,
            first_epoch,
            traceparent: call.traceparent.as_deref(),
        });
    }

    /// The number of the call's method on this link. `None` if there is no room for one more.
    fn intern_method(&mut self, id: CallId) -> Option<MethodId> {
        let call = self.calls.calls.get(&id)?;
        let key = (call.service.clone(), call.method.clone());
        if let Some(method) = self.calls.methods.get(&key) {
            return Some(*method);
        }
        let count = self.calls.methods.len();
        if count >= self.limits.handles_max as usize {
            return None;
        }
        let method = MethodId(u32::try_from(count + 1).ok()?);
        let writer = self.link.writer()?;
        writer.push(&Frame::Method { method, service: &call.service, name: &call.method });
        self.calls.methods.insert(key, method);
        Some(method)
    }

    pub(super) fn resend_calls(&mut self) {
        for call in self.calls.cancelled.keys() {
            if let Some(writer) = self.link.writer() {
                writer.push(&Frame::CancelCall { call: *call });
            }
        }
        self.calls.link_next = CallId(0);
        self.transmit_calls();
    }

    pub(super) fn on_call_result(&mut self, id: CallId, outcome: Outcome<'_>) {
        let outcome = match outcome {
            Outcome::Value(body) => CallOutcome::Value(body.to_owned()),
            Outcome::Threw(body) => CallOutcome::Threw(body.to_owned()),
            Outcome::Failed { code, maybe_executed } => failed(code, maybe_executed),
        };
        self.end_call(id, outcome);
        if self.calls.done_below().0 >= self.calls.told_below.0 + DONE_STEP {
            self.tell_calls_done();
        }
    }

    /// Tells the node which results it may forget.
    pub(super) fn tell_calls_done(&mut self) {
        let below = self.calls.done_below();
        self.calls.told_below = below;
        self.push(&Frame::CallsDone { below });
    }

    fn end_call(&mut self, id: CallId, outcome: CallOutcome) {
        let Some(call) = self.calls.take(id) else { return };
        self.requests.release(call.arguments.len());
        self.events.push_back(Event::CallEnded { call: id, outcome });
    }

    /// Ends a call that the node may still be busy with.
    fn give_up_call(&mut self, id: CallId, code: Code) {
        let Some(call) = self.calls.calls.get(&id) else { return };
        let maybe_executed = call.first_epoch.is_some();
        let deadline = call.deadline;
        if maybe_executed {
            self.push(&Frame::CancelCall { call: id });
            if deadline > self.now.mono
                && self.calls.cancelled.len() < self.limits.handles_max as usize
            {
                self.calls.cancelled.insert(id, deadline);
            }
        }
        self.end_call(id, failed(code, maybe_executed));
    }

    pub(super) fn cancel_one_call(&mut self, id: CallId) {
        self.give_up_call(id, Code::Cancelled);
    }

    /// Ends the calls whose time is over.
    pub(super) fn expire_calls(&mut self) {
        let now = self.now.mono;
        if now < self.calls.patient_until {
            return;
        }
        self.calls.cancelled.retain(|_, deadline| *deadline > now);
        while let Some((deadline, id)) = self.calls.deadlines.first().copied() {
            if deadline > now {
                break;
            }
            self.give_up_call(id, Code::Timeout);
        }
    }

    /// Ends every call; `all` or only those that a node has.
    pub(super) fn end_calls(&mut self, code: Code, all: bool) {
        let out = |call: &Call| all || call.first_epoch.is_some();
        let calls = self.calls.calls.iter().filter(|(_, call)| out(call));
        let calls: Vec<(CallId, bool)> =
            calls.map(|(id, call)| (*id, call.first_epoch.is_some())).collect();
        for (id, maybe_executed) in calls {
            self.end_call(id, failed(code, maybe_executed));
        }
        self.calls.cancelled.clear();
    }
}

const fn failed(code: Code, maybe_executed: bool) -> CallOutcome {
    CallOutcome::Failed { code, maybe_executed }
}
