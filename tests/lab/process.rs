//! Programs that run: to their end within a time limit, or in the background until their guard is dropped.
//!
//! Each program leads a process group of its own, so that its children end with it, and writes into files, so that a child
//! that lives on cannot hold a pipe open.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use sluice::clock::Stopwatch;

use crate::{cleanup, journal};

/// How often a condition is looked at while waiting for it.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// How long a program may take that is expected to end at once.
pub const SHORT: Duration = Duration::from_secs(20);

/// How a program ended and what it printed.
#[derive(Debug)]
pub struct Finished {
    /// Its exit status; `None` when the time was up and it was killed.
    pub status: Option<ExitStatus>,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

impl Finished {
    /// Whether it ended by itself and well.
    #[must_use]
    pub fn success(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }

    /// The exit code; `None` when it was killed.
    #[must_use]
    pub fn code(&self) -> Option<i32> {
        self.status.and_then(|status| status.code())
    }
}

/// A program in the background; killed with its children when dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    what: String,
    output: [PathBuf; 2],
}

impl Running {
    /// Starts it.
    ///
    /// # Errors
    /// The program is not installed, or its output files cannot be made.
    pub fn start(command: &mut Command) -> Result<Self> {
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let folder = cleanup::work_folder()?;
        let output = ["out", "err"].map(|end| folder.join(format!("{serial}.{end}")));
        let what = describe(command);
        journal::note_command(&what);
        let child = command
            .stdin(Stdio::null())
            .stdout(File::create(&output[0])?)
            .stderr(File::create(&output[1])?)
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {what}"))?;
        Ok(Self { child, what, output })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The process id of the child of it that is called so: what runs as the first process in a container that it made.
    #[must_use]
    pub fn child_called(&self, name: &str) -> Option<u32> {
        let pid = self.pid();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
        let mut pids = children.split_ascii_whitespace().filter_map(|child| child.parse().ok());
        pids.find(|child| fs::read_to_string(format!("/proc/{child}/comm")).is_ok_and(|comm| comm.trim() == name))
    }

    /// Whether it still runs.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// What it has written to standard output so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        read_text(&self.output[0])
    }

    /// What it has written to standard error so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        read_text(&self.output[1])
    }

    /// Sends it a signal (not to its children).
    pub fn signal(&self, signal: Signal) {
        let _ = kill(pid_of(&self.child), signal);
    }

    /// Waits until it has ended by itself; kills it when the time is up.
    pub fn finish(mut self, limit: Duration) -> Finished {
        let watch = Stopwatch::start();
        let status = loop {
            match self.child.try_wait() {
                Ok(Some(status)) => break Some(status),
                Ok(None) if watch.elapsed() < limit => sleep(LOOK_AGAIN),
                Ok(None) | Err(_) => break None,
            }
        };
        self.kill();
        Finished { status, stdout: self.stdout(), stderr: self.stderr() }
    }

    /// Asks it to end with the signal, then as [`Self::finish`].
    pub fn stop(self, signal: Signal, limit: Duration) -> Finished {
        self.signal(signal);
        self.finish(limit)
    }

    /// Kills it and its children, and waits until it is gone.
    pub fn kill(&mut self) {
        let _ = killpg(pid_of(&self.child), Signal::SIGKILL);
        let _ = self.child.wait();
    }

    /// An error that says what it printed.
    #[must_use]
    pub fn complaint(&self, problem: &str) -> anyhow::Error {
        anyhow::anyhow!("{}: {problem}\n{}{}", self.what, self.stdout(), self.stderr())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
        for file in &self.output {
            let _ = fs::remove_file(file);
        }
    }
}

/// Runs a program to its end, whatever its exit status; killed when the limit is up.
///
/// # Errors
/// It cannot be started.
pub fn run_any(command: &mut Command, limit: Duration) -> Result<Finished> {
    Ok(Running::start(command)?.finish(limit))
}

/// Runs a program to its end; its standard output.
///
/// # Errors
/// It cannot be started, ends with a failure, or does not end within the limit: the error holds what it printed.
pub fn run_within(command: &mut Command, limit: Duration) -> Result<String> {
    let finished = run_any(command, limit)?;
    if finished.success() {
        return Ok(finished.stdout);
    }
    let how = finished.status.map_or_else(|| format!("not done after {limit:?}"), |status| status.to_string());
    bail!("{}: {how}\n{}{}", describe(command), finished.stdout, finished.stderr)
}

/// Waits until the condition holds.
///
/// # Errors
/// It does not hold within the limit; the error says what was waited for.
pub fn wait_until(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) -> Result<Duration> {
    let watch = Stopwatch::start();
    loop {
        if holds() {
            return Ok(watch.elapsed());
        }
        if watch.elapsed() > limit {
            bail!("waited {limit:?} in vain until {what}");
        }
        sleep(LOOK_AGAIN);
    }
}

/// Tries until it is done, or the time is up.
///
/// # Errors
/// That of the last try.
pub fn try_for<T>(limit: Duration, mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    let watch = Stopwatch::start();
    loop {
        let done = attempt();
        if done.is_ok() || watch.elapsed() > limit {
            return done;
        }
        sleep(LOOK_AGAIN);
    }
}

/// The command as a person would type it.
fn describe(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(child.id().cast_signed())
}

fn read_text(file: &Path) -> String {
    String::from_utf8_lossy(&fs::read(file).unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_hangs_is_killed_when_its_time_is_up() {
        let finished = run_any(Command::new("sleep").arg("600"), Duration::from_millis(100)).unwrap();
        assert!(finished.status.is_none());
    }

    #[test]
    fn a_failure_says_what_the_program_printed() {
        let error = run_within(Command::new("ls").arg("/nowhere/at/all"), SHORT).unwrap_err();
        assert!(error.to_string().contains("/nowhere/at/all"));
    }
}
