//! Which models are meant to judge: by the configuration, and by who changed it while the box runs.

use core::fmt::{self, Display, Formatter};
use core::str::FromStr;

use model_compiler::sealed::{ModelId, PublicKey};
use serde::{Deserialize, Deserializer};

/// What the configuration and the commands call the model that was compiled in.
const BUILT_IN: &str = "built-in";

/// A model that can decide.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// The one that was compiled in.
    #[default]
    BuiltIn,
    /// One of the registry.
    Stored(ModelId),
}

/// The models that are meant to be in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choices {
    /// The one that decides.
    pub active: Choice,
    /// The one that judges beside it.
    pub shadow: Option<ModelId>,
    /// The one that decided before, which a rollback goes back to.
    pub before: Option<Choice>,
}

/// `[model]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelConfig {
    /// Whose model files are accepted.
    #[serde(deserialize_with = "keys")]
    pub keys: Vec<PublicKey>,
    /// The model that decides, as long as nobody changes it while the box runs.
    #[serde(deserialize_with = "parsed")]
    pub active: Choice,
    /// The one that judges beside it; none where it is empty.
    #[serde(deserialize_with = "shadow")]
    pub shadow: Option<ModelId>,
    /// The population stability index of a feature from which on it is told that the traffic differs from the training data.
    pub drift_alarm: f32,
}

impl Default for ModelConfig {
    fn default() -> Self {
        // Above all that harmless captures of sources outside of the training data reach: `model-compiler drift`, models/README.md.
        Self { keys: Vec::new(), active: Choice::BuiltIn, shadow: None, drift_alarm: 7.0 }
    }
}

impl Choice {
    /// The model of the registry that is meant; none for the compiled-in one.
    #[must_use]
    pub const fn stored(&self) -> Option<&ModelId> {
        match self {
            Self::BuiltIn => None,
            Self::Stored(id) => Some(id),
        }
    }
}

impl Choices {
    /// What the configuration says.
    #[must_use]
    pub fn of(configured: &ModelConfig) -> Self {
        Self { active: configured.active.clone(), shadow: configured.shadow.clone(), before: None }
    }

    /// That model decides, or judges beside the one that does.
    #[must_use]
    pub fn judges(&self, id: &ModelId) -> bool {
        self.active.stored() == Some(id) || self.shadow.as_ref() == Some(id)
    }

    /// Lets another model decide; it need not judge beside itself as well.
    pub fn choose(&mut self, active: Choice) {
        if self.shadow.as_ref() == active.stored() {
            self.shadow = None;
        }
        if self.active != active {
            self.before = Some(core::mem::replace(&mut self.active, active));
        }
    }

    /// Goes by another configuration, in a reload as over a restart: what it says anew holds, whatever was chosen while the box ran.
    /// True where it says anything anew.
    pub fn follow(&mut self, before: &Self, now: &Self) -> bool {
        if now.shadow != before.shadow {
            self.shadow.clone_from(&now.shadow);
        }
        if now.active != before.active {
            self.choose(now.active.clone());
        }
        if self.active.stored() == self.shadow.as_ref() {
            self.shadow = None;
        }
        (&now.active, &now.shadow) != (&before.active, &before.shadow)
    }
}

impl Display for Choice {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn => f.write_str(BUILT_IN),
            Self::Stored(id) => id.fmt(f),
        }
    }
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == BUILT_IN {
            return Ok(Self::BuiltIn);
        }
        let stored = text.parse().map(Self::Stored);
        stored.map_err(|_| format!("`{text}` is no model: give \"{BUILT_IN}\" or NAME@VERSION, such as forest@3"))
    }
}

fn parsed<'de, D: Deserializer<'de>, T: FromStr<Err = String>>(deserializer: D) -> Result<T, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}

fn keys<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<PublicKey>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    texts.iter().map(|text| text.parse().map_err(serde::de::Error::custom)).collect()
}

fn shadow<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ModelId>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(serde::de::Error::custom) }
}
