//! The tree: at each node the comparison that lowers the impurity most, of all that there are.
//!
//! The search is exact, as in CART (Breiman, Friedman, Olshen, Stone 1984): between any two neighbouring values of a
//! feature among the samples of the node, over all classes at once. Each feature is sorted once; below that a node only
//! parts its stretch of each sorted column in two, so a level of the tree costs one pass over the table.
//!
//! A tree may be grown too far and cut back: what remains is the smallest of the trees below it whose impurity and leaves cost least
//! together (minimal cost-complexity pruning, the same book, section 3.3).
//!
//! The same samples in the same order give the same tree, bit for bit: weights are added in `f64` in the order of the
//! sorted column, samples of one value in the order in which they came; of comparisons worth the same, the first feature
//! and the lowest threshold win. `tests/scikit_learn.rs` and `tests/linfa.rs` hold the trees against those of others.
//!
//! linfa-trees is held against and not built upon: asked for a stump at each node it would sort all features anew at each, it adds weights
//! in `f32`, and it knows neither features whose effect has one direction nor ones that are asked first.

use crate::model::{MAX_DEPTH, Node, Tree};
use crate::recipe::Use;

/// One observation to learn from.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// What the model will see; finite, and as many as [`Growth::uses`].
    pub features: &'a [f32],
    /// What it shall say: the place of the class.
    pub class: usize,
    /// How much it counts; above 0.
    pub weight: f64,
}

/// What the tree may do, and when to stop.
#[derive(Clone, Debug)]
pub struct Growth {
    /// How many classes there are; the first is the harmless one.
    pub classes: usize,
    /// How each feature may be used.
    pub uses: Vec<Use>,
    /// Places of flags that the first comparisons are about, whatever they are worth.
    pub ask_first: Vec<usize>,
    /// The most comparisons on the way to a leaf.
    pub max_depth: usize,
    /// The smallest share of the whole weight that may stand in a leaf.
    pub min_leaf_share: f64,
    /// The smallest decrease of impurity, weighted by the node's share, that is worth a comparison.
    pub min_gain: f64,
    /// What a leaf costs, in impurity weighted by the share of its node: a grown branch that lowers the impurity by less than its leaves
    /// cost is cut off. 0: nothing is cut off.
    pub ccp_alpha: f64,
}

/// How mixed the classes of a set of samples are; 0 where there is one class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Impurity {
    /// Gini's: how often two samples drawn at random are of different classes.
    Gini,
    /// Shannon's entropy in bits. It minds rare classes more.
    Entropy,
}

/// Why no tree grew.
#[derive(Debug, thiserror::Error)]
pub enum GrowError {
    /// There is nothing to learn from.
    #[error("there are no samples")]
    NoSamples,
    /// More samples than places have numbers.
    #[error("there are more than {} samples", u32::MAX)]
    TooManySamples,
    /// A sample with another number of features than there are rules for.
    #[error("a sample has {found} features, and there are {expected}")]
    Length {
        /// How many it has.
        found: usize,
        /// How many it must have.
        expected: usize,
    },
}

/// Grows a tree by Gini impurity. `leaf` makes the leaf in which the samples at the given places end.
///
/// # Errors
/// There are no samples, or they do not fit the growth.
pub fn grow(samples: &[Sample<'_>], growth: &Growth, leaf: &dyn Fn(&[usize]) -> Node) -> Result<Tree, GrowError> {
    grow_by(Impurity::Gini, samples, growth, leaf)
}

/// Grows a tree by the impurity given, which [`Growth::min_gain`] is about too.
///
/// # Errors
/// As [`grow`].
pub fn grow_by(
    impurity: Impurity,
    samples: &[Sample<'_>],
    growth: &Growth,
    leaf: &dyn Fn(&[usize]) -> Node,
) -> Result<Tree, GrowError> {
    check(samples, growth)?;
    let mut grower = Grower {
        impurity,
        samples,
        growth,
        total: samples.iter().map(|sample| sample.weight).sum(),
        leaf,
        columns: columns(samples, growth)?,
        is_low: vec![false; samples.len()],
        spare: Vec::with_capacity(samples.len()),
        nodes: Vec::new(),
    };
    grower.node((0..samples.len()).collect(), 0, 0);
    Ok(Tree { class: None, nodes: grower.nodes })
}

fn check(samples: &[Sample<'_>], growth: &Growth) -> Result<(), GrowError> {
    let expected = growth.uses.len();
    match samples.iter().find(|sample| sample.features.len() != expected) {
        Some(sample) => Err(GrowError::Length { found: sample.features.len(), expected }),
        None if samples.is_empty() => Err(GrowError::NoSamples),
        None => Ok(()),
    }
}

/// A feature that may be asked for, with the samples in the order of its values. The samples of a node stand next to
/// each other, at the same places of every column.
struct Column {
    feature: usize,
    rule: Use,
    entries: Vec<Entry>,
}

#[derive(Clone, Copy)]
struct Entry {
    value: f32,
    place: u32,
}

fn columns(samples: &[Sample<'_>], growth: &Growth) -> Result<Vec<Column>, GrowError> {
    let usable = growth.uses.iter().enumerate().filter(|(_, rule)| **rule != Use::No);
    usable.map(|(feature, &rule)| Ok(Column { feature, rule, entries: sorted(samples, feature)? })).collect()
}

fn sorted(samples: &[Sample<'_>], feature: usize) -> Result<Vec<Entry>, GrowError> {
    let entry = |(place, sample): (usize, &Sample<'_>)| {
        // Adding zero makes one value of 0 and -0, which a comparison cannot tell apart either.
        let value = sample.features[feature] + 0.0;
        u32::try_from(place).map(|place| Entry { value, place }).map_err(|_| GrowError::TooManySamples)
    };
    let mut entries = samples.iter().enumerate().map(entry).collect::<Result<Vec<_>, _>>()?;
    entries.sort_unstable_by(|a, b| a.value.total_cmp(&b.value).then(a.place.cmp(&b.place)));
    Ok(entries)
}

struct Grower<'a> {
    impurity: Impurity,
    samples: &'a [Sample<'a>],
    growth: &'a Growth,
    total: f64,
    leaf: &'a dyn Fn(&[usize]) -> Node,
    columns: Vec<Column>,
    /// Whether a sample of the node that is being split goes to its low side.
    is_low: Vec<bool>,
    /// Room for the high side of a column while it is parted.
    spare: Vec<Entry>,
    nodes: Vec<Node>,
}

/// A node that was added, with all below it, and what its leaves cost.
struct Added {
    at: usize,
    cost: f64,
    /// Something in it is asked whatever it is worth, so it is not cut off.
    is_due: bool,
}

/// What a node asks.
struct Asked {
    feature: usize,
    threshold: f32,
    /// It is asked whatever it is worth.
    is_due: bool,
}

/// A comparison and what it is worth.
#[derive(Clone, Copy, Debug)]
struct Split {
    feature: usize,
    threshold: f32,
    gain: f64,
}

impl Grower<'_> {
    /// Adds the node of these samples, which begin at `start` in each column, and all below it.
    fn node(&mut self, places: Vec<usize>, start: usize, depth: usize) -> Added {
        let at = self.nodes.len();
        self.nodes.push((self.leaf)(&places));
        let leaf = Added { at, cost: self.cost_of_leaf(&places), is_due: false };
        if depth >= self.growth.max_depth.min(MAX_DEPTH) {
            return leaf;
        }
        let Some(Asked { feature, threshold, is_due }) = self.comparison(&places, start, depth) else { return leaf };
        self.part_columns(&places, start, feature, threshold);
        let (low, high): (Vec<usize>, Vec<usize>) = places.into_iter().partition(|&place| self.is_low[place]);
        let middle = start + low.len();
        let left = self.node(low, start, depth + 1);
        let right = self.node(high, middle, depth + 1);
        let cost = left.cost + right.cost;
        let is_due = is_due || left.is_due || right.is_due;
        if self.growth.ccp_alpha > 0.0 && !is_due && leaf.cost <= cost {
            self.nodes.truncate(at + 1);
            return leaf;
        }
        self.nodes[at] = Node::Split { feature, threshold, left: left.at, right: right.at };
        Added { at, cost, is_due }
    }

    /// What a leaf with these samples costs: its impurity by its share, and itself. Of a branch it is the sum over the leaves.
    fn cost_of_leaf(&self, places: &[usize]) -> f64 {
        self.impurity.of(self.weights(places).into_iter()) / self.total + self.growth.ccp_alpha
    }

    /// The weights of the samples by their classes.
    fn weights(&self, places: &[usize]) -> Vec<f64> {
        let mut weights = vec![0.0; self.growth.classes];
        for &place in places {
            weights[self.samples[place].class] += self.samples[place].weight;
        }
        weights
    }

    /// Puts the samples for which the comparison holds before the others, in every column and without another change of
    /// order.
    fn part_columns(&mut self, places: &[usize], start: usize, feature: usize, threshold: f32) {
        for &place in places {
            self.is_low[place] = self.samples[place].features[feature] <= threshold;
        }
        for column in &mut self.columns {
            let entries = &mut column.entries[start..start + places.len()];
            self.spare.clear();
            let mut low = 0;
            for at in 0..entries.len() {
                let entry = entries[at];
                if self.is_low[entry.place as usize] {
                    entries[low] = entry;
                    low += 1;
                } else {
                    self.spare.push(entry);
                }
            }
            entries[low..].copy_from_slice(&self.spare);
        }
    }

    /// What is asked here: a flag whose turn it is, if it tells any samples apart, or else what is worth most.
    fn comparison(&self, places: &[usize], start: usize, depth: usize) -> Option<Asked> {
        if let Some(&flag) = self.growth.ask_first.get(depth) {
            let is_set = |&place: &usize| self.samples[place].features[flag] > 0.5;
            if places.iter().any(is_set) && !places.iter().all(is_set) {
                return Some(Asked { feature: flag, threshold: 0.5, is_due: true });
            }
        }
        let Split { feature, threshold, .. } = self.best_split(places, start)?;
        Some(Asked { feature, threshold, is_due: false })
    }

    fn best_split(&self, places: &[usize], start: usize) -> Option<Split> {
        let whole = self.weights(places);
        if whole.iter().filter(|weight| **weight > 0.0).count() < 2 {
            return None;
        }
        let mut best: Option<Split> = None;
        for column in &self.columns {
            let entries = &column.entries[start..start + places.len()];
            if let Some(split) = self.best_of(column, entries, &whole)
                && best.is_none_or(|best| split.gain > best.gain)
            {
                best = Some(split);
            }
        }
        // A gain within rounding of the least counts as enough, so that a least gain of 0 also lets a comparison through
        // that only prepares the next one.
        best.filter(|best| best.gain + f64::EPSILON >= self.growth.min_gain)
    }

    /// The best comparison with one feature that keeps its rule and leaves enough on both sides.
    fn best_of(&self, column: &Column, entries: &[Entry], whole: &[f64]) -> Option<Split> {
        let least = (self.growth.min_leaf_share * self.total).max(f64::MIN_POSITIVE);
        let (all, impurity_of_all) = (whole.iter().sum::<f64>(), self.impurity.of(whole.iter().copied()));
        let mut low = vec![0.0; whole.len()];
        let mut best: Option<Split> = None;
        for pair in entries.windows(2) {
            let sample = &self.samples[pair[0].place as usize];
            low[sample.class] += sample.weight;
            if pair[0].value == pair[1].value {
                continue;
            }
            let below: f64 = low.iter().sum();
            if below < least || all - below < least || !column.rule.allows(&low, whole) {
                continue;
            }
            let high = whole.iter().zip(&low).map(|(whole, low)| (whole - low).max(0.0));
            let gain =
                (impurity_of_all - (self.impurity.of(low.iter().copied()) + self.impurity.of(high))) / self.total;
            if best.is_none_or(|best| gain > best.gain) {
                best = Some(Split { feature: column.feature, threshold: between(pair[0].value, pair[1].value), gain });
            }
        }
        best
    }
}

impl Use {
    /// Whether the harmless class may have the share that it has in `low`, below the threshold, and in the rest above
    /// it.
    fn allows(self, low: &[f64], whole: &[f64]) -> bool {
        let (below, all): (f64, f64) = (low.iter().sum(), whole.iter().sum());
        let excess_below = low[0] * all - whole[0] * below;
        match self {
            Self::Free => true,
            Self::MoreIsWorse => excess_below >= 0.0,
            Self::LessIsWorse => excess_below <= 0.0,
            Self::No => false,
        }
    }
}

impl Impurity {
    /// The impurity of classes with these weights, times their sum.
    pub fn of(self, weights: impl Iterator<Item = f64>) -> f64 {
        let term = |weight: f64| match self {
            Self::Gini => weight * weight,
            Self::Entropy if weight > 0.0 => weight * weight.log2(),
            Self::Entropy => 0.0,
        };
        let (total, terms) = weights.fold((0.0, 0.0), |(sum, terms), weight| (sum + weight, terms + term(weight)));
        match self {
            Self::Gini if total > 0.0 => total - terms / total,
            Self::Entropy if total > 0.0 => total * total.log2() - terms,
            _ => 0.0,
        }
    }
}

/// The middle between two values, rounded down: `low <= threshold < high` holds for every pair of neighbours too.
fn between(low: f32, high: f32) -> f32 {
    let middle = (f64::from(low) + f64::from(high)) / 2.0;
    let rounded = middle as f32;
    if f64::from(rounded) > middle { rounded.next_down() } else { rounded }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use traffic::features::{FEATURE_COUNT, FeatureVector};

    use super::*;

    fn growth(classes: usize, max_depth: usize, min_leaf_share: f64, min_gain: f64) -> Growth {
        let (uses, ask_first) = (vec![Use::Free; FEATURE_COUNT], Vec::new());
        Growth { classes, uses, ask_first, max_depth, min_leaf_share, min_gain, ccp_alpha: 0.0 }
    }

    fn vector(values: &[f32]) -> FeatureVector {
        let mut features = [0.0; FEATURE_COUNT];
        features[..values.len()].copy_from_slice(values);
        features
    }

    /// Grows a tree whose leaves hold the plain distribution.
    fn tree(samples: &[Sample<'_>], growth: &Growth) -> Tree {
        let leaf = |places: &[usize]| {
            let mut probabilities = vec![0.0; growth.classes];
            for &place in places {
                probabilities[samples[place].class] += 1.0;
            }
            probabilities.iter_mut().for_each(|count| *count /= places.len() as f32);
            Node::Leaf { rows: places.len() as u64, values: probabilities }
        };
        grow(samples, growth, &leaf).unwrap()
    }

    #[test]
    fn two_flags_that_decide_together_are_learnt_exactly() {
        // linfa's own fit of depth 2 gets 77 % of it right.
        let vectors: Vec<FeatureVector> =
            (0..1000_u32).map(|i| vector(&[(i * 7 / 3 % 2) as f32, (i / 5 % 2) as f32])).collect();
        let class = |x: &FeatureVector| (2.0 * x[0] + x[1]) as usize;
        let samples: Vec<Sample<'_>> =
            vectors.iter().map(|x| Sample { features: x, class: class(x), weight: 1.0 }).collect();
        let tree = tree(&samples, &growth(4, 2, 1e-6, 1e-9));
        assert_eq!(tree.leaves(), 4);
        for x in &vectors {
            assert_eq!(tree.leaf_of(x)[class(x)], 1.0, "{x:?}");
        }
    }

    #[test]
    fn weights_and_the_smallest_leaf_count() {
        let vectors: Vec<FeatureVector> = (0..10).map(|i| vector(&[i as f32])).collect();
        let samples: Vec<Sample<'_>> = vectors
            .iter()
            .enumerate()
            .map(|(at, features)| Sample {
                features,
                class: usize::from(at == 9),
                weight: if at == 9 { 9.0 } else { 1.0 },
            })
            .collect();
        let growth = growth(2, 3, 0.1, 1e-9);
        assert_eq!(tree(&samples, &growth).nodes[0], Node::Split { feature: 0, threshold: 8.5, left: 1, right: 2 });
        assert_eq!(tree(&samples, &Growth { min_leaf_share: 0.6, ..growth.clone() }).leaves(), 1);
        assert_eq!(tree(&samples, &Growth { min_gain: 0.6, ..growth.clone() }).leaves(), 1);
        assert_eq!(tree(&samples, &Growth { max_depth: 0, ..growth }).leaves(), 1);
    }

    /// 0 to 7 are of one class but for 3, and 8 to 15 of the other. Gini's impurity falls from 1 - (7/16)² - (9/16)² to
    /// 2 · 7/8 · 1/8 · 1/2 at 7.5, and by that at 2.5 and 3.5.
    #[test]
    fn a_branch_that_is_worth_less_than_its_leaves_cost_is_cut_off() {
        let vectors: Vec<FeatureVector> = (0..16).map(|i| vector(&[i as f32])).collect();
        let samples: Vec<Sample<'_>> = vectors
            .iter()
            .enumerate()
            .map(|(at, features)| Sample { features, class: usize::from(at > 7 || at == 3), weight: 1.0 })
            .collect();
        let leaves = |ccp_alpha| tree(&samples, &Growth { ccp_alpha, ..growth(2, 9, 0.0, 0.0) }).leaves();
        let stray = 2.0 * 7.0 / 8.0 / 8.0 / 2.0;
        // Two more leaves take the stray sample out; one more leaf parts the halves.
        for (ccp_alpha, expected) in [(0.0, 4), (stray / 2.0 - 1e-9, 4), (stray / 2.0 + 1e-9, 2), (0.38, 2), (0.39, 1)]
        {
            assert_eq!(leaves(ccp_alpha), expected, "{ccp_alpha}");
        }
        let asked = |ask_first| Growth { ask_first, ccp_alpha: 0.9, ..growth(2, 9, 0.0, 0.0) };
        let marked: Vec<FeatureVector> = (0..16).map(|i| vector(&[i as f32, (i % 2) as f32])).collect();
        let marked: Vec<Sample<'_>> =
            samples.iter().zip(&marked).map(|(sample, features)| Sample { features, ..*sample }).collect();
        assert_eq!(tree(&marked, &asked(vec![1])).leaves(), 2, "what is asked first is not cut off");
        // The flag whose turn it is first is the same for all.
        let below = tree(&marked, &asked(vec![2, 1]));
        assert!(below.leaves() > 2, "nor is what leads to it");
    }

    #[test]
    fn flags_that_are_asked_first_come_first_where_they_tell_samples_apart() {
        let vectors: Vec<FeatureVector> =
            (0..100_u32).map(|i| vector(&[i as f32, (i % 2) as f32, 1.0, (i / 2 % 2) as f32])).collect();
        let samples: Vec<Sample<'_>> = vectors
            .iter()
            .map(|features| Sample { features, class: usize::from(features[0] > 49.5), weight: 1.0 })
            .collect();
        let asking = Growth { ask_first: vec![3, 2, 1], ..growth(2, 5, 1e-6, 1e-9) };
        let tree = tree(&samples, &asking);
        assert!(matches!(tree.nodes[0], Node::Split { feature: 3, threshold: 0.5, .. }));
        // The second flag is the same for all, so what is worth most stands there.
        assert!(matches!(tree.nodes[1], Node::Split { feature: 0, .. }), "{:?}", tree.nodes[1]);
        assert!(vectors.iter().all(|x| tree.leaf_of(x)[usize::from(x[0] > 49.5)] == 1.0));
    }

    #[test]
    fn no_samples_are_an_error() {
        let growth = growth(2, 3, 0.1, 1e-9);
        let leaf = |_: &[usize]| Node::Leaf { rows: 0, values: vec![1.0, 0.0] };
        assert!(matches!(grow(&[], &growth, &leaf), Err(GrowError::NoSamples)));
    }

    proptest! {
        #[test]
        fn a_threshold_is_at_least_the_lower_and_below_the_higher_value(a in any::<f32>(), b in any::<f32>()) {
            prop_assume!(a.is_finite() && b.is_finite() && a != b);
            for (low, high) in [(a.min(b), a.max(b)), (a, a.next_up())] {
                prop_assume!(high.is_finite());
                let threshold = between(low, high);
                prop_assert!(low <= threshold && threshold < high, "{low:?} {threshold:?} {high:?}");
            }
        }

        #[test]
        fn with_two_classes_the_split_is_the_best_there_is(
            rows in prop::collection::vec((0_u8..6, 0_u8..6, any::<bool>()), 2..60),
        ) {
            let vectors: Vec<FeatureVector> =
                rows.iter().map(|row| vector(&[f32::from(row.0), f32::from(row.1)])).collect();
            let samples: Vec<Sample<'_>> = vectors
                .iter()
                .zip(&rows)
                .map(|(features, row)| Sample { features, class: usize::from(row.2), weight: 1.0 })
                .collect();
            let growth = growth(2, 1, 1e-6, 1e-6);
            let found = gain_of(&samples, &tree(&samples, &growth));
            let best = (0..12).map(|at| {
                let split = Node::Split { feature: at % 2, threshold: (at / 2) as f32 + 0.5, left: 1, right: 2 };
                let leaf = Node::Leaf { rows: 0, values: vec![] };
                gain_of(&samples, &Tree { class: None, nodes: vec![split, leaf.clone(), leaf] })
            }).fold(0.0, f64::max);
            prop_assert!((found - best).abs() < 1e-6, "found {found}, best {best}");
        }
    }

    /// The gain of a tree's first comparison, counted anew.
    fn gain_of(samples: &[Sample<'_>], tree: &Tree) -> f64 {
        let mut sides = [[0.0; 2]; 2];
        for sample in samples {
            let right = match tree.nodes[0] {
                Node::Split { feature, threshold, .. } => sample.features[feature] > threshold,
                Node::Leaf { .. } => false,
            };
            sides[usize::from(right)][sample.class] += 1.0;
        }
        let whole = [sides[0][0] + sides[1][0], sides[0][1] + sides[1][1]];
        let gini = |weights: &[f64; 2]| Impurity::Gini.of(weights.iter().copied());
        (gini(&whole) - gini(&sides[0]) - gini(&sides[1])) / samples.len() as f64
    }
}
