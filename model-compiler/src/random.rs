//! Draws that a seed makes the same again: what training, tests and the laboratory leave to chance can be repeated.

/// A sequence of draws: SplitMix64 (Steele, Lea and Flood, 2014).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The sequence of a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The sequence of a name under a seed: other names have other sequences (the name is hashed as FNV-1a does).
    #[must_use]
    pub fn of(seed: u64, name: &str) -> Self {
        let hash = name
            .bytes()
            .fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3));
        Self(seed ^ hash)
    }

    /// The next 64 bits.
    pub const fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A share: at least 0, less than 1.
    pub fn share(&mut self) -> f64 {
        // The upper 53 bits are as many as a double holds.
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A whole number below `end`; 0 where that is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(end)) >> 64) as u64
    }

    /// A whole number from `first` up to and including `last`.
    pub fn between(&mut self, first: u64, last: u64) -> u64 {
        first + self.below(last.saturating_sub(first) + 1)
    }

    /// A draw of the exponential distribution with that mean.
    pub fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.share()).ln()
    }

    /// Lower-case letters and digits.
    pub fn letters(&mut self, count: usize) -> String {
        let letters = b"abcdefghijklmnopqrstuvwxyz234567";
        (0..count).filter_map(|_| letters.get(self.below(32) as usize)).map(|&letter| char::from(letter)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_and_a_name_make_one_sequence_and_others_another() {
        let draws = |seed, name| {
            let mut random = Random::of(seed, name);
            [random.bits(), random.bits(), random.bits()]
        };
        assert_eq!(draws(1, "a"), draws(1, "a"));
        assert_ne!(draws(1, "a"), draws(1, "b"));
        assert_ne!(draws(1, "a"), draws(2, "a"));
    }

    #[test]
    fn draws_keep_to_their_bounds_and_means() {
        let mut random = Random::new(7);
        let mut sum = 0.0;
        for _ in 0..20_000 {
            assert!((0.0..1.0).contains(&random.share()));
            assert!((3..=5).contains(&random.between(3, 5)));
            sum += random.exponential(4.0);
        }
        assert!((3.8..4.2).contains(&(sum / 20_000.0)), "{sum}");
        assert_eq!(random.below(0), 0);
    }
}
