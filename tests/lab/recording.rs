//! Records what passes the box, with labels that say what it was: the training data that the laboratory makes.
//!
//! The folder has the form of the collected captures: `pcap/CLASS/lab__NAME.pcap` and `labels.csv` with the same columns.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;

use crate::frames::read_pcap;
use crate::namespace::{Namespace, run};
use crate::process::{Running, SHORT, wait_until};

/// The columns of `labels.csv`.
const COLUMNS: &str = "split,label,class,subtype,file,sha256,bytes,packets,flows,duration_s,format,linktype,attacker,victim,\
                       label_granularity,realness,label_basis,merged_timestamps,source_repo,source_path,commit,licence,note";

/// How long the last packets may take to come through.
const LAST_PACKETS: Duration = Duration::from_millis(300);

/// What a capture shows.
#[derive(Clone, Copy, Debug)]
pub struct Label<'a> {
    /// Class as in the collected captures: `benign`, `scan`, `flood_syn`, `flood_udp`, `flood_other`, `bruteforce`.
    pub class: &'a str,
    /// What kind within the class. Captures of a kind belong together: they stay on one side of a split.
    pub kind: &'a str,
    /// Name of the capture.
    pub name: &'a str,
    /// Who attacks; empty when nobody does.
    pub attacker: &'a str,
    /// Who is attacked.
    pub victim: &'a str,
    /// `all` or `pair`: which flows the label is about.
    pub granularity: &'a str,
}

/// A running capture of one device, both directions.
#[derive(Debug)]
pub struct Capture(Running);

impl Capture {
    /// Starts it, and waits until it records. Of each frame `snap` bytes are kept; `filter` is as tcpdump takes it, may be empty.
    ///
    /// # Errors
    /// tcpdump is not installed.
    pub fn start(namespace: &Namespace, device: &str, file: &Path, snap: u32, filter: &str) -> Result<Self> {
        let line = format!(
            "tcpdump -i {device} -n --immediate-mode -B 16384 -Z root -s {snap} -w {} {filter}",
            file.display()
        );
        let mut tcpdump = namespace.start(&line)?;
        wait_until("tcpdump listens", SHORT, || !tcpdump.is_alive() || tcpdump.stderr().contains("listening on"))?;
        if tcpdump.is_alive() { Ok(Self(tcpdump)) } else { Err(tcpdump.complaint("ended at once")) }
    }

    /// Ends it after the last packets.
    pub fn stop(self) {
        sleep(LAST_PACKETS);
        self.0.stop(Signal::SIGINT, SHORT);
    }
}

/// A folder of labelled captures that grows.
#[derive(Debug)]
pub struct Corpus {
    folder: PathBuf,
    rows: Vec<String>,
}

impl Corpus {
    /// Begins one in the folder; an earlier `labels.csv` there is replaced.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn new(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder.join("pcap")).with_context(|| folder.display().to_string())?;
        Ok(Self { folder: folder.to_owned(), rows: Vec::new() })
    }

    /// Records on `port0` of the box while `act` runs. When `act` fails the capture is thrown away.
    ///
    /// # Errors
    /// What `act` says, or the capture cannot be written.
    pub fn record(
        &mut self,
        r#box: &Namespace,
        label: Label<'_>,
        snap: u32,
        act: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let relative = format!("{}/lab__{}.pcap", label.class, label.name);
        let file = self.folder.join("pcap").join(&relative);
        fs::create_dir_all(self.folder.join("pcap").join(label.class))?;
        let capture = Capture::start(r#box, "port0", &file, snap, "")?;
        let done = act();
        capture.stop();
        if let Err(error) = done {
            fs::remove_file(&file)?;
            return Err(error.context(format!("recording {}", label.name)));
        }
        self.rows.push(row(label, &relative, &file)?);
        self.write_labels()
    }

    /// How many captures there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn write_labels(&self) -> Result<()> {
        let text = format!("{COLUMNS}\n{}\n", self.rows.join("\n"));
        fs::write(self.folder.join("labels.csv"), text).context("labels.csv")
    }
}

/// The row of `labels.csv` about a capture.
fn row(label: Label<'_>, relative: &str, file: &Path) -> Result<String> {
    let frames = read_pcap(file)?;
    let (first, last) = (frames.first().map_or(0, |f| f.time_us), frames.last().map_or(0, |f| f.time_us));
    let micros = last.saturating_sub(first);
    let sum = run(std::process::Command::new("sha256sum").arg(file))?;
    let columns = [
        "train",
        if label.class == "benign" { "benign" } else { "attack" },
        label.class,
        label.kind,
        relative,
        sum.split_whitespace().next().unwrap_or_default(),
        &fs::metadata(file)?.len().to_string(),
        &frames.len().to_string(),
        "",
        &format!("{}.{:03}", micros / 1_000_000, micros % 1_000_000 / 1000),
        "pcap",
        "ether",
        label.attacker,
        label.victim,
        label.granularity,
        "lab",
        "made by record-corpus",
        "",
        &format!("sluice-lab/{}", label.kind),
        label.name,
        "",
        "MIT OR Apache-2.0",
        "",
    ];
    Ok(columns.join(","))
}
