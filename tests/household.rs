//! Devices of the household that attack: they are held by their network card, and nobody else is.

use std::time::Duration;

use lab::attacks::{Flood, flood, start_nmap};
use lab::benign::{look_up_names, reaches_the_internet};
use lab::daemon::{Config, Daemon};
use lab::namespace::Namespace;
use lab::network::{BOX, INTERNET, INTERNET_V6, LAN_HOST, NAME_SERVER, Network};
use lab::process::{Running, SHORT, wait_until};
use lab::services;

/// How long something that must happen may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long one piece of ordinary traffic may take.
const LIMIT: Duration = Duration::from_secs(30);

fn stage() -> (Network, Vec<Running>) {
    let network = Network::with_switch().unwrap();
    let servers = vec![
        services::nginx(&network.lan).unwrap(),
        services::nginx(&network.wan).unwrap(),
        services::dnsmasq(&network.wan).unwrap(),
    ];
    (network, servers)
}

fn opens_the_page(from: &Namespace) -> bool {
    from.run_within(&format!("curl -s -S --fail -m 10 -o /dev/null http://{BOX}:8080/"), SHORT).is_ok()
}

#[test]
fn a_device_that_scans_the_internet_is_quarantined_by_its_card_and_nobody_else_is() {
    let (network, _servers) = stage();
    let daemon = Daemon::start(&network, &Config::default()).unwrap();
    let healthy = network.device(31).unwrap();
    for (number, targets) in [(30, INTERNET.join(" ")), (32, format!("-6 {INTERNET_V6}"))] {
        let infected = network.device(number).unwrap();
        assert!(reaches_the_internet(&infected.namespace) && reaches_the_internet(&healthy.namespace));
        let scan = start_nmap(&infected.namespace, &format!("-sS -Pn -T4 -p 1-20000 {targets}")).unwrap();
        let block = daemon.wait_for_block(&infected.mac, PATIENCE).unwrap();
        assert_eq!(
            (block["action"].as_str(), block["class"].as_str()),
            (Some("quarantine"), Some("scan")),
            "{targets}"
        );
        let address = format!("198.51.100.{number}");
        let addresses = block["addresses"].as_array().unwrap();
        assert!(addresses.contains(&address.as_str().into()), "{address} is not among {addresses:?}");
        let alerts = daemon.status().unwrap()["alerts"].take();
        assert_eq!(alerts[0]["device"].as_str(), Some(infected.mac.as_str()));
        drop(scan);
        wait_until("the kernel holds it", LIMIT, || !reaches_the_internet(&infected.namespace)).unwrap();
        look_up_names(&infected.namespace, NAME_SERVER, 3).unwrap();
        assert!(opens_the_page(&infected.namespace), "its owner can be told");
        assert!(reaches_the_internet(&healthy.namespace) && reaches_the_internet(&network.lan));
        assert_eq!(daemon.blocks().unwrap().len(), 1, "{targets}: {:#?}", daemon.blocks().unwrap());
        assert!(daemon.command(&["unblock", &infected.mac]).unwrap().success());
        assert!(reaches_the_internet(&infected.namespace));
    }
}

#[test]
fn a_device_that_carries_data_in_names_is_held_and_its_tunnel_ends() {
    let (network, _servers) = stage();
    let daemon = Daemon::start(&network, &Config::default()).unwrap();
    let [infected, healthy] = [30, 31].map(|number| network.device(number).unwrap());
    let (end, inner_end) = (INTERNET[2], "198.18.201.1");
    let _server = network.wan.start(&format!("iodined -f -c -P secret -l {end} {inner_end}/24 t.example.org")).unwrap();
    let client = format!("iodine -f -r -P secret -T NULL {end} t.example.org");
    let mut client = infected.namespace.start(&client).unwrap();
    wait_until("the tunnel stands", LIMIT, || {
        assert!(client.is_alive(), "{}", client.complaint("ended"));
        client.stderr().contains("Connection setup complete")
    })
    .unwrap();
    let _load = infected.namespace.start(&format!("ping -n -q -i 0.2 -s 200 {inner_end}")).unwrap();
    let block = daemon.wait_for_block(&infected.mac, PATIENCE).unwrap();
    assert_eq!((block["action"].as_str(), block["class"].as_str()), (Some("quarantine"), Some("tunnel")));
    let told = block["because"].as_str().unwrap();
    assert!(told.contains("long names below one domain asked for in 60 s"), "{told}");
    let comes_through = || infected.namespace.run_within(&format!("ping -n -c 1 -W 2 {inner_end}"), SHORT).is_ok();
    wait_until("nothing comes through", LIMIT, || !comes_through()).unwrap();
    look_up_names(&infected.namespace, NAME_SERVER, 3).unwrap();
    look_up_names(&healthy.namespace, NAME_SERVER, 3).unwrap();
    assert!(reaches_the_internet(&healthy.namespace) && !reaches_the_internet(&infected.namespace));
    assert_eq!(daemon.blocks().unwrap().len(), 1, "{:#?}", daemon.blocks().unwrap());
}

#[test]
fn a_device_on_the_allowlist_is_never_held_and_becomes_free_at_once() {
    let (network, _servers) = stage();
    let [friend, infected] = [30, 31].map(|number| network.device(number).unwrap());
    let daemon = Daemon::start(&network, &Config { allow: vec![friend.mac.clone()], ..Config::default() }).unwrap();
    let scan = |from: &Namespace| start_nmap(from, &format!("-sS -Pn -T4 -p 1-20000 {}", INTERNET[0])).unwrap();
    let (_first, _second) = (scan(&friend.namespace), scan(&infected.namespace));
    daemon.wait_for_block(&infected.mac, PATIENCE).unwrap();
    assert!(daemon.block_of(&friend.mac).is_none() && reaches_the_internet(&friend.namespace));
    wait_until("the kernel holds it", LIMIT, || !reaches_the_internet(&infected.namespace)).unwrap();
    assert!(daemon.command(&["allow", &infected.mac]).unwrap().success());
    assert!(daemon.block_of(&infected.mac).is_none(), "allow beats block");
    wait_until("it is free", LIMIT, || reaches_the_internet(&infected.namespace)).unwrap();
    assert!(daemon.command(&["disallow", &infected.mac]).unwrap().success());
    let refused = daemon.command(&["disallow", &friend.mac]).unwrap();
    assert!(refused.stderr.contains("policy.allow in sluice.toml"), "{}", refused.stderr);
}

#[test]
fn a_forged_address_of_the_household_holds_no_device() {
    let (network, _servers) = stage();
    let daemon = Daemon::start(&network, &Config::default()).unwrap();
    let victim = network.device(30).unwrap();
    for _ in 0..5 {
        assert!(reaches_the_internet(&victim.namespace));
    }
    let (address, stranger) = ("198.51.100.30", INTERNET[1]);
    for forged in [address, stranger] {
        let scan = format!("-S -p ++1 -a {forged}");
        flood(&network.wan, Flood::Other(&scan), LAN_HOST, 5_000, 500, LIMIT).unwrap();
        daemon.wait_for_alert(forged, "scan", PATIENCE).unwrap();
    }
    // A stranger in whose name the same was done later is blocked for it.
    daemon.wait_for_block(stranger, PATIENCE).unwrap();
    assert!(daemon.block_of(&victim.mac).is_none() && daemon.block_of(address).is_none());
    assert!(reaches_the_internet(&victim.namespace));
}

#[test]
fn a_name_on_the_allowlist_is_looked_up() {
    let (network, _servers) = stage();
    let [friend, stranger] = [66, 67].map(|number| network.outsider(number).unwrap());
    network.r#box.private_file("hosts", &format!("{} friend.example.org\n", friend.address())).unwrap();
    network.r#box.private_file("resolv.conf", "nameserver 127.0.0.1\n").unwrap();
    let allow = ["friend.example.org", "nas.example.invalid"].map(str::to_owned).to_vec();
    let mut daemon = Daemon::start(&network, &Config { allow, ..Config::default() }).unwrap();
    let refuses = |daemon: &Daemon<'_>| {
        let finished = daemon.command(&["block", &friend.address()]).unwrap();
        finished.stderr.contains("it is on the allowlist")
    };
    wait_until("the name is known", PATIENCE, || refuses(&daemon)).unwrap();
    let unprotected = "nas.example.invalid of policy.allow has no address: that device is not protected";
    wait_until("the other one is a fault", PATIENCE, || daemon.faults().unwrap().contains(unprotected)).unwrap();
    // What a name was is known after a restart, also where nobody can be asked.
    network.r#box.private_file("hosts", "").unwrap();
    daemon.stop().unwrap();
    daemon.start_again().unwrap();
    assert!(refuses(&daemon), "its addresses are forgotten");
    wait_until("the other one is a fault", PATIENCE, || daemon.faults().unwrap().contains(unprotected)).unwrap();
    assert!(!daemon.faults().unwrap().contains("friend.example.org"), "it is protected all the same");
    let refused = daemon.command(&["allow", "0.0.0.0/0"]).unwrap().stderr;
    assert!(refused.contains("`0.0.0.0/0` is too wide: "), "{refused}");
    assert!(daemon.command(&["block", &stranger.address()]).unwrap().success());
}
