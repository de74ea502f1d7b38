//! What the report on features says of columns of which it is known, and the command that prints it.
#![cfg(feature = "train")]
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use model_compiler::datasets::faults::OnFault;
use model_compiler::datasets::{Form, read};
use model_compiler::features_report::{FeatureReport, FeatureScore, report};
use model_compiler::learning::Examples;

const MAPPING: &str = r#"
[label]
column = "tag"
[label.classes]
bad = ["1"]
good = ["0"]
[[feature]]
name = "decides"
[[feature]]
name = "falls_with_it"
[[feature]]
name = "half"
[[feature]]
name = "chance"
[[feature]]
name = "constant"
"#;

/// 800 rows. `decides` is above 399 for bad ones, `falls_with_it` is its falling cube, `half` is 1 for half of the bad
/// ones, and `chance` has nothing to do with anything.
fn table() -> String {
    let mut text = "decides,falls_with_it,half,chance,constant,tag\n".to_owned();
    for row in 0..800_i64 {
        let bad = i64::from(row >= 400);
        let cube = -(row * row * row) / 1000;
        text += &format!("{row},{cube},{},{},5,{bad}\n", bad * (row % 2), (row / 2) % 4);
    }
    text
}

/// The table and its mapping in a folder of the test's own.
fn files(name: &str) -> (PathBuf, PathBuf, PathBuf) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("features-{}-{name}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let (table_path, mapping_path) = (folder.join("table.csv"), folder.join("mapping.toml"));
    fs::write(&table_path, table()).unwrap();
    fs::write(&mapping_path, MAPPING).unwrap();
    (folder, table_path, mapping_path)
}

fn score<'a>(report: &'a FeatureReport, name: &str) -> &'a FeatureScore {
    report.features.iter().find(|score| score.feature == name).unwrap()
}

#[test]
fn what_is_known_of_the_columns_is_found() {
    let (folder, table, mapping) = files("library");
    let table = read(Form::Mapped, &table, Some(&mapping), OnFault::default(), None).unwrap();
    fs::remove_dir_all(folder).unwrap();
    let examples = Examples::new(&table, &["good", "bad"], &|label| usize::from(label == "bad"));
    let report = report(&examples, 0.95, 4).unwrap();
    let close = |a: f64, b: f64| (a - b).abs() < 1e-9;

    // Bins of 64 of 800 rows end at 400: nothing of the one bit is lost.
    let decides = score(&report, "decides");
    assert!(decides.mutual_information > 0.95 && close(decides.single_split, 1.0), "{decides:?}");
    assert!(close(decides.importance, 1.0), "of equals the first column is asked: {decides:?}");
    assert!(close(score(&report, "falls_with_it").importance, 0.0));

    // By hand: of the three in four rows with 0, a third is bad.
    let entropy = |share: f64| -share * share.log2() - (1.0 - share) * (1.0 - share).log2();
    let half = score(&report, "half");
    assert!(close(half.mutual_information, 1.0 - 0.75 * entropy(1.0 / 3.0)), "{half:?}");
    assert!(close(half.single_split, 1.0 - 0.75 * (4.0 / 9.0) / 0.5), "{half:?}");

    for nothing in ["chance", "constant"] {
        assert!(score(&report, nothing).mutual_information < 1e-9, "{nothing}");
    }
    let pairs: Vec<_> = report.pairs.iter().map(|pair| (pair.a.as_str(), pair.b.as_str())).collect();
    assert_eq!(pairs, [("decides", "falls_with_it")]);
    assert!(report.pairs[0].spearman < -0.999, "{:?}", report.pairs);
    assert_eq!(report.proposal, ["decides", "half"]);
}

#[test]
fn classes_count_alike_where_that_is_asked_for() {
    let (folder, table, mapping) = files("balanced");
    let table = read(Form::Mapped, &table, Some(&mapping), OnFault::default(), None).unwrap();
    fs::remove_dir_all(folder).unwrap();
    // All bad rows and every tenth of the good ones.
    let rows: Vec<usize> = (0..800).filter(|row| *row >= 400 || row % 10 == 0).collect();
    let table = table.select(&rows);
    let examples = Examples::new(&table, &["good", "bad"], &|label| usize::from(label == "bad"));
    let of = |examples: &Examples<'_>| score(&report(examples, 0.9, 4).unwrap(), "half").mutual_information;
    let balanced = of(&examples.clone().balanced());
    let entropy = |share: f64| -share * share.log2() - (1.0 - share) * (1.0 - share).log2();
    assert!((balanced - (1.0 - 0.75 * entropy(1.0 / 3.0))).abs() < 1e-9, "{balanced}");
    assert!(of(&examples) < balanced / 2.0);
}

fn run(arguments: &[&Path]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_model-compiler")).args(arguments).output().unwrap()
}

#[test]
fn the_command_prints_the_report_and_writes_it_as_json() {
    let (folder, table, mapping) = files("command");
    let json = folder.join("report.json");
    let fixed = ["features", "--form", "mapped", "--level", "0.95", "--on-missing", "-1", "--mapping"].map(Path::new);
    let output = run(&[fixed.as_slice(), &[&mapping, Path::new("--json"), &json, &table]].concat());
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(told.contains("2 of 5 features") && told.contains("decides, half"), "{told}");
    let written: serde_json::Value = serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap();
    assert_eq!(written["proposal"], serde_json::json!(["decides", "half"]));
    assert_eq!(written["features"].as_array().unwrap().len(), 5);

    let output = run(&[fixed.as_slice(), &[&mapping, Path::new("--against"), Path::new("ugly"), &table]].concat());
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(complaint.contains("\"ugly\" among bad, good"), "{complaint}");
    fs::remove_dir_all(folder).unwrap();
}
