//! `every-request-settles`: each request, call and handle gets exactly one end or answer; calls
//! get theirs within their timeout and one second, as their caller's running time counts.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;

use crate::client::io::{Event, Handle};
use crate::id::{CallId, RequestId};
use crate::sim::check::{Checker, View, Violation, violated};
use crate::sim::fact::{Ask, Fact, ProcessId};
use crate::sim::schedule::{MILLI, Micros, SECOND};

const SETTLES: &str = "every-request-settles";

/// Timers of a page may be late, and a frozen page wakes with a backlog.
const CALL_GRACE: Micros = SECOND;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Key {
    Request(RequestId),
    Call(CallId),
    Handle(Handle),
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    name: &'static str,
    /// When it has to be over, for what has a deadline.
    until: Option<Micros>,
}

#[derive(Debug, Default)]
pub struct Requests {
    waiting: BTreeMap<(ProcessId, Key), Waiting>,
    closed: BTreeSet<ProcessId>,
    tracks: BTreeSet<(ProcessId, RequestId)>,
    frozen_at: BTreeMap<ProcessId, Micros>,
    hidden_at: BTreeMap<ProcessId, Micros>,
    settled: usize,
}

impl Requests {
    /// How many were settled.
    #[must_use]
    pub const fn settled(&self) -> usize {
        self.settled
    }

    fn asked(&mut self, now: Micros, process: ProcessId, ask: &Ask) {
        let (key, name) = match ask {
            Ask::Send { request, .. } => (Key::Request(*request), "send"),
            Ask::Declare { request, .. } => (Key::Request(*request), "declare"),
            Ask::Inspect { request, .. } => (Key::Request(*request), "inspect"),
            Ask::Operate { request, .. } => (Key::Request(*request), "operate"),
            // May wait for as long as the message does.
            Ask::Track { request, .. } => {
                self.tracks.insert((process, *request));
                return;
            }
            Ask::Prepare { request, .. } => (Key::Request(*request), "prepare"),
            Ask::Decide { request, .. } => (Key::Request(*request), "decide"),
            Ask::Check { checker } => (Key::Handle(Handle::Checker(*checker)), "check"),
            Ask::EndCheck { checker } => {
                return self.drop_handle(process, Handle::Checker(*checker));
            }
            Ask::Redrive { request } => (Key::Request(*request), "redrive"),
            Ask::CancelRedrive { request } => {
                self.waiting.remove(&(process, Key::Request(*request)));
                return;
            }
            Ask::Settle { request, .. } => (Key::Request(*request), "settle"),
            Ask::Commit { request, .. } => (Key::Request(*request), "commit"),
            Ask::Flush { request } => (Key::Request(*request), "flush"),
            Ask::Publish { request, .. } => (Key::Request(*request), "publish"),
            Ask::Call { call, .. } => (Key::Call(*call), "call"),
            Ask::Subscribe { subscription, .. } => {
                (Key::Handle(Handle::Subscription(*subscription)), "subscribe")
            }
            Ask::Consume { consumer, .. } => (Key::Handle(Handle::Consumer(*consumer)), "consume"),
            Ask::Serve { service, .. } => (Key::Handle(Handle::Service(*service)), "serve"),
            Ask::Unsubscribe { subscription } => {
                return self.drop_handle(process, Handle::Subscription(*subscription));
            }
            Ask::CancelConsumer { consumer } => {
                return self.drop_handle(process, Handle::Consumer(*consumer));
            }
            Ask::Unserve { service } => {
                return self.drop_handle(process, Handle::Service(*service));
            }
            _ => return,
        };
        let until = match ask {
            Ask::Call { timeout_ms, .. } => Some(now + timeout_ms * MILLI + CALL_GRACE),
            _ => None,
        };
        self.waiting.insert((process, key), Waiting { name, until });
    }

    fn drop_handle(&mut self, process: ProcessId, handle: Handle) {
        self.waiting.remove(&(process, Key::Handle(handle)));
    }

    fn told(&mut self, now: Micros, process: ProcessId, event: &Event) -> Result<(), Violation> {
        if self.closed.contains(&process) {
            let what = format!("process {} hears of {event:?} after its end", process.0);
            return violated(SETTLES, what);
        }
        if let Event::Tracked { request, .. } | Event::Failed { request, .. } = event
            && self.tracks.remove(&(process, *request))
        {
            return Ok(());
        }
        let key = match event {
            Event::Tracked { request, .. }
            | Event::Published { request }
            | Event::QueueState { request, .. }
            | Event::Counted { request, .. }
            | Event::Listed { request, .. }
            | Event::Sent { request, .. }
            | Event::Failed { request, .. }
            | Event::Settled { request }
            | Event::Flushed { request } => Key::Request(*request),
            Event::CallEnded { call, .. } => Key::Call(*call),
            Event::Subscribed { subscription } => {
                return self.answered(process, Handle::Subscription(*subscription));
            }
            Event::Consuming { consumer, .. } => {
                return self.answered(process, Handle::Consumer(*consumer));
            }
            Event::Check { checker, message: None } => {
                return self.answered(process, Handle::Checker(*checker));
            }
            Event::Serving { service } => return self.answered(process, Handle::Service(*service)),
            Event::HandleRefused { handle, .. } => return self.answered(process, *handle),
            Event::Closed { .. } => return self.close(process),
            _ => return Ok(()),
        };
        let Some(waiting) = self.waiting.remove(&(process, key)) else {
            let what = format!("process {}: {key:?} settles again: {event:?}", process.0);
            return violated(SETTLES, what);
        };
        self.settled += 1;
        let in_view = !self.hidden_at.contains_key(&process);
        match waiting.until.filter(|until| in_view && *until < now) {
            Some(until) => {
                let late_ms = (now - until) / MILLI;
                violated(SETTLES, format!("process {}: {key:?} ends {late_ms} ms late", process.0))
            }
            None => Ok(()),
        }
    }

    /// A handle may be answered again after each resume.
    fn answered(&mut self, process: ProcessId, handle: Handle) -> Result<(), Violation> {
        self.waiting.remove(&(process, Key::Handle(handle)));
        Ok(())
    }

    fn close(&mut self, process: ProcessId) -> Result<(), Violation> {
        self.closed.insert(process);
        let left = self.waiting.range((process, Key::Request(RequestId(0)))..);
        let left = left.take_while(|((owner, _), _)| *owner == process);
        for ((_, key), waiting) in left {
            if !matches!(key, Key::Handle(_)) {
                let what = format!("process {} closes before its {} ends", process.0, waiting.name);
                return violated(SETTLES, what);
            }
        }
        self.waiting.retain(|(owner, _), _| *owner != process);
        Ok(())
    }

    /// The time since then does not count, for the process stood still or its timers were late.
    fn go_on(&mut self, now: Micros, process: ProcessId, since: Option<Micros>) {
        let Some(frozen_at) = since else { return };
        let of_process = self.waiting.iter_mut().filter(|((owner, _), _)| *owner == process);
        for (_, waiting) in of_process {
            // What fell due in it ends now.
            waiting.until = waiting.until.map(|until| until.max(frozen_at) + (now - frozen_at));
        }
    }
}

impl Checker for Requests {
    fn observe(&mut self, view: View<'_>, fact: &Fact<'_>) -> Result<(), Violation> {
        match fact {
            Fact::Asked { process, ask } => self.asked(view.now, *process, ask),
            Fact::Told { process, event } => return self.told(view.now, *process, event),
            Fact::Froze { process } | Fact::Parked { process } => {
                self.frozen_at.insert(*process, view.now);
            }
            Fact::Hidden { process } => {
                self.hidden_at.insert(*process, view.now);
            }
            Fact::Thawed { process } => {
                let since = self.frozen_at.remove(process);
                self.go_on(view.now, *process, since);
            }
            Fact::Shown { process } => {
                let since = self.hidden_at.remove(process);
                self.go_on(view.now, *process, since);
            }
            Fact::Ended { process } => {
                self.waiting.retain(|(owner, _), _| owner != process);
                self.frozen_at.remove(process);
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(&mut self, _view: View<'_>) -> Result<(), Violation> {
        match self.waiting.first_key_value() {
            Some(((process, key), waiting)) => {
                let what = format!("process {}: {} {key:?} has no end", process.0, waiting.name);
                violated(SETTLES, what)
            }
            None => Ok(()),
        }
    }
}
