//! `bench SHARED LABELLED [PEERS]`: how many packets a second, step by step, the whole of `sluice replay`, and its peers.
//!
//! SHARED holds `data/unpack` and `peers/`, LABELLED is where the labelled captures are or go, PEERS where the peers are
//! installed; without it they do not run. All read the same capture in turn, round by round, so that a busy moment of the
//! machine meets all of them. Each is a process of its own, timed from its start to its exit.
//!
//! `bench live` measures the live path, in network namespaces.

mod capture;
mod live;
mod peers;
mod stages;

use std::env;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use lab::cleanup::remove_work_folder;
use lab::daemon::sluice_program;
use serde_json::Value;
use sluice::clock::Stopwatch;

/// How often each one runs; with the peers, which take most of the time, less often.
const ROUNDS: usize = 11;
const ROUNDS_WITH_PEERS: usize = 5;

/// Whom all are compared with.
const REPLAY: &str = "e  sluice replay, whole";

/// What takes part, and how long it took in each round, in seconds.
struct Row {
    name: String,
    seconds: Vec<f64>,
}

fn main() -> Result<()> {
    let words: Vec<String> = env::args().skip(1).collect();
    let result = match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["stage", name, file] => return stages::run(name, Path::new(file)),
        ["live"] => live::run(),
        [shared, labelled] => bench(Path::new(shared), Path::new(labelled), None),
        [shared, labelled, peers] => bench(Path::new(shared), Path::new(labelled), Some(Path::new(peers))),
        _ => bail!("usage: bench SHARED LABELLED [PEERS], or: bench live"),
    };
    remove_work_folder();
    result
}

fn bench(shared: &Path, labelled: &Path, peers: Option<&Path>) -> Result<()> {
    let file = env::current_exe()?.with_file_name("bench.pcap");
    capture::make(shared, labelled, &file)?;
    let peers = peers.map(|folder| peers::Peers::install(shared, folder)).transpose()?;
    let mut rows: Vec<Row> = stages::ALL.iter().map(|stage| Row::new(stage.title)).collect();
    rows.push(Row::new(REPLAY));
    rows.extend(peers.iter().flat_map(|peers| &peers.names).map(|name| Row::new(name)));
    let rounds = if peers.is_some() { ROUNDS_WITH_PEERS } else { ROUNDS };
    let mut packets = None;
    for _ in 0..rounds {
        let mut seconds = our_round(&file, &mut packets)?;
        if let Some(peers) = &peers {
            seconds.extend(peers.run(&file)?);
        }
        for (row, seconds) in rows.iter_mut().zip(seconds) {
            row.seconds.push(seconds);
        }
    }
    print_table(&rows, packets.context("no round")?, rounds);
    Ok(())
}

/// Each of ours once, in the order of the rows; all must have seen the same number of packets.
fn our_round(file: &Path, packets: &mut Option<u64>) -> Result<Vec<f64>> {
    let mut seconds = Vec::new();
    for stage in &stages::ALL {
        let (took, output) = timed(Command::new(env::current_exe()?).args(["stage", stage.name]).arg(file))?;
        let seen: u64 = output.trim().parse().with_context(|| format!("{} printed {output:?}", stage.name))?;
        ensure!(*packets.get_or_insert(seen) == seen, "{} saw {seen} packets, not {packets:?}", stage.name);
        seconds.push(took);
    }
    let (took, output) = timed(Command::new(sluice_program()?).args(["replay", "--report", "json"]).arg(file))?;
    let seen = serde_json::from_str::<Value>(&output)?["packets"].as_u64();
    ensure!(seen == *packets, "sluice replay saw {seen:?} packets, not {packets:?}");
    seconds.push(took);
    Ok(seconds)
}

/// Runs a program to its end: wall time in seconds, and what it printed.
fn timed(command: &mut Command) -> Result<(f64, String)> {
    let watch = Stopwatch::start();
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    let took = watch.elapsed().as_secs_f64();
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok((took, String::from_utf8(output.stdout)?))
}

fn print_table(rows: &[Row], packets: u64, rounds: usize) {
    let replay = rows.iter().find(|row| row.name == REPLAY);
    println!(
        "\n{packets} packets, {rounds} rounds. Each row is a process, from its start to its exit; e against it: how"
    );
    println!("many times as fast as that row `sluice replay` is, in the middle of all rounds.\n");
    println!("{:<34}{:>11}{:>12}{:>13}{:>15}", "", "median s", "fastest s", "packets/s", "e against it");
    for row in rows {
        let (median, fastest) = (median(row.seconds.clone()), row.seconds.iter().copied().fold(f64::MAX, f64::min));
        let ratio = replay.map_or(f64::NAN, |replay| row.ratio_to(replay));
        let rate = packets as f64 / median;
        println!("{:<34}{median:>11.3}{fastest:>12.3}{rate:>13.0}{ratio:>14.2}x", row.name);
    }
    println!();
}

impl Row {
    fn new(name: &str) -> Self {
        Self { name: name.to_owned(), seconds: Vec::new() }
    }

    /// How many times as long as the other one it took, round by round.
    fn ratio_to(&self, other: &Self) -> f64 {
        median(self.seconds.iter().zip(&other.seconds).map(|(mine, others)| mine / others).collect())
    }
}

/// The middle of an odd number of figures.
fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_of_the_same_round() {
        let row = |seconds: &[f64]| Row { name: String::new(), seconds: seconds.to_vec() };
        // The machine was busy in the last round, which is nobody's doing.
        assert_eq!(row(&[4.0, 4.0, 80.0]).ratio_to(&row(&[1.0, 2.0, 20.0])), 4.0);
    }
}
