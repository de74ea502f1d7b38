//! Batching, pruning, and what happens while the disk takes nothing.

use super::super::Store;
use super::super::test_directory::TestDirectory;
use super::super::tests::{alert, at, audit, block};
use super::*;
use traffic::features::ThreatClass;

fn store(directory: &TestDirectory) -> Store {
    Store::open(directory.path(), at(0)).unwrap().store
}

fn committer(store: &Store) -> Committer {
    Committer::new(Connection::open(store.path()).unwrap(), Keep::MANY, Arc::new(Shared::default()))
}

#[test]
fn nothing_is_lost_when_the_writer_is_dropped() {
    let directory = TestDirectory::new("drop");
    let store = store(&directory);
    let writer = store.writer(Keep::MANY).unwrap();
    for number in 0..700 {
        writer.send(alert(number)).unwrap();
    }
    drop(writer);
    assert_eq!(store.newest_alerts(1_000).unwrap().len(), 700);
}

#[test]
fn a_burst_beyond_the_queue_is_kept_or_counted() {
    let directory = TestDirectory::new("burst");
    let store = store(&directory);
    let writer = store.writer(Keep::MANY).unwrap();
    let refused = (0..20_000).filter(|number| writer.send(alert(*number)).is_err()).count();
    writer.flush().unwrap();
    assert!(writer.dropped() >= refused as u64);
    let kept = store.newest_alerts(u32::MAX).unwrap().len() as u64;
    assert_eq!(kept + writer.dropped(), 20_000);
}

#[test]
fn a_refused_event_comes_back() {
    let directory = TestDirectory::new("refused");
    let store = store(&directory);
    let mut writer = store.writer(Keep::MANY).unwrap();
    let (queue, _receiver) = sync_channel(0);
    writer.queue = Some(queue);
    let Refused(event) = writer.send(audit(1)).unwrap_err();
    assert_eq!(event, audit(1));
    assert_eq!(writer.dropped(), 1);
}

#[test]
fn alerts_wait_and_changes_do_not() {
    let directory = TestDirectory::new("urgency");
    let mut committer = committer(&store(&directory));
    assert_eq!(committer.next_attempt_in(), None, "nothing waits, so the thread sleeps");
    committer.take(alert(1));
    assert!(!committer.is_due());
    assert!(committer.next_attempt_in().is_some());
    committer.take(Event::Blocked(block("203.0.113.9", 1, 2)));
    assert!(committer.is_due());
    committer.commit();
    assert!(!committer.is_due());
    assert_eq!(committer.next_attempt_in(), None);
}

#[test]
fn a_full_disk_keeps_events_in_memory_until_there_is_room() {
    let directory = TestDirectory::new("full");
    let store = store(&directory);
    let mut committer = committer(&store);
    committer.connection.pragma_update(None, "max_page_count", 12).unwrap();
    for number in 0..600 {
        committer.take(alert(number));
    }
    committer.take(audit(1));
    committer.commit();
    let fault = committer.answer().unwrap_err();
    assert!(fault.contains("the disk is full: make room") && fault.contains("601 of at most"), "{fault}");
    assert_eq!(store.newest_alerts(10).unwrap(), [], "a batch is written whole or not at all");
    assert!(!committer.is_due(), "the next attempt waits, even for changes");
    assert!(committer.next_attempt_in().is_some());

    committer.take(audit(2));
    committer.connection.pragma_update(None, "max_page_count", 100_000).unwrap();
    committer.commit();
    assert_eq!(committer.answer(), Ok(()));
    assert_eq!(store.newest_alerts(1_000).unwrap().len(), 600);
    assert_eq!(store.audit_rows(10).unwrap().len(), 2);
    assert_eq!(committer.shared.dropped.load(Ordering::Relaxed), 0);
}

#[test]
fn what_a_full_disk_crowds_out_is_counted() {
    let directory = TestDirectory::new("crowded");
    let store = store(&directory);
    let mut committer = committer(&store);
    committer.connection.pragma_update(None, "max_page_count", 12).unwrap();
    let more = 10;
    for number in 0..(backlog::CAPACITY + more) as u64 {
        committer.take(alert(number));
    }
    committer.commit();
    assert!(committer.answer().is_err());
    assert_eq!(committer.shared.dropped.load(Ordering::Relaxed), more as u64);
    assert_eq!(committer.backlog.len(), backlog::CAPACITY);
}

#[test]
fn tables_stay_within_their_size_and_the_chain_stays_whole() {
    let directory = TestDirectory::new("prune");
    let store = store(&directory);
    let mut committer = committer(&store);
    committer.keep = Keep { alerts: 100, labelled: 10, blocks: 30, observed: 20, ..Keep::MANY };
    for round in 0..4_u64 {
        for number in round * 500..(round + 1) * 500 {
            committer.take(alert(number));
        }
        for number in 0..20_u64 {
            let address = format!("203.0.113.{}", round * 20 + number);
            committer.take(Event::Blocked(block(&address, number, 1_000 + round * 20 + number)));
        }
        committer.commit();
    }
    let alerts = store.newest_alerts(10_000).unwrap();
    assert_eq!(alerts.len(), 100);
    assert_eq!(alerts.first().map(|alert| alert.time), Some(at(1_999)), "the newest stay");
    let blocks = store.standing_blocks(at(0)).unwrap();
    assert_eq!(blocks.len(), 30);
    assert!(blocks.iter().all(|block| block.until >= at(1_050)), "those that end last stay");
    assert!(matches!(store.verify_audit().unwrap(), super::super::AuditCheck::Whole { rows: 80, .. }));
}

#[test]
fn labelled_alerts_stay_until_there_are_too_many_of_them() {
    let directory = TestDirectory::new("prune-labelled");
    let store = store(&directory);
    let mut committer = committer(&store);
    committer.keep = Keep { alerts: 100, labelled: 10, blocks: 30, observed: 20, ..Keep::MANY };
    let label = |number| Event::Labelled {
        number,
        time: at(number),
        class: Some(ThreatClass::Benign),
        actor: "anna".to_owned(),
    };
    for round in 0..4_u64 {
        for number in round * 500..(round + 1) * 500 {
            committer.take(alert(number));
        }
        (0..5).for_each(|number| committer.take(label(round * 500 + number)));
        committer.commit();
    }
    let labelled: Vec<u64> = store.labelled_alerts().unwrap().iter().map(|alert| alert.number).collect();
    assert_eq!(
        labelled,
        [1_000, 1_001, 1_002, 1_003, 1_004, 1_500, 1_501, 1_502, 1_503, 1_504],
        "the newest labels stay"
    );
    let all = store.newest_alerts(10_000).unwrap();
    assert_eq!(all.len(), 110);
    assert!(all.iter().filter(|alert| alert.label.is_none()).all(|alert| alert.number >= 1_900));
    assert_eq!(store.next_alert().unwrap(), 2_000);
}

#[test]
fn a_pruned_chain_begins_at_its_oldest_row() {
    let directory = TestDirectory::new("prune-audit");
    let store = store(&directory);
    let mut committer = committer(&store);
    committer.keep.audit = 50;
    for round in 0..2_u64 {
        (0..600).for_each(|number| committer.take(audit(round * 600 + number)));
        committer.commit();
    }
    let rows = store.audit_rows(10_000).unwrap();
    assert_eq!((rows.len(), rows.last().map(|row| row.id)), (50, Some(1_151)));
    // The store keeps far more than 50 rows, so that an older row is missing here means that somebody removed it.
    let why = "the rows before it are missing";
    assert_eq!(store.verify_audit().unwrap(), super::super::AuditCheck::Broken { row: 1_151, why });
}
