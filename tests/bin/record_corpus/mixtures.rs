//! Several things at once: a busy household without an attack, and attacks in the middle of it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;
use lab::attacks::{Flood, flood, nmap, start_hydra};
use lab::benign::{PingStream, fetch, load_page, look_up_names, speed_test, ssh_by_key};
use lab::network::{GATEWAY, INTERNET, LAN_HOST, NAME_SERVER, SECOND_LAN_HOST};
use lab::recording::Label;

use crate::stage::{Scene, Stage, benign};

/// How long one program may take.
const LIMIT: Duration = Duration::from_secs(20);

/// Rate of the line.
const LINE_KBIT_PER_S: u32 = 40_000;

type Attack = fn(&Scene<'_>) -> Result<()>;

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

/// All of them.
pub fn record(stage: &mut Stage) {
    if let Err(error) = stage.network.limit_rate(LINE_KBIT_PER_S) {
        eprintln!("no limited line: {error:#}");
    }
    for name in ["household_1", "household_2"] {
        stage.record_headers(benign("household", name), |scene| {
            during(scene, || {
                sleep(Duration::from_secs(8));
                Ok(())
            })
        });
    }
    let attacker = stage.attackers[0].address();
    for (class, name, attack) in ATTACKS {
        let label = Label {
            class,
            kind: &format!("mixed-{class}"),
            name,
            attacker: &attacker,
            victim: SECOND_LAN_HOST,
            granularity: "pair",
        };
        stage.record_headers(label, |scene| during(scene, || attack(scene)));
    }
    stage.network.unlimit_rate();
}

/// Runs something while the household goes on with its day.
fn during(scene: &Scene<'_>, act: impl FnOnce() -> Result<()>) -> Result<()> {
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
fn household(scene: &Scene<'_>) -> Result<()> {
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

fn scan(scene: &Scene<'_>, options: &str) -> Result<()> {
    nmap(&scene.attackers[0].namespace, &format!("{options} {SECOND_LAN_HOST}"), LIMIT).map(|_| ())
}

fn send(scene: &Scene<'_>, what: Flood<'_>, count: u32, interval_us: u32) -> Result<()> {
    flood(&scene.attackers[0].namespace, what, SECOND_LAN_HOST, count, interval_us, LIMIT).map(|_| ())
}

fn guess(scene: &Scene<'_>, tasks: u32) -> Result<()> {
    start_hydra(&scene.attackers[0].namespace, "ssh", SECOND_LAN_HOST, tasks, 60)?.finish(LIMIT);
    Ok(())
}
