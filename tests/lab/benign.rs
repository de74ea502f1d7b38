//! What people and their devices do on an ordinary day, with the real programs.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;

use crate::namespace::Namespace;
use crate::network::{INTERNET, LAN_HOST};
use crate::process::{Finished, Running, run_any};
use crate::services::{PASSWORD, USER, WEB_FILES, user_key};

/// How long an ordinary program may take to end once asked.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// Loads a page as a browser does: the page itself, then all that it consists of over `connections` parallel connections.
///
/// # Errors
/// curl is not installed, or something did not arrive.
pub fn load_page(from: &Namespace, server: &str, connections: u32, limit: Duration) -> Result<()> {
    let all: Vec<String> = WEB_FILES.iter().take(7).map(|(name, _)| format!("http://{server}/{name}?[1-6]")).collect();
    let line = format!(
        "curl -s -S --fail -m 30 -Z --parallel-max {connections} --parallel-immediate -o /dev/null {}",
        all.join(" -o /dev/null ")
    );
    from.run_within(&line, limit).map(|_| ())
}

/// Fetches one file of [`WEB_FILES`]; the number of bytes that arrived.
///
/// # Errors
/// curl is not installed, or the server did not answer with the file.
pub fn fetch(from: &Namespace, server: &str, file: &str, limit: Duration) -> Result<u64> {
    let seconds = limit.as_secs().max(1);
    let line = format!("curl -s -S --fail -m {seconds} -o /dev/null -w %{{size_download}} http://{server}/{file}");
    let printed = from.run_within(&line, limit + STOP_LIMIT)?;
    printed.trim().parse().with_context(|| format!("curl printed {printed:?}"))
}

/// How long a connection of somebody who may be blocked is tried.
const TRIED: Duration = Duration::from_secs(2);

/// Whether a web page of the LAN can be had from there.
#[must_use]
pub fn reaches_the_lan(from: &Namespace) -> bool {
    fetch(from, LAN_HOST, "api.json", TRIED).is_ok()
}

/// Whether one of the internet can.
#[must_use]
pub fn reaches_the_internet(from: &Namespace) -> bool {
    fetch(from, INTERNET[0], "api.json", TRIED).is_ok()
}

/// A stream of echo requests that runs until it is stopped.
#[derive(Debug)]
pub struct PingStream(Running);

/// What became of the packets of a [`PingStream`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PingReport {
    /// Requests that were sent.
    pub sent: u32,
    /// Answers that came, without duplicates.
    pub received: u32,
}

impl PingStream {
    /// Starts it: one packet every `interval_ms` milliseconds.
    ///
    /// # Errors
    /// ping is not installed.
    pub fn start(from: &Namespace, target: &str, interval_ms: u32) -> Result<Self> {
        let seconds = f64::from(interval_ms) / 1000.0;
        from.start(&format!("ping -n -D -i {seconds} {target}")).map(Self)
    }

    /// How many answers have come so far.
    #[must_use]
    pub fn answers(&self) -> usize {
        self.0.stdout().lines().filter(|line| line.contains(" bytes from ")).count()
    }

    /// Ends it and counts. The very last request may still be under way: it is not counted as lost when all others came.
    ///
    /// # Errors
    /// It had ended before, or printed something unknown.
    pub fn stop(self) -> Result<PingReport> {
        let finished = self.0.stop(Signal::SIGINT, STOP_LIMIT);
        parse_ping(&finished.stdout).with_context(|| format!("ping printed\n{}{}", finished.stdout, finished.stderr))
    }
}

/// Reads ping's last lines.
fn parse_ping(text: &str) -> Option<PingReport> {
    let summary = text.lines().find(|line| line.contains("packets transmitted"))?;
    let number = |part: &str| part.split_whitespace().next()?.parse::<u32>().ok();
    let mut parts = summary.split(',');
    let (mut sent, received) = (number(parts.next()?)?, number(parts.next()?)?);
    let last_answered = text.lines().any(|line| line.contains(&format!("icmp_seq={sent} ")));
    if !last_answered && sent == received + 1 {
        sent = received;
    }
    Some(PingReport { sent, received })
}

/// Runs iperf3 for some seconds with more `options`, such as `-u -b 5M` or `-R`.
///
/// # Errors
/// iperf3 is not installed, or the server did not take part to the end.
pub fn speed_test(from: &Namespace, server: &str, seconds: u32, options: &str) -> Result<()> {
    let limit = Duration::from_secs(u64::from(seconds)) + STOP_LIMIT;
    from.run_within(&format!("iperf3 -c {server} -t {seconds} {options}"), limit).map(|_| ())
}

/// What every ssh client of the laboratory is told: the server is new, and nobody is there to be asked.
pub const SSH_OPTIONS: &str = "-F none -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o GlobalKnownHostsFile=/dev/null -o LogLevel=ERROR";

/// Logs in by key and runs a command, as scripts do; what the command printed.
///
/// # Errors
/// The log-in failed.
pub fn ssh_by_key(from: &Namespace, server: &str, command: &str, limit: Duration) -> Result<String> {
    let key = user_key()?;
    let line = format!("ssh {SSH_OPTIONS} -o BatchMode=yes -i {} {USER}@{server} {command}", key.display());
    from.run_within(&line, limit)
}

/// Logs in by password and runs a command; how it ended.
///
/// # Errors
/// sshpass or ssh is not installed.
pub fn ssh_by_password(
    from: &Namespace,
    server: &str,
    password: &str,
    command: &str,
    limit: Duration,
) -> Result<Finished> {
    let options = "-o PreferredAuthentications=password -o NumberOfPasswordPrompts=1";
    let line = format!("sshpass -p {password} ssh {SSH_OPTIONS} {options} {USER}@{server} {command}");
    run_any(&mut from.words(&line), limit)
}

/// Logs in with the right password.
///
/// # Errors
/// The log-in failed.
pub fn ssh_log_in(from: &Namespace, server: &str) -> Result<()> {
    let finished = ssh_by_password(from, server, PASSWORD, "true", Duration::from_secs(20))?;
    ensure!(finished.success(), "ssh to {server}: {}", finished.stderr);
    Ok(())
}

/// Looks up `count` different names, as fast as the answers come; each question is asked three times at most.
///
/// # Errors
/// dig is not installed, or an answer is missing.
pub fn look_up_names(from: &Namespace, server: &str, count: u32) -> Result<()> {
    let names: Vec<String> = (0..count).map(|n| format!("name{n}.example.net")).collect();
    from.run_within(&format!("dig +tries=3 +timeout=1 +short @{server} {}", names.join(" ")), Duration::from_secs(60))
        .map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUMMARY: &str =
        "\n--- x ping statistics ---\n12 packets transmitted, 11 received, 8.3% packet loss, time 110ms\n";

    #[test]
    fn a_lost_packet_is_counted() {
        let text = format!("64 bytes from x: icmp_seq=12 ttl=64 time=0.1 ms\n{SUMMARY}");
        assert_eq!(parse_ping(&text), Some(PingReport { sent: 12, received: 11 }));
    }

    #[test]
    fn the_packet_under_way_when_ping_ended_is_not_lost() {
        let text = format!("64 bytes from x: icmp_seq=11 ttl=64 time=0.1 ms\n{SUMMARY}");
        assert_eq!(parse_ping(&text), Some(PingReport { sent: 11, received: 11 }));
    }
}
