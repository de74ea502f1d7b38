//! `sluice replay`: a capture through the very path of the live wire, with capture time as the clock and nothing enforced.

mod events;
mod report;
mod vectors;

use core::time::Duration;
use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ipnet::IpNet;
use model_compiler::json;
use model_compiler::sealed::{MAGIC, PublicKey};
use traffic::address::Mac;
use traffic::extractor::Observation;
use traffic::limits::Limits;
use traffic::time::Timestamp;

use super::output::OutputError;
use crate::capture::replay::{ReplaySource, ReplaySourceError};
use crate::capture::{Arrival, FrameSource, Polled};
use crate::clock::Stopwatch;
use crate::config::Config;
use crate::pipeline::{EndedFlow, Listener, Pipeline, PipelineConfig};
use crate::policy::{
    Action, Alert, Allowed, Allowlist, BlockRecord, Blocklist, Bounds, Decision, Made, Mode, Modes, Neighbourhood,
    Profile, Rails, Refusal, Sighting, Subject, Thresholds, Tuning,
};
use crate::registry::{self, RegistryError};
use crate::verdict::{BUILT_IN, Model, Models, Rulebook};
use events::EventFile;
use vectors::VectorFile;

/// Most blocks at once in a replay.
const MAX_BLOCKS: u32 = 1_000_000;

/// Key of the hash tables: fixed, so that a replay can be repeated.
const SEED: [u64; 2] = [0, 0];

/// What to replay, and how.
#[derive(Debug, clap::Args)]
pub struct ReplayArgs {
    /// Captures (pcap or pcapng, also packed with gzip); `-` is standard input. Several are taken as parts of one, in order
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Takes rules, lists and model.keys of this configuration, and of [policy] allow, lan (or else the networks of bridge.addresses),
    /// profile, ladder_s and limit_per_s; not its mode, its models, and how much may be blocked at most
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The model in this file decides in the place of the built-in one: a model.json, or a sealed one that a key in model.keys of
    /// --config has signed
    #[arg(long, value_name = "FILE")]
    pub model: Option<PathBuf>,
    /// The model in this file judges beside it and decides nothing; the report says where they differ
    #[arg(long, value_name = "FILE")]
    pub shadow: Option<PathBuf>,
    /// A network of the household: its devices get quarantine, or deny_new at most. Can be given several times; in the place of
    /// those of --config
    #[arg(long, value_name = "CIDR", value_parser = crate::config::network)]
    pub lan: Vec<IpNet>,
    /// What is done with decisions
    #[arg(long, value_enum, default_value_t = Mode::Enforce)]
    pub mode: Mode,
    /// How much evidence it takes until a source is blocked: balanced, or what --config says, where it is not given
    #[arg(long, value_enum)]
    pub profile: Option<Profile>,
    /// How much evidence it takes, in sums of log-odds, in the place of what the profile asks for: for choosing profiles
    #[arg(long, value_name = "N")]
    pub block_evidence: Option<f32>,
    /// The form of the report on standard output
    #[arg(long, value_enum, default_value_t = ReportForm::Text)]
    pub report: ReportForm,
    /// Writes each flow that ended, each alert and each block into this file, one JSON object a line
    #[arg(long, value_name = "FILE")]
    pub events: Option<PathBuf>,
    /// Writes the features of each flow at each checkpoint into this file, as rows that `model-compiler train` reads
    #[arg(long, value_name = "FILE")]
    pub vectors: Option<PathBuf>,
}

/// The form of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ReportForm {
    /// For reading.
    Text,
    /// One JSON object.
    Json,
}

/// Why a replay ended early.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// A capture cannot be opened, or not be read to its end.
    #[error(transparent)]
    Capture(#[from] ReplaySourceError),
    /// The model cannot be used.
    #[error("{}: cannot use it as a model: {cause}", path.display())]
    Model {
        /// The file.
        path: PathBuf,
        /// Why not.
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The sealed model cannot be used.
    #[error(transparent)]
    Sealed(#[from] RegistryError),
    /// The file of events or of vectors cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The report cannot be written.
    #[error("cannot write the report: {0}")]
    Report(io::Error),
}

/// What came out of the path, with times as in the capture.
#[derive(Debug)]
struct Outcome {
    mode: Mode,
    models: Models,
    drift_alarm: f32,
    first: Option<Timestamp>,
    blocklist: Blocklist,
    alerts: Vec<(Alert, u64)>,
    blocks: Vec<MadeBlock>,
    /// Blocks that the path has yet to hear of.
    blocked: Vec<(Subject, Timestamp)>,
    events: Option<EventFile>,
    vectors: Option<VectorFile>,
}

/// A block as it was made.
#[derive(Debug)]
struct MadeBlock {
    record: BlockRecord,
    source: std::net::IpAddr,
    evidence_flows: u32,
}

/// What the configuration says that a replay does not go by, where a person might expect it.
#[must_use]
pub fn not_taken(args: &ReplayArgs, config: &Config) -> Vec<String> {
    let Some(path) = &args.config else { return Vec::new() };
    let names = config.policy.allow.iter().filter(|allowed| matches!(allowed, Allowed::Name(_)));
    let mut told: Vec<String> =
        names.map(|name| format!("policy.allow: {name} is not looked up in a replay")).collect();
    let chosen = config.model.active.stored().filter(|_| args.model.is_none());
    told.extend(chosen.map(|id| format!("model.active: {id} is not taken; name its file with --model")));
    told.into_iter().map(|what| format!("{}: {what}", path.display())).collect()
}

/// Replays the captures, with these rules and lists beside the model, and prints the report. Where one of them cannot be read
/// to its end, the report is about what was read, and the error follows it.
///
/// # Errors
/// A capture, a file to be written, or standard output cannot be used.
pub fn replay(args: &ReplayArgs, config: &Config, rules: Rulebook) -> Result<(), ReplayError> {
    let read = |path: &Option<PathBuf>| path.as_deref().map(|path| read_model(path, &config.model.keys)).transpose();
    let models = Models { active: read(&args.model)?.unwrap_or(&BUILT_IN), shadow: read(&args.shadow)? };
    let rules = Arc::new(rules);
    let source = ReplaySource::open(args.files.clone())?;
    let events = args.events.as_deref().map(EventFile::create).transpose()?;
    let vectors = args.vectors.as_deref().zip(args.files.first());
    let vectors = vectors.map(|(path, capture)| VectorFile::create(path, capture)).transpose()?;
    let stopwatch = Stopwatch::start();
    let tuning = Tuning { thresholds: thresholds(args, config), ..config.tuning() };
    let lan = if args.lan.is_empty() { config.lan() } else { args.lan.clone() };
    let around = Arc::new(Neighbourhood { lan: lan.clone(), ..Neighbourhood::default() });
    let limits = Limits::default();
    let mut pipeline = Pipeline::new(&PipelineConfig { limits, tuning, models, rules, around, seed: SEED });
    let mut rails = Rails::default();
    (rails.lan, rails.allow) = (lan, Allowlist::new(config.policy.allow.clone()));
    let mut outcome = Outcome {
        mode: args.mode,
        models,
        drift_alarm: config.model.drift_alarm,
        first: None,
        blocklist: Blocklist::new(
            rails,
            Modes::all(args.mode),
            Bounds {
                max_blocks: MAX_BLOCKS,
                max_blocks_per_minute: u32::MAX,
                max_share_of_lan: 1.0,
                ..config.bounds()
            },
        ),
        blocked: Vec::new(),
        alerts: Vec::new(),
        blocks: Vec::new(),
        events,
        vectors,
    };
    let read = run_through(source, &mut pipeline, &mut outcome);
    pipeline.finish(&mut outcome);
    if let Some(events) = outcome.events.take() {
        events.close()?;
    }
    if let Some(vectors) = outcome.vectors.take() {
        vectors.close()?;
    }
    let summary = report::Summary::new(&pipeline.counters(), &outcome, pipeline.compared(), stopwatch.elapsed());
    let mut out = BufWriter::new(io::stdout().lock());
    match args.report {
        ReportForm::Text => summary.write_text(&mut out),
        ReportForm::Json => summary.write_json(&mut out),
    }
    .and_then(|()| out.flush())
    .map_err(ReplayError::Report)?;
    Ok(read?)
}

fn thresholds(args: &ReplayArgs, config: &Config) -> Thresholds {
    let of_profile = args.profile.unwrap_or(config.policy.profile).thresholds();
    Thresholds { block: args.block_evidence.unwrap_or(of_profile.block), ..of_profile }
}

/// A model as people review it, or a sealed one.
fn read_model(path: &Path, keys: &[PublicKey]) -> Result<&'static Model, ReplayError> {
    let unfit = |cause| ReplayError::Model { path: path.to_owned(), cause };
    let bytes = fs::read(path).map_err(|cause| unfit(cause.into()))?;
    if bytes.starts_with(MAGIC) {
        return Ok(registry::load_file(path, keys)?);
    }
    let text = String::from_utf8(bytes).map_err(|cause| unfit(cause.into()))?;
    let model = json::read(&text).map_err(|cause| unfit(cause.into()))?;
    Ok(Model::load(model.name.clone(), &model))
}

fn run_through(
    mut source: ReplaySource,
    pipeline: &mut Pipeline,
    outcome: &mut Outcome,
) -> Result<(), ReplaySourceError> {
    let mut take = |arrival: &Arrival<'_>| {
        outcome.first.get_or_insert(arrival.time);
        pipeline.frame(arrival, outcome);
        for (subject, until) in outcome.blocked.drain(..) {
            pipeline.blocked(subject, until);
        }
    };
    while source.poll(Duration::ZERO, &mut take)? != Polled::End {}
    Ok(())
}

impl Outcome {
    /// Seconds from the first packet.
    fn seconds(&self, time: Timestamp) -> f64 {
        time.since(self.first.unwrap_or(time)).as_secs_f64()
    }

    fn carry_out(&mut self, sighting: &Sighting, subject: Subject, action: Action, evidence_flows: u32) {
        let now = sighting.time;
        self.blocklist.expire(now);
        match self.blocklist.decide(sighting, subject, action, evidence_flows, now) {
            Ok(Made { block: record, .. }) => {
                self.blocked.push((subject, record.settles_until(record.action, now)));
                self.block_made(MadeBlock { record, source: sighting.source, evidence_flows });
            }
            Err(Refusal::Stands(until)) => self.blocked.push((subject, until)),
            Err(Refusal::Protected(_) | Refusal::Held(_) | Refusal::Full | Refusal::NotProposed) => {}
        }
    }

    fn block_made(&mut self, made: MadeBlock) {
        let t = self.seconds(made.record.since);
        if let Some(events) = &mut self.events {
            events.block(&report::BlockLine::new(t, &made));
        }
        self.blocks.push(made);
    }
}

impl Listener for Outcome {
    fn decision(&mut self, decision: Decision) -> bool {
        match decision {
            Decision::Alert(sighting) => {
                let alert = sighting.alert(self.alerts.len() as u64 + 1);
                let t = self.seconds(alert.time);
                if let Some(events) = &mut self.events {
                    events.alert(&report::AlertLine::new(t, &alert, sighting.flow_packets));
                }
                self.alerts.push((alert, sighting.flow_packets));
            }
            // Whoever only observes wants to know of alerts alone.
            Decision::Block { .. } if self.mode == Mode::Observe => {}
            Decision::Block { sighting, subject, action, evidence_flows } => {
                self.carry_out(&sighting, subject, action, evidence_flows);
            }
        }
        true
    }

    fn checkpoint(&mut self, seen: &Observation<'_>, _: Option<Mac>) {
        if let Some(vectors) = &mut self.vectors {
            vectors.checkpoint(seen);
        }
    }

    fn flow_ended(&mut self, ended: &EndedFlow<'_>) {
        let t = self.seconds(ended.observation.time);
        if let Some(events) = &mut self.events {
            events.flow(t, ended);
        }
    }
}
