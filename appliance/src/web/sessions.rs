//! Who is logged in, and who tries too often. Both tables are small, in memory only, and take the time as an argument.

use core::net::IpAddr;
use core::time::Duration;
use std::collections::VecDeque;

use sha2::{Digest as _, Sha256};
use traffic::time::Timestamp;

use crate::hexadecimal::hexadecimal;
use crate::policy::Subject;

/// Sessions at once; the one that was idle longest goes.
pub(super) const CAPACITY: usize = 64;

/// A session ends after this long without a request. An open page asks every few seconds and so keeps its session.
pub(super) const IDLE: Duration = Duration::from_secs(12 * 60 * 60);

/// Log-ins that an address may try within [`ATTEMPT_WINDOW`].
pub(super) const ATTEMPTS: u32 = 5;
const ATTEMPT_WINDOW: Duration = Duration::from_secs(60);

/// Addresses whose attempts are counted; the one that began longest ago is forgotten.
const ATTEMPT_CAPACITY: usize = 256;

/// What a logged-in visitor's requests need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Session {
    /// Who.
    pub(super) user: String,
    /// Stands in each form and proves that the form came from the page.
    pub(super) form_token: String,
    /// When the password was set that was used; another one since ends the session.
    pub(super) password_changed: Timestamp,
    /// What to say once on the next page.
    pub(super) notice: Option<Notice>,
    /// Hash of the cookie's value: how long a comparison takes tells nothing about the value itself.
    key: [u8; 32],
    last_seen: Timestamp,
}

/// What is said once about what was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Notice {
    /// What, in words.
    pub(super) words: String,
    /// Who is blocked all the same, and may be unblocked or allowed.
    pub(super) blocked: Option<Subject>,
}

/// All sessions, the one that was idle longest first.
#[derive(Debug, Default)]
pub(super) struct Sessions(VecDeque<Session>);

impl Sessions {
    /// Begins a session and returns the cookie's value.
    pub(super) fn begin(
        &mut self,
        user: &str,
        password_changed: Timestamp,
        now: Timestamp,
    ) -> Result<String, getrandom::Error> {
        let (cookie, form_token) = (random_token()?, random_token()?);
        self.0.retain(|session| now.since(session.last_seen) < IDLE);
        if self.0.len() >= CAPACITY {
            self.0.pop_front();
        }
        let (user, key) = (user.to_owned(), key_of(&cookie));
        self.0.push_back(Session { user, form_token, password_changed, notice: None, key, last_seen: now });
        Ok(cookie)
    }

    /// The session of that cookie, if it has not ended; its idle time begins anew.
    pub(super) fn find(&mut self, cookie: &str, now: Timestamp) -> Option<&mut Session> {
        self.0.retain(|session| now.since(session.last_seen) < IDLE);
        let key = key_of(cookie);
        let place = self.0.iter().position(|session| session.key == key)?;
        let mut session = self.0.remove(place)?;
        session.last_seen = now;
        self.0.push_back(session);
        self.0.back_mut()
    }

    /// Ends it.
    pub(super) fn end(&mut self, cookie: &str) {
        let key = key_of(cookie);
        self.0.retain(|session| session.key != key);
    }
}

/// How often each address tried to log in lately.
#[derive(Debug, Default)]
pub(super) struct Attempts(VecDeque<(Subject, Timestamp, u32)>);

impl Attempts {
    /// Counts an attempt, and says whether it may be made.
    pub(super) fn allow(&mut self, peer: IpAddr, now: Timestamp) -> bool {
        // A window that begins in the future was begun before the clock was set back.
        self.0.retain(|(_, begun, _)| *begun <= now && now.since(*begun) < ATTEMPT_WINDOW);
        let peer = Subject::of(peer);
        if let Some((_, _, count)) = self.0.iter_mut().find(|(address, ..)| *address == peer) {
            *count = count.saturating_add(1);
            return *count <= ATTEMPTS;
        }
        if self.0.len() >= ATTEMPT_CAPACITY {
            self.0.pop_front();
        }
        self.0.push_back((peer, now, 1));
        true
    }

    /// Forgets the address: it has logged in.
    pub(super) fn forget(&mut self, peer: IpAddr) {
        let peer = Subject::of(peer);
        self.0.retain(|(address, ..)| *address != peer);
    }
}

/// Whether two tokens are the same, in a time that does not tell where they differ.
pub(super) fn same_token(one: &str, other: &str) -> bool {
    key_of(one) == key_of(other)
}

fn key_of(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// 256 random bits in hexadecimal.
fn random_token() -> Result<String, getrandom::Error> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes)?;
    Ok(hexadecimal(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_secs(1_000_000 + seconds)
    }

    #[test]
    fn a_session_lasts_while_it_is_used_and_ends_when_idle() {
        let mut sessions = Sessions::default();
        let cookie = sessions.begin("admin", at(0), at(0)).unwrap();
        let idle = IDLE.as_secs();
        assert_eq!(sessions.find(&cookie, at(idle - 1)).unwrap().user, "admin");
        assert!(sessions.find(&cookie, at(2 * idle - 2)).is_some(), "the last request counts, not the log-in");
        assert!(sessions.find(&cookie, at(3 * idle - 2)).is_none());
        assert!(sessions.find(&cookie, at(0)).is_none(), "what has ended stays so when the clock is set back");
    }

    #[test]
    fn only_the_right_cookie_opens_a_session_and_ends_it() {
        let mut sessions = Sessions::default();
        let cookie = sessions.begin("admin", at(0), at(0)).unwrap();
        assert_eq!(cookie.len(), 64);
        let other = sessions.begin("admin", at(0), at(0)).unwrap();
        assert_ne!(cookie, other);
        for wrong in ["", "0", &cookie[..63], &cookie.to_uppercase().replace('0', "O")] {
            assert!(sessions.find(wrong, at(1)).is_none(), "{wrong}");
        }
        let form_token = sessions.find(&cookie, at(1)).unwrap().form_token.clone();
        assert!(sessions.find(&form_token, at(1)).is_none(), "the token in the page is not the cookie");
        sessions.end(&cookie);
        assert!(sessions.find(&cookie, at(1)).is_none());
        assert!(sessions.find(&other, at(1)).is_some());
    }

    #[test]
    fn when_the_table_is_full_the_session_idle_longest_goes() {
        let mut sessions = Sessions::default();
        let cookies: Vec<_> = (0..CAPACITY).map(|_| sessions.begin("admin", at(0), at(0)).unwrap()).collect();
        assert!(sessions.find(&cookies[0], at(1)).is_some());
        sessions.begin("admin", at(0), at(2)).unwrap();
        assert!(sessions.find(&cookies[0], at(3)).is_some(), "it was used since");
        assert!(sessions.find(&cookies[1], at(3)).is_none());
    }

    #[test]
    fn attempts_are_limited_for_each_address_by_itself() {
        let mut attempts = Attempts::default();
        let (peer, other) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        for _ in 0..ATTEMPTS {
            assert!(attempts.allow(peer, at(0)));
        }
        assert!(!attempts.allow(peer, at(1)));
        assert!(attempts.allow(other, at(1)));
        assert!(attempts.allow(peer, at(60)), "a minute later it may try again");
        for _ in 0..ATTEMPTS {
            attempts.allow(peer, at(61));
        }
        assert!(!attempts.allow(peer, at(62)));
        attempts.forget(peer);
        assert!(attempts.allow(peer, at(62)));
        assert!(attempts.allow(peer, Timestamp::EPOCH), "a clock set back locks nobody out");
    }

    #[test]
    fn the_table_of_attempts_is_bounded() {
        let mut attempts = Attempts::default();
        for number in 0..2_000_u32 {
            attempts.allow(core::net::Ipv4Addr::from_bits(number).into(), at(0));
        }
        assert_eq!(attempts.0.len(), ATTEMPT_CAPACITY);
    }
}
