//! A file that takes the place of another one whole or not at all.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::folder;

/// Ends the name of a file that is being written.
pub(crate) const DRAFT: &str = "draft";

/// Where a file really is: who put a link in its place wants it to stay one.
pub(crate) fn behind_links(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// A file that is being written beside its place; removed when dropped before it is there.
#[derive(Debug)]
pub(crate) struct Draft {
    /// What is written into.
    pub file: File,
    path: PathBuf,
    place: PathBuf,
}

impl Draft {
    /// Begins to write what is to stand at that place. A draft that was left there by a run that was cut off is lost.
    pub fn of(place: &Path) -> io::Result<Self> {
        Self::with_mode(place, 0o666)
    }

    /// The same, which nobody but its owner can read at any time.
    pub fn private(place: &Path) -> io::Result<Self> {
        Self::with_mode(place, 0o600)
    }

    fn with_mode(place: &Path, mode: u32) -> io::Result<Self> {
        let mut path = OsString::from(place);
        path.push(".");
        path.push(DRAFT);
        let path = PathBuf::from(path);
        match fs::remove_file(&path) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(cause),
            _ => {}
        }
        // What somebody puts there meanwhile, such as a link to another file, is not written into.
        let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&path)?;
        Ok(Self { file, path, place: place.to_owned() })
    }

    /// Where it is meanwhile.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Puts it at its place once it is safe on the disk.
    pub fn put(self) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.path, &self.place)?;
        // The name too is to outlive a power cut.
        let folder = self.place.parent().filter(|folder| !folder.as_os_str().is_empty());
        folder::sync(folder.unwrap_or(Path::new(".")))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // It is gone already where it was put at its place.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::store::test_directory::TestDirectory;

    #[test]
    fn what_was_there_stays_until_all_of_the_new_is_there() {
        let directory = TestDirectory::new("draft");
        let place = directory.path().join("rows.csv");
        fs::write(&place, "before").unwrap();
        let mut draft = Draft::of(&place).unwrap();
        draft.file.write_all(b"half").unwrap();
        assert_eq!(fs::read_to_string(&place).unwrap(), "before");
        drop(draft);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "the draft is gone");
        let other = directory.path().join("other");
        fs::write(&other, "of somebody").unwrap();
        symlink(&other, directory.path().join("rows.csv.draft")).unwrap();
        let mut draft = Draft::of(&place).unwrap();
        draft.file.write_all(b"after").unwrap();
        draft.put().unwrap();
        assert_eq!(fs::read_to_string(&place).unwrap(), "after");
        assert_eq!(fs::read_to_string(&other).unwrap(), "of somebody");
    }
}
