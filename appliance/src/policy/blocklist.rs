//! The blocks that should stand: decisions pass the rails on their way in, and every block ends.

use core::time::Duration;
use std::collections::BTreeMap;

use traffic::time::Timestamp;

use super::{BlockRecord, Offender, Rails};

/// How long a block by hand may last: every block ends.
pub const LONGEST_BLOCK: Duration = Duration::from_secs(365 * 86_400);

/// Why a block was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A rail protects the offender.
    Protected(&'static str),
    /// As strict a block stands already, for as long.
    Stands,
    /// There are as many blocks as are allowed.
    Full,
}

/// A block that was made.
#[derive(Clone, Debug, PartialEq)]
pub struct Made {
    /// As it stands now.
    pub block: BlockRecord,
    /// As it stood before, if it did.
    pub before: Option<BlockRecord>,
}

/// The standing blocks and the rails.
#[derive(Debug)]
pub struct Blocklist {
    /// Whom nothing is ever done to.
    pub rails: Rails,
    /// Most blocks at once (`policy.max_blocks`).
    max_blocks: usize,
    /// How long an offender is exempt after a person has ended its block.
    unblock_grace: Duration,
    standing: BTreeMap<Offender, BlockRecord>,
}

impl Blocklist {
    /// No blocks yet.
    #[must_use]
    pub fn new(rails: Rails, max_blocks: usize, unblock_grace: Duration) -> Self {
        Self { rails, max_blocks, unblock_grace, standing: BTreeMap::new() }
    }

    /// Adds a block, or prolongs one or makes it stricter.
    ///
    /// # Errors
    /// It was not made: see [`Refusal`].
    pub fn block(&mut self, wanted: BlockRecord, now: Timestamp) -> Result<Made, Refusal> {
        let offender = wanted.offender;
        if let Some(why) = self.rails.protect(offender, now) {
            return Err(Refusal::Protected(why));
        }
        let mut block = BlockRecord { action: self.rails.soften(offender, wanted.action), ..wanted };
        match self.standing.get(&offender).filter(|standing| now < standing.until) {
            Some(standing) if standing.action >= block.action && standing.until >= block.until => {
                return Err(Refusal::Stands);
            }
            Some(standing) => {
                block.action = block.action.max(standing.action);
                block.until = block.until.max(standing.until);
            }
            None if self.standing.len() >= self.max_blocks => return Err(Refusal::Full),
            None => {}
        }
        let before = self.standing.insert(offender, block.clone());
        Ok(Made { block, before })
    }

    /// Ends a block in the name of a person: the offender is exempt for a while. `None` where no block stands.
    pub fn unblock(&mut self, offender: Offender, now: Timestamp) -> Option<BlockRecord> {
        let ended = self.standing.remove(&offender)?;
        self.rails.exempt(offender, self.unblock_grace, now);
        Some(ended)
    }

    /// Takes a block back that could not be put into the kernel: what stood before it stands again.
    pub fn withdraw(&mut self, offender: Offender, before: Option<BlockRecord>) {
        self.standing.remove(&offender);
        self.standing.extend(before.map(|before| (offender, before)));
    }

    /// Removes the blocks whose time is over.
    pub fn expire(&mut self, now: Timestamp) -> Vec<BlockRecord> {
        let over: Vec<Offender> =
            self.standing.values().filter(|block| block.until <= now).map(|block| block.offender).collect();
        over.iter().filter_map(|offender| self.standing.remove(offender)).collect()
    }

    /// The standing blocks.
    pub fn standing(&self) -> impl Iterator<Item = &BlockRecord> {
        self.standing.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Action;
    use proptest::prelude::*;
    use traffic::features::ThreatClass;

    fn record(address: &str, action: Action, until_s: u64) -> BlockRecord {
        BlockRecord {
            offender: Offender::of(address.parse().expect("address")),
            action,
            class: Some(ThreatClass::Scan),
            since: Timestamp::from_secs(100),
            until: Timestamp::from_secs(until_s),
            because: "a test".into(),
            actor: "sluice".into(),
        }
    }

    fn blocklist(rails: Rails) -> Blocklist {
        Blocklist::new(rails, 3, Duration::from_secs(60))
    }

    const NOW: Timestamp = Timestamp::from_secs(100);

    #[test]
    fn a_block_becomes_stricter_but_never_milder() {
        let mut list = blocklist(Rails::default());
        assert!(list.block(record("203.0.113.9", Action::DenyNew, 200), NOW).is_ok());
        let stricter = list.block(record("203.0.113.9", Action::Deny, 150), NOW).expect("stricter").block;
        assert_eq!((stricter.action, stricter.until), (Action::Deny, Timestamp::from_secs(200)));
        assert_eq!(list.block(record("203.0.113.9", Action::DenyNew, 200), NOW), Err(Refusal::Stands));
        assert_eq!(list.expire(Timestamp::from_secs(199)), []);
        assert_eq!(list.expire(Timestamp::from_secs(200)).len(), 1);
        assert_eq!(list.standing().count(), 0);
    }

    #[test]
    fn an_unblocked_address_is_left_alone_for_the_grace() {
        let mut list = blocklist(Rails::default());
        let wanted = record("2001:db8:7::1", Action::Deny, 900);
        list.block(wanted.clone(), NOW).expect("blocked");
        assert!(list.unblock(Offender::of("2001:db8:7::ffff".parse().expect("same /64")), NOW).is_some());
        assert!(matches!(list.block(wanted.clone(), Timestamp::from_secs(159)), Err(Refusal::Protected(_))));
        assert!(list.block(wanted, Timestamp::from_secs(160)).is_ok());
    }

    #[test]
    fn no_more_blocks_than_allowed() {
        let mut list = blocklist(Rails::default());
        for last in 1..=3 {
            list.block(record(&format!("203.0.113.{last}"), Action::Deny, 900), NOW).expect("room");
        }
        assert_eq!(list.block(record("203.0.113.4", Action::Deny, 900), NOW), Err(Refusal::Full));
        assert!(list.block(record("203.0.113.3", Action::Deny, 950), NOW).is_ok(), "one that stands is prolonged");
    }

    proptest! {
        #[test]
        fn whatever_is_asked_for_no_protected_address_is_ever_blocked(
            asked in proptest::collection::vec((any::<u8>(), any::<bool>(), 1_u64..500), 1..60)
        ) {
            let mut rails = Rails::default();
            rails.allow = vec!["203.0.113.64/26".parse().expect("network")];
            rails.lan = vec!["203.0.113.128/25".parse().expect("network")];
            rails.own = vec!["203.0.113.2".parse().expect("address"), "2001:db8:0:2::1".parse().expect("address")];
            rails.gateways = vec!["203.0.113.1".parse().expect("address"), "2001:db8:0:1::1".parse().expect("address")];
            let mut list = Blocklist::new(rails.clone(), 1000, Duration::ZERO);
            for (last, v6, until) in asked {
                let address = if v6 { format!("2001:db8:0:{last:x}::77") } else { format!("203.0.113.{last}") };
                let _ = list.block(record(&address, Action::Deny, 100 + until), NOW);
            }
            for block in list.standing() {
                let network = block.offender.network();
                prop_assert!(!rails.allow.iter().any(|allowed| allowed.contains(&network)));
                prop_assert!(!rails.own.iter().chain(&rails.gateways).any(|address| network.contains(address)));
                let at_home = rails.lan.iter().any(|lan| lan.contains(&network));
                prop_assert!(!at_home || block.action == Action::DenyNew);
            }
        }
    }

    #[test]
    fn addresses_that_many_share_are_no_offenders() {
        let rails = Rails::default();
        for address in ["127.0.0.1", "0.0.0.0", "255.255.255.255", "224.0.0.251", "fe80::1", "ff02::1", "::1"] {
            assert!(rails.protect(Offender::of(address.parse().expect("address")), NOW).is_some(), "{address}");
        }
    }
}
