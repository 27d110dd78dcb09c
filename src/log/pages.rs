//! The pages of a checkpoint, in three parts: what comes before the pieces of the index, these, and
//! what comes after them. A piece in which nothing changed is not even encoded again.
//!
//! In the other parts a page starts where its first record says so, as far as its length allows, so
//! that a change moves the borders beside it and no others. A page that comes out as it is stored
//! stays where it is; the others are written anew.

use alloc::vec::Vec;
use core::ops::Range;

use xxhash_rust::xxh64::xxh64;

use crate::cbor;
use crate::id::MessageNumber;
use crate::log::Record;
use crate::log::manifest::{Manifest, Page};
use crate::log::pieces::{self, Pieces, Run};
use crate::marks::{Mark, mark};
use crate::sorted::Set;
use crate::store::Key;

/// One record in so many starts a page: for each record of about this length that fits into one.
const RECORD_BYTES: usize = 64;

/// The piece that fills.
#[derive(Clone, Copy, Debug)]
struct Filling {
    first: MessageNumber,
    /// The length of what stands before its messages.
    head_bytes: usize,
}

#[derive(Debug)]
pub struct Pages {
    page_bytes_max: usize,
    /// The pieces in force; while a checkpoint is made, those that stay.
    pieces: Pieces,
    open: Vec<u8>,
    filling: Option<Filling>,
    before: Vec<Vec<u8>>,
    written: Vec<(MessageNumber, Vec<u8>)>,
    after: Vec<Vec<u8>>,
}

/// What a checkpoint changes in the store.
#[derive(Debug)]
pub struct Changed {
    pub puts: Vec<(Key, Vec<u8>)>,
    pub deletes: Vec<Key>,
}

impl Pages {
    pub fn new(page_bytes_max: usize, pieces: Pieces) -> Self {
        let (before, written, after) = (Vec::new(), Vec::new(), Vec::new());
        Self { page_bytes_max, pieces, open: Vec::new(), filling: None, before, written, after }
    }

    /// Adds a record that belongs to no piece.
    pub fn add(&mut self, record: &Record<'_>) {
        self.end_piece();
        let before = self.open.len();
        cbor::encode(record, &mut self.open);
        let full = self.open.len() > self.page_bytes_max;
        if before > 0 && (full || self.starts_page(record)) {
            let next = self.open.split_off(before);
            self.after.push(core::mem::replace(&mut self.open, next));
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

    fn end_page(&mut self) {
        if !self.open.is_empty() {
            self.after.push(core::mem::take(&mut self.open));
        }
    }

    /// Ends what comes before the pieces. Gives those that are to be written for something changed
    /// in these ranges; the others stay.
    pub fn begin_pieces(&mut self, changed: &[Range<MessageNumber>]) -> Vec<Run> {
        self.end_page();
        self.before = core::mem::take(&mut self.after);
        let runs = pieces::runs(&self.pieces, changed, self.page_bytes_max);
        let is_written = |first: &MessageNumber| {
            let behind = runs.partition_point(|run| run.first().is_some_and(|r| r.start <= *first));
            let run = behind.checked_sub(1).and_then(|at| runs.get(at));
            run.and_then(|run| run.last()).is_some_and(|last| *first < last.end)
        };
        self.pieces.retain(|first, _| !is_written(first));
        runs
    }

    /// Begins a run. The pieces in it are cut where they are full.
    pub fn begin_run(&mut self, first: MessageNumber) {
        self.end_piece();
        cbor::encode(&Record::Piece { first }, &mut self.open);
        self.filling = Some(Filling { first, head_bytes: self.open.len() });
    }

    /// Adds a message to the run, behind those before it.
    pub fn add_to_piece(&mut self, number: MessageNumber, record: &Record<'_>) {
        let Some(filling) = self.filling else { return };
        let before = self.open.len();
        cbor::encode(record, &mut self.open);
        if before > filling.head_bytes && self.open.len() > self.page_bytes_max {
            mark(Mark::PieceSplit);
            let next = self.open.split_off(before);
            self.begin_run(number);
            self.open.extend_from_slice(&next);
        }
    }

    /// Ends the piece that fills. One without messages is none: its numbers fall to the one before.
    fn end_piece(&mut self) {
        let Some(filling) = self.filling.take() else { return };
        let bytes = core::mem::take(&mut self.open);
        if bytes.len() > filling.head_bytes {
            self.written.push((filling.first, bytes));
        } else {
            mark(Mark::PieceEmptied);
        }
    }

    /// Puts the pages into the manifest in place of those it lists.
    pub fn finish(&mut self, manifest: &mut Manifest) -> Changed {
        self.end_piece();
        self.end_page();
        let mut stored = core::mem::take(&mut manifest.pages);
        // Those that stay can't be taken for others.
        let stays: Set<u64> = self.pieces.values().map(|page| page.number).collect();
        stored.retain(|page| !stays.contains(&page.number));
        let mut changes = Changes { manifest, stored, puts: Vec::new() };
        let mut pages: Vec<Page> = self.before.drain(..).map(|bytes| changes.page(bytes)).collect();
        for (first, bytes) in self.written.drain(..) {
            self.pieces.insert(first, changes.page(bytes));
        }
        pages.extend(self.pieces.values());
        pages.extend(self.after.drain(..).map(|bytes| changes.page(bytes)));
        let Changes { manifest, stored, puts } = changes;
        manifest.pages = pages;
        Changed { puts, deletes: stored.into_iter().map(|page| Key::Page(page.number)).collect() }
    }
}

struct Changes<'a> {
    manifest: &'a mut Manifest,
    /// Pages of the checkpoint before that this one does not use so far.
    stored: Vec<Page>,
    puts: Vec<(Key, Vec<u8>)>,
}

impl Changes<'_> {
    /// The page with these bytes: one that is stored, or else a new one.
    fn page(&mut self, bytes: Vec<u8>) -> Page {
        let page = Page {
            number: self.manifest.next_page,
            checksum: xxh64(&bytes, 0),
            bytes: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
        };
        let same = |p: &Page| (p.checksum, p.bytes) == (page.checksum, page.bytes);
        if let Some(place) = self.stored.iter().position(same) {
            return self.stored.remove(place);
        }
        self.manifest.next_page += 1;
        self.puts.push((Key::Page(page.number), bytes));
        page
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{ChunkNumber, LaneId, LogId, QueueId};
    use crate::log::Place;

    fn kept(number: u64) -> Record<'static> {
        Record::Kept {
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
        }
    }

    fn checkpoint(manifest: &mut Manifest, numbers: impl Iterator<Item = u64>) -> Changed {
        let mut pages = Pages::new(4096, Pieces::new());
        for number in numbers {
            pages.add(&kept(number));
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

    /// A checkpoint of these messages, where those in `changed` came, went or changed.
    fn pieces(
        pages: &mut Pages,
        manifest: &mut Manifest,
        changed: Range<u64>,
        numbers: impl Iterator<Item = u64> + Clone,
    ) -> Changed {
        let changed = [MessageNumber(changed.start)..MessageNumber(changed.end)];
        pages.add(&Record::LaneClosed { lane: LaneId(1) });
        for run in pages.begin_pieces(&changed) {
            pages.begin_run(run[0].start);
            for part in run {
                let inside =
                    numbers.clone().filter(|number| part.contains(&MessageNumber(*number)));
                for number in inside {
                    pages.add_to_piece(MessageNumber(number), &kept(number));
                }
            }
        }
        pages.add(&Record::LaneClosed { lane: LaneId(2) });
        pages.finish(manifest)
    }

    #[test]
    fn pieces_are_cut_where_they_are_full_and_written_where_something_changed() {
        let mut manifest = Manifest::new(LogId([1; 16]));
        let mut pages = Pages::new(4096, Pieces::new());
        let first = pieces(&mut pages, &mut manifest, 1000..21_000, 1000..21_000);
        assert!(first.puts.iter().all(|(_, bytes)| bytes.len() <= 4096));
        assert!(first.puts.len() > 50 && first.deletes.is_empty());
        let before = manifest.clone();
        // Only the piece of the message is asked for, and it stays, for nothing differs.
        let same = pieces(&mut pages, &mut manifest, 10_000..10_001, 1000..21_000);
        assert!(same.puts.is_empty() && same.deletes.is_empty());
        assert_eq!(manifest, before);
        let without_one = (1000..21_000).filter(|number| *number != 10_000);
        let one = pieces(&mut pages, &mut manifest, 10_000..10_001, without_one);
        assert_eq!((one.puts.len(), one.deletes.len()), (1, 1));
        // Each piece is where it was, and what comes before and after them, too.
        let moved = before.pages.iter().zip(&manifest.pages).filter(|(a, b)| a != b).count();
        assert_eq!((moved, manifest.pages.len()), (1, before.pages.len()));
    }

    #[test]
    fn pieces_that_shrink_are_written_together() {
        let mut manifest = Manifest::new(LogId([1; 16]));
        let mut pages = Pages::new(4096, Pieces::new());
        pieces(&mut pages, &mut manifest, 0..20_000, 0..20_000);
        // Message by message as they leave, but for one in a hundred.
        for end in (1000..=20_000).step_by(1000) {
            let left = move |number: &u64| *number >= end || number.is_multiple_of(100);
            pieces(&mut pages, &mut manifest, end - 1000..end, (0..20_000).filter(left));
        }
        assert!(manifest.pages.len() < 8, "{} pages for 200 messages", manifest.pages.len());
        let none = pieces(&mut pages, &mut manifest, 0..20_000, 0..0);
        assert_eq!((none.puts.len(), manifest.pages.len()), (0, 2));
    }
}
