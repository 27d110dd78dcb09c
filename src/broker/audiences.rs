//! Who behind each socket of a hub listens to what. The links of one socket are an audience: a live
//! message goes out on the socket once, if anybody of the audience listens to it.
//!
//! Live messages are numbered by publisher, so who is not sent some must be told which: they were
//! skipped. What is told so is heard by everyone on the device of the socket, and holds for nobody
//! but the audience: a client that speaks on another socket, or that this hub has lost and that
//! does not know it, may have listened. So whoever comes or goes makes another audience, which has
//! another name, and those who were not of it all the time do not believe what is told under it.

use alloc::vec::Vec;

use crate::id::{AudienceId, ClientId, ConnId, PublishNumber, SocketId, SubscriptionId};
use crate::sorted::Map;
use crate::topic::{Filter, FilterTrie, Topic};
use crate::wire::Frame;
use crate::wire::frame::{Live, Newest};

/// Publishers of which an audience was not told how much it did not hear. Over it, it is told.
const UNTOLD_MAX: usize = 256;

type Listener = (SocketId, ConnId, SubscriptionId);

/// One link of an audience.
#[derive(Debug)]
struct Member {
    /// It can say what it listens to.
    can_listen: bool,
    /// It has said all that it listens to. Until then it hears everything.
    has_resumed: bool,
    filters: Map<SubscriptionId, Filter>,
}

/// Numbers of one run of a publisher, the first and the last.
type Run = (PublishNumber, Newest);

/// What an audience did not hear of a publisher and was not told of.
#[derive(Debug, Default)]
struct Untold {
    /// To these nobody listened.
    skipped: Option<Run>,
    /// There may be others, which the node got in another way: the newest number is to be told.
    is_due: bool,
}

#[derive(Debug)]
struct Audience {
    id: AudienceId,
    members: Map<ConnId, Member>,
    /// What its members listen to, all together.
    filters: usize,
    untold: Map<ClientId, Untold>,
}

impl Audience {
    /// Somebody can't say what it listens to, and knows nothing of what is skipped.
    fn is_deaf_to_skips(&self) -> bool {
        self.members.values().any(|member| !member.can_listen)
    }

    /// Somebody did not say all that it listens to.
    fn hears_all(&self) -> bool {
        self.members.values().any(|member| !member.has_resumed)
    }

    fn is_listening(&self) -> bool {
        self.filters > 0 || self.hears_all()
    }

    /// Where nobody listens nothing is counted: whoever begins to is told where it begins.
    fn forget_if_idle(&mut self) {
        if !self.is_listening() {
            self.untold.clear();
        }
    }

    fn told(&self, (first, last): (PublishNumber, Newest)) -> Frame<'static> {
        Frame::Skipped { audience: self.id, first, last }
    }
}

/// What becomes of one live message on one socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    Sent,
    /// It may not be heard there, where somebody has to count it.
    Veiled,
    Skipped,
    /// Nobody there counts.
    Ignored,
}

/// The audiences of all sockets. A node that has none is that of a device.
#[derive(Debug, Default)]
pub struct Audiences {
    by_socket: Map<SocketId, Audience>,
    listeners: FilterTrie<Listener>,
}

impl Audiences {
    pub fn is_empty(&self) -> bool {
        self.by_socket.is_empty()
    }

    pub fn sockets(&self) -> Vec<SocketId> {
        self.by_socket.keys().copied().collect()
    }

    pub fn has(&self, socket: SocketId, conn: ConnId) -> bool {
        self.by_socket.get(&socket).is_some_and(|audience| audience.members.contains_key(&conn))
    }

    /// One link of the socket: all have the same grant.
    pub fn any_member(&self, socket: SocketId) -> Option<ConnId> {
        let audience = self.by_socket.get(&socket)?;
        audience.members.first_key_value().map(|(conn, _)| *conn)
    }

    /// What the socket's audience is called, and whether the link can say what it listens to. Of
    /// one that has not said all of it: nothing.
    pub fn of_link(&self, socket: SocketId, conn: ConnId) -> Option<(AudienceId, bool)> {
        let audience = self.by_socket.get(&socket)?;
        let member = audience.members.get(&conn)?;
        (member.has_resumed || !member.can_listen).then_some((audience.id, member.can_listen))
    }

    /// What the link listens to.
    pub fn filters_of(
        &self,
        socket: SocketId,
        conn: ConnId,
    ) -> impl Iterator<Item = (SubscriptionId, &Filter)> {
        let member = self.by_socket.get(&socket).and_then(|audience| audience.members.get(&conn));
        member.into_iter().flat_map(|member| member.filters.iter()).map(|(id, f)| (*id, f))
    }

    /// What audiences were not told: of which publisher, and whether its newest number is due.
    pub fn untold(&self) -> impl Iterator<Item = (SocketId, ClientId, Option<Run>, bool)> {
        self.by_socket.iter().flat_map(|(socket, audience)| {
            let untold = audience.untold.iter();
            untold.map(|(publisher, u)| (*socket, *publisher, u.skipped, u.is_due))
        })
    }

    /// Knows again what another one of this node did not tell.
    pub fn recall(
        &mut self,
        socket: SocketId,
        publisher: ClientId,
        skipped: Option<Run>,
        is_due: bool,
    ) {
        if let Some(audience) = self.by_socket.get_mut(&socket) {
            audience.untold.insert(publisher, Untold { skipped, is_due });
        }
    }

    /// Adds a link. Before that, `take_skipped` was told to the audience.
    pub fn join(&mut self, socket: SocketId, conn: ConnId, can_listen: bool, id: AudienceId) {
        let (members, untold) = (Map::new(), Map::new());
        let make = || Audience { id, members, filters: 0, untold };
        let audience = self.by_socket.get_or_insert_with(socket, make);
        audience.id = id;
        let member = Member { can_listen, has_resumed: false, filters: Map::new() };
        audience.members.insert(conn, member);
    }

    /// Takes a link away. Before that, `take_skipped` was told to the audience.
    pub fn leave(&mut self, socket: SocketId, conn: ConnId, id: AudienceId) {
        let Some(audience) = self.by_socket.get_mut(&socket) else { return };
        let Some(left) = audience.members.remove(&conn) else { return };
        audience.id = id;
        audience.filters -= left.filters.len();
        for (subscription, filter) in left.filters.iter() {
            self.listeners.remove(filter, (socket, conn, *subscription));
        }
        audience.forget_if_idle();
        if audience.members.is_empty() {
            self.by_socket.remove(&socket);
        }
    }

    /// The links of the socket that have to know what their audience is called.
    pub fn who_knows(&self, socket: SocketId) -> Vec<ConnId> {
        let members = self.by_socket.get(&socket).into_iter().flat_map(|a| a.members.iter());
        members.filter(|(_, member)| member.can_listen).map(|(conn, _)| *conn).collect()
    }

    /// The link has said what it listens to; what is left out it does not hear.
    pub fn resumed(&mut self, socket: SocketId, conn: ConnId) {
        let Some(audience) = self.by_socket.get_mut(&socket) else { return };
        if let Some(member) = audience.members.get_mut(&conn).filter(|member| member.can_listen) {
            member.has_resumed = true;
        }
        audience.forget_if_idle();
    }

    /// How many filters the link has, and all links of its socket. `None`: it can't listen.
    pub fn filters(&self, socket: SocketId, conn: ConnId) -> Option<(usize, usize)> {
        let audience = self.by_socket.get(&socket)?;
        let member = audience.members.get(&conn).filter(|member| member.can_listen)?;
        Some((member.filters.len(), audience.filters))
    }

    /// Adds a filter of a link. True if it is the first one since the link has resumed.
    pub fn listen(
        &mut self,
        socket: SocketId,
        conn: ConnId,
        subscription: SubscriptionId,
        filter: Filter,
    ) -> bool {
        self.end_listening(socket, conn, subscription);
        let Some(audience) = self.by_socket.get_mut(&socket) else { return false };
        let Some(member) = audience.members.get_mut(&conn) else { return false };
        let is_first = member.has_resumed && member.filters.is_empty();
        self.listeners.insert(&filter, (socket, conn, subscription));
        member.filters.insert(subscription, filter);
        audience.filters += 1;
        is_first
    }

    pub fn end_listening(&mut self, socket: SocketId, conn: ConnId, subscription: SubscriptionId) {
        let Some(audience) = self.by_socket.get_mut(&socket) else { return };
        let member = audience.members.get_mut(&conn);
        let Some(filter) = member.and_then(|member| member.filters.remove(&subscription)) else {
            return;
        };
        self.listeners.remove(&filter, (socket, conn, subscription));
        audience.filters -= 1;
        audience.forget_if_idle();
    }

    /// Where somebody has a filter for the topic: the links, by socket.
    pub fn listeners(&self, topic: &Topic<'_>) -> Vec<(SocketId, ConnId)> {
        let mut found = Vec::new();
        self.listeners.matches(topic, &mut found);
        found.into_iter().map(|(socket, conn, _)| (socket, conn)).collect()
    }

    /// Whether the link hears everything, or listens.
    pub fn hears(&self, socket: SocketId, conn: ConnId, topic: &Topic<'_>) -> bool {
        let audience = self.by_socket.get(&socket);
        let member = audience.and_then(|audience| audience.members.get(&conn));
        member.is_none_or(|member| !member.has_resumed)
            || self.listeners(topic).contains(&(socket, conn))
    }

    pub fn fate(&self, socket: SocketId, may_hear: bool, is_matched: bool) -> Fate {
        let Some(audience) = self.by_socket.get(&socket) else { return Fate::Ignored };
        if audience.is_deaf_to_skips() {
            return if may_hear { Fate::Sent } else { Fate::Veiled };
        }
        if may_hear && (is_matched || audience.hears_all()) {
            Fate::Sent
        } else if audience.is_listening() {
            Fate::Skipped
        } else {
            Fate::Ignored
        }
    }

    /// Nobody there listened to this message, which the node has just heard. Gives what is to be
    /// told at once.
    #[must_use]
    pub fn skip(&mut self, socket: SocketId, live: &Live<'_>) -> Vec<Frame<'static>> {
        let Some(audience) = self.by_socket.get_mut(&socket) else { return Vec::new() };
        let Live { publisher, number, index, .. } = *live;
        let last = Newest { publisher, number, index };
        let untold = audience.untold.get_or_default(publisher);
        let follows = |end: &Newest| end.number.next() == number && index > 0;
        let before = untold.skipped.take();
        let goes_on = before.filter(|(_, end)| follows(end));
        untold.skipped = Some((goes_on.map_or(number, |(first, _)| first), last));
        let ended = before.filter(|_| goes_on.is_none()).map(|ended| audience.told(ended));
        let is_full = audience.untold.len() > UNTOLD_MAX;
        let mut told: Vec<_> = ended.into_iter().collect();
        if is_full {
            told.extend(self.take_skipped(socket));
        }
        told
    }

    /// The node got messages of the publisher otherwise than by what everyone hears.
    pub fn is_due(&mut self, socket: SocketId, publisher: ClientId) {
        let audience = self.by_socket.get_mut(&socket);
        if let Some(audience) = audience.filter(|audience| audience.is_listening()) {
            audience.untold.get_or_default(publisher).is_due = true;
        }
    }

    /// What the audience is to be told before it hears a message of the publisher.
    pub fn take_skipped_of(
        &mut self,
        socket: SocketId,
        publisher: ClientId,
    ) -> Option<Frame<'static>> {
        let audience = self.by_socket.get_mut(&socket)?;
        let untold = audience.untold.get_mut(&publisher)?;
        let skipped = untold.skipped.take();
        if !untold.is_due {
            audience.untold.remove(&publisher);
        }
        skipped.map(|skipped| audience.told(skipped))
    }

    /// All that the audience is to be told before it is another.
    pub fn take_skipped(&mut self, socket: SocketId) -> Vec<Frame<'static>> {
        let audience = self.by_socket.get(&socket);
        let publishers: Vec<_> =
            audience.into_iter().flat_map(|a| a.untold.keys()).copied().collect();
        publishers.into_iter().filter_map(|id| self.take_skipped_of(socket, id)).collect()
    }

    /// Which of the newest numbers an audience has to hear: those that it can't have had. `None`:
    /// all of them.
    pub fn take_newest(&mut self, socket: SocketId, newest: &[Newest]) -> Option<Vec<Newest>> {
        let audience = self.by_socket.get_mut(&socket)?;
        if !audience.is_listening() {
            return Some(Vec::new());
        }
        let mut to_tell = Vec::new();
        for newest in newest {
            let untold = audience.untold.get_mut(&newest.publisher);
            let is_known = untold.is_some_and(|untold| {
                let skipped = untold.skipped.is_some_and(|(_, last)| last.number >= newest.number);
                !core::mem::take(&mut untold.is_due) && skipped
            });
            if !is_known {
                to_tell.push(*newest);
            }
        }
        (to_tell.len() < newest.len()).then_some(to_tell)
    }
}
