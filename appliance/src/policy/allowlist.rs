//! The allowlist: whom a person never wants to see blocked, by address, by network card, or by name; by the configuration, or
//! for a while while the box runs.

use core::fmt;
use core::net::IpAddr;
use core::str::FromStr;
use core::time::Duration;
use std::collections::BTreeMap;

use ipnet::IpNet;
use traffic::address::Mac;
use traffic::time::Timestamp;

use super::Subject;

/// Allowances made while the box runs. Full: no more are made.
const ALLOWANCES: usize = 256;

/// Longest name of a host (RFC 1035 section 2.3.4).
const LONGEST_NAME: usize = 253;

/// The shortest prefixes that are taken, of IPv4 and of IPv6.
const WIDEST_V4: u8 = 8;
const WIDEST_V6: u8 = 16;

/// Whom an entry of the allowlist means.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Allowed {
    /// An address, or all of a network.
    Network(IpNet),
    /// A device by its network card.
    Device(Mac),
    /// Whatever addresses the name has: asked for again and again.
    Name(String),
}

/// Somebody is allowed for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Who.
    pub allowed: Allowed,
    /// Until when; `None` until it is taken back.
    pub until: Option<Timestamp>,
    /// Who said so.
    pub actor: String,
}

/// The allowlist as it holds now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Allowlist {
    configured: Vec<Allowed>,
    allowances: BTreeMap<Allowed, Allowance>,
    resolved: BTreeMap<String, Vec<IpAddr>>,
}

impl Allowlist {
    /// That of the configuration.
    #[must_use]
    pub fn new(configured: Vec<Allowed>) -> Self {
        Self { configured, ..Self::default() }
    }

    /// Puts another configuration in the place of the last; allowances stay.
    pub fn configure(&mut self, configured: Vec<Allowed>) {
        self.configured = configured;
    }

    /// Allows somebody in the place of what was said of them before; false where there are too many already.
    pub fn allow(&mut self, allowance: Allowance) -> bool {
        let has_room = self.allowances.len() < ALLOWANCES || self.allowances.contains_key(&allowance.allowed);
        if has_room {
            self.allowances.insert(allowance.allowed.clone(), allowance);
        }
        has_room
    }

    /// Takes an allowance back; false where there was none.
    pub fn disallow(&mut self, allowed: &Allowed) -> bool {
        self.allowances.remove(allowed).is_some()
    }

    /// Takes those away whose time is over, and returns them.
    pub fn expire(&mut self, now: Timestamp) -> Vec<Allowance> {
        let is_over = |allowance: &&Allowance| allowance.until.is_some_and(|until| until <= now);
        let over: Vec<Allowance> = self.allowances.values().filter(is_over).cloned().collect();
        for allowance in &over {
            self.allowances.remove(&allowance.allowed);
        }
        over
    }

    /// The clock was set back by so much.
    pub fn clock_set_back(&mut self, by: Duration) {
        for allowance in self.allowances.values_mut() {
            allowance.until = allowance.until.map(|until| until.minus(by));
        }
    }

    /// The allowances.
    pub fn allowances(&self) -> impl Iterator<Item = &Allowance> {
        self.allowances.values()
    }

    /// Takes in which addresses a name has; whether they are others than before.
    pub fn resolved(&mut self, name: &str, addresses: Vec<IpAddr>) -> bool {
        self.resolved.insert(name.to_owned(), addresses.clone()) != Some(addresses)
    }

    /// The names whose addresses are to be asked for.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries().filter_map(|allowed| match allowed {
            Allowed::Name(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// What is wrong with a name that cannot be looked up: nothing where its addresses are known from before.
    #[must_use]
    pub fn unprotected(&self, name: &str) -> Option<String> {
        let is_it = |allowed: &Allowed| matches!(allowed, Allowed::Name(own) if own == name);
        let has_address = self.resolved.get(name).is_some_and(|addresses| !addresses.is_empty());
        if has_address || !self.entries().any(is_it) {
            return None;
        }
        let place = if self.configured.iter().any(is_it) { "policy.allow" } else { "`sluice allow`" };
        Some(format!(
            "{name} of {place} has no address: that device is not protected; give its address, or see that the box's name server \
             knows the name"
        ))
    }

    /// All networks and addresses, those of names included.
    pub fn networks(&self) -> impl Iterator<Item = IpNet> {
        let named =
            self.names().filter_map(|name| self.resolved.get(name)).flatten().map(|address| IpNet::from(*address));
        let written = self.entries().filter_map(|allowed| match allowed {
            Allowed::Network(network) => Some(*network),
            _ => None,
        });
        written.chain(named)
    }

    /// The devices.
    pub fn devices(&self) -> impl Iterator<Item = Mac> {
        self.entries().filter_map(|allowed| match allowed {
            Allowed::Device(mac) => Some(*mac),
            _ => None,
        })
    }

    /// The subject is on it: itself, or a part of it.
    #[must_use]
    pub fn holds(&self, subject: Subject) -> bool {
        match subject {
            Subject::Device(mac) => self.devices().any(|device| device == mac),
            Subject::Source(_) | Subject::Service(_) => subject.network().is_some_and(|network| {
                self.networks().any(|allowed| allowed.contains(&network) || network.contains(&allowed))
            }),
        }
    }

    /// The address is on it.
    #[must_use]
    pub fn holds_address(&self, address: IpAddr) -> bool {
        self.networks().any(|allowed| allowed.contains(&address))
    }

    fn entries(&self) -> impl Iterator<Item = &Allowed> {
        self.configured.iter().chain(self.allowances.keys())
    }
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(network) if network.prefix_len() == network.max_prefix_len() => network.addr().fmt(f),
            Self::Network(network) => network.fmt(f),
            Self::Device(mac) => mac.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

/// A text means nobody who could be allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAllowable {
    /// Nobody at all.
    #[error(
        "`{0}` is neither an address (198.51.100.7), nor a network (198.51.100.0/24), nor a device (02:00:5e:10:00:01), nor the full name of a host (nas.example.org)"
    )]
    Nobody(String),
    /// So many that next to nobody were left to be blocked.
    #[error(
        "`{0}` is too wide: next to nobody could be blocked; allow a network of /{WIDEST_V4} or smaller (IPv6: /{WIDEST_V6}), or have \
         nothing blocked by the mode observe"
    )]
    TooWide(IpNet),
}

impl FromStr for Allowed {
    type Err = NotAllowable;

    fn from_str(text: &str) -> Result<Self, NotAllowable> {
        let text = text.trim();
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Network(address.to_canonical().into()));
        }
        if let Ok(network) = text.parse::<IpNet>() {
            let is_too_wide = network.prefix_len() < if network.addr().is_ipv4() { WIDEST_V4 } else { WIDEST_V6 };
            return if is_too_wide { Err(NotAllowable::TooWide(network)) } else { Ok(Self::Network(network.trunc())) };
        }
        if let Ok(mac) = text.parse::<Mac>() {
            return Ok(Self::Device(mac));
        }
        let name = text.trim_end_matches('.').to_ascii_lowercase();
        if is_host_name(&name) { Ok(Self::Name(name)) } else { Err(NotAllowable::Nobody(text.to_owned())) }
    }
}

/// At least two labels of letters, digits and hyphens (RFC 1123 section 2.1), the last of which is no number: that would be a
/// mistyped address.
fn is_host_name(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last_is_word = name.rsplit('.').next().is_some_and(|last| last.bytes().any(|byte| byte.is_ascii_alphabetic()));
    name.len() <= LONGEST_NAME && name.contains('.') && name.split('.').all(is_label) && last_is_word
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(text: &str) -> Allowed {
        text.parse().expect(text)
    }

    fn subject(text: &str) -> Subject {
        text.parse().expect(text)
    }

    #[test]
    fn entries_are_read_as_they_are_shown_and_mistakes_are_told() {
        for (text, shown) in [
            ("198.51.100.7", "198.51.100.7"),
            ("198.51.100.7/24", "198.51.100.0/24"),
            ("2001:db8::1", "2001:db8::1"),
            ("02-00-5e-10-00-01", "02:00:5e:10:00:01"),
            ("NAS.Example.org.", "nas.example.org"),
        ] {
            assert_eq!(allowed(text).to_string(), shown);
        }
        for wrong in
            ["", "nas", "198.51.100.300", "198.51.100", "a..example", "-a.example", "nas.example.org/24", "a b.example"]
        {
            let told = wrong.parse::<Allowed>().expect_err(wrong).to_string();
            assert!(told.starts_with(&format!("`{wrong}` is neither an address")), "{told}");
        }
    }

    #[test]
    fn what_would_leave_nobody_to_be_blocked_is_refused_with_the_remedy() {
        for wide in ["0.0.0.0/0", "128.0.0.0/1", "10.0.0.0/7", "::/0", "2000::/15"] {
            let told = wide.parse::<Allowed>().expect_err(wide).to_string();
            assert!(told.starts_with(&format!("`{wide}` is too wide")) && told.contains("mode observe"), "{told}");
        }
        for text in ["10.0.0.0/8", "2001::/16"] {
            assert_eq!(allowed(text).to_string(), text);
        }
    }

    #[test]
    fn a_name_without_an_address_protects_nobody() {
        let mut list = Allowlist::new(vec![allowed("nas.example.org")]);
        let until = Some(Timestamp::from_secs(100));
        assert!(list.allow(Allowance { allowed: allowed("tv.example.org"), until, actor: "local".into() }));
        for (name, told) in [
            ("nas.example.org", "nas.example.org of policy.allow has no address: that device is not protected; "),
            ("tv.example.org", "tv.example.org of `sluice allow` has no address: "),
        ] {
            assert!(list.unprotected(name).is_some_and(|fault| fault.starts_with(told)), "{name}");
            list.resolved(name, vec![[192, 0, 2, 1].into()]);
            assert_eq!(list.unprotected(name), None, "{name} is known");
        }
        assert_eq!(list.unprotected("printer.example.org"), None, "it is not on the list");
    }

    #[test]
    fn a_subject_is_allowed_by_network_by_device_and_by_what_a_name_resolves_to() {
        let mut list = Allowlist::new(vec![
            allowed("203.0.113.0/24"),
            allowed("2001:db8:7::9"),
            allowed("02:00:5e:10:00:01"),
            allowed("nas.example.org"),
        ]);
        for held in ["203.0.113.9", "2001:db8:7::1", "02:00:5e:10:00:01"] {
            assert!(list.holds(subject(held)), "{held}");
        }
        assert!(!list.holds(subject("192.0.2.1")) && !list.holds(subject("02:00:5e:10:00:02")));
        assert_eq!(list.names().collect::<Vec<_>>(), ["nas.example.org"]);
        let address = [192, 0, 2, 1].into();
        assert!(list.resolved("nas.example.org", vec![address]) && !list.resolved("nas.example.org", vec![address]));
        assert!(list.holds(subject("192.0.2.1")));
        assert!(list.resolved("nas.example.org", Vec::new()) && !list.holds(subject("192.0.2.1")));
    }

    #[test]
    fn an_allowance_ends_by_its_time_or_by_hand_and_there_are_not_too_many() {
        let mut list = Allowlist::default();
        let until = |until_s| Some(Timestamp::from_secs(until_s));
        let allow = |list: &mut Allowlist, text: &str, until| {
            list.allow(Allowance { allowed: allowed(text), until, actor: "local".into() })
        };
        assert!(allow(&mut list, "203.0.113.9", until(100)) && allow(&mut list, "203.0.113.10", None));
        assert!(list.holds(subject("203.0.113.9")));
        assert_eq!(list.expire(Timestamp::from_secs(99)), []);
        assert_eq!(list.expire(Timestamp::from_secs(100)).len(), 1);
        assert!(!list.holds(subject("203.0.113.9")) && list.holds(subject("203.0.113.10")));
        assert!(list.disallow(&allowed("203.0.113.10")) && !list.disallow(&allowed("203.0.113.10")));
        for number in 0..ALLOWANCES {
            assert!(allow(&mut list, &format!("host{number}.example"), None));
        }
        assert!(!allow(&mut list, "203.0.113.9", None));
        assert!(allow(&mut list, "host1.example", until(5)), "one that stands is changed");
    }
}
