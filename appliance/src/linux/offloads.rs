//! Offloads: what a network card or its driver does to merge packets or leave them whole. The ring must see packets as they
//! are on the wire, so they are turned off on the ports, through the `ethtool` call.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

/// `SIOCETHTOOL`
const REQUEST: u64 = 0x8946;
/// `ETH_FLAG_LRO` of `ETHTOOL_GFLAGS` and `ETHTOOL_SFLAGS`.
const FLAG_LRO: u32 = 1 << 15;
/// `ETHTOOL_GFLAGS`, `ETHTOOL_SFLAGS`
const GET_FLAGS: u32 = 0x25;
const SET_FLAGS: u32 = 0x26;

/// Those that have calls of their own: name, call that reads it, call that sets it.
const SWITCHES: [(&str, u32, u32); 3] = [("gro", 0x2b, 0x2c), ("gso", 0x23, 0x24), ("tso", 0x1e, 0x1f)];

/// What became of the offloads of one interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offloads {
    /// Those that are on: packets may be seen merged. After turning them off, those that the driver does not let go.
    pub still_on: Vec<&'static str>,
}

/// `struct ethtool_value`
#[repr(C)]
struct EthtoolValue {
    command: u32,
    data: u32,
}

/// Turns off GRO, GSO, TSO and LRO. What the driver does not have counts as off.
///
/// # Errors
/// No socket could be opened, or there is no such interface.
pub fn turn_off(interface: &str) -> io::Result<Offloads> {
    let socket = open(interface)?;
    // Turning off what is missing fails, therefore the result is read back instead.
    for (_, _, set) in SWITCHES {
        let _ = call(&socket, interface, set, 0);
    }
    if let Ok(flags) = call(&socket, interface, GET_FLAGS, 0) {
        let _ = call(&socket, interface, SET_FLAGS, flags & !FLAG_LRO);
    }
    Ok(read(&socket, interface))
}

/// Looks which of them are on, and changes nothing.
///
/// # Errors
/// As [`turn_off`].
pub fn look(interface: &str) -> io::Result<Offloads> {
    Ok(read(&open(interface)?, interface))
}

fn open(interface: &str) -> io::Result<OwnedFd> {
    nix::net::if_::if_nametoindex(interface)?;
    Ok(socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?)
}

fn read(socket: &OwnedFd, interface: &str) -> Offloads {
    let is_on = |get| call(socket, interface, get, 0).is_ok_and(|value| value != 0);
    let mut still_on: Vec<_> = SWITCHES.into_iter().filter(|(_, get, _)| is_on(*get)).map(|(name, ..)| name).collect();
    if call(socket, interface, GET_FLAGS, 0).is_ok_and(|flags| flags & FLAG_LRO != 0) {
        still_on.push("lro");
    }
    Offloads { still_on }
}

/// One `ethtool` call; the value that it leaves.
fn call(socket: &OwnedFd, interface: &str, command: u32, data: u32) -> io::Result<u32> {
    let mut value = EthtoolValue { command, data };
    let mut name = [0; libc::IFNAMSIZ];
    for (place, byte) in name.iter_mut().zip(interface.bytes().take(libc::IFNAMSIZ - 1)) {
        *place = byte as libc::c_char;
    }
    let union = libc::__c_anonymous_ifr_ifru { ifru_data: (&raw mut value).cast() };
    let mut request = libc::ifreq { ifr_name: name, ifr_ifru: union };
    // SAFETY: the kernel reads the request, and reads and writes the value that it points to; both live until the call
    // returns, and the commands above exchange exactly one `ethtool_value`.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), REQUEST as _, &raw mut request) };
    Errno::result(result)?;
    Ok(value.data)
}
