//! One conversation: what is remembered of its packets, and how a packet changes it.

use core::time::Duration;

use super::{Carrier, Direction, FlowEnd, FlowKey, Login};
use crate::decode::dns::LongName;
use crate::decode::{IcmpKind, Packet, SynOptions, Tcp, Transport, Word};
use crate::limits;
use crate::services::{LoginDialect, Service};
use crate::time::{Timestamp, nanos};
use crate::windows::Seats;

/// A larger shift counts as this one (RFC 7323 section 2.3).
const MAX_WINDOW_SCALE: u8 = 14;

/// Sums over the packets of one direction, in the current segment of the flow.
#[derive(Clone, Copy, Debug, Default)]
pub struct PerDirection {
    /// Packets.
    pub packets: u64,
    /// IP lengths, in bytes.
    pub ip_bytes: u64,
    /// Sum of the squares of IP lengths.
    pub ip_len_squares: u64,
    /// Payload behind the transport header, in bytes.
    pub payload_bytes: u64,
}

impl PerDirection {
    /// The sums over both.
    #[must_use]
    pub const fn plus(&self, other: &Self) -> Self {
        Self {
            packets: self.packets + other.packets,
            ip_bytes: self.ip_bytes + other.ip_bytes,
            ip_len_squares: self.ip_len_squares.saturating_add(other.ip_len_squares),
            payload_bytes: self.payload_bytes + other.payload_bytes,
        }
    }
}

/// Counts of TCP packets by flag, in the current segment of the flow, whose 120 s are too short for 32 bits to overflow.
#[derive(Clone, Copy, Debug, Default)]
#[expect(missing_docs, reason = "the names are those of the header")]
pub struct FlagCounts {
    pub fwd_syn: u32,
    pub fin: u32,
    pub rst: u32,
    pub psh: u32,
    pub urg: u32,
    /// Combinations that no connection uses.
    pub odd: u32,
}

/// Sums from which the features of a segment are made. All are integers, so that the order of additions cannot matter.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sums {
    /// Packets of the initiator.
    pub forward: PerDirection,
    /// Packets of the responder.
    pub backward: PerDirection,
    /// Flags of both.
    pub flags: FlagCounts,
    /// Longest IP packet, in bytes.
    pub ip_len_max_bytes: u32,
    /// TCP packets whose payload ends where their sender had already been.
    pub retransmits: u32,
    /// Smallest receive window that the initiator offered after its SYN, scaled; `None` before it offered one.
    pub fwd_window_min_bytes: Option<u32>,
    /// Sum of the times between packets, each in whole microseconds.
    pub gaps_us: u64,
    /// Sum of their squares, in square microseconds: at most the square of the segment's length.
    pub gap_squares_us2: u64,
    /// Longest time between packets, in nanoseconds.
    pub gap_max_ns: u64,
}

/// How far a TCP connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Handshake {
    /// Nothing that opens a connection was seen, or the protocol has no handshake.
    None,
    /// SYN seen at this time.
    Syn(Timestamp),
    /// SYN-ACK seen; it must be acknowledged with this number.
    SynAck { syn: Option<Timestamp>, expected: u32 },
    /// Both sides proved that they receive what the other sends.
    Complete { took: Option<Duration> },
}

/// What a packet did to its flow. The extractor acts on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// The initiator was seen sending for the first time: its windows count the flow from now on.
    pub begun: bool,
    /// The responder was seen sending for the first time.
    pub answered: bool,
    /// The handshake was completed.
    pub established: bool,
    /// The responder reset or aborted it before it was established, or an ICMP error said that it cannot be reached.
    pub refused: bool,
    /// The initiator reset it although the responder had accepted it, instead of completing the handshake.
    pub half_open: bool,
    /// What the responder says to the initiator, which has tried to get in or asked the web for something.
    pub answer: Word,
    /// The long name that the initiator asks a name server for.
    pub asked: Option<LongName>,
    /// The initiator sent a packet that no program in use sends, the first one of this flow.
    pub odd: bool,
    /// The size of the initiator's ping, in bytes, where it is another one than that of the ping before.
    pub resized: Option<u32>,
    /// It goes on: nobody heeded the reset that seemed to end it.
    pub resumed: bool,
    /// The packet ended it.
    pub end: Option<FlowEnd>,
}

/// What is remembered of one side of a TCP connection.
#[derive(Clone, Copy, Debug, Default)]
struct TcpSide {
    /// The options of its SYN.
    syn_options: Option<SynOptions>,
    /// The sequence number behind all that it has sent; `None` before it sent anything.
    next: Option<u32>,
    /// FIN was seen.
    finished: bool,
    /// It ended the flow with RST.
    reset: bool,
}

/// A conversation.
#[derive(Clone, Copy, Debug)]
pub struct Flow {
    /// Its key.
    pub key: FlowKey,
    /// Counted from 0 in the order of first packets.
    pub number: u64,
    /// Which side is the initiator.
    forward: Direction,
    /// Time of the first packet of the whole flow.
    pub begin: Timestamp,
    /// Time of the first packet of the segment.
    pub segment_begin: Timestamp,
    /// Time of the last packet.
    pub last: Timestamp,
    /// Packets of the whole flow.
    pub packets: u64,
    /// Sums over the segment.
    pub sums: Sums,
    /// The flow's packets carry TCP headers (fragments and damaged packets of protocol 6 do not).
    pub is_tcp: bool,
    /// Its endpoints have real ports: TCP, UDP and SCTP, but not fragments of them.
    pub has_ports: bool,
    /// It was sent to a broadcast or multicast address.
    pub to_group: bool,
    handshake: Handshake,
    /// First seen without its SYN.
    pub mid_stream: bool,
    /// The initiator was seen sending.
    pub begun: bool,
    /// The responder was seen sending.
    pub answered: bool,
    /// The responder reset it before it was established, or an ICMP error said that it cannot be reached.
    pub refused: bool,
    /// The initiator's side, and the responder's.
    sides: [TcpSide; 2],
    /// Whether the initiator was let in.
    pub login: Login,
    /// The initiator has sent a packet that no program in use sends.
    pub is_odd: bool,
    /// What the initiator may carry data in.
    pub carrier: Carrier,
    /// Where the windows keep what is known of its two sides.
    pub(crate) seats: Seats,
    /// It has ended and lingers only to swallow the last packets.
    pub ended: bool,
    /// It goes on after a reset that nobody heeded: an end of it was counted.
    pub resumed: bool,
    /// A failed log-in of it was counted.
    pub has_failed_before: bool,
}

impl Flow {
    /// A flow as its first packet, of which that is the impression, shows it; the packet itself is added by [`Self::add`].
    #[must_use]
    pub fn new(
        number: u64,
        key: FlowKey,
        direction: Direction,
        packet: &Packet,
        now: Timestamp,
        impression: Impression,
    ) -> Self {
        Self {
            key,
            number,
            forward: if impression.is_answer { direction.reversed() } else { direction },
            begin: now,
            segment_begin: now,
            last: now,
            packets: 0,
            sums: Sums::default(),
            is_tcp: matches!(packet.transport, Transport::Tcp(_)),
            has_ports: packet.ports().is_some(),
            to_group: packet.to_group,
            handshake: Handshake::None,
            mid_stream: impression.mid_stream,
            begun: false,
            answered: false,
            refused: false,
            sides: [TcpSide::default(); 2],
            login: Login::default(),
            is_odd: false,
            carrier: Carrier::None,
            seats: Seats::default(),
            ended: false,
            resumed: false,
            has_failed_before: false,
        }
    }

    /// What goes on of it under another number, after a reset that nobody heeded. To the windows it is still the connection that it was:
    /// else whoever sends such resets would make of one connection as many as he likes, of which the initiator knows nothing.
    #[must_use]
    pub fn continued(&self, number: u64, now: Timestamp) -> Self {
        let sides = self.sides.map(|side| TcpSide { finished: false, reset: false, ..side });
        Self {
            number,
            segment_begin: now,
            last: now,
            packets: 0,
            sums: Sums::default(),
            sides,
            login: self.login.resumed(),
            ended: false,
            resumed: true,
            has_failed_before: self.has_failed_before || self.login.is_pending(),
            ..*self
        }
    }

    /// The direction in which the initiator sends.
    #[must_use]
    pub const fn forward(&self) -> Direction {
        self.forward
    }

    /// The TCP handshake was completed, or both sides were seen in the middle of a connection.
    #[must_use]
    pub const fn is_established(&self) -> bool {
        matches!(self.handshake, Handshake::Complete { .. })
    }

    /// The initiator answered a number that only the responder and whoever is on the path can know, so its address is real
    /// (RFC 6528 section 1).
    #[must_use]
    pub const fn is_proven(&self) -> bool {
        self.is_established() && !self.mid_stream
    }

    /// The initiator asked, and neither the responder was heard nor an ICMP error that complains of it. Groups answer seldom.
    #[must_use]
    pub const fn is_unheard(&self) -> bool {
        self.begun && !self.answered && !self.refused && !self.ended && !self.to_group
    }

    /// Both sides were seen sending.
    #[must_use]
    pub const fn is_two_way(&self) -> bool {
        self.begun && self.answered
    }

    /// How many options the initiator's SYN had, padding not counted.
    #[must_use]
    pub fn syn_options(&self) -> Option<u8> {
        self.sides[0].syn_options.map(|options| options.count)
    }

    /// From SYN to the ACK that completed the handshake.
    #[must_use]
    pub const fn handshake_time(&self) -> Option<Duration> {
        match self.handshake {
            Handshake::Complete { took } => took,
            Handshake::None | Handshake::Syn(_) | Handshake::SynAck { .. } => None,
        }
    }

    /// What the responder offers, by its port.
    #[must_use]
    pub fn service(&self) -> Service {
        Service::of(self.key.protocol(), self.key.sender(self.forward.reversed()).port())
    }

    /// How long it may be silent.
    #[must_use]
    pub const fn idle_limit(&self) -> Duration {
        match (self.ended, self.is_established()) {
            (true, _) => limits::LINGER,
            (false, true) => limits::ESTABLISHED_IDLE,
            (false, false) => limits::IDLE,
        }
    }

    /// A SYN opens a new connection between the same ports where the flow has ended, or was nothing but packets in the middle
    /// of an unknown one: else a stray ACK would take the proof from all that comes after it.
    #[must_use]
    pub const fn is_reopened_by(&self, packet: &Packet) -> bool {
        let is_stray = self.mid_stream && matches!(self.handshake, Handshake::None);
        match packet.transport {
            Transport::Tcp(tcp) => (self.ended || is_stray) && tcp.flags.syn && !tcp.flags.ack,
            _ => false,
        }
    }

    /// Who has reset a connection sends nothing but resets afterwards (RFC 9293 section 3.10.7.1). Where it does, the other side
    /// never heeded the reset (a wrong number or checksum), and who sent it wants us to look away.
    #[must_use]
    pub fn is_kept_alive_by(&self, direction: Direction, packet: &Packet) -> bool {
        let side = &self.sides[usize::from(direction != self.forward)];
        matches!(packet.transport, Transport::Tcp(tcp) if !tcp.flags.rst) && self.ended && side.reset
    }

    /// The active time is over: the next packet begins a new segment.
    #[must_use]
    pub const fn is_segment_over(&self, now: Timestamp) -> bool {
        now.nanos_since(self.segment_begin) >= nanos(limits::ACTIVE)
    }

    /// Begins a new segment; direction, handshake and all that is true of the whole flow stay.
    pub fn begin_segment(&mut self, now: Timestamp) {
        self.sums = Sums::default();
        self.segment_begin = now;
        self.last = now;
    }

    /// Adds a packet.
    pub fn add(&mut self, direction: Direction, packet: &Packet, now: Timestamp) -> Change {
        let is_forward = direction == self.forward;
        let mut change = Change::default();
        if is_forward {
            change.begun = !self.begun && !self.is_made_to_send(packet);
            self.begun |= change.begun;
            (change.asked, change.resized) = self.carrier.take(packet);
            // Once: what is sent again, or comes twice to the box, is no second probe.
            change.odd = packet.is_odd() && !self.is_odd;
            self.is_odd |= change.odd;
        } else if !matches!(packet.transport, Transport::Icmp(IcmpKind::Error(_))) {
            change.answered = !self.answered;
            self.answered = true;
        }
        self.add_sums(is_forward, packet, now);
        if let Transport::Tcp(tcp) = packet.transport {
            self.add_flags(is_forward, tcp);
            self.add_window(is_forward, tcp);
            self.add_sequence(is_forward, tcp, packet.payload_len_bytes);
            change.answer = self.add_login(is_forward, tcp, packet.payload_len_bytes);
            change.established = self.advance_handshake(is_forward, tcp, now) && !self.ended;
            change.refused = self.check_refusal(is_forward, tcp);
            change.half_open = self.is_left_half_open_by(is_forward, tcp);
            change.end = self.check_end(is_forward, tcp);
        }
        if let Transport::Sctp { aborts: true, .. } = packet.transport {
            change.refused = self.check_abort(change.answered);
        }
        self.packets += 1;
        self.last = self.last.advanced(now);
        change
    }

    /// Takes an ICMP error in that complains of a packet of this flow; true where it says something new: that the responder
    /// cannot be reached. Once anything came back, an error can change nothing (RFC 1122 section 4.2.3.9).
    pub fn add_complaint(&mut self, direction: Direction, unreachable: bool) -> bool {
        let refused = unreachable && direction == self.forward && self.begun && !self.answered && !self.refused;
        self.refused |= refused;
        refused
    }

    /// ICMP errors, and resets and aborts of what the other side has sent, are answers that whoever sends them was made to give: nothing of
    /// them is its doing. Else a stranger's forged SYN-ACKs would make a household's host a scanner, by its resets.
    const fn is_made_to_send(&self, packet: &Packet) -> bool {
        match packet.transport {
            Transport::Icmp(kind) => matches!(kind, IcmpKind::Error(_)),
            Transport::Tcp(tcp) => tcp.flags.rst && self.answered,
            Transport::Sctp { aborts, .. } => aborts && self.answered,
            Transport::Udp { .. } | Transport::Fragment | Transport::Other => false,
        }
    }

    fn add_sums(&mut self, is_forward: bool, packet: &Packet, now: Timestamp) {
        let sums = &mut self.sums;
        if sums.forward.packets + sums.backward.packets > 0 {
            let gap_ns = now.nanos_since(self.last);
            let gap_us = gap_ns / 1_000;
            sums.gaps_us = sums.gaps_us.saturating_add(gap_us);
            sums.gap_squares_us2 = sums.gap_squares_us2.saturating_add(gap_us.saturating_mul(gap_us));
            sums.gap_max_ns = sums.gap_max_ns.max(gap_ns);
        }
        let side = if is_forward { &mut sums.forward } else { &mut sums.backward };
        let ip_len = u64::from(packet.ip_len_bytes);
        side.packets += 1;
        side.ip_bytes += ip_len;
        side.ip_len_squares = side.ip_len_squares.saturating_add(ip_len.saturating_mul(ip_len));
        side.payload_bytes += u64::from(packet.payload_len_bytes);
        sums.ip_len_max_bytes = sums.ip_len_max_bytes.max(packet.ip_len_bytes);
    }

    fn add_flags(&mut self, is_forward: bool, tcp: Tcp) {
        let (flags, counts) = (tcp.flags, &mut self.sums.flags);
        counts.fwd_syn += u32::from(flags.syn && is_forward);
        counts.fin += u32::from(flags.fin);
        counts.rst += u32::from(flags.rst);
        counts.psh += u32::from(flags.psh);
        counts.urg += u32::from(flags.urg);
        counts.odd += u32::from(flags.is_odd());
    }

    /// The receive window says how much its sender is ready to take: slow readers keep it small.
    fn add_window(&mut self, is_forward: bool, tcp: Tcp) {
        if tcp.flags.syn {
            self.sides[usize::from(!is_forward)].syn_options = tcp.options;
        } else if is_forward
            && !tcp.flags.rst
            && let Some(scale) = self.fwd_window_scale()
        {
            let window = u32::from(tcp.window) << scale;
            let least = &mut self.sums.fwd_window_min_bytes;
            *least = Some(least.map_or(window, |least| least.min(window)));
        }
    }

    /// By how many bits the initiator's windows are shifted: only where both sides offered to (RFC 7323 section 2.2). `None`
    /// where one of the SYNs was not seen.
    fn fwd_window_scale(&self) -> Option<u8> {
        let [initiator, responder] = [self.sides[0].syn_options?, self.sides[1].syn_options?];
        let agreed = responder.window_scale.and(initiator.window_scale);
        Some(agreed.map_or(0, |scale| scale.min(MAX_WINDOW_SCALE)))
    }

    /// Follows the sequence numbers: payload that ends where the side has already been is sent again, or late.
    fn add_sequence(&mut self, is_forward: bool, tcp: Tcp, payload_len_bytes: u32) {
        let next = &mut self.sides[usize::from(!is_forward)].next;
        let end = tcp.sequence.wrapping_add(payload_len_bytes).wrapping_add(u32::from(tcp.flags.syn));
        let is_ahead = next.is_none_or(|next| end.wrapping_sub(next).cast_signed() > 0);
        if is_ahead {
            *next = Some(end);
        } else if payload_len_bytes > 0 {
            self.sums.retransmits += 1;
        }
    }

    /// Follows the log-in, from the beginning of the connection or not at all; returns the responder's answer to it, on a connection
    /// that both have opened.
    fn add_login(&mut self, is_forward: bool, tcp: Tcp, payload_len_bytes: u32) -> Word {
        if payload_len_bytes == 0 || self.mid_stream {
            return Word::None;
        }
        let responder_port = if is_forward { tcp.destination_port } else { tcp.source_port };
        let Some(dialect) = LoginDialect::at(responder_port) else { return Word::None };
        let answer = self.login.see(dialect, is_forward, payload_len_bytes, tcp.word);
        if self.is_established() { answer } else { Word::None }
    }

    /// Follows the handshake (RFC 9293 section 3.5); true where this packet completed it.
    fn advance_handshake(&mut self, is_forward: bool, tcp: Tcp, now: Timestamp) -> bool {
        let flags = tcp.flags;
        if flags.rst {
            return false;
        }
        match self.handshake {
            Handshake::None if flags.syn && !flags.ack && is_forward => self.handshake = Handshake::Syn(now),
            // Another SYN-ACK has another number where the responder has forgotten the first.
            Handshake::None | Handshake::Syn(_) | Handshake::SynAck { .. } if flags.syn && flags.ack && !is_forward => {
                let syn = match self.handshake {
                    Handshake::Syn(at) => Some(at),
                    Handshake::SynAck { syn, .. } => syn,
                    Handshake::None | Handshake::Complete { .. } => None,
                };
                self.handshake = Handshake::SynAck { syn, expected: tcp.sequence.wrapping_add(1) };
            }
            // The initiator may acknowledge at once what the responder has said since its SYN-ACK, and its FIN: no more, or
            // whoever guesses would hit.
            Handshake::SynAck { syn, expected } if is_forward && flags.ack => {
                let ahead = tcp.acknowledgement.wrapping_sub(expected);
                if u64::from(ahead) <= self.sums.backward.payload_bytes + 1 {
                    self.handshake = Handshake::Complete { took: syn.map(|at| now.since(at)) };
                    return true;
                }
            }
            Handshake::None if self.mid_stream && !self.ended && flags.ack && self.begun && self.answered => {
                self.handshake = Handshake::Complete { took: None };
                return true;
            }
            _ => {}
        }
        false
    }

    fn check_refusal(&mut self, is_forward: bool, tcp: Tcp) -> bool {
        let nothing_said = self.sums.backward.payload_bytes == 0 && !self.is_established();
        let refused = tcp.flags.rst && !is_forward && nothing_said && !self.refused && !self.ended;
        self.refused |= refused;
        refused
    }

    /// The first thing that comes back is an ABORT (RFC 9260 section 8.4).
    const fn check_abort(&mut self, is_first_answer: bool) -> bool {
        let refused = is_first_answer && self.begun && !self.refused;
        self.refused |= refused;
        refused
    }

    /// Who only wants to know whether a port is open resets what comes about (nmap's SYN scan); a program rarely does, where it gave up
    /// before the answer came.
    const fn is_left_half_open_by(&self, is_forward: bool, tcp: Tcp) -> bool {
        let accepted = matches!(self.handshake, Handshake::SynAck { syn: Some(_), .. });
        tcp.flags.rst && is_forward && accepted && !self.ended
    }

    /// Whoever guesses passwords need not say goodbye: once a service that asks for one does, nothing more can come of it, and
    /// else the guess would count when its connection has been silent for minutes.
    fn check_end(&mut self, is_forward: bool, tcp: Tcp) -> Option<FlowEnd> {
        if self.ended {
            return None;
        }
        let side = &mut self.sides[usize::from(!is_forward)];
        side.finished |= tcp.flags.fin;
        side.reset |= tcp.flags.rst;
        let end = if tcp.flags.rst {
            Some(FlowEnd::Reset)
        } else if self.sides[1].finished && (self.sides[0].finished || self.service() == Service::Login) {
            Some(FlowEnd::Finished)
        } else {
            None
        };
        self.ended = end.is_some();
        end
    }
}

/// What the first packet of a flow says of it.
#[derive(Clone, Copy, Debug)]
pub struct Impression {
    /// It comes from the responder, and answers what was missed.
    pub(super) is_answer: bool,
    /// It is the first answer, which nobody need have asked for.
    pub(super) is_first_answer: bool,
    /// It is in the middle of a TCP connection.
    mid_stream: bool,
}

impl Impression {
    /// A SYN-ACK answers a SYN that was missed, and an echo reply a ping. In the middle of a conversation (the daemon has just
    /// started, or the flow was forgotten) the side on a service's port is the responder. With UDP that is believed of early packets
    /// only, whose flow may have begun before anybody looked: every datagram may be the first one, and a scanner may send from port 53.
    #[must_use]
    pub fn of(packet: &Packet, is_early: bool) -> Self {
        let is_answer = |from, to| Service::is_offered_at(from) && !Service::is_offered_at(to);
        let (is_answer, mid_stream) = match packet.transport {
            Transport::Tcp(Tcp { source_port, destination_port, flags, .. }) => match (flags.syn, flags.ack) {
                (true, true) => (true, true),
                (true, false) => (false, false),
                (false, true) => (is_answer(source_port, destination_port), true),
                (false, false) => (flags.rst && Service::is_offered_at(source_port), true),
            },
            Transport::Udp { source_port, destination_port, .. } => {
                (is_early && is_answer(source_port, destination_port), false)
            }
            Transport::Icmp(kind) => (matches!(kind, IcmpKind::EchoReply(_)), false),
            Transport::Sctp { .. } | Transport::Fragment | Transport::Other => (false, false),
        };
        let is_first = match packet.transport {
            Transport::Tcp(tcp) => tcp.flags.syn,
            transport => matches!(transport, Transport::Udp { .. }),
        };
        Self { is_answer, is_first_answer: is_answer && is_first, mid_stream }
    }
}

// A table of 65,536 flows with its index stays below 24 MiB.
const _: () = assert!(size_of::<Flow>() <= 312);
