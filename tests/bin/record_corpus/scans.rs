//! Scans as nmap makes them: all techniques, slow and fast, of one host, of several, and of networks where nobody lives.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::Result;
use lab::attacks::{ended_well, nmap, run_tool};
use lab::namespace::Namespace;
use lab::network::{FIREWALLED_LAN_HOST, INTERNET, LAN_HOST, LAN_HOST_V6};

use crate::scenario::{ATTACKER, ATTACKER_V6, INSIDE, INSIDE_V6, Scenario};
use crate::stage::Scene;

/// How long one scan may take; nmap is then stopped, and what was recorded is a scan all the same.
const LIMIT: Duration = Duration::from_secs(14);

/// How long a scan may take that sends a packet every 15 seconds.
const LIMIT_OF_PARANOIA: Duration = Duration::from_secs(70);

/// The host in whose name others scan.
const IDLE: &str = "203.0.113.67";

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
    ("nmap-syn-slow", "syn_t1_paranoid", "-sS -Pn -T1 --max-retries 0 -p 21,22,80,443", LAN_HOST),
    ("nmap-flags", "maimon_t4", "-sM -T4 -F", LAN_HOST),
    ("nmap-flags", "window_t4", "-sW -T4 -F", LAN_HOST),
    ("nmap-flags", "null_v6", "-6 -sN -T4 -F", LAN_HOST_V6),
    ("nmap-syn", "syn_fragments", "-sS -f -Pn -T4 -F", LAN_HOST),
    ("nmap-syn", "syn_source_port_53", "-sS -Pn -g 53 -T4 -F", LAN_HOST),
    ("nmap-syn", "syn_t5_firewalled", "-sS -T5 -Pn --top-ports 400", FIREWALLED_LAN_HOST),
    ("nmap-version", "system_guess", "-O -T4 -F", LAN_HOST),
    ("nmap-version", "version_v6", "-6 -sV -T4 -p 21,22,80,443", LAN_HOST_V6),
    ("nmap-version", "default_scripts", "-sC -T4 -p 21,22,80,443", LAN_HOST),
    ("nmap-udp", "udp_v6", "-6 -sU -T4 --top-ports 40 --max-retries 1", LAN_HOST_V6),
    ("nmap-udp", "udp_t3_slow", "-sU -Pn -T3 --max-rate 8 --top-ports 60 --max-retries 0", LAN_HOST),
    ("nmap-sctp", "sctp_init", "-sY -Pn -T4 --top-ports 40 --max-retries 1", LAN_HOST),
    ("nmap-sctp", "sctp_init_firewalled", "-sY -Pn -T4 --top-ports 40 --max-retries 1", FIREWALLED_LAN_HOST),
    ("nmap-sctp", "sctp_cookie_echo", "-sZ -Pn -T4 --top-ports 40 --max-retries 1", LAN_HOST),
    ("nmap-protocols", "protocols", "-sO -T4 --max-retries 0", LAN_HOST),
    ("nmap-hosts", "hosts_v6", "-6 -sn -PE -PS80 --max-retries 0", "2001:db8:1::10 2001:db8:1::8000/122"),
    ("nmap-hosts", "hosts_by_udp", "-sn -PU53,161 -T4 --max-retries 0", "198.51.100.10-17 198.51.100.128-180"),
    ("nmap-hosts", "hosts_by_ack", "-sn -PA80,443 -T4 --max-retries 0", "198.51.100.10-17 198.51.100.128-180"),
    ("nmap-horizontal", "one_port_https", "-sT -Pn -T4 -p 443 --max-retries 0", "198.51.100.10-17 198.51.100.128-200"),
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
    ("nmap-outbound", "outbound_slow", "-sS -Pn --max-rate 6 --top-ports 60 203.0.113.12"),
    ("nmap-outbound", "outbound_hosts", "-sn -PE -PS22,445 -T4 --max-retries 0 203.0.113.0/25"),
    ("nmap-outbound", "outbound_v6", "-6 -sS -T4 -F 2001:db8:10::10"),
];

/// Scans by masscan, which has a TCP stack of its own: name, where the packets come from, options and targets.
const BY_MASSCAN: &[(&str, bool, &str)] = &[
    ("masscan_100_ports", false, "-p1-100,443,8080 --rate 400 198.51.100.10"),
    ("masscan_hosts_fast", false, "-p22,80,443 --rate 2000 198.51.100.8-198.51.100.250"),
    ("masscan_hosts_slow", false, "-p23,80 --rate 30 198.51.100.8-198.51.100.150"),
    ("masscan_outbound", true, "-p80,8080,5555 --rate 500 203.0.113.0/24"),
    ("masscan_outbound_slow", true, "-p22 --rate 20 203.0.113.0/24"),
    ("masscan_udp_ports", false, "-pU:1-150 --rate 100 198.51.100.10"),
    ("masscan_udp_hosts", false, "-pU:53,123,161,1900 --rate 30 198.51.100.8-198.51.100.80"),
    ("masscan_udp_outbound", true, "-pU:1-120 --rate 20 203.0.113.11"),
];

/// Scans by nping and hping3: name, command line with the target at its end.
const BY_OTHERS: &[(&str, &str, &str)] = &[
    ("hping3-scan", "hping3_ports", "hping3 -n -q -S --scan 1-600 198.51.100.10"),
    ("hping3-scan", "hping3_ports_slow", "hping3 -n -q -S -p ++20 -c 120 -i u90000 198.51.100.10"),
    ("nping-scan", "nping_connects", "nping --tcp-connect -p 20-120 --rate 30 -c 1 -H -q 198.51.100.10"),
    ("hping3-scan", "hping3_udp_ports", "hping3 -n -q --udp -p ++50 -c 150 -i u30000 198.51.100.10"),
    ("hping3-scan", "hping3_udp_ports_slow", "hping3 -n -q --udp -p ++500 -c 80 -i u150000 198.51.100.10"),
    ("nping-scan", "nping_v6", "nping -6 --tcp-connect -p 20-100 --rate 40 -c 1 -H -q 2001:db8:1::10"),
    ("nping-scan", "nping_udp_ports", "nping --udp -p 1-100 --rate 40 -c 1 -H -q 198.51.100.10"),
    ("nping-scan", "nping_udp_firewalled", "nping --udp -p 50-150 --rate 30 -c 1 -H -q 198.51.100.12"),
    (
        "nping-scan",
        "nping_udp_several_hosts",
        "nping --udp -p 53,69,123,161,500,1900 --rate 12 -c 1 -H -q 198.51.100.10-16",
    ),
];

/// All of them.
pub fn scenarios() -> Vec<Scenario> {
    let outside = FROM_OUTSIDE.iter().map(|&(kind, name, options, targets)| {
        let attacker = if options.starts_with("-6") { ATTACKER_V6 } else { ATTACKER };
        Scenario::attack("scan", kind, name, attacker, targets, move |s| {
            scan(s.attacker(), &format!("{options} {targets}"))
        })
    });
    let inside = FROM_INSIDE.iter().map(|&(kind, name, options)| {
        let attacker = if options.starts_with("-6") { INSIDE_V6 } else { INSIDE };
        Scenario::attack("scan", kind, name, attacker, INTERNET[0], move |s| scan(s.lan(), options))
    });
    let masscan = BY_MASSCAN.iter().map(|&(name, is_inside, options)| {
        let attacker = if is_inside { INSIDE } else { ATTACKER };
        Scenario::attack("scan", "masscan", name, attacker, "", move |s| masscan(s, is_inside, options))
    });
    let others = BY_OTHERS.iter().map(|&(kind, name, line)| {
        let attacker = if line.contains(" -6 ") { ATTACKER_V6 } else { ATTACKER };
        let target = line.rsplit(' ').next().unwrap_or_default();
        Scenario::attack("scan", kind, name, attacker, target, move |s| run_tool(s.attacker(), line, LIMIT))
    });
    let idle = [("idle_40_ports", "-F --top-ports 40"), ("idle_few_ports", "-p 20-30,80")].map(|(name, options)| {
        Scenario::attack("scan", "nmap-idle", name, IDLE, LAN_HOST, move |s| idle_scan(s, options)).over_lan_only()
    });
    let arp = [
        ("arp_sweep", "-sn -PR -T4 --max-retries 0 198.51.100.20-120"),
        ("arp_sweep_slow", "-sn -PR --max-rate 10 --max-retries 0 198.51.100.20-120"),
    ]
    .map(|(name, options)| {
        let sweep = Scenario::attack("scan_arp", "nmap-arp", name, INSIDE, "198.51.100.20-120", move |s| {
            scan(s.lan(), options)
        });
        sweep.without_flows().over_lan_only()
    });
    outside.chain(inside).chain(masscan).chain(others).chain(idle).chain(arp).collect()
}

fn scan(from: &Namespace, options: &str) -> Result<()> {
    let limit = if options.contains("-T1") { LIMIT_OF_PARANOIA } else { LIMIT };
    ended_well(options, &nmap(from, options, limit)?)
}

/// A scan in the name of an idle host (nmap's `-sI`), whose packets are numbered one after the other, so that the attacker learns from
/// the numbers what it was answered. Linux numbers them otherwise, so here its firewall does: nft knows no arithmetic, but a chain for
/// each number.
fn idle_scan(scene: &Scene, options: &str) -> Result<()> {
    const NUMBERS: u32 = 256;
    let idle = &scene.attackers[1].namespace;
    let mut rules =
        String::from("add table ip number; add chain ip number out { type filter hook postrouting priority 0; }; ");
    let mut chains = Vec::new();
    for number in 0..NUMBERS {
        write!(rules, "add chain ip number n{number}; add rule ip number n{number} ip id set {}; ", number + 1)?;
        chains.push(format!("{number} : goto n{number}"));
    }
    write!(rules, "add rule ip number out numgen inc mod {NUMBERS} vmap {{ {} }}", chains.join(", "))?;
    idle.run(["nft", &rules])?;
    scan(scene.attacker(), &format!("-sI {IDLE}:80 -Pn -T4 {options} {LAN_HOST}"))
}

/// masscan sends frames, so it is told from where and to whom.
fn masscan(scene: &Scene, is_inside: bool, options: &str) -> Result<()> {
    let (from, device, source, router) =
        if is_inside { (scene.lan(), "lan0", INSIDE, "wan0") } else { (scene.attacker(), "eth0", ATTACKER, "o66") };
    let mac = scene.wan().run(["cat", &format!("/sys/class/net/{router}/address")])?;
    let line = format!(
        "masscan -e {device} --adapter-ip {source} --router-mac {} --wait 2 --seed 7 {options}",
        mac.trim().replace(':', "-")
    );
    run_tool(from, &line, LIMIT)
}
