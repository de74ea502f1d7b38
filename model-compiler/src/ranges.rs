//! Between which values features lay in training, and how they were spread over the ends of harmless flows.

use std::collections::BTreeMap;

use traffic::features::{FEATURE_COUNT, FeatureVector};

use crate::model::Range;
use crate::rows::Row;
use crate::spread::Spread;

/// The end of a harmless flow.
#[derive(Clone, Copy, Debug)]
pub struct HarmlessEnd<'a> {
    /// Its last row.
    pub row: &'a Row,
    /// What it weighs among the others.
    pub weight: f64,
}

/// The ends of all flows of rows that are harmless. Each comes with how many captures its capture stands for; one with `n` flows
/// weighs `n` to the power of `exponent`.
#[must_use]
pub fn ends<'a>(harmless: impl Iterator<Item = (&'a Row, f64)>, exponent: f64) -> Vec<HarmlessEnd<'a>> {
    // Of the rows of a flow the last one stays.
    let ends: BTreeMap<_, _> = harmless.map(|(row, emphasis)| ((row.capture, row.flow), (row, emphasis))).collect();
    let mut flows: BTreeMap<usize, f64> = BTreeMap::new();
    ends.keys().for_each(|(capture, _)| *flows.entry(*capture).or_default() += 1.0);
    let end = |(row, emphasis): (&'a Row, f64)| {
        let count = flows[&row.capture];
        HarmlessEnd { row, weight: count.powf(exponent) / count * emphasis }
    };
    ends.into_values().map(end).collect()
}

/// The ranges of all features over vectors and ends, and their spread over the ends.
#[must_use]
pub fn ranges<'a>(vectors: impl Iterator<Item = &'a FeatureVector>, ends: &[HarmlessEnd<'_>]) -> Vec<Range> {
    let column = |at: usize| ends.iter().map(|end| (end.row.features[at], end.weight)).collect::<Vec<_>>();
    let of_ends = |at: usize| {
        let spread = Spread::of(&mut column(at));
        // Vectors are some of the rows, where captures are thinned out.
        let [min, .., max] = spread.edges;
        Range { min, max, spread }
    };
    let mut ranges: Vec<Range> = (0..FEATURE_COUNT).map(of_ends).collect();
    for features in vectors {
        for (range, &value) in ranges.iter_mut().zip(features) {
            (range.min, range.max) = (range.min.min(value), range.max.max(value));
        }
    }
    ranges
}
