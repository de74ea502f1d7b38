//! The live path: what a frame costs in the kernel and behind the ring, and what it costs where it is passed over.
//!
//! The kernel's part is timed by the sender, whose call takes a frame over the virtual wire and into the ring. What comes
//! behind the ring is timed with a ring that was filled before: how fast it can be read does not depend on the sender.

use std::fs;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use lab::network::Network;
use lab::packets::{ENCAPSULATIONS, SYN, SYN_ACK, Transport, tcp, tcp_with};
use lab::wire::Wire;
use sluice::capture::live::Live;
use sluice::capture::{Arrival, FrameSource};
use sluice::clock::Stopwatch;
use sluice::config::Config;
use sluice::linux::capture_filter::Shedding;
use sluice::linux::packet_ring::{PacketRing, RingConfig};
use sluice::pipeline::{EndedFlow, Listener, Pipeline, PipelineConfig};
use sluice::policy::Decision;
use traffic::limits::Limits;

/// Frames of each run; the ring has room for them, and blocks for eight seconds.
const FRAMES: u32 = 100_000;
const ROUNDS: usize = 9;
const RING: RingConfig = RingConfig { block_bytes: 64 * 1024, blocks: 1_024, retire_ms: 8, snap_bytes: 192 };

/// What is done with a long segment.
const KERNEL_ROWS: [(&str, Option<Shedding>); 4] = [
    ("nobody captures", None),
    ("taken into the ring", Some(Shedding::Nothing)),
    ("7 in 8 passed over", Some(Shedding::Most)),
    ("63 in 64 passed over", Some(Shedding::NearlyAll)),
];

const PORTS: [&str; 2] = ["port0", "port1"];
const ACK: u8 = 0x10;
const CLIENT: [u8; 4] = [198, 51, 100, 10];
const SERVER: [u8; 4] = [203, 0, 113, 10];
/// The flood comes from these 131,072 addresses (RFC 2544).
const FLOOD_FROM: u32 = u32::from_be_bytes([198, 18, 0, 0]);

/// Counts nothing: the daemon's listener does little more.
struct Nobody;

impl Listener for Nobody {
    fn decision(&mut self, _: Decision) -> bool {
        true
    }

    fn flow_ended(&mut self, _: &EndedFlow<'_>) {}
}

/// Measures and prints.
///
/// # Errors
/// Not root, or the kernel lost frames.
pub fn run() -> Result<()> {
    let network = Network::new()?;
    let wire = Wire::open(&network.lan, "lan0")?;
    println!("\n{:<58}{:>10}", "the kernel's part, for each long segment", "ns");
    for ((title, _), ns) in KERNEL_ROWS.iter().zip(kernel_rows(&network, &wire)?) {
        println!("{title:<58}{ns:>10.0}");
    }
    println!("\n{:<58}{:>10}{:>14}", "behind the ring, for each frame", "ns", "frames/s");
    for (title, frames, looks) in [
        ("a download, not looked at", download as fn(u32) -> Vec<u8>, false),
        ("a download, the whole path", download, true),
        ("SYNs, each from another source, the whole path", flood, true),
    ] {
        let ns = median_of(|| reading_ns(&network, &wire, frames, looks))?;
        println!("{title:<58}{ns:>10.0}{:>14.0}", 1e9 / ns);
    }
    Ok(())
}

fn median_of(mut measure: impl FnMut() -> Result<f64>) -> Result<f64> {
    Ok(super::median((0..ROUNDS).map(|_| measure()).collect::<Result<Vec<_>>>()?))
}

/// The least of all rounds for each row: whatever else happens can only add to it. The rows take turns.
fn kernel_rows(network: &Network, wire: &Wire) -> Result<[f64; KERNEL_ROWS.len()]> {
    let mut least = [f64::MAX; KERNEL_ROWS.len()];
    for _ in 0..ROUNDS {
        for (least, (_, shedding)) in least.iter_mut().zip(KERNEL_ROWS) {
            *least = least.min(kernel_ns(network, wire, shedding)?);
        }
    }
    Ok(least)
}

/// How long the sending of a long segment takes, with a ring at the other end or without.
fn kernel_ns(network: &Network, wire: &Wire, shedding: Option<Shedding>) -> Result<f64> {
    let _ring = shedding
        .map(|shedding| {
            let ring = network.r#box.enter(|| PacketRing::open(PORTS[0], RING))??;
            ring.shed(shedding)?;
            anyhow::Ok(ring)
        })
        .transpose()?;
    let long = frame(SERVER.into(), CLIENT.into(), &tcp_with(443, 40_000, ACK, 1_400));
    let begin_ns = on_processor_ns()?;
    for _ in 0..FRAMES {
        wire.send(&long)?;
    }
    Ok((on_processor_ns()? - begin_ns) / f64::from(FRAMES))
}

/// How long it takes to read a frame of a filled ring, and to take it through the path.
fn reading_ns(network: &Network, wire: &Wire, frames: fn(u32) -> Vec<u8>, looks: bool) -> Result<f64> {
    let mut live = network.r#box.enter(|| Live::open(PORTS, RING))??;
    for number in 0..FRAMES {
        wire.send(&frames(number))?;
    }
    // The last block is handed over when its time is up.
    std::thread::sleep(Duration::from_millis(50));
    let mut pipeline = Pipeline::new(&PipelineConfig {
        limits: Limits::default(),
        tuning: Config::default().tuning(),
        models: Default::default(),
        rules: Arc::default(),
        around: Arc::default(),
        seed: [1, 2],
    });
    let mut read = 0;
    let (watch, begin_ns) = (Stopwatch::start(), on_processor_ns()?);
    while read < FRAMES {
        live.poll(Duration::from_millis(50), &mut |arrival: &Arrival<'_>| {
            read += 1;
            if looks {
                pipeline.frame(arrival, &mut Nobody);
            }
        })?;
        ensure!(watch.elapsed() < Duration::from_secs(30), "only {read} of {FRAMES} frames came");
    }
    ensure!(live.dropped() == 0, "the ring was too small");
    Ok((on_processor_ns()? - begin_ns) / f64::from(read))
}

/// How long this thread has been on a processor, by the kernel's count: other programs do not disturb it.
fn on_processor_ns() -> Result<f64> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(text.split(' ').next().unwrap_or_default().parse()?)
}

/// A connection that opens and downloads: of three packets two carry data and one acknowledges.
fn download(number: u32) -> Vec<u8> {
    let (client, server) = (IpAddr::from(CLIENT), IpAddr::from(SERVER));
    match number {
        0 => frame(client, server, &tcp(40_000, 443, SYN)),
        1 => frame(server, client, &tcp(443, 40_000, SYN_ACK)),
        number if number % 3 == 2 => frame(client, server, &tcp(40_000, 443, ACK)),
        _ => frame(server, client, &tcp_with(443, 40_000, ACK, 1_400)),
    }
}

fn flood(number: u32) -> Vec<u8> {
    let source = (FLOOD_FROM + number).to_be_bytes();
    frame(source.into(), CLIENT.into(), &tcp(1_024, 80, SYN))
}

fn frame(source: IpAddr, destination: IpAddr, carried: &Transport) -> Vec<u8> {
    ENCAPSULATIONS.first().map(|plain| plain.frame(source, destination, 1, carried)).unwrap_or_default()
}
