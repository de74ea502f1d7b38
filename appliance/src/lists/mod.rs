//! Where lists come from, and how they are kept up to date around the path: files are read again when they change, and those
//! of the web are fetched now and then into a copy on the disk.
//!
//! [`Lists::load`] reads what is on the disk and asks nobody. [`Lists::keep`] is a thread of its own; the packet thread gets
//! each new [`Rulebook`] whole, and frees nothing: the thread here holds the one before until nobody else does.

mod copies;
mod fetch;
mod file;
#[cfg(test)]
mod fixture;
mod schedule;
mod web;

pub(crate) use copies::FOLDER;

use core::mem::replace;
use core::time::Duration;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};

use log::{info, warn};
use traffic::time::Timestamp;

use crate::clock::{self, Stopwatch};
use crate::config::Config;
use crate::health::Gauges;
use crate::verdict::Rulebook;
use crate::verdict::lists::{List, ListConfig, Reading, Source};
use crate::verdict::rules::Rule;
use copies::Copies;
use file::ListFile;
use web::WebList;

/// How often files are looked at, and whether something is to be fetched.
const LOOK_INTERVAL: Duration = Duration::from_secs(20);

/// How often it is asked whether the packet thread has left the last rulebook.
const RETIRE_INTERVAL: Duration = Duration::from_secs(1);

/// All lists of the configuration, and the rules beside them.
#[derive(Debug)]
pub struct Lists {
    rules: Vec<Rule>,
    copies: Copies,
    all: Vec<Kept>,
}

/// Other lists, to be kept in the place of those before.
#[derive(Debug)]
pub struct Others {
    /// The lists.
    pub lists: Lists,
    /// Rulebooks that the packet thread was given meanwhile: nobody else frees them.
    pub handed: Vec<Arc<Rulebook>>,
}

/// A list, and where it stands.
#[derive(Debug)]
struct Kept {
    config: ListConfig,
    origin: Origin,
    /// As it was read last; `None` where that never was possible.
    list: Option<(Arc<List>, Reading)>,
    /// Why it could not be read or fetched the last time.
    failure: Option<String>,
}

/// Where a list comes from.
#[derive(Debug)]
enum Origin {
    File(ListFile),
    Web(WebList),
}

impl Lists {
    /// Reads all lists as they are on the disk.
    #[must_use]
    pub fn load(config: &Config) -> Self {
        let copies = Copies::new(&config.state_dir);
        let all = config.lists.iter().map(|list| Kept::load(list, &copies)).collect();
        Self { rules: config.rules.clone(), copies, all }
    }

    /// What is judged beside the model: the rules, and the lists as they were read last.
    #[must_use]
    pub fn rulebook(&self) -> Rulebook {
        let lists = self.all.iter().filter_map(|kept| kept.list.as_ref());
        let lists = lists.map(|(list, _)| Arc::clone(list)).collect();
        Rulebook { rules: self.rules.clone(), lists }
    }

    /// What a person should mend, one line each with its remedy.
    #[must_use]
    pub fn faults(&self, now: Timestamp) -> Vec<String> {
        self.all.iter().flat_map(|kept| kept.faults(now)).collect()
    }

    /// Each list in one line: what is on it, and where it comes from.
    #[must_use]
    pub fn summaries(&self, now: Timestamp) -> Vec<String> {
        self.all.iter().map(|kept| kept.summary(now)).collect()
    }

    /// Keeps them up to date until the packet thread or the main thread is gone. Each new rulebook goes to the first, which has
    /// `in_force` now; from the second `others` come, which take the place of these.
    pub fn keep(
        mut self,
        in_force: Arc<Rulebook>,
        rulebooks: &SyncSender<Arc<Rulebook>>,
        gauges: &Gauges,
        others: &Receiver<Others>,
    ) {
        self.sweep();
        let uptime = Stopwatch::start();
        let mut handed = Handed { in_force, retired: Vec::new() };
        loop {
            let has_changed = self.look(uptime.elapsed());
            gauges.list_faults.set(self.faults(clock::now()));
            if has_changed && !handed.over(self.rulebook(), rulebooks) {
                return;
            }
            match others.recv_timeout(handed.pause()) {
                Ok(Others { lists, handed: meanwhile }) => {
                    self.give_way(lists);
                    handed.retired.extend(meanwhile);
                    if !handed.over(self.rulebook(), rulebooks) {
                        return;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Others take the place of these. Lists of the web that stay are not fetched before their time.
    fn give_way(&mut self, next: Self) {
        let before = replace(self, next).all;
        for kept in before.into_iter().filter(|kept| matches!(kept.origin, Origin::Web(_))) {
            if let Some(same) = self.all.iter_mut().find(|next| next.config == kept.config) {
                *same = kept;
            }
        }
        self.sweep();
    }

    /// Removes the copies of lists that are no more.
    fn sweep(&self) {
        self.copies.sweep(&self.all.iter().filter_map(Kept::copy).collect::<Vec<_>>());
    }

    /// Reads and fetches what is due; true where a list is another one now.
    fn look(&mut self, uptime: Duration) -> bool {
        let changes = self.all.iter_mut().map(|kept| kept.look(&self.copies, uptime));
        // All of them, and not only those up to the first change.
        changes.fold(false, |any, changed| any | changed)
    }
}

/// Rulebooks that the packet thread has.
struct Handed {
    in_force: Arc<Rulebook>,
    /// Those that it may not have left yet.
    retired: Vec<Arc<Rulebook>>,
}

impl Handed {
    /// Hands the next one over; false where the packet thread is gone.
    fn over(&mut self, next: Rulebook, rulebooks: &SyncSender<Arc<Rulebook>>) -> bool {
        let next = Arc::new(next);
        let is_taken = rulebooks.send(Arc::clone(&next)).is_ok();
        self.retired.push(replace(&mut self.in_force, next));
        is_taken
    }

    /// Frees what the packet thread has left; how long to wait then.
    fn pause(&mut self) -> Duration {
        self.retired.retain(|rulebook| Arc::strong_count(rulebook) > 1);
        if self.retired.is_empty() { LOOK_INTERVAL } else { RETIRE_INTERVAL }
    }
}

impl Kept {
    fn load(config: &ListConfig, copies: &Copies) -> Self {
        let origin = match &config.source {
            Source::File(path) => Origin::File(ListFile::new(path)),
            Source::Url { url, refresh } => Origin::Web(WebList::new(copies.path(config.name, url), url, *refresh)),
        };
        let mut kept = Self { config: config.clone(), origin, list: None, failure: None };
        let read = match &mut kept.origin {
            Origin::File(file) => file.read(config).map(Some),
            Origin::Web(web) => web.read_copy(config),
        };
        kept.take(read);
        kept
    }

    fn look(&mut self, copies: &Copies, uptime: Duration) -> bool {
        let is_due = match &mut self.origin {
            Origin::File(file) => file.is_to_be_read(),
            Origin::Web(web) => web.is_due(uptime),
        };
        if !is_due {
            return false;
        }
        let read = match &mut self.origin {
            Origin::File(file) => file.read(&self.config).map(Some),
            Origin::Web(web) => web.fetch(&self.config, copies, uptime),
        };
        let name = self.config.name;
        match &read {
            Ok(Some((_, reading))) => info!("the list {name:?} was read: {} entries", reading.entries()),
            Ok(None) => {}
            Err(failure) => warn!("the list {name:?}: {failure}"),
        }
        self.take(read)
    }

    /// Takes what was read in; true where that is another list than before. Nothing gives way to a failure.
    fn take(&mut self, read: Result<Option<(List, Reading)>, String>) -> bool {
        self.failure = read.as_ref().err().cloned();
        match read {
            Ok(Some((list, reading))) => {
                self.list = Some((Arc::new(list), reading));
                true
            }
            Ok(None) | Err(_) => false,
        }
    }

    fn copy(&self) -> Option<std::path::PathBuf> {
        match &self.origin {
            Origin::File(_) => None,
            Origin::Web(web) => Some(web.copy().to_owned()),
        }
    }

    fn faults(&self, now: Timestamp) -> impl Iterator<Item = String> {
        let Self { config, origin, list, failure } = self;
        let reading = list.as_ref().map(|(_, reading)| reading);
        let failed = match origin {
            Origin::File(file) => failure.as_ref().map(|failure| file.fault(config.name, failure, reading.is_some())),
            Origin::Web(web) => web.fault(config.name, failure.as_deref(), reading.is_some(), now),
        };
        let left_out = reading.and_then(|reading| match origin {
            Origin::File(file) => Some(format!("{}: {}", file.path().display(), reading.fault()?)),
            // Nobody here can correct the lines of others.
            Origin::Web(_) => None,
        });
        failed.into_iter().chain(left_out)
    }

    fn summary(&self, now: Timestamp) -> String {
        let held = self.list.as_ref().map_or_else(
            || String::from("nothing"),
            |(_, Reading { addresses, domains, malformed, too_many, .. })| {
                let left_out = match malformed + too_many {
                    0 => String::new(),
                    entries => format!(", {entries} entries left out"),
                };
                format!("{addresses} addresses and networks, {domains} domains{left_out}")
            },
        );
        let from = match &self.origin {
            Origin::File(file) => format!("from {}", file.path().display()),
            Origin::Web(web) => web.summary(now),
        };
        format!("list {:?}: {held} {from}", self.config.name)
    }
}

#[cfg(test)]
mod tests;
