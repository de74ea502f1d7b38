//! Space set by for a start on a full disk. Even to read its file, SQLite must make small ones beside it; without this
//! reserve a full disk would keep the daemon from starting, or make it forget the standing blocks.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

const FILE_NAME: &str = "sluice.reserve";

/// SQLite needs 32 KiB for its index, and some for the log.
const BYTES: usize = 256 * 1024;

/// Makes the reserve where it is missing.
pub(super) fn keep(directory: &Path) -> io::Result<()> {
    let path = directory.join(FILE_NAME);
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
        Ok(file) => fill(file).inspect_err(|_| {
            // Half a reserve would pass for a whole one at the next start.
            let _ = std::fs::remove_file(&path);
        }),
    }
}

fn fill(mut file: File) -> io::Result<()> {
    // Random, because file systems for flash store zeros in no space at all.
    let mut bytes = vec![0; BYTES];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    file.write_all(&bytes)?;
    file.sync_all()
}

/// Gives the space free; whether there was any.
pub(super) fn release(directory: &Path) -> bool {
    std::fs::remove_file(directory.join(FILE_NAME)).is_ok()
}
