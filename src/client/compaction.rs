//! Sends that are worth nothing once a later one is there. While no node is reached only the last
//! one of each subject waits.

use alloc::borrow::ToOwned;

use crate::client::Client;
use crate::client::outbox::{Entry, What};
use crate::error::{Code, Refused};
use crate::id::RequestId;
use crate::options::Durability;
use crate::time::Now;
use crate::wire::frame::Item;

impl Client {
    /// As `send`. An earlier one of the same queue and subject that no node can have is dropped: it
    /// fails with `DISCARDED` and `superseded`, and uses up no number. The subject has at most
    /// `limits.name_bytes_max` bytes.
    ///
    /// # Errors
    /// As for every verb.
    pub fn send_latest(
        &mut self,
        now: Now,
        queue: &str,
        items: &[Item<'_>],
        durability: Option<Durability>,
        subject: &str,
    ) -> Result<RequestId, Refused> {
        self.start_verb(now)?;
        if subject.len() > self.limits.name_bytes_max as usize {
            return Err(Refused::new(Code::TooLarge, "supersede"));
        }
        let request = self.begin_send(queue, items, durability)?;
        if let Some(earlier) = self.superseded(queue, subject) {
            self.drop_send(earlier, "superseded");
        }
        if let Some(Entry::Send(send)) = self.outbox.entries.get_mut(&request) {
            send.subject = Some(subject.to_owned());
        }
        self.settle_forward();
        Ok(request)
    }

    /// The send without a number that is of this subject; there is one at most.
    fn superseded(&self, queue: &str, subject: &str) -> Option<RequestId> {
        let untransmitted = self.outbox.entries.range(self.outbox.never_next..);
        let mut of_subject = untransmitted.filter(|(_, entry)| {
            let Entry::Send(send) = entry else { return false };
            let same = send.subject.as_deref() == Some(subject) && send.sequence.is_none();
            same && matches!(&send.what, What::Send { queue: of, .. } if of == queue)
        });
        of_subject.next().map(|(request, _)| *request)
    }

    /// Drops a send that no node can have; whoever waits for it gets `DISCARDED`.
    pub(super) fn drop_send(&mut self, request: RequestId, reason: &'static str) {
        let Some(Entry::Send(send)) = self.outbox.take(request) else { return };
        self.end_kept(request, &send, Some((Code::Discarded, reason.to_owned())), false);
        self.commit_refused(request, Code::Discarded);
        self.fail(request, Refused::new(Code::Discarded, reason), false);
    }
}
