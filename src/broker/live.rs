//! Live publish/subscribe at the node: the newest number of each publisher, a bounded memory to
//! repair gaps, and groups, whose messages go to one member each.

mod memory;

use alloc::borrow::ToOwned;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;

use crate::broker::Broker;
use crate::broker::advisories::Advisories;
use crate::error::{Code, Refused};
use crate::id::{ClientId, ConnId, PublishNumber, SubscriptionId};
use crate::limits::Limits;
use crate::marks::{Mark, mark};
use crate::sorted::{Line, Map, Set};
use crate::time::{Instant, Now};
use crate::topic::{Filter, FilterTrie, Name, Topic};
use crate::wire::Frame;
use crate::wire::frame::{Live, Newest, Reached};

/// One group of one filter.
#[derive(Debug)]
struct Group {
    filter: Filter,
    members: Vec<(ClientId, SubscriptionId)>,
    turn: usize,
}

/// A live message kept to repair gaps.
#[derive(Debug)]
struct Kept {
    topic: String,
    body: Vec<u8>,
    properties: Option<Vec<u8>>,
    index: u64,
}

/// What a kept message takes beside its texts, in memory and in a `Repaired`: many small ones must
/// fit into one frame as well.
const KEPT_BYTES_EACH: usize = 64;

impl Kept {
    fn bytes(&self) -> usize {
        let properties = self.properties.as_ref().map_or(0, Vec::len);
        KEPT_BYTES_EACH + self.topic.len() + self.body.len() + properties
    }
}

/// How far a publisher was heard.
#[derive(Clone, Copy, Debug)]
struct Known {
    reached: Reached,
    /// Turn in which it was last heard.
    heard: u64,
}

impl Known {
    const fn newest(&self, publisher: ClientId) -> Newest {
        let Reached { number, index } = self.reached;
        Newest { publisher, number, index }
    }
}

/// A client that asked for messages this node is about to hear.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    conn: ConnId,
    publisher: ClientId,
    first: PublishNumber,
    last: PublishNumber,
}

#[derive(Debug)]
pub struct LiveHub {
    newest: Map<ClientId, Known>,
    turn: u64,
    /// Publishers that were asked for what this node missed and have not said that this was all.
    asked: Map<ClientId, ConnId>,
    /// Publishers heard since their numbers were last repeated, and when to repeat them.
    changed: Set<ClientId>,
    repeat_at: Option<Instant>,
    /// Repairs that wait for their publisher, and until when.
    waiting: Vec<Waiting>,
    waiting_until: Option<Instant>,
    kept: Line<(ClientId, PublishNumber), Kept>,
    kept_order: VecDeque<(ClientId, PublishNumber)>,
    kept_bytes: usize,
    groups: Map<u32, Group>,
    group_ids: Map<(String, String), u32>,
    group_of: Map<(ClientId, SubscriptionId), u32>,
    next_group: u32,
    filters: FilterTrie<u32>,
    /// Groups that listen to the system.
    listeners: usize,
    pub advisories: Advisories,
}

impl LiveHub {
    pub fn new() -> Self {
        Self {
            newest: Map::new(),
            turn: 0,
            asked: Map::new(),
            changed: Set::new(),
            repeat_at: None,
            waiting: Vec::new(),
            waiting_until: None,
            kept: Line::new(),
            kept_order: VecDeque::new(),
            kept_bytes: 0,
            groups: Map::new(),
            group_ids: Map::new(),
            group_of: Map::new(),
            next_group: 1,
            filters: FilterTrie::new(),
            listeners: 0,
            advisories: Advisories::default(),
        }
    }

    /// Somebody listens to the system.
    pub const fn has_listeners(&self) -> bool {
        self.listeners > 0
    }

    /// The newest number of every publisher that is remembered.
    pub fn newest(&self) -> Vec<Newest> {
        self.newest.iter().map(|(publisher, known)| known.newest(*publisher)).collect()
    }

    /// When it next has something to do.
    pub fn wake_at(&self) -> Option<Instant> {
        [self.repeat_at, self.waiting_until].into_iter().flatten().min()
    }

    /// Repairs that can be answered now: all of their range was heard, or they waited long enough.
    fn take_answerable(&mut self, now: Instant) -> Vec<Waiting> {
        let late = self.waiting_until.is_some_and(|until| until <= now);
        let (answerable, waiting) =
            core::mem::take(&mut self.waiting).into_iter().partition(|asked: &Waiting| {
                late || self.newest_of(asked.publisher) >= Some(asked.last)
            });
        self.waiting = waiting;
        if self.waiting.is_empty() {
            self.waiting_until = None;
        }
        answerable
    }

    /// The numbers to repeat now.
    pub fn take_repeats(&mut self, now: Instant) -> Option<Vec<Newest>> {
        if self.repeat_at.is_none_or(|at| at > now) {
            return None;
        }
        self.repeat_at = None;
        let changed = core::mem::take(&mut self.changed).into_iter();
        let newest = changed.filter_map(|id| Some(self.newest.get(&id)?.newest(id)));
        Some(newest.collect())
    }

    fn newest_of(&self, publisher: ClientId) -> Option<PublishNumber> {
        self.newest.get(&publisher).map(|known| known.reached.number)
    }

    /// What a message's number means beside the newest one known. A new run starts right after
    /// whatever was heard of the one before. Of a publisher that nobody told this node of, all
    /// before the message is missing: to take it would be to confirm the rest unheard.
    fn place(&self, live: &Live<'_>) -> Placed {
        let before_run = PublishNumber(live.first().0.saturating_sub(1));
        let newest = self.newest_of(live.publisher).unwrap_or_default().max(before_run);
        if live.number <= newest {
            Placed::Repeat
        } else if live.number.0 == newest.0 + 1 {
            Placed::Next
        } else {
            Placed::Ahead { newest }
        }
    }

    fn accept(&mut self, now: Instant, live: &Live<'_>, limits: &Limits) {
        let reached = Reached { number: live.number, index: live.index };
        self.advance(now, live.publisher, reached, limits);
        self.keep(live, limits.repair_bytes_max as usize);
    }

    /// A publisher says how far it was heard, by this node or by one before it.
    /// Returns whether that is news.
    pub fn resume(
        &mut self,
        now: Instant,
        id: ClientId,
        reached: Reached,
        limits: &Limits,
    ) -> bool {
        let is_news = self.newest_of(id).is_none_or(|newest| newest < reached.number);
        if is_news {
            self.advance(now, id, reached, limits);
        }
        is_news
    }

    fn advance(&mut self, now: Instant, id: ClientId, reached: Reached, limits: &Limits) {
        self.turn += 1;
        self.newest.insert(id, Known { reached, heard: self.turn });
        while self.newest.len() > limits.publishers_max as usize {
            let oldest = self.newest.iter().min_by_key(|(_, known)| known.heard);
            let Some(oldest) = oldest.map(|(id, _)| *id) else { break };
            self.newest.remove(&oldest);
            self.asked.remove(&oldest);
        }
        self.changed.insert(id);
        if self.repeat_at.is_none() {
            self.repeat_at = Some(now.after_ms(limits.newest_repeat_ms));
        }
    }

    fn keep(&mut self, live: &Live<'_>, bytes_max: usize) {
        let key = (live.publisher, live.number);
        let kept = Kept {
            topic: live.topic.to_owned(),
            body: live.body.to_owned(),
            properties: live.properties.map(ToOwned::to_owned),
            index: live.index,
        };
        self.kept_bytes += kept.bytes();
        self.kept.insert(key, kept);
        self.kept_order.push_back(key);
        while self.kept_bytes > bytes_max {
            let Some(oldest) = self.kept_order.pop_front() else { break };
            if let Some(kept) = self.kept.remove(&oldest) {
                self.kept_bytes -= kept.bytes();
            }
        }
    }

    /// The publisher has said all it has of what it was asked for.
    pub fn answered(&mut self, publisher: ClientId) {
        self.asked.remove(&publisher);
    }

    /// The messages of a range that are still kept, ascending.
    fn range(
        &self,
        publisher: ClientId,
        first: PublishNumber,
        last: PublishNumber,
    ) -> Vec<Live<'_>> {
        if first > last {
            return Vec::new();
        }
        self.kept
            .range((publisher, first)..=(publisher, last))
            .map(|((publisher, number), kept)| Live {
                publisher: *publisher,
                number: *number,
                index: kept.index,
                topic: &kept.topic,
                body: &kept.body,
                properties: kept.properties.as_deref(),
            })
            .collect()
    }

    /// A group without a name has one member.
    fn join(&mut self, member: (ClientId, SubscriptionId), filter: Filter, group: &str) {
        if group.is_empty() && self.group_of.contains_key(&member) {
            return;
        }
        let next = self.next_group;
        let id = if group.is_empty() {
            next
        } else {
            let key = (group.to_owned(), filter.as_str().to_owned());
            *self.group_ids.get_or_insert_with(key, || next)
        };
        self.next_group += u32::from(id == next);
        let (filters, listeners) = (&mut self.filters, &mut self.listeners);
        let joined = self.groups.get_or_insert_with(id, || {
            filters.insert(&filter, id);
            *listeners += usize::from(filter.is_system());
            Group { filter, members: Vec::new(), turn: 0 }
        });
        if !joined.members.contains(&member) {
            joined.members.push(member);
        }
        self.group_of.insert(member, id);
    }

    /// What a member of a group listens to.
    pub fn filter_of(&self, client: ClientId, subscription: SubscriptionId) -> Option<&Filter> {
        let group = self.group_of.get(&(client, subscription))?;
        self.groups.get(group).map(|group| &group.filter)
    }

    pub fn leave(&mut self, client: ClientId, subscription: SubscriptionId) {
        let Some(id) = self.group_of.remove(&(client, subscription)) else { return };
        let Some(group) = self.groups.get_mut(&id) else { return };
        group.members.retain(|member| *member != (client, subscription));
        if group.members.is_empty() {
            self.filters.remove(&group.filter, id);
            self.listeners -= usize::from(group.filter.is_system());
            self.groups.remove(&id);
            self.group_ids.retain(|_, known| *known != id);
        }
    }
}

/// Where a live message stands among those of its publisher.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Placed {
    Next,
    Repeat,
    Ahead { newest: PublishNumber },
}

impl Broker {
    /// A message to everyone, which may have lost others on its way.
    /// Gives what may be passed on of it, and where it stands.
    pub(super) fn on_publish<'a>(
        &mut self,
        now: Now,
        live: Live<'a>,
    ) -> Option<(Live<'a>, Placed)> {
        self.take_publish(now, live, false)
    }

    /// A message that its publisher says on its link because this node asked. What lies between the
    /// newest one known and it is with nobody any more.
    pub(super) fn on_publish_again(&mut self, now: Now, live: Live<'_>) {
        let conn = self.sessions.get(&live.publisher).and_then(|session| session.conn);
        let asked = self.live.asked.get(&live.publisher).copied();
        let taken = self.take_publish(now, live, conn.is_some() && asked == conn);
        if let Some((live, Placed::Next | Placed::Ahead { .. })) = taken {
            self.pass_by(&live);
        }
    }

    fn take_publish<'a>(
        &mut self,
        now: Now,
        live: Live<'a>,
        all_there_is: bool,
    ) -> Option<(Live<'a>, Placed)> {
        let live = self.veil_of_publisher(live)?;
        let topic = Topic::parse(live.topic, &self.limits).ok()?;
        let nobodys = topic.is_system() && !live.is_veiled();
        if nobodys || live.body.len() > self.limits.body_bytes_max as usize {
            return None;
        }
        let conn = self.sessions.get(&live.publisher).and_then(|session| session.conn);
        let placed = self.live.place(&live);
        match placed {
            Placed::Repeat => {}
            Placed::Ahead { newest } if !all_there_is => {
                let first = PublishNumber(newest.0 + 1);
                self.ask_publisher(live.publisher, first, live.number);
                return Some((live, placed));
            }
            Placed::Next | Placed::Ahead { .. } => {
                self.live.accept(now.mono, &live, &self.limits);
                if !live.is_veiled() {
                    self.sample(&topic, &live);
                    self.publish_to_groups(&topic, live);
                }
            }
        }
        let newest = self.live.newest_of(live.publisher);
        if let (Some(conn), Some(number)) = (conn, newest) {
            self.published.insert(conn, number);
        }
        Some((live, placed))
    }

    fn publish_to_groups(&mut self, topic: &Topic, live: Live<'_>) {
        for (conn, subscription) in self.group_members(topic) {
            self.links.push(conn, &Frame::GroupMessage { subscription, live });
        }
    }

    /// The member of each group whose turn it is to get a message of this topic.
    pub(super) fn group_members(&mut self, topic: &Topic) -> Vec<(ConnId, SubscriptionId)> {
        let mut matching = Vec::new();
        self.live.filters.matches(topic, &mut matching);
        let mut chosen = Vec::new();
        for id in matching {
            let Some(group) = self.live.groups.get_mut(&id) else { continue };
            for _ in 0..group.members.len() {
                group.turn = (group.turn + 1) % group.members.len();
                let (client, subscription) = group.members[group.turn];
                let conn = self.sessions.get(&client).and_then(|session| session.conn);
                let Some(conn) = conn else { continue };
                chosen.push((conn, subscription));
                break;
            }
        }
        chosen
    }

    /// Tells publishers how far they were heard, once for all that came together.
    pub(super) fn confirm_published(&mut self) {
        while let Some((conn, number)) = self.published.pop_first() {
            self.links.push(conn, &Frame::Published { number });
        }
    }

    /// Asks a publisher for what this node missed, unless it is about to answer on this link.
    fn ask_publisher(&mut self, publisher: ClientId, first: PublishNumber, last: PublishNumber) {
        let conn = self.sessions.get(&publisher).and_then(|session| session.conn);
        if let Some(conn) = conn
            && self.live.asked.insert(publisher, conn) != Some(conn)
        {
            self.links.push(conn, &Frame::Repair { publisher, first, last });
        }
    }

    /// A client asks for what it missed. If this node missed the end of it too, the publisher comes
    /// first: it still has what no node has heard.
    pub(super) fn on_repair(
        &mut self,
        now: Now,
        conn: ConnId,
        publisher: ClientId,
        first: PublishNumber,
        last: PublishNumber,
    ) {
        let newest = self.live.newest_of(publisher);
        let linked = self.sessions.get(&publisher).is_some_and(|session| session.conn.is_some());
        let room = self.live.waiting.len() < self.limits.sessions_max as usize;
        let Some(newest) = newest.filter(|newest| *newest < last && linked && room) else {
            return self.answer_repair(&Waiting { conn, publisher, first, last });
        };
        self.ask_publisher(publisher, PublishNumber(newest.0 + 1), last);
        self.live.waiting.push(Waiting { conn, publisher, first, last });
        let until = now.mono.after_ms(self.limits.newest_repeat_ms);
        self.live.waiting_until.get_or_insert(until);
    }

    /// Answers the repairs that have waited for their publisher.
    pub(super) fn answer_repairs(&mut self, now: Now) {
        for asked in self.live.take_answerable(now.mono) {
            self.answer_repair(&asked);
        }
    }

    fn answer_repair(&mut self, asked: &Waiting) {
        let Waiting { conn, publisher, first, last } = *asked;
        let mut messages = self.live.range(publisher, first, last);
        for live in &mut messages {
            if !self.may_hear(conn, live.topic) || !self.listens(conn, live.topic) {
                *live = live.veiled();
            }
        }
        if !messages.is_empty() {
            mark(Mark::LiveRepaired);
        }
        self.links.push(conn, &Frame::Repaired { publisher, first, last, messages });
    }

    pub(super) fn on_join_group(
        &mut self,
        conn: ConnId,
        client: ClientId,
        subscription: SubscriptionId,
        filter: &str,
        group: &str,
    ) {
        let refused = self.join_group(client, subscription, filter, group).err();
        let refused = refused.map(|refused| refused.code);
        self.links.push(conn, &Frame::GroupJoined { subscription, refused });
    }

    pub(super) fn join_group(
        &mut self,
        client: ClientId,
        subscription: SubscriptionId,
        filter: &str,
        group: &str,
    ) -> Result<(), Refused> {
        let filter = Filter::parse(filter, &self.limits)?;
        if !(group.is_empty() && filter.is_system()) {
            Name::parse(group, &self.limits)?;
        }
        let Some(session) = self.sessions.get_mut(&client) else { return Err(Code::Closed.into()) };
        if session.groups.len() >= self.limits.handles_max as usize {
            return Err(Refused::new(Code::Full, "handles_max"));
        }
        session.groups.insert(subscription);
        self.live.join((client, subscription), filter, group);
        Ok(())
    }

    pub(super) fn on_leave_group(&mut self, client: ClientId, subscription: SubscriptionId) {
        if let Some(session) = self.sessions.get_mut(&client) {
            session.groups.remove(&subscription);
        }
        self.live.leave(client, subscription);
    }
}
