//! ICMP and ICMPv6: what errors say of the packet that they are about.
#![allow(clippy::expect_used, clippy::panic, reason = "a test may stop at the first surprise")]

mod frames;

use std::net::{IpAddr, Ipv4Addr};

use frames::{
    DESTINATION, DESTINATION_6, SOURCE, SOURCE_6, decoded, frame, ip_frame, ipv4, ipv4_between, ipv6, ipv6_between,
    packet, packet_of, tcp, udp,
};
use traffic::decode::{About, DecodeError, Frame, IcmpError, IcmpKind, Transport};
use traffic::protocols::{GRE, ICMP, ICMPV6, TCP, UDP};

const ROUTER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
const ROUTER_6: &str = "2001:db8:1::1";

/// An error that a router sends to [`SOURCE`], about these bytes.
fn error(kind: u8, code: u8, about: &[u8]) -> Vec<u8> {
    ip_frame(&ipv4_between(ROUTER, SOURCE, ICMP, &[&[kind, code, 0, 0, 0, 0, 0, 0][..], about].concat()))
}

fn error6(kind: u8, about: &[u8]) -> Vec<u8> {
    ip_frame(&ipv6_between(ROUTER_6, SOURCE_6, ICMPV6, &[&[kind, 0, 0, 0, 0, 0, 0, 0][..], about].concat()))
}

fn complaint(transport: Transport) -> IcmpError {
    match transport {
        Transport::Icmp(IcmpKind::Error(error)) => error,
        other => panic!("{other:?}"),
    }
}

fn about(bytes: &[u8]) -> Option<About> {
    complaint(packet(bytes).transport).about
}

#[test]
fn an_error_names_the_flow_that_it_is_about() {
    let destination = IpAddr::V4(DESTINATION);
    for (protocol, payload, ports) in [(UDP, udp(100), (40_000, 53)), (TCP, tcp(100), (40_000, 443))] {
        let ip = ipv4(protocol, &payload);
        let expected = Some(About { destination, protocol, ports });
        assert_eq!(about(&error(3, 3, &ip)), expected);
        assert_eq!(about(&error(3, 3, &ip[..28])), expected, "8 bytes behind the IP header are enough (RFC 792)");
        assert_eq!(about(&error(3, 3, &ip[..24])), expected, "the ports are enough");
        assert_eq!(about(&error(3, 3, &ip[..23])), None);
        assert_eq!(about(&error(3, 3, &ip[..10])), None);
    }
    let ping = ipv4(ICMP, &[8, 0, 0, 0, 0x12, 0x34, 0, 1]);
    assert_eq!(about(&error(11, 0, &ping)).expect("an echo").ports, (0x1234, 0x1234));
    let tunnel = about(&error(3, 2, &ipv4(GRE, &[0; 8]))).expect("GRE");
    assert_eq!((tunnel.protocol, tunnel.ports), (GRE, (0, 0)));
}

#[test]
fn an_icmpv6_error_names_the_flow_behind_extension_headers() {
    let destination = DESTINATION_6.parse().expect("address");
    let expected = Some(About { destination, protocol: UDP, ports: (40_000, 53) });
    assert_eq!(about(&error6(1, &ipv6(UDP, &udp(100)))), expected);
    let options = [&[UDP, 0, 1, 4, 0, 0, 0, 0][..], &udp(100)].concat();
    assert_eq!(about(&error6(3, &ipv6(60, &options))), expected);
    assert_eq!(about(&error6(3, &ipv6(60, &options)[..45])), None);
    let ping = ipv6(ICMPV6, &[128, 0, 0, 0, 0x12, 0x34, 0, 1]);
    assert_eq!(about(&error6(1, &ping)).expect("an echo").ports, (0x1234, 0x1234));
}

#[test]
fn an_error_about_somebody_elses_packet_names_no_flow() {
    let foreign = ipv4_between(DESTINATION, SOURCE, UDP, &udp(0));
    assert_eq!(about(&error(3, 3, &foreign)), None, "the packet was sent by another than the error's receiver");
    assert_eq!(about(&error6(1, &ipv6_between(DESTINATION_6, SOURCE_6, UDP, &udp(0)))), None);
    let mut later = ipv4(UDP, &udp(0));
    later[7] = 100;
    assert_eq!(about(&error(3, 3, &later)), None, "a later fragment has no ports");
    assert_eq!(about(&error(3, 3, &[0; 28])), None);
    assert_eq!(about(&error(3, 3, &[0x41; 28])), None, "an IP header of 4 bytes");
}

#[test]
fn what_is_behind_the_message_is_not_read_as_part_of_it() {
    let mut bytes = error(3, 3, &ipv4(UDP, &udp(0))[..20]);
    bytes.extend(udp(0));
    assert_eq!(about(&bytes), None, "the padding of the frame is no part of the packet");
}

#[test]
fn an_error_cut_to_128_bytes_says_the_same() {
    for bytes in [error(3, 3, &ipv4(UDP, &udp(500))), error6(1, &ipv6(UDP, &udp(500)))] {
        assert_eq!(packet_of(&Frame { bytes: &bytes[..128], ..frame(&bytes) }), packet(&bytes));
    }
}

#[test]
fn unreachable_is_what_did_not_arrive() {
    let ip = ipv4(UDP, &udp(0));
    let v4 = |kind, code| complaint(packet(&error(kind, code, &ip)).transport).unreachable;
    assert!(v4(3, 0) && v4(3, 3) && v4(3, 13));
    assert!(!v4(3, 4), "fragmentation needed");
    assert!(!v4(4, 0) && !v4(5, 0) && !v4(11, 0) && !v4(12, 0));
    let v6 = |kind| complaint(packet(&error6(kind, &ipv6(UDP, &udp(0)))).transport).unreachable;
    assert!(v6(1) && !v6(2) && !v6(3) && !v6(4));
}

#[test]
fn pings_have_an_identifier_and_the_rest_has_none() {
    let kind = |kind: u8| packet(&ip_frame(&ipv4(ICMP, &[kind, 0, 0, 0, 0, 7, 0, 1]))).transport;
    assert_eq!(kind(8), Transport::Icmp(IcmpKind::EchoRequest(7)));
    assert_eq!(kind(0), Transport::Icmp(IcmpKind::EchoReply(7)));
    assert_eq!(kind(13), Transport::Icmp(IcmpKind::Other));
    let kind6 = |kind: u8| packet(&ip_frame(&ipv6(ICMPV6, &[kind, 0, 0, 0, 0, 7, 0, 1]))).transport;
    assert_eq!(kind6(128), Transport::Icmp(IcmpKind::EchoRequest(7)));
    assert_eq!(kind6(129), Transport::Icmp(IcmpKind::EchoReply(7)));
    assert_eq!(kind6(135), Transport::Icmp(IcmpKind::Other));
    assert_eq!(decoded(&ip_frame(&ipv4(ICMP, &[8, 0, 0, 0, 0, 7]))), Err(DecodeError::TransportLength));
}

#[test]
fn questions_that_no_program_in_use_asks_are_odd() {
    let packet_of = |kind: u8, code: u8| packet(&ip_frame(&ipv4(ICMP, &[kind, code, 0, 0, 0, 7, 0, 1])));
    for (kind, code, identifier) in [(8, 123, 7), (15, 0, 0), (17, 0, 0)] {
        let odd = packet_of(kind, code);
        assert_eq!((odd.transport, odd.is_odd()), (Transport::Icmp(IcmpKind::Odd(identifier)), true), "{kind}");
    }
    // The time is still asked for: some measure by it which way a line is slow.
    for (kind, code) in [(8, 0), (0, 123), (13, 0), (13, 9), (18, 0)] {
        assert!(!packet_of(kind, code).is_odd(), "{kind}, {code}");
    }
    let odd = packet(&ip_frame(&ipv6(ICMPV6, &[128, 9, 0, 0, 0, 7, 0, 1])));
    assert_eq!((odd.transport, odd.is_odd()), (Transport::Icmp(IcmpKind::Odd(7)), true));
    assert!(!packet(&ip_frame(&ipv6(ICMPV6, &[139, 0, 0, 0, 0, 7, 0, 1]))).is_odd());
}
