//! How much passes: TCP in both directions, TCP at the rate of a gigabit line, and the rate of the shortest packets. The
//! rows take turns, round by round, and each ratio is of the same round: a busy moment of the machine meets all of them.

use std::net::IpAddr;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::namespace::Namespace;
use lab::network::{INTERNET, LAN_HOST, Network};
use lab::packets::{ENCAPSULATIONS, udp};
use lab::services;
use lab::wire::Wire;
use serde_json::Value;
use sluice::clock::Stopwatch;

use crate::between::{Between, Standing, prepare_blocks};
use crate::figures::{bit_rate, median, percentile};
use crate::suricata::Suricata;
use crate::usage::{Usage, on_processor};

/// How long each stream runs.
const STREAM_S: u32 = 3;
/// How long short packets are sent, and how many at most.
const BURST: Duration = Duration::from_secs(2);
const BURST_PACKETS: u64 = 4_000_000;
/// The sender's time is looked at after so many.
const PART_PACKETS: u64 = 8_192;
/// How many are given to the kernel at once.
const AT_ONCE: usize = 64;
/// How long the last of them may take to come through.
const LAST_PACKETS: Duration = Duration::from_millis(100);
/// What fits a line of 1 Gbit/s, in frames of 1,514 bytes with their preambles and gaps.
const LINE: &str = "-b 940M";
/// Nobody has this address: the outside world lets packets to it vanish.
const NOBODY: [u8; 4] = [192, 0, 2, 9];

/// How a figure is meant.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    BitsPerS,
    PacketsPerS,
    Nanoseconds,
}

/// What is measured of each row, in this order. The last depends least on what else this machine does.
const COLUMNS: [(&str, Unit); 5] = [
    ("TCP to the outside", Unit::BitsPerS),
    ("TCP from outside", Unit::BitsPerS),
    ("TCP at a line's 940 Mbit/s", Unit::BitsPerS),
    ("64-byte packets", Unit::PacketsPerS),
    ("… the kernel's time for each", Unit::Nanoseconds),
];

/// One row in one round: the figure, and the share of a processor that the program took.
type Sample = [(f64, Option<f64>); COLUMNS.len()];

/// A row with its rounds.
struct Row {
    between: Between,
    samples: Vec<Sample>,
    /// Packets that the daemon did not see, for each packet that passed, in the worst round.
    unseen: f64,
}

/// Measures all rows in turn; the table.
///
/// # Errors
/// The laboratory fails, or something is blocked that should pass.
pub fn run(network: &Network, suricata: Option<&Suricata>, rounds: u8) -> Result<String> {
    let _server = services::iperf3(&network.wan, INTERNET[0])?;
    prepare_blocks(network)?;
    let ours = [Between::Bridge, Between::Sluice, Between::SluiceWithBlocks, Between::SluiceClosed];
    let all = ours.into_iter().chain(suricata.map(|_| Between::Suricata));
    let mut rows: Vec<Row> = all.map(|between| Row { between, samples: Vec::new(), unseen: 0.0 }).collect();
    for round in 1..=rounds {
        for row in &mut rows {
            eprintln!("round {round} of {rounds}: {}", row.between.title());
            row.measure(network, suricata)?;
        }
    }
    Ok(table(&rows, rounds))
}

impl Row {
    fn measure(&mut self, network: &Network, suricata: Option<&Suricata>) -> Result<()> {
        let standing = self.between.put(network, suricata)?;
        let stream = |options| with_usage(&standing, || stream(&network.lan, options));
        let [short, time_of_each] = burst(&standing, network)?;
        let sample = [stream("")?, stream("-R")?, stream(LINE)?, short, time_of_each];
        if let Some(daemon) = &standing.daemon {
            let status = daemon.status()?;
            let blocked = status["blocks"]
                .as_array()
                .map_or(0, |blocks| blocks.iter().filter(|block| block["actor"] == "sluice").count());
            ensure!(blocked == 0, "ordinary traffic was blocked: {:#}", status["blocks"]);
            let count = |key: &str| status[key].as_f64().unwrap_or_default();
            let missed = count("ring_drops") + count("passed_over");
            self.unseen = self.unseen.max(missed / (missed + count("packets")));
        }
        self.samples.push(sample);
        Ok(())
    }

    /// What passed in the middle of all rounds, the middle of the ratios to the other row, and of the shares of a processor.
    fn summary(&self, column: usize, other: &Self) -> (f64, f64, Option<f64>) {
        let of = |row: &Self| -> Vec<f64> { row.samples.iter().map(|sample| sample[column].0).collect() };
        let (mine, others) = (of(self), of(other));
        if COLUMNS[column].1 == Unit::Nanoseconds {
            // Whatever else happens can only add to it.
            let [mine, others] = [mine, others].map(|figures| percentile(&figures, 0.0));
            return (mine, others / mine, None);
        }
        let ratios: Vec<f64> = mine.iter().zip(&others).map(|(mine, other)| mine / other).collect();
        let shares: Vec<f64> = self.samples.iter().filter_map(|sample| sample[column].1).collect();
        (median(&mine), median(&ratios), (!shares.is_empty()).then(|| median(&shares)))
    }
}

fn with_usage(standing: &Standing<'_>, measure: impl FnOnce() -> Result<f64>) -> Result<(f64, Option<f64>)> {
    let usage = standing.pid().map(Usage::begin).transpose()?;
    let passed = measure()?;
    Ok((passed, usage.map(|usage| usage.share()).transpose()?))
}

/// The rate of short packets, and what each takes of the sender's time, in which the kernel forwards it.
fn burst(standing: &Standing<'_>, network: &Network) -> Result<[(f64, Option<f64>); 2]> {
    let usage = standing.pid().map(Usage::begin).transpose()?;
    let burst = short_packets(network)?;
    let share = usage.map(|usage| usage.share()).transpose()?;
    // Suricata forwards in its own time.
    let ns = if standing.daemon.is_some() || share.is_none() { burst.least_ns } else { f64::NAN };
    Ok([(burst.per_s(), share), (ns, None)])
}

/// Bits a second of one stream, as its receiver counts them.
pub fn stream(from: &Namespace, options: &str) -> Result<f64> {
    let limit = Duration::from_secs(u64::from(STREAM_S) + 30);
    let said = from.run_within(&format!("iperf3 -J -c {} -t {STREAM_S} {options}", INTERNET[0]), limit)?;
    let report: Value = serde_json::from_str(&said)?;
    report["end"]["sum_received"]["bits_per_second"].as_f64().with_context(|| format!("iperf3 printed {said}"))
}

/// What came through of a burst.
pub struct Burst {
    packets: f64,
    /// How long it was sent.
    took: Duration,
    /// How long the sender was on a processor for each packet, in the quickest part of the burst.
    least_ns: f64,
}

impl Burst {
    /// The rate that came through.
    pub fn per_s(&self) -> f64 {
        self.packets / self.took.as_secs_f64()
    }
}

/// The shortest packets, of one sender as fast as it can.
pub fn short_packets(network: &Network) -> Result<Burst> {
    let plain = ENCAPSULATIONS.first().context("no encapsulation")?;
    let mut frame = plain.frame(LAN_HOST.parse()?, IpAddr::from(NOBODY), 1, &udp(40_000, 40_000));
    let macs = [mac(&network.wan, "wan0")?, mac(&network.lan, "lan0")?].concat();
    frame.splice(..macs.len(), macs);
    let frames = vec![frame; AT_ONCE];
    blast(network, &network.lan, "lan0", |_| &frames)
}

/// Sends as fast as it can what `batch` gives, and counts what comes out at the other end.
pub fn blast<'a>(
    network: &Network,
    from: &Namespace,
    device: &str,
    batch: impl Fn(u64) -> &'a [Vec<u8>],
) -> Result<Burst> {
    let wire = Wire::open(from, device)?;
    let (far, far_device) = if device == "lan0" { (&network.wan, "wan0") } else { (&network.lan, "lan0") };
    let before = received(far, far_device)?;
    let (watch, mut sent, mut least_ns) = (Stopwatch::start(), 0, f64::MAX);
    while watch.elapsed() < BURST && sent < BURST_PACKETS {
        let (begin, first) = (on_processor()?, sent);
        while sent - first < PART_PACKETS {
            let frames = batch(sent);
            wire.send_many(frames)?;
            sent += frames.len() as u64;
        }
        let took_ns = on_processor()?.saturating_sub(begin).as_secs_f64() * 1e9;
        least_ns = least_ns.min(took_ns / (sent - first) as f64);
    }
    let took = watch.elapsed();
    sleep(LAST_PACKETS);
    let packets = received(far, far_device)?.saturating_sub(before) as f64;
    Ok(Burst { packets, took, least_ns })
}

fn received(namespace: &Namespace, device: &str) -> Result<u64> {
    Ok(namespace.run(["cat", &format!("/sys/class/net/{device}/statistics/rx_packets")])?.trim().parse()?)
}

/// The Ethernet address of a device.
fn mac(namespace: &Namespace, device: &str) -> Result<Vec<u8>> {
    let text = namespace.run(["cat", &format!("/sys/class/net/{device}/address")])?;
    let bytes: Result<Vec<u8>, _> = text.trim().split(':').map(|byte| u8::from_str_radix(byte, 16)).collect();
    Ok(bytes?)
}

fn table(rows: &[Row], rounds: u8) -> String {
    let mut text = format!(
        "Forwarding: {rounds} rounds, the rows in turn; the middle of the rounds, the middle of the ratios to the bare bridge\n\
         in the same round, and what the program took of a processor meanwhile. The kernel's time is the least of all.\n\n"
    );
    let Some(bridge) = rows.iter().find(|row| row.between == Between::Bridge) else { return text };
    for (column, (title, unit)) in COLUMNS.into_iter().enumerate() {
        text += &format!(
            "{title:<40}{:>16}{:>13}{:>12}\n",
            if unit == Unit::Nanoseconds { "takes" } else { "passes" },
            "ratio",
            "processor"
        );
        for row in rows {
            let (passed, ratio, share) = row.summary(column, bridge);
            let passed = match unit {
                Unit::BitsPerS => bit_rate(passed),
                Unit::PacketsPerS => format!("{passed:.0} /s"),
                Unit::Nanoseconds => format!("{passed:.0} ns"),
            };
            let share = share.map_or_else(|| String::from("-"), |share| format!("{:.0} %", share * 100.0));
            if !ratio.is_nan() {
                text += &format!("  {:<38}{passed:>16}{:>11.1} %{share:>12}\n", row.between.title(), ratio * 100.0);
            }
        }
        text.push('\n');
    }
    for row in rows.iter().filter(|row| row.unseen > 0.0) {
        let (title, percent) = (row.between.title(), row.unseen * 100.0);
        text += &format!("{title}: in the worst round {percent:.1} % of all packets came too fast to be read.\n");
    }
    text
}
