//! The commit log: numbered chunks, each one group commit of records, atomic because it is
//! stored as one value. The log knows records and places; it does not know frames or sessions.

mod checkpoints;
mod chunk;
mod journal;
mod manifest;
mod memory;
mod need;
mod note;
mod pages;
mod pieces;
pub mod record;
mod recovery;
mod reserve;
mod residency;

#[cfg(feature = "sim")]
pub use chunk::{Head, records_of, sealed};
pub use journal::{Log, LogEvent};
#[cfg(feature = "sim")]
pub use manifest::{LiveChunk, Manifest, Page};
pub use memory::MemoryStore;
pub use note::Note;
pub use record::{LeaseEnd, Place, Record, Removal};
pub use recovery::{NewIdentity, Recovery, RecoveryFault};
#[cfg(feature = "sim")]
pub use reserve::KEY as RESERVE;

use crate::limits::Limits;
use crate::rules::Rules;

/// The format that this build writes. It reads older ones as well; a log of a newer one is refused
/// with `UPGRADE_REQUIRED`. In format 1 the head of a chunk has no time, so those of its messages
/// are whole, and a checkpoint has no pieces.
pub const FORMAT: u16 = 2;

/// About so many chunks make a checkpoint worth its write, however short they are: recovery reads
/// each.
const TAIL_CHUNKS: usize = 64;

/// The bounds of a log.
#[derive(Clone, Copy, Debug)]
pub struct LogConfig {
    pub chunk_bytes_max: usize,
    pub page_bytes_max: usize,
    pub resident_bytes_max: usize,
    pub checkpoint_bytes_min: usize,
    pub reserve_bytes: usize,
    /// The death of a writer may leave its last chunk in part. Where it can't, a last chunk that is
    /// not whole is damage like any other.
    pub tears: bool,
    pub rules: Rules,
}

impl LogConfig {
    /// The log's part of the limits of a bus.
    #[must_use]
    pub fn new(limits: &Limits, rules: Rules) -> Self {
        Self {
            chunk_bytes_max: limits.chunk_bytes_max as usize,
            page_bytes_max: limits.page_bytes_max as usize,
            resident_bytes_max: limits.resident_bytes_max as usize,
            checkpoint_bytes_min: limits.checkpoint_bytes_min as usize,
            reserve_bytes: limits.log_reserve_bytes as usize,
            tears: true,
            rules,
        }
    }

    /// What a chunk counts in the growth of the log beside its bytes.
    const fn chunk_cost(&self) -> usize {
        self.checkpoint_bytes_min / TAIL_CHUNKS
    }
}
