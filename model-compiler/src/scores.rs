//! What a model got right and wrong, by class and by capture.
//!
//! Counted twice: by row, that is by single answers, and by flow. A flow is what its strongest alarm says, or harmless if
//! none of its checkpoints raised one: for whoever is at the other end, one false alarm in a flow is a false alarm.

use std::collections::BTreeMap;

use serde::Serialize;

/// One answer and the truth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Case {
    /// Place of the capture.
    pub capture: usize,
    /// Number of the flow in it.
    pub flow: u64,
    /// Place of the true class.
    pub truth: usize,
    /// Place of the class that the model gave.
    pub said: usize,
    /// Its probability.
    pub confidence: f32,
}

/// Everything that was measured of one model.
#[derive(Clone, Debug, Serialize)]
pub struct Scores {
    /// By row.
    pub rows: Table,
    /// By flow.
    pub flows: Table,
    /// By capture, in flows.
    pub captures: Vec<CaptureScore>,
}

/// How often each class was taken for each, and what follows from it.
#[derive(Clone, Debug, Serialize)]
pub struct Table {
    /// `confusion[truth][said]`.
    pub confusion: Vec<Vec<u64>>,
    /// The classes in their order.
    pub classes: Vec<ClassScore>,
}

/// What was measured of one class. A share of nothing is `None`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassScore {
    /// Its name.
    pub class: String,
    /// How many there were.
    pub count: u64,
    /// Share of those called so that are so.
    pub precision: Option<f64>,
    /// Share of those that are so that were called so.
    pub recall: Option<f64>,
    /// Harmonic mean of the two.
    pub f1: Option<f64>,
    /// Share of all others that were called so.
    pub false_positive_rate: Option<f64>,
    /// Mean of the recall over captures: there a long capture counts no more than a short one.
    pub recall_by_capture: Option<f64>,
}

/// What was measured of the flows of one class in one capture.
#[derive(Clone, Debug, Serialize)]
pub struct CaptureScore {
    /// The capture.
    pub capture: String,
    /// The true class of these flows.
    pub class: String,
    /// How many there are.
    pub flows: u64,
    /// How often each class was given, where it was.
    pub said: BTreeMap<String, u64>,
}

impl CaptureScore {
    /// The flows that were called what they are.
    #[must_use]
    pub fn right(&self) -> u64 {
        self.said.get(&self.class).copied().unwrap_or_default()
    }
}

/// Scores the cases. The first class is the harmless one.
#[must_use]
pub fn score(cases: &[Case], classes: &[&str], captures: &[String]) -> Scores {
    let flows = by_flow(cases);
    Scores {
        rows: table(cases, classes),
        flows: table(&flows, classes),
        captures: by_capture(&flows, classes)
            .into_iter()
            .map(|((capture, truth), said)| CaptureScore {
                capture: captures[capture].clone(),
                class: classes[truth].to_owned(),
                flows: said.iter().sum(),
                said: said_by_name(&said, classes),
            })
            .collect(),
    }
}

fn said_by_name(said: &[u64], classes: &[&str]) -> BTreeMap<String, u64> {
    let given = classes.iter().zip(said).filter(|(_, count)| **count > 0);
    given.map(|(class, count)| ((*class).to_owned(), *count)).collect()
}

/// One case for each flow: its strongest alarm, or that there was none.
fn by_flow(cases: &[Case]) -> Vec<Case> {
    let mut flows: BTreeMap<(usize, u64, usize), Case> = BTreeMap::new();
    for case in cases {
        let kept = flows.entry((case.capture, case.flow, case.truth)).or_insert(*case);
        let is_stronger = kept.said == 0 || case.confidence > kept.confidence;
        if case.said != 0 && is_stronger {
            *kept = *case;
        }
    }
    flows.into_values().collect()
}

/// How often each class was given in each capture, for each true class there.
fn by_capture(cases: &[Case], classes: &[&str]) -> BTreeMap<(usize, usize), Vec<u64>> {
    let mut captures: BTreeMap<_, Vec<u64>> = BTreeMap::new();
    for case in cases {
        captures.entry((case.capture, case.truth)).or_insert_with(|| vec![0; classes.len()])[case.said] += 1;
    }
    captures
}

fn table(cases: &[Case], classes: &[&str]) -> Table {
    let mut confusion = vec![vec![0; classes.len()]; classes.len()];
    for case in cases {
        confusion[case.truth][case.said] += 1;
    }
    let captures = by_capture(cases, classes);
    let scores = (0..classes.len()).map(|class| {
        let recalls: Vec<f64> = captures
            .iter()
            .filter(|((_, truth), _)| *truth == class)
            .filter_map(|(_, said)| share(said[class], said.iter().sum()))
            .collect();
        let mean = recalls.iter().sum::<f64>() / recalls.len() as f64;
        class_score(&confusion, class, classes[class], (!recalls.is_empty()).then_some(mean))
    });
    Table { classes: scores.collect(), confusion }
}

fn class_score(confusion: &[Vec<u64>], class: usize, name: &str, recall_by_capture: Option<f64>) -> ClassScore {
    let count: u64 = confusion[class].iter().sum();
    let called: u64 = confusion.iter().map(|said| said[class]).sum();
    let all: u64 = confusion.iter().flatten().sum();
    let right = confusion[class][class];
    ClassScore {
        class: name.to_owned(),
        count,
        precision: share(right, called),
        recall: share(right, count),
        f1: share(2 * right, called + count),
        false_positive_rate: share(called - right, all - count),
        recall_by_capture,
    }
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLASSES: [&str; 3] = ["benign", "scan", "flood"];

    fn cases(rows: &[(usize, u64, usize, usize, f32)]) -> Vec<Case> {
        let case = |&(capture, flow, truth, said, confidence)| Case { capture, flow, truth, said, confidence };
        rows.iter().map(case).collect()
    }

    fn scored(rows: &[(usize, u64, usize, usize, f32)]) -> Scores {
        score(&cases(rows), &CLASSES, &["a".to_owned(), "b".to_owned()])
    }

    #[test]
    fn a_confusion_computed_by_hand() {
        // Truth benign: 3 benign, 1 scan. Truth scan: 1 benign, 4 scan, 1 flood. Truth flood: none.
        let said = [(0, 0), (0, 0), (0, 0), (0, 1), (1, 0), (1, 1), (1, 1), (1, 1), (1, 1), (1, 2)];
        let rows: Vec<_> = said.iter().zip(0..).map(|(&(truth, said), flow)| (0, flow, truth, said, 0.9)).collect();
        let table = scored(&rows).rows;
        assert_eq!(table.confusion, [[3, 1, 0], [1, 4, 1], [0, 0, 0]]);
        let expected = ClassScore {
            class: "scan".to_owned(),
            count: 6,
            precision: Some(4.0 / 5.0),
            recall: Some(4.0 / 6.0),
            f1: Some(8.0 / 11.0),
            false_positive_rate: Some(1.0 / 4.0),
            recall_by_capture: Some(4.0 / 6.0),
        };
        assert_eq!(table.classes[1], expected);
        assert_eq!(table.classes[0].false_positive_rate, Some(1.0 / 6.0));
        assert_eq!(table.classes[2].recall, None);
        assert_eq!(table.classes[2].precision, Some(0.0));
    }

    #[test]
    fn a_flow_is_what_its_strongest_alarm_says() {
        let scores = scored(&[
            (0, 7, 1, 0, 0.99),
            (0, 7, 1, 2, 0.6),
            (0, 7, 1, 1, 0.8),
            (0, 7, 1, 0, 0.99),
            (0, 8, 1, 0, 0.99),
            (1, 7, 0, 0, 0.99),
        ]);
        assert_eq!(scores.rows.confusion, [[1, 0, 0], [3, 1, 1], [0, 0, 0]]);
        assert_eq!(scores.flows.confusion, [[1, 0, 0], [1, 1, 0], [0, 0, 0]]);
        let first = &scores.captures[0];
        assert_eq!((first.capture.as_str(), first.class.as_str(), first.flows, first.right()), ("a", "scan", 2, 1));
    }

    #[test]
    fn captures_count_alike_in_the_mean_over_captures() {
        let mut rows = vec![(0, 0, 1, 0, 0.9)];
        rows.extend((0..99).map(|flow| (1, flow, 1, 1, 0.9)));
        let scan = &scored(&rows).flows.classes[1];
        assert_eq!((scan.recall, scan.recall_by_capture), (Some(0.99), Some(0.5)));
    }
}
