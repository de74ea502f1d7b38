//! Packets made without frames, and an extractor that remembers what it observed.
#![allow(dead_code, reason = "each test program uses its part")]

use std::net::{IpAddr, Ipv4Addr};

use traffic::decode::{Packet, Tcp, TcpFlags, Transport, Word};
use traffic::extractor::{Extractor, Observation, Outcome};
use traffic::features::{FeatureVector, Index};
use traffic::flow::FlowEnd;
use traffic::limits::Limits;
use traffic::time::Timestamp;

pub const CLIENT: [u8; 4] = [198, 51, 100, 10];
pub const SERVER: [u8; 4] = [203, 0, 113, 80];

/// What is kept of an observation after the sink.
#[derive(Clone, Debug)]
pub struct Seen {
    pub flow: u64,
    pub initiator: IpAddr,
    pub responder_port: Option<u16>,
    pub packets: u64,
    pub sender: Option<IpAddr>,
    pub begun: bool,
    pub proven: bool,
    pub meagre_login: bool,
    pub end: Option<FlowEnd>,
    pub features: FeatureVector,
}

impl Seen {
    fn of(observation: &Observation<'_>) -> Self {
        let &Observation {
            flow,
            initiator,
            responder_port,
            packets,
            sender,
            begun,
            proven,
            meagre_login,
            end,
            features,
            ..
        } = observation;
        Self { flow, initiator, responder_port, packets, sender, begun, proven, meagre_login, end, features: *features }
    }

    pub fn value(&self, index: Index) -> f32 {
        self.features[index as usize]
    }
}

/// An extractor, and all that it has observed.
pub struct Bench {
    pub extractor: Extractor,
    pub seen: Vec<Seen>,
}

impl Bench {
    pub fn new(limits: Limits) -> Self {
        Self { extractor: Extractor::new(&limits, [1, 2]), seen: Vec::new() }
    }

    pub fn packet(&mut self, at_ms: u64, packet: &Packet) -> Outcome {
        let seen = &mut self.seen;
        self.extractor.packet(packet, at(at_ms), &mut |observation| seen.push(Seen::of(observation)))
    }

    /// Lets time pass.
    pub fn pass(&mut self, at_ms: u64) {
        let seen = &mut self.seen;
        self.extractor.expire(at(at_ms), &mut |observation| seen.push(Seen::of(observation)));
    }

    /// The capture is over.
    pub fn finish(&mut self) {
        let seen = &mut self.seen;
        self.extractor.finish(&mut |observation| seen.push(Seen::of(observation)));
    }

    pub fn last(&self) -> &Seen {
        self.seen.last().expect("something was observed")
    }
}

fn at(at_ms: u64) -> Timestamp {
    Timestamp::from_nanos(1_000_000_000_000 + at_ms * 1_000_000)
}

pub fn flags(text: &str) -> TcpFlags {
    TcpFlags {
        fin: text.contains('F'),
        syn: text.contains('S'),
        rst: text.contains('R'),
        psh: text.contains('P'),
        ack: text.contains('A'),
        urg: text.contains('U'),
    }
}

pub fn tcp(from: ([u8; 4], u16), to: ([u8; 4], u16), text: &str, payload: u32) -> Packet {
    // Sequence numbers of an ideal connection: the client's begins at 100, the server's at 500.
    let client = from.0 == CLIENT;
    let (sequence, acknowledgement) = if client { (100, 501) } else { (500, 101) };
    let transport = Transport::Tcp(Tcp {
        source_port: from.1,
        destination_port: to.1,
        sequence,
        acknowledgement,
        flags: flags(text),
        window: 64_240,
        options: None,
        word: Word::None,
    });
    packet(from.0, to.0, 6, transport, 40 + payload, payload)
}

pub fn udp(from: ([u8; 4], u16), to: ([u8; 4], u16), payload: u32) -> Packet {
    let transport = Transport::Udp { source_port: from.1, destination_port: to.1, asked: None };
    packet(from.0, to.0, 17, transport, 28 + payload, payload)
}

/// An SCTP packet: an INIT, or the ABORT of who has no such association.
pub fn sctp(from: ([u8; 4], u16), to: ([u8; 4], u16), aborts: bool) -> Packet {
    let transport = Transport::Sctp { source_port: from.1, destination_port: to.1, aborts };
    packet(from.0, to.0, 132, transport, 52, 20)
}

pub fn packet(from: [u8; 4], to: [u8; 4], protocol: u8, transport: Transport, ip_len: u32, payload: u32) -> Packet {
    Packet {
        source: IpAddr::V4(Ipv4Addr::from(from)),
        destination: IpAddr::V4(Ipv4Addr::from(to)),
        to_group: false,
        vlan: None,
        protocol,
        ip_len_bytes: ip_len,
        payload_len_bytes: payload,
        transport,
    }
}

pub fn client() -> ([u8; 4], u16) {
    (CLIENT, 40_000)
}

pub fn web() -> ([u8; 4], u16) {
    (SERVER, 80)
}
