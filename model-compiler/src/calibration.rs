//! Calibration: from how sure a model is of flows of sources that it has not seen to how often it is right about them.
//!
//! Trees are surer of themselves than they should be where they meet a network that they were not trained on, and the
//! appliance takes their word: it adds up the logarithms of the odds. So models are trained without some of the sources and
//! asked about these, part by part, and for each threat that they name a curve is drawn through what became of it.
//!
//! **What counts.** A flow, by its strongest alarm, because that is what the appliance counts; with the weight that the recipe
//! gives it, so a curve says how often a class is right where flows come in the proportions of the prior.
//!
//! **The curve.** It never falls. Of all such it is the nearest to the outcomes by weighted squares: neighbours that would
//! fall are pooled (Ayer et al. 1955; Barlow et al., "Statistical Inference under Order Restrictions", 1972; for
//! probabilities of classifiers Zadrozny and Elkan, KDD 2002). Levels are then joined, those first that differ least, until
//! there are few; to each are added `smoothing` observations drawn from the prior, counted as in leaves; and they are
//! joined by straight lines.

use std::collections::BTreeMap;

use serde::Serialize;
use traffic::features::ThreatClass;

use crate::evaluate::answers;
use crate::folds::{Grouping, Part, Parts, split};
use crate::forest::{Curve, Knot, MAX_KNOTS};
use crate::progress::Progress;
use crate::recipe::{CalibrationRules, ClassRule, Recipe};
use crate::rows::Rows;
use crate::scores::{Case, by_flow};
use crate::train::{Labelled, TrainError, uncalibrated};

/// No curve says less, or more than 1 less this: nobody has seen so many captures that more could be said.
const LEAST_DOUBT: f64 = 0.001;

/// Confidences are compared with outcomes in so many bins of equal width.
const BINS: usize = 15;

/// What the logarithm of is taken is at least this: a model that was certain and wrong pays much, but not without end.
const LEAST_PROBABILITY: f64 = 1e-6;

/// What was learnt.
pub struct Calibration {
    /// A curve for each class; that of the harmless one changes nothing, for it raises no alarm.
    pub curves: Vec<Curve>,
    /// What they are worth.
    pub folds: Vec<Reliability>,
}

/// How well confidences agree with outcomes in one part of the sources, as they are and by curves of the other parts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Reliability {
    /// How many flows there are.
    pub flows: usize,
    /// How many of them raised an alarm.
    pub alarms: usize,
    /// The share that these have in the whole weight.
    pub weight: f64,
    /// Of alarms, without curves.
    pub before: Quality,
    /// Of the same, with them.
    pub after: Quality,
}

/// How far confidences are from outcomes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Quality {
    /// Expected calibration error: the mean difference between confidence and outcome over bins, by weight (Naeini et al.,
    /// AAAI 2015).
    pub calibration_error: f64,
    /// The mean of minus the logarithm of the probability given to what came true: that the class was right, or not.
    pub log_loss: f64,
}

/// What calibration is worth, part by part, and on the whole.
#[must_use]
pub fn table(folds: &[Reliability]) -> String {
    let mut text = String::from(
        "alarms about sources left out, before and after calibration by the others, with the weights of the recipe:\n\
         part    flows   alarms  weight  calibration error        log loss\n",
    );
    for (part, fold) in folds.iter().enumerate() {
        text.push_str(&line(&(part + 1).to_string(), fold));
    }
    text + &line("all", &mean(folds))
}

fn line(name: &str, Reliability { flows, alarms, weight, before, after }: &Reliability) -> String {
    let error = format!("{:.4} {:.4}", before.calibration_error, after.calibration_error);
    let loss = format!("{:.4} {:.4}", before.log_loss, after.log_loss);
    format!("{name:>4} {flows:>8} {alarms:>8}  {weight:>6.4}      {error}   {loss}\n")
}

/// The parts together, each by its weight.
fn mean(folds: &[Reliability]) -> Reliability {
    let weight: f64 = folds.iter().map(|fold| fold.weight).sum();
    let mean = |of: &dyn Fn(&Reliability) -> f64| folds.iter().map(|fold| fold.weight * of(fold)).sum::<f64>() / weight;
    Reliability {
        flows: folds.iter().map(|fold| fold.flows).sum(),
        alarms: folds.iter().map(|fold| fold.alarms).sum(),
        weight,
        before: Quality {
            calibration_error: mean(&|fold| fold.before.calibration_error),
            log_loss: mean(&|fold| fold.before.log_loss),
        },
        after: Quality {
            calibration_error: mean(&|fold| fold.after.calibration_error),
            log_loss: mean(&|fold| fold.after.log_loss),
        },
    }
}

/// A flow that a model had not seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    pub fold: usize,
    /// Place of the class that the model gave.
    pub said: usize,
    pub confidence: f32,
    pub is_right: bool,
    /// Its share of the whole weight.
    pub weight: f64,
    /// In observations, as leaves count them.
    pub observations: f64,
}

/// Learns the curves by models that each leave a part of the sources out.
///
/// # Errors
/// A class is of so few sources that a part of them holds all of it.
pub fn learn(
    rows: &Rows,
    labelled: &[Labelled<'_>],
    recipe: &Recipe,
    rules: &CalibrationRules,
    progress: &dyn Progress,
) -> Result<Calibration, TrainError> {
    let classes = recipe.class_rules()?;
    let outcomes = outcomes(rows, labelled, recipe, rules.folds, progress)?;
    let curves = curves(&outcomes, &classes, rules.smoothing, None);
    let of_fold = |fold| {
        let others = self::curves(&outcomes, &classes, rules.smoothing, Some(fold));
        reliability(outcomes.iter().filter(|outcome| outcome.fold == fold), &others)
    };
    Ok(Calibration { curves, folds: (0..rules.folds).filter_map(of_fold).collect() })
}

fn outcomes(
    rows: &Rows,
    labelled: &[Labelled<'_>],
    recipe: &Recipe,
    folds: usize,
    progress: &dyn Progress,
) -> Result<Vec<Outcome>, TrainError> {
    let classes = recipe.class_rules()?;
    let split = split(rows, labelled, classes.len(), Grouping::Source, Parts::Count(folds));
    let mut flows = Vec::new();
    for part in split.parts(labelled, &classes) {
        let Part { tested, learnt, .. } = part?;
        flows.extend(by_flow(&answers(&uncalibrated(&learnt, recipe, progress)?, &classes, &tested)?));
    }
    Ok(weighed(&flows, recipe, &classes, &|capture| split.fold_of[capture]))
}

/// The outcomes with the weights that rows have in training: see [`crate::train`].
pub(crate) fn weighed(
    flows: &[Case],
    recipe: &Recipe,
    classes: &[ClassRule],
    fold_of: &dyn Fn(usize) -> usize,
) -> Vec<Outcome> {
    let mut counts: BTreeMap<(usize, usize), f64> = BTreeMap::new();
    flows.iter().for_each(|flow| *counts.entry((flow.capture, flow.truth)).or_default() += 1.0);
    let exponent = recipe.rows.capture_exponent;
    let observations = |flow: &Case| counts[&(flow.capture, flow.truth)].powf(exponent - 1.0);
    let mut of_class = vec![0.0; classes.len()];
    flows.iter().for_each(|flow| of_class[flow.truth] += observations(flow) * flow.emphasis);
    let outcome = |flow: &Case| {
        let observations = observations(flow);
        let share = observations * flow.emphasis / of_class[flow.truth];
        Outcome {
            fold: fold_of(flow.capture),
            said: flow.said,
            confidence: flow.confidence,
            is_right: flow.said == flow.truth,
            weight: share * classes[flow.truth].prior,
            observations,
        }
    };
    flows.iter().map(outcome).collect()
}

/// A curve for each threat, of all outcomes but those of one fold. A harmless flow is known by its alarms being none, not by how
/// sure a checkpoint was of it.
fn curves(outcomes: &[Outcome], classes: &[ClassRule], smoothing: f64, without: Option<usize>) -> Vec<Curve> {
    let of_class = |(class, rule): (usize, &ClassRule)| {
        if rule.class == ThreatClass::Benign {
            return IDENTITY;
        }
        let told = outcomes.iter().filter(|outcome| outcome.said == class && Some(outcome.fold) != without);
        curve(told, rule.prior, smoothing)
    };
    classes.iter().enumerate().map(of_class).collect()
}

/// Outcomes of neighbouring confidences, taken together.
#[derive(Clone, Copy, Debug)]
struct Level {
    weight: f64,
    /// The part of the weight that was right.
    right: f64,
    observations: f64,
    /// The mean, by weight.
    confidence: f64,
}

impl Level {
    fn frequency(&self) -> f64 {
        self.right / self.weight
    }

    fn join(&mut self, other: &Self) {
        let weight = self.weight + other.weight;
        self.confidence = (self.confidence * self.weight + other.confidence * other.weight) / weight;
        self.weight = weight;
        self.right += other.right;
        self.observations += other.observations;
    }

    /// By how much squares grow when the two become one.
    fn cost_to_join(&self, other: &Self) -> f64 {
        let difference = self.frequency() - other.frequency();
        self.weight * other.weight / (self.weight + other.weight) * difference * difference
    }

    /// With so many observations of the prior added.
    fn smoothed(&self, prior: f64, smoothing: f64) -> Self {
        let observations = self.observations + smoothing;
        let frequency = (self.observations * self.frequency() + smoothing * prior) / observations;
        Self { right: self.weight * frequency.clamp(LEAST_DOUBT, 1.0 - LEAST_DOUBT), ..*self }
    }
}

fn curve<'a>(outcomes: impl Iterator<Item = &'a Outcome>, prior: f64, smoothing: f64) -> Curve {
    let mut levels = pooled(&by_confidence(outcomes));
    while levels.len() > MAX_KNOTS {
        join_the_nearest(&mut levels);
    }
    let smoothed: Vec<Level> = levels.iter().map(|level| level.smoothed(prior, smoothing)).collect();
    let mut knots: Vec<Knot> = Vec::new();
    for level in pooled(&smoothed) {
        let knot = Knot { confidence: level.confidence as f32, frequency: level.frequency() as f32 };
        // Two that differ by less than f32 can tell are one.
        if knots.last().is_none_or(|last| last.confidence < knot.confidence) {
            knots.push(knot);
        }
    }
    Curve::new(&knots).unwrap_or(IDENTITY)
}

/// What is left of a class that raised no alarm.
const IDENTITY: Curve = match Curve::new(&[]) {
    Some(curve) => curve,
    None => unreachable!(),
};

/// A level for each confidence that was given, from the smallest on.
fn by_confidence<'a>(outcomes: impl Iterator<Item = &'a Outcome>) -> Vec<Level> {
    let mut levels: BTreeMap<u32, Level> = BTreeMap::new();
    for outcome in outcomes {
        let level = Level {
            weight: outcome.weight,
            right: if outcome.is_right { outcome.weight } else { 0.0 },
            observations: outcome.observations,
            confidence: f64::from(outcome.confidence),
        };
        // Bits of numbers that are not negative are in the order of the numbers.
        levels.entry(outcome.confidence.to_bits()).and_modify(|known| known.join(&level)).or_insert(level);
    }
    levels.into_values().collect()
}

/// Joins neighbours until frequencies do not fall: pool adjacent violators.
fn pooled(levels: &[Level]) -> Vec<Level> {
    let mut pooled: Vec<Level> = Vec::new();
    for level in levels {
        let mut last = *level;
        while let Some(before) = pooled.pop_if(|before| before.frequency() >= last.frequency()) {
            let mut joined = before;
            joined.join(&last);
            last = joined;
        }
        pooled.push(last);
    }
    pooled
}

fn join_the_nearest(levels: &mut Vec<Level>) {
    let costs = levels.windows(2).map(|pair| pair[0].cost_to_join(&pair[1]));
    let nearest = costs.enumerate().min_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |(at, _)| at);
    let joined = levels.remove(nearest + 1);
    levels[nearest].join(&joined);
}

/// How well these outcomes agree with their confidences; none without outcomes.
fn reliability<'a>(outcomes: impl Iterator<Item = &'a Outcome>, curves: &[Curve]) -> Option<Reliability> {
    let all: Vec<&Outcome> = outcomes.collect();
    let alarms: Vec<Outcome> = all.iter().filter(|outcome| outcome.said != 0).map(|outcome| **outcome).collect();
    let mut calibrated = alarms.clone();
    for outcome in &mut calibrated {
        outcome.confidence = curves[outcome.said].at(outcome.confidence);
    }
    let weight = alarms.iter().map(|alarm| alarm.weight).sum();
    let (flows, before, after) = (all.len(), quality(&alarms), quality(&calibrated));
    (flows > 0).then_some(Reliability { flows, alarms: alarms.len(), weight, before, after })
}

/// How far the confidences of outcomes are from what became of them.
pub(crate) fn quality(outcomes: &[Outcome]) -> Quality {
    let total: f64 = outcomes.iter().map(|outcome| outcome.weight).sum();
    if total == 0.0 {
        return Quality::default();
    }
    let loss = |outcome: &Outcome| {
        let confidence = f64::from(outcome.confidence);
        let probability = if outcome.is_right { confidence } else { 1.0 - confidence };
        -outcome.weight * probability.max(LEAST_PROBABILITY).ln()
    };
    let error = bins(outcomes).into_iter().flatten().map(|bin| bin.weight * (bin.confidence - bin.frequency).abs());
    Quality { calibration_error: error.sum::<f64>() / total, log_loss: outcomes.iter().map(loss).sum::<f64>() / total }
}

/// Outcomes whose confidences lie in the same bin.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bin {
    /// Their weight.
    pub weight: f64,
    /// How many they are.
    pub flows: u64,
    /// The mean confidence, by weight.
    pub confidence: f64,
    /// How often they were right, by weight.
    pub frequency: f64,
}

/// The bins from 0 to 1; none where nothing lies.
pub(crate) fn bins(outcomes: &[Outcome]) -> Vec<Option<Bin>> {
    let mut sums = vec![(0.0, 0, 0.0, 0.0); BINS];
    for outcome in outcomes {
        let confidence = f64::from(outcome.confidence);
        let (weight, flows, confidences, right) = &mut sums[((confidence * BINS as f64) as usize).min(BINS - 1)];
        *weight += outcome.weight;
        *flows += 1;
        *confidences += outcome.weight * confidence;
        *right += if outcome.is_right { outcome.weight } else { 0.0 };
    }
    let bin = |(weight, flows, confidences, right): (f64, u64, f64, f64)| {
        (weight > 0.0).then(|| Bin { weight, flows, confidence: confidences / weight, frequency: right / weight })
    };
    sums.into_iter().map(bin).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forest::MAX_CLASSES;
    use crate::random::Random;
    use crate::small::recipe_text;

    fn outcome(confidence: f32, is_right: bool) -> Outcome {
        Outcome { fold: 0, said: 1, confidence, is_right, weight: 1.0, observations: 1.0 }
    }

    fn outcomes(told: &[(f32, usize, usize)]) -> Vec<Outcome> {
        let one = |&(confidence, right, wrong): &(f32, usize, usize)| {
            (0..right + wrong).map(move |at| outcome(confidence, at < right))
        };
        told.iter().flat_map(one).collect()
    }

    fn knots(told: &[(f32, usize, usize)], smoothing: f64) -> Vec<(f32, f32)> {
        let curve = curve(outcomes(told).iter(), 0.1, smoothing);
        curve.knots().iter().map(|knot| (knot.confidence, knot.frequency)).collect()
    }

    #[test]
    fn neighbours_that_would_fall_are_pooled() {
        // 1/4, then 3/4 and 1/4 which fall and make 2/4, then 3/4.
        let told = [(0.25, 1, 3), (0.5, 3, 1), (0.75, 1, 3), (0.875, 3, 1)];
        assert_eq!(knots(&told, 0.0), [(0.25, 0.25), (0.625, 0.5), (0.875, 0.75)]);
    }

    #[test]
    fn few_observations_say_little_and_none_say_nothing() {
        // (4 * 3/4 + 0.1) / 5 and (1 + 0.1) / 2, which would fall, so both are one: weighted by 4 and 1.
        let [(confidence, frequency)] = knots(&[(0.5, 3, 1), (0.75, 1, 0)], 1.0)[..] else { unreachable!("one knot") };
        assert!((confidence - 0.55).abs() < 1e-6 && (frequency - (4.0 * 0.62 + 0.55) / 5.0).abs() < 1e-6);
        assert_eq!(knots(&[], 1.0), []);
    }

    #[test]
    fn no_curve_is_certain_and_none_has_more_knots_than_fit() {
        assert_eq!(knots(&[(0.9, 1000, 0)], 0.0), [(0.9, 0.999)]);
        let mut random = Random::new(1);
        let told: Vec<Outcome> = (0..20_000)
            .map(|_| {
                let confidence = random.share() as f32;
                outcome(confidence, random.share() < f64::from(confidence).powi(2))
            })
            .collect();
        let curve = curve(told.iter(), 0.1, 1.0);
        assert!(curve.knots().len() <= MAX_KNOTS && curve.knots().len() > 8, "{curve:?}");
        for step in 1..20_u8 {
            let confidence = f32::from(step) / 20.0;
            assert!((curve.at(confidence) - confidence * confidence).abs() < 0.05, "{confidence}: {curve:?}");
        }
    }

    #[test]
    fn outcomes_weigh_what_their_rows_weighed_in_training() {
        let classes = [("benign", r#"["b"]"#, 0.8), ("scan", r#"["s"]"#, 0.2)];
        let text = recipe_text(&classes, "max_depth = 3\nmin_leaf_share = 0\nmin_gain = 0\nsmoothing = 1");
        let recipe: Recipe = toml::from_str(&text).unwrap();
        let flow = |capture, flow, truth, emphasis| Case {
            capture,
            initiator: 0,
            flow,
            truth,
            emphasis,
            said: 1,
            confidence: 0.5,
            shares: [0.0; MAX_CLASSES],
        };
        // Four flows of a capture count as two, and one alert that stands for three captures as three.
        let mut flows: Vec<Case> = (0..4).map(|number| flow(0, number, 0, 1.0)).collect();
        flows.extend([flow(1, 0, 0, 3.0), flow(2, 0, 1, 1.0)]);
        let weights: Vec<f64> = weighed(&flows, &recipe, &recipe.class_rules().unwrap(), &|_| 0)
            .iter()
            .map(|outcome| outcome.weight)
            .collect();
        let expected = [0.08, 0.08, 0.08, 0.08, 0.48, 0.2];
        assert!(
            weights.iter().zip(expected).all(|(weight, expected)| (weight - expected).abs() < 1e-12),
            "{weights:?}"
        );
    }

    #[test]
    fn quality_computed_by_hand() {
        // Bins 7 (0.5) and 13 (0.9): |0.5 - 0.25| and |0.9 - 1|, of equal weight.
        let quality = quality(&outcomes(&[(0.5, 1, 3), (0.9, 4, 0)]));
        assert!((quality.calibration_error - (0.25 + 0.1) / 2.0).abs() < 1e-6, "{quality:?}");
        let expected = (4.0 * 2.0_f64.ln() - 4.0 * f64::from(0.9_f32).ln()) / 8.0;
        assert!((quality.log_loss - expected).abs() < 1e-9, "{quality:?}");
    }
}
