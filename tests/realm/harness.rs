//! Several realms in one process. What one of them asks for is performed at once, unless the test
//! holds it back.

use std::collections::VecDeque;

use tabmq::client::io::Event;
use tabmq::client::{Client, ClientConfig};
use tabmq::error::Code;
use tabmq::id::{ClientId, Epoch, OpId};
use tabmq::limits::Limits;
use tabmq::log::MemoryStore;
use tabmq::options::{Durability, HostKind};
use tabmq::rules::Rules;
use tabmq::store::{Key, StorageAction};
use tabmq::time::{Instant, Now, UnixMillis};
use tabmq::web::hosting::Tenure;
use tabmq::web::io::{Effect, Fact, Notice};
use tabmq::web::realm::{NodeAt, Realm, RealmConfig};
use tabmq::web::worker::{Part, WorkerNews};
use tabmq::wire::frame::{Item, StorageReport};

const REPORT: StorageReport =
    StorageReport { persistent: true, fenced: true, durability_max: Durability::Strict };

/// One realm, and what its browser does for it.
struct Page {
    realm: Realm,
    client: ClientId,
    has_client: bool,
    tenure: Tenure,
    /// Its process is stopped: facts wait, and no timer fires.
    stopped: bool,
    facts: VecDeque<Fact>,
    /// The storage answers so many actions of this page more, and then no more.
    answers: usize,
    /// It listens as the node.
    listens: bool,
    ready: bool,
    confirmed: usize,
    errors: Vec<&'static str>,
    /// How often its worker was to take the lock.
    asked: usize,
    /// With which codes its requests failed, and its client ended.
    failed: Vec<Code>,
    ended: Option<Code>,
    /// How many confirmed sends it was told to be gone.
    rolled_back: u64,
    /// How many it had, when it was told that the log is gone.
    cleared: Option<u64>,
}

pub struct World {
    now: Now,
    store: MemoryStore,
    pages: Vec<Page>,
    holder: Option<usize>,
    line: VecDeque<usize>,
}

impl World {
    /// Pages that start together, the first one at the head of the line.
    pub fn start(count: u8) -> Self {
        Self::start_as(&vec![Part::Whole; usize::from(count)], false)
    }

    /// A realm beside which none can host, as with files.
    pub fn start_alone() -> Self {
        Self::start_as(&[Part::Whole], true)
    }

    /// Pages and workers, the first one at the head of the line.
    pub fn start_parts(parts: &[Part]) -> Self {
        Self::start_as(parts, false)
    }

    fn start_as(parts: &[Part], alone: bool) -> Self {
        let now = Now { mono: Instant(1_000_000), unix: UnixMillis(1_700_000_000_000) };
        let mut world = Self {
            now,
            store: MemoryStore::default(),
            pages: Vec::new(),
            holder: None,
            line: VecDeque::new(),
        };
        for (number, part) in (0..).zip(parts) {
            world.pages.push(page(number, now, *part, alone));
        }
        for page in 0..parts.len() {
            world.pages[page].realm.start(now);
            world.perform(page);
        }
        world
    }

    /// The storage answers only so many further actions of this page.
    pub fn answer_only(&mut self, page: usize, answers: usize) {
        self.pages[page].answers = answers;
    }

    pub fn stop(&mut self, page: usize) {
        self.pages[page].stopped = true;
    }

    pub fn resume(&mut self, page: usize) {
        self.pages[page].stopped = false;
    }

    /// How often the page has begun to host.
    pub fn begun(&self, page: usize) -> u32 {
        self.pages[page].tenure.0
    }

    pub fn is_ready(&self, page: usize) -> bool {
        self.pages[page].ready
    }

    /// Sends one message from the page.
    pub fn send(&mut self, page: usize) {
        let now = self.now;
        let item = Item {
            body: b"body",
            properties: None,
            delay_ms: None,
            track: None,
            past: None,
            ttl_ms: None,
            priority: None,
            prepare: None,
        };
        let request = self.pages[page].realm.client.send(now, "q", &[item], None);
        request.expect("taken");
        self.perform(page);
    }

    /// How many sends of the page are confirmed.
    pub fn confirmed(&self, page: usize) -> usize {
        self.pages[page].confirmed
    }

    /// Another process claims the store.
    pub fn take_over(&mut self) {
        let fence = self.store.fence_mut();
        *fence = fence.map(|epoch| Epoch { counter: epoch.counter + 1, incarnation: 0 });
    }

    /// The browser drops what is stored, and with it the connection of the host.
    pub fn clear_storage(&mut self) {
        self.store = MemoryStore::default();
        self.lose_connection();
    }

    /// The connection of the host breaks.
    pub fn lose_connection(&mut self) {
        if let Some(page) = self.holder {
            let tenure = self.pages[page].tenure;
            self.tell(page, Fact::ConnectionLost { tenure });
        }
    }

    /// Changes the last byte of the newest chunk.
    pub fn damage_newest(&mut self) {
        let values = self.store.values_mut();
        let chunk = values.keys().rfind(|key| matches!(key, Key::Chunk(_))).copied();
        let bytes = chunk.and_then(|chunk| values.get_mut(&chunk)).expect("a chunk");
        *bytes.last_mut().expect("it is not empty") ^= 1;
    }

    /// The current host is gone, as if its page had died.
    pub fn kill_host(&mut self) {
        if let Some(page) = self.holder {
            self.tell(page, Fact::KillNode);
        }
    }

    /// With which codes requests of the page failed, and its client ended.
    pub fn ends(&self, page: usize) -> (&[Code], Option<Code>) {
        (&self.pages[page].failed, self.pages[page].ended)
    }

    /// A further realm, at the end of the line. Returns its number.
    pub fn add(&mut self, part: Part) -> usize {
        let added = self.pages.len();
        let number = u8::try_from(added).expect("a few pages");
        self.pages.push(page(number, self.now, part, false));
        self.pages[added].realm.start(self.now);
        self.perform(added);
        added
    }

    /// Tells a page of its worker.
    pub fn tell_of_worker(&mut self, page: usize, news: WorkerNews) {
        self.tell(page, Fact::Worker(news));
    }

    /// How often the worker of the page was to take the lock.
    pub fn asked(&self, page: usize) -> usize {
        self.pages[page].asked
    }

    /// The worker takes the lock by force.
    pub fn steal(&mut self, worker: usize) {
        self.pages[worker].realm.steal_lock();
        self.perform(worker);
    }

    /// The process of the realm is gone.
    pub fn kill(&mut self, page: usize) {
        self.pages[page].stopped = true;
        self.pages[page].listens = false;
        self.release_lock(page);
    }

    /// Closes the bus of the realm.
    pub fn close(&mut self, page: usize) {
        self.pages[page].realm.close(self.now, false);
        self.perform(page);
    }

    /// The last that happened to the page, as text.
    pub fn trace(&self, page: usize) -> Vec<String> {
        self.pages[page].realm.trace_lines()
    }

    /// How many confirmed sends the page was told to be gone.
    pub fn rolled_back(&self, page: usize) -> u64 {
        self.pages[page].rolled_back
    }

    /// How many confirmed sends the page had, if it was told that the log is gone.
    pub fn cleared(&self, page: usize) -> Option<u64> {
        self.pages[page].cleared
    }

    /// Which page has the lock.
    pub fn host(&self) -> Option<usize> {
        self.holder
    }

    pub fn errors(&self, page: usize) -> &[&'static str] {
        &self.pages[page].errors
    }

    /// Lets time pass, with every timer in between.
    pub fn pass_ms(&mut self, ms: u64) {
        let end = self.now.mono.after_ms(ms);
        self.deliver();
        loop {
            let running = self.pages.iter().filter(|page| !page.stopped);
            let due = running.filter_map(|page| page.realm.wake_at()).min();
            let at = due.unwrap_or(end).max(self.now.mono).min(end);
            self.now.unix.0 += at.ms_since(self.now.mono);
            self.now.mono = at;
            if due.is_none_or(|due| due > end) {
                return;
            }
            for page in 0..self.pages.len() {
                if self.pages[page].realm.wake_at().is_some_and(|wake_at| wake_at <= at) {
                    self.pages[page].facts.push_back(Fact::Tick);
                }
            }
            self.deliver();
            // A timer is never exactly on time, so nothing here spins.
            self.now.mono = self.now.mono.after_ms(1).min(end);
        }
    }

    /// Gives every page that runs what waits for it, until nothing does.
    fn deliver(&mut self) {
        while let Some(page) =
            self.pages.iter().position(|page| !page.stopped && !page.facts.is_empty())
        {
            if let Some(fact) = self.pages[page].facts.pop_front() {
                self.pages[page].realm.handle(self.now, fact);
                self.perform(page);
            }
        }
    }

    fn perform(&mut self, page: usize) {
        for effect in self.pages[page].realm.take_effects(self.now) {
            self.perform_one(page, effect);
        }
    }

    fn perform_one(&mut self, page: usize, effect: Effect) {
        match effect {
            Effect::ToNode(bytes) | Effect::ToNodeDirectly(bytes) => {
                for other in self.pages.iter_mut().filter(|other| other.listens) {
                    other.facts.push_back(Fact::AtNode(bytes.clone()));
                }
            }
            Effect::ToClient(client, bytes) => {
                for other in self.pages.iter_mut().filter(|other| other.client == client) {
                    other.facts.push_back(Fact::AtClient(bytes.clone()));
                }
            }
            Effect::ToAll(bytes) => {
                for (_, other) in self.pages.iter_mut().enumerate().filter(|(at, _)| *at != page) {
                    other.facts.push_back(Fact::AtAll(bytes.clone()));
                }
            }
            Effect::RequestLock { steal } => self.request_lock(page, steal),
            Effect::ReleaseLock => self.release_lock(page),
            Effect::BeginHosting(tenure) => {
                self.pages[page].tenure = tenure;
                self.pages[page].listens = true;
                if self.answers(page) {
                    self.tell(page, Fact::StorageOpened { tenure, report: REPORT });
                }
            }
            Effect::EndHosting => self.pages[page].listens = false,
            Effect::Perform { tenure, op, action } => self.store(page, tenure, op, &action),
            Effect::ListPresent(tenure) => {
                let living = self.pages.iter().filter(|page| page.has_client);
                let clients = living.map(|page| page.client).collect();
                self.tell(page, Fact::Present { tenure, clients });
            }
            Effect::Tell(Notice::Client(Event::Ready { .. })) => self.pages[page].ready = true,
            Effect::Tell(Notice::Client(Event::Sent { .. })) => self.pages[page].confirmed += 1,
            Effect::Tell(Notice::Client(Event::Cleared { confirmed })) => {
                self.pages[page].cleared = Some(confirmed.0);
            }
            Effect::Tell(Notice::Client(Event::RolledBack { confirmed, position })) => {
                self.pages[page].rolled_back += confirmed.0 - position.0;
            }
            Effect::Tell(Notice::Client(Event::Failed { code, .. })) => {
                self.pages[page].failed.push(code);
            }
            Effect::Tell(Notice::Client(Event::Closed { code })) => {
                self.pages[page].ended = Some(code);
            }
            Effect::Tell(Notice::WorkerMustHost) => self.pages[page].asked += 1,
            Effect::Tell(Notice::WaitsAgain) => {
                for other in self.pages.iter_mut().filter(|other| other.has_client) {
                    other.facts.push_back(Fact::Worker(WorkerNews::Up));
                }
            }
            Effect::Tell(Notice::Error { reason, .. }) => self.pages[page].errors.push(reason),
            _ => {}
        }
    }

    fn store(&mut self, page: usize, tenure: Tenure, op: OpId, action: &StorageAction) {
        if self.answers(page) {
            let result = self.store.perform(action);
            self.tell(page, Fact::Stored { tenure, op, result });
        }
    }

    fn answers(&mut self, page: usize) -> bool {
        let answers = &mut self.pages[page].answers;
        let answered = *answers > 0;
        *answers = answers.saturating_sub(1);
        answered
    }

    fn tell(&mut self, page: usize, fact: Fact) {
        self.pages[page].facts.push_back(fact);
    }

    fn request_lock(&mut self, page: usize, steal: bool) {
        // A request takes back the one before it, with what came of that.
        self.line.retain(|waiting| *waiting != page);
        self.holder = self.holder.filter(|holder| *holder != page);
        self.pages[page].facts.retain(|fact| !matches!(fact, Fact::LockGranted));
        if !steal {
            self.line.push_back(page);
        } else if let Some(robbed) = self.holder.replace(page) {
            self.tell(robbed, Fact::LockLost);
            self.tell(page, Fact::LockGranted);
        }
        self.grant();
    }

    fn release_lock(&mut self, page: usize) {
        self.line.retain(|waiting| *waiting != page);
        self.holder = self.holder.filter(|holder| *holder != page);
        self.grant();
    }

    fn grant(&mut self) {
        if self.holder.is_none()
            && let Some(next) = self.line.pop_front()
        {
            self.holder = Some(next);
            self.tell(next, Fact::LockGranted);
        }
    }
}

fn page(number: u8, now: Now, part: Part, alone: bool) -> Page {
    let client = ClientId([number + 1; 16]);
    let limits = Limits::default();
    let config = ClientConfig {
        client,
        keepsake: None,
        peer: Vec::new(),
        limits: limits.clone(),
        rules: Rules::ON,
    };
    let core = Client::new(config, [number + 1; 32], now);
    let config = RealmConfig {
        client,
        limits,
        rules: Rules::ON,
        visible: true,
        part,
        node_at: NodeAt::Device,
        kind: HostKind::Tab,
        persistent: true,
        alone,
        guest: false,
        naps: None,
    };
    Page {
        realm: Realm::new(config, core, [number + 101; 32]),
        client,
        has_client: part != Part::Worker,
        tenure: Tenure::default(),
        stopped: false,
        facts: VecDeque::new(),
        answers: usize::MAX,
        listens: false,
        ready: false,
        confirmed: 0,
        errors: Vec::new(),
        asked: 0,
        failed: Vec::new(),
        ended: None,
        rolled_back: 0,
        cleared: None,
    }
}
