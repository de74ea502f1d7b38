//! TCP connections, one by one: how they begin, end, repeat themselves and last.
//!
//! An IPv4 header has 20 bytes and a TCP header 20, so a segment without options has an IP length of 40 + payload. The
//! deviation is the population's: the root of the mean of the squares less the square of the mean.

use traffic::features::Index::{self, *};
use traffic::flow::FlowEnd;

use crate::Checkpoint::{End as AtEnd, Packets};
use crate::frames::{End, Segment, end, segment, tcp, udp};
use crate::{Case, distinct, expected};

/// MSS 1460, SACK permitted, timestamps, padding, window scale 7: 20 bytes, four options.
pub const SYN_OPTIONS: &[u8] = &[2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7];
/// MSS 1460, padding, window scale 2: 8 bytes, two options.
const SMALL_SCALE: &[u8] = &[2, 4, 5, 0xb4, 1, 3, 3, 2];
/// MSS 1460: 4 bytes.
const ONLY_MSS: &[u8] = &[2, 4, 5, 0xb4];
/// The answer: MSS 1460, padding, SACK permitted, padding, window scale 7: 12 bytes.
pub const SYN_ACK_OPTIONS: &[u8] = &[2, 4, 5, 0xb4, 1, 1, 4, 2, 1, 3, 3, 7];

pub const CLIENT: &str = "198.51.100.10";
pub const SERVER: &str = "203.0.113.80";

/// A line of a conversation: when, in microseconds, from the client or not, and what.
type Line = (u64, bool, Segment);

/// The client's and the server's lines.
pub const C: bool = true;
pub const S: bool = false;

pub fn between(client: End, server: End, lines: impl IntoIterator<Item = Line>) -> Vec<(u64, Vec<u8>)> {
    let frame = |(at_us, from_client, segment): Line| {
        let (from, to) = if from_client { (client, server) } else { (server, client) };
        (at_us, tcp(from, to, &segment))
    };
    lines.into_iter().map(frame).collect()
}

fn with_port_80(lines: impl IntoIterator<Item = Line>) -> Vec<(u64, Vec<u8>)> {
    between(end(CLIENT, 40_000), end(SERVER, 80), lines)
}

pub fn syn() -> Segment {
    segment("S", 100, 0).window(64_240).options(SYN_OPTIONS)
}

pub fn syn_ack() -> Segment {
    segment("SA", 500, 101).window(65_160).options(SYN_ACK_OPTIONS)
}

pub fn cases() -> [Case; 9] {
    [
        web_request(),
        refused_connection(),
        half_open_probe(),
        unanswered_syn(),
        syn_ack_first(),
        retransmission_and_shrinking_window(),
        responder_without_window_scale(),
        odd_flags(),
        longer_than_a_segment(),
    ]
}

fn web_request() -> Case {
    let frames = with_port_80([
        (0, C, syn()),
        (10_000, S, syn_ack()),
        (20_000, C, segment("A", 101, 501)),
        (30_000, C, segment("PA", 101, 501).payload(100)),
        (45_000, S, segment("A", 501, 201)),
        (50_000, S, segment("PA", 501, 201).payload(600)),
        (60_000, C, segment("A", 201, 1101).window(480)),
        (70_000, C, segment("FA", 201, 1101)),
        (80_000, S, segment("FA", 1101, 202)),
        // The flow has ended: this one changes nothing.
        (90_000, C, segment("A", 202, 1102)),
    ]);
    let first = [
        (FwdPackets, 1.0),
        (BwdPackets, 0.0),
        (FwdPacketLenMean, 60.0), // 40 and 20 of options
        (FwdPacketLenStd, 0.0),
        (BwdPacketLenMean, 0.0),
        (PacketLenMax, 60.0),
        (DurationS, 0.0),
        (IatMeanS, 0.0),
        (PacketsPerS, 0.0), // no rate of one packet
        (BytesPerS, 0.0),
        (BwdShare, 0.0),
        (FwdSynFlags, 1.0),
        (Answered, 0.0),
        (HandshakeS, -1.0),
        (FwdSynOptions, 4.0),      // MSS, SACK permitted, timestamps, window scale
        (FwdWindowMinBytes, -1.0), // the SYN's own does not count
        (SrcUnanswered2s, 0.0),    // it is too early for that
        (SrcUnfinished2s, 0.0),
        (DstServiceUnfinished2s, 1.0),
    ];
    let second = [
        (BwdPackets, 1.0),
        (BwdPacketLenMean, 52.0), // 40 and 12 of options
        (PacketLenStd, 4.0),      // 60 and 52 around 56
        (PacketsPerS, 200.0),     // 2 in 0.01 s
        (BytesPerS, 11_200.0),    // 112 in 0.01 s
        (BwdShare, 0.5),
        (FwdSynFlags, 1.0), // the SYN-ACK is the responder's
        (Answered, 1.0),
        (Established, 0.0),
        (SrcUnanswered2s, 0.0),
        (SrcUnfinished2s, 1.0),
    ];
    let fourth = [
        (FwdPayloadBytes, 100.0),
        (Established, 1.0),
        (FwdWindowMinBytes, 64_256.0), // 502 · 2^7
        (SrcUnfinished2s, 0.0),
    ];
    let whole: Vec<(Index, f64)> = vec![
        (FwdPackets, 5.0),
        (BwdPackets, 4.0),
        (FwdPayloadBytes, 100.0),
        (BwdPayloadBytes, 600.0),
        // Initiator: 60, 40, 140, 40, 40: sum 320, squares 3,600 + 19,600 + 3 · 1,600 = 28,000.
        (FwdPacketLenMean, 64.0),
        (FwdPacketLenStd, (5_600.0 - 4_096.0_f64).sqrt()),
        // Responder: 52, 40, 640, 40: sum 772, squares 2,704 + 409,600 + 2 · 1,600 = 415,504.
        (BwdPacketLenMean, 193.0),
        (BwdPacketLenStd, (103_876.0 - 37_249.0_f64).sqrt()),
        (PacketLenMax, 640.0),
        // Both: sum 1,092, squares 443,504; the variance is (9 · 443,504 - 1,092²) / 81 = (3,991,536 - 1,192,464) / 81.
        (PacketLenStd, (2_799_072.0_f64 / 81.0).sqrt()),
        (DurationS, 0.08),
        // 10, 10, 10, 15, 5, 10, 10, 10 ms: mean 10; squares 600 + 225 + 25 = 850, so 850/8 - 100 = 6.25.
        (IatMeanS, 0.01),
        (IatStdS, 0.0025),
        (IatMaxS, 0.015),
        (PacketsPerS, 112.5),  // 9 in 0.08 s
        (BytesPerS, 13_650.0), // 1,092 in 0.08 s
        (BwdShare, 4.0 / 9.0),
        (FwdSynFlags, 1.0),
        (FinFlags, 2.0),
        (RstFlags, 0.0),
        (PshFlags, 2.0),
        (UrgFlags, 0.0),
        (OddFlags, 0.0),
        (Retransmits, 0.0),
        (Answered, 1.0),
        (Established, 1.0),
        (Refused, 0.0),
        (MidStream, 0.0),
        (HandshakeS, 0.02),
        (FwdSynOptions, 4.0),
        (FwdWindowMinBytes, 61_440.0), // 480 · 2^7
        (IsTcp, 1.0),
        (IsUdp, 0.0),
        (IsIcmp, 0.0),
        (LoginService, 0.0),
        (WebService, 1.0),
        (GroupDestination, 0.0),
        // One flow, answered and finished, by one source to one port of one host.
        (SrcFlows2s, 1.0),
        (SrcPorts2s, 1.0),
        (SrcHosts2s, 1.0),
        (SrcUnanswered2s, 0.0),
        (SrcRefused2s, 0.0),
        (SrcUnfinished2s, 0.0),
        (SrcFlows60s, 1.0),
        (SrcPorts60s, 1.0),
        (SrcHosts60s, 1.0),
        (SrcUnanswered60s, 0.0),
        (SrcRefused60s, 0.0),
        (SrcUnfinished60s, 0.0),
        (SrcLogins60s, 0.0),
        (SrcShortLogins60s, 0.0),
        (SrcMeagreLogins60s, 0.0),
        (PairFlows2s, 1.0),
        (PairFlows60s, 1.0),
        (PairOpen60s, 0.0),
        (PairShortLogins60s, 0.0),
        (PairMeagreLogins60s, 0.0),
        (DstFlows2s, 1.0),
        (DstSources2s, 1.0),
        (DstServiceFlows2s, 1.0),
        (DstServiceUnfinished2s, 0.0),
        (DstServiceFlows60s, 1.0),
        (DstServiceSources60s, 1.0),
    ];
    let expected = vec![
        expected(0, Packets(1), first),
        expected(0, Packets(2), second),
        expected(0, Packets(4), fourth),
        expected(0, AtEnd(FlowEnd::Finished, 9), whole),
    ];
    Case { name: "web-request", frames, flows: 1, expected }
}

fn refused_connection() -> Case {
    let frames = with_port_80([(0, C, segment("S", 100, 0).window(1_024)), (400, S, segment("RA", 0, 101).window(0))]);
    let values = [
        (PacketLenMax, 40.0),
        (PacketLenStd, 0.0),
        (DurationS, 0.000_4),
        (PacketsPerS, 2_000.0), // rates are over 1 ms at least
        (BytesPerS, 80_000.0),
        (RstFlags, 1.0),
        (OddFlags, 0.0),
        (Answered, 1.0),
        (Established, 0.0),
        (Refused, 1.0),
        (FwdSynOptions, 0.0), // a SYN without options: defined, and none
        (FwdWindowMinBytes, -1.0),
        (SrcUnanswered2s, 0.0),
        (SrcRefused2s, 1.0),
        (SrcRefused60s, 1.0),
        (SrcUnfinished60s, 1.0),
        (DstServiceUnfinished2s, 1.0),
    ];
    Case { name: "refused-connection", frames, flows: 1, expected: vec![expected(0, AtEnd(FlowEnd::Reset, 2), values)] }
}

/// A port is found open without a connection being made, after a datagram that nobody answered.
fn half_open_probe() -> Case {
    let mut frames = vec![(0, udp(end(CLIENT, 40_000), end(SERVER, 161), b"probe...", None))];
    frames.extend(with_port_80([
        (100_000, C, segment("S", 100, 0).window(1_024).options(ONLY_MSS)),
        (101_000, S, syn_ack()),
        (101_200, C, segment("R", 101, 0).window(0)),
    ]));
    let values = [
        (FwdPackets, 2.0),
        (BwdPackets, 1.0),
        (FwdPacketLenMean, 42.0), // 44 and 40
        (FwdPacketLenStd, 2.0),
        (RstFlags, 1.0),
        (OddFlags, 0.0),
        (Answered, 1.0),
        (Established, 0.0),
        (Refused, 0.0), // the RST is the initiator's
        (HandshakeS, -1.0),
        (FwdSynOptions, 1.0),
        (FwdWindowMinBytes, -1.0), // a RST offers none
        (SrcHalfOpen60s, 1.0),     // accepted, and reset by the initiator
        (SrcFlows2s, 2.0),
        (SrcPorts2s, distinct(2)),
        (SrcHosts2s, 1.0),
        (SrcUnanswered2s, 0.0), // the probe of 0.1 s ago may still be answered
        (SrcRefused2s, 0.0),
        (SrcUnfinished2s, 1.0), // of one TCP flow
        (DstFlows2s, 2.0),
        (DstServiceFlows2s, 1.0),
        (DstServiceUnfinished2s, 1.0),
    ];
    let expected = vec![expected(1, AtEnd(FlowEnd::Reset, 3), values)];
    Case { name: "half-open-probe", frames, flows: 2, expected }
}

fn unanswered_syn() -> Case {
    let frames = with_port_80([(0, C, syn()), (1_000_000, C, syn()), (3_000_000, C, syn())]);
    let values = [
        (FwdPackets, 3.0),
        (BwdPackets, 0.0),
        (DurationS, 3.0),
        (IatMeanS, 1.5), // 1 s and 2 s
        (IatStdS, 0.5),
        (IatMaxS, 2.0),
        (PacketsPerS, 1.0),
        (BytesPerS, 60.0),
        (FwdSynFlags, 3.0),
        (Retransmits, 0.0), // there is no payload to repeat
        (Answered, 0.0),
        (Refused, 0.0),
        (HandshakeS, -1.0),
        // The window of 2 s at second 3 holds what began in the seconds 2 and 3: nothing did.
        (SrcFlows2s, 0.0),
        (SrcUnanswered2s, 0.0),
        (SrcFlows60s, 1.0),
        (SrcUnanswered60s, 1.0),
        (SrcUnfinished60s, 1.0),
    ];
    let second = [(FwdSynFlags, 2.0), (SrcFlows2s, 1.0), (SrcUnanswered2s, 1.0)];
    let expected = vec![expected(0, Packets(2), second), expected(0, AtEnd(FlowEnd::Shutdown, 3), values)];
    Case { name: "unanswered-syn", frames, flows: 1, expected }
}

/// The capture began between SYN and SYN-ACK: the flow is turned round, and nothing of the SYN is known.
fn syn_ack_first() -> Case {
    let frames = with_port_80([
        (0, S, syn_ack()),
        (5_000, C, segment("A", 101, 501)),
        (6_000, C, segment("PA", 101, 501).payload(100)),
        (9_000, S, segment("A", 501, 201)),
    ]);
    let first = [
        (FwdPackets, 0.0),
        (BwdPackets, 1.0),
        (BwdPacketLenMean, 52.0),
        (BwdShare, 1.0),
        (FwdSynFlags, 0.0),
        (Answered, 1.0),
        (MidStream, 1.0),
        (WebService, 1.0), // port 80 is the responder's
        (SrcFlows2s, 0.0), // the initiator was not seen doing anything
    ];
    let fourth = [
        (FwdPackets, 2.0),
        (BwdPackets, 2.0),
        (FwdPacketLenMean, 90.0), // 40 and 140
        (FwdPacketLenStd, 50.0),
        (BwdPacketLenMean, 46.0), // 52 and 40
        (BwdPacketLenStd, 6.0),
        (Established, 1.0),
        (MidStream, 1.0),
        (HandshakeS, -1.0),
        (FwdSynOptions, -1.0),
        (FwdWindowMinBytes, -1.0), // its scale is not known
        (SrcFlows2s, 1.0),
        (SrcUnanswered2s, 0.0),
        (SrcUnfinished2s, 0.0),
    ];
    let expected = vec![expected(0, Packets(1), first), expected(0, Packets(4), fourth)];
    Case { name: "syn-ack-first", frames, flows: 1, expected }
}

/// An upload of which a segment is lost, by a client that reads more and more slowly.
fn retransmission_and_shrinking_window() -> Case {
    let frames = with_port_80([
        (0, C, segment("S", 100, 0).window(64_240).options(SMALL_SCALE)),
        (10_000, S, syn_ack()),
        (20_000, C, segment("A", 101, 501).window(1_000)),
        (30_000, C, segment("PA", 101, 501).window(1_000).payload(100)),
        // Sent before, all of it.
        (230_000, C, segment("PA", 101, 501).window(1_000).payload(100)),
        // Half of it is new, so it had not all been sent.
        (240_000, C, segment("PA", 151, 501).window(1_000).payload(100)),
        (250_000, S, segment("PA", 501, 251).payload(50)),
        (260_000, C, segment("A", 251, 551).window(500)),
        // The responder's count as well.
        (450_000, S, segment("PA", 501, 251).payload(50)),
        // A keep-alive probe repeats no payload (RFC 9293 section 3.8.4).
        (500_000, C, segment("A", 250, 551).window(10)),
    ]);
    let values = [
        (FwdPackets, 7.0),
        (BwdPackets, 3.0),
        (FwdPayloadBytes, 300.0),
        (BwdPayloadBytes, 100.0),
        (FwdSynOptions, 2.0),
        (FwdWindowMinBytes, 40.0), // 10 · 2^2
        (Retransmits, 2.0),
        (PshFlags, 5.0),
        // 48, 40, 140, 140, 140, 40, 40: sum 588, squares 2,304 + 3 · 1,600 + 3 · 19,600 = 65,904.
        (FwdPacketLenMean, 84.0),
        (FwdPacketLenStd, (65_904.0 / 7.0 - 7_056.0_f64).sqrt()),
        (DurationS, 0.5),
        (IatMaxS, 0.2),
        (PacketsPerS, 20.0),
        (BwdShare, 0.3),
    ];
    let eighth = [(Retransmits, 1.0), (FwdWindowMinBytes, 2_000.0)]; // 500 · 2^2
    let expected = vec![expected(0, Packets(8), eighth), expected(0, AtEnd(FlowEnd::Shutdown, 10), values)];
    Case { name: "retransmission", frames, flows: 1, expected }
}

/// Windows are scaled only where both sides offer to (RFC 7323 section 2.2): this responder does not.
fn responder_without_window_scale() -> Case {
    let frames = with_port_80([
        (0, C, syn()),
        (10_000, S, segment("SA", 500, 101).window(4_096).options(ONLY_MSS)),
        (20_000, C, segment("A", 101, 501).window(1_000)),
        (30_000, C, segment("PA", 101, 501).window(800).payload(100)),
    ]);
    let values = [(FwdSynOptions, 4.0), (FwdWindowMinBytes, 800.0), (HandshakeS, 0.02)];
    let expected = vec![expected(0, Packets(4), values)];
    Case { name: "no-window-scale", frames, flows: 1, expected }
}

/// A probe with FIN, PSH and URG, and one without any flag; both ports are closed (RFC 9293 section 3.5.2).
fn odd_flags() -> Case {
    let (from, second) = (end(CLIENT, 50_000), 100_000);
    let frames = [
        between(
            from,
            end(SERVER, 7),
            [(0, C, segment("FPU", 1, 0).window(1_024)), (1_000, S, segment("RA", 0, 2).window(0))],
        ),
        between(
            from,
            end(SERVER, 9),
            [(second, C, segment("", 1, 0).window(1_024)), (second + 1_000, S, segment("RA", 0, 1).window(0))],
        ),
    ];
    let xmas = [
        (FinFlags, 1.0),
        (PshFlags, 1.0),
        (UrgFlags, 1.0),
        (OddFlags, 1.0),
        (SrcOddProbes60s, 1.0),
        (RstFlags, 1.0),
        (FwdSynFlags, 0.0),
        (MidStream, 1.0),
        (Answered, 1.0),
        (Established, 0.0),
        (Refused, 1.0),
        (FwdSynOptions, -1.0),
        (WebService, 0.0),
    ];
    let null = [
        (FinFlags, 0.0),
        (UrgFlags, 0.0),
        (OddFlags, 1.0),
        (SrcOddProbes60s, 2.0),
        (Refused, 1.0),
        (SrcFlows2s, 2.0),
        (SrcPorts2s, distinct(2)),
        (SrcRefused2s, 1.0),
    ];
    let expected = vec![expected(0, AtEnd(FlowEnd::Reset, 2), xmas), expected(1, AtEnd(FlowEnd::Reset, 2), null)];
    Case { name: "odd-flags", frames: frames.concat(), flows: 2, expected }
}

/// Ended by FIN after 170.01 s, and cut at the packet that comes 120 s after the first one.
fn longer_than_a_segment() -> Case {
    let frames = with_port_80([
        (0, C, syn()),
        (10_000, S, syn_ack()),
        (20_000, C, segment("A", 101, 501).window(300)),
        (50_000_000, C, segment("PA", 101, 501).payload(50)),
        (100_000_000, S, segment("A", 501, 151)),
        (120_000_000, S, segment("PA", 501, 151).payload(50)),
        (120_010_000, C, segment("A", 151, 551)),
        (170_000_000, C, segment("FA", 151, 551)),
        (170_010_000, S, segment("FA", 551, 152)),
    ]);
    let first = [
        (FwdPackets, 3.0), // 60, 40, 90
        (BwdPackets, 2.0), // 52, 40
        (PacketLenMax, 90.0),
        (DurationS, 100.0),
        (IatMeanS, 25.0),
        (IatMaxS, 50.0),
        // 0.01, 0.01, 49.98, 50: squares 0.0001 + 0.0001 + 2,498.0004 + 2,500 = 4,998.0006.
        (IatStdS, (4_998.000_6 / 4.0 - 625.0_f64).sqrt()),
        (PacketsPerS, 0.05),
        (BytesPerS, 2.82), // 282 in 100 s
        (FwdSynFlags, 1.0),
        (FwdWindowMinBytes, 38_400.0), // 300 · 2^7
        (SrcFlows60s, 0.0),            // second 100 is in the slot of 90 to 120: the flow began before that of 60 to 90
    ];
    let second = [
        (FwdPackets, 2.0), // 40, 40
        (BwdPackets, 2.0), // 90, 40
        (FwdPayloadBytes, 0.0),
        (BwdPayloadBytes, 50.0),
        (BwdPacketLenMean, 65.0),
        (BwdPacketLenStd, 25.0),
        (PacketLenMax, 90.0),
        (DurationS, 50.01),
        (IatMeanS, 16.67), // 0.01, 49.99, 0.01
        (IatMaxS, 49.99),
        (FwdSynFlags, 0.0),
        (FinFlags, 2.0),
        // True of the whole flow.
        (Answered, 1.0),
        (Established, 1.0),
        (HandshakeS, 0.02),
        (FwdSynOptions, 4.0),
        (FwdWindowMinBytes, 64_256.0), // of the segment: 502 · 2^7
    ];
    let expected =
        vec![expected(0, AtEnd(FlowEnd::Segment, 5), first), expected(0, AtEnd(FlowEnd::Finished, 9), second)];
    Case { name: "longer-than-a-segment", frames, flows: 1, expected }
}
