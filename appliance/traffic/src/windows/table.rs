//! A table of who did what lately, from which nobody can push others out at will.
//!
//! Sources can be forged, thousands in a second, and each would take the place of somebody who was seen doing something.
//! Therefore newcomers have a part of the table of their own, in which they replace each other. Who has begun a few flows
//! is *noted*, and leaves that part. Where there is no room for one more, the noted one that was quiet longest is compared
//! with the candidate: who began fewer flows in 60 s is a newcomer again. To hide, a scanner would have to send as many
//! flows from each of thousands of forged addresses as it sends from its own.

use core::hash::Hash;

use super::activity::Activity;
use super::tally::{Facts, Tally};
use super::{AsOf, Deed};
use crate::arena::{Arena, Footprint, Slot};
use crate::time::Timestamp;

/// The two parts, as lists of the arena: newcomers are spared first.
const NEWCOMERS: usize = 0;
const NOTED: usize = 1;
const LISTS: usize = 2;

/// Who began so many flows in 60 s is noted.
const NOTED_FROM_FLOWS: u32 = 4;

/// The part of the table that the noted may take: the rest is for newcomers, however many are noted.
const NOTED_SHARE: (usize, usize) = (3, 4);

/// Activity by party or pair.
#[derive(Debug)]
pub(super) struct Table<K, T: Tally> {
    activities: Arena<K, Activity<T>, LISTS>,
    most_noted: usize,
}

impl<K: Hash + Eq + Copy, T: Tally> Table<K, T> {
    /// Room for `capacity` parties; `seed` keys the hash.
    pub fn new(capacity: usize, seed: [u64; 2]) -> Self {
        let most_noted = capacity * NOTED_SHARE.0 / NOTED_SHARE.1;
        Self { activities: Arena::new(capacity, seed), most_noted }
    }

    /// What the table takes; `name` says what it holds.
    pub const fn footprint(&self, name: &'static str) -> Footprint {
        self.activities.footprint(name)
    }

    /// Counts a deed of a party, which may well be at `seat`; the seat is set to where it is.
    pub fn count(&mut self, seat: &mut Slot, party: K, deed: Deed, facts: &Facts, now: Timestamp) {
        let slot = self.activities.find_or_insert(*seat, party, || Activity::new(now));
        *seat = slot;
        let activity = self.activities.get_mut(slot);
        activity.count(deed, facts, now);
        if T::begins(deed) && self.activities.list_of(slot) == NEWCOMERS {
            self.consider(slot, now);
        }
    }

    /// What a party did, which may well be at `seat`.
    pub fn counts(&self, seat: Slot, party: &K, as_of: AsOf) -> [T::Counts; 2] {
        self.activities
            .find_near(seat, party)
            .map_or_else(Default::default, |slot| self.activities.get(slot).counts(as_of))
    }

    /// Notes a newcomer, where it did enough for that and there is room.
    fn consider(&mut self, newcomer: Slot, now: Timestamp) {
        let flows = self.activities.get(newcomer).flows(now);
        if flows < NOTED_FROM_FLOWS {
            return;
        }
        if self.activities.len_of(NOTED) >= self.most_noted {
            let Some(quietest) = self.activities.oldest(NOTED) else { return };
            if self.activities.get(quietest).flows(now) >= flows {
                // The next candidate is compared with another one: one that is busy must not shield all behind it.
                self.activities.touch(quietest, NOTED);
                return;
            }
            self.activities.touch(quietest, NEWCOMERS);
        }
        self.activities.touch(newcomer, NOTED);
    }
}
