//! A disk that is really full: a small tmpfs in a mount namespace of its own. The test runs itself again in there.

use std::io::Write as _;
use std::process::Command;

use super::test_directory::TestDirectory;
use super::tests::{alert, at, audit, block};
use super::*;

const INSIDE: &str = "SLUICE_TEST_SMALL_DISK";
const TEST: &str = "store::full_disk_tests::the_daemon_starts_and_forgets_nothing_on_a_full_disk";

#[test]
fn the_daemon_starts_and_forgets_nothing_on_a_full_disk() {
    if let Some(disk) = std::env::var_os(INSIDE) {
        return on_a_small_disk(Path::new(&disk));
    }
    let directory = TestDirectory::new("full-disk");
    let script = format!(
        "mount -t tmpfs -o size=2m tmpfs {0} && exec {1} --exact {TEST} --nocapture",
        directory.path().display(),
        std::env::current_exe().unwrap().display()
    );
    let inside = |command: &str| {
        let mut unshare = Command::new("unshare");
        unshare.args(["--user", "--map-root-user", "--mount", "sh", "-c", command]).env(INSIDE, directory.path());
        unshare.output()
    };
    // Where namespaces are forbidden there is no small disk to be had.
    if !inside("mount -t tmpfs tmpfs /mnt").is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: this machine allows no mount namespaces");
        return;
    }
    let output = inside(&script).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
}

fn fill(disk: &Path) {
    let mut file = std::fs::File::create(disk.join("others")).unwrap();
    for size in [65_536, 4_096] {
        while file.write_all(&vec![0x5a; size]).is_ok() {}
    }
}

fn on_a_small_disk(disk: &Path) {
    let state = disk.join("state");
    let store = Store::open(&state, at(0)).unwrap().store;
    store.set_password("admin", "correct horse", at(0), "local").unwrap();
    let writer = store.writer().unwrap();
    writer.send(Event::Blocked(block("203.0.113.9", 1, 600))).unwrap();
    writer.flush().unwrap();
    drop((writer, store));

    fill(disk);
    let opened = Store::open(&state, at(2)).expect("a full disk does not keep the daemon from starting");
    assert_eq!(opened.set_aside, None, "nor does it pass for a corrupt file");
    let store = opened.store;
    assert_eq!(store.standing_blocks(at(2)).unwrap().len(), 1);
    assert!(store.check_password("admin", "correct horse").unwrap());

    fill(&disk.join("state"));
    let writer = store.writer().unwrap();
    for number in 0..900 {
        writer.send(alert(number)).unwrap();
    }
    writer.send(audit(900)).unwrap();
    assert!(matches!(writer.flush(), Err(WriterError::Fault(_))));
    assert!(writer.fault().unwrap().contains("the disk"));
    assert_eq!(store.standing_blocks(at(3)).unwrap().len(), 1, "what is there can be read all the while");

    std::fs::remove_file(disk.join("others")).unwrap();
    writer.flush().unwrap();
    assert_eq!(writer.fault(), None);
    assert_eq!(writer.dropped(), 0);
    assert_eq!(store.newest_alerts(10_000).unwrap().len(), 900);
    assert!(matches!(store.verify_audit().unwrap(), AuditCheck::Whole { rows: 3, .. }));
    assert!(Store::open(&state, at(4)).is_ok());
    assert!(state.join("sluice.reserve").exists(), "the space is set by again");
}
