//! The compiled model, in both of its forms, and the walk of its `model.json` give the same answer for every vector, bit for
//! bit; and what is compiled needs neither the standard library nor `unsafe`.
//!
//! Many random models go into one generated program, because starting the Rust compiler is what takes the time.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::process::Command;
use std::{env, fs};

use model_compiler::check::check;
use model_compiler::emit::{self, Form};
use model_compiler::forest::{Combination, Curve, Knot, MAX_KNOTS};
use model_compiler::json;
use model_compiler::model::{Model, Node, Range, Tree};
use model_compiler::spread::Spread;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use traffic::features::{FEATURE_COUNT, FeatureVector, ThreatClass};

/// How many models of one tree, and how many of several of each kind.
const SINGLE: usize = 40;
const OF_EACH_KIND: usize = 8;
const VECTORS: usize = 300;
const CLASSES: [ThreatClass; 4] = [ThreatClass::Tunnel, ThreatClass::Benign, ThreatClass::Scan, ThreatClass::Flood];

/// The range of some values with their weights.
fn range(mut values: Vec<(f32, f64)>) -> Range {
    let spread = Spread::of(&mut values);
    Range { min: values[0].0, max: values[values.len() - 1].0, spread }
}

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

/// Puts the nodes of a shape into their places; `values` makes the numbers of a leaf.
fn place(shape: &Shape, nodes: &mut Vec<Node>, values: &dyn Fn(&[u8]) -> Vec<f32>) -> usize {
    let at = nodes.len();
    match shape {
        Shape::Leaf(counts) => nodes.push(Node::Leaf { rows: 1, values: values(counts) }),
        Shape::Split(feature, threshold, left, right) => {
            nodes.push(Node::Leaf { rows: 0, values: Vec::new() });
            let (left, right) = (place(left, nodes, values), place(right, nodes, values));
            nodes[at] = Node::Split { feature: *feature, threshold: *threshold, left, right };
        }
    }
    at
}

fn distribution(counts: &[u8]) -> Vec<f32> {
    let total: f32 = counts.iter().map(|&count| f32::from(count) + 1.0).sum();
    counts.iter().map(|&count| (f32::from(count) + 1.0) / total).collect()
}

fn score(counts: &[u8]) -> Vec<f32> {
    vec![(f32::from(counts[0]) - f32::from(counts[1])) / 37.0]
}

fn tree(shape: &Shape, class: Option<usize>) -> Tree {
    let mut nodes = Vec::new();
    place(shape, &mut nodes, &if class.is_some() { score } else { distribution });
    Tree { class, nodes }
}

fn model(shapes: &[Shape], combination: Combination) -> Model {
    let scores = combination != Combination::Mean;
    let trees = shapes.iter().enumerate().map(|(at, shape)| tree(shape, scores.then_some(at % CLASSES.len())));
    let model = Model {
        name: "random".to_owned(),
        classes: CLASSES.to_vec(),
        ranges: vec![Range { min: -0.0, max: 0.3, spread: Spread::default() }; FEATURE_COUNT],
        combination,
        base: if scores { vec![0.1, -0.2, 0.0, 3.0] } else { vec![0.0; 4] },
        trees: trees.collect(),
        calibration: Vec::new(),
    };
    assert_eq!(check(&model), Ok(()));
    model
}

/// A curve that never falls: through no point, one, or as many as there may be.
fn curve() -> impl Strategy<Value = Curve> {
    let rising = || prop::collection::btree_set(0_u16..=1000, 0..=MAX_KNOTS);
    (rising(), prop::collection::vec(0_u16..=1000, MAX_KNOTS)).prop_map(|(confidences, mut frequencies)| {
        frequencies.sort_unstable();
        let share = |thousandths: u16| f32::from(thousandths) / 1000.0;
        let points = confidences.into_iter().zip(frequencies);
        let knots: Vec<Knot> = points.map(|(at, of)| Knot { confidence: share(at), frequency: share(of) }).collect();
        Curve::new(&knots).unwrap()
    })
}

fn curves() -> impl Strategy<Value = Vec<Curve>> {
    prop_oneof![Just(Vec::new()), prop::collection::vec(curve(), CLASSES.len())]
}

fn models(runner: &mut TestRunner) -> Vec<Model> {
    let mut shapes =
        |count: usize| (0..count).map(|_| shape(4).new_tree(runner).unwrap().current()).collect::<Vec<Shape>>();
    let mut models: Vec<Model> = (0..SINGLE).map(|_| model(&shapes(1), Combination::Mean)).collect();
    models.push(model(&[chain()], Combination::Mean));
    for combination in [Combination::Mean, Combination::Softmax, Combination::OneVsRest] {
        // Fewer than are walked at once, as many, and more.
        models.extend((0..OF_EACH_KIND).map(|at| model(&shapes([2, 8, 21][at % 3]), combination)));
    }
    for model in &mut models {
        model.calibration = curves().new_tree(runner).unwrap().current();
    }
    assert!(models.iter().any(|model| model.calibration.is_empty()));
    assert!(models.iter().any(|model| model.trees.len() == 1 && !model.calibration.is_empty()));
    models
}

/// Vectors of awkward numbers, of the models' own thresholds and their neighbours, and of what is not a number.
fn vectors(runner: &mut TestRunner, models: &[Model]) -> Vec<FeatureVector> {
    let thresholds: Vec<f32> =
        models.iter().flat_map(|model| &model.trees).flat_map(|tree| &tree.nodes).filter_map(threshold).collect();
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

/// The library that holds the models: each twice, in a module of its own, as the daemon includes it.
fn library(models: usize) -> String {
    let forest = concat!(env!("CARGO_MANIFEST_DIR"), "/src/forest.rs");
    let mut source = format!(
        "#![no_std]\n#![forbid(unsafe_code)]\n#![allow(dead_code)]\n\
         #[path = {forest:?}] pub mod forest;\n\
         pub type FeatureVector = [f32; {FEATURE_COUNT}];\n\
         #[derive(Clone, Copy)] pub struct Leaf {{ pub class: ThreatClass, pub confidence: f32 }}\n\
         #[derive(Clone, Copy)] pub enum ThreatClass {{ "
    );
    source.extend(ThreatClass::ALL.map(|class| format!("{class:?}, ")));
    source.push_str("}\n");
    for at in 0..models {
        source.push_str(&format!("pub mod i{at} {{ use super::*; include!(\"i{at}.rs\"); }}\n"));
        source.push_str(&format!("pub mod t{at} {{ use super::*; include!(\"t{at}.rs\"); }}\n"));
    }
    source
}

/// The program that asks them.
fn program(models: usize) -> String {
    let mut source = String::from(
        "fn say(leaf: models::Leaf) { println!(\"{} {:08x}\", leaf.class as u8, leaf.confidence.to_bits()); }\n\
         fn main() {\n\
             let bytes = std::fs::read(std::env::args().nth(1).unwrap()).unwrap();\n\
             let numbers: Vec<f32> = bytes.chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();\n\
             for x in numbers.chunks(std::mem::size_of::<models::FeatureVector>() / 4) {\n\
                 let x: &models::FeatureVector = x.try_into().unwrap();\n",
    );
    for at in 0..models {
        source.push_str(&format!("        say(models::i{at}::classify(x)); say(models::t{at}::classify(x));\n"));
    }
    source.push_str("    }\n}\n");
    source
}

const MANIFEST: &str =
    "[package]\nname = \"models\"\nedition = \"2024\"\n[dependencies]\nlibm = \"0.2\"\n[workspace]\n";

fn answers_of_the_compiled(directory: &Path, models: &[Model], vectors: &[FeatureVector]) -> String {
    let source = directory.join("src");
    fs::create_dir_all(&source).unwrap();
    for (at, model) in models.iter().enumerate() {
        for (name, form) in [("i", Form::Ifs), ("t", Form::Table)] {
            fs::write(source.join(format!("{name}{at}.rs")), emit::rust(model, form)).unwrap();
        }
    }
    fs::write(directory.join("Cargo.toml"), MANIFEST).unwrap();
    fs::write(source.join("lib.rs"), library(models.len())).unwrap();
    fs::write(source.join("main.rs"), program(models.len())).unwrap();
    let bytes: Vec<u8> = vectors.iter().flatten().flat_map(|value| value.to_le_bytes()).collect();
    fs::write(directory.join("vectors"), bytes).unwrap();
    // Offline: libm is there, since this crate was built with it.
    let arguments = ["build", "--offline", "--quiet", "--target-dir", "target"];
    let built = Command::new(env!("CARGO")).args(arguments).current_dir(directory).output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let ran = Command::new(directory.join("target/debug/models")).arg(directory.join("vectors")).output().unwrap();
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
            assert_eq!(answers.next(), Some(&*expected), "ifs, {model:?}");
            assert_eq!(answers.next(), Some(&*expected), "table, {model:?}");
        }
    }
    assert_eq!(answers.next(), None);
}

proptest! {
    #[test]
    fn a_model_comes_back_from_its_file_as_it_was(
        shapes in prop::collection::vec(shape(4), 1..4),
        combination in prop::sample::select(vec![Combination::Mean, Combination::Softmax, Combination::OneVsRest]),
        values in prop::collection::vec(prop::collection::vec((awkward(), 0.1..9.0_f64), 1..20), FEATURE_COUNT),
        curves in curves(),
    ) {
        let mut model = model(&shapes, combination);
        model.calibration = curves;
        model.ranges = values.into_iter().map(range).collect();
        let back = json::read(&json::write(&model).unwrap()).unwrap();
        // Debug tells -0 from 0, which == does not.
        prop_assert_eq!(format!("{back:?}"), format!("{model:?}"));
    }

    #[test]
    fn a_distribution_has_its_answer_at_the_top(
        shapes in prop::collection::vec(shape(4), 1..12),
        combination in prop::sample::select(vec![Combination::Mean, Combination::Softmax, Combination::OneVsRest]),
        vector in prop::collection::vec(awkward(), FEATURE_COUNT),
    ) {
        let model = model(&shapes, combination);
        let vector: FeatureVector = vector.try_into().unwrap();
        let shares = model.distribution(&vector);
        let answer = model.classify(&vector);
        let place = CLASSES.iter().position(|class| *class == answer.class).unwrap();
        prop_assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-5);
        prop_assert!(shares.iter().all(|share| *share <= shares[place]));
        prop_assert_eq!(answer.confidence.to_bits(), (shares[place] as f32).to_bits());
        prop_assert_eq!(&model.tables().forest().distribution(&vector)[..4], &shares[..]);
    }

    #[test]
    fn a_curve_never_falls_keeps_its_knots_and_leaves_the_class_alone(
        curves in prop::collection::vec(curve(), CLASSES.len()),
        shapes in prop::collection::vec(shape(4), 1..4),
        vector in prop::collection::vec(awkward(), FEATURE_COUNT),
        mut confidences in prop::collection::vec(0.0_f32..=1.0, 40),
    ) {
        confidences.sort_unstable_by(f32::total_cmp);
        for curve in &curves {
            for knot in curve.knots() {
                prop_assert_eq!(curve.at(knot.confidence), knot.frequency);
            }
            let said: Vec<f32> = confidences.iter().map(|confidence| curve.at(*confidence)).collect();
            prop_assert!(said.is_sorted(), "{:?}", said);
            prop_assert!(!curve.knots().is_empty() || said == confidences, "no knots change nothing");
        }
        let (plain, vector) = (model(&shapes, Combination::Mean), vector.try_into().unwrap());
        let calibrated = Model { calibration: curves.clone(), ..plain.clone() };
        let (before, after) = (plain.classify(&vector), calibrated.classify(&vector));
        let place = CLASSES.iter().position(|class| *class == before.class).unwrap();
        prop_assert_eq!(after.class, before.class);
        prop_assert_eq!(after.confidence, curves[place].at(before.confidence));
    }
}
