//! The report of a replay. Its JSON form is a contract: other programs measure Sluice with it.

use core::net::IpAddr;
use core::time::Duration;
use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;
use traffic::decode::DecodeError;
use traffic::features::ThreatClass;
use traffic::features::schema::schema_hash_text;

use super::{MadeBlock, Outcome};
use crate::commands::model;
use crate::control::ShownModels;
use crate::health::Counters;
use crate::pipeline::Compared;
use crate::policy::{Alert, Mode};
use crate::web::api::{DisagreementRow, DriftState, ModelState};

/// The report; field names and units are those of the contract.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    packets: u64,
    bytes: u64,
    undecodable: u64,
    undecodable_kinds: BTreeMap<String, u64>,
    flows: u64,
    evicted: u64,
    verdicts: BTreeMap<&'static str, u64>,
    alerts: Vec<AlertLine>,
    blocks: Vec<BlockLine>,
    elapsed_s: f64,
    packets_per_s: f64,
    model: &'static str,
    shadow: Option<Shadow>,
    drift: DriftState,
    schema: String,
    #[serde(skip)]
    said: ModelState,
    #[serde(skip)]
    counters: Counters,
    #[serde(skip)]
    mode: Mode,
}

/// How another model would have taken the flows that ended.
#[derive(Debug, Serialize)]
struct Shadow {
    model: &'static str,
    flows: u64,
    disagreed: u64,
    disagreements: Vec<DisagreementRow>,
}

/// One alert.
#[derive(Debug, Serialize)]
pub(super) struct AlertLine {
    t: f64,
    class: &'static str,
    source: IpAddr,
    destination: IpAddr,
    port: Option<u16>,
    confidence: f32,
    because: String,
    flow_packet: u64,
}

/// One block.
#[derive(Debug, Serialize)]
pub(super) struct BlockLine {
    t: f64,
    address: String,
    source: IpAddr,
    action: &'static str,
    class: Option<&'static str>,
    ttl_s: u64,
    evidence_flows: u32,
    because: String,
}

impl AlertLine {
    pub fn new(t: f64, alert: &Alert, flow_packet: u64) -> Self {
        Self {
            t,
            class: alert.class.name(),
            source: alert.source,
            destination: alert.destination,
            port: alert.port,
            confidence: alert.confidence,
            because: alert.because.clone(),
            flow_packet,
        }
    }
}

impl BlockLine {
    pub fn new(t: f64, made: &MadeBlock) -> Self {
        let block = &made.record;
        Self {
            t,
            address: block.subject.to_string(),
            source: made.source,
            action: block.action.name(),
            class: block.class.map(ThreatClass::name),
            ttl_s: block.until.since(block.since).as_secs(),
            evidence_flows: made.evidence_flows,
            because: block.because.to_string(),
        }
    }
}

impl Summary {
    pub fn new(counters: &Counters, outcome: &Outcome, compared: Compared, elapsed: Duration) -> Self {
        let Outcome { models, drift_alarm, .. } = *outcome;
        let said = ModelState {
            shadow: models.shadow.map(|model| model.name.to_owned()),
            ..ModelState::of(&ShownModels {
                in_force: models,
                compared: Some(compared),
                drift_alarm,
                ..ShownModels::default()
            })
        };
        let shadow = models.shadow.map(|model| Shadow {
            model: model.name,
            flows: said.shadow_flows,
            disagreed: said.shadow_disagreed,
            disagreements: said.disagreements.clone(),
        });
        let elapsed_s = elapsed.as_secs_f64();
        let alert = |(alert, packet): &(Alert, u64)| AlertLine::new(outcome.seconds(alert.time), alert, *packet);
        let block = |made: &MadeBlock| BlockLine::new(outcome.seconds(made.record.since), made);
        Self {
            packets: counters.packets,
            bytes: counters.bytes,
            undecodable: counters.undecodable_total(),
            undecodable_kinds: DecodeError::ALL.iter().map(ToString::to_string).zip(counters.undecodable).collect(),
            flows: counters.flows,
            evicted: counters.evicted,
            verdicts: ThreatClass::ALL.into_iter().map(|c| (c.name(), counters.verdicts[c.number()])).collect(),
            alerts: outcome.alerts.iter().map(alert).collect(),
            blocks: outcome.blocks.iter().map(block).collect(),
            elapsed_s,
            packets_per_s: counters.packets as f64 / elapsed_s.max(1e-9),
            model: models.active.name,
            shadow,
            drift: said.drift.clone(),
            schema: schema_hash_text(),
            said,
            counters: *counters,
            mode: outcome.mode,
        }
    }

    pub fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        serde_json::to_writer(&mut *out, self)?;
        writeln!(out)
    }

    pub fn write_text(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(
            out,
            "{} packets, {} bytes, {} flows ({} evicted)",
            self.packets, self.bytes, self.flows, self.evicted
        )?;
        let not_ip = self.counters.not_ip;
        writeln!(out, "{not_ip} frames without IP, {} that could not be decoded", self.undecodable)?;
        for (kind, count) in self.undecodable_kinds.iter().filter(|(_, count)| **count > 0) {
            writeln!(out, "  {count} × {kind}")?;
        }
        write!(out, "flows by verdict:")?;
        for (class, count) in self.verdicts.iter().filter(|(_, count)| **count > 0) {
            write!(out, " {class} {count}")?;
        }
        writeln!(out)?;
        writeln!(out, "{} alerts", self.alerts.len())?;
        for alert in &self.alerts {
            let port = alert.port.map(|port| format!(" port {port}")).unwrap_or_default();
            let AlertLine { t, class, source, destination, confidence, because, .. } = alert;
            writeln!(out, "  {t:10.3} s  {class} by {source} against {destination}{port}, {confidence:.2}: {because}")?;
        }
        match self.mode {
            Mode::Enforce => writeln!(out, "{} blocks", self.blocks.len())?,
            Mode::Approve => writeln!(out, "{} blocks that would wait for an approval", self.blocks.len())?,
            Mode::Observe => writeln!(out, "no blocks: mode observe")?,
        }
        for block in &self.blocks {
            let BlockLine { t, address, action, ttl_s, because, .. } = block;
            writeln!(out, "  {t:10.3} s  {action} {address} for {ttl_s} s: {because}")?;
        }
        if self.shadow.is_some() {
            model::write_shadow(out, &self.said)?;
        }
        model::write_drift(out, &self.drift)?;
        let (elapsed_s, rate) = (self.elapsed_s, self.packets_per_s);
        writeln!(out, "{elapsed_s:.2} s, {rate:.0} packets/s, model {}, schema {}", self.model, self.schema)
    }
}
