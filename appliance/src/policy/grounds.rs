//! What an alert was decided from, kept with it: enough to explain it later, and to learn from it.

use traffic::features::{FEATURE_COUNT, FeatureVector, SCHEMA_HASH};

use super::Subject;
use crate::verdict::Basis;

/// How many bytes a vector takes: four for each feature.
pub const VECTOR_BYTES: usize = FEATURE_COUNT * size_of::<f32>();

/// What an alert was decided from.
#[derive(Clone, Debug, PartialEq)]
pub struct Grounds {
    /// Whom something would be done about.
    pub offender: Subject,
    /// Number of the IP protocol.
    pub protocol: u8,
    /// The source's address was proven by a completed handshake.
    pub proven: bool,
    /// How many packets the flow had.
    pub flow_packets: u64,
    /// What spoke against it.
    pub accuser: Accuser,
    /// What it spoke of.
    pub vector: Vector,
}

/// What spoke against somebody, by its names: models, rules and lists change, and alerts stay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accuser {
    /// The model of that name.
    Model(String),
    /// A rule of the configuration.
    Rule {
        /// Its name.
        name: String,
        /// Its conditions as they are written in the configuration, with `; ` between them.
        conditions: String,
    },
    /// A list of the configuration, which the offender is on.
    List {
        /// Its name.
        name: String,
        /// The offender began the flow; else somebody began it towards the offender.
        began: bool,
    },
    /// A list of the configuration that holds the domain of a name that the offender asked for.
    Domain {
        /// The list.
        list: String,
        /// The name that was asked for.
        asked: String,
    },
}

/// The features that a verdict was made from.
#[derive(Clone, Debug, PartialEq)]
pub enum Vector {
    /// As this program computes them.
    Features(Box<FeatureVector>),
    /// A program with this other feature schema computed them: what its numbers mean is not known here.
    OfOtherSchema(u64),
    /// A name was asked for, which has none.
    Missing,
}

impl Accuser {
    /// What a verdict rests on, in words of its own.
    #[must_use]
    pub fn of(basis: &Basis) -> Self {
        match basis {
            Basis::Model(model) => Self::Model(model.name.to_owned()),
            Basis::Rule(rule) => Self::Rule { name: rule.name.as_str().to_owned(), conditions: rule.written() },
            Basis::List { name, began } => Self::List { name: name.as_str().to_owned(), began: *began },
            Basis::Domain { list, asked } => Self::Domain { list: list.as_str().to_owned(), asked: asked.to_string() },
        }
    }
}

impl Vector {
    /// The schema and the numbers as bytes, little-endian, in the order of the schema; `None` where there are no numbers.
    #[must_use]
    pub fn to_bytes(&self) -> Option<(u64, Vec<u8>)> {
        let Self::Features(features) = self else { return None };
        Some((SCHEMA_HASH, features.iter().flat_map(|value| value.to_le_bytes()).collect()))
    }

    /// The same back. Numbers of another schema, or of a wrong number of bytes, are not read.
    #[must_use]
    pub fn from_bytes(schema: u64, bytes: &[u8]) -> Self {
        if schema != SCHEMA_HASH || bytes.len() != VECTOR_BYTES {
            return Self::OfOtherSchema(schema);
        }
        let mut features = Box::new([0.0; FEATURE_COUNT]);
        for (value, bytes) in features.iter_mut().zip(bytes.as_chunks().0) {
            *value = f32::from_le_bytes(*bytes);
        }
        Self::Features(features)
    }

    /// The features, where this program can read them.
    #[must_use]
    pub fn features(&self) -> Option<&FeatureVector> {
        match self {
            Self::Features(features) => Some(features),
            Self::OfOtherSchema(_) | Self::Missing => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_comes_back_bit_for_bit_and_never_under_another_schema() {
        let mut features = Box::new([0.1; FEATURE_COUNT]);
        (features[0], features[1], features[FEATURE_COUNT - 1]) = (-0.0, f32::MIN_POSITIVE, 16_777_217.0);
        let (schema, bytes) = Vector::Features(features.clone()).to_bytes().unwrap();
        assert_eq!(bytes.len(), 4 * FEATURE_COUNT);
        assert_eq!(bytes[4..8], f32::MIN_POSITIVE.to_bits().to_le_bytes());
        let Vector::Features(back) = Vector::from_bytes(schema, &bytes) else { panic!("it is of this schema") };
        assert_eq!(back.map(f32::to_bits), features.map(f32::to_bits));
        assert_eq!(Vector::from_bytes(schema ^ 1, &bytes), Vector::OfOtherSchema(schema ^ 1));
        assert_eq!(Vector::from_bytes(schema, &bytes[..bytes.len() - 1]), Vector::OfOtherSchema(schema));
        assert_eq!(Vector::Missing.to_bytes(), None);
    }
}
