//! Devices: whether a frame came from a device of the household itself, so that its Ethernet address says who it is.
//!
//! An address of the network layer can be forged by anybody, and an IPv6 /64 of the household is all of its devices. The
//! Ethernet address of a frame cannot be chosen from outside: what comes from there carries the router's. So a device that
//! attacks is held by its own, unless that speaks for others too: a router, or a repeater that others are behind.

use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;
use std::sync::Arc;

use ipnet::IpNet;
use traffic::address::Mac;
use traffic::arena::{Arena, Footprint, Slot};
use traffic::time::Timestamp;

use crate::capture::Port;

/// Devices that are told apart. Full: the one that was quiet longest goes, and is known again with its next connection.
const DEVICES: usize = 512;

/// A network card with more IPv4 addresses of the household in a day than this speaks for others.
pub(super) const MOST_ADDRESSES: usize = 2;

/// For how long an address is taken for the card's, and who was seen to speak for others to do so.
pub(super) const A_DAY: Duration = Duration::from_secs(86_400);

/// Whether a packet of this hop limit came through a router or two: hosts begin with 64, 128 or 255. One that was sent with a
/// smaller number on purpose, as for groups and by traceroute, says nothing.
#[must_use]
pub const fn was_routed(hop_limit: u8) -> bool {
    matches!(hop_limit, 62 | 63 | 126 | 127 | 253 | 254)
}

/// On which side of the box a frame came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    /// On the household's.
    Inside,
    /// On the internet's.
    Outside,
    /// It is not known which port is which.
    Unknown,
}

/// What the packet thread knows of the network around it. The control thread makes it anew when it changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Neighbourhood {
    /// Networks of the household.
    pub lan: Vec<IpNet>,
    /// Ethernet addresses of the gateways, and of the box.
    pub routers: Vec<Mac>,
    /// The port that faces the internet, where that is known.
    pub internet_port: Option<Port>,
}

impl Neighbourhood {
    fn v4_lan(&self) -> impl Iterator<Item = &IpNet> {
        self.lan.iter().filter(|network| matches!(network, IpNet::V4(_)))
    }

    fn side(&self, port: Port) -> Side {
        match self.internet_port {
            Some(internet) if internet == port => Side::Outside,
            Some(_) => Side::Inside,
            None => Side::Unknown,
        }
    }
}

/// What is known of a network card.
#[derive(Clone, Copy, Debug)]
struct Card {
    /// IPv4 addresses of the household that it sent from, and when it did last.
    v4: [Option<(Ipv4Addr, Timestamp)>; MOST_ADDRESSES],
    /// It sent from an IPv6 address of the household.
    has_v6: bool,
    /// When it was last seen to speak for others, by what a router does to a packet.
    routes: Option<Timestamp>,
    /// When by its addresses, and how often the networks of the household had changed by then: it says nothing by others.
    claims: Option<(Timestamp, u32)>,
}

/// The network cards that were seen.
#[derive(Debug)]
pub struct Devices {
    cards: Arena<Mac, Card, 1>,
    around: Arc<Neighbourhood>,
    /// How often the IPv4 networks of the household have changed.
    lan_changes: u32,
}

impl Devices {
    /// Takes all memory at once.
    #[must_use]
    pub fn new(around: Arc<Neighbourhood>, seed: [u64; 2]) -> Self {
        Self { cards: Arena::new(DEVICES, seed), around, lan_changes: 0 }
    }

    /// What the table takes.
    pub const fn footprint(&self) -> Footprint {
        self.cards.footprint("devices")
    }

    /// Takes in what the network looks like now.
    pub fn learn(&mut self, around: Arc<Neighbourhood>) {
        if !around.v4_lan().eq(self.around.v4_lan()) {
            self.lan_changes += 1;
        }
        self.around = around;
    }

    /// Takes in that a frame of this card came in by the port, with a packet from this address that came through a router or
    /// did not.
    pub fn see(&mut self, mac: Mac, port: Port, address: IpAddr, is_routed: bool, now: Timestamp) {
        if self.around.side(port) == Side::Outside || !mac.is_of_one_host() {
            return;
        }
        let is_at_home = self.is_at_home(address);
        let knows_home = self.around.v4_lan().next().is_some();
        let slot = self.cards.find_or_insert(Slot::NONE, mac, || Card::NEW);
        let card = self.cards.get_mut(slot);
        if is_routed {
            card.routes = Some(now);
        }
        match address {
            IpAddr::V4(v4) if is_at_home => {
                if !card.add(v4, now) {
                    card.claims = Some((now, self.lan_changes));
                }
            }
            // Before it has an address a device asks for one from none or from one that it made up.
            IpAddr::V4(v4) if v4.is_unspecified() || v4.is_link_local() => {}
            // After a start this box may have no address yet, and so not know which are the household's.
            IpAddr::V4(_) if !knows_home => {}
            IpAddr::V4(_) => card.claims = Some((now, self.lan_changes)),
            // Which IPv6 networks are the household's is often not known.
            IpAddr::V6(_) => card.has_v6 |= is_at_home,
        }
    }

    /// Whether it is known which port is the household's.
    #[must_use]
    pub fn know_sides(&self) -> bool {
        self.around.internet_port.is_some()
    }

    /// Whether the port is known to be the household's.
    #[must_use]
    pub fn is_inside(&self, port: Port) -> bool {
        self.around.side(port) == Side::Inside
    }

    /// The device that sent from this address, where that is one of the household and its own card says so.
    #[must_use]
    pub fn device(&self, mac: Mac, port: Port, address: IpAddr, now: Timestamp) -> Option<Mac> {
        let is_from_outside = self.around.side(port) == Side::Outside || address.is_ipv4() && !self.is_at_home(address);
        if is_from_outside || self.around.routers.contains(&mac) {
            return None;
        }
        let card = self.cards.get(self.cards.find(&mac)?);
        let claims = card.claims.filter(|(_, lan_changes)| *lan_changes == self.lan_changes).map(|(seen, _)| seen);
        let speaks_for_others = card.routes.into_iter().chain(claims).any(|seen| now.since(seen) < A_DAY);
        let is_at_home = card.has_v6 || card.v4.iter().any(Option::is_some);
        (is_at_home && !speaks_for_others).then_some(mac)
    }

    fn is_at_home(&self, address: IpAddr) -> bool {
        self.around.lan.iter().any(|network| network.contains(&address))
    }
}

impl Card {
    const NEW: Self = Self { v4: [None; MOST_ADDRESSES], has_v6: false, routes: None, claims: None };

    /// Takes an address in, where there is room.
    fn add(&mut self, address: Ipv4Addr, now: Timestamp) -> bool {
        let is_free = |place: &Option<(Ipv4Addr, Timestamp)>| place.is_none_or(|(_, last)| now.since(last) >= A_DAY);
        // Its own place comes first, or it would take a second one.
        let own = self.v4.iter().position(|place| place.is_some_and(|(known, _)| known == address));
        let place = own.or_else(|| self.v4.iter().position(is_free)).and_then(|place| self.v4.get_mut(place));
        place.map(|place| *place = Some((address, now))).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARD: Mac = Mac([2, 0, 0x5e, 0, 0, 7]);
    const NOW: Timestamp = Timestamp::from_secs(1_000);
    const INSIDE: Port = Port::First;
    const OUTSIDE: Port = Port::Second;

    fn devices(routers: Vec<Mac>, internet_port: Option<Port>) -> Devices {
        let lan = vec!["198.51.100.0/24".parse().expect("network")];
        Devices::new(Arc::new(Neighbourhood { lan, routers, internet_port }), [1, 2])
    }

    fn device(devices: &Devices, address: &str, port: Port) -> Option<Mac> {
        devices.device(CARD, port, address.parse().expect("address"), NOW)
    }

    fn see(devices: &mut Devices, address: &str) {
        devices.see(CARD, INSIDE, address.parse().expect("address"), false, NOW);
    }

    #[test]
    fn a_device_is_known_by_its_card_also_for_its_ipv6_addresses() {
        for internet_port in [Some(OUTSIDE), None] {
            let mut devices = devices(Vec::new(), internet_port);
            assert_eq!(device(&devices, "198.51.100.7", INSIDE), None, "it was not seen yet");
            see(&mut devices, "0.0.0.0");
            see(&mut devices, "198.51.100.7");
            for (address, port, expected) in [
                ("198.51.100.7", INSIDE, Some(CARD)),
                ("2001:db8:1::7", INSIDE, Some(CARD)),
                ("198.51.100.7", OUTSIDE, internet_port.is_none().then_some(CARD)),
                ("203.0.113.9", INSIDE, None),
            ] {
                assert_eq!(device(&devices, address, port), expected, "{address} {port:?} {internet_port:?}");
            }
        }
    }

    #[test]
    fn a_card_that_speaks_for_others_is_nobodys_own() {
        let mut router = devices(Vec::new(), None);
        see(&mut router, "198.51.100.1");
        see(&mut router, "203.0.113.80");
        assert_eq!(device(&router, "198.51.100.1", INSIDE), None);
        let later = NOW.plus(A_DAY);
        assert_eq!(router.device(CARD, INSIDE, [198, 51, 100, 1].into(), later), Some(CARD));

        let mut repeater = devices(Vec::new(), Some(OUTSIDE));
        for last in 1..=MOST_ADDRESSES {
            see(&mut repeater, &format!("198.51.100.{last}"));
            see(&mut repeater, &format!("198.51.100.{last}"));
        }
        assert_eq!(device(&repeater, "198.51.100.1", INSIDE), Some(CARD));
        see(&mut repeater, "198.51.100.99");
        assert_eq!(device(&repeater, "198.51.100.1", INSIDE), None);

        let mut renewed = devices(Vec::new(), Some(OUTSIDE));
        for day in 0..5 {
            let now = NOW.plus(A_DAY * day);
            renewed.see(CARD, INSIDE, [198, 51, 100, day as u8].into(), false, now);
            assert_eq!(
                renewed.device(CARD, INSIDE, [198, 51, 100, 9].into(), now),
                Some(CARD),
                "another lease each day"
            );
        }

        let mut router = devices(Vec::new(), Some(OUTSIDE));
        router.see(CARD, INSIDE, [198, 51, 100, 7].into(), was_routed(63), NOW);
        assert_eq!(device(&router, "198.51.100.7", INSIDE), None, "what it sends came through it");

        let mut gateway = devices(vec![CARD], Some(OUTSIDE));
        see(&mut gateway, "198.51.100.1");
        assert_eq!(device(&gateway, "198.51.100.1", INSIDE), None);
    }

    #[test]
    fn what_a_card_sent_before_its_network_was_known_says_nothing_of_it() {
        let around = |lan: &[&str]| {
            let lan = lan.iter().map(|network| network.parse().expect("network")).collect();
            Arc::new(Neighbourhood { lan, routers: Vec::new(), internet_port: Some(OUTSIDE) })
        };
        let mut devices = Devices::new(around(&["2001:db8:1::/64"]), [1, 2]);
        see(&mut devices, "198.51.100.7");
        devices.learn(around(&["198.51.100.0/24"]));
        see(&mut devices, "198.51.100.7");
        assert_eq!(device(&devices, "198.51.100.7", INSIDE), Some(CARD), "this box got its address after it");

        devices.learn(around(&["203.0.113.0/24"]));
        see(&mut devices, "198.51.100.7");
        assert_eq!(device(&devices, "2001:db8:1::7", INSIDE), None);
        devices.learn(around(&["203.0.113.0/24", "198.51.100.0/24"]));
        assert_eq!(device(&devices, "198.51.100.7", INSIDE), Some(CARD), "the network had another number for a while");
        devices.see(CARD, INSIDE, [198, 51, 100, 7].into(), true, NOW);
        devices.learn(around(&["198.51.100.0/24"]));
        assert_eq!(device(&devices, "198.51.100.7", INSIDE), None, "a router stays one");
    }

    #[test]
    fn a_forged_address_of_the_household_from_outside_is_no_device() {
        let mut devices = devices(Vec::new(), Some(OUTSIDE));
        devices.see(CARD, OUTSIDE, [198, 51, 100, 7].into(), false, NOW);
        assert_eq!(device(&devices, "198.51.100.7", OUTSIDE), None);
        assert_eq!(device(&devices, "198.51.100.7", INSIDE), None);
    }
}
