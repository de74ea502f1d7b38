//! Which models judge: what is chosen, what of it could be loaded, and what people ask for while the box runs.

use std::path::PathBuf;
use std::sync::mpsc::sync_channel;

use log::{info, warn};
use model_compiler::sealed::ModelId;
use model_compiler::spread::UNREACHABLE_INDEX;
use traffic::features::FEATURES;
use traffic::time::Timestamp;

use super::keeper::Keeper;
use super::{ControlError, Handle, Message, Outcome, REPLY_TIMEOUT, Reply};
use crate::DOCUMENTS;
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
    /// Why another one decides than was chosen, or will after the next start, with the remedy.
    active_fault: Option<String>,
    /// The same of the shadow.
    shadow_fault: Option<String>,
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
        let mut judges =
            Self { choices, in_force: Models::default(), active_fault: None, shadow_fault: None, stored: Vec::new() };
        judges.settle(loads);
        judges
    }

    /// The models that judge.
    #[must_use]
    pub const fn in_force(&self) -> Models {
        self.in_force
    }

    /// Why what is chosen does not judge, one line each with its remedy.
    pub fn faults(&self) -> impl Iterator<Item = &str> {
        self.active_fault.iter().chain(&self.shadow_fault).map(String::as_str)
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

    /// Takes over what was loaded of the chosen models. One that judges and could not be read again judges on: what decides must not
    /// change because of a disk.
    fn settle(&mut self, loads: Loads) {
        let Models { active, shadow } = self.in_force;
        (self.in_force, self.active_fault, self.shadow_fault) = (Models::default(), None, None);
        if let Choice::Stored(id) = &self.choices.active {
            let (model, why) = settled(id, &loads, Some(active));
            self.in_force.active = model.unwrap_or(&BUILT_IN);
            self.active_fault = why.map(|why| match model {
                Some(_) => format!("{id} decides as it was loaded, and will not after the next start: {why}"),
                None => format!("the built-in model decides in the place of {id}: {why}"),
            });
        }
        if let Some(id) = &self.choices.shadow {
            let (model, why) = settled(id, &loads, shadow);
            self.in_force.shadow = model;
            self.shadow_fault = why.map(|why| match model {
                Some(_) => format!(
                    "{id} judges beside the active model as it was loaded, and will not after the next start: {why}"
                ),
                None => format!("{id} does not judge beside the active model: {why}"),
            });
        }
        self.faults().for_each(|fault| warn!("{fault}"));
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
        (self.choices.shadow, self.in_force.shadow, self.shadow_fault) = (id, model, None);
        Ok(changes)
    }

    /// Chooses who decides; true where that changes anything.
    fn pin(&mut self, choice: Choice, model: Option<&'static Model>) -> bool {
        let changes = self.choices.active != choice;
        self.choices.choose(choice);
        if self.choices.shadow.is_none() {
            (self.in_force.shadow, self.shadow_fault) = (None, None);
        }
        (self.in_force.active, self.active_fault) = (model.unwrap_or(&BUILT_IN), None);
        changes
    }

    /// There is no way back to a model whose file is gone.
    fn forget(&mut self, id: &ModelId) {
        self.choices.before.take_if(|before| before.stored() == Some(id));
    }

    /// Goes by another configuration; true where other models judge, or are meant to.
    fn configure(&mut self, before: &ModelConfig, now: &ModelConfig, loads: Loads) -> bool {
        let judged = self.in_force;
        let says_anew = self.choices.follow(&Choices::of(before), &Choices::of(now));
        self.settle(loads);
        says_anew || self.in_force != judged
    }
}

/// The model of that name, and why it is not as it should be. What nobody trusts any more does not judge on.
fn settled(id: &ModelId, loads: &Loads, judged: Option<&'static Model>) -> (Option<&'static Model>, Option<String>) {
    let judged = judged.filter(|model| model.name == id.to_string());
    match loads.of(id) {
        Some(Ok(model)) => (Some(model), None),
        Some(Err(error @ RegistryError::Sealed { .. })) => (None, Some(error.to_string())),
        Some(Err(error)) => (judged, Some(error.to_string())),
        None => (judged, Some(String::from("it was chosen while the configuration was read; `sluice reload` again"))),
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
        let configured = Box::new(Choices::of(&self.settings.model));
        let choices = Box::new(self.judges.choices.clone());
        self.record(Event::ModelsChosen { time: now, choices, configured, actor: actor.to_owned(), what });
    }

    /// Takes over what the configuration says of models, and what could be loaded of them.
    pub(super) fn configure_models(&mut self, before: &ModelConfig, loads: Loads, actor: &str, now: Timestamp) {
        if self.judges.configure(before, &self.settings.model, loads) {
            let Choices { active, shadow, .. } = &self.judges.choices;
            let shadow = shadow.as_ref().map_or_else(|| String::from("none"), ToString::to_string);
            let decides = self.judges.in_force.active.name;
            let what = format!("set the active model to {active} and the shadow model to {shadow}; {decides} decides");
            self.chosen(actor, now, what);
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
        self.judges.faults().map(str::to_owned).chain(shown.drift_fault()).collect()
    }
}

impl ShownModels {
    /// The traffic differs too much from the training data.
    fn drift_fault(&self) -> Option<String> {
        let drifted = &self.compared.as_ref()?.drifted;
        let worst = drifted.worst_of(self.in_force.active).into_iter().next();
        let (feature, drift) = worst.filter(|(_, drift)| drift.is_told(self.drift_alarm))?;
        let feature = FEATURES.get(feature)?;
        let (how, or) = if drift.is_foreign() {
            let share = drift.outside * 100.0;
            let how = format!("is outside of all that it has seen in {share:.0} % of the connections");
            (how, format!("set model.drift_alarm to {UNREACHABLE_INDEX} to be told of no difference"))
        } else {
            (format!("has a stability index of {:.1}", drift.index), String::from("raise model.drift_alarm"))
        };
        Some(format!(
            "traffic differs from what the model learnt: {} ({}) {how}; look at `sluice model list`, let a model learn from your traffic \
             ({DOCUMENTS}/models/README.md), or {or}",
            feature.name, feature.meaning
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use model_compiler::model::Model as ModelFile;
    use model_compiler::sealed::SealedError;
    use traffic::features::FEATURE_COUNT;

    use super::*;
    use crate::verdict::{Disagreement, Drift, Drifted, FeatureDrift, LEAST_FLOWS};

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

    #[test]
    fn a_feature_that_lies_outside_of_all_training_is_told_whatever_its_index_is() {
        let drift_alarm = ModelConfig::default().drift_alarm;
        let mut drift = Drift::new(Models::default().active);
        for second in 0..u64::from(LEAST_FLOWS) {
            drift.take(&[1e30; FEATURE_COUNT], Timestamp::from_secs(second));
        }
        let drifted = drift.drifted();
        let asked = drifted.worst_of(Models::default().active);
        assert!(asked.iter().any(|(_, of)| of.index < drift_alarm), "the index alone would tell of them all");
        for (feature, of) in asked {
            let mut compared = shown(LEAST_FLOWS, 0.0);
            let features = &mut compared.compared.as_mut().unwrap().drifted.features;
            features[feature] = of;
            let fault = ShownModels { drift_alarm, ..compared.clone() }.drift_fault().unwrap();
            let words = format!("{} ({}) is outside of all", FEATURES[feature].name, FEATURES[feature].meaning);
            assert!(fault.contains(&words) && fault.contains("in 100 % of the connections"), "{fault}");
            assert_eq!(ShownModels { drift_alarm: UNREACHABLE_INDEX, ..compared }.drift_fault(), None);
        }
    }

    fn id(text: &str) -> ModelId {
        text.parse().unwrap()
    }

    fn choice(text: &str) -> Choice {
        text.parse().unwrap()
    }

    fn model(name: &str) -> &'static Model {
        let file: ModelFile = model_compiler::json::read(include_str!("../../../models/forest/model.json")).unwrap();
        Model::load(name.to_owned(), &file)
    }

    fn loads(models: &[&'static Model], errors: Vec<(&str, RegistryError)>) -> Loads {
        let good = models.iter().map(|model| (id(model.name), Ok(*model)));
        Loads {
            models: good.chain(errors.into_iter().map(|(name, error)| (id(name), Err(error)))).collect(),
            stored: Vec::new(),
        }
    }

    fn unreadable() -> RegistryError {
        RegistryError::Read {
            path: PathBuf::from("/state/models/forest-3.model"),
            cause: io::Error::other("I/O error"),
        }
    }

    fn distrusted() -> RegistryError {
        RegistryError::Sealed { path: PathBuf::from("/state/models/forest-3.model"), cause: SealedError::NoKeys }
    }

    fn chosen(active: &str, shadow: Option<&str>, before: Option<&str>) -> Choices {
        Choices { active: choice(active), shadow: shadow.map(id), before: before.map(choice) }
    }

    fn configured(active: &str, shadow: Option<&str>) -> ModelConfig {
        ModelConfig { active: choice(active), shadow: shadow.map(id), ..ModelConfig::default() }
    }

    fn faults(judges: &Judges) -> Vec<&str> {
        judges.faults().collect()
    }

    #[test]
    fn what_cannot_be_loaded_at_a_start_does_not_judge_and_a_reload_that_finds_it_is_told() {
        let [third, fourth] = ["forest@3", "forest@4"].map(model);
        let errors = vec![("forest@3", unreadable()), ("forest@4", unreadable())];
        let mut judges = Judges::new(chosen("forest@3", Some("forest@4"), None), loads(&[], errors));
        assert_eq!(judges.in_force(), Models::default());
        let [active, shadow] = faults(&judges)[..] else { panic!("{judges:?}") };
        assert!(active.starts_with("the built-in model decides in the place of forest@3: /state/models/"), "{active}");
        assert!(shadow.starts_with("forest@4 does not judge beside the active model: "), "{shadow}");
        let same = configured("built-in", None);
        assert!(judges.configure(&same, &same, loads(&[third, fourth], Vec::new())), "another model decides now");
        assert_eq!(judges.in_force(), Models { active: third, shadow: Some(fourth) });
        assert_eq!(faults(&judges), [""; 0]);
        assert!(!judges.configure(&same, &same, loads(&[third, fourth], Vec::new())), "and goes on doing so");
    }

    #[test]
    fn a_reload_that_is_about_something_else_changes_no_judge() {
        let [third, fourth] = ["forest@3", "forest@4"].map(model);
        let judging = Models { active: third, shadow: Some(fourth) };
        let start = || Judges::new(chosen("forest@3", Some("forest@4"), None), loads(&[third, fourth], Vec::new()));
        let same = configured("built-in", None);
        for errors in [vec![("forest@3", unreadable()), ("forest@4", unreadable())], Vec::new()] {
            let mut judges = start();
            assert!(!judges.configure(&same, &same, loads(&[], errors)));
            assert_eq!(judges.in_force(), judging);
            let [active, shadow] = faults(&judges)[..] else { panic!("{judges:?}") };
            assert!(
                active.starts_with("forest@3 decides as it was loaded, and will not after the next start"),
                "{active}"
            );
            assert!(shadow.starts_with("forest@4 judges beside the active model as it was loaded"), "{shadow}");
        }
        let mut judges = start();
        let errors = vec![("forest@3", distrusted()), ("forest@4", distrusted())];
        assert!(judges.configure(&same, &same, loads(&[], errors)), "what nobody trusts decides no longer");
        assert_eq!((judges.in_force(), faults(&judges).len()), (Models::default(), 2));
    }

    #[test]
    fn who_chooses_another_model_ends_the_fault_of_the_one_before() {
        let fourth = model("forest@4");
        let errors = || vec![("forest@3", unreadable()), ("forest@5", unreadable())];
        let start = || Judges::new(chosen("forest@3", Some("forest@5"), None), loads(&[], errors()));
        let mut judges = start();
        assert!(judges.shadow(Some((id("forest@4"), fourth))).unwrap());
        assert!(faults(&judges).len() == 1 && faults(&judges)[0].contains("forest@3"), "{judges:?}");
        assert!(judges.pin(choice("forest@4"), Some(fourth)));
        assert_eq!(faults(&judges), [""; 0]);
        assert_eq!(judges.in_force(), Models { active: fourth, shadow: None });
        assert_eq!(judges.choices, chosen("forest@4", None, Some("forest@3")));
        let refusal = judges.shadow(Some((id("forest@4"), fourth)));
        assert!(matches!(refusal, Err(RegistryError::Decides { .. })), "{refusal:?}");
        assert!(judges.pin(Choice::BuiltIn, None));
        assert_eq!((judges.in_force(), judges.choices.before.clone()), (Models::default(), Some(choice("forest@4"))));
        judges.forget(&id("forest@4"));
        assert_eq!(judges.choices.before, None, "there is no way back to a file that is gone");
    }

    #[test]
    fn the_configuration_wins_where_it_says_something_anew() {
        let models = ["forest@3", "forest@4", "forest@5"].map(model);
        let mut judges = Judges::new(chosen("forest@3", Some("forest@5"), None), loads(&models, Vec::new()));
        let (before, now) = (configured("built-in", None), configured("forest@4", None));
        assert!(judges.configure(&before, &now, loads(&models, Vec::new())));
        assert_eq!(judges.choices, chosen("forest@4", Some("forest@5"), Some("forest@3")));
        assert!(judges.configure(&now, &configured("forest@4", Some("forest@3")), loads(&models, Vec::new())));
        assert_eq!(judges.in_force(), Models { active: models[1], shadow: Some(models[0]) });
    }
}
