//! The model as data, and the walk through it: what a compiled model must agree with.

use traffic::features::{FeatureVector, ThreatClass};

/// The most comparisons on the way to a leaf. Far more than a model that generalises needs, and few enough that the
/// nested source of [`crate::emit`] is no burden for the Rust compiler.
pub const MAX_DEPTH: usize = 32;

/// A decision tree for the schema of `traffic`, with what is known about its making.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// Name of the model and of its folder: small letters, digits, `-` and `_`.
    pub name: String,
    /// The classes that it tells apart, in the order of the leaves' probabilities.
    pub classes: Vec<ThreatClass>,
    /// The smallest and the largest training value of each feature, in the order of the schema.
    pub ranges: Vec<Range>,
    /// The tree.
    pub tree: Tree,
}

/// Between which values a feature lay in training: outside them a model has nothing to go by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// The smallest value.
    pub min: f32,
    /// The largest value.
    pub max: f32,
}

/// A binary tree of comparisons, from the root at place 0. [`crate::json::read`] lets only such trees in.
#[derive(Clone, Debug, PartialEq)]
pub struct Tree {
    /// The nodes; children are named by their place.
    pub nodes: Vec<Node>,
}

/// One place of a tree.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// A comparison: on to `left` where the value is at most the threshold, else to `right`, also for NaN.
    Split {
        /// Place of the feature in the schema.
        feature: usize,
        /// What it is compared with.
        threshold: f32,
        /// Place of the next node where the comparison holds.
        left: usize,
        /// Place of the next node otherwise.
        right: usize,
    },
    /// An end.
    Leaf {
        /// How many training rows ended here.
        rows: u64,
        /// How probable each class of the model is here.
        probabilities: Vec<f32>,
    },
}

/// The answer for one vector.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Answer {
    /// The most probable class.
    pub class: ThreatClass,
    /// Its probability.
    pub confidence: f32,
}

impl Range {
    /// Both ends are numbers, in their order.
    #[must_use]
    pub fn is_sound(self) -> bool {
        self.min.is_finite() && self.max.is_finite() && self.min <= self.max
    }
}

impl Model {
    /// Walks the tree: what the compiled model gives as well, only slower.
    #[must_use]
    pub fn classify(&self, features: &FeatureVector) -> Answer {
        self.answer(self.tree.leaf_of(features))
    }

    /// The most probable class among a leaf's probabilities; of equals, the one with the lower class number.
    #[must_use]
    pub fn answer(&self, probabilities: &[f32]) -> Answer {
        let mut best = Answer { class: ThreatClass::Benign, confidence: f32::NEG_INFINITY };
        for (&class, &confidence) in self.classes.iter().zip(probabilities) {
            if confidence > best.confidence || (confidence == best.confidence && class < best.class) {
                best = Answer { class, confidence };
            }
        }
        best
    }
}

impl Tree {
    /// The probabilities of the leaf where the vector ends.
    #[must_use]
    pub fn leaf_of(&self, features: &FeatureVector) -> &[f32] {
        let mut at = 0;
        loop {
            match &self.nodes[at] {
                Node::Leaf { probabilities, .. } => return probabilities,
                Node::Split { feature, threshold, left, right } => {
                    at = if features[*feature] <= *threshold { *left } else { *right };
                }
            }
        }
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
