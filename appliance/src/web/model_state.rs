//! What the JSON says of the models.

use serde::{Deserialize, Serialize};
use traffic::features::{FEATURES, ThreatClass};

use crate::control::ShownModels;
use crate::pipeline::Compared;
use crate::registry::Choice;
use crate::verdict::{FeatureDrift, LEAST_FLOWS};

/// Features that are listed, the most different ones.
const FEATURES_LISTED: usize = 5;

/// The models that judge, and what is said of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelState {
    /// The model that is chosen to decide: `built-in` or `NAME@VERSION`. Another one decides where a fault says so.
    pub active: String,
    /// The one that is chosen to judge beside it; missing for none.
    pub shadow: Option<String>,
    /// The one that decided before; missing where there was no other.
    pub before: Option<String>,
    /// The files of the registry.
    pub stored: Vec<StoredRow>,
    /// Flows that ended since both models judge.
    pub shadow_flows: u64,
    /// How many of these the two take for different things.
    pub shadow_disagreed: u64,
    /// The same by what they take them for.
    pub disagreements: Vec<DisagreementRow>,
    /// How unlike the training data the traffic is.
    pub drift: DriftState,
}

/// A file of the registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredRow {
    /// `NAME@VERSION`.
    pub model: String,
    /// How long it is.
    pub bytes: u64,
}

/// Flows that two models take for different things.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DisagreementRow {
    /// What they were taken for.
    pub active: String,
    /// What the shadow model would have had them taken for.
    pub shadow: String,
    /// How many.
    pub flows: u64,
}

/// How unlike the training data of the active model the traffic is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DriftState {
    /// Flows behind it; old ones fade.
    pub flows: u64,
    /// Nothing is said while there are fewer.
    pub least_flows: u64,
    /// From which index on it is a fault.
    pub alarm: f32,
    /// The most different features that the model asks for, the worst first.
    pub features: Vec<DriftRow>,
}

/// One feature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DriftRow {
    /// Its name.
    pub feature: String,
    /// What it says, in words.
    pub meaning: String,
    /// Population stability index: 0 for traffic as in training.
    pub index: f32,
    /// The share of values outside of all those of training, 0 to 1.
    pub outside: f32,
}

impl ModelState {
    pub(crate) fn of(shown: &ShownModels) -> Self {
        let ShownModels { choices, stored, compared, .. } = shown;
        let disagreement = compared.map(|compared| compared.disagreement).unwrap_or_default();
        let differ = |(active, shadow, _): &(ThreatClass, ThreatClass, u64)| active != shadow;
        let row = |(active, shadow, flows): (ThreatClass, ThreatClass, u64)| DisagreementRow {
            active: active.name().to_owned(),
            shadow: shadow.name().to_owned(),
            flows,
        };
        Self {
            active: choices.active.to_string(),
            shadow: choices.shadow.as_ref().map(ToString::to_string),
            before: choices.before.as_ref().map(Choice::to_string),
            stored: stored.iter().map(|file| StoredRow { model: file.id.to_string(), bytes: file.bytes }).collect(),
            shadow_flows: disagreement.flows(),
            shadow_disagreed: disagreement.disagreed(),
            disagreements: disagreement.pairs().filter(differ).map(row).collect(),
            drift: DriftState::of(shown, compared.as_ref()),
        }
    }
}

impl DriftState {
    fn of(shown: &ShownModels, compared: Option<&Compared>) -> Self {
        let worst = compared.map(|compared| compared.drifted.worst_of(shown.in_force.active)).unwrap_or_default();
        let named = worst.into_iter().take(FEATURES_LISTED);
        let features = named.filter_map(|(feature, drift)| {
            let feature = FEATURES.get(feature)?;
            let (name, meaning) = (feature.name.to_owned(), feature.meaning.to_owned());
            Some(DriftRow { feature: name, meaning, index: drift.index, outside: drift.outside })
        });
        Self {
            flows: compared.map_or(0, |compared| compared.drifted.flows.into()),
            least_flows: LEAST_FLOWS.into(),
            alarm: shown.drift_alarm,
            features: features.collect(),
        }
    }

    /// In one line, for people.
    pub(crate) fn words(&self) -> String {
        match self.features.first() {
            None => format!("not known before {} flows have ended ({} so far)", self.least_flows, self.flows),
            Some(DriftRow { index, outside, meaning, .. })
                if (FeatureDrift { index: *index, outside: *outside }).is_told(self.alarm) =>
            {
                format!("differs from what the model learnt, most of all in {meaning}")
            }
            Some(worst) => format!("much as the model learnt; it differs most in {}", worst.meaning),
        }
    }
}
