//! LightGBM's own text: what `Booster.save_model("model.txt")` writes.
//!
//! What LightGBM does with it, by its source (4.7, `include/LightGBM/tree.h` and `src/objective/`): a feature and a
//! threshold are compared as `f64`, and what is at most the threshold goes left; `decision_type` says in its lowest bit
//! whether a split is categorical, in the next where what is missing goes, and in the two above what counts as missing.
//! Features here are always finite, so that only "zero is missing" would make a difference. Leaves have been multiplied by
//! the learning rate already.

use std::collections::HashMap;

use super::parts::{at_most, finite, planted};
use super::{Foreign, ImportError};
use crate::forest::{Combination, MAX_CLASSES};
use crate::model::{Node, Tree};

/// The lowest bit of `decision_type`.
const CATEGORICAL: u8 = 1;
/// Where `decision_type` says what is missing, and the number for zero.
const MISSING_SHIFT: u8 = 2;
const MISSING_MASK: u8 = 3;
const ZERO_IS_MISSING: u8 = 1;

/// The lines `name=value` of one section.
type Section<'a> = HashMap<&'a str, &'a str>;

/// Reads the text.
pub(super) fn read(text: &str) -> Result<Foreign, ImportError> {
    let (head, sections) = sections(text)?;
    let scores: usize = one(&head, "num_tree_per_iteration")?;
    let classes = if scores == 1 { 2 } else { scores };
    if !(1..=MAX_CLASSES).contains(&scores) || sections.len() % scores != 0 {
        return Err(ImportError::Missing("as many trees in each round as it has classes"));
    }
    let objective = Objective::of(head.get("objective").copied().unwrap_or_default(), scores)?;
    let rounds = sections.len() / scores;
    // A random forest of LightGBM gives the mean of its rounds.
    let share = if head.contains_key("average_output") { rounds.max(1) as f64 } else { 1.0 };
    let factor = objective.factor / share;
    let trees = sections.iter().enumerate().map(|(place, section)| {
        let class = if scores == 1 { 1 } else { place % scores };
        tree(place, class, section, factor)
    });
    Ok(Foreign {
        trees: trees.collect::<Result<_, _>>()?,
        combination: objective.combination,
        base: vec![0.0; classes],
        ..Foreign::named(words(&head, "feature_names").map(str::to_owned).collect(), Vec::new(), classes)
    })
}

/// What the scores mean.
struct Objective {
    combination: Combination,
    /// What a score is multiplied by first.
    factor: f64,
}

impl Objective {
    /// As the line says, such as `multiclass num_class:5` or `binary sigmoid:1`.
    fn of(line: &str, scores: usize) -> Result<Self, ImportError> {
        let mut words = line.split_ascii_whitespace();
        let name = words.next().unwrap_or("its own, which the file does not name");
        let sigmoid = words.find_map(|word| word.strip_prefix("sigmoid:")).map_or(Some(1.0), finite);
        let factor = sigmoid.ok_or(ImportError::Missing("a number as its sigmoid"))?;
        match (name, scores) {
            ("binary", 1) => Ok(Self { combination: Combination::Softmax, factor }),
            ("multiclass", 2..) => Ok(Self { combination: Combination::Softmax, factor: 1.0 }),
            ("multiclassova", 2..) => Ok(Self { combination: Combination::OneVsRest, factor }),
            _ => Err(ImportError::unsupported(format!("has the objective {name}"))),
        }
    }
}

/// The lines before the trees, and those of each tree.
fn sections(text: &str) -> Result<(Section<'_>, Vec<Section<'_>>), ImportError> {
    let mut head = Section::new();
    let mut trees = Vec::new();
    for line in text.lines().map(str::trim) {
        if line == "end of trees" {
            return Ok((head, trees));
        }
        // Lines of one word, such as average_output, stand for themselves.
        let (name, value) = line.split_once('=').unwrap_or((line, ""));
        if name == "Tree" {
            trees.push(Section::new());
        }
        trees.last_mut().unwrap_or(&mut head).insert(name, value);
    }
    Err(ImportError::Missing("the line \"end of trees\": it was cut off"))
}

fn words<'a>(section: &Section<'a>, name: &str) -> impl Iterator<Item = &'a str> {
    section.get(name).copied().unwrap_or_default().split_ascii_whitespace()
}

/// The number that stands alone on its line.
fn one(section: &Section<'_>, name: &'static str) -> Result<usize, ImportError> {
    let text = section.get(name).copied().unwrap_or_default();
    text.parse().map_err(|_| ImportError::Number { what: name, text: text.to_owned() })
}

/// The numbers of a line.
fn list<T>(
    section: &Section<'_>,
    name: &'static str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>, ImportError> {
    let number = |word: &str| parse(word).ok_or_else(|| ImportError::Number { what: name, text: word.to_owned() });
    words(section, name).map(number).collect()
}

fn tree(place: usize, class: usize, section: &Section<'_>, factor: f64) -> Result<Tree, ImportError> {
    if one(section, "num_cat")? != 0 {
        return Err(ImportError::categorical(place));
    }
    if section.get("is_linear").is_some_and(|flag| *flag != "0") {
        return Err(ImportError::unsupported(format!("has linear functions at its leaves (tree {place})")));
    }
    let leaves = list(section, "leaf_value", finite::<f64>)?;
    if leaves.len() != one(section, "num_leaves")? {
        return Err(ImportError::Short { tree: place, column: "leaf_value" });
    }
    // A tree that is one leaf may say nothing of rows.
    let rows = list(section, "leaf_count", |word| word.parse().ok())?;
    let mut nodes = splits(place, section)?;
    nodes.extend(leaves.iter().enumerate().map(|(at, value)| Node::Leaf {
        rows: rows.get(at).copied().unwrap_or_default(),
        values: vec![(value * factor) as f32],
    }));
    planted(place, Some(class), nodes, 0)
}

/// The comparisons of a tree; its leaves come after them.
fn splits(tree: usize, section: &Section<'_>) -> Result<Vec<Node>, ImportError> {
    let children = |name| list(section, name, |word| word.parse::<i64>().ok());
    let (left, right) = (children("left_child")?, children("right_child")?);
    let features = list(section, "split_feature", |word| word.parse().ok())?;
    let thresholds = list(section, "threshold", finite::<f64>)?;
    let decisions = list(section, "decision_type", |word| word.parse::<u8>().ok())?;
    let count = features.len();
    let lengths = [left.len(), right.len(), thresholds.len(), decisions.len()];
    if lengths.iter().any(|length| *length != count) {
        return Err(ImportError::Short { tree, column: "of its splits" });
    }
    decisions.iter().try_for_each(|decision| check_decision(tree, *decision))?;
    // A leaf is named by the complement of its place among leaves.
    let place = |child: i64| {
        let (complement, offset) = if child < 0 { (!child, count) } else { (child, 0) };
        usize::try_from(complement).unwrap_or(usize::MAX).saturating_add(offset)
    };
    let children = left.iter().zip(&right);
    let nodes = features.iter().zip(&thresholds).zip(children).map(|((feature, threshold), (left, right))| {
        Node::Split { feature: *feature, threshold: at_most(*threshold), left: place(*left), right: place(*right) }
    });
    Ok(nodes.collect())
}

fn check_decision(tree: usize, decision: u8) -> Result<(), ImportError> {
    if decision & CATEGORICAL != 0 {
        return Err(ImportError::categorical(tree));
    }
    if (decision >> MISSING_SHIFT) & MISSING_MASK == ZERO_IS_MISSING {
        let what = format!("takes zero for a missing value (tree {tree}); train it with zero_as_missing=false");
        return Err(ImportError::unsupported(what));
    }
    Ok(())
}
