//! A card describes one model: what was decided or measured with another recipe, other rows or another model is kept out of it.
#![cfg(feature = "train")]
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use model_compiler::decisions::Decisions;
use model_compiler::decisions::provenance::{Judges, Provenance, digest};
use model_compiler::folds::Grouping;
use model_compiler::form::{FILE, Measured};
use model_compiler::rows::{Capture, Row, Rows};
use traffic::features::FEATURE_COUNT;
use traffic::features::schema::index_of;

use crate::small::recipe_text;

/// A folder with a recipe, a table of rows and the model that `train` makes of them.
struct Bench(PathBuf);

impl Bench {
    fn new(name: &str) -> Self {
        let bench =
            Self(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("cards-{}-{name}", std::process::id())));
        fs::create_dir_all(&bench.0).unwrap();
        let classes = [("benign", r#"["benign"]"#, 0.5), ("scan", r#"["scan"]"#, 0.5)];
        let recipe = recipe_text(&classes, "max_depth = 3\nmin_leaf_share = 0.001\nmin_gain = 1e-6\nsmoothing = 1");
        fs::write(bench.path("recipe.toml"), recipe).unwrap();
        rows().write(&bench.path("rows.csv")).unwrap();
        bench.run(&["train"]).unwrap();
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn digest(&self, name: &str) -> String {
        digest(&self.path(name)).unwrap()
    }

    /// What the command complains about, where it fails.
    fn run(&self, command: &[&str]) -> Result<(), String> {
        let (folder, rows) = (self.0.to_str().unwrap(), self.path("rows.csv"));
        let mut program = Command::new(env!("CARGO_BIN_EXE_model-compiler"));
        program.args(&command[..1]).args([folder, "--rows", rows.to_str().unwrap()]).args(&command[1..]);
        let output = program.output().unwrap();
        if output.status.success() { Ok(()) } else { Err(String::from_utf8(output.stderr).unwrap()) }
    }

    /// Writes decisions about nothing by these judges, by the recipe as it is now.
    fn decide(&self, judges: Judges) -> PathBuf {
        let provenance = Provenance { recipe: self.digest("recipe.toml"), judges, config: None };
        let decisions = Decisions {
            provenance,
            model: Vec::new(),
            stump: Vec::new(),
            majority: Vec::new(),
            thresholds: Vec::new(),
        };
        let path = self.path("decisions.json");
        fs::write(&path, serde_json::to_string(&decisions).unwrap()).unwrap();
        path
    }

    fn append(&self, name: &str, text: &str) {
        let before = fs::read_to_string(self.path(name)).unwrap();
        fs::write(self.path(name), before + text).unwrap();
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

/// Four captures of two sources: scans try many ports.
fn rows() -> Rows {
    let mut rows = Rows::default();
    for number in 0..4 {
        rows.captures.push(Capture { name: format!("test/{number}.pcap"), source: format!("source {}", number % 2) });
        let label = rows.label(if number < 2 { "benign" } else { "scan" });
        for flow in 0..9 {
            let mut features = [0.0; FEATURE_COUNT];
            features[index_of("src_ports_60s").unwrap()] = if number < 2 { 1.0 } else { 20.0 + flow as f32 };
            rows.rows.push(Row { capture: number, label, initiator: 0, flow, packets: 1, features });
        }
    }
    rows
}

fn with_decisions<'a>(path: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
    [&["evaluate", "--folds", "2", "--card", "--decisions", path.to_str().unwrap()], more].concat()
}

#[test]
fn the_build_takes_the_form_that_was_measured_to_be_better() {
    let bench = Bench::new("forms");
    let compiled = |bench: &Bench| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_model-compiler"));
        program.arg("compile").arg(bench.path("model.json"));
        String::from_utf8(program.output().unwrap().stderr).unwrap()
    };
    let folder = bench.path("compiled");
    bench.run(&["forms", "--folder", folder.to_str().unwrap()]).unwrap();
    let mut measured = Measured::read(&fs::read_to_string(bench.path(FILE)).unwrap()).unwrap();
    for cost in [measured.ifs, measured.table] {
        assert!(cost.verdict_ns > 0.0 && cost.code_bytes > 0 && cost.constant_bytes > 0, "{measured:?}");
    }
    assert_eq!(measured.rows, 36);
    // Whatever this machine says: a single tree where nobody measured is ifs.
    measured.ifs.verdict_ns = 2.0 * measured.table.verdict_ns;
    fs::write(bench.path(FILE), serde_json::to_string(&measured).unwrap()).unwrap();
    assert!(compiled(&bench).contains("compiled as table"), "{}", compiled(&bench));
    bench.append(FILE, "?");
    assert!(compiled(&bench).contains("form.json: make it again with `forms`"), "{}", compiled(&bench));
    bench.run(&["train"]).unwrap();
    assert!(!bench.path(FILE).exists(), "it was measured of another model");
    assert!(compiled(&bench).contains("compiled as ifs"), "{}", compiled(&bench));
}

#[test]
fn a_card_of_trees_that_are_trained_anew_is_written_for_their_like_only() {
    let bench = Bench::new("anew");
    let card = ["evaluate", "--folds", "2", "--card"];
    bench.run(&card).unwrap();
    bench.append("recipe.toml", "ignore = [\"src_flows_2s\"]\nless_is_worse = [\"src_ports_60s\"]\n");
    let report = bench.path("report.html");
    for shown in [&["--card"][..], &["--report", report.to_str().unwrap()]] {
        let refusal = bench.run(&[&["evaluate", "--folds", "2"], shown].concat()).unwrap_err();
        assert!(
            refusal.contains("model.json is not what `train` makes of ") && refusal.contains("--as-it-is"),
            "{refusal}"
        );
    }
    bench.run(&["evaluate", "--folds", "2"]).unwrap();
    bench.run(&["evaluate", "--as-it-is", "--card"]).unwrap();
    bench.run(&["train"]).unwrap();
    bench.run(&card).unwrap();
}

#[test]
fn decisions_by_another_recipe_or_other_rows_are_refused() {
    let bench = Bench::new("folds");
    let judges = Judges::Trained { rows: bench.digest("rows.csv"), unseen: Grouping::Source, parts: 2 };
    let decisions = bench.decide(judges);
    bench.run(&with_decisions(&decisions, &[])).unwrap();
    assert!(fs::read_to_string(bench.path("CARD.md")).unwrap().contains("the sources are in 2 parts"));
    // The models that decided are measured, where they are there, and all of them must be.
    let judges = bench.path("decisions.models");
    fs::create_dir(&judges).unwrap();
    fs::copy(bench.path("model.json"), judges.join("test-without-0.json")).unwrap();
    let refusal = bench.run(&with_decisions(&decisions, &[])).unwrap_err();
    assert!(refusal.contains("cannot read ") && refusal.contains("test-without-1.json"), "{refusal}");
    fs::copy(bench.path("model.json"), judges.join("test-without-1.json")).unwrap();
    bench.run(&with_decisions(&decisions, &[])).unwrap();
    let refusal = bench.run(&with_decisions(&decisions, &["--as-it-is"])).unwrap_err();
    assert!(refusal.contains("run `decide` with --as-it-is too"), "{refusal}");
    for (name, text) in [("rows.csv", "\n"), ("recipe.toml", "# changed\n")] {
        bench.append(name, text);
        let refusal = bench.run(&with_decisions(&decisions, &[])).unwrap_err();
        assert!(refusal.contains("decisions.json was made with another ") && refusal.contains(name), "{refusal}");
        assert!(refusal.contains("run `decide` again"), "{refusal}");
    }
}

#[test]
fn decisions_by_another_finished_model_are_refused() {
    let bench = Bench::new("finished");
    let decisions = bench.decide(Judges::AsItIs { model: bench.digest("model.json") });
    bench.append("rows.csv", "\n");
    bench.run(&with_decisions(&decisions, &["--as-it-is"])).unwrap();
    bench.append("model.json", "\n");
    let refusal = bench.run(&with_decisions(&decisions, &["--as-it-is"])).unwrap_err();
    assert!(
        refusal.contains("was made with another ") && refusal.contains("model.json: run `decide` again"),
        "{refusal}"
    );
}
