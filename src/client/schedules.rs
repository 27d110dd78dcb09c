//! Messages that the node stores by itself, at times.

use alloc::borrow::ToOwned;
use alloc::vec::Vec;

use crate::cbor;
use crate::client::Client;
use crate::client::outbox::What;
use crate::error::Refused;
use crate::id::{MessageNumber, RequestId};
use crate::options::Durability;
use crate::time::Now;
use crate::wire::Frame;
use crate::wire::frame::Scheduling;

impl Client {
    /// Has the node store a message at times, in the place of an earlier schedule of the same key.
    /// `Sent` follows. A zone is not checked: one that the host does not know is never due.
    ///
    /// # Errors
    /// As for every verb.
    pub fn schedule(
        &mut self,
        now: Now,
        queue: &str,
        scheduling: &Scheduling<'_>,
        durability: Option<Durability>,
    ) -> Result<RequestId, Refused> {
        self.start_verb(now)?;
        let request = self.begin_schedule(queue, scheduling, durability);
        self.settle_forward();
        request
    }

    fn begin_schedule(
        &mut self,
        queue: &str,
        scheduling: &Scheduling<'_>,
        durability: Option<Durability>,
    ) -> Result<RequestId, Refused> {
        self.check_items(queue, core::slice::from_ref(&scheduling.item))?;
        let mut encoded = Vec::new();
        cbor::encode(scheduling, &mut encoded);
        let what = What::Schedule { queue: queue.to_owned(), scheduling: encoded };
        self.put_out(what, durability)
    }

    /// Ends the schedule that has this number in a list. `Counted` follows, with 0 if it is gone.
    ///
    /// # Errors
    /// As for every verb.
    pub fn unschedule(
        &mut self,
        now: Now,
        queue: &str,
        number: MessageNumber,
    ) -> Result<RequestId, Refused> {
        self.operate(now, queue, |request| Frame::Unschedule { request, queue, number })
    }

    /// Asks for a page of the schedules of a queue, behind the key `after`. `Listed` follows.
    ///
    /// # Errors
    /// As for every verb.
    pub fn list_schedules(
        &mut self,
        now: Now,
        queue: &str,
        after: Option<&str>,
    ) -> Result<RequestId, Refused> {
        self.operate(now, queue, |request| Frame::ListSchedules { request, queue, after })
    }
}
