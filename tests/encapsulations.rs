//! What each set drops and lets pass in every encapsulation, in both families: frames as they are on the wire of a
//! household, sent by hand through the real bridge with the real table.

mod two_hosts;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use lab::packets::{
    ENCAPSULATIONS, Encapsulation, SYN, SYN_ACK, THREE_TAGS, Transport, icmp, later_fragment, tcp, udp,
};
use lab::wire::Wire;
use sluice::enforce::nftables::{Family, Nftables};
use sluice::enforce::{Block, Desired, Enforcer};
use sluice::policy::{Action, Offender};
use traffic::time::Timestamp;
use two_hosts::{INSIDE, OUTSIDE, PORTS, TwoHosts};

const NOW: Timestamp = Timestamp::from_secs(1_000);
const CAPACITY: u32 = 65_536;

/// The bridge, and both ends of the wire through it.
struct Lab {
    _hosts: TwoHosts,
    wires: [Wire; 2],
    enforcer: Nftables,
}

impl Lab {
    fn new(name: &str) -> Self {
        let hosts = TwoHosts::bridged(name).unwrap();
        let wires = [&hosts.outside, &hosts.inside].map(|host| Wire::open(host, "eth0").unwrap());
        let enforcer = hosts.bridge.enter(|| Nftables::open(PORTS.map(str::to_owned), CAPACITY).unwrap()).unwrap();
        Self { _hosts: hosts, wires, enforcer }
    }

    /// Sends these through the bridge; which of them arrive, by their position.
    fn arrive(&self, encapsulation: Encapsulation, way: Way, packets: &[Transport]) -> Vec<bool> {
        let (source, destination) = way.addresses();
        let [sender, receiver] = if way.inwards { [0, 1] } else { [1, 0] }.map(|end: usize| &self.wires[end]);
        for (mark, packet) in (0..).zip(packets) {
            sender.send(&encapsulation.frame(source, destination, mark, packet)).unwrap();
        }
        sender.send_last().unwrap();
        let mut arrived = BTreeSet::new();
        receiver.receive(|frame| arrived.extend(encapsulation.mark(source, frame))).unwrap();
        (0..).zip(packets).map(|(mark, _)| arrived.contains(&mark)).collect()
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
        (Opens, "echo request", icmp(protocol, request)),
        (Answers, "SYN, ACK", tcp(80, 12_345, SYN_ACK)),
        (Answers, "ACK", tcp(12_345, 80, 0x10)),
        (Answers, "RST", tcp(12_345, 80, 0x04)),
        (Answers, "UDP of a service", udp(53, 40_000)),
        (Answers, "UDP from the last service port", udp(1_023, 40_000)),
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
    ("deny, allow", Some(Action::Deny), Some(Allowed::Offender), |_| true, |_| true),
    ("deny_new, allow", Some(Action::DenyNew), Some(Allowed::Offender), |_| true, |_| true),
    ("deny, allow the other", Some(Action::Deny), Some(Allowed::Other), |kind| kind != Kind::Opens, |_| true),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Allowed {
    Offender,
    Other,
}

fn desired(family: usize, action: Option<Action>, allowed: Option<Allowed>) -> Desired {
    let until = NOW.plus(Duration::from_secs(600));
    let offender = Offender::of(OUTSIDE[family]);
    let network = |allowed| match allowed {
        Allowed::Offender => IpNet::from(OUTSIDE[family]),
        Allowed::Other => IpNet::from(INSIDE[family]),
    };
    Desired {
        blocks: action.map(|action| Block { offender, action, until }).into_iter().collect(),
        allow: allowed.map(network).into_iter().collect(),
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
