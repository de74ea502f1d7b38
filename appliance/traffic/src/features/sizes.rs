//! Sizes: packets, payload, and the lengths of packets.

use super::{Index, Values, moments};
use crate::flow::{Flow, PerDirection};

pub(super) fn fill(values: &mut Values, flow: &Flow) {
    let sums = &flow.sums;
    let (forward, backward) = (&sums.forward, &sums.backward);
    values.set(Index::FwdPackets, forward.packets as f32);
    values.set(Index::BwdPackets, backward.packets as f32);
    values.set(Index::FwdPayloadBytes, forward.payload_bytes as f32);
    values.set(Index::BwdPayloadBytes, backward.payload_bytes as f32);
    values.set(Index::FwdPacketLenMean, mean_len(forward));
    values.set(Index::BwdPacketLenMean, mean_len(backward));
    values.set(Index::PacketLenMax, sums.ip_len_max_bytes as f32);
    let bytes = forward.ip_bytes + backward.ip_bytes;
    let (_, deviation) = moments(forward.packets + backward.packets, bytes as f64, sums.ip_len_squares as f64);
    values.set(Index::PacketLenStd, deviation as f32);
}

fn mean_len(side: &PerDirection) -> f32 {
    moments(side.packets, side.ip_bytes as f64, 0.0).0 as f32
}
