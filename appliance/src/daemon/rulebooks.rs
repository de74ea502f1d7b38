//! How rules and lists get to the packet thread while it runs: each rulebook whole. It frees nothing: here the one before is held
//! until the packet thread has left it.

use core::mem::replace;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use crate::verdict::Rulebook;

/// Rulebooks that may wait for the packet thread. Full: the newest waits here, and one that waits here gives way to it.
pub(super) const RULEBOOK_CAPACITY: usize = 1;

/// The way of rulebooks to the packet thread.
pub(super) struct Rulebooks {
    sender: SyncSender<Arc<Rulebook>>,
    in_force: Arc<Rulebook>,
    waiting: Option<Arc<Rulebook>>,
    /// Those that the packet thread may not have left yet.
    retired: Vec<Arc<Rulebook>>,
}

impl Rulebooks {
    /// `in_force` is the one that the packet thread begins with.
    pub fn new(sender: SyncSender<Arc<Rulebook>>, in_force: Arc<Rulebook>) -> Self {
        Self { sender, in_force, waiting: None, retired: Vec::new() }
    }

    /// Puts another one in the place of the last.
    pub fn put(&mut self, next: Rulebook) {
        self.waiting = Some(Arc::new(next));
        self.tend();
    }

    /// Hands over what could not be taken before, and frees what the packet thread has left. To be called now and then.
    pub fn tend(&mut self) {
        if let Some(next) = self.waiting.take() {
            match self.sender.try_send(Arc::clone(&next)) {
                Ok(()) => self.retired.push(replace(&mut self.in_force, next)),
                Err(_) => self.waiting = Some(next),
            }
        }
        self.retired.retain(|rulebook| Arc::strong_count(rulebook) > 1);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    #[test]
    fn the_newest_arrives_and_the_last_is_freed_here_once_it_is_left() {
        let (sender, receiver) = sync_channel(RULEBOOK_CAPACITY);
        let mut used = Arc::new(Rulebook::default());
        let first = Arc::downgrade(&used);
        let mut rulebooks = Rulebooks::new(sender, Arc::clone(&used));
        for _ in 0..3 {
            rulebooks.put(Rulebook::default());
        }
        assert_eq!((rulebooks.waiting.iter().count(), rulebooks.retired.len()), (1, 1), "one waits there, one here");
        used = receiver.try_recv().unwrap();
        assert!(first.upgrade().is_some(), "the packet thread does not free it");
        rulebooks.tend();
        assert!(first.upgrade().is_none());
        used = receiver.try_recv().unwrap_or(used);
        rulebooks.tend();
        assert!(Arc::ptr_eq(&used, &rulebooks.in_force) && rulebooks.retired.is_empty());
    }
}
