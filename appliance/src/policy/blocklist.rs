//! The blocks that should stand: decisions pass the rails on their way in, and every block ends.

use core::time::Duration;
use std::collections::BTreeMap;

use traffic::time::Timestamp;

use super::trips::Trips;
use super::{Action, BlockRecord, Held, Ladder, Offender, PastBlock, Rails, Sighting, Trip};

/// How long a block by hand may last: every block ends.
pub const LONGEST_BLOCK: Duration = Duration::from_secs(365 * 86_400);

/// Why a block was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A rail protects the offender.
    Protected(&'static str),
    /// As strict a block stands already, until then.
    Stands(Timestamp),
    /// A trip holds it back.
    Held(Held),
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
    /// Whose block had to end for it.
    pub displaced: Option<BlockRecord>,
}

/// How much may be blocked, and for how long.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// How long blocks last.
    pub ladder: Ladder,
    /// Most blocks at once (`policy.max_blocks`).
    pub max_blocks: usize,
    /// Most new blocks in a minute, of those that could be forged and of proven ones each (`policy.max_blocks_per_minute`).
    pub max_blocks_per_minute: u32,
    /// Most of the household's devices at once (`policy.max_share_of_lan`); one always.
    pub max_share_of_lan: f32,
    /// How long an offender is exempt after a person has ended its block.
    pub unblock_grace: Duration,
}

/// The standing blocks and the rails.
#[derive(Debug)]
pub struct Blocklist {
    /// Whom nothing is ever done to.
    pub rails: Rails,
    bounds: Bounds,
    trips: Trips,
    standing: BTreeMap<Offender, BlockRecord>,
}

impl Blocklist {
    /// No blocks yet.
    #[must_use]
    pub fn new(rails: Rails, bounds: Bounds) -> Self {
        Self { rails, bounds, trips: Trips::default(), standing: BTreeMap::new() }
    }

    /// Carries a decision on evidence out: the ladder says for how long. A block that stands is made stricter for the same
    /// offence, and not prolonged otherwise.
    ///
    /// # Errors
    /// It was not made: see [`Refusal`].
    pub fn decide(
        &mut self,
        sighting: &Sighting,
        action: Action,
        evidence_flows: u32,
        now: Timestamp,
    ) -> Result<Made, Refusal> {
        let offender = Offender::of(sighting.source);
        self.check(offender, action, now)?;
        let offence = match self.standing.get(&offender).filter(|block| block.class.is_some()) {
            Some(block) if block.action >= self.rails.soften(offender, action, now) => {
                return Err(Refusal::Stands(block.until));
            }
            Some(block) => block.offence,
            None => {
                self.check_trips(offender, action, now).map_err(Refusal::Held)?;
                self.bounds.ladder.offence(offender, now)
            }
        };
        self.block(sighting.block(action, evidence_flows, offence, &self.bounds.ladder), now)
    }

    /// Adds a block, or prolongs one or makes it stricter. Where there are as many as are allowed, one that follows from
    /// proof takes the place of one that could be forged: or forged senders could keep the true one in.
    ///
    /// # Errors
    /// It was not made: see [`Refusal`].
    pub fn block(&mut self, wanted: BlockRecord, now: Timestamp) -> Result<Made, Refusal> {
        let offender = wanted.offender;
        self.check(offender, wanted.action, now)?;
        let (is_proven, mut displaced) = (wanted.action == Action::Deny, None);
        let mut block = BlockRecord { action: self.rails.soften(offender, wanted.action, now), ..wanted };
        match self.standing.get(&offender) {
            Some(standing) if standing.action >= block.action && standing.until >= block.until => {
                return Err(Refusal::Stands(standing.until));
            }
            Some(standing) => {
                block.action = block.action.max(standing.action);
                block.until = block.until.max(standing.until);
                block.offence = block.offence.max(standing.offence);
            }
            None => {
                block.offence = block.offence.max(self.bounds.ladder.remembered(offender, now));
                if self.standing.len() >= self.bounds.max_blocks {
                    displaced = is_proven.then(|| self.displace(now)).flatten();
                    if displaced.is_none() {
                        return Err(Refusal::Full);
                    }
                }
            }
        }
        let before = self.standing.insert(offender, block.clone());
        Ok(Made { block, before, displaced })
    }

    /// What comes before any block: the rails, and the end of a block whose time is over.
    fn check(&mut self, offender: Offender, action: Action, now: Timestamp) -> Result<(), Refusal> {
        if self.standing.get(&offender).is_some_and(|block| block.until <= now) {
            self.end(offender);
        }
        let from_forgery = || self.rails.protect_from_forgery(offender, now).filter(|_| action == Action::DenyNew);
        let protected = self.rails.protect(offender, now).or_else(from_forgery);
        protected.map_or(Ok(()), |why| Err(Refusal::Protected(why)))
    }

    /// A block on evidence is counted, and held back where there are too many.
    fn check_trips(&mut self, offender: Offender, action: Action, now: Timestamp) -> Result<(), Held> {
        self.trips.count(Trip::of(action), self.bounds.max_blocks_per_minute, now)?;
        if !self.rails.is_at_home(offender) {
            return Ok(());
        }
        let is_one = |block: &&BlockRecord| block.class.is_some() && self.rails.is_at_home(block.offender);
        let blocked = self.standing.values().filter(is_one).count();
        let most = (self.rails.devices(now) as f32 * self.bounds.max_share_of_lan) as usize;
        self.trips.hold(Trip::Household, blocked >= most.max(1), now)
    }

    /// The trips that hold.
    pub fn holding(&self) -> impl Iterator<Item = Trip> {
        self.trips.holding()
    }

    /// Ends the trips that were quiet for long enough, and returns them.
    pub fn end_quiet_trips(&mut self, now: Timestamp) -> Vec<Trip> {
        self.trips.end_quiet(now)
    }

    /// Ends the block that ends first of those that could be forged. A device of the household has a mild block though it is
    /// proven.
    fn displace(&mut self, now: Timestamp) -> Option<BlockRecord> {
        let is_forgeable =
            |block: &&BlockRecord| block.action == Action::DenyNew && !self.rails.is_at_home(block.offender);
        let first = self.standing.values().filter(is_forgeable).min_by_key(|block| block.until)?.offender;
        let ended = self.standing.remove(&first)?;
        self.bounds.ladder.remember(&ended.ended(now));
        Some(ended)
    }

    fn end(&mut self, offender: Offender) -> Option<BlockRecord> {
        let ended = self.standing.remove(&offender)?;
        self.bounds.ladder.remember(&ended.ended(ended.until));
        Some(ended)
    }

    /// Ends a block in the name of a person: the offence is taken back, and the offender is exempt for a while. `None` where
    /// no block stands.
    pub fn unblock(&mut self, offender: Offender, now: Timestamp) -> Option<PastBlock> {
        let ended = self.standing.remove(&offender)?;
        let past = PastBlock {
            offence: ended.offence.saturating_sub(u32::from(ended.class.is_some())),
            exempt_until: Some(now.plus(self.bounds.unblock_grace)),
            ..ended.ended(now)
        };
        self.remember(&past, now);
        Some(past)
    }

    /// Ends the blocks of those who are protected by now: allow beats block, also where it became known only after the block
    /// was made.
    pub fn lift_protected(&mut self, now: Timestamp) -> Vec<PastBlock> {
        let is_protected = |block: &&BlockRecord| self.rails.protect(block.offender, now).is_some();
        let lifted: Vec<_> = self.standing.values().filter(is_protected).map(|block| block.ended(now)).collect();
        for past in &lifted {
            self.standing.remove(&past.offender);
            self.remember(past, now);
        }
        lifted
    }

    /// Takes in what is known of a block that has ended: at the start, from the store.
    pub fn remember(&mut self, past: &PastBlock, now: Timestamp) {
        self.bounds.ladder.remember(past);
        if let Some(until) = past.exempt_until.filter(|until| now < *until) {
            // No longer than today's configuration says, and than was promised if the clock was set back meanwhile.
            self.rails.exempt(past.offender, until.since(now).min(self.bounds.unblock_grace), now);
        }
    }

    /// Takes a block back that could not be put into the kernel: what stood before it stands again.
    pub fn withdraw(&mut self, made: Made) {
        let offender = made.block.offender;
        self.standing.remove(&offender);
        self.standing.extend(made.before.into_iter().chain(made.displaced).map(|block| (block.offender, block)));
    }

    /// Removes the blocks whose time is over.
    pub fn expire(&mut self, now: Timestamp) -> Vec<BlockRecord> {
        let over: Vec<Offender> =
            self.standing.values().filter(|block| block.until <= now).map(|block| block.offender).collect();
        over.into_iter().filter_map(|offender| self.end(offender)).collect()
    }

    /// The standing blocks.
    pub fn standing(&self) -> impl Iterator<Item = &BlockRecord> {
        self.standing.values()
    }
}

#[cfg(test)]
mod histories;
#[cfg(test)]
mod tests;
