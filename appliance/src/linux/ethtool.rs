//! The `ethtool` call: how the driver of one interface is asked and told.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

/// `SIOCETHTOOL`
const REQUEST: u64 = 0x8946;

/// A socket to call at, and the interface that is meant.
pub(super) struct Ethtool {
    socket: OwnedFd,
    name: [libc::c_char; libc::IFNAMSIZ],
}

impl Ethtool {
    /// # Errors
    /// No socket could be opened, or there is no such interface.
    pub fn open(interface: &str) -> io::Result<Self> {
        nix::net::if_::if_nametoindex(interface)?;
        let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
        let mut name = [0; libc::IFNAMSIZ];
        for (place, byte) in name.iter_mut().zip(interface.bytes().take(libc::IFNAMSIZ - 1)) {
            *place = byte as libc::c_char;
        }
        Ok(Self { socket, name })
    }

    /// One call. The kernel puts its answer in the place of what it was given.
    ///
    /// # Errors
    /// What the driver said; `EOPNOTSUPP` where it does not know the command.
    ///
    /// # Safety
    /// `exchanged` is the structure of the kernel that the command at its beginning exchanges.
    pub unsafe fn call<T>(&self, exchanged: &mut T) -> io::Result<()> {
        let union = libc::__c_anonymous_ifr_ifru { ifru_data: (&raw mut *exchanged).cast() };
        let mut request = libc::ifreq { ifr_name: self.name, ifr_ifru: union };
        // SAFETY: the kernel reads the request, and reads and writes what it points to, which is as large as the command has it
        // by what the caller says; both live until the call returns.
        let result = unsafe { libc::ioctl(self.socket.as_raw_fd(), REQUEST as _, &raw mut request) };
        Errno::result(result)?;
        Ok(())
    }
}
