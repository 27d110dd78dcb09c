//! The verbs for Rust that is compiled to wasm: futures and streams over the driver, with no
//! JavaScript beside what wasm-bindgen makes for the app itself.
//!
//! Bodies are bytes. An app picks its own encoding.

mod admin;
mod live;
mod prepared;
mod queue;
mod routes;
mod service;

use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::fmt;

use futures_channel::oneshot;

use crate::client::Client;
use crate::client::io::{CallOptions, CallOutcome, Handle, Peer};
use crate::error::{Code, Refused};
use crate::id::RequestId;
use crate::limits::Limits;
use crate::options::Durability;
use crate::time::Now;
pub use crate::web::bus::admin::{Admin, List, Watch};
pub use crate::web::bus::live::{Heard, Message, Subscription};
pub use crate::web::bus::prepared::{Asked, Checker, Prepared};
use crate::web::bus::queue::receipts;
pub use crate::web::bus::queue::{Consumer, Delivery, Page, Queue, Receipt};
use crate::web::bus::routes::{Answer, Routes};
pub use crate::web::bus::service::{Request, Service};
use crate::web::choices::Reach;
use crate::web::driver::{Driver, DriverOptions, HostChoice, StorageChoice, Telling};
use crate::wire::frame::{Acked, Staged};

/// Why a verb failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Error {
    pub code: Code,
    /// A short word on what it is about; empty if the code says all.
    pub reason: String,
    /// Whether it may have happened all the same.
    pub maybe_executed: bool,
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        Self { code: refused.code, reason: refused.reason.into(), maybe_executed: false }
    }
}

impl From<Code> for Error {
    fn from(code: Code) -> Self {
        Refused::from(code).into()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.code.text())?;
        if !self.reason.is_empty() {
            out.write_str(": ")?;
            out.write_str(&self.reason)?;
        }
        Ok(())
    }
}

impl core::error::Error for Error {}

/// How a call failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CallError {
    /// The method answered with an error of its own.
    Threw(Vec<u8>),
    Failed(Error),
}

/// How to open a bus.
#[derive(Clone, Debug)]
pub struct Options {
    /// Keys the local storage; buses of two users are apart.
    pub user: Option<String>,
    /// Keep nothing beyond the life of the host.
    pub memory_only: bool,
    /// Name and tags that the other peers see; opaque to tabmq.
    pub peer: Vec<u8>,
    pub limits: Limits,
}

impl Default for Options {
    fn default() -> Self {
        Self { user: None, memory_only: false, peer: Vec::new(), limits: Limits::DEFAULTS }
    }
}

/// Opens the bus of this name: all realms of the origin that do so share it. Resolves once a node
/// answers, which may be here.
///
/// # Errors
/// `INVALID` for the name, `UNSUPPORTED` if this runtime can't do what the options ask.
pub async fn connect(name: &str, options: Options) -> Result<Bus, Error> {
    let routes = Rc::new(RefCell::new(Routes::default()));
    let told = routes.clone();
    let tell = move |telling: Telling| {
        let mut routes = told.borrow_mut();
        for notice in telling.notices {
            routes.take(notice);
        }
    };
    let buffer_messages_max = options.limits.gap_messages_max as usize;
    let call_timeout_ms = options.limits.call_timeout_ms;
    let driver_options = DriverOptions {
        user: options.user,
        host: HostChoice::Auto,
        storage: if options.memory_only { StorageChoice::Memory } else { StorageChoice::Auto },
        durability: Durability::Relaxed,
        limits: options.limits,
        peer: options.peer,
        guest: None,
        takes_up: false,
        reach: Reach::Device,
        timer: None,
        sleeper: None,
    };
    let driver = Driver::new(name, driver_options, tell)?;
    driver.start()?;
    let inner = Inner { driver, routes, buffer_messages_max, call_timeout_ms };
    let bus = Bus { inner: Rc::new(inner) };
    bus.ready().await?;
    Ok(bus)
}

/// One bus. Clones share it; the last one that is dropped leaves without a word, so `close` it.
#[derive(Clone)]
pub struct Bus {
    inner: Rc<Inner>,
}

struct Inner {
    driver: Driver,
    routes: Rc<RefCell<Routes>>,
    buffer_messages_max: usize,
    call_timeout_ms: u64,
}

impl Bus {
    /// Resolves once a node answers.
    ///
    /// # Errors
    /// If this realm can't take part, or the bus is closed.
    pub async fn ready(&self) -> Result<(), Error> {
        let waiting = {
            let mut routes = self.inner.routes.borrow_mut();
            if let Some(error) = &routes.over {
                return Err(error.clone());
            }
            if routes.is_ready {
                return Ok(());
            }
            let (sender, waiting) = oneshot::channel();
            routes.ready.push(sender);
            waiting
        };
        waiting.await.unwrap_or(Err(Code::Closed.into()))
    }

    /// Sends a live message to everyone at once. Resolves when the node has heard it.
    ///
    /// # Errors
    /// As for every verb: `INVALID`, `TOO_LARGE`, `FULL`, `CLOSED`.
    pub async fn publish(&self, topic: &str, body: &[u8]) -> Result<(), Error> {
        self.request(|client, now| client.publish(now, topic, body, None)).await.map(drop)
    }

    /// Live messages whose topic matches; `*` is one word and `#` any number.
    ///
    /// # Errors
    /// As for every verb.
    pub async fn subscribe(&self, filter: &str) -> Result<Subscription, Error> {
        Subscription::open(self, filter).await
    }

    /// A queue of this name; it is made at its first use.
    #[must_use]
    pub fn queue(&self, name: &str) -> Queue {
        Queue::new(self.clone(), name)
    }

    /// Lists, watches and runs the queues.
    #[must_use]
    pub fn admin(&self) -> Admin {
        Admin::new(self.clone())
    }

    /// Stores messages in several queues: all of them or none. The receipts are in their order.
    ///
    /// # Errors
    /// As for every send.
    pub async fn transaction(&self, writes: &[Staged<'_>]) -> Result<Vec<Receipt>, Error> {
        self.commit(writes, &[]).await
    }

    async fn commit(
        &self,
        writes: &[Staged<'_>],
        acks: &[Acked<'_>],
    ) -> Result<Vec<Receipt>, Error> {
        let answer = self.request(|client, now| client.commit(now, writes, acks, None)).await?;
        receipts(answer, writes.iter().map(|staged| staged.items.len()).sum())
    }

    /// Offers a service: at most `concurrency` calls are under way at a time.
    ///
    /// # Errors
    /// As for every verb.
    pub async fn serve(&self, name: &str, concurrency: u32) -> Result<Service, Error> {
        Service::open(self, name, concurrency).await
    }

    /// Calls a method; ends at the latest after `limits.call_timeout_ms`.
    ///
    /// # Errors
    /// What the method threw, or why there is no answer.
    pub async fn call(
        &self,
        service: &str,
        method: &str,
        arguments: &[u8],
    ) -> Result<Vec<u8>, CallError> {
        self.call_traced(service, method, arguments, None).await
    }

    /// As `call`, as a part of the trace that `traceparent` names
    /// (<https://www.w3.org/TR/trace-context>); the server gets it as it is.
    ///
    /// # Errors
    /// What the method threw, or why there is no answer.
    pub async fn call_traced(
        &self,
        service: &str,
        method: &str,
        arguments: &[u8],
        traceparent: Option<&str>,
    ) -> Result<Vec<u8>, CallError> {
        let options = CallOptions { timeout_ms: self.inner.call_timeout_ms, traceparent };
        let call = self
            .verb(|client, now| client.call_with(now, service, method, arguments, options))
            .map_err(CallError::Failed)?;
        let (sender, outcome) = oneshot::channel();
        self.inner.routes.borrow_mut().calls.insert(call, sender);
        match outcome.await {
            Ok(CallOutcome::Value(value)) => Ok(value),
            Ok(CallOutcome::Threw(error)) => Err(CallError::Threw(error)),
            Ok(CallOutcome::Failed { code, maybe_executed }) => {
                Err(CallError::Failed(Error { code, reason: String::new(), maybe_executed }))
            }
            Err(_) => Err(CallError::Failed(Code::Closed.into())),
        }
    }

    /// The peers on the bus, this one included, as they were told last.
    #[must_use]
    pub fn peers(&self) -> Vec<Peer> {
        self.inner.routes.borrow().peers.clone()
    }

    /// Waits for what was asked for, hands over what this realm hosts, and leaves.
    pub async fn close(&self) {
        let (sender, closed) = oneshot::channel();
        {
            let mut routes = self.inner.routes.borrow_mut();
            if routes.over.is_some() {
                return;
            }
            routes.closed.push(sender);
        }
        if self.inner.driver.close(true).is_ok() {
            let _ = closed.await;
        }
    }

    fn verb<T>(
        &self,
        verb: impl FnOnce(&mut Client, Now) -> Result<T, Refused>,
    ) -> Result<T, Error> {
        Ok(self.inner.driver.with_client(verb)??)
    }

    /// Runs a verb that ends in one answer. Its event can't come before the answer is awaited:
    /// events come from a microtask.
    async fn request(
        &self,
        verb: impl FnOnce(&mut Client, Now) -> Result<RequestId, Refused>,
    ) -> Result<Answer, Error> {
        let request = self.verb(verb)?;
        let (sender, answer) = oneshot::channel();
        self.inner.routes.borrow_mut().requests.insert(request, sender);
        answer.await.unwrap_or(Err(Code::Closed.into()))
    }

    /// Waits until a handle takes effect.
    async fn established(&self, handle: Handle) -> Result<(), Error> {
        let (sender, established) = oneshot::channel();
        self.inner.routes.borrow_mut().handles.insert(handle, sender);
        established.await.unwrap_or(Err(Code::Closed.into()))
    }
}
