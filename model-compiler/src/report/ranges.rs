//! Between which values features lie, by class.

use std::collections::BTreeMap;

use crate::shares::quantile;
use crate::train::Labelled;

/// The most rows of one class that one capture gives.
const ROWS_PER_CAPTURE: usize = 200;

/// The shares below the quantiles.
const QUANTILES: [f64; 5] = [0.05, 0.25, 0.5, 0.75, 0.95];

/// Rows of each class, the same number at most of each capture.
pub(super) fn samples<'a>(labelled: &[Labelled<'a>], classes: usize) -> Vec<Vec<Labelled<'a>>> {
    let mut groups: BTreeMap<(usize, usize), Vec<&Labelled<'a>>> = BTreeMap::new();
    for case in labelled {
        groups.entry((case.class, case.row.capture)).or_default().push(case);
    }
    let mut samples = vec![Vec::new(); classes];
    for ((class, _), rows) in groups {
        samples[class].extend(rows.iter().step_by(rows.len().div_ceil(ROWS_PER_CAPTURE)).map(|case| **case));
    }
    samples
}

/// The quantiles of a feature; none without rows.
pub(super) fn quantiles(rows: &[Labelled<'_>], feature: usize) -> Option<[f32; 5]> {
    let mut values: Vec<f32> = rows.iter().map(|case| case.row.features[feature]).collect();
    values.sort_unstable_by(f32::total_cmp);
    let [p5, p25, p50, p75, p95] = QUANTILES.map(|share| quantile(&values, share));
    Some([p5?, p25?, p50?, p75?, p95?])
}
