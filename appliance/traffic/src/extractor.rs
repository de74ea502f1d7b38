//! The steps from packet to feature vector in their order: what both the daemon and the trainer call.

use core::net::IpAddr;

use crate::arena::Slot;
use crate::decode::{IcmpKind, Packet, Transport};
use crate::features::{self, FeatureVector};
use crate::flow::{Change, Flow, FlowEnd, FlowKey, FlowTable};
use crate::limits::{self, Limits};
use crate::services::Service;
use crate::time::{Timestamp, nanos};
use crate::windows::{Deed, Windows};

/// A flow at a checkpoint.
#[derive(Clone, Copy, Debug)]
pub struct Observation<'a> {
    /// When the checkpoint was taken.
    pub time: Timestamp,
    /// Number of the flow, counted from 0 in the order of first packets.
    pub flow: u64,
    /// Who began the flow: the sender of the SYN, or of the first packet seen.
    pub initiator: IpAddr,
    /// The other side.
    pub responder: IpAddr,
    /// The initiator's port, for TCP and UDP.
    pub initiator_port: Option<u16>,
    /// The responder's port, for TCP and UDP.
    pub responder_port: Option<u16>,
    /// IP protocol number.
    pub protocol: u8,
    /// VLAN identifier of a tagged flow.
    pub vlan: Option<u16>,
    /// How many packets the flow had by now.
    pub packets: u64,
    /// The initiator was seen sending. Where it was not, nothing of this flow is its doing.
    pub begun: bool,
    /// The initiator's address is proven: a two-way exchange was completed that a forger off the path cannot make.
    pub proven: bool,
    /// The flow ended, and why; `None` while it runs.
    pub end: Option<FlowEnd>,
    /// The features.
    pub features: &'a FeatureVector,
}

/// What became of the flow table. The caller counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The packet began a flow.
    pub created: bool,
    /// A flow had to go for it before its time.
    pub evicted: bool,
}

/// Flow table, windows and features over one stream of packets in the order of time.
#[derive(Debug)]
pub struct Extractor {
    flows: FlowTable,
    windows: Windows,
    /// The latest time seen: captures hold packets out of order, and expiry must not go back.
    now: Timestamp,
    next_number: u64,
}

impl Extractor {
    /// Takes all memory that it will ever use. `seed` keys the hash tables: random in the daemon, fixed in tests.
    #[must_use]
    pub fn new(limits: &Limits, seed: [u64; 2]) -> Self {
        Self {
            flows: FlowTable::new(limits.flows, seed),
            windows: Windows::new(limits, seed),
            now: Timestamp::EPOCH,
            next_number: 0,
        }
    }

    /// How many flows are in the table.
    #[must_use]
    pub fn flows(&self) -> usize {
        self.flows.len()
    }

    /// Takes a packet in. `sink` gets each checkpoint that it causes: of its own flow, and of flows that ended meanwhile.
    pub fn packet(&mut self, packet: &Packet, time: Timestamp, sink: &mut dyn FnMut(&Observation<'_>)) -> Outcome {
        self.expire(time, sink);
        if self.take_complaint(packet) {
            return Outcome::default();
        }
        let mut outcome = Outcome::default();
        let (key, direction) = FlowKey::of(packet);
        let slot = match self.flows.find(&key) {
            Some(slot) if !self.flows.get(slot).is_reopened_by(packet) => slot,
            found => {
                if let Some(ended) = found {
                    self.flows.remove(ended);
                }
                outcome.evicted = self.make_room(sink);
                let flow = Flow::new(self.next_number, key, direction, packet, time);
                let Some(slot) = self.flows.insert(flow) else { return outcome };
                self.next_number += 1;
                outcome.created = true;
                slot
            }
        };
        self.cut_segment(slot, time, sink);
        let flow = self.flows.get_mut(slot);
        let was_over = flow.ended;
        let change = flow.add(direction, packet, time);
        self.flows.touch(slot);
        self.count(slot, &change);
        let packets = self.flows.get(slot).packets;
        if !was_over && (change.end.is_some() || packets.is_power_of_two()) {
            self.observe(self.flows.get(slot), change.end, sink);
        }
        outcome
    }

    /// Lets time pass without a packet: ends all flows that were silent for too long. They end before the next packet is
    /// counted anywhere, so it makes no difference to their features how often this is called.
    pub fn expire(&mut self, now: Timestamp, sink: &mut dyn FnMut(&Observation<'_>)) {
        self.now = self.now.advanced(now);
        while let Some(flow) = self.flows.expire(self.now) {
            self.observe_end(&flow, FlowEnd::Idle, sink);
        }
    }

    /// Ends all flows: the capture is over.
    pub fn finish(&mut self, sink: &mut dyn FnMut(&Observation<'_>)) {
        while let Some(flow) = self.flows.take_any() {
            self.observe_end(&flow, FlowEnd::Shutdown, sink);
        }
    }

    fn make_room(&mut self, sink: &mut dyn FnMut(&Observation<'_>)) -> bool {
        let Some(flow) = self.flows.make_room() else { return false };
        self.observe_end(&flow, FlowEnd::Evicted, sink);
        !flow.ended
    }

    /// Where the active time is over, ends the segment before the packet begins the next.
    fn cut_segment(&mut self, slot: Slot, time: Timestamp, sink: &mut dyn FnMut(&Observation<'_>)) {
        let flow = self.flows.get(slot);
        if flow.ended || !flow.is_segment_over(time) {
            return;
        }
        self.observe(flow, Some(FlowEnd::Segment), sink);
        self.flows.get_mut(slot).begin_segment(time);
    }

    /// An ICMP error belongs to the flow that it complains of, where it says something new of that; true then.
    fn take_complaint(&mut self, packet: &Packet) -> bool {
        let Transport::Icmp(IcmpKind::Error(error)) = packet.transport else { return false };
        let Some(about) = error.about else { return false };
        let (key, direction) = FlowKey::about(packet, &about);
        let Some(slot) = self.flows.find(&key) else { return false };
        let flow = self.flows.get_mut(slot);
        let is_news = !flow.ended && flow.add_complaint(direction, error.unreachable);
        if is_news {
            self.windows.count(flow, Deed::Refused, self.now);
        }
        is_news
    }

    /// Tells the windows what the packet changed.
    fn count(&mut self, slot: Slot, change: &Change) {
        if *change == Change::default() {
            return;
        }
        let flow = self.flows.get_mut(slot);
        // What the responder does counts once the initiator was seen: an answer alone is nobody's doing.
        let first_seen_both = change.begun && flow.answered;
        let deeds = [
            (change.begun, Deed::Begun),
            (change.answered && flow.begun || first_seen_both, Deed::Answered),
            (change.established, Deed::Established),
            (change.refused && flow.begun, Deed::Refused),
            (change.end.is_some() && is_short_login(flow), Deed::ShortLogin),
        ];
        for (happened, deed) in deeds {
            if happened {
                self.windows.count(flow, deed, self.now);
            }
        }
    }

    fn observe_end(&self, flow: &Flow, end: FlowEnd, sink: &mut dyn FnMut(&Observation<'_>)) {
        if !flow.ended {
            self.observe(flow, Some(end), sink);
        }
    }

    fn observe(&self, flow: &Flow, end: Option<FlowEnd>, sink: &mut dyn FnMut(&Observation<'_>)) {
        // The windows as of the last packet: a flow that ends by its silence is judged by what was around it then.
        let features = features::vector(flow, &self.windows.around(flow, flow.last));
        let initiator = flow.key.sender(flow.forward());
        let responder = flow.key.sender(flow.forward().reversed());
        sink(&Observation {
            time: self.now,
            flow: flow.number,
            initiator: initiator.address().ip(),
            responder: responder.address().ip(),
            initiator_port: flow.has_ports.then(|| initiator.port()),
            responder_port: flow.has_ports.then(|| responder.port()),
            protocol: flow.key.protocol(),
            vlan: flow.key.vlan(),
            packets: flow.packets,
            begun: flow.begun,
            proven: flow.is_proven(),
            end,
            features: &features,
        });
    }
}

/// A conversation with a login service that ended soon after it began.
fn is_short_login(flow: &Flow) -> bool {
    let took_ns = flow.last.nanos_since(flow.begin);
    flow.service() == Service::Login && flow.is_established() && took_ns <= nanos(limits::SHORT_LOGIN)
}
