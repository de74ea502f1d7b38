//! The model in force: the one that was compiled in, or one that was read from a file while the program runs.
//!
//! Both are walked as the same tables and give the same answers; the compiled one is asked as machine code, which is faster.

use std::fmt::{self, Debug, Formatter};

use model_compiler::forest::Forest;
use model_compiler::model::{Model as ModelFile, Tables};
use model_compiler::spread::{BINS, EDGES};
use traffic::features::{FEATURE_COUNT, FeatureVector, SCHEMA_HASH, ThreatClass};

use super::Verdict;

mod compiled {
    use model_compiler::forest;
    use traffic::features::{FeatureVector, ThreatClass};

    use super::Verdict as Leaf;

    include!(concat!(env!("OUT_DIR"), "/model.rs"));
}

const _: () = assert!(compiled::MODEL_SCHEMA_HASH == SCHEMA_HASH, "the model was made for another feature schema");

/// The model that was compiled in.
pub static BUILT_IN: Model = Model {
    name: compiled::MODEL_NAME,
    classes: &compiled::CLASSES,
    forest: &compiled::FOREST,
    ranges: &compiled::TRAINED_RANGES,
    spreads: &compiled::TRAINED_SPREADS,
    asked: asked(&compiled::FOREST),
    compiled: Some(compiled::classify),
};

/// A model that can be asked.
pub struct Model {
    /// Its name; where it came from a sealed file, with its version.
    pub name: &'static str,
    /// The classes that it tells apart, in the order of the numbers at its leaves.
    pub classes: &'static [ThreatClass],
    /// Its trees.
    pub forest: &'static Forest<'static>,
    /// The smallest and the largest value of each feature in training, in the order of the schema.
    pub ranges: &'static [(f32, f32)],
    /// Where the bins of each feature's harmless values end, and what share each held in training.
    pub spreads: &'static [([f32; EDGES], [f32; BINS])],
    /// Which features its trees compare somewhere, in the order of the schema.
    asked: [bool; FEATURE_COUNT],
    compiled: Option<fn(&FeatureVector) -> Verdict>,
}

impl Model {
    /// How much memory a model from a file takes once it is loaded, in bytes.
    #[must_use]
    pub fn bytes_of(file: &ModelFile) -> usize {
        let of_feature = size_of::<(f32, f32)>() + size_of::<([f32; EDGES], [f32; BINS])>();
        file.tables().bytes() + file.ranges.len() * of_feature
    }

    /// A model from a file, under this name. Its memory is never given back: what was decided by it goes through queues that point to it, and
    /// the packet thread must not free anything. A person loads few models between two starts.
    #[must_use]
    pub fn load(name: String, file: &ModelFile) -> &'static Self {
        let mut tables = file.tables();
        let Tables { trees, nodes, ends, values, rows, .. } = &mut tables;
        // It stays for ever: no more is kept than it needs.
        trees.shrink_to_fit();
        nodes.shrink_to_fit();
        values.shrink_to_fit();
        for numbers in [ends, rows] {
            numbers.shrink_to_fit();
        }
        let tables: &'static Tables = Box::leak(Box::new(tables));
        let ranges: Vec<_> = file.ranges.iter().map(|range| (range.min, range.max)).collect();
        let spreads: Vec<_> = file.ranges.iter().map(|range| (range.spread.edges, range.spread.shares)).collect();
        let forest = tables.forest();
        Box::leak(Box::new(Self {
            name: name.leak(),
            classes: file.classes.clone().leak(),
            asked: asked(&forest),
            forest: Box::leak(Box::new(forest)),
            ranges: ranges.leak(),
            spreads: spreads.leak(),
            compiled: None,
        }))
    }

    /// Its trees compare this feature somewhere.
    #[must_use]
    pub fn asks(&self, feature: usize) -> bool {
        self.asked.get(feature).is_some_and(|asked| *asked)
    }

    /// What it says of a vector.
    #[must_use]
    pub fn judge(&self, features: &FeatureVector) -> Verdict {
        match self.compiled {
            Some(classify) => classify(features),
            None => self.walk(features),
        }
    }

    /// The same by its tables.
    fn walk(&self, features: &FeatureVector) -> Verdict {
        let best = self.forest.best(features);
        let class = self.classes.get(best.class).copied().unwrap_or(ThreatClass::Benign);
        Verdict { class, confidence: best.confidence }
    }
}

/// Which features the trees compare somewhere.
const fn asked(forest: &Forest<'_>) -> [bool; FEATURE_COUNT] {
    let mut asked = [false; FEATURE_COUNT];
    let mut at = 0;
    while at < forest.nodes.len() {
        let node = forest.nodes[at];
        if !node.is_leaf() && node.feature() < FEATURE_COUNT {
            asked[node.feature()] = true;
        }
        at += 1;
    }
    asked
}

/// The models in force.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Models {
    /// The one that decides.
    pub active: &'static Model,
    /// One that judges beside it, and decides nothing.
    pub shadow: Option<&'static Model>,
}

impl Models {
    /// The model of that name, where it is one of those that judge or was compiled in.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&'static Model> {
        [Some(self.active), self.shadow, Some(&BUILT_IN)].into_iter().flatten().find(|model| model.name == name)
    }
}

impl Default for Models {
    /// The one that was compiled in decides alone.
    fn default() -> Self {
        Self { active: &BUILT_IN, shadow: None }
    }
}

/// Its name alone: the tables are long.
impl Debug for Model {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Each model is in memory once.
impl PartialEq for Model {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

#[cfg(test)]
mod tests {
    use model_compiler::model::Node;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_model_asks_for_what_its_trees_compare_and_for_nothing_else() {
        let mut file = model_compiler::json::read(include_str!("../../../models/forest/model.json")).unwrap();
        let whole = Model::load(String::from("whole"), &file);
        assert_eq!(whole.asked, BUILT_IN.asked);
        let compared = |file: &ModelFile| -> Vec<usize> {
            let nodes = file.trees.iter().flat_map(|tree| &tree.nodes);
            let mut features: Vec<_> = nodes
                .filter_map(|node| match node {
                    Node::Split { feature, .. } => Some(*feature),
                    Node::Leaf { .. } => None,
                })
                .collect();
            features.sort_unstable();
            features.dedup();
            features
        };
        file.trees.truncate(1);
        let first = Model::load(String::from("first"), &file);
        let asked: Vec<_> = (0..=FEATURE_COUNT).filter(|feature| first.asks(*feature)).collect();
        assert_eq!(asked, compared(&file));
        assert!(asked.len() < whole.asked.iter().filter(|asked| **asked).count(), "one tree asks for less than all do");
    }

    proptest! {
        #[test]
        fn the_built_in_model_as_a_file_answers_as_it_does_compiled(
            values in proptest::collection::vec(prop_oneof![Just(0.0_f32), 0.0_f32..2.0, 0.0_f32..3000.0], FEATURE_COUNT)
        ) {
            let features: FeatureVector = values.try_into().expect("as many as features");
            prop_assert_eq!(BUILT_IN.judge(&features), BUILT_IN.walk(&features));
        }
    }
}
