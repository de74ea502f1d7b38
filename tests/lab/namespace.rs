//! One network namespace with a name, removed by that name when its guard is dropped, also after a failure.

use std::ffi::OsStr;
use std::fs::File;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail, ensure};

/// A network namespace that this process made. Loopback is up in it.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes the namespace `NAME-PID`; one left over under that name from before is removed first.
    ///
    /// # Errors
    /// Not root, or no `ip` command.
    pub fn new(name: &str) -> Result<Self> {
        let name = format!("{name}-{}", std::process::id());
        Command::new("ip")
            .args(["netns", "del", &name])
            .stderr(Stdio::null())
            .status()
            .context("ip (iproute2) is not installed")?;
        run(Command::new("ip").args(["netns", "add", &name]))?;
        let namespace = Self { name };
        namespace.run(["ip", "link", "set", "lo", "up"])?;
        Ok(namespace)
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
        let _ = Command::new("ip").args(["netns", "del", &self.name]).stderr(Stdio::null()).status();
    }
}

/// Runs a command to its end; its standard output.
///
/// # Errors
/// It cannot be started, or ends with a failure: the error holds what it printed.
pub fn run(command: &mut Command) -> Result<String> {
    let Output { status, stdout, stderr } =
        command.stdin(Stdio::null()).output().with_context(|| format!("cannot start {command:?}"))?;
    if !status.success() {
        bail!("{command:?}: {status}\n{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    }
    ensure!(stdout.len() < 1 << 26, "{command:?} printed too much");
    Ok(String::from_utf8_lossy(&stdout).into_owned())
}
