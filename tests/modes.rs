//! Modes: what is decided is only said, waits for a person, or is done; for each class, and changed while the box runs.

use std::time::Duration;

use lab::attacks::{start_hydra, start_nmap};
use lab::benign::reaches_the_lan;
use lab::daemon::{Config, Daemon};
use lab::namespace::Namespace;
use lab::network::{LAN_HOST, Network};
use lab::process::{Running, wait_until};
use lab::services;
use serde_json::Value;

/// How long something that must happen may take.
const PATIENCE: Duration = Duration::from_secs(60);

fn scan(from: &Namespace) -> Running {
    start_nmap(from, &format!("-sS -T4 -Pn -p 1-40000 {LAN_HOST}")).unwrap()
}

fn ask(daemon: &Daemon<'_>, words: &[&str]) {
    let finished = daemon.command(words).unwrap();
    assert!(finished.success(), "{words:?}: {}{}", finished.stderr, daemon.log());
}

#[test]
fn a_mode_is_changed_while_the_box_runs_and_outlives_a_restart() {
    let network = Network::new().unwrap();
    let _nginx = services::nginx(&network.lan).unwrap();
    let mut daemon = Daemon::start(&network, &Config { mode: "observe", ..Config::default() }).unwrap();
    let attacker = network.outsider(66).unwrap();
    let address = attacker.address();

    let running = scan(&attacker.namespace);
    daemon.wait_for_block(&address, PATIENCE).unwrap();
    assert_eq!(daemon.state_of(&address), "observed");
    assert_eq!(daemon.kernel_table(), "", "nothing is in the kernel");
    assert!(reaches_the_lan(&attacker.namespace));
    let refused = daemon.command(&["block", &address]).unwrap();
    assert!(refused.stderr.contains("`sluice mode enforce`"), "{}", refused.stderr);
    drop(running);

    ask(&daemon, &["mode", "approve"]);
    assert_eq!(daemon.state_of(&address), Value::Null, "it is decided anew");
    let told = daemon.command(&["explain", &address]).unwrap().stdout;
    assert!(told.contains(&format!("{address} would have been blocked (")), "what was observed is kept:\n{told}");
    let listed = daemon.command(&["status"]).unwrap().stdout;
    assert!(listed.contains("would have been blocked in the last 7 days"), "{listed}");
    let running = scan(&attacker.namespace);
    wait_until("a person is asked", PATIENCE, || daemon.state_of(&address) == "proposed").unwrap();
    assert!(!daemon.kernel_blocks(&address) && reaches_the_lan(&attacker.namespace));
    ask(&daemon, &["approve", &address]);
    assert_eq!(daemon.block_of(&address).unwrap()["actor"], "local");
    assert!(daemon.kernel_blocks(&address) && !reaches_the_lan(&attacker.namespace));
    drop(running);

    daemon.stop().unwrap();
    daemon.start_again().unwrap();
    assert_eq!(daemon.status().unwrap()["mode"], "approve", "the change holds");
    assert_eq!(daemon.state_of(&address), "enforced");
    assert!(daemon.kernel_blocks(&address));

    ask(&daemon, &["mode", "observe", "--class", "scan"]);
    assert_eq!(daemon.state_of(&address), Value::Null, "what is not in this mode ends at once");
    assert!(!daemon.kernel_blocks(&address) && reaches_the_lan(&attacker.namespace));
    let status = daemon.status().unwrap();
    assert_eq!((&status["mode"], &status["class_modes"]["scan"]), (&"approve".into(), &"observe".into()));

    let audit = daemon.command(&["audit"]).unwrap().stdout;
    for line in [
        "local: set the mode for all attacks to approve",
        &format!("sluice: observed, and would have blocked {address}"),
        &format!("sluice: proposes to block {address}"),
        &format!("local: blocked {address}"),
        "local: set the mode for scan to observe",
        &format!("local: unblocked {address}"),
    ] {
        assert!(audit.contains(line), "no {line:?} in\n{audit}");
    }
}

#[test]
fn what_is_only_said_of_a_scan_keeps_nobody_from_being_blocked_for_guessing() {
    let network = Network::new().unwrap();
    let _sshd = services::sshd(&network.lan).unwrap();
    let daemon = Daemon::start(&network, &Config::default()).unwrap();
    ask(&daemon, &["mode", "observe", "--class", "scan"]);
    let attacker = network.outsider(66).unwrap();
    let address = attacker.address();
    start_nmap(&attacker.namespace, &format!("-sT -Pn -T4 -p 1-3000 {LAN_HOST}")).unwrap().finish(PATIENCE);
    assert_eq!(daemon.wait_for_block(&address, PATIENCE).unwrap()["state"], "observed");
    let _guesses = start_hydra(&attacker.namespace, "ssh", LAN_HOST, 4, 2_000).unwrap();
    wait_until("it is blocked", PATIENCE * 2, || daemon.state_of(&address) == "enforced").unwrap();
    assert_eq!(daemon.block_of(&address).unwrap()["class"], "brute_force");
    assert!(daemon.kernel_blocks(&address));
}

#[test]
fn who_is_allowed_for_a_while_is_free_at_once_over_a_restart_and_until_the_time_is_over() {
    let network = Network::new().unwrap();
    let _nginx = services::nginx(&network.lan).unwrap();
    let mut daemon = Daemon::start(&network, &Config::default()).unwrap();
    let attacker = network.outsider(66).unwrap();
    let address = attacker.address();
    ask(&daemon, &["block", &address, "--for", "1h"]);
    assert!(!reaches_the_lan(&attacker.namespace));
    ask(&daemon, &["allow", &address, "--for", "20s"]);
    assert!(reaches_the_lan(&attacker.namespace) && daemon.block_of(&address).is_none());
    daemon.kill();
    daemon.start_again().unwrap();
    let refused = daemon.command(&["block", &address]).unwrap();
    assert!(refused.stderr.contains("it is on the allowlist"), "{}", refused.stderr);
    let is_over = || daemon.status().unwrap()["allowances"].as_array().is_some_and(Vec::is_empty);
    wait_until("the time is over", PATIENCE, is_over).unwrap();
    ask(&daemon, &["block", &address]);
    assert!(!reaches_the_lan(&attacker.namespace));
}

#[test]
fn in_a_pause_nothing_is_stopped_and_afterwards_everything_is_again() {
    let network = Network::new().unwrap();
    let _nginx = services::nginx(&network.lan).unwrap();
    let mut daemon = Daemon::start(&network, &Config::default()).unwrap();
    let offenders = [66, 67].map(|number| network.outsider(number).unwrap());
    let [first, second] = offenders.each_ref().map(|offender| offender.address());
    let reaches = || offenders.each_ref().map(|offender| reaches_the_lan(&offender.namespace));
    assert!(daemon.command(&["resume"]).unwrap().stderr.contains("does not pause"));
    ask(&daemon, &["block", &first]);
    assert_eq!(reaches(), [false, true]);

    ask(&daemon, &["pause", "--for", "1h"]);
    assert_eq!((daemon.kernel_table().as_str(), reaches()), ("", [true, true]));
    ask(&daemon, &["block", &second]);
    let status = daemon.status().unwrap();
    assert_eq!((&status["light"], &status["blocks_standing"]), (&"observing".into(), &2.into()), "{status:#}");
    assert!((3_500..=3_600).contains(&status["paused_left_s"].as_u64().unwrap()), "{status:#}");
    assert_eq!((daemon.kernel_table().as_str(), reaches()), ("", [true, true]));

    ask(&daemon, &["resume"]);
    assert_eq!(reaches(), [false, false]);
    assert_eq!(daemon.status().unwrap()["paused_left_s"], Value::Null);
    // One ends by itself, and with a restart.
    ask(&daemon, &["pause", "--for", "2s"]);
    ask(&daemon, &["unblock", &second]);
    wait_until("it is over", PATIENCE, || daemon.kernel_blocks(&first)).unwrap();
    assert_eq!(reaches(), [false, true]);
    ask(&daemon, &["pause"]);
    daemon.kill();
    daemon.start_again().unwrap();
    assert_eq!(reaches(), [false, true]);

    let audit = daemon.command(&["audit"]).unwrap().stdout;
    for (actor, what) in
        [("local", "pauses enforcement for 3600 s"), ("local", "ends the pause"), ("sluice", "ends the pause")]
    {
        assert!(audit.lines().any(|line| line.contains(actor) && line.contains(what)), "{what:?} is not in {audit}");
    }
    ask(&daemon, &["pause"]);
    ask(&daemon, &["mode", "observe"]);
    let summary = daemon.status().unwrap()["summary"].to_string();
    assert!(summary.contains("stops nothing afterwards either, because the mode is observe"), "{summary}");
    let resumed = daemon.command(&["resume"]).unwrap().stdout;
    assert_eq!(resumed, "The pause is over. Nothing is stopped all the same: the mode is observe.\n");
    assert!(daemon.command(&["pause"]).unwrap().stderr.contains("observe mode"));
    assert!(!daemon.command(&["pause", "--for", "2d"]).unwrap().success(), "a pause that is as good as for ever");
}
