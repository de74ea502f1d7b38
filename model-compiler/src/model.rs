//! The model as data, and the plain walk through it: what a compiled model must agree with, bit for bit.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use traffic::features::{FEATURE_COUNT, FeatureVector, ThreatClass};

use crate::forest::{self, Combination, Curve, MAX_CLASSES, MAX_FEATURES, Root, Sums};
use crate::json::CombinationNames;
use crate::spread::Spread;

/// The most comparisons on the way to a leaf. Far more than a model that generalises needs, and few enough that the
/// nested source of [`crate::emit`] is no burden for the Rust compiler.
pub const MAX_DEPTH: usize = 64;

const _: () = assert!(ThreatClass::ALL.len() <= MAX_CLASSES);
const _: () = assert!(FEATURE_COUNT <= MAX_FEATURES);

/// One decision tree or many for the schema of `traffic`, with what is known about their making.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Name of the model and of its folder: small letters, digits, `-` and `_`.
    pub name: String,
    /// The classes that it tells apart, in the order of the leaves' numbers.
    #[serde(with = "class_names")]
    pub classes: Vec<ThreatClass>,
    /// Where the training values of each feature lay, in the order of the schema.
    pub ranges: Vec<Range>,
    /// How the trees make one answer.
    #[serde(with = "CombinationNames")]
    pub combination: Combination,
    /// What the score of each class begins with; all 0 where the trees give distributions.
    pub base: Vec<f32>,
    /// The trees, at least one.
    pub trees: Vec<Tree>,
    /// For each class, from the probability that the trees give it to how often it is that class; empty where that is not known
    /// and the probability stands as it is.
    #[serde(with = "curves")]
    pub calibration: Vec<Curve>,
}

/// Between which values a feature lay in training: outside them a model has nothing to go by. And how it was spread there over
/// harmless traffic.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Range {
    /// The smallest value.
    pub min: f32,
    /// The largest value.
    pub max: f32,
    /// Bins of the values of harmless flows at their ends.
    pub spread: Spread,
}

/// A binary tree of comparisons, from the root at place 0. [`crate::json::read`] lets only such trees in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tree {
    /// Place of the class whose score it adds to, one number at each leaf; none where a leaf has one for each class.
    pub class: Option<usize>,
    /// The nodes; children are named by their place.
    pub nodes: Vec<Node>,
}

/// One place of a tree.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Node {
    /// A comparison: on to `right` where the value is more than the threshold, else to `left`, also for NaN.
    Split {
        /// Place of the feature in the schema.
        feature: usize,
        /// What it is compared with.
        threshold: f32,
        /// Place of the next node where it is not more.
        left: usize,
        /// Place of the next node where it is.
        right: usize,
    },
    /// An end.
    Leaf {
        /// How many training rows ended here.
        rows: u64,
        /// What it gives: how probable each class is, or what is added to scores.
        values: Vec<f32>,
    },
}

/// The answer for one vector.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Answer {
    /// The most probable class.
    pub class: ThreatClass,
    /// How probable it is, after calibration.
    pub confidence: f32,
}

impl Range {
    /// Both ends are numbers, in their order, and the bins are within them.
    #[must_use]
    pub fn is_sound(self) -> bool {
        let within = |edge: &f32| (self.min..=self.max).contains(edge);
        self.min.is_finite() && self.max.is_finite() && self.spread.is_sound() && self.spread.edges.iter().all(within)
    }
}

impl Model {
    /// Walks the trees: what the compiled model gives as well, only slower.
    #[must_use]
    pub fn classify(&self, features: &FeatureVector) -> Answer {
        let best = self.sums(features).best(self.combination, self.classes.len(), self.trees.len());
        let best = best.calibrated(&self.calibration);
        let class = self.classes.get(best.class).copied().unwrap_or(ThreatClass::Benign);
        Answer { class, confidence: best.confidence }
    }

    /// How probable each class is by the trees, before calibration, in the order of [`Self::classes`].
    #[must_use]
    pub fn distribution(&self, features: &FeatureVector) -> Vec<f64> {
        let classes = self.classes.len();
        self.sums(features).distribution(self.combination, classes, self.trees.len())[..classes].to_vec()
    }

    fn sums(&self, features: &FeatureVector) -> Sums {
        let mut sums = Sums::new(&self.base);
        for tree in &self.trees {
            sums.add(tree.class.map(|class| class as u8), tree.leaf_of(features));
        }
        sums
    }

    /// The places in the schema of the features that its trees compare.
    #[must_use]
    pub fn asked(&self) -> BTreeSet<usize> {
        let asked = |node: &Node| if let Node::Split { feature, .. } = node { Some(*feature) } else { None };
        self.trees.iter().flat_map(|tree| &tree.nodes).filter_map(asked).collect()
    }

    /// The number of leaves of all trees.
    #[must_use]
    pub fn leaves(&self) -> usize {
        self.trees.iter().map(Tree::leaves).sum()
    }

    /// The most comparisons on the way to a leaf.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.trees.iter().map(Tree::depth).max().unwrap_or_default()
    }

    /// The tables of [`crate::forest`] for this model.
    #[must_use]
    pub fn tables(&self) -> Tables {
        let mut tables = Tables {
            classes: self.classes.len(),
            combination: self.combination,
            base: self.base.clone(),
            calibration: self.calibration.clone(),
            ..Tables::default()
        };
        self.trees.iter().for_each(|tree| tables.push(tree));
        tables
    }
}

impl Tree {
    /// The numbers of the leaf where the vector ends.
    #[must_use]
    pub fn leaf_of(&self, features: &[f32]) -> &[f32] {
        match &self.nodes[self.place_of_leaf(features)] {
            Node::Leaf { values, .. } => values,
            Node::Split { .. } => &[],
        }
    }

    /// The place of that leaf.
    #[must_use]
    pub fn place_of_leaf(&self, features: &[f32]) -> usize {
        let mut at = 0;
        while let Node::Split { feature, threshold, left, right } = self.nodes[at] {
            at = if features[feature] > threshold { right } else { left };
        }
        at
    }

    /// The number of leaves.
    #[must_use]
    pub fn leaves(&self) -> usize {
        self.nodes.iter().filter(|node| matches!(node, Node::Leaf { .. })).count()
    }

    /// The most comparisons on the way to a leaf.
    #[must_use]
    pub fn depth(&self) -> usize {
        let mut deepest = 0;
        let mut open = vec![(0, 0)];
        while let Some((at, depth)) = open.pop() {
            deepest = deepest.max(depth);
            if let Node::Split { left, right, .. } = self.nodes[at] {
                open.extend([(left, depth + 1), (right, depth + 1)]);
            }
        }
        deepest
    }
}

/// Classes by their names: their numbers may change with the program.
mod class_names {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use traffic::features::ThreatClass;

    pub(super) fn serialize<S: Serializer>(classes: &[ThreatClass], serializer: S) -> Result<S::Ok, S::Error> {
        classes.iter().map(|class| class.name()).collect::<Vec<_>>().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<ThreatClass>, D::Error> {
        let names = Vec::<String>::deserialize(deserializer)?;
        let class =
            |name: &String| ThreatClass::from_name(name).ok_or_else(|| serde::de::Error::custom("unknown class"));
        names.iter().map(class).collect()
    }
}

/// The tables that a [`forest::Forest`] looks into, with their owner.
#[derive(Clone, Debug, PartialEq)]
pub struct Tables {
    /// As in [`forest::Forest`], and so are the others.
    pub classes: usize,
    /// How the trees make one answer.
    pub combination: Combination,
    /// What the scores begin with.
    pub base: Vec<f32>,
    /// The trees.
    pub trees: Vec<Root>,
    /// Their nodes, those of one level after those of the level above.
    pub nodes: Vec<forest::Node>,
    /// Where the numbers of leaves begin.
    pub ends: Vec<u32>,
    /// The numbers of leaves.
    pub values: Vec<f32>,
    /// Training rows of leaves.
    pub rows: Vec<u32>,
    /// From what the trees say to how often it is right.
    pub calibration: Vec<Curve>,
}

impl Default for Tables {
    fn default() -> Self {
        Self {
            classes: 0,
            combination: Combination::Mean,
            base: Vec::new(),
            trees: Vec::new(),
            nodes: Vec::new(),
            ends: Vec::new(),
            values: Vec::new(),
            rows: Vec::new(),
            calibration: Vec::new(),
        }
    }
}

impl Tables {
    /// The tables, ready to be walked.
    #[must_use]
    pub fn forest(&self) -> forest::Forest<'_> {
        forest::Forest {
            classes: self.classes,
            combination: self.combination,
            base: &self.base,
            trees: &self.trees,
            nodes: &self.nodes,
            ends: &self.ends,
            values: &self.values,
            rows: &self.rows,
            calibration: &self.calibration,
        }
    }

    /// The most comparisons that a verdict can take: each tree is walked as far as it is deep.
    #[must_use]
    pub fn most_comparisons(&self) -> u64 {
        self.trees.iter().map(|root| u64::from(root.depth)).sum()
    }

    /// How much of the program they take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of_val(&self.trees[..])
            + size_of_val(&self.nodes[..])
            + size_of_val(&self.ends[..])
            + size_of_val(&self.values[..])
            + size_of_val(&self.rows[..])
            + size_of_val(&self.calibration[..])
    }

    /// Adds a tree, level by level, so that both children of a node stand side by side.
    fn push(&mut self, tree: &Tree) {
        let first = self.nodes.len();
        let class = tree.class.map(|class| class as u8);
        self.trees.push(Root { at: first as u32, depth: tree.depth() as u32, class });
        let mut order = vec![0];
        let mut done = 0;
        while done < order.len() {
            let at = (first + done) as u32;
            match &tree.nodes[order[done]] {
                Node::Split { feature, threshold, left, right } => {
                    let place = (first + order.len()) as u32;
                    order.extend([*left, *right]);
                    self.push_node(forest::Node::split(*feature as u8, *threshold, place), 0, 0);
                }
                Node::Leaf { rows, values } => {
                    let end = self.values.len() as u32;
                    self.values.extend(values);
                    self.push_node(forest::Node::leaf(at), end, u32::try_from(*rows).unwrap_or(u32::MAX));
                }
            }
            done += 1;
        }
    }

    fn push_node(&mut self, node: forest::Node, end: u32, rows: u32) {
        self.nodes.push(node);
        self.ends.push(end);
        self.rows.push(rows);
    }
}

/// Curves as their knots, checked when they are read.
mod curves {
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::{Serialize, Serializer};

    use crate::forest::{Curve, Knot, MAX_KNOTS};

    pub fn serialize<S: Serializer>(curves: &[Curve], serializer: S) -> Result<S::Ok, S::Error> {
        let points = |curve: &Curve| curve.knots().iter().map(|knot| (knot.confidence, knot.frequency)).collect();
        curves.iter().map(points).collect::<Vec<Vec<(f32, f32)>>>().serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Curve>, D::Error> {
        let curve = |points: Vec<(f32, f32)>| {
            let knots: Vec<Knot> =
                points.iter().map(|&(confidence, frequency)| Knot { confidence, frequency }).collect();
            Curve::new(&knots).ok_or_else(|| D::Error::custom(format!("a curve needs up to {MAX_KNOTS} rising knots")))
        };
        Vec::<Vec<(f32, f32)>>::deserialize(deserializer)?.into_iter().map(curve).collect()
    }
}
