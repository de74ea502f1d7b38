//! The registry: sealed models in a folder beside the database, and those of them that are loaded.
//!
//! A file is checked whenever it is read, not only when it is taken in: keys and program may have changed since. What is loaded
//! stays in memory until the program ends, because decisions on their way point to it; so only so many are.

mod choice;

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use model_compiler::sealed::{MAX_BYTES, ModelId, Payload, PublicKey, SealedError, open};
use sha2::{Digest as _, Sha256};

use crate::draft::Draft;
use crate::folder;
use crate::linux::heap;
use crate::verdict::Model;
pub use choice::{Choice, Choices, ModelConfig};

/// The folder, in that of the database.
pub(crate) const FOLDER: &str = "models";

/// Files that are kept at once. Full: no other is taken in.
pub const MOST_STORED: usize = 16;

/// What they may take together, in bytes.
pub const MOST_STORED_BYTES: u64 = 16 * 1024 * 1024;

/// How much memory models may take: the profile says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// The longest file that is read, in bytes. While it is read its model takes some seven times as much besides.
    pub file_bytes: usize,
    /// What the tables of all models that one run of the program loads may take together, in bytes.
    pub loaded_bytes: usize,
}

/// A file of the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Which model it says that it is, by its name.
    pub id: ModelId,
    /// How long it is.
    pub bytes: u64,
}

/// The files, and what is loaded of them.
#[derive(Debug)]
pub struct Registry {
    folder: PathBuf,
    keys: Vec<PublicKey>,
    room: Room,
    loaded: Vec<(Digest, &'static Model)>,
    loaded_bytes: usize,
}

type Digest = [u8; 32];

/// Why a model is not taken in or not used; the text names the file and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The file cannot be read.
    #[error("{}: cannot read it: {cause}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// It is no model for this program, or nobody who is trusted answers for it.
    #[error("{}: {cause}", path.display())]
    Sealed {
        /// The file.
        path: PathBuf,
        /// Why not.
        cause: SealedError,
    },
    /// There is no such model.
    #[error("{id} is not in the registry ({} is missing); take it in with `sluice model load FILE`", path.display())]
    Unknown {
        /// Which.
        id: ModelId,
        /// Where its file would be.
        path: PathBuf,
    },
    /// The file holds another model than its name says.
    #[error("{}: it holds {found}; somebody has renamed it: remove it, and load it again", path.display())]
    Renamed {
        /// The file.
        path: PathBuf,
        /// What it is.
        found: ModelId,
    },
    /// Another file of the same name and version is there.
    #[error(
        "another {id} is in the registry; remove it with `sluice model remove {id}`, or seal yours with a higher version"
    )]
    Exists {
        /// Which.
        id: ModelId,
    },
    /// There are too many.
    #[error(
        "there is no room: the registry holds at most {MOST_STORED} files and {MOST_STORED_BYTES} bytes; remove one with `sluice model remove`"
    )]
    Full,
    /// It alone would take too much memory.
    #[error(
        "{}: it takes {bytes} bytes of memory, and memory.profile has room for a model of at most {most}; train a smaller one, or \
         choose a larger profile",
        path.display()
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// How much it takes.
        bytes: usize,
        /// How much it may.
        most: usize,
    },
    /// Too many were loaded.
    #[error(
        "{id} is not loaded: models stay in memory until the program ends, and there is no room for more; `sluice restart` makes some"
    )]
    TooManyLoaded {
        /// Which.
        id: ModelId,
    },
    /// It need not judge beside itself.
    #[error("{id} decides already: a shadow is another model")]
    Decides {
        /// Which.
        id: ModelId,
    },
    /// A file that somebody else named is still being read.
    #[error(
        "another model file is being read; wait for it, or `sluice restart` where its file system no longer answers"
    )]
    Busy,
    /// It judges.
    #[error("{id} is in use; `sluice model pin` another one, or `sluice model shadow off`, first")]
    InUse {
        /// Which.
        id: ModelId,
    },
    /// No other model has decided before.
    #[error("no other model has decided before; choose one with `sluice model pin`")]
    NothingBefore,
    /// The file cannot be written or removed.
    #[error("{}: cannot write it: {cause}; see that the disk is not full and the folder can be written", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
}

impl Registry {
    /// The registry in the folder of the database; `keys` are trusted.
    #[must_use]
    pub fn new(state_dir: &Path, keys: Vec<PublicKey>, room: Room) -> Self {
        Self { folder: state_dir.join(FOLDER), keys, room, loaded: Vec::new(), loaded_bytes: 0 }
    }

    /// How much memory its models may take.
    #[must_use]
    pub const fn room(&self) -> Room {
        self.room
    }

    /// Trusts these keys from now on, and no others; which it trusted before.
    pub fn trust(&mut self, keys: Vec<PublicKey>) -> Vec<PublicKey> {
        core::mem::replace(&mut self.keys, keys)
    }

    /// The files, by name and version.
    #[must_use]
    pub fn stored(&self) -> Vec<Stored> {
        let Ok(found) = fs::read_dir(&self.folder) else { return Vec::new() };
        let stored = |entry: fs::DirEntry| {
            let id = ModelId::of_file_name(entry.file_name().to_str()?)?;
            Some(Stored { id, bytes: entry.metadata().ok()?.len() })
        };
        let mut stored: Vec<Stored> = found.flatten().filter_map(stored).collect();
        stored.sort_by(|a, b| a.id.cmp(&b.id));
        stored
    }

    /// Checks what was read of a file and copies it into the folder: whatever happens meanwhile, it is there whole or not at all. A
    /// file that is there already is taken for taken in.
    ///
    /// # Errors
    /// See [`RegistryError`]; nothing has changed then.
    pub fn take_in(&self, bytes: &[u8], path: &Path) -> Result<ModelId, RegistryError> {
        let payload = checked(bytes, path, &self.keys)?;
        self.needed_bytes(&payload, path)?;
        let id = ModelId::of(&payload);
        let place = self.place(&id);
        match read(&place, self.room.file_bytes) {
            Ok(same) if same == bytes => return Ok(id),
            Ok(_) => return Err(RegistryError::Exists { id }),
            Err(RegistryError::Read { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let stored = self.stored();
        let taken: u64 = stored.iter().map(|stored| stored.bytes).sum();
        if stored.len() >= MOST_STORED || taken + bytes.len() as u64 > MOST_STORED_BYTES {
            return Err(RegistryError::Full);
        }
        self.write(&place, bytes).map_err(|cause| RegistryError::Write { path: place, cause })?;
        Ok(id)
    }

    /// A model of the registry, ready to judge.
    ///
    /// # Errors
    /// See [`RegistryError`].
    pub fn model(&mut self, id: &ModelId) -> Result<&'static Model, RegistryError> {
        let path = self.place(id);
        let bytes = match read(&path, self.room.file_bytes) {
            Err(RegistryError::Read { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => {
                return Err(RegistryError::Unknown { id: id.clone(), path });
            }
            read => read?,
        };
        let payload = checked(&bytes, &path, &self.keys)?;
        let found = ModelId::of(&payload);
        if found != *id {
            return Err(RegistryError::Renamed { path, found });
        }
        let digest = Sha256::digest(&bytes).into();
        if let Some((_, model)) = self.loaded.iter().find(|(known, _)| *known == digest) {
            return Ok(model);
        }
        drop(bytes);
        let loaded_bytes = self.loaded_bytes + self.needed_bytes(&payload, &path)?;
        if loaded_bytes > self.room.loaded_bytes {
            return Err(RegistryError::TooManyLoaded { id: id.clone() });
        }
        let model = Model::load(id.to_string(), &payload.model);
        drop(payload);
        heap::give_back();
        self.loaded_bytes = loaded_bytes;
        self.loaded.push((digest, model));
        Ok(model)
    }

    /// Removes a file.
    ///
    /// # Errors
    /// There is none, or it cannot be removed.
    pub fn remove(&self, id: &ModelId) -> Result<(), RegistryError> {
        let path = self.place(id);
        match fs::remove_file(&path) {
            Ok(()) => Ok(()),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
                Err(RegistryError::Unknown { id: id.clone(), path })
            }
            Err(cause) => Err(RegistryError::Write { path, cause }),
        }
    }

    /// What the tables of the model take, where that is not too much.
    fn needed_bytes(&self, payload: &Payload, path: &Path) -> Result<usize, RegistryError> {
        let (bytes, most) = (Model::bytes_of(&payload.model), self.room.loaded_bytes);
        if bytes > most { Err(RegistryError::TooLarge { path: path.to_owned(), bytes, most }) } else { Ok(bytes) }
    }

    fn place(&self, id: &ModelId) -> PathBuf {
        self.folder.join(id.file_name())
    }

    fn write(&self, place: &Path, bytes: &[u8]) -> io::Result<()> {
        folder::make_private(&self.folder)?;
        let mut draft = Draft::of(place)?;
        draft.file.write_all(bytes)?;
        draft.put()
    }
}

/// The bytes of a file that is no longer than `most`. Devices and pipes are no files: a read could wait for ever.
///
/// # Errors
/// It cannot be read, or is longer.
pub fn read(path: &Path, most: usize) -> Result<Vec<u8>, RegistryError> {
    let failed = |cause| RegistryError::Read { path: path.to_owned(), cause };
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(failed)?;
    let found = file.metadata().map_err(failed)?;
    if !found.is_file() {
        return Err(failed(io::Error::other("it is no regular file")));
    }
    let mut bytes = Vec::new();
    file.take(most as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > most {
        let length = usize::try_from(found.len()).unwrap_or(usize::MAX).max(bytes.len());
        return Err(RegistryError::TooLarge { path: path.to_owned(), bytes: length, most });
    }
    Ok(bytes)
}

fn checked(bytes: &[u8], path: &Path, keys: &[PublicKey]) -> Result<Payload, RegistryError> {
    open(bytes, keys).map_err(|cause| RegistryError::Sealed { path: path.to_owned(), cause })
}

/// A sealed model from wherever it is, ready to judge.
///
/// # Errors
/// See [`RegistryError`].
pub fn load_file(path: &Path, keys: &[PublicKey]) -> Result<&'static Model, RegistryError> {
    let payload = checked(&read(path, MAX_BYTES)?, path, keys)?;
    Ok(Model::load(ModelId::of(&payload).to_string(), &payload.model))
}

#[cfg(test)]
mod tests;
