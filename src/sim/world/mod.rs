//! One simulated world: tabs, nodes, one disk, the ways between them, and a clock that only moves
//! when nothing is left to do. Everything in it follows from the seed.

mod hosts;
mod mail;
mod misfortune;
mod outbox;
mod processes;
mod realms;
mod storage;

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use xxhash_rust::xxh64::Xxh64;

use crate::client::io::Keepsake;
use crate::id::{ClientId, Epoch, OpId};
use crate::rules::Rules;
use crate::sim::check::{Checkers, View, Violation, violated};
use crate::sim::cut::Cut;
use crate::sim::dice::Dice;
use crate::sim::disk::Disk;
use crate::sim::fact::{Fact, NodeId, ProcessId};
use crate::sim::fault::FaultCounts;
use crate::sim::lock::Lock;
use crate::sim::model::Model;
use crate::sim::network::Network;
use crate::sim::outbox::{Shelf, Write};
use crate::sim::plan::{self, Plan};
use crate::sim::run::{Run, Watch};
use crate::sim::schedule::{MILLI, Micros, SECOND, Schedule};
use crate::sim::user::Chore;
use crate::sim::walls::Walls;
use crate::store::StorageResult;
use crate::time::{Instant, Now};

use hosts::NodeHost;
pub use hosts::STORAGE;
use mail::Letter;
pub use mail::frames_in_words;
use processes::Process;
use realms::Realm;
pub use storage::{read_records, replayed};

/// Ticks without any time passing or anything else happening, before we call it a spin.
const IDLE_TICKS_MAX: u32 = 100;

/// Something to come.
#[derive(Debug)]
enum Action {
    ToClient {
        process: ProcessId,
        letter: Letter,
    },
    ToNode {
        node: NodeId,
        from: ProcessId,
        letter: Letter,
    },
    ClientTimer {
        process: ProcessId,
        token: u64,
    },
    NodeTimer {
        node: NodeId,
        token: u64,
    },
    Chore {
        process: ProcessId,
        chore: Chore,
    },
    /// The disk performs the next operation of this node.
    Perform {
        node: NodeId,
    },
    Stored {
        node: NodeId,
        op: OpId,
        result: StorageResult,
    },
    LockGranted {
        process: ProcessId,
    },
    LockBroken {
        node: NodeId,
    },
    /// The node's host lists who is there.
    Present {
        node: NodeId,
    },
    /// The node's host notices that the lock of a client is free.
    Gone {
        node: NodeId,
        client: ClientId,
    },
    Begin {
        tab: usize,
        keepsake: Option<Keepsake>,
    },
    Thaw {
        process: ProcessId,
    },
    /// A page that stands still or lies in the cache is thrown away.
    Discard {
        process: ProcessId,
    },
    Show {
        process: ProcessId,
    },
    /// The page of a closed client goes.
    Close {
        process: ProcessId,
    },
    /// A process with a socket tries to reach a node.
    Redial {
        process: ProcessId,
    },
    /// The first write that a page has under way in its outbox is performed.
    WriteDown {
        process: ProcessId,
    },
    /// The page hears of it.
    WrittenDown {
        process: ProcessId,
        write: Write,
    },
    /// Somebody looks for what a client left in its outbox.
    Sweep {
        client: ClientId,
    },
    Misfortune,
}

/// When a core wants to be woken; an earlier wish is forgotten.
#[derive(Clone, Copy, Debug, Default)]
struct Timer {
    token: u64,
    at: Option<Instant>,
    idle_ticks: u32,
}

pub struct World {
    seed: u64,
    pub plan: Plan,
    rules: Rules,
    watch: Watch,
    /// Steps after which nothing goes wrong any more, if the run is cut there.
    steps_max: Option<u64>,
    /// Less goes wrong than the plan wants.
    is_cut: bool,
    inputs_min: u64,
    /// How often what goes wrong is not as the plan wants.
    faults_are_changed: bool,
    schedule: Schedule<Action>,
    dice: Dice,
    fault_dice: Dice,
    outbox_dice: Dice,
    shelf: Shelf,
    network: Network,
    pub disk: Disk,
    processes: BTreeMap<ProcessId, Process>,
    realms: BTreeMap<ProcessId, Realm>,
    nodes: BTreeMap<NodeId, NodeHost>,
    lock: Lock,
    pub model: Model,
    pub checkers: Checkers,
    pub faults: FaultCounts,
    pub steps: u64,
    pub inputs: u64,
    pub node_deaths: u64,
    pub checkpoints: u64,
    pub moves: u64,
    pub chunks_deleted: u64,
    /// Sends that were taken up for a client that was gone.
    pub swept: u64,
    pub filled_up: u64,
    pub had_room: u64,
    walls: Walls,
    next_process: ProcessId,
    next_node: NodeId,
    /// The node that is to die after so many more outputs.
    doomed: Option<(NodeId, u32)>,
    calm: bool,
    /// The run is about to end: users do nothing more.
    idle_users: bool,
    hash: Xxh64,
    trace: Option<Vec<String>>,
}

impl World {
    #[must_use]
    pub fn new(run: &Run) -> Self {
        let Run { seed, rules, watch, .. } = *run;
        let mut plan = Plan::new(seed);
        plan.tabs = plan.tabs.min(run.cut.tabs_max.unwrap_or(plan.tabs));
        run.change.apply(&mut plan, plan::TIMED);
        let inputs_min = run.change.inputs_min.unwrap_or(plan::INPUTS_MIN);
        let mut faults = FaultCounts::ZERO;
        faults.switch_off(&run.cut.faults);
        let network = Network::new(plan.network, Dice::new(seed, 1));
        let disk = Disk::new(plan.disk, rules, Dice::new(seed, 2));
        Self {
            seed,
            plan,
            rules,
            watch,
            steps_max: run.cut.steps_max,
            is_cut: run.cut != Cut::default(),
            inputs_min,
            faults_are_changed: !run.change.chances.is_empty(),
            schedule: Schedule::new(),
            dice: Dice::new(seed, 3),
            fault_dice: Dice::new(seed, 4),
            outbox_dice: Dice::new(seed, 5),
            shelf: Shelf::default(),
            network,
            disk,
            processes: BTreeMap::new(),
            realms: BTreeMap::new(),
            nodes: BTreeMap::new(),
            lock: Lock::default(),
            model: Model::default(),
            checkers: Checkers::default(),
            faults,
            steps: 0,
            inputs: 0,
            node_deaths: 0,
            checkpoints: 0,
            moves: 0,
            chunks_deleted: 0,
            swept: 0,
            filled_up: 0,
            had_room: 0,
            walls: Walls::default(),
            next_process: ProcessId(1),
            next_node: NodeId(1),
            doomed: None,
            calm: false,
            idle_users: false,
            hash: Xxh64::new(0),
            trace: (watch == Watch::Everything).then(Vec::new),
        }
    }

    /// Runs to the end.
    ///
    /// # Errors
    /// The first promise that was broken.
    pub fn run(&mut self) -> Result<(), Violation> {
        for tab in 0..self.plan.tabs {
            let after = self.dice.between(0, SECOND / 2);
            self.schedule.after(after, Action::Begin { tab, keepsake: None });
        }
        self.schedule.after(SECOND, Action::Misfortune);
        while !self.is_eventful() {
            if self.schedule.now() > self.faulty_time_max() {
                if self.is_cut || self.faults_are_changed {
                    break;
                }
                let what = format!("{} inputs, {} node deaths", self.inputs, self.node_deaths);
                return violated("plan-is-met", what);
            }
            self.step()?;
        }
        self.heal()?;
        self.run_quietly()?;
        self.finish()
    }

    /// Runs without faults until all that is open had time to end.
    fn run_quietly(&mut self) -> Result<(), Violation> {
        let last_words = self.schedule.now() + plan::QUIET_TIME / 2;
        self.run_until(last_words)?;
        self.say_last_words();
        self.run_until(last_words + plan::QUIET_TIME / 2)?;
        // Since the wall clock jumped a message may come due at any time, and be settled in the
        // last moment. The answer to that still has to come.
        self.idle_users = true;
        self.run_until(self.schedule.now() + plan::LAST_ANSWERS_TIME)
    }

    /// Whether enough has happened for the faults to stop.
    fn is_eventful(&self) -> bool {
        if let Some(steps_max) = self.steps_max {
            return self.steps >= steps_max;
        }
        let as_planned =
            self.node_deaths >= plan::NODE_DEATHS_MIN && self.faults.total() >= plan::FAULTS_MIN;
        self.inputs >= self.inputs_min
            && (as_planned || self.faults_are_changed)
            && self.schedule.now() >= plan::FAULTY_TIME_MIN
    }

    /// Longer if more inputs are wanted.
    fn faulty_time_max(&self) -> Micros {
        plan::FAULTY_TIME_MAX * self.inputs_min.div_ceil(plan::INPUTS_MIN)
    }

    fn run_until(&mut self, time: Micros) -> Result<(), Violation> {
        while self.schedule.now() < time {
            self.step()?;
        }
        Ok(())
    }

    fn step(&mut self) -> Result<(), Violation> {
        self.steps += 1;
        let Some(action) = self.schedule.pop() else {
            return violated("plan-is-met", String::from("nothing is left to happen"));
        };
        let home = self.home_of(&action).and_then(|home| self.realms.get_mut(&home));
        if let Some(frozen) = home.filter(|home| home.frozen) {
            frozen.held.push(action);
            return Ok(());
        }
        match action {
            Action::ToClient { process, letter } => self.receive(process, letter),
            Action::ToNode { node, from, letter } => self.node_receives(node, from, letter),
            Action::ClientTimer { process, token } => self.client_tick(process, token),
            Action::NodeTimer { node, token } => self.node_tick(node, token),
            Action::Chore { process, chore } => self.do_chore(process, chore),
            Action::Perform { node } => self.perform(node),
            Action::Stored { node, op, result } => self.node_stored(node, op, result),
            Action::LockGranted { process } => self.lock_granted(process),
            Action::LockBroken { node } => self.lock_broken(node),
            Action::Present { node } => self.node_present(node),
            Action::Gone { node, client } => self.node_gone(node, client),
            Action::Begin { tab, keepsake } => self.begin(tab, keepsake),
            Action::Thaw { process } => self.thaw(process),
            Action::Discard { process } => self.discard(process),
            Action::Show { process } => self.show(process),
            Action::Close { process } => self.replace(process, false),
            Action::Redial { process } => self.redial(process),
            Action::WriteDown { process } => self.write_down(process),
            Action::WrittenDown { process, write } => self.written_down(process, write),
            Action::Sweep { client } => self.sweep(client),
            Action::Misfortune => self.misfortune(),
        }
    }

    /// The process that has to run for the action to happen.
    fn home_of(&self, action: &Action) -> Option<ProcessId> {
        match action {
            Action::ToClient { process, .. }
            | Action::ClientTimer { process, .. }
            | Action::Chore { process, .. }
            | Action::LockGranted { process }
            | Action::WrittenDown { process, .. }
            | Action::Redial { process } => Some(*process),
            Action::ToNode { node, .. }
            | Action::NodeTimer { node, .. }
            | Action::Stored { node, .. }
            | Action::LockBroken { node }
            | Action::Present { node }
            | Action::Gone { node, .. } => self.nodes.get(node).map(|host| host.home),
            Action::Perform { .. }
            | Action::Begin { .. }
            | Action::Thaw { .. }
            | Action::Discard { .. }
            | Action::Show { .. }
            | Action::Close { .. }
            | Action::WriteDown { .. }
            | Action::Sweep { .. }
            | Action::Misfortune => None,
        }
    }

    /// Both clocks as the process reads them.
    fn now_at(&self, origin: Micros) -> Now {
        let now = self.schedule.now();
        Now { mono: Instant(origin + now), unix: self.walls.read(now) }
    }

    /// Shows a fact to every checker.
    fn observe(&mut self, fact: &Fact<'_>) -> Result<(), Violation> {
        if self.watch == Watch::Outputs {
            return Ok(());
        }
        if self.trace.is_some() {
            let text = match fact {
                Fact::TailLost { .. } => String::from("TailLost"),
                Fact::Stored { node, records, .. } => format!("{node:?} stored {records:?}"),
                _ => format!("{fact:?}"),
            };
            self.note(&shorten_lists(&text));
        }
        let view = View { now: self.schedule.now(), model: &self.model, walls: &self.walls };
        self.checkers.observe(view, fact)
    }

    /// Writes a line into the trace, if there is one.
    fn note(&mut self, text: &str) {
        let at = self.schedule.now();
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:4}.{:06} {text}", at / SECOND, at % SECOND));
        }
    }

    /// Adds to the hash of all outputs.
    fn mix(&mut self, kind: u8, bytes: &[u8]) {
        self.hash.update(&[kind]);
        self.hash.update(bytes);
    }

    #[must_use]
    pub const fn tabs(&self) -> usize {
        self.plan.tabs
    }

    #[must_use]
    pub const fn virtual_ms(&self) -> u64 {
        self.schedule.now() / MILLI
    }

    #[must_use]
    pub fn hash(&self) -> u64 {
        self.hash.digest()
    }

    /// What happened, if the world was asked to write it down.
    #[must_use]
    pub fn take_trace(&mut self) -> Vec<String> {
        self.trace.take().unwrap_or_default()
    }

    fn finish(&mut self) -> Result<(), Violation> {
        self.mix(9, &self.inputs.to_le_bytes().clone());
        if self.watch == Watch::Outputs {
            return Ok(());
        }
        let view = View { now: self.schedule.now(), model: &self.model, walls: &self.walls };
        self.checkers.finish(view)?;
        self.all_are_served()
    }

    /// In the end there is one node, and every client has a link to it.
    fn all_are_served(&self) -> Result<(), Violation> {
        let serving: Vec<Epoch> =
            self.nodes.values().filter_map(|host| host.node.epoch()).collect();
        let [epoch] = serving[..] else {
            return violated("all-are-served", format!("{} nodes serve", serving.len()));
        };
        for (id, process) in &self.processes {
            if !process.closed && process.linked != Some(epoch) {
                let what = format!("process {} has link {:?}", id.0, process.linked);
                return violated("all-are-served", what);
            }
        }
        Ok(())
    }
}

/// Leaves out the middle of long lists of numbers: bodies and identities.
pub fn shorten_lists(text: &str) -> String {
    let mut short = String::new();
    let mut rest = text;
    while let Some(start) = rest.find('[') {
        let (head, tail) = rest.split_at(start);
        short.push_str(head);
        let end = tail.find(']').map_or(tail.len(), |end| end + 1);
        let (list, more) = tail.split_at(end);
        let is_bytes = list.chars().all(|c| c.is_ascii_digit() || "[], ".contains(c));
        match list.match_indices(", ").nth(7).filter(|_| is_bytes) {
            Some((cut, _)) => {
                short.push_str(&list[..cut]);
                short.push_str(", ..]");
            }
            None => short.push_str(list),
        }
        rest = more;
    }
    short.push_str(rest);
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_in_the_last_moment_is_answered() {
        let mut world = World::new(&Run::of(1));
        world.begin(0, None).unwrap();
        world.heal().unwrap();
        let end = world.schedule.now() + plan::QUIET_TIME;
        let (process, chore) = (ProcessId(1), Chore::LastWords);
        world.schedule.at(end, Action::Chore { process, chore });
        world.run_quietly().unwrap();
        world.finish().unwrap();
    }
}
