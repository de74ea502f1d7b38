//! The whole page through real sockets, with the control side played by a test.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use super::api::{Failed, State};
use super::explanation::Explanation;
use super::fixture::{PASSWORD, Page, exchange, open_page, sealed_model, snapshot};
use super::*;
use crate::control::{ModelRequest, Order, Request};
use crate::policy::{Accuser, Alert, BlockState, Grounds, Label, Mode, Modes, Vector};
use crate::store::Event;
use traffic::features::{FEATURE_COUNT, ThreatClass};

const ADDRESSES: [&str; 6] =
    ["203.0.113.77", "192.168.1.20", "2001:db8:1:", "2001:db8:2::22", "198.51.100.4", "rings at night"];

fn state(page: &Page, cookie: &str) -> State {
    serde_json::from_str(&page.get("/api/state", cookie).body).unwrap()
}

#[test]
fn a_stranger_sees_how_the_box_is_but_no_addresses() {
    let page = open_page("stranger");
    page.store.set_password("admin", PASSWORD, crate::clock::now(), "local").unwrap();
    for path in ["/", "/api/state", "/?login=refused", "/api/state?x=y"] {
        for cookie in ["", "sluice_session=", "sluice_session=0000"] {
            let answer = page.get(path, cookie);
            assert_eq!(answer.status, 200);
            for address in ADDRESSES {
                assert!(!answer.body.contains(address), "{path} shows {address}");
            }
        }
    }
    let body = page.get("/", "").body;
    assert!(body.contains("Protecting") && body.contains("9\u{202f}204") && body.contains("39.1 GB"), "{body}");
    assert!(body.contains("action=\"/login\"") && !body.contains("action=\"/unblock\""));
    assert_eq!(state(&page, "").events, None);
    let json: serde_json::Value = serde_json::from_str(&page.get("/api/state", "").body).unwrap();
    let told: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
    let everybody = [
        "time",
        "page",
        "mode",
        "class_modes",
        "summary",
        "light",
        "paused_left_s",
        "faults",
        "uptime_s",
        "model",
        "bridge",
        "ports",
        "internet_port",
        "placement",
        "packets",
        "bytes",
        "ring_drops",
        "passed_over",
        "undecodable",
        "flows",
        "dropped_packets",
    ];
    assert!(told.iter().all(|key| everybody.contains(key)), "how models take the traffic is no stranger's: {told:?}");
    let ended = page.post_form("/unblock", "", "address=198.51.100.4&token=");
    assert_eq!((ended.status, ended.header("location")), (303, Some("/?login=ended")), "as after a restart");
    let headers = format!("Origin: http://{}\r\nContent-Type: application/json\r\n", page.address);
    let answer = page.post("/api/unblock", "", &headers, r#"{"address":"198.51.100.4"}"#);
    assert_eq!(answer.status, 401);
    assert_eq!(serde_json::from_str::<Failed>(&answer.body).unwrap().error, "log in first");
    assert!(page.asked.try_recv().is_err(), "nothing reached the control thread");
}

#[test]
fn after_log_in_the_button_of_a_block_ends_it() {
    let page = open_page("unblock");
    let cookie = page.log_in();
    let before = page.get("/", &cookie);
    for address in ADDRESSES {
        assert!(before.body.contains(address), "{address} is missing");
    }
    assert_eq!(before.hidden("address"), "203.0.113.77");
    let form = format!("token={}&address=2001%3Adb8%3A1%3A%3A%2F64", before.hidden("token"));
    let answer = page.post_form("/unblock", &cookie, &form);
    assert_eq!((answer.status, answer.header("location")), (303, Some("/")));
    assert_eq!(page.asked.recv().unwrap(), "admin unblocks 2001:db8:1::/64");

    let after = page.get("/", &cookie);
    assert!(after.body.contains("2001:db8:1::/64 is unblocked."), "what happened is said");
    assert_eq!(after.body.matches("action=\"/unblock\"").count(), 2);
    assert!(!page.get("/", &cookie).body.contains("is unblocked."), "and is said once");

    page.post_form("/unblock", &cookie, &form);
    assert!(page.get("/", &cookie).body.contains("no block of 2001:db8:1::/64 stands"));
    let nonsense = format!("token={}&address=%3Cb%3E", before.hidden("token"));
    page.post_form("/unblock", &cookie, &nonsense);
    assert!(page.get("/", &cookie).body.contains("&lt;b&gt;"), "an error is escaped like everything else");
}

#[test]
fn what_another_page_makes_a_browser_send_changes_nothing() {
    let page = open_page("csrf");
    let cookie = page.log_in();
    let token = page.get("/", &cookie).hidden("token").to_owned();
    let form = format!("token={token}&address=198.51.100.4");
    let form_type = "Content-Type: application/x-www-form-urlencoded\r\n";
    let json_type = "Content-Type: application/json\r\n";
    let json = r#"{"address":"198.51.100.4"}"#;
    let own = format!("Origin: http://{}\r\n", page.address);
    let cases = [
        ("/unblock", own.clone() + form_type, "address=198.51.100.4".to_owned(), 403),
        ("/unblock", own.clone() + form_type, "token=&address=198.51.100.4".to_owned(), 403),
        ("/unblock", own.clone() + form_type, form.replace(&token[..8], "00000000"), 403),
        ("/unblock", format!("Origin: http://evil.example\r\n{form_type}"), form.clone(), 403),
        ("/unblock", format!("Origin: null\r\n{form_type}"), form, 403),
        ("/logout", own.clone() + form_type, "token=".to_owned(), 403),
        ("/api/unblock", json_type.to_owned(), json.to_owned(), 403),
        ("/api/unblock", format!("X-Sluice-Token: 00\r\n{json_type}"), json.to_owned(), 403),
        (
            "/api/unblock",
            format!("Origin: http://evil.example\r\nX-Sluice-Token: {token}\r\n{json_type}"),
            json.to_owned(),
            403,
        ),
        ("/api/unblock", format!("{own}Content-Type: text/plain\r\n"), json.to_owned(), 415),
        ("/api/unblock", own.clone() + form_type, json.to_owned(), 415),
        ("/api/block", json_type.to_owned(), r#"{"address":"192.0.2.1","ttl_s":60,"because":""}"#.to_owned(), 403),
    ];
    for (path, headers, body, status) in cases {
        assert_eq!(page.post(path, &cookie, &headers, &body).status, status, "{path} {headers} {body}");
    }
    assert!(page.asked.try_recv().is_err(), "nothing reached the control thread");
    for headers in [format!("X-Sluice-Token: {token}\r\n{json_type}"), own + json_type] {
        page.handle.publish(snapshot(crate::clock::now()));
        assert_eq!(page.post("/api/unblock", &cookie, &headers, json).status, 200, "{headers}");
        assert_eq!(page.asked.recv().unwrap(), "admin unblocks 198.51.100.4");
    }
}

#[test]
fn a_name_that_somebody_points_at_the_box_opens_nothing() {
    let page = open_page("rebinding");
    let cookie = page.log_in();
    let get = |host: &str| {
        exchange(page.address, &format!("GET /api/state HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\n\r\n"))
    };
    for host in ["evil.example", "evil.example:8080", "127.0.0.1.evil.example"] {
        let answer = get(host);
        assert_eq!(answer.status, 421, "{host}");
        assert!(!answer.body.contains("203.0.113.77"));
    }
    let machine = nix::unistd::gethostname().unwrap().into_string().unwrap();
    let machine = format!("{}.home.arpa:8080", machine.split('.').next().unwrap());
    for host in ["127.0.0.1", "localhost:8080", "sluice.lan", &machine] {
        assert_eq!(get(host).status, 200, "{host}");
    }
}

#[test]
fn nobody_on_the_network_can_pretend_to_be_on_the_box() {
    let page = open_page("pretend");
    for header in ["X-Sluice-Peer: 127.0.0.1", "x-sluice-peer:", "X-SLUICE-PEER: ::1\r\nX-Sluice-Peer: 0.0.0.0"] {
        let request = format!("GET /api/state HTTP/1.1\r\nHost: localhost\r\n{header}\r\n\r\n");
        let answer = exchange(page.address, &request);
        assert_eq!(serde_json::from_str::<State>(&answer.body).unwrap().events, None, "{header}");
    }
    let smuggled = "POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n\
                    GET /api/state HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let answer = exchange(page.address, smuggled);
    assert!(!answer.body.contains("HTTP/1.1") && !answer.body.contains("203.0.113.77"), "one request, one answer");
}

#[test]
fn the_json_says_what_the_page_says() {
    let page = open_page("json");
    let cookie = page.log_in();
    let (state, html) = (state(&page, &cookie), page.get("/", &cookie).body);
    let oriented = state.orientation();
    assert_eq!(oriented, "the internet is behind eth1; the box stands between the router and the household");
    let events = state.events.unwrap();
    assert_eq!((events.alerts.len(), events.blocks.len(), events.blocks_standing), (2, 3, 3));
    let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let mut texts = vec![oriented, state.summary, state.model, state.bridge, state.ports.concat()];
    texts.pop();
    for alert in events.alerts {
        texts.extend([alert.source, alert.destination, alert.deed, alert.because, alert.time]);
    }
    for block in events.blocks {
        texts.extend([block.address, block.deed, block.measure, block.because, block.actor, block.since, block.until]);
    }
    texts.extend([words::count(state.packets), words::count(state.dropped_packets), words::bytes(state.bytes)]);
    for text in texts {
        assert!(html.contains(&escaped(&text)), "the page lacks {text:?}");
    }
    assert!(!html.contains("<b>unanswered"), "a reason is escaped");
}

#[test]
fn faults_and_observe_mode_are_told_in_plain_words() {
    let page = open_page("faults");
    let mut snapshot = snapshot(crate::clock::now());
    snapshot.modes = Modes::all(Mode::Observe);
    snapshot.blocks.iter_mut().for_each(|block| block.state = BlockState::Observed);
    page.handle.publish(snapshot.clone());
    let cookie = page.log_in();
    let body = page.get("/", &cookie).body;
    assert!(body.contains("Observing") && body.contains("Would be blocked") && !body.contains("action=\"/unblock\""));
    snapshot.modes = Modes::all(Mode::Approve);
    snapshot.modes.set(Some(ThreatClass::Scan), Mode::Enforce);
    snapshot.blocks.iter_mut().for_each(|block| block.state = BlockState::Proposed);
    page.handle.publish(snapshot.clone());
    let body = page.get("/", &cookie).body;
    assert!(body.contains("Asking first") && body.contains("For scan: enforce.") && body.contains("Waiting for you"));
    assert_eq!((body.matches("action=\"/approve\"").count(), body.matches("Dismiss").count()), (3, 6));
    snapshot.faults = vec!["eth1 is down; plug the cable in".to_owned()];
    page.handle.publish(snapshot.clone());
    let body = page.get("/", "").body;
    assert!(body.contains("Needs you") && body.contains("eth1 is down; plug the cable in"));
    snapshot.time = snapshot.started;
    page.handle.publish(snapshot);
    assert!(page.get("/", "").body.contains("the daemon hangs"), "old numbers are not passed off as new");
}

#[test]
fn log_ins_and_their_refusal_are_recorded() {
    let page = open_page("recorded");
    page.post_form("/login", "", "name=eve%0A%22&password=wrong-password");
    let cookie = page.log_in();
    let token = page.get("/", &cookie).hidden("token").to_owned();
    page.post_form("/logout", &cookie, &format!("token={token}"));
    assert!(!page.get("/", &cookie).body.contains("203.0.113.77"), "the cookie is worth nothing any more");
    assert_eq!(
        page.audit(),
        [
            r#"127.0.0.1 was refused a log-in as "eve\n\"""#,
            "local set the password of user admin, who is new",
            "admin logged in from 127.0.0.1",
            "admin logged out",
        ]
    );
}

#[test]
fn every_answer_carries_the_headers_that_keep_a_browser_safe() {
    let page = open_page("headers");
    for path in ["/", "/api/state", "/style.css", "/live.js", "/icon.svg", "/nothing"] {
        let answer = page.get(path, "");
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{path}");
        assert!(!policy.contains("unsafe"), "{path}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(answer.header("referrer-policy"), Some("same-origin"), "{path}");
        assert_eq!(answer.head.to_ascii_lowercase().matches("content-type:").count(), 1, "{path}");
    }
    assert_eq!(page.get("/", "").header("cache-control"), Some("no-store"));
    assert_eq!(page.get("/nothing", "").status, 404);
    assert_eq!(page.post("/", "", "", "").status, 405);
    assert_eq!(page.get("/api/block", "").status, 405);
    let head = exchange(page.address, &format!("HEAD / HTTP/1.1\r\nHost: {}\r\n\r\n", page.address));
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    page.store.set_password("admin", PASSWORD, crate::clock::now(), "local").unwrap();
    let cookie = page.post_form("/login", "", "name=admin&password=correct%20horse");
    let cookie = cookie.header("set-cookie").unwrap();
    for attribute in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=43200"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
}

#[test]
fn commands_need_no_log_in_and_act_as_local() {
    let page = open_page("commands");
    let client = Client::new(&page.directory.path().join("run/sluice.sock"));
    assert_eq!(client.state().unwrap().events.unwrap().blocks.len(), 3);
    let block = |whom: &str, ttl_s, because: &str| {
        let (subject, ttl) = (whom.parse().unwrap(), Duration::from_secs(ttl_s));
        client.ask_for(&Request::Block { subject, ttl, because: because.to_owned() })
    };
    let done = block("2001:db8:9::1", 3600, "rings at night").unwrap();
    assert_eq!(done.address, "2001:db8:9::/64");
    assert_eq!(page.asked.recv().unwrap(), "local blocks 2001:db8:9::/64 for 3600 s: rings at night");
    block("192.0.2.9", 1, " ").unwrap();
    assert_eq!(page.asked.recv().unwrap(), "local blocks 192.0.2.9 for 1 s: by hand");
    let unblock = Request::Unblock { subject: "198.51.100.4".parse().unwrap() };
    assert_eq!(client.ask_for(&unblock).unwrap().address, "198.51.100.4");
    let refused = client.ask_for(&unblock).unwrap_err();
    assert_eq!(refused.to_string(), "no block of 198.51.100.4 stands; `sluice status` lists the blocks");
    let refused = block("192.168.1.1", 60, "x").unwrap_err();
    assert_eq!(refused.to_string(), "192.168.1.1 is never blocked: it is the gateway");
    let refused = block("192.0.2.9", 0, "x").unwrap_err();
    assert!(refused.to_string().starts_with("ttl_s must be"), "{refused}");
    let refused = block("192.0.2.9", 1, "two\nlines").unwrap_err();
    assert!(refused.to_string().starts_with("because must be"), "{refused}");
}

#[test]
fn each_request_of_the_commands_reaches_the_control_thread_as_it_was_made() {
    let page = open_page("requests");
    let client = Client::new(&page.directory.path().join("run/sluice.sock"));
    let allowed = || "nas.example.org".parse().unwrap();
    let subject = "02:00:5e:10:00:01".parse().unwrap();
    let hour = Some(Duration::from_secs(3_600));
    for (request, asked) in [
        (Request::Approve { subject }, "local approves 02:00:5e:10:00:01"),
        (Request::Allow { allowed: allowed(), ttl: hour }, "local allows nas.example.org for Some(3600s)"),
        (Request::Allow { allowed: allowed(), ttl: None }, "local allows nas.example.org for None"),
        (Request::Disallow { allowed: allowed() }, "local disallows nas.example.org"),
        (Request::Label { alert: 17, class: Some(ThreatClass::Flood) }, "local labels 17 Some(Flood)"),
        (Request::Label { alert: 17, class: None }, "local labels 17 None"),
        (Request::SetMode { class: None, mode: Mode::Enforce }, "local sets None to enforce"),
        (Request::SetMode { class: Some(ThreatClass::Scan), mode: Mode::Observe }, "local sets Some(Scan) to observe"),
        (Request::Pause { ttl: Duration::from_secs(600) }, "local pauses for 600s"),
        (Request::Resume, "local resumes"),
        (Request::Acknowledge, "local acknowledges"),
    ] {
        client.ask_for(&request).unwrap();
        assert_eq!(page.asked.recv_timeout(Duration::from_secs(5)).unwrap(), asked);
    }
}

#[test]
fn the_buttons_of_the_page_do_what_they_say() {
    let page = open_page("buttons");
    let cookie = page.log_in();
    let before = page.get("/", &cookie);
    let token = before.hidden("token").to_owned();
    for (path, fields, asked, said) in [
        ("/mode", "mode=approve", "admin sets None to approve", "The mode for all attacks is approve now."),
        ("/approve", "address=203.0.113.9", "admin approves 203.0.113.9", "203.0.113.9 is blocked."),
        (
            "/allow",
            "address=2001%3Adb8%3A9%3A%3A%2F64&ttl_s=86400",
            "admin allows 2001:db8:9::/64 for Some(86400s)",
            "2001:db8:9::/64 is allowed for 1 day.",
        ),
        ("/label", "alert=17&label=benign", "admin labels 17 Some(Benign)", "alert 17 is labelled benign."),
        ("/label", "alert=18&label=none", "admin labels 18 None", "The label of alert 18 is taken back."),
        ("/disallow", "address=203.0.113.9", "admin disallows 203.0.113.9", "203.0.113.9 is no longer allowed."),
    ] {
        assert_eq!(page.post_form(path, &cookie, fields).status, 403, "{path} without the token");
        let answer = page.post_form(path, &cookie, &format!("token={token}&{fields}"));
        assert_eq!((answer.status, answer.header("location")), (303, Some("/")));
        assert_eq!(page.asked.recv_timeout(Duration::from_secs(5)).unwrap(), asked);
        assert!(page.get("/", &cookie).body.contains(said), "{said}");
    }
    for fields in ["mode=off", "mode=enforce&class=benign"] {
        page.post_form("/mode", &cookie, &format!("token={token}&{fields}"));
    }
    for fields in ["alert=99&label=benign", "alert=17&label=scam", "alert=x&label=scan", "label=scan"] {
        page.post_form("/label", &cookie, &format!("token={token}&{fields}"));
    }
    assert!(page.get("/", &cookie).body.contains("alert must be the number of an alert"), "what is wrong is said");
    assert_eq!(page.post_form("/block", &cookie, &format!("token={token}&address=203.0.113.9")).status, 404);
    assert!(page.asked.try_recv().is_err(), "nothing else reached the control thread");
}

/// An alert that is in the store, and no longer among those of the snapshot.
fn old_alert(number: u64) -> Alert {
    let grounds = Grounds {
        offender: "203.0.113.77".parse().unwrap(),
        protocol: 6,
        proven: false,
        flow_packets: 1,
        accuser: Accuser::Rule { name: "<i>many</i>".to_owned(), conditions: "src_ports_60s > 20".to_owned() },
        vector: Vector::Features(Box::new([30.0; FEATURE_COUNT])),
    };
    let [alert, ..] = &snapshot(crate::clock::now()).alerts[..] else { panic!("no alert") };
    Alert { number, grounds: Some(Arc::new(grounds)), ..alert.clone() }
}

#[test]
fn an_alert_is_explained_on_a_page_of_its_own_and_as_json_and_to_no_stranger() {
    let page = open_page("explained");
    let client = Client::new(&page.directory.path().join("run/sluice.sock"));
    page.writer.send(Event::Alert(old_alert(5))).unwrap();
    page.writer.flush().unwrap();
    let cookie = page.log_in();
    let front = page.get("/", &cookie).body;
    assert!(front.contains("href=\"/alerts/18\"") && front.contains("href=\"/alerts/17\""), "{front}");
    for number in [5, 18] {
        // Its age is told in seconds: all three are asked until none has passed meanwhile.
        let asked = || {
            let told = client.explain(number).unwrap();
            let html = page.get(&format!("/alerts/{number}"), &cookie);
            let json = page.get(&format!("/api/alerts/{number}"), &cookie);
            (client.explain(number).unwrap() == told).then_some((told, html, json))
        };
        let (told, html, json) = (0..50).find_map(|_| asked()).unwrap();
        assert_eq!((html.status, json.status), (200, 200));
        assert_eq!(serde_json::from_str::<Explanation>(&json.body).unwrap(), told);
        let escaped =
            |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
        let commands = told.remedies.iter().map(|remedy| remedy.command.clone());
        let words = [vec![told.sentence()], told.did.clone(), told.decided.clone(), told.counted(), told.done.clone()];
        for text in words.into_iter().flatten().chain(commands) {
            assert!(html.body.contains(&escaped(&text)), "the page lacks {text:?}");
        }
        let forms = html.body.matches("action=\"/label\"").count();
        assert_eq!((forms, html.body.matches("<script").count()), (2, 0), "two buttons, and no script");
        assert!(told.done[0].starts_with("203.0.113.77 is blocked (new connections) since "), "{:?}", told.done);
    }
    let told = client.explain(5).unwrap();
    assert_eq!(told.counted(), ["30 distinct ports tried by the source in 60 s (more than 20)"]);
    for (path, status) in [("/api/alerts/18", 401), ("/api/alerts?of=203.0.113.77", 401), ("/alerts/18", 303)] {
        let answer = page.get(path, "");
        assert_eq!(answer.status, status, "{path}");
        assert!(!answer.body.contains("203.0.113.77"), "{path}");
    }
    for path in ["/alerts/99", "/api/alerts/99", "/api/alerts/", "/api/alerts/x", "/api/alerts?of=192.0.2.1"] {
        assert_eq!(page.get(path, &cookie).status, 404, "{path}");
    }
    assert_eq!(page.get("/api/alerts?of=nobody", &cookie).status, 400);
    for path in ["/alerts/18", "/api/alerts/18", "/api/alerts"] {
        assert_eq!(page.post(path, &cookie, "", "").status, 405, "{path}");
    }
}

#[test]
fn what_is_known_of_somebody_is_told_with_the_newest_alert_first() {
    let page = open_page("about");
    let client = Client::new(&page.directory.path().join("run/sluice.sock"));
    (1..=9).for_each(|number| page.writer.send(Event::Alert(old_alert(number))).unwrap());
    page.writer.flush().unwrap();
    let about = |whom: &str| client.explain_all_of(whom.parse().unwrap());
    let told = about("203.0.113.77").unwrap();
    let numbers: Vec<u64> = told.alerts.iter().map(|told| told.alert.number).collect();
    assert_eq!((told.who.as_str(), numbers), ("203.0.113.77", vec![18, 9, 8, 7, 6]));
    assert!(told.done[0].contains("is blocked (new connections)"));
    let by_hand = about("198.51.100.4").unwrap();
    assert!(by_hand.alerts.is_empty() && by_hand.done.concat().contains("by admin"), "{by_hand:?}");
    assert_eq!(about("2001:db8:1::77").unwrap().alerts[0].alert.number, 17, "any address of the /64 will do");
    let refused = about("192.0.2.1").unwrap_err().to_string();
    assert_eq!(refused, "nothing is known of 192.0.2.1: no alert is kept, and no block was made");
}

#[test]
fn a_label_is_shown_with_who_said_so_and_the_button_that_takes_it_back() {
    let page = open_page("labelled");
    let cookie = page.log_in();
    let mut snapshot = snapshot(crate::clock::now());
    snapshot.alerts[0].label =
        Some(Arc::new(Label { class: ThreatClass::Benign, time: snapshot.time, actor: "anna".to_owned() }));
    page.handle.publish(snapshot);
    let body = page.get("/", &cookie).body;
    assert!(body.contains("anna says: benign"), "{body}");
    let buttons = ["Take it back: alert 18", "Right: alert 17", "Wrong: alert 17"];
    assert!(buttons.iter().all(|button| body.contains(button)) && !body.contains("Right: alert 18"));
    let events = state(&page, &cookie).events.unwrap();
    assert_eq!(events.alerts[0].label.as_deref(), Some("benign"));
    assert_eq!((&events.alerts[1].label, events.alerts[1].number), (&None, 17));
}

#[test]
fn a_daemon_that_is_not_there_is_told_from_one_that_is() {
    let page = open_page("daemon");
    let path = page.directory.path().join("run/sluice.sock");
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(path.parent().unwrap()), mode(&path)), (0o700, 0o600));
    let again = |path: &std::path::Path| {
        let config = WebConfig { socket_path: path.to_owned(), host_names: Vec::new() };
        serve(page.handle.clone(), Arc::clone(&page.library), Arc::clone(&page.store), Arc::clone(&page.writer), config)
    };
    assert!(matches!(again(&path), Err(WebError::AlreadyRunning { .. })));

    let stale = page.directory.path().join("stale.sock");
    drop(std::os::unix::net::UnixListener::bind(&stale).unwrap());
    let gone = Client::new(&stale).state().unwrap_err();
    let expected = format!("no daemon answers at {}; start it with `sluice run`", stale.display());
    assert_eq!(gone.to_string(), expected);
    let second = again(&stale).unwrap();
    assert!(Client::new(&stale).state().is_ok(), "a dead daemon's socket is replaced");
    drop(second);
    assert!(matches!(Client::new(&stale).state(), Err(ClientError::NoDaemon { .. })));

    let file = page.directory.path().join("precious.txt");
    std::fs::write(&file, "precious").unwrap();
    assert!(matches!(again(&file), Err(WebError::NotASocket { .. })));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
}

#[test]
fn what_was_never_written_down_cannot_be_labelled() {
    let page = open_page("unwritten");
    let mut snapshot = (*page.handle.snapshot()).clone();
    snapshot.alerts.insert(0, Alert { number: 40, ..snapshot.alerts[0].clone() });
    page.handle.publish(snapshot);
    let client = Client::new(&page.directory.path().join("run/sluice.sock"));
    let label = |alert| client.ask_for(&Request::Label { alert, class: None }).map_err(|error| error.to_string());
    let refusal = label(40).unwrap_err();
    assert!(refusal.contains("alert 40 could not be written down"), "{refusal}");
    assert!(page.asked.try_recv().is_err(), "the control thread is not asked");
    label(17).unwrap();
    assert_eq!(page.asked.recv().unwrap(), "local labels 17 None");
}

#[test]
fn models_are_shown_and_chosen_but_files_are_read_for_nobody_on_the_network() {
    let page = open_page("models");
    let cookie = page.log_in();
    assert_eq!(state(&page, &cookie).events.unwrap().models.stored[0].model, "forest@4");
    let html = page.get("/", &cookie).body;
    assert!(html.contains("forest@4 judges beside it and decides nothing"), "{html}");
    assert!(html.contains("not known before 2000 flows have ended (0 so far)"), "{html}");
    let host = page.address;
    let headers = format!("Origin: http://{host}\r\nContent-Type: application/json\r\n");
    let ask = |body: &str| {
        let answer = page.post("/api/model", &cookie, &headers, body);
        (answer.status, answer.body)
    };
    let client = Client::new(&page.directory.path().join("run/sluice.sock"));
    let load = |path: &Path| client.change_models(&ModelRequest::Load { path: path.to_owned() });
    let file = sealed_model(&page, "forest", 4);
    assert_eq!(load(&file).unwrap().address, "forest@4");
    assert_eq!(page.asked.recv().unwrap(), format!("local took in forest@4 from {}", file.display()));
    assert_eq!(page.asked.recv().unwrap(), "local has forest@4 judge beside");
    assert!(load(Path::new("/nowhere/x.model")).unwrap_err().to_string().contains("/nowhere/x.model: cannot read it"));
    assert_eq!(
        ask(r#"{"action":"pin","model":"forest@4"}"#),
        (200, r#"{"address":"forest@4","said":"The model forest@4 decides."}"#.to_owned())
    );
    let pinned = page.asked.recv().unwrap();
    assert!(pinned.starts_with("admin pins forest@4: Some(Model") && pinned.contains("\"forest@4\""), "{pinned}");
    for (body, status, words) in [
        (r#"{"action":"pin","model":"forest@5"}"#, 404, "forest@5 is not in the registry"),
        (r#"{"action":"remove","model":"forest@4"}"#, 409, "forest@4 is in use"),
        (r#"{"action":"rollback"}"#, 404, "no other model has decided before"),
        (r#"{"action":"load","model":"/etc/shadow"}"#, 403, "sluice model load FILE"),
        (r#"{"action":"pin","model":"forest"}"#, 400, "NAME@VERSION"),
        (r#"{"action":"remove","model":"built-in"}"#, 400, "NAME@VERSION"),
        (r#"{"action":"forget","model":"forest@4"}"#, 400, "is none of load, shadow"),
    ] {
        let (got, answer) = ask(body);
        assert!(got == status && answer.contains(words), "{body}: {got} {answer}");
    }
    assert_eq!(page.post("/api/model", "", &headers, r#"{"action":"rollback"}"#).status, 401);
    assert_eq!(page.post_form("/model", &cookie, "action=rollback").status, 404);
    assert!(page.asked.try_recv().is_err(), "what is refused does not come to the control thread");
}

#[test]
fn orders_come_by_the_socket_or_from_whoever_is_logged_in_and_no_stranger() {
    let page = open_page("orders");
    let client = Client::new(&page.directory.path().join("run/sluice.sock"));
    let done = client.order(Order::Reload).unwrap();
    assert_eq!((done.changed, done.at_next_start), (vec!["policy.profile".to_owned()], vec!["memory".to_owned()]));
    let refused = client.order(Order::Restart).unwrap_err();
    assert!(matches!(&refused, ClientError::Refused(why) if why == "the new program would not run"), "{refused}");
    for path in ["/api/reload", "/api/restart"] {
        assert_eq!(page.get(path, "").status, 405);
        let host = page.address;
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}"
        );
        assert_eq!(exchange(host, &request).status, 401);
    }
}

#[test]
fn the_door_may_be_opened_again_elsewhere() {
    let mut page = open_page("reopen");
    let before = page.address;
    let error = page.server.open_door("192.0.2.1:8080".parse().unwrap()).unwrap_err();
    assert!(matches!(error, WebError::Listen { .. }), "an address that is not there yet is an error, not a wait");
    assert!(std::net::TcpStream::connect(before).is_err(), "the old door is shut");
    page.address = page.server.open_door("[::1]:0".parse().unwrap()).unwrap();
    assert_eq!(page.get("/", "").status, 200);
}
