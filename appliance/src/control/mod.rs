//! Control: the thread behind the path, which takes decisions from the packet thread and requests from people.
//!
//! [`Handle`] is the way in for the page and the commands; [`keeper`] is the thread itself: rails, enforcement, store; what
//! people ask of it is carried out in [`requests`].

pub mod keeper;
mod library;
mod managers;
mod models;
mod pause;
mod protection;
mod pulse;
mod requests;
mod settings;
mod shown;

#[cfg(test)]
mod fixture;

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

pub use library::{Library, ModelRequest};
pub use managers::Managers;
pub use models::{Judges, Loads, ModelChange, ShownModels};
pub use pause::{LONGEST_PAUSE, Pause};
pub use pulse::Pulse;
pub use settings::Settings;
use traffic::arena::Footprint;
use traffic::features::ThreatClass;
use traffic::time::Timestamp;

use crate::policy::{Alert, Allowance, Allowed, BlockRecord, Decision, Mode, Modes, Neighbourhood, Subject, Tuning};
use crate::registry::{RegistryError, Stored};
use crate::surroundings::Placement;
use crate::verdict::Models;

/// What the page, `sluice status` and the JSON show; made anew by the control thread every second and after each change.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// When it was made.
    pub time: Timestamp,
    /// When the daemon started.
    pub started: Timestamp,
    /// What is done with decisions.
    pub modes: Modes,
    /// The models that judge, and what is said of them.
    pub models: ShownModels,
    /// Name of the bridge.
    pub bridge: String,
    /// Names of its two ports.
    pub ports: [String; 2],
    /// The one of them that faces the internet; none where it is not known yet.
    pub internet_port: Option<String>,
    /// Where the box stands.
    pub placement: Placement,
    /// Where the page can be opened from the network; none where it cannot.
    pub page: Option<SocketAddr>,
    /// Not everything runs yet.
    pub is_starting: bool,
    /// Enforcement pauses, for so long yet.
    pub paused_left: Option<Duration>,
    /// Attackers are not stopped though they should be, or not all of them, or none is recognised; a fault says why.
    pub cannot_enforce: bool,
    /// When somebody said that he knows of the attacks until then.
    pub acknowledged: Option<Timestamp>,
    /// Faults that a person should know of, each one line with its remedy; empty when all is well.
    pub faults: Vec<String>,
    /// Frames captured since the start.
    pub packets: u64,
    /// Bytes of these as on the wire.
    pub bytes: u64,
    /// Frames that the kernel dropped before they could be read.
    pub ring_drops: u64,
    /// About how many frames were passed over unread because too many came.
    pub passed_over: u64,
    /// Frames that could not be decoded.
    pub undecodable: u64,
    /// Flows in the table now.
    pub flows: u64,
    /// Packets that nftables dropped.
    pub dropped_packets: u64,
    /// The newest alerts first, at most 50.
    pub alerts: Vec<Alert>,
    /// Blocks that stand, are proposed, or would stand, the newest first.
    pub blocks: Vec<BlockRecord>,
    /// The last known addresses of the devices of which blocks and alerts tell, of each the one that was seen last first.
    pub device_addresses: BTreeMap<Subject, Vec<IpAddr>>,
    /// Who is allowed for a while.
    pub allowances: Vec<Allowance>,
    /// Names of the allowlist, whose addresses are to be looked up.
    pub allowed_names: Vec<String>,
}

/// A snapshot older than this means that the control thread hangs.
const STALE_AFTER: Duration = Duration::from_secs(15);

impl Snapshot {
    /// Nobody makes it anew any more: the control thread hangs.
    #[must_use]
    pub fn is_stale(&self, now: Timestamp) -> bool {
        now.since(self.time) > STALE_AFTER
    }
}

/// What comes to the control thread, all through one queue. It holds decisions by value: sending one allocates nothing.
#[expect(clippy::large_enum_variant, reason = "a box would be an allocation of the packet thread")]
pub enum Message {
    /// From the packet thread.
    Decision(Decision),
    /// From a person.
    Request {
        /// What is asked for.
        request: Request,
        /// Who asks.
        actor: String,
        /// Where the answer goes.
        reply: SyncSender<Reply>,
    },
    /// From a person, about models, once the disk has been waited for.
    Models {
        /// What changes.
        change: ModelChange,
        /// The files that there are after it.
        stored: Vec<Stored>,
        /// Who asks.
        actor: String,
        /// Where the answer goes.
        reply: SyncSender<Reply>,
    },
    /// The configuration says something else now.
    Configure {
        /// What.
        settings: Box<Settings>,
        /// The models that it names, and those that judge.
        loads: Loads,
        /// Who had it read again.
        actor: String,
        /// Told when all of it holds.
        reply: SyncSender<()>,
    },
    /// A name of the allowlist has these addresses now.
    Resolved {
        /// The name.
        name: String,
        /// Its addresses.
        addresses: Vec<IpAddr>,
    },
    /// Somebody else changed the kernel's table of blocks.
    TableChanged {
        /// Who, in words.
        by: String,
    },
    /// The program is to end.
    Stop {
        /// The kernel's table stays as it is.
        leaves_table: bool,
    },
}

/// What a person asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Block a subject: of a source everything, a device by quarantine, a service by a limit.
    Block {
        /// Which.
        subject: Subject,
        /// For how long.
        ttl: Duration,
        /// Why, in the person's words.
        because: String,
    },
    /// End a block, or dismiss one that was proposed; the subject is left alone for a while.
    Unblock {
        /// Whose.
        subject: Subject,
    },
    /// Do what was proposed.
    Approve {
        /// About whom.
        subject: Subject,
    },
    /// Never block somebody, for a while.
    Allow {
        /// Whom.
        allowed: Allowed,
        /// For how long; `None` until it is taken back.
        ttl: Option<Duration>,
    },
    /// Take that back.
    Disallow {
        /// Whom.
        allowed: Allowed,
    },
    /// Say what an alert was, whose number is known to exist.
    Label {
        /// The alert's number.
        alert: u64,
        /// What it was; `None` takes back what was said.
        class: Option<ThreatClass>,
    },
    /// Change the mode of a class of attacks, or that of all.
    SetMode {
        /// Which; `None` for all.
        class: Option<ThreatClass>,
        /// To what.
        mode: Mode,
    },
    /// Stop nothing for a while; what is decided meanwhile is done afterwards.
    Pause {
        /// For how long.
        ttl: Duration,
    },
    /// End that before its time.
    Resume,
    /// Say that the attacks until now are known: the light shows the next one.
    Acknowledge,
}

/// What the packet thread is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Nothing is to be decided until then: a block stands, or is held back.
    Blocked {
        /// Whose.
        subject: Subject,
        /// Its end.
        until: Timestamp,
    },
    /// What speaks against the subject is to be forgotten.
    Forgiven {
        /// Who.
        subject: Subject,
    },
    /// The network looks different now.
    Around(Arc<Neighbourhood>),
    /// Decisions are to be made in another way.
    Tuned(Tuning),
    /// Other models judge.
    Judged(Models),
}

/// What is ordered of the main thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// To read the configuration again.
    Reload,
    /// To run the program anew, from what its file is now.
    Restart,
}

/// An order on its way to the main thread.
#[derive(Debug)]
pub struct Ordered {
    /// What.
    pub order: Order,
    /// Who.
    pub actor: String,
    /// Where the answer goes.
    pub reply: SyncSender<Result<Done, OrderError>>,
}

/// What became of an order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Keys of the configuration that say something else than before, and hold.
    pub changed: Vec<&'static str>,
    /// Keys that say something else and hold from the next start on.
    pub at_next_start: Vec<&'static str>,
    /// Why the page cannot be opened now.
    pub page_fault: Option<String>,
}

/// Why an order was not carried out. Everything is as it was, but after [`Self::Unconfirmed`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// The configuration cannot be used: file, line, key, and remedy.
    #[error("{0}")]
    Mistake(String),
    /// The new program would not run.
    #[error("{0}")]
    Program(String),
    /// The main thread does not answer, or the control thread has no room for what it is told.
    #[error("the daemon does not answer; see its log")]
    Unavailable,
    /// The control thread was told of other settings, and has not said that they hold.
    #[error(
        "rules and lists are as they were, but whether the other settings hold is not known, because the control thread does \
         not answer; see the log, and reload again"
    )]
    Unconfirmed,
}

/// Whom or what it was about, after all, as it is shown: of an IPv6 address its /64.
pub type Reply = Result<String, ControlError>;

/// The way of the page and the commands into the control thread. Cloned freely.
#[derive(Clone, Debug)]
pub struct Handle {
    messages: SyncSender<Message>,
    orders: SyncSender<Ordered>,
    snapshot: Arc<Mutex<Arc<Snapshot>>>,
    /// Who manages the box through the page.
    pub managers: Managers,
}

/// What a queue of so many messages takes.
#[must_use]
pub const fn queue(capacity: usize) -> Footprint {
    Footprint { name: "queue to control", entries: capacity, bytes: capacity * size_of::<Message>() }
}

/// Orders that may wait for the main thread. Full: refused as [`OrderError::Unavailable`].
const ORDER_CAPACITY: usize = 4;

/// How long an order may take before the asker is told that the daemon does not answer: large lists are read anew, and a new
/// program is tried.
const ORDER_TIMEOUT: Duration = Duration::from_secs(25);

/// How long a request may take before the asker is told that the daemon does not answer.
const REPLY_TIMEOUT: Duration = Duration::from_secs(5);

impl Handle {
    /// A handle, the control thread's end of it, and the main thread's. So many messages may wait; full: a decision is lost and
    /// counted, and comes again with the next evidence; a request is refused as [`ControlError::Unavailable`].
    pub(crate) fn new(first: Snapshot, queue_capacity: usize) -> (Self, Receiver<Message>, Receiver<Ordered>) {
        let (messages, receiver) = sync_channel(queue_capacity);
        let (orders, ordered) = sync_channel(ORDER_CAPACITY);
        let snapshot = Arc::new(Mutex::new(Arc::new(first)));
        (Self { messages, orders, snapshot, managers: Managers::default() }, receiver, ordered)
    }

    /// Hands a decision over without waiting; false where there is no room.
    pub(crate) fn decide(&self, decision: Decision) -> bool {
        self.messages.try_send(Message::Decision(decision)).is_ok()
    }

    /// Tells that somebody else changed the kernel's table. Where there is no room, the next comparison finds it.
    pub(crate) fn table_changed(&self, by: String) {
        let _ = self.messages.try_send(Message::TableChanged { by });
    }

    /// Tells the control thread to end; the kernel's table is removed unless it `leaves_table`.
    pub(crate) fn stop(&self, leaves_table: bool) {
        // Where the thread is gone already there is nobody to tell.
        let _ = self.messages.send(Message::Stop { leaves_table });
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

    /// Tells that a name has other addresses now. Where there is no room it is told again after the next look-up.
    pub(crate) fn resolved(&self, name: &str, addresses: Vec<IpAddr>) {
        let _ = self.messages.try_send(Message::Resolved { name: name.to_owned(), addresses });
    }

    /// Tells the control thread what the configuration says now, and waits until it holds.
    ///
    /// # Errors
    /// It could not be told: then everything is as it was. Or it did not answer: then it may still take them over.
    pub(crate) fn configure(&self, settings: Settings, loads: Loads, actor: &str) -> Result<(), OrderError> {
        let (reply, answer) = sync_channel(1);
        let message = Message::Configure { settings: Box::new(settings), loads, actor: actor.to_owned(), reply };
        self.messages.try_send(message).map_err(|_| OrderError::Unavailable)?;
        answer.recv_timeout(REPLY_TIMEOUT).map_err(|_| OrderError::Unconfirmed)
    }

    /// Orders something of the main thread in the name of `actor`, and waits until it is done, or for a restart until nothing
    /// speaks against it.
    ///
    /// # Errors
    /// See [`OrderError`].
    pub fn order(&self, order: Order, actor: &str) -> Result<Done, OrderError> {
        let (reply, answer) = sync_channel(1);
        let ordered = Ordered { order, actor: actor.to_owned(), reply };
        self.orders.try_send(ordered).map_err(|_| OrderError::Unavailable)?;
        answer.recv_timeout(ORDER_TIMEOUT).unwrap_or(Err(OrderError::Unavailable))
    }

    /// Asks for something in the name of `actor`, and waits until it is done.
    ///
    /// # Errors
    /// A rail forbids it, there is nothing to do it to, or the kernel refused.
    pub fn ask(&self, request: Request, actor: &str) -> Reply {
        let (reply, answer) = sync_channel(1);
        match self.messages.try_send(Message::Request { request, actor: actor.to_owned(), reply }) {
            Ok(()) => answer.recv_timeout(REPLY_TIMEOUT).unwrap_or(Err(ControlError::Unavailable)),
            Err(_) => Err(ControlError::Unavailable),
        }
    }
}

/// Why a request to the control thread was not carried out; the text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// A rail protects the address.
    #[error("{subject} is never blocked: {why}")]
    Protected {
        /// Who.
        subject: Subject,
        /// Which rail.
        why: String,
    },
    /// There is nothing to unblock.
    #[error("no block of {subject} stands; `sluice status` lists the blocks")]
    NotBlocked {
        /// Who.
        subject: Subject,
    },
    /// There is nothing to approve.
    #[error("no block of {subject} waits for an approval; `sluice status` lists those that do")]
    NotProposed {
        /// Who.
        subject: Subject,
    },
    /// There is no allowance to take back.
    #[error("{allowed} is not allowed for a while; what policy.allow in sluice.toml says is changed there")]
    NotAllowed {
        /// Who.
        allowed: Allowed,
    },
    /// There are too many allowances.
    #[error("too many are allowed for a while already; take some back, or put them into policy.allow in sluice.toml")]
    TooManyAllowances,
    /// The box only observes.
    #[error("the box is in observe mode and blocks nothing; change that with `sluice mode enforce`")]
    Observing,
    /// There is no pause to end.
    #[error("enforcement does not pause")]
    NotPaused,
    /// A model is not taken in or not used.
    #[error(transparent)]
    Model(#[from] RegistryError),
    /// The kernel refused.
    #[error(transparent)]
    Enforce(#[from] crate::enforce::EnforceError),
    /// There are as many blocks as are allowed.
    #[error(
        "there are as many blocks as policy.max_blocks allows, or as many limited services as there may be; unblock some, or raise it in sluice.toml"
    )]
    Full,
    /// The control thread is gone, or busy for too long.
    #[error("the daemon does not answer; see its log")]
    Unavailable,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::policy::Mode;
    use crate::web::fixture::snapshot;

    fn configure(handle: &Handle) -> Result<(), OrderError> {
        let config = Config::default();
        let settings = Settings {
            mode: Mode::Observe,
            allow: Vec::new(),
            lan: Vec::new(),
            learns_lan: true,
            bounds: config.bounds(),
            tuning: config.tuning(),
            model: config.model,
        };
        handle.configure(settings, Loads::default(), "anna")
    }

    #[test]
    fn settings_that_could_not_be_told_are_not_taken_for_those_that_were_not_confirmed() {
        let (handle, messages, _orders) = Handle::new(snapshot(crate::clock::now()), 1);
        handle.table_changed(String::from("somebody"));
        assert_eq!(configure(&handle), Err(OrderError::Unavailable), "there is no room");
        assert!(matches!(messages.recv(), Ok(Message::TableChanged { .. })));
        let control = std::thread::spawn(move || {
            // It takes them, and ends before it answers.
            assert!(matches!(messages.recv(), Ok(Message::Configure { .. })));
        });
        assert_eq!(configure(&handle), Err(OrderError::Unconfirmed));
        control.join().unwrap();
        assert_eq!(configure(&handle), Err(OrderError::Unavailable), "there is nobody");
    }
}
