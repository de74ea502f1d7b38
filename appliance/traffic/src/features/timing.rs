//! Timing and rates.

use super::{Index, Values, deviation, mean};
use crate::flow::Flow;

/// Rates are taken over at least this long: two packets in one microsecond are no million a second.
const SHORTEST_S: f64 = 0.001;

const NANOS_PER_S: f64 = 1e9;
const MICROS_PER_S: f32 = 1e6;

pub(super) fn fill(values: &mut Values, flow: &Flow) {
    let sums = &flow.sums;
    let packets = sums.forward.packets + sums.backward.packets;
    let duration_s = flow.last.nanos_since(flow.segment_begin) as f64 / NANOS_PER_S;
    values.set(Index::DurationS, duration_s as f32);
    let gaps = packets.saturating_sub(1);
    values.set(Index::IatMeanS, mean(gaps, duration_s));
    values.set(Index::IatStdS, deviation(gaps, sums.gaps_us, sums.gap_squares_us2) / MICROS_PER_S);
    values.set(Index::IatMaxS, (sums.gap_max_ns as f64 / NANOS_PER_S) as f32);
    if packets > 1 {
        let over_s = duration_s.max(SHORTEST_S);
        let bytes = sums.forward.ip_bytes + sums.backward.ip_bytes;
        values.set(Index::PacketsPerS, (packets as f64 / over_s) as f32);
        values.set(Index::BytesPerS, (bytes as f64 / over_s) as f32);
    }
    if packets > 0 {
        values.set(Index::BwdShare, (sums.backward.packets as f64 / packets as f64) as f32);
    }
}
