//! One simulated world with a hub: tabs on several devices, the links between those and the hub,
//! and one disk under it. Realms on both ends are those that ship (`web/realm.rs`), with the relay
//! of a device and the sockets of a hub in them; what they ask for is performed here.

mod action;
mod devices;
mod doors;
pub mod hub_plan;
mod links;
mod misfortune;
mod outbox;
mod pages;
pub mod scope;
mod servers;
mod sleep;
mod users;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use xxhash_rust::xxh64::Xxh64;

use crate::id::{ClientId, LinkNonce};
use crate::rules::Rules;
use crate::sim::check::{Checkers, View, Violation, violated};
use crate::sim::cut::Cut;
use crate::sim::dice::Dice;
use crate::sim::disk::Disk;
use crate::sim::fact::{Fact, NodeId, ProcessId};
use crate::sim::fault::FaultCounts;
use crate::sim::hub::action::{Action, News, Said, Timer};
use crate::sim::hub::devices::Device;
pub use crate::sim::hub::hub_plan::HubPlan;
use crate::sim::hub::links::Link;
use crate::sim::hub::pages::Page;
use crate::sim::hub::servers::Server;
use crate::sim::model::Model;
use crate::sim::network::Network;
use crate::sim::plan;
use crate::sim::run::{Run, Watch};
use crate::sim::schedule::{MILLI, Micros, SECOND, Schedule};
use crate::sim::walls::Walls;
use crate::time::{Instant, Now};
use crate::web::hosting::Tenure;
use crate::web::sockets::SocketId;
use crate::wire::Reassembly;

pub struct HubWorld {
    seed: u64,
    pub hub_plan: HubPlan,
    rules: Rules,
    watch: Watch,
    steps_max: Option<u64>,
    is_cut: bool,
    inputs_min: u64,
    faults_are_changed: bool,
    schedule: Schedule<Action>,
    dice: Dice,
    fault_dice: Dice,
    outbox_dice: Dice,
    network: Network,
    pub disk: Disk,
    devices: Vec<Device>,
    pages: BTreeMap<ProcessId, Page>,
    servers: BTreeMap<ProcessId, Server>,
    /// Which process each node runs in, and for which attempt to host.
    nodes: BTreeMap<NodeId, (ProcessId, Tenure)>,
    links: BTreeMap<SocketId, Link>,
    /// Until when each door leads nowhere.
    doors_down: Vec<Micros>,
    parts: BTreeMap<(ClientId, LinkNonce), Reassembly>,
    pub model: Model,
    pub checkers: Checkers,
    pub faults: FaultCounts,
    pub steps: u64,
    pub inputs: u64,
    pub node_deaths: u64,
    pub checkpoints: u64,
    pub moves: u64,
    pub chunks_deleted: u64,
    pub swept: u64,
    pub filled_up: u64,
    pub had_room: u64,
    /// The longest time that a device was away and came back, in milliseconds.
    pub away_ms: u64,
    walls: Walls,
    next_process: ProcessId,
    next_node: NodeId,
    next_socket: u32,
    /// The hub that is to die after so many more effects.
    doomed: Option<(ProcessId, u32)>,
    /// Until when a device is away for hours.
    night_until: Micros,
    /// Until when nobody does anything.
    lull_until: Micros,
    calm: bool,
    idle_users: bool,
    hash: Xxh64,
    trace: Option<Vec<String>>,
}

impl HubWorld {
    #[must_use]
    pub fn new(run: &Run) -> Self {
        let Run { seed, rules, watch, .. } = *run;
        let mut hub_plan = HubPlan::new(seed);
        hub_plan.devices.truncate(run.cut.tabs_max.unwrap_or(usize::MAX).max(1));
        hub_plan.plan.tabs = hub_plan.devices.len();
        run.change.apply(&mut hub_plan.plan, hub_plan::TIMED);
        // Files cut what was torn themselves.
        hub_plan.plan.disk.tears = false;
        let plan = &hub_plan.plan;
        let mut faults = FaultCounts::ZERO;
        faults.switch_off(&run.cut.faults);
        let network = Network::new(plan.network, Dice::new(seed, 1));
        let disk = Disk::new(plan.disk, rules, Dice::new(seed, 2));
        let mut dice = Dice::new(seed, 3);
        let devices = (0..hub_plan.devices_total()).map(|_| Device::new(&mut dice)).collect();
        let doors_down = [0].repeat(hub_plan.doors);
        Self {
            seed,
            rules,
            watch,
            steps_max: run.cut.steps_max,
            is_cut: run.cut != Cut::default(),
            inputs_min: run.change.inputs_min.unwrap_or(plan::INPUTS_MIN),
            faults_are_changed: !run.change.chances.is_empty(),
            schedule: Schedule::new(),
            dice,
            fault_dice: Dice::new(seed, 4),
            outbox_dice: Dice::new(seed, 5),
            network,
            disk,
            devices,
            pages: BTreeMap::new(),
            servers: BTreeMap::new(),
            nodes: BTreeMap::new(),
            links: BTreeMap::new(),
            doors_down,
            parts: BTreeMap::new(),
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
            away_ms: 0,
            walls: Walls::default(),
            next_process: ProcessId(1),
            next_node: NodeId(1),
            next_socket: 0,
            doomed: None,
            night_until: 0,
            lull_until: 0,
            calm: false,
            idle_users: false,
            hash: Xxh64::new(0),
            trace: (watch == Watch::Everything).then(Vec::new),
            hub_plan,
        }
    }

    /// Runs to the end.
    ///
    /// # Errors
    /// The first promise that was broken.
    pub fn run(&mut self) -> Result<(), Violation> {
        self.schedule.after(0, Action::StartHub);
        for tab in 0..self.hub_plan.devices.len() {
            let after = self.dice.between(0, SECOND / 2);
            self.schedule.after(after, Action::Begin { tab, keepsake: None });
        }
        self.schedule.after(SECOND, Action::Misfortune);
        if self.hub_plan.naps.is_some() {
            self.schedule.after(5 * SECOND, Action::Lull);
        }
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
        let last_words = self.schedule.now() + plan::QUIET_TIME / 2;
        self.run_until(last_words)?;
        self.say_last_words();
        self.run_until(last_words + plan::QUIET_TIME / 2)?;
        self.idle_users = true;
        self.run_until(self.schedule.now() + plan::LAST_ANSWERS_TIME)?;
        self.finish()
    }

    fn is_eventful(&self) -> bool {
        if let Some(steps_max) = self.steps_max {
            return self.steps >= steps_max;
        }
        let as_planned =
            self.node_deaths >= plan::NODE_DEATHS_MIN && self.faults.total() >= plan::FAULTS_MIN;
        self.inputs >= self.inputs_min
            && (as_planned || self.faults_are_changed)
            && self.schedule.now() >= plan::FAULTY_TIME_MIN
            && !self.is_night()
    }

    /// Longer if more inputs are wanted, and by the time that a device was away.
    fn faulty_time_max(&self) -> Micros {
        self.night_until + plan::FAULTY_TIME_MAX * self.inputs_min.div_ceil(plan::INPUTS_MIN)
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
        let Some(action) = self.hold_back(action) else { return Ok(()) };
        let Some(action) = self.wake_for(action)? else { return Ok(()) };
        match action {
            Action::AtPage { page, fact } => self.page_fact(page, fact),
            Action::AtRelay { page, of, bytes } => self.at_relay(page, of, bytes),
            Action::Socket { page, number, news } => self.socket_news(page, number, news),
            Action::AtHub { hub, fact } => self.hub_fact(hub, fact),
            Action::OnLink { socket, said } => self.on_link(socket, said),
            Action::Knock { page, number, door } => self.knock(page, number, door),
            Action::PageTimer { page, token } => self.page_tick(page, token),
            Action::HubTimer { hub, token } => self.hub_tick(hub, token),
            Action::Chore { page, chore } => self.do_chore(page, chore),
            Action::LockGranted { page } => self.lock_granted(page),
            Action::Gone { page, client } => self.page_sees_gone(page, client),
            Action::Perform { node } => self.perform(node),
            Action::Stored { node, op, result } => self.node_stored(node, op, result),
            Action::Begin { tab, keepsake } => self.begin(tab, keepsake),
            Action::Thaw { process } => self.thaw(process),
            Action::Close { page } => self.replace(page, false),
            Action::StartHub => self.start_hub_if_none(),
            Action::WriteDown { page } => self.write_down(page),
            Action::WrittenDown { page, write } => self.written_down(page, write),
            Action::Sweep { client, device } => self.sweep(client, device),
            Action::LetIn { device } => self.tell_scope_of(device),
            Action::Misfortune => self.misfortune(),
            Action::Lull => {
                self.lull();
                Ok(())
            }
            Action::FallAsleep { hub } => self.fall_asleep(hub),
        }
    }

    /// Keeps what is for a process that stands still.
    fn hold_back(&mut self, action: Action) -> Option<Action> {
        let (held, frozen) = match &action {
            Action::AtPage { page, .. }
            | Action::AtRelay { page, .. }
            | Action::Socket { page, .. }
            | Action::PageTimer { page, .. }
            | Action::Chore { page, .. }
            | Action::LockGranted { page }
            | Action::Gone { page, .. }
            | Action::WrittenDown { page, .. } => {
                let page = self.pages.get_mut(page)?;
                (&mut page.held, page.frozen)
            }
            Action::AtHub { hub, .. } | Action::HubTimer { hub, .. } => {
                let server = self.servers.get_mut(hub)?;
                (&mut server.held, server.frozen)
            }
            Action::Stored { node, .. } => {
                let (hub, _) = self.nodes.get(node)?;
                let server = self.servers.get_mut(hub)?;
                (&mut server.held, server.frozen)
            }
            Action::OnLink { socket, .. } => {
                let hub = self.links.get(socket)?.hub;
                let server = self.servers.get_mut(&hub)?;
                (&mut server.held, server.frozen)
            }
            _ => return Some(action),
        };
        if !frozen {
            return Some(action);
        }
        held.push(action);
        None
    }

    fn take_process_id(&mut self) -> ProcessId {
        let process = self.next_process;
        self.next_process = ProcessId(process.0 + 1);
        process
    }

    fn now_at(&self, origin: Micros) -> Now {
        let now = self.schedule.now();
        Now { mono: Instant(origin + now), unix: self.walls.read(now) }
    }

    fn is_night(&self) -> bool {
        self.schedule.now() < self.night_until
    }

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
            self.note(&super::world::shorten_lists(&text));
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
        self.hub_plan.plan.tabs
    }

    #[must_use]
    pub const fn virtual_ms(&self) -> u64 {
        self.schedule.now() / MILLI
    }

    #[must_use]
    pub fn hash(&self) -> u64 {
        self.hash.digest()
    }

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

    /// In the end one hub serves, and every client has a link to it.
    fn all_are_served(&self) -> Result<(), Violation> {
        let serving: BTreeSet<_> =
            self.servers.values().filter_map(|server| server.serves).collect();
        let Some(epoch) = serving.first().filter(|_| serving.len() == 1) else {
            return violated("all-are-served", format!("{} nodes serve", serving.len()));
        };
        for (id, page) in &self.pages {
            if !page.closed && page.linked != Some(*epoch) {
                let what = format!("process {} has link {:?}", id.0, page.linked);
                return violated("all-are-served", what);
            }
        }
        Ok(())
    }
}
