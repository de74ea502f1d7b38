//! What a person sees and touches of the box, and what systemd is told.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::{self, sleep};
use std::time::Duration;

use lab::attacks::start_nmap;
use lab::cleanup::work_folder;
use lab::daemon::{Config, Daemon};
use lab::network::{LAN_HOST, Network};
use lab::process::wait_until;
use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, waitpid};

/// How long something that must happen may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long what must not happen is waited for.
const LONG_ENOUGH: Duration = Duration::from_secs(4);

/// What is sent to the socket that stands for systemd's, line by line.
struct Systemd {
    socket: PathBuf,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Systemd {
    fn new(name: &str) -> Self {
        let socket = work_folder().unwrap().join(name);
        let receiver = UnixDatagram::bind(&socket).unwrap();
        let lines: Arc<Mutex<Vec<String>>> = Arc::default();
        let heard = Arc::clone(&lines);
        thread::spawn(move || {
            let mut message = [0; 4_096];
            while let Ok(len) = receiver.recv(&mut message) {
                let text = String::from_utf8_lossy(&message[..len]).into_owned();
                heard.lock().unwrap().extend(text.lines().map(str::to_owned));
            }
        });
        Self { socket, lines }
    }

    /// For a daemon that systemd starts anew where it is silent for three seconds.
    fn environment(&self) -> Vec<(&'static str, String)> {
        vec![("NOTIFY_SOCKET", self.socket.display().to_string()), ("WATCHDOG_USEC", String::from("3000000"))]
    }

    fn count(&self, line: &str) -> usize {
        self.lines.lock().unwrap().iter().filter(|told| told.starts_with(line)).count()
    }

    fn wait_for(&self, line: &str, times: usize) {
        let waited = wait_until(&format!("{line} is told"), PATIENCE, || self.count(line) >= times);
        waited.unwrap_or_else(|error| panic!("{error}: {:?}", self.lines.lock().unwrap()));
    }
}

#[test]
fn systemd_is_told_that_the_box_protects_reloads_and_ends_and_hears_nothing_while_packets_are_not_looked_at() {
    let (network, systemd) = (Network::new().unwrap(), Systemd::new("notify.sock"));
    let config = Config { environment: systemd.environment(), ..Config::default() };
    let mut daemon = Daemon::start(&network, &config).unwrap();
    systemd.wait_for("READY=1", 1);
    assert!(daemon.kernel_table().contains("deny"), "ready means that attackers are stopped");
    systemd.wait_for("STATUS=protecting: ", 1);
    systemd.wait_for("WATCHDOG=1", 3);

    // Whether there is a mistake in it or not: it is done with reading.
    for (number, mistake) in [(2, "profil = \"balanced\""), (3, "profile = \"strict\"")] {
        daemon.edit(if number == 2 { "profile = \"balanced\"" } else { "profil = \"balanced\"" }, mistake).unwrap();
        daemon.signal(Signal::SIGHUP);
        systemd.wait_for("READY=1", number);
        assert_eq!((systemd.count("RELOADING=1"), systemd.count("MONOTONIC_USEC=")), (number - 1, number - 1));
    }

    let thread = daemon.thread("packets").unwrap();
    ptrace::seize(thread, ptrace::Options::empty()).unwrap();
    ptrace::interrupt(thread).unwrap();
    waitpid(thread, Some(WaitPidFlag::__WALL)).unwrap();
    systemd.wait_for("STATUS=cannot enforce: ", 1);
    let told_before = || systemd.count("WATCHDOG=1");
    wait_until("it is silent", PATIENCE, || {
        let before = told_before();
        sleep(LONG_ENOUGH);
        told_before() == before
    })
    .unwrap();
    ptrace::detach(thread, None).unwrap();
    systemd.wait_for("WATCHDOG=1", told_before() + 2);

    assert_eq!(daemon.command(&["restart"]).unwrap().code(), Some(0));
    systemd.wait_for("READY=1", 4);
    assert_eq!((systemd.count("RELOADING=1"), systemd.count("STOPPING=1")), (3, 0));
    assert_eq!(daemon.stop().unwrap().code(), Some(0));
    systemd.wait_for("STOPPING=1", 1);
}

/// A folder that looks like that of an LED.
fn make_led(leds: &Path, name: &str) {
    let folder = leds.join(name);
    fs::create_dir_all(&folder).unwrap();
    for (file, text) in [("brightness", "0"), ("max_brightness", "255"), ("trigger", "none [mmc0] timer")] {
        fs::write(folder.join(file), text).unwrap();
    }
}

fn read(leds: &Path, file: &str) -> String {
    fs::read_to_string(leds.join(file)).unwrap_or_default()
}

/// It is lit for a while and dark for a while.
fn wait_until_it_moves(leds: &Path, name: &str) {
    for brightness in ["255", "0"] {
        let file = format!("{name}/brightness");
        wait_until(&format!("{name} is {brightness}"), PATIENCE, || read(leds, &file) == brightness).unwrap();
    }
}

fn wait_until_it_says(daemon: &Daemon<'_>, light: &str) {
    let waited =
        wait_until(&format!("the light says {light}"), PATIENCE, || daemon.status().unwrap()["light"] == light);
    waited.unwrap_or_else(|error| panic!("{error}: {:#}", daemon.status().unwrap()));
}

#[test]
fn the_lights_say_how_the_box_is_and_one_that_is_missing_keeps_nothing_from_being_protected() {
    let network = Network::new().unwrap();
    let class = work_folder().unwrap().join("class");
    let leds = class.join("leds");
    make_led(&leds, "ACT");
    let hardware = "led = \"ACT\"\nalarm_led = \"ALARM\"\nbutton = \"gpiochip99:27\"\n";
    let config = Config { hardware, sys_class: Some(class), ..Config::default() };
    let mut daemon = Daemon::start(&network, &config).unwrap();
    wait_until_it_says(&daemon, "fault");
    let faults = daemon.faults().unwrap();
    for told in [
        "hardware.alarm_led: no LED `ALARM` in /sys/class/leds; there are: ACT",
        "hardware.button: no GPIO chip `gpiochip99` in /dev; there are: ",
    ] {
        assert!(faults.contains(told), "{told} is not in {faults}");
    }
    assert_eq!(read(&leds, "ACT/trigger"), "none");
    wait_until_it_moves(&leds, "ACT");
    make_led(&leds, "ALARM");
    wait_until("the other one is found", PATIENCE, || read(&leds, "ALARM/trigger") == "none").unwrap();
    wait_until_it_moves(&leds, "ALARM");

    let attacker = network.outsider(66).unwrap();
    let scan = start_nmap(&attacker.namespace, &format!("-sS -T4 -Pn -p 1-40000 {LAN_HOST}")).unwrap();
    daemon.wait_for_block(&attacker.address(), PATIENCE).unwrap();
    wait_until_it_says(&daemon, "attack now");
    drop(scan);
    fs::remove_dir_all(leds.join("ACT")).unwrap();
    wait_until("that is told", PATIENCE, || daemon.faults().unwrap().contains("hardware.led: no LED `ACT`")).unwrap();
    make_led(&leds, "ACT");
    wait_until("it is found", PATIENCE, || !daemon.faults().unwrap().contains("hardware.led")).unwrap();
    wait_until_it_moves(&leds, "ACT");
    assert!(daemon.kernel_blocks(&attacker.address()));

    assert_eq!(daemon.stop().unwrap().code(), Some(0));
    for name in ["ACT", "ALARM"] {
        let left = ["brightness", "trigger"].map(|file| read(&leds, &format!("{name}/{file}")));
        assert_eq!(left, ["0", "none"], "{name}");
    }
}

#[test]
fn a_board_that_is_too_hot_or_has_too_little_power_is_a_fault_with_its_remedy() {
    let network = Network::new().unwrap();
    let class = work_folder().unwrap().join("class-of-a-hot-board");
    for (file, text) in [
        ("hwmon/hwmon0/name", "rpi_volt"),
        ("hwmon/hwmon0/in0_lcrit_alarm", "1"),
        ("thermal/thermal_zone0/type", "cpu-thermal"),
        ("thermal/thermal_zone0/temp", "84321"),
    ] {
        let path = class.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("{text}\n")).unwrap();
    }
    let daemon = Daemon::start(&network, &Config { sys_class: Some(class), ..Config::default() }).unwrap();
    wait_until_it_says(&daemon, "fault");
    let status = daemon.command(&["status"]).unwrap().stdout;
    for told in ["84 °C at cpu-thermal", "give it air", "too little power", "use the supply that is made for it"] {
        assert!(status.contains(told), "{told} is not in {status}");
    }
}

#[test]
fn whoever_knows_of_an_attack_can_quiet_the_light_until_the_next_one() {
    let network = Network::new().unwrap();
    let daemon = Daemon::start(&network, &Config::default()).unwrap();
    wait_until_it_says(&daemon, "protecting");
    for number in [66, 67] {
        let attacker = network.outsider(number).unwrap();
        let scan = start_nmap(&attacker.namespace, &format!("-sS -T4 -Pn -p 1-40000 {LAN_HOST}")).unwrap();
        daemon.wait_for_block(&attacker.address(), PATIENCE).unwrap();
        drop(scan);
        wait_until_it_says(&daemon, "attack now");
        wait_until("it is known", PATIENCE, || {
            // What was on its way when the scan ended may be another alert.
            daemon.command(&["acknowledge"]).unwrap().success() && daemon.status().unwrap()["light"] == "protecting"
        })
        .unwrap();
        assert!(daemon.kernel_blocks(&attacker.address()), "the block stands");
    }
    assert!(daemon.command(&["audit"]).unwrap().stdout.contains("acknowledged the alerts and blocks until now"));
}
