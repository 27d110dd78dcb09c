//! The commit log: numbered chunks, each one group commit of records, atomic because it is
//! stored as one value. The log knows records and places; it does not know frames or sessions.

pub mod record;

pub use record::{LeaseEnd, Place, Record};

/// The format that this build writes. A log of a newer one is refused with `UPGRADE_REQUIRED`.
pub const FORMAT: u16 = 1;
