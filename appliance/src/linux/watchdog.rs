//! The watchdog: a device that reboots the board unless it is written to again and again.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::AsRawFd as _;
use std::path::Path;

use nix::errno::Errno;

/// What makes the kernel stop it when it is closed.
const MAGIC: &[u8] = b"V";

/// `WDIOF_MAGICCLOSE` of the options: it is stopped by [`MAGIC`] alone, and without this option by any close.
const IS_STOPPED_BY_MAGIC: u32 = 0x100;

/// Where the kernel tells of each of them; `/dev/watchdog` is the first.
const FOLDER: &str = "/sys/class/watchdog";

/// The calls, as `linux/watchdog.h` numbers them.
mod call {
    /// `struct watchdog_info`
    #[repr(C)]
    #[derive(Default)]
    pub struct WatchdogInfo {
        pub options: u32,
        firmware_version: u32,
        identity: [u8; 32],
    }

    nix::ioctl_read!(get_support, b'W', 0, WatchdogInfo);
    nix::ioctl_readwrite!(set_timeout, b'W', 6, libc::c_int);
    nix::ioctl_read!(get_timeout, b'W', 7, libc::c_int);
}

/// It runs from now on, also when this is dropped: only [`Watchdog::stop`] ends it.
#[derive(Debug)]
pub struct Watchdog {
    device: File,
}

/// What became of the wish for a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// After how long without being fed it reboots the board.
    pub timeout_s: u32,
    /// It can be stopped; one that cannot reboots the board also when the daemon has ended in good order.
    pub can_be_stopped: bool,
    /// It runs on when the daemon is killed.
    pub outlives_daemon: bool,
}

impl Watchdog {
    /// Opens it, which starts it, and asks for a time; what it makes of that.
    ///
    /// # Errors
    /// There is none, somebody else has it, or it is no watchdog.
    pub fn open(path: &Path, timeout_s: u32) -> io::Result<(Self, Terms)> {
        let watchdog = Self { device: OpenOptions::new().write(true).open(path)? };
        let terms = watchdog.agree(timeout_s, can_be_stopped(path))?;
        Ok((watchdog, terms))
    }

    fn agree(&self, timeout_s: u32, can_be_stopped: bool) -> io::Result<Terms> {
        let (device, mut info) = (self.device.as_raw_fd(), call::WatchdogInfo::default());
        // SAFETY: the kernel fills in one `watchdog_info`, which lives until the call returns.
        unsafe { call::get_support(device, &raw mut info) }?;
        let mut seconds = libc::c_int::try_from(timeout_s).unwrap_or(libc::c_int::MAX);
        // SAFETY: the kernel reads and writes one number, which lives until the call returns.
        let set = unsafe { call::set_timeout(device, &raw mut seconds) };
        if let Err(Errno::EOPNOTSUPP | Errno::ENOTTY | Errno::EINVAL) = set {
            // One that has a time of its own, or refuses this one, is fed by what it has.
            // SAFETY: the kernel writes one number, which lives until the call returns.
            unsafe { call::get_timeout(device, &raw mut seconds) }?;
        } else {
            set?;
        }
        let timeout_s = u32::try_from(seconds).unwrap_or_default();
        Ok(Terms { timeout_s, can_be_stopped, outlives_daemon: info.options & IS_STOPPED_BY_MAGIC != 0 })
    }

    /// Puts the reboot off.
    ///
    /// # Errors
    /// The device is gone.
    pub fn feed(&mut self) -> io::Result<()> {
        self.device.write_all(&[0])
    }

    /// Ends it: without being fed it reboots nothing any more.
    ///
    /// # Errors
    /// The device is gone.
    pub fn stop(mut self) -> io::Result<()> {
        self.device.write_all(MAGIC)
    }
}

/// What the kernel says of the device; one that it says nothing of is taken for one that can.
fn can_be_stopped(device: &Path) -> bool {
    let name = device.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let name = if name == "watchdog" { "watchdog0" } else { name };
    let told = fs::read_to_string(Path::new(FOLDER).join(name).join("nowayout"));
    told.map_or(true, |no_way_out| no_way_out.trim() == "0")
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::thread::sleep;
    use std::time::Duration;

    use super::*;
    use crate::store::test_directory::TestDirectory;

    /// Names a watchdog that may be started, such as that of the module `softdog`, loaded with `soft_noboot=1`.
    const DEVICE: &str = "SLUICE_TEST_WATCHDOG";

    #[test]
    fn what_is_no_watchdog_is_refused_and_what_is_written_is_the_devices_language() {
        let directory = TestDirectory::new("watchdog");
        let path = directory.path().join("watchdog");
        assert_eq!(Watchdog::open(&path, 15).unwrap_err().kind(), io::ErrorKind::NotFound);
        let mut watchdog = Watchdog { device: File::create(&path).unwrap() };
        watchdog.feed().unwrap();
        watchdog.feed().unwrap();
        watchdog.stop().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"\0\0V");
        assert_eq!(Watchdog::open(&path, 15).unwrap_err().raw_os_error(), Some(Errno::ENOTTY as i32));
        assert_eq!(std::fs::read(&path).unwrap(), b"\0\0V", "nothing is written to what is no watchdog");
    }

    #[test]
    fn a_real_one_takes_the_time_runs_while_it_is_open_and_stops() {
        let Some(path) = std::env::var_os(DEVICE).map(PathBuf::from) else {
            return println!(
                "skipped: {DEVICE} names no watchdog that may be started (modprobe softdog soft_noboot=1)"
            );
        };
        let about = |what: &str| {
            let name = path.file_name().unwrap().to_string_lossy().replace("watchdog", "");
            let number = if name.is_empty() { "0" } else { &name };
            std::fs::read_to_string(format!("/sys/class/watchdog/watchdog{number}/{what}")).unwrap().trim().to_owned()
        };
        let (mut watchdog, terms) = Watchdog::open(&path, 9).unwrap();
        assert_eq!(terms, Terms { timeout_s: 9, can_be_stopped: true, outlives_daemon: true });
        assert_eq!((about("state").as_str(), about("timeout").as_str()), ("active", "9"));
        assert_eq!(Watchdog::open(&path, 9).unwrap_err().raw_os_error(), Some(Errno::EBUSY as i32));
        sleep(Duration::from_secs(4));
        let left_s = |when: &str| about("timeleft").parse::<u32>().unwrap_or_else(|_| panic!("{when}"));
        assert!(left_s("before") <= 5);
        watchdog.feed().unwrap();
        assert!(left_s("after") >= 8);
        watchdog.stop().unwrap();
        assert_eq!(about("state"), "inactive");
        drop(Watchdog::open(&path, 9).unwrap());
        assert_eq!(about("state"), "active", "one that is only closed runs on");
        Watchdog::open(&path, 9).unwrap().0.stop().unwrap();
    }
}
