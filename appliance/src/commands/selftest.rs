//! `sluice selftest`: proves that this box does what it is for, one line for each step.

use std::io::{self, Write};

use anyhow::anyhow;
use serde::Serialize;

use super::Failure;
use crate::config::Config;
use crate::selftest::{self, Step};

/// All of it, for programs.
#[derive(Serialize)]
struct Report {
    ok: bool,
    steps: Vec<Step>,
}

/// Runs it.
///
/// # Errors
/// A step has failed.
pub(super) fn selftest(config: &Config, json: bool) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let mut steps = Vec::new();
    // The first part takes seconds, and a person sees it come.
    for part in [selftest::prove, selftest::look_around] {
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
