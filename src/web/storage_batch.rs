//! Storage that JavaScript performs, as bytes: a batch of what is asked goes out, batches of
//! answers come back. Both are CBOR, as everything that crosses the border; an epoch is its sixteen
//! bytes, so that their order is the order of epochs.

use alloc::vec::Vec;

use crate::cbor::{self, Malformed, structure, variants};
use crate::error::Code;
use crate::id::{ChunkNumber, Epoch, OpId};
use crate::store::{Key, StorageAction, StorageFault, StorageResult, Stored, Sync};

structure! {
    pub struct Place {
        pub kind: u32,
        pub number: u64,
    }
}

structure! {
    pub struct Put<'a> {
        pub kind: u32,
        pub number: u64,
        pub bytes: &'a [u8],
    }
}

structure! {
    pub struct Asked<'a> {
        pub op: u64,
        pub action: Action<'a>,
    }
}

variants! {
    pub enum Action<'a> {
        1 => Open,
        2 => Commit {
            expect: Option<[u8; 16]>,
            claim: Option<[u8; 16]>,
            strict: bool,
            puts: Vec<Put<'a>>,
            deletes: Vec<Place>,
        },
        3 => Read { keys: Vec<Place> },
        4 => List,
        5 => ReadFence,
    }
}

structure! {
    /// One answer. What is told of the storage itself has the operation 0.
    pub struct Answer<'a> {
        pub op: u64,
        pub told: Told<'a>,
    }
}

variants! {
    pub enum Told<'a> {
        1 => Ready,
        2 => Unusable { why: u32 },
        3 => Opened { fence: Option<[u8; 16]>, manifest: Option<&'a [u8]> },
        4 => Committed,
        5 => Values { values: Vec<Option<&'a [u8]>> },
        6 => Chunks { numbers: Vec<u64> },
        7 => Fence { fence: Option<[u8; 16]> },
        8 => Failed { fault: u32 },
    }
}

/// What an answer says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum News {
    /// The storage may be used.
    Ready,
    /// It can't be opened.
    Unusable(Code, &'static str),
    Stored(OpId, StorageResult),
}

/// What is asked for and was not handed over yet.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    count: u32,
    bytes: Vec<u8>,
}

/// An array head of fixed length, so that the count can be written when it is known.
const HEAD: [u8; 5] = [0x9a, 0, 0, 0, 0];

impl Batch {
    pub fn ask(&mut self, op: OpId, action: &StorageAction) {
        if self.count == 0 {
            self.bytes.extend(HEAD);
        }
        self.count += 1;
        cbor::encode(&Asked { op: op.0, action: action_of(action) }, &mut self.bytes);
    }

    /// All of it as one array; nothing if there is nothing.
    pub fn take(&mut self) -> Option<Vec<u8>> {
        let Self { count, mut bytes } = core::mem::take(self);
        bytes.get_mut(1..5)?.copy_from_slice(&count.to_be_bytes());
        Some(bytes)
    }
}

fn action_of(action: &StorageAction) -> Action<'_> {
    match action {
        StorageAction::Open => Action::Open,
        StorageAction::Commit { expect, claim, sync, puts, deletes } => Action::Commit {
            expect: expect.map(bytes_of),
            claim: claim.map(bytes_of),
            strict: *sync == Sync::Strict,
            puts: puts.iter().map(|(key, bytes)| put_of(key, bytes)).collect(),
            deletes: deletes.iter().map(place).collect(),
        },
        StorageAction::Read { keys } => Action::Read { keys: keys.iter().map(place).collect() },
        StorageAction::List => Action::List,
        StorageAction::ReadFence => Action::ReadFence,
    }
}

/// Reads a batch of answers.
///
/// # Errors
/// `Malformed`.
pub fn answers(bytes: &[u8]) -> Result<Vec<News>, Malformed> {
    let answers: Vec<Answer<'_>> = cbor::decode(bytes)?;
    Ok(answers.into_iter().map(|Answer { op, told }| news(OpId(op), told)).collect())
}

fn news(op: OpId, told: Told<'_>) -> News {
    let stored = match told {
        Told::Ready => return News::Ready,
        Told::Unusable { why } => {
            let (code, reason) = unusable(why);
            return News::Unusable(code, reason);
        }
        Told::Opened { fence, manifest } => Ok(Stored::Opened {
            fence: fence.map(epoch_of),
            manifest: manifest.map(<[u8]>::to_vec),
        }),
        Told::Committed => Ok(Stored::Committed),
        Told::Values { values } => {
            Ok(Stored::Values(values.into_iter().map(|value| value.map(<[u8]>::to_vec)).collect()))
        }
        Told::Chunks { numbers } => {
            Ok(Stored::Chunks(numbers.into_iter().map(ChunkNumber).collect()))
        }
        Told::Fence { fence } => Ok(Stored::Fence(fence.map(epoch_of))),
        Told::Failed { fault } => Err(match fault {
            1 => StorageFault::Aborted,
            2 => StorageFault::Quota,
            3 => StorageFault::Fenced,
            _ => StorageFault::Lost,
        }),
    };
    News::Stored(op, stored)
}

/// Why a storage can't be opened, by the numbers of `UNUSABLE` in pkg/src/files/session.ts.
const fn unusable(why: u32) -> (Code, &'static str) {
    match why {
        1 => (Code::UpgradeRequired, "format"),
        2 => (Code::Unavailable, "in use"),
        3 => (Code::Storage, "quota"),
        _ => (Code::Storage, "open"),
    }
}

const fn place(key: &Key) -> Place {
    match *key {
        Key::Manifest => Place { kind: 0, number: 0 },
        Key::Chunk(ChunkNumber(number)) => Place { kind: 1, number },
        Key::Page(number) => Place { kind: 2, number },
        // The database of an object has its fence at number 0.
        Key::Note => Place { kind: 3, number: 1 },
    }
}

fn put_of<'a>(key: &Key, bytes: &'a [u8]) -> Put<'a> {
    let Place { kind, number } = place(key);
    Put { kind, number, bytes }
}

fn bytes_of(epoch: Epoch) -> [u8; 16] {
    (u128::from(epoch.counter) << 64 | u128::from(epoch.incarnation)).to_be_bytes()
}

fn epoch_of(bytes: [u8; 16]) -> Epoch {
    let both = u128::from_be_bytes(bytes);
    Epoch { counter: (both >> 64) as u64, incarnation: both as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EPOCH: Epoch = Epoch { counter: 0x0102, incarnation: 0xfffe };

    #[test]
    fn the_order_of_the_bytes_is_that_of_the_epochs() {
        let epochs = [(1, 2), (1, 3), (2, 0), (256, 1)]
            .map(|(counter, incarnation)| Epoch { counter, incarnation });
        let bytes = epochs.map(bytes_of);
        assert!(bytes.is_sorted());
        assert_eq!(bytes.map(epoch_of), epochs);
    }

    #[test]
    fn what_is_asked_goes_out_as_one_array() {
        let mut batch = Batch::default();
        assert_eq!(batch.take(), None);
        let puts = [(Key::Chunk(ChunkNumber(7)), [1, 2].to_vec())].to_vec();
        let deletes = [Key::Page(3), Key::Manifest].to_vec();
        let (expect, claim) = (Some(EPOCH), None);
        batch.ask(OpId(1), &StorageAction::Open);
        let commit = StorageAction::Commit { expect, claim, sync: Sync::Strict, puts, deletes };
        batch.ask(OpId(2), &commit);
        let bytes = batch.take().unwrap_or_default();
        let mut wanted = [0x9a, 0, 0, 0, 2, 0x82, 1, 0x81, 1, 0x82, 2, 0x86, 2, 0x50].to_vec();
        wanted.extend([0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0xff, 0xfe, 0xf6, 0xf5]);
        wanted.extend([0x81, 0x83, 1, 7, 0x42, 1, 2, 0x82, 0x82, 2, 3, 0x82, 0, 0]);
        assert_eq!(bytes, wanted);
        assert_eq!(batch.take(), None);
    }

    #[test]
    fn answers_are_read_and_anything_else_is_refused() {
        let fence = Some(EPOCH);
        let mut bytes = [0x85, 0x82, 0, 0x81, 1, 0x82, 1, 0x83, 3, 0x50].to_vec();
        bytes.extend(bytes_of(EPOCH));
        bytes.extend([0xf6, 0x82, 2, 0x82, 5, 0x82, 0x41, 9, 0xf6, 0x82, 3, 0x82, 6, 0x81, 4]);
        bytes.extend([0x82, 4, 0x82, 8, 2]);
        let values = [Some([9].to_vec()), None].to_vec();
        let news = [
            News::Ready,
            News::Stored(OpId(1), Ok(Stored::Opened { fence, manifest: None })),
            News::Stored(OpId(2), Ok(Stored::Values(values))),
            News::Stored(OpId(3), Ok(Stored::Chunks([ChunkNumber(4)].to_vec()))),
            News::Stored(OpId(4), Err(StorageFault::Quota)),
        ];
        assert_eq!(answers(&bytes), Ok(news.to_vec()));
        for length in 0..bytes.len() {
            assert_eq!(answers(&bytes[..length]), Err(Malformed), "{length} bytes");
        }
    }
}
