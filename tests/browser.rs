//! The page in a real browser: what a household reads and presses is what happens.

use std::time::Duration;

use lab::attacks::start_nmap;
use lab::browser::Browser;
use lab::daemon::{Config, Daemon};
use lab::network::{BOX, LAN_HOST, Network};
use lab::process::wait_until;
use lab::services;

/// How long something that must happen may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The first log-in, with the set-up code of the box.
fn log_in_first(daemon: &Daemon<'_>, browser: &Browser<'_>) {
    let code = daemon.status().unwrap()["setup_code"].as_str().unwrap().to_owned();
    browser.open(&format!("http://{BOX}:8080/")).unwrap();
    assert_eq!(["code", "name"].map(|field| browser.shows(field).unwrap()), [true, false], "what is to be filled in");
    for (field, text) in [("code", code.as_str()), ("password", "correct horse"), ("again", "correct horse")] {
        browser.type_into(field, text).unwrap();
    }
    browser.press("Set it and log in").unwrap();
}

/// Waits until the daemon says so.
fn comes_to_be(what: &str, condition: impl FnMut() -> bool) {
    wait_until(what, PATIENCE, condition).unwrap();
}

#[test]
fn who_attacks_is_blocked_unblocked_allowed_and_judged_by_the_buttons_of_the_page() {
    let network = Network::new().unwrap();
    let _nginx = services::nginx(&network.lan).unwrap();
    let daemon = Daemon::start(&network, &Config { mode: "approve", ..Config::default() }).unwrap();
    let browser = Browser::start(&network.lan).unwrap();
    log_in_first(&daemon, &browser);
    browser.reads("Asking first").unwrap();
    browser.reads("Nothing has happened yet.").unwrap();

    let attacker = network.outsider(66).unwrap();
    let address = attacker.address();
    let scan = start_nmap(&attacker.namespace, &format!("-sS -T4 -Pn -p 1-40000 {LAN_HOST}")).unwrap();
    browser.reads("Waiting for you").unwrap();
    drop(scan);
    browser.press(&format!("Block: {address}")).unwrap();
    comes_to_be("it is blocked", || daemon.state_of(&address) == "enforced" && daemon.kernel_blocks(&address));
    assert_eq!(daemon.block_of(&address).unwrap()["actor"], "admin");
    browser.press(&format!("Unblock: {address}")).unwrap();
    comes_to_be("it is free", || daemon.state_of(&address).is_null() && !daemon.kernel_blocks(&address));

    browser.press("Wrong: alert 1").unwrap();
    browser.reads("admin says: benign").unwrap();
    browser.press("Take it back: alert 1").unwrap();
    browser.press("Right: alert 1").unwrap();
    browser.reads("admin says: scan").unwrap();
    browser.press("why?").unwrap();
    browser.reads("distinct port").unwrap();
    browser.open(&format!("http://{BOX}:8080/")).unwrap();

    browser.press("stop attackers").unwrap();
    comes_to_be("it enforces", || daemon.status().unwrap()["mode"] == "enforce");
    browser.reads("Protecting").unwrap();
    // Done elsewhere: the page shows it by itself.
    let blocked = daemon.command(&["block", &address]).unwrap();
    assert!(blocked.success(), "{}", blocked.stderr);
    browser.press(&format!("Allow for a day: {address}")).unwrap();
    browser.reads("Allowed for a while").unwrap();
    assert!(daemon.block_of(&address).is_none());
    browser.press(&format!("No longer: {address}")).unwrap();
    comes_to_be("it can be blocked", || daemon.command(&["block", &address]).unwrap().success());
    assert_eq!(browser.complaints().unwrap(), [""; 0]);
}

#[test]
fn a_pause_and_log_ins_are_as_the_page_says() {
    let network = Network::new().unwrap();
    let daemon = Daemon::start(&network, &Config::default()).unwrap();
    let browser = Browser::start(&network.lan).unwrap();
    log_in_first(&daemon, &browser);
    browser.reads("Protecting").unwrap();
    browser.press("Stop nothing for 10 min").unwrap();
    browser.reads("Pausing").unwrap();
    assert!(daemon.status().unwrap()["paused_left_s"].as_u64() > Some(500));
    browser.press("Stop attackers again").unwrap();
    browser.reads("Protecting").unwrap();
    assert!(daemon.status().unwrap()["paused_left_s"].is_null());

    browser.press("Log out").unwrap();
    let refused = "That name and password do not belong together.";
    for (password, word) in [("correct hose", refused), ("correct horse", "Nobody is blocked.")] {
        browser.type_into("password", password).unwrap();
        browser.press("Log in").unwrap();
        browser.reads(word).unwrap();
    }
    // The session ends elsewhere: the page that is open asks for the log-in anew.
    daemon.set_password("battery staple").unwrap();
    browser.reads("Password").unwrap();
    assert_eq!(browser.complaints().unwrap(), [""; 0]);
}
