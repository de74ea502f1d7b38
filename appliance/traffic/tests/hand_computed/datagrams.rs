//! UDP and ICMP: questions and answers, errors, fragments, tags and groups.
//!
//! A UDP header has 8 bytes, an IPv4 header 20 and an IPv6 header 40.

use traffic::features::Index::{self, *};
use traffic::flow::FlowEnd;

use crate::Checkpoint::{End as AtEnd, Packets};
use crate::connections::{CLIENT, SERVER};
use crate::frames::{dns_answer, dns_question, dns_question_for, echo, end, port_unreachable, udp, udp_fragments};
use crate::{Case, distinct, expected};

pub fn cases() -> [Case; 11] {
    [
        dns(),
        dns_over_ipv6(),
        long_names(),
        long_names_of_neighbours(),
        ping(),
        pings_of_other_sizes(),
        odd_questions(),
        port_is_unreachable(),
        fragments(),
        inside_a_vlan(),
        to_a_group(),
    ]
}

/// Question and answer 12 ms apart; `lens` are the two IP lengths, 16 bytes apart.
fn dns_values(lens: [f64; 2]) -> Vec<(Index, f64)> {
    let [question, answer] = lens;
    vec![
        (FwdPackets, 1.0),
        (BwdPackets, 1.0),
        (FwdPayloadBytes, 29.0),
        (BwdPayloadBytes, 45.0),
        (FwdPacketLenMean, question),
        (FwdPacketLenStd, 0.0),
        (BwdPacketLenMean, answer),
        (PacketLenMax, answer),
        (PacketLenStd, 8.0), // half of 16
        (DurationS, 0.012),
        (IatMeanS, 0.012),
        (IatStdS, 0.0), // of a single time
        (IatMaxS, 0.012),
        (PacketsPerS, 2.0 / 0.012),
        (BytesPerS, (question + answer) / 0.012),
        (BwdShare, 0.5),
        (Answered, 1.0),
        (Established, 0.0), // there is no handshake
        (MidStream, 0.0),
        (HandshakeS, -1.0),
        (FwdSynOptions, -1.0),
        (FwdWindowMinBytes, -1.0),
        (IsTcp, 0.0),
        (IsUdp, 1.0),
        (IsIcmp, 0.0),
        (LoginService, 0.0),
        (GroupDestination, 0.0),
        (SrcFlows2s, 1.0),
        (SrcPorts2s, 1.0),
        (SrcHosts2s, 1.0),
        (SrcUnanswered2s, 0.0),
        (SrcUnfinished2s, 0.0), // no TCP flows
        (DstServiceFlows60s, 1.0),
        (DstServiceSources60s, 1.0),
        (DstServiceUnfinished2s, 0.0),
    ]
}

fn dns() -> Case {
    let (client, server) = (end(CLIENT, 53_535), end("203.0.113.53", 53));
    let frames =
        vec![(0, udp(client, server, &dns_question(), None)), (12_000, udp(server, client, &dns_answer(), None))];
    // 29 + 28 and 45 + 28.
    let expected = vec![expected(0, Packets(2), dns_values([57.0, 73.0]))];
    Case { name: "dns", frames, flows: 1, expected }
}

fn dns_over_ipv6() -> Case {
    let (client, server) = (end("2001:db8::10", 53_535), end("2001:db8:53::53", 53));
    let frames =
        vec![(0, udp(client, server, &dns_question(), None)), (12_000, udp(server, client, &dns_answer(), None))];
    // 29 + 48 and 45 + 48.
    let expected = vec![expected(0, AtEnd(FlowEnd::Shutdown, 2), dns_values([77.0, 93.0]))];
    Case { name: "dns-over-ipv6", frames, flows: 1, expected }
}

/// Names with a label of 24 bytes below a domain, one question a flow and one flow a second. Most ask for a text (16).
fn long_names() -> Case {
    let server = end("203.0.113.53", 53);
    let (long, other) = ("abcdefghijklmnopqrstuvwx", "other-than-that-is-this-one");
    let asked = [
        (format!("{long}.t.example.org"), 16, 1.0),
        // 23 bytes: the flow asks for nothing that counts.
        (format!("{}.t.example.org", &long[1..]), 16, 0.0),
        // The same name, as a resolver writes it that hardens its questions.
        (format!("{}.T.eXample.ORG", long.to_uppercase()), 16, 1.0),
        (format!("{other}.example.org"), 10, distinct(2)),
        (format!("t.{long}.{other}.example.org"), 5, distinct(3)),
        (format!("{long}.example.net"), 16, 1.0),
        // Its addresses: as a browser asks for whatever a page names.
        (format!("{long}.one.example.net"), 1, 0.0),
        (format!("{long}.one.example.net"), 28, 0.0),
        (format!("{long}.one.example.net"), 65, 0.0),
        // The domain itself may be long, and a virus scanner asks for fingerprints.
        (format!("{long}.example"), 16, 0.0),
        (format!("{long}.i.01.mac.sophosxl.net"), 16, 0.0),
    ];
    let frame = |(number, (name, kind, _)): (usize, &(String, u8, f64))| {
        let client = end(CLIENT, 50_000 + number as u16);
        (number as u64 * 1_000_000, udp(client, server, &dns_question_for(name, *kind), None))
    };
    let expected = |(number, (.., names)): (usize, &(String, u8, f64))| {
        expected(number as u64, Packets(1), [(SrcLongNames60s, *names), (PairResizedPings60s, 0.0)])
    };
    Case {
        name: "long-names",
        frames: asked.iter().enumerate().map(frame).collect(),
        flows: 11,
        expected: asked.iter().enumerate().map(expected).collect(),
    }
}

/// Two devices of one IPv6 network, in a VLAN: neither is told of for what the other asks.
fn long_names_of_neighbours() -> Case {
    let server = end("2001:db8:53::53", 53);
    let asked = [("2001:db8::10", "one"), ("2001:db8::10", "two"), ("2001:db8::11", "three"), ("2001:db8::10", "four")];
    let frame = |(number, (address, first)): (usize, &(&str, &str))| {
        let name = format!("{first}.abcdefghijklmnopqrstuvwx.example.org");
        let question = dns_question_for(&name, 16);
        (number as u64 * 1_000, udp(end(address, 50_000 + number as u16), server, &question, Some(7)))
    };
    let of = |flow, names| expected(flow, Packets(1), [(SrcLongNames60s, names)]);
    Case {
        name: "long-names-of-neighbours",
        frames: asked.iter().enumerate().map(frame).collect(),
        flows: 4,
        expected: vec![of(0, 1.0), of(1, distinct(2)), of(2, 1.0), of(3, distinct(3))],
    }
}

/// Two pings a second apart, each answered after 0.4 ms.
fn ping() -> Case {
    let (client, server) = (end(CLIENT, 0), end(SERVER, 0));
    let ask = || echo([8, 0], client, server, 7, 56);
    let answer = || echo([0, 0], server, client, 7, 56);
    let frames = vec![(0, ask()), (400, answer()), (1_000_000, ask()), (1_000_400, answer())];
    let values = [
        (FwdPackets, 2.0),
        (BwdPackets, 2.0),
        (FwdPayloadBytes, 112.0),
        (BwdPayloadBytes, 112.0),
        (FwdPacketLenMean, 84.0), // 56 + 8 + 20
        (PacketLenMax, 84.0),
        (PacketLenStd, 0.0),
        (DurationS, 1.0004),
        (IatMeanS, 1.0004 / 3.0),
        // 0.0004, 0.9996, 0.0004 are off the mean by -d, 2d, -d with d = 0.9992/3: the mean square is 2d².
        (IatStdS, 0.9992 / 3.0 * 2.0_f64.sqrt()),
        (IatMaxS, 0.9996),
        (PacketsPerS, 4.0 / 1.0004),
        (BytesPerS, 336.0 / 1.0004),
        (BwdShare, 0.5),
        (Answered, 1.0),
        (IsTcp, 0.0),
        (IsUdp, 0.0),
        (IsIcmp, 1.0),
        (SrcFlows2s, 1.0), // began in the second before
        (SrcPorts2s, 0.0), // there are none
        (SrcHosts2s, 1.0),
        (DstFlows2s, 1.0),
    ];
    let second = [(PacketsPerS, 2_000.0), (BytesPerS, 168_000.0)]; // rates are over 1 ms at least
    Case {
        name: "ping",
        frames,
        flows: 1,
        expected: vec![expected(0, Packets(2), second), expected(0, Packets(4), values)],
    }
}

/// Two runs of `ping` at once, the second of which sends other sizes, and a third host. None is answered.
fn pings_of_other_sizes() -> Case {
    let (client, server, third) = (end(CLIENT, 0), end(SERVER, 0), end("203.0.113.83", 0));
    let sizes = [(7, 56), (8, 56), (7, 56), (8, 100), (7, 56), (8, 100), (7, 56), (8, 56)];
    let mut frames: Vec<_> = sizes
        .iter()
        .enumerate()
        .map(|(number, (identifier, size))| (number as u64 * 100_000, echo([8, 0], client, server, *identifier, *size)))
        .collect();
    frames.push((1_000_000, echo([8, 0], client, third, 9, 1_000)));
    let resized = |times, sizes| [(PairResizedPings60s, times), (PairPingSizes60s, sizes), (SrcLongNames60s, 0.0)];
    let expected = vec![
        // The other run's count for the same two hosts.
        expected(0, Packets(2), resized(0.0, 0.0)),
        expected(0, Packets(4), resized(1.0, 1.0)),
        expected(1, Packets(2), resized(1.0, 1.0)),
        expected(1, Packets(4), resized(2.0, distinct(2))),
        expected(2, Packets(1), resized(0.0, 0.0)),
    ];
    Case { name: "pings-of-other-sizes", frames, flows: 3, expected }
}

/// A ping with a code, which is answered and sent again, one without, and a question for an address mask.
fn odd_questions() -> Case {
    let (client, server) = (end(CLIENT, 0), end(SERVER, 0));
    let frames = vec![
        (0, echo([8, 9], client, server, 7, 120)),
        (400, echo([0, 9], server, client, 7, 120)),
        (50_000, echo([8, 9], client, server, 7, 120)),
        (60_000, echo([8, 9], client, server, 7, 120)),
        (100_000, echo([8, 0], client, server, 8, 56)),
        (200_000, echo([17, 0], client, server, 7, 4)),
    ];
    let of = |flow, packets, probes, answered| {
        expected(flow, Packets(packets), [(SrcOddProbes60s, probes), (Answered, answered), (IsIcmp, 1.0)])
    };
    let expected =
        vec![of(0, 1, 1.0, 0.0), of(0, 2, 1.0, 1.0), of(0, 4, 1.0, 1.0), of(1, 1, 0.0, 0.0), of(2, 1, 2.0, 0.0)];
    Case { name: "odd-questions", frames, flows: 3, expected }
}

/// The error belongs to the flow that it complains of, and is none itself.
fn port_is_unreachable() -> Case {
    let (client, server, payload) = (end(CLIENT, 40_000), end(SERVER, 33_000), b"probe...");
    let frames = vec![(0, udp(client, server, payload, None)), (500_000, port_unreachable(server, client, payload))];
    let first = [(Refused, 0.0), (SrcUnanswered2s, 0.0), (SrcRefused2s, 0.0)];
    let values = [
        (FwdPackets, 1.0),
        (BwdPackets, 0.0),
        (FwdPayloadBytes, 8.0),
        (PacketLenMax, 36.0), // 8 + 28
        (DurationS, 0.0),
        (Answered, 0.0), // the host said something, the port did not
        (Refused, 1.0),
        (IsUdp, 1.0),
        (SrcFlows2s, 1.0),
        (SrcUnanswered2s, 1.0), // it will not be answered any more
        (SrcRefused2s, 1.0),
        (SrcRefused60s, 1.0),
    ];
    let expected = vec![expected(0, Packets(1), first), expected(0, AtEnd(FlowEnd::Shutdown, 1), values)];
    Case { name: "port-unreachable", frames, flows: 1, expected }
}

/// A datagram of 8 + 304 bytes in fragments of 136, 136 and 40: the first has the ports, the others have a flow without.
fn fragments() -> Case {
    let fragments = udp_fragments(end(CLIENT, 40_000), end(SERVER, 9_000), &[b'f'; 304], 136);
    let frames = fragments.into_iter().enumerate().map(|(number, frame)| (number as u64 * 1_000, frame)).collect();
    let first = [
        (FwdPackets, 1.0),
        (FwdPayloadBytes, 128.0), // 136 - 8
        (PacketLenMax, 156.0),
        (IsUdp, 1.0),
        (SrcFlows2s, 1.0),
        (SrcPorts2s, 1.0),
    ];
    let others = [
        (FwdPackets, 2.0),
        (FwdPayloadBytes, 176.0),  // 136 + 40, without a header
        (FwdPacketLenMean, 108.0), // 156 and 60
        (FwdPacketLenStd, 48.0),
        (DurationS, 0.001),
        (PacketsPerS, 2_000.0),
        (BytesPerS, 216_000.0),
        (Answered, 0.0),
        (IsUdp, 1.0),
        (SrcFlows2s, 2.0),
        (SrcPorts2s, 1.0), // no port was read of the others
        (SrcHosts2s, 1.0),
        (SrcUnanswered2s, 0.0), // since 1 ms
    ];
    let expected = vec![expected(0, Packets(1), first), expected(1, Packets(2), others)];
    Case { name: "fragments", frames, flows: 2, expected }
}

/// The tag is the link's: lengths are those of the IP packets. The same ports outside of the VLAN are another flow.
fn inside_a_vlan() -> Case {
    let (client, server) = (end(CLIENT, 40_000), end(SERVER, 5_683));
    let frames = vec![
        (0, udp(client, server, &[b'q'; 40], Some(7))),
        (2_000, udp(server, client, &[b'a'; 200], Some(7))),
        (4_000, udp(client, server, &[b'q'; 4], None)),
    ];
    let inside = [
        (FwdPacketLenMean, 68.0),
        (BwdPacketLenMean, 228.0),
        (PacketLenMax, 228.0),
        (PacketLenStd, 80.0),   // half of 160
        (BytesPerS, 148_000.0), // 296 in 2 ms
        (SrcFlows2s, 1.0),
    ];
    let outside = [
        (FwdPayloadBytes, 4.0), // the padding of the frame is none
        (PacketLenMax, 32.0),
        (SrcFlows2s, 2.0),
        (SrcUnanswered2s, 0.0), // one is answered, the other one just sent
        (DstServiceFlows2s, 2.0),
    ];
    let expected = vec![expected(0, Packets(2), inside), expected(1, Packets(1), outside)];
    Case { name: "vlan", frames, flows: 2, expected }
}

/// After 61 s of silence, the same endpoints have a new flow.
fn to_a_group() -> Case {
    let question = || udp(end(CLIENT, 5_353), end("224.0.0.251", 5_353), &dns_question(), None);
    let frames = vec![(0, question()), (61_000_000, question())];
    let first = [
        (FwdPackets, 1.0),
        (FwdPayloadBytes, 29.0),
        (PacketLenMax, 57.0),
        (DurationS, 0.0), // silence does not count
        (GroupDestination, 1.0),
        (SrcFlows2s, 1.0), // what was around its last packet
        (SrcUnanswered2s, 1.0),
    ];
    // Second 61 is in the third slot of 30 s.
    let second =
        [(FwdPackets, 1.0), (GroupDestination, 1.0), (SrcFlows60s, 1.0), (SrcHosts60s, 0.0), (SrcPorts60s, 0.0)];
    let expected = vec![expected(0, AtEnd(FlowEnd::Idle, 1), first), expected(1, AtEnd(FlowEnd::Shutdown, 1), second)];
    Case { name: "multicast", frames, flows: 2, expected }
}
