//! From rows to a model and its measurement: the same rows give the same bytes, and what the recipe says happens.
#![cfg(feature = "train")]
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use model_compiler::card::card;
use model_compiler::decisions::provenance::{Judges, Provenance};
use model_compiler::decisions::{Decided, Decisions, Struck, Threshold};
use model_compiler::evaluate::{as_it_is, cross_validate};
use model_compiler::folds::{Grouping, Parts};
use model_compiler::forest::Combination;
use model_compiler::json;
use model_compiler::model::{Model, Node};
use model_compiler::progress::{Progress, Silent};
use model_compiler::random::Random;
use model_compiler::recipe::Recipe;
use model_compiler::rows::{Capture, Row, Rows};
use model_compiler::search::search;
use model_compiler::train::stump::{Target, train_stump};
use model_compiler::train::{TrainError, labelled, train, train_and_assess};
use traffic::features::schema::index_of;
use traffic::features::{FEATURE_COUNT, ThreatClass};

use crate::small::recipe_text;

/// The recipe of most tests.
fn text() -> String {
    recipe_text(
        &[("benign", r#"["benign"]"#, 0.8), ("scan", r#"["scan", "sweep"]"#, 0.1), ("flood", r#"["flood"]"#, 0.1)],
        "max_depth = 6\nmin_leaf_share = 0.001\nmin_gain = 1e-6\nsmoothing = 1",
    )
}

fn recipe(changes: &[(&str, &str)]) -> Recipe {
    let text = changes.iter().fold(text(), |text, (from, to)| text.replace(from, to));
    let path = scratch("recipe.toml");
    fs::write(&path, text).unwrap();
    let recipe = Recipe::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    recipe
}

fn scratch(name: &str) -> PathBuf {
    let unique = format!("{}-{:?}-{name}", std::process::id(), std::thread::current().id());
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(unique)
}

/// 24 captures of 4 sources, 60 rows each: scans try many ports, floods begin many flows, and noise is in every
/// feature.
fn rows() -> Rows {
    let [ports, flows] = ["src_ports_60s", "src_flows_2s"].map(|name| index_of(name).unwrap());
    let mut random = Random::new(1);
    let mut noise = |below| random.below(below) as f32;
    let mut rows = Rows::default();
    for number in 0..24 {
        let (name, source) = (format!("test/{number}.pcap"), format!("source {}", number % 4));
        rows.captures.push(Capture { name, source });
        let label = ["benign", "benign", "scan", "flood", "unknown", "sweep"][number / 4];
        for flow in 0..60 {
            let mut features = [0.0; FEATURE_COUNT];
            features.fill_with(|| noise(4));
            features[ports] = noise(6) + if matches!(label, "scan" | "sweep") { 20.0 } else { 0.0 };
            features[flows] = noise(6) + if label == "flood" { 90.0 } else { 0.0 };
            let label = rows.label(label);
            rows.rows.push(Row { capture: number, label, initiator: flow % 2, flow, packets: 1, features });
        }
    }
    rows
}

fn trained(rows: &Rows, recipe: &Recipe) -> Model {
    train(rows, &labelled(rows, recipe).unwrap(), recipe, &Silent).unwrap()
}

fn rows_in_leaves(model: &Model) -> u64 {
    let rows = |node: &Node| if let Node::Leaf { rows, .. } = node { *rows } else { 0 };
    model.trees[0].nodes.iter().map(rows).sum()
}

#[test]
fn the_same_rows_give_the_same_bytes() {
    let (rows, recipe) = (rows(), recipe(&[]));
    let path = scratch("rows.csv");
    rows.write(&path).unwrap();
    let read = Rows::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    // Each training hashes with other random seeds, and one takes the rows from a file.
    let texts: Vec<String> =
        [&rows, &rows, &read].map(|rows| json::write(&trained(rows, &recipe)).unwrap()).into_iter().collect();
    assert_eq!(texts[0], texts[1]);
    assert_eq!(texts[0], texts[2]);
}

#[test]
fn a_forest_is_the_same_each_time_and_its_trees_are_not_alike() {
    let rows = rows();
    let recipe = recipe(&[("[rows]", "[forest]\ntrees = 5\nfeature_share = 0.6\nseed = 3\n[rows]")]);
    let model = trained(&rows, &recipe);
    assert_eq!(model.trees.len(), 5);
    assert_eq!(json::write(&model).unwrap(), json::write(&trained(&rows, &recipe)).unwrap());
    assert!(model.trees[1..].iter().all(|tree| tree.nodes != model.trees[0].nodes));
    let other = self::recipe(&[("[rows]", "[forest]\ntrees = 5\nfeature_share = 0.6\nseed = 4\n[rows]")]);
    assert_ne!(trained(&rows, &other).trees, model.trees);
    let labelled = labelled(&rows, &recipe).unwrap();
    let right = labelled.iter().filter(|case| model.classify(&case.row.features).class.number() == case.class).count();
    assert!(right * 100 >= labelled.len() * 95, "{right} of {}", labelled.len());
    let shallow =
        [("max_depth = 6", "max_depth = 1"), ("[rows]", "[forest]\ntrees = 5\nfeature_share = 0.6\nseed = 3\n[rows]")];
    assert_eq!(trained(&rows, &self::recipe(&shallow)).trees.len(), 5, "however shallow they are");
}

const BOOSTING: &str = "[boosting]\nrounds = 8\nmax_depth = 4\nlearning_rate = 0.5\nmin_leaf_weight = 0.01\nl2 = 1\n\
                        row_share = 0.9\nseed = 1\n[rows]";

#[test]
fn boosted_trees_are_the_same_each_time_and_find_what_decides() {
    let (rows, recipe) = (rows(), recipe(&[("[rows]", BOOSTING)]));
    let model = trained(&rows, &recipe);
    assert_eq!((model.combination, model.trees.len()), (Combination::OneVsRest, 3 * 8));
    let text = json::write(&model).unwrap();
    assert_eq!(text, json::write(&trained(&rows, &recipe)).unwrap());
    assert_eq!(json::read(&text).unwrap(), model);
    let labelled = labelled(&rows, &recipe).unwrap();
    let right = labelled.iter().filter(|case| model.classify(&case.row.features).class.number() == case.class).count();
    assert!(right * 100 >= labelled.len() * 99, "{right} of {}", labelled.len());
}

#[test]
fn a_search_finds_the_depth_that_it_takes_and_says_what_shallower_trees_cost() {
    let rows = rows();
    let grid = "[search]\nfolds = 4\nfalse_alarm_cost = 10\nmax_depth = [0, 1, 4]\n[rows]";
    let recipe = recipe(&[("[rows]", grid)]);
    let labelled = labelled(&rows, &recipe).unwrap();
    let trials = search(&rows, &labelled, &recipe, recipe.search.as_ref().unwrap(), &Silent).unwrap();
    let depths: Vec<usize> = trials.iter().map(|trial| trial.setting.max_depth).collect();
    assert_eq!(depths, [4, 1, 0]);
    assert_eq!(trials[0].cost.mean, 0.0);
    // Whoever calls all harmless misses the attacks, a fifth of the weight.
    assert!((trials[2].cost.mean - 0.2).abs() < 1e-9, "{}", trials[2]);
    let entropy = -(0.8 * 0.8_f64.ln() + 2.0 * 0.1 * 0.1_f64.ln());
    assert!((trials[2].log_loss.mean - entropy).abs() < 1e-6, "{}", trials[2]);
    assert_eq!(trials[2].leaves, 1.0);
}

/// Counts the steps that were told of in the beginning, and those that were made.
#[derive(Default)]
struct Steps {
    told: AtomicU64,
    made: AtomicU64,
}

impl Progress for Steps {
    fn begin(&self, _: &str, steps: u64) {
        self.told.fetch_add(steps, Ordering::Relaxed);
    }

    fn step(&self) {
        self.made.fetch_add(1, Ordering::Relaxed);
    }

    fn say(&self, _: &str) {}
}

#[test]
fn progress_comes_to_its_end_and_no_further() {
    let grid = "[forest]\ntrees = 3\nfeature_share = 0.6\nseed = 3\n[search]\nfolds = 4\nfalse_alarm_cost = 10\nmax_depth = [1, 4]\n";
    let (rows, recipe) = (rows_with_a_busy_source(), recipe(&[("[rows]", &format!("{grid}{CALIBRATION}"))]));
    let labelled = labelled(&rows, &recipe).unwrap();
    let searched = Steps::default();
    search(&rows, &labelled, &recipe, recipe.search.as_ref().unwrap(), &searched).unwrap();
    let measured = Steps::default();
    cross_validate(&rows, &labelled, &recipe, Grouping::Capture, Parts::Count(4), &[], &measured).unwrap();
    let counts = [searched, measured].map(|steps| (steps.told.into_inner(), steps.made.into_inner()));
    // Three trees for each of 4 parts and 2 settings; for each of 4 parts, and 5 times more to calibrate.
    assert_eq!(counts, [(24, 24), (72, 72)]);
}

#[test]
fn what_a_search_found_best_is_written_into_the_recipe_where_it_is_asked_for() {
    let (folder, table) = (scratch("searched"), scratch("searched.csv"));
    fs::create_dir_all(&folder).unwrap();
    rows().write(&table).unwrap();
    let grid = "[search]\nfolds = 4\nfalse_alarm_cost = 10\nmax_depth = [1, 4]\n[rows]";
    let text = text().replace("[rows]", grid).replace("max_depth = 6", "max_depth = 6 # levels");
    fs::write(folder.join("recipe.toml"), &text).unwrap();
    let searched = |more: &[&str]| {
        let search = [&["search", folder.to_str().unwrap(), "--rows", table.to_str().unwrap()], more].concat();
        let output = Command::new(env!("CARGO_BIN_EXE_model-compiler")).args(search).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        fs::read_to_string(folder.join("recipe.toml")).unwrap()
    };
    assert_eq!(searched(&[]), text);
    assert_eq!(searched(&["--write"]), text.replace("max_depth = 6 # levels", "max_depth = 4 # levels"));
    fs::remove_dir_all(&folder).unwrap();
    fs::remove_file(&table).unwrap();
}

#[test]
fn a_recipe_says_one_way_to_make_many_trees_and_numbers_that_can_be() {
    let refusal = |changes: &[(&str, &str)]| {
        let text = changes.iter().fold(text(), |text, (from, to)| text.replace(from, to));
        let path = scratch("refused.toml");
        fs::write(&path, text).unwrap();
        let refusal = Recipe::read(&path).unwrap_err().to_string();
        fs::remove_file(&path).unwrap();
        refusal
    };
    let forest = ("[rows]", "[forest]\ntrees = 5\nfeature_share = 0.6\nseed = 3\n[rows]");
    assert!(refusal(&[("[rows]", BOOSTING), forest]).contains("both [forest] and [boosting]"));
    assert!(refusal(&[("[rows]", BOOSTING), ("rounds = 8", "rounds = 0")]).contains("[boosting]"));
    assert!(refusal(&[("[rows]", BOOSTING), ("l2 = 1", "l2 = nan")]).contains("[boosting]"));
    let grid = ("[rows]", "[search]\nfolds = 4\nfalse_alarm_cost = 10\ntrees = [2]\n[rows]");
    assert!(refusal(&[grid]).contains("[search]"), "there is no forest");
    assert!(refusal(&[("[rows]", CALIBRATION), ("folds = 5", "folds = 1")]).contains("[calibration]"));
}

#[test]
fn what_decides_is_found_and_one_comparison_finds_one_threat() {
    let (rows, recipe) = (rows(), recipe(&[]));
    let labelled = labelled(&rows, &recipe).unwrap();
    for grouping in [Grouping::Capture, Grouping::Source] {
        let measured = cross_validate(&rows, &labelled, &recipe, grouping, Parts::Count(4), &[], &Silent).unwrap();
        let recalls = |scores: &model_compiler::scores::Scores| -> Vec<Option<f64>> {
            scores.flows.classes.iter().map(|class| class.recall).collect()
        };
        assert_eq!(recalls(&measured.model), [Some(1.0); 4], "{}", measured.method);
        assert_eq!(measured.model.captures.len(), 20, "each capture is tested once");
        let [harmless, scan, flood, any] = recalls(&measured.stump)[..] else {
            unreachable!("three classes and any threat")
        };
        assert_eq!([scan, flood], [Some(1.0); 2], "one comparison tells a threat from all else");
        assert!(
            harmless == Some(1.0) && any < Some(0.7),
            "and two threats from harmless flows it cannot: {harmless:?} {any:?}"
        );
        let areas: Vec<f64> = measured.measures[1].1.iter().map(|of| of.roc_auc.unwrap().value).collect();
        assert!(areas[1..3] == [1.0, 1.0] && areas[0] < 0.9, "{areas:?}");
        assert!(measured.to_string().contains("stump flood"));
    }
    let model = train(&rows, &labelled, &recipe, &Silent).unwrap();
    let measured = as_it_is(&model, &rows, &labelled, &recipe).unwrap();
    assert_eq!(measured.model.flows.classes[0].recall, Some(1.0));
    let boosted = self::recipe(&[("[rows]", BOOSTING), ("smoothing = 1", "smoothing = 1\nask_first = [\"is_udp\"]")]);
    let stump = train_stump(&labelled, &boosted, Target::AnyThreat).unwrap();
    assert_eq!(stump, train_stump(&labelled, &recipe, Target::AnyThreat).unwrap(), "however trees are made");
    assert_eq!((stump.depth(), stump.trees.len()), (1, 1));
    let turned =
        self::recipe(&[("smoothing = 1", "smoothing = 1\nless_is_worse = [\"src_ports_60s\", \"src_flows_2s\"]")]);
    assert_eq!(stump, train_stump(&labelled, &turned, Target::AnyThreat).unwrap(), "in whichever direction");
}

#[test]
fn a_model_is_judged_by_the_names_of_its_classes_whatever_their_order() {
    let (rows, recipe) = (rows(), recipe(&[]));
    let labelled = labelled(&rows, &recipe).unwrap();
    let model = train(&rows, &labelled, &recipe, &Silent).unwrap();
    let mut turned = model.clone();
    turned.classes.reverse();
    for node in turned.trees.iter_mut().flat_map(|tree| &mut tree.nodes) {
        if let Node::Leaf { values, .. } = node {
            values.reverse();
        }
    }
    let told = |model: &Model| as_it_is(model, &rows, &labelled, &recipe).map(|of| format!("{of:?}"));
    assert_eq!(told(&turned).unwrap(), told(&model).unwrap());
    turned.classes[1] = ThreatClass::Tunnel;
    let refusal = told(&turned).unwrap_err().to_string();
    assert!(
        refusal.contains("the model test knows the class tunnel, which its recipe.toml does not have"),
        "{refusal}"
    );
}

#[test]
fn the_card_says_what_it_was_made_from_and_how_it_did() {
    let (rows, recipe) = (rows(), recipe(&[]));
    let labelled = labelled(&rows, &recipe).unwrap();
    let model = train(&rows, &labelled, &recipe, &Silent).unwrap();
    let measured = cross_validate(&rows, &labelled, &recipe, Grouping::Source, Parts::Count(4), &[], &Silent).unwrap();
    let passed = Decided {
        capture: "test/scan__a.pcap".to_owned(),
        source: "public".to_owned(),
        label: "sweep".to_owned(),
        profile: "balanced".to_owned(),
        traffic_s: 60.0,
        caught_s: None,
        caught_packets: None,
        evidence_flows: None,
        caught_by: None,
        wrongful: Vec::new(),
        neither: Vec::new(),
        flows: 40,
        accused_flows: 1,
    };
    let struck = |address: &str| Struck {
        address: address.to_owned(),
        action: "deny_new".to_owned(),
        class: "flood".to_owned(),
    };
    let passed = Decided { neither: vec![struck("192.0.2.1"), struck("192.0.2.2")], ..passed };
    let caught = Decided { caught_s: Some(1.0), accused_flows: 40, ..passed.clone() };
    let silent = Decided { accused_flows: 0, ..passed.clone() };
    let thresholds = [(4.0, &caught), (9.0, &passed)]
        .map(|(block_evidence, of)| Threshold { block_evidence, decided: vec![of.clone()] })
        .to_vec();
    let provenance =
        Provenance { recipe: String::from("0"), judges: Judges::AsItIs { model: String::from("abc") }, config: None };
    let decisions =
        Decisions { provenance, model: vec![passed], stump: vec![caught], majority: vec![silent], thresholds };
    let card = card(&model, &recipe, &rows, &labelled, &[measured], Some(&decisions), "make model").unwrap();
    assert!(
        card.contains(
            "## Decided: by the appliance, by the finished model, which may have learnt from these captures\n"
        )
    );
    assert!(card.contains("is neither; of these there are 2 in 1 captures in the profile balanced."));
    assert!(card.contains("in mode enforce with the default rules, by `model.json` as it is (SHA-256 `abc`)."));
    let beside = card.lines().find(|line| line.starts_with("| scan | 1 | 0.00 [")).unwrap();
    let figures: Vec<&str> =
        beside.split('|').filter_map(|cell| cell.split_once('[')).map(|(of, _)| of.trim()).collect();
    let expected = ["0.00", "100.00", "0.00", "0.00", "0.00", "0.00", "2.50", "100.00", "0.00"];
    assert_eq!(figures, expected, "by the model, the comparison and the majority: {beside}");
    assert!(card.contains("| 4 | 100.00 [") && card.contains("| 9 | 0.00 ["), "what thresholds would catch");
    assert!(card.contains("| scan | balanced | 1 | 0.00 ["), "a label counts for its class");
    assert!(card.contains("Attacks that passed in the profile balanced, by kind: `test/scan__a.pcap` (1)."));
    assert!(card.contains("Captures with a wrongful block in the profile balanced, by kind: none."));
    for part in [
        "# Model `test`",
        "Written by `make model`",
        "src_flows_2s, src_ports_60s",
        "| scan | scan, sweep | 0.1000 | 4 | 8 | 480 | 480 |",
        "no source on both sides",
        "| class | flows | by | ROC-AUC, % | PR-AUC, % | precision, % | recall, % | F1, % | false positives, % |",
        "| flood | 240 | model | 100.00 [100.00, 100.00] | 100.00 [100.00, 100.00] | 100.00 [100.00, 100.00] |",
        "| flood | 240 | majority class | 50.00 [50.00, 50.00] |",
        "of each pause at most 60 s count",
        "95 % intervals by drawing sources again (percentile bootstrap)",
        "must not be trusted with",
    ] {
        assert!(card.contains(part), "{part} is missing in\n{card}");
    }
}

/// The rows of [`rows`], and a source where harmless flows try as many ports as scans do.
fn rows_with_a_busy_source() -> Rows {
    let mut rows = rows();
    let ports = index_of("src_ports_60s").unwrap();
    for number in 24..30 {
        rows.captures.push(Capture { name: format!("test/{number}.pcap"), source: "busy".to_owned() });
        let label = rows.label("benign");
        for flow in 0..60 {
            let mut features = [0.0; FEATURE_COUNT];
            features[ports] = 20.0;
            rows.rows.push(Row { capture: number, label, initiator: 0, flow, packets: 1, features });
        }
    }
    rows
}

const CALIBRATION: &str = "[calibration]\nfolds = 5\nsmoothing = 1\n[rows]";

#[test]
fn calibration_leaves_trees_alone_and_takes_back_what_they_say_of_sources_that_they_have_not_seen() {
    let rows = rows_with_a_busy_source();
    let (plain, calibrated) = (recipe(&[]), recipe(&[("[rows]", CALIBRATION)]));
    let (before, after) = (trained(&rows, &plain), trained(&rows, &calibrated));
    assert_eq!(before.trees, after.trees);
    assert_eq!(json::write(&after).unwrap(), json::write(&trained(&rows, &calibrated)).unwrap());
    // A model that has not seen the busy source takes its flows for scans, as sure as it is of scans: half and half.
    let scan = rows.rows.iter().find(|row| rows.labels[row.label] == "sweep").unwrap();
    let confidences = [&before, &after].map(|model| {
        let answer = model.classify(&scan.features);
        assert_eq!(answer.class, ThreatClass::Scan);
        answer.confidence
    });
    assert!(confidences[1] < 0.7 && confidences[0] > 0.9, "{confidences:?}");
    let knots: Vec<usize> = after.calibration.iter().map(|curve| curve.knots().len()).collect();
    assert!(knots[0] == 0 && knots[1] > 0, "what raises no alarm has no curve: {knots:?}");
    let labelled = labelled(&rows, &calibrated).unwrap();
    let (_, folds) = train_and_assess(&rows, &labelled, &calibrated, &Silent).unwrap();
    let mut flows: Vec<usize> = folds.iter().map(|fold| fold.flows).collect();
    flows.sort_unstable();
    assert_eq!(flows, [300, 300, 300, 300, 360], "each flow is asked about once, with its source");
    // What the others teach is of no use to the busy source: only curves that had seen it would know better.
    let busy = folds.iter().find(|fold| fold.flows == 360).unwrap();
    assert!(busy.before.calibration_error > 0.9 && busy.after.calibration_error > 0.9, "{busy:?}");
}

#[test]
fn a_class_of_one_source_cannot_be_calibrated() {
    let mut rows = rows();
    for (capture, number) in rows.captures.iter_mut().zip(0..) {
        capture.source = format!("source {}", if number / 4 == 3 { 9 } else { number % 4 });
    }
    let recipe = recipe(&[("[rows]", CALIBRATION)]);
    let refusal = train(&rows, &labelled(&rows, &recipe).unwrap(), &recipe, &Silent).unwrap_err().to_string();
    assert!(refusal.contains("class flood") && refusal.contains("[calibration]"), "{refusal}");
}

#[test]
fn labels_become_classes_and_what_the_recipe_does_not_name_is_left_out() {
    let rows = rows();
    let all = labelled(&rows, &recipe(&[])).unwrap();
    assert_eq!(all.len(), 20 * 60, "the label `unknown` has no class");
    assert_eq!(all.iter().filter(|row| row.class == 1).count(), 8 * 60, "two labels make one class");
    let exclusion = ("[tree]", "[[exclude]]\ncaptures = \"test/3.pcap\"\nwhy = \"a test\"\n[tree]");
    assert_eq!(labelled(&rows, &recipe(&[exclusion])).unwrap().len(), 19 * 60);
}

#[test]
fn captures_are_thinned_out_to_what_the_recipe_allows() {
    let rows = rows();
    assert_eq!(rows_in_leaves(&trained(&rows, &recipe(&[]))), 20 * 40);
    let wide = recipe(&[("max_per_capture = 40", "max_per_capture = 1000")]);
    assert_eq!(rows_in_leaves(&trained(&rows, &wide)), 20 * 60);
}

#[test]
fn leaves_say_how_probable_classes_are_under_the_prior() {
    let (rows, depth) = (rows(), ("max_depth = 6", "max_depth = 0"));
    let model = trained(&rows, &recipe(&[depth]));
    let Node::Leaf { values, .. } = &model.trees[0].nodes[0] else { unreachable!("a tree of depth 0") };
    for (found, prior) in values.iter().zip([0.8, 0.1, 0.1]) {
        assert!((found - prior).abs() < 1e-6, "{values:?}");
    }
    // Pure leaves: the more smoothing, the less sure.
    let sureness = |smoothing| {
        let model = trained(&rows, &recipe(&[("smoothing = 1", smoothing)]));
        let mut flood = rows.rows.iter().find(|row| rows.labels[row.label] == "flood").unwrap().features;
        flood[index_of("src_flows_2s").unwrap()] = 1000.0;
        let answer = model.classify(&flood);
        assert_eq!(answer.class, ThreatClass::Flood);
        answer.confidence
    };
    let (plain, smoothed) = (sureness("smoothing = 0"), sureness("smoothing = 5"));
    assert!((plain - 1.0).abs() < 1e-6, "{plain}");
    // Four captures of 40 rows count as 4 √40 observations.
    let observations = 4.0 * 40.0_f32.sqrt();
    assert!((smoothed - (observations + 5.0 * 0.1) / (observations + 5.0)).abs() < 1e-4, "{smoothed}");
}

#[test]
fn the_spread_is_that_of_harmless_flows_at_their_ends_with_the_weights_of_their_captures() {
    let ports = index_of("src_ports_60s").unwrap();
    let mut rows = rows();
    // Of each flow a row before its end, which is nobody's end.
    let ends = std::mem::take(&mut rows.rows);
    for end in ends {
        let mut before = end.clone();
        before.features[ports] = 1_000.0;
        rows.rows.extend([before, end]);
    }
    // One more capture, of a single flow: it weighs as much as a flow of a capture of 60, to the power of what is left.
    rows.captures.push(Capture { name: "test/alone.pcap".to_owned(), source: "alone".to_owned() });
    let label = rows.label("benign");
    let mut features = [0.0; FEATURE_COUNT];
    features[ports] = 50.0;
    rows.rows.push(Row { capture: 24, label, initiator: 0, flow: 0, packets: 1, features });
    let recipe = recipe(&[]);
    let model = trained(&rows, &recipe);
    let spread = model.ranges[ports].spread;
    assert!(spread.edges.iter().all(|edge| *edge < 1_000.0), "{spread:?}");
    // Eight harmless captures of 60 flows, with values below 6, and the one with 50.
    let e = recipe.rows.capture_exponent;
    let above: f32 =
        spread.edges.iter().zip(spread.shares).filter(|(edge, _)| **edge > 5.0).map(|(_, share)| share).sum();
    let expected = 1.0 / (8.0 * 60.0_f64.powf(e) + 1.0);
    let above = f64::from(above + spread.shares[9]);
    assert!((above - expected).abs() < 1e-6, "{above} {expected} {spread:?}");
}

#[test]
fn an_emphasized_capture_counts_several_times() {
    let rows = rows();
    let share = |change: (&str, &str)| {
        let stump = ("max_depth = 6", "max_depth = 0");
        let one_class = ("benign = [\"benign\"]", "benign = [\"benign\", \"unknown\"]");
        let model = trained(&rows, &recipe(&[one_class, stump, change]));
        let Node::Leaf { values, .. } = &model.trees[0].nodes[0] else { unreachable!("a tree of depth 0") };
        values[0]
    };
    let emphasis = "[[emphasize]]\ncaptures = \"test/1\"\ntimes = 5\nwhy = \"a test\"\n[tree]";
    // Classes weigh as their priors all the same.
    assert!((share(("[tree]", emphasis)) - share(("[tree]", "[tree]"))).abs() < 1e-6);
    let thrice = recipe(&[("[tree]", emphasis)]);
    let emphases: Vec<f64> = labelled(&rows, &thrice).unwrap().iter().map(|row| row.emphasis).collect();
    assert_eq!(emphases.iter().filter(|emphasis| **emphasis == 5.0).count(), 7 * 60, "test/1, and test/10 to test/15");
}

#[test]
fn harmless_counts_are_kept_at_a_distance() {
    let rows = rows();
    let threshold_of_ports = |margin| {
        let model = trained(&rows, &recipe(&[("seed = 7", margin)]));
        let ports = index_of("src_ports_60s").unwrap();
        let split = model.trees[0].nodes.iter().find_map(|node| match node {
            Node::Split { feature, threshold, .. } if *feature == ports => Some(*threshold),
            _ => None,
        });
        split.unwrap()
    };
    assert_eq!(threshold_of_ports("seed = 7"), 12.5, "between 5 and 20");
    assert_eq!(
        threshold_of_ports("seed = 7\nbenign_margin = { src_ = 2, src_ports_ = 3, dst_ = 9 }"),
        17.5,
        "between 15 and 20"
    );
}

#[test]
fn features_are_used_as_the_recipe_says() {
    let rows = rows();
    let ignoring = recipe(&[("smoothing = 1", "smoothing = 1\nignore = [\"src_ports_60s\"]")]);
    let ports = index_of("src_ports_60s").unwrap();
    let uses = |model: &Model| {
        model.trees[0].nodes.iter().any(|node| matches!(node, Node::Split { feature, .. } if *feature == ports))
    };
    assert!(uses(&trained(&rows, &recipe(&[]))));
    assert!(!uses(&trained(&rows, &ignoring)));

    // Where scans try fewer ports than harmless flows, a model for which more is worse may not learn it.
    let mut turned = rows;
    turned.rows.iter_mut().for_each(|row| row.features[ports] = 100.0 - row.features[ports]);
    let first_is_ports = |rule: &str| {
        let change = format!("smoothing = 1\n{rule} = [\"src_ports_60s\", \"src_flows_2s\"]");
        let model = trained(&turned, &recipe(&[("smoothing = 1", &change)]));
        matches!(model.trees[0].nodes[0], Node::Split { feature, .. } if feature == ports)
    };
    assert!(!first_is_ports("more_is_worse"));
    assert!(first_is_ports("less_is_worse"));
}

#[test]
fn what_cannot_be_learnt_is_named() {
    let mut rows = rows();
    let missing = recipe(&[("flood = [\"flood\"]", "flood = [\"flood_syn\"]")]);
    let refusal = train(&rows, &labelled(&rows, &missing).unwrap(), &missing, &Silent).unwrap_err();
    assert!(matches!(refusal, TrainError::NoRows("flood")), "{refusal}");
    rows.rows[3].features[2] = f32::NAN;
    let refusal = labelled(&rows, &recipe(&[])).unwrap_err().to_string();
    assert!(refusal.contains("test/0.pcap, flow 3: fwd_payload_bytes"), "{refusal}");
}
