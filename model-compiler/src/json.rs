//! The form of `model.json`, and everything that is checked before a model counts as one.
//!
//! Features and classes stand there by name, so that a reader and a diff say what they mean; numbers stand as the
//! shortest decimal that gives the same `f32` again; each node has a line of its own.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use traffic::features::schema::{index_of, schema_hash_text};
use traffic::features::{FEATURE_COUNT, FEATURES, ThreatClass};

use crate::check::{Unfit, check};
use crate::forest::{Combination, Curve, Knot, MAX_KNOTS};
use crate::model::{Model, Node, Range, Tree};
use crate::spread::{BINS, EDGES, Spread};

/// The number of this form. Another form gets another number, and the loader says which it knows.
pub const FORMAT: u32 = 3;

/// Why a text is not a model for this program.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// Not JSON, or not of this form.
    #[error("it is not a model file: {0}")]
    Form(#[from] serde_json::Error),
    /// Of a form that this program does not know.
    #[error("it has format {0}, and this program reads format {FORMAT}")]
    Format(u32),
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
    /// The ranges are not those of the schema.
    #[error(
        "its ranges must name every feature once, with finite min <= max, edges within them in their order, and shares that are 1 in sum; {0:?} does not fit"
    )]
    Ranges(String),
    /// A curve that is none, or one of another class.
    #[error(
        "its calibration must be empty or name the classes in their order, each with at most {MAX_KNOTS} knots [confidence, \
         frequency] from 0 to 1, whose confidences rise and whose frequencies do not fall; {0:?} does not fit"
    )]
    Calibration(String),
    /// A feature that is not in the schema.
    #[error("tree {tree}: node {node} compares {feature:?}, which is no feature of this program")]
    UnknownFeature {
        /// Place of the tree.
        tree: usize,
        /// Place of the node.
        node: usize,
        /// The name there.
        feature: String,
    },
    /// A tree adds to a class that is not among those of the model.
    #[error("tree {tree} adds to {class:?}, which is not among the model's classes")]
    NotAClass {
        /// Place of the tree.
        tree: usize,
        /// The name there.
        class: String,
    },
    /// What must hold of any model does not.
    #[error(transparent)]
    Unfit(#[from] Unfit),
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
    combination: CombinationForm,
    base: Vec<Decimal>,
    calibration: Vec<CurveForm>,
    trees: Vec<TreeForm>,
}

/// One line of `calibration`: pairs of a confidence and how often it is right.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CurveForm {
    class: String,
    knots: Vec<[Decimal; 2]>,
}

/// The value of `combination`.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[serde(remote = "Combination")]
pub(crate) enum CombinationNames {
    Mean,
    Softmax,
    OneVsRest,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
struct CombinationForm(#[serde(with = "CombinationNames")] Combination);

/// One element of `trees`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TreeForm {
    adds_to: Option<String>,
    nodes: Vec<NodeForm>,
}

/// One line of `ranges`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RangeForm {
    feature: String,
    min: Decimal,
    max: Decimal,
    edges: [Decimal; EDGES],
    shares: [Decimal; BINS],
}

/// One line of `nodes`.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum NodeForm {
    Split { feature: String, threshold: Decimal, left: usize, right: usize },
    Leaf { rows: u64, values: Vec<Decimal> },
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
    let classes = read_classes(&file.classes)?;
    let ranges = read_ranges(&file.ranges)?;
    let trees = file.trees.into_iter().enumerate().map(|(place, tree)| read_tree(place, tree, &file.classes));
    let model = Model {
        name: file.name,
        ranges,
        combination: file.combination.0,
        base: file.base.iter().map(|value| value.0).collect(),
        calibration: read_calibration(&file.calibration, &file.classes)?,
        trees: trees.collect::<Result<_, _>>()?,
        classes,
    };
    check(&model)?;
    Ok(model)
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
        edges: range.spread.edges.map(Decimal),
        shares: range.spread.shares.map(Decimal),
    });
    let base: Vec<Decimal> = model.base.iter().copied().map(Decimal).collect();
    let trees = model.trees.iter().map(|tree| write_tree(tree, &names)).collect::<Result<Vec<_>, _>>()?;
    Ok(format!(
        "{{\n  \"format\": {FORMAT},\n  \"name\": {},\n  \"schema\": {},\n  \"classes\": {},\n  \"ranges\": {},\n  \
         \"combination\": {},\n  \"base\": {},\n  \"calibration\": {},\n  \"trees\": [\n{}\n  ]\n}}\n",
        serde_json::to_string(&model.name)?,
        serde_json::to_string(&schema_hash_text())?,
        serde_json::to_string(&names)?,
        lines(ranges)?,
        serde_json::to_string(&CombinationForm(model.combination))?,
        serde_json::to_string(&base)?,
        write_calibration(&model.calibration, &names)?,
        trees.join(",\n"),
    ))
}

/// The curves, one per line.
fn write_calibration(curves: &[Curve], classes: &[&str]) -> Result<String, serde_json::Error> {
    if curves.is_empty() {
        return Ok("[]".to_owned());
    }
    let knot = |knot: &Knot| [Decimal(knot.confidence), Decimal(knot.frequency)];
    lines(curves.iter().zip(classes).map(|(curve, class)| CurveForm {
        class: (*class).to_owned(),
        knots: curve.knots().iter().map(knot).collect(),
    }))
}

/// A tree as one element of the list.
fn write_tree(tree: &Tree, classes: &[&str]) -> Result<String, serde_json::Error> {
    let class = tree.class.and_then(|class| classes.get(class));
    Ok(format!(
        "  {{\"adds_to\": {}, \"nodes\": {}}}",
        serde_json::to_string(&class)?,
        lines(tree.nodes.iter().map(node_form))?
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
        Node::Leaf { rows, values } => {
            NodeForm::Leaf { rows: *rows, values: values.iter().copied().map(Decimal).collect() }
        }
    }
}

fn check_schema(schema: &str) -> Result<(), ModelError> {
    let program = schema_hash_text();
    if schema == program { Ok(()) } else { Err(ModelError::Schema { model: schema.to_owned(), program }) }
}

fn read_classes(names: &[String]) -> Result<Vec<ThreatClass>, ModelError> {
    let class = |name: &String| ThreatClass::from_name(name).ok_or_else(|| ModelError::UnknownClass(name.clone()));
    names.iter().map(class).collect()
}

fn read_ranges(forms: &[RangeForm]) -> Result<Vec<Range>, ModelError> {
    let mut ranges = [None; FEATURE_COUNT];
    for form in forms {
        let spread = Spread { edges: form.edges.map(|edge| edge.0), shares: form.shares.map(|share| share.0) };
        let range = Range { min: form.min.0, max: form.max.0, spread };
        let slot = index_of(&form.feature).map(|index| &mut ranges[index]);
        match slot {
            Some(slot @ None) if range.is_sound() => *slot = Some(range),
            _ => return Err(ModelError::Ranges(form.feature.clone())),
        };
    }
    let named = ranges.into_iter().zip(FEATURES);
    named.map(|(range, feature)| range.ok_or_else(|| ModelError::Ranges(feature.name.to_owned()))).collect()
}

fn read_calibration(forms: &[CurveForm], classes: &[String]) -> Result<Vec<Curve>, ModelError> {
    let curve = |(place, form): (usize, &CurveForm)| {
        let knot = |[confidence, frequency]: &[Decimal; 2]| Knot { confidence: confidence.0, frequency: frequency.0 };
        let knots: Vec<Knot> = form.knots.iter().map(knot).collect();
        let curve = Curve::new(&knots).filter(|_| classes.get(place) == Some(&form.class));
        curve.ok_or_else(|| ModelError::Calibration(form.class.clone()))
    };
    forms.iter().enumerate().map(curve).collect()
}

fn read_tree(tree: usize, form: TreeForm, classes: &[String]) -> Result<Tree, ModelError> {
    let class = match form.adds_to {
        None => None,
        Some(name) => match classes.iter().position(|class| *class == name) {
            None => return Err(ModelError::NotAClass { tree, class: name }),
            place => place,
        },
    };
    let nodes = form.nodes.into_iter().enumerate().map(|(node, form)| read_node(tree, node, form));
    Ok(Tree { class, nodes: nodes.collect::<Result<_, _>>()? })
}

fn read_node(tree: usize, node: usize, form: NodeForm) -> Result<Node, ModelError> {
    match form {
        NodeForm::Split { feature, threshold, left, right } => {
            let index = index_of(&feature).ok_or(ModelError::UnknownFeature { tree, node, feature })?;
            Ok(Node::Split { feature: index, threshold: threshold.0, left, right })
        }
        NodeForm::Leaf { rows, values } => {
            Ok(Node::Leaf { rows, values: values.into_iter().map(|value| value.0).collect() })
        }
    }
}
