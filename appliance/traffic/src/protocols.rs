//! IP protocol numbers that something depends on (IANA, "Assigned Internet Protocol Numbers").

/// ICMP.
pub const ICMP: u8 = 1;
/// TCP.
pub const TCP: u8 = 6;
/// UDP.
pub const UDP: u8 = 17;
/// IPv6 inside IPv4 (6in4, RFC 4213).
pub const IPV6_TUNNEL: u8 = 41;
/// Generic routing encapsulation (RFC 2784).
pub const GRE: u8 = 47;
/// ICMPv6.
pub const ICMPV6: u8 = 58;

/// SCTP (RFC 9260).
pub const SCTP: u8 = 132;

/// IPv6 hop-by-hop options (RFC 8200 section 4.3).
pub const HOP_BY_HOP: u8 = 0;
/// IPv6 routing header (RFC 8200 section 4.4).
pub const ROUTING: u8 = 43;
/// IPv6 fragment header (RFC 8200 section 4.5).
pub const FRAGMENT: u8 = 44;
/// Authentication header (RFC 4302).
pub const AUTHENTICATION: u8 = 51;
/// IPv6 destination options (RFC 8200 section 4.6).
pub const DESTINATION_OPTIONS: u8 = 60;
/// Mobility header (RFC 6275).
pub const MOBILITY: u8 = 135;
/// Host identity protocol (RFC 7401).
pub const HOST_IDENTITY: u8 = 139;
/// Shim6 (RFC 5533).
pub const SHIM6: u8 = 140;
