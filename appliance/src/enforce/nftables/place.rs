//! Where the IP header of a packet lies, and how rules find there what they ask for.

use traffic::protocols::{ICMPV6, UDP};

use super::batch::Key;
use super::closed;
use super::rules::{Base, Compare, Rule};
use super::table::{ALLOW_DEVICE, ETHER_IPV4, ETHER_IPV6, Made, allow_set, own_set};

/// IPv6 offenders are /64 networks.
const SOURCE_MASK_IPV6: [u8; 16] = [255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0];
/// Neighbour discovery: router and neighbour solicitation and advertisement, redirect.
const NEIGHBOUR_DISCOVERY: (u8, u8) = (133, 137);

/// One end of a packet's way.
#[derive(Clone, Copy)]
pub(super) enum End {
    Sender,
    Receiver,
}

/// Where the IP header of a packet lies.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) chain: &'static str,
    pub(super) blocked_chain: &'static str,
    pub(super) deny_new_chain: &'static str,
    pub(super) quarantine_chain: &'static str,
    pub(super) limits_chain: &'static str,
    pub(super) limited_chain: &'static str,
    pub(super) key: Key,
    /// Bytes between what the kernel takes for the network header and the IP header; 0 where it is the IP header.
    pub(super) offset_bytes: u32,
}

/// A place, whose chains are named by how its packets are carried and by the version of IP.
macro_rules! place {
    ($carried:literal, $version:literal, $key:ident, $offset_bytes:literal, $deny_new:expr) => {
        Place {
            chain: concat!($carried, "ipv", $version),
            blocked_chain: concat!($carried, "blocked", $version),
            deny_new_chain: $deny_new,
            quarantine_chain: concat!($carried, "quarantine", $version),
            limits_chain: concat!($carried, "limits", $version),
            limited_chain: concat!($carried, "limited", $version),
            key: Key::$key,
            offset_bytes: $offset_bytes,
        }
    };
}

/// Where the kernel knows the headers, both versions of IP share a chain for new connections.
pub(super) const PLACES: [Place; 8] = [
    place!("", 4, Ipv4, 0, "deny_new"),
    place!("", 6, Ipv6, 0, "deny_new"),
    place!("qinq_", 4, Ipv4, 4, "qinq_deny_new4"),
    place!("qinq_", 6, Ipv6, 4, "qinq_deny_new6"),
    place!("pppoe_", 4, Ipv4, 8, "pppoe_deny_new4"),
    place!("pppoe_", 6, Ipv6, 8, "pppoe_deny_new6"),
    place!("qinq_pppoe_", 4, Ipv4, 12, "qinq_pppoe_deny_new4"),
    place!("qinq_pppoe_", 6, Ipv6, 12, "qinq_pppoe_deny_new6"),
];

impl Place {
    /// A rule of this place. Where the kernel knows the header, the protocol is named once more: by it `nft list` tells
    /// that the bytes that follow are an address.
    pub(super) fn rule(&self, comment: &str) -> Rule {
        match (self.offset_bytes, self.key) {
            (0, Key::Ipv4) => Rule::new(comment).protocol(ETHER_IPV4),
            (0, Key::Ipv6) => Rule::new(comment).protocol(ETHER_IPV6),
            _ => Rule::new(comment),
        }
    }

    /// The source address, loaded.
    pub(super) fn source(&self, comment: &str) -> Rule {
        self.and_source(self.rule(comment))
    }

    /// The source address, loaded after other conditions.
    pub(super) fn and_source(&self, rule: Rule) -> Rule {
        let (offset, length) = match self.key {
            Key::Ipv4 => (12, 4),
            Key::Ipv6 => (8, 16),
        };
        rule.load(Base::Network, self.offset_bytes + offset, length)
    }

    /// The destination address, loaded.
    pub(super) fn destination(&self, comment: &str) -> Rule {
        self.and_destination(self.rule(comment))
    }

    /// The destination address, loaded after other conditions.
    pub(super) fn and_destination(&self, rule: Rule) -> Rule {
        let (offset, length) = match self.key {
            Key::Ipv4 => (16, 4),
            Key::Ipv6 => (24, 16),
        };
        rule.load(Base::Network, self.offset_bytes + offset, length)
    }

    /// The rules that find what goes to somebody who is allowed.
    pub(super) fn rules_for_the_allowed(&self, made: Made, mut add: impl FnMut(Rule)) {
        if made.allows_networks {
            add(self.destination("to the allowlist").in_set(allow_set(self.key)));
        }
        if made.allows_devices {
            add(self.rule("to an allowed device").receiver().in_set(ALLOW_DEVICE));
        }
    }

    /// Drops everything but what goes to the box while nobody keeps the table.
    pub(super) fn closed(&self) -> Rule {
        let elsewhere = self.and_destination(closed::if_dead(self.rule(closed::WHY))).not_in_set(own_set(self.key));
        elsewhere.receiver().not_in_set(closed::OWN_DEVICE).drop()
    }

    pub(super) fn offender_source(&self, comment: &str) -> Rule {
        self.masked(self.source(comment))
    }

    pub(super) fn offender_destination(&self, comment: &str) -> Rule {
        self.masked(self.destination(comment))
    }

    fn masked(&self, address: Rule) -> Rule {
        match self.key {
            Key::Ipv4 => address,
            Key::Ipv6 => address.mask(&SOURCE_MASK_IPV6),
        }
    }

    pub(super) const fn transport_offset_bytes(&self) -> u32 {
        self.offset_bytes
            + match self.key {
                Key::Ipv4 => 20,
                Key::Ipv6 => 40,
            }
    }

    /// From where and at which offset the transport header is found.
    pub(super) const fn transport(&self) -> (Base, u32) {
        match self.offset_bytes {
            0 => (Base::Transport, 0),
            _ => (Base::Network, self.transport_offset_bytes()),
        }
    }

    /// The host that the packet goes to and by which protocol, loaded after other conditions.
    pub(super) fn host(&self, rule: Rule) -> Rule {
        let addressed = self.and_destination(rule);
        let protocol_bytes = match self.key {
            Key::Ipv4 => 9,
            Key::Ipv6 => 6,
        };
        match self.offset_bytes {
            0 => addressed.load_transport_behind(self.address_words()),
            _ => addressed.load_behind(self.address_words(), Base::Network, self.offset_bytes + protocol_bytes, 1),
        }
    }

    /// The service that the packet goes to, loaded after other conditions: host, protocol, and the bytes of the transport header at
    /// this offset, which are the port, or the type of ICMP.
    pub(super) fn target(&self, rule: Rule, (offset_bytes, len_bytes): (u32, u32)) -> Rule {
        let (base, transport) = self.transport();
        self.host(rule).load_behind(self.address_words() + 1, base, transport + offset_bytes, len_bytes)
    }

    /// Who asks, from which port, and four bytes of the transport header from this offset on; loaded after other conditions.
    pub(super) fn question(&self, rule: Rule, offset_bytes: u32) -> Rule {
        let (base, transport) = self.transport();
        self.end(rule, 0, End::Sender).load_behind(self.address_words() + 1, base, transport + offset_bytes, 4)
    }

    /// Both ends of the packet's conversation, this one first; loaded after other conditions.
    pub(super) fn ends(&self, rule: Rule, first: End) -> Rule {
        let second = match first {
            End::Sender => End::Receiver,
            End::Receiver => End::Sender,
        };
        self.end(self.end(rule, 0, first), self.address_words() + 1, second)
    }

    /// The address and the port of one end, loaded behind so many words.
    fn end(&self, rule: Rule, words: u32, end: End) -> Rule {
        let (length, address_offset, port_offset) = match (self.key, end) {
            (Key::Ipv4, End::Sender) => (4, 12, 0),
            (Key::Ipv4, End::Receiver) => (4, 16, 2),
            (Key::Ipv6, End::Sender) => (16, 8, 0),
            (Key::Ipv6, End::Receiver) => (16, 24, 2),
        };
        let (base, transport) = self.transport();
        rule.load_behind(words, Base::Network, self.offset_bytes + address_offset, length).load_behind(
            words + self.address_words(),
            base,
            transport + port_offset,
            2,
        )
    }

    /// How many words of four bytes an address fills.
    const fn address_words(&self) -> u32 {
        match self.key {
            Key::Ipv4 => 1,
            Key::Ipv6 => 4,
        }
    }

    /// A rule for packets of this transport protocol, found as this place finds it.
    pub(super) fn carrying(&self, comment: &str, transport: u8) -> Rule {
        match (self.offset_bytes, self.key) {
            (0, _) => self.rule(comment).transport(transport),
            (_, Key::Ipv4) => self.rule(comment).payload(Base::Network, self.offset_bytes + 9, &[transport]),
            (_, Key::Ipv6) => self.rule(comment).payload(Base::Network, self.offset_bytes + 6, &[transport]),
        }
    }

    /// DHCP and neighbour discovery: without them nobody is reached, and no administrator finds out why.
    pub(super) fn always_pass(&self) -> Vec<Rule> {
        let (base, transport) = self.transport();
        let (first, last): (u16, u16) = match self.key {
            Key::Ipv4 => (67, 68),
            Key::Ipv6 => (546, 547),
        };
        let mut dhcp = self.carrying("DHCP", UDP);
        for offset in [0, 2] {
            dhcp = dhcp
                .load(base, transport + offset, 2)
                .compare(Compare::AtLeast, &first.to_be_bytes())
                .compare(Compare::AtMost, &last.to_be_bytes());
        }
        let mut rules = vec![dhcp.accept()];
        if self.key == Key::Ipv6 {
            let (first, last) = NEIGHBOUR_DISCOVERY;
            let discovery = self
                .carrying("neighbour discovery", ICMPV6)
                .load(base, transport, 1)
                .compare(Compare::AtLeast, &[first])
                .compare(Compare::AtMost, &[last]);
            rules.push(discovery.accept());
        }
        rules
    }
}
