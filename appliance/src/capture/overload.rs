//! Overload: what is done where more frames come than can be looked at, and what is said of it.
//!
//! A ring that fills up is the sign. From half of it on most long segments of running connections are passed over, from
//! three quarters on nearly all ([`crate::linux::capture_filter`]), so that there is room for whatever begins. Once no ring
//! was a quarter full for [`CALM`], one step is taken back.
//!
//! While that goes on, packets, bytes and rates of connections that carry much are understated in features and counters.
//! Handshakes, refusals, ends and acknowledgements are not: who scans, floods with SYNs or guesses passwords looks as ever.

use core::time::Duration;

use crate::clock::Stopwatch;
use crate::linux::capture_filter::Shedding;

/// How long all must be calm before less is passed over.
const CALM: Duration = Duration::from_secs(5);

/// How long it is shown that frames were passed over or lost.
const SHOWN: Duration = Duration::from_secs(600);

/// How much is passed over now.
#[derive(Debug)]
pub(super) struct Overload {
    shedding: Shedding,
    /// Since when no ring was a quarter full, and nothing was changed.
    calm: Stopwatch,
}

impl Overload {
    pub(super) fn new() -> Self {
        Self { shedding: Shedding::Nothing, calm: Stopwatch::start() }
    }

    /// What is to be passed over from now on, where that changes: the fuller ring is full by so many quarters.
    pub(super) fn look(&mut self, quarters: usize) -> Option<Shedding> {
        if self.shedding == Shedding::Nothing && quarters < 2 {
            return None;
        }
        let next = next(self.shedding, quarters, self.calm.elapsed());
        let changes = next != self.shedding;
        if changes || quarters > 0 {
            self.calm = Stopwatch::start();
        }
        self.tell(next);
        self.shedding = next;
        changes.then_some(next)
    }

    fn tell(&self, next: Shedding) {
        match (self.shedding, next) {
            (Shedding::Nothing, Shedding::Most | Shedding::NearlyAll) => {
                log::warn!("more comes than can be read: most long packets of running connections are passed over");
            }
            (Shedding::Most | Shedding::NearlyAll, Shedding::Nothing) => log::info!("every packet is read again"),
            _ => {}
        }
    }
}

fn next(now: Shedding, quarters: usize, calm: Duration) -> Shedding {
    let needed = match quarters {
        0 | 1 => Shedding::Nothing,
        2 => Shedding::Most,
        _ => Shedding::NearlyAll,
    };
    if quarters == 0 && calm >= CALM { now.less() } else { now.max(needed) }
}

/// A count of frames that were not looked at, which is shown for a while after each.
#[derive(Debug, Default)]
pub(super) struct Missed {
    count: u64,
    last: Option<Stopwatch>,
}

impl Missed {
    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    /// Takes the count as it is now.
    pub(super) fn set(&mut self, count: u64) {
        if count != self.count {
            *self = Self { count, last: Some(Stopwatch::start()) };
        }
    }

    /// The count, where it grew a short while ago.
    pub(super) fn recent(&self) -> Option<u64> {
        self.last.filter(|last| last.elapsed() < SHOWN).map(|_| self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fuller_the_ring_the_more_is_passed_over() {
        use Shedding::{Most, NearlyAll, Nothing};
        let at = |now, quarters| next(now, quarters, Duration::ZERO);
        assert_eq!([0, 1, 2, 3].map(|quarters| at(Nothing, quarters)), [Nothing, Nothing, Most, NearlyAll]);
        assert_eq!([0, 1, 2, 3].map(|quarters| at(Most, quarters)), [Most, Most, Most, NearlyAll]);
        assert_eq!([0, 1, 2, 3].map(|quarters| at(NearlyAll, quarters)), [NearlyAll; 4]);
    }

    #[test]
    fn less_is_passed_over_only_after_it_was_calm_for_long_step_by_step() {
        use Shedding::{Most, NearlyAll, Nothing};
        assert_eq!(next(NearlyAll, 0, CALM), Most);
        assert_eq!(next(Most, 0, CALM), Nothing);
        assert_eq!(next(NearlyAll, 1, CALM), NearlyAll, "a quarter is not calm");
        let mut overload = Overload::new();
        assert_eq!(overload.look(3), Some(NearlyAll));
        assert_eq!(overload.look(0), None, "not at once");
        assert_eq!(overload.look(2), None, "what is passed over is enough");
    }

    #[test]
    fn what_was_missed_is_shown_once_there_is_something() {
        let mut missed = Missed::default();
        missed.set(0);
        assert_eq!(missed.recent(), None);
        missed.set(7);
        assert_eq!((missed.recent(), missed.count()), (Some(7), 7));
    }
}
