//! One node over a store in memory, and peers that speak frames to it.

use std::collections::{BTreeMap, VecDeque};

use tabmq::broker::Grant;
use tabmq::broker::io::{Event, Input, Output};
use tabmq::cron::{Offset, Offsets};
use tabmq::id::{ClientId, ConnId, Epoch, LaneId, LinkNonce, LogId, Sequence, SocketId};
use tabmq::limits::Limits;
use tabmq::log::MemoryStore;
use tabmq::node::{Node, NodeConfig};
use tabmq::options::{Durability, HostKind};
use tabmq::rules::Rules;
use tabmq::store::{StorageAction, StorageFault, Sync};
use tabmq::time::{Instant, Now, UnixMillis};
use tabmq::wire::frame::{Hello, Item, StorageReport, Welcome};
use tabmq::wire::{Envelope, Frame, Message, MessageWriter};

/// A node, its store, and what it said so far.
pub struct Bench {
    pub node: Node,
    pub store: MemoryStore,
    /// What the loss of power leaves: the store as of the last strict commit.
    flushed: MemoryStore,
    pub now: Now,
    pub events: Vec<Event>,
    /// Storage operations that were asked for while `hold_storage` is set.
    pub held: VecDeque<(tabmq::id::OpId, StorageAction)>,
    pub hold_storage: bool,
    /// Commits fail with this.
    pub fault: Option<StorageFault>,
    /// Commits after which more would be stored find no room.
    pub room_bytes: Option<usize>,
    /// Every action that was performed, if it is asked for.
    pub performed: Option<Vec<StorageAction>>,
    inboxes: BTreeMap<ConnId, VecDeque<Vec<u8>>>,
    /// Frames that came with a Welcome.
    after_welcome: BTreeMap<ConnId, Vec<Frame<'static>>>,
    pub broadcasts: Vec<Vec<u8>>,
    /// What is for everyone on sockets.
    pub multicasts: Vec<(SocketId, Vec<u8>)>,
    /// The time zones that the host knows: the seconds ahead of UTC from each instant on.
    pub zones: BTreeMap<&'static str, Vec<(u64, i32)>>,
    pub limits: Limits,
    starts: u8,
}

/// One client, by hand.
pub struct Peer {
    pub id: ClientId,
    pub conn: ConnId,
    link: LinkNonce,
    position: u64,
    pub lane: LaneId,
    pub log: Option<LogId>,
    pub next: Sequence,
}

impl Peer {
    /// Leaves a hole of that many transport messages, or none and repeats the last position.
    pub fn skip(&mut self, messages: u64) {
        self.position = (self.position + messages).saturating_sub(1);
    }
}

pub fn item(body: &[u8]) -> Item<'_> {
    Item {
        body,
        properties: None,
        delay_ms: None,
        track: None,
        past: None,
        ttl_ms: None,
        priority: None,
        prepare: None,
    }
}

/// What a client without a lane says first.
pub fn first_hello() -> Hello<'static> {
    Hello {
        version_min: 1,
        version_max: 1,
        features: 0,
        log: None,
        lane: LaneId(0),
        confirmed: Sequence(0),
        floor: Sequence(1),
        fresh: false,
        peer: b"",
        leases: Vec::new(),
        serving: Vec::new(),
        terms: Vec::new(),
        published: None,
    }
}

pub fn client(number: u8) -> ClientId {
    ClientId([number; 16])
}

impl Bench {
    /// A node that serves, on an empty store.
    pub fn new() -> Self {
        Self::with(Limits::default())
    }

    pub fn with(limits: Limits) -> Self {
        let mut bench = Self::cold(MemoryStore::default(), limits);
        bench.settle();
        bench
    }

    /// A node that has only just begun to recover.
    pub fn cold(store: MemoryStore, limits: Limits) -> Self {
        let now = Now { mono: Instant(1_000_000), unix: UnixMillis(1_700_000_000_000) };
        Self {
            node: Node::new(config(&limits), [7; 32], now),
            flushed: store.clone(),
            store,
            now,
            events: Vec::new(),
            held: VecDeque::new(),
            hold_storage: false,
            fault: None,
            room_bytes: None,
            performed: None,
            inboxes: BTreeMap::new(),
            after_welcome: BTreeMap::new(),
            broadcasts: Vec::new(),
            multicasts: Vec::new(),
            zones: BTreeMap::new(),
            limits,
            starts: 1,
        }
    }

    /// The node dies at once; another starts on the same store.
    pub fn restart(&mut self) {
        self.starts += 1;
        self.node = Node::new(config(&self.limits), [self.starts; 32], self.now);
        self.inboxes.clear();
        self.held.clear();
        self.settle();
    }

    /// Power is lost, and with it what was not flushed; another node starts on what is left.
    pub fn lose_power(&mut self) {
        self.store = self.flushed.clone();
        self.restart();
    }

    /// Performs outputs until the node is idle; gives when it wants to be woken.
    pub fn settle(&mut self) -> Option<Instant> {
        loop {
            match self.node.poll_output() {
                Output::Transmit { conn, bytes } => {
                    self.inboxes.entry(conn).or_default().push_back(bytes);
                }
                Output::Broadcast { bytes } => self.broadcasts.push(bytes),
                Output::Multicast { sockets, bytes } => {
                    let each = sockets.into_iter().map(|socket| (socket, bytes.clone()));
                    self.multicasts.extend(each);
                }
                Output::Storage { op, action } => {
                    if self.hold_storage {
                        self.held.push_back((op, action));
                    } else {
                        self.perform(op, &action);
                    }
                }
                Output::Zone { zone, from, until } => {
                    let list = self.offsets(&zone, from, until);
                    let offsets = Offsets { list: &list, until };
                    self.node.handle_input(self.now, Input::Zone { zone: &zone, offsets });
                }
                Output::Hangup { .. } => {}
                Output::Event(event) => self.events.push(event),
                Output::Idle { wake_at } => return wake_at,
            }
        }
    }

    fn offsets(&self, zone: &str, from: UnixMillis, until: UnixMillis) -> Vec<Offset> {
        let Some(changes) = self.zones.get(zone) else { return Vec::new() };
        let ahead = |at_s: u64| changes.iter().rev().find(|(from, _)| *from <= at_s).unwrap().1;
        let mut found = vec![Offset { from, ahead_s: ahead(from.0 / 1000) }];
        let inside = |at_s: u64| (from.0 + 1..until.0).contains(&(at_s * 1000));
        for (at_s, ahead_s) in changes.iter().copied().filter(|(at_s, _)| inside(*at_s)) {
            found.push(Offset { from: UnixMillis(at_s * 1000), ahead_s });
        }
        found
    }

    fn perform(&mut self, op: tabmq::id::OpId, action: &StorageAction) {
        let is_commit = matches!(action, StorageAction::Commit { .. });
        let result = match self.fault.filter(|_| is_commit) {
            Some(fault) => Err(fault),
            None if self.has_room(action) => self.store.perform(action),
            None => Err(StorageFault::Quota),
        };
        let strict = matches!(action, StorageAction::Commit { sync: Sync::Strict, .. });
        if strict && result.is_ok() {
            self.flushed = self.store.clone();
        }
        if let Some(performed) = &mut self.performed {
            performed.push(action.clone());
        }
        self.node.handle_input(self.now, Input::Stored { op, result });
    }

    fn has_room(&self, action: &StorageAction) -> bool {
        let (Some(room_bytes), StorageAction::Commit { puts, .. }) = (self.room_bytes, action)
        else {
            return true;
        };
        let mut after = self.store.clone();
        after.perform(action).is_err() || puts.is_empty() || stored_bytes(&mut after) <= room_bytes
    }

    /// Performs what was held back.
    pub fn release_storage(&mut self) {
        self.hold_storage = false;
        while let Some((op, action)) = self.held.pop_front() {
            self.perform(op, &action);
        }
        self.settle();
    }

    pub fn input(&mut self, input: Input<'_>) {
        self.node.handle_input(self.now, input);
        self.settle();
    }

    /// Lets time pass, waking the node when it asks for it.
    pub fn pass_ms(&mut self, ms: u64) {
        let end = self.now.mono.after_ms(ms);
        while let Some(wake_at) = self.settle().filter(|at| *at <= end) {
            self.advance_to(wake_at.max(Instant(self.now.mono.0 + 1)));
            self.input(Input::Tick);
        }
        self.advance_to(end);
        self.input(Input::Tick);
    }

    fn advance_to(&mut self, at: Instant) {
        let passed = at.ms_since(self.now.mono);
        self.now.unix.0 += passed;
        self.now.mono = at;
    }

    /// A client says its first Hello and is welcomed.
    pub fn join(&mut self, number: u8) -> Peer {
        let (mut peer, welcome) = self.hello(number, |_| {});
        peer.lane = welcome.lane;
        peer.log = Some(welcome.log);
        peer
    }

    /// A client says a Hello that `change` made.
    pub fn hello(&mut self, number: u8, change: impl FnOnce(&mut Hello<'_>)) -> (Peer, Welcome) {
        let peer = self.dial(number, change);
        self.welcomed(peer)
    }

    pub fn welcomed(&mut self, mut peer: Peer) -> (Peer, Welcome) {
        let mut frames = self.frames(&peer).into_iter();
        let Some(Frame::Welcome(welcome)) = frames.next() else {
            panic!("the first frame is a Welcome");
        };
        self.after_welcome.insert(peer.conn, frames.collect());
        peer.lane = welcome.lane;
        peer.log = Some(welcome.log);
        peer.next = welcome.position.next();
        (peer, welcome)
    }

    /// A client says Hello; nobody waits for the answer.
    pub fn dial(&mut self, number: u8, change: impl FnOnce(&mut Hello<'_>)) -> Peer {
        self.dial_as(client(number), change)
    }

    pub fn dial_as(&mut self, id: ClientId, change: impl FnOnce(&mut Hello<'_>)) -> Peer {
        self.dial_granted(id, Grant::ALL, change)
    }

    /// A client whose connection has that grant says Hello; nobody waits for the answer.
    pub fn dial_granted(
        &mut self,
        id: ClientId,
        grant: Grant,
        change: impl FnOnce(&mut Hello<'_>),
    ) -> Peer {
        self.dial_on(None, id, grant, change)
    }

    /// A client says Hello on a socket that it may share with others.
    pub fn dial_on(
        &mut self,
        socket: Option<SocketId>,
        id: ClientId,
        grant: Grant,
        change: impl FnOnce(&mut Hello<'_>),
    ) -> Peer {
        let conn = self.node.accept_granted(self.now, socket, grant);
        let mut peer = Peer {
            id,
            conn,
            link: LinkNonce(u64::from(conn.0) + 1000),
            position: 0,
            lane: LaneId(0),
            log: None,
            next: Sequence(1),
        };
        let mut hello = first_hello();
        change(&mut hello);
        self.say(&mut peer, &[Frame::Hello(hello)]);
        peer
    }

    /// A client joins whose connection has that grant.
    pub fn join_granted(&mut self, number: u8, grant: Grant) -> Peer {
        self.hello_granted(number, grant, |_| {}).0
    }

    pub fn hello_granted(
        &mut self,
        number: u8,
        grant: Grant,
        change: impl FnOnce(&mut Hello<'_>),
    ) -> (Peer, Welcome) {
        let peer = self.dial_granted(client(number), grant, change);
        self.welcomed(peer)
    }

    pub fn say(&mut self, peer: &mut Peer, frames: &[Frame<'_>]) {
        let epoch = self.node.epoch().unwrap_or_default();
        self.say_under(epoch, peer, frames);
    }

    /// As a client says it that follows the node of that epoch.
    pub fn say_under(&mut self, epoch: Epoch, peer: &mut Peer, frames: &[Frame<'_>]) {
        let mut writer = MessageWriter::new(64 << 10);
        for frame in frames {
            writer.push(frame);
        }
        let (client, link) = (peer.id, peer.link);
        while let Some(bytes) = writer.take_message(|| {
            peer.position += 1;
            Envelope { epoch, client, link, position: peer.position }
        }) {
            self.input(Input::Received { conn: peer.conn, bytes: &bytes });
        }
    }

    /// Says the first transport message of a frame that needs several.
    pub fn say_first_part(&mut self, peer: &mut Peer, frame: &Frame<'_>) {
        let mut writer = MessageWriter::new(64 << 10);
        writer.push(frame);
        peer.position += 1;
        let (client, link, position) = (peer.id, peer.link, peer.position);
        let head = || Envelope { epoch: Epoch::default(), client, link, position };
        let bytes = writer.take_message(head).expect("a part");
        self.input(Input::Received { conn: peer.conn, bytes: &bytes });
    }

    /// Sends one message with the next number of the peer's lane.
    pub fn send(&mut self, peer: &mut Peer, queue: &str, body: &[u8]) -> Sequence {
        let sequence = peer.next;
        peer.next = sequence.next();
        let items = vec![item(body)];
        let (refusals_seen, durability) = (Sequence(0), None);
        self.say(peer, &[Frame::Send { sequence, queue, refusals_seen, durability, items }]);
        sequence
    }

    /// Everything the peer was told since it last looked, except the list of peers.
    pub fn frames(&mut self, peer: &Peer) -> Vec<Frame<'static>> {
        let mut frames = self.after_welcome.remove(&peer.conn).unwrap_or_default();
        while let Some(bytes) = self.inboxes.get_mut(&peer.conn).and_then(VecDeque::pop_front) {
            let bytes: &'static [u8] = Box::leak(bytes.into_boxed_slice());
            let message = Message::parse(bytes).expect("the node writes transport messages");
            for frame in message.frames() {
                let frame = frame.expect("the node writes frames");
                if !matches!(frame, Frame::Peers { .. }) {
                    frames.push(frame);
                }
            }
        }
        frames
    }

    /// The transport messages to the peer since it last looked.
    pub fn take_messages(&mut self, peer: &Peer) -> VecDeque<Vec<u8>> {
        self.inboxes.remove(&peer.conn).unwrap_or_default()
    }

    /// Forgets what was said and never looked at.
    pub fn forget_all(&mut self) {
        self.inboxes.clear();
        self.after_welcome.clear();
        self.broadcasts.clear();
        self.events.clear();
    }

    /// The events since the last look.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }
}

/// All that a store holds.
pub fn stored_bytes(store: &mut MemoryStore) -> usize {
    store.values_mut().values().map(Vec::len).sum()
}

fn config(limits: &Limits) -> NodeConfig {
    NodeConfig {
        limits: limits.clone(),
        rules: Rules::ON,
        storage: StorageReport {
            persistent: true,
            fenced: true,
            durability_max: Durability::Strict,
        },
        host: HostKind::Tab,
        tears: true,
        heard: Epoch::default(),
        sleeps: None,
    }
}
