//! From frames to feature vectors: numbers that mean something whatever the frames hold, the same for every seed and however
//! often time passes in between.

use traffic::decode::{Decoded, Frame, LinkType, Packet, decode};
use traffic::extractor::{Extractor, Observation};
use traffic::features::{FEATURES, FeatureVector};
use traffic::limits::Limits;
use traffic::time::Timestamp;

use crate::input::{Clock, Input, link};
use crate::seen::Seen;

/// So small that everything overflows.
const LIMITS: Limits = Limits { flows: 8, sources: 8, destinations: 8, pairs: 4, leaks: 4 };

/// Stands before a frame instead of a step of time: the next eight bytes are the time.
const ANY_TIME: u8 = 0xff;

/// The input: a byte that chooses the link type; then for each frame one that chooses the step of time in its lower four bits,
/// and in its upper four bits how much longer the frame was on the wire, one with the length that was captured, and the frame.
///
/// # Panics
/// The extractor panics, or a property does not hold.
pub fn extractor(data: &[u8]) {
    let mut input = Input(data);
    let Some(choice) = input.byte() else { return };
    let packets = packets(link(choice), input);
    let expected = observe(&packets, [1, 2], false);
    assert_eq!(expected, observe(&packets, [3, 4], false), "the seed makes a difference");
    assert_eq!(expected, observe(&packets, [1, 2], true), "how often time passes makes a difference");
}

fn packets(link: LinkType, mut input: Input<'_>) -> Vec<(Timestamp, Packet)> {
    let mut clock = Clock::new();
    let mut packets = Vec::new();
    while let Some(step) = input.byte() {
        let time = match (step, input.0.first_chunk()) {
            (ANY_TIME, Some(nanos)) => {
                input.up_to(nanos.len());
                clock.set(u64::from_le_bytes(*nanos))
            }
            _ => clock.step(step),
        };
        let len = input.byte().unwrap_or_default();
        let bytes = input.up_to(usize::from(len));
        let wire_len_bytes = u32::from(len) + u32::from(step >> 4) * 100;
        if let Ok(Decoded::Ip(packet)) = decode(&Frame { link, bytes, wire_len_bytes, vlan_tag: None }) {
            packets.push((time, packet));
        }
    }
    packets
}

/// What one packet, and the time before it, make seen: each flow's part, and its features bit by bit.
type Batch = Vec<(Seen, Vec<u32>)>;

/// One batch for each packet, and one for the end. `often`: time passes between the packets too.
fn observe(packets: &[(Timestamp, Packet)], seed: [u64; 2], often: bool) -> Vec<Batch> {
    let mut extractor = Extractor::new(&LIMITS, seed);
    let mut batches = Vec::new();
    let mut before = Timestamp::NEVER;
    for (time, packet) in packets {
        let mut batch = Batch::new();
        let mut sink = |observation: &Observation<'_>| batch.push(note(observation));
        if often && before < *time {
            extractor.expire(middle(before, *time), &mut sink);
        }
        extractor.packet(packet, *time, &mut sink);
        assert!(extractor.flows() <= LIMITS.flows, "{} flows", extractor.flows());
        batches.push(batch);
        before = *time;
    }
    let mut batch = Batch::new();
    extractor.finish(&mut |observation| batch.push(note(observation)));
    assert_eq!(extractor.flows(), 0, "flows left at the end");
    batches.push(batch);
    for batch in &mut batches {
        // Flows that end in the same moment have no order among each other.
        batch.sort_by_key(|(seen, _)| (seen.flow, seen.packets));
    }
    batches
}

const fn middle(from: Timestamp, to: Timestamp) -> Timestamp {
    Timestamp::from_nanos(from.as_nanos() + to.nanos_since(from) / 2)
}

fn note(observation: &Observation<'_>) -> (Seen, Vec<u32>) {
    assert!(observation.packets >= 1, "a flow without a packet");
    check_features(observation.features);
    (Seen::of(observation), observation.features.map(f32::to_bits).to_vec())
}

fn check_features(features: &FeatureVector) {
    for (feature, value) in FEATURES.iter().zip(*features) {
        let fits = match feature.unit {
            "share" => (0.0..=1.0).contains(&value),
            "flag" => value == 0.0 || value == 1.0,
            _ => value.is_finite() && value >= 0.0,
        };
        let is_undefined = value.to_bits() == feature.undefined.to_bits();
        assert!(fits || is_undefined, "{} is {value} {}", feature.name, feature.unit);
    }
}
