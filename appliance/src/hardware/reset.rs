//! Another password for the page, for who has forgotten his and holds the box in his hands: made by the box, and shown on its
//! console alone.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

use traffic::time::Timestamp;

use crate::store::{PasswordError, Store};
use crate::typed_code::typed_code;

/// Where it is shown.
pub(super) const CONSOLE: &str = "/dev/console";

/// Whose it is.
const USER: &str = "admin";

/// Of the password, 60 bits: nobody guesses it through a page that makes guessers wait.
const GROUPS: usize = 3;

/// Why there is no other password.
#[derive(Debug, thiserror::Error)]
pub(super) enum ResetError {
    /// Nobody would have seen it.
    #[error("{console} cannot be written ({cause}), so the password stays: use `sluice passwd` over SSH")]
    Console {
        /// Where.
        console: String,
        /// Why.
        cause: io::Error,
    },
    /// No random numbers.
    #[error("the system gives no random numbers ({0}), so the password stays")]
    Random(getrandom::Error),
    /// The store.
    #[error("the password stays: {0}")]
    Password(#[from] PasswordError),
}

/// Sets another password of `admin`, in the name of `actor`, whose log-ins end. It is shown before it holds: one that nobody
/// has seen would lock everybody out.
pub(super) fn reset_password(store: &Store, console: &Path, now: Timestamp, actor: &str) -> Result<(), ResetError> {
    let unseen = |cause| ResetError::Console { console: console.display().to_string(), cause };
    let mut shown = OpenOptions::new().write(true).open(console).map_err(unseen)?;
    let code = typed_code::<GROUPS>().map_err(ResetError::Random)?;
    say(&mut shown, &format!("the password of {USER} is now {code} ; choose your own with `sluice passwd`"))
        .map_err(unseen)?;
    store.set_password(USER, &code, now, actor).inspect_err(|_| {
        // Whether this is seen or not: the log says it too.
        let _ = say(&mut shown, "no, it is not: the password stays as it was; see the log");
    })?;
    Ok(())
}

/// Consoles in raw mode want both.
fn say(console: &mut File, what: &str) -> io::Result<()> {
    console.write_all(format!("\r\nSluice: {what}\r\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::clock;
    use crate::store::test_directory::TestDirectory;

    fn store(directory: &TestDirectory) -> Store {
        let store = Store::open(directory.path(), clock::now()).unwrap().store;
        store.set_password(USER, "correct horse", clock::now(), "local").unwrap();
        store
    }

    #[test]
    fn the_new_password_is_what_the_console_shows_and_the_audit_log_names_the_button() {
        let directory = TestDirectory::new("reset");
        let (store, console) = (store(&directory), directory.path().join("console"));
        fs::write(&console, "").unwrap();
        reset_password(&store, &console, clock::now(), "button").unwrap();
        let shown = fs::read_to_string(&console).unwrap();
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
        let console = directory.path().join("console");
        let told = reset_password(&store, &console, clock::now(), "button").unwrap_err().to_string();
        assert!(told.contains("console cannot be written") && told.contains("sluice passwd"), "{told}");
        assert!(store.check_password(USER, "correct horse").unwrap() && !console.exists());
    }
}
