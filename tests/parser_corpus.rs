//! Seven thousand captures from the test suites of other parsers, many of them broken on purpose: none may crash or hang Sluice.
//!
//! They are not in the repository (their licences are unclear): see `lab/data.rs`.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lab::daemon::sluice;
use lab::data::Captures;

/// How long one capture may take; most take milliseconds.
const LIMIT: Duration = Duration::from_secs(60);
/// How many captures are replayed at once.
const WORKERS: usize = 2;

#[test]
fn no_capture_of_the_parser_corpus_crashes_or_hangs_a_replay() {
    let Some(corpus) = Captures::find("parser-corpus") else { return };
    let files = corpus.files();
    assert!(files.len() > 1_000, "only {} captures in {corpus:?}", files.len());
    let failures = replay_all(&files);
    println!("{} captures replayed", files.len());
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), files.len(), failures.join("\n"));
}

/// Replays every file; what went wrong, one line each.
fn replay_all(files: &[PathBuf]) -> Vec<String> {
    let (next, failures) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Some(failure) = failure_of(file) {
                        failures.lock().unwrap().push(failure);
                    }
                }
            });
        }
    });
    failures.into_inner().unwrap()
}

/// What is wrong with the replay of a file: anything but success, or one line that says why not.
fn failure_of(file: &Path) -> Option<String> {
    let finished = sluice(&[Path::new("replay"), file, Path::new("--report"), Path::new("json")], LIMIT).unwrap();
    let told = finished.stderr.lines().count();
    match finished.code() {
        Some(0) => None,
        Some(1) if told == 1 => None,
        Some(code) => Some(format!("{}: exit {code}, said {:?}", file.display(), finished.stderr)),
        None => Some(format!("{}: crashed, or not done after {LIMIT:?}: {}", file.display(), finished.stderr)),
    }
}
