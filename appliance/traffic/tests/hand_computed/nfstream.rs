//! Our features of finished flows against NFStream's, as `captures/ask_nfstream.py` recorded them; its head says how to
//! refresh them.
//!
//! Where the definitions differ, and what is done about it:
//!
//! | difference | here |
//! |---|---|
//! | NFStream keeps a flow until it is idle, we end it at RST or at FIN from both sides | a plug-in ends NFStream's; what comes after is a flow of its own there and nothing here, and is not compared |
//! | its initiator is who sent first, ours who sent the SYN | matched in either direction |
//! | its deviations are the sample's, ours the population's | ours · √(n / (n - 1)) |
//! | it cuts times to milliseconds | 1 ms off, the mean time between packets 1 ms over all of them |
//! | it counts SYN by direction, we the initiator's | its count of that direction |
//! | it knows no ICMP identifier: one flow for all messages between two hosts | compared where we have one as well |
//! | an ICMP header has 8 bytes there; here 4 but for echo messages, as those that follow depend on the type | payload may differ by 4 a packet |
//! | an ICMP error is a flow there; here it belongs to the flow that it is about | not compared |
//! | it leaves out fragments but the first; here they have a flow | not compared |
//! | it leaves out IPv6 packets that were not captured whole | flows with such packets are not compared |
//!
//! It has nothing that corresponds to retransmissions, handshake, windows, services and peers.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;

use traffic::decode::{Packet, Transport};
use traffic::features::{FEATURES, Index};
use traffic::flow::FlowEnd;
use traffic::protocols::{ICMP, ICMPV6, TCP, UDP};

use crate::folder;
use crate::observed::{Sighting, open, packets, sightings};

/// Captures were cut to 128 bytes a frame, of which the link header takes 14: a longer IP packet is not whole.
const WHOLE_IP_LEN: u32 = 114;

/// What the comparison has to reach: flows and numbers.
const LEAST_FLOWS: usize = 1;
const LEAST_NUMBERS: usize = 1;

/// How a number of NFStream's relates to ours.
#[derive(Clone, Copy)]
enum Relation {
    Same,
    /// Bytes behind the transport header.
    Payload,
    /// A deviation over so many values: those of this feature, less some.
    Deviation { of: &'static [Index], less: f64 },
    Time,
    MeanTime,
    /// A deviation of the times between packets.
    TimeDeviation,
}

const PACKETS: &[Index] = &[Index::FwdPackets, Index::BwdPackets];

/// Ours, and NFStream's column; `fwd` and `bwd` stand for its two directions.
const COMPARED: [(Index, &str, Relation); 19] = [
    (Index::FwdPackets, "fwd_packets", Relation::Same),
    (Index::BwdPackets, "bwd_packets", Relation::Same),
    (Index::FwdPayloadBytes, "fwd_payload", Relation::Payload),
    (Index::BwdPayloadBytes, "bwd_payload", Relation::Payload),
    (Index::FwdPacketLenMean, "fwd_mean_ps", Relation::Same),
    (Index::FwdPacketLenStd, "fwd_stddev_ps", Relation::Deviation { of: &[Index::FwdPackets], less: 0.0 }),
    (Index::BwdPacketLenMean, "bwd_mean_ps", Relation::Same),
    (Index::BwdPacketLenStd, "bwd_stddev_ps", Relation::Deviation { of: &[Index::BwdPackets], less: 0.0 }),
    (Index::PacketLenMax, "bidirectional_max_ps", Relation::Same),
    (Index::PacketLenStd, "bidirectional_stddev_ps", Relation::Deviation { of: PACKETS, less: 0.0 }),
    (Index::DurationS, "bidirectional_duration_ms", Relation::Time),
    (Index::IatMeanS, "bidirectional_mean_piat_ms", Relation::MeanTime),
    (Index::IatStdS, "bidirectional_stddev_piat_ms", Relation::TimeDeviation),
    (Index::IatMaxS, "bidirectional_max_piat_ms", Relation::Time),
    (Index::FwdSynFlags, "fwd_syn_packets", Relation::Same),
    (Index::FinFlags, "bidirectional_fin_packets", Relation::Same),
    (Index::RstFlags, "bidirectional_rst_packets", Relation::Same),
    (Index::PshFlags, "bidirectional_psh_packets", Relation::Same),
    (Index::UrgFlags, "bidirectional_urg_packets", Relation::Same),
];
