//! The whole appliance on real traffic: attackers are blocked and told why, everybody else is left alone.

use std::thread::sleep;
use std::time::Duration;

use lab::attacks::{Flood, flood, nmap, start_flood, start_hydra, start_nmap};
use lab::benign::{PingStream, fetch, load_page, look_up_names, reaches_the_lan, speed_test, ssh_by_key, ssh_log_in};
use lab::daemon::{Config, Daemon};
use lab::network::{BOX, GATEWAY, INTERNET, LAN_HOST, NAME_SERVER, Network};
use lab::process::{Running, wait_until};
use lab::services;
use serde_json::Value;

/// How long an attack may run until it must have been stopped. No promise: those are measured elsewhere.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long one piece of ordinary traffic may take.
const LIMIT: Duration = Duration::from_secs(30);

/// The laboratory with its servers.
fn stage() -> (Network, Vec<Running>) {
    let network = Network::new().unwrap();
    let servers = vec![
        services::sshd(&network.lan).unwrap(),
        services::nginx(&network.lan).unwrap(),
        services::nginx(&network.wan).unwrap(),
        services::iperf3(&network.wan, INTERNET[0]).unwrap(),
        services::dnsmasq(&network.wan).unwrap(),
    ];
    (network, servers)
}

fn text<'a>(block: &'a Value, key: &str) -> &'a str {
    block[key].as_str().unwrap_or_default()
}

/// The block is of that class, has a reason and an end, and the kernel has it.
fn assert_blocked_for(daemon: &Daemon<'_>, block: &Value, class: &str) {
    assert_eq!(text(block, "class"), class, "{block}");
    assert!(text(block, "because").len() > 10, "no reason: {block}");
    assert!(block["until_s"].as_f64() > block["since_s"].as_f64(), "no end: {block}");
    assert_eq!(text(block, "actor"), "sluice");
    let address = text(block, "address");
    wait_until("the kernel blocks it", LIMIT, || daemon.kernel_blocks(address)).unwrap();
}

#[test]
fn ordinary_traffic_passes_and_nobody_is_blocked() {
    let (network, _servers) = stage();
    let daemon = Daemon::start(&network, &Config::default()).unwrap();
    let visitor = network.outsider(40).unwrap();
    let pings = PingStream::start(&network.lan, GATEWAY, 50).unwrap();
    for _ in 0..3 {
        load_page(&network.lan, INTERNET[0], 30, LIMIT).unwrap();
        load_page(&visitor.namespace, LAN_HOST, 6, LIMIT).unwrap();
        look_up_names(&network.lan, NAME_SERVER, 40).unwrap();
        ssh_by_key(&visitor.namespace, LAN_HOST, "true", LIMIT).unwrap();
    }
    ssh_log_in(&visitor.namespace, LAN_HOST).unwrap();
    fetch(&network.lan, INTERNET[1], "film.bin", LIMIT).unwrap();
    speed_test(&network.lan, INTERNET[0], 2, "-b 50M").unwrap();
    let report = pings.stop().unwrap();
    assert_eq!(report.sent, report.received);
    assert_eq!(daemon.blocks().unwrap(), Vec::<Value>::new());
    assert_eq!(daemon.status().unwrap()["faults"], Value::Array(Vec::new()));
    assert!(daemon.status().unwrap()["packets"].as_u64() > Some(1_000));
}

#[test]
fn a_port_scan_is_blocked_and_the_block_ends_after_its_time() {
    let (network, _servers) = stage();
    let daemon = Daemon::start(&network, &Config { block_ttl_s: 8, ..Config::default() }).unwrap();
    let attacker = network.outsider(66).unwrap();
    let scan = start_nmap(&attacker.namespace, &format!("-sS -T4 -p 1-20000 {LAN_HOST}")).unwrap();
    let block = daemon.wait_for_block(&attacker.address(), PATIENCE).unwrap();
    assert_blocked_for(&daemon, &block, "scan");
    drop(scan);
    assert!(!reaches_the_lan(&attacker.namespace), "the attacker still gets through");
    daemon.wait_for_end_of_block(&attacker.address(), PATIENCE).unwrap();
    wait_until("the attacker is let in again", PATIENCE, || reaches_the_lan(&attacker.namespace)).unwrap();
}

#[test]
fn a_scan_over_sctp_is_blocked_and_its_reason_is_in_words() {
    let (network, _servers) = stage();
    let daemon = Daemon::start(&network, &Config::default()).unwrap();
    let attacker = network.outsider(69).unwrap();
    // Whatever the kernel makes of SCTP: it refuses what it does not know (RFC 1122 section 3.2.2.1).
    let scan = start_nmap(&attacker.namespace, &format!("-sY -Pn -T4 --max-retries 1 -p 1-2000 {LAN_HOST}")).unwrap();
    let block = daemon.wait_for_block(&attacker.address(), PATIENCE).unwrap();
    assert_blocked_for(&daemon, &block, "scan");
    let because = text(&block, "because");
    assert!(because.contains("ports on 1 host tried in 60 s"), "what was done: {because}");
    assert!(!because.contains("src_"), "names of features are no words: {because}");
    drop(scan);
    assert!(!reaches_the_lan(&attacker.namespace), "the attacker still gets through");
}

#[test]
fn a_syn_flood_is_blocked() {
    let (network, _servers) = stage();
    let daemon = Daemon::start(&network, &Config::default()).unwrap();
    let attacker = network.outsider(67).unwrap();
    let flood = start_flood(&attacker.namespace, Flood::Syn(80), LAN_HOST, 30_000, 300).unwrap();
    let block = daemon.wait_for_block(&attacker.address(), PATIENCE).unwrap();
    assert_blocked_for(&daemon, &block, "flood");
    // Whoever sends SYN packets only has not proven that the address is its own: answers of that address must pass.
    assert_eq!(text(&block, "action"), "deny_new");
    drop(flood);
    fetch(&network.lan, INTERNET[0], "index.html", LIMIT).unwrap();
}

#[test]
fn a_password_attack_is_blocked_entirely() {
    let (network, _servers) = stage();
    let daemon = Daemon::start(&network, &Config::default()).unwrap();
    let attacker = network.outsider(68).unwrap();
    let attack = start_hydra(&attacker.namespace, "ssh", LAN_HOST, 4, 2_000).unwrap();
    let block = daemon.wait_for_block(&attacker.address(), PATIENCE).unwrap();
    assert_blocked_for(&daemon, &block, "brute_force");
    // New connections are dropped first; once enough log-ins are proven to come from that address, everything is.
    wait_until("everything is dropped", PATIENCE, || {
        daemon.block_of(&attacker.address()).is_some_and(|block| text(&block, "action") == "deny")
    })
    .unwrap();
    drop(attack);
    assert!(!reaches_the_lan(&attacker.namespace));
}

#[test]
fn an_attacker_on_the_allowlist_is_never_blocked() {
    let (network, _servers) = stage();
    let attacker = network.outsider(69).unwrap();
    let daemon = Daemon::start(&network, &Config { allow: vec![attacker.address()], ..Config::default() }).unwrap();
    let other = network.outsider(66).unwrap();
    let scan = format!("-sS -Pn -T4 -p 1-3000 --max-retries 0 {LAN_HOST}");
    let finished = nmap(&attacker.namespace, &scan, PATIENCE).unwrap();
    assert!(finished.success(), "{}", finished.stderr);
    daemon.wait_for_alert(&attacker.address(), "scan", PATIENCE).unwrap();
    // One who does the same later is blocked for it.
    let _second = start_nmap(&other.namespace, &scan).unwrap();
    daemon.wait_for_block(&other.address(), PATIENCE).unwrap();
    assert!(daemon.block_of(&attacker.address()).is_none());
    assert!(!daemon.kernel_blocks(&attacker.address()));
    assert!(reaches_the_lan(&attacker.namespace));
}

#[test]
fn neither_the_gateway_nor_the_box_is_ever_blocked() {
    let (network, _servers) = stage();
    let daemon = Daemon::start(&network, &Config::default()).unwrap();
    let other = INTERNET[1];
    for source in [GATEWAY, BOX, other] {
        let scan = format!("-S -p ++1 -a {source}");
        flood(&network.wan, Flood::Other(&scan), LAN_HOST, 2_000, 500, LIMIT).unwrap();
        daemon.wait_for_alert(source, "scan", PATIENCE).unwrap();
    }
    // The one that came last is blocked for the same.
    daemon.wait_for_block(other, PATIENCE).unwrap();
    for address in [GATEWAY, BOX] {
        assert!(daemon.block_of(address).is_none(), "{address} is blocked");
        assert!(!daemon.kernel_blocks(address));
    }
    assert!(reaches_the_lan(&network.wan));
}

#[test]
fn a_resolver_in_use_is_not_blocked_for_a_scan_in_its_name() {
    let (network, _servers) = stage();
    let daemon = Daemon::start(&network, &Config::default()).unwrap();
    // Spread out: of a burst the answers may be read from their port before the questions from the other.
    for _ in 0..15 {
        look_up_names(&network.lan, NAME_SERVER, 2).unwrap();
        sleep(Duration::from_millis(150));
    }
    let [resolver, other] = [NAME_SERVER, INTERNET[1]];
    for forged in [resolver, other] {
        let scan = format!("-S -p ++1 -a {forged}");
        flood(&network.wan, Flood::Other(&scan), LAN_HOST, 2_000, 500, LIMIT).unwrap();
    }
    daemon.wait_for_alert(resolver, "scan", PATIENCE).unwrap();
    daemon.wait_for_block(other, PATIENCE).unwrap();
    assert!(daemon.block_of(resolver).is_none());
    assert!(!daemon.kernel_blocks(resolver));
    look_up_names(&network.lan, NAME_SERVER, 5).unwrap();
}

#[test]
fn rules_and_lists_raise_alerts_that_name_them_and_only_a_flood_is_blocked_for_one_flow() {
    let (network, _servers) = stage();
    let (pinger, listed) = (network.outsider(50).unwrap(), network.outsider(51).unwrap());
    let file = lab::cleanup::work_folder().unwrap().join("listed.txt");
    // The sender of the flood is on it too: that must not keep it from being blocked at once.
    std::fs::write(&file, format!("# known\n{}\n{}\n", listed.address(), pinger.address())).unwrap();
    let list = |name: &str, path: &str| {
        format!(
            "[[lists]]\nname = \"{name}\"\npath = \"{path}\"\nclass = \"botnet\"\nconfidence = 0.99\nblock = true\n"
        )
    };
    let rules = list("known", file.to_str().unwrap()) + &list("absent", "/nowhere/absent.txt");
    let daemon = Daemon::start(&network, &Config { rules, ..Config::default() }).unwrap();
    fetch(&listed.namespace, LAN_HOST, "api.json", LIMIT).unwrap();
    // Others come too: the flood is its sender's all the same.
    for _ in 0..8 {
        fetch(&network.wan, LAN_HOST, "api.json", LIMIT).unwrap();
    }
    let _flood = start_flood(&pinger.namespace, Flood::Icmp(56), LAN_HOST, 6_000, 200).unwrap();
    let alert = |source: &str, because: &str| {
        let status = daemon.status().unwrap();
        let alerts = status["alerts"].as_array().unwrap();
        alerts.iter().any(|alert| text(alert, "source") == source && text(alert, "because").contains(because))
    };
    let told = [
        (&listed.address(), "on the list \"known\", and began a flow"),
        (&pinger.address(), "rule \"flood of ICMP in one flow\": the protocol is ICMP or ICMPv6; "),
    ];
    for (source, because) in told {
        wait_until(because, LIMIT, || alert(source, because)).unwrap();
    }
    let faults = daemon.faults().unwrap();
    assert!(faults.contains("the list \\\"absent\\\" is not used: /nowhere/absent.txt: "), "{faults}");
    let block = daemon.wait_for_block(&pinger.address(), PATIENCE).unwrap();
    assert_eq!(text(&block, "action"), "deny_new", "its address may be forged");
    assert!(daemon.block_of(&listed.address()).is_none(), "one flow from a listed address alone never blocks");
}
