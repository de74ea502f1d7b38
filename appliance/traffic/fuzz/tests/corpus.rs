//! The corpus is the one that is made, and goes through the parts.
#![allow(clippy::expect_used, clippy::panic, reason = "a test may stop at the first surprise")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use traffic_fuzz::{TARGETS, cases};

/// Target and name of each file, and what is in it.
type Files = BTreeMap<(String, String), Vec<u8>>;

fn committed() -> Files {
    let mut files = Files::new();
    for (target, _) in TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
        for entry in fs::read_dir(folder).expect("a folder for each part") {
            let entry = entry.expect("readable");
            let name = entry.file_name().into_string().expect("text");
            files.insert((target.to_owned(), name), fs::read(entry.path()).expect("readable"));
        }
    }
    files
}

#[test]
fn the_corpus_is_the_one_that_is_made() {
    let made: Files =
        cases().into_iter().map(|case| ((case.target.to_owned(), case.name.to_owned()), case.bytes)).collect();
    let committed = committed();
    assert_eq!(made.keys().collect::<Vec<_>>(), committed.keys().collect::<Vec<_>>(), "names");
    for (case, bytes) in made {
        assert_eq!(
            Some(&bytes),
            committed.get(&case),
            "{case:?}: write it with `cargo run -p traffic-fuzz --example make-corpus`"
        );
    }
}

#[test]
fn every_input_of_the_corpus_goes_through_its_part() {
    for case in cases() {
        let (_, body) = TARGETS.iter().find(|(target, _)| *target == case.target).expect("a part of that name");
        body(&case.bytes);
    }
}
