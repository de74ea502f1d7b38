//! Reading the configuration again while the daemon runs. Either all of it holds afterwards that can, or everything is as it was.

use std::path::PathBuf;
use std::sync::Arc;

use log::{error, info};

use super::rulebook;
use super::rulebooks::Rulebooks;
use crate::clock;
use crate::config::{Changes, Config};
use crate::control::{Done, Handle, OrderError, Settings};
use crate::health::Gauges;
use crate::store::{Event, Writer};

/// What holds now, and the ways to those who go by it.
pub(super) struct Reload {
    pub path: PathBuf,
    pub config: Config,
    pub handle: Handle,
    pub writer: Arc<Writer>,
    pub gauges: Arc<Gauges>,
    pub rulebooks: Rulebooks,
}

impl Reload {
    /// Reads the file and takes it over, in the name of `actor`.
    pub fn reload(&mut self, actor: &str) -> Result<Done, OrderError> {
        let done = self.take_over(actor).inspect_err(|mistake| {
            error!("the configuration is left as it was: {mistake}");
            self.gauges.set_order_fault(Some(format!("the configuration before holds on: {mistake}")));
        })?;
        let what = format!("reloaded the configuration: {}", words(&done));
        info!("{actor} {what}");
        self.audit(actor, what);
        Ok(done)
    }

    /// Writes down what somebody did. Where the queue is full, the log still tells it.
    pub fn audit(&self, actor: &str, what: String) {
        let _ = self.writer.send(Event::Audit { time: clock::now(), actor: actor.to_owned(), what });
    }

    fn take_over(&mut self, actor: &str) -> Result<Done, OrderError> {
        let next = Config::load(&self.path).map_err(|mistake| OrderError::Mistake(mistake.to_string()))?;
        let (next, Changes { at_once, at_next_start }) = self.config.followed_by(next);
        let mut list_faults = Vec::new();
        let rules = rulebook(&next, &mut list_faults);
        self.gauges.set_list_faults(list_faults);
        self.gauges.set_order_fault(None);
        self.handle.configure(settings(&next), actor)?;
        self.rulebooks.put(rules);
        self.config = next;
        Ok(Done { changed: at_once, at_next_start })
    }
}

/// What the control thread goes by.
pub(super) fn settings(config: &Config) -> Settings {
    Settings {
        mode: config.mode,
        allow: config.policy.allow.clone(),
        lan: config.lan(),
        learns_lan: config.policy.lan.is_empty(),
        bounds: config.bounds(),
        max_blocks: config.max_blocks(),
        tuning: config.tuning(),
    }
}

fn words(Done { changed, at_next_start }: &Done) -> String {
    let changed = if changed.is_empty() { String::from("nothing") } else { changed.join(", ") };
    let later = at_next_start.join(", ");
    if later.is_empty() {
        format!("changed {changed}")
    } else {
        format!("changed {changed}; at the next start {later}")
    }
}
