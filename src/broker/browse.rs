//! Looking into a queue without taking anything: a page of messages after a number, in order.

use alloc::vec::Vec;

use crate::broker::Broker;
use crate::broker::queue::{Entry, Queue};
use crate::error::{Code, Refused};
use crate::id::{ChunkNumber, ClientId, ConnId, MessageNumber, QueueId, RequestId};
use crate::time::UnixMillis;
use crate::wire::Frame;
use crate::wire::frame::{Browse, QueueMessage, QueuePlace};

/// Bodies and properties of one page; one message may always come.
const PAGE_BYTES: usize = 256 << 10;

/// A page that waits for a chunk.
#[derive(Clone, Copy, Debug)]
pub struct Browsing {
    conn: ConnId,
    request: RequestId,
    queue: QueueId,
    browse: Browse,
}

/// A message that is on the page.
#[derive(Clone, Copy)]
struct Found {
    number: MessageNumber,
    entry: Entry,
    place: QueuePlace,
    due_at: Option<UnixMillis>,
}

impl Broker {
    pub(super) fn on_browse(
        &mut self,
        conn: ConnId,
        client: ClientId,
        request: RequestId,
        name: &str,
        browse: Browse,
    ) {
        match self.own_queue(client, name) {
            Ok(queue) => self.show_page(Browsing { conn, request, queue, browse }),
            Err(refused) => self.answer_refused(conn, request, refused),
        }
    }

    /// Pages that waited for the chunk.
    pub(super) fn show_pages_of(&mut self, chunk: ChunkNumber) {
        for browsing in self.browsing.remove(&chunk).unwrap_or_default() {
            self.show_page(browsing);
        }
    }

    fn show_page(&mut self, browsing: Browsing) {
        let Browsing { conn, request, queue, browse } = browsing;
        let Some(looked) = self.state.queues.get(&queue) else {
            return self.answer_refused(conn, request, Code::NotFound.into());
        };
        let (found, more) = self.find(looked, browse);
        let mut messages = Vec::new();
        let mut bytes = 0;
        for found in &found {
            let Some(message) = self.look_at(*found, browse.headers_only) else { break };
            bytes += message.body.len() + message.properties.map_or(0, <[u8]>::len);
            if bytes > PAGE_BYTES && !messages.is_empty() {
                break;
            }
            messages.push(message);
        }
        if messages.is_empty()
            && let Some(first) = found.first()
        {
            return self.wait_for_chunk(first.entry.place.chunk, browsing);
        }
        let more = more || messages.len() < found.len();
        let mut encoded = Vec::new();
        let frame = Frame::Browsed { request, messages, more };
        crate::wire::envelope::encode_frame(&frame, &mut encoded);
        self.gated_encoded(conn, encoded);
    }

    /// What is on the page, in order, and whether there is more behind it.
    fn find(&self, queue: &Queue, browse: Browse) -> (Vec<Found>, bool) {
        let messages_max = browse.messages_max.clamp(1, self.limits.batch_items_max) as usize;
        let after = browse.after;
        let ready = queue.ready_after(after).map(|(number, entry)| Found {
            number,
            entry,
            place: QueuePlace::Ready,
            due_at: None,
        });
        let mut found: Vec<Found> = ready.take(messages_max + 1).collect();
        if browse.delayed {
            let delayed = queue.delayed_after(after).map(|(due_at, number, entry)| Found {
                number,
                entry,
                place: QueuePlace::Delayed,
                due_at: Some(due_at),
            });
            found.extend(delayed.take(messages_max + 1));
        }
        if browse.leased {
            let leases = queue.leases().filter_map(|lease| self.state.leases.get(&lease));
            let leased = leases.filter(|lease| lease.number > after).map(|lease| Found {
                number: lease.number,
                entry: lease.entry,
                place: QueuePlace::Leased,
                due_at: None,
            });
            found.extend(leased);
        }
        found.sort_unstable_by_key(|found| found.number);
        let more = found.len() > messages_max;
        found.truncate(messages_max);
        (found, more)
    }

    fn look_at(&self, found: Found, headers_only: bool) -> Option<QueueMessage<'_>> {
        let message = self.log.message(found.entry.place)?;
        let deaths = &self.state.deaths;
        Some(QueueMessage {
            number: found.number,
            place: found.place,
            attempts: found.entry.attempts,
            lane: message.lane,
            sequence: message.sequence,
            index: message.index,
            stored_at: message.stored_at,
            due_at: found.due_at,
            body_bytes: found.entry.body_bytes,
            body: if headers_only { &[] } else { message.body },
            properties: message.properties,
            dead_reason: deaths.history(found.number).dead_reason(),
            deaths: deaths.of(found.number),
            expires_at: self.state.expiries.of(found.number),
            sender: self.state.sender(message.lane),
            priority: message.priority,
        })
    }

    fn wait_for_chunk(&mut self, chunk: ChunkNumber, browsing: Browsing) {
        let waiting: usize = self.browsing.values().map(Vec::len).sum();
        if waiting >= self.limits.browses_max as usize {
            let refused = Refused::new(Code::Full, "browses_max");
            return self.answer_refused(browsing.conn, browsing.request, refused);
        }
        self.log.load(chunk);
        self.browsing.get_or_default(chunk).push(browsing);
    }
}
