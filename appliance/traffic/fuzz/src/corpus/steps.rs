//! Sequences: steps for the flow table, and frames with their times for the extractor.

use super::Named;
use super::frames::{ETHERNET, RAW};
use super::headers::{ACK, FIN, IPV4, PSH, RST, SYN, dns, dns_tunnel, ethernet, icmp, ipv4, ipv4_back, syn, tcp, udp};

/// Steps of time by the bits that choose them.
const NOW: u8 = 0;
const IN_20_MS: u8 = 2;
const IN_1_S: u8 = 4;
const IN_5_S: u8 = 7;
const IN_30_S: u8 = 8;
const IN_60_S: u8 = 10;
const IN_110_S: u8 = 11;
const IN_299_S: u8 = 12;
const BACK_1_S: u8 = 13;
const BACK_10_MIN: u8 = 15;

/// What a step is, besides passing time.
const TCP: u8 = 0x10;
const UDP: u8 = 0xa0;
const FRAGMENT: u8 = 0xc0;
const ECHO: u8 = 0xd0;
const OTHER_ICMP: u8 = 0xe0;
const GRE: u8 = 0xf0;

/// The four bytes of a step.
type Step = [u8; 4];

/// Hosts from the first to the third, and back.
const THERE: u8 = 0b1000;
const BACK: u8 = 0b0010;
const OVER_IPV6: u8 = 0x10;
const IN_A_VLAN: u8 = 0x20;
/// Ports from the first client's to the web's, and back; and the numbers that the handshake needs.
const TO_WEB: u8 = 0b0110;
const FROM_WEB: u8 = 0b1001;
const SYN_ACK_NUMBERS: u8 = 0x40;
const ACK_NUMBERS: u8 = 0x50;
/// Acknowledges a byte that was not sent.
const GUESSED_NUMBERS: u8 = 0xd0;

/// A handshake; `more` is added to the hosts.
fn handshake(more: u8) -> Vec<Step> {
    vec![
        [TCP | IN_20_MS, THERE | more, TO_WEB, SYN],
        [TCP | IN_20_MS, BACK | more, FROM_WEB | SYN_ACK_NUMBERS, SYN | ACK],
        [TCP | IN_20_MS, THERE | more, TO_WEB | ACK_NUMBERS, ACK],
    ]
}

/// Room for so many flows, the steps of which the first belong together, and further ones.
fn table(capacity: u8, first: &[Step], then: &[Step]) -> Vec<u8> {
    [&[capacity - 1], first.as_flattened(), then.as_flattened()].concat()
}

const fn pass(time: u8) -> Step {
    [time, 0, 0, 0]
}

/// What the body of the flow table takes.
pub fn flow_table_inputs() -> Vec<Named> {
    let fin_there = [TCP | IN_20_MS, THERE, TO_WEB | ACK_NUMBERS, FIN | ACK];
    let fin_back = [TCP | IN_20_MS, BACK, FROM_WEB, FIN | ACK];
    let reset = [TCP | IN_20_MS, BACK, FROM_WEB, RST | ACK];
    let syn_again = [TCP | IN_20_MS, THERE, TO_WEB, SYN];
    let guess = [TCP | IN_20_MS, THERE, TO_WEB | GUESSED_NUMBERS, ACK];
    let ask = [UDP | IN_20_MS, THERE, 0b0010, 0];
    let answer = [UDP | IN_20_MS, BACK, 0b1000, 0];
    let ask_again = [UDP | IN_30_S, THERE, 0b0010, 0];
    let data = [TCP | IN_110_S, THERE | 0x80, TO_WEB | ACK_NUMBERS, PSH | ACK];
    vec![
        ("tcp-connection", table(8, &handshake(0), &[fin_there, fin_back, pass(IN_5_S)])),
        ("tcp-over-ipv6-in-a-vlan", table(8, &handshake(OVER_IPV6 | IN_A_VLAN), &[pass(IN_60_S)])),
        ("tcp-refused", table(8, &[syn_again, reset], &[syn_again, reset, pass(IN_5_S)])),
        ("tcp-guessed-acknowledgement", table(8, &handshake(0)[..2], &[guess, pass(IN_60_S)])),
        ("tcp-mid-stream", table(8, &[[TCP, BACK, FROM_WEB, ACK], [TCP, THERE, TO_WEB, ACK]], &[pass(IN_299_S)])),
        ("tcp-segments", table(8, &handshake(0), &[data, data, data, pass(IN_299_S), pass(IN_20_MS)])),
        ("tcp-reopened", table(8, &handshake(0), &[reset, syn_again, pass(IN_60_S)])),
        ("udp-answered", table(8, &[ask, answer], &[pass(IN_30_S), ask, pass(IN_60_S)])),
        ("udp-segments", table(8, &[ask, ask_again, ask_again, ask_again, ask_again], &[pass(IN_60_S)])),
        ("udp-without-ports", table(8, &[[UDP, THERE, 0, 0], [FRAGMENT, THERE, 0, 1]], &[[UDP, BACK, 0, 0]])),
        ("ping", table(8, &[[ECHO, THERE, 2, 0], [ECHO, BACK, 2, 1]], &[[OTHER_ICMP, THERE, 0, 0]])),
        ("fragments-and-tunnels", table(8, &[[FRAGMENT, THERE, 0, 1], [GRE, THERE, 0, 0]], &[[FRAGMENT, BACK, 0, 0]])),
        ("full-of-scans", table(2, &handshake(0), &scan())),
        ("full-of-conversations", table(1, &[ask, answer], &handshake(0))),
        ("full-of-a-connection-and-a-call", table(2, &handshake(0), &[ask, answer, [GRE, THERE, 0, 0], fin_back])),
        ("out-of-order", table(4, &handshake(0), &[[UDP | BACK_1_S, THERE, 2, 0], pass(IN_60_S), data])),
        ("clock-set-back", table(4, &handshake(0), &[pass(BACK_10_MIN), ask, pass(IN_60_S), data])),
    ]
}

/// SYNs to four hosts.
fn scan() -> Vec<Step> {
    (0..4).map(|host| [TCP | IN_1_S, host << 2 | 1, 0b0111, SYN]).collect()
}

/// A frame with its step of time.
fn record(step: u8, frame: &[u8]) -> Vec<u8> {
    [&[step, frame.len() as u8], frame].concat()
}

fn on_ethernet(packets: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let records = packets.iter().flat_map(|(step, packet)| record(*step, &ethernet(IPV4, packet)));
    [ETHERNET].into_iter().chain(records).collect()
}

/// What the body of the extractor takes.
pub fn extractor_inputs() -> Vec<Named> {
    let question = ipv4(17, &udp((40_000, 53), &dns()));
    let answer = ipv4_back(17, &udp((53, 40_000), &dns()));
    let complaint = ipv4_back(1, &icmp(3, 3, [0; 4], &question));
    let ping = ipv4(1, &icmp(8, 0, [0, 9, 0, 1], b"ping"));
    let pong = ipv4_back(1, &icmp(0, 0, [0, 9, 0, 1], b"ping"));
    vec![
        ("web-page", on_ethernet(&connection(80))),
        ("logins", on_ethernet(&[connection(22), connection(22), connection(22)].concat())),
        ("scan", on_ethernet(&(1..=12).map(|port| (NOW, ipv4(6, &syn((40_000, port))))).collect::<Vec<_>>())),
        ("name-look-up", on_ethernet(&[(NOW, question.clone()), (IN_20_MS, answer)])),
        ("names-and-pings-carry-data", on_ethernet(&carriers())),
        ("late-answers", on_ethernet(&late_answers())),
        ("refused-by-icmp", on_ethernet(&[(NOW, question.clone()), (IN_20_MS, complaint), (IN_60_S, ping.clone())])),
        ("ping", on_ethernet(&[(NOW, ping.clone()), (IN_20_MS, pong)])),
        ("clock-set-back", on_ethernet(&[(NOW, ping.clone()), (BACK_10_MIN, question.clone()), (IN_60_S, ping)])),
        ("latest-time", [&[RAW, 0xff], &[0xff; 8][..], &[question.len() as u8], &question].concat()),
    ]
}

/// A name that may carry data, asked for twice, and pings of two sizes.
fn carriers() -> Vec<(u8, Vec<u8>)> {
    let question = || (NOW, ipv4(17, &udp((40_000, 53), &dns_tunnel())));
    let ping = |data: &[u8]| (NOW, ipv4(1, &icmp(8, 0, [0, 9, 0, 1], data)));
    vec![question(), question(), ping(b"ping"), ping(b"larger"), ping(b"ping")]
}

/// Three questions, all answered only after the next one.
fn late_answers() -> Vec<(u8, Vec<u8>)> {
    let question = |port| ipv4(17, &udp((port, 53), &dns()));
    let answer = |port| ipv4_back(17, &udp((53, port), &dns()));
    let questions = [40_000, 40_001, 40_002].map(|port| (NOW, question(port)));
    let answers = [40_000, 40_001, 40_002].map(|port| (NOW, answer(port)));
    questions.into_iter().chain([(IN_5_S, question(40_003))]).chain(answers).collect()
}

/// A connection from handshake to end.
fn connection(port: u16) -> Vec<(u8, Vec<u8>)> {
    let (there, back) = ((40_000, port), (port, 40_000));
    vec![
        (NOW, ipv4(6, &syn(there))),
        (IN_20_MS, ipv4_back(6, &tcp(back, (500, 101), SYN | ACK, &[]))),
        (IN_20_MS, ipv4(6, &tcp(there, (101, 501), ACK, &[]))),
        (IN_20_MS, ipv4(6, &tcp(there, (101, 501), PSH | ACK, b"hello"))),
        (IN_20_MS, ipv4_back(6, &tcp(back, (501, 106), PSH | FIN | ACK, b"hello to you"))),
        (IN_20_MS, ipv4(6, &tcp(there, (106, 514), FIN | ACK, &[]))),
    ]
}
