//! Conversations that no program of Debian's holds without more ado: datagrams both ways at a pace, questions to many, and
//! connections to many. Over the kernel's own sockets, in the namespaces of those who talk.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, scope, sleep, spawn};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sluice::clock::Stopwatch;

use crate::journal::note;
use crate::namespace::Namespace;
use crate::process::try_for;
use crate::random::Random;

/// How often something that waits looks whether it is to end.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// How long an address may be taken by what is at its end.
const FREE_WITHIN: Duration = Duration::from_secs(2);
/// More than any datagram here.
const LONGEST_BYTES: usize = 2_048;

/// One side of a conversation.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Between two datagrams, on average; none are sent where it is zero.
    pub interval: Duration,
    /// Smallest and largest datagram.
    pub bytes: (u64, u64),
}

impl Pace {
    /// `per_second` datagrams of `smallest` to `largest` bytes.
    #[must_use]
    pub fn of(per_second: u32, smallest: u64, largest: u64) -> Self {
        Self { interval: Duration::from_secs(1) / per_second.max(1), bytes: (smallest, largest) }
    }

    /// The next datagram, after a pause that varies by a fifth.
    fn next(&self, random: &mut Random) -> Vec<u8> {
        sleep(self.interval.mul_f64(0.8 + 0.4 * random.share()));
        datagram(random, self.bytes)
    }
}

fn datagram(random: &mut Random, (smallest, largest): (u64, u64)) -> Vec<u8> {
    let length = random.between(smallest, largest) as usize;
    std::iter::repeat_with(|| random.bits() as u8).take(length).collect()
}

/// Somebody with a socket.
#[derive(Clone, Copy, Debug)]
pub struct Party<'a> {
    /// Where it is.
    pub namespace: &'a Namespace,
    /// Its address and port.
    pub socket: SocketAddr,
}

impl Party<'_> {
    fn bind(&self) -> Result<UdpSocket> {
        // One that was closed a moment before may still be open in a process that is just being started.
        let socket = try_for(FREE_WITHIN, || {
            self.namespace.enter(|| UdpSocket::bind(self.socket))?.with_context(|| self.socket.to_string())
        })?;
        socket.set_read_timeout(Some(LOOK_AGAIN))?;
        Ok(socket)
    }
}

/// Two exchange datagrams for a while: a call, a game, a tunnel. The caller's first one opens the conversation.
///
/// # Errors
/// An address is not there, or is taken.
pub fn converse(
    caller: Party<'_>,
    called: Party<'_>,
    paces: [Pace; 2],
    lasts: Duration,
    random: &mut Random,
) -> Result<()> {
    note(caller.namespace.name(), &format!("datagrams to {} for {lasts:?}, back and forth: {paces:?}", called.socket));
    let (here, there) = (caller.bind()?, called.bind()?);
    here.connect(called.socket)?;
    there.connect(caller.socket)?;
    let mut randoms = [Random::new(random.bits()), Random::new(random.bits())];
    let [first, second] = &mut randoms;
    scope(|threads| {
        threads.spawn(|| send_at_pace(&here, paces[0], lasts, first));
        threads.spawn(|| {
            await_first(&there, lasts);
            send_at_pace(&there, paces[1], lasts, second);
        });
    });
    Ok(())
}

fn await_first(socket: &UdpSocket, limit: Duration) {
    let (watch, mut buffer) = (Stopwatch::start(), [0; LONGEST_BYTES]);
    while watch.elapsed() < limit && socket.recv(&mut buffer).is_err() {}
}

fn send_at_pace(socket: &UdpSocket, pace: Pace, lasts: Duration, random: &mut Random) {
    let (watch, mut buffer) = (Stopwatch::start(), [0; LONGEST_BYTES]);
    let _ = socket.set_nonblocking(true);
    while watch.elapsed() < lasts {
        let bytes = pace.next(random);
        // The other side may not be there yet, or not any more.
        let _ = socket.send(&bytes);
        while socket.recv(&mut buffer).is_ok() {}
    }
}

/// Those who answer every datagram, until dropped.
#[derive(Debug)]
pub struct Answering {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Answering {
    /// Starts them: each answers with so many bytes.
    ///
    /// # Errors
    /// An address is not there, or is taken.
    pub fn start(namespace: &Namespace, sockets: &[SocketAddr], bytes: (u64, u64), seed: u64) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut threads = Vec::new();
        for (number, &address) in sockets.iter().enumerate() {
            let (socket, ends) = (Party { namespace, socket: address }.bind()?, Arc::clone(&stop));
            let random = Random::new(seed.wrapping_add(number as u64));
            threads.push(spawn(move || answer(&socket, bytes, random, &ends)));
        }
        Ok(Self { stop, threads })
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so itself.
            let _ = thread.join();
        }
    }
}

fn answer(socket: &UdpSocket, bytes: (u64, u64), mut random: Random, stop: &AtomicBool) {
    let mut buffer = [0; LONGEST_BYTES];
    while !stop.load(Ordering::Relaxed) {
        if let Ok((_, asker)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(&datagram(&mut random, bytes), asker);
        }
    }
}

/// Asks many from one socket, one after the other, each `times` times; how many answers came.
///
/// # Errors
/// The asker's address is not there, or is taken.
pub fn ask_many(
    asker: Party<'_>,
    asked: &[SocketAddr],
    times: usize,
    pace: Pace,
    random: &mut Random,
) -> Result<usize> {
    note(asker.namespace.name(), &format!("asks {} others over UDP, {times} times each: {pace:?}", asked.len()));
    let (socket, mut buffer, mut answers) = (asker.bind()?, [0; LONGEST_BYTES], 0);
    socket.set_nonblocking(true)?;
    for _ in 0..times {
        for target in asked {
            let bytes = pace.next(random);
            // Some are not there: the kernel says so at the next call.
            let _ = socket.send_to(&bytes, target);
            while socket.recv_from(&mut buffer).is_ok() {
                answers += 1;
            }
        }
    }
    Ok(answers)
}

/// What is done with each of many connections.
#[derive(Clone, Copy, Debug)]
pub struct Visit {
    /// How many are tried at a time.
    pub parallel: usize,
    /// How long each is tried.
    pub patience: Duration,
    /// What is said on one that stands: so many bytes.
    pub says_bytes: u64,
    /// How often that is said, with pauses.
    pub times: u32,
    /// The pause.
    pub pause: Duration,
    /// How long to wait before the next is tried.
    pub spacing: Duration,
}

/// Connects to many, and talks to those that answer; how many stood.
///
/// # Errors
/// The namespace cannot be entered.
pub fn visit_many(from: &Namespace, targets: &[SocketAddr], visit: Visit, random: &mut Random) -> Result<usize> {
    note(from.name(), &format!("connects to {} others over TCP: {visit:?}", targets.len()));
    visit_each(from, targets, visit, random, connect)
}

/// The same over UDP, with a socket for each: what is said first is said again, after twice the pause each time, until an answer comes or
/// patience ends, as QUIC does (RFC 9002).
///
/// # Errors
/// As [`visit_many`].
pub fn call_many(from: &Namespace, targets: &[SocketAddr], visit: Visit, random: &mut Random) -> Result<usize> {
    note(from.name(), &format!("calls {} others over UDP, each from a socket of its own: {visit:?}", targets.len()));
    visit_each(from, targets, visit, random, call)
}

/// One visit; whether it stood.
type Call = fn(&SocketAddr, Visit, &mut Random) -> bool;

fn visit_each(from: &Namespace, targets: &[SocketAddr], visit: Visit, random: &mut Random, one: Call) -> Result<usize> {
    let seed = random.bits();
    let stood = from.enter(|| {
        let share = targets.len().div_ceil(visit.parallel.max(1)).max(1);
        // Threads of a thread are in the same namespace.
        scope(|threads| {
            let groups = targets.chunks(share).zip(seed..);
            let running: Vec<_> =
                groups.map(|(group, seed)| threads.spawn(move || visit_all(group, visit, seed, one))).collect();
            running.into_iter().map(|one| one.join().unwrap_or(0)).sum()
        })
    })?;
    Ok(stood)
}

fn visit_all(targets: &[SocketAddr], visit: Visit, seed: u64, one: Call) -> usize {
    let mut random = Random::new(seed);
    let mut visited = |target| {
        sleep(visit.spacing.mul_f64(0.5 + random.share()));
        one(target, visit, &mut random)
    };
    targets.iter().filter(|target| visited(target)).count()
}

fn connect(target: &SocketAddr, visit: Visit, random: &mut Random) -> bool {
    let Ok(stream) = TcpStream::connect_timeout(target, visit.patience) else { return false };
    // Who hangs up is as common as who answers.
    let _ = chat(stream, visit, random);
    true
}

fn chat(mut stream: TcpStream, visit: Visit, random: &mut Random) -> std::io::Result<()> {
    let mut buffer = [0; LONGEST_BYTES];
    stream.set_read_timeout(Some(LOOK_AGAIN))?;
    for _ in 0..visit.times {
        stream.write_all(&datagram(random, (visit.says_bytes, visit.says_bytes)))?;
        sleep(visit.pause.mul_f64(0.8 + 0.4 * random.share()));
        match stream.read(&mut buffer) {
            Err(error) if !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn call(target: &SocketAddr, visit: Visit, random: &mut Random) -> bool {
    try_call(target, visit, random).unwrap_or(false)
}

/// Errors are as good as silence: a port that is closed is told by the kernel at the next call.
fn try_call(target: &SocketAddr, visit: Visit, random: &mut Random) -> std::io::Result<bool> {
    let local = if target.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let (socket, mut buffer) = (UdpSocket::bind(local)?, [0; LONGEST_BYTES]);
    socket.connect(target)?;
    let (watch, mut pause) = (Stopwatch::start(), visit.pause);
    loop {
        socket.send(&datagram(random, (visit.says_bytes, visit.says_bytes)))?;
        socket.set_read_timeout(Some(pause))?;
        match socket.recv(&mut buffer) {
            Ok(_) => break,
            Err(error) if !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return Err(error),
            Err(_) if watch.elapsed() >= visit.patience => return Ok(false),
            Err(_) => pause *= 2,
        }
    }
    for _ in 1..visit.times {
        socket.send(&datagram(random, (visit.says_bytes / 10, visit.says_bytes)))?;
        socket.set_read_timeout(Some(visit.pause))?;
        let _ = socket.recv(&mut buffer);
    }
    Ok(true)
}

/// Sockets at the same port of several hosts: `first` and the `count - 1` addresses after it.
///
/// # Errors
/// `first` is no IPv4 address.
pub fn sockets_from(first: &str, count: u32, port: u16) -> Result<Vec<SocketAddr>> {
    let first: std::net::Ipv4Addr = first.parse()?;
    ensure!(u32::from(first).checked_add(count).is_some(), "addresses end at {first}");
    Ok((0..count)
        .map(|number| SocketAddr::new(IpAddr::from((u32::from(first) + number).to_be_bytes()), port))
        .collect())
}
