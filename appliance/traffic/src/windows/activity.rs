//! What one party, or one pair, did in the last 2 s and the last 60 s.
//!
//! A window is two slots of half its length, the running one and the one before: it reaches back between half and the
//! whole of its length, costs the same whatever happens in it, and needs no list of events.

use core::time::Duration;

use super::table::Record;
use super::tally::{Facts, Tally};
use super::{AsOf, Deed};
use crate::time::{Timestamp, nanos};

/// Lengths of the two windows.
const WINDOWS: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(60)];

/// Lengths of their slots, in nanoseconds.
const SLOTS_NS: [u64; 2] = [nanos(WINDOWS[0]) / 2, nanos(WINDOWS[1]) / 2];

/// A packet may be late by so many slots; see [`Timestamp::is_from_before_a_reset`].
const SLOTS_OUT_OF_ORDER: u64 = 3;

/// One window. Both tallies are kept up with every deed, so that reading costs nothing: it is done more often.
#[derive(Clone, Copy, Debug)]
struct Window<T> {
    /// Number of the running slot since the epoch.
    running: u64,
    /// Over the running slot.
    slot: T,
    /// Over the running slot and the one before.
    both: T,
}

impl<T: Tally> Window<T> {
    fn new(number: u64) -> Self {
        Self { running: number, slot: T::default(), both: T::default() }
    }

    fn count(&mut self, number: u64, deed: Deed, facts: &Facts) {
        self.advance(number);
        self.slot.count(deed, facts);
        self.both.count(deed, facts);
    }

    /// Moves the window to now. A packet out of order counts where the window is; a clock that was set back by far empties
    /// it.
    fn advance(&mut self, number: u64) {
        match number.checked_sub(self.running) {
            None if self.running - number > SLOTS_OUT_OF_ORDER => *self = Self::new(number),
            None | Some(0) => {}
            Some(1) => *self = Self { running: number, slot: T::default(), both: self.slot },
            Some(_) => *self = Self::new(number),
        }
    }

    /// What it holds then; nothing where all of it is past.
    const fn held(&self, number: u64) -> Option<&T> {
        match number.saturating_sub(self.running) {
            0 => Some(&self.both),
            1 => Some(&self.slot),
            _ => None,
        }
    }
}

/// Both windows of one party or pair.
#[derive(Clone, Copy, Debug)]
pub(super) struct Activity<T> {
    windows: [Window<T>; 2],
}

impl<T: Tally> Record for Activity<T> {
    /// Over 2 s and over 60 s.
    type Counts = [T::Counts; 2];

    fn new(now: Timestamp) -> Self {
        Self { windows: slot_numbers(now).map(Window::new) }
    }

    fn count(&mut self, deed: Deed, facts: &Facts, now: Timestamp) {
        for (window, number) in self.windows.iter_mut().zip(slot_numbers(now)) {
            window.count(number, deed, facts);
        }
    }

    fn counts(&self, as_of: AsOf) -> [T::Counts; 2] {
        self.held(as_of.last).map(|tally| tally.map(T::counts).unwrap_or_default())
    }

    fn flows(&self, now: Timestamp) -> u32 {
        let [_, long] = self.held(now);
        long.map_or(0, T::flows)
    }

    fn begins(deed: Deed) -> bool {
        T::begins(deed)
    }
}

impl<T: Tally> Activity<T> {
    fn held(&self, now: Timestamp) -> [Option<&T>; 2] {
        let ([short, long], [short_number, long_number]) = (&self.windows, slot_numbers(now));
        [short.held(short_number), long.held(long_number)]
    }
}

/// Slots are cut at fixed times of the clock, so that the same packets give the same counts wherever a capture begins to
/// be read.
fn slot_numbers(now: Timestamp) -> [u64; 2] {
    SLOTS_NS.map(|slot| now.as_nanos() / slot)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::windows::tally::{Distinct, SourceCounts, SourceTally};

    fn facts(port: u16) -> Facts {
        Facts {
            is_tcp: true,
            is_login: false,
            to_group: false,
            is_awaited: true,
            begin: Timestamp::EPOCH,
            distinct: Distinct::of(7, Some(port)),
        }
    }

    fn counts(activity: &Activity<SourceTally>, second: u64) -> [SourceCounts; 2] {
        let last = Timestamp::from_secs(second);
        activity.counts(AsOf { last, heard: last })
    }

    #[test]
    fn what_is_older_than_the_window_is_forgotten() {
        let mut activity = Activity::<SourceTally>::new(Timestamp::from_secs(100));
        for port in 0..30 {
            activity.count(Deed::Begun, &facts(port), Timestamp::from_secs(100));
        }
        let [short, long] = counts(&activity, 101);
        assert_eq!((short.flows.begun, long.flows.begun), (30, 30));
        let [short, long] = counts(&activity, 102);
        assert_eq!((short.flows.begun, long.flows.begun), (0, 30), "the short window is over");
        let [_, long] = counts(&activity, 160);
        assert_eq!(long.flows.begun, 0, "the long window is over");
    }

    #[test]
    fn packets_out_of_order_count_and_a_clock_set_back_begins_anew() {
        let mut activity = Activity::<SourceTally>::new(Timestamp::from_secs(10_000));
        activity.count(Deed::Begun, &facts(1), Timestamp::from_secs(10_000));
        activity.count(Deed::Begun, &facts(2), Timestamp::from_secs(9_999));
        assert_eq!(counts(&activity, 10_000)[0].flows.begun, 2);
        activity.count(Deed::Begun, &facts(3), Timestamp::from_secs(6_400));
        assert_eq!(counts(&activity, 6_400).map(|counts| counts.flows.begun), [1, 1]);
    }
}
