//! Queues and services as an operator sees them, and policies.

use alloc::vec::Vec;

use crate::cbor::structure;
use crate::id::ClientId;
use crate::options::QueueOptions;
use crate::time::UnixMillis;
use crate::wire::parts::QueueCounts;

structure! {
    /// A queue in a list.
    #[derive(Clone, PartialEq, Eq, Debug)]
    pub struct QueueEntry<'a> {
        pub name: &'a str,
        pub state: QueueCounts,
        /// Bodies of its messages.
        pub bytes: u64,
        /// As it was declared. What is absent comes from its policy, or is the default.
        pub options: QueueOptions,
        /// The only client that may take from it.
        pub owner: Option<ClientId>,
        /// When its pause ends.
        pub paused_until: Option<UnixMillis>,
        pub policy: Option<&'a str>,
        /// What happens to its messages is told.
        pub traced: Option<bool>,
    }
}

structure! {
    /// A service in a list.
    #[derive(Clone, PartialEq, Eq, Debug)]
    pub struct ServiceEntry<'a> {
        pub name: &'a str,
        pub servers: Vec<ServerEntry>,
        /// Calls for which no server has room, or that wait for a server at all.
        pub waiting: u32,
    }
}

structure! {
    /// Who serves a service.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct ServerEntry {
        pub client: ClientId,
        /// Calls that it takes at a time.
        pub concurrency: u32,
        /// Calls that it has and did not answer.
        pub running: u32,
    }
}

structure! {
    /// A queue as one sees it who watches it.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct QueueStats {
        /// Without `newest`, which others move.
        pub state: QueueCounts,
        /// Bodies of its messages.
        pub bytes: u64,
        /// When the message that stands first was stored, if that one is in memory.
        pub oldest_at: Option<UnixMillis>,
    }
}

structure! {
    /// Options for every queue whose name fits a pattern. What a queue declares goes before. Of the
    /// policies that fit, one applies: that of the highest priority, of these the first by name.
    #[derive(Clone, PartialEq, Eq, Debug)]
    pub struct Policy<'a> {
        pub name: &'a str,
        /// A filter of topics.
        pub pattern: &'a str,
        pub priority: u32,
        /// Structural ones are refused.
        pub options: QueueOptions,
    }
}
