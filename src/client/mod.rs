//! The client: the verbs of one tab, what has no answer yet, and resume. It performs no I/O.
//!
//! A host gives it verbs and inputs; after each it polls outputs until `Idle`. Verbs answer at once
//! with a number, or refuse and change nothing; what comes of them arrives as events under that
//! number. All that was asked for is declared and sent again on each new link until the node has
//! answered.

mod admin;
mod belonging;
mod calls;
mod closing;
mod commits;
mod compaction;
mod consumers;
mod frames;
mod gaps;
mod holding;
pub mod io;
mod keeping;
mod leadership;
mod link;
mod live;
mod liveness;
mod operate;
mod outbox;
mod prepared;
mod publish;
mod receipts;
mod redrive;
mod requests;
mod resume;
mod schedules;
mod sends;
mod services;
mod verbs;

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::client::admin::Watches;
use crate::client::belonging::Belonging;
use crate::client::calls::Calls;
use crate::client::commits::Commits;
use crate::client::consumers::Consumers;
use crate::client::holding::Holding;
use crate::client::io::{Event, Handle, Input, Keepsake, Output};
use crate::client::keeping::Keeping;
pub use crate::client::keeping::{KeptSend, KeptWhat};
use crate::client::leadership::Roles;
use crate::client::link::{Link, Open};
use crate::client::live::LiveMessages;
use crate::client::liveness::Silence;
use crate::client::outbox::Outbox;
use crate::client::prepared::Checkers;
use crate::client::publish::Publishing;
use crate::client::receipts::Receipts;
use crate::client::redrive::Redrives;
use crate::client::requests::Requests;
use crate::client::services::Services;
use crate::error::{Code, Refused};
use crate::id::{ClientId, Epoch, LaneId, LogId, Sequence};
use crate::limits::Limits;
use crate::rng::Rng;
use crate::rules::Rules;
use crate::sorted::Set;
use crate::time::{Instant, Now};

/// What a client is made with.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    pub client: ClientId,
    /// From the page before a reload, if this is the same tab.
    pub keepsake: Option<Keepsake>,
    /// Name and tags for `peers`.
    pub peer: Vec<u8>,
    pub limits: Limits,
    pub rules: Rules,
}

#[derive(Debug)]
pub struct Client {
    id: ClientId,
    limits: Limits,
    rules: Rules,
    rng: Rng,
    now: Now,
    peer: Vec<u8>,
    /// The page is out of view.
    hidden: bool,
    /// It wants to know how many items should be under way.
    ingests: bool,
    /// The node has an older `peer` than this.
    peer_changed: bool,
    log: Option<LogId>,
    belonging: Belonging,
    /// No node has answered this client yet.
    fresh: bool,
    link: Link,
    /// The highest epoch that was heard of and is not disproved, and the one of the last Welcome.
    highest: Epoch,
    followed: Epoch,
    /// An epoch that somebody claimed and under which nobody answered.
    disproved: Option<Epoch>,
    /// Links in a row that ended because the two sides did not understand each other.
    faults: u32,
    refusal: Option<Code>,
    bad_messages: u64,
    last_ping: u32,
    silence: Silence,
    closing: Option<Instant>,
    /// Transport messages of links that are over.
    last_words: VecDeque<Vec<u8>>,
    events: VecDeque<Event>,
    requests: Requests,
    outbox: Outbox,
    keeping: Keeping,
    holding: Holding,
    receipts: Receipts,
    commits: Commits,
    redrives: Redrives,
    watches: Watches,
    checkers: Checkers,
    live: LiveMessages,
    publishing: Publishing,
    consumers: Consumers,
    calls: Calls,
    services: Services,
    roles: Roles,
    /// Handles that do not take effect yet.
    awaited: Set<Handle>,
}

impl Client {
    /// A client that dials at once. `seed` must differ from start to start.
    #[must_use]
    pub fn new(config: ClientConfig, seed: [u8; 32], now: Now) -> Self {
        let kept = config.keepsake.filter(|kept| kept.client == config.client);
        let (lane, position) = kept.map(|kept| (kept.lane, kept.position)).unwrap_or_default();
        let published = kept.and_then(|kept| kept.published).unwrap_or_default();
        let mut client = Self {
            id: config.client,
            rules: config.rules,
            rng: Rng::new(seed),
            now,
            peer: config.peer,
            hidden: false,
            ingests: false,
            peer_changed: false,
            log: kept.and_then(|kept| kept.log),
            belonging: Belonging::default(),
            fresh: true,
            link: Link::dialing(now.mono),
            highest: Epoch::default(),
            followed: Epoch::default(),
            disproved: None,
            faults: 0,
            refusal: None,
            bad_messages: 0,
            last_ping: 0,
            silence: Silence::default(),
            closing: None,
            last_words: VecDeque::new(),
            events: VecDeque::new(),
            requests: Requests::default(),
            outbox: Outbox::new(lane, position),
            keeping: Keeping::default(),
            holding: Holding::default(),
            receipts: Receipts::default(),
            commits: Commits::default(),
            redrives: Redrives::default(),
            watches: Watches::default(),
            checkers: Checkers::default(),
            live: LiveMessages::default(),
            publishing: Publishing::new(now.unix, published),
            consumers: Consumers::default(),
            calls: Calls::after(kept.map(|kept| kept.call).unwrap_or_default()),
            services: Services::default(),
            roles: Roles::default(),
            awaited: Set::new(),
            limits: config.limits,
        };
        client.dial_if_due();
        client
    }

    pub fn handle_input(&mut self, now: Now, input: Input<'_>) {
        self.begin(now);
        match input {
            Input::Tick => {}
            Input::Received { bytes } => self.on_received(bytes),
            Input::Heard { bytes } => {
                if !matches!(self.link, Link::Parked | Link::Closed) {
                    self.on_heard(bytes);
                }
            }
            // A Hello that is out is said again in its time.
            Input::Disconnected if self.link.is_open() => self.lose_link(1),
            Input::Disconnected => {}
            Input::Reachable => {
                self.dial_now();
                self.check_node();
            }
        }
        self.settle_forward();
    }

    /// Does what the input or verb, or the time that passed, made possible.
    fn settle_forward(&mut self) {
        if matches!(self.link, Link::Closed) {
            return;
        }
        self.expire_calls();
        self.release_if_due();
        self.finish_if_drained();
        self.dial_if_due();
        self.post_again_if_due();
        self.watch_silence();
        self.keep_due();
    }

    /// The next thing for the host to do; `Idle` when there is none.
    pub fn poll_output(&mut self) -> Output {
        if let Some(bytes) = self.take_link_message() {
            return Output::Transmit { bytes };
        }
        if let Some(bytes) = self.publishing.take_broadcast() {
            return Output::Broadcast { bytes };
        }
        match self.events.pop_front() {
            Some(event) => {
                self.taken(&event);
                Output::Event(event)
            }
            None => Output::Idle { wake_at: self.wake_at() },
        }
    }

    fn wake_at(&self) -> Option<Instant> {
        let link_at = match &self.link {
            Link::Dialing(dialing) => Some(dialing.hello_at),
            Link::Open(_) => self.publishing.repeat_at(),
            Link::Parked => None,
            Link::Closed => return None,
        };
        let (calls_at, keep_at) = (self.calls.wake_at(), self.keeping.due_at);
        let held_until = self.holding.until;
        let silence_at = self.silence_wake_at();
        let times = [link_at, calls_at, self.closing, silence_at, keep_at, held_until];
        times.into_iter().flatten().min().map(|at| at.max(self.now.mono))
    }

    fn start_verb(&mut self, now: Now) -> Result<(), Refused> {
        self.begin(now);
        if self.closing.is_some() || self.is_closed() {
            return Err(Code::Closed.into());
        }
        Ok(())
    }

    fn check_handles(&self, count: usize) -> Result<(), Refused> {
        if count >= self.limits.handles_max as usize {
            return Err(Refused::new(Code::Full, "handles_max"));
        }
        Ok(())
    }

    /// The handle takes effect. Its user hears of it once.
    fn confirm(&mut self, handle: Handle, event: Event) {
        if self.awaited.remove(&handle) {
            self.events.push_back(event);
        }
    }

    /// The node refused the handle or ended it.
    fn refuse(&mut self, handle: Handle, known: bool, code: Code) {
        self.awaited.remove(&handle);
        if known {
            self.events.push_back(Event::HandleRefused { handle, code });
        }
    }

    fn body_bytes_max(&self) -> usize {
        let node_max = match &self.link {
            Link::Open(Open { body_bytes_max, .. }) => *body_bytes_max,
            _ => u32::MAX,
        };
        self.limits.body_bytes_max.min(node_max) as usize
    }
}

/// What a host may ask.
impl Client {
    /// Becomes another client: the identity it was made with is another's. Only before any output
    /// was polled. What was asked for so far is kept.
    pub fn rename(&mut self, client: ClientId) {
        self.id = client;
        self.log = None;
        self.outbox.lane = LaneId(0);
        self.outbox.last = Sequence(0);
        self.publish_as(client);
        self.link = Link::dialing(self.now.mono);
        self.dial_if_due();
    }

    #[must_use]
    pub const fn id(&self) -> ClientId {
        self.id
    }

    /// What the page carries over a reload. It changes with every send and publish.
    #[must_use]
    pub fn keepsake(&self) -> Keepsake {
        let (lane, position) = self.lane_position();
        let call = self.calls.last();
        let published = Some(self.publishing.last());
        let keeps = Some(true).filter(|_| self.keeping.any);
        Keepsake { client: self.id, log: self.log, lane, position, call, published, keeps }
    }

    /// Nothing is awaited from a node.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        !self.has_work()
    }

    /// A transport message to everyone is full, and need not wait for what comes after it.
    #[must_use]
    pub fn has_full_message(&self) -> bool {
        self.publishing.has_full()
    }

    /// A link to a node is open.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.link.is_open()
    }

    #[must_use]
    pub const fn is_closed(&self) -> bool {
        matches!(self.link, Link::Closed)
    }

    /// The epoch of the node whose Welcome came last; zero before the first.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.followed
    }

    /// The highest epoch that any node was heard under.
    #[must_use]
    pub const fn epoch_heard(&self) -> Epoch {
        self.highest
    }

    /// The store has given this epoch to a node: higher ones that were heard of are none.
    pub fn believe_store(&mut self, epoch: Epoch) {
        if self.highest > epoch {
            self.disproved = Some(self.highest);
            self.highest = epoch;
            self.followed = self.followed.min(epoch);
            self.lose_link(0);
            self.dial_now();
        }
    }

    /// A way is open that leads to one node and no other, as a socket does: whoever answers on it
    /// is followed, though it began its epochs anew. The Hello names the epoch before, and a node
    /// whose store has others makes sure before it answers. How often this client has dialed in
    /// vain counts on, or it would never pause before one who opens and closes.
    pub fn reached(&mut self, now: Now) {
        self.begin(now);
        self.highest = Epoch::default();
        self.disproved = None;
        if let Link::Dialing(dialing) = &mut self.link {
            dialing.hello_at = self.now.mono;
        }
        self.settle_forward();
    }

    /// Why nodes hung up on this client since one last said Welcome, if they did because of it.
    #[must_use]
    pub const fn refusal(&self) -> Option<Code> {
        self.refusal
    }

    /// The lane of this client's sends and the last number given on it.
    #[must_use]
    pub const fn lane(&self) -> (LaneId, Sequence) {
        (self.outbox.lane, self.outbox.last)
    }

    /// Transport messages that were ignored because they were not valid.
    #[must_use]
    pub const fn bad_messages(&self) -> u64 {
        self.bad_messages
    }
}
