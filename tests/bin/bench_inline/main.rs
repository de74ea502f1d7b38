//! `bench-inline [--rounds N] [--only PART] [PEERS]`: what Sluice costs as a bridge, and how fast it stops an attacker, in one laboratory.
//!
//! How much passes with the kernel's bridge alone, with Sluice, and with Suricata as an inline system, where it is installed
//! below PEERS; how long it takes from a verdict, and from an attack's first packet, to the kernel's block; and what the daemon
//! takes of memory and processors. Sender, bridge, daemon and receiver share the processors of this machine, so only ratios of
//! the same run mean something elsewhere. PART is `forwarding`, `load`, `latency` or `attacks`.

mod attacks;
mod between;
mod events;
mod figures;
mod forwarding;
mod latency;
mod load;
mod suricata;
mod usage;

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use lab::cleanup::remove_work_folder;
use lab::namespace::run;
use lab::network::Network;
use suricata::Suricata;

/// How often each row takes its turn, and each attack is run.
const ROUNDS: u8 = 5;
/// Each attack comes from an address of its own; there are no more.
const MOST_ROUNDS: u8 = 10;

fn main() -> Result<()> {
    let result = bench(&env::args().skip(1).collect::<Vec<_>>());
    remove_work_folder();
    result
}

/// What is to be done.
struct Orders<'a> {
    rounds: u8,
    only: Option<&'a str>,
    peers: Option<&'a str>,
}

fn orders(words: &[String]) -> Result<Orders<'_>> {
    let mut orders = Orders { rounds: ROUNDS, only: None, peers: None };
    let mut words = words.iter().map(String::as_str);
    while let Some(word) = words.next() {
        match word {
            "--rounds" => orders.rounds = words.next().and_then(|number| number.parse().ok()).context("--rounds N")?,
            "--only" => orders.only = Some(words.next().context("--only PART")?),
            folder => orders.peers = Some(folder),
        }
    }
    ensure!((1..=MOST_ROUNDS).contains(&orders.rounds), "--rounds 1 to {MOST_ROUNDS}");
    Ok(orders)
}

fn bench(words: &[String]) -> Result<()> {
    let Orders { rounds, only, peers } = orders(words)?;
    let is_wanted = |part| only.is_none_or(|only| only == part);
    println!("{}", machine(words)?);
    if is_wanted("forwarding") {
        let (suricata, line) = find_suricata(peers)?;
        println!("{line}\n");
        println!("{}", forwarding::run(&Network::new()?, suricata.as_ref(), rounds)?);
    }
    if is_wanted("load") {
        println!("{}", load::run(&Network::new()?)?);
    }
    if is_wanted("latency") {
        println!("{}", latency::run(&Network::new()?)?);
    }
    if is_wanted("attacks") {
        println!("{}", attacks::run(rounds)?);
    }
    println!("load at the end: {}", load_average());
    Ok(())
}

/// Suricata where it is installed and runs here, and a line that says so.
fn find_suricata(peers: Option<&str>) -> Result<(Option<Suricata>, String)> {
    let Some(folder) = peers else {
        return Ok((None, String::from("no folder of peers was named: no row of Suricata")));
    };
    let Some(suricata) = Suricata::find(Path::new(folder))? else {
        return Ok((None, format!("no Suricata is installed below {folder}: no row of it (PEERS=1 installs it)")));
    };
    let network = Network::new()?;
    Ok(match between::Between::Suricata.put(&network, Some(&suricata)) {
        Ok(_) => {
            let line = format!("Suricata {}, without the kernel's bridge, one thread for each port", suricata.version);
            (Some(suricata), line)
        }
        Err(error) => (None, format!("Suricata does not run inline here, so it has no row: {error}")),
    })
}

/// What this was measured on, and how to do it again.
fn machine(words: &[String]) -> Result<String> {
    let processors = fs::read_to_string("/proc/cpuinfo")?;
    let models: Vec<&str> = processors.lines().filter_map(|line| line.strip_prefix("model name")).collect();
    let model = models.first().map_or("of an unknown kind", |line| line.trim_start_matches([' ', '\t', ':']));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let date = run(Command::new("date").args(["-u", "+%Y-%m-%d %H:%M UTC"]))?;
    Ok(format!(
        "bench-inline {}, {}: Linux {}, {} processors {model}, load {}",
        words.join(" "),
        date.trim(),
        kernel.trim(),
        std::thread::available_parallelism()?,
        load_average()
    ))
}

fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}
