//! The steps from packet to feature vector in their order: what both the daemon and the trainer call.

use core::net::IpAddr;

use crate::arena::Footprint;
use crate::decode::{DecodeError, Decoded, Frame, Packet, Transport, Word, decode};
use crate::features::{self, FeatureVector};
use crate::flow::{Change, Flow, FlowEnd, FlowTable, Login};
use crate::limits::{self, Limits};
use crate::services::{DNS_PORT, Service};
use crate::time::{Timestamp, nanos};
use crate::windows::{AsOf, Deed, Windows};

/// A flow at a checkpoint.
#[derive(Clone, Copy, Debug)]
pub struct Observation<'a> {
    /// When the checkpoint was taken.
    pub time: Timestamp,
    /// When the flow's last packet came: the features are as of then. Of a flow that ended by its silence it is long ago.
    pub last_packet: Timestamp,
    /// Number of the flow, counted from 0 in the order of first packets.
    pub flow: u64,
    /// Who began the flow: the sender of the SYN, or of the first packet seen.
    pub initiator: IpAddr,
    /// The other side.
    pub responder: IpAddr,
    /// The initiator's port, for TCP, UDP and SCTP.
    pub initiator_port: Option<u16>,
    /// The responder's port, for TCP, UDP and SCTP.
    pub responder_port: Option<u16>,
    /// IP protocol number.
    pub protocol: u8,
    /// VLAN identifier of a tagged flow.
    pub vlan: Option<u16>,
    /// How many packets the flow had by now.
    pub packets: u64,
    /// Who sent the packet that the checkpoint was taken at; `None` where it was taken without one: nothing was heard of the flow.
    pub sender: Option<IpAddr>,
    /// The initiator was seen sending. Where it was not, nothing of this flow is its doing.
    pub begun: bool,
    /// The initiator's address is proven: a two-way exchange was completed that a forger off the path cannot make.
    pub proven: bool,
    /// One side has ended it, and it was a log-in that was short and brought the initiator little, as `src_meagre_logins_60s` counts them.
    pub meagre_login: bool,
    /// The flow ended, and why; `None` while it runs.
    pub end: Option<FlowEnd>,
    /// The features.
    pub features: &'a FeatureVector,
}

/// What a packet was, and what became of the flow table. The caller counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Number of its flow; of an ICMP error, that of the flow which it names.
    pub flow: u64,
    /// The packet began a flow.
    pub created: bool,
    /// A flow had to go for it before its time.
    pub evicted: bool,
    /// It is a datagram to a name server.
    pub to_name_server: bool,
}

/// Flow table, windows and features over one stream of packets in the order of time.
#[derive(Debug)]
pub struct Extractor {
    flows: FlowTable,
    windows: Windows,
    /// The latest time seen: captures hold packets out of order, and expiry must not go back.
    now: Timestamp,
}

impl Extractor {
    /// Takes all memory that it will ever use. `seed` keys the hash tables: random in the daemon, fixed in tests.
    #[must_use]
    pub fn new(limits: &Limits, seed: [u64; 2]) -> Self {
        Self { flows: FlowTable::new(limits.flows, seed), windows: Windows::new(limits, seed), now: Timestamp::EPOCH }
    }

    /// What each of its tables takes.
    pub fn footprints(&self) -> impl Iterator<Item = Footprint> {
        self.flows.footprints().into_iter().chain(self.windows.footprints())
    }

    /// How many flows are in the table.
    #[must_use]
    pub fn flows(&self) -> usize {
        self.flows.len()
    }

    /// Decodes a frame and takes its packet in, as [`Self::packet`] does; `None` where it carries no IP packet. The daemon and
    /// the trainer both go this way, so they cannot come to see different things.
    ///
    /// # Errors
    /// The frame cannot be decoded. Nothing has changed then.
    pub fn frame(
        &mut self,
        frame: &Frame<'_>,
        time: Timestamp,
        sink: &mut dyn FnMut(&Observation<'_>),
    ) -> Result<Option<Outcome>, DecodeError> {
        Ok(match decode(frame)? {
            Decoded::Ip(packet) => Some(self.packet(&packet, time, sink)),
            Decoded::Arp(_) | Decoded::NotIp => None,
        })
    }

    /// Takes a packet in. `sink` gets each checkpoint that it causes: of its own flow, and of flows that ended meanwhile.
    pub fn packet(&mut self, packet: &Packet, time: Timestamp, sink: &mut dyn FnMut(&Observation<'_>)) -> Outcome {
        self.expire(time, sink);
        let Self { flows, windows, now } = self;
        let taken = flows.take(packet, time, &mut |flow, end| observe(flow, None, Some(end), windows, *now, sink));
        count(flows.get_mut(taken.slot), &taken.change, windows, *now);
        if taken.is_checkpoint {
            observe(flows.get(taken.slot), Some(packet.source), taken.change.end, windows, *now, sink);
        }
        Outcome {
            flow: flows.get(taken.slot).number,
            created: taken.created,
            evicted: taken.evicted,
            to_name_server: matches!(packet.transport, Transport::Udp { destination_port: DNS_PORT, .. }),
        }
    }

    /// Lets time pass without a packet: tells of flows that are not answered in time, and ends all that were silent for too long.
    /// That is before the next packet is counted anywhere, so it makes no difference to their features how often this is called.
    pub fn expire(&mut self, now: Timestamp, sink: &mut dyn FnMut(&Observation<'_>)) {
        self.now = self.now.advanced(now);
        self.tell_unheard(sink);
        let Self { flows, windows, now } = self;
        flows.expire(*now, &mut |flow, end| observe(flow, None, Some(end), windows, *now, sink));
    }

    /// Ends all flows: the capture is over. Who was not answered by now is not answered in the next second either.
    pub fn finish(&mut self, sink: &mut dyn FnMut(&Observation<'_>)) {
        self.now = self.now.plus(limits::ANSWER_WAIT);
        self.tell_unheard(sink);
        let Self { flows, windows, now } = self;
        flows.finish(&mut |flow, end| observe(flow, None, Some(end), windows, *now, sink));
    }

    /// Flows that were not answered in time.
    fn tell_unheard(&mut self, sink: &mut dyn FnMut(&Observation<'_>)) {
        let Self { flows, windows, now } = self;
        while let Some(flow) = flows.take_unheard(*now) {
            observe(flow, None, None, windows, *now, sink);
        }
    }
}

/// Tells the windows what a packet changed.
fn count(flow: &mut Flow, change: &Change, windows: &mut Windows, now: Timestamp) {
    if *change == Change::default() {
        return;
    }
    // What the responder does counts once the initiator was seen: an answer alone is nobody's doing.
    let first_seen_both = change.begun && flow.answered;
    let deeds = [
        (change.begun, Deed::Begun),
        (change.answered && flow.begun || first_seen_both, Deed::Answered),
        (is_settled_by(flow, change) && flow.begun, Deed::Settled),
        // What goes on after a reset that nobody heeded is established when it begins.
        (change.established || change.begun && flow.is_established(), Deed::Established),
        (change.refused && flow.begun, Deed::Refused),
        (change.half_open && flow.begun, Deed::HalfOpen),
        (change.resumed && flow.begun && flow.is_established(), Deed::Resumed),
        (change.end.is_some() && flow.begun && flow.is_established(), Deed::Ended),
        (change.end.is_some() && !flow.resumed && is_short_login(flow), Deed::ShortLogin),
        (change.end.is_some() && !flow.resumed && is_meagre_login(flow), Deed::MeagreLogin),
        (change.end.is_some() && is_failed_login(flow), Deed::FailedLogin),
        (change.answer == Word::Refused && flow.begun, Deed::LoginRefused),
        (change.answer == Word::Accepted && flow.begun, Deed::LoginAccepted),
        (change.answer == Word::Missing && flow.begun, Deed::Missing),
        (change.odd && flow.begun, Deed::OddProbe),
    ];
    for (happened, deed) in deeds {
        if happened {
            windows.count(flow, deed, now);
        }
    }
    if let Some(asked) = change.asked {
        windows.count_leak(flow, Deed::AskedForLongName, asked.name, now);
    }
    if let Some(bytes) = change.resized {
        windows.count_leak(flow, Deed::ResizedPing, bytes, now);
    }
}

/// It is the first that is heard of the flow from the other side, be it the responder or an ICMP error that complains of it.
const fn is_settled_by(flow: &Flow, change: &Change) -> bool {
    change.answered && (change.refused || !flow.refused) || change.refused && !flow.answered
}

fn observe(
    flow: &Flow,
    sender: Option<IpAddr>,
    end: Option<FlowEnd>,
    windows: &Windows,
    now: Timestamp,
    sink: &mut dyn FnMut(&Observation<'_>),
) {
    // The windows as of the last packet, or as of what its parties did since: who scans on is known for it.
    let heard = match (sender, end) {
        (_, Some(FlowEnd::Idle)) => flow.last.plus(flow.idle_limit()),
        (None, None) => flow.begin.plus(limits::ANSWER_WAIT),
        _ => flow.last,
    };
    let features = features::vector(flow, &windows.around(flow, AsOf { last: flow.last, heard }));
    let initiator = flow.key.sender(flow.forward());
    let responder = flow.key.sender(flow.forward().reversed());
    sink(&Observation {
        time: now,
        last_packet: flow.last,
        flow: flow.number,
        initiator: initiator.address().ip(),
        responder: responder.address().ip(),
        initiator_port: flow.has_ports.then(|| initiator.port()),
        responder_port: flow.has_ports.then(|| responder.port()),
        protocol: flow.key.protocol(),
        vlan: flow.key.vlan(),
        packets: flow.packets,
        sender,
        begun: flow.begun,
        proven: flow.is_proven(),
        meagre_login: matches!(end, Some(FlowEnd::Finished | FlowEnd::Reset)) && is_meagre_login(flow),
        end,
        features: &features,
    });
}

/// A conversation in which the initiator was seen to fail to log in, and which does not count as one yet.
const fn is_failed_login(flow: &Flow) -> bool {
    flow.is_established() && flow.login.is_pending() && !flow.has_failed_before
}

/// A conversation with a login service that ended soon after it began, and in which the initiator was not let in as far as can be seen.
fn is_short_login(flow: &Flow) -> bool {
    let took_ns = flow.last.nanos_since(flow.begin);
    let is_in = matches!(flow.login, Login::LetIn);
    flow.service() == Service::Login && flow.is_established() && !is_in && took_ns <= nanos(limits::SHORT_LOGIN)
}

/// A short one that is meagre too.
fn is_meagre_login(flow: &Flow) -> bool {
    is_short_login(flow) && is_meagre(flow)
}

/// The initiator said something, and failed, or the responder said less than a log-in would have brought. Who says nothing only looks
/// whether the service is there.
const fn is_meagre(flow: &Flow) -> bool {
    let says_little = flow.sums.backward.payload_bytes < limits::MEAGRE_LOGIN_BYTES;
    flow.sums.forward.payload_bytes > 0 && (says_little || flow.login.has_failed())
}
