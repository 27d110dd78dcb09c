//! Which pieces of the index a checkpoint writes anew. A piece is one page with the waiting
//! messages of a range of numbers, which ends where the next piece begins.

use alloc::vec::Vec;
use core::ops::Range;

use crate::id::MessageNumber;
use crate::log::manifest::Page;
use crate::marks::{Mark, mark};
use crate::sorted::Map;

/// A piece is short if it fills less than one part in so many of a page.
const SHORT_PARTS: usize = 4;

/// The pieces in force, by the first number of each.
pub type Pieces = Map<MessageNumber, Page>;

/// Pieces beside each other that are written anew: the numbers of each.
pub type Run = Vec<Range<MessageNumber>>;

/// What is known of a piece.
struct Piece {
    numbers: Range<MessageNumber>,
    changed: bool,
    short: bool,
}

/// The runs to be written when something changed in these ranges, which are in order. A short piece
/// is written with a neighbour that changed, so that how many there are follows from what waits:
/// of two pieces side by side one is not short.
pub fn runs(pieces: &Pieces, changed: &[Range<MessageNumber>], page_bytes_max: usize) -> Vec<Run> {
    let pieces = marked(pieces, changed, page_bytes_max);
    let changed = |at: Option<usize>| at.and_then(|at| pieces.get(at)).is_some_and(|p| p.changed);
    let mut runs: Vec<Run> = Vec::new();
    let mut goes_on = false;
    for (at, piece) in pieces.iter().enumerate() {
        let beside = changed(at.checked_sub(1)) || changed(Some(at + 1));
        let written = piece.changed || piece.short && beside;
        if written {
            if !piece.changed {
                mark(Mark::PieceMerged);
            }
            match runs.last_mut().filter(|_| goes_on) {
                Some(run) => run.push(piece.numbers.clone()),
                None => runs.push(alloc::vec![piece.numbers.clone()]),
            }
        }
        goes_on = written;
    }
    runs
}

/// The first piece counts from zero and the last without end; if there is none yet, one is both.
fn marked(pieces: &Pieces, changed: &[Range<MessageNumber>], page_bytes_max: usize) -> Vec<Piece> {
    let ends = pieces.keys().copied().skip(1).chain([MessageNumber(u64::MAX)]);
    let lengths = pieces.values().map(|page| page.bytes as usize).chain([0]);
    let (mut start, mut changed) = (MessageNumber(0), changed.iter().peekable());
    let mut marked = Vec::new();
    for (end, bytes) in ends.zip(lengths) {
        let mut piece = Piece {
            numbers: start..end,
            changed: false,
            short: bytes < page_bytes_max / SHORT_PARTS,
        };
        // One that reaches into the next piece concerns both.
        while let Some(range) = changed.next_if(|range| range.end <= end) {
            piece.changed |= range.end > start;
        }
        piece.changed |= changed.peek().is_some_and(|range| range.start < end);
        marked.push(piece);
        start = end;
    }
    marked
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(pieces: &[(u64, u32)]) -> Pieces {
        let page = |(first, bytes): &(u64, u32)| {
            (MessageNumber(*first), Page { number: *first, checksum: 0, bytes: *bytes })
        };
        pieces.iter().map(page).collect()
    }

    fn runs_of(stored: &[(u64, u32)], changed: &[(u64, u64)]) -> Vec<Vec<(u64, u64)>> {
        let range = |(start, end): &(u64, u64)| MessageNumber(*start)..MessageNumber(*end);
        let changed: Vec<_> = changed.iter().map(range).collect();
        let numbers = |range: Range<MessageNumber>| (range.start.0, range.end.0);
        let runs = runs(&pieces(stored), &changed, 400);
        runs.into_iter().map(|run| run.into_iter().map(numbers).collect()).collect()
    }

    const END: u64 = u64::MAX;

    #[test]
    fn only_pieces_in_which_something_changed_are_written() {
        let stored = [(0, 300), (100, 300), (200, 300), (300, 300)];
        assert_eq!(runs_of(&stored, &[]), [[]; 0]);
        assert_eq!(runs_of(&stored, &[(96, 100)]), [[(0, 100)]]);
        assert_eq!(runs_of(&stored, &[(100, 104)]), [[(100, 200)]]);
        assert_eq!(runs_of(&stored, &[(96, 104)]), [[(0, 100), (100, 200)]]);
        assert_eq!(runs_of(&stored, &[(104, 108), (900, 904)]), [[(100, 200)], [(300, END)]]);
    }

    #[test]
    fn the_first_piece_takes_what_comes_before_it() {
        assert_eq!(runs_of(&[], &[]), [[]; 0]);
        assert_eq!(runs_of(&[], &[(8, 12)]), [[(0, END)]]);
        assert_eq!(runs_of(&[(100, 300), (200, 300)], &[(8, 12)]), [[(0, 200)]]);
    }

    #[test]
    fn short_pieces_are_written_with_a_neighbour_that_changed() {
        let stored = [(0, 300), (100, 99), (200, 300), (300, 100), (400, 10), (500, 300)];
        assert_eq!(runs_of(&stored, &[(204, 208)]), [[(100, 200), (200, 300)]]);
        assert_eq!(runs_of(&stored, &[(4, 8)]), [[(0, 100), (100, 200)]]);
        assert_eq!(runs_of(&stored, &[(504, 508)]), [[(400, 500), (500, END)]]);
        assert_eq!(runs_of(&stored, &[(404, 408)]), [[(400, 500)]], "neighbours are not short");
    }
}
