//! Hosts of nodes: they hold the lock, feed the node and perform what it asks for.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

use crate::broker::io::{Event, Input, Output};
use crate::cron::Offsets;
use crate::error::Code;
use crate::id::{ClientId, ConnId, LinkNonce, OpId};
use crate::node::{Node, NodeConfig};
use crate::options::Durability;
use crate::sim::check::{Violation, violated};
use crate::sim::fact::{Fact, NodeId, ProcessId};
use crate::sim::fault::Fault;
use crate::sim::network::Party;
use crate::sim::schedule::{MILLI, Micros};
use crate::sim::timetable;
use crate::sim::world::mail::{Letter, Socket};
use crate::sim::world::{Action, IDLE_TICKS_MAX, Timer, World};
use crate::store::StorageResult;
use crate::wire::frame::StorageReport;
use crate::wire::{Message, Reassembly};

/// What the simulated storage promises.
pub const STORAGE: StorageReport =
    StorageReport { persistent: true, fenced: true, durability_max: Durability::Strict };

/// One connection of a node.
#[derive(Debug)]
pub struct Link {
    pub client: ClientId,
    nonce: LinkNonce,
    pub socket: Option<(ProcessId, Socket)>,
    pub parts: Reassembly,
}

/// A node and the part of its page that runs it.
#[derive(Debug)]
pub struct NodeHost {
    pub node: Node,
    pub home: ProcessId,
    pub links: BTreeMap<ConnId, Link>,
    conns: BTreeMap<(ClientId, LinkNonce), ConnId>,
    /// Clients whose locks are watched.
    watched: BTreeSet<ClientId>,
    timer: Timer,
}

impl World {
    /// Stands in line for the lock.
    pub(super) fn request_lock(&mut self, process: ProcessId) {
        let granted = self.lock.request(process);
        self.grant(granted);
    }

    pub(super) fn release_lock(&mut self, process: ProcessId) {
        let granted = self.lock.release(process);
        self.grant(granted);
    }

    fn grant(&mut self, granted: Option<ProcessId>) {
        if let Some(process) = granted {
            let after = self.dice.between(10, 5 * MILLI);
            self.schedule.after(after, Action::LockGranted { process });
        }
    }

    pub(super) fn lock_granted(&mut self, process: ProcessId) -> Result<(), Violation> {
        let hosts = self.realms.get(&process).is_none_or(|realm| realm.node.is_some());
        if self.lock.holder() != Some(process) || hosts {
            return Ok(());
        }
        self.start_node(process)
    }

    /// Takes the lock from whoever has it and starts a node.
    pub(super) fn steal_lock(&mut self, process: ProcessId) -> Result<(), Violation> {
        if self.lock.holder() == Some(process) || !self.processes.contains_key(&process) {
            return Ok(());
        }
        let robbed = self.lock.steal(process);
        let robbed = robbed.and_then(|robbed| self.realms.get(&robbed)?.node);
        if let Some(node) = robbed {
            // A realm that is busy learns late, and goes on as if it still had the lock.
            let late_max = *self.dice.choose(&[200 * MILLI, 200 * MILLI, 3000 * MILLI]);
            let after = self.dice.between(10, late_max);
            self.schedule.after(after, Action::LockBroken { node });
        }
        self.lock_granted(process)
    }

    /// The host of a node learns that its lock was stolen.
    pub(super) fn lock_broken(&mut self, node: NodeId) -> Result<(), Violation> {
        let Some(home) = self.nodes.get(&node).map(|host| host.home) else { return Ok(()) };
        self.end_node(node)?;
        self.request_lock(home);
        Ok(())
    }

    fn start_node(&mut self, home: ProcessId) -> Result<(), Violation> {
        let seed = self.dice.seed();
        let Some(realm) = self.realms.get(&home) else { return Ok(()) };
        let config = NodeConfig {
            limits: self.plan.limits.clone(),
            rules: self.rules,
            storage: STORAGE,
            host: self.plan.hosts.kind_of(realm.starter.is_some()),
            tears: true,
            heard: realm.heard,
            sleeps: None,
        };
        let id = self.next_node;
        self.next_node = NodeId(id.0 + 1);
        let node = Node::new(config, seed, self.now_at(realm.origin));
        let host = NodeHost {
            node,
            home,
            links: BTreeMap::new(),
            conns: BTreeMap::new(),
            watched: BTreeSet::new(),
            timer: Timer::default(),
        };
        self.nodes.insert(id, host);
        if let Some(realm) = self.realms.get_mut(&home) {
            realm.node = Some(id);
        }
        self.drain_node(id)
    }

    /// The node is gone, and its lock is free if it still had it.
    pub(super) fn end_node(&mut self, node: NodeId) -> Result<(), Violation> {
        let Some(host) = self.nodes.remove(&node) else { return Ok(()) };
        if let Some(realm) = self.realms.get_mut(&host.home) {
            realm.node = None;
        }
        for accepted in self.disk.abandon(node, &mut self.faults) {
            self.accept(node, &accepted)?;
        }
        self.network.drop_party(Party::Node(node));
        for (id, process) in &mut self.processes {
            if let Some(socket) = process.socket.filter(|socket| socket.node == node) {
                let letter = Letter::Cut(socket);
                self.schedule.after(MILLI, Action::ToClient { process: *id, letter });
                self.schedule.after(20 * MILLI, Action::Redial { process: *id });
            }
        }
        self.observe(&Fact::NodeEnded { node })?;
        self.check_recovery()?;
        if self.lock.holder() == Some(host.home) {
            self.release_lock(host.home);
        }
        Ok(())
    }

    /// The node dies by a fault; its tab lives and stands in line again.
    pub(super) fn kill_node(&mut self, node: NodeId) -> Result<(), Violation> {
        let Some(home) = self.nodes.get(&node).map(|host| host.home) else { return Ok(()) };
        self.node_deaths += 1;
        self.end_node(node)?;
        self.request_lock(home);
        Ok(())
    }

    /// A letter reaches a node.
    pub(super) fn node_receives(
        &mut self,
        node: NodeId,
        from: ProcessId,
        letter: Letter,
    ) -> Result<(), Violation> {
        self.trace_letter(|| format!("{node:?}"), &letter);
        let (bytes, socket) = match &letter {
            Letter::Channel(bytes) => (bytes, None),
            Letter::Socket(socket, bytes) => {
                let living = self.processes.get(&from).and_then(|process| process.socket);
                if living != Some(*socket) {
                    return Ok(());
                }
                (bytes, Some((from, *socket)))
            }
            Letter::Everyone(bytes) => return self.node_input(node, Input::Heard { bytes }),
            Letter::Cut(socket) => return self.socket_cut(node, (from, *socket)),
            Letter::Reachable => return Ok(()),
        };
        let Ok(message) = Message::parse(bytes) else {
            return violated("wire-is-well-formed", "a client sends nonsense".to_string());
        };
        let (client, nonce) = (message.envelope.client, message.envelope.link);
        let now = match self.nodes.get(&node) {
            Some(host) => self.host_now(host.home),
            None => return Ok(()),
        };
        let parts = Reassembly::new(self.plan.limits.link_bytes_max as usize);
        let Some(host) = self.nodes.get_mut(&node) else { return Ok(()) };
        let conn = match host.conns.get(&(client, nonce)) {
            Some(conn) => *conn,
            None => {
                let conn = host.node.accept(now);
                host.conns.insert((client, nonce), conn);
                host.links.insert(conn, Link { client, nonce, socket, parts });
                conn
            }
        };
        self.node_input(node, Input::Received { conn, bytes })
    }

    fn socket_cut(&mut self, node: NodeId, socket: (ProcessId, Socket)) -> Result<(), Violation> {
        let Some(host) = self.nodes.get(&node) else { return Ok(()) };
        let of_socket = |(_, link): &(&ConnId, &Link)| link.socket == Some(socket);
        let conns: Vec<ConnId> = host.links.iter().filter(of_socket).map(|(id, _)| *id).collect();
        for conn in conns {
            self.forget_conn(node, conn);
            self.node_input(node, Input::Disconnected { conn })?;
        }
        Ok(())
    }

    fn forget_conn(&mut self, node: NodeId, conn: ConnId) {
        let Some(host) = self.nodes.get_mut(&node) else { return };
        if let Some(link) = host.links.remove(&conn) {
            host.conns.remove(&(link.client, link.nonce));
        }
    }

    fn host_now(&self, home: ProcessId) -> crate::time::Now {
        self.now_at(self.realms.get(&home).map_or(0, |realm| realm.origin))
    }

    fn node_input(&mut self, node: NodeId, input: Input<'_>) -> Result<(), Violation> {
        let Some(home) = self.nodes.get(&node).map(|host| host.home) else { return Ok(()) };
        let now = self.host_now(home);
        self.inputs += 1;
        if let Some(host) = self.nodes.get_mut(&node) {
            host.node.handle_input(now, input);
        }
        self.drain_node(node)
    }

    pub(super) fn node_tick(&mut self, node: NodeId, token: u64) -> Result<(), Violation> {
        let Some(host) = self.nodes.get_mut(&node) else { return Ok(()) };
        if host.timer.token != token {
            return Ok(());
        }
        host.timer.at = None;
        self.node_input(node, Input::Tick)
    }

    pub(super) fn node_stored(
        &mut self,
        node: NodeId,
        op: OpId,
        result: StorageResult,
    ) -> Result<(), Violation> {
        self.node_input(node, Input::Stored { op, result })
    }

    pub(super) fn node_present(&mut self, node: NodeId) -> Result<(), Violation> {
        let clients: Vec<ClientId> =
            self.processes.values().filter(|p| !p.closed).map(|p| p.client_id).collect();
        self.node_input(node, Input::Present { clients: &clients })
    }

    pub(super) fn node_gone(&mut self, node: NodeId, client: ClientId) -> Result<(), Violation> {
        let watched = self.nodes.get(&node).is_some_and(|host| host.watched.contains(&client));
        if !watched || !self.processes_of(client).is_empty() {
            return Ok(());
        }
        self.node_input(node, Input::Gone { client })
    }

    /// Performs what a node asks for until it is idle, or dead.
    fn drain_node(&mut self, node: NodeId) -> Result<(), Violation> {
        let mut acted = false;
        loop {
            let Some(host) = self.nodes.get_mut(&node) else { return Ok(()) };
            let output = host.node.poll_output();
            if let Output::Idle { wake_at } = output {
                return self.set_node_timer(node, wake_at, acted);
            }
            if self.is_doomed(node) {
                self.faults.add(Fault::NodeDiedMidway);
                return self.kill_node(node);
            }
            acted = true;
            self.perform_output(node, output)?;
        }
    }

    /// Whether this output is the one before which the node dies.
    fn is_doomed(&mut self, node: NodeId) -> bool {
        match &mut self.doomed {
            Some((doomed, outputs_left)) if *doomed == node => {
                let dies = *outputs_left == 0;
                *outputs_left = outputs_left.saturating_sub(1);
                if dies {
                    self.doomed = None;
                }
                dies
            }
            _ => false,
        }
    }

    fn perform_output(&mut self, node: NodeId, output: Output) -> Result<(), Violation> {
        match output {
            Output::Transmit { conn, bytes } => self.node_transmits(node, conn, bytes),
            Output::Broadcast { bytes } => {
                self.node_broadcasts(node, bytes);
                Ok(())
            }
            Output::Multicast { .. } => unreachable!("a node of a device has no sockets"),
            Output::Storage { op, action } => {
                self.submit(node, op, action);
                Ok(())
            }
            Output::Hangup { conn, code } => {
                self.note(&format!("{node:?} hangs up {} {}", conn.0, code.text()));
                self.forget_conn(node, conn);
                Ok(())
            }
            Output::Zone { zone, from, until } => {
                let list = timetable::offsets(&zone, from, until);
                let offsets = Offsets { list: &list, until };
                let input = Input::Zone { zone: &zone, offsets };
                let home = self.nodes.get(&node).map(|host| host.home);
                let now = home.map(|home| self.host_now(home)).unwrap_or_default();
                self.inputs += 1;
                if let Some(host) = self.nodes.get_mut(&node) {
                    host.node.handle_input(now, input);
                }
                Ok(())
            }
            Output::Event(event) => self.node_event(node, event),
            Output::Idle { .. } => Ok(()),
        }
    }

    fn node_event(&mut self, node: NodeId, event: Event) -> Result<(), Violation> {
        self.note(&format!("{node:?} says {event:?}"));
        match event {
            Event::Woken { .. } => Ok(()),
            Event::Ready { epoch, .. } => {
                let after = self.dice.between(10, 20 * MILLI);
                self.schedule.after(after, Action::Present { node });
                self.observe(&Fact::Serves { node, epoch })?;
                self.check_recovery()
            }
            Event::Watch { client } => {
                if let Some(host) = self.nodes.get_mut(&node) {
                    host.watched.insert(client);
                }
                if self.processes_of(client).is_empty() {
                    self.schedule.after(MILLI, Action::Gone { node, client });
                }
                Ok(())
            }
            Event::Unwatch { client } => {
                if let Some(host) = self.nodes.get_mut(&node) {
                    host.watched.remove(&client);
                }
                Ok(())
            }
            Event::Over { code, reason } => self.node_over(node, code, reason),
            Event::StorageFull { full } => {
                self.filled_up += u64::from(full);
                self.had_room += u64::from(!full);
                Ok(())
            }
            Event::Drained => self.lock_broken(node),
            // Nobody grants here, and clients are told of losses themselves.
            Event::Renewal { .. } | Event::SendsLost { .. } => Ok(()),
        }
    }

    /// The node gives up. Its tab may try again a little later.
    fn node_over(&mut self, node: NodeId, code: Code, reason: &str) -> Result<(), Violation> {
        if matches!(reason, "missing chunk" | "corruption" | "format") {
            let what = format!("node {} gives up over a good disk: {reason}", node.0);
            return violated("recovery-succeeds", what);
        }
        if code == Code::Unavailable {
            self.faults.add(Fault::NodeFenced);
        }
        let Some(home) = self.nodes.get(&node).map(|host| host.home) else { return Ok(()) };
        self.end_node(node)?;
        self.request_lock(home);
        Ok(())
    }

    fn set_node_timer(
        &mut self,
        node: NodeId,
        wake_at: Option<crate::time::Instant>,
        acted: bool,
    ) -> Result<(), Violation> {
        let Some(home) = self.nodes.get(&node).map(|host| host.home) else { return Ok(()) };
        let Some(realm) = self.realms.get(&home) else { return Ok(()) };
        let origin = realm.origin;
        let late = self.dice.between(0, realm.hidden.unwrap_or(2 * MILLI));
        let now = self.schedule.now();
        let Some(host) = self.nodes.get_mut(&node) else { return Ok(()) };
        let set = set_timer(&mut host.timer, wake_at, origin, now, acted)?;
        if let Some((at, token)) = set {
            self.schedule.at(at + late, Action::NodeTimer { node, token });
        }
        Ok(())
    }

    /// A timer that was held back comes now.
    pub(super) fn catch_up_node(&mut self, node: NodeId) {
        let Some(host) = self.nodes.get(&node) else { return };
        let token = host.timer.token;
        if host.timer.at.is_some() {
            self.schedule.after(0, Action::NodeTimer { node, token });
        }
    }

    /// Asks a node to hand over as planned.
    pub(super) fn hand_over(&mut self, node: NodeId) -> Result<(), Violation> {
        self.node_input(node, Input::Drain)
    }

    /// A process with a socket reaches for the node that serves.
    pub(super) fn redial(&mut self, process: ProcessId) -> Result<(), Violation> {
        let now = self.schedule.now();
        let Some(dialing) = self.processes.get(&process).filter(|p| p.socket.is_none()) else {
            return Ok(());
        };
        let open = !self.network.is_partitioned(now, process);
        let home_open = |host: &NodeHost| !self.network.is_partitioned(now, host.home);
        let reachable = self.nodes.iter().rev().find(|(_, host)| {
            host.node.epoch().is_some() && (host.home == process || (open && home_open(host)))
        });
        let serial = dialing.sockets + 1;
        let Some((node, _)) = reachable else {
            self.schedule.after(100 * MILLI, Action::Redial { process });
            return Ok(());
        };
        let socket = Socket { node: *node, serial };
        if let Some(dialing) = self.processes.get_mut(&process) {
            dialing.sockets = serial;
            dialing.socket = Some(socket);
        }
        self.receive(process, Letter::Reachable)
    }
}

/// Sets a timer to a new wish. Gives when it fires and its token, unless the wish is the same.
pub fn set_timer(
    timer: &mut Timer,
    wake_at: Option<crate::time::Instant>,
    origin: Micros,
    now: Micros,
    acted: bool,
) -> Result<Option<(Micros, u64)>, Violation> {
    let due = wake_at.is_some_and(|at| at.0 <= origin + now);
    timer.idle_ticks = if due && !acted { timer.idle_ticks + 1 } else { 0 };
    if timer.idle_ticks > IDLE_TICKS_MAX {
        return violated("timers-advance", "a core asks to be woken now, and does nothing".into());
    }
    // A wish that is due moves along with the time: the timer that was set for it will do.
    let will_do = |set: crate::time::Instant| wake_at.is_some_and(|at| set <= at);
    let pending = if due { timer.at.is_some_and(will_do) } else { wake_at == timer.at };
    if pending {
        return Ok(None);
    }
    timer.token += 1;
    timer.at = wake_at;
    Ok(wake_at.map(|at| (at.0.saturating_sub(origin).max(now + 1), timer.token)))
}
