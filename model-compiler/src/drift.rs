//! How far harmless traffic that a model has not seen lies from its training data: what `model.drift_alarm` is chosen by.
//!
//! Each source of captures is held against the bins that training without it would have given, flow by flow, as the box holds
//! its traffic against the bins of its model, and against the smallest and the largest value of the others. All harmless flows
//! count here; the box leaves out those that it takes for an attack, and most of many in a second.

use std::collections::BTreeMap;
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
    /// Each feature that the model asks for, the one with the highest index first.
    pub features: Vec<FeatureOfSource>,
}

/// How far one feature of a source lies from the others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FeatureOfSource {
    /// Its name.
    pub name: &'static str,
    /// The population stability index.
    pub index: f32,
    /// The share of its values, 0 to 1, that no row of another source reaches.
    pub outside: f32,
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
        let limits = Limits::of(rows, labelled, feature);
        for drift in &mut drifts {
            let is_other = |end: &&&HarmlessEnd<'_>| source_of(end) != drift.source;
            let mut others: Vec<_> = sorted.iter().filter(is_other).map(|end| (value(end), end.weight)).collect();
            let spread = Spread::of(&mut others);
            let (min, max) = limits.of_all_but(&drift.source);
            let (mut counts, mut outside) = ([0; BINS], 0);
            for end in sorted.iter().filter(|end| source_of(end) == drift.source) {
                counts[bin(&spread.edges, value(end))] += 1;
                outside += u32::from(value(end) < min || value(end) > max);
            }
            drift.features.push(FeatureOfSource {
                name: FEATURES[feature].name,
                index: stability_index(&spread.shares, &counts),
                outside: outside as f32 / drift.flows as f32,
            });
        }
    }
    for drift in &mut drifts {
        drift.features.sort_by(|a, b| b.index.total_cmp(&a.index));
    }
    drifts.sort_by(|a, b| b.worst().total_cmp(&a.worst()));
    Ok(drifts)
}

/// The smallest and the largest value of a feature in the rows of each source.
struct Limits<'a>(BTreeMap<&'a str, (f32, f32)>);

impl<'a> Limits<'a> {
    fn of(rows: &'a Rows, labelled: &[Labelled<'_>], feature: usize) -> Self {
        let mut limits = BTreeMap::new();
        for Labelled { row, .. } in labelled {
            let value = row.features[feature];
            let (min, max) = limits.entry(rows.captures[row.capture].source.as_str()).or_insert((value, value));
            (*min, *max) = (min.min(value), max.max(value));
        }
        Self(limits)
    }

    /// Those of all rows but the ones of a source.
    fn of_all_but(&self, source: &str) -> (f32, f32) {
        let others = self.0.iter().filter(|(name, _)| **name != source).map(|(_, limits)| *limits);
        others.reduce(|(min, max), (low, high)| (min.min(low), max.max(high))).unwrap_or_default()
    }
}

impl SourceDrift {
    fn worst(&self) -> f32 {
        self.features.first().map_or(0.0, |worst| worst.index)
    }
}

impl Display for SourceDrift {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{:6.2}  {:>7} flows  {}:", self.worst(), self.flows, self.source)?;
        self.features.iter().take(NAMED).try_for_each(|of| write!(f, " {} {:.2}", of.name, of.index))?;
        match self.features.iter().max_by(|a, b| a.outside.total_cmp(&b.outside)).filter(|of| of.outside > 0.0) {
            Some(of) => write!(f, "; {:.1} % outside: {}", 100.0 * of.outside, of.name),
            None => Ok(()),
        }
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

    /// Three sources of ten harmless flows: two with 0 to 9 ports, one with `many`. Before its end each flow has another number of
    /// them, and with each comes a scan.
    fn rows(many: f32) -> Rows {
        let ports = index_of("src_ports_60s").unwrap();
        let mut rows = Rows::default();
        let labels = ["b", "s"].map(|label| rows.label(label));
        for (capture, source) in ["few", "many", "some"].into_iter().enumerate() {
            rows.captures.push(Capture { name: source.to_owned(), source: source.to_owned() });
            for flow in 0..10_u8 {
                let end = if source == "many" { many } else { f32::from(flow) };
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

    fn measured(many: f32, least_flows: usize) -> Vec<SourceDrift> {
        let (rows, recipe): (_, Recipe) = (rows(many), recipe());
        let labelled = labelled(&rows, &recipe).unwrap();
        by_source(&rows, &labelled, &recipe, &model(), least_flows).unwrap()
    }

    #[test]
    fn each_source_is_held_against_the_bins_of_the_others() {
        let measured = measured(100.0, 10);
        let told: Vec<_> = measured.iter().map(|of| (of.source.as_str(), of.flows, of.features.len())).collect();
        assert_eq!(told, [("many", 10, 1), ("few", 10, 1), ("some", 10, 1)]);
        // Of the others a tenth to a bin up to 8, and all of its own in the last one: 0.9 ln 10 + 9 * 0.099 ln 100.
        let many = 0.9 * 10.0_f32.ln() + 9.0 * 0.099 * 100.0_f32.ln();
        // Of the others two tenths at 0 and 1, 2 and 3 and so on, which are half of the weight, in bins of one tenth each; the other
        // half at 100, in one bin, where it has none: 5 * 0.1 ln 2 + 0.499 ln 500.
        let few = 0.5 * 2.0_f32.ln() + 0.499 * 500.0_f32.ln();
        for (of, expected) in measured.iter().zip([many, few, few]) {
            let [FeatureOfSource { name: "src_ports_60s", index, .. }] = of.features[..] else { panic!("{of:?}") };
            assert!((index - expected).abs() < 1e-4, "{of}, not {expected}");
        }
        assert_eq!(measured[0].to_string(), "  6.18       10 flows  many: src_ports_60s 6.18");
    }

    #[test]
    fn values_that_no_other_source_reaches_are_outside() {
        let measured = measured(5000.0, 10);
        let shares: Vec<f32> = measured.iter().map(|of| of.features[0].outside).collect();
        assert_eq!(shares, [1.0, 0.0, 0.0], "scans of the others have 1,000");
        let told = "  6.18       10 flows  many: src_ports_60s 6.18; 100.0 % outside: src_ports_60s";
        assert_eq!(measured[0].to_string(), told);
    }

    #[test]
    fn sources_with_too_few_flows_are_left_out() {
        assert_eq!(measured(100.0, 11), []);
    }
}
