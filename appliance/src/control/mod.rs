//! Control: the thread behind the path, which takes decisions from the packet thread and requests from people.
//!
//! [`Handle`] is the way in for the page and the commands; [`keeper`] is the thread itself: rails, enforcement, store.

pub mod keeper;
mod managers;

use core::net::IpAddr;
use core::time::Duration;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

pub use managers::Managers;
use traffic::arena::Footprint;
use traffic::time::Timestamp;

use crate::policy::{Alert, BlockRecord, Decision, Mode, Offender};
use crate::surroundings::Placement;

/// What the page, `sluice status` and the JSON show; made anew by the control thread every second and after each change.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// When it was made.
    pub time: Timestamp,
    /// When the daemon started.
    pub started: Timestamp,
    /// Observe or enforce.
    pub mode: Mode,
    /// Name of the compiled-in model.
    pub model: &'static str,
    /// Name of the bridge.
    pub bridge: String,
    /// Names of its two ports.
    pub ports: [String; 2],
    /// The one of them that faces the internet; none where it is not known yet.
    pub internet_port: Option<String>,
    /// Where the box stands.
    pub placement: Placement,
    /// Faults that a person should know of, each one line with its remedy; empty when all is well.
    pub faults: Vec<String>,
    /// Frames captured since the start.
    pub packets: u64,
    /// Bytes of these as on the wire.
    pub bytes: u64,
    /// Frames that the kernel dropped before they could be read.
    pub ring_drops: u64,
    /// Frames that could not be decoded.
    pub undecodable: u64,
    /// Flows in the table now.
    pub flows: u64,
    /// Packets that nftables dropped.
    pub dropped_packets: u64,
    /// The newest alerts first, at most 50.
    pub alerts: Vec<Alert>,
    /// Blocks that stand, the newest first; in observe mode those that would stand.
    pub blocks: Vec<BlockRecord>,
}

/// What comes to the control thread, all through one queue. It holds decisions by value: sending one allocates nothing.
#[expect(clippy::large_enum_variant, reason = "a box would be an allocation of the packet thread")]
pub enum Message {
    /// From the packet thread.
    Decision(Decision),
    /// A person wants an address blocked.
    Block {
        /// Which.
        address: IpAddr,
        /// For how long.
        ttl: Duration,
        /// Why, in the person's words.
        because: String,
        /// Who asks.
        actor: String,
        /// Where the answer goes.
        reply: SyncSender<Reply>,
    },
    /// A person wants a block ended.
    Unblock {
        /// Which.
        address: IpAddr,
        /// Who asks.
        actor: String,
        /// Where the answer goes.
        reply: SyncSender<Reply>,
    },
    /// Somebody else changed the kernel's table of blocks.
    TableChanged {
        /// Who, in words.
        by: String,
    },
    /// The program is told to end.
    Stop,
}

/// What became of a decision, for the packet thread, which weighs the evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing is to be decided until then: a block stands, or is held back.
    Blocked {
        /// Whose.
        offender: Offender,
        /// Its end.
        until: Timestamp,
    },
    /// What speaks against the offender is to be forgotten.
    Forgiven {
        /// Who.
        offender: Offender,
    },
}

/// The offender that something was done about.
pub type Reply = Result<Offender, ControlError>;

/// The way of the page and the commands into the control thread. Cloned freely.
#[derive(Clone, Debug)]
pub struct Handle {
    messages: SyncSender<Message>,
    snapshot: Arc<Mutex<Arc<Snapshot>>>,
    /// Who manages the box through the page.
    pub managers: Managers,
}

/// Messages that may wait. Full: a decision is lost and counted, and comes again with the next evidence; a request is
/// refused as [`ControlError::Unavailable`].
const QUEUE_CAPACITY: usize = 1_024;

/// What their queue takes.
pub const QUEUE: Footprint =
    Footprint { name: "queue to control", entries: QUEUE_CAPACITY, bytes: QUEUE_CAPACITY * size_of::<Message>() };

/// How long a request may take before the asker is told that the daemon does not answer.
const REPLY_TIMEOUT: Duration = Duration::from_secs(5);

impl Handle {
    /// A handle, and the control thread's end of it.
    pub(crate) fn new(first: Snapshot) -> (Self, Receiver<Message>) {
        let (messages, receiver) = sync_channel(QUEUE_CAPACITY);
        let snapshot = Arc::new(Mutex::new(Arc::new(first)));
        (Self { messages, snapshot, managers: Managers::default() }, receiver)
    }

    /// Hands a decision over without waiting; false where there is no room.
    pub(crate) fn decide(&self, decision: Decision) -> bool {
        self.messages.try_send(Message::Decision(decision)).is_ok()
    }

    /// Tells that somebody else changed the kernel's table. Where there is no room, the next comparison finds it.
    pub(crate) fn table_changed(&self, by: String) {
        let _ = self.messages.try_send(Message::TableChanged { by });
    }

    /// Tells the control thread to end.
    pub(crate) fn stop(&self) {
        // Where the thread is gone already there is nobody to tell.
        let _ = self.messages.send(Message::Stop);
    }

    /// The newest snapshot.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts a new snapshot in the place of the last.
    pub(crate) fn publish(&self, snapshot: Snapshot) {
        *self.snapshot.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(snapshot);
    }

    /// Blocks an address (`deny`) for a time, in the name of `actor`.
    ///
    /// # Errors
    /// A rail forbids it, the box only observes, or the kernel refused.
    pub fn block(&self, address: IpAddr, ttl: Duration, because: &str, actor: &str) -> Reply {
        self.ask(|reply| Message::Block { address, ttl, because: because.to_owned(), actor: actor.to_owned(), reply })
    }

    /// Ends the block of the address, and exempts it for the configured grace.
    ///
    /// # Errors
    /// No block of that address stands, or the kernel refused.
    pub fn unblock(&self, address: IpAddr, actor: &str) -> Reply {
        self.ask(|reply| Message::Unblock { address, actor: actor.to_owned(), reply })
    }

    fn ask(&self, request: impl FnOnce(SyncSender<Reply>) -> Message) -> Reply {
        let (reply, answer) = sync_channel(1);
        match self.messages.try_send(request(reply)) {
            Ok(()) => answer.recv_timeout(REPLY_TIMEOUT).unwrap_or(Err(ControlError::Unavailable)),
            Err(_) => Err(ControlError::Unavailable),
        }
    }
}

/// Why a request to the control thread was not carried out; the text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// A rail protects the address.
    #[error("{offender} is never blocked: {why}")]
    Protected {
        /// Who.
        offender: Offender,
        /// Which rail.
        why: String,
    },
    /// There is nothing to unblock.
    #[error("no block of {offender} stands; `sluice status` lists the blocks")]
    NotBlocked {
        /// Who.
        offender: Offender,
    },
    /// The box only observes.
    #[error("the box is in observe mode and blocks nothing; set mode = \"enforce\" in sluice.toml and restart")]
    Observing,
    /// The kernel refused.
    #[error(transparent)]
    Enforce(#[from] crate::enforce::EnforceError),
    /// There are as many blocks as are allowed.
    #[error("there are as many blocks as policy.max_blocks allows; unblock some, or raise it in sluice.toml")]
    Full,
    /// The control thread is gone, or busy for too long.
    #[error("the daemon does not answer; see its log")]
    Unavailable,
}
