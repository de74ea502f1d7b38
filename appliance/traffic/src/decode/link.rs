//! Link headers: finds the IP packet or the ARP message in a frame, through VLAN tags, PPPoE and PPP.

use smoltcp::wire::{ArpHardware, ArpPacket, EthernetFrame, EthernetProtocol};

use super::{Arp, ArpOperation, DecodeError, Frame, LinkType};

/// What a frame carries.
#[derive(Clone, Copy, Debug)]
pub(super) enum Carried<'a> {
    /// An IP packet.
    Ip(Network<'a>),
    /// An ARP message.
    Arp(Arp),
    /// Something else.
    Other,
}

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

/// EtherTypes (IEEE registration authority). An 802.3 frame has its length in their place.
const IPV4: u16 = 0x0800;
const ARP: u16 = 0x0806;
const IPV6: u16 = 0x86dd;
const QINQ: u16 = 0x88a8;
const VLAN: u16 = 0x8100;
const OLD_QINQ: u16 = 0x9100;
const PPPOE_SESSION: u16 = 0x8864;
const EMPTY: u16 = 0;

/// Lengths of headers in bytes.
const ETHERNET_LEN: usize = 14;
const TAG_LEN: usize = 4;
const ARP_LEN: usize = 28;
const PPPOE_LEN: usize = 6;
const NULL_LEN: usize = 4;
const COOKED_LEN: usize = 16;
const COOKED2_LEN: usize = 20;

/// The IP packet of an Ethernet frame with nothing in between; `None` where it takes [`carried`] to find out.
#[inline]
pub(super) fn ip_on_ethernet<'a>(frame: &Frame<'a>) -> Option<Network<'a>> {
    if frame.link != LinkType::Ethernet {
        return None;
    }
    let mut rest = Rest::of(frame);
    let version = match rest.take_ethernet().ok()? {
        IPV4 => 4,
        IPV6 => 6,
        _ => return None,
    };
    Some(rest.network(Some(version)))
}

/// Takes the link headers off.
pub(super) fn carried<'a>(frame: &Frame<'a>) -> Result<Carried<'a>, DecodeError> {
    let mut rest = Rest::of(frame);
    match frame.link {
        LinkType::Ethernet => {
            let ethertype = rest.take_ethernet()?;
            behind_ethertype(rest, ethertype)
        }
        LinkType::Unsupported => Err(DecodeError::LinkUnsupported),
        LinkType::RawIp => Ok(rest.ip(None)),
        LinkType::Null => null(rest),
        LinkType::LinuxCooked => {
            let header = rest.take::<COOKED_LEN>()?;
            behind_ethertype(rest, u16::from_be_bytes([header[14], header[15]]))
        }
        LinkType::LinuxCooked2 => {
            let header = rest.take::<COOKED2_LEN>()?;
            behind_ethertype(rest, u16::from_be_bytes([header[0], header[1]]))
        }
        LinkType::Ppp => ppp_link(rest),
        LinkType::PppWithDirection => {
            rest.take::<1>()?;
            ppp_link(rest)
        }
        LinkType::Pppoe => pppoe(rest).map(|session| session.unwrap_or(Carried::Other)),
    }
}

/// What is left of a frame while its headers are taken off, and what they said.
#[derive(Clone, Copy)]
struct Rest<'a> {
    bytes: &'a [u8],
    wire_len_bytes: usize,
    vlan: Option<u16>,
    to_group: bool,
}

impl<'a> Rest<'a> {
    #[inline]
    fn of(frame: &Frame<'a>) -> Self {
        let &Frame { bytes, wire_len_bytes, vlan_tag, .. } = frame;
        Self { bytes, wire_len_bytes: wire_len_bytes as usize, vlan: vlan_tag.and_then(vlan_id), to_group: false }
    }

    /// Takes a header of fixed length off: an error where the frame is shorter, another where less was captured.
    #[inline]
    fn take<const LEN: usize>(&mut self) -> Result<&'a [u8; LEN], DecodeError> {
        self.wire_len_bytes = self.wire_len_bytes.checked_sub(LEN).ok_or(DecodeError::LinkLength)?;
        let (header, bytes) = self.bytes.split_first_chunk::<LEN>().ok_or(DecodeError::LinkTruncated)?;
        self.bytes = bytes;
        Ok(header)
    }

    /// Takes the Ethernet header off; the EtherType.
    #[inline]
    fn take_ethernet(&mut self) -> Result<u16, DecodeError> {
        let header = EthernetFrame::new_unchecked(self.take::<ETHERNET_LEN>()?);
        // Broadcast is a multicast address too.
        self.to_group = header.dst_addr().is_multicast();
        Ok(header.ethertype().into())
    }

    #[inline]
    const fn network(self, version: Option<u8>) -> Network<'a> {
        let Self { bytes, wire_len_bytes, vlan, to_group } = self;
        Network { bytes, wire_len_bytes, version, to_group, vlan }
    }

    const fn ip(self, version: Option<u8>) -> Carried<'a> {
        Carried::Ip(self.network(version))
    }
}

/// Goes through the tags to what is behind them.
fn behind_ethertype(mut rest: Rest<'_>, mut ethertype: u16) -> Result<Carried<'_>, DecodeError> {
    for _ in 0..MAX_TAGS {
        if !matches!(ethertype, VLAN | QINQ | OLD_QINQ) {
            break;
        }
        let tag = rest.take::<TAG_LEN>()?;
        rest.vlan = rest.vlan.or(vlan_id(u16::from_be_bytes([tag[0], tag[1]])));
        ethertype = u16::from_be_bytes([tag[2], tag[3]]);
    }
    match ethertype {
        IPV4 => Ok(rest.ip(Some(4))),
        IPV6 => Ok(rest.ip(Some(6))),
        ARP => arp(rest),
        PPPOE_SESSION => pppoe(rest)?.ok_or(DecodeError::LinkHeader),
        VLAN | QINQ | OLD_QINQ | EMPTY => Err(DecodeError::LinkHeader),
        _ => Ok(Carried::Other),
    }
}

/// Reads an ARP message (RFC 826).
fn arp(mut rest: Rest<'_>) -> Result<Carried<'_>, DecodeError> {
    let message = ArpPacket::new_unchecked(rest.take::<ARP_LEN>()?);
    if message.hardware_type() != ArpHardware::Ethernet || message.protocol_type() != EthernetProtocol::Ipv4 {
        return Ok(Carried::Other);
    }
    if (message.hardware_len(), message.protocol_len()) != (6, 4) {
        return Err(DecodeError::LinkHeader);
    }
    let (mut sender_mac, mut sender, mut target) = ([0; 6], [0; 4], [0; 4]);
    sender_mac.copy_from_slice(message.source_hardware_addr());
    sender.copy_from_slice(message.source_protocol_addr());
    target.copy_from_slice(message.target_protocol_addr());
    let operation = match u16::from(message.operation()) {
        1 => ArpOperation::Request,
        2 => ArpOperation::Reply,
        _ => ArpOperation::Other,
    };
    Ok(Carried::Arp(Arp { operation, sender: sender.into(), sender_mac, target: target.into(), vlan: rest.vlan }))
}

/// Takes the PPPoE header off (RFC 2516 section 4); `None` for a message that is not of a session.
fn pppoe(mut rest: Rest<'_>) -> Result<Option<Carried<'_>>, DecodeError> {
    let header = rest.take::<PPPOE_LEN>()?;
    let [version_and_type, code, _, _, high, low] = *header;
    if version_and_type != 0x11 {
        return Err(DecodeError::LinkHeader);
    }
    if code != 0 {
        return Ok(None);
    }
    let len = usize::from(u16::from_be_bytes([high, low]));
    if len > rest.wire_len_bytes {
        return Err(DecodeError::LinkLength);
    }
    rest.wire_len_bytes = len;
    ppp(rest).map(Some)
}

/// Takes the HDLC address and control off, which may have been left out (RFC 1662, RFC 1661 section 6.6); Cisco's own
/// framing has an EtherType behind them (RFC 1547 section 4.3.1).
fn ppp_link(mut rest: Rest<'_>) -> Result<Carried<'_>, DecodeError> {
    match rest.bytes {
        // Cut where it cannot be told which of them it is.
        [_] if rest.wire_len_bytes > 1 => Err(DecodeError::LinkTruncated),
        [0xff, 0x03, ..] => {
            rest.take::<2>()?;
            ppp(rest)
        }
        [0x0f | 0x8f, 0x00, ..] => {
            let header = rest.take::<4>()?;
            behind_ethertype(rest, u16::from_be_bytes([header[2], header[3]]))
        }
        _ => ppp(rest),
    }
}

/// Takes the PPP protocol off: two bytes, or one where its first, zero, was left out (RFC 1661 section 6.5).
fn ppp(mut rest: Rest<'_>) -> Result<Carried<'_>, DecodeError> {
    let [first] = *rest.take::<1>()?;
    let protocol = if first & 1 == 1 { first.into() } else { u16::from_be_bytes([first, rest.take::<1>()?[0]]) };
    Ok(match protocol {
        0x0021 => rest.ip(Some(4)),
        0x0057 => rest.ip(Some(6)),
        _ => Carried::Other,
    })
}

/// Takes the address family off. It is in the byte order of the machine that captured; the smaller reading is right.
fn null(mut rest: Rest<'_>) -> Result<Carried<'_>, DecodeError> {
    let family = *rest.take::<NULL_LEN>()?;
    match u32::from_be_bytes(family).min(u32::from_le_bytes(family)) {
        0 => Err(DecodeError::LinkHeader),
        2 => Ok(rest.ip(Some(4))),
        // Linux, NetBSD and OpenBSD, FreeBSD, macOS.
        10 | 24 | 28 | 30 => Ok(rest.ip(Some(6))),
        _ => Ok(Carried::Other),
    }
}

/// The identifier in tag control information; 0 is a priority tag without a VLAN (802.1Q section 9.6).
#[inline]
const fn vlan_id(tag: u16) -> Option<u16> {
    match tag & 0x0fff {
        0 => None,
        id => Some(id),
    }
}
