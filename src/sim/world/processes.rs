//! Tabs: they begin, freeze, thaw, park and end; between that their clients and users run.

use alloc::format;
use alloc::vec::Vec;

use crate::client::io::{Event, Input, Keepsake, Output};
use crate::client::{Client, ClientConfig};
use crate::id::{ClientId, Epoch};
use crate::sim::check::Violation;
use crate::sim::dice::Dice;
use crate::sim::fact::{Fact, NodeId, ProcessId};
use crate::sim::fault::Fault;
use crate::sim::network::Party;
use crate::sim::outbox::Ledger;
use crate::sim::plan::Hosts;
use crate::sim::schedule::{MILLI, Micros, SECOND};
use crate::sim::user::{Chore, User};
use crate::sim::world::hosts::set_timer;
use crate::sim::world::mail::{Letter, Socket};
use crate::sim::world::realms::Realm;
use crate::sim::world::{Action, Timer, World};
use crate::time::{Instant, Now};

/// One page of one tab.
#[derive(Debug)]
pub struct Process {
    pub tab: usize,
    pub client: Client,
    pub client_id: ClientId,
    pub user: User,
    timer: Timer,
    /// How late its timers may be in view.
    late_max: Micros,
    pub has_socket: bool,
    pub socket: Option<Socket>,
    pub sockets: u32,
    pub linked: Option<Epoch>,
    pub closed: bool,
    /// In the cache of the browser: it hears nothing and holds no lock.
    pub parked: bool,
    /// What it wrote down of its sends.
    pub ledger: Ledger,
    /// It is there for what a dead client left, in this page.
    pub guest_of: Option<ProcessId>,
}

impl World {
    /// A page of a tab begins.
    pub(super) fn begin(
        &mut self,
        tab: usize,
        keepsake: Option<Keepsake>,
    ) -> Result<(), Violation> {
        let origin = self.dice.between(0, 1000 * SECOND);
        // An identity that a guest has is not there to be taken.
        let keepsake = keepsake.filter(|kept| self.guest_for(kept.client).is_none());
        let process = self.add_process(tab, keepsake, origin)?;
        if keepsake.is_some_and(|kept| kept.keeps == Some(true)) {
            self.take_up_sends(process)?;
        }
        self.start_worker(process);
        self.request_lock(process);
        if tab < self.plan.sockets {
            self.schedule.after(MILLI, Action::Redial { process });
        }
        self.do_chore(process, Chore::Setup)
    }

    /// A client with a clock of this origin, that does nothing yet.
    pub(super) fn add_process(
        &mut self,
        tab: usize,
        keepsake: Option<Keepsake>,
        origin: Micros,
    ) -> Result<ProcessId, Violation> {
        let process = self.take_process_id();
        let seed = self.dice.seed();
        let client_id = keepsake.map_or_else(|| ClientId(self.dice.bytes16()), |kept| kept.client);
        let config = ClientConfig {
            client: client_id,
            limits: self.plan.limits.clone(),
            rules: self.rules,
            keepsake,
            peer: process.0.to_be_bytes().to_vec(),
        };
        let now = self.now_at(origin);
        let mut client = Client::new(config, seed, now);
        client.keep_sends(now);
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
            timer: Timer::default(),
            late_max,
            has_socket,
            socket: None,
            sockets: 0,
            linked: None,
            closed: false,
            parked: false,
            ledger: Ledger::default(),
            guest_of: None,
        };
        self.processes.insert(process, begun);
        self.realms.insert(process, Realm::new(origin, None));
        self.observe(&Fact::Began { process, client: client_id })?;
        Ok(process)
    }

    /// A number that no page or worker had.
    pub(super) fn take_process_id(&mut self) -> ProcessId {
        let process = self.next_process;
        self.next_process = ProcessId(process.0 + 1);
        process
    }

    /// A page is gone without a word, its node with it.
    pub(super) fn end_process(&mut self, process: ProcessId) -> Result<(), Violation> {
        let Some(hosted) = self.realms.get(&process).map(|ended| ended.node) else {
            return Ok(());
        };
        if let Some(node) = hosted {
            self.end_node(node)?;
        }
        self.end_workers_of(process)?;
        self.end_guests_of(process)?;
        let Some(ended) = self.processes.remove(&process) else { return Ok(()) };
        self.realms.remove(&process);
        self.release_lock(process);
        self.network.drop_party(Party::Client(process));
        self.client_lock_falls(ended.client_id);
        if let Some(socket) = ended.socket {
            let letter = Letter::Cut(socket);
            let node = socket.node;
            self.schedule.after(MILLI, Action::ToNode { node, from: process, letter });
        }
        self.leave_writes(process, ended.ledger.under_way.into())?;
        self.leave_to_others(ended.client_id);
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
        let is_guest = replaced.guest_of.is_some();
        self.end_process(process)?;
        if is_guest {
            return Ok(());
        }
        // Not before the old page's lock was seen to be free.
        let after = self.dice.between(40 * MILLI, SECOND);
        self.schedule.after(after, Action::Begin { tab, keepsake });
        Ok(())
    }

    /// A page goes into the cache of the browser.
    pub(super) fn park(&mut self, process: ProcessId) -> Result<(), Violation> {
        let now = self.client_now(process);
        self.observe(&Fact::Parked { process })?;
        self.end_guests_of(process)?;
        let Some(parked) = self.processes.get_mut(&process) else { return Ok(()) };
        parked.client.park(now);
        self.drain_client(process, true)?;
        let Some(parked) = self.processes.get_mut(&process) else { return Ok(()) };
        parked.parked = true;
        parked.socket = None;
        let client = parked.client_id;
        if let Some(node) = self.realms.get(&process).and_then(|realm| realm.node) {
            self.end_node(node)?;
        }
        if self.plan.hosts == Hosts::OwnWorkers {
            self.end_workers_of(process)?;
        }
        self.release_lock(process);
        self.client_lock_falls(client);
        self.leave_to_others(client);
        Ok(())
    }

    /// It comes back, once nobody else has its identity.
    pub(super) fn unpark(&mut self, process: ProcessId) -> Result<(), Violation> {
        let now = self.client_now(process);
        let Some(back) = self.processes.get(&process).filter(|page| page.parked) else {
            return Ok(());
        };
        if self.guest_for(back.client_id).is_some() {
            let chore = Chore::Unpark;
            self.schedule.after(20 * MILLI, Action::Chore { process, chore });
            return Ok(());
        }
        let Some(back) = self.processes.get_mut(&process) else { return Ok(()) };
        back.parked = false;
        self.faults.add(Fault::PageRestored);
        self.observe(&Fact::Thawed { process })?;
        let Some(back) = self.processes.get_mut(&process) else { return Ok(()) };
        back.client.unpark(now);
        self.look_after_sends(process)?;
        let Some(back) = self.processes.get(&process) else { return Ok(()) };
        if back.has_socket {
            self.schedule.after(MILLI, Action::Redial { process });
        }
        self.start_worker(process);
        self.request_lock(process);
        self.drain_client(process, true)
    }

    pub(super) fn client_now(&self, process: ProcessId) -> Now {
        self.now_at(self.realms.get(&process).map_or(0, |realm| realm.origin))
    }

    /// A client learns whether its page is in view.
    pub(super) fn tell_visible(
        &mut self,
        process: ProcessId,
        visible: bool,
    ) -> Result<(), Violation> {
        let now = self.client_now(process);
        let Some(page) = self.processes.get_mut(&process) else { return Ok(()) };
        if page.parked || page.closed {
            return Ok(());
        }
        page.client.set_visible(now, visible);
        self.drain_client(process, true)
    }

    /// A timer that was held back comes now.
    pub(super) fn catch_up_client(&mut self, process: ProcessId) {
        let Some(page) = self.processes.get(&process) else { return };
        let token = page.timer.token;
        if page.timer.at.is_some() {
            self.schedule.after(0, Action::ClientTimer { process, token });
        }
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
        if let (Chore::Close, Some(node)) = (&chore, self.hosted_by(process)) {
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
    pub(super) fn drain_client(&mut self, process: ProcessId, verb: bool) -> Result<(), Violation> {
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
        let Some(realm) = self.realms.get(&process) else { return Ok(()) };
        let Some(page) = self.processes.get_mut(&process) else { return Ok(()) };
        let late = self.dice.between(0, realm.hidden.unwrap_or(page.late_max));
        let set = set_timer(&mut page.timer, wake_at, realm.origin, now, acted)?;
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
                page.linked = Some(*epoch);
                if let Some(realm) = self.realms.get_mut(&process) {
                    realm.heard = realm.heard.max(*epoch);
                }
            }
            Event::Lost => page.linked = None,
            Event::Keep { .. } | Event::LetGo { .. } => return self.client_keeps(process, event),
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
