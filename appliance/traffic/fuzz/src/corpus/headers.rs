//! Headers, each with what is behind it. Checksums are zero: nothing here looks at them.

/// Ethernet addresses (RFC 7042 section 2.1.2: for documentation): to, from.
const MACS: [u8; 12] = [0x00, 0x00, 0x5e, 0x00, 0x53, 0x01, 0x00, 0x00, 0x5e, 0x00, 0x53, 0x02];
const CLIENT_V4: [u8; 4] = [198, 51, 100, 10];
const SERVER_V4: [u8; 4] = [203, 0, 113, 80];
const CLIENT_V6: [u8; 16] = [0x20, 0x01, 0x0d, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10];
const SERVER_V6: [u8; 16] = [0x20, 0x01, 0x0d, 0xb8, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80];

/// TCP flags.
pub const FIN: u8 = 1;
pub const SYN: u8 = 2;
pub const RST: u8 = 4;
pub const PSH: u8 = 8;
pub const ACK: u8 = 16;

/// EtherTypes.
pub const IPV4: u16 = 0x0800;
pub const IPV6: u16 = 0x86dd;

pub fn ethernet(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [&MACS, &ethertype.to_be_bytes()[..], payload].concat()
}

/// A VLAN tag, and the EtherType of what is behind it.
pub fn tag(identifier: u16, ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [&identifier.to_be_bytes(), &ethertype.to_be_bytes()[..], payload].concat()
}

/// A PPPoE header of a session with the PPP protocol behind it.
pub fn pppoe(protocol: u16, payload: &[u8]) -> Vec<u8> {
    [&[0x11, 0, 0, 7], &short(payload.len() + 2)[..], &protocol.to_be_bytes(), payload].concat()
}

pub fn arp(operation: u8) -> Vec<u8> {
    [&[0, 1, 8, 0, 6, 4, 0, operation], &MACS[6..], &CLIENT_V4, &MACS[..6], &SERVER_V4].concat()
}

pub fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    ipv4_with(protocol, 0, &[], payload)
}

/// From the client to the server, with the fragment field and options.
pub fn ipv4_with(protocol: u8, fragment: u16, options: &[u8], payload: &[u8]) -> Vec<u8> {
    let header_len = 20 + options.len();
    let [words, len] = [0x40 | (header_len / 4) as u8, 0];
    let start = [&[words, len], &short(header_len + payload.len())[..], &[0, 1], &fragment.to_be_bytes()].concat();
    [&start, &[64, protocol, 0, 0][..], &CLIENT_V4, &SERVER_V4, options, payload].concat()
}

/// From the server to the client.
pub fn ipv4_back(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = ipv4(protocol, payload);
    packet[12..20].rotate_left(4);
    packet
}

pub fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    [&[0x60, 0, 0, 0], &short(payload.len())[..], &[next, 64], &CLIENT_V6, &SERVER_V6, payload].concat()
}

/// An IPv6 extension header of 8 bytes.
pub fn extension(next: u8, payload: &[u8]) -> Vec<u8> {
    [&[next, 0, 1, 4, 0, 0, 0, 0], payload].concat()
}

/// An IPv6 fragment header: the field holds the offset, and whether more follow.
pub fn fragment(next: u8, field: u16, payload: &[u8]) -> Vec<u8> {
    [&[next, 0], &field.to_be_bytes()[..], &[0, 0, 0, 1], payload].concat()
}

/// With the ports, and the numbers of this side and of what it acknowledges.
pub fn tcp(ports: (u16, u16), numbers: (u32, u32), flags: u8, payload: &[u8]) -> Vec<u8> {
    tcp_with(ports, numbers, flags, &[], payload)
}

pub fn tcp_with(ports: (u16, u16), numbers: (u32, u32), flags: u8, options: &[u8], payload: &[u8]) -> Vec<u8> {
    let words = ((20 + options.len()) / 4) as u8;
    let start = [ports.0.to_be_bytes(), ports.1.to_be_bytes()].concat();
    let numbers = [numbers.0.to_be_bytes(), numbers.1.to_be_bytes()].concat();
    [&start, &numbers[..], &[words << 4, flags, 0xfa, 0xf0, 0, 0, 0, 0], options, payload].concat()
}

/// A SYN with the options of Linux: segment size, selective acknowledgements, time stamps, nothing, window scale.
pub fn syn(ports: (u16, u16)) -> Vec<u8> {
    let options = [2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7];
    tcp_with(ports, (100, 0), SYN, &options, &[])
}

pub fn udp(ports: (u16, u16), payload: &[u8]) -> Vec<u8> {
    let start = [ports.0.to_be_bytes(), ports.1.to_be_bytes()].concat();
    [&start, &short(8 + payload.len())[..], &[0, 0], payload].concat()
}

/// Type, code, and the four bytes behind the checksum.
pub fn icmp(kind: u8, code: u8, rest: [u8; 4], payload: &[u8]) -> Vec<u8> {
    [&[kind, code, 0, 0], &rest[..], payload].concat()
}

/// A question for the address of a name.
pub fn dns() -> Vec<u8> {
    let header = [0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    [&header, &b"\x07example\x03com\x00"[..], &[0, 1, 0, 1]].concat()
}

/// A question for a text of a name that may carry data.
pub fn dns_tunnel() -> Vec<u8> {
    let header = [0, 8, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    [&header, &b"\x1cthis-may-carry-some-data-out\x01t\x07example\x03org\x00"[..], &[0, 16, 0, 1]].concat()
}

/// Lengths here are small.
fn short(len: usize) -> [u8; 2] {
    (len as u16).to_be_bytes()
}
