//! The registry of models: a signed file is taken in, judges as the shadow, decides once it is pinned, and gives way again, while
//! the daemon runs and over its restarts; and nothing else is taken for a model.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lab::attacks::start_nmap;
use lab::daemon::{Config, Daemon};
use lab::network::{LAN_HOST, Network};
use lab::process::wait_until;
use lab::services;
use model_compiler::json;
use model_compiler::model::{Model, Node, Tree};
use model_compiler::sealed::{SecretKey, seal};
use serde_json::{Value, json};

/// How long something that must happen may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A rule that accuses nobody, in the place of the default ones: the model alone decides.
const NO_RULES: &str =
    "[[rules]]\nname = \"none\"\nenabled = false\nwhen = [\"is_udp > 1\"]\nclass = \"scan\"\nconfidence = 0.8\n";

fn key(seed: u8) -> SecretKey {
    SecretKey::from_random([seed; 32])
}

/// Trusts the key 1.
fn config() -> Config {
    Config { rules: format!("{NO_RULES}\n[model]\nkeys = [\"{}\"]\n", key(1).public()), ..Config::default() }
}

/// The model that is compiled in, under another name.
fn same(name: &str) -> Model {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models");
    let active = fs::read_to_string(models.join("active")).unwrap();
    let text = fs::read_to_string(models.join(active.trim()).join("model.json")).unwrap();
    Model { name: name.to_owned(), ..json::read(&text).unwrap() }
}

/// One that takes everything for harmless.
fn blind() -> Model {
    let model = same("blind");
    let values = model.classes.iter().map(|class| f32::from(u8::from(class.name() == "benign"))).collect();
    Model { trees: vec![Tree { class: None, nodes: vec![Node::Leaf { rows: 1, values }] }], ..model }
}

/// Signs a model into a file of this test.
fn sealed(test: &str, model: &Model, version: u32, key: &SecretKey) -> PathBuf {
    let folder = lab::cleanup::work_folder().unwrap().join(test);
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join(format!("{}-{version}.model", model.name));
    fs::write(&path, seal(model, version, 1_800_000_000, key).unwrap()).unwrap();
    path
}

fn ask(daemon: &Daemon<'_>, words: &[&str]) -> String {
    let finished = daemon.command(words).unwrap();
    assert!(finished.success(), "{words:?}: {}{}", finished.stderr, daemon.log());
    finished.stdout
}

fn refused(daemon: &Daemon<'_>, words: &[&str]) -> String {
    let finished = daemon.command(words).unwrap();
    assert_eq!((finished.code(), finished.stdout.as_str()), (Some(1), ""), "{words:?}");
    finished.stderr
}

/// A host outside that scans; its address, and whether it was blocked by the time that the scan was over.
fn scanned(network: &Network, daemon: &Daemon<'_>, number: u8) -> (String, bool) {
    let attacker = network.outsider(number).unwrap();
    start_nmap(&attacker.namespace, &format!("-sS -T4 -Pn -p 1-3000 {LAN_HOST}")).unwrap().finish(PATIENCE);
    let address = attacker.address();
    let is_blocked = daemon.block_of(&address).is_some();
    (address, is_blocked)
}

fn models(daemon: &Daemon<'_>) -> Value {
    daemon.status().unwrap()["models"].clone()
}

fn decides(daemon: &Daemon<'_>) -> String {
    daemon.status().unwrap()["model"].as_str().unwrap().to_owned()
}

#[test]
fn a_model_judges_as_the_shadow_then_decides_and_gives_way_again() {
    let network = Network::new().unwrap();
    let _nginx = services::nginx(&network.lan).unwrap();
    let mut daemon = Daemon::start(&network, &config()).unwrap();
    let built_in = decides(&daemon);
    let file = sealed("models-shadow", &blind(), 1, &key(1));

    let told = ask(&daemon, &["model", "load", file.to_str().unwrap()]);
    assert_eq!(told, "blind@1 judges beside the active model, and decides nothing.\n");
    assert!(scanned(&network, &daemon, 61).1, "the shadow decides nothing");
    let differs = || {
        let models = models(&daemon);
        let rows = models["disagreements"].as_array().unwrap();
        rows.iter().any(|row| row["active"] == "scan" && row["shadow"] == "benign" && row["flows"].as_u64() > Some(0))
    };
    wait_until("the difference is counted", PATIENCE, differs).unwrap();
    let listed = ask(&daemon, &["model", "list"]);
    for words in
        ["blind@1 judges beside it and decides nothing", "taken for scan, by blind@1 for benign", "  blind@1 ("]
    {
        assert!(listed.contains(words), "no {words:?} in\n{listed}");
    }
    assert!(ask(&daemon, &["status"]).contains("blind@1 judges beside it"));

    ask(&daemon, &["model", "pin", "blind@1"]);
    assert_eq!((decides(&daemon).as_str(), &models(&daemon)["shadow"]), ("blind@1", &Value::Null));
    wait_until("the path has it", PATIENCE, || !scanned(&network, &daemon, 62).1).unwrap();
    daemon.kill();
    daemon.start_again().unwrap();
    assert_eq!(decides(&daemon), "blind@1", "it is kept over a restart");
    assert!(!scanned(&network, &daemon, 63).1);

    ask(&daemon, &["model", "rollback"]);
    assert_eq!((decides(&daemon), &models(&daemon)["before"]), (built_in.clone(), &json!("blind@1")));
    wait_until("the path has it", PATIENCE, || scanned(&network, &daemon, 64).1).unwrap();
    daemon.stop().unwrap();
    daemon.start_again().unwrap();
    assert_eq!(decides(&daemon), built_in);

    let audit = ask(&daemon, &["audit"]);
    for line in [
        format!("local: took the model blind@1 in from {}", file.display()),
        String::from("local: set the shadow model to blind@1"),
        String::from("local: set the active model to blind@1"),
        String::from("local: set the active model to built-in"),
    ] {
        assert!(audit.contains(&line), "no {line:?} in\n{audit}");
    }
}

#[test]
fn traffic_unlike_what_the_model_learnt_is_told_until_the_alarm_is_set_higher() {
    let network = Network::beside_others().unwrap();
    let _nginx = services::nginx(&network.wan).unwrap();
    // Less than any household differs from any other.
    let rules = format!("{NO_RULES}\n[model]\ndrift_alarm = 0.01\n");
    let daemon = Daemon::start(&network, &Config { rules, ..Config::default() }).unwrap();
    let told = || daemon.faults().unwrap().contains("traffic differs from what the model learnt: ");
    assert!(!told());
    // Of a second 32 flows count, and 2,000 must: this takes a minute.
    let line = "curl -s --fail -m 10 -H Connection:close -Z --parallel-max 4 -o /dev/null http://203.0.113.1[0-3]/icon.svg?[1-8]";
    wait_until("the difference is told", PATIENCE * 4, || {
        network.lan.run_within(line, PATIENCE).unwrap();
        std::thread::sleep(Duration::from_millis(800));
        told()
    })
    .unwrap();
    let status = daemon.status().unwrap();
    let drift = &status["models"]["drift"];
    assert!(drift["flows"].as_u64().unwrap() >= 2_000, "{drift}");
    let worst = drift["features"][0]["feature"].as_str().unwrap();
    assert!(status["faults"].to_string().contains(&format!("learnt: {worst} (")), "{}", status["faults"]);
    assert_eq!(status["blocks"], json!([]), "it is told, and nobody is blocked for it");
    assert!(ask(&daemon, &["model", "list"]).contains(worst));

    daemon.edit("drift_alarm = 0.01", "drift_alarm = 100").unwrap();
    ask(&daemon, &["reload"]);
    wait_until("it is told no longer", PATIENCE, || !told()).unwrap();
}

#[test]
fn what_nobody_trusted_has_signed_is_refused_by_name_and_changes_nothing() {
    let network = Network::new().unwrap();
    let daemon = Daemon::start(&network, &config()).unwrap();
    let foreign = sealed("models-refused", &same("foreign"), 1, &key(2));
    let tampered = sealed("models-refused", &same("tampered"), 1, &key(1));
    let mut bytes = fs::read(&tampered).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&tampered, bytes).unwrap();

    let load = |file: &Path| refused(&daemon, &["model", "load", file.to_str().unwrap()]);
    let told = load(&foreign);
    assert!(told.contains("foreign-1.model: it is signed with the key"), "{told}");
    assert!(told.contains(&key(2).public().to_string()) && told.contains("model.keys"), "{told}");
    let told = load(&tampered);
    assert!(told.contains("tampered-1.model: its signature does not hold"), "{told}");
    assert!(load(Path::new("/nowhere.model")).contains("/nowhere.model: cannot read it"));
    assert!(refused(&daemon, &["model", "pin", "foreign@1"]).contains("`sluice model load FILE`"));
    assert!(refused(&daemon, &["model", "rollback"]).contains("no other model has decided before"));
    assert_eq!((&models(&daemon)["stored"], &models(&daemon)["shadow"]), (&json!([]), &Value::Null));
    assert_eq!(daemon.faults().unwrap().matches("model").count(), 0, "{}", daemon.faults().unwrap());

    daemon.edit(&key(1).public().to_string(), &key(2).public().to_string()).unwrap();
    ask(&daemon, &["reload"]);
    ask(&daemon, &["model", "load", foreign.to_str().unwrap()]);
    assert_eq!(models(&daemon)["shadow"], "foreign@1");
    assert!(refused(&daemon, &["model", "remove", "foreign@1"]).contains("foreign@1 is in use"));
    ask(&daemon, &["model", "shadow", "off"]);
    ask(&daemon, &["model", "remove", "foreign@1"]);
    assert_eq!(models(&daemon)["stored"], json!([]));
}

#[test]
fn a_model_that_cannot_be_read_gives_way_to_the_built_in_one_and_the_configuration_wins_when_it_changes() {
    let network = Network::new().unwrap();
    let mut daemon = Daemon::start(&network, &config()).unwrap();
    let built_in = decides(&daemon);
    for version in [1, 2] {
        let file = sealed("models-gone", &same("same"), version, &key(1));
        ask(&daemon, &["model", "load", file.to_str().unwrap()]);
    }
    ask(&daemon, &["model", "pin", "same@1"]);
    daemon.edit("[model]", "[model]\nactive = \"same@2\"").unwrap();
    ask(&daemon, &["reload"]);
    assert_eq!((decides(&daemon).as_str(), &models(&daemon)["before"]), ("same@2", &json!("same@1")));
    ask(&daemon, &["model", "pin", "same@1"]);

    daemon.stop().unwrap();
    let stored = daemon.config_file().with_file_name("state").join("models/same-1.model");
    let aside = stored.with_extension("aside");
    fs::rename(&stored, &aside).unwrap();
    daemon.start_again().unwrap();
    assert_eq!(decides(&daemon), built_in, "it starts all the same");
    let fault = format!(
        "the built-in model decides in the place of same@1: same@1 is not in the registry ({}",
        stored.display()
    );
    assert!(daemon.faults().unwrap().contains(&fault), "{}", daemon.faults().unwrap());
    fs::rename(&aside, &stored).unwrap();
    ask(&daemon, &["reload"]);
    assert_eq!(decides(&daemon), "same@1", "it is there again");
    assert!(!daemon.faults().unwrap().contains("same@1"), "{}", daemon.faults().unwrap());

    // The key is no longer trusted.
    daemon.edit(&key(1).public().to_string(), &key(2).public().to_string()).unwrap();
    ask(&daemon, &["reload"]);
    assert_eq!(decides(&daemon), built_in);
    assert!(
        daemon.faults().unwrap().contains("same-1.model: it is signed with the key"),
        "{}",
        daemon.faults().unwrap()
    );
}
