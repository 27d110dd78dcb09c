//! A hub and realms that reach it through sockets, wired by facts and effects under virtual time.
//! What is sent on an open socket arrives in order; a socket may be cut, stall, or be refused.

mod lives;

use std::collections::{BTreeMap, VecDeque};

use tabmq::broker::{Broker, Grant};
use tabmq::client::Client;
use tabmq::client::io::Event;
use tabmq::error::Code;
use tabmq::id::ClientId;
use tabmq::limits::Limits;
use tabmq::log::MemoryStore;
use tabmq::options::Durability;
use tabmq::time::{Instant, Now, UnixMillis};
use tabmq::web::io::{Effect, Fact, Notice};
use tabmq::web::realm::{NodeAt, Realm};
use tabmq::web::sockets::SocketId;
use tabmq::wire::Message;
use tabmq::wire::frame::StorageReport;

use crate::realms::realm;

pub const HUB: ClientId = ClientId([0xff; 16]);
pub const FILES: StorageReport =
    StorageReport { persistent: true, fenced: true, durability_max: Durability::Strict };
const MEMORY: StorageReport =
    StorageReport { persistent: false, fenced: false, durability_max: Durability::Memory };

/// What a remote realm was told, in order.
#[derive(Debug, PartialEq, Eq)]
pub enum Told {
    Event(Event),
    Unreachable,
    Error(Code, &'static str),
}

pub struct Remote {
    pub realm: Realm,
    pub id: ClientId,
    pub socket: Option<SocketId>,
    pub told: Vec<Told>,
    /// When it dialed, in milliseconds of the world.
    pub dialed: Vec<u64>,
    /// How many messages it said.
    pub said: usize,
    /// How often it went on to the next door.
    pub left_doors: usize,
    facts: VecDeque<Fact>,
}

pub struct HubWorld {
    pub now: Now,
    pub hub: Realm,
    pub limits: Limits,
    pub remotes: Vec<Remote>,
    /// Sockets that the hub closed, with what it said.
    pub closed: BTreeMap<SocketId, Code>,
    /// Nothing of what is sent on this socket arrives, in either direction, and nobody is told.
    pub stalled: Option<SocketId>,
    /// What is sent on this socket to the hub stays in it.
    pub clogged: Option<SocketId>,
    clog: VecDeque<(SocketId, Vec<u8>)>,
    /// What the hub's own client was told.
    pub own: Vec<Event>,
    /// Tokens by which sockets asked for another grant.
    pub renewals: Vec<(SocketId, String)>,
    /// What the hub sent on each socket.
    pub arrived: BTreeMap<SocketId, Vec<Vec<u8>>>,
    /// Nobody listens: dialing fails.
    pub down: bool,
    /// What the hub says is lost on the way to this remote.
    pub deaf: Option<usize>,
    /// This remote reaches no hub.
    pub apart: Option<usize>,
    /// How often a hub was asked whether it is there.
    pub probes: usize,
    facts: VecDeque<Fact>,
    store: MemoryStore,
    report: StorageReport,
    next_socket: u32,
    seed: u8,
}

impl HubWorld {
    /// A hub over files, and remote realms that have reached it.
    pub fn start(remotes: u8) -> Self {
        Self::start_with(remotes, FILES, Limits::default())
    }

    pub fn start_in_memory(remotes: u8) -> Self {
        Self::start_with(remotes, MEMORY, Limits::default())
    }

    pub fn start_with(remotes: u8, report: StorageReport, limits: Limits) -> Self {
        let now = Now { mono: Instant(1_000_000), unix: UnixMillis(1_700_000_000_000) };
        let hub = realm(HUB, now, 0, NodeAt::Here, &limits);
        let mut world = Self {
            now,
            hub,
            limits,
            remotes: Vec::new(),
            closed: BTreeMap::new(),
            stalled: None,
            clogged: None,
            clog: VecDeque::new(),
            own: Vec::new(),
            renewals: Vec::new(),
            arrived: BTreeMap::new(),
            down: false,
            deaf: None,
            apart: None,
            probes: 0,
            facts: VecDeque::new(),
            store: MemoryStore::default(),
            report,
            next_socket: 0,
            seed: 0,
        };
        world.hub.start(now);
        world.perform_hub();
        for _ in 0..remotes {
            world.add();
        }
        world.pass_ms(1000);
        world
    }

    /// As `start`, with the limits of a default but for those that are changed.
    pub fn start_limited(remotes: u8, change: impl FnOnce(&mut Limits)) -> Self {
        let mut limits = Limits::default();
        change(&mut limits);
        Self::start_with(remotes, FILES, limits)
    }

    /// A further remote realm. Returns its number.
    pub fn add(&mut self) -> usize {
        let number = self.remotes.len();
        let id = ClientId([u8::try_from(number + 1).expect("a few"); 16]);
        self.add_as(id)
    }

    pub fn add_as(&mut self, id: ClientId) -> usize {
        self.seed += 1;
        let realm = realm(id, self.now, self.seed, NodeAt::Hub, &self.limits);
        let (told, facts) = (Vec::new(), VecDeque::new());
        self.remotes.push(Remote {
            realm,
            id,
            socket: None,
            told,
            dialed: Vec::new(),
            said: 0,
            left_doors: 0,
            facts,
        });
        let number = self.remotes.len() - 1;
        self.remotes[number].realm.start(self.now);
        self.perform(number);
        number
    }

    /// One verb of a remote client, whose refusal ends the test.
    pub fn verb<R>(&mut self, at: usize, verb: impl FnOnce(&mut Client, Now) -> R) -> R {
        let result = verb(&mut self.remotes[at].realm.client, self.now);
        self.perform(at);
        self.deliver();
        result
    }

    /// One verb of the hub's own client.
    pub fn own_verb<R>(&mut self, verb: impl FnOnce(&mut Client, Now) -> R) -> R {
        let result = verb(&mut self.hub.client, self.now);
        self.perform_hub();
        self.deliver();
        result
    }

    /// The events of a remote client that `read` makes something of.
    pub fn events<T>(&self, at: usize, read: impl Fn(&Event) -> Option<T>) -> Vec<T> {
        let events = self.remotes[at].told.iter().filter_map(|told| match told {
            Told::Event(event) => Some(event),
            _ => None,
        });
        events.filter_map(read).collect()
    }

    pub fn is_open(&self, at: usize) -> bool {
        self.remotes[at].realm.client.is_open()
    }

    /// The connection of a socket is cut: both sides hear of it.
    pub fn cut(&mut self, at: usize) {
        self.hang_up(at);
        self.deliver();
    }

    fn hang_up(&mut self, at: usize) {
        let Some(socket) = self.remotes[at].socket.take() else { return };
        self.remotes[at].facts.push_back(Fact::SocketClosed { code: None });
        self.facts.push_back(Fact::SocketGone { socket });
    }

    /// Somebody says this on the channel of everyone of the device.
    pub fn say_on_device(&mut self, at: usize, bytes: &[u8]) {
        self.remotes[at].facts.push_back(Fact::AtAll(bytes.to_vec()));
        self.deliver();
    }

    /// A new socket of somebody who is no realm.
    pub fn raw_socket(&mut self) -> SocketId {
        self.next_socket += 1;
        SocketId(self.next_socket)
    }

    pub fn raw_send(&mut self, socket: SocketId, bytes: Vec<u8>) {
        self.facts.push_back(Fact::AtSocket { socket, bytes });
        self.deliver();
    }

    /// What the host of the hub says that the socket may do.
    pub fn grant(&mut self, socket: SocketId, grant: Grant) {
        self.facts.push_back(Fact::SocketGranted { socket, grant });
        self.deliver();
    }

    pub fn raw_gone(&mut self, socket: SocketId) {
        self.facts.push_back(Fact::SocketGone { socket });
        self.deliver();
    }

    pub fn hub_broker(&self) -> &Broker {
        self.hub.broker().expect("it serves")
    }

    pub fn digest(&self) -> u64 {
        self.hub.broker().expect("it serves").digest()
    }

    pub fn pass_ms(&mut self, ms: u64) {
        let end = self.now.mono.after_ms(ms);
        self.deliver();
        loop {
            let hub = Some(&self.hub).filter(|_| !self.down);
            let realms = self.remotes.iter().map(|remote| &remote.realm).chain(hub);
            let due = realms.filter_map(Realm::wake_at).min();
            let at = due.unwrap_or(end).max(self.now.mono).min(end);
            self.now.unix.0 += at.ms_since(self.now.mono);
            self.now.mono = at;
            if due.is_none_or(|due| due > end) {
                return;
            }
            for remote in &mut self.remotes {
                if remote.realm.wake_at().is_some_and(|wake_at| wake_at <= at) {
                    remote.facts.push_back(Fact::Tick);
                }
            }
            if !self.down && self.hub.wake_at().is_some_and(|wake_at| wake_at <= at) {
                self.facts.push_back(Fact::Tick);
            }
            self.deliver();
            // A timer is never exactly on time, so nothing here spins.
            let later = self.now.mono.after_ms(1).min(end);
            self.now.unix.0 += later.ms_since(self.now.mono);
            self.now.mono = later;
        }
    }

    fn deliver(&mut self) {
        loop {
            if let Some(fact) = self.facts.pop_front() {
                if !self.down {
                    self.hub.handle(self.now, fact);
                    self.perform_hub();
                }
                continue;
            }
            let waits = |remote: &Remote| !remote.facts.is_empty();
            let Some(at) = self.remotes.iter().position(waits) else { return };
            if let Some(fact) = self.remotes[at].facts.pop_front() {
                self.remotes[at].realm.handle(self.now, fact);
                self.perform(at);
            }
        }
    }

    fn perform(&mut self, at: usize) {
        for effect in self.remotes[at].realm.take_effects(self.now) {
            match effect {
                Effect::ToHub(bytes) => self.send(at, bytes),
                Effect::ProbeHub => self.probe(at),
                Effect::LookAtSocket => self.look(at),
                Effect::DropSocket | Effect::EndHosting => self.gone(at),
                // All doors lead to the one hub.
                Effect::NextDoor => {
                    self.remotes[at].left_doors += 1;
                    self.hang_up(at);
                }
                // Each is a device of its own, and alone there.
                Effect::RequestLock { .. } => {
                    self.remotes[at].facts.push_back(Fact::LockGranted);
                }
                Effect::ListPresent(tenure) => {
                    let clients = [self.remotes[at].id].into();
                    self.remotes[at].facts.push_back(Fact::Present { tenure, clients });
                }
                Effect::Tell(Notice::Client(event)) => {
                    if matches!(event, Event::Closed { .. }) {
                        self.gone(at);
                    }
                    self.remotes[at].told.push(Told::Event(event));
                }
                Effect::Tell(Notice::Unreachable) => self.remotes[at].told.push(Told::Unreachable),
                Effect::Tell(Notice::Error { code, reason }) => {
                    self.remotes[at].told.push(Told::Error(code, reason));
                }
                _ => {}
            }
        }
    }

    /// Sends, or dials instead, as the socket of a page does.
    fn send(&mut self, at: usize, bytes: Vec<u8>) {
        let remote = &mut self.remotes[at];
        remote.said += 1;
        if let Some(socket) = remote.socket {
            if self.clogged == Some(socket) {
                self.clog.push_back((socket, bytes));
                if self.buffered() > self.limits.socket_buffered_bytes_max as usize {
                    self.remotes[at].facts.push_back(Fact::SocketFull);
                }
            } else if self.stalled != Some(socket) {
                self.facts.push_back(Fact::AtSocket { socket, bytes });
            }
            return;
        }
        remote.dialed.push(self.now.mono.0 - 1_000_000);
        if self.down || self.apart == Some(at) {
            return remote.facts.push_back(Fact::SocketClosed { code: None });
        }
        self.next_socket += 1;
        remote.socket = Some(SocketId(self.next_socket));
        remote.facts.push_back(Fact::SocketOpened);
    }

    /// Bytes that the clogged socket keeps.
    pub fn buffered(&self) -> usize {
        self.clog.iter().map(|(_, bytes)| bytes.len()).sum()
    }

    /// So many messages of what the clogged socket keeps arrive.
    pub fn trickle(&mut self, messages: usize) {
        for (socket, bytes) in self.clog.drain(..messages.min(self.clog.len())) {
            self.facts.push_back(Fact::AtSocket { socket, bytes });
        }
        self.deliver();
    }

    /// The clogged socket carries again.
    pub fn unclog(&mut self) {
        self.clogged = None;
        self.trickle(usize::MAX);
    }

    fn look(&mut self, at: usize) {
        if self.buffered() <= self.limits.socket_buffered_bytes_max as usize / 2 {
            self.remotes[at].facts.push_back(Fact::SocketDrained);
        }
    }

    /// What holds the socket of a hub answers, and not the hub.
    fn probe(&mut self, at: usize) {
        self.probes += 1;
        let socket = self.remotes[at].socket;
        // The host answers in place of a hub that sleeps.
        if socket.is_some() && socket != self.stalled {
            self.remotes[at].facts.push_back(Fact::HubAlive);
        }
    }

    /// The realm drops its socket.
    fn gone(&mut self, at: usize) {
        if let Some(socket) = self.remotes[at].socket.take()
            && self.stalled != Some(socket)
        {
            self.facts.push_back(Fact::SocketGone { socket });
        }
    }

    fn perform_hub(&mut self) {
        for effect in self.hub.take_effects(self.now) {
            match effect {
                Effect::ToSockets { sockets, bytes } => {
                    sockets.iter().for_each(|socket| self.arrive(*socket, &bytes));
                }
                Effect::CloseSocket { socket, code } => self.close(socket, code),
                Effect::RequestLock { .. } => self.facts.push_back(Fact::LockGranted),
                Effect::BeginHosting(tenure) => {
                    let report = self.report;
                    self.facts.push_back(Fact::StorageOpened { tenure, report });
                }
                Effect::Perform { tenure, op, action } => {
                    let result = self.store.perform(&action);
                    self.facts.push_back(Fact::Stored { tenure, op, result });
                }
                Effect::Renew { socket, token } => self.renewals.push((socket, token)),
                Effect::ToAll(_) | Effect::ToClient(..) => panic!("a hub has no channels"),
                Effect::Tell(Notice::Client(event)) => self.own.push(event),
                _ => {}
            }
        }
    }

    fn arrive(&mut self, socket: SocketId, bytes: &[u8]) {
        if self.stalled == Some(socket) {
            return;
        }
        Message::parse(bytes).expect("a hub speaks the protocol");
        self.arrived.entry(socket).or_default().push(bytes.to_vec());
        let Some(at) = self.remotes.iter().position(|remote| remote.socket == Some(socket)) else {
            return;
        };
        if self.deaf == Some(at) {
            return;
        }
        self.remotes[at].facts.push_back(Fact::FromHub(bytes.to_vec()));
    }

    fn close(&mut self, socket: SocketId, code: Code) {
        self.closed.insert(socket, code);
        // What was under way on it to the hub is not read any more.
        let on_it =
            |fact: &Fact| matches!(fact, Fact::AtSocket { socket: on, .. } if *on == socket);
        self.facts.retain(|fact| !on_it(fact));
        for remote in self.remotes.iter_mut().filter(|remote| remote.socket == Some(socket)) {
            remote.socket = None;
            remote.facts.push_back(Fact::SocketClosed { code: Some(code) });
        }
        self.facts.push_back(Fact::SocketGone { socket });
    }
}
