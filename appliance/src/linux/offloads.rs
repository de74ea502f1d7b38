//! Offloads: what a network card or its driver does to merge packets or leave them whole. The ring must see packets as they
//! are on the wire, so they are turned off on the ports, through the `ethtool` call.

use std::io;

use super::ethtool::Ethtool;

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
    let ethtool = Ethtool::open(interface)?;
    // Turning off what is missing fails, therefore the result is read back instead.
    for (_, _, set) in SWITCHES {
        let _ = call(&ethtool, set, 0);
    }
    if let Ok(flags) = call(&ethtool, GET_FLAGS, 0) {
        let _ = call(&ethtool, SET_FLAGS, flags & !FLAG_LRO);
    }
    Ok(read(&ethtool))
}

/// Looks which of them are on, and changes nothing.
///
/// # Errors
/// As [`turn_off`].
pub fn look(interface: &str) -> io::Result<Offloads> {
    Ok(read(&Ethtool::open(interface)?))
}

fn read(ethtool: &Ethtool) -> Offloads {
    let is_on = |get| call(ethtool, get, 0).is_ok_and(|value| value != 0);
    let mut still_on: Vec<_> = SWITCHES.into_iter().filter(|(_, get, _)| is_on(*get)).map(|(name, ..)| name).collect();
    if call(ethtool, GET_FLAGS, 0).is_ok_and(|flags| flags & FLAG_LRO != 0) {
        still_on.push("lro");
    }
    Offloads { still_on }
}

/// One `ethtool` call; the value that it leaves.
fn call(ethtool: &Ethtool, command: u32, data: u32) -> io::Result<u32> {
    let mut value = EthtoolValue { command, data };
    // SAFETY: the commands above exchange exactly one `ethtool_value`.
    unsafe { ethtool.call(&mut value) }?;
    Ok(value.data)
}
