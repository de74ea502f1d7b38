//! `classify` as nested ifs: of a single tree in one function, of several in one function for each.

use core::fmt::{self, Write};

use traffic::features::FEATURES;

use super::{bits, signature};
use crate::forest::{Combination, Sums};
use crate::model::{Model, Node, Tree};

/// Writes `classify` and what it calls.
pub(super) fn classify(out: &mut String, model: &Model) -> fmt::Result {
    match &model.trees[..] {
        [tree] if tree.class.is_none() => {
            signature(out)?;
            branch(out, tree, 0, 1, &|values| answer(model, values))?;
            writeln!(out, "}}")
        }
        trees => sum_of(out, trees),
    }
}

/// The answer at a leaf of a single tree is known beforehand.
fn answer(model: &Model, values: &[f32]) -> String {
    let mut sums = Sums::new(&model.base);
    sums.add(None, values);
    let best = sums.best(Combination::Mean, model.classes.len(), 1).calibrated(&model.calibration);
    let class = model.classes[best.class];
    format!(
        "Leaf {{ class: ThreatClass::{class:?}, confidence: {} /* {:?} */ }}",
        bits(best.confidence),
        best.confidence
    )
}

fn sum_of(out: &mut String, trees: &[Tree]) -> fmt::Result {
    signature(out)?;
    writeln!(out, "    let mut sums = forest::Sums::new(FOREST.base);")?;
    for (at, tree) in trees.iter().enumerate() {
        writeln!(out, "    sums.add({:?}, tree_{at}(features));", tree.class)?;
    }
    writeln!(out, "    let best = sums.best(FOREST.combination, FOREST.classes, FOREST.trees.len());")?;
    writeln!(out, "    let best = best.calibrated(FOREST.calibration);")?;
    writeln!(out, "    Leaf {{ class: CLASSES[best.class], confidence: best.confidence }}")?;
    writeln!(out, "}}")?;
    for (at, tree) in trees.iter().enumerate() {
        writeln!(out, "\n#[allow(clippy::all, clippy::pedantic, unused_variables)]")?;
        writeln!(out, "fn tree_{at}(features: &FeatureVector) -> &'static [f32] {{")?;
        branch(out, tree, 0, 1, &values_at_leaf)?;
        writeln!(out, "}}")?;
    }
    Ok(())
}

fn values_at_leaf(values: &[f32]) -> String {
    let values: Vec<String> = values.iter().map(|value| bits(*value)).collect();
    format!("&const {{ [{}] }}", values.join(", "))
}

/// The node at `at` as an expression, and all below it. As deep as the tree: `model::MAX_DEPTH` at most.
fn branch(out: &mut String, tree: &Tree, at: usize, depth: usize, leaf: &dyn Fn(&[f32]) -> String) -> fmt::Result {
    let indent = "    ".repeat(depth);
    match &tree.nodes[at] {
        Node::Leaf { values, .. } => writeln!(out, "{indent}{}", leaf(values)),
        Node::Split { feature, threshold, left, right } => {
            let name = FEATURES[*feature].name;
            writeln!(out, "{indent}if features[{feature}] > {} {{ // {name} > {threshold:?}", bits(*threshold))?;
            branch(out, tree, *right, depth + 1, leaf)?;
            writeln!(out, "{indent}}} else {{")?;
            branch(out, tree, *left, depth + 1, leaf)?;
            writeln!(out, "{indent}}}")
        }
    }
}
