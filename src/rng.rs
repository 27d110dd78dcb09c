//! The only generator. It is seeded by the host, so the same seed gives the same run everywhere;
//! it is not for secrets.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng as _, SeedableRng};

/// A seeded stream of random numbers. Integers only.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rng(Xoshiro256PlusPlus);

impl Rng {
    /// The generator of this seed. A host takes the seed from the platform's entropy.
    #[must_use]
    pub fn new(seed: [u8; 32]) -> Self {
        Self(Xoshiro256PlusPlus::from_seed(seed))
    }

    /// Any number.
    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `bound`, each as likely as the others; 0 if `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 {
            return 0;
        }
        // Numbers under the remainder of 2^64 / bound would make some results likelier.
        let skipped = bound.wrapping_neg() % bound;
        loop {
            let number = self.next_u64();
            if number >= skipped {
                return number % bound;
            }
        }
    }

    /// True with the probability `numerator` / `denominator`; never if the denominator is 0.
    pub fn ratio(&mut self, numerator: u64, denominator: u64) -> bool {
        denominator != 0 && self.below(denominator) < numerator
    }

    /// Sixteen random bytes, such as an id.
    pub fn bytes16(&mut self) -> [u8; 16] {
        let mut bytes = [0; 16];
        let (first, second) = bytes.split_at_mut(8);
        first.copy_from_slice(&self.next_u64().to_le_bytes());
        second.copy_from_slice(&self.next_u64().to_le_bytes());
        bytes
    }

    /// The seed of another generator.
    pub fn seed(&mut self) -> [u8; 32] {
        let mut seed = [0; 32];
        for part in seed.chunks_exact_mut(8) {
            part.copy_from_slice(&self.next_u64().to_le_bytes());
        }
        seed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_of_a_seed_never_changes() {
        let mut rng = Rng::new([7; 32]);
        let numbers = [rng.next_u64(), rng.next_u64(), rng.below(1000)];
        assert_eq!(numbers, [1_012_762_419_733_073_422, 9_982_943_851_654_580_874, 376]);
    }

    #[test]
    fn below_reaches_every_number_and_none_else() {
        let mut rng = Rng::new([1; 32]);
        let mut seen = [0; 7];
        for _ in 0..7000 {
            seen[rng.below(7) as usize] += 1;
        }
        assert!(seen.iter().all(|count| (800..1200).contains(count)), "{seen:?}");
        assert_eq!(rng.below(0), 0);
        assert_eq!(rng.below(1), 0);
    }

    #[test]
    fn a_ratio_is_met_and_its_ends_are_certain() {
        let mut rng = Rng::new([2; 32]);
        let hits = (0..10_000).filter(|_| rng.ratio(1, 4)).count();
        assert!((2300..2700).contains(&hits), "{hits}");
        assert!((0..100).all(|_| !rng.ratio(0, 3) && rng.ratio(3, 3) && !rng.ratio(1, 0)));
    }

    #[test]
    fn ids_differ() {
        let mut rng = Rng::new([0; 32]);
        assert_ne!(rng.bytes16(), rng.bytes16());
    }
}
