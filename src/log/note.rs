//! The note of a node that may fall asleep: what it knows beside its log. The node that goes on in
//! its place takes it away with its first write, so a note is believed once; and it goes on under
//! the same epoch, for nobody may see that it is another.

use alloc::vec::Vec;

use xxhash_rust::xxh64::xxh64;

use crate::cbor::{self, structure};
use crate::id::{ChunkNumber, Epoch, LogId};
use crate::store::Key;

/// Of the note and of what is in it. Another one is not read.
const FORMAT: u32 = 1;

structure! {
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Note<'a> {
        pub format: u32,
        /// Under which it was written.
        pub epoch: Epoch,
        pub log: LogId,
        /// The last chunk that was stored.
        pub through: ChunkNumber,
        /// Of the body.
        pub checksum: u64,
        pub body: &'a [u8],
    }
}

impl<'a> Note<'a> {
    pub fn new(epoch: Epoch, log: LogId, through: ChunkNumber, body: &'a [u8]) -> Self {
        Self { format: FORMAT, epoch, log, through, checksum: xxh64(body, 0), body }
    }

    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        cbor::encode(self, &mut out);
        out
    }
}

/// A note that a recovery has taken.
#[derive(Debug)]
pub(super) struct Taken {
    pub epoch: Epoch,
    pub through: ChunkNumber,
    pub body: Vec<u8>,
}

/// What becomes of the note of the node before.
#[derive(Debug, Default)]
pub(super) enum Noted {
    /// This host keeps none.
    #[default]
    Never,
    Unread,
    /// There is none, or it is not for this log as it is. A claim takes away what is there.
    Void,
    Taken(Taken),
}

impl Noted {
    /// The note is believed if nobody has claimed since it was written.
    pub fn read(
        values: Vec<Option<Vec<u8>>>,
        fence: Option<Epoch>,
        log: LogId,
        heard: Epoch,
    ) -> Self {
        let bytes = values.into_iter().next().flatten().unwrap_or_default();
        let Ok(note) = cbor::decode::<Note<'_>>(&bytes) else { return Self::Void };
        let ours = note.format == FORMAT && fence == Some(note.epoch) && log == note.log;
        let whole = note.checksum == xxh64(note.body, 0);
        if !ours || !whole || heard.counter > note.epoch.counter {
            return Self::Void;
        }
        let Note { epoch, through, body, .. } = note;
        Self::Taken(Taken { epoch, through, body: body.to_vec() })
    }

    /// Another node has claimed since, and may have taken the note.
    pub fn read_again(&mut self) {
        if !matches!(self, Self::Never) {
            *self = Self::Unread;
        }
    }

    pub fn deletes(&self) -> Vec<Key> {
        match self {
            Self::Never | Self::Unread => Vec::new(),
            Self::Void | Self::Taken(_) => [Key::Note].into(),
        }
    }
}
