//! Many flows: what the windows say of logins, scans and floods.
//!
//! All but the long login stay within the first second, so every window holds all of it.

use traffic::features::Index::*;
use traffic::flow::FlowEnd;

use crate::Checkpoint::{End as AtEnd, Packets, Unheard};
use crate::connections::{C, CLIENT, S, SERVER, between, syn, syn_ack};
use crate::frames::{end, port_unreachable, segment, udp};
use crate::{Case, distinct, expected};

type Frames = Vec<(u64, Vec<u8>)>;

pub fn cases() -> [Case; 9] {
    [
        ssh_login(),
        two_short_logins(),
        rich_and_mute_logins(),
        failed_logins(),
        refused_logins(),
        login_at_four_hosts(),
        answers_on_their_way(),
        port_scan(),
        flood(),
    ]
}

/// A login from that port that begins then, and ends after so long.
fn login(client_port: u16, at_us: u64, ends_after_us: u64) -> Frames {
    let over = at_us + ends_after_us;
    between(
        end(CLIENT, client_port),
        end(SERVER, 22),
        [
            (at_us, C, syn()),
            (at_us + 10_000, S, syn_ack()),
            (at_us + 20_000, C, segment("A", 101, 501)),
            (at_us + 30_000, S, segment("PA", 501, 101).payload(21)),
            (at_us + 40_000, C, segment("PA", 101, 522).payload(24)),
            (over - 10_000, C, segment("FA", 125, 522)),
            (over, S, segment("FA", 522, 126)),
        ],
    )
}

/// 45 s are more than the 30 s of a short login.
fn ssh_login() -> Case {
    let fourth = [
        (LoginService, 1.0),
        (WebService, 0.0),
        (BwdPayloadBytes, 21.0),
        (SrcLogins60s, 1.0),
        (SrcShortLogins60s, 0.0),
        (PairFlows2s, 1.0),
        (PairFlows60s, 1.0),
        (PairOpen60s, 1.0),
    ];
    let whole = [
        (FwdPackets, 4.0),
        (BwdPackets, 3.0),
        (FwdPayloadBytes, 24.0),
        (BwdPayloadBytes, 21.0),
        (FwdPacketLenMean, 51.0),            // 60, 40, 64, 40
        (FwdPacketLenStd, 123.0_f64.sqrt()), // 9, 11, 13, 11 off: squares 81 + 121 + 169 + 121 = 492
        (BwdPacketLenMean, 51.0),            // 52, 61, 40
        (BwdPacketLenStd, 74.0_f64.sqrt()),  // 1, 10, 11 off: squares 1 + 100 + 121 = 222
        (DurationS, 45.0),
        (IatMaxS, 44.95),
        (LoginService, 1.0),
        // Second 45 is in the second slot of 30 s: the window still holds the first.
        (SrcFlows2s, 0.0),
        (PairFlows2s, 0.0),
        (SrcFlows60s, 1.0),
        (SrcLogins60s, 1.0),
        (PairFlows60s, 1.0),
        (SrcShortLogins60s, 0.0),
        (PairShortLogins60s, 0.0),
        (PairMeagreLogins60s, 0.0),
        (PairOpen60s, 0.0),
    ];
    let expected = vec![expected(0, Packets(4), fourth), expected(0, AtEnd(FlowEnd::Finished, 7), whole)];
    Case { name: "ssh-login", frames: login(40_001, 0, 45_000_000), flows: 1, expected }
}

fn two_short_logins() -> Case {
    let frames = [login(40_001, 0, 400_000), login(40_002, 500_000, 300_000)].concat();
    let first = [(SrcLogins60s, 1.0), (SrcShortLogins60s, 1.0), (PairFlows2s, 1.0), (PairShortLogins60s, 1.0)];
    let second = [
        (SrcFlows2s, 2.0),
        (SrcPorts2s, 1.0),
        (SrcHosts2s, 1.0),
        (SrcUnfinished2s, 0.0),
        (SrcLogins60s, 2.0),
        (SrcShortLogins60s, 2.0),
        (PairFlows2s, 2.0),
        (PairFlows60s, 2.0),
        (PairShortLogins60s, 2.0),
        (SrcMeagreLogins60s, 2.0), // 21 bytes each
        (PairMeagreLogins60s, 2.0),
        (PairOpen60s, 0.0),
        (DstFlows2s, 2.0),
        (DstServiceFlows2s, 2.0),
        (DstServiceFlows60s, 2.0),
        (DstServiceSources60s, 1.0),
    ];
    let begun = [(SrcLogins60s, 2.0), (SrcShortLogins60s, 1.0), (SrcUnanswered2s, 0.0), (SrcUnfinished60s, 0.0)];
    let expected = vec![
        expected(0, AtEnd(FlowEnd::Finished, 7), first),
        expected(1, Packets(1), begun),
        expected(1, AtEnd(FlowEnd::Finished, 7), second),
    ];
    Case { name: "two-short-logins", frames, flows: 2, expected }
}

/// One that brings 3,000 bytes, and one in which the client says nothing: both are short, and neither is meagre. Pages of the same
/// host are counted apart.
fn rich_and_mute_logins() -> Case {
    let [client, other, server] = [end(CLIENT, 40_001), end(CLIENT, 40_002), end(SERVER, 22)];
    let rich = between(
        client,
        server,
        [
            (0, C, syn()),
            (10_000, S, syn_ack()),
            (20_000, C, segment("PA", 101, 501).payload(24)),
            (30_000, S, segment("PA", 501, 125).payload(1_400)),
            (40_000, S, segment("PA", 1_901, 125).payload(1_400)),
            (50_000, S, segment("PA", 3_301, 125).payload(200)),
            (60_000, C, segment("FA", 125, 3_501)),
            (70_000, S, segment("FA", 3_501, 126)),
        ],
    );
    let mute = between(
        other,
        server,
        [
            (100_000, C, syn()),
            (110_000, S, syn_ack()),
            (120_000, C, segment("A", 101, 501)),
            (130_000, S, segment("PA", 501, 101).payload(21)),
            (140_000, C, segment("FA", 101, 522)),
            (150_000, S, segment("FA", 522, 102)),
        ],
    );
    let page = between(end(CLIENT, 40_003), end(SERVER, 443), [(200_000, C, syn()), (210_000, S, syn_ack())]);
    let both = [
        (PairFlows60s, 2.0),
        (PairShortLogins60s, 2.0),
        (PairMeagreLogins60s, 0.0),
        (SrcShortLogins60s, 2.0),
        (SrcMeagreLogins60s, 0.0),
    ];
    let visit = [(PairFlows60s, 1.0), (PairShortLogins60s, 0.0), (SrcFlows60s, 3.0), (SrcLogins60s, 2.0)];
    let expected = vec![
        expected(0, AtEnd(FlowEnd::Finished, 8), [(BwdPayloadBytes, 3_000.0), (PairMeagreLogins60s, 0.0)]),
        expected(1, AtEnd(FlowEnd::Finished, 6), both),
        expected(2, Packets(2), visit),
    ];
    Case { name: "rich-and-mute-logins", frames: [rich, mute, page].concat(), flows: 3, expected }
}

/// SSH, failed and let in; then FTP, failed and let in. The lengths are those of OpenSSH 10.
fn failed_logins() -> Case {
    let ssh = |client_port: u16, at_us: u64, last_reply: usize| {
        let next = 545 + last_reply as u32;
        between(
            end(CLIENT, client_port),
            end(SERVER, 22),
            [
                (at_us, C, syn()),
                (at_us + 1_000, S, syn_ack()),
                (at_us + 2_000, C, segment("PA", 101, 501).payload(16)), // NEWKEYS
                (at_us + 3_000, C, segment("PA", 117, 501).payload(44)), // ssh-userauth?
                (at_us + 4_000, S, segment("PA", 501, 161).payload(44)), // ssh-userauth!
                (at_us + 5_000, C, segment("PA", 161, 545).payload(148)), // a password
                (at_us + 6_000, S, segment("PA", 545, 309).payload(last_reply)),
                (at_us + 7_000, C, segment("FA", 309, next)),
                (at_us + 8_000, S, segment("FA", next, 310)),
            ],
        )
    };
    let ftp = |client_port: u16, at_us: u64, reply: &'static str| {
        let next = 501 + reply.len() as u32;
        between(
            end(CLIENT, client_port),
            end(SERVER, 21),
            [
                (at_us, C, syn()),
                (at_us + 1_000, S, syn_ack()),
                (at_us + 2_000, C, segment("PA", 101, 501).words("PASS secret\r\n")),
                (at_us + 3_000, S, segment("PA", 501, 114).words(reply)),
                (at_us + 4_000, C, segment("FA", 114, next)),
                (at_us + 5_000, S, segment("FA", next, 115)),
            ],
        )
    };
    let frames = [
        ssh(40_001, 0, 76),
        ssh(40_002, 100_000, 28),
        ftp(40_003, 200_000, "530 Login incorrect.\r\n"),
        ftp(40_004, 300_000, "230 Welcome.\r\n"),
    ];
    let after = |failed: f64, short: f64| {
        [
            (PairFailedLogins60s, failed),
            (PairMeagreLogins60s, failed),
            (SrcMeagreLogins60s, failed),
            (PairShortLogins60s, short),
        ]
    };
    let expected = vec![
        expected(0, AtEnd(FlowEnd::Finished, 9), after(1.0, 1.0)),
        expected(1, AtEnd(FlowEnd::Finished, 9), after(1.0, 1.0)),
        expected(2, AtEnd(FlowEnd::Finished, 6), after(2.0, 2.0)),
        expected(3, AtEnd(FlowEnd::Finished, 6), after(2.0, 2.0)),
    ];
    Case { name: "failed-logins", frames: frames.concat(), flows: 4, expected }
}

/// One try each: many for the source, one for each pair. The first host refuses, the others do not answer. No two of
/// these addresses share a bit of the sketch, as 203.0.113.81 and 82 do.
/// FTP refuses two passwords of one connection, MQTT a device; the web asks for a password twice and has not what it is asked for three
/// times before it serves.
fn refused_logins() -> Case {
    let conversation = |client_port: u16, port: u16, at_us: u64, turns: &[(&'static str, &'static str)]| {
        let (mut at_us, mut asked, mut said) = (at_us, 101, 501);
        let mut lines = vec![(at_us, C, syn()), (at_us + 1_000, S, syn_ack())];
        for (question, answer) in turns {
            lines.push((at_us + 2_000, C, segment("PA", asked, said).words(question)));
            asked += question.len() as u32;
            lines.push((at_us + 3_000, S, segment("PA", said, asked).words(answer)));
            said += answer.len() as u32;
            at_us += 2_000;
        }
        lines.push((at_us + 2_000, C, segment("FA", asked, said)));
        lines.push((at_us + 3_000, S, segment("FA", said, asked + 1)));
        between(end(CLIENT, client_port), end(SERVER, port), lines)
    };
    let no = "HTTP/1.1 401 Unauthorized\r\n\r\n";
    let ask = "GET / HTTP/1.1\r\n\r\n";
    let missing = "HTTP/1.1 404 Not Found\r\n\r\n";
    let page = "HTTP/1.1 200 OK\r\n\r\n";
    let frames = [
        conversation(40_001, 21, 0, &[("PASS a\r\n", "530 No.\r\n"), ("PASS b\r\n", "530 No.\r\n")]),
        conversation(40_002, 1883, 100_000, &[("\u{10}\u{0c}\0\u{4}MQTT", "\u{20}\u{2}\0\u{5}")]),
        conversation(
            40_003,
            80,
            200_000,
            &[(ask, no), (ask, missing), (ask, no), (ask, missing), (ask, missing), (ask, page)],
        ),
        // Nobody has asked yet: no answer.
        conversation(40_004, 21, 300_000, &[("USER a\r\n", "530 No.\r\n")]),
    ];
    let after = |refused: f64, failed: f64| {
        [(PairRefusedLogins60s, refused), (PairFailedLogins60s, failed), (SrcHosts60s, 1.0)]
    };
    let expected = vec![
        expected(0, AtEnd(FlowEnd::Finished, 8), after(2.0, 1.0)),
        expected(
            1,
            AtEnd(FlowEnd::Finished, 6),
            [(PairRefusedLogins60s, 3.0), (PairFailedLogins60s, 1.0), (PairMeagreLogins60s, 1.0), (LoginService, 0.0)],
        ),
        expected(
            2,
            AtEnd(FlowEnd::Finished, 16),
            [(PairRefusedLogins60s, 1.0), (PairMissing60s, 2.0), (PairFailedLogins60s, 0.0)],
        ),
        expected(3, AtEnd(FlowEnd::Finished, 6), after(3.0, 1.0)),
    ];
    Case { name: "refused-logins", frames: frames.concat(), flows: 4, expected }
}

fn login_at_four_hosts() -> Case {
    let hosts = ["203.0.113.83", "203.0.113.84", "203.0.113.85", "203.0.113.86"];
    let attempt = |(number, host): (usize, &&str)| {
        between(end(CLIENT, 40_000), end(host, 22), [(number as u64 * 100_000, C, syn())])
    };
    let values = [
        (SrcFlows2s, 4.0),
        (SrcPorts2s, 1.0),
        (SrcHosts2s, distinct(4)),
        (SrcHosts60s, distinct(4)),
        (SrcPortsPerHost60s, 1.0 / distinct(4)),
        (SrcServicesPerHost60s, 1.0), // four of four
        (SrcUnanswered60s, 0.0),      // the three silent ones began 0.2 s ago and later
        (SrcRefused60s, 0.25),
        (SrcUnfinished60s, 0.5), // the refused one, of two: a third of four, rounded up
        (SrcLogins60s, 4.0),
        (SrcShortLogins60s, 0.0), // none was established
        (PairFlows2s, 1.0),
        (PairFlows60s, 1.0),
        (DstFlows2s, 1.0),
        (DstSources2s, 1.0),
    ];
    let mut frames: Frames = hosts.iter().enumerate().flat_map(attempt).collect();
    let refusal = (1_000, S, segment("RA", 0, 101).window(0));
    frames.splice(1..1, between(end(CLIENT, 40_000), end(hosts[0], 22), [refusal]));
    Case { name: "login-at-four-hosts", frames, flows: 4, expected: vec![expected(3, Packets(1), values)] }
}

/// One host is silent, one answers, and three are tried a second later, of which one refuses by ICMP; the silent ones are given up after
/// a minute. Answers are awaited from what began in the running half second and in the one before.
fn answers_on_their_way() -> Case {
    let hosts = ["203.0.113.1", "203.0.113.2", "203.0.113.3", "203.0.113.4", "203.0.113.5", "203.0.113.6"];
    let [silent, answers, third, fourth, refuses, _] = hosts.map(|host| end(host, 9_000));
    let client = end(CLIENT, 40_000);
    let ask = |at_us: u64, host| (at_us, udp(client, host, b"probe...", None));
    let frames = vec![
        ask(0, silent),
        ask(100_000, answers),
        (150_000, udp(answers, client, b"here", None)),
        ask(1_200_000, third),
        ask(1_300_000, fourth),
        ask(1_600_000, refuses),
        (1_650_000, port_unreachable(refuses, client, b"probe...")),
        ask(1_700_000, end(hosts[5], 9_000)),
        // Somebody else's: time goes on.
        (62_000_000, udp(end(SERVER, 40_000), end(CLIENT, 9_000), b"probe...", None)),
    ];
    // After a second, before the third is asked: 1 of 2.
    let unheard = [(SrcFlows2s, 2.0), (SrcUnanswered2s, 0.5), (SrcUnanswered60s, 0.5)];
    // A second after the third was asked only the sixth is awaited: 4 of 5.
    let third_unheard = [(SrcUnanswered60s, 0.8)];
    // The fifth: 3 of 5 are awaited, and 1 of the 2 others had its time and was not answered.
    let fifth = [(SrcFlows2s, 5.0), (SrcUnanswered2s, 0.5), (SrcUnanswered60s, 0.5)];
    // The sixth: 3 of 6 are awaited, 2 of the 3 others were not answered, and one of these was refused.
    let sixth = [(SrcUnanswered2s, 2.0 / 3.0), (SrcRefused2s, 1.0 / 6.0)];
    // After its silence of 60 s nothing is awaited: 5 of 6.
    let given_up = [(SrcUnanswered60s, 5.0 / 6.0), (SrcRefused60s, 1.0 / 6.0)];
    let expected = vec![
        expected(0, Unheard(1), unheard),
        expected(4, Packets(1), fifth),
        expected(5, Packets(1), sixth),
        expected(2, Unheard(1), third_unheard),
        expected(0, AtEnd(FlowEnd::Idle, 1), given_up),
    ];
    Case { name: "answers-on-their-way", frames, flows: 7, expected }
}

/// Ports 1 to 12, one in 50 ms; the odd ones are closed, the even ones do not answer.
fn port_scan() -> Case {
    let probe = |port: u16| {
        let at_us = u64::from(port) * 50_000;
        let mut lines = vec![(at_us, C, segment("S", 7, 0).window(1_024))];
        if port % 2 == 1 {
            lines.push((at_us + 1_000, S, segment("RA", 0, 8).window(0)));
        }
        between(end(CLIENT, 61_000), end(SERVER, port), lines)
    };
    let sixth = [
        (SrcFlows2s, 6.0),
        (SrcPorts2s, distinct(6)),
        (SrcUnanswered2s, 0.0), // 2, 4, 6 may still answer
        (SrcRefused2s, 0.5),    // 1, 3, 5
        (SrcUnfinished2s, 1.0), // the same
    ];
    let twelfth = [
        (SrcFlows2s, 12.0),
        (SrcPorts2s, distinct(12)),
        (SrcHosts2s, 1.0),
        (SrcUnanswered2s, 0.0), // 2 began at 0.1 s, this is 0.6 s
        (SrcRefused2s, 0.5),
        (SrcUnfinished2s, 1.0),
        (SrcFlows60s, 12.0),
        (SrcPorts60s, distinct(12)),
        (SrcHosts60s, 1.0),
        (SrcPortsPerHost60s, distinct(12)), // of one host
        (SrcServicesPerHost60s, distinct(12)),
        (SrcHalfOpen60s, 0.0), // the RSTs are the responder's
        (SrcUnanswered60s, 0.0),
        (SrcRefused60s, 0.5),
        (SrcUnfinished60s, 1.0),
        (DstFlows2s, 12.0),
        (DstSources2s, 1.0),
        (DstServiceFlows2s, 1.0), // each port once
        (DstServiceUnfinished2s, 1.0),
        (DstServiceSources60s, 1.0),
    ];
    let eleventh = [(Refused, 1.0), (SrcFlows2s, 11.0), (SrcUnanswered2s, 0.0), (SrcRefused2s, 6.0 / 11.0)];
    let expected = vec![
        expected(5, Packets(1), sixth),
        expected(10, AtEnd(FlowEnd::Reset, 2), eleventh),
        expected(11, Packets(1), twelfth),
    ];
    Case { name: "port-scan", frames: (1..=12).flat_map(probe).collect(), flows: 12, expected }
}

/// Five sources open connections to one port; only the first goes through with it.
fn flood() -> Case {
    let server = end(SERVER, 443);
    let mut frames = between(
        end(CLIENT, 40_000),
        server,
        [(0, C, syn()), (1_000, S, syn_ack()), (2_000, C, segment("A", 101, 501))],
    );
    let others = ["198.51.100.21", "198.51.100.22", "198.51.100.23", "198.51.100.24"];
    frames.extend(others.iter().enumerate().flat_map(|(number, source)| {
        let at_us = 10_000 + number as u64 * 10_000;
        between(end(source, 40_000), server, [(at_us, C, syn()), (at_us + 1_000, S, syn_ack())])
    }));
    let values = [
        (SrcFlows2s, 1.0),
        (SrcUnanswered2s, 0.0),
        (SrcUnfinished2s, 1.0),
        (DstFlows2s, 5.0),
        (DstSources2s, distinct(5)),
        (DstServiceFlows2s, 5.0),
        (DstServiceUnfinished2s, 0.8),
        (DstServiceFlows60s, 5.0),
        (DstServiceSources60s, distinct(5)),
    ];
    Case { name: "flood", frames, flows: 5, expected: vec![expected(4, Packets(2), values)] }
}
