//! The pages of a checkpoint. Where a page starts depends on its first record alone, as far as its
//! length allows, so that a change moves the borders beside it and no others. A page that comes out
//! as it is stored stays where it is; the others are written anew.

use alloc::vec::Vec;

use xxhash_rust::xxh64::xxh64;

use crate::cbor;
use crate::log::Record;
use crate::log::manifest::{Manifest, Page};
use crate::store::Key;

/// One record in so many starts a page: for each record of about this length that fits into one.
const RECORD_BYTES: usize = 64;

#[derive(Debug)]
pub struct Pages {
    page_bytes_max: usize,
    open: Vec<u8>,
    closed: Vec<Vec<u8>>,
}

/// What a checkpoint changes in the store.
#[derive(Debug)]
pub struct Changed {
    pub puts: Vec<(Key, Vec<u8>)>,
    pub deletes: Vec<Key>,
}

impl Pages {
    pub const fn new(page_bytes_max: usize) -> Self {
        Self { page_bytes_max, open: Vec::new(), closed: Vec::new() }
    }

    pub fn clear(&mut self) {
        self.open.clear();
        self.closed.clear();
    }

    pub fn add(&mut self, record: &Record<'_>) {
        let before = self.open.len();
        cbor::encode(record, &mut self.open);
        let full = self.open.len() > self.page_bytes_max;
        if before > 0 && (full || self.starts_page(record)) {
            let next = self.open.split_off(before);
            self.closed.push(core::mem::replace(&mut self.open, next));
        }
    }

    /// Numbers are spread by a multiplication, so that any pattern in them breaks up.
    fn starts_page(&self, record: &Record<'_>) -> bool {
        let number = match record {
            Record::Kept { number, .. } => number.0,
            Record::LaneOpened { lane, .. } => lane.0,
            Record::Declared { queue, .. } => u64::from(queue.0),
            _ => return false,
        };
        let one_in = (self.page_bytes_max / RECORD_BYTES).max(1).next_power_of_two() as u64;
        number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32 & (one_in - 1) == 0
    }

    /// Puts the pages into the manifest in place of those it lists.
    pub fn finish(&mut self, manifest: &mut Manifest) -> Changed {
        if !self.open.is_empty() {
            self.closed.push(core::mem::take(&mut self.open));
        }
        let mut stored = core::mem::take(&mut manifest.pages);
        let mut puts = Vec::new();
        for bytes in self.closed.drain(..) {
            let mut page = Page {
                number: manifest.next_page,
                checksum: xxh64(&bytes, 0),
                bytes: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
            };
            let same = |p: &Page| (p.checksum, p.bytes) == (page.checksum, page.bytes);
            match stored.iter().position(same) {
                Some(place) => page = stored.remove(place),
                None => {
                    manifest.next_page += 1;
                    puts.push((Key::Page(page.number), bytes));
                }
            }
            manifest.pages.push(page);
        }
        Changed { puts, deletes: stored.into_iter().map(|page| Key::Page(page.number)).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{ChunkNumber, LogId, MessageNumber, QueueId};
    use crate::log::Place;

    fn checkpoint(manifest: &mut Manifest, numbers: impl Iterator<Item = u64>) -> Changed {
        let mut pages = Pages::new(4096);
        for number in numbers {
            pages.add(&Record::Kept {
                queue: QueueId(1),
                number: MessageNumber(number),
                place: Place { chunk: ChunkNumber(number / 100), offset: 48 },
                body_bytes: 10,
                attempts: 0,
                due_at: None,
                deaths: None,
                properties_bytes: None,
                expires_at: None,
                key: None,
                priority: None,
            });
        }
        pages.finish(manifest)
    }

    #[test]
    fn pages_that_did_not_change_stay_where_they_are() {
        let mut manifest = Manifest::new(LogId([1; 16]));
        let first = checkpoint(&mut manifest, 1000..21_000);
        assert!(first.puts.iter().all(|(_, bytes)| bytes.len() <= 4096));
        assert!(first.puts.len() > 50 && first.deletes.is_empty());
        let before = manifest.clone();
        let same = checkpoint(&mut manifest, 1000..21_000);
        assert!(same.puts.is_empty() && same.deletes.is_empty());
        assert_eq!(manifest, before);
        // The queue goes on at both ends, and one in the middle leaves.
        let numbers = (1010..21_010).filter(|number| *number != 11_000);
        let next = checkpoint(&mut manifest, numbers);
        assert!(next.puts.len() <= 6, "{} pages", next.puts.len());
        let bytes = |manifest: &Manifest| manifest.pages.iter().map(|page| page.bytes).sum::<u32>();
        assert!(bytes(&before).abs_diff(bytes(&manifest)) < 200);
        let kept = manifest.pages.iter().filter(|page| before.pages.contains(page)).count();
        assert_eq!(
            (kept, next.deletes.len()),
            (manifest.pages.len() - next.puts.len(), next.puts.len())
        );
    }
}
