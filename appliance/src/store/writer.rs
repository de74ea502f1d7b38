//! The one thread that writes. Alerts are gathered and committed every few seconds, to spare the SD card; anything that
//! changed what the box does is committed, and forced to the disk, at once.

use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use traffic::arena::Footprint;

use super::Event;
use super::backlog::{self, Backlog};
use super::rows::{self, Keep};
use crate::clock::Stopwatch;

/// Events that may wait for the thread to take them; one more is refused.
pub const QUEUE_CAPACITY: usize = 1_024;

/// What their queue takes.
pub const QUEUE: Footprint =
    Footprint { name: "queue to the store", entries: QUEUE_CAPACITY, bytes: QUEUE_CAPACITY * size_of::<Message>() };

/// How long alerts are gathered before a commit, and how long after a failed one the next is tried.
const COMMIT_INTERVAL: Duration = Duration::from_secs(5);

/// Events between two prunings.
const EVENTS_PER_PRUNING: usize = 500;

/// How long [`Writer::flush`] waits for the disk.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(10);

/// The way to the writer thread. When it is dropped, what waits is written and the thread ends.
#[derive(Debug)]
pub struct Writer {
    /// `None` only while being dropped.
    queue: Option<SyncSender<Message>>,
    thread: Option<JoinHandle<()>>,
    shared: Arc<Shared>,
}

/// The event that did not fit; whoever sent it may try again or let it go. It is counted already.
#[derive(Debug, thiserror::Error)]
#[error("the store's queue of {QUEUE_CAPACITY} events is full")]
pub struct Refused(pub Event);

/// Why [`Writer::flush`] cannot promise that everything is on the disk.
#[derive(Debug, thiserror::Error)]
pub enum WriterError {
    /// The disk does not take it; the events are kept and tried again.
    #[error("{0}")]
    Fault(String),
    /// The thread does not answer in time.
    #[error("the store's thread does not answer")]
    Unavailable,
}

#[derive(Debug)]
enum Message {
    Event(Event),
    Flush(SyncSender<Result<(), String>>),
}

#[derive(Debug, Default)]
struct Shared {
    dropped: AtomicU64,
    fault: Mutex<Option<String>>,
}

impl Writer {
    pub(super) fn start(connection: Connection, keep: Keep) -> std::io::Result<Self> {
        let (queue, receiver) = sync_channel(QUEUE_CAPACITY);
        let shared = Arc::new(Shared::default());
        let mut committer = Committer::new(connection, keep, Arc::clone(&shared));
        let thread =
            std::thread::Builder::new().name("store".to_owned()).spawn(move || write_all(&receiver, &mut committer))?;
        Ok(Self { queue: Some(queue), thread: Some(thread), shared })
    }

    /// Hands an event over; never waits.
    ///
    /// # Errors
    /// The queue is full, or the thread is gone: the event comes back, and [`Self::dropped`] has counted it.
    pub fn send(&self, event: Event) -> Result<(), Refused> {
        let Some(queue) = &self.queue else { return Err(self.refused(event)) };
        match queue.try_send(Message::Event(event)) {
            Err(TrySendError::Full(Message::Event(event)) | TrySendError::Disconnected(Message::Event(event))) => {
                Err(self.refused(event))
            }
            // What comes back is what was sent, so never a flush.
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Waits until everything sent so far is on the disk.
    ///
    /// # Errors
    /// It is not: the disk refuses, or takes too long.
    pub fn flush(&self) -> Result<(), WriterError> {
        let (reply, answer) = sync_channel(1);
        let queue = self.queue.as_ref().ok_or(WriterError::Unavailable)?;
        queue.send(Message::Flush(reply)).map_err(|_| WriterError::Unavailable)?;
        let written = answer.recv_timeout(FLUSH_TIMEOUT).map_err(|_| WriterError::Unavailable)?;
        written.map_err(WriterError::Fault)
    }

    /// Events that were lost so far: refused by the full queue, or crowded out while the disk took nothing.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// What is wrong with the disk, with its remedy; `None` when the last commit went through.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        self.shared.fault.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn refused(&self, event: Event) -> Refused {
        self.shared.dropped.fetch_add(1, Ordering::Relaxed);
        Refused(event)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // The thread sees the queue's end, commits what waits, and returns.
        drop(self.queue.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            log::error!("the store's thread had panicked");
        }
    }
}

fn write_all(queue: &Receiver<Message>, committer: &mut Committer) {
    loop {
        let first = match committer.next_attempt_in() {
            // Nothing waits: sleep until something comes, without a tick that would wake the processor.
            None => queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(time) => queue.recv_timeout(time),
        };
        let mut flushes = Vec::new();
        let ended = matches!(first, Err(RecvTimeoutError::Disconnected));
        // What arrived together is committed together, or each block of a burst would force the disk by itself.
        for message in first.into_iter().chain(queue.try_iter().take(QUEUE_CAPACITY)) {
            match message {
                Message::Event(event) => committer.take(event),
                Message::Flush(reply) => flushes.push(reply),
            }
        }
        if ended || !flushes.is_empty() || committer.is_due() {
            committer.commit();
        }
        for reply in flushes {
            // The asker may have given up.
            let _ = reply.try_send(committer.answer());
        }
        if ended {
            return;
        }
    }
}

/// What the thread does, apart from waiting.
struct Committer {
    connection: Connection,
    backlog: Backlog,
    keep: Keep,
    shared: Arc<Shared>,
    /// Runs since the oldest event began to wait, or since the last commit failed.
    waiting: Option<Stopwatch>,
    failed: bool,
    written_since_pruning: usize,
}

impl Committer {
    fn new(connection: Connection, keep: Keep, shared: Arc<Shared>) -> Self {
        // Pruned at the first commit too: a daemon that restarts often would never come to it otherwise.
        let written_since_pruning = EVENTS_PER_PRUNING;
        Self {
            connection,
            backlog: Backlog::default(),
            keep,
            shared,
            waiting: None,
            failed: false,
            written_since_pruning,
        }
    }

    fn take(&mut self, event: Event) {
        if self.backlog.push(event) {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
        self.waiting.get_or_insert_with(Stopwatch::start);
    }

    fn next_attempt_in(&self) -> Option<Duration> {
        self.waiting.map(|since| COMMIT_INTERVAL.saturating_sub(since.elapsed()))
    }

    /// After a failure nothing is urgent: each attempt would cost the disk the same again.
    fn is_due(&self) -> bool {
        let urgent = self.backlog.is_urgent() && !self.failed;
        urgent || self.next_attempt_in().is_some_and(|time| time.is_zero())
    }

    fn commit(&mut self) {
        if self.backlog.is_empty() {
            return;
        }
        match self.write_backlog() {
            Ok(()) => self.succeeded(),
            Err(error) => self.keep_for_later(&error),
        }
    }

    fn write_backlog(&mut self) -> rusqlite::Result<()> {
        // A power cut may take the last seconds of alerts, but never a change. The setting cannot change within a
        // transaction.
        let synchronous = if self.backlog.is_urgent() { "FULL" } else { "NORMAL" };
        self.connection.pragma_update(None, "synchronous", synchronous)?;
        let batch = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for event in self.backlog.iter() {
            rows::write(&batch, event)?;
        }
        if self.written_since_pruning >= EVENTS_PER_PRUNING {
            rows::prune(&batch, self.keep)?;
        }
        batch.commit()
    }

    fn succeeded(&mut self) {
        if self.written_since_pruning >= EVENTS_PER_PRUNING {
            self.written_since_pruning = 0;
        }
        self.written_since_pruning += self.backlog.len();
        self.backlog.clear();
        self.waiting = None;
        if self.failed {
            self.failed = false;
            self.set_fault(None);
            log::info!("the store writes again");
        }
    }

    fn keep_for_later(&mut self, error: &rusqlite::Error) {
        let fault = fault_text(error, self.backlog.len());
        if !self.failed {
            log::error!("{fault}");
        }
        self.failed = true;
        self.waiting = Some(Stopwatch::start());
        self.set_fault(Some(fault));
    }

    fn set_fault(&self, fault: Option<String>) {
        *self.shared.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }

    fn answer(&self) -> Result<(), String> {
        let fault = self.shared.fault.lock().unwrap_or_else(PoisonError::into_inner).clone();
        fault.map_or(Ok(()), Err)
    }
}

fn fault_text(error: &rusqlite::Error, waiting: usize) -> String {
    let remedy = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => "the disk is full: make room in the state directory",
        Some(ErrorCode::SystemIoFailure) => "the disk does not take writes: it may be full, or the SD card worn out",
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            "its file is corrupt: restart the daemon, which sets the file aside and begins a fresh one"
        }
        Some(ErrorCode::ReadOnly) => "its file is read-only: mount the state directory writable",
        Some(ErrorCode::DatabaseBusy) => "another program holds its file: end that program",
        _ => "see the log",
    };
    let capacity = backlog::CAPACITY;
    format!("the store cannot write ({error}); {remedy}. {waiting} of at most {capacity} events wait in memory")
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
