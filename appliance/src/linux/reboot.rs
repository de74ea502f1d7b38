//! A restart that tells the firmware something, as that of a Raspberry Pi wants for a trial.

use std::ffi::CStr;
use std::io;

/// Restarts the machine at once; what was written is on the disk. Comes back only with the error.
#[must_use]
pub fn restart_with(argument: &CStr) -> io::Error {
    nix::unistd::sync();
    // SAFETY: the numbers are those that reboot(2) asks for with an argument, which is a C string and outlives the call.
    let _ = unsafe {
        libc::syscall(
            libc::SYS_reboot,
            libc::LINUX_REBOOT_MAGIC1,
            libc::LINUX_REBOOT_MAGIC2,
            libc::LINUX_REBOOT_CMD_RESTART2,
            argument.as_ptr(),
        )
    };
    io::Error::last_os_error()
}
