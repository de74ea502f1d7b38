//! The one room where `unsafe` is allowed: each file is a safe wrapper over one kind of file descriptor.
//!
//! [`netlink`] carries messages for nftables and for the links; [`links`] reads and changes interfaces, addresses and
//! routes; [`offloads`] turns off what would merge packets; [`packet_ring`] is the mapped ring that frames arrive in,
//! and [`ring_block`] its parser, which is safe code.
#![allow(unsafe_code)]

pub mod netlink;
