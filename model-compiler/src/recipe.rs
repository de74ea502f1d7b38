//! `recipe.toml`: how a model is made, apart from the captures themselves.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use traffic::features::schema::{Feature, index_of};
use traffic::features::{FEATURE_COUNT, FEATURES, ThreatClass};

use crate::model::MAX_DEPTH;

mod rewrite;
#[cfg(test)]
mod tests;

/// The unit of features that have a margin.
const COUNT: &str = "count";

/// Features that are a count for each of another one.
const RATIOS: [(&str, [&str; 2]); 1] = [("src_ports_per_host_60s", ["src_ports_60s", "src_hosts_60s"])];

/// Why a recipe cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum RecipeError {
    /// The file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The recipe.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The file is no recipe.
    #[error("{path} is no recipe")]
    Form {
        /// The recipe.
        path: PathBuf,
        /// Where it is wrong.
        source: toml::de::Error,
    },
    /// It cannot be made to say something else.
    #[error("{0} would not say what it should once a program has changed it: change it by hand")]
    Rewrite(PathBuf),
    /// A class of which this program knows nothing.
    #[error("the recipe names the class {0:?}, which does not exist")]
    UnknownClass(String),
    /// A class without its prior, or the other way round.
    #[error("the recipe must give every class of [classes] a prior above 0 in [prior], and no other class: {0:?}")]
    Prior(String),
    /// A feature that is not in the schema.
    #[error("the recipe names the feature {0:?}, which does not exist")]
    UnknownFeature(String),
    /// A margin that nothing would come of.
    #[error(
        "[rows] benign_margin {0:?} must be how the name of a feature of the unit `{COUNT}` begins, and its factor at least 1: other \
         features have no margin"
    )]
    Margin(String),
    /// Nothing would be left to train on, or curves would be no numbers.
    #[error("[calibration] must have at least 2 folds, and smoothing of at least 0")]
    Calibration,
    /// Sources whose name depends on how often they are named.
    #[error("[together] {0:?} is how sources of another name there begin: give it a name of its own")]
    Together(String),
    /// A grid of what the recipe does not have.
    #[error(
        "[search] must have at least 2 folds and false_alarm_cost of at least 0, and lists for [tree] or, where there is one, \
             [forest]; boosted trees are not searched"
    )]
    Search,
    /// Two ways to make many trees.
    #[error("the recipe has both [forest] and [boosting]: leave one out")]
    TwoWays,
    /// Rounds or shares that nothing can come of.
    #[error(
        "[boosting] must have rounds of at least 1, max_depth of 1 to {MAX_DEPTH}, learning_rate and row_share above 0 and at most 1, and \
             min_leaf_weight and l2 of at least 0"
    )]
    Boosting,
    /// A label that is to become two classes.
    #[error("the recipe maps the label {0:?} to two classes")]
    LabelTwice(String),
}

/// The whole recipe.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Name of the model.
    pub name: String,
    /// Which labels of the corpora make up each class. Captures with another label are left out.
    classes: BTreeMap<String, Vec<String>>,
    /// How the weight is shared among the classes; see [`crate::train`].
    prior: BTreeMap<String, f64>,
    /// How the corpora are read, by the name that the command line gives them.
    pub corpora: BTreeMap<String, CorpusRules>,
    /// Sources that are one, by a name of their own: how the names of these sources begin. Captures of one tool are alike whatever it
    /// does, so a model that is to be judged by a tool must not have learnt from any of them. Rows keep the names that were published, so
    /// a change here needs no new `extract`.
    #[serde(default)]
    together: BTreeMap<String, Vec<String>>,
    /// How rows are chosen and weighed.
    pub rows: RowRules,
    /// How the tree grows.
    pub tree: TreeRules,
    /// Many trees instead of one; each grows as `tree` says.
    pub forest: Option<ForestRules>,
    /// Boosted trees in the place of such; what `tree` says of depth, leaves, gain and what is asked first is not theirs.
    pub boosting: Option<BoostingRules>,
    /// Confidences are held against outcomes and corrected. Without it they are what the trees say: what a flow counts as
    /// evidence changes with it, so a model is to be calibrated only where what the appliance decides was looked at again.
    pub calibration: Option<CalibrationRules>,
    /// What `model-compiler search` tries; training does not look at it.
    pub search: Option<SearchRules>,
    /// Captures that the model does not learn from.
    #[serde(default)]
    pub exclude: Vec<Exclusion>,
    /// Captures that weigh more than others.
    #[serde(default)]
    pub emphasize: Vec<Emphasis>,
}

/// How one corpus is read.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CorpusRules {
    /// What the flows of an attack capture are that its label does not speak of.
    pub background: Background,
}

/// What a flow is that the label of its capture does not speak of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Background {
    /// Harmless: the corpus was recorded by people who know what else was going on.
    Benign,
    /// Unknown: it counts neither way.
    Drop,
}

/// How rows are chosen and weighed.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowRules {
    /// The most rows of one class that one capture gives; more are thinned out.
    pub max_per_capture: usize,
    /// A capture with `n` rows weighs `n` to this power within its class: 1 lets long captures rule, 0 counts captures.
    pub capture_exponent: f64,
    /// Harmless rows are also learnt with higher counts (features of the unit `count`), by the beginning of the
    /// feature's name (the longest that matches): `src_ = 2` doubles what the source did. An attack must stand out from
    /// what is harmless by that margin, or look bad in some other way, such as by the share of unanswered flows. Shares stay,
    /// because both of their parts grow alike; so do rates, which are about one flow and no sum of what many did; a ratio of two
    /// counts grows as these do.
    #[serde(default)]
    benign_margin: BTreeMap<String, f32>,
    /// Which rows remain when a capture is thinned out depends on this number and nothing else.
    pub seed: u64,
}

/// How the tree grows.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TreeRules {
    /// The most comparisons on the way to a leaf.
    pub max_depth: usize,
    /// The smallest share of the whole weight that may stand in a leaf.
    pub min_leaf_share: f64,
    /// The smallest decrease of Gini impurity, weighted by the node's share, that is worth a comparison.
    pub min_gain: f64,
    /// What a leaf costs in impurity when the grown tree is cut back: see [`crate::grow::Growth::ccp_alpha`]. 0, as where it is missing: it
    /// is not.
    #[serde(default)]
    pub ccp_alpha: f64,
    /// How many observations drawn from the prior are added to each leaf.
    pub smoothing: f64,
    /// Flags that the tree asks for first, in this order, whatever they are worth: what follows is learnt apart for
    /// each answer.
    #[serde(default)]
    ask_first: Vec<String>,
    /// Features of which more never speaks for harmless: no comparison may say otherwise.
    #[serde(default)]
    more_is_worse: Vec<String>,
    /// Features of which less never speaks for harmless.
    #[serde(default)]
    less_is_worse: Vec<String>,
    /// Features that the tree must not use, because they tell captures apart rather than behaviour.
    #[serde(default)]
    ignore: Vec<String>,
}

/// How the trees of a forest differ.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForestRules {
    /// How many there are.
    pub trees: usize,
    /// The share of the features that each of them may use; those of `ask_first` are always among them.
    pub feature_share: f64,
    /// Which captures and features each of them gets depends on this number.
    pub seed: u64,
}

/// How trees are boosted: see [`crate::boost`].
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoostingRules {
    /// How many trees each class gets.
    pub rounds: usize,
    /// The most comparisons on the way to a leaf.
    pub max_depth: usize,
    /// What a tree gives is multiplied by this: less asks for more trees, and errs less on what is new.
    pub learning_rate: f32,
    /// The least sum of second derivatives in a leaf: about a quarter of its observations where the class is in doubt, less
    /// where it is clear.
    pub min_leaf_weight: f32,
    /// The penalty on squares of what leaves give, in observations.
    pub l2: f32,
    /// The share of the rows that each tree is grown on.
    pub row_share: f32,
    /// Which rows these are depends on this number.
    pub seed: u64,
}

/// How confidences are corrected: see [`crate::calibration`].
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CalibrationRules {
    /// How many parts the sources are split into; for each a model is trained without it, so training takes as many times
    /// longer. At least 2.
    pub folds: usize,
    /// How many observations drawn from the prior are added to each level of a curve.
    pub smoothing: f64,
}

/// A grid of settings: all combinations are tried, and a list that is missing leaves the recipe's own value. See
/// [`crate::search`].
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchRules {
    /// How many parts the sources are split into; from 2 on.
    pub folds: usize,
    /// How many attacks that pass a false alarm costs as much as, in flows by the weights of the recipe.
    pub false_alarm_cost: f64,
    /// Of `[tree]`, and so are the next three.
    #[serde(default)]
    pub max_depth: Vec<usize>,
    /// The smallest shares of the weight in a leaf.
    #[serde(default)]
    pub min_leaf_share: Vec<f64>,
    /// The smallest gains.
    #[serde(default)]
    pub min_gain: Vec<f64>,
    /// The costs of leaves.
    #[serde(default)]
    pub ccp_alpha: Vec<f64>,
    /// Of `[forest]`, and so is the next.
    #[serde(default)]
    pub trees: Vec<usize>,
    /// The shares of the features.
    #[serde(default)]
    pub feature_share: Vec<f64>,
}

impl SearchRules {
    /// Enough folds, costs that are numbers, and no list for trees that the recipe does not make.
    fn suits(&self, recipe: &Recipe) -> bool {
        let of_forest = self.trees.is_empty() && self.feature_share.is_empty();
        let makes_trees = recipe.boosting.is_none() && (recipe.forest.is_some() || of_forest);
        self.folds >= 2 && self.false_alarm_cost >= 0.0 && makes_trees
    }
}

impl BoostingRules {
    fn is_sound(&self) -> bool {
        let is_share = |value: f32| value > 0.0 && value <= 1.0;
        let counts = self.rounds > 0 && (1..=MAX_DEPTH).contains(&self.max_depth);
        counts
            && is_share(self.learning_rate)
            && is_share(self.row_share)
            && self.min_leaf_weight >= 0.0
            && self.l2 >= 0.0
    }
}

impl CalibrationRules {
    fn is_sound(&self) -> bool {
        self.folds >= 2 && self.smoothing >= 0.0
    }
}

impl RowRules {
    /// The features that harmless rows are also learnt with more of, and how many times as much.
    #[must_use]
    pub fn margins(&self) -> Vec<(usize, f32)> {
        // Of beginnings that all match, the longest comes last.
        let factor = |name: &str| self.benign_margin.iter().rfind(|(beginning, _)| name.starts_with(*beginning));
        let of_count = |name: &str| factor(name).map_or(1.0, |(_, factor)| *factor);
        let of = |feature: &Feature| match RATIOS.iter().find(|(name, _)| *name == feature.name) {
            Some((_, [of, each])) => of_count(of) / of_count(each),
            None if feature.unit == COUNT => of_count(feature.name),
            None => 1.0,
        };
        FEATURES.iter().map(of).enumerate().filter(|(_, factor)| *factor != 1.0).collect()
    }

    /// A beginning of no count's name, or one with a factor that is none.
    fn wrong_margin(&self) -> Option<&String> {
        let begins_a_count = |beginning: &str| {
            FEATURES.iter().any(|feature| feature.unit == COUNT && feature.name.starts_with(beginning))
        };
        let is_sound = |beginning: &str, factor: f32| begins_a_count(beginning) && factor >= 1.0 && factor.is_finite();
        self.benign_margin
            .iter()
            .find(|(beginning, factor)| !is_sound(beginning, **factor))
            .map(|(beginning, _)| beginning)
    }
}

impl TreeRules {
    /// How the tree may use each feature, in the order of the schema.
    ///
    /// # Errors
    /// The recipe names a feature that does not exist; [`Recipe::read`] lets no such recipe through.
    pub fn uses(&self) -> Result<Vec<Use>, RecipeError> {
        let mut uses = vec![Use::Free; FEATURE_COUNT];
        let rules =
            [(&self.more_is_worse, Use::MoreIsWorse), (&self.less_is_worse, Use::LessIsWorse), (&self.ignore, Use::No)];
        for (names, rule) in rules {
            for name in names {
                uses[place_of(name)?] = rule;
            }
        }
        Ok(uses)
    }

    /// The places of the flags that are asked for first.
    ///
    /// # Errors
    /// As [`Self::uses`].
    pub fn asked_first(&self) -> Result<Vec<usize>, RecipeError> {
        self.ask_first.iter().map(|name| place_of(name)).collect()
    }
}

fn place_of(feature: &str) -> Result<usize, RecipeError> {
    index_of(feature).ok_or_else(|| RecipeError::UnknownFeature(feature.to_owned()))
}

/// How a tree may use a feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// In any way.
    Free,
    /// With the harmless side below the threshold.
    MoreIsWorse,
    /// With the harmless side above the threshold.
    LessIsWorse,
    /// Not at all.
    No,
}

/// Captures that are left out, and why.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exclusion {
    /// How their names begin, as in the rows: `public/scan/x.pcap`.
    pub captures: String,
    /// The reason.
    pub why: String,
    /// What the appliance decides about them is measured all the same: rules are to catch them.
    #[serde(default)]
    pub decided: bool,
}

/// Captures that weigh more than others, and why.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Emphasis {
    /// How the names of these captures begin.
    pub captures: String,
    /// How many captures each of them stands for.
    pub times: f64,
    /// The reason.
    pub why: String,
}

/// One class of the model to be.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassRule {
    /// The class.
    pub class: ThreatClass,
    /// Its labels in the corpora.
    pub labels: Vec<String>,
    /// Its share of the weight; all of them together are 1.
    pub prior: f64,
}

impl Recipe {
    /// Reads a recipe.
    ///
    /// # Errors
    /// It cannot be read, is not of this form, or contradicts itself.
    pub fn read(path: &Path) -> Result<Self, RecipeError> {
        Self::of(&text_of(path)?, path)
    }

    /// From the text of the file at `path`.
    fn of(text: &str, path: &Path) -> Result<Self, RecipeError> {
        let recipe: Self =
            toml::from_str(text).map_err(|source| RecipeError::Form { path: path.to_owned(), source })?;
        recipe.class_rules()?;
        recipe.tree.uses()?;
        recipe.tree.asked_first()?;
        if let Some(beginning) = recipe.rows.wrong_margin() {
            return Err(RecipeError::Margin(beginning.clone()));
        }
        if let Some(name) = recipe.together.keys().find(|name| recipe.source(name) != *name) {
            return Err(RecipeError::Together(name.clone()));
        }
        match (&recipe.forest, &recipe.boosting, &recipe.calibration) {
            (Some(_), Some(_), _) => Err(RecipeError::TwoWays),
            (_, Some(rules), _) if !rules.is_sound() => Err(RecipeError::Boosting),
            (_, _, Some(rules)) if !rules.is_sound() => Err(RecipeError::Calibration),
            _ if recipe.search.as_ref().is_some_and(|grid| !grid.suits(&recipe)) => Err(RecipeError::Search),
            _ => Ok(recipe),
        }
    }

    /// The classes in the order of their numbers.
    ///
    /// # Errors
    /// The recipe contradicts itself; [`Self::read`] lets no such recipe through.
    pub fn class_rules(&self) -> Result<Vec<ClassRule>, RecipeError> {
        let total: f64 = self.prior.values().sum();
        let mut rules = Vec::new();
        for (name, labels) in &self.classes {
            let class = ThreatClass::from_name(name).ok_or_else(|| RecipeError::UnknownClass(name.clone()))?;
            let prior = self.prior.get(name).copied().filter(|prior| *prior > 0.0 && prior.is_finite());
            let prior = prior.ok_or_else(|| RecipeError::Prior(name.clone()))? / total;
            rules.push(ClassRule { class, labels: labels.clone(), prior });
        }
        if let Some(name) = self.prior.keys().find(|name| !self.classes.contains_key(*name)) {
            return Err(RecipeError::Prior(name.clone()));
        }
        rules.sort_by_key(|rule| rule.class);
        let mut labels: Vec<&String> = rules.iter().flat_map(|rule| &rule.labels).collect();
        labels.sort();
        match labels.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(RecipeError::LabelTwice(pair[0].clone())),
            None => Ok(rules),
        }
    }

    /// How many classes there are.
    #[must_use]
    pub fn class_count(&self) -> usize {
        self.classes.len()
    }

    /// Names the class of a label; a label of no class keeps its own name.
    ///
    /// # Errors
    /// As [`Self::class_rules`].
    pub fn class_names(&self) -> Result<impl Fn(&str) -> String, RecipeError> {
        let rules = self.class_rules()?;
        Ok(move |label: &str| {
            let rule = rules.iter().find(|rule| rule.labels.iter().any(|known| known == label));
            rule.map_or(label, |rule| rule.class.name()).to_owned()
        })
    }

    /// The recipe for the best single comparison of the same rows, in whichever direction.
    #[must_use]
    pub fn of_one_comparison(&self) -> Self {
        let (ask_first, more_is_worse, less_is_worse) = (Vec::new(), Vec::new(), Vec::new());
        let tree = TreeRules { max_depth: 1, ask_first, more_is_worse, less_is_worse, ..self.tree.clone() };
        Self { tree, forest: None, boosting: None, ..self.clone() }
    }

    /// The source that captures of this one count as.
    #[must_use]
    pub fn source<'a>(&'a self, source: &'a str) -> &'a str {
        let is_part = |beginnings: &[String]| beginnings.iter().any(|beginning| source.starts_with(beginning));
        self.together.iter().find(|(_, beginnings)| is_part(beginnings)).map_or(source, |(name, _)| name)
    }

    /// How many captures this one stands for.
    #[must_use]
    pub fn emphasis(&self, capture: &str) -> f64 {
        let matching = self.emphasize.iter().filter(|emphasis| capture.starts_with(&emphasis.captures));
        matching.map(|emphasis| emphasis.times).product()
    }

    /// Whether the model does not learn from the capture.
    #[must_use]
    pub fn excludes(&self, capture: &str) -> bool {
        self.exclude.iter().any(|exclusion| capture.starts_with(&exclusion.captures))
    }

    /// Whether the appliance's decisions about the capture are measured.
    #[must_use]
    pub fn decides_about(&self, capture: &str) -> bool {
        self.exclude.iter().all(|exclusion| exclusion.decided || !capture.starts_with(&exclusion.captures))
    }
}

fn text_of(path: &Path) -> Result<String, RecipeError> {
    fs::read_to_string(path).map_err(|source| RecipeError::Read { path: path.to_owned(), source })
}
