//! The kinds of faults and how often each occurred.

macro_rules! faults {
    ($($(#[$doc:meta])+ $name:ident = $text:literal,)+) => {
        /// Something that goes wrong. Network, disk, processes, clock; each part says in the head
        /// of its file what it may do and why tabmq survives it.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum Fault {
            $($(#[$doc])+ $name,)+
        }

        impl Fault {
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            #[must_use]
            pub const fn text(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }
    };
}

faults! {
    /// A transport message on a channel is lost.
    MessageDropped = "message-dropped",
    /// A transport message on a channel comes twice.
    MessageDuplicated = "message-duplicated",
    /// One direction between two parties stalls; what follows on it waits, other ways do not.
    LinkDelayed = "link-delayed",
    /// A message overtakes an earlier one of the same sender that took another way.
    LinksReordered = "links-reordered",
    /// A socket breaks: what is under way is lost and both ends learn of it.
    LinkCut = "link-cut",
    /// Nothing passes between one process and the rest for a while.
    Partitioned = "partitioned",
    /// One receiver misses a message to everyone.
    BroadcastLost = "broadcast-lost",
    /// A transaction is rolled back and may be tried again.
    CommitAborted = "commit-aborted",
    /// Writes find no room for a while.
    DiskFull = "disk-full",
    /// A node died while a commit was written: a part of it is there.
    CommitTorn = "commit-torn",
    /// The newest commits that were not flushed are gone.
    TailLost = "tail-lost",
    /// The connection to the storage broke: whether the write happened is not known.
    StorageLost = "storage-lost",
    /// A chunk that the log needs is gone. Recovery has to refuse.
    ChunkMissing = "chunk-missing",
    /// A bit of a chunk in the middle of the log is wrong. Recovery has to refuse.
    BitFlipped = "bit-flipped",
    /// A write takes up to two seconds.
    WriteSlow = "write-slow",
    /// A tab is gone without a word.
    ClientDied = "client-died",
    /// A tab is loaded again and keeps what a page may keep.
    ClientReloaded = "client-reloaded",
    /// A tab stands still, and goes on later.
    ClientFrozen = "client-frozen",
    /// A tab says goodbye, keeps its lane, and comes back.
    ClientParked = "client-parked",
    /// The node is gone, between two inputs.
    NodeDied = "node-died",
    /// The node is gone after some of the effects of one input.
    NodeDiedMidway = "node-died-midway",
    /// The node is gone just before or after a checkpoint, a delete or a move is written.
    NodeDiedRewriting = "node-died-rewriting",
    /// The tab of the node stands still, and goes on later.
    NodeFrozen = "node-frozen",
    /// A node goes on after another took over.
    NodeFenced = "node-fenced",
    /// The lock is taken from a node that lives.
    LockStolen = "lock-stolen",
    /// The wall clock jumps, either way.
    WallJumped = "wall-jumped",
}

/// How often each kind of fault occurred.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FaultCounts {
    counts: [u64; Fault::ALL.len()],
}

impl FaultCounts {
    pub const ZERO: Self = Self { counts: [0; Fault::ALL.len()] };

    pub fn add(&mut self, fault: Fault) {
        self.counts[fault as usize] += 1;
    }

    #[must_use]
    pub const fn of(&self, fault: Fault) -> u64 {
        self.counts[fault as usize]
    }

    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    pub fn add_all(&mut self, other: &Self) {
        for (sum, count) in self.counts.iter_mut().zip(other.counts) {
            *sum += count;
        }
    }
}
