//! The compiled model and the walk of its `model.json` give the same answer for every vector, bit for bit.
//!
//! Many random trees go into one generated program, because starting the Rust compiler is what takes the time.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::process::Command;
use std::{env, fs};

use model_compiler::model::{Model, Node, Range, Tree};
use model_compiler::{emit, json};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use traffic::features::{FEATURE_COUNT, FeatureVector, ThreatClass};

const TREES: usize = 60;
const VECTORS: usize = 300;

/// A tree before its nodes have places.
#[derive(Clone, Debug)]
enum Shape {
    Leaf(Vec<u8>),
    Split(usize, f32, Box<Shape>, Box<Shape>),
}

/// Numbers at which comparisons go wrong if they go wrong at all.
fn awkward() -> impl Strategy<Value = f32> {
    prop_oneof![
        3 => prop_oneof![Just(0.0), Just(-0.0), Just(1.0), Just(0.1), Just(16_777_216.0), Just(f32::MAX), Just(f32::MIN)],
        1 => prop_oneof![Just(f32::MIN_POSITIVE), Just(f32::from_bits(1)), Just(f32::from_bits(0x8000_0001))],
        4 => any::<u32>().prop_map(f32::from_bits).prop_filter("finite", |value| value.is_finite()),
        4 => -100.0_f32..100.0,
    ]
}

fn shape(classes: usize) -> impl Strategy<Value = Shape> {
    let leaf = prop::collection::vec(any::<u8>(), classes).prop_map(Shape::Leaf);
    leaf.prop_recursive(9, 120, 2, |inner| {
        (0..FEATURE_COUNT, awkward(), inner.clone(), inner)
            .prop_map(|(feature, threshold, left, right)| Shape::Split(feature, threshold, left.into(), right.into()))
    })
}

/// A tree of one comparison per level: as deep as 20, which the Rust compiler must bear.
fn chain() -> Shape {
    (0..20).fold(Shape::Leaf(vec![1; 4]), |below, level| {
        let leaf = Shape::Leaf((0..4).map(|class| if class == level % 4 { 9 } else { 1 }).collect());
        Shape::Split(level, level as f32 / 3.0, leaf.into(), below.into())
    })
}

fn place(shape: &Shape, nodes: &mut Vec<Node>) -> usize {
    let at = nodes.len();
    match shape {
        Shape::Leaf(counts) => {
            let total: f32 = counts.iter().map(|&count| f32::from(count) + 1.0).sum();
            let probabilities = counts.iter().map(|&count| (f32::from(count) + 1.0) / total).collect();
            nodes.push(Node::Leaf { rows: 1, probabilities });
        }
        Shape::Split(feature, threshold, left, right) => {
            nodes.push(Node::Leaf { rows: 0, probabilities: Vec::new() });
            let (left, right) = (place(left, nodes), place(right, nodes));
            nodes[at] = Node::Split { feature: *feature, threshold: *threshold, left, right };
        }
    }
    at
}

fn model(shape: &Shape, classes: &[ThreatClass]) -> Model {
    let mut nodes = Vec::new();
    place(shape, &mut nodes);
    Model {
        name: "random".to_owned(),
        classes: classes.to_vec(),
        ranges: vec![Range { min: -0.0, max: 0.3 }; FEATURE_COUNT],
        tree: Tree { nodes },
    }
}

fn models(runner: &mut TestRunner) -> Vec<Model> {
    let some = [ThreatClass::Tunnel, ThreatClass::Benign, ThreatClass::Scan, ThreatClass::Flood];
    let mut models: Vec<Model> =
        (0..TREES).map(|_| model(&shape(some.len()).new_tree(runner).unwrap().current(), &some)).collect();
    models.push(model(&chain(), &some));
    models
}

/// Vectors of awkward numbers, of the models' own thresholds and their neighbours, and of what is not a number.
fn vectors(runner: &mut TestRunner, models: &[Model]) -> Vec<FeatureVector> {
    let thresholds: Vec<f32> = models.iter().flat_map(|model| &model.tree.nodes).filter_map(threshold).collect();
    let near = prop::sample::select(thresholds)
        .prop_flat_map(|value| prop_oneof![Just(value), Just(value.next_up()), Just(value.next_down())]);
    let special = prop_oneof![Just(f32::NAN), Just(-f32::NAN), Just(f32::INFINITY), Just(f32::NEG_INFINITY)];
    let value = prop_oneof![4 => near, 2 => awkward(), 1 => special];
    let vector = prop::collection::vec(value, FEATURE_COUNT);
    (0..VECTORS).map(|_| vector.new_tree(runner).unwrap().current().try_into().unwrap()).collect()
}

fn threshold(node: &Node) -> Option<f32> {
    match node {
        Node::Split { threshold, .. } => Some(*threshold),
        Node::Leaf { .. } => None,
    }
}

/// The program: each model in a module of its own, as the daemon includes it, asked by `classify` and by its data.
fn program(models: &[Model]) -> String {
    let mut source = format!("pub type FeatureVector = [f32; {FEATURE_COUNT}];\n");
    source.push_str("#[derive(Clone, Copy)] #[allow(dead_code)]\npub enum ThreatClass { ");
    source.extend(ThreatClass::ALL.map(|class| format!("{class:?}, ")));
    source.push_str(
        "}\n\
         #[derive(Clone, Copy)] pub struct Leaf { pub class: ThreatClass, pub confidence: f32 }\n\
         pub enum Node { Split { feature: u16, threshold: f32, left: u32, right: u32 }, Leaf(Leaf) }\n\
         fn walk(nodes: &[Node], x: &FeatureVector) -> Leaf {\n\
             let mut at = 0;\n\
             loop { match nodes[at as usize] {\n\
                 Node::Leaf(leaf) => return leaf,\n\
                 Node::Split { feature, threshold, left, right } =>\n\
                     at = if x[feature as usize] <= threshold { left } else { right },\n\
             } }\n\
         }\n",
    );
    for at in 0..models.len() {
        source.push_str(&format!("mod m{at} {{ use super::*; include!(\"m{at}.rs\"); }}\n"));
    }
    source.push_str(
        "fn say(leaf: Leaf) { println!(\"{} {:08x}\", leaf.class as u8, leaf.confidence.to_bits()); }\n\
         fn main() {\n\
             let bytes = std::fs::read(std::env::args().nth(1).unwrap()).unwrap();\n\
             let numbers: Vec<f32> = bytes.chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();\n\
             for x in numbers.chunks(std::mem::size_of::<FeatureVector>() / 4) {\n\
                 let x: &FeatureVector = x.try_into().unwrap();\n",
    );
    for at in 0..models.len() {
        source.push_str(&format!("        say(m{at}::classify(x)); say(walk(m{at}::NODES, x));\n"));
    }
    source.push_str("    }\n}\n");
    source
}

fn answers_of_the_compiled(directory: &Path, models: &[Model], vectors: &[FeatureVector]) -> String {
    for (at, model) in models.iter().enumerate() {
        fs::write(directory.join(format!("m{at}.rs")), emit::rust(model)).unwrap();
    }
    fs::write(directory.join("main.rs"), program(models)).unwrap();
    let bytes: Vec<u8> = vectors.iter().flatten().flat_map(|value| value.to_le_bytes()).collect();
    fs::write(directory.join("vectors"), bytes).unwrap();
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let arguments = ["--edition", "2024", "-A", "dead_code", "-o", "program", "main.rs"];
    let built = Command::new(rustc).args(arguments).current_dir(directory).output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let ran = Command::new(directory.join("program")).arg(directory.join("vectors")).output().unwrap();
    String::from_utf8(ran.stdout).unwrap()
}

#[test]
fn the_compiled_model_answers_as_the_walk_does() {
    let runner = &mut TestRunner::deterministic();
    let models = models(runner);
    let vectors = vectors(runner, &models);
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled_equals_walked");
    fs::create_dir_all(&directory).unwrap();

    let compiled = answers_of_the_compiled(&directory, &models, &vectors);

    let mut answers = compiled.lines();
    for vector in &vectors {
        for model in &models {
            let walked = json::read(&json::write(model).unwrap()).unwrap().classify(vector);
            let expected = format!("{} {:08x}", walked.class.number(), walked.confidence.to_bits());
            assert_eq!(answers.next(), Some(&*expected), "classify, {model:?}");
            assert_eq!(answers.next(), Some(&*expected), "NODES, {model:?}");
        }
    }
    assert_eq!(answers.next(), None);
}

proptest! {
    #[test]
    fn a_model_comes_back_from_its_file_as_it_was(
        shape in shape(4),
        bounds in prop::collection::vec((awkward(), awkward()), FEATURE_COUNT),
    ) {
        let mut model = model(&shape, &ThreatClass::ALL[..4]);
        model.ranges = bounds.iter().map(|(a, b)| Range { min: a.min(*b), max: a.max(*b) }).collect();
        let back = json::read(&json::write(&model).unwrap()).unwrap();
        // Debug tells -0 from 0, which == does not.
        prop_assert_eq!(format!("{back:?}"), format!("{model:?}"));
    }
}
