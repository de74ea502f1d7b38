//! Interfaces, bridges, addresses, routes and neighbours, over route netlink.

use core::net::IpAddr;

use ipnet::IpNet;
use nix::errno::Errno;
use traffic::address::Mac;

use super::netlink::{
    FLAG_ACK, FLAG_CREATE, FLAG_DUMP, FLAG_EXCLUSIVE, FLAG_REPLACE, NetlinkError, Protocol, Reply, Request, Socket,
    attributes, read_ne_u32,
};

/// Lengths of the fixed parts: `struct ifinfomsg`, `ifaddrmsg`, `rtmsg`, `ndmsg`, `rtnexthop`.
const LINK_HEADER_BYTES: usize = 16;
const ADDRESS_HEADER_BYTES: usize = 8;
const ROUTE_HEADER_BYTES: usize = 12;
const NEIGHBOUR_HEADER_BYTES: usize = 12;
const NEXT_HOP_HEADER_BYTES: usize = 8;

/// `IFLA_*`
mod link {
    pub const MAC: u16 = 1;
    pub const NAME: u16 = 3;
    pub const MTU: u16 = 4;
    pub const MASTER: u16 = 10;
    pub const INFO: u16 = 18;
    pub const INFO_KIND: u16 = 1;
    pub const INFO_DATA: u16 = 2;
    pub const VETH_PEER: u16 = 1;
    pub const BRIDGE_FORWARD_DELAY: u16 = 1;
    pub const BRIDGE_STP: u16 = 5;
    pub const BRIDGE_MULTICAST_SNOOPING: u16 = 23;
}

/// `IFA_*`, `RTA_*`, `NDA_*`
const ADDRESS: u16 = 1;
const ADDRESS_LOCAL: u16 = 2;
const ROUTE_LINK: u16 = 4;
const ROUTE_GATEWAY: u16 = 5;
const ROUTE_PRIORITY: u16 = 6;
const ROUTE_MULTIPATH: u16 = 9;
const ROUTE_VIA: u16 = 18;
const NEIGHBOUR_MAC: u16 = 2;
const NEIGHBOUR_VLAN: u16 = 5;
const NEIGHBOUR_MASTER: u16 = 9;

/// `RTN_UNICAST`, `RT_TABLE_MAIN`, `RTPROT_STATIC`, `RT_SCOPE_UNIVERSE`
const ROUTE_UNICAST: u8 = 1;
const TABLE_MAIN: u8 = 254;
const BY_AN_ADMINISTRATOR: u8 = 4;
const TO_ANYWHERE: u8 = 0;
/// Of a default route of IPv6: before those that routers announce, which have 1024.
const PRIORITY_V6: u32 = 512;
/// `NUD_REACHABLE`, `NUD_STALE`, `NUD_DELAY`, `NUD_PROBE` and `NUD_PERMANENT`: somebody has answered, or was put there by hand.
const NEIGHBOUR_ANSWERED: u16 = 0x02 | 0x04 | 0x08 | 0x10 | 0x80;
/// `NUD_PERMANENT`: in a bridge, an address of its own.
const NEIGHBOUR_PERMANENT: u16 = 0x80;
/// The VLAN of everything on a bridge that filters VLANs and was told nothing else; a bridge that does not filter has none.
const DEFAULT_VLANS: [Option<u16>; 2] = [None, Some(1)];

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its index.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its MAC address, where it has one.
    pub mac: Option<Mac>,
    /// Index of the bridge that it is a port of.
    pub master: Option<u32>,
    /// The largest packet that it takes, in bytes.
    pub mtu_bytes: u32,
    /// Somebody set it up.
    pub is_up: bool,
    /// The other end of its cable is up.
    pub has_carrier: bool,
    /// What it is, for those made by software: `bridge`, `veth`, `vlan`, …
    pub kind: Option<String>,
}

impl Link {
    /// Whether it is a bridge.
    #[must_use]
    pub fn is_bridge(&self) -> bool {
        self.kind.as_deref() == Some("bridge")
    }
}

/// A default route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// The router.
    pub address: IpAddr,
    /// Index of the interface that it is reached by.
    pub link: u32,
}

/// Reads and changes the interfaces of the network namespace that it was opened in.
#[derive(Debug)]
pub struct Links {
    socket: Socket,
}

impl Links {
    /// Opens the socket.
    ///
    /// # Errors
    /// No file descriptor is left.
    pub fn open() -> Result<Self, NetlinkError> {
        Ok(Self { socket: Socket::open(Protocol::Route)? })
    }

    /// All interfaces.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn all(&mut self) -> Result<Vec<Link>, NetlinkError> {
        self.list(libc::RTM_GETLINK, LINK_HEADER_BYTES, |reply, links| links.extend(read_link(reply)))
    }

    /// The ports of a bridge.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn ports(&mut self, bridge: u32) -> Result<Vec<Link>, NetlinkError> {
        Ok(self.all()?.into_iter().filter(|link| link.master == Some(bridge)).collect())
    }

    /// Makes a bridge that forwards at once: without spanning tree, forward delay and multicast snooping.
    ///
    /// # Errors
    /// What the kernel refused: an interface of that name stands already, or missing rights.
    pub fn create_bridge(&mut self, name: &str) -> Result<(), NetlinkError> {
        let mut request = Request::new();
        request.message(libc::RTM_NEWLINK, FLAG_ACK | FLAG_CREATE | FLAG_EXCLUSIVE, &link_header(0, false));
        request.text(link::NAME, name).nest(link::INFO, |info| {
            info.text(link::INFO_KIND, "bridge").nest(link::INFO_DATA, |bridge| {
                bridge.ne_u32(link::BRIDGE_FORWARD_DELAY, 0).ne_u32(link::BRIDGE_STP, 0);
                bridge.attribute(link::BRIDGE_MULTICAST_SNOOPING, &[0]);
            });
        });
        self.socket.request(&mut request, |_| {})
    }

    /// Makes a pair of interfaces: what goes into one comes out of the other.
    ///
    /// # Errors
    /// What the kernel refused: it has none, or an interface of either name stands already.
    pub fn create_pair(&mut self, [one, other]: [&str; 2]) -> Result<(), NetlinkError> {
        let mut request = Request::new();
        request.message(libc::RTM_NEWLINK, FLAG_ACK | FLAG_CREATE | FLAG_EXCLUSIVE, &link_header(0, false));
        request.text(link::NAME, one).nest(link::INFO, |info| {
            info.text(link::INFO_KIND, "veth").nest(link::INFO_DATA, |pair| {
                pair.nest(link::VETH_PEER, |peer| {
                    peer.append(&link_header(0, false));
                    peer.text(link::NAME, other);
                });
            });
        });
        self.socket.request(&mut request, |_| {})
    }

    /// Makes the interface a port of the bridge.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn enslave(&mut self, port: u32, bridge: u32) -> Result<(), NetlinkError> {
        let mut request = Request::new();
        request.message(libc::RTM_SETLINK, FLAG_ACK, &link_header(port, false)).ne_u32(link::MASTER, bridge);
        self.socket.request(&mut request, |_| {})
    }

    /// Sets the interface up.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn set_up(&mut self, index: u32) -> Result<(), NetlinkError> {
        let mut request = Request::new();
        request.message(libc::RTM_SETLINK, FLAG_ACK, &link_header(index, true));
        self.socket.request(&mut request, |_| {})
    }

    /// Gives the interface an address with its prefix; one that it has stays.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn add_address(&mut self, index: u32, address: IpNet) -> Result<(), NetlinkError> {
        let [i0, i1, i2, i3] = index.to_ne_bytes();
        let header = [family(address.addr()), address.prefix_len(), 0, 0, i0, i1, i2, i3];
        let mut request = Request::new();
        request.message(libc::RTM_NEWADDR, FLAG_ACK | FLAG_CREATE | FLAG_REPLACE, &header);
        for kind in [ADDRESS_LOCAL, ADDRESS] {
            match address.addr() {
                IpAddr::V4(v4) => request.attribute(kind, &v4.octets()),
                IpAddr::V6(v6) => request.attribute(kind, &v6.octets()),
            };
        }
        match self.socket.request(&mut request, |_| {}) {
            Err(error) if error.errno() == Some(Errno::EEXIST) => Ok(()),
            result => result,
        }
    }

    /// The addresses of all interfaces, each with the index of its interface.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn addresses(&mut self) -> Result<Vec<(u32, IpNet)>, NetlinkError> {
        self.list(libc::RTM_GETADDR, ADDRESS_HEADER_BYTES, |reply, found| found.extend(read_own_address(reply)))
    }

    /// The default gateways of both families.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn gateways(&mut self) -> Result<Vec<Gateway>, NetlinkError> {
        self.list(libc::RTM_GETROUTE, ROUTE_HEADER_BYTES, read_gateways)
    }

    /// Sends what is for nobody near to the gateway, before other default routes of its family, which stay; one by this gateway that
    /// there is already stays as it is.
    ///
    /// # Errors
    /// What the kernel refused: the gateway is no neighbour at that interface, or missing rights.
    pub fn add_gateway(&mut self, gateway: Gateway) -> Result<(), NetlinkError> {
        if self.gateways()?.contains(&gateway) {
            return Ok(());
        }
        let family = family(gateway.address);
        let header = [family, 0, 0, 0, TABLE_MAIN, BY_AN_ADMINISTRATOR, TO_ANYWHERE, ROUTE_UNICAST, 0, 0, 0, 0];
        let mut request = Request::new();
        request.message(libc::RTM_NEWROUTE, FLAG_ACK | FLAG_CREATE, &header).ne_u32(ROUTE_LINK, gateway.link);
        match gateway.address {
            IpAddr::V4(v4) => request.attribute(ROUTE_GATEWAY, &v4.octets()),
            IpAddr::V6(v6) => request.attribute(ROUTE_GATEWAY, &v6.octets()).ne_u32(ROUTE_PRIORITY, PRIORITY_V6),
        };
        self.socket.request(&mut request, |_| {})
    }

    /// The MACs of the addresses that the kernel has spoken with, of both families.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn neighbours(&mut self) -> Result<Vec<(IpAddr, Mac)>, NetlinkError> {
        self.list(libc::RTM_GETNEIGH, NEIGHBOUR_HEADER_BYTES, |reply, found| found.extend(read_neighbour(reply)))
    }

    /// Index of the bridge's port behind which it has seen the MAC; none where it has not, or the MAC is its own. One MAC is
    /// asked for, because of forged ones the bridge may have seen any number.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn port_of(&mut self, bridge: u32, mac: Mac) -> Result<Option<u32>, NetlinkError> {
        for vlan in DEFAULT_VLANS {
            let mut header = [0; NEIGHBOUR_HEADER_BYTES];
            header[0] = libc::AF_BRIDGE as u8;
            let mut request = Request::new();
            request.message(libc::RTM_GETNEIGH, 0, &header).attribute(NEIGHBOUR_MAC, &mac.0);
            request.ne_u32(NEIGHBOUR_MASTER, bridge);
            if let Some(vlan) = vlan {
                request.attribute(NEIGHBOUR_VLAN, &vlan.to_ne_bytes());
            }
            let mut port = None;
            match self.socket.request(&mut request, |reply| port = read_port(&reply)) {
                Ok(()) => return Ok(port),
                Err(error) if error.errno() == Some(Errno::ENOENT) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    fn list<T>(
        &mut self,
        kind: u16,
        header_bytes: usize,
        mut read: impl FnMut(&Reply<'_>, &mut Vec<T>),
    ) -> Result<Vec<T>, NetlinkError> {
        let build = |request: &mut Request| {
            request.message(kind, FLAG_DUMP, [0; LINK_HEADER_BYTES].get(..header_bytes).unwrap_or_default());
        };
        self.socket.dump(build, |found: &mut Vec<T>, reply| read(&reply, found))
    }
}

/// `struct ifinfomsg`
fn link_header(index: u32, set_up: bool) -> [u8; LINK_HEADER_BYTES] {
    let [i0, i1, i2, i3] = index.to_ne_bytes();
    // Flags, and the mask of those that change.
    let [u0, u1, u2, u3] = (if set_up { libc::IFF_UP } else { 0 }).to_ne_bytes();
    [0, 0, 0, 0, i0, i1, i2, i3, u0, u1, u2, u3, u0, u1, u2, u3]
}

const fn family(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => libc::AF_INET as u8,
        IpAddr::V6(_) => libc::AF_INET6 as u8,
    }
}

fn read_link(reply: &Reply<'_>) -> Option<Link> {
    let [_, _, _, _, i0, i1, i2, i3, f0, f1, f2, f3, ..] = *reply.payload.first_chunk::<LINK_HEADER_BYTES>()?;
    let flags = i32::from_ne_bytes([f0, f1, f2, f3]);
    let mut found = Link {
        index: u32::from_ne_bytes([i0, i1, i2, i3]),
        name: String::new(),
        mac: None,
        master: None,
        mtu_bytes: 0,
        is_up: flags & libc::IFF_UP != 0,
        has_carrier: flags & libc::IFF_LOWER_UP != 0,
        kind: None,
    };
    for (kind, value) in attributes(reply.payload.get(LINK_HEADER_BYTES..)?) {
        match kind {
            link::NAME => found.name = read_text(value)?,
            link::MAC => found.mac = value.try_into().ok(),
            link::MTU => found.mtu_bytes = read_ne_u32(value)?,
            link::MASTER => found.master = read_ne_u32(value),
            link::INFO => {
                found.kind =
                    attributes(value).find(|(kind, _)| *kind == link::INFO_KIND).and_then(|(_, name)| read_text(name));
            }
            _ => {}
        }
    }
    Some(found)
}

fn read_text(value: &[u8]) -> Option<String> {
    let text = value.split(|byte| *byte == 0).next()?;
    core::str::from_utf8(text).ok().map(str::to_owned)
}

fn read_address(value: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(value).map(IpAddr::from).or_else(|_| <[u8; 16]>::try_from(value).map(IpAddr::from)).ok()
}

fn read_own_address(reply: &Reply<'_>) -> Option<(u32, IpNet)> {
    let [_, prefix_len, _, _, index @ ..] = *reply.payload.first_chunk::<ADDRESS_HEADER_BYTES>()?;
    let mut address = None;
    for (kind, value) in attributes(reply.payload.get(ADDRESS_HEADER_BYTES..)?) {
        match kind {
            // On a point-to-point link the other attribute is the far end.
            ADDRESS_LOCAL => address = read_address(value),
            ADDRESS => address = address.or(read_address(value)),
            _ => {}
        }
    }
    Some((u32::from_ne_bytes(index), IpNet::new(address?, prefix_len).ok()?))
}

/// State and interface of a `struct ndmsg`.
fn read_neighbour_header(reply: &Reply<'_>) -> Option<(u16, u32)> {
    let [_, _, _, _, i0, i1, i2, i3, s0, s1, _, _] = *reply.payload.first_chunk::<NEIGHBOUR_HEADER_BYTES>()?;
    Some((u16::from_ne_bytes([s0, s1]), u32::from_ne_bytes([i0, i1, i2, i3])))
}

fn read_neighbour(reply: &Reply<'_>) -> Option<(IpAddr, Mac)> {
    let (state, _) = read_neighbour_header(reply)?;
    if state & NEIGHBOUR_ANSWERED == 0 {
        return None;
    }
    let value = |wanted| attributes(reply.payload.get(NEIGHBOUR_HEADER_BYTES..)?).find(|(kind, _)| *kind == wanted);
    let ((_, address), (_, mac)) = (value(ADDRESS)?, value(NEIGHBOUR_MAC)?);
    Some((read_address(address)?, mac.try_into().ok()?))
}

fn read_port(reply: &Reply<'_>) -> Option<u32> {
    read_neighbour_header(reply).filter(|(state, _)| state & NEIGHBOUR_PERMANENT == 0).map(|(_, port)| port)
}

fn read_gateways(reply: &Reply<'_>, found: &mut Vec<Gateway>) {
    let Some([_, destination_len, _, _, _, _, _, kind, ..]) = reply.payload.first_chunk::<ROUTE_HEADER_BYTES>() else {
        return;
    };
    let Some(rest) = reply.payload.get(ROUTE_HEADER_BYTES..) else { return };
    if *destination_len != 0 || *kind != ROUTE_UNICAST {
        return;
    }
    let link = attributes(rest).find(|(kind, _)| *kind == ROUTE_LINK).and_then(|(_, value)| read_ne_u32(value));
    found.extend(gateway_address(rest).map(|address| Gateway { address, link: link.unwrap_or(0) }));
    for (_, hops) in attributes(rest).filter(|(kind, _)| *kind == ROUTE_MULTIPATH) {
        read_hops(hops, found);
    }
}

fn gateway_address(route: &[u8]) -> Option<IpAddr> {
    attributes(route).find_map(|(kind, value)| match kind {
        ROUTE_GATEWAY => read_address(value),
        // The gateway of an IPv4 route may have an IPv6 address: family, then the address.
        ROUTE_VIA => read_address(value.get(2..)?),
        _ => None,
    })
}

/// The ways of a route that has several: each is a `struct rtnexthop` and its attributes.
fn read_hops(mut hops: &[u8], found: &mut Vec<Gateway>) {
    while let Some([l0, l1, _, _, link @ ..]) = hops.first_chunk::<NEXT_HOP_HEADER_BYTES>() {
        let length = usize::from(u16::from_ne_bytes([*l0, *l1]));
        let Some(inner) = hops.get(NEXT_HOP_HEADER_BYTES..length) else { return };
        found.extend(gateway_address(inner).map(|address| Gateway { address, link: u32::from_ne_bytes(*link) }));
        hops = hops.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn loopback_is_found_with_its_address() {
        let mut links = Links::open().unwrap();
        let all = links.all().unwrap();
        let loopback = all.iter().find(|link| link.name == "lo").unwrap();
        assert_eq!((loopback.master, loopback.kind.as_deref()), (None, None));
        let addresses = links.addresses().unwrap();
        assert!(addresses.contains(&(loopback.index, "127.0.0.1/8".parse().unwrap())) || !loopback.is_up);
    }

    #[test]
    fn all_ways_of_a_route_are_gateways() {
        let mut hops = Vec::new();
        for last in [1, 2_u8] {
            hops.extend_from_slice(&16_u16.to_ne_bytes());
            hops.extend_from_slice(&[0, 0]);
            hops.extend_from_slice(&u32::from(last + 10).to_ne_bytes());
            hops.extend_from_slice(&8_u16.to_ne_bytes());
            hops.extend_from_slice(&ROUTE_GATEWAY.to_ne_bytes());
            hops.extend_from_slice(&[192, 0, 2, last]);
        }
        let mut request = Request::new();
        let header = [libc::AF_INET as u8, 0, 0, 0, 0, 0, 0, ROUTE_UNICAST, 0, 0, 0, 0];
        request.message(libc::RTM_NEWROUTE, 0, &header).attribute(ROUTE_MULTIPATH, &hops);
        let mut found = Vec::new();
        read_gateways(&Reply { kind: 0, flags: 0, sequence: 1, port: 0, payload: &request.finish()[16..] }, &mut found);
        let gateway = |last| Gateway { address: [192, 0, 2, last].into(), link: u32::from(last) + 10 };
        assert_eq!(found, [gateway(1), gateway(2)]);
    }

    proptest! {
        #[test]
        fn hostile_replies_are_read_to_nothing_worse_than_nonsense(payload in proptest::collection::vec(any::<u8>(), 0..128)) {
            let reply = Reply { kind: 0, flags: 0, sequence: 1, port: 0, payload: &payload };
            let _ = (read_link(&reply), read_own_address(&reply), read_neighbour(&reply), read_port(&reply));
            read_gateways(&reply, &mut Vec::new());
            read_hops(&payload, &mut Vec::new());
        }
    }
}
