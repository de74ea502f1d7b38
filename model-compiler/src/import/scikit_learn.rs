//! Classifiers of scikit-learn, through the JSON that `export_scikit_learn.py` writes and, of a
//! `HistGradientBoostingClassifier`, `export_histogram_boosting.py`: scikit-learn itself has no form but pickles, which are
//! programs. All stands there under scikit-learn's own names.
//!
//! What scikit-learn does with them, by its source (1.9): trees compare a feature as `f32` with a threshold as `f64`
//! (`HistGradientBoostingClassifier` both as `f64`), and what is at most the threshold goes left. A forest's answer is the
//! mean of the distributions of its trees; boosting adds learning rate times leaf to what it begins with, which is alike for
//! all rows, and takes the softmax, or for two classes the logistic function of the one score.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::parts::{Exact, at_most, cell, planted};
use super::{Foreign, ImportError, from_json};
use crate::forest::Combination;
use crate::model::{Node, Tree};

/// What the exporters write; `V` is what stands at a node. What a classifier does not have is null or left out.
#[derive(Deserialize)]
struct Export<V> {
    #[serde(rename = "classes_")]
    classes: Vec<Value>,
    #[serde(rename = "n_features_in_")]
    columns: usize,
    #[serde(rename = "feature_names_in_")]
    features: Option<Vec<String>>,
    #[serde(rename = "init_")]
    init: Option<Box<RawValue>>,
    loss: Option<String>,
    learning_rate: Option<Exact<f64>>,
    #[serde(rename = "_baseline_prediction", default)]
    baseline: Vec<Vec<Exact<f64>>>,
    trees: Vec<Columns<V>>,
}

/// The nodes of a tree, one element of each column per node. The columns have other names in
/// `HistGradientBoostingClassifier`.
#[derive(Deserialize)]
struct Columns<V> {
    #[serde(alias = "children_left")]
    left: Vec<i64>,
    #[serde(alias = "children_right")]
    right: Vec<i64>,
    #[serde(alias = "feature_idx")]
    feature: Vec<i64>,
    #[serde(alias = "num_threshold")]
    threshold: Vec<Exact<f64>>,
    value: Vec<V>,
    #[serde(alias = "n_node_samples", alias = "count")]
    rows: Vec<u64>,
    #[serde(default)]
    is_leaf: Vec<u8>,
    #[serde(default)]
    is_categorical: Vec<u8>,
}

/// What stands at a node of most trees: for each output a list of numbers.
type Outputs = Vec<Vec<Exact<f64>>>;

/// The model that gradient boosting begins with if it is not told otherwise: it says the shares of the classes.
#[derive(Deserialize)]
struct Dummy {
    strategy: String,
    #[serde(rename = "class_prior_")]
    shares: Vec<Exact<f64>>,
}

/// Reads what an exporter wrote of a classifier of this kind.
pub(super) fn read(kind: &str, text: &str) -> Result<Foreign, ImportError> {
    const FORM: &str = "export of scikit-learn";
    match kind {
        "DecisionTreeClassifier" | "ExtraTreeClassifier" | "RandomForestClassifier" | "ExtraTreesClassifier" => {
            forest(from_json(FORM, text)?)
        }
        "GradientBoostingClassifier" => gradient_boosting(from_json(FORM, text)?),
        "HistGradientBoostingClassifier" => histogram_boosting(from_json(FORM, text)?),
        other => Err(ImportError::unsupported(format!("is a {other}"))),
    }
}

fn forest(export: Export<Outputs>) -> Result<Foreign, ImportError> {
    let trees = export.trees.iter().enumerate().map(|(place, columns)| tree(place, None, columns, &shares));
    let trees = trees.collect::<Result<_, _>>()?;
    let base = vec![0.0; export.classes.len()];
    Ok(Foreign { trees, combination: Combination::Mean, base, ..named(export) })
}

fn gradient_boosting(export: Export<Outputs>) -> Result<Foreign, ImportError> {
    match export.loss.as_deref() {
        Some("log_loss") => {}
        loss => return Err(ImportError::unsupported(format!("has the loss {}", loss.unwrap_or("that nobody named")))),
    }
    let rate = export.learning_rate.ok_or(ImportError::Missing("a number as its learning_rate"))?.0;
    let base = beginning(export.init.as_deref(), export.classes.len())?;
    let score = |outputs: &Outputs| Ok(only(outputs)?.iter().map(|score| (score.0 * rate) as f32).collect());
    boosted(export, base, &score)
}

/// The scores of the classes before the first tree.
fn beginning(init: Option<&RawValue>, classes: usize) -> Result<Vec<f64>, ImportError> {
    let init = init.map_or("null", RawValue::get);
    if init == "\"zero\"" {
        return Ok(vec![0.0; classes]);
    }
    let dummy = serde_json::from_str(init).ok().filter(|dummy: &Dummy| dummy.strategy == "prior");
    let dummy = dummy.ok_or_else(|| ImportError::unsupported("begins with what another model says (init)"))?;
    // As scikit-learn does, so that a class without rows has a score.
    let share = |share: &Exact<f64>| share.0.clamp(f64::EPSILON, 1.0 - f64::EPSILON);
    Ok(dummy.shares.iter().map(|of| share(of).ln()).collect())
}

/// Its leaves have been multiplied by the learning rate already.
fn histogram_boosting(export: Export<Exact<f64>>) -> Result<Foreign, ImportError> {
    let mut base: Vec<f64> = export.baseline.iter().flatten().map(|score| score.0).collect();
    if base.len() == 1 {
        base.insert(0, 0.0);
    }
    boosted(export, base, &|score| Ok(vec![score.0 as f32]))
}

/// `base` has a score for each class; where there are two, trees add to that of the second alone.
fn boosted<V>(export: Export<V>, base: Vec<f64>, leaf: Leaf<'_, V>) -> Result<Foreign, ImportError> {
    let classes = export.classes.len();
    if base.len() != classes || classes < 2 {
        return Err(ImportError::Missing("what each of its classes begins with"));
    }
    // Trees stand round by round, within a round by class.
    let class = |place: usize| if classes == 2 { 1 } else { place % classes };
    let trees = export.trees.iter().enumerate();
    let trees = trees.map(|(place, columns)| tree(place, Some(class(place)), columns, leaf));
    let trees = trees.collect::<Result<_, _>>()?;
    Ok(Foreign { trees, combination: Combination::Softmax, base, ..named(export) })
}

/// A model without trees, with the names that stand in an export.
fn named<V>(export: Export<V>) -> Foreign {
    let (names, classes) = (class_names(&export.classes), export.classes.len());
    Foreign { columns: Some(export.columns), ..Foreign::named(export.features.unwrap_or_default(), names, classes) }
}

/// The class labels, if all of them are names.
fn class_names(labels: &[Value]) -> Vec<String> {
    let names: Option<Vec<String>> = labels.iter().map(|label| label.as_str().map(str::to_owned)).collect();
    names.unwrap_or_default()
}

/// From what stands at a leaf to the leaf's values.
type Leaf<'a, V> = &'a dyn Fn(&V) -> Result<Vec<f32>, ImportError>;

fn tree<V>(place: usize, class: Option<usize>, columns: &Columns<V>, leaf: Leaf<'_, V>) -> Result<Tree, ImportError> {
    if columns.is_categorical.iter().any(|flag| *flag != 0) {
        return Err(ImportError::categorical(place));
    }
    let nodes = (0..columns.left.len()).map(|at| node(place, at, columns, leaf));
    planted(place, class, nodes.collect::<Result<_, _>>()?, 0)
}

fn node<V>(tree: usize, at: usize, columns: &Columns<V>, leaf: Leaf<'_, V>) -> Result<Node, ImportError> {
    let left = cell(&columns.left, at, tree, "left")?;
    if left < 0 || columns.is_leaf.get(at).is_some_and(|flag| *flag != 0) {
        let value = columns.value.get(at).ok_or(ImportError::Short { tree, column: "value" })?;
        return Ok(Node::Leaf { rows: cell(&columns.rows, at, tree, "rows")?, values: leaf(value)? });
    }
    // What is negative is no place: it becomes one that no tree and no list of features has.
    let place = |number: i64| usize::try_from(number).unwrap_or(usize::MAX);
    Ok(Node::Split {
        feature: place(cell(&columns.feature, at, tree, "feature")?),
        threshold: at_most(cell(&columns.threshold, at, tree, "threshold")?.0),
        left: place(left),
        right: place(cell(&columns.right, at, tree, "right")?),
    })
}

fn only(outputs: &Outputs) -> Result<&[Exact<f64>], ImportError> {
    match &outputs[..] {
        [only] => Ok(only),
        _ => Err(ImportError::unsupported("has several outputs")),
    }
}

/// The shares of the classes at a leaf. Before scikit-learn 1.3 these are counts of rows.
fn shares(outputs: &Outputs) -> Result<Vec<f32>, ImportError> {
    let weights = only(outputs)?;
    let total: f64 = weights.iter().map(|weight| weight.0).sum();
    Ok(weights.iter().map(|weight| (weight.0 * (1.0 / total)) as f32).collect())
}
