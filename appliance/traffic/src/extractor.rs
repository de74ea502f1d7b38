//! The steps from frame to feature vector in their order: what both the daemon and the trainer call.

use core::net::IpAddr;

use crate::features::FeatureVector;
use crate::limits::Limits;
use crate::time::Timestamp;

/// Why a flow ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowEnd {
    /// TCP: FIN from both sides.
    Finished,
    /// TCP: RST.
    Reset,
    /// No packet for the idle time.
    Idle,
    /// The flow goes on, but this segment of it is over (active time).
    Segment,
    /// The table was full and a newer flow took the place.
    Evicted,
    /// The capture is over.
    Shutdown,
}

/// A flow at a checkpoint.
#[derive(Clone, Copy, Debug)]
pub struct Observation<'a> {
    /// When the checkpoint was taken.
    pub time: Timestamp,
    /// Number of the flow, counted from 0 in the order of first packets.
    pub flow: u64,
    /// Who began the flow: the sender of the SYN, or of the first packet seen.
    pub initiator: IpAddr,
    /// The other side.
    pub responder: IpAddr,
    /// The initiator's port, for TCP and UDP.
    pub initiator_port: Option<u16>,
    /// The responder's port, for TCP and UDP.
    pub responder_port: Option<u16>,
    /// IP protocol number.
    pub protocol: u8,
    /// VLAN identifier of a tagged flow.
    pub vlan: Option<u16>,
    /// How many packets the flow had by now.
    pub packets: u64,
    /// The initiator's address is proven: a two-way exchange was completed that a forger off the path cannot make.
    pub proven: bool,
    /// The flow ended, and why; `None` while it runs.
    pub end: Option<FlowEnd>,
    /// The features.
    pub features: &'a FeatureVector,
}

/// Flow table, windows and features over one stream of packets in the order of time.
#[derive(Debug)]
pub struct Extractor {}

impl Extractor {
    /// Takes all memory that it will ever use. `seed` keys the hash tables: random in the daemon, fixed in tests.
    #[must_use]
    pub fn new(limits: &Limits, seed: [u64; 2]) -> Self {
        let _ = (limits, seed);
        Self {}
    }
}
