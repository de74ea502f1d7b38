//! ICMP and ICMPv6 messages, and the packets that their errors are about.

use core::net::IpAddr;

use smoltcp::wire::{Ipv4Packet, Ipv6Packet};

use super::ip::{self, IPV4_LEN, IPV6_LEN};
use super::transport::Segment;
use super::{About, DecodeError, IcmpError, IcmpKind, Packet, Transport, to_u32};
use crate::protocols::{ICMP, ICMPV6, SCTP, TCP, UDP};

/// Message types that mean something here.
pub(super) struct Types {
    echo_request: u8,
    echo_reply: u8,
    /// Questions that no program in use asks; see [`IcmpKind::Odd`].
    odd: &'static [u8],
    errors: &'static [u8],
    unreachable: u8,
    /// The code of [`Types::unreachable`] that only asks for smaller packets.
    too_big: Option<u8>,
}

/// Questions for information (RFC 792) and address masks (RFC 950). Errors (RFC 792): unreachable, source quench, redirect, time
/// exceeded, parameter problem.
pub(super) const V4: Types = Types {
    echo_request: 8,
    echo_reply: 0,
    odd: &[15, 17],
    errors: &[3, 4, 5, 11, 12],
    unreachable: 3,
    too_big: Some(4),
};

/// RFC 4443: unreachable, too big, time exceeded, parameter problem.
pub(super) const V6: Types =
    Types { echo_request: 128, echo_reply: 129, odd: &[], errors: &[1, 2, 3, 4], unreachable: 1, too_big: None };

impl Types {
    const fn is_echo(&self, kind: u8) -> bool {
        kind == self.echo_request || kind == self.echo_reply
    }
}

const BASE_LEN: usize = 4;
const ECHO_LEN: usize = 8;
/// What stands before the packet that an error is about.
const ERROR_LEN: usize = 8;

/// Decodes the message into the packet.
#[inline(never)]
pub(super) fn decode(packet: &mut Packet, segment: Segment<'_>, types: &Types) -> Result<(), DecodeError> {
    let [kind, code, ..] = *segment.header::<BASE_LEN>()?;
    let (kind, len) = if types.errors.contains(&kind) {
        let unreachable = kind == types.unreachable && types.too_big != Some(code);
        (IcmpKind::Error(IcmpError { unreachable, about: about(segment, packet.destination) }), BASE_LEN)
    } else if types.is_echo(kind) {
        let [_, _, _, _, high, low, _, _] = *segment.header::<ECHO_LEN>()?;
        let echo = match (kind == types.echo_request, code) {
            (true, 0) => IcmpKind::EchoRequest,
            (true, _) => IcmpKind::Odd,
            (false, _) => IcmpKind::EchoReply,
        };
        (echo(u16::from_be_bytes([high, low])), ECHO_LEN)
    } else if types.odd.contains(&kind) {
        (IcmpKind::Odd(0), BASE_LEN)
    } else {
        (IcmpKind::Other, BASE_LEN)
    };
    packet.transport = Transport::Icmp(kind);
    packet.payload_len_bytes = to_u32(segment.len_bytes - len);
    Ok(())
}

/// The packet that an error is about, as far as it is there and if `sender`, who receives the error, sent it. It is cut:
/// to 8 bytes behind its IP header (RFC 792), or to what fits (RFC 4443).
fn about(segment: Segment<'_>, sender: IpAddr) -> Option<About> {
    let behind = segment.behind(ERROR_LEN).ok()?;
    let bytes = behind.bytes.get(..behind.len_bytes).unwrap_or(behind.bytes);
    let (source, about) = match bytes.first()? >> 4 {
        4 => about_ipv4(bytes)?,
        6 => about_ipv6(bytes)?,
        _ => return None,
    };
    (source == sender).then_some(about)
}

fn about_ipv4(bytes: &[u8]) -> Option<(IpAddr, About)> {
    let header = Ipv4Packet::new_unchecked(bytes.first_chunk::<IPV4_LEN>()?);
    let header_len = usize::from(header.header_len());
    if header_len < IPV4_LEN || header.frag_offset() != 0 {
        return None;
    }
    let protocol = u8::from(header.next_header());
    let ports = ports(protocol, bytes.get(header_len..)?)?;
    Some((header.src_addr().into(), About { destination: header.dst_addr().into(), protocol, ports }))
}

fn about_ipv6(bytes: &[u8]) -> Option<(IpAddr, About)> {
    let (header, rest) = bytes.split_first_chunk::<IPV6_LEN>()?;
    let header = Ipv6Packet::new_unchecked(header);
    let segment = Segment { bytes: rest, len_bytes: rest.len(), is_fragment: false };
    let chain = ip::extension_headers(header.next_header().into(), segment).ok()?;
    if chain.is_later_fragment {
        return None;
    }
    let ports = ports(chain.protocol, chain.segment.bytes)?;
    Some((header.src_addr().into(), About { destination: header.dst_addr().into(), protocol: chain.protocol, ports }))
}

/// What tells the flow of that protocol apart from others between the same hosts; `None` where it was cut off.
fn ports(protocol: u8, bytes: &[u8]) -> Option<(u16, u16)> {
    let number = |high: u8, low: u8| u16::from_be_bytes([high, low]);
    let echo = match protocol {
        TCP | UDP | SCTP => return bytes.first_chunk().map(|[a, b, c, d]| (number(*a, *b), number(*c, *d))),
        ICMP => &V4,
        ICMPV6 => &V6,
        _ => return Some((0, 0)),
    };
    let [kind, _, _, _, high, low] = *bytes.first_chunk()?;
    let identifier = if echo.is_echo(kind) { number(high, low) } else { 0 };
    Some((identifier, identifier))
}
