//! One realm (a page, a worker or a process) on one bus: its client, and the node while this realm
//! hosts. It performs no I/O: facts go in, effects come out, and the driver performs them. So what
//! decides who hosts, who is watched and where a message goes runs the same in every test.
//!
//! The client and the node of one realm speak directly; others are reached by channels. A client
//! and the node share one channel, which wakes nobody else. Only a Hello goes to the channel of
//! the node, because the hosting realm can't know the client before.

use alloc::string::String;
use alloc::vec::Vec;

use crate::broker;
use crate::client::Client;
use crate::client::io::{Event, Input, Keepsake, Output};
use crate::cron::Offset;
use crate::error::Code;
use crate::id::{ClientId, Epoch, LinkNonce, OpId};
use crate::limits::Limits;
use crate::store::{StorageAction, StorageResult};
use crate::time::{Instant, Now, UnixMillis};
use crate::web::hosting::{Hosting, Tenure};
use crate::web::trace::{Trace, Way};
use crate::wire::frame::StorageReport;
use crate::wire::{Envelope, Message};

/// What happened to a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PageFact {
    Shown,
    Hidden,
    /// Nothing runs from here on until `Thawed`, which may never come.
    Frozen,
    Thawed,
    /// The page goes. If it is cached it may come back as it is, with `Restored`.
    Left {
        cached: bool,
    },
    Restored,
}

/// One fact for the realm. A tenure names the attempt to host that an answer belongs to; an answer
/// for an earlier one changes nothing.
#[derive(Debug)]
pub enum Fact {
    /// Time passed, or a verb was called.
    Tick,
    /// On the channel of this realm's client.
    AtClient(Vec<u8>),
    /// On the channel of the node or on one it shares with a client; only while hosting.
    AtNode(Vec<u8>),
    AtAll(Vec<u8>),
    Page(PageFact),
    /// The client's lock is held: again, after the page was restored.
    Claimed,
    LockGranted,
    LockLost,
    /// This context may not host.
    LockRefused,
    StorageOpened {
        tenure: Tenure,
        report: StorageReport,
    },
    StorageFailed {
        tenure: Tenure,
        code: Code,
        reason: &'static str,
    },
    StorageBlocked,
    Stored {
        tenure: Tenure,
        op: OpId,
        result: StorageResult,
    },
    Present {
        tenure: Tenure,
        clients: Vec<ClientId>,
    },
    /// The offsets of a time zone; none if it is not known.
    Zone {
        tenure: Tenure,
        zone: String,
        offsets: Vec<Offset>,
        until: UnixMillis,
    },
    Gone {
        client: ClientId,
    },
    VisiblePeer(bool),
    /// Drop the node with no farewell, as a crash would.
    KillNode,
}

/// One thing for the driver to do, in order.
#[derive(Debug)]
pub enum Effect {
    /// Post on the channel of the node.
    ToNode(Vec<u8>),
    /// Post on the channel of this realm's client, which the node has opened by now.
    ToNodeDirectly(Vec<u8>),
    /// Post on the channel of another client.
    ToClient(ClientId, Vec<u8>),
    ToAll(Vec<u8>),
    /// Ask for the node's lock, as the last in line or by force. An earlier request is taken back.
    RequestLock {
        steal: bool,
    },
    /// Give the lock back, or take the request back.
    ReleaseLock,
    /// Hold the lock that tells that this realm is visible.
    HoldVisible(bool),
    LookForVisiblePeer,
    /// Open the storage and listen as the node.
    BeginHosting(Tenure),
    /// Close the storage and all that `BeginHosting` and what followed opened.
    EndHosting,
    Perform {
        tenure: Tenure,
        op: OpId,
        action: StorageAction,
    },
    /// Listen on the channel shared with this client.
    OpenClient(ClientId),
    CloseClient(ClientId),
    /// Wait for the client's lock and tell `Gone`.
    Watch(ClientId),
    Unwatch(ClientId),
    ListPresent(Tenure),
    /// Tell the offsets of a time zone. Answer: `Zone`.
    AskZone {
        tenure: Tenure,
        zone: String,
        from: UnixMillis,
        until: UnixMillis,
    },
    /// Leave this for the next page of this tab.
    Keep(Keepsake),
    /// Close channels and give every lock back: the page goes into the cache.
    Suspend,
    /// Undo `Suspend`. Answer: `Claimed`.
    Resume,
    Tell(Notice),
}

/// What the user must know.
#[derive(PartialEq, Eq, Debug)]
pub enum Notice {
    Client(Event),
    /// Comes before the client's `Ready`.
    Host(HostNews),
    /// The storage is full (`true`) or has room again.
    StorageFull(bool),
    /// Another connection keeps the storage from being opened.
    StorageBlocked,
    /// This realm can't host; the bus may have another host.
    Error {
        code: Code,
        reason: &'static str,
    },
}

/// The node that a realm follows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HostNews {
    pub epoch: Epoch,
    /// This realm hosts it.
    pub here: bool,
    pub storage: StorageReport,
}

/// What a realm is made with.
#[derive(Clone, Debug)]
pub struct RealmConfig {
    pub client: ClientId,
    pub limits: Limits,
    pub visible: bool,
    /// Storage that outlives the realm will be tried. Without it the lock is never stolen, because
    /// nothing would stop the old host.
    pub persistent: bool,
    /// No other realm can host: when this one can't, the bus is over.
    pub alone: bool,
}

#[derive(Debug)]
pub struct Realm {
    pub(super) config: RealmConfig,
    pub client: Client,
    pub(super) hosting: Hosting,
    pub(super) page: Page,
    pub(super) effects: Vec<Effect>,
    link: LinkNonce,
    /// The node has answered on this link, so it listens on the client's channel.
    direct: bool,
    started: bool,
    closed: Option<Code>,
    pub(super) trace: Trace,
    pub(super) heard: Epoch,
    wake_at: Option<Instant>,
}

/// The page, as far as hosting goes.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub hidden_since: Option<Instant>,
    pub frozen: bool,
    /// In the cache, or gone for good.
    pub away: bool,
    /// The bus is being closed.
    pub closing: bool,
}

impl Page {
    pub fn may_host(&self) -> bool {
        !self.frozen && !self.away && !self.closing
    }
}

impl Realm {
    /// A realm that does nothing yet but take orders. `seed` must differ from realm to realm.
    pub fn new(config: RealmConfig, client: Client, seed: [u8; 32]) -> Self {
        Self {
            client,
            hosting: Hosting::new(seed),
            page: Page::default(),
            effects: Vec::new(),
            link: LinkNonce(0),
            direct: false,
            started: false,
            closed: None,
            trace: Trace::default(),
            heard: Epoch::default(),
            wake_at: None,
            config,
        }
    }

    /// Starts to work: asks for the node's lock.
    pub fn start(&mut self, now: Now) {
        self.started = true;
        if self.config.visible {
            self.effects.push(Effect::HoldVisible(true));
        } else {
            self.page.hidden_since = Some(now.mono);
            self.client.set_visible(now, false);
        }
        self.request_lock(false);
    }

    pub fn handle(&mut self, now: Now, fact: Fact) {
        match fact {
            Fact::Tick => {
                self.client.handle_input(now, Input::Tick);
                self.tick_hosting(now);
            }
            Fact::AtClient(bytes) => {
                let answers = |message: Message<'_>| message.envelope.link == self.link;
                self.direct = self.direct || Message::parse(&bytes).is_ok_and(answers);
                self.at_own_client(now, &bytes);
            }
            Fact::AtNode(bytes) => self.at_node(now, &bytes),
            Fact::AtAll(bytes) => {
                self.trace.record(now, Way::AllGot, &bytes);
                self.client.handle_input(now, Input::Heard { bytes: &bytes });
                self.node_input(now, broker::io::Input::Heard { bytes: &bytes });
            }
            Fact::Page(fact) => self.page_changed(now, fact),
            Fact::Claimed => {
                self.page.away = false;
                self.client.unpark(now);
                self.request_lock(false);
            }
            fact => self.handle_hosting(now, fact),
        }
    }

    /// What the driver has to do, in order, once client and node have nothing more to say.
    pub fn take_effects(&mut self, now: Now) -> Vec<Effect> {
        if !self.started {
            return Vec::new();
        }
        loop {
            let client_wake_at = self.pump_client(now);
            let (node_spoke, node_wake_at) = self.pump_node(now);
            if !node_spoke {
                self.wake_at = [client_wake_at, node_wake_at, self.hosting_wake_at(now)]
                    .into_iter()
                    .flatten()
                    .min();
                return core::mem::take(&mut self.effects);
            }
        }
    }

    /// When to give a `Tick` at the latest.
    pub fn wake_at(&self) -> Option<Instant> {
        self.wake_at
    }

    /// Closes the client, then hands over what this realm hosts. `Closed` comes last.
    pub fn close(&mut self, now: Now, drain: bool) {
        self.client.close(now, drain);
    }

    /// The identity was another's: this realm takes a new one. Only before `start`.
    pub fn rename(&mut self, client: ClientId) {
        self.config.client = client;
        self.client.rename(client);
    }

    /// This realm can't take part at all.
    pub fn refuse(&mut self, code: Code, reason: &'static str) {
        self.tell(Notice::Error { code, reason });
    }

    pub const fn client_id(&self) -> ClientId {
        self.config.client
    }

    /// This realm has the node's lock.
    pub fn is_host(&self) -> bool {
        self.hosting.is_here()
    }

    /// Everything is over: the driver may be dropped.
    pub fn is_closed(&self) -> bool {
        self.page.closing && self.closed.is_none()
    }

    /// The last transport messages, oldest first, as text.
    pub fn trace_lines(&self) -> Vec<String> {
        self.trace.lines()
    }

    pub(super) fn tell(&mut self, notice: Notice) {
        self.effects.push(Effect::Tell(notice));
    }

    fn pump_client(&mut self, now: Now) -> Option<Instant> {
        loop {
            match self.client.poll_output() {
                Output::Transmit { bytes } => self.transmit(now, bytes),
                Output::Broadcast { bytes } => {
                    self.trace.record(now, Way::AllSent, &bytes);
                    self.node_input(now, broker::io::Input::Heard { bytes: &bytes });
                    self.effects.push(Effect::ToAll(bytes));
                }
                Output::Event(event) => self.on_client_event(now, event),
                Output::Idle { wake_at } => return wake_at,
            }
        }
    }

    fn transmit(&mut self, now: Now, bytes: Vec<u8>) {
        self.trace.record(now, Way::ClientSent, &bytes);
        if self.hosting.is_here() {
            return self.at_node(now, &bytes);
        }
        // A link begins with position 1, and nobody listens on the client's channel by then.
        let head = Message::parse(&bytes).map(|message| message.envelope);
        if let Ok(Envelope { position: 1, link, .. }) = head {
            self.link = link;
            self.direct = false;
        }
        self.effects.push(match self.direct {
            true => Effect::ToNodeDirectly(bytes),
            false => Effect::ToNode(bytes),
        });
    }

    fn on_client_event(&mut self, now: Now, event: Event) {
        match event {
            Event::NodeSilent { .. } => self.node_silent(),
            Event::Ready { epoch, storage, .. } => {
                self.heard = self.heard.max(epoch);
                let here = self.hosting.epoch() == Some(epoch);
                self.tell(Notice::Host(HostNews { epoch, here, storage }));
                self.tell(Notice::Client(event));
            }
            Event::Closed { code } => {
                self.page.closing = true;
                self.closed = Some(code);
                self.hand_over(now);
            }
            event => self.tell(Notice::Client(event)),
        }
    }

    /// The last word, once this realm hosts no more.
    pub(super) fn tell_closed(&mut self) {
        if let Some(code) = self.closed.take() {
            self.tell(Notice::Client(Event::Closed { code }));
        }
    }

    /// Gives a message of the node to this realm's client.
    pub(super) fn at_own_client(&mut self, now: Now, bytes: &[u8]) {
        self.trace.record(now, Way::ClientGot, bytes);
        self.client.handle_input(now, Input::Received { bytes });
    }

    /// The node's message to everyone.
    pub(super) fn broadcast_of_node(&mut self, now: Now, bytes: Vec<u8>) {
        self.trace.record(now, Way::AllSent, &bytes);
        self.client.handle_input(now, Input::Heard { bytes: &bytes });
        self.effects.push(Effect::ToAll(bytes));
    }

    fn page_changed(&mut self, now: Now, fact: PageFact) {
        match fact {
            PageFact::Shown => {
                self.page.hidden_since = None;
                self.look_later(now);
                self.effects.push(Effect::HoldVisible(true));
                self.client.set_visible(now, true);
            }
            PageFact::Hidden => {
                self.page.hidden_since = Some(now.mono);
                self.look_later(now);
                self.effects.push(Effect::HoldVisible(false));
                self.client.set_visible(now, false);
                // To the end of the line: those that are visible come first, and if there is
                // nobody else a hidden page is better than none.
                if self.hosting.is_waiting() {
                    self.request_lock(false);
                }
            }
            PageFact::Frozen => {
                self.page.frozen = true;
                self.rest();
            }
            PageFact::Thawed => {
                self.page.frozen = false;
                self.client.handle_input(now, Input::Reachable);
                self.request_lock(false);
            }
            PageFact::Left { cached } => self.leave(now, cached),
            PageFact::Restored => self.effects.push(Effect::Resume),
        }
    }

    /// The page goes. Nothing can be waited for any more; the log is safe whatever happens.
    fn leave(&mut self, now: Now, cached: bool) {
        self.client.park(now);
        self.pump_client(now);
        self.pump_node(now);
        self.page.away = true;
        self.rest();
        if cached {
            // The identity stays with the page in the cache, so the next page must not get it.
            self.effects.push(Effect::Suspend);
        } else {
            self.effects.push(Effect::Keep(self.client.keepsake()));
        }
    }

    /// Gives up hosting and waiting at once.
    fn rest(&mut self) {
        self.end_hosting();
        self.effects.push(Effect::ReleaseLock);
        self.hosting.rest();
    }
}
