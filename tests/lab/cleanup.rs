//! Leaves nothing behind: neither after a panic, nor an interrupt, nor when this process was killed.
//!
//! Everything that outlives a process is made under a name that carries the maker's process id: namespaces `sluice-NAME-PID-N`,
//! the folder `/tmp/sluice-lab-PID`, interfaces `slPIDxN` on the machine's side. Guards remove their own on drop; an interrupt
//! removes all of this process; the next laboratory sweeps what a dead process left.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Once, PoisonError, RwLock, RwLockReadGuard};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use anyhow::{Context, Result};

/// What the names of all namespaces of the laboratory begin with.
pub const NAMESPACE_PREFIX: &str = "sluice-";

/// What the folders of the laboratory begin with, in `/tmp`.
const FOLDER_PREFIX: &str = "sluice-lab-";

/// How often the removal of a folder is tried.
const REMOVALS: u32 = 20;

/// Held while something is made that outlives the process, and by an interrupt from when on nothing more may be made.
static MAKING: RwLock<()> = RwLock::new(());

/// Permits to make something, unless the process is about to end: then this waits for the end.
pub(crate) fn permit_to_make() -> RwLockReadGuard<'static, ()> {
    MAKING.read().unwrap_or_else(PoisonError::into_inner)
}

/// Makes an interrupt clean up before it ends the process, and sweeps what dead processes left. Cheap to call again.
pub fn prepare() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let _ = ctrlc::set_handler(|| {
            let _nothing_new = MAKING.write();
            remove_all_of(std::process::id());
            std::process::exit(130);
        });
        sweep();
    });
}

/// The folder of this process, made when missing: logs, keys, configuration files.
///
/// # Errors
/// `/tmp` cannot be written.
pub fn work_folder() -> Result<PathBuf> {
    prepare();
    let folder = folder_of(std::process::id());
    let _permit = permit_to_make();
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

/// Removes the folder of this process: the last thing that a program does. Those of tests are swept by the next laboratory.
pub fn remove_work_folder() {
    let _ = fs::remove_dir_all(folder_of(std::process::id()));
}

/// Kills by id what runs in the namespace, then removes it and its private files.
pub fn remove_namespace(name: &str) {
    for pid in processes_in(name) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
    let _ = Command::new("ip").args(["netns", "del", name]).stderr(Stdio::null()).status();
    let _ = fs::remove_dir_all(Path::new("/etc/netns").join(name));
    let _ = fs::remove_dir("/etc/netns"); // Only when it is empty.
}

/// Ids of the processes that run in the namespace.
fn processes_in(name: &str) -> Vec<i32> {
    let output = Command::new("ip").args(["netns", "pids", name]).stderr(Stdio::null()).output();
    let listed = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    listed.lines().filter_map(|line| line.trim().parse().ok()).collect()
}

/// Removes all that processes made which are no more.
fn sweep() {
    for pid in owners() {
        if !Path::new("/proc").join(pid.to_string()).exists() {
            remove_all_of(pid);
        }
    }
}

/// Ids of the processes that something here is named after.
fn owners() -> Vec<u32> {
    let namespaces = names_in("/run/netns").into_iter().filter_map(|name| namespace_owner(&name));
    let folders = names_in("/tmp").into_iter().filter_map(|name| name.strip_prefix(FOLDER_PREFIX)?.parse().ok());
    let mut owners: Vec<u32> = namespaces.chain(folders).collect();
    owners.sort_unstable();
    owners.dedup();
    owners
}

/// Removes the namespaces and the folder of a process. Links go with the namespace at one of their ends.
fn remove_all_of(pid: u32) {
    for name in names_in("/run/netns") {
        if namespace_owner(&name) == Some(pid) {
            remove_namespace(&name);
        }
    }
    // Threads of a process that is about to end may put a file there while it is emptied.
    for _ in 0..REMOVALS {
        if !folder_of(pid).exists() || fs::remove_dir_all(folder_of(pid)).is_ok() {
            return;
        }
    }
}

fn folder_of(pid: u32) -> PathBuf {
    Path::new("/tmp").join(format!("{FOLDER_PREFIX}{pid}"))
}

/// The process id in a name like `sluice-lan-1234-0`.
fn namespace_owner(name: &str) -> Option<u32> {
    name.strip_prefix(NAMESPACE_PREFIX)?.rsplit('-').nth(1)?.parse().ok()
}

fn names_in(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_is_read_from_the_name_of_a_namespace() {
        assert_eq!(namespace_owner("sluice-lan-1234-0"), Some(1234));
        assert_eq!(namespace_owner("sluice-out-66-1234-7"), Some(1234));
        assert_eq!(namespace_owner("somebody-elses-1234-0"), None);
    }
}
