//! Feature vectors: what the model sees of a flow at a checkpoint.
//!
//! [`schema`] is the list of features; each family file sets the values of its own.

mod flags;
mod handshake;
mod peers;
pub mod schema;
mod service;
mod sizes;
mod timing;

pub use schema::{FEATURE_COUNT, FEATURES, Feature, Index, SCHEMA_HASH, ThreatClass};

use crate::flow::Flow;
use crate::windows::Surroundings;

/// One number per feature of the schema, in its order; units as the schema says.
pub type FeatureVector = [f32; FEATURE_COUNT];

/// The features of a flow in its surroundings.
#[must_use]
pub fn vector(flow: &Flow, surroundings: &Surroundings) -> FeatureVector {
    let mut values = Values([0.0; FEATURE_COUNT]);
    for (value, feature) in values.0.iter_mut().zip(FEATURES) {
        *value = feature.undefined;
    }
    sizes::fill(&mut values, flow);
    timing::fill(&mut values, flow);
    flags::fill(&mut values, flow);
    handshake::fill(&mut values, flow);
    service::fill(&mut values, flow);
    peers::fill(&mut values, surroundings);
    values.0
}

/// A vector while it is filled, by name.
struct Values(FeatureVector);

impl Values {
    fn set(&mut self, index: Index, value: f32) {
        self.0[index as usize] = value;
    }

    fn set_flag(&mut self, index: Index, is: bool) {
        self.set(index, f32::from(u8::from(is)));
    }
}

/// Mean and standard deviation (of the population) from exact sums; zeros for nothing.
fn moments(count: u64, sum: f64, squares: f64) -> (f64, f64) {
    if count == 0 {
        return (0.0, 0.0);
    }
    let mean = sum / count as f64;
    let variance = squares / count as f64 - mean * mean;
    (mean, variance.max(0.0).sqrt())
}
