//! Inputs from a corpus: one or two of its entries, changed in a few places. The same seed gives
//! the same inputs everywhere.

use tabmq::rng::Rng;

/// Longer inputs are cut.
const INPUT_BYTES_MAX: usize = 40 << 10;

/// Heads and values at which readers of CBOR may go wrong.
const TELLING: [&[u8]; 22] = [
    &[0x00],
    &[0x17],
    &[0x18, 0xff],
    &[0x19, 0xff, 0xff],
    &[0x1a, 0xff, 0xff, 0xff, 0xff],
    &[0x1b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    &[0x1b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    &[0x20],
    &[0x3b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    &[0x40],
    &[0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    &[0x60],
    &[0x7a, 0x7f, 0xff, 0xff, 0xff],
    &[0x80],
    &[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    &[0x9f],
    &[0xa0],
    &[0xbb, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00],
    &[0xd8, 0x1c],
    &[0xf6],
    &[0xfb, 0x7f, 0xf8, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00],
    &[0xff],
];

/// Makes inputs, one after the other.
pub struct Inputs<'a> {
    corpus: &'a [Vec<u8>],
    rng: Rng,
}

impl<'a> Inputs<'a> {
    /// `corpus` has an entry at least.
    #[must_use]
    pub fn new(corpus: &'a [Vec<u8>], seed: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        Self { corpus, rng: Rng::new(bytes) }
    }

    /// The next input.
    pub fn next_input(&mut self) -> Vec<u8> {
        let mut input = self.any().to_vec();
        self.change(&mut input);
        while self.rng.ratio(1, 2) {
            self.change(&mut input);
        }
        input.truncate(INPUT_BYTES_MAX);
        input
    }

    fn any(&mut self) -> &'a [u8] {
        &self.corpus[self.below(self.corpus.len())]
    }

    fn below(&mut self, bound: usize) -> usize {
        self.rng.below(bound as u64) as usize
    }

    /// A range of `length` that is short more often than not.
    fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.below(length + 1);
        let most = if self.rng.ratio(1, 4) { length - start } else { (length - start).min(16) };
        start..start + self.below(most + 1)
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let at = self.below(input.len().max(1));
        match self.rng.below(10) {
            0 if !input.is_empty() => input[at] ^= 1 << self.rng.below(8),
            1 if !input.is_empty() => input[at] = self.rng.next_u64() as u8,
            2 if !input.is_empty() => {
                let by = [1, 0xff, 0x20, 0xe0][self.below(4)];
                input[at] = input[at].wrapping_add(by);
            }
            3 => {
                let range = self.range(input.len());
                input.drain(range);
            }
            4 => {
                let again = input[self.range(input.len())].to_vec();
                let at = self.below(input.len() + 1);
                input.splice(at..at, again);
            }
            5 | 6 => {
                let telling = TELLING[self.below(TELLING.len())];
                let at = self.below(input.len() + 1);
                let replaced = self.below(3).min(input.len() - at);
                input.splice(at..at + replaced, telling.iter().copied());
            }
            7 | 8 => {
                let other = self.any();
                let part = other[self.range(other.len())].to_vec();
                let range = self.range(input.len());
                input.splice(range, part);
            }
            _ => {
                let other = self.any();
                input.truncate(at);
                let from = self.below(other.len() + 1);
                input.extend_from_slice(&other[from..]);
            }
        }
    }
}
