//! A TCP stream that notes when nothing arrives, and how to tell the box's part in that from the machine's.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use sluice::clock::Stopwatch;

use crate::namespace::Namespace;

/// How often something is sent, and how much: some 5 Mbit/s.
const INTERVAL: Duration = Duration::from_millis(2);
const CHUNK_BYTES: usize = 1_400;

/// Pauses from this length on are noted.
const NOTED: Duration = Duration::from_millis(30);

/// How long nothing may arrive until the stream is given up.
const PATIENCE: Duration = Duration::from_secs(20);

/// A pause in what arrived; its beginning and end since a stopwatch was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    /// The last arrival before it.
    pub begin: Duration,
    /// The first one after it.
    pub end: Duration,
}

impl Pause {
    /// How long it took.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.end - self.begin
    }

    fn shared_with(&self, other: &Self) -> Duration {
        self.end.min(other.end).saturating_sub(self.begin.max(other.begin))
    }
}

/// A running stream.
#[derive(Debug)]
pub struct Stream {
    stop: Arc<AtomicBool>,
    sender: JoinHandle<std::io::Result<()>>,
    receiver: JoinHandle<std::io::Result<Vec<Pause>>>,
}

impl Stream {
    /// Starts it from one namespace to an address of the other; `watch` dates its pauses.
    ///
    /// # Errors
    /// The address is not there.
    pub fn start(from: &Namespace, to: &Namespace, address: SocketAddr, watch: Stopwatch) -> Result<Self> {
        let listener = to.enter(|| TcpListener::bind(address))?.context("listen")?;
        let mut output = from.enter(|| TcpStream::connect_timeout(&address, PATIENCE))?.context("connect")?;
        output.set_nodelay(true)?;
        let (mut input, _) = listener.accept()?;
        input.set_read_timeout(Some(PATIENCE))?;
        let stop = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&stop);
        let sender = spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                output.write_all(&[0; CHUNK_BYTES])?;
                sleep(INTERVAL);
            }
            Ok(())
        });
        Ok(Self { stop, sender, receiver: spawn(move || pauses_of(&mut input, watch)) })
    }

    /// Ends it; the pauses that it had.
    ///
    /// # Errors
    /// It broke off.
    pub fn stop(self) -> Result<Vec<Pause>> {
        self.stop.store(true, Ordering::Relaxed);
        self.sender.join().map_err(|_| anyhow!("the sender has panicked"))?.context("the stream broke off")?;
        self.receiver.join().map_err(|_| anyhow!("the receiver has panicked"))?.context("the stream broke off")
    }
}

fn pauses_of(input: &mut TcpStream, watch: Stopwatch) -> std::io::Result<Vec<Pause>> {
    let (mut buffer, mut pauses, mut last) = ([0; 64 * 1024], Vec::new(), watch.elapsed());
    loop {
        match input.read(&mut buffer) {
            Ok(0) => return Ok(pauses),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        }
        let pause = Pause { begin: last, end: watch.elapsed() };
        if pause.length() >= NOTED {
            pauses.push(pause);
        }
        last = pause.end;
    }
}

/// The pauses of at least that length that are not the machine's doing: `beside` are those of a stream that was sent at the same
/// time, and in the same way, but not through the box. As long as that paused too, the machine was busy with something else.
#[must_use]
pub fn stalls(pauses: &[Pause], beside: &[Pause], least: Duration) -> Vec<Pause> {
    let shared = |pause: &Pause| beside.iter().map(|other| pause.shared_with(other)).sum();
    pauses.iter().filter(|pause| pause.length().saturating_sub(shared(pause)) >= least).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_the_boxs_unless_the_stream_beside_it_paused_too() {
        let pause = |begin, end| Pause { begin: Duration::from_millis(begin), end: Duration::from_millis(end) };
        let pauses = [pause(0, 150), pause(200, 290), pause(500, 700)];
        let least = Duration::from_millis(100);
        assert_eq!(stalls(&pauses, &[], least), [pauses[0], pauses[2]]);
        assert_eq!(stalls(&pauses, &[pause(80, 190), pause(710, 750)], least), [pauses[2]]);
        assert_eq!(stalls(&pauses, &[pause(500, 540), pause(600, 640)], least), [pauses[0], pauses[2]]);
        assert_eq!(stalls(&pauses, &[pause(0, 800)], least), []);
    }
}
