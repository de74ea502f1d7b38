//! The dead man's switch, `on_failure = "closed"`: what passes while nobody keeps the table.
//!
//! The set `alive` holds the types of all frames that can carry IP, each for a few seconds, and is filled anew every second.
//! Where it is empty no IP passes but DHCP, neighbour discovery, and what goes to the box itself, so that an administrator
//! gets in. ARP passes, and so do frames that carry no IP.

use core::time::Duration;

use super::batch::{Batch, FRAME_TYPE};
use super::elements;
use super::numbers::set;
use super::rules::Rule;

/// The set.
const ALIVE: &str = "alive";
/// How long it stays filled. A tick of a busy board may be late by a few of them.
const TIMEOUT: Duration = Duration::from_secs(5);
/// More than it ever holds, also while it is filled anew.
const CAPACITY: u32 = 64;

/// Makes the set.
pub(super) fn add_set(batch: &mut Batch, id: u32) {
    batch.add_set(ALIVE, id, FRAME_TYPE, set::FLAG_TIMEOUT, CAPACITY);
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
