//! What the kernel should hold, and whether it does.

use core::net::IpAddr;
use core::time::Duration;
use std::collections::BTreeMap;

use ipnet::IpNet;
use traffic::address::Mac;
use traffic::time::Timestamp;

use crate::policy::{Action, BlockRecord, Blocklist, Rails, Subject};

/// One block that stands or should stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// About whom or what.
    pub subject: Subject,
    /// What is done.
    pub action: Action,
    /// When it ends by itself.
    pub until: Timestamp,
}

impl From<&BlockRecord> for Block {
    fn from(record: &BlockRecord) -> Self {
        Self { subject: record.subject, action: record.action, until: record.until }
    }
}

/// All that the kernel should hold.
#[derive(Clone, Debug, Default)]
pub struct Desired {
    /// The blocks; those whose end has passed are left out when applied.
    pub blocks: Vec<Block>,
    /// Networks that pass whatever is blocked.
    pub allow: Vec<IpNet>,
    /// Devices that pass whatever is blocked.
    pub allow_devices: Vec<Mac>,
    /// Addresses of the box.
    pub own: Vec<IpAddr>,
    /// How much of what opens connections may come to a limited service from all sources together: TCP packets with SYN and
    /// without ACK, or UDP packets from ports of clients, in a second; after a pause as many more at once.
    pub limit_per_s: u32,
}

/// What the kernel holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The blocks, each with the time left ([`Duration::MAX`] for one that somebody else added without an end).
    pub blocks: Vec<(Subject, Action, Duration)>,
}

/// Blocks that end within this time may or may not be in the kernel any more: its clock is not ours.
const MARGIN: Duration = Duration::from_secs(2);

impl Desired {
    /// What follows from the standing blocks that are to be done, and from the allowlist.
    #[must_use]
    pub fn of(blocklist: &Blocklist, limit_per_s: u32) -> Self {
        let Rails { allow, own, .. } = &blocklist.rails;
        Self {
            blocks: blocklist.standing().filter(|block| block.is_enforced()).map(Block::from).collect(),
            allow: allow.networks().collect(),
            allow_devices: allow.devices().collect(),
            own: own.clone(),
            limit_per_s,
        }
    }

    /// All but the blocks.
    #[must_use]
    pub fn without_blocks(self) -> Self {
        Self { blocks: Vec::new(), ..self }
    }

    /// It is the same but for the blocks, which is all that changes without the table being made anew.
    #[must_use]
    pub fn is_furnished_as(&self, other: &Self) -> bool {
        (&self.allow, &self.allow_devices, &self.own, self.limit_per_s)
            == (&other.allow, &other.allow_devices, &other.own, other.limit_per_s)
    }

    /// A block is missing in what was found in the kernel, or is there without reason. Ends are not compared: only this
    /// program sets them.
    #[must_use]
    pub fn differs_from(&self, found: &Found, now: Timestamp) -> bool {
        let wanted: BTreeMap<_, _> =
            self.blocks.iter().map(|block| ((block.subject, block.action), block.until)).collect();
        let found: BTreeMap<_, _> =
            found.blocks.iter().map(|(subject, action, left)| ((*subject, *action), *left)).collect();
        let surely_ends = now.plus(MARGIN);
        wanted.iter().any(|(what, until)| *until > surely_ends && !found.contains_key(what))
            || found.iter().any(|(what, left)| *left > MARGIN && !wanted.contains_key(what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_or_unasked_for_is_a_difference_and_what_is_about_to_end_is_none() {
        let subject = |last: u8| Subject::of([203, 0, 113, last].into());
        let now = Timestamp::from_secs(100);
        let block = |last, until_s| Block {
            subject: subject(last),
            action: Action::Deny,
            until: Timestamp::from_secs(until_s),
        };
        let desired = Desired { blocks: vec![block(1, 200), block(2, 101)], ..Desired::default() };
        let found = |last, action, left_s| (subject(last), action, Duration::from_secs(left_s));
        let differs = |blocks: &[_]| desired.differs_from(&Found { blocks: blocks.to_vec() }, now);
        assert!(!differs(&[found(1, Action::Deny, 100)]));
        assert!(!differs(&[found(1, Action::Deny, 100), found(3, Action::Deny, 1)]));
        assert!(differs(&[]));
        assert!(differs(&[found(1, Action::DenyNew, 100)]));
        assert!(differs(&[found(1, Action::Deny, 100), found(3, Action::Deny, 60)]));
    }
}
