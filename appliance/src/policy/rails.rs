//! Rails: whom nothing is ever done to, whatever the evidence.

use core::net::IpAddr;
use core::time::Duration;

use ipnet::IpNet;
use traffic::address::Mac;
use traffic::time::Timestamp;

use super::devices::MOST_ADDRESSES;
use super::household::Household;
use super::{Action, Allowlist, Exchange, Sighting, Subject};

/// Exemptions after an unblock that are remembered. Full: the one that ends first goes.
const GRACES: usize = 1_024;

/// Gateways that are remembered. Full: the one that was learned first goes.
const GATEWAYS: usize = 16;

/// Networks of the household that are remembered. Full: the first goes that is none any more.
const LANS: usize = 64;

/// Why a server in use is protected.
const SERVES: &str = "the household's devices get names or addresses from it, and the evidence can be forged";

/// Who is protected.
#[derive(Clone, Debug, Default)]
pub struct Rails {
    /// The allowlist.
    pub allow: Allowlist,
    /// Networks of the household. A device there that is not known by its network card gets `deny_new` at most.
    pub lan: Vec<IpNet>,
    /// Addresses of the box itself.
    pub own: Vec<IpAddr>,
    /// Default gateways by the kernel's routes.
    pub gateways: Vec<IpAddr>,
    /// Ethernet addresses of the box and of the gateways.
    pub routers: Vec<Mac>,
    /// Gateways that announce themselves, and other addresses of gateways, as they are now.
    heard_gateways: Vec<IpAddr>,
    /// Servers of names and addresses that are announced to the household, as they are now.
    heard_servers: Vec<Subject>,
    /// Addresses from which people manage the box, until when.
    pub managers: Vec<(IpAddr, Timestamp)>,
    /// What was learned of the household by watching.
    household: Household,
    /// Those whose block was ended by a person, until when.
    graces: Vec<(Subject, Timestamp)>,
}

impl Rails {
    /// Takes in what the network looks like now. Gateways that were seen once stay protected: a route may be gone for a moment
    /// only. What could not be learned stays as it was.
    pub fn learn(&mut self, own: Option<Vec<IpAddr>>, gateways: Vec<IpAddr>, lan: &[IpNet]) {
        if let Some(own) = own {
            self.own = own;
        }
        for gateway in gateways {
            if !self.gateways.contains(&gateway) {
                self.gateways.truncate(GATEWAYS - 1);
                self.gateways.insert(0, gateway);
            }
        }
        for &network in lan {
            if self.lan.contains(&network) {
                continue;
            }
            if self.lan.len() == LANS
                && let Some(place) = self.lan.iter().position(|former| !lan.contains(former))
            {
                self.lan.remove(place);
            }
            if self.lan.len() < LANS {
                self.lan.push(network);
            }
        }
    }

    /// Takes in who was announced: their number is bounded where they are heard. They stand apart from the gateways by routes,
    /// so that they cannot push these out.
    pub fn hear(&mut self, gateways: Vec<IpAddr>, servers: impl Iterator<Item = IpAddr>) {
        self.heard_gateways = gateways;
        self.heard_servers = servers.map(Subject::of).collect();
    }

    /// Whether any gateway is known.
    #[must_use]
    pub fn know_a_gateway(&self) -> bool {
        self.all_gateways().next().is_some()
    }

    /// Takes in that somebody asked and was answered.
    pub fn see(&mut self, exchange: &Exchange) {
        if self.is_no_devices(exchange.asker) {
            return;
        }
        let Self { household, lan, .. } = self;
        household.see(exchange, |who| is_in(lan, who));
    }

    /// How many devices of the household were seen of late.
    #[must_use]
    pub fn devices(&self, now: Timestamp) -> usize {
        self.household.devices(now)
    }

    /// Takes in whom a sighting shows.
    pub fn see_offender(&mut self, sighting: &Sighting, now: Timestamp) {
        if let Some(device) = sighting.device().filter(|_| !self.is_no_devices(sighting.source)) {
            self.household.see_device(Subject::Device(device), sighting.source, now);
        }
    }

    /// The addresses that a device of the household had in the last day, the one that was seen last first.
    #[must_use]
    pub fn addresses_of(&self, device: Subject, now: Timestamp) -> Vec<IpAddr> {
        let mut addresses: Vec<IpAddr> = self.household.addresses_of(device, now).collect();
        addresses.reverse();
        addresses
    }

    /// The address is the box's or a gateway's: a device that sends from it has forged it.
    fn is_no_devices(&self, address: IpAddr) -> bool {
        self.own.contains(&address) || self.all_gateways().any(|gateway| *gateway == address)
    }

    /// Why nobody must be blocked for a sighting, though its offender alone may be. Whoever is on the household's side and not
    /// known by its card may be a router with all of the household behind it: one of an address that is none of the
    /// household's, or one that passes packets on, as their hop limit tells. Whoever is on the internet's side and has proven
    /// nothing may have forged the address of a device. Who was not seen sending may be on either side.
    #[must_use]
    pub fn protect_origin(&self, sighting: &Sighting) -> Option<&'static str> {
        let offender = sighting.offender();
        if !matches!(offender, Subject::Source(_)) {
            return None;
        }
        let Some(origin) = sighting.origin else {
            return Some("on which side of this box it is was not seen");
        };
        let is_of_the_household = sighting.source.is_ipv4() && self.is_at_home(offender);
        if origin.is_inside {
            let is_one_of_many = is_of_the_household && !origin.is_routed;
            return (!is_one_of_many).then_some("it is on the household's side, and others may be behind its address");
        }
        let is_a_devices = is_of_the_household && self.household.knows_a_device_at(sighting.source, sighting.time);
        (is_a_devices && !sighting.proven)
            .then_some("it is the address of a device of the household, and this did not come from its network card")
    }

    /// Why nothing must be decided about the subject on evidence for a while; `None` where something may be. It binds no person.
    #[must_use]
    pub fn pardon(&self, subject: Subject, now: Timestamp) -> Option<&'static str> {
        let is_exempt = self.graces.iter().any(|(forgiven, until)| *forgiven == subject && now < *until);
        is_exempt.then_some("its block was ended by a person a short while ago (policy.unblock_grace_s)")
    }

    /// Why nothing must be done about the subject; `None` where something may be.
    #[must_use]
    pub fn protect(&self, subject: Subject, now: Timestamp) -> Option<&'static str> {
        if self.allow.holds(subject) {
            return Some("it is on the allowlist (policy.allow)");
        }
        match subject {
            Subject::Source(address) => self.protect_source(subject, address, now),
            Subject::Device(mac) if self.routers.contains(&mac) => Some("it is the gateway or this box"),
            Subject::Device(_) => self.protect_device(subject, now),
            Subject::Service(target) => {
                let host = target.destination;
                let is_server = || self.is_served_by(Subject::of(host), now).then_some(SERVES);
                self.protect_address(host, now).or_else(is_server)
            }
        }
    }

    fn protect_device(&self, subject: Subject, now: Timestamp) -> Option<&'static str> {
        let addresses: Vec<IpAddr> = self.household.addresses_of(subject, now).collect();
        if addresses.iter().filter(|address| address.is_ipv4()).count() > MOST_ADDRESSES {
            return Some("it has so many addresses that others must be behind it");
        }
        addresses.into_iter().find_map(|address| {
            let is_server = || self.heard_servers.contains(&Subject::of(address)).then_some(SERVES);
            self.protect_address(address, now).or_else(is_server)
        })
    }

    fn protect_source(&self, subject: Subject, address: IpAddr, now: Timestamp) -> Option<&'static str> {
        let network = subject.network()?;
        let holds = |address: &IpAddr| network.contains(address);
        if !can_be_a_sender(address) {
            return Some("it is not the address of a single host");
        }
        if address.is_ipv6() && self.is_at_home(subject) {
            return Some("all devices of the household share this IPv6 network, and which of them it was is not known");
        }
        let concerned =
            self.own.iter().chain(self.all_gateways()).chain(self.managers.iter().map(|(manager, _)| manager));
        concerned.copied().filter(holds).find_map(|address| self.protect_address(address, now))
    }

    /// Why whoever has this address is protected.
    fn protect_address(&self, address: IpAddr, now: Timestamp) -> Option<&'static str> {
        if self.allow.holds_address(address) {
            Some("it is on the allowlist (policy.allow)")
        } else if self.own.contains(&address) {
            Some("it is this box")
        } else if self.all_gateways().any(|gateway| *gateway == address) {
            Some("it is the gateway")
        } else if self.managers.iter().any(|(manager, until)| *manager == address && now < *until) {
            Some("somebody is logged in at the page from there")
        } else {
            None
        }
    }

    /// Why evidence that can be forged leads to nothing; `None` where it may lead to `deny_new`. It is not part of
    /// [`Self::protect`], so that an attacker who has made devices ask him gains no more than this.
    #[must_use]
    pub fn protect_from_forgery(&self, subject: Subject, now: Timestamp) -> Option<&'static str> {
        self.is_served_by(subject, now).then_some(SERVES)
    }

    /// The strictest that may be done about the subject. `deny_new` lets the answers of a server pass.
    #[must_use]
    pub fn soften(&self, subject: Subject, action: Action, now: Timestamp) -> Action {
        let is_needed = self.is_at_home(subject) || self.is_served_by(subject, now);
        if action == Action::Deny && is_needed { Action::DenyNew } else { action }
    }

    fn all_gateways(&self) -> impl Iterator<Item = &IpAddr> {
        self.gateways.iter().chain(&self.heard_gateways)
    }

    fn is_served_by(&self, subject: Subject, now: Timestamp) -> bool {
        self.heard_servers.contains(&subject) || self.household.is_served_by(subject, now)
    }

    /// Whether it is a device of the household.
    #[must_use]
    pub fn is_at_home(&self, subject: Subject) -> bool {
        matches!(subject, Subject::Device(_)) || is_in(&self.lan, subject)
    }

    /// The clock was set back by so much: what was promised ends as much earlier.
    pub fn clock_set_back(&mut self, by: Duration) {
        for (_, until) in &mut self.graces {
            *until = until.minus(by);
        }
        self.allow.clock_set_back(by);
    }

    /// Takes back that the subject is exempt.
    pub fn end_exemption(&mut self, subject: Subject) {
        self.graces.retain(|(other, _)| *other != subject);
    }

    /// Exempts a subject for a while.
    pub fn exempt(&mut self, subject: Subject, grace: Duration, now: Timestamp) {
        self.graces.retain(|(other, until)| *other != subject && now < *until);
        if self.graces.len() == GRACES {
            self.graces.sort_by_key(|(_, until)| *until);
            self.graces.remove(0);
        }
        self.graces.push((subject, now.plus(grace)));
    }
}

fn is_in(networks: &[IpNet], subject: Subject) -> bool {
    subject.network().is_some_and(|network| networks.iter().any(|lan| lan.contains(&network)))
}

/// Loopback, unspecified, multicast and broadcast addresses are no offenders; nor is the link-local /64, which all hosts of
/// the link share.
fn can_be_a_sender(address: IpAddr) -> bool {
    if address.is_loopback() || address.is_unspecified() || address.is_multicast() {
        return false;
    }
    match address {
        IpAddr::V4(v4) => !v4.is_broadcast() && v4.octets()[0] != 0,
        IpAddr::V6(v6) => !v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARD: Subject = Subject::Device(Mac([2, 0, 0x5e, 0, 0, 7]));
    const A_DAY_S: u64 = 86_400;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_secs(seconds)
    }

    #[test]
    fn another_lease_each_day_is_one_device_and_three_on_one_day_are_others_behind_it() {
        let mut daily = Rails::default();
        let mut repeater = Rails::default();
        for lease in 0..5_u8 {
            daily.household.see_device(CARD, [198, 51, 100, lease].into(), at(A_DAY_S * u64::from(lease)));
            repeater.household.see_device(CARD, [198, 51, 100, lease].into(), at(u64::from(lease)));
        }
        assert_eq!(daily.protect(CARD, at(A_DAY_S * 4)), None);
        assert!(repeater.protect(CARD, at(4)).is_some_and(|why| why.contains("others must be behind it")));
    }

    #[test]
    fn the_networks_of_today_are_known_however_many_there_were() {
        let network = |third: usize| format!("198.18.{third}.0/24").parse::<IpNet>().expect("network");
        let mut rails = Rails::default();
        let own = network(200);
        for third in 0..LANS * 2 {
            rails.learn(None, Vec::new(), &[own, network(third)]);
        }
        assert_eq!(rails.lan.len(), LANS);
        for known in [own, network(LANS * 2 - 1)] {
            assert!(rails.lan.contains(&known), "{known}");
        }
    }
}
