//! A table of who did what lately, from which nobody can push others out at will.
//!
//! Sources can be forged, thousands in a second, and each would take the place of somebody who was seen doing something.
//! Therefore newcomers have a part of the table of their own, in which they replace each other. Who has begun a few flows
//! is *noted*, and leaves that part. Where there is no room for one more, the noted one that was quiet longest is compared
//! with the candidate: who began fewer flows in 60 s is a newcomer again. To hide, a scanner would have to send as many
//! flows from each of thousands of forged addresses as it sends from its own.

use core::hash::Hash;

use super::tally::Facts;
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

/// What is kept of a party or a pair.
pub(super) trait Record: Copy {
    /// What is read from it.
    type Counts: Default;

    fn new(now: Timestamp) -> Self;

    fn count(&mut self, deed: Deed, facts: &Facts, now: Timestamp);

    fn counts(&self, as_of: AsOf) -> Self::Counts;

    /// Flows begun over 60 s, or what stands for them.
    fn flows(&self, now: Timestamp) -> u32;

    /// Whether [`Self::flows`] counts such a deed.
    fn begins(deed: Deed) -> bool;
}

/// Records by party or pair.
#[derive(Debug)]
pub(super) struct Table<K, R> {
    records: Arena<K, R, LISTS>,
    most_noted: usize,
}

impl<K: Hash + Eq + Copy, R: Record> Table<K, R> {
    /// Room for `capacity` parties; `seed` keys the hash.
    pub fn new(capacity: usize, seed: [u64; 2]) -> Self {
        let most_noted = capacity * NOTED_SHARE.0 / NOTED_SHARE.1;
        Self { records: Arena::new(capacity, seed), most_noted }
    }

    /// What the table takes; `name` says what it holds.
    pub const fn footprint(&self, name: &'static str) -> Footprint {
        self.records.footprint(name)
    }

    /// Counts a deed of a party, which may well be at `seat`; the seat is set to where it is.
    pub fn count(&mut self, seat: &mut Slot, party: K, deed: Deed, facts: &Facts, now: Timestamp) {
        let slot = self.records.find_or_insert(*seat, party, || R::new(now));
        *seat = slot;
        self.records.get_mut(slot).count(deed, facts, now);
        if R::begins(deed) && self.records.list_of(slot) == NEWCOMERS {
            self.consider(slot, now);
        }
    }

    /// What a party did, which may well be at `seat`.
    pub fn counts(&self, seat: Slot, party: &K, as_of: AsOf) -> R::Counts {
        self.records.find_near(seat, party).map_or_else(Default::default, |slot| self.records.get(slot).counts(as_of))
    }

    /// Notes a newcomer, where it did enough for that and there is room.
    fn consider(&mut self, newcomer: Slot, now: Timestamp) {
        let flows = self.records.get(newcomer).flows(now);
        if flows < NOTED_FROM_FLOWS {
            return;
        }
        if self.records.len_of(NOTED) >= self.most_noted {
            let Some(quietest) = self.records.oldest(NOTED) else { return };
            if self.records.get(quietest).flows(now) >= flows {
                // The next candidate is compared with another one: one that is busy must not shield all behind it.
                self.records.touch(quietest, NOTED);
                return;
            }
            self.records.touch(quietest, NEWCOMERS);
        }
        self.records.touch(newcomer, NOTED);
    }
}
