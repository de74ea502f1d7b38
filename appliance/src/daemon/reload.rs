//! Reading the configuration again while the daemon runs. Either all of it holds afterwards that can, or everything is as it was;
//! where the control thread does not answer, that is told instead.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError};

use log::{error, info};

use crate::clock;
use crate::config::{Changes, Config};
use crate::control::{Done, Handle, Library, OrderError, Settings};
use crate::health::Gauges;
use crate::lists::{Lists, Others};
use crate::store::{Event, Writer};
use crate::verdict::Rulebook;

/// What holds now, and the ways to those who go by it.
pub(super) struct Reload {
    pub path: PathBuf,
    pub config: Config,
    pub handle: Handle,
    pub library: Arc<Library>,
    pub writer: Arc<Writer>,
    pub gauges: Arc<Gauges>,
    /// To the packet thread.
    pub rulebooks: SyncSender<Arc<Rulebook>>,
    /// To the thread that keeps lists.
    pub lists: SyncSender<Others>,
    /// What it could not take yet.
    pub waiting: Option<Others>,
}

impl Reload {
    /// Hands over what could not be taken before. To be called now and then.
    pub fn tend(&mut self) {
        let Some(lists) = self.waiting.take() else { return };
        if let Err(TrySendError::Full(lists) | TrySendError::Disconnected(lists)) = self.lists.try_send(lists) {
            self.waiting = Some(lists);
        }
    }

    /// Reads the file and takes it over, in the name of `actor`.
    pub fn reload(&mut self, actor: &str) -> Result<Done, OrderError> {
        let done = self.take_over(actor).inspect_err(|failure| {
            let told = match failure {
                OrderError::Unconfirmed => format!("the configuration was not taken over whole: {failure}"),
                _ => format!("the configuration before holds on: {failure}"),
            };
            error!("{told}");
            self.gauges.order_fault.set(Some(told));
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

    /// Rules and lists hold at once; the thread that keeps lists may be fetching one, and takes them over when that is done.
    fn replace_lists(&mut self, lists: Lists) {
        let rulebook = Arc::new(lists.rulebook());
        // Where the packet thread cannot take it, it gets it from the other one.
        let _ = self.rulebooks.try_send(Arc::clone(&rulebook));
        let mut handed = self.waiting.take().map(|before| before.handed).unwrap_or_default();
        handed.push(rulebook);
        self.waiting = Some(Others { lists, handed });
        self.tend();
    }

    fn take_over(&mut self, actor: &str) -> Result<Done, OrderError> {
        let next = Config::load(&self.path).map_err(|mistake| OrderError::Mistake(mistake.to_string()))?;
        let (next, Changes { at_once, at_next_start }) = self.config.followed_by(next);
        self.gauges.order_fault.set(None);
        // What takes long comes before what takes effect.
        let lists = Lists::load(&next);
        self.library.configure(settings(&next), &self.handle, actor)?;
        self.replace_lists(lists);
        self.config = next;
        Ok(Done { changed: at_once, at_next_start, page_fault: None })
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
        tuning: config.tuning(),
        model: config.model.clone(),
    }
}

fn words(Done { changed, at_next_start, .. }: &Done) -> String {
    let changed = if changed.is_empty() { String::from("nothing") } else { changed.join(", ") };
    let later = at_next_start.join(", ");
    if later.is_empty() {
        format!("changed {changed}")
    } else {
        format!("changed {changed}; at the next start {later}")
    }
}
