//! What a model got right and wrong, by class and by capture.
//!
//! Counted twice: by row, that is by single answers, and by flow. A flow is what its strongest alarm says, or harmless
//! if none of its checkpoints raised one: for whoever is at the other end, one false alarm in a flow is a false alarm.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::forest::MAX_CLASSES;

/// What a source is blocked for in the balanced profile: a sum of the logarithms of the odds of its flows.
const EVIDENCE_FOR_BLOCK: f64 = 12.0;

/// The most that one flow adds to it.
const MOST_EVIDENCE_PER_FLOW: f64 = 2.944;

/// One answer and the truth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Case {
    /// Place of the capture.
    pub capture: usize,
    /// Number of the address that began the flow.
    pub initiator: u64,
    /// Number of the flow in it.
    pub flow: u64,
    /// Place of the true class.
    pub truth: usize,
    /// How many captures its capture stands for.
    pub emphasis: f64,
    /// Place of the class that the model gave.
    pub said: usize,
    /// Its probability.
    pub confidence: f32,
    /// The probability of each class by the trees, before calibration. Of a flow the highest of its checkpoints, of the harmless
    /// class the lowest.
    pub shares: [f32; MAX_CLASSES],
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
    /// The classes in their order, and after them all but the harmless one taken together.
    pub classes: Vec<ClassScore>,
}

/// The name of all classes but the harmless one taken together.
pub const ANY_THREAT: &str = "any threat";

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
    /// Share of the captures with such flows in which they get a source accused: see [`CaptureScore::accused`].
    pub accused: Option<f64>,
}

impl ClassScore {
    /// The shares, in the order of tables.
    #[must_use]
    pub const fn figures(&self) -> [Option<f64>; 6] {
        [self.precision, self.recall, self.f1, self.false_positive_rate, self.recall_by_capture, self.accused]
    }
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
    /// How many sources are accused: those against whom the alarms of these flows add up to what the appliance blocks
    /// for. Evidence does not fade here, as it does there, so this is rather too many than too few.
    pub accused: u64,
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
    let accused = accused(&flows);
    let captures = by_capture(&flows, classes.len()).into_iter().map(|((capture, truth), said)| CaptureScore {
        capture: captures[capture].clone(),
        class: classes[truth].to_owned(),
        flows: said.iter().sum(),
        said: said_by_name(&said, classes),
        accused: accused.get(&(capture, truth)).copied().unwrap_or_default(),
    });
    Scores { captures: captures.collect(), rows: table(cases, &flows, classes), flows: table(&flows, &flows, classes) }
}

/// How many sources are accused in each capture by flows of each true class.
fn accused(flows: &[Case]) -> BTreeMap<(usize, usize), u64> {
    let mut evidence: BTreeMap<_, f64> = BTreeMap::new();
    for flow in flows.iter().filter(|flow| flow.said != 0) {
        let confidence = f64::from(flow.confidence);
        let odds = confidence / (1.0 - confidence).max(f64::MIN_POSITIVE);
        *evidence.entry((flow.capture, flow.truth, flow.initiator)).or_default() +=
            odds.ln().clamp(0.0, MOST_EVIDENCE_PER_FLOW);
    }
    let mut accused = BTreeMap::new();
    for ((capture, truth, _), sum) in evidence {
        *accused.entry((capture, truth)).or_default() += u64::from(sum >= EVIDENCE_FOR_BLOCK);
    }
    accused
}

fn said_by_name(said: &[u64], classes: &[&str]) -> BTreeMap<String, u64> {
    let given = classes.iter().zip(said).filter(|(_, count)| **count > 0);
    given.map(|(class, count)| ((*class).to_owned(), *count)).collect()
}

/// One case for each flow: its strongest alarm, or that there was none.
pub(crate) fn by_flow(cases: &[Case]) -> Vec<Case> {
    let mut flows: BTreeMap<(usize, u64, usize), Case> = BTreeMap::new();
    for case in cases {
        let kept = flows.entry((case.capture, case.flow, case.truth)).or_insert(*case);
        let mut shares = kept.shares;
        shares.iter_mut().zip(case.shares).for_each(|(share, other)| *share = share.max(other));
        shares[0] = kept.shares[0].min(case.shares[0]);
        let is_stronger = kept.said == 0 || case.confidence > kept.confidence;
        if case.said != 0 && is_stronger {
            *kept = *case;
        }
        kept.shares = shares;
    }
    flows.into_values().collect()
}

/// How often each class was given in each capture, for each true class there.
fn by_capture(cases: &[Case], classes: usize) -> BTreeMap<(usize, usize), Vec<u64>> {
    let mut captures: BTreeMap<_, Vec<u64>> = BTreeMap::new();
    for case in cases {
        captures.entry((case.capture, case.truth)).or_insert_with(|| vec![0; classes])[case.said] += 1;
    }
    captures
}

/// `flows` are those that the cases belong to: evidence is counted by flow in any table.
fn table(cases: &[Case], flows: &[Case], classes: &[&str]) -> Table {
    let counts = confusion(cases, classes.len());
    let scores = classes.iter().enumerate().map(|(class, name)| class_score(&counts, class, name, cases, flows));
    // Of two classes, harmless or not: which attack it was matters less than that it was one.
    let [threats, threat_flows] = [cases, flows].map(|cases| {
        let either = |case: &Case| Case { truth: case.truth.min(1), said: case.said.min(1), ..*case };
        cases.iter().map(either).collect::<Vec<_>>()
    });
    let any = class_score(&confusion(&threats, 2), 1, ANY_THREAT, &threats, &threat_flows);
    Table { classes: scores.chain([any]).collect(), confusion: counts }
}

fn confusion(cases: &[Case], classes: usize) -> Vec<Vec<u64>> {
    let mut confusion = vec![vec![0; classes]; classes];
    for case in cases {
        confusion[case.truth][case.said] += 1;
    }
    confusion
}

fn class_score(confusion: &[Vec<u64>], class: usize, name: &str, cases: &[Case], flows: &[Case]) -> ClassScore {
    let count: u64 = confusion[class].iter().sum();
    let called: u64 = confusion.iter().map(|said| said[class]).sum();
    let all: u64 = confusion.iter().flatten().sum();
    let right = confusion[class][class];
    let captures = by_capture(cases, confusion.len());
    let recalls: Vec<f64> = captures
        .iter()
        .filter(|((_, truth), _)| *truth == class)
        .filter_map(|(_, said)| share(said[class], said.iter().sum()))
        .collect();
    let accused = accused(flows).into_iter().filter(|((_, truth), accused)| *truth == class && *accused > 0).count();
    ClassScore {
        class: name.to_owned(),
        count,
        precision: share(right, called),
        recall: share(right, count),
        f1: share(2 * right, called + count),
        false_positive_rate: share(called - right, all - count),
        recall_by_capture: (!recalls.is_empty()).then(|| recalls.iter().sum::<f64>() / recalls.len() as f64),
        accused: share(accused as u64, recalls.len() as u64),
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
        let case = |&(capture, flow, truth, said, confidence)| {
            let mut shares = [0.0; MAX_CLASSES];
            shares[said] = confidence;
            Case { capture, initiator: 5, flow, truth, emphasis: 1.0, said, confidence, shares }
        };
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
            accused: Some(0.0),
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
        let flows = by_flow(&cases(&[(0, 7, 1, 0, 0.99), (0, 7, 1, 2, 0.6), (0, 7, 1, 1, 0.8)]));
        assert_eq!((flows[0].said, &flows[0].shares[..3]), (1, &[0.0, 0.8, 0.6][..]));
        let first = &scores.captures[0];
        assert_eq!((first.capture.as_str(), first.class.as_str(), first.flows, first.right()), ("a", "scan", 2, 1));
    }

    #[test]
    fn a_source_is_accused_by_several_flows_that_speak_against_it() {
        let flows = |count, confidence| (0..count).map(move |flow| (1, flow, 0, 1, confidence)).collect::<Vec<_>>();
        let accused = |rows: &[_]| scored(rows).captures[0].accused;
        assert_eq!(accused(&flows(4, 1.0)), 0, "one flow counts only so much");
        assert_eq!(accused(&flows(5, 0.99)), 1);
        assert_eq!(accused(&flows(1000, 0.5)), 0, "even odds say nothing");
        assert_eq!(accused(&flows(6, 0.9)), 1);
        assert_eq!(scored(&flows(6, 0.9)).flows.classes[0].accused, Some(1.0));
    }

    #[test]
    fn captures_count_alike_in_the_mean_over_captures() {
        let mut rows = vec![(0, 0, 1, 0, 0.9)];
        rows.extend((0..99).map(|flow| (1, flow, 1, 1, 0.9)));
        let scan = &scored(&rows).flows.classes[1];
        assert_eq!((scan.recall, scan.recall_by_capture), (Some(0.99), Some(0.5)));
    }
}
