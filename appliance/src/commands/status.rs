//! `sluice status`: what the daemon does now.

use std::io::{self, Write};
use std::path::Path;

use super::{Failure, model};
use crate::web::Client;
use crate::web::api::{AllowanceRow, Events, ObservedRow, State};

pub(super) fn status(socket: &Path, json: bool) -> Result<(), Failure> {
    let state = Client::new(socket).state()?;
    let mut out = io::stdout().lock();
    if json {
        serde_json::to_writer_pretty(&mut out, &state)?;
        writeln!(out)?;
    } else {
        write_text(&mut out, &state)?;
    }
    Ok(())
}

fn write_text(out: &mut impl Write, state: &State) -> io::Result<()> {
    writeln!(out, "{}", state.summary)?;
    writeln!(out, "the light says: {}", state.light)?;
    if let Some(left_s) = state.paused_left_s {
        writeln!(out, "enforcement pauses for {left_s} s yet; `sluice resume` ends that")?;
    }
    for fault in &state.faults {
        writeln!(out, "  ! {fault}")?;
    }
    let State { mode, bridge, ports, model, uptime_s, .. } = state;
    for (class, mode) in &state.class_modes {
        writeln!(out, "  mode {mode} for {class}")?;
    }
    writeln!(out, "mode {mode}, bridge {bridge} of {} and {}, model {model}, up {uptime_s} s", ports[0], ports[1])?;
    writeln!(out, "{}", state.orientation())?;
    match &state.page {
        Some(page) => writeln!(out, "page {page}")?,
        None => writeln!(out, "no page is open")?,
    }
    let State { packets, bytes, flows, undecodable, ring_drops, passed_over, dropped_packets, .. } = state;
    writeln!(out, "{packets} packets ({bytes} bytes) seen, {dropped_packets} stopped, {flows} flows now")?;
    writeln!(
        out,
        "{undecodable} could not be decoded, {ring_drops} came too fast to be read, {passed_over} were passed over"
    )?;
    state.events.as_ref().map_or(Ok(()), |events| write_events(out, events))
}

fn write_events(out: &mut impl Write, events: &Events) -> io::Result<()> {
    let Events { blocks_standing, blocks_proposed, blocks_observed, models, .. } = events;
    if let Some(code) = &events.setup_code {
        writeln!(out, "no password of the page is set yet: its set-up code is {code}")?;
    }
    if models.shadow.is_some() {
        model::write_shadow(out, models)?;
    }
    model::write_drift(out, &models.drift)?;
    writeln!(
        out,
        "{blocks_standing} blocks stand, {blocks_proposed} wait for approval, {blocks_observed} would be made"
    )?;
    for block in &events.blocks {
        let (whom, action, until, because) = (block.whom(), &block.action, &block.until, &block.because);
        let state = match block.state.as_str() {
            "proposed" => "waits for approval: ",
            "observed" => "would be made: ",
            _ => "",
        };
        writeln!(out, "  {state}{whom} {action} until {until} by {}: {because}", block.actor)?;
    }
    write_observed(out, &events.observed)?;
    for AllowanceRow { who, until, actor, .. } in &events.allowances {
        let until = until.as_deref().map_or_else(|| "for good".to_owned(), |until| format!("until {until}"));
        writeln!(out, "allowed {until} by {actor}: {who}")?;
    }
    writeln!(out, "last alerts (`sluice explain` with the number says more):")?;
    for alert in &events.alerts {
        let port = alert.port.map(|port| format!(" port {port}")).unwrap_or_default();
        let (time, class, source, destination) = (&alert.time, &alert.class, &alert.source, &alert.destination);
        let label = alert.label.as_ref().map(|label| format!(" (labelled {label})")).unwrap_or_default();
        let (number, because) = (alert.number, &alert.because);
        let device = alert.device.as_ref().map(|device| format!(" ({device})")).unwrap_or_default();
        writeln!(out, "  {number}: {time} {class} by {source}{device} against {destination}{port}{label}: {because}")?;
    }
    Ok(())
}

/// Who would have been blocked while the box only observed.
fn write_observed(out: &mut impl Write, observed: &[ObservedRow]) -> io::Result<()> {
    if !observed.is_empty() {
        writeln!(out, "would have been blocked in the last 7 days (`sluice explain` with the address says more):")?;
    }
    for ObservedRow { block, times } in observed {
        let (whom, action, since, until) = (block.whom(), &block.action, &block.since, &block.until);
        let often = if *times > 1 { format!(", {times} times in all") } else { String::new() };
        writeln!(out, "  {whom} {action} from {since} until {until}{often}: {}", block.because)?;
    }
    Ok(())
}
