//! What a client asks of all queues and services: lists, policies, traces, and counts as they
//! change.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use crate::cbor::{self, Write};
use crate::client::Client;
use crate::client::io::{Event, Handle};
use crate::error::{Code, Refused};
use crate::id::{RequestId, WatchId};
use crate::sorted::Map;
use crate::time::{Now, UnixMillis};
use crate::topic::{Filter, Name};
use crate::wire::Frame;
use crate::wire::frame::{Policy, QueueStats};

#[derive(Debug, Default)]
pub(super) struct Watches {
    queues: Map<WatchId, String>,
    last: u32,
}

impl Client {
    /// Asks for a page of the queues whose names fit the filter, behind the name `after`. `Listed`
    /// follows.
    ///
    /// # Errors
    /// As for every verb.
    pub fn list_queues(
        &mut self,
        now: Now,
        after: Option<&str>,
        filter: Option<&str>,
    ) -> Result<RequestId, Refused> {
        self.start_verb(now)?;
        if let Some(filter) = filter {
            Filter::parse(filter, &self.limits)?;
        }
        let request = self.ask(|request| Frame::ListQueues { request, after, filter });
        self.settle_forward();
        request
    }

    /// Asks for a page of the services that somebody serves or waits for, behind the name `after`.
    /// `Listed` follows.
    ///
    /// # Errors
    /// As for every verb.
    pub fn list_services(&mut self, now: Now, after: Option<&str>) -> Result<RequestId, Refused> {
        self.start_verb(now)?;
        let request = self.ask(|request| Frame::ListServices { request, after });
        self.settle_forward();
        request
    }

    /// Sets the policy of that name, or removes it. `Counted` follows with the number of queues
    /// that it applies to.
    ///
    /// # Errors
    /// As for every verb.
    pub fn set_policy(
        &mut self,
        now: Now,
        name: &str,
        policy: Option<Policy<'_>>,
    ) -> Result<RequestId, Refused> {
        self.start_verb(now)?;
        Name::parse(name, &self.limits)?;
        if let Some(policy) = &policy {
            Filter::parse(policy.pattern, &self.limits)?;
        }
        let request = self.ask(|request| Frame::SetPolicy { request, name, policy });
        self.settle_forward();
        request
    }

    /// Asks for all policies. `Listed` follows.
    ///
    /// # Errors
    /// As for every verb.
    pub fn list_policies(&mut self, now: Now) -> Result<RequestId, Refused> {
        self.start_verb(now)?;
        let request = self.ask(|request| Frame::ListPolicies { request });
        self.settle_forward();
        request
    }

    /// Has told what happens to messages of the queue, on topics that begin with `$tabmq.trace`, or
    /// no more. `QueueState` follows.
    ///
    /// # Errors
    /// As for every verb.
    pub fn trace(&mut self, now: Now, queue: &str, traced: bool) -> Result<RequestId, Refused> {
        self.operate(now, queue, |request| Frame::Trace { request, queue, traced })
    }

    /// Watches the counts of a queue. `QueueStats` follows, and again after each change, a few
    /// times a second at most.
    ///
    /// # Errors
    /// As for every verb.
    pub fn watch_queue(&mut self, now: Now, queue: &str) -> Result<WatchId, Refused> {
        self.start_verb(now)?;
        let watch = self.begin_watch(queue);
        self.settle_forward();
        watch
    }

    fn begin_watch(&mut self, queue: &str) -> Result<WatchId, Refused> {
        Name::parse(queue, &self.limits)?;
        self.check_handles(self.watches.queues.len())?;
        self.watches.last = self.watches.last.saturating_add(1);
        let watch = WatchId(self.watches.last);
        self.push(&Frame::WatchQueue { watch, queue });
        self.watches.queues.insert(watch, queue.to_owned());
        Ok(watch)
    }

    /// No more of its counts follow.
    pub fn unwatch_queue(&mut self, now: Now, watch: WatchId) {
        self.begin(now);
        if self.watches.queues.remove(&watch).is_some() {
            self.push(&Frame::UnwatchQueue { watch });
        }
        self.settle_forward();
    }

    pub(super) fn declare_watches(&mut self) {
        let Some(writer) = self.link.writer() else { return };
        for (watch, queue) in self.watches.queues.iter() {
            writer.push(&Frame::WatchQueue { watch: *watch, queue });
        }
    }

    pub(super) fn on_queue_stats(
        &mut self,
        watch: WatchId,
        at: UnixMillis,
        stats: Option<QueueStats>,
        refused: Option<Code>,
    ) {
        if let Some(code) = refused {
            let known = self.watches.queues.remove(&watch).is_some();
            self.refuse(Handle::Watch(watch), known, code);
        } else if self.watches.queues.contains_key(&watch) {
            self.events.push_back(Event::QueueStats { watch, at, stats });
        }
    }

    pub(super) fn on_list<T: Write>(&mut self, request: RequestId, entries: &[T], more: bool) {
        if self.take_question(request) {
            let mut page = Vec::new();
            cbor::encode(entries, &mut page);
            self.answer(request, Event::Listed { request, page, more });
        }
    }
}
