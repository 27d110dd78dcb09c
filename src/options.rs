//! Options that are both declared over the wire and stored in the log.

use alloc::string::String;

use minicbor::{Decode, Encode};

/// What has to survive before a send is confirmed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Encode, Decode)]
#[cbor(index_only)]
pub enum Durability {
    /// Lives in the node's memory alone.
    #[n(0)]
    Memory,
    /// Survives the death of every tab.
    #[n(1)]
    Relaxed,
    /// Survives the loss of power, as far as the platform says.
    #[n(2)]
    Strict,
}

/// How long a failed delivery waits before its next attempt.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(array)]
pub struct Backoff {
    /// Wait after the first failure.
    #[n(0)]
    pub first_ms: u64,
    /// Each further wait is the last one times this, in percent; 100 keeps it fixed.
    #[n(1)]
    pub factor_percent: u32,
    #[n(2)]
    pub wait_ms_max: u64,
    /// Each wait is changed by up to this much either way, at random.
    #[n(3)]
    pub jitter_percent: u32,
}

/// Where a message goes that was rejected or delivered too often.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(flat)]
pub enum DeadLetter {
    /// To the queue of this name, made on first use.
    #[n(1)]
    Queue(#[n(0)] String),
    /// Nowhere: discarded by a log record and counted.
    #[n(2)]
    Discard,
}

/// What a declaration of a queue says. An absent option is not compared with the queue that
/// exists and takes its default on a new one.
#[derive(Clone, PartialEq, Eq, Debug, Default, Encode, Decode)]
#[cbor(array)]
pub struct QueueOptions {
    /// Structural: a declaration that differs is refused with `DUPLICATE_DECLARE`.
    #[cbor(n(0), with = "crate::cbor::variant", has_nil)]
    pub durability: Option<Durability>,
    /// Default 30 000.
    #[n(1)]
    pub lease_ms: Option<u64>,
    /// Default 5; at least 1.
    #[n(2)]
    pub deliveries_max: Option<u32>,
    /// Default 1 s, doubled each time, at most 5 min, jitter 20 %.
    #[n(3)]
    pub backoff: Option<Backoff>,
    /// Structural. Default: the queue `<name>.dead`.
    #[cbor(n(4), with = "crate::cbor::variant", has_nil)]
    pub dead_letter: Option<DeadLetter>,
    /// Ready, delayed and leased messages together. Default: the limit of the bus.
    #[n(5)]
    pub messages_max: Option<u64>,
    /// Tunables of the highest version win. Default 0.
    #[n(6)]
    pub version: Option<u32>,
}
