//! All queues, a page at a time.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Bound;

use crate::broker::Broker;
use crate::broker::queue::Queue;
use crate::error::Refused;
use crate::id::{ConnId, QueueId, RequestId};
use crate::topic::{Filter, fits};
use crate::wire::Frame;
use crate::wire::envelope::encode_frame;
use crate::wire::frame::QueueEntry;

/// Queues on one page.
const PAGE_QUEUES: usize = 100;

impl Broker {
    pub(super) fn on_list_queues(
        &mut self,
        conn: ConnId,
        request: RequestId,
        after: Option<&str>,
        filter: Option<&str>,
    ) {
        match self.queue_page(request, after, filter) {
            Ok(page) => self.gated_encoded(conn, page),
            Err(refused) => self.answer_refused(conn, request, refused),
        }
    }

    fn queue_page(
        &self,
        request: RequestId,
        after: Option<&str>,
        filter: Option<&str>,
    ) -> Result<Vec<u8>, Refused> {
        let filter = filter.map(|filter| Filter::parse(filter, &self.limits)).transpose()?;
        let start = after.map_or(Bound::Unbounded, |after| Bound::Excluded(after.to_owned()));
        let names = self.state.queue_names.range((start, Bound::<String>::Unbounded));
        let fitting = names.filter(|(name, _)| match &filter {
            Some(filter) => fits(filter.as_str(), name),
            None => true,
        });
        let entry = |(_, id): (&String, &QueueId)| {
            self.state.queues.get(id).map(|queue| self.queue_entry(*id, queue))
        };
        let mut queues: Vec<_> = fitting.filter_map(entry).take(PAGE_QUEUES + 1).collect();
        let more = queues.len() > PAGE_QUEUES;
        queues.truncate(PAGE_QUEUES);
        let mut encoded = Vec::new();
        encode_frame(&Frame::QueueList { request, queues, more }, &mut encoded);
        Ok(encoded)
    }

    fn queue_entry<'a>(&self, id: QueueId, queue: &'a Queue) -> QueueEntry<'a> {
        let pause = queue.paused.filter(|pause| pause.holds(self.now));
        QueueEntry {
            name: &queue.name,
            state: self.counts_of(id, queue),
            bytes: queue.bytes(),
            options: queue.declared.clone(),
            owner: queue.owner,
            paused_until: pause.and_then(|pause| pause.until),
            policy: queue.policy.as_deref(),
            traced: Some(queue.traced).filter(|traced| *traced),
        }
    }
}
