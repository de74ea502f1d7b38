//! From rows to a model, as the recipe says: which rows, what they weigh, and what a leaf says.
//!
//! **Weights.** A capture with `n` rows weighs `n^e` within its class (`capture_exponent`), shared evenly among its
//! rows: a flood of 40,000 flows does not drown a scan of 200. A capture of something that is more common than captures
//! of it counts several times (`emphasize`). The classes then share the whole weight by their `prior`.
//!
//! **What a leaf says.** The probability of a class in a leaf is its share of that weight: how probable the class is
//! where flows come in the proportions of the prior. Where few observations stand behind a leaf it says so: `smoothing`
//! observations drawn from the prior are added to the `n` that it has, counted as captures count (the root of their
//! rows, not each row, because the rows of a capture resemble each other). Early checkpoints of an attack look like
//! harmless traffic, and are in the table under the attack's label: leaves that hold both say both.

use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::thread;

use forust_ml::errors::ForustError;
use traffic::features::{FEATURES, FeatureVector, ThreatClass};

use crate::boost::{Boosted, Example, boost};
use crate::calibration::{self, Reliability};
use crate::forest::Combination;
use crate::grow::{GrowError, Growth, Sample, grow};
use crate::model::{Model, Node, Range, Tree};
use crate::progress::Progress;
use crate::random::Random;
use crate::ranges::{HarmlessEnd, ends, ranges};
use crate::recipe::{ClassRule, ForestRules, Recipe, RecipeError, Use};
use crate::rows::{Row, Rows};

pub mod stump;

/// Why no model came of the rows.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The recipe contradicts itself.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// A class of the recipe has no rows.
    #[error("there is no row of the class {0}: the recipe maps labels to it that no capture has")]
    NoRows(&'static str),
    /// A class is lost when a part of the captures is left out.
    #[error(
        "all captures of the class {class} are of one {group}, or nearly all: a class of one {group} cannot be left out, as \
         evaluate, decide, search and [calibration] of a recipe do; add captures of it from another {group}"
    )]
    LeftOut {
        /// The class.
        class: &'static str,
        /// What is left out as a whole.
        group: &'static str,
    },
    /// A row that no comparison can tell anything about.
    #[error("{capture}, flow {flow}: {feature} is not a finite number")]
    NotFinite {
        /// The capture.
        capture: String,
        /// The flow in it.
        flow: u64,
        /// The feature.
        feature: &'static str,
    },
    /// The model knows a class that the recipe does not have.
    #[error(
        "the model {model} knows the class {class}, which its recipe.toml does not have: give the class its labels there, under \
         [classes], or take a model without it"
    )]
    UnknownClass {
        /// The model.
        model: String,
        /// The class.
        class: &'static str,
    },
    /// No trees could be boosted.
    #[error("boosting failed: {0}")]
    Boost(#[from] ForustError),
    /// No tree grew.
    #[error(transparent)]
    Grow(#[from] GrowError),
}

/// A row of the recipe's classes.
#[derive(Clone, Copy, Debug)]
pub struct Labelled<'a> {
    /// The row.
    pub row: &'a Row,
    /// Place of its class in the recipe.
    pub class: usize,
    /// How many captures its capture stands for.
    pub emphasis: f64,
}

/// The rows that the recipe speaks of, with their classes.
///
/// # Errors
/// The recipe contradicts itself, or a value is not finite.
pub fn labelled<'a>(rows: &'a Rows, recipe: &Recipe) -> Result<Vec<Labelled<'a>>, TrainError> {
    let rules = recipe.class_rules()?;
    let class_of = |label: &String| rules.iter().position(|rule| rule.labels.contains(label));
    let classes: Vec<Option<usize>> = rows.labels.iter().map(class_of).collect();
    let left_out: Vec<bool> = rows.captures.iter().map(|capture| recipe.excludes(&capture.name)).collect();
    let emphases: Vec<f64> = rows.captures.iter().map(|capture| recipe.emphasis(&capture.name)).collect();
    let mut found = Vec::new();
    for row in &rows.rows {
        let Some(class) = classes[row.label].filter(|_| !left_out[row.capture]) else { continue };
        if let Some(at) = row.features.iter().position(|value| !value.is_finite()) {
            let capture = rows.captures[row.capture].name.clone();
            return Err(TrainError::NotFinite { capture, flow: row.flow, feature: FEATURES[at].name });
        }
        found.push(Labelled { row, class, emphasis: emphases[row.capture] });
    }
    Ok(found)
}

/// A vector to learn from, and what it counts.
struct Lesson {
    /// Place of the capture that it is from.
    capture: usize,
    features: FeatureVector,
    class: usize,
    /// A row as it was, not an exaggerated one.
    is_real: bool,
    /// In observations: those of a capture with `n` rows add up to `n^e`.
    observations: f64,
    /// The share of the whole weight.
    weight: f64,
}

impl Lesson {
    /// What a tree sees of it that has it so many times.
    fn sample(&self, times: f64) -> Sample<'_> {
        Sample { features: &self.features, class: self.class, weight: self.weight * times }
    }
}

/// Trains a model on the labelled ones of the rows. Each tree is a step.
///
/// # Errors
/// A class has no rows, or is of so few sources that it cannot be calibrated, or the recipe contradicts itself.
pub fn train(
    rows: &Rows,
    labelled: &[Labelled<'_>],
    recipe: &Recipe,
    progress: &dyn Progress,
) -> Result<Model, TrainError> {
    Ok(train_and_assess(rows, labelled, recipe, progress)?.0)
}

/// The same, with what calibration is worth in each part of the sources; nothing where the recipe asks for none.
///
/// # Errors
/// As [`train`].
pub fn train_and_assess(
    rows: &Rows,
    labelled: &[Labelled<'_>],
    recipe: &Recipe,
    progress: &dyn Progress,
) -> Result<(Model, Vec<Reliability>), TrainError> {
    let mut model = uncalibrated(labelled, recipe, progress)?;
    let Some(rules) = &recipe.calibration else { return Ok((model, Vec::new())) };
    let learnt = calibration::learn(rows, labelled, recipe, rules, progress)?;
    model.calibration = learnt.curves;
    Ok((model, learnt.folds))
}

/// How many steps it takes to train a model by this recipe.
#[must_use]
pub fn steps(recipe: &Recipe) -> u64 {
    let models = 1 + recipe.calibration.as_ref().map_or(0, |rules| rules.folds);
    models as u64 * uncalibrated_steps(recipe)
}

/// How many of them the trees alone take.
pub(crate) fn uncalibrated_steps(recipe: &Recipe) -> u64 {
    let steps = match (&recipe.forest, &recipe.boosting) {
        (Some(forest), _) => forest.trees.max(1),
        (None, Some(_)) => recipe.class_count(),
        (None, None) => 1,
    };
    steps as u64
}

/// The trees alone.
pub(crate) fn uncalibrated(
    rows: &[Labelled<'_>],
    recipe: &Recipe,
    progress: &dyn Progress,
) -> Result<Model, TrainError> {
    let rules = recipe.class_rules()?;
    let (lessons, ranges) = curriculum(rows, recipe, &rules)?;
    let growth = growth(recipe, rules.len())?;
    let school = School {
        lessons: &lessons,
        prior: &rules.iter().map(|rule| rule.prior).collect::<Vec<f64>>(),
        smoothing: recipe.tree.smoothing,
        progress,
    };
    let (combination, base, trees) = match (&recipe.forest, &recipe.boosting) {
        (_, Some(boosting)) => {
            let Boosted { base, trees } = boost(&school.examples(), rules.len(), &growth.uses, boosting, progress)?;
            (Combination::OneVsRest, base, trees)
        }
        (Some(forest), None) => (Combination::Mean, vec![0.0; rules.len()], school.forest(&growth, forest)?),
        (None, None) => (Combination::Mean, vec![0.0; rules.len()], vec![school.tree(&growth, &|_| 1)?]),
    };
    let classes: Vec<ThreatClass> = rules.iter().map(|rule| rule.class).collect();
    let (name, calibration) = (recipe.name.clone(), Vec::new());
    Ok(Model { name, classes, ranges, combination, base, trees, calibration })
}

/// What trees learn from, and between which values its features lie.
fn curriculum(
    rows: &[Labelled<'_>],
    recipe: &Recipe,
    rules: &[ClassRule],
) -> Result<(Vec<Lesson>, Vec<Range>), TrainError> {
    let mut lessons = lessons(&thin_out(rows, recipe), rules, recipe.rows.capture_exponent)?;
    let ranges = ranges(lessons.iter().map(|lesson| &lesson.features), &harmless_ends(rows, recipe)?);
    exaggerate(&mut lessons, &recipe.rows.margins());
    Ok((lessons, ranges))
}

fn growth(recipe: &Recipe, classes: usize) -> Result<Growth, RecipeError> {
    Ok(Growth {
        classes,
        uses: recipe.tree.uses()?,
        ask_first: recipe.tree.asked_first()?,
        max_depth: recipe.tree.max_depth,
        min_leaf_share: recipe.tree.min_leaf_share,
        min_gain: recipe.tree.min_gain,
        ccp_alpha: recipe.tree.ccp_alpha,
    })
}

/// What trees learn from, and what their leaves need beside.
struct School<'a> {
    lessons: &'a [Lesson],
    prior: &'a [f64],
    smoothing: f64,
    progress: &'a dyn Progress,
}

impl School<'_> {
    /// A tree that learns from the lessons of each capture as many times as `times` says.
    fn tree(&self, growth: &Growth, times: &(dyn Fn(usize) -> u32 + Sync)) -> Result<Tree, GrowError> {
        let drawn: Vec<(&Lesson, f64)> = self
            .lessons
            .iter()
            .map(|lesson| (lesson, f64::from(times(lesson.capture))))
            .filter(|(_, times)| *times > 0.0)
            .collect();
        let samples: Vec<Sample<'_>> = drawn.iter().map(|(lesson, times)| lesson.sample(*times)).collect();
        let tree = grow(&samples, growth, &|places| leaf(&drawn, places, self.prior, self.smoothing));
        self.progress.step();
        tree
    }

    /// What boosting learns from: weights are in observations, so that all of them together are as many as there are.
    fn examples(&self) -> Vec<Example<'_>> {
        let observations: f64 = self.lessons.iter().map(|lesson| lesson.observations).sum();
        let examples = self.lessons.iter().map(|lesson| Example {
            features: &lesson.features,
            class: lesson.class,
            weight: lesson.weight * observations,
            is_counted: lesson.is_real,
        });
        examples.collect()
    }

    /// Trees that each know other captures and other features: their mean errs less than one of them, because they do not
    /// err alike. Captures are drawn with replacement (Breiman, "Bagging predictors", 1996; whole captures, because the rows
    /// of one resemble each other), features without (Ho, "The random subspace method", 1998).
    fn forest(&self, growth: &Growth, rules: &ForestRules) -> Result<Vec<Tree>, GrowError> {
        let numbers: Vec<u64> = (0..rules.trees.max(1) as u64).collect();
        let workers = thread::available_parallelism().map_or(1, usize::from);
        let grow_some = |numbers: &[u64]| -> Result<Vec<Tree>, GrowError> {
            numbers.iter().map(|&number| self.one_of_many(growth, rules, draw(rules.seed ^ draw(number)))).collect()
        };
        thread::scope(|scope| {
            let share = numbers.len().div_ceil(workers);
            let running: Vec<_> = numbers.chunks(share).map(|some| scope.spawn(move || grow_some(some))).collect();
            let mut trees = Vec::new();
            for one in running {
                match one.join() {
                    Ok(grown) => trees.extend(grown?),
                    Err(panic) => resume_unwind(panic),
                }
            }
            Ok(trees)
        })
    }

    fn one_of_many(&self, growth: &Growth, rules: &ForestRules, seed: u64) -> Result<Tree, GrowError> {
        let share = |of: u64| Random::new(seed ^ draw(of)).share();
        let keeps =
            |feature: usize| growth.ask_first.contains(&feature) || share(!(feature as u64)) < rules.feature_share;
        let uses = growth.uses.iter().enumerate();
        let uses = uses.map(|(feature, &rule)| if keeps(feature) { rule } else { Use::No }).collect();
        self.tree(&Growth { uses, ..growth.clone() }, &|capture| poisson(share(capture as u64)))
    }
}

/// How often one of many is drawn when as many are drawn with replacement: Poisson's distribution with the mean 1, inverted.
fn poisson(uniform: f64) -> u32 {
    let (mut times, mut probability) = (0, (-1.0_f64).exp());
    let mut below = probability;
    while uniform >= below && times < 8 {
        times += 1;
        probability /= f64::from(times);
        below += probability;
    }
    times
}

/// At most so many rows of a class from each capture as the recipe allows, chosen by a hash: which ones depends on the
/// seed and the row alone, not on the other captures.
fn thin_out<'a>(rows: &[Labelled<'a>], recipe: &Recipe) -> Vec<Labelled<'a>> {
    let mut kept = vec![true; rows.len()];
    for places in by_capture_and_class(rows).into_values() {
        let mut drawn: Vec<(u64, usize)> = places
            .iter()
            .enumerate()
            .map(|(number, &place)| (draw(recipe.rows.seed ^ draw(number as u64)), place))
            .collect();
        drawn.sort_unstable();
        for (_, place) in drawn.into_iter().skip(recipe.rows.max_per_capture) {
            kept[place] = false;
        }
    }
    rows.iter().zip(kept).filter(|(_, kept)| *kept).map(|(row, _)| *row).collect()
}

fn by_capture_and_class(rows: &[Labelled<'_>]) -> BTreeMap<(usize, usize), Vec<usize>> {
    let mut groups: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for (place, row) in rows.iter().enumerate() {
        groups.entry((row.row.capture, row.class)).or_default().push(place);
    }
    groups
}

/// A number that looks random, and is the same for the same argument.
fn draw(value: u64) -> u64 {
    Random::new(value).bits()
}

fn lessons(rows: &[Labelled<'_>], rules: &[ClassRule], exponent: f64) -> Result<Vec<Lesson>, TrainError> {
    let mut observations = vec![0.0; rows.len()];
    let mut of_class = vec![0.0; rules.len()];
    for ((_, class), places) in by_capture_and_class(rows) {
        let count = places.len() as f64;
        for place in places {
            observations[place] = count.powf(exponent) / count;
            of_class[class] += observations[place] * rows[place].emphasis;
        }
    }
    if let Some(at) = of_class.iter().position(|sum| *sum == 0.0) {
        return Err(TrainError::NoRows(rules[at].class.name()));
    }
    let lesson = |(&Labelled { row, class, emphasis }, observations): (&Labelled<'_>, f64)| {
        let weight = observations * emphasis / of_class[class] * rules[class].prior;
        Lesson { capture: row.capture, features: row.features, class, is_real: true, observations, weight }
    };
    Ok(rows.iter().zip(observations).map(lesson).collect())
}

/// Adds each harmless lesson a second time, with features as many times as high as the margins say; the two share the weight.
fn exaggerate(lessons: &mut Vec<Lesson>, margins: &[(usize, f32)]) {
    if margins.is_empty() {
        return;
    }
    for at in 0..lessons.len() {
        let real = &mut lessons[at];
        if real.class != 0 {
            continue;
        }
        real.weight /= 2.0;
        let mut features = real.features;
        for &(place, factor) in margins {
            // Less than 0 stands for what is undefined.
            features[place] *= if features[place] > 0.0 { factor } else { 1.0 };
        }
        let (capture, weight) = (real.capture, real.weight);
        lessons.push(Lesson { capture, features, class: 0, is_real: false, observations: 0.0, weight });
    }
}

/// The leaf in which these lessons end, each with how often it is there.
fn leaf(lessons: &[(&Lesson, f64)], places: &[usize], prior: &[f64], smoothing: f64) -> Node {
    let mut weights = vec![0.0; prior.len()];
    let mut observations = 0.0;
    let mut rows = 0;
    for &place in places {
        let (lesson, times) = lessons[place];
        weights[lesson.class] += lesson.weight * times;
        observations += lesson.observations * times;
        rows += u64::from(lesson.is_real);
    }
    let total: f64 = weights.iter().sum();
    let share = |(weight, prior): (&f64, &f64)| {
        ((observations * weight / total + smoothing * prior) / (observations + smoothing)) as f32
    };
    Node::Leaf { rows, values: weights.iter().zip(prior).map(share).collect() }
}

/// The ends of all harmless flows, which weigh among each other as captures do in training.
///
/// # Errors
/// The recipe contradicts itself.
pub fn harmless_ends<'a>(rows: &[Labelled<'a>], recipe: &Recipe) -> Result<Vec<HarmlessEnd<'a>>, RecipeError> {
    let rules = recipe.class_rules()?;
    let harmless = rows.iter().filter(|row| rules[row.class].class == ThreatClass::Benign);
    Ok(ends(harmless.map(|row| (row.row, row.emphasis)), recipe.rows.capture_exponent))
}

#[cfg(test)]
mod tests {
    use traffic::features::FEATURE_COUNT;

    use super::*;

    #[test]
    fn what_is_undefined_has_no_margin() {
        let mut features = [-1.0; FEATURE_COUNT];
        features[1] = 5.0;
        let lesson = Lesson { capture: 0, features, class: 0, is_real: true, observations: 1.0, weight: 1.0 };
        let mut lessons = vec![lesson];
        exaggerate(&mut lessons, &[(0, 3.0), (1, 3.0)]);
        let told: Vec<_> = lessons.iter().map(|of| (of.features[0], of.features[1], of.weight, of.is_real)).collect();
        assert_eq!(told, [(-1.0, 5.0, 0.5, true), (-1.0, 15.0, 0.5, false)]);
    }
}
