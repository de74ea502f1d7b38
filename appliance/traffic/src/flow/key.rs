//! The key of a flow: the same for both directions.

use core::net::IpAddr;

use crate::address::Address;
use crate::decode::{About, IcmpKind, Packet, Transport};

/// One side of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    address: Address,
    /// The port of TCP, UDP and SCTP, the identifier of ICMP echo, else 0.
    port: u16,
}

impl Endpoint {
    /// The address.
    #[must_use]
    pub const fn address(self) -> Address {
        self.address
    }

    /// The port; see the field.
    #[must_use]
    pub const fn port(self) -> u16 {
        self.port
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
    /// Fragments without a transport header have a flow of their own: their ports are not known.
    fragments: bool,
    /// 0 for an untagged flow.
    vlan: u16,
}

impl FlowKey {
    /// The key of the packet's flow, and which side sent the packet.
    #[must_use]
    pub fn of(packet: &Packet) -> (Self, Direction) {
        let ports = match packet.transport {
            Transport::Tcp(tcp) => (tcp.source_port, tcp.destination_port),
            Transport::Udp { source_port, destination_port, .. }
            | Transport::Sctp { source_port, destination_port, .. } => (source_port, destination_port),
            Transport::Icmp(
                IcmpKind::EchoRequest(identifier) | IcmpKind::EchoReply(identifier) | IcmpKind::Odd(identifier),
            ) => (identifier, identifier),
            Transport::Icmp(IcmpKind::Error(_) | IcmpKind::Other) | Transport::Fragment | Transport::Other => (0, 0),
        };
        let (mut key, direction) = Self::between((packet.source, packet.destination), ports, packet.protocol);
        key.fragments = packet.transport == Transport::Fragment;
        key.vlan = packet.vlan.unwrap_or(0);
        (key, direction)
    }

    /// The key of the flow that an ICMP error is about, and which side sent the packet that it complains of.
    #[must_use]
    pub fn about(packet: &Packet, about: &About) -> (Self, Direction) {
        let (mut key, direction) = Self::between((packet.destination, about.destination), about.ports, about.protocol);
        key.vlan = packet.vlan.unwrap_or(0);
        (key, direction)
    }

    #[inline]
    fn between(addresses: (IpAddr, IpAddr), ports: (u16, u16), protocol: u8) -> (Self, Direction) {
        let source = Endpoint { address: addresses.0.into(), port: ports.0 };
        let destination = Endpoint { address: addresses.1.into(), port: ports.1 };
        let is_from_low = match addresses {
            (IpAddr::V4(from), IpAddr::V4(to)) => (from.to_bits(), ports.0) <= (to.to_bits(), ports.1),
            _ => (source.address.bits(), ports.0) <= (destination.address.bits(), ports.1),
        };
        if is_from_low {
            (Self { low: source, high: destination, protocol, fragments: false, vlan: 0 }, Direction::FromLow)
        } else {
            (Self { low: destination, high: source, protocol, fragments: false, vlan: 0 }, Direction::FromHigh)
        }
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
