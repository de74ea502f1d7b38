//! Policy: from verdicts to decisions. What is done about whom, for how long, and whom nothing is ever done to.
//!
//! In the packet thread [`Devices`] tells who sent a frame, and [`Evidence`] adds up what speaks for a block.
//! In the control thread a [`Decision`] meets the [`Rails`] and the bounds of the [`Blocklist`], and the [`Modes`] say
//! whether it is done, or only said, or waits for a person.

mod allowlist;
mod blocklist;
mod devices;
mod evidence;
mod grounds;
mod household;
mod ladder;
mod modes;
mod rails;
mod record;
mod sighting;
mod subject;
mod trips;
mod victims;
mod weights;

pub use allowlist::{Allowance, Allowed, Allowlist};
pub use blocklist::{Blocklist, Bounds, LONGEST_BLOCK, Made, Refusal};
pub use devices::{Devices, Neighbourhood, was_routed};
pub use evidence::Evidence;
pub use grounds::{Accuser, Grounds, VECTOR_BYTES, Vector};
pub use household::{Exchange, Service};
pub use ladder::{LONGEST_STEP_S, Ladder, MOST_STEPS};
pub use modes::{Mode, Modes};
pub use rails::Rails;
pub use record::{Alert, BlockRecord, BlockState, Label, PastBlock};
pub use sighting::{Decision, Sighting};
pub use subject::{Action, NoSubject, Subject, Target};
pub use trips::{Held, Trip};
pub use victims::LIMIT_LENGTH;
pub use weights::EVIDENCE_LASTS;

use core::time::Duration;

/// The same offender and class, and the same victim of a flood, raise one alert in this time.
const ALERT_PAUSE: Duration = Duration::from_secs(60);

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

/// How much evidence it takes, in sums of log-odds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    /// For an alert.
    pub alert: f32,
    /// For a block. One flow adds 2.94 at most, so it takes at least 2, 5 or 7 flows.
    pub block: f32,
}

/// How decisions are made in the packet thread. It can be changed while packets come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tuning {
    /// How much evidence it takes.
    pub thresholds: Thresholds,
    /// How long a block is taken to last until [`Evidence::blocked`] says otherwise.
    pub block_ttl: Duration,
    /// What a service may get that is limited.
    pub limit_per_s: u32,
}

impl Profile {
    /// Its thresholds, as the table of thresholds in the model's CARD.md suggests them.
    #[must_use]
    pub const fn thresholds(self) -> Thresholds {
        match self {
            Self::Strict => Thresholds { alert: 1.5, block: 5.0 },
            Self::Balanced => Thresholds { alert: 2.9, block: 12.0 },
            Self::Lenient => Thresholds { alert: 5.0, block: 20.0 },
        }
    }
}
