//! Verdict: what a feature vector looks like, by the model that was compiled in.
//!
//! [`judge`] runs on the packet path: comparisons of numbers and nothing else. [`explain`] runs for alerts only: it walks
//! the same tree as data and tells the way in words.

mod explain;
mod flow_verdicts;

pub use explain::explain;
pub use flow_verdicts::{FlowVerdict, FlowVerdicts};

use traffic::features::{FEATURE_COUNT, FeatureVector, SCHEMA_HASH, ThreatClass};

/// What a vector looks like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// The class.
    pub class: ThreatClass,
    /// How probable the class is in training data that looked like this, 0 to 1.
    pub confidence: f32,
}

/// The answer at a leaf of the tree.
type Leaf = Verdict;

/// One place of the tree.
#[derive(Clone, Copy, Debug)]
enum Node {
    /// Goes left where the feature is at most the threshold, else right.
    Split { feature: u16, threshold: f32, left: u32, right: u32 },
    /// The answer.
    Leaf(Leaf),
}

mod model {
    use super::{FeatureVector, Leaf, Node, ThreatClass};

    include!(concat!(env!("OUT_DIR"), "/model.rs"));
}

pub use model::MODEL_NAME;

const _: () = assert!(model::MODEL_SCHEMA_HASH == SCHEMA_HASH, "the model was made for another feature schema");
const _: () = assert!(FEATURE_COUNT <= u16::MAX as usize);

/// What the model says.
#[must_use]
pub fn judge(features: &FeatureVector) -> Verdict {
    model::classify(features)
}
