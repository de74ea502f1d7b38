//! How far harmless traffic that a model has not seen lies from its training data: what `model.drift_alarm` is chosen by.
//!
//! Each source of captures is held against the bins that training without it would have given, flow by flow, as the box holds
//! its traffic against the bins of its model.

use std::fmt::{self, Display, Formatter};

use traffic::features::FEATURES;

use crate::model::{Model, Node};
use crate::recipe::{Recipe, RecipeError};
use crate::rows::Rows;
use crate::spread::{BINS, Spread, bin, stability_index};
use crate::train::{HarmlessEnd, Labelled, harmless_ends};

/// Features that are named.
const NAMED: usize = 3;

/// Captures of one source.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceDrift {
    /// Who published them.
    pub source: String,
    /// Flows that ended.
    pub flows: usize,
    /// The population stability index of each feature that the model asks for, the worst first.
    pub features: Vec<(&'static str, f32)>,
}

/// The sources with so many harmless flows and more, the one that differs most first.
///
/// # Errors
/// The recipe contradicts itself.
pub fn by_source(
    rows: &Rows,
    labelled: &[Labelled<'_>],
    recipe: &Recipe,
    model: &Model,
    least_flows: usize,
) -> Result<Vec<SourceDrift>, RecipeError> {
    let ends = harmless_ends(labelled, recipe)?;
    let source_of = |end: &HarmlessEnd<'_>| rows.captures[end.row.capture].source.as_str();
    let mut sources: Vec<&str> = ends.iter().map(source_of).collect();
    sources.sort_unstable();
    sources.dedup();
    let flows = |source: &str| ends.iter().filter(|end| source_of(end) == source).count();
    let mut drifts: Vec<SourceDrift> = sources
        .into_iter()
        .map(|source| SourceDrift { source: source.to_owned(), flows: flows(source), features: Vec::new() })
        .filter(|drift| drift.flows >= least_flows)
        .collect();
    for feature in asked(model) {
        let value = |end: &HarmlessEnd<'_>| end.row.features[feature];
        let mut sorted: Vec<&HarmlessEnd<'_>> = ends.iter().collect();
        sorted.sort_by(|a, b| value(a).total_cmp(&value(b)));
        for drift in &mut drifts {
            let is_other = |end: &&&HarmlessEnd<'_>| source_of(end) != drift.source;
            let mut others: Vec<_> = sorted.iter().filter(is_other).map(|end| (value(end), end.weight)).collect();
            let spread = Spread::of(&mut others);
            let mut counts = [0; BINS];
            let own = sorted.iter().filter(|end| source_of(end) == drift.source);
            own.for_each(|end| counts[bin(&spread.edges, value(end))] += 1);
            drift.features.push((FEATURES[feature].name, stability_index(&spread.shares, &counts)));
        }
    }
    for drift in &mut drifts {
        drift.features.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    }
    drifts.sort_by(|a, b| b.worst().total_cmp(&a.worst()));
    Ok(drifts)
}

/// The features that its trees compare.
fn asked(model: &Model) -> Vec<usize> {
    let nodes = model.trees.iter().flat_map(|tree| &tree.nodes);
    let mut asked: Vec<usize> = nodes
        .filter_map(|node| match node {
            Node::Split { feature, .. } => Some(*feature),
            Node::Leaf { .. } => None,
        })
        .collect();
    asked.sort_unstable();
    asked.dedup();
    asked
}

impl SourceDrift {
    fn worst(&self) -> f32 {
        self.features.first().map_or(0.0, |(_, index)| *index)
    }
}

impl Display for SourceDrift {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{:6.2}  {:>7} flows  {}:", self.worst(), self.flows, self.source)?;
        self.features.iter().take(NAMED).try_for_each(|(name, index)| write!(f, " {name} {index:.2}"))
    }
}
