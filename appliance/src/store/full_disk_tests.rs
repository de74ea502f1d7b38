//! A disk that others have filled.

use std::io::Write as _;
use std::path::Path;

use super::small_disk::on_a_small_disk;
use super::tests::{alert, at, audit, block};
use super::*;

#[test]
fn the_daemon_starts_and_forgets_nothing_on_a_full_disk() {
    const TEST: &str = "store::full_disk_tests::the_daemon_starts_and_forgets_nothing_on_a_full_disk";
    on_a_small_disk(TEST, 2_048, starts_and_forgets_nothing);
}

fn fill(disk: &Path) {
    let mut file = std::fs::File::create(disk.join("others")).unwrap();
    for size in [65_536, 4_096] {
        while file.write_all(&vec![0x5a; size]).is_ok() {}
    }
}

fn starts_and_forgets_nothing(disk: &Path) {
    let state = disk.join("state");
    let store = Store::open(&state, at(0)).unwrap().store;
    store.set_password("admin", "correct horse", at(0), "local").unwrap();
    let writer = store.writer(Keep::MANY).unwrap();
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
    let writer = store.writer(Keep::MANY).unwrap();
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
