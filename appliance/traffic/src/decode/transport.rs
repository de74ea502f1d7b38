//! TCP, UDP, ICMP and ICMPv6 headers.

use smoltcp::wire::{TcpPacket, UdpPacket};

use crate::protocols::{ICMP, ICMPV6, TCP, UDP};

use super::{DecodeError, IcmpError, IcmpKind, Tcp, TcpFlags, Transport};

/// Message types that mean something here.
struct IcmpTypes {
    echo_request: u8,
    echo_reply: u8,
    errors: &'static [u8],
}

/// RFC 792: unreachable, source quench, redirect, time exceeded, parameter problem.
const ICMPV4_TYPES: IcmpTypes = IcmpTypes { echo_request: 8, echo_reply: 0, errors: &[3, 4, 5, 11, 12] };

/// RFC 4443: unreachable, too big, time exceeded, parameter problem.
const ICMPV6_TYPES: IcmpTypes = IcmpTypes { echo_request: 128, echo_reply: 129, errors: &[1, 2, 3, 4] };

const TCP_LEN: usize = 20;
const UDP_LEN: usize = 8;
const ICMP_LEN: usize = 4;
const ICMP_ECHO_LEN: usize = 8;

/// What stands behind the IP header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment<'a> {
    /// The captured bytes; padding of the frame may follow.
    pub bytes: &'a [u8],
    /// The length on the wire, by the IP header.
    pub len_bytes: usize,
}

impl<'a> Segment<'a> {
    /// Its first bytes: an error where the packet is shorter than that, another where less was captured.
    fn header(&self, len: usize) -> Result<&'a [u8], DecodeError> {
        if self.len_bytes < len {
            return Err(DecodeError::TransportLength);
        }
        self.bytes.get(..len).ok_or(DecodeError::TransportTruncated)
    }
}

/// Decodes the transport header: what it says, and its length in bytes. `fragmented`: this is the first of several
/// fragments, so the lengths that the header states are those of the whole packet.
pub(super) fn decode(protocol: u8, segment: Segment<'_>, fragmented: bool) -> Result<(Transport, usize), DecodeError> {
    match protocol {
        TCP => tcp(segment),
        UDP => udp(segment, fragmented),
        ICMP => icmp(segment, &ICMPV4_TYPES),
        ICMPV6 => icmp(segment, &ICMPV6_TYPES),
        _ => Ok((Transport::Other, 0)),
    }
}

fn tcp(segment: Segment<'_>) -> Result<(Transport, usize), DecodeError> {
    let header = TcpPacket::new_unchecked(segment.header(TCP_LEN)?);
    let header_len = usize::from(header.header_len());
    // Options may have been cut off by the capture: only the packet's own length counts.
    if header_len < TCP_LEN || header_len > segment.len_bytes {
        return Err(DecodeError::TransportLength);
    }
    let flags = TcpFlags {
        fin: header.fin(),
        syn: header.syn(),
        rst: header.rst(),
        psh: header.psh(),
        ack: header.ack(),
        urg: header.urg(),
    };
    let tcp = Tcp {
        source_port: header.src_port(),
        destination_port: header.dst_port(),
        sequence: header.seq_number().0.cast_unsigned(),
        acknowledgement: header.ack_number().0.cast_unsigned(),
        flags,
        window: header.window_len(),
        options: None,
    };
    Ok((Transport::Tcp(tcp), header_len))
}

fn udp(segment: Segment<'_>, fragmented: bool) -> Result<(Transport, usize), DecodeError> {
    let header = UdpPacket::new_unchecked(segment.header(UDP_LEN)?);
    let stated = usize::from(header.len());
    // Zero is a jumbogram's length (RFC 2675).
    if stated != 0 && (stated < UDP_LEN || (stated > segment.len_bytes && !fragmented)) {
        return Err(DecodeError::TransportLength);
    }
    Ok((Transport::Udp { source_port: header.src_port(), destination_port: header.dst_port() }, UDP_LEN))
}

fn icmp(segment: Segment<'_>, types: &IcmpTypes) -> Result<(Transport, usize), DecodeError> {
    let kind = segment.header(ICMP_LEN)?.first().copied().unwrap_or_default();
    if types.errors.contains(&kind) {
        return Ok((Transport::Icmp(IcmpKind::Error(IcmpError { unreachable: false, about: None })), ICMP_LEN));
    }
    if kind != types.echo_request && kind != types.echo_reply {
        return Ok((Transport::Icmp(IcmpKind::Other), ICMP_LEN));
    }
    let identifier = match segment.header(ICMP_ECHO_LEN)? {
        [_, _, _, _, high, low, ..] => u16::from_be_bytes([*high, *low]),
        _ => 0,
    };
    let echo = if kind == types.echo_request { IcmpKind::EchoRequest } else { IcmpKind::EchoReply };
    Ok((Transport::Icmp(echo(identifier)), ICMP_ECHO_LEN))
}
