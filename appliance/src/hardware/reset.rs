//! Another password for the page, for who has forgotten his and holds the box in his hands: made by the box, and shown on its
//! consoles alone.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use traffic::time::Timestamp;

use crate::store::{PasswordError, Store};
use crate::typed_code::typed_code;

/// Lists the kernel's consoles: a board has a screen and a serial line.
const CONSOLES: &str = "/sys/class/tty/console/active";

/// The last of them, and the only one that a service of systemd may write.
const CONSOLE: &str = "/dev/console";

/// Whose it is.
const USER: &str = "admin";

/// Of the password, 60 bits: nobody guesses it through a page that makes guessers wait.
const GROUPS: usize = 3;

/// Why there is no other password.
#[derive(Debug, thiserror::Error)]
pub(super) enum ResetError {
    /// Nobody would have seen it.
    #[error("no console can be written ({0}), so the password stays: use `sluice passwd` over SSH")]
    Unseen(String),
    /// No random numbers.
    #[error("the system gives no random numbers ({0}), so the password stays")]
    Random(getrandom::Error),
    /// The store.
    #[error("the password stays: {0}")]
    Password(#[from] PasswordError),
}

/// Where it may be shown: the kernel's consoles, or else what stands for the last of them.
pub(super) fn consoles() -> Vec<PathBuf> {
    let active = fs::read_to_string(CONSOLES).unwrap_or_default();
    let mut consoles: Vec<PathBuf> = active.split_whitespace().map(|name| Path::new("/dev").join(name)).collect();
    if consoles.iter().all(|console| open(console).is_err()) {
        consoles.push(CONSOLE.into());
    }
    consoles
}

/// Sets another password of `admin`, in the name of `actor`, whose log-ins end. It is shown before it holds, on one of the consoles at
/// least: one that nobody has seen would lock everybody out.
pub(super) fn reset_password(
    store: &Store,
    consoles: &[PathBuf],
    now: Timestamp,
    actor: &str,
) -> Result<(), ResetError> {
    let code = typed_code::<GROUPS>().map_err(ResetError::Random)?;
    let what = format!("the password of {USER} is now {code} ; choose your own with `sluice passwd`");
    let said: Vec<io::Result<()>> = consoles.iter().map(|console| say(console, &what)).collect();
    if said.iter().all(Result::is_err) {
        let whys = consoles.iter().zip(said).filter_map(|(console, said)| Some((console, said.err()?)));
        let whys: Vec<String> = whys.map(|(console, why)| format!("{}: {why}", console.display())).collect();
        return Err(ResetError::Unseen(whys.join("; ")));
    }
    store.set_password(USER, &code, now, actor).inspect_err(|_| {
        for console in consoles {
            // Whether this is seen or not: the log says it too.
            let _ = say(console, "no, it is not: the password stays as it was; see the log");
        }
    })?;
    Ok(())
}

/// Consoles in raw mode want both ends of a line.
fn say(console: &Path, what: &str) -> io::Result<()> {
    open(console)?.write_all(format!("\r\nSluice: {what}\r\n").as_bytes())
}

/// It must not become the terminal of the daemon, which whoever types there could interrupt.
fn open(console: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).custom_flags(libc::O_NOCTTY).open(console)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use crate::store::test_directory::TestDirectory;

    fn store(directory: &TestDirectory) -> Store {
        let store = Store::open(directory.path(), clock::now()).unwrap().store;
        store.set_password(USER, "correct horse", clock::now(), "local").unwrap();
        store
    }

    #[test]
    fn the_new_password_is_what_the_consoles_show_and_the_audit_log_names_the_button() {
        let directory = TestDirectory::new("reset");
        let (store, console) = (store(&directory), |name: &str| directory.path().join(name));
        let consoles = ["missing", "screen", "serial"].map(console);
        consoles[1..].iter().for_each(|console| fs::write(console, "").unwrap());
        reset_password(&store, &consoles, clock::now(), "button").unwrap();
        let shown = fs::read_to_string(&consoles[1]).unwrap();
        assert_eq!(shown, fs::read_to_string(&consoles[2]).unwrap());
        let code = shown.split("is now ").nth(1).unwrap().split(' ').next().unwrap();
        assert_eq!(code.split('-').count(), GROUPS);
        assert!(store.check_password(USER, code).unwrap() && !store.check_password(USER, "correct horse").unwrap());
        let audit = store.audit_rows(5).unwrap();
        assert!(audit.iter().any(|row| row.actor == "button" && row.what == "set the password of user admin"));
        assert!(!audit.iter().any(|row| row.what.contains(code)));
    }

    #[test]
    fn a_password_that_nobody_would_see_is_not_set() {
        let directory = TestDirectory::new("no-console");
        let store = store(&directory);
        let consoles = [directory.path().join("console")];
        let told = reset_password(&store, &consoles, clock::now(), "button").unwrap_err().to_string();
        assert!(told.contains("no console can be written") && told.contains("sluice passwd"), "{told}");
        assert!(store.check_password(USER, "correct horse").unwrap() && !consoles[0].exists());
    }
}
