//! The first process of a Raspberry Pi with slots. Its firmware counts no starts, so the initial root of a slot does, which holds this
//! program as `/init` (`buildroot/board/raspberrypi/initrd`).
//!
//! ```text
//!   firmware ─► kernel ─► this ─► the slot's root
//!                          └─ it cannot be mounted, or was started three times and never came up ─► the other slot, once
//! ```
//!
//! Nothing here keeps a slot from being started that can be: starts that cannot be counted are not. A slot that is started once, for a trial or
//! because of the other one, is not counted, and where it fails the firmware starts the other one by itself. If the slot comes up,
//! [`Boot::come_up`](super::Boot::come_up) has it go on.

use core::convert::Infallible;
use core::fmt::Display;
use core::time::Duration;
use std::ffi::CStr;
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{self, Command};
use std::thread::sleep;
use std::{env, fs};

use nix::errno::Errno;
use nix::mount::{MsFlags, mount, umount};
use nix::unistd::{chdir, chroot};

use super::UpdateError;
use super::disk::{Access, Disk, OTHER_ONCE, Slot};
use super::environment::Environment;
use crate::clock::Stopwatch;
use crate::linux::reboot;

/// What the kernel calls this program when it starts it out of an initial root.
const PROGRAM: &str = "/init";

/// What goes on in the root.
const INIT: &str = "/sbin/init";

/// Where the root is mounted until it is the root.
const ROOT: &str = "/root";

/// How long the disk may take, as `rootwait` of the kernel's command line has it, and how often it is looked for.
const MOST_WAIT: Duration = Duration::from_secs(30);
const INTERVAL: Duration = Duration::from_millis(100);

/// How long somebody may read why before the restart, as `panic` of that line has it. Two slots that both fail take turns no faster.
const BEFORE_RESTART: Duration = Duration::from_secs(5);

/// Whether this process is that one.
#[must_use]
pub fn is_first() -> bool {
    process::id() == 1 && env::args_os().next().is_some_and(|name| name == PROGRAM)
}

/// Starts the slot that the kernel was started for, or the other one.
///
/// # Errors
/// Neither can be started. Whoever ends then has the kernel panic and restart the board.
pub fn start() -> Result<Infallible, UpdateError> {
    mount_what_the_kernel_tells()?;
    let disk = wait_for_disk()?;
    if let Some(argument) = turn_of_the_other(&disk, None, Environment::count_start) {
        return Err(restart(&disk, &"it was started three times and did not come up", argument));
    }
    if let Err(error) = mount_root(&disk) {
        // Where that cannot be noted either, the other slot is still the better one.
        return Err(match turn_of_the_other(&disk, Some(OTHER_ONCE), Environment::give_way) {
            Some(argument) => restart(&disk, &error, argument),
            None => error,
        });
    }
    enter()
}

fn mount_what_the_kernel_tells() -> Result<(), UpdateError> {
    for (kind, place) in [("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev")] {
        fs::create_dir_all(place).map_err(UpdateError::system(place))?;
        mount(Some(kind), place, Some(kind), MsFlags::empty(), None::<&str>).map_err(failed(place))?;
    }
    Ok(())
}

fn wait_for_disk() -> Result<Disk, UpdateError> {
    let watch = Stopwatch::start();
    loop {
        let found = Disk::find_before_its_root(Path::new("/"));
        let is_there = found.as_ref().is_ok_and(|disk| disk.root().is_some_and(|root| root.device.exists()));
        if is_there || watch.elapsed() >= MOST_WAIT {
            return found;
        }
        sleep(INTERVAL);
    }
}

/// Notes something in the environment. Where that makes it the other slot's turn: what the restart must say. `otherwise` holds where nothing
/// can be noted.
fn turn_of_the_other(
    disk: &Disk,
    otherwise: Option<&'static CStr>,
    note: fn(&mut Environment, Slot) -> Result<bool, UpdateError>,
) -> Option<&'static CStr> {
    if disk.is_trial {
        return None;
    }
    let turn = disk.boot(Path::new("/"), Access::Change).and_then(|boot| {
        // GRUB counts for itself.
        let Some(argument) = boot.other_once() else { return Ok(None) };
        let is_turn = note(&mut Environment::read(&boot.environment())?, disk.running)?;
        Ok(is_turn.then_some(argument))
    });
    turn.unwrap_or_else(|error| {
        tell(&error);
        otherwise
    })
}

fn mount_root(disk: &Disk) -> Result<(), UpdateError> {
    fs::create_dir_all(ROOT).map_err(UpdateError::system(ROOT))?;
    let Some(root) = disk.root() else { return Err(UpdateError::system(ROOT)(io::ErrorKind::NotFound.into())) };
    mount(Some(&root.device), ROOT, Some("squashfs"), MsFlags::MS_RDONLY, None::<&str>).map_err(failed(&root.device))
}

/// Says why, and restarts into the other slot. Comes back only with what went wrong.
fn restart(disk: &Disk, why: &impl Display, argument: &CStr) -> UpdateError {
    tell(&format_args!("slot {} gives way to slot {}: {why}", disk.running, disk.running.other()));
    sleep(BEFORE_RESTART);
    UpdateError::system(PROGRAM)(reboot::restart_with(argument))
}

/// Puts the root in its place and goes on there. Comes back only with what went wrong.
fn enter() -> Result<Infallible, UpdateError> {
    for place in ["/sys", "/proc"] {
        // The root mounts its own; one that stays is out of its sight.
        let _ = umount(place);
    }
    let move_to = |from: &str, to: &str| mount(Some(from), to, None::<&str>, MsFlags::MS_MOVE, None::<&str>);
    move_to("/dev", "/root/dev").map_err(failed("/dev"))?;
    // The memory of what lies in the initial root is free once nobody runs it.
    let _ = fs::remove_file(PROGRAM);
    chdir(ROOT)
        .and_then(|()| move_to(".", "/"))
        .and_then(|()| chroot("."))
        .and_then(|()| chdir("/"))
        .map_err(failed(ROOT))?;
    Err(UpdateError::system(INIT)(Command::new(INIT).exec()))
}

/// What the system said, as an error about a place.
fn failed(place: impl AsRef<Path>) -> impl FnOnce(Errno) -> UpdateError {
    move |cause| UpdateError::system(place.as_ref())(cause.into())
}

/// Says something on the console, if there is one.
fn tell(what: &impl Display) {
    let _ = writeln!(io::stderr(), "sluice: {what}");
}
