//! All captures that there are: those of the repository, and those of others where they are unpacked.

use std::fs;
use std::path::{Path, PathBuf};

/// Where the captures of others are unpacked, unless `SLUICE_DATA` says otherwise.
const DATA: &str = "/tmp/data";

/// The files, captures or not. Says so where those of others are not there.
pub fn files() -> Vec<PathBuf> {
    let mut files = files_below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/captures"));
    let data = std::env::var_os("SLUICE_DATA").map_or_else(|| PathBuf::from(DATA), PathBuf::from);
    for folder in ["labelled", "parser-corpus"].map(|name| data.join(name)) {
        if !folder.is_dir() {
            println!("skipped: there are no captures of others in {}", folder.display());
        }
        files.extend(files_below(&folder));
    }
    files
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { found.extend(files_below(&path)) } else { found.push(path) }
    }
    found
}
