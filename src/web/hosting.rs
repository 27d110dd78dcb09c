//! The part of a realm that hosts: waits for the lock, opens the storage, runs the node, and hands
//! it over or drops it.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::broker::Broker;
use crate::broker::io::{Event, Input, Output};
use crate::cron::Offsets;
use crate::error::Code;
use crate::id::{ClientId, Epoch};
use crate::node::{Node, NodeConfig};
use crate::rng::Rng;
use crate::time::{Instant, Now};
use crate::web::io::{Effect, Fact, Notice};
use crate::web::links::Links;
use crate::web::overdue::Overdue;
use crate::web::realm::{NodeAt, Realm};
use crate::web::trace::Way;
use crate::wire::frame::StorageReport;

/// One attempt to host, so that a late answer is told from a current one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Tenure(pub u32);

/// This many failures within the window and this realm stops trying for as long.
const FAILURES_MAX: usize = 3;
const FAILURE_WINDOW_MS: u64 = 60_000;
/// Longest that a planned hand-over may take; then the node is dropped as in a crash.
const DRAIN_MS_MAX: u64 = 5_000;
/// A client whose lock is free may have said goodbye: messages and news of locks travel on
/// different ways, and what it said last may come after.
const LAST_WORDS_MS: u64 = 100;

#[derive(Debug)]
pub struct Hosting {
    state: State,
    tenure: Tenure,
    pub(super) links: Links,
    rng: Rng,
    failures: Vec<Instant>,
    overdue: Overdue,
    /// When a hidden host looks for a visible realm.
    look_at: Option<Instant>,
    /// Clients whose locks are free, and until when their last words may come.
    pub(super) departing: Vec<(Instant, ClientId)>,
}

#[derive(Debug)]
enum State {
    /// Neither has the lock nor waits for it.
    Resting,
    Waiting,
    /// Has the lock; the storage is being opened.
    Opening,
    Running(Running),
    /// Has the lock; the node is at a hub.
    Relaying,
    /// Failed too often; tries again then.
    Failed {
        until: Instant,
    },
    /// May not or must not host.
    Excluded,
}

#[derive(Debug)]
pub(super) struct Running {
    pub(super) node: Box<Node>,
    report: StorageReport,
    drain: Drain,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Drain {
    No,
    Until(Instant),
    Done,
}

impl Hosting {
    /// One that is `excluded` never hosts.
    pub fn new(seed: [u8; 32], excluded: bool) -> Self {
        Self {
            state: if excluded { State::Excluded } else { State::Resting },
            tenure: Tenure(0),
            links: Links::default(),
            rng: Rng::new(seed),
            failures: Vec::new(),
            overdue: Overdue::default(),
            look_at: None,
            departing: Vec::new(),
        }
    }

    /// This realm has the lock.
    pub fn is_here(&self) -> bool {
        matches!(self.state, State::Opening | State::Running(_) | State::Relaying)
    }

    /// This realm has the socket to the hub.
    pub fn is_relaying(&self) -> bool {
        matches!(self.state, State::Relaying)
    }

    pub fn is_waiting(&self) -> bool {
        matches!(self.state, State::Waiting)
    }

    /// The storage of the node here is open, or it needs none.
    pub fn is_running(&self) -> bool {
        matches!(self.state, State::Running(_) | State::Relaying)
    }

    pub const fn tenure(&self) -> Tenure {
        self.tenure
    }

    /// The broker of the node here, once it serves.
    pub fn broker(&self) -> Option<&Broker> {
        match &self.state {
            State::Running(running) => running.node.broker(),
            _ => None,
        }
    }

    /// The epoch of the node here, once it serves.
    pub fn epoch(&self) -> Option<Epoch> {
        self.broker().map(Broker::epoch)
    }

    /// The node here has left a note for whoever follows, and nobody is about to be gone.
    pub fn may_sleep(&self) -> bool {
        let State::Running(running) = &self.state else { return false };
        self.departing.is_empty() && running.drain == Drain::No && running.node.may_sleep()
    }

    pub fn rest(&mut self) {
        if !matches!(self.state, State::Excluded) {
            self.state = State::Resting;
        }
    }

    pub(super) fn running(&mut self) -> Option<&mut Running> {
        match &mut self.state {
            State::Running(running) => Some(running),
            _ => None,
        }
    }
}

impl Realm {
    /// Takes a place in the line for the lock, or the lock itself.
    pub(super) fn request_lock(&mut self, steal: bool) {
        let excluded = matches!(self.hosting.state, State::Excluded | State::Failed { .. });
        let may = self.page.may_host() && self.stands_in(steal);
        if excluded || self.hosting.is_here() || !may {
            return;
        }
        self.hosting.state = State::Waiting;
        self.effects.push(Effect::RequestLock { steal });
    }

    pub(super) fn handle_hosting(&mut self, now: Now, fact: Fact) {
        let current = self.hosting.tenure;
        match fact {
            Fact::LockGranted if self.hosting.is_waiting() => self.begin(now),
            Fact::LockLost => {
                let relayed = self.hosting.is_relaying();
                self.end_hosting();
                self.hosting.rest();
                self.request_lock(false);
                self.waits_again();
                if relayed {
                    self.relay_robbed(now);
                }
            }
            Fact::LockRefused => {
                self.end_hosting();
                self.hosting.state = State::Excluded;
            }
            Fact::StorageOpened { tenure, report } if tenure == current => self.run(now, report),
            Fact::StorageBlocked => {
                // It waits for somebody else, and may.
                self.hosting.overdue.clear();
                self.tell(Notice::StorageBlocked);
            }
            Fact::StorageFailed { tenure, code, reason } if tenure == current => {
                self.hosting_failed(now, code, reason);
            }
            Fact::Stored { tenure, op, result } if tenure == current => {
                self.hosting.overdue.answered(now);
                let failed = result.is_err();
                let way = if failed { Way::StorageFailed } else { Way::StorageAnswered };
                self.trace.record_storage(now, way, op, 0);
                self.node_input(now, Input::Stored { op, result });
            }
            Fact::ConnectionLost { tenure } if tenure == current => {
                if let Some(running) = self.hosting.running() {
                    running.node.suspect();
                }
            }
            Fact::Present { tenure, clients } if tenure == current => {
                if self.hosting.is_relaying() {
                    return self.relay_present(now, &clients);
                }
                self.node_input(now, Input::Present { clients: &clients });
            }
            Fact::Zone { tenure, zone, offsets, until } if tenure == current => {
                let offsets = Offsets { list: &offsets, until };
                self.node_input(now, Input::Zone { zone: &zone, offsets });
            }
            Fact::Gone { client } => {
                self.effects.push(Effect::Unwatch(client));
                self.depart(now, client);
            }
            Fact::VisiblePeer(true) if self.page.hidden_since.is_some() => self.hand_over(now),
            Fact::KillNode if self.hosting.is_here() => {
                self.end_hosting();
                self.effects.push(Effect::ReleaseLock);
                self.hosting.rest();
                self.request_lock(false);
            }
            _ => {}
        }
    }

    fn begin(&mut self, now: Now) {
        self.hosting.tenure.0 += 1;
        self.effects.push(Effect::BeginHosting(self.hosting.tenure));
        if self.config.node_at == NodeAt::Hub {
            self.hosting.state = State::Relaying;
            self.look_later(now);
            self.begin_relaying(now);
            return self.make_room(now);
        }
        self.hosting.state = State::Opening;
        self.hosting.overdue.asked(now);
    }

    /// The client is gone once its last words may have come.
    pub(super) fn depart(&mut self, now: Now, client: ClientId) {
        self.hosting.departing.push((now.mono.after_ms(LAST_WORDS_MS), client));
    }

    fn run(&mut self, now: Now, report: StorageReport) {
        if !matches!(self.hosting.state, State::Opening) {
            return;
        }
        self.hosting.overdue.answered(now);
        let config = NodeConfig {
            limits: self.config.limits.clone(),
            rules: self.config.rules,
            storage: report,
            host: self.config.kind,
            // IndexedDB has transactions, and files cut what was torn themselves.
            tears: false,
            heard: self.heard,
            sleeps: self.sleeps(),
        };
        let node = Box::new(Node::new(config, self.hosting.rng.seed(), now));
        self.config.persistent = report.fenced;
        self.look_later(now);
        self.hosting.state = State::Running(Running { node, report, drain: Drain::No });
        self.make_room(now);
    }

    pub(super) fn node_input(&mut self, now: Now, input: Input<'_>) {
        if let Some(running) = self.hosting.running() {
            running.node.handle_input(now, input);
        }
    }

    /// Polls the node until it is idle. Returns whether it said anything, and when it must wake.
    pub(super) fn pump_node(&mut self, now: Now) -> (bool, Option<Instant>) {
        let mut spoke = false;
        loop {
            let tenure = self.hosting.tenure;
            let Some(running) = self.hosting.running() else {
                while self.hosting.is_relaying() && self.let_go(now) {}
                return (spoke, None);
            };
            match running.node.poll_output() {
                Output::Transmit { conn, bytes } => self.transmit_of_node(now, conn, bytes),
                Output::Broadcast { bytes } => self.broadcast_of_node(now, bytes),
                Output::Multicast { sockets, bytes } => {
                    self.trace.record(now, Way::AllSent, &bytes);
                    self.effects.push(Effect::ToSockets { sockets, bytes });
                }
                Output::Storage { op, action } => {
                    self.hosting.overdue.asked(now);
                    self.trace.record_storage(now, Way::StorageAsked, op, action.bytes());
                    self.effects.push(Effect::Perform { tenure, op, action });
                }
                Output::Zone { zone, from, until } => {
                    self.effects.push(Effect::AskZone { tenure, zone, from, until });
                }
                Output::Hangup { conn, code } => {
                    if let Some(client) = self.hosting.links.remove(conn) {
                        self.end_way_to(now, client, code);
                    }
                }
                Output::Event(event) => self.on_node_event(now, event),
                Output::Idle { wake_at } => {
                    if running.drain == Drain::Done {
                        self.handed_over();
                        return (true, None);
                    }
                    if !self.let_go(now) {
                        return (spoke, wake_at);
                    }
                }
            }
            spoke = true;
        }
    }

    fn on_node_event(&mut self, now: Now, event: Event) {
        match event {
            Event::Woken { links } => self.sockets_woken(&links),
            Event::Ready { epoch, .. } => {
                self.announce_to_adopted(now);
                self.heard = self.heard.max(epoch);
                if self.hosting.running().is_some_and(|running| running.report.fenced) {
                    self.heard = epoch;
                    if !self.is_for_others() {
                        self.client.believe_store(epoch);
                    }
                }
                // Who is at a hub shows only when it comes again.
                if self.config.node_at != NodeAt::Here {
                    self.effects.push(Effect::ListPresent(self.hosting.tenure));
                }
            }
            Event::Watch { client } if client != self.config.client => {
                self.effects.push(Effect::Watch(client));
            }
            Event::Watch { .. } => {}
            Event::Renewal { conn, token } => self.renew_socket(now, conn, token),
            Event::SendsLost { client, count, .. } => self.sends_lost(client, count),
            Event::Unwatch { client } => {
                self.close_client(now, client);
                self.effects.push(Effect::Unwatch(client));
            }
            Event::Over { code, reason } => self.node_over(now, code, reason),
            Event::StorageFull { full } => self.tell(Notice::StorageFull(full)),
            Event::Drained => {
                if let Some(running) = self.hosting.running() {
                    // What it still has to send goes out before it is dropped.
                    running.drain = Drain::Done;
                }
            }
        }
    }

    fn node_over(&mut self, now: Now, code: Code, reason: &'static str) {
        if code != Code::Unavailable || self.config.alone {
            return self.hosting_failed(now, code, reason);
        }
        // Another node has taken over, which is no failure of this one.
        self.end_hosting();
        self.effects.push(Effect::ReleaseLock);
        self.hosting.rest();
        self.tell_closed();
        self.request_lock(false);
    }

    fn hosting_failed(&mut self, now: Now, code: Code, reason: &'static str) {
        self.end_hosting();
        self.effects.push(Effect::ReleaseLock);
        self.hosting.rest();
        self.tell_closed();
        // Whoever has taken over must not lose it again to this realm.
        if code == Code::UpgradeRequired || code == Code::Unavailable {
            self.hosting.state = State::Excluded;
            return self.cannot_host(now, code, reason);
        }
        let failures = &mut self.hosting.failures;
        failures.retain(|at| now.mono.ms_since(*at) < FAILURE_WINDOW_MS);
        failures.push(now.mono);
        if failures.len() < FAILURES_MAX {
            return self.request_lock(false);
        }
        failures.clear();
        self.hosting.state = State::Failed { until: now.mono.after_ms(FAILURE_WINDOW_MS) };
        self.cannot_host(now, code, reason);
    }

    /// Tells the user; and where nobody else can host, everyone who waits for an answer.
    fn cannot_host(&mut self, now: Now, code: Code, reason: &'static str) {
        self.tell(Notice::Error { code, reason });
        if self.config.alone {
            self.hosting.state = State::Excluded;
            self.client.end(now, code);
        }
    }

    /// Hands the node over as planned: everything is stored first. A node whose state is in memory
    /// alone has nothing it could hand over, so it stays until the bus is closed.
    pub(super) fn hand_over(&mut self, now: Now) {
        let closing = self.page.closing;
        if self.hosting.is_relaying() {
            return self.handed_over();
        }
        let Some(running) = self.hosting.running() else { return self.stop_waiting() };
        if running.drain != Drain::No || !(running.report.persistent || closing) {
            return;
        }
        running.drain = Drain::Until(now.mono.after_ms(DRAIN_MS_MAX));
        running.node.handle_input(now, Input::Drain);
    }

    fn stop_waiting(&mut self) {
        if self.page.closing {
            self.handed_over();
        }
    }

    fn handed_over(&mut self) {
        self.end_hosting();
        self.effects.push(Effect::ReleaseLock);
        self.hosting.rest();
        self.tell_closed();
        self.request_lock(false);
    }

    /// Drops the node, whatever it was doing.
    pub(super) fn end_hosting(&mut self) {
        if self.hosting.is_here() {
            self.hosting.rest();
            self.hosting.links.clear();
            self.hosting.departing.clear();
            self.hosting.overdue.clear();
            self.close_sockets();
            self.effects.push(Effect::EndHosting);
        }
    }

    pub(super) fn tick_hosting(&mut self, now: Now) {
        if let State::Failed { until } = self.hosting.state
            && until <= now.mono
        {
            self.hosting.state = State::Resting;
            self.request_lock(false);
        }
        if self.hosting.overdue.is_overdue(now, self.config.limits.pause_ms_max) {
            // Whoever is next opens the storage anew.
            return self.hosting_failed(now, Code::Storage, "silent");
        }
        self.node_input(now, Input::Tick);
        let drain = self.hosting.running().map(|running| running.drain);
        if let Some(Drain::Until(until)) = drain
            && until <= now.mono
        {
            self.handed_over();
        }
        let due = self.hosting.look_at.is_some_and(|at| at <= now.mono);
        if due && self.hosting.is_running() {
            self.look_later(now);
            self.effects.push(Effect::LookForVisiblePeer);
        }
    }

    /// A hidden host looks for a visible realm from time to time.
    pub(super) fn look_later(&mut self, now: Now) {
        let hidden = self.page.hidden_since.is_some();
        let look_at = now.mono.after_ms(self.config.limits.hidden_host_ms);
        self.hosting.look_at = Some(look_at).filter(|_| hidden);
    }

    /// When hosting itself needs a tick.
    pub(super) fn hosting_wake_at(&mut self, now: Now) -> Option<Instant> {
        let pause_ms_max = self.config.limits.pause_ms_max;
        match &self.hosting.state {
            State::Failed { until } => Some(*until),
            State::Opening => self.hosting.overdue.look_at(now, pause_ms_max),
            State::Relaying => {
                let departing = self.hosting.departing.iter().map(|(until, _)| *until).min();
                [self.hosting.look_at, departing].into_iter().flatten().min()
            }
            State::Running(running) => {
                // A node without ticks would take its own idleness for a pause.
                let beat = now.mono.after_ms(pause_ms_max / 2);
                let beat = Some(beat).filter(|_| running.report.fenced);
                let look = self.hosting.look_at;
                let drain = match running.drain {
                    Drain::Until(until) => Some(until),
                    Drain::No | Drain::Done => None,
                };
                let departing = self.hosting.departing.iter().map(|(until, _)| *until).min();
                let overdue = self.hosting.overdue.look_at(now, pause_ms_max);
                [beat, look, drain, departing, overdue].into_iter().flatten().min()
            }
            _ => None,
        }
    }
}
