//! What each set drops and lets pass in every encapsulation, in both families: frames as they are on the wire of a
//! household, sent by hand through the real bridge with the real table.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use lab::packets::{
    ENCAPSULATIONS, Encapsulation, SENDER, SYN, SYN_ACK, THREE_TAGS, Transport, datagram, datagram_that_states, icmp,
    later_fragment, sctp, tcp, udp,
};
use lab::process::wait_until;
use lab::two_hosts::{INSIDE, OUTSIDE, PORTS, TwoHosts};
use lab::wire::Wire;
use sluice::clock::Stopwatch;
use sluice::enforce::nftables::{Family, Nftables};
use sluice::enforce::{Block, Desired, Enforcer, OnFailure};
use sluice::policy::{Action, Subject, Target};
use traffic::address::Mac;
use traffic::time::Timestamp;

const NOW: Timestamp = Timestamp::from_secs(1_000);
const CAPACITY: u32 = 65_536;

/// The bridge, and both ends of the wire through it.
struct Lab {
    hosts: TwoHosts,
    wires: [Wire; 2],
    enforcer: Nftables,
}

impl Lab {
    fn new(name: &str) -> Self {
        let hosts = TwoHosts::bridged(name).unwrap();
        let wires = [&hosts.outside, &hosts.inside].map(|host| Wire::open(host, "eth0").unwrap());
        let enforcer = hosts.bridge.enter(|| Nftables::new(PORTS.map(str::to_owned), CAPACITY)).unwrap();
        Self { hosts, wires, enforcer }
    }

    /// Sends these through the bridge; which of them arrive, by their position.
    fn arrive(&self, encapsulation: Encapsulation, way: Way, packets: &[Transport]) -> Vec<bool> {
        let (source, destination) = way.addresses();
        let frame = |(mark, packet)| encapsulation.frame(source, destination, mark, packet);
        let arrived = self.marks(encapsulation, way, (1..).zip(packets).map(frame));
        (1..).zip(packets).map(|(mark, _)| arrived.contains(&mark)).collect()
    }

    /// Sends these through the bridge; the marks of those that arrive at the host.
    fn marks(
        &self,
        encapsulation: Encapsulation,
        way: Way,
        frames: impl IntoIterator<Item = Vec<u8>>,
    ) -> BTreeSet<u16> {
        let (_, destination) = way.addresses();
        self.marks_to(encapsulation, way, destination, frames)
    }

    /// The same of those for this destination.
    fn marks_to(
        &self,
        encapsulation: Encapsulation,
        way: Way,
        destination: IpAddr,
        frames: impl IntoIterator<Item = Vec<u8>>,
    ) -> BTreeSet<u16> {
        let [sender, receiver] = if way.inwards { [0, 1] } else { [1, 0] }.map(|end: usize| &self.wires[end]);
        for frame in frames {
            sender.send(&frame).unwrap();
        }
        sender.send_last().unwrap();
        let mut arrived = BTreeSet::new();
        receiver.receive(|frame| arrived.extend(encapsulation.mark(destination, frame))).unwrap();
        arrived
    }
}

#[derive(Clone, Copy, Debug)]
struct Way {
    family: usize,
    inwards: bool,
}

impl Way {
    /// From where to where.
    const fn addresses(self) -> (IpAddr, IpAddr) {
        let (outside, inside) = (OUTSIDE[self.family], INSIDE[self.family]);
        if self.inwards { (outside, inside) } else { (inside, outside) }
    }
}

/// What a packet is to the box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// It opens a connection.
    Opens,
    /// It answers, or belongs to what is open.
    Answers,
    /// Without it nobody is reached at all.
    Needed,
}

/// One of each sort that the table tells apart.
fn packets(family: usize) -> Vec<(Kind, &'static str, Transport)> {
    use Kind::{Answers, Needed, Opens};
    let (protocol, request, reply) = [(1, 8, 0), (58, 128, 129)][family];
    let dhcp = [(67, 68), (547, 546)][family];
    let mut packets = vec![
        (Opens, "SYN", tcp(12_345, 80, SYN)),
        (Opens, "SYN with ECN", tcp(12_345, 80, SYN | 0xc0)),
        (Opens, "UDP from a client", udp(40_000, 53)),
        (Opens, "UDP from the first client's port", udp(1_024, 53)),
        (Opens, "SCTP INIT", sctp(40_000, 2_905, 1)),
        (Opens, "SCTP COOKIE ECHO", sctp(40_000, 2_905, 10)),
        (Opens, "echo request", icmp(protocol, request)),
        (Answers, "SYN, ACK", tcp(80, 12_345, SYN_ACK)),
        (Answers, "ACK", tcp(12_345, 80, 0x10)),
        (Answers, "RST", tcp(12_345, 80, 0x04)),
        (Answers, "UDP of a service", udp(53, 40_000)),
        (Answers, "UDP from the last service port", udp(1_023, 40_000)),
        (Answers, "SCTP INIT ACK", sctp(2_905, 40_000, 2)),
        (Answers, "SCTP DATA", sctp(40_000, 2_905, 0)),
        (Answers, "echo reply", icmp(protocol, reply)),
        (Answers, "a later fragment", later_fragment()),
        (Needed, "DHCP", udp(dhcp.0, dhcp.1)),
    ];
    if family == 1 {
        packets.extend((133..=137).map(|kind| (Needed, "neighbour discovery", icmp(58, kind))));
    }
    packets
}

/// What passes.
type Passes = fn(Kind) -> bool;

/// A state: its name, what stands against the host outside, who is allowed, what passes inwards and outwards.
type State = (&'static str, Option<Action>, Option<Allowed>, Passes, Passes);

const STATES: [State; 6] = [
    ("nothing", None, None, |_| true, |_| true),
    ("deny", Some(Action::Deny), None, |kind| kind == Kind::Needed, |kind| kind == Kind::Needed),
    ("deny_new", Some(Action::DenyNew), None, |kind| kind != Kind::Opens, |_| true),
    ("deny, allow", Some(Action::Deny), Some(Allowed::Subject), |_| true, |_| true),
    ("deny_new, allow", Some(Action::DenyNew), Some(Allowed::Subject), |_| true, |_| true),
    ("deny, allow the other", Some(Action::Deny), Some(Allowed::Other), |kind| kind != Kind::Opens, |_| true),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Allowed {
    Subject,
    Other,
}

fn desired(family: usize, action: Option<Action>, allowed: Option<Allowed>) -> Desired {
    let until = NOW.plus(Duration::from_secs(600));
    let subject = Subject::of(OUTSIDE[family]);
    let network = |allowed| match allowed {
        Allowed::Subject => IpNet::from(OUTSIDE[family]),
        Allowed::Other => IpNet::from(INSIDE[family]),
    };
    Desired {
        blocks: action.map(|action| Block { subject, action, until }).into_iter().collect(),
        allow: allowed.map(network).into_iter().collect(),
        ..Desired::default()
    }
}

fn every_state_holds_in_every_encapsulation(lab: &mut Lab) {
    for family in [0, 1] {
        let packets = packets(family);
        let sent: Vec<_> = packets.iter().map(|(.., packet)| packet.clone()).collect();
        for (state, action, allowed, inwards, outwards) in STATES {
            lab.enforcer.replace(&desired(family, action, allowed), NOW).unwrap();
            for encapsulation in ENCAPSULATIONS {
                for (way, passes) in [(true, inwards), (false, outwards)] {
                    let way = Way { family, inwards: way };
                    let before = lab.enforcer.dropped_packets().unwrap();
                    let arrived = lab.arrive(encapsulation, way, &sent);
                    let dropped = lab.enforcer.dropped_packets().unwrap() - before;
                    for ((kind, what, _), arrived) in packets.iter().zip(&arrived) {
                        assert_eq!(*arrived, passes(*kind), "{what} under {state} in {}, {way:?}", encapsulation.name);
                    }
                    let missing = arrived.iter().filter(|arrived| !**arrived).count();
                    assert_eq!(dropped, missing as u64, "counted under {state} in {}, {way:?}", encapsulation.name);
                }
            }
            let family = ["IPv4", "IPv6"][family];
            println!("{family}, {state}: {} packets in each of {} as stated", sent.len() * 2, ENCAPSULATIONS.len());
        }
    }
}

#[test]
fn each_action_drops_and_lets_pass_the_same_in_every_encapsulation() {
    let mut lab = Lab::new("enc-netdev");
    every_state_holds_in_every_encapsulation(&mut lab);
    assert_eq!(lab.enforcer.family(), Family::Netdev);
}

/// The rate of a limit in these tests.
const PER_S: u32 = 200;
/// Packets of the flood.
const FLOOD: u16 = 10_000;
/// One of so many is that of a person, who asks again where no answer comes.
const BETWEEN_USERS: u16 = 100;
/// So many packets of the flood later.
const AGAIN_AFTER: u16 = 500;

/// A forged source: each is somebody else.
fn forged(family: usize, index: u16) -> IpAddr {
    let [high, low] = index.to_be_bytes();
    match family {
        0 => IpAddr::from([203, 0, high, low]),
        _ => IpAddr::from([0x2001, 0xdb8, 0xf, index, 0, 0, 0, 1]),
    }
}

/// The marks of a flood in the order in which its packets are sent, those of people a second time.
fn flood_with_people() -> Vec<u16> {
    let again = |mark: u16| mark.checked_sub(AGAIN_AFTER).filter(|earlier| *earlier > 0 && is_a_persons(*earlier));
    (1..=FLOOD).flat_map(|mark| [Some(mark), again(mark)]).flatten().collect()
}

const fn is_a_persons(mark: u16) -> bool {
    mark.is_multiple_of(BETWEEN_USERS)
}

/// What a limit on a port does against a flood that is sent as fast as this machine can.
fn limits(lab: &mut Lab, encapsulation: Encapsulation, family: usize, protocol: u8, packet: fn(u16, u16) -> Transport) {
    let way = Way { family, inwards: true };
    let (_, inside) = way.addresses();
    let target = Target { destination: inside, protocol, port: Some(5_000) };
    lab.enforcer.replace(&limited(&[target], 600), NOW).unwrap();
    let before = lab.enforcer.dropped_packets().unwrap();
    let marks = flood_with_people();
    let people = marks.len() - usize::from(FLOOD);
    let frame = |mark: &u16| encapsulation.frame(forged(family, *mark), inside, *mark, &packet(40_000, 5_000));
    let begin = Stopwatch::start();
    let arrived = lab.marks(encapsulation, way, marks.iter().map(frame));
    let most = f64::from(PER_S) * (1.0 + begin.elapsed().as_secs_f64()) + 1.0 + people as f64;
    let what = format!("{protocol} in {}, {inside}", encapsulation.name);
    assert!(arrived.len() >= PER_S as usize + people, "{what}: {} passed", arrived.len());
    assert!(arrived.len() as f64 <= most, "{what}: {} passed of at most {most}", arrived.len());
    let asked_again = |mark: &u16| is_a_persons(*mark) && *mark + AGAIN_AFTER <= FLOOD;
    assert!(
        (1..=FLOOD).filter(asked_again).all(|mark| arrived.contains(&mark)),
        "{what}: a person did not get through"
    );
    let dropped = (lab.enforcer.dropped_packets().unwrap() - before) as usize;
    let passed = marks.len() - dropped;
    let counted = arrived.len()..=arrived.len() + people;
    assert!(counted.contains(&passed), "{what}: {dropped} of {} were dropped, {} arrived", marks.len(), arrived.len());
    // The limit is used up; nothing else is touched by it.
    let untouched = [packet(40_000, 5_001), udp(53, 5_001), tcp(40_000, 5_000, 0x10), tcp(5_000, 40_000, SYN_ACK)];
    let others = [&untouched[..], &[later_fragment()], &vec![packet(40_000, 5_001); 1_000]].concat();
    assert_eq!(lab.arrive(encapsulation, way, &others), vec![true; others.len()], "{what}");
    let back = Way { family, inwards: false };
    assert_eq!(lab.arrive(encapsulation, back, &vec![packet(40_000, 5_000); 1_000]), [true; 1_000], "{what}");
    let stands = lab.enforcer.read_back().unwrap().blocks;
    let [(Subject::Service(found), Action::Limit, left)] = stands[..] else { panic!("{what}: {stands:?}") };
    assert!(found == target && left > Duration::from_secs(500), "{what}: {stands:?}");
}

/// What a limit does against answers that nobody asked for, however often they come, and for those that the host did ask for.
fn answers(lab: &mut Lab, encapsulation: Encapsulation, family: usize, target: Target) {
    let [inwards, outwards] = [true, false].map(|inwards| Way { family, inwards });
    let (outside, inside) = inwards.addresses();
    let (question, answer): (_, fn(u16, u16) -> Transport) = match target.protocol {
        6 => (syn(5_000, 443), |from, to| tcp(from, to, SYN_ACK)),
        _ => (udp(5_000, 443), udp),
    };
    let what = format!("{target} in {}", encapsulation.name);
    lab.enforcer.replace(&limited(&[target], 600), NOW).unwrap();
    let passed = |server: IpAddr, port: u16| {
        let frame = |mark| encapsulation.frame(server, inside, mark, &answer(port, 5_000));
        lab.marks(encapsulation, inwards, (1..=2_000).map(frame)).len()
    };
    let begin = Stopwatch::start();
    let at_first = passed(outside, 443);
    assert!(at_first >= PER_S as usize, "{what}: {at_first} passed");
    assert_eq!(lab.arrive(encapsulation, outwards, &[question]), [true], "{what}");
    assert_eq!(passed(outside, 443), 2_000, "{what}");
    let unasked = at_first + passed(outside, 444) + passed(forged(family, 9), 443);
    // What was let in has used up some of the rate as well.
    let most = f64::from(PER_S) * (1.0 + begin.elapsed().as_secs_f64()) + 1.0;
    assert!(unasked as f64 <= most, "{what}: {unasked} passed of at most {most}");
}

/// What a limit on all ports of a host does against a flood that goes to each of them.
fn many_ports(lab: &mut Lab, encapsulation: Encapsulation, family: usize, packet: fn(u16, u16) -> Transport) {
    let inwards = Way { family, inwards: true };
    let begin = Stopwatch::start();
    let flood: Vec<_> = (0..2_000).map(|index| packet(40_000 + index, 10_000 + index)).collect();
    let arrived = lab.arrive(encapsulation, inwards, &flood);
    let most = f64::from(PER_S) * (1.0 + begin.elapsed().as_secs_f64()) + 1.0;
    let lost: Vec<_> =
        flood.into_iter().zip(arrived).filter(|(_, arrived)| !arrived).map(|(packet, _)| packet).collect();
    assert!((2_000 - lost.len()) as f64 <= most, "{} lost, {most} may pass in {}", lost.len(), encapsulation.name);
    // Who asks again gets through, and what belongs to a connection was never touched.
    let arrived = lab.arrive(encapsulation, inwards, &lost);
    assert!(arrived.iter().all(|arrived| *arrived), "{} asked again in {}", lost.len(), encapsulation.name);
    let open = vec![tcp(40_000, 10_000, 0x10); 1_000];
    assert_eq!(lab.arrive(encapsulation, inwards, &open), [true; 1_000], "{}", encapsulation.name);
    // Servers that ask each other from ports below 1024, as those of IPsec do, ask twice as well.
    let servers = lab.arrive(encapsulation, inwards, &vec![udp(500, 500); 1_000]);
    assert!(servers.iter().filter(|arrived| **arrived).count() >= 999, "{}", encapsulation.name);
}

#[test]
fn answers_that_nobody_asked_for_are_above_the_limit_of_a_port_and_of_all_ports() {
    for (name, family) in [("enc-answers-n", Family::Netdev), ("enc-answers-b", Family::Bridge)] {
        let mut lab = Lab::new(name);
        lab.enforcer = lab.enforcer.in_family(family);
        for (family, encapsulation) in [0, 1].into_iter().flat_map(|family| ENCAPSULATIONS.map(|one| (family, one))) {
            for (protocol, packet) in [(6, syn as fn(u16, u16) -> Transport), (17, udp)] {
                let of_host = Target { destination: INSIDE[family], protocol, port: None };
                answers(&mut lab, encapsulation, family, Target { port: Some(5_000), ..of_host });
                answers(&mut lab, encapsulation, family, of_host);
                let stands = lab.enforcer.read_back().unwrap().blocks;
                let [(Subject::Service(found), Action::Limit, _)] = stands[..] else { panic!("{stands:?}") };
                assert_eq!(found, of_host);
                many_ports(&mut lab, encapsulation, family, packet);
                lab.enforcer.unblock(&[of_host.into()]).unwrap();
                assert_eq!(lab.enforcer.read_back().unwrap().blocks, []);
            }
        }
    }
}

/// These services are limited, for so many seconds.
fn limited(targets: &[Target], seconds: u64) -> Desired {
    let until = NOW.plus(Duration::from_secs(seconds));
    let block = |target: &Target| Block { subject: (*target).into(), action: Action::Limit, until };
    Desired { blocks: targets.iter().map(block).collect(), limit_per_s: PER_S, ..Desired::default() }
}

fn syn(source_port: u16, destination_port: u16) -> Transport {
    tcp(source_port, destination_port, SYN)
}

#[test]
fn a_flood_passes_at_the_rate_of_the_limit_and_nothing_else_is_touched() {
    for (name, family) in [("enc-limit-n", Family::Netdev), ("enc-limit-b", Family::Bridge)] {
        let mut lab = Lab::new(name);
        lab.enforcer = lab.enforcer.in_family(family);
        for family in [0, 1] {
            for encapsulation in ENCAPSULATIONS {
                limits(&mut lab, encapsulation, family, 6, syn);
                limits(&mut lab, encapsulation, family, 17, udp);
            }
        }
    }
}

#[test]
fn what_floods_a_group_by_neighbour_discovery_is_above_its_limit_in_every_encapsulation() {
    const ICMPV6: u8 = 58;
    const ROUTER_ADVERTISEMENT: u8 = 134;
    for (name, family) in [("enc-group-n", Family::Netdev), ("enc-group-b", Family::Bridge)] {
        let mut lab = Lab::new(name);
        lab.enforcer = lab.enforcer.in_family(family);
        let inwards = Way { family: 1, inwards: true };
        let group: IpAddr = "ff02::1".parse().unwrap();
        for encapsulation in ENCAPSULATIONS {
            let what = encapsulation.name;
            let target = Target { destination: group, protocol: ICMPV6, port: None };
            lab.enforcer.replace(&limited(&[target], 600), NOW).unwrap();
            let advertisement = icmp(ICMPV6, ROUTER_ADVERTISEMENT);
            let frame = |mark| encapsulation.frame(forged(1, mark), group, mark, &advertisement);
            let begin = Stopwatch::start();
            let passed = lab.marks_to(encapsulation, inwards, group, (1..=2_000).map(frame)).len();
            let most = f64::from(PER_S) * (1.0 + begin.elapsed().as_secs_f64()) + 1.0;
            assert!(passed >= PER_S as usize && passed as f64 <= most, "{what}: {passed} passed of at most {most}");
            // Whoever looks for a single host finds it.
            assert_eq!(lab.arrive(encapsulation, inwards, &vec![advertisement; 1_000]), [true; 1_000], "{what}");
            let stands = lab.enforcer.read_back().unwrap().blocks;
            let [(Subject::Service(found), Action::Limit, _)] = stands[..] else { panic!("{what}: {stands:?}") };
            assert_eq!(found, target, "{what}");
            lab.enforcer.unblock(&[target.into()]).unwrap();
        }
    }
}

/// What of these arrives inwards, in each encapsulation.
fn each_arrives(lab: &Lab, family: usize, packets: &[Transport], expected: &[bool], state: &str) {
    for encapsulation in ENCAPSULATIONS {
        let arrived = lab.arrive(encapsulation, Way { family, inwards: true }, packets);
        assert_eq!(arrived, expected, "{state} in {}, {}", encapsulation.name, INSIDE[family]);
    }
}

#[test]
fn a_device_in_quarantine_reaches_the_box_and_what_it_needs_to_be_told() {
    for (name, family) in [("enc-quarant-n", Family::Netdev), ("enc-quarant-b", Family::Bridge)] {
        let mut lab = Lab::new(name);
        lab.enforcer = lab.enforcer.in_family(family);
        let until = NOW.plus(Duration::from_secs(600));
        for family in [0, 1] {
            let mut all = packets(family);
            all.retain(|(_, _, packet)| !packet.goes_to(53));
            // A question for a long name carries data, whatever length it states.
            let [question, carrier] = [104, 105].map(|bytes| datagram(40_000, 53, &vec![1; bytes]));
            let liar = datagram_that_states(20, 40_000, 53, &[1; 105]);
            let needed: Vec<_> =
                all.iter().map(|(kind, ..)| *kind == Kind::Needed).chain([true, true, true, false, false]).collect();
            let questions = [udp(40_000, 53), syn(40_000, 53), question, carrier, liar];
            let sent: Vec<_> = all.into_iter().map(|(.., packet)| packet).chain(questions).collect();
            let quarantine =
                |mac| vec![Block { subject: Subject::Device(Mac(mac)), action: Action::Quarantine, until }];
            let mut desired = Desired { blocks: quarantine(SENDER), ..Desired::default() };
            lab.enforcer.replace(&desired, NOW).unwrap();
            each_arrives(&lab, family, &sent, &needed, "quarantine");
            assert_eq!(lab.arrive(THREE_TAGS, Way { family, inwards: true }, &sent), vec![false; sent.len()]);
            let stands = lab.enforcer.read_back().unwrap().blocks;
            let [(Subject::Device(Mac(SENDER)), Action::Quarantine, left)] = stands[..] else { panic!("{stands:?}") };
            assert!(left > Duration::from_secs(500));
            for arp in ENCAPSULATIONS.iter().filter_map(Encapsulation::arp) {
                assert_eq!(arrivals(&lab, core::slice::from_ref(&arp)), 1, "{arp:02x?}");
            }
            desired.own = vec![INSIDE[family]];
            lab.enforcer.replace(&desired, NOW).unwrap();
            each_arrives(&lab, family, &sent, &vec![true; sent.len()], "to the box");
            desired = Desired { blocks: quarantine([2, 0, 0, 0, 0, 9]), ..Desired::default() };
            lab.enforcer.replace(&desired, NOW).unwrap();
            each_arrives(&lab, family, &sent, &vec![true; sent.len()], "another in quarantine");
            let blocks = [quarantine(SENDER), vec![deny(OUTSIDE[family])]].concat();
            desired = Desired { blocks, allow_devices: vec![Mac(SENDER)], ..Desired::default() };
            lab.enforcer.replace(&desired, NOW).unwrap();
            each_arrives(&lab, family, &sent, &vec![true; sent.len()], "allowed by its card");
        }
    }
}

/// A block of everything.
fn deny(address: IpAddr) -> Block {
    Block { subject: Subject::of(address), action: Action::Deny, until: NOW.plus(Duration::from_secs(600)) }
}

/// How often the kernel is told that the program lives, and how long it takes to believe that it does not.
const ALIVE: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(30);

/// A PPPoE frame of this PPP protocol that ends as no other frame does.
fn session(protocol: u16) -> Vec<u8> {
    let header = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0x64, 0x11, 0, 0, 1, 0, 42];
    let mut frame = [&header[..], &protocol.to_be_bytes()].concat();
    frame.resize(60, 0xa7);
    frame
}

/// How many of these frames arrive, all of which end with the same bytes.
fn arrivals(lab: &Lab, frames: &[Vec<u8>]) -> usize {
    frames.iter().for_each(|frame| lab.wires[0].send(frame).unwrap());
    lab.wires[0].send_last().unwrap();
    let mut arrived = 0;
    lab.wires[1].receive(|frame| arrived += usize::from(frame.ends_with(&[0xa7; 20]))).unwrap();
    arrived
}

#[test]
fn a_closed_table_that_nobody_keeps_lets_only_the_box_be_reached_in_every_encapsulation() {
    for (name, family) in [("enc-closed-n", Family::Netdev), ("enc-closed-b", Family::Bridge)] {
        let mut lab = Lab::new(name);
        lab.enforcer = lab.enforcer.in_family(family).on_failure(OnFailure::Closed);
        let arp: Vec<_> = ENCAPSULATIONS.iter().filter_map(Encapsulation::arp).collect();
        for family in [0, 1] {
            let all = packets(family);
            let needed: Vec<_> = all.iter().map(|(kind, ..)| *kind == Kind::Needed).collect();
            let sent: Vec<_> = all.into_iter().map(|(.., packet)| packet).collect();
            let way = Way { family, inwards: true };
            // Who is on the allowlist may pass no more than others.
            let desired = Desired { allow: vec![OUTSIDE[family].into()], ..Desired::default() };
            lab.enforcer.replace(&desired, NOW).unwrap();
            each_arrives(&lab, family, &sent, &vec![true; sent.len()], "open");
            // Longer than it would stay open by itself.
            for _ in 0..if family == 0 { 7 } else { 0 } {
                std::thread::sleep(ALIVE);
                lab.enforcer.keep_alive().unwrap();
                assert_eq!(lab.arrive(ENCAPSULATIONS[0], way, &sent), vec![true; sent.len()]);
            }
            wait_until("it closes", PATIENCE, || lab.arrive(ENCAPSULATIONS[0], way, &sent) == needed).unwrap();
            let before = lab.enforcer.dropped_packets().unwrap();
            each_arrives(&lab, family, &sent, &needed, "closed");
            let dropped = needed.iter().filter(|needed| !*needed).count() * ENCAPSULATIONS.len();
            assert_eq!(lab.enforcer.dropped_packets().unwrap() - before, dropped as u64);
            assert_eq!(lab.arrive(THREE_TAGS, way, &sent), vec![false; sent.len()]);
            assert_eq!(arrivals(&lab, &arp), arp.len(), "ARP");
            assert_eq!(arrivals(&lab, &[session(0x2145)]), 0, "IPv4 by its short number");
            assert_eq!(arrivals(&lab, &[session(0xc021)]), 1, "what keeps the session");
            lab.enforcer.keep_alive().unwrap();
            each_arrives(&lab, family, &sent, &vec![true; sent.len()], "open again");
            lab.enforcer.replace(&Desired { own: vec![INSIDE[family]], ..Desired::default() }, NOW).unwrap();
            let back = Way { family, inwards: false };
            wait_until("it closes", PATIENCE, || lab.arrive(ENCAPSULATIONS[0], back, &sent) == needed).unwrap();
            each_arrives(&lab, family, &sent, &vec![true; sent.len()], "to the box");
        }
    }
}

#[test]
fn a_table_that_closes_is_readable() {
    let mut lab = Lab::new("enc-closed-text");
    lab.enforcer = lab.enforcer.on_failure(OnFailure::Closed);
    lab.enforcer.replace(&Desired::default(), NOW).unwrap();
    let listing = lab.hosts.bridge.run(["nft", "list", "table", "netdev", "sluice"]).unwrap();
    for line in [
        "type ether_type",
        "meta protocol != @alive ip daddr != @own4 ether daddr != @own_device counter packets 0 bytes 0 drop",
        "meta protocol != @alive ip6 daddr != @own6 ether daddr != @own_device counter packets 0 bytes 0 drop",
    ] {
        assert!(listing.contains(line), "no `{line}` in:\n{listing}");
    }
    let begin = Stopwatch::start();
    (0..10).for_each(|_| lab.enforcer.keep_alive().unwrap());
    println!("one keep_alive takes {:?}", begin.elapsed() / 10);
}

#[test]
fn a_limit_ends_and_is_readable() {
    let mut lab = Lab::new("enc-limit-end");
    let ports = [Some(80), None];
    let targets: Vec<_> =
        INSIDE.iter().flat_map(|host| ports.map(|port| Target { destination: *host, protocol: 6, port })).collect();
    lab.enforcer.replace(&limited(&targets, 600), NOW).unwrap();
    let listing = lab.hosts.bridge.run(["nft", "list", "table", "netdev", "sluice"]).unwrap();
    for line in [
        "type ipv4_addr . inet_proto . inet_service",
        "198.51.100.2 . tcp . 80 limit rate over 200/second burst 200 packets timeout 10m",
        "2001:db8:2::2 . tcp . 80 limit rate over 200/second burst 200 packets timeout 10m",
        "198.51.100.2 . tcp limit rate over 200/second burst 200 packets timeout 10m",
        "2001:db8:2::2 . tcp limit rate over 200/second burst 200 packets timeout 10m",
        "ip daddr . meta l4proto . th dport @limit4 jump limited4",
        "ip6 daddr . meta l4proto @limit_hosts6 jump limited6",
    ] {
        assert!(listing.contains(line), "no `{line}` in:\n{listing}");
    }
    lab.enforcer.replace(&limited(&targets, 1), NOW).unwrap();
    wait_until("the kernel ends it", Duration::from_secs(30), || lab.enforcer.read_back().unwrap().blocks.is_empty())
        .unwrap();
}

#[test]
fn what_nftables_cannot_look_into_is_counted() {
    let mut lab = Lab::new("enc-hidden");
    for family in [0, 1] {
        lab.enforcer.replace(&desired(family, Some(Action::Deny), None), NOW).unwrap();
        assert_eq!(lab.enforcer.hidden_packets().unwrap(), 0);
        let way = Way { family, inwards: true };
        assert_eq!(lab.arrive(THREE_TAGS, way, &[tcp(12_345, 80, SYN)]), [true]);
        assert_eq!((lab.enforcer.hidden_packets().unwrap(), lab.enforcer.dropped_packets().unwrap()), (1, 0));
    }
}

#[test]
fn the_bridge_family_does_so_as_well() {
    let mut lab = Lab::new("enc-bridge");
    lab.enforcer = lab.enforcer.in_family(Family::Bridge);
    every_state_holds_in_every_encapsulation(&mut lab);
}
