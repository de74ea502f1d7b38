//! What the kernel should hold, and whether it does.

use core::net::IpAddr;
use core::time::Duration;
use std::collections::BTreeMap;

use ipnet::IpNet;
use traffic::time::Timestamp;

use crate::linux::links::Mac;

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

/// A service that floods are kept from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target {
    /// The address of its host: one, also of IPv6.
    pub destination: IpAddr,
    /// The number of the transport protocol: TCP or UDP.
    pub protocol: u8,
    /// Its port.
    pub port: u16,
}

/// How much of what opens connections may come to a service from all sources together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The service.
    pub target: Target,
    /// TCP packets with SYN and without ACK, or UDP packets from ports of clients, in a second; after a pause as many more
    /// at once.
    pub per_s: u32,
    /// When it ends by itself.
    pub until: Timestamp,
}

/// All that the kernel should hold.
#[derive(Clone, Debug, Default)]
pub struct Desired {
    /// The blocks; those whose end has passed are left out when applied.
    pub blocks: Vec<Block>,
    /// Networks that pass whatever is blocked.
    pub allow: Vec<IpNet>,
    /// The limits; those whose end has passed are left out when applied.
    pub limits: Vec<Limit>,
    /// Devices that reach nothing but ARP, neighbour discovery, DHCP, DNS, the allowlist and the box, each until when.
    pub quarantine: Vec<(Mac, Timestamp)>,
    /// Addresses of the box.
    pub own: Vec<IpAddr>,
}

/// What the kernel holds, each with the time left ([`Duration::MAX`] for what somebody else added without an end).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The blocks.
    pub blocks: Vec<(Offender, Action, Duration)>,
    /// The limits, with their rate in packets a second.
    pub limits: Vec<(Target, u32, Duration)>,
    /// The devices in quarantine.
    pub quarantine: Vec<(Mac, Duration)>,
}

/// Blocks that end within this time may or may not be in the kernel any more: its clock is not ours.
const MARGIN: Duration = Duration::from_secs(2);

impl Desired {
    /// What follows from the standing blocks and the allowlist.
    #[must_use]
    pub fn of(blocklist: &Blocklist) -> Self {
        Self {
            blocks: blocklist.standing().map(Block::from).collect(),
            allow: blocklist.rails.allow.clone(),
            own: blocklist.rails.own.clone(),
            ..Self::default()
        }
    }

    /// Something is missing in what was found in the kernel, or is there without reason. Ends are not compared: only this
    /// program sets them.
    #[must_use]
    pub fn differs_from(&self, found: &Found, now: Timestamp) -> bool {
        let blocks = self.blocks.iter().map(|block| ((block.offender, block.action), block.until));
        let limits = self.limits.iter().map(|limit| ((limit.target, limit.per_s), limit.until));
        differ(blocks, found.blocks.iter().map(|(offender, action, left)| ((*offender, *action), *left)), now)
            || differ(limits, found.limits.iter().map(|(target, per_s, left)| ((*target, *per_s), *left)), now)
            || differ(self.quarantine.iter().copied(), found.quarantine.iter().copied(), now)
    }
}

fn differ<T: Copy + Ord>(
    wanted: impl Iterator<Item = (T, Timestamp)>,
    found: impl Iterator<Item = (T, Duration)>,
    now: Timestamp,
) -> bool {
    let (wanted, found): (BTreeMap<_, _>, BTreeMap<_, _>) = (wanted.collect(), found.collect());
    let surely_ends = now.plus(MARGIN);
    wanted.iter().any(|(what, until)| *until > surely_ends && !found.contains_key(what))
        || found.iter().any(|(what, left)| *left > MARGIN && !wanted.contains_key(what))
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
        let desired = Desired { blocks: vec![block(1, 200), block(2, 101)], ..Desired::default() };
        let found = |last, action, left_s| (offender(last), action, Duration::from_secs(left_s));
        let differs = |blocks: &[_]| desired.differs_from(&Found { blocks: blocks.to_vec(), ..Found::default() }, now);
        assert!(!differs(&[found(1, Action::Deny, 100)]));
        assert!(!differs(&[found(1, Action::Deny, 100), found(3, Action::Deny, 1)]));
        assert!(differs(&[]));
        assert!(differs(&[found(1, Action::DenyNew, 100)]));
        assert!(differs(&[found(1, Action::Deny, 100), found(3, Action::Deny, 60)]));
    }

    #[test]
    fn a_limit_of_another_rate_is_a_difference() {
        let target = Target { destination: [203, 0, 113, 1].into(), protocol: 6, port: 80 };
        let (now, until) = (Timestamp::from_secs(100), Timestamp::from_secs(200));
        let desired = Desired { limits: vec![Limit { target, per_s: 10, until }], ..Desired::default() };
        let differs = |limits: &[_]| desired.differs_from(&Found { limits: limits.to_vec(), ..Found::default() }, now);
        assert!(!differs(&[(target, 10, Duration::from_secs(100))]));
        assert!(differs(&[]));
        assert!(differs(&[(target, 11, Duration::from_secs(100))]));
    }
}
