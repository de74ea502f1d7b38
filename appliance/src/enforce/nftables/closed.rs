//! The dead man's switch, `on_failure = "closed"`: what passes while nobody keeps the table.
//!
//! The set `alive` holds the types of all frames that can carry IP, each for a few seconds, and is filled anew every second.
//! Where it is empty no IP passes but DHCP, neighbour discovery, and what goes to the box itself, so that an administrator
//! gets in: to its addresses as they were known, or else to its network card, whichever address it was given since. ARP passes,
//! and so do frames that carry no IP.

use core::time::Duration;

use traffic::address::Mac;

use super::batch::{Batch, ETHERNET, FRAME_TYPE};
use super::elements;
use super::numbers::set;
use super::rules::Rule;
use crate::linux::links::Links;

/// The set.
const ALIVE: &str = "alive";
/// How long it stays filled. A tick of a busy board may be late by a few of them.
const TIMEOUT: Duration = Duration::from_secs(5);
/// More than it ever holds, also while it is filled anew.
const CAPACITY: u32 = 64;

/// The set of the MAC addresses of the ports and of the bridge.
pub(super) const OWN_DEVICE: &str = "own_device";

/// Makes the sets, the first with this number.
pub(super) fn add_sets(batch: &mut Batch, id: u32) {
    batch.add_set(ALIVE, id, FRAME_TYPE, set::FLAG_TIMEOUT, CAPACITY);
    batch.add_set(OWN_DEVICE, id + 1, ETHERNET, 0, CAPACITY);
}

/// The MAC addresses of the ports, one of which a bridge takes for its own, and of the bridge that they are in.
pub(super) fn own_devices(ports: &[String; 2]) -> Vec<Mac> {
    // Without them the addresses are left, and the table is made again where they become others.
    let all = Links::open().and_then(|mut links| links.all()).unwrap_or_default();
    let are_ports = || all.iter().filter(|link| ports.contains(&link.name));
    let bridges = are_ports().filter_map(|port| port.master);
    let bridges = bridges.filter_map(|index| all.iter().find(|link| link.index == index));
    let mut devices: Vec<Mac> = are_ports().chain(bridges).filter_map(|link| link.mac).collect();
    devices.sort_unstable();
    devices.dedup();
    devices
}

/// Fills the set; what it holds already ends when it would have.
pub(super) fn fill(batch: &mut Batch, frame_types: &[u16]) {
    elements::add_frame_types(batch, ALIVE, frame_types, TIMEOUT);
}

/// Empties and fills the set, at once for those who look it up: the kernel prolongs no element that stands.
pub(super) fn renew(batch: &mut Batch, frame_types: &[u16]) {
    elements::flush(batch, ALIVE);
    fill(batch, frame_types);
}

/// Goes on only where nobody has filled the set of late. The frame's type must be one of those that it is filled with.
pub(super) fn if_dead(rule: Rule) -> Rule {
    rule.frame_type().not_in_set(ALIVE)
}

/// What an administrator reads who wonders why nothing passes.
pub(super) const WHY: &str = "sluice does not run, and on_failure is closed";
