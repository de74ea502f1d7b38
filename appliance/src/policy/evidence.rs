//! Evidence: what speaks against each source, added up over distinct flows and fading with time.
//!
//! A verdict on one flow can be wrong; several that agree hardly are. Each flow adds the logarithm of the odds of its
//! worst verdict, bounded, so that at least a few distinct flows are needed for a block. Evidence from flows whose
//! initiator is proven is kept apart: only that may lead to [`Action::Deny`], because anything else can be forged in
//! somebody else's name.

use core::net::IpAddr;
use core::time::Duration;

use traffic::arena::{Arena, Footprint, Slot};
use traffic::features::{FeatureVector, Index, ThreatClass};
use traffic::time::Timestamp;

use super::{Action, Alert, BlockRecord, Ladder, Offender, Profile};
use crate::verdict::{Basis, FlowVerdict, Verdict, explain};

/// The most that one flow adds: the odds of a confidence of 0.95.
const MOST_PER_FLOW: f32 = 2.944_439;

/// That confidence, and the terms of the power series that it takes.
const MOST_CONFIDENCE: f32 = 0.95;
const LOG_ODDS_TERMS: u32 = 60;

/// Evidence loses half of its weight in this time.
const HALF_LIFE: Duration = Duration::from_secs(60);

/// The same source and class raise one alert in this time.
const ALERT_PAUSE: Duration = Duration::from_secs(60);

/// A source whose flows are at least one in so many of those that its destination gets has a fair part in them.
const FAIR_PARTS: f32 = 4.0;

/// Evidence below this is none: what comes next is counted anew.
const FORGOTTEN: f32 = 0.05;

/// Most alerts in a minute, over all sources: a flood from many addresses must not become a flood of alerts.
const ALERTS_PER_MINUTE: u32 = 120;

const CLASSES: usize = ThreatClass::ALL.len();

/// A flow that looks like an attack, at a checkpoint.
#[derive(Clone, Copy, Debug)]
pub struct Sighting {
    /// When.
    pub time: Timestamp,
    /// Who began the flow.
    pub source: IpAddr,
    /// The other side.
    pub destination: IpAddr,
    /// The other side's port, for TCP and UDP.
    pub port: Option<u16>,
    /// What it looks like.
    pub verdict: Verdict,
    /// What said so.
    pub basis: Basis,
    /// What the verdict was made from: the reason is told from it.
    pub features: FeatureVector,
    /// How many packets the flow had.
    pub flow_packets: u64,
    /// The source's address is proven by a completed handshake.
    pub proven: bool,
}

impl Sighting {
    /// The sighting as a person sees it. Not for the packet path: it makes texts.
    #[must_use]
    pub fn alert(&self) -> Alert {
        Alert {
            time: self.time,
            class: self.verdict.class,
            source: self.source,
            destination: self.destination,
            port: self.port,
            confidence: self.verdict.confidence,
            because: explain(self.verdict, self.basis, &self.features),
        }
    }

    /// The block that the sighting tipped the scales for, in the name of the program. Not for the packet path either.
    #[must_use]
    pub fn block(&self, action: Action, evidence_flows: u32, offence: u32, ladder: &Ladder) -> BlockRecord {
        let (class, reason) = (self.verdict.class.name(), explain(self.verdict, self.basis, &self.features));
        let step = ladder.words(offence);
        BlockRecord {
            offender: Offender::of(self.source),
            action,
            class: Some(self.verdict.class),
            offence,
            since: self.time,
            until: self.time.plus(ladder.length(offence)),
            because: format!("{class}: {reason}; evidence of {evidence_flows} flows; {step}").into(),
            actor: "sluice".into(),
        }
    }
}

/// What follows from evidence. It is a value without references or allocation, so that it can cross to the control thread.
#[derive(Clone, Copy, Debug)]
pub enum Decision {
    /// A person should see this.
    Alert(Sighting),
    /// The source should be blocked.
    Block {
        /// The flow that tipped the scales.
        sighting: Sighting,
        /// How.
        action: Action,
        /// How many distinct flows spoke against the source.
        evidence_flows: u32,
    },
}

/// What is known of one source.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// When the weights were last faded.
    faded: Timestamp,
    weights: [f32; CLASSES],
    /// The part of the sum of weights that came from proven flows.
    proven: f32,
    flows: u32,
    alerted: [Option<Timestamp>; CLASSES],
    /// The strictest block that was decided, and its end.
    blocked: Option<(Action, Timestamp)>,
}

/// The evidence against all sources.
#[derive(Debug)]
pub struct Evidence {
    sources: Arena<Offender, Entry, 1>,
    thresholds: Thresholds,
    block_ttl: Duration,
    alert_minute: u64,
    alerts_in_minute: u32,
    /// Alerts that were not raised because there were too many.
    pub alerts_suppressed: u64,
}

/// How much evidence it takes.
#[derive(Clone, Copy, Debug)]
struct Thresholds {
    alert: f32,
    block: f32,
}

impl Thresholds {
    /// In sums of log-odds. One flow adds 2.94 at most, so a block takes at least 2, 5 or 7 flows.
    const fn of(profile: Profile) -> Self {
        match profile {
            Profile::Strict => Self { alert: 1.5, block: 5.0 },
            Profile::Balanced => Self { alert: 2.9, block: 12.0 },
            Profile::Lenient => Self { alert: 5.0, block: 20.0 },
        }
    }
}

impl Evidence {
    /// Takes all memory at once, for so many sources; full: the one that was quiet longest goes. `seed` keys the hash; a
    /// block is taken to last `block_ttl` until [`Self::blocked`] says otherwise.
    #[must_use]
    pub fn new(capacity: usize, profile: Profile, block_ttl: Duration, seed: [u64; 2]) -> Self {
        Self {
            sources: Arena::new(capacity, seed),
            thresholds: Thresholds::of(profile),
            block_ttl,
            alert_minute: 0,
            alerts_in_minute: 0,
            alerts_suppressed: 0,
        }
    }

    /// What the table takes.
    pub const fn footprint(&self) -> Footprint {
        self.sources.footprint("evidence")
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
        let now = sighting.time;
        let slot = self.sources.find_or_insert(Slot::NONE, Offender::of(sighting.source), || Entry::new(now));
        let entry = self.sources.get_mut(slot);
        entry.fade(now);
        let mut total = entry.total();
        if is_the_sources_doing(sighting) {
            entry.add(sighting, before, after);
            total = entry.total();
            if let Some(action) = entry.due_action(self.thresholds.block, now) {
                let class = entry.strongest(sighting.verdict.class);
                let decided = Sighting { verdict: Verdict { class, ..sighting.verdict }, ..*sighting };
                if sink(Decision::Block { sighting: decided, action, evidence_flows: entry.flows }) {
                    entry.settle(action, now.plus(self.block_ttl));
                }
            }
        } else {
            total += log_odds(sighting.verdict.confidence);
        }
        let class = sighting.verdict.class;
        if total >= self.thresholds.alert && entry.may_alert(class, now) && self.alert(*sighting, sink) {
            self.sources.get_mut(slot).alerted[class.number()] = Some(now);
        }
    }

    /// Raises an alert for a sighting that needs no evidence, unless there was one of that source and class just now.
    pub fn alert_at_once(&mut self, sighting: &Sighting, sink: &mut dyn FnMut(Decision) -> bool) {
        let now = sighting.time;
        let class = sighting.verdict.class;
        let slot = self.sources.find_or_insert(Slot::NONE, Offender::of(sighting.source), || Entry::new(now));
        if self.sources.get_mut(slot).may_alert(class, now) && self.alert(*sighting, sink) {
            self.sources.get_mut(slot).alerted[class.number()] = Some(now);
        }
    }

    /// Learns until when a source is blocked, which the evidence alone does not say: it depends on what came before.
    pub fn blocked(&mut self, offender: Offender, end: Timestamp) {
        if let Some(slot) = self.sources.find(&offender)
            && let Some((_, until)) = &mut self.sources.get_mut(slot).blocked
        {
            *until = end;
        }
    }

    /// Forgets what speaks against a source: somebody has ended its block.
    pub fn forgive(&mut self, offender: Offender) {
        if let Some(slot) = self.sources.find(&offender) {
            self.sources.remove(slot);
        }
    }

    fn alert(&mut self, sighting: Sighting, sink: &mut dyn FnMut(Decision) -> bool) -> bool {
        let minute = sighting.time.as_secs() / 60;
        if minute != self.alert_minute {
            (self.alert_minute, self.alerts_in_minute) = (minute, 0);
        }
        if self.alerts_in_minute == ALERTS_PER_MINUTE {
            self.alerts_suppressed += 1;
            return false;
        }
        let taken = sink(Decision::Alert(sighting));
        self.alerts_in_minute += u32::from(taken);
        taken
    }
}

/// A flood is seen at its destination, by whoever else comes there too: it speaks against a source only if a fair part of it
/// comes from there. The rest are the victims of the flood, or its forged senders.
fn is_the_sources_doing(sighting: &Sighting) -> bool {
    let value = |index: Index| sighting.features.get(index as usize).copied().unwrap_or_default();
    let is_large_part = |of_source, of_all| value(of_source) * FAIR_PARTS >= value(of_all);
    sighting.verdict.class != ThreatClass::Flood
        || is_large_part(Index::SrcFlows2s, Index::DstFlows2s)
            && is_large_part(Index::SrcFlows60s, Index::DstServiceFlows60s)
}

impl Entry {
    const fn new(now: Timestamp) -> Self {
        Self { faded: now, weights: [0.0; CLASSES], proven: 0.0, flows: 0, alerted: [None; CLASSES], blocked: None }
    }

    /// Lets the weights fade: by half for each half-life, and in a straight line within one, which needs no library
    /// function and is the same number on every machine.
    fn fade(&mut self, now: Timestamp) {
        if self.faded.is_from_before_a_reset(now) {
            *self = Self::new(now);
        }
        let passed_s = now.since(self.faded).as_secs_f32();
        let half_lives = passed_s / HALF_LIFE.as_secs_f32();
        let whole = half_lives.floor();
        let factor =
            if whole >= 32.0 { 0.0 } else { (1.0 - 0.5 * (half_lives - whole)) / (1_u64 << whole as u32) as f32 };
        for weight in &mut self.weights {
            *weight *= factor;
        }
        self.proven *= factor;
        let is_blocked = self.blocked.is_some_and(|(_, until)| now < until);
        if !is_blocked && self.total() + self.proven < FORGOTTEN {
            self.flows = 0;
        }
        self.faded = self.faded.max(now);
    }

    /// All that speaks against the source.
    fn total(&self) -> f32 {
        self.weights.iter().sum()
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
        self.alerted[class.number()].is_none_or(|last| now.since(last) >= ALERT_PAUSE)
    }

    /// What should be done that is not being done already.
    fn due_action(&self, threshold: f32, now: Timestamp) -> Option<Action> {
        let action = match (self.proven >= threshold, self.total() >= threshold) {
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
        if action == Action::Deny {
            (self.proven, self.flows) = (0.0, 0);
        }
    }
}

/// The logarithm of the odds of a confidence, from 0 to [`MOST_PER_FLOW`]. It is 2 artanh(2c - 1), as a power series: a
/// library's logarithm differs in the last digit from one machine to the next.
fn log_odds(confidence: f32) -> f32 {
    let x = 2.0 * confidence.clamp(0.5, MOST_CONFIDENCE) - 1.0;
    let (mut power, mut sum, mut odd) = (x, 0.0, 1.0);
    // The last term is below 0.9^121 / 121, which no f32 of this size shows.
    for _ in 0..LOG_ODDS_TERMS {
        sum += power / odd;
        power *= x * x;
        odd += 2.0;
    }
    (2.0 * sum).min(MOST_PER_FLOW)
}

#[cfg(test)]
mod tests;
