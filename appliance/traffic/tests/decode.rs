//! Decoding of whole, cut and hostile frames. Frames are built by pnet, which decodes nothing for us.
#![allow(clippy::expect_used, clippy::panic, reason = "a test may stop at the first surprise")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use pnet_packet::ethernet::{EtherType, EtherTypes, MutableEthernetPacket};
use pnet_packet::ip::{IpNextHeaderProtocol, IpNextHeaderProtocols};
use pnet_packet::ipv4::MutableIpv4Packet;
use pnet_packet::ipv6::MutableIpv6Packet;
use pnet_packet::tcp::{MutableTcpPacket, TcpFlags};
use proptest::prelude::*;
use traffic::decode::{DecodeError, Decoded, Frame, LinkType, Packet, Transport, decode};

const SOURCE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 10);
const DESTINATION: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 80);

fn ethernet(ethertype: EtherType, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 14];
    let mut header = MutableEthernetPacket::new(&mut bytes).expect("room");
    header.set_source("02:00:00:00:00:01".parse().expect("MAC"));
    header.set_destination("02:00:00:00:00:02".parse().expect("MAC"));
    header.set_ethertype(ethertype);
    bytes.extend_from_slice(payload);
    bytes
}

fn ipv4(protocol: IpNextHeaderProtocol, offset: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 20];
    let mut header = MutableIpv4Packet::new(&mut bytes).expect("room");
    header.set_version(4);
    header.set_header_length(5);
    header.set_total_length(u16::try_from(20 + payload.len()).expect("short"));
    header.set_fragment_offset(offset);
    header.set_next_level_protocol(protocol);
    header.set_source(SOURCE);
    header.set_destination(DESTINATION);
    bytes.extend_from_slice(payload);
    bytes
}

fn ipv6(next: IpNextHeaderProtocol, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 40];
    let mut header = MutableIpv6Packet::new(&mut bytes).expect("room");
    header.set_version(6);
    header.set_payload_length(u16::try_from(payload.len()).expect("short"));
    header.set_next_header(next);
    header.set_source("2001:db8::1".parse().expect("address"));
    header.set_destination("2001:db8::2".parse().expect("address"));
    bytes.extend_from_slice(payload);
    bytes
}

fn tcp(payload: usize) -> Vec<u8> {
    let mut bytes = vec![0; 20 + payload];
    let mut header = MutableTcpPacket::new(&mut bytes).expect("room");
    header.set_source(40_000);
    header.set_destination(443);
    header.set_data_offset(5);
    header.set_flags(TcpFlags::SYN);
    bytes
}

fn frame(bytes: &[u8]) -> Frame<'_> {
    Frame { link: LinkType::Ethernet, bytes, wire_len_bytes: bytes.len() as u32, vlan_tag: None }
}

fn packet(bytes: &[u8]) -> Packet {
    match decode(&frame(bytes)) {
        Ok(Decoded::Ip(packet)) => packet,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_frame_cut_to_128_bytes_decodes_to_the_same_packet() {
    for ip in [ipv4(IpNextHeaderProtocols::Tcp, 0, &tcp(1000)), ipv6(IpNextHeaderProtocols::Tcp, &tcp(1000))] {
        let ethertype = if ip[0] >> 4 == 4 { EtherTypes::Ipv4 } else { EtherTypes::Ipv6 };
        let bytes = ethernet(ethertype, &ip);
        let whole = packet(&bytes);
        assert_eq!((whole.payload_len_bytes, whole.ports()), (1000, Some((40_000, 443))));
        let cut = Frame { bytes: &bytes[..128], ..frame(&bytes) };
        assert_eq!(decode(&cut), Ok(Decoded::Ip(whole)));
    }
}

#[test]
fn padding_of_short_frames_is_no_payload() {
    let mut bytes = ethernet(EtherTypes::Ipv4, &ipv4(IpNextHeaderProtocols::Tcp, 0, &tcp(0)));
    bytes.resize(60, 0xaa);
    assert_eq!(packet(&bytes).payload_len_bytes, 0);
}

#[test]
fn tags_and_pppoe_are_taken_off() {
    let ip = ipv4(IpNextHeaderProtocols::Tcp, 0, &tcp(0));
    let inner = [&[0x00, 0x07, 0x08, 0x00][..], &ip].concat();
    let tagged = ethernet(EtherType(0x8100), &inner);
    assert_eq!((packet(&tagged).vlan, packet(&tagged).source), (Some(7), IpAddr::V4(SOURCE)));

    let double = ethernet(EtherType(0x88a8), &[&[0x00, 0x09, 0x81, 0x00][..], &inner].concat());
    assert_eq!(packet(&double).vlan, Some(9), "the outer tag names the VLAN");

    let session = [&[0x11, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x21][..], &ip].concat();
    assert_eq!(packet(&ethernet(EtherType(0x8864), &session)).ports(), Some((40_000, 443)));

    let stripped = Frame { vlan_tag: Some(0x2007), ..frame(&tagged) };
    let Ok(Decoded::Ip(packet)) = decode(&stripped) else { panic!("an IP packet") };
    assert_eq!(packet.vlan, Some(7), "priority bits are no part of the identifier");
}

#[test]
fn fragments_beyond_the_first_have_no_ports() {
    let later = ethernet(EtherTypes::Ipv4, &ipv4(IpNextHeaderProtocols::Tcp, 100, &tcp(100)));
    assert_eq!((packet(&later).transport, packet(&later).payload_len_bytes), (Transport::Fragment, 120));

    let header = [6, 0, 0x00, 0x08, 0, 0, 0, 1];
    let v6 = ipv6(IpNextHeaderProtocols::Ipv6Frag, &[&header[..], &tcp(10)].concat());
    assert_eq!(packet(&ethernet(EtherTypes::Ipv6, &v6)).transport, Transport::Fragment);
}

#[test]
fn extension_headers_are_followed_to_a_limit() {
    let options = |next: u8| [next, 0, 1, 4, 0, 0, 0, 0];
    let chain = |count: usize| {
        let mut headers: Vec<u8> = (1..count).flat_map(|_| options(60)).collect();
        headers.extend(options(6));
        headers.extend(tcp(5));
        ethernet(EtherTypes::Ipv6, &ipv6(IpNextHeaderProtocols::Ipv6Opts, &headers))
    };
    assert_eq!((packet(&chain(3)).ports(), packet(&chain(3)).payload_len_bytes), (Some((40_000, 443)), 5));
    assert_eq!(decode(&frame(&chain(40))), Err(DecodeError::ExtensionHeaders));
}

#[test]
fn what_does_not_fit_is_named() {
    let good = ethernet(EtherTypes::Ipv4, &ipv4(IpNextHeaderProtocols::Tcp, 0, &tcp(20)));
    let with = |at: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[at] = value;
        bytes
    };
    for (bytes, expected) in [
        (good[..10].to_vec(), DecodeError::LinkTruncated),
        (with(14, 0x65), DecodeError::IpVersion),
        (with(14, 0x44), DecodeError::IpLength),
        (with(16, 0xff), DecodeError::IpLength),
        (with(14 + 20 + 12, 0x40), DecodeError::TransportLength),
        (with(14 + 20 + 12, 0xf0), DecodeError::TransportLength),
    ] {
        assert_eq!(decode(&frame(&bytes)), Err(expected));
    }
    let cut = |len| decode(&Frame { bytes: &good[..len], ..frame(&good) });
    assert_eq!(cut(30), Err(DecodeError::IpTruncated));
    assert_eq!(cut(40), Err(DecodeError::TransportTruncated));
    let arp = ethernet(EtherTypes::Arp, &[0; 28]);
    assert_eq!(decode(&frame(&arp)), Ok(Decoded::NotIp));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn nothing_in_a_frame_makes_decoding_panic(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..200),
        shape in 0..5_usize,
        wire_more in 0..2000_u32,
    ) {
        // Bytes that lead deep into the decoder, with the rest at random.
        let heads: [&[u8]; 4] = [&[8, 0, 0x45], &[0x86, 0xdd, 0x60], &[0x81, 0, 0, 1, 8, 0, 0x45], &[0x88, 0x64]];
        if let Some(head) = heads.get(shape) {
            for (at, byte) in head.iter().enumerate() {
                if let Some(place) = bytes.get_mut(12 + at) {
                    *place = *byte;
                }
            }
        }
        let wire_len_bytes = bytes.len() as u32 + wire_more;
        for link in [LinkType::Ethernet, LinkType::RawIp, LinkType::LinuxCooked, LinkType::LinuxCooked2, LinkType::Null] {
            if let Ok(Decoded::Ip(packet)) = decode(&Frame { link, bytes: &bytes, wire_len_bytes, vlan_tag: None }) {
                prop_assert!(packet.ip_len_bytes <= wire_len_bytes);
                prop_assert!(packet.payload_len_bytes < packet.ip_len_bytes);
            }
        }
    }
}

#[test]
fn null_and_cooked_link_headers_lead_to_the_packet() {
    let ip = ipv6(IpNextHeaderProtocols::Tcp, &tcp(0));
    let destination = IpAddr::V6("2001:db8::2".parse::<Ipv6Addr>().expect("address"));
    let cooked = [&[0; 14][..], &[0x86, 0xdd]].concat();
    let cooked2 = [&[0x86, 0xdd][..], &[0; 18]].concat();
    for (link, head) in [
        (LinkType::Null, vec![30, 0, 0, 0]),
        (LinkType::Null, vec![0, 0, 0, 10]),
        (LinkType::LinuxCooked, cooked),
        (LinkType::LinuxCooked2, cooked2),
        (LinkType::RawIp, Vec::new()),
    ] {
        let bytes = [&head[..], &ip].concat();
        let Ok(Decoded::Ip(packet)) = decode(&Frame { link, ..frame(&bytes) }) else { panic!("{link:?}") };
        assert_eq!(packet.destination, destination);
    }
}
