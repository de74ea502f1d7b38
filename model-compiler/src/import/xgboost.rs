//! XGBoost's JSON: what `save_model("model.json")` writes.
//!
//! What XGBoost does with it, by its source (3.2, `include/xgboost/tree_model.h` and `src/objective/`): features and
//! thresholds are `f32`, and what is less than the threshold goes left; a leaf stands where `left_children` is -1, and its
//! number in `split_conditions`, multiplied by the learning rate already. Nodes that pruning has deleted still stand in
//! the lists. `base_score` is a probability where the objective is logistic, else a score, and since 3.1 a list.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::parts::{Exact, below, cell, finite, planted};
use super::{Foreign, ImportError, from_json};
use crate::forest::{Combination, MAX_CLASSES};
use crate::model::{Node, Tree};

#[derive(Deserialize)]
struct File<'a> {
    #[serde(borrow)]
    learner: Learner<'a>,
}

#[derive(Deserialize)]
struct Learner<'a> {
    #[serde(default)]
    attributes: Attributes,
    #[serde(default)]
    feature_names: Vec<String>,
    #[serde(borrow)]
    gradient_booster: &'a RawValue,
    learner_model_param: LearnerParameters,
    objective: Name,
}

/// What early stopping leaves behind.
#[derive(Default, Deserialize)]
struct Attributes {
    best_iteration: Option<String>,
}

#[derive(Deserialize)]
struct LearnerParameters {
    base_score: String,
    num_class: String,
    num_feature: String,
}

#[derive(Deserialize)]
struct Name {
    name: String,
}

#[derive(Deserialize)]
struct Booster {
    model: Trees,
}

#[derive(Deserialize)]
struct Trees {
    gbtree_model_param: TreesParameters,
    trees: Vec<Columns>,
    tree_info: Vec<usize>,
}

#[derive(Deserialize)]
struct TreesParameters {
    #[serde(default)]
    num_parallel_tree: Option<String>,
}

/// The nodes of a tree, one element of each column per node.
#[derive(Deserialize)]
struct Columns {
    tree_param: TreeParameters,
    left_children: Vec<i64>,
    right_children: Vec<i64>,
    split_indices: Vec<usize>,
    split_conditions: Vec<Exact<f32>>,
    #[serde(default)]
    split_type: Vec<u8>,
    #[serde(default)]
    categories_nodes: Vec<i64>,
}

#[derive(Deserialize)]
struct TreeParameters {
    #[serde(default)]
    num_deleted: Option<String>,
    #[serde(default)]
    size_leaf_vector: Option<String>,
}

/// Reads the text.
pub(super) fn read(text: &str) -> Result<Foreign, ImportError> {
    let File { learner } = from_json("model of XGBoost", text)?;
    let booster = learner.gradient_booster.get();
    // Other boosters have other fields: first what it is, then what it holds.
    let Name { name } = from_json("model of XGBoost", booster)?;
    if name != "gbtree" {
        return Err(ImportError::unsupported(format!("was boosted by {name}")));
    }
    let Booster { model } = from_json("model of XGBoost", booster)?;
    let scores = scores(&learner)?;
    let classes = if scores == 1 { 2 } else { scores };
    let kept = kept(&learner.attributes, &model, scores)?;
    let trees = model.trees.iter().enumerate().take(kept).map(|(place, columns)| {
        let class = cell(&model.tree_info, place, place, "tree_info")?;
        tree(place, if scores == 1 { 1 } else { class }, columns)
    });
    Ok(Foreign {
        trees: trees.collect::<Result<_, _>>()?,
        combination: Combination::Softmax,
        base: base(&learner, scores)?,
        columns: Some(whole("num_feature", &learner.learner_model_param.num_feature)?),
        ..Foreign::named(learner.feature_names.clone(), Vec::new(), classes)
    })
}

/// How many scores the trees add up to: one for two classes.
fn scores(learner: &Learner<'_>) -> Result<usize, ImportError> {
    let count = whole("num_class", &learner.learner_model_param.num_class)?;
    match (learner.objective.name.as_str(), count) {
        ("binary:logistic" | "reg:logistic", 0 | 1) => Ok(1),
        ("multi:softprob" | "multi:softmax", 2..=MAX_CLASSES) => Ok(count),
        (name, _) => Err(ImportError::unsupported(format!("has the objective {name} with num_class {count}"))),
    }
}

fn base(learner: &Learner<'_>, scores: usize) -> Result<Vec<f64>, ImportError> {
    let text = &learner.learner_model_param.base_score;
    let broken = || ImportError::Number { what: "base_score", text: text.clone() };
    let listed = text.trim_matches(|character| "[]".contains(character)).split(',');
    let numbers: Option<Vec<f64>> = listed.map(|number| finite::<f32>(number.trim()).map(f64::from)).collect();
    match (numbers.ok_or_else(broken)?.as_slice(), scores) {
        ([probability], 1) => {
            let score = (probability / (1.0 - probability)).ln();
            if score.is_finite() { Ok(vec![0.0, score]) } else { Err(broken()) }
        }
        ([score], _) => Ok(vec![*score; scores]),
        (listed, _) if listed.len() == scores => Ok(listed.to_vec()),
        _ => Err(broken()),
    }
}

/// How many of the trees count. Where training stopped early, `XGBClassifier` asks those up to the best round.
fn kept(attributes: &Attributes, model: &Trees, scores: usize) -> Result<usize, ImportError> {
    let Some(best) = &attributes.best_iteration else { return Ok(model.trees.len()) };
    let parallel = model.gbtree_model_param.num_parallel_tree.as_deref().unwrap_or("1");
    let (best, parallel) = (whole("best_iteration", best)?, whole("num_parallel_tree", parallel)?);
    Ok(best.saturating_add(1).saturating_mul(parallel).saturating_mul(scores))
}

fn whole(what: &'static str, text: &str) -> Result<usize, ImportError> {
    text.parse().map_err(|_| ImportError::Number { what, text: text.to_owned() })
}

fn tree(place: usize, class: usize, columns: &Columns) -> Result<Tree, ImportError> {
    if columns.split_type.iter().any(|kind| *kind != 0) || !columns.categories_nodes.is_empty() {
        return Err(ImportError::categorical(place));
    }
    let parameter = |value: &Option<String>, what| value.as_deref().map_or(Ok(0), |text| whole(what, text));
    if parameter(&columns.tree_param.size_leaf_vector, "size_leaf_vector")? > 1 {
        let what = "has trees for all classes at once; train it with multi_strategy='one_output_per_tree'";
        return Err(ImportError::unsupported(what));
    }
    let nodes = (0..columns.left_children.len()).map(|at| node(place, at, columns));
    let deleted = parameter(&columns.tree_param.num_deleted, "num_deleted")?;
    planted(place, Some(class), nodes.collect::<Result<_, _>>()?, deleted)
}

fn node(tree: usize, at: usize, columns: &Columns) -> Result<Node, ImportError> {
    let left = cell(&columns.left_children, at, tree, "left_children")?;
    let condition = cell(&columns.split_conditions, at, tree, "split_conditions")?.0;
    if left < 0 {
        // The file does not say how many rows came here.
        return Ok(Node::Leaf { rows: 0, values: vec![condition] });
    }
    let place = |number: i64| usize::try_from(number).unwrap_or(usize::MAX);
    Ok(Node::Split {
        feature: cell(&columns.split_indices, at, tree, "split_indices")?,
        threshold: below(condition.into()),
        left: place(left),
        right: place(cell(&columns.right_children, at, tree, "right_children")?),
    })
}
