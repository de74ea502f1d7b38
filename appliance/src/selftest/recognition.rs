//! Capture and model: our own rings see what crosses the bridge, and our own path recognises the scan in it.

use core::net::IpAddr;
use core::time::Duration;
use std::sync::Arc;

use traffic::address::Mac;
use traffic::decode::{Frame, LinkType};
use traffic::extractor::Observation;
use traffic::features::ThreatClass;
use traffic::limits::Limits;
use traffic::time::Timestamp;

use super::Step;
use super::frames::{MACS, SCANNER, Sent, VISITOR, scan, visits};
use super::stage::{PORTS, Stage};
use crate::capture::FrameSource;
use crate::capture::live::Live;
use crate::capture::{Arrival, Port};
use crate::clock::Stopwatch;
use crate::config::Config;
use crate::linux::packet_ring::RingConfig;
use crate::pipeline::{EndedFlow, Listener, Pipeline, PipelineConfig};
use crate::policy::{Alert, Decision};
use crate::verdict::{BUILT_IN, Models, Rulebook};

/// How long the rings may take to hand over what they have.
const PATIENCE: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(20);

/// Enough for the frames of the test.
const LIMITS: Limits = Limits { flows: 1_024, sources: 64, destinations: 256, pairs: 64, leaks: 64 };

/// What was seen: when, how long it was, and its bytes.
#[derive(Debug, Default)]
pub(super) struct Captured(Vec<(Timestamp, u32, Vec<u8>)>);

impl Captured {
    /// What would be seen where nothing can be sent: a frame each millisecond.
    pub(super) fn made_up() -> Self {
        let frames = all_frames().into_iter().map(|(_, frame)| frame);
        let time = |index| Timestamp::from_secs(1).plus(Duration::from_millis(index));
        Self((0..).zip(frames).map(|(index, frame)| (time(index), frame.len() as u32, frame)).collect())
    }
}

fn all_frames() -> Vec<Sent> {
    [visits(), scan()].concat()
}

/// Sends it all through the bridge, each frame after the one before has arrived.
pub(super) fn capture(stage: &Stage) -> (Step, Captured) {
    let mut captured = Captured::default();
    let step = match see(stage, &mut captured) {
        Ok(sent) if sent == captured.0.len() => Step::ok("capture", format!("the rings saw all {sent} frames")),
        Ok(sent) => Step::failed(
            "capture",
            format!("the rings saw {} of {sent} frames", captured.0.len()),
            "see `dmesg`, and whether the board has memory and time left",
        ),
        Err(why) => Step::failed("capture", why, "the kernel needs CONFIG_PACKET with TPACKET_V3"),
    };
    (step, captured)
}

fn see(stage: &Stage, captured: &mut Captured) -> Result<usize, String> {
    let mut live = Live::open(PORTS, RingConfig::small()).map_err(|error| error.to_string())?;
    let frames = all_frames();
    for (number, (end, frame)) in frames.iter().enumerate() {
        let crossed = stage.crossing(*end, core::slice::from_ref(frame));
        if !matches!(crossed.as_deref(), Ok([true])) {
            return Err(format!("frame {number} of {} did not cross the bridge", frames.len()));
        }
    }
    let begin = Stopwatch::start();
    while captured.0.len() < frames.len() && begin.elapsed() < PATIENCE {
        let polled = live.poll(POLL, &mut |arrival| {
            let Frame { bytes, wire_len_bytes, .. } = arrival.frame;
            // The kernel speaks up on new interfaces as well.
            if bytes.get(6..12).is_some_and(|sender| MACS.iter().any(|mac| mac == sender)) {
                captured.0.push((arrival.time, wire_len_bytes, bytes.to_vec()));
            }
        });
        polled.map_err(|cause| format!("the rings cannot be read: {cause}"))?;
    }
    Ok(frames.len())
}

/// What the path made of it.
#[derive(Default)]
struct Heard {
    /// Flows of the scanner that the model alone takes for a scan.
    scans: u32,
    /// Whom something was decided against, and how many flows spoke for it.
    blocked: Vec<(IpAddr, u32)>,
    alerts: Vec<Alert>,
}

impl Listener for Heard {
    fn decision(&mut self, decision: Decision) -> bool {
        match decision {
            Decision::Alert(sighting) => self.alerts.push(sighting.alert(self.alerts.len() as u64 + 1)),
            Decision::Block { sighting, evidence_flows, .. } => self.blocked.push((sighting.source, evidence_flows)),
        }
        true
    }

    fn checkpoint(&mut self, seen: &Observation<'_>, _: Option<Mac>) {
        let is_scan = seen.initiator == SCANNER[0] && BUILT_IN.judge(seen.features).class == ThreatClass::Scan;
        self.scans += u32::from(is_scan && seen.end.is_some());
    }

    fn flow_ended(&mut self, _: &EndedFlow<'_>) {}
}

/// Runs it through the path with the compiled-in model and the default rules.
pub(super) fn model(config: &Config, captured: &Captured) -> Step {
    let rules = Rulebook { rules: Config::default().rules, ..Rulebook::default() };
    let mut pipeline = Pipeline::new(&PipelineConfig {
        limits: LIMITS,
        tuning: config.tuning(),
        models: Models::default(),
        rules: Arc::new(rules),
        around: Arc::default(),
        seed: [0, 0],
    });
    let mut heard = Heard::default();
    for (time, wire_len_bytes, bytes) in &captured.0 {
        let frame = Frame { link: LinkType::Ethernet, bytes, wire_len_bytes: *wire_len_bytes, vlan_tag: None };
        pipeline.frame(&Arrival { time: *time, port: Port::First, frame }, &mut heard);
    }
    pipeline.finish(&mut heard);
    heard.step()
}

impl Heard {
    fn step(&self) -> Step {
        const NAME: &str = "model";
        const REMEDY: &str = "this build cannot be trusted: build it with another model (models/active)";
        let is_accused = |who| self.alerts.iter().any(|alert| alert.source == who);
        let because = self.alerts.iter().find(|alert| alert.source == SCANNER[0] && alert.class == ThreatClass::Scan);
        let blocked = self.blocked.iter().find(|(who, _)| *who == SCANNER[0]);
        match (because, blocked) {
            _ if is_accused(VISITOR[0]) => {
                Step::failed(NAME, format!("the visits of {} were taken for an attack", VISITOR[0]), REMEDY)
            }
            (Some(_), Some(_)) if self.scans == 0 => {
                Step::failed(NAME, "a scan was recognised by the rules, but not by the model", REMEDY)
            }
            (Some(alert), Some((who, flows))) => {
                let why = &alert.because;
                let seen =
                    format!("the scan by {who} would be blocked after {flows} connections: {why}; visits would not");
                Step::ok(NAME, seen)
            }
            _ => Step::failed(NAME, format!("the scan by {} was not recognised", SCANNER[0]), REMEDY),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scan_is_recognised_and_the_visits_are_not_taken_for_one() {
        let step = model(&Config::default(), &Captured::made_up());
        assert!(!step.has_failed(), "{step}");
    }

    #[test]
    fn without_a_scan_the_step_fails() {
        let Captured(mut frames) = Captured::made_up();
        frames.truncate(visits().len());
        let step = model(&Config::default(), &Captured(frames));
        assert!(step.has_failed() && step.seen.contains("not recognised"), "{step}");
    }
}
