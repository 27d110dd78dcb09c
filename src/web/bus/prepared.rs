//! Prepared messages: stored first, and sent once somebody decides so.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::pin::Pin;
use core::task::{Context, Poll};

use futures_channel::mpsc;
use futures_core::Stream;

use crate::cbor;
use crate::client::io::Handle;
use crate::error::Code;
use crate::id::{CheckerId, MessageNumber};
use crate::web::bus::queue::{Queue, receipts};
use crate::web::bus::routes::Answer;
use crate::web::bus::{Bus, Error};
use crate::wire::frame::{Item, Properties, QueueMessage};

impl Queue {
    /// Stores a message that nobody gets until it is committed. Its delay and its time to live run
    /// from here. It is asked about after `check_after_ms`, or the limit `prepared_check_after_ms`.
    ///
    /// # Errors
    /// As for `send`.
    pub async fn prepare(
        &self,
        item: &Item<'_>,
        check_after_ms: Option<u64>,
    ) -> Result<Prepared, Error> {
        let verb = |client: &mut crate::client::Client, now| {
            client.prepare(now, &self.name, item, check_after_ms, None)
        };
        let stored = receipts(self.bus.request(verb).await?, 1)?;
        let stored = stored.first().ok_or(Code::Internal)?;
        let properties = item.properties.and_then(|bytes| cbor::decode(bytes).ok());
        let own = properties.and_then(|properties: Properties<'_>| properties.id);
        let made = || format!("{}-{}-{}", stored.lane.0, stored.sequence.0, stored.index);
        Ok(self.prepared(&own.map_or_else(made, String::from)))
    }

    /// The message that was prepared under this id, by whichever tab.
    #[must_use]
    pub fn prepared(&self, id: &str) -> Prepared {
        Prepared { queue: self.clone(), id: id.into() }
    }

    /// May be asked about prepared messages of the queue for which nobody decided.
    ///
    /// # Errors
    /// As for every verb.
    pub async fn check(&self) -> Result<Checker, Error> {
        let id = self.bus.verb(|client, now| client.check(now, &self.name))?;
        let (sender, asked) = mpsc::unbounded();
        self.bus.inner.routes.borrow_mut().checkers.insert(id, sender);
        let checker = Checker { bus: self.bus.clone(), id, asked };
        self.bus.established(Handle::Checker(id)).await?;
        Ok(checker)
    }
}

/// A message that waits for a decision. Dropping it decides nothing.
#[derive(Clone)]
pub struct Prepared {
    queue: Queue,
    id: String,
}

impl Prepared {
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Sends the message. Gives the one that it repeats, if the queue remembers its id from that.
    ///
    /// # Errors
    /// `DISCARDED` if it was rolled back, `NOT_FOUND` if nothing is known of it.
    pub async fn commit(&self) -> Result<Option<MessageNumber>, Error> {
        let repeated = self.decide(true).await?;
        Ok(Some(MessageNumber(repeated)).filter(|_| repeated > 0))
    }

    /// Drops the message.
    ///
    /// # Errors
    /// `NOT_FOUND` if it was committed, or nothing is known of it.
    pub async fn rollback(&self) -> Result<(), Error> {
        self.decide(false).await.map(drop)
    }

    async fn decide(&self, commit: bool) -> Result<u64, Error> {
        let Queue { bus, name } = &self.queue;
        let verb = |client: &mut crate::client::Client, now| {
            client.decide(now, name, &self.id, commit, None)
        };
        match bus.request(verb).await? {
            Answer::Counted(repeated) => Ok(repeated),
            _ => Err(Code::Internal.into()),
        }
    }
}

/// Messages that are asked about. The answer is a decision by their id, or none: then another one
/// who checks is asked later.
pub struct Checker {
    bus: Bus,
    id: CheckerId,
    asked: mpsc::UnboundedReceiver<Vec<u8>>,
}

impl Stream for Checker {
    type Item = Asked;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Asked>> {
        Pin::new(&mut self.asked).poll_next(context).map(|asked| Some(Asked { encoded: asked? }))
    }
}

impl Drop for Checker {
    fn drop(&mut self) {
        self.bus.inner.routes.borrow_mut().checkers.remove(&self.id);
        // A bus that is closed is asked nothing.
        let _ = self.bus.inner.driver.with_client(|client, now| client.end_check(now, self.id));
    }
}

/// A message that is asked about.
#[derive(Clone, Debug)]
pub struct Asked {
    encoded: Vec<u8>,
}

impl Asked {
    /// Its `attempts` counts the questions. `None` only if the client is of another version.
    #[must_use]
    pub fn message(&self) -> Option<QueueMessage<'_>> {
        cbor::decode(&self.encoded).ok()
    }
}
