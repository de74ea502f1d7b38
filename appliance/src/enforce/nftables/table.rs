//! What the table holds: sets, chains and rules, in the order in which a packet meets them.
//!
//! | chain | what it does |
//! |---|---|
//! | `ingress` | on both ports: sorts IPv4 and IPv6, also inside a second VLAN tag and inside PPPoE; all else passes |
//! | `ipv4`, `ipv6` | DHCP and neighbour discovery pass, allowlist passes, `deny` drops, `deny_new` and `limit` go on below |
//! | `blocked4`, `blocked6` | from the blocked: to the allowlist as by `deny_new`, nothing else |
//! | `deny_new` | drops what opens a connection |
//! | `qinq*`, `pppoe*`, `qinq_pppoe*` | the same for packets whose headers lie behind a second VLAN tag, PPPoE, or both |
//! | `quarantine4` and the like | lets a device in quarantine reach the box and DNS |
//! | `limits4` and the like | of what opens connections or answers: remembers whom a flooded host asks; finds what is above a limit |
//! | `limited4` and the like | lets through whom the host asked, and who asks it twice |
//! | `hidden` | counts what lies behind three tags and passes |
//!
//! Every packet meets these rules, so they are few: what is neither from nor to anybody in a set is looked up in each set once, a
//! datagram and what opens a connection in those of `limits4` as well, and nothing follows it.

use traffic::protocols::{ICMP, ICMPV6, SCTP, TCP, UDP};

use super::batch::{Batch, ETHERNET, Key};
use super::closed;
use super::numbers::{FAMILY_BRIDGE, FIRST_HOOK, chain, message, set};
use super::place::{End, PLACES, Place};
use super::rules::{Base, Compare, Rule};
use crate::enforce::OnFailure;
use crate::linux::netlink::FLAG_CREATE;
use crate::policy::{Action, Subject};

pub(super) const ETHER_IPV4: u16 = 0x0800;
const ETHER_ARP: u16 = 0x0806;
pub(super) const ETHER_IPV6: u16 = 0x86dd;
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
/// UDP from a port below this is taken for the answer of a service.
const FIRST_CLIENT_PORT: u16 = 1024;
const DNS: u16 = 53;
pub(super) const ECHO_REQUEST: u8 = 8;
pub(super) const ECHO_REQUEST_IPV6: u8 = 128;

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

/// The set of hosts all of whose ports are limited.
pub(super) const fn limit_hosts_set(key: Key) -> &'static str {
    match key {
        Key::Ipv4 => "limit_hosts4",
        Key::Ipv6 => "limit_hosts6",
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
    let key = if is_ipv6 { Key::Ipv6 } else { Key::Ipv4 };
    match subject {
        Subject::Service(target) if target.is_of_all_ports() || target.is_group() => limit_hosts_set(key),
        _ => block_set(action, key),
    }
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

/// The set of hosts to which more comes than a limit lets through.
const fn flooded_set(key: Key) -> &'static str {
    match key {
        Key::Ipv4 => "flooded4",
        Key::Ipv6 => "flooded6",
    }
}

/// The set of whom flooded hosts asked by this transport protocol: their answers are let in.
const fn awaited_set(key: Key, protocol: u8) -> &'static str {
    match (key, protocol) {
        (Key::Ipv4, TCP) => "awaited_tcp4",
        (Key::Ipv4, _) => "awaited_udp4",
        (Key::Ipv6, TCP) => "awaited_tcp6",
        (Key::Ipv6, _) => "awaited_udp6",
    }
}

/// The set of the box's own addresses.
pub(super) const fn own_set(key: Key) -> &'static str {
    match key {
        Key::Ipv4 => "own4",
        Key::Ipv6 => "own6",
    }
}

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
    /// There is an allowlist. Its rules are left out where there is none: every packet would meet them.
    pub allows_networks: bool,
    /// There are allowed devices; the same holds for their rules.
    pub allows_devices: bool,
    pub on_failure: OnFailure,
}

/// Puts everything but the elements into the batch; how many rules that are.
pub(super) fn add_all(batch: &mut Batch, ports: &[String; 2], family: u8, made: Made) -> usize {
    let Made { capacity, on_failure, .. } = made;
    batch.add_table();
    let sets = add_sets(batch, capacity);
    if on_failure == OnFailure::Closed {
        closed::add_sets(batch, sets + 1);
    }
    let chains = PLACES.iter().flat_map(|place| {
        [
            place.blocked_chain,
            place.deny_new_chain,
            place.quarantine_chain,
            place.limited_chain,
            place.limits_chain,
            place.chain,
        ]
    });
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
        rules.extend(flooded_groups(place, made).map(|rule| (place.chain, rule)));
        for rule in place.always_pass() {
            rules.push((place.chain, rule));
        }
        if on_failure == OnFailure::Closed {
            rules.push((place.chain, place.closed()));
        }
        place_rules(place, made, &mut rules);
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
/// finds no room there has to ask once more. As many are of those that flooded hosts asked, which only these hosts themselves fill.
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
        add(limit_hosts_set(key), key.host(), set::FLAG_TIMEOUT, capacity);
        add(flooded_set(key), key.address(), set::FLAG_TIMEOUT | set::FLAG_DYNAMIC, capacity);
        for protocol in [TCP, UDP] {
            add(asked_set(key, protocol), key.question(), set::FLAG_TIMEOUT | set::FLAG_DYNAMIC, questions);
            add(awaited_set(key, protocol), key.ends(), set::FLAG_TIMEOUT | set::FLAG_DYNAMIC, questions);
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
        let rule = Rule::new(comment).protocol(ether_type);
        // What is behind a tag comes back for the rules below where it is not IP.
        let is_ip = matches!(ether_type, ETHER_IPV4 | ETHER_IPV6);
        rules.push(("ingress", if is_ip { rule.go_to(chain) } else { rule.jump(chain) }));
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

/// What comes to a flooded group of IPv6 above its rate, before neighbour discovery passes: but not from who is allowed.
fn flooded_groups(place: &Place, made: Made) -> Option<Rule> {
    let mut flood = place.carrying("neighbour discovery above the limit of the group", ICMPV6);
    if made.allows_networks {
        flood = place.and_source(flood).not_in_set(allow_set(place.key));
    }
    if made.allows_devices {
        flood = flood.sender().not_in_set(ALLOW_DEVICE);
    }
    (place.key == Key::Ipv6).then(|| place.host(flood).in_set(limit_hosts_set(place.key)).drop())
}

fn place_rules(place: &Place, made: Made, rules: &mut Rules) {
    let Made { allows_networks, allows_devices, .. } = made;
    let (deny, deny_new) = (block_set(Action::Deny, place.key), block_set(Action::DenyNew, place.key));
    let mut add = |rule| rules.push((place.chain, rule));
    if allows_networks {
        add(place.source("from the allowlist").in_set(allow_set(place.key)).accept());
    }
    if allows_devices {
        add(place.rule("from an allowed device").sender().in_set(ALLOW_DEVICE).accept());
    }
    add(place.offender_source("from the blocked").in_set(deny).jump(place.blocked_chain));
    add(place.offender_source("no new connections from these").in_set(deny_new).jump(place.deny_new_chain));
    place.rules_for_the_allowed(made, |rule| add(rule.accept()));
    add(place.offender_destination("to the blocked").in_set(deny).drop());
    let quarantined =
        place.rule("from a device in quarantine").sender().in_set(block_set(Action::Quarantine, Key::Ipv4));
    add(quarantined.jump(place.quarantine_chain));
    blocked_rules(place, made, rules);
    quarantine_rules(place, rules);
    limit_rules(place, rules);
}

/// Whoever is on the allowlist may speak with anybody and gets the answers, but is still protected from the blocked.
fn blocked_rules(place: &Place, made: Made, rules: &mut Rules) {
    let mut add = |rule| rules.push((place.blocked_chain, rule));
    place.rules_for_the_allowed(made, |rule| add(rule.jump(place.deny_new_chain)));
    place.rules_for_the_allowed(made, |rule| add(rule.accept()));
    add(place.rule("all else").drop());
}

/// The longest datagram in which a device in quarantine may ask for a name: one of 63 letters, with the options that resolvers add
/// (RFC 6891, RFC 7873). Longer ones carry data out. Its length is that of the IP packet: what a UDP header says is up to its sender.
const QUESTION_BYTES: u16 = 112;

/// A device in quarantine reaches the box and DNS, so that its owner can be told.
fn quarantine_rules(place: &Place, rules: &mut Rules) {
    let mut add = |rule| rules.push((place.quarantine_chain, rule));
    add(place.destination("to the box").in_set(own_set(place.key)).accept());
    let (base, transport) = place.transport();
    let to_name_server = |protocol| place.carrying("DNS", protocol).payload(base, transport + 2, &DNS.to_be_bytes());
    // Where the length of a packet stands, and how much of it is not the datagram (RFC 791, RFC 8200).
    let (offset, header_bytes) = match place.key {
        Key::Ipv4 => (2, 20),
        Key::Ipv6 => (4, 0),
    };
    let question = to_name_server(UDP).load(Base::Network, place.offset_bytes + offset, 2);
    add(question.compare(Compare::AtMost, &(header_bytes + QUESTION_BYTES).to_be_bytes()).accept());
    add(to_name_server(TCP).accept());
    add(place.rule("all else").drop());
}

/// For how long a host counts as flooded, and whom it asked is let in: as long as Linux waits for the answer to a datagram.
const AWAITED_MS: u64 = 30_000;

/// What opens connections to a limited service or answers it, or pings a limited host, above its rate.
fn limit_rules(place: &Place, rules: &mut Rules) {
    /// Where the destination port of TCP and UDP stands, and the type of an ICMP message, with their lengths.
    const PORT: (u32, u32) = (2, 2);
    const TYPE: (u32, u32) = (0, 1);
    let mut add = |rule| rules.push((place.chain, rule));
    let (base, transport) = place.transport();
    let limit = block_set(Action::Limit, place.key);
    let handshake = place.carrying("begins a connection", TCP).load(base, transport + TCP_FLAGS, 1);
    add(handshake.mask(&[SYN]).compare(Compare::Equal, &[SYN]).jump(place.limits_chain));
    add(place.carrying("a datagram", UDP).jump(place.limits_chain));
    // Who pings asks again with other words. Nothing but pings is lost.
    let pings = place.carrying("pings above the limit of the host", icmp(place.key));
    add(place.target(pings, TYPE).in_set(limit).drop());

    let mut add = |rule| rules.push((place.limits_chain, rule));
    match (place.offset_bytes, place.key) {
        (0, Key::Ipv6) => add(ipv6_later_fragment()),
        (_, Key::Ipv4) => add(later_fragment(place.rule(NO_PORTS), place.offset_bytes)),
        _ => {}
    }
    let opens = syn_only(place.carrying("a flooded host asks", TCP), base, transport);
    // Answers from higher ports are let in where they go on.
    let asks = place.carrying("a flooded host asks", UDP).load(base, transport + 2, 2);
    let asks = asks.compare(Compare::AtMost, &(FIRST_CLIENT_PORT - 1).to_be_bytes());
    for (protocol, question) in [(TCP, opens), (UDP, asks)] {
        let asks = place.and_source(question).in_set(flooded_set(place.key));
        add(place.ends(asks, End::Sender).renew_in_set(awaited_set(place.key, protocol), AWAITED_MS));
    }
    let to_service = place.target(place.rule("above the limit of the service"), PORT);
    add(to_service.in_set(limit).jump(place.limited_chain));
    let to_host = place.host(place.rule("above the limit of the host"));
    add(to_host.in_set(limit_hosts_set(place.key)).jump(place.limited_chain));
    limited_rules(place, rules);
}

/// Who wants an answer asks again with the same words when none comes: TCP after one second, or three in old systems, with the
/// same port and sequence number (RFC 6298 section 2), UDP from the same port. Forged senders come once. So the first question is
/// remembered and dropped, and the second let through. Answers that nobody asked for are dropped whenever they come: who sends
/// them knows how to send them twice.
fn limited_rules(place: &Place, rules: &mut Rules) {
    const TCP_AGAIN_MS: u64 = 3_500;
    // Resolvers ask again after five seconds; what goes on is let through as long as it does.
    const UDP_AGAIN_MS: u64 = 10_000;
    let mut add = |rule| rules.push((place.limited_chain, rule));
    add(place.destination("is flooded").renew_in_set(flooded_set(place.key), AWAITED_MS));
    for protocol in [TCP, UDP] {
        let answers = place.ends(place.carrying("answers a flooded host", protocol), End::Receiver);
        add(answers.in_set(awaited_set(place.key, protocol)).accept());
    }
    let (base, transport) = place.transport();
    let unasked = "an answer that nobody asked for";
    let accepts = place.carrying(unasked, TCP).load(base, transport + TCP_FLAGS, 1).mask(&[ACK]);
    add(accepts.compare(Compare::Equal, &[ACK]).drop());
    // Servers, such as those of time and of IPsec, ask each other from a port below 1024 to one below 1024.
    let from_service = place.carrying(unasked, UDP).load(base, transport, 2);
    let to_client =
        from_service.compare(Compare::AtMost, &(FIRST_CLIENT_PORT - 1).to_be_bytes()).load(base, transport + 2, 2);
    add(to_client.compare(Compare::AtLeast, &FIRST_CLIENT_PORT.to_be_bytes()).drop());
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
    for chunk in SCTP_OPENS {
        add(Rule::new("opens an association").transport(SCTP).payload(Base::Transport, SCTP_CHUNK, &[chunk]).drop());
    }
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
    for chunk in SCTP_OPENS {
        let rule = place.carrying("opens an association", SCTP);
        add(rule.payload(Base::Network, transport + SCTP_CHUNK, &[chunk]).drop());
    }
    let echo = match place.key {
        Key::Ipv4 => ECHO_REQUEST,
        Key::Ipv6 => ECHO_REQUEST_IPV6,
    };
    add(place.carrying("ping", icmp(place.key)).payload(Base::Network, transport, &[echo]).drop());
}

/// ICMP of this version of IP.
const fn icmp(key: Key) -> u8 {
    match key {
        Key::Ipv4 => ICMP,
        Key::Ipv6 => ICMPV6,
    }
}

/// Where the flags of TCP stand in its header, and two of them.
const TCP_FLAGS: u32 = 13;
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

/// Where the type of the first chunk stands in an SCTP packet, and which types open an association: INIT, and the COOKIE ECHO that follows
/// it (RFC 9260 section 3.2). Neither is in a packet with others before it.
const SCTP_CHUNK: u32 = 12;
const SCTP_OPENS: [u8; 2] = [1, 10];

/// TCP with SYN and without ACK.
fn syn_only(rule: Rule, base: Base, transport_bytes: u32) -> Rule {
    rule.load(base, transport_bytes + TCP_FLAGS, 1).mask(&[SYN | ACK]).compare(Compare::Equal, &[SYN])
}

fn client_port(rule: Rule, base: Base, transport_bytes: u32) -> Rule {
    rule.load(base, transport_bytes, 2).compare(Compare::AtLeast, &FIRST_CLIENT_PORT.to_be_bytes())
}
