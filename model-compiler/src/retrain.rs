//! A model made anew with what people said about alerts: the rows that the recipe was followed with, and beside them the
//! labelled rows that appliances exported (`sluice export-rows`), as a corpus of its own.
//!
//! Each labelled alert is a capture with one row, whose label is the name of a class. `weight` says how many captures it
//! stands for, as `emphasize` does in a recipe.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};

use traffic::features::{FEATURE_COUNT, FEATURES, ThreatClass};

use crate::folds::{Grouping, NEVER, Part, Parts, split};
use crate::model::Model;
use crate::progress::Progress;
use crate::recipe::{ClassRule, Recipe};
use crate::rows::{Capture, Row, Rows, RowsError};
use crate::train::{Labelled, TrainError, labelled, steps, train};

/// The corpus of appliances, by the beginning of its captures' names.
pub const CORPUS: &str = "appliance";

/// The first line of a table that holds a row: before it stand the schema and the columns.
const FIRST_LINE: usize = 3;

/// The most parts that the offenders are split into.
const MOST_FOLDS: usize = 5;

/// Why no model came of it.
#[derive(Debug, thiserror::Error)]
pub enum RetrainError {
    /// A table cannot be read.
    #[error(transparent)]
    Rows(#[from] RowsError),
    /// A table without rows.
    #[error(
        "{path} ends after its columns, without a row: say what alerts were with `sluice label`, then `sluice export-rows`"
    )]
    Empty {
        /// The table.
        path: PathBuf,
    },
    /// A label that is no class.
    #[error("{path}, line {line}, column label: {label:?} is no class; there are {}", class_names())]
    Label {
        /// The table.
        path: PathBuf,
        /// The line in the file, counted from 1.
        line: usize,
        /// What stands there.
        label: String,
    },
    /// A number that no comparison can tell anything about.
    #[error("{path}, line {line}, column {column}: it is not a finite number")]
    NotFinite {
        /// The table.
        path: PathBuf,
        /// The line in the file, counted from 1.
        line: usize,
        /// The column.
        column: &'static str,
    },
    /// Rows of two tables could not be told apart.
    #[error("two tables are called {0:?}: give each appliance's table a name of its own, and none twice")]
    SameName(String),
    /// What was learnt from would be tested on.
    #[error(
        "{alert} is in both {first} and {second}, with the same features: they are two exports of one appliance, give the newer \
         one alone"
    )]
    SameAppliance {
        /// The alert.
        alert: String,
        /// A table that it is in.
        first: PathBuf,
        /// The other one.
        second: PathBuf,
    },
    /// The model knows none of the classes.
    #[error("the recipe has none of the labelled classes: {0}")]
    NothingToLearn(String),
    /// The training itself.
    #[error(transparent)]
    Train(#[from] TrainError),
}

/// What tells an alert from those of other appliances: its name there and the bits of its features. What it was labelled may have
/// changed between two exports.
type Alert = (String, [u32; FEATURE_COUNT]);

/// Rows of corpora, with those of appliances behind them.
#[derive(Debug)]
pub struct Lessons {
    rows: Rows,
    /// The captures from here on are alerts.
    first_alert: usize,
    /// Labelled rows that no class of the recipe is for, by class.
    left_out: BTreeMap<&'static str, usize>,
}

/// What came of it.
#[derive(Debug)]
pub struct Retrained {
    /// The new model.
    pub model: Model,
    /// How it does beside the old one.
    pub comparison: Comparison,
}

/// How many rows the old and the new model get right.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// Labelled rows of classes of the recipe.
    pub labelled: usize,
    /// Of how many offenders.
    pub offenders: usize,
    /// Labelled rows that were left out, by class.
    pub left_out: BTreeMap<&'static str, usize>,
    /// Of the labelled rows, what the old model gets right.
    pub old_right: usize,
    /// What models get right that have learnt from the rows of other offenders; none where there are too few offenders.
    pub held_out: Option<HeldOut>,
    /// What the new model gets right, which has learnt from all of them.
    pub new_right: usize,
    /// Rows of the corpora.
    pub corpora: usize,
    /// Of these, what the old and the new model get right.
    pub corpora_right: [usize; 2],
}

/// A measurement by folds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldOut {
    /// Into how many parts the offenders were split.
    pub folds: usize,
    /// How many of the labelled rows were taken for what they are.
    pub right: usize,
}

fn class_names() -> String {
    ThreatClass::ALL.map(ThreatClass::name).join(", ")
}

impl Lessons {
    /// Puts the rows of tables of labelled alerts behind those of the corpora. Captures and offenders get the name of the file
    /// before theirs, because each appliance counts its own.
    ///
    /// # Errors
    /// A table cannot be read, holds something else than labelled rows (file, line and column are named), or is of the same
    /// appliance as another one.
    pub fn new(corpora: Rows, tables: &[PathBuf], recipe: &Recipe) -> Result<Self, RetrainError> {
        let rules = recipe.class_rules().map_err(TrainError::from)?;
        let mut lessons = Self { first_alert: corpora.captures.len(), rows: corpora, left_out: BTreeMap::new() };
        let (mut names, mut seen) = (BTreeSet::new(), BTreeMap::new());
        for path in tables {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            if !names.insert(name.clone()) {
                return Err(RetrainError::SameName(name));
            }
            lessons.add(path, &name, &rules, &mut seen)?;
        }
        if lessons.rows.captures.len() == lessons.first_alert {
            let classes: Vec<&str> = lessons.left_out.keys().copied().collect();
            return Err(RetrainError::NothingToLearn(classes.join(", ")));
        }
        Ok(lessons)
    }

    fn add<'a>(
        &mut self,
        path: &'a Path,
        name: &str,
        rules: &[ClassRule],
        seen: &mut BTreeMap<Alert, &'a Path>,
    ) -> Result<(), RetrainError> {
        let table = Rows::read(path)?;
        if table.rows.is_empty() {
            return Err(RetrainError::Empty { path: path.to_owned() });
        }
        let mut places = BTreeMap::new();
        for (line, row) in (FIRST_LINE..).zip(&table.rows) {
            let class = class_of(path, line, &table, row)?;
            let alert = &table.captures[row.capture].name;
            let first = *seen.entry((alert.clone(), row.features.map(f32::to_bits))).or_insert(path);
            if first != path {
                let (first, second) = (first.to_owned(), path.to_owned());
                return Err(RetrainError::SameAppliance { alert: alert.clone(), first, second });
            }
            if !rules.iter().any(|rule| rule.class == class) {
                *self.left_out.entry(class.name()).or_default() += 1;
                continue;
            }
            let captures = &mut self.rows.captures;
            let capture = *places.entry(row.capture).or_insert_with(|| {
                let Capture { name: alert, source } = &table.captures[row.capture];
                let named = |of: &str| format!("{CORPUS}/{name}/{of}");
                captures.push(Capture { name: named(alert), source: named(source) });
                captures.len() - 1
            });
            let label = self.rows.label(class.name());
            self.rows.rows.push(Row { capture, label, ..row.clone() });
        }
        Ok(())
    }

    /// Trains the model anew, and measures it beside the old one.
    ///
    /// # Errors
    /// See [`train`].
    pub fn retrain(
        &self,
        recipe: &Recipe,
        old: &Model,
        weight: f64,
        progress: &dyn Progress,
    ) -> Result<Retrained, RetrainError> {
        let rules = recipe.class_rules().map_err(TrainError::from)?;
        let corpora: Vec<Labelled<'_>> =
            labelled(&self.rows, recipe)?.into_iter().filter(|case| case.row.capture < self.first_alert).collect();
        let alerts = self.alerts(&rules, weight);
        let held_out = self.held_out(&corpora, &alerts, recipe, progress)?;
        let all: Vec<Labelled<'_>> = corpora.iter().chain(&alerts).copied().collect();
        progress.begin("trees", steps(recipe));
        let model = train(&self.rows, &all, recipe, progress)?;
        let comparison = Comparison {
            labelled: alerts.len(),
            offenders: self.offenders(),
            left_out: self.left_out.clone(),
            old_right: right(old, &alerts, &rules),
            held_out,
            new_right: right(&model, &alerts, &rules),
            corpora: corpora.len(),
            corpora_right: [right(old, &corpora, &rules), right(&model, &corpora, &rules)],
        };
        Ok(Retrained { model, comparison })
    }

    /// The labelled rows. Their labels are names of classes, whatever labels the recipe gives the classes of its corpora.
    fn alerts(&self, rules: &[ClassRule], weight: f64) -> Vec<Labelled<'_>> {
        let of_alert = self.rows.rows.iter().filter(|row| row.capture >= self.first_alert);
        let class = |row: &Row| rules.iter().position(|rule| rule.class.name() == self.rows.labels[row.label]);
        of_alert.filter_map(|row| Some(Labelled { row, class: class(row)?, emphasis: weight })).collect()
    }

    fn offenders(&self) -> usize {
        self.rows.captures[self.first_alert..].iter().map(|capture| &capture.source).collect::<BTreeSet<_>>().len()
    }

    /// Trains as many models as there are parts of offenders, each without the rows of one part, and tests it on these.
    fn held_out(
        &self,
        corpora: &[Labelled<'_>],
        alerts: &[Labelled<'_>],
        recipe: &Recipe,
        progress: &dyn Progress,
    ) -> Result<Option<HeldOut>, RetrainError> {
        let folds = self.offenders().min(MOST_FOLDS);
        if folds < 2 {
            return Ok(None);
        }
        let rules = recipe.class_rules().map_err(TrainError::from)?;
        let mut split = split(&self.rows, alerts, rules.len(), Grouping::Source, Parts::Count(folds));
        split.fold_of[..self.first_alert].fill(NEVER);
        let all: Vec<Labelled<'_>> = corpora.iter().chain(alerts).copied().collect();
        let mut sum = 0;
        for part in split.parts(&all, &rules) {
            let Part { fold, tested, learnt } = part?;
            progress.begin("trees without a part of the offenders", steps(recipe));
            let model = train(&self.rows, &learnt, recipe, progress)?;
            sum += right(&model, &tested, &rules);
            progress.say(&format!("part {} of {folds} of the offenders: {} rows held out", fold + 1, tested.len()));
        }
        Ok(Some(HeldOut { folds, right: sum }))
    }
}

/// The class that a labelled row names, once all of the row is fit to be learnt from.
fn class_of(path: &Path, line: usize, table: &Rows, row: &Row) -> Result<ThreatClass, RetrainError> {
    if let Some(at) = row.features.iter().position(|value| !value.is_finite()) {
        return Err(RetrainError::NotFinite { path: path.to_owned(), line, column: FEATURES[at].name });
    }
    let label = &table.labels[row.label];
    ThreatClass::from_name(label).ok_or_else(|| RetrainError::Label {
        path: path.to_owned(),
        line,
        label: label.clone(),
    })
}

/// How many rows the model takes for what they are.
fn right(model: &Model, cases: &[Labelled<'_>], rules: &[ClassRule]) -> usize {
    let is_right = |case: &&Labelled<'_>| model.classify(&case.row.features).class == rules[case.class].class;
    cases.iter().filter(is_right).count()
}

impl Display for Comparison {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { labelled, offenders, old_right, new_right, corpora, corpora_right: [old, new], .. } = self;
        for (class, count) in &self.left_out {
            writeln!(f, "{count} labelled rows are left out: the recipe has no class {class}")?;
        }
        write!(f, "of {labelled} labelled rows of {offenders} offenders the old model gets {old_right} right, ")?;
        match self.held_out {
            Some(HeldOut { folds, right }) => writeln!(
                f,
                "and the new one {right} (held out: {folds} parts of the offenders, none learnt from and tested on at once)"
            )?,
            None => writeln!(
                f,
                "and the new one {new_right}, which it has learnt from: with one offender nothing can be held out, so this says \
                 nothing of others"
            )?,
        }
        write!(
            f,
            "of {corpora} rows of the corpora the old model gets {old} right, and the new one {new}; it has learnt from these"
        )
    }
}
