//! What the tests of the page share: a snapshot, a control thread played by a test, and the plainest of HTTP clients.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;

use model_compiler::sealed::{ModelId, SecretKey, seal};
use traffic::features::ThreatClass;
use traffic::time::Timestamp;

use super::{WebConfig, WebServer, serve};
use crate::config::Memory;
use crate::control::{
    ControlError, Done, Handle, Library, Message, ModelChange, Order, OrderError, Ordered, Reply, Request, ShownModels,
    Snapshot,
};
use crate::policy::{Action, Alert, BlockRecord, BlockState, Mode, Modes, Subject};
use crate::registry::{Choices, Registry, Stored};
use crate::store::{Event, Keep, Store, Writer};
use crate::surroundings::Placement;

pub(super) use crate::store::test_directory::TestDirectory;

pub(super) const PASSWORD: &str = "correct horse";

pub(crate) fn snapshot(now: Timestamp) -> Snapshot {
    let ago = |seconds| Timestamp::from_secs(now.as_secs() - seconds);
    let later = |seconds| Timestamp::from_secs(now.as_secs() + seconds);
    let block = |address: &str, action, class, because: &str, actor: &str| BlockRecord {
        subject: Subject::of(address.parse().unwrap()),
        action,
        state: BlockState::Enforced,
        class,
        offence: 1,
        since: ago(130),
        until: later(3_000),
        because: because.into(),
        actor: actor.into(),
    };
    let guessing = "short log-ins in 60 s = 31, more than 10";
    Snapshot {
        time: now,
        started: ago(93_000),
        modes: Modes::all(Mode::Enforce),
        device_addresses: BTreeMap::new(),
        allowances: Vec::new(),
        allowed_names: Vec::new(),
        models: shown_models(),
        bridge: "br-sluice".to_owned(),
        ports: ["eth0".to_owned(), "eth1".to_owned()],
        internet_port: Some("eth1".to_owned()),
        placement: Placement::LanSide,
        page: None,
        is_starting: false,
        paused_left: None,
        cannot_enforce: false,
        acknowledged: None,
        faults: Vec::new(),
        packets: 48_213_377,
        bytes: 39_112_004_551,
        ring_drops: 0,
        passed_over: 0,
        undecodable: 12,
        flows: 412,
        dropped_packets: 9_204,
        alerts: vec![
            Alert {
                number: 18,
                time: ago(12),
                class: ThreatClass::Scan,
                source: "203.0.113.77".parse().unwrap(),
                destination: "192.168.1.20".parse().unwrap(),
                port: Some(445),
                confidence: 0.97,
                because: "distinct ports in 2 s = 41 > 12 & <b>unanswered</b> flows = 0.98".to_owned(),
                grounds: None,
                label: None,
            },
            Alert {
                number: 17,
                time: ago(140),
                class: ThreatClass::BruteForce,
                source: "2001:db8:1::9".parse().unwrap(),
                destination: "2001:db8:2::22".parse().unwrap(),
                port: None,
                confidence: 1.0,
                because: guessing.to_owned(),
                grounds: None,
                label: None,
            },
        ],
        blocks: vec![
            block("203.0.113.77", Action::DenyNew, Some(ThreatClass::Scan), "distinct ports in 2 s = 41", "sluice"),
            block("2001:db8:1::9", Action::Deny, Some(ThreatClass::BruteForce), guessing, "sluice"),
            block("198.51.100.4", Action::Deny, None, "rings at night", "admin"),
        ],
    }
}

fn shown_models() -> ShownModels {
    let id: ModelId = "forest@4".parse().unwrap();
    ShownModels {
        choices: Choices { shadow: Some(id.clone()), ..Choices::default() },
        stored: vec![Stored { id, bytes: 118_034 }],
        drift_alarm: 7.0,
        ..ShownModels::default()
    }
}

/// A control thread that protects 192.168.1.1, remembers what it is asked, and otherwise obeys.
pub(super) fn control(first: Snapshot) -> (Handle, std::sync::mpsc::Receiver<String>) {
    let (handle, requests, orders) = Handle::new(first, 16);
    let (asked, log) = std::sync::mpsc::channel();
    let publisher = handle.clone();
    std::thread::spawn(move || {
        for Ordered { order, reply, .. } in orders {
            let _ = reply.send(match order {
                Order::Reload => {
                    Ok(Done { changed: vec!["policy.profile"], at_next_start: vec!["memory"], page_fault: None })
                }
                Order::Restart => Err(OrderError::Program(String::from("the new program would not run"))),
            });
        }
    });
    // Lives as long as the test's process; it holds a handle itself and so never sees the end of requests.
    std::thread::spawn(move || {
        for request in requests {
            match request {
                Message::Request { request, actor, reply } => {
                    let _ = asked.send(words_of(&request, &actor));
                    let _ = reply.send(carry_out(&request, &publisher));
                }
                Message::Models { change, actor, reply, .. } => {
                    let (did, which) = taken_over(change);
                    let _ = asked.send(format!("{actor} {did}"));
                    let _ = reply.send(Ok(which));
                }
                Message::Decision(_)
                | Message::TableChanged { .. }
                | Message::Configure { .. }
                | Message::Resolved { .. } => {}
                Message::Stop { .. } => return,
            }
        }
    });
    (handle, log)
}

fn words_of(request: &Request, actor: &str) -> String {
    match request {
        Request::Block { subject, ttl, because } => {
            format!("{actor} blocks {subject} for {} s: {because}", ttl.as_secs())
        }
        Request::Unblock { subject } => format!("{actor} unblocks {subject}"),
        Request::Approve { subject } => format!("{actor} approves {subject}"),
        Request::Allow { allowed, ttl } => format!("{actor} allows {allowed} for {ttl:?}"),
        Request::Disallow { allowed } => format!("{actor} disallows {allowed}"),
        Request::Label { alert, class } => format!("{actor} labels {alert} {class:?}"),
        Request::SetMode { class, mode } => format!("{actor} sets {class:?} to {}", mode.name()),
        Request::Pause { ttl } => format!("{actor} pauses for {ttl:?}"),
        Request::Resume => format!("{actor} resumes"),
        Request::Acknowledge => format!("{actor} acknowledges"),
    }
}

fn carry_out(request: &Request, publisher: &Handle) -> Reply {
    match request {
        Request::Block { subject, .. } if subject.to_string() == "192.168.1.1" => {
            Err(ControlError::Protected { subject: *subject, why: "it is the gateway".to_owned() })
        }
        Request::Unblock { subject } => {
            let mut snapshot = (*publisher.snapshot()).clone();
            let before = snapshot.blocks.len();
            snapshot.blocks.retain(|block| block.subject != *subject);
            let found = snapshot.blocks.len() < before;
            publisher.publish(snapshot);
            if found { Ok(subject.to_string()) } else { Err(ControlError::NotBlocked { subject: *subject }) }
        }
        Request::Block { subject, .. } | Request::Approve { subject } => Ok(subject.to_string()),
        Request::Allow { allowed, .. } | Request::Disallow { allowed } => Ok(allowed.to_string()),
        Request::Label { alert, .. } => Ok(format!("alert {alert}")),
        Request::SetMode { .. } => Ok("all attacks".to_owned()),
        Request::Pause { .. } | Request::Resume | Request::Acknowledge => Ok("it".to_owned()),
    }
}

/// What was done, and about which model.
fn taken_over(change: ModelChange) -> (String, String) {
    let shadow = |id: Option<&ModelId>| id.map_or_else(|| "none".to_owned(), ToString::to_string);
    match change {
        ModelChange::TakenIn { id, path } => (format!("took in {id} from {}", path.display()), id.to_string()),
        ModelChange::Shadow(model) => {
            let name = shadow(model.as_ref().map(|(id, _)| id));
            (format!("has {name} judge beside"), name)
        }
        ModelChange::Pin(choice, model) => (format!("pins {choice}: {model:?}"), choice.to_string()),
        ModelChange::Removed(id) => (format!("removed {id}"), id.to_string()),
    }
}

/// A file that the page's registry takes in.
pub(super) fn sealed_model(page: &Page, name: &str, version: u32) -> std::path::PathBuf {
    let file = page.directory.path().join("given.model");
    let mut model = model_compiler::json::read(include_str!("../../../models/forest/model.json")).unwrap();
    model.name = name.to_owned();
    std::fs::write(&file, seal(&model, version, 1_800_000_000, &maker()).unwrap()).unwrap();
    file
}

/// Whose models the page's registry trusts.
fn maker() -> SecretKey {
    SecretKey::from_random([1; 32])
}

/// The whole page on loopback.
pub(super) struct Page {
    // Dropped in this order: the server before the directory of its socket.
    pub(super) server: WebServer,
    pub(super) address: SocketAddr,
    pub(super) handle: Handle,
    pub(super) store: Arc<Store>,
    pub(super) writer: Arc<Writer>,
    pub(super) library: Arc<Library>,
    pub(super) asked: std::sync::mpsc::Receiver<String>,
    pub(super) directory: TestDirectory,
}

pub(super) fn open_page(name: &str) -> Page {
    let directory = TestDirectory::new(name);
    let now = crate::clock::now();
    let store = Arc::new(Store::open(directory.path(), now).unwrap().store);
    let writer = Arc::new(store.writer(Keep::MANY).unwrap());
    let first = snapshot(now);
    for alert in &first.alerts {
        writer.send(Event::Alert(alert.clone())).unwrap();
    }
    let (handle, asked) = control(first);
    let config =
        WebConfig { socket_path: directory.path().join("run/sluice.sock"), host_names: vec!["sluice.lan".to_owned()] };
    let library =
        Arc::new(Library::new(Registry::new(directory.path(), vec![maker().public()], Memory::default().models())));
    let mut server =
        serve(handle.clone(), Arc::clone(&library), Arc::clone(&store), Arc::clone(&writer), config).unwrap();
    let address = server.open_door("127.0.0.1:0".parse().unwrap()).unwrap();
    Page { server, address, handle, store, writer, library, asked, directory }
}

impl Page {
    pub(super) fn get(&self, path: &str, cookie: &str) -> Response {
        let host = self.address;
        exchange(host, &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\n\r\n"))
    }

    /// A form posted as a browser does, with the page's own Origin.
    pub(super) fn post_form(&self, path: &str, cookie: &str, body: &str) -> Response {
        let headers = format!("Origin: http://{}\r\nContent-Type: application/x-www-form-urlencoded\r\n", self.address);
        self.post(path, cookie, &headers, body)
    }

    pub(super) fn post(&self, path: &str, cookie: &str, headers: &str, body: &str) -> Response {
        let (host, length) = (self.address, body.len());
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
        );
        exchange(host, &request)
    }

    /// Sets the password, logs in, and returns the cookie.
    pub(super) fn log_in(&self) -> String {
        self.store.set_password("admin", PASSWORD, crate::clock::now(), "local").unwrap();
        let answer = self.post_form("/login", "", "name=admin&password=correct+horse");
        assert_eq!((answer.status, answer.header("location")), (303, Some("/")));
        answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned()
    }

    pub(super) fn audit(&self) -> Vec<String> {
        self.writer.flush().unwrap();
        let rows = self.store.audit_rows(100).unwrap();
        rows.into_iter().rev().map(|row| format!("{} {}", row.actor, row.what)).collect()
    }
}

/// An answer taken apart.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

impl Response {
    pub(super) fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self { status, head: head.to_owned(), body: body.to_owned() }
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The value of a form's hidden field.
    pub(super) fn hidden(&self, name: &str) -> &str {
        let start = format!("<input type=\"hidden\" name=\"{name}\" value=\"");
        let (_, rest) = self.body.split_once(&start).unwrap();
        rest.split_once('"').unwrap().0
    }
}

/// Sends the bytes and reads to the end.
pub(super) fn exchange(address: SocketAddr, request: &str) -> Response {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.write_all(request.as_bytes()).unwrap();
    socket.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    Response::parse(&answer)
}
