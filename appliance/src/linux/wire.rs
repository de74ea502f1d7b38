//! One interface as a wire: whole frames are sent out of it and received from it, past the network stack above it.

use core::time::Duration;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, recv, send};

use super::packet_ring::{bind, packet_socket, set_option};

/// Longer frames are cut.
const LONGEST_FRAME_BYTES: usize = 2_048;

/// The wire; it belongs to the network namespace of the thread that opened it.
#[derive(Debug)]
pub struct Wire(OwnedFd);

impl Wire {
    /// Opens the interface. What it receives from now on waits to be read; how much may wait is the kernel's choice.
    ///
    /// # Errors
    /// No such interface, or missing rights.
    pub fn open(interface: &str) -> io::Result<Self> {
        let index = nix::net::if_::if_nametoindex(interface)?;
        let socket = packet_socket()?;
        set_option(&socket, libc::PACKET_IGNORE_OUTGOING, &1)?;
        bind(&socket, index)?;
        Ok(Self(socket))
    }

    /// Sends a frame.
    ///
    /// # Errors
    /// The interface is down, or its queue is full.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        loop {
            match send(self.0.as_raw_fd(), frame, MsgFlags::empty()) {
                Err(Errno::EINTR) => {}
                sent => return Ok(sent.map(drop)?),
            }
        }
    }

    /// The next frame, waited for as long as this; none where the time ran out. The kernel has taken its outermost VLAN tag
    /// off.
    ///
    /// # Errors
    /// The interface went down.
    pub fn receive(&self, timeout: Duration) -> io::Result<Option<Vec<u8>>> {
        let mut wanted = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        match poll(&mut wanted, PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX)) {
            Ok(0) | Err(Errno::EINTR) => return Ok(None),
            Ok(_) => {}
            Err(errno) => return Err(errno.into()),
        }
        let mut frame = vec![0; LONGEST_FRAME_BYTES];
        match recv(self.0.as_raw_fd(), &mut frame, MsgFlags::empty()) {
            Ok(length) => frame.truncate(length),
            Err(Errno::EAGAIN | Errno::EINTR) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        }
        Ok(Some(frame))
    }
}
