//! Verdict: what a feature vector looks like, by the model in force and by the rules and lists of the configuration; and what
//! another model would have said ([`Shadowing`]), and how unlike the training data the traffic is ([`Drift`]).
//!
//! [`judge`] runs on the packet path: comparisons of numbers and nothing else. [`explain`] runs for alerts only: it walks
//! the same trees as tables and tells in words what counted.

mod drift;
mod explain;
mod flow_verdicts;
mod in_words;
pub mod lists;
mod model;
pub mod rules;
mod shadow;

pub use drift::{Drift, Drifted, FeatureDrift, LEAST_FLOWS};
pub use explain::{Part, behaviour, explain, parts_of};
pub use flow_verdicts::{FlowVerdict, FlowVerdicts, Origin};
pub use in_words::{bound_in_words, in_words};
pub use model::{BUILT_IN, Model, Models};
pub use shadow::{Disagreement, Shadowing};

use core::net::IpAddr;
use std::sync::Arc;

use lists::{AskedName, List, Suffixes};
use rules::{Name, Rule};
use traffic::decode::dns::Question;
use traffic::features::{FeatureVector, ThreatClass};

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
    /// A model.
    Model(&'static Model),
    /// A rule of the configuration.
    Rule(Rule),
    /// A list of the configuration, which the offender is on.
    List {
        /// The list.
        name: Name,
        /// The offender began the flow; else somebody began it towards the offender.
        began: bool,
    },
    /// A list of the configuration that holds the domain of a name that the offender asked for.
    Domain {
        /// The list.
        list: Name,
        /// The name.
        asked: AskedName,
    },
}

impl Basis {
    /// A person wrote that one such flow is enough for a block.
    #[must_use]
    pub const fn suffices(&self) -> bool {
        matches!(self, Self::Rule(rule) if rule.at_once)
    }
}

/// What is judged by beside the model.
#[derive(Clone, Debug, Default)]
pub struct Rulebook {
    /// Rules on features.
    pub rules: Vec<Rule>,
    /// Lists of addresses and domains, the first one first.
    pub lists: Vec<Arc<List>>,
}

/// What the model and the rule that accuses say together: of those that call it an attack, the rule where one flow is enough for it,
/// else the more confident one; of equally confident ones the model. Of classes that are not heard yet the model says nothing.
#[must_use]
pub fn judge(
    model: &'static Model,
    rule: Option<&Rule>,
    features: &FeatureVector,
    hears: impl Fn(ThreatClass) -> bool,
) -> (Verdict, Basis) {
    let judged = model.judge(features);
    let judged = if hears(judged.class) { judged } else { Verdict { class: ThreatClass::Benign, confidence: 0.0 } };
    match rule.filter(|rule| rule.at_once || rule.verdict.is_worse_than(judged)) {
        Some(rule) => (rule.verdict, Basis::Rule(*rule)),
        None => (judged, Basis::Model(model)),
    }
}

impl Verdict {
    /// It is an attack, and the other is none or a less confident one.
    #[must_use]
    pub fn is_worse_than(self, other: Self) -> bool {
        let is_surer = other.class == ThreatClass::Benign || self.confidence > other.confidence;
        self.class != ThreatClass::Benign && is_surer
    }
}

impl Rulebook {
    /// Of the rules that hold and whose class is heard, one for which one flow is enough, else the most confident one; of equals
    /// the first.
    #[must_use]
    pub fn accusing(&self, features: &FeatureVector, hears: impl Fn(ThreatClass) -> bool) -> Option<&Rule> {
        let weight = |rule: &Rule| (rule.at_once, rule.verdict.confidence);
        let mut worst: Option<&Rule> = None;
        for rule in &self.rules {
            let is_more = worst.is_none_or(|worst| weight(rule) > weight(worst));
            if is_more && !rule.excuses() && hears(rule.verdict.class) && rule.holds(features) {
                worst = Some(rule);
            }
        }
        worst
    }

    /// A rule excuses the flow: the model is not to call it a scan or a flood.
    #[must_use]
    pub fn excuses(&self, features: &FeatureVector) -> bool {
        self.rules.iter().any(|rule| rule.excuses() && rule.holds(features))
    }

    /// The first list that one side of a flow is on; where both sides are on it, the one that began the flow is meant.
    pub(crate) fn listed(&self, initiator: IpAddr, responder: IpAddr) -> Option<(&List, bool)> {
        self.lists.iter().find_map(|list| {
            let began = list.holds(initiator);
            (began || list.holds(responder)).then_some((&**list, began))
        })
    }

    /// It makes a difference which names are asked for.
    pub(crate) fn has_domains(&self) -> bool {
        self.lists.iter().any(|list| list.has_domains())
    }

    /// The first list with the name that a question asks for, or with a domain above it.
    pub(crate) fn listed_name(&self, question: Question<'_>) -> Option<(&List, AskedName)> {
        let suffixes = Suffixes::of(question);
        let (list, labels) = self.lists.iter().find_map(|list| Some((list, list.find(&suffixes)?)))?;
        Some((list, AskedName::new(question, labels)))
    }
}
