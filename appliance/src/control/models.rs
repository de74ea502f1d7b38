//! Which models judge: what is chosen, what of it could be loaded, and what people ask for while the box runs.

use std::path::PathBuf;
use std::sync::mpsc::sync_channel;

use log::{info, warn};
use model_compiler::sealed::ModelId;
use traffic::features::FEATURES;
use traffic::time::Timestamp;

use super::keeper::Keeper;
use super::{ControlError, Handle, Message, Outcome, REPLY_TIMEOUT, Reply};
use crate::pipeline::Compared;
use crate::registry::{Choice, Choices, ModelConfig, RegistryError, Stored};
use crate::store::Event;
use crate::verdict::{BUILT_IN, Model, Models};

/// A change of what judges, on its way to the control thread; every model in it is loaded.
#[derive(Debug)]
pub enum ModelChange {
    /// A file is in the registry now.
    TakenIn {
        /// Which model it is.
        id: ModelId,
        /// Where it came from.
        path: PathBuf,
    },
    /// Another model judges beside the active one, or none.
    Shadow(Option<(ModelId, &'static Model)>),
    /// Another model decides; none is given for the compiled-in one.
    Pin(Choice, Option<&'static Model>),
    /// A file is no longer in the registry.
    Removed(ModelId),
}

/// Models by their names, or why they cannot judge, and the files that there are.
#[derive(Debug, Default)]
pub struct Loads {
    pub(super) models: Vec<(ModelId, Result<&'static Model, RegistryError>)>,
    pub(super) stored: Vec<Stored>,
}

/// The models that judge.
#[derive(Debug)]
pub struct Judges {
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

impl Loads {
    /// What became of that model; none where it was not asked for.
    pub(super) fn of(&self, id: &ModelId) -> Option<&Result<&'static Model, RegistryError>> {
        self.models.iter().find(|(known, _)| known == id).map(|(_, outcome)| outcome)
    }
}

impl Judges {
    /// What is chosen, as far as it could be loaded. The built-in model holds where it could not.
    #[must_use]
    pub fn new(choices: Choices, loads: Loads) -> Self {
        let mut judges = Self { choices, in_force: Models::default(), faults: Vec::new(), stored: Vec::new() };
        judges.settle(loads);
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
    pub(crate) fn shown(&self, compared: Option<Compared>, drift_alarm: f32) -> ShownModels {
        ShownModels {
            choices: self.choices.clone(),
            in_force: self.in_force,
            stored: self.stored.clone(),
            compared: compared.filter(|compared| compared.models == self.in_force),
            drift_alarm,
        }
    }

    /// Takes over what was loaded of the chosen models.
    fn settle(&mut self, loads: Loads) {
        self.faults.clear();
        self.in_force = Models::default();
        if let Choice::Stored(id) = &self.choices.active {
            match loads.of(id) {
                Some(Ok(model)) => self.in_force.active = model,
                Some(Err(error)) => {
                    self.faults.push(format!("the built-in model decides in the place of {id}: {error}"));
                }
                None => {}
            }
        }
        if let Some(id) = &self.choices.shadow {
            match loads.of(id) {
                Some(Ok(model)) => self.in_force.shadow = Some(model),
                Some(Err(error)) => {
                    self.faults.push(format!("{id} does not judge beside the active model: {error}"));
                }
                None => {}
            }
        }
        self.faults.iter().for_each(|fault| warn!("{fault}"));
        self.stored = loads.stored;
    }

    /// Chooses a shadow; true where that changes anything.
    fn shadow(&mut self, shadow: Option<(ModelId, &'static Model)>) -> Result<bool, RegistryError> {
        let (id, model) = shadow.unzip();
        if let Some(id) = &id
            && self.choices.active.stored() == Some(id)
        {
            return Err(RegistryError::Decides { id: id.clone() });
        }
        let changes = self.choices.shadow != id;
        self.choices.shadow = id;
        self.in_force.shadow = model;
        Ok(changes)
    }

    /// Chooses who decides; true where that changes anything.
    fn pin(&mut self, choice: Choice, model: Option<&'static Model>) -> bool {
        let changes = self.choices.active != choice;
        self.choose(choice);
        if self.choices.shadow.is_none() {
            self.in_force.shadow = None;
        }
        self.in_force.active = model.unwrap_or(&BUILT_IN);
        changes
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

    /// There is no way back to a model whose file is gone.
    fn forget(&mut self, id: &ModelId) {
        self.choices.before.take_if(|before| before.stored() == Some(id));
    }

    /// Goes by another configuration: what it says anew holds, whatever was chosen while the box ran. True where it says anything
    /// anew.
    fn configure(&mut self, before: &ModelConfig, now: &ModelConfig, loads: Loads) -> bool {
        if now.shadow != before.shadow {
            self.choices.shadow.clone_from(&now.shadow);
        }
        if now.active != before.active {
            self.choose(now.active.clone());
        }
        if self.choices.active.stored() == self.choices.shadow.as_ref() {
            self.choices.shadow = None;
        }
        self.settle(loads);
        (&now.active, &now.shadow) != (&before.active, &before.shadow)
    }
}

impl Handle {
    /// Tells the control thread of a change of models, and waits until it holds; which model it was about. `stored` are the files
    /// that there are after it.
    pub(super) fn change_models(&self, change: ModelChange, stored: Vec<Stored>, actor: &str) -> Reply {
        let (reply, answer) = sync_channel(1);
        let message = Message::Models { change, stored, actor: actor.to_owned(), reply };
        self.messages.try_send(message).map_err(|_| ControlError::Unavailable)?;
        answer.recv_timeout(REPLY_TIMEOUT).unwrap_or(Err(ControlError::Unavailable))
    }
}

impl Keeper {
    /// Takes a change of models over; which model it was about.
    pub(super) fn change_models(
        &mut self,
        change: ModelChange,
        stored: Vec<Stored>,
        actor: &str,
        now: Timestamp,
    ) -> Reply {
        self.judges.stored = stored;
        let name = match change {
            ModelChange::TakenIn { id, path } => {
                self.audit_by(actor, now, format!("took the model {id} in from {}", path.display()));
                id.to_string()
            }
            ModelChange::Shadow(shadow) => {
                let name = shadow.as_ref().map_or_else(|| String::from("none"), |(id, _)| id.to_string());
                if self.judges.shadow(shadow)? {
                    self.chosen(actor, now, format!("set the shadow model to {name}"));
                }
                name
            }
            ModelChange::Pin(choice, model) => {
                let name = choice.to_string();
                if self.judges.pin(choice, model) {
                    self.chosen(actor, now, format!("set the active model to {name}"));
                }
                name
            }
            ModelChange::Removed(id) => {
                self.judges.forget(&id);
                self.chosen(actor, now, format!("removed the model {id}"));
                id.to_string()
            }
        };
        self.tell_models();
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
    pub(super) fn configure_models(&mut self, before: &ModelConfig, loads: Loads, actor: &str, now: Timestamp) {
        if self.judges.configure(before, &self.settings.model, loads) {
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
