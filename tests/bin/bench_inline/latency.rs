//! How long it takes from a decision to the kernel's block, and from the packet that decided to it.
//!
//! What the control thread does between a decision and the block is timed alone, in this process, and then the whole way in the
//! running daemon. There both times of an interval are of the system's clock, and the end is when the kernel's message about the
//! new element was read here: later than the block stood by as long as this program waited for a processor.

use std::net::{IpAddr, Ipv4Addr};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::daemon::{Config, Daemon};
use lab::network::{LAN_HOST, Network};
use lab::packets::{ENCAPSULATIONS, SYN, tcp};
use lab::wire::Wire;
use serde_json::Value;
use sluice::clock::{self, Stopwatch};
use sluice::control::Request;
use sluice::enforce::nftables::Nftables;
use sluice::enforce::{Block, Desired, Enforcer};
use sluice::linux::links::Links;
use sluice::policy::{Action, Subject};
use sluice::web::Client;
use traffic::time::Timestamp;

use crate::between::{BLOCKS, forget_state};
use crate::events::{Element, Elements};
use crate::figures::{micros, percentile, time};

/// Blocks asked for one by one, and the pause between two: longer than the daemon trusts what it knows of the network, so
/// that it looks around before each, as it does before a block that comes alone.
const REQUESTS: u32 = 100;
const PAUSE: Duration = Duration::from_millis(110);
/// Attackers, one after the other: each sends a SYN to one port after the other until it is blocked.
const ATTACKERS: u8 = 100;
const SYN_PAUSE: Duration = Duration::from_millis(2);
const MOST_SYNS: u16 = 2_000;
/// How long a block is waited for that must come.
const PATIENCE: Duration = Duration::from_secs(20);
/// Room for what is blocked here beside the blocks that stand; the trips are not measured.
const POLICY: &str = "max_blocks = 20000\nmax_blocks_per_minute = 100000\n";

/// What was measured.
struct Line {
    what: String,
    micros: Vec<f64>,
}

/// Measures; the table.
///
/// # Errors
/// The laboratory fails, or a block does not come.
pub fn run(network: &Network) -> Result<String> {
    network.bridge()?;
    let [changes, verdicts] = network.r#box.enter(changes)??;
    let mut lines = vec![
        Line { what: format!("the kernel's change alone, {BLOCKS} of them"), micros: changes },
        Line {
            what: String::from("verdict to kernel: who must not be blocked is asked, and the change"),
            micros: verdicts,
        },
    ];
    let config = Config { policy: POLICY, state: "latency", selftest_at_start: false, ..Config::default() };
    let elements = Elements::listen(&network.r#box)?;
    let mut daemon = Daemon::start(network, &config)?;
    for standing in [0, BLOCKS] {
        if standing > 0 {
            daemon.block_many(BLOCKS, "for the bench")?;
        }
        eprintln!("latency with {standing} blocks");
        lines.push(Line {
            what: format!("a person's request to kernel: socket, page and control thread; {standing} blocks stand"),
            micros: requests(&daemon, &elements, standing)?,
        });
        lines.push(Line {
            what: format!("deciding packet to kernel, {ATTACKERS} scanners; {standing} blocks stand"),
            micros: scanners(network, &daemon, &elements, standing)?,
        });
    }
    daemon.stop()?;
    forget_state(&daemon, &config);
    network.r#box.ip("link del br0")?;
    Ok(table(&lines))
}

/// How long each change takes that blocks one more source; and how long with what the daemon asks the kernel before a block
/// that comes alone: which addresses and gateways must not be blocked.
fn changes() -> Result<[Vec<f64>; 2]> {
    let mut nftables = Nftables::new(["port0", "port1"].map(String::from), BLOCKS);
    let now = clock::now();
    nftables.replace(&Desired::default(), now)?;
    let (mut changes, mut verdicts) = (Vec::new(), Vec::new());
    let mut links = Links::open()?;
    for number in 0..BLOCKS {
        let until = now.plus(Duration::from_secs(600));
        let block = Block { subject: Subject::of(stranger(0, number)), action: Action::DenyNew, until };
        let whole = Stopwatch::start();
        links.addresses()?;
        links.gateways()?;
        links.all()?;
        let change = Stopwatch::start();
        nftables.block(&block, now)?;
        changes.push(micros(change.elapsed()));
        verdicts.push(micros(whole.elapsed()));
    }
    nftables.remove()?;
    Ok([changes, verdicts])
}

/// An address of the range for benchmarks (RFC 2544), of another part for each purpose.
fn stranger(part: u32, number: u32) -> IpAddr {
    let first = u32::from(Ipv4Addr::new(198, 18, 0, 0));
    Ipv4Addr::from(first + part * 0x4000 + number).into()
}

/// How long it takes from asking the daemon to block somebody until the kernel does: the way of a decision through the control
/// thread, and before it the way of a request through the socket and the page's thread.
fn requests(daemon: &Daemon<'_>, elements: &Elements, standing: u32) -> Result<Vec<f64>> {
    let client = Client::new(&daemon.config_file().with_file_name("sluice.sock"));
    let mut took = Vec::new();
    elements.forget();
    for number in 0..REQUESTS {
        let address = stranger(if standing > 0 { 2 } else { 1 }, number);
        let request = Request::Block {
            subject: Subject::of(address),
            ttl: Duration::from_secs(600),
            because: String::from("for the bench"),
        };
        let asked = clock::now();
        client.ask_for(&request)?;
        let element = elements.wait_for(PATIENCE, |element| is_block_of(element, address))?;
        took.push(micros(element.time.since(asked)));
        sleep(PAUSE);
    }
    Ok(took)
}

fn is_block_of(element: &Element, address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(v4) if element.key == v4.octets()) && element.set.starts_with("deny")
}

/// How long it takes from the packet that decided until the kernel blocks its sender.
fn scanners(network: &Network, daemon: &Daemon<'_>, elements: &Elements, standing: u32) -> Result<Vec<f64>> {
    let wire = Wire::open(&network.wan, "wan0")?;
    let network_of = if standing > 0 { [203, 0, 113] } else { [192, 0, 2] };
    elements.forget();
    let mut blocked = Vec::new();
    for last in 100..100 + ATTACKERS {
        let [a, b, c] = network_of;
        blocked.push(scan(&wire, elements, IpAddr::from([a, b, c, last]))?);
    }
    let blocks = daemon.blocks()?;
    blocked.iter().map(|(address, at)| Ok(micros(at.since(decided(&blocks, *address)?)))).collect()
}

/// Scans until that is blocked; who, and since when.
fn scan(wire: &Wire, elements: &Elements, source: IpAddr) -> Result<(IpAddr, Timestamp)> {
    let plain = ENCAPSULATIONS.first().context("no encapsulation")?;
    for port in 1..MOST_SYNS {
        wire.send(&plain.frame(source, LAN_HOST.parse()?, port, &tcp(40_000, port, SYN)))?;
        if let Ok(element) = elements.wait_for(SYN_PAUSE, |element| is_block_of(element, source)) {
            return Ok((source, element.time));
        }
    }
    anyhow::bail!("{source} scans and is not blocked")
}

/// The time of the packet that decided the block, as the status shows it.
fn decided(blocks: &[Value], address: IpAddr) -> Result<Timestamp> {
    let text = address.to_string();
    let block = blocks.iter().find(|block| block["address"] == text.as_str()).context("a block has vanished")?;
    let since_s = block["since_s"].as_f64().unwrap_or_default();
    ensure!(since_s > 0.0, "{block}");
    Ok(Timestamp::from_nanos((since_s * 1e9) as u64))
}

fn table(lines: &[Line]) -> String {
    let mut text = format!("{:<88}{:>10}{:>10}{:>10}\n", "Latency", "p50", "p99", "most");
    for Line { what, micros } in lines {
        let figures = [0.5, 0.99, 1.0].map(|share| time(percentile(micros, share)));
        text += &format!("  {what:<86}{:>10}{:>10}{:>10}\n", figures[0], figures[1], figures[2]);
    }
    text
}
