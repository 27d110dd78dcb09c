//! Transactions: messages to several queues and acknowledgements of several deliveries, of which
//! all is stored in one batch of the log, or nothing. They are numbered like sends, so one that
//! comes twice is done once.

use alloc::vec::Vec;

use crate::broker::Broker;
use crate::broker::gate::Gated;
use crate::broker::overflow::{Load, Turned};
use crate::broker::sends::Storing;
use crate::error::{Code, Refused};
use crate::id::{ClientId, ConnId, LaneId, QueueId, Sequence};
use crate::log::Record;
use crate::options::{Durability, QueueOptions};
use crate::time::Now;
use crate::topic::Name;
use crate::wire::frame::{Acked, Item, Staged};

/// A `Commit` frame, taken apart.
#[derive(Clone, Copy, Debug)]
pub struct Committing<'a> {
    pub sequence: Sequence,
    pub refusals_seen: Sequence,
    pub durability: Option<Durability>,
    pub writes: &'a [Staged<'a>],
    pub acks: &'a [Acked<'a>],
}

impl Broker {
    pub(super) fn on_commit(
        &mut self,
        now: Now,
        conn: ConnId,
        client: ClientId,
        commit: Committing<'_>,
    ) {
        let turn = self.take_turn(now, conn, client, commit.sequence, commit.refusals_seen);
        let Some(lane) = turn else { return };
        match self.admit_commit(now, client, &commit) {
            Ok(queues) => {
                self.store_commit(now, lane, &queues, &commit);
                self.tell_duplicates(conn, lane, commit.sequence);
            }
            Err(refused) => self.refuse_number(conn, lane, commit.sequence, refused),
        }
        self.hold(conn, Gated::Sent(commit.sequence, now.mono));
    }

    /// Whether all of it may be done, and in which queue each write goes. Nothing is changed
    /// before everything was looked at.
    fn admit_commit<'a>(
        &mut self,
        now: Now,
        client: ClientId,
        commit: &Committing<'a>,
    ) -> Result<Vec<QueueId>, Turned<'a>> {
        let count = commit.writes.iter().map(|staged| staged.items.len()).sum::<usize>();
        if count.max(commit.acks.len()) > self.limits.batch_items_max as usize {
            return Err(Refused::new(Code::TooLarge, "batch_items_max").into());
        }
        if self.is_out_of_room() {
            // What was refused without a record must not be covered by one, not even by an
            // acknowledgement alone.
            return Err(Refused::new(Code::Storage, "quota").into());
        }
        self.admit_acks(client, commit.acks)?;
        for Staged { queue, items } in commit.writes {
            Name::parse(queue, &self.limits)?;
            self.admit_to(client, queue, commit.durability, items)?;
            if items.iter().any(|item| item.prepare.is_some()) {
                return Err(Refused::new(Code::Invalid, "prepare").into());
            }
        }
        self.admit_loads(now, commit)?;
        let queue = |staged: &Staged<'_>| match self.state.queue_named(staged.queue) {
            Some(queue) => Ok(queue),
            None => self.declare(client, staged.queue, &QueueOptions::default()),
        };
        Ok(commit.writes.iter().map(queue).collect::<Result<_, Refused>>()?)
    }

    /// Whether the client holds every lease.
    fn admit_acks(&self, client: ClientId, acks: &[Acked<'_>]) -> Result<(), Refused> {
        for (index, Acked { lease, value }) in acks.iter().enumerate() {
            if acks.iter().skip(index + 1).any(|other| other.lease == *lease) {
                return Err(Refused::new(Code::Invalid, "acks"));
            }
            if value.map_or(0, <[u8]>::len) > self.limits.body_bytes_max as usize {
                return Err(Refused::new(Code::TooLarge, "body_bytes_max"));
            }
            let held = self.state.leases.get(lease).is_some_and(|lease| lease.client == client);
            if !held && self.rules.writes_with_ack() {
                return Err(Code::StaleLease.into());
            }
        }
        Ok(())
    }

    /// Whether every queue has room for what comes to it, once what is acknowledged has left.
    fn admit_loads<'a>(&mut self, now: Now, commit: &Committing<'a>) -> Result<(), Turned<'a>> {
        let mut absent = 0;
        for (index, Staged { queue, .. }) in commit.writes.iter().enumerate() {
            if commit.writes.iter().take(index).any(|other| other.queue == *queue) {
                continue;
            }
            let of_queue = commit.writes.iter().filter(|other| other.queue == *queue);
            let items: Vec<Item<'a>> = of_queue.flat_map(|staged| &staged.items).copied().collect();
            if let Some(queue) = self.state.queue_named(queue) {
                let fresh = self.fresh_items(now, queue, &items)?;
                let load = load_of(fresh.iter().map(|item| item.body.len()));
                let leases = commit.acks.iter().filter_map(|ack| self.state.leases.get(&ack.lease));
                let freed = leases.filter(|lease| lease.queue == queue);
                let freed = load_of(freed.map(|lease| lease.entry.body_bytes as usize));
                let acked: Vec<_> = commit.acks.iter().map(|ack| ack.lease).collect();
                let replaced = self.admit_keys(queue, &fresh, &acked).inspect_err(|turned| {
                    self.advise_full(queue, turned.refused.reason);
                })?;
                self.admit_load(queue, load, freed.plus(replaced))?;
                continue;
            }
            absent += 1;
            if items.len() > self.limits.queue_messages_max as usize {
                return Err(Refused::new(Code::Full, "messages_max").into());
            }
        }
        if absent > 0 && self.state.queues.len() + absent > self.limits.queues_max as usize {
            return Err(Refused::new(Code::Full, "queues_max").into());
        }
        Ok(())
    }

    fn store_commit(
        &mut self,
        now: Now,
        lane: LaneId,
        queues: &[QueueId],
        commit: &Committing<'_>,
    ) {
        let sequence = commit.sequence;
        let mut storing = Storing { lane, sequence, first: 0 };
        for (queue, Staged { items, .. }) in queues.iter().zip(commit.writes) {
            self.store(now, storing, *queue, commit.durability, items);
            storing.first += u32::try_from(items.len()).unwrap_or(0);
        }
        if storing.first == 0 {
            self.commit(&Record::LaneVoid { lane, position: sequence, refused: None });
        }
        for Acked { lease: number, value } in commit.acks {
            if let Some(lease) = self.state.leases.get(number).copied() {
                self.acknowledge(*number, lease, *value);
            }
        }
    }
}

fn load_of(bodies: impl Iterator<Item = usize>) -> Load {
    let add =
        |load: Load, bytes| Load { messages: load.messages + 1, bytes: load.bytes + bytes as u64 };
    bodies.fold(Load::default(), add)
}
