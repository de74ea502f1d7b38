//! Which settings of a recipe do best on sources that they have not seen: all combinations of a grid, by the same folds.
//!
//! Two figures, each the mean over the folds with its standard deviation: **log loss**, minus the logarithm of the probability
//! that the trees gave to the class of a row; and **cost**, the weight of attacks whose flows raised no alarm, and that of harmless
//! flows that raised one, times what a false alarm costs. Weights are those of the recipe. The spread over folds is that
//! of whole sources, and wide: settings that differ by much less than it are equally good.

use serde::Serialize;

use crate::calibration::weighed;
use crate::evaluate::answers;
use crate::folds::{Grouping, Part, Parts, Split, split};
use crate::progress::Progress;
use crate::recipe::{Recipe, SearchRules};
use crate::rows::Rows;
use crate::scores::{Case, by_flow};
use crate::train::{Labelled, TrainError, uncalibrated, uncalibrated_steps};

/// No probability counts as less.
const LEAST_PROBABILITY: f32 = 1e-6;

/// What is tried.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Setting {
    /// As in `[tree]`, and so are the next three.
    pub max_depth: usize,
    /// The smallest share of the weight in a leaf.
    pub min_leaf_share: f64,
    /// The smallest gain of a comparison.
    pub min_gain: f64,
    /// What a leaf costs when the tree is cut back.
    pub ccp_alpha: f64,
    /// As in `[forest]`: how many trees, and the share of the features of each; none where there is one tree.
    pub forest: Option<(usize, f64)>,
}

/// A mean over folds, and how far they are apart.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// The mean.
    pub mean: f64,
    /// The standard deviation.
    pub deviation: f64,
}

/// What came of a setting.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trial {
    /// What was tried.
    pub setting: Setting,
    /// Of rows.
    pub log_loss: Spread,
    /// Of flows.
    pub cost: Spread,
    /// The mean number of leaves.
    pub leaves: f64,
}

impl Setting {
    /// The settings of a grid; what it does not name stays as the recipe has it.
    #[must_use]
    pub fn all(recipe: &Recipe, grid: &SearchRules) -> Vec<Self> {
        let tree = &recipe.tree;
        let forests: Vec<Option<(usize, f64)>> = match &recipe.forest {
            None => vec![None],
            Some(forest) => {
                let shares = or(&grid.feature_share, forest.feature_share);
                let with = |trees: usize| shares.iter().map(move |share| Some((trees, *share)));
                or(&grid.trees, forest.trees).into_iter().flat_map(with).collect()
            }
        };
        let mut settings = Vec::new();
        for max_depth in or(&grid.max_depth, tree.max_depth) {
            for min_leaf_share in or(&grid.min_leaf_share, tree.min_leaf_share) {
                for min_gain in or(&grid.min_gain, tree.min_gain) {
                    for ccp_alpha in or(&grid.ccp_alpha, tree.ccp_alpha) {
                        let of_tree = |forest| Self { max_depth, min_leaf_share, min_gain, ccp_alpha, forest };
                        settings.extend(forests.iter().copied().map(of_tree));
                    }
                }
            }
        }
        settings
    }

    /// The recipe with this setting.
    #[must_use]
    pub fn applied(&self, recipe: &Recipe) -> Recipe {
        let mut recipe = recipe.clone();
        recipe.tree.max_depth = self.max_depth;
        recipe.tree.min_leaf_share = self.min_leaf_share;
        recipe.tree.min_gain = self.min_gain;
        recipe.tree.ccp_alpha = self.ccp_alpha;
        if let (Some(forest), Some((trees, feature_share))) = (&mut recipe.forest, self.forest) {
            forest.trees = trees;
            forest.feature_share = feature_share;
        }
        recipe
    }
}

/// The values of a grid, or the one of the recipe.
fn or<T: Copy>(grid: &[T], value: T) -> Vec<T> {
    if grid.is_empty() { vec![value] } else { grid.to_vec() }
}

/// Tries all settings, and gives the one with the least log loss first.
///
/// # Errors
/// A class is of one source, or has no rows.
pub fn search(
    rows: &Rows,
    labelled: &[Labelled<'_>],
    recipe: &Recipe,
    grid: &SearchRules,
    progress: &dyn Progress,
) -> Result<Vec<Trial>, TrainError> {
    let classes = recipe.class_rules()?.len();
    let split = split(rows, labelled, classes, Grouping::Source, Parts::Count(grid.folds));
    let settings: Vec<(Setting, Recipe)> =
        Setting::all(recipe, grid).into_iter().map(|setting| (setting, setting.applied(recipe))).collect();
    let trees = settings.iter().map(|(_, recipe)| uncalibrated_steps(recipe) * split.folds as u64).sum();
    progress.begin(&format!("{} settings", settings.len()), trees);
    let mut trials = Vec::new();
    for (setting, recipe) in settings {
        let trial = trial(labelled, &recipe, grid, &split, setting, progress)?;
        progress.say(&trial.to_string());
        trials.push(trial);
    }
    trials.sort_by(|a, b| a.log_loss.mean.total_cmp(&b.log_loss.mean));
    Ok(trials)
}

fn trial(
    labelled: &[Labelled<'_>],
    recipe: &Recipe,
    grid: &SearchRules,
    split: &Split,
    setting: Setting,
    progress: &dyn Progress,
) -> Result<Trial, TrainError> {
    let (mut losses, mut costs, mut leaves) = (Vec::new(), Vec::new(), Vec::new());
    let rules = recipe.class_rules()?;
    for part in split.parts(labelled, &rules) {
        let Part { tested, learnt, .. } = part?;
        let model = uncalibrated(&learnt, recipe, progress)?;
        let cases = answers(&model, &rules, &tested)?;
        let loss = |case: &Case| -f64::from(case.shares[case.truth].max(LEAST_PROBABILITY)).ln();
        losses.push(mean(&cases, recipe, &loss)?);
        let cost = |flow: &Case| match (flow.truth, flow.said) {
            (0, 0) => 0.0,
            (0, _) => grid.false_alarm_cost,
            (_, said) => f64::from(u8::from(said == 0)),
        };
        costs.push(mean(&by_flow(&cases), recipe, &cost)?);
        leaves.push(model.leaves() as f64);
    }
    Ok(Trial { setting, log_loss: spread(&losses), cost: spread(&costs), leaves: spread(&leaves).mean })
}

/// The mean over cases, with the weights of the recipe.
fn mean(cases: &[Case], recipe: &Recipe, of: &dyn Fn(&Case) -> f64) -> Result<f64, TrainError> {
    let weights = weighed(cases, recipe, &recipe.class_rules()?, &|_| 0);
    let total: f64 = weights.iter().map(|outcome| outcome.weight).sum();
    Ok(cases.iter().zip(weights).map(|(case, outcome)| outcome.weight * of(case)).sum::<f64>() / total)
}

fn spread(values: &[f64]) -> Spread {
    let count = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
    Spread { mean, deviation: (squares / (count - 1.0).max(1.0)).sqrt() }
}

/// The titles of a trial's line.
pub const TITLES: &str =
    "depth  leaf share  min gain  leaf cost  trees  features      log loss (spread)          cost (spread)   leaves";

impl std::fmt::Display for Trial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Setting { max_depth, min_leaf_share, min_gain, ccp_alpha, forest } = self.setting;
        let (trees, share) = forest.map_or((1, 1.0), |forest| forest);
        let [loss, cost] =
            [self.log_loss, self.cost].map(|Spread { mean, deviation }| format!("{mean:.5} ({deviation:.5})"));
        write!(
            f,
            "{max_depth:>5}  {min_leaf_share:>10}  {min_gain:>8}  {ccp_alpha:>9}  {trees:>5}  {share:>8}  {loss:>20}  {cost:>21}  {:>7.0}",
            self.leaves
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::small::recipe_text;

    fn recipe() -> Recipe {
        let tree = "max_depth = 3\nmin_leaf_share = 0.1\nmin_gain = 0\nsmoothing = 1\n\
            [forest]\ntrees = 4\nfeature_share = 0.5\nseed = 1\n\
            [search]\nfolds = 3\nfalse_alarm_cost = 10\nmax_depth = [2, 9]\ntrees = [1, 8]";
        toml::from_str(&recipe_text(&[("benign", r#"["b"]"#, 1.0)], tree)).unwrap()
    }

    #[test]
    fn a_grid_is_all_combinations_and_what_it_does_not_name_stays() {
        let recipe = recipe();
        let settings = Setting::all(&recipe, recipe.search.as_ref().unwrap());
        let told: Vec<_> = settings.iter().map(|setting| (setting.max_depth, setting.forest)).collect();
        let forest = |trees| Some((trees, 0.5));
        assert_eq!(told, [(2, forest(1)), (2, forest(8)), (9, forest(1)), (9, forest(8))]);
        assert!(settings.iter().all(|setting| setting.min_leaf_share == 0.1 && setting.min_gain == 0.0));
    }

    #[test]
    fn a_spread_by_hand() {
        assert_eq!(spread(&[1.0, 3.0]), Spread { mean: 2.0, deviation: 2.0_f64.sqrt() });
    }
}
