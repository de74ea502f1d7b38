//! The commands that a person types at the box.

use std::time::Duration;

use lab::daemon::{Config, Daemon, sluice, sluice_program};
use lab::network::{BOX, GATEWAY, LAN_HOST, Network};
use lab::process::{Finished, SHORT, run_any, wait_until};
use serde_json::Value;

/// How long something that must happen may take.
const PATIENCE: Duration = Duration::from_secs(30);

fn done(daemon: &Daemon<'_>, words: &[&str]) -> Finished {
    let finished = daemon.command(words).unwrap();
    assert!(finished.success(), "{words:?}: {}{}", finished.stdout, finished.stderr);
    finished
}

/// The command fails with one line that holds all of `told`.
fn refused(daemon: &Daemon<'_>, words: &[&str], told: &[&str]) {
    let finished = daemon.command(words).unwrap();
    assert_ne!(finished.code(), Some(0), "{words:?} was accepted");
    assert_eq!(finished.stderr.lines().count(), 1, "{words:?}: {:?}", finished.stderr);
    for part in told {
        assert!(finished.stderr.contains(part), "{words:?}: {part:?} is not in {:?}", finished.stderr);
    }
}

#[test]
fn a_block_made_by_hand_is_shown_dated_audited_and_can_be_ended() {
    let network = Network::new().unwrap();
    let daemon = Daemon::start(&network, &Config::default()).unwrap();
    done(&daemon, &["block", "203.0.113.66", "--for", "1h", "--why", "printed too much"]);

    let block = daemon.block_of("203.0.113.66").unwrap();
    assert_eq!((&block["action"], &block["actor"]), (&Value::from("deny"), &Value::from("local")));
    assert_eq!(block["because"], "printed too much");
    let lasts = block["until_s"].as_f64().unwrap() - block["since_s"].as_f64().unwrap();
    assert!((lasts - 3600.0).abs() < 2.0, "it lasts {lasts} s");
    assert!(daemon.kernel_blocks("203.0.113.66"));
    let status = done(&daemon, &["status"]).stdout;
    assert!(status.contains("203.0.113.66") && status.contains("printed too much"), "{status}");

    done(&daemon, &["unblock", "203.0.113.66"]);
    assert!(daemon.block_of("203.0.113.66").is_none());
    assert!(!daemon.kernel_blocks("203.0.113.66"));
    audit_tells(&daemon, &["203.0.113.66", "printed too much", "local"]);
}

/// The audit log gets to hold all of `told`, and its chain is whole.
fn audit_tells(daemon: &Daemon<'_>, told: &[&str]) {
    wait_until("the audit log tells it", PATIENCE, || {
        let log = done(daemon, &["audit"]).stdout;
        told.iter().all(|part| log.contains(part))
    })
    .unwrap();
    done(daemon, &["audit", "verify"]);
}

#[test]
fn an_ipv6_address_is_blocked_with_its_network() {
    let network = Network::new().unwrap();
    let daemon = Daemon::start(&network, &Config::default()).unwrap();
    done(&daemon, &["block", "2001:db8:66::1", "--for", "5m"]);
    assert!(daemon.block_of("2001:db8:66::/64").is_some(), "{:?}", daemon.blocks());
    done(&daemon, &["unblock", "2001:db8:66::1"]);
    assert!(daemon.blocks().unwrap().is_empty());
}

#[test]
fn what_must_not_be_blocked_is_refused_with_the_reason() {
    let network = Network::new().unwrap();
    let allow = vec![String::from(LAN_HOST)];
    let daemon = Daemon::start(&network, &Config { allow, ..Config::default() }).unwrap();
    refused(&daemon, &["block", BOX], &[BOX]);
    refused(&daemon, &["block", LAN_HOST], &[LAN_HOST, "allow"]);
    // The box learns of its gateway from the routes, which the laboratory sets after the start.
    wait_until("the gateway is known", PATIENCE, || {
        !daemon.command(&["block", GATEWAY, "--for", "1s"]).unwrap().success()
    })
    .unwrap();
    refused(&daemon, &["block", GATEWAY], &[GATEWAY, "gateway"]);
    refused(&daemon, &["unblock", "203.0.113.99"], &["203.0.113.99"]);
}

#[test]
fn observe_mode_blocks_nothing_and_says_so() {
    let network = Network::new().unwrap();
    let daemon = Daemon::start(&network, &Config { mode: "observe", ..Config::default() }).unwrap();
    assert_eq!(daemon.status().unwrap()["mode"], "observe");
    refused(&daemon, &["block", "203.0.113.66"], &["observe"]);
}

#[test]
fn without_a_daemon_the_commands_say_what_to_do() {
    let finished = sluice(&["status", "--socket", "/nowhere/sluice.sock"], SHORT).unwrap();
    assert_eq!(finished.code(), Some(1));
    assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.stderr);
    assert!(finished.stderr.contains("/nowhere/sluice.sock"), "{}", finished.stderr);
}

#[test]
fn a_system_that_is_no_image_is_upgraded_in_another_way() {
    let finished = sluice(&["update"], SHORT).unwrap();
    assert_eq!((finished.code(), finished.stderr.lines().count()), (Some(1), 1), "{}", finished.stderr);
    assert!(finished.stderr.contains("not started from an image of Sluice"), "{}", finished.stderr);
}

#[test]
fn without_root_the_daemon_says_so_in_one_line() {
    let network = Network::new().unwrap();
    let folder = lab::cleanup::work_folder().unwrap();
    let config = folder.join("unprivileged.toml");
    std::fs::write(&config, Config::default().text(&folder)).unwrap();
    let mut command = network.r#box.command("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(copy_for_everybody());
    let finished = run_any(command.arg("run").arg("--config").arg(&config), SHORT).unwrap();
    assert_ne!(finished.code(), Some(0));
    assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.stderr);
    assert!(finished.stderr.contains("root"), "no remedy: {}", finished.stderr);
    for words in [&["audit"][..], &["passwd"], &["users"], &["export-rows", "/dev/null"], &["backup", "/dev/null"]] {
        let mut command = network.r#box.command("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(copy_for_everybody());
        let finished = run_any(command.args(words).arg("--config").arg(&config), SHORT).unwrap();
        assert_eq!((finished.code(), finished.stderr.lines().count()), (Some(1), 1), "{words:?}: {}", finished.stderr);
        assert!(finished.stderr.contains("; run as root"), "{words:?}: {}", finished.stderr);
    }
}

#[test]
fn what_was_never_written_down_is_not_begun_by_a_question() {
    let folder = lab::cleanup::work_folder().unwrap().join("no-state");
    std::fs::create_dir_all(&folder).unwrap();
    let config = folder.join("sluice.toml");
    std::fs::write(&config, Config::default().text(&folder)).unwrap();
    for words in [&["audit"][..], &["audit", "verify"], &["users"], &["export-rows", "/dev/null"]] {
        let finished = sluice(&[words, &["--config", config.to_str().unwrap()]].concat(), SHORT).unwrap();
        assert_eq!(finished.code(), Some(1), "{words:?}: {}", finished.stdout);
        assert!(finished.stderr.contains("state/sluice.db: there is no database; "), "{words:?}: {}", finished.stderr);
    }
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1, "something was made");
}

#[test]
fn what_is_wrong_with_a_word_is_told_in_the_words_of_the_command_line() {
    let long = "x".repeat(201);
    for (words, told) in [
        (&["pause", "--for", "2d"][..], "`2d` is more than a day, the longest pause"),
        (&["block", "203.0.113.9", "--why", &long], "give one line of at most 200 characters"),
        (&["block", "203.0.113.9", "--why", "a\nb"], "give one line of at most 200 characters"),
        (&["label", "x", "benign"], "`x` is no number of an alert; `sluice status` lists the alerts"),
    ] {
        let finished = sluice(words, SHORT).unwrap();
        assert_eq!(finished.code(), Some(2), "{words:?}");
        assert!(finished.stderr.contains(told), "{words:?}: {}", finished.stderr);
    }
}

/// A copy of the program where any user may run it: the build folder may be closed to others.
fn copy_for_everybody() -> std::path::PathBuf {
    let copy = lab::cleanup::work_folder().unwrap().join("sluice-for-everybody");
    std::fs::copy(sluice_program().unwrap(), &copy).unwrap();
    copy
}

#[test]
fn wrong_words_are_bad_usage() {
    for words in [&["fly"][..], &["block"], &["block", "not-an-address"], &["replay"], &["status", "--jason"]] {
        let finished = sluice(words, SHORT).unwrap();
        assert_eq!(finished.code(), Some(2), "{words:?}: {}", finished.stderr);
    }
}
