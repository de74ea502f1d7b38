//! A model as Rust source: what the packet path asks, and the same trees as tables for explanations.
//!
//! The file is meant for `include!` in a module that has in scope `traffic::features::{FeatureVector, ThreatClass}`,
//! [`crate::forest`], and
//!
//! ```
//! # use traffic::features::ThreatClass;
//! #[derive(Clone, Copy)]
//! pub struct Leaf { pub class: ThreatClass, pub confidence: f32 }
//! ```
//!
//! It uses `core` alone, allocates nothing, and defines there:
//! - `MODEL_NAME: &str`, `MODEL_SCHEMA_HASH: u64`
//! - `TRAINED_RANGES: [(f32, f32); N]`: the smallest and largest training value of each feature
//! - `TRAINED_SPREADS: [([f32; 9], [f32; 10]); N]`: edges and shares of each feature's bins (see [`crate::spread`])
//! - `CLASSES: [ThreatClass; K]`, in the order of the numbers at the leaves
//! - `FOREST: forest::Forest`: the trees as tables; a walk of them gives what `classify` gives, bit for bit
//! - `classify(&FeatureVector) -> Leaf`, in one of two forms ([`Form`])

mod ifs;

use core::fmt::{self, Write};

use traffic::features::{FEATURES, SCHEMA_HASH};

use crate::forest::{Curve, Knot, Node, Root};
use crate::model::{Model, Tables};
use crate::spread::{BINS, EDGES};

/// How `classify` goes about its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// An `if` for each comparison. The processor guesses the way, and is right about most traffic.
    Ifs,
    /// A walk of the tables, several trees at once, without branches.
    Table,
}

impl Form {
    /// Both forms.
    pub const ALL: [Self; 2] = [Self::Ifs, Self::Table];

    /// What it is called in files and on screens.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ifs => "ifs",
            Self::Table => "table",
        }
    }

    /// The form of a model of which nobody measured both: nested ifs for a single tree, whose branches are few enough to be
    /// foretold, and the tables for many, which are also the smaller form. So it is with every model of `make bench-model`.
    #[must_use]
    pub fn unmeasured(model: &Model) -> Self {
        if model.trees.len() == 1 { Self::Ifs } else { Self::Table }
    }
}

/// The source in that form. The model must be one that [`crate::check::check`] accepts.
#[must_use]
pub fn rust(model: &Model, form: Form) -> String {
    let mut source = String::new();
    // Writing to a string cannot fail; the signature of `Write` says it could.
    let written = write_all(&mut source, model, form);
    debug_assert!(written.is_ok());
    source
}

fn write_all(out: &mut String, model: &Model, form: Form) -> fmt::Result {
    header(out, model)?;
    tables(out, model, &model.tables())?;
    match form {
        Form::Ifs => ifs::classify(out, model),
        Form::Table => classify_by_table(out),
    }
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
    writeln!(out, "];\n")?;
    spreads(out, model)?;
    let classes: Vec<String> = model.classes.iter().map(|class| format!("ThreatClass::{class:?}")).collect();
    writeln!(out, "/// The classes, in the order of the numbers at the leaves.")?;
    writeln!(out, "pub static CLASSES: [ThreatClass; {}] = [{}];\n", classes.len(), classes.join(", "))
}

/// Edges and shares of the bins.
fn spreads(out: &mut String, model: &Model) -> fmt::Result {
    let list = |values: &[f32]| values.iter().map(|value| bits(*value)).collect::<Vec<_>>().join(", ");
    writeln!(out, "/// Where the bins of harmless values end and what share each holds, in the order of the schema.")?;
    writeln!(out, "#[allow(dead_code)]")?;
    writeln!(out, "pub static TRAINED_SPREADS: [([f32; {EDGES}], [f32; {BINS}]); {}] = [", model.ranges.len())?;
    for (range, feature) in model.ranges.iter().zip(FEATURES) {
        writeln!(out, "    ([{}], [{}]), // {}", list(&range.spread.edges), list(&range.spread.shares), feature.name)?;
    }
    writeln!(out, "];\n")
}

fn tables(out: &mut String, model: &Model, tables: &Tables) -> fmt::Result {
    let Tables { classes, combination, base, trees, nodes, ends, values, rows, calibration } = tables;
    writeln!(out, "/// The trees as tables: `model_compiler::forest` explains them.")?;
    writeln!(out, "#[allow(clippy::all, clippy::pedantic, clippy::unwrap_used)]")?;
    writeln!(out, "pub static FOREST: forest::Forest<'static> = forest::Forest {{")?;
    writeln!(out, "    classes: {classes},")?;
    writeln!(out, "    combination: forest::Combination::{combination:?},")?;
    list(out, "base", base.iter().map(|value| bits(*value)))?;
    list(out, "trees", trees.iter().map(root))?;
    list(out, "nodes", nodes.iter().enumerate().map(|(at, node)| table_node(at, *node)))?;
    list(out, "ends", ends.iter().map(u32::to_string))?;
    list(out, "values", values.iter().map(|value| bits(*value)))?;
    list(out, "rows", rows.iter().map(u32::to_string))?;
    list(out, "calibration", calibration.iter().map(curve))?;
    debug_assert_eq!(trees.len(), model.trees.len());
    writeln!(out, "}};\n")
}

/// A field of the tables, with one element per line.
fn list(out: &mut String, name: &str, elements: impl Iterator<Item = String>) -> fmt::Result {
    writeln!(out, "    {name}: &[")?;
    for element in elements {
        writeln!(out, "        {element},")?;
    }
    writeln!(out, "    ],")
}

fn root(root: &Root) -> String {
    let Root { at, depth, class } = root;
    format!("forest::Root {{ at: {at}, depth: {depth}, class: {class:?} }}")
}

fn table_node(at: usize, node: Node) -> String {
    if node.is_leaf() {
        return format!("forest::Node::leaf({at})");
    }
    let (feature, threshold, left) = (node.feature(), node.threshold, node.left());
    let name = FEATURES.get(feature).map_or("", |feature| feature.name);
    format!("forest::Node::split({feature}, {}, {left}) /* {name} <= {threshold:?} */", bits(threshold))
}

/// A curve that is none would not compile.
fn curve(curve: &Curve) -> String {
    let knot = |knot: &Knot| {
        let (confidence, frequency) = (bits(knot.confidence), bits(knot.frequency));
        format!("forest::Knot {{ confidence: {confidence}, frequency: {frequency} }}")
    };
    let knots: Vec<String> = curve.knots().iter().map(knot).collect();
    format!("const {{ forest::Curve::new(&[{}]).unwrap() }}", knots.join(", "))
}

/// The lines before the body of `classify`.
fn signature(out: &mut String) -> fmt::Result {
    writeln!(out, "/// What the model says of a vector: the most probable class, and how probable it is.")?;
    writeln!(out, "#[allow(clippy::all, clippy::pedantic, unused_variables)]")?;
    writeln!(out, "#[must_use]")?;
    writeln!(out, "pub fn classify(features: &FeatureVector) -> Leaf {{")
}

fn classify_by_table(out: &mut String) -> fmt::Result {
    signature(out)?;
    writeln!(out, "    let best = FOREST.best(features);")?;
    writeln!(out, "    Leaf {{ class: CLASSES[best.class], confidence: best.confidence }}")?;
    writeln!(out, "}}")
}

/// The very bits: a decimal would have to be trusted to come back as the same number.
fn bits(value: f32) -> String {
    format!("f32::from_bits(0x{:08x})", value.to_bits())
}
