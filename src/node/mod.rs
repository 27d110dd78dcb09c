//! A node: the broker of one device and its start. A broker that has not recovered can't exist,
//! so the node is a machine of states: it recovers the log, serves, makes sure after a pause that
//! it is still the one, and is over when it is not.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;

use crate::broker::io::{Event, Input, Output};
use crate::broker::{Broker, BrokerConfig, Grant, State, Volatile};
use crate::cron::{Offset, Offsets};
use crate::error::Code;
use crate::id::{ChunkNumber, ClientId, ConnId, Epoch, LogId, OpId, SocketId};
use crate::limits::Limits;
use crate::log::{LogConfig, NewIdentity, Place, Record, Recovery, RecoveryFault};
use crate::marks::{Mark, mark};
use crate::options::{Durability, HostKind};
use crate::rng::Rng;
use crate::rules::Rules;
use crate::sorted::Map;
use crate::store::{StorageAction, StorageFault, StorageResult, Stored};
use crate::time::{Instant, Now, UnixMillis};
use crate::wire::Message;
use crate::wire::frame::StorageReport;

/// What a node is made with.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    pub limits: Limits,
    pub rules: Rules,
    /// What the host's storage promises.
    pub storage: StorageReport,
    /// Where it runs.
    pub host: HostKind,
    /// The storage may hold a write in part whose writer died. One that is atomic can't.
    pub tears: bool,
    /// The highest epoch the host has heard of; the node takes a higher one.
    pub heard: Epoch,
}

/// Who asked for a storage operation. A log that was thrown away must not get answers that its
/// successor waits for, though both count from 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Asker {
    /// The log of this generation, under its own number.
    Log(u32, OpId),
    /// The node, for the fence.
    Fence,
}

#[derive(Debug)]
pub struct Node {
    config: NodeConfig,
    rng: Rng,
    last: Instant,
    next_conn: ConnId,
    state: NodeState,
    outputs: VecDeque<Output>,
    /// The foreign epoch that last made this node look at its fence. Not the highest one: a claim
    /// that no store bears out must not hide the next.
    suspected: Epoch,
    generation: u32,
    next_op: OpId,
    asked: Map<OpId, Asker>,
}

#[derive(Debug)]
#[allow(clippy::large_enum_variant)]
enum NodeState {
    Recovering(Recovering),
    Serving(Broker),
    /// A pause was long enough for another node to have taken over: nothing is handled or sent
    /// until the fence says that none has.
    Verifying {
        broker: Broker,
        asked: bool,
        held: Vec<Held>,
        held_bytes: usize,
    },
    Over,
}

#[derive(Debug)]
struct Recovering {
    recovery: Recovery,
    state: State,
    storage_full: bool,
    volatile: Volatile,
    present: Option<Vec<ClientId>>,
}

/// An input that waits while the node makes sure.
#[derive(Debug)]
enum Held {
    Received { conn: ConnId, bytes: Vec<u8> },
    Heard { bytes: Vec<u8> },
    Renewed { conn: ConnId, grant: Grant },
    Disconnected { conn: ConnId },
    Gone { client: ClientId },
    Present { clients: Vec<ClientId> },
    Stored { op: OpId, result: StorageResult },
    Zone { zone: String, offsets: Vec<Offset>, until: UnixMillis },
    Drain,
}

impl Node {
    /// A node that starts to recover its log. `seed` must differ from start to start.
    pub fn new(config: NodeConfig, seed: [u8; 32], now: Now) -> Self {
        let mut rng = Rng::new(seed);
        let state = NodeState::Recovering(Recovering::new(&config, &mut rng));
        let (last, next_conn) = (now.mono, ConnId(1));
        Self {
            config,
            rng,
            last,
            next_conn,
            state,
            outputs: VecDeque::new(),
            suspected: Epoch::default(),
            generation: 0,
            next_op: OpId(1),
            asked: Map::new(),
        }
    }

    /// The epoch, once the node serves.
    pub fn epoch(&self) -> Option<Epoch> {
        self.broker().map(Broker::epoch)
    }

    /// The broker, once the node serves.
    pub fn broker(&self) -> Option<&Broker> {
        match &self.state {
            NodeState::Serving(broker) | NodeState::Verifying { broker, .. } => Some(broker),
            NodeState::Recovering(_) | NodeState::Over => None,
        }
    }

    /// A new connection. While the node recovers, what comes on it is dropped: its client says
    /// Hello again.
    pub fn accept(&mut self, now: Now) -> ConnId {
        self.accept_granted(now, None, Grant::ALL)
    }

    /// A new connection that may do what is granted, perhaps on a socket of a hub.
    pub fn accept_granted(&mut self, _now: Now, socket: Option<SocketId>, grant: Grant) -> ConnId {
        match &mut self.state {
            NodeState::Serving(broker) | NodeState::Verifying { broker, .. } => {
                let conn = broker.accept_granted(socket, grant);
                self.next_conn = ConnId(conn.0 + 1);
                conn
            }
            NodeState::Recovering(_) | NodeState::Over => {
                let conn = self.next_conn;
                self.next_conn = ConnId(conn.0 + 1);
                conn
            }
        }
    }

    /// As `Input::Renewed`.
    pub fn renew(&mut self, now: Now, conn: ConnId, grant: Grant) {
        self.handle_input(now, Input::Renewed { conn, grant });
    }

    pub fn handle_input(&mut self, now: Now, input: Input<'_>) {
        let input = match input {
            Input::Stored { op, result } => match self.asked.remove(&op) {
                Some(Asker::Log(generation, op)) if generation == self.generation => {
                    Input::Stored { op, result }
                }
                Some(Asker::Fence) => return self.verified(now, &result),
                _ => return,
            },
            other => other,
        };
        let paused = now.mono.ms_since(self.last) > self.config.limits.pause_ms_max;
        self.last = self.last.max(now.mono);
        if paused || self.hears_of_successor(&input) {
            self.suspect();
        }
        match &mut self.state {
            NodeState::Recovering(_) => self.recover(now, input),
            NodeState::Serving(broker) => broker.handle_input(now, input),
            NodeState::Verifying { .. } => self.hold(input),
            NodeState::Over => {}
        }
    }

    /// Whether the input names an epoch above this node's, other than the one looked into last.
    fn hears_of_successor(&mut self, input: &Input<'_>) -> bool {
        let (Input::Received { bytes, .. } | Input::Heard { bytes }) = input else { return false };
        let Ok(message) = Message::parse(bytes) else { return false };
        let named = message.envelope.epoch;
        if named <= self.epoch().unwrap_or_default() || named == self.suspected {
            return false;
        }
        mark(Mark::HeardOfSuccessor);
        self.suspected = named;
        true
    }

    /// Somebody may have changed what is stored: before anything else is handled or sent, the
    /// fence has to say that this node is still the one.
    pub fn suspect(&mut self) {
        if self.config.storage.fenced {
            self.start_verifying();
        }
    }

    fn start_verifying(&mut self) {
        let state = core::mem::replace(&mut self.state, NodeState::Over);
        self.state = match state {
            NodeState::Serving(broker) => {
                NodeState::Verifying { broker, asked: false, held: Vec::new(), held_bytes: 0 }
            }
            other => other,
        };
    }

    /// Holds the input until the fence was read.
    fn hold(&mut self, input: Input<'_>) {
        let NodeState::Verifying { held, held_bytes, .. } = &mut self.state else { return };
        let kept = match input {
            Input::Tick => return,
            Input::Received { conn, bytes } => Held::Received { conn, bytes: bytes.to_vec() },
            Input::Heard { bytes } => Held::Heard { bytes: bytes.to_vec() },
            Input::Renewed { conn, grant } => Held::Renewed { conn, grant },
            Input::Disconnected { conn } => Held::Disconnected { conn },
            Input::Gone { client } => Held::Gone { client },
            Input::Present { clients } => Held::Present { clients: clients.to_vec() },
            Input::Stored { op, result } => Held::Stored { op, result },
            Input::Zone { zone, offsets: Offsets { list, until } } => {
                Held::Zone { zone: zone.into(), offsets: list.to_vec(), until }
            }
            Input::Drain => Held::Drain,
        };
        let bytes = match &kept {
            Held::Received { bytes, .. } | Held::Heard { bytes } => bytes.len(),
            _ => 0,
        };
        if *held_bytes + bytes > self.config.limits.link_bytes_max as usize {
            if let Held::Received { conn, .. } = kept {
                // Its client dials again and sends again what has no answer.
                held.push(Held::Disconnected { conn });
                self.outputs.push_back(Output::Hangup { conn, code: Code::Full });
            }
            return;
        }
        mark(Mark::HeldForFence);
        *held_bytes += bytes;
        held.push(kept);
    }

    fn verified(&mut self, now: Now, result: &StorageResult) {
        let state = core::mem::replace(&mut self.state, NodeState::Over);
        let NodeState::Verifying { mut broker, held, .. } = state else {
            self.state = state;
            return;
        };
        let ours = matches!(result, Ok(Stored::Fence(Some(fence))) if *fence == broker.epoch());
        if !ours {
            mark(Mark::FoundFenced);
            let reason = if result.is_ok() { "fenced" } else { "fence unreadable" };
            self.over(Code::Unavailable, reason);
            return;
        }
        mark(Mark::StillTheOne);
        broker.renew_leases(now);
        for input in &held {
            broker.handle_input(now, input.as_input());
        }
        broker.handle_input(now, Input::Tick);
        self.state = NodeState::Serving(broker);
    }

    fn recover(&mut self, now: Now, input: Input<'_>) {
        let NodeState::Recovering(recovering) = &mut self.state else { return };
        match input {
            Input::Stored { op, result } => match recovering.handle_stored(op, result) {
                Ok(false) => {}
                Ok(true) => self.serve(now),
                Err(fault) => self.recovery_failed(fault),
            },
            Input::Present { clients } => recovering.present = Some(clients.to_vec()),
            Input::Drain => self.outputs.push_back(Output::Event(Event::Drained)),
            _ => {}
        }
    }

    fn serve(&mut self, now: Now) {
        let state = core::mem::replace(&mut self.state, NodeState::Over);
        let NodeState::Recovering(recovered) = state else { return };
        if !recovered.state.has_numbers_left() {
            return self.recovery_failed(RecoveryFault::Corrupt(ChunkNumber(0)));
        }
        let mut log = recovered.recovery.finish();
        for (_, entry) in recovered.state.live() {
            if !log.has_chunk(entry.place.chunk) {
                return self.recovery_failed(RecoveryFault::Missing(entry.place.chunk));
            }
            log.retain(entry.place, entry.message_bytes());
        }
        let config = BrokerConfig {
            limits: self.config.limits.clone(),
            rules: self.config.rules,
            storage: self.config.storage,
            host: self.config.host,
            storage_full: recovered.storage_full,
        };
        let rng = Rng::new(self.rng.seed());
        let mut broker =
            Broker::new(config, rng, now, log, recovered.state, recovered.volatile, self.next_conn);
        if let Some(clients) = recovered.present {
            broker.handle_input(now, Input::Present { clients: &clients });
        }
        self.state = NodeState::Serving(broker);
    }

    fn recovery_failed(&mut self, fault: RecoveryFault) {
        let (code, reason) = match fault {
            RecoveryFault::UpgradeRequired => (Code::UpgradeRequired, "format"),
            RecoveryFault::Missing(_) => (Code::Storage, "missing chunk"),
            RecoveryFault::Corrupt(_) => (Code::Storage, "corruption"),
            RecoveryFault::Storage(StorageFault::Quota) => (Code::Storage, "quota"),
            RecoveryFault::Storage(StorageFault::Fenced) => (Code::Unavailable, "fenced"),
            RecoveryFault::Storage(_) => (Code::Storage, "lost"),
        };
        self.over(code, reason);
    }

    fn over(&mut self, code: Code, reason: &'static str) {
        self.state = NodeState::Over;
        self.outputs.push_back(Output::Event(Event::Over { code, reason }));
    }

    /// The next thing for the host to do; `Idle` when there is none.
    pub fn poll_output(&mut self) -> Output {
        if let Some(output) = self.outputs.pop_front() {
            return output;
        }
        match &mut self.state {
            NodeState::Recovering(recovering) => match recovering.recovery.poll_storage() {
                Some((op, action)) => self.ask(Asker::Log(self.generation, op), action),
                None => Output::Idle { wake_at: None },
            },
            NodeState::Serving(broker) => {
                let output = broker.poll_output();
                self.after_broker(output)
            }
            NodeState::Verifying { asked, .. } if !*asked => {
                *asked = true;
                self.ask(Asker::Fence, StorageAction::ReadFence)
            }
            NodeState::Verifying { .. } | NodeState::Over => Output::Idle { wake_at: None },
        }
    }

    fn ask(&mut self, asker: Asker, action: StorageAction) -> Output {
        let op = self.next_op;
        self.next_op = OpId(op.0 + 1);
        self.asked.insert(op, asker);
        Output::Storage { op, action }
    }

    /// A full disk is no end: the memory of the broker is thrown away, the log replayed, and sends
    /// are refused until a write succeeds.
    fn after_broker(&mut self, output: Output) -> Output {
        let full = Event::Over { code: Code::Storage, reason: "quota" };
        let event = match output {
            Output::Event(event) => event,
            Output::Storage { op, action } => {
                return self.ask(Asker::Log(self.generation, op), action);
            }
            other => return other,
        };
        if event != full {
            return Output::Event(event);
        }
        let state = core::mem::replace(&mut self.state, NodeState::Over);
        let NodeState::Serving(mut broker) = state else {
            self.state = state;
            return Output::Event(event);
        };
        let own = broker.epoch();
        loop {
            match broker.poll_output() {
                Output::Idle { .. } => break,
                // The last word of each link goes out, or its client would wait for an answer
                // until the node seems dead to it.
                output @ (Output::Transmit { .. } | Output::Hangup { .. }) => {
                    self.outputs.push_back(output);
                }
                _ => {}
            }
        }
        mark(Mark::ReplayedInPlace);
        self.generation += 1;
        let recovering =
            Recovering::again(&self.config, &mut self.rng, own, broker.into_volatile());
        self.state = NodeState::Recovering(recovering);
        Output::Event(Event::StorageFull { full: true })
    }
}

impl Held {
    fn as_input(&self) -> Input<'_> {
        match self {
            Self::Received { conn, bytes } => Input::Received { conn: *conn, bytes },
            Self::Heard { bytes } => Input::Heard { bytes },
            Self::Renewed { conn, grant } => Input::Renewed { conn: *conn, grant: grant.clone() },
            Self::Disconnected { conn } => Input::Disconnected { conn: *conn },
            Self::Gone { client } => Input::Gone { client: *client },
            Self::Present { clients } => Input::Present { clients },
            Self::Stored { op, result } => Input::Stored { op: *op, result: result.clone() },
            Self::Zone { zone, offsets, until } => {
                Input::Zone { zone, offsets: Offsets { list: offsets, until: *until } }
            }
            Self::Drain => Input::Drain,
        }
    }
}

impl Recovering {
    /// Feeds the log's recovery; true once the whole log was replayed.
    fn handle_stored(&mut self, op: OpId, result: StorageResult) -> Result<bool, RecoveryFault> {
        let Self { recovery, state, .. } = self;
        recovery.handle_stored(op, result, &mut |place: Place, record: &Record<'_>| {
            let _ = state.apply(place, record);
        })
    }

    fn new(config: &NodeConfig, rng: &mut Rng) -> Self {
        let recovery = Recovery::new(log_config(config), identity(rng), config.heard);
        let state = State::new(&config.limits);
        Self { recovery, state, storage_full: false, volatile: Volatile::default(), present: None }
    }

    /// Recovers what a node has that just found its storage full.
    fn again(config: &NodeConfig, rng: &mut Rng, own: Epoch, volatile: Volatile) -> Self {
        let recovery = Recovery::reopen(log_config(config), identity(rng), own);
        let state = State::new(&config.limits);
        Self { recovery, state, storage_full: true, volatile, present: None }
    }
}

fn log_config(config: &NodeConfig) -> LogConfig {
    let log = LogConfig::new(&config.limits, config.rules);
    // Memory that is kept for when there is none would only be missing before.
    let stored = config.storage.durability_max > Durability::Memory;
    let reserve_bytes = if stored { log.reserve_bytes } else { 0 };
    LogConfig { reserve_bytes, tears: config.tears, ..log }
}

fn identity(rng: &mut Rng) -> NewIdentity {
    NewIdentity { log: LogId(rng.bytes16()), incarnation: rng.next_u64() }
}
