//! Options that are both declared over the wire and stored in the log.

use alloc::string::String;
use alloc::vec::Vec;

use crate::cbor::{Read, Reader, Write, structure, variants, write_uint};

/// What has to survive before a send is confirmed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Durability {
    /// Lives in the node's memory alone.
    Memory,
    /// Survives the death of every tab.
    Relaxed,
    /// Survives the loss of power, as far as the platform says.
    Strict,
}

/// A durability is its number, without an array around it.
impl Read<'_> for Durability {
    fn read(reader: &mut Reader<'_>) -> Self {
        match reader.uint(2) {
            0 => Self::Memory,
            1 => Self::Relaxed,
            _ => Self::Strict,
        }
    }
}

impl Write for Durability {
    fn write(&self, out: &mut Vec<u8>) {
        write_uint(out, *self as u64);
    }
}

/// Where a node runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HostKind {
    /// In the page of a tab.
    Tab = 1,
    /// In the process that uses it, which shares it with nobody.
    Inline,
    /// In a worker of several pages.
    SharedWorker,
    /// In a worker of one page.
    Worker,
    /// At a hub, which sockets reach.
    Hub,
}

/// A host kind is its number. One that a newer version added is some kind of worker.
impl Read<'_> for HostKind {
    fn read(reader: &mut Reader<'_>) -> Self {
        match reader.uint(u64::MAX) {
            1 => Self::Tab,
            2 => Self::Inline,
            3 => Self::SharedWorker,
            5 => Self::Hub,
            _ => Self::Worker,
        }
    }
}

impl Write for HostKind {
    fn write(&self, out: &mut Vec<u8>) {
        write_uint(out, *self as u64);
    }
}

structure! {
    /// How long a failed delivery waits before its next attempt: along the ladder if there is one,
    /// else by equal steps if there is a step, else multiplied.
    #[derive(Clone, PartialEq, Eq, Debug)]
    pub struct Backoff {
        /// Wait after the first failure.
        pub first_ms: u64,
        /// Each further wait is the last one times this, in percent; 100 keeps it fixed.
        pub factor_percent: u32,
        /// No wait is longer, the jitter included.
        pub wait_ms_max: u64,
        /// Each wait is changed by up to this much either way, at random; at most 100.
        pub jitter_percent: u32,
        /// Each further wait is this much longer than the last one.
        pub step_ms: Option<u64>,
        /// The waits one by one; the last one repeats. At least one, at most
        /// `limits.backoff_waits_max`, and not with a step.
        pub ladder_ms: Option<Vec<u64>>,
    }
}

impl Backoff {
    /// Whether it can be followed.
    #[must_use]
    pub fn is_valid(&self, waits_max: u32) -> bool {
        let waits = 1..=waits_max as usize;
        let of_ladder = |ladder: &Vec<u64>| self.step_ms.is_none() && waits.contains(&ladder.len());
        self.ladder_ms.as_ref().is_none_or(of_ladder)
    }

    /// The wait after so many failures, before the jitter.
    #[must_use]
    pub fn wait_ms(&self, failures: u32) -> u64 {
        let further = failures.saturating_sub(1);
        let wait_ms = match (&self.ladder_ms, self.step_ms) {
            (Some(ladder), _) => {
                let last = ladder.len().saturating_sub(1);
                ladder.get(last.min(further as usize)).copied().unwrap_or_default()
            }
            (None, Some(step_ms)) => {
                self.first_ms.saturating_add(step_ms.saturating_mul(u64::from(further)))
            }
            (None, None) => self.multiplied_ms(further),
        };
        wait_ms.min(self.wait_ms_max)
    }

    /// In microseconds, so that what is cut off each time does not add up.
    fn multiplied_ms(&self, times: u32) -> u64 {
        let wait_us_max = self.wait_ms_max.saturating_mul(1000);
        let mut wait_us = self.first_ms.saturating_mul(1000);
        for _ in 0..times {
            let next_us = wait_us.saturating_mul(u64::from(self.factor_percent)) / 100;
            if next_us == wait_us || wait_us >= wait_us_max {
                break;
            }
            wait_us = next_us;
        }
        wait_us.saturating_add(500) / 1000
    }

    /// The shortest and the longest wait after so many failures.
    #[must_use]
    pub fn range_ms(&self, failures: u32) -> (u64, u64) {
        let wait_ms = self.wait_ms(failures);
        let jitter_percent = u64::from(self.jitter_percent.min(100));
        let spread_ms = wait_ms.saturating_mul(jitter_percent) / 100;
        (wait_ms - spread_ms, wait_ms.saturating_add(spread_ms).min(self.wait_ms_max))
    }
}

variants! {
    /// Where a message goes that was rejected or delivered too often.
    #[derive(Clone, PartialEq, Eq, Debug)]
    pub enum DeadLetter {
        /// To the queue of this name, made on first use.
        1 => Queue(String),
        /// Nowhere: discarded by a log record and counted.
        2 => Discard,
    }
}

variants! {
    /// What happens at the limits of a queue. With the last two, leased messages do not count: one
    /// that is given back to a full queue stands among the others, and the oldest leaves.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub enum Overflow {
        /// A send that does not fit is refused with `FULL`, as a whole.
        1 => Reject,
        /// The oldest messages are discarded until the rest fits: a ring.
        2 => DropOldest,
        /// The oldest messages go to the dead-letter queue.
        3 => DeadLetter,
    }
}

variants! {
    /// In which order the messages of a queue are delivered.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub enum Order {
        /// Of their numbers, and one that failed comes again when it is due.
        1 => Fifo,
        /// One after the other for each key, and freely otherwise: a message comes only when the
        /// one before it with its key is done. Those without a key wait for nothing.
        2 => Key,
    }
}

variants! {
    /// What a failed delivery does to the messages behind it, in a queue that orders by key.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub enum OnFailure {
        /// Those with its key wait until it succeeds or is dead.
        1 => BlockKey,
        /// It is dead at once, whatever `deliveries_max` says, and its key goes on.
        2 => Skip,
        /// It comes again when it is due, and others of its key may come before.
        3 => Reorder,
    }
}

structure! {
    /// How often something may happen: a bucket that gets `limit` tokens per `per_ms`, one by one,
    /// and holds `burst` of them. In any while of `per_ms` there are at most `burst + limit`.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Rate {
        /// At least 1.
        pub limit: u32,
        /// At least 1.
        pub per_ms: u64,
        /// At least 1, which spreads them evenly. Default: the limit.
        pub burst: Option<u32>,
    }
}

structure! {
    /// What happens to a consumer that does not keep up: that has not settled a delivery for so
    /// long, whatever it extends, while messages wait. It is told as an advisory.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Slow {
        /// At least 1. Longer than a handler ever needs.
        pub after_ms: u64,
        /// If another consumer can be served, all it holds is given back, which counts as no
        /// failure, and nothing comes to it until it says again what it asks for.
        pub detach: bool,
    }
}

structure! {
    /// What a declaration of a queue says. An absent option is not compared with the queue that
    /// exists and takes its default on a new one.
    #[derive(Clone, PartialEq, Eq, Debug, Default)]
    pub struct QueueOptions {
        /// Structural: a declaration that differs is refused with `DUPLICATE_DECLARE`.
        pub durability: Option<Durability>,
        /// Default 30 000.
        pub lease_ms: Option<u64>,
        /// Default 5; at least 1.
        pub deliveries_max: Option<u32>,
        /// Default 1 s, doubled each time, at most 5 min, jitter 20 %.
        pub backoff: Option<Backoff>,
        /// Structural. Default: the queue `<name>.dead`.
        pub dead_letter: Option<DeadLetter>,
        /// Ready, delayed and leased messages together. Default: the limit of the bus.
        pub messages_max: Option<u64>,
        /// Tunables of the highest version win. Default 0.
        pub version: Option<u32>,
        /// Bodies of the messages that count for `messages_max`. Default: no limit.
        pub bytes_max: Option<u64>,
        /// Default: reject.
        pub overflow: Option<Overflow>,
        /// Structural. One consumer is served; another takes over when it is gone, or one of a
        /// higher priority comes, and nothing of it is out. Default: all are served.
        pub single_active: Option<bool>,
        /// Nobody is served until so many consumers came; then all are until none is left.
        pub consumers_min: Option<u32>,
        /// The first of them waits at most this long for the others. Default: for ever.
        pub consumers_wait_ms: Option<u64>,
        /// Structural. The queue belongs to the client that declares it first: no other may take
        /// from it, look into it or delete it, and it goes when that client is gone for good.
        pub exclusive: Option<bool>,
        /// The queue is deleted once it had neither messages nor consumers for so long. For an
        /// exclusive one: once its owner was gone for so long, by default `park_ms`.
        pub idle_ms_max: Option<u64>,
        /// What became of a tracked message is kept for so long after its end. Default: the limit
        /// `result_keep_ms`.
        pub result_keep_ms: Option<u64>,
        /// What is sent to the queue expires after so long, unless it is to expire sooner. Not 0.
        /// Default: never.
        pub ttl_ms: Option<u64>,
        /// The queue, made on first use, to which messages go that expire. Default: they are
        /// discarded.
        pub expired: Option<String>,
        /// A message whose id the queue has got within so long is not stored again. Default: 0, it
        /// remembers none.
        pub dedupe_ms: Option<u64>,
        /// Structural. Default: fifo.
        pub order: Option<Order>,
        /// Only with the order by key. Default: block the key.
        pub on_failure: Option<OnFailure>,
        /// Messages have one of so many priorities, 0 and up; a higher one is delivered first.
        /// From 1, the default, to the limit `priorities_max`. With the order by key, a key has the
        /// priority of its first message.
        pub priorities: Option<u32>,
        /// Structural. A message with a key takes the place of every one of that key that nobody
        /// holds, and is delivered only when the one that is held is done. What is replaced is
        /// discarded, whatever the overflow policy says. Default: no.
        pub last_value: Option<bool>,
        /// Messages with one key. Counted, and let go, as the overflow policy says of
        /// `messages_max`. At least 1. Default: no limit. Not with `last_value`.
        pub messages_per_key_max: Option<u64>,
        /// How often a message is delivered. Default: as fast as it goes.
        pub rate: Option<Rate>,
        /// Default: nobody looks.
        pub slow: Option<Slow>,
    }
}

impl QueueOptions {
    /// These options, and for tunables that are absent those of `others`.
    #[must_use]
    pub fn or_tunables(&self, others: &Self) -> Self {
        let own = self.clone();
        Self {
            lease_ms: own.lease_ms.or(others.lease_ms),
            deliveries_max: own.deliveries_max.or(others.deliveries_max),
            backoff: own.backoff.or_else(|| others.backoff.clone()),
            messages_max: own.messages_max.or(others.messages_max),
            bytes_max: own.bytes_max.or(others.bytes_max),
            overflow: own.overflow.or(others.overflow),
            consumers_min: own.consumers_min.or(others.consumers_min),
            consumers_wait_ms: own.consumers_wait_ms.or(others.consumers_wait_ms),
            idle_ms_max: own.idle_ms_max.or(others.idle_ms_max),
            result_keep_ms: own.result_keep_ms.or(others.result_keep_ms),
            ttl_ms: own.ttl_ms.or(others.ttl_ms),
            expired: own.expired.or_else(|| others.expired.clone()),
            dedupe_ms: own.dedupe_ms.or(others.dedupe_ms),
            on_failure: own.on_failure.or(others.on_failure),
            priorities: own.priorities.or(others.priorities),
            messages_per_key_max: own.messages_per_key_max.or(others.messages_per_key_max),
            rate: own.rate.or(others.rate),
            slow: own.slow.or(others.slow),
            durability: own.durability,
            dead_letter: own.dead_letter,
            version: own.version,
            single_active: own.single_active,
            exclusive: own.exclusive,
            order: own.order,
            last_value: own.last_value,
        }
    }
}

structure! {
    /// What a consumer asks for.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct ConsumeOptions {
        /// Deliveries without a settlement; at least 1.
        pub prefetch: u32,
        /// Their bodies; one delivery may always come.
        pub prefetch_bytes: u32,
        /// A higher one is served first, as long as it has credit. Default 0. Among equals those
        /// come first whose page is visible.
        pub priority: Option<u32>,
        /// Deliveries come without their bodies and tell how long these are.
        pub headers_only: Option<bool>,
        /// Nothing comes until a change says otherwise.
        pub paused: Option<bool>,
    }
}

impl ConsumeOptions {
    /// Credit, and nothing special.
    #[must_use]
    pub const fn new(prefetch: u32, prefetch_bytes: u32) -> Self {
        Self { prefetch, prefetch_bytes, priority: None, headers_only: None, paused: None }
    }
}
