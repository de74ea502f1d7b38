//! Enforcement: makes the kernel's blocks the same as the desired ones.
//!
//! [`Enforcer`] is the interface, [`nftables`] what is behind it.

mod desired;
pub mod nftables;

pub use desired::{Block, Desired, Found};
use traffic::time::Timestamp;

use crate::policy::Subject;

/// What becomes of the traffic when the program dies or hangs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// All of it passes, but for the blocks that stand until they end.
    #[default]
    Open,
    /// After a few seconds nothing passes but what the box needs to be reached.
    Closed,
}

impl OnFailure {
    /// The name in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
        }
    }
}

/// Keeps the kernel's state equal to the desired one. Every call is one atomic change: it takes effect whole or not at all.
pub trait Enforcer: Send {
    /// Replaces everything with the desired state, in one batch: at start, and when somebody else changed the table.
    ///
    /// # Errors
    /// What the kernel refused; nothing has changed then.
    fn replace(&mut self, desired: &Desired, now: Timestamp) -> Result<(), EnforceError>;

    /// Adds a block, or sets the action and the end of one that stands.
    ///
    /// # Errors
    /// What the kernel refused; nothing has changed then.
    fn block(&mut self, block: &Block, now: Timestamp) -> Result<(), EnforceError>;

    /// Takes the blocks of these subjects away; one that does not stand is no error.
    ///
    /// # Errors
    /// What the kernel refused; nothing has changed then.
    fn unblock(&mut self, subjects: &[Subject]) -> Result<(), EnforceError>;

    /// Whether what the kernel holds is known to be what the last [`Self::read_back`] found, apart from what has ended since:
    /// nobody has changed anything. It costs less than reading it all again; false where it is not known.
    fn is_unchanged(&mut self) -> bool;

    /// What the kernel holds now.
    ///
    /// # Errors
    /// [`EnforceError::TableGone`] where somebody removed the table, else what the kernel refused.
    fn read_back(&mut self) -> Result<Found, EnforceError>;

    /// Packets dropped so far by all blocks together; a replacement does not set it back.
    ///
    /// # Errors
    /// As [`Self::read_back`].
    fn dropped_packets(&mut self) -> Result<u64, EnforceError>;

    /// Packets that passed since the last replacement whatever is blocked, because their encapsulation hides their addresses.
    ///
    /// # Errors
    /// As [`Self::read_back`].
    fn hidden_packets(&mut self) -> Result<u64, EnforceError>;

    /// Tells the kernel that the program lives; with [`OnFailure::Closed`] nothing passes some seconds after the last call.
    ///
    /// # Errors
    /// As [`Self::read_back`].
    fn keep_alive(&mut self) -> Result<(), EnforceError>;

    /// Makes room for so many blocks with the next replacement. Less room than there was is never made: what stands would not
    /// fit in.
    fn make_room(&mut self, capacity: u32);

    /// Removes everything that this program put into the kernel.
    ///
    /// # Errors
    /// What the kernel refused.
    fn remove(&mut self) -> Result<(), EnforceError>;
}

/// Why the kernel's state could not be made the desired one.
#[derive(Debug, thiserror::Error)]
pub enum EnforceError {
    /// The kernel has no `nf_tables`, or not the part that is needed.
    #[error(
        "this kernel cannot enforce: {what} ({cause}); it needs CONFIG_NF_TABLES_NETDEV or CONFIG_NF_TABLES_BRIDGE (OpenWrt: kmod-nft-netdev), or set mode = \"observe\""
    )]
    Unsupported {
        /// The part that was refused.
        what: &'static str,
        /// The kernel's answer.
        cause: std::io::Error,
    },
    /// Missing rights.
    #[error("no right to change nftables; run as root or with CAP_NET_ADMIN")]
    NotPermitted,
    /// The set of blocks is full (ENFILE).
    #[error("the table of blocks is full at {capacity} entries; raise policy.max_blocks or unblock some")]
    Full {
        /// Its size.
        capacity: u32,
    },
    /// Somebody removed the table.
    #[error("the nftables table is gone; somebody removed it")]
    TableGone,
    /// Anything else that the kernel answered.
    #[error("nftables refused to {what}: {cause}")]
    Kernel {
        /// What was tried.
        what: &'static str,
        /// The kernel's answer.
        cause: std::io::Error,
    },
}
