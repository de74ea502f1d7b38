//! The box as an image that boots: an emulated board in the place where the laboratory has its box.
//!
//! ```text
//!   lan ── port0 ══ tap0 ── eth0 [ the board ] eth1 ── tap1 ══ port1 ── wan
//! ```
//!
//! The namespace `box` only holds the two pieces of wire (`══`), bridges of one frame in, one frame out.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use model_compiler::sealed::{KEY_BYTES, SecretKey};
use serde_json::Value;

use crate::benign::SSH_OPTIONS;
use crate::cleanup::work_folder;
use crate::cross::root;
use crate::firmware::{self, Firmware};
use crate::namespace::run;
use crate::network::Network;
use crate::process::{Running, SHORT, run_any, run_within, wait_until};
use crate::services::user_key;

/// How long the parts of an image may take to be fetched and put together.
const ASSEMBLING: Duration = Duration::from_secs(600);

/// How long an emulated board may take for anything that it does at its start.
const BOOTING: Duration = Duration::from_secs(180);

/// Where the boot partition begins in the disk, as mtools reads it: `buildroot/board/disk` puts it there.
const BOOT_PARTITION: &str = "1M";

/// The board as updates call it.
const BOARD: &str = "qemu-aarch64";

/// The firmware of the emulated board, in Debian's package qemu-efi-aarch64.
const FIRMWARE: &str = "/usr/share/qemu-efi-aarch64/QEMU_EFI.fd";

/// What the kernel misses of a processor that is emulated.
const OF_THE_EMULATOR: &str = "Early cacheinfo failed";

/// The line of the machine's GPIO chip at which its button is.
const BUTTON: u32 = 3;

/// An emulated board takes a processor for itself while it boots: more than two at once leave too little for the tests beside them.
static PLACES: [Mutex<()>; 2] = [const { Mutex::new(()) }; 2];

/// How many boards there have been: they take the places in turn.
static BOARDS: AtomicUsize = AtomicUsize::new(0);

/// An image for an emulated board, and the key that it takes updates of.
#[derive(Debug)]
pub struct Image {
    folder: PathBuf,
    key: PathBuf,
}

impl Image {
    /// Puts it together from the program for aarch64.
    ///
    /// # Errors
    /// A tool is missing, or Debian's packages cannot be had; the error holds what was printed.
    pub fn assemble(program: &Path) -> Result<Self> {
        let root = root();
        let folder = root.join("target/image");
        let mut random = [0; KEY_BYTES];
        File::open("/dev/urandom")?.read_exact(&mut random)?;
        let (secret, key) = (SecretKey::from_random(random), work_folder()?.join("update.key"));
        fs::write(&key, secret.to_text())?;
        let mut assemble = Command::new(root.join("tests/image/assemble"));
        assemble.arg(program).arg(&folder).arg(secret.public().to_string());
        run_within(&mut assemble, ASSEMBLING)?;
        Ok(Self { folder, key })
    }

    /// An update with one of the roots that were made with the image, `rootfs`, `broken` or `idle`.
    ///
    /// # Errors
    /// `packaging/update` failed; the error holds what was printed.
    pub fn update(&self, version: &str, root_file: &str) -> Result<PathBuf> {
        // Tests that run beside one another make updates of the same version from other roots.
        let update = work_folder()?.join(format!("{version}-{root_file}.update"));
        let part = format!("root={}", self.folder.join(format!("images/{root_file}.squashfs")).display());
        let mut command = Command::new(root().join("packaging/update"));
        run_within(command.arg(&self.key).args([BOARD, version]).arg(&update).arg(part), ASSEMBLING)?;
        Ok(update)
    }

    /// The folder with what a Raspberry Pi has of its own.
    fn raspberry_pi(&self) -> PathBuf {
        self.folder.join("raspberrypi")
    }

    /// A new disk as it is written on a card, a copy of that of the folder, with files on its boot partition that say who may log in, and what
    /// is configured.
    fn disk(folder: &Path, name: &str, config: Option<&str>) -> Result<PathBuf> {
        let disk = work_folder()?.join(format!("{name}.img"));
        run(Command::new("cp").arg("--sparse=always").arg(folder.join("disk.img")).arg(&disk))?;
        let boot = format!("{}@@{BOOT_PARTITION}", disk.display());
        let key = user_key()?.with_extension("pub");
        run(Command::new("mcopy").args(["-i", &boot]).arg(key).arg("::authorized_keys"))?;
        if let Some(config) = config {
            let file = disk.with_extension("toml");
            fs::write(&file, config)?;
            run(Command::new("mcopy").args(["-i", &boot]).arg(file).arg("::sluice.toml"))?;
        }
        Ok(disk)
    }
}

/// A board with a disk. It starts from it by itself, as a real one does. Its power goes when it is dropped.
#[derive(Debug)]
pub struct Machine<'a> {
    network: &'a Network,
    memory_mib: u32,
    disk: PathBuf,
    console: PathBuf,
    /// The socket by which QEMU is told what happens to the machine.
    monitor: PathBuf,
    /// The socket by which QEMU is told what the lines of the machine's chips are put to.
    lines: PathBuf,
    /// Its second port is plugged in while it runs.
    has_late_port: bool,
    /// What starts it, where that is not GRUB.
    firmware: Option<Firmware>,
    running: Option<Running>,
    /// Held as long as the board is there, so it comes behind what runs.
    _place: MutexGuard<'static, ()>,
}

impl<'a> Machine<'a> {
    /// Connects a board with so much memory that is still off, with a new disk and a configuration, or the one that is shipped. Waits for a
    /// place.
    ///
    /// # Errors
    /// Not root, or a tool is missing.
    pub fn connect(network: &'a Network, image: &Image, memory_mib: u32, config: Option<&str>) -> Result<Self> {
        Self::with_disk_of(&image.folder, network, memory_mib, config)
    }

    /// The same, started as a Raspberry Pi is.
    ///
    /// # Errors
    /// As there.
    pub fn raspberry_pi(network: &'a Network, image: &Image, memory_mib: u32) -> Result<Self> {
        let folder = image.raspberry_pi();
        let board = Self::with_disk_of(&folder, network, memory_mib, None)?;
        Ok(Self { firmware: Some(Firmware::new(&folder)), ..board })
    }

    fn with_disk_of(folder: &Path, network: &'a Network, memory_mib: u32, config: Option<&str>) -> Result<Self> {
        let place = &PLACES[BOARDS.fetch_add(1, Ordering::Relaxed) % PLACES.len()];
        let place = place.lock().unwrap_or_else(PoisonError::into_inner);
        for (wire, tap, port) in [("w0", "tap0", "port0"), ("w1", "tap1", "port1")] {
            for line in [
                format!("link add {wire} type bridge forward_delay 0 mcast_snooping 0"),
                format!("tuntap add {tap} mode tap"),
                format!("link set {tap} master {wire} up"),
                format!("link set {port} master {wire} up"),
                format!("link set {wire} up"),
            ] {
                network.r#box.ip(&line)?;
            }
        }
        let name = network.r#box.name();
        let (disk, file) = (Image::disk(folder, name, config)?, |kind| {
            Ok::<_, anyhow::Error>(work_folder()?.join(format!("{name}.{kind}")))
        });
        Ok(Self {
            network,
            memory_mib,
            disk,
            console: file("console")?,
            monitor: file("qmp")?,
            lines: file("qtest")?,
            has_late_port: false,
            firmware: None,
            running: None,
            _place: place,
        })
    }

    /// The same without its second port, until [`Self::plug_in`].
    #[must_use]
    pub fn with_late_port(self) -> Self {
        Self { has_late_port: true, ..self }
    }

    /// Turns it on. What its console shows begins anew.
    ///
    /// # Errors
    /// QEMU is not installed.
    pub fn power_on(&mut self) -> Result<()> {
        let drive = format!("file={},format=raw,if=virtio", self.disk.display());
        let serial = format!("file:{}", self.console.display());
        let mut command = self.network.r#box.command("qemu-system-aarch64");
        let memory = self.memory_mib.to_string();
        // Its devices are told by a device tree, as those of real boards are.
        command.args(["-M", "virt,acpi=off", "-accel", "tcg", "-cpu", "cortex-a53", "-m", &memory]);
        let socket = |path: &Path| format!("unix:{},server=on,wait=off", path.display());
        command.args(["-display", "none", "-monitor", "none", "-qmp", &socket(&self.monitor)]);
        command.args(["-qtest", &socket(&self.lines), "-qtest-log", "none"]);
        command.args(["-drive", &drive, "-serial", &serial]);
        match &mut self.firmware {
            Some(firmware) => firmware.start(&self.disk, &mut command)?,
            // It asks nobody which disk it shall start from.
            None => drop(command.args(["-bios", FIRMWARE, "-boot", "menu=on,splash-time=0"])),
        }
        for number in 0..2 {
            let tap = format!("tap,id=n{number},ifname=tap{number},script=no,downscript=no");
            command.args(["-netdev", &tap]);
            if number == 1 && self.has_late_port {
                command.args(["-device", "pcie-root-port,id=late,addr=9"]);
            } else {
                let card = format!("virtio-net-pci,netdev=n{number},mac=02:00:5e:10:01:0{number},romfile=");
                command.args(["-device", &card]);
            }
        }
        self.running = Some(Running::start(&mut command)?);
        Ok(())
    }

    /// Pulls the plug, whatever it is doing.
    pub fn cut_power(&mut self) {
        self.running = None;
    }

    /// Waits until a board whose firmware is played restarts, and starts what that wants; what its console has shown until then.
    ///
    /// # Errors
    /// It goes on.
    pub fn follow_restart(&mut self) -> Result<String> {
        let mut running = self.running.take().context("it is off")?;
        let restarts = wait_until("the board restarts", BOOTING, || !running.is_alive());
        let console = self.console();
        restarts.with_context(|| console.clone())?;
        self.firmware.as_mut().context("no firmware is played")?.hear(&console);
        self.power_on()?;
        Ok(console)
    }

    /// Has a board that is off believe that the slot which its firmware starts came to nothing so often.
    ///
    /// # Errors
    /// It counts already.
    pub fn write_starts(&self, starts: &str) -> Result<()> {
        firmware::write_starts(&self.disk, starts)
    }

    /// Plugs in the second port.
    ///
    /// # Errors
    /// It is off, or has it.
    pub fn plug_in(&self) -> Result<()> {
        let card =
            r#""driver": "virtio-net-pci", "bus": "late", "netdev": "n1", "mac": "02:00:5e:10:01:01", "romfile": """#;
        tell(&mut self.monitor()?, &format!(r#""device_add", "arguments": {{{card}}}"#)).map(drop)
    }

    fn monitor(&self) -> Result<BufReader<UnixStream>> {
        let mut monitor = BufReader::new(UnixStream::connect(&self.monitor)?);
        tell(&mut monitor, "\"qmp_capabilities\"")?;
        Ok(monitor)
    }

    /// Presses its button, and lets go of it after so long.
    ///
    /// # Errors
    /// It is off.
    pub fn press(&self, held: Duration) -> Result<()> {
        let mut lines = BufReader::new(UnixStream::connect(&self.lines)?);
        let chip = self.gpio_chip()?;
        let mut put = |level: u8| {
            writeln!(lines.get_mut(), "set_irq_in {chip} unnamed-gpio-in {BUTTON} {level}")?;
            let mut answer = String::new();
            lines.read_line(&mut answer)?;
            ensure!(answer.trim() == "OK", "QEMU does not put a line: {answer}");
            Ok(())
        };
        put(1)?;
        sleep(held);
        put(0)
    }

    /// What QEMU calls its GPIO chip.
    fn gpio_chip(&self) -> Result<String> {
        const DEVICES: &str = "/machine/unattached";
        let told = tell(&mut self.monitor()?, &format!(r#""qom-list", "arguments": {{"path": "{DEVICES}"}}"#))?;
        let devices = told["return"].as_array().context("QEMU tells no devices")?;
        let chip = devices.iter().find(|device| device["type"] == "child<pl061>").context("it has no GPIO chip")?;
        Ok(format!("{DEVICES}/{}", chip["name"].as_str().context("the GPIO chip has no name")?))
    }

    /// What its console has shown since it was turned on.
    #[must_use]
    pub fn console(&self) -> String {
        fs::read(&self.console).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// The address that it was given by DHCP, as its console says.
    ///
    /// # Errors
    /// It was given none; the error holds the console.
    pub fn address(&self) -> Result<String> {
        let told = |console: &str| Some(console.split_once("http://")?.1.split_once(':')?.0.to_owned());
        let waited = wait_until("the console tells the address", BOOTING, || told(&self.console()).is_some());
        let console = self.console();
        waited.with_context(|| self.complaint())?;
        told(&console).context("no address")
    }

    /// Runs a command line in it, by ssh from the LAN; its standard output.
    ///
    /// # Errors
    /// It cannot be reached, or the command failed.
    pub fn shell(&self, address: &str, line: &str) -> Result<String> {
        let mut command = self.ssh(address)?;
        run_within(command.arg(line), SHORT)
    }

    /// The same with a file as its standard input; it may take as long as a start.
    ///
    /// # Errors
    /// As there.
    pub fn shell_with(&self, address: &str, line: &str, input: &Path) -> Result<String> {
        self.shell_and_file(address, line, "<", input)
    }

    /// The same with what it prints written into a file.
    ///
    /// # Errors
    /// As there.
    pub fn shell_into(&self, address: &str, line: &str, output: &Path) -> Result<()> {
        self.shell_and_file(address, line, ">", output).map(drop)
    }

    fn shell_and_file(&self, address: &str, line: &str, redirection: &str, file: &Path) -> Result<String> {
        let mut command = self.network.lan.command("sh");
        command.args(["-c", &format!("exec ssh \"$@\" {redirection}\"$0\"")]).arg(file).args(Self::log_in(address)?);
        run_within(command.arg(line), BOOTING)
    }

    /// Whether somebody can log in by now.
    #[must_use]
    pub fn lets_in(&self, address: &str) -> bool {
        self.ssh(address).is_ok_and(|mut ssh| run_any(ssh.arg("true"), SHORT).is_ok_and(|finished| finished.success()))
    }

    fn ssh(&self, address: &str) -> Result<Command> {
        let mut command = self.network.lan.command("ssh");
        command.args(Self::log_in(address)?);
        Ok(command)
    }

    /// What ssh is told to log in.
    fn log_in(address: &str) -> Result<Vec<String>> {
        let options = SSH_OPTIONS.split(' ').chain(["-o", "BatchMode=yes", "-o", "ConnectTimeout=5", "-i"]);
        let key = user_key()?.display().to_string();
        Ok(options.map(str::to_owned).chain([key, format!("root@{address}")]).collect())
    }

    /// Waits until somebody can log in.
    ///
    /// # Errors
    /// Nobody can; the error holds the console.
    pub fn wait_for_log_in(&self, address: &str) -> Result<Duration> {
        wait_until("the board lets somebody log in", BOOTING, || self.lets_in(address))
            .with_context(|| self.complaint())
    }

    /// Fails with the console where it shows that something is wrong.
    ///
    /// # Errors
    /// It does.
    pub fn check_console(&self) -> Result<()> {
        let console = self.console();
        let wrong =
            ["error", "fail", "panic", "Oops", "BUG", "not found", "can't", "cannot", "No such", "WARNING", "Aborted"];
        let is_bad = |line: &&str| wrong.iter().any(|word| line.contains(word)) && !line.contains(OF_THE_EMULATOR);
        let bad: Vec<&str> = console.lines().filter(is_bad).collect();
        ensure!(bad.is_empty(), "the console shows: {bad:#?}");
        Ok(())
    }

    /// Has the file system of the data partition checked from outside; the journal is played back first, as at a start.
    ///
    /// # Errors
    /// Something is wrong beyond that; the error holds what e2fsck printed.
    pub fn check_data(&self) -> Result<()> {
        let (data, _) = self.data()?;
        run_within(Command::new("e2fsck").arg("-fn").arg(data), SHORT)?;
        Ok(())
    }

    /// Damages the file system of the data partition as a kernel finds it: the folder of the state is none any more, and the kernel noted that
    /// something is wrong. What loses nothing (`e2fsck -p`) does not mend that.
    ///
    /// # Errors
    /// As for [`Self::check_data`], or e2fsck mends it all the same.
    pub fn damage_data(&self) -> Result<()> {
        let (data, start_mib) = self.data()?;
        for deed in ["sif state mode 0", "ssv state 2"] {
            run(Command::new("debugfs").args(["-w", "-R", deed]).arg(&data))?;
        }
        let copy = data.with_extension("copy");
        run(Command::new("cp").arg("--sparse=always").args([&data, &copy]))?;
        let mended = run_any(Command::new("e2fsck").arg("-p").arg(copy), SHORT)?;
        ensure!(mended.code() == Some(4), "it is no damage: {}{}", mended.stdout, mended.stderr);
        let words =
            [format!("if={}", data.display()), format!("of={}", self.disk.display()), format!("seek={start_mib}")];
        run(Command::new("dd").args(words).args(["bs=1M", "conv=notrunc", "status=none"])).map(drop)
    }

    /// Overwrites the beginning of a partition with zeros: it can be mounted no more.
    ///
    /// # Errors
    /// There is no such partition.
    pub fn wipe(&self, partition: &str) -> Result<()> {
        let (start_mib, _) = self.partition(partition)?;
        let words = [format!("of={}", self.disk.display()), format!("seek={start_mib}")];
        run(Command::new("dd").args(["if=/dev/zero", "bs=1M", "count=1", "conv=notrunc", "status=none"]).args(words))
            .map(drop)
    }

    /// At which MiB of the disk a partition begins, and how many it has.
    fn partition(&self, name: &str) -> Result<(u64, u64)> {
        let table = run(Command::new("sfdisk").args(["--dump"]).arg(&self.disk))?;
        let is_it = |line: &&str| line.contains(&format!("name=\"{name}\""));
        let line = table.lines().find(is_it).with_context(|| format!("no partition `{name}`"))?;
        // In sectors; `buildroot/board/disk` has all partitions in whole MiB.
        let mib = |name: &str| {
            let mut words = line.split([',', ':']);
            let sectors = words.find_map(|word| word.trim().strip_prefix(name)?.trim().strip_prefix('='));
            Ok::<_, anyhow::Error>(sectors.context("no such word")?.trim().parse::<u64>()? / 2048)
        };
        Ok((mib("start")?, mib("size")?))
    }

    /// A copy of the data partition with its journal played back, and at which MiB of the disk the partition begins.
    fn data(&self) -> Result<(PathBuf, u64)> {
        let data = self.disk.with_extension("data");
        let (start_mib, mib) = self.partition("data")?;
        let words = [format!("if={}", self.disk.display()), format!("of={}", data.display())];
        let place = [format!("skip={start_mib}"), format!("count={mib}")];
        run(Command::new("dd").args(words).args(place).args(["bs=1M", "conv=sparse", "status=none"]))?;
        // 0 is clean; 1 is mended, such as by the journal, which a second look must find to be all.
        let mended = run_any(Command::new("e2fsck").arg("-p").arg(&data), SHORT)?;
        ensure!(matches!(mended.code(), Some(0 | 1)), "{}{}", mended.stdout, mended.stderr);
        Ok((data, start_mib))
    }

    fn complaint(&self) -> String {
        let printed = self.running.as_ref().map_or_else(|| "it is off".to_owned(), Running::stderr);
        format!("{printed}\nthe console:\n{}", self.console())
    }
}

/// Has QEMU carry out a command of its machine protocol, with the arguments behind it; what it answers when it did.
fn tell(monitor: &mut BufReader<UnixStream>, command: &str) -> Result<Value> {
    writeln!(monitor.get_mut(), "{{\"execute\": {command}}}")?;
    // Events and the greeting come between.
    for line in monitor.lines() {
        let told: Value = serde_json::from_str(&line?)?;
        ensure!(told.get("error").is_none(), "{told}");
        if told.get("return").is_some() {
            return Ok(told);
        }
    }
    bail!("QEMU ended")
}
