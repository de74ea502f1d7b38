//! Drift: how unlike the data that it was trained on a model finds the traffic, in constant memory.
//!
//! Each feature of a flow that ended, and was not taken for an attack, falls into one of the bins that the model brings along.
//! How the bins fill is held against how they filled in training (the population stability index), and so is how many values lie
//! outside of all that training saw. Old flows fade: the counts are halved whenever a window is full.

use model_compiler::spread::{BINS, UNREACHABLE_INDEX, bin, stability_index};
use traffic::features::{FEATURE_COUNT, FeatureVector};
use traffic::time::Timestamp;

use super::Model;

/// Flows after which the counts are halved: a household's busy day, and few enough that a change shows within one.
const WINDOW_FLOWS: u32 = 32_768;

/// Fewer flows than these say nothing yet: one visit of a page has a hundred.
pub const LEAST_FLOWS: u32 = 2_000;

/// Flows of one second that count, the first ones: no burst of a single program is taken for the household's traffic, and a flood
/// costs nothing here.
const MOST_PER_S: u32 = 32;

/// From this share of values outside of all those of training on, a feature is told of whatever its index is. The index alone does
/// not do: what lies beyond all values counts in the first or the last bin, as a tenth of training does, so that of many features
/// it stays below 7 though every value is a new one. Of sources that a model has not seen (`model-compiler drift`) with 2,000 flows and
/// more at most 0.1 % are outside: half of them is far from what chance or a rare program does, and less than a change of the whole.
const FOREIGN_SHARE: f32 = 0.5;

/// One feature's difference from training.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FeatureDrift {
    /// Population stability index: 0 for the same spread.
    pub index: f32,
    /// The share of values outside of those of training, 0 to 1.
    pub outside: f32,
}

/// The difference of all features, in the order of the schema.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drifted {
    /// Flows behind it.
    pub flows: u32,
    /// Of each feature, whether the model asks for it or not.
    pub features: [FeatureDrift; FEATURE_COUNT],
}

impl FeatureDrift {
    /// Most values are such as training never saw.
    #[must_use]
    pub const fn is_foreign(self) -> bool {
        self.outside >= FOREIGN_SHARE
    }

    /// Whether people are told of it, who want to be told from this index on. Of an index that there cannot be they want to be told
    /// nothing.
    #[must_use]
    pub const fn is_told(self, alarm: f32) -> bool {
        self.index >= alarm || (self.is_foreign() && alarm < UNREACHABLE_INDEX)
    }
}

impl Drifted {
    /// The features that this model asks for, by their places: first those whose values it mostly never saw, and of these and of the
    /// others the most different one; none while too few flows have ended.
    #[must_use]
    pub fn worst_of(&self, model: &Model) -> Vec<(usize, FeatureDrift)> {
        if self.flows < LEAST_FLOWS {
            return Vec::new();
        }
        let mut asked: Vec<_> = self.features.into_iter().enumerate().filter(|(at, _)| model.asks(*at)).collect();
        asked.sort_by(|(_, a), (_, b)| (b.is_foreign().cmp(&a.is_foreign())).then(b.index.total_cmp(&a.index)));
        asked
    }
}

/// Counts values by the bins of a model.
#[derive(Clone, Debug)]
pub struct Drift {
    model: &'static Model,
    bins: [[u32; BINS]; FEATURE_COUNT],
    outside: [u32; FEATURE_COUNT],
    flows: u32,
    /// The second that is running, and how many flows it has had.
    second: u64,
    of_second: u32,
}

impl Drift {
    /// Nothing is counted yet.
    #[must_use]
    pub const fn new(model: &'static Model) -> Self {
        let (bins, outside) = ([[0; BINS]; FEATURE_COUNT], [0; FEATURE_COUNT]);
        Self { model, bins, outside, flows: 0, second: 0, of_second: 0 }
    }

    /// Takes in a harmless flow at its end.
    pub fn take(&mut self, features: &FeatureVector, time: Timestamp) {
        if self.second != time.as_secs() {
            (self.second, self.of_second) = (time.as_secs(), 0);
        }
        if self.of_second >= MOST_PER_S {
            return;
        }
        self.of_second += 1;
        if self.flows >= WINDOW_FLOWS {
            self.fade();
        }
        self.flows += 1;
        let learnt = self.model.ranges.iter().zip(self.model.spreads);
        let counts = self.bins.iter_mut().zip(&mut self.outside);
        for ((value, (bins, outside)), ((min, max), (edges, _))) in features.iter().zip(counts).zip(learnt) {
            if let Some(count) = bins.get_mut(bin(edges, *value)) {
                *count += 1;
            }
            *outside += u32::from(value < min || value > max);
        }
    }

    /// Halves the counts. Odd ones lose a half, which is less than a bin's share can mean.
    fn fade(&mut self) {
        self.bins.iter_mut().flatten().chain(&mut self.outside).for_each(|count| *count /= 2);
        self.flows /= 2;
    }

    /// The difference from training.
    #[must_use]
    pub fn drifted(&self) -> Drifted {
        let mut features = [FeatureDrift::default(); FEATURE_COUNT];
        let counts = self.bins.iter().zip(&self.outside).zip(self.model.spreads);
        for (feature, ((bins, outside), (_, shares))) in features.iter_mut().zip(counts) {
            let outside = *outside as f32 / self.flows.max(1) as f32;
            *feature = FeatureDrift { index: stability_index(shares, bins), outside };
        }
        Drifted { flows: self.flows, features }
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::super::BUILT_IN;
    use super::*;

    /// A flow a second, from a moment on.
    fn take(drift: &mut Drift, flows: u32, value: impl Fn(usize, u32) -> f32) {
        let start = Timestamp::from_secs(1_800_000_000);
        for flow in 0..flows {
            let features = core::array::from_fn(|feature| value(feature, flow));
            drift.take(&features, start.plus(Duration::from_secs(flow.into())));
        }
    }

    /// A value in the bins of the built-in model, as they filled in training: the flow's place among 1,000.
    fn as_learnt(feature: usize, flow: u32) -> f32 {
        let (edges, shares) = BUILT_IN.spreads[feature];
        let place = (flow % 1_000) as f32 / 1_000.0;
        let mut below = 0.0;
        for (bin, share) in shares.into_iter().enumerate() {
            below += share;
            if place < below {
                return edges.get(bin).copied().unwrap_or(BUILT_IN.ranges[feature].1);
            }
        }
        BUILT_IN.ranges[feature].1
    }

    #[test]
    fn traffic_as_in_training_does_not_drift() {
        let mut drift = Drift::new(&BUILT_IN);
        take(&mut drift, LEAST_FLOWS - 1, as_learnt);
        assert!(drift.drifted().worst_of(&BUILT_IN).is_empty(), "too few flows say nothing");
        take(&mut drift, 3 * WINDOW_FLOWS, as_learnt);
        let drifted = drift.drifted();
        let (feature, worst) = drifted.worst_of(&BUILT_IN)[0];
        assert!(worst.index < 0.02 && worst.outside == 0.0, "{feature}: {worst:?}");
        assert!((WINDOW_FLOWS / 2..=WINDOW_FLOWS).contains(&drifted.flows), "{}", drifted.flows);
    }

    #[test]
    fn a_feature_that_changes_is_found_and_forgotten_once_it_is_as_before() {
        let changed = (0..FEATURE_COUNT).find(|feature| BUILT_IN.asks(*feature)).unwrap();
        let mut drift = Drift::new(&BUILT_IN);
        let beyond = |feature, flow| if feature == changed { 1e30 } else { as_learnt(feature, flow) };
        take(&mut drift, 10_000, beyond);
        let (feature, worst) = drift.drifted().worst_of(&BUILT_IN)[0];
        assert_eq!(feature, changed);
        assert!(worst.index > 1.0 && worst.outside == 1.0 && worst.is_told(7.0), "{worst:?}");
        assert!(!worst.is_told(UNREACHABLE_INDEX), "who wants to be told of nothing");
        take(&mut drift, 8 * WINDOW_FLOWS, as_learnt);
        let after = drift.drifted().features[changed];
        assert!(after.index < 0.02 && after.outside < 0.02, "{after:?}");
    }

    #[test]
    fn what_the_model_does_not_ask_for_is_not_told() {
        let unasked = (0..FEATURE_COUNT).find(|feature| !BUILT_IN.asks(*feature)).unwrap();
        let mut drift = Drift::new(&BUILT_IN);
        take(&mut drift, LEAST_FLOWS, |feature, flow| if feature == unasked { 1e30 } else { as_learnt(feature, flow) });
        let drifted = drift.drifted();
        assert!(drifted.features[unasked].index > 1.0);
        assert!(drifted.worst_of(&BUILT_IN).iter().all(|(feature, _)| *feature != unasked));
    }

    #[test]
    fn a_burst_counts_no_more_than_its_second_may() {
        let mut drift = Drift::new(&BUILT_IN);
        let now = Timestamp::from_secs(1_800_000_000);
        for _ in 0..10_000 {
            drift.take(&[0.0; FEATURE_COUNT], now);
        }
        assert_eq!(drift.drifted().flows, MOST_PER_S);
        drift.take(&[0.0; FEATURE_COUNT], now.plus(Duration::from_secs(1)));
        assert_eq!(drift.drifted().flows, MOST_PER_S + 1);
    }
}
