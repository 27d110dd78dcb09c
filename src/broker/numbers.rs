//! Numbers that are never issued twice, though the store may lose what it has not flushed.
//!
//! They are issued in blocks. The first of a block is flushed before it is told to anyone, and
//! after a start issuing begins with a new block: what a crash took lies in the block before.
//!
//! Each lane is flushed before it is told. Only a lane that is still there can tell, by its
//! position, that a crash took sends which its client knows to be stored; and the client may come
//! back when several nodes have started since, and the blocks no longer tell what was lost.

use crate::broker::Broker;
use crate::broker::state::Counters;
use crate::id::{LeaseNumber, MessageNumber, NUMBERS_END, Term};
use crate::log::Record;
use crate::log::record::Decision;

/// Numbers in a block. One flush each; at most so many are left out at a start.
const BLOCK: u64 = 4096;

/// The first number of the next block that none was issued of.
const fn next_block(next: u64) -> u64 {
    (next - 1).next_multiple_of(BLOCK) + 1
}

const fn begins_block(number: u64) -> bool {
    (number - 1).is_multiple_of(BLOCK)
}

impl Counters {
    /// Whether a log may have come this far. From others it would run out of numbers.
    pub fn are_possible(&self) -> bool {
        let Self { queue, lane, message, lease, term } = *self;
        let largest = u64::from(queue.0).max(lane.0).max(message.0).max(lease.0).max(term.0);
        let least = u64::from(queue.0).min(lane.0).min(message.0).min(lease.0).min(term.0);
        least > 0 && largest < NUMBERS_END && queue.0 < u32::MAX
    }
}

/// Where issuing begins after a start.
pub fn floors(next: Counters) -> Counters {
    Counters {
        queue: next.queue,
        lane: next.lane,
        message: MessageNumber(next_block(next.message.0)),
        lease: LeaseNumber(next_block(next.lease.0)),
        term: Term(next_block(next.term.0)),
    }
}

impl Broker {
    pub(super) fn next_message(&self) -> MessageNumber {
        self.state.next.message.max(self.floors.message)
    }

    pub(super) fn next_lease(&self) -> LeaseNumber {
        self.state.next.lease.max(self.floors.lease)
    }

    pub(super) fn next_term(&self) -> Term {
        self.state.next.term.max(self.floors.term)
    }

    /// Has a record flushed that opens a lane or issues the first number of a block. Called once
    /// it is appended.
    pub(super) fn flush_new_numbers(&mut self, record: &Record<'_>) {
        let flushed = match record {
            Record::Message(message) => begins_block(message.number.0),
            Record::Prepared { message, .. } => begins_block(message.number.0),
            Record::Decided { decision: Decision::Committed { number }, .. } => {
                begins_block(number.0)
            }
            Record::Scheduled { number, .. } => begins_block(number.0),
            Record::Leased { lease, .. } => begins_block(lease.0),
            Record::LaneOpened { .. } => true,
            Record::TermBegan { term, .. } => begins_block(term.0),
            _ => false,
        };
        if flushed {
            self.log.require_strict();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_of_which_nothing_was_issued_is_not_left_out() {
        assert_eq!(next_block(1), 1);
        assert_eq!(next_block(2), BLOCK + 1);
        assert_eq!(next_block(BLOCK), BLOCK + 1);
        assert_eq!(next_block(BLOCK + 1), BLOCK + 1);
        assert!(begins_block(1) && begins_block(BLOCK + 1) && !begins_block(BLOCK));
    }
}
