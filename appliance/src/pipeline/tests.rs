//! Who is accused, on frames that are made here.

use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;

use traffic::decode::LinkType;

use super::*;
use crate::config::Config;
use crate::lists::Lists;

/// The card of a device of the household, and of the router.
const CARDS: [Mac; 2] = [Mac([2, 0, 0x5e, 0, 0, 7]), Mac([2, 0, 0x5e, 0, 0, 1])];
const DEVICE: [u8; 4] = [198, 51, 100, 7];
const SERVER: [u8; 4] = [203, 0, 113, 80];
const INSIDE: Port = Port::First;
const OUTSIDE: Port = Port::Second;
const ICMP: u8 = 1;

/// Notes who was accused, and the device of each checkpoint.
#[derive(Default)]
struct Notes {
    accused: Vec<Subject>,
    devices: Vec<Option<Mac>>,
}

impl Listener for Notes {
    fn decision(&mut self, decision: Decision) -> bool {
        if let Decision::Block { subject, .. } = decision {
            self.accused.push(subject);
        }
        true
    }

    fn checkpoint(&mut self, _: &Observation<'_>, device: Option<Mac>) {
        self.devices.push(device);
    }

    fn flow_ended(&mut self, _: &EndedFlow<'_>) {}
}

/// The live path with the default rules, and the sides of the box known.
fn live() -> Pipeline {
    let config = Config::default();
    let around = Neighbourhood {
        lan: vec!["198.51.100.0/24".parse().unwrap()],
        routers: vec![CARDS[1]],
        internet_port: Some(OUTSIDE),
    };
    Pipeline::new(&PipelineConfig {
        limits: Limits::default(),
        tuning: config.tuning(),
        models: Models::default(),
        rules: Arc::new(Lists::load(&config).rulebook()),
        around: Arc::new(around),
        seed: [1, 2],
    })
}

/// An IPv4 packet in an Ethernet frame; `fragment` is the field of flags and offset (RFC 791).
fn frame(from: ([u8; 4], Mac), to: ([u8; 4], Mac), (protocol, fragment): (u8, u16), payload: &[u8]) -> Vec<u8> {
    let len = (20 + payload.len()) as u16;
    let [len, fragment] = [len, fragment].map(u16::to_be_bytes);
    let header = [0x45, 0, len[0], len[1], 0, 1, fragment[0], fragment[1], 64, protocol, 0, 0];
    [&to.1.0[..], &from.1.0, &[8, 0], &header, &from.0, &to.0, payload].concat()
}

fn take(path: &mut Pipeline, notes: &mut Notes, port: Port, at: Duration, bytes: &[u8]) {
    let frame = Frame { link: LinkType::Ethernet, bytes, wire_len_bytes: bytes.len() as u32, vlan_tag: None };
    path.frame(&Arrival { time: Timestamp::from_secs(1_000).plus(at), port, frame }, notes);
}

/// So many datagrams from a server, six thousand a second.
fn datagrams(fragment: u16) -> Vec<Subject> {
    let (mut path, mut notes) = (live(), Notes::default());
    let payload = [&[0x10, 0, 0x20, 0, 2, 0, 0, 0][..], &[7; 504]].concat();
    let bytes = frame((SERVER, CARDS[1]), (DEVICE, CARDS[0]), (UDP, fragment), &payload);
    for number in 0..2_048 {
        take(&mut path, &mut notes, OUTSIDE, Duration::from_micros(166 * number), &bytes);
    }
    path.finish(&mut notes);
    notes.accused
}

#[test]
fn later_fragments_of_a_tunnel_are_no_flood_and_as_many_whole_datagrams_are_one() {
    assert_eq!(datagrams(185), [], "a tunnel whose packets are fragmented in one direction");
    assert!(!datagrams(0).is_empty(), "they are heard where they say what they are");
}

#[test]
fn a_flow_whose_answer_came_first_is_the_devices_once_that_sends() {
    let echo = |kind| [&[kind, 0, 0, 0, 0, 9, 0, 1][..], &[7; 56]].concat();
    let (mut path, mut notes) = (live(), Notes::default());
    let answer = frame((SERVER, CARDS[1]), (DEVICE, CARDS[0]), (ICMP, 0), &echo(0));
    let asked = frame((DEVICE, CARDS[0]), (SERVER, CARDS[1]), (ICMP, 0), &echo(8));
    take(&mut path, &mut notes, OUTSIDE, Duration::ZERO, &answer);
    for second in 1..8 {
        take(&mut path, &mut notes, INSIDE, Duration::from_secs(second), &asked);
    }
    assert_eq!(notes.devices.first(), Some(&None), "it was not seen sending");
    assert_eq!(notes.devices.last(), Some(&Some(CARDS[0])), "{:?}", notes.devices);
}

#[test]
fn a_guessed_password_shows_when_the_connection_ends_and_a_scan_at_once() {
    let heard_of = |class, begun, end, responder_port| {
        let seen = Observation {
            time: Timestamp::EPOCH,
            last_packet: Timestamp::EPOCH,
            flow: 0,
            initiator: IpAddr::V4(Ipv4Addr::LOCALHOST),
            responder: IpAddr::V4(Ipv4Addr::LOCALHOST),
            initiator_port: None,
            responder_port,
            protocol: 6,
            vlan: None,
            packets: 8,
            sender: None,
            begun,
            proven: true,
            meagre_login: false,
            end,
            features: &[0.0; FEATURE_COUNT],
        };
        is_to_be_heard(class, &seen)
    };
    let heard = |class, begun, end| heard_of(class, begun, end, Some(22));
    assert!(
        !heard_of(ThreatClass::Flood, true, None, None),
        "fragments of a tunnel in use are never answered themselves"
    );
    assert!(heard(ThreatClass::Scan, true, None));
    assert!(!heard(ThreatClass::Scan, false, None), "nobody was seen doing it");
    assert!(!heard(ThreatClass::BruteForce, true, None));
    assert!(!heard(ThreatClass::BruteForce, true, Some(FlowEnd::Segment)), "it goes on");
    assert!(heard(ThreatClass::BruteForce, true, Some(FlowEnd::Finished)));
    assert!(heard(ThreatClass::BruteForce, true, Some(FlowEnd::Reset)));
}
