//! Capture against a real kernel: what is seen, when, on which port, and what happens to a port that goes away.

use std::io::Write;
use std::net::{IpAddr, UdpSocket};
use std::ops::Range;
use std::process::Stdio;
use std::time::Duration;

use lab::two_hosts::{INSIDE, OUTSIDE, PORTS, TwoHosts, connect, give_addresses};
use sluice::capture::live::Live;
use sluice::capture::{FrameSource, Polled, Port};
use sluice::clock;
use sluice::linux::packet_ring::RingConfig;
use traffic::decode::{Decoded, LinkType, decode};
use traffic::time::Timestamp;

const TICK: Duration = Duration::from_millis(50);
/// Polls until something that must come is given up: many, since nothing here measures time.
const POLLS: usize = 400;

/// A frame that was seen.
#[derive(Clone, Debug)]
struct Seen {
    time: Timestamp,
    port: Port,
    wire_len_bytes: u32,
    vlan_tag: Option<u16>,
    bytes: Vec<u8>,
}

impl Seen {
    /// Source of the IP packet in it.
    fn source(&self) -> Option<IpAddr> {
        let frame = traffic::decode::Frame {
            link: LinkType::Ethernet,
            bytes: &self.bytes,
            wire_len_bytes: self.wire_len_bytes,
            vlan_tag: self.vlan_tag,
        };
        match decode(&frame) {
            Ok(Decoded::Ip(packet)) => Some(packet.source),
            _ => None,
        }
    }

    /// The number of a packet that [`send_numbered`] sent.
    fn number(&self) -> u16 {
        u16::from_be_bytes(*self.bytes.last_chunk().unwrap())
    }

    /// The marker that a test put at the end of its packet.
    fn ends_with(&self, marker: &[u8]) -> bool {
        self.bytes.ends_with(marker)
    }
}

fn open(hosts: &TwoHosts, config: RingConfig) -> Live {
    hosts.bridge.enter(|| Live::open(PORTS, config).unwrap()).unwrap()
}

/// Polls until enough was seen, or for very long. A live source belongs to its namespace from the start, but looks for its
/// ports in that of the thread.
fn watch(hosts: &TwoHosts, live: &mut Live, mut is_enough: impl FnMut(&[Seen], &Live) -> bool + Send) -> Vec<Seen> {
    let look = || {
        let mut seen = Vec::new();
        for _ in 0..POLLS {
            let polled = live.poll(TICK, &mut |arrival| {
                let frame = arrival.frame;
                assert_eq!(frame.link, LinkType::Ethernet);
                let (wire_len_bytes, vlan_tag, bytes) = (frame.wire_len_bytes, frame.vlan_tag, frame.bytes.to_vec());
                seen.push(Seen { time: arrival.time, port: arrival.port, wire_len_bytes, vlan_tag, bytes });
            });
            assert_ne!(polled.unwrap(), Polled::End);
            if is_enough(&seen, live) {
                return seen;
            }
        }
        panic!("not seen: {} frames, faults {:?}", seen.len(), live.faults());
    };
    hosts.bridge.enter(look).unwrap()
}

/// Sends UDP packets, each with its number as its last two bytes.
fn send_numbered(from: &lab::namespace::Namespace, source: IpAddr, target: IpAddr, numbers: Range<u16>, length: usize) {
    let socket = from.enter(|| UdpSocket::bind((source, 0)).unwrap()).unwrap();
    for number in numbers {
        let mut payload = vec![0; length];
        payload[length - 2..].copy_from_slice(&number.to_be_bytes());
        socket.send_to(&payload, (target, 9)).unwrap();
    }
}

fn frames_of(seen: &[Seen], source: IpAddr, length: u32) -> Vec<&Seen> {
    seen.iter().filter(|seen| seen.source() == Some(source) && seen.wire_len_bytes == length).collect()
}

#[test]
fn each_packet_is_seen_once_on_its_port_in_the_order_of_time() {
    let hosts = TwoHosts::bridged("cap-once").unwrap();
    let mut live = open(&hosts, RingConfig::default());
    // A machine that has much else to do hands frames over late, or loses some before they come to the ring: now and then,
    // and not each time.
    let mut failures = Vec::new();
    while let Err(why) = count_both_ways(&hosts, &mut live, failures.len() as u16) {
        failures.push(why);
        assert!(failures.len() < 5, "{failures:#?}, {:?}", live.faults());
    }
    assert!(!failures.is_empty() || live.faults().is_empty(), "{:?}", live.faults());
}

/// Numbered packets both ways at once, with other numbers for each attempt. None is seen twice, after a later one of its port, or on
/// the other port; whether all were, and in the order of time.
fn count_both_ways(hosts: &TwoHosts, live: &mut Live, attempt: u16) -> Result<(), String> {
    const COUNT: u16 = 500;
    /// Ethernet, IPv4 and UDP headers, and the payload.
    const LENGTH: u32 = 14 + 20 + 8 + 20;
    let all = attempt * COUNT..(attempt + 1) * COUNT;
    let (before, dropped_before) = (clock::now(), live.dropped());
    std::thread::scope(|scope| {
        scope.spawn(|| send_numbered(&hosts.outside, OUTSIDE[0], INSIDE[0], all.clone(), 20));
        scope.spawn(|| send_numbered(&hosts.inside, INSIDE[0], OUTSIDE[0], all.clone(), 20));
    });
    // What is still on its way would be a second sight of the same packets.
    let (mut frames, mut quiet_polls) = (0, 0);
    let seen = watch(hosts, live, |seen, _| {
        quiet_polls = if seen.len() == frames { quiet_polls + 1 } else { 0 };
        frames = seen.len();
        quiet_polls > 5
    });
    let after = clock::now();
    for (source, port) in [(OUTSIDE[0], Port::First), (INSIDE[0], Port::Second)] {
        let mut frames = frames_of(&seen, source, LENGTH);
        // Not what an attempt before has left.
        frames.retain(|seen| all.contains(&seen.number()));
        let numbers: Vec<_> = frames.iter().map(|seen| seen.number()).collect();
        assert!(numbers.is_sorted_by(|one, next| one < next), "each once, and in order: {numbers:?}");
        assert!(frames.iter().all(|seen| seen.port == port));
        assert!(frames.iter().all(|seen| seen.time >= before && seen.time <= after));
        if numbers.len() != usize::from(COUNT) {
            return Err(format!("{} of {COUNT} seen, {} dropped", numbers.len(), live.dropped() - dropped_before));
        }
    }
    let is_merged = seen.is_sorted_by_key(|seen| seen.time);
    is_merged.then_some(()).ok_or_else(|| String::from("the ports are not merged in the order of time"))
}

#[test]
fn frames_that_are_not_short_are_cut_and_keep_their_length() {
    let hosts = TwoHosts::bridged("cap-snap").unwrap();
    let mut live = open(&hosts, RingConfig { snap_bytes: 96, ..RingConfig::default() });
    for family in [0, 1] {
        let header_bytes = 14 + [20, 40][family] + 8;
        for (length, taken) in [(384_u32, 384), (385, 96), (1_000, 96)] {
            send_numbered(&hosts.outside, OUTSIDE[family], INSIDE[family], 0..1, length as usize - header_bytes);
            let seen = watch(&hosts, &mut live, |seen, _| !frames_of(seen, OUTSIDE[family], length).is_empty());
            assert_eq!(frames_of(&seen, OUTSIDE[family], length)[0].bytes.len(), taken);
        }
    }
}

#[test]
fn a_vlan_tag_is_given_beside_the_frame() {
    let hosts = TwoHosts::bridged("cap-vlan").unwrap();
    let mut live = open(&hosts, RingConfig::default());
    let marker = b"tagged frame by hand";
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x81, 0, 0x20, 9, 0x88, 0xb5];
    frame.resize(80 - marker.len(), 0);
    frame.extend_from_slice(marker);
    let mut socat =
        hosts.outside.command("socat").args(["-u", "STDIN", "INTERFACE:eth0"]).stdin(Stdio::piped()).spawn().unwrap();
    socat.stdin.take().unwrap().write_all(&frame).unwrap();
    assert!(socat.wait().unwrap().success());
    let seen = watch(&hosts, &mut live, |seen, _| seen.iter().any(|seen| seen.ends_with(marker)));
    let seen = seen.iter().find(|seen| seen.ends_with(marker)).unwrap();
    assert_eq!((seen.vlan_tag, seen.wire_len_bytes, seen.bytes.len()), (Some(0x2009), 80, 76));
    assert_eq!(seen.bytes[12..14], [0x88, 0xb5]);
}

#[test]
fn drops_are_counted_when_nobody_reads() {
    let hosts = TwoHosts::bridged("cap-drops").unwrap();
    let tiny = RingConfig { block_bytes: 4_096, blocks: 2, ..RingConfig::default() };
    let mut live = open(&hosts, tiny);
    assert_eq!(live.dropped(), 0);
    send_numbered(&hosts.outside, OUTSIDE[0], INSIDE[0], 0..1_000, 20);
    let dropped = live.dropped();
    assert!(dropped > 0 && dropped < 1_100, "{dropped}");
    assert!(live.dropped() >= dropped, "the sum does not begin anew");
    // It reads on where there is room again.
    watch(&hosts, &mut live, |seen, _| !seen.is_empty());
}

#[test]
fn a_port_that_was_down_is_captured_on_again() {
    let hosts = TwoHosts::bridged("cap-down").unwrap();
    let mut live = open(&hosts, RingConfig::default());
    for port in PORTS {
        hosts.bridge.run(["ip", "link", "set", port, "down"]).unwrap();
        watch(&hosts, &mut live, |_, live| {
            live.faults().iter().any(|fault| fault.contains(&format!("`{port}` is down")))
        });
        hosts.bridge.run(["ip", "link", "set", port, "up"]).unwrap();
        watch(&hosts, &mut live, |_, live| live.faults().is_empty());
    }
    assert!(hosts.reaches());
    sees_both_hosts(&hosts, &mut live);
}

#[test]
fn a_port_that_was_made_again_is_captured_on_again() {
    let hosts = TwoHosts::bridged("cap-gone").unwrap();
    let mut live = open(&hosts, RingConfig::default());
    hosts.bridge.run(["ip", "link", "delete", PORTS[0]]).unwrap();
    watch(&hosts, &mut live, |_, live| live.faults().iter().any(|fault| fault.contains("`wan0` is gone")));
    connect(&hosts.outside, &hosts.bridge, PORTS[0]).unwrap();
    hosts.bridge.run(["ip", "link", "set", PORTS[0], "master", "br0"]).unwrap();
    give_addresses(&hosts.outside, "eth0", OUTSIDE).unwrap();
    watch(&hosts, &mut live, |_, live| live.faults().is_empty());
    assert!(hosts.reaches());
    sees_both_hosts(&hosts, &mut live);
}

fn sees_both_hosts(hosts: &TwoHosts, live: &mut Live) {
    send_numbered(&hosts.outside, OUTSIDE[0], INSIDE[0], 0..3, 77);
    send_numbered(&hosts.inside, INSIDE[0], OUTSIDE[0], 0..3, 77);
    let length = 14 + 20 + 8 + 77;
    watch(hosts, live, |seen, _| {
        [OUTSIDE[0], INSIDE[0]].iter().all(|source| frames_of(seen, *source, length).len() == 3)
    });
}

#[test]
fn a_port_may_be_down_from_the_start() {
    let hosts = TwoHosts::bridged("cap-start").unwrap();
    hosts.bridge.run(["ip", "link", "set", PORTS[1], "down"]).unwrap();
    let mut live = open(&hosts, RingConfig::small());
    watch(&hosts, &mut live, |_, live| live.faults().iter().any(|fault| fault.contains("`lan0` is down")));
    hosts.bridge.run(["ip", "link", "set", PORTS[1], "up"]).unwrap();
    watch(&hosts, &mut live, |_, live| live.faults().is_empty());
    assert!(hosts.reaches());
    sees_both_hosts(&hosts, &mut live);
}

#[test]
fn a_missing_port_is_named() {
    let hosts = TwoHosts::bridged("cap-missing").unwrap();
    let refused = hosts.bridge.enter(|| Live::open(["wan0", "eth7"], RingConfig::default())).unwrap();
    assert_eq!(refused.unwrap_err().to_string(), "no interface `eth7`");
}
