//! More frames than can be read, against a real kernel: what is passed over, what never is, what is said of it, and that all
//! is read again afterwards.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use lab::daemon::{Config, Daemon};
use lab::frames::read_pcap;
use lab::network::Network;
use lab::packets::{ENCAPSULATIONS, Encapsulation, SYN, Transport, icmp, later_fragment, tcp, tcp_with, udp};
use lab::process::wait_until;
use lab::two_hosts::{INSIDE, OUTSIDE, PORTS, TwoHosts};
use lab::wire::Wire;
use nix::sys::signal::Signal;
use sluice::capture::FrameSource;
use sluice::capture::live::Live;
use sluice::clock::Stopwatch;
use sluice::linux::capture_filter::{LONG_BYTES, Shedding};
use sluice::linux::packet_ring::{PacketRing, RingConfig};
use traffic::decode::{Decoded, Frame, LinkType, decode};

const TICK: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(60);

const ACK: u8 = 0x10;
const FIN_ACK: u8 = 0x11;
const RST_ACK: u8 = 0x14;
const PSH_ACK: u8 = 0x18;

/// How often each frame is sent whose fate is looked at: that one is never passed over though it might be has a chance of one
/// in 16 million.
const COPIES: usize = 4;
/// The longest frame that a port takes here.
const LONGEST_FRAME_BYTES: u32 = 1_514;
/// So many bytes of a frame are captured whatever its mark.
const COMPARED_BYTES: usize = 190;

/// Room for all that a test sends before it reads.
fn roomy() -> RingConfig {
    RingConfig { blocks: 512, ..RingConfig::default() }
}

/// The ring of the port that faces outside, from which so much is left out.
fn ring(hosts: &TwoHosts, shedding: Shedding) -> PacketRing {
    let ring = hosts.bridge.enter(|| PacketRing::open(PORTS[0], roomy()).unwrap()).unwrap();
    ring.shed(shedding).unwrap();
    ring
}

/// The frame's first bytes as the ring shows them: without the outermost VLAN tag.
fn as_captured(frame: &[u8]) -> Vec<u8> {
    let mut bytes = frame.to_vec();
    if matches!(bytes[12..14], [0x81, 0] | [0x88, 0xa8]) {
        bytes.drain(12..16);
    }
    bytes.truncate(COMPARED_BYTES);
    bytes
}

/// Sends each frame several times; of which all copies were captured, in the order of the frames.
fn captured_whole(hosts: &TwoHosts, frames: &[Vec<u8>]) -> Vec<bool> {
    let mut ring = ring(hosts, Shedding::NearlyAll);
    let wire = Wire::open(&hosts.outside, "eth0").unwrap();
    let mut sent: HashMap<Vec<u8>, usize> = HashMap::new();
    for frame in frames {
        for _ in 0..COPIES {
            wire.send(frame).unwrap();
        }
        *sent.entry(as_captured(frame)).or_default() += COPIES;
    }
    let mut seen: HashMap<Vec<u8>, usize> = HashMap::new();
    // The last block is handed over when its time is up.
    for _ in 0..20 {
        while let Some(frame) = ring.next_frame() {
            *seen.entry(frame.bytes[..frame.bytes.len().min(COMPARED_BYTES)].to_vec()).or_default() += 1;
        }
        sleep(TICK / 10);
    }
    assert_eq!(ring.statistics().unwrap().drops, 0);
    frames.iter().map(|frame| sent.get(&as_captured(frame)) == seen.get(&as_captured(frame))).collect()
}

/// What the filter looks for, as the path's own decoder sees it.
fn is_long_segment(frame: &[u8]) -> bool {
    let wire_len_bytes = frame.len() as u32;
    let frame = Frame { link: LinkType::Ethernet, bytes: frame, wire_len_bytes, vlan_tag: None };
    let Ok(Decoded::Ip(packet)) = decode(&frame) else { return false };
    let traffic::decode::Transport::Tcp(tcp) = packet.transport else { return false };
    let flags = tcp.flags;
    packet.ip_len_bytes >= LONG_BYTES && flags.ack && !(flags.syn || flags.fin || flags.rst)
}

/// Whether the filter can look into it: not behind two tags.
fn is_looked_into(encapsulation: &Encapsulation) -> bool {
    ["plain", "802.1Q", "802.1ad", "PPPoE", "PPPoE in 802.1Q"].contains(&encapsulation.name)
}

#[test]
fn only_long_segments_of_running_connections_are_passed_over() {
    let hosts = TwoHosts::bridged("over-kinds").unwrap();
    let long = |flags| tcp_with(40_000, 443, flags, 1_000);
    let kinds: [(Transport, bool); 11] = [
        (long(ACK), true),
        (long(PSH_ACK), true),
        (long(SYN), false),
        (long(FIN_ACK), false),
        (long(RST_ACK), false),
        (long(0), false),
        (tcp(40_000, 443, ACK), false),
        (tcp_with(40_000, 443, ACK, 500), false),
        (udp(40_000, 443), false),
        (icmp(1, 8), false),
        (later_fragment(), false),
    ];
    let (mut frames, mut expected) = (Vec::new(), Vec::new());
    for (family, encapsulation) in [0, 1].into_iter().flat_map(|family| ENCAPSULATIONS.map(|one| (family, one))) {
        for (mark, (transport, may_be_left_out)) in (1..).zip(&kinds) {
            frames.push(encapsulation.frame(OUTSIDE[family], INSIDE[family], mark, transport));
            let left_out = *may_be_left_out && is_looked_into(&encapsulation);
            expected.push((family, encapsulation.name, mark, !left_out));
        }
        frames.extend(encapsulation.arp());
        expected.extend(encapsulation.arp().map(|_| (family, encapsulation.name, 0, true)));
    }
    let whole = captured_whole(&hosts, &frames);
    for (whole, (family, encapsulation, mark, expected)) in whole.into_iter().zip(expected) {
        assert_eq!(whole, expected, "kind {mark} in {encapsulation}, family {family}");
    }
}

#[test]
fn of_real_traffic_the_filter_passes_over_what_the_decoder_calls_a_long_segment() {
    let hosts = TwoHosts::bridged("over-real").unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures");
    let (mut long, mut other) = (0, 0);
    for case in ["benign-mix", "benign-pages", "ipv6", "ssh-brute-force", "syn-scan"] {
        let captured = read_pcap(&folder.join(case).join("input.pcap")).unwrap();
        let fitting = captured.into_iter().filter(|frame| frame.wire_len <= LONGEST_FRAME_BYTES);
        let frames: Vec<_> = fitting.map(|frame| padded(frame.bytes, frame.wire_len)).collect();
        for (frame, whole) in frames.iter().zip(captured_whole(&hosts, &frames)) {
            assert_eq!(whole, !is_long_segment(frame), "{case}: {frame:02x?}");
            *if whole { &mut other } else { &mut long } += 1;
        }
    }
    assert!(long > 50 && other > 500, "{long} long segments and {other} others are no test");
}

/// A captured frame in its length on the wire.
fn padded(mut bytes: Vec<u8>, wire_len_bytes: u32) -> Vec<u8> {
    bytes.resize(wire_len_bytes as usize, 0);
    bytes
}

/// A packet of a download that has been running, and the SYN of a connection from this port.
fn download() -> Vec<u8> {
    ENCAPSULATIONS[0].frame(OUTSIDE[0], INSIDE[0], 1, &tcp_with(443, 40_000, ACK, 1_400))
}

fn opening(port: u16) -> Vec<u8> {
    ENCAPSULATIONS[0].frame(OUTSIDE[0], INSIDE[0], 2, &tcp(port, 80, SYN))
}

/// Sends so many trains of long segments, each led by a SYN, with a pause after each.
fn send_trains(hosts: &TwoHosts, trains: u16, length: usize, pause: Duration) {
    let wire = Wire::open(&hosts.outside, "eth0").unwrap();
    let long = download();
    for port in 0..trains {
        wire.send(&opening(1_024 + port)).unwrap();
        for _ in 0..length {
            wire.send(&long).unwrap();
        }
        sleep(pause);
    }
}

/// What a reader counted.
#[derive(Debug, Default)]
struct Read {
    openings: usize,
    long: u64,
}

/// Reads until so many connections were seen to begin, taking so long for each frame.
fn read(hosts: &TwoHosts, live: &mut Live, per_frame: Duration, openings: usize) -> Read {
    let (mut read, begin) = (Read::default(), Stopwatch::start());
    let source = |bytes: &[u8]| <[u8; 4]>::try_from(bytes.get(26..30)?).ok().map(IpAddr::from);
    let work = || {
        while read.openings < openings {
            let told = (live.dropped(), live.passed_over());
            assert!(begin.elapsed() < PATIENCE, "{read:?}; dropped and passed over: {told:?}");
            live.poll(TICK, &mut |arrival| {
                let frame = arrival.frame;
                if source(frame.bytes) == Some(OUTSIDE[0]) {
                    read.long += u64::from(frame.wire_len_bytes > LONG_BYTES);
                    read.openings += usize::from(frame.bytes.get(47) == Some(&SYN));
                }
                let taken = Stopwatch::start();
                while taken.elapsed() < per_frame {}
            })
            .unwrap();
        }
        read
    };
    hosts.bridge.enter(work).unwrap()
}

#[test]
fn a_reader_that_is_too_slow_loses_no_new_connection_says_so_and_recovers() {
    const TRAINS: u16 = 200;
    const LENGTH: usize = 1_000;
    const SENT: u64 = TRAINS as u64 * LENGTH as u64;
    /// The reader manages 50,000 frames a second, and the ring holds 60,000: together far less than comes.
    const PER_FRAME: Duration = Duration::from_micros(20);
    /// A busy machine may stop the reader for longer than any ring lasts: so many may be missed. Without shedding it is most.
    const MISSED: u64 = TRAINS as u64 / 20;
    let hosts = TwoHosts::bridged("over-slow").unwrap();
    let config = RingConfig { blocks: 256, ..RingConfig::default() };
    let mut live = hosts.bridge.enter(|| Live::open(PORTS, config).unwrap()).unwrap();
    let seen = std::thread::scope(|scope| {
        scope.spawn(|| send_trains(&hosts, TRAINS, LENGTH, Duration::from_millis(5)));
        read(&hosts, &mut live, PER_FRAME, usize::from(TRAINS) - MISSED as usize)
    });
    assert!(live.dropped() <= SENT / 1_000, "{} dropped, {seen:?}", live.dropped());
    let (passed_over, all) = (live.passed_over(), seen.long + live.passed_over());
    println!("of {SENT} long segments {} were read and about {passed_over} passed over", seen.long);
    assert!(passed_over > SENT / 4, "{passed_over} of {SENT}: the reader was not too slow");
    assert!(all.abs_diff(SENT) < SENT / 5, "{all} instead of {SENT}");
    let faults = live.faults();
    assert!(faults.iter().any(|fault| fault.contains("new connections are still looked at")), "{faults:?}");

    // It takes some calm seconds; then each is read again.
    let wire = Wire::open(&hosts.outside, "eth0").unwrap();
    let begin = Stopwatch::start();
    loop {
        assert!(begin.elapsed() < PATIENCE, "not all is read again");
        for _ in 0..10 {
            wire.send(&download()).unwrap();
        }
        wire.send(&opening(1)).unwrap();
        if read(&hosts, &mut live, Duration::ZERO, 1).long == 10 {
            break;
        }
        sleep(TICK * 10);
    }
}

#[test]
fn what_the_running_daemon_missed_is_counted_and_shown_with_a_remedy() {
    let network = Network::new().unwrap();
    let daemon = Daemon::start(&network, &Config { memory: "small", ..Config::default() }).unwrap();
    let wire = Wire::open(&network.lan, "lan0").unwrap();
    let status = |key: &str| daemon.status().unwrap()[key].clone();
    // More than its rings hold, while it cannot read.
    daemon.signal(Signal::SIGSTOP);
    for port in 0..20_000 {
        wire.send(&opening(1_024 + port)).unwrap();
    }
    daemon.signal(Signal::SIGCONT);
    wait_until("the losses are counted", PATIENCE, || status("ring_drops").as_u64() > Some(0)).unwrap();
    // It found a ring full, and passes long segments over for some seconds.
    for _ in 0..1_000 {
        wire.send(&download()).unwrap();
    }
    wait_until("what was passed over is counted", PATIENCE, || status("passed_over").as_u64() > Some(0)).unwrap();
    let faults = status("faults").to_string();
    for words in
        ["packets passed unseen because", "packets of running connections were passed over", "a faster processor"]
    {
        assert!(faults.contains(words), "{words}: {faults}");
    }
    let shown = daemon.command(&["status"]).unwrap().stdout;
    assert!(shown.contains("came too fast to be read") && shown.contains("were passed over"), "{shown}");
}

/// Servers that a device asks at once.
const ASKED: u8 = 120;
/// So many frames are not taken from the rings in one go.
const FILLERS: u16 = 4_096;

/// A frame of a server: the other way round on the wire as well, or whoever is inside would be taken for somebody who is outside too.
fn from_outside(server: IpAddr, device: IpAddr, carried: &Transport) -> Vec<u8> {
    let mut frame = ENCAPSULATIONS[0].frame(server, device, 1, carried);
    frame[..12].rotate_left(6);
    frame
}

/// What the device with that last byte sends to each server, and each server to the device, with those flags.
fn with_each_server(device: u8, flags_each_way: [u8; 2]) -> Vec<[Vec<u8>; 2]> {
    let address = |text: String| text.parse::<IpAddr>().unwrap();
    let device = address(format!("198.51.100.{device}"));
    let both_ways = |last| {
        let server = address(format!("203.0.113.{last}"));
        let sent = tcp(40_000, 8_883, flags_each_way[0]).numbered(100 + u32::from(flags_each_way[0] == ACK), 501);
        let answer = tcp(8_883, 40_000, flags_each_way[1]).numbered(500, 101);
        [ENCAPSULATIONS[0].frame(device, server, 1, &sent), from_outside(server, device, &answer)]
    };
    (1..=ASKED).map(both_ways).collect()
}

#[test]
fn who_is_answered_while_the_daemon_cannot_read_is_not_taken_for_somebody_whom_nobody_answers() {
    let network = Network::new().unwrap();
    let daemon = Daemon::start(&network, &Config::default()).unwrap();
    let [inside, outside] =
        [(&network.lan, "lan0"), (&network.wan, "wan0")].map(|(host, port)| Wire::open(host, port).unwrap());
    let packets = || daemon.status().unwrap()["packets"].as_u64().unwrap();
    let before = packets();
    daemon.signal(Signal::SIGSTOP);
    let syns: Vec<_> = with_each_server(77, [SYN, 0]).into_iter().map(|[syn, _]| syn).collect();
    inside.send_many(&syns).unwrap();
    // Both ways, as a call does.
    let call = ["198.51.100.79", "203.0.113.201"].map(|text| text.parse::<IpAddr>().unwrap());
    for _ in 0..FILLERS / 2 {
        inside.send(&ENCAPSULATIONS[0].frame(call[0], call[1], 1, &udp(40_000, 40_001))).unwrap();
        outside.send(&from_outside(call[1], call[0], &udp(40_001, 40_000))).unwrap();
    }
    for [ack, syn_ack] in with_each_server(77, [ACK, SYN | ACK]) {
        outside.send(&syn_ack).unwrap();
        inside.send(&ack).unwrap();
    }
    // Longer than an answer is waited for.
    sleep(Duration::from_secs(3));
    daemon.signal(Signal::SIGCONT);
    let sent = u64::from(FILLERS) + 3 * u64::from(ASKED);
    wait_until("all is read", PATIENCE, || packets() >= before + sent).unwrap();
    // Another one, which nobody answers, is blocked: whatever was to be done about the first has been done by then.
    let syns: Vec<_> = with_each_server(78, [SYN, 0]).into_iter().map(|[syn, _]| syn).collect();
    inside.send_many(&syns).unwrap();
    daemon.wait_for_block("198.51.100.78", PATIENCE).unwrap();
    let alerts = &daemon.status().unwrap()["alerts"];
    let accused: Vec<_> = alerts.as_array().unwrap().iter().filter_map(|alert| alert["source"].as_str()).collect();
    assert_eq!(accused, ["198.51.100.78"], "{alerts:#}");
}
