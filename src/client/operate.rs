//! What a client does to whole queues, and how it looks into them.

use alloc::borrow::ToOwned;

use crate::client::Client;
use crate::client::io::Event;
use crate::error::Refused;
use crate::id::{MessageNumber, QueueId, RequestId};
use crate::time::Now;
use crate::topic::Name;
use crate::wire::Frame;
use crate::wire::frame::Browse;

impl Client {
    /// Stops delivery from a queue, for `for_ms` or until it is started, or starts it.
    /// `QueueState` follows. What is delivered already stays delivered.
    ///
    /// # Errors
    /// As for every verb.
    pub fn pause(
        &mut self,
        now: Now,
        queue: &str,
        paused: bool,
        for_ms: Option<u64>,
    ) -> Result<RequestId, Refused> {
        self.operate(now, queue, |request| Frame::Pause { request, queue, paused, for_ms })
    }

    /// Empties a queue of what is not delivered, up to the message `through`, which is the
    /// `newest` of its state. `Counted` follows.
    ///
    /// # Errors
    /// As for every verb.
    pub fn purge(
        &mut self,
        now: Now,
        queue: &str,
        through: MessageNumber,
    ) -> Result<RequestId, Refused> {
        self.operate(now, queue, |request| Frame::Purge { request, queue, through })
    }

    /// Deletes the queue that has this id in its state. `Counted` follows. With `if_unused` and
    /// `if_empty` it is refused with `INVALID` if there are consumers or messages.
    ///
    /// # Errors
    /// As for every verb.
    pub fn delete_queue(
        &mut self,
        now: Now,
        queue: &str,
        id: QueueId,
        if_unused: bool,
        if_empty: bool,
    ) -> Result<RequestId, Refused> {
        let delete = |request| Frame::DeleteQueue { request, queue, id, if_unused, if_empty };
        self.operate(now, queue, delete)
    }

    /// Looks at a page of a queue. `Listed` follows.
    ///
    /// # Errors
    /// As for every verb.
    pub fn browse(&mut self, now: Now, queue: &str, browse: Browse) -> Result<RequestId, Refused> {
        self.operate(now, queue, |request| Frame::Browse { request, queue, browse })
    }

    pub(super) fn operate<'a>(
        &mut self,
        now: Now,
        queue: &str,
        frame: impl FnOnce(RequestId) -> Frame<'a>,
    ) -> Result<RequestId, Refused> {
        self.start_verb(now)?;
        let request = Name::parse(queue, &self.limits).map(drop).and_then(|()| self.ask(frame));
        self.settle_forward();
        request
    }

    pub(super) fn on_counted(&mut self, request: RequestId, count: u64) {
        if self.take_question(request) {
            self.redrive_answered(request);
            self.answer(request, Event::Counted { request, count });
        }
    }

    pub(super) fn on_queue_deleted(&mut self, queue: &str) {
        self.events.push_back(Event::QueueDeleted { queue: queue.to_owned() });
    }
}
