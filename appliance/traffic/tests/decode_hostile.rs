//! Frames that are broken, cut or made to deceive: each is a named error, never a panic.
#![allow(clippy::expect_used, clippy::panic, reason = "a test may stop at the first surprise")]

mod frames;

use frames::{
    decoded, ethernet, frame, ip_frame, ipv4, ipv4_fragment, ipv6, ipv6_fragment, packet, packet_of, tcp, udp,
};
use pnet_packet::ethernet::{EtherType, EtherTypes};
use proptest::prelude::*;
use traffic::decode::{DecodeError, Decoded, Frame, LinkType, Tcp, TcpFlags, Transport, decode};
use traffic::protocols::{GRE, ICMP, TCP, UDP};

const LINKS: [LinkType; 8] = [
    LinkType::Ethernet,
    LinkType::RawIp,
    LinkType::LinuxCooked,
    LinkType::LinuxCooked2,
    LinkType::Null,
    LinkType::Ppp,
    LinkType::PppWithDirection,
    LinkType::Pppoe,
];

/// The frame with one byte changed.
fn with(bytes: &[u8], at: usize, value: u8) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at] = value;
    bytes
}

#[test]
fn lengths_that_contradict_each_other_are_refused() {
    let v4 = ip_frame(&ipv4(TCP, &tcp(20)));
    let v6 = ip_frame(&ipv6(TCP, &tcp(20)));
    let datagram = ip_frame(&ipv4(UDP, &udp(20)));
    for (bytes, expected) in [
        (with(&v4, 14, 0x65), DecodeError::IpVersion),
        (with(&v4, 14, 0x44), DecodeError::IpLength),
        (with(&v4, 16, 0xff), DecodeError::IpLength),
        (with(&v4, 17, 19), DecodeError::IpLength),
        (with(&v6, 18, 0xff), DecodeError::IpLength),
        (with(&v4, 14 + 20 + 12, 0x40), DecodeError::TransportLength),
        (with(&v4, 14 + 20 + 12, 0xf0), DecodeError::TransportLength),
        (with(&v4, 17, 30), DecodeError::TransportLength),
        (with(&datagram, 14 + 20 + 5, 7), DecodeError::TransportLength),
        (with(&datagram, 14 + 20 + 5, 0), DecodeError::TransportLength),
        (with(&datagram, 14 + 20 + 5, 29), DecodeError::TransportLength),
        (ip_frame(&ipv4(ICMP, &[3, 3, 0])), DecodeError::TransportLength),
    ] {
        assert_eq!(decoded(&bytes), Err(expected), "{bytes:x?}");
    }
}

#[test]
fn a_length_of_zero_is_no_excuse_outside_of_segmentation_offload() {
    let mut v4 = ip_frame(&ipv4(GRE, &[0; 20]));
    v4[16..18].fill(0);
    assert_eq!(decoded(&v4), Err(DecodeError::IpLength));
    let mut v6 = ip_frame(&ipv6(UDP, &udp(20)));
    v6[18..20].fill(0);
    assert_eq!(decoded(&v6), Err(DecodeError::TransportLength), "an IPv6 packet without payload has no UDP header");
}

#[test]
fn frames_and_headers_of_zeros_are_refused() {
    for len in [0, 1, 20, 60, 1500] {
        let zeros = vec![0; len];
        for link in LINKS {
            let found = decode(&Frame { link, ..frame(&zeros) });
            let allowed = link == LinkType::Ppp || link == LinkType::PppWithDirection;
            assert!(found.is_err() || (allowed && found == Ok(Decoded::NotIp)), "{link:?} {len}: {found:?}");
        }
    }
    assert_eq!(decoded(&[0; 60]), Err(DecodeError::LinkHeader));
    assert_eq!(decoded(&ip_frame(&[0x40; 1])[..14]), Err(DecodeError::IpLength));
    assert_eq!(decoded(&ethernet(EtherTypes::Ipv4, &[0; 46])), Err(DecodeError::IpVersion));
    assert_eq!(decoded(&ethernet(EtherTypes::Ipv6, &[0; 46])), Err(DecodeError::IpVersion));
    assert_eq!(decoded(&ethernet(EtherTypes::Arp, &[0; 46])), Ok(Decoded::NotIp), "ARP for no known hardware");
    assert_eq!(decoded(&ip_frame(&ipv4(TCP, &[0; 20]))), Err(DecodeError::TransportLength));
    assert_eq!(decoded(&ip_frame(&ipv4(UDP, &[0; 20]))), Err(DecodeError::TransportLength));
}

#[test]
fn link_headers_that_mean_nothing_are_refused() {
    let ip = ipv4(TCP, &tcp(0));
    let session = |head: [u8; 6]| ethernet(EtherType(0x8864), &[&head[..], &[0, 0x21], &ip].concat());
    let arp = |hardware_len: u8, len: usize| {
        let message = [&[0, 1, 8, 0, hardware_len, 4, 0, 1][..], &[0; 20]].concat();
        ethernet(EtherTypes::Arp, &message[..len])
    };
    let tags = [0, 1, 0x81, 0, 0, 2, 0x81, 0, 0, 3, 8, 0];
    for (bytes, expected) in [
        (ip_frame(&ip)[..10].to_vec(), DecodeError::LinkLength),
        (ethernet(EtherType(0x8100), &[0, 1, 8]), DecodeError::LinkLength),
        (ethernet(EtherType(0x8100), &[&tags[..], &ip].concat()), DecodeError::LinkHeader),
        (session([0x12, 0, 0, 1, 0, 42]), DecodeError::LinkHeader),
        (session([0x11, 7, 0, 1, 0, 42]), DecodeError::LinkHeader),
        (session([0x11, 0, 0, 1, 0, 43]), DecodeError::LinkLength),
        (session([0x11, 0, 0, 1, 0, 1]), DecodeError::LinkLength),
        (session([0x11, 0, 0, 1, 0, 41]), DecodeError::IpLength),
        (arp(8, 28), DecodeError::LinkHeader),
        (arp(6, 27), DecodeError::LinkLength),
    ] {
        assert_eq!(decoded(&bytes), Err(expected), "{bytes:x?}");
    }
    assert_eq!(decode(&Frame { link: LinkType::Unsupported, ..frame(&ip) }), Err(DecodeError::LinkUnsupported));
}

#[test]
fn too_short_a_packet_is_never_taken_for_one_that_was_cut() {
    for (ip, header_ends) in [(ipv4(TCP, &tcp(20)), [34, 54]), (ipv6(TCP, &tcp(20)), [54, 74])] {
        let whole = ip_frame(&ip);
        for len in 0..whole.len() {
            let cut = decode(&Frame { bytes: &whole[..len], ..frame(&whole) });
            let expected = match len {
                0..14 => Err(DecodeError::LinkTruncated),
                len if len < header_ends[0] => Err(DecodeError::IpTruncated),
                len if len < header_ends[1] => Err(DecodeError::TransportTruncated),
                _ => Ok(Decoded::Ip(packet(&whole))),
            };
            assert_eq!(cut, expected, "cut to {len}");
            let short = match len {
                0..14 => DecodeError::LinkLength,
                _ => DecodeError::IpLength,
            };
            assert_eq!(decoded(&whole[..len]), Err(short), "a frame of {len}");
        }
    }
}

#[test]
fn extension_headers_are_followed_to_a_limit() {
    let options = |next: u8| [next, 0, 1, 4, 0, 0, 0, 0];
    let chain = |count: usize| {
        let mut headers: Vec<u8> = (1..count).flat_map(|_| options(60)).collect();
        headers.extend(options(6));
        headers.extend(tcp(5));
        ip_frame(&ipv6(60, &headers))
    };
    for count in [1, 3, 8] {
        assert_eq!((packet(&chain(count)).ports(), packet(&chain(count)).payload_len_bytes), (Some((40_000, 443)), 5));
    }
    for count in [9, 40] {
        assert_eq!(decoded(&chain(count)), Err(DecodeError::ExtensionHeaders), "{count}");
    }
    // One that ends behind the packet, and one whose captured part ends before it does.
    let long = ip_frame(&ipv6(60, &[&[6, 200][..], &[0; 62]].concat()));
    assert_eq!(decoded(&long), Err(DecodeError::IpLength));
    let whole = chain(3);
    for cut in [55, 61, 70] {
        assert_eq!(decode(&Frame { bytes: &whole[..cut], ..frame(&whole) }), Err(DecodeError::IpTruncated), "{cut}");
    }
    assert_eq!(decoded(&ip_frame(&ipv6(60, &[6]))), Err(DecodeError::IpLength));
}

#[test]
fn tiny_fragments_are_refused() {
    for (what, ip) in [
        ("a first fragment of 7 bytes of TCP", ipv4_fragment(TCP, 0, true, &tcp(0)[..7])),
        ("without its last TCP options", ipv4_fragment(TCP, 0, true, &with(&tcp(0), 12, 0xf0))),
        ("a second fragment over the TCP flags", ipv4_fragment(TCP, 1, false, &tcp(0))),
        ("of 4 bytes of UDP", ipv4_fragment(UDP, 0, true, &udp(0)[..4])),
        ("IPv6, over the TCP flags", ipv6_fragment(TCP, 1, false, &tcp(0))),
    ] {
        assert_eq!(decoded(&ip_frame(&ip)), Err(DecodeError::FragmentTiny), "{what}");
    }
    // The headers of an IPv6 packet are all in its first fragment (RFC 7112).
    let header_divided = ipv6_fragment(60, 0, true, &[TCP, 1, 0, 0, 0, 0, 0, 0]);
    assert_eq!(decoded(&ip_frame(&header_divided)), Err(DecodeError::FragmentTiny));
    assert!(decoded(&ip_frame(&ipv4_fragment(UDP, 1, false, &[0; 20]))).is_ok(), "UDP is whole in 8 bytes");
    assert!(decoded(&ip_frame(&ipv4_fragment(TCP, 3, false, &tcp(0)))).is_ok());
}

#[test]
fn a_first_fragment_that_hides_its_flags_shows_its_ports() {
    for ip in [ipv4_fragment(TCP, 0, true, &tcp(0)[..8]), ipv6_fragment(TCP, 0, true, &tcp(0)[..16])] {
        let packet = packet(&ip_frame(&ip));
        assert_eq!(packet.ports(), Some((40_000, 443)));
        assert!(matches!(packet.transport, Transport::Tcp(Tcp { flags, .. }) if flags == TcpFlags::default()));
        assert_eq!(packet.payload_len_bytes, 0);
    }
}

#[test]
fn a_fragment_beyond_the_longest_packet_is_refused() {
    // The last offset is 8,191 units, or 65,528 bytes; the IPv4 header counts too.
    assert!(decoded(&ip_frame(&ipv4_fragment(ICMP, 8_188, false, &[0; 11]))).is_ok());
    assert!(decoded(&ip_frame(&ipv6_fragment(ICMP, 8_190, false, &[0; 15]))).is_ok());
    for ip in [ipv4_fragment(ICMP, 8_188, false, &[0; 12]), ipv4_fragment(ICMP, 8_191, true, &[0; 1480])] {
        assert_eq!(decoded(&ip_frame(&ip)), Err(DecodeError::FragmentOverlong));
    }
    let v6 = ipv6_fragment(ICMP, 8_190, false, &[0; 16]);
    assert_eq!(decoded(&ip_frame(&v6)), Err(DecodeError::FragmentOverlong));
}

#[test]
fn errors_have_different_names_and_one_counter_each() {
    for (place, kind) in DecodeError::ALL.iter().enumerate() {
        assert_eq!(*kind as usize, place, "{kind:?}");
        assert!(DecodeError::ALL[..place].iter().all(|other| other.to_string() != kind.to_string()), "{kind:?}");
    }
}

/// Bytes that lead deep into the decoder; what is behind them is at random.
const HEADS: [&[u8]; 10] = [
    &[8, 0, 0x45],
    &[8, 0, 0x45, 0, 0, 100, 0, 0, 0, 0, 64, ICMP],
    &[8, 0, 0x4f, 0, 0, 128, 0, 0, 0, 0, 64, TCP],
    &[0x86, 0xdd, 0x60],
    &[0x86, 0xdd, 0x60, 0, 0, 0, 0, 100, 60],
    &[0x86, 0xdd, 0x60, 0, 0, 0, 0, 100, 44],
    &[0x81, 0, 0, 1, 8, 0, 0x45],
    &[0x88, 0xa8, 0, 1, 0x81, 0, 0, 2, 0x88, 0x64, 0x11, 0, 0, 1, 0, 100, 0, 0x21, 0x45],
    &[0x88, 0x64],
    &[8, 6, 0, 1, 8, 0, 6, 4],
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn nothing_in_a_frame_makes_decoding_panic(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..200),
        shape in 0..=HEADS.len(),
        wire_more in 0..2000_u32,
    ) {
        for (at, byte) in HEADS.get(shape).copied().unwrap_or_default().iter().enumerate() {
            if let Some(place) = bytes.get_mut(12 + at) {
                *place = *byte;
            }
        }
        let wire_len_bytes = bytes.len() as u32 + wire_more;
        for link in LINKS {
            if let Ok(Decoded::Ip(packet)) = decode(&Frame { link, bytes: &bytes, wire_len_bytes, vlan_tag: None }) {
                prop_assert!(packet.ip_len_bytes <= wire_len_bytes);
                prop_assert!(packet.payload_len_bytes < packet.ip_len_bytes);
            }
        }
    }

    /// Of a frame that was cut, decoding says the same as of the whole, or that it was cut, and no error of length.
    #[test]
    fn a_cut_frame_is_the_same_or_cut(
        payload in 0..300_usize,
        is_ipv6 in any::<bool>(),
        protocol in prop::sample::select(vec![TCP, UDP, ICMP, GRE]),
        cut in 0..300_usize,
    ) {
        let transport = match protocol {
            TCP => with(&tcp(payload), 13, 0x10),
            UDP => udp(payload),
            _ => [vec![8; 8], vec![0; payload]].concat(),
        };
        let whole = ip_frame(&if is_ipv6 { ipv6(protocol, &transport) } else { ipv4(protocol, &transport) });
        let found = decode(&Frame { bytes: &whole[..cut.min(whole.len())], ..frame(&whole) });
        let is_cut = |error| matches!(
            error,
            DecodeError::LinkTruncated | DecodeError::IpTruncated | DecodeError::TransportTruncated
        );
        prop_assert!(found.is_err_and(is_cut) || found == Ok(Decoded::Ip(packet_of(&frame(&whole)))), "{found:?}");
    }
}
