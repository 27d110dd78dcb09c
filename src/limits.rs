//! Every bound of the system, by name, with its default. Each one of `Limits` is an option of
//! `connect`.

/// What all lists of one frame may take in memory once they are read. Not an option: the shortest
/// items take a hundred times their bytes there, and the memory of a module only grows.
pub const FRAME_LISTS_BYTES_MAX: usize = 4 << 20;

/// Patterns in one list of a grant. Each frame may be held against all of them. Not an option: who
/// grants is the host itself.
pub const GRANT_PATTERNS_MAX: usize = 256;

/// Filters of all clients that share a socket of a hub: so many times `handles_max`, which bounds
/// those of one. Not an option: a device has a handful of clients.
pub const SOCKET_SHARES_MAX: u32 = 10;

/// The token by which a socket asks for another grant. Not an option: what comes with the request
/// of a socket is bounded by servers, to no more.
pub const TOKEN_BYTES_MAX: usize = 8192;

/// How often a socket may ask for another grant. What asks sooner is not heard.
pub const RENEW_EVERY_MS: u64 = 1000;

/// The user that a grant names. Not an option, as it is stored with the lanes of that user.
pub const USER_BYTES_MAX: usize = 255;

/// Bounds of one bus. A host may lower or raise each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A message or call body, before it is cut into fragments.
    pub body_bytes_max: u32,
    /// All headers of one message, encoded.
    pub headers_bytes_max: u32,
    /// A bus, topic, queue, service, method or role name.
    pub name_bytes_max: u32,
    /// Words in a topic or filter.
    pub topic_words_max: u32,
    /// Items of one batch.
    pub batch_items_max: u32,
    /// One transport message; longer frames travel as fragments.
    pub fragment_bytes_max: u32,
    /// Frames waiting on one link because the peer takes no more.
    pub link_bytes_max: u32,
    /// Sends of one client that are out on its link without an answer, in bytes; one may always be.
    /// What is above waits with the client.
    pub window_bytes_max: u32,
    /// What waits in the socket of a device for the network. Past it the clients of the device hold
    /// back what can wait.
    pub socket_buffered_bytes_max: u32,
    /// Sends and live messages of one client without an answer. As many settlements, and as many
    /// other requests, have bounds of their own.
    pub requests_max: u32,
    /// Bodies of one client's requests without an answer. As much is for settlements and replies.
    pub request_bytes_max: u32,
    /// Sessions of one node, parked ones included.
    pub sessions_max: u32,
    /// Subscriptions, consumers, services, candidates and watched queues of one client, each.
    pub handles_max: u32,
    /// Queues of one log.
    pub queues_max: u32,
    /// Messages of one queue, unless its declaration says less.
    pub queue_messages_max: u32,
    /// Advisories of one second; more are left out, and the next one says how many.
    pub advisories_max: u32,
    /// Schedules of one log, and the bytes of what they store. One that samples a topic holds a
    /// live message beside that.
    pub schedules_max: u32,
    pub schedules_bytes_max: u32,
    /// The shortest time from one due time of a schedule to the next.
    pub schedule_every_ms_min: u64,
    /// Redrives of one client that are under way, or whose count it has not heard.
    pub redrives_max: u32,
    /// Policies of one log.
    pub policies_max: u32,
    /// Waits of one ladder of a backoff.
    pub backoff_waits_max: u32,
    /// Priorities of one queue; at most 256.
    pub priorities_max: u32,
    /// Ways of dying (queue and reason) remembered of one message, at least 1; the oldest are
    /// forgotten.
    pub deaths_max: u32,
    /// Message ids that one queue remembers; the oldest are forgotten, though their window is open.
    pub dedupe_ids_max: u32,
    /// A prepared message that nobody decided about for so long is asked about, and again after as
    /// long, unless it was prepared with another time.
    pub prepared_check_after_ms: u64,
    /// So often at most. If that does not help either, it is rolled back.
    pub prepared_checks_max: u32,
    /// A prepared message older than this is rolled back, whether somebody was asked or not.
    pub prepared_age_ms_max: u64,
    /// Decisions about prepared messages that are remembered; the oldest are forgotten.
    pub decisions_max: u32,
    /// Lanes that were let go of whose client is remembered as the sender of what it left behind;
    /// the oldest are forgotten.
    pub senders_max: u32,
    /// Items of one producer that the node lets be under way at most: see `queue.writable`.
    pub ingest_items_max: u32,
    /// Lanes kept in one log; beyond it the longest idle one is let go.
    pub lanes_max: u32,
    /// An idle lane without a session is let go after this.
    pub lane_keep_ms: u64,
    /// Calls of one node without a reply.
    pub calls_max: u32,
    /// Replies a server keeps until the node has them, and calls and results a node keeps until
    /// their callers have them.
    pub replies_max: u32,
    /// One chunk of the log; a record that is longer has a chunk of its own.
    pub chunk_bytes_max: u32,
    /// Bodies the node keeps in memory; older ones are read back from storage.
    pub resident_bytes_max: u32,
    /// Garbage in the log that makes a checkpoint worth its write.
    pub checkpoint_bytes_min: u32,
    /// One page of a checkpoint.
    pub page_bytes_max: u32,
    /// Room in the store that is given up when it is full, so that acknowledgements, moves and
    /// checkpoints can empty it again; sends are refused until it is back. Zero keeps none.
    pub log_reserve_bytes: u32,
    /// Live messages the node keeps to repair gaps.
    pub repair_bytes_max: u32,
    /// Live messages a client holds back while it waits for a repair.
    pub gap_messages_max: u32,
    /// Publishers whose newest number a client or node remembers. More than `sessions_max`: the one
    /// heard longest ago is forgotten first, and that has to be one that is gone.
    pub publishers_max: u32,
    /// A node settles at most this long after recovery before absence counts.
    pub settle_ms: u64,
    /// What became of a tracked message is kept for so long after its end.
    pub result_keep_ms: u64,
    /// Ends of tracked messages that are kept, and the bytes of their values; the oldest go first.
    pub results_max: u32,
    pub results_bytes_max: u32,
    /// Requests that wait for the end of a tracked message.
    pub trackers_max: u32,
    /// Pages of browsers that wait for a chunk to be read back.
    pub browses_max: u32,
    /// Silence of the node, with work outstanding, before a client probes it; after two probes it
    /// may take the lock.
    pub node_silence_ms: u64,
    /// Wait between two tries to reach a node.
    pub hello_retry_ms: u64,
    /// A pause of the node after which it reads its epoch again before it does anything.
    pub pause_ms_max: u64,
    /// A node in a hidden page is handed over after this while a visible peer exists.
    pub hidden_host_ms: u64,
    /// A send that has no answer after this is written down by its client.
    pub outbox_after_ms: u64,
    /// Deadline of a verb that gives none.
    pub verb_timeout_ms: u64,
    /// Deadline of a call that gives none.
    pub call_timeout_ms: u64,
    /// A session without a link is given up after this, though its client lives.
    pub park_ms: u64,
    /// The newest numbers of publishers are repeated this long after traffic.
    pub newest_repeat_ms: u64,
}

impl Limits {
    pub const DEFAULTS: Self = Self {
        body_bytes_max: 1 << 20,
        headers_bytes_max: 16 << 10,
        name_bytes_max: 255,
        topic_words_max: 32,
        batch_items_max: 1000,
        fragment_bytes_max: 64 << 10,
        link_bytes_max: 8 << 20,
        window_bytes_max: 2 << 20,
        socket_buffered_bytes_max: 1 << 20,
        requests_max: 100_000,
        request_bytes_max: 64 << 20,
        sessions_max: 1000,
        handles_max: 10_000,
        queues_max: 10_000,
        queue_messages_max: 10_000_000,
        advisories_max: 1000,
        schedules_max: 1000,
        schedules_bytes_max: 16 << 20,
        schedule_every_ms_min: 1000,
        redrives_max: 16,
        policies_max: 100,
        priorities_max: 32,
        backoff_waits_max: 100,
        deaths_max: 16,
        dedupe_ids_max: 20_000,
        prepared_check_after_ms: 60_000,
        prepared_checks_max: 15,
        prepared_age_ms_max: 4 * 3600 * 1000,
        decisions_max: 10_000,
        senders_max: 10_000,
        ingest_items_max: 10_000,
        lanes_max: 10_000,
        lane_keep_ms: 24 * 3600 * 1000,
        calls_max: 100_000,
        replies_max: 40_000,
        chunk_bytes_max: 256 << 10,
        resident_bytes_max: 64 << 20,
        checkpoint_bytes_min: 1 << 20,
        page_bytes_max: 64 << 10,
        log_reserve_bytes: 1 << 20,
        repair_bytes_max: 4 << 20,
        gap_messages_max: 1000,
        publishers_max: 10_000,
        settle_ms: 2000,
        result_keep_ms: 10 * 60_000,
        results_max: 100_000,
        results_bytes_max: 16 << 20,
        trackers_max: 100_000,
        browses_max: 1000,
        node_silence_ms: 3000,
        hello_retry_ms: 250,
        pause_ms_max: 2000,
        hidden_host_ms: 60_000,
        outbox_after_ms: 50,
        verb_timeout_ms: 30_000,
        call_timeout_ms: 30_000,
        park_ms: 5 * 60_000,
        newest_repeat_ms: 500,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULTS
    }
}

const _: () = {
    let limits = Limits::DEFAULTS;
    assert!(limits.fragment_bytes_max < limits.body_bytes_max);
    assert!(limits.body_bytes_max < limits.link_bytes_max);
    assert!(limits.chunk_bytes_max <= limits.resident_bytes_max);
    assert!(limits.settle_ms < limits.verb_timeout_ms);
    // Else a client forgets publishers that live, and may miss some of theirs without a word.
    assert!(limits.sessions_max < limits.publishers_max);
};
