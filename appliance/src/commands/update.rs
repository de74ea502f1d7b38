//! `sluice update`: shows the slots of a box that was made from an image, and brings a new system into the one that does not run.

use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, anyhow, bail, ensure};
use clap::Args;
use model_compiler::sealed::PublicKey;
use nix::fcntl::{Flock, FlockArg};

use super::{DaemonArgs, Failure};
use crate::clock;
use crate::config::Config;
use crate::linux::reboot;
use crate::store::Store;
use crate::update::{
    Access, Boot, Disk, Environment, Health, Installed, Slot, Taken, UpdateError, install, wait_until_healthy,
};
use crate::web::Client;

/// What the image says of itself: which board it is for, and whose updates it takes.
const IMAGE: &str = "/usr/share/sluice";

/// Where the boot partition is mounted meanwhile, and what keeps two of us apart.
const WORK: &str = "/run/sluice";

/// What the restart tells the firmware, in [`WORK`].
const RESTART_ARGUMENT: &str = "restart-argument";

/// What says to overlay's boot scripts that the slot is not to be taken back, there.
const KEPT: &str = "kept";

/// How `/proc/mounts` speaks of the data partition: what is kept in memory instead is of another kind.
const DATA_MOUNT: &str = " /run/data ext4 ";

#[derive(Debug, Args)]
pub(super) struct UpdateArgs {
    /// The update, or `-` for standard input; without one the slots are shown
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Restarts into the other slot once; a box that comes up healthy keeps it, any other one restarts into this slot by itself
    #[arg(long = "try", conflicts_with = "file")]
    is_trial_wanted: bool,
    /// With --try: also where the box is not healthy now, because the other system is to mend that
    #[arg(long, requires = "is_trial_wanted")]
    anyway: bool,
    /// For the boot of a box: notes that the slot is up, and says what became of the last trial, if there is something to say
    #[arg(long, hide = true, conflicts_with_all = ["file", "is_trial_wanted"])]
    faults: bool,
    /// For the boot of a box: keeps the slot that is tried once the box is healthy, and fails if it does not become so
    #[arg(long, hide = true, conflicts_with_all = ["file", "is_trial_wanted", "faults"])]
    confirm: bool,
    /// For the end of a box: restarts with what `--try` left for the firmware, if it did
    #[arg(long, hide = true, conflicts_with_all = ["file", "is_trial_wanted", "faults", "confirm"])]
    restart: bool,
    #[command(flatten)]
    daemon: DaemonArgs,
}

/// The box while nobody else changes its slots.
struct Slots {
    disk: Disk,
    environment: Environment,
    // In this order: nobody else may mount before it is unmounted here.
    boot: Boot,
    _lock: Flock<File>,
}

/// Does what was asked for.
///
/// # Errors
/// This is no box that was made from an image, or what went wrong.
pub(super) fn update(args: &UpdateArgs) -> Result<(), Failure> {
    let at_once = FlockArg::LockExclusiveNonblock;
    match &args.file {
        Some(file) => Slots::take(at_once, Access::Change)?.install(file, &args.daemon)?,
        None if args.is_trial_wanted => Slots::take(at_once, Access::Change)?.try_other(args.anyway, &args.daemon)?,
        None if args.restart => restart()?,
        None if args.confirm => confirm(&args.daemon)?,
        None if args.faults => come_up()?,
        None => Slots::take(at_once, Access::Look)?.show(),
    }
    Ok(())
}

/// Says what a person should know of the slots, and notes that this one is up where starts are counted. What runs in the place of a slot that
/// did not come up need not be healthy, and neither need what runs where nothing can be read of the slots: a restart would only start again
/// what did not come up.
fn come_up() -> anyhow::Result<()> {
    let slots = match Slots::take(FlockArg::LockExclusive, Access::Look) {
        Ok(slots) => slots,
        Err(error) => {
            leave_running()?;
            return Err(error.context("nothing can be read of the slots, so that no update can be tried"));
        }
    };
    let is_on_trial = slots.disk.is_on_trial(&slots.environment);
    if let Some(fault) = slots.environment.fault(slots.disk.running, is_on_trial) {
        say(&fault);
    }
    if slots.disk.is_fallback(&slots.environment) {
        leave_running()?;
    }
    let is_to_be_noted = slots.boot.is_to_be_noted(&slots.disk, &slots.environment);
    drop(slots);
    if is_to_be_noted {
        let mut slots = Slots::take(FlockArg::LockExclusive, Access::Change)?;
        slots.boot.come_up(&slots.disk, &mut slots.environment)?;
    }
    Ok(())
}

fn leave_running() -> anyhow::Result<()> {
    fs::create_dir_all(WORK).with_context(|| format!("cannot make {WORK}"))?;
    fs::write(Path::new(WORK).join(KEPT), "").context("cannot leave word that the slot is not to be taken back")
}

/// Keeps the slot that is tried once the box is healthy. Meanwhile others may have a look at the slots.
fn confirm(daemon: &DaemonArgs) -> anyhow::Result<()> {
    let slots = Slots::take(FlockArg::LockExclusive, Access::Look)?;
    let (slot, is_on_trial) = (slots.disk.running, slots.disk.is_on_trial(&slots.environment));
    drop(slots);
    if !is_on_trial {
        return Ok(());
    }
    let mounts = fs::read_to_string("/proc/mounts")?;
    ensure!(mounts.contains(DATA_MOUNT), "slot {slot} is not kept: its data partition is not mounted");
    match wait_until_healthy(|| look(daemon)) {
        Health::Healthy => {
            let mut slots = Slots::take(FlockArg::LockExclusive, Access::Change)?;
            slots.boot.start(slot)?;
            slots.environment.keep(slot)?;
        }
        ill @ Health::Ill(_) => bail!("slot {slot} is not kept: {ill}"),
    }
    note(daemon, &format!("update: keeps slot {slot}"));
    say(&format!("Slot {slot} is kept."));
    Ok(())
}

/// Tells the firmware what it shall start; comes back only where nothing is to be told.
fn restart() -> anyhow::Result<()> {
    match fs::read_to_string(Path::new(WORK).join(RESTART_ARGUMENT)) {
        Err(_) => Ok(()),
        Ok(argument) => Err(reboot::restart_with(&CString::new(argument)?).into()),
    }
}

impl Slots {
    /// Waits for others, or not.
    fn take(wait: FlockArg, access: Access) -> anyhow::Result<Self> {
        let disk = Disk::find(Path::new("/"))?;
        fs::create_dir_all(WORK).with_context(|| format!("cannot make {WORK}"))?;
        let lock = Path::new(WORK).join("update.lock");
        let file = File::create(&lock).with_context(|| format!("cannot open {}; run as root", lock.display()))?;
        let lock = Flock::lock(file, wait).map_err(|_| UpdateError::Busy)?;
        let boot = disk.boot(Path::new(WORK), access)?;
        let environment = Environment::read(&boot.environment())?;
        Ok(Self { disk, environment, boot, _lock: lock })
    }

    fn install(&mut self, file: &Path, daemon: &DaemonArgs) -> anyhow::Result<()> {
        let input: Box<dyn Read> = match file.to_str() {
            Some("-") => Box::new(io::stdin().lock()),
            _ => Box::new(File::open(file).with_context(|| format!("cannot open {}", file.display()))?),
        };
        let image = Path::new(IMAGE);
        let taken = Taken { board: read_text(&image.join("board"))?, keys: trusted_keys(&image.join("update-keys"))? };
        let installed = install(BufReader::new(input), &taken, &self.disk, &self.boot, &mut self.environment);
        let Installed { slot, version } = installed.with_context(|| file.display().to_string())?;
        note(daemon, &format!("update: version {version} in slot {slot}"));
        say(&format!(
            "Slot {slot} holds version {version}. `sluice update --try` restarts into it; nothing passes meanwhile."
        ));
        say(&format!("If the box is not healthy with it, the next start runs slot {} again.", self.disk.running));
        Ok(())
    }

    fn try_other(&mut self, anyway: bool, daemon: &DaemonArgs) -> anyhow::Result<()> {
        let slot = self.disk.running.other();
        if self.disk.is_on_trial(&self.environment) {
            return Err(UpdateError::OnTrial(self.disk.running).into());
        }
        let version = self.environment.version(slot).ok_or(UpdateError::NothingToTry(slot))?.to_owned();
        look(daemon).check_before_trial(anyway)?;
        if let Some(argument) = self.boot.try_once(slot, &mut self.environment)? {
            fs::write(Path::new(WORK).join(RESTART_ARGUMENT), argument.to_bytes())
                .context("cannot leave word for the restart")?;
        }
        note(daemon, &format!("update: tries version {version} in slot {slot}"));
        say(&format!("The box restarts into slot {slot}, version {version}."));
        let status = Command::new("reboot").status().context("cannot run `reboot`; restart the box yourself")?;
        ensure!(status.success(), "`reboot` failed; restart the box yourself");
        Ok(())
    }

    fn show(&self) {
        for slot in [Slot::A, Slot::B] {
            let version = self
                .environment
                .version(slot)
                .map_or_else(|| "holds no system".to_owned(), |version| format!("version {version}"));
            let is = |told: bool, words: &'static str| if told { words } else { "" };
            let runs = is(slot == self.disk.running, ", runs");
            let kept = is(slot == self.boot.started(&self.environment), ", is started");
            let trial = is(self.environment.trial() == Some(slot), ", is tried at the next start");
            let is_being_tried = slot == self.disk.running && self.disk.is_on_trial(&self.environment);
            let tried = self.environment.tried() == Some(slot) && self.environment.trial().is_none();
            let tried = is(tried, if is_being_tried { ", is being tried" } else { ", was tried and not kept" });
            say(&format!("slot {slot}: {version}{runs}{kept}{trial}{tried}"));
        }
    }
}

/// Says something to whoever is still there: an ssh that has gone must not end this half-way.
fn say(what: &str) {
    let _ = writeln!(io::stdout(), "{what}");
}

/// How the box is: by the daemon's own account, and whether there is a database that outlives a restart.
fn look(daemon: &DaemonArgs) -> Health {
    let state = match daemon.socket() {
        Ok(socket) => Client::new(&socket).state(),
        Err(mistake) => return Health::Ill(mistake.to_string()),
    };
    match Health::of(&state) {
        // Not before: the daemon is to be the first that brings an older database into another form.
        Health::Healthy => store(daemon).map_or_else(|error| Health::Ill(format!("{error:#}")), |_| Health::Healthy),
        ill @ Health::Ill(_) => ill,
    }
}

fn store(daemon: &DaemonArgs) -> anyhow::Result<Store> {
    Ok(Store::join(&Config::load(&daemon.config.config)?.state_dir)?)
}

/// Leaves a row in the audit log. A box whose database cannot be opened takes an update all the same.
fn note(daemon: &DaemonArgs, what: &str) {
    let noted = store(daemon).and_then(|store| Ok(store.note(clock::now(), "local", what)?));
    if let Err(error) = noted {
        eprintln!("not in the audit log: {error:#}");
    }
}

fn read_text(path: &Path) -> anyhow::Result<String> {
    let text = fs::read_to_string(path)
        .map_err(|cause| UpdateError::NoSlots { why: format!("{}: {cause}", path.display()) })?;
    Ok(text.trim().to_owned())
}

/// One key a line; comments begin with `#`.
fn trusted_keys(path: &Path) -> anyhow::Result<Vec<PublicKey>> {
    let text = read_text(path)?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| line.parse().map_err(|wrong: String| anyhow!("{}: {wrong}", path.display()))).collect()
}
