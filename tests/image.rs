//! The box as its users get it: an image that boots on an (emulated) board with two network ports, in the middle of the laboratory.

mod raspberry_pi;

use std::fs;
use std::process::Command;
use std::sync::LazyLock;
use std::thread::sleep;
use std::time::Duration;

use lab::attacks::start_nmap;
use lab::benign::{PingStream, reaches_the_lan};
use lab::cleanup::work_folder;
use lab::cross::{AARCH64, program_for, root};
use lab::machine::{Image, Machine};
use lab::namespace::run;
use lab::network::{GATEWAY, LAN_HOST, Network};
use lab::process::{SHORT, wait_until};
use lab::random::Random;
use lab::services;
use serde_json::Value;
use sluice::clock::Stopwatch;

/// How long something may take that the emulated board takes part in. No promise: how long it took is printed.
const PATIENCE: Duration = Duration::from_secs(240);

/// How long a trial may take until it is given up: what `update/health.rs` and overlay's `rcS` say, and a restart.
const TRIAL: Duration = Duration::from_secs(420);

/// How much memory a board has.
const MEMORY_MIB: u32 = 256;

/// The smallest board, and what suits it.
const SMALL_MEMORY_MIB: u32 = 128;
const SMALL: &str = "mode = \"enforce\"\n[memory]\nprofile = \"small\"\n";

/// A light, a relay and the button are at the lines of the machine's GPIO chip. The watchdog is one of the kernel.
const WIRED: &str = "mode = \"enforce\"\n[hardware]\nled = \"gpiochip0:0\"\nbypass_relay = \"gpiochip0:1\"\n\
                     button = \"gpiochip0:3\"\nbutton_is_active_low = false\n\
                     watchdog = \"/dev/watchdog\"\nwatchdog_timeout_s = 15\n";

static IMAGE: LazyLock<Image> = LazyLock::new(|| Image::assemble(&program_for(AARCH64, &[]).unwrap()).unwrap());

fn status(board: &Machine<'_>, address: &str) -> Value {
    serde_json::from_str(&board.shell(address, "sluice status --json").unwrap()).unwrap()
}

/// How much memory the daemon takes, and what is left.
fn memory(board: &Machine<'_>, address: &str) -> String {
    let words = board.shell(address, "cat /proc/$(pidof sluice)/status /proc/meminfo").unwrap();
    let kib = |name: &str| words.lines().find_map(|line| line.strip_prefix(name)).map_or("unknown", str::trim);
    format!("the daemon takes {}, {} are left", kib("VmRSS:"), kib("MemAvailable:"))
}

/// How much of the processor the daemon takes while files are fetched through the board, and then how much memory.
fn print_what_traffic_costs(network: &Network, board: &Machine<'_>, address: &str) {
    const FETCHES: usize = 8;
    let _server = services::nginx(&network.wan).unwrap();
    // proc_pid_stat(5): the 14th and the 15th word are hundredths of a second; the name in the 2nd has no space.
    let used_s = || {
        let words = board.shell(address, "cat /proc/$(pidof sluice)/stat").unwrap();
        words.split(' ').skip(13).take(2).map(|word| word.parse::<f64>().unwrap()).sum::<f64>() / 100.0
    };
    let (before_s, watch) = (used_s(), Stopwatch::start());
    let fetches = format!(" -o /dev/null http://{GATEWAY}/film.bin").repeat(FETCHES);
    let fetch = format!("curl -s --fail{fetches}");
    network.lan.run_within(&fetch, PATIENCE).unwrap();
    let took = watch.elapsed();
    let share = 100.0 * (used_s() - before_s) / took.as_secs_f64();
    let mbit = (FETCHES * film_bytes()) as f64 * 8.0 / 1e6 / took.as_secs_f64();
    println!("at {mbit:.0} Mbit/s: {share:.0} % of the emulated processor; {}", memory(board, address));
}

fn film_bytes() -> usize {
    services::WEB_FILES.iter().find(|(name, _)| *name == "film.bin").unwrap().1
}

fn blocks(board: &Machine<'_>, address: &str) -> Vec<String> {
    blocks_in(&status(board, address))
}

fn blocks_in(status: &Value) -> Vec<String> {
    status["blocks"].as_array().unwrap().iter().map(|block| block["address"].as_str().unwrap().to_owned()).collect()
}

fn wait_until_the_daemon_answers(board: &Machine<'_>, address: &str) {
    wait_until("the daemon answers", PATIENCE, || board.shell(address, "sluice status").is_ok()).unwrap();
}

/// Whether it goes by what a router announces.
fn follows_a_router(board: &Machine<'_>, address: &str) -> bool {
    board.shell(address, "ip -6 route show").unwrap().contains("default via fe80:")
}

/// Waits until a board that was turned on protects; its address.
fn start_up(board: &Machine<'_>) -> String {
    let address = board.address().unwrap();
    board.wait_for_log_in(&address).unwrap();
    wait_until_the_daemon_answers(board, &address);
    address
}

/// A board with that configuration, turned on and protecting, and its address.
fn boot<'a>(network: &'a Network, memory_mib: u32, config: Option<&str>) -> (Machine<'a>, String) {
    let mut board = Machine::connect(network, &IMAGE, memory_mib, config).unwrap();
    board.power_on().unwrap();
    let address = start_up(&board);
    (board, address)
}

/// The plug is pulled and put in again; waits until the board forwards and lets somebody in.
fn cut_power_and_boot(network: &Network, board: &mut Machine<'_>, address: &str) {
    board.cut_power();
    let pings = PingStream::start(&network.lan, GATEWAY, 200).unwrap();
    board.power_on().unwrap();
    wait_until("the board forwards again", PATIENCE, || pings.answers() > 0).unwrap();
    board.wait_for_log_in(address).unwrap();
}

/// What the board was is kept in a file on somebody's computer, as docs/install.md says, and comes back from it.
fn check_that_a_backup_comes_back(board: &Machine<'_>, address: &str, blocked: &String) {
    let backup = work_folder().unwrap().join("board-backup.tar.gz");
    board.shell_into(address, "sluice backup -", &backup).unwrap();
    board.shell(address, &format!("sluice unblock {blocked}")).unwrap();
    assert!(!blocks(board, address).contains(blocked));
    board.shell_with(address, "sluice restore - && sluice restart", &backup).unwrap();
    // The daemon does not answer while it starts.
    wait_until("the block of the backup stands again", PATIENCE, || {
        let status = board.shell(address, "sluice status --json");
        status.is_ok_and(|text| blocks_in(&serde_json::from_str(&text).unwrap()).contains(blocked))
    })
    .unwrap();
    board.check_console().unwrap();
}

#[test]
fn a_board_boots_forwards_protects_and_outlives_power_cuts() {
    let network = Network::beside_others().unwrap();
    let _servers = [
        services::dhcp(&network.wan).unwrap(),
        services::router_advertisements(&network.wan).unwrap(),
        services::sshd(&network.lan).unwrap(),
        services::nginx(&network.lan).unwrap(),
    ];
    let attacker = network.outsider(66).unwrap();
    let mut board = Machine::connect(&network, &IMAGE, MEMORY_MIB, None).unwrap();
    let pings = PingStream::start(&network.lan, GATEWAY, 200).unwrap();

    let watch = Stopwatch::start();
    board.power_on().unwrap();
    let forwards = wait_until("the board forwards", PATIENCE, || pings.answers() > 0).unwrap();
    let address = board.address().unwrap();
    let page = format!("curl -s --fail -m 5 -o /dev/null http://{address}:8080/");
    wait_until("the page answers", PATIENCE, || network.lan.run_within(&page, PATIENCE).is_ok()).unwrap();
    let has_page = watch.elapsed();
    board.wait_for_log_in(&address).unwrap();
    wait_until_the_daemon_answers(&board, &address);
    let protects = watch.elapsed();
    wait_until("the board has a way out by IPv6", PATIENCE, || follows_a_router(&board, &address)).unwrap();
    board.shell(&address, "sluice mode enforce").unwrap();
    println!("from power to forwarding {forwards:.1?}, to the page {has_page:.1?}, to protecting {protects:.1?}");

    // Who scans from outside is kept out; who does nothing is not.
    assert!(reaches_the_lan(&attacker.namespace));
    let scan = start_nmap(&attacker.namespace, &format!("-sS -T4 -p 1-20000 {LAN_HOST}")).unwrap();
    wait_until("the scanner is blocked", PATIENCE, || blocks(&board, &address) == [attacker.address()]).unwrap();
    drop(scan);
    assert!(!reaches_the_lan(&attacker.namespace));
    println!("of {MEMORY_MIB} MiB: {}", memory(&board, &address));

    // A daemon that is killed is started again, and not one frame is lost meanwhile.
    let steady = PingStream::start(&network.lan, GATEWAY, 200).unwrap();
    board.shell(&address, "kill -9 $(pidof sluice)").unwrap();
    wait_until_the_daemon_answers(&board, &address);
    assert_eq!(blocks(&board, &address), [attacker.address()]);
    let report = steady.stop().unwrap();
    assert_eq!(report.sent, report.received);

    // The power goes while the database is written.
    board.check_console().unwrap();
    let writes =
        "for n in 1 2 3 4 5 6 7 8 9; do sluice block 203.0.113.20$n --for 1h --why test; done >/dev/null & sleep 1";
    board.shell(&address, writes).unwrap();
    cut_power_and_boot(&network, &mut board, &address);
    wait_until_the_daemon_answers(&board, &address);
    assert!(blocks(&board, &address).contains(&attacker.address()), "the block is restored");
    assert!(!reaches_the_lan(&attacker.namespace));
    // An emulated board may be too slow for every packet, and says so; of the database there is nothing to say.
    let faults = status(&board, &address)["faults"].to_string();
    assert!(!faults.contains("database") && !faults.contains("forgotten"), "{faults}");
    let audit = board.shell(&address, "sluice audit verify").unwrap();
    assert!(audit.contains("all in order"), "{audit}");
    board.check_console().unwrap();
    assert!(reaches_the_lan(&network.outsider(67).unwrap().namespace), "nobody else is blocked");

    check_that_a_backup_comes_back(&board, &address, &attacker.address());

    // A configuration that the daemon refuses leaves the household its internet, and somebody can log in and mend it.
    board.shell(&address, "echo 'nonsense = 1' >/etc/sluice/sluice.toml && sync").unwrap();
    cut_power_and_boot(&network, &mut board, &address);
    assert!(board.shell(&address, "sluice status").is_err());
    let log = board.shell(&address, "logread").unwrap();
    assert!(log.contains("nonsense"), "{log}");
    board.shell(&address, "echo 'mode = \"enforce\"' >/etc/sluice/sluice.toml").unwrap();
    wait_until_the_daemon_answers(&board, &address);
}

/// What the boot script makes of `sluice.toml`, and the faults that it tells of, in a folder with these files for the data partition.
fn seeded(files: &[(&str, &str)]) -> (String, String) {
    let folder = work_folder().unwrap().join("seeded");
    for name in ["etc", "state", "boot"] {
        fs::create_dir_all(folder.join(name)).unwrap();
    }
    fs::write(folder.join("shipped"), "shipped").unwrap();
    for (name, text) in files {
        fs::write(folder.join(name), text).unwrap();
    }
    let script = root().join("overlay/etc/init.d/S10data");
    let line = ". \"$0\"; FOLDER=.; BOOT=boot; SHIPPED=shipped; FAULTS=faults; seed";
    run(Command::new("sh").args(["-c", line]).arg(script).current_dir(&folder)).unwrap();
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap_or_default();
    let found = (read("etc/sluice.toml"), read("faults"));
    fs::remove_dir_all(folder).unwrap();
    found
}

#[test]
fn a_configuration_that_is_lost_comes_back_as_it_was_last_of_use_and_is_told_of() {
    let (mine, good, boot) =
        (("etc/sluice.toml", "mine"), ("etc/last-good.toml", "good"), ("boot/sluice.toml", "boot"));
    let (empty, database) = (("etc/sluice.toml", ""), ("state/sluice.db", ""));
    for (files, config, told) in [
        (&[][..], "shipped", ""),
        (&[boot], "boot", ""),
        (&[boot, mine], "boot", ""),
        (&[boot, mine, ("etc/given.toml", "boot")], "mine", ""),
        (&[boot, good, mine, database], "mine", ""),
        (&[boot, good, database], "good", "./etc/last-good.toml was copied"),
        (&[good, empty], "good", "./etc/last-good.toml was copied"),
        (&[boot, database], "boot", "boot/sluice.toml was copied"),
        (&[database, empty], "shipped", "shipped was copied"),
    ] {
        let (found, faults) = seeded(files);
        assert_eq!(found, config, "{files:?}");
        assert!(faults.contains(told) && faults.is_empty() == told.is_empty(), "{files:?}: {faults}");
    }
}

/// A board with that configuration whose second port is plugged in once its console has told that it goes on without.
fn with_a_late_port<'a>(network: &'a Network, config: &str, goes_on: &str) -> Machine<'a> {
    let mut board = Machine::connect(network, &IMAGE, MEMORY_MIB, Some(config)).unwrap().with_late_port();
    board.power_on().unwrap();
    wait_until("it waits for the port no longer", PATIENCE, || board.console().contains(goes_on)).unwrap();
    board.plug_in().unwrap();
    board
}

#[test]
fn a_board_whose_second_port_comes_late_passes_nothing_unwatched_before_its_configuration_is_mended() {
    let network = Network::beside_others().unwrap();
    let address = "198.51.100.77";
    let config = format!(
        "mode = \"enforce\"\non_failure = \"closed\"\nnonsense = 1\n[bridge]\naddresses = [\"{address}/24\"]\ngateway = [\"{GATEWAY}\"]\n"
    );
    let board = with_a_late_port(&network, &config, "bridging eth0 and eth1");
    board.wait_for_log_in(address).unwrap();
    let pings = PingStream::start(&network.lan, GATEWAY, 200).unwrap();
    sleep(SHORT);
    assert_eq!(pings.answers(), 0, "the daemon does not run");
    board.shell(address, "ip link set eth1 nomaster").unwrap();
    let is_joined = || board.shell(address, "grep -x 1 /sys/class/net/eth1/brport/isolated").is_ok();
    wait_until("a port that goes and comes again is joined, and kept apart", PATIENCE, is_joined).unwrap();
    board.shell(address, "sed -i /nonsense/d /etc/sluice/sluice.toml").unwrap();
    wait_until("the daemon watches what passes", PATIENCE, || pings.answers() > 0).unwrap();
    wait_until_the_daemon_answers(&board, address);
    assert_eq!(status(&board, address)["faults"].to_string(), "[]");
}

#[test]
fn a_board_whose_second_port_comes_late_makes_the_bridge_that_is_configured_and_joins_the_port() {
    let network = Network::beside_others().unwrap();
    let _server = services::dhcp(&network.wan).unwrap();
    let config = "mode = \"enforce\"\n[bridge]\nname = \"lan0\"\n";
    let board = with_a_late_port(&network, config, "bridging eth0 and eth1, as far as they are there");
    let address = start_up(&board);
    let pings = PingStream::start(&network.lan, GATEWAY, 200).unwrap();
    wait_until("the board forwards", PATIENCE, || pings.answers() > 0).unwrap();
    assert_eq!(
        board.shell(&address, "cd /sys/class/net && ls -d */bridge lan0/lower_*").unwrap(),
        "lan0/bridge\nlan0/lower_eth0\nlan0/lower_eth1\n"
    );
    assert_eq!(status(&board, &address)["faults"].to_string(), "[]");
}

/// Waits until the kernel says that Sluice drives the relay's line so; the light's is the one before.
fn wait_until_the_relay_is(board: &Machine<'_>, address: &str, level: &str) {
    let lines = || {
        let all = board.shell(address, "cat /sys/kernel/debug/gpio").unwrap_or_default();
        all.lines().filter(|line| line.contains("sluice")).map(str::to_owned).collect::<Vec<_>>()
    };
    let is_so = || matches!(&lines()[..], [light, relay, ..] if light.contains("out ") && relay.contains(&format!("out {level}")));
    wait_until("the relay's line is as it should", PATIENCE, is_so)
        .unwrap_or_else(|error| panic!("{error}: {:?}", lines()));
}

/// Holds the button once, and waits for what that does.
fn press(board: &Machine<'_>, held: Duration, what: &str, holds: impl Fn() -> bool) {
    board.press(held).unwrap();
    wait_until(what, PATIENCE, holds).unwrap_or_else(|error| panic!("{error}\n{}", board.console()));
}

#[test]
fn a_light_a_relay_a_button_and_a_watchdog_do_what_the_configuration_says() {
    let network = Network::beside_others().unwrap();
    let _server = services::dhcp(&network.wan).unwrap();
    let (board, address) = boot(&network, MEMORY_MIB, Some(WIRED));
    board.shell(&address, "mount -t debugfs none /sys/kernel/debug").unwrap();

    // The relay holds the box in the line while it protects.
    let is_paused = || !status(&board, &address)["paused_left_s"].is_null();
    wait_until_the_relay_is(&board, &address, "hi");
    press(&board, Duration::from_secs(6), "holding the button pauses", is_paused);
    wait_until_the_relay_is(&board, &address, "lo");
    press(&board, Duration::from_secs(6), "holding it again ends the pause", || !is_paused());
    wait_until_the_relay_is(&board, &address, "hi");

    // Who forgot the password holds the box in his hands: it shows him another one.
    let password =
        || Some(board.console().rsplit_once("the password of admin is now ")?.1.split_once(' ')?.0.to_owned());
    press(&board, Duration::from_secs(17), "holding it long gives a password", || password().is_some());
    let is_set =
        || board.shell(&address, "sluice audit").is_ok_and(|rows| rows.contains("set the password of user admin"));
    wait_until("the password holds", PATIENCE, is_set).unwrap();
    let form = format!("name=admin&password={}", password().unwrap());
    let log_in = format!("curl -s -i -m 20 -d {form} http://{address}:8080/login");
    assert!(network.lan.run_within(&log_in, PATIENCE).unwrap().contains("sluice_session="));

    // A daemon that hangs takes the board with it, and that comes back.
    board.shell(&address, "modprobe softdog").unwrap();
    wait_until("the watchdog runs", PATIENCE, || status(&board, &address)["faults"].as_array().unwrap().is_empty())
        .unwrap_or_else(|error| panic!("{error}: {}", status(&board, &address)["faults"]));
    let boot = || board.shell(&address, "cat /proc/sys/kernel/random/boot_id").ok();
    let before = boot();
    assert!(before.is_some());
    board.shell(&address, "kill -STOP $(pidof sluice)").unwrap();
    wait_until("the board restarts by itself", PATIENCE, || boot().is_some_and(|now| Some(now) != before)).unwrap();
    wait_until_the_daemon_answers(&board, &address);
}

/// Waits until the box says this of its slots.
fn wait_until_slots_are(board: &Machine<'_>, address: &str, slots: [&str; 2]) {
    let said = || board.shell(address, "sluice update").unwrap_or_default();
    wait_until("the slots are as they should", PATIENCE, || said().lines().eq(slots))
        .unwrap_or_else(|error| panic!("{error}: {}\n{}", said(), board.console()));
}

/// Writes in the environment of GRUB, in its place, that slot a is the kept one in the place of slot b.
const KEEPS_SLOT_A: &str = "place=$(grep -lx PARTNAME=boot /sys/class/block/*/uevent) && device=$(basename ${place%/uevent}) \
    && mkdir /run/mounted && mount -t vfat /dev/$device /run/mounted && sed s/^slot=b/slot=a/ /run/mounted/grub/grubenv >/run/environment \
    && grep -qx slot=a /run/environment && cat /run/environment 1<>/run/mounted/grub/grubenv && umount /run/mounted";

#[test]
fn an_update_is_tried_and_kept_and_a_broken_one_is_taken_back() {
    let network = Network::beside_others().unwrap();
    let _server = services::dhcp(&network.wan).unwrap();
    let (board, address) = boot(&network, SMALL_MEMORY_MIB, Some(SMALL));
    wait_until_slots_are(&board, &address, ["slot a: version 1, runs, is started", "slot b: version 1"]);
    assert_eq!(status(&board, &address)["mode"], "enforce", "the configuration is that of the card");
    println!("of {SMALL_MEMORY_MIB} MiB: {}", memory(&board, &address));
    print_what_traffic_costs(&network, &board, &address);

    // A file that is not what was signed changes nothing.
    let update = IMAGE.update("2", "rootfs").unwrap();
    let mut damaged = fs::read(&update).unwrap();
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    let damaged_file = update.with_extension("damaged");
    fs::write(&damaged_file, damaged).unwrap();
    let refused = board.shell_with(&address, "sluice update -", &damaged_file).unwrap_err().to_string();
    assert!(refused.contains("not what was signed"), "{refused}");
    let refused = board.shell(&address, "sluice update --try").unwrap_err().to_string();
    assert!(refused.contains("slot b holds no system"), "{refused}");

    board.shell_with(&address, "sluice update -", &update).unwrap();
    wait_until_slots_are(&board, &address, ["slot a: version 1, runs, is started", "slot b: version 2"]);
    // The connection ends with the box, whether the command says so in time or not.
    let _ = board.shell(&address, "sluice update --try");
    wait_until_slots_are(&board, &address, ["slot a: version 1", "slot b: version 2, runs, is started"]);
    board.check_console().unwrap();

    // One whose system does not start; the kernel gives up, and the start after that is the old one.
    board.shell_with(&address, "sluice update -", &IMAGE.update("3", "broken").unwrap()).unwrap();
    let _ = board.shell(&address, "sluice update --try");
    let taken_back = ["slot a: version 3, was tried and not kept", "slot b: version 2, runs, is started"];
    wait_until_slots_are(&board, &address, taken_back);
    wait_until_the_daemon_answers(&board, &address);
    assert!(board.console().contains("Kernel panic"), "the broken one was started");
    let faults = status(&board, &address)["faults"].to_string();
    assert!(faults.contains("version 3 was tried"), "{faults}");
    let audit = board.shell(&address, "sluice audit").unwrap();
    for row in ["version 2 in slot b", "keeps slot b", "tries version 3 in slot a"] {
        assert!(audit.contains(row), "{audit}");
    }

    // A kept system that comes up no more is started three times, and then the other one.
    let is_first_line = |line: &&str| line.contains("Kernel panic") && !line.contains("end Kernel panic");
    let panics = || board.console().lines().filter(is_first_line).count();
    let before = panics();
    board.shell(&address, KEEPS_SLOT_A).unwrap();
    let _ = board.shell(&address, "reboot");
    wait_until("the kept system was started three times", TRIAL, || panics() == before + 3)
        .unwrap_or_else(|error| panic!("{error}: {before}, {}\n{}", panics(), board.console()));
    wait_until_slots_are(&board, &address, taken_back);
    wait_until_the_daemon_answers(&board, &address);
    assert_eq!(panics(), before + 3);
}

#[test]
fn a_slot_with_which_the_box_does_not_protect_is_taken_back() {
    let network = Network::beside_others().unwrap();
    let _server = services::dhcp(&network.wan).unwrap();
    let (board, address) = boot(&network, MEMORY_MIB, None);

    // Its daemon does nothing; the box forwards all the same, and lets somebody in.
    board.shell_with(&address, "sluice update -", &IMAGE.update("2", "idle").unwrap()).unwrap();
    let _ = board.shell(&address, "sluice update --try");
    wait_until_slots_are(
        &board,
        &address,
        ["slot a: version 1, is started", "slot b: version 2, runs, is being tried"],
    );
    let pings = PingStream::start(&network.lan, GATEWAY, 200).unwrap();
    wait_until("the board forwards", PATIENCE, || pings.answers() > 0).unwrap();
    board.check_console().unwrap();
    let taken_back = ["slot a: version 1, runs, is started", "slot b: version 2, was tried and not kept"];
    wait_until("the trial is given up", TRIAL, || board.console().contains("slot b is not kept")).unwrap();
    wait_until_slots_are(&board, &address, taken_back);

    // Nor is a trial begun that could not be kept.
    board.shell(&address, "echo 'nonsense = 1' >>/etc/sluice/sluice.toml").unwrap();
    let refused = || board.shell(&address, "sluice update --try").unwrap_err().to_string();
    wait_until("the box has started", PATIENCE, || !refused().contains("(starting)")).unwrap();
    let refused = refused();
    assert!(refused.contains("nonsense") && refused.contains("mend that first"), "{refused}");
    // Unless somebody says that it is the other system that mends it. The restart itself is left out: it was seen above.
    board
        .shell(&address, "mkdir /run/stub && echo '#!/bin/sh' >/run/stub/reboot && chmod +x /run/stub/reboot")
        .unwrap();
    let said = board.shell(&address, "PATH=/run/stub:$PATH sluice update --try --anyway && sluice update").unwrap();
    assert!(said.contains("slot b: version 2, is tried at the next start"), "{said}");
}

/// How often the plug is pulled; `CUTS` says another number.
const CUTS: u64 = 2;

#[test]
fn a_board_outlives_power_cuts_at_any_moment() {
    let cuts = std::env::var("CUTS").map_or(CUTS, |text| text.parse().unwrap());
    let network = Network::beside_others().unwrap();
    // As between modem and router, where it is the provider's router that announces itself.
    let config = "mode = \"enforce\"\n[bridge]\naddresses = [\"198.51.100.9/24\"]\n";
    let mut board = Machine::connect(&network, &IMAGE, MEMORY_MIB, Some(config)).unwrap();
    let mut random = Random::new(cuts);
    for cut in 0..cuts {
        board.power_on().unwrap();
        if cut % 2 == 0 {
            // While the database is written; what was blocked a moment before is to be there.
            let address = start_up(&board);
            board.shell(&address, &format!("sluice block 203.0.113.{} --for 7d", cut + 1)).unwrap();
            let writes = "for n in $(seq 200); do sluice block 192.0.2.$n --for 1d --why test; done";
            board.shell(&address, &format!("({writes}) >/dev/null 2>&1 &")).unwrap();
            sleep(Duration::from_millis(random.below(4_000)));
        } else {
            // While it starts.
            sleep(Duration::from_millis(random.below(20_000)));
        }
        board.cut_power();
        println!("cut {} of {cuts}", cut + 1);
    }
    board.power_on().unwrap();
    let address = start_up(&board);
    let status = status(&board, &address);
    let audit = board.shell(&address, "sluice audit verify").unwrap();
    assert!(audit.contains("all in order"), "{audit}");
    let faults = status["faults"].to_string();
    assert!(!faults.contains("database") && !faults.contains("forgotten"), "{faults}");
    let rows = board.shell(&address, "sluice audit --rows 100000").unwrap();
    for cut in (0..cuts).step_by(2) {
        assert!(rows.contains(&format!("203.0.113.{} ", cut + 1)), "the block before cut {} is forgotten", cut + 1);
    }
    let _router = services::router_advertisements(&network.wan).unwrap();
    let heard = || board.shell(&address, "grep Icmp6InRouterAdvertisements /proc/net/snmp6").unwrap_or_default();
    wait_until("the router is heard", PATIENCE, || !heard().trim_end().ends_with("\t0")).unwrap();
    assert!(!follows_a_router(&board, &address), "it has a way out that nobody configured");
    board.check_console().unwrap();
    board.cut_power();
    board.check_data().unwrap();

    // What an error left on the card, and no journal mends, is mended by the next start, and nothing that was remembered is lost.
    board.damage_data().unwrap();
    board.power_on().unwrap();
    let address = start_up(&board);
    assert!(board.shell(&address, "sluice audit verify").unwrap().contains("all in order"));
    let faults = self::status(&board, &address)["faults"].to_string();
    assert!(faults.contains("the data partition was damaged and was mended"), "{faults}");
    let after = board.shell(&address, "sluice audit --rows 100000").unwrap();
    assert!(rows.lines().all(|row| after.contains(row)), "{after}");
    board.cut_power();
    board.check_data().unwrap();
}
