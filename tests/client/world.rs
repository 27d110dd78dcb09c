//! Several clients and a real node over a store in memory, joined by a network that keeps order
//! and can lose one thing: a message, or the node.

use std::collections::{BTreeMap, VecDeque};

use tabmq::broker::io as node_io;
use tabmq::client::io::{Event, Input, Keepsake, Output};
use tabmq::client::{Client, ClientConfig};
use tabmq::cron::Offsets;
use tabmq::id::{ClientId, ConnId, Epoch, LinkNonce, OpId, RequestId};
use tabmq::limits::Limits;
use tabmq::log::MemoryStore;
use tabmq::node::{Node, NodeConfig};
use tabmq::options::{Durability, HostKind};
use tabmq::rng::Rng;
use tabmq::rules::Rules;
use tabmq::store::StorageAction;
use tabmq::time::{Instant, Now, UnixMillis};
use tabmq::wire::Message;
use tabmq::wire::frame::StorageReport;

type Way = (ClientId, LinkNonce);

/// Something on its way.
enum Travelling {
    ToNode(Vec<u8>),
    ToTab(ClientId, Vec<u8>),
    /// To the node and every tab but the one that said it.
    ToAll(Option<ClientId>, Vec<u8>),
    Storage(OpId, StorageAction),
    Shelf(ClientId, ShelfAction),
}

/// What a tab does to what is written down of its sends.
enum ShelfAction {
    Keep(RequestId, Vec<u8>),
    LetGo(RequestId),
}

/// How fast what is written down is stored, beside what else travels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ShelfPace {
    First,
    InTurn,
    Last,
}

pub struct World {
    pub now: Now,
    pub node: Node,
    store: MemoryStore,
    tabs: BTreeMap<ClientId, Client>,
    ways: BTreeMap<Way, ConnId>,
    travelling: VecDeque<Travelling>,
    events: BTreeMap<ClientId, Vec<Event>>,
    /// Steps done so far, and the ones at which the node dies or what travels is lost.
    pub steps: u64,
    pub kill_at: Option<u64>,
    pub lose_at: Option<u64>,
    /// Faults at random: one step in so many loses what travels, or kills the node.
    pub chaos: Option<(Rng, u64, u64)>,
    pub limits: Limits,
    starts: u8,
    /// What is written down of the sends of each client, by its order.
    pub shelf: BTreeMap<ClientId, BTreeMap<u32, Vec<u8>>>,
    pub pace: ShelfPace,
    /// The place of each request on the shelf; of the clients that live.
    places: BTreeMap<(ClientId, RequestId), u32>,
    /// The tab that dies at this step.
    pub die_at: Option<(u64, ClientId)>,
}

pub fn id(number: u8) -> ClientId {
    ClientId([number; 16])
}

fn node(limits: &Limits, start: u8, now: Now) -> Node {
    let storage =
        StorageReport { persistent: true, fenced: true, durability_max: Durability::Strict };
    let heard = Epoch::default();
    let config = NodeConfig {
        limits: limits.clone(),
        rules: Rules::ON,
        storage,
        host: HostKind::Tab,
        tears: true,
        heard,
        sleeps: None,
    };
    Node::new(config, [start; 32], now)
}

impl World {
    pub fn new() -> Self {
        Self::with(Limits::default())
    }

    pub fn with(limits: Limits) -> Self {
        let now = Now { mono: Instant(1_000_000), unix: UnixMillis(1_700_000_000_000) };
        let mut world = Self {
            now,
            node: node(&limits, 1, now),
            store: MemoryStore::default(),
            tabs: BTreeMap::new(),
            ways: BTreeMap::new(),
            travelling: VecDeque::new(),
            events: BTreeMap::new(),
            steps: 0,
            kill_at: None,
            lose_at: None,
            chaos: None,
            limits,
            starts: 1,
            shelf: BTreeMap::new(),
            pace: ShelfPace::InTurn,
            places: BTreeMap::new(),
            die_at: None,
        };
        world.drain_node();
        world.run();
        world
    }

    pub fn open(&mut self, number: u8) -> ClientId {
        self.open_with(number, None)
    }

    pub fn open_with(&mut self, number: u8, keepsake: Option<Keepsake>) -> ClientId {
        let client = id(number);
        self.starts += 1;
        let config = ClientConfig {
            client,
            keepsake,
            peer: vec![number],
            limits: self.limits.clone(),
            rules: Rules::ON,
        };
        self.tabs.insert(client, Client::new(config, [self.starts; 32], self.now));
        self.drain_tab(client);
        self.run();
        client
    }

    /// The tab is gone without a word.
    pub fn close_tab(&mut self, client: ClientId) -> Keepsake {
        self.run();
        let tab = self.tabs.remove(&client).expect("an open tab");
        tab.keepsake()
    }

    /// Its lock fell free, and the node's host has noticed.
    pub fn tell_gone(&mut self, client: ClientId) {
        self.node.handle_input(self.now, node_io::Input::Gone { client });
        self.drain_node();
        self.run();
    }

    /// Runs a verb; nothing of it has arrived when this returns.
    pub fn ask<R>(&mut self, tab: ClientId, verb: impl FnOnce(&mut Client, Now) -> R) -> R {
        let now = self.now;
        let client = self.tabs.get_mut(&tab).expect("an open tab");
        let result = verb(client, now);
        self.drain_tab(tab);
        result
    }

    pub fn tab(&self, tab: ClientId) -> &Client {
        &self.tabs[&tab]
    }

    pub fn events(&mut self, tab: ClientId) -> Vec<Event> {
        self.run();
        std::mem::take(self.events.entry(tab).or_default())
    }

    /// The node dies; another starts on the same store and is told who is there.
    pub fn kill_node(&mut self) {
        self.starts += 1;
        self.node = node(&self.limits, self.starts, self.now);
        self.ways.clear();
        let lost = |t: &Travelling| matches!(t, Travelling::ToNode(_) | Travelling::Storage(..));
        self.travelling.retain(|travelling| !lost(travelling));
        self.drain_node();
    }

    /// Lets everything arrive.
    pub fn run(&mut self) {
        while !self.travelling.is_empty() {
            self.step();
        }
    }

    fn step(&mut self) {
        self.steps += 1;
        let (lose, kill) = self.fault();
        if kill {
            return self.kill_node();
        }
        if let Some((_, tab)) = self.die_at.filter(|(at, _)| *at == self.steps) {
            return self.lose_tab(tab);
        }
        let Some(travelling) = self.next_travelling() else { return };
        if lose && !matches!(travelling, Travelling::Storage(..)) {
            return;
        }
        match travelling {
            Travelling::ToNode(bytes) => self.node_gets(&bytes),
            Travelling::ToTab(tab, bytes) => self.tab_gets(tab, Input::Received { bytes: &bytes }),
            Travelling::ToAll(from, bytes) => {
                if from.is_some() {
                    let input = node_io::Input::Heard { bytes: &bytes };
                    self.node.handle_input(self.now, input);
                    self.drain_node();
                }
                for tab in self.tabs.keys().copied().collect::<Vec<_>>() {
                    if Some(tab) != from {
                        self.tab_gets(tab, Input::Heard { bytes: &bytes });
                    }
                }
            }
            Travelling::Storage(op, action) => {
                let result = self.store.perform(&action);
                self.node.handle_input(self.now, node_io::Input::Stored { op, result });
                self.drain_node();
            }
            Travelling::Shelf(tab, action) => self.perform_shelf(tab, action),
        }
    }

    fn next_travelling(&mut self) -> Option<Travelling> {
        let is_shelf = |travelling: &Travelling| matches!(travelling, Travelling::Shelf(..));
        let place = match self.pace {
            ShelfPace::InTurn => None,
            ShelfPace::First => self.travelling.iter().position(is_shelf),
            ShelfPace::Last => self.travelling.iter().position(|one| !is_shelf(one)),
        };
        self.travelling.remove(place.unwrap_or(0))
    }

    /// The tab dies without a word. What it had not stored is lost, what it had posted arrives.
    fn lose_tab(&mut self, tab: ClientId) {
        self.tabs.remove(&tab);
        self.travelling.retain(|one| !matches!(one, Travelling::Shelf(of, _) if *of == tab));
        self.places.retain(|(of, _), _| *of != tab);
    }

    fn perform_shelf(&mut self, tab: ClientId, action: ShelfAction) {
        let shelf = self.shelf.entry(tab).or_default();
        match action {
            ShelfAction::Keep(request, send) => {
                let next = self.places.values().max().map_or(0, |last| last + 1);
                let place = *self.places.entry((tab, request)).or_insert(next);
                shelf.insert(place, send);
                if let Some(client) = self.tabs.get_mut(&tab) {
                    client.kept(self.now, request);
                    self.drain_tab(tab);
                }
            }
            ShelfAction::LetGo(request) => {
                if let Some(place) = self.places.get(&(tab, request)) {
                    shelf.remove(place);
                }
            }
        }
    }

    /// A client that goes on as one that is dead, if that has left anything.
    pub fn sweep(&mut self, dead: ClientId) -> bool {
        let left = self.shelf.get(&dead).cloned().unwrap_or_default();
        if left.is_empty() {
            return false;
        }
        self.starts += 1;
        let config = ClientConfig {
            client: dead,
            keepsake: None,
            peer: Vec::new(),
            limits: self.limits.clone(),
            rules: Rules::ON,
        };
        let mut client = Client::new(config, [self.starts; 32], self.now);
        for (place, send) in left {
            let request = client.take_up(self.now, &send, false).expect("taken up");
            self.places.insert((dead, request), place);
        }
        client.keep_sends(self.now);
        self.tabs.insert(dead, client);
        self.drain_tab(dead);
        true
    }

    /// Whether this step loses what travels, and whether it kills the node.
    fn fault(&mut self) -> (bool, bool) {
        let lose = self.lose_at == Some(self.steps);
        let kill = self.kill_at == Some(self.steps);
        match &mut self.chaos {
            Some((rng, one_lost_in, one_killed_in)) => {
                (lose || rng.ratio(1, *one_lost_in), kill || rng.ratio(1, *one_killed_in))
            }
            None => (lose, kill),
        }
    }

    fn node_gets(&mut self, bytes: &[u8]) {
        let head = Message::parse(bytes).expect("clients write messages").envelope;
        let way = (head.client, head.link);
        let conn = match self.ways.get(&way) {
            Some(conn) => *conn,
            // The first message of a link opens its connection; others have missed theirs.
            None if head.position == 1 => {
                let conn = self.node.accept(self.now);
                self.ways.insert(way, conn);
                conn
            }
            None => return,
        };
        self.node.handle_input(self.now, node_io::Input::Received { conn, bytes });
        self.drain_node();
    }

    fn tab_gets(&mut self, tab: ClientId, input: Input<'_>) {
        if let Some(client) = self.tabs.get_mut(&tab) {
            client.handle_input(self.now, input);
            self.drain_tab(tab);
        }
    }

    fn drain_tab(&mut self, tab: ClientId) -> Option<Instant> {
        let client = self.tabs.get_mut(&tab).expect("an open tab");
        loop {
            match client.poll_output() {
                Output::Transmit { bytes } => {
                    self.travelling.push_back(Travelling::ToNode(bytes));
                }
                Output::Broadcast { bytes } => {
                    self.travelling.push_back(Travelling::ToAll(Some(tab), bytes));
                }
                Output::Event(event) => {
                    let action = match &event {
                        Event::Keep { request, send } => {
                            Some(ShelfAction::Keep(*request, send.clone()))
                        }
                        Event::LetGo { request, .. } => Some(ShelfAction::LetGo(*request)),
                        _ => None,
                    };
                    let travelling = action.map(|action| Travelling::Shelf(tab, action));
                    self.travelling.extend(travelling);
                    self.events.entry(tab).or_default().push(event);
                }
                Output::Idle { wake_at } => return wake_at,
            }
        }
    }

    fn drain_node(&mut self) -> Option<Instant> {
        loop {
            match self.node.poll_output() {
                node_io::Output::Transmit { bytes, .. } => {
                    let to = Message::parse(&bytes).expect("nodes write messages").envelope.client;
                    self.travelling.push_back(Travelling::ToTab(to, bytes));
                }
                node_io::Output::Broadcast { bytes } => {
                    self.travelling.push_back(Travelling::ToAll(None, bytes));
                }
                node_io::Output::Multicast { .. } => unreachable!("a device has no sockets"),
                node_io::Output::Storage { op, action } => {
                    self.travelling.push_back(Travelling::Storage(op, action));
                }
                node_io::Output::Event(node_io::Event::Ready { .. }) => {
                    let clients: Vec<ClientId> = self.tabs.keys().copied().collect();
                    let input = node_io::Input::Present { clients: &clients };
                    self.node.handle_input(self.now, input);
                }
                node_io::Output::Event(node_io::Event::Over { code, reason }) => {
                    panic!("the node is over: {code:?} {reason}");
                }
                node_io::Output::Zone { zone, until, .. } => {
                    let offsets = Offsets { list: &[], until };
                    let input = node_io::Input::Zone { zone: &zone, offsets };
                    self.node.handle_input(self.now, input);
                }
                node_io::Output::Event(_) => {}
                node_io::Output::Hangup { conn, .. } => self.ways.retain(|_, to| *to != conn),
                node_io::Output::Idle { wake_at } => return wake_at,
            }
        }
    }

    /// Lets time pass, waking whoever asks for it.
    pub fn pass_ms(&mut self, ms: u64) {
        let end = self.now.mono.after_ms(ms);
        loop {
            self.run();
            let tabs: Vec<ClientId> = self.tabs.keys().copied().collect();
            let node_at = self.drain_node();
            let wakes = tabs.iter().filter_map(|tab| self.drain_tab(*tab)).chain(node_at);
            let Some(at) = wakes.min().filter(|at| *at <= end) else { break };
            self.advance_to(at.max(Instant(self.now.mono.0 + 1)));
            self.tick();
        }
        self.advance_to(end);
        self.tick();
        self.run();
    }

    fn tick(&mut self) {
        self.node.handle_input(self.now, node_io::Input::Tick);
        self.drain_node();
        for tab in self.tabs.keys().copied().collect::<Vec<_>>() {
            self.tab_gets(tab, Input::Tick);
        }
    }

    fn advance_to(&mut self, at: Instant) {
        self.now.unix.0 += at.ms_since(self.now.mono);
        self.now.mono = at;
    }
}
