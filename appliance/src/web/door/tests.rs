//! The door through real sockets, with a server behind it that remembers what reached it.

use std::io::Read as _;
use std::os::unix::net::UnixListener;
use std::sync::mpsc::{Receiver, channel};

use super::super::fixture::{Response, TestDirectory, exchange};
use super::*;

struct Fixture {
    door: Door,
    /// What the server behind received, whole.
    received: Receiver<String>,
    _directory: TestDirectory,
}

/// Answers each request with a fixed text, after reading it until the door waits for the answer.
fn play_server(listener: &UnixListener, received: &std::sync::mpsc::Sender<String>) {
    for socket in listener.incoming() {
        let mut socket = socket.unwrap();
        let mut request = Vec::new();
        let mut chunk = [0; 4096];
        while !is_whole(&request) {
            let len = socket.read(&mut chunk).unwrap();
            request.extend_from_slice(&chunk[..len]);
        }
        received.send(String::from_utf8(request).unwrap()).unwrap();
        socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello").unwrap();
    }
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap();
    body.len() >= length.parse::<usize>().unwrap()
}

fn open(name: &str, limits: Limits) -> Fixture {
    let directory = TestDirectory::new(name);
    let path = directory.path().join("inner.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let (sender, received) = channel();
    std::thread::spawn(move || play_server(&listener, &sender));
    let door = Door::open("127.0.0.1:0".parse().unwrap(), path, limits).unwrap();
    Fixture { door, received, _directory: directory }
}

impl Fixture {
    fn ask(&self, request: &str) -> Response {
        exchange(self.door.address(), request)
    }
}

#[test]
fn a_request_and_its_answer_pass() {
    let fixture = open("pass", Limits::default());
    let answer =
        fixture.ask("POST /login HTTP/1.1\r\nHost: box\r\nX-Sluice-Peer: 6.6.6.6\r\nContent-Length: 3\r\n\r\na=b");
    assert_eq!((answer.status, answer.body.as_str()), (200, "hello"));
    assert_eq!(
        fixture.received.recv().unwrap(),
        "POST /login HTTP/1.1\r\nHost: box\r\nX-Sluice-Peer: 127.0.0.1\r\nContent-Length: 3\r\nConnection: close\r\n\r\na=b"
    );
    assert_eq!(fixture.door.refused(), 0);
}

#[test]
fn a_body_of_the_largest_size_passes() {
    let fixture = open("largest", Limits::default());
    let body = "x".repeat(MAX_BODY_BYTES);
    let length = body.len();
    let answer = fixture.ask(&format!("POST / HTTP/1.1\r\nHost: box\r\nContent-Length: {length}\r\n\r\n{body}"));
    assert_eq!(answer.status, 200);
    assert!(fixture.received.recv().unwrap().ends_with(&format!("\r\n\r\n{body}")));
}

#[test]
fn what_follows_a_request_is_never_handed_on() {
    let fixture = open("smuggled", Limits::default());
    let second = "POST /api/unblock HTTP/1.1\r\nHost: box\r\nContent-Length: 0\r\n\r\n";
    for first in
        ["GET / HTTP/1.1\r\nHost: box\r\n\r\n", "POST / HTTP/1.1\r\nHost: box\r\nContent-Length: 4\r\n\r\nabcd"]
    {
        let answer = fixture.ask(&format!("{first}{second}"));
        assert_eq!((answer.status, answer.body.as_str()), (200, "hello"), "one answer and no more");
        assert!(!fixture.received.recv().unwrap().contains("unblock"));
    }
    assert!(fixture.received.try_recv().is_err());
}

#[test]
fn what_is_refused_never_reaches_the_server() {
    let fixture = open("refused", Limits::default());
    let head = "POST / HTTP/1.1\r\nHost: box\r\n";
    let cases = [
        ("\x16\x03\x01 hello".to_owned(), 400),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("GET http://box/ HTTP/1.1\r\nHost: box\r\n\r\n".to_owned(), 400),
        (format!("{head}Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde"), 400),
        (format!("{head}Content-Length: -1\r\n\r\n"), 400),
        (format!("{head}Content-Length: 10\r\n\r\ncut"), 400),
        ("GET / HTTP/1.1\r\nHost: box\r\nCookie: cut".to_owned(), 400),
        ("DELETE / HTTP/1.1\r\nHost: box\r\n\r\n".to_owned(), 405),
        (format!("{head}\r\n"), 411),
        (format!("{head}Content-Length: 65537\r\n\r\n{}", "x".repeat(65_537)), 413),
        (format!("GET /{} HTTP/1.1\r\nHost: box\r\n\r\n", "x".repeat(9_000)), 431),
        (format!("{head}A: {}", "x".repeat(100_000)), 431),
        (format!("{head}{}\r\n", "A: b\r\n".repeat(65)), 431),
        (format!("{head}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 501),
        (format!("{head}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 501),
        ("GET / HTTP/3.0\r\nHost: box\r\n\r\n".to_owned(), 505),
    ];
    let count = cases.len() as u64;
    for (request, status) in cases {
        let answer = fixture.ask(&request);
        assert_eq!(answer.status, status, "{:?}", request.get(..80.min(request.len())));
        assert_eq!(answer.header("connection"), Some("close"));
        let length = answer.header("content-length").unwrap().parse::<usize>().unwrap();
        assert_eq!(answer.body.len(), length);
    }
    assert!(fixture.received.try_recv().is_err(), "nothing got through");
    assert_eq!(fixture.door.refused(), count);
}

/// Sends the text a byte at a time, over and over, until the door answers; returns the answer.
fn drip(address: SocketAddr, start: &str) -> String {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
    socket.write_all(start.as_bytes()).unwrap();
    let mut answer = Vec::new();
    loop {
        // Once the door has shut, writing fails; the answer is read all the same.
        let _ = socket.write_all(b"a");
        match socket.read_to_end(&mut answer) {
            Ok(_) => return String::from_utf8(answer).unwrap(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return String::from_utf8(answer).unwrap(),
        }
    }
}

#[test]
fn a_drip_is_cut_off_however_steady_it_is() {
    let request_time = Duration::from_millis(300);
    let fixture = open("drip", Limits { request_time, ..Limits::default() });
    let in_body = "POST / HTTP/1.1\r\nHost: box\r\nContent-Length: 60000\r\n\r\n";
    for start in ["G", "GET /", "GET / HTTP/1.1\r\nHost: box\r\nCookie: ", in_body] {
        // "G" goes on as "Gaaa…", which could still be a method.
        let answer = drip(fixture.door.address(), start);
        assert_eq!(Response::parse(&answer).status, 408, "{start}");
    }
    let silent = TcpStream::connect(fixture.door.address()).unwrap();
    let mut answer = String::new();
    (&silent).read_to_string(&mut answer).unwrap();
    assert_eq!(Response::parse(&answer).status, 408);
    assert!(fixture.received.try_recv().is_err());
}

#[test]
fn one_peer_cannot_take_all_seats_and_gets_them_back() {
    let fixture = open("seats", Limits { connections_per_peer: 2, ..Limits::default() });
    let request = "GET / HTTP/1.1\r\nHost: box\r\n\r\n";
    let idle = [(); 2].map(|()| TcpStream::connect(fixture.door.address()).unwrap());
    let refused = fixture.ask(request);
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("5")));
    assert_eq!(fixture.door.refused(), 1);
    drop(idle);
    // The door sees the closes in its own time.
    while fixture.ask(request).status == 503 {
        std::thread::yield_now();
    }
    assert!(fixture.received.recv().is_ok());
}

#[test]
fn an_unused_connection_that_closes_is_no_refusal() {
    let fixture = open("unused", Limits { connections_per_peer: 1, ..Limits::default() });
    drop(TcpStream::connect(fixture.door.address()).unwrap());
    let request = "GET / HTTP/1.1\r\nHost: box\r\n\r\n";
    let mut busy = 0;
    while fixture.ask(request).status == 503 {
        busy += 1;
    }
    assert_eq!(fixture.door.refused(), busy);
}

#[test]
fn a_server_that_is_gone_is_told() {
    let directory = TestDirectory::new("gone");
    let path = directory.path().join("nobody.sock");
    let door = Door::open("127.0.0.1:0".parse().unwrap(), path, Limits::default()).unwrap();
    assert_eq!(exchange(door.address(), "GET / HTTP/1.1\r\nHost: box\r\n\r\n").status, 502);
}

#[test]
fn a_closed_door_is_closed() {
    let fixture = open("closed", Limits::default());
    let address = fixture.door.address();
    drop(fixture.door);
    assert!(TcpStream::connect(address).is_err());
}
