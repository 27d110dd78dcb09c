//! What a realm has of the browser: channels, locks, storage. It performs effects and turns what
//! the browser tells into facts.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use crate::error::Code;
use crate::id::{ClientId, OpId};
use crate::limits::Limits;
use crate::log::MemoryStore;
use crate::options::{Durability, HostKind};
use crate::sorted::Map;
use crate::store::StorageAction;
use crate::web::broadcast_channel::Channel;
use crate::web::choices::{Reach, StorageChoice};
use crate::web::hosting::Tenure;
use crate::web::inbox::Inbox;
use crate::web::indexed_db::{self, Database, Done, OpenFault};
use crate::web::io::{Effect, Fact};
use crate::web::js_storage::JsStorage;
use crate::web::locks::{self, Ask, HeldLock, LockManager, LockNews, LockRequest};
use crate::web::names::Scope;
use crate::web::page_lifecycle::PageLifecycle;
use crate::web::runtime;
use crate::web::session_storage;
use crate::web::socket::{Bounds, SocketNews};
use crate::web::storage_batch::News;
use crate::web::way::Way;
use crate::web::zones;
use crate::wire::frame::StorageReport;

const IN_MEMORY: StorageReport =
    StorageReport { persistent: false, fenced: false, durability_max: Durability::Memory };
const IN_INDEXED_DB: StorageReport =
    StorageReport { persistent: true, fenced: true, durability_max: Durability::Strict };
/// They promise the same.
const IN_FILES: StorageReport = IN_INDEXED_DB;

/// What a callback of the browser leaves in the inbox.
pub enum Arrival {
    Fact(Fact),
    TimerFired,
    /// News of the request for the node's lock that has this number.
    NodeLock(u32, LockNews),
    /// News of the request for the client's own lock that has this number.
    ClientLock(u32, LockNews),
    /// The locks that are held, after the client's own was found taken.
    Claims(Vec<HeldLock>),
    Storage(Tenure, indexed_db::Arrival),
    /// Answers of a storage that JavaScript performs.
    Answers(Tenure, Vec<u8>),
    /// Whether the browser promised to keep the storage.
    Persisted(bool),
    /// News of the socket to the hub that has this number.
    Socket(u32, SocketNews),
}

enum Storage {
    None,
    Memory(MemoryStore),
    IndexedDb(Box<Database>),
    Files(JsStorage),
}

pub struct Platform {
    pub scope: Scope,
    /// What this realm is. `Inline`: there are no locks, or no channels, to share a node.
    pub kind: HostKind,
    pub client: ClientId,
    /// The page is another client's.
    pub guest: bool,
    inbox: Rc<Inbox<Arrival>>,
    /// No peer sends a longer transport message.
    message_bytes_max: u32,
    locks: Option<LockManager>,
    choice: StorageChoice,
    storage: Storage,
    way: Way,
    tenure: Tenure,
    /// The channel that this realm's client shares with the node, and the one of everybody.
    own: Option<[Channel; 2]>,
    /// The channel of the node, from a Hello to its answer.
    greeting: Option<Channel>,
    /// The channels that only a host has: of the node, and the one on which it is killed.
    host: Option<[Channel; 2]>,
    clients: Map<ClientId, Channel>,
    watched: Map<ClientId, LockRequest>,
    node_lock: Option<LockRequest>,
    node_lock_number: u32,
    client_lock: Option<LockRequest>,
    client_lock_number: u32,
    visible_lock: Option<LockRequest>,
    _lifecycle: Option<PageLifecycle>,
}

impl Platform {
    pub fn new(
        scope: Scope,
        client: ClientId,
        choice: StorageChoice,
        reach: Reach,
        limits: &Limits,
        locks: Option<LockManager>,
        inbox: &Rc<Inbox<Arrival>>,
    ) -> Self {
        // One to everyone is not cut.
        let live_bytes_max = limits.body_bytes_max.saturating_add(limits.headers_bytes_max);
        let message_bytes_max = live_bytes_max.saturating_add(limits.fragment_bytes_max);
        let buffered_bytes_max = limits.socket_buffered_bytes_max;
        Self {
            scope,
            kind: if locks.is_some() { runtime::kind() } else { HostKind::Inline },
            client,
            guest: false,
            way: Way::new(reach, Bounds { message_bytes_max, buffered_bytes_max }, inbox.clone()),
            inbox: inbox.clone(),
            message_bytes_max,
            locks,
            choice,
            storage: Storage::None,
            tenure: Tenure::default(),
            own: None,
            greeting: None,
            host: None,
            clients: Map::new(),
            watched: Map::new(),
            node_lock: None,
            node_lock_number: 0,
            client_lock: None,
            client_lock_number: 0,
            visible_lock: None,
            _lifecycle: None,
        }
    }

    /// Opens what every realm has, once its client's identity is its own.
    pub fn start(&mut self) {
        if self.kind != HostKind::Inline {
            if !self.guest {
                let inbox = self.inbox.clone();
                let report = move |fact| inbox.push(Arrival::Fact(Fact::Page(fact)));
                self._lifecycle = Some(PageLifecycle::new(report));
            }
            self.open_own_channels();
        }
    }

    /// This context may not have locks: everything stays in this realm.
    pub fn fall_back_to_inline(&mut self) {
        self.locks = None;
        self.kind = HostKind::Inline;
    }

    /// Asks for the lock that says that the client lives.
    pub fn claim(&mut self, ask: Ask) {
        self.client_lock_number += 1;
        let number = self.client_lock_number;
        let name = self.scope.client_lock(self.client);
        self.client_lock = None;
        let wrap = move |news| Arrival::ClientLock(number, news);
        self.client_lock = self.request(&name, ask, wrap);
    }

    /// Whether news of this number is about the latest request.
    pub fn is_current_claim(&self, number: u32) -> bool {
        number == self.client_lock_number
    }

    /// Lists the locks that are held.
    pub fn look_at_claims(&self) {
        self.list_held(Arrival::Claims);
    }

    /// The facts in what the browser told.
    pub fn facts_of(&mut self, arrival: Arrival) -> Vec<Fact> {
        match arrival {
            Arrival::Fact(fact) => [fact].into(),
            Arrival::NodeLock(number, news) if number == self.node_lock_number => [match news {
                LockNews::Granted => Fact::LockGranted,
                LockNews::Lost => Fact::LockLost,
                LockNews::Refused | LockNews::Taken => Fact::LockRefused,
            }]
            .into(),
            Arrival::Storage(tenure, arrival) if tenure == self.tenure => {
                if let Storage::IndexedDb(database) = &mut self.storage {
                    database.handle(arrival);
                }
                self.storage_facts()
            }
            Arrival::Answers(tenure, batch) if tenure == self.tenure => self.answered(&batch),
            Arrival::Socket(number, news) => self.way.facts_of(number, news),
            _ => Vec::new(),
        }
    }

    pub fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::ToHub(bytes) => self.way.send(&bytes),
            Effect::ProbeHub => self.way.probe(),
            Effect::LookAtSocket => self.way.look(),
            Effect::DropSocket => self.way.drop_socket(),
            Effect::Renew { socket, token } => self.way.renew(socket, &token),
            Effect::SendsLost { socket, client, count } => self.way.lost(socket, client, count),
            Effect::NextDoor => self.way.leave_door(),
            Effect::ToSockets { sockets, bytes } => self.way.send_to(&sockets, &bytes),
            Effect::CloseSocket { socket, code } => self.way.close(socket, code),
            Effect::ToNode(bytes) => self.greet(&bytes),
            Effect::ToNodeDirectly(bytes) => {
                // While it is open this realm is woken by everyone's greetings.
                self.greeting = None;
                if let Some([client, _]) = &self.own {
                    client.post(&bytes);
                }
            }
            Effect::ToClient(client, bytes) => {
                if let Some(channel) = self.clients.get(&client) {
                    channel.post(&bytes);
                }
            }
            Effect::ToAll(bytes) => {
                if let Some([_, all]) = &self.own {
                    all.post(&bytes);
                }
            }
            Effect::RequestLock { steal } => self.request_node_lock(steal),
            Effect::ReleaseLock => self.node_lock = None,
            Effect::HoldVisible(visible) => {
                self.visible_lock = None;
                if visible {
                    let name = self.scope.visible();
                    self.visible_lock = self.request_silently(&name, Ask::Share, |_| None);
                }
            }
            Effect::LookForVisiblePeer => {
                let name = self.scope.visible();
                self.list_held(move |held| {
                    let visible = held.iter().any(|lock| lock.name == name);
                    Arrival::Fact(Fact::VisiblePeer(visible))
                });
            }
            Effect::BeginHosting(tenure) => self.begin_hosting(tenure),
            Effect::EndHosting => self.end_hosting(),
            Effect::Perform { tenure, op, action } => self.store(tenure, op, action),
            Effect::OpenClient(client) => self.open_client(client),
            Effect::CloseClient(client) => drop(self.clients.remove(&client)),
            Effect::Watch(client) => self.watch(client),
            Effect::Unwatch(client) => drop(self.watched.remove(&client)),
            Effect::ListPresent(tenure) => self.list_present(tenure),
            Effect::AskZone { tenure, zone, from, until } => {
                let offsets = zones::offsets(&zone, from, until).unwrap_or_default();
                self.inbox.push(Arrival::Fact(Fact::Zone { tenure, zone, offsets, until }));
            }
            Effect::Keep(keepsake) => session_storage::put(&self.scope, &keepsake),
            Effect::Suspend => self.suspend(),
            Effect::Resume => {
                self.open_own_channels();
                self.claim(Ask::Wait);
            }
            // The driver takes these out.
            Effect::Tell(_) => {}
        }
    }

    /// What the next socket to the hub offers as subprotocols.
    pub fn offer(&mut self, protocols: Vec<String>) {
        self.way.offer(protocols);
    }

    /// Posts on the channel of the host that kills its node.
    pub fn kill_host(&self) {
        if let Some(channel) = Channel::open(&self.scope.kill()) {
            channel.post(&[]);
        }
    }

    fn open_own_channels(&mut self) {
        let own = self.listen(&self.scope.client_channel(self.client), Fact::AtClient);
        let all = self.listen(&self.scope.all(), Fact::AtAll);
        self.own = own.zip(all).map(|(own, all)| [own, all]);
    }

    fn listen(&self, name: &str, fact: fn(Vec<u8>) -> Fact) -> Option<Channel> {
        let inbox = self.inbox.clone();
        Channel::listen(name, self.message_bytes_max, move |bytes| {
            inbox.push(Arrival::Fact(fact(bytes)))
        })
    }

    fn greet(&mut self, bytes: &[u8]) {
        if self.kind == HostKind::Inline {
            return;
        }
        if self.greeting.is_none() {
            self.greeting = Channel::open(&self.scope.node());
        }
        if let Some(greeting) = &self.greeting {
            greeting.post(bytes);
        }
    }

    fn request(
        &self,
        name: &str,
        ask: Ask,
        wrap: impl Fn(LockNews) -> Arrival + 'static,
    ) -> Option<LockRequest> {
        self.request_silently(name, ask, move |news| Some(wrap(news)))
    }

    /// Without locks nothing is ever granted.
    fn request_silently(
        &self,
        name: &str,
        ask: Ask,
        wrap: impl Fn(LockNews) -> Option<Arrival> + 'static,
    ) -> Option<LockRequest> {
        let inbox = self.inbox.clone();
        LockRequest::new(self.locks.as_ref()?, name, ask, move |news| {
            if let Some(arrival) = wrap(news) {
                inbox.push(arrival);
            }
        })
    }

    fn list_held(&self, wrap: impl FnOnce(Vec<HeldLock>) -> Arrival + 'static) {
        let inbox = self.inbox.clone();
        if let Some(manager) = &self.locks {
            locks::list_held(manager, move |held| inbox.push(wrap(held)));
        }
    }

    fn request_node_lock(&mut self, steal: bool) {
        self.node_lock_number += 1;
        let number = self.node_lock_number;
        // Before the next request, or that would wait for this one.
        self.node_lock = None;
        if self.kind == HostKind::Inline {
            return self.inbox.push(Arrival::NodeLock(number, LockNews::Granted));
        }
        let ask = if steal { Ask::Steal } else { Ask::Wait };
        let wrap = move |news| Arrival::NodeLock(number, news);
        self.node_lock = self.request(&self.scope.node(), ask, wrap);
    }

    fn begin_hosting(&mut self, tenure: Tenure) {
        self.tenure = tenure;
        if self.kind != HostKind::Inline {
            let node = self.listen(&self.scope.node(), Fact::AtNode);
            let kill = self.listen(&self.scope.kill(), |_| Fact::KillNode);
            self.host = node.zip(kill).map(|(node, kill)| [node, kill]);
        }
        if matches!(self.way, Way::ToHub(_)) {
            return;
        }
        let inbox = self.inbox.clone();
        if let StorageChoice::Files(maker) = &self.choice {
            let arrive = move |batch| inbox.push(Arrival::Answers(tenure, batch));
            self.storage = Storage::Files(JsStorage::open(maker, arrive));
            return;
        }
        if matches!(self.choice, StorageChoice::Memory) || self.kind == HostKind::Inline {
            return self.use_memory();
        }
        let arrive = move |arrival| inbox.push(Arrival::Storage(tenure, arrival));
        self.storage = Storage::IndexedDb(Box::new(Database::new(self.scope.as_str(), arrive)));
        for fact in self.storage_facts() {
            self.inbox.push(Arrival::Fact(fact));
        }
    }

    fn use_memory(&mut self) {
        self.storage = Storage::Memory(MemoryStore::default());
        let (tenure, report) = (self.tenure, IN_MEMORY);
        self.inbox.push(Arrival::Fact(Fact::StorageOpened { tenure, report }));
    }

    fn end_hosting(&mut self) {
        self.storage = Storage::None;
        self.way.drop_socket();
        self.host = None;
        self.clients.clear();
        self.watched.clear();
    }

    fn store(&mut self, tenure: Tenure, op: OpId, action: StorageAction) {
        match &mut self.storage {
            Storage::None => {}
            Storage::Memory(store) => {
                let result = store.perform(&action);
                self.inbox.push(Arrival::Fact(Fact::Stored { tenure, op, result }));
            }
            Storage::Files(files) => files.perform(op, &action),
            Storage::IndexedDb(database) => {
                database.perform(op, action);
                for fact in self.storage_facts() {
                    self.inbox.push(Arrival::Fact(fact));
                }
            }
        }
    }

    /// Everything that was to be performed was given: what waits goes out.
    pub fn flush(&mut self) {
        if let Storage::Files(files) = &mut self.storage {
            files.flush();
        }
    }

    /// What is kept lies in files.
    pub fn in_files(&self) -> bool {
        matches!(self.choice, StorageChoice::Files(_))
    }

    fn answered(&mut self, batch: &[u8]) -> Vec<Fact> {
        let Storage::Files(files) = &mut self.storage else { return Vec::new() };
        let tenure = self.tenure;
        let fact = |news| match news {
            News::Ready => Fact::StorageOpened { tenure, report: IN_FILES },
            News::Unusable(code, reason) => Fact::StorageFailed { tenure, code, reason },
            News::Stored(op, result) => Fact::Stored { tenure, op, result },
        };
        files.read(batch).into_iter().map(fact).collect()
    }

    fn storage_facts(&mut self) -> Vec<Fact> {
        let Storage::IndexedDb(database) = &mut self.storage else { return Vec::new() };
        let tenure = self.tenure;
        let mut facts = Vec::new();
        for done in database.take_done() {
            facts.push(match done {
                Done::Opened => Fact::StorageOpened { tenure, report: IN_INDEXED_DB },
                Done::Blocked => Fact::StorageBlocked,
                Done::Lost => Fact::ConnectionLost { tenure },
                Done::Stored { op, result } => Fact::Stored { tenure, op, result },
                Done::OpenFailed(OpenFault::Newer) => {
                    let code = Code::UpgradeRequired;
                    Fact::StorageFailed { tenure, code, reason: "database version" }
                }
                Done::OpenFailed(OpenFault::Failed) => {
                    Fact::StorageFailed { tenure, code: Code::Storage, reason: "open" }
                }
                Done::OpenFailed(OpenFault::Refused) => {
                    self.use_memory();
                    return facts;
                }
            });
        }
        facts
    }

    fn open_client(&mut self, client: ClientId) {
        if let Some(channel) = self.listen(&self.scope.client_channel(client), Fact::AtNode) {
            self.clients.insert(client, channel);
        }
    }

    fn watch(&mut self, client: ClientId) {
        if self.watched.contains_key(&client) {
            return;
        }
        // Shared, so that a page that comes back is not refused its own lock by a watcher.
        let name = self.scope.client_lock(client);
        let wrap =
            move |news| (news == LockNews::Granted).then_some(Arrival::Fact(Fact::Gone { client }));
        if let Some(request) = self.request_silently(&name, Ask::Share, wrap) {
            self.watched.insert(client, request);
        }
    }

    fn list_present(&self, tenure: Tenure) {
        if self.kind == HostKind::Inline {
            let clients = [self.client].into();
            return self.inbox.push(Arrival::Fact(Fact::Present { tenure, clients }));
        }
        let scope = self.scope.clone();
        self.list_held(move |held| {
            let alive = held.iter().filter(|lock| !lock.shared);
            let clients = alive.filter_map(|lock| scope.client_of_lock(&lock.name)).collect();
            Arrival::Fact(Fact::Present { tenure, clients })
        });
    }

    fn suspend(&mut self) {
        self.own = None;
        self.greeting = None;
        self.client_lock = None;
        self.client_lock_number += 1;
        self.visible_lock = None;
    }

    /// Whether the lock of this client is held by another realm.
    pub fn is_claimed_elsewhere(&self, held: &[HeldLock]) -> bool {
        let name: String = self.scope.client_lock(self.client);
        held.iter().any(|lock| lock.name == name && !lock.shared)
    }
}
