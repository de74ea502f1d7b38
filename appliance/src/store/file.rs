//! The database file: made, opened, checked, and set aside when it is corrupt.

use core::time::Duration;
use std::fs::{OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use traffic::time::Timestamp;

use super::{StoreError, date};
use crate::draft::Draft;
use crate::folder;

/// The file, in the state directory.
pub(crate) const FILE_NAME: &str = "sluice.db";

/// `SLUI` in ASCII: tells our file from any other database.
const APPLICATION_ID: i64 = 0x534c_5549;

/// Version of the tables. To change them: 1. add the step from the version before to [`STEPS`], which raises it.
const VERSION: i64 = STEPS.len() as i64;

/// How long a connection waits for another one's write to end before it gives up.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Per connection: 512 KiB of page cache, temporary tables in memory instead of on the SD card, a log file that shrinks
/// again after a burst, and no trust in what a damaged file claims about itself.
const SETTINGS: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA journal_size_limit = 1048576;
    PRAGMA cache_size = -512;
    PRAGMA temp_store = MEMORY;
    PRAGMA trusted_schema = OFF;
    PRAGMA cell_size_check = ON;
";

/// Times are nanoseconds since 1970, addresses and names are text; the class of the mode for all is empty. AUTOINCREMENT: a number is never used twice, so a row
/// missing at the end of the audit log is noticed.
const TABLES: &str = "
    CREATE TABLE alerts (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        time INTEGER NOT NULL,
        class TEXT NOT NULL,
        source TEXT NOT NULL,
        destination TEXT NOT NULL,
        port INTEGER,
        confidence REAL NOT NULL,
        because TEXT NOT NULL
    ) STRICT;
    CREATE TABLE blocks (
        subject TEXT PRIMARY KEY,
        action TEXT NOT NULL,
        class TEXT,
        offence INTEGER NOT NULL,
        since INTEGER NOT NULL,
        until INTEGER NOT NULL,
        because TEXT NOT NULL,
        actor TEXT NOT NULL,
        ended INTEGER,
        ended_by TEXT,
        exempt_until INTEGER
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX blocks_until ON blocks (until);
    CREATE TABLE audit (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        time INTEGER NOT NULL,
        actor TEXT NOT NULL,
        what TEXT NOT NULL,
        previous BLOB NOT NULL,
        hash BLOB NOT NULL
    ) STRICT;
    CREATE TABLE modes (
        class TEXT PRIMARY KEY,
        mode TEXT NOT NULL,
        configured TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE allowances (
        allowed TEXT PRIMARY KEY,
        until INTEGER,
        actor TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE names (
        name TEXT PRIMARY KEY,
        addresses TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE users (
        name TEXT PRIMARY KEY,
        password TEXT NOT NULL,
        role TEXT NOT NULL,
        changed INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
";

/// What alerts were decided from, empty in rows of the version before, and what people say that they were. `features` are
/// 32-bit floating-point numbers, little-endian, of the feature schema whose hash stands in `schema`.
const GROUNDS_OF_ALERTS: &str = "
    ALTER TABLE alerts ADD COLUMN offender TEXT;
    ALTER TABLE alerts ADD COLUMN protocol INTEGER;
    ALTER TABLE alerts ADD COLUMN proven INTEGER;
    ALTER TABLE alerts ADD COLUMN flow_packets INTEGER;
    ALTER TABLE alerts ADD COLUMN accuser TEXT;
    ALTER TABLE alerts ADD COLUMN accuser_name TEXT;
    ALTER TABLE alerts ADD COLUMN accuser_detail TEXT;
    ALTER TABLE alerts ADD COLUMN schema INTEGER;
    ALTER TABLE alerts ADD COLUMN features BLOB;
    ALTER TABLE alerts ADD COLUMN label TEXT;
    ALTER TABLE alerts ADD COLUMN labelled INTEGER;
    ALTER TABLE alerts ADD COLUMN labelled_by TEXT;
    CREATE INDEX alerts_labelled ON alerts (id) WHERE label IS NOT NULL;
";

/// Which models were chosen while the daemon ran, beside what the configuration said then.
const MODELS: &str = "
    CREATE TABLE models (
        place TEXT PRIMARY KEY,
        chosen TEXT NOT NULL,
        configured TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
";

/// What would have been blocked in another mode. Not beside the blocks, of which those that stand are restored.
const OBSERVED: &str = "
    CREATE TABLE observed (
        subject TEXT NOT NULL,
        action TEXT NOT NULL,
        class TEXT,
        offence INTEGER NOT NULL,
        since INTEGER NOT NULL,
        until INTEGER NOT NULL,
        because TEXT NOT NULL,
        actor TEXT NOT NULL,
        PRIMARY KEY (subject, since)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX observed_since ON observed (since);
";

/// What leads from each version to the next one, from an empty file on.
pub(super) const STEPS: [&str; 4] = [TABLES, GROUNDS_OF_ALERTS, MODELS, OBSERVED];

/// Makes the directory (0700) and an empty file in it (0600) where they are missing; returns the file's path.
pub(super) fn make(directory: &Path) -> Result<PathBuf, StoreError> {
    folder::make_private(directory).map_err(|cause| StoreError::MakeDirectory { path: directory.to_owned(), cause })?;
    let path = directory.join(FILE_NAME);
    // SQLite gives its own files beside this one the same rights, so the first file decides for all of them.
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .and_then(|file| file.set_permissions(Permissions::from_mode(0o600)))
        .map_err(|cause| StoreError::MakeFile { path: path.clone(), cause })?;
    Ok(path)
}

/// Opens the file and reads all of it for damage.
pub(super) fn open_checked(path: &Path) -> Result<Connection, StoreError> {
    let connection = connect(path)?;
    let answer: String =
        connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(|cause| open_error(path, cause))?;
    if answer == "ok" { Ok(connection) } else { Err(StoreError::Corrupt { path: path.to_owned(), what: answer }) }
}

/// Opens the file and makes its tables where they are missing.
pub(super) fn connect(path: &Path) -> Result<Connection, StoreError> {
    let mut connection = Connection::open(path).map_err(|cause| open_error(path, cause))?;
    prepare(&mut connection, path)?;
    Ok(connection)
}

fn prepare(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let failed = |cause| open_error(path, cause);
    connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
    let found = version(connection, path)?;
    connection.execute_batch(SETTINGS).map_err(failed)?;
    if found == VERSION {
        return Ok(());
    }
    if found > 0 {
        keep_copy(connection, path, found);
    }
    migrate(connection, path)
}

/// Which form the tables have, 0 for an empty file; refuses files that are not ours to touch.
fn version(connection: &Connection, path: &Path) -> Result<i64, StoreError> {
    let failed = |cause| open_error(path, cause);
    let number = |query| connection.query_row(query, [], |row| row.get::<_, i64>(0)).map_err(failed);
    let application = number("PRAGMA application_id")?;
    let version = number("PRAGMA user_version")?;
    let tables = number("SELECT count(*) FROM sqlite_schema")?;
    match application {
        APPLICATION_ID if version > VERSION => Err(StoreError::Newer { path: path.to_owned(), version }),
        APPLICATION_ID => Ok(version),
        0 if tables == 0 => Ok(0),
        _ => Err(StoreError::Foreign { path: path.to_owned() }),
    }
}

/// Where the copy is that is kept of a file before its tables are brought into another form.
fn copy_of(path: &Path, version: i64) -> PathBuf {
    let mut copy = path.as_os_str().to_owned();
    copy.push(format!(".form{version}"));
    PathBuf::from(copy)
}

/// Keeps a copy for the program from before, should it be taken back. Where there is no room for it the change is made all the same.
fn keep_copy(connection: &Connection, path: &Path, version: i64) {
    // Nobody goes back further than to the program before: what older ones left only takes the room of this copy.
    (1..version).for_each(|older| _ = std::fs::remove_file(copy_of(path, older)));
    let copied = || -> Result<(), Box<dyn core::error::Error + Send + Sync>> {
        let draft = drafted_copy(connection, &copy_of(path, version))?;
        // Somebody else may have been faster, and what was copied has the new form: the copy is made already.
        let copied =
            Connection::open(draft.path())?.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0))?;
        if copied == version {
            draft.put()?;
        }
        Ok(())
    };
    if let Err(error) = copied() {
        log::warn!("no copy of the database was kept for the program from before: {error}");
    }
}

/// Writes a copy of the database as it is at one moment.
pub(super) fn copy(connection: &Connection, place: &Path) -> Result<(), StoreError> {
    let failed = |cause| StoreError::Copy { path: place.to_owned(), cause };
    drafted_copy(connection, place).map_err(failed)?.put().map_err(|cause| failed(cause.into()))
}

/// A copy that is yet to be put at its place, readable by its owner alone.
fn drafted_copy(connection: &Connection, place: &Path) -> Result<Draft, Box<dyn core::error::Error + Send + Sync>> {
    let draft = Draft::private(place)?;
    // SQLite fills a file that is empty.
    connection.execute("VACUUM INTO ?1", [draft.path().to_string_lossy()])?;
    Ok(draft)
}

/// Whether nothing was ever written to it.
pub(super) fn is_empty(path: &Path) -> bool {
    path.metadata().is_ok_and(|file| file.len() == 0)
}

/// Whether a newer program has left the copy that it made before it changed the tables.
pub(super) fn has_copy(path: &Path) -> bool {
    copy_of(path, VERSION).exists()
}

/// Puts that copy where the file was.
pub(super) fn take_copy(path: &Path) -> Result<(), StoreError> {
    let copy = copy_of(path, VERSION);
    std::fs::rename(&copy, path).map_err(|cause| StoreError::SetAside { path: copy, cause })
}

/// Brings the tables to the current form in one transaction: after a power cut it has happened whole or not at all.
fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let failed = |cause| open_error(path, cause);
    let change = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    // Asked again under the lock: a command and the daemon may both have found an empty file.
    let version = usize::try_from(version(&change, path)?).unwrap_or_default();
    for step in STEPS.iter().skip(version) {
        change.execute_batch(step).map_err(failed)?;
    }
    change.pragma_update(None, "application_id", APPLICATION_ID).map_err(failed)?;
    change.pragma_update(None, "user_version", VERSION).map_err(failed)?;
    change.commit().map_err(failed)
}

fn open_error(path: &Path, cause: rusqlite::Error) -> StoreError {
    match cause.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            StoreError::Corrupt { path: path.to_owned(), what: cause.to_string() }
        }
        _ => StoreError::Open { path: path.to_owned(), cause },
    }
}

/// Renames the file, and the log and index that belong to it, to names with the reason and the date; returns the new path. What was set
/// aside for that reason before goes: a small disk has no room for several.
pub(super) fn set_aside(path: &Path, why: &str, now: Timestamp) -> Result<PathBuf, StoreError> {
    let file_name = path.file_name().unwrap_or_default().to_string_lossy();
    if let Err(error) = folder::remove_all(path.parent().unwrap_or(path), &format!("{file_name}.{why}-")) {
        log::warn!("what was set aside before stays: {error}");
    }
    let suffix = format!(".{why}-{}", date::for_file_name(now));
    let renamed = |end: &str| {
        let (mut from, mut to) = (path.as_os_str().to_owned(), path.as_os_str().to_owned());
        from.push(end);
        to.push(format!("{suffix}{end}"));
        (PathBuf::from(from), PathBuf::from(to))
    };
    for end in ["-wal", "-shm"] {
        let (from, to) = renamed(end);
        match std::fs::rename(&from, to) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                return Err(StoreError::SetAside { path: from, cause });
            }
            _ => {}
        }
    }
    let (from, to) = renamed("");
    std::fs::rename(&from, &to).map_err(|cause| StoreError::SetAside { path: from, cause })?;
    Ok(to)
}
