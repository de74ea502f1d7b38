//! Nothing is lost: whatever is done to the daemon, frames pass, streams go on, and blocks stand.
//!
//! Time is looked at here, because a stall of a stream is a promise about time. A busy machine must not fail it: beside the stream
//! through the box runs one on the loopback interface, sent and received in the same way. A pause of over 100 ms counts where that one did not
//! pause at the same time (for over 30 ms).

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use lab::benign::PingStream;
use lab::cleanup::work_folder;
use lab::daemon::{Config, Daemon, sluice_program};
use lab::network::{GATEWAY, INTERNET, LAN_HOST, Network, Outsider};
use lab::process::wait_until;
use lab::stream::{Pause, Stream, stalls};
use nix::sys::signal::Signal;
use sluice::clock::Stopwatch;

/// How long something that must happen may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// No stream may stall for longer.
const LONGEST_STALL: Duration = Duration::from_millis(100);

/// What goes on while something is done to the daemon.
struct Traffic {
    pings: PingStream,
    through_the_box: Stream,
    beside: Stream,
}

impl Traffic {
    fn start(network: &Network) -> Self {
        let watch = Stopwatch::start();
        let server = format!("{}:5001", INTERNET[0]).parse().unwrap();
        let traffic = Self {
            pings: PingStream::start(&network.lan, GATEWAY, 10).unwrap(),
            through_the_box: Stream::start(&network.lan, &network.wan, server, watch).unwrap(),
            beside: Stream::start(&network.lan, &network.lan, "127.0.0.1:5002".parse().unwrap(), watch).unwrap(),
        };
        wait_until("pings are answered", PATIENCE, || traffic.pings.answers() > 20).unwrap();
        traffic
    }

    /// Ends it: nothing was lost.
    fn end(self, what: &str) {
        let (pauses, beside) = (self.through_the_box.stop().unwrap(), self.beside.stop().unwrap());
        let report = self.pings.stop().unwrap();
        let longest = |pauses: &[Pause]| pauses.iter().map(Pause::length).max().unwrap_or_default().as_millis();
        println!(
            "{what}: {} of {} pings answered; longest pause {} ms, beside the box {} ms (0: below 30)",
            report.received,
            report.sent,
            longest(&pauses),
            longest(&beside)
        );
        assert_eq!(report.received, report.sent, "{what}: pings were lost");
        assert_eq!(stalls(&pauses, &beside, LONGEST_STALL), [], "{what}: the stream stalled; beside it: {beside:?}");
    }
}

/// A copy of the program, where it can be replaced.
fn copy_of_the_program(network: &Network) -> PathBuf {
    let copy = work_folder().unwrap().join(format!("{}-sluice", network.r#box.name()));
    fs::copy(sluice_program().unwrap(), &copy).unwrap();
    copy
}

/// Puts another file in the place of the program, as an upgrade does.
fn upgrade(program: &Path, new: impl FnOnce(&Path)) {
    let beside = program.with_extension("new");
    new(&beside);
    fs::set_permissions(&beside, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(beside, program).unwrap();
}

fn copy_to(file: &Path) {
    fs::copy(sluice_program().unwrap(), file).unwrap();
}

fn block(daemon: &Daemon<'_>, offender: &Outsider) {
    let finished = daemon.command(&["block", &offender.address(), "--for", "10m"]).unwrap();
    assert!(finished.success(), "{}", finished.stderr);
    wait_until("the kernel blocks it", PATIENCE, || daemon.kernel_blocks(&offender.address())).unwrap();
}

fn starts(daemon: &Daemon<'_>) -> usize {
    daemon.log().matches("running in mode").count()
}

/// Does what has the program run anew, and waits until it does.
fn restarted(daemon: &Daemon<'_>, restart: impl FnOnce()) {
    let before = starts(daemon);
    restart();
    wait_until("it runs anew", PATIENCE, || starts(daemon) > before && daemon.status().is_ok())
        .unwrap_or_else(|error| panic!("{error}: {}", daemon.log()));
}

#[test]
fn neither_kills_nor_restarts_nor_upgrades_nor_reloads_lose_a_ping_or_stall_a_stream() {
    let network = Network::new().unwrap();
    let program = copy_of_the_program(&network);
    let mut daemon = Daemon::start_from(program.clone(), &network, &Config::default()).unwrap();
    let offender = network.outsider(66).unwrap();
    block(&daemon, &offender);
    let undisturbed = |what: &str, daemon: &mut Daemon<'_>, action: &dyn Fn(&mut Daemon<'_>)| {
        let traffic = Traffic::start(&network);
        action(daemon);
        sleep(Duration::from_millis(500));
        traffic.end(what);
        assert!(daemon.kernel_blocks(&offender.address()), "{what}: the block is gone");
    };
    undisturbed("kill -9 and start", &mut daemon, &|daemon| {
        daemon.kill();
        daemon.start_again().unwrap();
    });
    undisturbed("SIGTERM and start", &mut daemon, &|daemon| {
        daemon.stop().unwrap();
        daemon.start_again().unwrap();
    });
    undisturbed("SIGUSR2 after an upgrade", &mut daemon, &|daemon| {
        upgrade(&program, copy_to);
        restarted(daemon, || daemon.signal(Signal::SIGUSR2));
    });
    undisturbed("SIGHUP with another configuration", &mut daemon, &|daemon| {
        daemon.edit("profile = \"balanced\"", "profile = \"strict\"").unwrap();
        daemon.signal(Signal::SIGHUP);
        let told = "reloaded the configuration: changed policy.profile";
        wait_until("it is taken over", PATIENCE, || daemon.log().contains(told)).unwrap();
    });
    undisturbed("SIGHUP with a mistake", &mut daemon, &|daemon| {
        daemon.edit("profile = \"strict\"", "profiel = \"strict\"").unwrap();
        daemon.signal(Signal::SIGHUP);
        wait_until("it is refused", PATIENCE, || daemon.log().contains("did you mean `profile`?")).unwrap();
        daemon.edit("profiel", "profile").unwrap();
    });
    undisturbed("another mode at run time", &mut daemon, &|daemon| {
        for mode in ["approve", "enforce"] {
            assert!(daemon.command(&["mode", mode]).unwrap().success());
        }
    });
    fs::remove_file(program).unwrap();
}

#[test]
fn a_box_that_closes_without_its_daemon_stays_open_over_an_upgrade_and_a_reload() {
    let network = Network::new().unwrap();
    let program = copy_of_the_program(&network);
    let config = Config { on_failure: "closed", ..Config::default() };
    let daemon = Daemon::start_from(program.clone(), &network, &config).unwrap();
    let traffic = Traffic::start(&network);
    upgrade(&program, copy_to);
    restarted(&daemon, || daemon.signal(Signal::SIGUSR2));
    daemon.edit("profile = \"balanced\"", "limit_per_s = 7").unwrap();
    assert!(daemon.command(&["reload"]).unwrap().success());
    // Longer than a table that nobody keeps open passes anything.
    sleep(Duration::from_secs(8));
    traffic.end("on_failure = \"closed\", an upgrade and a reload");
    fs::remove_file(program).unwrap();
}

#[test]
fn an_upgrade_in_place_keeps_the_process_and_lets_no_blocked_frame_through() {
    let network = Network::new().unwrap();
    let program = copy_of_the_program(&network);
    let daemon = Daemon::start_from(program.clone(), &network, &Config::default()).unwrap();
    let offender = network.outsider(66).unwrap();
    block(&daemon, &offender);
    let pid = daemon.pid().unwrap();
    let inode = || fs::metadata(format!("/proc/{pid}/exe")).unwrap().ino();
    let descriptors = || fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    let (old, opened) = (inode(), descriptors());
    let attempts = PingStream::start(&offender.namespace, LAN_HOST, 10).unwrap();
    for restart in [(&|| daemon.signal(Signal::SIGUSR2)) as &dyn Fn(), &|| {
        let finished = daemon.command(&["restart"]).unwrap();
        assert!(finished.success() && finished.stdout.contains("runs anew"), "{}", finished.stderr);
    }] {
        upgrade(&program, copy_to);
        restarted(&daemon, restart);
        assert_eq!(inode(), fs::metadata(&program).unwrap().ino(), "another file runs");
    }
    assert_ne!(inode(), old);
    let report = attempts.stop().unwrap();
    println!("{} attempts of the blocked host over two upgrades, {} got through", report.sent, report.received);
    assert!(report.sent > 50 && report.received == 0, "{report:?}");
    assert!(daemon.block_of(&offender.address()).is_some());
    wait_until("no descriptor was left open", PATIENCE, || descriptors() <= opened).unwrap();
    let audit = daemon.command(&["audit"]).unwrap().stdout;
    let told = format!("runs {} anew", program.display());
    for actor in ["SIGUSR2", "local"] {
        assert!(audit.lines().any(|line| line.contains(actor) && line.contains(&told)), "{audit}");
    }
    fs::remove_file(program).unwrap();
}

#[test]
fn a_new_program_that_does_not_run_or_refuses_the_configuration_is_told_and_the_old_one_goes_on() {
    let network = Network::new().unwrap();
    let program = copy_of_the_program(&network);
    let daemon = Daemon::start_from(program.clone(), &network, &Config::default()).unwrap();
    let refused = |why: &str| {
        daemon.signal(Signal::SIGUSR2);
        let told = || daemon.log().lines().any(|line| line.contains("which goes on") && line.contains(why));
        wait_until("it is refused", PATIENCE, told).unwrap_or_else(|error| panic!("{error}: {}", daemon.log()));
        let shown = || daemon.faults().unwrap().contains("which goes on");
        wait_until("it is shown", PATIENCE, shown).unwrap();
        assert_eq!(starts(&daemon), 1);
    };
    daemon.edit("mode = ", "moed = ").unwrap_or_else(|error| panic!("{error}"));
    refused("did you mean `mode`?");
    daemon.edit("moed = ", "mode = ").unwrap();
    upgrade(&program, |file| fs::write(file, "#!/bin/sh\necho cannot load libc >&2\nexit 127\n").unwrap());
    refused("cannot load libc");
    let finished = daemon.command(&["restart"]).unwrap();
    assert_eq!(finished.code(), Some(1), "{}", finished.stdout);
    assert!(finished.stderr.contains("cannot load libc"), "{}", finished.stderr);
    fs::remove_file(program).unwrap();
}

/// The time that is left of each element, in seconds, by its address.
fn left_s(table: &str) -> Vec<(String, f64)> {
    let elements = table.split([',', '{', '}']).filter(|element| element.contains(" expires "));
    let parse = |element: &str| {
        let words: Vec<&str> = element.split_whitespace().collect();
        let expires = words.iter().position(|word| *word == "expires")? + 1;
        Some((words.first()?.to_string(), seconds(words.get(expires)?)))
    };
    elements.filter_map(parse).collect()
}

/// A time as nft writes it: `1h2m3s400ms`.
fn seconds(text: &str) -> f64 {
    let (mut sum, mut number, mut rest) = (0.0, String::new(), text);
    while let Some(c) = rest.chars().next() {
        rest = &rest[1..];
        if c.is_ascii_digit() {
            number.push(c);
            continue;
        }
        let value: f64 = number.parse().unwrap_or_default();
        number.clear();
        sum += match c {
            'd' => value * 86_400.0,
            'h' => value * 3_600.0,
            'm' if rest.starts_with('s') => {
                rest = &rest[1..];
                value / 1_000.0
            }
            'm' => value * 60.0,
            _ => value,
        };
    }
    sum
}

#[test]
fn ten_thousand_blocks_are_restored_with_the_time_that_is_left_of_each() {
    const BLOCKS: u32 = 10_000;
    let network = Network::new().unwrap();
    let mut daemon = Daemon::start(&network, &Config::default()).unwrap();
    daemon.block_many(BLOCKS, "one of many").unwrap();
    let before = left_s(&daemon.kernel_table());
    let since = Stopwatch::start();
    assert_eq!(before.len(), BLOCKS as usize);
    daemon.kill();
    // Long enough that a time which is restored as it was would show.
    sleep(Duration::from_secs(5));
    network.r#box.run(["nft", "flush", "ruleset"]).unwrap();
    let traffic = Traffic::start(&network);
    let start = Stopwatch::start();
    daemon.start_again().unwrap();
    let log = daemon.log();
    let batch = log.lines().find(|line| line.contains("blocks restored")).unwrap();
    println!("{batch}; the daemon answered {} ms after its start", start.elapsed().as_millis());
    assert!(batch.contains(&format!("{BLOCKS} blocks restored in one batch")));
    let after = left_s(&daemon.kernel_table());
    let passed = since.elapsed().as_secs_f64();
    traffic.end("10,000 blocks restored");
    assert_eq!(after.len(), BLOCKS as usize);
    for ((address, before), (same, after)) in before.iter().zip(&after) {
        assert_eq!(address, same);
        let moved = before - after;
        assert!((moved - passed).abs() < 2.0, "{address} had {before} s, and {after} s {passed} s later");
    }
}
