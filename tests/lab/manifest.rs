//! The manifest of a capture: what was done when, by which programs, over which line, and which of its flows are whose.
//!
//! Flows are counted by the extractor that the daemon and the trainer use.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use traffic::capture_file::CaptureFile;
use traffic::extractor::{Extractor, Observation};
use traffic::limits::Limits;
use traffic::time::Timestamp;

use crate::journal::{Entry, Journal};
use crate::line::profile::{Direction, Profile};
use crate::namespace::run;
use crate::recording::{Label, Order};

/// Most pairs of hosts that a manifest lists; the flows of more are summed up.
const MOST_PAIRS: usize = 400;

/// What a capture holds.
#[derive(Debug, Default)]
struct Contents {
    packets: u64,
    first: Option<Timestamp>,
    last: Timestamp,
    flows: BTreeMap<u64, Conversation>,
}

/// A flow.
#[derive(Clone, Copy, Debug)]
struct Conversation {
    initiator: IpAddr,
    responder: IpAddr,
    protocol: u8,
    port: Option<u16>,
    packets: u64,
    begins: Timestamp,
    ends: Timestamp,
}

/// Makes the manifest of a capture that lies in `file`, and is called `relative` in the corpus. What was done before its first packet, such as
/// the start of servers, has a time below zero.
///
/// # Errors
/// The capture cannot be read.
pub fn manifest(file: &Path, relative: &str, order: &Order<'_>, journal: &Journal) -> Result<Value> {
    let (label, contents, entries) = (order.label, read(file)?, journal.entries());
    let first = contents.first.unwrap_or(journal.begins());
    let attacks = contents.flows.values().filter(|flow| label.speaks_of(flow.initiator, flow.responder)).count();
    let sum = run(Command::new("sha256sum").arg(file))?;
    Ok(json!({
        "file": relative,
        "name": label.name,
        "class": label.class,
        "subtype": label.kind,
        "attacker": label.attacker,
        "victim": label.victim,
        "label_granularity": label.granularity,
        "side": side(label),
        "ip_version": ip_version(&contents, label),
        "seed": order.seed,
        "line_name": order.profile.name,
        "line": line(order.profile),
        "begins_unix_s": seconds(first, Timestamp::EPOCH),
        "duration_s": seconds(contents.last, first),
        "packets": contents.packets,
        "bytes": fs::metadata(file)?.len(),
        "snap_bytes": order.snap,
        "sha256": sum.split_whitespace().next(),
        "flows": contents.flows.len(),
        "attack_flows": attacks,
        "flow_labels": pairs(&contents, label, first),
        "commands": commands(&entries, journal.begins(), first),
        "tools": tools(&entries),
    }))
}

fn read(file: &Path) -> Result<Contents> {
    let mut reader = CaptureFile::new(File::open(file)?)?;
    let mut extractor = Extractor::new(&Limits::default(), [1, 2]);
    let mut contents = Contents::default();
    let mut more = true;
    while more {
        let Contents { packets, first, last, flows } = &mut contents;
        more = reader.next_frame(&mut |time, frame| {
            *packets += 1;
            first.get_or_insert(time);
            *last = time;
            // What cannot be decoded is in no flow.
            let _ = extractor.frame(frame, time, &mut |seen| note(flows, seen));
        })?;
    }
    extractor.finish(&mut |seen| note(&mut contents.flows, seen));
    Ok(contents)
}

/// Of a flow that was turned round, because it looks like an answer, and whose question nobody saw, the one who answers is the
/// one who began: so it is with answers that were never asked for. (The trainer makes no rows of those.)
fn note(flows: &mut BTreeMap<u64, Conversation>, seen: &Observation<'_>) {
    let (initiator, responder, port) = if seen.begun {
        (seen.initiator, seen.responder, seen.responder_port)
    } else {
        (seen.responder, seen.initiator, seen.initiator_port)
    };
    let (initiator, responder) = (initiator.to_canonical(), responder.to_canonical());
    let begins = flows.get(&seen.flow).map_or(seen.time, |flow| flow.begins);
    let (protocol, packets, ends) = (seen.protocol, seen.packets, seen.time);
    flows.insert(seen.flow, Conversation { initiator, responder, protocol, port, packets, begins, ends });
}

/// Flows of hosts with each other, summed up: who with whom, when, and what it is. Where too many hosts take part, the
/// initiators are summed up too.
fn pairs(contents: &Contents, label: &Label, first: Timestamp) -> Vec<Value> {
    let exact = grouped(contents, label, true);
    let groups = if exact.len() > MOST_PAIRS { grouped(contents, label, false) } else { exact };
    let shown = groups.into_iter().take(MOST_PAIRS).map(|((is_attack, from, to), flows)| {
        let mut ports: Vec<u16> = flows.iter().filter_map(|flow| flow.port).collect();
        ports.sort_unstable();
        ports.dedup();
        let mut protocols: Vec<u8> = flows.iter().map(|flow| flow.protocol).collect();
        protocols.sort_unstable();
        protocols.dedup();
        json!({
            "label": if is_attack { label.class } else { "benign" },
            "from": from.map_or_else(|| String::from("*many*"), |from| from.to_string()),
            "to": to.to_string(),
            "protocols": protocols,
            "ports": if ports.len() <= 12 { json!(ports) } else { json!({ "count": ports.len() }) },
            "flows": flows.len(),
            "packets": flows.iter().map(|flow| flow.packets).sum::<u64>(),
            "begins_s": flows.iter().map(|flow| flow.begins).min().map(|time| seconds(time, first)),
            "ends_s": flows.iter().map(|flow| flow.ends).max().map(|time| seconds(time, first)),
        })
    });
    shown.collect()
}

/// By whether it is the attack, who began, and with whom.
type Groups<'a> = BTreeMap<(bool, Option<IpAddr>, IpAddr), Vec<&'a Conversation>>;

fn grouped<'a>(contents: &'a Contents, label: &Label, by_initiator: bool) -> Groups<'a> {
    let mut groups = Groups::new();
    for flow in contents.flows.values() {
        let is_attack = label.speaks_of(flow.initiator, flow.responder);
        let from = by_initiator.then_some(flow.initiator);
        groups.entry((is_attack, from, flow.responder)).or_default().push(flow);
    }
    groups
}

fn commands(entries: &[Entry], begins: Timestamp, first: Timestamp) -> Vec<Value> {
    let before = seconds(first, begins);
    let at = |entry: &Entry| ((entry.at.as_secs_f64() - before) * 1_000.0).round() / 1_000.0;
    entries.iter().map(|entry| json!({ "at_s": at(entry), "in": host(&entry.namespace), "line": entry.what })).collect()
}

/// The part of a namespace's name that is the same each time: `lan` of `sluice-lan-1234-0`.
fn host(namespace: &str) -> &str {
    namespace.split('-').nth(1).unwrap_or(namespace)
}

/// The side from which the attack comes.
fn side(label: &Label) -> &'static str {
    match label.attacker.as_str() {
        _ if label.is_benign() => "",
        attacker if attacker.starts_with("198.51.100.") || attacker.starts_with("2001:db8:1:") => "lan",
        _ => "wan",
    }
}

/// `4`, `6`, or `4+6` where each has a quarter of the flows; of an attack only its own flows count.
fn ip_version(contents: &Contents, label: &Label) -> &'static str {
    let counts = |flow: &&Conversation| label.is_benign() || label.speaks_of(flow.initiator, flow.responder);
    let flows: Vec<&Conversation> = contents.flows.values().filter(counts).collect();
    let six = flows.iter().filter(|flow| flow.initiator.is_ipv6()).count();
    match (six * 4 >= flows.len(), (flows.len() - six) * 4 >= flows.len()) {
        (true, true) => "4+6",
        (true, false) => "6",
        _ => "4",
    }
}

fn line(profile: &Profile) -> Value {
    let way = |way: &Direction| {
        json!({
            "rate_kbit_per_s": way.rate_kbit_per_s,
            "queue_ms": way.queue_ms,
            "delay_us": way.delay_us,
            "jitter_us": way.jitter_us,
            "loss": way.loss,
            "loss_burst": way.loss_burst,
            "reorder": way.reorder,
            "reorder_us": way.reorder_us,
        })
    };
    json!({ "place": format!("{:?}", profile.place).to_lowercase(), "down": way(&profile.down), "up": way(&profile.up) })
}

/// The Debian package and version of each program that was started, by a shell or without.
fn tools(entries: &[Entry]) -> BTreeMap<String, String> {
    let programs = entries.iter().filter_map(|entry| entry.what.rsplit(" exec ").next()?.split_whitespace().next());
    programs.filter_map(|program| Some((program.to_owned(), version_of(program)?))).collect()
}

/// Asked once for each program.
fn version_of(program: &str) -> Option<String> {
    static KNOWN: Mutex<BTreeMap<String, Option<String>>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    known.entry(program.to_owned()).or_insert_with(|| ask_version(program).ok()).clone()
}

fn ask_version(program: &str) -> Result<String> {
    let folders = ["/usr/bin", "/usr/sbin"].map(PathBuf::from);
    let file = folders.into_iter().map(|folder| folder.join(program)).find(|file| file.exists());
    let file = fs::canonicalize(file.context("no such program")?)?;
    // Packages from before the merge of /usr know their files by the shorter names.
    let names = [file.clone(), Path::new("/").join(file.strip_prefix("/usr").unwrap_or(&file))];
    let owner = names.iter().find_map(|name| run(Command::new("dpkg-query").arg("-S").arg(name)).ok());
    let owner = owner.context("of no package")?;
    let package = owner.split(':').next().unwrap_or_default();
    let version = run(Command::new("dpkg-query").args(["-W", "-f", "${Version}", package]))?;
    Ok(format!("{package} {version}"))
}

fn seconds(time: Timestamp, since: Timestamp) -> f64 {
    (time.since(since).as_secs_f64() * 1_000.0).round() / 1_000.0
}
