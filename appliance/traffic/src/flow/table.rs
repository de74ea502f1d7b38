//! The flows of the moment, bounded.

use super::{Flow, FlowKey};
use crate::arena::{Arena, Slot};
use crate::time::Timestamp;

/// Lists by how long a flow may be silent; within one, the flow that was silent longest is first. Victims of a full table
/// are taken in the order of the lists: what has ended, what nobody answered or is half-open, what was answered, and only
/// then established connections.
const ENDED: usize = 0;
const PENDING: usize = 1;
const ANSWERED: usize = 2;
const ESTABLISHED: usize = 3;
const LISTS: usize = 4;

/// The flows of the moment. All operations are O(1); memory is taken once.
#[derive(Debug)]
pub struct FlowTable {
    flows: Arena<FlowKey, Flow, LISTS>,
    /// No flow expires before this, as long as time goes forward.
    next_expiry: Timestamp,
    /// When that was last asked.
    now: Timestamp,
}

impl FlowTable {
    /// Room for `capacity` flows; `seed` keys the hash.
    #[must_use]
    pub fn new(capacity: usize, seed: [u64; 2]) -> Self {
        Self { flows: Arena::new(capacity, seed), next_expiry: Timestamp::EPOCH, now: Timestamp::EPOCH }
    }

    /// How many flows there are, those included that have ended and linger.
    #[must_use]
    pub fn len(&self) -> usize {
        self.flows.len()
    }

    /// There is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where the flow of that key is.
    #[must_use]
    pub fn find(&self, key: &FlowKey) -> Option<Slot> {
        self.flows.find(key)
    }

    /// The flow there.
    #[must_use]
    pub fn get(&self, slot: Slot) -> &Flow {
        self.flows.get(slot)
    }

    /// The flow there, to add a packet to it; [`Self::touch`] is to follow.
    pub fn get_mut(&mut self, slot: Slot) -> &mut Flow {
        self.flows.get_mut(slot)
    }

    /// Puts a flow in; `None` where the table is full.
    pub fn insert(&mut self, flow: Flow) -> Option<Slot> {
        self.next_expiry = self.next_expiry.min(expiry(&flow));
        self.flows.insert(flow.key, flow, list_of(&flow))
    }

    /// To be called after a packet: the flow is now the most recent of its list.
    pub fn touch(&mut self, slot: Slot) {
        let flow = self.flows.get(slot);
        let list = list_of(flow);
        self.next_expiry = self.next_expiry.min(expiry(flow));
        self.flows.touch(slot, list);
    }

    /// Takes the flow out.
    pub fn remove(&mut self, slot: Slot) -> Flow {
        self.flows.remove(slot)
    }

    /// Takes one flow out that was silent for too long, or is of a time before the clock was set back.
    pub fn expire(&mut self, now: Timestamp) -> Option<Flow> {
        let goes_forward = now >= self.now;
        self.now = now;
        if goes_forward && now < self.next_expiry {
            return None;
        }
        let mut next_expiry = Timestamp::NEVER;
        for list in 0..LISTS {
            let Some(slot) = self.flows.oldest(list) else { continue };
            let flow = self.flows.get(slot);
            if expiry(flow) <= now || flow.last.is_from_before_a_reset(now) {
                // There may be more: the next call looks again.
                self.next_expiry = Timestamp::EPOCH;
                return Some(self.flows.remove(slot));
            }
            next_expiry = next_expiry.min(expiry(flow));
        }
        self.next_expiry = next_expiry;
        None
    }

    /// Where the table is full, takes the flow out that can be spared most easily.
    pub fn make_room(&mut self) -> Option<Flow> {
        if !self.flows.is_full() {
            return None;
        }
        self.take_any()
    }

    /// Takes flows out until none is left.
    pub fn take_any(&mut self) -> Option<Flow> {
        let slot = self.flows.spare()?;
        Some(self.flows.remove(slot))
    }
}

fn list_of(flow: &Flow) -> usize {
    if flow.ended {
        ENDED
    } else if flow.is_established() {
        ESTABLISHED
    } else if flow.is_two_way() && !flow.is_tcp {
        ANSWERED
    } else {
        PENDING
    }
}

/// When the flow is over unless another packet comes.
const fn expiry(flow: &Flow) -> Timestamp {
    flow.last.plus(flow.idle_limit())
}
