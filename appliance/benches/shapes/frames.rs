//! The frames of the shapes that are made up: Ethernet, IPv4 and IPv6, TCP and UDP, between addresses of documentation.

use core::net::{Ipv4Addr, Ipv6Addr};

/// A frame, and what makes it new in each round.
pub type Renewed = (Vec<u8>, fn(&mut [u8], u64));

const CLIENT: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 10);
const SERVER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 80);
const CLIENT_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x10);
const SERVER_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 0x53);

/// The flood comes from these 131,072 addresses (RFC 2544), then from the same with another port.
const FLOOD_FROM: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 0);
const FLOOD_SOURCES: u64 = 1 << 17;

/// Connections that download at the same time, and how much each packet carries.
const DOWNLOADS: u16 = 4;
const SEGMENT_BYTES: usize = 1_448;

/// First sequence numbers.
const CLIENT_SEQUENCE: u32 = 1_000;
const SERVER_SEQUENCE: u32 = 5_000;

/// Where the IPv4 source stands, and where TCP and UDP begin behind an IPv4 and an IPv6 header.
const SOURCE_AT: usize = 14 + 12;
const TRANSPORT_AT: usize = 14 + 20;
const TRANSPORT_V6_AT: usize = 14 + 40;

const TCP: u8 = 6;
const UDP: u8 = 17;
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

/// What Linux sends with a SYN (MSS, SACK, timestamps, window scale), and with every later packet (timestamps).
const SYN_OPTIONS: [u8; 20] = [2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7];
const LATER_OPTIONS: [u8; 12] = [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 1];

/// The question "A example.net?" with its header, and the record that answers it (RFC 1035 section 4).
const QUESTION: &[u8] = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03net\x00\x00\x01\x00\x01";
const RECORD: &[u8] = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x0e\x10\x00\x04\xcb\x00\x71\x50";

/// A SYN without options, as tools that flood send it.
pub fn syn() -> Vec<u8> {
    let header = tcp((1_024, 80), (CLIENT_SEQUENCE, 0), SYN, &[]);
    ethernet_v4(TCP, FLOOD_FROM, SERVER, &header)
}

/// Another source address, and another port when all addresses have been used.
pub fn renew_source(frame: &mut [u8], round: u64) {
    let source = FLOOD_FROM.to_bits() + (round % FLOOD_SOURCES) as u32;
    frame[SOURCE_AT..SOURCE_AT + 4].copy_from_slice(&source.to_be_bytes());
    write_port(frame, TRANSPORT_AT, round / FLOOD_SOURCES);
}

/// The handshakes of the downloads.
pub fn handshakes() -> Vec<Vec<u8>> {
    (0..DOWNLOADS).flat_map(handshake).collect()
}

fn handshake(number: u16) -> [Vec<u8>; 3] {
    let (to_server, to_client) = download_ports(number);
    let syn = tcp(to_server, (CLIENT_SEQUENCE, 0), SYN, &SYN_OPTIONS);
    let answer = tcp(to_client, (SERVER_SEQUENCE, CLIENT_SEQUENCE + 1), SYN | ACK, &SYN_OPTIONS);
    let last = tcp(to_server, (CLIENT_SEQUENCE + 1, SERVER_SEQUENCE + 1), ACK, &LATER_OPTIONS);
    [
        ethernet_v4(TCP, CLIENT, SERVER, &syn),
        ethernet_v4(TCP, SERVER, CLIENT, &answer),
        ethernet_v4(TCP, CLIENT, SERVER, &last),
    ]
}

/// A packet of data and its acknowledgement for each download.
pub fn downloads() -> Vec<Renewed> {
    (0..DOWNLOADS).flat_map(data_and_acknowledgement).collect()
}

fn data_and_acknowledgement(number: u16) -> [Renewed; 2] {
    let (to_server, to_client) = download_ports(number);
    let mut data = tcp(to_client, (0, CLIENT_SEQUENCE + 1), ACK, &LATER_OPTIONS);
    data.resize(data.len() + SEGMENT_BYTES, 0);
    let acknowledgement = tcp(to_server, (CLIENT_SEQUENCE + 1, 0), ACK, &LATER_OPTIONS);
    [
        (ethernet_v4(TCP, SERVER, CLIENT, &data), |frame, round| write_number(frame, 4, sent_before(round))),
        (ethernet_v4(TCP, CLIENT, SERVER, &acknowledgement), |frame, round| {
            write_number(frame, 8, sent_before(round + 1));
        }),
    ]
}

fn download_ports(number: u16) -> ((u16, u16), (u16, u16)) {
    ((40_000 + number, 443), (443, 40_000 + number))
}

/// The server's sequence number at the beginning of a round.
fn sent_before(round: u64) -> u32 {
    (SERVER_SEQUENCE + 1).wrapping_add((round as u32).wrapping_mul(SEGMENT_BYTES as u32))
}

/// Query and answer over IPv4, then over IPv6; each round from another port, as resolvers do (RFC 5452).
pub fn look_ups() -> Vec<Renewed> {
    let query = udp((1_024, 53), QUESTION);
    let answer = udp((53, 1_024), &[QUESTION, RECORD].concat());
    vec![
        (ethernet_v4(UDP, CLIENT, SERVER, &query), |frame, round| write_port(frame, TRANSPORT_AT, round)),
        (ethernet_v4(UDP, SERVER, CLIENT, &answer), |frame, round| write_port(frame, TRANSPORT_AT + 2, round)),
        (ethernet_v6(UDP, CLIENT_V6, SERVER_V6, &query), |frame, round| write_port(frame, TRANSPORT_V6_AT, round)),
        (ethernet_v6(UDP, SERVER_V6, CLIENT_V6, &answer), |frame, round| {
            write_port(frame, TRANSPORT_V6_AT + 2, round);
        }),
    ]
}

/// One of the 64,512 ports of clients.
fn write_port(frame: &mut [u8], at: usize, number: u64) {
    let port = 1_024 + (number % 64_512) as u16;
    frame[at..at + 2].copy_from_slice(&port.to_be_bytes());
}

/// A number of the TCP header of an IPv4 packet, at that offset in it.
fn write_number(frame: &mut [u8], offset: usize, number: u32) {
    let at = TRANSPORT_AT + offset;
    frame[at..at + 4].copy_from_slice(&number.to_be_bytes());
}

fn ethernet_v4(protocol: u8, source: Ipv4Addr, destination: Ipv4Addr, payload: &[u8]) -> Vec<u8> {
    let [high, low] = len_bytes(20 + payload.len());
    let header = [0x45, 0, high, low, 0, 0, 0x40, 0, 64, protocol, 0, 0];
    ethernet([0x08, 0x00], &[&header, &source.octets()[..], &destination.octets(), payload].concat())
}

fn ethernet_v6(protocol: u8, source: Ipv6Addr, destination: Ipv6Addr, payload: &[u8]) -> Vec<u8> {
    let [high, low] = len_bytes(payload.len());
    let header = [0x60, 0, 0, 0, high, low, protocol, 64];
    ethernet([0x86, 0xdd], &[&header, &source.octets()[..], &destination.octets(), payload].concat())
}

fn ethernet(kind: [u8; 2], packet: &[u8]) -> Vec<u8> {
    let addresses = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    [&addresses[..], &kind, packet].concat()
}

fn tcp(ports: (u16, u16), numbers: (u32, u32), flags: u8, options: &[u8]) -> Vec<u8> {
    let words = (20 + options.len() as u8) / 4;
    let [sequence, acknowledgement] = [numbers.0, numbers.1].map(u32::to_be_bytes);
    let rest = [words << 4, flags, 0xff, 0xff, 0, 0, 0, 0];
    [&port_bytes(ports)[..], &sequence, &acknowledgement, &rest, options].concat()
}

fn udp(ports: (u16, u16), payload: &[u8]) -> Vec<u8> {
    let [high, low] = len_bytes(8 + payload.len());
    [&port_bytes(ports)[..], &[high, low, 0, 0], payload].concat()
}

fn port_bytes((source, destination): (u16, u16)) -> [u8; 4] {
    let ([a, b], [c, d]) = (source.to_be_bytes(), destination.to_be_bytes());
    [a, b, c, d]
}

fn len_bytes(len: usize) -> [u8; 2] {
    u16::try_from(len).expect("a packet").to_be_bytes()
}
