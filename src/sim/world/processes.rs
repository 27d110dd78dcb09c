//! Tabs: they begin, freeze, thaw, park and end; between that their clients and users run.

use alloc::format;
use alloc::vec::Vec;

use crate::client::io::{Event, Input, Keepsake, Output};
use crate::client::{Client, ClientConfig};
use crate::id::{ClientId, Epoch};
use crate::sim::check::Violation;
use crate::sim::dice::Dice;
use crate::sim::fact::{Fact, NodeId, ProcessId};
use crate::sim::network::Party;
use crate::sim::schedule::{MILLI, Micros, SECOND};
use crate::sim::user::{Chore, User};
use crate::sim::world::hosts::set_timer;
use crate::sim::world::mail::{Letter, Socket};
use crate::sim::world::{Action, Timer, World};
use crate::time::{Instant, Now};

/// One page of one tab.
#[derive(Debug)]
pub struct Process {
    pub tab: usize,
    pub client: Client,
    pub client_id: ClientId,
    pub user: User,
    /// The zero of its clock.
    pub origin: Micros,
    pub frozen: bool,
    /// What came while it was frozen.
    pub held: Vec<Action>,
    timer: Timer,
    /// How late its timers may be: pages in the background wait.
    late_max: Micros,
    pub node: Option<NodeId>,
    pub has_socket: bool,
    pub socket: Option<Socket>,
    pub sockets: u32,
    /// The highest epoch it met.
    pub heard: Epoch,
    pub linked: Option<Epoch>,
    pub closed: bool,
    /// In the cache of the browser: it hears nothing and holds no lock.
    pub parked: bool,
}

impl World {
    /// A page of a tab begins.
    pub(super) fn begin(
        &mut self,
        tab: usize,
        keepsake: Option<Keepsake>,
    ) -> Result<(), Violation> {
        let process = self.next_process;
        self.next_process = ProcessId(process.0 + 1);
        let origin = self.dice.between(0, 1000 * SECOND);
        let seed = self.dice.seed();
        let client_id = keepsake.map_or_else(|| ClientId(self.dice.bytes16()), |kept| kept.client);
        let config = ClientConfig {
            client: client_id,
            limits: self.plan.limits.clone(),
            rules: self.rules,
            keepsake,
            peer: process.0.to_be_bytes().to_vec(),
        };
        let client = Client::new(config, seed, self.now_at(origin));
        // Two late timers and the patience after a pause fit into the grace of a call.
        let late_max = *self.dice.choose(&[100, 5 * MILLI, 400 * MILLI]);
        let has_socket = tab < self.plan.sockets;
        let work_every_max = self.plan.work_every_max;
        let user = User::new(process, work_every_max, Dice::new(self.seed, 16 + process.0));
        let begun = Process {
            tab,
            client,
            client_id,
            user,
            origin,
            frozen: false,
            held: Vec::new(),
            timer: Timer::default(),
            late_max,
            node: None,
            has_socket,
            socket: None,
            sockets: 0,
            heard: Epoch::default(),
            linked: None,
            closed: false,
            parked: false,
        };
        self.processes.insert(process, begun);
        self.observe(&Fact::Began { process, client: client_id })?;
        self.request_lock(process);
        if has_socket {
            self.schedule.after(MILLI, Action::Redial { process });
        }
        self.do_chore(process, Chore::Setup)
    }

    /// A page is gone without a word, its node with it.
    pub(super) fn end_process(&mut self, process: ProcessId) -> Result<(), Violation> {
        let Some(hosted) = self.processes.get(&process).map(|ended| ended.node) else {
            return Ok(());
        };
        if let Some(node) = hosted {
            self.end_node(node)?;
        }
        let Some(ended) = self.processes.remove(&process) else { return Ok(()) };
        self.release_lock(process);
        self.network.drop_party(Party::Client(process));
        self.client_lock_falls(ended.client_id);
        if let Some(socket) = ended.socket {
            let letter = Letter::Cut(socket);
            let node = socket.node;
            self.schedule.after(MILLI, Action::ToNode { node, from: process, letter });
        }
        self.observe(&Fact::Ended { process })
    }

    /// Nodes that watch the lock of a client learn that it is free.
    fn client_lock_falls(&mut self, client: ClientId) {
        let nodes: Vec<NodeId> = self.nodes.keys().copied().collect();
        for node in nodes {
            let after = self.dice.between(10, 30 * MILLI);
            self.schedule.after(after, Action::Gone { node, client });
        }
    }

    /// A page is gone and its tab goes on: with what a page may keep, or anew.
    pub(super) fn replace(&mut self, process: ProcessId, kept: bool) -> Result<(), Violation> {
        let Some(replaced) = self.processes.get(&process) else { return Ok(()) };
        let (tab, keepsake) = (replaced.tab, kept.then(|| replaced.client.keepsake()));
        self.end_process(process)?;
        // Not before the old page's lock was seen to be free.
        let after = self.dice.between(40 * MILLI, SECOND);
        self.schedule.after(after, Action::Begin { tab, keepsake });
        Ok(())
    }

    pub(super) fn freeze(&mut self, process: ProcessId, time: Micros) -> Result<(), Violation> {
        let Some(frozen) = self.processes.get_mut(&process) else { return Ok(()) };
        frozen.frozen = true;
        self.schedule.after(time, Action::Thaw { process });
        self.observe(&Fact::Froze { process })
    }

    /// A frozen page goes on: everything that came meanwhile happens now.
    pub(super) fn thaw(&mut self, process: ProcessId) -> Result<(), Violation> {
        let Some(thawed) = self.processes.get_mut(&process).filter(|page| page.frozen) else {
            return Ok(());
        };
        thawed.frozen = false;
        for action in core::mem::take(&mut thawed.held) {
            let late = matches!(action, Action::LockBroken { .. });
            let after = if late { self.dice.between(0, 30 * MILLI) } else { 0 };
            self.schedule.after(after, action);
        }
        self.observe(&Fact::Thawed { process })
    }

    /// A page goes into the cache of the browser.
    pub(super) fn park(&mut self, process: ProcessId) -> Result<(), Violation> {
        let now = self.client_now(process);
        self.observe(&Fact::Parked { process })?;
        let Some(parked) = self.processes.get_mut(&process) else { return Ok(()) };
        parked.client.park(now);
        self.drain_client(process, true)?;
        let Some(parked) = self.processes.get_mut(&process) else { return Ok(()) };
        parked.parked = true;
        parked.socket = None;
        let (client, node) = (parked.client_id, parked.node);
        if let Some(node) = node {
            self.end_node(node)?;
        }
        self.release_lock(process);
        self.client_lock_falls(client);
        Ok(())
    }

    /// It comes back.
    pub(super) fn unpark(&mut self, process: ProcessId) -> Result<(), Violation> {
        let now = self.client_now(process);
        let Some(back) = self.processes.get_mut(&process).filter(|page| page.parked) else {
            return Ok(());
        };
        back.parked = false;
        self.observe(&Fact::Thawed { process })?;
        let Some(back) = self.processes.get_mut(&process) else { return Ok(()) };
        back.client.unpark(now);
        if back.has_socket {
            self.schedule.after(MILLI, Action::Redial { process });
        }
        self.request_lock(process);
        self.drain_client(process, true)
    }

    fn client_now(&self, process: ProcessId) -> Now {
        self.now_at(self.processes.get(&process).map_or(0, |process| process.origin))
    }

    pub(super) fn client_input(
        &mut self,
        process: ProcessId,
        input: Input<'_>,
    ) -> Result<(), Violation> {
        let now = self.client_now(process);
        let Some(receiver) = self.processes.get_mut(&process) else { return Ok(()) };
        if receiver.parked || receiver.closed {
            return Ok(());
        }
        self.inputs += 1;
        receiver.client.handle_input(now, input);
        self.drain_client(process, false)
    }

    pub(super) fn client_tick(&mut self, process: ProcessId, token: u64) -> Result<(), Violation> {
        let Some(woken) = self.processes.get_mut(&process) else { return Ok(()) };
        if woken.timer.token != token {
            return Ok(());
        }
        woken.timer.at = None;
        self.client_input(process, Input::Tick)
    }

    /// The user of a page does something.
    pub(super) fn do_chore(&mut self, process: ProcessId, chore: Chore) -> Result<(), Violation> {
        let now = self.client_now(process);
        if chore == Chore::Unpark {
            return self.unpark(process);
        }
        let Some(page) = self.processes.get_mut(&process) else { return Ok(()) };
        if page.parked || page.closed || self.idle_users {
            return Ok(());
        }
        if let (Chore::Close, Some(node)) = (&chore, page.node) {
            self.hand_over(node)?;
        }
        let Some(page) = self.processes.get_mut(&process) else { return Ok(()) };
        let done = page.user.do_chore(&mut page.client, now, chore, self.calm);
        self.inputs += 1;
        for ask in &done.asks {
            self.observe(&Fact::Asked { process, ask })?;
        }
        for (after, chore) in done.chores {
            self.schedule.after(after, Action::Chore { process, chore });
        }
        self.drain_client(process, true)
    }

    /// Performs what a client asks for until it is idle.
    fn drain_client(&mut self, process: ProcessId, verb: bool) -> Result<(), Violation> {
        let mut acted = verb;
        loop {
            let Some(page) = self.processes.get_mut(&process) else { return Ok(()) };
            match page.client.poll_output() {
                Output::Transmit { bytes } => self.client_transmits(process, bytes),
                Output::Broadcast { bytes } => self.client_broadcasts(process, bytes)?,
                Output::Event(event) => self.client_event(process, &event)?,
                Output::Idle { wake_at } => return self.set_client_timer(process, wake_at, acted),
            }
            acted = true;
        }
    }

    fn set_client_timer(
        &mut self,
        process: ProcessId,
        wake_at: Option<Instant>,
        acted: bool,
    ) -> Result<(), Violation> {
        let now = self.schedule.now();
        let Some(page) = self.processes.get_mut(&process) else { return Ok(()) };
        let late = self.dice.between(0, page.late_max);
        let set = set_timer(&mut page.timer, wake_at, page.origin, now, acted)?;
        if let Some((at, token)) = set {
            self.schedule.at(at + late, Action::ClientTimer { process, token });
        }
        Ok(())
    }

    fn client_event(&mut self, process: ProcessId, event: &Event) -> Result<(), Violation> {
        self.mix_event(event);
        self.observe(&Fact::Told { process, event })?;
        let Some(page) = self.processes.get_mut(&process) else { return Ok(()) };
        for (after, chore) in page.user.hear(event, self.calm) {
            self.schedule.after(after, Action::Chore { process, chore });
        }
        match event {
            Event::Ready { epoch, .. } => {
                page.heard = page.heard.max(*epoch);
                page.linked = Some(*epoch);
            }
            Event::Lost => page.linked = None,
            Event::NodeSilent { .. } => return self.steal_lock(process),
            Event::Closed { .. } => {
                page.closed = true;
                self.schedule.after(0, Action::Close { process });
            }
            _ => {}
        }
        Ok(())
    }

    /// Adds an event to the hash of all outputs. Bodies go in as they are: as text they are long.
    fn mix_event(&mut self, event: &Event) {
        let body = match event {
            Event::Live { body, .. } | Event::Delivery { body, .. } => body,
            Event::Dispatch { arguments, .. } => arguments,
            _ => return self.mix(7, format!("{event:?}").as_bytes()),
        };
        self.mix(8, body);
    }

    /// The last things that are published, so that every hole before them shows.
    pub(super) fn say_last_words(&mut self) {
        let processes: Vec<ProcessId> = self.processes.keys().copied().collect();
        for process in processes {
            self.schedule.after(0, Action::Chore { process, chore: Chore::LastWords });
        }
    }
}
