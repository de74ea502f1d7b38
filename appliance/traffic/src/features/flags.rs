//! TCP flags and sequence numbers.

use super::{Index, Values};
use crate::flow::Flow;

pub(super) fn fill(values: &mut Values, flow: &Flow) {
    let counts = &flow.sums.flags;
    values.set(Index::FwdSynFlags, counts.fwd_syn as f32);
    values.set(Index::FinFlags, counts.fin as f32);
    values.set(Index::RstFlags, counts.rst as f32);
    values.set(Index::PshFlags, counts.psh as f32);
    values.set(Index::UrgFlags, counts.urg as f32);
    values.set(Index::OddFlags, counts.odd as f32);
    values.set(Index::Retransmits, flow.sums.retransmits as f32);
}
