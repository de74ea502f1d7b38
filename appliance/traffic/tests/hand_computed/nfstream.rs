//! Our features of finished flows against NFStream's, as `captures/ask_nfstream.py` recorded them; its head says how to
//! refresh them.
//!
//! Where the definitions differ, and what is done about it:
//!
//! | difference | here |
//! |---|---|
//! | NFStream goes on after RST or FIN from both sides | a plug-in ends its flow; its next one, the rest, is left out |
//! | it waits 60 s for any flow, we 300 s for an established one | no capture has such a pause |
//! | its initiator is who sent first, ours who sent the SYN | matched in either direction |
//! | its deviations are the sample's, ours the population's | ours · √(n / (n - 1)) |
//! | it cuts times to milliseconds | 1 ms off, the mean time between packets 1 ms over all of them |
//! | it counts SYN by direction, we the initiator's | its count of that direction |
//! | it knows no ICMP identifier: one flow for all messages between two hosts | compared where we have one as well |
//! | its ICMP header has 8 bytes, ours 4 but for echo messages | payload may differ by 4 a packet |
//! | an ICMP error is a flow there; here it belongs to the flow that it is about | not compared |
//! | it leaves out fragments but the first; here they have a flow | not compared |
//! | it leaves out IPv6 packets that were not captured whole | flows with such packets are not compared |
//!
//! It has nothing that corresponds to retransmissions, handshake, windows, services and peers.

use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;

use traffic::decode::{Packet, Transport};
use traffic::features::{FEATURES, Index};
use traffic::flow::FlowEnd;
use traffic::protocols::{ICMP, ICMPV6, TCP, UDP};

use crate::folder;
use crate::observed::{Sighting, packets, read, sightings};

/// Captures were cut to 128 bytes a frame, of which the link header takes 14: a longer IP packet is not whole.
const WHOLE_IP_LEN: u32 = 114;

/// How many flows the comparison has to reach, at 19 numbers each.
const LEAST_FLOWS: usize = 300;

/// Our feature and NFStream's column; `fwd` and `bwd` stand for its two directions.
const COMPARED: [(Index, &str); 19] = [
    (Index::FwdPackets, "fwd_packets"),
    (Index::BwdPackets, "bwd_packets"),
    (Index::FwdPayloadBytes, "fwd_payload"),
    (Index::BwdPayloadBytes, "bwd_payload"),
    (Index::FwdPacketLenMean, "fwd_mean_ps"),
    (Index::FwdPacketLenStd, "fwd_stddev_ps"),
    (Index::BwdPacketLenMean, "bwd_mean_ps"),
    (Index::BwdPacketLenStd, "bwd_stddev_ps"),
    (Index::PacketLenMax, "bidirectional_max_ps"),
    (Index::PacketLenStd, "bidirectional_stddev_ps"),
    (Index::DurationS, "bidirectional_duration_ms"),
    (Index::IatMeanS, "bidirectional_mean_piat_ms"),
    (Index::IatStdS, "bidirectional_stddev_piat_ms"),
    (Index::IatMaxS, "bidirectional_max_piat_ms"),
    (Index::FwdSynFlags, "fwd_syn_packets"),
    (Index::FinFlags, "bidirectional_fin_packets"),
    (Index::RstFlags, "bidirectional_rst_packets"),
    (Index::PshFlags, "bidirectional_psh_packets"),
    (Index::UrgFlags, "bidirectional_urg_packets"),
];

/// A flow as both see it: protocol, the two ends in order, VLAN.
type Key = (u8, [(IpAddr, u16); 2], u16);

fn key(protocol: u8, mut ends: [(IpAddr, u16); 2], vlan: u16) -> Key {
    ends.sort_unstable();
    (protocol, ends, vlan)
}

/// One of our flows, or a segment of it, that ended.
struct Ours {
    key: Key,
    begin_ms: u64,
    seen: Sighting,
}

impl Ours {
    fn value(&self, index: Index) -> f64 {
        self.seen.value(index)
    }

    fn packets(&self) -> f64 {
        self.value(Index::FwdPackets) + self.value(Index::BwdPackets)
    }

    /// NFStream has a flow for it, of the same packets; `all` are the flows of the capture.
    fn is_comparable(&self, all: &[Self]) -> bool {
        let (protocol, [_, (_, port)], _) = self.key;
        match protocol {
            TCP | UDP => port != 0 && self.is_whole(),
            ICMP | ICMPV6 => self.is_whole() && all.iter().filter(|other| other.key == self.key).count() == 1,
            _ => false,
        }
    }

    fn is_whole(&self) -> bool {
        self.seen.initiator.0.is_ipv4() || self.value(Index::PacketLenMax) <= f64::from(WHOLE_IP_LEN)
    }

    /// A feature in NFStream's terms, and by how much that may be off.
    fn in_its_terms(&self, index: Index) -> (f64, f64) {
        let (value, gaps) = (self.value(index), (self.packets() - 1.0).max(1.0));
        match index {
            Index::FwdPacketLenStd => (value * of_sample(self.value(Index::FwdPackets)), 0.0),
            Index::BwdPacketLenStd => (value * of_sample(self.value(Index::BwdPackets)), 0.0),
            Index::PacketLenStd => (value * of_sample(self.packets()), 0.0),
            Index::IatStdS => (value * of_sample(gaps) * 1e3, of_sample(gaps)),
            Index::IatMeanS => (value * 1e3, 1.0 / gaps),
            Index::DurationS | Index::IatMaxS => (value * 1e3, 1.0),
            Index::FwdPayloadBytes if self.is_icmp() => (value, 4.0 * self.value(Index::FwdPackets)),
            Index::BwdPayloadBytes if self.is_icmp() => (value, 4.0 * self.value(Index::BwdPackets)),
            _ => (value, 0.0),
        }
    }

    fn is_icmp(&self) -> bool {
        self.value(Index::IsIcmp) == 1.0
    }
}

/// What a deviation of so many values is multiplied by to be that of a sample.
fn of_sample(count: f64) -> f64 {
    if count > 1.0 { (count / (count - 1.0)).sqrt() } else { 1.0 }
}

/// Our flows and segments of a capture, with the times of their first packets.
fn ours(seen: &[Sighting]) -> Vec<Ours> {
    let ended = seen.iter().enumerate().filter(|(_, seen)| seen.end.is_some());
    let ours = ended.map(|(place, end)| {
        // A segment ends when the first packet of the next one comes; the flow itself begins with its first packet.
        let begins = |seen: &&Sighting| {
            let is_first = seen.packets == 1 && !seen.by_silence;
            seen.flow == end.flow && (is_first || seen.end == Some(FlowEnd::Segment))
        };
        let begin = seen[..place].iter().rev().find(begins).unwrap_or(end);
        Ours {
            key: key(end.protocol, [end.initiator, end.responder], end.vlan),
            begin_ms: begin.time.as_nanos() / 1_000_000,
            seen: end.clone(),
        }
    });
    ours.collect()
}

/// One line of a table of NFStream's.
struct Row {
    columns: Vec<String>,
    fields: Vec<String>,
}

impl Row {
    fn field(&self, column: &str) -> &str {
        let place = self.columns.iter().position(|name| name == column);
        &self.fields[place.unwrap_or_else(|| panic!("no column {column}"))]
    }

    fn number(&self, column: &str) -> f64 {
        self.field(column).parse().expect("a number")
    }

    fn end(&self, side: &str) -> (IpAddr, u16) {
        let port = self.field(&format!("{side}_port")).parse().expect("a port");
        (self.field(&format!("{side}_ip")).parse().expect("an address"), port)
    }

    fn key(&self) -> Key {
        key(self.number("protocol") as u8, [self.end("src"), self.end("dst")], self.number("vlan_id") as u16)
    }

    fn begin_ms(&self) -> u64 {
        self.number("bidirectional_first_seen_ms") as u64
    }

    /// The column as seen from our initiator.
    fn toward(&self, initiator: (IpAddr, u16), column: &str) -> f64 {
        let is_same = self.end("src") == initiator;
        let (fwd, bwd) = if is_same { ("src2dst", "dst2src") } else { ("dst2src", "src2dst") };
        self.number(&column.replace("fwd", fwd).replace("bwd", bwd))
    }

    /// Why none of our flows is to be compared with it: it is what came after the end of one, or lacks what was not
    /// captured whole, or its ICMP messages belong to several of our flows or to none.
    fn is_explained(&self, ours: &[Ours]) -> bool {
        let same: Vec<&Ours> = ours.iter().filter(|flow| flow.key == self.key()).collect();
        let is_over = |flow: &&Ours| matches!(flow.seen.end, Some(FlowEnd::Finished | FlowEnd::Reset));
        let is_rest = same.iter().any(|flow| is_over(flow) && flow.begin_ms < self.begin_ms());
        let is_icmp = matches!(self.key().0, ICMP | ICMPV6);
        is_rest || same.iter().any(|flow| !flow.is_whole()) || (is_icmp && same.len() != 1)
    }
}

fn table(name: &str) -> Vec<Row> {
    let text = fs::read_to_string(folder().join(name)).expect("it was recorded");
    let fields = |line: &str| line.split(',').map(str::to_owned).collect::<Vec<_>>();
    let mut lines = text.lines().map(fields);
    let columns = lines.next().expect("names of columns");
    lines.map(|fields| Row { columns: columns.clone(), fields }).collect()
}

/// The file of a capture: one of those here, or of those of the whole system.
fn path_of(capture: &str) -> PathBuf {
    let here = folder().join(capture).with_extension("pcap");
    if here.exists() { here } else { folder().join("../../../../tests/captures").join(capture).join("input.pcap") }
}

/// What is left out there: fragments but the first, and IPv6 that was not captured whole.
fn is_counted(packet: &Packet) -> bool {
    packet.transport != Transport::Fragment && (packet.source.is_ipv4() || packet.ip_len_bytes <= WHOLE_IP_LEN)
}

#[test]
fn both_decode_the_same_packets() {
    for row in table("nfstream-totals.csv") {
        let packets = packets(read(&path_of(row.field("capture"))));
        let counted = packets.iter().map(|(_, packet)| packet).filter(|packet| is_counted(packet));
        let (count, bytes) =
            counted.fold((0.0, 0.0), |(count, bytes), packet| (count + 1.0, bytes + f64::from(packet.ip_len_bytes)));
        assert_eq!((count, bytes), (row.number("packets"), row.number("bytes")), "{}", row.field("capture"));
    }
}

#[test]
fn features_are_nfstreams_where_the_definitions_agree() {
    let rows = table("nfstream-flows.csv");
    let (mut flows, mut wrong) = (0, Vec::new());
    for total in table("nfstream-totals.csv") {
        let capture = total.field("capture");
        let ours = ours(&sightings(read(&path_of(capture))));
        let rows: Vec<&Row> = rows.iter().filter(|row| row.field("capture") == capture).collect();
        let mut lone: Vec<&Ours> = ours.iter().filter(|flow| flow.is_comparable(&ours)).collect();
        for row in &rows {
            let is_it = |flow: &&Ours| flow.key == row.key() && flow.begin_ms == row.begin_ms();
            let Some(place) = lone.iter().position(is_it) else {
                let explained = row.is_explained(&ours);
                wrong.extend((!explained).then(|| format!("{capture}: only NFStream has {:?}", row.fields)));
                continue;
            };
            flows += 1;
            let flow = lone.remove(place);
            wrong.extend(differences(flow, row).iter().map(|text| format!("{capture}: {:?}: {text}", flow.key)));
        }
        // Of large captures, only the first flows were recorded.
        if rows.len() as f64 == total.number("flows") {
            wrong.extend(lone.iter().map(|flow| format!("{capture}: only we have {:?}", flow.key)));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert!(flows >= LEAST_FLOWS, "{flows} flows, so {} numbers, were compared", flows * COMPARED.len());
}

/// The numbers of a flow that are not the same.
fn differences(flow: &Ours, row: &Row) -> Vec<String> {
    let difference = |(index, column): (Index, &str)| {
        let ((ours, off), theirs) = (flow.in_its_terms(index), row.toward(flow.seen.initiator, column));
        let is_same = (ours - theirs).abs() <= off + 1e-6 * theirs.abs();
        (!is_same).then(|| format!("{} {ours}, NFStream {theirs}", FEATURES[index as usize].name))
    };
    COMPARED.into_iter().filter_map(difference).collect()
}
