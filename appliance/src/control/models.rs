//! Which models judge: what is chosen, what of it could be loaded, and what people ask for while the box runs.

use std::path::PathBuf;

use log::{info, warn};
use model_compiler::sealed::ModelId;
use traffic::features::FEATURES;
use traffic::time::Timestamp;

use super::keeper::Keeper;
use super::{Outcome, Reply};
use crate::pipeline::Compared;
use crate::registry::{Choice, Choices, ModelConfig, Registry, RegistryError, Stored};
use crate::store::Event;
use crate::verdict::Models;

/// What people ask for about models.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelRequest {
    /// Take a file in, and let it judge as the shadow.
    Load {
        /// The file, as the daemon sees it.
        path: PathBuf,
    },
    /// Let another model judge beside the active one, or none.
    Shadow(Option<ModelId>),
    /// Let another model decide.
    Pin(Choice),
    /// Let the one decide that did before.
    Rollback,
    /// Remove a file.
    Remove(ModelId),
}

/// The models that judge.
#[derive(Debug)]
pub struct Judges {
    registry: Registry,
    choices: Choices,
    in_force: Models,
    /// Why what is chosen does not judge, with the remedy.
    faults: Vec<String>,
    stored: Vec<Stored>,
}

/// What is shown of them.
#[derive(Clone, Debug, Default)]
pub struct ShownModels {
    /// What is chosen.
    pub choices: Choices,
    /// What judges.
    pub in_force: Models,
    /// The files of the registry.
    pub stored: Vec<Stored>,
    /// What is said of those that judge; none for a moment after they have changed.
    pub compared: Option<Compared>,
    /// The population stability index from which on drift is told.
    pub drift_alarm: f32,
}

impl Judges {
    /// Loads what is chosen, as far as that can be. The built-in model holds where it cannot.
    #[must_use]
    pub fn new(registry: Registry, choices: Choices) -> Self {
        let mut judges =
            Self { registry, choices, in_force: Models::default(), faults: Vec::new(), stored: Vec::new() };
        judges.settle();
        judges
    }

    /// The models that judge.
    #[must_use]
    pub const fn in_force(&self) -> Models {
        self.in_force
    }

    /// Why what is chosen does not judge, one line each with its remedy.
    #[must_use]
    pub fn faults(&self) -> &[String] {
        &self.faults
    }

    /// What is to be shown, with what the packet thread published last.
    pub(super) fn shown(&self, compared: Option<Compared>, drift_alarm: f32) -> ShownModels {
        ShownModels {
            choices: self.choices.clone(),
            in_force: self.in_force,
            stored: self.stored.clone(),
            compared: compared.filter(|compared| compared.models == self.in_force),
            drift_alarm,
        }
    }

    /// Loads what is chosen now.
    fn settle(&mut self) {
        self.faults.clear();
        self.in_force = Models::default();
        if let Choice::Stored(id) = &self.choices.active {
            match self.registry.model(id) {
                Ok(model) => self.in_force.active = model,
                Err(error) => self.faults.push(format!("the built-in model decides in the place of {id}: {error}")),
            }
        }
        if let Some(id) = &self.choices.shadow {
            match self.registry.model(id) {
                Ok(model) => self.in_force.shadow = Some(model),
                Err(error) => self.faults.push(format!("{id} does not judge beside the active model: {error}")),
            }
        }
        self.faults.iter().for_each(|fault| warn!("{fault}"));
        self.stored = self.registry.stored();
    }

    fn take_in(&mut self, path: &std::path::Path) -> Result<ModelId, RegistryError> {
        let id = self.registry.take_in(path);
        self.stored = self.registry.stored();
        id
    }

    /// Chooses a shadow; true where that changes anything.
    fn shadow(&mut self, id: Option<ModelId>) -> Result<bool, RegistryError> {
        if let Some(id) = &id {
            self.registry.model(id)?;
            if self.choices.active.stored() == Some(id) {
                return Err(RegistryError::Decides { id: id.clone() });
            }
        }
        let changes = self.choices.shadow != id;
        self.choices.shadow = id;
        self.settle();
        Ok(changes)
    }

    /// Chooses who decides; true where that changes anything.
    fn pin(&mut self, choice: Choice) -> Result<bool, RegistryError> {
        if let Some(id) = choice.stored() {
            self.registry.model(id)?;
        }
        let changes = self.choices.active != choice;
        self.choose(choice);
        self.settle();
        Ok(changes)
    }

    /// What decides, by whoever says so.
    fn choose(&mut self, choice: Choice) {
        if self.choices.shadow.as_ref() == choice.stored() {
            self.choices.shadow = None;
        }
        if self.choices.active != choice {
            self.choices.before = Some(core::mem::replace(&mut self.choices.active, choice));
        }
    }

    fn remove(&mut self, id: &ModelId) -> Result<(), RegistryError> {
        let Choices { active, shadow, before } = &mut self.choices;
        if active.stored() == Some(id) || shadow.as_ref() == Some(id) {
            return Err(RegistryError::InUse { id: id.clone() });
        }
        self.registry.remove(id)?;
        if before.as_ref().and_then(Choice::stored) == Some(id) {
            *before = None;
        }
        self.stored = self.registry.stored();
        Ok(())
    }

    /// Goes by another configuration: what it says anew holds, whatever was chosen while the box ran. True where it says anything
    /// anew.
    fn configure(&mut self, before: &ModelConfig, now: &ModelConfig) -> bool {
        self.registry.trust(now.keys.clone());
        if now.shadow != before.shadow {
            self.choices.shadow.clone_from(&now.shadow);
        }
        if now.active != before.active {
            self.choose(now.active.clone());
        }
        if self.choices.active.stored() == self.choices.shadow.as_ref() {
            self.choices.shadow = None;
        }
        self.settle();
        (&now.active, &now.shadow) != (&before.active, &before.shadow)
    }
}

impl Keeper {
    /// Carries a request about models out; which model it was about.
    pub(super) fn change_models(&mut self, request: ModelRequest, actor: &str, now: Timestamp) -> Reply {
        match request {
            ModelRequest::Load { path } => {
                let id = self.judges.take_in(&path)?;
                self.audit_by(actor, now, format!("took the model {id} in from {}", path.display()));
                self.shadow(Some(id), actor, now)
            }
            ModelRequest::Shadow(id) => self.shadow(id, actor, now),
            ModelRequest::Pin(choice) => self.pin(choice, actor, now),
            ModelRequest::Rollback => {
                let before = self.judges.choices.before.clone().ok_or(RegistryError::NothingBefore)?;
                self.pin(before, actor, now)
            }
            ModelRequest::Remove(id) => {
                self.judges.remove(&id)?;
                self.chosen(actor, now, format!("removed the model {id}"));
                Ok(id.to_string())
            }
        }
        .inspect(|_| self.tell_models())
    }

    fn shadow(&mut self, id: Option<ModelId>, actor: &str, now: Timestamp) -> Reply {
        let name = id.as_ref().map_or_else(|| String::from("none"), ToString::to_string);
        if self.judges.shadow(id)? {
            self.chosen(actor, now, format!("set the shadow model to {name}"));
        }
        Ok(name)
    }

    fn pin(&mut self, choice: Choice, actor: &str, now: Timestamp) -> Reply {
        let name = choice.to_string();
        if self.judges.pin(choice)? {
            self.chosen(actor, now, format!("set the active model to {name}"));
        }
        Ok(name)
    }

    /// Writes down that something else is chosen.
    fn chosen(&mut self, actor: &str, now: Timestamp, what: String) {
        info!("{actor} {what}");
        let ModelConfig { active, shadow, .. } = &self.settings.model;
        let configured = Box::new(Choices { active: active.clone(), shadow: shadow.clone(), before: None });
        let choices = Box::new(self.judges.choices.clone());
        self.record(Event::ModelsChosen { time: now, choices, configured, actor: actor.to_owned(), what });
    }

    /// Takes over what the configuration says of models, where it said something else before.
    pub(super) fn configure_models(&mut self, before: &ModelConfig, actor: &str, now: Timestamp) {
        if self.judges.configure(before, &self.settings.model) {
            let Choices { active, shadow, .. } = &self.judges.choices;
            let shadow = shadow.as_ref().map_or_else(|| String::from("none"), ToString::to_string);
            self.chosen(actor, now, format!("set the active model to {active} and the shadow model to {shadow}"));
        }
        self.tell_models();
    }

    /// Tells the packet thread which models judge, where it does not know. Each second it is asked again whether it does.
    pub(super) fn tell_models(&self) {
        let models = self.judges.in_force();
        if self.gauges.compared().is_none_or(|compared| compared.models != models) {
            // Where there is no room it is told with the next tick.
            let _ = self.outcomes.try_send(Outcome::Judged(models));
        }
    }

    /// What a person should know of the models.
    pub(super) fn model_faults(&self) -> Vec<String> {
        let shown = self.judges.shown(self.gauges.compared(), self.settings.model.drift_alarm);
        self.judges.faults().iter().cloned().chain(shown.drift_fault()).collect()
    }
}

impl ShownModels {
    /// The traffic differs too much from the training data.
    fn drift_fault(&self) -> Option<String> {
        let drifted = &self.compared.as_ref()?.drifted;
        let worst = drifted.worst_of(self.in_force.active).into_iter().next();
        let (feature, drift) = worst.filter(|(_, drift)| drift.index >= self.drift_alarm)?;
        let feature = FEATURES.get(feature)?;
        Some(format!(
            "traffic differs from what the model learnt: {} ({}) has a stability index of {:.1}; look at `sluice model list`, let a model \
             learn from your traffic (models/README.md), or raise model.drift_alarm",
            feature.name, feature.meaning, drift.index
        ))
    }
}

#[cfg(test)]
mod tests {
    use traffic::features::FEATURE_COUNT;

    use super::*;
    use crate::verdict::{Disagreement, Drifted, FeatureDrift, LEAST_FLOWS};

    /// What is shown where one feature that the built-in model asks for has this index.
    fn shown(flows: u32, index: f32) -> ShownModels {
        let models = Models::default();
        let asked = (0..FEATURE_COUNT).find(|feature| models.active.asks(*feature)).unwrap();
        let mut features = [FeatureDrift::default(); FEATURE_COUNT];
        features[asked].index = index;
        let compared = Compared { models, disagreement: Disagreement::default(), drifted: Drifted { flows, features } };
        ShownModels { compared: Some(compared), drift_alarm: 7.0, ..ShownModels::default() }
    }

    #[test]
    fn drift_is_told_from_the_set_index_on_once_enough_flows_have_ended() {
        let fault = shown(LEAST_FLOWS, 7.2).drift_fault().unwrap();
        for words in ["traffic differs from what the model learnt: ", "stability index of 7.2", "model.drift_alarm"] {
            assert!(fault.contains(words), "no {words:?} in {fault}");
        }
        assert_eq!(shown(LEAST_FLOWS, 6.9).drift_fault(), None);
        assert_eq!(shown(LEAST_FLOWS - 1, 9.0).drift_fault(), None);
        assert_eq!(ShownModels::default().drift_fault(), None);
    }
}
