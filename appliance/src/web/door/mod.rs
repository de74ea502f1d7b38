//! The door: the only part of the page that faces the network.
//!
//! tiny_http has no limits, no deadlines and a thread for each connection, so it listens on a private unix socket only,
//! and the door stands before it: it caps connections, reads one whole request against one deadline, checks it and hands
//! a rebuilt one on, then relays the answer and closes.

mod request;
mod seats;

use core::net::{IpAddr, SocketAddr};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;
use std::collections::VecDeque;
use std::io::{self, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use super::deadline::{Deadline, read_some, write_all};
use request::{Head, Refusal};
use seats::{Seat, Seats};

pub(super) use request::{MAX_BODY_BYTES, PEER_HEADER};

/// What the door allows. The defaults are right everywhere but in tests.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Connections at once.
    pub(super) connections: usize,
    /// Connections at once from one address (IPv6: from one /64).
    pub(super) connections_per_peer: usize,
    /// Time for a request to arrive whole.
    pub(super) request_time: Duration,
    /// Time for the answer to be made and taken.
    pub(super) answer_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 64,
            connections_per_peer: 8,
            request_time: Duration::from_secs(10),
            answer_time: Duration::from_secs(30),
        }
    }
}

/// Each connection's thread; its buffers are on the heap.
const STACK_BYTES: usize = 128 * 1024;

/// How long a client may take to close after its answer; see [`close`].
const CLOSE_TIME: Duration = Duration::from_secs(1);

/// Clients turned away whose sockets are kept open a while: closed at once, a socket with unread bytes sends a reset, which
/// overtakes the answer.
const TURNED_AWAY_KEPT: usize = 16;

/// Wait after a failed accept, when the system is short of something.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// An open door; it closes when dropped. Requests under way are finished.
#[derive(Debug)]
pub(super) struct Door {
    shared: Arc<Shared>,
    address: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    listener: TcpListener,
    inner_socket: PathBuf,
    limits: Limits,
    seats: Arc<Seats>,
    refused: AtomicU64,
    closing: AtomicBool,
}

impl Door {
    /// Listens at the address, and hands requests on to the server at the unix socket.
    pub(super) fn open(address: SocketAddr, inner_socket: PathBuf, limits: Limits) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let seats = Seats::new(limits.connections, limits.connections_per_peer);
        let (refused, closing) = (AtomicU64::new(0), AtomicBool::new(false));
        let shared = Arc::new(Shared { listener, inner_socket, limits, seats, refused, closing });
        let accepting = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("door".to_owned()).spawn(move || accept_all(&accepting))?;
        Ok(Self { shared, address, thread: Some(thread) })
    }

    /// Where it listens; tells the port where 0 was asked for.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Requests refused so far: malformed, too large, too slow, or over the cap.
    pub(super) fn refused(&self) -> u64 {
        self.shared.refused.load(Ordering::Relaxed)
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::Release);
        // On Linux this wakes a thread that waits in accept, even when the address itself is gone meanwhile.
        let woken = nix::sys::socket::shutdown(self.shared.listener.as_raw_fd(), nix::sys::socket::Shutdown::Both);
        match (woken, self.thread.take()) {
            (Ok(()), Some(thread)) => {
                if thread.join().is_err() {
                    log::error!("the door's thread had panicked");
                }
            }
            (Err(error), _) => log::warn!("the door's thread cannot be woken: {error}"),
            (Ok(()), None) => {}
        }
    }
}

fn accept_all(shared: &Arc<Shared>) {
    let mut turned_away = VecDeque::with_capacity(TURNED_AWAY_KEPT);
    loop {
        let accepted = shared.listener.accept();
        if shared.closing.load(Ordering::Acquire) {
            return;
        }
        match accepted {
            Ok((client, peer)) => admit(shared, client, peer.ip().to_canonical(), &mut turned_away),
            // A client that was gone again, or no file descriptor left: others may fare better later.
            Err(_) => std::thread::sleep(ACCEPT_PAUSE),
        }
    }
}

/// Gives the client a thread of its own, or turns it away without waiting for it.
fn admit(shared: &Arc<Shared>, client: TcpStream, peer: IpAddr, turned_away: &mut VecDeque<TcpStream>) {
    let Some(seat) = shared.seats.take(peer) else {
        shared.refused.fetch_add(1, Ordering::Relaxed);
        turn_away(&client);
        if turned_away.len() >= TURNED_AWAY_KEPT {
            turned_away.pop_front();
        }
        turned_away.push_back(client);
        return;
    };
    let for_thread = Arc::clone(shared);
    let spawned = std::thread::Builder::new()
        .name("door-client".to_owned())
        .stack_size(STACK_BYTES)
        .spawn(move || serve(&for_thread, client, peer, seat));
    if spawned.is_err() {
        shared.refused.fetch_add(1, Ordering::Relaxed);
    }
}

fn turn_away(mut client: &TcpStream) {
    // Nothing here waits, and nothing more can be done for a client for which it fails.
    let _ = client.set_nonblocking(true);
    let _ = client.write(refusal_text(Refusal::Busy).as_bytes());
    let _ = client.shutdown(Shutdown::Write);
}

fn serve(shared: &Shared, mut client: TcpStream, peer: IpAddr, _seat: Seat) {
    let request = receive(&mut client, peer, Deadline::after(shared.limits.request_time));
    let answered = match request {
        Ok(Some(request)) => relay(shared, &mut client, &request),
        // Browsers open connections in advance and close them unused.
        Ok(None) => return,
        Err(refusal) => Err(refusal),
    };
    if let Err(refusal) = answered {
        shared.refused.fetch_add(1, Ordering::Relaxed);
        // A client that does not take its refusal has had its chance.
        let _ = write_all(&mut client, refusal_text(refusal).as_bytes(), Deadline::after(CLOSE_TIME));
    }
    close(&mut client);
}

/// Reads one whole request and returns it rebuilt; `None` where the client closed without a word.
fn receive(client: &mut TcpStream, peer: IpAddr, deadline: Deadline) -> Result<Option<Vec<u8>>, Refusal> {
    let mut received = Vec::new();
    loop {
        if let Some(head) = request::parse(&received, peer)? {
            return receive_body(client, received, &head, deadline).map(Some);
        }
        if !receive_more(client, &mut received, deadline)? {
            return if received.is_empty() { Ok(None) } else { Err(Refusal::Malformed) };
        }
    }
}

fn receive_body(
    client: &mut TcpStream,
    mut received: Vec<u8>,
    head: &Head,
    deadline: Deadline,
) -> Result<Vec<u8>, Refusal> {
    let end = head.len_bytes.saturating_add(head.body_len_bytes);
    while received.len() < end {
        if !receive_more(client, &mut received, deadline)? {
            return Err(Refusal::Malformed);
        }
    }
    let mut request = head.rebuilt.clone().into_bytes();
    request.extend_from_slice(received.get(head.len_bytes..end).unwrap_or_default());
    Ok(request)
}

/// Whether anything came.
fn receive_more(client: &mut TcpStream, received: &mut Vec<u8>, deadline: Deadline) -> Result<bool, Refusal> {
    let mut chunk = [0; 2048];
    let len = read_some(client, &mut chunk, deadline).map_err(|error| match error.kind() {
        io::ErrorKind::TimedOut => Refusal::TooSlow,
        _ => Refusal::Malformed,
    })?;
    received.extend_from_slice(chunk.get(..len).unwrap_or_default());
    Ok(len > 0)
}

/// Hands the request on, and the answer back. After the first byte of the answer nothing can be refused any more.
fn relay(shared: &Shared, client: &mut TcpStream, request: &[u8]) -> Result<(), Refusal> {
    let deadline = Deadline::after(shared.limits.answer_time);
    let mut inner = UnixStream::connect(&shared.inner_socket).map_err(|_| Refusal::Unavailable)?;
    write_all(&mut inner, request, deadline).map_err(|_| Refusal::Unavailable)?;
    let mut chunk = [0; 4096];
    let mut begun = false;
    loop {
        match read_some(&mut inner, &mut chunk, deadline) {
            Ok(0) | Err(_) if !begun => return Err(Refusal::Unavailable),
            Ok(0) | Err(_) => return Ok(()),
            Ok(len) => {
                begun = true;
                if write_all(client, chunk.get(..len).unwrap_or_default(), deadline).is_err() {
                    return Ok(());
                }
            }
        }
    }
}

/// Closes so that the answer arrives: a close with unread bytes would send a reset, which may overtake it.
fn close(client: &mut TcpStream) {
    if client.shutdown(Shutdown::Write).is_err() {
        return;
    }
    let deadline = Deadline::after(CLOSE_TIME);
    let mut rest = [0; 2048];
    while matches!(read_some(client, &mut rest, deadline), Ok(len) if len > 0) {}
}

fn refusal_text(refusal: Refusal) -> String {
    let (status, length) = (refusal.status(), refusal.to_string().len() + 1);
    let extra = match refusal {
        Refusal::Method => "Allow: GET, HEAD, POST\r\n",
        Refusal::Busy => "Retry-After: 5\r\n",
        _ => "",
    };
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {length}\r\n\
         X-Content-Type-Options: nosniff\r\n{extra}Connection: close\r\n\r\n{refusal}\n"
    )
}

#[cfg(test)]
mod tests;
