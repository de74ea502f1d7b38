//! What is kept of an observation to be compared with another one.

use std::net::IpAddr;

use traffic::extractor::Observation;
use traffic::flow::FlowEnd;

/// An observation without its features, and without its time, which is when it was made and not when it came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Number of the flow.
    pub flow: u64,
    /// Packets of the flow so far.
    pub packets: u64,
    /// Why it ended, where it did.
    pub end: Option<FlowEnd>,
    /// Who began it.
    pub initiator: IpAddr,
    /// The other side.
    pub responder: IpAddr,
    /// Their ports, where they have any.
    pub ports: Option<(u16, u16)>,
    /// IP protocol number.
    pub protocol: u8,
    /// VLAN identifier.
    pub vlan: Option<u16>,
    /// The initiator was seen sending.
    pub begun: bool,
    /// The initiator's address is proven.
    pub proven: bool,
}

impl Seen {
    /// Of an observation.
    pub fn of(observation: &Observation<'_>) -> Self {
        let &Observation { flow, packets, end, initiator, responder, protocol, vlan, begun, proven, .. } = observation;
        let ports = observation.initiator_port.zip(observation.responder_port);
        Self { flow, packets, end, initiator, responder, ports, protocol, vlan, begun, proven }
    }
}
