//! What the default rules take for an attack, and what looks like it and is none, by packets that are made here.

use std::net::IpAddr;

use lab::cleanup::work_folder;
use lab::frames::{Frame, write_pcap};
use lab::packets::{ENCAPSULATIONS, SYN, SYN_ACK, Transport, datagram, echo, icmp, tcp, tcp_saying, tcp_with};

use crate::replay::{report, steadfast};

/// What a device of the household sends to the server with that last byte, and what it gets back.
struct Exchange {
    server: u8,
    sent: Transport,
    answer: Option<Transport>,
}

/// What a device is blocked for that sends these, one each so many milliseconds, and is answered before the next one.
fn blocked(name: &str, pace_ms: u64, exchanges: impl Iterator<Item = Exchange>, more: &[&str]) -> Vec<String> {
    blocked_late(name, pace_ms, pace_ms * 200, exchanges, more)
}

/// The same where each answer takes so many microseconds.
fn blocked_late(
    name: &str,
    pace_ms: u64,
    answer_us: u64,
    exchanges: impl Iterator<Item = Exchange>,
    more: &[&str],
) -> Vec<String> {
    blocked_of_several(name, pace_ms, answer_us, exchanges.map(|exchange| (10, exchange)), more)
}

/// The same of several devices, each named by the last byte of its address.
fn blocked_of_several(
    name: &str,
    pace_ms: u64,
    answer_us: u64,
    exchanges: impl Iterator<Item = (u8, Exchange)>,
    more: &[&str],
) -> Vec<String> {
    let address = |text: &str| text.parse::<IpAddr>().unwrap();
    let mut frames = Vec::new();
    for (number, (device, Exchange { server, sent, answer })) in exchanges.enumerate() {
        let (device, server) = (address(&format!("198.51.100.{device}")), address(&format!("203.0.113.{server}")));
        let time_us = 1_600_000_000_000_000 + number as u64 * pace_ms * 1_000;
        let mut push = |from, to, carried: &Transport, later_us| {
            let bytes = ENCAPSULATIONS[0].frame(from, to, 1, carried);
            frames.push(Frame { time_us: time_us + later_us, wire_len: u32::try_from(bytes.len()).unwrap(), bytes });
        };
        push(device, server, &sent, 0);
        if let Some(answer) = answer {
            push(server, device, &answer, answer_us);
        }
    }
    frames.sort_by_key(|frame| frame.time_us);
    let file = work_folder().unwrap().join(format!("{name}.pcap"));
    write_pcap(&file, &frames).unwrap();
    let report = report(&file, &[&["--lan", "198.51.100.0/24"], more].concat());
    report["blocks"].as_array().unwrap().iter().map(|block| block["class"].as_str().unwrap().to_owned()).collect()
}

/// The same of one server, where these are answered or not, ten a second.
fn blocked_for(name: &str, is_answered: bool, sent: impl Iterator<Item = [Transport; 2]>) -> Vec<String> {
    let exchanges = sent.map(|[sent, answer]| Exchange { server: 12, sent, answer: is_answered.then_some(answer) });
    blocked(&format!("{name}-{is_answered}"), 100, exchanges, &[])
}

/// Whether the device is blocked as a scanner where the model takes every flow for one, so likely.
fn is_blocked(name: &str, likely: f64, pace_ms: u64, exchanges: impl Iterator<Item = Exchange>) -> bool {
    let model = steadfast(name, [1.0 - likely, likely, 0.0, 0.0]);
    let classes = blocked(name, pace_ms, exchanges, &["--model", &model]);
    assert!(classes.iter().all(|class| class == "scan") && classes.len() < 2, "{classes:?}");
    !classes.is_empty()
}

/// The same where only rules excuse.
fn not_excused(name: &str, pace_ms: u64, exchanges: impl Iterator<Item = Exchange>) -> bool {
    is_blocked(name, 0.97, pace_ms, exchanges)
}

/// The same where only rules accuse.
fn accused(name: &str, pace_ms: u64, exchanges: impl Iterator<Item = Exchange>) -> bool {
    is_blocked(name, 0.0, pace_ms, exchanges)
}

#[test]
fn data_in_names_and_in_pings_is_a_tunnel_and_what_looks_like_it_is_none() {
    let names = |kind: u8| {
        (0..60_u16).map(move |number| {
            let name = format!("\x1c{number:028}\x07example\x03org\0");
            let question = [&[0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0], name.as_bytes(), &[0, kind, 0, 1]].concat();
            [datagram(40_000 + number, 53, &question), datagram(53, 40_000 + number, &question)]
        })
    };
    let (address, text) = (1, 16);
    assert_eq!(blocked_for("texts", true, names(text)), ["tunnel"]);
    assert!(blocked_for("texts", false, names(text)).is_empty(), "in whose name nobody answers");
    assert!(blocked_for("addresses", true, names(address)).is_empty(), "as a page can have a browser ask");

    let pings = |sizes: usize| (0..128).map(move |number| [8, 0].map(|kind| echo(kind, 56 + 10 * (number % sizes))));
    assert_eq!(blocked_for("pings", true, pings(12)), ["tunnel"]);
    assert!(blocked_for("pings", false, pings(12)).is_empty(), "nor where nobody is pinged");
    assert!(blocked_for("two-programs", true, pings(2)).is_empty(), "that ping at once");
}

#[test]
fn two_packets_that_no_program_sends_are_a_scan_and_one_among_others_is_none() {
    let (no_flags, reset) = (tcp(40_000, 22, 0), tcp(22, 40_000, 0x14));
    let with_code = |kind| echo(kind, 120).with_code(9);
    let probes = [[no_flags, reset], [with_code(8), with_code(0)], [icmp(1, 17), icmp(1, 18)]];
    let asks = |number: u16| [datagram(41_000 + number, 443, &[1; 100]), datagram(443, 41_000 + number, &[2; 900])];
    let harmless = || (0..20).map(asks);
    let of = |name: &str, probes: &[[Transport; 2]]| blocked_for(name, true, probes.iter().cloned().chain(harmless()));
    assert_eq!(of("null-and-code", &probes[..2]), ["scan"]);
    assert_eq!(of("code-and-mask", &probes[1..]), ["scan"]);
    let again = [&probes[..1], &probes[..1], &probes[..1]].concat();
    assert_eq!(of("null-again", &again), [""; 0], "it is sent again, and no second one");
    for (number, name) in ["null", "code", "mask"].into_iter().enumerate() {
        assert_eq!(of(name, &probes[number..=number]), [""; 0], "{name}");
    }
}

#[test]
fn who_asks_for_the_way_to_a_host_that_is_gone_does_not_scan_it() {
    let knocks = |name: &str, ports: core::ops::Range<u16>| {
        blocked_for(name, false, ports.map(|port| [datagram(40_000, port, &[0; 12]), datagram(port, 40_000, &[])]))
    };
    assert_eq!(knocks("traceroute", 33_434..33_524), [""; 0], "three times at each of thirty hops");
    assert_eq!(knocks("many-ports", 2_000..2_090), ["scan"]);
}

#[test]
fn a_few_ports_by_datagrams_are_excused_and_more_are_not() {
    let datagrams = |name: &str, ports: u16| {
        let unanswered = |port| Exchange { server: 12, sent: datagram(40_000, port, &[0; 12]), answer: None };
        not_excused(name, 100, (2_000..2_000 + ports).map(unanswered))
    };
    assert!(!datagrams("few-ports", 10), "as a game or a call tries them");
    assert!(datagrams("more-ports", 20));
}

/// A connection to a web server that is opened, and answered 300 times with so many bytes each.
fn connection(port: u16, bytes: usize) -> impl Iterator<Item = Exchange> {
    let exchange = |sent, answer| Exchange { server: 12, sent, answer: Some(answer) };
    let opened = exchange(tcp(port, 443, SYN).numbered(100, 0), tcp(443, port, SYN_ACK).numbered(500, 101));
    let answered = (0..300).map(move |number| {
        let has = 501 + number * u32::try_from(bytes).unwrap();
        exchange(tcp(port, 443, 0x10).numbered(101, has), tcp_with(443, port, 0x18, bytes).numbered(has, 101))
    });
    core::iter::once(opened).chain(answered)
}

#[test]
fn a_connection_that_brings_much_is_excused_and_one_that_brings_little_is_not() {
    let connections = |bytes| (0..8).flat_map(move |number| connection(40_000 + number, bytes));
    assert!(!not_excused("downloads", 1, connections(1_000)));
    assert!(not_excused("trickles", 1, connections(5)));
}

#[test]
fn log_ins_to_a_few_hosts_at_once_are_excused_unless_they_are_refused_or_many() {
    let log_ins = |name: &str, hosts: u8, is_refused: bool| {
        let begun = (10..10 + hosts).map(move |server| {
            let refused = tcp(22, 40_000, 0x14).numbered(0, 101);
            Exchange { server, sent: tcp(40_000, 22, SYN).numbered(100, 0), answer: is_refused.then_some(refused) }
        });
        not_excused(name, 20, begun)
    };
    assert!(!log_ins("eight-log-ins", 8, false), "they take their time to answer");
    assert!(log_ins("eight-refusals", 8, true));
    assert!(log_ins("twenty-log-ins", 20, false));
}

#[test]
fn connections_left_half_open_at_several_ports_of_a_host_are_a_scan_and_second_ways_to_servers_are_none() {
    let reset = |server: u8, port| Exchange { server, sent: tcp(40_000, port, 4).numbered(101, 0), answer: None };
    let answered = |server: u8, port, flags| Exchange {
        server,
        sent: tcp(40_000, port, SYN).numbered(100, 0),
        answer: Some(tcp(port, 40_000, flags).numbered(500, 101)),
    };
    let half_open = |server: u8, port| [answered(server, port, SYN_ACK), reset(server, port)];
    assert!(accused("half-open", 10, (0..10).flat_map(|n| half_open(12, 20 + n))));
    assert!(!accused("half-open-at-hosts", 10, (0..30).flat_map(|n| half_open(12 + n, 443))), "as browsers do");
    let completed = |port| Exchange { sent: tcp(40_000, port, 0x10).numbered(101, 501), ..reset(12, port) };
    let stands = |port| [answered(12, port, SYN_ACK), completed(port)];
    assert!(!accused("ports-that-stand", 10, (20..36).flat_map(stands)), "where none is reset");
    let talk = |port| Exchange { server: 12, sent: tcp(port, 443, 0x10).numbered(101, 501), answer: None };
    let opened = |port| {
        let accepted = tcp(443, port, SYN_ACK).numbered(500, 101);
        let begun = Exchange { server: 12, sent: tcp(port, 443, SYN).numbered(100, 0), answer: Some(accepted) };
        [begun, talk(port)]
    };
    let of_old = 41_000..41_012;
    let before = of_old.clone().flat_map(opened).chain((20..24).flat_map(|port| half_open(12, port)));
    assert!(!accused("of-old", 10, before.chain(of_old.map(talk))), "nor is what stands already");
    let again = (0..10).flat_map(|_| half_open(12, 443).into_iter().chain([reset(12, 443), reset(12, 443)]));
    assert!(!accused("half-open-again", 10, again), "at one port");
}

#[test]
fn first_words_of_quic_are_excused_and_what_searches_in_their_guise_is_not() {
    let tries = |name: &str, servers: u8, ports: u16, bytes: usize, times: usize, pace_ms| {
        let ask = |(server, port)| Exchange { server, sent: datagram(40_000, port, &vec![0; bytes]), answer: None };
        let all = (10..10 + servers).flat_map(move |server| (4_432..4_432 + ports).map(move |port| (server, port)));
        not_excused(name, pace_ms, all.flat_map(move |to| core::iter::repeat_n(to, times)).map(ask))
    };
    assert!(!tries("quic", 14, 3, 1_200, 3, 100), "three times at each of three ports");
    assert!(tries("shorter", 14, 3, 100, 3, 100));
    assert!(tries("more-ports-of-quic", 14, 6, 1_200, 3, 100));
    assert!(tries("many-at-once", 14, 3, 1_200, 1, 20));
    assert!(tries("long", 14, 1, 1_200, 300, 5), "as a flood");
    let model = steadfast("quic-to-one", [0.03, 0.97, 0.0, 0.0]);
    let try_one = |name: &str, devices: u8| {
        let ask = |port| Exchange { server: 12, sent: datagram(port, 443, &[0; 1_200]), answer: None };
        let all = (1..=devices).cycle().zip((40_000..40_000 + 11 * u16::from(devices)).map(ask));
        !blocked_of_several(name, 20, 0, all, &["--model", &model]).is_empty()
    };
    assert!(!try_one("quic-of-two", 2));
    assert!(try_one("quic-of-six", 6), "a server that several devices flood together");
}

#[test]
fn a_list_of_servers_at_one_port_is_tried_at_once_and_a_longer_one_is_a_search() {
    assert!(!not_excused("a-list", 1, begun(32, &[8_883])), "of which none answers");
    assert!(not_excused("two-of-each", 1, begun(32, &[8_883, 5_222])));
    assert!(not_excused("a-long-list", 1, begun(60, &[8_883])));
}

/// A connection in which these are said and answered.
fn conversation(server: u8, port: u16, service: u16, said: &[[String; 2]]) -> Vec<Exchange> {
    let exchange = |sent, answer| Exchange { server, sent, answer: Some(answer) };
    let mut all =
        vec![exchange(tcp(port, service, SYN).numbered(100, 0), tcp(service, port, SYN_ACK).numbered(500, 101))];
    let [mut asked, mut told] = [101, 501];
    for [sent, answer] in said {
        let sent_to = asked + u32::try_from(sent.len()).unwrap();
        let sent = tcp_saying(port, service, sent).numbered(asked, told);
        all.push(exchange(sent, tcp_saying(service, port, answer).numbered(told, sent_to)));
        asked = sent_to;
        told += u32::try_from(answer.len()).unwrap();
    }
    let ended = tcp(service, port, 0x11).numbered(told, asked + 1);
    all.push(exchange(tcp(port, service, 0x11).numbered(asked, told), ended));
    all
}

/// A connection to FTP that tries so many passwords in vain.
fn refused_by_ftp(server: u8, port: u16, passwords: u32) -> Vec<Exchange> {
    let said = (0..passwords).flat_map(|_| [["USER lab", "331 password?"], ["PASS wrong", "530 no"]]);
    let lines: Vec<_> = said.map(|said| said.map(|line| format!("{line}\r\n"))).collect();
    conversation(server, port, 21, &lines)
}

/// The same of SSH, by the lengths of what is said from NEWKEYS on where each password is asked for (RFC 4256), and the question is as long
/// as a refusal.
fn refused_by_ssh(server: u8, port: u16, passwords: u32) -> Vec<Exchange> {
    let lengths = [[16, 0], [52, 52], [68, 68]].into_iter().chain((0..passwords).flat_map(|_| [[100, 68], [84, 68]]));
    let messages: Vec<_> = lengths.map(|lengths| lengths.map(|length| "\u{1}".repeat(length))).collect();
    conversation(server, port, 22, &messages)
}

#[test]
fn passwords_refused_over_several_connections_or_at_several_hosts_are_guesses_and_a_few_are_none() {
    let model = steadfast("hears-no-guess", [1.0, 0.0, 0.0, 0.0]);
    let guesses = |name: &str, servers: u8, connections: u16, passwords: u32| {
        let is_blocked = |service: &str, refused: fn(u8, u16, u32) -> Vec<Exchange>| {
            let all = (10..10 + servers).flat_map(|server| (0..connections).map(move |number| (server, number)));
            let all = all.flat_map(|(server, number)| refused(server, 40_000 + number, passwords));
            !blocked(&format!("{name}-{service}"), 100, all, &["--model", &model]).is_empty()
        };
        let verdicts = [is_blocked("ftp", refused_by_ftp), is_blocked("ssh", refused_by_ssh)];
        assert_eq!(verdicts[0], verdicts[1], "FTP and SSH in {name}");
        verdicts[0]
    };
    assert!(guesses("five-in-five", 1, 5, 1));
    assert!(!guesses("four-in-four", 1, 4, 1));
    assert!(guesses("nine-in-three", 1, 3, 3));
    assert!(!guesses("eight-in-four", 1, 4, 2), "somebody has forgotten it");
    assert!(!guesses("ten-in-two", 1, 2, 5));
    assert!(guesses("ten-at-five", 5, 2, 1));
    assert!(!guesses("six-at-three", 3, 2, 1));
    assert!(!guesses("eight-at-eight", 8, 1, 1), "a script with an old password");
}

#[test]
fn the_same_ports_of_several_hosts_by_datagrams_are_a_scan() {
    let asked = |name: &str, hosts: u8, ports: u16, bytes: usize, is_answered: bool| {
        let ask = move |server: u8, port: u16| Exchange {
            server,
            sent: datagram(40_000, port, &vec![0; bytes]),
            answer: is_answered.then(|| datagram(port, 40_000, &[0; 12])),
        };
        let all = (10..10 + hosts).flat_map(move |server| (2_000..2_000 + ports).map(move |port| ask(server, port)));
        accused(name, 20, all)
    };
    assert!(asked("ports-of-hosts", 8, 5, 12, false));
    assert!(!asked("ports-of-three", 3, 5, 12, false), "as shared folders have them");
    assert!(!asked("a-port-or-three", 8, 3, 12, false), "as calls look for a way");
    assert!(!asked("ports-of-hosts-quic", 8, 5, 1_200, false), "as a connection begins");
    assert!(!asked("ports-of-hosts-answered", 8, 5, 12, true));
}

/// Connections begun to these ports of so many servers, which do not answer, or not yet.
fn begun(servers: u8, ports: &'static [u16]) -> impl Iterator<Item = Exchange> {
    let begin = |(server, port)| Exchange { server, sent: tcp(40_000, port, SYN).numbered(100, 0), answer: None };
    (10..10 + servers).flat_map(move |server| ports.iter().map(move |port| (server, *port))).map(begin)
}

/// The same where they accept.
fn accepted(servers: u8, ports: &'static [u16]) -> impl Iterator<Item = Exchange> {
    let accept = |port| tcp(port, 40_000, SYN_ACK).numbered(500, 101);
    let all = ports.iter().cycle();
    begun(servers, ports).zip(all).map(move |(one, port)| Exchange { answer: Some(accept(*port)), ..one })
}

#[test]
fn who_asks_many_at_once_is_no_scanner_before_they_can_have_answered() {
    let late = |name: &str, answer_ms: u64, exchanges: &mut dyn Iterator<Item = Exchange>| {
        blocked_late(name, 1, answer_ms * 1_000, exchanges, &[])
    };
    for (name, port) in [("pages", &[443]), ("mail", &[993]), ("brokers", &[8_883])] {
        let complete = |begun: Exchange| Exchange { sent: tcp(40_000, port[0], 0x10).numbered(101, 501), ..begun };
        let mut all = accepted(120, port).chain(begun(120, port).map(complete));
        assert_eq!(late(&format!("{name}-answer"), 110, &mut all), [""; 0], "{name}");
        assert_eq!(late(&format!("{name}-are-silent"), 0, &mut begun(120, port)), ["scan"], "{name}");
    }
}

#[test]
fn pages_of_servers_that_answer_are_excused_and_other_services_and_one_server_are_not() {
    assert!(!not_excused("pages-that-answer", 5, accepted(90, &[443])), "the other way to each was quicker");
    assert!(not_excused("pages-that-do-not", 5, begun(45, &[443])));
    let silent = |every: u8| {
        let goes = move |one: &Exchange| !one.server.is_multiple_of(every);
        accepted(90, &[443]).map(move |one| if goes(&one) { one } else { Exchange { answer: None, ..one } })
    };
    assert!(!not_excused("pages-of-which-a-third-is-gone", 30, silent(3)), "as a chat tries its servers");
    assert!(not_excused("pages-of-which-half-are-gone", 30, silent(2)));
    let refuse = |begun: Exchange| Exchange { answer: Some(tcp(443, 40_000, 0x14).numbered(0, 101)), ..begun };
    assert!(not_excused("pages-that-refuse", 5, begun(60, &[443]).map(refuse)));
    assert!(not_excused("mail-of-forty", 5, accepted(40, &[25])));
    assert!(not_excused("five-ports-of-twelve", 5, accepted(12, &[80, 443, 8_000, 8_080, 8_443])));
    let reset = |begun: Exchange| Exchange { sent: tcp(40_000, 443, 4).numbered(101, 0), ..begun };
    let searched =
        (0..90).flat_map(|n| accepted(n + 1, &[443]).last().into_iter().chain(begun(n + 1, &[443]).last().map(reset)));
    assert!(not_excused("pages-that-nobody-reads", 5, searched), "as by who searches those that are there");
    let page = |number: u16| {
        let (port, sent) = (40_000 + number, tcp(40_000 + number, 443, SYN).numbered(100, 0));
        Exchange { server: 12, sent, answer: Some(tcp(443, port, SYN_ACK).numbered(500, 101)) }
    };
    assert!(not_excused("one-server", 5, (0..60).map(page)), "as a flood");
    let held_open = |number: u16| {
        let completed = tcp(40_000 + number, 443, 0x10).numbered(101, 501);
        [page(number), Exchange { server: 12, sent: completed, answer: None }]
    };
    assert!(not_excused("held-open", 100, (0..30).flat_map(held_open)), "as by who keeps a server busy");
}

#[test]
fn hosts_that_stay_silent_are_a_scan() {
    let accused_each = |name: &str, pace_ms, servers, ports: &'static [u16]| {
        let of = |all: &mut dyn Iterator<Item = Exchange>, name: &str| accused(name, pace_ms, all);
        [of(&mut begun(servers, ports), name), of(&mut accepted(servers, ports), &format!("{name}-accept"))]
    };
    assert_eq!(accused_each("silent-hosts", 1, 70, &[8_883]), [true, false]);
    assert_eq!(accused_each("silent-web-servers", 1, 70, &[443]), [true, false]);
    assert_eq!(accused_each("silent-for-long", 100, 70, &[443]), [true, false]);
    assert_eq!(accused_each("few-silent-hosts", 1, 45, &[8_883]), [false, false]);
    let asked = (10..130).flat_map(|server| (2_000..2_003).map(move |port| (server, port)));
    let asked = asked.map(|(server, port)| Exchange { server, sent: datagram(40_000, port, &[0; 12]), answer: None });
    assert!(!accused("asked-for-a-game", 5, asked), "by datagrams");
    let peers = (10..250).map(|server: u8| {
        let port = if server.is_multiple_of(3) { 8_080 } else { 9_000 + u16::from(server) };
        Exchange { server, sent: tcp(40_000, port, SYN).numbered(100, 0), answer: None }
    });
    assert!(!accused("peers-that-are-gone", 50, peers), "each at a port of its own");
}
