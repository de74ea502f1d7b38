//! How far harmless traffic that a model has not seen lies from its training data: what `model.drift_alarm` is chosen by.
//!
//! Each source of captures is held against the bins that training without it would have given, flow by flow, as the box holds
//! its traffic against the bins of its model. All harmless flows count here; the box leaves out those that it takes for an attack,
//! and most of many in a second.

use std::fmt::{self, Display, Formatter};

use traffic::features::FEATURES;

use crate::model::Model;
use crate::ranges::HarmlessEnd;
use crate::recipe::{Recipe, RecipeError};
use crate::rows::Rows;
use crate::spread::{BINS, Spread, bin, stability_index};
use crate::train::{Labelled, harmless_ends};

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
    for feature in model.asked() {
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

#[cfg(test)]
mod tests {
    use traffic::features::schema::index_of;
    use traffic::features::{FEATURE_COUNT, ThreatClass};

    use super::*;
    use crate::forest::Combination;
    use crate::model::{Node, Tree};
    use crate::rows::{Capture, Row};
    use crate::small::recipe_text;
    use crate::train::labelled;

    fn recipe() -> Recipe {
        let classes = [("benign", r#"["b"]"#, 1.0), ("scan", r#"["s"]"#, 1.0)];
        let tree = "max_depth = 3\nmin_leaf_share = 0\nmin_gain = 0\nsmoothing = 1";
        // Each flow counts once.
        toml::from_str(&recipe_text(&classes, tree).replace("capture_exponent = 0.5", "capture_exponent = 1")).unwrap()
    }

    /// Three sources of ten harmless flows: two with 0 to 9 ports, one with 100. Before its end each flow has another number of
    /// them, and with each comes a scan.
    fn rows() -> Rows {
        let ports = index_of("src_ports_60s").unwrap();
        let mut rows = Rows::default();
        let labels = ["b", "s"].map(|label| rows.label(label));
        for (capture, source) in ["few", "many", "some"].into_iter().enumerate() {
            rows.captures.push(Capture { name: source.to_owned(), source: source.to_owned() });
            for flow in 0..10_u8 {
                let end = if source == "many" { 100.0 } else { f32::from(flow) };
                for (flow, label, value) in [(flow, 0, 50.0), (flow, 0, end), (100 + flow, 1, 1000.0)] {
                    let mut features = [f32::from(flow) * 1e3; FEATURE_COUNT];
                    features[ports] = value;
                    let flow = u64::from(flow);
                    rows.rows.push(Row { capture, label: labels[label], initiator: 0, flow, packets: 1, features });
                }
            }
        }
        rows
    }

    /// Compares nothing but ports.
    fn model() -> Model {
        let leaf = |values| Node::Leaf { rows: 1, values };
        let split = Node::Split { feature: index_of("src_ports_60s").unwrap(), threshold: 20.0, left: 1, right: 2 };
        Model {
            name: "test".to_owned(),
            classes: vec![ThreatClass::Benign, ThreatClass::Scan],
            ranges: Vec::new(),
            combination: Combination::Mean,
            base: vec![0.0; 2],
            trees: vec![Tree { class: None, nodes: vec![split, leaf(vec![1.0, 0.0]), leaf(vec![0.0, 1.0])] }],
            calibration: Vec::new(),
        }
    }

    fn measured(least_flows: usize) -> Vec<SourceDrift> {
        let (rows, recipe): (_, Recipe) = (rows(), recipe());
        let labelled = labelled(&rows, &recipe).unwrap();
        by_source(&rows, &labelled, &recipe, &model(), least_flows).unwrap()
    }

    #[test]
    fn each_source_is_held_against_the_bins_of_the_others() {
        let measured = measured(10);
        let told: Vec<_> = measured.iter().map(|of| (of.source.as_str(), of.flows, of.features.len())).collect();
        assert_eq!(told, [("many", 10, 1), ("few", 10, 1), ("some", 10, 1)]);
        // Of the others a tenth to a bin up to 8, and all of its own in the last one: 0.9 ln 10 + 9 * 0.099 ln 100.
        let many = 0.9 * 10.0_f32.ln() + 9.0 * 0.099 * 100.0_f32.ln();
        // Of the others two tenths at 0 and 1, 2 and 3 and so on, which are half of the weight, in bins of one tenth each; the other
        // half at 100, in one bin, where it has none: 5 * 0.1 ln 2 + 0.499 ln 500.
        let few = 0.5 * 2.0_f32.ln() + 0.499 * 500.0_f32.ln();
        for (of, expected) in measured.iter().zip([many, few, few]) {
            let [("src_ports_60s", index)] = of.features[..] else { panic!("{of:?}") };
            assert!((index - expected).abs() < 1e-4, "{of}, not {expected}");
        }
        assert_eq!(measured[0].to_string(), "  6.18       10 flows  many: src_ports_60s 6.18");
    }

    #[test]
    fn sources_with_too_few_flows_are_left_out() {
        assert_eq!(measured(11), []);
    }
}
