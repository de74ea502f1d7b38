//! What flows and features say of small conversations, computed by hand.
#![allow(clippy::expect_used, clippy::panic, reason = "a test may stop at the first surprise")]

mod common;

use std::net::{IpAddr, Ipv4Addr};

use common::{Bench, CLIENT, SERVER, client, packet, sctp, tcp, udp, web};
use traffic::decode::{About, IcmpError, IcmpKind, Packet, Transport};
use traffic::extractor::{Extractor, Outcome};
use traffic::features::Index;
use traffic::flow::FlowEnd;
use traffic::limits::Limits;

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
        let at_ms = u64::from(port) * 10;
        bench.packet(at_ms, &tcp(client(), (SERVER, port), "S", 0));
        if port.is_multiple_of(2) {
            bench.packet(at_ms, &tcp((SERVER, port), client(), "RA", 0));
        }
    }
    let last = bench.last();
    assert_eq!((last.value(Index::SrcFlows2s), last.value(Index::SrcHosts2s)), (100.0, 1.0));
    assert!((last.value(Index::SrcPorts2s) - 100.0).abs() < 15.0, "{}", last.value(Index::SrcPorts2s));
    // The odd ports from 51 on may still answer.
    assert_eq!(last.value(Index::SrcUnanswered2s), 25.0 / 75.0);
    assert_eq!(last.value(Index::SrcRefused2s), 0.5);
    assert_eq!(last.value(Index::SrcUnfinished2s), 1.0);
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

/// The daemon lets time pass in steps of its own between packets, a replay does not.
#[test]
fn how_often_time_passes_changes_no_feature() {
    let run = |tick_ms: usize| {
        let mut bench = Bench::new(Limits { flows: 300, ..Limits::default() });
        // 200 flows in a second, silence for as long as makes them end, and 200 more.
        for n in 0..400_u16 {
            let at_ms = u64::from(n) * 5 + if n < 200 { 0 } else { 61_000 };
            bench.packet(at_ms, &udp((CLIENT, 1_000 + n), (SERVER, 1 + n % 9), 30));
            if n == 199 {
                for at_ms in (1_000..62_000).step_by(tick_ms) {
                    bench.pass(at_ms);
                }
            }
        }
        let mut seen: Vec<_> = bench.seen.iter().map(|s| (s.flow, s.end, s.features.map(f32::to_bits))).collect();
        seen.sort_by_key(|(flow, end, _)| (*flow, end.is_some()));
        seen
    };
    let never = run(1_000_000);
    assert!(never.len() >= 600, "{} observations", never.len());
    assert_eq!(run(100), never);
    assert_eq!(run(7_000), never);
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

/// An ICMP error that complains of the client's packet to that destination.
fn complaint(unreachable: bool, protocol: u8, ports: (u16, u16)) -> traffic::decode::Packet {
    let about = Some(About { destination: IpAddr::V4(Ipv4Addr::from(SERVER)), protocol, ports });
    let error = IcmpError { unreachable, about };
    packet([203, 0, 113, 1], CLIENT, 1, Transport::Icmp(IcmpKind::Error(error)), 56, 36)
}

#[test]
fn an_icmp_error_refuses_the_flow_that_it_names() {
    let mut bench = Bench::new(Limits::default());
    for port in 1..=10 {
        bench.packet(0, &udp(client(), (SERVER, port), 8));
        let outcome = bench.packet(1, &complaint(true, 17, (40_000, port)));
        assert_eq!((outcome.flow, outcome.created), (u64::from(port) - 1, false), "no flow of its own");
    }
    bench.packet(2, &udp(client(), (SERVER, 11), 8));
    assert_eq!(bench.last().value(Index::SrcRefused2s), 10.0 / 11.0);
    bench.packet(3, &udp(client(), (SERVER, 1), 8));
    assert_eq!((bench.last().flow, bench.last().value(Index::Refused)), (0, 1.0), "seen at the flow's next checkpoint");
}

#[test]
fn an_icmp_error_that_tells_nothing_new_is_a_flow_of_its_own() {
    let server = (SERVER, 53);
    let is_own = |packets: &[traffic::decode::Packet], error: &traffic::decode::Packet| {
        let mut bench = Bench::new(Limits::default());
        for packet in packets {
            bench.packet(0, packet);
        }
        bench.packet(1, error).created
    };
    let (query, answer) = (udp(client(), server, 30), udp(server, client(), 90));
    let error = complaint(true, 17, (40_000, 53));
    assert!(!is_own(&[query], &error));
    assert!(is_own(&[query, error], &error), "the second time");
    assert!(is_own(&[query, answer], &error), "the responder was reached after all");
    assert!(is_own(&[query], &complaint(false, 17, (40_000, 53))), "time exceeded, as for traceroute");
    assert!(is_own(&[query], &complaint(true, 17, (40_000, 54))), "no such flow");
    assert!(is_own(&[answer], &error), "a flow that the receiver of the error did not begin");
}

#[test]
fn sctp_is_a_flow_for_each_port_and_an_abort_refuses_it() {
    let mut bench = Bench::new(Limits::default());
    for port in 1..=10 {
        assert!(bench.packet(0, &sctp(client(), (SERVER, port), false)).created);
        let answer = sctp((SERVER, port), client(), port % 2 == 0);
        assert!(!bench.packet(1, &answer).created);
    }
    bench.packet(2, &sctp(client(), (SERVER, 11), false));
    bench.packet(3, &complaint(true, 132, (40_000, 11)));
    bench.packet(4, &sctp(client(), (SERVER, 12), false));
    assert_eq!(bench.last().value(Index::SrcPorts2s).round(), 12.0);
    assert_eq!(bench.last().value(Index::SrcRefused2s), 0.5, "five by their hosts, and one by a router, of twelve");
    bench.packet(5, &sctp((SERVER, 1), client(), true));
    bench.packet(6, &sctp(client(), (SERVER, 13), false));
    assert_eq!(bench.last().value(Index::SrcRefused2s), 6.0 / 13.0, "an association that stood is no refused one");
}

#[test]
fn an_abort_of_what_was_never_asked_for_is_nobodys_doing() {
    let mut bench = Bench::new(Limits::default());
    for port in 1..=10 {
        bench.packet(0, &sctp((SERVER, 7), (CLIENT, port), false));
        bench.packet(1, &sctp((CLIENT, port), (SERVER, 7), true));
    }
    bench.packet(2, &udp(client(), (SERVER, 53), 30));
    assert_eq!(bench.last().value(Index::SrcFlows2s), 1.0);
}

#[test]
fn fragments_do_not_share_a_flow_with_port_zero() {
    let mut bench = Bench::new(Limits::default());
    assert!(bench.packet(0, &udp((CLIENT, 0), (SERVER, 0), 8)).created);
    assert!(bench.packet(0, &packet(CLIENT, SERVER, 17, Transport::Fragment, 1_500, 1_480)).created);
}

/// The flows of which it was told without a packet while they ran.
fn unheard(bench: &Bench) -> Vec<u64> {
    let by_silence = bench.seen.iter().filter(|seen| seen.sender.is_none() && seen.end.is_none());
    by_silence.map(|seen| seen.flow).collect()
}

#[test]
fn who_is_not_heard_for_a_second_is_told_of_once() {
    let mut bench = Bench::new(Limits::default());
    let port_of = |port| (SERVER, port);
    bench.packet(0, &tcp(client(), port_of(1), "S", 0));
    bench.packet(0, &tcp(client(), port_of(2), "S", 0));
    bench.packet(1, &tcp(port_of(2), client(), "SA", 0));
    bench.packet(0, &tcp(client(), port_of(3), "S", 0));
    bench.packet(1, &tcp(port_of(3), client(), "RA", 0));
    bench.packet(500, &udp(client(), port_of(4), 9));
    bench.packet(500, &udp(client(), port_of(53), 9));
    bench.packet(501, &complaint(true, 17, (40_000, 53)));
    bench.packet(501, &complaint(true, 17, (40_000, 99)));
    bench.packet(500, &Packet { to_group: true, ..udp(client(), ([224, 0, 0, 251], 5_353), 9) });
    bench.pass(999);
    assert_eq!(unheard(&bench), [0; 0]);
    bench.pass(1_000);
    assert_eq!(unheard(&bench), [0]);
    assert_eq!((bench.last().value(Index::SrcFlows2s), bench.last().value(Index::Answered)), (6.0, 0.0));
    bench.packet(1_000, &tcp(client(), port_of(1), "S", 0));
    bench.pass(1_600);
    bench.pass(9_000);
    assert_eq!(unheard(&bench), [0, 3]);
    bench.packet(9_500, &tcp(client(), port_of(5), "S", 0));
    bench.finish();
    assert_eq!(unheard(&bench), [0, 3, 7], "the capture is over");
    let last_told = bench.seen.iter().rfind(|seen| seen.end.is_none()).expect("the last flow");
    assert_eq!(last_told.value(Index::SrcUnanswered60s), 5.0 / 7.0, "all but the second and the third");
}

#[test]
fn flows_whose_packets_come_late_are_not_awaited_for_longer() {
    // The clock has gone on to the next half second before these are read.
    for (sent_ms, clock_ms) in [(990, 1_005), (1_490, 1_510), (1_100, 1_100)] {
        let mut bench = Bench::new(Limits::default());
        bench.pass(clock_ms);
        for port in 1..=60 {
            bench.packet(sent_ms, &tcp(client(), (SERVER, port), "S", 0));
        }
        assert_eq!(bench.last().value(Index::SrcUnanswered60s), 0.0, "not yet");
        bench.pass(sent_ms + 1_030);
        assert_eq!((bench.last().sender, bench.last().value(Index::SrcUnanswered60s)), (None, 1.0), "{sent_ms}");
    }
}

#[test]
fn a_flow_is_awaited_until_it_is_heard_of_and_that_counts_once() {
    let mut bench = Bench::new(Limits::default());
    bench.packet(0, &udp(client(), (SERVER, 1), 8));
    bench.packet(1_500, &tcp(web(), client(), "SA", 0));
    bench.packet(1_500, &tcp(client(), web(), "A", 0));
    bench.packet(1_501, &udp(client(), (SERVER, 2), 8));
    assert_eq!(bench.last().value(Index::SrcUnanswered60s), 0.5, "of two, as the third was sent just now");
    let mut bench = Bench::new(Limits::default());
    bench.packet(0, &udp(client(), (SERVER, 1), 8));
    bench.packet(0, &udp(client(), (SERVER, 2), 8));
    bench.packet(1, &complaint(true, 17, (40_000, 1)));
    bench.packet(2, &udp((SERVER, 1), client(), 8));
    bench.packet(3, &udp(client(), (SERVER, 3), 8));
    assert_eq!(bench.last().value(Index::SrcUnanswered60s), 0.0, "the others were sent just now");
}

#[test]
fn nobody_is_told_of_in_place_of_a_flow_that_had_to_go() {
    let mut bench = Bench::new(Limits { flows: 2, ..Limits::default() });
    for port in 1..=3 {
        bench.packet(u64::from(port), &tcp(client(), (SERVER, port), "S", 0));
    }
    bench.packet(4, &tcp((SERVER, 3), client(), "SA", 0));
    bench.pass(2_000);
    assert_eq!(unheard(&bench), [1], "the first had to go, and its place is the third's, which was answered");
}

#[test]
fn who_waits_when_the_clock_is_set_back_waits_no_more() {
    let mut bench = Bench::new(Limits::default());
    bench.packet(3_600_000, &tcp(client(), (SERVER, 1), "S", 0));
    bench.packet(0, &tcp(client(), (SERVER, 2), "S", 0));
    assert_eq!(unheard(&bench), [0]);
    bench.pass(1_000);
    assert_eq!(unheard(&bench), [0, 1]);
}
