//! The disk that the system was started from: its slots, and its boot partition.

use std::collections::BTreeMap;
use std::ffi::CStr;
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

/// What the firmware of a Raspberry Pi is told in, there.
const AUTOBOOT: &str = "autoboot.txt";

/// What a restart says to the firmware of a Raspberry Pi for the other slot, once.
pub(super) const OTHER_ONCE: &CStr = c"0 tryboot";

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
    /// Whether it was started once, by a trial or because the other one did not come up.
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
        let (running, is_trial) = started(system)?;
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

    /// Finds it before the root is mounted, by the name of the partition that is to be; there may be none yet, as a card takes its time.
    ///
    /// # Errors
    /// The kernel was started for no slot, or no disk has a root for it.
    pub fn find_before_its_root(system: &Path) -> Result<Self, UpdateError> {
        let (running, is_trial) = started(system)?;
        let all = system.join("sys/class/block");
        let name = format!("root-{running}");
        for entry in fs::read_dir(&all).map_err(UpdateError::system(&all))? {
            let place = entry.map_err(UpdateError::system(&all))?.path();
            let told = fs::read_to_string(place.join("uevent")).unwrap_or_default();
            if word(&told, "PARTNAME") == Some(&name) {
                let own = fs::canonicalize(&place).map_err(UpdateError::system(&place))?;
                let partitions = partitions(system, own.parent().unwrap_or(&own))?;
                return Ok(Self { running, is_trial, partitions });
            }
        }
        Err(missing(&format!("no disk has a partition {name}")))
    }

    /// The partition with the root of the slot that is started.
    #[must_use]
    pub fn root(&self) -> Option<&Partition> {
        self.partitions.get(&format!("root-{}", self.running))
    }

    /// Whether the slot that runs is still to be kept or taken back.
    #[must_use]
    pub fn is_on_trial(&self, environment: &Environment) -> bool {
        self.is_trial && environment.tried() == Some(self.running) && !environment.is_counting()
    }

    /// Whether the restart that was told of this slot was no trial: it runs because the other one did not come up.
    #[must_use]
    pub fn is_fallback(&self, environment: &Environment) -> bool {
        self.is_trial && environment.is_counting()
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
        let none = || missing(&format!("its disk has no partition `{BOOT}`"));
        let device = &self.partitions.get(BOOT).ok_or_else(none)?.device;
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
/// is started, and the one that is started once where the restart says [`Boot::other_once`] (Raspberry Pi documentation, "The
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
    pub fn try_once(&self, slot: Slot, environment: &mut Environment) -> Result<Option<&'static CStr>, UpdateError> {
        self.start(slot.other())?;
        let argument = self.other_once();
        environment.try_once(slot, argument.is_some())?;
        Ok(argument)
    }

    /// What a restart must tell the firmware to have it start the other slot once; nothing to GRUB, which goes by the environment.
    pub(super) fn other_once(&self) -> Option<&'static CStr> {
        self.firmware_starts.map(|_| OTHER_ONCE)
    }

    /// The slot that the next start begins with unless another one is tried.
    #[must_use]
    pub fn started(&self, environment: &Environment) -> Slot {
        let Some(numbers) = self.firmware_starts else { return environment.started() };
        let text = fs::read_to_string(self.place.join(AUTOBOOT)).unwrap_or_default();
        let told = text.lines().find_map(|line| line.trim().strip_prefix("boot_partition=")?.parse().ok());
        let slots = [Slot::A, Slot::B].into_iter().zip(numbers);
        slots.into_iter().find(|(_, number)| told == Some(*number)).map_or(environment.kept(), |(slot, _)| slot)
    }

    /// What [`Environment::starts_after`] says of the slot that runs, if there is something to note once that is up.
    #[must_use]
    pub fn is_to_be_noted(&self, disk: &Disk, environment: &Environment) -> bool {
        let counted = match self.firmware_starts {
            None => environment.kept(),
            // Once the firmware was told of a slot, it is the other one that it starts by itself.
            Some(_) if disk.is_trial => disk.running.other(),
            Some(_) => disk.running,
        };
        environment.starts_after(disk.running, counted).is_some()
    }

    /// The slot that runs is up. Where it runs in the place of another one, the firmware starts it from now on.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn come_up(&self, disk: &Disk, environment: &mut Environment) -> Result<(), UpdateError> {
        self.start(disk.running)?;
        let counted = if self.firmware_starts.is_some() { disk.running } else { environment.kept() };
        environment.come_up(disk.running, counted)
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
        let path = self.place.join(AUTOBOOT);
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

/// Which slot the kernel was started with, and whether somebody told the last restart to start that one once.
fn started(system: &Path) -> Result<(Slot, bool), UpdateError> {
    let words = read(&system.join("proc/cmdline"))?;
    let mut words = words.split_ascii_whitespace();
    let is_trial = words.clone().any(|word| word == "sluice.trial");
    let slot = words.find_map(|word| word.strip_prefix("sluice.slot=")).and_then(Slot::from_name);
    slot.map(|slot| (slot, is_trial)).ok_or_else(|| missing("the kernel was started without sluice.slot=a or =b"))
}

fn missing(why: &str) -> UpdateError {
    UpdateError::NoSlots { why: why.to_owned() }
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
        assert_eq!(boot.try_once(Slot::A, &mut environment).unwrap(), Some(c"0 tryboot"));
        let autoboot = fs::read_to_string(folder.path().join("autoboot.txt")).unwrap();
        assert_eq!(autoboot, "[all]\ntryboot_a_b=1\nboot_partition=5\n[tryboot]\nboot_partition=4\n");
        assert_eq!((environment.kept(), environment.tried()), (Slot::B, Some(Slot::A)));
    }

    #[test]
    fn the_firmware_of_a_raspberry_pi_is_told_in_its_own_file() {
        let folder = system("pi", "sluice.slot=a", &PI);
        let disk = Disk::find(folder.path()).unwrap();
        let boot = boot(&disk, folder.path());
        assert_eq!((boot.environment(), boot.other_once()), (folder.path().join("slots.env"), Some(c"0 tryboot")));
        let autoboot = || fs::read_to_string(folder.path().join("autoboot.txt")).unwrap();
        boot.start(Slot::B).unwrap();
        assert_eq!(autoboot(), "[all]\ntryboot_a_b=1\nboot_partition=5\n[tryboot]\nboot_partition=4\n");
        boot.start(Slot::A).unwrap();
        assert_eq!(autoboot(), "[all]\ntryboot_a_b=1\nboot_partition=4\n[tryboot]\nboot_partition=5\n");
        let file = fs::File::options().write(true).open(folder.path().join(AUTOBOOT)).unwrap();
        file.set_modified(UNIX_EPOCH).unwrap();
        boot.start(Slot::A).unwrap();
        assert_eq!(file.metadata().unwrap().modified().unwrap(), UNIX_EPOCH, "it says so already");
    }

    #[test]
    fn a_slot_that_runs_in_the_place_of_another_one_on_a_raspberry_pi_goes_on_to_unless_it_was_tried_and_not_kept() {
        for (starts, tried, on_trial, is_fallback, goes_on) in [
            ("xx", "", false, true, true),
            ("xx", "b", false, true, false),
            ("", "b", true, false, false),
            // Kept already, or up already.
            ("", "", false, false, false),
        ] {
            let folder = system("pi-fallback", "sluice.slot=b sluice.trial", &PI);
            let disk = Disk::find(folder.path()).unwrap();
            let boot = boot(&disk, folder.path());
            boot.start(Slot::A).unwrap();
            let lines = format!("slot=a\nstarts={starts}\ntried={tried}\nversion_a=1\nversion_b=1\n");
            let mut environment = Environment::read(&environment(folder.path(), &lines)).unwrap();
            let told = (disk.is_on_trial(&environment), disk.is_fallback(&environment));
            assert_eq!((told, boot.is_to_be_noted(&disk, &environment)), ((on_trial, is_fallback), goes_on), "{lines}");
            if goes_on {
                boot.come_up(&disk, &mut environment).unwrap();
                assert_eq!((boot.started(&environment), environment.kept()), (Slot::B, Slot::A));
                assert!(!disk.is_on_trial(&environment) && !environment.is_counting());
                let fault = environment.fault(Slot::B, false).unwrap();
                assert!(fault.starts_with("slot b runs because slot a could not be started"), "{fault}");
            }
        }
    }

    #[test]
    fn whichever_slot_the_firmware_of_a_raspberry_pi_starts_by_itself_is_the_one_whose_starts_are_counted() {
        let folder = system("pi-by-hand", "sluice.slot=b", &PI);
        let disk = Disk::find(folder.path()).unwrap();
        let boot = boot(&disk, folder.path());
        // As a person leaves it who has swapped the numbers.
        let by_hand = "[all]\r\ntryboot_a_b=1\r\nboot_partition=5\r\n[tryboot]\r\nboot_partition=4\r\n";
        fs::write(folder.path().join(AUTOBOOT), by_hand).unwrap();
        let mut environment = Environment::read(&environment(folder.path(), "slot=a\nstarts=xx\n")).unwrap();
        assert!(boot.is_to_be_noted(&disk, &environment));
        boot.come_up(&disk, &mut environment).unwrap();
        assert!(!environment.is_counting());
        assert_eq!((boot.started(&environment), environment.kept()), (Slot::B, Slot::A));
    }

    #[test]
    fn the_disk_is_found_before_its_root_is_mounted() {
        let folder = system("early", "sluice.slot=b", &PI);
        let nothing_yet = Disk::find_before_its_root(folder.path()).unwrap_err();
        assert!(matches!(nothing_yet, UpdateError::System { .. }), "{nothing_yet}");
        let all = folder.path().join("sys/class/block");
        fs::create_dir_all(&all).unwrap();
        let none = Disk::find_before_its_root(folder.path()).unwrap_err().to_string();
        assert!(none.contains("no disk has a partition root-b"), "{none}");
        for name in ["vda1", "vda3"] {
            symlink(format!("../../devices/virtio0/block/vda/{name}"), all.join(name)).unwrap();
        }
        let disk = Disk::find_before_its_root(folder.path()).unwrap();
        assert_eq!(disk, Disk::find(folder.path()).unwrap());
        assert_eq!(disk.root().unwrap().number, 3);
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
