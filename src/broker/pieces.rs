//! Which parts of the index a checkpoint has to write anew. The index lies in the store in pieces,
//! each of which holds the waiting messages of a range of numbers, whatever queues they are in. The
//! log knows the ranges; here is noted where something changed since the last checkpoint.

use alloc::vec::Vec;
use core::ops::Range;

use crate::broker::queue::Entry;
use crate::broker::state::State;
use crate::id::{MessageNumber, QueueId};
use crate::log::{Log, Record};
use crate::rules::Rules;
use crate::sorted::LineSet;
use crate::time::UnixMillis;

/// Changes are noted for so many numbers together: coarser would write pieces for their neighbours,
/// finer would take more memory.
const SPAN_BITS: u32 = 5;

/// Where the index changed since the last checkpoint.
#[derive(Debug, Default)]
pub struct Pieces {
    /// Numbers without their lowest bits.
    changed: LineSet<u64>,
    /// What is applied comes from a checkpoint, so it is stored as it is.
    reading: bool,
}

impl Pieces {
    /// A message begins to wait, does not wait any more, or waits otherwise.
    pub fn change(&mut self, number: MessageNumber) {
        if !self.reading {
            self.changed.insert(number.0 >> SPAN_BITS);
        }
    }

    /// A piece of a checkpoint follows.
    pub const fn begin_reading(&mut self) {
        self.reading = true;
    }

    /// The checkpoint is read.
    pub const fn end_reading(&mut self) {
        self.reading = false;
    }

    /// The ranges that changed, in order, which from now on count as stored.
    fn take(&mut self, rules: Rules) -> Vec<Range<MessageNumber>> {
        let changed = core::mem::take(&mut self.changed);
        let range = |span: u64| {
            let end = span.saturating_add(1).saturating_mul(1 << SPAN_BITS);
            MessageNumber(span << SPAN_BITS)..MessageNumber(end)
        };
        let written = |span: &u64| rules.changes_written() || span.is_multiple_of(2);
        changed.into_iter().filter(written).map(range).collect()
    }
}

/// A waiting message and its queue.
type Waiting = (MessageNumber, QueueId, Entry, Option<UnixMillis>);

/// Writes the pieces in which something changed.
pub fn write(state: &mut State, log: &mut Log, rules: Rules) {
    let changed = state.beside.pieces.take(rules);
    let mut waiting: Vec<Waiting> = Vec::new();
    for run in log.begin_pieces(&changed) {
        log.begin_run(run.first().map_or(MessageNumber(0), |numbers| numbers.start));
        for numbers in run {
            gather(state, &numbers, &mut waiting);
            for (number, queue, entry, due_at) in waiting.drain(..) {
                log.piece_record(number, &state.kept(queue, number, &entry, due_at));
            }
        }
    }
}

/// The waiting messages of a range of numbers, in order.
fn gather(state: &State, numbers: &Range<MessageNumber>, waiting: &mut Vec<Waiting>) {
    for (id, queue) in state.queues.iter() {
        let found = queue.waiting_in(numbers.clone());
        waiting.extend(found.map(|(number, entry, due_at)| (number, *id, entry, due_at)));
    }
    waiting.sort_by_key(|(number, ..)| *number);
}

impl State {
    /// The record by which a checkpoint keeps a message.
    pub fn kept(
        &self,
        queue: QueueId,
        number: MessageNumber,
        entry: &Entry,
        due_at: Option<UnixMillis>,
    ) -> Record<'_> {
        let mark = self.beside.marks.of(number);
        Record::Kept {
            queue,
            number,
            place: entry.place,
            body_bytes: entry.body_bytes,
            attempts: entry.attempts,
            due_at,
            deaths: self.deaths.of(number),
            properties_bytes: Some(entry.properties_bytes).filter(|bytes| *bytes > 0),
            expires_at: self.expiries.of(number),
            key: mark.key(),
            priority: mark.priority(),
        }
    }
}
