//! The box as an image that boots: an emulated board in the place where the laboratory has its box.
//!
//! ```text
//!   lan ── port0 ══ tap0 ── eth0 [ the board ] eth1 ── tap1 ══ port1 ── wan
//! ```
//!
//! The namespace `box` only holds the two pieces of wire (`══`), bridges of one frame in, one frame out.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::benign::SSH_OPTIONS;
use crate::cleanup::work_folder;
use crate::cross::root;
use crate::namespace::run;
use crate::network::Network;
use crate::process::{Running, SHORT, run_any, run_within, wait_until};
use crate::services::user_key;

/// How long the parts of an image may take to be fetched and put together.
const ASSEMBLING: Duration = Duration::from_secs(600);

/// How long an emulated board may take for anything that it does at its start.
const BOOTING: Duration = Duration::from_secs(180);

/// Where the boot partition begins in the disk, as mtools reads it: `tests/image/assemble` puts it there.
const BOOT_PARTITION: &str = "1M";

/// The parts of an image for an emulated board.
#[derive(Debug)]
pub struct Image {
    folder: PathBuf,
}

impl Image {
    /// Puts it together from the program for aarch64.
    ///
    /// # Errors
    /// A tool is missing, or Debian's packages cannot be had; the error holds what was printed.
    pub fn assemble(program: &Path) -> Result<Self> {
        let root = root();
        let folder = root.join("target/image");
        run_within(Command::new(root.join("tests/image/assemble")).arg(program).arg(&folder), ASSEMBLING)?;
        Ok(Self { folder })
    }

    /// A new disk as it is written on a card, with a file on its boot partition that says who may log in.
    fn disk(&self, name: &str) -> Result<PathBuf> {
        let disk = work_folder()?.join(format!("{name}.img"));
        run(Command::new("cp").arg("--sparse=always").arg(self.folder.join("disk.img")).arg(&disk))?;
        let boot = format!("{}@@{BOOT_PARTITION}", disk.display());
        let key = user_key()?.with_extension("pub");
        run(Command::new("mcopy").args(["-i", &boot]).arg(key).arg("::authorized_keys"))?;
        Ok(disk)
    }
}

/// A board with a disk. Its power goes when it is dropped.
#[derive(Debug)]
pub struct Machine<'a> {
    network: &'a Network,
    image: &'a Image,
    disk: PathBuf,
    console: PathBuf,
    running: Option<Running>,
}

impl<'a> Machine<'a> {
    /// Connects a board that is still off, with a new disk.
    ///
    /// # Errors
    /// Not root, or a tool is missing.
    pub fn connect(network: &'a Network, image: &'a Image) -> Result<Self> {
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
        let (disk, console) = (image.disk(name)?, work_folder()?.join(format!("{name}.console")));
        Ok(Self { network, image, disk, console, running: None })
    }

    /// Turns it on. What its console shows begins anew.
    ///
    /// # Errors
    /// QEMU is not installed.
    pub fn power_on(&mut self) -> Result<()> {
        let file = |name: &str| self.image.folder.join(name).display().to_string();
        let drive = format!("file={},format=raw,if=virtio", self.disk.display());
        let serial = format!("file:{}", self.console.display());
        let mut command = self.network.r#box.command("qemu-system-aarch64");
        command.args([
            "-M",
            "virt",
            "-cpu",
            "cortex-a53",
            "-m",
            "256",
            "-display",
            "none",
            "-monitor",
            "none",
            "-no-reboot",
        ]);
        command.args(["-kernel", &file("kernel"), "-initrd", &file("initrd"), "-append"]);
        command.args(["console=ttyAMA0 loglevel=4 root=/dev/vda2", "-drive", &drive, "-serial", &serial]);
        for number in 0..2 {
            let tap = format!("tap,id=n{number},ifname=tap{number},script=no,downscript=no");
            let card = format!("virtio-net-pci,netdev=n{number},mac=02:00:5e:10:01:0{number},romfile=");
            command.args(["-netdev", &tap, "-device", &card]);
        }
        self.running = Some(Running::start(&mut command)?);
        Ok(())
    }

    /// Pulls the plug, whatever it is doing.
    pub fn cut_power(&mut self) {
        self.running = None;
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

    /// Whether somebody can log in by now.
    #[must_use]
    pub fn lets_in(&self, address: &str) -> bool {
        self.ssh(address).is_ok_and(|mut ssh| run_any(ssh.arg("true"), SHORT).is_ok_and(|finished| finished.success()))
    }

    fn ssh(&self, address: &str) -> Result<Command> {
        let mut command = self.network.lan.command("ssh");
        command.args(SSH_OPTIONS.split(' ')).args(["-o", "BatchMode=yes", "-o", "ConnectTimeout=5", "-i"]);
        command.arg(user_key()?).arg(format!("root@{address}"));
        Ok(command)
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
        let wrong = ["error", "fail", "panic", "Oops", "BUG", "not found", "can't", "cannot", "No such", "WARNING"];
        let bad: Vec<&str> = console.lines().filter(|line| wrong.iter().any(|word| line.contains(word))).collect();
        ensure!(bad.is_empty(), "the console shows: {bad:#?}");
        Ok(())
    }

    fn complaint(&self) -> String {
        let printed = self.running.as_ref().map_or_else(|| "it is off".to_owned(), Running::stderr);
        format!("{printed}\nthe console:\n{}", self.console())
    }
}
