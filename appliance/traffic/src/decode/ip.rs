//! IPv4 and IPv6 headers, with options, extension headers and fragments.

use core::net::IpAddr;

use smoltcp::wire::{Ipv4Packet, Ipv6Packet};

use super::link::Network;
use super::transport::{self, Segment};
use super::{DecodeError, Decoded, Packet, Transport, to_u32};
use crate::limits::MAX_EXTENSION_HEADERS;
use crate::protocols::{
    AUTHENTICATION, DESTINATION_OPTIONS, FRAGMENT, HOP_BY_HOP, HOST_IDENTITY, MOBILITY, ROUTING, SHIM6, TCP,
};

pub(super) const IPV4_LEN: usize = 20;
pub(super) const IPV6_LEN: usize = 40;
const FRAGMENT_LEN: usize = 8;

/// The longest IP packet, and thus where the last fragment of one ends at the latest.
const MAX_LEN: usize = 65_535;

/// Decodes the IP packet and its transport header.
#[inline]
pub(super) fn decode(network: &Network<'_>) -> Result<Decoded, DecodeError> {
    if network.wire_len_bytes == 0 {
        return Err(DecodeError::IpLength);
    }
    let version = network.bytes.first().ok_or(DecodeError::IpTruncated)? >> 4;
    if network.version.is_some_and(|promised| promised != version) {
        return Err(DecodeError::IpVersion);
    }
    match version {
        4 => ipv4(network),
        6 => ipv6(network),
        _ => Err(DecodeError::IpVersion),
    }
}

/// Takes a header of fixed length off: an error where the packet is shorter, another where less was captured.
#[inline]
fn header<'a, const LEN: usize>(network: &Network<'a>) -> Result<&'a [u8; LEN], DecodeError> {
    if network.wire_len_bytes < LEN {
        return Err(DecodeError::IpLength);
    }
    network.bytes.first_chunk::<LEN>().ok_or(DecodeError::IpTruncated)
}

#[inline]
fn ipv4(network: &Network<'_>) -> Result<Decoded, DecodeError> {
    let header = Ipv4Packet::new_unchecked(header::<IPV4_LEN>(network)?);
    let header_len = usize::from(header.header_len());
    let protocol = u8::from(header.next_header());
    let ip_len = match usize::from(header.total_len()) {
        // TCP segmentation offload leaves the length to the hardware: the frame's is right then.
        0 if protocol == TCP => network.wire_len_bytes,
        stated => stated,
    };
    if header_len < IPV4_LEN || ip_len < header_len || ip_len > network.wire_len_bytes {
        return Err(DecodeError::IpLength);
    }
    let bytes = network.bytes.get(header_len..).ok_or(DecodeError::IpTruncated)?;
    let offset = usize::from(header.frag_offset());
    let segment = Segment { bytes, len_bytes: ip_len - header_len, is_fragment: header.more_frags() };
    let destination = header.dst_addr();
    let mut packet = Packet {
        source: IpAddr::V4(header.src_addr()),
        destination: IpAddr::V4(destination),
        to_group: network.to_group || destination.is_multicast() || destination.is_broadcast(),
        vlan: network.vlan,
        protocol,
        ip_len_bytes: to_u32(ip_len),
        payload_len_bytes: to_u32(segment.len_bytes),
        transport: Transport::Other,
    };
    if offset == 0 {
        transport::decode(&mut packet, segment)?;
    } else {
        check_later_fragment(protocol, offset, ip_len)?;
        packet.transport = Transport::Fragment;
    }
    Ok(Decoded::Ip(packet))
}

#[inline]
fn ipv6(network: &Network<'_>) -> Result<Decoded, DecodeError> {
    let header = Ipv6Packet::new_unchecked(header::<IPV6_LEN>(network)?);
    let next = u8::from(header.next_header());
    let ip_len = match usize::from(header.payload_len()) {
        // Segmentation offload or a jumbogram (RFC 2675): the frame's length is right then.
        0 if matches!(next, TCP | HOP_BY_HOP) => network.wire_len_bytes,
        stated => IPV6_LEN + stated,
    };
    if ip_len > network.wire_len_bytes {
        return Err(DecodeError::IpLength);
    }
    let bytes = network.bytes.get(IPV6_LEN..).ok_or(DecodeError::IpTruncated)?;
    let segment = Segment { bytes, len_bytes: ip_len - IPV6_LEN, is_fragment: false };
    let Chain { protocol, segment, is_later_fragment } =
        if is_extension(next) { extension_headers(next, segment)? } else { Chain::end(next, segment) };
    let destination = header.dst_addr();
    let mut packet = Packet {
        source: IpAddr::V6(header.src_addr()),
        destination: IpAddr::V6(destination),
        to_group: network.to_group || destination.is_multicast(),
        vlan: network.vlan,
        protocol,
        ip_len_bytes: to_u32(ip_len),
        payload_len_bytes: to_u32(segment.len_bytes),
        transport: Transport::Other,
    };
    if is_later_fragment {
        packet.transport = Transport::Fragment;
    } else {
        transport::decode(&mut packet, segment)?;
    }
    Ok(Decoded::Ip(packet))
}

/// The captured bytes behind the IP headers of a packet that [`decode`] has found nothing wrong with.
pub(super) fn behind_headers<'a>(network: &Network<'a>) -> Option<&'a [u8]> {
    let first = *network.bytes.first()?;
    if first >> 4 == 4 {
        return network.bytes.get(usize::from(first & 0x0f) * 4..);
    }
    let (header, bytes) = network.bytes.split_first_chunk::<IPV6_LEN>()?;
    let next = u8::from(Ipv6Packet::new_unchecked(header).next_header());
    let segment = Segment { bytes, len_bytes: network.wire_len_bytes.checked_sub(IPV6_LEN)?, is_fragment: false };
    let chain = if is_extension(next) { extension_headers(next, segment).ok()? } else { Chain::end(next, segment) };
    Some(chain.segment.bytes)
}

/// Refuses a fragment at `offset` bytes that no honest sender makes: one that begins inside the TCP header and may
/// overwrite its flags (RFC 1858, RFC 3128), and one that ends behind the longest packet ("ping of death").
fn check_later_fragment(protocol: u8, offset: usize, len_bytes: usize) -> Result<(), DecodeError> {
    /// The smallest offset above zero that a fragment can have.
    const SMALLEST_OFFSET: usize = 8;
    if protocol == TCP && offset == SMALLEST_OFFSET {
        return Err(DecodeError::FragmentTiny);
    }
    if offset + len_bytes > MAX_LEN { Err(DecodeError::FragmentOverlong) } else { Ok(()) }
}

/// The end of a chain of extension headers.
pub(super) struct Chain<'a> {
    /// IP protocol number of what stands there.
    pub protocol: u8,
    /// What stands there.
    pub segment: Segment<'a>,
    /// It is of a fragment that is not the first one.
    pub is_later_fragment: bool,
}

impl<'a> Chain<'a> {
    const fn end(protocol: u8, segment: Segment<'a>) -> Self {
        Self { protocol, segment, is_later_fragment: false }
    }
}

/// Follows the extension headers (RFC 8200 section 4) to the transport header.
#[inline(never)]
pub(super) fn extension_headers(first: u8, segment: Segment<'_>) -> Result<Chain<'_>, DecodeError> {
    let mut chain = Chain::end(first, segment);
    for _ in 0..MAX_EXTENSION_HEADERS {
        if !is_extension(chain.protocol) || chain.is_later_fragment {
            return Ok(chain);
        }
        chain = behind_extension(&chain)?;
    }
    if is_extension(chain.protocol) && !chain.is_later_fragment {
        return Err(DecodeError::ExtensionHeaders);
    }
    Ok(chain)
}

/// Takes one extension header off.
fn behind_extension<'a>(chain: &Chain<'a>) -> Result<Chain<'a>, DecodeError> {
    let Chain { protocol: header, segment, .. } = *chain;
    let [next, units] = *segment.header::<2>().map_err(as_ip_error)?;
    let len = match header {
        FRAGMENT => FRAGMENT_LEN,
        AUTHENTICATION => (usize::from(units) + 2) * 4,
        _ => (usize::from(units) + 1) * 8,
    };
    let mut rest = segment.behind(len).map_err(as_ip_error)?;
    let mut is_later_fragment = false;
    if let (FRAGMENT, [_, _, high, low, ..]) = (header, segment.bytes) {
        let field = u16::from_be_bytes([*high, *low]);
        let offset = usize::from(field & !7);
        rest.is_fragment = field & 1 != 0;
        is_later_fragment = offset != 0;
        if is_later_fragment {
            check_later_fragment(next, offset, rest.len_bytes)?;
        }
    }
    Ok(Chain { protocol: next, segment: rest, is_later_fragment })
}

/// Extension headers belong to the IP header.
const fn as_ip_error(error: DecodeError) -> DecodeError {
    match error {
        DecodeError::TransportLength => DecodeError::IpLength,
        DecodeError::TransportTruncated => DecodeError::IpTruncated,
        other => other,
    }
}

#[inline]
const fn is_extension(protocol: u8) -> bool {
    matches!(
        protocol,
        HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION_OPTIONS | MOBILITY | HOST_IDENTITY | SHIM6
    )
}
