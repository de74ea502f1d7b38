//! What an attacker might send to be overlooked, or to have somebody else accused.
#![allow(clippy::expect_used, clippy::panic, reason = "a test may stop at the first surprise")]

mod common;

use std::net::{IpAddr, Ipv4Addr};

use common::{Bench, CLIENT, SERVER, client, tcp, udp, web};
use traffic::decode::{Packet, Transport, Word};
use traffic::features::Index;
use traffic::flow::FlowEnd;
use traffic::limits::Limits;

/// The same segment with other numbers.
fn numbered(mut packet: Packet, sequence: u32, acknowledgement: u32) -> Packet {
    if let Transport::Tcp(tcp) = &mut packet.transport {
        (tcp.sequence, tcp.acknowledgement) = (sequence, acknowledgement);
    }
    packet
}

/// An address and a port.
type Endpoint = ([u8; 4], u16);

/// The SYN of a connection, its SYN-ACK, and the ACK that completes it, one millisecond after the other.
fn connect(bench: &mut Bench, at_ms: u64, initiator: Endpoint, responder: Endpoint) {
    bench.packet(at_ms, &tcp(initiator, responder, "S", 0));
    bench.packet(at_ms + 1, &tcp(responder, initiator, "SA", 0));
    bench.packet(at_ms + 2, &tcp(initiator, responder, "A", 0));
}

#[test]
fn forged_syn_acks_make_their_victim_no_scanner() {
    let mut bench = Bench::new(Limits::default());
    for n in 0..100_u8 {
        let stranger = ([203, 0, 113, n], 22);
        bench.packet(u64::from(n), &tcp(stranger, client(), "SA", 0));
        bench.packet(u64::from(n), &tcp(client(), stranger, "R", 0));
    }
    assert!(bench.seen.iter().all(|seen| !seen.begun), "a reset is nobody's doing");
    assert_eq!(bench.last().value(Index::SrcFlows2s), 0.0);
}

#[test]
fn who_resets_what_comes_about_leaves_it_half_open_once_and_nothing_else_does() {
    let mut bench = Bench::new(Limits::default());
    let half_open = |bench: &mut Bench, lines: &[(bool, &str)]| {
        let (scanner, service) = ((CLIENT, 40_000 + bench.seen.len() as u16), (SERVER, 22));
        for (from_scanner, flags) in lines {
            let (from, to) = if *from_scanner { (scanner, service) } else { (service, scanner) };
            bench.packet(1, &tcp(from, to, flags, 0));
        }
        bench.last().value(Index::SrcHalfOpen60s)
    };
    assert_eq!(half_open(&mut bench, &[(true, "S"), (false, "SA"), (true, "R"), (true, "R")]), 1.0);
    assert_eq!(half_open(&mut bench, &[(true, "S"), (true, "R")]), 1.0, "nothing came about");
    assert_eq!(half_open(&mut bench, &[(true, "S"), (false, "RA")]), 1.0, "the responder refused it");
    assert_eq!(half_open(&mut bench, &[(true, "S"), (false, "SA"), (false, "R")]), 1.0, "and took it back");
    assert_eq!(half_open(&mut bench, &[(true, "S"), (false, "SA"), (true, "A"), (true, "R")]), 1.0, "it stood");
    assert_eq!(half_open(&mut bench, &[(true, "S"), (false, "SA"), (true, "R")]), 2.0);
}

/// A thousand servers answer a client that has asked none of them, all at once.
fn answers_at_once(port: u16, answer: impl Fn(([u8; 4], u16)) -> Packet) {
    let mut bench = Bench::new(Limits::default());
    for n in 0..1_000_u16 {
        let [high, low] = n.to_be_bytes();
        bench.packet(500, &answer(([203, 0, 100 + high, low], port)));
    }
    let by_the_client = bench.seen.iter().filter(|seen| seen.initiator == IpAddr::from(CLIENT)).count();
    assert_eq!(by_the_client, 256, "a household has some hundreds");
    assert_eq!(bench.last().value(Index::DstFlows2s), 744.0, "from port {port}");
    bench.packet(1_500, &answer(([203, 0, 113, 1], port)));
    assert_eq!(bench.last().initiator, IpAddr::from(CLIENT), "a second later");
}

#[test]
fn a_flood_of_answers_is_no_rest_of_conversations_that_nobody_saw_begin() {
    answers_at_once(80, |server| tcp(server, client(), "SA", 0));
    answers_at_once(53, |server| udp(server, client(), 900));
}

#[test]
fn a_reset_that_the_server_ignores_ends_nothing() {
    let mut bench = Bench::new(Limits::default());
    connect(&mut bench, 0, client(), web());
    bench.packet(3, &numbered(tcp(client(), web(), "R", 0), 77, 0));
    let observed = bench.seen.len();
    for n in 0..64 {
        bench.packet(4 + n, &tcp(client(), web(), "PA", 100));
    }
    assert!(bench.seen.len() > observed + 5, "it is judged as before");
    assert!(bench.last().proven && bench.last().flow == 1, "as another flow of the same connection");
    assert_eq!(bench.last().value(Index::PairOpen60s), 1.0, "it is still held open");
    assert_eq!(bench.last().value(Index::SrcUnfinished60s), 0.0);
}

#[test]
fn who_sends_resets_that_nobody_heeds_makes_no_other_connections_of_the_initiators() {
    let mut bench = Bench::new(Limits::default());
    let mail = (SERVER, 993);
    connect(&mut bench, 0, client(), mail);
    for n in 0..700 {
        bench.packet(5 + n * 10, &numbered(tcp(mail, client(), "R", 0), 77, 0));
        bench.packet(6 + n * 10, &tcp(mail, client(), "PA", 100));
        bench.packet(7 + n * 10, &tcp(client(), mail, "A", 0));
    }
    let value = |index| bench.last().value(index);
    assert_eq!([value(Index::SrcFlows60s), value(Index::PairFlows60s), value(Index::PairOpen60s)], [1.0; 3]);
    assert_eq!([value(Index::SrcLogins60s), value(Index::PairShortLogins60s)], [1.0; 2]);
}

#[test]
fn who_guesses_and_never_hangs_up_is_counted_all_the_same() {
    let mut bench = Bench::new(Limits::default());
    for (n, port) in (0..).zip(40_000..40_005) {
        let (guesser, ssh) = ((CLIENT, port), (SERVER, 22));
        connect(&mut bench, n * 100, guesser, ssh);
        // NEWKEYS, ssh-userauth, the server's yes, a password, and its no.
        for (from_guesser, len) in [(true, 16), (true, 44), (false, 44), (true, 148), (false, 76)] {
            let (from, to) = if from_guesser { (guesser, ssh) } else { (ssh, guesser) };
            bench.packet(n * 100 + 3, &tcp(from, to, "PA", len));
        }
        bench.packet(n * 100 + 4, &tcp(ssh, guesser, "FA", 0));
    }
    assert_eq!(bench.last().end, Some(FlowEnd::Finished));
    assert_eq!(bench.last().value(Index::PairFailedLogins60s), 5.0);
    assert_eq!(bench.last().value(Index::PairMeagreLogins60s), 5.0);
    assert!(bench.last().meagre_login);
}

/// The same segment with this said in it.
fn saying(mut packet: Packet, said: Word) -> Packet {
    if let Transport::Tcp(tcp) = &mut packet.transport {
        tcp.word = said;
    }
    packet
}

/// A guess at SMB, and its refusal.
fn refused_guess(bench: &mut Bench, at_ms: u64, (guesser, smb): (Endpoint, Endpoint)) {
    bench.packet(at_ms, &saying(tcp(guesser, smb, "PA", 90), Word::Tried));
    bench.packet(at_ms + 1, &saying(tcp(smb, guesser, "PA", 77), Word::Refused));
}

#[test]
fn who_guesses_over_one_connection_is_counted_by_the_guess() {
    let mut bench = Bench::new(Limits::default());
    let (guesser, smb) = ((CLIENT, 40_000), (SERVER, 445));
    connect(&mut bench, 0, guesser, smb);
    for n in 0..30 {
        refused_guess(&mut bench, 10 + n * 10, (guesser, smb));
        // An answer that is sent again is no other one.
        bench.packet(15 + n * 10, &saying(tcp(smb, guesser, "PA", 77), Word::Refused));
    }
    bench.packet(400, &tcp(guesser, smb, "R", 0));
    assert_eq!(bench.last().value(Index::PairRefusedLogins60s), 30.0);
}

#[test]
fn a_reset_that_the_server_ignores_hides_no_guess_behind_it() {
    let mut bench = Bench::new(Limits::default());
    for (n, port) in [(0, 445), (1, 21)] {
        let (guesser, server) = ((CLIENT, 40_000), ([203, 0, 113, 20 + n], port));
        let begin_ms = u64::from(n) * 1_000;
        connect(&mut bench, begin_ms, guesser, server);
        for guess in 0..30 {
            refused_guess(&mut bench, begin_ms + 10 + guess * 10, (guesser, server));
            bench.packet(begin_ms + 15 + guess * 10, &numbered(tcp(guesser, server, "R", 0), 77, 0));
        }
        let value = |index| bench.last().value(index);
        assert_eq!(value(Index::PairRefusedLogins60s), 30.0, "port {port}");
        assert_eq!(value(Index::PairFailedLogins60s), f32::from(n), "it is one connection, and SMB's do not count");
    }
}

#[test]
fn nobody_is_made_to_guess_by_answers_to_a_connection_that_was_never_opened() {
    let mut bench = Bench::new(Limits::default());
    let (victim, smb) = ((CLIENT, 40_000), (SERVER, 445));
    bench.packet(0, &tcp(victim, smb, "S", 0));
    for n in 0..30 {
        refused_guess(&mut bench, 10 + n * 10, (victim, smb));
    }
    bench.packet(400, &tcp(smb, victim, "R", 0));
    assert_eq!(bench.last().value(Index::PairRefusedLogins60s), 0.0);
}

#[test]
fn a_connection_to_a_service_with_passwords_that_goes_on_is_no_log_in_that_came_to_nothing() {
    let mut bench = Bench::new(Limits::default());
    let (mail_program, imap) = ((CLIENT, 40_000), (SERVER, 143));
    connect(&mut bench, 0, mail_program, imap);
    bench.packet(3, &tcp(mail_program, imap, "PA", 44));
    bench.pass(400_000);
    assert_eq!(bench.last().end, Some(FlowEnd::Idle));
    assert_eq!(bench.last().value(Index::SrcLogins60s), 1.0);
    assert!(!bench.last().meagre_login);
}

#[test]
fn a_flood_goes_on_through_the_resets_that_answer_it() {
    let mut bench = Bench::new(Limits::default());
    for n in 0..1_024 {
        bench.packet(n, &tcp(client(), web(), "A", 0));
        bench.packet(n, &tcp(web(), client(), "R", 0));
    }
    assert_eq!(bench.last().packets, 2_048);
    assert_eq!(bench.last().value(Index::FwdPackets), 1_024.0);
    assert_eq!((bench.last().value(Index::Established), bench.last().end), (0.0, None), "it ended long ago");
    assert_eq!(bench.seen.iter().filter(|seen| seen.end.is_some()).count(), 1);
}

#[test]
fn a_reset_amid_the_handshake_takes_no_proof_away() {
    let mut bench = Bench::new(Limits::default());
    bench.packet(0, &tcp(client(), web(), "S", 0));
    bench.packet(1, &numbered(tcp(client(), web(), "R", 0), 77, 0));
    bench.packet(2, &tcp(web(), client(), "SA", 0));
    bench.packet(3, &tcp(client(), web(), "A", 0));
    bench.packet(4, &tcp(client(), web(), "PA", 100));
    assert!(bench.last().proven);
}

#[test]
fn the_last_packets_after_a_reset_are_still_no_new_flow() {
    let mut bench = Bench::new(Limits::default());
    connect(&mut bench, 0, client(), web());
    bench.packet(3, &tcp(web(), client(), "R", 0));
    let observed = bench.seen.len();
    bench.packet(4, &tcp(client(), web(), "PA", 100));
    bench.packet(5, &tcp(web(), client(), "R", 0));
    assert_eq!(bench.seen.len(), observed);
}

#[test]
fn a_stray_packet_before_the_syn_takes_no_proof_away() {
    let mut bench = Bench::new(Limits::default());
    // From a service's port, so that it looks like an answer of the attacker's.
    let (attacker, victim) = ((CLIENT, 443), (SERVER, 5_000));
    bench.packet(0, &tcp(attacker, victim, "A", 0));
    bench.packet(1, &tcp(attacker, victim, "S", 0));
    bench.packet(2, &tcp(victim, attacker, "SA", 0));
    bench.packet(3, &tcp(attacker, victim, "A", 0));
    bench.packet(4, &tcp(attacker, victim, "PA", 10));
    assert_eq!(bench.last().initiator, IpAddr::V4(Ipv4Addr::from(CLIENT)));
    assert!(bench.last().proven);
}

#[test]
fn a_second_syn_ack_with_another_number_may_be_answered() {
    let mut bench = Bench::new(Limits::default());
    bench.packet(0, &tcp(client(), web(), "S", 0));
    bench.packet(1, &tcp(web(), client(), "SA", 0));
    bench.packet(1_000, &tcp(client(), web(), "S", 0));
    bench.packet(1_001, &numbered(tcp(web(), client(), "SA", 0), 9_000, 101));
    bench.packet(1_002, &numbered(tcp(client(), web(), "A", 0), 101, 9_001));
    bench.packet(1_003, &tcp(client(), web(), "PA", 10));
    bench.packet(1_004, &tcp(client(), web(), "PA", 10));
    bench.packet(1_005, &tcp(client(), web(), "PA", 10));
    assert!(bench.last().proven);
}

#[test]
fn a_udp_scan_from_the_port_of_dns_is_a_scan() {
    let mut bench = Bench::new(Limits::default());
    bench.packet(0, &udp(client(), (SERVER, 53), 30));
    for port in 2_000..2_100 {
        bench.packet(61_000, &udp((CLIENT, 53), (SERVER, port), 8));
    }
    assert!(bench.last().begun);
    assert!(bench.last().value(Index::SrcPorts2s) > 80.0);
}

/// How many ports and flows a client has tried that sends a datagram to each of these ports of a host that is gone.
fn tried(ports: core::ops::Range<u16>) -> (f32, f32) {
    let mut bench = Bench::new(Limits::default());
    for port in ports {
        bench.packet(61_000, &udp(client(), (SERVER, port), 8));
    }
    (bench.last().value(Index::SrcPorts2s), bench.last().value(Index::SrcFlows2s))
}

#[test]
fn who_asks_for_the_way_to_a_host_searches_it_for_nothing_and_is_counted_all_the_same() {
    let (ports, flows) = tried(33_434..33_434 + 90);
    assert!(ports < 1.5 && flows == 90.0, "{ports} ports, {flows} flows");
    let (ports, _) = tried(33_300..33_390);
    assert!(ports > 70.0, "{ports}: the ports beside are searched");
}

#[test]
fn a_flood_of_resets_is_its_senders_doing() {
    let mut bench = Bench::new(Limits::default());
    for n in 0..100 {
        bench.packet(n, &tcp((CLIENT, 1_024 + n as u16), web(), "R", 0));
    }
    assert_eq!(bench.last().value(Index::SrcFlows2s), 100.0);
}
