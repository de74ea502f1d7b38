//! What depends on time, and the errors of the JSON, without any socket.

use core::time::Duration;

use super::*;
use crate::config::Memory;
use crate::registry::Registry;
use crate::web::fixture::{PASSWORD, TestDirectory, control, snapshot};
use crate::web::sessions::{ATTEMPTS, IDLE};
use crate::web::set_up::WRONG_CODES;

struct Fixture {
    app: App,
    _directory: TestDirectory,
}

fn now() -> Timestamp {
    Timestamp::from_secs(1_795_197_787)
}

fn later(seconds: u64) -> Timestamp {
    now().plus(Duration::from_secs(seconds))
}

fn fixture(name: &str) -> Fixture {
    let fixture = fresh_fixture(name);
    fixture.app.store.set_password("admin", PASSWORD, now(), "local").unwrap();
    fixture
}

/// Before anybody has set a password.
fn fresh_fixture(name: &str) -> Fixture {
    let directory = TestDirectory::new(name);
    let store = Arc::new(Store::open(directory.path(), now()).unwrap().store);
    let writer = Arc::new(store.writer(crate::store::Keep::MANY).unwrap());
    let (handle, _) = control(snapshot(now()));
    let library = Arc::new(Library::new(Registry::new(directory.path(), Vec::new(), Memory::default().models())));
    Fixture { app: App::new(handle, library, store, writer, Vec::new()), _directory: directory }
}

fn request(method: Method, path: &str, cookie: &str, content_type: &str, body: &str) -> Incoming {
    Incoming {
        caller: Caller::Network("192.168.1.50".parse().unwrap()),
        method,
        path: path.to_owned(),
        query: String::new(),
        host: "192.168.1.2:8080".to_owned(),
        origin: Some("http://192.168.1.2:8080".to_owned()),
        cookie: cookie.to_owned(),
        content_type: content_type.to_owned(),
        token: String::new(),
        body: body.as_bytes().to_vec(),
    }
}

fn location(answer: &Answer) -> &str {
    answer.headers.iter().find(|(name, _)| *name == "Location").map_or("", |(_, value)| value)
}

impl Fixture {
    fn set_up(&self, peer: &str, form: &str, now: Timestamp) -> String {
        let mut request = request(Method::Post, "/setup", "", "application/x-www-form-urlencoded", form);
        request.caller = Caller::Network(peer.parse().unwrap());
        location(&self.app.answer(&request, now)).to_owned()
    }

    fn try_password(&self, password: &str, now: Timestamp) -> Answer {
        let form = format!("name=admin&password={password}");
        self.app.answer(&request(Method::Post, "/login", "", "application/x-www-form-urlencoded", &form), now)
    }

    fn log_in(&self, now: Timestamp) -> String {
        let answer = self.try_password("correct+horse", now);
        let cookie = answer.headers.iter().find(|(name, _)| *name == "Set-Cookie").map(|(_, value)| value).unwrap();
        cookie.split(';').next().unwrap().to_owned()
    }

    fn sees_blocks(&self, cookie: &str, now: Timestamp) -> bool {
        self.app.answer(&request(Method::Get, "/", cookie, "", ""), now).body.contains("198.51.100.4")
    }

    fn post_json(&self, path: &str, cookie: &str, body: &str) -> (u16, String) {
        let answer = self.app.answer(&request(Method::Post, path, cookie, "application/json", body), now());
        (answer.status, answer.body)
    }
}

#[test]
fn a_session_ends_when_idle_for_twelve_hours() {
    let fixture = fixture("idle");
    let cookie = fixture.log_in(now());
    let idle_s = IDLE.as_secs();
    assert!(fixture.sees_blocks(&cookie, later(idle_s - 1)));
    assert!(fixture.sees_blocks(&format!("a=b; {cookie}; c=d"), later(2 * idle_s - 2)));
    assert!(!fixture.sees_blocks(&cookie, later(3 * idle_s)));
}

#[test]
fn a_new_password_ends_the_sessions_of_the_old_one() {
    let fixture = fixture("changed");
    let cookie = fixture.log_in(now());
    assert!(fixture.sees_blocks(&cookie, later(1)));
    fixture.app.store.set_password("admin", "battery staple", later(2), "local").unwrap();
    assert!(!fixture.sees_blocks(&cookie, later(3)));
}

#[test]
fn whoever_is_logged_in_is_known_to_the_rails_until_the_session_ends() {
    let fixture = fixture("managers");
    let managers = || fixture.app.handle.managers.all();
    fixture.app.answer(&request(Method::Get, "/", "", "", ""), now());
    assert_eq!(managers(), [], "a stranger is nobody");
    let cookie = fixture.log_in(now());
    assert!(fixture.sees_blocks(&cookie, later(60)));
    assert_eq!(managers(), [("192.168.1.50".parse().unwrap(), later(60 + IDLE.as_secs()))]);
    fixture.app.store.set_password("admin", "battery staple", later(61), "local").unwrap();
    assert!(!fixture.sees_blocks(&cookie, later(62)));
    assert_eq!(managers(), []);
}

#[test]
fn guessing_passwords_is_slow_even_with_the_right_one_among_them() {
    let fixture = fixture("guessing");
    for _ in 0..ATTEMPTS {
        assert_eq!(location(&fixture.try_password("wrong-password", now())), "/?login=refused");
    }
    assert_eq!(location(&fixture.try_password("correct+horse", later(1))), "/?login=wait");
    assert_eq!(location(&fixture.try_password("correct+horse", later(60))), "/");
}

#[test]
fn guessing_set_up_codes_is_slow_even_with_the_right_one_among_them() {
    let fixture = fresh_fixture("guessing-codes");
    let form = |code: &str| format!("code={code}&password=correct+horse&again=correct+horse");
    let right = form(&fixture.app.set_up.code().unwrap());
    for _ in 0..ATTEMPTS {
        assert_eq!(fixture.set_up("192.168.1.50", &form("wrong"), now()), "/?setup=refused");
    }
    assert_eq!(fixture.set_up("192.168.1.50", &right, later(1)), "/?setup=wait");
    assert_eq!(location(&fixture.try_password("correct+horse", later(1))), "/?login=wait", "one count for both");
    assert_eq!(fixture.set_up("192.168.1.51", &right, later(1)), "/", "others need not wait");
}

#[test]
fn many_devices_that_guess_have_the_code_replaced() {
    let fixture = fresh_fixture("replaced-code");
    let form = |code: &str| format!("code={code}&password=correct+horse&again=correct+horse");
    let first = fixture.app.set_up.code().unwrap();
    let outcomes: Vec<String> =
        (0..WRONG_CODES).map(|number| fixture.set_up(&format!("192.168.1.{number}"), &form("wrong"), now())).collect();
    let (last, others) = outcomes.split_last().unwrap();
    assert!(last == "/?setup=replaced" && others.iter().all(|outcome| outcome == "/?setup=refused"), "{outcomes:?}");
    assert_eq!(fixture.set_up("192.168.1.99", &form(&first), now()), "/?setup=refused");
    assert_eq!(fixture.set_up("192.168.1.99", &form(&fixture.app.set_up.code().unwrap()), now()), "/");
}

#[test]
fn a_password_that_will_not_do_costs_no_try_and_sets_nothing() {
    let fixture = fresh_fixture("weak-first");
    let code = fixture.app.set_up.code().unwrap();
    let long = "x".repeat(513);
    for (password, again, outcome) in [
        ("correct+horse", "correct+house", "differ"),
        ("", "", "short"),
        ("short", "short", "short"),
        (&long, &long, "long"),
    ] {
        for _ in 0..=ATTEMPTS {
            let form = format!("code={code}&password={password}&again={again}");
            assert_eq!(fixture.set_up("192.168.1.50", &form, now()), format!("/?setup={outcome}"));
        }
        let mut page = request(Method::Get, "/", "", "", "");
        page.query = format!("setup={outcome}");
        let body = fixture.app.answer(&page, now()).body;
        assert!(body.contains("class=\"note\" role=\"status\"") && body.contains("password"), "{outcome}: {body}");
    }
    assert!(!fixture.app.store.has_users().unwrap());
    let form = format!("code={code}&password=correct+horse&again=correct+horse");
    assert_eq!(fixture.set_up("192.168.1.50", &form, now()), "/");
}

#[test]
fn a_second_log_in_ends_the_browsers_first_session() {
    let fixture = fixture("second");
    let cookie = fixture.log_in(now());
    let form = "name=admin&password=correct+horse";
    let again = request(Method::Post, "/login", &cookie, "application/x-www-form-urlencoded", form);
    assert_eq!(location(&fixture.app.answer(&again, now())), "/");
    assert!(!fixture.sees_blocks(&cookie, now()));
}

#[test]
fn each_way_in_which_json_can_be_wrong_has_its_answer() {
    let fixture = fixture("json-errors");
    let cookie = fixture.log_in(now());
    let long = "x".repeat(201);
    let long = format!(r#"{{"address":"192.0.2.1","ttl_s":60,"because":"{long}"}}"#);
    for (path, body, status, words) in [
        ("/api/unblock", "", 400, "the body is not what is expected"),
        ("/api/unblock", "{", 400, "the body is not what is expected"),
        ("/api/unblock", r#"{"address":1}"#, 400, "the body is not what is expected"),
        ("/api/unblock", r#"{"address":"192.0.2.1","ttl_s":5}"#, 400, "unknown field"),
        ("/api/unblock", r#"{"address":"router"}"#, 400, "give an address"),
        ("/api/unblock", r#"{"address":"192.0.2.0/24"}"#, 400, "give an address"),
        ("/api/unblock", r#"{"address":"2001:db8::1/64"}"#, 404, "no block of 2001:db8::/64"),
        ("/api/unblock", r#"{"address":"192.0.2.1"}"#, 404, "no block of 192.0.2.1 stands"),
        ("/api/block", r#"{"address":"192.0.2.1"}"#, 400, "missing field"),
        ("/api/block", r#"{"address":"192.0.2.1","ttl_s":0,"because":"x"}"#, 400, "ttl_s must be from 1"),
        ("/api/block", r#"{"address":"192.0.2.1","ttl_s":-5,"because":"x"}"#, 400, "the body is not"),
        ("/api/block", r#"{"address":"192.0.2.1","ttl_s":99999999,"because":"x"}"#, 400, "ttl_s must be from 1"),
        ("/api/block", long.as_str(), 400, "at most 200 characters"),
        ("/api/block", r#"{"address":"192.168.1.1","ttl_s":60,"because":"x"}"#, 409, "it is the gateway"),
    ] {
        let (got, answer) = fixture.post_json(path, &cookie, body);
        assert_eq!(got, status, "{body} {answer}");
        let error = serde_json::from_str::<crate::web::api::Failed>(&answer).unwrap().error;
        assert!(error.contains(words), "{body}: {error}");
    }
    let block = r#"{"address":"2001:db8::1","ttl_s":60,"because":"x"}"#;
    assert_eq!(
        fixture.post_json("/api/block", &cookie, block),
        (200, r#"{"address":"2001:db8::/64","said":"2001:db8::/64 is blocked for 1 min."}"#.to_owned())
    );
}
