//! Writing an update into the slot that does not run.
//!
//! The first bytes of each partition, by which its file system is known, are written last: a slot that is half written can be
//! neither mounted nor started, whenever the power goes.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use model_compiler::sealed::PublicKey;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use sha2::{Digest as _, Sha256};

use super::UpdateError;
use super::disk::{Boot, Disk, Partition, Slot};
use super::environment::Environment;
use super::file::{Manifest, Opened, Part, open};
use crate::hexadecimal::hexadecimal;

/// What is written at a time, and what is written last.
const CHUNK_BYTES: usize = 64 * 1024;

/// What a box takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// What it calls its board.
    pub board: String,
    /// Whose updates.
    pub keys: Vec<PublicKey>,
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// Where it is.
    pub slot: Slot,
    /// What it is.
    pub version: String,
}

/// Writes an update, reads it again, and says in the environment what the slot holds now.
///
/// # Errors
/// What was wrong. The slot that runs is as it was in any case, and so is the other one unless the error says otherwise.
pub fn install(
    file: impl Read,
    taken: &Taken,
    disk: &Disk,
    boot: &Boot,
    environment: &mut Environment,
) -> Result<Installed, UpdateError> {
    // What is being tried may have to be taken back: then the other slot must be as it was. Said before a file is waited for.
    if disk.is_on_trial(environment) {
        return Err(UpdateError::OnTrial(disk.running));
    }
    let Opened { manifest, mut parts } = open(file, &taken.keys)?;
    if manifest.board != taken.board {
        return Err(UpdateError::Board { theirs: manifest.board, ours: taken.board.clone() });
    }
    let slot = disk.running.other();
    let places = places(&manifest, &disk.parts(slot))?;
    // The firmware may have started this slot by itself, in the place of the one that is about to hold what nobody has tried.
    boot.start(disk.running)?;
    environment.begin(slot)?;
    let mut starts = Vec::new();
    for (part, partition) in &places {
        starts.push(write_all_but_the_start(&mut parts, part, &partition.device)?);
    }
    if parts.read(&mut [0]).map_err(UpdateError::Read)? != 0 {
        return Err(UpdateError::Read(io::Error::other("it is longer than it says")));
    }
    for ((part, partition), start) in places.iter().zip(&starts) {
        write_the_start(part, &partition.device, start)?;
    }
    environment.complete(slot, &manifest.version)?;
    Ok(Installed { slot, version: manifest.version })
}

/// Which part goes where: each has its partition, and each partition its part.
fn places<'a>(
    manifest: &'a Manifest,
    slot: &BTreeMap<&str, &'a Partition>,
) -> Result<Vec<(&'a Part, &'a Partition)>, UpdateError> {
    let mut theirs: Vec<&str> = manifest.parts.iter().map(|part| part.name.as_str()).collect();
    theirs.sort_unstable();
    if !theirs.iter().eq(slot.keys()) {
        let ours: Vec<&str> = slot.keys().copied().collect();
        return Err(UpdateError::Parts { theirs: theirs.join(" and "), ours: ours.join(" and ") });
    }
    let mut places = Vec::new();
    for part in &manifest.parts {
        let Some(partition) = slot.get(part.name.as_str()) else { continue };
        if part.bytes > partition.bytes {
            let (part, bytes) = (part.name.clone(), part.bytes);
            return Err(UpdateError::TooLarge { part, bytes, room: partition.bytes });
        }
        places.push((part, *partition));
    }
    Ok(places)
}

/// Writes a part but for its first chunk, which is returned; zeros stand there meanwhile.
fn write_all_but_the_start(file: &mut impl Read, part: &Part, device: &Path) -> Result<Vec<u8>, UpdateError> {
    let failed = |cause| UpdateError::system(device)(cause);
    let mut partition = OpenOptions::new().write(true).open(device).map_err(failed)?;
    let (mut hash, mut start, mut left) = (Sha256::new(), None, part.bytes);
    let mut chunk = vec![0; CHUNK_BYTES];
    while left > 0 {
        let wanted = usize::try_from(left).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
        chunk.truncate(wanted);
        file.read_exact(&mut chunk).map_err(UpdateError::Read)?;
        hash.update(&chunk);
        left -= wanted as u64;
        if start.is_none() {
            partition.write_all(&vec![0; wanted]).map_err(failed)?;
            start = Some(chunk.clone());
        } else {
            partition.write_all(&chunk).map_err(failed)?;
        }
    }
    partition.sync_all().map_err(failed)?;
    if hexadecimal(&hash.finalize()) != part.sha256 {
        return Err(UpdateError::Damaged(part.name.clone()));
    }
    Ok(start.unwrap_or_default())
}

/// Writes the first chunk of a part, and reads the whole from the disk again.
fn write_the_start(part: &Part, device: &Path, start: &[u8]) -> Result<(), UpdateError> {
    let failed = |cause| UpdateError::system(device)(cause);
    let mut partition = OpenOptions::new().read(true).write(true).open(device).map_err(failed)?;
    partition.write_all(start).and_then(|()| partition.sync_all()).map_err(failed)?;
    if hash_on_disk(&mut partition, part.bytes).map_err(failed)? == part.sha256 {
        return Ok(());
    }
    let emptied = partition.seek(SeekFrom::Start(0)).and_then(|_| partition.write_all(&vec![0; start.len()]));
    emptied.and_then(|()| partition.sync_all()).map_err(failed)?;
    Err(UpdateError::Worn { device: device.to_owned() })
}

/// The SHA-256 of the first bytes, from the disk and not from memory.
fn hash_on_disk(partition: &mut File, bytes: u64) -> io::Result<String> {
    posix_fadvise(&*partition, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
    partition.seek(SeekFrom::Start(0))?;
    let mut hash = Sha256::new();
    let (mut partition, mut chunk) = (partition.take(bytes), vec![0; CHUNK_BYTES]);
    loop {
        match partition.read(&mut chunk)? {
            0 => break,
            read => hash.update(chunk.get(..read).unwrap_or_default()),
        }
    }
    Ok(hexadecimal(&hash.finalize()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::disk::tests::{boot, system};
    use super::super::environment::tests::environment;
    use super::super::file::tests::{key, manifest, sign};
    use super::*;
    use crate::store::test_directory::TestDirectory;

    const PARTITIONS: [(&str, u64); 5] = [("boot", 4), ("root-a", 200), ("root-b", 200), ("boot-b", 4), ("boot-a", 4)];

    /// What a file brings, by name.
    type Parts<'a> = &'a [(&'a str, &'a [u8])];

    /// A box whose slot a runs.
    struct Box {
        folder: TestDirectory,
        disk: Disk,
        environment: Environment,
    }

    impl Box {
        fn new(name: &str, cmdline: &str) -> Self {
            let folder = system(name, cmdline, &PARTITIONS);
            let disk = Disk::find(folder.path()).unwrap();
            let environment = environment(folder.path(), "slot=a\nversion_a=1.0\nversion_b=0.9\ntried=b\n");
            Self { disk, environment: Environment::read(&environment).unwrap(), folder }
        }

        fn install(&mut self, manifest: &str, parts: Parts<'_>) -> Result<Slot, UpdateError> {
            let file = sign(&key(1), manifest, parts);
            let taken = Taken { board: "this-board".to_owned(), keys: vec![key(1).public()] };
            let boot = boot(&self.disk, self.folder.path());
            install(&file[..], &taken, &self.disk, &boot, &mut self.environment).map(|installed| installed.slot)
        }

        fn partition(&self, number: u32) -> Vec<u8> {
            fs::read(self.folder.path().join(format!("dev/vda{number}"))).unwrap()
        }
    }

    /// Two parts; the first takes several chunks.
    fn parts() -> (Vec<u8>, Vec<u8>) {
        ((0..150_000_u32).map(|number| number.to_le_bytes()[0]).collect(), b"the kernel".to_vec())
    }

    #[test]
    fn an_update_goes_to_the_other_slot_and_nowhere_else() {
        let mut r#box = Box::new("install", "sluice.slot=a");
        let before = (r#box.partition(1), r#box.partition(2), r#box.partition(5));
        let (root, boot) = parts();
        let parts = [("root", &root[..]), ("boot", &boot)];
        assert_eq!(r#box.install(&manifest("1.1", "this-board", &parts), &parts).unwrap(), Slot::B);
        assert_eq!((r#box.partition(1), r#box.partition(2), r#box.partition(5)), before);
        assert_eq!(r#box.partition(3)[..root.len()], root);
        assert_eq!(r#box.partition(3)[root.len()..], vec![b'x'; 200 * 1024 - root.len()]);
        assert_eq!(r#box.partition(4)[..boot.len()], boot);
        assert_eq!((r#box.environment.version(Slot::B), r#box.environment.tried()), (Some("1.1"), None));
        assert_eq!((r#box.environment.kept(), r#box.environment.trial()), (Slot::A, None));
    }

    #[test]
    fn what_does_not_fit_is_refused_before_anything_is_written() {
        let mut r#box = Box::new("refused", "sluice.slot=a");
        let (root, boot) = parts();
        let (large, before) = (vec![1; 200 * 1024 + 1], r#box.environment.clone());
        let wrong: [(&str, Parts<'_>, &str); 5] = [
            ("other-board", &[("root", &root), ("boot", &boot)], "it is for the board other-board"),
            ("this-board", &[("root", &root)], "it brings root, and a slot of this box consists of boot and root"),
            ("this-board", &[("root", &root), ("boot", &boot), ("more", b"")], "it brings boot and more and root"),
            ("this-board", &[("root", &root), ("root", &root)], "it brings root and root"),
            ("this-board", &[("root", &large), ("boot", &boot)], "its part `root` takes 204801 bytes"),
        ];
        for (board, parts, says) in wrong {
            let error = r#box.install(&manifest("1.1", board, parts), parts).unwrap_err().to_string();
            assert!(error.starts_with(says), "{error}");
            assert_eq!((&r#box.environment, r#box.partition(3)), (&before, vec![b'x'; 200 * 1024]));
        }
    }

    #[test]
    fn a_file_that_is_damaged_or_cut_off_leaves_a_slot_that_holds_nothing() {
        let (root, boot) = parts();
        let parts = [("root", &root[..]), ("boot", &boot)];
        let mut changed = root.clone();
        changed[100_000] ^= 1;
        let long = [&boot[..], b"!"].concat();
        let damaged: [(Parts<'_>, &str); 4] = [
            (&[("root", &changed), ("boot", &boot)], "its part `root` is not what was signed"),
            (&[("root", &root[..70_000])], "it cannot be read to its end"),
            (&[("root", &root), ("boot", &boot[1..])], "it cannot be read to its end"),
            (&[("root", &root), ("boot", &long)], "it cannot be read to its end: it is longer than it says"),
        ];
        for (number, (given, says)) in damaged.into_iter().enumerate() {
            let mut r#box = Box::new(&format!("damaged{number}"), "sluice.slot=a");
            let error = r#box.install(&manifest("1.1", "this-board", &parts), given).unwrap_err().to_string();
            assert!(error.starts_with(says), "{error}");
            assert_eq!(r#box.environment.version(Slot::B), None);
            assert_eq!(r#box.partition(3)[..CHUNK_BYTES], vec![0; CHUNK_BYTES], "it cannot be mounted");
        }
    }

    #[test]
    fn a_slot_that_could_not_be_loaded_is_tried_like_any_other_once_it_is_written_anew() {
        let mut r#box = Box::new("unloadable", "sluice.slot=b");
        assert_eq!(r#box.environment.kept(), Slot::A, "b was started all the same");
        let (root, boot) = parts();
        let parts = [("root", &root[..]), ("boot", &boot)];
        assert_eq!(r#box.install(&manifest("1.2", "this-board", &parts), &parts).unwrap(), Slot::A);
        assert_eq!(r#box.environment.kept(), Slot::B);
        let autoboot = fs::read_to_string(r#box.folder.path().join("autoboot.txt")).unwrap();
        assert!(autoboot.contains("boot_partition=4\n[tryboot]\nboot_partition=5"), "{autoboot}");
    }

    #[test]
    fn nothing_is_written_while_a_trial_may_have_to_be_taken_back() {
        let mut r#box = Box::new("on-trial", "sluice.slot=b sluice.trial");
        let error = r#box.install(&manifest("1.1", "this-board", &[("root", b"x")]), &[]).unwrap_err();
        assert!(matches!(error, UpdateError::OnTrial(Slot::B)), "{error}");
        r#box.environment.keep(Slot::B).unwrap();
        let (root, boot) = parts();
        let parts = [("root", &root[..]), ("boot", &boot)];
        assert_eq!(r#box.install(&manifest("1.2", "this-board", &parts), &parts).unwrap(), Slot::A);
    }
}
