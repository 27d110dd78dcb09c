//! Deliveries: which ready message goes to which consumer, and how a lease ends.

use alloc::collections::VecDeque;

use crate::broker::Broker;
use crate::broker::advisories::Died;
use crate::broker::gate::Gated;
use crate::broker::groups::Groups;
use crate::broker::queue::{Entry, Lease, Queue};
use crate::broker::session::Leaving;
use crate::cbor::Write;
use crate::error::Code;
use crate::id::{ChunkNumber, ClientId, ConnId, ConsumerId, LeaseNumber, MessageNumber, QueueId};
use crate::log::{LeaseEnd, Record};
use crate::marks::{Mark, mark};
use crate::time::{Now, UnixMillis};
use crate::wire::Frame;
use crate::wire::frame::{Delivery, Reason, Settlement};

impl Broker {
    /// Leases ready messages of the queues that changed, as far as credit goes.
    pub(super) fn deliver(&mut self, now: Now) {
        while let Some(queue) = self.dirty_queues.pop_first() {
            while self.deliver_first(now, queue) {}
        }
    }

    /// Leases the first ready message; false if there is none, no credit, or its body must be
    /// read first.
    fn deliver_first(&mut self, now: Now, queue: QueueId) -> bool {
        let Some(source) = self.state.queues.get(&queue) else { return false };
        if source.paused.is_some_and(|pause| pause.holds(now)) {
            return false;
        }
        let Some((number, entry)) = self.first_in_turn(source) else { return false };
        if !self.rate_allows(now, queue) {
            return false;
        }
        let Some((client, consumer)) = self.next_consumer(queue, entry.body_bytes) else {
            return false;
        };
        if self.log.message(entry.place).is_none() {
            self.log.load(entry.place.chunk);
            self.awaiting_chunk.get_or_default(entry.place.chunk).insert(queue);
            return false;
        }
        self.lease(now, queue, number, entry, client, consumer);
        true
    }

    /// The ready message whose turn it is.
    fn first_in_turn(&self, queue: &Queue) -> Option<(MessageNumber, Entry)> {
        let by_key = queue.groups.as_ref().is_some_and(Groups::is_by_key);
        let in_turn = if by_key { self.rules.key_lock() } else { self.rules.higher_first() };
        if !in_turn {
            return queue.first_ready();
        }
        let number = queue.first_deliverable()?;
        Some((number, queue.entry(number)?))
    }

    fn lease(
        &mut self,
        now: Now,
        queue: QueueId,
        number: MessageNumber,
        entry: Entry,
        client: ClientId,
        consumer: ConsumerId,
    ) {
        let Some(lease_ms) = self.state.queues.get(&queue).map(|queue| queue.settings.lease_ms)
        else {
            return;
        };
        let lease = self.next_lease();
        let attempt = entry.attempts.saturating_add(1);
        self.commit(&Record::Leased { lease, queue, number, client, lease_ms, attempt, consumer });
        self.lease_times.set(lease, now.mono.after_ms(lease_ms));
        self.lease_times.watch(&self.state, self.rules, lease, queue, now.mono);
        self.count_for_rate(now, queue);
        let Some(session) = self.sessions.get_mut(&client) else { return };
        if let Some(consumer) = session.consumers.get_mut(&consumer) {
            consumer.in_flight += 1;
            consumer.in_flight_bytes += u64::from(entry.body_bytes);
        }
        if let Some(conn) = session.conn {
            self.hold(conn, Gated::Deliver(lease));
        }
    }

    /// Sends the delivery of a lease whose record is stored. If a body has to be read first, later
    /// deliveries of the connection wait behind it, so that order holds.
    pub(super) fn transmit_delivery(&mut self, conn: ConnId, lease: LeaseNumber) {
        if let Some(waiting) = self.stalled.get_mut(&conn) {
            waiting.push_back(lease);
        } else if let Err(chunk) = self.try_transmit_delivery(conn, lease) {
            self.log.load(chunk);
            self.stalled.insert(conn, VecDeque::from([lease]));
        }
    }

    /// Sends a delivery, or names the chunk that has to be read first.
    fn try_transmit_delivery(
        &mut self,
        conn: ConnId,
        number: LeaseNumber,
    ) -> Result<(), ChunkNumber> {
        let Some(lease) = self.state.leases.get(&number).copied() else { return Ok(()) };
        let place = lease.entry.place;
        let message = self.log.message(place).ok_or(place.chunk)?;
        let session = self.sessions.get(&lease.client);
        let consumer = session.and_then(|session| session.consumers.get(&lease.consumer));
        let headers_only = consumer.is_some_and(|c| c.options.headers_only == Some(true));
        let deaths = &self.state.deaths;
        let delivery = Delivery {
            consumer: lease.consumer,
            lease: number,
            attempt: lease.attempt,
            number: lease.number,
            lane: message.lane,
            sequence: message.sequence,
            index: message.index,
            stored_at: message.stored_at,
            lease_ms: lease.lease_ms,
            body: if headers_only { &[] } else { message.body },
            properties: message.properties,
            body_bytes: headers_only.then_some(lease.entry.body_bytes),
            tracked: message.tracked,
            dead_reason: deaths.history(lease.number).dead_reason(),
            deaths: deaths.of(lease.number),
            sender: self.state.sender(message.lane),
            priority: message.priority,
        };
        self.links.push(conn, &Frame::Deliver(delivery));
        self.trace_delivered(number, &lease);
        Ok(())
    }

    /// A chunk was read back: what waited for it goes on.
    pub(super) fn chunk_loaded(&mut self, chunk: ChunkNumber) {
        mark(Mark::ChunkReadBack);
        self.redrives.chunk_loaded(chunk);
        self.questions.chunk_loaded(self.now.mono, chunk);
        self.dirty_queues.extend(self.awaiting_chunk.remove(&chunk).unwrap_or_default());
        self.show_pages_of(chunk);
        for (conn, waiting) in core::mem::take(&mut self.stalled) {
            for lease in waiting {
                self.transmit_delivery(conn, lease);
            }
        }
    }

    pub(super) fn on_settle(
        &mut self,
        now: Now,
        conn: ConnId,
        client: ClientId,
        number: LeaseNumber,
        settlement: Settlement<'_>,
    ) {
        let refused = match self.state.leases.get(&number).copied() {
            Some(lease) if lease.client == client => {
                self.settle(now, number, lease, settlement);
                None
            }
            _ => self.settle_ended(client, number),
        };
        self.gated(conn, &Frame::Settled { lease: number, refused });
    }

    /// The answer to a settlement of a lease that is no more.
    fn settle_ended(&mut self, client: ClientId, number: LeaseNumber) -> Option<Code> {
        let settled = self.state.settled_lately.get(&client);
        if settled.is_some_and(|settled| settled.contains(&number)) {
            mark(Mark::SettledAgain);
            return None;
        }
        #[cfg(feature = "sim")]
        if !self.rules.lease_number_check() {
            self.settle_by_message(number);
            return None;
        }
        mark(Mark::StaleLeaseRefused);
        Some(Code::StaleLease)
    }

    /// What a broker without the lease number check would do: the message is done.
    #[cfg(feature = "sim")]
    fn settle_by_message(&mut self, number: LeaseNumber) {
        let Some((queue, message)) = self.state.ended.get(&number).copied() else { return };
        let same =
            |(_, lease): &(&LeaseNumber, &Lease)| (lease.queue, lease.number) == (queue, message);
        let live = self.state.leases.iter().find(same).map(|(lease, _)| *lease);
        if let Some(lease) = live {
            self.end_lease(lease, LeaseEnd::Acked { value: None }, true);
        } else if let Some(queue) = self.state.queues.get_mut(&queue) {
            queue.take(message, &mut self.state.beside);
        }
    }

    fn settle(&mut self, now: Now, number: LeaseNumber, lease: Lease, settlement: Settlement<'_>) {
        match settlement {
            Settlement::Ack { value } => self.acknowledge(number, lease, value),
            Settlement::Release => self.end_lease(number, LeaseEnd::Released, true),
            Settlement::Reject { reason } => {
                let verdict = Verdict { reason: Reason::Rejected, note: reason, by_holder: true };
                self.dead_letter(number, lease, verdict);
            }
            Settlement::Retry { after_ms, reason } => {
                let (note, reason) = (reason, Reason::DeliveriesMax);
                let verdict = Verdict { reason, note, by_holder: true };
                self.fail_lease(now, number, lease, after_ms, verdict);
            }
            Settlement::Extend { lease_ms } => {
                let lease_ms = lease_ms.unwrap_or(lease.lease_ms).max(1);
                self.commit(&Record::Extended { lease: number, lease_ms });
                self.lease_times.set(number, now.mono.after_ms(lease_ms));
            }
        }
    }

    pub(super) fn acknowledge(&mut self, number: LeaseNumber, lease: Lease, value: Option<&[u8]>) {
        let wanted = self.state.tracks.get(lease.number).is_some();
        let value = value.filter(|_| wanted);
        self.end_lease(number, LeaseEnd::Acked { value }, true);
    }

    /// Ends leases whose time is over. Their messages are ready again at once.
    pub(super) fn expire_leases(&mut self, now: Now) {
        while let Some(number) = self.lease_times.pop_due(now.mono) {
            let Some(lease) = self.state.leases.get(&number).copied() else { continue };
            mark(Mark::LeaseRanOut);
            self.log.begin_batch();
            let (message, attempt, client) = (lease.number.0, lease.attempt, lease.client.0);
            let parts: [(&str, &dyn Write); 3] =
                [("number", &message), ("attempt", &attempt), ("client", &client)];
            self.fail_lease(now, number, lease, Some(0), lost("lease expired"));
            self.advise("lease-expired", lease.queue, &parts);
            self.tell_lease_lost(number, lease.client);
            self.log.end_batch();
        }
        self.judge_slow_consumers(now);
    }

    /// Tells the holder that its lease ran out. A holder that stands still would let the next one
    /// run out as well, so it is served again only once it was heard.
    fn tell_lease_lost(&mut self, lease: LeaseNumber, client: ClientId) {
        let Some(session) = self.sessions.get_mut(&client) else { return };
        session.silent = true;
        if let Some(conn) = session.conn {
            self.gated(conn, &Frame::Settled { lease, refused: Some(Code::StaleLease) });
            self.links.push(conn, &Frame::Ping { nonce: 0 });
        }
        self.elect_active_around(client);
    }

    /// Ends every lease of a client: given back, or failed if it died with them.
    pub(super) fn end_leases_of(&mut self, now: Now, client: ClientId, leaving: Leaving) {
        for number in self.leases_of(client) {
            let Some(lease) = self.state.leases.get(&number).copied() else { continue };
            match leaving {
                Leaving::Goodbye { .. } => self.end_lease(number, LeaseEnd::Released, false),
                Leaving::Died => {
                    self.fail_lease(now, number, lease, Some(0), lost("consumer died"));
                }
            }
        }
    }

    /// Ends a lease as a failed delivery. The next one comes after `after_ms`, or the queue's
    /// backoff.
    fn fail_lease(
        &mut self,
        now: Now,
        number: LeaseNumber,
        lease: Lease,
        after_ms: Option<u64>,
        verdict: Verdict<'_>,
    ) {
        let Some(queue) = self.state.queues.get(&lease.queue) else { return };
        if lease.attempt >= queue.settings.deliveries_max {
            return self.dead_letter(number, lease, verdict);
        }
        let wait_ms = match after_ms {
            Some(after_ms) => after_ms,
            None => queue.settings.backoff_ms(lease.attempt, &mut self.rng),
        };
        let due_at = Some(UnixMillis(now.unix.0.saturating_add(wait_ms))).filter(|_| wait_ms > 0);
        self.end_lease(number, LeaseEnd::Failed { due_at }, verdict.by_holder);
    }

    fn dead_letter(&mut self, number: LeaseNumber, lease: Lease, verdict: Verdict<'_>) {
        let Verdict { reason, note, by_holder } = verdict;
        let note = note.map(|note| shorten(note, self.limits.name_bytes_max as usize));
        let note = note.filter(|note| !note.is_empty());
        match self.dead_letter_queue(lease.queue) {
            Some(into) => {
                let end = LeaseEnd::DeadLettered { into, reason, note, at: self.now.unix };
                self.end_lease(number, end, by_holder);
                self.advise_dead(lease.queue, into, Died { number: lease.number, reason, note });
                self.make_room(into);
                self.dirty_queues.insert(into);
            }
            None => {
                let reason = note.unwrap_or(reason.text());
                self.end_lease(number, LeaseEnd::Discarded { reason }, by_holder);
                self.advise_discarded(lease.queue, lease.number, reason);
            }
        }
    }

    pub(super) fn end_lease(&mut self, number: LeaseNumber, end: LeaseEnd<'_>, by_holder: bool) {
        let Some(lease) = self.state.leases.get(&number).copied() else { return };
        self.trace_settled(number, &lease, &end);
        self.commit(&Record::Ended { lease: number, end, by_holder });
        self.lease_times.remove(number);
        self.foreign_lease_ended(lease.queue, number);
        self.make_room(lease.queue);
        self.dirty_queues.insert(lease.queue);
        self.watch_delayed(lease.queue);
        let session = self.sessions.get_mut(&lease.client);
        if let Some(consumer) = session.and_then(|s| s.consumers.get_mut(&lease.consumer)) {
            consumer.in_flight = consumer.in_flight.saturating_sub(1);
            let body_bytes = u64::from(lease.entry.body_bytes);
            consumer.in_flight_bytes = consumer.in_flight_bytes.saturating_sub(body_bytes);
            consumer.slow &= !by_holder;
        }
    }
}

/// Why a delivery failed, should the message die of it.
#[derive(Clone, Copy, Debug)]
struct Verdict<'a> {
    reason: Reason,
    note: Option<&'a str>,
    by_holder: bool,
}

const fn lost(note: &str) -> Verdict<'_> {
    Verdict { reason: Reason::LeaseLost, note: Some(note), by_holder: false }
}

/// The longest prefix of at most `bytes_max` bytes that ends between characters.
fn shorten(text: &str, bytes_max: usize) -> &str {
    let mut prefixes = (0..=bytes_max.min(text.len())).rev().map(|end| text.get(..end));
    prefixes.find_map(|prefix| prefix).unwrap_or_default()
}
