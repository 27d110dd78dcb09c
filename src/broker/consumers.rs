//! The consumers of a queue and who of them is served next: the highest priority first, then those
//! whose page is visible, and equals in turn. A queue with a single active consumer serves one, and
//! another only when nothing of the first is out.

use alloc::vec::Vec;

use crate::broker::Broker;
use crate::broker::session::Consumer;
use crate::error::{Code, Refused};
use crate::id::{ClientId, ConnId, ConsumerId, LeaseNumber, QueueId};
use crate::marks::{Mark, mark};
use crate::options::{ConsumeOptions, QueueOptions};
use crate::sorted::LineSet;
use crate::time::{Instant, Now};
use crate::wire::Frame;

/// Who consumes: a consumer of a client.
pub(super) type Member = (ClientId, ConsumerId);

/// Higher is served first: the priority, then whether the page is visible.
type Rank = (u32, bool);

/// The consumers of one queue.
#[derive(Debug, Default)]
pub struct Consumers {
    /// Higher ranks first, equals in the order in which they came.
    pub(super) members: Vec<(Rank, Member)>,
    /// The place of the member that was served last.
    served: usize,
    /// The one that is served, if the queue has a single active consumer.
    pub(super) active: Option<Member>,
    /// Leases of others that have to end before the active one is served.
    foreign: LineSet<LeaseNumber>,
    /// Enough consumers came, so they are served until none is left.
    pub(super) gathered: bool,
    /// When they are served though not enough have come.
    pub(super) serve_at: Option<Instant>,
}

impl Consumers {
    pub fn len(&self) -> usize {
        self.members.len()
    }

    fn add(&mut self, rank: Rank, member: Member) {
        let place = self.members.partition_point(|(other, _)| *other >= rank);
        self.members.insert(place, (rank, member));
    }

    fn remove(&mut self, member: Member) {
        self.members.retain(|(_, other)| *other != member);
    }

    /// Members in the order in which they are to be served: from rank to rank, within one from the
    /// one after that which was served last.
    fn in_turn(&self) -> impl Iterator<Item = (usize, Member)> + '_ {
        let rank_of = |place: usize| self.members[place].0;
        (0..self.members.len()).map(move |place| {
            let rank = rank_of(place);
            let first = self.members.partition_point(|(other, _)| *other > rank);
            let end = self.members.partition_point(|(other, _)| *other >= rank);
            let start = if (first..end).contains(&self.served) { self.served + 1 } else { first };
            let turned = first + (start - first + place - first) % (end - first);
            (turned, self.members[turned].1)
        })
    }
}

impl Broker {
    pub(super) fn on_consume(
        &mut self,
        conn: ConnId,
        client: ClientId,
        consumer: ConsumerId,
        queue: &str,
        options: ConsumeOptions,
    ) {
        let started = self.start_consumer(client, consumer, queue, options);
        let refused = started.as_ref().err().map(|refused| refused.code);
        let queue_id = started.as_ref().ok().map(|(queue, _)| *queue);
        let single_active = queue_id.map(|queue| self.is_single_active(queue)).filter(|is| *is);
        self.gated(conn, &Frame::Consuming { consumer, refused, single_active });
        let Ok((queue, was_detached)) = started else { return };
        self.elect_active(queue, Some((client, consumer)));
        if was_detached && !self.is_single_active(queue) {
            self.tell_active((client, consumer), true);
        }
    }

    /// Gives its queue, and whether it had been detached.
    pub(super) fn start_consumer(
        &mut self,
        client: ClientId,
        id: ConsumerId,
        name: &str,
        options: ConsumeOptions,
    ) -> Result<(QueueId, bool), Refused> {
        let queue = self.declare(client, name, &QueueOptions::default())?;
        let mine = |lease: &&crate::broker::queue::Lease| {
            (lease.client, lease.consumer, lease.queue) == (client, id, queue)
        };
        let held = self.state.leases.values().filter(mine);
        let (in_flight, in_flight_bytes) =
            held.fold((0, 0), |(n, bytes), l| (n + 1, bytes + u64::from(l.entry.body_bytes)));
        let Some(session) = self.sessions.get_mut(&client) else { return Err(Code::Closed.into()) };
        let known = session.consumers.get(&id);
        if known.is_none() && session.consumers.len() >= self.limits.handles_max as usize {
            return Err(Refused::new(Code::Full, "handles_max"));
        }
        if known.is_some_and(|known| known.queue != queue) {
            return Err(Refused::new(Code::Invalid, "queue"));
        }
        let was_detached = known.is_some_and(|known| known.detached);
        let rank = (options.priority.unwrap_or(0), !session.hidden);
        let consumer =
            Consumer { queue, options, in_flight, in_flight_bytes, slow: false, detached: false };
        session.consumers.insert(id, consumer);
        let consumers = self.consumers.get_or_default(queue);
        consumers.remove((client, id));
        consumers.add(rank, (client, id));
        self.gather(queue);
        self.dirty_queues.insert(queue);
        Ok((queue, was_detached))
    }

    pub(super) fn on_cancel_consumer(&mut self, client: ClientId, consumer: ConsumerId) {
        let Some(session) = self.sessions.get_mut(&client) else { return };
        if let Some(cancelled) = session.consumers.remove(&consumer) {
            self.remove_consumer(client, consumer, cancelled.queue);
        }
    }

    pub(super) fn remove_consumer(
        &mut self,
        client: ClientId,
        consumer: ConsumerId,
        queue: QueueId,
    ) {
        let Some(consumers) = self.consumers.get_mut(&queue) else { return };
        consumers.remove((client, consumer));
        if consumers.members.is_empty() {
            self.consumers.remove(&queue);
        } else {
            self.elect_active(queue, None);
        }
    }

    /// The page of a client came into view or went out of it.
    pub(super) fn on_visible(&mut self, client: ClientId, visible: bool) {
        let Some(session) = self.sessions.get_mut(&client) else { return };
        session.hidden = !visible;
        for (id, consumer) in session.consumers.iter() {
            let rank = (consumer.options.priority.unwrap_or(0), visible);
            if let Some(consumers) = self.consumers.get_mut(&consumer.queue) {
                consumers.remove((client, *id));
                consumers.add(rank, (client, *id));
            }
        }
    }

    /// The next consumer in turn that can take a body of this length.
    pub(super) fn next_consumer(&mut self, queue: QueueId, body_bytes: u32) -> Option<Member> {
        let consumers = self.consumers.get(&queue)?;
        if !consumers.gathered {
            return None;
        }
        let single = self.is_single_active(queue);
        if single && !consumers.foreign.is_empty() {
            return None;
        }
        let able = |(_, member): &(usize, Member)| {
            (!single || consumers.active == Some(*member)) && self.can_take(*member, body_bytes)
        };
        let (place, member) = consumers.in_turn().find(able)?;
        if let Some(consumers) = self.consumers.get_mut(&queue) {
            consumers.served = place;
        }
        Some(member)
    }

    fn can_take(&self, (client, consumer): Member, body_bytes: u32) -> bool {
        let Some(session) = self.sessions.get(&client) else { return false };
        if session.silent {
            mark(Mark::ConsumerPassedOver);
            return false;
        }
        let link_has_room = session.conn.is_some_and(|conn| {
            self.links.waiting_bytes(conn) < self.limits.link_bytes_max as usize
        });
        link_has_room && session.consumers.get(&consumer).is_some_and(|c| c.has_credit(body_bytes))
    }

    fn is_single_active(&self, queue: QueueId) -> bool {
        let queue = self.state.queues.get(&queue);
        queue.is_some_and(|queue| queue.options.single_active == Some(true))
    }

    /// Names the single active consumer of a queue if it has none that can be served, or one of
    /// lower priority than another. `asker` is told even if nothing changed. While the node settles
    /// nobody is named in place of one that may come back.
    pub(super) fn elect_active(&mut self, queue: QueueId, asker: Option<Member>) {
        if !self.is_single_active(queue) || self.settling.is_some() {
            return;
        }
        let Some(consumers) = self.consumers.get(&queue) else { return };
        let before = consumers.active;
        let here = |member: Member| self.is_here(member);
        let mut able = consumers.members.iter().filter(|(_, member)| here(*member));
        let priority = |((priority, _), _): &(Rank, Member)| *priority;
        let best = able.next().copied();
        let stays = consumers.members.iter().find(|(_, member)| Some(*member) == before);
        let stays = stays
            .filter(|(_, member)| here(*member))
            .filter(|kept| best.is_none_or(|best| priority(kept) >= priority(&best)));
        let after = stays.copied().or(best).map(|(_, member)| member);
        if after != before {
            self.activate(queue, after);
        }
        for member in [before, after, asker].into_iter().flatten() {
            if before != after || asker == Some(member) {
                self.tell_active(member, after == Some(member));
            }
        }
    }

    pub(super) fn activate(&mut self, queue: QueueId, member: Option<Member>) {
        let leases = self.state.leases.iter().filter(|(_, lease)| lease.queue == queue);
        let foreign = leases.filter(|(_, lease)| Some((lease.client, lease.consumer)) != member);
        let foreign = foreign.map(|(number, _)| *number).collect();
        if let Some(consumers) = self.consumers.get_mut(&queue) {
            consumers.active = member;
            consumers.foreign = foreign;
        }
        self.dirty_queues.insert(queue);
    }

    /// Whether it can be served, now or when it has credit.
    fn is_here(&self, (client, consumer): Member) -> bool {
        let session = self.sessions.get(&client).filter(|session| !session.silent);
        session.is_some_and(|session| {
            let detached = session.consumers.get(&consumer).is_some_and(|c| c.detached);
            session.conn.is_some() && !detached
        })
    }

    /// Whether it is the one that is served of a queue with a single active consumer.
    pub(super) fn is_active(&self, queue: QueueId, member: Member) -> bool {
        self.consumers.get(&queue).is_some_and(|consumers| consumers.active == Some(member))
    }

    /// Whether another consumer of the queue could be served in place of this one.
    pub(super) fn has_another(&self, queue: QueueId, than: Member) -> bool {
        let Some(consumers) = self.consumers.get(&queue) else { return false };
        let ready = |(client, consumer): Member| {
            let consumers = self.sessions.get(&client).map(|session| &session.consumers);
            consumers.and_then(|all| all.get(&consumer)).is_some_and(Consumer::is_ready)
        };
        let mut others = consumers.members.iter().map(|(_, member)| *member);
        others.any(|member| member != than && self.is_here(member) && ready(member))
    }

    pub(super) fn tell_active(&mut self, (client, consumer): Member, active: bool) {
        let Some(session) = self.sessions.get(&client) else { return };
        if let Some(conn) = session.conn.filter(|_| session.consumers.contains_key(&consumer)) {
            self.gated(conn, &Frame::ConsumerActive { consumer, active });
        }
    }

    /// Names an active consumer where the node had to wait with that.
    pub(super) fn elect_all_active(&mut self) {
        let queues: Vec<QueueId> = self.consumers.keys().copied().collect();
        for queue in queues {
            self.elect_active(queue, None);
        }
    }

    /// Looks again at the queues of a client that can be served no more, or again.
    pub(super) fn elect_active_around(&mut self, client: ClientId) {
        let Some(session) = self.sessions.get(&client) else { return };
        let queues: Vec<QueueId> = session.consumers.values().map(|c| c.queue).collect();
        for queue in queues {
            self.elect_active(queue, None);
            self.dirty_queues.insert(queue);
        }
    }

    /// A lease of the queue is over.
    pub(super) fn foreign_lease_ended(&mut self, queue: QueueId, lease: LeaseNumber) {
        if let Some(consumers) = self.consumers.get_mut(&queue) {
            consumers.foreign.remove(&lease);
        }
    }

    /// Opens the queue once enough consumers came.
    pub(super) fn gather(&mut self, id: QueueId) {
        let Some(queue) = self.state.queues.get(&id) else { return };
        let Some(consumers) = self.consumers.get_mut(&id) else { return };
        let wanted = queue.options.consumers_min.unwrap_or(1) as usize;
        consumers.gathered |= consumers.members.len() >= wanted;
        if consumers.gathered || consumers.serve_at.is_some() {
            return;
        }
        if let Some(delay_ms) = queue.options.consumers_wait_ms {
            let serve_at = self.now.mono.after_ms(delay_ms);
            consumers.serve_at = Some(serve_at);
            self.gatherings.set(id, serve_at);
        }
    }

    /// Opens queues whose consumers have waited long enough for others.
    pub(super) fn end_gatherings(&mut self, now: Now) {
        while let Some(queue) = self.gatherings.pop_due(now.mono) {
            let Some(consumers) = self.consumers.get_mut(&queue) else { continue };
            // Those for whom this was set may be gone, and others here since.
            if consumers.serve_at.is_some_and(|at| at <= now.mono) {
                consumers.gathered = true;
                self.dirty_queues.insert(queue);
            }
        }
    }
}
