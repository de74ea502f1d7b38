//! The model in force: the one that was compiled in, or one that was read from a file while the program runs.
//!
//! Both are walked as the same tables and give the same answers; the compiled one is asked as machine code, which is faster.

use std::fmt::{self, Debug, Formatter};

use model_compiler::forest::Forest;
use model_compiler::model::{Model as ModelFile, Tables};
use model_compiler::spread::{BINS, EDGES};
use traffic::features::{FeatureVector, SCHEMA_HASH, ThreatClass};

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
    compiled: Option<fn(&FeatureVector) -> Verdict>,
}

impl Model {
    /// A model from a file, under this name. Its memory is never given back: what was decided by it goes through queues that point to it, and
    /// the packet thread must not free anything. A person loads few models between two starts.
    #[must_use]
    pub fn load(name: String, file: &ModelFile) -> &'static Self {
        let tables: &'static Tables = Box::leak(Box::new(file.tables()));
        let ranges: Vec<_> = file.ranges.iter().map(|range| (range.min, range.max)).collect();
        let spreads: Vec<_> = file.ranges.iter().map(|range| (range.spread.edges, range.spread.shares)).collect();
        Box::leak(Box::new(Self {
            name: name.leak(),
            classes: file.classes.clone().leak(),
            forest: Box::leak(Box::new(tables.forest())),
            ranges: ranges.leak(),
            spreads: spreads.leak(),
            compiled: None,
        }))
    }

    /// Its trees compare this feature somewhere.
    #[must_use]
    pub fn asks(&self, feature: usize) -> bool {
        self.forest.nodes.iter().any(|node| !node.is_leaf() && node.feature() == feature)
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
    use proptest::prelude::*;
    use traffic::features::FEATURE_COUNT;

    use super::*;

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
