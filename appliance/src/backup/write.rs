//! Writes the archive.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read as _, Write};
use std::path::{Component, Path, PathBuf, absolute};

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, Header};

use super::{BackupError, CONFIG, DATABASE, FILES, FOLDERS, STATE, Turn};
use crate::config::Config;
use crate::draft::DRAFT;
use crate::store::Store;
use crate::verdict::lists::Source;

/// What went into an archive.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Files beside the configuration and the database.
    pub files: u32,
    /// The box has a database: it has run before.
    pub has_database: bool,
    /// Lists that the configuration names and that are not there.
    pub missing: Vec<PathBuf>,
}

/// Writes an archive of what this configuration and its state directory hold. The daemon may run meanwhile.
///
/// # Errors
/// The configuration has a mistake, something cannot be read, or the archive not be written.
pub fn write(config_path: &Path, out: &mut dyn Write) -> Result<Written, BackupError> {
    let config = Config::load(config_path)?;
    let mut archive = Builder::new(GzEncoder::new(out, Compression::default()));
    let mut written = Written::default();
    append(&mut archive, config_path, Path::new(CONFIG))?;
    let mut places = BTreeSet::new();
    for list in &config.lists {
        let Source::File(path) = &list.source else { continue };
        let place = place_of_list(path)?;
        if !places.insert(place.clone()) {
            continue;
        }
        match append(&mut archive, path, &place) {
            Err(BackupError::File { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => {
                written.missing.push(path.clone());
            }
            appended => {
                appended?;
                written.files += 1;
            }
        }
    }
    let _turn = config.state_dir.exists().then(|| Turn::take(&config.state_dir)).transpose()?;
    if config.state_dir.join(DATABASE).exists() {
        append_database(&mut archive, &config.state_dir)?;
        written.has_database = true;
    }
    for folder in FOLDERS {
        written.files += append_folder(&mut archive, &config.state_dir, folder)?;
    }
    archive.into_inner().and_then(GzEncoder::finish).and_then(Write::flush).map_err(BackupError::Write)?;
    Ok(written)
}

/// Where a list of the box stands in the archive, which has no room for `..`.
pub(super) fn place_of_list(path: &Path) -> Result<PathBuf, BackupError> {
    let mut below_root = PathBuf::new();
    for part in absolute(path).map_err(BackupError::of("find", path))?.components() {
        match part {
            Component::Normal(name) => below_root.push(name),
            Component::ParentDir => _ = below_root.pop(),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    Ok(Path::new(FILES).join(below_root))
}

/// A copy of it as it is at one moment, whatever is written meanwhile.
fn append_database<W: Write>(archive: &mut Builder<W>, state_dir: &Path) -> Result<(), BackupError> {
    let copy = state_dir.join(format!("{DATABASE}.backup"));
    let copied = Store::join(state_dir)?.copy_to(&copy).map_err(BackupError::from);
    let appended = copied.and_then(|()| append(archive, &copy, &Path::new(STATE).join(DATABASE)));
    // Where there was no room for all of it, what is there of it takes the room of others.
    let _ = fs::remove_file(&copy);
    appended
}

fn append_folder<W: Write>(archive: &mut Builder<W>, state_dir: &Path, folder: &str) -> Result<u32, BackupError> {
    let path = state_dir.join(folder);
    let entries = match fs::read_dir(&path) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries.map_err(BackupError::of("read", &path))?,
    };
    let files = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    let mut names: Vec<PathBuf> = files.map(|entry| PathBuf::from(entry.file_name())).collect();
    names.sort_unstable();
    let mut appended = 0;
    for name in names.iter().filter(|name| name.extension().is_none_or(|end| end != DRAFT)) {
        append(archive, &path.join(name), &Path::new(STATE).join(folder).join(name))?;
        appended += 1;
    }
    Ok(appended)
}

/// Appends a file as it is now: one that changes its length meanwhile would spoil the archive.
fn append<W: Write>(archive: &mut Builder<W>, path: &Path, place: &Path) -> Result<(), BackupError> {
    let file = File::open(path).map_err(BackupError::of("read", path))?;
    let metadata = file.metadata().map_err(BackupError::of("read", path))?;
    if !metadata.is_file() {
        return Err(BackupError::of("back up", path)(io::Error::other("it is no file")));
    }
    let mut header = Header::new_gnu();
    header.set_metadata(&metadata);
    // Whoever unpacks it by hand: there are passwords' hashes in it.
    header.set_mode(0o600);
    let mut bytes = file.take(metadata.len());
    archive.append_data(&mut header, place, &mut bytes).map_err(BackupError::Write)?;
    if bytes.limit() > 0 {
        return Err(BackupError::of("back up", path)(io::Error::other("it became shorter meanwhile; try again")));
    }
    Ok(())
}
