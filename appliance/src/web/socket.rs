//! The private unix socket: tiny_http behind it, and the threads that answer.

use std::fs::Permissions;
use std::io::{self, Read as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket};

use super::WebError;
use super::app::App;
use super::door::{MAX_BODY_BYTES, PEER_HEADER};
use super::http::{Answer, Caller, Incoming, Method};
use crate::folder;

/// Requests that are answered at once. A few, so that one that waits for the control thread does not hold up the others.
const HANDLERS: usize = 4;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 64;

/// The running server; it stops when dropped, and takes its socket away.
pub(super) struct Server {
    server: Arc<tiny_http::Server>,
    stopping: Arc<AtomicBool>,
    handlers: Vec<JoinHandle<()>>,
}

impl Server {
    pub(super) fn start(path: &Path, app: &Arc<App>) -> Result<Self, WebError> {
        let listener = private_listener(path)?;
        let failed = |cause| WebError::Thread { cause };
        let server =
            tiny_http::Server::from_listener(listener, None).map_err(|cause| failed(io::Error::other(cause)))?;
        let (server, stopping) = (Arc::new(server), Arc::new(AtomicBool::new(false)));
        let mut running = Self { server, stopping, handlers: Vec::with_capacity(HANDLERS) };
        for _ in 0..HANDLERS {
            let (server, stopping) = (Arc::clone(&running.server), Arc::clone(&running.stopping));
            let app = Arc::clone(app);
            let handler = std::thread::Builder::new()
                .name("page".to_owned())
                .spawn(move || answer_all(&server, &stopping, &app))
                .map_err(failed)?;
            running.handlers.push(handler);
        }
        Ok(running)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Release);
        for _ in &self.handlers {
            self.server.unblock();
        }
        for handler in self.handlers.drain(..) {
            if handler.join().is_err() {
                log::error!("a thread of the page had panicked");
            }
        }
    }
}

fn answer_all(server: &tiny_http::Server, stopping: &AtomicBool, app: &App) {
    loop {
        let received = server.recv();
        if stopping.load(Ordering::Acquire) {
            return;
        }
        match received {
            Ok(request) => respond(request, app),
            // tiny_http gives up its listener at the first error, which only a lack of file descriptors or memory brings.
            Err(error) => log::error!("the page and the commands are gone ({error}); restart the daemon"),
        }
    }
}

fn respond(mut request: tiny_http::Request, app: &App) {
    let answer = match incoming(&mut request) {
        Ok(incoming) => app.answer(&incoming, crate::clock::now()),
        Err(answer) => answer,
    };
    let length = answer.body.len();
    let mut response = tiny_http::Response::from_string(answer.body)
        .with_status_code(answer.status)
        // The commands read bodies by their length.
        .with_chunked_threshold(length.saturating_add(1));
    for (name, value) in answer.headers {
        // Our values are plain text; one that is not would be left away rather than end the thread.
        if let Ok(header) = tiny_http::Header::from_bytes(name, value) {
            response.add_header(header);
        }
    }
    // Whoever asked may be gone.
    let _ = request.respond(response);
}

fn incoming(request: &mut tiny_http::Request) -> Result<Incoming, Answer> {
    let method = match request.method() {
        tiny_http::Method::Get | tiny_http::Method::Head => Method::Get,
        tiny_http::Method::Post => Method::Post,
        _ => return Err(Answer::text(405, "Only GET, HEAD and POST are answered.")),
    };
    let header = |name: &'static str| {
        request.headers().iter().find(|header| header.field.equiv(name)).map(|header| header.value.as_str().to_owned())
    };
    // Only the door and administrators reach this socket, and the door always sets this header.
    let caller = match header(PEER_HEADER).map(|peer| peer.parse()) {
        None => Caller::Local,
        Some(Ok(peer)) => Caller::Network(peer),
        Some(Err(_)) => return Err(Answer::text(400, "The peer's address makes no sense.")),
    };
    let (path, query) = request.url().split_once('?').unwrap_or((request.url(), ""));
    let mut incoming = Incoming {
        caller,
        method,
        path: path.to_owned(),
        query: query.to_owned(),
        host: header("Host").unwrap_or_default(),
        origin: header("Origin"),
        cookie: header("Cookie").unwrap_or_default(),
        content_type: header("Content-Type").unwrap_or_default(),
        token: header("X-Sluice-Token").unwrap_or_default(),
        body: Vec::new(),
    };
    incoming.body = body(request)?;
    Ok(incoming)
}

fn body(request: &mut tiny_http::Request) -> Result<Vec<u8>, Answer> {
    let mut body = Vec::new();
    let most = MAX_BODY_BYTES as u64 + 1;
    match request.as_reader().take(most).read_to_end(&mut body) {
        Ok(len) if len <= MAX_BODY_BYTES => Ok(body),
        Ok(_) => Err(Answer::text(413, "The body is larger than 64 KiB.")),
        Err(_) => Err(Answer::text(400, "The body did not arrive whole.")),
    }
}

/// Listens on a socket that only its owner may open. The rights are set between `bind` and `listen`, so there is no moment
/// at which anybody else could connect.
fn private_listener(path: &Path) -> Result<UnixListener, WebError> {
    if let Some(directory) = path.parent() {
        folder::make_private(directory)
            .map_err(|cause| WebError::MakeDirectory { path: directory.to_owned(), cause })?;
    }
    remove_stale(path)?;
    let failed = |cause: io::Error| WebError::Socket { path: path.to_owned(), cause };
    let open = || -> io::Result<UnixListener> {
        let socket = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
        bind(socket.as_raw_fd(), &UnixAddr::new(path)?)?;
        std::fs::set_permissions(path, Permissions::from_mode(0o600))?;
        listen(&socket, Backlog::new(BACKLOG)?)?;
        Ok(UnixListener::from(socket))
    };
    open().map_err(failed)
}

/// Removes the socket of a daemon that died; not that of one that lives, and nothing that is no socket.
fn remove_stale(path: &Path) -> Result<(), WebError> {
    let failed = |cause| WebError::Socket { path: path.to_owned(), cause };
    let kind = match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found.map_err(failed)?.file_type(),
    };
    if !kind.is_socket() {
        return Err(WebError::NotASocket { path: path.to_owned() });
    }
    if UnixStream::connect(path).is_ok() {
        return Err(WebError::AlreadyRunning { path: path.to_owned() });
    }
    std::fs::remove_file(path).map_err(failed)
}
