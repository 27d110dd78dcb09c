//! What is done to a queue as a whole: paused, emptied, deleted, and given up when nobody uses it.

use alloc::vec::Vec;

use crate::broker::Broker;
use crate::broker::queue::Queue;
use crate::error::{Code, Refused};
use crate::id::{ClientId, ConnId, ConsumerId, MessageNumber, QueueId, RequestId};
use crate::log::Record;
use crate::time::{Now, UnixMillis};
use crate::wire::Frame;

/// A `DeleteQueue` frame, taken apart.
#[derive(Clone, Copy, Debug)]
pub struct Deleting<'a> {
    pub queue: &'a str,
    pub id: QueueId,
    pub if_unused: bool,
    pub if_empty: bool,
}

impl Broker {
    pub(super) fn on_pause(
        &mut self,
        conn: ConnId,
        client: ClientId,
        request: RequestId,
        name: &str,
        paused: bool,
        for_ms: Option<u64>,
    ) {
        if self.is_out_of_room() {
            let refused = Refused::new(Code::Storage, "quota");
            return self.answer_refused(conn, request, refused);
        }
        let queue = match self.own_queue(client, name) {
            Ok(queue) => queue,
            Err(refused) => return self.answer_refused(conn, request, refused),
        };
        let until = for_ms.map(|ms| UnixMillis(self.now.unix.0.saturating_add(ms)));
        let known = self.state.queues.get(&queue).map(|queue| queue.paused);
        let pause = Pause { until };
        if known != Some(Some(pause).filter(|_| paused)) {
            self.commit(&Record::Paused { queue, paused, until });
        }
        self.watch_pause(queue);
        self.dirty_queues.insert(queue);
        self.answer_state(conn, request, queue);
    }

    pub(super) fn watch_pause(&mut self, id: QueueId) {
        let pause = self.state.queues.get(&id).and_then(|queue| queue.paused);
        match pause.and_then(|pause| pause.until) {
            Some(until) => self.pauses.set(id, until),
            None => self.pauses.remove(id),
        }
    }

    /// Ends pauses whose time is over. They end by the clock, so nothing is recorded.
    pub(super) fn end_pauses(&mut self, now: Now) {
        while let Some(queue) = self.pauses.pop_due(now.unix) {
            self.dirty_queues.insert(queue);
        }
    }

    /// Empties the queue of what was in it up to `through`, but for what is delivered.
    pub(super) fn on_purge(
        &mut self,
        conn: ConnId,
        client: ClientId,
        request: RequestId,
        name: &str,
        through: MessageNumber,
    ) {
        let queue = match self.own_queue(client, name) {
            Ok(queue) => queue,
            Err(refused) => return self.answer_refused(conn, request, refused),
        };
        let before = self.state.queues.get(&queue).map_or(0, Queue::waiting);
        self.commit(&Record::Purged { queue, through });
        // Later ones of a key may have waited for one of these.
        self.dirty_queues.insert(queue);
        let after = self.state.queues.get(&queue).map_or(0, Queue::waiting);
        let count = before - after;
        self.advise("purged", queue, &[("messages", &count)]);
        self.gated(conn, &Frame::Counted { request, count });
    }

    pub(super) fn on_delete_queue(
        &mut self,
        conn: ConnId,
        client: ClientId,
        request: RequestId,
        deleting: Deleting<'_>,
    ) {
        match self.judge_delete(client, deleting) {
            Ok(count) => self.gated(conn, &Frame::Counted { request, count }),
            Err(refused) => self.answer_refused(conn, request, refused),
        }
    }

    /// Deletes the queue and tells how many messages went with it.
    fn judge_delete(&mut self, client: ClientId, deleting: Deleting<'_>) -> Result<u64, Refused> {
        let named = self.state.queue_named(deleting.queue);
        if named != Some(deleting.id) {
            // It went when this was asked for the first time; another may have its name by now.
            return Ok(0);
        }
        self.own_queue(client, deleting.queue)?;
        let messages = self.state.queues.get(&deleting.id).map_or(0, Queue::messages);
        if deleting.if_unused && self.consumers.contains_key(&deleting.id) {
            return Err(Refused::new(Code::Invalid, "if_unused"));
        }
        if deleting.if_empty && messages > 0 {
            return Err(Refused::new(Code::Invalid, "if_empty"));
        }
        self.delete_queue(deleting.id);
        Ok(messages)
    }

    fn delete_queue(&mut self, id: QueueId) {
        let Some(queue) = self.state.queues.get(&id) else { return };
        let name = queue.name.clone();
        for lease in queue.leases().collect::<Vec<_>>() {
            self.lease_times.remove(lease);
        }
        self.commit(&Record::Deleted { queue: id });
        self.consumers.remove(&id);
        for runtime in [&mut self.delayed, &mut self.pauses] {
            runtime.remove(id);
        }
        self.gatherings.remove(id);
        self.rates.remove(id);
        self.dirty_queues.remove(&id);
        self.idle_queues.remove(&id);
        self.end_consumers_of(id);
        self.advise_of("deleted", &name, &[]);
        let told: Vec<ConnId> = self.sessions.values().filter_map(|s| s.conn).collect();
        let concerns = |conn: &ConnId| {
            let granted = self.links.granted(*conn);
            granted.is_none_or(|granted| granted.is_admin() || granted.may_use(&name))
        };
        let told: Vec<ConnId> = told.into_iter().filter(concerns).collect();
        for conn in told {
            self.gated(conn, &Frame::QueueDeleted { queue: &name });
        }
    }

    fn end_consumers_of(&mut self, queue: QueueId) {
        let mut ended: Vec<(ConnId, ConsumerId)> = Vec::new();
        self.sessions.for_each_mut(|_, session| {
            session.consumers.retain(|id, consumer| {
                let stays = consumer.queue != queue;
                if !stays && let Some(conn) = session.conn {
                    ended.push((conn, *id));
                }
                stays
            });
        });
        for (conn, consumer) in ended {
            let refused = Some(Code::NotFound);
            self.gated(conn, &Frame::Consuming { consumer, refused, single_active: None });
        }
    }

    /// The queue of that name, unless it is another client's alone.
    pub(super) fn own_queue(&self, client: ClientId, name: &str) -> Result<QueueId, Refused> {
        let id = self.state.queue_named(name).ok_or(Refused::from(Code::NotFound))?;
        let owner = self.state.queues.get(&id).and_then(|queue| queue.owner);
        if owner.is_some_and(|owner| owner != client) {
            return Err(Refused::new(Code::NotAuthorized, "exclusive"));
        }
        Ok(id)
    }

    /// Deletes queues that nobody has used for as long as they declare. While the node settles
    /// their users may still come back.
    pub(super) fn delete_idle_queues(&mut self, now: Now) {
        if self.settling.is_some() {
            return;
        }
        let mut due = Vec::new();
        for (id, queue) in self.state.queues.iter() {
            let Some(idle_ms_max) = queue.idle_ms_max(self.limits.park_ms) else { continue };
            if self.is_used(*id, queue) {
                self.idle_queues.remove(id);
                continue;
            }
            let since = *self.idle_queues.get_or_insert_with(*id, || now.mono);
            if since.after_ms(idle_ms_max) <= now.mono {
                due.push(*id);
            }
        }
        for queue in due {
            self.delete_queue(queue);
        }
    }

    /// For how long nobody may use the queue; for ever if absent.
    pub(super) fn idle_ms_max(&self, id: QueueId) -> Option<u64> {
        self.state.queues.get(&id)?.idle_ms_max(self.limits.park_ms)
    }

    fn is_used(&self, id: QueueId, queue: &Queue) -> bool {
        match queue.owner {
            Some(owner) => self.sessions.contains_key(&owner),
            None => {
                let scheduled = self.state.schedules.of_queue(id, None).next().is_some();
                scheduled || queue.messages() > 0 || self.consumers.contains_key(&id)
            }
        }
    }
}

/// A queue from which nothing is delivered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pause {
    /// For ever if absent.
    pub until: Option<UnixMillis>,
}

impl Pause {
    pub fn holds(self, now: Now) -> bool {
        self.until.is_none_or(|until| until > now.unix)
    }
}
