//! Which captures there are, and how each is labelled: `labels.csv` beside the folder `pcap/`.
//!
//! The laboratory writes its recordings in the same form. Columns that are not named here are for people.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use ipnet::IpNet;
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
    pub skipped: Vec<(String, String)>,
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
    /// Which flows these are.
    pub scope: Scope,
}

/// Which flows of a capture its label speaks of, and what the others are.
#[derive(Clone, Debug, PartialEq)]
pub struct Scope {
    /// The rule.
    pub granularity: Granularity,
    /// Attackers, where they are known.
    pub attackers: Vec<IpNet>,
    /// Victims, where they are known.
    pub victims: Vec<IpNet>,
    /// What the flows are that the label does not speak of.
    pub background: Background,
}

impl Scope {
    /// Whether it is known to attack.
    #[must_use]
    pub fn is_attacker(&self, address: IpAddr) -> bool {
        among(&self.attackers, address)
    }

    /// Whether it is known to be attacked.
    #[must_use]
    pub fn is_victim(&self, address: IpAddr) -> bool {
        among(&self.victims, address)
    }
}

fn among(hosts: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    hosts.iter().any(|host| host.contains(&address))
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
    /// Some of an attacker's flows, nobody knows which.
    Host,
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
        let capture = format!("{name}/{}", line.file);
        match scope(&line, background) {
            Ok(scope) => corpus.captures.push(LabelledCapture {
                name: capture,
                path: directory.join("pcap").join(&line.file),
                scope,
                source: line.source_repo,
                label: line.class,
            }),
            Err(why) => corpus.skipped.push((capture, why)),
        }
    }
    Ok(corpus)
}

/// Which flows of the capture are meant, or why it is of no use.
fn scope(line: &Line, background: Background) -> Result<Scope, String> {
    let granularity = granularity(line)?;
    let hosts = |column: &str, cell: &str| hosts(cell).map_err(|word| format!("{column}: {word:?} is no address"));
    let (attackers, victims) = (hosts("attacker", &line.attacker)?, hosts("victim", &line.victim)?);
    Ok(Scope { granularity, attackers, victims, background })
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
        "host" => Ok(Granularity::Host),
        "none" => Err("its attack makes no flows (label_granularity: none)"),
        _ => Err("it is not said which of its flows are meant (label_granularity: all, pair, dst or host)"),
    }
}

/// The hosts and networks in a cell; else the word that is none. Anybody (`*`, `*spoofed/many*`) is nobody in particular,
/// `192.0.2.1 via 192.0.2.2` are two, `192.0.2.1-7` seven, and what stands in parentheses is for people.
fn hosts(cell: &str) -> Result<Vec<IpNet>, String> {
    let (first, remarks) = cell.split_once('(').unwrap_or((cell, ""));
    let behind_remarks = remarks.split('(').filter_map(|part| Some(part.split_once(')')?.1));
    let words = std::iter::once(first).chain(behind_remarks).flat_map(|part| part.split([' ', ',', ';']));
    let mut hosts = Vec::new();
    for word in words.filter(|word| !matches!(*word, "" | "via") && !word.starts_with('*')) {
        hosts.extend(host(word).ok_or(word)?);
    }
    Ok(hosts)
}

/// A host, a network, or the hosts from the one before the dash to the one that ends in the number behind it.
fn host(word: &str) -> Option<Vec<IpNet>> {
    if let Ok(host) = word.parse::<IpAddr>() {
        return Some(vec![host.into()]);
    }
    let Some((first, last)) = word.split_once('-') else { return Some(vec![word.parse().ok()?]) };
    let [a, b, c, d] = first.parse().ok().map(|first: Ipv4Addr| first.octets())?;
    Some((d..=last.parse().ok()?).map(|d| IpAddr::from([a, b, c, d]).into()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_hold_nobody_in_particular_hosts_and_networks() {
        let said = |cell: &str| {
            hosts(cell).map(|hosts| hosts.iter().map(|host| host.trunc().to_string()).collect::<Vec<_>>().join(" "))
        };
        for (cell, meant) in [
            ("", ""),
            ("*spoofed/many*", ""),
            ("*", ""),
            ("2001:db8::1", "2001:db8::1/128"),
            ("192.0.2.1 via 192.0.2.2;192.0.2.3", "192.0.2.1/32 192.0.2.2/32 192.0.2.3/32"),
            ("192.0.2.254-255", "192.0.2.254/32 192.0.2.255/32"),
            ("192.0.2.128/26 2001:db8::/122", "192.0.2.128/26 2001:db8::/122"),
            ("192.0.2.7 (infected, primary host)", "192.0.2.7/32"),
            ("192.0.2.7 (infected), 192.0.2.8(too) 192.0.2.9", "192.0.2.7/32 192.0.2.8/32 192.0.2.9/32"),
        ] {
            assert_eq!(said(cell).as_deref(), Ok(meant), "{cell}");
        }
        for (cell, wrong) in [
            ("192.0.2.1 lab-host", "lab-host"),
            ("192.0.2.1-", "192.0.2.1-"),
            ("02:00:5e:10:00:01", "02:00:5e:10:00:01"),
        ] {
            assert_eq!(hosts(cell), Err(wrong.to_owned()));
        }
    }

    #[test]
    fn captures_without_usable_labels_are_skipped_with_the_reason() {
        let directory = std::env::temp_dir().join(format!("sluice-corpus-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let table = "split,class,file,attacker,victim,label_granularity,merged_timestamps,source_repo,note\n\
            train,scan,scan/a.pcap,192.0.2.1,192.0.2.2,pair,,someone/some,\n\
            test,scan,scan/b.pcap,192.0.2.1,192.0.2.2,pair,,someone/some,\n\
            train,benign,benign/c.pcap,,,all,yes,someone/some,\n\
            train,malware_c2,c2/d.pcap,192.0.2.1,,host,,someone/some,\"a, quoted note\"\n\
            train,scan,scan/e.pcap,somebody,192.0.2.2,pair,,someone/some,\n\
            train,scan,scan/f.pcap,192.0.2.1,192.0.2.2,,,someone/some,\n";
        std::fs::write(directory.join("labels.csv"), table).unwrap();
        let corpus = read("public", &directory, Background::Drop).unwrap();
        std::fs::remove_dir_all(&directory).unwrap();

        let used = corpus.captures.iter().map(|capture| (capture.name.as_str(), capture.scope.granularity));
        let used: Vec<_> = used.collect();
        assert_eq!(used, [("public/scan/a.pcap", Granularity::Pair), ("public/c2/d.pcap", Granularity::Host)]);
        assert_eq!(corpus.captures[0].path, directory.join("pcap/scan/a.pcap"));
        let skipped =
            ["scan/b.pcap", "benign/c.pcap", "scan/e.pcap", "scan/f.pcap"].map(|file| format!("public/{file}"));
        assert_eq!(corpus.skipped.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), skipped);
        assert_eq!(corpus.skipped[2].1, "attacker: \"somebody\" is no address");
    }
}
