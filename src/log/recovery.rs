//! From the store to a running log. A first look tells the fence and whether this build may touch
//! the log. The claim (one epoch more) is written strictly before anything else is read, the
//! manifest once more included: until the claim, the node before this one may still have written.
//! Then the checkpoint is replayed, then the tail. A node that follows one that fell asleep takes
//! the note of that one in place of a claim, and goes on under its epoch.

use alloc::vec::Vec;

use xxhash_rust::xxh64::xxh64;

use crate::cbor;
use crate::id::{ChunkNumber, Epoch, LogId, NUMBERS_END, OpId};
use crate::log::chunk::{self, Unusable};
use crate::log::journal::{Log, Start};
use crate::log::manifest::Manifest;
use crate::log::note::Noted;
use crate::log::pages::Pages;
use crate::log::pieces::Pieces;
use crate::log::reserve::{self, Reserve};
use crate::log::residency::Residency;
use crate::log::{LogConfig, Place, Record};
use crate::marks::{Mark, mark};
use crate::sorted::Set;
use crate::store::{Key, StorageAction, StorageFault, StorageResult, Stored, Sync};

/// Chunks or pages read at once: first, and at most. Between them it follows their length, so that
/// many short chunks do not cost a round trip for every few of them.
const READ_KEYS_FIRST: usize = 8;
const READ_KEYS_MAX: usize = 1024;
/// What one read should bring.
const READ_BYTES: usize = 4 << 20;
/// Claims that may be lost to other nodes before this one gives up.
const CLAIMS_MAX: u32 = 8;
/// An epoch that was heard and is further above the stored one is not believed: no log sees as many
/// starts, and the numbers must not come to their end.
const LEAD_MAX: u64 = 1 << 32;
/// Tries of one aborted operation.
const TRIES_MAX: u32 = 4;

/// What a new log or epoch is made from; random.
#[derive(Clone, Copy, Debug)]
pub struct NewIdentity {
    pub log: LogId,
    pub incarnation: u64,
}

/// Why the log can't be recovered. Nothing was written but the claim, and before that nothing if
/// the manifest is of a newer build.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RecoveryFault {
    /// A newer build wrote the log.
    UpgradeRequired,
    /// This chunk is listed or lies between others, and is not there.
    Missing(ChunkNumber),
    /// This chunk is not what was written; zero stands for the manifest and the checkpoint.
    Corrupt(ChunkNumber),
    /// The storage failed, or `Fenced`: another node has taken over meanwhile.
    Storage(StorageFault),
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Step {
    Open,
    Note,
    Claim,
    List,
    Pages {
        next: usize,
    },
    Tail {
        next: usize,
    },
    /// The log looks damaged. A node that took over may have deleted what this one was reading,
    /// so the fence is read before anything is said.
    Doubt(RecoveryFault),
    Done,
}

/// A log that is being recovered.
#[derive(Debug)]
pub struct Recovery {
    config: LogConfig,
    identity: NewIdentity,
    heard: Epoch,
    /// The claim of this node, once it stands.
    own: Option<Epoch>,
    note: Noted,
    step: Step,
    asked: Option<OpId>,
    next_op: OpId,
    tries: u32,
    claims: u32,
    fence: Option<Epoch>,
    new_log: bool,
    epoch: Epoch,
    manifest: Manifest,
    pieces: Pieces,
    tail: Vec<ChunkNumber>,
    unlisted: Vec<ChunkNumber>,
    reserve: Reserve,
    chunks: Residency,
    last: ChunkNumber,
    last_hash: u64,
    last_epoch_counter: u64,
    growth: usize,
    read_keys: usize,
}

impl Recovery {
    /// Recovers under an epoch above `heard` and above the stored one.
    pub fn new(config: LogConfig, identity: NewIdentity, heard: Epoch) -> Self {
        let chunks = Residency::new(config.resident_bytes_max);
        Self {
            config,
            identity,
            heard,
            own: None,
            note: Noted::Never,
            step: Step::Open,
            asked: None,
            next_op: OpId(1),
            tries: 1,
            claims: 1,
            fence: None,
            new_log: false,
            epoch: Epoch::default(),
            manifest: Manifest::new(identity.log),
            pieces: Pieces::new(),
            tail: Vec::new(),
            unlisted: Vec::new(),
            reserve: Reserve::new(config.reserve_bytes, false, false),
            chunks,
            last: ChunkNumber(0),
            last_hash: 0,
            last_epoch_counter: 0,
            growth: 0,
            read_keys: READ_KEYS_FIRST,
        }
    }

    /// Looks for the note of a node that fell asleep. Without one it recovers as `new` does.
    pub fn awake(config: LogConfig, identity: NewIdentity, heard: Epoch) -> Self {
        Self { note: Noted::Unread, ..Self::new(config, identity, heard) }
    }

    /// Recovers again under the epoch that this node has claimed before, after a commit that found
    /// no room.
    pub fn reopen(config: LogConfig, identity: NewIdentity, own: Epoch) -> Self {
        let reserve = Reserve::new(config.reserve_bytes, false, true);
        Self { own: Some(own), reserve, ..Self::new(config, identity, own) }
    }

    /// The next thing the host has to perform.
    pub fn poll_storage(&mut self) -> Option<(OpId, StorageAction)> {
        if self.asked.is_some() {
            return None;
        }
        let action = match self.step {
            Step::Open => StorageAction::Open,
            Step::Note => StorageAction::Read { keys: [Key::Note].into() },
            Step::Claim => self.claim(),
            Step::List => StorageAction::List,
            Step::Pages { next } => {
                let pages = self.manifest.pages.iter().skip(next).take(self.read_keys);
                StorageAction::Read { keys: pages.map(|page| Key::Page(page.number)).collect() }
            }
            Step::Tail { next } => {
                let chunks = self.tail.iter().skip(next).take(self.read_keys);
                StorageAction::Read { keys: chunks.map(|number| Key::Chunk(*number)).collect() }
            }
            Step::Doubt(_) => StorageAction::ReadFence,
            Step::Done => return None,
        };
        let op = self.next_op;
        self.next_op = op.next();
        self.asked = Some(op);
        Some((op, action))
    }

    fn claim(&mut self) -> StorageAction {
        let deletes = self.note.deletes();
        if let Noted::Taken(note) = &self.note {
            self.epoch = note.epoch;
            let (expect, puts) = (self.fence, Vec::new());
            return StorageAction::Commit {
                expect,
                claim: None,
                sync: Sync::Strict,
                puts,
                deletes,
            };
        }
        if self.own.is_none() {
            let stored = self.fence.unwrap_or_default().counter;
            // What was heard may be nonsense, and what is claimed stays in the store.
            let heard =
                Some(self.heard.counter).filter(|heard| heard.saturating_sub(stored) <= LEAD_MAX);
            let counter = heard.unwrap_or(0).max(stored).saturating_add(1);
            self.epoch = Epoch { counter, incarnation: self.identity.incarnation };
        }
        let mut puts = Vec::new();
        // Where there is a fence, the node that has it may be writing a manifest right now.
        if self.new_log && (self.fence.is_none() || self.own.is_some()) {
            puts.push((Key::Manifest, self.manifest.encode()));
        }
        let (expect, claim) = (self.fence, Some(self.epoch));
        StorageAction::Commit { expect, claim, sync: Sync::Strict, puts, deletes }
    }

    /// The body of the note that was taken, once the log is recovered.
    pub fn take_note(&mut self) -> Option<Vec<u8>> {
        match core::mem::take(&mut self.note) {
            Noted::Taken(note) => Some(note.body),
            _ => None,
        }
    }

    /// Takes the result of an operation and replays the records it brought, in order. True once
    /// the log is recovered.
    ///
    /// # Errors
    /// The fault that ends this recovery.
    pub fn handle_stored(
        &mut self,
        op: OpId,
        result: StorageResult,
        replay: &mut dyn FnMut(Place, &Record<'_>),
    ) -> Result<bool, RecoveryFault> {
        if self.asked != Some(op) {
            return Ok(false);
        }
        self.asked = None;
        let stored = match result {
            Ok(stored) => stored,
            Err(fault) => return self.handle_fault(fault).map(|()| false),
        };
        self.tries = 1;
        let read = match (self.step.clone(), stored) {
            (Step::Open, Stored::Opened { fence, manifest }) => {
                self.opened(fence, manifest)?;
                Ok(())
            }
            (Step::Note, Stored::Values(values)) => {
                let (fence, log) = (self.fence, self.manifest.log);
                self.note = Noted::read(values, fence, log, self.heard);
                self.step = Step::Claim;
                Ok(())
            }
            (Step::Claim, Stored::Committed) => {
                self.own = Some(self.epoch);
                self.step = Step::Open;
                Ok(())
            }
            (Step::List, Stored::Chunks(numbers)) => self.listed(&numbers),
            (Step::Pages { next }, Stored::Values(values)) => {
                self.read_pages(next, &values, replay)
            }
            (Step::Tail { next }, Stored::Values(values)) => self.read_tail(next, values, replay),
            (Step::Doubt(fault), Stored::Fence(fence)) => {
                let fenced = RecoveryFault::Storage(StorageFault::Fenced);
                if fence == Some(self.epoch) {
                    return Err(fault);
                }
                mark(Mark::DoubtedWhileFenced);
                return Err(fenced);
            }
            _ => return Err(RecoveryFault::Storage(StorageFault::Lost)),
        };
        match read.and_then(|()| self.skip_empty_steps()) {
            Ok(()) => {}
            Err(fault) => {
                mark(match fault {
                    RecoveryFault::Missing(_) => Mark::MissingChunk,
                    _ => Mark::DamageFound,
                });
                self.step = Step::Doubt(fault);
            }
        }
        Ok(self.step == Step::Done)
    }

    fn handle_fault(&mut self, fault: StorageFault) -> Result<(), RecoveryFault> {
        if fault == StorageFault::Aborted && self.tries < TRIES_MAX {
            self.tries += 1;
            return Ok(());
        }
        if fault == StorageFault::Fenced && self.own.is_none() && self.claims < CLAIMS_MAX {
            // Another node claimed between our look and our claim.
            self.claims += 1;
            mark(Mark::ClaimLost);
            self.note.read_again();
            self.step = Step::Open;
            return Ok(());
        }
        Err(RecoveryFault::Storage(fault))
    }

    fn opened(
        &mut self,
        fence: Option<Epoch>,
        manifest: Option<Vec<u8>>,
    ) -> Result<(), RecoveryFault> {
        self.fence = fence;
        self.new_log = manifest.is_none();
        if let Some(bytes) = manifest {
            self.manifest = Manifest::decode(&bytes).map_err(|unusable| match unusable {
                Unusable::NewerFormat => RecoveryFault::UpgradeRequired,
                Unusable::Damaged => RecoveryFault::Corrupt(ChunkNumber(0)),
            })?;
        }
        let looks = matches!(self.note, Noted::Unread) && !self.new_log;
        self.step = if looks { Step::Note } else { Step::Claim };
        if let Some(own) = self.own {
            if fence != Some(own) {
                return Err(RecoveryFault::Storage(StorageFault::Fenced));
            }
            self.epoch = own;
            self.step = if self.new_log { Step::Claim } else { Step::List };
        }
        Ok(())
    }

    fn listed(&mut self, numbers: &[ChunkNumber]) -> Result<(), RecoveryFault> {
        let through = self.manifest.through;
        let stored: Set<ChunkNumber> = numbers.iter().copied().collect();
        let strict = self.config.rules.missing_chunk_detection();
        let covered = &self.manifest.chunks;
        let ascend = covered.is_sorted_by(|a, b| a.number < b.number);
        let ends = through.0.max(self.manifest.next_page) >= NUMBERS_END;
        if ends || !ascend || covered.last().is_some_and(|last| last.number > through) {
            return Err(RecoveryFault::Corrupt(ChunkNumber(0)));
        }
        for chunk in covered {
            if strict && !stored.contains(&chunk.number) {
                return Err(RecoveryFault::Missing(chunk.number));
            }
            self.chunks.add_stored(chunk.number, chunk.bytes);
        }
        let mut expected = through.next();
        for number in stored {
            if Key::Chunk(number) == reserve::KEY && self.config.reserve_bytes > 0 {
                self.reserve.keep();
            } else if number <= through {
                if !self.chunks.contains(number) {
                    self.unlisted.push(number);
                }
            } else if strict && number != expected {
                return Err(RecoveryFault::Missing(expected));
            } else {
                self.tail.push(number);
                expected = number.next();
            }
        }
        self.last = through;
        self.last_hash = self.manifest.hash;
        self.step = Step::Pages { next: 0 };
        Ok(())
    }

    fn skip_empty_steps(&mut self) -> Result<(), RecoveryFault> {
        if self.step == (Step::Pages { next: self.manifest.pages.len() }) {
            self.step = Step::Tail { next: 0 };
        }
        if self.step == (Step::Tail { next: self.tail.len() }) {
            self.step = Step::Done;
            // Whoever wrote after it would have taken it away.
            if let Noted::Taken(note) = &self.note
                && note.through != self.last
            {
                return Err(RecoveryFault::Corrupt(note.through));
            }
        }
        Ok(())
    }

    fn read_pages(
        &mut self,
        next: usize,
        values: &[Option<Vec<u8>>],
        replay: &mut dyn FnMut(Place, &Record<'_>),
    ) -> Result<(), RecoveryFault> {
        let damaged = RecoveryFault::Corrupt(ChunkNumber(0));
        for (page, value) in self.manifest.pages.iter().skip(next).zip(values) {
            let bytes = value.as_ref().ok_or(damaged)?;
            if xxh64(bytes, 0) != page.checksum {
                return Err(damaged);
            }
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let (record, length) = cbor::decode_first(rest).map_err(|_| damaged)?;
                if let Record::Piece { first } = record {
                    self.pieces.insert(first, *page);
                }
                replay(Place::default(), &record);
                rest = &rest[length..];
            }
        }
        if values.is_empty() {
            return Err(damaged);
        }
        self.pace(values.iter().flatten().map(Vec::len).sum());
        self.step = Step::Pages { next: next + values.len() };
        Ok(())
    }

    fn read_tail(
        &mut self,
        next: usize,
        values: Vec<Option<Vec<u8>>>,
        replay: &mut dyn FnMut(Place, &Record<'_>),
    ) -> Result<(), RecoveryFault> {
        if values.is_empty() {
            return Err(RecoveryFault::Storage(StorageFault::Lost));
        }
        self.pace(values.iter().flatten().map(Vec::len).sum());
        let read = values.len();
        for (index, value) in (next..).zip(values) {
            let Some(number) = self.tail.get(index).copied() else { break };
            let bytes = value.ok_or(RecoveryFault::Missing(number))?;
            let last = index + 1 == self.tail.len();
            self.read_chunk(number, bytes, last, replay)?;
        }
        self.step = Step::Tail { next: next + read };
        Ok(())
    }

    /// Reads more or fewer keys next time, after a read that brought this much.
    fn pace(&mut self, read_bytes: usize) {
        if read_bytes < READ_BYTES / 2 {
            self.read_keys = (self.read_keys * 2).min(READ_KEYS_MAX);
        } else if read_bytes > READ_BYTES {
            self.read_keys = (self.read_keys / 2).max(1);
        }
    }

    fn read_chunk(
        &mut self,
        number: ChunkNumber,
        bytes: Vec<u8>,
        last: bool,
        replay: &mut dyn FnMut(Place, &Record<'_>),
    ) -> Result<(), RecoveryFault> {
        let corrupt = RecoveryFault::Corrupt(number);
        let (hash, whole) = match chunk::open(&bytes) {
            Ok((head, hash)) => {
                let follows =
                    head.previous == self.last_hash || !self.config.rules.missing_chunk_detection();
                let goes_back = head.epoch_counter < self.last_epoch_counter;
                if head.number != number || !follows || goes_back {
                    return Err(corrupt);
                }
                self.last_epoch_counter = head.epoch_counter;
                (hash, true)
            }
            Err(Unusable::NewerFormat) => return Err(RecoveryFault::UpgradeRequired),
            // Torn by the crash of the node that wrote it, so nobody was told of it. Its number
            // is used again, which overwrites it.
            Err(Unusable::Damaged) if !last || !self.config.tears => return Err(corrupt),
            Err(Unusable::Damaged) if self.config.rules.torn_tail_cut() => {
                mark(Mark::TornTailCut);
                return Ok(());
            }
            Err(Unusable::Damaged) => (0, false),
        };
        let read = chunk::for_each_record(number, &bytes, replay);
        if read.is_err() && whole {
            return Err(corrupt);
        }
        self.last = number;
        self.last_hash = hash;
        self.growth += bytes.len() + self.config.chunk_cost();
        self.chunks.add(number, bytes);
        self.chunks.evict(number);
        Ok(())
    }

    /// The running log.
    pub fn finish(self) -> Log {
        debug_assert!(self.step == Step::Done, "a log runs only once it is recovered");
        let deletes = self.unlisted.into_iter().map(Key::Chunk).collect();
        Log::start(
            self.config,
            Start {
                epoch: self.epoch,
                manifest: self.manifest,
                chunks: self.chunks,
                last: self.last,
                last_hash: self.last_hash,
                growth: self.growth,
                deletes,
                pages: Pages::new(self.config.page_bytes_max, self.pieces),
                reserve: self.reserve,
                next_op: self.next_op,
            },
        )
    }
}
