//! Running the queues.

use alloc::vec::Vec;
use core::pin::Pin;
use core::task::{Context, Poll};

use futures_channel::mpsc;
use futures_core::Stream;

use crate::cbor;
use crate::error::Code;
use crate::id::{MessageNumber, WatchId};
use crate::web::bus::routes::Answer;
use crate::web::bus::{Bus, Error};
use crate::wire::frame::{Filter, Policy, QueueEntry, QueueStats, Redrive, ServiceEntry, Task};

/// What is done to all queues, or to any by its name.
#[derive(Clone)]
pub struct Admin {
    bus: Bus,
}

impl Admin {
    pub(super) const fn new(bus: Bus) -> Self {
        Self { bus }
    }

    /// A page of the queues behind the name `after`, of those that fit the filter.
    ///
    /// # Errors
    /// As for every verb.
    pub async fn list(&self, after: Option<&str>, filter: Option<&str>) -> Result<List, Error> {
        self.listed(self.bus.request(|client, now| client.list_queues(now, after, filter)).await?)
    }

    /// A page of the services behind the name `after` that somebody serves or waits for.
    ///
    /// # Errors
    /// As for every verb.
    pub async fn services(&self, after: Option<&str>) -> Result<List, Error> {
        self.listed(self.bus.request(|client, now| client.list_services(now, after)).await?)
    }

    /// Moves messages that nobody holds to another queue, as far as they fit, and tells how many.
    ///
    /// # Errors
    /// `NOT_FOUND` if a queue does not exist, `INVALID` and `TOO_LARGE` for the filter.
    pub async fn move_messages(
        &self,
        from: &str,
        into: &str,
        filter: Option<Filter<'_>>,
    ) -> Result<u64, Error> {
        let (queue, into, task) = (Some(from), Some(into), Some(Task::Move));
        self.pick(Redrive { queue, into, filter, task, ..Redrive::default() }).await
    }

    /// Discards one message, unless it is delivered, and tells whether it was there.
    ///
    /// # Errors
    /// `NOT_FOUND` if the queue does not exist.
    pub async fn delete_message(&self, queue: &str, number: MessageNumber) -> Result<bool, Error> {
        let filter = Some(Filter { numbers: Some(Vec::from([number])), ..Filter::default() });
        let (queue, task) = (Some(queue), Some(Task::Discard));
        let count = self.pick(Redrive { queue, filter, task, ..Redrive::default() }).await?;
        Ok(count > 0)
    }

    async fn pick(&self, order: Redrive<'_>) -> Result<u64, Error> {
        self.counted(self.bus.request(|client, now| client.redrive(now, &order)).await?)
    }

    /// Sets a policy and tells how many queues it applies to.
    ///
    /// # Errors
    /// `INVALID` for a pattern that is none and for structural options.
    pub async fn set_policy(&self, policy: Policy<'_>) -> Result<u64, Error> {
        let verb = |client: &mut crate::client::Client, now| {
            client.set_policy(now, policy.name, Some(policy.clone()))
        };
        self.counted(self.bus.request(verb).await?)
    }

    /// Removes a policy, if it is there.
    ///
    /// # Errors
    /// As for every verb.
    pub async fn remove_policy(&self, name: &str) -> Result<(), Error> {
        self.bus.request(|client, now| client.set_policy(now, name, None)).await.map(drop)
    }

    /// All policies.
    ///
    /// # Errors
    /// As for every verb.
    pub async fn policies(&self) -> Result<List, Error> {
        self.listed(self.bus.request(|client, now| client.list_policies(now)).await?)
    }

    /// Has told on topics that begin with `$tabmq.trace` what happens to messages of the queue, or
    /// no more.
    ///
    /// # Errors
    /// `NOT_FOUND` if it does not exist.
    pub async fn trace(&self, queue: &str, traced: bool) -> Result<(), Error> {
        self.bus.request(|client, now| client.trace(now, queue, traced)).await.map(drop)
    }

    /// The counts of a queue, now and whenever they changed, a few times a second at most; `None`
    /// while there is no such queue.
    ///
    /// # Errors
    /// As for every verb.
    pub fn watch(&self, queue: &str) -> Result<Watch, Error> {
        let id = self.bus.verb(|client, now| client.watch_queue(now, queue))?;
        let (sender, stats) = mpsc::unbounded();
        self.bus.inner.routes.borrow_mut().watches.insert(id, sender);
        Ok(Watch { bus: self.bus.clone(), id, stats })
    }

    fn counted(&self, answer: Answer) -> Result<u64, Error> {
        match answer {
            Answer::Counted(count) => Ok(count),
            _ => Err(Code::Internal.into()),
        }
    }

    fn listed(&self, answer: Answer) -> Result<List, Error> {
        match answer {
            Answer::Page { page, more } => Ok(List { encoded: page, more }),
            _ => Err(Code::Internal.into()),
        }
    }
}

/// A list, or a page of one.
#[derive(Clone, Debug)]
pub struct List {
    encoded: Vec<u8>,
    /// There may be more behind it.
    pub more: bool,
}

impl List {
    /// Its queues, in the order of their names; none if it is a list of something else.
    #[must_use]
    pub fn queues(&self) -> Vec<QueueEntry<'_>> {
        cbor::decode(&self.encoded).unwrap_or_default()
    }

    /// Its services, in the order of their names; none if it is a list of something else.
    #[must_use]
    pub fn services(&self) -> Vec<ServiceEntry<'_>> {
        cbor::decode(&self.encoded).unwrap_or_default()
    }

    /// Its policies, in the order of their names; none if it is a list of something else.
    #[must_use]
    pub fn policies(&self) -> Vec<Policy<'_>> {
        cbor::decode(&self.encoded).unwrap_or_default()
    }
}

/// The counts of one queue as they change. Ends when the bus is closed, or the watch refused.
pub struct Watch {
    bus: Bus,
    id: WatchId,
    stats: mpsc::UnboundedReceiver<Option<QueueStats>>,
}

impl Stream for Watch {
    type Item = Option<QueueStats>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.stats).poll_next(context)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.bus.inner.routes.borrow_mut().watches.remove(&self.id);
        // A bus that is closed watches nothing.
        let _ = self.bus.inner.driver.with_client(|client, now| client.unwatch_queue(now, self.id));
    }
}
