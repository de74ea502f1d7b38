//! Reading the configuration again while the daemon runs.

use std::fs;
use std::net::TcpListener;
use std::time::Duration;

use lab::benign::{PingStream, fetch, reaches_the_lan};
use lab::daemon::{Config, Daemon};
use lab::network::{BOX, LAN_HOST, Network};
use lab::process::{Finished, wait_until};
use lab::services;
use nix::sys::signal::Signal;

/// How long something that must happen may take.
const PATIENCE: Duration = Duration::from_secs(60);

fn reload(daemon: &Daemon<'_>) -> Finished {
    daemon.command(&["reload"]).unwrap()
}

/// It is taken over, and the command says what.
fn taken_over(daemon: &Daemon<'_>, told: &str) {
    let finished = reload(daemon);
    assert_eq!((finished.code(), finished.stderr.as_str()), (Some(0), ""));
    assert!(finished.stdout.contains(told), "{told:?} is not in {:?}", finished.stdout);
}

fn mode(daemon: &Daemon<'_>) -> String {
    daemon.status().unwrap()["mode"].as_str().unwrap().to_owned()
}

#[test]
fn a_mistake_leaves_everything_as_it_was_and_is_told_until_the_next_good_reload() {
    let network = Network::new().unwrap();
    let daemon = Daemon::start(&network, &Config::default()).unwrap();
    // What is right of it does not hold either.
    daemon.edit("mode = \"enforce\"", "mode = \"observe\"").unwrap();
    daemon.edit("ladder_s = [600]", "lader_s = [600]").unwrap();
    let file = daemon.config_file();
    let text = fs::read_to_string(&file).unwrap();
    let line = 1 + text.lines().position(|line| line.starts_with("lader_s")).unwrap();
    let place = format!("{}:{line}: unknown key `lader_s`; did you mean `ladder_s`?", file.display());
    let finished = reload(&daemon);
    assert_eq!((finished.code(), finished.stdout.as_str()), (Some(2), ""));
    assert!(finished.stderr.starts_with(&format!("sluice: {place}")), "{}", finished.stderr);
    daemon.signal(Signal::SIGHUP);
    let told = || daemon.log().matches(&place).count();
    wait_until("the log tells both", PATIENCE, || told() == 2).unwrap();
    wait_until("the page tells it", PATIENCE, || daemon.faults().unwrap().contains("did you mean `ladder_s`?"))
        .unwrap();
    assert_eq!(mode(&daemon), "enforce");
    daemon.edit("lader_s = [600]", "ladder_s = [600").unwrap();
    let finished = reload(&daemon);
    assert_eq!(finished.code(), Some(2), "{}", finished.stdout);
    assert!(finished.stderr.contains("sluice.toml:1"), "{}", finished.stderr);

    daemon.edit("[600", "[600]").unwrap();
    daemon.signal(Signal::SIGHUP);
    wait_until("it is taken over", PATIENCE, || mode(&daemon) == "observe").unwrap();
    assert!(!daemon.faults().unwrap().contains("ladder_s"), "{}", daemon.faults().unwrap());
    taken_over(&daemon, "nothing has changed");
    let audit = daemon.command(&["audit"]).unwrap().stdout;
    for (actor, what) in [("SIGHUP", "changed mode"), ("local", "changed nothing")] {
        let told = format!("reloaded the configuration: {what}");
        assert!(audit.lines().any(|line| line.contains(actor) && line.contains(&told)), "{told:?} is not in {audit}");
    }
}

#[test]
fn what_can_hold_at_once_does_and_the_rest_is_named() {
    let network = Network::new().unwrap();
    let _nginx = services::nginx(&network.lan).unwrap();
    let daemon = Daemon::start(&network, &Config::default()).unwrap();
    let offender = network.outsider(66).unwrap();
    assert!(daemon.command(&["block", &offender.address()]).unwrap().success());
    assert!(!reaches_the_lan(&offender.namespace));

    daemon.edit("allow = []", &format!("max_blocks = 2\nallow = [\"{}\"]", offender.address())).unwrap();
    daemon.edit("listen_port = 8080", "listen_port = 8081\nhost_names = [\"sluice.lan\"]").unwrap();
    daemon.edit("profile = \"default\"", "profile = \"small\"").unwrap();
    let expected = "what has changed holds: policy.allow, policy.max_blocks, web.listen_port, web.host_names.\n\
                    Not before the next start (`sluice restart`): memory.";
    taken_over(&daemon, expected);
    fetch(&offender.namespace, LAN_HOST, "api.json", PATIENCE).unwrap();
    assert!(daemon.block_of(&offender.address()).is_none());
    let page = |port: u16, host: &str| {
        let line = format!("curl -s --fail -m 5 -o /dev/null -H Host:{host} http://{BOX}:{port}/");
        network.lan.run_within(&line, PATIENCE).is_ok()
    };
    wait_until("the page is at its new port", PATIENCE, || page(8081, "sluice.lan")).unwrap();
    assert!(!page(8080, BOX) && !page(8081, "other.lan"));

    let block = |number: u8| daemon.command(&["block", &format!("203.0.113.{number}")]).unwrap().success();
    assert!(block(71) && block(72) && !block(73));
    daemon.edit("max_blocks = 2", "max_blocks = 20000").unwrap();
    taken_over(&daemon, "holds: policy.max_blocks.");
    assert!(block(73) && daemon.kernel_blocks("203.0.113.73") && daemon.kernel_table().contains("size 20000"));
}

#[test]
fn a_new_rule_judges_what_comes_next() {
    let network = Network::new().unwrap();
    let daemon = Daemon::start(&network, &Config { mode: "observe", ..Config::default() }).unwrap();
    let offender = network.outsider(66).unwrap();
    let alerts = || daemon.status().unwrap()["alerts"].to_string();
    let accused = || alerts().contains("any echo");
    let pings = PingStream::start(&offender.namespace, LAN_HOST, 100).unwrap();
    wait_until("it is passed", PATIENCE, || pings.answers() > 10).unwrap();
    assert!(!accused());
    let rule = "[[rules]]\nname = \"any echo\"\nwhen = [\"is_icmp = 1\"]\nclass = \"scan\"\nconfidence = 0.95\n";
    daemon.edit("[memory]\nprofile = \"default\"\n", &format!("[memory]\nprofile = \"default\"\n{rule}")).unwrap();
    daemon.edit("profile = \"balanced\"", "profile = \"strict\"").unwrap();
    taken_over(&daemon, "holds: policy.profile, rules.");
    wait_until("the rule accuses", PATIENCE, accused).unwrap();
    pings.stop().unwrap();
}

#[test]
fn a_mode_that_was_set_while_the_box_runs_holds_until_the_file_says_another() {
    let network = Network::new().unwrap();
    let mut daemon = Daemon::start(&network, &Config::default()).unwrap();
    assert!(daemon.command(&["mode", "observe"]).unwrap().success());
    daemon.edit("profile = \"balanced\"", "profile = \"lenient\"").unwrap();
    taken_over(&daemon, "holds: policy.profile.");
    assert_eq!((mode(&daemon).as_str(), daemon.kernel_table().as_str()), ("observe", ""));
    daemon.edit("mode = \"enforce\"", "mode = \"approve\"").unwrap();
    taken_over(&daemon, "holds: mode.");
    assert_eq!(mode(&daemon), "approve");
    assert_ne!(daemon.kernel_table(), "");
    // What was set before the file said something else does not come back.
    for configured in ["enforce", "approve"] {
        daemon.stop().unwrap();
        daemon.edit("mode = ", &format!("mode = \"{configured}\" # ")).unwrap();
        daemon.start_again().unwrap();
        assert_eq!(mode(&daemon), configured);
    }
}

#[test]
fn a_page_whose_port_is_taken_is_told_by_the_command_and_until_it_opens() {
    let network = Network::new().unwrap();
    let daemon = Daemon::start(&network, &Config::default()).unwrap();
    let status = || daemon.command(&["status"]).unwrap().stdout;
    wait_until("the page is told", PATIENCE, || status().contains(&format!("\npage http://{BOX}:8080/\n"))).unwrap();
    let taken = network.r#box.enter(|| TcpListener::bind((BOX, 8081))).unwrap().unwrap();
    daemon.edit("listen_port = 8080", "listen_port = 8081").unwrap();
    let told = format!("the page is not open: another program listens at {BOX}:8081; set another web.listen_port");
    taken_over(&daemon, &format!("But {told}"));
    wait_until("it is a fault", PATIENCE, || daemon.faults().unwrap().contains(&told)).unwrap();
    assert!(status().contains("\nno page is open\n"), "{}", status());
    assert_eq!(daemon.status().unwrap()["light"], "fault");
    drop(taken);
    wait_until("the page opens", PATIENCE, || status().contains(&format!("\npage http://{BOX}:8081/\n"))).unwrap();
    assert!(!daemon.faults().unwrap().contains("the page is not open"));
}
