//! The class of the border. Each method checks its arguments, does one thing and returns; what
//! comes of it arrives as a batch of events from a microtask.

use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::{RefCell, RefMut};

use js_sys::{Error, Function, Promise, Reflect, Uint8Array};
use wasm_bindgen::prelude::*;

use crate::cbor;
use crate::client::Client;
use crate::client::io::CallOptions;
use crate::error::{Code, Refused};
use crate::id::{
    CallId, CandidateId, CheckerId, ConsumerId, LeaseNumber, MessageNumber, QueueId, RequestId,
    ServiceId, SubscriptionId, WatchId,
};
use crate::js::batch;
use crate::js::dispatches::Dispatches;
use crate::js::options;
use crate::options::{ConsumeOptions, Durability};
use crate::time::Now;
use crate::web::driver::{Driver, Telling};
use crate::web::worker::WorkerNews;
use crate::wire::frame::{Acked, Browse, Item, Outcome, Policy, Redrive, Settlement, Staged};

#[wasm_bindgen]
pub struct RawBus {
    pub(super) driver: Driver,
    dispatches: Rc<RefCell<Dispatches>>,
    durability: Durability,
}

pub(super) type Answer<T> = Result<T, JsValue>;

/// The one way an error takes to JavaScript.
#[inline(never)]
pub(super) fn to_error(refused: Refused) -> JsValue {
    let error = Error::new(refused.code.text());
    let set = |name: &str, value: JsValue| {
        // Fails only for a frozen object.
        let _ = Reflect::set(&error, &JsValue::from_str(name), &value);
    };
    set("code", refused.code.number().into());
    set("reason", refused.reason.into());
    error.into()
}

#[wasm_bindgen]
impl RawBus {
    #[wasm_bindgen(constructor)]
    pub fn new(name: &str, options: &JsValue, on_events: Function) -> Answer<RawBus> {
        let options = options::bus_options(options).map_err(to_error)?;
        let durability = options.durability;
        let dispatches = Rc::new(RefCell::new(Dispatches::default()));
        let seen = dispatches.clone();
        let tell = move |telling: Telling| {
            let batch = batch::encode(&telling, &mut seen.borrow_mut());
            if let Some(batch) = batch {
                hand_over(&on_events, &batch);
            }
        };
        let driver = Driver::new(name, options, tell).map_err(to_error)?;
        Ok(Self { driver, dispatches, durability })
    }

    /// True if the event `claimed` comes first, and waits for `goOn`.
    pub fn start(&self) -> Answer<bool> {
        self.driver.start().map_err(to_error)
    }

    pub fn publish(&self, topic: &str, body: &[u8], properties: Option<Vec<u8>>) -> Answer<u32> {
        self.ask(|client, now| client.publish(now, topic, body, properties.as_deref()))
            .map(|request| request.0)
    }

    pub fn subscribe(&self, filter: &str, group: Option<String>) -> Answer<u32> {
        self.ask(|client, now| client.subscribe(now, filter, group.as_deref()))
            .map(|subscription| subscription.0)
    }

    pub fn unsubscribe(&self, subscription: u32) -> Answer<()> {
        self.tell(|client, now| client.unsubscribe(now, SubscriptionId(subscription)))
    }

    pub fn declare(&self, queue: &str, options: &JsValue) -> Answer<u32> {
        let options = options::queue_options(options).map_err(to_error)?;
        self.ask(|client, now| client.declare(now, queue, options)).map(|request| request.0)
    }

    pub fn inspect(&self, queue: &str) -> Answer<u32> {
        self.ask(|client, now| client.inspect(now, queue)).map(|request| request.0)
    }

    pub fn send(
        &self,
        queue: &str,
        body: &[u8],
        properties: Option<Vec<u8>>,
        #[wasm_bindgen(js_name = delayMs)] delay_ms: Option<f64>,
        durability: Option<String>,
        track: Option<bool>,
    ) -> Answer<u32> {
        let (properties, delay_ms) = (properties.as_deref(), millis(delay_ms, "delay")?);
        let item = Item {
            body,
            properties,
            delay_ms,
            track,
            past: None,
            ttl_ms: None,
            priority: None,
            prepare: None,
        };
        self.send_items(queue, &[item], durability.as_deref(), None)
    }

    #[wasm_bindgen(js_name = sendBatch)]
    pub fn send_batch(
        &self,
        queue: &str,
        items: &[u8],
        durability: Option<String>,
        supersede: Option<String>,
    ) -> Answer<u32> {
        let items: Vec<Item<'_>> =
            cbor::decode(items).map_err(|_| to_error(Refused::new(Code::Invalid, "items")))?;
        self.send_items(queue, &items, durability.as_deref(), supersede.as_deref())
    }

    /// `writes` is an encoded list of `Staged`, `acks` one of `Acked`.
    pub fn commit(&self, writes: &[u8], acks: &[u8], durability: Option<String>) -> Answer<u32> {
        let malformed = |_| to_error(Refused::new(Code::Invalid, "transaction"));
        let writes: Vec<Staged<'_>> = cbor::decode(writes).map_err(malformed)?;
        let acks: Vec<Acked<'_>> = cbor::decode(acks).map_err(malformed)?;
        let durability = self.level(durability.as_deref())?;
        self.ask(|client, now| client.commit(now, &writes, &acks, durability))
            .map(|request| request.0)
    }

    /// Whether events tell how many items should be under way.
    #[wasm_bindgen(js_name = setIngest)]
    pub fn set_ingest(&self, on: bool) -> Answer<()> {
        self.tell(|client, now| client.set_ingest(now, on))
    }

    pub fn consume(&self, queue: &str, options: &[u8]) -> Answer<u32> {
        let options = consume_options(options)?;
        self.ask(|client, now| client.consume(now, queue, options)).map(|consumer| consumer.0)
    }

    #[wasm_bindgen(js_name = changeConsumer)]
    pub fn change_consumer(&self, consumer: u32, options: &[u8]) -> Answer<()> {
        let options = consume_options(options)?;
        self.ask(|client, now| client.change_consumer(now, ConsumerId(consumer), options))
    }

    pub fn pause(
        &self,
        queue: &str,
        paused: bool,
        #[wasm_bindgen(js_name = forMs)] for_ms: Option<f64>,
    ) -> Answer<u32> {
        let for_ms = millis(for_ms, "for")?;
        self.ask(|client, now| client.pause(now, queue, paused, for_ms)).map(|request| request.0)
    }

    pub fn purge(&self, queue: &str, through: f64) -> Answer<u32> {
        let through = MessageNumber(options::number(through, "through").map_err(to_error)?);
        self.ask(|client, now| client.purge(now, queue, through)).map(|request| request.0)
    }

    #[wasm_bindgen(js_name = deleteQueue)]
    pub fn delete_queue(
        &self,
        queue: &str,
        id: u32,
        #[wasm_bindgen(js_name = ifUnused)] if_unused: bool,
        #[wasm_bindgen(js_name = ifEmpty)] if_empty: bool,
    ) -> Answer<u32> {
        self.ask(|client, now| client.delete_queue(now, queue, QueueId(id), if_unused, if_empty))
            .map(|request| request.0)
    }

    #[wasm_bindgen(js_name = listQueues)]
    pub fn list_queues(&self, after: Option<String>, filter: Option<String>) -> Answer<u32> {
        let (after, filter) = (after.as_deref(), filter.as_deref());
        self.ask(|client, now| client.list_queues(now, after, filter)).map(|request| request.0)
    }

    #[wasm_bindgen(js_name = listServices)]
    pub fn list_services(&self, after: Option<String>) -> Answer<u32> {
        self.ask(|client, now| client.list_services(now, after.as_deref())).map(|request| request.0)
    }

    /// Without a pattern the policy is removed.
    #[wasm_bindgen(js_name = setPolicy)]
    pub fn set_policy(
        &self,
        name: &str,
        pattern: Option<String>,
        priority: u32,
        options: &JsValue,
    ) -> Answer<u32> {
        let policy = match &pattern {
            Some(pattern) => {
                let options = options::queue_options(options).map_err(to_error)?;
                Some(Policy { name, pattern, priority, options })
            }
            None => None,
        };
        self.ask(|client, now| client.set_policy(now, name, policy)).map(|request| request.0)
    }

    #[wasm_bindgen(js_name = listPolicies)]
    pub fn list_policies(&self) -> Answer<u32> {
        self.ask(Client::list_policies).map(|request| request.0)
    }

    pub fn trace(&self, queue: &str, traced: bool) -> Answer<u32> {
        self.ask(|client, now| client.trace(now, queue, traced)).map(|request| request.0)
    }

    #[wasm_bindgen(js_name = watchQueue)]
    pub fn watch_queue(&self, queue: &str) -> Answer<u32> {
        self.ask(|client, now| client.watch_queue(now, queue)).map(|watch| watch.0)
    }

    #[wasm_bindgen(js_name = unwatchQueue)]
    pub fn unwatch_queue(&self, watch: u32) -> Answer<()> {
        self.tell(|client, now| client.unwatch_queue(now, WatchId(watch)))
    }

    pub fn decide(
        &self,
        queue: &str,
        id: &str,
        commit: bool,
        durability: Option<String>,
    ) -> Answer<u32> {
        let durability = self.level(durability.as_deref())?;
        self.ask(|client, now| client.decide(now, queue, id, commit, durability))
            .map(|request| request.0)
    }

    pub fn check(&self, queue: &str) -> Answer<u32> {
        self.ask(|client, now| client.check(now, queue)).map(|checker| checker.0)
    }

    #[wasm_bindgen(js_name = endCheck)]
    pub fn end_check(&self, checker: u32) -> Answer<()> {
        self.tell(|client, now| client.end_check(now, CheckerId(checker)))
    }

    /// `redrive` is an encoded `Redrive`.
    pub fn redrive(&self, redrive: &[u8]) -> Answer<u32> {
        let redrive: Redrive<'_> =
            cbor::decode(redrive).map_err(|_| to_error(Refused::new(Code::Invalid, "redrive")))?;
        self.ask(|client, now| client.redrive(now, &redrive)).map(|request| request.0)
    }

    /// `browse` is an encoded `Browse`.
    pub fn browse(&self, queue: &str, browse: &[u8]) -> Answer<u32> {
        let browse: Browse =
            cbor::decode(browse).map_err(|_| to_error(Refused::new(Code::Invalid, "browse")))?;
        self.ask(|client, now| client.browse(now, queue, browse)).map(|request| request.0)
    }

    #[wasm_bindgen(js_name = cancelConsumer)]
    pub fn cancel_consumer(&self, consumer: u32) -> Answer<()> {
        self.tell(|client, now| client.cancel_consumer(now, ConsumerId(consumer)))
    }

    pub fn settle(
        &self,
        lease: f64,
        kind: u8,
        #[wasm_bindgen(js_name = afterMs)] after_ms: Option<f64>,
        reason: Option<String>,
        value: Option<Vec<u8>>,
    ) -> Answer<u32> {
        let lease = LeaseNumber(options::number(lease, "lease").map_err(to_error)?);
        let after_ms = millis(after_ms, "after")?;
        let reason = reason.as_deref();
        let settlement = match kind {
            1 => Settlement::Ack { value: value.as_deref() },
            2 => Settlement::Retry { after_ms, reason },
            3 => Settlement::Reject { reason },
            4 => Settlement::Release,
            5 => Settlement::Extend { lease_ms: after_ms },
            _ => return Err(to_error(Refused::new(Code::Invalid, "kind"))),
        };
        self.ask(|client, now| client.settle(now, lease, settlement)).map(|request| request.0)
    }

    pub fn track(&self, queue: &str, id: &str, processed: bool) -> Answer<u32> {
        self.ask(|client, now| client.track(now, queue, id, processed)).map(|request| request.0)
    }

    pub fn progress(&self, lease: f64, value: &[u8]) -> Answer<()> {
        let lease = LeaseNumber(options::number(lease, "lease").map_err(to_error)?);
        self.ask(|client, now| client.progress(now, lease, value))
    }

    pub fn serve(&self, name: &str, concurrency: u32) -> Answer<u32> {
        self.ask(|client, now| client.serve(now, name, concurrency)).map(|service| service.0)
    }

    pub fn unserve(&self, service: u32) -> Answer<()> {
        self.tell(|client, now| client.unserve(now, ServiceId(service)))
    }

    pub fn call(
        &self,
        service: &str,
        method: &str,
        arguments: &[u8],
        #[wasm_bindgen(js_name = timeoutMs)] timeout_ms: f64,
        traceparent: Option<String>,
    ) -> Answer<u32> {
        let timeout_ms = options::number(timeout_ms, "timeout").map_err(to_error)?;
        let options = CallOptions { timeout_ms, traceparent: traceparent.as_deref() };
        self.ask(|client, now| client.call_with(now, service, method, arguments, options))
            .map(|call| call.0)
    }

    #[wasm_bindgen(js_name = cancelCall)]
    pub fn cancel_call(&self, call: u32) -> Answer<()> {
        self.tell(|client, now| client.cancel_call(now, CallId(call)))
    }

    /// An answer to a dispatch that is over is ignored. One that is refused leaves the call open.
    pub fn reply(
        &self,
        dispatch: u32,
        kind: u8,
        body: Option<Vec<u8>>,
        code: Option<u8>,
    ) -> Answer<()> {
        let Some(key) = self.dispatches.borrow().key(dispatch) else { return Ok(()) };
        let body = body.unwrap_or_default();
        let outcome = match kind {
            1 => Outcome::Value(&body),
            2 => Outcome::Threw(&body),
            3 => Outcome::Failed { code: code_of(code)?, maybe_executed: true },
            _ => return Err(to_error(Refused::new(Code::Invalid, "kind"))),
        };
        self.ask(|client, now| client.reply(now, key, outcome))?;
        self.dispatches.borrow_mut().remove(dispatch);
        Ok(())
    }

    pub fn lead(&self, role: &str) -> Answer<u32> {
        self.ask(|client, now| client.stand(now, role)).map(|candidate| candidate.0)
    }

    pub fn resign(&self, candidate: u32) -> Answer<()> {
        self.tell(|client, now| client.resign(now, CandidateId(candidate)))
    }

    #[wasm_bindgen(js_name = cancelRequest)]
    pub fn cancel_request(&self, request: u32) -> Answer<()> {
        self.tell(|client, now| client.cancel_request(now, RequestId(request)))
    }

    pub fn flush(&self) -> Answer<u32> {
        self.ask(Client::flush).map(|request| request.0)
    }

    #[wasm_bindgen(js_name = setPeer)]
    pub fn set_peer(&self, info: &[u8]) -> Answer<()> {
        self.ask(|client, now| client.set_peer(now, info))
    }

    pub fn close(&self, drain: bool) -> Answer<()> {
        self.driver.close(drain).map_err(to_error)
    }

    pub fn kill(&self) {
        self.driver.abandon();
    }

    /// Tells a page of its worker: it waits for the lock, or it is not there.
    #[wasm_bindgen(js_name = workerNews)]
    pub fn worker_news(&self, up: bool) -> Answer<()> {
        let news = if up { WorkerNews::Up } else { WorkerNews::Down };
        self.driver.worker_news(news);
        Ok(())
    }

    /// Takes the lock of the node from whoever holds it.
    #[wasm_bindgen(js_name = stealLock)]
    pub fn steal_lock(&self) -> Answer<()> {
        self.driver.steal_lock().map_err(to_error)
    }

    #[wasm_bindgen(js_name = killHost)]
    pub fn kill_host(&self) -> Answer<()> {
        self.driver.kill_host().map_err(to_error)
    }

    #[wasm_bindgen(js_name = clientId)]
    pub fn client_id(&self) -> Answer<Vec<u8>> {
        self.driver.client_id().map(|client| client.0.to_vec()).map_err(to_error)
    }

    pub fn frames(&self) -> Answer<Vec<String>> {
        self.driver.trace().map_err(to_error)
    }
}

impl RawBus {
    #[inline(never)]
    fn client(&self) -> Answer<(RefMut<'_, Client>, Now)> {
        self.driver.client().map_err(to_error)
    }

    pub(super) fn tell(&self, verb: impl FnOnce(&mut Client, Now)) -> Answer<()> {
        let (mut client, now) = self.client()?;
        verb(&mut client, now);
        Ok(())
    }

    pub(super) fn ask<T>(
        &self,
        verb: impl FnOnce(&mut Client, Now) -> Result<T, Refused>,
    ) -> Answer<T> {
        let (mut client, now) = self.client()?;
        verb(&mut client, now).map_err(to_error)
    }

    fn send_items(
        &self,
        queue: &str,
        items: &[Item<'_>],
        durability: Option<&str>,
        supersede: Option<&str>,
    ) -> Answer<u32> {
        let durability = self.level(durability)?;
        let send = |client: &mut Client, now| match supersede {
            Some(subject) => client.send_latest(now, queue, items, durability, subject),
            None => client.send(now, queue, items, durability),
        };
        self.ask(send).map(|request| request.0)
    }

    pub(super) fn level(&self, durability: Option<&str>) -> Answer<Option<Durability>> {
        match durability {
            Some(text) => options::durability(text).map(Some).map_err(to_error),
            // What the queue was declared with goes before the default of the default.
            None => Ok(Some(self.durability).filter(|level| *level != Durability::Relaxed)),
        }
    }
}

/// An encoded `ConsumeOptions`.
fn consume_options(bytes: &[u8]) -> Answer<ConsumeOptions> {
    cbor::decode(bytes).map_err(|_| to_error(Refused::new(Code::Invalid, "options")))
}

fn millis(value: Option<f64>, reason: &'static str) -> Answer<Option<u64>> {
    value.map(|value| options::number(value, reason).map_err(to_error)).transpose()
}

fn code_of(number: Option<u8>) -> Answer<Code> {
    let code = number.and_then(Code::numbered);
    code.ok_or_else(|| to_error(Refused::new(Code::Invalid, "code")))
}

/// What the callback throws is a defect of its own: it is shown, and nothing here depends on it.
fn hand_over(on_events: &Function, batch: &[u8]) {
    if let Err(error) = on_events.call1(&JsValue::UNDEFINED, &Uint8Array::from(batch)) {
        drop(Promise::reject(&error));
    }
}
