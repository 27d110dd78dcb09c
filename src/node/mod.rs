//! A node: the broker of one device and its start. A broker that has not recovered can't exist,
//! so the node is a machine of states: it recovers the log, serves, makes sure after a pause that
//! it is still the one, and is over when it is not.

mod holding;
mod recovering;
mod sleep;

use alloc::collections::VecDeque;

use crate::broker::io::{Event, Input, Output};
use crate::broker::{Broker, BrokerConfig, Grant};
use crate::error::Code;
use crate::id::{ChunkNumber, ConnId, Epoch, OpId, SocketId};
use crate::limits::Limits;
use crate::log::RecoveryFault;
use crate::marks::{Mark, mark};
use crate::node::holding::Holding;
use crate::node::recovering::Recovering;
use crate::node::sleep::Sleep;
pub use crate::node::sleep::{Naps, Sleeps};
use crate::options::HostKind;
use crate::rng::Rng;
use crate::rules::Rules;
use crate::sorted::Map;
use crate::store::{StorageAction, StorageFault, StorageResult, Stored};
use crate::time::{Instant, Now};
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
    /// Of a host that may fall asleep with its sockets open.
    pub sleeps: Option<Sleeps>,
}

/// Who asked for a storage operation. A log that was thrown away must not get answers that its
/// successor waits for, though both count from 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Asker {
    /// The log of this generation, under its own number.
    Log(u32, OpId),
    /// The node, for the fence, or because it lets go of its note.
    Holding,
    /// The node, for its note.
    Note,
}

#[derive(Debug)]
pub struct Node {
    config: NodeConfig,
    rng: Rng,
    last: Instant,
    next_conn: ConnId,
    state: NodeState,
    sleep: Sleep,
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
    /// Nothing is handled or sent until the storage says that this node may go on: after a pause
    /// that was long enough for another to have taken over, or with a note that is to be void.
    Holding(Holding),
    Over,
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
            sleep: Sleep::default(),
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
            NodeState::Serving(broker) | NodeState::Holding(Holding { broker, .. }) => Some(broker),
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
            NodeState::Serving(broker) | NodeState::Holding(Holding { broker, .. }) => {
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
                Some(Asker::Holding) => return self.verified(now, &result),
                Some(Asker::Note) => return self.note_written(&result),
                _ => return,
            },
            other => other,
        };
        let paused = now.mono.ms_since(self.last) > self.config.limits.pause_ms_max;
        self.last = self.last.max(now.mono);
        if paused || self.hears_of_successor(&input) {
            self.suspect();
        }
        let stirs = self.stirs(now, &input);
        match &mut self.state {
            NodeState::Recovering(_) => self.recover(now, input),
            NodeState::Serving(broker) => {
                if stirs || self.config.sleeps().is_none() {
                    broker.handle_input(now, input);
                }
                self.rest(now, stirs);
            }
            NodeState::Holding(holding) => {
                let bytes_max = self.config.limits.link_bytes_max as usize;
                if let Some(conn) = holding.hold(input, bytes_max) {
                    self.outputs.push_back(Output::Hangup { conn, code: Code::Full });
                }
            }
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
            self.start_holding();
        }
        if let NodeState::Holding(holding) = &mut self.state {
            holding.paused = true;
        }
    }

    fn start_holding(&mut self) {
        let state = core::mem::replace(&mut self.state, NodeState::Over);
        self.state = match state {
            NodeState::Serving(broker) => NodeState::Holding(Holding::new(broker)),
            other => other,
        };
    }

    fn verified(&mut self, now: Now, result: &StorageResult) {
        let state = core::mem::replace(&mut self.state, NodeState::Over);
        let NodeState::Holding(mut holding) = state else {
            self.state = state;
            return;
        };
        match result {
            Ok(Stored::Fence(Some(fence))) if *fence == holding.broker.epoch() => {
                mark(Mark::StillTheOne);
            }
            Ok(Stored::Committed) => self.sleep.void(),
            Err(StorageFault::Aborted) if self.sleep.is_noted() => {
                holding.asked = false;
                self.state = NodeState::Holding(holding);
                return;
            }
            _ => {
                mark(Mark::FoundFenced);
                let reason = if result.is_ok() { "fenced" } else { "fence unreadable" };
                return self.over(Code::Unavailable, reason);
            }
        }
        if holding.paused {
            holding.broker.renew_leases(now);
        }
        self.state = NodeState::Serving(holding.release(now));
        self.sleep.stir(now.mono);
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
        let NodeState::Recovering(mut recovered) = state else { return };
        let note = recovered.recovery.take_note();
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
        if let (Some(memory), Some(sleeps)) = (note, self.config.sleeps())
            && !broker.wake(now, &memory, &sleeps.sockets)
        {
            return self.recovery_failed(RecoveryFault::Corrupt(ChunkNumber(0)));
        }
        self.next_conn = broker.next_conn();
        if let Some(clients) = recovered.present {
            broker.handle_input(now, Input::Present { clients: &clients });
        }
        self.sleep.stir(now.mono);
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
            NodeState::Holding(holding) if !holding.asked => {
                holding.asked = true;
                let epoch = holding.broker.epoch();
                let noted = self.sleep.is_noted();
                let action = if noted { sleep::void(epoch) } else { StorageAction::ReadFence };
                self.ask(Asker::Holding, action)
            }
            NodeState::Holding(_) | NodeState::Over => Output::Idle { wake_at: None },
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
            Output::Idle { wake_at } => return Output::Idle { wake_at: self.rest_at(wake_at) },
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
