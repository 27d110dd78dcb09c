//! What is sent at times that come again, or once at a time, by the node itself.

use crate::cbor::{structure, variants};
use crate::id::MessageNumber;
use crate::time::UnixMillis;
use crate::wire::parts::Item;

variants! {
    /// When a schedule is due.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub enum When<'a> {
        /// See `Cron::parse`. In UTC without a zone, which is the name of one of IANA's.
        1 => Cron {
            cron: &'a str,
            zone: Option<&'a str>,
        },
        /// So often, the first time after so long. At least `limits.schedule_every_ms_min`.
        2 => Every {
            every_ms: u64,
        },
        /// Once. A time that is over is due at once.
        3 => At {
            at: UnixMillis,
        },
    }
}

structure! {
    /// A schedule of a queue. One of the same key takes the place of the earlier one.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Scheduling<'a> {
        pub key: &'a str,
        pub when: When<'a>,
        /// What is stored each time; with a body and properties alone.
        pub item: Item<'a>,
        /// The topic whose newest live publish is stored in place of the item's body and
        /// properties, which are empty then. A time is passed over if nothing was published since
        /// the last one.
        pub latest: Option<&'a str>,
    }
}

structure! {
    /// How a schedule was due the last time.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Firing {
        pub due_at: UnixMillis,
        /// When its message was stored, if it had one.
        pub at: UnixMillis,
        /// How often it was due so far.
        pub count: u64,
    }
}

structure! {
    /// A schedule in a list.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct ScheduleEntry<'a> {
        pub key: &'a str,
        /// Tells it from others of its key.
        pub number: MessageNumber,
        pub when: When<'a>,
        /// Absent if that is not known: the host of the node does not know the zone.
        pub due_at: Option<UnixMillis>,
        pub last: Option<Firing>,
        /// The topic that it samples.
        pub latest: Option<&'a str>,
    }
}
