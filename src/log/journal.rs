//! The running log: one chunk fills while one commit is under way, so that whatever comes together
//! is stored together.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::id::{ChunkNumber, Epoch, LogId, OpId};
use crate::log::chunk::{self, Filling, Head};
use crate::log::manifest::Manifest;
use crate::log::pages::Pages;
use crate::log::record::StoredMessage;
use crate::log::reserve::{self, Reserve};
use crate::log::residency::Residency;
use crate::log::{LogConfig, Place, Record};
use crate::marks::{Mark, mark};
use crate::sorted::Map;
use crate::store::{Key, StorageAction, StorageFault, StorageResult, Stored, Sync};

/// How often an operation is tried, with the same bytes, while it is aborted.
const TRIES_MAX: u32 = 4;
/// Chunks that are read back at a time.
const READS_MAX: usize = 8;
/// A commit takes no further chunk once it has this much.
const COMMIT_BYTES: usize = 8 << 20;

/// What a finished storage operation means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogEvent {
    Nothing,
    /// Everything up to this chunk is stored.
    Durable(ChunkNumber),
    /// The chunk's messages can be read again, or it is gone and they are in others: who waits for
    /// one looks again.
    Loaded(ChunkNumber),
    /// The chunk is not what was written, though no other node has the log. Nothing more is
    /// written.
    Unreadable(ChunkNumber),
    /// The disk is full: the reserve went to what was to be written.
    Full,
    /// It is full no more.
    Room,
    /// A commit failed for good; nothing more is written.
    Failed(StorageFault),
}

/// A full chunk that waits for its commit, and what goes with it.
#[derive(Debug)]
pub(super) struct Sealed {
    pub number: ChunkNumber,
    pub strict: bool,
    pub puts: Vec<(Key, Vec<u8>)>,
    pub deletes: Vec<Key>,
}

/// What a commit is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Aim {
    Chunks,
    /// The reserve makes way.
    FreeReserve,
    KeepReserve,
}

/// The commit under way.
#[derive(Debug)]
struct Commit {
    op: OpId,
    aim: Aim,
    last: ChunkNumber,
    action: StorageAction,
    tries: u32,
}

/// A chunk that is not what was written. A node that took over may have deleted it or used its
/// number again, so the fence is read before anything is said.
#[derive(Debug)]
struct Doubt {
    chunk: ChunkNumber,
    asked: Option<OpId>,
    tries: u32,
}

impl Commit {
    fn carries_checkpoint(&self) -> bool {
        let StorageAction::Commit { puts, .. } = &self.action else { return false };
        puts.iter().any(|(key, _)| *key == Key::Manifest)
    }
}

/// Where the log begins to run, as recovery found it.
#[derive(Debug)]
pub(super) struct Start {
    pub epoch: Epoch,
    pub manifest: Manifest,
    pub chunks: Residency,
    pub last: ChunkNumber,
    pub last_hash: u64,
    pub growth: usize,
    pub deletes: Vec<Key>,
    pub pages: Pages,
    pub reserve: Reserve,
    pub next_op: OpId,
}

#[derive(Debug)]
pub struct Log {
    pub(super) config: LogConfig,
    epoch: Epoch,
    pub(super) manifest: Manifest,
    pub(super) chunks: Residency,
    filling: Filling,
    /// Number of the last sealed chunk, and its checksum.
    pub(super) last: ChunkNumber,
    pub(super) last_hash: u64,
    pub(super) durable: ChunkNumber,
    pub(super) sealed: VecDeque<Sealed>,
    commit: Option<Commit>,
    again: Option<Commit>,
    batch_depth: u32,
    pub(super) failed: bool,
    doubt: Option<Doubt>,
    next_op: OpId,
    /// Chunks to read, and which try it is.
    wanted: Map<ChunkNumber, u32>,
    reads: Map<OpId, (ChunkNumber, u32)>,
    /// Bytes since the last checkpoint, and the cost of each chunk.
    pub(super) growth: usize,
    /// Bytes that have become garbage since then, about.
    pub(super) released: usize,
    /// Messages were moved since then.
    pub(super) moved: bool,
    pub(super) checkpoint_bytes: usize,
    pub(super) checkpoint_under_way: bool,
    pub(super) pages: Pages,
    pub(super) deletes: Vec<Key>,
    pub(super) reserve: Reserve,
    /// A checkpoint is due if it gives back anything at all.
    pub(super) room_sought: bool,
}

impl Log {
    pub(super) fn start(config: LogConfig, start: Start) -> Self {
        let checkpoint_bytes = start.manifest.bytes();
        Self {
            config,
            epoch: start.epoch,
            manifest: start.manifest,
            chunks: start.chunks,
            filling: Filling::new(),
            last: start.last,
            last_hash: start.last_hash,
            durable: start.last,
            sealed: VecDeque::new(),
            commit: None,
            again: None,
            batch_depth: 0,
            failed: false,
            doubt: None,
            next_op: start.next_op,
            wanted: Map::new(),
            reads: Map::new(),
            growth: start.growth,
            released: 0,
            moved: false,
            checkpoint_bytes,
            checkpoint_under_way: false,
            pages: start.pages,
            deletes: start.deletes,
            reserve: start.reserve,
            room_sought: false,
        }
    }

    pub const fn id(&self) -> LogId {
        self.manifest.log
    }

    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The chunk that holds the newest record: what a gated output waits for.
    pub fn appended(&self) -> ChunkNumber {
        if self.filling.is_empty() { self.last } else { self.last.next() }
    }

    /// Everything up to here is stored.
    pub const fn durable(&self) -> ChunkNumber {
        self.durable
    }

    /// Everything is stored, and nothing was asked of the host.
    pub fn rests(&self) -> bool {
        let writes = self.commit.is_some() || self.again.is_some() || !self.sealed.is_empty();
        let reads = !self.reads.is_empty() || !self.wanted.is_empty() || self.doubt.is_some();
        !writes && !reads && !self.failed && self.filling.is_empty()
    }

    /// Bytes of chunks in memory.
    pub const fn resident_bytes(&self) -> usize {
        self.chunks.resident_bytes()
    }

    /// Records up to the matching `end_batch` go into one chunk: all are stored, or none. The chunk
    /// may pass `chunk_bytes_max` by the length of the batch.
    pub fn begin_batch(&mut self) {
        if self.batch_depth == 0 {
            self.seal_if_full();
        }
        self.batch_depth += 1;
    }

    pub fn end_batch(&mut self) {
        self.batch_depth = self.batch_depth.saturating_sub(1);
    }

    /// Appends a record to the filling chunk, or to the next one if that is full.
    pub fn append(&mut self, record: &Record<'_>) -> Place {
        if self.batch_depth == 0 {
            self.seal_if_full();
        }
        let before = self.filling.bytes.len();
        let offset = self.filling.append(record);
        self.growth += self.filling.bytes.len() - before;
        Place { chunk: self.last.next(), offset }
    }

    /// The filling chunk must survive the loss of power before anything of it is confirmed.
    pub fn require_strict(&mut self) {
        self.filling.strict = true;
    }

    fn seal_if_full(&mut self) {
        if self.filling.bytes.len() >= self.config.chunk_bytes_max {
            self.seal();
        }
    }

    pub(super) fn seal(&mut self) {
        if self.filling.is_empty() {
            return;
        }
        let mut filled = core::mem::replace(&mut self.filling, Filling::new());
        let number = self.last.next();
        let epoch_counter = self.epoch.counter;
        let head = Head { number, epoch_counter, previous: self.last_hash };
        self.last_hash = chunk::seal(&mut filled.bytes, head);
        self.last = number;
        self.growth += self.config.chunk_cost();
        // The copy that stays is as long as the chunk; what was filled had room to grow.
        self.chunks.add(number, filled.bytes.clone());
        let puts = alloc::vec![(Key::Chunk(number), filled.bytes)];
        let (strict, deletes) = (filled.strict, core::mem::take(&mut self.deletes));
        self.sealed.push_back(Sealed { number, strict, puts, deletes });
    }

    /// The next thing the host has to perform.
    pub fn poll_storage(&mut self) -> Option<(OpId, StorageAction)> {
        self.poll_read().or_else(|| self.poll_commit())
    }

    /// The next thing that the host has to read.
    pub fn poll_read(&mut self) -> Option<(OpId, StorageAction)> {
        if self.doubt.as_ref().is_some_and(|doubt| doubt.asked.is_none()) {
            let op = self.take_op();
            self.doubt.as_mut()?.asked = Some(op);
            return Some((op, StorageAction::ReadFence));
        }
        if self.failed || self.reads.len() >= READS_MAX {
            return None;
        }
        let (chunk, tries) = self.wanted.pop_first()?;
        let op = self.take_op();
        self.reads.insert(op, (chunk, tries));
        Some((op, StorageAction::Read { keys: alloc::vec![Key::Chunk(chunk)] }))
    }

    fn poll_commit(&mut self) -> Option<(OpId, StorageAction)> {
        if self.failed || self.commit.is_some() || self.batch_depth > 0 {
            return None;
        }
        let mut commit = self.next_commit()?;
        commit.op = self.take_op();
        let op = commit.op;
        let action = commit.action.clone();
        self.commit = Some(commit);
        Some((op, action))
    }

    fn next_commit(&mut self) -> Option<Commit> {
        if self.reserve.leaves() {
            let deletes = alloc::vec![reserve::KEY];
            return Some(self.commit_of(Aim::FreeReserve, Sync::Relaxed, Vec::new(), deletes));
        }
        if let Some(again) = self.again.take() {
            return Some(again);
        }
        if self.reserve.is_wanted() {
            let puts = alloc::vec![(reserve::KEY, self.reserve.filler())];
            return Some(self.commit_of(Aim::KeepReserve, Sync::Relaxed, puts, Vec::new()));
        }
        self.seal();
        self.gather()
    }

    fn commit_of(
        &self,
        aim: Aim,
        sync: Sync,
        puts: Vec<(Key, Vec<u8>)>,
        deletes: Vec<Key>,
    ) -> Commit {
        let expect = Some(self.epoch);
        let action = StorageAction::Commit { expect, claim: None, sync, puts, deletes };
        Commit { op: OpId(0), aim, last: self.durable, action, tries: 1 }
    }

    /// The sealed chunks, as many as fit, as one commit.
    fn gather(&mut self) -> Option<Commit> {
        let mut last = None;
        let (mut strict, mut bytes) = (false, 0);
        let (mut puts, mut deletes) = (Vec::new(), Vec::new());
        while bytes < COMMIT_BYTES
            && let Some(sealed) = self.sealed.pop_front()
        {
            last = Some(sealed.number);
            strict |= sealed.strict;
            bytes += sealed.puts.iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
            puts.extend(sealed.puts);
            deletes.extend(sealed.deletes);
        }
        let last = last?;
        let sync = if strict { Sync::Strict } else { Sync::Relaxed };
        Some(Commit { last, ..self.commit_of(Aim::Chunks, sync, puts, deletes) })
    }

    fn take_op(&mut self) -> OpId {
        let op = self.next_op;
        self.next_op = op.next();
        op
    }

    /// Takes the result of an operation.
    pub fn handle_stored(&mut self, op: OpId, result: StorageResult) -> LogEvent {
        if let Some((chunk, tries)) = self.reads.remove(&op) {
            return self.handle_read(chunk, tries, result);
        }
        if self.doubt.as_ref().is_some_and(|doubt| doubt.asked == Some(op)) {
            return self.resolve_doubt(&result);
        }
        let Some(commit) = self.commit.take_if(|commit| commit.op == op) else {
            return LogEvent::Nothing;
        };
        match result {
            Ok(_) => self.committed(&commit),
            Err(fault) => self.refused(commit, fault),
        }
    }

    fn committed(&mut self, commit: &Commit) -> LogEvent {
        let full = self.reserve.is_full();
        match commit.aim {
            Aim::FreeReserve => {
                self.reserve.give_up();
                return LogEvent::Full;
            }
            Aim::KeepReserve => {
                self.reserve.keep();
                return if full { LogEvent::Room } else { LogEvent::Nothing };
            }
            Aim::Chunks => self.durable = commit.last,
        }
        if commit.carries_checkpoint() {
            self.checkpoint_under_way = false;
        }
        if commit.carries_checkpoint() || !full {
            self.reserve.want();
        }
        self.chunks.evict(self.durable);
        LogEvent::Durable(self.durable)
    }

    fn refused(&mut self, mut commit: Commit, fault: StorageFault) -> LogEvent {
        match (fault, commit.aim) {
            (StorageFault::Aborted, Aim::KeepReserve) => self.reserve.put_off(),
            (StorageFault::Aborted, Aim::FreeReserve) if self.has_tries() => {}
            (StorageFault::Aborted, Aim::Chunks) if commit.tries < TRIES_MAX => {
                commit.tries += 1;
                mark(Mark::CommitAgain);
                self.again = Some(commit);
            }
            (StorageFault::Quota, Aim::KeepReserve) => {
                let full = self.reserve.is_full();
                self.reserve.give_up();
                return if full { LogEvent::Nothing } else { LogEvent::Full };
            }
            (StorageFault::Quota, Aim::Chunks) if self.reserve.make_way() => {
                self.again = Some(commit);
            }
            _ => {
                self.failed = true;
                return LogEvent::Failed(fault);
            }
        }
        LogEvent::Nothing
    }

    /// Whether the commit that waits for the reserve to make way may wait once more.
    fn has_tries(&mut self) -> bool {
        self.again.as_mut().is_some_and(|waiting| {
            waiting.tries += 1;
            waiting.tries < TRIES_MAX
        })
    }

    fn handle_read(&mut self, number: ChunkNumber, tries: u32, result: StorageResult) -> LogEvent {
        if !self.chunks.contains(number) {
            // Every message in it was settled or moved, and the chunk deleted meanwhile. Who waited
            // for it still has to look again.
            return LogEvent::Loaded(number);
        }
        match result {
            Ok(Stored::Values(mut values)) => match values.pop().flatten() {
                Some(bytes) if self.is_chunk(number, &bytes) => {
                    self.chunks.set_bytes(number, bytes);
                    self.chunks.evict(self.durable);
                    LogEvent::Loaded(number)
                }
                _ => self.doubt(number),
            },
            Err(StorageFault::Aborted) if tries < TRIES_MAX => {
                self.wanted.insert(number, tries + 1);
                LogEvent::Nothing
            }
            Err(fault) => {
                self.failed = true;
                LogEvent::Failed(fault)
            }
            Ok(_) => self.doubt(number),
        }
    }

    fn is_chunk(&self, number: ChunkNumber, bytes: &[u8]) -> bool {
        let mut head = chunk::open(bytes).map(|(head, _)| head).into_iter();
        head.any(|head| head.number == number && head.epoch_counter <= self.epoch.counter)
    }

    fn doubt(&mut self, chunk: ChunkNumber) -> LogEvent {
        self.failed = true;
        self.doubt.get_or_insert(Doubt { chunk, asked: None, tries: 1 });
        LogEvent::Nothing
    }

    fn resolve_doubt(&mut self, fence: &StorageResult) -> LogEvent {
        let Some(mut doubt) = self.doubt.take() else { return LogEvent::Nothing };
        match fence {
            Ok(Stored::Fence(Some(fence))) if *fence == self.epoch => {
                LogEvent::Unreadable(doubt.chunk)
            }
            Ok(_) => LogEvent::Failed(StorageFault::Fenced),
            Err(StorageFault::Aborted) if doubt.tries < TRIES_MAX => {
                doubt.tries += 1;
                doubt.asked = None;
                self.doubt = Some(doubt);
                LogEvent::Nothing
            }
            Err(fault) => LogEvent::Failed(*fault),
        }
    }

    /// Counts a live message, of so many bytes with its properties.
    pub fn retain(&mut self, place: Place, message_bytes: u32) {
        self.chunks.retain(place.chunk, message_bytes);
    }

    /// The message at a place, unless its chunk has to be read first.
    pub fn message(&self, place: Place) -> Option<StoredMessage<'_>> {
        let filling = place.chunk == self.last.next();
        let bytes = if filling { &self.filling.bytes } else { self.chunks.bytes(place.chunk)? };
        chunk::record_at(bytes, place.offset)?.stored()
    }

    /// Reads a chunk back, for a message of it that can't be had. Asking twice reads once.
    pub fn load(&mut self, chunk: ChunkNumber) {
        if self.chunks.bytes(chunk).is_some() {
            // Whole, and no message is where one should be: a read would bring the same.
            self.doubt(chunk);
        } else if !self.reads.values().any(|(reading, _)| *reading == chunk) {
            self.wanted.get_or_insert_with(chunk, || 1);
        }
    }
}
