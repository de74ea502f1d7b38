//! The frames of the self-test: what hosts send that speak TCP, with checksums, between addresses of documentation.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, EthernetRepr, IpProtocol, IpRepr, TcpControl, TcpPacket, TcpRepr,
    TcpSeqNumber,
};

/// The sender of the scan, IPv4 and IPv6.
pub(super) const SCANNER: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(203, 0, 113, 66)), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0x66, 0, 0, 0, 0, 1))];
/// Somebody who does nothing wrong.
pub(super) const VISITOR: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(203, 0, 113, 20)), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0x20, 0, 0, 0, 0, 1))];
/// The host that both go to.
pub(super) const SERVER: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(198, 51, 100, 10)), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x10))];

/// Ethernet addresses for documentation (RFC 7042 section 2.1.2): the end of the wire outside, and the one inside.
pub(super) const MACS: [[u8; 6]; 2] = [[0, 0, 0x5e, 0, 0x53, 1], [0, 0, 0x5e, 0, 0x53, 2]];

/// A port that is open.
const WEB: u16 = 80;
/// Ports that the scanner tries.
const SCANNED: core::ops::RangeInclusive<u16> = 1_000..=1_199;
/// Connections that the visitor makes.
const VISITS: u16 = 3;
const SCANNER_PORT: u16 = 40_000;
const VISITOR_PORT: u16 = 50_000;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: selftest\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfine\n";
/// What SYNs say that a segment may carry, as on Ethernet.
const SEGMENT_BYTES: u16 = 1_460;
const WINDOW_BYTES: u16 = 1_024;
const HOP_LIMIT: u8 = 64;

/// Which end of the wire sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Outside = 0,
    Inside = 1,
}

/// A frame, and who sends it.
pub(super) type Sent = (End, Vec<u8>);

/// The visitor's connections, from handshake to farewell.
pub(super) fn visits() -> Vec<Sent> {
    (0..VISITS).flat_map(|visit| connection(VISITOR_PORT + visit)).collect()
}

fn connection(port: u16) -> Vec<Sent> {
    let asked = 101 + REQUEST.len() as i32;
    let answered = 501 + RESPONSE.len() as i32;
    let out = |control, numbers, payload| inwards(VISITOR[0], &segment((port, WEB), control, numbers, payload));
    let back = |control, numbers, payload| outwards(VISITOR[0], &segment((WEB, port), control, numbers, payload));
    vec![
        out(TcpControl::Syn, (100, None), &[]),
        back(TcpControl::Syn, (500, Some(101)), &[]),
        out(TcpControl::None, (101, Some(501)), &[]),
        out(TcpControl::Psh, (101, Some(501)), REQUEST),
        back(TcpControl::Psh, (501, Some(asked)), RESPONSE),
        out(TcpControl::Fin, (asked, Some(answered)), &[]),
        back(TcpControl::Fin, (answered, Some(asked + 1)), &[]),
        out(TcpControl::None, (asked + 1, Some(answered + 1)), &[]),
    ]
}

/// The scan of the server, and the answers of one with these ports closed.
pub(super) fn scan() -> Vec<Sent> {
    SCANNED.flat_map(|port| [knock(SCANNER[0], port), refusal(port)]).collect()
}

/// A SYN to a port of the server.
fn knock(source: IpAddr, port: u16) -> Sent {
    inwards(source, &segment((SCANNER_PORT, port), TcpControl::Syn, (port.into(), None), &[]))
}

fn refusal(port: u16) -> Sent {
    let numbers = (0, Some(i32::from(port) + 1));
    outwards(SCANNER[0], &segment((port, SCANNER_PORT), TcpControl::Rst, numbers, &[]))
}

/// A SYN from this address to the server, in IPv4 or IPv6, with a VLAN tag or without.
pub(super) fn attempt(source: IpAddr, vlan: Option<u16>) -> Vec<u8> {
    let (_, mut frame) = knock(source, WEB);
    if let Some(vlan) = vlan {
        let [high, low] = vlan.to_be_bytes();
        frame.splice(12..12, [0x81, 0, high, low]);
    }
    frame
}

/// A frame of a type for local experiments (IEEE 802), which no rule is about. It comes from nobody else's address.
pub(super) fn last_frame() -> Vec<u8> {
    let mut frame = [&[0, 0, 0x5e, 0, 0x53, 4, 0, 0, 0x5e, 0, 0x53, 3, 0x88, 0xb5][..], b"sluice selftest"].concat();
    frame.resize(SHORTEST_FRAME_BYTES, 0);
    frame
}

const SHORTEST_FRAME_BYTES: usize = 60;

/// A TCP segment with these numbers of sequence and acknowledgement.
fn segment((from, to): (u16, u16), control: TcpControl, numbers: (i32, Option<i32>), payload: &[u8]) -> TcpRepr<'_> {
    TcpRepr {
        src_port: from,
        dst_port: to,
        control,
        seq_number: TcpSeqNumber(numbers.0),
        ack_number: numbers.1.map(TcpSeqNumber),
        window_len: WINDOW_BYTES,
        window_scale: None,
        max_seg_size: (control == TcpControl::Syn).then_some(SEGMENT_BYTES),
        sack_permitted: false,
        sack_ranges: [None; 3],
        timestamp: None,
        payload,
    }
}

/// From this address to the server.
fn inwards(source: IpAddr, tcp: &TcpRepr<'_>) -> Sent {
    (End::Outside, frame(MACS, source, server_of(source), tcp))
}

/// From the server to this address.
fn outwards(destination: IpAddr, tcp: &TcpRepr<'_>) -> Sent {
    let [outside, inside] = MACS;
    (End::Inside, frame([inside, outside], server_of(destination), destination, tcp))
}

fn frame([from, to]: [[u8; 6]; 2], source: IpAddr, destination: IpAddr, tcp: &TcpRepr<'_>) -> Vec<u8> {
    let (source, destination, checksums) = (source.into(), destination.into(), ChecksumCapabilities::default());
    let ip = IpRepr::new(source, destination, IpProtocol::Tcp, tcp.buffer_len(), HOP_LIMIT);
    let ethertype = match ip {
        IpRepr::Ipv4(_) => EthernetProtocol::Ipv4,
        IpRepr::Ipv6(_) => EthernetProtocol::Ipv6,
    };
    let ethernet = EthernetRepr { src_addr: EthernetAddress(from), dst_addr: EthernetAddress(to), ethertype };
    let mut frame = vec![0; ethernet.buffer_len() + ip.buffer_len()];
    let (link, packet) = frame.split_at_mut(ethernet.buffer_len());
    let (header, segment) = packet.split_at_mut(ip.header_len());
    ethernet.emit(&mut EthernetFrame::new_unchecked(link));
    ip.emit(header, &checksums);
    tcp.emit(&mut TcpPacket::new_unchecked(segment), &source, &destination, &checksums);
    frame.resize(frame.len().max(SHORTEST_FRAME_BYTES), 0);
    frame
}

const fn server_of(other: IpAddr) -> IpAddr {
    let [v4, v6] = SERVER;
    if other.is_ipv4() { v4 } else { v6 }
}

#[cfg(test)]
mod tests {
    use pnet_packet::ipv4::Ipv4Packet;
    use pnet_packet::tcp::{TcpPacket, ipv4_checksum, ipv6_checksum};

    use super::*;

    #[test]
    fn checksums_are_right_in_both_families() {
        for (_, frame) in visits().iter().chain(&scan()) {
            let ip = Ipv4Packet::new(&frame[14..]).unwrap();
            assert_eq!(ip.get_checksum(), pnet_packet::ipv4::checksum(&ip));
            let tcp = TcpPacket::new(&frame[34..14 + usize::from(ip.get_total_length())]).unwrap();
            assert_eq!(tcp.get_checksum(), ipv4_checksum(&tcp, &ip.get_source(), &ip.get_destination()));
        }
        let frame = attempt(SCANNER[1], None);
        let (IpAddr::V6(source), IpAddr::V6(destination)) = (SCANNER[1], SERVER[1]) else { panic!("not IPv6") };
        let tcp = TcpPacket::new(&frame[54..]).unwrap();
        assert_eq!(tcp.get_checksum(), ipv6_checksum(&tcp, &source, &destination));
    }
}
