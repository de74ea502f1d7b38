//! A family evening: for minutes, many of the things that people and devices do, at once.

use std::thread::{scope, sleep};
use std::time::Duration;

use anyhow::Result;
use lab::benign::{PingStream, fetch, load_page, look_up_names, ssh_by_key};
use lab::network::{GATEWAY, INTERNET, LAN_HOST, NAME_SERVER};
use lab::process::run_any;
use lab::random::Random;
use lab::services;
use lab::talk::{Answering, Pace, Party, Visit, ask_many, converse, sockets_from, visit_many};
use sluice::clock::Stopwatch;

use crate::scenario::Scenario;
use crate::stage::Scene;

/// How long one program may take.
const LIMIT: Duration = Duration::from_secs(60);

/// What one member of the family, or one device, does once.
type Habit = fn(&Scene, &mut Random) -> Result<()>;

/// Those who take part, each in a loop: how long they pause at most, in milliseconds, and what they do.
const FAMILY: &[(u64, Habit)] = &[
    (6_000, |s, r| load_page(s.lan(), INTERNET[r.below(4) as usize], r.between(4, 30) as u32, LIMIT)),
    (1_500, |s, _| fetch(s.lan(), INTERNET[1], "photo.jpg", LIMIT).map(|_| ())),
    (3_000, |s, r| fetch(s.lan(), INTERNET[r.below(4) as usize], "api.json", LIMIT).map(|_| ())),
    (9_000, |s, r| look_up_names(s.lan(), NAME_SERVER, r.between(2, 20) as u32)),
    (12_000, |s, _| ssh_by_key(s.lan(), INTERNET[1], "uptime", LIMIT).map(|_| ())),
    (20_000, |s, _| fetch(s.lan(), INTERNET[3], "package.deb", LIMIT).map(|_| ())),
    (9_000, |s, r| {
        let line = format!("curl -s -m 3 --connect-timeout 2 -o /dev/null http://203.0.113.{}/", r.between(200, 204));
        run_any(&mut s.lan().words(&line), LIMIT).map(|_| ())
    }),
    (8_000, |s, r| {
        let line = format!("mosquitto_pub -h {} -A 198.51.100.15 -t home -m {}", INTERNET[2], r.letters(12));
        run_any(&mut s.lan().words(&line), LIMIT).map(|_| ())
    }),
    (15_000, |s, _| load_page(&s.visitors[0].namespace, LAN_HOST, 6, LIMIT)),
    (25_000, |s, _| ssh_by_key(&s.visitors[1].namespace, LAN_HOST, "id", LIMIT).map(|_| ())),
    (14_000, |s, r| {
        let visit = Visit {
            parallel: 6,
            patience: Duration::from_secs(3),
            says_bytes: 600,
            times: 4,
            pause: Duration::from_millis(200),
            spacing: Duration::from_millis(300),
        };
        let mut peers = sockets_from("203.0.113.150", 20, 6881)?;
        peers.extend(sockets_from(INTERNET[0], 4, 80)?);
        visit_many(s.lan(), &peers, visit, r).map(|_| ())
    }),
    (5_000, |s, r| {
        let nodes = [sockets_from("203.0.113.100", 10, 6891)?, sockets_from("203.0.113.160", 25, 6891)?].concat();
        let asker = Party { namespace: s.lan(), socket: "198.51.100.16:51413".parse()? };
        ask_many(asker, &nodes, 1, Pace::of(8, 90, 140), r).map(|_| ())
    }),
    (4_000, |s, r| {
        let caller = Party { namespace: s.lan(), socket: "198.51.100.14:27005".parse()? };
        let called = Party { namespace: s.wan(), socket: "203.0.113.13:27015".parse()? };
        converse(caller, called, [Pace::of(30, 30, 90), Pace::of(20, 60, 500)], Duration::from_secs(20), r)
    }),
    (10_000, |s, r| {
        let caller = Party { namespace: s.lan(), socket: "198.51.100.13:16384".parse()? };
        let called = Party { namespace: s.wan(), socket: "203.0.113.12:16390".parse()? };
        converse(caller, called, [Pace::of(50, 172, 172); 2], Duration::from_secs(15), r)
    }),
    (6_000, |s, r| {
        let asker = Party { namespace: s.lan(), socket: "198.51.100.12:0".parse()? };
        ask_many(asker, &sockets_from("203.0.113.101", 2, 6891)?, 1, Pace::of(4, 48, 48), r).map(|_| ())
    }),
];

/// All of them.
pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::benign("evening", "evening_4_minutes", |s| evening(s, 240)).headers(),
        Scenario::benign("evening", "evening_2_minutes", |s| evening(s, 120)).headers(),
        Scenario::benign("evening", "evening_1_minute", |s| evening(s, 60)).headers(),
    ]
}

/// One of an hour, from which no model learns, though it learns the same habits from the shorter ones.
pub fn an_hour() -> Scenario {
    Scenario::benign("evening", "evening_60_minutes", |s| evening(s, 3_600)).headers()
}

fn evening(scene: &Scene, seconds: u64) -> Result<()> {
    for node in sockets_from("203.0.113.100", 10, 0)? {
        scene.wan().ip(&format!("addr replace {}/32 dev lo", node.ip()))?;
    }
    let _broker = services::mosquitto(scene.wan(), INTERNET[2], true)?;
    let _nodes = Answering::start(scene.wan(), &sockets_from("203.0.113.100", 10, 6891)?, (48, 320), 1)?;
    let pings = PingStream::start(scene.lan(), GATEWAY, 1_000)?;
    scope(|threads| {
        let members: Vec<_> = FAMILY
            .iter()
            .map(|&(pause_ms, habit)| threads.spawn(move || live(scene, pause_ms, habit, seconds)))
            .collect();
        members.into_iter().try_for_each(|member| member.join().unwrap_or(Ok(())))
    })?;
    pings.stop().map(|_| ())
}

fn live(scene: &Scene, pause_ms: u64, habit: Habit, seconds: u64) -> Result<()> {
    let (watch, mut random) = (Stopwatch::start(), scene.random());
    while watch.elapsed().as_secs() < seconds {
        sleep(Duration::from_millis(random.below(pause_ms)));
        habit(scene, &mut random)?;
    }
    Ok(())
}
