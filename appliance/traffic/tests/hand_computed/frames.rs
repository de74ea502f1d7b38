//! Ethernet frames as a network card would hand them over: padded to 60 bytes, lengths and checksums right, so that other
//! programs read the captures as well. Nothing of the crate under test is used.

use std::net::IpAddr;

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;

/// The shortest frame without its check sequence (IEEE 802.3 section 4.2.3.3).
const SHORTEST: usize = 60;

/// An address with a port.
#[derive(Clone, Copy)]
pub struct End {
    pub address: IpAddr,
    pub port: u16,
}

/// The end of that text and port, such as `("198.51.100.10", 40_000)`.
pub fn end(address: &str, port: u16) -> End {
    End { address: address.parse().expect("an address"), port }
}

/// A TCP segment without its ports.
pub struct Segment {
    flags: &'static str,
    sequence: u32,
    acknowledgement: u32,
    window: u16,
    options: &'static [u8],
    payload_len: usize,
    /// What the payload begins with.
    words: &'static str,
}

/// A segment with these flags (letters of FSRPAU), sequence and acknowledgement number, and a window field of 502.
pub fn segment(flags: &'static str, sequence: u32, acknowledgement: u32) -> Segment {
    Segment { flags, sequence, acknowledgement, window: 502, options: &[], payload_len: 0, words: "" }
}

impl Segment {
    pub fn window(self, window: u16) -> Self {
        Self { window, ..self }
    }

    pub fn options(self, options: &'static [u8]) -> Self {
        Self { options, ..self }
    }

    pub fn payload(self, payload_len: usize) -> Self {
        Self { payload_len, ..self }
    }

    pub fn words(self, words: &'static str) -> Self {
        Self { payload_len: words.len(), words, ..self }
    }

    fn flag_bits(&self) -> u8 {
        "FSRPAU".chars().enumerate().filter(|(_, flag)| self.flags.contains(*flag)).map(|(bit, _)| 1 << bit).sum()
    }
}

/// A frame with a TCP segment.
pub fn tcp(from: End, to: End, segment: &Segment) -> Vec<u8> {
    let header_words = 5 + segment.options.len() as u8 / 4;
    let mut bytes = ports(from, to);
    bytes.extend(segment.sequence.to_be_bytes());
    bytes.extend(segment.acknowledgement.to_be_bytes());
    bytes.extend([header_words << 4, segment.flag_bits()]);
    bytes.extend(segment.window.to_be_bytes());
    bytes.extend([0; 4]);
    bytes.extend(segment.options);
    bytes.extend(segment.words.bytes());
    bytes.extend(vec![b'x'; segment.payload_len - segment.words.len()]);
    put_checksum(&mut bytes, 16, &pseudo_header(from, to, TCP));
    ethernet(&ip(from, to, TCP, &bytes), to, None)
}

/// A frame with a UDP datagram, inside a VLAN where one is named.
pub fn udp(from: End, to: End, payload: &[u8], vlan: Option<u16>) -> Vec<u8> {
    ethernet(&ip(from, to, UDP, &datagram(from, to, payload)), to, vlan)
}

/// A UDP datagram in IPv4 fragments of so many bytes behind each IP header.
pub fn udp_fragments(from: End, to: End, payload: &[u8], fragment_len: usize) -> Vec<Vec<u8>> {
    let datagram = datagram(from, to, payload);
    let parts: Vec<&[u8]> = datagram.chunks(fragment_len).collect();
    let fragment = |(number, part): (usize, &&[u8])| {
        let more = u16::from(number + 1 < parts.len()) << 13;
        let offset = (number * fragment_len / 8) as u16;
        ethernet(&ipv4(from, to, UDP, part, more | offset), to, None)
    };
    parts.iter().enumerate().map(fragment).collect()
}

/// A frame with an ICMP echo message of a type and code: type 8 asks, type 0 answers. Other questions have the same form.
pub fn echo([kind, code]: [u8; 2], from: End, to: End, identifier: u16, payload_len: usize) -> Vec<u8> {
    let mut bytes = vec![kind, code, 0, 0];
    bytes.extend(identifier.to_be_bytes());
    bytes.extend([0, 1]);
    bytes.extend(vec![b'p'; payload_len]);
    put_checksum(&mut bytes, 2, &[]);
    ethernet(&ip(from, to, ICMP, &bytes), to, None)
}

/// A frame with the ICMP error "port unreachable" about a whole UDP datagram, which `to` sent to `from`.
pub fn port_unreachable(from: End, to: End, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![3, 3, 0, 0, 0, 0, 0, 0];
    bytes.extend(ip(to, from, UDP, &datagram(to, from, payload)));
    put_checksum(&mut bytes, 2, &[]);
    ethernet(&ip(from, to, ICMP, &bytes), to, None)
}

/// A question for the address of example.com, 29 bytes.
pub fn dns_question() -> Vec<u8> {
    dns_question_for("example.com", 1)
}

/// A question for records of a kind of a name (RFC 1035 section 4.1), 18 bytes and the name.
pub fn dns_question_for(name: &str, kind: u8) -> Vec<u8> {
    let mut bytes = vec![0x12, 0x34, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        bytes.push(label.len() as u8);
        bytes.extend(label.bytes());
    }
    bytes.extend([0, 0, kind, 0, 1]);
    bytes
}

/// Its answer, 29 + 16 = 45 bytes.
pub fn dns_answer() -> Vec<u8> {
    let mut bytes = dns_question();
    bytes[2..8].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 1]);
    bytes.extend([0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0x0e, 0x10, 0, 4, 203, 0, 113, 80]);
    bytes
}

/// A capture file (pcap, microseconds, little-endian) of frames with their times.
pub fn pcap(frames: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in [0xa1b2_c3d4_u32, 4 << 16 | 2, 0, 0, 65_535, 1] {
        bytes.extend(word.to_le_bytes());
    }
    for (at_us, frame) in frames {
        let (len, seconds) = (frame.len() as u32, (at_us / 1_000_000) as u32);
        for word in [seconds, (at_us % 1_000_000) as u32, len, len] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(frame);
    }
    bytes
}

fn ports(from: End, to: End) -> Vec<u8> {
    [from.port.to_be_bytes(), to.port.to_be_bytes()].concat()
}

fn datagram(from: End, to: End, payload: &[u8]) -> Vec<u8> {
    let mut bytes = ports(from, to);
    bytes.extend(((8 + payload.len()) as u16).to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend(payload);
    put_checksum(&mut bytes, 6, &pseudo_header(from, to, UDP));
    bytes
}

fn ip(from: End, to: End, protocol: u8, payload: &[u8]) -> Vec<u8> {
    const DONT_FRAGMENT: u16 = 0x4000;
    if from.address.is_ipv4() {
        return ipv4(from, to, protocol, payload, DONT_FRAGMENT);
    }
    let mut bytes = vec![0x60, 0, 0, 0];
    bytes.extend((payload.len() as u16).to_be_bytes());
    bytes.extend([protocol, 64]);
    bytes.extend([octets(from.address), octets(to.address)].concat());
    bytes.extend(payload);
    bytes
}

fn ipv4(from: End, to: End, protocol: u8, payload: &[u8], flags_and_offset: u16) -> Vec<u8> {
    let mut bytes = vec![0x45, 0];
    bytes.extend(((20 + payload.len()) as u16).to_be_bytes());
    bytes.extend([0x5a, 0x5a]);
    bytes.extend(flags_and_offset.to_be_bytes());
    bytes.extend([64, protocol, 0, 0]);
    bytes.extend([octets(from.address), octets(to.address)].concat());
    put_checksum(&mut bytes, 10, &[]);
    bytes.extend(payload);
    bytes
}

fn ethernet(ip: &[u8], to: End, vlan: Option<u16>) -> Vec<u8> {
    let mut bytes = match to.address {
        // A group of IPv4 hosts has its own address on Ethernet (RFC 1112 section 6.4).
        IpAddr::V4(v4) if v4.is_multicast() => {
            let [_, b, c, d] = v4.octets();
            vec![0x01, 0x00, 0x5e, b & 0x7f, c, d]
        }
        _ => vec![0x02, 0, 0, 0, 0, 0x02],
    };
    bytes.extend([0x02, 0, 0, 0, 0, 0x01]);
    if let Some(vlan) = vlan {
        bytes.extend([0x81, 0x00]);
        bytes.extend(vlan.to_be_bytes());
    }
    bytes.extend(if ip[0] >> 4 == 4 { [0x08, 0x00] } else { [0x86, 0xdd] });
    bytes.extend(ip);
    bytes.resize(bytes.len().max(SHORTEST), 0);
    bytes
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

/// What the checksums of TCP and UDP cover besides their bytes, but for the length (RFC 9293 section 3.1).
fn pseudo_header(from: End, to: End, protocol: u8) -> Vec<u8> {
    [octets(from.address), octets(to.address), vec![0, protocol]].concat()
}

/// Puts the Internet checksum (RFC 1071) at its place, which holds zeros. Where there is a pseudo-header, the length of
/// the bytes belongs to it.
fn put_checksum(bytes: &mut [u8], place: usize, pseudo: &[u8]) {
    let len = if pseudo.is_empty() { 0 } else { bytes.len() as u32 };
    let words = |bytes: &[u8]| -> u32 {
        let word = |pair: &[u8]| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0));
        bytes.chunks(2).map(word).sum()
    };
    let sum = words(pseudo) + len + words(bytes);
    let folded = (sum & 0xffff) + (sum >> 16);
    let checksum = !((folded & 0xffff) + (folded >> 16)) as u16;
    bytes[place..place + 2].copy_from_slice(&checksum.to_be_bytes());
}
