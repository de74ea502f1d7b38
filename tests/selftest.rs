//! The self-test on a box that works, on boxes that do not, and beside a daemon that works.

use std::path::PathBuf;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use lab::benign::PingStream;
use lab::cleanup::work_folder;
use lab::daemon::{Config, Daemon, sluice_program};
use lab::network::{GATEWAY, Network};
use lab::process::{Finished, Running, run_any, wait_until};
use serde_json::Value;

/// How long something that must happen may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The steps, in their order.
const STEPS: [&str; 11] = [
    "rights",
    "bridge",
    "capture",
    "model",
    "nftables",
    "end of a block",
    "clean-up",
    "port port0",
    "port port1",
    "MTU",
    "state folder",
];

/// A configuration in the box of this network, without a daemon.
fn configured(network: &Network) -> (PathBuf, PathBuf) {
    let folder = work_folder().unwrap().join(format!("{}-selftest", network.r#box.name()));
    std::fs::create_dir_all(&folder).unwrap();
    let config = folder.join("sluice.toml");
    std::fs::write(&config, Config::default().text(&folder)).unwrap();
    for port in ["port0", "port1"] {
        network.r#box.run(["ethtool", "-K", port, "gro", "off", "gso", "off", "tso", "off"]).unwrap();
    }
    let are_up = || network.r#box.ip("link").is_ok_and(|links| links.matches(" state UP ").count() == 2);
    wait_until("the ports have carrier", PATIENCE, are_up).unwrap();
    (folder, config)
}

fn command(network: &Network, config: &PathBuf, words: &[&str]) -> Command {
    let mut command = network.r#box.command(sluice_program().unwrap());
    command.arg("selftest").arg("--config").arg(config).args(words);
    command
}

fn selftest(network: &Network, config: &PathBuf, words: &[&str]) -> Finished {
    run_any(&mut command(network, config, words), PATIENCE).unwrap()
}

fn check_config(network: &Network, config: &PathBuf) -> String {
    let mut command = network.r#box.command(sluice_program().unwrap());
    run_any(command.arg("check-config").arg(config), PATIENCE).unwrap().stdout
}

/// All that a test may not leave behind: interfaces, their state, and rules.
fn left_in(network: &Network) -> String {
    // Counters and the time that blocks have left go on by themselves.
    let rules = network.r#box.run(["nft", "-s", "list", "ruleset"]).unwrap();
    let rules = rules.lines().map(|line| line.split(" expires ").next().unwrap_or_default()).collect::<Vec<_>>();
    network.r#box.ip("link").unwrap() + &rules.join("\n")
}

/// The outcomes that were printed, each with its step, in lines that begin with them.
fn outcomes(finished: &Finished) -> Vec<(String, String)> {
    let line = |line: &str| {
        let (outcome, rest) = line.split_once(' ').unwrap();
        (outcome.to_owned(), rest.trim_start().split(": ").next().unwrap().to_owned())
    };
    finished.stdout.lines().map(line).collect()
}

/// The line of the only step that failed.
fn only_failure(finished: &Finished) -> String {
    assert_eq!(finished.code(), Some(1), "{}{}", finished.stdout, finished.stderr);
    assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.stderr);
    let failed: Vec<_> = finished.stdout.lines().filter(|line| line.starts_with("FAILED ")).collect();
    let [line] = failed[..] else { panic!("{}", finished.stdout) };
    line.to_owned()
}

#[test]
fn a_box_that_works_passes_every_step_and_nothing_is_left() {
    let network = Network::new().unwrap();
    let (_, config) = configured(&network);
    let before = left_in(&network);
    let finished = selftest(&network, &config, &[]);
    println!("{}", finished.stdout);
    assert_eq!(finished.code(), Some(0), "{}{}", finished.stdout, finished.stderr);
    assert_eq!(outcomes(&finished), STEPS.map(|step| (String::from("ok"), step.to_owned())));
    assert_eq!(left_in(&network), before);

    let finished = selftest(&network, &config, &["--json"]);
    let report: Value = serde_json::from_str(&finished.stdout).unwrap();
    assert_eq!(report["ok"], true);
    let steps: Vec<_> = report["steps"].as_array().unwrap().iter().map(|step| step["name"].as_str().unwrap()).collect();
    assert_eq!(steps, STEPS);
    assert!(report["steps"][3]["seen"].as_str().unwrap().contains("203.0.113.66"), "{report}");
}

#[test]
fn what_is_wrong_is_named_with_its_remedy() {
    let network = Network::new().unwrap();
    let (folder, config) = configured(&network);
    network.r#box.ip("link set port1 down").unwrap();
    let line = only_failure(&selftest(&network, &config, &[]));
    assert!(line.contains("port port1: it is down; ") && line.contains("ip link set port1 up"), "{line}");
    network.r#box.ip("link set port1 up").unwrap();
    network.lan.ip("link set lan0 down").unwrap();
    let line = only_failure(&selftest(&network, &config, &[]));
    assert!(line.contains("port port0: it is up, but has no carrier; "), "{line}");
    network.lan.ip("link set lan0 up").unwrap();
    network.r#box.run(["ethtool", "-K", "port0", "gro", "on"]).unwrap();
    let finished = selftest(&network, &config, &[]);
    assert_eq!(finished.code(), Some(0), "{}{}", finished.stdout, finished.stderr);
    assert!(
        finished.stdout.contains("port port0: up, with carrier; gro on; Sluice turns it off\n"),
        "{}",
        finished.stdout
    );
    network.r#box.run(["ethtool", "-K", "port0", "gro", "off"]).unwrap();
    network.r#box.ip("addr add 198.51.100.5/24 dev port0").unwrap();
    let line = only_failure(&selftest(&network, &config, &[]));
    let told = "port0 has the address 198.51.100.5/24: the box will not be reached there once it is a port; give it to br0 first";
    assert!(line.contains(&format!("port port0: {told}")), "{line}");
    let checked = check_config(&network, &config);
    assert!(checked.contains(": fine, but see the warnings below\n"), "{checked}");
    assert!(checked.contains(&format!("\n  warning: {told}")), "{checked}");
    network.r#box.ip("addr del 198.51.100.5/24 dev port0").unwrap();
    let checked = check_config(&network, &config);
    assert!(checked.contains(": fine\n") && !checked.contains("warning"), "{checked}");
    network.r#box.ip("link set port0 mtu 1400").unwrap();
    let line = only_failure(&selftest(&network, &config, &[]));
    assert!(line.contains("MTU: 1400 at port0, 1500 at port1; "), "{line}");
    network.r#box.ip("link set port0 mtu 1500").unwrap();
    std::fs::write(folder.join("state"), "").unwrap();
    let finished = selftest(&network, &config, &["--json"]);
    assert_eq!(finished.code(), Some(1));
    let report: Value = serde_json::from_str(&finished.stdout).unwrap();
    let step = report["steps"].as_array().unwrap().last().unwrap();
    assert_eq!((&report["ok"], &step["outcome"]), (&Value::from(false), &Value::from("failed")), "{report}");
    assert!(step["remedy"].as_str().unwrap().contains("state_dir"), "{step}");
}

#[test]
fn without_rights_the_line_says_what_is_missing_and_without_namespaces_what_is_unproven() {
    let network = Network::new().unwrap();
    let (_, config) = configured(&network);
    let without = |rights: &str| {
        let mut command = network.r#box.command("setpriv");
        command.args([&format!("--bounding-set={rights}"), &format!("--inh-caps={rights}")]);
        command.arg(sluice_program().unwrap()).arg("selftest").arg("--config").arg(&config);
        run_any(&mut command, PATIENCE).unwrap()
    };
    let line = only_failure_of(&without("-net_raw"), "rights");
    assert!(line.contains("CAP_NET_RAW") && line.contains("run as root"), "{line}");
    let finished = without("-sys_admin");
    assert_eq!(finished.code(), Some(0), "{}{}", finished.stdout, finished.stderr);
    let skipped = ["bridge", "capture", "nftables", "end of a block"];
    let word = |step: &str| if skipped.contains(&step) { "skipped" } else { "ok" };
    assert_eq!(outcomes(&finished), STEPS.map(|step| (word(step).to_owned(), step.to_owned())));
    assert_eq!(finished.stdout.matches("; unproven: that ").count(), skipped.len(), "{}", finished.stdout);
}

fn only_failure_of(finished: &Finished, step: &str) -> String {
    let line = only_failure(finished);
    assert!(line.contains(step), "{line}");
    line
}

#[test]
fn a_daemon_beside_it_loses_neither_packets_nor_blocks() {
    let network = Network::new().unwrap();
    let daemon = Daemon::start(&network, &Config::default()).unwrap();
    let blocked = daemon.command(&["block", "203.0.113.99", "--for", "10m"]).unwrap();
    assert!(blocked.success(), "{}", blocked.stderr);
    wait_until("it has tested itself", PATIENCE, || daemon.log().contains("self-test: 0 of 7 steps failed, 0 skipped"))
        .unwrap();
    let pings = PingStream::start(&network.lan, GATEWAY, 10).unwrap();
    wait_until("pings are answered", PATIENCE, || pings.answers() > 20).unwrap();
    let before = left_in(&network);
    let finished = selftest(&network, &daemon.config_file(), &[]);
    assert_eq!(finished.code(), Some(0), "{}{}", finished.stdout, finished.stderr);
    assert_eq!(left_in(&network), before);
    assert!(daemon.kernel_blocks("203.0.113.99") && daemon.block_of("203.0.113.99").is_some());
    let report = pings.stop().unwrap();
    assert_eq!(report.received, report.sent, "pings were lost");
    let audit = daemon.command(&["audit"]).unwrap().stdout;
    assert!(audit.contains("self-test: 0 of 7 steps failed"), "{audit}");
    assert!(!audit.contains("nftables table right"), "{audit}");
    let faults = daemon.faults().unwrap();
    assert!(!faults.contains("self-test"), "{faults}");
    network.r#box.run(["ethtool", "-K", "port0", "gro", "on"]).unwrap();
    let line = only_failure(&selftest(&network, &daemon.config_file(), &[]));
    assert!(line.contains("port port0: it merges packets: gro is on; sluice restart, or: ethtool"), "{line}");
}

#[test]
fn killed_midway_it_leaves_nothing() {
    let network = Network::new().unwrap();
    let (_, config) = configured(&network);
    let before = left_in(&network);
    for millis in [50, 200, 600] {
        let mut running = Running::start(&mut command(&network, &config, &[])).unwrap();
        sleep(Duration::from_millis(millis));
        assert!(running.is_alive(), "it is over after {millis} ms: nothing is killed midway");
        // Dropping kills it.
        drop(running);
        assert_eq!(left_in(&network), before, "killed after {millis} ms");
    }
    let finished = selftest(&network, &config, &[]);
    assert_eq!(finished.code(), Some(0), "{}{}", finished.stdout, finished.stderr);
}
