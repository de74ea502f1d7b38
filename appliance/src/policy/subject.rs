//! Subjects: who or what something is done about, and what can be done.

use core::fmt;
use core::net::{IpAddr, Ipv6Addr, SocketAddr};
use core::str::FromStr;

use ipnet::{IpNet, Ipv6Net};
use traffic::address::{Address, Mac};
use traffic::protocols::{ICMP, ICMPV6, TCP, UDP};

/// Who or what something is done about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// Whoever sends from an address: one IPv4 address, or the first of an IPv6 /64, since a host chooses freely among the
    /// addresses of its /64 ([`Address::source`]).
    Source(IpAddr),
    /// A device of the household, by the address of its network card.
    Device(Mac),
    /// A service that is flooded from so many addresses that blocking them is of no use.
    Service(Target),
}

/// What floods are kept from: a service, all ports of a host by one protocol, the answers to its pings, or a group of IPv6's neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target {
    /// The address of its host: one, also of IPv6.
    pub destination: IpAddr,
    /// The number of the protocol: TCP, UDP, ICMP or ICMPv6.
    pub protocol: u8,
    /// Its port; none where it is all ports, or ICMP.
    pub port: Option<u16>,
}

impl Target {
    /// The service at a host that a flow of this protocol goes to; `None` where it is none that can be limited.
    #[must_use]
    pub fn of(destination: IpAddr, protocol: u8, port: Option<u16>) -> Option<Self> {
        let of_host = Self::of_host(destination, protocol)?;
        match protocol {
            TCP | UDP => Some(Self { port: Some(port?), ..of_host }),
            _ => Some(of_host),
        }
    }

    /// All that a host offers by this protocol; `None` where it cannot be limited.
    #[must_use]
    pub fn of_host(destination: IpAddr, protocol: u8) -> Option<Self> {
        let is_known = matches!(protocol, TCP | UDP | ICMP | ICMPV6);
        is_known.then(|| Self { destination: destination.to_canonical(), protocol, port: None })
    }

    /// It is a group of IPv6, which hears of routers and neighbours by ICMPv6 (RFC 4861).
    #[must_use]
    pub const fn is_group(&self) -> bool {
        self.protocol == ICMPV6 && self.destination.is_multicast()
    }

    /// It is all ports of the host.
    #[must_use]
    pub const fn is_of_all_ports(&self) -> bool {
        self.port.is_none() && matches!(self.protocol, TCP | UDP)
    }
}

impl Subject {
    /// Who is behind a flow that the address began: a device of the household by its network card, where its frames show it, or
    /// else the address.
    #[must_use]
    pub fn offender(device: Option<Mac>, initiator: IpAddr) -> Self {
        device.map_or_else(|| Self::of(initiator), Self::Device)
    }

    /// The source that the address belongs to.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        Self::Source(Address::from(address).source().ip())
    }

    /// Above its limit only who was asked, or asks twice, gets through. Pings, and what a group hears, are lost there.
    #[must_use]
    pub const fn hears_who_asks_twice(self) -> bool {
        matches!(self, Self::Service(Target { protocol: TCP | UDP, .. }))
    }

    /// All addresses of a source: a /32 or a /64, or one of a link. Devices and services have none that could be named.
    #[must_use]
    pub fn network(self) -> Option<IpNet> {
        match self {
            Self::Source(IpAddr::V4(v4)) => Some(IpAddr::V4(v4).into()),
            Self::Source(IpAddr::V6(v6)) if v6.is_unicast_link_local() => Some(IpAddr::V6(v6).into()),
            Self::Source(IpAddr::V6(v6)) => Some(Ipv6Net::new_assert(v6, 64).into()),
            Self::Device(_) | Self::Service(_) => None,
        }
    }
}

impl From<Target> for Subject {
    fn from(target: Target) -> Self {
        Self::Service(target)
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(IpAddr::V4(v4)) => v4.fmt(f),
            Self::Source(IpAddr::V6(v6)) if v6.is_unicast_link_local() => v6.fmt(f),
            Self::Source(IpAddr::V6(v6)) => write!(f, "{v6}/64"),
            Self::Device(mac) => mac.fmt(f),
            Self::Service(target) => target.fmt(f),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.protocol {
            ICMP | ICMPV6 => "icmp",
            TCP => "tcp",
            _ => "udp",
        };
        match self.port {
            Some(port) => write!(f, "{}/{name}", SocketAddr::new(self.destination, port)),
            None => write!(f, "{}/{name}", self.destination),
        }
    }
}

/// A text names nobody that something can be done about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "give an address (198.51.100.7, 2001:db8::7), a device (02:00:5e:10:00:01), or a service as it is listed (198.51.100.7:80/tcp, all of a host's as 198.51.100.7/tcp or 198.51.100.7/udp, its pings as 198.51.100.7/icmp, what a group hears of routers and neighbours as ff02::1/icmp); networks other than an IPv6 /64 are not blocked"
)]
pub struct NoSubject;

impl FromStr for Subject {
    type Err = NoSubject;

    /// As it is shown; of a source any of its addresses will do.
    fn from_str(text: &str) -> Result<Self, NoSubject> {
        let text = text.trim();
        if let Ok(address) = text.parse() {
            return Ok(Self::of(address));
        }
        if let Some(address) = text.strip_suffix("/64").and_then(|first| first.parse::<Ipv6Addr>().ok()) {
            return Ok(Self::of(address.into()));
        }
        if let Some(address) = text.strip_suffix("/32").and_then(|only| only.parse::<core::net::Ipv4Addr>().ok()) {
            return Ok(Self::of(address.into()));
        }
        let device = || text.parse::<Mac>().ok().filter(|mac| mac.is_of_one_host()).map(Self::Device);
        device().or_else(|| service(text)).ok_or(NoSubject)
    }
}

fn service(text: &str) -> Option<Subject> {
    let (place, protocol) = text.rsplit_once('/')?;
    let host = place.parse::<IpAddr>().ok();
    let protocol = match (protocol, host.map(|host| host.to_canonical())) {
        ("tcp", _) => TCP,
        ("udp", _) => UDP,
        ("icmp", Some(IpAddr::V4(_))) => ICMP,
        ("icmp", Some(IpAddr::V6(_))) => ICMPV6,
        _ => return None,
    };
    let target = match host {
        Some(host) => Target::of_host(host, protocol),
        None => {
            place.parse().ok().and_then(|socket: SocketAddr| Target::of(socket.ip(), protocol, Some(socket.port())))
        }
    };
    target.map(Subject::from)
}

/// What is done about a subject. Of a source the stricter one stands further below.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// Drop only what opens a connection from the source (TCP SYN without ACK, SCTP INIT, UDP and ICMP that nobody asked for): the
    /// answer to evidence that somebody else could have forged in the source's name.
    DenyNew,
    /// Of what opens connections to the service, or answers it, let through so much a second. Above that only who was asked, and
    /// who asks twice, as those do who want an answer; of pings, and of what a group hears, nobody.
    Limit,
    /// Drop everything from and to the source: the evidence was proven by a two-way exchange.
    Deny,
    /// Let the device reach nothing but ARP, neighbour discovery, DHCP, DNS, the allowlist and the box.
    Quarantine,
}

impl Action {
    const ALL: [Self; 4] = [Self::DenyNew, Self::Limit, Self::Deny, Self::Quarantine];

    /// The name in reports, the store, and of the nftables sets.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::DenyNew => "deny_new",
            Self::Limit => "limit",
            Self::Deny => "deny",
            Self::Quarantine => "quarantine",
        }
    }

    /// The action of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_read_as_it_is_shown() {
        for (text, shown) in [
            ("203.0.113.9", "203.0.113.9"),
            ("203.0.113.9/32", "203.0.113.9"),
            ("::ffff:203.0.113.9", "203.0.113.9"),
            ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
            ("2001:db8:1:2::/64", "2001:db8:1:2::/64"),
            ("fe80::1:2", "fe80::1:2"),
            ("ff02::1/icmp", "ff02::1/icmp"),
            (" 02:00:5E:10:00:01 ", "02:00:5e:10:00:01"),
            ("198.51.100.10:80/tcp", "198.51.100.10:80/tcp"),
            ("[2001:db8::1]:53/udp", "[2001:db8::1]:53/udp"),
            ("198.51.100.10:0/udp", "198.51.100.10:0/udp"),
            ("198.51.100.10/udp", "198.51.100.10/udp"),
            ("2001:db8::1/tcp", "2001:db8::1/tcp"),
            ("198.51.100.10/icmp", "198.51.100.10/icmp"),
            ("2001:db8::1/icmp", "2001:db8::1/icmp"),
        ] {
            assert_eq!(text.parse::<Subject>().expect(text).to_string(), shown);
        }
        let wrong = [
            "",
            "203.0.113.0/24",
            "2001:db8::/32",
            "01:00:5e:00:00:01",
            "00:00:00:00:00:00",
            "198.51.100.10:80/sctp",
            "198.51.100.10/sctp",
            "198.51.100.10:8/icmp",
        ];
        for text in wrong {
            assert_eq!(text.parse::<Subject>(), Err(NoSubject), "{text}");
        }
    }
}
