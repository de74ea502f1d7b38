//! The picture: what was heard, put together with what the kernel knows.

use core::net::IpAddr;
use core::time::Duration;

use ipnet::IpNet;

use super::internet_side::InternetSide;
use super::memory::{Memory, Table};
use super::{Announcement, Placement, read};
use crate::capture::Port;
use traffic::address::Mac;

/// Gateways, resolvers and DHCP servers that are told of, each. What was heard first is among them.
const TOLD: usize = 16;

/// What the kernel knows.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Gateways of its routes.
    pub gateways: &'a [IpAddr],
    /// Where addresses are.
    pub neighbours: &'a [(IpAddr, Mac)],
    /// Networks of the household, as far as somebody has said.
    pub lan: &'a [IpNet],
}

/// What is known of the surroundings after all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Learned {
    /// Gateways beside those of the kernel's routes, and other addresses of gateways.
    pub gateways: Vec<IpAddr>,
    /// MACs of all gateways.
    pub gateway_macs: Vec<Mac>,
    /// Servers of names.
    pub resolvers: Vec<IpAddr>,
    /// Servers of addresses.
    pub dhcp_servers: Vec<IpAddr>,
    /// Networks of the household beside those that somebody has said: gateways were announced for them, and nobody on the
    /// internet has an address in them.
    pub lan: Vec<IpNet>,
    /// The port that faces the internet.
    pub internet_port: Option<Port>,
    /// Where the box stands.
    pub placement: Placement,
}

/// What was heard so far, at each port.
#[derive(Debug)]
pub struct Picture {
    memories: [Memory; 2],
    side: InternetSide,
}

impl Picture {
    /// Nothing was heard yet.
    #[must_use]
    pub fn new(internet_port: Option<Port>) -> Self {
        Self { memories: Default::default(), side: InternetSide::new(internet_port) }
    }

    /// Takes a frame in that came in at the port. All times are counted from the daemon's start.
    pub fn hear(&mut self, port: Port, frame: &[u8], now: Duration) {
        let [first, second] = &mut self.memories;
        let memory = if port == Port::First { first } else { second };
        read(frame, &mut |announcement: Announcement| memory.hear(announcement, now));
    }

    /// How many things were not remembered for want of room.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.memories.iter().map(Memory::refused).sum()
    }

    /// Looks at all of it; `port_of` says behind which port the bridge has seen a MAC.
    pub fn look(&mut self, facts: &Facts<'_>, mut port_of: impl FnMut(Mac) -> Option<Port>, now: Duration) -> Learned {
        // Before it is known where the internet is, everybody is heard.
        let everywhere = View { memories: &self.memories, side: None, facts, now };
        let mut routed = macs_of(facts.gateways, facts.neighbours.iter().copied());
        if routed.is_empty() {
            routed = everywhere.macs_of(facts.gateways);
        }
        let heard = everywhere.macs_of(&everywhere.gateways());
        self.side.look(&routed, &heard, &mut port_of);

        let side = self.side.port();
        let view = View { memories: &self.memories, side, facts, now };
        let mut gateways = view.gateways();
        let mut gateway_macs = view.macs_of(&[facts.gateways, &gateways].concat());
        // Who is behind the other port only says so.
        gateway_macs.retain(|mac| side.is_none() || port_of(*mac).is_none_or(|port| side == Some(port)));
        gateway_macs.truncate(TOLD);
        let announced = view.announced_networks(&gateways);
        let mut lan: Vec<_> = announced.iter().copied().filter(is_never_on_the_internet).collect();
        lan.truncate(TOLD);
        let placement = view.placement(&gateways, &lan);
        for sibling in view.siblings(&announced, &gateway_macs) {
            push_new(&mut gateways, sibling);
        }
        gateways.truncate(TOLD);
        Learned {
            gateways,
            gateway_macs,
            lan,
            resolvers: view.believed(|memory| &memory.resolvers),
            dhcp_servers: view.believed(|memory| &memory.dhcp_servers),
            internet_port: side,
            placement,
        }
    }
}

/// What is believed, while this is the internet's side.
struct View<'a> {
    memories: &'a [Memory; 2],
    side: Option<Port>,
    facts: &'a Facts<'a>,
    now: Duration,
}

impl<'a> View<'a> {
    fn ports(&self) -> impl Iterator<Item = (Port, &'a Memory)> {
        let [first, second] = self.memories;
        [(Port::First, first), (Port::Second, second)].into_iter()
    }

    /// Where addresses are by what was heard, as far as it is believed.
    fn heard_owners(&self) -> impl Iterator<Item = (IpAddr, Mac)> {
        let believed = self.ports().filter(|(port, _)| self.side.is_none_or(|side| side == *port));
        believed.flat_map(|(_, memory)| memory.owners.standing(self.now))
    }

    /// The same by what the kernel believes, without that which came from the household's side: a device there may have told
    /// the kernel that it is at the gateway's MAC.
    fn kernels_owners(&self) -> impl Iterator<Item = (IpAddr, Mac)> {
        let from_inside = |address| {
            let mut inside = self.ports().filter(|(port, _)| self.side.is_some_and(|side| side != *port));
            inside.any(|(_, memory)| memory.owners.has(address, self.now))
        };
        self.facts.neighbours.iter().copied().filter(move |(address, _)| !from_inside(*address))
    }

    /// What was announced on the internet's side, or of whom an owner is heard there: a DHCP server of the household may give
    /// out a gateway that is not in the household.
    fn standing<T: Copy + 'a>(&self, table: fn(&Memory) -> &Table<T>) -> impl Iterator<Item = (IpAddr, T)> {
        self.ports().flat_map(move |(port, memory)| {
            let is_there = |address| {
                let mut believed = self.ports().filter(|(port, _)| self.side == Some(*port));
                believed.any(|(_, memory)| memory.owners.has(address, self.now))
            };
            let is_believed = move |address| self.side.is_none_or(|side| side == port) || is_there(address);
            table(memory).standing(self.now).filter(move |(address, _)| is_believed(*address))
        })
    }

    fn believed(&self, table: fn(&Memory) -> &Table<()>) -> Vec<IpAddr> {
        let mut found = Vec::new();
        for (address, ()) in self.standing(table) {
            push_new(&mut found, address);
        }
        found.truncate(TOLD);
        found
    }

    /// Whether it is known which networks of that family are the household's.
    fn knows_lan_of(&self, address: IpAddr) -> bool {
        self.facts.lan.iter().any(|network| network.addr().is_ipv4() == address.is_ipv4())
    }

    /// Gateways that were announced, in the household's networks.
    fn gateways(&self) -> Vec<IpAddr> {
        let mut found = Vec::new();
        for (address, _) in self.standing(|memory| &memory.gateways) {
            if is_link_local(address) || is_in(self.facts.lan, address) || !self.knows_lan_of(address) {
                push_new(&mut found, address);
            }
        }
        found
    }

    /// The MACs of those addresses.
    fn macs_of(&self, addresses: &[IpAddr]) -> Vec<Mac> {
        macs_of(addresses, self.facts.neighbours.iter().copied().chain(self.heard_owners()))
    }

    /// The networks that these gateways were announced for, where it is not known which are the household's.
    fn announced_networks(&self, gateways: &[IpAddr]) -> Vec<IpNet> {
        let mut found = Vec::new();
        for (gateway, network) in self.standing(|memory| &memory.gateways) {
            let network = network.filter(|_| gateways.contains(&gateway) && !self.knows_lan_of(gateway));
            network.into_iter().for_each(|network| push_new(&mut found, network));
        }
        found
    }

    /// Other addresses of the gateways, in the household's networks.
    fn siblings(&self, announced: &[IpNet], macs: &[Mac]) -> Vec<IpAddr> {
        let is_at_home = |address| is_in(self.facts.lan, address) || is_in(announced, address);
        let shares = |(address, mac): &(IpAddr, Mac)| macs.contains(mac) && is_at_home(*address);
        self.kernels_owners().chain(self.heard_owners()).filter(shares).map(|(address, _)| address).collect()
    }

    fn placement(&self, gateways: &[IpAddr], learned_lan: &[IpNet]) -> Placement {
        let mut all = self.facts.gateways.iter().chain(gateways);
        let is_home = all.any(|gateway| is_in(self.facts.lan, *gateway) || is_in(learned_lan, *gateway));
        if is_home { Placement::LanSide } else { Placement::Unknown }
    }
}

/// All of it is private (RFC 1918) or for documentation (RFC 5737): whoever announces it does not make strangers members of
/// the household.
fn is_never_on_the_internet(network: &IpNet) -> bool {
    let IpNet::V4(v4) = network else { return false };
    [v4.network(), v4.broadcast()].iter().all(|address| address.is_private() || address.is_documentation())
}

fn macs_of(addresses: &[IpAddr], owners: impl Iterator<Item = (IpAddr, Mac)>) -> Vec<Mac> {
    let mut found = Vec::new();
    for (_, mac) in owners.filter(|(address, _)| addresses.contains(address)) {
        push_new(&mut found, mac);
    }
    found
}

fn push_new<T: PartialEq>(found: &mut Vec<T>, new: T) {
    if !found.contains(&new) {
        found.push(new);
    }
}

fn is_in(networks: &[IpNet], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(&address))
}

const fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTER: Mac = Mac([2, 0, 0, 0, 0, 1]);
    const DEVICE: Mac = Mac([2, 0, 0, 0, 0, 66]);
    const NOW: Duration = Duration::from_secs(100);
    const OUTSIDE: Port = Port::Second;
    const INSIDE: Port = Port::First;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn home() -> Vec<IpNet> {
        ["198.51.100.0/24", "2001:db8:1::/64"].map(|text| text.parse().unwrap()).to_vec()
    }

    fn tell(picture: &mut Picture, port: Port, announcement: Announcement) {
        picture.memories[usize::from(port == Port::Second)].hear(announcement, NOW);
    }

    fn owner(text: &str, mac: Mac) -> Announcement {
        Announcement::Owner { address: address(text), mac }
    }

    fn gateway(text: &str) -> Announcement {
        let network = address(text).is_ipv4().then(|| "198.51.100.0/24".parse().unwrap());
        Announcement::Gateway { address: address(text), network, lifetime: NOW }
    }

    fn resolver(text: &str) -> Announcement {
        Announcement::Resolver { address: address(text), lifetime: NOW }
    }

    fn server(text: &str) -> Announcement {
        Announcement::DhcpServer { address: address(text), lifetime: NOW }
    }

    fn look_with(picture: &mut Picture, routes: &[&str], neighbours: &[(&str, Mac)], lan: &[IpNet]) -> Learned {
        let gateways: Vec<_> = routes.iter().map(|text| address(text)).collect();
        let neighbours: Vec<_> = neighbours.iter().map(|(text, mac)| (address(text), *mac)).collect();
        let facts = Facts { gateways: &gateways, neighbours: &neighbours, lan };
        picture.look(&facts, |mac| Some(if mac == ROUTER { OUTSIDE } else { INSIDE }), NOW)
    }

    fn look(picture: &mut Picture) -> Learned {
        look_with(picture, &[], &[], &home())
    }

    #[test]
    fn a_bridge_without_an_address_learns_all_from_what_it_hears() {
        let mut picture = Picture::new(None);
        for heard in [
            gateway("198.51.100.1"),
            resolver("203.0.113.53"),
            server("198.51.100.1"),
            owner("198.51.100.1", ROUTER),
            owner("198.51.100.254", ROUTER),
            owner("203.0.113.66", ROUTER),
        ] {
            tell(&mut picture, OUTSIDE, heard);
        }
        let learned = look_with(&mut picture, &[], &[], &[]);
        let expected = Learned {
            gateways: ["198.51.100.1", "198.51.100.254"].map(address).to_vec(),
            gateway_macs: vec![ROUTER],
            lan: vec!["198.51.100.0/24".parse().unwrap()],
            resolvers: vec![address("203.0.113.53")],
            dhcp_servers: vec![address("198.51.100.1")],
            internet_port: Some(OUTSIDE),
            placement: Placement::LanSide,
        };
        assert_eq!(learned, expected);
        let v6_only = look_with(&mut picture, &[], &[], &home()[1..]);
        assert_eq!(v6_only, expected, "networks of IPv6 say nothing about those of IPv4");
        assert_eq!(
            look(&mut picture),
            Learned { lan: Vec::new(), ..expected },
            "it is known which are the household's"
        );
    }

    #[test]
    fn the_kernels_routes_and_neighbours_are_enough() {
        let neighbours = [("198.51.100.1", ROUTER), ("198.51.100.2", ROUTER), ("198.51.100.9", DEVICE)];
        let learned = look_with(&mut Picture::new(None), &["198.51.100.1"], &neighbours, &home());
        assert_eq!((learned.gateway_macs, learned.internet_port), (vec![ROUTER], Some(OUTSIDE)));
        assert!(learned.gateways.contains(&address("198.51.100.2")), "it is the same machine");
        assert!(!learned.gateways.contains(&address("198.51.100.9")));
    }

    #[test]
    fn a_device_that_takes_itself_for_the_gateway_is_not_believed_once_the_internet_is_known() {
        let mut picture = Picture::new(None);
        let neighbours = [("198.51.100.1", ROUTER)];
        look_with(&mut picture, &["198.51.100.1"], &neighbours, &home());
        for forged in [
            gateway("198.51.100.66"),
            gateway("fe80::66"),
            owner("198.51.100.66", DEVICE),
            owner("fe80::66", DEVICE),
            owner("198.51.100.1", DEVICE),
            owner("198.51.100.67", ROUTER),
            resolver("198.51.100.66"),
            server("198.51.100.66"),
        ] {
            tell(&mut picture, INSIDE, forged);
        }
        let learned = look_with(&mut picture, &["198.51.100.1"], &neighbours, &home());
        // The kernel's neighbour is not counted either: somebody there says that it has that address.
        assert_eq!((learned.gateways, learned.gateway_macs), (vec![], vec![ROUTER]));
        assert_eq!((learned.resolvers, learned.dhcp_servers), (vec![], vec![]));
        let told = [neighbours[0], ("198.51.100.66", ROUTER)];
        tell(&mut picture, OUTSIDE, owner("198.51.100.1", ROUTER));
        let told = look_with(&mut picture, &["198.51.100.1"], &told, &home());
        assert_eq!(told.gateways, vec![address("198.51.100.1")], "not even if the kernel believes it");
        // Even the kernel may be told by ARP that the gateway is at the device's.
        let poisoned = look_with(&mut picture, &["198.51.100.1"], &[("198.51.100.1", DEVICE)], &home());
        assert_eq!((poisoned.gateway_macs, poisoned.internet_port), (vec![ROUTER], Some(OUTSIDE)));
    }

    #[test]
    fn a_dhcp_server_of_the_household_may_give_out_the_gateway_that_is_outside() {
        let mut picture = Picture::new(None);
        for heard in [gateway("198.51.100.1"), resolver("198.51.100.53"), server("198.51.100.53")] {
            tell(&mut picture, INSIDE, heard);
        }
        tell(&mut picture, INSIDE, owner("198.51.100.53", DEVICE));
        tell(&mut picture, OUTSIDE, owner("198.51.100.1", ROUTER));
        let learned = look(&mut picture);
        assert_eq!((learned.gateways, learned.internet_port), (vec![address("198.51.100.1")], Some(OUTSIDE)));
        assert_eq!(learned.resolvers, Vec::<IpAddr>::new(), "any device could say that of itself");
        tell(&mut picture, OUTSIDE, resolver("198.51.100.53"));
        assert_eq!(look(&mut picture).resolvers, [address("198.51.100.53")], "the router says it too");
    }

    #[test]
    fn a_gateway_of_another_network_is_none_and_a_router_of_ipv6_is_one_by_its_link_local_address() {
        let mut picture = Picture::new(None);
        for heard in [gateway("203.0.113.66"), gateway("fe80::1"), owner("fe80::1", ROUTER)] {
            tell(&mut picture, OUTSIDE, heard);
        }
        tell(&mut picture, OUTSIDE, owner("2001:db8:1::1", ROUTER));
        let learned = look(&mut picture);
        assert_eq!(learned.gateways, ["fe80::1", "2001:db8:1::1"].map(address));
        assert_eq!(learned.internet_port, Some(OUTSIDE));
    }

    #[test]
    fn only_networks_that_are_never_on_the_internet_become_the_households() {
        for (network, is_home) in [
            ("10.0.0.0/8", true),
            ("192.168.7.0/24", true),
            ("10.0.0.0/7", false),
            ("0.0.0.0/0", false),
            ("192.168.0.0/15", false),
            ("100.64.0.0/10", false),
        ] {
            let network: IpNet = network.parse().unwrap();
            assert_eq!(is_never_on_the_internet(&network), is_home, "{network}");
            let address = network.hosts().next().unwrap();
            let mut picture = Picture::new(None);
            tell(&mut picture, OUTSIDE, Announcement::Gateway { address, network: Some(network), lifetime: NOW });
            let learned = look_with(&mut picture, &[], &[], &[]);
            assert_eq!((learned.gateways, learned.lan.len()), (vec![address], usize::from(is_home)));
            let expected = if is_home { Placement::LanSide } else { Placement::Unknown };
            assert_eq!(learned.placement, expected, "towards the provider it is another");
        }
    }

    #[test]
    fn no_more_are_told_of_than_there_is_room_for() {
        let mut picture = Picture::new(None);
        for last in 1..200 {
            let text = format!("198.51.100.{last}");
            for heard in [gateway(&text), resolver(&text), server(&text), owner(&text, Mac([2, 0, 0, 0, 1, last]))] {
                tell(&mut picture, OUTSIDE, heard);
                tell(&mut picture, INSIDE, heard);
            }
        }
        let learned = look(&mut picture);
        assert!([&learned.gateways, &learned.resolvers, &learned.dhcp_servers].iter().all(|told| told.len() <= TOLD));
        assert!(learned.gateway_macs.len() <= TOLD && picture.refused() > 0);
    }
}
