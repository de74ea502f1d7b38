//! One network namespace with a name, removed by that name when its guard is dropped, also after a failure.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::cleanup::{self, NAMESPACE_PREFIX};
use crate::process::{self, Running, SHORT};

/// A network namespace that this process made. Loopback is up in it.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes the namespace `sluice-NAME-PID-N`.
    ///
    /// # Errors
    /// Not root, or no `ip` command.
    pub fn new(name: &str) -> Result<Self> {
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        cleanup::prepare();
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let name = format!("{NAMESPACE_PREFIX}{name}-{}-{serial}", std::process::id());
        let namespace = Self::add(name)?;
        namespace.ip("link set lo up")?;
        // Addresses are usable at once: nobody else could have them.
        namespace.run(["sysctl", "-qw", "net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.default.accept_dad=0"])?;
        Ok(namespace)
    }

    fn add(name: String) -> Result<Self> {
        let _permit = cleanup::permit_to_make();
        let status =
            Command::new("ip").args(["netns", "add", &name]).status().context("the laboratory needs iproute2")?;
        ensure!(status.success(), "the laboratory needs root");
        Ok(Self { name })
    }

    /// The name, as `ip netns` knows it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A command that will run inside.
    pub fn command<S: AsRef<OsStr>>(&self, program: S) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// A command that will run inside, from a line whose words are parted by spaces.
    #[must_use]
    pub fn words(&self, line: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).args(line.split_ascii_whitespace());
        command
    }

    /// Runs a command inside to its end; its standard output.
    ///
    /// # Errors
    /// It cannot be started, or ends with a failure: the error holds what it printed.
    pub fn run<I, S>(&self, words: I) -> Result<String>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let mut words = words.into_iter();
        let program = words.next().context("no command")?;
        run(self.command(program).args(words))
    }

    /// Runs `ip LINE` inside.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn ip(&self, line: &str) -> Result<String> {
        run(Command::new("ip").args(["-n", &self.name]).args(line.split_ascii_whitespace()))
    }

    /// Runs a command line inside, with a limit of its own.
    ///
    /// # Errors
    /// As [`Self::run`], or the time was up.
    pub fn run_within(&self, line: &str, limit: Duration) -> Result<String> {
        process::run_within(&mut self.words(line), limit)
    }

    /// Starts a command line inside, in the background.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(&self, line: &str) -> Result<Running> {
        Running::start(&mut self.words(line))
    }

    /// Gives programs inside their own `/etc/FILE`: nobody else on the machine sees it.
    ///
    /// # Errors
    /// `/etc/netns` cannot be written.
    pub fn private_file(&self, file: &str, text: &str) -> Result<()> {
        let file_inside = Path::new("/etc/netns").join(&self.name).join(file);
        let _permit = cleanup::permit_to_make();
        fs::create_dir_all(file_inside.parent().unwrap_or(&file_inside)).context("cannot make /etc/netns")?;
        fs::write(file_inside, text).with_context(|| format!("cannot write a private /etc/{file}"))
    }

    /// Runs a closure on a thread of its own that has entered the namespace.
    ///
    /// # Errors
    /// The namespace cannot be entered. A panic of the closure goes on in the caller.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        let file = File::open(format!("/run/netns/{}", self.name)).context("namespace file")?;
        std::thread::scope(|scope| {
            let inside = scope.spawn(move || {
                nix::sched::setns(file, nix::sched::CloneFlags::CLONE_NEWNET).context("setns")?;
                Ok(work())
            });
            match inside.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        cleanup::remove_namespace(&self.name);
    }
}

/// Runs a command to its end; its standard output.
///
/// # Errors
/// It cannot be started, or ends with a failure: the error holds what it printed.
pub fn run(command: &mut Command) -> Result<String> {
    process::run_within(command, SHORT)
}
