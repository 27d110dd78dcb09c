//! One realm (a page, a worker or a process) on one bus: its client, and the node while this realm
//! hosts. It performs no I/O: facts go in, effects come out, and the driver performs them. So what
//! decides who hosts, who is watched and where a message goes runs the same in every test.
//!
//! The client and the node of one realm speak directly; others are reached by channels. A client
//! and the node share one channel, which wakes nobody else. Only a Hello goes to the channel of
//! the node, because the hosting realm can't know the client before.

use alloc::string::String;
use alloc::vec::Vec;

use crate::broker::{self, Broker};
use crate::client::Client;
use crate::client::io::{Event, Input, Output};
use crate::error::Code;
use crate::id::{ClientId, Epoch, LinkNonce};
use crate::limits::Limits;
use crate::node::Naps;
use crate::options::HostKind;
use crate::rules::Rules;
use crate::time::{Instant, Now};
use crate::web::hosting::Hosting;
use crate::web::io::{Effect, Fact, HostNews, Notice, PageFact};
use crate::web::load::Full;
use crate::web::relay::Relay;
use crate::web::sockets::Sockets;
use crate::web::to_hub::ToHub;
use crate::web::trace::{Trace, Way};
use crate::web::worker::{Part, Worker};
use crate::wire::{Envelope, Message};

/// Where the node is that a realm belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum NodeAt {
    /// In one of the realms of the device, which share channels and a lock.
    #[default]
    Device,
    /// At a hub. The realm that holds the lock relays for the others of the device.
    Hub,
    /// In this realm, which is a hub: others reach it through sockets.
    Here,
}

/// What a realm is made with.
#[derive(Clone, Debug)]
pub struct RealmConfig {
    pub client: ClientId,
    pub limits: Limits,
    /// Those of a node of this realm.
    pub rules: Rules,
    pub visible: bool,
    pub part: Part,
    pub node_at: NodeAt,
    /// What a node of this realm says of where it runs.
    pub kind: HostKind,
    /// Storage that outlives the realm will be tried. Without it the lock is never stolen, because
    /// nothing would stop the old host.
    pub persistent: bool,
    /// No other realm can host: when this one can't, the bus is over.
    pub alone: bool,
    /// It goes on with what a dead client left behind: it never hosts.
    pub guest: bool,
    /// A hub whose process may fall asleep with its sockets open, and lose its memory.
    pub naps: Option<Naps>,
}

#[derive(Debug)]
pub struct Realm {
    pub(super) config: RealmConfig,
    pub client: Client,
    pub(super) hosting: Hosting,
    pub(super) page: Page,
    pub(super) worker: Worker,
    pub(super) sockets: Sockets,
    pub(super) relay: Relay,
    pub(super) full: Option<Full>,
    pub(super) to_hub: ToHub,
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
    pub fn new(config: RealmConfig, mut client: Client, seed: [u8; 32]) -> Self {
        if config.node_at != NodeAt::Device {
            client.leave_idle_checks();
        }
        Self {
            client,
            hosting: Hosting::new(seed, config.guest),
            page: Page::default(),
            worker: Worker::default(),
            sockets: Sockets::default(),
            relay: Relay::default(),
            full: None,
            to_hub: ToHub::default(),
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
        if self.is_for_others() {
            // It has neither a page that could be hidden nor a client.
        } else if self.config.visible {
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
                if !self.is_for_others() {
                    self.client.handle_input(now, Input::Tick);
                    self.tick_hub(now);
                }
                self.tick_socket(now);
                self.tick_hosting(now);
            }
            Fact::AtClient(bytes) => {
                let answers = |message: Message<'_>| message.envelope.link == self.link;
                self.direct = self.direct || Message::parse(&bytes).is_ok_and(answers);
                self.at_own_client(now, &bytes);
            }
            Fact::AtNode(bytes) => self.at_node(now, &bytes),
            Fact::AtAll(bytes) if self.take_signal(now, &bytes) => {}
            Fact::AtAll(bytes) => {
                self.trace.record(now, Way::AllGot, &bytes);
                self.client_hears(now, &bytes);
                self.node_input(now, broker::io::Input::Heard { bytes: &bytes });
                if self.hosting.is_relaying() && self.reaches_hub(&bytes) {
                    self.effects.push(Effect::ToHub(bytes));
                }
            }
            Fact::SocketOpened => self.socket_opened(now),
            Fact::SocketFull => self.socket_full(now),
            Fact::SocketDrained => self.socket_drained(now),
            Fact::FromHub(bytes) => {
                self.relay_down(now, bytes);
                self.look_at_socket();
            }
            Fact::HubAlive => self.relay_heard(now),
            Fact::TokenOffered => self.token_offered(),
            Fact::SocketClosed { code } => self.socket_closed(now, code),
            Fact::SocketGranted { socket, grant } => self.socket_granted(now, socket, grant),
            Fact::SocketAdopted { socket } => self.socket_adopted(now, socket),
            Fact::AtSocket { socket, bytes } => self.at_socket(now, socket, &bytes),
            Fact::SocketGone { socket } => self.socket_gone(now, socket),
            Fact::Page(fact) => self.page_changed(now, fact),
            Fact::Worker(news) => self.worker_news(now, news),
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
                let (hosting_at, socket_at) = (self.hosting_wake_at(now), self.socket_wake_at());
                let times = [client_wake_at, node_wake_at, hosting_at, socket_at];
                self.wake_at = times.into_iter().flatten().min();
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
        if self.is_for_others() {
            return self.end(now, Code::Closed);
        }
        self.client.close(now, drain);
    }

    /// Takes the lock from whoever holds it.
    pub fn steal_lock(&mut self) {
        if self.config.persistent {
            self.request_lock(true);
        }
    }

    /// There are no locks: this realm is alone with its node.
    pub fn host_inline(&mut self) {
        self.config.kind = HostKind::Inline;
        self.config.part = Part::Whole;
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

    /// Its process may lose its memory now, while its sockets stay open.
    pub fn may_sleep(&self) -> bool {
        self.effects.is_empty() && self.hosting.may_sleep()
    }

    /// The broker of the node here, once it serves.
    pub fn broker(&self) -> Option<&Broker> {
        self.hosting.broker()
    }

    /// How many clients have a socket and a link here, each.
    pub fn reached_by(&self) -> (usize, usize) {
        (self.sockets.count(), self.hosting.links.count())
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

    /// It has no client.
    pub(super) fn is_for_others(&self) -> bool {
        self.config.part == Part::Worker
    }

    fn pump_client(&mut self, now: Now) -> Option<Instant> {
        if self.is_for_others() {
            return None;
        }
        loop {
            match self.client.poll_output() {
                Output::Transmit { bytes } => self.transmit(now, bytes),
                Output::Broadcast { bytes } => {
                    self.trace.record(now, Way::AllSent, &bytes);
                    self.node_input(now, broker::io::Input::Heard { bytes: &bytes });
                    self.send_to_everyone(bytes);
                }
                Output::Event(event) => self.on_client_event(now, event),
                Output::Idle { wake_at } => {
                    self.tell_of_hub();
                    return [wake_at, self.hub_check_at()].into_iter().flatten().min();
                }
            }
        }
    }

    fn transmit(&mut self, now: Now, bytes: Vec<u8>) {
        self.trace.record(now, Way::ClientSent, &bytes);
        if self.hosting.is_relaying() {
            return self.relay_up(self.config.client, bytes);
        }
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
            Event::NodeSilent { .. } if self.config.node_at == NodeAt::Hub => self.hub_silent(now),
            Event::NodeSilent { .. } => self.node_silent(),
            Event::Ready { epoch, storage, host: kind, .. } => {
                self.heard = self.heard.max(epoch);
                self.node_answered();
                self.hub_answered();
                let here = self.hosting.epoch() == Some(epoch);
                self.tell(Notice::Host(HostNews { epoch, here, kind, storage }));
                self.tell(Notice::Client(event));
            }
            Event::ForeignLog { epoch, .. } => {
                self.tell(Notice::Client(event));
                self.hub_is_another(epoch);
            }
            Event::Closed { code } => self.end(now, code),
            event => self.tell(Notice::Client(event)),
        }
    }

    /// The bus is over here as soon as what this realm hosts is handed over.
    fn end(&mut self, now: Now, code: Code) {
        self.page.closing = true;
        self.closed = Some(code);
        self.hand_over(now);
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
        self.heard_of_hub(now);
        self.client.handle_input(now, Input::Received { bytes });
    }

    pub(super) fn client_hears(&mut self, now: Now, bytes: &[u8]) {
        self.heard_of_hub(now);
        if !self.is_for_others() {
            self.client.handle_input(now, Input::Heard { bytes });
        } else if let Ok(message) = Message::parse(bytes) {
            self.heard = self.heard.max(message.envelope.epoch);
        }
    }

    /// The node's message to everyone.
    pub(super) fn broadcast_of_node(&mut self, now: Now, bytes: Vec<u8>) {
        self.trace.record(now, Way::AllSent, &bytes);
        self.client_hears(now, &bytes);
        self.send_to_everyone(bytes);
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
