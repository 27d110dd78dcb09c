//! Live messages as a stream.

use alloc::string::String;
use alloc::vec::Vec;
use core::pin::Pin;
use core::task::{Context, Poll};

use futures_channel::mpsc;
use futures_core::Stream;

use crate::client::io::Handle;
use crate::id::{ClientId, PublishNumber, SubscriptionId};
use crate::web::bus::routes::LiveRoute;
use crate::web::bus::{Bus, Error};

/// A live message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    pub publisher: ClientId,
    /// Place among the messages of its publisher.
    pub number: PublishNumber,
    pub topic: String,
    pub body: Vec<u8>,
    pub properties: Option<Vec<u8>>,
}

/// What a subscription hears.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Heard {
    Message(Message),
    /// So many messages are missing here: they were lost on the way, or this stream was not read.
    Lost(u64),
}

/// In order for each publisher; it ends when the bus is closed. Holds at most
/// `limits.gap_messages_max` messages that were not read.
pub struct Subscription {
    bus: Bus,
    id: SubscriptionId,
    heard: mpsc::Receiver<Heard>,
}

impl Subscription {
    pub(super) async fn open(bus: &Bus, filter: &str) -> Result<Self, Error> {
        let id = bus.verb(|client, now| client.subscribe(now, filter, None))?;
        let (sender, heard) = mpsc::channel(bus.inner.buffer_messages_max);
        bus.inner.routes.borrow_mut().live.insert(id, LiveRoute { sender, lost: 0 });
        let subscription = Self { bus: bus.clone(), id, heard };
        bus.established(Handle::Subscription(id)).await?;
        Ok(subscription)
    }
}

impl Stream for Subscription {
    type Item = Heard;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Heard>> {
        Pin::new(&mut self.heard).poll_next(context)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.bus.inner.routes.borrow_mut().live.remove(&self.id);
        // Refused only after a panic, when nothing is left to end.
        let _ = self.bus.inner.driver.with_client(|client, now| client.unsubscribe(now, self.id));
    }
}
