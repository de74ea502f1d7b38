//! Trips: where far more would be blocked than is likely, the box rather blocks too little, and says so.
//!
//! Each trip holds back its own kind of block only: forged senders, whom anybody can make up by the thousand, must not keep
//! proven attackers from being blocked. What stands stays. A trip ends by itself after ten quiet minutes: a household looks
//! at the page once a week, and must not be without protection until then.

use core::time::Duration;

use traffic::time::Timestamp;

use super::Action;

/// A trip ends when nothing was over its limit for this long.
const QUIET: Duration = Duration::from_secs(600);

/// What kind of new block is held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trip {
    /// Too many a minute on evidence that can be forged.
    Forgeable,
    /// Too many a minute on proven evidence.
    Proven,
    /// Too large a share of the household.
    Household,
}

impl Trip {
    const ALL: [Self; 3] = [Self::Forgeable, Self::Proven, Self::Household];

    /// The trip that counts blocks of that kind. Devices in quarantine are counted by their share of the household, and
    /// limited services by how many there are.
    #[must_use]
    pub const fn of(action: Action) -> Option<Self> {
        match action {
            Action::DenyNew => Some(Self::Forgeable),
            Action::Deny => Some(Self::Proven),
            Action::Limit | Action::Quarantine => None,
        }
    }

    /// What a person should know of it, with the remedy.
    #[must_use]
    pub const fn fault(self) -> &'static str {
        match self {
            Self::Forgeable => {
                "more sources a minute than policy.max_blocks_per_minute would be blocked on evidence that can be forged, so \
                 nobody new is blocked on such evidence until ten minutes were quiet; proven attackers still are. If the \
                 alerts are wrong, put their sources into policy.allow; if they are right, raise the limit"
            }
            Self::Proven => {
                "more proven attackers a minute than policy.max_blocks_per_minute would be blocked, so no new ones are until \
                 ten minutes were quiet. If the alerts are wrong, put their sources into policy.allow; if they are right, \
                 raise the limit and run `sluice reload`"
            }
            Self::Household => {
                "more of the household's devices than policy.max_share_of_lan would be blocked, so no more of them are until \
                 ten minutes were quiet. If the alerts are wrong, unblock the devices and put them into policy.allow; if \
                 they are right, disconnect the devices"
            }
        }
    }

    /// The name in the audit log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Forgeable => "new blocks on evidence that can be forged",
            Self::Proven => "new blocks of proven attackers",
            Self::Household => "new blocks of the household's devices",
        }
    }
}

/// A block is held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// By which trip.
    pub trip: Trip,
    /// It has begun with this block.
    pub begins: bool,
}

/// The trips and their counters.
#[derive(Clone, Debug, Default)]
pub struct Trips([Breaker; Trip::ALL.len()]);

#[derive(Clone, Copy, Debug, Default)]
struct Breaker {
    minute: u64,
    in_minute: u32,
    /// When the limit was passed last, while the trip holds.
    over: Option<Timestamp>,
}

impl Trips {
    /// Counts a block that is wanted.
    ///
    /// # Errors
    /// There are more than `limit` in this minute, or were a short while ago.
    pub fn count(&mut self, trip: Trip, limit: u32, now: Timestamp) -> Result<(), Held> {
        let breaker = &mut self.0[trip as usize];
        let minute = now.as_secs() / 60;
        if breaker.minute != minute {
            (breaker.minute, breaker.in_minute) = (minute, 0);
        }
        breaker.in_minute = breaker.in_minute.saturating_add(1);
        let is_over = breaker.in_minute > limit;
        self.hold(trip, is_over, now)
    }

    /// Trips where the limit is passed.
    ///
    /// # Errors
    /// It is passed, or was a short while ago.
    pub fn hold(&mut self, trip: Trip, is_over: bool, now: Timestamp) -> Result<(), Held> {
        let breaker = &mut self.0[trip as usize];
        let begins = is_over && breaker.over.is_none();
        if is_over {
            breaker.over = Some(now);
        }
        breaker.over.map_or(Ok(()), |_| Err(Held { trip, begins }))
    }

    /// Ends the trips that were quiet for long enough, and returns them.
    pub fn end_quiet(&mut self, now: Timestamp) -> Vec<Trip> {
        let is_quiet = |trip: &Trip| {
            let over = &mut self.0[*trip as usize].over;
            // After the clock was set back the time begins anew.
            *over = over.map(|over| over.min(now));
            let ends = over.is_some_and(|over| now.since(over) >= QUIET);
            if ends {
                *over = None;
            }
            ends
        };
        Trip::ALL.into_iter().filter(is_quiet).collect()
    }

    /// Those that hold.
    pub fn holding(&self) -> impl Iterator<Item = Trip> {
        Trip::ALL.into_iter().filter(|trip| self.0[*trip as usize].over.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trip_holds_its_own_kind_until_ten_minutes_were_quiet() {
        let at = Timestamp::from_secs;
        let mut trips = Trips::default();
        for _ in 0..3 {
            assert_eq!(trips.count(Trip::Forgeable, 3, at(600)), Ok(()));
        }
        let held = |begins| Err(Held { trip: Trip::Forgeable, begins });
        assert_eq!(trips.count(Trip::Forgeable, 3, at(601)), held(true));
        assert_eq!(trips.count(Trip::Forgeable, 3, at(602)), held(false));
        assert_eq!(trips.count(Trip::Proven, 3, at(602)), Ok(()), "proven attackers are still blocked");
        assert_eq!(trips.count(Trip::Forgeable, 3, at(900)), held(false), "below the limit, but not for long enough");
        assert_eq!(trips.end_quiet(at(1_201)), []);
        assert_eq!(trips.holding().collect::<Vec<_>>(), [Trip::Forgeable]);
        assert_eq!(trips.end_quiet(at(1_202)), [Trip::Forgeable]);
        assert_eq!(trips.count(Trip::Forgeable, 3, at(1_202)), Ok(()));
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_prolong_a_trip_for_ever() {
        let mut trips = Trips::default();
        assert!(trips.count(Trip::Proven, 0, Timestamp::from_secs(1_000_000)).is_err());
        assert_eq!(trips.end_quiet(Timestamp::from_secs(1_000)), []);
        assert_eq!(trips.end_quiet(Timestamp::from_secs(1_600)), [Trip::Proven]);
    }
}
