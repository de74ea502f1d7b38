//! TCP, UDP and SCTP headers.

use smoltcp::wire::{TcpPacket, UdpPacket};

use super::dns::LongName;
use super::{DecodeError, Packet, SynOptions, Tcp, TcpFlags, Transport, Word, icmp, to_u32, words};
use crate::protocols::{ICMP, ICMPV6, SCTP, TCP, UDP};
use crate::services::DNS_PORT;

const TCP_LEN: usize = 20;
pub(super) const UDP_LEN: usize = 8;

/// What stands behind the IP header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment<'a> {
    /// The captured bytes; padding of the frame may follow.
    pub bytes: &'a [u8],
    /// The length on the wire, by the IP header.
    pub len_bytes: usize,
    /// More fragments follow: the lengths that its headers state are those of the whole packet.
    pub is_fragment: bool,
}

impl<'a> Segment<'a> {
    /// Its first bytes: an error where the packet is shorter than that, another where less was captured.
    #[inline]
    pub fn header<const LEN: usize>(&self) -> Result<&'a [u8; LEN], DecodeError> {
        self.check(LEN)?;
        self.bytes.first_chunk::<LEN>().ok_or(DecodeError::TransportTruncated)
    }

    /// What is behind a header of this length; errors as with [`Segment::header`].
    pub fn behind(&self, len: usize) -> Result<Self, DecodeError> {
        self.check(len)?;
        let bytes = self.bytes.get(len..).ok_or(DecodeError::TransportTruncated)?;
        Ok(Self { bytes, len_bytes: self.len_bytes - len, ..*self })
    }

    /// An error where the packet is shorter than a header of this length. The first fragment holds all headers
    /// (RFC 1858, RFC 7112): senders that divide them want to deceive.
    #[inline]
    const fn check(&self, len: usize) -> Result<(), DecodeError> {
        match (self.len_bytes < len, self.is_fragment) {
            (false, _) => Ok(()),
            (true, true) => Err(DecodeError::FragmentTiny),
            (true, false) => Err(DecodeError::TransportLength),
        }
    }
}

/// Decodes the transport header that the segment begins with into the packet, whose payload is what is behind it.
#[inline]
pub(super) fn decode(packet: &mut Packet, segment: Segment<'_>) -> Result<(), DecodeError> {
    match packet.protocol {
        TCP => tcp(packet, segment),
        UDP => udp(packet, segment),
        ICMP => icmp::decode(packet, segment, &icmp::V4),
        ICMPV6 => icmp::decode(packet, segment, &icmp::V6),
        SCTP => sctp(packet, segment),
        _ => Ok(()),
    }
}

#[inline]
fn tcp(packet: &mut Packet, segment: Segment<'_>) -> Result<(), DecodeError> {
    if segment.is_fragment && segment.len_bytes < TCP_LEN {
        return tcp_fragment(packet, segment);
    }
    let header = TcpPacket::new_unchecked(segment.header::<TCP_LEN>()?);
    let header_len = usize::from(header.header_len());
    if header_len < TCP_LEN {
        return Err(DecodeError::TransportLength);
    }
    // Options may have been cut off by the capture: only the packet's own length counts.
    segment.check(header_len)?;
    let options = if header.syn() { segment.bytes.get(TCP_LEN..header_len).and_then(syn_options) } else { None };
    let flags = TcpFlags {
        fin: header.fin(),
        syn: header.syn(),
        rst: header.rst(),
        psh: header.psh(),
        ack: header.ack(),
        urg: header.urg(),
    };
    let (source_port, destination_port) = (header.src_port(), header.dst_port());
    packet.transport = Transport::Tcp(Tcp {
        source_port,
        destination_port,
        sequence: header.seq_number().0.cast_unsigned(),
        acknowledgement: header.ack_number().0.cast_unsigned(),
        flags,
        window: header.window_len(),
        options,
        word: words::word(
            source_port,
            destination_port,
            segment.bytes.get(header_len..segment.bytes.len().min(segment.len_bytes)),
        ),
    });
    packet.payload_len_bytes = to_u32(segment.len_bytes - header_len);
    Ok(())
}

/// A first fragment that holds the ports and the number, but not the flags, as `nmap -f` sends them. No honest sender makes one
/// (RFC 1858), and who hides its flags is not to hide which ports it tries: it is taken for a packet without flags.
#[inline(never)]
fn tcp_fragment(packet: &mut Packet, segment: Segment<'_>) -> Result<(), DecodeError> {
    /// Ports and sequence number.
    const BEGINNING_LEN: usize = 8;
    let [source_high, source_low, destination_high, destination_low, sequence @ ..] =
        *segment.header::<BEGINNING_LEN>()?;
    packet.transport = Transport::Tcp(Tcp {
        source_port: u16::from_be_bytes([source_high, source_low]),
        destination_port: u16::from_be_bytes([destination_high, destination_low]),
        sequence: u32::from_be_bytes(sequence),
        acknowledgement: 0,
        flags: TcpFlags::default(),
        window: 0,
        options: None,
        word: Word::None,
    });
    packet.payload_len_bytes = 0;
    Ok(())
}

/// Reads the options (RFC 9293 section 3.1), at most 40 bytes; `None` where their lengths do not fit.
#[inline(never)]
fn syn_options(mut bytes: &[u8]) -> Option<SynOptions> {
    /// Kinds (IANA, "TCP Option Kind Numbers").
    const END: u8 = 0;
    const NO_OPERATION: u8 = 1;
    const MSS: u8 = 2;
    const WINDOW_SCALE: u8 = 3;
    let mut options = SynOptions { count: 0, window_scale: None };
    while let [kind, behind @ ..] = bytes {
        match (*kind, behind) {
            (END, _) => break,
            (NO_OPERATION, _) => {
                bytes = behind;
                continue;
            }
            (MSS, [4, ..]) => {}
            (WINDOW_SCALE, [3, shift, ..]) => options.window_scale = Some(*shift),
            (MSS | WINDOW_SCALE, _) | (_, [] | [0 | 1, ..]) => return None,
            _ => {}
        }
        options.count += 1;
        bytes = bytes.get(usize::from(*behind.first()?)..)?;
    }
    Some(options)
}

/// The long name that a datagram to a name server asks for. Padding of the frame may follow it.
#[inline(never)]
fn asked_in(datagram: Segment<'_>) -> Option<LongName> {
    let message = datagram.bytes.get(UDP_LEN..datagram.bytes.len().min(datagram.len_bytes))?;
    LongName::asked_in(message, datagram.len_bytes)
}

#[inline]
fn udp(packet: &mut Packet, segment: Segment<'_>) -> Result<(), DecodeError> {
    let header = UdpPacket::new_unchecked(segment.header::<UDP_LEN>()?);
    let stated = usize::from(header.len());
    // A jumbogram states zero, because its length does not fit into the field (RFC 2675 section 4).
    let is_jumbo = stated == 0 && segment.len_bytes > usize::from(u16::MAX);
    if !is_jumbo && (stated < UDP_LEN || (stated > segment.len_bytes && !segment.is_fragment)) {
        return Err(DecodeError::TransportLength);
    }
    let (source_port, destination_port) = (header.src_port(), header.dst_port());
    let asked = if destination_port == DNS_PORT { asked_in(segment) } else { None };
    packet.transport = Transport::Udp { source_port, destination_port, asked };
    packet.payload_len_bytes = to_u32(segment.len_bytes - UDP_LEN);
    Ok(())
}

/// The common header and the type of the first chunk (RFC 9260 sections 3.1 and 3.2). A packet without chunks has none.
#[inline(never)]
fn sctp(packet: &mut Packet, segment: Segment<'_>) -> Result<(), DecodeError> {
    const COMMON_LEN: usize = 12;
    const ABORT: u8 = 6;
    let [source_high, source_low, destination_high, destination_low, ..] = *segment.header::<COMMON_LEN>()?;
    let first_chunk = segment.bytes.get(COMMON_LEN).filter(|_| segment.len_bytes > COMMON_LEN);
    packet.transport = Transport::Sctp {
        source_port: u16::from_be_bytes([source_high, source_low]),
        destination_port: u16::from_be_bytes([destination_high, destination_low]),
        aborts: first_chunk == Some(&ABORT),
    };
    packet.payload_len_bytes = to_u32(segment.len_bytes - COMMON_LEN);
    Ok(())
}
