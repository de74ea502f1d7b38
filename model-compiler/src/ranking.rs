//! How well a score ranks: the curves of receiver operating characteristic (ROC) and of precision and recall (PR), and the
//! areas under them.
//!
//! Ties count as they do in scikit-learn, which a test asks: the ROC curve goes straight across a tie, so that its area is the
//! probability that of one flow of each kind the right one has the higher score, half where they tie (Fawcett 2006); the area
//! under the PR curve is average precision, a sum of steps, because straight lines between points of precision would flatter
//! (Davis and Goadrich 2006).

use std::collections::BTreeMap;

use serde::Serialize;

/// Flows with the same score in the same group.
#[derive(Clone, Copy, Debug)]
struct Entry {
    score: f32,
    group: usize,
    positives: f64,
    negatives: f64,
}

/// Scored flows, the highest score first.
#[derive(Clone, Debug)]
pub struct Ranking(Vec<Entry>);

/// The areas under both curves; none where one of the kinds is missing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Areas {
    /// Under the ROC curve: 0.5 is chance.
    pub roc: Option<f64>,
    /// Average precision: the share of positives is chance.
    pub precision_recall: Option<f64>,
}

/// A point that a threshold on the score gives.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Point {
    /// Share of negatives at or above the threshold.
    pub false_positive_rate: f64,
    /// Share of positives there.
    pub recall: f64,
    /// Share of positives among all there.
    pub precision: f64,
}

impl Ranking {
    /// Of flows that each have a score, a group, and are positive or not.
    #[must_use]
    pub fn new(flows: impl Iterator<Item = (f32, usize, bool)>) -> Self {
        let mut entries: BTreeMap<(i32, usize), Entry> = BTreeMap::new();
        for (score, group, is_positive) in flows {
            // `total_cmp` as a key: bits of negative numbers are turned round.
            let bits = score.to_bits().cast_signed();
            let key = (!(bits ^ (((bits >> 31).cast_unsigned() >> 1).cast_signed())), group);
            let entry = entries.entry(key).or_insert(Entry { score, group, positives: 0.0, negatives: 0.0 });
            *(if is_positive { &mut entry.positives } else { &mut entry.negatives }) += 1.0;
        }
        Self(entries.into_values().collect())
    }

    /// The areas where each flow counts as many times as `times` says of its group.
    #[must_use]
    pub fn areas(&self, times: &dyn Fn(usize) -> f64) -> Areas {
        let (mut roc, mut steps) = (0.0, 0.0);
        let (positives, negatives) =
            self.walk(times, &mut |[above_positives, above_negatives], [positives, negatives]| {
                roc += negatives * (above_positives + positives / 2.0);
                let above = above_positives + positives;
                if positives > 0.0 {
                    steps += positives * above / (above + above_negatives + negatives);
                }
            });
        let (roc, precision_recall) = (roc / (positives * negatives), steps / positives);
        let has_both = positives > 0.0 && negatives > 0.0;
        Areas { roc: has_both.then_some(roc), precision_recall: has_both.then_some(precision_recall) }
    }

    /// The points of both curves from the highest threshold on, at most about so many.
    #[must_use]
    pub fn points(&self, most: usize) -> Vec<Point> {
        let (mut positives, mut negatives) = (0.0, 0.0);
        self.0.iter().for_each(|entry| {
            positives += entry.positives;
            negatives += entry.negatives;
        });
        let mut points: Vec<Point> = Vec::new();
        // A point is left out where both rates moved by less than this since the last one.
        let least = 2.0 / most.max(1) as f64;
        self.walk(&|_| 1.0, &mut |above, new| {
            let (right, wrong) = (above[0] + new[0], above[1] + new[1]);
            let point = Point {
                false_positive_rate: wrong / f64::max(negatives, 1.0),
                recall: right / f64::max(positives, 1.0),
                precision: right / (right + wrong),
            };
            let moved = points.last().is_none_or(|last| {
                point.recall - last.recall + (point.false_positive_rate - last.false_positive_rate) >= least
            });
            let is_last = right == positives && wrong == negatives;
            if moved || is_last {
                points.push(point);
            }
        });
        points
    }

    /// Goes through the scores from the highest on; `tier` gets how many of each kind lie above a score, and how many have it.
    /// Returns how many there are.
    fn walk(&self, times: &dyn Fn(usize) -> f64, tier: &mut dyn FnMut([f64; 2], [f64; 2])) -> (f64, f64) {
        let mut above = [0.0; 2];
        for tied in self.0.chunk_by(|a, b| a.score == b.score) {
            let mut new = [0.0; 2];
            for entry in tied {
                let times = times(entry.group);
                new[0] += entry.positives * times;
                new[1] += entry.negatives * times;
            }
            if new != [0.0; 2] {
                tier(above, new);
            }
            above = [above[0] + new[0], above[1] + new[1]];
        }
        (above[0], above[1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranking(flows: &[(f32, bool)]) -> Ranking {
        Ranking::new(flows.iter().zip(0..).map(|(&(score, is_positive), group)| (score, group, is_positive)))
    }

    #[test]
    fn areas_by_hand() {
        let areas = ranking(&[(0.9, true), (0.8, false), (0.7, true), (0.1, false)]).areas(&|_| 1.0);
        assert_eq!(areas, Areas { roc: Some(0.75), precision_recall: Some((1.0 + 2.0 / 3.0) / 2.0) });
        let tied = ranking(&[(0.5, true), (0.5, false), (0.5, false)]).areas(&|_| 1.0);
        assert_eq!(tied, Areas { roc: Some(0.5), precision_recall: Some(1.0 / 3.0) });
        assert_eq!(ranking(&[(0.5, true)]).areas(&|_| 1.0), Areas::default());
    }

    #[test]
    fn a_group_that_counts_twice_is_as_if_it_were_there_twice() {
        let flows = [(0.9, false), (0.8, true), (-0.5, true), (-0.7, false)];
        let twice: Vec<_> = flows.iter().chain(&flows[1..2]).copied().collect();
        let times = |group| if group == 1 { 2.0 } else { 1.0 };
        assert_eq!(ranking(&flows).areas(&times), ranking(&twice).areas(&|_| 1.0));
        assert_eq!(ranking(&flows).areas(&|group| f64::from(group == 0)).roc, None);
    }

    #[test]
    fn curves_end_where_all_are_called_positive() {
        let flows: Vec<(f32, bool)> = (0..1000_u16).map(|at| (f32::from(at), at % 3 == 0 || at > 900)).collect();
        let points = ranking(&flows).points(50);
        assert!(points.len() <= 52, "{}", points.len());
        let last = points.last().unwrap();
        assert_eq!((last.recall, last.false_positive_rate), (1.0, 1.0));
        assert!(points.is_sorted_by(|a, b| a.recall <= b.recall && a.false_positive_rate <= b.false_positive_rate));
    }
}
