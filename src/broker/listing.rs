//! All queues and all services, a page at a time.

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

/// Queues or services on one page.
const PAGE_ENTRIES: usize = 100;
/// Servers on one page, but for those of its last service.
const PAGE_SERVERS: usize = 1000;

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
        let mut queues: Vec<_> = fitting.filter_map(entry).take(PAGE_ENTRIES + 1).collect();
        let more = queues.len() > PAGE_ENTRIES;
        queues.truncate(PAGE_ENTRIES);
        let mut encoded = Vec::new();
        encode_frame(&Frame::QueueList { request, queues, more }, &mut encoded);
        Ok(encoded)
    }

    pub(super) fn on_list_services(
        &mut self,
        conn: ConnId,
        request: RequestId,
        after: Option<&str>,
    ) {
        let start = after.map_or(Bound::Unbounded, |after| Bound::Excluded(after.to_owned()));
        let all = self.services.services.range((start, Bound::<String>::Unbounded));
        let mut all = all.filter(|(_, service)| !service.is_idle());
        let (mut services, mut servers) = (Vec::new(), 0);
        let mut more = false;
        for (name, service) in &mut all {
            more = services.len() == PAGE_ENTRIES || servers >= PAGE_SERVERS;
            if more {
                break;
            }
            servers += service.servers.len();
            services.push(service.entry(name));
        }
        let mut encoded = Vec::new();
        encode_frame(&Frame::ServiceList { request, services, more }, &mut encoded);
        self.gated_encoded(conn, encoded);
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
