//! How the values of a feature were spread over harmless traffic in training: what the box holds its own traffic against.
//!
//! The bins end at the deciles, so that each holds a tenth of the weight where values differ enough. Where many are alike,
//! several deciles are one value: the first of these bins holds them all, and the others hold nothing.

use serde::{Deserialize, Serialize};

/// How many bins there are.
pub const BINS: usize = 10;

/// How many values divide them.
pub const EDGES: usize = BINS - 1;

/// How far the shares may be from 1 in sum.
const SUM_TOLERANCE: f32 = 1e-3;

/// Bins of the values of a feature.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Up to and including which value each bin reaches, but for the last, which has no end; none less than the one before.
    pub edges: [f32; EDGES],
    /// The share of each bin, 0 to 1.
    pub shares: [f32; BINS],
}

impl Default for Spread {
    /// All values are 0.
    fn default() -> Self {
        let mut shares = [0.0; BINS];
        shares[0] = 1.0;
        Self { edges: [0.0; EDGES], shares }
    }
}

impl Spread {
    /// The spread of values with their weights, of which at least one is above 0. Sorts them.
    #[must_use]
    pub fn of(values: &mut [(f32, f64)]) -> Self {
        values.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        let total: f64 = values.iter().map(|(_, weight)| weight).sum();
        let mut edges = [values.last().map_or(0.0, |(value, _)| *value); EDGES];
        let (mut below, mut next) = (0.0, 0);
        for (value, weight) in values.iter() {
            below += weight;
            while next < EDGES && below >= total * (next + 1) as f64 / BINS as f64 {
                edges[next] = *value;
                next += 1;
            }
        }
        let mut weights = [0.0; BINS];
        for (value, weight) in values.iter() {
            weights[bin(&edges, *value)] += weight;
        }
        Self { edges, shares: weights.map(|weight| (weight / total) as f32) }
    }

    /// Edges and shares are what they must be.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let sum: f32 = self.shares.iter().sum();
        self.edges.iter().all(|edge| edge.is_finite())
            && self.edges.is_sorted()
            && self.shares.iter().all(|share| *share >= 0.0)
            && (sum - 1.0).abs() <= SUM_TOLERANCE
    }
}

/// The bin of a value, by the edges between the bins. NaN counts as less than everything.
#[inline]
#[must_use]
pub fn bin(edges: &[f32; EDGES], value: f32) -> usize {
    edges.iter().map(|edge| usize::from(value > *edge)).sum()
}

/// Shares below this count as this: else one value in a bin that was empty would make the index infinite.
const LEAST_SHARE: f64 = 1e-3;

/// No index reaches this: it is highest where all values lie in a bin that was empty, `2 (1 - 0.001) ln 1000`.
pub const UNREACHABLE_INDEX: f32 = 14.0;

/// The population stability index of what was counted in the bins against their shares in training: the sum over the bins of
/// `(a - e) ln(a / e)`, where `a` is the share now and `e` the one in training. 0 where nothing was counted. (Siddiqi, "Credit Risk
/// Scorecards", Wiley 2006, who calls less than 0.1 no change and more than 0.25 a significant one for populations of
/// applicants; Yurdakul, "Statistical Properties of Population Stability Index", Western Michigan University 2018, derives how
/// large it is by chance: with 10 bins and some thousand observations, below 0.02.)
#[must_use]
pub fn stability_index(shares: &[f32; BINS], counts: &[u32; BINS]) -> f32 {
    let total: f64 = counts.iter().map(|count| f64::from(*count)).sum();
    if total == 0.0 {
        return 0.0;
    }
    let part = |(share, count): (&f32, &u32)| {
        let expected = f64::from(*share).max(LEAST_SHARE);
        let actual = (f64::from(*count) / total).max(LEAST_SHARE);
        (actual - expected) * libm::log(actual / expected)
    };
    shares.iter().zip(counts).map(part).sum::<f64>() as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_differ_are_a_tenth_to_a_bin() {
        let mut values: Vec<(f32, f64)> = (1..=100_u8).rev().map(|value| (f32::from(value), 0.5)).collect();
        let spread = Spread::of(&mut values);
        assert_eq!(spread.edges, [10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0]);
        assert_eq!(spread.shares, [0.1; BINS]);
        assert!(spread.is_sound());
        let bins = [f32::NAN, -1.0, 10.0, 10.5, 90.0, 1e9].map(|value| bin(&spread.edges, value));
        assert_eq!(bins, [0, 0, 0, 1, 8, 9]);
    }

    #[test]
    fn values_that_are_alike_share_a_bin_whatever_they_weigh() {
        let spread = Spread::of(&mut [(1.0, 1.0), (0.0, 6.0), (7.0, 1.0)]);
        assert_eq!(spread.edges, [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 7.0]);
        assert_eq!(spread.shares, [0.75, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.125, 0.125, 0.0]);
        assert!(spread.is_sound() && Spread::default().is_sound());
        assert_eq!(Spread::of(&mut [(0.0, 3.0)]), Spread::default());
    }

    #[test]
    fn the_index_is_the_one_of_the_books() {
        let tenths = [0.1; BINS];
        assert!(stability_index(&tenths, &[7; BINS]) < 1e-9);
        assert_eq!(stability_index(&tenths, &[0; BINS]), 0.0, "nothing was counted");
        // (0.2 - 0.1) ln 2 + (0.05 - 0.1) ln 0.5, twice the latter.
        let shifted = stability_index(&tenths, &[20, 5, 5, 10, 10, 10, 10, 10, 10, 10]);
        assert!((shifted - 0.138_629).abs() < 1e-5, "{shifted}");
        // All in a bin that was empty: (1 - 0.001) ln 1000 + (0.001 - 1) ln 0.001.
        let moved = stability_index(&Spread::default().shares, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 50]);
        assert!((moved - 13.801_7).abs() < 1e-3 && moved < UNREACHABLE_INDEX, "{moved}");
    }

    #[test]
    fn what_cannot_be_bins_is_unsound() {
        let whole = Spread::default();
        let unsorted = Spread { edges: [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], ..whole };
        let endless = Spread { edges: [f32::INFINITY; EDGES], ..whole };
        let (more, less) = (Spread { shares: [0.2; BINS], ..whole }, Spread { shares: [f32::NAN; BINS], ..whole });
        let mut negative = whole;
        (negative.shares[0], negative.shares[1]) = (1.5, -0.5);
        for unsound in [unsorted, endless, more, less, negative] {
            assert!(!unsound.is_sound(), "{unsound:?}");
        }
    }
}
