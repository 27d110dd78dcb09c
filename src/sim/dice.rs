//! Chance of a run. Probabilities are integer ratios, so a seed means the same everywhere.

use alloc::vec::Vec;

use xxhash_rust::xxh64::xxh64;

use crate::rng::Rng;

/// A probability: `numerator` times out of `denominator`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ratio {
    pub numerator: u32,
    pub denominator: u32,
}

impl Ratio {
    pub const NEVER: Self = Self { numerator: 0, denominator: 1 };

    /// Once in `denominator` times.
    #[must_use]
    pub const fn one_in(denominator: u32) -> Self {
        Self { numerator: 1, denominator }
    }
}

/// One stream of chance. Each part of the world has its own, so that a change of one part does
/// not change what the others draw.
#[derive(Clone, Debug)]
pub struct Dice {
    rng: Rng,
}

impl Dice {
    /// The stream of this name in the run of this seed.
    #[must_use]
    pub fn new(seed: u64, stream: u32) -> Self {
        let mut name = [0; 12];
        name[..8].copy_from_slice(&seed.to_le_bytes());
        name[8..].copy_from_slice(&stream.to_le_bytes());
        // Spread over all bits: seeds that are near each other must not begin alike.
        let mut bytes = [0; 32];
        for (part, number) in bytes.chunks_exact_mut(8).zip(0..) {
            part.copy_from_slice(&xxh64(&name, number).to_le_bytes());
        }
        Self { rng: Rng::new(bytes) }
    }

    pub fn chance(&mut self, ratio: Ratio) -> bool {
        self.rng.ratio(u64::from(ratio.numerator), u64::from(ratio.denominator))
    }

    /// A number from `first` to `last`, both included.
    pub fn between(&mut self, first: u64, last: u64) -> u64 {
        assert!(first <= last, "a range has its ends in order");
        first + self.rng.below(last - first + 1)
    }

    /// Takes one of these out, if there are any.
    pub fn take_some<T>(&mut self, items: &mut Vec<T>) -> Option<T> {
        let index = (!items.is_empty()).then(|| self.index(items.len()))?;
        Some(items.swap_remove(index))
    }

    /// An index below `length`, which is not zero.
    pub fn index(&mut self, length: usize) -> usize {
        assert!(length > 0, "nothing to choose from");
        usize::try_from(self.rng.below(length as u64)).unwrap_or(0)
    }

    pub fn choose<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.index(items.len())]
    }

    /// The index of one of `weights`, each as likely as it is heavy. Not all are zero.
    pub fn weighted(&mut self, weights: &[u32]) -> usize {
        let total: u64 = weights.iter().copied().map(u64::from).sum();
        let mut drawn = self.rng.below(total);
        for (index, weight) in weights.iter().enumerate() {
            match drawn.checked_sub(u64::from(*weight)) {
                Some(rest) => drawn = rest,
                None => return index,
            }
        }
        unreachable!("the draw is below the sum of the weights")
    }

    pub fn seed(&mut self) -> [u8; 32] {
        self.rng.seed()
    }

    pub fn bytes16(&mut self) -> [u8; 16] {
        self.rng.bytes16()
    }
}
