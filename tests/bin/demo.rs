//! `demo`: Sluice at work in the laboratory, told in plain words.
//!
//! Ordinary traffic passes; a port scan, a SYN flood and an SSH password attack are each noticed and blocked; ordinary
//! traffic passes all the while; a block ends by itself. Exit status 0 only if all of it happened. With `KEEP=1` in the
//! environment everything stays for a look with a browser until Enter or Ctrl-C.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::attacks::{Flood, start_flood, start_hydra, start_nmap};
use lab::benign::{PingReport, PingStream, fetch, load_page, ssh_by_key, ssh_log_in};
use lab::cleanup::{remove_work_folder, work_folder};
use lab::daemon::{Config, Daemon, kernel_set_of, sluice_program};
use lab::frames::read_pcap;
use lab::network::{BOX, GATEWAY, INTERNET, LAN_HOST, Network, Outsider};
use lab::process::{Running, wait_until};
use lab::recording::Capture;
use lab::services;
use serde_json::Value;

/// How long a block lasts in the demonstration.
const BLOCK_TTL_S: u32 = 20;
/// How long an attack may run until it must have been stopped.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long one piece of ordinary traffic may take.
const LIMIT: Duration = Duration::from_secs(20);

/// How an attack is begun.
type Begin = fn(&Outsider) -> Result<Running>;

/// The attacks: what it is, the class in Sluice's words, the last number of the attacker's address, how it is begun.
const ATTACKS: [(&str, &str, u8, Begin); 3] = [
    ("port scan (nmap -sS)", "scan", 66, |from| start_nmap(&from.namespace, &format!("-sS -T4 -p 1-20000 {LAN_HOST}"))),
    ("SYN flood (hping3 -S)", "flood", 67, |from| start_flood(&from.namespace, Flood::Syn(80), LAN_HOST, 30_000, 200)),
    ("SSH password attack (hydra)", "brute_force", 68, |from| start_hydra(&from.namespace, "ssh", LAN_HOST, 4, 2_000)),
];

/// One line of the table at the end.
struct Row {
    what: String,
    outcome: Result<String>,
}

fn main() -> ExitCode {
    let played = play();
    remove_work_folder();
    match played {
        Ok(rows) => conclude(&rows),
        Err(error) => {
            eprintln!("\nThe demonstration could not go on: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Everything, in order; the rows of the table.
fn play() -> Result<Vec<Row>> {
    say("Building a laboratory: a LAN, the box, and the outside world, in network namespaces of this machine.");
    let network = Network::new()?;
    let _servers = [
        services::sshd(&network.lan)?,
        services::nginx(&network.lan)?,
        services::nginx(&network.wan)?,
        services::dnsmasq(&network.wan)?,
    ];
    say("Starting `sluice run` in enforce mode in the box; it bridges the LAN and the gateway.");
    let daemon = Daemon::start(&network, &Config { block_ttl_s: BLOCK_TTL_S, ..Config::default() })?;
    let visitor = network.outsider(40)?;
    let mut rows = vec![row("ordinary traffic passes", ordinary_traffic(&network, &visitor))];

    say("\nA ping every 20 ms runs from the LAN to the gateway from now on; not one may be lost.");
    let pings = PingStream::start(&network.lan, GATEWAY, 20)?;
    let mut first_attacker = None;
    for (what, class, number, begin) in ATTACKS {
        let attacker = network.outsider(number)?;
        rows.push(row(what, attack(&network, &daemon, &attacker, what, class, begin)));
        first_attacker.get_or_insert(attacker);
    }
    rows.push(row("ordinary traffic still passes", ordinary_traffic(&network, &visitor)));
    rows.push(row("no ping was lost meanwhile", pings.stop().and_then(|report| no_loss(&report))));
    let attacker = first_attacker.context("no attacker")?;
    rows.push(row("a block ends by itself", end_of_block(&daemon, &attacker)));
    rows.push(row("the page answers", page(&network)));
    if std::env::var_os("KEEP").is_some_and(|value| value == "1") {
        keep(&network, &daemon, &visitor)?;
    }
    Ok(rows)
}

/// Pages, log-ins and downloads in both directions.
fn ordinary_traffic(network: &Network, visitor: &Outsider) -> Result<String> {
    load_page(&network.lan, INTERNET[0], 12, LIMIT).context("the LAN loads a page")?;
    load_page(&visitor.namespace, LAN_HOST, 6, LIMIT).context("a visitor loads a page of the LAN")?;
    ssh_by_key(&visitor.namespace, LAN_HOST, "true", LIMIT).context("a log-in by key")?;
    ssh_log_in(&visitor.namespace, LAN_HOST).context("a log-in by password")?;
    let bytes = fetch(&network.lan, INTERNET[1], "package.deb", LIMIT).context("a download")?;
    say(&format!(
        "Ordinary traffic: two pages of 42 files each, two SSH log-ins, a download of {bytes} bytes: all fine."
    ));
    Ok(String::from("two pages, two SSH log-ins, a download"))
}

/// Lets an attack run until the attacker is blocked, and shows what Sluice says of it.
fn attack(
    network: &Network,
    daemon: &Daemon<'_>,
    from: &Outsider,
    what: &str,
    class: &str,
    begin: Begin,
) -> Result<String> {
    let address = from.address();
    say(&format!("\n{what} from {address} on {LAN_HOST} …"));
    let file = work_folder()?.join(format!("attack-{address}.pcap"));
    let capture = Capture::start(&network.r#box, "port1", &file, 64, &format!("src host {address}"))?;
    let attack = begin(from)?;
    let block = daemon.wait_for_block(&address, PATIENCE);
    drop(attack);
    capture.stop();
    let block = block?;
    let text = |key: &str| block[key].as_str().unwrap_or("?").to_owned();
    let after_ms = milliseconds_from_first_packet(&file, &block)?;
    let set = kernel_set_of(&daemon.kernel_table(), &address).unwrap_or_else(|| String::from("none"));
    say(&format!("  blocked {after_ms} ms after its first packet, as {}: {}", text("class"), text("action")));
    say(&format!("  because {}", text("because")));
    say(&format!("  in the kernel: {address} is in the set {set} of the table sluice"));
    ensure!(text("class") == class, "it was taken for {}", text("class"));
    ensure!(set.starts_with("deny"), "the kernel does not block {address}");
    Ok(format!("blocked after {after_ms} ms as {} ({})", text("class"), text("action")))
}

/// From the attacker's first packet at the box to the block.
fn milliseconds_from_first_packet(capture: &Path, block: &Value) -> Result<u64> {
    let first_us = read_pcap(capture)?.first().context("the attack sent nothing")?.time_us;
    let since_s = block["since_s"].as_f64().context("the block has no beginning")?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "microseconds since 1970")]
    let since_us = (since_s * 1e6) as u64;
    Ok(since_us.saturating_sub(first_us) / 1000)
}

fn no_loss(report: &PingReport) -> Result<String> {
    ensure!(report.sent == report.received, "{} of {} were lost", report.sent - report.received, report.sent);
    Ok(format!("{} sent, {} answered", report.sent, report.received))
}

/// Waits until the first attacker is free again.
fn end_of_block(daemon: &Daemon<'_>, attacker: &Outsider) -> Result<String> {
    let address = attacker.address();
    say(&format!("\nBlocks last {BLOCK_TTL_S} s here. Waiting until that of {address} ends …"));
    daemon.wait_for_end_of_block(&address, PATIENCE)?;
    wait_until("the attacker reaches the LAN again", PATIENCE, || {
        fetch(&attacker.namespace, LAN_HOST, "api.json", Duration::from_secs(2)).is_ok()
    })?;
    say(&format!("  it has ended; {address} loads a page again"));
    Ok(format!("{address} was let in again"))
}

/// The page at the address of the box, as the LAN sees it.
fn page(network: &Network) -> Result<String> {
    let url = format!("http://{BOX}:8080/");
    let page = network.lan.run_within(&format!("curl -s -S --fail -m 10 -L {url}"), LIMIT)?;
    ensure!(page.to_lowercase().contains("sluice"), "{url} shows something else");
    Ok(url)
}

/// Leaves everything running until Enter.
fn keep(network: &Network, daemon: &Daemon<'_>, outsider: &Outsider) -> Result<()> {
    let _link = network.connect_machine()?;
    let config = daemon.config_file();
    say(&format!("\nThe page is at http://{BOX}:8080/ and this machine can reach it."));
    let program = sluice_program()?;
    say(&format!("To unblock there, set a password first: {} passwd --config {}", program.display(), config.display()));
    say(&format!("To attack again: ip netns exec {} nmap -n -sS {LAN_HOST}", outsider.namespace.name()));
    say("Everything is removed with Enter or Ctrl-C.");
    if std::io::stdin().read_line(&mut String::new())? == 0 {
        // Nobody can press Enter here; a signal ends the program, and its handler cleans up.
        loop {
            std::thread::park();
        }
    }
    Ok(())
}

/// Prints the table; success only if nothing failed.
fn conclude(rows: &[Row]) -> ExitCode {
    let mut table = String::from("\n");
    for Row { what, outcome } in rows {
        let (mark, told) = match outcome {
            Ok(told) => ("yes", told.clone()),
            Err(error) => ("NO", format!("{error:#}").lines().next().unwrap_or_default().to_owned()),
        };
        let _ = writeln!(table, "  {what:32} {mark:4} {told}");
    }
    say(&table);
    if rows.iter().all(|row| row.outcome.is_ok()) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn row(what: &str, outcome: Result<String>) -> Row {
    if let Err(error) = &outcome {
        eprintln!("  {what}: {error:#}");
    }
    Row { what: what.to_owned(), outcome }
}

fn say(text: &str) {
    println!("{text}");
}
