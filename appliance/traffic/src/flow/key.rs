//! The key of a flow: the same for both directions.

use core::net::{IpAddr, Ipv6Addr};

use crate::decode::{IcmpKind, Packet, Transport};

/// One side of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// The address; IPv4 as IPv4-mapped IPv6 (RFC 4291 section 2.5.5.2).
    address: u128,
    /// The port of TCP and UDP, the identifier of ICMP echo, else 0.
    port: u16,
}

impl Endpoint {
    /// The address.
    #[must_use]
    pub fn address(self) -> IpAddr {
        Ipv6Addr::from_bits(self.address).to_canonical()
    }

    /// The port; see the field.
    #[must_use]
    pub const fn port(self) -> u16 {
        self.port
    }
}

/// The address as the 128 bits that tables are keyed by.
pub(crate) fn mapped(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// Which of the two sides of a [`FlowKey`] sent a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The lower endpoint.
    FromLow,
    /// The higher endpoint.
    FromHigh,
}

impl Direction {
    /// The other one.
    #[must_use]
    pub const fn reversed(self) -> Self {
        match self {
            Self::FromLow => Self::FromHigh,
            Self::FromHigh => Self::FromLow,
        }
    }
}

/// The 5-tuple with its endpoints in order, and the VLAN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlowKey {
    low: Endpoint,
    high: Endpoint,
    protocol: u8,
    /// 0 for an untagged flow.
    vlan: u16,
}

impl FlowKey {
    /// The key of the packet's flow, and which side sent the packet.
    #[must_use]
    pub fn of(packet: &Packet) -> (Self, Direction) {
        let (source_port, destination_port) = match packet.transport {
            Transport::Tcp(tcp) => (tcp.source_port, tcp.destination_port),
            Transport::Udp { source_port, destination_port } => (source_port, destination_port),
            Transport::Icmp(IcmpKind::EchoRequest(identifier) | IcmpKind::EchoReply(identifier)) => {
                (identifier, identifier)
            }
            Transport::Icmp(IcmpKind::Error(_) | IcmpKind::Other) | Transport::Fragment | Transport::Other => (0, 0),
        };
        let source = Endpoint { address: mapped(packet.source), port: source_port };
        let destination = Endpoint { address: mapped(packet.destination), port: destination_port };
        let (low, high, direction) = if source <= destination {
            (source, destination, Direction::FromLow)
        } else {
            (destination, source, Direction::FromHigh)
        };
        (Self { low, high, protocol: packet.protocol, vlan: packet.vlan.unwrap_or(0) }, direction)
    }

    /// The side that sends in that direction.
    #[must_use]
    pub const fn sender(&self, direction: Direction) -> Endpoint {
        match direction {
            Direction::FromLow => self.low,
            Direction::FromHigh => self.high,
        }
    }

    /// IP protocol number.
    #[must_use]
    pub const fn protocol(&self) -> u8 {
        self.protocol
    }

    /// VLAN identifier of a tagged flow.
    #[must_use]
    pub fn vlan(&self) -> Option<u16> {
        Some(self.vlan).filter(|id| *id != 0)
    }
}
