//! What the table holds: sets, chains and rules, in the order in which a packet meets them.
//!
//! | chain | what it does |
//! |---|---|
//! | `ingress` | on both ports: sorts IPv4 and IPv6, also inside a second VLAN tag and inside PPPoE; all else passes |
//! | `ipv4`, `ipv6` | DHCP and neighbour discovery pass, allowlist passes, `deny` drops, `deny_new` and `limit` go on below |
//! | `deny_new` | drops what opens a connection |
//! | `qinq*`, `pppoe*`, `qinq_pppoe*` | the same for packets whose headers lie behind a second VLAN tag, PPPoE, or both |
//! | `quarantine4` and the like | lets a device in quarantine reach the box and DNS |
//! | `limited4` and the like | lets through who asks a limited service twice |
//! | `hidden` | counts what lies behind three tags and passes |

use traffic::protocols::{ICMP, ICMPV6, TCP, UDP};

use super::batch::{Batch, ETHERNET, Key};
use super::closed;
use super::numbers::{FAMILY_BRIDGE, FIRST_HOOK, chain, message, set};
use super::rules::{Base, Compare, Rule};
use crate::enforce::OnFailure;
use crate::linux::netlink::FLAG_CREATE;
use crate::policy::{Action, Subject};

const ETHER_IPV4: u16 = 0x0800;
const ETHER_ARP: u16 = 0x0806;
const ETHER_IPV6: u16 = 0x86dd;
const ETHER_VLAN: u16 = 0x8100;
const ETHER_QINQ: u16 = 0x88a8;
/// Used before 802.1ad.
const ETHER_OLD_QINQ: u16 = 0x9100;
const ETHER_PPPOE_SESSION: u16 = 0x8864;
const PPP_IPV4: u16 = 0x0021;
const PPP_IPV6: u16 = 0x0057;

/// Before everything that an administrator is likely to hook there.
const PRIORITY: i32 = -300;
/// `NF_ACCEPT`: what no rule decides passes.
const POLICY_ACCEPT: u32 = 1;

const ALLOW4: &str = "allow4";
const ALLOW6: &str = "allow6";
/// IPv6 offenders are /64 networks.
const SOURCE_MASK_IPV6: [u8; 16] = [255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0];
/// UDP from a port below this is taken for the answer of a service.
const FIRST_CLIENT_PORT: u16 = 1024;
/// Neighbour discovery: router and neighbour solicitation and advertisement, redirect.
const NEIGHBOUR_DISCOVERY: (u8, u8) = (133, 137);
const DNS: u16 = 53;
const ECHO_REQUEST: u8 = 8;
const ECHO_REQUEST_IPV6: u8 = 128;

/// The chain of frames whose addresses no rule finds.
pub(super) const HIDDEN: &str = "hidden";

/// The set of an action, and of the family where there are two.
pub(super) const fn block_set(action: Action, key: Key) -> &'static str {
    match (action, key) {
        (Action::Deny, Key::Ipv4) => "deny4",
        (Action::Deny, Key::Ipv6) => "deny6",
        (Action::DenyNew, Key::Ipv4) => "deny_new4",
        (Action::DenyNew, Key::Ipv6) => "deny_new6",
        (Action::Limit, Key::Ipv4) => "limit4",
        (Action::Limit, Key::Ipv6) => "limit6",
        (Action::Quarantine, _) => "quarantine",
    }
}

/// The sets that a subject may stand in.
pub(super) fn sets_of(subject: Subject) -> Vec<&'static str> {
    let actions: &[Action] = match subject {
        Subject::Source(_) => &[Action::Deny, Action::DenyNew],
        Subject::Service(_) => &[Action::Limit],
        Subject::Device(_) => &[Action::Quarantine],
    };
    actions.iter().map(|action| set_for(subject, *action)).collect()
}

/// The set for what is done about a subject.
pub(super) fn set_for(subject: Subject, action: Action) -> &'static str {
    let is_ipv6 = match subject {
        Subject::Source(address) => address.is_ipv6(),
        Subject::Service(target) => target.destination.is_ipv6(),
        Subject::Device(_) => false,
    };
    block_set(action, if is_ipv6 { Key::Ipv6 } else { Key::Ipv4 })
}

/// The set of networks that always pass.
pub(super) const fn allow_set(key: Key) -> &'static str {
    match key {
        Key::Ipv4 => ALLOW4,
        Key::Ipv6 => ALLOW6,
    }
}

/// The set of devices that always pass.
pub(super) const ALLOW_DEVICE: &str = "allow_device";

/// The set of those who asked for a limited service of this transport protocol: whoever asks again is let in. A flood by one
/// protocol must not take the room of the other.
const fn asked_set(key: Key, protocol: u8) -> &'static str {
    match (key, protocol) {
        (Key::Ipv4, TCP) => "asked_tcp4",
        (Key::Ipv4, _) => "asked_udp4",
        (Key::Ipv6, TCP) => "asked_tcp6",
        (Key::Ipv6, _) => "asked_udp6",
    }
}

/// The set of the box's own addresses.
pub(super) const fn own_set(key: Key) -> &'static str {
    match key {
        Key::Ipv4 => "own4",
        Key::Ipv6 => "own6",
    }
}

/// Where the IP header of a packet lies.
#[derive(Clone, Copy)]
struct Place {
    chain: &'static str,
    deny_new_chain: &'static str,
    quarantine_chain: &'static str,
    limited_chain: &'static str,
    key: Key,
    /// Bytes between what the kernel takes for the network header and the IP header; 0 where it is the IP header.
    offset_bytes: u32,
}

const fn place(names: [&'static str; 4], key: Key, offset_bytes: u32) -> Place {
    let [chain, deny_new_chain, quarantine_chain, limited_chain] = names;
    Place { chain, deny_new_chain, quarantine_chain, limited_chain, key, offset_bytes }
}

const PLACES: [Place; 8] = [
    place(["ipv4", "deny_new", "quarantine4", "limited4"], Key::Ipv4, 0),
    place(["ipv6", "deny_new", "quarantine6", "limited6"], Key::Ipv6, 0),
    place(["qinq_ipv4", "qinq_deny_new4", "qinq_quarantine4", "qinq_limited4"], Key::Ipv4, 4),
    place(["qinq_ipv6", "qinq_deny_new6", "qinq_quarantine6", "qinq_limited6"], Key::Ipv6, 4),
    place(["pppoe_ipv4", "pppoe_deny_new4", "pppoe_quarantine4", "pppoe_limited4"], Key::Ipv4, 8),
    place(["pppoe_ipv6", "pppoe_deny_new6", "pppoe_quarantine6", "pppoe_limited6"], Key::Ipv6, 8),
    place(["qinq_pppoe_ipv4", "qinq_pppoe_deny_new4", "qinq_pppoe_quarantine4", "qinq_pppoe_limited4"], Key::Ipv4, 12),
    place(["qinq_pppoe_ipv6", "qinq_pppoe_deny_new6", "qinq_pppoe_quarantine6", "qinq_pppoe_limited6"], Key::Ipv6, 12),
];

/// A chain that sorts by two bytes behind a tag or in a PPPoE header.
struct Sorter {
    chain: &'static str,
    /// Where the two bytes are, behind what the kernel takes for the network header.
    offset_bytes: u32,
    /// They are a number of PPP, and not a frame's type.
    is_ppp: bool,
    /// What they are, for people as well, and the chain that goes on.
    cases: &'static [(u16, &'static str, &'static str)],
}

/// What a frame is by its type, where the kernel has taken one VLAN tag off.
const FRAMES: [(u16, &str, &str); 6] = [
    (ETHER_IPV4, "IPv4", "ipv4"),
    (ETHER_IPV6, "IPv6", "ipv6"),
    (ETHER_VLAN, "behind a second VLAN tag", "qinq"),
    (ETHER_QINQ, "behind a second VLAN tag", "qinq"),
    (ETHER_OLD_QINQ, "behind a tag that the kernel does not know", "qinq"),
    (ETHER_PPPOE_SESSION, "in PPPoE", "pppoe"),
];

/// All types of frames that can carry IP.
pub(super) const FRAME_TYPES: [u16; FRAMES.len()] = {
    let mut types = [0; FRAMES.len()];
    let mut index = 0;
    while index < types.len() {
        types[index] = FRAMES[index].0;
        index += 1;
    }
    types
};

/// Numbers of PPP below this carry packets of networks; those above keep the session itself (RFC 1661 section 2).
const FIRST_PPP_CONTROL: u16 = 0x8000;

const SORTERS: [Sorter; 3] = [
    Sorter {
        chain: "qinq",
        offset_bytes: 2,
        is_ppp: false,
        cases: &[
            (ETHER_IPV4, "IPv4", "qinq_ipv4"),
            (ETHER_IPV6, "IPv6", "qinq_ipv6"),
            (ETHER_PPPOE_SESSION, "in PPPoE", "qinq_pppoe"),
            (ETHER_VLAN, "behind a third VLAN tag", HIDDEN),
            (ETHER_QINQ, "behind a third VLAN tag", HIDDEN),
            (ETHER_OLD_QINQ, "behind a third VLAN tag", HIDDEN),
        ],
    },
    Sorter {
        chain: "pppoe",
        offset_bytes: 6,
        is_ppp: true,
        cases: &[(PPP_IPV4, "IPv4", "pppoe_ipv4"), (PPP_IPV6, "IPv6", "pppoe_ipv6")],
    },
    Sorter {
        chain: "qinq_pppoe",
        offset_bytes: 10,
        is_ppp: true,
        cases: &[(PPP_IPV4, "IPv4", "qinq_pppoe_ipv4"), (PPP_IPV6, "IPv6", "qinq_pppoe_ipv6")],
    },
];

/// How a table is made.
#[derive(Clone, Copy)]
pub(super) struct Made {
    /// Of each set.
    pub capacity: u32,
    /// There are allowed devices. The rules for them are left out where there are none: every packet would meet them.
    pub allows_devices: bool,
    pub on_failure: OnFailure,
}

/// Puts everything but the elements into the batch; how many rules that are.
pub(super) fn add_all(batch: &mut Batch, ports: &[String; 2], family: u8, made: Made) -> usize {
    let Made { capacity, allows_devices, on_failure } = made;
    batch.add_table();
    let sets = add_sets(batch, capacity);
    if on_failure == OnFailure::Closed {
        closed::add_set(batch, sets + 1);
    }
    let chains = PLACES
        .iter()
        .flat_map(|place| [place.deny_new_chain, place.quarantine_chain, place.limited_chain, place.chain]);
    for name in chains.chain(SORTERS.iter().map(|sorter| sorter.chain)).chain([HIDDEN]) {
        // `deny_new` serves two places; the kernel takes a chain that stands for made.
        batch.add_chain(name);
    }
    add_base_chain(batch, ports, family);
    let mut rules = Vec::new();
    deny_new_rules(&mut rules);
    for place in &PLACES {
        if place.offset_bytes > 0 {
            encapsulated_deny_new_rules(place, &mut rules);
        }
        for rule in place.always_pass() {
            rules.push((place.chain, rule));
        }
        if on_failure == OnFailure::Closed {
            rules.push((place.chain, place.closed()));
        }
        place_rules(place, allows_devices, &mut rules);
    }
    entry_rules(ports, family, on_failure, &mut rules);
    let count = rules.len();
    for (chain, rule) in rules {
        batch.add_rule(chain, rule);
    }
    count
}

type Rules = Vec<(&'static str, Rule)>;

/// Questions to limited services that are remembered at once, of each family and protocol: some 8 MiB in the worst flood. Who
/// finds no room there has to ask once more.
const QUESTIONS: core::ops::RangeInclusive<u32> = 8_192..=65_536;

/// Makes the sets; how many they are, which is the number of the last.
fn add_sets(batch: &mut Batch, capacity: u32) -> u32 {
    let questions = capacity.saturating_mul(8).clamp(*QUESTIONS.start(), *QUESTIONS.end());
    let mut id = 0;
    let mut add = |name, key_type, flags, capacity| {
        id += 1;
        batch.add_set(name, id, key_type, flags, capacity);
    };
    add(block_set(Action::Quarantine, Key::Ipv4), ETHERNET, set::FLAG_TIMEOUT, capacity);
    add(ALLOW_DEVICE, ETHERNET, 0, capacity);
    for key in [Key::Ipv4, Key::Ipv6] {
        add(own_set(key), key.address(), set::FLAG_INTERVAL, capacity);
        add(allow_set(key), key.address(), set::FLAG_INTERVAL, capacity);
        add(block_set(Action::Limit, key), key.target(), set::FLAG_TIMEOUT, capacity);
        for protocol in [TCP, UDP] {
            add(asked_set(key, protocol), key.question(), set::FLAG_TIMEOUT | set::FLAG_DYNAMIC, questions);
        }
        for action in [Action::Deny, Action::DenyNew] {
            add(block_set(action, key), key.address(), set::FLAG_TIMEOUT, capacity);
        }
    }
    id
}

fn add_base_chain(batch: &mut Batch, ports: &[String; 2], family: u8) {
    let request = batch.message("watch the ports", message::NEW_CHAIN, FLAG_CREATE);
    request.text(chain::TABLE, super::batch::TABLE).text(chain::NAME, "ingress");
    request.nest(chain::HOOK, |hook| {
        hook.be_u32(chain::HOOK_NUMBER, FIRST_HOOK).be_u32(chain::HOOK_PRIORITY, PRIORITY.cast_unsigned());
        if family != FAMILY_BRIDGE {
            hook.nest(chain::HOOK_DEVICES, |devices| {
                for port in ports {
                    devices.text(chain::DEVICE_NAME, port);
                }
            });
        }
    });
    request.be_u32(chain::POLICY, POLICY_ACCEPT).text(chain::TYPE, "filter");
}

/// The rules of `ingress`, and of the chains that look behind a tag.
fn entry_rules(ports: &[String; 2], family: u8, on_failure: OnFailure, rules: &mut Rules) {
    if family == FAMILY_BRIDGE {
        let [first, second] = ports;
        let rule = Rule::new("other bridges").not_from_interface(first).not_from_interface(second).accept();
        rules.push(("ingress", rule));
    }
    for (ether_type, comment, chain) in FRAMES {
        rules.push(("ingress", Rule::new(comment).protocol(ether_type).jump(chain)));
    }
    for sorter in &SORTERS {
        for (number, comment, chain) in sorter.cases {
            let rule = Rule::new(comment).payload(Base::Network, sorter.offset_bytes, &number.to_be_bytes());
            rules.push((sorter.chain, rule.jump(chain)));
        }
    }
    if on_failure == OnFailure::Closed {
        closed_rules(rules);
    }
    rules.push((
        HIDDEN,
        Rule::new("from a device in quarantine").sender().in_set(block_set(Action::Quarantine, Key::Ipv4)).drop(),
    ));
    rules.push((HIDDEN, Rule::new("passes whatever is blocked").count().accept()));
    // What is not decided by now is neither IPv4 nor IPv6, or not from a device in quarantine.
    rules.push(("ingress", Rule::new("ARP").protocol(ETHER_ARP).accept()));
    rules.push(("qinq", Rule::new("ARP").payload(Base::Network, 2, &ETHER_ARP.to_be_bytes()).accept()));
    rules.push((
        "ingress",
        Rule::new("from a device in quarantine").sender().in_set(block_set(Action::Quarantine, Key::Ipv4)).drop(),
    ));
}

/// What no place gets to see: behind three tags, and what PPP names by other numbers.
fn closed_rules(rules: &mut Rules) {
    rules.push((HIDDEN, closed::if_dead(Rule::new(closed::WHY)).drop()));
    for sorter in SORTERS.iter().filter(|sorter| sorter.is_ppp) {
        let mut other = closed::if_dead(Rule::new(closed::WHY)).load(Base::Network, sorter.offset_bytes, 2);
        // What has a place comes back from it where it goes to the box.
        for (number, ..) in sorter.cases {
            other = other.compare(Compare::Different, &number.to_be_bytes());
        }
        rules.push((sorter.chain, other.compare(Compare::AtMost, &(FIRST_PPP_CONTROL - 1).to_be_bytes()).drop()));
    }
}

fn place_rules(place: &Place, allows_devices: bool, rules: &mut Rules) {
    let allow = allow_set(place.key);
    let deny = block_set(Action::Deny, place.key);
    let deny_new = block_set(Action::DenyNew, place.key);
    let mut add = |rule| rules.push((place.chain, rule));
    add(place.source("from the allowlist").in_set(allow).accept());
    if allows_devices {
        add(place.rule("from an allowed device").sender().in_set(ALLOW_DEVICE).accept());
    }
    // Whoever is on the allowlist may speak with anybody and gets the answers, but is still protected from the blocked.
    let to_the_allowed = place.offender_source("from the blocked to the allowlist").in_set(deny);
    add(place.and_destination(to_the_allowed).in_set(allow).jump(place.deny_new_chain));
    if allows_devices {
        let to_a_device = place.offender_source("from the blocked to an allowed device").in_set(deny);
        add(to_a_device.receiver().in_set(ALLOW_DEVICE).jump(place.deny_new_chain));
    }
    add(place.offender_source("no new connections from these").in_set(deny_new).jump(place.deny_new_chain));
    add(place.destination("to the allowlist").in_set(allow).accept());
    if allows_devices {
        add(place.rule("to an allowed device").receiver().in_set(ALLOW_DEVICE).accept());
    }
    add(place.offender_source("from the blocked").in_set(deny).drop());
    add(place.offender_destination("to the blocked").in_set(deny).drop());
    let quarantined =
        place.rule("from a device in quarantine").sender().in_set(block_set(Action::Quarantine, Key::Ipv4));
    add(quarantined.jump(place.quarantine_chain));
    quarantine_rules(place, rules);
    limit_rules(place, rules);
}

/// A device in quarantine reaches the box and DNS, so that its owner can be told.
fn quarantine_rules(place: &Place, rules: &mut Rules) {
    let mut add = |rule| rules.push((place.quarantine_chain, rule));
    add(place.destination("to the box").in_set(own_set(place.key)).accept());
    let (base, transport) = place.transport();
    for protocol in [UDP, TCP] {
        add(place.carrying("DNS", protocol).payload(base, transport + 2, &DNS.to_be_bytes()).accept());
    }
    add(place.rule("all else").drop());
}

/// What opens connections to a limited service, above its rate.
fn limit_rules(place: &Place, rules: &mut Rules) {
    let mut add = |rule| rules.push((place.chain, rule));
    match (place.offset_bytes, place.key) {
        (0, Key::Ipv6) => add(ipv6_later_fragment()),
        (_, Key::Ipv4) => add(later_fragment(place.rule(NO_PORTS), place.offset_bytes)),
        _ => {}
    }
    let (base, transport) = place.transport();
    let limit = block_set(Action::Limit, place.key);
    let syn = syn_only(place.carrying("above the limit of the service", TCP), base, transport);
    add(place.target(syn).in_set(limit).jump(place.limited_chain));
    let udp = client_port(place.carrying("above the limit of the service", UDP), base, transport);
    add(place.target(udp).in_set(limit).jump(place.limited_chain));
    limited_rules(place, rules);
}

/// Who wants an answer asks again with the same words when none comes: TCP after one second, or three in old systems, with the
/// same port and sequence number (RFC 6298 section 2), UDP from the same port. Forged senders come once. So the first question is
/// remembered and dropped, and the second let through.
fn limited_rules(place: &Place, rules: &mut Rules) {
    const TCP_AGAIN_MS: u64 = 3_500;
    // Resolvers ask again after five seconds; what goes on is let through as long as it does.
    const UDP_AGAIN_MS: u64 = 10_000;
    let mut add = |rule| rules.push((place.limited_chain, rule));
    let asked = asked_set(place.key, TCP);
    add(place.question(place.carrying("asks again", TCP), 4).in_set(asked).accept());
    let first = place.question(place.carrying("asks for the first time", TCP), 4);
    add(first.add_to_set(asked, TCP_AGAIN_MS).drop());
    let asked = asked_set(place.key, UDP);
    let again = place.question(place.carrying("asks again", UDP), 0).in_set(asked);
    add(again.renew_in_set(asked, UDP_AGAIN_MS).accept());
    let first = place.question(place.carrying("asks for the first time", UDP), 0);
    add(first.add_to_set(asked, UDP_AGAIN_MS).drop());
    add(place.rule("no room to remember who asks").drop());
}

/// What opens a connection, where the kernel knows the transport header.
fn deny_new_rules(rules: &mut Rules) {
    let mut add = |rule| rules.push(("deny_new", rule));
    for rule in later_fragments() {
        add(rule);
    }
    add(syn_only(Rule::new("opens a connection").transport(TCP), Base::Transport, 0).drop());
    let udp = Rule::new("UDP, but not answers of services (ports below 1024)").transport(UDP);
    add(client_port(udp, Base::Transport, 0).drop());
    add(Rule::new("ping").transport(ICMP).payload(Base::Transport, 0, &[ECHO_REQUEST]).drop());
    add(Rule::new("ping").transport(ICMPV6).payload(Base::Transport, 0, &[ECHO_REQUEST_IPV6]).drop());
}

const NO_PORTS: &str = "not the first fragment: no ports";

/// The kernel takes for ports what lies where they would be, also in fragments that have none.
fn later_fragments() -> [Rule; 2] {
    [later_fragment(Rule::new(NO_PORTS).protocol(ETHER_IPV4), 0), ipv6_later_fragment()]
}

fn ipv6_later_fragment() -> Rule {
    let offset = Rule::new(NO_PORTS).ipv6_fragment_offset().mask(&[0xff, 0xf8]);
    offset.compare(Compare::Different, &[0, 0]).accept()
}

fn later_fragment(rule: Rule, ipv4_offset_bytes: u32) -> Rule {
    rule.load(Base::Network, ipv4_offset_bytes + 6, 2).mask(&[0x1f, 0xff]).compare(Compare::Different, &[0, 0]).accept()
}

/// The same at fixed offsets. IPv4 options, which honest hosts do not send, are dropped whole.
fn encapsulated_deny_new_rules(place: &Place, rules: &mut Rules) {
    let mut add = |rule| rules.push((place.deny_new_chain, rule));
    let transport = place.transport_offset_bytes();
    if place.key == Key::Ipv4 {
        let options = Rule::new("IPv4 options").load(Base::Network, place.offset_bytes, 1);
        add(options.compare(Compare::Different, &[0x45]).drop());
        add(later_fragment(Rule::new(NO_PORTS), place.offset_bytes));
    }
    add(syn_only(place.carrying("opens a connection", TCP), Base::Network, transport).drop());
    let udp = place.carrying("UDP, but not answers of services (ports below 1024)", UDP);
    add(client_port(udp, Base::Network, transport).drop());
    let (protocol, echo) = match place.key {
        Key::Ipv4 => (ICMP, ECHO_REQUEST),
        Key::Ipv6 => (ICMPV6, ECHO_REQUEST_IPV6),
    };
    add(place.carrying("ping", protocol).payload(Base::Network, transport, &[echo]).drop());
}

/// TCP with SYN and without ACK, by the flags 13 bytes into the header.
fn syn_only(rule: Rule, base: Base, transport_bytes: u32) -> Rule {
    const SYN: u8 = 0x02;
    const ACK: u8 = 0x10;
    rule.load(base, transport_bytes + 13, 1).mask(&[SYN | ACK]).compare(Compare::Equal, &[SYN])
}

fn client_port(rule: Rule, base: Base, transport_bytes: u32) -> Rule {
    rule.load(base, transport_bytes, 2).compare(Compare::AtLeast, &FIRST_CLIENT_PORT.to_be_bytes())
}

impl Place {
    /// A rule of this place. Where the kernel knows the header, the protocol is named once more: by it `nft list` tells
    /// that the bytes that follow are an address.
    fn rule(&self, comment: &str) -> Rule {
        match (self.offset_bytes, self.key) {
            (0, Key::Ipv4) => Rule::new(comment).protocol(ETHER_IPV4),
            (0, Key::Ipv6) => Rule::new(comment).protocol(ETHER_IPV6),
            _ => Rule::new(comment),
        }
    }

    /// The source address, loaded.
    fn source(&self, comment: &str) -> Rule {
        let (offset, length) = match self.key {
            Key::Ipv4 => (12, 4),
            Key::Ipv6 => (8, 16),
        };
        self.rule(comment).load(Base::Network, self.offset_bytes + offset, length)
    }

    /// The destination address, loaded.
    fn destination(&self, comment: &str) -> Rule {
        self.and_destination(self.rule(comment))
    }

    /// The destination address, loaded after other conditions.
    fn and_destination(&self, rule: Rule) -> Rule {
        let (offset, length) = match self.key {
            Key::Ipv4 => (16, 4),
            Key::Ipv6 => (24, 16),
        };
        rule.load(Base::Network, self.offset_bytes + offset, length)
    }

    /// Drops everything but what goes to the box while nobody keeps the table.
    fn closed(&self) -> Rule {
        self.and_destination(closed::if_dead(self.rule(closed::WHY))).not_in_set(own_set(self.key)).drop()
    }

    fn offender_source(&self, comment: &str) -> Rule {
        self.masked(self.source(comment))
    }

    fn offender_destination(&self, comment: &str) -> Rule {
        self.masked(self.destination(comment))
    }

    fn masked(&self, address: Rule) -> Rule {
        match self.key {
            Key::Ipv4 => address,
            Key::Ipv6 => address.mask(&SOURCE_MASK_IPV6),
        }
    }

    const fn transport_offset_bytes(&self) -> u32 {
        self.offset_bytes
            + match self.key {
                Key::Ipv4 => 20,
                Key::Ipv6 => 40,
            }
    }

    /// From where and at which offset the transport header is found.
    const fn transport(&self) -> (Base, u32) {
        match self.offset_bytes {
            0 => (Base::Transport, 0),
            _ => (Base::Network, self.transport_offset_bytes()),
        }
    }

    /// The service that the packet goes to, loaded after other conditions: address, protocol, port.
    fn target(&self, rule: Rule) -> Rule {
        let (words, protocol_bytes) = match self.key {
            Key::Ipv4 => (1, 9),
            Key::Ipv6 => (4, 6),
        };
        let addressed = self.and_destination(rule);
        let with_protocol = match self.offset_bytes {
            0 => addressed.load_transport_behind(words),
            _ => addressed.load_behind(words, Base::Network, self.offset_bytes + protocol_bytes, 1),
        };
        let (base, transport) = self.transport();
        with_protocol.load_behind(words + 1, base, transport + 2, 2)
    }

    /// Who asks, from which port, and four bytes of the transport header from this offset on; loaded after other conditions.
    fn question(&self, rule: Rule, offset_bytes: u32) -> Rule {
        let (words, address_offset, length) = match self.key {
            Key::Ipv4 => (1, 12, 4),
            Key::Ipv6 => (4, 8, 16),
        };
        let (base, transport) = self.transport();
        let addressed = rule.load(Base::Network, self.offset_bytes + address_offset, length);
        let with_port = addressed.load_behind(words, base, transport, 2);
        with_port.load_behind(words + 1, base, transport + offset_bytes, 4)
    }

    /// A rule for packets of this transport protocol, found as this place finds it.
    fn carrying(&self, comment: &str, transport: u8) -> Rule {
        match (self.offset_bytes, self.key) {
            (0, _) => self.rule(comment).transport(transport),
            (_, Key::Ipv4) => self.rule(comment).payload(Base::Network, self.offset_bytes + 9, &[transport]),
            (_, Key::Ipv6) => self.rule(comment).payload(Base::Network, self.offset_bytes + 6, &[transport]),
        }
    }

    /// DHCP and neighbour discovery: without them nobody is reached, and no administrator finds out why.
    fn always_pass(&self) -> Vec<Rule> {
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
