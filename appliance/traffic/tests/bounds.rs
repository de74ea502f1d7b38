//! What floods and forged addresses cannot do: push out running conversations, or hide somebody who was seen.
#![allow(clippy::expect_used, clippy::panic, reason = "a test may stop at the first surprise")]

mod common;

use common::{Bench, CLIENT, SERVER, client, tcp, udp, web};
use traffic::extractor::{Extractor, Outcome};
use traffic::features::Index;
use traffic::limits::Limits;
use traffic::time::Timestamp;

/// The `n`-th of the forged addresses, none of which is the client's.
fn forged(n: u32) -> [u8; 4] {
    (0x0a00_0000 + n).to_be_bytes()
}

fn forged_syn(n: u32) -> traffic::decode::Packet {
    tcp((forged(n), 1_024), web(), "S", 0)
}

fn take(extractor: &mut Extractor, at_us: u64, packet: &traffic::decode::Packet) -> Outcome {
    extractor.packet(packet, Timestamp::from_nanos(1_000_000_000_000 + at_us * 1_000), &mut |_| {})
}

#[test]
fn a_million_forged_syns_push_out_neither_a_download_nor_a_call() {
    let mut extractor = Extractor::new(&Limits::default(), [1, 2]);
    let quic = (SERVER, 443);
    for (at_us, packet) in [
        (0, tcp(client(), web(), "S", 0)),
        (100, tcp(web(), client(), "SA", 0)),
        (200, tcp(client(), web(), "A", 0)),
        (300, udp(client(), quic, 1_200)),
        (400, udp(quic, client(), 1_200)),
    ] {
        take(&mut extractor, at_us, &packet);
    }
    let mut evicted = 0;
    for n in 0..1_000_000 {
        // In 10 s, as fast as a fibre line carries them.
        evicted += u64::from(take(&mut extractor, 1_000 + u64::from(n) * 10, &forged_syn(n)).evicted);
    }
    assert_eq!(evicted, 1_000_000 - (65_536 - 2), "only the flood's own flows went");
    let at_us = 10_100_000;
    assert!(!take(&mut extractor, at_us, &tcp(web(), client(), "PA", 1_000)).created, "the download is known");
    assert!(!take(&mut extractor, at_us, &udp(quic, client(), 1_200)).created, "the call is known");
}

#[test]
fn the_victims_answers_to_forged_syns_make_them_no_conversations() {
    let mut extractor = Extractor::new(&Limits { flows: 64, ..Limits::default() }, [1, 2]);
    for packet in [tcp(client(), web(), "S", 0), tcp(web(), client(), "SA", 0), tcp(client(), web(), "A", 0)] {
        take(&mut extractor, 0, &packet);
    }
    for n in 0..10_000 {
        take(&mut extractor, 1, &forged_syn(n));
        take(&mut extractor, 1, &tcp(web(), (forged(n), 1_024), "SA", 0));
    }
    assert!(!take(&mut extractor, 2, &tcp(web(), client(), "PA", 1_000)).created, "the download is known");
}

/// A scanner that tries a port every half second, and between two of its packets two thousand forged sources with as many
/// flows each as it takes to be noted.
fn scan_behind(flows_per_forged_source: u16) -> f32 {
    let mut bench = Bench::new(Limits { flows: 1_024, sources: 1_024, ..Limits::default() });
    let mut n = 0;
    for port in 1..=60_u16 {
        bench.packet(u64::from(port) * 500, &tcp(client(), (SERVER, port), "S", 0));
        if port < 10 {
            continue;
        }
        for _ in 0..2_000 {
            n += 1;
            for source_port in 0..flows_per_forged_source {
                let packet = tcp((forged(n), 1_024 + source_port), web(), "S", 0);
                bench.extractor.packet(&packet, at(port), &mut |_| {});
            }
        }
    }
    bench.packet(30_500, &tcp(client(), (SERVER, 61), "S", 0));
    bench.last().value(Index::SrcFlows60s)
}

fn at(port: u16) -> Timestamp {
    Timestamp::from_nanos(1_000_000_000_000 + u64::from(port) * 500_000_000 + 1_000)
}

#[test]
fn a_scanner_that_was_seen_stays_seen_while_thousands_of_forged_sources_come() {
    for flows_per_forged_source in [1, 4, 8] {
        let seen = scan_behind(flows_per_forged_source);
        assert_eq!(seen, 61.0, "behind forged sources with {flows_per_forged_source} flows each");
    }
}

#[test]
fn the_windows_forget_who_was_quiet_not_who_is_active() {
    let mut bench = Bench::new(Limits { sources: 64, ..Limits::default() });
    for n in 0..48_u32 {
        for port in 1..=8 {
            bench.packet(0, &tcp((forged(n), 1_024), (SERVER, port), "S", 0));
        }
    }
    // All places of the noted are taken by sources that are quiet by now: a newcomer takes one of them over.
    for port in 1..=8 {
        bench.packet(120_000, &tcp((CLIENT, 40_000), (SERVER, port), "S", 0));
    }
    for n in 1_000..2_000 {
        bench.packet(120_100, &forged_syn(n));
    }
    bench.packet(120_200, &tcp((CLIENT, 40_000), (SERVER, 9), "S", 0));
    assert_eq!(bench.last().value(Index::SrcFlows60s), 9.0);
}

#[test]
fn one_busy_source_shields_none_that_did_little() {
    let mut bench = Bench::new(Limits { sources: 64, ..Limits::default() });
    let mut begin = |source: u32, flows: u16| {
        for port in 1..=flows {
            bench.extractor.packet(&tcp((forged(source), 1_024), (SERVER, port), "S", 0), at(0), &mut |_| {});
        }
    };
    begin(0, 50);
    (1..48).for_each(|source| begin(source, 4));
    // A scanner, and after each ten of its packets more newcomers than there is room for.
    for port in 1..=100_u16 {
        bench.packet(100 + u64::from(port), &tcp(client(), (SERVER, port), "S", 0));
        if port.is_multiple_of(10) {
            for n in 0..20 {
                bench.packet(100 + u64::from(port), &forged_syn(1_000 + u32::from(port) * 20 + n));
            }
        }
    }
    bench.packet(300, &tcp(client(), (SERVER, 101), "S", 0));
    assert_eq!(bench.last().value(Index::SrcFlows60s), 101.0);
}
