//! Decoding of whole and cut frames on every link and in every encapsulation.
#![allow(clippy::expect_used, clippy::panic, reason = "a test may stop at the first surprise")]

mod frames;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use frames::{
    DESTINATION_6, SOURCE, decoded, ethernet, frame, ip_frame, ipv4, ipv4_fragment, ipv6, ipv6_fragment, packet,
    packet_of, tcp, tcp_with_options, udp,
};
use pnet_packet::ethernet::{EtherType, EtherTypes};
use pnet_packet::tcp::TcpFlags;
use traffic::decode::{
    Arp, ArpOperation, DecodeError, Decoded, Frame, LinkType, SynOptions, Tcp, Transport, datagram, decode,
};
use traffic::protocols::{GRE, IPV6_TUNNEL, SCTP, TCP, UDP};

/// The PPPoE header of a session, and the PPP protocol IPv4, before so many bytes.
fn pppoe(len: usize) -> Vec<u8> {
    let [high, low] = u16::try_from(len + 2).expect("short").to_be_bytes();
    vec![0x11, 0x00, 0x00, 0x01, high, low, 0x00, 0x21]
}

fn tcp_of(bytes: &[u8]) -> Tcp {
    match packet(bytes).transport {
        Transport::Tcp(tcp) => tcp,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_frame_cut_to_128_bytes_decodes_to_the_same_packet() {
    let syn = tcp_with_options(TcpFlags::SYN, &[2, 4, 5, 0xb4, 4, 2, 1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 3, 3], 1000);
    for transport in [tcp(1000), udp(1000), syn] {
        let protocol = if transport[2..4] == [0, 53] { UDP } else { TCP };
        for ip in [ipv4(protocol, &transport), ipv6(protocol, &transport)] {
            let bytes = ip_frame(&ip);
            let whole = packet(&bytes);
            assert_eq!(whole.payload_len_bytes, 1000);
            assert_eq!(packet_of(&Frame { bytes: &bytes[..128], ..frame(&bytes) }), whole);
        }
    }
}

#[test]
fn two_tags_pppoe_and_all_ipv4_options_are_within_128_bytes() {
    let mut ip = ipv4(TCP, &[vec![1; 40], tcp(1000)].concat());
    ip[0] = 0x4f;
    let session = [&[0, 9, 0x81, 0, 0, 7, 0x88, 0x64][..], &pppoe(ip.len()), &ip].concat();
    let bytes = ethernet(EtherType(0x88a8), &session);
    let whole = packet(&bytes);
    assert_eq!((whole.vlan, whole.ports(), whole.payload_len_bytes), (Some(9), Some((40_000, 443)), 1000));
    assert_eq!(packet_of(&Frame { bytes: &bytes[..128], ..frame(&bytes) }), whole);
}

#[test]
fn padding_of_short_frames_is_no_payload() {
    for ip in [ipv4(TCP, &tcp(0)), ipv6(59, &[])] {
        let len = ip.len();
        let mut bytes = ip_frame(&ip);
        bytes.resize(80, 0xaa);
        assert_eq!((packet(&bytes).ip_len_bytes as usize, packet(&bytes).payload_len_bytes), (len, 0));
    }
}

#[test]
fn tags_are_taken_off_and_the_outer_one_names_the_vlan() {
    let ip = ipv4(TCP, &tcp(0));
    let inner = [&[0x00, 0x07, 0x08, 0x00][..], &ip].concat();
    let tagged = ethernet(EtherType(0x8100), &inner);
    assert_eq!((packet(&tagged).vlan, packet(&tagged).source), (Some(7), IpAddr::V4(SOURCE)));

    for outer in [0x88a8, 0x8100, 0x9100] {
        let double = ethernet(EtherType(outer), &[&[0x00, 0x09, 0x81, 0x00][..], &inner].concat());
        assert_eq!((packet(&double).vlan, packet(&double).ports()), (Some(9), Some((40_000, 443))), "{outer:x}");
    }
    let priority = ethernet(EtherType(0x8100), &[&[0x60, 0x00, 0x08, 0x00][..], &ip].concat());
    assert_eq!(packet(&priority).vlan, None, "a priority tag names no VLAN");

    let stripped = Frame { vlan_tag: Some(0x2003), ..frame(&tagged) };
    assert_eq!(packet_of(&stripped).vlan, Some(3), "the kernel takes the outer tag; priority bits are not part of it");
}

#[test]
fn a_pppoe_session_is_bounded_by_its_length() {
    let ip = ipv4(TCP, &tcp(5));
    let mut bytes = ethernet(EtherType(0x8864), &[&pppoe(ip.len())[..], &ip].concat());
    assert_eq!(packet(&bytes).payload_len_bytes, 5);
    bytes.resize(bytes.len() + 20, 0);
    assert_eq!(packet(&bytes).payload_len_bytes, 5, "padding");
    // The protocol field may be one byte long (RFC 1661 section 6.5).
    let compressed = [&[0x11, 0, 0, 1, 0, (ip.len() + 1) as u8, 0x21][..], &ip].concat();
    assert_eq!(packet(&ethernet(EtherType(0x8864), &compressed)).ports(), Some((40_000, 443)));
    // Link control is no IP (0xc021), nor is discovery (EtherType 0x8863).
    let control = [0x11, 0, 0, 1, 0, 6, 0xc0, 0x21, 9, 1, 0, 4];
    for other in [ethernet(EtherType(0x8864), &control), ethernet(EtherType(0x8863), &[0x11, 9, 0, 0, 0, 0])] {
        assert_eq!(decoded(&other), Ok(Decoded::NotIp));
    }
}

#[test]
fn arp_says_who_claims_what() {
    let mut message = vec![0, 1, 8, 0, 6, 4, 0, 2];
    message.extend([2, 0, 0, 0, 0, 1, 198, 51, 100, 10, 2, 0, 0, 0, 0, 2, 198, 51, 100, 1]);
    let expected = Arp {
        operation: ArpOperation::Reply,
        sender: SOURCE,
        sender_mac: [2, 0, 0, 0, 0, 1],
        target: Ipv4Addr::new(198, 51, 100, 1),
        vlan: None,
    };
    assert_eq!(decoded(&ethernet(EtherTypes::Arp, &message)), Ok(Decoded::Arp(expected)));
    let tagged = ethernet(EtherType(0x8100), &[&[0, 5, 8, 6][..], &message].concat());
    assert_eq!(decoded(&tagged), Ok(Decoded::Arp(Arp { vlan: Some(5), ..expected })));

    for (code, operation) in [(1, ArpOperation::Request), (3, ArpOperation::Other)] {
        message[7] = code;
        let found = decoded(&ethernet(EtherTypes::Arp, &message));
        assert_eq!(found, Ok(Decoded::Arp(Arp { operation, ..expected })));
    }
    // Of another kind of hardware.
    message[1] = 6;
    assert_eq!(decoded(&ethernet(EtherTypes::Arp, &message)), Ok(Decoded::NotIp));
}

#[test]
fn fragments_beyond_the_first_have_no_ports() {
    for later in [ipv4_fragment(TCP, 100, false, &tcp(100)), ipv6_fragment(TCP, 100, false, &tcp(100))] {
        let packet = packet(&ip_frame(&later));
        assert_eq!((packet.transport, packet.payload_len_bytes), (Transport::Fragment, 120));
        assert_eq!(packet.protocol, TCP);
    }
    // The UDP length is that of the whole packet, of which the first fragment holds the beginning.
    let mut first = udp(72);
    first[4..6].copy_from_slice(&2000_u16.to_be_bytes());
    for first in [ipv4_fragment(UDP, 0, true, &first), ipv6_fragment(UDP, 0, true, &first)] {
        let packet = packet(&ip_frame(&first));
        assert_eq!((packet.ports(), packet.payload_len_bytes), (Some((40_000, 53)), 72));
    }
}

#[test]
fn every_kind_of_extension_header_is_followed() {
    // Hop by hop, destination, routing, mobility, host identity, Shim6: lengths in units of 8 bytes without the first.
    for kind in [0, 60, 43, 135, 139, 140] {
        let headers = [&[TCP, 1][..], &[0; 14], &tcp(5)].concat();
        let packet = packet(&ip_frame(&ipv6(kind, &headers)));
        assert_eq!(
            (packet.protocol, packet.ports(), packet.payload_len_bytes),
            (TCP, Some((40_000, 443)), 5),
            "{kind}"
        );
    }
    // Authentication: in units of 4 bytes without the first two.
    let authenticated = [&[TCP, 4][..], &[0; 22], &tcp(5)].concat();
    assert_eq!(packet(&ip_frame(&ipv6(51, &authenticated))).ports(), Some((40_000, 443)));
    // A fragment that is the only one of its packet (RFC 6946).
    assert_eq!(packet(&ip_frame(&ipv6_fragment(TCP, 0, false, &tcp(5)))).payload_len_bytes, 5);
}

#[test]
fn tunnels_are_a_protocol_of_their_own() {
    let inside = ipv6(TCP, &tcp(0));
    for protocol in [IPV6_TUNNEL, GRE, 50, 4, 136] {
        for ip in [ipv4(protocol, &inside), ipv6(protocol, &inside)] {
            let packet = packet(&ip_frame(&ip));
            assert_eq!((packet.protocol, packet.transport, packet.payload_len_bytes), (protocol, Transport::Other, 60));
        }
    }
}

#[test]
fn sctp_has_ports_and_says_whether_it_aborts() {
    /// INIT and ABORT (RFC 9260 section 3.2).
    const CHUNKS: [(u8, bool); 2] = [(1, false), (6, true)];
    let header = [0x9c, 0x40, 0x0b, 0x59, 0, 0, 0, 0, 1, 2, 3, 4];
    let sctp = |destination_port, aborts| Transport::Sctp { source_port: 40_000, destination_port, aborts };
    for (chunk, aborts) in CHUNKS {
        let segment = [&header[..], &[chunk, 0, 0, 4]].concat();
        for ip in [ipv4(SCTP, &segment), ipv6(SCTP, &segment), ipv4_fragment(SCTP, 0, true, &segment)] {
            let packet = packet(&ip_frame(&ip));
            assert_eq!((packet.transport, packet.payload_len_bytes), (sctp(2_905, aborts), 4));
            assert_eq!(packet.ports(), Some((40_000, 2_905)));
        }
        let bytes = ip_frame(&ipv4(SCTP, &segment));
        let cut = packet_of(&Frame { bytes: &bytes[..bytes.len() - 4], ..frame(&bytes) });
        assert_eq!((cut.transport, cut.payload_len_bytes), (sctp(2_905, false), 4), "the chunk was not captured");
    }
    let mut padded = ip_frame(&ipv4(SCTP, &header));
    padded.push(6);
    assert_eq!(packet(&padded).transport, sctp(2_905, false), "padding is no chunk");
    assert_eq!(decoded(&ip_frame(&ipv4(SCTP, &header[..11]))), Err(DecodeError::TransportLength));
    assert_eq!(decoded(&ip_frame(&ipv4_fragment(SCTP, 0, true, &header[..8]))), Err(DecodeError::FragmentTiny));
}

#[test]
fn the_options_of_a_syn_are_counted_and_read() {
    let options = |bytes: &[u8]| tcp_of(&ip_frame(&ipv4(TCP, &tcp_with_options(TcpFlags::SYN, bytes, 0)))).options;
    let linux = [2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7];
    assert_eq!(options(&linux), Some(SynOptions { count: 4, window_scale: Some(7) }));
    assert_eq!(options(&[]), Some(SynOptions { count: 0, window_scale: None }));
    assert_eq!(options(&[0, 9, 9, 9]).map(|options| options.count), Some(0), "nothing counts behind the end");
    for malformed in [[2, 0, 0, 0], [2, 1, 0, 0], [2, 3, 0, 0], [8, 10, 0, 0], [1, 1, 1, 8], [3, 4, 0, 0]] {
        assert_eq!(options(&malformed), None, "{malformed:?}");
    }
    let established = tcp_of(&ip_frame(&ipv4(TCP, &tcp_with_options(TcpFlags::ACK, &linux, 0))));
    assert_eq!((established.options, established.window), (None, 64_240));
    let bytes = ip_frame(&ipv4(TCP, &tcp_with_options(TcpFlags::SYN, &linux, 0)));
    let cut = packet_of(&Frame { bytes: &bytes[..bytes.len() - 1], ..frame(&bytes) });
    assert!(matches!(cut.transport, Transport::Tcp(Tcp { options: None, .. })), "{cut:?}");
}

#[test]
fn segmentation_offload_leaves_the_length_to_the_frame() {
    let mut v4 = ip_frame(&ipv4(TCP, &tcp(3000)));
    v4[16..18].fill(0);
    let mut v6 = ip_frame(&ipv6(TCP, &tcp(3000)));
    v6[18..20].fill(0);
    assert_eq!((packet(&v4).payload_len_bytes, packet(&v6).payload_len_bytes), (3000, 3000));
}

#[test]
fn every_link_header_leads_to_the_packet() {
    let ip = ipv6(TCP, &tcp(0));
    let destination = IpAddr::V6(DESTINATION_6.parse::<Ipv6Addr>().expect("address"));
    let cooked = [&[0; 14][..], &[0x86, 0xdd]].concat();
    let cooked2 = [&[0x86, 0xdd][..], &[0; 18]].concat();
    for (link, head) in [
        (LinkType::Null, vec![30, 0, 0, 0]),
        (LinkType::Null, vec![0, 0, 0, 10]),
        (LinkType::LinuxCooked, cooked),
        (LinkType::LinuxCooked2, cooked2),
        (LinkType::RawIp, Vec::new()),
        (LinkType::Ppp, vec![0x00, 0x57]),
        (LinkType::Ppp, vec![0x57]),
        (LinkType::Ppp, vec![0xff, 0x03, 0x00, 0x57]),
        (LinkType::Ppp, vec![0x0f, 0x00, 0x86, 0xdd]),
        (LinkType::PppWithDirection, vec![0x01, 0xff, 0x03, 0x00, 0x57]),
        (LinkType::Pppoe, vec![0x11, 0, 0, 1, 0, (ip.len() + 2) as u8, 0x00, 0x57]),
    ] {
        let bytes = [&head[..], &ip].concat();
        assert_eq!(packet_of(&Frame { link, ..frame(&bytes) }).destination, destination, "{link:?} {head:?}");
    }
    let discovery = [0x11, 0x09, 0, 0, 0, 0];
    assert_eq!(decode(&Frame { link: LinkType::Pppoe, ..frame(&discovery) }), Ok(Decoded::NotIp));
}

#[test]
fn a_tag_inside_a_cooked_capture_is_taken_off() {
    let ip = ipv4(TCP, &tcp(0));
    let tagged = [&[0x00, 0x07, 0x08, 0x00][..], &ip].concat();
    let cooked = [&[0; 14][..], &[0x81, 0x00], &tagged].concat();
    let cooked2 = [&[0x81, 0x00][..], &[0; 18], &tagged].concat();
    for (link, bytes) in [(LinkType::LinuxCooked, cooked), (LinkType::LinuxCooked2, cooked2)] {
        let packet = packet_of(&Frame { link, ..frame(&bytes) });
        assert_eq!((packet.vlan, packet.ports()), (Some(7), Some((40_000, 443))), "{link:?}");
    }
}

#[test]
fn what_a_datagram_carries_is_found_behind_all_headers_and_without_padding() {
    let mut segment = udp(5);
    segment[8..].copy_from_slice(b"query");
    let mut options = ipv4(UDP, &[vec![1; 8], segment.clone()].concat());
    options[0] = 0x47;
    let hop_by_hop = ipv6(0, &[&[UDP, 0, 1, 4, 0, 0, 0, 0][..], &segment].concat());
    for ip in [ipv4(UDP, &segment), options, ipv6(UDP, &segment), hop_by_hop] {
        let mut bytes = ip_frame(&ip);
        let whole = bytes.len();
        bytes.resize(100, 0xaa);
        let (found, payload) = datagram(&frame(&bytes)).expect("a datagram");
        assert_eq!((payload, found), (&b"query"[..], packet(&bytes)));
        let cut = Frame { bytes: &bytes[..whole - 2], ..frame(&bytes) };
        assert_eq!(datagram(&cut).map(|(_, payload)| payload), Some(&b"que"[..]));
    }
    let session = ipv4(UDP, &segment);
    let tagged = [&[0, 7, 0x88, 0x64][..], &pppoe(session.len()), &session].concat();
    let bytes = ethernet(EtherTypes::Vlan, &tagged);
    assert_eq!(datagram(&frame(&bytes)).map(|(_, payload)| payload), Some(&b"query"[..]));
    for other in [ipv4(TCP, &tcp(5)), ipv4_fragment(UDP, 3, false, &segment)] {
        assert_eq!(datagram(&frame(&ip_frame(&other))), None);
    }
}
