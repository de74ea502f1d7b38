//! The registry in the hands of those who may wait for a disk: the threads that answer people, and the main thread when it reads the
//! configuration again. The control thread must not wait; it is told what was loaded.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use model_compiler::sealed::ModelId;

use super::models::{Loads, ModelChange};
use super::{Handle, OrderError, Reply, Settings};
use crate::registry::{self, Choice, Choices, ModelConfig, Registry, RegistryError, Room};

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

/// The registry, for one change at a time: it is held until the control thread has taken the change over, so that what that thread
/// shows is what the next one begins with.
#[derive(Debug)]
pub struct Library {
    room: Room,
    registry: Mutex<Registry>,
    /// Held while a file is read that somebody named. It may lie on a file system that never answers; then one thread hangs, and
    /// who names another file is refused.
    reading: Mutex<()>,
}

impl Library {
    /// For this registry.
    #[must_use]
    pub const fn new(registry: Registry) -> Self {
        Self { room: registry.room(), registry: Mutex::new(registry), reading: Mutex::new(()) }
    }

    /// Loads what is chosen and what is configured, as far as that can be.
    #[must_use]
    pub fn loads(&self, choices: &Choices, configured: &ModelConfig) -> Loads {
        loads(&mut self.registry(), choices, configured)
    }

    /// Does what somebody asks for, in the name of `actor`; which model it was about. Waits for the disk.
    ///
    /// # Errors
    /// A file is missing or not trusted, there is no room, or the control thread does not answer.
    pub fn carry_out(&self, request: ModelRequest, handle: &Handle, actor: &str) -> Reply {
        let change = |registry: &Registry, change| handle.change_models(change, registry.stored(), actor);
        match request {
            ModelRequest::Load { path } => {
                let bytes = self.read(&path)?;
                let mut registry = self.registry();
                let id = registry.take_in(&bytes, &path)?;
                change(&registry, ModelChange::TakenIn { id: id.clone(), path })?;
                let model = registry.model(&id)?;
                change(&registry, ModelChange::Shadow(Some((id, model))))
            }
            ModelRequest::Shadow(id) => {
                let mut registry = self.registry();
                let shadow = id.map(|id| registry.model(&id).map(|model| (id, model))).transpose()?;
                change(&registry, ModelChange::Shadow(shadow))
            }
            ModelRequest::Pin(choice) => pin(&mut self.registry(), choice, handle, actor),
            ModelRequest::Rollback => {
                let mut registry = self.registry();
                let before = handle.snapshot().models.choices.before.clone().ok_or(RegistryError::NothingBefore)?;
                pin(&mut registry, before, handle, actor)
            }
            ModelRequest::Remove(id) => {
                let registry = self.registry();
                if handle.snapshot().models.choices.judges(&id) {
                    return Err(RegistryError::InUse { id }.into());
                }
                registry.remove(&id)?;
                change(&registry, ModelChange::Removed(id))
            }
        }
    }

    /// Tells the control thread what the configuration says now, with the models that it names, and waits until it holds.
    ///
    /// # Errors
    /// As [`Handle::configure`]. Where everything is as it was, so are the keys that are trusted.
    pub fn configure(&self, settings: Settings, handle: &Handle, actor: &str) -> Result<(), OrderError> {
        let mut registry = self.registry();
        let keys_before = registry.trust(settings.model.keys.clone());
        let loads = loads(&mut registry, &handle.snapshot().models.choices, &settings.model);
        let outcome = handle.configure(settings, loads, actor);
        if outcome == Err(OrderError::Unavailable) {
            registry.trust(keys_before);
        }
        outcome
    }

    fn read(&self, path: &Path) -> Result<Vec<u8>, RegistryError> {
        match self.reading.try_lock() {
            Err(TryLockError::WouldBlock) => Err(RegistryError::Busy),
            // Who panicked while reading has left nothing behind.
            Ok(_) | Err(TryLockError::Poisoned(_)) => registry::read(path, self.room.file_bytes),
        }
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        // What is remembered of loaded models is put down at once: a panic elsewhere leaves it whole.
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn pin(registry: &mut Registry, choice: Choice, handle: &Handle, actor: &str) -> Reply {
    let model = choice.stored().map(|id| registry.model(id)).transpose()?;
    handle.change_models(ModelChange::Pin(choice, model), registry.stored(), actor)
}

fn loads(registry: &mut Registry, choices: &Choices, configured: &ModelConfig) -> Loads {
    let named =
        [choices.active.stored(), choices.shadow.as_ref(), configured.active.stored(), configured.shadow.as_ref()];
    let mut loads = Loads::default();
    for id in named.into_iter().flatten() {
        if loads.of(id).is_none() {
            loads.models.push((id.clone(), registry.model(id)));
        }
    }
    loads.stored = registry.stored();
    loads
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Memory;
    use crate::control::ControlError;
    use crate::store::test_directory::TestDirectory;
    use crate::web::fixture::snapshot;

    #[test]
    fn a_file_that_never_answers_holds_up_no_other_request() {
        let directory = TestDirectory::new("library");
        let library = Library::new(Registry::new(directory.path(), Vec::new(), Memory::default().models()));
        let (handle, _messages, _orders) = Handle::new(snapshot(crate::clock::now()), 1);
        let hangs = library.reading.lock().unwrap();
        let load = ModelRequest::Load { path: "/mnt/gone/forest-4.model".into() };
        let refused = library.carry_out(load, &handle, "local");
        assert!(matches!(refused, Err(ControlError::Model(RegistryError::Busy))), "{refused:?}");
        let pin = ModelRequest::Pin("forest@4".parse().unwrap());
        let refused = library.carry_out(pin, &handle, "local");
        assert!(matches!(refused, Err(ControlError::Model(RegistryError::Unknown { .. }))), "{refused:?}");
        drop(hangs);
        let gone = library.carry_out(ModelRequest::Load { path: "/nowhere/x.model".into() }, &handle, "local");
        assert!(matches!(gone, Err(ControlError::Model(RegistryError::Read { .. }))), "{gone:?}");
    }
}
