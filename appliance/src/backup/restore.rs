//! Reads an archive, and lays out what it holds.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, fchown};
use std::path::{Component, Path, PathBuf, absolute};

use flate2::read::GzDecoder;
use tar::{Archive, Entry, EntryType};
use traffic::time::Timestamp;

use super::write::place_of_list;
use super::{BackupError, CONFIG, DATABASE, FILES, FOLDERS, RESTORED, STATE, Turn};
use crate::config::Config;
use crate::draft::{DRAFT, Draft, behind_links};
use crate::folder;
use crate::store::{Store, StoreError, date};
use crate::verdict::lists::Source;

/// No configuration is longer.
const LONGEST_CONFIG_BYTES: u64 = 1 << 20;

/// Nobody's backup is larger once it is unpacked: what is made to fill disk and memory is given up.
const MOST_BYTES: u64 = 256 << 20;

/// What was restored.
#[derive(Debug, PartialEq, Eq)]
pub struct Restored {
    /// The state directory of the archive's configuration.
    pub state_dir: PathBuf,
    /// A state waits there for the daemon's next start.
    pub has_state: bool,
    /// Where what was there before of the configuration and of lists is kept.
    pub kept: Vec<PathBuf>,
    /// Lists whose places an archive alone may not choose.
    pub left_out: Vec<PathBuf>,
}

/// Restores the configuration to that path, the lists to theirs, and lays the state out for the daemon's next start.
///
/// # Errors
/// The archive is none, is cut off, or was written by a newer Sluice: nothing has changed. Or a file cannot be written: the state from before
/// stays, and what was replaced until then is kept beside.
pub fn restore(archive: &mut dyn Read, config_path: &Path, now: Timestamp) -> Result<Restored, BackupError> {
    let mut archive = Archive::new(GzDecoder::new(archive).take(MOST_BYTES));
    let mut entries = archive.entries().map_err(BackupError::Read)?;
    let first = entries.next().ok_or_else(|| BackupError::Foreign("it is empty".to_owned()))?;
    let text = config_text(first.map_err(BackupError::Read)?)?;
    let config = Config::parse(&text, Path::new("the sluice.toml of the backup"))?;
    let area = Area::new(&config, config_path)?;
    let mut taken = BTreeSet::new();
    for entry in entries {
        let mut entry = entry.map_err(BackupError::Read)?;
        let path = entry.path().map_err(BackupError::Read)?.into_owned();
        if entry.header().entry_type() != EntryType::Regular || !taken.insert(path.clone()) {
            return Err(BackupError::Foreign(format!("{} is not a file, or is there twice", path.display())));
        }
        area.take(&path, &mut entry)?;
    }
    // The end of the packed file holds its checksum.
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(BackupError::Read)?;
    area.finish(&text, config_path, now)
}

fn config_text(mut entry: Entry<'_, impl Read>) -> Result<String, BackupError> {
    let is_config = entry.path().is_ok_and(|path| path == Path::new(CONFIG));
    if !is_config || entry.header().entry_type() != EntryType::Regular || entry.size() > LONGEST_CONFIG_BYTES {
        return Err(BackupError::Foreign(format!("{CONFIG} is not the first in it")));
    }
    let mut text = String::new();
    entry.read_to_string(&mut text).map_err(BackupError::Read)?;
    Ok(text)
}

/// Where the archive is laid out until all of it is there. Removed when dropped before.
struct Area {
    folder: PathBuf,
    state_dir: PathBuf,
    /// Lists, by their place in the archive.
    lists: Vec<(PathBuf, PathBuf)>,
    /// Those of them that are not written.
    left_out: Vec<PathBuf>,
    /// Given back when all else is done.
    _turn: Turn,
}

impl Area {
    /// A new folder in the state directory: what is laid out there is put in place without being copied.
    fn new(config: &Config, config_path: &Path) -> Result<Self, BackupError> {
        let lists = lists_of(config)?;
        let left_out = lists_not_to_write(&lists, config_path)?;
        let folder = config.state_dir.join(format!("{RESTORED}.{DRAFT}"));
        make_folder(&config.state_dir)?;
        let turn = Turn::take(&config.state_dir)?;
        folder::remove(&folder).map_err(BackupError::of("remove", &folder))?;
        let area = Self { folder, state_dir: config.state_dir.clone(), lists, left_out, _turn: turn };
        make_folder(&area.folder)?;
        Ok(area)
    }

    /// Takes in a file of the archive.
    fn take(&self, path: &Path, content: &mut dyn Read) -> Result<(), BackupError> {
        if !self.is_known(path) {
            return Err(BackupError::Foreign(format!("{} is in it", path.display())));
        }
        let place = self.folder.join(path);
        if let Some(folder) = place.parent() {
            make_folder(folder)?;
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&place)
            .map_err(BackupError::of("make", &place))?;
        let mut buffer = [0; 32 * 1024];
        loop {
            // Apart, so that it is said whether the archive or the disk is at fault.
            let len = content.read(&mut buffer).map_err(BackupError::Read)?;
            let Some(bytes) = buffer.get(..len).filter(|bytes| !bytes.is_empty()) else { break };
            io::Write::write_all(&mut file, bytes).map_err(BackupError::of("write", &place))?;
        }
        file.sync_all().map_err(BackupError::of("write", &place))
    }

    /// Nothing but what [`super::write()`] writes leaves the archive: a path of another form could end up anywhere.
    fn is_known(&self, path: &Path) -> bool {
        let parts: Option<Vec<&str>> = path
            .components()
            .map(|part| match part {
                Component::Normal(name) => name.to_str(),
                _ => None,
            })
            .collect();
        match parts.as_deref() {
            Some([STATE, DATABASE]) => true,
            Some([STATE, folder, _]) => FOLDERS.contains(folder),
            Some([FILES, ..]) => self.lists.iter().any(|(place, _)| place == path),
            _ => false,
        }
    }

    /// Puts lists and configuration in place, and at last the state where the daemon looks for it: whatever fails before, it finds none.
    fn finish(self, text: &str, config_path: &Path, now: Timestamp) -> Result<Restored, BackupError> {
        let state = self.folder.join(STATE);
        self.check_database(&state)?;
        let mut kept = Vec::new();
        for (place, path) in self.lists.iter().filter(|(place, _)| self.folder.join(place).exists()) {
            if !self.left_out.contains(path) {
                let list = fs::read(self.folder.join(place)).map_err(BackupError::of("read", path))?;
                kept.extend(replace(path, &list, now)?);
            }
        }
        kept.extend(replace(config_path, text.as_bytes(), now)?);
        let has_state = state.exists();
        if has_state {
            self.lay_out(&state)?;
        }
        Ok(Restored { state_dir: self.state_dir.clone(), has_state, kept, left_out: self.left_out.clone() })
    }

    fn check_database(&self, state: &Path) -> Result<(), BackupError> {
        if state.join(DATABASE).exists() {
            Store::join_checked(state).map_err(|error| match error {
                StoreError::Corrupt { what, .. } => BackupError::Foreign(format!("its database is damaged ({what})")),
                StoreError::Newer { .. } => BackupError::Newer,
                other => other.into(),
            })?;
        }
        Ok(())
    }

    fn lay_out(&self, state: &Path) -> Result<(), BackupError> {
        let waiting = self.state_dir.join(RESTORED);
        folder::remove(&waiting).map_err(BackupError::of("remove", &waiting))?;
        fs::rename(state, &waiting).map_err(BackupError::of("rename", state))?;
        folder::sync(&self.state_dir).map_err(BackupError::of("write", &self.state_dir))
    }
}

impl Drop for Area {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The lists that a configuration names as files: their places in an archive, and in the box.
fn lists_of(config: &Config) -> Result<Vec<(PathBuf, PathBuf)>, BackupError> {
    let files = config.lists.iter().filter_map(|list| match &list.source {
        Source::File(path) => Some(path),
        Source::Url { .. } => None,
    });
    files.map(|path| Ok((place_of_list(path)?, absolute(path).map_err(BackupError::of("find", path))?))).collect()
}

/// Where the configuration comes from the archive too, its lists may be anything that root can write. Only what lies beside the configuration, or
/// what that of the box names already, is written.
fn lists_not_to_write(lists: &[(PathBuf, PathBuf)], config_path: &Path) -> Result<Vec<PathBuf>, BackupError> {
    let here = absolute(config_path).map_err(BackupError::of("find", config_path))?;
    let folder = Path::new(FILES).join(here.parent().unwrap_or(&here).strip_prefix("/").unwrap_or(&here));
    // One that has a mistake names none.
    let known = Config::load(config_path).ok().map_or_else(|| Ok(Vec::new()), |config| lists_of(&config))?;
    let may_write = |place: &Path| place.starts_with(&folder) || known.iter().any(|(known, _)| known == place);
    Ok(lists.iter().filter(|(place, _)| !may_write(place)).map(|(_, path)| path.clone()).collect())
}

/// Writes a file whole or not at all. What was there before, if it was something else, is kept; where is returned.
fn replace(path: &Path, bytes: &[u8], now: Timestamp) -> Result<Option<PathBuf>, BackupError> {
    let path = &behind_links(path);
    let failed = |what| BackupError::of(what, path);
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).map_err(failed("make the folder of"))?;
    }
    let before = match fs::read(path) {
        Ok(same) if same == bytes => return Ok(None),
        Ok(before) => Some(before),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => None,
        Err(cause) => return Err(failed("read")(cause)),
    };
    let put = |place: &Path, bytes: &[u8]| {
        let mut draft = Draft::of(place)?;
        if let Ok(found) = fs::metadata(path) {
            fchown(&draft.file, Some(found.uid()), Some(found.gid()))?;
            draft.file.set_permissions(found.permissions())?;
        }
        io::Write::write_all(&mut draft.file, bytes)?;
        draft.put()
    };
    let kept = before.map(|before| {
        let mut place = path.as_os_str().to_owned();
        place.push(format!(".before-{}", date::for_file_name(now)));
        let place = PathBuf::from(place);
        put(&place, &before).map(|()| place)
    });
    let kept = kept.transpose().map_err(failed("keep a copy of"))?;
    put(path, bytes).map_err(failed("write"))?;
    Ok(kept)
}

fn make_folder(path: &Path) -> Result<(), BackupError> {
    folder::make_private(path).map_err(BackupError::of("make", path))
}
