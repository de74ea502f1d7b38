//! What the control thread goes by, and how it takes in that the configuration says something else.

use core::mem::replace;

use ipnet::IpNet;
use log::info;
use traffic::time::Timestamp;

use super::Loads;
use super::keeper::{Keeper, State};
use crate::policy::{Allowed, Bounds, Mode, Tuning};
use crate::registry::ModelConfig;

/// What the control thread goes by: the part of the configuration that it is concerned with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What is done with decisions, as long as nobody changes it while the box runs.
    pub mode: Mode,
    /// Who is never blocked.
    pub allow: Vec<Allowed>,
    /// Networks of the household.
    pub lan: Vec<IpNet>,
    /// The configuration does not name them: those that the bridge has an address in are learned.
    pub learns_lan: bool,
    /// How much may be blocked, and for how long. The kernel shall have room for so many blocks.
    pub bounds: Bounds,
    /// How the packet thread decides.
    pub tuning: Tuning,
    /// Which models judge, as long as nobody changes it while the box runs.
    pub model: ModelConfig,
}

impl Keeper {
    /// Goes by other settings from now on. A mode that was set while the box runs holds until the configuration says another.
    pub(super) fn configure(
        &mut self,
        settings: Settings,
        loads: Loads,
        actor: &str,
        now: Timestamp,
        state: &mut State,
    ) {
        let before = replace(&mut self.settings, settings);
        let Settings { mode, allow, lan, learns_lan, bounds, .. } = self.settings.clone();
        let rails = &mut self.blocklist.rails;
        rails.allow.configure(allow);
        if (&lan, learns_lan) != (&before.lan, before.learns_lan) {
            rails.lan = lan;
        }
        if bounds.max_blocks > before.bounds.max_blocks {
            self.enforcer.make_room(bounds.max_blocks);
            state.stands = None;
        }
        self.blocklist.set_bounds(bounds);
        if mode != before.mode {
            info!("the configuration says the mode {} instead of {}", mode.name(), before.mode.name());
            self.change_mode(None, mode, actor.to_owned(), now, state);
        }
        self.configure_models(&before.model, loads, actor, now);
        // What is learned of the surroundings may be something else by these settings.
        state.last_look = None;
        self.look_around(state);
        self.lift_protected(now);
        state.is_stale = true;
    }

    /// Tells the packet thread how it is to decide, where that has changed or was not taken.
    pub(super) fn tell_tuning(&self, state: &mut State) {
        let tuning = self.settings.tuning;
        if state.tuned != Some(tuning) && self.outcomes.try_send(super::Outcome::Tuned(tuning)).is_ok() {
            state.tuned = Some(tuning);
        }
    }
}
