//! Sizes: packets, payload, and the lengths of packets.

use super::{Index, Values, deviation, mean};
use crate::flow::{Flow, PerDirection};

pub(super) fn fill(values: &mut Values, flow: &Flow) {
    let sums = &flow.sums;
    let (forward, backward) = (&sums.forward, &sums.backward);
    values.set(Index::FwdPackets, forward.packets as f32);
    values.set(Index::BwdPackets, backward.packets as f32);
    values.set(Index::FwdPayloadBytes, forward.payload_bytes as f32);
    values.set(Index::BwdPayloadBytes, backward.payload_bytes as f32);
    values.set(Index::FwdPacketLenMean, mean_len(forward));
    values.set(Index::FwdPacketLenStd, len_deviation(forward));
    values.set(Index::BwdPacketLenMean, mean_len(backward));
    values.set(Index::BwdPacketLenStd, len_deviation(backward));
    values.set(Index::PacketLenMax, sums.ip_len_max_bytes as f32);
    values.set(Index::PacketLenStd, len_deviation(&forward.plus(backward)));
}

fn mean_len(side: &PerDirection) -> f32 {
    mean(side.packets, side.ip_bytes as f64)
}

fn len_deviation(side: &PerDirection) -> f32 {
    deviation(side.packets, side.ip_bytes, side.ip_len_squares)
}
