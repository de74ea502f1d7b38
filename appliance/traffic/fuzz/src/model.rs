//! The flow table as it should be, written without regard to speed: a list of flows in the order of their last packets.
//!
//! It holds for packets in the order of time, and knows nothing of ICMP errors.

use std::net::IpAddr;
use std::time::Duration;

use traffic::decode::{IcmpKind, Packet, Tcp, Transport};
use traffic::extractor::Outcome;
use traffic::flow::FlowEnd;
use traffic::limits::{ACTIVE, ANSWER_WAIT, ESTABLISHED_IDLE, IDLE, LINGER};
use traffic::services::Service;
use traffic::time::Timestamp;

use crate::seen::Seen;

/// An address and a port; for ICMP echo, its identifier.
type Endpoint = (IpAddr, u16);

/// What tells flows apart: both endpoints in order, protocol, fragments without a header or not, VLAN.
pub type Key = (Endpoint, Endpoint, u8, bool, Option<u16>);

/// The key of the packet's flow, and whether the lower endpoint sent it.
pub fn key_of(packet: &Packet) -> (Key, bool) {
    let (from, to) = match packet.transport {
        Transport::Icmp(
            IcmpKind::EchoRequest(identifier) | IcmpKind::EchoReply(identifier) | IcmpKind::Odd(identifier),
        ) => (identifier, identifier),
        _ => packet.ports().unwrap_or((0, 0)),
    };
    let (source, destination) = ((packet.source, from), (packet.destination, to));
    let is_fragment = packet.transport == Transport::Fragment;
    let key = (source.min(destination), source.max(destination), packet.protocol, is_fragment, packet.vlan);
    (key, source <= destination)
}

/// All flows of the moment.
pub struct Model {
    capacity: usize,
    flows: Vec<Flow>,
    /// The last flows that began, as many as there is room for: their numbers, and when they did. Who was told of is taken out.
    waiting: Vec<(u64, Timestamp)>,
    created: u64,
    first: Option<Timestamp>,
    /// The seconds in which flows began with a first answer.
    answers: Vec<u64>,
}

/// How much a flow is worth to a full table, the least first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Worth {
    Ended,
    Pending,
    Answered,
    Established,
}

/// How far a TCP handshake has come: a SYN-ACK must be acknowledged with this number.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Handshake {
    None,
    Syn,
    SynAck(u32),
    Complete,
}

struct Flow {
    key: Key,
    number: u64,
    has_ports: bool,
    is_tcp: bool,
    mid_stream: bool,
    /// The lower endpoint is the initiator.
    is_forward_from_low: bool,
    packets: u64,
    segment_begin: Timestamp,
    last: Timestamp,
    begun: bool,
    answered: bool,
    handshake: Handshake,
    /// Payload of the responder in this segment.
    answered_bytes: u64,
    /// FIN was seen from the initiator, and from the responder.
    finished: [bool; 2],
    /// The initiator, or the responder, reset it.
    reset: [bool; 2],
    ended: bool,
}

impl Model {
    /// Room for so many flows.
    pub const fn new(capacity: usize) -> Self {
        Self { capacity, flows: Vec::new(), waiting: Vec::new(), created: 0, first: None, answers: Vec::new() }
    }

    /// How many flows there are, those that ended and linger included.
    pub const fn len(&self) -> usize {
        self.flows.len()
    }

    /// Of the flows of a second that begin with a first answer, 256 are taken for what was asked unseen.
    fn may_be_an_answer(&mut self, time: Timestamp) -> bool {
        self.answers.push(time.as_secs());
        self.answers.iter().rev().take_while(|second| **second == time.as_secs()).count() <= 256
    }

    /// Takes a packet in; what is seen at its checkpoints goes to `seen`.
    pub fn packet(&mut self, packet: &Packet, time: Timestamp, seen: &mut Vec<Seen>) -> Outcome {
        self.expire(time, seen);
        let (key, is_from_low) = key_of(packet);
        let known = self.flows.iter().position(|flow| flow.key == key).map(|at| self.flows.remove(at));
        let mut outcome = Outcome::default();
        let mut flow = match known {
            Some(flow) if flow.is_kept_alive(packet, is_from_low) => {
                outcome.created = true;
                flow.continued(self.created, time)
            }
            Some(flow) if !(flow.may_be_reopened() && opens(packet)) => flow,
            known => {
                if let Some(flow) = known {
                    flow.see_end(FlowEnd::Reset, seen);
                }
                outcome.created = true;
                outcome.evicted = self.make_room(seen);
                let is_early = time.since(*self.first.get_or_insert(time)) < IDLE;
                let is_answer =
                    comes_from_responder(packet, is_early) && (!is_first_answer(packet) || self.may_be_an_answer(time));
                if self.waiting.len() == self.capacity {
                    self.waiting.remove(0);
                }
                self.waiting.push((self.created, time));
                Flow::new(self.created, key, is_from_low != is_answer, packet, time)
            }
        };
        self.created += u64::from(outcome.created);
        flow.take(packet, is_from_low, time, seen);
        outcome.flow = flow.number;
        outcome.to_name_server = matches!(packet.transport, Transport::Udp { destination_port: 53, .. });
        self.flows.push(flow);
        outcome
    }

    /// Tells of what was not answered in time, and ends what was silent for too long.
    pub fn expire(&mut self, now: Timestamp, seen: &mut Vec<Seen>) {
        self.tell_unheard(now, seen);
        for flow in self.flows.extract_if(.., |flow| now >= flow.last.plus(flow.idle_limit())) {
            flow.see_end(FlowEnd::Idle, seen);
        }
    }

    /// Ends all.
    pub fn finish(&mut self, seen: &mut Vec<Seen>) {
        self.tell_unheard(Timestamp::NEVER, seen);
        for flow in self.flows.drain(..) {
            flow.see_end(FlowEnd::Shutdown, seen);
        }
    }

    fn tell_unheard(&mut self, now: Timestamp, seen: &mut Vec<Seen>) {
        for (number, _) in self.waiting.extract_if(.., |(_, since)| now >= since.plus(ANSWER_WAIT)) {
            let unheard = |flow: &&Flow| flow.number == number && flow.begun && !flow.answered && !flow.ended;
            seen.extend(self.flows.iter().find(unheard).map(|flow| flow.seen(None)));
        }
    }

    /// Where the table is full, gives up the flow that was silent longest among those of the least worth; true where it had
    /// not ended.
    fn make_room(&mut self, seen: &mut Vec<Seen>) -> bool {
        if self.flows.len() < self.capacity {
            return false;
        }
        let Some(victim) = (0..self.flows.len()).min_by_key(|at| self.flows[*at].worth()) else { return false };
        let flow = self.flows.remove(victim);
        flow.see_end(FlowEnd::Evicted, seen);
        !flow.ended
    }
}

impl Flow {
    fn new(number: u64, key: Key, is_forward_from_low: bool, packet: &Packet, time: Timestamp) -> Self {
        Self {
            key,
            number,
            has_ports: packet.ports().is_some(),
            is_tcp: matches!(packet.transport, Transport::Tcp(_)),
            mid_stream: matches!(packet.transport, Transport::Tcp(_)) && !opens(packet),
            is_forward_from_low,
            packets: 0,
            segment_begin: time,
            last: time,
            begun: false,
            answered: false,
            handshake: Handshake::None,
            answered_bytes: 0,
            finished: [false; 2],
            reset: [false; 2],
            ended: false,
        }
    }

    /// Goes on after a reset that was not heeded.
    fn continued(self, number: u64, time: Timestamp) -> Self {
        let (segment_begin, last, none) = (time, time, [false; 2]);
        let fresh = Self { number, segment_begin, last, packets: 0, answered_bytes: 0, ..self };
        Self { finished: none, reset: none, ended: false, ..fresh }
    }

    /// Sent by whoever has reset it, and no reset.
    fn is_kept_alive(&self, packet: &Packet, is_from_low: bool) -> bool {
        let is_backward = is_from_low != self.is_forward_from_low;
        let goes_on = matches!(packet.transport, Transport::Tcp(tcp) if !tcp.flags.rst && !opens(packet));
        goes_on && self.ended && self.reset[usize::from(is_backward)]
    }

    /// A SYN begins another flow.
    fn may_be_reopened(&self) -> bool {
        self.ended || self.mid_stream && self.handshake == Handshake::None
    }

    fn take(&mut self, packet: &Packet, is_from_low: bool, time: Timestamp, seen: &mut Vec<Seen>) {
        let was_over = self.ended;
        if !was_over && time.since(self.segment_begin) >= ACTIVE {
            seen.push(self.seen(Some(FlowEnd::Segment)));
            (self.segment_begin, self.answered_bytes) = (time, 0);
        }
        let is_forward = is_from_low == self.is_forward_from_low;
        let is_reset = matches!(packet.transport, Transport::Tcp(tcp) if tcp.flags.rst);
        let aborts = matches!(packet.transport, Transport::Sctp { aborts: true, .. });
        if is_forward {
            self.begun |= !((is_reset || aborts) && self.answered);
        } else {
            self.answered = true;
            self.answered_bytes += u64::from(packet.payload_len_bytes);
        }
        self.packets += 1;
        self.last = time;
        if was_over {
            if let Transport::Tcp(tcp) = packet.transport
                && !is_reset
            {
                self.advance_handshake(is_forward, tcp);
            }
            if self.packets >= OUTLIVES_ITS_END && self.packets.is_power_of_two() {
                seen.push(self.seen(None));
            }
            return;
        }
        let end = if let Transport::Tcp(tcp) = packet.transport { self.take_tcp(is_forward, tcp) } else { None };
        if end.is_some() || self.packets.is_power_of_two() {
            seen.push(self.seen(end));
        }
    }

    fn take_tcp(&mut self, is_forward: bool, tcp: Tcp) -> Option<FlowEnd> {
        if !tcp.flags.rst {
            self.advance_handshake(is_forward, tcp);
        }
        self.finished[usize::from(!is_forward)] |= tcp.flags.fin;
        self.reset[usize::from(!is_forward)] |= tcp.flags.rst;
        let end = match (tcp.flags.rst, self.finished) {
            (true, _) => Some(FlowEnd::Reset),
            (false, [true, true]) => Some(FlowEnd::Finished),
            (false, [false, true]) if self.asks_for_passwords() => Some(FlowEnd::Finished),
            _ => None,
        };
        self.ended = end.is_some();
        end
    }

    fn asks_for_passwords(&self) -> bool {
        let responder = if self.is_forward_from_low { self.key.1 } else { self.key.0 };
        Service::of(self.key.2, responder.1) == Service::Login
    }

    fn advance_handshake(&mut self, is_forward: bool, tcp: Tcp) {
        let (syn, ack) = (tcp.flags.syn, tcp.flags.ack);
        self.handshake = match self.handshake {
            Handshake::None if syn && !ack && is_forward => Handshake::Syn,
            Handshake::None | Handshake::Syn | Handshake::SynAck(_) if syn && ack && !is_forward => {
                Handshake::SynAck(tcp.sequence.wrapping_add(1))
            }
            Handshake::SynAck(expected) if ack && is_forward && self.is_answer(tcp.acknowledgement, expected) => {
                Handshake::Complete
            }
            Handshake::None if ack && self.mid_stream && !self.ended && self.begun && self.answered => {
                Handshake::Complete
            }
            other => other,
        };
    }

    /// Acknowledges what the responder said since its SYN-ACK, and perhaps its FIN, but no more.
    fn is_answer(&self, acknowledged: u32, expected: u32) -> bool {
        u64::from(acknowledged.wrapping_sub(expected)) <= self.answered_bytes + 1
    }

    fn worth(&self) -> Worth {
        match (self.ended, self.handshake) {
            (true, _) => Worth::Ended,
            (false, Handshake::Complete) => Worth::Established,
            (false, _) if self.begun && self.answered && !self.is_tcp => Worth::Answered,
            (false, _) => Worth::Pending,
        }
    }

    fn idle_limit(&self) -> Duration {
        match self.worth() {
            Worth::Ended => LINGER,
            Worth::Pending | Worth::Answered => IDLE,
            Worth::Established => ESTABLISHED_IDLE,
        }
    }

    fn see_end(&self, end: FlowEnd, seen: &mut Vec<Seen>) {
        if !self.ended {
            seen.push(self.seen(Some(end)));
        }
    }

    fn seen(&self, end: Option<FlowEnd>) -> Seen {
        let (low, high, protocol, _, vlan) = self.key;
        let (initiator, responder) = if self.is_forward_from_low { (low, high) } else { (high, low) };
        Seen {
            flow: self.number,
            packets: self.packets,
            end,
            initiator: initiator.0,
            responder: responder.0,
            ports: self.has_ports.then_some((initiator.1, responder.1)),
            protocol,
            vlan,
            begun: self.begun,
            proven: self.handshake == Handshake::Complete && !self.mid_stream,
        }
    }
}

/// From so many packets on a flow is judged beyond its end.
const OUTLIVES_ITS_END: u64 = 128;

/// A SYN that begins a connection.
const fn opens(packet: &Packet) -> bool {
    matches!(packet.transport, Transport::Tcp(tcp) if tcp.flags.syn && !tcp.flags.ack)
}

/// An answer is the first one: a SYN-ACK, or a datagram.
const fn is_first_answer(packet: &Packet) -> bool {
    match packet.transport {
        Transport::Tcp(tcp) => tcp.flags.syn,
        Transport::Udp { .. } => true,
        Transport::Icmp(_) | Transport::Sctp { .. } | Transport::Fragment | Transport::Other => false,
    }
}

/// The first packet of a flow looks like an answer. The ports here are a service's below 1024, and a client's above.
fn comes_from_responder(packet: &Packet, is_early: bool) -> bool {
    let is_from_service = packet.ports().is_some_and(|(from, to)| from < 1024 && to >= 1024);
    match packet.transport {
        Transport::Tcp(Tcp { flags, source_port, .. }) => match (flags.syn, flags.ack) {
            (true, ack) => ack,
            (false, true) => is_from_service,
            (false, false) => flags.rst && source_port < 1024,
        },
        Transport::Udp { .. } => is_from_service && is_early,
        Transport::Icmp(kind) => matches!(kind, IcmpKind::EchoReply(_)),
        Transport::Sctp { .. } | Transport::Fragment | Transport::Other => false,
    }
}
