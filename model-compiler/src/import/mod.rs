//! Models that other libraries trained, on whatever machine, as a [`Model`] that runs on the box.
//!
//! Each importer reads one form of file and gives a [`Foreign`]: trees whose thresholds already decide as the library's do
//! ("more than goes right", on `f32`), but features and classes by their places in the file. Here these get their places
//! in our schema, by name; then the model must pass [`crate::check`] as any other. None of these files says between which
//! values the features lay in training, so the table of rows is asked for: without ranges the box could not say when
//! traffic is unlike all that the model has seen.

mod lightgbm;
mod onnx;
pub(crate) mod parts;
mod protobuf;
mod scikit_learn;
mod xgboost;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use serde::Deserialize;
use traffic::features::schema::index_of;
use traffic::features::{FEATURES, ThreatClass};

use crate::check::{TreeFault, Unfit, check};
use crate::extract::BENIGN;
use crate::forest::Combination;
use crate::model::{Model, Node, Range, Tree};
use crate::ranges::{self, ends};
use crate::rows::Rows;
use crate::save::save;

/// A capture counts as the root of its flows: no recipe says otherwise.
const CAPTURE_EXPONENT: f64 = 0.5;

/// What `import --help` adds.
const HELP: &str = concat!(
    "Train on dense tables and leave XGBoost's `missing` at NaN, its default: in sparse ones, and with another `missing`, it takes zeros \
     or other numbers for missing. Its file does not say so, and the imported model would decide otherwise.\n\n\
     What is read: LightGBM's text (save_model(\"model.txt\")), XGBoost's JSON (save_model(\"model.json\")), ONNX with one \
     TreeEnsembleClassifier (skl2onnx, onnxmltools), and of scikit-learn what this writes:\n\n",
    include_str!("export_scikit_learn.py"),
    "\n\nand of its HistGradientBoostingClassifier what this writes:\n\n",
    include_str!("export_histogram_boosting.py"),
);

/// The arguments of `import`.
#[derive(Args)]
#[command(after_long_help = HELP)]
pub struct Arguments {
    /// Folder of the model, whose last part is its name; model.json is written into it.
    model: PathBuf,
    /// What the other library wrote.
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// The table of rows that it was trained on, for the range of each feature.
    #[arg(long)]
    rows: PathBuf,
    /// The classes in the order of the library's numbers, where the file does not name them or names them otherwise.
    #[arg(long, value_delimiter = ',', value_name = "CLASS,…")]
    classes: Vec<String>,
    /// The features in the order of the library's columns, one name a line, where the file does not name them.
    #[arg(long, value_name = "FILE")]
    features: Option<PathBuf>,
}

/// What is said about a model beside its file.
#[derive(Clone, Debug, Default)]
pub struct Said {
    /// Its name.
    pub name: String,
    /// Its classes; empty: as the file says.
    pub classes: Vec<String>,
    /// Its features; empty: as the file says.
    pub features: Vec<String>,
}

/// Why a file cannot become a model.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// None of the forms that are read.
    #[error("it is no model that this program reads: {0}")]
    Form(&'static str),
    /// JSON, but not what it should be.
    #[error("it is no {form} that this program reads: {source}")]
    Json {
        /// What it should be.
        form: &'static str,
        /// Why it is not.
        source: serde_json::Error,
    },
    /// Bytes that make no sense.
    #[error("it is no {0}, or was cut off")]
    Malformed(&'static str),
    /// Something that every such file has.
    #[error("it does not have {0}")]
    Missing(&'static str),
    /// A word where a number belongs.
    #[error("its {what} has {text:?}, which is no such number")]
    Number {
        /// Where.
        what: &'static str,
        /// What stands there.
        text: String,
    },
    /// What the trees of this program cannot do, or what nobody knows the meaning of.
    #[error("it {0}: that cannot be imported")]
    Unsupported(String),
    /// A list of a tree is shorter than the others.
    #[error("tree {tree}: its list {column} is too short")]
    Short {
        /// Place of the tree.
        tree: usize,
        /// The list.
        column: &'static str,
    },
    /// The nodes are no tree.
    #[error("tree {tree}: {fault}")]
    Tree {
        /// Place of the tree.
        tree: usize,
        /// What is wrong.
        fault: TreeFault,
    },
    /// The file does not say what the columns are.
    #[error("it does not name its features: give them with --features, one name a line")]
    NoFeatures,
    /// Not as many names as columns.
    #[error("it has {columns} features, and {names} names were given")]
    FeatureNames {
        /// How many the model has.
        columns: usize,
        /// How many names there are.
        names: usize,
    },
    /// A feature that is not in the schema.
    #[error("it has a feature {0:?}, which this program does not compute")]
    UnknownFeature(String),
    /// Two columns of one name.
    #[error("it has the feature {0:?} twice")]
    FeatureTwice(String),
    /// A tree compares what has no name.
    #[error("tree {tree} compares feature {feature}, and the list of features ends before it")]
    NoSuchFeature {
        /// Place of the tree.
        tree: usize,
        /// Place of the feature.
        feature: usize,
    },
    /// The file does not say what the classes are.
    #[error("it does not name its {0} classes: give them with --classes, in the order of their numbers")]
    NoClasses(usize),
    /// Not as many names as classes.
    #[error("it tells {classes} classes apart, and {names} were named")]
    ClassNames {
        /// How many the model has.
        classes: usize,
        /// How many names there are.
        names: usize,
    },
    /// A class that nobody knows.
    #[error("it has a class {0:?}, which this program does not know: name its classes anew with --classes, out of {known}", known = class_names())]
    UnknownClass(String),
    /// What must hold of any model does not.
    #[error(transparent)]
    Unfit(#[from] Unfit),
}

impl ImportError {
    fn unsupported(what: impl Into<String>) -> Self {
        Self::Unsupported(what.into())
    }

    fn categorical(tree: usize) -> Self {
        Self::unsupported(format!("has categorical splits (tree {tree})"))
    }
}

fn class_names() -> String {
    ThreatClass::ALL.map(ThreatClass::name).join(", ")
}

/// A model as another library sees it.
struct Foreign {
    /// Names of the columns; empty where the file has none.
    features: Vec<String>,
    /// How many columns there are, where the file says so.
    columns: Option<usize>,
    /// Names of the classes; empty where the file has none.
    class_names: Vec<String>,
    /// How many classes there are.
    classes: usize,
    combination: Combination,
    base: Vec<f64>,
    /// Features stand there by their columns.
    trees: Vec<Tree>,
}

impl Foreign {
    /// A model without trees.
    fn named(features: Vec<String>, class_names: Vec<String>, classes: usize) -> Self {
        let columns = (!features.is_empty()).then_some(features.len());
        let (combination, base, trees) = (Combination::Mean, Vec::new(), Vec::new());
        Self { features, columns, class_names, classes, combination, base, trees }
    }
}

/// Does what the command line says.
///
/// # Errors
/// A file cannot be read or written, or the model cannot be imported.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let Arguments { model: folder, from, rows, classes, features } = arguments;
    let bytes = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let features = features.as_deref().map_or(Ok(Vec::new()), lines)?;
    let ranges = ranges(&Rows::read(rows)?).with_context(|| format!("cannot use {}", rows.display()))?;
    let said = Said { name, classes: classes.clone(), features };
    let model = import(&bytes, &said, ranges).with_context(|| format!("cannot import {}", from.display()))?;
    let path = save(&model, folder)?;
    eprintln!("{}: {} trees, {} leaves, depth {}", path.display(), model.trees.len(), model.leaves(), model.depth());
    Ok(())
}

/// The lines of a file that are not empty.
fn lines(path: &Path) -> anyhow::Result<Vec<String>> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

/// Between which values each feature lies in these rows, and how it is spread over the ends of harmless flows, where a capture
/// counts as the root of its flows.
///
/// # Errors
/// No row is harmless, or a value is no finite number.
pub fn ranges(rows: &Rows) -> anyhow::Result<Vec<Range>> {
    let harmless = rows.rows.iter().filter(|row| rows.labels[row.label] == BENIGN);
    let ends = ends(harmless.map(|row| (row, 1.0)), CAPTURE_EXPONENT);
    anyhow::ensure!(!ends.is_empty(), "none of its rows has the label {BENIGN}");
    let ranges = ranges::ranges(rows.rows.iter().map(|row| &row.features), &ends);
    let unsound = ranges.iter().zip(FEATURES).find(|(range, _)| !range.is_sound());
    match unsound {
        None => Ok(ranges),
        Some((_, feature)) => anyhow::bail!("{} is not finite in one of its rows", feature.name),
    }
}

/// From the bytes of a file to a model that has been checked. `ranges` has one element for each feature of the schema.
///
/// # Errors
/// Whatever keeps the file from being a model for this program.
pub fn import(bytes: &[u8], said: &Said, ranges: Vec<Range>) -> Result<Model, ImportError> {
    let foreign = read(bytes)?;
    let features = features(&foreign, &said.features)?;
    let classes = classes(&foreign, &said.classes)?;
    let mut trees = foreign.trees;
    for (place, tree) in trees.iter_mut().enumerate() {
        rename(place, tree, &features)?;
    }
    let base = foreign.base.iter().map(|score| *score as f32).collect();
    let (name, combination) = (said.name.clone(), foreign.combination);
    let model = Model { name, classes, ranges, combination, base, trees, calibration: Vec::new() };
    check(&model)?;
    Ok(model)
}

/// Finds out what wrote the file, by how it begins.
fn read(bytes: &[u8]) -> Result<Foreign, ImportError> {
    let text = || std::str::from_utf8(bytes).map_err(|_| ImportError::Malformed("text"));
    match bytes {
        [b'{', b'L' | b'U' | b'i' | b'I' | b'l' | b'#' | b'$', ..] => {
            Err(ImportError::Form("it looks like UBJSON of XGBoost; save it with save_model(\"model.json\")"))
        }
        [b'b', b'i', b'n', b'f', ..] => {
            Err(ImportError::Form("it is of an XGBoost before 1.0; load it there and save it as JSON"))
        }
        [b'{', ..] => of_json(text()?),
        [b'[', ..] => Err(ImportError::Form("it looks like a dump of XGBoost; use save_model(\"model.json\")")),
        [b't', b'r', b'e', b'e', b'\n' | b'\r', ..] => lightgbm::read(text()?),
        [0x80, ..] => {
            Err(ImportError::Form("it looks like a pickle, which is a program; `import --help` has an exporter"))
        }
        // Field 1 of ONNX, a varint: the version of its form.
        [0x08, ..] => onnx::read(bytes),
        _ => Err(ImportError::Form("`import --help` says what is read")),
    }
}

/// What tells one JSON from another.
#[derive(Deserialize)]
struct Sign {
    learner: Option<serde::de::IgnoredAny>,
    #[serde(rename = "scikit-learn")]
    scikit_learn: Option<String>,
    tree_info: Option<serde::de::IgnoredAny>,
}

fn of_json(text: &str) -> Result<Foreign, ImportError> {
    match from_json("JSON of a model", text)? {
        Sign { learner: Some(_), .. } => xgboost::read(text),
        Sign { scikit_learn: Some(kind), .. } => scikit_learn::read(&kind, text),
        Sign { tree_info: Some(_), .. } => {
            Err(ImportError::Form("it looks like a dump of LightGBM; use save_model(\"model.txt\")"))
        }
        _ => Err(ImportError::Form("`import --help` says what is read")),
    }
}

fn from_json<'a, T: Deserialize<'a>>(form: &'static str, text: &'a str) -> Result<T, ImportError> {
    serde_json::from_str(text).map_err(|source| ImportError::Json { form, source })
}

/// The place in the schema of each column.
fn features(foreign: &Foreign, said: &[String]) -> Result<Vec<usize>, ImportError> {
    let names = if said.is_empty() { &foreign.features[..] } else { said };
    if names.is_empty() {
        return Err(ImportError::NoFeatures);
    }
    if let Some(columns) = foreign.columns.filter(|columns| *columns != names.len()) {
        return Err(ImportError::FeatureNames { columns, names: names.len() });
    }
    let mut seen = BTreeSet::new();
    if let Some(twice) = names.iter().find(|name| !seen.insert(*name)) {
        return Err(ImportError::FeatureTwice(twice.clone()));
    }
    names.iter().map(|name| index_of(name).ok_or_else(|| ImportError::UnknownFeature(name.clone()))).collect()
}

fn classes(foreign: &Foreign, said: &[String]) -> Result<Vec<ThreatClass>, ImportError> {
    let names = if said.is_empty() { &foreign.class_names[..] } else { said };
    match names.len() {
        0 => return Err(ImportError::NoClasses(foreign.classes)),
        names if names != foreign.classes => {
            return Err(ImportError::ClassNames { classes: foreign.classes, names });
        }
        _ => {}
    }
    let class = |name: &String| ThreatClass::from_name(name).ok_or_else(|| ImportError::UnknownClass(name.clone()));
    names.iter().map(class).collect()
}

/// Puts places in the schema where columns stand.
fn rename(place: usize, tree: &mut Tree, places: &[usize]) -> Result<(), ImportError> {
    for node in &mut tree.nodes {
        if let Node::Split { feature, .. } = node {
            let missing = ImportError::NoSuchFeature { tree: place, feature: *feature };
            *feature = *places.get(*feature).ok_or(missing)?;
        }
    }
    Ok(())
}
