//! Realms: what runs by itself, stands still by itself and may host a node. Each page is one, and
//! so is a worker, which has no client and is gone with the page that started it.

use alloc::vec::Vec;

use crate::id::Epoch;
use crate::sim::check::Violation;
use crate::sim::fact::{Fact, NodeId, ProcessId};
use crate::sim::fault::Fault;
use crate::sim::plan::Hosts;
use crate::sim::schedule::{MILLI, Micros, SECOND};
use crate::sim::world::{Action, World};

/// How late the timers of a page out of view are: at first, and where the browser is strict.
const HIDDEN_LATE_MAX: [Micros; 2] = [SECOND, 60 * SECOND];

#[derive(Debug)]
pub struct Realm {
    /// The zero of its clock.
    pub origin: Micros,
    pub frozen: bool,
    /// What came while it was frozen.
    pub held: Vec<Action>,
    pub node: Option<NodeId>,
    /// The highest epoch it met.
    pub heard: Epoch,
    /// Of a worker, the page that started it.
    pub starter: Option<ProcessId>,
    /// How late its timers may be while it is out of view.
    pub hidden: Option<Micros>,
}

impl Realm {
    pub fn new(origin: Micros, starter: Option<ProcessId>) -> Self {
        let (held, heard) = (Vec::new(), Epoch::default());
        Self { origin, frozen: false, held, node: None, heard, starter, hidden: None }
    }
}

impl World {
    /// A page begins: it starts the worker that is to host, if there is one to start.
    pub(super) fn start_worker(&mut self, starter: ProcessId) {
        let another = match self.plan.hosts {
            Hosts::Pages => return,
            Hosts::OwnWorkers => self.workers_of(starter).is_empty(),
            Hosts::SharedWorker => self.realms.values().all(|realm| realm.starter.is_none()),
        };
        if another {
            let worker = self.take_process_id();
            let origin = self.dice.between(0, 1000 * SECOND);
            self.realms.insert(worker, Realm::new(origin, Some(starter)));
            self.request_lock(worker);
        }
    }

    fn workers_of(&self, page: ProcessId) -> Vec<ProcessId> {
        let started = self.realms.iter().filter(|(_, realm)| realm.starter == Some(page));
        started.map(|(id, _)| *id).collect()
    }

    /// The workers that a page started are gone with it.
    pub(super) fn end_workers_of(&mut self, page: ProcessId) -> Result<(), Violation> {
        for worker in self.workers_of(page) {
            if let Some(node) = self.realms.get(&worker).and_then(|realm| realm.node) {
                self.faults.add(Fault::WorkerDied);
                self.node_deaths += 1;
                self.end_node(node)?;
            }
            self.realms.remove(&worker);
            self.release_lock(worker);
        }
        Ok(())
    }

    /// The node that a page hosts, be it in its worker.
    pub(super) fn hosted_by(&self, page: ProcessId) -> Option<NodeId> {
        let mut realms = self.realms.iter();
        let own = |id: &ProcessId, starter| *id == page || starter == Some(page);
        realms.find_map(|(id, realm)| realm.node.filter(|_| own(id, realm.starter)))
    }

    /// A realm stands still, a page with the workers of its own.
    pub(super) fn freeze(&mut self, process: ProcessId, time: Micros) -> Result<(), Violation> {
        if self.plan.hosts == Hosts::OwnWorkers {
            for worker in self.workers_of(process) {
                self.freeze_one(worker, time)?;
            }
        }
        for guest in self.guests_of(process) {
            self.freeze_one(guest, time)?;
        }
        self.freeze_one(process, time)
    }

    fn freeze_one(&mut self, process: ProcessId, time: Micros) -> Result<(), Violation> {
        let Some(frozen) = self.realms.get_mut(&process) else { return Ok(()) };
        frozen.frozen = true;
        self.schedule.after(time, Action::Thaw { process });
        self.observe(&Fact::Froze { process })
    }

    /// A frozen realm goes on: everything that came meanwhile happens now.
    pub(super) fn thaw(&mut self, process: ProcessId) -> Result<(), Violation> {
        let Some(thawed) = self.realms.get_mut(&process).filter(|realm| realm.frozen) else {
            return Ok(());
        };
        thawed.frozen = false;
        self.faults.add(Fault::PageThawed);
        for action in core::mem::take(&mut thawed.held) {
            let late = matches!(action, Action::LockBroken { .. });
            let after = if late { self.dice.between(0, 30 * MILLI) } else { 0 };
            self.schedule.after(after, action);
        }
        self.observe(&Fact::Thawed { process })
    }

    /// A page that stands still or lies in the cache is thrown away, and its tab goes on later.
    pub(super) fn discard(&mut self, process: ProcessId) -> Result<(), Violation> {
        let frozen = self.realms.get(&process).is_some_and(|realm| realm.frozen);
        let parked = self.processes.get(&process).is_some_and(|page| page.parked);
        if frozen || parked { self.replace(process, true) } else { Ok(()) }
    }

    /// A page goes out of view.
    pub(super) fn hide(&mut self, process: ProcessId, time: Micros) -> Result<(), Violation> {
        let late = *self.fault_dice.choose(&HIDDEN_LATE_MAX);
        let Some(realm) = self.realms.get_mut(&process) else { return Ok(()) };
        realm.hidden = Some(late);
        self.schedule.after(time, Action::Show { process });
        self.observe(&Fact::Hidden { process })?;
        self.tell_visible(process, false)
    }

    /// It comes into view, and its timers catch up.
    pub(super) fn show(&mut self, process: ProcessId) -> Result<(), Violation> {
        let Some(realm) = self.realms.get_mut(&process) else { return Ok(()) };
        if realm.hidden.take().is_none() {
            return Ok(());
        }
        self.faults.add(Fault::PageShown);
        let node = realm.node;
        self.observe(&Fact::Shown { process })?;
        if let Some(node) = node {
            self.catch_up_node(node);
        }
        self.catch_up_client(process);
        self.tell_visible(process, true)
    }
}
