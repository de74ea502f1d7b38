//! Lists of the web in the laboratory: fetched from a real server, kept on the disk, and held against what devices ask for.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use lab::benign::look_up_names;
use lab::daemon::{Config, Daemon, sluice};
use lab::network::{GATEWAY, LAN_HOST, NAME_SERVER, Network};
use lab::process::{SHORT, wait_until};
use lab::services;
use serde_json::Value;

/// How long something that must happen may take; a list that was not had at once is tried again after a minute.
const PATIENCE: Duration = Duration::from_secs(150);

/// The newest copy of the list, as the web server has it.
fn served(network: &Network) -> PathBuf {
    lab::cleanup::work_folder().unwrap().join(network.wan.name()).join("www/list.txt")
}

/// Waits until nothing is wrong with the list.
fn wait_for_list(daemon: &Daemon<'_>) {
    let is_fine = || !daemon.faults().unwrap().contains("the list");
    if let Err(error) = wait_until("the list is had", PATIENCE, is_fine) {
        panic!("{error}: {}\n{}", daemon.status().unwrap()["faults"], daemon.log());
    }
}

/// Has a device of the LAN ask for a name until an alert says so.
fn assert_told(network: &Network, daemon: &Daemon<'_>, name: &str, because: &str) {
    let mut alerts = Value::Null;
    let waited = wait_until(&format!("an alert tells of {name}"), PATIENCE, || {
        network.lan.run_within(&format!("dig +tries=1 +timeout=2 +short @{NAME_SERVER} {name}"), PATIENCE).unwrap();
        alerts = daemon.status().unwrap()["alerts"].take();
        let told = |alert: &Value| alert["because"].as_str().is_some_and(|told| told.starts_with(because));
        let by_asker = |alert: &&Value| alert["source"] == LAN_HOST && alert["class"] == "botnet";
        alerts.as_array().unwrap().iter().filter(by_asker).any(told)
    });
    assert!(waited.is_ok(), "{because:?} is not in {alerts:#}\n{}", daemon.log());
}

/// Has the device ask for the name often enough that it would be blocked, if that were evidence, and asserts that it is not.
fn assert_only_alerts(network: &Network, daemon: &Daemon<'_>, name: &str) {
    const QUESTIONS: u64 = 20;
    let packets = || daemon.status().unwrap()["packets"].as_u64().unwrap();
    let before = packets();
    for _ in 0..QUESTIONS {
        network.lan.run_within(&format!("dig +tries=1 +timeout=2 +short @{NAME_SERVER} {name}"), PATIENCE).unwrap();
    }
    wait_until("questions and answers are looked at", PATIENCE, || packets() >= before + 2 * QUESTIONS).unwrap();
    // What is decided on them goes through the same queue before this.
    assert!(daemon.command(&["block", "203.0.113.77"]).unwrap().success());
    let blocked: Vec<Value> = daemon.blocks().unwrap().into_iter().map(|mut block| block["address"].take()).collect();
    assert_eq!(blocked, ["203.0.113.77"], "it may only alert");
    assert!(daemon.command(&["unblock", "203.0.113.77"]).unwrap().success());
}

#[test]
fn a_list_of_the_web_is_fetched_kept_and_followed_and_names_who_asks_for_a_listed_domain() {
    let network = Network::new().unwrap();
    let _dns = services::dnsmasq(&network.wan).unwrap();
    let nginx = services::nginx(&network.wan).unwrap();
    fs::write(served(&network), "# domains\n||example.net^\n0.0.0.0 host1.example.com\n203.0.113.254\n").unwrap();
    let rules = format!(
        "[[lists]]\nname = \"known\"\nurl = \"http://{GATEWAY}/list.txt\"\nclass = \"botnet\"\nconfidence = 0.9\n"
    );
    let mut daemon = Daemon::start(&network, &Config { rules, ..Config::default() }).unwrap();
    wait_for_list(&daemon);
    look_up_names(&network.lan, NAME_SERVER, 1).unwrap();
    let because = "asked for the name name0.example.net, and example.net is on the list \"known\"";
    assert_told(&network, &daemon, "name0.example.net", because);
    assert_only_alerts(&network, &daemon, "name0.example.net");
    let log = daemon.log();
    let logged = |line: &str| {
        line.contains("WARN") && line.contains("alert ") && line.contains(LAN_HOST) && line.contains(because)
    };
    assert!(log.lines().any(logged), "a device of the household that asks for it is a warning:\n{log}");

    // A restart without the server.
    drop(nginx);
    daemon.stop().unwrap();
    daemon.start_again().unwrap();
    let because = "asked for the name host1.example.com, which is on the list \"known\"";
    assert_told(&network, &daemon, "host1.example.com", because);
    let told = sluice(&["check-config".as_ref(), daemon.config_file().as_os_str()], SHORT).unwrap().stdout;
    let expected =
        format!("list \"known\": 1 addresses and networks, 2 domains from http://{GATEWAY} every 86400 s; the copy ");
    assert!(told.contains(&expected) && told.contains(" is 0 hours old"), "{told}");

    // The server is back with another list.
    daemon.stop().unwrap();
    let _nginx = services::nginx(&network.wan).unwrap();
    fs::write(served(&network), "evil.example.org\n").unwrap();
    daemon.start_again().unwrap();
    let because = "asked for the name mail.evil.example.org, and evil.example.org is on the list \"known\"";
    assert_told(&network, &daemon, "mail.evil.example.org", because);
    let log = daemon.log();
    assert!(log.contains("the list \"known\" was read: 1 entries"), "{log}");
}

#[test]
fn a_list_file_that_changes_takes_effect_while_the_daemon_runs() {
    let network = Network::new().unwrap();
    let _dns = services::dnsmasq(&network.wan).unwrap();
    let file = lab::cleanup::work_folder().unwrap().join("domains.txt");
    fs::write(&file, "nobody.example\n").unwrap();
    let rules =
        format!("[[lists]]\nname = \"file\"\npath = \"{}\"\nclass = \"botnet\"\nconfidence = 0.9\n", file.display());
    let daemon = Daemon::start(&network, &Config { rules, ..Config::default() }).unwrap();
    wait_for_list(&daemon);
    look_up_names(&network.lan, NAME_SERVER, 1).unwrap();
    assert_eq!(daemon.status().unwrap()["alerts"].as_array().unwrap().len(), 0, "nobody asked for what is listed");
    fs::write(&file, "*.example.net\n").unwrap();
    let because = "asked for the name name0.example.net, and example.net is on the list \"file\"";
    assert_told(&network, &daemon, "name0.example.net", because);
}
