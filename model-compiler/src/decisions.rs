//! What the appliance itself decides about captures that a model has not seen: the real program replays them with the model,
//! in enforce mode, and whom it blocks is held against the labels.
//!
//! This is the measure that matters to people: an attack is caught once its sender is blocked or what it floods is limited,
//! and a block of anybody else is wrongful, whatever single verdicts were. Where a label knows no senders, only a limit catches.

pub mod provenance;
pub mod tables;

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::fs::File;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread;
use std::{fs, io};

use serde::{Deserialize, Serialize};
use traffic::capture_file::CaptureFile;
use traffic::time::Timestamp;

use crate::corpus::LabelledCapture;
use crate::extract::{BENIGN, Parties, attack_begins, parties};
use crate::json::{self, ModelError};
use crate::model::Model;
use crate::progress::Progress;
use provenance::Provenance;

/// The profiles of the appliance, from the most patient on.
pub const PROFILES: [&str; 3] = ["lenient", "balanced", "strict"];

/// The profile that most households have.
pub const BALANCED: &str = "balanced";

/// What the appliance calls a limit of what is attacked; all else that it does strikes a source.
const LIMIT: &str = "limit";

/// Captures are replayed so many at a time.
const AT_ONCE: usize = 2;

/// So much of a pause between two packets counts as traffic, in seconds: nobody is blocked where nothing passes.
pub const LONGEST_PAUSE_S: f64 = 60.0;

/// Why nothing could be measured.
#[derive(Debug, thiserror::Error)]
pub enum DecisionError {
    /// The model cannot be handed over.
    #[error("cannot write {path}: {source}")]
    Write {
        /// Where to.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The model cannot be written down.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The program does not run.
    #[error("cannot run {program}: {source}")]
    Run {
        /// The program.
        program: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Its report is none.
    #[error("{program} gave no report about {capture}: {message}")]
    Report {
        /// The program.
        program: PathBuf,
        /// The capture.
        capture: String,
        /// What it said instead.
        message: String,
    },
}

/// What was decided about one capture in one profile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decided {
    /// The capture.
    pub capture: String,
    /// Who published it, or the tool that attacks in it.
    pub source: String,
    /// Its label, as in `labels.csv`.
    pub label: String,
    /// The profile.
    pub profile: String,
    /// How long there was traffic in the capture, in seconds: of each pause [`LONGEST_PAUSE_S`] at most.
    pub traffic_s: f64,
    /// When the first right block came, in seconds from the beginning of the attack; none where the attack passed.
    pub caught_s: Option<f64>,
    /// How many packets of the capture there were from its beginning to then.
    pub caught_packets: Option<u64>,
    /// How many flows spoke for it.
    pub evidence_flows: Option<u64>,
    /// What was done then: `limit`, or one of the ways to block a source.
    pub caught_by: Option<String>,
    /// The blocks of those who had done nothing.
    pub wrongful: Vec<Struck>,
    /// The blocks of which nobody knows whether they are right: of senders of an attack whose attackers are unknown, forged or too many,
    /// who do nothing else in the capture.
    pub neither: Vec<Struck>,
    /// How many flows the capture has.
    pub flows: u64,
    /// How many of them were taken for attacks, by the model or by a rule.
    pub accused_flows: u64,
}

/// A block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Struck {
    /// Whom it struck.
    pub address: String,
    /// What was done.
    pub action: String,
    /// The class it was done for.
    pub class: String,
}

impl Display for Struck {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} for {}", self.action, self.address, self.class)
    }
}

/// What `decide` writes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decisions {
    /// How they were made.
    pub provenance: Provenance,
    /// By the models that were trained.
    pub model: Vec<Decided>,
    /// About the same captures by the best single comparison in the place of each of them, beside the same rules; nothing where a
    /// finished model was asked.
    pub stump: Vec<Decided>,
    /// The same by the majority class, which is by the rules alone.
    pub majority: Vec<Decided>,
    /// By the models again, at other thresholds than those of the profiles, in the order in which they were asked for.
    pub thresholds: Vec<Threshold>,
}

/// What was decided where it takes so much evidence to block.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Threshold {
    /// How much it takes, in sums of log-odds.
    pub block_evidence: f32,
    /// What was decided.
    pub decided: Vec<Decided>,
}

/// How the program is set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Setting {
    /// The profile.
    pub profile: &'static str,
    /// How much evidence it takes to block, in the place of what the profile asks for.
    pub block_evidence: Option<f32>,
}

impl Setting {
    /// Each profile as it is.
    #[must_use]
    pub fn profiles() -> [Self; 3] {
        PROFILES.map(|profile| Self { profile, block_evidence: None })
    }

    /// The profile that most people leave as it is.
    #[must_use]
    pub const fn balanced() -> Self {
        Self { profile: BALANCED, block_evidence: None }
    }
}

/// The program that is asked.
#[derive(Clone, Debug)]
pub struct Appliance {
    /// The `sluice` program.
    pub program: PathBuf,
    /// A folder for the models that it is to use.
    pub scratch: PathBuf,
    /// A configuration with other rules than the default ones.
    pub config: Option<PathBuf>,
}

/// The part of the report that counts.
#[derive(Deserialize)]
struct Report {
    /// How many flows were taken for what.
    verdicts: BTreeMap<String, u64>,
    blocks: Vec<Block>,
}

#[derive(Deserialize)]
struct Block {
    t: f64,
    address: String,
    source: IpAddr,
    action: String,
    class: Option<String>,
    evidence_flows: u64,
}

impl Appliance {
    /// Replays each capture in each setting, with that model.
    ///
    /// # Errors
    /// The program cannot be run, or says nothing sensible.
    pub fn decide(
        &self,
        model: &Model,
        captures: &[&LabelledCapture],
        settings: &[Setting],
        progress: &dyn Progress,
    ) -> Result<Vec<Decided>, DecisionError> {
        progress.begin(&format!("replays by {}", model.name), (captures.len() * settings.len()) as u64);
        let path = self.scratch.join(format!("{}.json", model.name));
        let text = json::write(model)?;
        let written = fs::create_dir_all(&self.scratch).and_then(|()| fs::write(&path, text));
        written.map_err(|source| DecisionError::Write { path: path.clone(), source })?;
        let tasks = captures.iter().flat_map(|capture| settings.iter().map(|setting| (*capture, *setting)));
        let tasks = Mutex::new(tasks);
        let work = || -> Result<Vec<Decided>, DecisionError> {
            let mut done = Vec::new();
            loop {
                // The lock is held for the taking alone, which cannot panic.
                let task = tasks.lock().ok().and_then(|mut tasks| tasks.next());
                let Some((capture, setting)) = task else { return Ok(done) };
                done.push(self.replay(&path, capture, setting)?);
                progress.step();
            }
        };
        let mut decided = thread::scope(|scope| {
            let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
            let mut all = Vec::new();
            for worker in workers {
                match worker.join() {
                    Ok(done) => all.extend(done?),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            Ok::<_, DecisionError>(all)
        })?;
        decided.sort_by(|a, b| (&a.capture, &a.profile).cmp(&(&b.capture, &b.profile)));
        Ok(decided)
    }

    fn replay(&self, model: &Path, capture: &LabelledCapture, setting: Setting) -> Result<Decided, DecisionError> {
        let mut command = Command::new(&self.program);
        command.args(["replay", "--report", "json", "--mode", "enforce", "--profile", setting.profile, "--model"]);
        command.arg(model).arg(&capture.path);
        if let Some(evidence) = setting.block_evidence {
            command.arg("--block-evidence").arg(evidence.to_string());
        }
        if let Some(config) = &self.config {
            command.arg("--config").arg(config);
        }
        let output = command.output();
        let output = output.map_err(|source| DecisionError::Run { program: self.program.clone(), source })?;
        // A capture that is cut off gives a report too, and an error behind it.
        let report: Report = serde_json::from_slice(&output.stdout).map_err(|_| DecisionError::Report {
            program: self.program.clone(),
            capture: capture.name.clone(),
            message: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        })?;
        let mut decided = decided(capture, setting.profile, &report);
        decided.traffic_s = traffic_s(&capture.path).unwrap_or_default();
        if let Some((caught_s, packets)) = decided.caught_s.and_then(|block_s| since_attack_began(capture, block_s)) {
            (decided.caught_s, decided.caught_packets) = (Some(caught_s), Some(packets));
        }
        Ok(decided)
    }
}

/// From so many seconds after the first packet of a capture to the seconds since its attack began, and the packets of the capture
/// from then on: what was recorded before the attack is the recorder's pause. Where it is unknown which flows are the attack's, the
/// first packet counts as its beginning; none where the capture cannot be read.
fn since_attack_began(capture: &LabelledCapture, block_s: f64) -> Option<(f64, u64)> {
    let begins = attack_begins(capture);
    let mut reader = CaptureFile::new(File::open(&capture.path).ok()?).ok()?;
    let (mut first, mut passed_s, mut before_s, mut packets) = (None, 0.0, 0.0, 0);
    let mut has_begun = begins.is_none();
    let mut take = |time: Timestamp| {
        let first = *first.get_or_insert(time);
        passed_s = time.since(first).as_secs_f64();
        if !has_begun && begins.is_some_and(|begins| time >= begins) {
            (has_begun, before_s) = (true, passed_s);
        }
        let is_counted = passed_s <= block_s;
        packets += u64::from(is_counted && has_begun);
        is_counted || !has_begun
    };
    let mut goes_on = true;
    while goes_on && reader.next_frame(&mut |time, _| goes_on = take(time)).is_ok_and(|is_frame| is_frame) {}
    // Whoever is blocked before, for something that the label does not speak of, is blocked from the beginning on.
    Some(((block_s - before_s).max(0.0), packets))
}

/// How long there was traffic; none where the capture cannot be read.
fn traffic_s(capture: &Path) -> Option<f64> {
    let mut reader = CaptureFile::new(File::open(capture).ok()?).ok()?;
    let (mut last, mut sum_s) = (None, 0.0);
    let mut take = |time: Timestamp| {
        // A packet may stand behind a later one.
        let before = last.unwrap_or(time);
        sum_s += time.since(before).as_secs_f64().min(LONGEST_PAUSE_S);
        last = Some(before.max(time));
    };
    while reader.next_frame(&mut |time, _| take(time)).is_ok_and(|is_frame| is_frame) {}
    Some(sum_s)
}

fn decided(capture: &LabelledCapture, profile: &str, report: &Report) -> Decided {
    let scope = &capture.scope;
    let by_label = scope.attackers.is_empty() || scope.victims.is_empty();
    let asked = by_label && capture.label != BENIGN && !report.blocks.is_empty();
    let parties = &if asked { parties(capture) } else { Parties::default() };
    let of = |merit| report.blocks.iter().filter(move |block| merit_of(capture, parties, block) == merit);
    let first = of(Merit::Right).min_by(|a, b| a.t.total_cmp(&b.t));
    let flows: u64 = report.verdicts.values().sum();
    Decided {
        capture: capture.name.clone(),
        source: capture.source.clone(),
        label: capture.label.clone(),
        profile: profile.to_owned(),
        traffic_s: 0.0,
        caught_s: first.map(|block| block.t),
        caught_packets: None,
        evidence_flows: first.map(|block| block.evidence_flows),
        caught_by: first.map(|block| block.action.clone()),
        wrongful: of(Merit::Wrong).map(Block::struck).collect(),
        neither: of(Merit::Unknown).map(Block::struck).collect(),
        flows,
        accused_flows: flows - report.verdicts.get(BENIGN).copied().unwrap_or_default(),
    }
}

impl Block {
    fn struck(&self) -> Struck {
        let (address, action) = (self.address.clone(), self.action.clone());
        Struck { address, action, class: self.class.clone().unwrap_or_default() }
    }
}

/// What a block is worth.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Merit {
    Right,
    Wrong,
    Unknown,
}

/// A block is right that strikes a known attacker or limits what is attacked: a known victim, or where the label names none, whoever the
/// flows that it speaks of go to. Where nobody knows the attackers, because they are forged or too many, a block of somebody who only
/// sends such flows is neither right nor wrong, and of anybody else wrong.
fn merit_of(capture: &LabelledCapture, parties: &Parties, block: &Block) -> Merit {
    let (scope, source) = (&capture.scope, block.source.to_canonical());
    let is_attacked = |host: IpAddr| match scope.victims.is_empty() {
        true => parties.receivers.contains(&host.to_canonical()),
        false => scope.is_victim(host),
    };
    let is_right = match block.action.as_str() {
        _ if capture.label == BENIGN => false,
        LIMIT => limited_host(&block.address).is_some_and(is_attacked),
        _ if scope.attackers.is_empty() && parties.senders.contains(&source) => return Merit::Unknown,
        _ => scope.is_attacker(source),
    };
    if is_right { Merit::Right } else { Merit::Wrong }
}

/// The host of a limit, which is named as `192.0.2.1:80/tcp`, `[2001:db8::1]:53/udp`, or `192.0.2.1/icmp`.
fn limited_host(address: &str) -> Option<IpAddr> {
    let (place, _) = address.rsplit_once('/')?;
    place.parse().or_else(|_| place.parse().map(|socket: SocketAddr| socket.ip())).ok()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::corpus::{Granularity, Scope};
    use crate::recipe::Background;

    pub(super) fn capture(label: &str, attackers: &[&str], victims: &[&str]) -> LabelledCapture {
        let addresses = |texts: &[&str]| texts.iter().map(|text| text.parse::<IpAddr>().unwrap().into()).collect();
        LabelledCapture {
            name: format!("test/{label}.pcap"),
            path: PathBuf::new(),
            source: "somebody".to_owned(),
            label: label.to_owned(),
            scope: Scope {
                granularity: Granularity::Pair,
                attackers: addresses(attackers),
                victims: addresses(victims),
                background: Background::Benign,
            },
        }
    }

    pub(super) fn block(t: f64, address: &str, source: &str, action: &str) -> Block {
        Block {
            t,
            address: address.to_owned(),
            source: source.parse().unwrap(),
            action: action.to_owned(),
            class: Some("scan".to_owned()),
            evidence_flows: 7,
        }
    }

    /// Of ten flows, of which four were taken for attacks.
    pub(super) fn report(blocks: Vec<Block>) -> Report {
        let verdicts = [("benign", 6), ("scan", 3), ("flood", 1)].map(|(class, flows)| (class.to_owned(), flows));
        Report { verdicts: verdicts.into(), blocks }
    }

    fn outcome(capture: &LabelledCapture, blocks: Vec<Block>) -> (Option<f64>, Vec<String>) {
        let decided = decided(capture, "balanced", &report(blocks));
        (decided.caught_s, decided.wrongful.into_iter().map(|struck| struck.address).collect())
    }

    #[test]
    fn an_attack_is_caught_by_the_first_block_of_an_attacker() {
        let scan = capture("scan", &["203.0.113.9"], &["192.0.2.1"]);
        let blocks = vec![
            block(9.0, "203.0.113.9", "203.0.113.9", "deny"),
            block(4.0, "02:00:00:00:00:01", "203.0.113.9", "quarantine"),
            block(1.0, "198.51.100.7", "198.51.100.7", "deny_new"),
        ];
        assert_eq!(outcome(&scan, blocks), (Some(4.0), vec!["198.51.100.7".to_owned()]));
        assert_eq!(outcome(&scan, Vec::new()), (None, Vec::new()));
    }

    #[test]
    fn a_flood_of_forged_senders_is_caught_by_a_limit_on_its_victim_and_by_no_other() {
        let flood = capture("flood_syn", &[], &["192.0.2.1"]);
        let limit = |address| outcome(&flood, vec![block(2.0, address, "203.0.113.1", "limit")]).0;
        assert_eq!((limit("192.0.2.1:80/tcp"), limit("192.0.2.7:80/tcp")), (Some(2.0), None));
        assert_eq!(["192.0.2.1/udp", "192.0.2.1/icmp", "192.0.2.10:80/tcp"].map(limit), [Some(2.0), Some(2.0), None]);
        assert_eq!(outcome(&flood, vec![block(2.0, "192.0.2.1", "192.0.2.1", "deny")]).0, None, "the victim");
    }

    #[test]
    fn where_attackers_are_unknown_a_block_of_a_sender_catches_nothing_and_one_of_anybody_else_is_wrongful() {
        // The victim asks the first, the second asks the third, and both the second and the fourth send to the victim.
        let mut flood = capture("flood_udp", &[], &["192.0.2.1"]);
        flood.scope.granularity = Granularity::Destination;
        let flows = [(1, 7), (8, 9), (8, 1), (20, 1)];
        let frames: Vec<_> = (100..).zip(flows.map(|(from, to)| datagram(from, to))).collect();
        flood.path = recorded("senders", &frames);
        let of = |last| format!("192.0.2.{last}");
        let blocks = [1, 7, 8, 9, 20, 30].map(|last| block(2.0, &of(last), &of(last), "deny_new"));
        let told = decided(&flood, "balanced", &report(blocks.into()));
        let struck = |all: &[Struck]| all.iter().map(|struck| struck.address.clone()).collect::<Vec<_>>();
        assert_eq!((told.caught_s, struck(&told.wrongful)), (None, [1, 7, 8, 9, 30].map(of).to_vec()));
        assert_eq!(struck(&told.neither), [of(20)]);
        assert_eq!(told.neither[0].to_string(), "deny_new 192.0.2.20 for scan");
        let limit = block(3.0, "192.0.2.1/udp", "192.0.2.20", "limit");
        assert_eq!(decided(&flood, "balanced", &report(vec![limit])).caught_by.as_deref(), Some("limit"));
        fs::remove_file(&flood.path).unwrap();
    }

    #[test]
    fn where_victims_are_unknown_a_limit_is_right_of_what_the_labelled_flows_go_to() {
        let mut flood = capture("flood_other", &["192.0.2.20"], &[]);
        flood.path = recorded("receivers", &[(100, datagram(20, 1)), (101, datagram(7, 8))]);
        let mut limited = |granularity, address| {
            flood.scope.granularity = granularity;
            let (caught_s, wrongful) = outcome(&flood, vec![block(2.0, address, "192.0.2.20", "limit")]);
            (caught_s.is_some(), wrongful.len())
        };
        assert_eq!(limited(Granularity::All, "192.0.2.1/udp"), (true, 0));
        assert_eq!(limited(Granularity::All, "192.0.2.8/udp"), (false, 1));
        assert_eq!(limited(Granularity::Host, "192.0.2.1/udp"), (false, 1), "nobody knows which of its flows attack");
        fs::remove_file(&flood.path).unwrap();
    }

    #[test]
    fn whoever_is_blocked_where_nobody_attacks_is_blocked_wrongfully() {
        let benign = capture(BENIGN, &[], &[]);
        let blocks = vec![block(2.0, "203.0.113.1", "203.0.113.1", "deny_new")];
        assert_eq!(outcome(&benign, blocks), (None, vec!["203.0.113.1".to_owned()]));
    }

    /// A capture of frames with their seconds.
    fn recorded(name: &str, frames: &[(u32, Vec<u8>)]) -> PathBuf {
        let mut file = [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1].map(u32::to_le_bytes).concat();
        for (second, frame) in frames {
            let len = frame.len() as u32;
            file.extend([*second, 0, len, len].map(u32::to_le_bytes).concat());
            file.extend(frame);
        }
        let path = std::env::temp_dir().join(format!("sluice-decisions-{}-{name}.pcap", std::process::id()));
        fs::write(&path, file).unwrap();
        path
    }

    /// A datagram between hosts of 192.0.2.0/24.
    fn datagram(from: u8, to: u8) -> Vec<u8> {
        let mut frame = vec![0; 42];
        frame[12..14].copy_from_slice(&[0x08, 0x00]);
        frame[14..18].copy_from_slice(&[0x45, 0, 0, 28]);
        frame[22..24].copy_from_slice(&[64, 17]);
        frame[26..34].copy_from_slice(&[192, 0, 2, from, 192, 0, 2, to]);
        frame[34..40].copy_from_slice(&[0, from, 0, to, 0, 8]);
        frame
    }

    #[test]
    fn pauses_count_as_traffic_up_to_a_minute() {
        let frames = [0, 1, 3, 63, 3600, 3590, 3610].map(|second| (second, datagram(1, 7)));
        let path = recorded("pauses", &frames);
        assert_eq!(traffic_s(&path), Some(1.0 + 2.0 + 60.0 + 60.0 + 10.0));
        fs::remove_file(&path).unwrap();
        assert_eq!(traffic_s(&path), None);
    }

    #[test]
    fn time_and_packets_count_from_the_beginning_of_the_attack() {
        // The victim asks somebody, is answered, and is flooded a minute later.
        let mut frames = vec![(100, datagram(1, 7)), (101, datagram(7, 1))];
        frames.extend((0..5).map(|at| (162 + at, datagram(20 + at as u8, 1))));
        let mut flood = capture("flood_udp", &[], &["192.0.2.1"]);
        flood.scope.granularity = Granularity::Destination;
        flood.path = recorded("flood", &frames);
        assert_eq!(since_attack_began(&flood, 64.0), Some((2.0, 3)));
        assert_eq!(since_attack_began(&flood, 0.5), Some((0.0, 0)), "before it");
        assert_eq!(since_attack_began(&flood, 1e9).map(|(_, packets)| packets), Some(5));
        // Without a flow of the attack everything counts.
        flood.scope.victims = vec!["192.0.2.99/32".parse().unwrap()];
        assert_eq!(since_attack_began(&flood, 64.0), Some((64.0, 5)));
        fs::remove_file(&flood.path).unwrap();
        assert_eq!(since_attack_began(&flood, 64.0), None);
    }
}
