//! The store from outside, on real files.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::test_directory::TestDirectory;
use super::*;
use crate::policy::{Accuser, Action, BlockState, Grounds, Subject, Vector};
use crate::registry::Choice;
use model_compiler::sealed::ModelId;
use std::sync::Arc;
use traffic::features::{FEATURE_COUNT, ThreatClass};

pub(super) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_secs(1_795_197_787 + seconds)
}

/// An alert with its time for its number.
pub(super) fn alert(seconds: u64) -> Event {
    Event::Alert(alert_of(Accuser::Model("forest".to_owned()), seconds))
}

pub(super) fn alert_of(accuser: Accuser, seconds: u64) -> Alert {
    let mut features = Box::new([0.25; FEATURE_COUNT]);
    features[0] = seconds as f32;
    Alert {
        number: seconds,
        time: at(seconds),
        class: ThreatClass::Scan,
        source: "203.0.113.9".parse().unwrap(),
        destination: "2001:db8::7".parse().unwrap(),
        port: Some(22),
        confidence: 0.75,
        because: "ports tried in 2 s = 40, more than 12".to_owned(),
        grounds: Some(Arc::new(Grounds {
            offender: "02:00:5e:10:00:07".parse().unwrap(),
            protocol: 6,
            proven: true,
            flow_packets: 4,
            accuser,
            vector: Vector::Features(features),
        })),
        label: None,
    }
}

pub(super) fn audit(seconds: u64) -> Event {
    Event::Audit { time: at(seconds), actor: "local".to_owned(), what: format!("change {seconds}") }
}

pub(super) fn block(address: &str, since: u64, until: u64) -> BlockRecord {
    BlockRecord {
        state: BlockState::Enforced,
        subject: Subject::of(address.parse().unwrap()),
        action: Action::DenyNew,
        class: Some(ThreatClass::BruteForce),
        offence: 2,
        since: at(since),
        until: at(until),
        because: "short log-ins in 60 s = 31, more than 10".into(),
        actor: "sluice".into(),
    }
}

fn past(address: &str, offence: u32, ended: u64, exempt_until: Option<u64>) -> PastBlock {
    let subject = Subject::of(address.parse().unwrap());
    PastBlock { subject, offence, ended: at(ended), exempt_until: exempt_until.map(at) }
}

pub(super) fn open(directory: &TestDirectory) -> Store {
    let opened = Store::open(directory.path(), at(0)).unwrap();
    assert_eq!(opened.set_aside, None);
    opened.store
}

pub(super) fn write_all(store: &Store, events: impl IntoIterator<Item = Event>) {
    let writer = store.writer(Keep::MANY).unwrap();
    for event in events {
        writer.send(event).unwrap();
    }
    writer.flush().unwrap();
}

/// Changes the file behind the store's back.
pub(super) fn meddle(store: &Store, sql: &str) {
    Connection::open(store.path()).unwrap().execute_batch(sql).unwrap();
}

#[test]
fn everything_written_is_read_back_after_a_restart() {
    let directory = TestDirectory::new("restart");
    let subject = block("203.0.113.9", 1, 600);
    write_all(&open(&directory), [alert(1), alert(2), Event::Blocked(subject.clone()), audit(3)]);
    let store = open(&directory);
    let alerts = store.newest_alerts(1).unwrap();
    assert_eq!(alerts.into_iter().map(Event::Alert).collect::<Vec<_>>(), [alert(2)]);
    assert_eq!(store.newest_alerts(10).unwrap().len(), 2);
    assert_eq!(store.standing_blocks(at(10)).unwrap(), [subject]);
    let rows = store.audit_rows(10).unwrap();
    assert_eq!(
        rows.iter().map(|row| row.what.as_str()).collect::<Vec<_>>(),
        [
            "change 3",
            "blocked 203.0.113.9 (deny_new, brute_force) until 2026-11-20T18:13:07Z: short log-ins in 60 s = 31, more than 10",
        ]
    );
    assert_eq!(rows.last().map(|row| row.actor.as_str()), Some("sluice"));
}

#[test]
fn only_the_owner_may_read_the_files() {
    let directory = TestDirectory::new("rights");
    let state = directory.path().join("lib/sluice");
    let store = Store::open(&state, at(0)).unwrap().store;
    write_all(&store, [audit(1)]);
    let rights = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(rights(&state), 0o700);
    for entry in std::fs::read_dir(&state).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(rights(&path), 0o600, "{}", path.display());
    }
}

#[test]
fn offences_and_graces_survive_a_restart() {
    let directory = TestDirectory::new("past");
    let unblocked = Event::Unblocked { past: past("203.0.113.2", 1, 40, Some(640)), actor: "local".to_owned() };
    let written = [
        Event::Blocked(block("203.0.113.1", 1, 50)),
        Event::Blocked(block("203.0.113.2", 2, 500)),
        unblocked,
        Event::Blocked(block("203.0.113.3", 3, 500)),
    ];
    write_all(&open(&directory), written);
    let store = open(&directory);
    let ended_by_itself = past("203.0.113.1", 2, 50, None);
    assert_eq!(store.past_blocks(at(60)).unwrap(), [ended_by_itself, past("203.0.113.2", 1, 40, Some(640))]);
    assert_eq!(store.standing_blocks(at(60)).unwrap()[0].offence, 2);
}

#[test]
fn only_blocks_with_time_left_that_nobody_ended_are_restored() {
    let directory = TestDirectory::new("standing");
    let store = open(&directory);
    let unblocked =
        |address: &str, time| Event::Unblocked { past: past(address, 0, time, None), actor: "local".to_owned() };
    write_all(
        &store,
        [
            Event::Blocked(block("203.0.113.1", 1, 50)),
            Event::Blocked(block("203.0.113.2", 2, 500)),
            Event::Blocked(block("203.0.113.3", 3, 500)),
            unblocked("203.0.113.3", 4),
            Event::Blocked(block("2001:db8::1", 5, 500)),
            Event::Blocked(block("203.0.113.4", 6, 500)),
            unblocked("203.0.113.4", 7),
            // Blocked again after somebody ended it, and prolonged.
            Event::Blocked(block("203.0.113.4", 8, 60)),
            Event::Blocked(block("203.0.113.4", 9, 900)),
        ],
    );
    let standing = |time| {
        store.standing_blocks(at(time)).unwrap().iter().map(|block| block.subject.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(standing(50), ["203.0.113.4", "2001:db8::/64", "203.0.113.2"]);
    assert_eq!(standing(600), ["203.0.113.4"]);
    assert_eq!(standing(900), Vec::<String>::new());
    assert_eq!(store.audit_rows(1_000).unwrap().len(), 9, "each change has its row");
}

#[test]
fn a_corrupt_file_is_set_aside_and_a_fresh_one_begun() {
    let directory = TestDirectory::new("corrupt");
    let file = directory.path().join("sluice.db");
    std::fs::write(&file, [0x5a; 8192]).unwrap();
    assert!(matches!(Store::join(directory.path()), Err(StoreError::Corrupt { .. })), "a command never sets it aside");
    let opened = Store::open(directory.path(), at(0)).unwrap();
    let aside = directory.path().join("sluice.db.corrupt-2026-11-20T180307Z");
    let told = SetAside::Corrupt { path: aside.clone(), carried: Vec::new() };
    assert_eq!(opened.set_aside, Some(told), "the caller is told");
    assert_eq!(std::fs::read(aside).unwrap(), [0x5a; 8192]);
    write_all(&opened.store, [audit(1)]);
    drop(opened.store);
    assert_eq!(open(&directory).audit_rows(5).unwrap().len(), 1);
}

#[test]
fn damage_inside_the_file_is_found_too() {
    let directory = TestDirectory::new("damage");
    write_all(&open(&directory), (0..2_000).map(|n| if n % 2 == 0 { alert(n) } else { audit(n) }).take(900));
    let file = directory.path().join("sluice.db");
    let mut bytes = std::fs::read(&file).unwrap();
    assert!(bytes.len() > 5 * 4096);
    let end = bytes.len();
    bytes[2 * 4096..end].fill(0xa5);
    std::fs::write(&file, bytes).unwrap();
    let opened = Store::open(directory.path(), at(0)).unwrap();
    assert!(opened.set_aside.is_some());
    assert_eq!(opened.store.newest_alerts(10).unwrap(), []);
}

#[test]
fn files_of_others_and_of_the_future_are_left_alone() {
    let directory = TestDirectory::new("foreign");
    let file = directory.path().join("sluice.db");
    Connection::open(&file).unwrap().execute_batch("CREATE TABLE recipes (name TEXT)").unwrap();
    assert!(matches!(Store::open(directory.path(), at(0)), Err(StoreError::Foreign { .. })));
    std::fs::remove_file(&file).unwrap();
    meddle(&open(&directory), "PRAGMA user_version = 5");
    assert!(matches!(Store::open(directory.path(), at(0)), Err(StoreError::Newer { version: 5, .. })));
}

#[test]
fn a_program_from_before_goes_on_with_the_copy_that_the_newer_one_kept() {
    let directory = TestDirectory::new("taken-back");
    let file = directory.path().join("sluice.db");
    write_all(&open(&directory), [audit(1), audit(2)]);
    // What a newer program does: the copy, then another form, in which more happens.
    let connection = Connection::open(&file).unwrap();
    connection.execute("VACUUM INTO ?1", [format!("{}.form4", file.display())]).unwrap();
    connection.execute_batch("PRAGMA user_version = 5; DELETE FROM audit").unwrap();
    drop(connection);

    let opened = Store::open(directory.path(), at(0)).unwrap();
    let aside = directory.path().join("sluice.db.newer-2026-11-20T180307Z");
    assert_eq!(opened.set_aside, Some(SetAside::Newer(aside.clone())));
    assert_eq!(opened.store.audit_rows(5).unwrap().len(), 2);
    let form = |path: &Path| -> i64 {
        Connection::open(path).unwrap().query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap()
    };
    assert_eq!((form(&file), form(&aside)), (4, 5));
    drop(opened);

    // The power went after the newer file was set aside, before the copy was taken.
    std::fs::rename(&file, format!("{}.form4", file.display())).unwrap();
    assert_eq!(open(&directory).audit_rows(5).unwrap().len(), 2);
}

#[test]
fn one_copy_is_kept_that_of_the_program_before() {
    for has_room in [true, false] {
        let directory = TestDirectory::new("copies");
        std::fs::create_dir_all(directory.path()).unwrap();
        let copy = |form: u8| directory.path().join(format!("sluice.db.form{form}"));
        std::fs::write(copy(1), b"of a program that nobody goes back to").unwrap();
        if !has_room {
            std::fs::create_dir(copy(2)).unwrap();
        }
        let before = Connection::open(directory.path().join("sluice.db")).unwrap();
        before.execute_batch(&file::STEPS[..2].concat()).unwrap();
        before.execute_batch(&format!("PRAGMA application_id = {}; PRAGMA user_version = 2", 0x534c_5549)).unwrap();
        drop(before);
        drop(open(&directory));
        assert!(copy(2).is_file() == has_room && !copy(1).exists(), "the older one goes first");
    }
}

#[test]
fn models_that_were_chosen_are_kept_until_the_configuration_names_another() {
    let directory = TestDirectory::new("models");
    let store = open(&directory);
    let id = |text: &str| text.parse::<ModelId>().unwrap();
    let configured = |active: &str, shadow: &str| ModelConfig {
        active: active.parse().unwrap(),
        shadow: shadow.parse().ok(),
        ..ModelConfig::default()
    };
    let choose = |choices: &Choices| {
        let configured = Choices { shadow: Some(id("forest@9")), ..Choices::default() };
        let (choices, configured) = (Box::new(choices.clone()), Box::new(configured));
        let what = format!("set the active model to {}", choices.active);
        write_all(&store, [Event::ModelsChosen { time: at(1), choices, configured, actor: "anna".to_owned(), what }]);
    };
    let chosen = Choices { active: Choice::Stored(id("forest@4")), shadow: None, before: Some(Choice::BuiltIn) };
    choose(&chosen);
    assert_eq!(
        store.models(&configured("built-in", "forest@9")).unwrap(),
        chosen,
        "the shadow was switched off by hand"
    );
    assert_eq!(store.audit_rows(1).unwrap()[0].what, "set the active model to forest@4");
    let other = store.models(&configured("built-in", "forest@8")).unwrap();
    assert_eq!(other, Choices { shadow: Some(id("forest@8")), ..chosen.clone() });
    let stored = |text: &str| Choice::Stored(id(text));
    let other = store.models(&configured("forest@7", "")).unwrap();
    assert_eq!(other, Choices { active: stored("forest@7"), shadow: None, before: Some(stored("forest@4")) });
    let back = store.models(&configured("built-in", "forest@9")).unwrap();
    assert_eq!(
        back,
        Choices { active: Choice::BuiltIn, shadow: Some(id("forest@9")), before: Some(stored("forest@7")) }
    );
    choose(&Choices { active: stored("forest@9"), ..chosen });
    assert_eq!(store.models(&configured("built-in", "forest@9")).unwrap().active, stored("forest@9"));
    let pinned = store.models(&configured("forest@9", "forest@9")).unwrap();
    assert_eq!((pinned.active, pinned.shadow), (stored("forest@9"), None), "it need not judge twice");
}

#[test]
fn where_nobody_has_chosen_a_model_the_way_back_leads_to_what_the_configuration_said_before() {
    let directory = TestDirectory::new("models-before");
    let configured = |active: &str| ModelConfig { active: active.parse().unwrap(), ..ModelConfig::default() };
    let models = |active: &str| open(&directory).models(&configured(active)).unwrap();
    assert_eq!(models("built-in"), Choices::default());
    let expected = Choices { active: "forest@3".parse().unwrap(), shadow: None, before: Some(Choice::BuiltIn) };
    assert_eq!(models("forest@3"), expected);
    assert_eq!(models("forest@3"), expected, "also after the next start");
    meddle(&open(&directory), "UPDATE models SET chosen = 'x' WHERE place = 'active'");
    assert_eq!(models("forest@3"), Choices { before: None, ..expected });
}

#[test]
fn an_untouched_chain_is_whole() {
    let directory = TestDirectory::new("chain");
    let store = open(&directory);
    assert_eq!(store.verify_audit().unwrap(), AuditCheck::Whole { rows: 0, newest_hash: String::new() });
    write_all(&store, (1..=20).map(audit));
    let AuditCheck::Whole { rows: 20, newest_hash } = store.verify_audit().unwrap() else { panic!() };
    assert_eq!(newest_hash.len(), 64);
}

#[test]
fn the_first_broken_row_is_named_whatever_was_done_to_it() {
    let cases = [
        ("UPDATE audit SET what = 'nothing' WHERE id = 7", 7, "its content was changed"),
        ("UPDATE audit SET actor = 'nobody' WHERE id IN (9, 7)", 7, "its content was changed"),
        ("UPDATE audit SET time = time + 1 WHERE id = 7", 7, "its content was changed"),
        ("UPDATE audit SET hash = zeroblob(32) WHERE id = 7", 7, "its content was changed"),
        ("UPDATE audit SET hash = x'00' WHERE id = 7", 7, "its content was changed"),
        ("UPDATE audit SET previous = zeroblob(32) WHERE id = 7", 7, "it does not follow from the row before"),
        ("DELETE FROM audit WHERE id = 7", 8, "the rows before it are missing"),
        ("DELETE FROM audit WHERE id <= 7", 8, "the rows before it are missing"),
        ("DELETE FROM audit WHERE id > 17", 18, "it and the rows after it are missing"),
        ("DELETE FROM audit", 1, "it and the rows after it are missing"),
    ];
    for (number, (sql, row, why)) in cases.into_iter().enumerate() {
        let directory = TestDirectory::new(&format!("broken-{number}"));
        let store = open(&directory);
        write_all(&store, (1..=20).map(audit));
        meddle(&store, sql);
        assert_eq!(store.verify_audit().unwrap(), AuditCheck::Broken { row, why }, "{sql}");
        // A broken chain goes on: what happens from now on is still recorded.
        write_all(&store, [audit(21)]);
        assert_eq!(store.audit_rows(1).unwrap().first().map(|row| row.what.as_str()), Some("change 21"), "{sql}");
        assert!(matches!(store.verify_audit().unwrap(), AuditCheck::Broken { .. }), "{sql}");
    }
}

#[test]
fn two_writers_keep_one_chain() {
    let directory = TestDirectory::new("two-writers");
    let store = open(&directory);
    let writer = store.writer(Keep::MANY).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..50 {
                writer.send(audit(number)).unwrap();
                writer.flush().unwrap();
            }
        });
        let command = Store::join(directory.path()).unwrap();
        for number in 0..5 {
            command.set_password("admin", &format!("correct horse {number}"), at(number), "local").unwrap();
        }
    });
    assert!(matches!(store.verify_audit().unwrap(), AuditCheck::Whole { rows: 55, .. }));
}

#[test]
fn passwords_are_checked_and_their_change_is_recorded() {
    let directory = TestDirectory::new("passwords");
    let store = open(&directory);
    assert!(!store.has_users().unwrap());
    assert!(!store.check_password("admin", "correct horse").unwrap());
    store.set_password("admin", "correct horse", at(1), "local").unwrap();
    assert!(store.has_users().unwrap());
    assert!(store.check_password("admin", "correct horse").unwrap());
    for (user, password) in [("admin", "Correct horse"), ("admin", ""), ("root", "correct horse"), ("", "")] {
        assert!(!store.check_password(user, password).unwrap(), "{user} {password}");
    }
    assert_eq!(store.password_changed("admin").unwrap(), Some(at(1)));
    assert_eq!(store.password_changed("root").unwrap(), None);
    store.set_password("admin", "battery staple", at(2), "local").unwrap();
    assert!(!store.check_password("admin", "correct horse").unwrap());
    assert_eq!(store.password_changed("admin").unwrap(), Some(at(2)));
    let rows = store.audit_rows(9).unwrap();
    assert_eq!(rows.len(), 2);
    let told: Vec<_> = rows.iter().map(|row| (row.actor.as_str(), row.what.as_str())).collect();
    assert_eq!(
        told,
        [("local", "set the password of user admin"), ("local", "set the password of user admin, who is new")]
    );
}

#[test]
fn a_user_is_removed_but_for_the_last_one() {
    let directory = TestDirectory::new("users");
    let store = open(&directory);
    for (user, is_new) in [("anna", true), ("anna", false), ("amdin", true)] {
        assert_eq!(store.set_password(user, "correct horse", at(1), "local").unwrap(), is_new, "{user}");
    }
    let names = || store.users().unwrap().into_iter().map(|user| user.name).collect::<Vec<_>>();
    assert_eq!(names(), ["amdin", "anna"]);
    assert!(matches!(store.remove_user("admin", at(2), "local"), Err(RemovalError::Unknown { .. })));
    store.remove_user("amdin", at(2), "local").unwrap();
    assert!(!store.check_password("amdin", "correct horse").unwrap());
    assert_eq!(store.password_changed("amdin").unwrap(), None, "log-ins end");
    assert!(matches!(store.remove_user("anna", at(3), "local"), Err(RemovalError::Last { .. })));
    assert_eq!(names(), ["anna"]);
    assert_eq!(store.audit_rows(1).unwrap()[0].what, "removed the user amdin");
}

#[test]
fn the_first_password_is_set_once_whoever_comes_first() {
    let directory = TestDirectory::new("first-password");
    let store = open(&directory);
    let other = Store::join(directory.path()).unwrap();
    let first: Vec<bool> = std::thread::scope(|scope| {
        let tries = [(&store, "correct horse"), (&other, "battery staple")].map(|(store, password)| {
            scope.spawn(move || store.set_first_password("admin", password, at(1), "192.0.2.7").unwrap())
        });
        tries.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(first.iter().filter(|is_first| **is_first).count(), 1);
    assert_eq!(store.check_password("admin", "correct horse").unwrap(), first[0]);
    assert_eq!(store.check_password("admin", "battery staple").unwrap(), first[1]);
    let rows = store.audit_rows(9).unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].what, "set the first password of user admin, with the set-up code");
}

#[test]
fn passwords_that_will_not_do_are_refused() {
    let directory = TestDirectory::new("weak");
    let store = open(&directory);
    let long = "x".repeat(512);
    assert!(matches!(store.set_password("admin", "äöüäöüä", at(1), "local"), Err(PasswordError::TooShort)));
    assert!(matches!(store.set_password("admin", &format!("{long}x"), at(1), "local"), Err(PasswordError::TooLong)));
    assert!(matches!(store.set_password("Ad min", "correct horse", at(1), "local"), Err(PasswordError::Name)));
    assert!(!store.has_users().unwrap());
    store.set_password("admin", &long, at(1), "local").unwrap();
    assert!(store.check_password("admin", &long).unwrap());
    assert!(!store.check_password("admin", &format!("{long}x")).unwrap(), "what is cut short must not match");
}

#[test]
fn passwords_are_not_kept_in_the_clear() {
    let directory = TestDirectory::new("clear");
    open(&directory).set_password("admin", "correct horse", at(1), "local").unwrap();
    for entry in std::fs::read_dir(directory.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(13).any(|window| window == b"correct horse"));
    }
}

#[test]
fn what_people_set_while_the_box_runs_outlives_a_restart_until_the_configuration_says_something_else() {
    let directory = TestDirectory::new("settings");
    let store = Store::open(directory.path(), at(0)).unwrap().store;
    let writer = store.writer(Keep::MANY).unwrap();
    let mode =
        |class, mode| Event::ModeSet { time: at(1), class, mode, configured: Mode::Observe, actor: "anna".to_owned() };
    let allow = |who: &str, until| Event::Allowed {
        time: at(1),
        allowance: Allowance { allowed: who.parse().unwrap(), until, actor: "local".to_owned() },
    };
    let events = [
        mode(Some(ThreatClass::Flood), Mode::Observe),
        mode(None, Mode::Approve),
        mode(Some(ThreatClass::Scan), Mode::Enforce),
        allow("203.0.113.9", Some(at(100))),
        allow("nas.example.org", None),
        allow("2001:db8:7::/64", None),
        Event::Disallowed { time: at(2), allowed: "2001:db8:7::/64".parse().unwrap(), actor: "local".to_owned() },
        Event::Resolved { name: "old.example.org".to_owned(), addresses: vec!["192.0.2.9".parse().unwrap()] },
        Event::Resolved { name: "nas.example.org".to_owned(), addresses: vec!["192.0.2.1".parse().unwrap()] },
        Event::Resolved {
            name: "nas.example.org".to_owned(),
            addresses: vec!["192.0.2.2".parse().unwrap(), "2001:db8::2".parse().unwrap()],
        },
    ];
    for event in events {
        writer.send(event).unwrap();
    }
    writer.flush().unwrap();
    let modes = store.modes(Mode::Observe).unwrap();
    assert_eq!(modes.general, Mode::Approve);
    assert_eq!(modes.own().collect::<Vec<_>>(), [(ThreatClass::Scan, Mode::Enforce)]);
    assert_eq!(store.modes(Mode::Enforce).unwrap(), Modes::all(Mode::Enforce), "the file was changed since");
    assert_eq!(store.modes(Mode::Observe).unwrap(), Modes::all(Mode::Observe), "and is not haunted by what was before");
    let who =
        |now| store.allowances(now).unwrap().iter().map(|allowance| allowance.allowed.to_string()).collect::<Vec<_>>();
    assert_eq!(who(at(99)), ["203.0.113.9", "nas.example.org"]);
    assert_eq!(who(at(100)), ["nas.example.org"]);
    let addresses = vec!["192.0.2.2".parse().unwrap(), "2001:db8::2".parse().unwrap()];
    let wanted = BTreeSet::from(["nas.example.org", "new.example.org"]);
    let kept = [("nas.example.org".to_owned(), addresses)];
    assert_eq!(store.resolved(&wanted).unwrap(), kept);
    assert_eq!(
        store.resolved(&BTreeSet::from(["old.example.org", "nas.example.org"])).unwrap(),
        kept,
        "no others stay"
    );
    let said: Vec<String> = store.audit_rows(10).unwrap().into_iter().rev().map(|row| row.what).collect();
    assert_eq!(said[2], "set the mode for scan to enforce");
    assert_eq!(
        said[4..],
        ["allowed nas.example.org for good", "allowed 2001:db8:7::/64 for good", "no longer allows 2001:db8:7::/64"]
    );
}

#[test]
fn devices_and_services_are_restored_as_they_were() {
    let directory = TestDirectory::new("subjects");
    let store = Store::open(directory.path(), at(0)).unwrap().store;
    let writer = store.writer(Keep::MANY).unwrap();
    for (who, action) in [
        ("02:00:5e:10:00:07", Action::Quarantine),
        ("198.51.100.10:80/tcp", Action::Limit),
        ("2001:db8:7::/64", Action::Deny),
    ] {
        let block = BlockRecord { subject: who.parse().unwrap(), action, ..block("203.0.113.9", 1, 600) };
        writer.send(Event::Blocked(block)).unwrap();
    }
    writer.flush().unwrap();
    let stands = store.standing_blocks(at(2)).unwrap();
    let stands: Vec<_> = stands.iter().map(|block| (block.subject.to_string(), block.action)).collect();
    let expected = [
        ("02:00:5e:10:00:07".to_owned(), Action::Quarantine),
        ("198.51.100.10:80/tcp".to_owned(), Action::Limit),
        ("2001:db8:7::/64".to_owned(), Action::Deny),
    ];
    assert_eq!(stands, expected);
}

#[test]
fn a_file_of_the_version_before_is_taken_over_with_its_alerts() {
    let directory = TestDirectory::new("version-1");
    std::fs::create_dir_all(directory.path()).unwrap();
    let before = Connection::open(directory.path().join("sluice.db")).unwrap();
    before.execute_batch(file::STEPS[0]).unwrap();
    let row = "INSERT INTO alerts (time, class, source, destination, port, confidence, because) \
               VALUES (7, 'scan', '203.0.113.9', '198.51.100.10', NULL, 0.5, 'old')";
    before.execute_batch(&format!("{row}; PRAGMA application_id = {}; PRAGMA user_version = 1", 0x534c_5549)).unwrap();
    drop(before);
    let store = open(&directory);
    let copy = Connection::open(directory.path().join("sluice.db.form1")).unwrap();
    let kept: (i64, i64) = copy
        .query_row("SELECT count(*), (SELECT user_version FROM pragma_user_version) FROM alerts", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();
    assert_eq!(kept, (1, 1), "the program from before can be taken back");
    write_all(&store, [alert(2)]);
    let alerts = store.newest_alerts(5).unwrap();
    assert_eq!(alerts.iter().map(|alert| alert.number).collect::<Vec<_>>(), [2, 1]);
    assert_eq!((alerts[1].because.as_str(), &alerts[1].grounds), ("old", &None));
    assert!(matches!(store.verify_audit().unwrap(), AuditCheck::Whole { .. }));
}

#[test]
fn the_last_block_of_a_subject_is_found_with_its_end() {
    let directory = TestDirectory::new("block-of");
    let store = open(&directory);
    let stands = block("203.0.113.1", 1, 600);
    write_all(
        &store,
        [
            Event::Blocked(stands.clone()),
            Event::Blocked(block("203.0.113.2", 1, 600)),
            Event::Unblocked { past: past("203.0.113.2", 0, 30, None), actor: "anna".to_owned() },
        ],
    );
    let of = |whom: &str| store.block_of(whom.parse().unwrap()).unwrap();
    assert_eq!(of("203.0.113.1"), Some(KnownBlock { record: stands, ended_early: None }));
    assert_eq!(of("203.0.113.2").unwrap().ended_early, Some((at(30), "anna".to_owned())));
    assert_eq!(of("203.0.113.3"), None);
}
