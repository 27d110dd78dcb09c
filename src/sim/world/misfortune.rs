//! Faults that come at a time, and their end.
//!
//! The fault model of processes. A page may **die** with all it holds, **reload** with the little
//! that a page may keep, **freeze** and go on later with everything that came meanwhile, or be
//! **parked** in the cache of the browser and come back, or be thrown out of it. A node **dies**
//! between two inputs or after any of its outputs, alone or with its page; it **freezes** with its
//! page, and if another took over meanwhile it goes on **fenced**. The lock may be **stolen** from
//! a node that lives. The wall clock **jumps**, either way; the other clock never does.

use alloc::vec::Vec;

use crate::sim::check::Violation;
use crate::sim::dice::Ratio;
use crate::sim::fact::{Fact, NodeId, ProcessId};
use crate::sim::fault::Fault;
use crate::sim::run::Watch;
use crate::sim::schedule::{MILLI, SECOND};
use crate::sim::user::Chore;
use crate::sim::world::mail::Letter;
use crate::sim::world::storage::replayed;
use crate::sim::world::{Action, World};

/// The longest jump of the wall clock, either way.
const WALL_JUMP_MS_MAX: u64 = 30_000;

impl World {
    /// One fault occurs, and the next is planned.
    pub(super) fn misfortune(&mut self) -> Result<(), Violation> {
        if self.calm {
            return Ok(());
        }
        let after = self.fault_dice.between(50 * MILLI, self.plan.fault_every_max);
        self.schedule.after(after, Action::Misfortune);
        let mut weights: Vec<u32> = self.plan.timed.iter().map(|(_, weight)| *weight).collect();
        weights.push(self.plan.uneventful);
        let drawn = self.plan.timed.get(self.fault_dice.weighted(&weights));
        let Some((fault, _)) = drawn.copied().filter(|(fault, _)| !self.faults.is_off(*fault))
        else {
            return Ok(());
        };
        match fault {
            Fault::LinkCut => self.cut_a_link(),
            Fault::DiskFull => {
                self.faults.add(fault);
                let time = self.fault_dice.between(50 * MILLI, 3 * SECOND);
                self.disk.fill(self.schedule.now() + time);
                Ok(())
            }
            Fault::TailLost => self.lose_tail(),
            Fault::NodeDied | Fault::NodeDiedMidway | Fault::NodeFrozen => self.hit_node(fault),
            Fault::LockStolen => self.steal_from_the_living(),
            Fault::WallJumpedAhead | Fault::WallJumpedBack => {
                self.faults.add(fault);
                let by_ms = self.fault_dice.between(1, WALL_JUMP_MS_MAX).cast_signed();
                let by_ms = if fault == Fault::WallJumpedBack { -by_ms } else { by_ms };
                self.walls.jump(self.schedule.now(), by_ms);
                Ok(())
            }
            _ => self.hit_page(fault),
        }
    }

    /// A page that runs, drawn at random.
    fn some_page(&mut self) -> Option<ProcessId> {
        let frozen = |id: &ProcessId| self.realms.get(id).is_none_or(|realm| realm.frozen);
        let runs = |(id, page): &(&ProcessId, &super::processes::Process)| {
            !frozen(id) && !page.parked && !page.closed && page.guest_of.is_none()
        };
        let pages: Vec<ProcessId> = self.processes.iter().filter(runs).map(|(id, _)| *id).collect();
        (!pages.is_empty()).then(|| *self.fault_dice.choose(&pages))
    }

    fn some_node(&mut self) -> Option<(NodeId, ProcessId)> {
        let nodes: Vec<(NodeId, ProcessId)> =
            self.nodes.iter().map(|(id, host)| (*id, host.home)).collect();
        (!nodes.is_empty()).then(|| *self.fault_dice.choose(&nodes))
    }

    fn hit_page(&mut self, fault: Fault) -> Result<(), Violation> {
        let Some(page) = self.some_page() else { return Ok(()) };
        let hosts = self.realms.get(&page).is_some_and(|realm| realm.node.is_some());
        self.faults.add(fault);
        match fault {
            Fault::ClientDied | Fault::ClientReloaded => {
                self.node_deaths += u64::from(hosts);
                self.replace(page, fault == Fault::ClientReloaded)
            }
            Fault::ClientFrozen => {
                let time = self.fault_dice.between(100 * MILLI, 6 * SECOND);
                self.freeze(page, time)
            }
            Fault::ClientParked => {
                self.park(page)?;
                let after = self.fault_dice.between(50 * MILLI, 5 * SECOND);
                let chore = Chore::Unpark;
                self.schedule.after(after, Action::Chore { process: page, chore });
                Ok(())
            }
            Fault::PageEvicted => {
                self.park(page)?;
                let after = self.fault_dice.between(0, 5 * SECOND);
                self.schedule.after(after, Action::Discard { process: page });
                Ok(())
            }
            Fault::PageDiscarded => {
                let time = self.fault_dice.between(100 * MILLI, 6 * SECOND);
                self.schedule.after(time, Action::Discard { process: page });
                self.freeze(page, time + MILLI)
            }
            Fault::PageHidden => {
                let time = self.fault_dice.between(SECOND, 20 * SECOND);
                self.hide(page, time)
            }
            Fault::Partitioned => {
                let time = self.fault_dice.between(100 * MILLI, 6 * SECOND);
                let until = self.schedule.now() + time;
                self.network.partition(page, until);
                self.observe(&Fact::Partitioned { process: page, until })
            }
            _ => unreachable!("the others hit no page"),
        }
    }

    fn hit_node(&mut self, fault: Fault) -> Result<(), Violation> {
        let Some((node, home)) = self.some_node() else { return Ok(()) };
        match fault {
            Fault::NodeDiedMidway => {
                let outputs = u32::try_from(self.fault_dice.between(0, 30)).unwrap_or(0);
                self.doomed = Some((node, outputs));
                Ok(())
            }
            Fault::NodeFrozen => {
                if self.realms.get(&home).is_none_or(|realm| realm.frozen) {
                    return Ok(());
                }
                self.faults.add(fault);
                let time = self.fault_dice.between(SECOND, 12 * SECOND);
                self.freeze(home, time)
            }
            _ => {
                self.faults.add(fault);
                if self.fault_dice.chance(Ratio::one_in(2)) {
                    return self.kill_node(node);
                }
                self.node_deaths += 1;
                let kept = self.fault_dice.chance(Ratio::one_in(2));
                let page = self.realms.get(&home).and_then(|realm| realm.starter).unwrap_or(home);
                self.replace(page, kept)
            }
        }
    }

    fn cut_a_link(&mut self) -> Result<(), Violation> {
        let sockets: Vec<_> = self
            .processes
            .iter()
            .filter_map(|(id, page)| page.socket.map(|socket| (*id, socket)))
            .collect();
        if sockets.is_empty() {
            return Ok(());
        }
        let (process, socket) = *self.fault_dice.choose(&sockets);
        self.faults.add(Fault::LinkCut);
        let letter = Letter::Cut(socket);
        let node = socket.node;
        self.schedule.after(0, Action::ToClient { process, letter: letter.clone() });
        let seen_after = self.fault_dice.between(0, 100 * MILLI);
        self.schedule.after(seen_after, Action::ToNode { node, from: process, letter });
        let away = self.fault_dice.chance(Ratio::one_in(4));
        let back_after = self.fault_dice.between(MILLI, if away { 14 } else { 2 } * SECOND);
        self.schedule.after(back_after, Action::Redial { process });
        let until = self.schedule.now() + back_after;
        if !away {
            return Ok(());
        }
        // Perhaps for so long that its session is given up.
        self.network.partition(process, until);
        self.observe(&Fact::Partitioned { process, until })
    }

    fn steal_from_the_living(&mut self) -> Result<(), Violation> {
        let Some(thief) = self.some_page() else { return Ok(()) };
        if self.lock.holder() == Some(thief) || self.nodes.is_empty() {
            return Ok(());
        }
        self.faults.add(Fault::LockStolen);
        self.steal_lock(thief)
    }

    /// Power is lost, or the store's process crashed: all nodes die, and what was not flushed may
    /// be gone. Pages die, too, or go on.
    fn lose_tail(&mut self) -> Result<(), Violation> {
        let nodes: Vec<NodeId> = self.nodes.keys().copied().collect();
        for node in nodes {
            self.kill_node(node)?;
        }
        if !self.disk.lose_tail(&mut self.faults) {
            return Ok(());
        }
        if self.watch != Watch::Outputs {
            self.roll_back_model()?;
        }
        if self.fault_dice.chance(Ratio::one_in(3)) {
            let pages: Vec<ProcessId> = self.processes.keys().copied().collect();
            for page in pages {
                let kept = self.fault_dice.chance(Ratio::one_in(2));
                self.replace(page, kept)?;
            }
        }
        Ok(())
    }

    /// The model forgets what the disk lost.
    fn roll_back_model(&mut self) -> Result<(), Violation> {
        let after = replayed(&self.disk)?;
        let before = core::mem::replace(&mut self.model, after.clone());
        self.observe(&Fact::TailLost { before: &before, after: &after })
    }

    /// No fault occurs from here on, and what is under way ends.
    pub(super) fn heal(&mut self) -> Result<(), Violation> {
        self.calm = true;
        self.doomed = None;
        self.network.heal();
        self.disk.heal();
        let realms: Vec<ProcessId> = self.realms.keys().copied().collect();
        for realm in realms {
            self.thaw(realm)?;
            self.show(realm)?;
            self.unpark(realm)?;
        }
        self.observe(&Fact::Healed)
    }
}
