//! The real tools of attackers, each bounded in count and time. They run in the namespace of the attacker.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::cleanup::work_folder;
use crate::namespace::Namespace;
use crate::network::Network;
use crate::process::{Finished, Running, run_any};
use crate::services::{PASSWORD, USER, write_once};

/// Most packets that one flood sends.
pub const FLOOD_PACKETS: u32 = 30_000;

/// Runs nmap without name look-ups: `options` as nmap takes them, the targets last.
///
/// # Errors
/// nmap is not installed.
pub fn nmap(from: &Namespace, options: &str, limit: Duration) -> Result<Finished> {
    run_any(&mut from.words(&format!("nmap -n {options}")), limit)
}

/// Starts nmap as [`nmap`] does, in the background.
///
/// # Errors
/// nmap is not installed.
pub fn start_nmap(from: &Namespace, options: &str) -> Result<Running> {
    from.start(&format!("nmap -n {options}"))
}

/// Runs a tool to its end or until its time is up, whichever comes first. Tools of attackers end with 1 when nothing was found;
/// any other code says that they did not do their work.
///
/// # Errors
/// It is not installed, or it failed.
pub fn run_tool(from: &Namespace, line: &str, limit: Duration) -> Result<()> {
    ended_well(line, &run_any(&mut from.words(line), limit)?)
}

/// Whether a tool did its work, as [`run_tool`] says.
///
/// # Errors
/// It failed: the error holds what it printed.
pub fn ended_well(line: &str, finished: &Finished) -> Result<()> {
    let is_fine = finished.status.is_none() || matches!(finished.code(), Some(0 | 1));
    let never_ran =
        finished.stderr.contains("ommand not found") || finished.stderr.contains("No such file or directory");
    ensure!(is_fine && !never_ran, "{line}: {:?}\n{}{}", finished.status, finished.stdout, finished.stderr);
    Ok(())
}

/// A flood as hping3 makes it; never more than [`FLOOD_PACKETS`] at a time.
#[derive(Clone, Copy, Debug)]
pub enum Flood<'a> {
    /// TCP SYN to a port.
    Syn(u16),
    /// TCP ACK to a port.
    Ack(u16),
    /// UDP to a port, with that many bytes.
    Udp(u16, u16),
    /// ICMP echo requests of that many bytes.
    Icmp(u16),
    /// Anything else that hping3 can do.
    Other(&'a str),
}

impl Flood<'_> {
    fn options(self) -> String {
        match self {
            Self::Syn(port) => format!("-S -p {port}"),
            Self::Ack(port) => format!("-A -p {port}"),
            Self::Udp(port, bytes) => format!("--udp -p {port} -d {bytes}"),
            Self::Icmp(bytes) => format!("--icmp -d {bytes}"),
            Self::Other(options) => options.to_owned(),
        }
    }
}

/// Starts hping3: `count` packets, one every `interval_us` microseconds.
///
/// # Errors
/// hping3 is not installed.
pub fn start_flood(from: &Namespace, flood: Flood<'_>, target: &str, count: u32, interval_us: u32) -> Result<Running> {
    let count = count.min(FLOOD_PACKETS);
    from.start(&format!("hping3 -n -q {} -c {count} -i u{interval_us} {target}", flood.options()))
}

/// Runs hping3 as [`start_flood`] does, to its end.
///
/// # Errors
/// hping3 is not installed.
pub fn flood(
    from: &Namespace,
    flood: Flood<'_>,
    target: &str,
    count: u32,
    interval_us: u32,
    limit: Duration,
) -> Result<Finished> {
    Ok(start_flood(from, flood, target, count, interval_us)?.finish(limit))
}

/// Where forged sources come from: the range set aside for benchmarks (RFC 2544).
const FORGED_RANGE: &str = "198.18.0.0/15";

/// Sources that are forged until it is dropped.
#[derive(Debug)]
pub struct Forged<'a>(&'a Namespace);

impl Drop for Forged<'_> {
    fn drop(&mut self) {
        let _ = self.0.run(["nft", "delete", "table", "ip", "forge"]);
    }
}

/// Gives each packet that leaves the namespace a random source of the 131,072 addresses from 198.18.0.0 on; answers to them
/// vanish at the gateway.
///
/// # Errors
/// nft is not installed.
pub fn forge_sources<'a>(network: &Network, from: &'a Namespace) -> Result<Forged<'a>> {
    let first = u32::from(Ipv4Addr::new(198, 18, 0, 0));
    network.wan.ip(&format!("route replace blackhole {FORGED_RANGE}"))?;
    from.run(["nft", "add table ip forge; add chain ip forge out { type filter hook postrouting priority 0; }"])?;
    from.run(["nft", &format!("add rule ip forge out ip saddr set numgen random mod 131072 offset {first}")])?;
    Ok(Forged(from))
}

/// Starts hydra: guesses the password of [`USER`] with `tasks` connections at a time; the right one is the last of `guesses`.
/// `service` is as hydra names it, such as `ssh`. The short `-w` keeps it going: once the server has closed a connection after
/// too many guesses, hydra 9.4 waits that long for an answer which never comes.
///
/// # Errors
/// hydra is not installed.
pub fn start_hydra(from: &Namespace, service: &str, target: &str, tasks: u32, guesses: u32) -> Result<Running> {
    let words = word_list(guesses)?;
    let mut command =
        from.words(&format!("hydra -I -l {USER} -P {} -t {tasks} -w 10 -f {service}://{target}", words.display()));
    Running::start(command.current_dir(work_folder()?))
}

/// Starts medusa in the same way; its services are `ssh` and `ftp` among others.
///
/// # Errors
/// medusa is not installed.
pub fn start_medusa(from: &Namespace, service: &str, target: &str, tasks: u32, guesses: u32) -> Result<Running> {
    let words = word_list(guesses)?;
    from.start(&format!("medusa -h {target} -u {USER} -P {} -M {service} -t {tasks} -f", words.display()))
}

/// Starts ncrack in the same way.
///
/// # Errors
/// ncrack is not installed.
pub fn start_ncrack(from: &Namespace, service: &str, target: &str, tasks: u32, guesses: u32) -> Result<Running> {
    let words = word_list(guesses)?;
    from.start(&format!("ncrack --user {USER} -P {} -f {service}://{target},CL={tasks}", words.display()))
}

/// A list of passwords; the last one is right.
pub fn word_list(guesses: u32) -> Result<PathBuf> {
    let file = work_folder()?.join(format!("words-{guesses}"));
    let mut words = String::new();
    for number in 1..guesses {
        let _ = writeln!(words, "password{number}");
    }
    write_once(&file, (words + PASSWORD + "\n").as_bytes())?;
    Ok(file)
}
