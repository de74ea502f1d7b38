//! The loader refuses every kind of malformed model, and says what is wrong with it.
#![allow(clippy::unwrap_used, clippy::panic)]

use model_compiler::json::{self, ModelError};
use model_compiler::model::MAX_DEPTH;
use serde_json::{Value, json};
use traffic::features::FEATURES;
use traffic::features::schema::schema_hash_text;

/// One comparison and two leaves.
fn small() -> Value {
    let ranges: Vec<Value> =
        FEATURES.iter().map(|feature| json!({"feature": feature.name, "min": 0.0, "max": 1.0})).collect();
    json!({
        "format": 1, "name": "small", "schema": schema_hash_text(), "classes": ["benign", "scan"], "ranges": ranges,
        "nodes": [split(1, 2), leaf(&[0.75, 0.25]), leaf(&[0.5, 0.5])],
    })
}

fn split(left: usize, right: usize) -> Value {
    json!({"split": {"feature": "fwd_packets", "threshold": 2.5, "left": left, "right": right}})
}

fn leaf(probabilities: &[f32]) -> Value {
    json!({"leaf": {"rows": 3, "probabilities": probabilities}})
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
    assert_eq!((model.name.as_str(), model.tree.leaves(), model.tree.depth()), ("small", 2, 1));
}

#[test]
fn the_models_of_the_repository_compile() {
    let models = concat!(env!("CARGO_MANIFEST_DIR"), "/../models");
    let name = std::fs::read_to_string(format!("{models}/active")).unwrap();
    let text = std::fs::read_to_string(format!("{models}/{}/model.json", name.trim())).unwrap();
    let model = json::read(&text).unwrap();
    assert_eq!(model.name, name.trim());
    assert_eq!(json::write(&model).unwrap(), text, "the file is as model-compiler writes it");
}

#[test]
fn what_is_no_model_file_is_refused() {
    assert!(matches!(json::read("{"), Err(ModelError::Form(_))));
    assert!(refusal(|model| model["surprise"] = json!(1)).contains("unknown field `surprise`"));
    assert!(refusal(|model| model["nodes"][1] = json!({"twig": 1})).contains("unknown variant `twig`"));
}

#[test]
fn another_format_and_another_name_are_refused() {
    assert!(refusal(|model| model["format"] = json!(2)).contains("format 2, and this program reads format 1"));
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
    let shorter = refusal(|model| drop(model["ranges"].as_array_mut().unwrap().pop()));
    assert!(shorter.contains(FEATURES[FEATURES.len() - 1].name), "{shorter}");
}

#[test]
fn comparisons_of_nothing_or_with_nothing_are_refused() {
    assert!(refusal(|model| model["nodes"][0]["split"]["feature"] = json!("ttl")).contains("node 0 compares \"ttl\""));
    assert!(refusal(|model| model["nodes"][0]["split"]["threshold"] = json!(1e300)).contains("finite"));
    assert!(refusal(|model| model["nodes"][0]["split"]["threshold"] = json!(null)).contains("null is not a number"));
}

#[test]
fn nodes_that_are_no_tree_are_refused() {
    assert!(refusal(|model| model["nodes"] = json!([])).contains("no nodes"));
    assert!(refusal(|model| model["nodes"][0] = split(1, 7)).contains("child 7, and there are only 3"));
    assert!(refusal(|model| model["nodes"][0] = split(1, 1)).contains("node 1 is reached in two ways"));
    assert!(refusal(|model| model["nodes"][2] = split(0, 1)).contains("is reached in two ways"));
    assert!(refusal(|model| model["nodes"][0] = leaf(&[1.0, 0.0])).contains("node 1 is not reached"));
    let lonely_cycle = |model: &mut Value| model["nodes"] = json!([leaf(&[1.0, 0.0]), split(2, 3), split(1, 3)]);
    assert!(refusal(lonely_cycle).contains("not reached"));
    let chain = |model: &mut Value| {
        let mut nodes = Vec::new();
        for level in 0..=MAX_DEPTH {
            nodes.push(split(2 * level + 1, 2 * level + 2));
            nodes.push(leaf(&[1.0, 0.0]));
        }
        nodes.push(leaf(&[1.0, 0.0]));
        model["nodes"] = json!(nodes);
    };
    assert!(refusal(chain).contains("deeper than"));
}

#[test]
fn leaves_that_are_no_distribution_are_refused() {
    assert!(refusal(|model| model["nodes"][1] = leaf(&[1.0])).contains("1 probabilities, and the model has 2 classes"));
    for wrong in [[0.5, 0.6], [1.5, -0.5], [0.0, 0.0]] {
        assert!(refusal(|model| model["nodes"][1] = leaf(&wrong)).contains("leaf 1"), "{wrong:?}");
    }
    assert!(
        refusal(|model| model["nodes"][1]["leaf"]["probabilities"] = json!([1e39, 0.0])).contains("finite"),
        "beyond f32"
    );
}
