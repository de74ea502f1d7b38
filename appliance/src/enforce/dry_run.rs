//! Enforcement that only remembers: observe mode, and the replay of a capture.

use std::collections::BTreeMap;

use traffic::time::Timestamp;

use crate::linux::links::Mac;

use super::{Block, Desired, EnforceError, Enforcer, Found, Limit, Target};
use crate::policy::{Action, Offender};

/// The blocks that would stand. They end as the kernel's would, by the latest time that a call brought along.
#[derive(Debug, Default)]
pub struct DryRun {
    blocks: BTreeMap<Offender, (Action, Timestamp)>,
    limits: BTreeMap<Target, Limit>,
    quarantine: BTreeMap<Mac, Timestamp>,
    now: Timestamp,
}

impl DryRun {
    /// Without blocks.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn expire(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        let now = self.now;
        self.blocks.retain(|_, (_, until)| *until > now);
        self.limits.retain(|_, limit| limit.until > now);
        self.quarantine.retain(|_, until| *until > now);
    }
}

impl Enforcer for DryRun {
    fn replace(&mut self, desired: &Desired, now: Timestamp) -> Result<(), EnforceError> {
        self.blocks = desired.blocks.iter().map(|block| (block.offender, (block.action, block.until))).collect();
        self.limits = desired.limits.iter().map(|limit| (limit.target, *limit)).collect();
        self.quarantine = desired.quarantine.iter().copied().collect();
        self.expire(now);
        Ok(())
    }

    fn block(&mut self, block: &Block, now: Timestamp) -> Result<(), EnforceError> {
        self.blocks.insert(block.offender, (block.action, block.until));
        self.expire(now);
        Ok(())
    }

    fn unblock(&mut self, offenders: &[Offender]) -> Result<(), EnforceError> {
        for offender in offenders {
            self.blocks.remove(offender);
        }
        Ok(())
    }

    fn read_back(&mut self) -> Result<Found, EnforceError> {
        let now = self.now;
        Ok(Found {
            blocks: self
                .blocks
                .iter()
                .map(|(offender, (action, until))| (*offender, *action, until.since(now)))
                .collect(),
            limits: self.limits.iter().map(|(target, limit)| (*target, limit.per_s, limit.until.since(now))).collect(),
            quarantine: self.quarantine.iter().map(|(mac, until)| (*mac, until.since(now))).collect(),
        })
    }

    fn dropped_packets(&mut self) -> Result<u64, EnforceError> {
        Ok(0)
    }

    fn hidden_packets(&mut self) -> Result<u64, EnforceError> {
        Ok(0)
    }

    fn keep_alive(&mut self) -> Result<(), EnforceError> {
        Ok(())
    }

    fn remove(&mut self) -> Result<(), EnforceError> {
        self.blocks.clear();
        self.limits.clear();
        self.quarantine.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_ends_by_itself_and_by_request() {
        let mut dry = DryRun::new();
        let [first, second] = ["192.0.2.1", "2001:db8::1"].map(|text| Offender::of(text.parse().unwrap()));
        let block = |offender, until_s| Block { offender, action: Action::Deny, until: Timestamp::from_secs(until_s) };
        dry.block(&block(first, 10), Timestamp::from_secs(1)).unwrap();
        dry.block(&block(second, 20), Timestamp::from_secs(4)).unwrap();
        let left: Vec<_> = dry.read_back().unwrap().blocks.iter().map(|(_, _, left)| left.as_secs()).collect();
        assert_eq!(left, [6, 16]);
        dry.block(&block(second, 20), Timestamp::from_secs(10)).unwrap();
        assert_eq!(dry.read_back().unwrap().blocks.len(), 1);
        dry.unblock(&[second]).unwrap();
        assert!(dry.read_back().unwrap().blocks.is_empty());
    }
}
