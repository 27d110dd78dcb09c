//! Storage as numbered effects. The core asks, the host performs, the answer comes back as an
//! input. A store holds one fence, one manifest, numbered chunks and pages, and perhaps a note.

use alloc::vec::Vec;

use crate::id::{ChunkNumber, Epoch};

/// Where bytes are kept.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Key {
    /// Names the log, its format, its live chunks and its checkpoint pages.
    Manifest,
    Chunk(ChunkNumber),
    /// A page of a checkpoint.
    Page(u64),
    /// What a node that may fall asleep leaves for the one that goes on in its place. Only hosts
    /// that sleep with their sockets open are asked to keep one.
    Note,
}

/// What has to survive before a commit is reported.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Sync {
    /// Survives the death of this process, as far as the platform says.
    Relaxed,
    /// Survives the loss of power, as far as the platform says.
    Strict,
}

/// What a host performs. Commits run in the order of their `OpId`; reads at any time after the
/// commits issued before them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StorageAction {
    /// Read the fence and the manifest. Always the first action. Answer: `Opened`.
    Open,
    /// One atomic write, refused with `Fenced` and without effect unless the stored fence equals
    /// `expect` (`None`: there is no fence yet), compared inside the same transaction. Then
    /// `claim`, if given, becomes the fence. A host whose medium can't write several keys at
    /// once performs puts, then the manifest, then deletes. Answer: `Committed`.
    Commit {
        expect: Option<Epoch>,
        claim: Option<Epoch>,
        sync: Sync,
        puts: Vec<(Key, Vec<u8>)>,
        deletes: Vec<Key>,
    },
    /// Read the values of `keys`, in that order. Answer: `Values`.
    Read { keys: Vec<Key> },
    /// The numbers of all stored chunks, ascending. Answer: `Chunks`.
    List,
    /// Read only the fence, to learn whether another node has taken over. Answer: `Fence`.
    ReadFence,
}

impl StorageAction {
    /// How many bytes it writes.
    pub fn bytes(&self) -> usize {
        let Self::Commit { puts, .. } = self else { return 0 };
        puts.iter().map(|(_, bytes)| bytes.len()).sum()
    }
}

/// The answer to an action that succeeded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Stored {
    Opened { fence: Option<Epoch>, manifest: Option<Vec<u8>> },
    Committed,
    Values(Vec<Option<Vec<u8>>>),
    Chunks(Vec<ChunkNumber>),
    Fence(Option<Epoch>),
}

/// Why an action failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StorageFault {
    /// Nothing was changed; the same bytes may be tried again.
    Aborted,
    /// Nothing was changed; there is no room.
    Quota,
    /// Nothing was changed; another node holds the fence. This node is over.
    Fenced,
    /// It is not known what was written, or the medium is gone. The log is sealed.
    Lost,
}

/// The answer to one action.
pub type StorageResult = Result<Stored, StorageFault>;
