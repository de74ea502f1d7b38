//! What flows and features say of small conversations, computed by hand.
#![allow(clippy::expect_used, clippy::panic, reason = "a test may stop at the first surprise")]

use std::net::{IpAddr, Ipv4Addr};

use traffic::decode::{IcmpError, IcmpKind, Packet, Tcp, TcpFlags, Transport};
use traffic::extractor::{Extractor, Outcome};
use traffic::features::{FeatureVector, Index};
use traffic::flow::FlowEnd;
use traffic::limits::Limits;
use traffic::time::Timestamp;

const CLIENT: [u8; 4] = [198, 51, 100, 10];
const SERVER: [u8; 4] = [203, 0, 113, 80];

/// What is kept of an observation after the sink.
#[derive(Clone, Debug)]
struct Seen {
    flow: u64,
    initiator: IpAddr,
    responder_port: Option<u16>,
    packets: u64,
    begun: bool,
    proven: bool,
    end: Option<FlowEnd>,
    features: FeatureVector,
}

impl Seen {
    fn value(&self, index: Index) -> f32 {
        self.features[index as usize]
    }
}

struct Bench {
    extractor: Extractor,
    seen: Vec<Seen>,
}

impl Bench {
    fn new(limits: Limits) -> Self {
        Self { extractor: Extractor::new(&limits, [1, 2]), seen: Vec::new() }
    }

    fn packet(&mut self, at_ms: u64, packet: &Packet) -> Outcome {
        let (extractor, seen) = (&mut self.extractor, &mut self.seen);
        extractor.packet(packet, Timestamp::from_nanos(1_000_000_000_000 + at_ms * 1_000_000), &mut |o| {
            seen.push(Seen {
                flow: o.flow,
                initiator: o.initiator,
                responder_port: o.responder_port,
                packets: o.packets,
                begun: o.begun,
                proven: o.proven,
                end: o.end,
                features: *o.features,
            });
        })
    }

    fn last(&self) -> &Seen {
        self.seen.last().expect("something was observed")
    }
}

fn flags(text: &str) -> TcpFlags {
    TcpFlags {
        fin: text.contains('F'),
        syn: text.contains('S'),
        rst: text.contains('R'),
        psh: text.contains('P'),
        ack: text.contains('A'),
        urg: text.contains('U'),
    }
}

fn tcp(from: ([u8; 4], u16), to: ([u8; 4], u16), text: &str, payload: u32) -> Packet {
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
    });
    packet(from.0, to.0, 6, transport, 40 + payload, payload)
}

fn udp(from: ([u8; 4], u16), to: ([u8; 4], u16), payload: u32) -> Packet {
    let transport = Transport::Udp { source_port: from.1, destination_port: to.1 };
    packet(from.0, to.0, 17, transport, 28 + payload, payload)
}

fn packet(from: [u8; 4], to: [u8; 4], protocol: u8, transport: Transport, ip_len: u32, payload: u32) -> Packet {
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

fn client() -> ([u8; 4], u16) {
    (CLIENT, 40_000)
}

fn web() -> ([u8; 4], u16) {
    (SERVER, 80)
}

#[test]
fn a_web_request_gives_the_features_computed_by_hand() {
    let mut bench = Bench::new(Limits::default());
    bench.packet(0, &tcp(client(), web(), "S", 0));
    bench.packet(10, &tcp(web(), client(), "SA", 0));
    bench.packet(20, &tcp(client(), web(), "A", 0));
    bench.packet(30, &tcp(client(), web(), "PA", 100));
    bench.packet(50, &tcp(web(), client(), "PA", 1000));
    bench.packet(60, &tcp(client(), web(), "FA", 0));
    bench.packet(70, &tcp(web(), client(), "FA", 0));
    let end = bench.last();
    assert_eq!(end.end, Some(FlowEnd::Finished));
    assert_eq!((end.packets, end.proven, end.responder_port), (7, true, Some(80)));
    for (index, expected) in [
        (Index::FwdPackets, 4.0),
        (Index::BwdPackets, 3.0),
        (Index::FwdPayloadBytes, 100.0),
        (Index::BwdPayloadBytes, 1000.0),
        (Index::FwdPacketLenMean, (40.0 * 3.0 + 140.0) / 4.0),
        (Index::BwdPacketLenMean, (40.0 * 2.0 + 1040.0) / 3.0),
        (Index::PacketLenMax, 1040.0),
        (Index::DurationS, 0.07),
        (Index::IatMeanS, 0.07 / 6.0),
        (Index::IatMaxS, 0.02),
        (Index::PacketsPerS, 100.0),
        (Index::BytesPerS, 1380.0 / 0.07),
        (Index::BwdShare, 3.0 / 7.0),
        (Index::FwdSynFlags, 1.0),
        (Index::FinFlags, 2.0),
        (Index::RstFlags, 0.0),
        (Index::PshFlags, 2.0),
        (Index::Answered, 1.0),
        (Index::Established, 1.0),
        (Index::HandshakeS, 0.02),
        (Index::WebService, 1.0),
        (Index::LoginService, 0.0),
        (Index::SrcFlows2s, 1.0),
        (Index::SrcUnanswered2s, 0.0),
        (Index::DstServiceFlows60s, 1.0),
    ] {
        assert!((end.value(index) - expected).abs() < 1e-3, "{index:?}: {} instead of {expected}", end.value(index));
    }
    // Population deviation of 40, 40, 40, 140, 1040, 40, 40 around their mean of 197.14.
    assert!((end.value(Index::PacketLenStd) - 345.82).abs() < 0.1, "{}", end.value(Index::PacketLenStd));
    let at: Vec<u64> = bench.seen.iter().map(|seen| seen.packets).collect();
    assert_eq!(at, [1, 2, 4, 7], "checkpoints: powers of two, and the end");
}

#[test]
fn the_last_packets_of_a_closed_connection_are_no_new_flow() {
    let mut bench = Bench::new(Limits::default());
    for (at, packet) in [
        (0, tcp(client(), web(), "S", 0)),
        (1, tcp(web(), client(), "SA", 0)),
        (2, tcp(client(), web(), "A", 0)),
        (3, tcp(web(), client(), "FA", 0)),
        (4, tcp(client(), web(), "FA", 0)),
    ] {
        bench.packet(at, &packet);
    }
    let observed = bench.seen.len();
    assert_eq!(bench.packet(5, &tcp(web(), client(), "A", 0)), Outcome::default());
    assert_eq!(bench.seen.len(), observed, "nothing more is said of a flow that has ended");
    assert!(bench.packet(6, &tcp(client(), web(), "S", 0)).created, "the port is used again");
    assert_eq!(bench.last().flow, 1);
}

#[test]
fn a_flow_first_seen_at_its_syn_ack_is_turned_round() {
    let mut bench = Bench::new(Limits::default());
    bench.packet(0, &tcp(web(), client(), "SA", 0));
    let first = bench.last().clone();
    assert_eq!(first.initiator, IpAddr::V4(Ipv4Addr::from(CLIENT)));
    assert_eq!((first.value(Index::SrcFlows2s), first.value(Index::BwdPackets)), (0.0, 1.0));
    bench.packet(5, &tcp(client(), web(), "A", 0));
    assert_eq!(bench.last().value(Index::SrcFlows2s), 1.0, "counted once the initiator is seen");
}

#[test]
fn an_acknowledgement_of_the_wrong_number_proves_nothing() {
    let mut bench = Bench::new(Limits::default());
    bench.packet(0, &tcp(client(), web(), "S", 0));
    bench.packet(1, &tcp(web(), client(), "SA", 0));
    // The right number is 501. Whoever guesses could try a few numbers far apart.
    for guess in [77, 499, 503, 501 + (1 << 29), 501 + (1 << 31)] {
        let mut forged = tcp(client(), web(), "A", 0);
        if let Transport::Tcp(tcp) = &mut forged.transport {
            tcp.acknowledgement = guess;
        }
        bench.packet(2, &forged);
    }
    bench.packet(2, &tcp(web(), client(), "A", 0));
    assert_eq!(bench.last().packets, 8);
    assert!(!bench.last().proven);
    assert_eq!(bench.last().value(Index::Established), 0.0);
}

#[test]
fn a_scan_shows_in_the_windows_of_its_source() {
    let mut bench = Bench::new(Limits::default());
    for port in 1..=100_u16 {
        bench.packet(u64::from(port), &tcp(client(), (SERVER, port), "S", 0));
        if port.is_multiple_of(2) {
            bench.packet(u64::from(port), &tcp((SERVER, port), client(), "RA", 0));
        }
    }
    let last = bench.last();
    assert_eq!((last.value(Index::SrcFlows2s), last.value(Index::SrcHosts2s)), (100.0, 1.0));
    assert!((last.value(Index::SrcPorts2s) - 100.0).abs() < 15.0, "{}", last.value(Index::SrcPorts2s));
    assert_eq!(last.value(Index::SrcUnanswered2s), 0.5);
    assert_eq!(last.value(Index::SrcRefused2s), 0.5);
    assert_eq!(last.value(Index::SrcUnfinished2s), 1.0);
}

#[test]
fn half_open_flows_go_before_a_running_download() {
    let mut bench = Bench::new(Limits { flows: 64, ..Limits::default() });
    bench.packet(0, &tcp(client(), web(), "S", 0));
    bench.packet(1, &tcp(web(), client(), "SA", 0));
    bench.packet(2, &tcp(client(), web(), "A", 0));
    let mut evicted = 0;
    for n in 0..10_000_u32 {
        let source = (0x0a00_0000 + n).to_be_bytes();
        let outcome = bench.packet(3, &tcp((source, 1_024), web(), "S", 0));
        evicted += u32::from(outcome.evicted);
    }
    assert_eq!(evicted, 10_000 - 63);
    assert!(!bench.packet(4, &tcp(web(), client(), "PA", 1000)).created, "the download is still known");
}

#[test]
fn silence_ends_a_flow_and_a_long_one_is_cut_into_segments() {
    let mut bench = Bench::new(Limits::default());
    let dns = (SERVER, 53);
    bench.packet(0, &udp(client(), dns, 30));
    bench.packet(61_000, &udp((CLIENT, 40_001), dns, 30));
    assert!(bench.seen.iter().any(|seen| seen.flow == 0 && seen.end == Some(FlowEnd::Idle)));

    for second in 0..=121 {
        bench.packet(61_000 + second * 1_000, &udp((CLIENT, 40_001), dns, 30));
    }
    let cut = bench.seen.iter().find(|seen| seen.end == Some(FlowEnd::Segment)).expect("a segment");
    assert_eq!((cut.flow, cut.value(Index::DurationS)), (1, 119.0));
    let after = bench.last();
    assert!(after.packets >= 64 && after.value(Index::FwdPackets) <= 128.0);
}

#[test]
fn the_seed_of_the_tables_changes_no_number() {
    let run = |seed| {
        let mut bench =
            Bench { extractor: Extractor::new(&Limits { flows: 50, ..Limits::default() }, seed), seen: Vec::new() };
        for n in 0..500_u16 {
            bench.packet(u64::from(n) * 7, &tcp((CLIENT, 1_000 + n), (SERVER, n % 37), "S", 0));
        }
        bench.seen.iter().map(|seen| (seen.flow, seen.packets, seen.features.map(f32::to_bits))).collect::<Vec<_>>()
    };
    assert_eq!(run([1, 2]), run([0xdead, 0xbeef]));
}

#[test]
fn answers_and_errors_are_nobodys_doing() {
    let server = (SERVER, 53);
    let answer = udp(server, client(), 100);
    let error = IcmpError { unreachable: true, about: None };
    let complaint = packet(CLIENT, SERVER, 1, Transport::Icmp(IcmpKind::Error(error)), 56, 36);
    let echo_reply = packet(SERVER, CLIENT, 1, Transport::Icmp(IcmpKind::EchoReply(7)), 84, 56);
    for packet in [answer, complaint, echo_reply] {
        let mut bench = Bench::new(Limits::default());
        bench.packet(0, &packet);
        assert!(!bench.last().begun, "{packet:?}");
        assert_eq!(bench.last().value(Index::SrcFlows2s), 0.0, "{packet:?}");
    }
}

#[test]
fn a_clock_set_back_does_not_fill_the_windows() {
    let mut bench = Bench::new(Limits::default());
    let hour_ms = 3_600_000;
    for n in 0..100_u16 {
        bench.packet(hour_ms + u64::from(n) * 100, &udp((CLIENT, 2_000 + n), (SERVER, 53), 30));
    }
    // Back by an hour, and then one query in five seconds for a while.
    for n in 0..100_u16 {
        bench.packet(u64::from(n) * 5_000, &udp((CLIENT, 3_000 + n), (SERVER, 53), 30));
    }
    assert_eq!(bench.last().value(Index::SrcFlows2s), 1.0);
    assert!(bench.last().value(Index::SrcFlows60s) <= 12.0, "{}", bench.last().value(Index::SrcFlows60s));
}
