//! Runs one realm: feeds it what the inbox holds, performs what it asks for, arms its timer, and
//! tells its user. Nothing of the realm is borrowed while JavaScript of the user runs.
//!
//! A panic leaves the realm borrowed for good, which is how it is known afterwards: every method
//! then answers `INTERNAL`, and what can still be let go is let go when the driver is dropped.

use alloc::boxed::Box;
use alloc::rc::{Rc, Weak};
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::{RefCell, RefMut};

use js_sys::Promise;
use js_sys::futures::{JsFuture, spawn_local};
use wasm_bindgen::prelude::*;

use crate::broker::Grant;
use crate::client::io::Keepsake;
use crate::client::{Client, ClientConfig};
use crate::error::{Code, Refused};
use crate::id::ClientId;
use crate::node::Naps;
use crate::options::{Durability, HostKind};
use crate::rules::Rules;
use crate::time::Now;
pub use crate::web::choices::{DriverOptions, HostChoice, StorageChoice};
use crate::web::choices::{choose_host, part_of};
use crate::web::inbox::Inbox;
use crate::web::io::{Effect, Fact, HostNews, Notice};
use crate::web::locks::Ask;
use crate::web::names::Scope;
use crate::web::page_lifecycle;
use crate::web::platform::{Arrival, Platform};
use crate::web::realm::{NodeAt, Realm, RealmConfig};
use crate::web::runtime::{self, Clock};
use crate::web::session_storage;
use crate::web::sockets::SocketId;
use crate::web::timer::{Timer, TimerHost};
use crate::web::worker::WorkerNews;

/// What a drain has to tell, oldest first.
pub struct Telling {
    pub notices: Vec<Notice>,
    pub now: Now,
    /// What is kept lies in files.
    pub in_files: bool,
    /// The browser promised to keep the storage.
    pub persisted: bool,
}

/// One bus in this realm. Dropping it is a crash as far as others can see: no farewell, and every
/// lock falls free.
pub struct Driver {
    shared: Rc<Shared>,
}

struct Shared {
    inbox: Rc<Inbox<Arrival>>,
    core: RefCell<Core>,
    /// `None` once the bus is closed or broken.
    platform: RefCell<Option<Platform>>,
    timer: RefCell<Timer>,
    tell: Box<dyn Fn(Telling)>,
    /// What the next drain has to tell first.
    notices: RefCell<Vec<Notice>>,
}

pub(super) struct Core {
    pub(super) realm: Realm,
    pub(super) clock: Clock,
    pub(super) host: HostChoice,
    pub(super) phase: Phase,
    /// It has run before its identity was claimed anew: its page was in the cache.
    pub(super) ran: bool,
    /// There are sends to take up before the client dials.
    pub(super) keeps: bool,
    pub(super) guest: bool,
    pub(super) persisted: bool,
    pub(super) last_host: Option<HostNews>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    Idle,
    /// The client's identity is being claimed.
    Claiming,
    /// It is claimed, and what is written down of its sends is being taken up.
    Claimed,
    Running,
}

/// What an arrival comes to.
enum Taken {
    Facts(Vec<Fact>),
    /// The user is told before the realm has begun.
    Told(Notice),
}

impl Driver {
    /// A driver that does nothing but take verbs. `tell` is called from a microtask, never from
    /// a method of the driver.
    ///
    /// # Errors
    /// `INVALID` for the name of the bus, `UNSUPPORTED` for a host or a durability that this
    /// runtime lacks.
    pub fn new(
        bus: &str,
        options: DriverOptions,
        tell: impl Fn(Telling) + 'static,
    ) -> Result<Self, Refused> {
        if bus.is_empty() || bus.len() > options.limits.name_bytes_max as usize {
            return Err(Refused::new(Code::Invalid, "name"));
        }
        let in_files = matches!(options.storage, StorageChoice::Files(_));
        // Files are for runtimes in which no other realm could host.
        let node_at = options.reach.node_at();
        let locks = choose_host(options.host)?.filter(|_| !in_files);
        let in_database = locks.is_some() && matches!(options.storage, StorageChoice::Auto);
        // What stops an old host is its store, and an old relay the hub.
        let persistent = in_files || in_database || node_at == NodeAt::Hub;
        if options.durability == Durability::Strict && !persistent {
            return Err(Refused::new(Code::Unsupported, "durability"));
        }
        let scope = match node_at {
            NodeAt::Hub => Scope::at_hub(bus, options.user.as_deref()),
            NodeAt::Device | NodeAt::Here => Scope::new(bus, options.user.as_deref()),
        };
        let guest = options.guest.is_some();
        let keepsake = match options.guest {
            Some(client) => Some(Keepsake::of(client)),
            None => locks.as_ref().and_then(|_| session_storage::take(&scope)),
        };
        let left = keepsake.is_some_and(|keepsake| keepsake.keeps == Some(true));
        let keeps = guest || (left && options.takes_up);
        let known = options.sleeper.or(keepsake.map(|keepsake| keepsake.client));
        let client = known.unwrap_or_else(new_identity);
        let (mut clock, inbox) = (Clock::default(), Inbox::new());
        let now = clock.now();
        let (choice, reach, limits) = (options.storage, options.reach, &options.limits);
        let mut platform = Platform::new(scope, client, choice, reach, limits, locks, &inbox);
        platform.guest = guest;
        let config = RealmConfig {
            client,
            limits: options.limits.clone(),
            rules: Rules::ON,
            visible: !guest && page_lifecycle::is_visible(),
            part: part_of(options.host, platform.kind),
            node_at,
            kind: if node_at == NodeAt::Here { HostKind::Hub } else { platform.kind },
            persistent,
            alone: in_files,
            guest,
            naps: options.sleeper.map(|_| Naps::OF_OBJECTS),
        };
        let client_config = ClientConfig {
            client,
            keepsake,
            peer: options.peer,
            limits: options.limits.clone(),
            rules: Rules::ON,
        };
        let core_client = Client::new(client_config, runtime::random_bytes(), now);
        let core = Core {
            realm: Realm::new(config, core_client, runtime::random_bytes()),
            clock,
            host: options.host,
            phase: Phase::Idle,
            ran: false,
            keeps,
            guest,
            persisted: false,
            last_host: None,
        };
        Ok(Self { shared: Shared::new(inbox, core, platform, options.timer, Box::new(tell)) })
    }

    /// Starts to work. True if `Notice::Claimed` comes first, and waits for `go_on`.
    ///
    /// # Errors
    /// `INTERNAL` after a panic; so do all the others.
    pub fn start(&self) -> Result<bool, Refused> {
        let mut core = self.shared.core()?;
        let mut platform = self.shared.platform.borrow_mut();
        let Some(platform) = &mut *platform else { return Err(Code::Closed.into()) };
        if core.phase != Phase::Idle {
            return Ok(false);
        }
        self.shared.ask_whether_persisted();
        if core.host == HostChoice::ForPages {
            platform.start();
            core.run();
        } else if platform.kind == HostKind::Inline {
            core.run();
        } else {
            core.phase = Phase::Claiming;
            platform.claim(Ask::IfAvailable);
        }
        self.shared.inbox.call();
        Ok(core.keeps && core.phase == Phase::Claiming)
    }

    /// Goes on after `Notice::Claimed`: what was written down is taken up.
    pub fn go_on(&self) -> Result<(), Refused> {
        let mut core = self.shared.core()?;
        let mut platform = self.shared.platform.borrow_mut();
        let Some(platform) = &mut *platform else { return Err(Code::Closed.into()) };
        core.go_on(platform);
        self.shared.inbox.call();
        Ok(())
    }

    /// The client, for one verb. What follows from it happens later, except that live messages
    /// which fill a transport message go out with the next verb.
    #[inline(never)]
    pub fn client(&self) -> Result<(RefMut<'_, Client>, Now), Refused> {
        let mut core = self.shared.core()?;
        let now = core.clock.now();
        if core.realm.client.has_full_message() {
            let effects = core.realm.take_effects(now);
            drop(core);
            // Whoever publishes much in one turn would keep its node waiting for the end of it.
            self.shared.perform(effects, &mut self.shared.notices.borrow_mut());
            core = self.shared.core()?;
        }
        self.shared.inbox.call();
        Ok((RefMut::map(core, |core| &mut core.realm.client), now))
    }

    /// Runs a verb of the client.
    pub fn with_client<R>(&self, verb: impl FnOnce(&mut Client, Now) -> R) -> Result<R, Refused> {
        let (mut client, now) = self.client()?;
        Ok(verb(&mut client, now))
    }

    /// Closes the bus. `Closed` is the last notice.
    pub fn close(&self, drain: bool) -> Result<(), Refused> {
        let mut core = self.shared.core()?;
        let now = core.clock.now();
        core.realm.close(now, drain);
        let has_begun = core.phase == Phase::Running || core.ran;
        if !has_begun && core.realm.client.is_closed() {
            // There is nothing to leave, nor to wait for the identity for.
            core.run();
        }
        self.shared.inbox.call();
        Ok(())
    }

    /// Asks the realm that hosts to drop its node with no farewell.
    pub fn kill_host(&self) -> Result<(), Refused> {
        let hosts_here = self.shared.core()?.realm.is_host();
        if hosts_here {
            self.shared.inbox.push(Arrival::Fact(Fact::KillNode));
        } else if let Some(platform) = &*self.shared.platform.borrow() {
            platform.kill_host();
        }
        Ok(())
    }

    /// What the next socket to the hub offers as subprotocols.
    pub fn offer(&self, protocols: Vec<String>) {
        if let Some(platform) = &mut *self.shared.platform.borrow_mut() {
            platform.offer(protocols);
        }
        self.shared.inbox.push(Arrival::Fact(Fact::TokenOffered));
    }

    /// A transport message came on a socket of this hub.
    pub fn at_socket(&self, socket: SocketId, bytes: Vec<u8>) {
        self.shared.inbox.push(Arrival::Fact(Fact::AtSocket { socket, bytes }));
    }

    /// What a socket of this hub may do from now on.
    pub fn socket_granted(&self, socket: SocketId, grant: Grant) {
        self.shared.inbox.push(Arrival::Fact(Fact::SocketGranted { socket, grant }));
    }

    /// A socket that an earlier node of this hub had.
    pub fn socket_adopted(&self, socket: SocketId) {
        self.shared.inbox.push(Arrival::Fact(Fact::SocketAdopted { socket }));
    }

    /// A socket of this hub is gone.
    pub fn socket_gone(&self, socket: SocketId) {
        self.shared.inbox.push(Arrival::Fact(Fact::SocketGone { socket }));
    }

    /// Tells of the worker that hosts for this page.
    pub fn worker_news(&self, news: WorkerNews) {
        self.shared.inbox.push(Arrival::Fact(Fact::Worker(news)));
    }

    /// Takes the lock of the node from whoever holds it.
    pub fn steal_lock(&self) -> Result<(), Refused> {
        self.shared.core()?.realm.steal_lock();
        self.shared.inbox.call();
        Ok(())
    }

    /// Lets go of all that is held of the runtime, with no farewell: a crash, as far as others can
    /// see. Also after a panic, unless that was in the very use of it.
    pub fn abandon(&self) {
        if let Ok(mut platform) = self.shared.platform.try_borrow_mut() {
            *platform = None;
        }
        if let Ok(mut timer) = self.shared.timer.try_borrow_mut() {
            timer.clear();
        }
    }

    pub fn client_id(&self) -> Result<ClientId, Refused> {
        Ok(self.shared.core()?.realm.client_id())
    }

    /// The last transport messages of this realm and what its storage was asked, oldest first.
    pub fn trace(&self) -> Result<Vec<String>, Refused> {
        Ok(self.shared.core()?.realm.trace_lines())
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // Not by counting: a panic in the drain keeps its count for good.
        self.abandon();
    }
}

impl Shared {
    fn new(
        inbox: Rc<Inbox<Arrival>>,
        core: Core,
        platform: Platform,
        timer: Option<TimerHost>,
        tell: Box<dyn Fn(Telling)>,
    ) -> Rc<Self> {
        let of_timer = inbox.clone();
        let timer = Timer::new(timer, move || of_timer.push(Arrival::TimerFired));
        let shared = Rc::new(Self {
            inbox,
            core: RefCell::new(core),
            platform: RefCell::new(Some(platform)),
            timer: RefCell::new(timer),
            tell,
            notices: RefCell::default(),
        });
        let weak: Weak<Self> = Rc::downgrade(&shared);
        shared.inbox.set_reader(move || {
            if let Some(shared) = weak.upgrade() {
                shared.drain();
            }
        });
        shared
    }

    fn core(&self) -> Result<RefMut<'_, Core>, Refused> {
        self.core.try_borrow_mut().map_err(|_| Refused::from(Code::Internal))
    }

    fn drain(&self) {
        self.inbox.begin();
        let mut notices = self.notices.take();
        loop {
            let arrival = self.inbox.pop();
            let more = arrival.is_some();
            let Some(effects) = self.step(arrival) else { return };
            self.perform(effects, &mut notices);
            if !more {
                break;
            }
        }
        self.rest(notices);
    }

    /// Feeds one arrival to the realm. `None` if the bus is closed or broken.
    fn step(&self, arrival: Option<Arrival>) -> Option<Vec<Effect>> {
        let mut core = self.core.try_borrow_mut().ok()?;
        let now = core.clock.now();
        // The platform is not borrowed while the realm works: after a panic of that its locks and
        // channels are let go of, or others would take the client for one that lives.
        match self.take(&mut core, arrival)? {
            Taken::Told(notice) => return Some([Effect::Tell(notice)].into()),
            Taken::Facts(facts) => facts.into_iter().for_each(|fact| core.realm.handle(now, fact)),
        }
        Some(core.realm.take_effects(now))
    }

    fn take(&self, core: &mut Core, arrival: Option<Arrival>) -> Option<Taken> {
        let mut platform = self.platform.borrow_mut();
        let platform = platform.as_mut()?;
        match arrival {
            None => {}
            Some(Arrival::TimerFired) => {
                self.timer.borrow_mut().fired();
                return Some(Taken::Facts([Fact::Tick].into()));
            }
            Some(Arrival::ClientLock(number, news)) if platform.is_current_claim(number) => {
                core.claimed(platform, news);
                if core.phase == Phase::Claimed {
                    return Some(Taken::Told(Notice::Claimed));
                }
            }
            Some(Arrival::Claims(held)) => {
                if let Some(notice) = core.look_at_claims(platform, &held) {
                    return Some(Taken::Told(notice));
                }
            }
            Some(Arrival::Persisted(persisted)) => core.learn(persisted),
            Some(arrival) => return Some(Taken::Facts(platform.facts_of(arrival))),
        }
        Some(Taken::Facts(Vec::new()))
    }

    fn perform(&self, effects: Vec<Effect>, notices: &mut Vec<Notice>) {
        let mut platform = self.platform.borrow_mut();
        let Some(platform) = &mut *platform else { return };
        for effect in effects {
            match effect {
                Effect::Tell(notice) => notices.push(notice),
                other => platform.perform(other),
            }
        }
        platform.flush();
    }

    /// Arms the timer and tells the user, with nothing borrowed.
    fn rest(&self, notices: Vec<Notice>) {
        let telling = {
            let Ok(mut core) = self.core.try_borrow_mut() else { return };
            let now = core.clock.now();
            self.timer.borrow_mut().set(now, core.realm.wake_at());
            let mut platform = self.platform.borrow_mut();
            let Some(in_files) = platform.as_ref().map(Platform::in_files) else { return };
            core.remember_host(&notices);
            if core.realm.is_closed() {
                *platform = None;
                self.timer.borrow_mut().set(now, None);
            }
            Telling { notices, now, in_files, persisted: core.persisted }
        };
        if !telling.notices.is_empty() {
            (self.tell)(telling);
        }
    }

    fn ask_whether_persisted(&self) {
        let Some(storage) = runtime::navigator::<StorageManager>("storage") else { return };
        let Ok(answer) = storage.persisted() else { return };
        let inbox = self.inbox.clone();
        spawn_local(async move {
            if let Ok(persisted) = JsFuture::from(answer).await {
                inbox.push(Arrival::Persisted(persisted.is_truthy()));
            }
        });
    }
}

impl Core {
    pub(super) fn run(&mut self) {
        self.phase = Phase::Running;
        let now = self.clock.now();
        self.realm.start(now);
    }

    /// Whoever asked for no kind of host takes what there is.
    pub(super) fn may_be_inline(&self) -> bool {
        matches!(self.host, HostChoice::Auto | HostChoice::BesideWorker { stands_by: true })
    }

    /// Says again who hosts: what is said beside it has changed.
    fn learn(&mut self, persisted: bool) {
        let changed = self.persisted != persisted;
        self.persisted = persisted;
        if let Some(host) = self.last_host.filter(|_| changed) {
            self.realm.tell(Notice::Host(host));
        }
    }

    fn remember_host(&mut self, notices: &[Notice]) {
        for notice in notices {
            if let Notice::Host(host) = notice {
                self.last_host = Some(*host);
            }
        }
    }
}

pub(super) fn new_identity() -> ClientId {
    ClientId(runtime::random_bytes())
}

#[wasm_bindgen]
extern "C" {
    type StorageManager;
    #[wasm_bindgen(method, catch)]
    fn persisted(this: &StorageManager) -> Result<Promise, JsValue>;
}
