//! Link headers: finds the IP packet in a frame, through VLAN tags and PPPoE.

use smoltcp::wire::{EthernetFrame, EthernetProtocol};

use super::{DecodeError, Frame, LinkType};

/// The IP packet inside a frame, and what the link header says of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Network<'a> {
    /// The captured bytes from the IP header on.
    pub bytes: &'a [u8],
    /// How many bytes there were on the wire, padding included.
    pub wire_len_bytes: usize,
    /// The version that the link header promises; `None` where it promises nothing.
    pub version: Option<u8>,
    /// Sent to a group address of the link.
    pub to_group: bool,
    /// Outermost VLAN identifier.
    pub vlan: Option<u16>,
}

/// Most VLAN tags in one frame: an outer and an inner one (802.1ad).
const MAX_TAGS: usize = 2;

const QINQ: u16 = 0x88a8;
const VLAN: u16 = 0x8100;
const OLD_QINQ: u16 = 0x9100;
const PPPOE_SESSION: u16 = 0x8864;

/// Lengths of headers in bytes.
const ETHERNET_LEN: usize = 14;
const TAG_LEN: usize = 4;
const PPPOE_LEN: usize = 6;
const NULL_LEN: usize = 4;
const COOKED_LEN: usize = 16;
const COOKED2_LEN: usize = 20;

/// The IP packet of the frame; `None` where the frame carries something else.
pub(super) fn network<'a>(frame: &Frame<'a>) -> Result<Option<Network<'a>>, DecodeError> {
    let mut cursor = Cursor { bytes: frame.bytes, wire_len_bytes: frame.wire_len_bytes as usize };
    let whole = |cursor: Cursor<'a>, version| {
        let Cursor { bytes, wire_len_bytes } = cursor;
        Ok(Some(Network { bytes, wire_len_bytes, version, to_group: false, vlan: vlan_id(frame.vlan_tag) }))
    };
    match frame.link {
        LinkType::Ethernet => ethernet(cursor, vlan_id(frame.vlan_tag)),
        LinkType::Unsupported => Err(DecodeError::LinkUnsupported),
        LinkType::RawIp => whole(cursor, None),
        LinkType::Null => {
            let family = cursor.take::<NULL_LEN>()?;
            // The family is in the byte order of the machine that captured; every family fits in one byte.
            match family[0].max(family[3]) {
                2 => whole(cursor, Some(4)),
                10 | 24 | 28 | 30 => whole(cursor, Some(6)),
                _ => Ok(None),
            }
        }
        LinkType::LinuxCooked => {
            let header = cursor.take::<COOKED_LEN>()?;
            tagged(cursor, u16::from_be_bytes([header[14], header[15]]), vlan_id(frame.vlan_tag))
        }
        LinkType::LinuxCooked2 => {
            let header = cursor.take::<COOKED2_LEN>()?;
            tagged(cursor, u16::from_be_bytes([header[0], header[1]]), vlan_id(frame.vlan_tag))
        }
    }
}

/// What is left of a frame while its headers are taken off.
#[derive(Clone, Copy)]
struct Cursor<'a> {
    bytes: &'a [u8],
    wire_len_bytes: usize,
}

impl<'a> Cursor<'a> {
    /// Takes a header of fixed length off.
    fn take<const LEN: usize>(&mut self) -> Result<&'a [u8; LEN], DecodeError> {
        let (header, rest) = self.bytes.split_first_chunk::<LEN>().ok_or(DecodeError::LinkTruncated)?;
        self.bytes = rest;
        self.wire_len_bytes = self.wire_len_bytes.saturating_sub(LEN);
        Ok(header)
    }
}

fn ethernet<'a>(mut cursor: Cursor<'a>, vlan: Option<u16>) -> Result<Option<Network<'a>>, DecodeError> {
    let header = EthernetFrame::new_unchecked(cursor.take::<ETHERNET_LEN>()?);
    let to_group = header.dst_addr().is_multicast() || header.dst_addr().is_broadcast();
    let found = tagged(cursor, header.ethertype().into(), vlan)?;
    Ok(found.map(|network| Network { to_group, ..network }))
}

/// Goes through the tags to the IP packet.
fn tagged<'a>(
    mut cursor: Cursor<'a>,
    mut ethertype: u16,
    mut vlan: Option<u16>,
) -> Result<Option<Network<'a>>, DecodeError> {
    for _ in 0..MAX_TAGS {
        if !matches!(ethertype, VLAN | QINQ | OLD_QINQ) {
            break;
        }
        let tag = cursor.take::<TAG_LEN>()?;
        vlan = vlan.or(vlan_id(Some(u16::from_be_bytes([tag[0], tag[1]]))));
        ethertype = u16::from_be_bytes([tag[2], tag[3]]);
    }
    let version = match EthernetProtocol::from(ethertype) {
        EthernetProtocol::Ipv4 => 4,
        EthernetProtocol::Ipv6 => 6,
        EthernetProtocol::Unknown(PPPOE_SESSION) => match pppoe(&mut cursor)? {
            Some(version) => version,
            None => return Ok(None),
        },
        EthernetProtocol::Arp | EthernetProtocol::Unknown(_) => return Ok(None),
    };
    let Cursor { bytes, wire_len_bytes } = cursor;
    Ok(Some(Network { bytes, wire_len_bytes, version: Some(version), to_group: false, vlan }))
}

/// Takes the PPPoE session header and the PPP protocol off (RFC 2516); the IP version inside.
fn pppoe(cursor: &mut Cursor<'_>) -> Result<Option<u8>, DecodeError> {
    cursor.take::<PPPOE_LEN>()?;
    Ok(match u16::from_be_bytes(*cursor.take::<2>()?) {
        0x0021 => Some(4),
        0x0057 => Some(6),
        _ => None,
    })
}

/// The identifier in tag control information; 0 is a priority tag without a VLAN (802.1Q section 9.6).
fn vlan_id(tag: Option<u16>) -> Option<u16> {
    tag.map(|tag| tag & 0x0fff).filter(|id| *id != 0)
}
