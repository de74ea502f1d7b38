//! When a list is fetched next. Random numbers and time are arguments.

use core::time::Duration;

use crate::clock::back_off;

/// After the first failure it is tried again in this time, after the second in twice as long, and so on.
const FIRST_PAUSE: Duration = Duration::from_secs(60);

/// So many boxes must not ask in the same moment: a pause is up to one in so many parts longer.
const JITTER_PARTS: u32 = 4;

/// When a list is fetched next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    refresh: Duration,
    /// Failures since it was last had.
    failures: u32,
    /// When it is due, counted from the start; the first time at once.
    due: Duration,
}

impl Schedule {
    pub const fn new(refresh: Duration) -> Self {
        Self { refresh, failures: 0, due: Duration::ZERO }
    }

    pub fn is_due(&self, uptime: Duration) -> bool {
        uptime >= self.due
    }

    /// It was had; `random` is any number.
    pub fn succeeded(&mut self, uptime: Duration, random: u16) {
        self.failures = 0;
        self.due = uptime + self.refresh + jitter(self.refresh, random);
    }

    /// It was not.
    pub fn failed(&mut self, uptime: Duration, random: u16) {
        let pause = back_off(FIRST_PAUSE, self.failures, self.refresh);
        self.failures = self.failures.saturating_add(1);
        self.due = uptime + (pause + jitter(pause, random)).min(self.refresh);
    }
}

/// A part of the pause, the larger the random number.
fn jitter(pause: Duration, random: u16) -> Duration {
    pause / JITTER_PARTS * u32::from(random) / u32::from(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DAY: Duration = Duration::from_secs(86_400);

    /// The pauses of so many failures, one after the other.
    fn pauses(schedule: &mut Schedule, failures: usize, random: u16) -> Vec<u64> {
        let mut uptime = schedule.due;
        let pause = |_| {
            assert!(schedule.is_due(uptime));
            schedule.failed(uptime, random);
            let pause = schedule.due - uptime;
            uptime = schedule.due;
            pause.as_secs()
        };
        (0..failures).map(pause).collect()
    }

    #[test]
    fn pauses_double_from_a_minute_up_to_the_refresh_interval() {
        let mut schedule = Schedule::new(Duration::from_secs(600));
        assert_eq!(pauses(&mut schedule, 6, 0), [60, 120, 240, 480, 600, 600]);
        assert_eq!(pauses(&mut Schedule::new(DAY), 14, 0)[11..], [86_400; 3]);
        assert_eq!(pauses(&mut Schedule::new(DAY), 2, u16::MAX), [75, 150], "a quarter more");
    }

    #[test]
    fn a_success_begins_anew_and_the_next_time_is_after_the_interval() {
        let mut schedule = Schedule::new(DAY);
        assert!(schedule.is_due(Duration::ZERO), "the first time is at once");
        pauses(&mut schedule, 5, 0);
        schedule.succeeded(DAY, 0);
        assert!(!schedule.is_due(2 * DAY - Duration::from_secs(1)) && schedule.is_due(2 * DAY));
        assert_eq!(pauses(&mut schedule, 1, 0), [60]);
    }

    proptest! {
        #[test]
        fn no_pause_is_below_a_minute_or_beyond_the_interval(
            refresh_s in 300_u64..3_000_000,
            randoms in proptest::collection::vec(any::<u16>(), 1..80),
        ) {
            let mut schedule = Schedule::new(Duration::from_secs(refresh_s));
            for random in randoms {
                let uptime = schedule.due;
                schedule.failed(uptime, random);
                let pause = schedule.due - uptime;
                prop_assert!((FIRST_PAUSE..=schedule.refresh).contains(&pause), "{pause:?}");
            }
        }
    }
}
