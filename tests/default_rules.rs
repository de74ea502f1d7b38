//! What the default rules take for an attack, and what looks like it and is none, by packets that are made here.

use std::net::IpAddr;

use lab::cleanup::work_folder;
use lab::frames::{Frame, write_pcap};
use lab::packets::{ENCAPSULATIONS, Transport, datagram, echo, icmp, tcp};

use crate::replay::report;

/// What a device of the household is blocked for that sends these, and gets as much back where they are answered, ten a second.
fn blocked_for(name: &str, is_answered: bool, sent: impl Iterator<Item = [Transport; 2]>) -> Vec<String> {
    let [device, server] = ["198.51.100.10", "203.0.113.12"].map(|address| address.parse::<IpAddr>().unwrap());
    let frame = |number: usize, back: usize, [from, to]: [IpAddr; 2], carried: &Transport| {
        let bytes = ENCAPSULATIONS[0].frame(from, to, 1, carried);
        let time_us = 1_600_000_000_000_000 + (number * 100_000 + back * 20_000) as u64;
        Frame { time_us, wire_len: u32::try_from(bytes.len()).unwrap(), bytes }
    };
    let frames: Vec<_> = sent
        .enumerate()
        .flat_map(|(number, [question, answer])| {
            let asked = frame(number, 0, [device, server], &question);
            [Some(asked), is_answered.then(|| frame(number, 1, [server, device], &answer))].into_iter().flatten()
        })
        .collect();
    let file = work_folder().unwrap().join(format!("{name}-{is_answered}.pcap"));
    write_pcap(&file, &frames).unwrap();
    let report = report(&file, &["--lan", "198.51.100.0/24"]);
    report["blocks"].as_array().unwrap().iter().map(|block| block["class"].as_str().unwrap().to_owned()).collect()
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
    assert_eq!(knocks("some-ports", 2_000..2_009), [""; 0], "as a game or a call does");
    assert_eq!(knocks("many-ports", 2_000..2_090), ["scan"]);
}
