//! Where each event of the client goes: to the future or the stream that waits for it.

use alloc::string::String;
use alloc::vec::Vec;
use core::mem;

use futures_channel::mpsc;
use futures_channel::oneshot;

use crate::client::io::{CallOutcome, Event, Handle, Peer};
use crate::error::Code;
use crate::id::{
    CallId, CheckerId, ConsumerId, LaneId, LeaseNumber, RequestId, Sequence, ServiceId,
    SubscriptionId, WatchId,
};
use crate::sorted::{Line, Map};
use crate::web::bus::Error;
use crate::web::bus::live::{Heard, Message};
use crate::web::bus::queue::Leased;
use crate::web::bus::service::Dispatched;
use crate::web::io::Notice;
use crate::wire::frame::{Duplicate, QueueCounts, QueueStats};

/// What a request is answered with.
#[derive(Clone, Debug)]
pub enum Answer {
    Done,
    Queue(QueueCounts),
    Sent { lane: LaneId, sequence: Sequence, duplicates: Vec<Duplicate> },
    Counted(u64),
    Page { page: Vec<u8>, more: bool },
}

pub type AnswerSender = oneshot::Sender<Result<Answer, Error>>;

/// The way to one subscription. What it has no room for is counted and told in its place.
pub struct LiveRoute {
    pub sender: mpsc::Sender<Heard>,
    pub lost: u64,
}

/// Everyone who waits.
#[derive(Default)]
pub struct Routes {
    pub requests: Line<RequestId, AnswerSender>,
    pub calls: Line<CallId, oneshot::Sender<CallOutcome>>,
    pub live: Map<SubscriptionId, LiveRoute>,
    pub consumers: Map<ConsumerId, mpsc::UnboundedSender<Leased>>,
    /// Ends of the leases that are out.
    pub leases: Line<LeaseNumber, oneshot::Sender<()>>,
    /// What each watched queue looked like last.
    pub watches: Map<WatchId, mpsc::UnboundedSender<Option<QueueStats>>>,
    /// Prepared messages that are asked about.
    pub checkers: Map<CheckerId, mpsc::UnboundedSender<Vec<u8>>>,
    pub services: Map<ServiceId, mpsc::UnboundedSender<Dispatched>>,
    pub handles: Map<Handle, oneshot::Sender<Result<(), Error>>>,
    pub ready: Vec<oneshot::Sender<Result<(), Error>>>,
    pub is_ready: bool,
    pub peers: Vec<Peer>,
    /// Why nothing works any more.
    pub over: Option<Error>,
    pub closed: Vec<oneshot::Sender<()>>,
}

impl Routes {
    pub fn take(&mut self, notice: Notice) {
        match notice {
            Notice::Client(event) => self.event(event),
            Notice::Error { code, reason } => {
                self.fail_ready(&Error { code, reason: reason.into(), maybe_executed: false });
            }
            Notice::Host(_)
            | Notice::StorageFull(_)
            | Notice::StorageBlocked
            | Notice::WorkerMustHost
            | Notice::WaitsAgain
            | Notice::Claimed
            | Notice::Unreachable => {}
        }
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Ready { .. } => {
                self.is_ready = true;
                for ready in self.ready.drain(..) {
                    // Who waits no more has dropped the other end; so everywhere here.
                    let _ = ready.send(Ok(()));
                }
            }
            Event::Lost => self.is_ready = false,
            Event::Peers { peers } => self.peers = peers,
            Event::Published { request }
            | Event::Settled { request }
            | Event::Flushed { request } => self.answer(request, Ok(Answer::Done)),
            Event::QueueState { request, state, .. } => {
                self.answer(request, Ok(Answer::Queue(state)))
            }
            Event::Counted { request, count } => self.answer(request, Ok(Answer::Counted(count))),
            Event::Listed { request, page, more } => {
                self.answer(request, Ok(Answer::Page { page, more }));
            }
            Event::Sent { request, lane, sequence, duplicates } => {
                self.answer(request, Ok(Answer::Sent { lane, sequence, duplicates }));
            }
            Event::Failed { request, code, reason, maybe_executed } => {
                self.answer(request, Err(Error { code, reason, maybe_executed }));
            }
            Event::CallEnded { call, outcome } => {
                if let Some(sender) = self.calls.remove(&call) {
                    let _ = sender.send(outcome);
                }
            }
            Event::Subscribed { subscription } => {
                self.handle(Handle::Subscription(subscription), Ok(()));
            }
            Event::Consuming { consumer, .. } => self.handle(Handle::Consumer(consumer), Ok(())),
            Event::Serving { service } => self.handle(Handle::Service(service), Ok(())),
            Event::HandleRefused { handle, code } => self.refuse(handle, code),
            Event::LeaseLost { lease } => {
                self.leases.remove(&lease);
            }
            Event::Closed { code } => self.close(code),
            other => self.message(other),
        }
    }

    fn message(&mut self, event: Event) {
        match event {
            Event::Live { subscription, publisher, number, topic, body, properties } => {
                let message = Message { publisher, number, topic, body, properties };
                self.heard(subscription, Heard::Message(message), 1);
            }
            Event::Gap { subscription, first, last, .. } => {
                let lost = last.0.saturating_sub(first.0).saturating_add(1);
                self.heard(subscription, Heard::Lost(lost), lost);
            }
            Event::Delivery {
                consumer,
                lease,
                attempt,
                body,
                properties,
                dead_reason,
                deaths,
                sender: from,
                priority,
                ..
            } => {
                let Some(to) = self.consumers.get(&consumer) else { return };
                let (end, ended) = oneshot::channel();
                self.leases.insert(lease, end);
                let leased = Leased {
                    lease,
                    attempt,
                    body,
                    properties,
                    dead_reason,
                    deaths,
                    sender: from,
                    priority,
                    ended,
                };
                let _ = to.unbounded_send(leased);
            }
            Event::QueueStats { watch, stats, .. } => {
                let Some(sender) = self.watches.get(&watch) else { return };
                let _ = sender.unbounded_send(stats);
            }
            Event::Check { checker, message } => {
                let Some(message) = message else {
                    return self.handle(Handle::Checker(checker), Ok(()));
                };
                let Some(sender) = self.checkers.get(&checker) else { return };
                let _ = sender.unbounded_send(message);
            }
            Event::Dispatch { key, service, method, arguments, traceparent, .. } => {
                let Some(sender) = self.services.get(&service) else { return };
                let dispatched = Dispatched { key, method, arguments, traceparent };
                let _ = sender.unbounded_send(dispatched);
            }
            // Roles have no verb here, and a server learns of a cancel when it answers.
            _ => {}
        }
    }

    /// Never silently short: what did not fit is told before what comes next.
    fn heard(&mut self, subscription: SubscriptionId, heard: Heard, count: u64) {
        let Some(route) = self.live.get_mut(&subscription) else { return };
        let lost = mem::take(&mut route.lost);
        if lost > 0 && route.sender.try_send(Heard::Lost(lost)).is_err() {
            route.lost = lost.saturating_add(count);
        } else if route.sender.try_send(heard).is_err() {
            route.lost = count;
        }
    }

    fn answer(&mut self, request: RequestId, answer: Result<Answer, Error>) {
        if let Some(sender) = self.requests.remove(&request) {
            let _ = sender.send(answer);
        }
    }

    fn handle(&mut self, handle: Handle, result: Result<(), Error>) {
        if let Some(sender) = self.handles.remove(&handle) {
            let _ = sender.send(result);
        }
    }

    /// The stream of the handle ends.
    fn refuse(&mut self, handle: Handle, code: Code) {
        self.handle(handle, Err(code.into()));
        match handle {
            Handle::Subscription(subscription) => drop(self.live.remove(&subscription)),
            Handle::Consumer(consumer) => drop(self.consumers.remove(&consumer)),
            Handle::Service(service) => drop(self.services.remove(&service)),
            Handle::Watch(watch) => drop(self.watches.remove(&watch)),
            Handle::Checker(checker) => drop(self.checkers.remove(&checker)),
            Handle::Candidate(_) => {}
        }
    }

    fn fail_ready(&mut self, error: &Error) {
        for ready in self.ready.drain(..) {
            let _ = ready.send(Err(error.clone()));
        }
    }

    /// The client has answered everything by now; streams end.
    fn close(&mut self, code: Code) {
        let error = Error { code, reason: String::new(), maybe_executed: false };
        self.fail_ready(&error);
        let closed = mem::take(&mut self.closed);
        *self = Self { over: Some(error), ..Self::default() };
        for closed in closed {
            let _ = closed.send(());
        }
    }
}
