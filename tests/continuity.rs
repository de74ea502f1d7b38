//! The first promise: a dead daemon never stops traffic, and its blocks neither vanish nor last for ever.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::thread::sleep;
use std::time::Duration;

use lab::attacks::start_nmap;
use lab::benign::{PingStream, reaches_the_lan};
use lab::cleanup::work_folder;
use lab::daemon::{Config, Daemon};
use lab::network::{GATEWAY, LAN_HOST, Network};
use lab::process::{Running, wait_until};
use lab::services;
use sluice::clock::Stopwatch;

/// How long something that must happen may take.
const PATIENCE: Duration = Duration::from_secs(60);

fn stage() -> (Network, Running) {
    let network = Network::new().unwrap();
    let nginx = services::nginx(&network.lan).unwrap();
    (network, nginx)
}

fn block(daemon: &Daemon<'_>, address: &str, how_long: &str) {
    let finished = daemon.command(&["block", address, "--for", how_long, "--why", "a test"]).unwrap();
    assert!(finished.success(), "{}", finished.stderr);
    wait_until("the kernel blocks it", PATIENCE, || daemon.kernel_blocks(address)).unwrap();
}

/// Starts a stream of pings through the box and waits until it runs.
fn pings(network: &Network) -> PingStream {
    let pings = PingStream::start(&network.lan, GATEWAY, 10).unwrap();
    wait_until("pings are answered", PATIENCE, || pings.answers() > 20).unwrap();
    pings
}

#[test]
fn killing_the_daemon_loses_no_ping_and_its_blocks_still_end() {
    let (network, _nginx) = stage();
    let mut daemon = Daemon::start(&network, &Config::default()).unwrap();
    let offender = network.outsider(66).unwrap();
    block(&daemon, &offender.address(), "12s");
    let pings = pings(&network);
    daemon.kill();
    assert!(daemon.kernel_blocks(&offender.address()), "the block died with the daemon");
    assert!(!reaches_the_lan(&offender.namespace));
    wait_until("the kernel ends the block", PATIENCE, || !daemon.kernel_blocks(&offender.address())).unwrap();
    wait_until("the offender is let in", PATIENCE, || reaches_the_lan(&offender.namespace)).unwrap();
    let report = pings.stop().unwrap();
    assert_eq!(report.received, report.sent, "pings were lost");
}

#[test]
fn a_restart_after_a_crash_restores_the_blocks_with_their_remaining_time() {
    let (network, _nginx) = stage();
    let mut daemon = Daemon::start(&network, &Config::default()).unwrap();
    let offender = network.outsider(66).unwrap();
    block(&daemon, &offender.address(), "10m");
    let until = daemon.block_of(&offender.address()).unwrap()["until_s"].as_f64().unwrap();
    let pings = pings(&network);
    daemon.kill();
    network.r#box.run(["nft", "flush", "ruleset"]).unwrap();
    sleep(Duration::from_secs(1));
    daemon.start_again().unwrap();
    let restored = daemon.wait_for_block(&offender.address(), PATIENCE).unwrap();
    wait_until("the kernel blocks it again", PATIENCE, || daemon.kernel_blocks(&offender.address())).unwrap();
    let moved = (restored["until_s"].as_f64().unwrap() - until).abs();
    assert!(moved < 2.0, "the end of the block moved by {moved} s");
    assert_eq!(restored["actor"], "local");
    assert!(restored["because"].as_str().unwrap().contains("a test"));
    assert!(!reaches_the_lan(&offender.namespace));
    let report = pings.stop().unwrap();
    assert_eq!(report.received, report.sent, "pings were lost over kill and restart");
}

#[test]
fn a_backup_of_a_running_box_comes_back_with_a_restart_and_no_ping_is_lost() {
    let (network, _nginx) = stage();
    let daemon = Daemon::start(&network, &Config::default()).unwrap();
    let [then, since] = [66, 67].map(|number| network.outsider(number).unwrap());
    block(&daemon, &then.address(), "10m");
    let backup = work_folder().unwrap().join("box.tar.gz");
    let done = |words: [&str; 2]| {
        let finished = daemon.command(&words).unwrap();
        assert!(finished.success(), "{}", finished.stderr);
    };
    done(["backup", backup.to_str().unwrap()]);
    assert_eq!(backup.metadata().unwrap().permissions().mode() & 0o777, 0o600, "there are passwords' hashes in it");
    done(["unblock", &then.address()]);
    block(&daemon, &since.address(), "10m");
    daemon.edit("profile = \"balanced\"", "profile = \"strict\"").unwrap();
    let pings = pings(&network);
    done(["restore", backup.to_str().unwrap()]);
    assert!(daemon.kernel_blocks(&since.address()), "the daemon goes on with what it knows");
    assert!(daemon.command(&["restart"]).unwrap().success());
    wait_until("the block of the backup stands", PATIENCE, || daemon.kernel_blocks(&then.address())).unwrap();
    wait_until("that since then does not", PATIENCE, || !daemon.kernel_blocks(&since.address())).unwrap();
    assert!(fs::read_to_string(daemon.config_file()).unwrap().contains("profile = \"balanced\""));
    let report = pings.stop().unwrap();
    assert_eq!(report.received, report.sent, "pings were lost");
}

#[test]
fn a_block_that_ended_while_the_daemon_was_dead_is_not_restored() {
    let (network, _nginx) = stage();
    let mut daemon = Daemon::start(&network, &Config::default()).unwrap();
    let offender = network.outsider(66).unwrap();
    block(&daemon, &offender.address(), "3s");
    daemon.kill();
    sleep(Duration::from_secs(4));
    daemon.start_again().unwrap();
    assert!(daemon.block_of(&offender.address()).is_none());
    assert!(reaches_the_lan(&offender.namespace));
}

#[test]
fn who_was_unblocked_is_left_alone_over_a_restart() {
    let (network, _nginx) = stage();
    let mut daemon = Daemon::start(&network, &Config::default()).unwrap();
    let offender = network.outsider(66).unwrap();
    block(&daemon, &offender.address(), "10m");
    assert!(daemon.command(&["unblock", &offender.address()]).unwrap().success());
    daemon.stop().unwrap();
    daemon.start_again().unwrap();
    let scan = format!("-sS -T4 -Pn -p 1-3000 {LAN_HOST}");
    start_nmap(&offender.namespace, &scan).unwrap().finish(PATIENCE);
    daemon.wait_for_alert(&offender.address(), "scan", PATIENCE).unwrap();
    assert!(daemon.block_of(&offender.address()).is_none() && reaches_the_lan(&offender.namespace));
    // A person may think better of it.
    block(&daemon, &offender.address(), "10m");
    daemon.kill();
    daemon.start_again().unwrap();
    assert!(daemon.kernel_blocks(&offender.address()) && !reaches_the_lan(&offender.namespace));
}

#[test]
fn a_proper_stop_removes_the_table_and_traffic_goes_on() {
    let (network, _nginx) = stage();
    let mut daemon = Daemon::start(&network, &Config::default()).unwrap();
    let offender = network.outsider(66).unwrap();
    block(&daemon, &offender.address(), "10m");
    let pings = pings(&network);
    let finished = daemon.stop().unwrap();
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
    assert_eq!(daemon.kernel_table(), "", "the table is still there");
    assert!(reaches_the_lan(&offender.namespace));
    let report = pings.stop().unwrap();
    assert_eq!(report.received, report.sent, "pings were lost");
}

#[test]
fn a_table_that_somebody_changed_is_put_right_at_once_and_shown_once() {
    let (network, _nginx) = stage();
    let daemon = Daemon::start(&network, &Config::default()).unwrap();
    let offender = network.outsider(66).unwrap();
    block(&daemon, &offender.address(), "10m");
    let address = offender.address();
    for (repairs, change) in (1..).zip(["flush ruleset", "delete table netdev sluice", "flush table netdev sluice"]) {
        let is_right = || daemon.kernel_blocks(&address) && daemon.kernel_table().contains("ip saddr @deny4");
        let begin = Stopwatch::start();
        network.r#box.run(["nft", change]).unwrap();
        wait_until("the table is as it was", PATIENCE, is_right).unwrap();
        println!("{change}: seen to be put right after {} ms", begin.elapsed().as_millis());
        assert!(!reaches_the_lan(&offender.namespace));
        // Longer than the interval of the comparison: what was put right is not put right again.
        sleep(Duration::from_secs(2));
        let audit = daemon.command(&["audit"]).unwrap().stdout;
        let told = audit.matches("put the nftables table right after nft (process ").count();
        assert_eq!((told, audit.matches("nftables table right").count()), (repairs, repairs), "{change}: {audit}");
    }
    let status = daemon.command(&["status"]).unwrap().stdout;
    assert!(status.contains("changed the nftables table"), "{status}");
}

#[test]
fn what_the_boot_of_the_box_found_wrong_is_a_fault_of_the_page() {
    let network = Network::new().unwrap();
    let mut daemon = Daemon::start(&network, &Config::default()).unwrap();
    daemon.stop().unwrap();
    std::fs::write(daemon.config_file().with_file_name("system-faults"), "the card is worn out\n").unwrap();
    daemon.start_again().unwrap();
    wait_until("the fault is shown", PATIENCE, || daemon.faults().unwrap().contains("the card is worn out")).unwrap();
}
