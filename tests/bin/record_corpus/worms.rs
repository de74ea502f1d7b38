//! What worms of devices do: they look for telnet and the like at random addresses, and log in where they find it.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use lab::attacks::{run_tool, start_hydra};
use lab::namespace::Namespace;
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
    let inside = |name: &str, act: fn(&Scene) -> Result<()>| Scenario::attack("scan", "worm", name, INSIDE, "", act);
    let outside =
        |name: &str, act: fn(&Scene) -> Result<()>| Scenario::attack("scan", "worm-inbound", name, ATTACKER, "", act);
    vec![
        inside("worm_telnet_160_per_second", |s| spread(s, 480, 40, 250)),
        inside("worm_telnet_30_per_second", |s| spread(s, 240, 12, 300)),
        inside("worm_telnet_5_per_second", |s| spread(s, 80, 4, 600)),
        inside("worm_rand_dest_23", |s| {
            run_tool(s.lan(), "hping3 -n -q -I lan0 -S -p 23 -c 1500 -i u4000 --rand-dest 198.18.x.x", LIMIT)
        }),
        inside("worm_rand_dest_8080", |s| {
            run_tool(s.lan(), "hping3 -n -q -I lan0 -S -p 8080 -c 300 -i u50000 --rand-dest 198.18.x.x", LIMIT)
        }),
        inside("worm_finds_and_guesses", finds),
        inside("worm_tr069", |s| {
            run_tool(
                s.lan(),
                "nmap -n -sS -Pn -T4 --max-retries 0 --max-rate 120 -p 7547,5555,37215 --randomize-hosts 203.0.113.0/24",
                LIMIT,
            )
        }),
        outside("worm_inbound_telnet", |s| {
            let line = "nmap -n -sS -Pn --max-retries 0 --max-rate 100 -p 23,2323 --randomize-hosts 198.51.100.8-220";
            run_tool(s.attacker(), line, LIMIT)
        }),
        outside("worm_inbound_connects", |s| {
            let mut random = s.random();
            let targets: Vec<SocketAddr> = (0..200).map(|_| inbound(&mut random)).collect();
            visit_many(s.attacker(), &targets, visit(20, 150), &mut random).map(|_| ())
        }),
        outside("worm_inbound_slow", |s| {
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
    guess(scene.lan(), INTERNET[0])
}

fn guess(from: &Namespace, target: &str) -> Result<()> {
    start_hydra(from, "telnet", target, 2, 12)?.finish(Duration::from_secs(8));
    Ok(())
}
