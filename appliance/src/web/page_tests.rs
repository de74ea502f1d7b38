//! What the page shows to whoever is logged in, beside what goes on at the moment.

use core::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::Client;
use super::explanation::About;
use super::fixture::{Page, open_page, snapshot};
use crate::clock;
use crate::policy::{Accuser, Action, Alert, BlockRecord, BlockState, Grounds, Subject, Vector};
use crate::store::Event;

/// Writes down that an attacker would have been blocked for ten minutes, so long ago.
fn observe(page: &Page, address: &str, days: u64) -> BlockRecord {
    let [block, ..] = &snapshot(clock::now()).blocks[..] else { panic!("no block") };
    let since = clock::now().minus(Duration::from_secs(days * 86_400 + 3_600));
    let block = BlockRecord {
        subject: Subject::of(address.parse().unwrap()),
        state: BlockState::Observed,
        since,
        until: since.plus(Duration::from_secs(600)),
        ..block.clone()
    };
    page.writer.send(Event::Observed(block.clone())).unwrap();
    page.writer.flush().unwrap();
    block
}

#[test]
fn who_would_have_been_blocked_in_a_week_of_observing_is_listed_and_explained() {
    let page = open_page("observed");
    let cookie = page.log_in();
    let title = "Would have been blocked in the last 7 days";
    assert!(!page.get("/", &cookie).body.contains(title), "there was nobody");
    for (address, days) in [("203.0.113.5", 6), ("203.0.113.5", 1), ("203.0.113.6", 3), ("203.0.113.7", 7)] {
        observe(&page, address, days);
    }
    let client = Client::new(&page.directory.path().join("run/sluice.sock"));
    let listed = client.state().unwrap().events.unwrap().observed;
    let told: Vec<(&str, u32)> = listed.iter().map(|row| (row.block.address.as_str(), row.times)).collect();
    assert_eq!(told, [("203.0.113.5", 2), ("203.0.113.6", 1)], "the last first, and nobody of longer ago");
    let html = page.get("/", &cookie).body;
    for words in [title, "203.0.113.5", "203.0.113.6", "1 day ago", "3 days ago", " · 2 times"] {
        assert!(html.contains(words), "the page lacks {words:?}");
    }
    assert!(!page.get("/", "").body.contains("203.0.113.5"), "a stranger is not told");
    let About { done, .. } = client.explain_all_of("203.0.113.7".parse().unwrap()).unwrap();
    assert!(
        done[0].starts_with("203.0.113.7 would have been blocked (new connections) in mode enforce from "),
        "{done:?}"
    );
}

#[test]
fn a_device_is_named_with_the_addresses_that_its_owner_knows_it_by() {
    let page = open_page("device");
    let cookie = page.log_in();
    let device: Subject = "02:00:5e:10:00:07".parse().unwrap();
    let mut snapshot = snapshot(clock::now());
    snapshot.blocks[0] = BlockRecord { subject: device, action: Action::Quarantine, ..snapshot.blocks[0].clone() };
    let addresses = ["192.168.1.23", "fe80::7", "2001:db8::7", "2001:db8::8"].map(|address| address.parse().unwrap());
    snapshot.device_addresses.insert(device, addresses.to_vec());
    let grounds = Grounds {
        offender: device,
        protocol: 6,
        proven: true,
        flow_packets: 1,
        accuser: Accuser::Model(String::from("forest")),
        vector: Vector::Missing,
    };
    snapshot.alerts[0] = Alert {
        source: "192.168.1.23".parse().unwrap(),
        grounds: Some(Arc::new(grounds)),
        ..snapshot.alerts[0].clone()
    };
    page.handle.publish(snapshot);
    let html = page.get("/", &cookie).body;
    for words in ["02:00:5e:10:00:07 (192.168.1.23, fe80::7, 2001:db8::7)", "192.168.1.23 (02:00:5e:10:00:07)"] {
        assert!(html.contains(words), "the page lacks {words:?}");
    }
    let client = Client::new(&page.directory.path().join("run/sluice.sock"));
    let events = client.state().unwrap().events.unwrap();
    assert_eq!(events.blocks[0].addresses, addresses.map(|address: IpAddr| address.to_string()));
    assert_eq!(events.blocks[1].addresses, [""; 0]);
    assert_eq!(events.alerts[0].device.as_deref(), Some("02:00:5e:10:00:07"));
}

#[test]
fn who_says_that_an_alert_was_wrong_is_told_that_a_block_stands_and_can_end_it_there() {
    let page = open_page("still-blocked");
    let cookie = page.log_in();
    let token = page.get("/", &cookie).hidden("token").to_owned();
    let ask = |path: &str, fields: &str| page.post_form(path, &cookie, &format!("token={token}&{fields}"));
    let asked = || page.asked.recv_timeout(Duration::from_secs(5)).unwrap();
    let about = |words: &str| format!("aria-label=\"{words}: 203.0.113.77\"");
    let buttons = ["Unblock", "Allow for an hour", "Allow for a day", "Allow for good"].map(about);
    ask("/label", "alert=18&label=benign");
    let html = page.get("/", &cookie).body;
    let said = "alert 18 is labelled benign. 203.0.113.77 is still blocked: a label changes no block.";
    let (_, note) = html.split_once(said).unwrap();
    let (note, _) = note.split_once("id=\"live\"").unwrap();
    assert!(buttons.iter().all(|button| note.contains(button)), "{note}");
    let alert = page.get("/alerts/18", &cookie).body;
    assert!(buttons.iter().all(|button| alert.contains(button)), "{alert}");
    assert!(alert.contains("sluice unblock 203.0.113.77"), "for those who like commands better");

    ask("/unblock", "address=203.0.113.77");
    ask("/label", "alert=18&label=benign");
    assert!(!page.get("/", &cookie).body.contains("is still blocked"), "nothing stands any more");
    let alert = page.get("/alerts/18", &cookie).body;
    assert!(!alert.contains(&buttons[0]) && buttons[1..].iter().all(|button| alert.contains(button)), "{alert}");
    ask("/allow", "address=203.0.113.77");
    assert!(page.get("/", &cookie).body.contains("203.0.113.77 is allowed for good."));
    let told: Vec<String> = (0..4).map(|_| asked()).collect();
    assert_eq!(told[3], "admin allows 203.0.113.77 for None");
}

#[test]
fn whose_log_in_has_ended_is_led_to_the_log_in_and_who_is_told_something_else_back_to_the_page() {
    let page = open_page("ended");
    let cookie = page.log_in();
    let body = page.get("/?login=ended", "").body;
    assert!(body.contains("Your log-in has ended") && body.contains("action=\"/login\""), "{body}");
    for answer in [
        page.post_form("/unblock", &cookie, "address=198.51.100.4&token=old"),
        page.post_form("/logout", &cookie, "token=old"),
        page.get("/alerts/99", &cookie),
        page.get("/nothing", &cookie),
    ] {
        assert!(answer.status >= 400 && answer.body.contains("href=\"/\""), "{}", answer.body);
    }
}

#[test]
fn a_card_says_what_happened_and_leaves_the_models_numbers_to_the_page_behind_it() {
    let page = open_page("brief");
    let cookie = page.log_in();
    let mut snapshot = snapshot(clock::now());
    let because = "the source tried 47 distinct ports (model forest, scan 0.97: 47 ports in 2 s (> 12))";
    snapshot.alerts[0].because = because.to_owned();
    snapshot.blocks[0].because = format!("scan: {because}; evidence of 9 flows").into();
    page.handle.publish(snapshot);
    let html = page.get("/", &cookie).body;
    let (_, cards) = html.split_once("Blocked now").unwrap();
    assert_eq!(cards.matches("the source tried 47 distinct ports").count(), 2, "of the block and of the alert");
    assert!(!cards.contains("ports in 2 s") && !cards.contains("deny_new"), "{cards}");
    assert_eq!(cards.matches("href=\"/alerts/18\"").count(), 2, "each leads to the whole reason");
    let why = page.get("/alerts/18", &cookie).body;
    assert!(why.contains("47 ports in 2 s (&gt; 12)") && !why.contains("deny_new"), "{why}");
}
