//! Puts a restored state in place of the one that was in use.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use traffic::time::Timestamp;

use super::{DATABASE, RESTORED};
use crate::store::date;

/// Puts a state that was restored in place, if one waits in the state directory; gives the folder in which what was there before is kept.
/// Nobody may have the database open. Where it was cut off by a power cut, the next call goes on: a file is either still to be put in place,
/// or is in place.
///
/// # Errors
/// A file cannot be renamed. What waits goes on waiting.
pub fn put_in_place(state_dir: &Path, now: Timestamp) -> io::Result<Option<PathBuf>> {
    let waiting = state_dir.join(RESTORED);
    let entries = match fs::read_dir(&waiting) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
        entries => entries?,
    };
    let kept = state_dir.join(format!("before-{}", date::for_file_name(now)));
    DirBuilder::new().recursive(true).mode(0o700).create(&kept)?;
    for entry in entries {
        let name = entry?.file_name();
        if name == DATABASE {
            // They belong to the one from before, and would spoil this one.
            for end in ["-wal", "-shm"] {
                let mut beside = OsString::from(DATABASE);
                beside.push(end);
                keep(state_dir, &kept, &beside)?;
            }
        }
        keep(state_dir, &kept, &name)?;
        fs::rename(waiting.join(&name), state_dir.join(&name))?;
    }
    fs::remove_dir(&waiting)?;
    File::open(state_dir)?.sync_all()?;
    Ok(Some(kept))
}

fn keep(state_dir: &Path, kept: &Path, name: &std::ffi::OsStr) -> io::Result<()> {
    match fs::rename(state_dir.join(name), kept.join(name)) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(cause),
        _ => Ok(()),
    }
}
