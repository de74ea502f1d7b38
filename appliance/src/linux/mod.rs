//! The one room where `unsafe` is allowed: each file is a safe wrapper, most over one kind of file descriptor.
//!
//! [`ear`] hears the few frames by which others say who they are; [`netlink`] carries messages for nftables and for the
//! links; [`links`] reads and changes interfaces, addresses and routes, and reads who is where; [`offloads`] turns off what
//! would merge packets, and [`eee`] what would have links fall, both by `ethtool`;
//! [`packet_ring`] is the mapped ring that frames arrive in, [`ring_block`] the parser of its blocks, which
//! trusts nothing that it reads, and [`capture_filter`] what the kernel puts there (both are safe code, as is `bpf`, the statements of the kernel's filters); [`rights`] knows what
//! the process may do; [`signals`] turns the signals that end the daemon into something to wait for; [`wire`] sends and
//! receives single frames; [`heap`] has the threads share one; [`watchdog`] is what reboots the board unless it is fed; [`reboot`] tells the firmware what to start.
#![allow(unsafe_code)]

mod bpf;
pub mod capture_filter;
pub mod ear;
pub mod eee;
mod ethtool;
pub mod heap;
pub mod links;
pub mod netlink;
pub mod offloads;
pub mod packet_ring;
pub mod reboot;
pub mod rights;
pub mod ring_block;
pub mod signals;
pub mod watchdog;
pub mod wire;
