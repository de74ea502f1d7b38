//! An independent reader of packets, etherparse, says the same of every frame of every capture that there is, but for the
//! differences that are listed here with their reasons.
#![allow(clippy::expect_used, clippy::panic, reason = "a test may stop at the first surprise")]

mod corpus;

use std::collections::BTreeMap;
use std::fs::File;
use std::net::IpAddr;

use etherparse::{LaxNetSlice, LaxSlicedPacket, TransportSlice};
use traffic::capture_file::CaptureFile;
use traffic::decode::{Decoded, Frame, LinkType, Packet, Transport, decode};
use traffic::protocols::{AUTHENTICATION, HOST_IDENTITY, MOBILITY, SHIM6};

/// What became of the comparison of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Same,
    /// Neither found an IP packet.
    NoIp,
    /// Of link types that etherparse does not know.
    OtherLink,
    /// We refuse what etherparse, which is lax here on purpose, takes: impossible lengths, forged fragments, empty headers,
    /// a third VLAN tag.
    Refused,
    /// We look into PPPoE sessions; etherparse does not.
    InsidePppoe,
    /// etherparse looks into MACsec; we do not, and a home network has none.
    InsideMacsec,
    /// An authentication header in IPv4 is a protocol for us, as a tunnel is; for etherparse it is an extension header.
    Authentication,
    /// We look behind these IPv6 extension headers; etherparse does not.
    Mobility,
    /// An extension header that etherparse stopped at, because of what is in it; we read its length only.
    ExtensionBody,
    /// An IPv6 packet that states no payload has none for us, where etherparse takes the rest of the frame.
    StatesNoPayload,
    /// They are different, and there is no reason.
    Different,
}

/// What etherparse says of an IP packet.
struct Theirs {
    addresses: (IpAddr, IpAddr),
    protocol: u8,
    /// Of a TCP or UDP header that it read, which it does not in fragments.
    ports: Option<(u16, u16)>,
    /// How much is behind the TCP or UDP header; behind the IP header where it is neither.
    payload_len: usize,
    /// It read to the end, and that was captured whole.
    is_complete: bool,
}

fn sliced<'a>(frame: &Frame<'a>) -> Option<LaxSlicedPacket<'a>> {
    match frame.link {
        LinkType::Ethernet => LaxSlicedPacket::from_ethernet(frame.bytes).ok(),
        LinkType::RawIp => LaxSlicedPacket::from_ip(frame.bytes).ok(),
        _ => None,
    }
}

fn theirs(sliced: &LaxSlicedPacket<'_>) -> Option<Theirs> {
    let addresses: (IpAddr, IpAddr) = match sliced.net.as_ref()? {
        LaxNetSlice::Ipv4(ip) => (ip.header().source_addr().into(), ip.header().destination_addr().into()),
        LaxNetSlice::Ipv6(ip) => (ip.header().source_addr().into(), ip.header().destination_addr().into()),
        LaxNetSlice::Arp(_) => return None,
    };
    let payload = sliced.ip_payload()?;
    let (ports, header_len) = match &sliced.transport {
        Some(TransportSlice::Tcp(tcp)) => (Some((tcp.source_port(), tcp.destination_port())), tcp.header_slice().len()),
        Some(TransportSlice::Udp(udp)) => (Some((udp.source_port(), udp.destination_port())), udp.header_slice().len()),
        _ => (None, 0),
    };
    Some(Theirs {
        addresses,
        protocol: payload.ip_number.0,
        ports,
        payload_len: payload.payload.len() - header_len,
        is_complete: sliced.stop_err.is_none() && !payload.incomplete,
    })
}

fn compare(frame: &Frame<'_>) -> Outcome {
    if !matches!(frame.link, LinkType::Ethernet | LinkType::RawIp) {
        return Outcome::OtherLink;
    }
    let sliced = sliced(frame);
    let theirs = sliced.as_ref().and_then(theirs);
    match (decode(frame), theirs) {
        (Ok(Decoded::Ip(ours)), Some(theirs)) => compare_packets(&ours, &theirs),
        (Ok(Decoded::Ip(_)), None) if is_pppoe(frame.bytes) => Outcome::InsidePppoe,
        (Ok(Decoded::Ip(_)), None) => Outcome::Different,
        (Ok(Decoded::Arp(_)), Some(_)) => Outcome::Different,
        (Ok(Decoded::NotIp), Some(_)) if frame.bytes.windows(2).any(|bytes| bytes == [0x88, 0xe5]) => {
            Outcome::InsideMacsec
        }
        (Ok(Decoded::NotIp), Some(_)) => Outcome::Different,
        (Err(_), Some(_)) => Outcome::Refused,
        (_, None) => Outcome::NoIp,
    }
}

fn compare_packets(ours: &Packet, theirs: &Theirs) -> Outcome {
    if (ours.source, ours.destination) != theirs.addresses {
        return Outcome::Different;
    }
    if ours.protocol != theirs.protocol {
        return match (ours.protocol, theirs.protocol) {
            (AUTHENTICATION, _) => Outcome::Authentication,
            (_, MOBILITY | HOST_IDENTITY | SHIM6) => Outcome::Mobility,
            _ if !theirs.is_complete => Outcome::ExtensionBody,
            _ => Outcome::Different,
        };
    }
    // Where etherparse read no header, because of a fragment or of what it found there, it has no ports to compare.
    let has_other_ports = theirs.ports.is_some() && ours.ports() != theirs.ports;
    let is_comparable = theirs.is_complete && (theirs.ports.is_some() || !has_header(ours));
    let has_other_len = is_comparable && ours.payload_len_bytes as usize != theirs.payload_len;
    match (has_other_ports, has_other_len) {
        (false, false) => Outcome::Same,
        (false, true) if ours.source.is_ipv6() && ours.ip_len_bytes == 40 => Outcome::StatesNoPayload,
        _ => Outcome::Different,
    }
}

/// We took a transport header off, of which the payload is counted from.
fn has_header(packet: &Packet) -> bool {
    !matches!(packet.transport, Transport::Other | Transport::Fragment)
}

/// Somewhere behind the addresses there is the type of a PPPoE session with its first byte.
fn is_pppoe(bytes: &[u8]) -> bool {
    bytes.get(12..).is_some_and(|bytes| bytes.windows(3).take(12).any(|bytes| bytes == [0x88, 0x64, 0x11]))
}

#[test]
fn etherparse_says_the_same_of_every_frame() {
    let mut counts = BTreeMap::new();
    let mut different = Vec::new();
    for path in corpus::files() {
        let Ok(mut capture) = CaptureFile::new(File::open(&path).expect("readable")) else { continue };
        let mut number = 0_u64;
        let mut count = |frame: &Frame<'_>| {
            number += 1;
            let outcome = compare(frame);
            *counts.entry(outcome).or_insert(0_u64) += 1;
            if outcome == Outcome::Different {
                different.push(format!("{} frame {number}: {:?}", path.display(), decode(frame)));
            }
        };
        while capture.next_frame(&mut |_, frame| count(frame)).unwrap_or(false) {}
    }
    println!("{counts:?}");
    assert!(counts.get(&Outcome::Same).is_some_and(|same| *same > 1_000), "{counts:?}");
    assert!(different.is_empty(), "{} frames:\n{}", different.len(), different.join("\n"));
}
