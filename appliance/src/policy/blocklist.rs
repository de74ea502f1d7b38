//! The blocks that should stand: decisions pass the rails on their way in, and every block ends.

use core::net::Ipv4Addr;
use core::time::Duration;
use std::collections::BTreeMap;

use traffic::features::ThreatClass;
use traffic::time::Timestamp;

use super::trips::Trips;
use super::{
    Action, BlockRecord, BlockState, Held, LIMIT_LENGTH, Ladder, Mode, Modes, PastBlock, Rails, Sighting, Subject,
    Target, Trip,
};

/// How long a block by hand may last: every block ends.
pub const LONGEST_BLOCK: Duration = Duration::from_secs(365 * 86_400);

/// Services that are limited at once.
const LIMITED_SERVICES: usize = 64;

/// Why a block was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A rail protects the subject.
    Protected(&'static str),
    /// A block stands already; until then nothing need be decided.
    Stands(Timestamp),
    /// A trip holds it back.
    Held(Held),
    /// There are as many blocks as are allowed.
    Full,
    /// Nothing waits for an approval.
    NotProposed,
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
    pub max_blocks: u32,
    /// Most new blocks in a minute, of those that could be forged and of proven ones each (`policy.max_blocks_per_minute`).
    pub max_blocks_per_minute: u32,
    /// Most of the household's devices at once (`policy.max_share_of_lan`); one always.
    pub max_share_of_lan: f32,
    /// How long a subject is exempt after a person has ended its block.
    pub unblock_grace: Duration,
    /// How long a block waits for a person's approval (`policy.approval_s`).
    pub approval: Duration,
}

/// The standing blocks and the rails.
#[derive(Debug)]
pub struct Blocklist {
    /// Whom nothing is ever done to.
    pub rails: Rails,
    modes: Modes,
    bounds: Bounds,
    trips: Trips,
    standing: BTreeMap<Subject, BlockRecord>,
}

impl Blocklist {
    /// No blocks yet.
    #[must_use]
    pub fn new(rails: Rails, modes: Modes, bounds: Bounds) -> Self {
        Self { rails, modes, bounds, trips: Trips::default(), standing: BTreeMap::new() }
    }

    /// The modes.
    #[must_use]
    pub const fn modes(&self) -> &Modes {
        &self.modes
    }

    /// Puts other bounds in the place of the last. What stands stays, and who offended before is remembered on the new ladder.
    pub fn set_bounds(&mut self, bounds: Bounds) {
        let before = core::mem::replace(&mut self.bounds, bounds);
        self.bounds.ladder.take_over(before.ladder);
    }

    /// Sets the mode of a class of attacks, or that of all, and ends the blocks that do not go with it; those are returned.
    pub fn set_mode(&mut self, class: Option<ThreatClass>, mode: Mode, now: Timestamp) -> Vec<BlockRecord> {
        self.modes.set(class, mode);
        let modes = &self.modes;
        let ends = |block: &&BlockRecord| !modes.of(block.class).keeps(block.state);
        let ended: Vec<BlockRecord> = self.standing.values().filter(ends).cloned().collect();
        for block in &ended {
            self.standing.remove(&block.subject);
            self.remember_end(block, now);
        }
        ended
    }

    /// Carries a decision on evidence out: the ladder says for how long, and the mode whether it is done at once. A block that
    /// stands is made stricter for the same offence, and not prolonged otherwise; a limit is prolonged.
    ///
    /// # Errors
    /// It was not made: see [`Refusal`].
    pub fn decide(
        &mut self,
        sighting: &Sighting,
        subject: Subject,
        action: Action,
        evidence_flows: u32,
        now: Timestamp,
    ) -> Result<Made, Refusal> {
        self.rails.see_offender(sighting, now);
        self.check(subject, action, now)?;
        if let Some(why) = self.rails.pardon(subject, now) {
            return Err(Refusal::Protected(why));
        }
        if action != Action::Limit
            && let Some(why) = self.rails.protect_origin(sighting)
        {
            return Err(Refusal::Protected(why));
        }
        let class = Some(sighting.verdict.class);
        let mut state = self.modes.of(class).state();
        let offence = match self.standing.get(&subject) {
            // What a person did by hand stands as it is.
            Some(block) if block.class.is_none() => return Err(Refusal::Stands(block.settles_until(action, now))),
            // A limit is prolonged as it was approved.
            Some(block) if action == Action::Limit => {
                state = if block.is_enforced() { BlockState::Enforced } else { state };
                0
            }
            Some(block) if covers(block, self.rails.soften(subject, action, now), state) => {
                return Err(Refusal::Stands(block.settles_until(action, now)));
            }
            Some(block) => {
                let offence = block.offence;
                // What was only said took no part in the trips.
                if state == BlockState::Enforced && !block.is_enforced() {
                    self.check_trips(subject, action, now).map_err(Refusal::Held)?;
                }
                offence
            }
            None => {
                self.check_trips(subject, action, now).map_err(Refusal::Held)?;
                if action == Action::Limit { 0 } else { self.bounds.ladder.offence(subject, now) }
            }
        };
        let length = if state == BlockState::Proposed { self.bounds.approval } else { self.length(action, offence) };
        let block = BlockRecord {
            subject,
            action,
            state,
            class,
            offence,
            // Not by the time of the packet: the clock may have been set since.
            since: now,
            until: now.plus(length),
            because: self.reason(sighting, action, evidence_flows, offence).into(),
            actor: "sluice".into(),
        };
        self.block(block, now)
    }

    fn reason(&self, sighting: &Sighting, action: Action, evidence_flows: u32, offence: u32) -> String {
        let (class, reason) = (sighting.verdict.class.name(), sighting.because());
        let measure = match action {
            Action::Limit => String::from("from too many addresses to block them one by one"),
            _ => self.bounds.ladder.words(offence),
        };
        format!("{class}: {reason}; evidence of {evidence_flows} flows; {measure}")
    }

    fn length(&self, action: Action, offence: u32) -> Duration {
        if action == Action::Limit { LIMIT_LENGTH } else { self.bounds.ladder.length(offence) }
    }

    /// Does what was proposed, in the name of a person; from now on it lasts as long as it would have.
    ///
    /// # Errors
    /// Nothing was proposed, or no longer may be done.
    pub fn approve(&mut self, subject: Subject, actor: &str, now: Timestamp) -> Result<Made, Refusal> {
        let is_proposed = |block: &&BlockRecord| block.state == BlockState::Proposed && now < block.until;
        let proposed = self.standing.get(&subject).filter(is_proposed).cloned().ok_or(Refusal::NotProposed)?;
        self.check(subject, proposed.action, now)?;
        let block = BlockRecord {
            action: self.rails.soften(subject, proposed.action, now),
            state: BlockState::Enforced,
            since: now,
            until: now.plus(self.length(proposed.action, proposed.offence)),
            actor: actor.into(),
            ..proposed
        };
        let before = self.standing.insert(subject, block.clone());
        Ok(Made { block, before, displaced: None })
    }

    /// Adds a block, or prolongs one or makes it stricter; one that is done takes the place of what was only said. Where there
    /// are as many as are allowed, one that follows from proof and is done takes the place of one that could be forged: or forged
    /// senders could keep the true one in.
    ///
    /// # Errors
    /// It was not made: see [`Refusal`].
    pub fn block(&mut self, wanted: BlockRecord, now: Timestamp) -> Result<Made, Refusal> {
        let subject = wanted.subject;
        self.check(subject, wanted.action, now)?;
        let (may_displace, mut displaced) = (wanted.action >= Action::Deny && wanted.is_enforced(), None);
        let mut block = BlockRecord { action: self.rails.soften(subject, wanted.action, now), ..wanted };
        match self.standing.get(&subject) {
            Some(standing) if covers(standing, block.action, block.state) && standing.until >= block.until => {
                return Err(Refusal::Stands(standing.settles_until(wanted.action, now)));
            }
            // What is only said changes nothing of what is done.
            Some(standing) if standing.is_enforced() && !block.is_enforced() => {
                return Err(Refusal::Stands(standing.settles_until(wanted.action, now)));
            }
            Some(standing) => {
                block.offence = block.offence.max(standing.offence);
                if standing.is_enforced() == block.is_enforced() {
                    block.action = block.action.max(standing.action);
                    block.until = block.until.max(standing.until);
                }
            }
            None => {
                block.offence = block.offence.max(self.bounds.ladder.remembered(subject, now));
                if self.is_full_for(block.action) {
                    displaced = may_displace.then(|| self.displace(now)).flatten();
                    if displaced.is_none() {
                        return Err(Refusal::Full);
                    }
                }
            }
        }
        if block.class.is_none() {
            // Whoever unblocked it has thought better of it.
            self.rails.end_exemption(subject);
        }
        let before = self.standing.insert(subject, block.clone());
        Ok(Made { block, before, displaced })
    }

    /// Limits have a bound of their own.
    fn is_full_for(&self, action: Action) -> bool {
        // Services are the last in order, and few.
        let first = Target { destination: Ipv4Addr::UNSPECIFIED.into(), protocol: 0, port: None };
        let limits = self.standing.range(Subject::Service(first)..).count();
        match action {
            Action::Limit => limits >= LIMITED_SERVICES,
            Action::DenyNew | Action::Deny | Action::Quarantine => {
                self.standing.len() - limits >= self.bounds.max_blocks as usize
            }
        }
    }

    /// What comes before any block: the rails, and the end of a block whose time is over.
    fn check(&mut self, subject: Subject, action: Action, now: Timestamp) -> Result<(), Refusal> {
        if self.standing.get(&subject).is_some_and(|block| block.until <= now) {
            self.end(subject);
        }
        let from_forgery = || self.rails.protect_from_forgery(subject, now).filter(|_| action == Action::DenyNew);
        let protected = self.rails.protect(subject, now).or_else(from_forgery);
        protected.map_or(Ok(()), |why| Err(Refusal::Protected(why)))
    }

    /// A block on evidence is counted, and held back where there are too many.
    fn check_trips(&mut self, subject: Subject, action: Action, now: Timestamp) -> Result<(), Held> {
        if let Some(trip) = Trip::of(action) {
            self.trips.count(trip, self.bounds.max_blocks_per_minute, now)?;
        }
        if !self.rails.is_at_home(subject) {
            return Ok(());
        }
        let is_one =
            |block: &&BlockRecord| block.class.is_some() && block.is_enforced() && self.rails.is_at_home(block.subject);
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
            |block: &&BlockRecord| block.action == Action::DenyNew && !self.rails.is_at_home(block.subject);
        let first = self.standing.values().filter(is_forgeable).min_by_key(|block| block.until)?.subject;
        let ended = self.standing.remove(&first)?;
        self.remember_end(&ended, now);
        Some(ended)
    }

    fn end(&mut self, subject: Subject) -> Option<BlockRecord> {
        let ended = self.standing.remove(&subject)?;
        self.remember_end(&ended, ended.until);
        Some(ended)
    }

    /// Only what was done is an offence that counts.
    fn remember_end(&mut self, ended: &BlockRecord, time: Timestamp) {
        if ended.is_enforced() {
            self.bounds.ladder.remember(&ended.ended(time));
        }
    }

    /// Ends a block in the name of a person: the offence is taken back, and the offender is exempt for a while. The block, and
    /// what is remembered of it; `None` where none stands.
    pub fn unblock(&mut self, subject: Subject, now: Timestamp) -> Option<(BlockRecord, PastBlock)> {
        let ended = self.standing.remove(&subject)?;
        let past = PastBlock {
            offence: ended.offence.saturating_sub(u32::from(ended.class.is_some())),
            exempt_until: Some(now.plus(self.bounds.unblock_grace)),
            ..ended.ended(now)
        };
        self.remember(&past, now);
        Some((ended, past))
    }

    /// Ends the blocks of those who are protected by now: allow beats block, also where it became known only after the block
    /// was made.
    pub fn lift_protected(&mut self, now: Timestamp) -> Vec<BlockRecord> {
        let is_protected = |block: &&BlockRecord| self.rails.protect(block.subject, now).is_some();
        let lifted: Vec<BlockRecord> = self.standing.values().filter(is_protected).cloned().collect();
        for block in &lifted {
            self.standing.remove(&block.subject);
            self.remember_end(block, now);
        }
        lifted
    }

    /// Makes the blocks milder of those who are needed by now; those are returned.
    pub fn soften_needed(&mut self, now: Timestamp) -> Vec<BlockRecord> {
        let rails = &self.rails;
        let softened = |block: &mut BlockRecord| {
            let action = rails.soften(block.subject, block.action, now);
            let is_softer = action != block.action;
            block.action = action;
            is_softer
        };
        self.standing.values_mut().filter_map(|block| softened(block).then(|| block.clone())).collect()
    }

    /// The clock was set back by so much: every block ends as much earlier, so that none lasts longer than it was made for.
    pub fn clock_set_back(&mut self, by: Duration) {
        for block in self.standing.values_mut() {
            (block.since, block.until) = (block.since.minus(by), block.until.minus(by));
        }
        self.rails.clock_set_back(by);
    }

    /// Takes in what is known of a block that has ended: at the start, from the store.
    pub fn remember(&mut self, past: &PastBlock, now: Timestamp) {
        self.bounds.ladder.remember(past);
        if let Some(until) = past.exempt_until.filter(|until| now < *until) {
            // No longer than today's configuration says, and than was promised if the clock was set back meanwhile.
            self.rails.exempt(past.subject, until.since(now).min(self.bounds.unblock_grace), now);
        }
    }

    /// Takes a block back that could not be put into the kernel: what stood before it stands again.
    pub fn withdraw(&mut self, made: Made) {
        let subject = made.block.subject;
        self.standing.remove(&subject);
        self.standing.extend(made.before.into_iter().chain(made.displaced).map(|block| (block.subject, block)));
    }

    /// Removes the blocks whose time is over.
    pub fn expire(&mut self, now: Timestamp) -> Vec<BlockRecord> {
        let over: Vec<Subject> =
            self.standing.values().filter(|block| block.until <= now).map(|block| block.subject).collect();
        over.into_iter().filter_map(|subject| self.end(subject)).collect()
    }

    /// The standing blocks.
    pub fn standing(&self) -> impl Iterator<Item = &BlockRecord> {
        self.standing.values()
    }
}

/// The standing block is as strict, and has come as far.
fn covers(standing: &BlockRecord, action: Action, state: BlockState) -> bool {
    standing.action >= action && (standing.is_enforced() || state != BlockState::Enforced)
}

#[cfg(test)]
mod histories;
#[cfg(test)]
mod tests;
