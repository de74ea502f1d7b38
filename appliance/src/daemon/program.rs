//! The program that runs, and how it gives way to another version of itself: the new one is tried first, then takes the place of
//! the old one in the same process, so that whatever looks after the daemon notices nothing.

use core::convert::Infallible;
use core::time::Duration;
use std::ffi::{CString, OsString};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::unistd::execv;

use crate::clock::Stopwatch;

/// How long the new program may take to read the configuration.
const TRIAL_LIMIT: Duration = Duration::from_secs(20);

/// How often it is asked whether it has.
const TRIAL_INTERVAL: Duration = Duration::from_millis(20);

/// What of its complaint is told.
const COMPLAINT_BYTES: u64 = 1_024;

/// The file that this program was started from, and what it was told.
pub(super) struct Program {
    path: PathBuf,
    /// The first one is the name.
    arguments: Vec<OsString>,
    config: PathBuf,
}

impl Program {
    /// That of this process. The path is the one that it was called by: an upgrade may put another file there, or have a link
    /// point to one.
    ///
    /// # Errors
    /// The system does not tell which it is.
    pub fn of_this_process(config: &Path) -> io::Result<Self> {
        let arguments: Vec<OsString> = std::env::args_os().collect();
        let called = arguments.first().map(PathBuf::from).filter(|name| name.as_os_str().as_bytes().contains(&b'/'));
        let path = called.map_or_else(std::env::current_exe, std::path::absolute)?;
        Ok(Self { path, arguments, config: std::path::absolute(config)? })
    }

    /// Where its file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Tries whether what the file is now runs, and takes the configuration.
    ///
    /// # Errors
    /// Why not.
    pub fn try_out(&self) -> Result<(), String> {
        let refused = |why: String| {
            format!("{} is not run in the place of this program, which goes on: {why}", self.path.display())
        };
        let mut trial = Command::new(&self.path);
        trial.arg("check-config").arg(&self.config);
        trial.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let child = trial.spawn().map_err(|cause| refused(cause.to_string()))?;
        ended_well(child).map_err(refused)
    }

    /// Puts what the file is now in the place of this program. Signals that came meanwhile wait for it, because their mask stays.
    ///
    /// # Errors
    /// The system refused. Otherwise it does not come back.
    pub fn execute(&self) -> io::Result<Infallible> {
        let path = CString::new(self.path.as_os_str().as_bytes())?;
        let arguments: Result<Vec<CString>, _> =
            self.arguments.iter().map(|argument| CString::new(argument.as_bytes())).collect();
        Ok(execv(&path, &arguments?)?)
    }
}

fn ended_well(mut child: Child) -> Result<(), String> {
    let watch = Stopwatch::start();
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => {
                let mut told = Vec::new();
                // What cannot be read is not told.
                let _ = child.stderr.take().map(|stderr| stderr.take(COMPLAINT_BYTES).read_to_end(&mut told));
                let told = String::from_utf8_lossy(&told);
                return Err(told.lines().next().map_or_else(|| status.to_string(), str::to_owned));
            }
            Ok(None) if watch.elapsed() < TRIAL_LIMIT => std::thread::sleep(TRIAL_INTERVAL),
            Ok(None) | Err(_) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("check-config does not end within {} s", TRIAL_LIMIT.as_secs()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(path: &str) -> Program {
        Program { path: path.into(), arguments: Vec::new(), config: "/etc/sluice/sluice.toml".into() }
    }

    #[test]
    fn a_program_that_does_not_run_or_refuses_the_configuration_is_told_with_its_complaint() {
        assert_eq!(program("/bin/true").try_out(), Ok(()));
        for (path, why) in [
            ("/nowhere/sluice", "No such file"),
            ("/bin/false", "exit status: 1"),
            ("/etc", "Permission denied"),
            ("/bin/ls", "check-config"),
        ] {
            let told = program(path).try_out().unwrap_err();
            assert!(told.starts_with(&format!("{path} is not run in the place of")) && told.contains(why), "{told}");
        }
    }

    #[test]
    fn what_cannot_be_executed_leaves_this_program_running() {
        assert_eq!(program("/nowhere/sluice").execute().unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
