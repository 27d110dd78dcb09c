//! Pages of devices: they begin, stand still and end; between that their realms are given what
//! happens and what they ask for is performed.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use crate::client::io::Keepsake;
use crate::client::{Client, ClientConfig};
use crate::id::{ClientId, Epoch};
use crate::options::HostKind;
use crate::sim::check::{Violation, violated};
use crate::sim::dice::Dice;
use crate::sim::fact::{Fact, ProcessId};
use crate::sim::fault::Fault;
use crate::sim::hub::devices::Mail;
use crate::sim::hub::{Action, HubWorld, Timer};
use crate::sim::network::{Kind, Party};
use crate::sim::outbox::Ledger;
use crate::sim::schedule::{MILLI, Micros, SECOND};
use crate::sim::user::{Chore, User};
use crate::time::Now;
use crate::web::dialing::Dialing;
use crate::web::hosting::Tenure;
use crate::web::io::{self, Effect, Notice};
use crate::web::realm::{NodeAt, Realm, RealmConfig};
use crate::web::sockets::SocketId;
use crate::web::worker::Part;

/// Ticks without any effect or time passing, before we call it a spin.
pub(super) const IDLE_TICKS_MAX: u32 = 100;

/// One page of one tab.
#[derive(Debug)]
pub(super) struct Page {
    pub tab: usize,
    pub device: usize,
    pub realm: Realm,
    pub client_id: ClientId,
    pub user: User,
    pub origin: Micros,
    pub timer: Timer,
    late_max: Micros,
    pub frozen: bool,
    /// What came while it was frozen.
    pub held: Vec<Action>,
    pub dialing: Dialing,
    pub socket: Option<SocketId>,
    /// The one through which it reached the hub last.
    pub door: Option<usize>,
    /// It listens as the one that relays.
    relays: bool,
    /// Clients on whose channels it listens then.
    opened: BTreeSet<ClientId>,
    watched: BTreeSet<ClientId>,
    pub linked: Option<Epoch>,
    pub closed: bool,
    pub ledger: Ledger,
    /// It is there for what a dead client left, in this page.
    pub guest_of: Option<ProcessId>,
}

impl HubWorld {
    /// A page of a tab begins.
    pub(super) fn begin(
        &mut self,
        tab: usize,
        keepsake: Option<Keepsake>,
    ) -> Result<(), Violation> {
        let device = self.hub_plan.devices[tab];
        // An identity that a guest has is not there to be taken.
        let keepsake = keepsake.filter(|kept| self.page_of(kept.client).is_none());
        let page = self.add_page(device, tab, keepsake, None)?;
        if keepsake.is_some_and(|kept| kept.keeps == Some(true)) {
            self.take_up_sends(page)?;
        }
        self.start_page(page)?;
        self.do_chore(page, Chore::Setup)
    }

    pub(super) fn start_page(&mut self, page: ProcessId) -> Result<(), Violation> {
        let now = self.page_now(page);
        if let Some(page) = self.pages.get_mut(&page) {
            page.realm.start(now);
        }
        self.drain_page(page)
    }

    /// A realm that does nothing yet.
    pub(super) fn add_page(
        &mut self,
        device: usize,
        tab: usize,
        keepsake: Option<Keepsake>,
        guest_of: Option<ProcessId>,
    ) -> Result<ProcessId, Violation> {
        let page = self.take_process_id();
        let origin = self.dice.between(0, 1000 * SECOND);
        let seeds = [self.dice.seed(), self.dice.seed()];
        let client_id = keepsake.map_or_else(|| ClientId(self.dice.bytes16()), |kept| kept.client);
        let limits = &self.hub_plan.plan.limits;
        let config = ClientConfig {
            client: client_id,
            limits: limits.clone(),
            rules: self.rules,
            keepsake,
            peer: page.0.to_be_bytes().to_vec(),
        };
        let now = self.now_at(origin);
        let mut client = Client::new(config, seeds[0], now);
        client.keep_sends(now);
        let config = RealmConfig {
            client: client_id,
            limits: limits.clone(),
            rules: self.rules,
            visible: true,
            part: Part::Whole,
            node_at: NodeAt::Hub,
            kind: HostKind::Tab,
            persistent: true,
            alone: false,
            guest: guest_of.is_some(),
            naps: None,
        };
        let work_every_max = self.hub_plan.plan.work_every_max;
        let begun = Page {
            tab,
            device,
            realm: Realm::new(config, client, seeds[1]),
            client_id,
            user: User::new(page, work_every_max, Dice::new(self.seed, 16 + page.0)),
            origin,
            timer: Timer::default(),
            late_max: *self.dice.choose(&[100, 5 * MILLI, 400 * MILLI]),
            frozen: false,
            held: Vec::new(),
            dialing: Dialing::new(self.hub_plan.doors),
            socket: None,
            door: None,
            relays: false,
            opened: BTreeSet::new(),
            watched: BTreeSet::new(),
            linked: None,
            closed: false,
            ledger: Ledger::default(),
            guest_of,
        };
        self.pages.insert(page, begun);
        self.observe(&Fact::Began { process: page, client: client_id })?;
        self.tell_scope(page)?;
        if self.is_apart(device) {
            let until = self.devices[device].apart_until;
            self.observe(&Fact::Partitioned { process: page, until })?;
        }
        Ok(page)
    }

    /// A page is gone without a word.
    pub(super) fn end_page(&mut self, page: ProcessId) -> Result<(), Violation> {
        for guest in self.guests_of(page) {
            self.end_page(guest)?;
        }
        if let Some(socket) = self.pages.get(&page).and_then(|page| page.socket) {
            // Its system closes what it leaves, and some of what it said may be lost.
            let lost = self.dice.index(2) == 0;
            let cut_at = self.schedule.now() + self.dice.between(0, 20 * MILLI);
            if let Some(link) = self.links.get_mut(&socket).filter(|_| lost) {
                link.up.cut(cut_at);
            }
            self.end_at_page(socket);
            if lost {
                let after = self.dice.between(20 * MILLI, SECOND);
                self.hub_gives_up(socket, after);
            }
        }
        let Some(ended) = self.pages.remove(&page) else { return Ok(()) };
        self.release_lock(ended.device, page);
        self.network.drop_party(Party::Client(page));
        let watchers = self.pages.iter().filter(|(_, p)| p.watched.contains(&ended.client_id));
        for watcher in watchers.map(|(id, _)| *id).collect::<Vec<_>>() {
            let after = self.dice.between(10, 30 * MILLI);
            self.schedule.after(after, Action::Gone { page: watcher, client: ended.client_id });
        }
        self.leave_writes(ended.device, page, ended.ledger.under_way.into())?;
        self.leave_to_others(ended.client_id, ended.device);
        self.observe(&Fact::Ended { process: page })
    }

    /// A page is gone and its tab goes on: with what a page may keep, or anew.
    pub(super) fn replace(&mut self, page: ProcessId, kept: bool) -> Result<(), Violation> {
        let Some(replaced) = self.pages.get(&page) else { return Ok(()) };
        let (tab, keepsake) = (replaced.tab, kept.then(|| replaced.realm.client.keepsake()));
        let is_guest = replaced.guest_of.is_some();
        self.end_page(page)?;
        if is_guest {
            return Ok(());
        }
        let after = self.dice.between(40 * MILLI, SECOND);
        self.schedule.after(after, Action::Begin { tab, keepsake });
        Ok(())
    }

    /// A frozen page or hub goes on: everything that came meanwhile happens now.
    pub(super) fn thaw(&mut self, process: ProcessId) -> Result<(), Violation> {
        let (frozen, held) = match (self.pages.get_mut(&process), self.servers.get_mut(&process)) {
            (Some(page), _) => (&mut page.frozen, &mut page.held),
            (_, Some(server)) => (&mut server.frozen, &mut server.held),
            _ => return Ok(()),
        };
        if !core::mem::take(frozen) {
            return Ok(());
        }
        for action in core::mem::take(held) {
            self.schedule.after(0, action);
        }
        if self.pages.contains_key(&process) {
            self.faults.add(Fault::PageThawed);
            self.observe(&Fact::Thawed { process })?;
        }
        Ok(())
    }

    pub(super) fn page_now(&self, page: ProcessId) -> Now {
        self.now_at(self.pages.get(&page).map_or(0, |page| page.origin))
    }

    pub(super) fn page_fact(&mut self, page: ProcessId, fact: io::Fact) -> Result<(), Violation> {
        let now = self.page_now(page);
        let Some(receiver) = self.pages.get_mut(&page) else { return Ok(()) };
        if receiver.closed {
            return Ok(());
        }
        self.inputs += u64::from(!matches!(fact, io::Fact::Tick));
        self.note_fact(page, &fact);
        if let Some(receiver) = self.pages.get_mut(&page) {
            receiver.realm.handle(now, fact);
        }
        self.drain_page(page)
    }

    /// A message on the channels of whoever relays, if this page listens there.
    pub(super) fn at_relay(
        &mut self,
        page: ProcessId,
        of: Option<ClientId>,
        bytes: Vec<u8>,
    ) -> Result<(), Violation> {
        let listens = |page: &Page| page.relays && of.is_none_or(|of| page.opened.contains(&of));
        match self.pages.get(&page) {
            Some(relay) if listens(relay) => self.page_fact(page, io::Fact::AtNode(bytes)),
            _ => Ok(()),
        }
    }

    pub(super) fn page_sees_gone(
        &mut self,
        page: ProcessId,
        client: ClientId,
    ) -> Result<(), Violation> {
        let watches = self.pages.get_mut(&page).is_some_and(|page| page.watched.contains(&client));
        if !watches || self.page_of(client).is_some() {
            return Ok(());
        }
        if let Some(page) = self.pages.get_mut(&page) {
            page.watched.remove(&client);
        }
        self.page_fact(page, io::Fact::Gone { client })
    }

    pub(super) fn page_tick(&mut self, page: ProcessId, token: u64) -> Result<(), Violation> {
        let now = self.page_now(page);
        let Some(woken) = self.pages.get_mut(&page).filter(|page| page.timer.token == token) else {
            return Ok(());
        };
        woken.timer.at = None;
        if woken.realm.wake_at().is_none_or(|at| at > now.mono) {
            self.arm_page(page);
            return Ok(());
        }
        woken.timer.idle_ticks += 1;
        if woken.timer.idle_ticks > IDLE_TICKS_MAX {
            let what = alloc::format!("process {} asks to be woken now, and does nothing", page.0);
            return violated("timers-advance", what);
        }
        self.page_fact(page, io::Fact::Tick)
    }

    /// Performs what a page asks for.
    pub(super) fn drain_page(&mut self, page: ProcessId) -> Result<(), Violation> {
        let now = self.page_now(page);
        let Some(drained) = self.pages.get_mut(&page) else { return Ok(()) };
        let effects = drained.realm.take_effects(now);
        let waits = drained.realm.wake_at().is_none_or(|at| at > now.mono);
        if !effects.is_empty() || waits {
            drained.timer.idle_ticks = 0;
        }
        for effect in effects {
            self.page_effect(page, effect)?;
        }
        self.arm_page(page);
        Ok(())
    }

    fn arm_page(&mut self, page: ProcessId) {
        let now = self.schedule.now();
        let Some(armed) = self.pages.get_mut(&page) else { return };
        let late_max = armed.late_max;
        if let Some((at, token)) = armed.timer.arm(armed.realm.wake_at(), armed.origin, now) {
            let late = self.dice.between(0, late_max);
            self.schedule.at(at + late, Action::PageTimer { page, token });
        }
    }

    fn page_effect(&mut self, page: ProcessId, effect: Effect) -> Result<(), Violation> {
        let Some(own) = self.pages.get_mut(&page) else { return Ok(()) };
        let (device, client) = (own.device, own.client_id);
        match effect {
            Effect::ToNode(bytes) => self.post_to_relays(page, None, &bytes),
            Effect::ToNodeDirectly(bytes) => self.post_to_relays(page, Some(client), &bytes),
            Effect::ToClient(client, bytes) => {
                if let Some(to) = self.page_of(client) {
                    self.post(page, to, Kind::Channel, Mail::Client(&bytes));
                }
            }
            Effect::ToAll(bytes) => return self.page_broadcasts(page, &bytes),
            Effect::ToHub(bytes) => self.page_says(page, bytes),
            Effect::ProbeHub => self.page_probes(page),
            Effect::LookAtSocket => self.page_looks(page),
            Effect::DropSocket => self.drop_socket(page),
            Effect::RequestLock { steal } => self.request_lock(page, steal),
            Effect::ReleaseLock => self.release_lock(device, page),
            Effect::BeginHosting(_) => own.relays = true,
            Effect::EndHosting => {
                own.relays = false;
                own.opened.clear();
                own.watched.clear();
                self.drop_socket(page);
            }
            Effect::OpenClient(client) => drop(own.opened.insert(client)),
            Effect::CloseClient(client) => drop(own.opened.remove(&client)),
            Effect::Watch(client) => {
                own.watched.insert(client);
                if self.page_of(client).is_none() {
                    self.schedule.after(MILLI, Action::Gone { page, client });
                }
            }
            Effect::Unwatch(client) => drop(own.watched.remove(&client)),
            Effect::ListPresent(tenure) => self.list_present(page, device, tenure),
            Effect::Tell(Notice::Client(event)) => return self.client_event(page, &event),
            Effect::Tell(notice) => self.note(&alloc::format!("{page:?} is told {notice:?}")),
            _ => {}
        }
        Ok(())
    }

    fn list_present(&mut self, page: ProcessId, device: usize, tenure: Tenure) {
        let own = self.pages.values().filter(|page| page.device == device && !page.closed);
        let clients = own.map(|page| page.client_id).collect();
        let after = self.dice.between(10, 20 * MILLI);
        let fact = io::Fact::Present { tenure, clients };
        self.schedule.after(after, Action::AtPage { page, fact });
    }

    fn post_to_relays(&mut self, page: ProcessId, of: Option<ClientId>, bytes: &[u8]) {
        for other in self.neighbours(page) {
            self.post(page, other, Kind::Channel, Mail::Relay(of, bytes));
        }
    }

    fn page_broadcasts(&mut self, page: ProcessId, bytes: &[u8]) -> Result<(), Violation> {
        self.mix(2, bytes);
        self.observe_publishes(page, bytes)?;
        for other in self.neighbours(page) {
            self.post(page, other, Kind::Everyone, Mail::All(bytes));
        }
        Ok(())
    }

    /// The other pages of its device.
    fn neighbours(&self, page: ProcessId) -> Vec<ProcessId> {
        let Some(device) = self.device_of(page) else { return Vec::new() };
        let mut pages = self.pages_of_device(device);
        pages.retain(|other| *other != page);
        pages
    }
}
