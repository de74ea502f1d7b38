//! From the first packet of an attack that came in by a port until the kernel blocks who does it, by kind of attack.
//!
//! Each attack meets a daemon that has just started and knows nothing, and comes from a new host.

use std::time::Duration;

use anyhow::{Context, Result};
use lab::attacks::{FLOOD_PACKETS, Flood, Forged, forge_sources, start_flood, start_hydra, start_nmap};
use lab::daemon::{Config, Daemon};
use lab::network::{Device, INTERNET, LAN_HOST, Network, Outsider};
use lab::process::Running;
use lab::services;

use crate::between::forget_state;
use crate::events::{Element, Elements, FirstFrames};
use crate::figures::{micros, percentile, time};

/// How long an attack may take until it is stopped.
const PATIENCE: Duration = Duration::from_secs(90);
/// The last words of the addresses of the first outsider and of the first device.
const FIRST_OUTSIDER: u8 = 60;
const FIRST_DEVICE: u8 = 30;
/// The first two bytes of forged sources.
const FORGED: [u8; 2] = [198, 18];
const FORGED_TOO: [u8; 2] = [198, 19];

/// A kind of attack.
#[derive(Clone, Copy)]
enum Attack {
    NmapT4,
    NmapT5,
    SynScan,
    SynFlood,
    ForgedFlood,
    Hydra,
    DeviceScan,
}

const ALL: [Attack; 7] = [
    Attack::NmapT4,
    Attack::NmapT5,
    Attack::SynScan,
    Attack::SynFlood,
    Attack::ForgedFlood,
    Attack::Hydra,
    Attack::DeviceScan,
];

impl Attack {
    const fn title(self) -> &'static str {
        match self {
            Self::NmapT4 => "nmap -sS -T4",
            Self::NmapT5 => "nmap -sS -T5",
            Self::SynScan => "SYNs to one port after the other, 1,000 a second, no answer awaited",
            Self::SynFlood => "hping3, SYN flood of one port, 10,000 a second",
            Self::ForgedFlood => "the same from 131,072 forged addresses: the service is limited",
            Self::Hydra => "hydra, passwords of SSH, 4 at a time",
            Self::DeviceScan => "nmap -sS -T4 from a device of the household: quarantine",
        }
    }

    fn start(self, host: &Host<'_>) -> Result<Running> {
        let from = host.namespace();
        match self {
            Self::NmapT4 => start_nmap(from, &format!("-sS -Pn -T4 -p 1-20000 {LAN_HOST}")),
            Self::NmapT5 => start_nmap(from, &format!("-sS -Pn -T5 -p 1-20000 {LAN_HOST}")),
            Self::SynScan => start_flood(from, Flood::Other("-S -p ++1"), LAN_HOST, FLOOD_PACKETS, 1_000),
            Self::SynFlood | Self::ForgedFlood => start_flood(from, Flood::Syn(80), LAN_HOST, FLOOD_PACKETS, 100),
            Self::Hydra => start_hydra(from, "ssh", LAN_HOST, 4, 2_000),
            Self::DeviceScan => start_nmap(from, &format!("-sS -Pn -T4 -p 1-20000 {}", INTERNET.join(" "))),
        }
    }

    /// The port that it comes in by.
    const fn port(self) -> &'static str {
        if matches!(self, Self::DeviceScan) { "port0" } else { "port1" }
    }

    /// Whether the frame is of the attack.
    fn sends(self, host: &Host<'_>, frame: &[u8]) -> bool {
        let source = frame.get(26..30).filter(|_| frame.get(12..14) == Some(&[8, 0])).unwrap_or_default();
        match self {
            Self::ForgedFlood => source.starts_with(&FORGED) || source.starts_with(&FORGED_TOO),
            _ => source == host.address(),
        }
    }

    /// Whether the element stops it.
    fn is_stopped_by(self, host: &Host<'_>, element: &Element) -> bool {
        match self {
            Self::ForgedFlood => element.set == "limit4",
            Self::DeviceScan => element.set == "quarantine",
            _ => element.set.starts_with("deny") && element.key == host.address(),
        }
    }
}

/// Who attacks.
enum Host<'a> {
    Outsider(Outsider),
    Forger(Outsider, &'a Network),
    Device(Device, [u8; 4]),
}

impl<'a> Host<'a> {
    fn new(network: &'a Network, attack: Attack, number: u8) -> Result<Self> {
        Ok(match attack {
            Attack::DeviceScan => {
                let number = FIRST_DEVICE + number;
                Self::Device(network.device(number)?, [198, 51, 100, number])
            }
            Attack::ForgedFlood => Self::Forger(network.outsider(FIRST_OUTSIDER + number)?, network),
            _ => Self::Outsider(network.outsider(FIRST_OUTSIDER + number)?),
        })
    }

    fn namespace(&self) -> &lab::namespace::Namespace {
        match self {
            Self::Outsider(outsider) | Self::Forger(outsider, _) => &outsider.namespace,
            Self::Device(device, _) => &device.namespace,
        }
    }

    fn address(&self) -> [u8; 4] {
        match self {
            Self::Device(_, address) => *address,
            Self::Outsider(outsider) | Self::Forger(outsider, _) => {
                outsider.address().parse::<std::net::Ipv4Addr>().map_or([0; 4], |address| address.octets())
            }
        }
    }

    fn forge(&self) -> Result<Option<Forged<'_>>> {
        match self {
            Self::Forger(outsider, network) => Ok(Some(forge_sources(network, &outsider.namespace)?)),
            Self::Outsider(_) | Self::Device(..) => Ok(None),
        }
    }
}

/// Measures all kinds so often each; the table.
///
/// # Errors
/// The laboratory fails, or an attack is not stopped.
pub fn run(times: u8) -> Result<String> {
    let network = Network::with_switch()?;
    let _servers = [services::nginx(&network.lan)?, services::sshd(&network.lan)?, services::nginx(&network.wan)?];
    let elements = Elements::listen(&network.r#box)?;
    let mut text = format!(
        "{:<76}{:>10}{:>10}{:>10}\n",
        format!("From the first packet on the port to the block, {times} times each"),
        "p50",
        "p95",
        "least"
    );
    let mut number = 0;
    for attack in ALL {
        let mut took = Vec::new();
        for _ in 0..times {
            eprintln!("{}", attack.title());
            took.push(once(&network, &elements, attack, number).with_context(|| attack.title())?);
            number += 1;
        }
        let figures = [0.5, 0.95, 0.0].map(|share| time(percentile(&took, share)));
        text += &format!("  {:<74}{:>10}{:>10}{:>10}\n", attack.title(), figures[0], figures[1], figures[2]);
    }
    Ok(text)
}

/// How long one attack goes on, in microseconds.
fn once(network: &Network, elements: &Elements, attack: Attack, number: u8) -> Result<f64> {
    let config = Config { selftest_at_start: false, state: "attacks", ..Config::default() };
    let mut daemon = Daemon::start(network, &config)?;
    let host = Host::new(network, attack, number)?;
    let _forged = host.forge()?;
    let mut frames = FirstFrames::record(&network.r#box, attack.port())?;
    elements.forget();
    let running = attack.start(&host)?;
    let stopped = elements.wait_for(PATIENCE, |element| attack.is_stopped_by(&host, element));
    let stopped = stopped.map_err(|error| running.complaint(&error.to_string()))?;
    drop(running);
    let first = frames.time_of(|frame| attack.sends(&host, frame))?;
    daemon.stop()?;
    forget_state(&daemon, &config);
    Ok(micros(stopped.time.since(first)))
}
