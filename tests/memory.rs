//! How much memory the running daemon takes, with its tables full: what each profile promises.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lab::attacks::{FLOOD_PACKETS, Flood, flood, forge_sources};
use lab::daemon::{Config, Daemon, sluice};
use lab::network::{BOX, FIREWALLED_LAN_HOST, Network};
use lab::process::{SHORT, run_within, wait_until};
use model_compiler::forest::Combination;
use model_compiler::json;
use model_compiler::model::{Model, Node, Tree};
use model_compiler::sealed::{SecretKey, seal};
use sluice::config::{Memory, MemoryProfile};
use sluice::pipeline::{Pipeline, PipelineConfig};
use sluice::registry::Room;
use sluice::verdict;

const MIB: u64 = 1024 * 1024;

/// How long a flood may take, and how long the daemon may take to be done with it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Blocks that stand meanwhile, as far as there may be so many, and the reason of each, as long as those of the program are.
const BLOCKS: u32 = 10_000;
const BECAUSE: &str =
    "scan: 41 ports of one host tried in 2 s, none of them answered, and 95 % refused; evidence of 12 flows";

/// What a release build touches of the program's own file is less than this: 5.6 MiB, as this test says with
/// `SLUICE_BIN=target/release/sluice`. The build that is tested is not optimised as far and touches more, which is left out.
const PROGRAM_BYTES: u64 = 6 * MIB;

/// How often the page is asked.
const VISITS: usize = 20;

#[test]
fn the_default_profile_stays_under_64_mib_with_full_tables() {
    assert_stays_under(64 * MIB, MemoryProfile::Default);
}

#[test]
fn the_small_profile_stays_under_24_mib_with_full_tables() {
    assert_stays_under(24 * MIB, MemoryProfile::Small);
}

/// Floods come from forged sources and fill the tables, many are blocked, people load a model as large as may be, ask for the page and log
/// in, and the daemon has never taken more than so many bytes.
fn assert_stays_under(limit_bytes: u64, profile: MemoryProfile) {
    let network = Network::new().unwrap();
    let rules = format!("[model]\nkeys = [\"{}\"]\n", key().public());
    let daemon = Daemon::start(&network, &Config { memory: profile.name(), rules, ..Config::default() }).unwrap();
    let memory = Memory { profile, flows: None };
    fill_flow_table(&network, &daemon, memory.limits().flows as u64);
    daemon.block_many(memory.most_blocks().min(BLOCKS), BECAUSE).unwrap();
    let file = largest_model(memory.models());
    let loaded = daemon.command(&["model", "load", file.to_str().unwrap()]).unwrap();
    assert!(loaded.success(), "{}", loaded.stderr);
    for _ in 0..VISITS {
        run_within(&mut network.lan.words(&format!("curl -s -S --fail -m 10 -o /dev/null http://{BOX}:8080/")), SHORT)
            .unwrap();
        daemon.status().unwrap();
    }
    let log_in = format!("curl -s -S --fail -m 10 -o /dev/null -d name=admin&password=wrong http://{BOX}:8080/login");
    run_within(&mut network.lan.words(&log_in), SHORT).unwrap();

    let (resident, most, program) = (memory_of(&daemon, "VmRSS"), memory_of(&daemon, "VmHWM"), program_pages(&daemon));
    let peak = most - program + PROGRAM_BYTES;
    println!("{}: {:.1} MiB resident, {:.1} MiB at most", profile.name(), in_mib(resident), in_mib(most));
    assert!(std::env::var_os("SLUICE_BIN").is_none() || program <= PROGRAM_BYTES, "{:.1} MiB", in_mib(program));
    println!("of which the program's file is {:.1} MiB: {:.1} MiB count", in_mib(program), in_mib(peak));
    assert!(peak < limit_bytes, "{:.1} MiB at most, {:.1} MiB now", in_mib(peak), in_mib(resident));
    // What is asserted would be worth nothing if the tables had not been written to.
    assert!(resident > tables_bytes(profile), "{:.1} MiB: the tables are not full", in_mib(resident));
}

fn key() -> SecretKey {
    SecretKey::from_random([1; 32])
}

/// A signed model of so many small trees as there is room for: of all models of a length they take the most memory.
fn largest_model(room: Room) -> PathBuf {
    let text = include_str!("../models/forest/model.json");
    let model = json::read(text).unwrap();
    let leaf = || Node::Leaf { rows: 1, values: vec![0.0] };
    let stump = vec![Node::Split { feature: 0, threshold: 1.0, left: 1, right: 2 }, leaf(), leaf()];
    let tree = Tree { class: Some(0), nodes: stump };
    let of = |trees| Model {
        combination: Combination::Softmax,
        calibration: Vec::new(),
        trees: vec![tree.clone(); trees],
        ..model.clone()
    };
    let sealed = |trees| seal(&of(trees), 1, 1_800_000_000, &key()).unwrap();
    let fits =
        |trees| sealed(trees).len() <= room.file_bytes && verdict::Model::bytes_of(&of(trees)) <= room.loaded_bytes;
    let (mut trees, mut step) = (1, 1 << 16);
    while step > 0 {
        trees += if fits(trees + step) { step } else { 0 };
        step /= 2;
    }
    let file = lab::cleanup::work_folder().unwrap().join("largest.model");
    fs::write(&file, sealed(trees)).unwrap();
    file
}

/// Sends spoofed SYNs that nobody answers, so that each begins a flow and keeps it for a minute.
fn fill_flow_table(network: &Network, daemon: &Daemon<'_>, capacity: u64) {
    let attacker = network.outsider(67).unwrap();
    let _forged = forge_sources(network, &attacker.namespace).unwrap();
    for port in 0..2 + (capacity / u64::from(FLOOD_PACKETS)) as u16 {
        flood(&attacker.namespace, Flood::Syn(8_000 + port), FIREWALLED_LAN_HOST, FLOOD_PACKETS, 30, PATIENCE).unwrap();
    }
    wait_until("the flow table is full", PATIENCE, || daemon.status().unwrap()["flows"].as_u64() == Some(capacity))
        .unwrap();
}

/// A line of the daemon's status in /proc, in bytes.
fn memory_of(daemon: &Daemon<'_>, key: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid().unwrap())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':')).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// What is resident of the program's own file, in bytes.
fn program_pages(daemon: &Daemon<'_>) -> u64 {
    let process = PathBuf::from(format!("/proc/{}", daemon.pid().unwrap()));
    let program = fs::read_link(process.join("exe")).unwrap();
    let smaps = fs::read_to_string(process.join("smaps")).unwrap();
    let (mut is_program, mut pages) = (false, 0);
    for line in smaps.lines() {
        if let Some(kib) = line.strip_prefix("Rss:") {
            let kib: u64 = kib.trim().trim_end_matches(" kB").parse().unwrap();
            pages += if is_program { kib * 1024 } else { 0 };
        } else if line.starts_with(|first: char| first.is_ascii_hexdigit() && !first.is_ascii_uppercase()) {
            is_program = line.ends_with(program.to_str().unwrap());
        }
    }
    pages
}

fn in_mib(bytes: u64) -> f64 {
    bytes as f64 / MIB as f64
}

/// What the tables of the path take.
fn tables_bytes(profile: MemoryProfile) -> u64 {
    let config = PipelineConfig {
        limits: Memory { profile, flows: None }.limits(),
        tuning: sluice::config::Config::default().tuning(),
        models: Default::default(),
        rules: Arc::default(),
        around: Arc::default(),
        seed: [0, 0],
    };
    Pipeline::new(&config).footprints().map(|footprint| footprint.bytes as u64).sum()
}

#[test]
fn check_config_shows_what_the_tables_take() {
    let file = lab::cleanup::work_folder().unwrap().join("memory.toml");
    for profile in [MemoryProfile::Default, MemoryProfile::Small] {
        fs::write(&file, format!("[memory]\nprofile = \"{}\"\n", profile.name())).unwrap();
        let told = sluice(&["check-config".as_ref(), file.as_os_str()], SHORT).unwrap().stdout;
        let rows = told.lines().skip_while(|line| !line.contains("memory profile")).skip(2);
        let mut bytes: Vec<(String, u64)> = rows.map(row).collect();
        let (name, sum) = bytes.pop().unwrap();
        assert_eq!((name.as_str(), sum), ("sum", bytes.iter().map(|(_, bytes)| bytes).sum()), "{told}");
        let outside = ["packet ring blocks", "queue to control", "queue to the store"];
        let tables = bytes.iter().filter(|(name, _)| !outside.contains(&name.as_str()));
        assert_eq!(tables.map(|(_, bytes)| bytes).sum::<u64>(), tables_bytes(profile), "{told}");
    }
}

/// The name and the last whole number of a row: its bytes.
fn row(line: &str) -> (String, u64) {
    let name = line.trim().split("  ").next().unwrap_or_default();
    let numbers = line.strip_prefix(' ').unwrap_or(line).split_whitespace();
    (name.trim().to_owned(), numbers.filter_map(|word| word.parse().ok()).next_back().unwrap_or_default())
}
