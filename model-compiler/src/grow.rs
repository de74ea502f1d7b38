//! The tree: at each node the best comparison, found by a stump of linfa-trees, and our own recursion around it.
//!
//! A whole tree by linfa is wrong where values repeat (0.8.1 takes the neighbours of a value from all rows, not from
//! those of the node), and not the same twice (it adds up class weights in the order of a randomly seeded hash map). A
//! single stump has neither fault if it is asked in the right way:
//! - the rows of the node only, and one feature at a time, as the rank of its value among the node's values: values that
//!   are close together stay apart, and the threshold can be set between the true values afterwards;
//! - one class against the rest, because a sum of two numbers does not depend on their order;
//! - weights that are whole numbers with a sum below 2^24, because an `f32` adds those without rounding.
//!
//! Each class gives a proposal per feature. Which one is best for all classes is decided here in `f64`, in a fixed
//! order; of equals the first feature and the lowest threshold win. The same samples therefore give the same tree.

use linfa::dataset::DatasetBase;
use linfa::traits::Fit;
use linfa_trees::{DecisionTree, SplitQuality};
use ndarray::{Array1, Array2};
use traffic::features::FeatureVector;

use crate::model::{MAX_DEPTH, Node, Tree};
use crate::recipe::Use;

/// What the weights of a node are scaled to for linfa: with roundings upwards the sum stays below 2^24.
const WHOLE: f64 = 8_388_608.0;

/// One observation to learn from.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// What the model will see; finite.
    pub features: &'a FeatureVector,
    /// What it shall say: the place of the class.
    pub class: usize,
    /// How much it counts.
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
    /// The smallest decrease of Gini impurity, weighted by the node's share, that is worth a comparison.
    pub min_gain: f64,
}

/// Why no tree grew.
#[derive(Debug, thiserror::Error)]
pub enum GrowError {
    /// There is nothing to learn from.
    #[error("there are no samples")]
    NoSamples,
    /// The stump finder refused.
    #[error("no split could be sought")]
    Stump(#[from] linfa::Error),
    /// Its input was refused.
    #[error("no split could be sought: {0}")]
    Shape(#[from] ndarray::ShapeError),
}

/// Grows a tree. `leaf` makes the leaf in which the samples at the given places end.
///
/// # Errors
/// There are no samples.
pub fn grow(samples: &[Sample<'_>], growth: &Growth, leaf: &dyn Fn(&[usize]) -> Node) -> Result<Tree, GrowError> {
    if samples.is_empty() {
        return Err(GrowError::NoSamples);
    }
    let total = samples.iter().map(|sample| sample.weight).sum();
    let mut grower = Grower { samples, growth, total, leaf, nodes: Vec::new() };
    let all = (0..samples.len()).collect();
    grower.node(all, 0)?;
    Ok(Tree { class: None, nodes: grower.nodes })
}

struct Grower<'a> {
    samples: &'a [Sample<'a>],
    growth: &'a Growth,
    total: f64,
    leaf: &'a dyn Fn(&[usize]) -> Node,
    nodes: Vec<Node>,
}

/// A comparison and what it is worth.
#[derive(Clone, Copy, Debug)]
struct Split {
    feature: usize,
    threshold: f32,
    gain: f64,
}

/// The weights of the classes at one value of a feature.
struct Cell {
    value: f32,
    weights: Vec<f64>,
}

impl Grower<'_> {
    /// Adds the node of these samples and all below it, and gives its place.
    fn node(&mut self, places: Vec<usize>, depth: usize) -> Result<usize, GrowError> {
        let at = self.nodes.len();
        self.nodes.push((self.leaf)(&places));
        if depth >= self.growth.max_depth.min(MAX_DEPTH) {
            return Ok(at);
        }
        let Some((feature, threshold)) = self.comparison(&places, depth)? else { return Ok(at) };
        let (low, high): (Vec<usize>, Vec<usize>) =
            places.into_iter().partition(|&place| self.samples[place].features[feature] <= threshold);
        let left = self.node(low, depth + 1)?;
        let right = self.node(high, depth + 1)?;
        self.nodes[at] = Node::Split { feature, threshold, left, right };
        Ok(at)
    }

    /// What is asked here: a flag whose turn it is, if it tells any samples apart, or else what is worth most.
    fn comparison(&self, places: &[usize], depth: usize) -> Result<Option<(usize, f32)>, GrowError> {
        if let Some(&flag) = self.growth.ask_first.get(depth) {
            let is_set = |&place: &usize| self.samples[place].features[flag] > 0.5;
            if places.iter().any(is_set) && !places.iter().all(is_set) {
                return Ok(Some((flag, 0.5)));
            }
        }
        Ok(self.best_split(places)?.map(|split| (split.feature, split.threshold)))
    }

    fn best_split(&self, places: &[usize]) -> Result<Option<Split>, GrowError> {
        let mut whole = vec![0.0; self.growth.classes];
        for &place in places {
            whole[self.samples[place].class] += self.samples[place].weight;
        }
        let present: Vec<usize> = (0..whole.len()).filter(|&class| whole[class] > 0.0).collect();
        // Of two classes, one against the rest is the other against the rest.
        let asked = if present.len() == 2 { &present[..1] } else { &present };
        if present.len() < 2 {
            return Ok(None);
        }
        let mut best: Option<Split> = None;
        for (feature, &rule) in self.growth.uses.iter().enumerate().filter(|(_, rule)| **rule != Use::No) {
            let cells = self.cells(places, feature);
            for &class in asked {
                let Some(below) = self.propose(&cells, class, &whole)? else { continue };
                let low = sum(&cells[..below], whole.len());
                let gain = self.gain(&low, &whole);
                if !rule.allows(&low, &whole) {
                    continue;
                }
                if gain >= self.growth.min_gain && best.is_none_or(|best| gain > best.gain) {
                    let threshold = between(cells[below - 1].value, cells[below].value);
                    best = Some(Split { feature, threshold, gain });
                }
            }
        }
        Ok(best)
    }

    /// The values of a feature among the samples, each once, in their order.
    fn cells(&self, places: &[usize], feature: usize) -> Vec<Cell> {
        // Adding zero makes one value of 0 and -0, which a comparison cannot tell apart either.
        let value = |place: usize| self.samples[place].features[feature] + 0.0;
        let mut sorted: Vec<(f32, usize)> = places.iter().map(|&place| (value(place), place)).collect();
        sorted.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let mut cells: Vec<Cell> = Vec::new();
        for (value, place) in sorted {
            if cells.last().is_none_or(|cell| cell.value < value) {
                cells.push(Cell { value, weights: vec![0.0; self.growth.classes] });
            }
            if let Some(cell) = cells.last_mut() {
                cell.weights[self.samples[place].class] += self.samples[place].weight;
            }
        }
        cells
    }

    /// The stump of linfa for one class against the rest: how many cells are to go left, if any split helps.
    fn propose(&self, cells: &[Cell], class: usize, whole: &[f64]) -> Result<Option<usize>, GrowError> {
        let scale = WHOLE / whole.iter().sum::<f64>();
        let (mut ranks, mut targets, mut weights) = (Vec::new(), Vec::new(), Vec::new());
        for (rank, cell) in cells.iter().enumerate() {
            let inside = cell.weights[class];
            let rest: f64 = cell.weights.iter().enumerate().filter(|(other, _)| *other != class).map(|(_, w)| w).sum();
            for (target, weight) in [(true, inside), (false, rest)] {
                let weight = (weight * scale).round();
                if weight > 0.0 {
                    ranks.push(rank as f64);
                    targets.push(target);
                    weights.push(weight as f32);
                }
            }
        }
        if ranks.len() < 2 {
            return Ok(None);
        }
        let records = Array2::from_shape_vec((ranks.len(), 1), ranks)?;
        let dataset = DatasetBase::new(records, Array1::from_vec(targets)).with_weights(Array1::from_vec(weights));
        let least = (self.growth.min_leaf_share * self.total * scale).max(1.0);
        let stump = DecisionTree::params()
            .split_quality(SplitQuality::Gini)
            .max_depth(Some(1))
            .min_weight_leaf(least as f32)
            .min_impurity_decrease(1e-9)
            .fit(&dataset)?;
        let (_, rank, decrease) = stump.root_node().split();
        Ok((decrease > 0.0).then(|| rank.floor() as usize + 1))
    }

    /// By how much the Gini impurity over all classes falls if `low` is split off, weighted by the node's share.
    fn gain(&self, low: &[f64], whole: &[f64]) -> f64 {
        let high: Vec<f64> = whole.iter().zip(low).map(|(whole, low)| (whole - low).max(0.0)).collect();
        (impurity(whole) - impurity(low) - impurity(&high)) / self.total
    }
}

fn sum(cells: &[Cell], classes: usize) -> Vec<f64> {
    let mut sums = vec![0.0; classes];
    for cell in cells {
        for (sum, weight) in sums.iter_mut().zip(&cell.weights) {
            *sum += weight;
        }
    }
    sums
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

/// Gini impurity times weight.
fn impurity(weights: &[f64]) -> f64 {
    let total: f64 = weights.iter().sum();
    let squares: f64 = weights.iter().map(|weight| weight * weight).sum();
    if total > 0.0 { total - squares / total } else { 0.0 }
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
    use traffic::features::FEATURE_COUNT;

    use super::*;

    fn growth(classes: usize, max_depth: usize, min_leaf_share: f64, min_gain: f64) -> Growth {
        let (uses, ask_first) = (vec![Use::Free; FEATURE_COUNT], Vec::new());
        Growth { classes, uses, ask_first, max_depth, min_leaf_share, min_gain }
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
        (impurity(&whole) - impurity(&sides[0]) - impurity(&sides[1])) / samples.len() as f64
    }
}
