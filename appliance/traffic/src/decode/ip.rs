//! IPv4 and IPv6 headers, with options, extension headers and fragments.

use core::net::IpAddr;

use smoltcp::wire::{IpProtocol, Ipv4Packet, Ipv6Packet};

use super::link::Network;
use super::transport::{self, Segment};
use super::{DecodeError, Packet, Transport};
use crate::limits::MAX_EXTENSION_HEADERS;

const IPV4_LEN: usize = 20;
const IPV6_LEN: usize = 40;

/// Decodes the IP packet and its transport header.
pub(super) fn decode(network: &Network<'_>) -> Result<Packet, DecodeError> {
    let first = network.bytes.first().ok_or(DecodeError::IpTruncated)?;
    let version = first >> 4;
    if network.version.is_some_and(|promised| promised != version) {
        return Err(DecodeError::IpVersion);
    }
    match version {
        4 => ipv4(network),
        6 => ipv6(network),
        _ => Err(DecodeError::IpVersion),
    }
}

fn ipv4(network: &Network<'_>) -> Result<Packet, DecodeError> {
    let bytes = network.bytes;
    if bytes.len() < IPV4_LEN {
        return Err(DecodeError::IpTruncated);
    }
    let header = Ipv4Packet::new_unchecked(bytes);
    let header_len = usize::from(header.header_len());
    // A total length of zero comes from segmentation offload: the frame's length is right then.
    let ip_len = match usize::from(header.total_len()) {
        0 => network.wire_len_bytes,
        stated => stated,
    };
    if header_len < IPV4_LEN || ip_len < header_len || ip_len > network.wire_len_bytes {
        return Err(DecodeError::IpLength);
    }
    let behind = bytes.get(header_len..).ok_or(DecodeError::IpTruncated)?;
    let segment = Segment { bytes: behind, len_bytes: ip_len - header_len };
    let protocol = header.next_header().into();
    let (source, destination) = (header.src_addr(), header.dst_addr());
    let (transport, header_len) = if header.frag_offset() == 0 {
        transport::decode(protocol, segment, header.more_frags())?
    } else {
        (Transport::Fragment, 0)
    };
    Ok(Packet {
        source: IpAddr::V4(source),
        destination: IpAddr::V4(destination),
        to_group: network.to_group || destination.is_multicast() || destination.is_broadcast(),
        vlan: network.vlan,
        protocol,
        ip_len_bytes: to_u32(ip_len),
        payload_len_bytes: to_u32(segment.len_bytes.saturating_sub(header_len)),
        transport,
    })
}

fn ipv6(network: &Network<'_>) -> Result<Packet, DecodeError> {
    let bytes = network.bytes;
    if bytes.len() < IPV6_LEN {
        return Err(DecodeError::IpTruncated);
    }
    let header = Ipv6Packet::new_unchecked(bytes);
    // A payload length of zero is a jumbogram (RFC 2675) or segmentation offload: the frame's length is right then.
    let ip_len = match usize::from(header.payload_len()) {
        0 => network.wire_len_bytes,
        stated => IPV6_LEN + stated,
    };
    if ip_len < IPV6_LEN || ip_len > network.wire_len_bytes {
        return Err(DecodeError::IpLength);
    }
    let behind = bytes.get(IPV6_LEN..).ok_or(DecodeError::IpTruncated)?;
    let chain = extension_headers(header.next_header(), Segment { bytes: behind, len_bytes: ip_len - IPV6_LEN })?;
    let protocol = chain.protocol.into();
    let (transport, header_len) = if chain.later_fragment {
        (Transport::Fragment, 0)
    } else {
        transport::decode(protocol, chain.segment, chain.more_fragments)?
    };
    let (source, destination) = (header.src_addr(), header.dst_addr());
    Ok(Packet {
        source: IpAddr::V6(source),
        destination: IpAddr::V6(destination),
        to_group: network.to_group || destination.is_multicast(),
        vlan: network.vlan,
        protocol,
        ip_len_bytes: to_u32(ip_len),
        payload_len_bytes: to_u32(chain.segment.len_bytes.saturating_sub(header_len)),
        transport,
    })
}

/// The end of a chain of extension headers.
struct Chain<'a> {
    protocol: IpProtocol,
    segment: Segment<'a>,
    /// A fragment that is not the first one.
    later_fragment: bool,
    /// The first fragment of several.
    more_fragments: bool,
}

/// Follows the extension headers (RFC 8200 section 4) to the transport header.
fn extension_headers(first: IpProtocol, segment: Segment<'_>) -> Result<Chain<'_>, DecodeError> {
    let mut chain = Chain { protocol: first, segment, later_fragment: false, more_fragments: false };
    for _ in 0..=MAX_EXTENSION_HEADERS {
        let Some(len) = extension_len(chain.protocol, chain.segment)? else { return Ok(chain) };
        let header = chain.segment.bytes.get(..len).ok_or(DecodeError::IpTruncated)?;
        let left = chain.segment.len_bytes.checked_sub(len).ok_or(DecodeError::IpLength)?;
        if let (IpProtocol::Ipv6Frag, [_, _, offset_high, offset_low, ..]) = (chain.protocol, header) {
            let field = u16::from_be_bytes([*offset_high, *offset_low]);
            chain.later_fragment = field >> 3 != 0;
            chain.more_fragments = field & 1 != 0;
        }
        chain.protocol = IpProtocol::from(header.first().copied().unwrap_or_default());
        chain.segment = Segment { bytes: chain.segment.bytes.get(len..).unwrap_or_default(), len_bytes: left };
        if chain.later_fragment {
            return Ok(chain);
        }
    }
    Err(DecodeError::ExtensionHeaders)
}

/// The length of the extension header that stands first; `None` where it is not an extension header.
fn extension_len(protocol: IpProtocol, segment: Segment<'_>) -> Result<Option<usize>, DecodeError> {
    /// Authentication header, mobility, host identity, shim6.
    const AH: u8 = 51;
    const MOBILITY: u8 = 135;
    const HIP: u8 = 139;
    const SHIM6: u8 = 140;
    let length_field = || segment.bytes.get(1).map(|byte| usize::from(*byte)).ok_or(DecodeError::IpTruncated);
    Ok(match protocol {
        IpProtocol::Ipv6Frag => Some(8),
        IpProtocol::HopByHop | IpProtocol::Ipv6Route | IpProtocol::Ipv6Opts => Some((length_field()? + 1) * 8),
        other => match u8::from(other) {
            AH => Some((length_field()? + 2) * 4),
            MOBILITY | HIP | SHIM6 => Some((length_field()? + 1) * 8),
            _ => None,
        },
    })
}

/// Lengths stem from 16-bit fields or from the frame's 32-bit length.
fn to_u32(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
