//! The best comparison that `grow` finds is worth as much as the one that linfa-trees finds.
//!
//! Only the first comparison of a tree is held against linfa: below it, linfa-trees 0.8.1 takes the neighbours of a value
//! from all rows and not from those of the node, and misses comparisons where values repeat.
#![cfg(feature = "train")]
#![allow(clippy::unwrap_used)]

use linfa::dataset::DatasetBase;
use linfa::traits::Fit;
use linfa_trees::{DecisionTree, SplitQuality};
use model_compiler::grow::{Growth, Sample, grow};
use model_compiler::model::Node;
use model_compiler::recipe::Use;
use ndarray::{Array1, Array2};
use proptest::prelude::*;

const FEATURES: usize = 4;
const CLASSES: usize = 3;

/// A row: its features, its class, and its weight, a whole number so that sums are exact in linfa's `f32` too.
type Row = ([u8; FEATURES], usize, u8);

fn linfas_gain(rows: &[Row]) -> f64 {
    let values = rows.iter().flat_map(|row| row.0).map(f64::from).collect();
    let records = Array2::from_shape_vec((rows.len(), FEATURES), values).unwrap();
    let targets: Array1<usize> = rows.iter().map(|row| row.1).collect();
    let weights: Array1<f32> = rows.iter().map(|row| f32::from(row.2)).collect();
    let stump = DecisionTree::params()
        .split_quality(SplitQuality::Gini)
        .max_depth(Some(1))
        .min_weight_leaf(1.0)
        .min_impurity_decrease(1e-6)
        .fit(&DatasetBase::new(records, targets).with_weights(weights))
        .unwrap();
    stump.root_node().split().2
}

fn our_gain(rows: &[Row]) -> f64 {
    let vectors: Vec<[f32; FEATURES]> = rows.iter().map(|row| row.0.map(f32::from)).collect();
    let samples: Vec<Sample<'_>> = vectors
        .iter()
        .zip(rows)
        .map(|(features, row)| Sample { features, class: row.1, weight: f64::from(row.2) })
        .collect();
    let growth = Growth {
        ccp_alpha: 0.0,
        classes: CLASSES,
        uses: vec![Use::Free; FEATURES],
        ask_first: Vec::new(),
        max_depth: 1,
        min_leaf_share: 0.0,
        min_gain: 1e-6,
    };
    let tree = grow(&samples, &growth, &|_| Node::Leaf { rows: 0, values: Vec::new() }).unwrap();
    let Node::Split { feature, threshold, .. } = tree.nodes[0] else { return 0.0 };
    let mut sides = [[0.0; CLASSES]; 2];
    for sample in &samples {
        sides[usize::from(sample.features[feature] > threshold)][sample.class] += sample.weight;
    }
    let whole: Vec<f64> = (0..CLASSES).map(|class| sides[0][class] + sides[1][class]).collect();
    (impurity(&whole) - impurity(&sides[0]) - impurity(&sides[1])) / whole.iter().sum::<f64>()
}

/// Gini impurity times weight.
fn impurity(weights: &[f64]) -> f64 {
    let total: f64 = weights.iter().sum();
    if total > 0.0 { total - weights.iter().map(|weight| weight * weight).sum::<f64>() / total } else { 0.0 }
}

proptest! {
    #[test]
    fn the_best_comparison_is_worth_as_much_as_that_of_linfa(
        rows in prop::collection::vec((prop::array::uniform4(0_u8..5), 0..CLASSES, 1_u8..4), 2..80),
    ) {
        let (ours, theirs) = (our_gain(&rows), linfas_gain(&rows));
        prop_assert!((ours - theirs).abs() < 2e-6, "ours {ours}, linfa's {theirs}");
    }
}
