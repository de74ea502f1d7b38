//! The disk that the system was started from: its slots, and its boot partition.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use nix::mount::{MsFlags, mount, umount};

use super::UpdateError;
use super::environment::Environment;

/// The kernel's block size in `size` of sysfs, whatever the disk's is.
const SECTOR_BYTES: u64 = 512;

/// The partition with the environment.
const BOOT: &str = "boot";

/// One of the two places for a system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Slot {
    /// What a card is written with.
    A,
    /// What the first update goes to.
    B,
}

impl Slot {
    /// `a` or `b`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::B => "b",
        }
    }

    /// The slot that is called so.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::A, Self::B].into_iter().find(|slot| slot.name() == name)
    }

    /// Where an update goes while this one runs.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

impl Display for Slot {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Its device.
    pub device: PathBuf,
    /// Its number in the table.
    pub number: u32,
    /// How large it is.
    pub bytes: u64,
}

/// The disk with the root that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// The slot that runs.
    pub running: Slot,
    /// Whether it was started for a trial.
    pub is_trial: bool,
    /// By name, such as `root-a`.
    partitions: BTreeMap<String, Partition>,
}

impl Disk {
    /// Finds it, by what the kernel was started with and where the root is. `system` is `/`.
    ///
    /// # Errors
    /// This is no box that was made from an image.
    pub fn find(system: &Path) -> Result<Self, UpdateError> {
        let missing = |why: &str| UpdateError::NoSlots { why: why.to_owned() };
        let words = read(&system.join("proc/cmdline"))?;
        let mut words = words.split_ascii_whitespace();
        let is_trial = words.clone().any(|word| word == "sluice.trial");
        let running = words.find_map(|word| word.strip_prefix("sluice.slot=")).and_then(Slot::from_name);
        let running = running.ok_or_else(|| missing("the kernel was started without sluice.slot=a or =b"))?;
        let mounts = read(&system.join("proc/self/mountinfo"))?;
        // The device number is the third word and the place the fifth (proc(5)); what was mounted last is on top.
        let root = mounts.lines().rev().map(|line| line.split(' ').collect::<Vec<_>>());
        let number = root.filter(|words| words.get(4) == Some(&"/")).find_map(|words| words.get(2).copied());
        let number = number.ok_or_else(|| missing("there is no root file system"))?;
        let own = system.join("sys/dev/block").join(number);
        let own = fs::canonicalize(&own).map_err(|_| missing("the root file system is on no disk"))?;
        // Whatever the kernel was told, what is mounted is never written.
        let told = fs::read_to_string(own.join("uevent")).unwrap_or_default();
        if word(&told, "PARTNAME") != Some(&format!("root-{running}")) {
            return Err(missing("the root file system is not that of the slot which the kernel was started with"));
        }
        let partitions = partitions(system, own.parent().unwrap_or(&own))?;
        Ok(Self { running, is_trial, partitions })
    }

    /// Whether the slot that runs is still to be kept or taken back.
    #[must_use]
    pub fn is_on_trial(&self, environment: &Environment) -> bool {
        self.is_trial && environment.kept() != self.running
    }

    /// The partitions of a slot, by name without that of the slot.
    #[must_use]
    pub fn parts(&self, slot: Slot) -> BTreeMap<&str, &Partition> {
        let parts = self.partitions.iter().filter_map(|(name, partition)| match name.rsplit_once('-') {
            Some((part, last)) if last == slot.name() => Some((part, partition)),
            _ => None,
        });
        parts.collect()
    }

    /// Mounts the boot partition below `folder`, where nobody else does so meanwhile.
    ///
    /// # Errors
    /// There is none, or it cannot be mounted.
    pub fn boot(&self, folder: &Path, access: Access) -> Result<Boot, UpdateError> {
        let missing = || UpdateError::NoSlots { why: format!("its disk has no partition `{BOOT}`") };
        let device = &self.partitions.get(BOOT).ok_or_else(missing)?.device;
        let place = folder.join(BOOT);
        fs::create_dir_all(&place).map_err(UpdateError::system(&place))?;
        // One that was killed has left it mounted.
        let _ = umount(&place);
        let mut flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        flags.set(MsFlags::MS_RDONLY, access == Access::Look);
        mount(Some(device), &place, Some("vfat"), flags, Some("umask=077"))
            .map_err(|cause| UpdateError::system(device)(cause.into()))?;
        Ok(Boot { place, firmware_starts: self.firmware_starts() })
    }

    /// The numbers of the slots' own boot partitions, a and b, where there are such: those of a Raspberry Pi.
    fn firmware_starts(&self) -> Option<[u32; 2]> {
        let number = |slot| self.parts(slot).get(BOOT).map(|partition| partition.number);
        Some([number(Slot::A)?, number(Slot::B)?])
    }
}

/// What the boot partition is mounted for: it has no second copy, so nothing is written just to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// To read.
    Look,
    /// To write.
    Change,
}

/// The boot partition, mounted until this is dropped.
///
/// GRUB finds the environment there and does what it says. The firmware of a Raspberry Pi reads another file, `autoboot.txt`: the slot that
/// is started, and the one that is started once where the restart says [`Boot::trial_argument`] (Raspberry Pi documentation, "The
/// autoboot.txt file").
#[derive(Debug)]
pub struct Boot {
    place: PathBuf,
    /// The numbers of the partitions that the firmware of a Raspberry Pi starts, a and b; nothing with GRUB.
    firmware_starts: Option<[u32; 2]>,
}

impl Boot {
    /// Where the environment is.
    #[must_use]
    pub fn environment(&self) -> PathBuf {
        self.place.join(if self.firmware_starts.is_none() { "grub/grubenv" } else { "slots.env" })
    }

    /// Has the next start try a slot, and the one after that start what runs now. Returns what the restart must tell the firmware.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn try_once(&self, slot: Slot, environment: &mut Environment) -> Result<Option<&'static str>, UpdateError> {
        self.start(slot.other())?;
        let argument = self.trial_argument();
        environment.try_once(slot, argument.is_some())?;
        Ok(argument)
    }

    /// What the restart must tell the firmware for a trial; nothing to GRUB, which reads it in the environment.
    fn trial_argument(&self) -> Option<&'static str> {
        self.firmware_starts.map(|_| "0 tryboot")
    }

    /// Has the firmware start a slot from now on, and the other one in a trial; writes only what is not there yet. GRUB reads that in the
    /// environment.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn start(&self, slot: Slot) -> Result<(), UpdateError> {
        let Some([a, b]) = self.firmware_starts else { return Ok(()) };
        let (kept, other) = if slot == Slot::A { (a, b) } else { (b, a) };
        let text = format!("[all]\ntryboot_a_b=1\nboot_partition={kept}\n[tryboot]\nboot_partition={other}\n");
        let path = self.place.join("autoboot.txt");
        if fs::read(&path).is_ok_and(|there| there == text.as_bytes()) {
            return Ok(());
        }
        // In its place: one sector, whole or not at all. On FAT another file that takes its name would not be.
        let written = OpenOptions::new().write(true).create(true).truncate(false).open(&path).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.set_len(text.len() as u64)?;
            file.sync_all()
        });
        written.map_err(UpdateError::system(&path))
    }
}

impl Drop for Boot {
    fn drop(&mut self) {
        // What was written is on the disk already; at worst it stays mounted until the next start.
        let _ = umount(&self.place);
    }
}

/// The partitions with a name of the disk with that folder in sysfs.
fn partitions(system: &Path, disk: &Path) -> Result<BTreeMap<String, Partition>, UpdateError> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(disk).map_err(UpdateError::system(disk))? {
        let folder = entry.map_err(UpdateError::system(disk))?.path();
        // The disk's other folders have no such file.
        let Ok(told) = fs::read_to_string(folder.join("uevent")) else { continue };
        let (Some(name), Some(device)) = (word(&told, "PARTNAME"), word(&told, "DEVNAME")) else { continue };
        let partition = Partition {
            device: system.join("dev").join(device),
            number: number(&folder.join("partition"))?,
            bytes: number::<u64>(&folder.join("size"))?.saturating_mul(SECTOR_BYTES),
        };
        found.insert(name.to_owned(), partition);
    }
    Ok(found)
}

/// A word of the kernel's about a partition.
fn word<'a>(told: &'a str, name: &str) -> Option<&'a str> {
    told.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
}

/// A number that stands alone in a file.
fn number<N: FromStr>(path: &Path) -> Result<N, UpdateError> {
    let invalid = |_| UpdateError::system(path)(io::ErrorKind::InvalidData.into());
    read(path)?.trim_end().parse().map_err(invalid)
}

fn read(path: &Path) -> Result<String, UpdateError> {
    fs::read_to_string(path).map_err(UpdateError::system(path))
}

#[cfg(test)]
pub(super) mod tests {
    use core::mem::ManuallyDrop;
    use std::os::unix::fs::symlink;
    use std::time::UNIX_EPOCH;

    use super::super::environment::tests::environment;
    use super::*;
    use crate::store::test_directory::TestDirectory;

    /// What the kernel shows of a box, below a folder: a disk with these partitions, each a file of some KiB.
    pub(in super::super) fn system(name: &str, cmdline: &str, partitions: &[(&str, u64)]) -> TestDirectory {
        let folder = TestDirectory::new(name);
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("proc/cmdline", cmdline);
        write(
            "proc/self/mountinfo",
            "1 1 0:2 / / rw - rootfs none rw\n20 1 254:2 / / ro,relatime - squashfs /dev/vda2 ro\n",
        );
        for (number, (name, kib)) in partitions.iter().enumerate() {
            let (device, number) = (format!("vda{}", number + 1), number + 1);
            let place = format!("sys/devices/virtio0/block/vda/{device}");
            write(
                &format!("{place}/uevent"),
                &format!(
                    "MAJOR=254\nMINOR={number}\nDEVNAME={device}\nDEVTYPE=partition\nPARTN={number}\nPARTNAME={name}\n"
                ),
            );
            write(&format!("{place}/size"), &format!("{}\n", kib * 2));
            write(&format!("{place}/partition"), &format!("{number}\n"));
            write(&format!("dev/{device}"), &"x".repeat(usize::try_from(kib * 1024).unwrap()));
        }
        write("sys/devices/virtio0/block/vda/queue/uevent", "");
        fs::create_dir_all(folder.path().join("sys/dev/block")).unwrap();
        let is_root =
            |name: &str| name.strip_prefix("root-").is_some_and(|slot| cmdline.contains(&format!("slot={slot}")));
        let root = partitions.iter().position(|(name, _)| is_root(name)).unwrap_or_default() + 1;
        symlink(format!("../../devices/virtio0/block/vda/vda{root}"), folder.path().join("sys/dev/block/254:2"))
            .unwrap();
        folder
    }

    #[test]
    fn the_slots_are_found_by_their_names_on_the_disk_of_the_root() {
        let partitions = [("boot", 4), ("root-a", 8), ("root-b", 16), ("data", 4)];
        let folder = system("disk", "console=ttyS0 sluice.slot=a ro\n", &partitions);
        let disk = Disk::find(folder.path()).unwrap();
        assert_eq!((disk.running, disk.is_trial), (Slot::A, false));
        let other = disk.parts(Slot::B);
        assert_eq!(other.keys().copied().collect::<Vec<_>>(), ["root"]);
        assert_eq!(other["root"], &Partition { device: folder.path().join("dev/vda3"), number: 3, bytes: 16 * 1024 });
    }

    #[test]
    fn a_trial_is_known_by_what_the_kernel_was_started_with() {
        let folder = system("trial", "sluice.slot=b sluice.trial\n", &[("boot", 4), ("root-a", 8), ("root-b", 8)]);
        let disk = Disk::find(folder.path()).unwrap();
        assert_eq!((disk.running, disk.is_trial), (Slot::B, true));
    }

    /// The boot partition as if it were mounted on that folder.
    pub(in super::super) fn boot(disk: &Disk, folder: &Path) -> ManuallyDrop<Boot> {
        ManuallyDrop::new(Boot { place: folder.to_owned(), firmware_starts: disk.firmware_starts() })
    }

    const PI: [(&str, u64); 5] = [("boot", 4), ("root-a", 8), ("root-b", 8), ("boot-a", 4), ("boot-b", 4)];

    #[test]
    fn a_trial_on_a_raspberry_pi_falls_back_to_what_runs_whatever_was_kept() {
        let folder = system("pi-trial", "sluice.slot=b", &PI);
        let disk = Disk::find(folder.path()).unwrap();
        let boot = boot(&disk, folder.path());
        // The firmware has started b by itself, because it could not read a.
        boot.start(Slot::A).unwrap();
        let mut environment = Environment::read(&environment(folder.path(), "slot=a\n")).unwrap();
        assert_eq!(boot.try_once(Slot::A, &mut environment).unwrap(), Some("0 tryboot"));
        let autoboot = fs::read_to_string(folder.path().join("autoboot.txt")).unwrap();
        assert_eq!(autoboot, "[all]\ntryboot_a_b=1\nboot_partition=5\n[tryboot]\nboot_partition=4\n");
        assert_eq!((environment.kept(), environment.tried()), (Slot::B, Some(Slot::A)));
    }

    #[test]
    fn the_firmware_of_a_raspberry_pi_is_told_in_its_own_file() {
        let folder = system("pi", "sluice.slot=a", &PI);
        let disk = Disk::find(folder.path()).unwrap();
        let boot = boot(&disk, folder.path());
        assert_eq!((boot.environment(), boot.trial_argument()), (folder.path().join("slots.env"), Some("0 tryboot")));
        let autoboot = || fs::read_to_string(folder.path().join("autoboot.txt")).unwrap();
        boot.start(Slot::B).unwrap();
        assert_eq!(autoboot(), "[all]\ntryboot_a_b=1\nboot_partition=5\n[tryboot]\nboot_partition=4\n");
        boot.start(Slot::A).unwrap();
        assert_eq!(autoboot(), "[all]\ntryboot_a_b=1\nboot_partition=4\n[tryboot]\nboot_partition=5\n");
        let file = fs::File::options().write(true).open(folder.path().join("autoboot.txt")).unwrap();
        file.set_modified(UNIX_EPOCH).unwrap();
        boot.start(Slot::A).unwrap();
        assert_eq!(file.metadata().unwrap().modified().unwrap(), UNIX_EPOCH, "it says so already");
    }

    #[test]
    fn a_system_without_slots_is_told_of() {
        for cmdline in ["quiet", "sluice.slot=c", "sluice.slot="] {
            let folder = system("none", cmdline, &[("x", 1), ("y", 1)]);
            let error = Disk::find(folder.path()).unwrap_err();
            assert!(matches!(error, UpdateError::NoSlots { .. }), "{cmdline}: {error}");
        }
        let folder = system("another", "sluice.slot=a", &[("boot", 4), ("root-b", 8)]);
        let error = Disk::find(folder.path()).unwrap_err().to_string();
        assert!(error.contains("not that of the slot"), "{error}");
        let folder = system("no-disk", "sluice.slot=a", &[]);
        assert!(matches!(Disk::find(folder.path()), Err(UpdateError::NoSlots { .. })));
    }
}
