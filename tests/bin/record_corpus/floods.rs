//! Floods as hping3 and `ping -f` make them: of every protocol, at different rates, from one source and from forged ones.

use std::time::Duration;

use anyhow::{Result, ensure};
use lab::attacks::{Flood, flood, forge_sources};
use lab::network::{FIREWALLED_LAN_HOST, INTERNET, LAN_HOST, LAN_HOST_V6};
use lab::recording::Label;

use crate::stage::{Scene, Stage};

/// How long one flood may take.
const LIMIT: Duration = Duration::from_secs(8);

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
];

/// One flood.
pub fn record_one(stage: &mut Stage) {
    from_outside(stage, 0, FROM_OUTSIDE[1]);
}

/// All of them.
pub fn record(stage: &mut Stage) {
    for (number, row) in FROM_OUTSIDE.iter().enumerate() {
        from_outside(stage, number, *row);
    }
    for (class, kind, name, what, target, count, interval_us) in FROM_INSIDE {
        let label = Label { class, kind, name, attacker: LAN_HOST, victim: target, granularity: "all" };
        stage.record_headers(label, |scene| send(&scene.network.lan, *what, target, *count, *interval_us));
    }
    record_forged(stage);
    record_v6(stage);
    record_over_a_slow_line(stage);
}

fn from_outside(stage: &mut Stage, number: usize, row: Row) {
    let (class, kind, name, what, target, count, interval_us) = row;
    let attacker = number % stage.attackers.len();
    let address = stage.attackers[attacker].address();
    let label = Label { class, kind, name, attacker: &address, victim: target, granularity: "all" };
    stage.record_headers(label, |scene| send(&scene.attackers[attacker].namespace, what, target, count, interval_us));
}

fn send(from: &lab::namespace::Namespace, what: Flood<'_>, target: &str, count: u32, interval_us: u32) -> Result<()> {
    let finished = flood(from, what, target, count, interval_us, LIMIT)?;
    // hping3 ends with 1 when nothing was answered; only a refusal to start is a failure.
    ensure!(!finished.stderr.contains("ommand not found"), "{}", finished.stderr);
    Ok(())
}

/// Floods whose every packet claims another source.
fn record_forged(stage: &mut Stage) {
    let rows = [
        ("flood_syn", "forged_syn_open", Flood::Syn(80), 6_000, 300),
        ("flood_syn", "forged_syn_closed", Flood::Syn(8443), 5_000, 300),
        ("flood_udp", "forged_udp", Flood::Udp(53, 100), 5_000, 300),
        ("flood_other", "forged_icmp", Flood::Icmp(56), 4_000, 300),
    ];
    for (class, name, what, count, interval_us) in rows {
        let label = Label {
            class,
            kind: "hping3-forged",
            name,
            attacker: "*spoofed/many*",
            victim: LAN_HOST,
            granularity: "all",
        };
        stage.record_headers(label, |scene| {
            let from = &scene.attackers[2].namespace;
            let _forged = forge_sources(scene.network, from)?;
            send(from, what, LAN_HOST, count, interval_us)
        });
    }
}

fn record_v6(stage: &mut Stage) {
    let address = stage.attackers[1].address_v6();
    let label = Label {
        class: "flood_other",
        kind: "ping-flood",
        name: "icmp_v6",
        attacker: &address,
        victim: LAN_HOST_V6,
        granularity: "all",
    };
    stage.record_headers(label, |scene| ping_flood(scene, LAN_HOST_V6));
    let address = stage.attackers[1].address();
    let label = Label { name: "ping_flood", attacker: &address, victim: LAN_HOST, ..label };
    stage.record_headers(label, |scene| ping_flood(scene, LAN_HOST));
}

fn ping_flood(scene: &Scene<'_>, target: &str) -> Result<()> {
    scene.attackers[1].namespace.run_within(&format!("ping -n -q -f -c 5000 {target}"), LIMIT).map(|_| ())
}

fn record_over_a_slow_line(stage: &mut Stage) {
    if let Err(error) = stage.network.limit_rate(2_000) {
        eprintln!("no slow line: {error:#}");
    }
    from_outside(stage, 0, ("flood_syn", "hping3-syn", "slow_line_syn", Flood::Syn(80), LAN_HOST, 6_000, 400));
    from_outside(stage, 1, ("flood_udp", "hping3-udp", "slow_line_udp", Flood::Udp(4000, 800), LAN_HOST, 3_000, 800));
    from_outside(stage, 2, ("flood_other", "hping3-icmp", "slow_line_icmp", Flood::Icmp(400), LAN_HOST, 3_000, 800));
    stage.network.unlimit_rate();
}
