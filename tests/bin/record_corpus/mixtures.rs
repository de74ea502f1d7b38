//! Several things at once: a busy household without an attack, and attacks in the middle of it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;
use lab::attacks::{Flood, flood, nmap, run_tool, start_hydra};
use lab::benign::{PingStream, fetch, load_page, look_up_names, speed_test, ssh_by_key};
use lab::network::{GATEWAY, INTERNET, LAN_HOST, NAME_SERVER, SECOND_LAN_HOST};

use crate::scenario::{ATTACKER, INSIDE, Scenario};
use crate::stage::Scene;

/// How long one program may take.
const LIMIT: Duration = Duration::from_secs(20);

/// How long somebody guesses: hydra with one connection at a time waits ten seconds after each that the server closes.
const GUESSING: Duration = Duration::from_secs(60);

/// What the attacker does.
type Attack = fn(&Scene) -> Result<()>;

/// Attacks by the first attacker on [`SECOND_LAN_HOST`]: class, name, attack. The rest of these captures is benign.
const ATTACKS: &[(&str, &str, Attack)] = &[
    ("scan", "mixed_syn_scan", |s| scan(s, "-sS -T4")),
    ("scan", "mixed_connect_scan", |s| scan(s, "-sT -T3 -F")),
    ("scan", "mixed_slow_scan", |s| scan(s, "-sS -Pn --max-rate 15 --top-ports 120")),
    ("flood_syn", "mixed_syn_flood", |s| send(s, Flood::Syn(80), 5_000, 400)),
    ("flood_udp", "mixed_udp_flood", |s| send(s, Flood::Udp(7000, 300), 4_000, 400)),
    ("flood_other", "mixed_icmp_flood", |s| send(s, Flood::Icmp(200), 4_000, 400)),
    ("bruteforce", "mixed_ssh_hydra_4", |s| guess(s, 4)),
    ("bruteforce", "mixed_ssh_hydra_1", |s| guess(s, 1)),
];

/// Attacks by a device of the household on [`INTERNET`]'s last host: class, name, attack.
const FROM_INSIDE: &[(&str, &str, Attack)] = &[
    ("scan", "mixed_outbound_scan", |s| run_tool(s.lan(), &format!("nmap -n -sS -Pn -T4 -F {VICTIM}"), LIMIT)),
    ("flood_udp", "mixed_outbound_udp", |s| {
        flood(s.lan(), Flood::Udp(7000, 300), VICTIM, 4_000, 400, LIMIT).map(|_| ())
    }),
    ("bruteforce", "mixed_outbound_hydra", |s| {
        start_hydra(s.lan(), "ssh", VICTIM, 4, 60)?.finish(LIMIT);
        Ok(())
    }),
];

/// Whom the household does not visit otherwise.
const VICTIM: &str = INTERNET[2];

/// All of them.
pub fn scenarios() -> Vec<Scenario> {
    let quiet = ["household_1", "household_2", "household_3"].map(|name| {
        Scenario::benign("household", name, |s| {
            during(s, || {
                sleep(Duration::from_secs(10));
                Ok(())
            })
        })
    });
    let outside = ATTACKS.iter().map(|&(class, name, attack)| {
        Scenario::attack(class, mixed(class), name, ATTACKER, SECOND_LAN_HOST, move |s| during(s, || attack(s)))
    });
    let inside = FROM_INSIDE.iter().map(|&(class, name, attack)| {
        Scenario::attack(class, mixed(class), name, INSIDE, VICTIM, move |s| during(s, || attack(s)))
    });
    quiet.into_iter().chain(outside.chain(inside).map(Scenario::pair)).map(Scenario::headers).collect()
}

/// The kind of the mixtures with a class.
fn mixed(class: &str) -> &'static str {
    match class {
        "scan" => "mixed-scan",
        "bruteforce" => "mixed-bruteforce",
        "flood_syn" => "mixed-flood_syn",
        "flood_udp" => "mixed-flood_udp",
        _ => "mixed-flood_other",
    }
}

/// Runs something while the household goes on with its day.
fn during(scene: &Scene, act: impl FnOnce() -> Result<()>) -> Result<()> {
    let stop = AtomicBool::new(false);
    let pings = PingStream::start(&scene.network.lan, GATEWAY, 200)?;
    std::thread::scope(|scope| {
        let day = scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                household(scene)?;
            }
            Ok(())
        });
        sleep(Duration::from_millis(500));
        let done = act();
        stop.store(true, Ordering::Relaxed);
        let day = day.join().unwrap_or(Ok(()));
        done.and(day)
    })?;
    pings.stop().map(|_| ())
}

/// One round of what a household does.
fn household(scene: &Scene) -> Result<()> {
    let lan = &scene.network.lan;
    look_up_names(lan, NAME_SERVER, 12)?;
    load_page(lan, INTERNET[0], 8, LIMIT)?;
    fetch(lan, INTERNET[1], "api.json", LIMIT)?;
    ssh_by_key(lan, INTERNET[1], "uptime", LIMIT)?;
    load_page(&scene.visitors[0].namespace, LAN_HOST, 6, LIMIT)?;
    ssh_by_key(&scene.visitors[1].namespace, LAN_HOST, "id", LIMIT)?;
    speed_test(lan, INTERNET[1], 1, "-u -b 300k -l 172")?;
    fetch(lan, INTERNET[3], "photo.jpg", LIMIT).map(|_| ())
}

fn scan(scene: &Scene, options: &str) -> Result<()> {
    nmap(&scene.attackers[0].namespace, &format!("{options} {SECOND_LAN_HOST}"), LIMIT).map(|_| ())
}

fn send(scene: &Scene, what: Flood<'_>, count: u32, interval_us: u32) -> Result<()> {
    flood(&scene.attackers[0].namespace, what, SECOND_LAN_HOST, count, interval_us, LIMIT).map(|_| ())
}

fn guess(scene: &Scene, tasks: u32) -> Result<()> {
    start_hydra(&scene.attackers[0].namespace, "ssh", SECOND_LAN_HOST, tasks, 60)?.finish(GUESSING);
    Ok(())
}
