//! A mistake in the configuration is refused with file, line, key and remedy, and exit status 2.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use lab::daemon::{Config, sluice, sluice_program};
use lab::process::{Finished, SHORT};
use nix::sys::signal::Signal;

/// Writes a configuration file of that name.
fn file(name: &str, text: &str) -> PathBuf {
    let file = lab::cleanup::work_folder().unwrap().join(name);
    fs::write(&file, text).unwrap();
    file
}

fn check(file: &Path) -> Finished {
    sluice(&["check-config".as_ref(), file.as_os_str()], SHORT).unwrap()
}

/// The mistake is told in one line that holds all of `told`, both by `check-config` and by `run`.
fn assert_refused(name: &str, text: &str, told: &[&str]) {
    let file = file(name, text);
    let run = sluice(&["run".as_ref(), "--config".as_ref(), file.as_os_str()], SHORT).unwrap();
    for finished in [check(&file), run] {
        assert_eq!(finished.code(), Some(2), "{name}: {}{}", finished.stdout, finished.stderr);
        for part in told {
            assert!(finished.stderr.contains(part), "{name}: {part:?} is not in {:?}", finished.stderr);
        }
        assert_eq!(finished.stderr.lines().count(), 1, "{name}: {:?}", finished.stderr);
    }
}

#[test]
fn who_reads_no_further_hears_of_no_panic() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let file = file("nobody-reads.toml", "");
    let mut check = Command::new(sluice_program().unwrap());
    let ended = check.arg("check-config").arg(&file).stdout(writer).output().unwrap();
    assert_eq!((ended.status.signal(), ended.stderr), (Some(Signal::SIGPIPE as i32), Vec::new()));
}

#[test]
fn an_unknown_key_is_refused_with_a_suggestion() {
    let text = "mode = \"enforce\"\n\n[policy]\nalow = [\"198.51.100.10\"]\n";
    assert_refused("unknown-key.toml", text, &["unknown-key.toml:4", "alow", "did you mean `allow`?"]);
}

#[test]
fn an_unknown_value_is_refused_with_the_known_ones() {
    assert_refused("mode.toml", "mode = \"block\"\n", &["mode.toml:1", "mode", "observe", "enforce"]);
    let text = "[policy]\nprofile = \"strikt\"\n";
    assert_refused("profile.toml", text, &["profile.toml:2", "profile", "strict"]);
}

#[test]
fn an_impossible_address_is_refused() {
    let text = "[policy]\nallow = [\"198.51.100.300\"]\n";
    assert_refused("address.toml", text, &["address.toml:2", "allow", "198.51.100.300"]);
}

#[test]
fn a_wrong_type_is_refused() {
    let text = "[policy]\nladder_s = \"ten minutes\"\n";
    assert_refused("type.toml", text, &["type.toml:2", "ladder_s"]);
}

#[test]
fn what_is_no_toml_is_refused_with_its_line() {
    assert_refused("broken.toml", "mode = \"enforce\"\n[policy\n", &["broken.toml:2"]);
}

#[test]
fn one_port_twice_is_refused() {
    let text = "[bridge]\nports = [\"eth0\", \"eth0\"]\n";
    assert_refused("ports.toml", text, &["ports.toml:2", "bridge.ports"]);
}

#[test]
fn a_gateway_that_is_no_neighbour_is_refused() {
    let text = "[bridge]\naddresses = [\"198.51.100.2/24\"]\ngateway = [\"203.0.113.1\"]\n";
    assert_refused("gateway.toml", text, &["gateway.toml:3", "bridge.gateway", "203.0.113.1", "198.51.100.0/24"]);
}

/// The scripts of an image read these lines.
#[test]
fn the_way_out_is_told() {
    let text = "[bridge]\naddresses = [\"198.51.100.2/24\", \"2001:db8:1::2/64\"]\ngateway = [\"198.51.100.1\"]\n\
                name_servers = [\"198.51.100.1\", \"203.0.113.53\"]\n";
    let told = check(&file("way-out.toml", text)).stdout;
    assert!(told.contains("\n  bridge br0 of eth0 and eth1, addresses 198.51.100.2/24, 2001:db8:1::2/64\n"), "{told}");
    assert!(told.contains("\n  way out by 198.51.100.1, name servers 198.51.100.1, 203.0.113.53\n"), "{told}");
}

#[test]
fn a_missing_file_is_named() {
    let finished = sluice(&["check-config", "/nowhere/sluice.toml"], SHORT).unwrap();
    assert_eq!(finished.code(), Some(2));
    let told = "/nowhere/sluice.toml: cannot read the configuration: ";
    assert!(
        finished.stderr.contains(told) && finished.stderr.contains("another file with --config"),
        "{}",
        finished.stderr
    );
    let named = sluice(&["check-config", "--config", "/nowhere/sluice.toml"], SHORT).unwrap();
    assert_eq!((named.code(), named.stderr), (Some(2), finished.stderr), "as the message says");
}

#[test]
fn what_is_no_text_file_is_refused_with_the_remedy() {
    let folder = lab::cleanup::work_folder().unwrap();
    let told = check(&folder).stderr;
    assert!(told.contains("name a file in it with --config"), "{told}");
    let latin = folder.join("latin1.toml");
    fs::write(&latin, b"mode = \"observe\"\n# f\xfcr zuhause\n").unwrap();
    let told = check(&latin).stderr;
    assert!(told.contains("latin1.toml:2: byte 4 of the line is no UTF-8; save the file as text in UTF-8"), "{told}");
}

#[test]
fn a_good_file_is_accepted() {
    let folder = lab::cleanup::work_folder().unwrap();
    let finished = check(&file("good.toml", &Config::default().text(&folder)));
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
    let missing = "\n  warning: no interface port0 here; interfaces: ";
    assert!(finished.stdout.contains(missing), "the file may be for another machine: {}", finished.stdout);
    let finished = check(&file("empty.toml", ""));
    assert_eq!(finished.code(), Some(0), "every key has a default: {}", finished.stderr);
}

#[test]
fn a_model_that_cannot_be_used_is_told_with_the_remedy() {
    let folder = lab::cleanup::work_folder().unwrap();
    let rules = String::from("[model]\nactive = \"forest@3\"\nshadow = \"forest@4\"\n");
    let finished = check(&file("models.toml", &Config { rules, ..Config::default() }.text(&folder)));
    assert_eq!(finished.code(), Some(0), "the daemon starts all the same: {}", finished.stderr);
    for told in [
        "models.toml: no mistake, but not all of it can be used (2 faults)\n",
        "  fault: the built-in model decides in the place of forest@3: forest@3 is not in the registry (",
        "  fault: forest@4 does not judge beside the active model: forest@4 is not in the registry (",
        "`sluice model load FILE`",
    ] {
        assert!(finished.stdout.contains(told), "{told:?} is not in {}", finished.stdout);
    }
}
