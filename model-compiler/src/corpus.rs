//! Which captures there are, and how each is labelled: `labels.csv` beside the folder `pcap/`.
//!
//! The laboratory writes its recordings in the same form. Columns that are not named here are for people.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::recipe::Background;

/// Why a corpus cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {path}")]
pub struct CorpusError {
    /// The table of labels.
    pub path: PathBuf,
    /// Why not.
    pub source: csv::Error,
}

/// The captures of one corpus.
#[derive(Debug)]
pub struct Corpus {
    /// Those that can be used.
    pub captures: Vec<LabelledCapture>,
    /// Those that cannot, each with the reason.
    pub skipped: Vec<(String, &'static str)>,
}

/// A capture and what is known about its flows.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelledCapture {
    /// The corpus and the file: how the capture is called everywhere.
    pub name: String,
    /// Where it lies.
    pub path: PathBuf,
    /// Who published it: captures of one source may be alike in ways that have nothing to do with attacks.
    pub source: String,
    /// The label of the flows that it is about.
    pub label: String,
    /// How long it is, in seconds, by the table of labels; 0 where that says nothing.
    pub duration_s: f64,
    /// Which flows these are.
    pub scope: Scope,
}

/// Which flows of a capture its label speaks of, and what the others are.
#[derive(Clone, Debug, PartialEq)]
pub struct Scope {
    /// The rule.
    pub granularity: Granularity,
    /// Addresses of attackers, where they are known.
    pub attackers: Vec<IpAddr>,
    /// Addresses of victims, where they are known.
    pub victims: Vec<IpAddr>,
    /// What the flows are that the label does not speak of.
    pub background: Background,
}

/// The rule by which a label reaches flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Granularity {
    /// Every flow.
    All,
    /// Flows between an attacker and a victim.
    Pair,
    /// Flows towards a victim, from whomever.
    Destination,
}

/// A row of `labels.csv`.
#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    split: String,
    class: String,
    file: String,
    attacker: String,
    victim: String,
    label_granularity: String,
    #[serde(default)]
    duration_s: f64,
    #[serde(default)]
    merged_timestamps: String,
    source_repo: String,
}

/// Reads the corpus in `directory`, which the rest of the program calls `name`.
///
/// # Errors
/// There is no table of labels, or it lacks a column.
pub fn read(name: &str, directory: &Path, background: Background) -> Result<Corpus, CorpusError> {
    let path = directory.join("labels.csv");
    let lines = read_lines(&path).map_err(|source| CorpusError { path, source })?;
    let mut corpus = Corpus { captures: Vec::new(), skipped: Vec::new() };
    for line in lines {
        match granularity(&line) {
            Ok(granularity) => corpus.captures.push(LabelledCapture {
                name: format!("{name}/{}", line.file),
                path: directory.join("pcap").join(&line.file),
                scope: Scope {
                    granularity,
                    attackers: addresses(&line.attacker),
                    victims: addresses(&line.victim),
                    background,
                },
                source: line.source_repo,
                label: line.class,
                duration_s: line.duration_s,
            }),
            Err(why) => corpus.skipped.push((format!("{name}/{}", line.file), why)),
        }
    }
    Ok(corpus)
}

fn read_lines(path: &Path) -> Result<Vec<Line>, csv::Error> {
    csv::Reader::from_path(path)?.deserialize().collect()
}

/// The rule, or why the capture is of no use for rows of flows and windows.
fn granularity(line: &Line) -> Result<Granularity, &'static str> {
    if !matches!(line.split.as_str(), "" | "train") {
        return Err("set aside by its split");
    }
    if line.merged_timestamps == "yes" {
        return Err("pasted together from several captures: its times mean nothing");
    }
    match line.label_granularity.as_str() {
        "all" => Ok(Granularity::All),
        "pair" => Ok(Granularity::Pair),
        "dst" => Ok(Granularity::Destination),
        _ => Err("labelled by host only: which of its flows are meant is unknown"),
    }
}

/// The addresses in a cell. `*spoofed/many*` has none, `192.0.2.1 via 192.0.2.2` has two, `192.0.2.1-7` has seven.
fn addresses(cell: &str) -> Vec<IpAddr> {
    cell.split([' ', ',', ';']).flat_map(|word| word.parse().map_or_else(|_| range(word), |one| vec![one])).collect()
}

/// The addresses from the one before the dash to the one that ends in the number behind it.
fn range(word: &str) -> Vec<IpAddr> {
    let Some((Ok(first), Ok(last))) = word.split_once('-').map(|(first, last)| (first.parse(), last.parse())) else {
        return Vec::new();
    };
    let [a, b, c, d] = Ipv4Addr::octets(&first);
    (d..=last).map(|d| IpAddr::from([a, b, c, d])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_hold_none_one_or_several_addresses() {
        assert_eq!(addresses("*spoofed/many*"), [] as [IpAddr; 0]);
        assert_eq!(addresses("2001:db8::1"), ["2001:db8::1".parse::<IpAddr>().unwrap()]);
        assert_eq!(addresses("192.0.2.1 via 192.0.2.2;192.0.2.3").len(), 3);
        let seven = addresses("192.0.2.10-16");
        assert_eq!((seven.len(), seven[6]), (7, "192.0.2.16".parse().unwrap()));
        assert_eq!(addresses("192.0.2.10-9 lab-host 192.0.2.1-"), [] as [IpAddr; 0]);
    }

    #[test]
    fn captures_without_usable_labels_are_skipped_with_the_reason() {
        let directory = std::env::temp_dir().join(format!("sluice-corpus-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let table = "split,class,file,attacker,victim,label_granularity,merged_timestamps,source_repo,note\n\
            train,scan,scan/a.pcap,192.0.2.1,192.0.2.2,pair,,someone/some,\n\
            test,scan,scan/b.pcap,192.0.2.1,192.0.2.2,pair,,someone/some,\n\
            train,benign,benign/c.pcap,,,all,yes,someone/some,\n\
            train,malware_c2,c2/d.pcap,192.0.2.1,,host,,someone/some,\"a, quoted note\"\n";
        std::fs::write(directory.join("labels.csv"), table).unwrap();
        let corpus = read("public", &directory, Background::Drop).unwrap();
        std::fs::remove_dir_all(&directory).unwrap();

        assert_eq!(corpus.captures.len(), 1);
        let capture = &corpus.captures[0];
        assert_eq!((capture.name.as_str(), capture.scope.granularity), ("public/scan/a.pcap", Granularity::Pair));
        assert_eq!(capture.path, directory.join("pcap/scan/a.pcap"));
        let skipped: Vec<&str> = corpus.skipped.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(skipped, ["public/scan/b.pcap", "public/benign/c.pcap", "public/c2/d.pcap"]);
    }
}
