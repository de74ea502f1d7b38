//! The table of features in `src/features/README.md` is the schema's.
#![allow(clippy::expect_used, reason = "a test may stop at the first surprise")]

use std::collections::HashSet;
use std::fmt::Write;
use std::path::Path;

use traffic::features::schema::schema_hash_text;
use traffic::features::{FEATURES, Feature};

const INTRODUCTION: &str = "\
# Features

Made from `schema.rs` by `UPDATE=1 cargo test -p traffic --test schema`; do not edit it here.

What the model sees of a flow at a checkpoint (after its 1st, 2nd, 4th, 8th … packet, a second after its first where nothing
was heard of it since, and at its end), in this order, as `f32`. Features of a single flow are those of its segment: a flow
is cut every 120 s. Features `src_` are about everything that the flow's initiator did lately (IPv6: its /64), `pair_` about
what it did at this responder, `dst_` about everything that was done to the responder's host, `dst_service_` to its port.
Their windows are two halves each, cut at fixed times of the clock, so they reach back between half and the whole of their
length: as of the flow's last packet, or as of what the source or destination did after that where the flow ended by its
silence. Shares of the source's flows without an answer or a handshake *in time* leave out those that began less than half a
second to a second ago and of which nothing was heard, because their answer may be on its way; where fewer than a third of
all are left, they are shares of a third of all. Rates are taken over at least 1 ms; standard deviations are those of the
population. Counts of *distinct* values are estimates: see `../windows/sketch.rs` for their error. The ports of traceroute,
those of UDP from 33434 to 33625, count as one. CICIDS2017 and NSL-KDD name the columns that say about the same.

| | feature | unit | what it is | where undefined | CICIDS2017 | NSL-KDD |
|---|---|---|---|---|---|---|
";

/// The columns that correspond, by the prefix of their data set.
fn column<'a>(feature: &'a Feature, prefix: &str) -> &'a str {
    let start = feature.corresponds_to.find(prefix).map(|at| at + prefix.len());
    let rest = start.and_then(|start| feature.corresponds_to.get(start..)).unwrap_or_default();
    rest.split(" kdd:").next().unwrap_or_default()
}

fn table() -> String {
    let mut text = String::from(INTRODUCTION);
    for (place, feature) in FEATURES.iter().enumerate() {
        let Feature { name, unit, meaning, undefined, .. } = feature;
        let (cic, kdd) = (column(feature, "cic:"), column(feature, "kdd:"));
        writeln!(text, "| {place} | `{name}` | {unit} | {meaning} | {undefined} | {cic} | {kdd} |").expect("a string");
    }
    writeln!(text, "\n{} features; hash of the schema: `{}`.", FEATURES.len(), schema_hash_text()).expect("a string");
    text
}

#[test]
fn the_readme_shows_the_schema() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/features/README.md");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, table()).expect("the table is written");
    }
    let shown = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        shown == table(),
        "src/features/README.md is not the schema's: UPDATE=1 cargo test -p traffic --test schema"
    );
}

#[test]
fn names_are_unique_and_every_entry_is_whole() {
    const UNITS: [&str; 9] = ["packets", "bytes", "s", "1/s", "bytes/s", "share", "flag", "count", "ratio"];
    let names: HashSet<&str> = FEATURES.iter().map(|feature| feature.name).collect();
    assert_eq!(names.len(), FEATURES.len());
    for feature in FEATURES {
        assert!(UNITS.contains(&feature.unit), "{}: {}", feature.name, feature.unit);
        assert!(!feature.meaning.is_empty() && feature.undefined.is_finite(), "{}", feature.name);
        let seconds = feature.name.ends_with("_s") && feature.unit != "s" && feature.unit != "1/s";
        assert!(!seconds || feature.unit == "bytes/s", "{} ends in a unit that is not its own", feature.name);
    }
}
