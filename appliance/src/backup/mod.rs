//! Backup: the configuration and all that Sluice remembers in one archive, and back.
//!
//! The archive is a tar file (POSIX.1-2017, pax, section "ustar Interchange Format") packed with gzip, which `tar` unpacks as well:
//!
//! | path | what |
//! |---|---|
//! | `sluice.toml` | the configuration, always the first |
//! | `files/PATH` | lists that it names as files |
//! | `state/sluice.db` | the database, as it was at one moment |
//! | `state/lists/NAME`, `state/models/NAME` | copies of lists that were fetched, and models that were loaded |
//!
//! [`write`] reads beside a running daemon. [`restore`] changes nothing before the whole archive was read and found good. It lays the
//! state out beside the one that is in use, in [`RESTORED`]; the daemon puts it in place at its next start, before it opens anything
//! ([`put_in_place`]). What was there before is kept under a name with the date.

mod place;
mod restore;
#[cfg(test)]
mod tests;
mod write;

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

pub use place::put_in_place;
pub use restore::{Restored, restore};
pub use write::{Written, write};

use crate::config::ConfigError;
use crate::store::StoreError;
use crate::{lists, registry, store};

/// Paths of the archive.
const CONFIG: &str = "sluice.toml";
const FILES: &str = "files";
const STATE: &str = "state";

/// What of the state directory is kept: the database, and the folders beside it.
const DATABASE: &str = store::FILE_NAME;
const FOLDERS: [&str; 2] = [lists::FOLDER, registry::FOLDER];

/// The folder of the state directory in which a restored state waits for the daemon's next start.
const RESTORED: &str = "restored";

/// Why nothing was written, or nothing restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The configuration, of the box or of the archive.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The database, of the box or of the archive.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file of the box.
    #[error("cannot {what} {}: {cause}", path.display())]
    File {
        /// What was to be done.
        what: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why not.
        cause: io::Error,
    },
    /// They would take each other's drafts.
    #[error("another backup or restore is under way in {}; wait for its end", .0.display())]
    Busy(PathBuf),
    /// The archive cannot be written.
    #[error("cannot write the backup: {0}")]
    Write(io::Error),
    /// The archive is none, or is cut off.
    #[error("cannot read the backup: {0}; nothing was changed")]
    Read(io::Error),
    /// Its database has a form that this program does not know.
    #[error("the backup was written by a newer Sluice: update this one first; nothing was changed")]
    Newer,
    /// What stands in it is none of a backup's.
    #[error("this is no backup that `sluice backup` wrote: {0}; nothing was changed")]
    Foreign(String),
}

impl BackupError {
    /// For the failure of that deed on that path.
    fn of(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |cause| Self::File { what, path, cause }
    }
}

/// The state directory, held for one backup or restore at a time, until it is dropped or its process ends.
struct Turn(File);

impl Turn {
    fn take(state_dir: &Path) -> Result<Self, BackupError> {
        let folder = File::open(state_dir).map_err(BackupError::of("open", state_dir))?;
        match folder.try_lock() {
            Ok(()) => Ok(Self(folder)),
            Err(TryLockError::WouldBlock) => Err(BackupError::Busy(state_dir.to_owned())),
            Err(TryLockError::Error(cause)) => Err(BackupError::of("lock", state_dir)(cause)),
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // Closing it is not enough: a process that is just being started still has it open (flock(2)).
        let _ = self.0.unlock();
    }
}
