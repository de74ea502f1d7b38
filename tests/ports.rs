//! Ports that go down, lose their cable, or are removed, below the running daemon: it says which, and when they are back
//! traffic passes, is seen and is blocked as before, without anybody's doing.

use std::net::IpAddr;
use std::time::Duration;

use lab::daemon::{Config, Daemon};
use lab::network::{GATEWAY, LAN_HOST, Network};
use lab::process::wait_until;
use lab::two_hosts::ping;

/// How long something that must happen may take.
const PATIENCE: Duration = Duration::from_secs(60);

fn wait_for_fault(daemon: &Daemon<'_>, words: &str) {
    wait_until(words, PATIENCE, || daemon.faults().unwrap().contains(words)).unwrap();
}

fn packets(daemon: &Daemon<'_>) -> u64 {
    daemon.status().unwrap()["packets"].as_u64().unwrap()
}

/// Pings pass both ways, both halves of them are seen, and no fault of a port is shown.
fn assert_is_as_before(network: &Network, daemon: &Daemon<'_>) {
    const PINGS: u64 = 20;
    let gateway: IpAddr = GATEWAY.parse().unwrap();
    wait_until("pings pass", PATIENCE, || ping(&network.lan, gateway)).unwrap();
    wait_until("no fault is shown", PATIENCE, || !daemon.faults().unwrap().contains("port `")).unwrap();
    let before = packets(daemon);
    for _ in 0..PINGS {
        assert!(ping(&network.lan, gateway));
    }
    wait_until("they are seen", PATIENCE, || packets(daemon) >= before + 2 * PINGS).unwrap();
}

/// Sets the interface down and waits until the daemon says so; when it is up again all is as before.
fn assert_outlives(network: &Network, daemon: &Daemon<'_>, (set, interface): (impl Fn(&str), &str), words: &str) {
    set(&format!("link set {interface} down"));
    wait_for_fault(daemon, words);
    set(&format!("link set {interface} up"));
    assert_is_as_before(network, daemon);
}

#[test]
fn a_port_that_was_down_or_unplugged_works_as_before() {
    let network = Network::new().unwrap();
    let daemon = Daemon::start(&network, &Config::default()).unwrap();
    assert_is_as_before(&network, &daemon);
    let at_box = |line: &str| _ = network.r#box.ip(line).unwrap();
    let at_lan = |line: &str| _ = network.lan.ip(line).unwrap();
    assert_outlives(&network, &daemon, (at_box, "port0"), "port `port0` is down");
    assert_outlives(&network, &daemon, (at_box, "port1"), "port `port1` is down");
    // The other end of the cable; setting it down takes the routes over it away.
    at_lan("link set lan0 down");
    wait_for_fault(&daemon, "port `port0` has no carrier");
    at_lan("link set lan0 up");
    at_lan(&format!("route replace default via {GATEWAY} src {LAN_HOST}"));
    assert_is_as_before(&network, &daemon);
}

#[test]
fn a_port_that_was_removed_and_is_back_works_as_before_with_its_blocks() {
    let network = Network::new().unwrap();
    let daemon = Daemon::start(&network, &Config::default()).unwrap();
    let offender = network.outsider(66).unwrap();
    let lan_host = LAN_HOST.parse().unwrap();
    assert!(daemon.command(&["block", &offender.address(), "--for", "10m"]).unwrap().success());
    wait_until("it is blocked", PATIENCE, || !ping(&offender.namespace, lan_host)).unwrap();

    network.r#box.ip("link del port0").unwrap();
    wait_for_fault(&daemon, "port `port0` is gone");
    network.connect_lan().unwrap();
    assert_is_as_before(&network, &daemon);
    let members = network.r#box.ip("link show master br0").unwrap();
    assert!(members.contains("port0") && members.contains("port1"), "{members}");
    assert!(!ping(&offender.namespace, lan_host), "it is blocked still");
    assert!(daemon.command(&["unblock", &offender.address()]).unwrap().success());
    wait_until("only the block was in the way", PATIENCE, || ping(&offender.namespace, lan_host)).unwrap();
}

#[test]
fn a_port_that_another_program_takes_out_is_put_back_and_a_bridge_that_is_gone_is_told_of() {
    let network = Network::new().unwrap();
    let daemon = Daemon::start(&network, &Config::default()).unwrap();
    let offender = network.outsider(66).unwrap();
    assert!(daemon.command(&["block", &offender.address(), "--for", "10m"]).unwrap().success());
    network.r#box.ip("link set port1 nomaster").unwrap();
    assert_is_as_before(&network, &daemon);
    let members = network.r#box.ip("link show master br0").unwrap();
    assert!(members.contains("port0") && members.contains("port1"), "{members}");
    assert!(!ping(&offender.namespace, LAN_HOST.parse().unwrap()), "it is blocked still");

    network.r#box.ip("link del br0").unwrap();
    wait_for_fault(&daemon, "the bridge `br0` is gone");
    assert!(daemon.command(&["restart"]).unwrap().success());
    assert_is_as_before(&network, &daemon);
}

#[test]
fn an_address_of_a_port_at_which_nobody_reaches_the_box_is_a_fault_until_it_is_gone() {
    let network = Network::new().unwrap();
    network.r#box.ip("addr add 198.51.100.5/24 dev port0").unwrap();
    let daemon = Daemon::start(&network, &Config::default()).unwrap();
    wait_for_fault(&daemon, "port0 has the address 198.51.100.5/24: the box is not reached there");
    assert!(daemon.faults().unwrap().contains("give it to br0 instead"));
    network.r#box.ip("addr del 198.51.100.5/24 dev port0").unwrap();
    wait_until("no fault is shown", PATIENCE, || !daemon.faults().unwrap().contains("has the address")).unwrap();
}
