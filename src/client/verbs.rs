//! What a tab may ask of its client.

use crate::client::Client;
use crate::client::io::CallOptions;
use crate::error::{Code, Refused};
use crate::id::{
    CallId, CandidateId, ConsumerId, LeaseNumber, RequestId, ServiceId, SubscriptionId,
};
use crate::options::{ConsumeOptions, Durability, QueueOptions};
use crate::time::Now;
use crate::wire::Frame;
use crate::wire::frame::{CallKey, Item, Outcome, Settlement};

/// The verbs. Each is refused with `CLOSED` after `close`, with `FULL` at a bound, with `INVALID`
/// or `TOO_LARGE` for an argument; then nothing was changed.
impl Client {
    /// Sends a live message to everyone at once. `Published` follows when the node has heard it.
    ///
    /// # Errors
    /// As for every verb.
    pub fn publish(
        &mut self,
        now: Now,
        topic: &str,
        body: &[u8],
        properties: Option<&[u8]>,
    ) -> Result<RequestId, Refused> {
        self.start_verb(now)?;
        let request = self.begin_publish(topic, body, properties);
        self.settle_forward();
        request
    }

    /// `Subscribed` follows, then `Live`. With a group each message goes to one of its members.
    ///
    /// # Errors
    /// As for every verb.
    pub fn subscribe(
        &mut self,
        now: Now,
        filter: &str,
        group: Option<&str>,
    ) -> Result<SubscriptionId, Refused> {
        self.start_verb(now)?;
        let subscription = self.begin_subscribe(filter, group);
        self.settle_forward();
        subscription
    }

    pub fn unsubscribe(&mut self, now: Now, subscription: SubscriptionId) {
        self.begin(now);
        self.end_subscription(subscription);
        self.settle_forward();
    }

    /// Creates a queue or compares it with the one that exists. `QueueState` follows.
    ///
    /// # Errors
    /// As for every verb.
    pub fn declare(
        &mut self,
        now: Now,
        queue: &str,
        options: QueueOptions,
    ) -> Result<RequestId, Refused> {
        self.start_verb(now)?;
        let request = self.begin_declare(queue, options);
        self.settle_forward();
        request
    }

    /// `QueueState` follows.
    ///
    /// # Errors
    /// As for every verb.
    pub fn inspect(&mut self, now: Now, queue: &str) -> Result<RequestId, Refused> {
        self.start_verb(now)?;
        let request = self.begin_inspect(queue);
        self.settle_forward();
        request
    }

    /// Stores all items or none, in the order of the calls. `Sent` follows.
    ///
    /// # Errors
    /// As for every verb.
    pub fn send(
        &mut self,
        now: Now,
        queue: &str,
        items: &[Item<'_>],
        durability: Option<Durability>,
    ) -> Result<RequestId, Refused> {
        self.start_verb(now)?;
        let request = self.begin_send(queue, items, durability);
        self.settle_forward();
        request
    }

    /// Whether `Window` shall tell how many items should be under way: it follows at once, on each
    /// new link and whenever the node changes its mind.
    pub fn set_ingest(&mut self, now: Now, on: bool) {
        self.begin(now);
        if core::mem::replace(&mut self.ingests, on) != on {
            self.push(&Frame::Ingest { on });
        }
        self.settle_forward();
    }

    /// `Consuming` follows, then `Delivery`: at most `prefetch` without a settlement, whose bodies
    /// have `prefetch_bytes` together; one may always come.
    ///
    /// # Errors
    /// As for every verb.
    pub fn consume(
        &mut self,
        now: Now,
        queue: &str,
        options: ConsumeOptions,
    ) -> Result<ConsumerId, Refused> {
        self.start_verb(now)?;
        let consumer = self.begin_consume(queue, options);
        self.settle_forward();
        consumer
    }

    /// Changes credit, priority or pause of a consumer. What is out stays out.
    ///
    /// # Errors
    /// As for every verb, and `NOT_FOUND` if it was ended.
    pub fn change_consumer(
        &mut self,
        now: Now,
        consumer: ConsumerId,
        options: ConsumeOptions,
    ) -> Result<(), Refused> {
        self.start_verb(now)?;
        let changed = self.begin_change_consumer(consumer, options);
        self.settle_forward();
        changed
    }

    /// The page came into view, or went out of it. Among consumers of the same priority those of
    /// visible pages are served first.
    pub fn set_visible(&mut self, now: Now, visible: bool) {
        self.begin(now);
        self.change_visible(visible);
        self.settle_forward();
    }

    /// Deliveries that are out stay with the client until it settles them.
    pub fn cancel_consumer(&mut self, now: Now, consumer: ConsumerId) {
        self.begin(now);
        self.end_consumer(consumer);
        self.settle_forward();
    }

    /// `Settled` follows, or `Failed` with `STALE_LEASE`. Allowed while the client drains.
    ///
    /// # Errors
    /// As for every verb.
    pub fn settle(
        &mut self,
        now: Now,
        lease: LeaseNumber,
        settlement: Settlement<'_>,
    ) -> Result<RequestId, Refused> {
        self.begin(now);
        if self.is_closed() {
            return Err(Code::Closed.into());
        }
        let request = self.begin_settle(lease, settlement);
        self.settle_forward();
        request
    }

    /// Offers a service. `Serving` follows, then `Dispatch`.
    ///
    /// # Errors
    /// As for every verb.
    pub fn serve(&mut self, now: Now, name: &str, concurrency: u32) -> Result<ServiceId, Refused> {
        self.start_verb(now)?;
        let service = self.begin_serve(name, concurrency);
        self.settle_forward();
        service
    }

    /// Takes no more calls. Those under way go on.
    pub fn unserve(&mut self, now: Now, service: ServiceId) {
        self.begin(now);
        self.end_service(service);
        self.settle_forward();
    }

    /// `CallEnded` follows, at the latest after `timeout_ms`.
    ///
    /// # Errors
    /// As for every verb.
    pub fn call(
        &mut self,
        now: Now,
        service: &str,
        method: &str,
        arguments: &[u8],
        timeout_ms: u64,
    ) -> Result<CallId, Refused> {
        let options = CallOptions { timeout_ms, traceparent: None };
        self.call_with(now, service, method, arguments, options)
    }

    /// As `call`, with more options.
    ///
    /// # Errors
    /// As for every verb.
    pub fn call_with(
        &mut self,
        now: Now,
        service: &str,
        method: &str,
        arguments: &[u8],
        options: CallOptions<'_>,
    ) -> Result<CallId, Refused> {
        self.start_verb(now)?;
        let call = self.begin_call(service, method, arguments, options);
        self.settle_forward();
        call
    }

    /// `CallEnded` with `CANCELLED` follows, unless the call is over.
    pub fn cancel_call(&mut self, now: Now, call: CallId) {
        self.begin(now);
        self.cancel_one_call(call);
        self.settle_forward();
    }

    /// Answers a `Dispatch`. The answer to one that is over or was answered is ignored. Allowed
    /// while the client drains.
    ///
    /// # Errors
    /// `TOO_LARGE` and `FULL` as for every verb; the call then still waits for an answer, and
    /// `Outcome::Failed` is always taken.
    pub fn reply(&mut self, now: Now, key: CallKey, outcome: Outcome<'_>) -> Result<(), Refused> {
        self.begin(now);
        if self.is_closed() {
            return Err(Code::Closed.into());
        }
        let taken = self.answer_dispatch(key, outcome);
        self.settle_forward();
        taken
    }

    /// Stands for a role. `Leading` follows when this client leads it.
    ///
    /// # Errors
    /// As for every verb.
    pub fn stand(&mut self, now: Now, role: &str) -> Result<CandidateId, Refused> {
        self.start_verb(now)?;
        let candidate = self.begin_stand(role);
        self.settle_forward();
        candidate
    }

    /// Leads no more and does not stand. No event follows.
    pub fn resign(&mut self, now: Now, candidate: CandidateId) {
        self.begin(now);
        self.end_candidate(candidate);
        self.settle_forward();
    }

    /// Changes what the others see of this client.
    ///
    /// # Errors
    /// As for every verb.
    pub fn set_peer(&mut self, now: Now, info: &[u8]) -> Result<(), Refused> {
        self.start_verb(now)?;
        self.check_body(&[], Some(info))?;
        self.peer = info.to_vec();
        self.change_peer();
        self.settle_forward();
        Ok(())
    }

    /// `Flushed` follows when every request made before is answered. Calls are not waited for.
    ///
    /// # Errors
    /// As for every verb.
    pub fn flush(&mut self, now: Now) -> Result<RequestId, Refused> {
        self.start_verb(now)?;
        let request = self.begin_flush();
        self.settle_forward();
        request
    }

    /// The user waits no more: no event follows for this request. What was asked for may still
    /// happen.
    pub fn cancel_request(&mut self, now: Now, request: RequestId) {
        self.begin(now);
        self.cancel_redrive(request);
        self.silence_request(request);
        self.settle_forward();
    }

    /// Leaves for good; `Closed` follows and nothing after it. With `drain` what was asked for
    /// is waited for, at most `limits.verb_timeout_ms`. What has no answer fails with `CLOSED`.
    pub fn close(&mut self, now: Now, drain: bool) {
        self.begin(now);
        self.begin_close(drain);
        self.settle_forward();
    }

    /// The page goes to sleep. Leases are given back, calls end; the lane, the handles and what has
    /// no answer are kept. Nothing is sent until `unpark`.
    pub fn park(&mut self, now: Now) {
        self.begin(now);
        self.begin_park();
        self.settle_forward();
    }

    /// The page is back: dials at once.
    pub fn unpark(&mut self, now: Now) {
        self.begin(now);
        self.end_park();
        self.settle_forward();
    }
}
