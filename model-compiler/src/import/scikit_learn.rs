//! Classifiers of scikit-learn, through the JSON that `export_scikit_learn.py` writes: scikit-learn itself has no form but
//! pickles, which are programs.
//!
//! What scikit-learn does with them, by its source (1.9): trees compare a feature as `f32` with a threshold as `f64`
//! (`HistGradientBoostingClassifier` both as `f64`), and what is at most the threshold goes left. A forest's answer is the
//! mean of the distributions of its trees; boosting adds learning rate times leaf to what `init` gives for every row
//! alike, and takes the softmax, or for two classes the logistic function of the one score.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;

use super::parts::{Exact, at_most, cell, finite, planted};
use super::{Foreign, ImportError, from_json};
use crate::forest::Combination;
use crate::model::{Node, Tree};

/// The form that the exporter writes.
const FORM: &str = "scikit-learn 1";

/// What the exporter writes.
#[derive(Deserialize)]
struct Export {
    form: String,
    kind: String,
    classes: Vec<Value>,
    features: Vec<String>,
    columns: usize,
    base: Vec<Exact<f64>>,
    parameters: HashMap<String, String>,
    trees: Vec<Columns>,
}

/// The nodes of a tree, one element of each column per node. The columns have other names in
/// `HistGradientBoostingClassifier`.
#[derive(Deserialize)]
struct Columns {
    #[serde(alias = "children_left")]
    left: Vec<i64>,
    #[serde(alias = "children_right")]
    right: Vec<i64>,
    #[serde(alias = "feature_idx")]
    feature: Vec<i64>,
    #[serde(alias = "num_threshold")]
    threshold: Vec<Exact<f64>>,
    value: Vec<Vec<Exact<f64>>>,
    #[serde(alias = "n_node_samples", alias = "count")]
    rows: Vec<u64>,
    #[serde(default)]
    is_leaf: Vec<u8>,
    #[serde(default)]
    is_categorical: Vec<u8>,
}

/// What the numbers at a leaf are.
#[derive(Clone, Copy)]
enum Leaves {
    /// Shares of the classes, or counts of rows (before scikit-learn 1.3).
    Shares,
    /// A score, to be multiplied by this.
    Score(f64),
}

/// Reads what the exporter wrote.
pub(super) fn read(text: &str) -> Result<Foreign, ImportError> {
    let export: Export = from_json("export of scikit-learn", text)?;
    if export.form != FORM {
        return Err(ImportError::unsupported(format!("is of the form {:?}; export it again", export.form)));
    }
    if export.classes.iter().any(Value::is_array) {
        return Err(ImportError::unsupported("has several outputs"));
    }
    match export.kind.as_str() {
        "DecisionTreeClassifier" | "ExtraTreeClassifier" | "RandomForestClassifier" | "ExtraTreesClassifier" => {
            forest(export)
        }
        "GradientBoostingClassifier" => {
            let rate = rate(&export)?;
            boosted(export, rate)
        }
        // Its leaves have been multiplied already.
        "HistGradientBoostingClassifier" => boosted(export, 1.0),
        other => Err(ImportError::unsupported(format!("is a {other}"))),
    }
}

/// The learning rate of a boosted model, where all else is as this importer knows it.
fn rate(export: &Export) -> Result<f64, ImportError> {
    let parameter = |name: &str| export.parameters.get(name).map_or("", String::as_str);
    match (parameter("loss"), parameter("init")) {
        ("log_loss", "None" | "zero") => {}
        ("log_loss", init) => {
            return Err(ImportError::unsupported(format!("begins with what another model says: init={init}")));
        }
        (loss, _) => return Err(ImportError::unsupported(format!("has the loss {loss}"))),
    }
    finite(parameter("learning_rate")).ok_or(ImportError::Missing("a number as its learning_rate"))
}

fn forest(export: Export) -> Result<Foreign, ImportError> {
    let trees = export.trees.iter().enumerate().map(|(place, columns)| tree(place, None, columns, Leaves::Shares));
    Ok(Foreign {
        trees: trees.collect::<Result<_, _>>()?,
        combination: Combination::Mean,
        base: vec![0.0; export.classes.len()],
        columns: Some(export.columns),
        ..Foreign::named(export.features, class_names(&export.classes), export.classes.len())
    })
}

fn boosted(export: Export, rate: f64) -> Result<Foreign, ImportError> {
    let base: Vec<f64> = export.base.iter().map(|score| score.0).collect();
    let classes = export.classes.len();
    let scores = if classes == 2 { 1 } else { classes };
    if base.len() != scores || scores == 0 {
        return Err(ImportError::Missing("a base for each of its scores"));
    }
    // Trees stand round by round, within a round by class; a single score is that of the second class.
    let class = |place: usize| if scores == 1 { 1 } else { place % scores };
    let leaves = Leaves::Score(rate);
    let trees = export.trees.iter().enumerate();
    let trees = trees.map(|(place, columns)| tree(place, Some(class(place)), columns, leaves));
    Ok(Foreign {
        trees: trees.collect::<Result<_, _>>()?,
        combination: Combination::Softmax,
        columns: Some(export.columns),
        base: if scores == 1 { [vec![0.0], base].concat() } else { base },
        ..Foreign::named(export.features, class_names(&export.classes), classes)
    })
}

/// The class labels, if all of them are names.
fn class_names(labels: &[Value]) -> Vec<String> {
    let names: Option<Vec<String>> = labels.iter().map(|label| label.as_str().map(str::to_owned)).collect();
    names.unwrap_or_default()
}

fn tree(place: usize, class: Option<usize>, columns: &Columns, leaves: Leaves) -> Result<Tree, ImportError> {
    if columns.is_categorical.iter().any(|flag| *flag != 0) {
        return Err(ImportError::categorical(place));
    }
    let nodes = (0..columns.left.len()).map(|at| node(place, at, columns, leaves));
    planted(place, class, nodes.collect::<Result<_, _>>()?, 0)
}

fn node(tree: usize, at: usize, columns: &Columns, leaves: Leaves) -> Result<Node, ImportError> {
    let left = cell(&columns.left, at, tree, "left")?;
    if left < 0 || columns.is_leaf.get(at).is_some_and(|flag| *flag != 0) {
        let values = columns.value.get(at).ok_or(ImportError::Short { tree, column: "value" })?;
        return Ok(Node::Leaf { rows: cell(&columns.rows, at, tree, "rows")?, values: numbers(values, leaves) });
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

fn numbers(values: &[Exact<f64>], leaves: Leaves) -> Vec<f32> {
    let factor = match leaves {
        Leaves::Score(rate) => rate,
        Leaves::Shares => 1.0 / values.iter().map(|value| value.0).sum::<f64>(),
    };
    values.iter().map(|value| (value.0 * factor) as f32).collect()
}
