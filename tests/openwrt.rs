//! The package for OpenWrt: its form, its files, and its scripts in a root with BusyBox, where the real program judges what they make
//! of UCI. Neither opkg nor procd nor uci are to be had as a package of Debian, so `tests/openwrt/` stands for them: it reads files of
//! UCI, and writes down what procd is told. What OpenWrt makes of that is not tested.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use lab::cleanup::work_folder;
use lab::cross::root;
use lab::daemon::sluice_program;
use lab::namespace::Namespace;
use lab::process::{Finished, Running, SHORT, run_any, run_within, wait_until};

/// How long something that must happen may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What `tar` says of the package's files: mode, owner and path.
const FILES: [&str; 9] = [
    "-rw------- 0/0 ./etc/config/sluice",
    "-rwxr-xr-x 0/0 ./etc/hotplug.d/iface/50-sluice",
    "-rwxr-xr-x 0/0 ./etc/init.d/sluice",
    "lrwxrwxrwx 0/0 ./etc/sluice/sluice.toml -> /var/etc/sluice.toml",
    "-rwxr-xr-x 0/0 ./etc/uci-defaults/50-sluice",
    "-rw-r--r-- 0/0 ./lib/upgrade/keep.d/sluice",
    "-rwxr-xr-x 0/0 ./usr/bin/sluice",
    "-rwxr-xr-x 0/0 ./usr/libexec/sluice/uci-config",
    "-rw-r--r-- 0/0 ./usr/share/sluice/sluice.toml",
];

/// What procd is told of a Sluice that runs.
const INSTANCE: &str = "open_instance \nset_param command /usr/bin/sluice run\nset_param respawn 3600 5 0\nset_param stdout 1\n\
                        set_param stderr 1\nset_param no_new_privs 1\nset_param term_timeout 10\nclose_instance \n";

/// What procd is told in any case.
const TRIGGER: &str = "add_reload_trigger sluice\n";

/// Where programs are, on this machine and on a router.
const PROGRAMS: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// Where commands find the configuration.
const CONFIG: &str = "/etc/sluice/sluice.toml";

/// The package with this file as the program, for a router of this architecture: each test has its own.
fn package(program: &Path, architecture: &str) -> Vec<u8> {
    let mut build = Command::new(root().join("packaging/openwrt/build"));
    build.args(["aarch64-unknown-linux-musl", architecture]).arg(program).env("SOURCE_DATE_EPOCH", "1700000000");
    let made = root().join(run_within(&mut build, PATIENCE).unwrap().trim());
    let package = fs::read(&made).unwrap();
    fs::remove_file(made).unwrap();
    package
}

/// A folder with what OpenWrt's scripts and Sluice run on.
struct Router {
    root: PathBuf,
}

impl Router {
    /// BusyBox, the package as it is unpacked, and the real program in its place.
    fn new(name: &str) -> Self {
        let router = Self { root: work_folder().unwrap().join(name) };
        for folder in ["bin", "dev", "etc", "lib", "proc", "run", "sys", "tmp", "usr"] {
            fs::create_dir_all(router.path(folder)).unwrap();
        }
        symlink("tmp", router.path("var")).unwrap();
        fs::write(router.path("dev/null"), "").unwrap();
        router.add_program("/usr/bin/busybox", "bin/busybox");
        let list = router.run("/bin/busybox --list").stdout;
        list.lines().for_each(|applet| symlink("busybox", router.path("bin").join(applet)).unwrap());
        for (file, place) in [("functions.sh", "lib/functions.sh"), ("rc.common", "etc/rc.common")] {
            fs::copy(root().join("tests/openwrt").join(file), router.path(place)).unwrap();
        }
        fs::write(router.path("tmp/sluice.ipk"), package(&router.path("bin/busybox"), name)).unwrap();
        router.run_well("tar -x -z -f /tmp/sluice.ipk -C /tmp");
        router.run_well("tar -x -z -f /tmp/data.tar.gz -C /");
        router.add_program(sluice_program().unwrap().to_str().unwrap(), "usr/bin/sluice");
        router
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// Copies a program and the libraries that it names.
    fn add_program(&self, program: &str, place: &str) {
        let named = run_within(Command::new("ldd").arg(program), SHORT).unwrap();
        for library in named.split_ascii_whitespace().filter(|word| word.starts_with('/')) {
            fs::create_dir_all(self.path(library).parent().unwrap()).unwrap();
            fs::copy(library, self.path(library)).unwrap();
        }
        // By another process: a test beside this one may start a program just now, which would hold the copy open for writing, and what
        // is written cannot be run ("text file busy").
        run_within(Command::new("cp").arg(program).arg(self.path(place)), SHORT).unwrap();
    }

    /// Runs a line of words in it.
    fn run(&self, line: &str) -> Finished {
        let mut chroot = Command::new("chroot");
        chroot.env("PATH", PROGRAMS).arg(&self.root).args(line.split_ascii_whitespace());
        run_any(&mut chroot, PATIENCE).unwrap()
    }

    fn run_well(&self, line: &str) -> String {
        let finished = self.run(line);
        assert!(finished.success(), "{line}: {}{}", finished.stdout, finished.stderr);
        finished.stdout
    }

    /// `/etc/config/sluice` with these options of the section `main`, and what follows.
    fn set(&self, lines: &str) {
        fs::write(self.path("etc/config/sluice"), format!("config sluice 'main'\n{lines}\n")).unwrap();
    }

    /// Has `sluice.toml` made of it; what is said where it is refused.
    fn configure(&self, lines: &str) -> Result<(), String> {
        self.set(lines);
        fs::create_dir_all(self.path("tmp/etc")).unwrap();
        let made = self.run("/usr/libexec/sluice/uci-config /var/etc/sluice.toml");
        if made.success() { Ok(()) } else { Err(made.stderr) }
    }

    /// What procd was told since the service was started last.
    fn told(&self) -> String {
        fs::read_to_string(self.path("tmp/procd")).unwrap_or_default()
    }
}

#[test]
fn the_package_for_openwrt_has_the_form_and_the_files_of_one() {
    let program = work_folder().unwrap().join("a-program");
    fs::write(&program, "a program").unwrap();
    let made = package(&program, "aarch64_cortex-a53");
    assert!(made == package(&program, "aarch64_cortex-a53"), "the same inputs make the same bytes");
    let folder = work_folder().unwrap().join("ipk");
    fs::create_dir_all(&folder).unwrap();
    let tar = |words: &[&str]| run_within(Command::new("tar").current_dir(&folder).args(words), SHORT).unwrap();
    fs::write(folder.join("sluice.ipk"), made).unwrap();
    assert_eq!(tar(&["-t", "-f", "sluice.ipk"]), "./debian-binary\n./data.tar.gz\n./control.tar.gz\n");
    tar(&["-x", "-f", "sluice.ipk"]);
    assert_eq!(fs::read_to_string(folder.join("debian-binary")).unwrap(), "2.0\n");
    let listed = tar(&["-t", "-v", "-f", "data.tar.gz"]);
    let files: Vec<String> = listed.lines().filter(|line| !line.starts_with('d')).map(mode_owner_and_path).collect();
    assert_eq!(files, FILES);
    tar(&["-x", "-f", "control.tar.gz"]);
    let control = fs::read_to_string(folder.join("control")).unwrap();
    for field in [
        "Package: sluice\n",
        concat!("Version: ", env!("CARGO_PKG_VERSION"), "-r1\n"),
        "Architecture: aarch64_cortex-a53\n",
        "Depends: kmod-nft-netdev, kmod-nft-bridge, kmod-veth\n",
    ] {
        assert!(control.contains(field), "{field}: {control}");
    }
    assert_eq!(fs::read_to_string(folder.join("conffiles")).unwrap(), "/etc/config/sluice\n");
    assert!(folder.join("postinst").is_file() && folder.join("prerm").is_file());
}

/// Of a line of `tar -t -v`: `MODE OWNER SIZE DAY TIME PATH`.
fn mode_owner_and_path(line: &str) -> String {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    [&words[..2], &words[5..]].concat().join(" ")
}

#[test]
fn what_uci_says_becomes_a_configuration_that_the_program_accepts() {
    let router = Router::new("openwrt-accepted");
    let shipped = fs::read_to_string(router.path("etc/config/sluice")).unwrap();
    let (_, shipped) = shipped.split_once("config sluice 'main'\n").unwrap();
    for (lines, meant) in [
        ("", &["mode observe, profile Balanced", "bridge br0 of eth0 and eth1, addresses none"][..]),
        (shipped, &["mode observe", "bridge br-sluice of eth0 and eth1", "page at port 8080"]),
        (
            "option mode enforce\noption profile strict\noption bridge br-lan\nlist port lan1\nlist port wan\n\
             option internet_port wan\noption listen_port 0\noption on_failure closed\noption memory small",
            &[
                "mode enforce, profile Strict",
                "no traffic passes until it runs again",
                "bridge br-lan of lan1 and wan",
                "internet port: wan",
                "no page",
                "memory profile small",
            ],
        ),
        (
            "list allow 198.51.100.10\nlist allow 02:00:5e:10:00:01\nlist allow nas.example.org\nlist lan 198.51.100.0/24",
            &["never blocked: 198.51.100.10, 02:00:5e:10:00:01, nas.example.org", "household: 198.51.100.0/24"],
        ),
        ("option allow '198.51.100.10 198.51.100.11'", &["never blocked: 198.51.100.10, 198.51.100.11"]),
        (
            "config feed bad\noption path /etc/bad.txt\noption class botnet\noption confidence 0.9\noption block 1\n\
             config feed off\noption enabled 0\noption class nonsense",
            &["list \"bad\": 1 addresses"],
        ),
        (
            "option bridge br-lan\nlist port lan1\nlist port wan\noption extra /etc/extra.toml\n\
             config feed bad\noption path /etc/bad.txt\noption class botnet\noption confidence 0.9",
            &["bridge br-lan of lan1 and wan, addresses 198.51.100.9/24", "rules: mine", "list \"bad\": 1 addresses"],
        ),
        ("option config_file /etc/own.toml", &["bridge br9 of a and b"]),
    ] {
        fs::write(router.path("etc/bad.txt"), "203.0.113.9\n").unwrap();
        fs::write(router.path("etc/own.toml"), "[bridge]\nname = \"br9\"\nports = [\"a\", \"b\"]\n").unwrap();
        let extra = "bridge.addresses = [\"198.51.100.9/24\"]\n\
                     [[rules]]\nname = \"mine\"\nwhen = [\"odd_flags > 0\"]\nclass = \"scan\"\nconfidence = 0.8";
        fs::write(router.path("etc/extra.toml"), extra).unwrap();
        assert_eq!(router.configure(lines), Ok(()), "{lines}");
        let said = router.run_well(&format!("sluice check-config {CONFIG}"));
        assert!(said.starts_with("/etc/sluice/sluice.toml: fine"), "{said}");
        for words in meant {
            assert!(said.contains(words), "{lines}: {words}: {said}");
        }
    }
}

#[test]
fn what_is_wrong_in_uci_is_told_with_its_option_and_replaces_nothing() {
    let router = Router::new("openwrt-refused");
    router.configure("option mode enforce").unwrap();
    for (lines, told) in [
        ("option mode enforced", "sluice.main.mode: unknown variant `enforced`, expected one of `observe`"),
        ("list port eth0", "sluice.main.port: name two ports, such as "),
        ("list port eth0\nlist port eth0", "sluice.main.port: name two different interfaces"),
        ("list port eth0\nlist port eth1\noption internet_port eth7", "sluice.main.internet_port: `eth7` is none of"),
        ("list allow 198.51.100.300", "sluice.main.allow: `198.51.100.300` is neither an address"),
        ("option profile 'strict\" #'", "sluice.main.profile: unknown variant `strict\" #`"),
        ("option listen_port eighty", "sluice.main.listen_port: `eighty` is no number"),
        ("option listen_port 70000", "sluice.main.listen_port: 70000 is no port"),
        ("option selftest_at_start maybe", "sluice.main.selftest_at_start: `maybe` is neither 0 nor 1"),
        ("option extra /nowhere.toml", "sluice.main.extra: there is no file `/nowhere.toml`"),
        ("option extra /etc/extra.toml", "sluice.main.extra: line 2: unknown key `moed`"),
        ("option config_file /nowhere.toml", "sluice.main.config_file: sluice: /nowhere.toml: cannot read"),
        (
            "config feed bad\noption url nowhere\noption class botnet\noption confidence 0.9",
            "sluice.bad.url: give an address",
        ),
        (
            "config feed bad\noption path /etc/bad.txt\noption class botne\noption confidence 0.9",
            "sluice.bad.class: `botne`",
        ),
        ("config feed bad\noption class botnet\noption confidence 0.9", "sluice.bad: give the list a `path`"),
        (
            "option extra /etc/good.toml\nconfig feed bad\noption class botnet\noption confidence 0.9",
            "sluice.bad: give the list a `path`",
        ),
    ] {
        fs::write(router.path("etc/extra.toml"), "[model]\nmoed = \"observe\"\n").unwrap();
        fs::write(router.path("etc/good.toml"), "web.listen_port = 8081").unwrap();
        let refused = router.configure(lines).expect_err(lines);
        assert!(refused.contains(&format!("/etc/config/sluice: {told}")), "{lines}: {refused}");
        let kept = router.run_well(&format!("sluice check-config {CONFIG}"));
        assert!(kept.contains("mode enforce,"), "{lines}: {kept}");
    }
}

/// The router with two ports, a network of its own, and its own first process.
struct Booted<'a> {
    container: Running,
    router: &'a Router,
}

impl<'a> Booted<'a> {
    fn new(router: &'a Router, network: &Namespace) -> Self {
        let root = router.root.display();
        let first = format!(
            "mount -t proc proc {root}/proc && mount -t sysfs sysfs {root}/sys && exec chroot {root} /bin/sleep 100000"
        );
        let mut unshare = network.command("unshare");
        unshare.args(["--mount", "--pid", "--fork", "--kill-child", "sh", "-c", &first]);
        let booted = Self { container: Running::start(&mut unshare).unwrap(), router };
        wait_until("its first process runs", PATIENCE, || booted.first_process().is_some()).unwrap();
        booted
    }

    fn first_process(&self) -> Option<u32> {
        self.container.child_called("sleep")
    }

    fn command(&self, line: &str) -> Command {
        let first = self.first_process().unwrap_or_else(|| panic!("{}", self.container.complaint("has ended")));
        let mut command = Command::new("nsenter");
        command.args(["--target", &first.to_string(), "--mount", "--pid", "--net", "--root", "--wd"]);
        command.env("PATH", PROGRAMS).args(line.split_ascii_whitespace());
        command
    }

    fn run(&self, line: &str) -> Finished {
        run_any(&mut self.command(line), PATIENCE).unwrap()
    }

    fn run_well(&self, line: &str) -> String {
        let finished = self.run(line);
        assert!(finished.success(), "{line}: {}{}", finished.stdout, finished.stderr);
        finished.stdout
    }

    /// Runs what procd was told to run.
    fn do_as_procd(&self) -> Running {
        let told = self.router.told();
        let command = told.lines().find_map(|line| line.strip_prefix("set_param command ")).expect("a command");
        let daemon = Running::start(&mut self.command(command)).unwrap();
        wait_until("the daemon answers", PATIENCE, || self.run("sluice status").success()).unwrap();
        daemon
    }
}

#[test]
fn an_upgrade_of_openwrt_keeps_what_somebody_wrote_and_packs_no_database_in_use() {
    let folder = work_folder().unwrap().join("keep");
    for file in ["own.toml", "extra.toml", "lists/mine.txt", "state/sluice.db", "state/sluice.db-wal"] {
        let file = folder.join("etc/sluice").join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "").unwrap();
    }
    // As /sbin/sysupgrade reads the list.
    let line = "find $(sed 's|^/||' \"$0\") -type f | sort";
    let list = root().join("packaging/openwrt/net/sluice/files/sluice.keep");
    let kept = run_within(Command::new("sh").args(["-c", line]).arg(list).current_dir(folder), SHORT).unwrap();
    assert_eq!(kept, "etc/sluice/extra.toml\netc/sluice/lists/mine.txt\netc/sluice/own.toml\n");
}

#[test]
fn the_service_waits_for_its_bridge_starts_reloads_and_keeps_what_was_right() {
    let router = Router::new("openwrt-service");
    let network = Namespace::new("openwrt").unwrap();
    for port in ["eth0", "eth1"] {
        network.ip(&format!("link add {port} type veth peer name far-{port}")).unwrap();
        network.ip(&format!("link set far-{port} up")).unwrap();
    }
    let booted = Booted::new(&router, &network);
    starts_nothing_unless_it_is_enabled(&booted);
    waits_for_the_bridge(&booted, &network);
    let mut daemon = booted.do_as_procd();
    takes_a_change_over(&booted);
    goes_on_in_spite_of_a_mistake(&booted);
    takes_another_bridge_over_by_a_restart(&booted, &network);
    assert!(daemon.is_alive(), "{}", daemon.complaint("has ended"));
}

/// As it is shipped.
fn starts_nothing_unless_it_is_enabled(booted: &Booted<'_>) {
    booted.run_well("/etc/init.d/sluice start");
    assert_eq!(booted.router.told(), TRIGGER);
}

/// As at a boot where netifd has not made it yet; when it has, it says so.
fn waits_for_the_bridge(booted: &Booted<'_>, network: &Namespace) {
    booted.router.set("option enabled 1\noption bridge br-sluice\nlist port eth0\nlist port eth1");
    let waiting = booted.run("/etc/init.d/sluice start");
    assert!(waiting.stderr.contains("waits for the bridge br-sluice"), "{}", waiting.stderr);
    assert_eq!(booted.router.told(), TRIGGER);
    network.ip("link add br-sluice type bridge").unwrap();
    let hotplug = "/etc/hotplug.d/iface/50-sluice";
    booted.run_well(&format!("env ACTION=ifup DEVICE=br-sluice /bin/sh {hotplug}"));
    assert_eq!(booted.router.told(), format!("{INSTANCE}{TRIGGER}"));
}

fn takes_a_change_over(booted: &Booted<'_>) {
    booted.router.set("option enabled 1\noption bridge br-sluice\noption mode enforce");
    let said = booted.run_well("/etc/init.d/sluice reload");
    assert!(said.contains("what has changed holds: mode"), "{said}");
    assert!(booted.run_well("sluice status").contains("mode enforce"));
}

/// What is wrong changes nothing; nor does it end what runs when the service is started again, as a bridge that comes up does.
fn goes_on_in_spite_of_a_mistake(booted: &Booted<'_>) {
    booted.router.set("option enabled 1\noption bridge br-sluice\noption mode enforced");
    let refused = booted.run("/etc/init.d/sluice reload");
    assert!(!refused.success() && refused.stderr.contains("sluice.main.mode"), "{}", refused.stderr);
    booted.run("/etc/init.d/sluice start");
    assert_eq!(booted.router.told(), format!("{INSTANCE}{TRIGGER}"));
    assert!(booted.run_well("sluice status").contains("mode enforce"));
}

/// The bridge is fixed until the program runs anew, which it does in the same process.
fn takes_another_bridge_over_by_a_restart(booted: &Booted<'_>, network: &Namespace) {
    network.ip("link del br-sluice").unwrap();
    network.ip("link add br-other type bridge").unwrap();
    booted.router.set("option enabled 1\noption bridge br-other\noption mode enforce");
    let said = booted.run_well("/etc/init.d/sluice reload");
    assert!(said.contains("bridge.name") && said.contains("Sluice runs anew; no block was lifted"), "{said}");
    let ports = network.ip("-brief link show master br-other").unwrap();
    assert!(ports.contains("eth0") && ports.contains("eth1"), "{ports}");
}
