//! `sluice selftest`: proves that this box does what it is for, one line for each step.

use std::io::{self, Write};

use anyhow::anyhow;

use super::Failure;
use crate::config::Config;
use crate::selftest::{self, Report, Step};

/// Runs it.
///
/// # Errors
/// A step has failed.
pub(super) fn selftest(config: &Config, json: bool, without_ports: bool) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let mut steps = Vec::new();
    // The first part takes seconds, and a person sees it come.
    let parts: [fn(&Config) -> Vec<Step>; 2] = [selftest::prove, selftest::look_around];
    for part in parts.into_iter().take(if without_ports { 1 } else { 2 }) {
        for step in part(config) {
            if !json {
                writeln!(out, "{:<7} {step}", step.word())?;
            }
            steps.push(step);
        }
    }
    let failed = steps.iter().filter(|step| step.has_failed()).count();
    if json {
        serde_json::to_writer_pretty(&mut out, &Report { ok: failed == 0, steps })?;
        writeln!(out)?;
    }
    match failed {
        0 => Ok(()),
        _ => Err(anyhow!("{failed} of the steps have failed: see the lines above").into()),
    }
}
