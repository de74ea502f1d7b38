//! Timing and rates.

use super::{Index, Values, moments};
use crate::flow::Flow;

/// Rates are taken over at least this long: two packets in one microsecond are no million a second.
const SHORTEST_S: f64 = 0.001;

pub(super) fn fill(values: &mut Values, flow: &Flow) {
    let sums = &flow.sums;
    let packets = sums.forward.packets + sums.backward.packets;
    let duration_s = flow.last.since(flow.segment_begin).as_secs_f64();
    values.set(Index::DurationS, duration_s as f32);
    let (mean_s, deviation_s) = moments(packets.saturating_sub(1), duration_s, sums.gap_squares_us2 as f64 / 1e12);
    values.set(Index::IatMeanS, mean_s as f32);
    values.set(Index::IatStdS, deviation_s as f32);
    values.set(Index::IatMaxS, sums.gap_max.as_secs_f64() as f32);
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
