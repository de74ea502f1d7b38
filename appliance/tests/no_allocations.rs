//! The packet path allocates nothing once it is made: every kind of frame goes through it while the allocator counts. So do
//! all beginnings of these frames, and each of them with any one byte wrong.
#![allow(clippy::expect_used, clippy::panic, reason = "a test may stop at the first surprise")]

#[path = "../traffic/tests/frames/mod.rs"]
mod frames;

use std::alloc::System;
use std::fs::File;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use frames::{ipv4, ipv4_between, ipv4_fragment, ipv6, ipv6_between, ipv6_fragment, tcp, tcp_with_options, udp};
use ipnet::IpNet;
use model_compiler::json;
use pnet_packet::ethernet::{EtherType, EtherTypes};
use pnet_packet::tcp::TcpFlags;
use sluice::capture::{Arrival, Port};
use sluice::config::Config;
use sluice::pipeline::{EndedFlow, Listener, Pipeline, PipelineConfig};
use sluice::policy::{Decision, Neighbourhood, Profile, Subject, Tuning};
use sluice::verdict::lists::{List, ListConfig, Source};
use sluice::verdict::rules::Name;
use sluice::verdict::{BUILT_IN, Basis, Model, Models, Rulebook, Verdict};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use traffic::address::Mac;
use traffic::capture_file::CaptureFile;
use traffic::decode::{DecodeError, Frame, LinkType};
use traffic::extractor::Observation;
use traffic::features::ThreatClass;
use traffic::limits::Limits;
use traffic::time::Timestamp;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Spoofed SYNs of the flood, and datagrams of another.
const FLOOD_PACKETS: u32 = 10_000;

const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP: u8 = 1;
const ICMP_V6: u8 = 58;
/// ESP, GRE, IPv4 and IPv6 within IP, IGMP.
const OTHER_PROTOCOLS: [u8; 5] = [50, 47, 4, 41, 2];
const HOP_BY_HOP: u8 = 0;
const DESTINATION_OPTIONS: u8 = 60;

struct StoredFrame {
    link: LinkType,
    wire_len_bytes: u32,
    vlan_tag: Option<u16>,
    bytes: Vec<u8>,
}

impl StoredFrame {
    fn new(link: LinkType, bytes: Vec<u8>) -> Self {
        Self { link, wire_len_bytes: bytes.len() as u32, vlan_tag: None, bytes }
    }
}

/// Counts, as the daemon's listener does little more than handing decisions on.
#[derive(Default)]
struct Counting {
    decisions: u64,
    asked: u64,
    checkpoints: u64,
    flows: u64,
}

impl Listener for Counting {
    fn decision(&mut self, decision: Decision) -> bool {
        self.decisions += 1;
        let (Decision::Alert(sighting) | Decision::Block { sighting, .. }) = decision;
        self.asked += u64::from(matches!(sighting.basis, Basis::Domain { .. }));
        true
    }

    fn checkpoint(&mut self, _: &Observation<'_>, _: Option<Mac>) {
        self.checkpoints += 1;
    }

    fn flow_ended(&mut self, _: &EndedFlow<'_>) {
        self.flows += 1;
    }
}

fn captures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/captures");
    let cases = std::fs::read_dir(folder).expect("tests/captures");
    cases.map(|case| case.expect("readable").path().join("input.pcap")).filter(|path| path.exists()).collect()
}

fn frames_of(path: &Path) -> Vec<(Timestamp, StoredFrame)> {
    let mut capture = CaptureFile::new(File::open(path).expect("a capture")).expect("a capture");
    let mut frames = Vec::new();
    let mut store = |time, frame: &Frame<'_>| {
        let wire_len_bytes = frame.wire_len_bytes;
        frames.push((time, StoredFrame { wire_len_bytes, ..StoredFrame::new(frame.link, frame.bytes.to_vec()) }));
    };
    // A capture that is cut off is among them on purpose.
    while capture.next_frame(&mut store).unwrap_or(false) {}
    frames
}

/// IPv4 and IPv6 packets of each kind that is told apart.
fn packets() -> Vec<Vec<u8>> {
    // The largest segment, selective acknowledgement, time stamps, window scale: as Linux orders them in a SYN.
    let options = [2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7];
    let segments = [tcp(0), tcp(100), tcp_with_options(TcpFlags::SYN, &options, 0), tcp_with_options(0xff, &[], 3)];
    let mut packets = Vec::new();
    for segment in &segments {
        packets.extend([ipv4(TCP, segment), ipv6(TCP, segment)]);
    }
    packets.extend([ipv4(UDP, &udp(40)), ipv6(UDP, &udp(40)), ipv4(ICMP, &[8, 0, 0, 0, 0, 1, 0, 1])]);
    packets.extend([
        ipv4(ICMP, &unreachable(3, &ipv4(TCP, &tcp(0)))),
        ipv6(ICMP_V6, &unreachable(1, &ipv6(UDP, &udp(0)))),
    ]);
    packets.extend([ipv6(ICMP_V6, &[128, 0, 0, 0, 0, 1, 0, 1]), ipv6(ICMP_V6, &[135, 0, 0, 0, 0, 0, 0, 0])]);
    packets.extend(OTHER_PROTOCOLS.map(|protocol| ipv4(protocol, &ipv4(TCP, &tcp(0)))));
    packets.extend(OTHER_PROTOCOLS.map(|protocol| ipv6(protocol, &ipv6(TCP, &tcp(0)))));
    packets.extend([ipv4_fragment(UDP, 0, true, &udp(40)), ipv4_fragment(UDP, 6, false, &[0; 40])]);
    packets.extend([ipv6_fragment(UDP, 0, true, &udp(40)), ipv6_fragment(UDP, 6, false, &[0; 40])]);
    packets.extend([ipv4_fragment(TCP, 0, true, &[0; 8]), ipv4_fragment(UDP, 0x1fff, false, &[0; 40])]);
    packets.extend([1, 3, 40].map(|headers| ipv6(HOP_BY_HOP, &extended(headers, &tcp(10)))));
    packets
}

/// An ICMP error about a packet.
fn unreachable(kind: u8, about: &[u8]) -> Vec<u8> {
    [&[kind, 1, 0, 0, 0, 0, 0, 0], about].concat()
}

/// So many extension headers of 8 bytes before the segment.
fn extended(headers: usize, segment: &[u8]) -> Vec<u8> {
    let header = |next: u8| [next, 0, 1, 4, 0, 0, 0, 0];
    let mut bytes = vec![header(DESTINATION_OPTIONS); headers - 1].concat();
    bytes.extend(header(TCP));
    [&bytes, segment].concat()
}

/// The packet behind each kind of link header.
fn framed(ip: &[u8]) -> Vec<StoredFrame> {
    let is_v4 = ip[0] >> 4 == 4;
    let (ethertype, family, ppp_protocol) =
        if is_v4 { (EtherTypes::Ipv4, 2, [0, 0x21]) } else { (EtherTypes::Ipv6, 30, [0, 0x57]) };
    let kind = ethertype.0.to_be_bytes();
    let ppp = [&ppp_protocol, ip].concat();
    let session = [&[0x11, 0, 0, 1][..], &(ppp.len() as u16).to_be_bytes(), &ppp].concat();
    let ethernet = |ethertype, payload: &[u8]| frames::ethernet(EtherType(ethertype), payload);
    let tag = |tags: &[&[u8]]| [tags, &[&kind, ip]].concat().concat();
    let plain = [
        (LinkType::Ethernet, ethernet(ethertype.0, ip)),
        (LinkType::Ethernet, ethernet(0x8100, &tag(&[&[0, 7]]))),
        (LinkType::Ethernet, ethernet(0x88a8, &tag(&[&[0, 7], &[0x81, 0, 0, 8]]))),
        (LinkType::Ethernet, ethernet(0x88a8, &tag(&[&[0, 7], &[0x81, 0, 0, 8], &[0x81, 0, 0, 9]]))),
        (LinkType::Ethernet, ethernet(0x8864, &session)),
        (LinkType::RawIp, ip.to_vec()),
        (LinkType::LinuxCooked, [&[0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0][..], &kind, ip].concat()),
        (LinkType::LinuxCooked2, [&kind, &[0; 18][..], ip].concat()),
        (LinkType::Null, [&[family, 0, 0, 0], ip].concat()),
        (LinkType::Ppp, [&[0xff, 3], &ppp[..]].concat()),
        (LinkType::PppWithDirection, [&[0, 0xff, 3], &ppp[..]].concat()),
        (LinkType::Pppoe, session),
        (LinkType::Unsupported, ip.to_vec()),
    ];
    let mut framed: Vec<_> = plain.into_iter().map(|(link, bytes)| StoredFrame::new(link, bytes)).collect();
    // Its tag was taken out by the network card.
    framed.push(StoredFrame { vlan_tag: Some(7), ..StoredFrame::new(LinkType::Ethernet, ethernet(ethertype.0, ip)) });
    framed
}

/// An ARP question.
fn arp() -> StoredFrame {
    let question = [0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 198, 51, 100, 10, 0, 0, 0, 0, 0, 0, 198, 51, 100, 1];
    StoredFrame::new(LinkType::Ethernet, frames::ethernet(EtherTypes::Arp, &question))
}

/// SYNs from as many sources, and datagrams to as many ports.
fn floods() -> impl Iterator<Item = StoredFrame> {
    let forged = |number| ipv4_between(Ipv4Addr::from(0xc612_0000 + number), frames::DESTINATION, TCP, &tcp(0));
    let forged_v6 = |number| ipv6_between(&format!("2001:db8:{number:x}::1"), frames::DESTINATION_6, TCP, &tcp(0));
    let datagram = |port: u32| {
        let mut datagram = udp(20);
        datagram[2..4].copy_from_slice(&(port as u16).to_be_bytes());
        ipv4(UDP, &datagram)
    };
    let packets = (0..FLOOD_PACKETS).flat_map(move |number| [forged(number), forged_v6(number), datagram(number)]);
    packets.map(|ip| StoredFrame::new(LinkType::RawIp, ip))
}

/// The path, its time, and what it tells.
struct Route {
    pipeline: Pipeline,
    listener: Counting,
    now: Timestamp,
}

impl Route {
    /// Takes a frame of so many bytes, a millisecond after the one before.
    fn frame(&mut self, stored: &StoredFrame, bytes: &[u8], wire_len_bytes: u32) {
        let frame = Frame { link: stored.link, bytes, wire_len_bytes, vlan_tag: stored.vlan_tag };
        self.now = self.now.plus(Duration::from_millis(1));
        let arrival = Arrival { time: self.now, port: Port::First, frame };
        self.pipeline.frame(&arrival, &mut self.listener);
    }

    /// Takes the frame whole, then cut at each place (by the capture, and on the wire), then with each byte wrong.
    fn tortured(&mut self, stored: &mut StoredFrame) {
        let whole = stored.wire_len_bytes;
        self.frame(stored, &stored.bytes, whole);
        for len in 0..stored.bytes.len() {
            self.frame(stored, &stored.bytes[..len], whole);
            self.frame(stored, &stored.bytes[..len], len as u32);
        }
        for place in 0..stored.bytes.len() {
            for wrong in [0x01, 0x40, 0xff] {
                stored.bytes[place] ^= wrong;
                self.frame(stored, &stored.bytes, whole);
                stored.bytes[place] ^= wrong;
            }
        }
    }
}

/// A list that the source of most frames is on, and the domain that [`queries`] ask for.
fn list() -> List {
    let path = std::env::temp_dir().join(format!("sluice-list-{}", std::process::id()));
    std::fs::write(&path, format!("{}\nevil.example\n", frames::SOURCE)).expect("a file");
    let verdict = Verdict { class: ThreatClass::Botnet, confidence: 0.9 };
    let config = ListConfig { name: Name::new("test"), source: Source::File(path.clone()), verdict, block: true };
    let (list, _) = List::read(&config, &path).expect("the list");
    std::fs::remove_file(path).expect("removed");
    list
}

/// Questions for a name on the list, one of them as long as a name can be.
fn queries() -> Vec<Vec<u8>> {
    let header = [0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    let long = [&[1, b'a'].repeat(120)[..], b"\x04evil\x07example\0\0\x01\0\x01"].concat();
    let names = [&b"\x04mail\x04EVIL\x07example\0\0\x01\0\x01"[..], &long];
    let datagram = |name: &&[u8]| {
        let mut datagram = udp(header.len() + name.len());
        datagram[8..].copy_from_slice(&[&header, *name].concat());
        datagram
    };
    let datagrams: Vec<_> = names.iter().map(datagram).collect();
    datagrams.iter().flat_map(|datagram| [ipv4(UDP, datagram), ipv6(UDP, datagram)]).collect()
}

/// The first tree of the built-in model, as it is read from a file.
fn another_model() -> &'static Model {
    let mut file = json::read(include_str!("../../models/forest/model.json")).expect("a model");
    file.trees.truncate(1);
    Model::load(String::from("first tree"), &file)
}

#[test]
fn the_packet_path_allocates_nothing() {
    let captured: Vec<_> = captures().iter().flat_map(|path| frames_of(path)).collect();
    assert!(captured.len() > 1_000, "only {} frames in tests/captures", captured.len());
    let packets = [packets(), queries()].concat();
    let mut built: Vec<StoredFrame> = packets.iter().flat_map(|ip| framed(ip)).chain([arp()]).collect();
    let floods: Vec<StoredFrame> = floods().collect();
    let rules = Arc::new(Rulebook { rules: Config::default().rules, lists: vec![Arc::new(list())] });
    let (others, kept) = (Arc::clone(&rules), Arc::clone(&rules));
    // Small tables, so that eviction is on the way too.
    let limits = Limits { flows: 256, sources: 16, destinations: 16, pairs: 16, leaks: 16 };
    let config = PipelineConfig {
        limits,
        tuning: Tuning { thresholds: Profile::Strict.thresholds(), block_ttl: Duration::from_secs(1), limit_per_s: 1 },
        models: Models { active: &BUILT_IN, shadow: Some(another_model()) },
        rules,
        around: Arc::new(Neighbourhood { lan: vec![IpNet::default()], ..Neighbourhood::default() }),
        seed: [3, 4],
    };
    let now = Timestamp::from_secs(1_800_000_000);
    let mut path = Route { pipeline: Pipeline::new(&config), listener: Counting::default(), now };

    let region = Region::new(ALLOCATOR);
    for (time, stored) in &captured {
        path.now = *time;
        path.frame(stored, &stored.bytes, stored.wire_len_bytes);
        path.frame(stored, &stored.bytes[..stored.bytes.len().min(128)], stored.wire_len_bytes);
    }
    for stored in &mut built {
        path.tortured(stored);
    }
    for stored in &floods {
        path.frame(stored, &stored.bytes, stored.wire_len_bytes);
    }
    path.pipeline.forgive(Subject::of(frames::SOURCE.into()));
    // Whoever hands other rules over keeps those before.
    drop(path.pipeline.replace_rules(others));
    path.pipeline.tune(&Tuning {
        thresholds: Profile::Lenient.thresholds(),
        block_ttl: Duration::from_secs(2),
        limit_per_s: 2,
    });
    path.pipeline.idle(path.now.plus(Duration::from_secs(100)), &mut path.listener);
    path.pipeline.finish(&mut path.listener);
    let compared = path.pipeline.compared();
    path.pipeline.judge_by(Models::default());
    let change = region.change();
    assert_eq!((change.allocations, change.reallocations, change.deallocations), (0, 0, 0), "{change:?}");

    drop(kept);
    let (disagreement, drifted) = (compared.disagreement, compared.drifted);
    assert!(disagreement.disagreed() > 0, "the shadow is another model: {disagreement:?}");
    assert!(drifted.flows > 0 && drifted.features.iter().any(|feature| feature.index > 0.0), "{drifted:?}");
    let (counters, Counting { decisions, asked, checkpoints, flows }) = (path.pipeline.counters(), path.listener);
    assert!(asked > 0, "nobody was seen asking for a name on the list");
    assert!(decisions > 0 && flows > 0 && checkpoints > flows, "the captures hold attacks");
    assert!(counters.evicted > 0 && counters.not_ip > 0, "{counters:?}");
    let absent: Vec<_> = DecodeError::ALL.iter().zip(counters.undecodable).filter(|(_, count)| *count == 0).collect();
    assert!(absent.is_empty(), "no frame was refused for: {absent:?}");
}
