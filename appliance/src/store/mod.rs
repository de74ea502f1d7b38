//! What is kept across restarts, in one SQLite file: alerts, blocks, users, and an audit row for each change.
//!
//! [`Store`] opens the file and answers questions; [`Writer`] is the one thread that writes what the daemon hands over,
//! in batches that spare the SD card. What can go wrong here never reaches the path of a packet: a corrupt file is set
//! aside under a name with its date and a fresh one begun with what can still be read, and a full disk leaves the events waiting in memory.
//!
//! Rows are kept by count, not by age, so that the file has a size that it never passes: see [`Keep`] and [`AUDIT_ROWS`].

mod alerts;
mod audit;
mod backlog;
pub mod date;
mod file;
mod observed;
mod reserve;
mod rows;
mod salvage;
mod settings;
mod users;
mod writer;

use core::fmt::{self, Display, Formatter};
use core::net::IpAddr;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, ErrorCode};
use traffic::features::ThreatClass;
use traffic::time::Timestamp;

use crate::policy::{Alert, Allowance, Allowed, BlockRecord, Mode, Modes, PastBlock, Subject};
use crate::registry::{Choices, ModelConfig};

pub use audit::{AuditCheck, AuditRow};
pub(crate) use file::FILE_NAME;
pub use observed::ObservedBlock;
pub use rows::Keep;
pub use users::{MIN_PASSWORD_CHARACTERS, PasswordError, RemovalError, User, check_password_text};
pub use writer::{QUEUE, QUEUE_CAPACITY, Refused, Writer, WriterError};

/// The most offenders whose last block is kept.
pub const BLOCK_ROWS: u32 = 20_000;

/// Audit rows that are kept; the oldest go, and the chain then begins at the oldest that is left.
pub const AUDIT_ROWS: u32 = 100_000;

/// Alerts that are read in one piece where many are looked through: some hundred KiB, and a few milliseconds on a board.
const PIECE_ROWS: u32 = 500;

/// One thing to be written; handed to the writer thread over a bounded queue.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// An alert was raised.
    Alert(Alert),
    /// A person says what an alert was.
    Labelled {
        /// The alert's number.
        number: u64,
        /// When it was said.
        time: Timestamp,
        /// What it was; `None` where an earlier label is taken back.
        class: Option<ThreatClass>,
        /// By whom.
        actor: String,
    },
    /// A block was made, or one that stands was prolonged or made stricter.
    Blocked(BlockRecord),
    /// A block would have been made in another mode.
    Observed(BlockRecord),
    /// A block was ended before its time.
    Unblocked {
        /// What is remembered of it.
        past: PastBlock,
        /// Who ended it.
        actor: String,
    },
    /// The mode of a class of attacks was changed, or that of all.
    ModeSet {
        /// When.
        time: Timestamp,
        /// Which class; `None` for all.
        class: Option<ThreatClass>,
        /// To what.
        mode: Mode,
        /// What the configuration says: once that says something else, the change is no longer in force.
        configured: Mode,
        /// By whom.
        actor: String,
    },
    /// Other models were chosen.
    ModelsChosen {
        /// When.
        time: Timestamp,
        /// Which.
        choices: Box<Choices>,
        /// What the configuration says: once that says something else, the change is no longer in force.
        configured: Box<Choices>,
        /// By whom.
        actor: String,
        /// What was done, in the words of the log.
        what: String,
    },
    /// Somebody is allowed for a while.
    Allowed {
        /// When it was said.
        time: Timestamp,
        /// Who, until when, and by whom.
        allowance: Allowance,
    },
    /// That was taken back, or its time is over.
    Disallowed {
        /// When.
        time: Timestamp,
        /// Who.
        allowed: Allowed,
        /// By whom.
        actor: String,
    },
    /// A name of the allowlist has other addresses now.
    Resolved {
        /// The name.
        name: String,
        /// Its addresses.
        addresses: Vec<IpAddr>,
    },
    /// Any other change worth an audit row: start, stop, log in, refused log in.
    Audit {
        /// When.
        time: Timestamp,
        /// Who.
        actor: String,
        /// What was done, in the words of the log.
        what: String,
    },
}

/// A block that is remembered, whether it stands or has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct KnownBlock {
    /// The block as it was made.
    pub record: BlockRecord,
    /// When it was ended before its time, and by whom.
    pub ended_early: Option<(Timestamp, String)>,
}

/// The open file. One connection behind a lock: questions are short, and the writer thread has a connection of its own.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    connection: Mutex<Connection>,
    /// Held while a password is hashed, so that the 7 MiB which that takes are taken once at most.
    hashing: Mutex<()>,
}

/// A store that was opened for the daemon.
#[derive(Debug)]
pub struct Opened {
    /// The store.
    pub store: Store,
    /// What became of the file that was there, if it could not be used; a person should be told.
    pub set_aside: Option<SetAside>,
}

/// A file that could not be used, and where it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetAside {
    /// It was damaged; a new one was begun.
    Corrupt {
        /// Where it is.
        path: PathBuf,
        /// What could still be read of it and is in the new one, in words.
        carried: Vec<&'static str>,
    },
    /// A newer Sluice had brought it into a form that this one does not know; the copy from before that is in its place.
    Newer(PathBuf),
}

impl Display for SetAside {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Corrupt { path, carried } => {
                write!(f, "the database was damaged and set aside as {}; a new one was begun, ", path.display())?;
                match carried.as_slice() {
                    [] => f.write_str("because nothing of it can be read"),
                    carried => write!(f, "into which came along what could be read: {}", carried.join(", ")),
                }
            }
            Self::Newer(path) => write!(
                f,
                "a newer Sluice had written the database, which was set aside as {}; the one from before that is in use, so what \
                 happened meanwhile is not in it",
                path.display()
            ),
        }
    }
}

impl Store {
    /// Opens `sluice.db` in the state directory, for the daemon; makes both where they are missing, readable by their
    /// owner only. A corrupt file is set aside, and the caller told where it is; so is one of a newer Sluice that has left the copy
    /// from before, which takes its place. A full disk is no hindrance to a file that
    /// is there already: some space was set by for this.
    ///
    /// # Errors
    /// The directory or the file cannot be made or opened, or another program or a newer Sluice made the file.
    pub fn open(directory: &Path, now: Timestamp) -> Result<Opened, StoreError> {
        let opened = match Self::open_or_begin_anew(directory, now) {
            Err(error) if error.is_of_the_disk() && reserve::release(directory) => {
                log::warn!("{error}; trying again with the space that was set by");
                Self::open_or_begin_anew(directory, now)?
            }
            opened => {
                let opened = opened?;
                if let Err(error) = reserve::keep(directory) {
                    log::warn!("cannot set space by for a start on a full disk: {error}");
                }
                opened
            }
        };
        Ok(opened)
    }

    fn open_or_begin_anew(directory: &Path, now: Timestamp) -> Result<Opened, StoreError> {
        let path = file::make(directory)?;
        // The power went before the copy was there, or somebody has moved the newer file away.
        if file::is_empty(&path) && file::has_copy(&path) {
            file::take_copy(&path)?;
        }
        match file::open_checked(&path) {
            Ok(connection) => Ok(Opened { store: Self::new(path, connection), set_aside: None }),
            Err(StoreError::Corrupt { .. }) => {
                let aside = file::set_aside(&path, "corrupt", now)?;
                let connection = file::open_checked(&file::make(directory)?)?;
                let carried = salvage::carry_over(&connection, &aside);
                let set_aside = Some(SetAside::Corrupt { path: aside, carried });
                Ok(Opened { store: Self::new(path, connection), set_aside })
            }
            Err(StoreError::Newer { .. }) if file::has_copy(&path) => {
                let set_aside = Some(SetAside::Newer(file::set_aside(&path, "newer", now)?));
                file::take_copy(&path)?;
                let connection = file::open_checked(&path)?;
                Ok(Opened { store: Self::new(path, connection), set_aside })
            }
            Err(error) => Err(error),
        }
    }

    /// Opens the file for a command, beside a daemon that may be running: nothing is checked or set aside.
    ///
    /// # Errors
    /// As [`Self::open`], and where the file is corrupt.
    pub fn join(directory: &Path) -> Result<Self, StoreError> {
        let path = file::make(directory)?;
        let connection = file::connect(&path)?;
        Ok(Self::new(path, connection))
    }

    /// The same, and all of the file is read for damage.
    ///
    /// # Errors
    /// As [`Self::join`].
    pub fn join_checked(directory: &Path) -> Result<Self, StoreError> {
        let path = file::make(directory)?;
        let connection = file::open_checked(&path)?;
        Ok(Self::new(path, connection))
    }

    /// Writes a copy of the file as it is at one moment, whatever is written meanwhile.
    ///
    /// # Errors
    /// The copy cannot be written; what was there before is there then.
    pub fn copy_to(&self, place: &Path) -> Result<(), StoreError> {
        file::copy(&self.connection(), place)
    }

    /// Starts the writer thread, which keeps so many rows.
    ///
    /// # Errors
    /// The file cannot be opened a second time, or the thread not be started.
    pub fn writer(&self, keep: Keep) -> Result<Writer, StoreError> {
        let connection = file::connect(&self.path)?;
        Writer::start(connection, keep).map_err(|cause| StoreError::Thread { cause })
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The newest alerts, the newest first.
    ///
    /// # Errors
    /// What SQLite answered.
    pub fn newest_alerts(&self, count: u32) -> Result<Vec<Alert>, StoreError> {
        alerts::newest(&self.connection(), count).map_err(StoreError::read("alerts"))
    }

    /// The number that the next alert gets.
    ///
    /// # Errors
    /// What SQLite answered.
    pub fn next_alert(&self) -> Result<u64, StoreError> {
        alerts::next_number(&self.connection()).map_err(StoreError::read("alerts"))
    }

    /// The alert of that number, if it is kept.
    ///
    /// # Errors
    /// What SQLite answered.
    pub fn alert(&self, number: u64) -> Result<Option<Alert>, StoreError> {
        alerts::find(&self.connection(), number).map_err(StoreError::read("alerts"))
    }

    /// The newest alerts about a subject, the newest first. There is no index for it, which each alert would have to write: all that
    /// are kept may have to be looked through. That is done piece by piece, so that nobody else waits for the whole.
    ///
    /// # Errors
    /// What SQLite answered.
    pub fn alerts_about(&self, subject: Subject, count: usize) -> Result<Vec<Alert>, StoreError> {
        let (mut found, mut next) = (Vec::new(), Some(i64::MAX));
        while let Some(number) = next.filter(|_| found.len() < count) {
            let piece = alerts::before(&self.connection(), number, PIECE_ROWS).map_err(StoreError::read("alerts"))?;
            found.extend(piece.alerts.into_iter().filter(|alert| alert.concerns(subject)));
            next = piece.next;
            // Who has waited for the connection meanwhile comes first.
            std::thread::yield_now();
        }
        found.truncate(count);
        Ok(found)
    }

    /// The alerts that somebody labelled, the oldest first.
    ///
    /// # Errors
    /// What SQLite answered.
    pub fn labelled_alerts(&self) -> Result<Vec<Alert>, StoreError> {
        alerts::labelled(&self.connection()).map_err(StoreError::read("alerts"))
    }

    /// The last block of a subject, whether it stands or has ended.
    ///
    /// # Errors
    /// What SQLite answered.
    pub fn block_of(&self, subject: Subject) -> Result<Option<KnownBlock>, StoreError> {
        rows::block_of(&self.connection(), subject).map_err(StoreError::read("blocks"))
    }

    /// The last block of a subject that would have been made by then in another mode. It has ended for whoever reads it here: of those
    /// that go on only the daemon's memory knows.
    ///
    /// # Errors
    /// What SQLite answered.
    pub fn observed_of(&self, subject: Subject, by: Timestamp) -> Result<Option<KnownBlock>, StoreError> {
        observed::last_of(&self.connection(), subject, by).map_err(StoreError::read("what was observed"))
    }

    /// Who would have been blocked since then in another mode, each once, the last first.
    ///
    /// # Errors
    /// What SQLite answered.
    pub fn observed(&self, since: Timestamp, count: u32) -> Result<Vec<ObservedBlock>, StoreError> {
        observed::newest(&self.connection(), since, count).map_err(StoreError::read("what was observed"))
    }

    /// The blocks that should stand at `now`, the newest first: their end is to come and nobody ended them early.
    ///
    /// # Errors
    /// What SQLite answered.
    pub fn standing_blocks(&self, now: Timestamp) -> Result<Vec<BlockRecord>, StoreError> {
        rows::standing_blocks(&self.connection(), now).map_err(StoreError::read("blocks"))
    }

    /// What is remembered of the blocks that have ended by `now`, the last to end first.
    ///
    /// # Errors
    /// What SQLite answered.
    pub fn past_blocks(&self, now: Timestamp) -> Result<Vec<PastBlock>, StoreError> {
        rows::past_blocks(&self.connection(), now).map_err(StoreError::read("blocks"))
    }

    /// The modes that hold where the configuration says `configured`.
    ///
    /// # Errors
    /// What SQLite answered.
    pub fn modes(&self, configured: Mode) -> Result<Modes, StoreError> {
        settings::modes(&self.connection(), configured).map_err(StoreError::read("the modes"))
    }

    /// The models that are chosen where the configuration says this.
    ///
    /// # Errors
    /// What SQLite answered.
    pub fn models(&self, configured: &ModelConfig) -> Result<Choices, StoreError> {
        settings::models(&self.connection(), configured).map_err(StoreError::read("the models"))
    }

    /// Who is allowed for a while.
    ///
    /// # Errors
    /// What SQLite answered.
    pub fn allowances(&self, now: Timestamp) -> Result<Vec<Allowance>, StoreError> {
        settings::allowances(&self.connection(), now).map_err(StoreError::read("the allowances"))
    }

    /// The last known addresses of these names, which are those of the allowlist; those of all others are forgotten.
    ///
    /// # Errors
    /// What SQLite answered.
    pub fn resolved(&self, names: &BTreeSet<&str>) -> Result<Vec<(String, Vec<IpAddr>)>, StoreError> {
        settings::resolved(&self.connection(), names).map_err(StoreError::read("the addresses of names"))
    }

    /// Adds a row to the audit log: for what a command does without the daemon.
    ///
    /// # Errors
    /// What SQLite answered.
    pub fn note(&self, now: Timestamp, actor: &str, what: &str) -> Result<(), StoreError> {
        let failed = StoreError::write("the audit log");
        audit::note(&mut self.connection(), now, actor, what).map_err(failed)
    }

    /// The newest audit rows, the newest first.
    ///
    /// # Errors
    /// What SQLite answered.
    pub fn audit_rows(&self, count: u32) -> Result<Vec<AuditRow>, StoreError> {
        audit::newest(&self.connection(), count).map_err(StoreError::read("the audit log"))
    }

    /// Recomputes the hash chain of the audit log.
    ///
    /// # Errors
    /// What SQLite answered; a broken chain is no error but an answer.
    pub fn verify_audit(&self) -> Result<AuditCheck, StoreError> {
        audit::verify(&self.connection()).map_err(StoreError::read("the audit log"))
    }

    fn new(path: PathBuf, connection: Connection) -> Self {
        Self { path, connection: Mutex::new(connection), hashing: Mutex::new(()) }
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        // A panic elsewhere leaves the connection usable: an open transaction was rolled back when it was dropped.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why the store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The state directory.
    #[error("cannot make the state directory {path}: {cause}")]
    MakeDirectory {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// The database file.
    #[error("cannot make {path}: {cause}")]
    MakeFile {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// Opening or preparing it.
    #[error("cannot open {path}: {cause}")]
    Open {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: rusqlite::Error,
    },
    /// The file's content makes no sense.
    #[error("{path} is corrupt ({what}); start the daemon, which sets it aside and begins a fresh one")]
    Corrupt {
        /// Which.
        path: PathBuf,
        /// What SQLite says.
        what: String,
    },
    /// The corrupt file could not be renamed.
    #[error("cannot set the corrupt {path} aside: {cause}")]
    SetAside {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// A copy of the file.
    #[error("cannot copy the database to {path}: {cause}")]
    Copy {
        /// Where to.
        path: PathBuf,
        /// Why not.
        cause: Box<dyn core::error::Error + Send + Sync>,
    },
    /// Another program's database.
    #[error("{path} is a database of another program; move it away, or choose another state directory")]
    Foreign {
        /// Which.
        path: PathBuf,
    },
    /// A later Sluice wrote it.
    #[error("{path} was written by a newer Sluice (form {version}); update, or move the file away")]
    Newer {
        /// Which.
        path: PathBuf,
        /// Its version of the tables.
        version: i64,
    },
    /// The writer thread.
    #[error("cannot start the store's thread: {cause}")]
    Thread {
        /// Why.
        cause: std::io::Error,
    },
    /// A question.
    #[error("cannot read {what}: {cause}")]
    Read {
        /// What was asked for.
        what: &'static str,
        /// Why.
        cause: rusqlite::Error,
    },
    /// A change that did not go through the writer thread.
    #[error("cannot write {what}: {cause}")]
    Write {
        /// What was to be changed.
        what: &'static str,
        /// Why.
        cause: rusqlite::Error,
    },
}

impl StoreError {
    /// Whether more space could help.
    fn is_of_the_disk(&self) -> bool {
        match self {
            Self::Open { cause, .. } => {
                matches!(cause.sqlite_error_code(), Some(ErrorCode::DiskFull | ErrorCode::SystemIoFailure))
            }
            Self::MakeDirectory { cause, .. } | Self::MakeFile { cause, .. } => {
                cause.kind() == std::io::ErrorKind::StorageFull
            }
            _ => false,
        }
    }

    fn read(what: &'static str) -> impl FnOnce(rusqlite::Error) -> Self {
        move |cause| Self::Read { what, cause }
    }

    fn write(what: &'static str) -> impl FnOnce(rusqlite::Error) -> Self {
        move |cause| Self::Write { what, cause }
    }
}

#[cfg(test)]
mod alert_tests;
#[cfg(test)]
mod full_disk_tests;
#[cfg(test)]
pub(crate) mod small_disk;
#[cfg(test)]
pub(crate) mod test_directory;
#[cfg(test)]
mod tests;
