//! Services: calls as a stream.

use alloc::string::String;
use alloc::vec::Vec;
use core::pin::Pin;
use core::task::{Context, Poll};

use futures_channel::mpsc;
use futures_core::Stream;

use crate::client::io::Handle;
use crate::error::Code;
use crate::id::ServiceId;
use crate::web::bus::{Bus, Error};
use crate::wire::frame::{CallKey, Outcome};

/// A call as it comes out of the client.
#[derive(Debug)]
pub struct Dispatched {
    pub key: CallKey,
    pub method: String,
    pub arguments: Vec<u8>,
    pub traceparent: Option<String>,
}

/// The calls of one service, at most `concurrency` without an answer. Dropping it takes no more
/// calls; those under way go on.
pub struct Service {
    bus: Bus,
    id: ServiceId,
    dispatched: mpsc::UnboundedReceiver<Dispatched>,
}

impl Service {
    pub(super) async fn open(bus: &Bus, name: &str, concurrency: u32) -> Result<Self, Error> {
        let id = bus.verb(|client, now| client.serve(now, name, concurrency))?;
        let (sender, dispatched) = mpsc::unbounded();
        bus.inner.routes.borrow_mut().services.insert(id, sender);
        let service = Self { bus: bus.clone(), id, dispatched };
        bus.established(Handle::Service(id)).await?;
        Ok(service)
    }
}

impl Stream for Service {
    type Item = Request;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Request>> {
        let dispatched = match Pin::new(&mut self.dispatched).poll_next(context) {
            Poll::Ready(Some(dispatched)) => dispatched,
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Pending => return Poll::Pending,
        };
        let Dispatched { key, method, arguments, traceparent } = dispatched;
        Poll::Ready(Some(Request {
            bus: self.bus.clone(),
            key,
            answered: false,
            method,
            arguments,
            traceparent,
        }))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.bus.inner.routes.borrow_mut().services.remove(&self.id);
        // Refused only after a panic, when nothing is left to end.
        let _ = self.bus.inner.driver.with_client(|client, now| client.unserve(now, self.id));
    }
}

/// A call under way. One that is dropped without an answer fails at its caller.
pub struct Request {
    bus: Bus,
    key: CallKey,
    answered: bool,
    pub method: String,
    pub arguments: Vec<u8>,
    /// Where the caller says that it belongs in a trace.
    pub traceparent: Option<String>,
}

impl Request {
    /// The method returned.
    ///
    /// # Errors
    /// `TOO_LARGE` or `CLOSED`.
    pub fn reply(self, value: &[u8]) -> Result<(), Error> {
        self.answer(Outcome::Value(value))
    }

    /// The method failed with an error of its own.
    ///
    /// # Errors
    /// `TOO_LARGE` or `CLOSED`.
    pub fn throw(self, error: &[u8]) -> Result<(), Error> {
        self.answer(Outcome::Threw(error))
    }

    fn answer(mut self, outcome: Outcome<'_>) -> Result<(), Error> {
        self.bus.verb(|client, now| client.reply(now, self.key, outcome))?;
        self.answered = true;
        Ok(())
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        if !self.answered {
            let failed = Outcome::Failed { code: Code::Unavailable, maybe_executed: true };
            // Fails if the bus is closed, which told the caller already.
            let _ = self.bus.verb(|client, now| client.reply(now, self.key, failed));
        }
    }
}
