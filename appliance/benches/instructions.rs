//! Instructions per packet through decode, extractor and pipeline, for each shape of traffic, as callgrind counts them.
//!
//! They do not depend on how busy the machine is (a tenth of a percent depends on where memory happens to lie), so a change
//! of some percent is a change of the program. Each shape is played once with N packets and once with 2 N; the difference
//! holds no start-up. `instructions.toml` is what was recorded; more than that by [`TOLERANCE_PERCENT`] is a failure. With
//! `--record` the file is written anew.
#![allow(clippy::expect_used, clippy::panic, reason = "a benchmark may stop at the first surprise")]

mod shapes;

use std::collections::BTreeMap;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::{env, fs};

use anyhow::{Context, Result, ensure};
use shapes::{Shape, arrival};
use sluice::config::Config;
use sluice::pipeline::{EndedFlow, Listener, Pipeline, PipelineConfig};
use sluice::policy::Decision;
use traffic::limits::Limits;

/// How much more than recorded is too much.
const TOLERANCE_PERCENT: f64 = 5.0;

/// N. Each shape fills its tables in fewer packets.
const PACKETS: u64 = 50_000;

/// Small enough that the table is full after N packets: the cost of a packet does not depend on the size.
const FLOWS: usize = 8_192;

const RECORD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions.toml");
const RECORD_HEAD: &str =
    "# Instructions per packet, counted by callgrind. `make bench` compares; `make bench RECORD=1` writes this file.";

/// What was counted, and with what.
#[derive(serde::Serialize, serde::Deserialize)]
struct Record {
    architecture: String,
    rustc: String,
    instructions_per_packet: BTreeMap<String, f64>,
}

/// Counts, as the daemon's listener does little more than handing decisions on.
#[derive(Default)]
struct Counting {
    decisions: u64,
    flows: u64,
}

impl Listener for Counting {
    fn decision(&mut self, _: Decision) -> bool {
        self.decisions += 1;
        true
    }

    fn flow_ended(&mut self, _: &EndedFlow<'_>) {
        self.flows += 1;
    }
}

fn main() -> Result<ExitCode> {
    let words: Vec<String> = env::args().skip(1).collect();
    if let [mode, name, packets] = words.as_slice()
        && mode == "play"
    {
        play(name, packets.parse()?);
        return Ok(ExitCode::SUCCESS);
    }
    // `cargo bench` says so; `cargo test` only wants to see that this can be built.
    if !words.iter().any(|word| word == "--bench") {
        return Ok(ExitCode::SUCCESS);
    }
    let now = Record::take()?;
    if words.iter().any(|word| word == "--record") {
        return now.write();
    }
    Ok(now.compare(&Record::read()?))
}

/// What is counted: the path from frame to decision.
fn play(name: &str, packets: u64) {
    let limits = Limits { flows: FLOWS, ..Limits::default() };
    let mut pipeline = Pipeline::new(&PipelineConfig {
        limits,
        tuning: Config::default().tuning(),
        models: Default::default(),
        rules: Arc::default(),
        around: Arc::default(),
        seed: [1, 2],
    });
    let mut listener = Counting::default();
    Shape::named(name).play(packets, &mut |time, frame| pipeline.frame(&arrival(time, frame), &mut listener));
    let counters = pipeline.counters();
    assert_eq!(counters.undecodable_total(), 0, "{name} is not what it is meant to be");
    println!("{} flows began, {} ended, {} decisions", counters.flows, listener.flows, listener.decisions);
}

impl Record {
    fn take() -> Result<Self> {
        let runs = shapes::NAMES.map(|name| (name, [count(name, PACKETS), count(name, 2 * PACKETS)]));
        let mut instructions_per_packet = BTreeMap::new();
        for (name, [once, twice]) in runs {
            let (once, twice) = (collected(once?)?, collected(twice?)?);
            let per_packet = twice.saturating_sub(once) as f64 / PACKETS as f64;
            instructions_per_packet.insert(name.to_owned(), (per_packet * 10.0).round() / 10.0);
        }
        Ok(Self { architecture: env::consts::ARCH.to_owned(), rustc: rustc_version()?, instructions_per_packet })
    }

    fn read() -> Result<Self> {
        let text = fs::read_to_string(RECORD).with_context(|| format!("cannot read {RECORD}: make bench RECORD=1"))?;
        toml::from_str(&text).with_context(|| RECORD.to_owned())
    }

    fn write(&self) -> Result<ExitCode> {
        fs::write(RECORD, format!("{RECORD_HEAD}\n{}", toml::to_string(self)?)).with_context(|| RECORD.to_owned())?;
        println!("recorded in {RECORD}");
        Ok(self.compare(self))
    }

    /// Prints the table; a failure where a shape has become too expensive.
    fn compare(&self, recorded: &Self) -> ExitCode {
        println!("{:<28}{:>12}{:>12}{:>10}", "instructions per packet", "recorded", "now", "change");
        let mut worse = Vec::new();
        for (name, now) in &self.instructions_per_packet {
            let before = recorded.instructions_per_packet.get(name).copied().unwrap_or(f64::NAN);
            let percent = (now / before - 1.0) * 100.0;
            println!("{name:<28}{before:>12.1}{now:>12.1}{percent:>+8.1} %");
            // A shape without a record is worse too.
            if percent.is_nan() || percent > TOLERANCE_PERCENT {
                worse.push(name.as_str());
            }
        }
        if self.rustc != recorded.rustc {
            println!("recorded with {}, this is {}", recorded.rustc, self.rustc);
        }
        if self.architecture != recorded.architecture {
            println!("recorded on {}, this is {}: not compared", recorded.architecture, self.architecture);
            return ExitCode::SUCCESS;
        }
        if worse.is_empty() {
            return ExitCode::SUCCESS;
        }
        let names = worse.join(", ");
        println!(
            "{names}: not recorded, or more than {TOLERANCE_PERCENT} % above. If that is meant: make bench RECORD=1"
        );
        ExitCode::FAILURE
    }
}

/// Starts this program under callgrind.
fn count(name: &str, packets: u64) -> Result<Child> {
    Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env::current_exe()?)
        .args(["play", name, &packets.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start valgrind (Debian package valgrind)")
}

/// The number in callgrind's last words.
fn collected(run: Child) -> Result<u64> {
    let output = run.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{said}");
    let number = said.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok());
    number.with_context(|| format!("callgrind did not count:\n{said}"))
}

fn rustc_version() -> Result<String> {
    let output = Command::new("rustc").arg("--version").output().context("cannot start rustc")?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
