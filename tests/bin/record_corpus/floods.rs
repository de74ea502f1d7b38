//! Floods as hping3 and `ping -f` make them: of every protocol, at different rates, from one source and from forged ones.

use std::thread::{scope, sleep};
use std::time::Duration;

use anyhow::Result;
use lab::attacks::{Flood, ended_well, flood, forge_sources, run_tool};
use lab::namespace::Namespace;
use lab::network::{FIREWALLED_LAN_HOST, GATEWAY, INTERNET, LAN_HOST, LAN_HOST_V6};

use crate::scenario::{ATTACKER, ATTACKER_V6, ATTACKERS, FORGED, INSIDE, INSIDE_V6, Scenario};
use crate::stage::Scene;

/// How long one flood may take.
const LIMIT: Duration = Duration::from_secs(8);

/// Before this long an answer may belong to a question that was asked before anybody looked, and is nobody's doing.
const EARLY: Duration = Duration::from_secs(61);

/// A flood: class and kind, name, what, target, packets, microseconds between them.
type Row = (&'static str, &'static str, &'static str, Flood<'static>, &'static str, u32, u32);

/// From one source outside.
const FROM_OUTSIDE: &[Row] = &[
    ("flood_syn", "hping3-syn", "syn_open_fast", Flood::Syn(80), LAN_HOST, 12_000, 50),
    ("flood_syn", "hping3-syn", "syn_open_1000_per_second", Flood::Syn(80), LAN_HOST, 4_000, 1_000),
    ("flood_syn", "hping3-syn", "syn_open_300_per_second", Flood::Syn(22), LAN_HOST, 1_500, 3_300),
    ("flood_syn", "hping3-syn", "syn_closed", Flood::Syn(81), LAN_HOST, 8_000, 150),
    ("flood_syn", "hping3-syn", "syn_closed_slow", Flood::Syn(443), LAN_HOST, 1_500, 2_500),
    ("flood_syn", "hping3-syn", "syn_unanswered", Flood::Syn(443), FIREWALLED_LAN_HOST, 6_000, 200),
    ("flood_syn", "hping3-syn", "syn_same_source_port", Flood::Other("-S -p 80 -s 5000 -k"), LAN_HOST, 4_000, 300),
    ("flood_syn", "hping3-syn", "syn_with_data", Flood::Other("-S -p 80 -d 120 -w 64"), LAN_HOST, 5_000, 200),
    ("flood_udp", "hping3-udp", "udp_closed", Flood::Udp(9999, 64), LAN_HOST, 8_000, 100),
    ("flood_udp", "hping3-udp", "udp_closed_large", Flood::Udp(53, 1200), LAN_HOST, 5_000, 300),
    ("flood_udp", "hping3-udp", "udp_unanswered", Flood::Udp(123, 8), FIREWALLED_LAN_HOST, 6_000, 200),
    ("flood_udp", "hping3-udp", "udp_one_flow", Flood::Other("--udp -p 5201 -s 4444 -k -d 512"), LAN_HOST, 6_000, 100),
    ("flood_udp", "hping3-udp", "udp_500_per_second", Flood::Udp(5060, 200), LAN_HOST, 2_000, 2_000),
    ("flood_other", "hping3-icmp", "icmp_small", Flood::Icmp(56), LAN_HOST, 6_000, 100),
    ("flood_other", "hping3-icmp", "icmp_large", Flood::Icmp(1400), LAN_HOST, 5_000, 200),
    ("flood_other", "hping3-icmp", "icmp_500_per_second", Flood::Icmp(56), LAN_HOST, 2_000, 2_000),
    ("flood_other", "hping3-ack", "ack_open", Flood::Ack(80), LAN_HOST, 8_000, 150),
    ("flood_other", "hping3-ack", "ack_1000_per_second", Flood::Ack(22), LAN_HOST, 3_000, 1_000),
    ("flood_other", "hping3-ack", "fin_open", Flood::Other("-F -p 80"), LAN_HOST, 4_000, 250),
    ("flood_other", "hping3-ack", "rst_open", Flood::Other("-R -p 80"), LAN_HOST, 4_000, 250),
];

/// By a device of the LAN against a server outside.
const FROM_INSIDE: &[Row] = &[
    ("flood_syn", "hping3-outbound", "outbound_syn", Flood::Syn(80), INTERNET[0], 6_000, 150),
    ("flood_udp", "hping3-outbound", "outbound_udp", Flood::Udp(53, 400), INTERNET[1], 5_000, 200),
    ("flood_other", "hping3-outbound", "outbound_ack", Flood::Ack(443), INTERNET[2], 5_000, 200),
    ("flood_other", "hping3-outbound", "outbound_icmp", Flood::Icmp(600), INTERNET[0], 4_000, 300),
    ("flood_syn", "hping3-outbound", "outbound_syn_200_per_second", Flood::Syn(443), INTERNET[3], 1_200, 5_000),
];

/// From many forged sources: class, name, what, packets, microseconds between them.
const FROM_FORGED: &[(&str, &str, Flood<'static>, u32, u32)] = &[
    ("flood_syn", "forged_syn_open", Flood::Syn(80), 6_000, 300),
    ("flood_syn", "forged_syn_closed", Flood::Syn(8443), 5_000, 300),
    ("flood_syn", "forged_syn_400_per_second", Flood::Syn(80), 2_000, 2_500),
    ("flood_udp", "forged_udp", Flood::Udp(53, 100), 5_000, 300),
    ("flood_udp", "forged_udp_800_per_second", Flood::Udp(27015, 60), 3_000, 1_250),
    ("flood_other", "forged_icmp", Flood::Icmp(56), 4_000, 300),
    ("flood_other", "forged_ack", Flood::Ack(80), 4_000, 300),
];

/// Answers that nobody asked for, from the ports of services that amplify: name, hping3's options, packets, microseconds.
const AMPLIFIED: &[(&str, &str, u32, u32)] = &[
    ("amp_dns", "--udp -s 53 -k -p 40001 -d 1200", 4_000, 400),
    ("amp_dns_many_ports", "--udp -s 53 -k -p ++20000 -d 900", 4_000, 400),
    ("amp_ntp", "--udp -s 123 -k -p 40002 -d 440", 5_000, 300),
    ("amp_snmp", "--udp -s 161 -k -p 40003 -d 1100", 3_000, 600),
    ("amp_ssdp", "--udp -s 1900 -k -p 40004 -d 300", 5_000, 300),
    ("amp_memcached", "--udp -s 11211 -k -p 40005 -d 1380", 3_000, 500),
    ("amp_dns_300_per_second", "--udp -s 53 -k -p 40006 -d 1200", 1_800, 3_300),
];

/// By nping over IPv6: class, name, options.
const OVER_V6: &[(&str, &str, &str)] = &[
    ("flood_syn", "syn_v6", "--tcp --flags syn -p 80 --rate 1500 -c 6000"),
    ("flood_syn", "syn_v6_closed", "--tcp --flags syn -p 8443 --rate 800 -c 4000"),
    ("flood_other", "ack_v6", "--tcp --flags ack -p 80 --rate 1500 -c 5000"),
    ("flood_udp", "udp_v6", "--udp -p 53 --data-length 300 --rate 1500 -c 5000"),
];

/// All of them.
pub fn scenarios() -> Vec<Scenario> {
    let single = |rows: &'static [Row], attacker: &'static str, is_inside: bool| {
        rows.iter().map(move |&(class, kind, name, what, target, count, interval_us)| {
            Scenario::attack(class, kind, name, attacker, target, move |s| {
                send(if is_inside { s.lan() } else { s.attacker() }, what, target, count, interval_us)
            })
        })
    };
    let forged = FROM_FORGED.iter().map(|&(class, name, what, count, interval_us)| {
        Scenario::attack(class, "hping3-forged", name, FORGED, LAN_HOST, move |s| {
            let _forged = forge_sources(&s.network, s.attacker())?;
            send(s.attacker(), what, LAN_HOST, count, interval_us)
        })
    });
    let amplified = AMPLIFIED.iter().map(|&(name, options, count, interval_us)| {
        Scenario::attack("flood_amp", "hping3-amplified", name, FORGED, LAN_HOST, move |s| {
            run_tool(s.lan(), &format!("ping -n -q -c 1 {GATEWAY}"), LIMIT)?;
            sleep(EARLY);
            let _forged = forge_sources(&s.network, s.attacker())?;
            send(s.attacker(), Flood::Other(options), LAN_HOST, count, interval_us)
        })
        .towards()
    });
    let over_v6 = OVER_V6.iter().map(|&(class, name, options)| {
        Scenario::attack(class, "nping-v6", name, ATTACKER_V6, LAN_HOST_V6, move |s| {
            run_tool(s.attacker(), &format!("nping -6 -H -q --delay 0 {options} {LAN_HOST_V6}"), LIMIT)
        })
    });
    let all = single(FROM_OUTSIDE, ATTACKER, false).chain(single(FROM_INSIDE, INSIDE, true));
    let all = all.chain(forged).chain(amplified).chain(over_v6).chain(others());
    all.map(|scenario| scenario.headers().loud()).collect()
}

fn others() -> Vec<Scenario> {
    vec![
        Scenario::attack("flood_other", "ping-flood", "icmp_v6", ATTACKER_V6, LAN_HOST_V6, |s| {
            ping_flood(s.attacker(), LAN_HOST_V6)
        }),
        Scenario::attack("flood_other", "ping-flood", "ping_flood", ATTACKER, LAN_HOST, |s| {
            ping_flood(s.attacker(), LAN_HOST)
        }),
        Scenario::attack("flood_other", "ping-flood", "outbound_icmp_v6", INSIDE_V6, "2001:db8:10::10", |s| {
            ping_flood(s.lan(), "2001:db8:10::10")
        }),
        Scenario::attack("flood_syn", "hping3-three", "syn_from_three", ATTACKERS, LAN_HOST, |s| {
            from_three(s, Flood::Syn(80), 2_500, 600)
        }),
        Scenario::attack("flood_udp", "hping3-three", "udp_from_three", ATTACKERS, LAN_HOST, |s| {
            from_three(s, Flood::Udp(4500, 500), 2_000, 700)
        }),
    ]
}

fn from_three(scene: &Scene, what: Flood<'static>, count: u32, interval_us: u32) -> Result<()> {
    scope(|threads| {
        let senders = scene.attackers.iter();
        let running: Vec<_> = senders
            .map(|one| threads.spawn(move || send(&one.namespace, what, LAN_HOST, count, interval_us)))
            .collect();
        running.into_iter().try_for_each(|one| one.join().unwrap_or(Ok(())))
    })
}

fn send(from: &Namespace, what: Flood<'_>, target: &str, count: u32, interval_us: u32) -> Result<()> {
    ended_well("hping3", &flood(from, what, target, count, interval_us, LIMIT)?)
}

fn ping_flood(from: &Namespace, target: &str) -> Result<()> {
    run_tool(from, &format!("ping -n -q -f -c 5000 {target}"), LIMIT)
}
