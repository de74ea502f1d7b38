//! A list of the web, and its copy on the disk.

use core::time::Duration;
use std::path::{Path, PathBuf};

use log::warn;
use traffic::time::Timestamp;
use ureq::http::Uri;

use super::copies::{Copies, Note};
use super::fetch::{Answer, FetchError, fetch};
use super::schedule::Schedule;
use crate::clock;
use crate::draft::Draft;
use crate::verdict::lists::{List, ListConfig, Reading};
use crate::verdict::rules::Name;

/// A list that is so many times older than its interval is a fault.
const OLD_INTERVALS: u32 = 2;

const HOUR_S: u64 = 3_600;

/// Such a list.
#[derive(Debug)]
pub(super) struct WebList {
    url: String,
    refresh: Duration,
    copy: PathBuf,
    /// What is noted of the copy; empty where there is none.
    note: Note,
    schedule: Schedule,
    /// What kept the last list that came from being kept on the disk.
    disk_failure: Option<String>,
}

impl WebList {
    pub fn new(copy: PathBuf, url: &str, refresh: Duration) -> Self {
        let schedule = Schedule::new(refresh);
        Self { url: url.to_owned(), refresh, copy, note: Note::default(), schedule, disk_failure: None }
    }

    pub fn copy(&self) -> &Path {
        &self.copy
    }

    pub fn is_due(&self, uptime: Duration) -> bool {
        self.schedule.is_due(uptime)
    }

    /// Reads the copy; `None` where there is none yet.
    pub fn read_copy(&mut self, config: &ListConfig) -> Result<Option<(List, Reading)>, String> {
        if !self.copy.exists() {
            return Ok(None);
        }
        let read = List::read(config, &self.copy).map_err(|cause| format!("{}: {cause}", self.copy.display()))?;
        self.note = Note::of(&self.copy);
        Ok(Some(read))
    }

    /// Fetches the list where there is another one; `None` where it is as it was.
    pub fn fetch(
        &mut self,
        config: &ListConfig,
        copies: &Copies,
        uptime: Duration,
    ) -> Result<Option<(List, Reading)>, String> {
        let came = self.try_fetch(config, copies);
        // Random numbers spread out who asks when: where there are none, nobody is spread out.
        let random = getrandom::u32().unwrap_or_default() as u16;
        match &came {
            Ok(_) => self.schedule.succeeded(uptime, random),
            Err(_) => self.schedule.failed(uptime, random),
        }
        came
    }

    fn try_fetch(&mut self, config: &ListConfig, copies: &Copies) -> Result<Option<(List, Reading)>, String> {
        let on_disk = |path: &Path, cause: &dyn core::fmt::Display| format!("{}: {cause}", path.display());
        self.disk_failure = None;
        let mut draft = copies.draft(&self.copy).map_err(|cause| self.disk_failed(on_disk(&self.copy, &cause)))?;
        // A copy that somebody removed is fetched again whole.
        let noted = if self.copy.exists() { self.note.clone() } else { Note::default() };
        let answer = fetch(&self.url, &noted, &mut draft.file).map_err(|error| match error {
            FetchError::Write(cause) => self.disk_failed(on_disk(draft.path(), &cause)),
            other => format!("{}: {other}", self.server()),
        })?;
        let (note, read) = match answer {
            Answer::Unchanged => (noted, None),
            Answer::Fetched(note) => (note, Some(self.take_over(config, copies, draft)?)),
        };
        self.note = Note { confirmed_s: Some(clock::now().as_secs()), ..note };
        // Without a note the list is fetched whole the next time, and nothing else.
        if let Err(cause) = copies.write_note(&self.copy, &self.note) {
            warn!("{}: no note of it: {cause}", self.copy.display());
        }
        Ok(read)
    }

    /// Reads the draft, and makes it the copy if it is a list.
    fn take_over(&mut self, config: &ListConfig, copies: &Copies, draft: Draft) -> Result<(List, Reading), String> {
        let (list, reading) =
            List::read(config, draft.path()).map_err(|cause| format!("{}: {cause}", self.server()))?;
        if let Some(absurdity) = reading.absurdity() {
            return Err(format!("{}: what it answered is no list: {absurdity}", self.server()));
        }
        // Should this break off, it is not known which copy is there, and without marks it is fetched again whole.
        self.note = Note { confirmed_s: self.note.confirmed_s, ..Note::default() };
        let copied = copies.forget_note(&self.copy).and_then(|()| draft.put());
        copied.map_err(|cause| self.disk_failed(format!("{}: {cause}", self.copy.display())))?;
        Ok((list, reading))
    }

    fn disk_failed(&mut self, failure: String) -> String {
        self.disk_failure = Some(failure.clone());
        failure
    }

    /// Scheme and host: what follows may be a secret between the household and the server, and faults are shown to everybody.
    fn server(&self) -> String {
        let uri = self.url.parse::<Uri>().unwrap_or_default();
        format!("{}://{}", uri.scheme_str().unwrap_or_default(), uri.authority().map_or("", |host| host.as_str()))
    }

    /// The time since the server said the last time that this is the list: zero where the clock was set back meanwhile.
    fn age(&self, now: Timestamp) -> Option<Duration> {
        self.note.confirmed_s.map(|confirmed_s| now.since(Timestamp::from_secs(confirmed_s)))
    }

    /// What is told where there is no list, where it is old, and where it cannot be kept.
    pub fn fault(&self, name: Name, failure: Option<&str>, is_used: bool, now: Timestamp) -> Option<String> {
        if let Some(cause) = &self.disk_failure {
            let use_made = if is_used { "the one before is used" } else { "it is not used" };
            return Some(format!(
                "the list {name:?} cannot be written to the disk, {use_made}: {cause}; make room there"
            ));
        }
        let is_old = self.age(now).is_none_or(|age| age > self.refresh * OLD_INTERVALS);
        match (failure, is_used) {
            (None, true) => None,
            (None, false) => {
                Some(format!("the list {name:?} is not used yet: nothing was fetched from {}", self.server()))
            }
            (Some(_), true) if !is_old => None,
            (Some(cause), _) => {
                let use_made = if is_used {
                    format!("{}, and still used", self.age_in_words(now))
                } else {
                    String::from("not used")
                };
                Some(format!(
                    "the list {name:?} is {use_made}: {cause}; it is tried again and again: is the box online, is the `url` right?"
                ))
            }
        }
    }

    fn age_in_words(&self, now: Timestamp) -> String {
        self.age(now)
            .map_or_else(|| String::from("of unknown age"), |age| format!("{} hours old", age.as_secs() / HOUR_S))
    }

    /// Where it comes from, and what is on the disk.
    pub fn summary(&self, now: Timestamp) -> String {
        let copy = self.copy.display();
        let on_disk = if self.copy.exists() {
            format!("the copy {copy} is {}", self.age_in_words(now))
        } else {
            String::from("there is no copy on the disk yet")
        };
        format!("from {} every {} s; {on_disk}", self.server(), self.refresh.as_secs())
    }
}
