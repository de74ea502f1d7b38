//! Evidence: what speaks against each source, added up over distinct flows and fading with time.
//!
//! A verdict on one flow can be wrong; several that agree hardly are. Each flow adds the logarithm of the odds of its
//! worst verdict, bounded, so that at least a few distinct flows are needed for a block. Evidence from flows whose
//! initiator is proven is kept apart: only that may lead to [`Action::Deny`], because anything else can be forged in
//! somebody else's name. A device of the household is known by its network card, which nobody outside can forge: all that
//! speaks against it leads to [`Action::Quarantine`].
//!
//! Harmless flows speak for their source, as in a sequential test (Wald 1945; Jung et al. 2004 for scans): who is now and then
//! taken for an attacker and otherwise gets answers is none. They take away two thirds at most of what speaks against it, so that
//! nobody can hide an attack among them.

use core::time::Duration;

use traffic::arena::{Arena, Footprint, Slot};
use traffic::features::{FeatureVector, Index, ThreatClass};
use traffic::time::Timestamp;

use super::victims::{FAIR_PARTS, Victims};
use super::weights::{self, log_odds};
use super::{ALERT_PAUSE, Action, Decision, Sighting, Subject, Thresholds, Tuning};
use crate::verdict::{Basis, FlowVerdict, Verdict};

/// One service in so many sources has room among the victims of floods.
const SOURCES_PER_VICTIM: usize = 16;

/// Evidence below this is none: what comes next is counted anew.
const FORGOTTEN: f32 = 0.05;

/// What a harmless flow takes away, as a part of what an attack of that confidence adds.
const RELIEF_PER_FLOW: f32 = 0.5;

/// The most that harmless flows take away, as a part of all that speaks against a source.
const MOST_RELIEF: f32 = 2.0 / 3.0;

/// Most alerts in a minute, over all sources that can be forged, and as many again over those that cannot: a flood from many
/// addresses must not become a flood of alerts, nor hide the others.
const ALERTS_PER_MINUTE: u32 = 120;

/// So many log-ins that came to nothing may be passwords that were mistyped; whoever has more to answer for is guessing. Half of
/// them are forgotten after the time: a third one speaks against its source where it comes within some five minutes of the first. A
/// quarter more than two, so that what is long ago makes no third.
const MISTYPED: f32 = 2.25;
/// Whoever begins so many log-ins in a minute does not type.
const MOST_LOGINS_BY_HAND: f32 = 10.0;
const MISTYPED_HALF_LIFE: Duration = Duration::from_secs(300);

const CLASSES: usize = ThreatClass::ALL.len();

/// What is known of one source.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// When the weights were last faded.
    faded: Timestamp,
    weights: [f32; CLASSES],
    /// The part of the sum of weights that came from proven flows.
    proven: f32,
    /// What harmless flows have brought since the first that was not.
    relief: f32,
    flows: u32,
    /// Log-ins that came to nothing, as far as can be seen.
    meagre_logins: f32,
    /// No alert of a class comes before.
    quiet_until: [Timestamp; CLASSES],
    /// The strictest block that was decided, and its end.
    blocked: Option<(Action, Timestamp)>,
}

/// The evidence against all sources and devices, and that for services which are flooded.
#[derive(Debug)]
pub struct Evidence {
    sources: Arena<Subject, Entry, 1>,
    victims: Victims,
    thresholds: Thresholds,
    block_ttl: Duration,
    alert_minute: u64,
    /// Of those that can be forged, and of the others.
    alerts_in_minute: [u32; 2],
    /// Alerts that were not raised because there were too many.
    pub alerts_suppressed: u64,
}

impl Evidence {
    /// Takes all memory at once, for so many sources; full: the one that was quiet longest goes. `seed` keys the hash.
    #[must_use]
    pub fn new(capacity: usize, tuning: &Tuning, seed: [u64; 2]) -> Self {
        let thresholds = tuning.thresholds;
        Self {
            sources: Arena::new(capacity, seed),
            victims: Victims::new(capacity / SOURCES_PER_VICTIM, thresholds, tuning.limit_per_s, seed),
            thresholds,
            block_ttl: tuning.block_ttl,
            alert_minute: 0,
            alerts_in_minute: [0; 2],
            alerts_suppressed: 0,
        }
    }

    /// Goes by other thresholds from now on. What speaks against somebody stays.
    pub fn tune(&mut self, tuning: &Tuning) {
        self.thresholds = tuning.thresholds;
        self.block_ttl = tuning.block_ttl;
        self.victims.tune(self.thresholds, tuning.limit_per_s);
    }

    /// What the tables take.
    #[must_use]
    pub const fn footprints(&self) -> [Footprint; 2] {
        [self.sources.footprint("evidence"), self.victims.footprint()]
    }

    /// Adds a sighting of a flow that was taken for `before` until now and is taken for `after` with it: only what goes
    /// beyond what the same flow said already counts. `sink` takes decisions; one that it cannot take, for which it returns
    /// false, comes again with the next flow.
    pub fn add(
        &mut self,
        sighting: &Sighting,
        before: FlowVerdict,
        after: FlowVerdict,
        sink: &mut dyn FnMut(Decision) -> bool,
    ) {
        if !is_the_sources_doing(sighting) {
            if self.victims.add(sighting, before, after, sink) && self.alert(*sighting, sink) {
                self.victims.alerted(sighting);
            }
            return;
        }
        let (now, subject) = (sighting.time, sighting.offender());
        let slot = self.sources.find_or_insert(Slot::NONE, subject, || Entry::new(now));
        let entry = self.sources.get_mut(slot);
        entry.fade(now);
        entry.add(sighting, before, after);
        let (left, _) = entry.left();
        if let Some(action) = entry.due_action(sighting, self.thresholds.block) {
            let class = entry.strongest(sighting.verdict.class);
            let decided = Sighting { verdict: Verdict { class, ..sighting.verdict }, ..*sighting };
            if sink(Decision::Block { sighting: decided, subject, action, evidence_flows: entry.flows }) {
                entry.settle(action, now.plus(self.block_ttl));
            }
        }
        let class = sighting.verdict.class;
        // Whoever may be blocked for one flow is told of for it, however little that adds to what speaks against it.
        if (left >= self.thresholds.alert || sighting.suffices())
            && entry.may_alert(class, now)
            && self.alert(*sighting, sink)
        {
            self.sources.get_mut(slot).quiet_until[class.number()] = now.plus(ALERT_PAUSE);
        }
    }

    /// A flow of the subject's has ended that was harmless from its beginning to its end and that somebody answered; `confidence`
    /// is that of the last verdict.
    pub fn relieve(&mut self, subject: Subject, confidence: f32, now: Timestamp) {
        if let Some(slot) = self.sources.find(&subject) {
            let entry = self.sources.get_mut(slot);
            entry.fade(now);
            entry.relief += RELIEF_PER_FLOW * log_odds(confidence);
        }
    }

    /// A log-in of the subject's came to nothing, as far as can be seen.
    pub fn meagre_login(&mut self, subject: Subject, now: Timestamp) {
        let slot = self.sources.find_or_insert(Slot::NONE, subject, || Entry::new(now));
        let entry = self.sources.get_mut(slot);
        entry.fade(now);
        entry.meagre_logins += 1.0;
    }

    /// Whether a log-in of the subject's came to nothing lately, and they are all so few that it may have mistyped its password.
    /// `features` are those of one of its flows.
    #[must_use]
    pub fn may_have_mistyped(&self, subject: Subject, features: &FeatureVector, now: Timestamp) -> bool {
        let value = |index: Index| features.get(index as usize).copied().unwrap_or_default();
        let left = |entry: &Entry| entry.meagre_logins * weights::faded_by(MISTYPED_HALF_LIFE, entry.faded, now);
        value(Index::SrcMeagreLogins60s) > 0.0
            && value(Index::SrcLogins60s) < MOST_LOGINS_BY_HAND
            && self.sources.find(&subject).is_none_or(|slot| left(self.sources.get(slot)) <= MISTYPED)
    }

    /// Raises an alert for a sighting that needs no evidence, unless there was one of that source and class just now.
    pub fn alert_at_once(&mut self, sighting: &Sighting, sink: &mut dyn FnMut(Decision) -> bool) {
        let now = sighting.time;
        let class = sighting.verdict.class;
        let slot = self.sources.find_or_insert(Slot::NONE, sighting.offender(), || Entry::new(now));
        let entry = self.sources.get_mut(slot);
        entry.fade(now);
        if entry.may_alert(class, now) && self.alert(*sighting, sink) {
            self.sources.get_mut(slot).quiet_until[class.number()] = now.plus(ALERT_PAUSE);
        }
    }

    /// Learns until when something is done about the subject, which the evidence alone does not say: it depends on what came
    /// before.
    pub fn blocked(&mut self, subject: Subject, end: Timestamp) {
        if let Subject::Service(target) = subject {
            return self.victims.limited(target, end);
        }
        if let Some(slot) = self.sources.find(&subject)
            && let Some((_, until)) = &mut self.sources.get_mut(slot).blocked
        {
            *until = end;
        }
    }

    /// Forgets what speaks against the subject: somebody has ended its block.
    pub fn forgive(&mut self, subject: Subject) {
        if let Subject::Service(target) = subject {
            return self.victims.forgive(target);
        }
        if let Some(slot) = self.sources.find(&subject) {
            self.sources.remove(slot);
        }
    }

    fn alert(&mut self, sighting: Sighting, sink: &mut dyn FnMut(Decision) -> bool) -> bool {
        let minute = sighting.time.as_secs() / 60;
        if minute != self.alert_minute {
            (self.alert_minute, self.alerts_in_minute) = (minute, [0; 2]);
        }
        let is_known = sighting.proven || sighting.device().is_some();
        let in_minute = &mut self.alerts_in_minute[usize::from(is_known)];
        if *in_minute == ALERTS_PER_MINUTE {
            self.alerts_suppressed += 1;
            return false;
        }
        let taken = sink(Decision::Alert(sighting));
        *in_minute += u32::from(taken);
        taken
    }
}

/// A flood is seen at its destination, by whoever else comes there too: it speaks against a source only if a fair part of it
/// comes from there. The rest are the victims of the flood, or its forged senders. A flow that is a flood by itself has its sender,
/// however many others come.
fn is_the_sources_doing(sighting: &Sighting) -> bool {
    if matches!(sighting.basis, Basis::Rule(rule) if rule.is_about_the_flow()) {
        return true;
    }
    let is_large_part = |of_source, of_all| sighting.value(of_source) * FAIR_PARTS >= sighting.value(of_all);
    sighting.verdict.class != ThreatClass::Flood
        || is_large_part(Index::SrcFlows2s, Index::DstFlows2s)
            && is_large_part(Index::SrcFlows60s, Index::DstServiceFlows60s)
}

impl Entry {
    const fn new(now: Timestamp) -> Self {
        Self {
            faded: now,
            weights: [0.0; CLASSES],
            proven: 0.0,
            relief: 0.0,
            flows: 0,
            meagre_logins: 0.0,
            quiet_until: [Timestamp::EPOCH; CLASSES],
            blocked: None,
        }
    }

    /// Lets the weights fade.
    fn fade(&mut self, now: Timestamp) {
        if self.faded.is_from_before_a_reset(now) {
            *self = Self::new(now);
        }
        let factor = weights::faded(self.faded, now);
        for weight in &mut self.weights {
            *weight *= factor;
        }
        self.proven *= factor;
        self.relief *= factor;
        self.meagre_logins *= weights::faded_by(MISTYPED_HALF_LIFE, self.faded, now);
        let is_blocked = self.blocked.is_some_and(|(_, until)| now < until);
        if !is_blocked && self.total() + self.proven < FORGOTTEN {
            (self.relief, self.flows) = (0.0, 0);
        }
        self.faded = self.faded.max(now);
    }

    /// All that speaks against the source.
    fn total(&self) -> f32 {
        self.weights.iter().sum()
    }

    /// What is left of that after what speaks for it: of all, and of the proven part.
    fn left(&self) -> (f32, f32) {
        let all = self.total().max(self.proven);
        let part = if all > 0.0 { (1.0 - self.relief / all).max(1.0 - MOST_RELIEF) } else { 1.0 };
        (self.total() * part, self.proven * part)
    }

    /// Adds what the flow's worst verdict has grown by, and to the proven part all of it once the flow is proven. While the
    /// source is blocked its connections fail because of that, and only what is proven still counts.
    fn add(&mut self, sighting: &Sighting, before: FlowVerdict, after: FlowVerdict) {
        let is_blocked = self.blocked.is_some_and(|(_, until)| sighting.time < until);
        if is_blocked && !after.proven {
            return;
        }
        let weight =
            |verdict: Verdict| if verdict.class == ThreatClass::Benign { 0.0 } else { log_odds(verdict.confidence) };
        let more = weight(after.worst) - weight(before.worst);
        self.weights[after.worst.class.number()] += more;
        if after.proven {
            self.proven += if before.proven { more } else { weight(after.worst) };
        }
        self.flows = self.flows.saturating_add(u32::from(before.worst.class == ThreatClass::Benign));
    }

    /// The class that most of the evidence is for; `latest` where all of it was settled before.
    fn strongest(&self, latest: ThreatClass) -> ThreatClass {
        let weight = |class: ThreatClass| self.weights[class.number()];
        ThreatClass::ALL.into_iter().fold(latest, |best, class| if weight(class) > weight(best) { class } else { best })
    }

    fn may_alert(&self, class: ThreatClass, now: Timestamp) -> bool {
        now >= self.quiet_until[class.number()]
    }

    /// What should be done that is not being done already.
    fn due_action(&self, sighting: &Sighting, threshold: f32) -> Option<Action> {
        let now = sighting.time;
        let (all, proven) = self.left();
        let is_enough = all >= threshold || sighting.suffices();
        let is_proven = proven >= threshold || sighting.suffices() && sighting.proven;
        let action = match (is_proven, is_enough) {
            (true, _) | (false, true) if sighting.device().is_some() => Action::Quarantine,
            (true, _) => Action::Deny,
            (false, true) => Action::DenyNew,
            (false, false) => return None,
        };
        let standing = self.blocked.filter(|(_, until)| now < *until).map(|(action, _)| action);
        standing.is_none_or(|standing| action > standing).then_some(action)
    }

    /// A block was decided: what follows it must be proven anew, so that a block which ends is not renewed by the past. What
    /// is proven stays, so that a milder block can still become a stricter one.
    fn settle(&mut self, action: Action, until: Timestamp) {
        self.blocked = Some((action, until));
        self.weights = [0.0; CLASSES];
        if action != Action::DenyNew {
            (self.proven, self.relief, self.flows) = (0.0, 0.0, 0);
        }
    }
}

#[cfg(test)]
mod tests;
