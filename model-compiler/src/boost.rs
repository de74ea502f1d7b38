//! Gradient boosting: for each class trees that tell it from all others, each of which mends what those before it left wrong
//! (Friedman 2001; by second derivatives as Chen and Guestrin, KDD 2016). The search is that of the crate forust-ml.
//!
//! What the crate makes is turned into trees of this program that give the same numbers: it compares `value < threshold` in
//! `f64`, and a threshold of `f32` below that says the same of every `f32`. Values that are missing do not occur: rows are refused
//! where one is not finite. The base score is one that `f32` holds, and scores are added up in the same order.

use std::panic::resume_unwind;
use std::thread;

use forust_ml::constraints::{Constraint, ConstraintMap};
use forust_ml::errors::ForustError;
use forust_ml::sampler::SampleMethod;
use forust_ml::{GradientBooster, Matrix};
use traffic::features::FeatureVector;

use crate::import::parts::below;
use crate::model::{Node, Tree};
use crate::progress::Progress;
use crate::recipe::{BoostingRules, Use};

/// Values of a feature are sorted into so many bins before the search.
const BINS: u16 = 256;

/// A vector to learn from.
pub(crate) struct Example<'a> {
    pub features: &'a FeatureVector,
    pub class: usize,
    /// In observations.
    pub weight: f64,
    /// Whether it counts among the training rows of a leaf.
    pub is_counted: bool,
}

/// The scores that classes begin with, and the trees that add to them.
pub(crate) struct Boosted {
    pub base: Vec<f32>,
    pub trees: Vec<Tree>,
}

/// Boosts each of so many classes against the rest.
pub(crate) fn boost(
    examples: &[Example<'_>],
    classes: usize,
    uses: &[Use],
    rules: &BoostingRules,
    progress: &dyn Progress,
) -> Result<Boosted, ForustError> {
    let columns = Columns::of(examples, uses);
    let fitted = thread::scope(|scope| {
        let one = |class| {
            let columns = &columns;
            scope.spawn(move || {
                let booster = columns.fit(examples, class, rules);
                progress.step();
                booster
            })
        };
        let running: Vec<_> = (0..classes).map(one).collect();
        let join = |one: thread::ScopedJoinHandle<'_, _>| one.join().unwrap_or_else(|panic| resume_unwind(panic));
        running.into_iter().map(join).collect::<Result<Vec<GradientBooster>, ForustError>>()
    })?;
    let mut boosted = Boosted { base: Vec::new(), trees: Vec::new() };
    for (class, booster) in fitted.iter().enumerate() {
        boosted.base.push(booster.base_score as f32);
        boosted.trees.extend(booster.trees.iter().map(|tree| columns.planted(tree, class, examples)));
    }
    Ok(boosted)
}

/// The examples as the crate takes them: column by column, without the features that must not be used.
struct Columns<'a> {
    /// The places in the schema.
    features: Vec<usize>,
    values: Vec<f64>,
    uses: &'a [Use],
}

impl<'a> Columns<'a> {
    fn of(examples: &[Example<'_>], uses: &'a [Use]) -> Self {
        let features: Vec<usize> = (0..uses.len()).filter(|feature| uses[*feature] != Use::No).collect();
        let column = |feature: &usize| {
            let feature = *feature;
            examples.iter().map(move |example| f64::from(example.features[feature]))
        };
        let values = features.iter().flat_map(column).collect();
        Self { features, values, uses }
    }

    fn matrix(&self, rows: usize) -> Matrix<'_, f64> {
        Matrix::new(&self.values, rows, self.features.len())
    }

    fn fit(
        &self,
        examples: &[Example<'_>],
        class: usize,
        rules: &BoostingRules,
    ) -> Result<GradientBooster, ForustError> {
        let is_it: Vec<f64> = examples.iter().map(|example| f64::from(u8::from(example.class == class))).collect();
        let weights: Vec<f64> = examples.iter().map(|example| example.weight).collect();
        let of_class: f64 = weights.iter().zip(&is_it).map(|(weight, is_it)| weight * is_it).sum();
        let others = weights.iter().sum::<f64>() - of_class;
        let mut booster = GradientBooster::default();
        booster.iterations = rules.rounds;
        booster.learning_rate = rules.learning_rate;
        booster.max_depth = rules.max_depth;
        booster.min_leaf_weight = rules.min_leaf_weight;
        booster.l2 = rules.l2;
        booster.base_score = f64::from((of_class / others.max(f64::MIN_POSITIVE)).ln() as f32);
        booster.initialize_base_score = false;
        booster.nbins = BINS;
        booster.parallel = false;
        // A class is harmless or not: of the others nobody knows which more of something speaks for.
        booster.monotone_constraints = (class == 0).then(|| self.constraints());
        booster.seed = rules.seed;
        booster.subsample = rules.row_share;
        booster.sample_method = if rules.row_share < 1.0 { SampleMethod::Random } else { SampleMethod::None };
        booster.fit(&self.matrix(examples.len()), &is_it, &weights, None)?;
        Ok(booster)
    }

    /// What more of a feature does to the score of the harmless class.
    fn constraints(&self) -> ConstraintMap {
        let constraint = |(column, feature): (usize, &usize)| match self.uses[*feature] {
            Use::MoreIsWorse => Some((column, Constraint::Negative)),
            Use::LessIsWorse => Some((column, Constraint::Positive)),
            Use::Free | Use::No => None,
        };
        self.features.iter().enumerate().filter_map(constraint).collect()
    }

    /// The tree as one of ours.
    fn planted(&self, theirs: &forust_ml::tree::Tree, class: usize, examples: &[Example<'_>]) -> Tree {
        let nodes = theirs.nodes.iter().map(|node| match self.features.get(node.split_feature) {
            Some(&feature) if !node.is_leaf => {
                let (left, right) = (node.left_child, node.right_child);
                Node::Split { feature, threshold: below(node.split_value), left, right }
            }
            _ => Node::Leaf { rows: 0, values: vec![node.weight_value] },
        });
        let mut tree = Tree { class: Some(class), nodes: nodes.collect() };
        for example in examples.iter().filter(|example| example.is_counted) {
            let leaf = tree.place_of_leaf(example.features);
            if let Some(Node::Leaf { rows, .. }) = tree.nodes.get_mut(leaf) {
                *rows += 1;
            }
        }
        tree
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forest::{Combination, Sums};
    use crate::model::{Model, Range};
    use crate::progress::Silent;
    use crate::random::Random;
    use crate::spread::Spread;
    use traffic::features::{FEATURE_COUNT, ThreatClass};

    const ROWS: usize = 10_000;

    const RULES: BoostingRules = BoostingRules {
        rounds: 20,
        max_depth: 5,
        learning_rate: 0.3,
        min_leaf_weight: 1.0,
        l2: 1.0,
        row_share: 0.8,
        seed: 1,
    };

    /// Flags, counts, shares, and numbers that no `f32` has neighbours of; the class hangs on several.
    fn rows(seed: u64) -> Vec<(FeatureVector, usize)> {
        let mut random = Random::new(seed);
        let mut row = || {
            let mut features = [0.0; FEATURE_COUNT];
            for (at, value) in features.iter_mut().enumerate() {
                *value = match at % 4 {
                    0 => random.below(2) as f32,
                    1 => {
                        let digits = random.below(12);
                        random.below(1 << digits) as f32
                    }
                    2 => random.below(101) as f32 / 100.0,
                    _ => random.share() as f32 * 1e-3 - 5e-4,
                };
            }
            let class = if features[1] > 20.0 { 1 } else { usize::from(features[2] > 0.7) * 2 };
            (features, if random.below(20) == 0 { random.below(3) as usize } else { class })
        };
        (0..ROWS).map(|_| row()).collect()
    }

    fn examples(rows: &[(FeatureVector, usize)]) -> Vec<Example<'_>> {
        rows.iter()
            .zip(0_u32..)
            .map(|((features, class), at)| Example {
                features,
                class: *class,
                weight: f64::from(1 + at % 3),
                is_counted: at % 2 == 0,
            })
            .collect()
    }

    #[test]
    fn the_tables_answer_as_the_crate_does_bit_for_bit() {
        let (learnt, asked, uses) = (rows(1), rows(2), [Use::Free; FEATURE_COUNT]);
        let examples = examples(&learnt);
        let boosted = boost(&examples, 3, &uses, &RULES, &Silent).unwrap();
        let model = Model {
            name: "boosted".to_owned(),
            classes: vec![ThreatClass::Benign, ThreatClass::Scan, ThreatClass::Flood],
            ranges: vec![Range { min: 0.0, max: 1.0, spread: Spread::default() }; FEATURE_COUNT],
            combination: Combination::OneVsRest,
            base: boosted.base,
            trees: boosted.trees,
            calibration: Vec::new(),
        };
        assert_eq!(crate::check::check(&model), Ok(()));
        let (tables, columns) = (model.tables(), Columns::of(&examples, &uses));
        let to_ask = self::examples(&asked);
        let asked_columns = Columns::of(&to_ask, &uses);
        let theirs: Vec<Vec<f64>> = (0..3)
            .map(|class| {
                let booster = columns.fit(&examples, class, &RULES).unwrap();
                assert_eq!(booster.trees.len(), RULES.rounds);
                booster.predict(&asked_columns.matrix(ROWS), false)
            })
            .collect();
        let mut thresholds_met = 0;
        for (row, (features, _)) in asked.iter().enumerate() {
            let mut sums = Sums::new(&model.base);
            for tree in &model.trees {
                sums.add(tree.class.map(|class| class as u8), tree.leaf_of(features));
            }
            let scores: Vec<u64> = sums.of(3).iter().map(|score| score.to_bits()).collect();
            let expected: Vec<u64> = theirs.iter().map(|scores| scores[row].to_bits()).collect();
            assert_eq!(scores, expected, "row {row}");
            let logistic = |class: usize| 1.0 / (1.0 + libm::exp(-theirs[class][row]));
            let total: f64 = (0..3).map(logistic).sum();
            let shares = tables.forest().distribution(features);
            (0..3).for_each(|class| assert!((shares[class] - logistic(class) / total).abs() < 1e-12));
            thresholds_met += usize::from(features[1] == 21.0);
        }
        assert!(thresholds_met > 10, "values stand on thresholds");
    }

    #[test]
    fn the_same_examples_give_the_same_trees_and_features_are_used_as_they_may_be() {
        let learnt = rows(3);
        let examples = examples(&learnt);
        let mut uses = [Use::Free; FEATURE_COUNT];
        (uses[1], uses[2]) = (Use::No, Use::LessIsWorse);
        let boosted = || boost(&examples, 3, &uses, &RULES, &Silent).unwrap();
        let (first, second) = (boosted(), boosted());
        assert!(first.trees == second.trees && first.base == second.base);
        let splits = |tree: &Tree, wanted: usize| {
            tree.nodes.iter().any(|node| matches!(node, Node::Split { feature, .. } if *feature == wanted))
        };
        assert!(!first.trees.iter().any(|tree| splits(tree, 1)));
        assert!(first.trees.iter().any(|tree| splits(tree, 2)));
        // Floods have more of feature 2; a score for harmless that must not fall with it cannot learn that.
        let harmless = |value: f32| {
            let mut features = learnt[0].0;
            features[2] = value;
            let of_class = first.trees.iter().filter(|tree| tree.class == Some(0));
            of_class.map(|tree| f64::from(tree.leaf_of(&features)[0])).sum::<f64>()
        };
        let scores: Vec<f64> = (0..=100_u8).map(|step| harmless(f32::from(step) / 100.0)).collect();
        assert!(scores.is_sorted(), "{scores:?}");
        let rows: u64 =
            first.trees[0].nodes.iter().map(|node| if let Node::Leaf { rows, .. } = node { *rows } else { 0 }).sum();
        assert_eq!(rows, ROWS as u64 / 2);
    }
}
