//! The set-up code: who knows it may set the first password of the page. It is there only while there is none, and only in this
//! process's memory, so that each start has another one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use log::{info, warn};

use super::sessions::same_token;
use crate::store::Store;
use crate::typed_code::typed_code;

/// Of the code, 40 bits: with [`WRONG_CODES`] for each, nobody guesses it.
const GROUPS: usize = 2;

/// So many wrong ones, whoever sent them, and the code is replaced.
pub(super) const WRONG_CODES: u32 = 20;

/// What becomes of a code that somebody typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Typed {
    Right,
    Wrong,
    /// Wrong, and one time too many: there is another code now.
    Replaced,
}

/// The code, as long as it is of use.
#[derive(Debug)]
pub(super) struct SetUp {
    store: Arc<Store>,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    code: Option<String>,
    wrong: u32,
    /// There has been a user: there is no code any more.
    is_over: bool,
}

impl SetUp {
    pub(super) fn new(store: Arc<Store>) -> Self {
        Self { store, held: Mutex::default() }
    }

    /// Whether there is no password yet. Where the file cannot be read there may be one, and a log-in will say so.
    pub(super) fn is_open(&self) -> bool {
        self.while_open().is_some()
    }

    /// The code, for administrators of the box alone; `None` once it is over.
    pub(super) fn code(&self) -> Option<String> {
        self.while_open()?.code.clone()
    }

    /// Compares the code; hyphens, spaces and capitals are forgiven.
    pub(super) fn try_code(&self, typed: &str) -> Typed {
        let Some(mut held) = self.while_open() else { return Typed::Wrong };
        if held.code.as_deref().is_some_and(|code| same_token(&letters(code), &letters(typed))) {
            return Typed::Right;
        }
        held.wrong += 1;
        if held.wrong < WRONG_CODES {
            return Typed::Wrong;
        }
        *held = Held::default();
        held.renew();
        Typed::Replaced
    }

    /// What is held, with a code in it; `None` once it is over, and it stays over.
    fn while_open(&self) -> Option<MutexGuard<'_, Held>> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.is_over {
            return None;
        }
        match self.store.has_users() {
            Ok(false) => {
                held.renew();
                Some(held)
            }
            Ok(true) => {
                *held = Held { is_over: true, ..Held::default() };
                None
            }
            Err(error) => {
                warn!("cannot tell whether a password is set: {error}");
                None
            }
        }
    }
}

impl Held {
    /// Makes a code where there is none, and says it in the log.
    fn renew(&mut self) {
        if self.code.is_some() {
            return;
        }
        match typed_code::<GROUPS>() {
            Ok(code) => {
                info!("no password of the page is set yet: its set-up code is {code}");
                self.code = Some(code);
            }
            Err(cause) => warn!("no set-up code, the system gives no random numbers ({cause}): use `sluice passwd`"),
        }
    }
}

fn letters(code: &str) -> String {
    code.chars().filter(|letter| letter.is_alphanumeric()).map(|letter| letter.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use crate::store::test_directory::TestDirectory;

    fn set_up(directory: &TestDirectory) -> SetUp {
        SetUp::new(Arc::new(Store::open(directory.path(), clock::now()).unwrap().store))
    }

    #[test]
    fn the_code_stays_while_it_is_read_and_is_taken_as_people_write_it() {
        let directory = TestDirectory::new("set-up-code");
        let set_up = set_up(&directory);
        let code = set_up.code().unwrap();
        assert_eq!(set_up.code().unwrap(), code);
        for typed in
            [code.clone(), code.to_uppercase(), code.replace('-', ""), code.replace('-', " "), format!(" {code} ")]
        {
            assert_eq!(set_up.try_code(&typed), Typed::Right, "{typed:?}");
        }
        for typed in ["", "-", &code[1..], &format!("{code}a")] {
            assert_eq!(set_up.try_code(typed), Typed::Wrong, "{typed:?}");
        }
    }

    #[test]
    fn after_too_many_wrong_ones_there_is_another_code_and_as_many_tries() {
        let directory = TestDirectory::new("set-up-replaced");
        let set_up = set_up(&directory);
        let first = set_up.code().unwrap();
        for _ in 1..WRONG_CODES {
            assert_eq!(set_up.try_code("wrong"), Typed::Wrong);
        }
        assert_eq!(set_up.code().unwrap(), first);
        assert_eq!(set_up.try_code("wrong"), Typed::Replaced);
        let second = set_up.code().unwrap();
        assert_ne!(second, first);
        assert_eq!((set_up.try_code(&first), set_up.try_code(&second)), (Typed::Wrong, Typed::Right));
    }

    #[test]
    fn a_password_set_elsewhere_ends_it_for_ever() {
        let directory = TestDirectory::new("set-up-over");
        let set_up = set_up(&directory);
        let code = set_up.code().unwrap();
        set_up.store.set_password("admin", "correct horse", clock::now(), "local").unwrap();
        assert_eq!((set_up.is_open(), set_up.code(), set_up.try_code(&code)), (false, None, Typed::Wrong));
    }
}
