//! Bytes as a sequence of choices: link types, lengths, and steps of time.

use traffic::decode::LinkType;
use traffic::time::Timestamp;

/// The link types, in the order of the bytes that choose them. New ones come last: the corpus depends on the order.
const LINKS: [LinkType; 9] = [
    LinkType::Ethernet,
    LinkType::RawIp,
    LinkType::LinuxCooked,
    LinkType::LinuxCooked2,
    LinkType::Null,
    LinkType::Ppp,
    LinkType::PppWithDirection,
    LinkType::Pppoe,
    LinkType::Unsupported,
];

/// Steps of time in milliseconds: around each limit of the flow table, and back by less and by more than what captures
/// have out of order (2 s).
const STEPS_MS: [i64; 16] =
    [0, 1, 20, 500, 1_000, 3_000, 4_999, 5_000, 30_000, 59_999, 60_000, 110_000, 299_999, -1_000, -2_001, -600_000];

/// What is left of the bytes.
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    /// The next byte; `None` at the end.
    pub fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    /// The next bytes; `None` where there are fewer.
    pub fn array<const LEN: usize>(&mut self) -> Option<[u8; LEN]> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*bytes)
    }

    /// The next `len` bytes, or what is left.
    pub fn up_to(&mut self, len: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        bytes
    }
}

/// The link type that a byte chooses.
pub fn link(choice: u8) -> LinkType {
    LINKS[usize::from(choice) % LINKS.len()]
}

/// The time that goes by as the input says.
pub struct Clock {
    now_ns: u64,
}

impl Clock {
    /// In 2001, as some boards start.
    pub const fn new() -> Self {
        Self { now_ns: 1_000_000_000_000_000_000 }
    }

    /// The time after the step that the lower four bits choose.
    pub fn step(&mut self, choice: u8) -> Timestamp {
        let step_ms = STEPS_MS[usize::from(choice & 0x0f)];
        self.set(self.now_ns.saturating_add_signed(step_ms * 1_000_000))
    }

    /// Any time.
    pub const fn set(&mut self, now_ns: u64) -> Timestamp {
        self.now_ns = now_ns;
        Timestamp::from_nanos(now_ns)
    }
}
