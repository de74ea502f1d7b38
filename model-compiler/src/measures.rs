//! Areas under curves, F1 and false positives of flows, with intervals, by class and by source.
//!
//! **Intervals** are a bootstrap over clusters (`bootstrap.rs`): over captures or sources, whichever were on one side of each split.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::bootstrap::{draws, middle};
use crate::folds::Grouping;
use crate::ranking::{Point, Ranking};
use crate::rows::{Capture, Rows};
use crate::scores::{ANY_THREAT, Case};
use crate::shares::Share;

/// The most points of a curve that are kept.
const CURVE_POINTS: usize = 400;

/// What was measured of a class against all others.
#[derive(Clone, Debug, Serialize)]
pub struct Measures {
    /// The class, or all threats taken together.
    pub class: String,
    /// The area under the ROC curve.
    pub roc_auc: Option<Share>,
    /// The area under the curve of precision and recall.
    pub pr_auc: Option<Share>,
    /// Share of the flows that were called so which are.
    pub precision: Option<Share>,
    /// Share of its flows that were called so.
    pub recall: Option<Share>,
    /// Harmonic mean of precision and recall.
    pub f1: Option<Share>,
    /// Share of all other flows that were called so.
    pub false_positive_rate: Option<Share>,
}

/// Measures as cells of a table, for the card and the report.
pub mod in_words {
    use super::Measures;

    /// The titles of [`cells`].
    pub const TITLES: [&str; 6] =
        ["ROC-AUC, %", "PR-AUC, %", "precision, %", "recall, %", "F1, %", "false positives, %"];

    /// The figures with their intervals.
    #[must_use]
    pub fn cells(of: &Measures) -> [String; 6] {
        let figures = [of.roc_auc, of.pr_auc, of.precision, of.recall, of.f1, of.false_positive_rate];
        figures.map(|share| share.map_or_else(|| "-".to_owned(), |share| share.to_string()))
    }
}

/// What was measured of all threats together among the flows of one source.
#[derive(Clone, Debug, Serialize)]
pub struct OfSource {
    /// The source.
    pub source: String,
    /// How many captures there are.
    pub captures: usize,
    /// How many harmless flows there are.
    pub harmless: usize,
    /// How many flows of attacks.
    pub attacks: usize,
    /// The figures.
    pub measures: Measures,
}

/// The curves of a class against all others.
#[derive(Clone, Debug, Serialize)]
pub struct Curves {
    /// The class, or all threats taken together.
    pub class: String,
    /// The share of its flows, which is the precision of chance.
    pub share: f64,
    /// The points, from the highest threshold on.
    pub points: Vec<Point>,
}

/// What is told from what.
#[derive(Clone, Copy, Debug)]
enum Target {
    Class(usize),
    AnyThreat,
}

impl Target {
    fn is(self, class: usize) -> bool {
        match self {
            Self::Class(wanted) => class == wanted,
            Self::AnyThreat => class != 0,
        }
    }

    fn score(self, flow: &Case) -> f32 {
        match self {
            Self::Class(class) => flow.shares[class],
            Self::AnyThreat => 1.0 - flow.shares[0],
        }
    }

    fn name(self, classes: &[&str]) -> String {
        match self {
            Self::Class(class) => classes[class].to_owned(),
            Self::AnyThreat => ANY_THREAT.to_owned(),
        }
    }

    fn ranking(self, flows: &[Case]) -> Ranking {
        Ranking::new(flows.iter().map(|flow| (self.score(flow), flow.capture, self.is(flow.truth))))
    }

    fn all(classes: usize) -> impl Iterator<Item = Self> {
        (0..classes).map(Self::Class).chain([Self::AnyThreat])
    }
}

/// The figures of each class, and of all threats together. Clusters are what `grouping` keeps together.
#[must_use]
pub fn by_class(flows: &[Case], rows: &Rows, grouping: Grouping, classes: &[&str]) -> Vec<Measures> {
    let draws = draws_of(flows, rows, grouping);
    Target::all(classes.len()).map(|target| measures(flows, target, classes, &draws)).collect()
}

/// The figures of all threats together in each source. Clusters are captures.
#[must_use]
pub fn by_source(flows: &[Case], rows: &Rows, classes: &[&str]) -> Vec<OfSource> {
    let mut sources: BTreeMap<&str, Vec<Case>> = BTreeMap::new();
    for flow in flows {
        sources.entry(&rows.captures[flow.capture].source).or_default().push(*flow);
    }
    let of_source = |(source, flows): (&str, Vec<Case>)| OfSource {
        source: source.to_owned(),
        captures: captures(&flows).len(),
        harmless: flows.iter().filter(|flow| flow.truth == 0).count(),
        attacks: flows.iter().filter(|flow| flow.truth != 0).count(),
        measures: measures(&flows, Target::AnyThreat, classes, &draws_of(&flows, rows, Grouping::Capture)),
    };
    sources.into_iter().map(of_source).collect()
}

/// The curves of each class, and of all threats together.
#[must_use]
pub fn curves(flows: &[Case], classes: &[&str]) -> Vec<Curves> {
    let of_target = |target: Target| Curves {
        class: target.name(classes),
        share: flows.iter().filter(|flow| target.is(flow.truth)).count() as f64 / flows.len().max(1) as f64,
        points: target.ranking(flows).points(CURVE_POINTS),
    };
    Target::all(classes.len()).map(of_target).collect()
}

/// How often each capture is there in each draw, by the place of the capture.
type Draws = Vec<Vec<f64>>;

fn captures(flows: &[Case]) -> BTreeSet<usize> {
    flows.iter().map(|flow| flow.capture).collect()
}

fn draws_of(flows: &[Case], rows: &Rows, grouping: Grouping) -> Draws {
    let mut clusters: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    let captures = captures(flows);
    let places = captures.last().map_or(0, |last| last + 1);
    for place in captures {
        let Capture { name, source } = &rows.captures[place];
        clusters.entry(grouping.of(name, source)).or_default().push(place);
    }
    let of_captures = |of_clusters: Vec<f64>| {
        let mut times = vec![0.0; places];
        for (cluster, drawn) in clusters.values().zip(of_clusters) {
            cluster.iter().for_each(|&capture| times[capture] = drawn);
        }
        times
    };
    draws(clusters.len()).into_iter().map(of_captures).collect()
}

fn measures(flows: &[Case], target: Target, classes: &[&str], draws: &Draws) -> Measures {
    let (ranking, counts) = (target.ranking(flows), counts(flows, target));
    let figures = |times: &dyn Fn(usize) -> f64| {
        let areas = ranking.areas(times);
        let [precision, recall, f1, false_positives] = errors(&counts, times);
        [areas.roc, areas.precision_recall, precision, recall, f1, false_positives]
    };
    let drawn: Vec<[Option<f64>; 6]> = draws.iter().map(|times| figures(&|capture| times[capture])).collect();
    let measured = figures(&|_| 1.0);
    let [roc_auc, pr_auc, precision, recall, f1, false_positive_rate] = [0, 1, 2, 3, 4, 5]
        .map(|at| measured[at].map(|value| middle(value, drawn.iter().filter_map(|figures| figures[at]))));
    Measures { class: target.name(classes), roc_auc, pr_auc, precision, recall, f1, false_positive_rate }
}

/// True positives, false positives, false negatives and true negatives of each capture.
fn counts(flows: &[Case], target: Target) -> BTreeMap<usize, [f64; 4]> {
    let mut counts: BTreeMap<usize, [f64; 4]> = BTreeMap::new();
    for flow in flows {
        let kind = match (target.is(flow.said), target.is(flow.truth)) {
            (true, true) => 0,
            (true, false) => 1,
            (false, true) => 2,
            (false, false) => 3,
        };
        counts.entry(flow.capture).or_default()[kind] += 1.0;
    }
    counts
}

/// Precision, recall, F1 and the rate of false positives.
fn errors(counts: &BTreeMap<usize, [f64; 4]>, times: &dyn Fn(usize) -> f64) -> [Option<f64>; 4] {
    let mut sums = [0.0; 4];
    for (capture, counts) in counts {
        let times = times(*capture);
        sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count * times);
    }
    let [right, false_alarms, missed, left_alone] = sums;
    let share = |part: f64, whole: f64| (whole > 0.0).then(|| part / whole);
    // Without any flow of the class there is nothing that F1 and precision could say.
    let of_class = |figure: Option<f64>| figure.filter(|_| right + missed > 0.0);
    let precision = of_class(share(right, right + false_alarms));
    let f1 = of_class(share(2.0 * right, 2.0 * right + false_alarms + missed));
    [precision, share(right, right + missed), f1, share(false_alarms, false_alarms + left_alone)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forest::MAX_CLASSES;
    use crate::rows::Capture;

    const CLASSES: [&str; 2] = ["benign", "scan"];

    fn flow(capture: usize, truth: usize, scan: f32) -> Case {
        let mut shares = [0.0; MAX_CLASSES];
        (shares[0], shares[1]) = (1.0 - scan, scan);
        let said = usize::from(scan > 0.5);
        Case { capture, initiator: 0, flow: 0, truth, emphasis: 1.0, said, confidence: scan.max(1.0 - scan), shares }
    }

    /// Ten captures of each kind; one capture of scans is missed, by many flows.
    fn flows() -> Vec<Case> {
        let mut flows = Vec::new();
        for capture in 0..10 {
            flows.extend((0..5).map(|at| flow(capture, 0, at as f32 / 20.0)));
            flows.extend(
                (0..if capture == 3 { 50 } else { 5 })
                    .map(|_| flow(10 + capture, 1, if capture == 3 { 0.01 } else { 0.9 })),
            );
        }
        flows
    }

    /// The captures of [`flows`]: of one source what is harmless, of another the scans.
    fn captures_of_two() -> Rows {
        let source = |capture| if capture < 10 { "harmless" } else { "scans" }.to_owned();
        let captures = (0..20).map(|at| Capture { name: format!("{at:02}"), source: source(at) }).collect();
        Rows { captures, ..Rows::default() }
    }

    fn by_captures(flows: &[Case]) -> Vec<Measures> {
        by_class(flows, &captures_of_two(), Grouping::Capture, &CLASSES)
    }

    #[test]
    fn an_interval_is_as_wide_as_captures_differ() {
        let measures = by_captures(&flows());
        let names: Vec<&str> = measures.iter().map(|measures| measures.class.as_str()).collect();
        assert_eq!(names, ["benign", "scan", ANY_THREAT]);
        let f1 = measures[1].f1.unwrap();
        assert!((f1.value - 90.0 / 140.0).abs() < 1e-9, "{f1:?}");
        assert!(f1.low < 0.6 && f1.high > 0.99, "a draw without the missed capture is without error: {f1:?}");
        let [precision, recall] = [measures[1].precision, measures[1].recall].map(Option::unwrap);
        assert_eq!((precision.value, precision.low), (1.0, 1.0));
        assert!((recall.value - 45.0 / 95.0).abs() < 1e-9 && recall.high > 0.99, "{recall:?}");
        let false_positives = measures[1].false_positive_rate.unwrap();
        assert_eq!((false_positives.value, false_positives.high), (0.0, 0.0));
        assert_eq!(measures[1].roc_auc, measures[2].roc_auc, "of two classes");
    }

    #[test]
    fn what_a_split_keeps_together_is_drawn_together() {
        let (rows, flows) = (captures_of_two(), flows());
        let f1 = by_class(&flows, &rows, Grouping::Source, &CLASSES)[1].f1.unwrap();
        // With the scans, once or twice, all of them are there, and without them there is no F1.
        assert_eq!((f1.low, f1.high), (f1.value, f1.value));
        let one = Rows {
            captures: rows.captures.iter().map(|of| Capture { source: String::new(), ..of.clone() }).collect(),
            ..rows
        };
        let f1 = by_class(&flows, &one, Grouping::Source, &CLASSES)[1].f1.unwrap();
        assert_eq!((f1.low, f1.high), (0.0, 1.0), "of one source there is nothing to draw");
    }

    #[test]
    fn the_same_flows_have_the_same_intervals_and_one_capture_has_none() {
        let flows = flows();
        let texts = [by_captures(&flows), by_captures(&flows)].map(|of| format!("{of:?}"));
        assert_eq!(texts[0], texts[1]);
        let one = by_captures(&flows[..5]).remove(0).f1.unwrap();
        assert_eq!((one.value, one.low, one.high), (1.0, 0.0, 1.0));
    }

    #[test]
    fn sources_are_measured_apart() {
        let source = |capture: usize| if capture == 13 { "missed" } else { "others" }.to_owned();
        let captures = (0..20).map(|at| Capture { name: format!("{at}"), source: source(at) }).collect();
        let of = by_source(&flows(), &Rows { captures, ..Rows::default() }, &CLASSES);
        let told: Vec<_> = of.iter().map(|of| (of.source.as_str(), of.captures, of.harmless, of.attacks)).collect();
        assert_eq!(told, [("missed", 1, 0, 50), ("others", 19, 50, 45)]);
        assert_eq!(of[0].measures.f1.unwrap().value, 0.0);
        assert_eq!(of[0].measures.roc_auc, None);
        assert_eq!(of[1].measures.roc_auc.unwrap().value, 1.0);
    }
}
