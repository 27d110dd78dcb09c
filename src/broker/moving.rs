//! Keeping the log small: when a checkpoint is written, and how messages that live on move out of
//! chunks that hold little else than garbage. What is to be moved is chosen under a checkpoint,
//! read back where it is not in memory, and written again at the end of the log, so much at a time.
//! The next checkpoint deletes the old chunks. A message that was leased, settled or moved
//! meanwhile stays where it is, for the next time.

use alloc::vec::Vec;

use crate::broker::queue::Entry;
use crate::broker::state::Liveness;
use crate::broker::{Broker, State, checkpoint};
use crate::cbor;
use crate::id::{ChunkNumber, LeaseNumber, MessageNumber, QueueId};
use crate::log::record::StoredMessage;
use crate::log::{Log, Place, Record};
use crate::marks::{Mark, mark};
use crate::sorted::{Map, Set};

/// Chunks that are read back for moves at a time. Deliveries read, too, and have the other turns.
const READS_MAX: usize = 4;

/// Where a live message stands: in its queue, under a lease, or prepared.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Stand {
    pub queue: QueueId,
    pub number: MessageNumber,
    pub lease: Option<LeaseNumber>,
}

/// What is to be moved.
#[derive(Debug, Default)]
pub struct Moves {
    planned: Map<ChunkNumber, Vec<(Stand, Place)>>,
    /// Copies of messages that were read, to be written together, those of one queue in a row.
    gathered: Map<Stand, (Place, Vec<u8>)>,
    gathered_bytes: usize,
    /// The chunk of the last moves. More wait until it is stored, so that clients do not.
    last: ChunkNumber,
}

impl Moves {
    /// Nothing is to be moved.
    pub fn rests(&self) -> bool {
        self.planned.is_empty() && self.gathered.is_empty()
    }

    /// Plans to move all that lives in these chunks.
    fn plan(&mut self, state: &State, chunks: &Set<ChunkNumber>) {
        if chunks.is_empty() {
            return;
        }
        for (stand, entry) in state.live() {
            if chunks.contains(&entry.place.chunk) {
                self.planned.get_or_default(entry.place.chunk).push((stand, entry.place));
            }
        }
    }

    fn is_over(&self) -> bool {
        self.planned.is_empty() && self.gathered.is_empty()
    }

    /// Copies what is in memory, and has some of the rest read.
    fn gather(&mut self, state: &State, log: &mut Log, bytes_max: usize) {
        let next: Vec<ChunkNumber> = self.planned.keys().take(READS_MAX).copied().collect();
        for chunk in next {
            let Some(messages) = self.planned.get_mut(&chunk) else { continue };
            // A chunk that nothing lives in any more may be deleted by now, and never be read.
            messages.retain(|(stand, place)| state.entry_at(*stand, *place).is_some());
            if messages.is_empty() {
                mark(Mark::PlannedInVain);
                self.planned.remove(&chunk);
                continue;
            }
            if messages.first().is_some_and(|(_, place)| log.message(*place).is_none()) {
                if self.gathered_bytes < bytes_max {
                    log.load(chunk);
                }
                continue;
            }
            for (stand, place) in self.planned.remove(&chunk).unwrap_or_default() {
                if let Some(message) = log.message(place) {
                    let mut bytes = Vec::new();
                    cbor::encode(&message, &mut bytes);
                    self.gathered_bytes += bytes.len();
                    self.gathered.insert(stand, (place, bytes));
                }
            }
        }
    }
}

impl State {
    /// Every live message.
    pub fn live(&self) -> impl Iterator<Item = (Stand, Entry)> + '_ {
        let waiting = self.queues.iter().flat_map(|(queue, messages)| {
            let delayed = messages.delayed().map(|(_, number, entry)| (number, entry));
            let stand = |number| Stand { queue: *queue, number, lease: None };
            messages.ready().chain(delayed).map(move |(number, entry)| (stand(number), entry))
        });
        let leased = self.leases.iter().map(|(number, lease)| {
            let stand = Stand { queue: lease.queue, number: lease.number, lease: Some(*number) };
            (stand, lease.entry)
        });
        let prepared = self.prepared.iter().map(|(number, prepared)| {
            (Stand { queue: prepared.queue, number, lease: None }, prepared.entry)
        });
        waiting.chain(leased).chain(prepared)
    }

    /// The entry of a message, if it stands there and its record is at `place`.
    fn entry_at(&self, stand: Stand, place: Place) -> Option<Entry> {
        let entry = match stand.lease {
            Some(lease) => self.leases.get(&lease)?.entry,
            None => {
                let waiting = self.queues.get(&stand.queue)?.entry(stand.number);
                waiting.or_else(|| self.prepared.entry(stand))?
            }
        };
        (entry.place == place).then_some(entry)
    }

    /// A message is at `to` now, unless it is not at `from` any more.
    pub(super) fn relocate(&mut self, stand: Stand, from: Place, to: Place) -> Liveness {
        let Some(before) = self.entry_at(stand, from) else { return Liveness::Same };
        let entry = Entry { place: to, ..before };
        match stand.lease {
            Some(lease) => {
                if let Some(lease) = self.leases.get_mut(&lease) {
                    lease.entry = entry;
                }
            }
            None => {
                if let Some(prepared) = self.prepared.entry_mut(stand) {
                    *prepared = entry;
                } else if let Some(queue) = self.queues.get_mut(&stand.queue) {
                    queue.set_entry(stand.number, entry, &mut self.beside);
                }
            }
        }
        Liveness::Move(before, to)
    }
}

impl Broker {
    /// Writes a checkpoint if one is due, and moves some messages if some are to be moved.
    pub(super) fn keep_log_small(&mut self) {
        if self.log.checkpoint_due() {
            checkpoint::write(&mut self.state, &mut self.log, self.rules);
            if self.moves.is_over() {
                self.moves.plan(&self.state, &self.log.sparse_chunks());
            }
        }
        if self.moves.is_over() || self.log.checkpoint_under_way() || self.draining {
            return;
        }
        let bytes_max = self.limits.chunk_bytes_max as usize;
        self.moves.gather(&self.state, &mut self.log, bytes_max);
        let enough = self.moves.planned.is_empty() || self.moves.gathered_bytes >= bytes_max;
        if enough && self.moves.last <= self.log.durable() {
            self.move_gathered();
        }
    }

    /// Writes what was gathered, grouped by queue, at the end of the log.
    fn move_gathered(&mut self) {
        self.moves.gathered_bytes = 0;
        for (stand, (from, bytes)) in core::mem::take(&mut self.moves.gathered) {
            let Ok(message) = cbor::decode::<StoredMessage<'_>>(&bytes) else { continue };
            if self.state.entry_at(stand, from).is_some() {
                mark(Mark::MovedOutOfSparse);
                let (queue, lease) = (stand.queue, stand.lease);
                // One that was prepared was stored under another number.
                let message = StoredMessage { number: stand.number, ..message };
                self.commit(&Record::Moved { from, queue, lease, message });
            }
        }
        self.moves.last = self.log.appended();
    }
}

/// Applies a record to the state and keeps the log's count of live messages.
pub(super) fn apply(state: &mut State, log: &mut Log, place: Place, record: &Record<'_>) {
    match state.apply(place, record) {
        Liveness::Same => {}
        Liveness::Retain(entry) => log.retain(entry.place, entry.message_bytes()),
        Liveness::Release(entry) => log.release(entry.place, entry.message_bytes()),
        Liveness::ReleaseAll(entries) => {
            entries.iter().for_each(|entry| log.release(entry.place, entry.message_bytes()));
        }
        Liveness::Move(entry, to) => log.relocate(entry.place, to, entry.message_bytes()),
    }
}
