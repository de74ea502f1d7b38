//! The firmware of a Raspberry Pi, as far as it chooses what is started, played on the disk of an emulated board: QEMU starts a kernel with a
//! command line, and ends where the board restarts.
//!
//! It reads `autoboot.txt` of the first partition, whose second half counts once after a restart that says `0 tryboot`, and the command line
//! that the slot has for that (Raspberry Pi documentation, "The autoboot.txt file"). It has the kernel and the initial root beside the disk, where
//! the real one reads them from the slot.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::namespace::run;

/// What the kernel prints before a restart that tells the firmware to start the other slot once.
const OTHER_ONCE: &str = "Restarting system with command '0 tryboot'";

/// Where the partitions of the slots' own boot files begin, by their number in the table: `buildroot/board/disk` puts them there.
const BOOT_PARTITIONS: [(&str, &str, &str); 2] = [("2", "a", "65M"), ("3", "b", "129M")];

/// The firmware of one board.
#[derive(Debug)]
pub struct Firmware {
    kernel: PathBuf,
    initrd: PathBuf,
    /// Whether the last restart said so.
    starts_other: bool,
}

impl Firmware {
    /// With the kernel and the initial root of that folder.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self { kernel: folder.join("kernel"), initrd: folder.join("initrd"), starts_other: false }
    }

    /// Takes note of what a restart said, by the console.
    pub fn hear(&mut self, console: &str) {
        self.starts_other = console.contains(OTHER_ONCE);
    }

    /// Has QEMU start what is to be started from the disk.
    ///
    /// # Errors
    /// The disk does not say it.
    pub fn start(&mut self, disk: &Path, command: &mut Command) -> Result<()> {
        let autoboot = read(disk, "1M", "autoboot.txt")?;
        let mut numbers = autoboot.lines().filter_map(|line| line.strip_prefix("boot_partition="));
        let number = numbers.nth(usize::from(self.starts_other)).context("autoboot.txt names no partition")?;
        let place = BOOT_PARTITIONS.iter().find(|(known, ..)| *known == number).context("no such partition")?;
        let (_, slot, place) = place;
        let trial = if self.starts_other { "-trial" } else { "" };
        let line = read(disk, place, &format!("cmdline-{slot}{trial}.txt"))?;
        self.starts_other = false;
        // The first program loads drivers and goes on with that of the initial root.
        let line = format!("{} console=ttyAMA0 rdinit=/drivers", line.trim());
        command.arg("-kernel").arg(&self.kernel).arg("-initrd").arg(&self.initrd);
        command.args(["-append", &line, "-no-reboot"]);
        Ok(())
    }
}

/// Writes how often the slot that the firmware starts was started and did not come up.
///
/// # Errors
/// The environment is not where it should be.
pub fn write_starts(disk: &Path, starts: &str) -> Result<()> {
    let text = read(disk, "1M", "slots.env")?;
    let (lines, _) = text.split_once("\n#").with_context(|| format!("it is no environment: {text}"))?;
    ensure!(!lines.contains("starts="), "it counts already: {text}");
    let file = disk.with_extension("env");
    fs::write(&file, format!("{:#<1024}", format!("{lines}\nstarts={starts}\n")))?;
    run(Command::new("mcopy").args(["-o", "-i", &format!("{}@@1M", disk.display())]).arg(file).arg("::slots.env"))
        .map(drop)
}

/// A file of a FAT partition that begins there.
fn read(disk: &Path, place: &str, name: &str) -> Result<String> {
    run(Command::new("mtype").args(["-i", &format!("{}@@{place}", disk.display()), &format!("::{name}")]))
}
