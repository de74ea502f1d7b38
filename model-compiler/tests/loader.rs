//! The loader refuses every kind of malformed model, and says what is wrong with it.
#![allow(clippy::unwrap_used, clippy::panic)]

use model_compiler::form::Measured;
use model_compiler::json::{self, ModelError};
use model_compiler::model::MAX_DEPTH;
use serde_json::{Value, json};
use traffic::features::FEATURES;
use traffic::features::schema::schema_hash_text;

/// One comparison and two leaves.
fn small() -> Value {
    let range = |name: &str| {
        json!({"feature": name, "min": 0.0, "max": 1.0, "edges": [0, 0, 0, 0, 0, 0, 0, 0, 0.5],
               "shares": [0.8, 0, 0, 0, 0, 0, 0, 0, 0.1, 0.1]})
    };
    let ranges: Vec<Value> = FEATURES.iter().map(|feature| range(feature.name)).collect();
    json!({
        "format": 3, "name": "small", "schema": schema_hash_text(), "classes": ["benign", "scan"], "ranges": ranges,
        "combination": "mean", "base": [0.0, 0.0], "calibration": [],
        "trees": [{"adds_to": null, "nodes": [split(1, 2), leaf(&[0.75, 0.25]), leaf(&[0.5, 0.5])]}],
    })
}

fn split(left: usize, right: usize) -> Value {
    json!({"split": {"feature": "fwd_packets", "threshold": 2.5, "left": left, "right": right}})
}

fn leaf(values: &[f32]) -> Value {
    json!({"leaf": {"rows": 3, "values": values}})
}

fn nodes(model: &mut Value) -> &mut Value {
    &mut model["trees"][0]["nodes"]
}

/// The same with scores: a tree for each class.
fn scores(model: &mut Value) {
    let tree = |class: &str| json!({"adds_to": class, "nodes": [split(1, 2), leaf(&[-1.5]), leaf(&[2.0])]});
    model["combination"] = json!("softmax");
    model["base"] = json!([0.5, -0.5]);
    model["trees"] = json!([tree("benign"), tree("scan")]);
}

/// The message with which the model is refused after `change`.
fn refusal(change: impl FnOnce(&mut Value)) -> String {
    let mut value = small();
    change(&mut value);
    match json::read(&value.to_string()) {
        Err(error) => error.to_string(),
        Ok(model) => panic!("accepted: {model:?}"),
    }
}

#[test]
fn a_small_model_is_read() {
    let model = json::read(&small().to_string()).unwrap();
    assert_eq!((model.name.as_str(), model.leaves(), model.depth()), ("small", 2, 1));
}

#[test]
fn the_models_of_the_repository_compile() {
    let models = concat!(env!("CARGO_MANIFEST_DIR"), "/../models");
    let name = std::fs::read_to_string(format!("{models}/active")).unwrap();
    let text = std::fs::read_to_string(format!("{models}/{}/model.json", name.trim())).unwrap();
    let model = json::read(&text).unwrap();
    assert_eq!(model.name, name.trim());
    assert_eq!(json::write(&model).unwrap(), text, "the file is as model-compiler writes it");
    let measured = std::fs::read_to_string(format!("{models}/{}/form.json", name.trim())).unwrap();
    assert!(Measured::read(&measured).unwrap().rows > 10_000);
}

#[test]
fn what_is_no_model_file_is_refused() {
    assert!(matches!(json::read("{"), Err(ModelError::Form(_))));
    assert!(refusal(|model| model["surprise"] = json!(1)).contains("unknown field `surprise`"));
    assert!(refusal(|model| nodes(model)[1] = json!({"twig": 1})).contains("unknown variant `twig`"));
}

#[test]
fn another_format_and_another_name_are_refused() {
    assert!(refusal(|model| model["format"] = json!(2)).contains("format 2, and this program reads format 3"));
    for name in ["", "../first", "First", "a b"] {
        assert!(refusal(|model| model["name"] = json!(name)).contains("small letters"), "{name}");
    }
}

#[test]
fn another_schema_is_refused_with_both_fingerprints_and_the_remedy() {
    let message = refusal(|model| model["schema"] = json!("0123456789abcdef"));
    for part in ["0123456789abcdef", &schema_hash_text(), "make model"] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn classes_that_are_unknown_repeated_or_missing_are_refused() {
    assert!(refusal(|model| model["classes"][1] = json!("virus")).contains("\"virus\""));
    assert!(refusal(|model| model["classes"][1] = json!("benign")).contains("names one twice"));
    assert!(refusal(|model| model["classes"] = json!([])).contains("empty"));
}

#[test]
fn ranges_that_do_not_fit_the_schema_are_refused() {
    assert!(refusal(|model| model["ranges"][3]["feature"] = json!("fwd_packets")).contains("\"fwd_packets\""));
    assert!(refusal(|model| model["ranges"][3]["feature"] = json!("ttl")).contains("\"ttl\""));
    assert!(refusal(|model| model["ranges"][3]["min"] = json!(2.0)).contains(FEATURES[3].name));
    assert!(refusal(|model| model["ranges"][3]["edges"][8] = json!(1.5)).contains(FEATURES[3].name));
    assert!(refusal(|model| model["ranges"][3]["edges"][0] = json!(0.6)).contains(FEATURES[3].name));
    assert!(refusal(|model| model["ranges"][3]["shares"][0] = json!(0.7)).contains(FEATURES[3].name));
    let shorter = refusal(|model| drop(model["ranges"].as_array_mut().unwrap().pop()));
    assert!(shorter.contains(FEATURES[FEATURES.len() - 1].name), "{shorter}");
}

#[test]
fn curves_of_other_classes_and_lines_that_are_no_curves_are_refused() {
    let benign = json!({"class": "benign", "knots": []});
    let with =
        |knots: Value| refusal(|model| model["calibration"] = json!([benign, {"class": "scan", "knots": knots}]));
    for knots in [
        json!([[0.5, 0.4], [0.5, 0.6]]),
        json!([[0.5, 0.4], [0.7, 0.3]]),
        json!([[0.5, 1.5]]),
        json!([[-0.5, 0.5]]),
        json!((0..17).map(|at| [f64::from(at) / 16.0, 0.5]).collect::<Vec<_>>()),
    ] {
        assert!(with(knots.clone()).contains("\"scan\" does not fit"), "{knots}");
    }
    let swapped = refusal(|model| model["calibration"] = json!([{"class": "scan", "knots": []}, benign]));
    assert!(swapped.contains("\"scan\" does not fit"), "{swapped}");
    let one = refusal(|model| model["calibration"] = json!([benign]));
    assert!(one.contains("one curve for each class"), "{one}");
    let mut model = small();
    model["calibration"] = json!([benign, {"class": "scan", "knots": [[0.5, 0.25], [0.75, 0.5]]}]);
    assert_eq!(json::read(&model.to_string()).unwrap().calibration[1].at(0.625), 0.375);
}

#[test]
fn comparisons_of_nothing_or_with_nothing_are_refused() {
    assert!(refusal(|model| nodes(model)[0]["split"]["feature"] = json!("ttl")).contains("node 0 compares \"ttl\""));
    assert!(refusal(|model| nodes(model)[0]["split"]["threshold"] = json!(1e300)).contains("finite"));
    assert!(refusal(|model| nodes(model)[0]["split"]["threshold"] = json!(null)).contains("null is not a number"));
}

#[test]
fn nodes_that_are_no_tree_are_refused() {
    assert!(refusal(|model| *nodes(model) = json!([])).contains("no nodes"));
    assert!(refusal(|model| nodes(model)[0] = split(1, 7)).contains("child 7, and there are only 3"));
    assert!(refusal(|model| nodes(model)[0] = split(1, 1)).contains("node 1 is reached in two ways"));
    assert!(refusal(|model| nodes(model)[2] = split(0, 1)).contains("is reached in two ways"));
    assert!(refusal(|model| nodes(model)[0] = leaf(&[1.0, 0.0])).contains("node 1 is not reached"));
    let lonely_cycle = |model: &mut Value| *nodes(model) = json!([leaf(&[1.0, 0.0]), split(2, 3), split(1, 3)]);
    assert!(refusal(lonely_cycle).contains("not reached"));
    let chain = |model: &mut Value| {
        let mut levels = Vec::new();
        for level in 0..=MAX_DEPTH {
            levels.push(split(2 * level + 1, 2 * level + 2));
            levels.push(leaf(&[1.0, 0.0]));
        }
        levels.push(leaf(&[1.0, 0.0]));
        *nodes(model) = json!(levels);
    };
    assert!(refusal(chain).contains("deeper than"));
}

#[test]
fn leaves_that_are_no_distribution_are_refused() {
    assert!(refusal(|model| nodes(model)[1] = leaf(&[1.0])).contains("1 values, and it must have 2"));
    for wrong in [[0.5, 0.6], [1.5, -0.5], [0.0, 0.0]] {
        assert!(refusal(|model| nodes(model)[1] = leaf(&wrong)).contains("leaf 1"), "{wrong:?}");
    }
    assert!(refusal(|model| nodes(model)[1]["leaf"]["values"] = json!([1e39, 0.0])).contains("finite"), "beyond f32");
}

#[test]
fn scores_and_distributions_are_not_mixed() {
    let mut value = small();
    scores(&mut value);
    assert_eq!(json::read(&value.to_string()).unwrap().trees.len(), 2);
    let refused_of_scores = |change: fn(&mut Value)| {
        refusal(|model| {
            scores(model);
            change(model);
        })
    };
    let one_of = "must add to one of the model's classes where scores are added";
    assert!(refused_of_scores(|model| model["combination"] = json!("mean")).contains("0 where the trees give"));
    assert!(refused_of_scores(|model| model["combination"] = json!("median")).contains("unknown variant `median`"));
    assert!(refused_of_scores(|model| model["trees"][1]["adds_to"] = json!(null)).contains(one_of));
    assert!(
        refused_of_scores(|model| model["trees"][1]["adds_to"] = json!("flood")).contains("tree 1 adds to \"flood\"")
    );
    assert!(refused_of_scores(|model| model["base"] = json!([0.5])).contains("one finite number for each class"));
    assert!(refused_of_scores(|model| model["trees"][1]["nodes"][2] = leaf(&[1.0, 2.0])).contains("must have 1"));
    assert!(refused_of_scores(|model| model["trees"][1]["nodes"][2] = leaf(&[f32::MAX, 2.0])).contains("must have 1"));
    assert!(refusal(|model| model["trees"][0]["adds_to"] = json!("scan")).contains(one_of));
    assert!(refusal(|model| model["trees"] = json!([])).contains("no trees"));
}
