//! The Debian package, in a clean Debian of its own with systemd as its first process and two ports: installed, started, upgraded,
//! removed and purged. The network is set up as docs/install.md says.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use lab::cleanup::work_folder;
use lab::cross::root;
use lab::daemon::sluice_program;
use lab::namespace::Namespace;
use lab::network::GATEWAY;
use lab::process::{Finished, Running, SHORT, run_any, run_within, wait_until};
use lab::services;

/// How long a small Debian may take to be fetched and installed.
const DEBIAN_LIMIT: Duration = Duration::from_secs(600);

/// How long something that must happen may take.
const PATIENCE: Duration = Duration::from_secs(90);

/// Most that `systemd-analyze security` may say of the unit, of 100: what is exposed without any hardening is 96.
const MOST_EXPOSED: &str = "35";

const UNIT: &str = "/usr/lib/systemd/system/sluice.service";

/// What the package brings along, beside folders.
const FILES: [&str; 15] = [
    "/etc/sluice/sluice.toml",
    "/usr/bin/sluice",
    UNIT,
    "/usr/share/doc/sluice/README.md",
    "/usr/share/doc/sluice/LICENSE-APACHE",
    "/usr/share/doc/sluice/copyright",
    "/usr/share/doc/sluice/docs/hardware.md",
    "/usr/share/doc/sluice/docs/install.md",
    "/usr/share/doc/sluice/docs/wiring-before-router.svg",
    "/usr/share/doc/sluice/docs/wiring-behind-router.svg",
    "/usr/share/doc/sluice/docs/wiring-gpio.svg",
    "/usr/share/doc/sluice/docs/wiring-past-the-box.svg",
    "/usr/share/doc/sluice/features.md",
    "/usr/share/doc/sluice/models/README.md",
    "/usr/share/doc/sluice/models/forest/CARD.md",
];

/// A Debian below a folder.
struct Debian {
    root: PathBuf,
}

impl Debian {
    /// The essential packages, systemd, and what the test looks with.
    fn new() -> Self {
        let root = work_folder().unwrap().join("debian");
        let mut install = Command::new("mmdebstrap");
        install.args(["--quiet", "--variant=essential", "--include=systemd,systemd-sysv,nftables", "bookworm"]);
        run_within(install.arg(&root).arg("http://deb.debian.org/debian"), DEBIAN_LIMIT).unwrap();
        Self { root }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// Runs a line of words in it, without anything of it running.
    fn run(&self, line: &str) -> Finished {
        run_any(Command::new("chroot").arg(&self.root).args(line.split_ascii_whitespace()), PATIENCE).unwrap()
    }

    /// All files but dpkg's own whose path speaks of Sluice.
    fn traces(&self) -> Vec<String> {
        let mut find = Command::new("find");
        find.current_dir(&self.root).args([
            ".",
            "-path",
            "./var/lib/dpkg",
            "-prune",
            "-o",
            "-name",
            "*sluice*",
            "-print",
        ]);
        run_within(&mut find, SHORT).unwrap().lines().map(str::to_owned).collect()
    }
}

/// A Debian that runs in a network namespace, with systemd as its first process.
struct Booted<'a> {
    container: Running,
    network: &'a Namespace,
}

impl<'a> Booted<'a> {
    fn new(debian: &Debian, network: &'a Namespace) -> Self {
        let mut nspawn = Command::new("systemd-nspawn");
        nspawn.args(["--quiet", "--boot", "--register=no", "--keep-unit", "--console=pipe"]);
        nspawn.args(["--capability=CAP_NET_ADMIN,CAP_NET_RAW", "--directory"]).arg(&debian.root);
        nspawn.arg(format!("--network-namespace-path=/run/netns/{}", network.name()));
        let booted = Self { container: Running::start(&mut nspawn).unwrap(), network };
        booted.wait_for("systemd is up", "systemctl is-active multi-user.target");
        booted
    }

    /// The process that is the first one inside.
    fn first_process(&self) -> Option<u32> {
        self.container.child_called("systemd")
    }

    fn run(&self, line: &str) -> Finished {
        let first =
            self.first_process().unwrap_or_else(|| panic!("{}", self.container.complaint("has ended"))).to_string();
        let mut command = Command::new("nsenter");
        command.args(["--target", &first, "--mount", "--pid", "--uts", "--ipc", "--net"]);
        run_any(command.args(line.split_ascii_whitespace()), PATIENCE).unwrap()
    }

    fn run_well(&self, line: &str) -> String {
        let finished = self.run(line);
        assert!(finished.success(), "{line}: {}{}", finished.stdout, finished.stderr);
        finished.stdout
    }

    fn wait_for(&self, what: &str, line: &str) {
        let holds = || self.first_process().is_some() && self.run(line).success();
        if let Err(error) = wait_until(what, PATIENCE, holds) {
            panic!("{error}: {}", self.container.complaint("did not come so far"));
        }
    }

    /// The daemon's process, as systemd knows it.
    fn daemon(&self) -> String {
        self.run_well("systemctl show --property=MainPID --value sluice").trim().to_owned()
    }

    /// What the daemon has logged since the system is up.
    fn said(&self) -> String {
        self.run_well("journalctl --unit=sluice --output=cat")
    }

    fn has_bridge(&self) -> bool {
        self.network.ip("link show br0").is_ok()
    }
}

/// Makes the package of the program that was built, and puts it where Debian can reach it.
fn package(debian: &Debian) {
    let mut build = Command::new(root().join("packaging/debian/build"));
    build
        .arg(format!("{}-unknown-linux-gnu", std::env::consts::ARCH))
        .arg(sluice_program().unwrap())
        .env("DPKG_DEB_COMPRESSOR_TYPE", "none");
    let made = root().join(run_within(&mut build, PATIENCE).unwrap().trim());
    // This one is not static.
    let depends = run_within(Command::new("dpkg-deb").arg("--field").arg(&made).arg("Depends"), SHORT).unwrap();
    assert!(depends.starts_with("libc6 (>= 2.") && depends.contains("libgcc-s1"), "{depends}");
    fs::copy(made, debian.path("/sluice.deb")).unwrap();
}

/// Two ports: a router behind one, nobody behind the other.
fn ports() -> (Namespace, Namespace) {
    let (network, router) = (Namespace::new("packages").unwrap(), Namespace::new("packages-router").unwrap());
    network.ip(&format!("link add eth0 type veth peer name wan0 netns {}", router.name())).unwrap();
    router.ip(&format!("addr add {GATEWAY}/24 dev wan0")).unwrap();
    router.ip("link set wan0 up").unwrap();
    network.ip("link add eth1 type veth peer name far1").unwrap();
    network.ip("link set far1 up").unwrap();
    (network, router)
}

/// The files that docs/install.md has its readers write: `tee PATH <<END`, lines, `END`.
fn files_of_the_guide() -> Vec<(String, String)> {
    let guide = fs::read_to_string(root().join("docs/install.md")).unwrap();
    let mut files: Vec<(String, String)> = Vec::new();
    let mut is_inside = false;
    for line in guide.lines().map(str::trim) {
        if let Some((_, path)) = line.strip_suffix(" <<END").and_then(|command| command.split_once("tee ")) {
            files.push((path.to_owned(), String::new()));
            is_inside = true;
        } else if line == "END" {
            is_inside = false;
        } else if let Some((_, text)) = files.last_mut().filter(|_| is_inside) {
            text.push_str(line);
            text.push('\n');
        }
    }
    files
}

#[test]
fn a_package_is_installed_started_upgraded_removed_and_purged() {
    let debian = Debian::new();
    package(&debian);
    installs_and_starts_nothing(&debian);
    the_unit_is_in_order(&debian);
    hand_the_ports_to_the_system(&debian);
    let (network, router) = ports();
    let _router = services::dhcp(&router).unwrap();
    let booted = Booted::new(&debian, &network);
    let address = has_its_bridge_before_sluice_runs(&booted);
    runs_with_the_rights_of_the_unit(&booted);
    has_its_page_on_that_bridge(&booted, &router, &address);
    reloads_and_says_what_is_wrong(&debian, &booted);
    comes_back_when_it_was_killed(&booted);
    gives_way_to_an_upgrade(&booted);
    is_removed_and_leaves_bridge_state_and_configuration(&debian, &booted);
    is_purged_and_leaves_nothing_but_the_bridge(&debian, &booted);
}

/// A bridge made of the wrong ports would cut off the internet.
fn installs_and_starts_nothing(debian: &Debian) {
    let installed = debian.run("dpkg --install /sluice.deb");
    assert!(installed.success(), "{}{}", installed.stdout, installed.stderr);
    let told = ["have the system make the\nbridge, with the machine's address", "then systemctl enable sluice"];
    assert!(told.iter().all(|part| installed.stdout.contains(part)), "{}", installed.stdout);
    let listed = debian.run("dpkg --listfiles sluice").stdout;
    let files: Vec<_> = listed.lines().filter(|path| debian.path(path).is_file()).collect();
    assert_eq!(files.len(), FILES.len(), "{files:?}");
    assert!(FILES.iter().all(|file| files.contains(file)), "{files:?}");
    assert_eq!(debian.run("systemctl is-enabled sluice").stdout, "disabled\n");
    let checked = debian.run("sluice check-config");
    assert!(checked.stdout.starts_with("/etc/sluice/sluice.toml: fine"), "{}{}", checked.stdout, checked.stderr);
}

fn the_unit_is_in_order(debian: &Debian) {
    let verified = debian.run(&format!("systemd-analyze verify {UNIT}"));
    assert!(verified.success() && verified.stderr.is_empty(), "{}", verified.stderr);
    let judged = debian.run(&format!("systemd-analyze security --offline=yes --threshold={MOST_EXPOSED} {UNIT}"));
    assert!(judged.success(), "{}{}", judged.stdout, judged.stderr);
}

fn hand_the_ports_to_the_system(debian: &Debian) {
    let files = files_of_the_guide();
    assert_eq!(files.len(), 3, "the guide writes a bridge, its ports, and its address");
    for (path, text) in files {
        fs::write(debian.path(&path), text).unwrap();
    }
    assert!(debian.run("systemctl enable systemd-networkd").success());
}

/// As after a start with a mistake in the configuration; the address that the router gave.
fn has_its_bridge_before_sluice_runs(booted: &Booted<'_>) -> String {
    let mut address = None;
    wait_until("the bridge has an address", PATIENCE, || {
        let shown = booted.network.ip("-4 -brief address show br0").unwrap_or_default();
        address = shown.split_ascii_whitespace().nth(2).and_then(|found| found.split('/').next()).map(str::to_owned);
        address.is_some()
    })
    .unwrap();
    let ports = booted.network.ip("-brief link show master br0").unwrap();
    assert!(ports.contains("eth0") && ports.contains("eth1"), "{ports}");
    assert!(!booted.run("sluice status").success());
    address.unwrap()
}

fn has_its_page_on_that_bridge(booted: &Booted<'_>, router: &Namespace, address: &str) {
    let page = format!("curl -s --fail -m 5 -o /dev/null http://{address}:8080/");
    wait_until("the page answers", PATIENCE, || router.run_within(&page, PATIENCE).is_ok()).unwrap();
    let settings = booted.network.ip("-details link show br0").unwrap();
    for setting in ["stp_state 0", "forward_delay 0", "mcast_snooping 0"] {
        assert!(settings.contains(setting), "{setting}: {settings}");
    }
}

/// The self-test of the start is a child of the daemon and has its rights, and no more.
fn runs_with_the_rights_of_the_unit(booted: &Booted<'_>) {
    booted.run_well("systemctl enable --now sluice");
    booted.wait_for("the daemon answers", "sluice status");
    assert!(booted.has_bridge());
    wait_until("the self-test is over", PATIENCE, || booted.said().contains(" steps failed")).unwrap();
    assert!(booted.said().contains("self-test: 0 of 7 steps failed, 0 skipped"), "{}", booted.said());
}

fn reloads_and_says_what_is_wrong(debian: &Debian, booted: &Booted<'_>) {
    let file = debian.path("/etc/sluice/sluice.toml");
    let shipped = fs::read_to_string(&file).unwrap();
    fs::write(&file, shipped.replace("mode = \"observe\"", "mode = \"enforced\"")).unwrap();
    assert!(!booted.run("systemctl reload sluice").success());
    fs::write(&file, shipped.replace("mode = \"observe\"", "mode = \"enforce\"")).unwrap();
    booted.run_well("systemctl reload sluice");
    assert!(booted.run_well("sluice status").contains("mode enforce"));
}

fn comes_back_when_it_was_killed(booted: &Booted<'_>) {
    let before = booted.daemon();
    booted.run_well("systemctl kill --signal=KILL sluice");
    booted.wait_for("systemd has started it again", "sluice status");
    assert_ne!(booted.daemon(), before);
}

/// The process stays, so that not a packet is lost; the configuration that was changed is not asked about.
fn gives_way_to_an_upgrade(booted: &Booted<'_>) {
    let before = booted.daemon();
    let upgraded = booted.run_well("dpkg --install /sluice.deb");
    assert!(!upgraded.contains("does not run yet"), "{upgraded}");
    booted.wait_for("the new program answers", "sluice status");
    assert_eq!(booted.daemon(), before);
    assert_eq!(booted.said().matches("running in mode").count(), 3, "{}", booted.said());
}

fn is_removed_and_leaves_bridge_state_and_configuration(debian: &Debian, booted: &Booted<'_>) {
    assert!(booted.run_well("nft list tables").contains("sluice"));
    booted.run_well("dpkg --remove sluice");
    assert!(!booted.run("systemctl is-active sluice").success());
    assert_eq!(booted.run_well("nft list tables"), "");
    assert!(booted.has_bridge(), "removal must not cut off the internet");
    assert!(debian.path("/var/lib/sluice").is_dir());
    assert!(fs::read_to_string(debian.path("/etc/sluice/sluice.toml")).unwrap().contains("mode = \"enforce\""));
}

/// Also where a daemon was killed, whose tables stand, and where lists and links were put beside what is the package's.
fn is_purged_and_leaves_nothing_but_the_bridge(debian: &Debian, booted: &Booted<'_>) {
    booted.run_well("nft add table netdev sluice");
    booted.run_well("nft add table inet of-somebody-else");
    fs::create_dir(debian.path("/etc/sluice/lists")).unwrap();
    symlink(UNIT, debian.path("/etc/systemd/system/multi-user.target.wants/sluice.service")).unwrap();
    booted.run_well("dpkg --purge sluice");
    assert_eq!(booted.run_well("nft list tables"), "table inet of-somebody-else\n");
    assert!(booted.has_bridge());
    fs::remove_file(debian.path("/sluice.deb")).unwrap();
    for (path, _) in files_of_the_guide() {
        fs::remove_file(debian.path(&path)).unwrap();
    }
    assert_eq!(debian.traces(), Vec::<String>::new());
}
