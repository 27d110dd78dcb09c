//! Prepared messages: stored first, and sent once somebody decides so. And whoever may be asked
//! about those that nobody decided about.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use crate::cbor;
use crate::client::Client;
use crate::client::io::{Event, Handle};
use crate::error::{Code, Refused};
use crate::id::{CheckerId, RequestId};
use crate::options::Durability;
use crate::sorted::Map;
use crate::time::Now;
use crate::topic::Name;
use crate::wire::Frame;
use crate::wire::frame::{Item, Prepare, QueueMessage};

/// Queues whose prepared messages this client may be asked about.
#[derive(Debug, Default)]
pub(super) struct Checkers {
    queues: Map<CheckerId, String>,
    last: u32,
}

impl Client {
    /// Stores a message that nobody gets until `decide` commits it. `Sent` follows, with the id to
    /// decide by; if one of its id is prepared already it is that one, and a duplicate. Its delay
    /// and its time to live run from here. It is asked about after `check_after_ms`, at least 1, or
    /// the limit `prepared_check_after_ms`.
    ///
    /// # Errors
    /// As for every verb.
    pub fn prepare(
        &mut self,
        now: Now,
        queue: &str,
        item: &Item<'_>,
        check_after_ms: Option<u64>,
        durability: Option<Durability>,
    ) -> Result<RequestId, Refused> {
        let item = Item { prepare: Some(Prepare { check_after_ms }), ..*item };
        self.send(now, queue, &[item], durability)
    }

    /// Sends the prepared message of this id, or drops it. `Counted` follows, with the number of
    /// the message that it repeats, or 0; decided again it answers as before. It fails with
    /// `DISCARDED` if the message was rolled back and is to be committed (`rollback`, or by the
    /// node: `unanswered`, `age`), and with `NOT_FOUND` if it was committed and is to be rolled
    /// back (`committed`), or nothing is known of it.
    ///
    /// # Errors
    /// As for every verb.
    pub fn decide(
        &mut self,
        now: Now,
        queue: &str,
        id: &str,
        commit: bool,
        durability: Option<Durability>,
    ) -> Result<RequestId, Refused> {
        if id.len() > self.limits.headers_bytes_max as usize {
            return Err(Refused::new(Code::TooLarge, "id"));
        }
        self.operate(now, queue, |request| Frame::Decide { request, queue, id, commit, durability })
    }

    /// May be asked about prepared messages of the queue. `Check` follows once without a message,
    /// then with each that is asked about; the answer is `decide`, or none.
    ///
    /// # Errors
    /// As for every verb.
    pub fn check(&mut self, now: Now, queue: &str) -> Result<CheckerId, Refused> {
        self.start_verb(now)?;
        let checker = self.begin_check(queue);
        self.settle_forward();
        checker
    }

    fn begin_check(&mut self, queue: &str) -> Result<CheckerId, Refused> {
        Name::parse(queue, &self.limits)?;
        self.check_handles(self.checkers.queues.len())?;
        self.checkers.last = self.checkers.last.saturating_add(1);
        let checker = CheckerId(self.checkers.last);
        self.push(&Frame::Checker { checker, queue: Some(queue) });
        self.checkers.queues.insert(checker, queue.to_owned());
        self.awaited.insert(Handle::Checker(checker));
        Ok(checker)
    }

    /// Is not asked any more. What was asked may still be decided.
    pub fn end_check(&mut self, now: Now, checker: CheckerId) {
        self.begin(now);
        if self.checkers.queues.remove(&checker).is_some() {
            self.awaited.remove(&Handle::Checker(checker));
            self.push(&Frame::Checker { checker, queue: None });
        }
        self.settle_forward();
    }

    pub(super) fn declare_checkers(&mut self) {
        let Some(writer) = self.link.writer() else { return };
        for (checker, queue) in self.checkers.queues.iter() {
            writer.push(&Frame::Checker { checker: *checker, queue: Some(queue) });
        }
    }

    pub(super) fn on_check(
        &mut self,
        checker: CheckerId,
        message: Option<&QueueMessage<'_>>,
        refused: Option<Code>,
    ) {
        let handle = Handle::Checker(checker);
        if let Some(code) = refused {
            let known = self.checkers.queues.remove(&checker).is_some();
            return self.refuse(handle, known, code);
        }
        if !self.checkers.queues.contains_key(&checker) {
            return;
        }
        let Some(message) = message else {
            return self.confirm(handle, Event::Check { checker, message: None });
        };
        let mut encoded = Vec::new();
        cbor::encode(message, &mut encoded);
        self.events.push_back(Event::Check { checker, message: Some(encoded) });
    }
}
