//! The environment: which slot is started, in GRUB's own form, so that GRUB reads and writes it too. Where the firmware of a Raspberry Pi
//! starts the slots it is our own notebook, and `trial` stays empty.
//!
//! It is [`BLOCK_BYTES`] long, whatever it holds: a first line that says what it is, `NAME=VALUE` lines, and `#` up to the end (GRUB
//! manual, "The GRUB environment block"). It is written in its place: GRUB writes to the very sectors that it found the file in.
//!
//! | name | value |
//! |---|---|
//! | `slot` | `a` or `b`: what is started |
//! | `trial` | what is started the next time only; GRUB empties it before it does so |
//! | `tried` | what `trial` was last; empty once that is kept |
//! | `version_a`, `version_b` | the version that the slot holds; empty where it holds none, or half of one |

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::UpdateError;
use super::disk::Slot;

/// How long the file is.
const BLOCK_BYTES: usize = 1024;

const HEADER: &str = "# GRUB Environment Block\n";

/// The environment, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    path: PathBuf,
    values: Vec<(String, String)>,
}

impl Environment {
    /// Reads it.
    ///
    /// # Errors
    /// It is not there, or something else.
    pub fn read(path: &Path) -> Result<Self, UpdateError> {
        let bytes = fs::read(path).map_err(UpdateError::system(path))?;
        let wrong = |why| UpdateError::Environment { path: path.to_owned(), why };
        if bytes.len() != BLOCK_BYTES {
            return Err(wrong("it is not 1024 bytes long"));
        }
        let text = str::from_utf8(&bytes).map_err(|_| wrong("it is no text"))?;
        let lines = text.strip_prefix(HEADER).ok_or_else(|| wrong("its first line is another one"))?;
        let values = lines.lines().filter_map(|line| line.split_once('=')).filter(|(name, _)| !name.starts_with('#'));
        let values = values.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Ok(Self { path: path.to_owned(), values })
    }

    /// The slot that is started unless another one is tried. Whatever else stands there means the first one, as it does to GRUB.
    #[must_use]
    pub fn kept(&self) -> Slot {
        self.slot("slot").unwrap_or(Slot::A)
    }

    /// The slot that the next start tries.
    #[must_use]
    pub fn trial(&self) -> Option<Slot> {
        self.slot("trial")
    }

    /// The slot that was tried last and is not kept yet.
    #[must_use]
    pub fn tried(&self) -> Option<Slot> {
        self.slot("tried")
    }

    /// The version that a slot holds.
    #[must_use]
    pub fn version(&self, slot: Slot) -> Option<&str> {
        self.get(version_name(slot))
    }

    /// A slot is about to be written: it holds nothing and is not started, and nothing is tried.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn begin(&mut self, slot: Slot) -> Result<(), UpdateError> {
        self.write(&[("slot", slot.other().name()), (version_name(slot), ""), ("trial", ""), ("tried", "")])
    }

    /// A slot is whole.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn complete(&mut self, slot: Slot, version: &str) -> Result<(), UpdateError> {
        self.write(&[(version_name(slot), version)])
    }

    /// The next start tries a slot; where the firmware is told so in another way, this only remembers it.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn try_once(&mut self, slot: Slot, firmware_is_told: bool) -> Result<(), UpdateError> {
        let trial = if firmware_is_told { "" } else { slot.name() };
        self.write(&[("trial", trial), ("tried", slot.name())])
    }

    /// A slot is started from now on.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn keep(&mut self, slot: Slot) -> Result<(), UpdateError> {
        self.write(&[("slot", slot.name()), ("trial", ""), ("tried", "")])
    }

    fn get(&self, name: &str) -> Option<&str> {
        let found = self.values.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        found.filter(|value| !value.is_empty())
    }

    fn slot(&self, name: &str) -> Option<Slot> {
        self.get(name).and_then(Slot::from_name)
    }

    fn write(&mut self, changes: &[(&str, &str)]) -> Result<(), UpdateError> {
        for (name, value) in changes {
            match self.values.iter_mut().find(|(known, _)| known == name) {
                Some((_, old)) => (*value).clone_into(old),
                None => self.values.push(((*name).to_owned(), (*value).to_owned())),
            }
        }
        let lines: String = self.values.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
        let block = format!("{:#<BLOCK_BYTES$}", format!("{HEADER}{lines}"));
        if block.len() != BLOCK_BYTES {
            return Err(UpdateError::Environment { path: self.path.clone(), why: "it is full" });
        }
        let written = OpenOptions::new().write(true).open(&self.path).and_then(|mut file| {
            file.write_all(block.as_bytes())?;
            file.sync_all()
        });
        written.map_err(UpdateError::system(&self.path))
    }
}

const fn version_name(slot: Slot) -> &'static str {
    match slot {
        Slot::A => "version_a",
        Slot::B => "version_b",
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::store::test_directory::TestDirectory;

    /// An environment with these lines, as `grub-editenv` makes it.
    pub(in super::super) fn environment(folder: &Path, lines: &str) -> PathBuf {
        let path = folder.join("grubenv");
        fs::write(&path, format!("{:#<1024}", format!("{HEADER}{lines}"))).unwrap();
        path
    }

    #[test]
    fn a_slot_is_tried_once_and_then_kept_or_not() {
        let folder = TestDirectory::new("environment");
        let path = environment(folder.path(), "slot=a\nversion_a=1.0\n");
        let mut environment = Environment::read(&path).unwrap();
        environment.begin(Slot::B).unwrap();
        environment.complete(Slot::B, "1.1").unwrap();
        assert_eq!((environment.kept(), environment.trial(), environment.tried()), (Slot::A, None, None));
        environment.try_once(Slot::B, false).unwrap();
        let mut environment = Environment::read(&path).unwrap();
        assert_eq!(
            (environment.kept(), environment.trial(), environment.tried()),
            (Slot::A, Some(Slot::B), Some(Slot::B))
        );
        assert_eq!((environment.version(Slot::A), environment.version(Slot::B)), (Some("1.0"), Some("1.1")));
        environment.keep(Slot::B).unwrap();
        let environment = Environment::read(&path).unwrap();
        assert_eq!((environment.kept(), environment.trial(), environment.tried()), (Slot::B, None, None));
    }

    #[test]
    fn the_file_stays_as_grub_wants_it_and_keeps_what_others_wrote() {
        let folder = TestDirectory::new("environment");
        let path = environment(folder.path(), "theirs=1\nslot=a\n");
        Environment::read(&path).unwrap().try_once(Slot::B, false).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.len(), 1024);
        assert!(text.starts_with("# GRUB Environment Block\ntheirs=1\nslot=a\ntrial=b\ntried=b\n####"), "{text}");
        assert!(text.ends_with('#'));
    }

    #[test]
    fn what_is_no_environment_is_refused_and_what_is_full_is_not_written() {
        let folder = TestDirectory::new("environment");
        let path = environment(folder.path(), "slot=a\n");
        let whole = fs::read(&path).unwrap();
        let full = Environment::read(&path).unwrap().complete(Slot::B, &"9".repeat(1024)).unwrap_err();
        assert!(full.to_string().contains("full"), "{full}");
        assert_eq!(fs::read(&path).unwrap(), whole);
        for wrong in [&whole[1..], &whole[..1023], &[b'#'; 1024], &[0xff; 1024]] {
            fs::write(&path, wrong).unwrap();
            assert!(matches!(Environment::read(&path), Err(UpdateError::Environment { .. })), "{wrong:?}");
        }
    }
}
