//! Identities. Each is a type of its own, so that one can't stand for another.

use alloc::vec::Vec;

use crate::cbor::{Read, Reader, Write, structure};

/// An identity is encoded as what is inside it.
macro_rules! transparent {
    ($name:ident) => {
        impl Read<'_> for $name {
            fn read(reader: &mut Reader<'_>) -> Self {
                Self(Read::read(reader))
            }
        }

        impl Write for $name {
            fn write(&self, out: &mut Vec<u8>) {
                self.0.write(out);
            }
        }
    };
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
        pub struct $name(pub $inner);

        impl $name {
            /// The number that follows this one. The last one stays: a log that names it is refused
            /// before anything is numbered.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }
        }

        transparent! { $name }
    };
}

macro_rules! random {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
        pub struct $name(pub [u8; 16]);

        transparent! { $name }
    };
}

random! {
    /// One log, for its whole life. Random, made with the log.
    LogId
}
random! {
    /// One tab, worker or process on one bus. Random; a cloned tab makes a new one.
    ClientId
}

structure! {
    /// Which node may write. The counter orders nodes; the incarnation tells two nodes apart that
    /// read the same counter. Stored strictly before the node reads its log.
    #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
    pub struct Epoch {
        pub counter: u64,
        pub incarnation: u64,
    }
}

number! {
    /// Numbering of one client's stored sends at one log. Issued by the log, increasing, never
    /// issued twice; zero means none.
    LaneId(u64)
}
number! {
    /// Position of a stored send in its lane. The first is 1; there are no holes.
    Sequence(u64)
}
number! {
    /// One delivery of one message to one client. Issued by the log, increasing, never twice.
    LeaseNumber(u64)
}
number! {
    /// A stored message's place in the order of its log. Increasing, never issued twice.
    MessageNumber(u64)
}
number! {
    /// A queue inside one log.
    QueueId(u32)
}
number! {
    /// One chunk of the log: one group commit. Consecutive, the first is 1.
    ChunkNumber(u64)
}
number! {
    /// Fencing token of a leadership: larger than that of every earlier term of its role.
    Term(u64)
}
number! {
    /// Position of a live publish among those of its publisher. Each run of a client, such as
    /// before and after a reload, starts above all numbers of the run before, from the wall clock.
    PublishNumber(u64)
}
number! {
    /// One link between a client and a node: random, new at each Hello.
    LinkNonce(u64)
}
number! {
    /// The links that share a socket of a hub, as long as they stay the same: random.
    AudienceId(u64)
}
number! {
    /// A socket of a hub, as its host sees it. Never reused.
    SocketId(u32)
}
number! {
    /// A request of a client: issued by the client, increasing, never issued twice by it.
    RequestId(u32)
}
number! {
    /// A subscription of one client.
    SubscriptionId(u32)
}
number! {
    /// A queue that one client watches.
    WatchId(u32)
}
number! {
    /// A consumer of one client.
    ConsumerId(u32)
}
number! {
    /// A client's readiness to decide about the prepared messages of one queue.
    CheckerId(u32)
}
number! {
    /// A service that one client serves.
    ServiceId(u32)
}
number! {
    /// A leadership that one client stands for.
    CandidateId(u32)
}
number! {
    /// A method name interned on one link by its caller.
    MethodId(u32)
}
number! {
    /// A call as its caller numbers it. Unique within the caller's life.
    CallId(u32)
}
number! {
    /// A connection of a broker, as its host sees it. Never reused.
    ConnId(u32)
}
number! {
    /// A storage operation. Increasing; a success also completes every earlier write.
    OpId(u64)
}

/// Every number is below this: TypeScript holds no larger one exactly. A peer that names one breaks
/// the protocol.
pub const NUMBERS_END: u64 = 1 << 53;
