//! What worms of devices do: they look for telnet and the like at random addresses, and log in where they find it.
//!
//! By a program of the laboratory, and by scanners set to do the same: these are kinds of their own, so that a tool is never judged by
//! a model that learnt from it.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use lab::attacks::run_tool;
use lab::network::INTERNET;
use lab::random::Random;
use lab::services;
use lab::talk::{Visit, visit_many};

use crate::scenario::{ATTACKER, INSIDE, Scenario};
use crate::stage::Scene;

/// How long one program may take.
const LIMIT: Duration = Duration::from_secs(20);

/// All of them.
pub fn scenarios() -> Vec<Scenario> {
    let inside = |kind: &'static str, name: &str, act: fn(&Scene) -> Result<()>| {
        Scenario::attack("scan", kind, name, INSIDE, "", act)
    };
    let outside = |kind: &'static str, name: &str, act: fn(&Scene) -> Result<()>| {
        Scenario::attack("scan", kind, name, ATTACKER, "", act)
    };
    vec![
        inside("worm", "worm_telnet_160_per_second", |s| spread(s, 480, 40, 250)),
        inside("worm", "worm_telnet_30_per_second", |s| spread(s, 240, 12, 300)),
        inside("worm", "worm_telnet_5_per_second", |s| spread(s, 80, 4, 600)),
        inside("hping3-worm", "worm_rand_dest_23", |s| {
            run_tool(s.lan(), "hping3 -n -q -I lan0 -S -p 23 -c 1500 -i u4000 --rand-dest 198.18.x.x", LIMIT)
        }),
        inside("hping3-worm", "worm_rand_dest_8080", |s| {
            run_tool(s.lan(), "hping3 -n -q -I lan0 -S -p 8080 -c 300 -i u50000 --rand-dest 198.18.x.x", LIMIT)
        }),
        inside("worm", "worm_finds_and_guesses", finds),
        inside("nmap-worm", "worm_tr069", |s| {
            run_tool(
                s.lan(),
                "nmap -n -sS -Pn -T4 --max-retries 0 --max-rate 120 -p 7547,5555,37215 --randomize-hosts 203.0.113.0/24",
                LIMIT,
            )
        }),
        outside("nmap-worm-inbound", "worm_inbound_telnet", |s| {
            let line = "nmap -n -sS -Pn --max-retries 0 --max-rate 100 -p 23,2323 --randomize-hosts 198.51.100.8-220";
            run_tool(s.attacker(), line, LIMIT)
        }),
        outside("worm-inbound", "worm_inbound_connects", |s| {
            let mut random = s.random();
            let targets: Vec<SocketAddr> = (0..200).map(|_| inbound(&mut random)).collect();
            visit_many(s.attacker(), &targets, visit(20, 150), &mut random).map(|_| ())
        }),
        outside("nmap-worm-inbound", "worm_inbound_slow", |s| {
            let line = "nmap -n -sS -Pn --max-retries 0 --max-rate 8 -p 23,8080 --randomize-hosts 198.51.100.10-17 198.51.100.128-180";
            run_tool(s.attacker(), line, LIMIT)
        }),
    ]
}

fn visit(parallel: usize, spacing_ms: u64) -> Visit {
    Visit {
        parallel,
        patience: Duration::from_secs(1),
        says_bytes: 12,
        times: 3,
        pause: Duration::from_millis(200),
        spacing: Duration::from_millis(spacing_ms),
    }
}

/// Nine in ten go to port 23, as with Mirai; most addresses have no host, some have one without telnet.
fn outbound(random: &mut Random) -> SocketAddr {
    let port = if random.below(10) == 0 { 2323 } else { 23 };
    if random.below(12) == 0 {
        return SocketAddr::from(([203, 0, 113, random.between(10, 13) as u8], port));
    }
    SocketAddr::from(([198, 18, random.below(256) as u8, random.between(1, 254) as u8], port))
}

fn inbound(random: &mut Random) -> SocketAddr {
    let port = if random.below(10) == 0 { 2323 } else { 23 };
    SocketAddr::from(([198, 51, 100, random.between(8, 240) as u8], port))
}

fn spread(scene: &Scene, count: usize, parallel: usize, spacing_ms: u64) -> Result<()> {
    let mut random = scene.random();
    let targets: Vec<SocketAddr> = (0..count).map(|_| outbound(&mut random)).collect();
    visit_many(scene.lan(), &targets, visit(parallel, spacing_ms), &mut random).map(|_| ())
}

/// It scans, finds a telnet server, and guesses there.
fn finds(scene: &Scene) -> Result<()> {
    let _telnet = services::telnetd(scene.wan())?;
    spread(scene, 120, 20, 200)?;
    let server: SocketAddr = format!("{}:23", INTERNET[0]).parse()?;
    let guesses = Visit { times: 4, pause: Duration::from_millis(900), ..visit(2, 150) };
    visit_many(scene.lan(), &[server; 12], guesses, &mut scene.random()).map(|_| ())
}
