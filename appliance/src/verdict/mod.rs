//! Verdict: what a feature vector looks like, by the model that was compiled in and by the rules of the configuration.
//!
//! [`judge`] runs on the packet path: comparisons of numbers and nothing else. [`explain`] runs for alerts only: it walks
//! the same tree as data and tells the way in words.

mod explain;
mod flow_verdicts;
pub mod rules;

pub use explain::explain;
pub use flow_verdicts::{FlowVerdict, FlowVerdicts};

use rules::Rule;
use traffic::features::{FEATURE_COUNT, FeatureVector, SCHEMA_HASH, ThreatClass};

/// What a vector looks like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// The class.
    pub class: ThreatClass,
    /// How probable the class is in training data that looked like this, 0 to 1.
    pub confidence: f32,
}

/// What a verdict rests on; its reason is told from it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Basis {
    /// The model.
    Model,
    /// A rule of the configuration.
    Rule(Rule),
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

/// What the model and the rules say together: of all that call it an attack, the most confident one; of equally confident
/// ones the model, then the rule that was written first.
#[must_use]
pub fn judge_beside(rules: &[Rule], features: &FeatureVector) -> (Verdict, Basis) {
    let mut worst = (judge(features), Basis::Model);
    for rule in rules {
        let is_worse = worst.0.class == ThreatClass::Benign || rule.verdict.confidence > worst.0.confidence;
        if is_worse && rule.holds(features) {
            worst = (rule.verdict, Basis::Rule(*rule));
        }
    }
    worst
}
