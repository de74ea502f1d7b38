//! Feature vectors: what the model sees of a flow at a checkpoint.

pub mod schema;

pub use schema::{FEATURE_COUNT, FEATURES, Feature, Index, SCHEMA_HASH, ThreatClass};

/// One number per feature of the schema, in its order; units as the schema says.
pub type FeatureVector = [f32; FEATURE_COUNT];
