//! Victims: services that are flooded from so many addresses that none of them does much. Blocking the addresses would be of
//! no use, since most are forged and each comes once; what opens connections to the service is limited instead. Where a flood
//! goes to many ports of a host, as answers that nobody asked for do (amplification), all its ports are limited as one.
//!
//! A limit is decided where many distinct flows to the service look like a flood, none of which is its source's own doing,
//! more flows come than the limit would let through, and they come from many addresses. While a limit stands the service
//! leaves connections unanswered because of it; it is renewed only as long as more come than it lets through. A flow that ends
//! by its silence looks as it did when it came, and alone does not show that the flood goes on.
//!
//! A group of IPv6 that is flooded with the messages of forged routers and neighbours is limited as a host is; there all above the limit
//! is lost.
//!
//! Alerts about such a flood go by the victim too: one for each of its senders would be another flood.

use core::time::Duration;

use traffic::arena::{Arena, Footprint, Slot};
use traffic::features::{Index, ThreatClass};
use traffic::time::Timestamp;

use super::weights;
use super::{ALERT_PAUSE, Action, Decision, Sighting, Target, Thresholds};
use crate::verdict::{FlowVerdict, Verdict};

/// How long a limit stands after it was last decided on.
pub const LIMIT_LENGTH: Duration = Duration::from_secs(60);

/// A limit that ends within this time is decided on anew where the flood goes on.
const RENEWED_BEFORE: Duration = Duration::from_secs(20);

/// A flow that was silent for longer shows no flood that goes on: the time over which one is counted.
const FRESH: Duration = Duration::from_secs(2);

/// From fewer addresses in a minute at least one does a fair part of a flood, and is dealt with itself.
const LEAST_SOURCES: f32 = 5.0;

/// Whoever has at least one in so many of the flows that come to a host has a fair part in them.
pub(super) const FAIR_PARTS: f32 = 4.0;

/// So many times as much evidence as for the block of a source: a limit costs every visitor some time.
const CAUTION: f32 = 4.0;

/// What is known of one service, or of all ports of a host.
#[derive(Clone, Copy, Debug)]
struct Entry {
    faded: Timestamp,
    weight: f32,
    flows: u32,
    /// A second, and the flows of the flood that began in the one before and in it.
    second: u64,
    in_seconds: [u32; 2],
    alerted: Option<Timestamp>,
    limited_until: Option<Timestamp>,
}

/// The evidence that services are flooded. Full: the one that was quiet longest goes.
#[derive(Debug)]
pub(super) struct Victims {
    services: Arena<Target, Entry, 1>,
    thresholds: Thresholds,
    limit_per_s: u32,
}

impl Victims {
    /// Takes all memory at once. `limit_per_s` is what a limited service may get.
    pub fn new(capacity: usize, thresholds: Thresholds, limit_per_s: u32, seed: [u64; 2]) -> Self {
        Self { services: Arena::new(capacity, seed), thresholds, limit_per_s }
    }

    /// Goes by other thresholds, and another limit, from now on.
    pub const fn tune(&mut self, thresholds: Thresholds, limit_per_s: u32) {
        (self.thresholds, self.limit_per_s) = (thresholds, limit_per_s);
    }

    /// What the table takes.
    pub const fn footprint(&self) -> Footprint {
        self.services.footprint("victims of floods")
    }

    /// Adds a sighting of a flood that is not its source's own doing; whether a person should be told. `sink` as for
    /// [`super::Evidence::add`].
    pub fn add(
        &mut self,
        sighting: &Sighting,
        before: FlowVerdict,
        after: FlowVerdict,
        sink: &mut dyn FnMut(Decision) -> bool,
    ) -> bool {
        let now = sighting.time;
        let target = place_of(sighting);
        let most = 2 * self.limit_per_s;
        let slot = self.services.find_or_insert(Slot::NONE, target, || Entry::new(now));
        let entry = self.services.get_mut(slot);
        entry.fade(now);
        entry.weight += (weight(after.worst) - weight(before.worst)).max(0.0);
        // After the clock was set back, all flows of before end by their silence.
        let is_fresh = now.since(sighting.last_packet) <= FRESH && !sighting.last_packet.is_from_before_a_reset(now);
        if before.worst.class == ThreatClass::Benign {
            entry.flows = entry.flows.saturating_add(1);
            if is_fresh {
                entry.count(now);
            }
        }
        let can_be_limited = is_fresh && sighting.target().is_some() && entry.is_flooded(target, sighting, most);
        let tells =
            entry.weight >= self.thresholds.alert && entry.alerted.is_none_or(|last| now.since(last) >= ALERT_PAUSE);
        let stands = entry.limited_until.is_some_and(|until| until.since(now) > RENEWED_BEFORE);
        if can_be_limited && !stands && entry.weight >= self.thresholds.block * CAUTION {
            let (subject, action, evidence_flows) = (target.into(), Action::Limit, entry.flows);
            if sink(Decision::Block { sighting: *sighting, subject, action, evidence_flows }) {
                entry.limited_until = Some(now.plus(LIMIT_LENGTH));
                (entry.weight, entry.flows) = (0.0, 0);
            }
        }
        tells
    }

    /// A person was told of it.
    pub fn alerted(&mut self, sighting: &Sighting) {
        self.change(place_of(sighting), |entry| entry.alerted = Some(sighting.time));
    }

    /// Learns until when a service is limited.
    pub fn limited(&mut self, target: Target, until: Timestamp) {
        self.change(target, |entry| entry.limited_until = Some(until));
    }

    /// Forgets what speaks for a limit.
    pub fn forgive(&mut self, target: Target) {
        if let Some(slot) = self.services.find(&target) {
            self.services.remove(slot);
        }
    }

    fn change(&mut self, target: Target, change: impl FnOnce(&mut Entry)) {
        if let Some(slot) = self.services.find(&target) {
            change(self.services.get_mut(slot));
        }
    }
}

impl Entry {
    const fn new(now: Timestamp) -> Self {
        let second = now.as_secs();
        Self { faded: now, weight: 0.0, flows: 0, second, in_seconds: [0; 2], alerted: None, limited_until: None }
    }

    /// Counts a flow of the flood that goes on.
    fn count(&mut self, now: Timestamp) {
        let [_, running] = self.in_seconds;
        self.in_seconds = match now.as_secs().saturating_sub(self.second) {
            0 => self.in_seconds,
            1 => [running, 0],
            _ => [0; 2],
        };
        self.second = self.second.max(now.as_secs());
        let [_, running] = &mut self.in_seconds;
        *running = running.saturating_add(1);
    }

    /// More than `most` flows came in 2 s, and from many addresses. What comes to a host is not all of the flood, and not by one
    /// protocol: of all its ports those flows alone count that are.
    fn is_flooded(&self, target: Target, sighting: &Sighting, most: u32) -> bool {
        if target.is_of_all_ports() {
            let [before, running] = self.in_seconds;
            before.saturating_add(running) > most && sighting.value(Index::DstSources2s) >= LEAST_SOURCES
        } else {
            sighting.value(Index::DstServiceFlows2s) > most as f32
                && sighting.value(Index::DstServiceSources60s) >= LEAST_SOURCES
        }
    }

    fn fade(&mut self, now: Timestamp) {
        if self.faded.is_from_before_a_reset(now) {
            *self = Self::new(now);
        }
        self.weight *= weights::faded(self.faded, now);
        self.faded = self.faded.max(now);
    }
}

/// Where a flow counts: at its service, if that has a fair part of what comes to its host, or else at all ports of the host.
fn place_of(sighting: &Sighting) -> Target {
    let Sighting { destination, protocol, port, .. } = *sighting;
    let is_large_part = sighting.value(Index::DstServiceFlows2s) * FAIR_PARTS >= sighting.value(Index::DstFlows2s);
    Target { destination: destination.to_canonical(), protocol, port: port.filter(|_| is_large_part) }
}

fn weight(verdict: Verdict) -> f32 {
    if verdict.class == ThreatClass::Flood { weights::log_odds(verdict.confidence) } else { 0.0 }
}
