//! The kinds of faults and how often each occurred.

/// All of what a share is taken of.
pub const PER_MILLE: u32 = 1000;

/// What the number counts that says how often a kind of fault occurs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Per {
    /// Messages or writes of which so many in a thousand meet it.
    Operation,
    /// Moments at which one fault may come. So many in a thousand bring this one; if those of all
    /// kinds are more than a thousand, each has its share.
    Moment,
    /// The run: it can occur in it, or it can't.
    Run,
    /// Nothing: it follows from others and does not come by itself.
    Others,
}

impl Per {
    /// The most a kind may be set to, in thousandths. Where more goes wrong than this, nothing is
    /// promised.
    #[must_use]
    pub const fn per_mille_max(self) -> u32 {
        match self {
            Self::Operation => 100,
            Self::Moment | Self::Run => PER_MILLE,
            Self::Others => 0,
        }
    }
}

macro_rules! faults {
    ($($(#[$doc:meta])+ $name:ident = $per:ident, $text:literal $(, $place:ident)?;)+) => {
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

            /// Whether it occurs in worlds with a hub alone.
            #[must_use]
            pub const fn is_of_hubs(self) -> bool {
                match self {
                    $(Self::$name => [$(stringify!($place),)? ""].len() > 1,)+
                }
            }

            /// What the number counts that says how often it occurs.
            #[must_use]
            pub const fn per(self) -> Per {
                match self {
                    $(Self::$name => Per::$per,)+
                }
            }
        }
    };
}

faults! {
    /// A transport message on a channel is lost.
    MessageDropped = Operation, "message-dropped";
    /// A transport message on a channel comes twice.
    MessageDuplicated = Operation, "message-duplicated";
    /// One direction between two parties stalls; what follows on it waits, other ways do not.
    LinkDelayed = Operation, "link-delayed";
    /// A message overtakes an earlier one of the same sender that took another way.
    LinksReordered = Others, "links-reordered";
    /// A socket breaks: what is under way is lost and both ends learn of it.
    LinkCut = Moment, "link-cut";
    /// Nothing passes between one process and the rest for a while.
    Partitioned = Moment, "partitioned";
    /// One receiver misses a message to everyone.
    BroadcastLost = Operation, "broadcast-lost";
    /// A transaction is rolled back and may be tried again.
    CommitAborted = Operation, "commit-aborted";
    /// Writes find no room for a while.
    DiskFull = Moment, "disk-full";
    /// A node died while a commit was written: a part of it is there.
    CommitTorn = Run, "commit-torn";
    /// The newest commits that were not flushed are gone.
    TailLost = Moment, "tail-lost";
    /// The connection to the storage broke: whether the write happened is not known.
    StorageLost = Operation, "storage-lost";
    /// A chunk that the log needs is gone. Recovery has to refuse.
    ChunkMissing = Run, "chunk-missing";
    /// A bit of a chunk in the middle of the log is wrong. Recovery has to refuse.
    BitFlipped = Run, "bit-flipped";
    /// A write takes up to two seconds.
    WriteSlow = Operation, "write-slow";
    /// A tab is gone without a word.
    ClientDied = Moment, "client-died";
    /// A tab is loaded again and keeps what a page may keep.
    ClientReloaded = Moment, "client-reloaded";
    /// A tab stands still, and goes on later.
    ClientFrozen = Moment, "client-frozen";
    /// A tab says goodbye, keeps its lane, and comes back.
    ClientParked = Moment, "client-parked";
    /// The node is gone, between two inputs.
    NodeDied = Moment, "node-died";
    /// The node is gone after some of the effects of one input.
    NodeDiedMidway = Moment, "node-died-midway";
    /// The node is gone just before or after a checkpoint, a delete or a move is written.
    NodeDiedRewriting = Operation, "node-died-rewriting";
    /// The tab of the node stands still, and goes on later.
    NodeFrozen = Moment, "node-frozen";
    /// A node goes on after another took over.
    NodeFenced = Others, "node-fenced";
    /// The lock is taken from a node that lives.
    LockStolen = Moment, "lock-stolen";
    /// The wall clock jumps ahead.
    WallJumpedAhead = Moment, "wall-jumped-ahead";
    /// The wall clock jumps back.
    WallJumpedBack = Moment, "wall-jumped-back";
    /// A page goes out of view: its timers come once a second at most, or once a minute.
    PageHidden = Moment, "page-hidden";
    /// A page comes into view again, and its timers with it.
    PageShown = Others, "page-shown";
    /// A page that stood still goes on, with all that came meanwhile.
    PageThawed = Others, "page-thawed";
    /// A page that stood still is thrown away, and loaded again when its user comes back.
    PageDiscarded = Moment, "page-discarded";
    /// A page comes back out of the cache.
    PageRestored = Others, "page-restored";
    /// A page is thrown out of the cache, and loaded again.
    PageEvicted = Moment, "page-evicted";
    /// A worker that hosts is gone with the page that started it; its other users live.
    WorkerDied = Others, "worker-died";
    /// A page died before all that it wrote down of its sends was written.
    OutboxCut = Others, "outbox-cut";
    /// What a page in the cache had written down was sent by another page.
    OutboxTaken = Others, "outbox-taken";
    /// The link of a device to its hub breaks: each way loses what comes last, and both ends learn
    /// of it.
    DeviceLinkCut = Moment, "device-link-cut", hub;
    /// What is said on the link of a device comes late, one way or both.
    DeviceLinkStalled = Moment, "device-link-stalled", hub;
    /// The link of a device leads nowhere, and one end or none learns of it.
    DeviceLinkHalfOpen = Moment, "device-link-half-open", hub;
    /// A door of the hub leads nowhere for a while, and what went through it is cut off.
    DoorDown = Moment, "door-down", hub;
    /// A device reaches its hub through another door than before.
    DoorChanged = Others, "door-changed", hub;
    /// A device reaches no door, for seconds or for hours.
    DeviceApart = Moment, "device-apart", hub;
    /// All tabs of a device are gone at once.
    DeviceDied = Moment, "device-died", hub;
    /// The tab that relays for its device is gone, and the others live.
    RelayDied = Moment, "relay-died", hub;
    /// The process of the hub is gone, and another starts on its disk.
    HubDied = Moment, "hub-died", hub;
    /// Another process of the hub starts on its disk while it lives.
    HubTwice = Moment, "hub-twice", hub;
    /// The host of the hub falls asleep with its sockets open, and loses its memory.
    HubSlept = Others, "hub-slept", hub;
    /// The hub closes a socket because its grant came to an end.
    GrantExpired = Others, "grant-expired", hub;
    /// The grants of a device end at once, and for a while nobody of it is let in.
    GrantRevoked = Moment, "grant-revoked", hub;
    /// The grants of a device are renewed with another content while their sockets are open.
    GrantChanged = Moment, "grant-changed", hub;
}

impl Fault {
    #[must_use]
    pub fn named(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|fault| fault.text() == text)
    }

    /// Whether it follows from others and does not come by itself.
    #[must_use]
    pub const fn follows(self) -> bool {
        matches!(self.per(), Per::Others)
    }
}

/// How often each kind of fault occurred, and which do not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FaultCounts {
    counts: [u64; Fault::ALL.len()],
    off: [bool; Fault::ALL.len()],
}

impl FaultCounts {
    pub const ZERO: Self = Self { counts: [0; Fault::ALL.len()], off: [false; Fault::ALL.len()] };

    /// From now on these do not occur.
    pub fn switch_off(&mut self, faults: &[Fault]) {
        for fault in faults {
            self.off[*fault as usize] = true;
        }
    }

    #[must_use]
    pub const fn is_off(&self, fault: Fault) -> bool {
        self.off[fault as usize]
    }

    pub fn add(&mut self, fault: Fault) {
        self.counts[fault as usize] += 1;
    }

    /// Counts one that was drawn; false if it does not occur, for its kind is off.
    pub fn occurs(&mut self, fault: Fault) -> bool {
        let occurs = !self.is_off(fault);
        self.counts[fault as usize] += u64::from(occurs);
        occurs
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
