//! A list in a file that somebody else puts there, and changes when it pleases him.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::verdict::lists::{List, ListConfig, Reading};
use crate::verdict::rules::Name;

/// What changes when a file or the right to read it does: the time of change to the nanosecond, the length, the inode. `None`
/// where there is no file.
type State = Option<(i64, i64, u64, u64)>;

/// Such a file.
#[derive(Debug)]
pub(super) struct ListFile {
    path: PathBuf,
    /// As it was when it was read last, and when it was looked at last.
    read: State,
    seen: State,
}

impl ListFile {
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), read: None, seen: None }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the file.
    pub fn read(&mut self, config: &ListConfig) -> Result<(List, Reading), String> {
        self.read = state(&self.path);
        self.seen = self.read;
        List::read(config, &self.path).map_err(|cause| format!("{}: {cause}", self.path.display()))
    }

    /// The file is another one than was read, and has been for one look: nobody is writing into it any more.
    pub fn is_to_be_read(&mut self) -> bool {
        let before = core::mem::replace(&mut self.seen, state(&self.path));
        self.seen != self.read && self.seen == before
    }

    /// What is told of a failure, where an earlier list is still in use or not.
    pub fn fault(&self, name: Name, failure: &str, is_used: bool) -> String {
        let use_made = if is_used { "still used as it was" } else { "not used" };
        format!("the list {name:?} is {use_made}: {failure}; put the file there, it is read within a minute")
    }
}

fn state(path: &Path) -> State {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.ctime(), metadata.ctime_nsec(), metadata.len(), metadata.ino()))
}
