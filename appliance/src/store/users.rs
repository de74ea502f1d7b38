//! Users of the page: names and argon2id hashes. There is no default password.

use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};
use std::sync::{MutexGuard, PoisonError};
use traffic::time::Timestamp;

use super::rows::{from_sql_time, to_sql_time};
use super::{Store, StoreError, audit};
use crate::linux::heap;

/// Shortest password that is taken.
pub const MIN_PASSWORD_CHARACTERS: usize = 8;

/// Longest password that is looked at, so that nobody makes the board hash megabytes.
const MAX_PASSWORD_BYTES: usize = 512;

/// Longest name of a user.
const MAX_NAME_BYTES: usize = 32;

/// 7 MiB and five passes (OWASP, "Password Storage Cheat Sheet"): the least memory, for a small board.
const MEMORY_KIB: u32 = 7 * 1024;
const PASSES: u32 = 5;
const LANES: u32 = 1;
const SALT_BYTES: usize = 16;

/// The one role so far: may do everything.
const ROLE: &str = "admin";

/// Checked in the place of an unknown user's hash, so that an answer takes as long as for a known one. Matches no password
/// that anybody knows, and a match would not count.
const NOBODY: &str = "$argon2id$v=19$m=7168,t=5,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Why a password was not set.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// Too easy to guess.
    #[error("the password is too short: take {MIN_PASSWORD_CHARACTERS} characters or more")]
    TooShort,
    /// Longer than is looked at.
    #[error("the password is too long: take {MAX_PASSWORD_BYTES} bytes or fewer")]
    TooLong,
    /// A name that would not fit rows and logs.
    #[error("a user's name has 1 to {MAX_NAME_BYTES} characters of a-z, 0-9, - and _")]
    Name,
    /// No random numbers for the salt.
    #[error("the system gives no random numbers: {cause}")]
    Random {
        /// Why.
        cause: getrandom::Error,
    },
    /// Argon2 itself.
    #[error("cannot hash the password: {cause}")]
    Hash {
        /// Why.
        cause: argon2::password_hash::Error,
    },
    /// The file.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a user was not removed.
#[derive(Debug, thiserror::Error)]
pub enum RemovalError {
    /// There is none of that name.
    #[error("there is no user {user}; `sluice users` lists them")]
    Unknown {
        /// The name.
        user: String,
    },
    /// Then nobody could log in, and the set-up code would let in whoever reads it.
    #[error("{user} is the only user: somebody has to be left to log in")]
    Last {
        /// Who.
        user: String,
    },
    /// The file.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A user of the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: String,
    /// When the password was set last.
    pub changed: Timestamp,
}

impl Store {
    /// Sets a user's password, in the name of `actor`; makes the user where he is new, and says whether he is. The daemon may run
    /// meanwhile, and its log-ins of that user end.
    ///
    /// # Errors
    /// The name or the password won't do, or the file cannot be written.
    pub fn set_password(&self, user: &str, password: &str, now: Timestamp, actor: &str) -> Result<bool, PasswordError> {
        check_name(user)?;
        check_password_text(password)?;
        let hash = self.hash(password)?;
        let put = self.change_users(|change| {
            let is_new = !is_user(change, user)?;
            let who = if is_new { ", who is new" } else { "" };
            put_user(change, user, &hash, now)?;
            audit::append(change, now, actor, &format!("set the password of user {user}{who}"))?;
            Ok(is_new)
        });
        Ok(put.map_err(StoreError::write("the password"))?)
    }

    /// Removes a user, in the name of `actor`; never the last one. The daemon may run meanwhile, and its log-ins of that user end.
    ///
    /// # Errors
    /// There is no such user, or nobody else, or the file cannot be written.
    pub fn remove_user(&self, user: &str, now: Timestamp, actor: &str) -> Result<(), RemovalError> {
        let removed = self.change_users(|change| {
            if !is_user(change, user)? {
                return Ok(Err(RemovalError::Unknown { user: user.to_owned() }));
            }
            if change.query_row("SELECT count(*) FROM users", [], |row| row.get::<_, i64>(0))? < 2 {
                return Ok(Err(RemovalError::Last { user: user.to_owned() }));
            }
            change.execute("DELETE FROM users WHERE name = ?1", [user])?;
            audit::append(change, now, actor, &format!("removed the user {user}"))?;
            Ok(Ok(()))
        });
        removed.map_err(StoreError::write("the users"))?
    }

    /// The users, by name.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn users(&self) -> Result<Vec<User>, StoreError> {
        let connection = self.connection();
        let users = || -> rusqlite::Result<Vec<User>> {
            let mut query = connection.prepare("SELECT name, changed FROM users ORDER BY name")?;
            let user = |row: &rusqlite::Row<'_>| Ok(User { name: row.get(0)?, changed: from_sql_time(row.get(1)?) });
            query.query_map([], user)?.collect()
        };
        users().map_err(StoreError::read("the users"))
    }

    /// Sets the password of the first user, in the name of `actor` who knew the set-up code; false, and nothing is done, where
    /// there is a user by now.
    ///
    /// # Errors
    /// As [`Self::set_password`].
    pub fn set_first_password(
        &self,
        user: &str,
        password: &str,
        now: Timestamp,
        actor: &str,
    ) -> Result<bool, PasswordError> {
        check_name(user)?;
        check_password_text(password)?;
        let hash = self.hash(password)?;
        let what = format!("set the first password of user {user}, with the set-up code");
        let put = self.change_users(|change| {
            let is_first = !any_user(change)?;
            if is_first {
                put_user(change, user, &hash, now)?;
                audit::append(change, now, actor, &what)?;
            }
            Ok(is_first)
        });
        Ok(put.map_err(StoreError::write("the password"))?)
    }

    /// Whether that is the user's password. Takes as long for a user who does not exist.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn check_password(&self, user: &str, password: &str) -> Result<bool, StoreError> {
        let known: Option<String> = self
            .connection()
            .query_row("SELECT password FROM users WHERE name = ?1", [user], |row| row.get(0))
            .optional()
            .map_err(StoreError::read("the users"))?;
        // What is too long to have been set is cut short: it cannot match, and the work stays the same.
        let bytes = password.as_bytes();
        let looked_at = bytes.get(..MAX_PASSWORD_BYTES).unwrap_or(bytes);
        let _one_at_a_time = self.turn_to_hash();
        let matches = argon2_settings()
            .and_then(|argon2| argon2.verify_password(looked_at, known.as_deref().unwrap_or(NOBODY)))
            .is_ok();
        Ok(matches && known.is_some() && bytes.len() <= MAX_PASSWORD_BYTES)
    }

    /// When the user's password was last set; `None` for a user who does not exist. A log-in holds while this stays.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn password_changed(&self, user: &str) -> Result<Option<Timestamp>, StoreError> {
        self.connection()
            .query_row("SELECT changed FROM users WHERE name = ?1", [user], |row| row.get(0).map(from_sql_time))
            .optional()
            .map_err(StoreError::read("the users"))
    }

    /// Whether anybody can log in yet.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn has_users(&self) -> Result<bool, StoreError> {
        any_user(&self.connection()).map_err(StoreError::read("the users"))
    }

    /// Hashing takes more memory than all else that is done now and then: one at a time, and what nobody uses of the heap goes first.
    fn turn_to_hash(&self) -> MutexGuard<'_, ()> {
        let turn = self.hashing.lock().unwrap_or_else(PoisonError::into_inner);
        heap::give_back();
        turn
    }

    fn hash(&self, password: &str) -> Result<String, PasswordError> {
        let mut salt = [0; SALT_BYTES];
        getrandom::fill(&mut salt).map_err(|cause| PasswordError::Random { cause })?;
        let _one_at_a_time = self.turn_to_hash();
        argon2_settings()
            .and_then(|argon2| argon2.hash_password_with_salt(password.as_bytes(), &salt))
            .map(|hash| hash.to_string())
            .map_err(|cause| PasswordError::Hash { cause })
    }

    /// One change of the users with its row in the audit log, or nothing of both.
    fn change_users<T>(&self, change: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
        let mut connection = self.connection();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let done = change(&transaction)?;
        transaction.commit()?;
        Ok(done)
    }
}

fn any_user(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("SELECT EXISTS (SELECT 1 FROM users)", [], |row| row.get(0))
}

fn is_user(connection: &Connection, name: &str) -> rusqlite::Result<bool> {
    connection.query_row("SELECT EXISTS (SELECT 1 FROM users WHERE name = ?1)", [name], |row| row.get(0))
}

fn put_user(connection: &Connection, user: &str, hash: &str, now: Timestamp) -> rusqlite::Result<()> {
    connection.execute(
        "INSERT OR REPLACE INTO users (name, password, role, changed) VALUES (?1, ?2, ?3, ?4)",
        params![user, hash, ROLE, to_sql_time(now)],
    )?;
    Ok(())
}

/// Whether a password may be set, whoever's it is.
///
/// # Errors
/// It is too short or too long.
pub fn check_password_text(password: &str) -> Result<(), PasswordError> {
    if password.chars().count() < MIN_PASSWORD_CHARACTERS {
        return Err(PasswordError::TooShort);
    }
    if password.len() > MAX_PASSWORD_BYTES {
        return Err(PasswordError::TooLong);
    }
    Ok(())
}

fn check_name(user: &str) -> Result<(), PasswordError> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
    if (1..=MAX_NAME_BYTES).contains(&user.len()) && user.bytes().all(allowed) {
        Ok(())
    } else {
        Err(PasswordError::Name)
    }
}

fn argon2_settings() -> Result<Argon2<'static>, argon2::password_hash::Error> {
    let parameters = Params::new(MEMORY_KIB, PASSES, LANES, None)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters))
}

#[cfg(test)]
mod tests {
    use super::*;
    use argon2::password_hash::phc::PasswordHash;

    #[test]
    fn an_unknown_user_costs_the_same_work_as_a_known_one() {
        let nobody = PasswordHash::new(NOBODY).unwrap();
        let fresh = argon2_settings().unwrap().hash_password_with_salt(b"correct horse", &[7; SALT_BYTES]).unwrap();
        assert_eq!(nobody.algorithm, fresh.algorithm);
        assert_eq!(nobody.version, fresh.version);
        assert_eq!(nobody.params.to_string(), fresh.params.to_string());
        assert_eq!(nobody.hash.map(|hash| hash.len()), fresh.hash.map(|hash| hash.len()));
    }

    #[test]
    fn names_that_would_confuse_a_log_are_refused() {
        for name in ["", "Admin", "a b", "a\nb", "<b>", "ü", &"a".repeat(33)] {
            assert!(matches!(check_name(name), Err(PasswordError::Name)), "{name:?}");
        }
        check_name("admin-2_x").unwrap();
    }
}
