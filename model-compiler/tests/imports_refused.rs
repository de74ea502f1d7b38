//! What an importer cannot take over exactly it refuses, and says what; and whatever stands in a file, it never panics.
//!
//! The small files here have the fields that the libraries write; that these are read rightly is for `imports.rs` to show.
#![cfg(feature = "train")]
#![allow(clippy::unwrap_used, clippy::panic)]

use model_compiler::import::{Said, import};
use model_compiler::model::{Model, Node, Range};
use model_compiler::spread::Spread;
use proptest::prelude::*;
use serde_json::{Value, json};
use traffic::features::{FEATURE_COUNT, ThreatClass};

fn said(classes: &str, features: &str) -> Said {
    let words = |text: &str| text.split(',').filter(|word| !word.is_empty()).map(str::to_owned).collect();
    Said { name: "small".to_owned(), classes: words(classes), features: words(features) }
}

fn imported(bytes: &[u8], said: &Said) -> Result<Model, String> {
    let ranges = vec![Range { min: 0.0, max: 1.0, spread: Spread::default() }; FEATURE_COUNT];
    import(bytes, said, ranges).map_err(|error| error.to_string())
}

fn refusal(bytes: &[u8], said: &Said) -> String {
    match imported(bytes, said) {
        Err(refusal) => refusal,
        Ok(model) => panic!("accepted: {model:?}"),
    }
}

/// A tree of one comparison, and another of one leaf.
fn scikit_learn() -> Value {
    json!({
        "scikit-learn": "RandomForestClassifier", "classes_": ["benign", "scan"], "n_features_in_": 2,
        "feature_names_in_": ["fwd_packets", "duration_s"], "init_": null, "loss": null, "learning_rate": null,
        "trees": [
            {"children_left": [1, -1, -1], "children_right": [2, -1, -1], "feature": [1, -2, -2],
             "threshold": [0.1, -2.0, -2.0], "n_node_samples": [9, 4, 5], "value": [[[0.5, 0.5]], [[3.0, 1.0]], [[0.0, 1.0]]]},
            {"children_left": [-1], "children_right": [-1], "feature": [-2], "threshold": [-2.0],
             "n_node_samples": [9], "value": [[[0.5, 0.5]]]},
        ],
    })
}

/// The same, boosted.
fn boosting() -> Value {
    let mut model = scikit_learn();
    model["scikit-learn"] = json!("GradientBoostingClassifier");
    model["loss"] = json!("log_loss");
    model["init_"] = json!({"strategy": "prior", "class_prior_": [0.4, 0.6]});
    model["learning_rate"] = json!(0.5);
    model["trees"][0]["value"] = json!([[[0.0]], [[-2.0]], [[2.0]]]);
    model["trees"][1]["value"] = json!([[[1.0]]]);
    model
}

/// The same by histograms.
fn histogram_boosting() -> Value {
    json!({
        "scikit-learn": "HistGradientBoostingClassifier", "classes_": ["benign", "scan"], "n_features_in_": 2,
        "feature_names_in_": ["fwd_packets", "duration_s"], "_baseline_prediction": [[0.25]],
        "trees": [{"left": [1, 0, 0], "right": [2, 0, 0], "feature_idx": [1, 0, 0], "num_threshold": [0.1, 0.0, 0.0],
                   "count": [9, 4, 5], "value": [0.0, -1.0, 1.0], "is_leaf": [0, 1, 1], "is_categorical": [0, 0, 0]}],
    })
}

/// The programs that write what is read of scikit-learn.
const EXPORTERS: [&str; 2] =
    [include_str!("../src/import/export_scikit_learn.py"), include_str!("../src/import/export_histogram_boosting.py")];

const LIGHTGBM: &str = "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\nmax_feature_idx=1\n\
    objective=binary sigmoid:1\nfeature_names=fwd_packets duration_s\nfeature_infos=[0:1] [0:1]\ntree_sizes=1 1\n\n\
    Tree=0\nnum_leaves=2\nnum_cat=0\nsplit_feature=1\nsplit_gain=3\nthreshold=0.10000000000000001\ndecision_type=2\n\
    left_child=-1\nright_child=-2\nleaf_value=-1 2\nleaf_weight=1 1\nleaf_count=4 5\ninternal_value=0\n\
    internal_weight=0\ninternal_count=9\nis_linear=0\nshrinkage=1\n\n\n\
    Tree=1\nnum_leaves=1\nnum_cat=0\nsplit_feature=\nleaf_value=0.5\nis_linear=0\nshrinkage=1\n\n\nend of trees\n\n\
    feature_importances:\nduration_s=1\n";

fn xgboost() -> Value {
    let parameters = json!({"num_deleted": "0", "num_feature": "2", "num_nodes": "3", "size_leaf_vector": "1"});
    json!({"version": [3, 2, 0], "learner": {
        "attributes": {}, "feature_names": ["fwd_packets", "duration_s"], "feature_types": ["float", "float"],
        "learner_model_param": {"base_score": "[5E-1]", "num_class": "0", "num_feature": "2", "num_target": "1"},
        "objective": {"name": "binary:logistic", "reg_loss_param": {"scale_pos_weight": "1"}},
        "gradient_booster": {"name": "gbtree", "model": {
            "gbtree_model_param": {"num_parallel_tree": "1", "num_trees": "1"}, "tree_info": [0],
            "trees": [{"tree_param": parameters, "id": 0, "left_children": [1, -1, -1], "right_children": [2, -1, -1],
                "parents": [2147483647, 0, 0], "split_indices": [1, 0, 0], "split_conditions": [1E-1, -1.0, 2.0],
                "split_type": [0, 0, 0], "default_left": [0, 0, 0], "categories_nodes": []}],
        }},
    }})
}

/// A field of a protocol buffer that holds bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let length = [(bytes.len() % 128) as u8 | 0x80, (bytes.len() / 128) as u8];
    [&[number << 3 | 2], &length[..], bytes].concat()
}

/// An attribute of an operator, out of its name and one field for each element.
fn attribute(name: &str, elements: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    field(5, &[field(1, name.as_bytes()), elements.into_iter().flatten().collect()].concat())
}

fn integers(name: &str, list: &[u8]) -> Vec<u8> {
    attribute(name, list.iter().map(|number| vec![8 << 3, *number]))
}

fn floats(name: &str, list: &[f32]) -> Vec<u8> {
    attribute(name, list.iter().map(|number| [&[7 << 3 | 5], &number.to_le_bytes()[..]].concat()))
}

fn texts(name: &str, list: &[&str]) -> Vec<u8> {
    attribute(name, list.iter().map(|text| field(9, text.as_bytes())))
}

/// An operator from `x` to `y`.
fn operator(kind: &str, attributes: &[Vec<u8>]) -> Vec<u8> {
    field(1, &[field(1, b"x"), field(2, b"y"), field(4, kind.as_bytes()), attributes.concat()].concat())
}

fn onnx(operators: &[Vec<u8>]) -> Vec<u8> {
    [vec![8, 8], field(7, &operators.concat())].concat()
}

/// The tree of one comparison, of that mode, whose votes become probabilities in that way.
fn ensemble(mode: &str, transform: &str) -> Vec<u8> {
    operator(
        "TreeEnsembleClassifier",
        &[
            integers("nodes_treeids", &[0, 0, 0]),
            integers("nodes_nodeids", &[0, 1, 2]),
            integers("nodes_featureids", &[1, 0, 0]),
            texts("nodes_modes", &[mode, "LEAF", "LEAF"]),
            floats("nodes_values", &[0.1, 0.0, 0.0]),
            integers("nodes_truenodeids", &[1, 0, 0]),
            integers("nodes_falsenodeids", &[2, 0, 0]),
            integers("class_treeids", &[0, 0]),
            integers("class_nodeids", &[1, 2]),
            integers("class_ids", &[0, 0]),
            floats("class_weights", &[-1.0, 2.0]),
            texts("classlabels_strings", &["benign", "scan"]),
            attribute("post_transform", [field(4, transform.as_bytes())]),
        ],
    )
}

/// Each form of file with what has to be said beside it.
fn samples() -> Vec<(Vec<u8>, Said)> {
    vec![
        (scikit_learn().to_string().into_bytes(), said("", "")),
        (boosting().to_string().into_bytes(), said("", "")),
        (histogram_boosting().to_string().into_bytes(), said("", "")),
        (LIGHTGBM.as_bytes().to_vec(), said("benign,scan", "")),
        (xgboost().to_string().into_bytes(), said("benign,scan", "")),
        (onnx(&[ensemble("BRANCH_LEQ", "LOGISTIC")]), said("", "fwd_packets,duration_s")),
    ]
}

#[test]
fn the_small_files_are_read() {
    let below = 0.1_f32.next_down();
    let thresholds = [below, below, below, below, below, 0.1];
    for ((bytes, said), expected) in samples().iter().zip(thresholds) {
        let model = imported(bytes, said).unwrap();
        let Node::Split { feature, threshold, .. } = model.trees[0].nodes[0] else { panic!("{model:?}") };
        // As f64, 0.1 is less than the f32 nearest to it.
        assert_eq!((feature, threshold), (10, expected), "{model:?}");
        let answer = |duration: f32| {
            let mut features = [0.0; FEATURE_COUNT];
            features[feature] = duration;
            model.classify(&features).class
        };
        assert_eq!((answer(0.0), answer(1.0)), (ThreatClass::Benign, ThreatClass::Scan), "{model:?}");
    }
}

#[test]
fn what_another_library_wrote_in_another_form_is_refused_with_the_remedy() {
    let remedies: [(&[u8], &str); 7] = [
        (b"{L\0\0\0\0\0\0\0\x07learner{L", "save_model(\"model.json\")"),
        (b"binf\0\0", "save it as JSON"),
        (b"[{\"nodeid\": 0}]", "save_model(\"model.json\")"),
        (b"{\"name\": \"tree\", \"tree_info\": []}", "save_model(\"model.txt\")"),
        (b"\x80\x05\x95", "exporter"),
        (b"{\"something\": 1}", "import --help"),
        (b"", "import --help"),
    ];
    for (bytes, remedy) in remedies {
        let refusal = refusal(bytes, &said("", ""));
        assert!(refusal.contains(remedy), "{refusal}");
    }
}

#[test]
fn features_and_classes_are_matched_by_name() {
    for (bytes, mut said) in samples() {
        said.features = vec!["fwd_packets".to_owned(), "colour".to_owned()];
        assert!(refusal(&bytes, &said).contains("\"colour\""));
        said.features = vec!["fwd_packets".to_owned(), "fwd_packets".to_owned()];
        assert!(refusal(&bytes, &said).contains("twice"));
        said.features = vec!["fwd_packets".to_owned()];
        let short = refusal(&bytes, &said);
        assert!(short.contains("2 features, and 1 names") || short.contains("compares feature 1"), "{short}");
        said.features = vec!["fwd_packets".to_owned(), "duration_s".to_owned()];
        said.classes = vec!["benign".to_owned(), "worm".to_owned()];
        assert!(refusal(&bytes, &said).contains("\"worm\""));
        said.classes = vec!["benign".to_owned()];
        assert!(refusal(&bytes, &said).contains("2 classes apart, and 1 were named"));
        said.classes = vec!["scan".to_owned(), "benign".to_owned()];
        assert_eq!(imported(&bytes, &said).unwrap().classes, [ThreatClass::Scan, ThreatClass::Benign]);
    }
    let mut numbered = scikit_learn();
    numbered["classes_"] = json!([0, 1]);
    assert!(refusal(numbered.to_string().as_bytes(), &said("", "")).contains("--classes"));
    let mut nameless = scikit_learn();
    nameless["feature_names_in_"] = Value::Null;
    assert!(refusal(nameless.to_string().as_bytes(), &said("", "")).contains("--features"));
    let graph = onnx(&[ensemble("BRANCH_LEQ", "LOGISTIC")]);
    assert!(refusal(&graph, &said("", "")).contains("--features"));
}

#[test]
fn what_scikit_learn_can_and_trees_here_cannot_is_refused_by_name() {
    let refused = |change: fn(&mut Value)| {
        let mut model = boosting();
        change(&mut model);
        refusal(model.to_string().as_bytes(), &said("", ""))
    };
    assert!(refused(|model| model["scikit-learn"] = json!("SVC")).contains("SVC"));
    assert!(refused(|model| model["loss"] = json!("exponential")).contains("exponential"));
    assert!(
        refused(|model| model["init_"] = json!({"C": 1.0, "coef_": [[1.0]]})).contains("another model says (init)")
    );
    assert!(refused(|model| model["init_"]["strategy"] = json!("uniform")).contains("another model says (init)"));
    assert!(refused(|model| model["init_"]["class_prior_"] = json!([1.0])).contains("begins with"));
    assert!(refused(|model| model["learning_rate"] = Value::Null).contains("learning_rate"));
    assert!(refused(|model| model["trees"][0]["value"][1] = json!([[1.0], [1.0]])).contains("several outputs"));
    assert!(refused(|model| model["trees"][0]["threshold"] = json!([])).contains("threshold"));
    assert!(refused(|model| model["trees"][0]["children_right"] = json!([1, -1, -1])).contains("two ways"));
    let mut categorical = histogram_boosting();
    categorical["trees"][0]["is_categorical"] = json!([1, 0, 0]);
    assert!(refusal(categorical.to_string().as_bytes(), &said("", "")).contains("categorical"));
}

#[test]
fn what_lightgbm_can_and_trees_here_cannot_is_refused_by_name() {
    let refused = |from: &str, to: &str| {
        assert!(LIGHTGBM.contains(from), "{from}");
        refusal(LIGHTGBM.replacen(from, to, 1).as_bytes(), &said("benign,scan", ""))
    };
    assert!(refused("num_cat=0", "num_cat=1").contains("categorical"));
    assert!(refused("decision_type=2", "decision_type=1").contains("categorical"));
    assert!(refused("decision_type=2", "decision_type=6").contains("zero_as_missing"));
    assert!(refused("is_linear=0", "is_linear=1").contains("linear"));
    assert!(refused("objective=binary sigmoid:1", "objective=regression").contains("regression"));
    assert!(refused("objective=binary sigmoid:1\n", "").contains("its own"));
    assert!(refused("end of trees", "").contains("cut off"));
    assert!(refused("threshold=0.1", "threshold=x0.1").contains("x0.1"));
    assert!(refused("left_child=-1", "left_child=0").contains("two ways"));
    assert!(refused("num_leaves=2", "num_leaves=3").contains("leaf_value"));
}

#[test]
fn what_xgboost_can_and_trees_here_cannot_is_refused_by_name() {
    let refused = |change: fn(&mut Value)| {
        let mut model = xgboost();
        change(&mut model["learner"]);
        refusal(model.to_string().as_bytes(), &said("benign,scan", ""))
    };
    let tree = "/gradient_booster/model/trees/0";
    assert!(refused(|learner| learner["gradient_booster"]["name"] = json!("dart")).contains("dart"));
    assert!(refused(|learner| learner["gradient_booster"] = json!({"name": "gblinear"})).contains("gblinear"));
    assert!(refused(|learner| learner["objective"]["name"] = json!("rank:ndcg")).contains("rank:ndcg"));
    assert!(refused(|learner| learner["learner_model_param"]["base_score"] = json!("[1]")).contains("base_score"));
    assert!(refused(|learner| learner["learner_model_param"]["num_feature"] = json!("3")).contains("3 features"));
    let refused_tree = |name: &str, value: Value| {
        let mut model = xgboost();
        model["learner"].pointer_mut(tree).unwrap()[name] = value;
        refusal(model.to_string().as_bytes(), &said("benign,scan", ""))
    };
    assert!(refused_tree("split_type", json!([1, 0, 0])).contains("categorical"));
    assert!(refused_tree("tree_param", json!({"size_leaf_vector": "2"})).contains("multi_strategy"));
    assert!(refused_tree("left_children", json!([-1, -1, -1])).contains("not reached"));
}

#[test]
fn other_graphs_of_onnx_are_refused_by_their_operator() {
    let names = said("", "fwd_packets,duration_s");
    let trees = || ensemble("BRANCH_LEQ", "LOGISTIC");
    assert!(refusal(&onnx(&[operator("Scaler", &[]), trees()]), &names).contains("Scaler"));
    assert!(refusal(&onnx(&[operator("Gemm", &[])]), &names).contains("Gemm"));
    assert!(refusal(&onnx(&[]), &names).contains("TreeEnsembleClassifier"));
    assert!(refusal(&onnx(&[trees(), trees()]), &names).contains("exactly one"));
    assert!(refusal(&onnx(&[ensemble("BRANCH_EQ", "LOGISTIC")]), &names).contains("BRANCH_EQ"));
    assert!(refusal(&onnx(&[ensemble("BRANCH_LEQ", "PROBIT")]), &names).contains("PROBIT"));
    assert!(refusal(&onnx(&[ensemble("BRANCH_LEQ", "NONE")]), &names).contains("NONE"));
    let before = |kind, to: u8| {
        let to = attribute("to", [vec![3 << 3, to]]);
        field(1, &[field(1, b"z"), field(2, b"x"), field(4, kind), to].concat())
    };
    assert!(imported(&onnx(&[before(b"Cast", 1), trees()]), &names).is_ok());
    assert!(refusal(&onnx(&[before(b"Cast", 7), trees()]), &names).contains("before the trees"));
}

#[test]
fn the_guide_shows_the_exporters_as_they_are() {
    let guide = include_str!("../../models/README.md");
    let shown: Vec<&str> = guide.lines().filter_map(|line| line.strip_prefix("    ")).collect();
    for exporter in EXPORTERS {
        let lines: Vec<&str> = exporter.lines().filter(|line| !line.is_empty()).collect();
        assert!(shown.windows(lines.len()).any(|window| window == lines), "{exporter}");
    }
}

#[test]
fn the_exporters_are_short_enough_to_be_read() {
    for exporter in EXPORTERS {
        let code = exporter.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        assert!(code.clone().count() <= 10 && code.clone().all(|line| line.len() <= 110), "{exporter}");
    }
}

/// What an element of JSON may be changed to.
fn odd() -> impl Strategy<Value = Value> {
    let integers = prop::sample::select(vec![i64::MIN, -2, -1, 0, 1, 2, 7, 255, i64::from(u32::MAX), i64::MAX]);
    let texts = prop::sample::select(vec!["", "benign", "999999999999", "-1", "1e400", "nan"]);
    prop_oneof![
        4 => integers.prop_map(Value::from),
        2 => prop::sample::select(vec![1e39, -1e39, f64::MAX, 1e-320]).prop_map(Value::from),
        1 => texts.prop_map(Value::from),
        1 => prop::sample::select(vec![Value::Null, json!([]), json!({})]),
    ]
}

/// Changes the element that comes `at`th in a walk through the value.
fn change(value: &mut Value, at: &mut usize, to: &Value) {
    if *at == 0 {
        value.clone_from(to);
    }
    *at = at.wrapping_sub(1);
    match value {
        Value::Array(list) => list.iter_mut().for_each(|element| change(element, at, to)),
        Value::Object(map) => map.values_mut().for_each(|element| change(element, at, to)),
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn bytes_changed_at_random_never_panic(
        sample in any::<prop::sample::Index>(),
        length in prop::option::of(any::<prop::sample::Index>()),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
    ) {
        let samples = samples();
        let (mut bytes, said) = samples[sample.index(samples.len())].clone();
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        bytes.truncate(length.map_or(bytes.len(), |length| length.index(bytes.len())));
        let _ = imported(&bytes, &said);
    }

    #[test]
    fn elements_changed_at_random_never_panic(
        sample in any::<prop::sample::Index>(),
        changes in prop::collection::vec((0_usize..90, odd()), 1..4),
    ) {
        let samples = [
            (scikit_learn(), said("", "")),
            (boosting(), said("", "")),
            (histogram_boosting(), said("", "")),
            (xgboost(), said("benign,scan", "")),
        ];
        let (mut value, said) = samples[sample.index(samples.len())].clone();
        for (at, to) in changes {
            change(&mut value, &mut at.clone(), &to);
        }
        let _ = imported(value.to_string().as_bytes(), &said);
    }

    #[test]
    fn numbers_changed_at_random_in_the_text_never_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), "(-?[0-9]{1,20}|-1|nan|inf|1e999|)"), 1..4),
    ) {
        let mut words: Vec<String> = LIGHTGBM.split_inclusive([' ', '=', '\n']).map(str::to_owned).collect();
        for (place, number) in changes {
            let word = &mut words[place.index(LIGHTGBM.split_inclusive([' ', '=', '\n']).count())];
            let end = word.chars().last().unwrap();
            *word = format!("{number}{end}");
        }
        let _ = imported(words.concat().as_bytes(), &said("benign,scan", ""));
    }
}
