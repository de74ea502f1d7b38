//! `sluice replay`: the report is a contract that other programs measure Sluice with.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use lab::daemon::{sluice, sluice_program};
use lab::process::{Finished, SHORT, run_any};
use serde_json::Value;

/// How long a small capture may take.
const LIMIT: Duration = Duration::from_secs(30);

/// Keys of the report, of an alert, and of a block; nothing less.
const REPORT_KEYS: [&str; 15] = [
    "packets",
    "bytes",
    "undecodable",
    "undecodable_kinds",
    "flows",
    "evicted",
    "verdicts",
    "alerts",
    "blocks",
    "elapsed_s",
    "packets_per_s",
    "model",
    "schema",
    "shadow",
    "drift",
];
const ALERT_KEYS: [&str; 8] = ["t", "class", "source", "destination", "port", "confidence", "because", "flow_packet"];
const BLOCK_KEYS: [&str; 8] = ["t", "address", "source", "action", "class", "ttl_s", "evidence_flows", "because"];

fn capture(case: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("captures").join(case).join("input.pcap")
}

fn replay(file: &Path, more: &[&str]) -> Finished {
    let file = file.to_str().unwrap();
    sluice(&[&["replay", file, "--report", "json"], more].concat(), LIMIT).unwrap()
}

pub(crate) fn report(file: &Path, more: &[&str]) -> Value {
    let finished = replay(file, more);
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
    serde_json::from_str(&finished.stdout).unwrap()
}

fn case(name: &str) -> Value {
    report(&capture(name), &["--lan", "198.51.100.0/24"])
}

/// What differs between two runs of the same capture: only the time that they took.
fn timeless(mut report: Value) -> Value {
    let fields = report.as_object_mut().unwrap();
    fields.remove("elapsed_s");
    fields.remove("packets_per_s");
    report
}

#[test]
fn the_report_has_every_key_of_the_contract() {
    let report = case("syn-scan");
    assert_eq!(report.as_object().unwrap().len(), REPORT_KEYS.len());
    for key in REPORT_KEYS {
        assert!(report.get(key).is_some(), "no {key}");
    }
    for (list, keys) in [("alerts", ALERT_KEYS), ("blocks", BLOCK_KEYS)] {
        let rows = report[list].as_array().unwrap();
        assert!(!rows.is_empty(), "a scan gives no {list}");
        for row in rows {
            let missing: Vec<_> = keys.iter().filter(|key| row.get(**key).is_none()).collect();
            assert!(missing.is_empty(), "{list}: {row} lacks {missing:?}");
            assert!(!row["because"].as_str().unwrap().is_empty());
        }
    }
}

#[test]
fn every_packet_and_byte_of_the_capture_is_counted() {
    for name in ["syn-scan", "benign-mix", "ipv6", "vlan-tagged"] {
        let frames = lab::frames::read_pcap(&capture(name)).unwrap();
        let bytes: u64 = frames.iter().map(|frame| u64::from(frame.wire_len)).sum();
        let report = case(name);
        assert_eq!(report["packets"], frames.len(), "{name}");
        assert_eq!(report["bytes"], bytes, "{name}");
        assert_eq!(report["undecodable"], 0, "{name}");
    }
}

#[test]
fn the_attacker_of_each_recorded_attack_is_blocked_for_what_it_did() {
    for (name, attacker, class) in [
        ("syn-scan", "203.0.113.66", "scan"),
        ("syn-flood", "203.0.113.67", "flood"),
        ("ssh-brute-force", "203.0.113.68", "brute_force"),
        ("smb-brute-force", "203.0.113.68", "brute_force"),
        ("mqtt-brute-force", "203.0.113.68", "brute_force"),
        ("http-brute-force", "203.0.113.68", "brute_force"),
        ("web-search", "203.0.113.68", "web_attack"),
        ("vlan-tagged", "203.0.113.66", "scan"),
    ] {
        let report = case(name);
        let blocks = report["blocks"].as_array().unwrap();
        assert!(
            blocks.iter().any(|block| block["address"] == attacker && block["class"] == class),
            "{name}: {attacker} is not blocked for {class}: {blocks:?}"
        );
        assert!(
            blocks.iter().all(|block| block["address"] == attacker),
            "{name}: somebody else is blocked: {blocks:?}"
        );
    }
}

#[test]
fn who_guesses_by_ssh_is_blocked_once_nine_passwords_were_refused_and_not_before() {
    let recorded = lab::frames::read_pcap(&capture("ssh-brute-force")).unwrap();
    let failed = closed_by_both(&recorded);
    // The first one brings no password, and each other one six, of which every second counts.
    for (log_ins, is_blocked) in [(3, false), (4, true)] {
        let file = lab::cleanup::work_folder().unwrap().join(format!("{log_ins}-log-ins.pcap"));
        lab::frames::write_pcap(&file, &one_after_the_other(&recorded, &failed[..log_ins], 5)).unwrap();
        let report = report(&file, &["--lan", "198.51.100.0/24"]);
        let blocks = report["blocks"].as_array().unwrap();
        assert_eq!(blocks.len(), usize::from(is_blocked), "{log_ins}: {blocks:?}");
        assert!(blocks.iter().all(|block| block["because"].as_str().unwrap().contains("many refused passwords")));
    }
}

#[test]
fn twenty_refused_passwords_may_be_a_device_with_an_old_one_and_more_are_not() {
    let recorded = lab::frames::read_pcap(&capture("mqtt-brute-force")).unwrap();
    let refused = refused_by_mqtt(&recorded);
    for (log_ins, is_blocked) in [(20, false), (21, true)] {
        let file = lab::cleanup::work_folder().unwrap().join(format!("{log_ins}-refused.pcap"));
        let some: Vec<_> = recorded
            .iter()
            .filter(|frame| client_of(1_883, frame).is_some_and(|port| refused[..log_ins].contains(&port)))
            .cloned()
            .collect();
        lab::frames::write_pcap(&file, &some).unwrap();
        assert_eq!(blocked(&report(&file, &[])).len(), usize::from(is_blocked), "{log_ins}");
    }
}

#[test]
fn two_log_ins_that_came_to_nothing_may_be_mistyped_a_third_counts_and_a_fourth_is_told_of_however_patient() {
    let recorded = lab::frames::read_pcap(&capture("ssh-brute-force")).unwrap();
    let failed = closed_by_both(&recorded);
    for pause_s in [15, 70] {
        let [two, three, four] = [2, 3, 4].map(|log_ins| {
            let file = lab::cleanup::work_folder().unwrap().join(format!("{log_ins}-every-{pause_s}-s.pcap"));
            lab::frames::write_pcap(&file, &one_after_the_other(&recorded, &failed[..log_ins], pause_s)).unwrap();
            report(&file, &["--lan", "198.51.100.0/24", "--profile", "strict"])
        });
        assert_eq!((&two["verdicts"]["brute_force"], &two["alerts"]), (&0.into(), &Value::Array(Vec::new())));
        assert_eq!(three["verdicts"]["brute_force"], 1, "{pause_s}: {three}");
        assert!(!four["alerts"].as_array().unwrap().is_empty(), "{pause_s}: {four}");
    }
}

/// Ports of MQTT clients that were told that they are not authorized (CONNACK, code 5), in the order in which they were.
fn refused_by_mqtt(frames: &[lab::frames::Frame]) -> Vec<u16> {
    let is_refused = |frame: &&lab::frames::Frame| frame.bytes.ends_with(&[0x20, 2, 0, 5]);
    frames.iter().filter(is_refused).filter_map(|frame| client_of(1_883, frame)).collect()
}

/// Ports of SSH clients whose connections ended with FIN from both sides, in the order of their first frames.
fn closed_by_both(frames: &[lab::frames::Frame]) -> Vec<u16> {
    let mut fins: Vec<(u16, usize)> = Vec::new();
    for frame in frames {
        let Some(port) = client_of(22, frame) else { continue };
        let place = fins.iter().position(|(known, _)| *known == port).unwrap_or_else(|| {
            fins.push((port, 0));
            fins.len() - 1
        });
        fins[place].1 += usize::from(frame.bytes[47] & 1);
    }
    fins.into_iter().filter(|(_, fins)| *fins >= 2).map(|(port, _)| port).collect()
}

/// The frames of these connections alone, which begin so many seconds after one another.
fn one_after_the_other(frames: &[lab::frames::Frame], ports: &[u16], pause_s: u64) -> Vec<lab::frames::Frame> {
    const BEGIN_US: u64 = 1_700_000_010_000_000;
    let moved = |(number, port): (u64, &u16)| {
        let of_it: Vec<_> = frames.iter().filter(|frame| client_of(22, frame) == Some(*port)).cloned().collect();
        let begun_us = of_it[0].time_us;
        let begin_us = BEGIN_US + number * pause_s * 1_000_000;
        of_it.into_iter().map(move |frame| lab::frames::Frame { time_us: frame.time_us - begun_us + begin_us, ..frame })
    };
    let mut moved: Vec<_> = (0..).zip(ports).flat_map(moved).collect();
    moved.sort_by_key(|frame| frame.time_us);
    moved
}

/// The client's port of a frame of TCP from or to the service's port, over IPv4 without options.
fn client_of(service: u16, frame: &lab::frames::Frame) -> Option<u16> {
    let bytes = &frame.bytes;
    let port = |at: usize| Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
    let is_tcp = bytes.get(12..15) == Some(&[8, 0, 0x45]) && bytes.get(23) == Some(&6);
    match (port(34)?, port(36)?) {
        (from, client) | (client, from) if is_tcp && from == service => Some(client),
        _ => None,
    }
}

#[test]
fn harmless_connections_speak_for_whoever_makes_them() {
    let recorded = lab::frames::read_pcap(&capture("benign-pages")).unwrap();
    let folder = lab::cleanup::work_folder().unwrap();
    let config = folder.join("large.toml");
    let rule =
        "[[rules]]\nname = \"large\"\nwhen = [\"bwd_payload_bytes > 3000\"]\nclass = \"botnet\"\nconfidence = 0.8\n";
    fs::write(&config, rule).unwrap();
    let blocks = |frames: &[lab::frames::Frame]| {
        let file = folder.join("pages.pcap");
        lab::frames::write_pcap(&file, frames).unwrap();
        blocked(&report(&file, &["--config", config.to_str().unwrap()])).len()
    };
    let connection = |frame: &lab::frames::Frame| client_of(80, frame);
    let frames_of = |port| recorded.iter().filter(|frame| connection(frame) == port).count();
    let large: Vec<_> = recorded.iter().filter(|frame| frames_of(connection(frame)) > 10).cloned().collect();
    assert_eq!(blocks(&large), 1, "half of the connections, all of which are accused");
    assert_eq!(blocks(&recorded), 0, "the same with the other half, none of which is");
}

#[test]
fn a_router_that_looks_for_neighbours_is_not_told_of_for_the_scan_that_made_it_look() {
    let router: std::net::IpAddr = "fe80::1".parse().unwrap();
    let solicitation = lab::packets::icmp(58, 135);
    let frames = (0..300_u16).map(|number| {
        let group = std::net::Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, number);
        let bytes = lab::packets::ENCAPSULATIONS[0].frame(router, group.into(), number, &solicitation);
        let time_us = 1_600_000_000_000_000 + u64::from(number) * 20_000;
        lab::frames::Frame { time_us, wire_len: u32::try_from(bytes.len()).unwrap(), bytes }
    });
    let file = lab::cleanup::work_folder().unwrap().join("solicitations.pcap");
    lab::frames::write_pcap(&file, &frames.collect::<Vec<_>>()).unwrap();
    let told = |more: &[&str]| report(&file, more)["alerts"].as_array().unwrap().len();
    assert_eq!(told(&[]), 0);
    let config = lab::cleanup::work_folder().unwrap().join("no-rules.toml");
    fs::write(&config, "rules = []\n").unwrap();
    assert_eq!(told(&["--config", config.to_str().unwrap()]), 0, "nor does the model tell: groups are no hosts");
}

#[test]
fn nobody_is_blocked_where_nobody_attacks() {
    for name in ["benign-pages", "benign-mix", "ipv6"] {
        assert_eq!(case(name)["blocks"], Value::Array(Vec::new()), "{name}");
    }
}

/// The built-in model under another name.
fn named(name: &str) -> Value {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models");
    let active = fs::read_to_string(models.join("active")).unwrap();
    let text = fs::read_to_string(models.join(active.trim()).join("model.json")).unwrap();
    let mut model: Value = serde_json::from_str(&text).unwrap();
    model["name"] = name.into();
    model
}

/// A file with that model.
fn written(model: &Value) -> String {
    let path = lab::cleanup::work_folder().unwrap().join(format!("{}.json", model["name"].as_str().unwrap()));
    fs::write(&path, model.to_string()).unwrap();
    path.display().to_string()
}

/// One that is as sure as that of each class, whatever it sees: harmless, a scan, a flood, guessing.
pub(crate) fn steadfast(name: &str, values: [f64; 4]) -> String {
    let mut model = named(name);
    model["trees"] = serde_json::json!([{"adds_to": null, "nodes": [{"leaf": {"rows": 1, "values": values}}]}]);
    written(&model)
}

#[test]
fn hundreds_of_datagrams_a_second_that_nobody_answers_are_a_flood_whatever_the_model_says() {
    let model = steadfast("sees-no-flood", [1.0, 0.0, 0.0, 0.0]);
    let blocked_of = |rate_per_s: u16| {
        let frames = (0..3 * rate_per_s).map(|number| {
            let [from, to] = ["203.0.113.66", "198.51.100.10"].map(|address| address.parse().unwrap());
            let datagram = lab::packets::udp(1024 + number, 4500);
            let bytes = lab::packets::ENCAPSULATIONS[0].frame(from, to, number, &datagram);
            let time_us = 1_600_000_000_000_000 + u64::from(number) * 1_000_000 / u64::from(rate_per_s);
            lab::frames::Frame { time_us, wire_len: u32::try_from(bytes.len()).unwrap(), bytes }
        });
        let file = lab::cleanup::work_folder().unwrap().join(format!("datagrams-{rate_per_s}.pcap"));
        lab::frames::write_pcap(&file, &frames.collect::<Vec<_>>()).unwrap();
        blocked(&report(&file, &["--lan", "198.51.100.0/24", "--model", &model])).len()
    };
    assert_eq!((blocked_of(500), blocked_of(150)), (1, 0));
}

#[test]
fn a_model_from_a_file_decides_in_the_place_of_the_built_in_one() {
    let replay_by =
        |model: &Value, more: &[&str]| replay(&capture("syn-scan"), &[&["--model", &written(model)], more].concat());
    let built_in = report(&capture("syn-scan"), &[]);
    let same: Value = serde_json::from_str(&replay_by(&named("same"), &[]).stdout).unwrap();
    assert_eq!(same["model"], "same");
    assert_eq!((&same["verdicts"], blocked(&same)), (&built_in["verdicts"], blocked(&built_in)));

    let blind = steadfast("blind", [1.0, 0.0, 0.0, 0.0]);
    let nothing = lab::cleanup::work_folder().unwrap().join("nothing.toml");
    fs::write(&nothing, "rules = []\n").unwrap();
    let by_blind = report(&capture("syn-scan"), &["--model", &blind, "--config", nothing.to_str().unwrap()]);
    assert_eq!(
        (&by_blind["alerts"], &by_blind["blocks"]),
        (&serde_json::json!([]), &serde_json::json!([])),
        "it is asked"
    );

    let beside = report(&capture("syn-scan"), &["--shadow", &blind]);
    assert_eq!(
        (&beside["verdicts"], blocked(&beside)),
        (&built_in["verdicts"], blocked(&built_in)),
        "it decides nothing"
    );
    let shadow = &beside["shadow"];
    let by_model_alone =
        shadow["disagreements"].as_array().unwrap().iter().find(|row| row["active"] == "scan").unwrap();
    assert_eq!((&shadow["model"], &by_model_alone["shadow"]), (&"blind".into(), &"benign".into()));
    assert!(by_model_alone["flows"].as_u64() <= shadow["disagreed"].as_u64(), "{shadow}");
    assert!(built_in["shadow"].is_null() && built_in["drift"]["features"].as_array().is_some_and(Vec::is_empty));

    let mut foreign = named("foreign");
    foreign["schema"] = "0123456789abcdef".into();
    let refused = replay_by(&foreign, &[]);
    assert_eq!(refused.code(), Some(1));
    assert!(refused.stderr.contains("foreign.json: cannot use it as a model: it was made for the feature schema"));
}

/// Who was blocked, and when.
fn blocked(report: &Value) -> Vec<(Value, Value)> {
    let blocks = report["blocks"].as_array().unwrap();
    blocks.iter().map(|block| (block["t"].clone(), block["address"].clone())).collect()
}

#[test]
fn a_rule_of_the_configuration_is_judged_beside_the_model_and_named() {
    let file = lab::cleanup::work_folder().unwrap().join("rules.toml");
    let rule = |more: &str| {
        format!(
            "[[rules]]\nname = \"pages\"\nwhen = [\"web_service = 1\"]\nclass = \"botnet\"\nconfidence = 0.95\n{more}"
        )
    };
    let told = |text: String| {
        fs::write(&file, text).unwrap();
        report(&capture("benign-pages"), &["--config", file.to_str().unwrap()])
    };
    let with_rule = told(rule(""));
    let alert = &with_rule["alerts"][0];
    assert_eq!(alert["class"], "botnet");
    let because = "1 packet and 0 in return within 0 s (rule \"pages\": the destination port is that of a web service (80, 443, 8000, 8080, \
                   8443): botnet 0.95)";
    assert_eq!(alert["because"], because);
    let block = &with_rule["blocks"][0];
    assert!(block["because"].as_str().unwrap().contains("(rule \"pages\": "), "{block}");
    let without = told(rule("enabled = false\n"));
    assert_eq!(timeless(without), timeless(case("benign-pages")), "the default rules say nothing of it");
}

#[test]
fn a_rule_excuses_of_scans_to_the_model_and_of_nothing_to_other_rules() {
    let file = lab::cleanup::work_folder().unwrap().join("excuses.toml");
    let blocked = |case: &str, rules: &str| {
        fs::write(&file, rules).unwrap();
        blocked(&report(&capture(case), &["--lan", "198.51.100.0/24", "--config", file.to_str().unwrap()])).len()
    };
    let excuse = "[[rules]]\nname = \"all TCP\"\nwhen = [\"is_tcp = 1\"]\nclass = \"benign\"\n";
    let accuse = "[[rules]]\nname = \"ports\"\nwhen = [\"src_ports_60s > 20\"]\nclass = \"scan\"\nconfidence = 0.8\n";
    assert_eq!(blocked("syn-scan", "rules = []\n"), 1, "the model alone sees the scan");
    assert_eq!(blocked("syn-scan", excuse), 0);
    assert_eq!(blocked("syn-scan", &[excuse, accuse].concat()), 1);
    assert_eq!(blocked("ssh-brute-force", excuse), 1, "it excuses nobody of guessing passwords");
}

#[test]
fn a_mistake_in_a_rule_ends_a_replay_as_it_ends_the_daemon() {
    let file = lab::cleanup::work_folder().unwrap().join("mistaken-rules.toml");
    fs::write(&file, "[[rules]]\nname = \"n\"\nwhen = [\"src_port_60s > 20\"]\n").unwrap();
    let finished = replay(&capture("syn-scan"), &["--config", file.to_str().unwrap()]);
    assert_eq!(finished.code(), Some(2));
    assert!(finished.stderr.contains("mistaken-rules.toml:3: when: there is no feature `src_port_60s`; did you mean"));
}

#[test]
fn whoever_is_on_a_list_is_the_offender_whichever_side_began() {
    let folder = lab::cleanup::work_folder().unwrap();
    let (config, addresses) = (folder.join("lists.toml"), folder.join("list.txt"));
    // One client and one server of the same pages.
    let quiet = events(&capture("benign-pages"), &[]);
    let flow = quiet.iter().find(|event| event["destination_port"] == 80).unwrap();
    let (client, server) = (flow["source"].as_str().unwrap(), flow["destination"].as_str().unwrap());
    let told = |listed: &str, block: bool| {
        fs::write(&addresses, format!("# bad\n{listed}\nnonsense\n")).unwrap();
        let path = addresses.display();
        let list = "[[lists]]\nname = \"bad\"\nclass = \"botnet\"\nconfidence = 0.95\n";
        fs::write(&config, format!("{list}path = \"{path}\"\nblock = {block}\n")).unwrap();
        report(&capture("benign-pages"), &["--config", config.to_str().unwrap()])
    };
    for (listed, other, because) in [
        (client, None, "on the list \"bad\", and began a flow"),
        (server, Some(client), "on the list \"bad\", and the destination began a flow to it: look whether that device"),
    ] {
        let watched = told(listed, false);
        let alert = &watched["alerts"][0];
        assert_eq!((alert["source"].as_str(), alert["class"].as_str()), (Some(listed), Some("botnet")));
        assert!(other.is_none_or(|other| alert["destination"] == other), "{alert}");
        assert!(alert["because"].as_str().unwrap().starts_with(because), "{alert}");
        assert_eq!(watched["blocks"].as_array().unwrap().len(), 0, "it may only alert");
        let blocked = told(listed, true);
        let blocks = blocked["blocks"].as_array().unwrap();
        assert!(!blocks.is_empty() && blocks.iter().all(|block| block["source"] == listed), "{blocks:?}");
    }
    assert_eq!(told("203.0.113.254", true)["alerts"].as_array().unwrap().len(), 0, "on no list, no alert");
}

#[test]
fn whoever_asks_for_a_listed_name_is_the_offender() {
    let folder = lab::cleanup::work_folder().unwrap();
    let (config, domains) = (folder.join("names.toml"), folder.join("names.txt"));
    let told = |listed: &str, block: bool| {
        fs::write(&domains, format!("# bad\n{listed}\n")).unwrap();
        let list = "[[lists]]\nname = \"bad\"\nclass = \"botnet\"\nconfidence = 0.95\n";
        fs::write(&config, format!("{list}path = \"{}\"\nblock = {block}\n", domains.display())).unwrap();
        report(&capture("benign-mix"), &["--config", config.to_str().unwrap()])
    };
    let watched = told("||Example.NET^", false);
    let alert = &watched["alerts"][0];
    let because = alert["because"].as_str().unwrap();
    assert!(because.starts_with("asked for the name name"), "{alert}");
    assert!(because.contains(".example.net, and example.net is on the list \"bad\": look whether"), "{alert}");
    assert_eq!((alert["class"].as_str(), alert["port"].as_u64()), (Some("botnet"), Some(53)));
    assert_eq!(watched["alerts"].as_array().unwrap().len(), 1, "once a minute");
    assert_eq!(watched["blocks"].as_array().unwrap().len(), 0, "it may only alert");
    let blocked = told("example.net", true);
    let blocks = blocked["blocks"].as_array().unwrap();
    assert!(!blocks.is_empty() && blocks.iter().all(|block| block["source"] == alert["source"]), "{blocks:?}");
    assert_eq!(blocks[0]["action"], "deny_new", "a datagram can be forged");
    assert_eq!(told("ample.net", true)["alerts"].as_array().unwrap().len(), 0, "another domain");
}

/// The events of a replay.
fn events(file: &Path, more: &[&str]) -> Vec<Value> {
    let events = lab::cleanup::work_folder().unwrap().join("events.jsonl");
    report(file, &[&["--events", events.to_str().unwrap()], more].concat());
    fs::read_to_string(events).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_vlan_tag_changes_nothing_but_the_length() {
    let (plain, mut tagged) = (timeless(case("syn-scan")), timeless(case("vlan-tagged")));
    assert_ne!(plain["bytes"], tagged["bytes"]);
    assert_eq!(plain["flows"], tagged["flows"]);
    assert_eq!(plain["verdicts"], tagged["verdicts"]);
    tagged["bytes"] = plain["bytes"].clone();
    assert_eq!(plain["blocks"].as_array().unwrap().len(), tagged["blocks"].as_array().unwrap().len());
}

#[test]
fn a_replay_repeated_says_the_same() {
    assert_eq!(timeless(case("syn-scan")), timeless(case("syn-scan")));
}

#[test]
fn observing_alerts_but_does_not_block() {
    let report = report(&capture("syn-scan"), &["--mode", "observe"]);
    assert!(!report["alerts"].as_array().unwrap().is_empty());
    assert!(report["blocks"].as_array().unwrap().is_empty());
}

#[test]
fn a_truncated_capture_reports_how_far_it_got_and_fails() {
    let whole = lab::frames::read_pcap(&capture("truncated")).unwrap().len();
    let finished = replay(&capture("truncated"), &[]);
    assert_eq!(finished.code(), Some(1));
    assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.stderr);
    assert!(finished.stderr.contains(&whole.to_string()), "not told after how many frames: {}", finished.stderr);
    let report: Value = serde_json::from_str(&finished.stdout).unwrap();
    assert_eq!(report["packets"], whole, "what was read is reported");
}

#[test]
fn a_ppp_frame_cut_after_its_first_byte_is_counted() {
    let report = case("ppp-cut");
    assert_eq!((&report["packets"], &report["undecodable"]), (&2.into(), &1.into()));
    assert_eq!(report["undecodable_kinds"]["link header cut"], 1);
}

#[test]
fn what_is_no_capture_fails_with_one_line() {
    let finished = replay(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml").as_path(), &[]);
    assert_eq!(finished.code(), Some(1));
    assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.stderr);
    let finished = replay(Path::new("/nowhere.pcap"), &[]);
    assert_eq!(finished.code(), Some(1));
    assert!(finished.stderr.contains("/nowhere.pcap"), "{}", finished.stderr);
    assert_eq!(finished.stdout, "", "there is nothing to report of");
    let finished = replay(&capture("syn-scan"), &["/nowhere.pcap"]);
    assert_eq!((finished.code(), finished.stdout.as_str()), (Some(1), ""), "{}", finished.stderr);
}

#[test]
fn a_link_type_that_is_not_known_is_named() {
    let folder = lab::cleanup::work_folder().unwrap();
    let mut pcap = fs::read(capture("syn-scan")).unwrap();
    pcap[20] = 127;
    let mut pcapng = pcapng_of(&lab::frames::read_pcap(&capture("syn-scan")).unwrap());
    pcapng[36] = 105;
    for (name, bytes, told) in [
        ("radio.pcap", pcap, "its link type is 127 (Wi-Fi with radio headers), which is not known"),
        ("radio.pcapng", pcapng, "its link type is 105 (Wi-Fi), which is not known"),
    ] {
        let file = folder.join(name);
        fs::write(&file, bytes).unwrap();
        let finished = replay(&file, &[]);
        assert_eq!(finished.code(), Some(1), "{name}: {}", finished.stdout);
        assert!(finished.stderr.contains(told), "{name}: {}", finished.stderr);
        fs::remove_file(&file).unwrap();
    }
}

#[test]
fn the_policy_of_the_configuration_is_taken_but_for_what_the_command_line_says() {
    let file = lab::cleanup::work_folder().unwrap().join("policy.toml");
    let with = |policy: &str, more: &[&str]| {
        fs::write(&file, format!("[policy]\n{policy}\n")).unwrap();
        let more = [more, &["--config", file.to_str().unwrap()]].concat();
        report(&capture("syn-scan"), &more)["blocks"].clone()
    };
    let of = |blocks: &Value| (blocks[0]["address"].as_str().unwrap().to_owned(), blocks[0]["ttl_s"].clone());
    let (scanner, ttl_s) = of(&with("", &[]));
    assert_eq!(ttl_s, 600);
    assert_eq!(of(&with("ladder_s = [77]", &[])), (scanner.clone(), 77.into()));
    assert_eq!(with(&format!("allow = [\"{scanner}\"]"), &[]), Value::Array(Vec::new()));
    let t = |profile: &str, more: &[&str]| with(&format!("profile = \"{profile}\""), more)[0]["t"].as_f64().unwrap();
    assert!(t("strict", &[]) < t("lenient", &[]));
    assert_eq!(t("strict", &[]), t("lenient", &["--profile", "strict"]));
    let allow = "allow = [\"nas.example.org\"]\n[model]\nactive = \"forest@3\"";
    with(allow, &[]);
    let told = replay(&capture("syn-scan"), &["--config", file.to_str().unwrap()]).stderr;
    assert!(told.contains("policy.toml: policy.allow: nas.example.org is not looked up in a replay\n"), "{told}");
    assert!(told.contains("policy.toml: model.active: forest@3 is not taken; name its file with --model\n"), "{told}");
}

#[test]
fn pcapng_gives_the_same_as_pcap() {
    let folder = lab::cleanup::work_folder().unwrap();
    let file = folder.join("syn-scan.pcapng");
    fs::write(&file, pcapng_of(&lab::frames::read_pcap(&capture("syn-scan")).unwrap())).unwrap();
    assert_eq!(timeless(report(&file, &["--lan", "198.51.100.0/24"])), timeless(case("syn-scan")));
    fs::remove_file(&file).unwrap();
}

/// A minimal pcapng file: a section, an Ethernet interface with microseconds, and the frames.
fn pcapng_of(frames: &[lab::frames::Frame]) -> Vec<u8> {
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    let mut file = words(&[0x0A0D_0D0A, 28, 0x1A2B_3C4D, 1, u32::MAX, u32::MAX, 28]);
    file.extend(words(&[1, 20, 1, 0, 20]));
    for frame in frames {
        let captured = u32::try_from(frame.bytes.len()).unwrap();
        let length = 32 + captured.next_multiple_of(4);
        let (high, low) = (u32::try_from(frame.time_us >> 32).unwrap(), frame.time_us as u32);
        file.extend(words(&[6, length, 0, high, low, captured, frame.wire_len]));
        file.extend(&frame.bytes);
        file.resize(file.len().next_multiple_of(4), 0);
        file.extend(length.to_le_bytes());
    }
    file
}

#[test]
fn standard_input_is_a_capture_too() {
    let mut command = std::process::Command::new("sh");
    let line = "\"$0\" replay - --report json --lan 198.51.100.0/24 < \"$1\"";
    command.args(["-c", line]).arg(sluice_program().unwrap()).arg(capture("syn-scan"));
    let finished = run_any(&mut command, SHORT).unwrap();
    let report: Value = serde_json::from_str(&finished.stdout).unwrap();
    assert_eq!(timeless(report), timeless(case("syn-scan")));
}

#[test]
fn a_broken_pipe_of_the_reader_is_no_crash() {
    let mut command = std::process::Command::new(sluice_program().unwrap());
    command.args(["replay", "--report", "json"]).arg(capture("syn-scan"));
    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = command.stdout(full).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"));
}
