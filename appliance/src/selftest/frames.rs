//! The frames of the self-test: what hosts send that speak TCP, with checksums, between addresses of documentation.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use traffic::protocols::TCP;

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

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: selftest\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfine\n";
/// MSS 1460, as SYNs have it.
const OPTIONS: &[u8] = &[2, 4, 5, 180];

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
    let asked = 101 + REQUEST.len() as u32;
    let answered = 501 + RESPONSE.len() as u32;
    let out = |numbers, flags, payload| Segment { ports: (port, WEB), numbers, flags, payload }.inwards(VISITOR[0]);
    let back = |numbers, flags, payload| Segment { ports: (WEB, port), numbers, flags, payload }.outwards(VISITOR[0]);
    vec![
        out((100, 0), SYN, &[]),
        back((500, 101), SYN | ACK, &[]),
        out((101, 501), ACK, &[]),
        out((101, 501), PSH | ACK, REQUEST),
        back((501, asked), PSH | ACK, RESPONSE),
        out((asked, answered), FIN | ACK, &[]),
        back((answered, asked + 1), FIN | ACK, &[]),
        out((asked + 1, answered + 1), ACK, &[]),
    ]
}

/// The scan of the server, and the answers of one with these ports closed.
pub(super) fn scan() -> Vec<Sent> {
    SCANNED.flat_map(|port| [knock(SCANNER[0], port), refusal(port)]).collect()
}

/// A SYN to a port of the server.
fn knock(source: IpAddr, port: u16) -> Sent {
    Segment { ports: (SCANNER_PORT, port), numbers: (u32::from(port), 0), flags: SYN, payload: &[] }.inwards(source)
}

fn refusal(port: u16) -> Sent {
    let numbers = (0, u32::from(port) + 1);
    Segment { ports: (port, SCANNER_PORT), numbers, flags: RST | ACK, payload: &[] }.outwards(SCANNER[0])
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

/// A TCP segment.
struct Segment<'a> {
    ports: (u16, u16),
    /// Sequence and acknowledgement.
    numbers: (u32, u32),
    flags: u8,
    payload: &'a [u8],
}

impl Segment<'_> {
    /// From this address to the server.
    fn inwards(&self, source: IpAddr) -> Sent {
        (End::Outside, self.frame(MACS, source, server_of(source)))
    }

    /// From the server to this address.
    fn outwards(&self, destination: IpAddr) -> Sent {
        let [outside, inside] = MACS;
        (End::Inside, self.frame([inside, outside], server_of(destination), destination))
    }

    fn frame(&self, [from, to]: [[u8; 6]; 2], source: IpAddr, destination: IpAddr) -> Vec<u8> {
        let tcp = self.bytes(source, destination);
        let mut frame = [to, from].concat();
        match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => frame.extend(ipv4(source, destination, &tcp)),
            _ => frame.extend(ipv6(&octets(source), &octets(destination), &tcp)),
        }
        frame.extend(tcp);
        frame.resize(frame.len().max(SHORTEST_FRAME_BYTES), 0);
        frame
    }

    fn bytes(&self, source: IpAddr, destination: IpAddr) -> Vec<u8> {
        let Self { ports, numbers, flags, payload } = self;
        let options = if flags & SYN == 0 { &[][..] } else { OPTIONS };
        let words = 5 + options.len() as u8 / 4;
        let mut bytes = [ports.0.to_be_bytes(), ports.1.to_be_bytes()].concat();
        bytes.extend([numbers.0.to_be_bytes(), numbers.1.to_be_bytes()].concat());
        bytes.extend([words << 4, *flags, 4, 0, 0, 0, 0, 0]);
        bytes.extend([options, payload].concat());
        let pseudo = [&octets(source)[..], &octets(destination), &[0, TCP], &length(bytes.len())].concat();
        let sum = checksum(&[&pseudo[..], &bytes].concat());
        bytes.splice(16..18, sum);
        bytes
    }
}

const fn server_of(other: IpAddr) -> IpAddr {
    let [v4, v6] = SERVER;
    if other.is_ipv4() { v4 } else { v6 }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

/// The type of the frame, and the header.
fn ipv4(source: Ipv4Addr, destination: Ipv4Addr, payload: &[u8]) -> Vec<u8> {
    let [high, low] = length(20 + payload.len());
    let mut header = [&[0x45, 0, high, low, 0, 0, 0x40, 0, 64, TCP, 0, 0], &source.octets()[..], &destination.octets()];
    let sum = checksum(&header.concat());
    let first = [0x45, 0, high, low, 0, 0, 0x40, 0, 64, TCP, sum[0], sum[1]];
    header[0] = &first;
    [&[0x08, 0], &header.concat()[..]].concat()
}

/// The type of the frame, and the header.
fn ipv6(source: &[u8], destination: &[u8], payload: &[u8]) -> Vec<u8> {
    let [high, low] = length(payload.len());
    [&[0x86, 0xdd, 0x60, 0, 0, 0, high, low, TCP, 64], source, destination].concat()
}

/// All frames are short.
fn length(bytes: usize) -> [u8; 2] {
    u16::try_from(bytes).unwrap_or(u16::MAX).to_be_bytes()
}

/// The checksum of the Internet (RFC 1071).
fn checksum(bytes: &[u8]) -> [u8; 2] {
    let words = bytes.chunks(2).map(|pair| {
        let [high, low] = [pair.first(), pair.get(1)].map(|byte| u32::from(byte.copied().unwrap_or(0)));
        high << 8 | low
    });
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    let [_, _, high, low] = (!folded).to_be_bytes();
    [high, low]
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
