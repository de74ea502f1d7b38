//! Hears the few frames at a port by which others say who they are: ARP, DHCP, and IPv6 neighbour discovery.
//!
//! The ring of the packet path keeps too little of each frame for these, and has no time for them. So this is a socket of its
//! own, which a filter in the kernel keeps quiet. Only frames that come in are heard; the kernel has taken their outermost
//! VLAN tag off, and one more may stand in front of what is looked for.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};

use super::packet_ring::{bind, packet_socket, read_statistics, set_filter, set_option};

/// What a frame may be long; of longer ones the end is lost. None of those that are looked for is.
const FRAME_BYTES: usize = 2_048;

/// Instructions of the classic packet filter (`linux/filter.h`): loads at a fixed place or one relative to X, and so on.
mod code {
    pub const LOAD_U16: u16 = 0x28;
    pub const LOAD_U16_AT_X: u16 = 0x48;
    pub const LOAD_U8_AT_X: u16 = 0x50;
    pub const SET_X: u16 = 0x01;
    pub const X_FROM_A: u16 = 0x07;
    pub const AND: u16 = 0x54;
    pub const SHIFT_LEFT: u16 = 0x64;
    pub const ADD_X: u16 = 0x0c;
    pub const JUMP: u16 = 0x05;
    pub const JUMP_IF_EQUAL: u16 = 0x15;
    pub const JUMP_IF_BITS: u16 = 0x45;
    pub const RETURN: u16 = 0x06;
}

const fn step(code: u16, k: u32) -> libc::sock_filter {
    libc::sock_filter { code, jt: 0, jf: 0, k }
}

/// Goes on, by so many instructions more if the comparison holds or does not.
const fn fork(code: u16, k: u32, jt: u8, jf: u8) -> libc::sock_filter {
    libc::sock_filter { code, jt, jf, k }
}

/// The filter. X is 0, or 4 behind a VLAN tag, and then also the length of the IPv4 header. A load beyond the frame's end drops it.
const FILTER: [libc::sock_filter; 32] = {
    use code::*;
    [
        step(LOAD_U16, 12),
        fork(JUMP_IF_EQUAL, 0x8100, 2, 0),
        fork(JUMP_IF_EQUAL, 0x88a8, 1, 0),
        fork(JUMP_IF_EQUAL, 0x9100, 0, 2),
        step(SET_X, 4),
        step(JUMP, 1),
        step(SET_X, 0),
        step(LOAD_U16_AT_X, 12),
        fork(JUMP_IF_EQUAL, 0x0806, 21, 0),
        fork(JUMP_IF_EQUAL, 0x0800, 1, 0),
        fork(JUMP_IF_EQUAL, 0x86dd, 11, 20),
        // IPv4: UDP, not a later fragment, from port 67.
        step(LOAD_U8_AT_X, 23),
        fork(JUMP_IF_EQUAL, 17, 0, 18),
        step(LOAD_U16_AT_X, 20),
        fork(JUMP_IF_BITS, 0x1fff, 16, 0),
        step(LOAD_U8_AT_X, 14),
        step(AND, 0xf),
        step(SHIFT_LEFT, 2),
        step(ADD_X, 0),
        step(X_FROM_A, 0),
        step(LOAD_U16_AT_X, 14),
        fork(JUMP_IF_EQUAL, 67, 8, 9),
        // IPv6: UDP from port 547, or ICMPv6 of a router or of a neighbour that advertises itself.
        step(LOAD_U8_AT_X, 20),
        fork(JUMP_IF_EQUAL, 17, 0, 2),
        step(LOAD_U16_AT_X, 54),
        fork(JUMP_IF_EQUAL, 547, 4, 5),
        fork(JUMP_IF_EQUAL, 58, 0, 4),
        step(LOAD_U8_AT_X, 54),
        fork(JUMP_IF_EQUAL, 134, 1, 0),
        fork(JUMP_IF_EQUAL, 136, 0, 1),
        step(RETURN, u32::MAX),
        step(RETURN, 0),
    ]
};

/// An open ear. Frames that nobody asks for in time wait in the socket's buffer; full: the newest is lost, and counted.
#[derive(Debug)]
pub struct Ear {
    fd: OwnedFd,
    interface_index: u32,
    buffer: Vec<u8>,
    lost: u64,
}

impl Ear {
    /// Listens at an interface, which may be down.
    ///
    /// # Errors
    /// No such interface, or missing rights.
    pub fn open(interface_index: u32) -> io::Result<Self> {
        let fd = packet_socket()?;
        set_option(&fd, libc::PACKET_IGNORE_OUTGOING, &1)?;
        set_filter(&fd, &mut FILTER.clone())?;
        bind(&fd, interface_index)?;
        Ok(Self { fd, interface_index, buffer: vec![0; FRAME_BYTES], lost: 0 })
    }

    /// Index of the interface that it listens at.
    #[must_use]
    pub const fn interface_index(&self) -> u32 {
        self.interface_index
    }

    /// Hands out what was heard since the last call, so many frames at most. Does not wait.
    pub fn hear(&mut self, most: usize, mut frame: impl FnMut(&[u8])) {
        for _ in 0..most {
            match recv(self.fd.as_raw_fd(), &mut self.buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(length) => frame(self.buffer.get(..length).unwrap_or_default()),
                // The interface went down: said once, and the kernel binds the socket again when it is back.
                Err(Errno::ENETDOWN | Errno::EINTR) => {}
                Err(_) => break,
            }
        }
        self.lost += read_statistics(&self.fd).map_or(0, |counted| counted.tp_drops.into());
    }

    /// Frames that were lost so far.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.lost
    }
}
