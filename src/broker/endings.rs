//! How messages leave their queue by what the log tells: leases that end, and messages that go
//! without a delivery. A message that dies is in its dead-letter queue by the same record.

use crate::broker::queue::Entry;
use crate::broker::state::{Liveness, SETTLED_LATELY_MAX, State};
use crate::error::Code;
use crate::id::{LeaseNumber, MessageNumber, QueueId};
use crate::log::record::TrackEnd;
use crate::log::{LeaseEnd, Removal};
use crate::time::UnixMillis;
use crate::wire::frame::{Death, Reason};

/// A message that has just died.
#[derive(Clone, Copy, Debug)]
struct Dead {
    from: QueueId,
    number: MessageNumber,
    entry: Entry,
}

impl State {
    pub(super) fn apply_ended(
        &mut self,
        number: LeaseNumber,
        end: &LeaseEnd<'_>,
        by_holder: bool,
    ) -> Liveness {
        let Some(lease) = self.leases.remove(&number) else { return Liveness::Same };
        #[cfg(feature = "sim")]
        self.remember_ended(number, (lease.queue, lease.number));
        if by_holder {
            let settled = self.settled_lately.get_or_default(lease.client);
            settled.push_back(number);
            if settled.len() > SETTLED_LATELY_MAX {
                settled.pop_front();
            }
        }
        let Some(queue) = self.queues.get_mut(&lease.queue) else { return Liveness::Same };
        queue.let_go(number, &lease, &self.beside.marks);
        if let Some(end) = track_end_of_lease(end) {
            self.tracks.end(lease.number, &end);
        }
        let failed = Entry { attempts: lease.attempt, ..lease.entry };
        match end {
            LeaseEnd::Acked { .. } => queue.totals.acked_total += 1,
            LeaseEnd::Discarded { .. } => queue.totals.discarded_total += 1,
            LeaseEnd::Released => {
                queue.put(lease.number, lease.entry, None, &mut self.beside);
                self.expiries.put(lease.number, lease.queue);
                return Liveness::Same;
            }
            LeaseEnd::Failed { due_at } => {
                queue.put(lease.number, failed, *due_at, &mut self.beside);
                self.expiries.put(lease.number, lease.queue);
                return Liveness::Same;
            }
            LeaseEnd::DeadLettered { into, reason, note, at } => {
                let dead = Dead { from: lease.queue, number: lease.number, entry: failed };
                return self.bury(dead, *into, *reason, *note, *at);
            }
        }
        self.forget_message(lease.number);
        Liveness::Release(lease.entry)
    }

    pub(super) fn apply_removed(
        &mut self,
        id: QueueId,
        number: MessageNumber,
        removal: &Removal<'_>,
    ) -> Liveness {
        self.expiries.remove(number);
        let Some(queue) = self.queues.get_mut(&id) else { return Liveness::Same };
        let Some(entry) = queue.take(number, &mut self.beside) else { return Liveness::Same };
        self.tracks.end(number, &track_end_of_removal(removal));
        match removal {
            Removal::Discarded { .. } | Removal::Expired { .. } => {
                queue.totals.discarded_total += 1;
                self.forget_message(number);
                Liveness::Release(entry)
            }
            Removal::DeadLettered { into, reason, at } => {
                self.bury(Dead { from: id, number, entry }, *into, *reason, None, *at)
            }
        }
    }

    #[cfg(feature = "sim")]
    fn remember_ended(&mut self, lease: LeaseNumber, message: (QueueId, MessageNumber)) {
        self.ended.insert(lease, message);
        if self.ended.len() > SETTLED_LATELY_MAX {
            self.ended.pop_first();
        }
    }

    fn bury(
        &mut self,
        dead: Dead,
        into: QueueId,
        reason: Reason,
        note: Option<&str>,
        at: UnixMillis,
    ) -> Liveness {
        let Dead { from, number, entry } = dead;
        self.expiries.remove(number);
        if let Some(queue) = self.queues.get_mut(&from) {
            queue.totals.dead_lettered_total += 1;
            let (queue, attempts) = (&*queue.name, entry.attempts);
            let (first_at, last_at) = (at, at);
            let death = Death { queue, reason, count: 1, attempts, first_at, last_at, note };
            self.deaths.add(number, death);
        }
        let Some(grave) = self.queues.get_mut(&into) else {
            self.forget_message(number);
            return Liveness::Release(entry);
        };
        grave.totals.sent_total += 1;
        grave.put(number, Entry { attempts: 0, ..entry }, None, &mut self.beside);
        Liveness::Same
    }
}

/// What the end of a lease means to the producer; nothing if the message goes on.
fn track_end_of_lease<'a>(end: &LeaseEnd<'a>) -> Option<TrackEnd<'a>> {
    match *end {
        LeaseEnd::Acked { value } => Some(TrackEnd::Processed { value }),
        LeaseEnd::Released | LeaseEnd::Failed { .. } => None,
        LeaseEnd::DeadLettered { reason, note, .. } => {
            let reason = note.unwrap_or(reason.text());
            Some(TrackEnd::Failed { code: Code::DeadLettered, reason })
        }
        LeaseEnd::Discarded { reason } => Some(TrackEnd::Failed { code: Code::Discarded, reason }),
    }
}

fn track_end_of_removal<'a>(removal: &Removal<'a>) -> TrackEnd<'a> {
    match *removal {
        Removal::Discarded { reason } => TrackEnd::Failed { code: Code::Discarded, reason },
        Removal::Expired { .. } | Removal::DeadLettered { reason: Reason::Expired, .. } => {
            TrackEnd::Failed { code: Code::Expired, reason: Reason::Expired.text() }
        }
        Removal::DeadLettered { reason, .. } => {
            TrackEnd::Failed { code: Code::DeadLettered, reason: reason.text() }
        }
    }
}
