//! What the daemon takes: memory and its share of a processor, idle, under load, and in a flood.

use std::net::IpAddr;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};
use lab::network::{INTERNET, LAN_HOST, Network};
use lab::packets::{ENCAPSULATIONS, SYN, tcp};
use lab::services;

use crate::between::Between;
use crate::forwarding::{blast, short_packets, stream};
use crate::usage::{Usage, resident_mib};

/// How long it idles, after a moment to come to rest.
const IDLE: Duration = Duration::from_secs(5);
const REST: Duration = Duration::from_secs(2);
/// The flood comes from so many addresses, from 198.18.0.0 on (RFC 2544).
const FORGED: u32 = 131_072;
/// How many frames are given to the kernel at once.
const AT_ONCE: usize = 64;

/// Measures; the table.
///
/// # Errors
/// The laboratory fails.
pub fn run(network: &Network) -> Result<String> {
    let _server = services::iperf3(&network.wan, INTERNET[0])?;
    let standing = Between::Sluice.put(network, None)?;
    let pid = standing.pid().context("the daemon does not run")?;
    sleep(REST);
    let flood = flood()?;
    let mut text = format!("{:<40}{:>16}{:>13}{:>12}\n", "The daemon", "passes", "memory", "processor");
    type Load<'a> = Box<dyn Fn() -> Result<String> + 'a>;
    let idle = || {
        sleep(IDLE);
        Ok(String::from("-"))
    };
    let rate = |rate: f64| format!("{rate:.0} /s");
    let loads: [(&str, Load<'_>); 5] = [
        ("idle", Box::new(idle)),
        ("TCP at a line's 940 Mbit/s", Box::new(|| Ok(crate::figures::bit_rate(stream(&network.lan, "-b 940M")?)))),
        ("TCP as fast as it goes", Box::new(|| Ok(crate::figures::bit_rate(stream(&network.lan, "")?)))),
        ("64-byte packets as fast as they go", Box::new(|| Ok(rate(short_packets(network)?.per_s())))),
        (
            "SYN flood from 131,072 forged addresses",
            Box::new(|| Ok(rate(blast(network, &network.wan, "wan0", |sent| batch(&flood, sent))?.per_s()))),
        ),
    ];
    for (title, load) in loads {
        eprintln!("the daemon: {title}");
        let usage = Usage::begin(pid)?;
        let passes = load()?;
        let (share, mib) = (usage.share()? * 100.0, resident_mib(pid)?);
        text += &format!("  {title:<38}{passes:>16}{mib:>9.1} MiB{share:>10.1} %\n");
    }
    Ok(text)
}

/// SYNs to the web server, each from another address.
fn flood() -> Result<Vec<Vec<u8>>> {
    let plain = ENCAPSULATIONS.first().context("no encapsulation")?;
    let victim: IpAddr = LAN_HOST.parse()?;
    let first = u32::from_be_bytes([198, 18, 0, 0]);
    let frame =
        |number: u32| plain.frame(IpAddr::from((first + number).to_be_bytes()), victim, 1, &tcp(1_024, 80, SYN));
    Ok((0..FORGED).map(frame).collect())
}

/// The next frames, over and over.
fn batch(frames: &[Vec<u8>], sent: u64) -> &[Vec<u8>] {
    let batches = (frames.len() / AT_ONCE).max(1) as u64;
    let number = usize::try_from(sent / AT_ONCE as u64 % batches).unwrap_or_default();
    frames.get(number * AT_ONCE..(number + 1) * AT_ONCE).unwrap_or(frames)
}
