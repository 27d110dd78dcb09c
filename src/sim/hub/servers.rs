//! Processes of the hub: they start, stand still, die and take over from each other.
//!
//! The fault model. A process of the hub may die between two inputs, after any effect of one, or
//! around a write that rewrites the log; it may stand still; another may be started over the same
//! disk while it lives, behind some of the doors, and the fence decides whose log it is.

use alloc::format;
use alloc::vec::Vec;

use crate::client::{Client, ClientConfig};
use crate::error::Code;
use crate::id::{ClientId, Epoch, OpId};
use crate::log::Record;
use crate::options::HostKind;
use crate::sim::check::{Violation, violated};
use crate::sim::damage;
use crate::sim::dice::Ratio;
use crate::sim::disk::Accepted;
use crate::sim::fact::{Fact, NodeId, ProcessId};
use crate::sim::fault::Fault;
use crate::sim::hub::pages::IDLE_TICKS_MAX;
use crate::sim::hub::sleep::Sleep;
use crate::sim::hub::{Action, HubWorld, Timer};
use crate::sim::run::Watch;
use crate::sim::schedule::{MILLI, Micros, SECOND};
use crate::sim::timetable;
use crate::sim::world::{STORAGE, read_records};
use crate::store::{StorageAction, StorageResult};
use crate::time::Now;
use crate::web::io::{self, Effect, Notice};
use crate::web::realm::{NodeAt, Realm, RealmConfig};
use crate::web::sockets::SocketId;
use crate::web::worker::Part;

/// One process of the hub.
#[derive(Debug)]
pub(super) struct Server {
    pub realm: Realm,
    pub origin: Micros,
    pub timer: Timer,
    pub frozen: bool,
    pub sleep: Sleep,
    pub held: Vec<Action>,
    pub node: Option<NodeId>,
    /// The epoch under which it serves.
    pub serves: Option<Epoch>,
}

impl HubWorld {
    pub(super) fn start_hub_if_none(&mut self) -> Result<(), Violation> {
        if self.servers.is_empty() { self.start_hub() } else { Ok(()) }
    }

    /// Another process begins, behind some of the doors.
    pub(super) fn start_hub(&mut self) -> Result<(), Violation> {
        let hub = self.take_process_id();
        let origin = self.dice.between(0, 1000 * SECOND);
        let client = ClientId(self.dice.bytes16());
        let realm = self.hub_realm(client, origin);
        let (timer, held, sleep) = (Timer::default(), Vec::new(), Sleep::Awake);
        let (frozen, node, serves) = (false, None, None);
        let server = Server { realm, origin, timer, frozen, sleep, held, node, serves };
        self.servers.insert(hub, server);
        self.start_realm(hub)
    }

    /// What a process of the hub runs; `client` is its own.
    pub(super) fn hub_realm(&mut self, client: ClientId, origin: Micros) -> Realm {
        let seeds = [self.dice.seed(), self.dice.seed()];
        let limits = self.hub_plan.plan.limits.clone();
        let rules = self.rules;
        let config = ClientConfig {
            client,
            limits: limits.clone(),
            rules,
            keepsake: None,
            peer: Vec::new(),
        };
        let now = self.now_at(origin);
        let own = Client::new(config, seeds[0], now);
        let config = RealmConfig {
            client,
            limits,
            rules,
            visible: true,
            part: Part::Whole,
            node_at: NodeAt::Here,
            kind: HostKind::Hub,
            persistent: true,
            alone: true,
            guest: false,
            naps: self.hub_plan.naps,
        };
        Realm::new(config, own, seeds[1])
    }

    pub(super) fn start_realm(&mut self, hub: ProcessId) -> Result<(), Violation> {
        let now = self.hub_now(hub);
        if let Some(server) = self.servers.get_mut(&hub) {
            server.realm.start(now);
        }
        self.drain_hub(hub)
    }

    /// A process of the hub is gone without a word; what it said before may still arrive.
    pub(super) fn end_hub(&mut self, hub: ProcessId) -> Result<(), Violation> {
        if let Some(node) = self.servers.remove(&hub).and_then(|server| server.node) {
            self.end_node(node)?;
        }
        let own = self.links.iter().filter(|(_, link)| link.hub == hub);
        for socket in own.map(|(socket, _)| *socket).collect::<Vec<_>>() {
            let cut_at = self.schedule.now() + self.dice.between(0, 20 * MILLI);
            if self.dice.index(2) == 0 {
                if let Some(link) = self.links.get_mut(&socket) {
                    link.down.cut(cut_at);
                }
                let after = self.dice.between(20 * MILLI, 2 * SECOND);
                self.page_gives_up(socket, after);
            }
            self.end_at_hub(socket, None);
        }
        let after = self.dice.between(100 * MILLI, 5 * SECOND);
        self.schedule.after(after, Action::StartHub);
        Ok(())
    }

    fn end_node(&mut self, node: NodeId) -> Result<(), Violation> {
        self.nodes.remove(&node);
        for accepted in self.disk.abandon(node, &mut self.faults) {
            self.accept(node, &accepted)?;
        }
        self.observe(&Fact::NodeEnded { node })?;
        self.check_recovery()
    }

    /// It dies by a fault.
    pub(super) fn kill_hub(&mut self, hub: ProcessId) -> Result<(), Violation> {
        self.node_deaths += u64::from(self.servers.contains_key(&hub));
        self.end_hub(hub)
    }

    pub(super) fn hub_now(&self, hub: ProcessId) -> Now {
        self.now_at(self.servers.get(&hub).map_or(0, |server| server.origin))
    }

    pub(super) fn hub_fact(&mut self, hub: ProcessId, fact: io::Fact) -> Result<(), Violation> {
        let now = self.hub_now(hub);
        self.note_fact(hub, &fact);
        self.inputs += u64::from(!matches!(fact, io::Fact::Tick));
        let Some(server) = self.servers.get_mut(&hub) else { return Ok(()) };
        server.realm.handle(now, fact);
        self.drain_hub(hub)
    }

    pub(super) fn hub_tick(&mut self, hub: ProcessId, token: u64) -> Result<(), Violation> {
        let now = self.hub_now(hub);
        let Some(woken) = self.servers.get_mut(&hub).filter(|s| s.timer.token == token) else {
            return Ok(());
        };
        woken.timer.at = None;
        if woken.realm.wake_at().is_none_or(|at| at > now.mono) {
            self.arm_hub(hub);
            return Ok(());
        }
        woken.timer.idle_ticks += 1;
        if woken.timer.idle_ticks > IDLE_TICKS_MAX {
            let what = "a hub asks to be woken now, and does nothing".into();
            return violated("timers-advance", what);
        }
        self.hub_fact(hub, io::Fact::Tick)
    }

    /// Performs what a hub asks for until it is idle, or dead.
    fn drain_hub(&mut self, hub: ProcessId) -> Result<(), Violation> {
        let now = self.hub_now(hub);
        let Some(server) = self.servers.get_mut(&hub) else { return Ok(()) };
        let effects = server.realm.take_effects(now);
        let waits = server.realm.wake_at().is_none_or(|at| at > now.mono);
        if !effects.is_empty() || waits {
            server.timer.idle_ticks = 0;
        }
        let serves = server.realm.broker().map(crate::broker::Broker::epoch);
        if serves.is_none() && server.sleep != Sleep::Waking {
            // It replays its log under the same epoch, and serves anew after that.
            server.serves = None;
        }
        if let Some((epoch, node)) = serves.filter(|_| server.serves != serves).zip(server.node) {
            server.serves = serves;
            self.observe(&Fact::Serves { node, epoch })?;
            self.check_recovery()?;
        }
        for effect in effects {
            if self.is_doomed(hub) {
                self.faults.add(Fault::NodeDiedMidway);
                return self.kill_hub(hub);
            }
            self.hub_effect(hub, effect)?;
        }
        self.arm_hub(hub);
        self.may_fall_asleep(hub);
        self.is_awake(hub);
        Ok(())
    }

    /// Whether this effect is the one before which the hub dies.
    fn is_doomed(&mut self, hub: ProcessId) -> bool {
        let Some((_, left)) = self.doomed.as_mut().filter(|(doomed, _)| *doomed == hub) else {
            return false;
        };
        let dies = *left == 0;
        *left = left.saturating_sub(1);
        if dies {
            self.doomed = None;
        }
        dies
    }

    fn arm_hub(&mut self, hub: ProcessId) {
        let now = self.schedule.now();
        let Some(armed) = self.servers.get_mut(&hub) else { return };
        if armed.sleep == Sleep::Asleep {
            return;
        }
        if let Some((at, token)) = armed.timer.arm(armed.realm.wake_at(), armed.origin, now) {
            let late = self.dice.between(0, 2 * MILLI);
            self.schedule.at(at + late, Action::HubTimer { hub, token });
        }
    }

    fn hub_effect(&mut self, hub: ProcessId, effect: Effect) -> Result<(), Violation> {
        match effect {
            Effect::ToSockets { sockets, bytes } => self.hub_says(hub, &sockets, &bytes),
            Effect::CloseSocket { socket, code } => {
                if code == Code::NotAuthorized {
                    self.faults.add(Fault::GrantExpired);
                }
                self.end_at_hub(socket, Some(code));
                Ok(())
            }
            Effect::RequestLock { .. } => {
                let fact = io::Fact::LockGranted;
                self.schedule.after(MILLI, Action::AtHub { hub, fact });
                Ok(())
            }
            Effect::BeginHosting(tenure) => {
                let node = self.node_for(hub);
                self.nodes.insert(node, (hub, tenure));
                if let Some(server) = self.servers.get_mut(&hub) {
                    server.node = Some(node);
                }
                let fact = io::Fact::StorageOpened { tenure, report: STORAGE };
                self.schedule.after(MILLI, Action::AtHub { hub, fact });
                Ok(())
            }
            Effect::EndHosting => self.hosting_ended(hub),
            Effect::Perform { op, action, .. } => {
                self.submit(hub, op, action);
                Ok(())
            }
            Effect::AskZone { tenure, zone, from, until } => {
                let offsets = timetable::offsets(&zone, from, until);
                let fact = io::Fact::Zone { tenure, zone, offsets, until };
                self.schedule.after(0, Action::AtHub { hub, fact });
                Ok(())
            }
            Effect::Tell(notice) => self.hub_tells(hub, &notice),
            _ => Ok(()),
        }
    }

    /// One that wakes goes on as the same: nobody is to see that it is another.
    fn node_for(&mut self, hub: ProcessId) -> NodeId {
        let waking = self.servers.get(&hub).filter(|server| server.sleep == Sleep::Waking);
        waking.and_then(|server| server.node).unwrap_or_else(|| {
            let node = self.next_node;
            self.next_node = NodeId(node.0 + 1);
            node
        })
    }

    fn hub_says(
        &mut self,
        hub: ProcessId,
        sockets: &[SocketId],
        bytes: &[u8],
    ) -> Result<(), Violation> {
        self.mix(3, bytes);
        self.observe_frames(hub, bytes)?;
        sockets.iter().for_each(|socket| self.send_down(*socket, bytes));
        Ok(())
    }

    fn hosting_ended(&mut self, hub: ProcessId) -> Result<(), Violation> {
        let Some(server) = self.servers.get_mut(&hub) else { return Ok(()) };
        server.serves = None;
        match server.node.take() {
            Some(node) => self.end_node(node),
            None => Ok(()),
        }
    }

    fn hub_tells(&mut self, hub: ProcessId, notice: &Notice) -> Result<(), Violation> {
        self.note(&format!("{hub:?} says {notice:?}"));
        match notice {
            Notice::StorageFull(full) => {
                self.filled_up += u64::from(*full);
                self.had_room += u64::from(!*full);
                Ok(())
            }
            Notice::Error {
                reason: reason @ ("missing chunk" | "corruption" | "format"), ..
            } => {
                let what = format!("hub {} gives up over a good disk: {reason}", hub.0);
                violated("recovery-succeeds", what)
            }
            Notice::Error { code, .. } => {
                if *code == Code::Unavailable {
                    self.faults.add(Fault::NodeFenced);
                }
                // It is over, and its process ends.
                self.end_hub(hub)
            }
            _ => Ok(()),
        }
    }

    fn submit(&mut self, hub: ProcessId, op: OpId, action: StorageAction) {
        let Some(node) = self.servers.get(&hub).and_then(|server| server.node) else { return };
        self.mix(5, &op.0.to_le_bytes());
        if let StorageAction::Commit { puts, .. } = &action {
            for (_, bytes) in puts {
                self.mix(6, bytes);
            }
        }
        if let Some(after) = self.disk.submit(node, op, action, &mut self.faults) {
            self.schedule.after(after, Action::Perform { node });
        }
    }

    /// The disk performs the next operation of a node, whose process may stand still.
    pub(super) fn perform(&mut self, node: NodeId) -> Result<(), Violation> {
        let Some((hub, _)) = self.nodes.get(&node).copied() else { return Ok(()) };
        let dies = !self.calm
            && self.disk.rewrites_next(node)
            && self.fault_dice.chance(self.hub_plan.plan.died_rewriting)
            && self.faults.occurs(Fault::NodeDiedRewriting);
        if dies && self.fault_dice.chance(Ratio::one_in(2)) {
            return self.kill_hub(hub);
        }
        let now = self.schedule.now();
        let Some(done) = self.disk.perform(now, node, &mut self.faults) else { return Ok(()) };
        if let Some(accepted) = done.accepted {
            self.accept(node, &accepted)?;
        }
        if dies {
            return self.kill_hub(hub);
        }
        let (op, result) = (done.op, done.result);
        self.schedule.after(done.answer_after, Action::Stored { node, op, result });
        if let Some(after) = done.next_after {
            self.schedule.after(after, Action::Perform { node });
        }
        Ok(())
    }

    pub(super) fn node_stored(
        &mut self,
        node: NodeId,
        op: OpId,
        result: StorageResult,
    ) -> Result<(), Violation> {
        let Some((hub, tenure)) = self.nodes.get(&node).copied() else { return Ok(()) };
        self.hub_fact(hub, io::Fact::Stored { tenure, op, result })
    }

    /// A write is on the disk: the model follows.
    fn accept(&mut self, node: NodeId, accepted: &Accepted) -> Result<(), Violation> {
        let epoch = accepted.epoch;
        let records = !accepted.chunks.is_empty();
        self.observe(&Fact::Accepted { node, epoch, records })?;
        self.checkpoints += u64::from(accepted.checkpoint);
        self.chunks_deleted += accepted.chunks_deleted;
        if self.watch == Watch::Outputs {
            return Ok(());
        }
        for (_, bytes) in &accepted.chunks {
            let records = read_records(bytes)?;
            for (place, record) in &records {
                self.moves += u64::from(matches!(record, Record::Moved { .. }));
                self.model.apply(*place, record)?;
            }
            self.model.forget_what_is_over();
            self.observe(&Fact::Stored { node, epoch, records: &records })?;
        }
        Ok(())
    }

    /// Whatever happens to nodes, the disk holds what the model says.
    pub(super) fn check_recovery(&self) -> Result<(), Violation> {
        if self.watch == Watch::Outputs {
            return Ok(());
        }
        let limits = &self.hub_plan.plan.limits;
        damage::recovers(self.disk.store(), &self.model, limits, self.rules)
    }
}
