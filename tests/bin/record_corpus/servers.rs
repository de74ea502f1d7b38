//! Programs that hold lists of servers, of which many do not answer: a chat that looks for a way in, a game or a tunnel that looks for
//! the nearest server, a program that tests whether servers speak QUIC, a call that tries all addresses of the other side.

use std::net::SocketAddr;
use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;
use lab::network::INTERNET;
use lab::process::run_any;
use lab::talk::{Answering, Visit, call_many, sockets_from, visit_many};

use crate::scenario::Scenario;
use crate::stage::Scene;

/// How long one program may take.
const LIMIT: Duration = Duration::from_secs(40);
/// The first of the servers that answer, and the first of those that do not.
const LIVE: &str = "203.0.113.100";
const GONE: &str = "203.0.113.150";

/// All of them.
pub fn scenarios() -> Vec<Scenario> {
    let servers = |name: &str, act: fn(&Scene) -> Result<()>| Scenario::benign("servers", name, act);
    vec![
        servers("servers_chat", |s| chat(s, 10, 8, 3)),
        servers("servers_chat_mostly_gone", |s| chat(s, 6, 14, 3)),
        servers("servers_chat_impatient", |s| chat(s, 12, 12, 6)),
        servers("servers_nearest_tcp", |s| nearest(s, 24, 12, &[443])),
        servers("servers_nearest_one_by_one", |s| nearest(s, 4, 30, &[443, 1_194])),
        servers("servers_nearest_udp", nearest_udp),
        servers("servers_quic", |s| quic(s, &[443, 4_433, 4_434], 8, 6)),
        servers("servers_quic_one_port", |s| quic(s, &[443], 14, 10)),
        servers("servers_call_candidates", candidates),
    ]
}

/// Servers that answer and servers that are gone, at these ports, in the order of a draw. Over UDP those that are there and do not
/// listen refuse.
fn list(scene: &Scene, live: u32, gone: u32, ports: &[u16]) -> Result<Vec<SocketAddr>> {
    let mut all = Vec::new();
    for &port in ports {
        all.extend(sockets_from(LIVE, live, port)?);
        all.extend(sockets_from(GONE, gone, port)?);
    }
    for one in sockets_from(LIVE, live, 0)? {
        scene.wan().ip(&format!("addr replace {}/32 dev lo", one.ip()))?;
    }
    let mut random = scene.random();
    let mut drawn = Vec::new();
    while !all.is_empty() {
        drawn.push(all.swap_remove(random.below(all.len() as u64) as usize));
    }
    Ok(drawn)
}

/// A chat tries the front ends it knows, each at the ports of the web, several at a time; it speaks on those that answer, and does so
/// again when the network changes.
fn chat(scene: &Scene, live: u32, gone: u32, parallel: usize) -> Result<()> {
    let _listening = scene.wan().start("socat TCP4-LISTEN:8080,fork,reuseaddr,backlog=64 EXEC:cat")?;
    let visit = Visit {
        parallel,
        patience: Duration::from_secs(3),
        says_bytes: 420,
        times: 2,
        pause: Duration::from_millis(150),
        spacing: Duration::from_millis(120),
    };
    for _ in 0..3 {
        visit_many(scene.lan(), &list(scene, live, gone, &[80, 443, 8_080])?, visit, &mut scene.random())?;
        sleep(Duration::from_secs(2));
    }
    Ok(())
}

/// A program connects to each of its servers to see which is the nearest, and says nothing.
fn nearest(scene: &Scene, live: u32, parallel: usize, ports: &[u16]) -> Result<()> {
    let visit = Visit {
        parallel,
        patience: Duration::from_secs(1),
        says_bytes: 0,
        times: 0,
        pause: Duration::ZERO,
        spacing: Duration::from_millis(40),
    };
    for _ in 0..2 {
        visit_many(scene.lan(), &list(scene, live, 12, ports)?, visit, &mut scene.random())?;
        sleep(Duration::from_secs(3));
    }
    Ok(())
}

/// The same with datagrams, and with pings to the same servers.
fn nearest_udp(scene: &Scene) -> Result<()> {
    let targets = list(scene, 16, 14, &[51_820])?;
    let _answering = Answering::start(scene.wan(), &sockets_from(LIVE, 16, 51_820)?, (92, 92), scene.random().bits())?;
    call_many(scene.lan(), &targets, greeting(148, 8, Duration::from_secs(2)), &mut scene.random())?;
    for target in targets.iter().take(12) {
        run_any(&mut scene.lan().words(&format!("ping -n -q -c 2 -i 0.2 -W 1 {}", target.ip())), LIMIT)?;
    }
    Ok(())
}

/// First packets of QUIC to several servers, of which some speak it, some refuse and some are silent.
fn quic(scene: &Scene, ports: &[u16], live: u32, gone: u32) -> Result<()> {
    let targets = list(scene, live, gone, ports)?;
    let speaking = sockets_from(LIVE, live / 2, 443)?;
    let _answering = Answering::start(scene.wan(), &speaking, (150, 1_200), scene.random().bits())?;
    for _ in 0..2 {
        call_many(scene.lan(), &targets, greeting(1_200, 3, Duration::from_secs(3)), &mut scene.random())?;
    }
    Ok(())
}

/// A call between two behind address translation tries every pair of addresses (RFC 8445); most lead nowhere.
fn candidates(scene: &Scene) -> Result<()> {
    let mut targets = sockets_from(INTERNET[0], 4, 3_478)?;
    for (number, gone) in sockets_from(GONE, 18, 0)?.into_iter().enumerate() {
        targets.push(SocketAddr::new(gone.ip(), 50_000 + 37 * number as u16));
    }
    let _answering =
        Answering::start(scene.wan(), &sockets_from(INTERNET[0], 4, 3_478)?, (60, 108), scene.random().bits())?;
    for _ in 0..3 {
        call_many(scene.lan(), &targets, greeting(108, 8, Duration::from_secs(2)), &mut scene.random())?;
    }
    Ok(())
}

/// So many at a time, each called for so long.
fn greeting(says_bytes: u64, parallel: usize, patience: Duration) -> Visit {
    Visit {
        parallel,
        patience,
        says_bytes,
        times: 6,
        pause: Duration::from_millis(300),
        spacing: Duration::from_millis(60),
    }
}
