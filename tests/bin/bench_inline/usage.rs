//! What a process takes: its share of a processor, and memory.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use sluice::clock::Stopwatch;

/// `USER_HZ`: what the kernel counts the time of processes in, on every architecture that we run on.
const TICKS_PER_S: f64 = 100.0;

/// A process that is watched from a moment on.
pub struct Usage {
    pid: u32,
    watch: Stopwatch,
    ticks: u64,
}

impl Usage {
    /// From now on.
    ///
    /// # Errors
    /// There is no such process.
    pub fn begin(pid: u32) -> Result<Self> {
        Ok(Self { pid, watch: Stopwatch::start(), ticks: ticks(pid)? })
    }

    /// How long it was on processors since then, user and system together.
    ///
    /// # Errors
    /// The process has ended.
    pub fn seconds(&self) -> Result<f64> {
        Ok(ticks(self.pid)?.saturating_sub(self.ticks) as f64 / TICKS_PER_S)
    }

    /// The share of one processor that it took since then.
    ///
    /// # Errors
    /// The process has ended.
    pub fn share(&self) -> Result<f64> {
        Ok(self.seconds()? / self.watch.elapsed().as_secs_f64())
    }
}

/// How long this thread has been on a processor: other programs do not disturb it. What the kernel does with a packet that
/// this thread sends over virtual wires, up to where it is received, is in it.
///
/// # Errors
/// The kernel does not count it.
pub fn on_processor() -> Result<Duration> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(Duration::from_nanos(text.split(' ').next().unwrap_or_default().parse()?))
}

/// `utime` and `stime` of all its threads.
fn ticks(pid: u32) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    parse_ticks(&text).with_context(|| format!("/proc/{pid}/stat: {text:?}"))
}

/// They are the 14th and the 15th word; the second is a name in parentheses, with whatever in it.
fn parse_ticks(stat: &str) -> Option<u64> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    let mut words = behind_name.split_ascii_whitespace().skip(11);
    Some(words.next()?.parse::<u64>().ok()? + words.next()?.parse::<u64>().ok()?)
}

/// Memory that it has in use now, in MiB.
///
/// # Errors
/// The process has ended.
pub fn resident_mib(pid: u32) -> Result<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_does_not_shift_the_times() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 2 3 4 250 50 0 0 20 0 5 0 1 2 3";
        assert_eq!(parse_ticks(stat), Some(300));
    }
}
