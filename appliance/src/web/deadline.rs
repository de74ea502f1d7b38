//! Deadlines for sockets. A timeout for each read is not enough: a peer that sends one byte a second never meets it.

use core::time::Duration;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;

use crate::clock::Stopwatch;

/// A moment by which something must be done.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    watch: Stopwatch,
    limit: Duration,
}

impl Deadline {
    /// That long from now.
    pub(super) fn after(limit: Duration) -> Self {
        Self { watch: Stopwatch::start(), limit }
    }

    /// The time left, as a socket takes it: never zero, which would mean "for ever".
    fn left(self) -> io::Result<Duration> {
        let left = self.limit.saturating_sub(self.watch.elapsed());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
}

/// A socket whose reads and writes can be given a time.
pub(super) trait Socket: Read + Write {
    fn set_timeouts(&self, time: Duration) -> io::Result<()>;
}

impl Socket for TcpStream {
    fn set_timeouts(&self, time: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(time))?;
        self.set_write_timeout(Some(time))
    }
}

impl Socket for UnixStream {
    fn set_timeouts(&self, time: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(time))?;
        self.set_write_timeout(Some(time))
    }
}

/// Reads what is there, waiting until the deadline at most; 0 at the end of the stream.
pub(super) fn read_some(socket: &mut impl Socket, into: &mut [u8], deadline: Deadline) -> io::Result<usize> {
    loop {
        socket.set_timeouts(deadline.left()?)?;
        match socket.read(into) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result.map_err(as_timed_out),
        }
    }
}

/// Writes all of it before the deadline.
pub(super) fn write_all(socket: &mut impl Socket, mut bytes: &[u8], deadline: Deadline) -> io::Result<()> {
    while !bytes.is_empty() {
        socket.set_timeouts(deadline.left()?)?;
        match socket.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(as_timed_out(error)),
        }
    }
    Ok(())
}

/// Linux says "would block" when a socket's time is over.
fn as_timed_out(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::WouldBlock { io::ErrorKind::TimedOut.into() } else { error }
}
