//! Seven thousand captures from the test suites of other parsers, many of them broken on purpose: none may crash or hang Sluice.
//!
//! They are not in the repository (their licences are unclear): they are unpacked from `../shared/data` where that exists.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lab::daemon::sluice;
use lab::process::run_within;

/// How long unpacking may take.
const UNPACK_LIMIT: Duration = Duration::from_secs(300);
/// How long one capture may take; most take milliseconds.
const LIMIT: Duration = Duration::from_secs(60);
/// How many captures are replayed at once.
const WORKERS: usize = 2;

#[test]
fn no_capture_of_the_parser_corpus_crashes_or_hangs_a_replay() {
    let Some(corpus) = corpus() else {
        println!("skipped: the parser corpus is not there (../shared/data/unpack)");
        return;
    };
    let files = files_below(&corpus.folder);
    assert!(files.len() > 1_000, "only {} captures in {}", files.len(), corpus.folder.display());
    let failures = replay_all(&files);
    println!("{} captures replayed", files.len());
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), files.len(), failures.join("\n"));
}

/// Where the captures are; removed when dropped if it was unpacked for this test.
struct Corpus {
    folder: PathBuf,
    unpacked: Option<PathBuf>,
}

impl Drop for Corpus {
    fn drop(&mut self) {
        if let Some(folder) = &self.unpacked {
            let _ = fs::remove_dir_all(folder);
        }
    }
}

/// The corpus: the folder in `SLUICE_DATA` if it is set, else freshly unpacked.
fn corpus() -> Option<Corpus> {
    if let Some(data) = std::env::var_os("SLUICE_DATA") {
        return Some(Corpus { folder: Path::new(&data).join("parser-corpus"), unpacked: None });
    }
    let unpack = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/unpack");
    let target = std::env::temp_dir().join(format!("sluice-parser-corpus-{}", std::process::id()));
    unpack.is_file().then(|| {
        let corpus = Corpus { folder: target.join("parser-corpus"), unpacked: Some(target.clone()) };
        run_within(Command::new(unpack).arg(&target), UNPACK_LIMIT).expect("unpacking the data");
        corpus
    })
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

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { found.extend(files_below(&path)) } else { found.push(path) }
    }
    found
}
