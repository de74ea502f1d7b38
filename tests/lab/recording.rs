//! Records what passes the box, with labels that say what it was: the training data that the laboratory makes.
//!
//! The folder has the form of the collected captures: `pcap/CLASS/lab__NAME.pcap` and `labels.csv` with the same columns. Beside
//! each capture lies its [`crate::manifest`], written last: what has one is complete, and `labels.csv` is made from them.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::journal::Journal;
use crate::line::profile::Profile;
use crate::manifest::manifest;
use crate::namespace::Namespace;
use crate::process::{Running, SHORT, wait_until};

/// The columns of `labels.csv`.
const COLUMNS: &str = "split,label,class,subtype,file,sha256,bytes,packets,flows,duration_s,format,linktype,attacker,victim,\
                       label_granularity,realness,label_basis,merged_timestamps,source_repo,source_path,commit,licence,note,\
                       line,side,ip_version,seed,attack_flows";

/// How long the last packets may take to come through.
const LAST_PACKETS: Duration = Duration::from_millis(300);

/// What a capture shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Class as in the collected captures, such as `benign`, `scan` or `flood_syn`.
    pub class: &'static str,
    /// What kind within the class. Captures of a kind belong together: they stay on one side of a split.
    pub kind: &'static str,
    /// Name of the capture.
    pub name: String,
    /// Who attacks: addresses parted by spaces; empty when nobody does.
    pub attacker: String,
    /// Who is attacked, in the same form or as a range.
    pub victim: String,
    /// `all`, `pair` or `dst`: which flows the label is about; `none` where the attack makes no flows.
    pub granularity: &'static str,
}

impl Label {
    /// Whether it is a capture without any attack.
    #[must_use]
    pub fn is_benign(&self) -> bool {
        self.class == "benign"
    }

    /// Whether it is an attack below IP.
    fn makes_no_flows(&self) -> bool {
        self.granularity == "none"
    }

    /// Whether a flow is of the attack, by the same rule as the trainer's.
    #[must_use]
    pub fn speaks_of(&self, initiator: IpAddr, responder: IpAddr) -> bool {
        let by_attacker = names(&self.attacker, initiator);
        let (by_victim, at_victim) = (names(&self.victim, initiator), names(&self.victim, responder));
        match self.granularity {
            _ if self.is_benign() || self.makes_no_flows() => false,
            "pair" => by_attacker && at_victim,
            "dst" => at_victim && !by_victim,
            _ => by_attacker || (!self.attacker.contains(['.', ':']) && !by_victim),
        }
    }
}

/// Whether a cell of addresses names one. `192.0.2.10-16` names seven.
fn names(cell: &str, address: IpAddr) -> bool {
    cell.split([' ', ';']).any(|word| match word.split_once('-') {
        Some((first, last)) => is_between(first, last, address),
        None => word.parse() == Ok(address),
    })
}

fn is_between(first: &str, last: &str, address: IpAddr) -> bool {
    let (Ok(IpAddr::V4(first)), Ok(last), IpAddr::V4(address)) = (first.parse(), last.parse::<u8>(), address) else {
        return false;
    };
    let ([a, b, c, from], [d, e, f, at]) = (first.octets(), address.octets());
    [a, b, c] == [d, e, f] && (from..=last).contains(&at)
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

/// A recording to be made.
#[derive(Clone, Debug)]
pub struct Order<'a> {
    /// What it shows.
    pub label: &'a Label,
    /// The line that it is made over.
    pub profile: &'a Profile,
    /// What made the draws.
    pub seed: u64,
    /// Bytes kept of each frame.
    pub snap: u32,
}

/// A folder of labelled captures that grows; several threads may add to it.
#[derive(Debug)]
pub struct Corpus {
    folder: PathBuf,
    /// Only one writes the table at a time.
    table: Mutex<()>,
}

impl Corpus {
    /// Opens the folder, and makes it where it is missing.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn open(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder.join("pcap")).with_context(|| folder.display().to_string())?;
        Ok(Self { folder: folder.to_owned(), table: Mutex::new(()) })
    }

    /// Whether the capture is there and complete.
    #[must_use]
    pub fn has(&self, label: &Label) -> bool {
        let file = self.file(label);
        file.exists() && file.with_extension("json").exists()
    }

    fn file(&self, label: &Label) -> PathBuf {
        self.folder.join("pcap").join(label.class).join(format!("lab__{}.pcap", label.name))
    }

    /// Records on `port0` of the box while `act` runs; the journal says what was done, and which servers were started before. When `act` fails, or
    /// nothing was recorded that the label speaks of, the capture is thrown away.
    ///
    /// # Errors
    /// What `act` says, or the capture cannot be written.
    pub fn record(
        &self,
        r#box: &Namespace,
        journal: &Journal,
        order: &Order<'_>,
        act: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let file = self.file(order.label);
        let beside = file.with_extension("json");
        fs::create_dir_all(self.folder.join("pcap").join(order.label.class))?;
        if beside.exists() {
            fs::remove_file(&beside)?;
        }
        let capture = Capture::start(r#box, "port0", &file, order.snap, "")?;
        let done = act();
        capture.stop();
        match done.and_then(|()| self.describe(&file, order, journal)) {
            // Others may read the manifests at the same time.
            Ok(text) => appear(&beside, &text).context("the manifest")?,
            Err(error) => {
                fs::remove_file(&file)?;
                return Err(error.context(format!("recording {}", order.label.name)));
            }
        }
        self.write_labels()
    }

    fn describe(&self, file: &Path, order: &Order<'_>, journal: &Journal) -> Result<String> {
        let relative = file.strip_prefix(self.folder.join("pcap"))?.display().to_string();
        let described = manifest(file, &relative, order, journal)?;
        ensure!(described["packets"].as_u64() > Some(0), "nothing was recorded");
        ensure!(
            order.label.is_benign() || order.label.makes_no_flows() || described["attack_flows"].as_u64() > Some(0),
            "no flow is one that the label speaks of"
        );
        Ok(serde_json::to_string_pretty(&described)? + "\n")
    }

    /// The manifests of all captures that are there, in the order of their files.
    ///
    /// # Errors
    /// One cannot be read.
    pub fn manifests(&self) -> Result<Vec<Value>> {
        let mut files = Vec::new();
        for class in fs::read_dir(self.folder.join("pcap"))? {
            let inside = fs::read_dir(class?.path())?.filter_map(|entry| Some(entry.ok()?.path()));
            files.extend(inside.filter(|file| file.extension().is_some_and(|extension| extension == "json")));
        }
        files.sort();
        let read = |file: &PathBuf| -> Result<Value> {
            serde_json::from_slice(&fs::read(file)?).with_context(|| file.display().to_string())
        };
        files.iter().filter(|file| file.with_extension("pcap").exists()).map(read).collect()
    }

    /// Writes `labels.csv` anew from the manifests.
    ///
    /// # Errors
    /// A manifest cannot be read, or the table not be written.
    pub fn write_labels(&self) -> Result<()> {
        let _alone = self.table.lock();
        let rows: Vec<String> = self.manifests()?.iter().map(row).collect();
        fs::write(self.folder.join("labels.csv"), format!("{COLUMNS}\n{}\n", rows.join("\n"))).context("labels.csv")
    }
}

/// Writes a file that is there as a whole or not at all.
fn appear(file: &Path, text: &str) -> std::io::Result<()> {
    let unfinished = file.with_extension("part");
    fs::write(&unfinished, text)?;
    fs::rename(unfinished, file)
}

/// The row of `labels.csv` about a capture.
fn row(manifest: &Value) -> String {
    let cell = |name: &str| match &manifest[name] {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    let label = if manifest["class"] == "benign" { "benign" } else { "attack" };
    let source = format!("sluice-lab/{}", cell("subtype"));
    let cells = [
        "train".to_owned(),
        label.to_owned(),
        cell("class"),
        cell("subtype"),
        cell("file"),
        cell("sha256"),
        cell("bytes"),
        cell("packets"),
        cell("flows"),
        cell("duration_s"),
        "pcap".to_owned(),
        "ether".to_owned(),
        cell("attacker"),
        cell("victim"),
        cell("label_granularity"),
        "lab".to_owned(),
        "made by record-corpus".to_owned(),
        String::new(),
        source,
        cell("name"),
        String::new(),
        "MIT OR Apache-2.0".to_owned(),
        String::new(),
        cell("line_name"),
        cell("side"),
        cell("ip_version"),
        cell("seed"),
        cell("attack_flows"),
    ];
    cells.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(granularity: &'static str, attacker: &str) -> Label {
        Label {
            class: "scan",
            kind: "some",
            name: String::from("some"),
            attacker: attacker.to_owned(),
            victim: String::from("198.51.100.10-16"),
            granularity,
        }
    }

    #[test]
    fn a_label_speaks_of_the_flows_that_the_trainer_takes() {
        let speaks = |granularity, attacker, from: &str, to: &str| {
            label(granularity, attacker).speaks_of(from.parse().unwrap(), to.parse().unwrap())
        };
        let (attacker, victim, other) = ("203.0.113.66", "198.51.100.16", "203.0.113.10");
        assert!(speaks("pair", attacker, attacker, victim));
        assert!(!speaks("pair", attacker, victim, attacker));
        assert!(!speaks("pair", attacker, attacker, "198.51.100.17"));
        assert!(speaks("all", attacker, attacker, other));
        assert!(!speaks("all", attacker, other, victim));
        assert!(speaks("all", "*spoofed/many*", other, victim));
        assert!(!speaks("all", "*spoofed/many*", victim, other));
        assert!(!speaks("none", attacker, attacker, victim));
        assert!(speaks("dst", "", other, victim));
        assert!(!speaks("dst", "", victim, other));
    }
}
