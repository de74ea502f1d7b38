//! The self-test: proves on the box that runs it that frames are seen, a scan is recognised, its sender is kept out, and let
//! in again.
//!
//! [`prove`] does so in a network namespace that one thread makes for itself: two hosts of the documentation's networks with
//! a bridge between them, which end with the thread, whatever ends it. The real network, a running daemon and its blocks are
//! not touched. [`look_around`] looks at the real ports and the disk, and changes nothing.
//!
//! The steps, in this order: rights, bridge ([`stage`]), capture and model ([`recognition`]), nftables and the end of a
//! block ([`prevention`]), clean-up; then ports and disk ([`surroundings`]).

mod frames;
mod prevention;
mod recognition;
mod stage;
mod surroundings;

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::linux::links::Links;
use crate::linux::rights;
use recognition::Captured;
use stage::Stage;

/// What became of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// It is as it should be.
    Ok,
    /// It is not.
    Failed {
        /// What to do.
        remedy: String,
    },
    /// It could not be tried.
    Skipped {
        /// What is therefore not known.
        unproven: String,
    },
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Its name.
    pub name: String,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// What was seen.
    pub seen: String,
}

/// All of it, for programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Nothing has failed.
    pub ok: bool,
    /// The steps that were done.
    pub steps: Vec<Step>,
}

impl Step {
    fn ok(name: &str, seen: impl Into<String>) -> Self {
        Self { name: name.to_owned(), outcome: Outcome::Ok, seen: seen.into() }
    }

    pub(crate) fn failed(name: &str, seen: impl Into<String>, remedy: impl Into<String>) -> Self {
        let outcome = Outcome::Failed { remedy: remedy.into() };
        Self { name: name.to_owned(), outcome, seen: seen.into() }
    }

    fn skipped(name: &str, seen: impl Into<String>, unproven: impl Into<String>) -> Self {
        let outcome = Outcome::Skipped { unproven: unproven.into() };
        Self { name: name.to_owned(), outcome, seen: seen.into() }
    }

    /// What became of it, in a word.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self.outcome {
            Outcome::Ok => "ok",
            Outcome::Failed { .. } => "FAILED",
            Outcome::Skipped { .. } => "skipped",
        }
    }

    /// Whether something is not as it should be.
    #[must_use]
    pub const fn has_failed(&self) -> bool {
        matches!(self.outcome, Outcome::Failed { .. })
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, outcome, seen } = self;
        match outcome {
            Outcome::Ok => write!(f, "{name}: {seen}"),
            Outcome::Failed { remedy } => write!(f, "{name}: {seen}; {remedy}"),
            Outcome::Skipped { unproven } => write!(f, "{name}: {seen}; unproven: {unproven}"),
        }
    }
}

/// Proves that the box recognises and stops an attacker, without touching the network that it stands in.
#[must_use]
pub fn prove(config: &Config) -> Vec<Step> {
    if let Some(right) = rights::missing() {
        let seen = format!("no right to change the network ({right})");
        return vec![Step::failed("rights", seen, "run as root, or give the program that capability")];
    }
    let mut steps = vec![Step::ok("rights", "CAP_NET_ADMIN and CAP_NET_RAW")];
    let tried = std::thread::scope(|scope| {
        let apart = std::thread::Builder::new().name(String::from("selftest stage"));
        apart.spawn_scoped(scope, || on_stage(config)).map(|thread| thread.join())
    });
    match tried {
        Ok(Ok(tried)) => steps.extend(tried),
        Ok(Err(_)) => steps.push(Step::failed("stage", "the self-test itself has failed", "report this")),
        Err(cause) => steps.push(Step::failed("stage", format!("no thread: {cause}"), "free some memory")),
    }
    steps.push(clean_up());
    steps
}

/// Looks at the ports and the disk that the configuration names.
#[must_use]
pub fn look_around(config: &Config) -> Vec<Step> {
    let mut steps = surroundings::ports(config);
    steps.push(surroundings::state_folder(&config.state_dir));
    steps
}

/// What the thread does that leaves the network.
fn on_stage(config: &Config) -> Vec<Step> {
    match Stage::build() {
        Ok((stage, step)) => {
            let mut steps = vec![step];
            let (step, captured) = recognition::capture(&stage);
            steps.push(step);
            steps.push(recognition::model(config, &captured));
            steps.extend(prevention::try_out(&stage));
            steps
        }
        Err(step) => {
            let skipped = |name, unproven| Step::skipped(name, "there is no bridge to try it on", unproven);
            vec![
                step,
                skipped("capture", "that frames are seen"),
                recognition::model(config, &Captured::made_up()),
                skipped(prevention::NFTABLES, "that blocks keep anybody out"),
                skipped(prevention::END, "that blocks end by themselves"),
            ]
        }
    }
}

/// Whether anything is left of the stage where others could see it.
fn clean_up() -> Step {
    const NAME: &str = "clean-up";
    match Links::open().and_then(|mut links| links.all()) {
        Ok(all) => match all.iter().find(|link| stage::is_ours(&link.name)) {
            None => Step::ok(NAME, "nothing is left of the test"),
            Some(link) => {
                let remedy = format!("to remove it: ip link del {}", link.name);
                Step::failed(NAME, format!("the interface `{}` is left", link.name), remedy)
            }
        },
        Err(error) => Step::failed(NAME, format!("the interfaces cannot be read: {error}"), "see `ip link`"),
    }
}
