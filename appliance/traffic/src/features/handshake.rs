//! How far the conversation came.

use super::{Index, Values};
use crate::flow::Flow;

pub(super) fn fill(values: &mut Values, flow: &Flow) {
    values.set_flag(Index::Answered, flow.answered);
    values.set_flag(Index::Established, flow.is_established());
    values.set_flag(Index::Refused, flow.refused);
    values.set_flag(Index::MidStream, flow.mid_stream);
    if let Some(took) = flow.handshake_time() {
        values.set(Index::HandshakeS, took.as_secs_f32());
    }
    if let Some(count) = flow.syn_options() {
        values.set(Index::FwdSynOptions, f32::from(count));
    }
    if let Some(window) = flow.sums.fwd_window_min_bytes {
        values.set(Index::FwdWindowMinBytes, window as f32);
    }
}
