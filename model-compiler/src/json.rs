//! The form of `model.json`, and everything that is checked before a model counts as one.
//!
//! Features and classes stand there by name, so that a reader and a diff say what they mean; numbers stand as the
//! shortest decimal that gives the same `f32` again; each node has a line of its own.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use traffic::features::schema::{index_of, schema_hash_text};
use traffic::features::{FEATURE_COUNT, FEATURES, ThreatClass};

use crate::model::{MAX_DEPTH, Model, Node, Range, Tree};

/// The number of this form. Another form gets another number, and the loader says which it knows.
pub const FORMAT: u32 = 1;

/// How far the probabilities of a leaf may be from 1 in sum.
const SUM_TOLERANCE: f32 = 1e-3;

/// Why a text is not a model for this program.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// Not JSON, or not of this form.
    #[error("it is not a model file: {0}")]
    Form(#[from] serde_json::Error),
    /// Of a form that this program does not know.
    #[error("it has format {0}, and this program reads format {FORMAT}")]
    Format(u32),
    /// The name is no name.
    #[error("its name {0:?} must be of small letters, digits, '-' and '_'")]
    Name(String),
    /// Made for other features than this program computes.
    #[error("it was made for the feature schema {model}, and this program has {program}: retrain it with `make model`")]
    Schema {
        /// The fingerprint in the file.
        model: String,
        /// The fingerprint of this program.
        program: String,
    },
    /// A class that nobody knows.
    #[error("it has a class {0:?}, which this program does not know")]
    UnknownClass(String),
    /// A class twice, or none at all.
    #[error("its list of classes is empty or names one twice")]
    Classes,
    /// The ranges are not those of the schema.
    #[error("its ranges must name every feature once, with finite min <= max; {0:?} does not fit")]
    Ranges(String),
    /// A tree without a root.
    #[error("it has no nodes")]
    NoNodes,
    /// A feature that is not in the schema.
    #[error("node {node} compares {feature:?}, which is no feature of this program")]
    UnknownFeature {
        /// Place of the node.
        node: usize,
        /// The name there.
        feature: String,
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
    /// A leaf with too few or too many probabilities.
    #[error("the leaf {node} has {found} probabilities, and the model has {classes} classes")]
    LeafLength {
        /// Place of the leaf.
        node: usize,
        /// How many it has.
        found: usize,
        /// How many it must have.
        classes: usize,
    },
    /// A leaf that is no distribution.
    #[error("the probabilities of the leaf {0} must be finite, not below 0, and 1 in sum")]
    LeafSum(usize),
}

/// The whole file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileForm {
    format: u32,
    name: String,
    schema: String,
    classes: Vec<String>,
    ranges: Vec<RangeForm>,
    nodes: Vec<NodeForm>,
}

/// One line of `ranges`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RangeForm {
    feature: String,
    min: Decimal,
    max: Decimal,
}

/// One line of `nodes`.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum NodeForm {
    Split { feature: String, threshold: Decimal, left: usize, right: usize },
    Leaf { rows: u64, probabilities: Vec<Decimal> },
}

/// A number that is read straight into an `f32`. The way over `f64`, which JSON readers take, rounds twice.
#[derive(Clone, Copy, Serialize)]
struct Decimal(f32);

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&RawValue>::deserialize(deserializer)?.get();
        text.parse().map(Self).map_err(|_| serde::de::Error::custom(format!("{text} is not a number")))
    }
}

/// Reads a model and checks all that can be checked.
///
/// # Errors
/// The first thing that does not fit.
pub fn read(text: &str) -> Result<Model, ModelError> {
    let file: FileForm = serde_json::from_str(text)?;
    if file.format != FORMAT {
        return Err(ModelError::Format(file.format));
    }
    check_schema(&file.schema)?;
    check_name(&file.name)?;
    let classes = read_classes(&file.classes)?;
    let ranges = read_ranges(&file.ranges)?;
    let nodes = file.nodes.into_iter().enumerate().map(|(at, node)| read_node(at, node, classes.len()));
    let tree = Tree { nodes: nodes.collect::<Result<_, _>>()? };
    check_tree(&tree)?;
    Ok(Model { name: file.name, classes, ranges, tree })
}

/// Writes a model in the form that [`read`] takes.
///
/// # Errors
/// None that a valid model can cause.
pub fn write(model: &Model) -> Result<String, ModelError> {
    let names: Vec<&str> = model.classes.iter().map(|class| class.name()).collect();
    let ranges = FEATURES.iter().zip(&model.ranges).map(|(feature, range)| RangeForm {
        feature: feature.name.to_owned(),
        min: Decimal(range.min),
        max: Decimal(range.max),
    });
    Ok(format!(
        "{{\n  \"format\": {FORMAT},\n  \"name\": {},\n  \"schema\": {},\n  \"classes\": {},\n  \"ranges\": {},\n  \"nodes\": {}\n}}\n",
        serde_json::to_string(&model.name)?,
        serde_json::to_string(&schema_hash_text())?,
        serde_json::to_string(&names)?,
        lines(ranges)?,
        lines(model.tree.nodes.iter().map(node_form))?,
    ))
}

/// A JSON list with one element per line.
fn lines<T: Serialize>(elements: impl Iterator<Item = T>) -> Result<String, serde_json::Error> {
    let texts = elements.map(|element| serde_json::to_string(&element).map(|text| format!("    {text}")));
    Ok(format!("[\n{}\n  ]", texts.collect::<Result<Vec<_>, _>>()?.join(",\n")))
}

fn node_form(node: &Node) -> NodeForm {
    match node {
        Node::Split { feature, threshold, left, right } => NodeForm::Split {
            feature: FEATURES[*feature].name.to_owned(),
            threshold: Decimal(*threshold),
            left: *left,
            right: *right,
        },
        Node::Leaf { rows, probabilities } => {
            NodeForm::Leaf { rows: *rows, probabilities: probabilities.iter().copied().map(Decimal).collect() }
        }
    }
}

fn check_schema(schema: &str) -> Result<(), ModelError> {
    let program = schema_hash_text();
    if schema == program { Ok(()) } else { Err(ModelError::Schema { model: schema.to_owned(), program }) }
}

/// The name stands in source code and in paths.
fn check_name(name: &str) -> Result<(), ModelError> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
    if !name.is_empty() && name.bytes().all(plain) { Ok(()) } else { Err(ModelError::Name(name.to_owned())) }
}

fn read_classes(names: &[String]) -> Result<Vec<ThreatClass>, ModelError> {
    let mut classes = Vec::with_capacity(names.len());
    for name in names {
        let class = ThreatClass::from_name(name).ok_or_else(|| ModelError::UnknownClass(name.clone()))?;
        if classes.contains(&class) {
            return Err(ModelError::Classes);
        }
        classes.push(class);
    }
    if classes.is_empty() { Err(ModelError::Classes) } else { Ok(classes) }
}

fn read_ranges(forms: &[RangeForm]) -> Result<Vec<Range>, ModelError> {
    let mut ranges = [None; FEATURE_COUNT];
    for form in forms {
        let range = Range { min: form.min.0, max: form.max.0 };
        let slot = index_of(&form.feature).map(|index| &mut ranges[index]);
        match slot {
            Some(slot @ None) if range.is_sound() => *slot = Some(range),
            _ => return Err(ModelError::Ranges(form.feature.clone())),
        };
    }
    let named = ranges.into_iter().zip(FEATURES);
    named.map(|(range, feature)| range.ok_or_else(|| ModelError::Ranges(feature.name.to_owned()))).collect()
}

fn read_node(at: usize, form: NodeForm, classes: usize) -> Result<Node, ModelError> {
    match form {
        NodeForm::Split { feature, threshold, left, right } => {
            let index = index_of(&feature).ok_or(ModelError::UnknownFeature { node: at, feature })?;
            if !threshold.0.is_finite() {
                return Err(ModelError::Threshold(at));
            }
            Ok(Node::Split { feature: index, threshold: threshold.0, left, right })
        }
        NodeForm::Leaf { rows, probabilities } => {
            let probabilities: Vec<f32> = probabilities.into_iter().map(|value| value.0).collect();
            check_leaf(at, &probabilities, classes)?;
            Ok(Node::Leaf { rows, probabilities })
        }
    }
}

fn check_leaf(at: usize, probabilities: &[f32], classes: usize) -> Result<(), ModelError> {
    if probabilities.len() != classes {
        return Err(ModelError::LeafLength { node: at, found: probabilities.len(), classes });
    }
    let sum: f32 = probabilities.iter().sum();
    let fits = probabilities.iter().all(|value| *value >= 0.0) && (sum - 1.0).abs() <= SUM_TOLERANCE;
    if fits { Ok(()) } else { Err(ModelError::LeafSum(at)) }
}

/// Every node must be reached from the root, and in one way only: then it is a tree, and every walk ends.
fn check_tree(tree: &Tree) -> Result<(), ModelError> {
    let nodes = tree.nodes.len();
    if nodes == 0 {
        return Err(ModelError::NoNodes);
    }
    let mut reached = vec![false; nodes];
    reached[0] = true;
    let mut open = vec![(0, 0)];
    while let Some((node, depth)) = open.pop() {
        if depth > MAX_DEPTH {
            return Err(ModelError::TooDeep(node));
        }
        let Node::Split { left, right, .. } = tree.nodes[node] else { continue };
        for child in [left, right] {
            match reached.get_mut(child) {
                None => return Err(ModelError::NoSuchChild { node, child, nodes }),
                Some(true) => return Err(ModelError::ReachedTwice(child)),
                Some(seen) => *seen = true,
            }
            open.push((child, depth + 1));
        }
    }
    reached.iter().position(|seen| !seen).map_or(Ok(()), |node| Err(ModelError::Unreached(node)))
}
