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
    peers::fill(&mut values, flow, surroundings);
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

/// The mean of so many values; 0 for none.
fn mean(count: u64, sum: f64) -> f32 {
    if count == 0 { 0.0 } else { (sum / count as f64) as f32 }
}

/// The standard deviation (of the population) of so many values; 0 for none. The variance is exact up to the last step:
/// with floating-point sums, near-equal values would give noise instead of nothing.
fn deviation(count: u64, sum: u64, squares: u64) -> f32 {
    if count == 0 {
        return 0.0;
    }
    let spread = (u128::from(count) * u128::from(squares)).saturating_sub(u128::from(sum) * u128::from(sum));
    ((spread as f64).sqrt() / count as f64) as f32
}
