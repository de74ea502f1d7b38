//! What was trained is what runs: for each capture the trainer's rows and the vectors that the daemon judges are the same,
//! bit for bit, whatever the seed of the hash tables, and however far frames that are not short were cut off behind their headers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lab::daemon::sluice_program;
use lab::data::Captures;
use lab::frames::{Frame as StoredFrame, read_pcap, write_pcap};
use lab::process::{run_any, run_within};
use model_compiler::corpus::{Granularity, LabelledCapture, Scope};
use model_compiler::extract::extract;
use model_compiler::recipe::Background;
use model_compiler::rows::{Row, Rows};
use sluice::capture::replay::{ReplaySource, ReplaySourceError};
use sluice::capture::{Arrival, FrameSource, Polled};
use sluice::config::Config;
use sluice::linux::capture_filter::SHORT_BYTES;
use sluice::pipeline::{EndedFlow, Listener, Pipeline, PipelineConfig};
use sluice::policy::Decision;
use traffic::address::Mac;
use traffic::decode::{DecodeError, Frame, decode};
use traffic::extractor::Observation;
use traffic::features::FEATURES;
use traffic::limits::Limits;

/// How many bytes are left of each frame that is not short.
const SNAP_BYTES: usize = 128;

/// How long one run of a program may take.
const LIMIT: Duration = Duration::from_secs(120);

/// How many captures are compared at once.
const WORKERS: usize = 2;

/// A capture of PPP: the copies that are made here are of Ethernet.
const NOT_ETHERNET: &str = "ppp-cut";

fn committed_captures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures");
    let cases = fs::read_dir(folder).unwrap().map(|case| case.unwrap().path().join("input.pcap"));
    cases.filter(|capture| capture.exists() && !capture.parent().unwrap().ends_with(NOT_ETHERNET)).collect()
}

#[test]
fn the_two_programs_write_the_same_rows() {
    let folder = lab::cleanup::work_folder().unwrap().join("skew");
    for (kind, bytes_kept) in [("whole", usize::MAX), ("snapped", SNAP_BYTES)] {
        for capture in committed_captures() {
            let case = capture.parent().and_then(Path::file_name).unwrap().to_str().unwrap();
            let corpus = folder.join(format!("{kind}-{case}"));
            let copy = corpus_of(&corpus, &snapped(read_pcap(&capture).unwrap(), bytes_kept));
            let (trained, replayed) = (extracted(&corpus), replayed(&copy));
            assert!(!trained.is_empty(), "{kind} {case}");
            assert_eq!(trained.len(), replayed.len(), "{kind} {case}");
            let first = trained.iter().zip(&replayed).find(|(trained, replayed)| bits(trained) != bits(replayed));
            assert!(first.is_none(), "{kind} {case}: {first:?}");
        }
    }
}

fn snapped(mut frames: Vec<StoredFrame>, bytes_kept: usize) -> Vec<StoredFrame> {
    for frame in frames.iter_mut().filter(|frame| frame.wire_len > SHORT_BYTES) {
        frame.bytes.truncate(bytes_kept);
    }
    frames
}

/// Makes a corpus of one harmless capture, so that each of its flows gives rows; where the capture is.
fn corpus_of(folder: &Path, frames: &[StoredFrame]) -> PathBuf {
    fs::create_dir_all(folder.join("pcap")).unwrap();
    let columns = "class,file,attacker,victim,label_granularity,source_repo";
    fs::write(folder.join("labels.csv"), format!("{columns}\nbenign,input.pcap,,,all,us\n")).unwrap();
    let capture = folder.join("pcap/input.pcap");
    write_pcap(&capture, frames).unwrap();
    capture
}

/// The rows that `model-compiler extract` writes.
fn extracted(corpus: &Path) -> Vec<Row> {
    let program = sluice_program().unwrap().with_file_name("model-compiler");
    assert!(program.is_file(), "build it with: cargo build --package model-compiler --features train");
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/forest");
    let rows = corpus.join("rows.csv");
    let mut command = Command::new(program);
    command.arg("extract").arg(model).arg("--rows").arg(&rows);
    run_within(command.arg("--corpus").arg(format!("public={}", corpus.display())), LIMIT).unwrap();
    Rows::read(&rows).unwrap().rows
}

/// The rows that `sluice replay --vectors` writes.
fn replayed(capture: &Path) -> Vec<Row> {
    let vectors = capture.with_extension("csv");
    let mut command = Command::new(sluice_program().unwrap());
    let finished = run_any(command.arg("replay").arg(capture).arg("--vectors").arg(&vectors), LIMIT).unwrap();
    assert!(finished.success(), "{}", finished.stderr);
    Rows::read(&vectors).unwrap().rows
}

/// What a row says of a flow; equal means equal in each bit.
fn bits(row: &Row) -> (u64, u64, u64, Vec<u32>) {
    (row.initiator, row.flow, row.packets, row.features.iter().map(|value| value.to_bits()).collect())
}

#[test]
fn every_labelled_capture_gives_the_daemon_what_it_gave_the_trainer() {
    if let Some(total) = compare_all("labelled/pcap") {
        assert!(total.unsnapped.is_empty(), "headers that {SNAP_BYTES} bytes do not hold: {:?}", total.unsnapped);
    }
}

#[test]
fn so_does_every_capture_of_the_parser_corpus_whose_headers_fit_into_a_snap() {
    let _ = compare_all("parser-corpus");
}

/// Compares all captures of that part of the data; `None` where there is none.
fn compare_all(part: &str) -> Option<Total> {
    let captures = Captures::find(part)?;
    let files = captures.files();
    assert!(files.len() > 1_000, "only {} captures in {captures:?}", files.len());
    let (next, total) = (AtomicUsize::new(0), Mutex::new(Total::default()));
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let compared = compare(file);
                    total.lock().unwrap().add(compared);
                }
            });
        }
    });
    let total = total.into_inner().unwrap();
    println!("{part}: {} captures, {} frames, {} rows", files.len(), total.frames, total.rows);
    for unsnapped in &total.unsnapped {
        println!("headers that {SNAP_BYTES} bytes do not hold: {unsnapped}");
    }
    assert!(total.failures.is_empty(), "{} differ:\n{}", total.failures.len(), total.failures.join("\n"));
    Some(total)
}

/// What was compared.
#[derive(Debug, Default)]
struct Total {
    rows: usize,
    frames: u64,
    /// Captures that hold frames whose headers do not fit into the snap.
    unsnapped: Vec<String>,
    failures: Vec<String>,
}

impl Total {
    fn add(&mut self, mut other: Self) {
        self.rows += other.rows;
        self.frames += other.frames;
        self.unsnapped.append(&mut other.unsnapped);
        self.failures.append(&mut other.failures);
    }
}

/// Compares the trainer's rows of a capture with the daemon's vectors: of the whole frames with one seed, and of snapped ones
/// with another.
fn compare(file: &Path) -> Total {
    let Some(rows) = trainers_rows(file) else { return Total::default() };
    let mut whole = Daemon::new(&rows, [1, 2]);
    whole.run(file, usize::MAX);
    let mut snapped = Daemon::new(&rows, [u64::MAX, 77]);
    snapped.run(file, SNAP_BYTES);
    let mut total = Total { rows: rows.len(), frames: whole.frames, ..Total::default() };
    let cut = snapped.cut;
    let differences = [whole.misread.take(), whole.end(), snapped.misread.take(), snapped.end().filter(|_| cut == 0)];
    let named = |what: String| format!("{}: {what}", file.display());
    total.failures.extend(differences.into_iter().flatten().map(named));
    if cut > 0 {
        total.unsnapped.push(named(format!("{cut} frames")));
    }
    total
}

/// The rows of the trainer; of all flows, because a harmless capture has no flow without a label. `None` where the file is no
/// capture; of a damaged one the rows of what stands before the damage.
fn trainers_rows(file: &Path) -> Option<Vec<Row>> {
    let scope = Scope {
        granularity: Granularity::All,
        attackers: Vec::new(),
        victims: Vec::new(),
        background: Background::Benign,
    };
    let (name, source) = (file.display().to_string(), String::new());
    let capture = LabelledCapture { name, path: file.to_owned(), source, label: String::from("benign"), scope };
    let mut rows = Rows::default();
    extract(&capture, &mut rows).ok()?;
    Some(rows.rows)
}

/// The daemon's path, and how its vectors differ from rows of the trainer.
struct Daemon<'a> {
    pipeline: Pipeline,
    judge: Comparison<'a>,
    frames: u64,
    cut: u64,
    /// The first frame that a snap makes another packet of, though its headers are there.
    misread: Option<String>,
}

struct Comparison<'a> {
    rows: &'a [Row],
    seen: usize,
    difference: Option<String>,
}

impl<'a> Daemon<'a> {
    fn new(rows: &'a [Row], seed: [u64; 2]) -> Self {
        let config = PipelineConfig {
            limits: Limits::default(),
            tuning: Config::default().tuning(),
            models: Default::default(),
            rules: Arc::default(),
            around: Arc::default(),
            seed,
        };
        let judge = Comparison { rows, seen: 0, difference: None };
        Self { pipeline: Pipeline::new(&config), judge, frames: 0, cut: 0, misread: None }
    }

    /// Takes the frames of a capture, of each that is not short only so many bytes.
    fn run(&mut self, file: &Path, bytes_kept: usize) {
        let mut source = match ReplaySource::open(vec![file.to_owned()]) {
            // Of a kind of network that neither knows: there are no frames to compare.
            Err(ReplaySourceError::Link { .. }) => return,
            opened => opened.unwrap(),
        };
        let mut take = |arrival: &Arrival<'_>| {
            let whole = arrival.frame;
            let kept = if whole.wire_len_bytes > SHORT_BYTES { bytes_kept } else { usize::MAX };
            let frame = Frame { bytes: &whole.bytes[..whole.bytes.len().min(kept)], ..whole };
            self.frames += 1;
            self.look_at(&whole, &frame);
            self.pipeline.frame(&Arrival { frame, ..*arrival }, &mut self.judge);
        };
        while matches!(source.poll(Duration::ZERO, &mut take), Ok(Polled::Frames(_))) {}
        self.pipeline.finish(&mut self.judge);
    }

    /// Notes what the snap made of a frame.
    fn look_at(&mut self, whole: &Frame<'_>, snapped: &Frame<'_>) {
        let (before, after) = (decode(whole), decode(snapped));
        let is_cut = matches!(
            after,
            Err(DecodeError::LinkTruncated | DecodeError::IpTruncated | DecodeError::TransportTruncated)
        );
        if before != after && is_cut {
            self.cut += 1;
        } else if before != after {
            self.misread.get_or_insert_with(|| format!("frame {}: {before:?} became {after:?}", self.frames));
        }
    }

    /// How the vectors differ, if they do.
    fn end(self) -> Option<String> {
        let Comparison { rows, seen, difference } = self.judge;
        let missing = || (seen != rows.len()).then(|| format!("{seen} vectors instead of {}", rows.len()));
        difference.or_else(missing)
    }
}

impl Listener for Comparison<'_> {
    fn decision(&mut self, _: Decision) -> bool {
        true
    }

    fn checkpoint(&mut self, seen: &Observation<'_>, _: Option<Mac>) {
        if self.difference.is_none() {
            self.difference = self.rows.get(self.seen).and_then(|row| difference(row, seen));
        }
        self.seen += 1;
    }

    fn flow_ended(&mut self, _: &EndedFlow<'_>) {}
}

fn difference(row: &Row, seen: &Observation<'_>) -> Option<String> {
    if (row.flow, row.packets) != (seen.flow, seen.packets) {
        return Some(format!("flow {} after {} packets instead of {row:?}", seen.flow, seen.packets));
    }
    let pairs = FEATURES.iter().zip(row.features.iter().zip(seen.features));
    let differing: Vec<String> = pairs
        .filter(|(_, (trained, seen))| trained.to_bits() != seen.to_bits())
        .map(|(feature, (trained, seen))| format!("{} {trained} became {seen}", feature.name))
        .collect();
    (!differing.is_empty()).then(|| format!("flow {}, packet {}: {}", row.flow, row.packets, differing.join(", ")))
}
