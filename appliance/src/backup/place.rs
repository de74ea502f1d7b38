//! Puts a restored state in place of the one that was in use.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use traffic::time::Timestamp;

use super::{DATABASE, RESTORED};
use crate::folder;
use crate::store::date;

/// Where what was there before is kept until all of the new is in place.
const KEEPING: &str = "before.draft";

/// What the name of that folder begins with from then on; the date is behind it.
const KEPT: &str = "before-";

/// Puts a state that was restored in place, if one waits in the state directory; gives the folder in which what was there before is kept,
/// the only one of its kind.
/// Nobody may have the database open. Where it was cut off by a power cut, the next call goes on: a file is either still to be put in place,
/// or is in place.
///
/// # Errors
/// A file cannot be renamed. What waits goes on waiting.
pub fn put_in_place(state_dir: &Path, now: Timestamp) -> io::Result<Option<PathBuf>> {
    let waiting = state_dir.join(RESTORED);
    // Under one name until all is done: what a power cut interrupts goes on in the same folder.
    let keeping = state_dir.join(KEEPING);
    let names = match names(&waiting)? {
        None if !keeping.exists() => return Ok(None),
        names => names.unwrap_or_default(),
    };
    folder::make_private(&keeping)?;
    // In their order, the database comes before what belongs to it.
    for name in names {
        if name == DATABASE {
            keep_what_belongs_to_the_database(state_dir, &keeping)?;
        }
        keep(state_dir, &keeping, &name)?;
        fs::rename(waiting.join(&name), state_dir.join(&name))?;
    }
    folder::remove(&waiting)?;
    // A small disk has no room for several.
    folder::remove_all(state_dir, KEPT)?;
    let kept = state_dir.join(format!("{KEPT}{}", date::for_file_name(now)));
    fs::rename(&keeping, &kept)?;
    folder::sync(state_dir)?;
    Ok(Some(kept))
}

/// What is in a folder, if there is one.
fn names(folder: &Path) -> io::Result<Option<BTreeSet<OsString>>> {
    match fs::read_dir(folder) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
        entries => entries?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<_>>().map(Some),
    }
}

/// Its log and index, which would spoil another one, and its copies in older forms.
fn keep_what_belongs_to_the_database(state_dir: &Path, keeping: &Path) -> io::Result<()> {
    let belongs = |name: &OsString| name.to_str().is_some_and(|name| name.starts_with(DATABASE) && name != DATABASE);
    names(state_dir)?.into_iter().flatten().filter(belongs).try_for_each(|name| keep(state_dir, keeping, &name))
}

fn keep(state_dir: &Path, keeping: &Path, name: &OsStr) -> io::Result<()> {
    match fs::rename(state_dir.join(name), keeping.join(name)) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(cause),
        _ => Ok(()),
    }
}
