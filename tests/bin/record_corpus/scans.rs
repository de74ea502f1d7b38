//! Scans as nmap makes them: all techniques, slow and fast, of one host, of several, and of networks where nobody lives.

use std::time::Duration;

use lab::attacks::nmap;
use lab::network::{FIREWALLED_LAN_HOST, INTERNET, LAN_HOST, LAN_HOST_V6};
use lab::recording::Label;

use crate::stage::Stage;

/// How long one scan may take; nmap is then stopped, and what was recorded is a scan all the same.
const LIMIT: Duration = Duration::from_secs(14);

/// Scans of hosts in the LAN from outside: kind, name, nmap's options, targets.
const FROM_OUTSIDE: &[(&str, &str, &str, &str)] = &[
    ("nmap-syn", "syn_t2", "-sS -T2 -p 20-40", LAN_HOST),
    ("nmap-syn", "syn_t3", "-sS -T3", LAN_HOST),
    ("nmap-syn", "syn_t4", "-sS -T4", LAN_HOST),
    ("nmap-syn", "syn_t5_ports", "-sS -T5 -p 1-5000", LAN_HOST),
    ("nmap-syn", "syn_100_ports", "-sS -T3 -F", LAN_HOST),
    ("nmap-syn", "syn_firewalled", "-sS -T4 -Pn --top-ports 200", FIREWALLED_LAN_HOST),
    ("nmap-syn", "syn_several_hosts", "-sS -T4 -F", "198.51.100.10-16"),
    ("nmap-syn", "syn_v6", "-6 -sS -T4", LAN_HOST_V6),
    ("nmap-syn-slow", "syn_20_per_second", "-sS -Pn --max-rate 20 --top-ports 200", LAN_HOST),
    ("nmap-syn-slow", "syn_5_per_second", "-sS -Pn --max-rate 5 --top-ports 60", LAN_HOST),
    (
        "nmap-syn-slow",
        "syn_delay_firewalled",
        "-sS -Pn --scan-delay 150ms --max-retries 1 --top-ports 50",
        FIREWALLED_LAN_HOST,
    ),
    ("nmap-connect", "connect_t2", "-sT -T2 -p 70-90", LAN_HOST),
    ("nmap-connect", "connect_t3", "-sT -T3", LAN_HOST),
    ("nmap-connect", "connect_t4", "-sT -T4", LAN_HOST),
    ("nmap-connect", "connect_t5", "-sT -T5 -p 1-3000", LAN_HOST),
    ("nmap-connect", "connect_several_hosts", "-sT -T4 -F", "198.51.100.10-14"),
    ("nmap-connect", "connect_v6", "-6 -sT -T4 -F", LAN_HOST_V6),
    ("nmap-udp", "udp_t4", "-sU -T4 --top-ports 40 --max-retries 1", LAN_HOST),
    ("nmap-udp", "udp_t5_firewalled", "-sU -T5 -Pn --top-ports 100 --max-retries 1", FIREWALLED_LAN_HOST),
    ("nmap-udp", "udp_several_hosts", "-sU -T4 -p 53,123,161,500,1900 --max-retries 1", "198.51.100.10-16"),
    ("nmap-flags", "fin_t4", "-sF -T4", LAN_HOST),
    ("nmap-flags", "xmas_t4", "-sX -T4 -F", LAN_HOST),
    ("nmap-flags", "null_t4", "-sN -T4 -F", LAN_HOST),
    ("nmap-flags", "ack_t4", "-sA -T4", LAN_HOST),
    ("nmap-flags", "fin_t3_firewalled", "-sF -T3 -Pn --top-ports 60", FIREWALLED_LAN_HOST),
    ("nmap-version", "version_open_ports", "-sV -T4 -p 21,22,80,5201", LAN_HOST),
    ("nmap-version", "version_100_ports", "-sV --version-light -T4 -F", LAN_HOST),
    ("nmap-version", "everything", "-A -T4 -F", LAN_HOST),
    ("nmap-hosts", "hosts_of_a_network", "-sn -T4", "198.51.100.0/24"),
    ("nmap-hosts", "hosts_by_echo", "-sn -PE -T3 --max-retries 0", "198.51.100.128-191"),
    ("nmap-hosts", "hosts_by_syn", "-sn -PS22,80,443 -T4 --max-retries 1", "198.51.100.128/26"),
    ("nmap-horizontal", "one_port_ssh", "-sS -Pn -T4 -p 22 --max-retries 1", "198.51.100.128/25"),
    ("nmap-horizontal", "one_port_telnet_t3", "-sS -Pn -T3 -p 23 --max-retries 0", "198.51.100.8-199"),
    ("nmap-horizontal", "three_ports", "-sT -Pn -T4 -p 80,443,8080 --max-retries 0", "198.51.100.128/26"),
    ("nmap-horizontal", "one_port_slow", "-sS -Pn --max-rate 10 -p 445 --max-retries 0", "198.51.100.128/26"),
];

/// Scans by a device of the LAN of servers outside.
const FROM_INSIDE: &[(&str, &str, &str)] = &[
    ("nmap-outbound", "outbound_syn", "-sS -T4 203.0.113.10"),
    ("nmap-outbound", "outbound_syn_several", "-sS -T3 -F 203.0.113.10-13"),
    ("nmap-outbound", "outbound_connect_dark", "-sT -Pn -T4 -p 23,2323 --max-retries 0 203.0.113.100-180"),
    ("nmap-outbound", "outbound_udp", "-sU -T4 -F --max-retries 0 203.0.113.11"),
];

/// Scans over a slow line: options for [`LAN_HOST`].
const OVER_A_SLOW_LINE: &[(&str, &str, &str)] = &[
    ("nmap-syn", "slow_line_syn", "-sS -T4"),
    ("nmap-connect", "slow_line_connect", "-sT -T4 -F"),
    ("nmap-version", "slow_line_version", "-sV -T3 -p 22,80,110,143,443"),
];

/// Rate of the slow line.
const SLOW_LINE_KBIT_PER_S: u32 = 700;

/// One scan.
pub fn record_one(stage: &mut Stage) {
    from_outside(stage, 0, FROM_OUTSIDE[4]);
}

/// All of them.
pub fn record(stage: &mut Stage) {
    for (number, scan) in FROM_OUTSIDE.iter().enumerate() {
        from_outside(stage, number, *scan);
    }
    for (kind, name, options) in FROM_INSIDE {
        let label = Label { class: "scan", kind, name, attacker: LAN_HOST, victim: INTERNET[0], granularity: "all" };
        stage.record(label, |scene| nmap(&scene.network.lan, options, LIMIT).map(|_| ()));
    }
    if let Err(error) = stage.network.limit_rate(SLOW_LINE_KBIT_PER_S) {
        eprintln!("no slow line: {error:#}");
    }
    for (kind, name, options) in OVER_A_SLOW_LINE {
        from_outside(stage, 1, (kind, name, options, LAN_HOST));
    }
    stage.network.unlimit_rate();
}

fn from_outside(stage: &mut Stage, number: usize, scan: (&str, &str, &str, &str)) {
    let (kind, name, options, targets) = scan;
    let attacker = number % stage.attackers.len();
    let v6 = options.starts_with("-6");
    let address = if v6 { stage.attackers[attacker].address_v6() } else { stage.attackers[attacker].address() };
    let label = Label { class: "scan", kind, name, attacker: &address, victim: targets, granularity: "all" };
    stage.record(label, |scene| {
        nmap(&scene.attackers[attacker].namespace, &format!("{options} {targets}"), LIMIT).map(|_| ())
    });
}
