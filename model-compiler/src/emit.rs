//! A model as Rust source: one `if` per comparison for the packet path, and the same tree as data for explanations.
//!
//! The file is meant for `include!` in a module that has in scope `traffic::features::{FeatureVector, ThreatClass}` and
//!
//! ```
//! # use traffic::features::ThreatClass;
//! #[derive(Clone, Copy)]
//! pub struct Leaf { pub class: ThreatClass, pub confidence: f32 }
//! pub enum Node { Split { feature: u16, threshold: f32, left: u32, right: u32 }, Leaf(Leaf) }
//! ```
//!
//! It defines there:
//! - `MODEL_NAME: &str`, `MODEL_SCHEMA_HASH: u64`
//! - `TRAINED_RANGES: [(f32, f32); N]`: the smallest and largest training value of each feature
//! - `classify(&FeatureVector) -> Leaf`
//! - `NODES: &[Node]`, from the root at place 0; a walk of it ends in the leaf that `classify` gives

use core::fmt::{self, Write};

use traffic::features::{FEATURES, SCHEMA_HASH};

use crate::model::{Answer, Model, Node};

/// The source. The model must be one that [`crate::json::read`] accepts.
#[must_use]
pub fn rust(model: &Model) -> String {
    let mut source = String::new();
    // Writing to a string cannot fail; the signature of `Write` says it could.
    let written =
        header(&mut source, model).and_then(|()| classify(&mut source, model)).and_then(|()| nodes(&mut source, model));
    debug_assert!(written.is_ok());
    source
}

fn header(out: &mut String, model: &Model) -> fmt::Result {
    writeln!(out, "// The model {}, as model-compiler wrote it. Changes belong in its model.json.\n", model.name)?;
    writeln!(out, "/// Name of the model that is compiled in.")?;
    writeln!(out, "pub const MODEL_NAME: &str = {:?};\n", model.name)?;
    writeln!(out, "/// Fingerprint of the feature schema that it was made for.")?;
    writeln!(out, "pub const MODEL_SCHEMA_HASH: u64 = 0x{SCHEMA_HASH:016x};\n")?;
    writeln!(out, "/// The smallest and the largest value of each feature in training, in the order of the schema.")?;
    writeln!(out, "#[allow(dead_code)]")?;
    writeln!(out, "pub static TRAINED_RANGES: [(f32, f32); {}] = [", model.ranges.len())?;
    for (range, feature) in model.ranges.iter().zip(FEATURES) {
        let (min, max) = (range.min, range.max);
        writeln!(out, "    ({}, {}), // {} {min:?} to {max:?}", bits(min), bits(max), feature.name)?;
    }
    writeln!(out, "];\n")
}

fn classify(out: &mut String, model: &Model) -> fmt::Result {
    writeln!(out, "/// What the model says of a vector: the most probable class, and how probable it is.")?;
    writeln!(out, "#[allow(clippy::all, clippy::pedantic, unused_variables)]")?;
    writeln!(out, "#[must_use]")?;
    writeln!(out, "pub fn classify(features: &FeatureVector) -> Leaf {{")?;
    branch(out, model, 0, 1)?;
    writeln!(out, "}}\n")
}

/// The node at `at` as an expression, and all below it. As deep as the tree: `model::MAX_DEPTH` at most.
fn branch(out: &mut String, model: &Model, at: usize, depth: usize) -> fmt::Result {
    let indent = "    ".repeat(depth);
    match &model.tree.nodes[at] {
        Node::Leaf { probabilities, .. } => writeln!(out, "{indent}{}", leaf(model.answer(probabilities))),
        Node::Split { feature, threshold, left, right } => {
            let name = FEATURES[*feature].name;
            writeln!(out, "{indent}if features[{feature}] <= {} {{ // {name} <= {threshold:?}", bits(*threshold))?;
            branch(out, model, *left, depth + 1)?;
            writeln!(out, "{indent}}} else {{")?;
            branch(out, model, *right, depth + 1)?;
            writeln!(out, "{indent}}}")
        }
    }
}

fn nodes(out: &mut String, model: &Model) -> fmt::Result {
    writeln!(out, "/// The same tree as data, from the root at place 0: to tell the way that a vector took.")?;
    writeln!(out, "#[allow(clippy::all, clippy::pedantic)]")?;
    writeln!(out, "pub static NODES: &[Node] = &[")?;
    for node in &model.tree.nodes {
        writeln!(out, "    {}", node_as_data(model, node))?;
    }
    writeln!(out, "];")
}

fn node_as_data(model: &Model, node: &Node) -> String {
    match node {
        Node::Leaf { probabilities, .. } => format!("Node::Leaf({}),", leaf(model.answer(probabilities))),
        Node::Split { feature, threshold, left, right } => {
            let (bits, name) = (bits(*threshold), FEATURES[*feature].name);
            format!(
                "Node::Split {{ feature: {feature}, threshold: {bits}, left: {left}, right: {right} }}, \
                 // {name} <= {threshold:?}"
            )
        }
    }
}

fn leaf(answer: Answer) -> String {
    let Answer { class, confidence } = answer;
    format!("Leaf {{ class: ThreatClass::{class:?}, confidence: {} /* {confidence:?} */ }}", bits(confidence))
}

/// The very bits: a decimal would have to be trusted to come back as the same number.
fn bits(value: f32) -> String {
    format!("f32::from_bits(0x{:08x})", value.to_bits())
}
