//! The laboratory itself: what it records, and that it leaves nothing behind, however its process ends.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use lab::cleanup::{NAMESPACE_PREFIX, work_folder};
use lab::frames::read_pcap;
use lab::network::Network;
use lab::process::{Running, run_any, run_within, wait_until};
use nix::sys::signal::Signal;

/// How long the laboratory may take to stand or to vanish.
const PATIENCE: Duration = Duration::from_secs(30);

/// What stands of a process's laboratory: its namespaces and its folder.
fn remains_of(pid: u32) -> Vec<String> {
    let entries = fs::read_dir("/run/netns").into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut remains: Vec<String> =
        names.filter(|name| name.starts_with(NAMESPACE_PREFIX) && name.contains(&format!("-{pid}-"))).collect();
    let folder = format!("/tmp/sluice-lab-{pid}");
    if Path::new(&folder).exists() {
        remains.push(folder);
    }
    remains
}

/// A recorder in the middle of its work; what it records goes into the folder of this test.
fn recorder() -> Running {
    let folder = work_folder().unwrap().join("recorded");
    let recorder =
        Running::start(Command::new(env!("CARGO_BIN_EXE_record-corpus")).arg(folder).arg("--quick")).unwrap();
    wait_until("its namespaces are there", PATIENCE, || remains_of(recorder.pid()).len() > 5).unwrap();
    recorder
}

#[test]
fn an_interrupt_removes_everything() {
    let recorder = recorder();
    let pid = recorder.pid();
    let finished = recorder.stop(Signal::SIGINT, PATIENCE);
    assert_eq!(finished.code(), Some(130));
    assert_eq!(remains_of(pid), Vec::<String>::new());
}

#[test]
fn what_a_killed_process_left_is_swept_by_the_next_one() {
    let mut recorder = recorder();
    let pid = recorder.pid();
    recorder.kill();
    assert!(!remains_of(pid).is_empty());
    // The sweep runs once in a process, so this one cannot do it any more.
    let next = Running::start(Command::new(env!("CARGO_BIN_EXE_record-corpus")).args(["/dev/null/nowhere", "--quick"]))
        .unwrap();
    next.finish(PATIENCE);
    assert_eq!(remains_of(pid), Vec::<String>::new());
}

#[test]
fn a_laboratory_that_is_dropped_leaves_no_namespace() {
    let network = Network::new().unwrap();
    let names = [network.lan.name(), network.r#box.name(), network.wan.name()].map(str::to_owned);
    let outsider = network.outsider(66).unwrap();
    outsider.namespace.run(["ping", "-c", "1", "203.0.113.10"]).unwrap();
    drop((outsider, network));
    for name in names {
        assert!(!Path::new("/run/netns").join(&name).exists(), "{name} is still there");
    }
}

#[test]
fn a_recording_goes_on_where_it_ended_and_says_how_it_was_made() {
    let folder = work_folder().unwrap().join("resumed");
    let record = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_record-corpus"));
        run_within(command.arg(&folder).args(["--only", "syn_100_ports"]).args(more), Duration::from_secs(120)).unwrap()
    };
    let manifest = || -> serde_json::Value {
        let file = folder.join("pcap/scan/lab__syn_100_ports__lan.json");
        serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
    };
    assert!(record(&[]).contains("2 captures recorded, 0 were there"));
    let first = manifest();
    assert_eq!(first["line_name"], "lan");
    assert_eq!(first["side"], "wan");
    assert_eq!(first["ip_version"], "4");
    let began = |line: &str| {
        let commands = first["commands"].as_array().unwrap();
        let command = commands.iter().find(|command| command["line"].as_str().unwrap().starts_with(line));
        command.unwrap_or_else(|| panic!("no {line}"))["at_s"].as_f64().unwrap()
    };
    assert!(began("/usr/sbin/nginx -c") < began("nmap -n -sS -T3 -F 198.51.100.10"), "servers come first");
    for (program, version) in [("nmap", "nmap 7"), ("/usr/sbin/nginx", "nginx 1")] {
        assert!(first["tools"][program].as_str().unwrap().starts_with(version), "{}", first["tools"]);
    }
    let flows = first["flow_labels"].as_array().unwrap();
    let scan = flows.iter().find(|flow| flow["label"] == "scan").unwrap();
    assert_eq!((&scan["from"], &scan["to"]), (&"203.0.113.66".into(), &"198.51.100.10".into()));
    assert!(scan["flows"].as_u64().unwrap() >= 100, "{scan}");

    assert!(record(&[]).contains("0 captures recorded, 2 were there"));
    assert_eq!(manifest(), first);
    // Without its manifest a capture is not complete.
    fs::remove_file(folder.join("pcap/scan/lab__syn_100_ports__lan.json")).unwrap();
    assert!(record(&[]).contains("1 captures recorded, 1 were there"));
    assert_eq!(manifest()["seed"], first["seed"]);
    assert!(record(&["--again"]).contains("2 captures recorded, 0 were there"));
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_tool_that_is_missing_fails_its_capture_and_no_other() {
    let folder = work_folder().unwrap();
    let (programs, corpus) = (folder.join("all-but-nmap"), folder.join("without-nmap"));
    fs::create_dir_all(&programs).unwrap();
    for program in fs::read_dir("/usr/bin").unwrap().flatten().filter(|program| program.file_name() != "nmap") {
        std::os::unix::fs::symlink(program.path(), programs.join(program.file_name())).unwrap();
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_record-corpus"));
    command.arg(&corpus).arg("--quick").env("PATH", format!("{}:/usr/sbin", programs.display()));
    let finished = run_any(&mut command, Duration::from_secs(120)).unwrap();
    assert_eq!(finished.code(), Some(1), "{}", finished.stderr);
    assert!(finished.stderr.contains("1 were not recorded: syn_100_ports__lan"), "{}", finished.stderr);
    let labels = fs::read_to_string(corpus.join("labels.csv")).unwrap();
    assert_eq!(labels.lines().count(), 4, "{labels}");
    assert!(!corpus.join("pcap/scan/lab__syn_100_ports__lan.pcap").exists());
    fs::remove_dir_all(corpus).unwrap();
    fs::remove_dir_all(programs).unwrap();
}

#[test]
fn a_recording_has_a_capture_of_each_class_and_a_label_for_each() {
    let folder = work_folder().unwrap().join("corpus");
    let mut command = Command::new(env!("CARGO_BIN_EXE_record-corpus"));
    run_within(command.arg(&folder).arg("--quick"), Duration::from_secs(120)).unwrap();
    let labels = fs::read_to_string(folder.join("labels.csv")).unwrap();
    let mut lines = labels.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let columns = lines.next().unwrap();
    let column = |name| columns.iter().position(|column| *column == name).unwrap();
    let rows: Vec<Vec<&str>> = lines.collect();
    for class in ["benign", "scan", "flood_syn", "bruteforce"] {
        let row = rows.iter().find(|row| row[column("class")] == class).unwrap_or_else(|| panic!("no {class}"));
        assert_eq!(row.len(), columns.len(), "{row:?}");
        let frames = read_pcap(&folder.join("pcap").join(row[column("file")])).unwrap();
        assert_eq!(row[column("packets")], frames.len().to_string());
        assert!(frames.len() > 100, "{class}: {} frames", frames.len());
    }
    fs::remove_dir_all(folder).unwrap();
}
