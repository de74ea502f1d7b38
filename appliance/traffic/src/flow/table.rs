//! The flows of the moment, bounded.

use super::unheard::Unheard;
use super::{Change, Direction, Flow, FlowEnd, FlowKey, Impression};
use crate::arena::{Arena, Footprint, Slot};
use crate::decode::{IcmpError, IcmpKind, Packet, Transport};
use crate::limits::IDLE;
use crate::time::{Timestamp, nanos};

/// Lists by how long a flow may be silent; within one, the flow that was silent longest is first. Victims of a full table
/// are taken in the order of the lists: what has ended, what nobody answered or is half-open, what was answered, and only
/// then established connections.
const ENDED: usize = 0;
const PENDING: usize = 1;
const ANSWERED: usize = 2;
const ESTABLISHED: usize = 3;
const LISTS: usize = 4;

/// A flow that has ended is judged further where it has so many packets: a flood goes on through the resets that answer it.
const OUTLIVES_ITS_END_PACKETS: u64 = 128;

/// So many flows in a second that begin with a first answer (a SYN-ACK, or early UDP of a service) are taken for what was asked
/// before anybody looked, or missed: a household asks some hundreds of questions in the moment before the box starts. More of them are
/// a flood of answers that nobody asked for. What belongs to an open connection has no such bound.
const PRESUMED_ANSWERS_PER_S: u32 = 256;

/// The flows of the moment. All operations are O(1); memory is taken once.
#[derive(Debug)]
pub struct FlowTable {
    flows: Arena<FlowKey, Flow, LISTS>,
    unheard: Unheard,
    /// No flow expires before this, as long as time goes forward.
    next_expiry: Timestamp,
    /// When that was last asked.
    now: Timestamp,
    next_number: u64,
    /// When the first flow began: others may have begun before.
    first: Option<Timestamp>,
    /// A second, and how many flows began with a first answer in it.
    presumed: (u64, u32),
}

/// What a packet did.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    /// Where its flow is, until the table is changed again.
    pub slot: Slot,
    /// What it did to the flow.
    pub change: Change,
    /// It began the flow.
    pub created: bool,
    /// A flow had to go for it before its time.
    pub evicted: bool,
    /// The flow is to be judged now: after its 1st, 2nd, 4th, 8th … packet, and at its end. Beyond it only where it is long.
    pub is_checkpoint: bool,
}

impl FlowTable {
    /// Room for `capacity` flows; `seed` keys the hash.
    #[must_use]
    pub fn new(capacity: usize, seed: [u64; 2]) -> Self {
        let (next_expiry, now) = (Timestamp::EPOCH, Timestamp::EPOCH);
        Self {
            flows: Arena::new(capacity, seed),
            unheard: Unheard::new(capacity),
            next_expiry,
            now,
            next_number: 0,
            first: None,
            presumed: (0, 0),
        }
    }

    /// What the table takes, and the queue of those that wait for an answer.
    #[must_use]
    pub fn footprints(&self) -> [Footprint; 2] {
        [self.flows.footprint("flows"), self.unheard.footprint()]
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

    /// The flow there.
    #[must_use]
    pub fn get(&self, slot: Slot) -> &Flow {
        self.flows.get(slot)
    }

    pub(crate) fn get_mut(&mut self, slot: Slot) -> &mut Flow {
        self.flows.get_mut(slot)
    }

    /// Takes a packet in, of which [`Self::expire`] has been told the time. `ended` gets the flow that had to go for it, and
    /// the segment that was over before it.
    pub fn take(&mut self, packet: &Packet, now: Timestamp, ended: &mut dyn FnMut(&Flow, FlowEnd)) -> Taken {
        if let Some(taken) = self.take_complaint(packet) {
            return taken;
        }
        let (key, direction) = FlowKey::of(packet);
        let (slot, created, evicted, resumed) = match self.flows.find(&key) {
            Some(slot) if !self.flows.get(slot).is_reopened_by(packet) => {
                let resumed = self.keep_alive(slot, direction, packet, now);
                (slot, resumed, false, resumed)
            }
            found => {
                if let Some(slot) = found {
                    self.give_up(slot, FlowEnd::Reset, ended);
                }
                let evicted = self.make_room(ended);
                (self.begin(key, direction, packet, now), true, evicted, false)
            }
        };
        let flow = self.flows.get_mut(slot);
        let was_over = flow.ended;
        if !was_over && flow.is_segment_over(now) {
            ended(flow, FlowEnd::Segment);
            flow.begin_segment(now);
        }
        let change = Change { resumed, ..flow.add(direction, packet, now) };
        let is_swallowed = was_over && flow.packets < OUTLIVES_ITS_END_PACKETS;
        let is_checkpoint = change.end.is_some() || flow.packets.is_power_of_two() && !is_swallowed;
        self.touch(slot);
        Taken { slot, change, created, evicted, is_checkpoint }
    }

    /// A flow that began [`ANSWER_WAIT`](crate::limits::ANSWER_WAIT) ago and of which nothing was heard since; each is given once.
    pub fn take_unheard(&mut self, now: Timestamp) -> Option<&Flow> {
        let Self { flows, unheard, .. } = self;
        let due = core::iter::from_fn(|| unheard.next_due(now));
        let mut told = due.filter_map(|(slot, number)| {
            flows.get_if_any(slot).filter(|flow| flow.number as u32 == number && flow.is_unheard())
        });
        told.next()
    }

    /// Ends all flows that were silent for too long, or are of a time before the clock was set back. `ended` gets those that
    /// had not ended before. After a step back in time, a flow may wait for the one that was touched before it, its idle time
    /// at the longest.
    pub fn expire(&mut self, now: Timestamp, ended: &mut dyn FnMut(&Flow, FlowEnd)) {
        while let Some(flow) = self.take_expired(now) {
            if !flow.ended {
                ended(&flow, FlowEnd::Idle);
            }
        }
    }

    /// Ends all flows: the capture is over.
    pub fn finish(&mut self, ended: &mut dyn FnMut(&Flow, FlowEnd)) {
        while let Some(slot) = self.flows.spare() {
            self.give_up(slot, FlowEnd::Shutdown, ended);
        }
    }

    /// An ICMP error belongs to the flow that it complains of, where it says something new of that.
    fn take_complaint(&mut self, packet: &Packet) -> Option<Taken> {
        let Transport::Icmp(IcmpKind::Error(IcmpError { unreachable, about: Some(about) })) = packet.transport else {
            return None;
        };
        let (key, direction) = FlowKey::about(packet, &about);
        let slot = self.flows.find(&key)?;
        let flow = self.flows.get_mut(slot);
        let refused = !flow.ended && flow.add_complaint(direction, unreachable);
        let change = Change { refused, ..Change::default() };
        refused.then_some(Taken { slot, change, created: false, evicted: false, is_checkpoint: false })
    }

    /// Where the packet shows that nobody heeded its reset, the connection goes on as another flow; true then.
    fn keep_alive(&mut self, slot: Slot, direction: Direction, packet: &Packet, now: Timestamp) -> bool {
        let flow = self.flows.get_mut(slot);
        let is_alive = flow.is_kept_alive_by(direction, packet);
        if is_alive {
            *flow = flow.continued(self.next_number, now);
            self.next_number += 1;
        }
        is_alive
    }

    /// Takes a flow out; true where it had not ended before.
    fn give_up(&mut self, slot: Slot, end: FlowEnd, ended: &mut dyn FnMut(&Flow, FlowEnd)) -> bool {
        let flow = self.flows.remove(slot);
        if !flow.ended {
            ended(&flow, end);
        }
        !flow.ended
    }

    /// Where the table is full, the flow goes that can be spared most easily; true where it had not ended before.
    fn make_room(&mut self, ended: &mut dyn FnMut(&Flow, FlowEnd)) -> bool {
        if !self.flows.is_full() {
            return false;
        }
        self.flows.spare().is_some_and(|slot| self.give_up(slot, FlowEnd::Evicted, ended))
    }

    /// Begins a flow, for which there is room.
    fn begin(&mut self, key: FlowKey, direction: Direction, packet: &Packet, now: Timestamp) -> Slot {
        let first = *self.first.get_or_insert(now);
        let is_early = now.nanos_since(first) < nanos(IDLE);
        let mut impression = Impression::of(packet, is_early);
        if impression.is_first_answer {
            impression.is_answer = self.may_be_an_answer(now);
        }
        let flow = Flow::new(self.next_number, key, direction, packet, now, impression);
        let slot = self.flows.insert(key, flow, PENDING);
        self.unheard.add(slot, self.next_number, now);
        self.next_number += 1;
        slot
    }

    /// Counts a flow that begins with a first answer; whether it is one of few.
    fn may_be_an_answer(&mut self, now: Timestamp) -> bool {
        let (second, answers) = &mut self.presumed;
        if *second != now.as_secs() {
            (*second, *answers) = (now.as_secs(), 0);
        }
        *answers = answers.saturating_add(1);
        *answers <= PRESUMED_ANSWERS_PER_S
    }

    /// After a packet: the flow is now the most recent of its list.
    fn touch(&mut self, slot: Slot) {
        let flow = self.flows.get(slot);
        let list = list_of(flow);
        self.next_expiry = self.next_expiry.min(expiry(flow));
        self.flows.touch(slot, list);
    }

    fn take_expired(&mut self, now: Timestamp) -> Option<Flow> {
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
