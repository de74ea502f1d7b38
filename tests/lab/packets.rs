//! Packets made by hand, in any encapsulation. Nothing on their way reads the checksums of TCP, UDP and ICMP, which are left
//! out; a bridge may read that of IPv4.

use std::net::IpAddr;

/// The Ethernet address that all frames come from.
pub const SENDER: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// Ethernet addresses: to the host inside, from the sender.
const ETHERNET: [u8; 12] = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];

/// What stands between the Ethernet addresses and the IP header.
#[derive(Clone, Copy, Debug)]
pub struct Encapsulation {
    /// For people.
    pub name: &'static str,
    /// The headers; their last two bytes say IPv4.
    header: &'static [u8],
    /// The last two bytes before IPv6.
    ipv6: [u8; 2],
}

const fn ethernet(name: &'static str, header: &'static [u8]) -> Encapsulation {
    Encapsulation { name, header, ipv6: [0x86, 0xdd] }
}

const fn ppp(name: &'static str, header: &'static [u8]) -> Encapsulation {
    Encapsulation { name, header, ipv6: [0, 0x57] }
}

/// All that are expected between a household and its provider: no tag, a tag, two, a PPPoE session, and one behind tags.
pub const ENCAPSULATIONS: [Encapsulation; 10] = [
    ethernet("plain", &[0x08, 0]),
    ethernet("802.1Q", &[0x81, 0, 0, 9, 0x08, 0]),
    ethernet("802.1ad", &[0x88, 0xa8, 0, 7, 0x08, 0]),
    ethernet("802.1Q in 802.1ad", &[0x88, 0xa8, 0, 7, 0x81, 0, 0, 9, 0x08, 0]),
    ethernet("802.1Q in 802.1Q", &[0x81, 0, 0, 7, 0x81, 0, 0, 9, 0x08, 0]),
    ethernet("802.1ad in 802.1ad", &[0x88, 0xa8, 0, 7, 0x88, 0xa8, 0, 9, 0x08, 0]),
    ethernet("802.1Q, before 802.1ad", &[0x91, 0, 0, 7, 0x08, 0]),
    ppp("PPPoE", &[0x88, 0x64, 0x11, 0, 0, 1, 0, 42, 0, 0x21]),
    ppp("PPPoE in 802.1Q", &[0x81, 0, 0, 7, 0x88, 0x64, 0x11, 0, 0, 1, 0, 42, 0, 0x21]),
    ppp("PPPoE in QinQ", &[0x88, 0xa8, 0, 7, 0x81, 0, 0, 9, 0x88, 0x64, 0x11, 0, 0, 1, 0, 42, 0, 0x21]),
];

/// One that nothing can be done about: the kernel takes one tag off, and the rules look behind one more.
pub const THREE_TAGS: Encapsulation =
    ethernet("three tags", &[0x88, 0xa8, 0, 7, 0x81, 0, 0, 8, 0x81, 0, 0, 9, 0x08, 0]);

/// The payload of an IP packet: the number of its protocol, and its bytes.
#[derive(Clone, Debug)]
pub struct Transport {
    protocol: u8,
    bytes: Vec<u8>,
    /// In 8 bytes, where this is not the first fragment.
    fragment_offset: u8,
}

impl Transport {
    /// An ICMP message with that code.
    #[must_use]
    pub fn with_code(mut self, code: u8) -> Self {
        self.bytes[1] = code;
        self
    }

    /// A TCP packet with these numbers.
    #[must_use]
    pub fn numbered(mut self, sequence: u32, acknowledgement: u32) -> Self {
        self.bytes[4..8].copy_from_slice(&sequence.to_be_bytes());
        self.bytes[8..12].copy_from_slice(&acknowledgement.to_be_bytes());
        self
    }
}

/// The flags of a TCP packet that opens a connection, and of the one that accepts it.
pub const SYN: u8 = 0x02;
/// See [`SYN`].
pub const SYN_ACK: u8 = 0x12;

/// A TCP packet without payload.
#[must_use]
pub fn tcp(source_port: u16, destination_port: u16, flags: u8) -> Transport {
    tcp_with(source_port, destination_port, flags, 0)
}

/// A TCP packet with so many bytes of payload.
#[must_use]
pub fn tcp_with(source_port: u16, destination_port: u16, flags: u8, payload_bytes: usize) -> Transport {
    let mut bytes = ports(source_port, destination_port);
    bytes.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 0x50, flags, 0, 0, 0, 0, 0, 0]);
    bytes.resize(bytes.len() + payload_bytes, 0);
    Transport { protocol: 6, bytes, fragment_offset: 0 }
}

/// A TCP packet that says this.
#[must_use]
pub fn tcp_saying(source_port: u16, destination_port: u16, text: &str) -> Transport {
    let mut packet = tcp(source_port, destination_port, 0x18);
    packet.bytes.extend_from_slice(text.as_bytes());
    packet
}

/// A UDP packet.
#[must_use]
pub fn udp(source_port: u16, destination_port: u16) -> Transport {
    datagram(source_port, destination_port, &[1, 2, 3, 4])
}

/// A UDP packet that carries this.
#[must_use]
pub fn datagram(source_port: u16, destination_port: u16, payload: &[u8]) -> Transport {
    datagram_that_states(8 + payload.len(), source_port, destination_port, payload)
}

/// The same, whose header states that length.
#[must_use]
pub fn datagram_that_states(length: usize, source_port: u16, destination_port: u16, payload: &[u8]) -> Transport {
    let length = big_endian(length);
    let bytes = [&ports(source_port, destination_port)[..], &length, &[0, 0], payload].concat();
    Transport { protocol: 17, bytes, fragment_offset: 0 }
}

/// An SCTP packet whose first chunk is of this type.
#[must_use]
pub fn sctp(source_port: u16, destination_port: u16, chunk: u8) -> Transport {
    let bytes = [&ports(source_port, destination_port)[..], &[0; 8], &[chunk, 0, 0, 4]].concat();
    Transport { protocol: 132, bytes, fragment_offset: 0 }
}

/// An ICMP packet of this type, or one of ICMPv6.
#[must_use]
pub fn icmp(protocol: u8, kind: u8) -> Transport {
    Transport { protocol, bytes: vec![kind, 0, 0, 0, 0, 1, 0, 1], fragment_offset: 0 }
}

/// A ping, or the answer to one (8 and 0), with so many bytes of data.
#[must_use]
pub fn echo(kind: u8, data_bytes: usize) -> Transport {
    let mut packet = icmp(1, kind);
    packet.bytes.resize(packet.bytes.len() + data_bytes, 0);
    packet
}

/// A later fragment of a UDP packet, whose bytes look like the ports of a client.
#[must_use]
pub fn later_fragment() -> Transport {
    Transport { fragment_offset: 1, ..udp(40_000, 40_000) }
}

fn ports(source: u16, destination: u16) -> Vec<u8> {
    [source.to_be_bytes(), destination.to_be_bytes()].concat()
}

impl Encapsulation {
    /// A frame with an ARP request; none where nothing but IP is carried.
    #[must_use]
    pub fn arp(&self) -> Option<Vec<u8>> {
        let tags = self.header.strip_suffix(&[0x08, 0])?;
        let mut frame = [&ETHERNET[..], tags, &[0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1]].concat();
        frame.resize(60, 0xa7);
        Some(frame)
    }

    /// A frame; `mark` is what it is recognised by (IPv4 identification, IPv6 flow label).
    ///
    /// # Panics
    /// The addresses are of different families.
    #[must_use]
    pub fn frame(&self, source: IpAddr, destination: IpAddr, mark: u16, carried: &Transport) -> Vec<u8> {
        let mut frame = [&ETHERNET[..], self.header].concat();
        match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let [long, length] = big_endian(20 + carried.bytes.len());
                let [high, low] = mark.to_be_bytes();
                let mut header =
                    vec![0x45, 0, long, length, high, low, 0, carried.fragment_offset, 64, carried.protocol, 0, 0];
                header.extend(source.octets().into_iter().chain(destination.octets()));
                let sum = checksum(&header);
                header.splice(10..12, sum);
                frame.extend(header);
                frame.extend_from_slice(&carried.bytes);
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let protocol = frame.len() - 2;
                frame.splice(protocol.., self.ipv6);
                let fragment = carried.fragment_header();
                let [long, length] = big_endian(fragment.len() + carried.bytes.len());
                let [high, low] = mark.to_be_bytes();
                let next = if fragment.is_empty() { carried.protocol } else { 44 };
                frame.extend([0x60, 0, high, low, long, length, next, 64]);
                frame.extend(source.octets().into_iter().chain(destination.octets()));
                frame.extend(fragment);
                frame.extend_from_slice(&carried.bytes);
            }
            _ => panic!("{source} and {destination} are of different families"),
        }
        frame.resize(frame.len().max(60), 0);
        frame
    }

    /// The mark of a frame to this destination in this encapsulation, as it arrives: without its outermost VLAN tag.
    #[must_use]
    pub fn mark(&self, destination: IpAddr, received: &[u8]) -> Option<u16> {
        let is_tagged = matches!(self.header.first_chunk()?, [0x81, 0] | [0x88, 0xa8]);
        let ip = 12 + self.header.len() - if is_tagged { 4 } else { 0 };
        let (mark, place) = if destination.is_ipv4() { (ip + 4, 16) } else { (ip + 2, 24) };
        let address = match destination {
            IpAddr::V4(v4) => v4.octets().to_vec(),
            IpAddr::V6(v6) => v6.octets().to_vec(),
        };
        let to = received.get(ip + place..ip + place + address.len())?;
        (to == address).then_some(u16::from_be_bytes(received.get(mark..mark + 2)?.try_into().ok()?))
    }
}

impl Transport {
    /// Whether this is the destination port.
    #[must_use]
    pub fn goes_to(&self, port: u16) -> bool {
        matches!(self.protocol, 6 | 17) && self.bytes.get(2..4) == Some(&port.to_be_bytes()[..])
    }

    /// The extension header of an IPv6 fragment (RFC 8200 section 4.5); nothing where this is a whole packet.
    fn fragment_header(&self) -> Vec<u8> {
        match self.fragment_offset {
            0 => Vec::new(),
            offset => vec![self.protocol, 0, 0, offset << 3, 0, 0, 0, 1],
        }
    }
}

/// The checksum of an IPv4 header (RFC 791 section 3.1).
fn checksum(header: &[u8]) -> [u8; 2] {
    let sum: u32 = header.chunks_exact(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    big_endian(usize::try_from(!folded & 0xffff).unwrap_or_default())
}

fn big_endian(length: usize) -> [u8; 2] {
    u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes()
}
