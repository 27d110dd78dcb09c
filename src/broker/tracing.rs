//! Traces: what happens to the messages of a queue, told as advisories while the queue is traced
//! and somebody listens.

use alloc::string::String;
use alloc::vec::Vec;

use crate::broker::Broker;
use crate::broker::queue::Lease;
use crate::broker::tracks::id_of;
use crate::cbor::{self, Write};
use crate::error::{Code, Refused};
use crate::id::{ClientId, ConnId, LeaseNumber, MessageNumber, QueueId, RequestId};
use crate::log::record::StoredMessage;
use crate::log::{LeaseEnd, Place, Record};
use crate::wire::frame::Properties;

impl Broker {
    pub(super) fn on_trace(
        &mut self,
        conn: ConnId,
        client: ClientId,
        request: RequestId,
        name: &str,
        traced: bool,
    ) {
        if self.is_out_of_room() {
            let refused = Refused::new(Code::Storage, "quota");
            return self.answer_refused(conn, request, refused);
        }
        let queue = match self.own_queue(client, name) {
            Ok(queue) => queue,
            Err(refused) => return self.answer_refused(conn, request, refused),
        };
        if self.state.queues.get(&queue).is_some_and(|queue| queue.traced != traced) {
            self.commit(&Record::Traced { queue, traced });
        }
        self.answer_state(conn, request, queue);
    }

    fn is_traced(&self, queue: QueueId) -> bool {
        self.live.has_listeners() && self.state.queues.get(&queue).is_some_and(|q| q.traced)
    }

    pub(super) fn trace_sent(&mut self, queue: QueueId, number: MessageNumber) {
        if !self.is_traced(queue) {
            return;
        }
        let stored = self.state.queues.get(&queue).and_then(|queue| queue.entry(number));
        if let Some(entry) = stored {
            self.trace("sent", queue, number, entry.place, &[]);
        }
    }

    pub(super) fn trace_delivered(&mut self, number: LeaseNumber, lease: &Lease) {
        if self.is_traced(lease.queue) {
            let (attempt, client) = (lease.attempt, lease.client.0);
            let parts: [(&str, &dyn Write); 3] =
                [("lease", &number.0), ("attempt", &attempt), ("client", &client)];
            self.trace("delivered", lease.queue, lease.number, lease.entry.place, &parts);
        }
    }

    pub(super) fn trace_settled(&mut self, number: LeaseNumber, lease: &Lease, end: &LeaseEnd<'_>) {
        if self.is_traced(lease.queue) {
            let end = match end {
                LeaseEnd::Acked { .. } => "acked",
                LeaseEnd::Released => "released",
                LeaseEnd::Failed { .. } => "failed",
                LeaseEnd::DeadLettered { .. } => "dead-lettered",
                LeaseEnd::Discarded { .. } => "discarded",
            };
            let attempt = lease.attempt;
            let parts: [(&str, &dyn Write); 3] =
                [("lease", &number.0), ("attempt", &attempt), ("end", &end)];
            self.trace("settled", lease.queue, lease.number, lease.entry.place, &parts);
        }
    }

    /// A message that is not in memory is told of by its number alone.
    fn trace(
        &mut self,
        what: &str,
        queue: QueueId,
        number: MessageNumber,
        place: Place,
        parts: &[(&str, &dyn Write)],
    ) {
        let Some(name) = self.state.queues.get(&queue).map(|queue| queue.name.clone()) else {
            return;
        };
        let message = self.log.message(place);
        let id = message.as_ref().map(id_of);
        let traceparent = message.as_ref().and_then(traceparent_of);
        let head: [(&str, &dyn Write); 3] =
            [("number", &number.0), ("id", &id), ("traceparent", &traceparent)];
        let parts: Vec<(&str, &dyn Write)> = head.iter().chain(parts).copied().collect();
        self.advise_under("$tabmq.trace.", what, &name, &parts);
    }
}

fn traceparent_of(message: &StoredMessage<'_>) -> Option<String> {
    let properties: Properties<'_> = cbor::decode(message.properties?).ok()?;
    properties.traceparent.map(String::from)
}
