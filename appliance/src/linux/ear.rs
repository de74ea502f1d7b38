//! Hears the few frames at a port by which others say who they are: ARP, DHCP, and IPv6 neighbour discovery.
//!
//! The ring of the packet path keeps too little of each frame for these, and has no time for them. So this is a socket of its
//! own, which a filter in the kernel keeps quiet. Only frames that come in are heard; the kernel has taken their outermost
//! VLAN tag off, and one more may stand in front of what is looked for.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use libc::{
    BPF_ABS, BPF_ADD, BPF_ALU, BPF_AND, BPF_B, BPF_H, BPF_IMM, BPF_IND, BPF_JA, BPF_JEQ, BPF_JMP, BPF_JSET, BPF_K,
    BPF_LD, BPF_LDX, BPF_LSH, BPF_MISC, BPF_RET, BPF_TAX, BPF_X, sock_filter,
};
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};

use super::bpf::{jump, statement};
use super::packet_ring::{bind, packet_socket, read_statistics, set_filter, set_option};

/// What a frame may be long; of longer ones the end is lost. None of those that are looked for is.
const FRAME_BYTES: usize = 2_048;

/// Loads at a fixed place, or at one relative to X.
const LOAD_U16: u32 = BPF_LD | BPF_H | BPF_ABS;
const LOAD_U16_AT_X: u32 = BPF_LD | BPF_H | BPF_IND;
const LOAD_U8_AT_X: u32 = BPF_LD | BPF_B | BPF_IND;
const SET_X: u32 = BPF_LDX | BPF_IMM;
const X_FROM_A: u32 = BPF_MISC | BPF_TAX;

/// The filter. X is 0, or 4 behind a VLAN tag, and then also the length of the IPv4 header. A load beyond the frame's end drops it.
const FILTER: [sock_filter; 32] = [
    statement(LOAD_U16, 12),
    jump(BPF_JEQ, 0x8100, 2, 0),
    jump(BPF_JEQ, 0x88a8, 1, 0),
    jump(BPF_JEQ, 0x9100, 0, 2),
    statement(SET_X, 4),
    statement(BPF_JMP | BPF_JA, 1),
    statement(SET_X, 0),
    statement(LOAD_U16_AT_X, 12),
    jump(BPF_JEQ, 0x0806, 21, 0),
    jump(BPF_JEQ, 0x0800, 1, 0),
    jump(BPF_JEQ, 0x86dd, 11, 20),
    // IPv4: UDP, not a later fragment, from port 67.
    statement(LOAD_U8_AT_X, 23),
    jump(BPF_JEQ, 17, 0, 18),
    statement(LOAD_U16_AT_X, 20),
    jump(BPF_JSET, 0x1fff, 16, 0),
    statement(LOAD_U8_AT_X, 14),
    statement(BPF_ALU | BPF_AND | BPF_K, 0xf),
    statement(BPF_ALU | BPF_LSH | BPF_K, 2),
    statement(BPF_ALU | BPF_ADD | BPF_X, 0),
    statement(X_FROM_A, 0),
    statement(LOAD_U16_AT_X, 14),
    jump(BPF_JEQ, 67, 8, 9),
    // IPv6: UDP from port 547, or ICMPv6 of a router or of a neighbour that advertises itself.
    statement(LOAD_U8_AT_X, 20),
    jump(BPF_JEQ, 17, 0, 2),
    statement(LOAD_U16_AT_X, 54),
    jump(BPF_JEQ, 547, 4, 5),
    jump(BPF_JEQ, 58, 0, 4),
    statement(LOAD_U8_AT_X, 54),
    jump(BPF_JEQ, 134, 1, 0),
    jump(BPF_JEQ, 136, 0, 1),
    statement(BPF_RET | BPF_K, u32::MAX),
    statement(BPF_RET | BPF_K, 0),
];

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
        set_filter(&fd, &FILTER)?;
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
