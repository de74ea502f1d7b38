//! A model made anew with labelled alerts: what was said is learnt, what is wrong in a table is named, and what is measured on
//! rows that were not learnt from is.
#![cfg(feature = "train")]
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use model_compiler::json;
use model_compiler::progress::Silent;
use model_compiler::recipe::Recipe;
use model_compiler::retrain::{Comparison, HeldOut, Lessons, RetrainError};
use model_compiler::rows::{Capture, Row, Rows};
use model_compiler::train::{labelled, train};
use traffic::features::schema::{index_of, schema_hash_text};
use traffic::features::{FEATURE_COUNT, ThreatClass};

use crate::small::recipe_text;

/// A recipe in which a flood's label in the corpora is not the name of its class, as in the shipped one.
fn text() -> String {
    let classes = [("benign", r#"["benign"]"#, 0.8), ("scan", r#"["scan"]"#, 0.1), ("flood", r#"["flood_syn"]"#, 0.1)];
    let tree = "max_depth = 6\nmin_leaf_share = 0.0001\nmin_gain = 1e-6\nsmoothing = 0.1";
    format!("# How it is made.\n{}", recipe_text(&classes, tree))
}

/// A folder of its own, removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("retrain-{}-{name}", std::process::id()));
        fs::create_dir_all(folder.join("test")).unwrap();
        fs::write(folder.join("test/recipe.toml"), text()).unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn recipe(&self) -> Recipe {
        Recipe::read(&self.path("test/recipe.toml")).unwrap()
    }

    /// A table of labelled alerts: label, offender, and distinct ports that it tried.
    fn table(&self, name: &str, alerts: &[(&str, u64, f32)]) -> PathBuf {
        let mut rows = Rows::default();
        for (number, &(label, offender, ports)) in alerts.iter().enumerate() {
            rows.captures.push(Capture { name: format!("alert-{number}"), source: format!("offender-{offender}") });
            let label = rows.label(label);
            let features = vector(ports, 0.0);
            rows.rows.push(Row {
                capture: number,
                label,
                initiator: offender,
                flow: number as u64,
                packets: 1,
                features,
            });
        }
        let path = self.path(name);
        rows.write(&path).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn vector(ports: f32, flows: f32) -> [f32; FEATURE_COUNT] {
    let mut features = [0.0; FEATURE_COUNT];
    features[index_of("src_ports_60s").unwrap()] = ports;
    features[index_of("src_flows_2s").unwrap()] = flows;
    features
}

/// Corpora in which 30 ports and more are a scan.
fn corpora() -> Rows {
    let mut rows = Rows::default();
    for number in 0..12 {
        let label = ["benign", "benign", "scan", "flood_syn"][number / 3];
        rows.captures.push(Capture { name: format!("public/{number}.pcap"), source: format!("source {}", number % 3) });
        let label_place = rows.label(label);
        for flow in 0..20 {
            let features = match label {
                "scan" => vector(30.0 + flow as f32, 0.0),
                "flood_syn" => vector(1.0, 500.0 + flow as f32),
                _ => vector((flow % 5) as f32, (flow % 7) as f32),
            };
            rows.rows.push(Row { capture: number, label: label_place, initiator: 0, flow, packets: 1, features });
        }
    }
    rows
}

fn compared(scratch: &Scratch, tables: &[PathBuf], weight: f64) -> Comparison {
    let recipe = scratch.recipe();
    let rows = corpora();
    let old = train(&rows, &labelled(&rows, &recipe).unwrap(), &recipe, &Silent).unwrap();
    let retrained = Lessons::new(rows, tables, &recipe).unwrap().retrain(&recipe, &old, weight, &Silent).unwrap();
    retrained.comparison
}

#[test]
fn what_was_wrong_is_learnt_and_measured_on_offenders_that_were_not_learnt_from() {
    let scratch = Scratch::new("learnt");
    // A backup that opens 36 ports and no flows besides, in four places; a real scan, and a monitor that no other offender is like.
    let alerts: Vec<_> = (0..4).map(|offender| ("benign", offender, 36.0)).collect();
    let others = [("scan", 4, 48.0), ("botnet", 5, 1.0), ("benign", 6, 42.0), ("benign", 6, 42.0), ("benign", 6, 42.0)];
    let tables = [scratch.table("box.csv", &alerts), scratch.table("other.csv", &others)];
    let told = compared(&scratch, &tables, 4.0);
    assert_eq!((told.labelled, told.offenders, told.corpora), (8, 6, 240));
    assert_eq!(told.left_out.into_iter().collect::<Vec<_>>(), [("botnet", 1)]);
    assert_eq!(told.old_right, 1, "the old model knows the scan");
    let held_out = told.held_out.unwrap();
    assert_eq!(held_out.folds, 5);
    assert_eq!(
        (held_out.right, told.new_right),
        (5, 8),
        "only who has learnt from the monitor knows any of its alerts"
    );
    assert_eq!(told.corpora_right, [240, 234], "three scans each went on at 36 and at 42 ports");
}

#[test]
fn a_label_is_the_name_of_a_class_whatever_the_corpora_call_it() {
    let scratch = Scratch::new("class-names");
    let told = compared(&scratch, &[scratch.table("box.csv", &[("flood", 0, 36.0), ("flood", 1, 36.0)])], 50.0);
    assert_eq!((told.old_right, told.new_right), (0, 2));
    assert_eq!(told.held_out, Some(HeldOut { folds: 2, right: 2 }));
}

#[test]
fn with_one_offender_nothing_is_held_out_and_that_is_said() {
    let scratch = Scratch::new("one");
    let told = compared(&scratch, &[scratch.table("box.csv", &[("benign", 0, 36.0), ("benign", 0, 37.0)])], 50.0);
    assert_eq!((told.held_out, told.new_right), (None, 2));
    assert!(told.to_string().contains("with one offender nothing can be held out"), "{told}");
}

#[test]
fn the_weight_decides_how_much_an_alert_counts_against_the_corpora() {
    let scratch = Scratch::new("weight");
    // In the midst of the scans of the corpora.
    let table = scratch.table("box.csv", &[("benign", 0, 36.0)]);
    let recipe = scratch.recipe();
    let rows = corpora();
    let old = train(&rows, &labelled(&rows, &recipe).unwrap(), &recipe, &Silent).unwrap();
    let lessons = Lessons::new(rows, &[table], &recipe).unwrap();
    let benign = |weight| {
        let model = lessons.retrain(&recipe, &old, weight, &Silent).unwrap().model;
        model.distribution(&vector(36.0, 0.0))[ThreatClass::Benign.number()]
    };
    let sure = [0.001, 1.0, 100.0].map(benign);
    assert!(sure.is_sorted_by(|less, more| less < more), "{sure:?}");
}

fn refusal(scratch: &Scratch, tables: &[&Path]) -> RetrainError {
    let tables: Vec<PathBuf> = tables.iter().map(|table| table.to_path_buf()).collect();
    Lessons::new(corpora(), &tables, &scratch.recipe()).unwrap_err()
}

#[test]
fn what_is_wrong_in_a_table_is_named_by_file_line_and_column() {
    let scratch = Scratch::new("wrong");
    let good = scratch.table("good.csv", &[("benign", 0, 36.0), ("scan", 1, 40.0)]);
    let text = fs::read_to_string(&good).unwrap();
    let changed = |name: &str, from: &str, to: &str| {
        assert!(text.contains(from));
        let path = scratch.path(name);
        fs::write(&path, text.replacen(from, to, 1)).unwrap();
        path
    };
    let header: String = text.lines().take(2).map(|line| format!("{line}\n")).collect();
    let only_header = scratch.path("header.csv");
    fs::write(&only_header, header).unwrap();
    let empty = scratch.path("empty.csv");
    fs::write(&empty, "").unwrap();
    for (path, told) in [
        (changed("schema.csv", &schema_hash_text(), "0123456789abcdef"), "schema.csv, line 1: it holds no rows"),
        (changed("columns.csv", "is_tcp", "is_tpc"), "columns.csv, line 2: it holds no rows"),
        (
            changed("label.csv", ",scan,", ",scam,"),
            "label.csv, line 4, column label: \"scam\" is no class; there are benign",
        ),
        (changed("number.csv", ",40,", ",forty,"), "number.csv, line 4, column src_ports_60s: \"forty\" is no number"),
        (
            changed("infinite.csv", ",40,", ",inf,"),
            "infinite.csv, line 4, column src_ports_60s: it is not a finite number",
        ),
        (changed("packets.csv", ",1,1,1,", ",1,1,-1,"), "packets.csv, line 4, column packets: \"-1\" is no number"),
        (only_header, "header.csv ends after its columns"),
        (empty, "empty.csv, line 1: it holds no rows"),
    ] {
        let refusal = refusal(&scratch, &[&path]).to_string();
        assert!(refusal.contains(told), "{refusal}");
    }
    assert!(matches!(refusal(&scratch, &[&good, &good]), RetrainError::SameName(name) if name == "good"));
    let again = scratch.table("again.csv", &[("benign", 0, 36.0), ("benign", 1, 44.0)]);
    let told = refusal(&scratch, &[&good, &again]).to_string();
    assert!(
        told.contains("alert-0 is in both ") && told.contains("good.csv and ") && told.contains("again.csv,"),
        "{told}"
    );
    let unknown = scratch.table("unknown.csv", &[("botnet", 0, 1.0)]);
    assert_eq!(refusal(&scratch, &[&unknown]).to_string(), "the recipe has none of the labelled classes: botnet");
    assert!(matches!(refusal(&scratch, &[&scratch.path("absent.csv")]), RetrainError::Rows(_)));
}

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_model-compiler")).args(arguments).output().unwrap()
}

#[test]
fn the_command_writes_a_folder_beside_the_old_one_that_says_how_it_was_made() {
    let scratch = Scratch::new("command");
    let (model, rows) = (scratch.path("test"), scratch.path("rows.csv"));
    corpora().write(&rows).unwrap();
    let table = scratch.table("box.csv", &[("benign", 0, 36.0), ("benign", 1, 36.0)]);
    let [model, rows, table] = [&model, &rows, &table].map(|path| path.to_str().unwrap());
    assert!(run(&["train", model, "--rows", rows]).status.success());
    let retrain = ["retrain", model, "--rows", rows, "--labelled", table, "--weight", "9"];
    let output = run(&retrain);
    let (out, complaint) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{complaint}");
    assert!(
        out.contains("of 2 labelled rows of 2 offenders the old model gets 0 right, and the new one 2 (held out"),
        "{out}"
    );
    let new = scratch.path("test-2");
    let made = json::read(&fs::read_to_string(new.join("model.json")).unwrap()).unwrap();
    assert_eq!((made.name.as_str(), made.classify(&vector(36.0, 0.0)).class), ("test-2", ThreatClass::Benign));
    assert_eq!(Recipe::read(&new.join("recipe.toml")).unwrap().name, "test-2");
    let recipe = fs::read_to_string(new.join("recipe.toml")).unwrap();
    assert!(
        recipe.contains(table) && recipe.contains("at the weight 9") && recipe.contains("# How it is made."),
        "{recipe}"
    );
    assert!(run(&retrain).status.success());
    assert!(scratch.path("test-3/model.json").exists(), "the next one gets the next number");
    let again = run(&[&retrain[..], &["--into", new.to_str().unwrap()]].concat());
    assert!(!again.status.success() && String::from_utf8_lossy(&again.stderr).contains("holds a model already"));
    let misnamed = scratch.path("Test2");
    let refused = run(&[&retrain[..], &["--into", misnamed.to_str().unwrap()]].concat());
    let complaint = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && complaint.contains("\"Test2\" must be of small letters"), "{complaint}");
    assert!(!misnamed.exists(), "nothing is written");
    assert_eq!(run(&["retrain", model, "--rows", rows]).status.code(), Some(2), "nothing is labelled");
    assert_eq!(run(&[&retrain[..6], &["--weight", "0"]].concat()).status.code(), Some(2));
}
