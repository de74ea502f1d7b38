//! ONNX graphs of one `TreeEnsembleClassifier`, as skl2onnx and onnxmltools write them.
//!
//! What the operator means is in <https://onnx.ai/onnx/operators/onnx_aionnxml_TreeEnsembleClassifier.html>; the numbers of
//! the fields are in `onnx/onnx.proto`. Where the text is silent, ONNX Runtime's `tree_ensemble_aggregator.h` decides: with
//! two classes and votes for one only, the sum of the votes is for the second class, whatever number they carry; it is a
//! probability where no vote is below zero, else a score. What the two leave open is refused.

use std::collections::{BTreeSet, HashMap};

use super::parts::{at_most, below, cell, planted};
use super::protobuf::{Field, Fields, Malformed, Value};
use super::{Foreign, ImportError};
use crate::forest::{Combination, MAX_CLASSES};
use crate::model::{Node, Tree};

/// Operators that pass values on as they are, or only give them another form.
const HARMLESS: [&str; 4] = ["Cast", "Identity", "Reshape", "ZipMap"];

/// The operator that this importer is for.
const ENSEMBLE: &str = "TreeEnsembleClassifier";

/// Numbers of element types (`TensorProto.DataType`).
const FLOAT: i64 = 1;
const DOUBLE: i64 = 11;

/// One operator of the graph.
#[derive(Default)]
struct Operator<'a> {
    kind: &'a str,
    inputs: Vec<&'a str>,
    outputs: Vec<&'a str>,
    attributes: HashMap<&'a str, Attribute<'a>>,
}

/// The value of an attribute, in whichever field it stands.
#[derive(Default)]
struct Attribute<'a> {
    integer: i64,
    text: &'a str,
    numbers: Vec<f64>,
    integers: Vec<i64>,
    texts: Vec<&'a str>,
}

/// What is read of a graph.
#[derive(Default)]
struct Graph<'a> {
    operators: Vec<Operator<'a>>,
    /// Numbers in a row of its input, where the file says so.
    columns: Option<usize>,
}

/// Reads the file.
pub(super) fn read(bytes: &[u8]) -> Result<Foreign, ImportError> {
    let Graph { operators, columns } = graph(bytes).ok_or(ImportError::Malformed("protocol buffer of ONNX"))?;
    let known = |operator: &&Operator<'_>| operator.kind == ENSEMBLE || HARMLESS.contains(&operator.kind);
    if let Some(other) = operators.iter().find(|operator| !known(operator)) {
        return Err(ImportError::unsupported(format!("has the operator {:?}", other.kind)));
    }
    let mut ensembles = operators.iter().filter(|operator| operator.kind == ENSEMBLE);
    let (Some(ensemble), None) = (ensembles.next(), ensembles.next()) else {
        return Err(ImportError::Missing("exactly one operator TreeEnsembleClassifier"));
    };
    check_input(ensemble, &operators)?;
    Ok(Foreign { columns, ..Votes::of(ensemble)?.foreign()? })
}

/// The graph (field 7 of the model).
fn graph(bytes: &[u8]) -> Option<Graph<'_>> {
    let mut graph = Graph::default();
    for_each(bytes, |field| match field.number {
        7 => for_each(field.value.bytes()?, |field| {
            match field.number {
                1 => graph.operators.push(operator(field.value.bytes()?)?),
                11 => graph.columns = columns(field.value.bytes()?)?,
                _ => {}
            }
            Some(())
        }),
        _ => Some(()),
    })?;
    Some(graph)
}

/// The second dimension of an input: its type, the tensor in it, its shape, the dimensions in it.
fn columns(input: &[u8]) -> Option<Option<usize>> {
    let mut messages = vec![input];
    for number in [2, 1, 2, 1] {
        let mut inner = Vec::new();
        for message in messages {
            for_each(message, |field| {
                if field.number == number {
                    inner.push(field.value.bytes()?);
                }
                Some(())
            })?;
        }
        messages = inner;
    }
    let mut size = Vec::new();
    for_each(messages.get(1).copied().unwrap_or_default(), |field| match field.number {
        1 => field.value.integers(&mut size),
        _ => Some(()),
    })?;
    Some(size.first().and_then(|size| usize::try_from(*size).ok()).filter(|size| *size > 0))
}

fn for_each<'a>(message: &'a [u8], mut take: impl FnMut(Field<'a>) -> Option<()>) -> Option<()> {
    Fields::of(message).try_for_each(|field: Result<_, Malformed>| take(field.ok()?))
}

fn operator(message: &[u8]) -> Option<Operator<'_>> {
    let mut operator = Operator::default();
    for_each(message, |field| {
        match field.number {
            1 => operator.inputs.push(field.value.text()?),
            2 => operator.outputs.push(field.value.text()?),
            4 => operator.kind = field.value.text()?,
            5 => {
                let (name, value) = attribute(field.value.bytes()?)?;
                operator.attributes.insert(name, value);
            }
            _ => {}
        }
        Some(())
    })?;
    Some(operator)
}

fn attribute(message: &[u8]) -> Option<(&str, Attribute<'_>)> {
    let (mut name, mut value) = ("", Attribute::default());
    for_each(message, |field| {
        match (field.number, field.value) {
            (1, text) => name = text.text()?,
            (3, Value::Varint(integer)) => value.integer = integer.cast_signed(),
            (4, text) => value.text = text.text()?,
            (5, tensor) => value.numbers = numbers_of_tensor(tensor.bytes()?)?,
            (7, floats) => floats.floats(&mut value.numbers)?,
            (8, integers) => integers.integers(&mut value.integers)?,
            (9, text) => value.texts.push(text.text()?),
            _ => {}
        }
        Some(())
    })?;
    Some((name, value))
}

/// The elements of a tensor of floats or doubles; those of others are not asked for.
fn numbers_of_tensor(message: &[u8]) -> Option<Vec<f64>> {
    let (mut kind, mut numbers, mut raw) = (Vec::new(), Vec::new(), None);
    for_each(message, |field| match field.number {
        2 => field.value.integers(&mut kind),
        4 => field.value.floats(&mut numbers),
        9 => {
            raw = Some(field.value);
            Some(())
        }
        10 => field.value.doubles(&mut numbers),
        _ => Some(()),
    })?;
    match (kind.as_slice(), raw) {
        ([FLOAT], Some(raw)) => raw.floats(&mut numbers)?,
        ([DOUBLE], Some(raw)) => raw.doubles(&mut numbers)?,
        _ => {}
    }
    Some(numbers)
}

/// The trees must see the features themselves: what is between them and the graph's input may not change a number.
fn check_input(ensemble: &Operator<'_>, operators: &[Operator<'_>]) -> Result<(), ImportError> {
    let mut name = ensemble.inputs.first().copied().unwrap_or_default();
    // No way through the graph is longer than it has operators, unless it is a circle.
    for _ in 0..=operators.len() {
        let Some(before) = operators.iter().find(|operator| operator.outputs.contains(&name)) else { return Ok(()) };
        let target = before.attributes.get("to").map_or(0, |to| to.integer);
        match before.kind {
            "Identity" => {}
            "Cast" if [FLOAT, DOUBLE].contains(&target) => {}
            kind => return Err(ImportError::unsupported(format!("has the operator {kind:?} before the trees"))),
        }
        name = before.inputs.first().copied().unwrap_or_default();
    }
    Err(ImportError::unsupported("has a circle in its graph"))
}

/// The trees, before it is decided what their votes mean.
struct Votes<'a> {
    ensemble: &'a Operator<'a>,
    labels: Vec<String>,
    classes: usize,
    /// The classes that votes are for.
    voted: BTreeSet<usize>,
    base: Vec<f64>,
    /// For each tree its nodes, of which the leaves hold a number for each class.
    trees: Vec<Vec<Node>>,
    /// No vote is below zero.
    positive: bool,
}

impl<'a> Votes<'a> {
    fn of(ensemble: &'a Operator<'a>) -> Result<Self, ImportError> {
        let labels: Vec<String> =
            ensemble.texts("classlabels_strings").iter().map(|label| (*label).to_owned()).collect();
        let classes = labels.len().max(ensemble.integers("classlabels_int64s").len());
        if !(2..=MAX_CLASSES).contains(&classes) {
            return Err(ImportError::unsupported(format!("tells {classes} classes apart")));
        }
        let mut votes = Self {
            ensemble,
            labels,
            classes,
            voted: BTreeSet::new(),
            base: ensemble.numbers("base_values").to_vec(),
            trees: Vec::new(),
            positive: true,
        };
        votes.plant()?;
        Ok(votes)
    }

    fn plant(&mut self) -> Result<(), ImportError> {
        let ids = self.ensemble.integers("nodes_treeids");
        let nodes = self.ensemble.integers("nodes_nodeids");
        if nodes.len() != ids.len() {
            return Err(ImportError::Missing("as many nodes_nodeids as nodes_treeids"));
        }
        // Which tree, and which place in it, the ids of the file mean. A tree's root is the node that comes first.
        let mut trees: HashMap<i64, usize> = HashMap::new();
        let mut places: HashMap<(i64, i64), usize> = HashMap::new();
        let mut sizes: Vec<usize> = Vec::new();
        for id in ids.iter().copied().zip(nodes.iter().copied()) {
            let tree = *trees.entry(id.0).or_insert_with(|| {
                sizes.push(0);
                sizes.len() - 1
            });
            let Some(size) = sizes.get_mut(tree) else { continue };
            if places.insert(id, *size).is_some() {
                return Err(ImportError::unsupported(format!("has the node {} of tree {} twice", id.1, id.0)));
            }
            *size += 1;
        }
        let votes = self.votes()?;
        self.trees = sizes.iter().map(|size| Vec::with_capacity(*size)).collect();
        for (at, id) in ids.iter().copied().zip(nodes.iter().copied()).enumerate() {
            let Some(tree) = trees.get(&id.0) else { continue };
            let node = self.node(at, *tree, id, &places, &votes)?;
            if let Some(nodes) = self.trees.get_mut(*tree) {
                nodes.push(node);
            }
        }
        Ok(())
    }

    /// The votes at each leaf, by tree and node.
    fn votes(&mut self) -> Result<HashMap<(i64, i64), [f64; MAX_CLASSES]>, ImportError> {
        let ensemble = self.ensemble;
        let (trees, nodes) = (ensemble.integers("class_treeids"), ensemble.integers("class_nodeids"));
        let weights = ensemble.numbers("class_weights");
        let mut votes = HashMap::new();
        for (at, &class) in ensemble.integers("class_ids").iter().enumerate() {
            let id = (cell(trees, at, 0, "class_treeids")?, cell(nodes, at, 0, "class_nodeids")?);
            let weight = cell(weights, at, 0, "class_weights")?;
            let class = usize::try_from(class).unwrap_or(usize::MAX);
            let sums = votes.entry(id).or_insert([0.0; MAX_CLASSES]);
            let sum = sums.get_mut(class).filter(|_| class < self.classes);
            *sum.ok_or_else(|| ImportError::unsupported("has votes for a class that it does not list"))? += weight;
            self.voted.insert(class);
            self.positive &= weight >= 0.0;
        }
        Ok(votes)
    }

    fn node(
        &self,
        at: usize,
        tree: usize,
        id: (i64, i64),
        places: &HashMap<(i64, i64), usize>,
        votes: &HashMap<(i64, i64), [f64; MAX_CLASSES]>,
    ) -> Result<Node, ImportError> {
        let ensemble = self.ensemble;
        let threshold = || cell(ensemble.numbers("nodes_values"), at, tree, "nodes_values");
        let threshold = match cell(ensemble.texts("nodes_modes"), at, tree, "nodes_modes")? {
            "BRANCH_LEQ" => at_most(threshold()?),
            "BRANCH_LT" => below(threshold()?),
            "LEAF" => {
                let sums = votes.get(&id).copied().unwrap_or_default();
                let values = sums.iter().take(self.classes).map(|sum| *sum as f32).collect();
                return Ok(Node::Leaf { rows: 0, values });
            }
            mode => return Err(ImportError::unsupported(format!("has nodes of the mode {mode}"))),
        };
        let child = |name| -> Result<usize, ImportError> {
            let node = cell(ensemble.integers(name), at, tree, name)?;
            Ok(places.get(&(id.0, node)).copied().unwrap_or(usize::MAX))
        };
        let feature = cell(ensemble.integers("nodes_featureids"), at, tree, "nodes_featureids")?;
        Ok(Node::Split {
            feature: usize::try_from(feature).unwrap_or(usize::MAX),
            threshold,
            left: child("nodes_truenodeids")?,
            right: child("nodes_falsenodeids")?,
        })
    }

    /// Decides what the votes mean.
    fn foreign(self) -> Result<Foreign, ImportError> {
        let transform = self.ensemble.attributes.get("post_transform").map_or("NONE", |attribute| attribute.text);
        let single = self.classes == 2 && self.voted.len() <= 1;
        let bases = self.base.len();
        match (transform, single) {
            ("NONE", _) if self.positive && self.base.iter().all(|base| *base == 0.0) => self.mean(single),
            ("LOGISTIC", true) if !self.positive && bases <= 1 => self.single_score(),
            ("SOFTMAX", false) if self.bases_fit() => self.scores(Combination::Softmax),
            ("LOGISTIC", false) if self.bases_fit() => self.scores(Combination::OneVsRest),
            _ => Err(ImportError::unsupported(format!(
                "has the post_transform {transform} for {} classes, votes for {} of them and {bases} base values, \
                 of which it is not known what they make together",
                self.classes,
                self.voted.len(),
            ))),
        }
    }

    /// Two classes have none: run-times do not agree on what two base values mean.
    fn bases_fit(&self) -> bool {
        self.base.is_empty() || (self.classes > 2 && self.base.len() == self.classes)
    }

    /// Votes that are shares of probabilities: those of one tree times the number of trees are a distribution.
    fn mean(mut self, single: bool) -> Result<Foreign, ImportError> {
        let count = self.trees.len() as f64;
        for node in self.trees.iter_mut().flatten() {
            let Node::Leaf { values, .. } = node else { continue };
            for value in values.iter_mut() {
                *value = (f64::from(*value) * count) as f32;
            }
            if single {
                let share: f32 = values.iter().sum();
                *values = vec![(1.0 - share).max(0.0), share];
            }
        }
        let base = vec![0.0; self.classes];
        self.planted(|_| vec![None], Combination::Mean, base)
    }

    /// One score, for the second class.
    fn single_score(mut self) -> Result<Foreign, ImportError> {
        for node in self.trees.iter_mut().flatten() {
            let Node::Leaf { values, .. } = node else { continue };
            let score: f32 = values.iter().sum();
            *values = vec![0.0, score];
        }
        let base = vec![0.0, self.base.first().copied().unwrap_or_default()];
        self.planted(|_| vec![Some(1)], Combination::Softmax, base)
    }

    /// A score for each class: a tree that votes for several becomes one for each.
    fn scores(self, combination: Combination) -> Result<Foreign, ImportError> {
        let base = if self.base.is_empty() { vec![0.0; self.classes] } else { self.base.clone() };
        let classes = self.classes;
        let voted = |nodes: &[Node]| (0..classes).filter(|class| votes_for(nodes, *class)).map(Some).collect();
        self.planted(voted, combination, base)
    }

    fn planted(
        self,
        classes_of: impl Fn(&[Node]) -> Vec<Option<usize>>,
        combination: Combination,
        base: Vec<f64>,
    ) -> Result<Foreign, ImportError> {
        let mut trees: Vec<Tree> = Vec::with_capacity(self.trees.len());
        for (place, nodes) in self.trees.iter().enumerate() {
            for class in classes_of(nodes) {
                let nodes = nodes.iter().map(|node| for_class(node, class)).collect();
                trees.push(planted(place, class, nodes, 0)?);
            }
        }
        Ok(Foreign { trees, combination, base, ..Foreign::named(Vec::new(), self.labels, self.classes) })
    }
}

fn votes_for(nodes: &[Node], class: usize) -> bool {
    nodes
        .iter()
        .any(|node| matches!(node, Node::Leaf { values, .. } if values.get(class).is_some_and(|vote| *vote != 0.0)))
}

/// The node with only the vote for that class, or with all.
fn for_class(node: &Node, class: Option<usize>) -> Node {
    match (node, class) {
        (Node::Leaf { rows, values }, Some(class)) => {
            Node::Leaf { rows: *rows, values: values.get(class).copied().into_iter().collect() }
        }
        _ => node.clone(),
    }
}

impl<'a> Operator<'a> {
    fn integers(&self, name: &str) -> &[i64] {
        self.attributes.get(name).map_or(&[], |attribute| &attribute.integers)
    }

    fn texts(&self, name: &str) -> &[&'a str] {
        self.attributes.get(name).map_or(&[], |attribute| &attribute.texts)
    }

    /// Floats, or under the longer name a tensor of doubles.
    fn numbers(&self, name: &str) -> &[f64] {
        let found = self.attributes.get(name).or_else(|| self.attributes.get(&*format!("{name}_as_tensor")));
        found.map_or(&[], |attribute| &attribute.numbers)
    }
}
