//! What a ring's socket takes: the program (classic BPF) that the kernel runs over each frame before it copies anything.
//!
//! It cuts all but short frames to their first bytes, and under pressure it passes over most of the *long segments of running
//! connections*: TCP with ACK and without SYN, FIN and RST, in IP packets of [`LONG_BYTES`] and more, plain, in one VLAN tag
//! or in PPPoE. Everything that begins, ends or refuses something is taken as ever, and so are acknowledgements without data,
//! the last packet of a handshake among them: no connection looks unanswered, unfinished or unproven for it. UDP is taken as
//! ever, because every datagram may be the first.
//!
//! It is done here and not behind the ring, because what is passed over here costs next to nothing: no copy, no place in
//! the ring, no wake-up. Behind the ring only its way through the flow table would be spared (`bench live` measures both).
//! Which are kept is drawn by lot and not counted off, so that nobody can send in step with it.
//!
//! A frame that was drawn stands for others. It is marked: a byte or two less of it is captured than of any other long frame.

use libc::{
    BPF_ABS, BPF_ALU, BPF_AND, BPF_B, BPF_H, BPF_IND, BPF_JEQ, BPF_JGE, BPF_JSET, BPF_K, BPF_LD, BPF_LDX, BPF_LEN,
    BPF_MSH, BPF_RET, BPF_W, SKF_AD_OFF, SKF_AD_RANDOM, sock_filter,
};

use super::bpf::{jump, statement};

/// An IP packet from this length on is long: it carries at least 520 bytes whatever its headers are.
pub const LONG_BYTES: u32 = 640;

/// A frame up to this length is taken whole: a question with the longest name that there is (RFC 1035 section 2.3.4, and RFC 6891, in
/// UDP, IPv6 and PPPoE) is no longer. Longer ones are mostly full of data that nobody looks at.
pub const SHORT_BYTES: u32 = 384;

/// Where the IP header begins: behind Ethernet, and behind Ethernet, PPPoE and PPP.
const PLAIN: u32 = 14;
const IN_PPPOE: u32 = 22;
/// Where the Ethernet header and the PPP header say what follows.
const ETHER_TYPE: u32 = 12;
const PPP_PROTOCOL: u32 = 20;

const ETHER_IPV4: u32 = 0x0800;
const ETHER_IPV6: u32 = 0x86dd;
const ETHER_PPPOE: u32 = 0x8864;
const PPP_IPV4: u32 = 0x0021;
const PPP_IPV6: u32 = 0x0057;

const TCP: u32 = 6;
/// "More fragments" and the offset of a fragment.
const FRAGMENT: u32 = 0x3fff;
const IPV6_HEADER_BYTES: u32 = 40;
/// Where the flags stand in the TCP header.
const TCP_FLAGS: u32 = 13;
/// FIN, SYN, RST and ACK.
const TOLD_FLAGS: u32 = 0x17;
const ACK: u32 = 0x10;

/// The place of a jump to the end, where as much of the frame is taken as ever, until that is known.
const TO_END: u8 = u8::MAX;

/// How much is passed over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shedding {
    /// Nothing.
    #[default]
    Nothing,
    /// Of the long segments of running connections 7 in 8.
    Most,
    /// Of these 63 in 64.
    NearlyAll,
}

impl Shedding {
    /// All, the least first.
    pub const ALL: [Self; 3] = [Self::Nothing, Self::Most, Self::NearlyAll];

    /// Of so many one is kept: a power of two.
    #[must_use]
    pub const fn keeps_one_in(self) -> u32 {
        match self {
            Self::Nothing => 1,
            Self::Most => 8,
            Self::NearlyAll => 64,
        }
    }

    /// One step back.
    #[must_use]
    pub const fn less(self) -> Self {
        match self {
            Self::Nothing | Self::Most => Self::Nothing,
            Self::NearlyAll => Self::Most,
        }
    }

    /// By how many bytes a frame that was drawn is shorter.
    const fn mark_bytes(self) -> u32 {
        match self {
            Self::Nothing => 0,
            Self::Most => 1,
            Self::NearlyAll => 2,
        }
    }
}

/// About how many frames were passed over for this one, by the marks of [`program`].
#[must_use]
pub fn passed_over_for(captured_bytes: usize, wire_len_bytes: u32, snap_bytes: u32) -> u64 {
    let missing = u64::from(snap_bytes).saturating_sub(captured_bytes as u64);
    // Of a frame that is not long so much was captured because there is no more of it.
    if missing == 0 || wire_len_bytes < LONG_BYTES {
        return 0;
    }
    let marked = Shedding::ALL.into_iter().find(|shedding| u64::from(shedding.mark_bytes()) == missing);
    marked.map_or(0, |shedding| u64::from(shedding.keeps_one_in()) - 1)
}

/// The program that takes short frames whole and `snap_bytes` of each other one, and leaves out what is to be left out.
#[must_use]
pub fn program(snap_bytes: u32, shedding: Shedding) -> Vec<sock_filter> {
    let taken = statement(BPF_RET | BPF_K, snap_bytes);
    let mut program = vec![
        statement(BPF_LD | BPF_W | BPF_LEN, 0),
        jump(BPF_JGE, SHORT_BYTES + 1, 1, 0),
        statement(BPF_RET | BPF_K, SHORT_BYTES),
    ];
    if shedding == Shedding::Nothing {
        program.push(taken);
        return program;
    }
    let draw = draw(snap_bytes, shedding);
    // Shorter frames are not looked at further, so that no load is beyond the end of one: that would lose it.
    program.push(jump(BPF_JGE, PLAIN + LONG_BYTES, 0, TO_END));
    program.push(statement(BPF_LD | BPF_H | BPF_ABS, ETHER_TYPE));
    push_where(ETHER_IPV4, &ipv4(PLAIN), &draw, &mut program);
    push_where(ETHER_IPV6, &ipv6(PLAIN), &draw, &mut program);
    program.push(jump(BPF_JEQ, ETHER_PPPOE, 0, TO_END));
    program.push(statement(BPF_LD | BPF_H | BPF_ABS, PPP_PROTOCOL));
    push_where(PPP_IPV4, &ipv4(IN_PPPOE), &draw, &mut program);
    push_where(PPP_IPV6, &ipv6(IN_PPPOE), &draw, &mut program);
    program.push(taken);
    lead_to_end(&mut program);
    program
}

/// These tests and the lot, where what was loaded last is this number.
fn push_where(number: u32, tests: &[sock_filter], draw: &[sock_filter], program: &mut Vec<sock_filter>) {
    program.push(jump(BPF_JEQ, number, 0, (tests.len() + draw.len()) as u8));
    program.extend_from_slice(tests);
    program.extend_from_slice(draw);
}

/// Goes on where the IPv4 header at `base` begins a long segment of a running connection.
fn ipv4(base: u32) -> [sock_filter; 10] {
    [
        statement(BPF_LD | BPF_B | BPF_ABS, base + 9),
        jump(BPF_JEQ, TCP, 0, TO_END),
        statement(BPF_LD | BPF_H | BPF_ABS, base + 6),
        jump(BPF_JSET, FRAGMENT, TO_END, 0),
        statement(BPF_LD | BPF_H | BPF_ABS, base + 2),
        jump(BPF_JGE, LONG_BYTES, 0, TO_END),
        // The length of the header.
        statement(BPF_LDX | BPF_B | BPF_MSH, base),
        statement(BPF_LD | BPF_B | BPF_IND, base + TCP_FLAGS),
        statement(BPF_ALU | BPF_AND | BPF_K, TOLD_FLAGS),
        jump(BPF_JEQ, ACK, 0, TO_END),
    ]
}

/// The same for an IPv6 header. Behind extension headers nothing is looked for: they are rare.
fn ipv6(base: u32) -> [sock_filter; 7] {
    [
        statement(BPF_LD | BPF_B | BPF_ABS, base + 6),
        jump(BPF_JEQ, TCP, 0, TO_END),
        statement(BPF_LD | BPF_H | BPF_ABS, base + 4),
        jump(BPF_JGE, LONG_BYTES - IPV6_HEADER_BYTES, 0, TO_END),
        statement(BPF_LD | BPF_B | BPF_ABS, base + IPV6_HEADER_BYTES + TCP_FLAGS),
        statement(BPF_ALU | BPF_AND | BPF_K, TOLD_FLAGS),
        jump(BPF_JEQ, ACK, 0, TO_END),
    ]
}

/// Takes one in so many, marked, and no other.
fn draw(snap_bytes: u32, shedding: Shedding) -> [sock_filter; 5] {
    [
        statement(BPF_LD | BPF_W | BPF_ABS, (SKF_AD_OFF + SKF_AD_RANDOM).cast_unsigned()),
        statement(BPF_ALU | BPF_AND | BPF_K, shedding.keeps_one_in() - 1),
        jump(BPF_JEQ, 0, 0, 1),
        statement(BPF_RET | BPF_K, snap_bytes.saturating_sub(shedding.mark_bytes())),
        statement(BPF_RET | BPF_K, 0),
    ]
}

/// Fills in the jumps to the last statement.
fn lead_to_end(program: &mut [sock_filter]) {
    let end = program.len() - 1;
    for (place, one) in program.iter_mut().enumerate() {
        for way in [&mut one.jt, &mut one.jf] {
            if *way == TO_END {
                *way = (end - place - 1) as u8;
            }
        }
    }
}
