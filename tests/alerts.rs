//! What becomes of an alert: it is explained with the numbers that it was decided from, labelled, exported, and learnt from.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use lab::attacks::start_nmap;
use lab::cleanup::work_folder;
use lab::daemon::{Config, Daemon, sluice_program};
use lab::network::{BOX, LAN_HOST, Network};
use lab::process::{Finished, SHORT, run_within, wait_until};
use lab::services;
use model_compiler::json;
use model_compiler::rows::Rows;
use serde_json::Value;

/// How long something that must happen may take.
const PATIENCE: Duration = Duration::from_secs(60);

fn done(daemon: &Daemon<'_>, words: &[&str]) -> String {
    let finished = daemon.command(words).unwrap();
    assert!(finished.success(), "{words:?}: {}{}", finished.stdout, finished.stderr);
    finished.stdout
}

fn refused(daemon: &Daemon<'_>, words: &[&str]) -> Finished {
    let finished = daemon.command(words).unwrap();
    assert!(!finished.success(), "{words:?} was accepted: {}", finished.stdout);
    finished
}

fn read(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// What `sluice explain` says of the address: all of it in words, and its newest alert as JSON.
fn explained(daemon: &Daemon<'_>, address: &str) -> (String, Value) {
    let about = read(&done(daemon, &["explain", address, "--json"]));
    (done(daemon, &["explain", address]), about["alerts"][0].clone())
}

/// A feature of an alert.
fn feature(alert: &Value, name: &str) -> f64 {
    alert["features"][name].as_f64().unwrap_or_else(|| panic!("no {name} in {alert:#}"))
}

/// Scans the household from outside, until that is blocked.
fn scan(network: &Network, daemon: &Daemon<'_>, outsider: u8) -> String {
    let attacker = network.outsider(outsider).unwrap();
    let _scan = start_nmap(&attacker.namespace, &format!("-sS -Pn -T4 -p 1-20000 {LAN_HOST}")).unwrap();
    daemon.wait_for_alert(&attacker.address(), "scan", PATIENCE).unwrap();
    daemon.wait_for_block(&attacker.address(), PATIENCE).unwrap();
    attacker.address()
}

#[test]
fn a_scan_is_explained_with_its_numbers_and_an_export_of_its_label_is_learnt_from() {
    let network = Network::new().unwrap();
    let _nginx = services::nginx(&network.lan).unwrap();
    let mut daemon = Daemon::start(&network, &Config::default()).unwrap();
    let folder = work_folder().unwrap().join("alerts");
    fs::create_dir_all(&folder).unwrap();
    let table = folder.join("box.csv");
    let export = ["export-rows", table.to_str().unwrap()];
    assert!(refused(&daemon, &export).stderr.contains("no alert is labelled yet"));

    let addresses = [66, 67].map(|outsider| scan(&network, &daemon, outsider));
    let alerts = addresses.each_ref().map(|address| {
        let (text, alert) = explained(&daemon, address);
        assert_explains(&daemon, address, &text, &alert);
        alert
    });
    let numbers = alerts.each_ref().map(|alert| alert["number"].to_string());
    label(&daemon, &numbers[0], "scan");
    label(&daemon, &numbers[1], "benign");
    assert!(refused(&daemon, &["label", "999", "scan"]).stderr.contains("there is no alert 999"));
    assert_eq!(refused(&daemon, &["label", &numbers[0], "scam"]).code(), Some(2));
    let page = format!("curl -s -o /dev/null -w %{{http_code}} http://{BOX}:8080/alerts/{}", numbers[0]);
    assert_eq!(
        run_within(&mut network.lan.words(&page), SHORT).unwrap(),
        "303",
        "a stranger is sent to the front page"
    );

    daemon.kill();
    daemon.start_again().unwrap();
    let again = read(&done(&daemon, &["explain", &numbers[1], "--json"]));
    assert_eq!(again["features"], alerts[1]["features"], "they outlive the daemon");
    assert_eq!((&again["label"], &again["labelled_by"]), (&"benign".into(), &"local".into()));

    done(&daemon, &export);
    assert_exported(&table, &alerts, &addresses);
    let (said, model) = retrained(&folder, &table);
    assert!(said.contains("of 2 labelled rows of 2 offenders the old model gets 1 right"), "{said}");
    assert!(said.contains("held out: 2 parts of the offenders"), "{said}");
    assert_eq!(json::read(&fs::read_to_string(model.join("model.json")).unwrap()).unwrap().name, "retrained");
}

/// The words say what the numbers say, and what was done.
fn assert_explains(daemon: &Daemon<'_>, address: &str, text: &str, alert: &Value) {
    let number = |name: &str| feature(alert, name).round();
    let percent = |name: &str| (feature(alert, name) * 100.0).round();
    let (ports, unanswered) = (number("src_ports_2s"), percent("src_unanswered_share_2s"));
    assert!(ports > 1.0, "{alert:#}");
    let did = format!("tried {ports} distinct ports on 1 host in 2 s, {unanswered} % unanswered, ");
    assert!(text.contains(&did), "no {did:?} in\n{text}");
    // Either the model or a rule may have been the surer one at that packet.
    let decided = alert["parts"].as_array().into_iter().chain(alert["conditions"].as_array()).flatten();
    assert!(decided.count() > 0, "{alert:#}");
    let block = daemon.block_of(address).unwrap();
    let until = block["until"].as_str().unwrap();
    for part in [
        &format!("{address} to {LAN_HOST} port "),
        &format!("{address} is blocked (new connections) since "),
        until,
        "without a completed handshake somebody else could have forged its address",
        &format!("sluice unblock {address}"),
        &format!("sluice allow {address} --for 1d"),
    ] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
}

fn label(daemon: &Daemon<'_>, number: &str, label: &str) {
    assert_eq!(done(daemon, &["label", number, label]), format!("alert {number} is labelled {label}.\n"));
    let said = format!("local says that it was {label}.");
    assert!(done(daemon, &["explain", number]).contains(&said));
    let shown = daemon.status().unwrap();
    let shown =
        shown["alerts"].as_array().unwrap().iter().find(|alert| alert["number"].as_u64() == number.parse().ok());
    assert_eq!(shown.unwrap()["label"], label);
    let row = format!("local: labelled alert {number} {label}");
    wait_until("the audit log tells it", PATIENCE, || done(daemon, &["audit"]).contains(&row)).unwrap();
}

/// The table holds the features of the alerts to the bit, and no address.
fn assert_exported(table: &Path, alerts: &[Value; 2], addresses: &[String; 2]) {
    let rows = Rows::read(table).unwrap();
    assert_eq!(rows.labels, ["scan", "benign"]);
    for (number, (row, alert)) in rows.rows.iter().zip(alerts).enumerate() {
        let capture = &rows.captures[row.capture];
        assert_eq!(capture.name, format!("alert-{}", alert["number"]));
        assert_eq!((capture.source.as_str(), row.initiator), (&*format!("offender-{number}"), number as u64));
        assert_eq!(
            (row.flow, row.packets),
            (alert["number"].as_u64().unwrap(), alert["flow_packets"].as_u64().unwrap())
        );
        for (value, feature) in row.features.iter().zip(traffic::features::FEATURES) {
            let told: f32 = alert["features"][feature.name].to_string().parse().unwrap();
            assert_eq!(value.to_bits(), told.to_bits(), "{}", feature.name);
        }
    }
    let text = fs::read_to_string(table).unwrap();
    for address in addresses.iter().map(String::as_str).chain([LAN_HOST]) {
        assert!(!text.contains(address), "{address} leaves the box");
    }
}

/// Follows the recipe of the shipped model with the captures of the tests and the table; what was said, and the new folder.
fn retrained(folder: &Path, table: &Path) -> (String, PathBuf) {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let corpus = folder.join("corpus");
    fs::create_dir_all(corpus.join("pcap")).unwrap();
    let mut labels = String::from("class,file,attacker,victim,label_granularity,source_repo\n");
    for (class, case, attacker) in [
        ("benign", "benign-mix", ""),
        ("benign", "benign-pages", ""),
        ("scan", "syn-scan", "203.0.113.66"),
        ("flood_syn", "syn-flood", "203.0.113.67"),
        ("bruteforce", "ssh-brute-force", "203.0.113.68"),
    ] {
        fs::copy(here.join("captures").join(case).join("input.pcap"), corpus.join(format!("pcap/{case}.pcap")))
            .unwrap();
        labels += &format!("{class},{case}.pcap,{attacker},,all,us\n");
    }
    fs::write(corpus.join("labels.csv"), labels).unwrap();
    let program = sluice_program().unwrap().with_file_name("model-compiler");
    assert!(program.is_file(), "build it with: cargo build --package model-compiler --features train");
    let (shipped, rows, new) = (here.join("../models/forest"), folder.join("rows.csv"), folder.join("retrained"));
    let mut extract = Command::new(&program);
    extract.arg("extract").arg(&shipped).arg("--rows").arg(&rows);
    run_within(extract.arg("--corpus").arg(format!("public={}", corpus.display())), PATIENCE).unwrap();
    let mut retrain = Command::new(&program);
    retrain.arg("retrain").arg(&shipped).arg("--rows").arg(&rows).arg("--labelled").arg(table);
    (run_within(retrain.args(["--weight", "2", "--into"]).arg(&new), PATIENCE).unwrap(), new)
}
