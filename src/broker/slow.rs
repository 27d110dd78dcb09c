//! Slow consumers of queues that say when one is: it has held a delivery for so long while messages
//! wait. It is told as an advisory, and detached if its queue says so and another consumer can take
//! over: what it holds goes back as if it had released it, and it gets no more until it speaks for
//! itself. Alone it is left in peace, for nobody would be served better.

use alloc::vec::Vec;

use crate::broker::Broker;
use crate::broker::consumers::Member;
use crate::broker::deadline::Deadlines;
use crate::broker::state::State;
use crate::cbor::Write;
use crate::error::Code;
use crate::id::{ConsumerId, LeaseNumber, QueueId};
use crate::log::LeaseEnd;
use crate::marks::{Mark, mark};
use crate::options::Slow;
use crate::rules::Rules;
use crate::time::{Instant, Now};
use crate::wire::Frame;

/// When leases end, and when their holders are looked at.
#[derive(Debug, Default)]
pub struct LeaseTimes {
    pub(super) ends: Deadlines<LeaseNumber, Instant>,
    pub(super) looks: Deadlines<LeaseNumber, Instant>,
}

impl LeaseTimes {
    pub fn first(&self) -> Option<Instant> {
        [self.ends.first(), self.looks.first()].into_iter().flatten().min()
    }

    pub fn set(&mut self, lease: LeaseNumber, ends_at: Instant) {
        self.ends.set(lease, ends_at);
    }

    pub fn remove(&mut self, lease: LeaseNumber) {
        self.ends.remove(lease);
        self.looks.remove(lease);
    }

    /// Takes the earliest lease that is over.
    pub fn pop_due(&mut self, now: Instant) -> Option<LeaseNumber> {
        self.ends.pop_due(now)
    }

    /// Looks at the holder of a lease once it may be slow, if its queue wants that.
    pub fn watch(
        &mut self,
        state: &State,
        rules: Rules,
        lease: LeaseNumber,
        queue: QueueId,
        now: Instant,
    ) {
        match state.queues.get(&queue).and_then(|queue| queue.options.slow) {
            Some(_) if !rules.slow_after_its_time() => self.looks.set(lease, now.after_ms(1)),
            Some(slow) => self.looks.set(lease, now.after_ms(slow.after_ms)),
            None => self.looks.remove(lease),
        }
    }
}

impl Broker {
    /// Gives every lease its whole length again: time passed in which nobody could have renewed.
    pub fn renew_leases(&mut self, now: Now) {
        for (number, lease) in self.state.leases.iter() {
            self.lease_times.set(*number, now.mono.after_ms(lease.lease_ms));
            self.lease_times.watch(&self.state, self.rules, *number, lease.queue, now.mono);
        }
    }

    /// What the queue says of slow consumers may have changed.
    pub(super) fn watch_slow_leases(&mut self, id: QueueId) {
        let Some(queue) = self.state.queues.get(&id) else { return };
        for lease in queue.leases() {
            self.lease_times.watch(&self.state, self.rules, lease, id, self.now.mono);
        }
    }

    /// Looks at those who have held a delivery for too long.
    pub(super) fn judge_slow_consumers(&mut self, now: Now) {
        while let Some(number) = self.lease_times.looks.pop_due(now.mono) {
            let Some(lease) = self.state.leases.get(&number).copied() else { continue };
            let Some(queue) = self.state.queues.get(&lease.queue) else { continue };
            let Some(Slow { detach, .. }) = queue.options.slow else { continue };
            let waits = queue.first_ready().is_some();
            self.lease_times.watch(&self.state, self.rules, number, lease.queue, now.mono);
            let Some(session) = self.sessions.get_mut(&lease.client) else { continue };
            let is_here = session.conn.is_some();
            let Some(consumer) = session.consumers.get_mut(&lease.consumer) else { continue };
            // Who has no link is judged by its leases alone.
            if !waits || !is_here {
                continue;
            }
            let is_new = !core::mem::replace(&mut consumer.slow, true);
            let member = (lease.client, lease.consumer);
            let detach = detach && self.has_another(lease.queue, member);
            if is_new || detach {
                let (message, attempt, client) = (lease.number.0, lease.attempt, lease.client.0);
                let parts: [(&str, &dyn Write); 4] = [
                    ("number", &message),
                    ("attempt", &attempt),
                    ("client", &client),
                    ("detached", &detach),
                ];
                self.advise("slow-consumer", lease.queue, &parts);
            }
            if detach {
                self.detach_consumer(lease.queue, member);
            }
        }
    }

    fn detach_consumer(&mut self, queue: QueueId, member: Member) {
        let (client, consumer): (_, ConsumerId) = member;
        let holds = |lease: &crate::broker::queue::Lease| {
            (lease.client, lease.consumer, lease.queue) == (client, consumer, queue)
        };
        let leases = self.state.leases.iter().filter(|(_, lease)| holds(lease));
        let leases: Vec<LeaseNumber> = leases.map(|(number, _)| *number).collect();
        let Some(session) = self.sessions.get_mut(&client) else { return };
        mark(Mark::SlowDetached);
        let conn = session.conn;
        if let Some(consumer) = session.consumers.get_mut(&consumer) {
            consumer.detached = true;
        }
        self.log.begin_batch();
        for lease in leases {
            self.end_lease(lease, LeaseEnd::Released, false);
            if let Some(conn) = conn {
                self.gated(conn, &Frame::Settled { lease, refused: Some(Code::StaleLease) });
            }
        }
        self.log.end_batch();
        if !self.is_active(queue, member) {
            self.tell_active(member, false);
        }
        // Tells the single active one, if it was that.
        self.elect_active(queue, None);
    }
}
