//! Frames of every kind, made from a seed over borrowed texts and byte strings.

use tabmq::error::Code;
use tabmq::id::{
    AudienceId, CallId, CandidateId, ClientId, ConsumerId, LaneId, LeaseNumber, LogId,
    MessageNumber, MethodId, PublishNumber, QueueId, RequestId, Sequence, ServiceId,
    SubscriptionId, Term,
};
use tabmq::options::{
    Backoff, ConsumeOptions, DeadLetter, Durability, HostKind, OnFailure, Order, Overflow,
    QueueOptions, Rate, Slow,
};
use tabmq::rng::Rng;
use tabmq::time::UnixMillis;
use tabmq::wire::Frame;
use tabmq::wire::frame::{
    CallKey, Delivery, Hello, Item, Live, Newest, Outcome, Past, PeerEntry, Prepare, QueueCounts,
    Reached, Settlement, StorageReport, Tracking, Welcome,
};

use crate::admin::admin_frame;
use crate::failure::failure_frame;
use crate::operate::{browse, queue_message};
use crate::publishing::publishing_frame;

/// What frames borrow from.
#[derive(Debug)]
pub struct Pool {
    pub texts: Vec<String>,
    pub bytes: Vec<Vec<u8>>,
}

/// Draws the parts of frames.
pub struct Dice<'a> {
    rng: Rng,
    pool: &'a Pool,
}

impl<'a> Dice<'a> {
    pub fn new(seed: u64, pool: &'a Pool) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        Self { rng: Rng::new(bytes), pool }
    }

    /// Numbers of all encoded lengths, small ones as often as large ones.
    pub fn number(&mut self) -> u64 {
        let bits = self.rng.below(65);
        if bits == 0 { 0 } else { self.rng.next_u64() >> (64 - bits) }
    }

    pub fn short(&mut self) -> u32 {
        u32::try_from(self.number() & 0xffff_ffff).unwrap()
    }

    pub fn flag(&mut self) -> bool {
        self.rng.ratio(1, 2)
    }

    pub fn maybe<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if self.flag() { Some(make(self)) } else { None }
    }

    pub fn list<T>(&mut self, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.rng.below(4)).map(|_| make(self)).collect()
    }

    pub fn text(&mut self) -> &'a str {
        let index = self.rng.below(self.pool.texts.len() as u64);
        &self.pool.texts[usize::try_from(index).unwrap()]
    }

    pub fn bytes(&mut self) -> &'a [u8] {
        let index = self.rng.below(self.pool.bytes.len() as u64);
        &self.pool.bytes[usize::try_from(index).unwrap()]
    }

    pub fn client(&mut self) -> ClientId {
        ClientId(self.rng.bytes16())
    }

    pub fn code(&mut self) -> Code {
        let index = self.rng.below(Code::TABLE.len() as u64);
        Code::TABLE[usize::try_from(index).unwrap()].0
    }

    pub fn durability(&mut self) -> Durability {
        [Durability::Memory, Durability::Relaxed, Durability::Strict]
            [usize::try_from(self.rng.below(3)).unwrap()]
    }

    fn key(&mut self) -> CallKey {
        CallKey { caller: self.client(), call: CallId(self.short()) }
    }

    fn live(&mut self) -> Live<'a> {
        Live {
            publisher: self.client(),
            number: PublishNumber(self.number()),
            index: self.number(),
            topic: self.text(),
            body: self.bytes(),
            properties: self.maybe(Self::bytes),
        }
    }

    pub fn newest(&mut self) -> Newest {
        let number = PublishNumber(self.number());
        Newest { publisher: self.client(), number, index: self.number() }
    }

    pub fn item(&mut self) -> Item<'a> {
        Item {
            body: self.bytes(),
            properties: self.maybe(Self::bytes),
            delay_ms: self.maybe(Self::number),
            track: None,
            past: self.maybe(|dice| Past {
                attempts: dice.short(),
                stored_at: UnixMillis(dice.number()),
                deaths: dice.maybe(Self::bytes),
            }),
            ttl_ms: self.maybe(Self::number),
            priority: self.maybe(Self::short),
            prepare: self.maybe(|dice| Prepare { check_after_ms: dice.maybe(Self::number) }),
        }
    }

    fn outcome(&mut self) -> Outcome<'a> {
        match self.rng.below(3) {
            0 => Outcome::Value(self.bytes()),
            1 => Outcome::Threw(self.bytes()),
            _ => Outcome::Failed { code: self.code(), maybe_executed: self.flag() },
        }
    }

    fn settlement(&mut self) -> Settlement<'a> {
        match self.rng.below(5) {
            0 => Settlement::Ack { value: None },
            1 => Settlement::Retry {
                after_ms: self.maybe(Self::number),
                reason: self.maybe(Self::text),
            },
            2 => Settlement::Reject { reason: self.maybe(Self::text) },
            3 => Settlement::Release,
            _ => Settlement::Extend { lease_ms: self.maybe(Self::number) },
        }
    }

    pub fn options(&mut self) -> QueueOptions {
        QueueOptions {
            durability: self.maybe(Self::durability),
            lease_ms: self.maybe(Self::number),
            deliveries_max: self.maybe(Self::short),
            backoff: self.maybe(|dice| Backoff {
                first_ms: dice.number(),
                factor_percent: dice.short(),
                wait_ms_max: dice.number(),
                jitter_percent: dice.short(),
                step_ms: dice.maybe(Self::number),
                ladder_ms: dice.maybe(|dice| dice.list(Self::number)),
            }),
            dead_letter: self.maybe(|dice| match dice.flag() {
                true => DeadLetter::Queue(dice.text().to_owned()),
                false => DeadLetter::Discard,
            }),
            messages_max: self.maybe(Self::number),
            version: self.maybe(Self::short),
            bytes_max: self.maybe(Self::number),
            overflow: self.maybe(|dice| match dice.flag() {
                true => Overflow::DropOldest,
                false => Overflow::DeadLetter,
            }),
            single_active: self.maybe(Self::flag),
            consumers_min: self.maybe(Self::short),
            consumers_wait_ms: self.maybe(Self::number),
            exclusive: self.maybe(Self::flag),
            idle_ms_max: self.maybe(Self::number),
            result_keep_ms: self.maybe(Self::number),
            ttl_ms: self.maybe(Self::number),
            expired: self.maybe(Self::text).map(Into::into),
            dedupe_ms: self.maybe(Self::number),
            order: self.maybe(|dice| if dice.flag() { Order::Fifo } else { Order::Key }),
            on_failure: self.maybe(|dice| match dice.flag() {
                true => OnFailure::Skip,
                false => OnFailure::Reorder,
            }),
            priorities: self.maybe(Self::short),
            last_value: self.maybe(Self::flag),
            messages_per_key_max: self.maybe(Self::number),
            rate: self.maybe(|dice| Rate {
                limit: dice.short(),
                per_ms: dice.number(),
                burst: dice.maybe(Self::short),
            }),
            slow: self.maybe(|dice| Slow { after_ms: dice.number(), detach: dice.flag() }),
        }
    }

    fn tracking(&mut self) -> Tracking<'a> {
        match self.rng.below(3) {
            0 => Tracking::Delivered,
            1 => Tracking::Processed { value: self.maybe(Self::bytes) },
            _ => Tracking::Failed { code: self.code(), reason: self.text() },
        }
    }

    fn hello(&mut self) -> Hello<'a> {
        Hello {
            version_min: 1,
            version_max: u16::try_from(self.number() & 0xffff).unwrap(),
            features: self.number(),
            log: self.maybe(|dice| LogId(dice.rng.bytes16())),
            lane: LaneId(self.number()),
            confirmed: Sequence(self.number()),
            floor: Sequence(self.number()),
            fresh: self.flag(),
            peer: self.bytes(),
            leases: self.list(|dice| LeaseNumber(dice.number())),
            serving: self.list(Self::key),
            terms: self.list(|dice| Term(dice.number())),
            published: self.maybe(|dice| {
                let number = PublishNumber(dice.number());
                Reached { number, index: dice.number() }
            }),
        }
    }

    fn welcome(&mut self) -> Welcome {
        Welcome {
            version: 1,
            features: self.number(),
            log: LogId(self.rng.bytes16()),
            lane: LaneId(self.number()),
            position: Sequence(self.number()),
            resumed: self.flag(),
            rolled_back: self.flag(),
            newest: self.list(Self::newest),
            stale: self.list(|dice| LeaseNumber(dice.number())),
            storage: StorageReport {
                persistent: self.flag(),
                fenced: self.flag(),
                durability_max: self.durability(),
            },
            body_bytes_max: self.short(),
            host: self.maybe(Self::host),
            kept: self.flag().then(|| Sequence(self.number())),
            grant: self.maybe(crate::grants::grant_report),
            audience: self.maybe(|dice| AudienceId(dice.number())),
        }
    }

    fn host(&mut self) -> HostKind {
        let kinds = [HostKind::Tab, HostKind::Inline, HostKind::SharedWorker, HostKind::Worker];
        kinds[self.number() as usize % kinds.len()]
    }

    fn queue_state(&mut self, request: RequestId) -> Frame<'a> {
        Frame::QueueState { request, state: self.counts(), policy: self.maybe(Self::text) }
    }

    pub fn counts(&mut self) -> QueueCounts {
        QueueCounts {
            ready: self.number(),
            delayed: self.number(),
            leased: self.number(),
            consumers: self.short(),
            sent_total: self.number(),
            acked_total: self.number(),
            redelivered_total: self.number(),
            dead_lettered_total: self.number(),
            discarded_total: self.number(),
            paused: self.flag(),
            id: QueueId(self.short()),
            newest: MessageNumber(self.number()),
            prepared: self.maybe(Self::number),
        }
    }

    fn delivery(&mut self) -> Delivery<'a> {
        Delivery {
            consumer: ConsumerId(self.short()),
            lease: LeaseNumber(self.number()),
            attempt: self.short(),
            number: MessageNumber(self.number()),
            lane: LaneId(self.number()),
            sequence: Sequence(self.number()),
            index: self.short(),
            stored_at: UnixMillis(self.number()),
            lease_ms: self.number(),
            body: self.bytes(),
            properties: self.maybe(Self::bytes),
            dead_reason: self.maybe(Self::text),
            body_bytes: self.maybe(Self::short),
            tracked: self.maybe(Self::flag),
            deaths: self.maybe(Self::bytes),
            sender: self.maybe(Self::client),
            priority: self.maybe(Self::short),
        }
    }

    /// A frame of the kind with this tag; `None` past the last tag.
    pub fn frame(&mut self, tag: u64) -> Option<Frame<'a>> {
        Some(match tag {
            1 => Frame::Hello(self.hello()),
            2 => Frame::Welcome(self.welcome()),
            3 => Frame::Hangup { code: self.code() },
            4 => Frame::Ping { nonce: self.short() },
            5 => Frame::Pong { nonce: self.short() },
            6 => Frame::Goodbye { park: self.flag() },
            7 => Frame::Announce { log: LogId(self.rng.bytes16()) },
            8 => Frame::Fragment { last: self.flag(), bytes: self.bytes() },
            9..=11 | 24..=29 => self.live_frame(tag),
            12..=16 | 30..=37 | 50..=62 => self.queue_frame(tag),
            63 | 64 => failure_frame(self, tag),
            65..=73 | 87 | 88 => admin_frame(self, tag),
            74 => crate::commits::commit_frame(self),
            75..=77 => publishing_frame(self, tag),
            78..=81 => return crate::schedules::schedule_frame(self, tag),
            82..=84 => return crate::prepared::prepared_frame(self, tag),
            17..=23 | 38..=41 => self.call_frame(tag),
            42 => Frame::Stand {
                candidate: CandidateId(self.short()),
                role: self.text(),
                holds: self.maybe(|dice| Term(dice.number())),
            },
            43 => Frame::Lead { candidate: CandidateId(self.short()), term: Term(self.number()) },
            44 => Frame::Depose {
                candidate: CandidateId(self.short()),
                refused: self.maybe(Self::code),
            },
            45 => Frame::Resign { candidate: CandidateId(self.short()) },
            46 => Frame::PeerInfo { peer: self.bytes() },
            47 => Frame::Peers {
                peers: self.list(|dice| PeerEntry { client: dice.client(), peer: dice.bytes() }),
            },
            48 => Frame::Resumed,
            49 => Frame::CallsDone { below: CallId(self.short()) },
            _ => return crate::grants::grant_frame(self, tag),
        })
    }

    fn live_frame(&mut self, tag: u64) -> Frame<'a> {
        let subscription = SubscriptionId(self.short());
        let (first, last) = (PublishNumber(self.number()), PublishNumber(self.number()));
        let publisher = self.client();
        match tag {
            9 => Frame::Publish(self.live()),
            10 => Frame::Published { number: first },
            11 => Frame::GroupMessage { subscription, live: self.live() },
            24 => Frame::JoinGroup { subscription, filter: self.text(), group: self.text() },
            25 => Frame::GroupJoined { subscription, refused: self.maybe(Self::code) },
            26 => Frame::LeaveGroup { subscription },
            27 => Frame::NewestNumbers { newest: self.list(Self::newest) },
            28 => Frame::Repair { publisher, first, last },
            _ => Frame::Repaired { publisher, first, last, messages: self.list(Self::live) },
        }
    }

    fn queue_frame(&mut self, tag: u64) -> Frame<'a> {
        let request = RequestId(self.short());
        let consumer = ConsumerId(self.short());
        let lease = LeaseNumber(self.number());
        let (queue, reason) = (self.text(), self.text());
        match tag {
            12 => Frame::Send {
                sequence: Sequence(self.number()),
                queue,
                refusals_seen: Sequence(self.number()),
                durability: self.maybe(Self::durability),
                items: self.list(Self::item),
            },
            13 => Frame::Sent { position: Sequence(self.number()) },
            14 => Frame::Deliver(self.delivery()),
            15 => Frame::Settle { lease, settlement: self.settlement() },
            16 => Frame::Settled { lease, refused: self.maybe(Self::code) },
            30 => Frame::Declare { request, queue, options: self.options() },
            31 => Frame::Inspect { request, queue },
            32 => self.queue_state(request),
            33 => Frame::RequestRefused { request, code: self.code(), reason },
            34 => {
                let sequence = Sequence(self.number());
                Frame::SendRefused { sequence, code: self.code(), reason }
            }
            35 => {
                let options = ConsumeOptions {
                    prefetch: self.short(),
                    prefetch_bytes: self.short(),
                    priority: self.maybe(Self::short),
                    headers_only: self.maybe(Self::flag),
                    paused: self.maybe(Self::flag),
                };
                Frame::Consume { consumer, queue, options }
            }
            36 => {
                let (refused, single_active) = (self.maybe(Self::code), self.maybe(Self::flag));
                Frame::Consuming { consumer, refused, single_active }
            }
            37 => Frame::CancelConsumer { consumer },
            50 => Frame::Visible { visible: self.flag() },
            51 => Frame::ConsumerActive { consumer, active: self.flag() },
            52 => {
                let (paused, for_ms) = (self.flag(), self.maybe(Self::number));
                Frame::Pause { request, queue, paused, for_ms }
            }
            53 => Frame::Purge { request, queue, through: MessageNumber(self.number()) },
            54 => {
                let (if_unused, if_empty) = (self.flag(), self.flag());
                Frame::DeleteQueue {
                    request,
                    queue,
                    id: QueueId(self.short()),
                    if_unused,
                    if_empty,
                }
            }
            55 => Frame::Browse { request, queue, browse: browse(self) },
            56 => {
                let messages = self.list(queue_message);
                Frame::Browsed { request, messages, more: self.flag() }
            }
            57 => Frame::Counted { request, count: self.number() },
            58 => Frame::QueueDeleted { queue },
            59 => Frame::Track { request, queue, id: self.text(), processed: self.flag() },
            60 => Frame::Tracked { request, outcome: self.tracking() },
            61 => Frame::Progress { lease: LeaseNumber(self.number()), value: self.bytes() },
            _ => Frame::Progressed { request, value: self.bytes() },
        }
    }

    fn call_frame(&mut self, tag: u64) -> Frame<'a> {
        let (call, method) = (CallId(self.short()), MethodId(self.short()));
        let (service, key) = (ServiceId(self.short()), self.key());
        let (name, timeout_ms, arguments) = (self.text(), self.number(), self.bytes());
        match tag {
            17 => {
                let first_epoch = self.maybe(Self::number);
                let traceparent = self.maybe(Self::text);
                Frame::Call { call, method, timeout_ms, arguments, first_epoch, traceparent }
            }
            18 => Frame::Dispatch {
                key,
                service,
                method: name,
                timeout_ms,
                arguments,
                traceparent: self.maybe(Self::text),
            },
            19 => Frame::Reply { key, outcome: self.outcome() },
            20 => Frame::ReplyTaken { key },
            21 => Frame::CallResult { call, outcome: self.outcome() },
            22 => Frame::Method { method, service: self.text(), name },
            23 => Frame::CancelCall { call },
            38 => Frame::Serve { service, name, concurrency: self.short() },
            39 => Frame::Serving { service, refused: self.maybe(Self::code) },
            40 => Frame::Unserve { service },
            _ => Frame::CancelDispatch { key },
        }
    }
}
