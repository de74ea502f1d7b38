//! All capacities of the crate on one page, with what is lost when each is reached.

use core::time::Duration;

/// How much is kept. Every table takes its memory when it is made and never more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Flows at once. Full: the one goes that was silent longest among those that can be spared most easily.
    pub flows: usize,
    /// Sources whose recent behaviour is kept. Full: of those that did little, the one that was quiet longest goes.
    pub sources: usize,
    /// Destination hosts, and destination ports, whose recent load is kept; full: the same.
    pub destinations: usize,
    /// Pairs of a source and a host whose services with passwords it visits, and as many of those whose pages it does; full: the
    /// same.
    pub pairs: usize,
    /// Sources with a domain below which they ask for long names, or with a host that they ping in changing sizes; full: the same.
    pub leaks: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { flows: 65_536, sources: 4_096, destinations: 4_096, pairs: 1_024, leaks: 512 }
    }
}

/// Most flows that may be asked for: flows are numbered in 32 bits with one number to spare for "none".
pub const MAX_FLOWS: usize = 1 << 24;

/// A TCP flow with a completed handshake ends after this long without a packet.
pub const ESTABLISHED_IDLE: Duration = Duration::from_secs(300);

/// Every other flow ends after this long without a packet.
pub const IDLE: Duration = Duration::from_secs(60);

/// A flow of which nothing was heard for so long since it began is judged once more. Whatever began then is awaited no longer by the
/// windows of its source.
pub const ANSWER_WAIT: Duration = Duration::from_secs(1);

/// A flow that has ended is kept for this long, so that its last packets do not look like a new one.
pub const LINGER: Duration = Duration::from_secs(5);

/// A flow is cut into segments of this length: each gives features of its own.
pub const ACTIVE: Duration = Duration::from_secs(120);

/// Most IPv6 extension headers that are followed. More is hostile: RFC 8200 names at most seven.
pub const MAX_EXTENSION_HEADERS: usize = 8;

/// A login connection that ended within this time counts as short.
pub const SHORT_LOGIN: Duration = Duration::from_secs(30);

/// A short login in which the initiator sent some payload, and the responder less than this, is meagre, unless it was seen that the
/// initiator got in. OpenSSH 10 sends 2,889 bytes to who fails and 3,197 and more to who gets in (as the laboratory recorded it:
/// `make corpus ONLY=ssh_`); Dropbear 2022.83 sends 1,114 and 1,402.
pub const MEAGRE_LOGIN_BYTES: u64 = 3_000;

const _: () = assert!(IDLE.as_secs() < ESTABLISHED_IDLE.as_secs());
const _: () = assert!(MAX_FLOWS < u32::MAX as usize);
