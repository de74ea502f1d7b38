//! Captures of others, which are not in the repository: from the folder in `SLUICE_DATA`, else unpacked from
//! `../shared/data` where that exists.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::process::run_within;

/// How long unpacking may take.
const UNPACK_LIMIT: Duration = Duration::from_secs(300);

/// A folder of captures; removed when dropped if it was unpacked for this process.
#[derive(Debug)]
pub struct Captures {
    folder: PathBuf,
    unpacked: Option<PathBuf>,
}

impl Drop for Captures {
    fn drop(&mut self) {
        if let Some(folder) = &self.unpacked {
            let _ = fs::remove_dir_all(folder);
        }
    }
}

impl Captures {
    /// The part of the data with that name: `parser-corpus` or `labelled/pcap`. `None`, and a line that says so, where there
    /// is no data.
    ///
    /// # Panics
    /// The data is there but cannot be unpacked.
    #[must_use]
    pub fn find(part: &str) -> Option<Self> {
        if let Some(data) = std::env::var_os("SLUICE_DATA") {
            return Some(Self { folder: Path::new(&data).join(part), unpacked: None });
        }
        let unpack = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/unpack");
        if !unpack.is_file() {
            println!("skipped: {part} is not there (set SLUICE_DATA, or have ../shared/data/unpack)");
            return None;
        }
        let target =
            std::env::temp_dir().join(format!("sluice-data-{}-{}", std::process::id(), part.replace('/', "-")));
        run_within(Command::new(unpack).arg(&target), UNPACK_LIMIT).expect("unpacking the data");
        Some(Self { folder: target.join(part), unpacked: Some(target) })
    }

    /// All files.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        files_below(&self.folder)
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
