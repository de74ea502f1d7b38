//! Rights of this process, and the network namespace of a thread.

use std::io;

use caps::{CapSet, Capability};
use nix::sched::{CloneFlags, unshare};

/// What the program cannot do without.
const NEEDED: [Capability; 2] = [Capability::CAP_NET_ADMIN, Capability::CAP_NET_RAW];

/// The first right that is missing, of those that the program cannot do without.
#[must_use]
pub fn missing() -> Option<Capability> {
    NEEDED.into_iter().find(|right| !caps::has_cap(None, CapSet::Effective, *right).unwrap_or(false))
}

/// Moves the calling thread into a network namespace of its own, which ends with the thread and the sockets that it opened.
///
/// # Errors
/// The kernel has no network namespaces, or the right is missing (`CAP_SYS_ADMIN`).
pub fn leave_network() -> io::Result<()> {
    Ok(unshare(CloneFlags::CLONE_NEWNET)?)
}
