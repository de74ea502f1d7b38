//! How good a model is on captures that it has not seen, beside the best single comparison.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::fmt::{self, Display, Formatter};

use serde::Serialize;
use traffic::features::ThreatClass;

use crate::calibration::{Bin, Quality, bins, quality, weighed};
use crate::extract::BENIGN;
use crate::folds::{Grouping, Part, Parts, split};
use crate::forest::{Best, MAX_CLASSES};
use crate::measures::{Curves, Measures, OfSource, by_class, by_source, curves};
use crate::model::Model;
use crate::progress::Progress;
use crate::recipe::{ClassRule, Recipe};
use crate::rows::{Row, Rows};
use crate::scores::{CaptureScore, Case, ClassScore, Scores, Table, by_flow, score};
use crate::train::stump::{Target, train_stump};
use crate::train::{self, Labelled, TrainError};

/// The most captures that the text names; the JSON names them all.
const NAMED_CAPTURES: usize = 25;

/// A measurement, with how it was made.
#[derive(Clone, Debug, Serialize)]
pub struct Evaluation {
    /// What was measured and how, in words.
    pub method: String,
    /// What was drawn again for the intervals.
    pub drawn: Grouping,
    /// The model, or the models of all folds together.
    pub model: Scores,
    /// The best single comparison for each line of the tables, trained and tested on the same rows: of a threat the one that tells it from
    /// all else; of harmless flows and all threats together the one that tells these apart, whose are also the captures and the confusion.
    pub stump: Scores,
    /// Areas under curves and errors with intervals, by flow: of the model, the stump and the majority class.
    pub measures: [(&'static str, Vec<Measures>); 3],
    /// The same of the model's alarms, by source.
    pub sources: Vec<OfSource>,
    /// The model's curves.
    pub curves: Vec<Curves>,
    /// The confidences of the model's alarms against what was right, for each threat in bins.
    pub reliability: Vec<OfClass>,
}

/// How confidences in a threat agree with outcomes.
#[derive(Clone, Debug, Serialize)]
pub struct OfClass {
    /// The threat that the model named.
    pub class: String,
    /// The bins from 0 to 1 in which flows lie.
    pub bins: Vec<Bin>,
    /// How far they are apart.
    pub quality: Quality,
}

/// Trains and tests a model for each part, each on the captures or sources that the others have not seen. Where the models of all parts are
/// made already, they are tested as they are.
///
/// # Errors
/// A class has too few groups: it is missing in training when one of them is tested on.
pub fn cross_validate(
    rows: &Rows,
    labelled: &[Labelled<'_>],
    recipe: &Recipe,
    grouping: Grouping,
    parts: Parts,
    made: &[Model],
    progress: &dyn Progress,
) -> Result<Evaluation, TrainError> {
    let rules = recipe.class_rules()?;
    let split = split(rows, labelled, rules.len(), grouping, parts);
    let (folds, by) = (split.folds, split.grouping.name());
    let (mut of_model, mut of_stumps) = (Vec::new(), vec![Vec::new(); rules.len()]);
    progress.begin(&format!("{folds} folds by {by}"), folds as u64 * train::steps(recipe));
    for part in split.parts(labelled, &rules) {
        let Part { fold, tested, learnt } = part?;
        let model = match made.get(fold) {
            Some(made) => Cow::Borrowed(made),
            None => Cow::Owned(train::train(rows, &learnt, recipe, progress)?),
        };
        progress.say(&format!("fold {} of {folds} by {by}: {} leaves", fold + 1, model.leaves()));
        of_model.extend(answers(&model, &rules, &tested)?);
        add_stumps(&mut of_stumps, &learnt, &tested, recipe)?;
    }
    let method = match parts {
        Parts::Count(folds) => {
            format!("{folds}-fold cross-validation, no {by} on both sides of a split")
        }
        Parts::Each(_) => format!("each {by} by a model of all others, {folds} times"),
    };
    // There are two corpora or three: too few to draw.
    let drawn = if grouping == Grouping::Corpus { Grouping::Source } else { grouping };
    evaluation(method, drawn, rows, recipe, &of_model, &of_stumps)
}

/// Adds what the best single comparisons of the rows that are learnt say of those that are tested: at the place of each threat the one for
/// it, at that of the harmless class the one for any threat.
fn add_stumps(
    said: &mut [Vec<Case>],
    learnt: &[Labelled<'_>],
    tested: &[Labelled<'_>],
    recipe: &Recipe,
) -> Result<(), TrainError> {
    let rules = recipe.class_rules()?;
    for (class, cases) in said.iter_mut().enumerate() {
        let target = if class == 0 { Target::AnyThreat } else { Target::Threat(class) };
        cases.extend(answers(&train_stump(learnt, recipe, target)?, &rules, tested)?);
    }
    Ok(())
}

/// Tests a finished model on rows; the stumps are trained on these very rows, which flatters them.
///
/// # Errors
/// The recipe contradicts itself, a class has no rows, or the model knows one that the recipe does not have.
pub fn as_it_is(
    model: &Model,
    rows: &Rows,
    labelled: &[Labelled<'_>],
    recipe: &Recipe,
) -> Result<Evaluation, TrainError> {
    let rules = recipe.class_rules()?;
    let of_model = answers(model, &rules, labelled)?;
    let mut of_stumps = vec![Vec::new(); recipe.class_count()];
    add_stumps(&mut of_stumps, labelled, labelled, recipe)?;
    let method = format!("the finished model {} on these rows", model.name);
    evaluation(method, Grouping::Source, rows, recipe, &of_model, &of_stumps)
}

fn evaluation(
    method: String,
    drawn: Grouping,
    rows: &Rows,
    recipe: &Recipe,
    model: &[Case],
    stumps: &[Vec<Case>],
) -> Result<Evaluation, TrainError> {
    let rules = recipe.class_rules()?;
    let classes: Vec<&str> = rules.iter().map(|rule| rule.class.name()).collect();
    let captures: Vec<String> = rows.captures.iter().map(|capture| capture.name.clone()).collect();
    let flows = by_flow(model);
    let of = |flows: &[Case]| by_class(flows, rows, drawn, &classes);
    let measures = [
        ("model", of(&flows)),
        ("stump", best_of_each(stumps, |cases| of(&by_flow(cases)))),
        ("majority class", of(&majority(&flows, &rules))),
    ];
    let sources = by_source(&flows, rows, &classes);
    let reliability = reliability(&flows, recipe, &rules);
    let curves = curves(&flows, &classes);
    let [model, stump] = [score(model, &classes, &captures), scores_of(stumps, &classes, &captures)];
    Ok(Evaluation { method, drawn, model, stump, measures, sources, curves, reliability })
}

/// The figures of each class by the comparison for it, those of the first one for the harmless class and any threat.
fn best_of_each<T>(stumps: &[Vec<Case>], figures: impl Fn(&[Case]) -> Vec<T>) -> Vec<T> {
    let mut all = stumps.iter().map(|cases| figures(cases));
    let mut best = all.next().unwrap_or_default();
    for (class, own) in (1..).zip(all) {
        if let (Some(place), Some(own)) = (best.get_mut(class), own.into_iter().nth(class)) {
            *place = own;
        }
    }
    best
}

fn scores_of(stumps: &[Vec<Case>], classes: &[&str], captures: &[String]) -> Scores {
    let [first, ..] = stumps else { return score(&[], classes, captures) };
    let mut scores = score(first, classes, captures);
    scores.rows.classes = best_of_each(stumps, |cases| score(cases, classes, captures).rows.classes);
    scores.flows.classes = best_of_each(stumps, |cases| score(cases, classes, captures).flows.classes);
    scores
}

/// The answers of whoever always names the class with the largest prior.
fn majority(flows: &[Case], rules: &[ClassRule]) -> Vec<Case> {
    let mut shares = [0.0; MAX_CLASSES];
    shares.iter_mut().zip(rules).for_each(|(share, rule)| *share = rule.prior as f32);
    let largest = (0..rules.len()).max_by(|a, b| rules[*a].prior.total_cmp(&rules[*b].prior)).unwrap_or_default();
    flows.iter().map(|flow| Case { said: largest, confidence: shares[largest], shares, ..*flow }).collect()
}

fn reliability(flows: &[Case], recipe: &Recipe, rules: &[ClassRule]) -> Vec<OfClass> {
    let outcomes = weighed(flows, recipe, rules, &|_| 0);
    let of_class = |(class, rule): (usize, &ClassRule)| {
        let told: Vec<_> = outcomes.iter().filter(|outcome| outcome.said == class).copied().collect();
        let bins = bins(&told).into_iter().flatten().collect();
        OfClass { class: rule.class.name().to_owned(), bins, quality: quality(&told) }
    };
    let threats = rules.iter().enumerate().filter(|(_, rule)| rule.class != ThreatClass::Benign);
    threats.map(of_class).collect()
}

/// What the model says of each row, in classes of the recipe. An imported model may have them in another order, or fewer.
pub(crate) fn answers(model: &Model, rules: &[ClassRule], rows: &[Labelled<'_>]) -> Result<Vec<Case>, TrainError> {
    let places = places(model, rules)?;
    let tables = model.tables();
    let forest = tables.forest();
    let case = |&Labelled { row, class: truth, emphasis }: &Labelled<'_>| {
        let Best { class: said, confidence } = forest.best(&row.features);
        let said = places[said];
        let mut shares = [0.0; MAX_CLASSES];
        let distribution = forest.distribution(&row.features);
        places.iter().zip(distribution).for_each(|(&place, share)| shares[place] = share as f32);
        let Row { capture, initiator, flow, .. } = *row;
        Case { capture, initiator, flow, truth, emphasis, said, confidence, shares }
    };
    Ok(rows.iter().map(case).collect())
}

/// The place in the recipe of each class of the model.
fn places(model: &Model, rules: &[ClassRule]) -> Result<Vec<usize>, TrainError> {
    let place = |class: &ThreatClass| {
        let unknown = || TrainError::UnknownClass { model: model.name.clone(), class: class.name() };
        rules.iter().position(|rule| rule.class == *class).ok_or_else(unknown)
    };
    model.classes.iter().map(place).collect()
}

impl Display for Evaluation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.method)?;
        for (title, model, stump) in
            [("flows", &self.model.flows, &self.stump.flows), ("rows", &self.model.rows, &self.stump.rows)]
        {
            writeln!(f, "\nby {title:<16}   count  precision   recall       F1  false pos.  recall/capture  accused")?;
            for (name, table) in [("model", model), ("stump", stump)] {
                write_table(f, name, table)?;
            }
        }
        write_captures(f, &self.model.captures)
    }
}

fn write_table(f: &mut Formatter<'_>, name: &str, table: &Table) -> fmt::Result {
    for score in &table.classes {
        let ClassScore { class, count, .. } = score;
        let [precision, recall, f1, false_positives, by_capture, accused] = score.figures().map(figure);
        writeln!(
            f,
            "  {name} {class:<13} {count:>7}  {precision:>9}  {recall:>7}  {f1:>7}  {false_positives:>10}  {by_capture:>14}  {accused:>7}"
        )?;
    }
    Ok(())
}

/// A share with five digits, or a dash for a share of nothing.
fn figure(share: Option<f64>) -> String {
    share.map_or_else(|| "-".to_owned(), |share| format!("{share:.5}"))
}

/// Captures where the model was wrong, the worst first: harmless ones with an accused source, and attacks that passed,
/// which is without an accused source and with most flows called harmless. (A flood from forged addresses accuses
/// nobody.)
pub(crate) fn faults(captures: &[CaptureScore]) -> Vec<&CaptureScore> {
    let is_harmless = |score: &CaptureScore| score.class == BENIGN;
    let called_harmless = |score: &CaptureScore| score.said.get(BENIGN).copied().unwrap_or_default();
    let at_fault = |score: &&CaptureScore| match (is_harmless(score), score.accused) {
        (true, accused) => accused > 0,
        (false, 0) => 2 * called_harmless(score) > score.flows,
        (false, _) => false,
    };
    let mut faults: Vec<&CaptureScore> = captures.iter().filter(at_fault).collect();
    faults.sort_by_key(|score| (!is_harmless(score), Reverse(score.flows - score.right())));
    faults
}

fn write_captures(f: &mut Formatter<'_>, captures: &[CaptureScore]) -> fmt::Result {
    let faults = faults(captures);
    writeln!(
        f,
        "\n{} of {} captures are harmless with an accused source, or an attack that passed",
        faults.len(),
        captures.len()
    )?;
    for score in faults.iter().take(NAMED_CAPTURES) {
        writeln!(f, "  {} ({}, {} flows): {:?}", score.capture, score.class, score.flows, score.said)?;
    }
    if faults.len() > NAMED_CAPTURES {
        writeln!(f, "  and {} more", faults.len() - NAMED_CAPTURES)?;
    }
    Ok(())
}
