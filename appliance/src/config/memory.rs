//! How much memory the daemon may take: a profile, and the capacities that follow from it.
//!
//! What is resident of the whole daemon stays under 64 MiB in the profile `default` and under 24 MiB in `small`, with full
//! tables, 10,000 blocks (500 in `small`) and a log-in at the page (`tests/memory.rs`). `sluice check-config` shows what each
//! table takes.

use serde::Deserialize;
use traffic::limits::Limits;

use crate::linux::packet_ring::RingConfig;
use crate::registry::Room;
use crate::store::{BLOCK_ROWS, Keep};

/// Flows that may be asked for; the most take less than half a GiB.
const FLOWS: core::ops::RangeInclusive<u32> = 1_024..=1 << 20;

/// `[memory]`
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Memory {
    /// How much may be taken.
    pub profile: MemoryProfile,
    /// Flows at once, where it is to be another number than the profile's.
    pub flows: Option<u32>,
}

/// How much memory may be taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MemoryProfile {
    /// For boards with 256 MiB and more: 65,536 flows.
    #[default]
    Default,
    /// For boards with less: 8,192 flows, 500 blocks, a tenth of the alerts.
    Small,
}

impl MemoryProfile {
    /// As it is written in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Small => "small",
        }
    }
}

impl Memory {
    /// Capacities of the tables of the path.
    #[must_use]
    pub fn limits(&self) -> Limits {
        let limits = match self.profile {
            MemoryProfile::Default => Limits::default(),
            MemoryProfile::Small => {
                Limits { flows: 8_192, sources: 1_024, destinations: 1_024, pairs: 256, leaks: 128 }
            }
        };
        Limits { flows: self.flows.map_or(limits.flows, |flows| flows as usize), ..limits }
    }

    /// The packet ring of each port.
    #[must_use]
    pub fn ring(&self) -> RingConfig {
        match self.profile {
            MemoryProfile::Default => RingConfig::default(),
            MemoryProfile::Small => RingConfig::small(),
        }
    }

    /// Messages to the control thread that may wait.
    #[must_use]
    pub const fn control_queue(&self) -> usize {
        match self.profile {
            MemoryProfile::Default => 1_024,
            MemoryProfile::Small => 256,
        }
    }

    /// Blocks that there is room for, whatever `policy.max_blocks` says: each takes about 2 KiB with all that is made of it.
    #[must_use]
    pub const fn most_blocks(&self) -> u32 {
        match self.profile {
            MemoryProfile::Default => BLOCK_ROWS,
            MemoryProfile::Small => 500,
        }
    }

    /// Rows of the database, which may be in memory too.
    #[must_use]
    pub const fn rows(&self) -> Keep {
        match self.profile {
            MemoryProfile::Default => Keep::MANY,
            MemoryProfile::Small => Keep::FEW,
        }
    }

    /// What models that are loaded from files may take.
    #[must_use]
    pub const fn models(&self) -> Room {
        match self.profile {
            MemoryProfile::Default => Room { file_bytes: 512 * 1024, loaded_bytes: 1024 * 1024 },
            MemoryProfile::Small => Room { file_bytes: 128 * 1024, loaded_bytes: 384 * 1024 },
        }
    }

    /// What no single value shows to be wrong: the key and what to do.
    pub(super) fn contradiction(&self) -> Option<(&'static str, String)> {
        let is_out_of_range = self.flows.is_some_and(|flows| !FLOWS.contains(&flows));
        is_out_of_range.then(|| ("memory.flows", format!("give a number from {} to {}", FLOWS.start(), FLOWS.end())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_board_keeps_a_tenth_of_the_rows_and_the_whole_audit_log() {
        let small = Memory { profile: MemoryProfile::Small, flows: None }.rows();
        let Keep { alerts, labelled, blocks, observed, audit } = Memory::default().rows();
        let tenth =
            Keep { alerts: alerts / 10, labelled: labelled / 10, blocks: blocks / 10, observed: observed / 10, audit };
        assert_eq!(small, tenth);
    }
}
