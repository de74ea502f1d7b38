//! What the daemon does while nothing happens: next to nothing. How often it wakes up is asserted; how much of a processor it
//! takes is printed, for that depends on the machine.

use std::collections::BTreeMap;
use std::fs;
use std::thread::sleep;
use std::time::Duration;

use lab::daemon::{Config, Daemon};
use lab::network::Network;
use lab::process::wait_until;
use sluice::clock::Stopwatch;

/// How long it is watched.
const WATCHED: Duration = Duration::from_secs(10);
/// How long something that must happen may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it may wake up in a second, all threads together. It does so some 20 times.
const WAKE_UPS_PER_S: u64 = 60;
/// Blocks that stand meanwhile.
const BLOCKS: u32 = 10_000;

/// What a thread has done so far.
#[derive(Clone, Debug, Default)]
struct Done {
    wake_ups: u64,
    on_processor_ns: u64,
}

/// What each thread of the daemon has done so far, by its name.
fn done(daemon: &Daemon<'_>) -> BTreeMap<String, Done> {
    let mut threads: BTreeMap<String, Done> = BTreeMap::new();
    let folder = format!("/proc/{}/task", daemon.pid().unwrap());
    for thread in fs::read_dir(folder).unwrap().flatten() {
        let read = |file: &str| fs::read_to_string(thread.path().join(file)).unwrap_or_default();
        let status = read("status");
        let slept = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        let entry = threads.entry(read("comm").trim().to_owned()).or_default();
        entry.wake_ups += slept.and_then(|number| number.trim().parse::<u64>().ok()).unwrap_or_default();
        entry.on_processor_ns += read("schedstat").split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0);
    }
    threads
}

/// Watches the daemon for a while, prints what it did, and asserts that it hardly woke up.
fn assert_sleeps(what: &str, daemon: &Daemon<'_>) {
    let (before, watch) = (done(daemon), Stopwatch::start());
    sleep(WATCHED);
    let (after, seconds) = (done(daemon), watch.elapsed().as_secs_f64());
    let (mut wake_ups, mut percent) = (0.0, 0.0);
    for (name, now) in &after {
        let past = before.get(name).cloned().unwrap_or_default();
        let woke = now.wake_ups.saturating_sub(past.wake_ups) as f64 / seconds;
        let took = now.on_processor_ns.saturating_sub(past.on_processor_ns) as f64 / seconds / 1e7;
        println!("{what}: {name:<12} {woke:>6.1} wake-ups/s {took:>7.3} % of a processor");
        wake_ups += woke;
        percent += took;
    }
    println!("{what}: in all        {wake_ups:>6.1} wake-ups/s {percent:>7.3} % of a processor");
    assert!(wake_ups < WAKE_UPS_PER_S as f64, "{what}: {wake_ups} wake-ups a second: {after:?}");
}

#[test]
fn the_daemon_sleeps_while_nothing_happens_whatever_is_blocked() {
    let network = Network::new().unwrap();
    let daemon = Daemon::start(&network, &Config::default()).unwrap();
    assert_sleeps("nothing blocked", &daemon);

    daemon.block_many(BLOCKS, "a test").unwrap();
    // Until the disk has them all.
    let is_busy = |before: &BTreeMap<String, Done>| {
        done(&daemon).get("store").map(|store| store.wake_ups) != before.get("store").map(|store| store.wake_ups)
    };
    wait_until("the store has written the blocks down", PATIENCE, || {
        let before = done(&daemon);
        sleep(Duration::from_secs(2));
        !is_busy(&before)
    })
    .unwrap();
    assert_sleeps("10,000 blocked", &daemon);
}
