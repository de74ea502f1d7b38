//! What must hold of every model, wherever it came from: a walk of it ends, and what it gives are probabilities.

use traffic::features::FEATURE_COUNT;

use crate::forest::{Combination, MAX_NODES};
use crate::model::{MAX_DEPTH, Model, Node, Tree};

/// How far the numbers of a leaf may be from 1 in sum, where they are a distribution.
const SUM_TOLERANCE: f32 = 1e-3;

/// Why a model is unfit for this program.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum Unfit {
    /// The name is no name.
    #[error("its name {0:?} must be of small letters, digits, '-' and '_'")]
    Name(String),
    /// A class twice, or none at all.
    #[error("its list of classes is empty or names one twice")]
    Classes,
    /// Not one range for each feature, or one that is none.
    #[error("it must have a range for each of the {FEATURE_COUNT} features, with finite ends and bins within them")]
    Ranges,
    /// There is nothing to walk.
    #[error("it has no trees")]
    NoTrees,
    /// More than the tables of the box can name.
    #[error("it has {0} nodes, and at most {MAX_NODES} fit")]
    TooManyNodes(usize),
    /// The scores that all begins with.
    #[error("its base must be one finite number for each class, and 0 where the trees give distributions")]
    Base,
    /// Curves for some classes only.
    #[error("its calibration must be empty or have one curve for each class")]
    Calibration,
    /// Something is wrong with a tree.
    #[error("tree {tree}: {fault}")]
    Tree {
        /// Its place, from 0.
        tree: usize,
        /// What.
        fault: TreeFault,
    },
}

/// What is wrong with a tree.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum TreeFault {
    /// It adds to a class that is not there, or adds to one where leaves are distributions.
    #[error(
        "it must add to one of the model's classes where scores are added, and to none where its leaves are distributions"
    )]
    Class,
    /// A tree without a root.
    #[error("it has no nodes")]
    NoNodes,
    /// A feature beyond the end of the schema.
    #[error("node {node} compares the feature {feature}, and there are only {FEATURE_COUNT}")]
    Feature {
        /// Place of the node.
        node: usize,
        /// The place that it names.
        feature: usize,
    },
    /// A threshold that nothing can be compared with.
    #[error("node {0} has a threshold that is not a finite number")]
    Threshold(usize),
    /// A child that does not exist.
    #[error("node {node} has the child {child}, and there are only {nodes} nodes")]
    NoSuchChild {
        /// Place of the node.
        node: usize,
        /// The place that it names.
        child: usize,
        /// How many there are.
        nodes: usize,
    },
    /// A cycle, or two ways to one node.
    #[error("node {0} is reached in two ways: the nodes are not a tree")]
    ReachedTwice(usize),
    /// A node that nothing leads to.
    #[error("node {0} is not reached from the root")]
    Unreached(usize),
    /// Too many comparisons in a row.
    #[error("node {0} is deeper than {MAX_DEPTH} comparisons")]
    TooDeep(usize),
    /// A leaf with too few or too many numbers.
    #[error("the leaf {node} has {found} values, and it must have {expected}")]
    LeafLength {
        /// Place of the leaf.
        node: usize,
        /// How many it has.
        found: usize,
        /// How many it must have.
        expected: usize,
    },
    /// A leaf that is no distribution.
    #[error("the values of the leaf {0} must be finite, not below 0, and 1 in sum")]
    LeafSum(usize),
    /// A leaf that adds what is no number.
    #[error("the value of the leaf {0} must be finite")]
    LeafValue(usize),
}

/// Checks everything that a model of whatever origin must keep to, but not which schema it was made for: a [`Model`] knows
/// features by their places alone.
///
/// # Errors
/// The first thing that does not hold.
pub fn check(model: &Model) -> Result<(), Unfit> {
    check_name(&model.name)?;
    check_classes(model)?;
    check_base(model)?;
    if !model.calibration.is_empty() && model.calibration.len() != model.classes.len() {
        return Err(Unfit::Calibration);
    }
    if model.ranges.len() != FEATURE_COUNT || !model.ranges.iter().all(|range| range.is_sound()) {
        return Err(Unfit::Ranges);
    }
    let nodes = model.trees.iter().map(|tree| tree.nodes.len()).sum();
    match (model.trees.len(), nodes) {
        (0, _) => return Err(Unfit::NoTrees),
        (_, MAX_NODES..) => return Err(Unfit::TooManyNodes(nodes)),
        _ => {}
    }
    for (place, tree) in model.trees.iter().enumerate() {
        check_tree(model, tree).map_err(|fault| Unfit::Tree { tree: place, fault })?;
    }
    Ok(())
}

/// Checks a name by itself: it stands in source code and in paths.
///
/// # Errors
/// It has other characters than a name may have.
pub fn check_name(name: &str) -> Result<(), Unfit> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
    if !name.is_empty() && name.bytes().all(plain) { Ok(()) } else { Err(Unfit::Name(name.to_owned())) }
}

fn check_classes(model: &Model) -> Result<(), Unfit> {
    let is_repeated = |(place, class)| model.classes.iter().skip(place + 1).any(|other| other == class);
    let fits = !model.classes.is_empty() && !model.classes.iter().enumerate().any(is_repeated);
    if fits { Ok(()) } else { Err(Unfit::Classes) }
}

fn check_base(model: &Model) -> Result<(), Unfit> {
    let gives_scores = model.combination != Combination::Mean;
    let sound = |value: &f32| value.is_finite() && (gives_scores || *value == 0.0);
    let fits = model.base.len() == model.classes.len() && model.base.iter().all(sound);
    if fits { Ok(()) } else { Err(Unfit::Base) }
}

fn check_tree(model: &Model, tree: &Tree) -> Result<(), TreeFault> {
    let classes = model.classes.len();
    let fits = match tree.class {
        None => model.combination == Combination::Mean,
        Some(class) => model.combination != Combination::Mean && class < classes,
    };
    if !fits {
        return Err(TreeFault::Class);
    }
    for (at, node) in tree.nodes.iter().enumerate() {
        match node {
            Node::Split { threshold, .. } if !threshold.is_finite() => return Err(TreeFault::Threshold(at)),
            Node::Split { feature, .. } if *feature >= FEATURE_COUNT => {
                return Err(TreeFault::Feature { node: at, feature: *feature });
            }
            Node::Split { .. } => {}
            Node::Leaf { values, .. } => check_leaf(at, values, tree.class.map_or(classes, |_| 1), tree.class)?,
        }
    }
    check_shape(tree)
}

fn check_leaf(node: usize, values: &[f32], expected: usize, class: Option<usize>) -> Result<(), TreeFault> {
    if values.len() != expected {
        return Err(TreeFault::LeafLength { node, found: values.len(), expected });
    }
    if class.is_some() {
        return if values.iter().all(|value| value.is_finite()) { Ok(()) } else { Err(TreeFault::LeafValue(node)) };
    }
    let sum: f32 = values.iter().sum();
    let fits = values.iter().all(|value| *value >= 0.0) && (sum - 1.0).abs() <= SUM_TOLERANCE;
    if fits { Ok(()) } else { Err(TreeFault::LeafSum(node)) }
}

/// Every node must be reached from the root, and in one way only: then it is a tree, and every walk ends.
fn check_shape(tree: &Tree) -> Result<(), TreeFault> {
    let nodes = tree.nodes.len();
    if nodes == 0 {
        return Err(TreeFault::NoNodes);
    }
    let mut reached = vec![false; nodes];
    reached[0] = true;
    let mut open = vec![(0, 0)];
    while let Some((node, depth)) = open.pop() {
        if depth > MAX_DEPTH {
            return Err(TreeFault::TooDeep(node));
        }
        let Node::Split { left, right, .. } = tree.nodes[node] else { continue };
        for child in [left, right] {
            match reached.get_mut(child) {
                None => return Err(TreeFault::NoSuchChild { node, child, nodes }),
                Some(true) => return Err(TreeFault::ReachedTwice(child)),
                Some(seen) => *seen = true,
            }
            open.push((child, depth + 1));
        }
    }
    reached.iter().position(|seen| !seen).map_or(Ok(()), |node| Err(TreeFault::Unreached(node)))
}
