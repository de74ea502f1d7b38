//! What is learned of the household by watching it: its devices, and the servers outside that it cannot be without.
//!
//! Only exchanges count in which a device of the household asked and was answered: nobody outside can make one up. Servers
//! within the household are not learned, because a device could fake both sides of an exchange there.

use core::net::IpAddr;
use core::time::Duration;
use std::collections::BTreeMap;

use traffic::address::Mac;
use traffic::extractor::Observation;
use traffic::features::Index;
use traffic::time::Timestamp;

use super::Subject;
use super::devices::A_DAY;

/// Devices that are remembered. Full: the one that was not seen for longest goes.
const DEVICES: usize = 256;

/// Addresses that are remembered of each. Full: the one that was not seen for longest goes; devices change those of IPv6 every
/// day.
const ADDRESSES: usize = 8;

/// Servers that are remembered. Full: one that is not in use any more goes, or else one that has not answered often enough
/// yet; where there is none of these, no more are learned.
const SERVERS: usize = 16;

/// A device or a server that was not seen for so long is gone.
const IN_USE: Duration = Duration::from_secs(2 * 86_400);

/// A server without which nobody can work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Names, port 53 (RFC 1035).
    Dns,
    /// Addresses, port 67 (RFC 2131). What is seen is the renewal, which goes from the device to the server and back.
    Dhcp,
}

impl Service {
    const fn of(port: u16) -> Option<Self> {
        match port {
            53 => Some(Self::Dns),
            67 => Some(Self::Dhcp),
            _ => None,
        }
    }

    /// Answers that it takes to be taken for a server in use. A lease is renewed once or twice a day.
    const fn answers_needed(self) -> u32 {
        match self {
            Self::Dns => 5,
            Self::Dhcp => 1,
        }
    }
}

/// Somebody asked and was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// When.
    pub time: Timestamp,
    /// Who asked.
    pub asker: IpAddr,
    /// The device of the household that it is, where its frames show it.
    pub device: Option<Mac>,
    /// Who answered.
    pub server: IpAddr,
    /// What for, if it matters.
    pub service: Option<Service>,
}

impl Exchange {
    /// The exchange that a flow is, seen at its second packet, and at its fourth: resolvers of clients ask twice at once. So
    /// each flow is two at most.
    #[must_use]
    pub fn of(seen: &Observation<'_>, device: Option<Mac>) -> Option<Self> {
        let answered = seen.features.get(Index::Answered as usize).is_some_and(|answered| *answered > 0.0);
        let is_exchange = seen.begun && answered && matches!(seen.packets, 2 | 4) && seen.end.is_none();
        is_exchange.then(|| Self {
            time: seen.time,
            asker: seen.initiator,
            device,
            server: seen.responder,
            service: seen.responder_port.and_then(Service::of),
        })
    }
}

#[derive(Clone, Copy, Debug)]
struct Server {
    who: Subject,
    service: Service,
    answers: u32,
    last: Timestamp,
}

impl Server {
    const fn is_in_use(&self, now: Timestamp) -> bool {
        self.answers >= self.service.answers_needed() && now.since(self.last).as_secs() < IN_USE.as_secs()
    }
}

/// A device, known by its network card or else by its address.
#[derive(Clone, Debug)]
struct Device {
    last: Timestamp,
    /// It has asked somebody and was answered: it is no invention of another device.
    was_answered: bool,
    /// With when each was seen last; the one that was seen last comes last.
    addresses: Vec<(IpAddr, Timestamp)>,
}

impl Device {
    fn has(&self, address: IpAddr, now: Timestamp, within: Duration) -> bool {
        self.addresses_within(now, within).any(|own| own == address)
    }

    fn addresses_within(&self, now: Timestamp, within: Duration) -> impl Iterator<Item = IpAddr> {
        self.addresses.iter().filter(move |(_, last)| now.since(*last) < within).map(|(address, _)| *address)
    }
}

/// Devices and servers.
#[derive(Clone, Debug, Default)]
pub struct Household {
    devices: BTreeMap<Subject, Device>,
    servers: Vec<Server>,
}

impl Household {
    /// Takes in an exchange; `is_at_home` tells devices of the household.
    pub fn see(&mut self, exchange: &Exchange, is_at_home: impl Fn(Subject) -> bool) {
        let (asker, server) = (Subject::of(exchange.asker), Subject::of(exchange.server));
        if exchange.device.is_none() && !is_at_home(asker) {
            return;
        }
        let who = exchange.device.map_or(asker, Subject::Device);
        self.see_device(who, exchange.asker, exchange.time);
        if let Some(device) = self.devices.get_mut(&who) {
            device.was_answered = true;
        }
        if let Some(service) = exchange.service
            && !is_at_home(server)
        {
            self.see_server(server, service, exchange.time);
        }
    }

    /// How many devices there are.
    #[must_use]
    pub fn devices(&self, now: Timestamp) -> usize {
        self.devices.values().filter(|device| device.was_answered && now.since(device.last) < IN_USE).count()
    }

    /// Whether it is a server in use.
    #[must_use]
    pub fn is_served_by(&self, who: Subject, now: Timestamp) -> bool {
        self.servers.iter().any(|server| server.who == who && server.is_in_use(now))
    }

    /// The addresses that a device was seen with in the last day, and no other network card: one that two claim is nobody's, or a
    /// device could hide behind that of another.
    pub fn addresses_of(&self, who: Subject, now: Timestamp) -> impl Iterator<Item = IpAddr> {
        let others = move |address: &IpAddr| {
            let mut cards = self.devices.iter().filter(|(other, _)| matches!(other, Subject::Device(_)));
            cards.any(|(other, device)| *other != who && device.has(*address, now, A_DAY))
        };
        let own = self.devices.get(&who).into_iter().flat_map(move |device| device.addresses_within(now, A_DAY));
        own.filter(move |address| !others(address))
    }

    /// Whether a device that is known by its network card was seen with this address of late.
    #[must_use]
    pub fn knows_a_device_at(&self, address: IpAddr, now: Timestamp) -> bool {
        self.devices.iter().any(|(who, device)| matches!(who, Subject::Device(_)) && device.has(address, now, IN_USE))
    }

    /// Takes in that a device has an address. Where its network card is known by now, it is no device of its own by its address.
    pub fn see_device(&mut self, who: Subject, address: IpAddr, now: Timestamp) {
        if matches!(who, Subject::Device(_)) && address.is_ipv4() {
            self.devices.remove(&Subject::of(address));
        }
        if self.devices.len() >= DEVICES && !self.devices.contains_key(&who) {
            let longest_unseen = self.devices.iter().min_by_key(|(_, device)| device.last).map(|(who, _)| *who);
            longest_unseen.map(|who| self.devices.remove(&who));
        }
        let device =
            self.devices.entry(who).or_insert_with(|| Device { last: now, was_answered: false, addresses: Vec::new() });
        device.last = now;
        device.addresses.retain(|(known, _)| *known != address);
        if device.addresses.len() == ADDRESSES {
            device.addresses.remove(0);
        }
        device.addresses.push((address, now));
    }

    fn see_server(&mut self, who: Subject, service: Service, now: Timestamp) {
        let known = self.servers.iter_mut().find(|server| server.who == who && server.service == service);
        if let Some(server) = known {
            server.answers = server.answers.saturating_add(1);
            server.last = now;
            return;
        }
        if self.servers.len() >= SERVERS {
            let Some(place) = self.servers.iter().position(|server| !server.is_in_use(now)) else { return };
            self.servers.remove(place);
        }
        self.servers.push(Server { who, service, answers: 1, last: now });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(address: &str) -> Subject {
        Subject::of(address.parse().expect("address"))
    }

    fn see(household: &mut Household, asker: &str, server: &str, service: Option<Service>, at_s: u64) {
        let time = Timestamp::from_secs(at_s);
        let [asker, server] = [asker, server].map(|address| address.parse().expect("address"));
        let home: ipnet::IpNet = "198.51.100.0/24".parse().expect("network");
        household.see(&Exchange { time, asker, device: None, server, service }, |who| {
            who.network().is_some_and(|network| home.contains(&network))
        });
    }

    fn serves(household: &Household, server: &str, at_s: u64) -> bool {
        household.is_served_by(subject(server), Timestamp::from_secs(at_s))
    }

    #[test]
    fn a_resolver_is_one_that_devices_of_the_household_asked_and_that_answered_often_enough() {
        let mut household = Household::default();
        for _ in 0..5 {
            assert!(!serves(&household, "203.0.113.53", 0));
            see(&mut household, "198.51.100.7", "203.0.113.53", Some(Service::Dns), 0);
            see(&mut household, "203.0.113.66", "203.0.113.67", Some(Service::Dns), 0);
            see(&mut household, "198.51.100.66", "198.51.100.67", Some(Service::Dns), 0);
            see(&mut household, "198.51.100.7", "203.0.113.80", None, 0);
        }
        assert!(serves(&household, "203.0.113.53", 0));
        for other in ["203.0.113.67", "198.51.100.67", "203.0.113.80"] {
            assert!(!serves(&household, other, 0), "{other}");
        }
        assert!(!serves(&household, "203.0.113.53", IN_USE.as_secs()), "it is not in use any more");
        see(&mut household, "198.51.100.7", "203.0.113.5", Some(Service::Dhcp), 0);
        assert!(serves(&household, "203.0.113.5", 0), "a lease is renewed seldom");
    }

    #[test]
    fn those_in_use_stay_and_newcomers_are_not_learned_without_room() {
        let mut household = Household::default();
        let all_ask = |household: &mut Household, range: core::ops::Range<usize>, times| {
            for last in range {
                for _ in 0..times {
                    see(household, "198.51.100.7", &format!("203.0.113.{last}"), Some(Service::Dns), 0);
                }
            }
        };
        all_ask(&mut household, 0..1, 5);
        all_ask(&mut household, 1..200, 4);
        assert!(serves(&household, "203.0.113.0", 0), "those that answered a few times do not push it out");
        all_ask(&mut household, 200..200 + SERVERS, 5);
        assert_eq!(household.servers.len(), SERVERS);
        assert!(serves(&household, "203.0.113.0", 0));
        assert!(!serves(&household, &format!("203.0.113.{}", 199 + SERVERS), 0));
    }

    #[test]
    fn an_address_is_the_cards_that_had_it_to_itself_in_the_last_day() {
        const CARDS: [Subject; 2] =
            [Subject::Device(Mac([2, 0, 0, 0, 0, 1])), Subject::Device(Mac([2, 0, 0, 0, 0, 2]))];
        let mut household = Household::default();
        let address: IpAddr = [198, 51, 100, 7].into();
        let at = Timestamp::from_secs;
        let has = |household: &Household, who, now| household.addresses_of(who, now).any(|own| own == address);
        see(&mut household, "198.51.100.7", "203.0.113.80", None, 0);
        household.see_device(CARDS[0], address, at(1));
        assert!(has(&household, CARDS[0], at(1)), "who it was before its card was known is no other device");
        household.see_device(CARDS[1], address, at(2));
        assert!(!has(&household, CARDS[0], at(2)) && !has(&household, CARDS[1], at(2)), "one of them has forged it");
        household.see_device(CARDS[1], address, at(A_DAY.as_secs() + 1));
        assert!(has(&household, CARDS[1], at(A_DAY.as_secs() + 1)), "the other has left it");
        assert!(!has(&household, CARDS[0], at(A_DAY.as_secs() + 1)));
    }

    #[test]
    fn devices_are_counted_once_and_forgotten_when_gone() {
        let mut household = Household::default();
        for last in 0..=255 {
            see(&mut household, &format!("198.51.100.{last}"), "203.0.113.80", None, last);
            see(&mut household, &format!("203.0.113.{last}"), "198.51.100.1", None, last);
        }
        assert_eq!(household.devices(Timestamp::from_secs(255)), DEVICES);
        assert_eq!(household.devices(Timestamp::from_secs(IN_USE.as_secs() + 254)), 1);
    }
}
