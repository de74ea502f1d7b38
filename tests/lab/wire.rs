//! Frames on a wire as they are: sent and received by raw sockets, past the hosts' own network stacks.

use std::io::IoSlice;
use std::os::fd::{AsRawFd, OwnedFd};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::sockopt::{RcvBufForce, ReceiveTimeout};
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, MultiHeaders, SockFlag, SockProtocol, SockType, recv, sendmmsg, sendto,
    setsockopt, socket,
};
use nix::sys::time::{TimeVal, TimeValLike};

use crate::namespace::Namespace;

/// Holds tens of thousands of small frames until they are read.
const RECEIVE_BUFFER_BYTES: usize = 64 << 20;
/// How long a frame that should come is waited for.
const PATIENCE_S: i64 = 5;
const LONGEST_FRAME_BYTES: usize = 2_048;
/// What ends a train of frames: another sender, and a type of IEEE 802 for local experiments.
const LAST: [u8; 14] = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 3, 0x88, 0xb5];

/// One end: everything that goes out of an interface, and comes in by any of its namespace.
pub struct Wire {
    socket: OwnedFd,
    interface: LinkAddr,
}

impl Wire {
    /// Opens the interface of the namespace.
    ///
    /// # Errors
    /// Not root, or no such interface.
    pub fn open(namespace: &Namespace, interface: &str) -> Result<Self> {
        namespace.enter(|| {
            let all = SockProtocol::EthAll;
            let socket = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, all)?;
            setsockopt(&socket, RcvBufForce, &RECEIVE_BUFFER_BYTES)?;
            setsockopt(&socket, ReceiveTimeout, &TimeVal::seconds(PATIENCE_S))?;
            let mut addresses = getifaddrs()?.filter(|one| one.interface_name == interface);
            let link = addresses.find_map(|one| one.address?.as_link_addr().copied());
            Ok(Self { socket, interface: link.context("no such interface")? })
        })?
    }

    /// Sends one frame.
    ///
    /// # Errors
    /// The kernel refuses it.
    pub fn send(&self, frame: &[u8]) -> Result<()> {
        loop {
            match sendto(self.socket.as_raw_fd(), frame, &self.interface, MsgFlags::empty()) {
                Ok(_) => return Ok(()),
                Err(Errno::ENOBUFS | Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Sends many frames by as few calls of the kernel as it allows.
    ///
    /// # Errors
    /// The kernel refuses one.
    pub fn send_many(&self, frames: &[Vec<u8>]) -> Result<()> {
        let slices: Vec<[IoSlice<'_>; 1]> = frames.iter().map(|frame| [IoSlice::new(frame)]).collect();
        let interfaces = vec![Some(self.interface); frames.len()];
        let mut left = &slices[..];
        while !left.is_empty() {
            let mut headers = MultiHeaders::preallocate(left.len(), None);
            match sendmmsg(self.socket.as_raw_fd(), &mut headers, left, &interfaces, [], MsgFlags::empty()) {
                Ok(sent) => left = left.get(sent.count()..).unwrap_or_default(),
                Err(Errno::ENOBUFS | Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }

    /// Sends the frame by which [`Self::receive`] at the other end knows that nothing more comes.
    ///
    /// # Errors
    /// The kernel refuses it.
    pub fn send_last(&self) -> Result<()> {
        self.send(&[&LAST[..], &[0; 46]].concat())
    }

    /// Hands out what came in, up to the last frame. The kernel has taken the outermost VLAN tag off.
    ///
    /// # Errors
    /// The last frame does not come.
    pub fn receive(&self, mut frame: impl FnMut(&[u8])) -> Result<()> {
        let mut buffer = [0; LONGEST_FRAME_BYTES];
        loop {
            let length = match recv(self.socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                Err(Errno::EINTR) => continue,
                length => length.context("the last frame does not come")?,
            };
            let received = buffer.get(..length).unwrap_or_default();
            if received.starts_with(&LAST) {
                return Ok(());
            }
            frame(received);
        }
    }
}
