//! The one file that reads the clock.

use core::time::Duration;
use std::time::{Instant, SystemTime};

use traffic::time::Timestamp;

/// The wall clock now: what packets are stamped with, and what blocks and rows are dated by.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Timestamp::EPOCH.plus(since_epoch)
}

/// The pause before something is tried again that has failed before: `first`, and twice as long with each of the `earlier`
/// failures, up to `longest`.
#[must_use]
pub fn back_off(first: Duration, earlier: u32, longest: Duration) -> Duration {
    first.saturating_mul(2_u32.saturating_pow(earlier)).min(longest)
}

/// A stopwatch that no change of the wall clock disturbs.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts it.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// The time since the start.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}
