//! Alerts in the store: what is kept of them, how they are found, and how much they take.

use std::sync::Arc;

use super::test_directory::TestDirectory;
use super::tests::{alert, alert_of, at, block, meddle, open, write_all};
use super::*;
use crate::policy::{Accuser, Grounds, Label, Vector};

fn numbers(alerts: &[Alert]) -> Vec<u64> {
    alerts.iter().map(|alert| alert.number).collect()
}

/// The newest two about somebody.
fn about(store: &Store, whom: &str) -> Vec<u64> {
    numbers(&store.alerts_about(whom.parse().unwrap(), 2).unwrap())
}

#[test]
fn an_alert_keeps_what_it_was_decided_from_and_what_people_say_of_it() {
    let directory = TestDirectory::new("grounds");
    let rule =
        |name: &str, conditions: &str| Accuser::Rule { name: name.to_owned(), conditions: conditions.to_owned() };
    let mut alerts = vec![
        alert_of(Accuser::Model("forest".to_owned()), 1),
        alert_of(rule("many \"ports\"", "src_ports_60s > 20; is_udp = 0"), 2),
        alert_of(Accuser::List { name: "known".to_owned(), began: true }, 3),
        alert_of(Accuser::List { name: "known".to_owned(), began: false }, 4),
        alert_of(Accuser::Domain { list: "bad".to_owned(), asked: "…c2.example".to_owned() }, 5),
    ];
    let domain = Grounds { vector: Vector::Missing, ..alerts[4].grounds.as_deref().unwrap().clone() };
    alerts[4].grounds = Some(Arc::new(domain));
    let label = |number, class| Event::Labelled { number, time: at(9), class, actor: "anna".to_owned() };
    let (flood, benign) = (Some(ThreatClass::Flood), Some(ThreatClass::Benign));
    let labels = [label(1, flood), label(2, benign), label(1, None), label(99, benign)];
    let store = open(&directory);
    write_all(&store, alerts.iter().cloned().map(Event::Alert).chain(labels));
    alerts[1].label = Some(Arc::new(Label { class: ThreatClass::Benign, time: at(9), actor: "anna".to_owned() }));
    drop(store);
    let store = open(&directory);
    for alert in &alerts {
        assert_eq!(store.alert(alert.number).unwrap().as_ref(), Some(alert));
    }
    assert_eq!(store.labelled_alerts().unwrap(), [alerts[1].clone()]);
    assert_eq!((store.alert(6).unwrap(), store.next_alert().unwrap()), (None, 6));
    let said: Vec<String> = store.audit_rows(4).unwrap().into_iter().rev().map(|row| row.what).collect();
    assert_eq!(
        said,
        ["labelled alert 1 flood", "labelled alert 2 benign", "took the label of alert 1 back"],
        "nothing is said of the alert 99, which is not there"
    );
}

#[test]
fn an_odd_row_keeps_no_other_from_being_read() {
    let directory = TestDirectory::new("odd");
    let store = open(&directory);
    write_all(&store, (1..=12).map(alert));
    write_all(&store, [8, 9].map(|last| Event::Blocked(block(&format!("203.0.113.{last}"), 1, 600))));
    meddle(
        &store,
        "UPDATE alerts SET protocol = NULL WHERE id = 1; UPDATE alerts SET protocol = 999 WHERE id = 2; \
         UPDATE alerts SET proven = NULL WHERE id = 3; UPDATE alerts SET offender = 'nobody' WHERE id = 4; \
         UPDATE alerts SET flow_packets = NULL WHERE id = 5; UPDATE alerts SET flow_packets = -1 WHERE id = 6; \
         UPDATE alerts SET port = 65536 WHERE id = 7; UPDATE alerts SET label = 'weather' WHERE id = 8; \
         UPDATE alerts SET because = CAST(x'ff' AS TEXT) WHERE id = 9; UPDATE alerts SET accuser = 'star' WHERE id = 10; \
         UPDATE alerts SET id = -9 WHERE id = 11; UPDATE blocks SET offence = -1 WHERE subject = '203.0.113.8'",
    );
    assert_eq!(numbers(&store.newest_alerts(12).unwrap()), [12]);
    assert_eq!((store.alert(7).unwrap(), store.next_alert().unwrap()), (None, 13));
    assert_eq!(numbers(&store.labelled_alerts().unwrap()), [0; 0]);
    let blocks = |blocks: Vec<BlockRecord>| blocks.iter().map(|block| block.subject.to_string()).collect::<Vec<_>>();
    assert_eq!(blocks(store.standing_blocks(at(2)).unwrap()), ["203.0.113.9"]);
    assert_eq!(store.past_blocks(at(9_000)).unwrap().len(), 1);
}

#[test]
fn alerts_are_found_by_the_device_and_by_any_of_its_addresses() {
    let directory = TestDirectory::new("about");
    let store = open(&directory);
    let mut of_ipv6 = alert_of(Accuser::Model("forest".to_owned()), 4);
    of_ipv6.source = "2001:db8:9::1".parse().unwrap();
    let offender = Subject::of(of_ipv6.source);
    of_ipv6.grounds = Some(Arc::new(Grounds { offender, ..of_ipv6.grounds.as_deref().unwrap().clone() }));
    write_all(&store, [alert(1), alert(2), alert(3), Event::Alert(of_ipv6)]);
    assert_eq!(about(&store, "203.0.113.9"), [3, 2]);
    assert_eq!(about(&store, "02:00:5e:10:00:07"), [3, 2]);
    assert_eq!(about(&store, "2001:db8:9::77"), [4]);
    assert_eq!(about(&store, "[2001:db8::7]:22/tcp"), [4, 3], "the service that it was done to");
    assert!(about(&store, "203.0.113.8").is_empty());
}

#[test]
fn an_alert_about_somebody_is_found_behind_thousands_of_others() {
    let directory = TestDirectory::new("behind");
    let store = open(&directory);
    // Of a device that sends from the /64 too, so that only the source tells.
    let mut first = alert_of(Accuser::Model("forest".to_owned()), 1);
    first.source = "2001:db8:9::1".parse().unwrap();
    let others = u64::from(2 * PIECE_ROWS);
    write_all(&store, core::iter::once(Event::Alert(first)).chain((2..others).map(alert)));
    meddle(&store, &format!("UPDATE alerts SET port = -1 WHERE id BETWEEN 2 AND {}", others - 2));
    assert_eq!(about(&store, "2001:db8:9::77"), [1]);
    assert_eq!(about(&store, "02:00:5e:10:00:07"), [others - 1, 1], "odd rows hide none behind them");
}

#[test]
fn features_of_another_schema_are_told_and_not_misread() {
    let directory = TestDirectory::new("schema");
    let store = open(&directory);
    write_all(&store, [alert(1), alert(2)]);
    meddle(&store, "UPDATE alerts SET schema = -2 WHERE id = 1; UPDATE alerts SET features = x'0000803f' WHERE id = 2");
    let vector = |number| store.alert(number).unwrap().unwrap().grounds.unwrap().vector.clone();
    assert_eq!(vector(1), Vector::OfOtherSchema(u64::MAX - 1));
    assert!(matches!(vector(2), Vector::OfOtherSchema(_)), "too short to be a vector");
}

/// What `store/alerts.rs` says of its rows, with a reason as long as those of the model are.
#[test]
fn an_alert_takes_less_than_a_kibibyte_and_one_by_itself_two_pages() {
    const BECAUSE: &str = "47 ports on 1 host tried in 60 s, 96 % unanswered, 4 % refused (model forest, scan 0.981: \
        96 % of the source's flows in 60 s that nobody answered in time (> 56.1 %); 47 distinct ports tried by the source in 60 s (> 12.5); \
        100 % of the TCP flows to the destination port in 2 s without a completed handshake (> 25 %); 49 flows begun by the source in \
        60 s (> 18); and 9 of less weight)";
    let directory = TestDirectory::new("size");
    let store = open(&directory);
    let typical = |number| {
        let alert = alert_of(Accuser::Model("forest".to_owned()), number);
        Event::Alert(Alert { because: BECAUSE.to_owned(), ..alert })
    };
    let writer = store.writer(Keep::MANY).unwrap();
    let log = directory.path().join("sluice.db-wal");
    let log_bytes = || std::fs::metadata(&log).map_or(0, |log| log.len());
    let mut grew = Vec::new();
    for number in 1..=20 {
        let before = log_bytes();
        writer.send(typical(number)).unwrap();
        writer.flush().unwrap();
        grew.push(log_bytes() - before);
    }
    grew.sort_unstable();
    println!("{} bytes are written for an alert by itself", grew[10]);
    assert!(grew[10] <= 2 * (4_096 + 24), "{grew:?}");
    let pages = || -> i64 {
        Connection::open(store.path()).unwrap().query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap()
    };
    let before = pages();
    for number in 21..=1_020 {
        while writer.send(typical(number)).is_err() {
            writer.flush().unwrap();
        }
    }
    writer.flush().unwrap();
    let each = (pages() - before) * 4_096 / 1_000;
    println!("{each} bytes stay of each alert");
    assert!((500..1_024).contains(&each), "{each}");
}
