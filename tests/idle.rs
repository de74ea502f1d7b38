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
/// How often these threads may wake up in a second: twice as often as ARCHITECTURE.md says, and a little for what else happens.
const WAKE_UPS_PER_S: [(&str, f64); 3] = [("packets", 21.0), ("sluice", 9.0), ("control", 4.0)];
/// The same of any other thread, which waits for something.
const OTHERS_WAKE_UPS_PER_S: f64 = 3.0;
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

/// Watches the daemon for a while, prints what it did, and asserts that no thread woke up more often than it may.
fn assert_sleeps(what: &str, daemon: &Daemon<'_>) {
    let (before, watch) = (done(daemon), Stopwatch::start());
    sleep(WATCHED);
    let (after, seconds) = (done(daemon), watch.elapsed().as_secs_f64());
    let (mut wake_ups, mut percent, mut restless) = (0.0, 0.0, Vec::new());
    for (name, now) in &after {
        let past = before.get(name).cloned().unwrap_or_default();
        let woke = now.wake_ups.saturating_sub(past.wake_ups) as f64 / seconds;
        let took = now.on_processor_ns.saturating_sub(past.on_processor_ns) as f64 / seconds / 1e7;
        println!("{what}: {name:<12} {woke:>6.1} wake-ups/s {took:>7.3} % of a processor");
        wake_ups += woke;
        percent += took;
        let most =
            WAKE_UPS_PER_S.iter().find(|(thread, _)| thread == name).map_or(OTHERS_WAKE_UPS_PER_S, |(_, most)| *most);
        if woke > most {
            restless.push(format!("{name}: {woke:.1} wake-ups a second, more than {most}"));
        }
    }
    println!("{what}: in all        {wake_ups:>6.1} wake-ups/s {percent:>7.3} % of a processor");
    assert!(restless.is_empty(), "{what}: {restless:?}");
}

/// Waits until the thread has not woken up for two seconds.
fn wait_until_sleeps(thread: &str, daemon: &Daemon<'_>) {
    let wake_ups = || done(daemon).get(thread).map(|done| done.wake_ups);
    wait_until(&format!("the thread {thread} sleeps"), PATIENCE, || {
        let before = wake_ups();
        sleep(Duration::from_secs(2));
        wake_ups() == before
    })
    .unwrap();
}

#[test]
fn the_daemon_sleeps_while_nothing_happens_whatever_is_blocked() {
    let network = Network::new().unwrap();
    let daemon = Daemon::start(&network, &Config::default()).unwrap();
    // It hears of each of its own rules once.
    wait_until_sleeps("table watch", &daemon);
    assert_sleeps("nothing blocked", &daemon);

    daemon.block_many(BLOCKS, "a test").unwrap();
    // Until the disk has them all.
    wait_until_sleeps("store", &daemon);
    assert_sleeps("10,000 blocked", &daemon);
}
