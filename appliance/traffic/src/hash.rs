//! The hash of all tables: multilinear, keyed, and strongly universal.
//!
//! Whoever sends packets chooses the keys of the tables, so the hash must not be foreseeable: two keys fall into the same
//! bucket no more often than by chance, whatever they are, as long as the secret numbers are unknown (Lemire and Kaser,
//! "Strongly universal string hashing is fast", 2014, section 3). A word of the key costs one multiplication.

use core::hash::Hasher;

use siphasher::sip::SipHasher13;

/// Longest key in words of 32 bits; one secret number more is needed.
const MAX_WORDS: usize = 15;

/// The secret numbers.
#[derive(Clone, Copy, Debug)]
pub struct Secret([u64; MAX_WORDS + 1]);

impl Secret {
    /// Numbers that cannot be told from random ones without the seed (Aumasson and Bernstein, "SipHash", 2012).
    #[must_use]
    pub fn new(seed: [u64; 2]) -> Self {
        Self(core::array::from_fn(|place| {
            let mut hasher = SipHasher13::new_with_keys(seed[0], seed[1]);
            hasher.write_usize(place);
            hasher.finish()
        }))
    }

    /// A hasher for one key. Keys that are compared must be of one type, with as many words each.
    #[inline]
    #[must_use]
    pub const fn hasher(&self) -> KeyHasher<'_> {
        KeyHasher { secret: &self.0, at: 0, sum: self.0[MAX_WORDS] }
    }
}

/// Hashes a key. Only the upper 32 bits of the result are universal.
#[derive(Debug)]
pub struct KeyHasher<'a> {
    secret: &'a [u64; MAX_WORDS + 1],
    at: usize,
    sum: u64,
}

impl Hasher for KeyHasher<'_> {
    #[inline]
    fn finish(&self) -> u64 {
        self.sum
    }

    /// For keys that are no plain numbers. The tables of the packet path have none.
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(4) {
            let mut word = [0; 4];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u32(u32::from_le_bytes(word));
        }
    }

    #[inline]
    fn write_u8(&mut self, value: u8) {
        self.write_u32(u32::from(value));
    }

    #[inline]
    fn write_u16(&mut self, value: u16) {
        self.write_u32(u32::from(value));
    }

    #[inline]
    fn write_u32(&mut self, value: u32) {
        debug_assert!(self.at < MAX_WORDS, "a key has more words than there are secret numbers");
        self.sum = self.sum.wrapping_add(self.secret[self.at % MAX_WORDS].wrapping_mul(u64::from(value)));
        self.at += 1;
    }
}

#[cfg(test)]
mod tests {
    use core::hash::Hash;

    use super::*;

    /// Keys as attackers choose them: one after the other, and far apart by powers of two.
    #[test]
    fn chosen_keys_spread_over_the_buckets_like_random_ones() {
        for (seed, shift) in [([1, 2], 0), ([3, 4], 16), ([5, 6], 32), ([7, 8], 64), ([9, 10], 112)] {
            let secret = Secret::new(seed);
            let mut buckets = [0_u32; 1024];
            for n in 0..4096_u128 {
                let mut hasher = secret.hasher();
                (n << shift, 443_u16).hash(&mut hasher);
                buckets[(hasher.finish() >> 54) as usize] += 1;
            }
            // 4 to a bucket on average; the fullest of 1,024 holds about 13 where keys fall at random.
            let fullest = buckets.iter().max().copied().unwrap_or_default();
            assert!(fullest <= 40, "{fullest} of 4,096 keys in one of 1,024 buckets");
        }
    }
}
