//! A node over a store in memory, driven by hand.

use std::collections::VecDeque;

use tabmq::broker::io::{Event, Input, Output};
use tabmq::cron::{Offset, Offsets};
use tabmq::error::Code;
use tabmq::id::{ConnId, Epoch, OpId};
use tabmq::limits::Limits;
use tabmq::log::MemoryStore;
use tabmq::node::{Node, NodeConfig};
use tabmq::options::{Durability, HostKind};
use tabmq::rules::Rules;
use tabmq::store::{StorageAction, StorageResult};
use tabmq::time::{Instant, Now, UnixMillis};
use tabmq::wire::frame::StorageReport;

/// More outputs than any input can lead to.
const OUTPUTS_MAX: usize = 100_000;

/// Small, so that a few bytes reach each of them.
pub const LIMITS: Limits = Limits {
    body_bytes_max: 1024,
    headers_bytes_max: 256,
    fragment_bytes_max: 512,
    link_bytes_max: 4096,
    sessions_max: 3,
    handles_max: 4,
    queues_max: 4,
    queue_messages_max: 8,
    lanes_max: 4,
    calls_max: 4,
    replies_max: 4,
    schedules_max: 3,
    policies_max: 2,
    redrives_max: 2,
    dedupe_ids_max: 4,
    decisions_max: 3,
    senders_max: 3,
    results_max: 3,
    trackers_max: 4,
    browses_max: 2,
    publishers_max: 4,
    chunk_bytes_max: 512,
    page_bytes_max: 256,
    resident_bytes_max: 2048,
    checkpoint_bytes_min: 2048,
    log_reserve_bytes: 0,
    repair_bytes_max: 1024,
    ..Limits::DEFAULTS
};

/// What a node said last of all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// It serves.
    Serving,
    /// It is over, for this reason.
    Over(Code),
}

/// One node, its store, and what it said so far.
pub struct Host {
    pub node: Node,
    pub store: MemoryStore,
    pub now: Now,
    pub over: Option<Code>,
    /// What the node last said to each connection.
    pub transmitted: Vec<(ConnId, Vec<u8>)>,
    pub events: Vec<Event>,
    /// What storage was asked for and has not done.
    pub asked: VecDeque<(OpId, StorageAction)>,
    /// Storage answers only when it is told to.
    pub holds_storage: bool,
    pub ended: Vec<ConnId>,
}

impl Host {
    /// A node that has only begun to recover.
    #[must_use]
    pub fn new(store: MemoryStore, now: Now) -> Self {
        let storage =
            StorageReport { persistent: true, fenced: true, durability_max: Durability::Strict };
        let heard = Epoch::default();
        let config = NodeConfig {
            limits: LIMITS.clone(),
            rules: Rules::ON,
            storage,
            host: HostKind::Tab,
            tears: true,
            heard,
            sleeps: None,
        };
        Self {
            node: Node::new(config, [7; 32], now),
            store,
            now,
            over: None,
            transmitted: Vec::new(),
            events: Vec::new(),
            asked: VecDeque::new(),
            holds_storage: false,
            ended: Vec::new(),
        }
    }

    /// Recovers until the node serves or is over.
    ///
    /// # Panics
    /// If it does neither.
    pub fn start(&mut self) -> End {
        self.settle();
        match self.over {
            Some(code) => End::Over(code),
            None => {
                assert!(self.node.broker().is_some(), "recovery waits for nothing");
                End::Serving
            }
        }
    }

    pub fn input(&mut self, input: Input<'_>) {
        self.node.handle_input(self.now, input);
        self.settle();
    }

    /// Lets time pass.
    pub fn pass_ms(&mut self, ms: u64) {
        self.now = Now { mono: self.now.mono.after_ms(ms), unix: UnixMillis(self.now.unix.0 + ms) };
        self.input(Input::Tick);
    }

    /// Performs what the node asks for until it has nothing more to say.
    ///
    /// # Panics
    /// If it never comes to that, or wants to be woken in the past.
    pub fn settle(&mut self) {
        for _ in 0..OUTPUTS_MAX {
            match self.node.poll_output() {
                Output::Transmit { conn, bytes } => {
                    assert!(bytes.len() <= LIMITS.fragment_bytes_max as usize, "a long message");
                    self.transmitted.push((conn, bytes));
                }
                Output::Broadcast { .. } | Output::Multicast { .. } => {}
                Output::Storage { op, action } => {
                    self.asked.push_back((op, action));
                    if !self.holds_storage {
                        self.perform_all();
                    }
                }
                Output::Zone { zone, from, until } => {
                    let list = [Offset { from, ahead_s: 3600 }];
                    let offsets =
                        Offsets { list: if zone == "No/Where" { &[] } else { &list }, until };
                    self.node.handle_input(self.now, Input::Zone { zone: &zone, offsets });
                }
                Output::Hangup { conn, .. } => self.ended.push(conn),
                Output::Event(event) => {
                    if let Event::Over { code, .. } = event {
                        self.over = Some(code);
                    }
                    self.events.push(event);
                }
                Output::Idle { wake_at } => {
                    let past = wake_at.is_some_and(|at: Instant| at < self.now.mono);
                    assert!(!past, "the node wants to be woken in the past");
                    return;
                }
            }
        }
        panic!("the node never has enough said");
    }

    /// Answers the oldest operation.
    pub fn answer(
        &mut self,
        result: impl FnOnce(&mut MemoryStore, &StorageAction) -> StorageResult,
    ) {
        if let Some((op, action)) = self.asked.pop_front() {
            let result = result(&mut self.store, &action);
            self.node.handle_input(self.now, Input::Stored { op, result });
        }
    }

    /// Performs all that is asked for.
    pub fn perform_all(&mut self) {
        while !self.asked.is_empty() {
            self.answer(MemoryStore::perform);
        }
    }
}

/// The time at which every node starts.
pub const START: Now = Now { mono: Instant(1_000_000), unix: UnixMillis(1_700_000_000_000) };
