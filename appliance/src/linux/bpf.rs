//! Statements of the programs by which the kernel says which frames a socket gets: the classic packet filter (`linux/filter.h`,
//! `Documentation/networking/filter.rst`).

use libc::{BPF_JMP, BPF_K, sock_filter};

/// A statement that is no jump.
pub const fn statement(code: u32, k: u32) -> sock_filter {
    sock_filter { code: code as u16, jt: 0, jf: 0, k }
}

/// Goes on, by so many statements more if the comparison with `k` holds or does not.
pub const fn jump(test: u32, k: u32, if_so: u8, if_not: u8) -> sock_filter {
    sock_filter { code: (BPF_JMP | test | BPF_K) as u16, jt: if_so, jf: if_not, k }
}
