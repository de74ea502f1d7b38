//! The path of a packet, from frame to decision: the same for the live wire and for a replayed capture.
//!
//! It runs in one thread and, once made, allocates nothing, takes no lock and writes no log.

use std::sync::Arc;

use traffic::address::Mac;
use traffic::arena::Footprint;
use traffic::decode::{DecodeError, Frame, Packet, datagram, dns, hop_limit};
use traffic::extractor::{Extractor, Observation};
use traffic::features::{FEATURE_COUNT, ThreatClass};
use traffic::flow::FlowEnd;
use traffic::limits::Limits;
use traffic::protocols::{SCTP, TCP, UDP};
use traffic::services::DNS_PORT;
use traffic::time::Timestamp;

use crate::capture::{Arrival, Port};
use crate::health::Counters;
use crate::policy::{Decision, Devices, Evidence, Neighbourhood, Sighting, Subject, Tuning, was_routed};
use crate::verdict::lists::{AskedName, List};
use crate::verdict::{
    Basis, Disagreement, Drift, Drifted, FlowVerdicts, Models, Origin, Rulebook, Shadowing, Verdict, judge,
};

/// Evidence against a source outlives what the windows keep of it: so many times as many sources have room there.
const EVIDENCE_PER_SOURCE: usize = 2;

/// What the path needs to know.
#[derive(Clone, Debug)]
pub struct PipelineConfig {
    /// Capacities.
    pub limits: Limits,
    /// How it decides, until [`Pipeline::tune`] says otherwise.
    pub tuning: Tuning,
    /// The models that judge, until [`Pipeline::judge_by`] says otherwise.
    pub models: Models,
    /// What is judged by beside them.
    pub rules: Arc<Rulebook>,
    /// What is known of the network.
    pub around: Arc<Neighbourhood>,
    /// Key of the hash tables.
    pub seed: [u64; 2],
}

/// The stages and what they count.
#[derive(Debug)]
pub struct Pipeline {
    extractor: Extractor,
    judgement: Judgement,
    counters: Counters,
}

/// What happens at a checkpoint. Apart from the extractor, because it runs while that is at work.
#[derive(Debug)]
struct Judgement {
    models: Models,
    shadowing: Shadowing,
    drift: Drift,
    rules: Arc<Rulebook>,
    flow_verdicts: FlowVerdicts,
    devices: Devices,
    evidence: Evidence,
    verdicts: [u64; ThreatClass::ALL.len()],
}

/// A flow that ended, and what it was taken for.
#[derive(Clone, Copy, Debug)]
pub struct EndedFlow<'a> {
    /// The flow.
    pub observation: &'a Observation<'a>,
    /// Its worst verdict.
    pub verdict: Verdict,
}

/// What is said of the models in force, since they are.
#[derive(Clone, Copy, Debug)]
pub struct Compared {
    /// Which they are.
    pub models: Models,
    /// How flows that ended were taken, and would have been by the shadow model.
    pub disagreement: Disagreement,
    /// How unlike its training data the active model finds the traffic.
    pub drifted: Drifted,
}

/// Who hears of what comes out of the path.
pub trait Listener {
    /// Something should be done or seen; false where it could not be taken and should come again.
    fn decision(&mut self, decision: Decision) -> bool;

    /// A flow is at a checkpoint, and its features were computed; `device` of the household began it, where that is known.
    /// Most have no use for them.
    fn checkpoint(&mut self, _: &Observation<'_>, _device: Option<Mac>) {}

    /// A flow ended.
    fn flow_ended(&mut self, ended: &EndedFlow<'_>);
}

impl Pipeline {
    /// Takes all memory that it will ever use.
    #[must_use]
    pub fn new(config: &PipelineConfig) -> Self {
        Self {
            extractor: Extractor::new(&config.limits, config.seed),
            judgement: Judgement {
                models: config.models,
                shadowing: Shadowing::default(),
                drift: Drift::new(config.models.active),
                rules: Arc::clone(&config.rules),
                flow_verdicts: FlowVerdicts::new(config.limits.flows),
                devices: Devices::new(Arc::clone(&config.around), config.seed),
                evidence: Evidence::new(config.limits.sources * EVIDENCE_PER_SOURCE, &config.tuning, config.seed),
                verdicts: [0; ThreatClass::ALL.len()],
            },
            counters: Counters::default(),
        }
    }

    /// What each of its tables takes.
    pub fn footprints(&self) -> impl Iterator<Item = Footprint> {
        let judgement = [self.judgement.flow_verdicts.footprint(), self.judgement.devices.footprint()];
        let evidence = self.judgement.evidence.footprints();
        let lists = List::footprint(&self.judgement.rules.lists);
        self.extractor.footprints().chain(judgement).chain(evidence).chain((lists.entries > 0).then_some(lists))
    }

    /// Takes one frame through the path.
    pub fn frame(&mut self, arrival: &Arrival<'_>, listener: &mut dyn Listener) {
        let Arrival { time, port, frame } = arrival;
        self.counters.packets += 1;
        self.counters.bytes += u64::from(frame.wire_len_bytes);
        let judgement = &mut self.judgement;
        let mut checkpoint = |seen: &Observation<'_>| {
            judgement.see_sender(seen, frame, *port);
            judgement.checkpoint(seen, listener);
        };
        match self.extractor.frame(frame, *time, &mut checkpoint) {
            Ok(Some(outcome)) => {
                self.counters.flows += u64::from(outcome.created);
                self.counters.evicted += u64::from(outcome.evicted);
                if outcome.to_name_server {
                    self.judgement.query(frame, *time, outcome.flow, listener);
                }
            }
            Ok(None) => self.counters.not_ip += 1,
            Err(error) => self.count_undecodable(error),
        }
    }

    /// Lets time pass while no frames come.
    pub fn idle(&mut self, now: Timestamp, listener: &mut dyn Listener) {
        let judgement = &mut self.judgement;
        self.extractor.expire(now, &mut |seen| judgement.checkpoint(seen, listener));
    }

    /// Ends all flows: the capture is over.
    pub fn finish(&mut self, listener: &mut dyn Listener) {
        let judgement = &mut self.judgement;
        self.extractor.finish(&mut |seen| judgement.checkpoint(seen, listener));
    }

    /// Learns what the network looks like now.
    pub fn learn(&mut self, around: Arc<Neighbourhood>) {
        self.judgement.devices.learn(around);
    }

    /// Learns until when something is done about a subject.
    pub fn blocked(&mut self, subject: Subject, until: Timestamp) {
        self.judgement.evidence.blocked(subject, until);
    }

    /// Forgets what speaks against a subject.
    pub fn forgive(&mut self, subject: Subject) {
        self.judgement.evidence.forgive(subject);
    }

    /// Decides in another way from now on.
    pub fn tune(&mut self, tuning: &Tuning) {
        self.judgement.evidence.tune(tuning);
    }

    /// Judges by other models from now on. What was said of those before is forgotten, as far as they are others.
    pub fn judge_by(&mut self, models: Models) {
        self.judgement.judge_by(models);
    }

    /// What there is to say of the models in force.
    #[must_use]
    pub fn compared(&self) -> Compared {
        let Judgement { models, shadowing, drift, .. } = &self.judgement;
        Compared { models: *models, disagreement: shadowing.disagreement(), drifted: drift.drifted() }
    }

    /// Puts other rules and lists in the place of those in force, which it gives back: the caller sees to it that they are not
    /// freed in the packet thread.
    pub fn replace_rules(&mut self, rules: Arc<Rulebook>) -> Arc<Rulebook> {
        core::mem::replace(&mut self.judgement.rules, rules)
    }

    /// How many flows are in the table.
    #[must_use]
    pub fn flows(&self) -> usize {
        self.extractor.flows()
    }

    /// What was counted so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        Counters {
            verdicts: self.judgement.verdicts,
            alerts_suppressed: self.judgement.evidence.alerts_suppressed,
            ..self.counters
        }
    }

    fn count_undecodable(&mut self, error: DecodeError) {
        let place = DecodeError::ALL.iter().position(|kind| *kind == error);
        if let Some(counter) = place.and_then(|place| self.counters.undecodable.get_mut(place)) {
            *counter += 1;
        }
    }
}

impl Judgement {
    /// Whose frame it was that led to the checkpoint. Flows that ended by their silence meanwhile have no sender.
    fn see_sender(&mut self, seen: &Observation<'_>, frame: &Frame<'_>, port: Port) {
        let (Some(sender), Some(mac)) = (seen.sender, frame.sender()) else { return };
        let begins = sender == seen.initiator && self.flow_verdicts.origin(seen.flow).is_none();
        let is_routed = begins && hop_limit(frame).is_some_and(was_routed);
        self.devices.see(mac, port, sender, is_routed, seen.time);
        if begins {
            let device = self.devices.device(mac, port, sender, seen.time);
            let is_inside = self.devices.is_inside(port);
            self.flow_verdicts.begun(seen.flow, Origin { device, is_inside, is_routed });
        }
    }

    /// Where the flow began. Where no port is known to be the household's, all come from outside.
    fn origin(&self, flow: u64) -> Option<Origin> {
        self.flow_verdicts.origin(flow).or_else(|| (!self.devices.know_sides()).then(Origin::default))
    }

    fn checkpoint(&mut self, seen: &Observation<'_>, listener: &mut dyn Listener) {
        let origin = self.origin(seen.flow);
        let device = origin.and_then(|origin| origin.device);
        listener.checkpoint(seen, device);
        let subject = Subject::offender(device, seen.initiator);
        if seen.meagre_login {
            self.evidence.meagre_login(subject, seen.time);
        }
        let may_have_mistyped = self.evidence.may_have_mistyped(subject, seen.features, seen.time);
        let hears = |class| is_to_be_heard(class, seen);
        let rule = self.rules.accusing(seen.features, hears);
        let is_excused = self.rules.excuses(seen.features);
        let hears_model = |class| match class {
            ThreatClass::BruteForce if may_have_mistyped => false,
            class => hears(class) && !(is_excused && is_excusable(class)),
        };
        let (mut verdict, basis) = judge(self.models.active, rule, seen.features, hears_model);
        let shadow = self.models.shadow.map(|model| judge(model, rule, seen.features, hears_model).0);
        let mut shadow = shadow.unwrap_or(Verdict { class: ThreatClass::Benign, confidence: 0.0 });
        let mut by_list = None;
        if let Some((list, began)) = self.rules.listed(seen.initiator, seen.responder).filter(|_| seen.begun) {
            let listed = sighting_by_list(seen, origin, list, began);
            if seen.packets == 1 {
                self.evidence.alert_at_once(&listed, &mut |decision| listener.decision(decision));
            }
            if list.config.block && listed.verdict.is_worse_than(shadow) {
                shadow = listed.verdict;
            }
            if list.config.block && !basis.suffices() && listed.verdict.is_worse_than(verdict) {
                verdict = listed.verdict;
                by_list = Some(listed);
            }
        }
        let (before, after) = self.flow_verdicts.record(seen.flow, verdict, seen.proven);
        let worst_of_shadow = self.models.shadow.map(|_| self.flow_verdicts.shadowed(seen.flow, shadow));
        self.shadowing.see(seen.flow);
        if verdict.class != ThreatClass::Benign {
            let sighting = by_list.unwrap_or_else(|| sighting(seen, origin, verdict, basis));
            self.evidence.add(&sighting, before, after, &mut |decision| listener.decision(decision));
        }
        if seen.end.is_some_and(|end| end != FlowEnd::Segment) {
            self.verdicts[after.worst.class.number()] += 1;
            if after.worst.class == ThreatClass::Benign && seen.begun && seen.proven {
                self.evidence.relieve(subject, verdict.confidence, seen.time);
            }
            self.compare(seen, after.worst.class, worst_of_shadow);
            listener.flow_ended(&EndedFlow { observation: seen, verdict: after.worst });
        }
    }

    fn judge_by(&mut self, models: Models) {
        if models.shadow != self.models.shadow || models.active != self.models.active {
            self.shadowing.begin_anew();
        }
        if models.active != self.models.active {
            self.drift = Drift::new(models.active);
        }
        self.models = models;
    }

    /// Takes in how a flow that ended was taken. What looks like an attack is not held against harmless training data.
    fn compare(&mut self, seen: &Observation<'_>, active: ThreatClass, shadow: Option<ThreatClass>) {
        if let Some(shadow) = shadow {
            self.shadowing.ended(seen.flow, active, shadow);
        }
        if active == ThreatClass::Benign {
            self.drift.take(seen.features, seen.time);
        }
    }

    /// Looks at the name that a datagram to a name server asks for. It is seen in each packet, not at checkpoints only, because
    /// some clients ask for all their names in one flow.
    fn query(&mut self, frame: &Frame<'_>, time: Timestamp, flow: u64, listener: &mut dyn Listener) {
        if !self.rules.has_domains() {
            return;
        }
        let Some((packet, payload)) = datagram(frame) else { return };
        let Some((list, asked)) = dns::question(payload).and_then(|question| self.rules.listed_name(question)) else {
            return;
        };
        let origin = self.origin(flow);
        let sighting = Sighting { origin, ..sighting_by_name(&packet, time, list, asked) };
        self.evidence.alert_at_once(&sighting, &mut |decision| listener.decision(decision));
        if list.config.block {
            let (before, after) = self.flow_verdicts.record(flow, sighting.verdict, sighting.proven);
            // Lists count for both models.
            self.flow_verdicts.shadowed(flow, sighting.verdict);
            self.evidence.add(&sighting, before, after, &mut |decision| listener.decision(decision));
        }
    }
}

/// Whether what a flow looks like speaks against its initiator. Where that was never seen sending, nothing is its doing. That a password was
/// guessed shows when the connection ends: until then, whoever mistyped it before may be logging in. Fragments without ports are a flow of
/// their own, which is never answered: what they are shows in the flow of the first ones.
fn is_to_be_heard(class: ThreatClass, seen: &Observation<'_>) -> bool {
    let is_of_fragments = matches!(seen.protocol, TCP | UDP | SCTP) && seen.responder_port.is_none();
    seen.begun
        && !is_of_fragments
        && (class != ThreatClass::BruteForce || seen.end.is_some_and(|end| end != FlowEnd::Segment))
}

/// What a rule of the class benign excuses of: what is told from harmless traffic by counting connections.
const fn is_excusable(class: ThreatClass) -> bool {
    matches!(class, ThreatClass::Scan | ThreatClass::Flood)
}

/// A flow that its initiator is accused for.
fn sighting(seen: &Observation<'_>, origin: Option<Origin>, verdict: Verdict, basis: Basis) -> Sighting {
    Sighting {
        time: seen.time,
        last_packet: seen.last_packet,
        source: seen.initiator,
        origin,
        destination: seen.responder,
        protocol: seen.protocol,
        port: seen.responder_port,
        verdict,
        basis,
        features: *seen.features,
        flow_packets: seen.packets,
        proven: seen.proven,
    }
}

/// A flow that a list accuses: whoever is on it is the offender, also where the other side began.
fn sighting_by_list(seen: &Observation<'_>, origin: Option<Origin>, list: &List, began: bool) -> Sighting {
    let listed = sighting(seen, origin, list.config.verdict, Basis::List { name: list.config.name, began });
    if began {
        return listed;
    }
    Sighting {
        source: seen.responder,
        origin: Some(Origin::default()),
        destination: seen.initiator,
        port: None,
        ..listed
    }
}

/// A question for a name that is on a list: whoever asks is the offender. The datagram alone proves nothing.
fn sighting_by_name(packet: &Packet, time: Timestamp, list: &List, asked: AskedName) -> Sighting {
    Sighting {
        time,
        last_packet: time,
        source: packet.source,
        origin: None,
        destination: packet.destination,
        protocol: packet.protocol,
        port: Some(DNS_PORT),
        verdict: list.config.verdict,
        basis: Basis::Domain { list: list.config.name, asked },
        features: [0.0; FEATURE_COUNT],
        flow_packets: 1,
        proven: false,
    }
}

#[cfg(test)]
mod tests;
