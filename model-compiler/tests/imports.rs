//! An imported model answers as the library that trained it: on rows that meet the thresholds exactly and beside them.
//!
//! The libraries are asked themselves, in a virtual environment below the target folder. Where it cannot be made, because
//! there is no Python or no network, the test is skipped, unless CI=true.
#![cfg(feature = "train")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use model_compiler::import::{Said, import, ranges};
use model_compiler::json;
use model_compiler::model::{Model, Node};
use model_compiler::random::Random;
use model_compiler::rows::{Capture, Row, Rows};
use traffic::features::{FEATURE_COUNT, FEATURES, FeatureVector};

use crate::python;

/// How many rows the models are trained on, and how many each is asked about.
const LESSONS: usize = 2_000;
const QUESTIONS: usize = 10_000;

/// How far a probability may be from the library's.
const TOLERANCE: f64 = 1e-6;

/// A value as traffic has it: a count, a flag, a share, or something between a microsecond and a gigabyte.
fn value(feature: usize, numbers: &mut Random) -> f32 {
    match FEATURES[feature].unit {
        "flag" => numbers.below(2) as f32,
        "share" => numbers.share() as f32,
        "packets" | "count" => numbers.below(20) as f32,
        _ => 10.0_f32.powf(numbers.share() as f32 * 10.0 - 5.0),
    }
}

fn vector(numbers: &mut Random) -> FeatureVector {
    std::array::from_fn(|feature| value(feature, numbers))
}

/// A class that depends on some features, and now and then on none.
fn label(features: &FeatureVector, numbers: &mut Random) -> &'static str {
    if numbers.below(20) == 0 {
        return ["benign", "flood", "scan", "tunnel"][numbers.below(4) as usize];
    }
    match (features[0] + features[1] > 18.0, features[10] > 0.3, features[16] > 0.6 * features[24]) {
        (true, true, _) => "flood",
        (true, false, true) => "scan",
        (false, true, true) => "tunnel",
        _ => "benign",
    }
}

fn lessons() -> Rows {
    let numbers = &mut Random::new(1);
    let mut rows = Rows::default();
    rows.captures.push(Capture { name: "synthetic".to_owned(), source: "synthetic".to_owned() });
    for flow in 0..LESSONS as u64 {
        let features = vector(numbers);
        let label = rows.label(label(&features, numbers));
        rows.rows.push(Row { capture: 0, label, initiator: 0, flow, packets: 1, features });
    }
    rows
}

/// Rows as those of training, in which every third value is a threshold of the model or its neighbour.
fn questions(model: &Model, numbers: &mut Random) -> Vec<FeatureVector> {
    let mut thresholds = vec![Vec::new(); FEATURE_COUNT];
    for node in model.trees.iter().flat_map(|tree| &tree.nodes) {
        if let Node::Split { feature, threshold, .. } = node {
            thresholds[*feature].extend([*threshold, threshold.next_up(), threshold.next_down()]);
        }
    }
    let question = |_| {
        std::array::from_fn(|feature| match thresholds[feature].len() {
            count @ 1.. if numbers.below(3) == 0 => thresholds[feature][numbers.below(count as u64) as usize],
            _ => value(feature, numbers),
        })
    };
    (0..QUESTIONS).map(question).collect()
}

fn directory(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&directory).unwrap();
    directory
}

/// Asks the program of the libraries.
fn libraries(python: &Path, what: &str, directory: &Path) {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/imports.py");
    // One thread: on a busy machine several wait for one another much longer than they work.
    python::run(Command::new(python).arg(program).arg(what).arg(directory).env("OMP_NUM_THREADS", "1")).unwrap();
}

/// What is said about a model that names neither its classes nor, in ONNX, its features.
fn said(name: &str, directory: &Path) -> Said {
    let classes = match (name.starts_with("scikit_learn"), name.ends_with("_two") || name.ends_with("parallel")) {
        (true, _) => String::new(),
        (false, true) => "benign,scan".to_owned(),
        (false, false) => fs::read_to_string(directory.join("classes")).unwrap(),
    };
    let features =
        if name.starts_with("onnx") { FEATURES.iter().map(|feature| feature.name).collect() } else { vec![] };
    Said {
        name: name.to_owned(),
        classes: classes.split(',').filter(|class| !class.is_empty()).map(str::to_owned).collect(),
        features: features.into_iter().map(str::to_owned).collect(),
    }
}

/// The models of that folder, by name.
fn files(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<(String, Vec<u8>)> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "model"))
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap()))
        .collect();
    files.sort();
    files
}

/// How far apart model and library are.
#[derive(Debug, Default)]
struct Difference {
    probability: f64,
    /// Rows where the two decide for different classes, and how far the library's first two are apart there at most.
    classes: usize,
    margin: f64,
}

fn difference(model: &Model, questions: &[FeatureVector], answers: &[f64]) -> Difference {
    let classes = model.classes.len();
    let mut difference = Difference::default();
    assert_eq!(answers.len(), questions.len() * (classes + 1), "{}", model.name);
    for (question, answer) in questions.iter().zip(answers.chunks(classes + 1)) {
        let (theirs, chosen) = (&answer[..classes], answer[classes] as usize);
        // LightGBM leaves the probabilities of one against the rest as they are; here they add up to 1.
        let total: f64 = if model.name.ends_with("one_vs_rest") { theirs.iter().sum() } else { 1.0 };
        let ours = model.distribution(question);
        for (ours, theirs) in ours.iter().zip(theirs) {
            difference.probability = difference.probability.max((ours - theirs / total).abs());
        }
        let ours = model.classes.iter().position(|class| *class == model.classify(question).class).unwrap();
        if ours != chosen {
            difference.classes += 1;
            difference.margin = difference.margin.max(theirs[chosen] - theirs[ours]);
        }
    }
    difference
}

#[test]
fn imported_models_answer_as_their_libraries() {
    let Some(python) = python::with_libraries() else { return };
    let directory = directory("imports");
    for entry in fs::read_dir(&directory).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    let lessons = lessons();
    lessons.write(&directory.join("rows.csv")).unwrap();
    let names: Vec<&str> = FEATURES.iter().map(|feature| feature.name).collect();
    fs::write(directory.join("features"), names.join("\n")).unwrap();
    libraries(python, "train", &directory);

    let numbers = &mut Random::new(2);
    let ranges = ranges(&lessons).unwrap();
    let mut models = Vec::new();
    for (name, bytes) in files(&directory) {
        let model =
            import(&bytes, &said(&name, &directory), ranges.clone()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let questions = questions(&model, numbers);
        let bytes: Vec<u8> = questions.iter().flatten().flat_map(|value| value.to_le_bytes()).collect();
        fs::write(directory.join(format!("{name}.rows")), bytes).unwrap();
        models.push((model, questions));
    }
    assert!(models.len() > 20);
    libraries(python, "answer", &directory);

    let mut failures = Vec::new();
    for (model, questions) in &models {
        let bytes = fs::read(directory.join(format!("{}.answers", model.name))).unwrap();
        let answers: Vec<f64> = bytes.chunks(8).map(|number| f64::from_le_bytes(number.try_into().unwrap())).collect();
        let difference = difference(model, questions, &answers);
        println!("{}: {difference:?}, {} trees, {} leaves", model.name, model.trees.len(), model.leaves());
        // XGBoost and ONNX Runtime add up in f32: where two classes are alike but for the last bit, either may come first.
        let sums_in_f32 = model.name.starts_with("xgboost") || model.name.starts_with("onnx");
        let same_class = difference.classes == 0 || (sums_in_f32 && difference.margin <= TOLERANCE);
        if difference.probability > TOLERANCE || !same_class {
            failures.push(&model.name);
        }
        assert_eq!(json::read(&json::write(model).unwrap()).unwrap(), *model);
    }
    assert!(failures.is_empty(), "{failures:?}");
}
