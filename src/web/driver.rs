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

use crate::client::{Client, ClientConfig};
use crate::error::{Code, Refused};
use crate::id::ClientId;
use crate::limits::Limits;
use crate::options::Durability;
use crate::rules::Rules;
use crate::time::Now;
use crate::web::inbox::Inbox;
use crate::web::locks::{Ask, HeldLock, LockManager, LockNews};
use crate::web::names::Scope;
use crate::web::page_lifecycle;
use crate::web::platform::{Arrival, Platform};
pub use crate::web::platform::{HostKind, StorageChoice};
use crate::web::realm::{Effect, Fact, HostNews, Notice, Realm, RealmConfig};
use crate::web::runtime::{self, Clock};
use crate::web::session_storage;
use crate::web::timer::Timer;

/// Which host is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum HostChoice {
    /// A tab where there are locks and channels, else inline.
    #[default]
    Auto,
    Tab,
    Inline,
}

/// What a driver is made with.
#[derive(Clone, Debug)]
pub struct DriverOptions {
    pub user: Option<String>,
    pub host: HostChoice,
    pub storage: StorageChoice,
    /// The strongest level that will be asked for without being named.
    pub durability: Durability,
    pub limits: Limits,
    /// Name and tags for the other peers.
    pub peer: Vec<u8>,
}

/// What a drain has to tell, oldest first.
pub struct Telling {
    pub notices: Vec<Notice>,
    pub now: Now,
    pub kind: HostKind,
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
}

struct Core {
    realm: Realm,
    clock: Clock,
    host: HostChoice,
    phase: Phase,
    persisted: bool,
    last_host: Option<HostNews>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Idle,
    /// The client's identity is being claimed.
    Claiming,
    Running,
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
        let locks = choose_host(options.host)?.filter(|_| !in_files);
        let in_database = locks.is_some() && matches!(options.storage, StorageChoice::Auto);
        let persistent = in_files || in_database;
        if options.durability == Durability::Strict && !persistent {
            return Err(Refused::new(Code::Unsupported, "durability"));
        }
        let scope = Scope::new(bus, options.user.as_deref());
        let keepsake = locks.as_ref().and_then(|_| session_storage::take(&scope));
        let client = keepsake.map_or_else(new_identity, |keepsake| keepsake.client);
        let mut clock = Clock::default();
        let now = clock.now();
        let config = RealmConfig {
            client,
            limits: options.limits.clone(),
            visible: page_lifecycle::is_visible(),
            persistent,
            alone: in_files,
        };
        let client_config = ClientConfig {
            client,
            keepsake,
            peer: options.peer,
            limits: options.limits,
            rules: Rules::ON,
        };
        let core_client = Client::new(client_config, runtime::random_bytes(), now);
        let core = Core {
            realm: Realm::new(config, core_client, runtime::random_bytes()),
            clock,
            host: options.host,
            phase: Phase::Idle,
            persisted: false,
            last_host: None,
        };
        let inbox = Inbox::new();
        let platform = Platform::new(scope, client, options.storage, locks, inbox.clone());
        Ok(Self { shared: Shared::new(inbox, core, platform, Box::new(tell)) })
    }

    /// Starts to work.
    ///
    /// # Errors
    /// `INTERNAL` after a panic; so do all the others.
    pub fn start(&self) -> Result<(), Refused> {
        let mut core = self.shared.core()?;
        let mut platform = self.shared.platform.borrow_mut();
        let Some(platform) = &mut *platform else { return Err(Code::Closed.into()) };
        if core.phase != Phase::Idle {
            return Ok(());
        }
        self.shared.ask_whether_persisted();
        match platform.kind {
            HostKind::Tab => {
                core.phase = Phase::Claiming;
                platform.claim(Ask::IfAvailable);
            }
            HostKind::Inline => core.run(),
        }
        self.shared.inbox.call();
        Ok(())
    }

    /// The client, for one verb. What follows from it happens later.
    #[inline(never)]
    pub fn client(&self) -> Result<(RefMut<'_, Client>, Now), Refused> {
        let mut core = self.shared.core()?;
        let now = core.clock.now();
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
        if core.phase != Phase::Running {
            // There is nothing to leave.
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
        if let Ok(mut platform) = self.shared.platform.try_borrow_mut() {
            *platform = None;
        }
    }
}

impl Shared {
    fn new(
        inbox: Rc<Inbox<Arrival>>,
        core: Core,
        platform: Platform,
        tell: Box<dyn Fn(Telling)>,
    ) -> Rc<Self> {
        let of_timer = inbox.clone();
        let timer = Timer::new(move || of_timer.push(Arrival::TimerFired));
        let shared = Rc::new(Self {
            inbox,
            core: RefCell::new(core),
            platform: RefCell::new(Some(platform)),
            timer: RefCell::new(timer),
            tell,
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
        let mut notices = Vec::new();
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
        let mut platform = self.platform.borrow_mut();
        let platform = platform.as_mut()?;
        let now = core.clock.now();
        match arrival {
            None => {}
            Some(Arrival::TimerFired) => {
                self.timer.borrow_mut().fired();
                core.realm.handle(now, Fact::Tick);
            }
            Some(Arrival::ClientLock(number, news)) if platform.is_current_claim(number) => {
                core.claimed(platform, now, news);
            }
            Some(Arrival::Claims(held)) => core.look_at_claims(platform, &held),
            Some(Arrival::Persisted(persisted)) => return Some(core.learn(persisted)),
            Some(arrival) => {
                for fact in platform.facts_of(arrival) {
                    core.realm.handle(now, fact);
                }
            }
        }
        Some(core.realm.take_effects(now))
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
            let seen = platform.as_ref().map(|platform| (platform.kind, platform.in_files()));
            let Some((kind, in_files)) = seen else { return };
            core.remember_host(&notices);
            if core.realm.is_closed() {
                *platform = None;
                self.timer.borrow_mut().set(now, None);
            }
            Telling { notices, now, kind, in_files, persisted: core.persisted }
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
    fn run(&mut self) {
        self.phase = Phase::Running;
        let now = self.clock.now();
        self.realm.start(now);
    }

    /// News of the lock that makes the client's identity its own.
    fn claimed(&mut self, platform: &mut Platform, now: Now, news: LockNews) {
        match news {
            LockNews::Granted if self.phase == Phase::Claiming => {
                platform.start();
                self.run();
            }
            LockNews::Granted => self.realm.handle(now, Fact::Claimed),
            LockNews::Taken => platform.look_at_claims(),
            LockNews::Refused if self.phase == Phase::Claiming && self.host == HostChoice::Auto => {
                platform.fall_back_to_inline();
                self.run();
            }
            LockNews::Refused if self.phase == Phase::Claiming => {
                self.realm.refuse(Code::Unsupported, "host");
                self.run();
            }
            LockNews::Refused => {}
            LockNews::Lost => platform.claim(Ask::Wait),
        }
    }

    /// The identity was taken: by the tab this one was cloned from, or for a moment by a watcher.
    fn look_at_claims(&mut self, platform: &mut Platform, held: &[HeldLock]) {
        if self.phase != Phase::Claiming {
            return;
        }
        if platform.is_claimed_elsewhere(held) {
            platform.client = new_identity();
            self.realm.rename(platform.client);
        }
        platform.claim(Ask::IfAvailable);
    }

    /// Says again who hosts: what is said beside it has changed.
    fn learn(&mut self, persisted: bool) -> Vec<Effect> {
        let changed = self.persisted != persisted;
        self.persisted = persisted;
        let again = self.last_host.filter(|_| changed);
        again.map(|host| Effect::Tell(Notice::Host(host))).into_iter().collect()
    }

    fn remember_host(&mut self, notices: &[Notice]) {
        for notice in notices {
            if let Notice::Host(host) = notice {
                self.last_host = Some(*host);
            }
        }
    }
}

fn choose_host(choice: HostChoice) -> Result<Option<LockManager>, Refused> {
    let has_channels = runtime::global("BroadcastChannel").is_some();
    let has_database = runtime::global("indexedDB").is_some();
    let locks = runtime::navigator::<LockManager>("locks");
    let usable = locks.filter(|_| has_channels && has_database);
    match choice {
        HostChoice::Inline => Ok(None),
        HostChoice::Auto => Ok(usable),
        HostChoice::Tab if usable.is_none() => Err(Refused::new(Code::Unsupported, "host")),
        HostChoice::Tab => Ok(usable),
    }
}

fn new_identity() -> ClientId {
    ClientId(runtime::random_bytes())
}

#[wasm_bindgen]
extern "C" {
    type StorageManager;
    #[wasm_bindgen(method, catch)]
    fn persisted(this: &StorageManager) -> Result<Promise, JsValue>;
}
