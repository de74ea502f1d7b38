//! Policy: from verdicts to decisions. What is done about an offender, for how long, and whom nothing is ever done to.

mod blocklist;
mod evidence;
mod household;
mod ladder;
mod rails;
mod record;
mod trips;

use core::fmt;
use core::net::{IpAddr, Ipv6Addr};

use ipnet::{IpNet, Ipv6Net};

pub use blocklist::{Blocklist, Bounds, LONGEST_BLOCK, Made, Refusal};
pub use evidence::{Decision, Evidence, Sighting};
pub use household::{Exchange, Service};
pub use ladder::{LONGEST_STEP_S, Ladder, MOST_STEPS};
pub use rails::Rails;
pub use record::{Alert, BlockRecord, PastBlock};
pub use trips::{Held, Trip};

/// Who a decision is about: one IPv4 address, or an IPv6 /64, since a host chooses freely among the addresses of its /64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Offender(IpAddr);

impl Offender {
    /// The offender that the address belongs to.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self(address),
            IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or_else(
                || Self(Ipv6Addr::from_bits(v6.to_bits() & (u128::from(u64::MAX) << 64)).into()),
                |v4| Self(v4.into()),
            ),
        }
    }

    /// The IPv4 address, or the first address of the /64.
    #[must_use]
    pub const fn first_address(self) -> IpAddr {
        self.0
    }

    /// All addresses of the offender: a /32 or a /64.
    #[must_use]
    pub fn network(self) -> IpNet {
        match self.0 {
            IpAddr::V4(v4) => IpNet::from(IpAddr::V4(v4)),
            IpAddr::V6(v6) => Ipv6Net::new_assert(v6, 64).into(),
        }
    }
}

impl fmt::Display for Offender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(v4) => v4.fmt(f),
            IpAddr::V6(v6) => write!(f, "{v6}/64"),
        }
    }
}

/// What is done about an offender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// Drop only what opens a connection from the offender (TCP SYN without ACK, UDP and ICMP that nobody asked for): the
    /// answer to evidence that somebody else could have forged in the offender's name.
    DenyNew,
    /// Drop everything from and to the offender: the evidence was proven by a two-way exchange.
    Deny,
}

impl Action {
    /// The name in reports, the store, and of the nftables sets.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::DenyNew => "deny_new",
            Self::Deny => "deny",
        }
    }

    /// The action of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::DenyNew, Self::Deny].into_iter().find(|action| action.name() == name)
    }
}

/// How much evidence it takes to block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// Blocks late.
    Lenient,
    /// For most households.
    #[default]
    Balanced,
    /// Blocks early.
    Strict,
}

/// What the box does with its decisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Says what it would block; blocks nothing.
    Observe,
    /// Blocks.
    Enforce,
}

impl Mode {
    /// The name in the configuration and on the page.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Enforce => "enforce",
        }
    }
}
