//! Frames for the tests of decoding, built by pnet, which decodes nothing for us.
#![allow(
    dead_code,
    clippy::expect_used,
    clippy::panic,
    reason = "each test file uses some; a test may stop at a surprise"
)]

use std::net::Ipv4Addr;

use pnet_packet::ethernet::{EtherType, EtherTypes, MutableEthernetPacket};
use pnet_packet::ip::IpNextHeaderProtocol;
use pnet_packet::ipv4::{Ipv4Flags, MutableIpv4Packet};
use pnet_packet::ipv6::MutableIpv6Packet;
use pnet_packet::tcp::{MutableTcpPacket, TcpFlags};
use traffic::decode::{DecodeError, Decoded, Frame, LinkType, Packet, decode};

pub const SOURCE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 10);
pub const DESTINATION: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 80);
pub const SOURCE_6: &str = "2001:db8::1";
pub const DESTINATION_6: &str = "2001:db8::2";

pub fn ethernet(ethertype: EtherType, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 14];
    let mut header = MutableEthernetPacket::new(&mut bytes).expect("room");
    header.set_source("02:00:00:00:00:01".parse().expect("MAC"));
    header.set_destination("02:00:00:00:00:02".parse().expect("MAC"));
    header.set_ethertype(ethertype);
    bytes.extend_from_slice(payload);
    bytes
}

/// An Ethernet frame with this IPv4 or IPv6 packet.
pub fn ip_frame(ip: &[u8]) -> Vec<u8> {
    ethernet(if ip[0] >> 4 == 4 { EtherTypes::Ipv4 } else { EtherTypes::Ipv6 }, ip)
}

pub fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    ipv4_between(SOURCE, DESTINATION, protocol, payload)
}

pub fn ipv4_between(source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 20];
    let mut header = MutableIpv4Packet::new(&mut bytes).expect("room");
    header.set_version(4);
    header.set_header_length(5);
    header.set_total_length(u16::try_from(20 + payload.len()).expect("short"));
    header.set_next_level_protocol(IpNextHeaderProtocol(protocol));
    header.set_source(source);
    header.set_destination(destination);
    bytes.extend_from_slice(payload);
    bytes
}

/// A fragment; `offset_units` of 8 bytes.
pub fn ipv4_fragment(protocol: u8, offset_units: u16, more: bool, payload: &[u8]) -> Vec<u8> {
    let mut bytes = ipv4(protocol, payload);
    let mut header = MutableIpv4Packet::new(&mut bytes).expect("room");
    header.set_fragment_offset(offset_units);
    header.set_flags(if more { Ipv4Flags::MoreFragments } else { 0 });
    bytes
}

pub fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    ipv6_between(SOURCE_6, DESTINATION_6, next, payload)
}

pub fn ipv6_between(source: &str, destination: &str, next: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 40];
    let mut header = MutableIpv6Packet::new(&mut bytes).expect("room");
    header.set_version(6);
    header.set_payload_length(u16::try_from(payload.len()).expect("short"));
    header.set_next_header(IpNextHeaderProtocol(next));
    header.set_source(source.parse().expect("address"));
    header.set_destination(destination.parse().expect("address"));
    bytes.extend_from_slice(payload);
    bytes
}

/// An IPv6 fragment; `offset_units` of 8 bytes.
pub fn ipv6_fragment(next: u8, offset_units: u16, more: bool, payload: &[u8]) -> Vec<u8> {
    let [high, low] = (offset_units << 3 | u16::from(more)).to_be_bytes();
    ipv6(44, &[&[next, 0, high, low, 0, 0, 0, 1][..], payload].concat())
}

/// A SYN from port 40,000 to 443.
pub fn tcp(payload: usize) -> Vec<u8> {
    tcp_with_options(TcpFlags::SYN, &[], payload)
}

/// TCP with these option bytes, a multiple of four.
pub fn tcp_with_options(flags: u8, options: &[u8], payload: usize) -> Vec<u8> {
    let mut bytes = vec![0; 20];
    let mut header = MutableTcpPacket::new(&mut bytes).expect("room");
    header.set_source(40_000);
    header.set_destination(443);
    header.set_data_offset(5 + u8::try_from(options.len() / 4).expect("at most 40"));
    header.set_flags(flags);
    header.set_window(64_240);
    bytes.extend_from_slice(options);
    bytes.resize(bytes.len() + payload, 0);
    bytes
}

/// UDP from port 40,000 to 53.
pub fn udp(payload: usize) -> Vec<u8> {
    let len = u16::try_from(8 + payload).expect("short").to_be_bytes();
    let mut bytes = vec![0x9c, 0x40, 0, 53, len[0], len[1], 0, 0];
    bytes.resize(8 + payload, 0);
    bytes
}

pub fn frame(bytes: &[u8]) -> Frame<'_> {
    Frame { link: LinkType::Ethernet, bytes, wire_len_bytes: bytes.len() as u32, vlan_tag: None }
}

pub fn decoded(bytes: &[u8]) -> Result<Decoded, DecodeError> {
    decode(&frame(bytes))
}

pub fn packet(bytes: &[u8]) -> Packet {
    packet_of(&frame(bytes))
}

pub fn packet_of(frame: &Frame<'_>) -> Packet {
    match decode(frame) {
        Ok(Decoded::Ip(packet)) => packet,
        other => panic!("{other:?}"),
    }
}
