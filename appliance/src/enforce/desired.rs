//! What the kernel should hold, and whether it does.

use core::time::Duration;
use std::collections::BTreeSet;

use ipnet::IpNet;
use traffic::time::Timestamp;

use crate::policy::{Action, BlockRecord, Blocklist, Offender};

/// One block that stands or should stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Who is blocked.
    pub offender: Offender,
    /// How.
    pub action: Action,
    /// When it ends by itself.
    pub until: Timestamp,
}

impl From<&BlockRecord> for Block {
    fn from(record: &BlockRecord) -> Self {
        Self { offender: record.offender, action: record.action, until: record.until }
    }
}

/// All that the kernel should hold.
#[derive(Clone, Debug, Default)]
pub struct Desired {
    /// The blocks; those whose end has passed are left out when applied.
    pub blocks: Vec<Block>,
    /// Networks that pass whatever is blocked.
    pub allow: Vec<IpNet>,
}

/// Blocks that end within this time may or may not be in the kernel any more: its clock is not ours.
const MARGIN: Duration = Duration::from_secs(2);

impl Desired {
    /// What follows from the standing blocks and the allowlist.
    #[must_use]
    pub fn of(blocklist: &Blocklist) -> Self {
        Self { blocks: blocklist.standing().map(Block::from).collect(), allow: blocklist.rails.allow.clone() }
    }

    /// Something is missing in what was found in the kernel, or is there without reason. Ends are not compared: only this
    /// program sets them.
    #[must_use]
    pub fn differs_from(&self, found: &[(Offender, Action, Duration)], now: Timestamp) -> bool {
        let surely: BTreeSet<_> = self.lasting(now.plus(MARGIN)).collect();
        let perhaps: BTreeSet<_> = self.blocks.iter().map(|block| (block.offender, block.action)).collect();
        let there: BTreeSet<_> = found.iter().map(|(offender, action, _)| (*offender, *action)).collect();
        let lasting = found.iter().filter(|(_, _, left)| *left > MARGIN);
        let mut unasked =
            lasting.map(|(offender, action, _)| (*offender, *action)).filter(|found| !perhaps.contains(found));
        !surely.is_subset(&there) || unasked.next().is_some()
    }

    fn lasting(&self, beyond: Timestamp) -> impl Iterator<Item = (Offender, Action)> {
        self.blocks.iter().filter(move |block| block.until > beyond).map(|block| (block.offender, block.action))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_or_unasked_for_is_a_difference_and_what_is_about_to_end_is_none() {
        let offender = |last: u8| Offender::of([203, 0, 113, last].into());
        let now = Timestamp::from_secs(100);
        let block = |last, until_s| Block {
            offender: offender(last),
            action: Action::Deny,
            until: Timestamp::from_secs(until_s),
        };
        let desired = Desired { blocks: vec![block(1, 200), block(2, 101)], allow: Vec::new() };
        let found = |last, action, left_s| (offender(last), action, Duration::from_secs(left_s));
        assert!(!desired.differs_from(&[found(1, Action::Deny, 100)], now));
        assert!(!desired.differs_from(&[found(1, Action::Deny, 100), found(3, Action::Deny, 1)], now));
        assert!(desired.differs_from(&[], now));
        assert!(desired.differs_from(&[found(1, Action::DenyNew, 100)], now));
        assert!(desired.differs_from(&[found(1, Action::Deny, 100), found(3, Action::Deny, 60)], now));
    }
}
