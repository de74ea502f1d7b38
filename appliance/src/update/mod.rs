//! Updates of a box that was made from an image: a new system goes into the slot that does not run, is tried once, and is kept
//! if the box comes up healthy with it. Whatever goes wrong, the next start runs the old one.
//!
//! ```text
//!   file ─► install ─► the other slot        next start ─► the trial ─► health ─► keep
//!                                                             └─ not healthy, hangs, no power: the start after it runs the old slot
//! ```
//!
//! A slot is one partition of each kind, `root-a` and `root-b` for example, named in the partition table (GPT). Which slot is started
//! stands in the [`environment`], a small file on the boot partition that GRUB reads and writes too. On a Raspberry Pi the firmware is told in
//! a file of its own, and [`early`] does what it leaves out: it counts starts that come to nothing.

mod disk;
pub mod early;
mod environment;
mod file;
mod health;
mod install;

use std::io;
use std::path::PathBuf;

pub use disk::{Access, Boot, Disk, Partition, Slot};
pub use environment::Environment;
pub use health::{Health, wait_until_healthy};
pub use install::{Installed, Taken, install};
use model_compiler::sealed::PublicKey;

/// Why an update is refused or failed; the text names the remedy. The slot that runs is as it was in any case.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    /// The system was not started from an image.
    #[error(
        "this system was not started from an image of Sluice, so it has no slots ({why}); upgrade it in the way in which Sluice was \
         installed"
    )]
    NoSlots {
        /// What is missing.
        why: String,
    },
    /// A file or a device of the system.
    #[error("{}: {cause}", path.display())]
    System {
        /// Which.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The environment is not as GRUB writes it.
    #[error("{}: it is no environment block of GRUB ({why}); write the card anew", path.display())]
    Environment {
        /// Where.
        path: PathBuf,
        /// What is wrong.
        why: &'static str,
    },
    /// Another one is at work.
    #[error("another `sluice update` is at work; wait for it")]
    Busy,
    /// Something else, or less.
    #[error("it is no update of Sluice ({0}); get it again from its maker")]
    Form(&'static str),
    /// Nobody's signature would do.
    #[error(
        "no key is trusted: /usr/share/sluice/update-keys holds none, so this box takes no updates; write the card anew"
    )]
    NoKeys,
    /// Signed by somebody else.
    #[error(
        "it is signed with the key {0}, which is not in /usr/share/sluice/update-keys: it is not made for this box"
    )]
    Untrusted(PublicKey),
    /// Changed after it was signed.
    #[error("its signature does not hold: the file was damaged or changed; get it again from its maker")]
    Signature,
    /// What is signed makes no sense.
    #[error("what is signed is no description of an update: {0}")]
    Manifest(String),
    /// For another board.
    #[error("it is for the board {theirs}, and this is {ours}; get the one for {ours}")]
    Board {
        /// What it is for.
        theirs: String,
        /// What this is.
        ours: String,
    },
    /// Its parts are not the partitions of a slot.
    #[error(
        "it brings {theirs}, and a slot of this box consists of {ours}; it needs another layout of the card: write the card anew"
    )]
    Parts {
        /// What it brings.
        theirs: String,
        /// What a slot is.
        ours: String,
    },
    /// A part is larger than its partition.
    #[error(
        "its part `{part}` takes {bytes} bytes, and the partition has {room}; write the card anew with a newer image"
    )]
    TooLarge {
        /// Which.
        part: String,
        /// How much it takes.
        bytes: u64,
        /// How much there is.
        room: u64,
    },
    /// The file could not be read to its end.
    #[error("it cannot be read to its end: {0}; the slot that runs is untouched, the other one is empty now")]
    Read(io::Error),
    /// The bytes of a part are others than were signed.
    #[error(
        "its part `{0}` is not what was signed: the file was damaged; get it again from its maker. The slot that runs is untouched, \
         the other one is empty now"
    )]
    Damaged(String),
    /// What was written is not what is read.
    #[error(
        "{}: it does not keep what is written to it; the card is worn out: replace it. The slot that runs is untouched, the other one is \
         empty now",
        device.display()
    )]
    Worn {
        /// Which partition.
        device: PathBuf,
    },
    /// There is nothing to try.
    #[error("slot {0} holds no system; `sluice update FILE` brings one")]
    NothingToTry(Slot),
    /// The slot that runs is being tried itself.
    #[error("slot {0} is being tried; wait until it is kept (`sluice update` says so), or restart to take it back")]
    OnTrial(Slot),
    /// A trial would not be kept.
    #[error(
        "the box is not healthy as it is ({0}), so a trial may not be kept; mend that first (`sluice status`), or where it is this \
         version that is broken say `sluice update --try --anyway`"
    )]
    Unhealthy(Health),
}

impl UpdateError {
    /// What the system said of a file or a device.
    fn system(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        move |cause| Self::System { path: path.into(), cause }
    }
}
