//! Decode: from frame bytes to a [`Packet`], by the lengths that the headers state.
//!
//! Captures may be cut to their first 128 bytes or so, therefore sizes come from the IP header and never from what was
//! captured. Each part checks its lengths once, before anything of it is read, and then reads fields with smoltcp's wire
//! types: first the length that the packet states, then that so much was captured, so that a packet that is too short is
//! never taken for one that was cut. Whatever does not fit is a [`DecodeError`], which the pipeline counts by kind.

pub mod dns;
mod icmp;
mod ip;
mod link;
mod transport;
mod words;

use core::net::{IpAddr, Ipv4Addr};

use dns::LongName;
use link::Carried;
pub use words::Word;

use crate::address::Mac;

/// What stands at the beginning of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkType {
    /// Ethernet II (LINKTYPE_ETHERNET, 1).
    Ethernet,
    /// IPv4 or IPv6 without a link header (LINKTYPE_RAW, 101, and 12, 14, 228, 229).
    RawIp,
    /// Linux cooked capture (LINKTYPE_LINUX_SLL, 113).
    LinuxCooked,
    /// Linux cooked capture, version 2 (LINKTYPE_LINUX_SLL2, 276).
    LinuxCooked2,
    /// BSD loopback: an address family in 4 bytes (LINKTYPE_NULL, 0, and LINKTYPE_LOOP, 108).
    Null,
    /// PPP, with or without the address and control of HDLC (LINKTYPE_PPP, 9, and LINKTYPE_PPP_HDLC, 50).
    Ppp,
    /// The same behind one byte that says which way it went (LINKTYPE_PPP_WITH_DIR, 204).
    PppWithDirection,
    /// A PPPoE header without the Ethernet header (LINKTYPE_PPP_ETHER, 51).
    Pppoe,
    /// Any other: every frame is a [`DecodeError::LinkUnsupported`].
    Unsupported,
}

/// A frame as it was captured.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// What its first bytes are.
    pub link: LinkType,
    /// The captured bytes, from the link header on.
    pub bytes: &'a [u8],
    /// The length that the frame had on the wire.
    pub wire_len_bytes: u32,
    /// The 802.1Q tag control information, where the kernel took the tag out of the frame.
    pub vlan_tag: Option<u16>,
}

impl Frame<'_> {
    /// The Ethernet address that sent it; none where the link has no such addresses, or the frame is cut off before it.
    #[must_use]
    pub fn sender(&self) -> Option<Mac> {
        let bytes = self.bytes.get(6..12).filter(|_| self.link == LinkType::Ethernet)?;
        bytes.try_into().ok().map(Mac)
    }
}

/// What a frame turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// An IP packet.
    Ip(Packet),
    /// An ARP message about IPv4 addresses on Ethernet.
    Arp(Arp),
    /// Something else; nothing is wrong with it.
    NotIp,
}

/// An ARP message (RFC 826): somebody on the link asks for the owner of an address, or says that it is the owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arp {
    /// What it is for.
    pub operation: ArpOperation,
    /// The IPv4 address that the sender claims; unspecified in a probe (RFC 5227).
    pub sender: Ipv4Addr,
    /// The MAC address that the sender claims it for.
    pub sender_mac: [u8; 6],
    /// The IPv4 address that is asked for, or the asker's.
    pub target: Ipv4Addr,
    /// The outermost VLAN identifier, where the frame is tagged.
    pub vlan: Option<u16>,
}

/// What an ARP message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArpOperation {
    /// A question, or a host that makes itself known.
    Request,
    /// The answer.
    Reply,
    /// Any other, such as those of Reverse ARP.
    Other,
}

/// An IP packet, in what flows and features need of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// The sender.
    pub source: IpAddr,
    /// The receiver.
    pub destination: IpAddr,
    /// The frame was sent to a broadcast or multicast address.
    pub to_group: bool,
    /// The outermost VLAN identifier, where the frame is tagged.
    pub vlan: Option<u16>,
    /// IP protocol number of the transport header (IANA), behind all extension headers.
    pub protocol: u8,
    /// Length of the whole IP packet, header included, as on the wire.
    pub ip_len_bytes: u32,
    /// Length of what is behind the transport header, as on the wire.
    pub payload_len_bytes: u32,
    /// The transport header.
    pub transport: Transport,
}

/// The part of a transport header that is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP.
    Tcp(Tcp),
    /// UDP.
    Udp {
        /// Sender's port.
        source_port: u16,
        /// Receiver's port.
        destination_port: u16,
        /// The long name that it asks a name server about.
        asked: Option<LongName>,
    },
    /// SCTP.
    Sctp {
        /// Sender's port.
        source_port: u16,
        /// Receiver's port.
        destination_port: u16,
        /// Its first chunk is an ABORT: there is no such association, or it is to end (RFC 9260 section 3.3.7).
        aborts: bool,
    },
    /// ICMP or ICMPv6.
    Icmp(IcmpKind),
    /// A fragment that is not the first one: it holds no transport header.
    Fragment,
    /// Another protocol, such as GRE or IPv6 inside IPv4: tunnels are not looked into.
    Other,
}

/// What an ICMP or ICMPv6 message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IcmpKind {
    /// A ping, with its identifier.
    EchoRequest(u16),
    /// The answer to a ping, with its identifier.
    EchoReply(u16),
    /// A question that no program in use asks and those do that tell systems apart: a ping with a code (RFC 792 and RFC 4443 know
    /// code 0 alone), with its identifier; for information or an address mask, which nobody answers any more (RFC 6918), with 0.
    Odd(u16),
    /// A complaint about another packet: its sender was made to send it (RFC 792, RFC 4443 section 3).
    Error(IcmpError),
    /// Anything else, such as neighbour discovery.
    Other,
}

/// A complaint about another packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IcmpError {
    /// The packet did not arrive: ICMP type 3, except where a smaller packet would arrive (code 4); ICMPv6 type 1.
    pub unreachable: bool,
    /// The packet that it is about. `None` where too little of it is there, and where the receiver of the complaint did
    /// not send it: then it names no flow of the receiver.
    pub about: Option<About>,
}

/// What an ICMP error says of the packet that it is about. The sender of that packet is the receiver of the error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct About {
    /// Where that packet was going.
    pub destination: IpAddr,
    /// IP protocol number of its transport header.
    pub protocol: u8,
    /// Its source and destination port, of TCP, UDP and SCTP; the identifier twice for an ICMP echo; zeros for another protocol.
    pub ports: (u16, u16),
}

/// The part of a TCP header that is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tcp {
    /// Sender's port.
    pub source_port: u16,
    /// Receiver's port.
    pub destination_port: u16,
    /// Sequence number.
    pub sequence: u32,
    /// Acknowledgement number; meaningful where the ACK flag is set.
    pub acknowledgement: u32,
    /// The flags; none where they are in another fragment.
    pub flags: TcpFlags,
    /// The window field, not scaled.
    pub window: u16,
    /// The options of a packet with SYN. `None` in others, and where they are malformed or were not captured whole.
    pub options: Option<SynOptions>,
    /// What its payload says, as far as it was captured and is understood.
    pub word: Word,
}

/// What the options of a packet with SYN offer (RFC 9293 section 3.2, RFC 7323 section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SynOptions {
    /// How many there are, without the padding (no-operation and end of list).
    pub count: u8,
    /// The window scale shift, where it is offered.
    pub window_scale: Option<u8>,
}

/// The six flags of RFC 9293 section 3.1 that mean something here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the header")]
pub struct TcpFlags {
    pub fin: bool,
    pub syn: bool,
    pub rst: bool,
    pub psh: bool,
    pub ack: bool,
    pub urg: bool,
}

impl TcpFlags {
    /// A combination that no connection uses and scanners do: nothing at all (NULL scan), FIN without ACK (FIN and Xmas
    /// scans), or SYN together with FIN or RST.
    #[must_use]
    pub const fn is_odd(self) -> bool {
        let nothing = !(self.fin || self.syn || self.rst || self.ack);
        nothing || (self.fin && !self.ack) || (self.syn && (self.fin || self.rst))
    }
}

impl Packet {
    /// The ports of TCP, UDP and SCTP: source, destination.
    #[must_use]
    pub const fn ports(&self) -> Option<(u16, u16)> {
        match self.transport {
            Transport::Tcp(Tcp { source_port, destination_port, .. })
            | Transport::Udp { source_port, destination_port, .. }
            | Transport::Sctp { source_port, destination_port, .. } => Some((source_port, destination_port)),
            Transport::Icmp(_) | Transport::Fragment | Transport::Other => None,
        }
    }

    /// No program in use sends such a packet, and scanners do.
    #[must_use]
    pub const fn is_odd(&self) -> bool {
        match self.transport {
            Transport::Tcp(tcp) => tcp.flags.is_odd(),
            Transport::Icmp(kind) => matches!(kind, IcmpKind::Odd(_)),
            Transport::Udp { .. } | Transport::Sctp { .. } | Transport::Fragment | Transport::Other => false,
        }
    }
}

/// Why a frame could not be decoded. Each is a counter. A *length* is wrong by what the packet and its frame say of
/// themselves; what is *cut* was whole on the wire, and only the capture holds too little of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Frames of this link type are not known.
    #[error("unsupported link type")]
    LinkUnsupported,
    /// The link header, or an ARP message, was not captured whole.
    #[error("link header cut")]
    LinkTruncated,
    /// The frame is shorter than its link header or ARP message, or than PPPoE says.
    #[error("impossible link length")]
    LinkLength,
    /// A link header that means nothing: a third VLAN tag, an empty 802.3 frame, a PPPoE header of no session, an address
    /// family of zero, addresses of the wrong length in an ARP message.
    #[error("impossible link header")]
    LinkHeader,
    /// The IP header, or an extension header, was not captured whole.
    #[error("IP header cut")]
    IpTruncated,
    /// The version in the IP header is neither 4 nor 6, or not the one that the link header names.
    #[error("wrong IP version")]
    IpVersion,
    /// The IP header's length is impossible, or the packet is longer than its frame or shorter than its header.
    #[error("impossible IP length")]
    IpLength,
    /// More IPv6 extension headers than any real packet has.
    #[error("too many extension headers")]
    ExtensionHeaders,
    /// A first fragment that is cut off within the transport header, of TCP within its ports or its options, or a second one that
    /// begins inside the TCP header (RFC 1858, RFC 3128, RFC 7112).
    #[error("tiny fragment")]
    FragmentTiny,
    /// A fragment that ends behind the longest packet that there can be ("ping of death").
    #[error("fragment beyond the longest packet")]
    FragmentOverlong,
    /// The transport header was not captured whole.
    #[error("transport header cut")]
    TransportTruncated,
    /// The transport header's length is impossible, or beyond the end of the packet.
    #[error("impossible transport length")]
    TransportLength,
}

impl DecodeError {
    /// All kinds, in the order of their counters.
    pub const ALL: [Self; 12] = [
        Self::LinkUnsupported,
        Self::LinkTruncated,
        Self::LinkLength,
        Self::LinkHeader,
        Self::IpTruncated,
        Self::IpVersion,
        Self::IpLength,
        Self::ExtensionHeaders,
        Self::FragmentTiny,
        Self::FragmentOverlong,
        Self::TransportTruncated,
        Self::TransportLength,
    ];
}

/// Decodes one frame. The work is bounded whatever the frame holds.
///
/// The first 128 bytes of a frame are enough for two VLAN tags, PPPoE and PPP (30 bytes with the Ethernet header), an IPv4
/// header with all its options (60) and the TCP header without options (20); or for an IPv6 header (40) and a TCP header
/// with 38 bytes of options instead; or, without tags, for an ICMPv6 error with the ports of the packet that it is about
/// (106). Of a frame that needs more for its headers the options of a SYN or the packet of an error are missing, or it is
/// a [`DecodeError::IpTruncated`] or [`DecodeError::TransportTruncated`]; all else is as of the whole frame.
///
/// # Errors
/// The first thing that does not fit.
pub fn decode(frame: &Frame<'_>) -> Result<Decoded, DecodeError> {
    // Nearly every frame: what is found stays in registers.
    if let Some(network) = link::ip_on_ethernet(frame) {
        return ip::decode(&network);
    }
    decode_behind_headers(frame)
}

#[inline(never)]
fn decode_behind_headers(frame: &Frame<'_>) -> Result<Decoded, DecodeError> {
    match link::carried(frame)? {
        Carried::Ip(network) => ip::decode(&network),
        Carried::Arp(arp) => Ok(Decoded::Arp(arp)),
        Carried::Other => Ok(Decoded::NotIp),
    }
}

/// What a UDP datagram carries, as far as it was captured, with the packet that [`decode`] makes of the frame. It takes the
/// headers off once more, so it is for the few frames whose payload is looked at.
#[must_use]
pub fn datagram<'a>(frame: &Frame<'a>) -> Option<(Packet, &'a [u8])> {
    let Carried::Ip(network) = link::carried(frame).ok()? else { return None };
    let Decoded::Ip(packet) = ip::decode(&network).ok()? else { return None };
    if !matches!(packet.transport, Transport::Udp { .. }) {
        return None;
    }
    let payload = ip::behind_headers(&network)?.get(transport::UDP_LEN..)?;
    // Padding of the frame may follow.
    let len = usize::try_from(packet.payload_len_bytes).unwrap_or(usize::MAX);
    Some((packet, payload.get(..len).unwrap_or(payload)))
}

/// How many routers the packet may pass yet: the time to live of IPv4, the hop limit of IPv6. Not in [`Packet`], because no
/// feature may rest on it: it tells the laboratory from the internet.
#[must_use]
pub fn hop_limit(frame: &Frame<'_>) -> Option<u8> {
    let Ok(Carried::Ip(network)) = link::carried(frame) else { return None };
    let offset = if network.bytes.first()? >> 4 == 4 { 8 } else { 7 };
    network.bytes.get(offset).copied()
}

/// Lengths stem from 16-bit fields or from the frame's 32-bit length.
#[inline]
fn to_u32(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

// It is copied for every packet: no more than a cache line and a quarter, and nothing on top of it for the result.
const _: () = assert!(size_of::<Packet>() <= 80 && size_of::<Result<Decoded, DecodeError>>() == size_of::<Packet>());
