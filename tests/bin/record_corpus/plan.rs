//! Which captures are made, and how: each scenario over its lines, several at a time where they do not disturb one another.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::thread::scope;

use anyhow::{Context, Result};
use lab::line::profile::Profile;
use lab::random::Random;
use lab::recording::{Corpus, Label, Order};
use sluice::clock::Stopwatch;

use crate::scenario::Scenario;
use crate::stage::Scene;

/// One of so many may be a loud one.
const QUIET_FOR_A_LOUD_ONE: usize = 5;

/// One capture to be made.
struct Job<'a> {
    scenario: &'a Scenario,
    profile: &'static Profile,
    label: Label,
    seed: u64,
}

/// What became of all captures.
pub struct Outcome {
    /// How many were recorded.
    pub recorded: usize,
    /// How many were there before.
    pub skipped: usize,
    /// The names of those that were not recorded.
    pub failed: Vec<String>,
}

/// How captures are made.
#[derive(Clone, Copy)]
pub struct Manner {
    /// What the draws are made from.
    pub seed: u64,
    /// What is complete already is made again.
    pub again: bool,
    /// How many at a time.
    pub parallel: usize,
}

/// Records all scenarios over their lines: the quiet ones first, then the loud ones, of which fewer go at a time.
pub fn record(corpus: &Corpus, scenarios: &[Scenario], manner: Manner) -> Outcome {
    let Manner { seed, again, parallel } = manner;
    let all: Vec<Job<'_>> = scenarios.iter().flat_map(|scenario| jobs(scenario, seed)).collect();
    let planned = all.len();
    let (loud, quiet): (Vec<_>, Vec<_>) =
        all.into_iter().filter(|job| again || !corpus.has(&job.label)).partition(|job| job.scenario.loud);
    let to_do = loud.len() + quiet.len();
    let mut failed = work_off(corpus, quiet, parallel.max(1));
    failed.extend(work_off(corpus, loud, (parallel / QUIET_FOR_A_LOUD_ONE).max(1)));
    Outcome { recorded: to_do - failed.len(), skipped: planned - to_do, failed }
}

fn jobs(scenario: &Scenario, seed: u64) -> impl Iterator<Item = Job<'_>> {
    scenario.lines(seed).into_iter().map(move |profile| {
        let name = format!("{}__{}", scenario.label.name, profile.name);
        // Numbers in JSON are exact up to 53 bits.
        let seed = Random::of(seed, &name).bits() >> 11;
        Job { scenario, profile, label: Label { name, ..scenario.label.clone() }, seed }
    })
}

/// The names of those that failed.
fn work_off(corpus: &Corpus, jobs: Vec<Job<'_>>, at_a_time: usize) -> Vec<String> {
    let (left, failed) = (Mutex::new(VecDeque::from(jobs)), Mutex::new(Vec::new()));
    let next = || left.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    scope(|threads| {
        for _ in 0..at_a_time {
            threads.spawn(|| {
                while let Some(job) = next() {
                    let watch = Stopwatch::start();
                    match run(corpus, &job) {
                        Ok(()) => {
                            println!("{:12} {:44} {:4} s", job.label.class, job.label.name, watch.elapsed().as_secs())
                        }
                        Err(error) => {
                            eprintln!("FAILED {}: {error:#}", job.label.name);
                            failed.lock().unwrap_or_else(PoisonError::into_inner).push(job.label.name);
                        }
                    }
                }
            });
        }
    });
    failed.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn run(corpus: &Corpus, job: &Job<'_>) -> Result<()> {
    let scene = Scene::new(job.profile, job.seed).context("the laboratory")?;
    let order = Order { label: &job.label, profile: job.profile, seed: job.seed, snap: job.scenario.snap };
    corpus.record(&scene.network.r#box, &scene.journal, &order, || (job.scenario.act)(&scene))
}

/// Captures, flows of the class, packets and bytes of each class that the corpus holds.
pub fn table(corpus: &Corpus) -> Result<String> {
    let mut classes: BTreeMap<String, [u64; 5]> = BTreeMap::new();
    for manifest in corpus.manifests()? {
        let class = manifest["class"].as_str().unwrap_or_default().to_owned();
        let sums = classes.entry(class).or_default();
        let columns = ["flows", "attack_flows", "packets", "bytes"].map(|name| manifest[name].as_u64().unwrap_or(0));
        for (sum, value) in sums.iter_mut().zip([1].into_iter().chain(columns)) {
            *sum += value;
        }
    }
    let mut text = format!(
        "{:12} {:>8} {:>8} {:>12} {:>9} {:>12}\n",
        "class", "captures", "flows", "attack flows", "packets", "bytes"
    );
    for (class, [captures, flows, attack_flows, packets, bytes]) in classes {
        text += &format!("{class:12} {captures:>8} {flows:>8} {attack_flows:>12} {packets:>9} {bytes:>12}\n");
    }
    Ok(text)
}
