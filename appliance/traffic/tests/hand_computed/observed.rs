//! What the extractor observes in a capture file, by the steps of the daemon.

use std::fs;
use std::io::Cursor;
use std::net::IpAddr;
use std::path::Path;

use traffic::capture_file::CaptureFile;
use traffic::decode::{Decoded, Packet, decode};
use traffic::extractor::{Extractor, Observation};
use traffic::features::{FeatureVector, Index};
use traffic::flow::FlowEnd;
use traffic::limits::Limits;
use traffic::time::Timestamp;

/// What is kept of an observation.
#[derive(Clone, Debug)]
pub struct Sighting {
    pub flow: u64,
    /// When the observation was made.
    pub time: Timestamp,
    pub initiator: (IpAddr, u16),
    pub responder: (IpAddr, u16),
    pub protocol: u8,
    pub vlan: u16,
    pub packets: u64,
    /// No packet led to it.
    pub by_silence: bool,
    pub end: Option<FlowEnd>,
    features: FeatureVector,
}

impl Sighting {
    fn of(observation: &Observation<'_>) -> Self {
        Self {
            flow: observation.flow,
            time: observation.time,
            initiator: (observation.initiator, observation.initiator_port.unwrap_or(0)),
            responder: (observation.responder, observation.responder_port.unwrap_or(0)),
            protocol: observation.protocol,
            vlan: observation.vlan.unwrap_or(0),
            packets: observation.packets,
            by_silence: observation.sender.is_none(),
            end: observation.end,
            features: *observation.features,
        }
    }

    pub fn value(&self, index: Index) -> f64 {
        f64::from(self.features[index as usize])
    }
}

/// The bytes of a capture file.
pub fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The IP packets of a capture with their times, up to where it is cut off.
pub fn packets(capture: Vec<u8>) -> Vec<(Timestamp, Packet)> {
    let mut file = CaptureFile::new(Cursor::new(capture)).expect("a capture");
    let mut packets = Vec::new();
    while let Ok(true) = file.next_frame(&mut |time, frame| {
        if let Ok(Decoded::Ip(packet)) = decode(frame) {
            packets.push((time, packet));
        }
    }) {}
    packets
}

/// All that is observed in a capture, in its order.
pub fn sightings(capture: Vec<u8>) -> Vec<Sighting> {
    let mut extractor = Extractor::new(&Limits::default(), [1, 2]);
    let mut seen = Vec::new();
    for (time, packet) in packets(capture) {
        extractor.packet(&packet, time, &mut |observation| seen.push(Sighting::of(observation)));
    }
    extractor.finish(&mut |observation| seen.push(Sighting::of(observation)));
    seen
}
