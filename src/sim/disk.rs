//! The disk under all nodes, and what goes wrong with it.
//!
//! The fault model. Operations of one node are performed in order; those of two nodes in any
//! order. The fence is compared and the write made in one step, always: without that no host is
//! supported. A commit may
//! - be **aborted**: nothing changed, the same bytes may be tried again. So may a read;
//! - find the disk **full**: others have taken all room but a little. What needs more than that and
//!   what was deleted since changes nothing;
//! - be **slow**, up to two seconds;
//! - meet a **lost** connection: it happened or did not, nobody knows, and the node gets no
//!   further answer but that. Only a new node finds out;
//! - be **torn**, on media without transactions: its node dies while it is written. Some of its
//!   chunks and pages are there, one in part; with all of them the manifest; with that some of the
//!   deletes. Nobody was told of it. What was asked for behind it never happens.
//!
//! A commit that asks for `Sync::Strict` flushes itself and all before it. The loss of power takes
//! any number of the newest commits that were not flushed, never one from the middle: the media we
//! know write one log. Nodes die with it; clients may live, if only the store's process crashed.
//!
//! A **missing** chunk and a **flipped** bit come after the run, on copies: the log keeps no second
//! copy of a chunk, so recovery can't survive them and has to refuse.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

use crate::id::{ChunkNumber, Epoch, OpId};
use crate::log::{MemoryStore, RESERVE, Record, records_of};
use crate::rules::Rules;
use crate::sim::dice::{Dice, Ratio};
use crate::sim::fact::NodeId;
use crate::sim::fault::{Fault, FaultCounts};
use crate::sim::schedule::{MILLI, Micros};
use crate::store::{Key, StorageAction, StorageFault, StorageResult, Sync};

/// How this run's disk behaves.
#[derive(Clone, Copy, Debug)]
pub struct DiskPlan {
    pub latency_max: Micros,
    pub slow: Ratio,
    pub aborted: Ratio,
    pub lost: Ratio,
    /// The medium has no transactions: a dying node may leave a part of a chunk.
    pub tears: bool,
}

/// A write that was accepted.
#[derive(Debug)]
pub struct Accepted {
    pub epoch: Epoch,
    /// The chunks in it, in order.
    pub chunks: Vec<(ChunkNumber, Vec<u8>)>,
    /// It holds a checkpoint.
    pub checkpoint: bool,
    pub chunks_deleted: u64,
}

/// One operation that was performed.
#[derive(Debug)]
pub struct Performed {
    pub op: OpId,
    pub result: StorageResult,
    pub accepted: Option<Accepted>,
    /// When the node learns of it, from now.
    pub answer_after: Micros,
    /// When the node's next operation is performed, from now, if there is one.
    pub next_after: Option<Micros>,
}

#[derive(Debug)]
pub struct Disk {
    plan: DiskPlan,
    rules: Rules,
    dice: Dice,
    store: MemoryStore,
    /// What survives the loss of power, and the commits after it.
    flushed: MemoryStore,
    unflushed: Vec<StorageAction>,
    /// Every chunk that was ever stored and not lost, in order.
    journal: Vec<(ChunkNumber, Vec<u8>)>,
    journal_flushed: usize,
    waiting: BTreeMap<NodeId, VecDeque<(OpId, StorageAction)>>,
    broken: BTreeSet<NodeId>,
    full_until: Micros,
    /// What fits until then.
    bytes_max: usize,
}

impl Disk {
    #[must_use]
    pub fn new(plan: DiskPlan, rules: Rules, dice: Dice) -> Self {
        Self {
            plan,
            rules,
            dice,
            store: MemoryStore::default(),
            flushed: MemoryStore::default(),
            unflushed: Vec::new(),
            journal: Vec::new(),
            journal_flushed: 0,
            waiting: BTreeMap::new(),
            broken: BTreeSet::new(),
            full_until: 0,
            bytes_max: 0,
        }
    }

    /// What is stored now.
    #[must_use]
    pub const fn store(&self) -> &MemoryStore {
        &self.store
    }

    /// Every chunk that was ever stored and not lost, in order.
    #[must_use]
    pub fn journal(&self) -> &[(ChunkNumber, Vec<u8>)] {
        &self.journal
    }

    /// From now on nothing goes wrong that has not yet.
    pub fn heal(&mut self) {
        self.full_until = 0;
        let latency_max = self.plan.latency_max.min(MILLI);
        let never = Ratio::NEVER;
        self.plan =
            DiskPlan { latency_max, slow: never, aborted: never, lost: never, tears: false };
    }

    pub fn fill(&mut self, until: Micros) {
        self.full_until = until;
        let left = *self.dice.choose(&[0, 400, 4000]);
        self.bytes_max = self.store.values_mut().values().map(Vec::len).sum::<usize>() + left;
    }

    /// Whether there is room for what an action writes.
    fn fits(&mut self, action: &StorageAction) -> bool {
        let StorageAction::Commit { puts, .. } = action else { return true };
        if puts.is_empty() {
            return true;
        }
        let mut after = self.store.clone();
        drop(after.perform(action));
        after.values_mut().values().map(Vec::len).sum::<usize>() <= self.bytes_max
    }

    /// Takes an operation. Gives when it is performed, from now, unless others of the node are
    /// before it.
    pub fn submit(
        &mut self,
        node: NodeId,
        op: OpId,
        action: StorageAction,
        faults: &mut FaultCounts,
    ) -> Option<Micros> {
        let waiting = self.waiting.entry(node).or_default();
        waiting.push_back((op, action));
        (waiting.len() == 1).then(|| self.latency(faults))
    }

    fn latency(&mut self, faults: &mut FaultCounts) -> Micros {
        if self.dice.chance(self.plan.slow) && faults.occurs(Fault::WriteSlow) {
            return self.dice.between(100 * MILLI, 2000 * MILLI);
        }
        self.dice.between(20, self.plan.latency_max)
    }

    /// Performs the next operation of a node.
    pub fn perform(
        &mut self,
        now: Micros,
        node: NodeId,
        faults: &mut FaultCounts,
    ) -> Option<Performed> {
        let (op, action) = self.waiting.get_mut(&node)?.pop_front()?;
        let (result, accepted) = self.perform_one(now, node, action, faults);
        let more = self.waiting.get(&node).is_some_and(|waiting| !waiting.is_empty());
        let answer_after = self.dice.between(10, self.plan.latency_max);
        let next_after = more.then(|| self.latency(faults));
        Some(Performed { op, result, accepted, answer_after, next_after })
    }

    fn perform_one(
        &mut self,
        now: Micros,
        node: NodeId,
        action: StorageAction,
        faults: &mut FaultCounts,
    ) -> (StorageResult, Option<Accepted>) {
        if self.broken.contains(&node) {
            return (Err(StorageFault::Lost), None);
        }
        if self.dice.chance(self.plan.aborted) && faults.occurs(Fault::CommitAborted) {
            return (Err(StorageFault::Aborted), None);
        }
        if self.dice.chance(self.plan.lost) && faults.occurs(Fault::StorageLost) {
            self.broken.insert(node);
            let happened = self.dice.chance(Ratio::one_in(2));
            let accepted = if happened { self.write(action).1 } else { None };
            return (Err(StorageFault::Lost), accepted);
        }
        if now < self.full_until && !self.fits(&action) {
            return (Err(StorageFault::Quota), None);
        }
        self.write(action)
    }

    /// Performs an action as the medium does when all is well.
    fn write(&mut self, action: StorageAction) -> (StorageResult, Option<Accepted>) {
        let result = perform_on(&mut self.store, &action, self.rules);
        if result.is_err() {
            return (result, None);
        }
        let StorageAction::Commit { expect, claim, sync, puts, deletes } = &action else {
            return (result, None);
        };
        let mut accepted = Accepted {
            epoch: claim.or(*expect).unwrap_or_default(),
            chunks: Vec::new(),
            checkpoint: claim.is_none() && puts.iter().any(|(key, _)| *key == Key::Manifest),
            chunks_deleted: deletes.iter().filter_map(|key| chunk_of(*key)).count() as u64,
        };
        for (key, bytes) in puts {
            if let Some(number) = chunk_of(*key) {
                accepted.chunks.push((number, bytes.clone()));
                self.journal.push((number, bytes.clone()));
            }
        }
        let strict = *sync == Sync::Strict;
        self.unflushed.push(action);
        if strict {
            self.flush();
        }
        (result, Some(accepted))
    }

    fn flush(&mut self) {
        for action in self.unflushed.drain(..) {
            // Each was accepted before, in this order.
            let accepted = perform_on(&mut self.flushed, &action, self.rules);
            debug_assert!(accepted.is_ok(), "a commit is accepted as it was");
        }
        self.journal_flushed = self.journal.len();
    }

    /// The node is gone. What it had asked for happens in part: gives the writes that did.
    pub fn abandon(&mut self, node: NodeId, faults: &mut FaultCounts) -> Vec<Accepted> {
        let mut accepted = Vec::new();
        let mut waiting = self.waiting.remove(&node).unwrap_or_default();
        let happens = self.dice.index(waiting.len() + 1);
        if self.broken.remove(&node) {
            return accepted;
        }
        for (_, action) in waiting.drain(..happens) {
            accepted.extend(self.write(action).1);
        }
        if let Some((_, action)) = waiting.pop_front() {
            accepted.extend(self.tear(action, faults));
        }
        accepted
    }

    /// Writes a part of a commit that never ends.
    fn tear(&mut self, action: StorageAction, faults: &mut FaultCounts) -> Option<Accepted> {
        let StorageAction::Commit { expect, claim, puts, mut deletes, .. } = action else {
            return None;
        };
        if !self.plan.tears || claim.is_some() || *self.store.fence_mut() != expect {
            return None;
        }
        if !faults.occurs(Fault::CommitTorn) {
            return None;
        }
        let (manifest, mut values): (Vec<_>, Vec<_>) =
            puts.into_iter().partition(|(key, _)| *key == Key::Manifest);
        let whole = self.dice.index(values.len() + 1);
        let mut behind = values.split_off(whole).into_iter();
        let torn = behind.next();
        if torn.is_none() {
            values.extend(manifest);
            deletes.truncate(self.dice.index(deletes.len() + 1));
        } else {
            deletes.clear();
        }
        let sync = Sync::Relaxed;
        let part = StorageAction::Commit { expect, claim, sync, puts: values, deletes };
        let accepted = self.write(part).1;
        if let Some((key, bytes)) = torn {
            let torn = self.torn(bytes);
            // It comes last: should power be lost before the next flush, it goes first.
            self.store.values_mut().insert(key, torn);
        }
        accepted
    }

    /// A part of a value.
    fn torn(&mut self, bytes: Vec<u8>) -> Vec<u8> {
        let kept = self.dice.index(bytes.len());
        let mut torn = bytes[..kept].to_vec();
        if self.dice.chance(Ratio::one_in(2)) {
            // Some media give the file its length first.
            torn.resize(bytes.len(), 0);
        }
        if torn == bytes {
            // What was cut off was zeros, too: without this it would be whole.
            torn.truncate(kept);
        }
        torn
    }

    /// Whether the next operation of a node writes a checkpoint or deletes or moves something.
    #[must_use]
    pub fn rewrites_next(&self, node: NodeId) -> bool {
        let next = self.waiting.get(&node).and_then(|waiting| waiting.front());
        let Some((_, StorageAction::Commit { puts, deletes, .. })) = next else { return false };
        let moves = |bytes: &[u8]| {
            let mut records = records_of(bytes).into_iter().flatten();
            records.any(|(_, record)| matches!(record, Record::Moved { .. }))
        };
        !deletes.is_empty() || puts.iter().any(|(key, b)| *key == Key::Manifest || moves(b))
    }

    /// Power is lost: any number of the newest commits that were not flushed is gone. Gives
    /// whether any was.
    pub fn lose_tail(&mut self, faults: &mut FaultCounts) -> bool {
        if self.unflushed.is_empty() {
            return false;
        }
        faults.add(Fault::TailLost);
        let kept = self.dice.index(self.unflushed.len());
        let survivors: Vec<StorageAction> = self.unflushed.drain(..).take(kept).collect();
        self.store = self.flushed.clone();
        self.journal.truncate(self.journal_flushed);
        for action in survivors {
            drop(self.write(action));
        }
        self.flush();
        true
    }
}

/// Performs an action; with the rule switched off a commit finds the fence it expects.
fn perform_on(store: &mut MemoryStore, action: &StorageAction, rules: Rules) -> StorageResult {
    if let (StorageAction::Commit { expect, .. }, false) = (action, rules.store_epoch_check()) {
        *store.fence_mut() = *expect;
    }
    store.perform(action)
}

/// The number of a chunk. The reserve lies among them and is none.
fn chunk_of(key: Key) -> Option<ChunkNumber> {
    match key {
        Key::Chunk(number) if key != RESERVE => Some(number),
        _ => None,
    }
}
