//! A store in memory, for hosts without storage. It is also the plain meaning of `StorageAction`.

use alloc::vec::Vec;

use crate::id::Epoch;
use crate::sorted::Line;
use crate::store::{Key, StorageAction, StorageFault, StorageResult, Stored};

#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    fence: Option<Epoch>,
    values: Line<Key, Vec<u8>>,
}

impl MemoryStore {
    /// Performs one action at once.
    ///
    /// # Errors
    /// `Fenced` if a commit expects another fence.
    pub fn perform(&mut self, action: &StorageAction) -> StorageResult {
        match action {
            StorageAction::Open => {
                let manifest = self.values.get(&Key::Manifest).cloned();
                Ok(Stored::Opened { fence: self.fence, manifest })
            }
            StorageAction::Commit { expect, claim, puts, deletes, .. } => {
                if self.fence != *expect {
                    return Err(StorageFault::Fenced);
                }
                self.fence = claim.or(self.fence);
                self.values.extend(puts.iter().cloned());
                for key in deletes {
                    self.values.remove(key);
                }
                Ok(Stored::Committed)
            }
            StorageAction::Read { keys } => {
                Ok(Stored::Values(keys.iter().map(|key| self.values.get(key).cloned()).collect()))
            }
            StorageAction::List => Ok(Stored::Chunks(self.chunks())),
            StorageAction::ReadFence => Ok(Stored::Fence(self.fence)),
        }
    }

    fn chunks(&self) -> Vec<crate::id::ChunkNumber> {
        let chunk = |key: &Key| match key {
            Key::Chunk(number) => Some(*number),
            Key::Manifest | Key::Page(_) | Key::Note => None,
        };
        self.values.keys().filter_map(chunk).collect()
    }

    /// Everything stored, for tests that look or tamper.
    #[cfg(any(test, feature = "sim"))]
    pub fn values_mut(&mut self) -> &mut Line<Key, Vec<u8>> {
        &mut self.values
    }

    /// The fence, for tests that look or tamper.
    #[cfg(any(test, feature = "sim"))]
    pub fn fence_mut(&mut self) -> &mut Option<Epoch> {
        &mut self.fence
    }
}
