//! Time as the path knows it: an argument that arrives with each packet.

use core::time::Duration;

/// Nanoseconds since 1970-01-01 00:00 UTC, as stamped on a packet by the kernel or a capture file.
///
/// Differences saturate at zero: captures hold packets out of order, and boards start with a wrong clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// 1970-01-01 00:00 UTC.
    pub const EPOCH: Self = Self(0);

    /// Later than anything.
    pub const NEVER: Self = Self(u64::MAX);

    /// The furthest that packets of one capture are out of order.
    const OUT_OF_ORDER_NANOS: u64 = 2_000_000_000;

    /// From nanoseconds since the epoch.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// From whole seconds since the epoch; saturates in the year 2554.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1_000_000_000))
    }

    /// Nanoseconds since the epoch.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0 / 1_000_000_000
    }

    /// The time from `earlier` to `self`; zero where `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.nanos_since(earlier))
    }

    /// The same in nanoseconds: a [`Duration`] costs a division, which the path of a packet does without.
    #[must_use]
    pub const fn nanos_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// So much later than `now` that it was stamped before the clock was set back: what is only out of order is nearer.
    #[must_use]
    pub const fn is_from_before_a_reset(self, now: Self) -> bool {
        self.nanos_since(now) > Self::OUT_OF_ORDER_NANOS
    }

    /// The latest time known, after a packet that was stamped `now`: captures hold packets out of order, but a clock that
    /// was set back is followed.
    #[must_use]
    pub fn advanced(self, now: Self) -> Self {
        if self.is_from_before_a_reset(now) { now } else { self.max(now) }
    }

    /// The moment `duration` earlier, saturating.
    #[must_use]
    pub const fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(duration)))
    }

    /// The moment `duration` later, saturating.
    #[must_use]
    pub const fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(nanos(duration)))
    }
}

/// A duration in nanoseconds, saturating.
#[must_use]
pub const fn nanos(duration: Duration) -> u64 {
    let nanos = duration.as_nanos();
    if nanos > u64::MAX as u128 { u64::MAX } else { nanos as u64 }
}
