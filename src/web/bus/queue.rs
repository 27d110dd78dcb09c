//! Queues: durable sends and deliveries under a lease.

use alloc::string::String;
use alloc::vec::Vec;
use core::pin::Pin;
use core::task::{Context, Poll};

use futures_channel::{mpsc, oneshot};
use futures_core::Stream;

use crate::cbor;
use crate::client::io::Handle;
use crate::error::{Code, Refused};
use crate::id::{ClientId, ConsumerId, LaneId, LeaseNumber, MessageNumber, Sequence};
use crate::options::{ConsumeOptions, Durability, QueueOptions};
use crate::web::bus::routes::Answer;
use crate::web::bus::{Bus, Error};
use crate::web::zones;
use crate::wire::frame::{
    Acked, Browse, Filter, Item, QueueCounts, QueueMessage, Redrive, ScheduleEntry, Scheduling,
    Settlement, Staged, Task, When,
};

/// Bodies a consumer takes before it has settled some.
const PREFETCH_BYTES: u32 = 4 << 20;

/// A queue by its name.
#[derive(Clone)]
pub struct Queue {
    pub(super) bus: Bus,
    pub(super) name: String,
}

/// A message that is stored on this device. Lane, sequence and index are its id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Receipt {
    pub lane: LaneId,
    pub sequence: Sequence,
    pub index: u32,
    /// The queue remembers the id from this message, so that this one is not stored.
    pub duplicate_of: Option<MessageNumber>,
}

/// The receipts of so many items.
pub(super) fn receipts(answer: Answer, count: usize) -> Result<Vec<Receipt>, Error> {
    let Answer::Sent { lane, sequence, duplicates } = answer else {
        return Err(Code::Internal.into());
    };
    let receipt = |index| {
        let repeats = duplicates.iter().find(|duplicate| duplicate.index == index);
        let duplicate_of = repeats.map(|duplicate| duplicate.number);
        Receipt { lane, sequence, index, duplicate_of }
    };
    Ok((0..).map(receipt).take(count).collect())
}

impl Queue {
    pub(super) fn new(bus: Bus, name: &str) -> Self {
        Self { bus, name: name.into() }
    }

    /// Creates the queue, or compares the options with those it has.
    ///
    /// # Errors
    /// `DUPLICATE_DECLARE` if a structural option differs.
    pub async fn declare(&self, options: QueueOptions) -> Result<QueueCounts, Error> {
        let verb =
            |client: &mut crate::client::Client, now| client.declare(now, &self.name, options);
        self.counts(self.bus.request(verb).await?)
    }

    /// The state of the queue in numbers.
    ///
    /// # Errors
    /// `NOT_FOUND` if it does not exist.
    pub async fn inspect(&self) -> Result<QueueCounts, Error> {
        let answer = self.bus.request(|client, now| client.inspect(now, &self.name)).await?;
        self.counts(answer)
    }

    /// Resolves when the message is stored. Numbers are given in the order of the calls.
    ///
    /// # Errors
    /// As for every verb, and `STORAGE` if there is no room.
    pub async fn send(&self, body: &[u8]) -> Result<Receipt, Error> {
        let item = Item {
            body,
            properties: None,
            delay_ms: None,
            track: None,
            past: None,
            ttl_ms: None,
            priority: None,
            prepare: None,
        };
        let receipts = self.send_batch(&[item], None).await?;
        receipts.first().copied().ok_or(Code::Internal.into())
    }

    /// The same for many, all or none, each with an id, headers or a delay of its own.
    ///
    /// # Errors
    /// As for `send`, and `UNSUPPORTED` for a durability that this host does not have.
    pub async fn send_batch(
        &self,
        items: &[Item<'_>],
        durability: Option<Durability>,
    ) -> Result<Vec<Receipt>, Error> {
        let verb = |client: &mut crate::client::Client, now| {
            client.send(now, &self.name, items, durability)
        };
        receipts(self.bus.request(verb).await?, items.len())
    }

    /// Messages under a lease, at most `prefetch` of them without a settlement.
    ///
    /// # Errors
    /// As for every verb.
    pub async fn consume(&self, prefetch: u32) -> Result<Consumer, Error> {
        self.consume_with(ConsumeOptions::new(prefetch, PREFETCH_BYTES)).await
    }

    /// The same with a priority, without bodies, or paused.
    ///
    /// # Errors
    /// As for every verb.
    pub async fn consume_with(&self, options: ConsumeOptions) -> Result<Consumer, Error> {
        let verb =
            |client: &mut crate::client::Client, now| client.consume(now, &self.name, options);
        let id = self.bus.verb(verb)?;
        let (sender, leased) = mpsc::unbounded();
        self.bus.inner.routes.borrow_mut().consumers.insert(id, sender);
        let consumer = Consumer { bus: self.bus.clone(), id, leased };
        self.bus.established(Handle::Consumer(id)).await?;
        Ok(consumer)
    }

    /// Stops delivery from the queue, for `for_ms` or until `resume`. Sends go on.
    ///
    /// # Errors
    /// `NOT_FOUND` if it does not exist.
    pub async fn pause(&self, for_ms: Option<u64>) -> Result<QueueCounts, Error> {
        let verb =
            |client: &mut crate::client::Client, now| client.pause(now, &self.name, true, for_ms);
        self.counts(self.bus.request(verb).await?)
    }

    /// Starts delivery again.
    ///
    /// # Errors
    /// `NOT_FOUND` if it does not exist.
    pub async fn resume(&self) -> Result<QueueCounts, Error> {
        let verb =
            |client: &mut crate::client::Client, now| client.pause(now, &self.name, false, None);
        self.counts(self.bus.request(verb).await?)
    }

    /// Discards what is there and not delivered, and tells how much.
    ///
    /// # Errors
    /// `NOT_FOUND` if it does not exist.
    pub async fn purge(&self) -> Result<u64, Error> {
        let through = self.inspect().await?.newest;
        let verb = |client: &mut crate::client::Client, now| client.purge(now, &self.name, through);
        self.counted(self.bus.request(verb).await?)
    }

    /// Deletes the queue and its messages, and tells how many these were.
    ///
    /// # Errors
    /// `NOT_FOUND` if it does not exist; `INVALID` if it has consumers (`if_unused`) or messages
    /// (`if_empty`).
    pub async fn delete(&self, if_unused: bool, if_empty: bool) -> Result<u64, Error> {
        let id = self.inspect().await?.id;
        let verb = |client: &mut crate::client::Client, now| {
            client.delete_queue(now, &self.name, id, if_unused, if_empty)
        };
        self.counted(self.bus.request(verb).await?)
    }

    /// Looks at a page of the queue and takes nothing.
    ///
    /// # Errors
    /// `NOT_FOUND` if it does not exist.
    pub async fn browse(&self, browse: Browse) -> Result<Page, Error> {
        let verb = |client: &mut crate::client::Client, now| client.browse(now, &self.name, browse);
        match self.bus.request(verb).await? {
            Answer::Page { page, more } => Ok(Page { encoded: page, more }),
            _ => Err(Code::Internal.into()),
        }
    }

    /// Moves dead letters of this queue back to it, as far as they fit. The `queue` of `redrive`
    /// names another dead-letter queue, if it is there. Gives how many were moved.
    ///
    /// # Errors
    /// `NOT_FOUND` if a queue does not exist, `INVALID` and `TOO_LARGE` for the filter.
    pub async fn redrive(&self, redrive: Redrive<'_>) -> Result<u64, Error> {
        let mut redrive = redrive;
        if redrive.queue.is_none() {
            redrive.filter.get_or_insert_default().queue.get_or_insert(&self.name);
        }
        self.counted(self.bus.request(|client, now| client.redrive(now, &redrive)).await?)
    }

    /// Has the node store a message at times, in the place of an earlier schedule of the same key.
    /// With `latest` that is the newest live publish to a topic, if there was one since the last
    /// time.
    ///
    /// # Errors
    /// `INVALID` for a time that is none, a zone that the browser does not know and what can't be
    /// sampled, `FULL` if there are too many.
    pub async fn schedule(&self, scheduling: Scheduling<'_>) -> Result<(), Error> {
        if let When::Cron { zone: Some(zone), .. } = scheduling.when
            && !zones::is_known(zone)
        {
            return Err(Refused::new(Code::Invalid, "zone").into());
        }
        let verb = |client: &mut crate::client::Client, now| {
            client.schedule(now, &self.name, &scheduling, None)
        };
        self.bus.request(verb).await.map(drop)
    }

    /// Ends the schedule that has this number in a list, and tells whether it was there.
    ///
    /// # Errors
    /// `NOT_FOUND` if there is no such queue.
    pub async fn unschedule(&self, number: MessageNumber) -> Result<bool, Error> {
        let verb =
            |client: &mut crate::client::Client, now| client.unschedule(now, &self.name, number);
        Ok(self.counted(self.bus.request(verb).await?)? > 0)
    }

    /// A page of the schedules of this queue, behind a key.
    ///
    /// # Errors
    /// `NOT_FOUND` if there is no such queue.
    pub async fn schedules(&self, after: Option<&str>) -> Result<ScheduleList, Error> {
        let verb =
            |client: &mut crate::client::Client, now| client.list_schedules(now, &self.name, after);
        match self.bus.request(verb).await? {
            Answer::Page { page, more } => Ok(ScheduleList { encoded: page, more }),
            _ => Err(Code::Internal.into()),
        }
    }

    /// Takes back a message that nobody holds, and tells whether it was there.
    ///
    /// # Errors
    /// `NOT_FOUND` if there is no such queue.
    pub async fn cancel(&self, id: &str) -> Result<bool, Error> {
        let filter = Some(Filter { ids: Some(Vec::from([id])), ..Filter::default() });
        let (queue, task, messages_max) = (Some(&*self.name), Some(Task::Cancel), Some(1));
        let order = Redrive { queue, filter, task, messages_max, ..Redrive::default() };
        Ok(self.counted(self.bus.request(|client, now| client.redrive(now, &order)).await?)? > 0)
    }

    fn counted(&self, answer: Answer) -> Result<u64, Error> {
        match answer {
            Answer::Counted(count) => Ok(count),
            _ => Err(Code::Internal.into()),
        }
    }

    fn counts(&self, answer: Answer) -> Result<QueueCounts, Error> {
        match answer {
            Answer::Queue(counts) => Ok(counts),
            _ => Err(Code::Internal.into()),
        }
    }
}

/// A page of a queue.
#[derive(Clone, Debug)]
pub struct Page {
    encoded: Vec<u8>,
    /// There may be more behind it.
    pub more: bool,
}

impl Page {
    /// Its messages, in the order of their numbers.
    #[must_use]
    pub fn messages(&self) -> Vec<QueueMessage<'_>> {
        // The client encoded them.
        cbor::decode(&self.encoded).unwrap_or_default()
    }
}

/// A page of schedules.
#[derive(Clone, Debug)]
pub struct ScheduleList {
    encoded: Vec<u8>,
    /// There are more behind it.
    pub more: bool,
}

impl ScheduleList {
    /// In the order of their keys.
    #[must_use]
    pub fn schedules(&self) -> Vec<ScheduleEntry<'_>> {
        // The client encoded them.
        cbor::decode(&self.encoded).unwrap_or_default()
    }
}

/// A delivery as it comes out of the client.
#[derive(Debug)]
pub struct Leased {
    pub lease: LeaseNumber,
    pub attempt: u32,
    pub body: Vec<u8>,
    pub properties: Option<Vec<u8>>,
    pub dead_reason: Option<String>,
    pub deaths: Option<Vec<u8>>,
    pub sender: Option<ClientId>,
    pub priority: u32,
    pub ended: oneshot::Receiver<()>,
}

/// The deliveries of one consumer, as many at a time as it has credit for.
pub struct Consumer {
    bus: Bus,
    id: ConsumerId,
    leased: mpsc::UnboundedReceiver<Leased>,
}

impl Stream for Consumer {
    type Item = Delivery;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Delivery>> {
        let leased = match Pin::new(&mut self.leased).poll_next(context) {
            Poll::Ready(Some(leased)) => leased,
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Pending => return Poll::Pending,
        };
        Poll::Ready(Some(Delivery {
            bus: self.bus.clone(),
            lease: leased.lease,
            settled: false,
            ended: leased.ended,
            attempt: leased.attempt,
            body: leased.body,
            properties: leased.properties,
            dead_reason: leased.dead_reason,
            deaths: leased.deaths,
            sender: leased.sender,
            priority: leased.priority,
        }))
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.bus.inner.routes.borrow_mut().consumers.remove(&self.id);
        // Refused only after a panic, when nothing is left to end.
        let _ = self.bus.inner.driver.with_client(|client, now| {
            client.cancel_consumer(now, self.id);
        });
    }
}

/// A message under a lease. One that is dropped without a settlement is given back.
pub struct Delivery {
    bus: Bus,
    lease: LeaseNumber,
    settled: bool,
    ended: oneshot::Receiver<()>,
    /// The first is 1.
    pub attempt: u32,
    pub body: Vec<u8>,
    pub properties: Option<Vec<u8>>,
    /// Why it went to the dead-letter queue that this one is.
    pub dead_reason: Option<String>,
    /// How and where it died so far: an encoded `History`, which `cbor::decode` reads.
    pub deaths: Option<Vec<u8>>,
    /// The peer that sent it, as the node knows it.
    pub sender: Option<ClientId>,
    /// As it was sent; the lowest is 0.
    pub priority: u32,
}

impl Delivery {
    /// Whether the lease is known to be over: the message belongs to another delivery.
    pub fn is_lost(&mut self) -> bool {
        self.ended.try_recv().is_err()
    }

    /// The message is processed.
    ///
    /// # Errors
    /// `STALE_LEASE` if the lease is over; nothing was changed.
    pub async fn ack(self) -> Result<(), Error> {
        self.settle(Settlement::Ack { value: None }).await
    }

    /// The message is processed, and these are stored with it: all of it happens or nothing.
    ///
    /// # Errors
    /// As for `ack`; and `FULL`, `TOO_LARGE` or `INVALID` for what is written. The message then
    /// comes again once its lease is over.
    pub async fn ack_with(mut self, writes: &[Staged<'_>]) -> Result<Vec<Receipt>, Error> {
        self.settled = true;
        let acks = [Acked { lease: self.lease, value: None }];
        self.bus.clone().commit(writes, &acks).await
    }

    /// It failed: deliver it again, after the wait or the queue's backoff.
    ///
    /// # Errors
    /// As for `ack`.
    pub async fn retry(self, after_ms: Option<u64>) -> Result<(), Error> {
        self.settle(Settlement::Retry { after_ms, reason: None }).await
    }

    /// To the dead-letter queue.
    ///
    /// # Errors
    /// As for `ack`.
    pub async fn reject(self, reason: &str) -> Result<(), Error> {
        self.settle(Settlement::Reject { reason: Some(reason) }).await
    }

    /// Gives it back: not a failure, not counted.
    ///
    /// # Errors
    /// As for `ack`.
    pub async fn release(self) -> Result<(), Error> {
        self.settle(Settlement::Release).await
    }

    async fn settle(mut self, settlement: Settlement<'_>) -> Result<(), Error> {
        self.settled = true;
        let (bus, lease) = (self.bus.clone(), self.lease);
        bus.request(|client, now| client.settle(now, lease, settlement)).await.map(drop)
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        self.bus.inner.routes.borrow_mut().leases.remove(&self.lease);
        if !self.settled {
            // Fails if the bus is closed, which gave it back already.
            let _ = self
                .bus
                .inner
                .driver
                .with_client(|client, now| client.settle(now, self.lease, Settlement::Release));
        }
    }
}
