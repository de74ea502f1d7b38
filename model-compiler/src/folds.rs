//! Which captures a model is tested on: groups that are never on both sides of a split.
//!
//! Rows of one capture resemble each other, and so do captures of one source: a model that has seen some of them does
//! well on the others without having understood anything. Splits are therefore by capture, or by source.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::recipe::ClassRule;
use crate::rows::Rows;
use crate::train::{Labelled, TrainError};

/// What stays together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grouping {
    /// The rows of a capture.
    Capture,
    /// The captures of a source: the harder question, how the model does in a place that it has never seen.
    Source,
    /// All captures of a corpus, which the name of a capture begins with: what a laboratory teaches about other places.
    Corpus,
}

impl Grouping {
    /// The group that a capture is in, by its name and source.
    #[must_use]
    pub fn of<'a>(self, capture: &'a str, source: &'a str) -> &'a str {
        match self {
            Self::Capture => capture,
            Self::Source => source,
            Self::Corpus => corpus_of(capture),
        }
    }

    /// As the command line and reports call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Capture => "capture",
            Self::Source => "source",
            Self::Corpus => "corpus",
        }
    }

    /// Several of them.
    #[must_use]
    pub const fn plural(self) -> &'static str {
        match self {
            Self::Capture => "captures",
            Self::Source => "sources",
            Self::Corpus => "corpora",
        }
    }
}

/// How many parts the captures are split into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parts {
    /// So many.
    Count(usize),
    /// As many as there are groups: each is tested by a model of all others.
    Each(Grouping),
}

impl FromStr for Parts {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.parse()) {
            ("each-source", _) => Ok(Self::Each(Grouping::Source)),
            ("each-corpus", _) => Ok(Self::Each(Grouping::Corpus)),
            (_, Ok(count @ 2..=50)) => Ok(Self::Count(count)),
            _ => Err("it must be a number from 2 to 50, each-source or each-corpus".to_owned()),
        }
    }
}

/// The fold of a capture that is always learnt from and never tested on.
pub const NEVER: usize = usize::MAX;

/// Which fold each capture is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// What stays together.
    pub grouping: Grouping,
    /// The fold of each capture, from 0 on, or [`NEVER`].
    pub fold_of: Vec<usize>,
    /// How many there are.
    pub folds: usize,
}

/// One fold to test on, and the others to learn from.
#[derive(Clone, Debug)]
pub struct Part<'a> {
    /// The fold.
    pub fold: usize,
    /// Its rows.
    pub tested: Vec<Labelled<'a>>,
    /// The rows of the others.
    pub learnt: Vec<Labelled<'a>>,
}

impl Split {
    /// The folds that hold rows, each with the others to learn from; an error in the place of one without which a class is lost.
    pub fn parts<'a>(
        &self,
        labelled: &[Labelled<'a>],
        rules: &[ClassRule],
    ) -> impl Iterator<Item = Result<Part<'a>, TrainError>> {
        let part = move |fold| {
            let is_tested = |case: &Labelled<'a>| self.fold_of[case.row.capture] == fold;
            let (tested, learnt): (Vec<_>, Vec<_>) = labelled.iter().partition(|case| is_tested(case));
            Part { fold, tested, learnt }
        };
        let whole = move |part: Part<'a>| match lost(&part) {
            Some(class) => Err(TrainError::LeftOut { class: rules[class].class.name(), group: self.grouping.name() }),
            None => Ok(part),
        };
        (0..self.folds).map(part).filter(|part| !part.tested.is_empty()).map(whole)
    }
}

/// A class that is tested and not learnt.
fn lost(part: &Part<'_>) -> Option<usize> {
    let classes = |cases: &[Labelled<'_>]| cases.iter().map(|case| case.class).collect::<BTreeSet<usize>>();
    classes(&part.tested).difference(&classes(&part.learnt)).next().copied()
}

/// Splits the captures; where each group is a part, `parts` says of what, whatever `grouping` says.
#[must_use]
pub fn split(rows: &Rows, labelled: &[Labelled<'_>], classes: usize, grouping: Grouping, parts: Parts) -> Split {
    let grouping = match parts {
        Parts::Count(folds) => {
            return Split { grouping, fold_of: assign(rows, labelled, classes, grouping, folds), folds };
        }
        Parts::Each(grouping) => grouping,
    };
    let groups: BTreeSet<&str> = labelled.iter().map(|case| group(rows, case.row.capture, grouping)).collect();
    let places: BTreeMap<&str, usize> = groups.into_iter().zip(0..).collect();
    // A group without rows of a class is tested nowhere; any fold will do.
    let fold = |at: usize| places.get(group(rows, at, grouping)).copied().unwrap_or_default();
    Split { grouping, fold_of: (0..rows.captures.len()).map(fold).collect(), folds: places.len() }
}

/// The fold of each capture, from 0 to `folds - 1`. Each class is spread over the folds as evenly as its groups allow:
/// the groups that hold the largest part of a class are placed first, each where its classes are scarcest.
fn assign(rows: &Rows, labelled: &[Labelled<'_>], classes: usize, grouping: Grouping, folds: usize) -> Vec<usize> {
    let loads = loads(rows, labelled, classes, grouping);
    let mut totals = vec![0.0; classes];
    for load in loads.values() {
        add(&mut totals, load);
    }
    let shares = |load: &[f64]| -> Vec<f64> {
        load.iter().zip(&totals).map(|(part, whole)| if *whole > 0.0 { part / whole } else { 0.0 }).collect()
    };
    let mut groups: Vec<(String, Vec<f64>)> = loads.into_iter().map(|(name, load)| (name, shares(&load))).collect();
    let largest = |shares: &[f64]| shares.iter().copied().fold(0.0, f64::max);
    groups.sort_by(|a, b| largest(&b.1).total_cmp(&largest(&a.1)).then_with(|| a.0.cmp(&b.0)));

    let mut filled = vec![vec![0.0; classes]; folds.max(1)];
    let mut fold_of = BTreeMap::new();
    for (name, shares) in groups {
        // How much there is already of what the group brings: the sum of squares is least where it is missing most.
        let crowding =
            |fold: &Vec<f64>| -> f64 { fold.iter().zip(&shares).map(|(have, new)| (have + new) * new).sum() };
        let fullness = |fold: &Vec<f64>| -> f64 { fold.iter().sum() };
        let best = (0..filled.len()).min_by(|&a, &b| {
            let (a, b) = (&filled[a], &filled[b]);
            crowding(a).total_cmp(&crowding(b)).then_with(|| fullness(a).total_cmp(&fullness(b)))
        });
        let best = best.unwrap_or_default();
        add(&mut filled[best], &shares);
        fold_of.insert(name, best);
    }
    let fold = |at: usize| fold_of.get(group(rows, at, grouping)).copied().unwrap_or_default();
    (0..rows.captures.len()).map(fold).collect()
}

/// How many captures of each class there are in each group.
fn loads(rows: &Rows, labelled: &[Labelled<'_>], classes: usize, grouping: Grouping) -> BTreeMap<String, Vec<f64>> {
    let mut seen: Vec<Vec<bool>> = vec![vec![false; classes]; rows.captures.len()];
    for Labelled { row, class, .. } in labelled {
        seen[row.capture][*class] = true;
    }
    let mut loads = BTreeMap::new();
    for (at, classes_of_capture) in seen.iter().enumerate() {
        let load = loads.entry(group(rows, at, grouping).to_owned()).or_insert_with(|| vec![0.0; classes]);
        for (sum, seen) in load.iter_mut().zip(classes_of_capture) {
            *sum += f64::from(u8::from(*seen));
        }
    }
    loads
}

fn group(rows: &Rows, capture: usize, grouping: Grouping) -> &str {
    grouping.of(&rows.captures[capture].name, &rows.captures[capture].source)
}

/// The corpus that a capture is of, by its name.
#[must_use]
pub fn corpus_of(capture: &str) -> &str {
    capture.split('/').next().unwrap_or_default()
}

fn add(sums: &mut [f64], values: &[f64]) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += value;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use traffic::features::{FEATURE_COUNT, ThreatClass};

    use super::*;
    use crate::rows::{Capture, Row};

    /// Captures with their source and class.
    fn table(captures: &[(u8, usize)]) -> Rows {
        let mut rows = Rows::default();
        for (at, &(source, label)) in captures.iter().enumerate() {
            rows.captures.push(Capture { name: format!("capture {at}"), source: format!("source {source}") });
            for flow in 0..3 {
                rows.rows.push(Row {
                    capture: at,
                    label,
                    initiator: 0,
                    flow,
                    packets: 1,
                    features: [0.0; FEATURE_COUNT],
                });
            }
        }
        rows
    }

    fn labelled(rows: &Rows) -> Vec<Labelled<'_>> {
        rows.rows.iter().map(|row| Labelled { row, class: row.label, emphasis: 1.0 }).collect()
    }

    proptest! {
        #[test]
        fn nothing_of_one_group_is_on_both_sides(
            captures in prop::collection::vec((0_u8..9, 0_usize..3), 1..40),
            folds in 1_usize..7,
        ) {
            let rows = table(&captures);
            let labelled = labelled(&rows);
            let by_source = assign(&rows, &labelled, 3, Grouping::Source, folds);
            let by_capture = assign(&rows, &labelled, 3, Grouping::Capture, folds);
            prop_assert_eq!(by_capture.len(), captures.len(), "one fold for each capture, whatever its rows");
            prop_assert!(by_source.iter().chain(&by_capture).all(|fold| *fold < folds));
            for (a, of_a) in captures.iter().zip(&by_source) {
                for (b, of_b) in captures.iter().zip(&by_source) {
                    prop_assert!(a.0 != b.0 || of_a == of_b, "source {} is on both sides", a.0);
                }
            }
        }
    }

    #[test]
    fn each_source_is_a_fold_of_its_own() {
        let rows = table(&[(3, 0), (1, 0), (3, 1), (7, 1), (1, 1)]);
        let parts = "each-source".parse().unwrap();
        let found = split(&rows, &labelled(&rows), 2, Grouping::Source, parts);
        assert_eq!(found, Split { grouping: Grouping::Source, fold_of: vec![1, 0, 1, 2, 0], folds: 3 });
        let mut rows = rows;
        for (capture, name) in rows.captures.iter_mut().zip(["b/1", "b/2", "a/1", "a/2", "b/3"]) {
            capture.name = name.to_owned();
        }
        let found = split(&rows, &labelled(&rows), 2, Grouping::Source, "each-corpus".parse().unwrap());
        assert_eq!(found, Split { grouping: Grouping::Corpus, fold_of: vec![1, 1, 0, 0, 1], folds: 2 });
        let five = split(&rows, &labelled(&rows), 2, Grouping::Source, "5".parse().unwrap());
        assert_eq!(five.folds, 5);
        for refused in ["1", "51", "each", ""] {
            assert!(refused.parse::<Parts>().is_err(), "{refused}");
        }
    }

    fn rules(classes: usize) -> Vec<ClassRule> {
        let rule = |class| ClassRule { class, labels: Vec::new(), prior: 1.0 };
        ThreatClass::ALL.into_iter().take(classes).map(rule).collect()
    }

    #[test]
    fn each_row_is_tested_once_and_what_is_never_tested_is_always_learnt() {
        // The last two captures are of sources of their own; fold 3 holds nothing.
        let rows = table(&[(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1), (3, 0), (4, 1)]);
        let mut split = split(&rows, &labelled(&rows), 2, Grouping::Source, Parts::Each(Grouping::Source));
        (split.folds, split.fold_of) = (5, vec![0, 0, 1, 1, 4, 4, NEVER, NEVER]);
        let parts: Vec<_> = split.parts(&labelled(&rows), &rules(2)).map(Result::unwrap).collect();
        let captures = |cases: &[Labelled<'_>]| -> Vec<usize> {
            let captures: BTreeSet<usize> = cases.iter().map(|case| case.row.capture).collect();
            captures.into_iter().collect()
        };
        let told: Vec<_> =
            parts.iter().map(|part| (part.fold, captures(&part.tested), captures(&part.learnt))).collect();
        let expected = [
            (0, vec![0, 1], vec![2, 3, 4, 5, 6, 7]),
            (1, vec![2, 3], vec![0, 1, 4, 5, 6, 7]),
            (4, vec![4, 5], vec![0, 1, 2, 3, 6, 7]),
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn a_class_of_one_source_cannot_be_left_out() {
        let rows = table(&[(0, 0), (1, 0), (1, 1), (1, 1)]);
        let refusal = |grouping| {
            let split = split(&rows, &labelled(&rows), 2, grouping, Parts::Count(2));
            split.parts(&labelled(&rows), &rules(2)).find_map(Result::err).map(|refusal| refusal.to_string())
        };
        let told = refusal(Grouping::Source).unwrap();
        let class = ThreatClass::ALL[1].name();
        assert!(told.contains(class) && told.contains("a class of one source cannot be left out"), "{told}");
        assert_eq!(refusal(Grouping::Capture), None, "it has two captures");
    }

    #[test]
    fn rare_classes_are_spread_over_the_folds() {
        let mut captures = vec![(0, 0); 50];
        captures.extend([(1, 1); 5]);
        let rows = table(&captures);
        let folds = assign(&rows, &labelled(&rows), 2, Grouping::Capture, 5);
        let of_rare: BTreeSet<usize> = folds[50..].iter().copied().collect();
        assert_eq!(of_rare.len(), 5);
        let benign_in_first = folds[..50].iter().filter(|fold| **fold == 0).count();
        assert_eq!(benign_in_first, 10);
    }
}
