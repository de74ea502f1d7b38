//! What was done in a set of namespaces while somebody kept a journal of it: the command lines for the manifest of a capture.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sluice::clock::{self, Stopwatch};
use traffic::time::Timestamp;

/// The journals that are kept now.
static KEPT: Mutex<Vec<Kept>> = Mutex::new(Vec::new());

#[derive(Debug)]
struct Kept {
    number: u64,
    namespaces: Vec<String>,
    watch: Stopwatch,
    entries: Vec<Entry>,
}

/// A program that was started, or something that the laboratory did itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When, since the journal was begun.
    pub at: Duration,
    /// The namespace.
    pub namespace: String,
    /// The command line, or what was done.
    pub what: String,
}

/// A journal that is kept until it is dropped.
#[derive(Debug)]
pub struct Journal {
    number: u64,
    begins: Timestamp,
}

impl Journal {
    /// Begins one about these namespaces.
    #[must_use]
    pub fn keep(namespaces: Vec<String>) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        with(|kept| kept.push(Kept { number, namespaces, watch: Stopwatch::start(), entries: Vec::new() }));
        Self { number, begins: clock::now() }
    }

    /// When it was begun.
    #[must_use]
    pub fn begins(&self) -> Timestamp {
        self.begins
    }

    /// What it holds by now.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        with(|kept| kept.iter().find(|one| one.number == self.number).map(|one| one.entries.clone()))
            .unwrap_or_default()
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        with(|kept| kept.retain(|one| one.number != self.number));
    }
}

/// Notes something that is done in a namespace without a program.
pub fn note(namespace: &str, what: &str) {
    with(|kept| {
        for one in kept.iter_mut().filter(|one| one.namespaces.iter().any(|name| name == namespace)) {
            let entry = Entry { at: one.watch.elapsed(), namespace: namespace.to_owned(), what: what.to_owned() };
            one.entries.push(entry);
        }
    });
}

/// Notes a command line that begins with `ip netns exec NAME`; others are about the laboratory and not in it.
pub(crate) fn note_command(line: &str) {
    if let Some((namespace, what)) = line.strip_prefix("ip netns exec ").and_then(|rest| rest.split_once(' ')) {
        note(namespace, what);
    }
}

fn with<T>(act: impl FnOnce(&mut Vec<Kept>) -> T) -> T {
    act(&mut KEPT.lock().unwrap_or_else(PoisonError::into_inner))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_holds_what_was_done_in_its_namespaces_while_it_was_kept() {
        note("journal-a", "too early");
        let journal = Journal::keep(vec![String::from("journal-a")]);
        note_command("ip netns exec journal-a ping -c 1 somebody");
        note_command("ip netns exec journal-b ping -c 1 somebody");
        note_command("ip -n journal-a link");
        let entries = journal.entries();
        drop(journal);
        note("journal-a", "too late");
        let noted: Vec<&str> = entries.iter().map(|entry| entry.what.as_str()).collect();
        assert_eq!(noted, ["ping -c 1 somebody"]);
    }
}
