//! The dead man's switch: what passes when the daemon is killed, hangs, or is told to stop.

use std::time::Duration;

use lab::benign::PingStream;
use lab::cleanup::work_folder;
use lab::daemon::{Config, Daemon, sluice_program};
use lab::namespace::Namespace;
use lab::network::{BOX, GATEWAY, LAN_HOST, Network};
use lab::process::{SHORT, run_any, wait_until};
use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, waitpid};
use sluice::clock::Stopwatch;

/// How long something that must happen may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long what must not happen is waited for: longer than a table that closes stays open by itself.
const LONG_ENOUGH: Duration = Duration::from_secs(8);

fn closed() -> Config {
    Config { on_failure: "closed", ..Config::default() }
}

/// Whether a ping is answered.
fn reaches(from: &Namespace, to: &str) -> bool {
    from.run(["ping", "-c", "1", "-W", "1", to]).is_ok()
}

fn passes(network: &Network) -> bool {
    reaches(&network.lan, GATEWAY)
}

fn wait_until_closed(network: &Network) {
    wait_until("nothing passes", PATIENCE, || !passes(network)).unwrap();
    assert!(!reaches(&network.wan, LAN_HOST), "it is closed one way only");
}

fn wait_until_open(network: &Network) {
    wait_until("traffic passes", PATIENCE, || passes(network)).unwrap();
}

#[test]
fn a_killed_daemon_that_fails_closed_stops_traffic_and_leaves_the_box_reachable() {
    let network = Network::new().unwrap();
    let mut daemon = Daemon::start(&network, &closed()).unwrap();
    wait_until_open(&network);
    // Often enough that a gap between two fillings of the set would be met, and not so often that it is a flood.
    let pings = PingStream::start(&network.lan, GATEWAY, 5).unwrap();
    std::thread::sleep(LONG_ENOUGH);
    let report = pings.stop().unwrap();
    assert_eq!(report.received, report.sent, "it does not stay open while the daemon runs");
    let killed = Stopwatch::start();
    daemon.kill();
    wait_until_closed(&network);
    println!("{} pings without a loss; closed {:?} after kill -9", report.sent, killed.elapsed());
    assert!(reaches(&network.lan, BOX) && reaches(&network.wan, BOX), "the box cannot be reached");
    assert!(reaches(&network.r#box, LAN_HOST), "the box reaches nobody");
    network.lan.ip("neigh flush dev lan0").unwrap();
    assert!(!passes(&network));
    let neighbours = network.lan.ip(&format!("neigh show {GATEWAY}")).unwrap();
    assert!(neighbours.contains("lladdr"), "ARP does not pass: {neighbours}");
    daemon.start_again().unwrap();
    wait_until_open(&network);
    assert_eq!(daemon.stop().unwrap().code(), Some(0));
    assert_eq!(daemon.kernel_table(), "", "a proper stop leaves the table");
    assert!(passes(&network), "a proper stop closes");
}

#[test]
fn a_daemon_that_hangs_closes_and_opens_when_it_goes_on() {
    let network = Network::new().unwrap();
    let daemon = Daemon::start(&network, &closed()).unwrap();
    wait_until_open(&network);
    daemon.signal(Signal::SIGSTOP);
    wait_until_closed(&network);
    daemon.signal(Signal::SIGCONT);
    wait_until_open(&network);
    let audit = daemon.command(&["audit"]).unwrap().stdout;
    assert!(!audit.contains("nftables table right"), "it takes its own renewals for changes: {audit}");
}

#[test]
fn a_packet_thread_that_hangs_closes_though_the_others_run() {
    let network = Network::new().unwrap();
    let daemon = Daemon::start(&network, &closed()).unwrap();
    wait_until_open(&network);
    let thread = daemon.thread("packets").unwrap();
    // Stops this one thread until it is let go.
    ptrace::seize(thread, ptrace::Options::empty()).unwrap();
    ptrace::interrupt(thread).unwrap();
    waitpid(thread, Some(WaitPidFlag::__WALL)).unwrap();
    wait_until_closed(&network);
    wait_until("the page tells it", PATIENCE, || daemon.faults().unwrap().contains("hangs")).unwrap();
    ptrace::detach(thread, None).unwrap();
    wait_until_open(&network);
    wait_until("the page tells it no more", PATIENCE, || !daemon.faults().unwrap().contains("hangs")).unwrap();
}

#[test]
fn the_box_keeps_its_new_addresses_open_as_well() {
    const NEW: &str = "198.51.100.77";
    let network = Network::new().unwrap();
    let mut daemon = Daemon::start(&network, &closed()).unwrap();
    network.r#box.ip(&format!("addr add {NEW}/24 dev br0")).unwrap();
    wait_until("the table knows it", PATIENCE, || daemon.kernel_table().contains(NEW)).unwrap();
    daemon.kill();
    wait_until_closed(&network);
    assert!(reaches(&network.lan, NEW));
}

#[test]
fn a_daemon_that_fails_open_stops_nothing_when_it_hangs() {
    let network = Network::new().unwrap();
    let daemon = Daemon::start(&network, &Config::default()).unwrap();
    wait_until_open(&network);
    assert!(!daemon.kernel_table().contains("alive"));
    daemon.signal(Signal::SIGSTOP);
    std::thread::sleep(LONG_ENOUGH);
    assert!(passes(&network));
    daemon.signal(Signal::SIGCONT);
}

#[test]
fn observing_never_closes_and_check_config_says_so() {
    let network = Network::new().unwrap();
    let mut daemon = Daemon::start(&network, &Config { mode: "observe", ..closed() }).unwrap();
    let config = daemon.config_file().display().to_string();
    let told = lab::daemon::sluice(&["check-config", &config], PATIENCE).unwrap().stdout;
    assert!(told.contains("on_failure = \"closed\" does nothing yet"), "{told}");
    daemon.kill();
    std::thread::sleep(LONG_ENOUGH);
    assert!(passes(&network));
}

/// Runs `sluice bridge` in the box, as at its boot.
fn bridge_at_boot(network: &Network, config: &Config) -> String {
    let folder = work_folder().unwrap().join(network.r#box.name());
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("sluice.toml");
    std::fs::write(&file, config.text(&folder)).unwrap();
    let mut command = network.r#box.command(sluice_program().unwrap());
    let finished = run_any(command.arg("bridge").arg("--config").arg(file), SHORT).unwrap();
    assert!(finished.success() && finished.stderr.is_empty(), "{}{}", finished.stdout, finished.stderr);
    finished.stdout
}

/// What a power cut leaves of a box that is on: nothing.
fn lose_everything(network: &Network, daemon: &mut Daemon<'_>) {
    daemon.kill();
    network.r#box.ip("link delete br0").unwrap();
    network.r#box.run(["nft", "flush", "ruleset"]).unwrap();
    assert_eq!(daemon.kernel_table(), "");
}

#[test]
fn at_a_boot_nothing_passes_before_the_daemon_runs_and_the_box_is_reached() {
    const GIVEN: &str = "198.51.100.77";
    let network = Network::new().unwrap();
    let pings = PingStream::start(&network.lan, GATEWAY, 20).unwrap();
    assert_eq!(bridge_at_boot(&network, &closed()), "bridge br0 of port0 and port1: made\n");
    wait_until("the box is reached", PATIENCE, || reaches(&network.lan, BOX) && reaches(&network.wan, BOX)).unwrap();
    // As by DHCP: nobody has told the table of it.
    network.r#box.ip(&format!("addr add {GIVEN}/24 dev br0")).unwrap();
    assert!(reaches(&network.lan, GIVEN) && reaches(&network.r#box, LAN_HOST));
    assert_eq!(bridge_at_boot(&network, &closed()), "bridge br0 of port0 and port1: stands\n");
    wait_until("ARP passes", PATIENCE, || network.lan.ip(&format!("neigh show {GATEWAY}")).unwrap().contains("lladdr"))
        .unwrap();
    assert!(!passes(&network) && !reaches(&network.wan, LAN_HOST));
    assert_eq!(pings.answers(), 0, "something has passed");

    let mut daemon = Daemon::start(&network, &closed()).unwrap();
    wait_until_open(&network);
    assert!(pings.answers() > 0);
    // Beside a daemon, and where traffic flows already, it changes nothing.
    bridge_at_boot(&network, &closed());
    assert!(passes(&network));
    assert!(!daemon.log().contains("nftables table right"), "{}", daemon.log());
    daemon.stop().unwrap();
    bridge_at_boot(&network, &closed());
    assert_eq!(daemon.kernel_table(), "");
    assert!(passes(&network));
}

#[test]
fn no_frame_of_who_is_blocked_passes_at_a_boot() {
    let network = Network::new().unwrap();
    let mut daemon = Daemon::start(&network, &closed()).unwrap();
    let blocked = network.outsider(66).unwrap();
    wait_until("it passes before", PATIENCE, || reaches(&blocked.namespace, LAN_HOST)).unwrap();
    let words = ["block", &blocked.address(), "--for", "1h"];
    assert!(daemon.command(&words).unwrap().success());
    wait_until("it is written down", PATIENCE, || {
        daemon.command(&["audit"]).unwrap().stdout.contains(&blocked.address())
    })
    .unwrap();

    lose_everything(&network, &mut daemon);
    let stream = PingStream::start(&blocked.namespace, LAN_HOST, 10).unwrap();
    bridge_at_boot(&network, &closed());
    daemon.start_again().unwrap();
    wait_until_open(&network);
    assert!(daemon.kernel_blocks(&blocked.address()));
    assert_eq!(stream.answers(), 0, "it has passed in between");

    // The daemon alone does the same.
    lose_everything(&network, &mut daemon);
    daemon.start_again().unwrap();
    wait_until_open(&network);
    assert_eq!(stream.answers(), 0, "it has passed in between");
}

#[test]
fn at_a_boot_of_a_box_that_observes_traffic_flows() {
    let network = Network::new().unwrap();
    bridge_at_boot(&network, &Config { mode: "observe", ..closed() });
    wait_until_open(&network);
    // What was said while the box ran counts, too.
    let mut daemon = Daemon::start(&network, &closed()).unwrap();
    assert!(daemon.command(&["mode", "observe"]).unwrap().success());
    daemon.stop().unwrap();
    lose_everything(&network, &mut daemon);
    bridge_at_boot(&network, &closed());
    wait_until_open(&network);
    assert_eq!(daemon.kernel_table(), "");
}
