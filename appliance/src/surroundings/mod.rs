//! What is around the box: who the gateways are, which servers the household is given, and which port faces the internet.
//!
//! A box that is nothing but a bridge has no routes that would tell. So it hears what is announced at its ports: [`frame`]
//! takes such frames apart ([`dhcp`], [`discovery`]), [`memory`] keeps what each port said, bounded and for a time,
//! [`internet_side`] tells which port faces the internet, and [`picture`] puts that together with what the kernel knows.
//!
//! Anybody in the household can forge an announcement. So what is heard only ever protects; as soon as it is known which port
//! faces the internet, only those are believed who were heard there; and the kernel's own routes come first everywhere.

mod dhcp;
mod discovery;
mod frame;
mod internet_side;
mod memory;
mod picture;

use core::net::IpAddr;
use core::time::Duration;

use ipnet::IpNet;

use traffic::address::Mac;

pub use frame::read;
pub use picture::{Facts, Learned, Picture};

/// One thing that a frame says. How long it holds is counted from when it was heard; what has no time left is withdrawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announcement {
    /// An address is at a MAC (ARP, RFC 826; neighbour and router advertisements, RFC 4861).
    Owner {
        /// The address.
        address: IpAddr,
        /// The MAC.
        mac: Mac,
    },
    /// A default router (DHCP, RFC 2131; router advertisements, RFC 4861).
    Gateway {
        /// Its address.
        address: IpAddr,
        /// The network that it is the gateway of, where that is said.
        network: Option<IpNet>,
        /// How long it is one.
        lifetime: Duration,
    },
    /// A server of names (DHCP, RFC 2132, RFC 3646; router advertisements, RFC 8106).
    Resolver {
        /// Its address.
        address: IpAddr,
        /// How long it may be used.
        lifetime: Duration,
    },
    /// A server of addresses (RFC 2131).
    DhcpServer {
        /// Its address.
        address: IpAddr,
        /// How long what it gave holds.
        lifetime: Duration,
    },
}

/// Where the box stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Placement {
    /// Between the router and the household: a gateway has an address in the household's networks.
    LanSide,
    /// Not known.
    #[default]
    Unknown,
}

impl Placement {
    /// In words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::LanSide => "between the router and the household",
            Self::Unknown => "not known",
        }
    }
}
