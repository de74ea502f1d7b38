//! The socket: sends a [`Request`] and reads everything that the kernel answers to it.
//!
//! The kernel handles a request while it is being sent, so the answers lie ready when the call returns. Reading them
//! until nothing is left needs no count of what to expect, and leaves nothing behind after an error.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, getsockname, recv, sendto,
    setsockopt, socket,
    sockopt::{RcvBufForce, SndBufForce},
};

use super::FLAG_DUMP_INTERRUPTED;
use super::message::{Reply, Request, replies};

/// The kernel sends dumps in pieces of at most 32 KiB; errors repeat the refused message, which we keep below 64 KiB.
const RECEIVE_BYTES: usize = 128 * 1024;
/// Requests up to this size fit every kernel's default send buffer.
const DEFAULT_SEND_BYTES: usize = 64 * 1024;
/// What is told at once must fit in: some hundred messages where a table is replaced.
const HEARD_BYTES: usize = 1024 * 1024;
/// How often a dump is begun anew because something changed while it ran.
const DUMP_ATTEMPTS: u32 = 8;
/// How long the kernel may take for the next piece of a dump.
const DUMP_TIMEOUT_MS: u16 = 2_000;

/// `NLMSG_ERROR`: an error, or the confirmation where the number is 0.
const KIND_ERROR: u16 = 2;
/// `NLMSG_DONE`: the end of a dump.
const KIND_DONE: u16 = 3;

/// Which subsystem the socket talks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Interfaces, addresses, routes, neighbours.
    Route,
    /// nftables.
    Netfilter,
}

/// Why a request was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum NetlinkError {
    /// The socket itself failed.
    #[error("netlink socket: {0}")]
    Socket(#[from] io::Error),
    /// The kernel refused a message. Of a batch nothing was applied.
    #[error("the kernel refused message {message}: {cause}")]
    Refused {
        /// Position of the message in the request, counted from 1.
        message: u32,
        /// Its reason.
        cause: io::Error,
    },
    /// The kernel answered what the protocol does not foresee, or nothing.
    #[error("the kernel's answer makes no sense")]
    Malformed,
}

impl From<Errno> for NetlinkError {
    fn from(errno: Errno) -> Self {
        Self::Socket(errno.into())
    }
}

impl NetlinkError {
    /// The error number, where the kernel gave one.
    #[must_use]
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Socket(cause) | Self::Refused { cause, .. } => cause.raw_os_error().map(Errno::from_raw),
            Self::Malformed => None,
        }
    }

    /// As an error of the standard library, for callers that keep only the cause.
    #[must_use]
    pub fn into_io(self) -> io::Error {
        match self {
            Self::Socket(cause) | Self::Refused { cause, .. } => cause,
            Self::Malformed => io::Error::new(io::ErrorKind::InvalidData, self),
        }
    }
}

/// An open netlink socket; it belongs to the network namespace of the thread that opened it.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    buffer: Vec<u8>,
    send_bytes: usize,
}

impl Socket {
    /// Opens a socket to the subsystem.
    ///
    /// # Errors
    /// The kernel has no such protocol, or no file descriptor is left.
    pub fn open(protocol: Protocol) -> Result<Self, NetlinkError> {
        Self::bound(protocol, 0)
    }

    /// Opens a socket that hears what the subsystem tells a multicast group (from 1, at most 32).
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn listen(protocol: Protocol, group: u32) -> Result<Self, NetlinkError> {
        let socket = Self::bound(protocol, 1_u32.checked_shl(group.saturating_sub(1)).unwrap_or_default())?;
        // Without the right to it there is less room, and more often something is left out, which is told.
        let _ = setsockopt(&socket.fd, RcvBufForce, &HEARD_BYTES);
        Ok(socket)
    }

    /// The number by which the kernel knows this socket.
    ///
    /// # Errors
    /// The socket's failure.
    pub fn port(&self) -> Result<u32, NetlinkError> {
        Ok(getsockname::<NetlinkAddr>(self.fd.as_raw_fd())?.pid())
    }

    /// Waits for what a group is told, and hands it out; false where the kernel had to leave something out.
    ///
    /// # Errors
    /// The socket's failure.
    pub fn hear(&mut self, event: impl FnMut(Reply<'_>)) -> Result<bool, NetlinkError> {
        loop {
            match recv(self.fd.as_raw_fd(), &mut self.buffer, MsgFlags::empty()) {
                Ok(length) => {
                    replies(self.buffer.get(..length).unwrap_or_default()).for_each(event);
                    return Ok(true);
                }
                Err(Errno::EINTR) => {}
                Err(Errno::ENOBUFS) => return Ok(false),
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    fn bound(protocol: Protocol, groups: u32) -> Result<Self, NetlinkError> {
        let number = match protocol {
            Protocol::Route => SockProtocol::NetlinkRoute,
            Protocol::Netfilter => SockProtocol::NetlinkNetFilter,
        };
        let fd = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, number)?;
        bind(fd.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
        Ok(Self { fd, buffer: vec![0; RECEIVE_BYTES], send_bytes: DEFAULT_SEND_BYTES })
    }

    /// Sends a request whose last message asks for a confirmation, or for one object, and hands out the objects answered.
    ///
    /// # Errors
    /// [`NetlinkError::Refused`] with the first message that was refused; else the socket's failure.
    pub fn request(&mut self, request: &mut Request, mut object: impl FnMut(Reply<'_>)) -> Result<(), NetlinkError> {
        self.send(request)?;
        let (mut answered, mut refused, mut lost) = (false, None, false);
        loop {
            let length = match recv(self.fd.as_raw_fd(), &mut self.buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(length) => length,
                Err(Errno::EINTR) => continue,
                Err(Errno::EAGAIN) => break,
                Err(Errno::ENOBUFS) => {
                    lost = true;
                    continue;
                }
                Err(errno) => return Err(errno.into()),
            };
            for reply in replies(self.buffer.get(..length).unwrap_or_default()) {
                answered = true;
                match reply.kind {
                    KIND_ERROR => refused = refused.or(refusal(&reply)?),
                    KIND_DONE => {}
                    _ => object(reply),
                }
            }
        }
        match refused {
            Some(error) => Err(error),
            None if lost => Err(Errno::ENOBUFS.into()),
            None if !answered => Err(NetlinkError::Malformed),
            None => Ok(()),
        }
    }

    /// Sends the dump request that `build` makes and collects its objects; a dump that a change disturbed is begun anew,
    /// with an empty collection.
    ///
    /// # Errors
    /// [`NetlinkError::Refused`], the socket's failure, or [`NetlinkError::Malformed`] for a dump that never holds still.
    pub fn dump<T: Default>(
        &mut self,
        mut build: impl FnMut(&mut Request),
        mut object: impl FnMut(&mut T, Reply<'_>),
    ) -> Result<T, NetlinkError> {
        for _ in 0..DUMP_ATTEMPTS {
            let mut request = Request::new();
            build(&mut request);
            self.send(&mut request)?;
            let mut collected = T::default();
            match self.read_dump(|reply| object(&mut collected, reply)) {
                Ok(true) => return Ok(collected),
                Ok(false) => {}
                Err(error) => {
                    self.drain();
                    return Err(error);
                }
            }
        }
        Err(NetlinkError::Malformed)
    }

    /// Reads one dump to its end; whether it is consistent.
    fn read_dump(&mut self, mut object: impl FnMut(Reply<'_>)) -> Result<bool, NetlinkError> {
        let mut consistent = true;
        loop {
            let length = self.receive()?;
            for reply in replies(self.buffer.get(..length).unwrap_or_default()) {
                consistent &= reply.flags & FLAG_DUMP_INTERRUPTED == 0;
                match reply.kind {
                    // The end carries an error number as well: that of a dump that failed on its way.
                    KIND_DONE | KIND_ERROR => return refusal(&reply)?.map_or(Ok(consistent), Err),
                    _ => object(reply),
                }
            }
        }
    }

    fn send(&mut self, request: &mut Request) -> Result<(), NetlinkError> {
        let bytes = request.finish();
        if bytes.len() > self.send_bytes {
            // Without the right to exceed the limit the send below fails with its own reason.
            if setsockopt(&self.fd, SndBufForce, &bytes.len().saturating_add(DEFAULT_SEND_BYTES)).is_ok() {
                self.send_bytes = bytes.len();
            }
        }
        loop {
            match sendto(self.fd.as_raw_fd(), bytes, &NetlinkAddr::new(0, 0), MsgFlags::empty()) {
                Ok(_) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Waits for the next piece of a dump.
    fn receive(&mut self) -> Result<usize, NetlinkError> {
        loop {
            match recv(self.fd.as_raw_fd(), &mut self.buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(0) => return Err(NetlinkError::Malformed),
                Ok(length) => return Ok(length),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => self.wait()?,
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    fn wait(&self) -> Result<(), NetlinkError> {
        match poll(&mut [PollFd::new(self.fd.as_fd(), PollFlags::POLLIN)], PollTimeout::from(DUMP_TIMEOUT_MS)) {
            Ok(0) => Err(Errno::ETIMEDOUT.into()),
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Throws away what is left of an answer, so that the next request does not read it.
    fn drain(&mut self) {
        loop {
            match recv(self.fd.as_raw_fd(), &mut self.buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(_) | Err(Errno::EINTR | Errno::ENOBUFS) => {}
                Err(_) => return,
            }
        }
    }
}

/// What an error message says; none where it is a confirmation.
fn refusal(reply: &Reply<'_>) -> Result<Option<NetlinkError>, NetlinkError> {
    let number = reply.payload.first_chunk().map(|bytes| i32::from_ne_bytes(*bytes)).ok_or(NetlinkError::Malformed)?;
    Ok((number < 0).then(|| NetlinkError::Refused {
        message: reply.sequence,
        cause: io::Error::from_raw_os_error(number.saturating_neg()),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_message() {
        let mut payload = (-2_i32).to_ne_bytes().to_vec();
        payload.extend_from_slice(&[0; 16]);
        let reply = Reply { kind: KIND_ERROR, flags: 0, sequence: 7, port: 0, payload: &payload };
        let Ok(Some(NetlinkError::Refused { message: 7, cause })) = refusal(&reply) else { panic!("not refused") };
        assert_eq!(cause.raw_os_error(), Some(2));
    }

    #[test]
    fn a_cut_error_is_malformed() {
        let reply = Reply { kind: KIND_ERROR, flags: 0, sequence: 1, port: 0, payload: &[1, 2] };
        assert!(matches!(refusal(&reply), Err(NetlinkError::Malformed)));
    }

    #[test]
    fn interfaces_can_be_listed_without_rights() {
        let mut socket = Socket::open(Protocol::Route).unwrap();
        let count = socket
            .dump(
                |request| {
                    request.message(libc::RTM_GETLINK, super::super::FLAG_DUMP, &[0; 16]);
                },
                |count: &mut usize, _| *count += 1,
            )
            .unwrap();
        assert!(count >= 1);
    }
}
