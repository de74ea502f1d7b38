//! Flows of a source that nobody can be expected to have answered yet.
//!
//! An answer takes as long as the way there and back: a few milliseconds in a house, a third of a second around the world, more over a
//! phone's full buffers. Until then who opens a hundred pages at once looks like who searches a hundred hosts. Therefore what began in
//! the running half second, or in the one before, and was neither answered nor refused, counts for neither.

use super::activity::Activity;
use super::table::Record;
use super::tally::{Facts, SourceCounts, SourceTally};
use super::{AsOf, Deed};
use crate::limits::ANSWER_WAIT;
use crate::time::{Timestamp, nanos};

/// Length of a slot: an answer is awaited for so long at least, and for less than twice as long.
const SLOT_NS: u64 = nanos(ANSWER_WAIT) / 2;

/// A packet may be late by so many slots; see [`Timestamp::is_from_before_a_reset`].
const SLOTS_OUT_OF_ORDER: u64 = 6;

/// How many flows are awaited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AwaitedCounts {
    /// All of them.
    pub flows: u32,
    /// Of these, TCP.
    pub tcp: u32,
}

/// What a source did, and which of it may still be answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source {
    activity: Activity<SourceTally>,
    awaited: Awaited,
}

impl Record for Source {
    type Counts = ([SourceCounts; 2], AwaitedCounts);

    fn new(now: Timestamp) -> Self {
        Self { activity: Activity::new(now), awaited: Awaited::default() }
    }

    fn count(&mut self, deed: Deed, facts: &Facts, now: Timestamp) {
        self.activity.count(deed, facts, now);
        self.awaited.count(deed, facts, now);
    }

    fn counts(&self, as_of: AsOf) -> Self::Counts {
        (self.activity.counts(as_of), self.awaited.counts(as_of.heard))
    }

    fn flows(&self, now: Timestamp) -> u32 {
        self.activity.flows(now)
    }

    fn begins(deed: Deed) -> bool {
        Activity::<SourceTally>::begins(deed)
    }
}

/// The awaited flows by the slot in which they began.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Awaited {
    /// Number of the running slot since the epoch.
    running: u64,
    /// Of the running slot, and of the one before.
    slots: [AwaitedCounts; 2],
}

impl Awaited {
    fn count(&mut self, deed: Deed, facts: &Facts, now: Timestamp) {
        match deed {
            Deed::Begun if facts.is_awaited => {
                // By when the flow itself began: it is looked for, and judged once more, by that, and its packet may come late.
                self.advance(slot_number(facts.begin));
                if let Some(slot) = self.slot_of(facts.begin) {
                    slot.flows = slot.flows.saturating_add(1);
                    slot.tcp = slot.tcp.saturating_add(facts.is_tcp.into());
                }
            }
            Deed::Settled => {
                self.advance(slot_number(now));
                if let Some(slot) = self.slot_of(facts.begin) {
                    slot.flows = slot.flows.saturating_sub(1);
                    slot.tcp = slot.tcp.saturating_sub(facts.is_tcp.into());
                }
            }
            _ => {}
        }
    }

    /// That of a flow which began then; none where it was too long ago to be awaited.
    fn slot_of(&mut self, begin: Timestamp) -> Option<&mut AwaitedCounts> {
        self.slots.get_mut(self.running.saturating_sub(slot_number(begin)) as usize)
    }

    fn counts(&self, now: Timestamp) -> AwaitedCounts {
        let [running, before] = self.slots;
        match slot_number(now).saturating_sub(self.running) {
            0 => AwaitedCounts {
                flows: running.flows.saturating_add(before.flows),
                tcp: running.tcp.saturating_add(before.tcp),
            },
            1 => running,
            _ => AwaitedCounts::default(),
        }
    }

    /// Moves on to a slot. A packet out of order counts where the slots are; a clock that was set back by far empties them.
    fn advance(&mut self, number: u64) {
        let [running, _] = self.slots;
        self.slots = match number.checked_sub(self.running) {
            None if self.running - number <= SLOTS_OUT_OF_ORDER => return,
            Some(0) => return,
            Some(1) => [AwaitedCounts::default(), running],
            None | Some(_) => [AwaitedCounts::default(); 2],
        };
        self.running = number;
    }
}

fn slot_number(now: Timestamp) -> u64 {
    now.as_nanos() / SLOT_NS
}

#[cfg(test)]
mod tests {
    use super::super::tally::Distinct;
    use super::*;

    const HALF_S: u64 = SLOT_NS;

    fn at(halves: u64) -> Timestamp {
        Timestamp::from_nanos(1_000 * HALF_S + halves * HALF_S)
    }

    fn facts(is_tcp: bool, begin: Timestamp) -> Facts {
        Facts { is_tcp, is_login: false, to_group: false, is_awaited: true, begin, distinct: Distinct::NOTHING }
    }

    fn begun(times: &[u64]) -> Awaited {
        let mut awaited = Awaited::default();
        for &halves in times {
            awaited.count(Deed::Begun, &facts(true, at(halves)), at(halves));
        }
        awaited
    }

    #[test]
    fn what_began_lately_is_awaited_and_nothing_older() {
        let awaited = begun(&[0, 0, 1]);
        assert_eq!([1, 2, 3, 9].map(|halves| awaited.counts(at(halves)).tcp), [3, 1, 0, 0]);
        assert_eq!(begun(&[0, 1, 2]).counts(at(2)), AwaitedCounts { flows: 2, tcp: 2 });
        assert_eq!(begun(&[0, 5]).counts(at(0)).flows, 1, "as of what it did since");
    }

    #[test]
    fn who_was_heard_is_awaited_no_more_and_takes_nothing_from_others() {
        let mut awaited = begun(&[0, 1, 1]);
        awaited.count(Deed::Settled, &facts(true, at(0)), at(1));
        assert_eq!((awaited.counts(at(1)).flows, awaited.counts(at(2)).flows), (2, 2));
        awaited.count(Deed::Settled, &facts(true, at(1)), at(2));
        assert_eq!(awaited.counts(at(2)).flows, 1);
        awaited.count(Deed::Settled, &facts(true, at(0)), at(2));
        assert_eq!(awaited.counts(at(2)).flows, 1, "that one was too old to be awaited");
        let mut datagrams = begun(&[0]);
        datagrams.count(Deed::Begun, &facts(false, at(0)), at(0));
        assert_eq!(datagrams.counts(at(0)), AwaitedCounts { flows: 2, tcp: 1 });
        datagrams.count(Deed::Settled, &facts(false, at(0)), at(0));
        assert_eq!(datagrams.counts(at(0)), AwaitedCounts { flows: 1, tcp: 1 });
    }

    #[test]
    fn a_clock_set_back_begins_anew() {
        let mut awaited = begun(&[100, 99, 98]);
        assert_eq!(awaited.counts(at(100)).flows, 2, "packets out of order count as of when they were sent");
        awaited.count(Deed::Begun, &facts(true, at(0)), at(0));
        assert_eq!(awaited.counts(at(0)).flows, 1);
    }
}
