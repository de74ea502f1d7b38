//! The report is one page that needs nothing else, and says what was measured.
#![cfg(feature = "train")]
#![allow(clippy::unwrap_used)]

use std::process::Command;

use model_compiler::decisions::provenance::{Config, Judges, Provenance};
use model_compiler::decisions::{Decided, Decisions};
use model_compiler::evaluate::cross_validate;
use model_compiler::folds::{Grouping, Parts};
use model_compiler::progress::Silent;
use model_compiler::recipe::Recipe;
use model_compiler::report::report;
use model_compiler::rows::{Capture, Row, Rows};
use model_compiler::train::{labelled, train};
use traffic::features::FEATURE_COUNT;
use traffic::features::schema::index_of;

use crate::small::recipe_text;

/// Eight captures of four sources: scans try many ports. A source has a name that HTML would take for a tag.
fn rows() -> Rows {
    let ports = index_of("src_ports_60s").unwrap();
    let mut rows = Rows::default();
    for number in 0..8 {
        let source = if number % 4 == 0 { "<script>".to_owned() } else { format!("source {}", number % 4) };
        rows.captures.push(Capture { name: format!("test/{number}.pcap"), source });
        let label = rows.label(if number < 4 { "benign" } else { "scan" });
        for flow in 0..30 {
            let mut features = [0.0; FEATURE_COUNT];
            features[ports] = if number < 4 { flow as f32 / 10.0 } else { 20.0 + flow as f32 };
            rows.rows.push(Row { capture: number, label, initiator: 0, flow, packets: 1, features });
        }
    }
    rows
}

fn page() -> String {
    let classes = [("benign", r#"["benign"]"#, 0.5), ("scan", r#"["scan"]"#, 0.5)];
    let text = recipe_text(&classes, "max_depth = 3\nmin_leaf_share = 0.001\nmin_gain = 1e-6\nsmoothing = 1");
    let (rows, recipe): (Rows, Recipe) = (rows(), toml::from_str(&text).unwrap());
    let labelled = labelled(&rows, &recipe).unwrap();
    let model = train(&rows, &labelled, &recipe, &Silent).unwrap();
    let measured = cross_validate(&rows, &labelled, &recipe, Grouping::Source, Parts::Count(4), &[], &Silent).unwrap();
    let decided = Decided {
        capture: "test/5.pcap".to_owned(),
        source: "sluice-lab/x".to_owned(),
        label: "scan".to_owned(),
        profile: "balanced".to_owned(),
        traffic_s: 60.0,
        caught_s: Some(1.5),
        caught_packets: Some(37),
        evidence_flows: Some(4),
        caught_by: None,
        wrongful: Vec::new(),
        neither: Vec::new(),
        flows: 40,
        accused_flows: 1,
    };
    let judges = Judges::Trained { rows: String::from("0"), unseen: Grouping::Source, parts: 4 };
    let config = Some(Config { path: String::from("mine.toml"), digest: String::from("abc") });
    let provenance = Provenance { recipe: String::from("0"), judges, config };
    let decisions =
        Decisions { provenance, model: vec![decided], stump: Vec::new(), majority: Vec::new(), thresholds: Vec::new() };
    report(&model, &recipe, &labelled, &[measured], Some(&decisions)).unwrap()
}

#[test]
fn the_page_says_what_was_measured() {
    let page = page();
    for part in [
        "<title>Model test</title>",
        "<h2>Decided by the appliance, about captures of sources that the model has not seen</h2>",
        "with the rules of mine.toml (SHA-256 abc), by a model of all sources but some, about the captures of those; the sources are in 4 parts",
        "<th>wrongful blocks per hour with traffic</th>",
        "<td>1.5 and 1.5</td><td>37 and 37</td><td>4</td>",
        "no source on both sides of a split",
        "by drawing sources again",
        "<td>scan</td><td class=\"word\">model</td><td>100.00 [100.00, 100.00]</td>",
        "<td>scan</td><td class=\"word\">majority class</td><td>50.00 [50.00, 50.00]</td>",
        "<td class=\"cell\" style=\"--share: 60%\">120</td>",
        "<h3>src_ports_60s</h3>",
        "&lt;script&gt;",
    ] {
        assert!(page.contains(part), "{part} is missing in\n{page}");
    }
    // Three curves of either kind, calibration of the one threat, the one feature that is compared.
    assert_eq!(page.matches("<svg").count(), 3 + 3 + 1 + 1);
    let calibration = page.split("<h2>Calibration</h2>").nth(1).unwrap().split("<h2>").next().unwrap();
    assert!(calibration.contains("<h3>scan</h3>") && !calibration.contains("benign"), "{calibration}");
}

#[test]
fn the_page_needs_nothing_else() {
    let page = page();
    for foreign in ["<script", "http://", "https://", "src=", "href=", "url(", "@import"] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    assert!(page.contains("prefers-color-scheme") && page.contains("width=device-width"));
}

#[test]
fn decisions_that_nobody_would_see_are_refused_before_anything_is_measured() {
    let run = |more: &[&str]| {
        let evaluate = [&["evaluate", "absent", "--rows", "absent.csv", "--decisions", "absent.json"], more].concat();
        let output = Command::new(env!("CARGO_BIN_EXE_model-compiler")).args(evaluate).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, complaint) = run(&["--json", "measured.json"]);
    assert!(code == Some(2) && complaint.contains("give --card or --report FILE as well"), "{complaint}");
    for shown in [&["--card"][..], &["--report", "report.html"]] {
        let (code, complaint) = run(shown);
        assert!(code == Some(1) && complaint.contains("absent/recipe.toml"), "{complaint}");
    }
}
