//! Netlink: how nftables and the network interfaces are asked and changed, without spawning a program.
//!
//! [`Request`] builds messages, [`Socket`] sends them and reads what the kernel answers. Replies are parsed as if they
//! were hostile: whatever their lengths claim, parsing ends at the bytes that were received.

mod message;
mod socket;

pub use message::{Attribute, Reply, Request, attributes, read_be_u32, read_be_u64, read_ne_u32, replies};
pub use socket::{NetlinkError, Protocol, Socket};

/// Part of every message that is a request (`NLM_F_REQUEST`); [`Request`] sets it by itself.
pub const FLAG_REQUEST: u16 = 0x1;
/// The kernel shall confirm the message (`NLM_F_ACK`).
pub const FLAG_ACK: u16 = 0x4;
/// A dump was disturbed by a change and is not consistent (`NLM_F_DUMP_INTR`).
pub const FLAG_DUMP_INTERRUPTED: u16 = 0x10;
/// Put the object in the place of one that stands (`NLM_F_REPLACE`).
pub const FLAG_REPLACE: u16 = 0x100;
/// Refuse where the object stands already (`NLM_F_EXCL`).
pub const FLAG_EXCLUSIVE: u16 = 0x200;
/// All objects are asked for (`NLM_F_DUMP`).
pub const FLAG_DUMP: u16 = 0x300;
/// Make the object where it is missing (`NLM_F_CREATE`).
pub const FLAG_CREATE: u16 = 0x400;
/// Put the object at the end of its list (`NLM_F_APPEND`).
pub const FLAG_APPEND: u16 = 0x800;
