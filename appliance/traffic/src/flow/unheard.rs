//! Flows that wait for their first answer, in the order in which they began: who is not heard in time is judged once more, because only
//! now it can be told from one that will answer. Else a search of many hosts that is over in a second would be known by nothing.

use std::collections::VecDeque;

use crate::arena::{Footprint, Slot};
use crate::limits::ANSWER_WAIT;
use crate::time::Timestamp;

/// One that waits.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    slot: Slot,
    /// The last bits of the flow's number: another flow may have its slot by now.
    flow: u32,
    since: Timestamp,
}

/// As many as there are flows. It takes its memory when it is made.
#[derive(Debug)]
pub(super) struct Unheard {
    waiting: VecDeque<Waiting>,
    most: usize,
}

impl Unheard {
    pub fn new(most: usize) -> Self {
        Self { waiting: VecDeque::with_capacity(most), most }
    }

    pub fn footprint(&self) -> Footprint {
        let bytes = self.waiting.capacity() * size_of::<Waiting>();
        Footprint { name: "flows that wait", entries: self.most, bytes }
    }

    /// A flow begins. Where there is no room, the one that waits for longest is forgotten: more flows began within a second than the
    /// flow table has room for.
    pub fn add(&mut self, slot: Slot, flow: u64, now: Timestamp) {
        if self.waiting.len() >= self.most {
            self.waiting.pop_front();
        }
        self.waiting.push_back(Waiting { slot, flow: flow as u32, since: now });
    }

    /// The next one that has waited long enough, or is of a time before the clock was set back: where it was, and the last bits of its
    /// number.
    pub fn next_due(&mut self, now: Timestamp) -> Option<(Slot, u32)> {
        let first = self.waiting.front()?;
        let is_due = first.since.plus(ANSWER_WAIT) <= now || first.since.is_from_before_a_reset(now);
        let due = is_due.then_some((first.slot, first.flow));
        due.inspect(|_| _ = self.waiting.pop_front())
    }
}
